//! `gatehound alert`: delivers the alerts that wait, which is what gatehound-alert.service runs, and sends pings.
//!
//! Owns which channels there are, and what is done with an alert that a channel does not take.

use crate::cli::console::say;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::anyhow;

use crate::{
    alerts::{
        alert::Alert,
        delivery::{self, Outlet, Refusal, Surroundings},
        desktop::{self, Heard, Wish},
        holds::{self, Holds},
        message::{Around, Message, Notice},
        ping_note,
        queue::{self, MAX_AGE, Queued, Unread},
        trial,
        verdict::{Again, LONGEST},
        webhook::Refused,
    },
    history::history_command,
    journal::{
        gateway_log::{self, LINES},
        journalctl::{self, JOURNALCTL},
    },
    os::{folders, own_files::remove, wall_clock},
    pause::pause_command,
    settings::{
        Language, Way,
        layers::{self, Sources},
        limits::JOURNAL_LIMIT,
    },
    text::{line::Line, words::span},
};

/// After this long nothing new is begun; the unit comes back to what is left.
const RUN_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Likewise where something is left that is tried again in a minute.
const LEFT_LIMIT: Duration = Duration::from_secs(60);

/// From one look at the queue to the next, while a notification stands whose buttons may be pressed.
const BUTTONS_TICK: Duration = Duration::from_millis(500);

/// What its button says.
const PAUSE: Duration = Duration::from_secs(30 * 60);

/// Sends the ping, and says when it begins to fail and when it no longer does.
///
/// A failing one ends with 0 all the same: it comes again within a minute, and systemd would write three lines about each.
pub(crate) fn ping(sources: &Sources) -> anyhow::Result<ExitCode> {
    let settings = layers::load(sources)?.settings.alert;
    let own = |line: Line| anyhow!("{line}");
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    let mut wrong = None;
    let mut taken = Line::default();
    for outlet in Outlet::all(&settings.channel) {
        if outlet.channel.way != Way::Ping {
            continue;
        }
        match delivery::ping(outlet.channel, None, settings.timeout) {
            Ok(answer) => taken = answer,
            Err(refused) => {
                let why = Line::new(&format!("{}: {}", outlet.name(), refused.why));
                wrong.get_or_insert(why);
            }
        }
    }
    let before = ping_note::failure(&dir);
    ping_note::note(&dir, wrong.as_ref()).map_err(own)?;
    match (before, wrong) {
        (None, None) | (Some(_), Some(_)) => {}
        (None, Some(why)) => {
            say!("failed     {why}; going on, and silent about it until it is taken again");
        }
        (Some(_), None) => say!("delivered  ping: taken again, {taken}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Delivers what waits, oldest first; 1 if something is left that is tried again in a minute.
///
/// What is left for longer ends with 0: systemd would start it each minute, and write seven lines about each.
/// The daemon has it started when the time comes.
pub(crate) fn send(sources: &Sources) -> anyhow::Result<ExitCode> {
    let all = layers::load(sources)?.settings;
    let settings = &all.alert;
    let own = |line: Line| anyhow!("{line}");
    let state = folders::state(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    let folder = queue::folder(&state);
    let Some(_lock) = queue::Lock::take(&folder).map_err(own)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut sender = Sender {
        outlets: Outlet::all(&settings.channel),
        around: Surroundings {
            limit: settings.timeout,
            runtime: folders::runtime(&sources.variables, sources.profile.as_deref()).ok(),
            ..Surroundings::default()
        },
        host: delivery::host(),
        language: settings.language,
        holds: Holds::read(&folder, wall_clock::now()),
        silent: Vec::new(),
    };
    let begun = Instant::now();
    let until = begun + RUN_LIMIT;
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut left = false;
    trial::serve(&folder, &all, sources).map_err(own)?;
    // Again and again, because an alert may come while others are being delivered.
    loop {
        while let Some(path) = next(&folder, &seen).map_err(own)? {
            if until <= Instant::now() {
                left = true;
                break;
            }
            left |= sender.settle(&path).map_err(own)?;
            seen.push(path);
            trial::serve(&folder, &all, sources).map_err(own)?;
        }
        // Not for long where the unit has to come again for what is left.
        let end = if left { begun + LEFT_LIMIT } else { until };
        if !sender.heed(sources, end) {
            break;
        }
        trial::serve(&folder, &all, sources).map_err(own)?;
    }
    sender.withdraw();
    Ok(ExitCode::from(u8::from(left)))
}

/// The oldest alert that was not looked at.
fn next(folder: &Path, seen: &[PathBuf]) -> Result<Option<PathBuf>, Line> {
    let mut waiting = queue::waiting(folder)?.into_iter();
    Ok(waiting.find(|path| !seen.contains(path)))
}

/// One run over the queue.
struct Sender<'a> {
    outlets: Vec<Outlet<'a>>,
    around: Surroundings,
    host: Line,
    language: Language,
    holds: Holds,
    /// Channels that failed in this run: one that is away would cost its whole time limit for each alert.
    silent: Vec<(String, Left)>,
}

impl Sender<'_> {
    /// Does what is asked for at the notification that stands; whether somebody may yet ask.
    fn heed(&self, sources: &Sources, end: Instant) -> bool {
        let mut offer = self.around.offer.borrow_mut();
        let Some(standing) = offer.as_mut().filter(|_| Instant::now() < end) else {
            return false;
        };
        let (title, done) = match standing.next(BUTTONS_TICK) {
            Heard::Nothing => return true,
            Heard::Closed => {
                *offer = None;
                return false;
            }
            Heard::Asked(Wish::Incident) => ("incident", history_command::last_incident(sources)),
            Heard::Asked(Wish::Pause) => {
                let by = "the button of a notification";
                ("paused", pause_command::at_least(sources, PAUSE, by))
            }
        };
        let text = done.unwrap_or_else(|e| format!("not done: {e:#}"));
        say!("asked      {title}: {}", Line::new(&text));
        let notice = Notice::of(&Line::new(&format!("{}: {title}", self.host)), &text);
        if let Err(why) = desktop::show(None, &notice, None, self.around.limit) {
            say!("left       {why:?}");
        }
        true
    }

    /// Takes away the buttons that nobody listens to from here on.
    fn withdraw(&self) {
        if let Some(offer) = self.around.offer.take() {
            offer.withdraw(self.around.limit);
        }
    }

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
        let words = self.last_words(&queued.alert);
        let message = Message::new(
            &queued.alert,
            &Around {
                host: &self.host,
                time: &time,
                age,
                words: words.as_ref(),
                language: self.language,
            },
        );
        let mut left = None;
        for outlet in self.outlets.clone() {
            let name = outlet.name();
            let is_done = queued.delivered.contains(&name);
            if is_done || !outlet.channel.takes(queued.alert.kind) {
                continue;
            }
            let (key, now) = (holds::key(&[&outlet.identity()]), wall_clock::now());
            let silent = self.silent.iter().find(|(silent, _)| *silent == name);
            if let Some((_, why)) = silent {
                left = left.max(Some(*why));
                continue;
            }
            if self.holds.blocks(key, queued.due, now) {
                left = left.max(Some(Left::Late));
                continue;
            }
            match outlet.deliver(&message, &self.around) {
                Ok(answer) => {
                    say!("delivered  {name}: {}: {answer}", message.line());
                    queued.delivered.push(name);
                    self.holds.lift(key)?;
                }
                Err(Refusal::Nobody(why)) => {
                    say!("skipped    {name}: {why}");
                    queued.delivered.push(name);
                }
                Err(Refusal::Away(refused)) => {
                    let why = self.leave(&name, key, &refused)?;
                    self.silent.push((name, why));
                    left = left.max(Some(why));
                }
            }
        }
        Ok(left)
    }

    /// The last that the failing run said, where the journal has it.
    fn last_words(&self, alert: &Alert) -> Option<Line> {
        let run = alert.run.as_ref()?;
        let (program, unit) = (Path::new(JOURNALCTL), alert.unit.as_str());
        let lines = journalctl::last_lines(program, unit, run, LINES, JOURNAL_LIMIT);
        gateway_log::last_error(&lines.ok()?)
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
