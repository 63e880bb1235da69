//! A notification on the desktop of the user who is logged in, over the session bus.
//!
//! Owns the words of the Desktop Notifications Specification, and which notification the next one replaces.
//! What is shown is `alerts::alert`'s business. No type of zbus leaves this file.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use zbus::{Connection, MatchRule, MessageStream, Variant, message};

use crate::{
    alerts::message::{Notice, Place, Urgency},
    os::files::{Links, read_limited},
    text::line::Line,
};
use crate::{
    os::own_files::{remove, write_atomic},
    systemd::{
        ManagerError,
        bus::{Bus, Deadline},
    },
};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// Who is notified of it.
const APPLICATION: &str = "Gatehound";

/// For how long it is shown: as the desktop does.
const ITS_OWN_TIME: i32 = -1;

/// Until somebody has seen it.
const NEVER: i32 = 0;

/// By which a desktop knows the application.
const DESKTOP_ENTRY: &str = "gatehound";

/// The icon where a human is needed.
const NEEDED: &str = "dialog-error";

/// More than a name on the bus, a number and two lines have bytes.
const MAX_NOTE: u64 = 8 * 1024;

/// Why nothing was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DesktopError {
    /// Nobody is logged in at a desktop.
    NoDesktop(Line),
    /// There is a desktop, and it does not work.
    Failed(Line),
}

/// What somebody asks for at a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To be shown what is known of the incident.
    Incident,
    /// That Gatehound leaves the gateway alone.
    Pause,
}

impl Wish {
    /// The name of its button, which the desktop gives back.
    fn key(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Pause => "pause",
        }
    }
}

/// What became of a notification with buttons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing yet.
    Nothing,
    /// One was pressed.
    Asked(Wish),
    /// It was closed, or its desktop is gone.
    Closed,
}

/// A notification with buttons, for as long as somebody listens to them.
pub struct Offer {
    bus: Bus,
    signals: MessageStream,
    owner: String,
    id: u32,
    notice: Notice,
}

impl Offer {
    /// What is heard of it within `limit`.
    pub fn next(&mut self, limit: Duration) -> Heard {
        let next = self.bus.next_of(Deadline::after(limit), &mut self.signals);
        let message = match next {
            None => return Heard::Nothing,
            Some(Some(Ok(message))) => message,
            Some(None | Some(Err(_))) => return Heard::Closed,
        };
        let header = message.header();
        let is_its = |id| id == self.id;
        if header
            .sender()
            .is_none_or(|sender| sender != self.owner.as_str())
        {
            return Heard::Nothing;
        }
        match header.member().map(|member| member.as_str()) {
            Some("NotificationClosed") => match message.body().deserialize::<(u32, u32)>() {
                Ok((id, _)) if is_its(id) => Heard::Closed,
                Ok(_) | Err(_) => Heard::Nothing,
            },
            Some("ActionInvoked") => match message.body().deserialize::<(u32, String)>() {
                Ok((id, key)) if is_its(id) => [Wish::Incident, Wish::Pause]
                    .into_iter()
                    .find(|wish| wish.key() == key)
                    .map_or(Heard::Nothing, Heard::Asked),
                Ok(_) | Err(_) => Heard::Nothing,
            },
            Some(_) | None => Heard::Nothing,
        }
    }

    /// Takes the buttons away, which nobody listens to any more.
    pub fn withdraw(mut self, limit: Duration) {
        let (notice, id) = (&self.notice, self.id);
        // Best effort: at worst a button is left that does nothing.
        let _ = self.bus.tell(
            "take buttons away",
            Deadline::after(limit),
            async |connection| notify(connection, notice, id, &[]).await,
        );
    }
}

/// Shows a notice, within `limit`; the runtime folder has the note of the one that is to be replaced.
///
/// The bus is found as [`crate::systemd::UserManager::new`] finds it.
/// Where a human is needed and the desktop has buttons, they are offered.
///
/// # Errors
///
/// There is no desktop, or it refuses or hangs.
pub fn show(
    address: Option<String>,
    notice: &Notice,
    runtime: Option<&Path>,
    limit: Duration,
) -> Result<Option<Offer>, DesktopError> {
    let deadline = Deadline::after(limit);
    let mut bus = Bus::new(address).map_err(|error| understood(error, limit))?;
    let note = runtime.map(note).filter(|_| notice.place != Place::Beside);
    let shown = note.as_deref().and_then(read);
    // What a reminder reminds of is what a human has not dealt with, and says more.
    let needed = shown.as_ref().and_then(|standing| standing.needed.clone());
    let needed = match (notice.place, notice.urgency) {
        (Place::Renews, _) => needed,
        (_, Urgency::Critical) => Some((notice.summary.to_string(), notice.body.clone())),
        (Place::Stays | Place::Last | Place::Beside, Urgency::Normal) => None,
    };
    let mut notice = notice.clone();
    if let (Place::Renews, Some((summary, body))) = (notice.place, &needed) {
        notice.body = format!("{body}\n{}", notice.body);
        (notice.summary, notice.urgency) = (Line::new(summary), Urgency::Critical);
        notice.icon = NEEDED;
    }
    let (owner, id, signals) = bus
        .tell("show it", deadline, async |connection| {
            let replaces = match &shown {
                // The numbers of a desktop that is gone may be those of somebody else's notifications now.
                Some(one) if owner(connection).await.ok().as_ref() == Some(&one.owner) => one.id,
                Some(_) | None => 0,
            };
            let mut signals = None;
            let mut buttons: Vec<&str> = Vec::new();
            if notice.urgency == Urgency::Critical && has_buttons(connection).await {
                // Before there is anything to press.
                signals = Some(listen(connection).await?);
                let [incident, pause] = notice.buttons;
                buttons.extend([Wish::Incident.key(), incident, Wish::Pause.key(), pause]);
            }
            let (owner, id) = notify(connection, &notice, replaces, &buttons).await?;
            Ok((owner, id, signals))
        })
        .map_err(|error| understood(error, limit))?;
    if let Some(note) = note {
        // Best effort: at worst the next one stands beside this one.
        let _ = match notice.place {
            Place::Stays | Place::Renews => {
                let (summary, body) = needed.unwrap_or_default();
                write_atomic(&note, format!("{owner} {id}\n{summary}\n{body}").as_bytes())
            }
            Place::Last | Place::Beside => remove(&note),
        };
    }
    Ok(signals.map(|signals| Offer {
        bus,
        signals,
        owner,
        id,
        notice,
    }))
}

/// Whether the desktop shows buttons.
async fn has_buttons(connection: &Connection) -> bool {
    let asked = connection.call_method(Some(NAME), PATH, Some(NAME), "GetCapabilities", &());
    let answer = asked.await.and_then(|reply| reply.body().deserialize());
    answer.is_ok_and(|known: Vec<String>| known.iter().any(|one| one == "actions"))
}

/// From now on, what the desktop says of its notifications.
async fn listen(connection: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .path(PATH)
        .interface(NAME)
        .build()?;
    MessageStream::for_match_rule(rule, connection, None).await
}

/// The connection behind the name, whose own name no other ever has on this bus; an error if there is none.
async fn owner(connection: &Connection) -> zbus::Result<String> {
    let reply = connection
        .call_method(Some(BUS), BUS_PATH, Some(BUS), "GetNameOwner", &NAME)
        .await?;
    reply.body().deserialize()
}

/// Who shows it now, and its number.
async fn notify(
    connection: &Connection,
    notice: &Notice,
    replaces: u32,
    buttons: &[&str],
) -> zbus::Result<(String, u32)> {
    let is_critical = notice.urgency == Urgency::Critical;
    let hints = HashMap::from([
        ("urgency", Variant::from(notice.urgency as u8)),
        ("desktop-entry", Variant::from(DESKTOP_ENTRY)),
        ("resident", Variant::from(is_critical)),
    ]);
    let expires = if is_critical { NEVER } else { ITS_OWN_TIME };
    let body = (
        APPLICATION,
        replaces,
        notice.icon,
        notice.summary.as_str(),
        notice.body.as_str(),
        buttons,
        hints,
        expires,
    );
    let reply = connection
        .call_method(Some(NAME), PATH, Some(NAME), "Notify", &body)
        .await?;
    let owner = reply.header().sender().map(ToString::to_string);
    Ok((owner.unwrap_or_default(), reply.body().deserialize()?))
}

/// An error in words about the desktop.
fn understood(error: ManagerError, limit: Duration) -> DesktopError {
    match error {
        // No session bus, or nobody on it who shows notifications.
        ManagerError::NoBus { .. } => DesktopError::NoDesktop(
            "nobody is logged in at a desktop that shows notifications".into(),
        ),
        ManagerError::Timeout { .. } => {
            let limit = crate::settings::values::spelled(limit);
            DesktopError::Failed(Line::new(&format!(
                "the desktop did not answer within {limit}"
            )))
        }
        ManagerError::Refused { message: why, .. }
        | ManagerError::Lost { reason: why, .. }
        | ManagerError::Protocol { reason: why, .. } => {
            DesktopError::Failed(Line::new(&format!("the desktop did not show it: {why}")))
        }
    }
}

fn note(runtime: &Path) -> PathBuf {
    runtime.join("notification")
}

/// The notification that stands.
struct Standing {
    /// Who shows it.
    owner: String,
    id: u32,
    /// Summary and body, where it says that a human is needed.
    needed: Option<(String, String)>,
}

fn read(path: &Path) -> Option<Standing> {
    let contents = read_limited(path, MAX_NOTE, Links::Refuse).ok()??;
    let text = String::from_utf8(contents.bytes).ok()?;
    let mut lines = text.splitn(3, '\n');
    let (owner, id) = lines.next()?.split_once(' ')?;
    let mut next = || lines.next().unwrap_or_default().to_owned();
    let needed = (next(), next());
    Some(Standing {
        owner: owner.to_owned(),
        id: id.parse().ok()?,
        needed: Some(needed).filter(|(summary, _)| !summary.is_empty()),
    })
}
