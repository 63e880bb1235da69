//! `gatehound alert`: delivers the alerts that wait, which is what gatehound-alert.service runs, and tries the channels.
//!
//! Owns which channels there are, and what is done with an alert that a channel does not take.

use crate::cli::console::say;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};

use crate::{
    alerts::{
        alert::Alert,
        desktop::{self, DesktopError},
        holds::{self, Holds},
        message::Message,
        ping_note,
        queue::{self, MAX_AGE, Queued, Unread},
        verdict::{Again, LONGEST},
        webhook::{self, Refused},
    },
    os::{
        child, credentials,
        files::{Links, read_limited},
        folders,
        own_files::remove,
        wall_clock,
    },
    probe::gateway,
    settings::{
        AlertSettings, URL, is_url,
        layers::{self, Sources},
    },
    text::{line::Line, words::span},
};

/// After this long nothing new is begun; the unit comes back to what is left.
const RUN_LIMIT: Duration = Duration::from_secs(5 * 60);

/// As much of a command's output as says something.
const MAX_OUTPUT: usize = 4 * 1024;

/// A way to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Desktop,
    Webhook,
    Command,
}

impl Channel {
    fn name(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Webhook => "webhook",
            Self::Command => "command",
        }
    }

    /// Those that are set.
    fn all(settings: &AlertSettings) -> Vec<Self> {
        let desktop = settings.desktop.then_some(Self::Desktop);
        let webhook = settings.webhook.is_on().then_some(Self::Webhook);
        let command = (!settings.command.is_empty()).then_some(Self::Command);
        [desktop, webhook, command].into_iter().flatten().collect()
    }

    /// Delivers one message, and says what the other side answered.
    fn deliver(
        self,
        settings: &AlertSettings,
        message: &Message,
        runtime: Option<&Path>,
    ) -> Result<Line, Refusal> {
        match self {
            Self::Desktop => show(settings, message, runtime),
            Self::Webhook => post(settings, message).map_err(Refusal::Away),
            Self::Command => {
                run(settings, message).map_err(|why| Refusal::Away(Refused::soon(why)))
            }
        }
    }

    /// What it goes by in [`Holds`].
    fn key(self, settings: &AlertSettings) -> u64 {
        let hook = &settings.webhook;
        // A credential that is not there is another one when it comes.
        let url = match self {
            Self::Webhook => url(hook.url.as_deref(), hook.url_credential.as_deref()),
            Self::Desktop | Self::Command => Ok(String::new()),
        };
        let url = url.unwrap_or_else(|why| why.to_string());
        holds::key(&[self.name(), &url, hook.chat.as_deref().unwrap_or_default()])
    }
}

/// Why a channel did not take a message.
enum Refusal {
    /// It may take it another time.
    Away(Refused),
    /// Nobody is there, and the next reminder reports it to whoever comes.
    Nobody(Line),
}

impl Refusal {
    fn why(self) -> Line {
        match self {
            Self::Away(refused) => refused.why,
            Self::Nobody(why) => why,
        }
    }
}

fn show(
    settings: &AlertSettings,
    message: &Message,
    runtime: Option<&Path>,
) -> Result<Line, Refusal> {
    match desktop::show(None, &message.notice(), runtime, settings.timeout) {
        Ok(()) => Ok("shown".into()),
        Err(DesktopError::NoDesktop(why)) => Err(Refusal::Nobody(why)),
        Err(DesktopError::Failed(why)) => Err(Refusal::Away(Refused::soon(why))),
    }
}

/// The URL, from the settings or from the credential that they name.
fn url(set: Option<&str>, credential: Option<&str>) -> Result<String, Line> {
    match (set, credential) {
        (Some(url), _) => Ok(url.to_owned()),
        (None, Some(name)) => {
            let url = credentials::read(name)?;
            // Held to what those in the settings are held to, and, like them, not shown.
            let wrong = || Line::new(&format!("the credential {name:?} is no {URL}"));
            is_url(&url).then_some(url).ok_or_else(wrong)
        }
        (None, None) => Err("no URL is set".into()),
    }
}

fn ask(settings: &AlertSettings) -> Result<Line, Line> {
    let ping = &settings.ping;
    let url = url(ping.url.as_deref(), ping.url_credential.as_deref())?;
    webhook::get(&url, settings.timeout).map_err(|refused| refused.why)
}

fn post(settings: &AlertSettings, message: &Message) -> Result<Line, Refused> {
    let hook = &settings.webhook;
    let url = url(hook.url.as_deref(), hook.url_credential.as_deref()).map_err(Refused::hourly)?;
    webhook::post(&url, &message.post(hook), settings.timeout)
}

fn run(settings: &AlertSettings, message: &Message) -> Result<Line, Line> {
    let Some((program, arguments)) = settings.command.split_first() else {
        return Err("no command is set".into());
    };
    let mut arguments = arguments.to_vec();
    arguments.push(message.line().to_string());
    let variables: Vec<(String, String)> = message
        .fields()
        .iter()
        .map(|(name, value)| {
            let name = format!("GATEHOUND_ALERT_{}", name.to_ascii_uppercase());
            (name, value.clone())
        })
        .collect();
    let program = Path::new(program);
    let limit = settings.timeout;
    let output = child::output_given(program, &arguments, &variables, MAX_OUTPUT, limit)?;
    let text = String::from_utf8_lossy(&output);
    let first = text.trim().lines().next().unwrap_or_default();
    Ok(Line::new(&format!("exit status 0 {first}")))
}

/// Sends a test at once through every channel, and says what the other sides answer; 1 if one failed.
///
/// A ping only if it is asked for: to whoever waits for it, a test is no other than a sign that all is well.
pub(crate) fn test(sources: &Sources, ping: bool) -> anyhow::Result<ExitCode> {
    let settings = layers::load(sources)?.settings;
    let unit = gateway::unit_name(&settings, sources.profile.as_deref());
    let settings = settings.alert;
    if !settings.is_on() && !settings.ping.is_on() {
        bail!(
            "no alert channel is configured; set alert.desktop, alert.webhook, alert.command or alert.ping, see gatehound.toml(5)"
        );
    }
    let time = wall_clock::local_with_offset(wall_clock::now());
    let message = Message::new(&Alert::test(&unit), &host(), &time, Duration::ZERO);
    let runtime = folders::runtime(&sources.variables, sources.profile.as_deref()).ok();
    let mut failed = false;
    for channel in Channel::all(&settings) {
        let name = channel.name();
        let answer = channel.deliver(&settings, &message, runtime.as_deref());
        failed |= !is_delivered(name, answer.map_err(Refusal::why));
    }
    match (settings.ping.is_on(), ping) {
        (true, true) => failed |= !is_delivered("ping", ask(&settings)),
        (true, false) => {
            say!(
                "not sent   ping: it would say that the gateway works; gatehound alert test --ping{} sends one",
                folders::profile_option(sources.profile.as_deref())
            );
        }
        (false, true) => bail!("no ping is set; set alert.ping, see gatehound.toml(5)"),
        (false, false) => {}
    }
    Ok(ExitCode::from(u8::from(failed)))
}

/// Says what came of a test.
fn is_delivered(name: &str, answer: Result<Line, Line>) -> bool {
    match &answer {
        Ok(answer) => say!("delivered  {name}: {answer}"),
        Err(why) => say!("failed     {name}: {why}"),
    }
    answer.is_ok()
}

/// Sends the ping, and says when it begins to fail and when it no longer does.
///
/// A failing one ends with 0 all the same: it comes again within a minute, and systemd would write three lines about each.
pub(crate) fn ping(sources: &Sources) -> anyhow::Result<ExitCode> {
    let settings = layers::load(sources)?.settings.alert;
    let own = |line: Line| anyhow!("{line}");
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    let answer = ask(&settings);
    let before = ping_note::failure(&dir);
    ping_note::note(&dir, answer.as_ref().err()).map_err(own)?;
    match (before, answer) {
        (None, Ok(_)) | (Some(_), Err(_)) => {}
        (None, Err(why)) => {
            say!("failed     ping: {why}; going on, and silent about it until it is taken again");
        }
        (Some(_), Ok(answer)) => say!("delivered  ping: taken again, {answer}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Delivers what waits, oldest first; 1 if something is left that is tried again in a minute.
///
/// What is left for longer ends with 0: systemd would start it each minute, and write seven lines about each.
/// The daemon has it started when the time comes.
pub(crate) fn send(sources: &Sources) -> anyhow::Result<ExitCode> {
    let settings = layers::load(sources)?.settings.alert;
    let own = |line: Line| anyhow!("{line}");
    let state = folders::state(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    let folder = queue::folder(&state);
    let Some(_lock) = queue::Lock::take(&folder).map_err(own)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut sender = Sender {
        settings,
        runtime: folders::runtime(&sources.variables, sources.profile.as_deref()).ok(),
        host: host(),
        holds: Holds::read(&folder, wall_clock::now()),
        silent: Vec::new(),
    };
    let until = Instant::now() + RUN_LIMIT;
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut left = false;
    // Again and again, because an alert may come while others are being delivered.
    while let Some(path) = next(&folder, &seen).map_err(own)? {
        if until <= Instant::now() {
            left = true;
            break;
        }
        left |= sender.settle(&path).map_err(own)?;
        seen.push(path);
    }
    Ok(ExitCode::from(u8::from(left)))
}

/// The oldest alert that was not looked at.
fn next(folder: &Path, seen: &[PathBuf]) -> Result<Option<PathBuf>, Line> {
    let mut waiting = queue::waiting(folder)?.into_iter();
    Ok(waiting.find(|path| !seen.contains(path)))
}

/// One run over the queue.
struct Sender {
    settings: AlertSettings,
    runtime: Option<PathBuf>,
    host: Line,
    holds: Holds,
    /// Channels that failed in this run: one that is away would cost its whole time limit for each alert.
    silent: Vec<(Channel, Left)>,
}

impl Sender {
    /// Delivers one alert through every channel that has not taken it; says whether one is to be tried again soon.
    fn settle(&mut self, path: &Path) -> Result<bool, Line> {
        let (mut queued, age) = match queue::read(path) {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(false),
            Err(Unread::Now(why)) => {
                say!("left       {why}; trying again in 1 min");
                return Ok(true);
            }
            Err(Unread::Ever(why)) => {
                say!("dropped    {why}");
                return remove(path).map(|()| false);
            }
        };
        let text = queued.alert.text.clone();
        if MAX_AGE < age {
            say!("dropped    older than a day: {text}");
            return remove(path).map(|()| false);
        }
        let before = queued.delivered.len();
        let left = self.deliver(&mut queued, age)?;
        match left {
            None => remove(path)?,
            Some(_) if before < queued.delivered.len() => queue::save(path, &queued)?,
            Some(_) => {}
        }
        Ok(left == Some(Left::Soon))
    }

    /// Says whether a channel is left that did not take it.
    fn deliver(&mut self, queued: &mut Queued, age: Duration) -> Result<Option<Left>, Line> {
        let time = wall_clock::local_with_offset(queued.due);
        let message = Message::new(&queued.alert, &self.host, &time, age);
        let mut left = None;
        for channel in Channel::all(&self.settings) {
            let name = channel.name();
            if queued.delivered.iter().any(|one| one == name) {
                continue;
            }
            let (key, now) = (channel.key(&self.settings), wall_clock::now());
            let silent = self.silent.iter().find(|(silent, _)| *silent == channel);
            if let Some((_, why)) = silent {
                left = left.max(Some(*why));
                continue;
            }
            if self.holds.blocks(key, queued.due, now) {
                left = left.max(Some(Left::Late));
                continue;
            }
            match channel.deliver(&self.settings, &message, self.runtime.as_deref()) {
                Ok(answer) => {
                    say!("delivered  {name}: {}: {answer}", message.line());
                    queued.delivered.push(name.to_owned());
                    self.holds.lift(key)?;
                }
                Err(Refusal::Nobody(why)) => {
                    say!("skipped    {name}: {why}");
                    queued.delivered.push(name.to_owned());
                }
                Err(Refusal::Away(refused)) => {
                    let why = self.leave(name, key, &refused)?;
                    self.silent.push((channel, why));
                    left = left.max(Some(why));
                }
            }
        }
        Ok(left)
    }

    /// Says why a channel did not take an alert, unless that was said before it was left alone.
    fn leave(&mut self, name: &str, key: u64, refused: &Refused) -> Result<Left, Line> {
        let why = &refused.why;
        let (pause, strict) = match refused.again {
            Again::After(span) if SOON < span => (span, true),
            Again::Soon | Again::After(_) => {
                say!("left       {name}: {why}; trying again in 1 min");
                return Ok(Left::Soon);
            }
            Again::Hourly => (LONGEST, false),
        };
        if self.holds.add(key, wall_clock::now(), pause, strict, why)? {
            let pause = span(pause);
            let early = if strict {
                ""
            } else {
                ", and with the next alert"
            };
            say!("left       {name}: {why}; trying again in {pause}{early}");
        }
        Ok(Left::Late)
    }
}

/// When what is left is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    /// When the daemon has it started.
    Late,
    /// When systemd does.
    Soon,
}

/// When systemd does: `RestartSec=` of the unit.
const SOON: Duration = Duration::from_secs(60);

/// This machine's name, because one inbox may serve several machines.
fn host() -> Line {
    let read = read_limited(Path::new("/proc/sys/kernel/hostname"), 256, Links::Follow);
    let contents = read.ok().flatten();
    contents.map_or_else(Line::default, |contents| Line::lossy(&contents.bytes))
}
