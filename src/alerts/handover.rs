//! The daemon's part in alerts and pings: it puts alerts into the queue, and has systemd start what delivers them.
//!
//! Owns when those units are started, and that neither a dead disk nor a silent bus delays a check by more than a second.
//! Which alert is due is `alerts::alert`'s business; nothing is delivered here.

use std::{ops::ControlFlow, path::PathBuf, time::Duration};

use crate::{
    alerts::{
        alert::{Reported, due},
        queue,
    },
    policy::{
        facts::{Invocation, Monotonic},
        state::State,
    },
    settings::{AlertSettings, Settings, limits::ALERT_LIMIT, unit_names},
    systemd::{ManagerError, UserManager},
    text::{line::Line, once::Once, words::Names},
};

/// When the queue is looked at again after the unit was started: an alert may have come while it was just ending.
const AGAIN: Duration = Duration::from_secs(60);

/// A check comes early or late by what its probes take; a ping due within this part of its interval goes with it.
const EARLY: u32 = 10;

/// Alerts on their way out of the daemon.
pub(crate) struct Alerts {
    /// What was reported already.
    pub(crate) reported: Reported,
    state_folder: Result<PathBuf, Line>,
    /// The unit that delivers.
    unit: String,
    /// When the queue is to be looked at.
    look_at: Option<Monotonic>,
    /// The last alert did not reach the queue in time, and may have since.
    late: bool,
    /// How long it was from the last look at a queue that cannot be listed to the next; zero if the last one could.
    pause: Duration,
    /// That starting the unit fails, whatever the reason: said once.
    complained: Once<()>,
    ping: Ping,
}

/// The sign of life on its way out.
struct Ping {
    /// The unit that sends it.
    unit: String,
    /// When it was last to be sent.
    last: Option<Monotonic>,
    /// That the unit is not started, whatever the reason: said once.
    complained: Once<()>,
}

/// What a check has to report.
pub(crate) struct Check<'a> {
    /// The policy's memory after it.
    pub(crate) state: &'a State,
    /// What the commands in a text are given.
    pub(crate) names: Names<'a>,
    /// The unit's run that it saw, whether over or not: its last words tell more.
    pub(crate) run: Option<&'a Invocation>,
    /// Whether systemd got a watchdog ping in it.
    pub(crate) pinged: bool,
    /// When it ended.
    pub(crate) now: Monotonic,
}

impl Alerts {
    /// Begins with what a predecessor reported; what it left in the queue is looked at first.
    pub(crate) fn new(
        reported: Reported,
        state_folder: Result<PathBuf, Line>,
        profile: Option<&str>,
        now: Monotonic,
    ) -> Self {
        let own = unit_names::own(profile);
        let unit = |what: &str| unit_names::helper(&own, what);
        Self {
            reported,
            state_folder,
            unit: unit("alert"),
            look_at: Some(now),
            late: false,
            pause: Duration::ZERO,
            complained: Once::default(),
            ping: Ping {
                unit: unit("ping"),
                last: None,
                complained: Once::default(),
            },
        }
    }

    /// After a check: reports what is due. Returns what went wrong, to be said once.
    pub(crate) fn after(&mut self, settings: &Settings, check: &Check<'_>) -> Option<Line> {
        let busy = if settings.alert.is_on() {
            self.report(settings, check)
        } else {
            ControlFlow::Continue(())
        };
        match busy {
            ControlFlow::Break(wrong) => wrong,
            // Only in a check that waited for nothing else, so that both together take no longer than one.
            ControlFlow::Continue(()) => self.ping.after(&settings.alert, check),
        }
    }

    /// Queues the alert that is due and has it delivered; breaks off where disk or bus were waited for.
    fn report(&mut self, settings: &Settings, check: &Check<'_>) -> ControlFlow<Option<Line>> {
        let now = check.now;
        let folder = match &self.state_folder {
            Ok(folder) => folder.clone(),
            Err(why) => {
                let text = format!("{why}; no alerts");
                return match self.complain(&text) {
                    Some(complaint) => ControlFlow::Break(Some(complaint)),
                    None => ControlFlow::Continue(()),
                };
            }
        };
        let reported = std::mem::take(&mut self.reported);
        let (reported, alert) = due(settings, reported, check.state, check.names, now);
        // Reported even if the disk takes it not: whoever tries in each check waits for a dead disk in each.
        self.reported = reported;
        if let Some(mut alert) = alert {
            if alert.run.is_some() && check.run.is_some() {
                alert.run = check.run.cloned();
            }
            if let Err(why) = queue::queue(&folder, &alert, ALERT_LIMIT) {
                let kind = alert.kind.name();
                let text =
                    format!("{why}; nobody is notified unless it still reaches the queue: {kind}");
                (self.look_at, self.late) = (Some(now), true);
                return ControlFlow::Break(Some(Line::new(&text)));
            }
            return ControlFlow::Break(self.start(check));
        }
        if self.look_at.is_none_or(|at| now < at) {
            return ControlFlow::Continue(());
        }
        // A second look for one that is late, and no more: each leaves a thread behind on a dead disk.
        self.look_at = std::mem::take(&mut self.late).then_some(now + AGAIN);
        ControlFlow::Break(match queue::pause(&folder, ALERT_LIMIT) {
            Ok(found) => {
                self.pause = Duration::ZERO;
                match found {
                    None => None,
                    Some(Duration::ZERO) => self.start(check),
                    Some(pause) => {
                        self.look_at = Some(now + pause);
                        None
                    }
                }
            }
            // One may wait. For the same threads' sake ever later, and not once it is no news.
            Err(_) => {
                self.pause = (self.pause * 2).clamp(AGAIN, queue::MAX_AGE);
                self.look_at = (self.pause < queue::MAX_AGE).then_some(now + self.pause);
                None
            }
        })
    }

    fn start(&mut self, check: &Check<'_>) -> Option<Line> {
        self.look_at = Some(check.now + AGAIN);
        match start(&self.unit) {
            Ok(()) => {
                self.complained.over();
                None
            }
            Err(ManagerError::Refused { message, .. }) => {
                self.look_at = None;
                let profile = check.names.profile;
                let text =
                    format!("alerts wait in the queue: {message}; run gatehound install{profile}");
                self.complain(&text)
            }
            Err(why) => self.complain(&format!("alerts wait in the queue: {why}")),
        }
    }

    fn complain(&mut self, text: &str) -> Option<Line> {
        self.complained.is_news(()).then(|| Line::new(text))
    }
}

impl Ping {
    /// Has the sign of life sent, if this check is one and it is time for it.
    fn after(&mut self, settings: &AlertSettings, check: &Check<'_>) -> Option<Line> {
        if !settings.has_ping() || !check.pinged || !self.is_due(settings.ping_interval, check.now)
        {
            return None;
        }
        // Also if it fails: whoever tries in each check waits for a silent bus in each.
        self.last = Some(check.now);
        let why = match start(&self.unit) {
            Ok(()) => {
                self.complained.over();
                return None;
            }
            Err(ManagerError::Refused { message, .. }) => {
                let profile = check.names.profile;
                format!("no ping is sent: {message}; run gatehound install{profile}")
            }
            Err(why) => format!("no ping is sent: {why}"),
        };
        self.complained.is_news(()).then(|| Line::new(&why))
    }

    fn is_due(&self, interval: Duration, now: Monotonic) -> bool {
        self.last
            .is_none_or(|last| interval - interval / EARLY <= now.since(last))
    }
}

/// Asks systemd for a unit and waits for nothing but its answer that it will.
///
/// Over a connection of its own, so that the jobs of the gateway's unit are not mixed up with it.
fn start(unit: &str) -> Result<(), ManagerError> {
    UserManager::new(None, ALERT_LIMIT)?.start(unit).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alerts::{alert::Alert, holds::Holds, verdict::LONGEST},
        os::wall_clock,
        policy::state::{Bite, Phase},
        settings::{Channel, Way},
    };

    #[test]
    fn a_ping_goes_out_where_alerts_cannot() {
        let mut alerts = Alerts::new(
            Reported::default(),
            Err("no state folder".into()),
            None,
            Monotonic(0),
        );
        let settings = on(&[Way::Desktop, Way::Ping]);
        // Not yet due, so that no manager is asked for.
        alerts.ping.last = Some(Monotonic(0));
        let state = State::default();
        let check = Check {
            state: &state,
            names: Names {
                unit: "openclaw-gateway.service",
                profile: "",
            },
            run: None,
            pinged: true,
            now: Monotonic(1),
        };
        let complaint = alerts.after(&settings, &check).unwrap();
        assert_eq!(complaint.as_str(), "no state folder; no alerts");
        assert!(alerts.report(&settings, &check).is_continue());
    }

    fn on(ways: &[Way]) -> Settings {
        let channel = |way: &Way| Channel {
            way: *way,
            ..Channel::default()
        };
        let mut settings = Settings::default();
        settings.alert.channel = ways.iter().map(channel).collect();
        settings
    }

    /// Alerts whose state folder is this one, and that are on.
    fn with_state(folder: &str) -> (Alerts, Settings) {
        let alerts = Alerts::new(Reported::default(), Ok(folder.into()), None, Monotonic(0));
        (alerts, on(&[Way::Desktop]))
    }

    fn check(state: &State, now: Monotonic) -> Check<'_> {
        Check {
            state,
            names: Names {
                unit: "openclaw-gateway.service",
                profile: "",
            },
            run: None,
            pinged: false,
            now,
        }
    }

    #[test]
    fn an_alert_that_the_disk_took_late_is_looked_for_twice() {
        // Nobody can make a folder there, and a queue that is not there is an empty one.
        let (mut alerts, settings) = with_state("/proc/gatehound");
        let down = State {
            phase: Phase::GaveUp {
                since: Monotonic(0),
                reason: "the attempts are used up".into(),
                bite: Bite::Done,
            },
            ..State::default()
        };
        let now = Monotonic(1);
        let said = alerts.after(&settings, &check(&down, now)).unwrap();
        let end = "nobody is notified unless it still reaches the queue: needs-human";
        assert!(said.as_str().ends_with(end), "{said}");
        assert_eq!(alerts.look_at, Some(now));
        let now = Monotonic(2);
        assert_eq!(alerts.after(&settings, &check(&down, now)), None);
        assert_eq!(alerts.look_at, Some(now + AGAIN));
        let now = now + AGAIN;
        assert_eq!(alerts.after(&settings, &check(&down, now)), None);
        assert_eq!(alerts.look_at, None);
    }

    #[test]
    fn a_channel_that_is_left_alone_has_nothing_started_before_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let (mut alerts, settings) = with_state(folder.path().to_str().unwrap());
        queue::queue(folder.path(), &Alert::test("a.service"), AGAIN).unwrap();
        let wall = wall_clock::now();
        let mut holds = Holds::read(&queue::folder(folder.path()), wall);
        holds.add(1, wall, LONGEST, false, &"no".into()).unwrap();
        let (state, now) = (State::default(), Monotonic(1));
        // Else it would complain that nobody starts the unit.
        assert_eq!(alerts.after(&settings, &check(&state, now)), None);
        let wait = alerts.look_at.unwrap().since(now);
        assert!(LONGEST - AGAIN < wait && wait <= LONGEST, "{wait:?}");
    }

    #[test]
    fn a_queue_that_cannot_be_listed_is_looked_at_again_for_as_long_as_an_alert_is_news() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (mut alerts, settings) = with_state(file.path().to_str().unwrap());
        let state = State::default();
        let mut looks = 0;
        let mut last = Monotonic(0);
        while let Some(at) = alerts.look_at {
            assert_eq!(alerts.after(&settings, &check(&state, at)), None);
            (looks, last) = (looks + 1, at);
            assert!(looks < 20, "each may leave a thread behind");
        }
        assert!(queue::MAX_AGE / 2 < last.since(Monotonic(0)), "{last:?}");
        // Once it can be listed, nothing of it is left.
        (alerts.look_at, alerts.state_folder) = (Some(last), Ok("/proc/gatehound".into()));
        assert_eq!(alerts.after(&settings, &check(&state, last)), None);
        assert_eq!((alerts.look_at, alerts.pause), (None, Duration::ZERO));
    }

    #[test]
    fn a_ping_is_due_once_in_its_interval_whatever_the_probes_take() {
        let mut ping = Ping {
            unit: "gatehound-ping.service".to_owned(),
            last: None,
            complained: Once::default(),
        };
        let minute = Duration::from_secs(60);
        let at = |millis: u64| Monotonic(millis * 1000);
        assert!(ping.is_due(minute, at(5)));
        ping.last = Some(at(5));
        assert!(!ping.is_due(minute, at(30_005)));
        assert!(ping.is_due(minute, at(59_900)), "a check that is early");
        assert!(ping.is_due(minute, at(90_000)));
    }
}
