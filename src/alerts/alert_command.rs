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
        message::Message,
        ping_note,
        queue::{self, MAX_AGE, Queued, Unread},
        webhook,
    },
    os::{
        child, credentials,
        files::{Links, read_limited},
        folders, wall_clock,
    },
    probe::gateway,
    settings::{
        AlertSettings, URL, is_url,
        layers::{self, Sources},
    },
    text::line::Line,
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
            Self::Command => run(settings, message).map_err(Refusal::Away),
        }
    }
}

/// Why a channel did not take a message.
enum Refusal {
    /// It may take it another time.
    Away(Line),
    /// Nobody is there, and the next reminder reports it to whoever comes.
    Nobody(Line),
}

impl Refusal {
    fn why(self) -> Line {
        match self {
            Self::Away(why) | Self::Nobody(why) => why,
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
        Err(DesktopError::Failed(why)) => Err(Refusal::Away(why)),
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
    webhook::get(&url, settings.timeout)
}

fn post(settings: &AlertSettings, message: &Message) -> Result<Line, Line> {
    let hook = &settings.webhook;
    let url = url(hook.url.as_deref(), hook.url_credential.as_deref())?;
    webhook::post(&url, hook.preset, &message.post(hook), settings.timeout)
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

/// Delivers what waits, oldest first; 1 if something is left that a channel did not take.
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
        left |= !sender.settle(&path).map_err(own)?;
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
    /// Channels that failed in this run: one that is away would cost its whole time limit for each alert.
    silent: Vec<Channel>,
}

impl Sender {
    /// Delivers one alert through every channel that has not taken it; says whether it is out of the queue.
    fn settle(&mut self, path: &Path) -> Result<bool, Line> {
        let (mut queued, age) = match queue::read(path) {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(true),
            Err(Unread::Now(why)) => {
                say!("left       {why}; trying again in 1 min");
                return Ok(false);
            }
            Err(Unread::Ever(why)) => {
                say!("dropped    {why}");
                return queue::remove(path).map(|()| true);
            }
        };
        let text = queued.alert.text.clone();
        if MAX_AGE < age {
            say!("dropped    older than a day: {text}");
            return queue::remove(path).map(|()| true);
        }
        let before = queued.delivered.len();
        let left = self.deliver(&mut queued, age);
        if !left {
            queue::remove(path)?;
        } else if before < queued.delivered.len() {
            queue::save(path, &queued)?;
        }
        Ok(!left)
    }

    /// Says whether a channel is left that did not take it.
    fn deliver(&mut self, queued: &mut Queued, age: Duration) -> bool {
        let time = wall_clock::local_with_offset(queued.due);
        let message = Message::new(&queued.alert, &self.host, &time, age);
        let mut left = false;
        for channel in Channel::all(&self.settings) {
            let name = channel.name();
            if queued.delivered.iter().any(|one| one == name) {
                continue;
            }
            if self.silent.contains(&channel) {
                left = true;
                continue;
            }
            match channel.deliver(&self.settings, &message, self.runtime.as_deref()) {
                Ok(answer) => {
                    say!("delivered  {name}: {}: {answer}", message.line());
                    queued.delivered.push(name.to_owned());
                }
                Err(Refusal::Nobody(why)) => {
                    say!("skipped    {name}: {why}");
                    queued.delivered.push(name.to_owned());
                }
                Err(Refusal::Away(why)) => {
                    say!("left       {name}: {why}; trying again in 1 min");
                    self.silent.push(channel);
                    left = true;
                }
            }
        }
        left
    }
}

/// This machine's name, because one inbox may serve several machines.
fn host() -> Line {
    let read = read_limited(Path::new("/proc/sys/kernel/hostname"), 256, Links::Follow);
    let contents = read.ok().flatten();
    contents.map_or_else(Line::default, |contents| Line::lossy(&contents.bytes))
}
