//! What the policy remembers from one event to the next, and all that is kept in the state file.
//!
//! Owns the shape of the memory; `policy` owns what happens to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::policy::pending::{PendingStart, Rollback};
use crate::text::line::Line;
use crate::{
    policy::facts::{Failure, Invocation, Monotonic, Stall},
    policy::steadiness::{Flapping, Parts},
    settings::{Grace, Settings},
};

/// The policy's whole memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// What Gatehound is doing.
    pub phase: Phase,
    /// The run of the gateway that was seen last.
    pub gateway: Gateway,
    /// The failure that is being dealt with, from its first failing check to the check that is healthy again.
    pub incident: Option<Incident>,
    /// How many attempts were used, and when the last one was.
    pub attempts: Attempts,
    /// When stops needed SIGKILL, oldest first.
    pub forced: Vec<Monotonic>,
    /// Set from before Gatehound stops the gateway until it runs again: a start is pending.
    pub pending_start: Option<PendingStart>,
    /// Where the gateway was last seen to listen, as in a look: whoever has its port at another address is not in its way.
    #[serde(default)]
    pub addresses: Line,
    /// The last configuration that was rolled back, or is being: rule 7.
    #[serde(default)]
    pub rollback: Option<Rollback>,
    /// The last run of the gateway when it was last seen down by a human's wish.
    pub unwanted: Option<Invocation>,
    /// Whether that run was over by then, so that how it ended does not show that its stop was cancelled.
    #[serde(default)]
    pub over_when_unwanted: bool,
    /// Since when no look has found the gateway healthy, or down by a human's wish, whoever is at work on it.
    #[serde(default)]
    pub silent_since: Option<Monotonic>,
    /// Since when a tracer has been seen on a gateway that did not answer, and not been seen gone.
    #[serde(default)]
    pub debugged_since: Option<Monotonic>,
    /// The runs that systemd began by itself.
    #[serde(default)]
    pub unasked: Unasked,
    /// Whether the gateway, when it was last healthy, was judged by `/` alone.
    #[serde(default)]
    pub without_health: bool,
    /// What of the healthy gateway does not work and has not for long enough, in words, as far as it says so itself.
    pub degraded: Option<Line>,
    /// What it says does not work, for however long.
    #[serde(default)]
    pub parts: Parts,
    /// When the last healthy check ended; none once nobody has looked since, or nobody wanted the gateway up.
    #[serde(default)]
    pub worked_until: Option<Monotonic>,
    /// Since when the gateway has not worked although it is wanted up, as far as that is known:
    /// since the last healthy check, or since its run ended.
    #[serde(default)]
    pub down_since: Option<Monotonic>,
    /// How often it failed lately and recovered by itself.
    #[serde(default)]
    pub flapping: Flapping,
    /// Why the last look could not find out how the gateway is, if it could not.
    pub unknown: Option<Line>,
    /// Since when every look at a start found it in a stall that does not end by itself.
    #[serde(default)]
    pub stuck_since: Option<Monotonic>,
    /// When the last suspend ended that Gatehound knows of: no grace counts from before it.
    #[serde(default)]
    pub awake_since: Monotonic,
    /// systemd waits under a watchdog timeout; the next ping restores the unit's own WatchdogSec.
    pub timeout_set: bool,
    /// Gatehound was asked to stop, and stays only for a start that is pending.
    pub leaving: bool,
    /// Until when Gatehound does not leave with a start still pending: its settings are wrong, so it has no successor.
    #[serde(default)]
    pub leaves_by: Monotonic,
    /// When to look again.
    pub next: Monotonic,
    /// Where in the interval the checks of a healthy gateway fall, so that Gatehounds that began together do not wake
    /// together for ever; any number that differs from one to the other. With none, an interval follows each check.
    #[serde(default)]
    pub seed: Option<u64>,
}

/// What Gatehound is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// This invocation has never been healthy and its startup grace is not used up.
    Starting {
        /// When the invocation became active, or a suspend ended.
        since: Monotonic,
        /// When it last made progress.
        progress: Monotonic,
    },
    /// The last check passed all three probes.
    Healthy {
        /// Since when all checks did.
        since: Monotonic,
        /// How long `/health` took in the last one.
        took: Duration,
    },
    /// A probe failed or could not tell; grace for this stall is not used up.
    Failing(GraceUsed),
    /// Before an attempt, waiting its delay.
    BackingOff {
        /// The attempt, from 1. It counts as used once its restart begins.
        attempt: usize,
        /// When the delay is over.
        until: Monotonic,
        /// How the gateway fails.
        failure: Failure,
        /// The grace that it has used; none after a start, which has a grace of its own.
        #[serde(default)]
        grace_used: Option<GraceUsed>,
    },
    /// Evidence, stop, cleanup, start; what it is about stands in [`PendingStart`].
    Restarting(Step),
    /// The attempts are used up or cannot help.
    GaveUp {
        /// Since when.
        since: Monotonic,
        /// Why.
        reason: Line,
        /// Whether systemd's watchdog has bitten.
        bite: Bite,
    },
    /// Nothing to do.
    StandingBy {
        /// Why.
        reason: Standby,
        /// What was seen, in a few words; may be empty.
        detail: Line,
        /// Since when.
        since: Monotonic,
    },
}

impl Default for Phase {
    fn default() -> Self {
        Self::Starting {
            since: Monotonic::default(),
            progress: Monotonic::default(),
        }
    }
}

impl Phase {
    /// The design's word for it, as in STATUS and `GATEHOUND_PHASE=`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting { .. } => "starting",
            Self::Healthy { .. } => "healthy",
            Self::Failing(_) => "failing",
            Self::BackingOff { .. } => "backing-off",
            Self::Restarting(_) => "restarting",
            Self::GaveUp { .. } => "gave-up",
            Self::StandingBy { .. } => "standing-by",
        }
    }
}

/// Where a restart stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// systemd was asked to stop the unit and has until then.
    Stopping {
        /// SIGKILL follows.
        until: Monotonic,
    },
    /// SIGKILL was sent; the kernel has until then.
    Killing {
        /// Gatehound gives up after that.
        until: Monotonic,
    },
    /// The unit is down; what is left of it and who holds its port is cleaned up.
    CleaningUp {
        /// Cleanups done: even ones send SIGTERM, odd ones SIGKILL.
        passes: u8,
    },
    /// Cleaned up; systemd is asked to start the unit.
    Starting {
        /// Starts so far that were refused or left the unit down.
        tries: u32,
    },
}

/// Why there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standby {
    /// A human paused Gatehound.
    Paused,
    /// A human stopped the gateway.
    Stopped,
    /// There is no such unit.
    NoUnit,
    /// The user manager cannot be asked.
    NoBus,
    /// The gateway is being updated.
    Updating,
    /// The gateway refuses its configuration.
    ConfigError,
    /// The gateway refused to start, and another one serves its port.
    OtherGateway,
    /// systemd is at work on the unit.
    InTransition,
    /// The gateway does not answer, and a tracer is attached to it.
    Debugged,
    /// A human froze the gateway's unit.
    Frozen,
    /// The unit is masked, so that nothing can start it.
    Masked,
    /// Somebody else has the gateway's port.
    PortTaken,
}

impl Standby {
    /// The design's word for it, as in STATUS and `GATEHOUND_REASON=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::NoUnit => "no-unit",
            Self::NoBus => "no-bus",
            Self::Updating => "updating",
            Self::ConfigError => "config-error",
            Self::OtherGateway => "other-gateway",
            Self::InTransition => "in-transition",
            Self::Debugged => "debugged",
            Self::Frozen => "frozen",
            Self::Masked => "masked",
            Self::PortTaken => "port-taken",
        }
    }
}

/// How long the gateway has been failing, and how much of its grace it has used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GraceUsed {
    /// When it began.
    pub since: Monotonic,
    /// The failure last seen; none while Gatehound itself cannot tell.
    pub failure: Option<Failure>,
    /// When the last failing look was, if the last look failed.
    pub last: Option<Monotonic>,
    /// Time seen in each kind of stall.
    pub waited: Waited,
}

impl GraceUsed {
    /// Nothing is used yet.
    pub fn new(since: Monotonic) -> Self {
        Self {
            since,
            failure: None,
            last: None,
            waited: Waited::default(),
        }
    }
}

/// Time spent in each kind of stall.
///
/// A stall whose evidence changes its kind keeps the time it has used: all kinds in which the event loop
/// stands still share their time, and it counts for one that is busy as well.
/// The reverse does not hold: a gateway that was busy for minutes and then sleeps for a moment
/// has not used up the grace for a blocked one; the sum is bounded all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Waited {
    gone: Duration,
    stopped: Duration,
    /// Deadlocked, waiting, disk, starved and blocked together.
    #[serde(default)]
    still: Duration,
    busy: Duration,
    answering: Duration,
}

impl Waited {
    /// Adds time to the account of `stall`.
    pub fn add(&mut self, stall: Stall, time: Duration) {
        let account = match stall {
            Stall::Gone => &mut self.gone,
            Stall::Stopped => &mut self.stopped,
            Stall::Deadlocked | Stall::Waiting | Stall::Disk | Stall::Starved | Stall::Blocked => {
                &mut self.still
            }
            Stall::Busy => &mut self.busy,
            Stall::Answering => &mut self.answering,
        };
        *account = account.saturating_add(time);
    }

    /// The same, as far as it can make a difference.
    #[cfg(test)]
    pub(super) fn capped(self, grace: &Grace) -> Self {
        let longest = |stalls: &[Stall]| stalls.iter().map(|stall| grace.of(*stall)).max();
        let still = longest(&Stall::ALL).unwrap_or_default();
        Self {
            gone: self.gone.min(grace.gone),
            stopped: self.stopped.min(grace.stopped),
            still: self.still.min(still),
            busy: self.busy.min(grace.busy.saturating_sub(self.still)),
            answering: self.answering.min(grace.answering),
        }
    }

    /// What is left of the grace for `stall`; none when it is used up.
    pub fn left(&self, stall: Stall, grace: &Grace) -> Option<Duration> {
        let waited = match stall {
            Stall::Gone => self.gone,
            Stall::Stopped => self.stopped,
            Stall::Deadlocked | Stall::Waiting | Stall::Disk | Stall::Starved | Stall::Blocked => {
                self.still
            }
            Stall::Busy => self.busy.saturating_add(self.still),
            Stall::Answering => self.answering,
        };
        grace
            .of(stall)
            .checked_sub(waited)
            .filter(|left| !left.is_zero())
    }
}

/// The runs that systemd began by itself, because the one before had ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unasked {
    /// systemd's own count of them when it was last looked at; none before the first look.
    pub counted: Option<u32>,
    /// When the last of them were seen, oldest first.
    pub seen: Vec<Monotonic>,
    /// Whether the run that was seen last has been healthy.
    #[serde(default)]
    pub served: bool,
    /// Whether the run before the last that systemd began has been healthy.
    #[serde(default)]
    pub after_healthy: bool,
}

/// The run of the gateway that was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Gateway {
    /// Its name, once one was seen.
    pub invocation: Option<Invocation>,
    /// When it became active.
    pub since: Monotonic,
    /// Whether it has ever been healthy.
    pub served: bool,
    /// Whether Gatehound has already had it stopped: rule 5.
    pub stopped: bool,
    /// Whether a look has shown the unit other than down, this run or one before it.
    #[serde(default)]
    pub seen: bool,
    /// A later run that was healthy while nothing was judged, as under a pause.
    #[serde(default)]
    pub unjudged: Option<Invocation>,
}

impl Gateway {
    /// Whether this run was ever healthy, as far as anybody looked.
    pub fn has_served(&self, run: Option<&Invocation>) -> bool {
        let unjudged = run.is_some() && self.unjudged.as_ref() == run;
        unjudged || self.served && self.invocation.as_ref() == run
    }

    /// Whether any run of it was seen that was not over; a state file from before that was noted names the run.
    pub fn was_seen(&self) -> bool {
        self.seen || self.invocation.is_some()
    }
}

/// A failure, from its first failing check to the check that is healthy again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Incident {
    /// Carried by every record of the incident.
    pub id: String,
    /// The first failing check, or the one that found a run over that was never healthy.
    pub since: Monotonic,
    /// How it failed at first.
    pub failure: Failure,
    /// Runs that Gatehound started within it.
    pub restarts: u32,
    /// The last of them.
    pub started: Option<Invocation>,
    /// Somebody other than Gatehound started the gateway last.
    pub started_by_other: bool,
    /// systemd's watchdog has bitten for it; it bites once.
    pub bitten: bool,
    /// A run ended within it before it was healthy, and systemd starts the next.
    #[serde(default)]
    pub crashed: bool,
    /// Run after run ends, whether healthy before or not; over once one of them stays healthy for `reset_after`.
    #[serde(default)]
    pub loops: bool,
    /// The gateway has been down for so long that it is said, whatever Gatehound stands by for: rule 11.
    #[serde(default)]
    pub overdue: bool,
}

/// How many attempts were used, and when the last one was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempts {
    /// Attempts used so far.
    pub used: usize,
    /// When the last one was taken.
    pub taken: Monotonic,
}

impl Attempts {
    /// The attempt that comes next, from 1. Failures closer together than `debounce` use one attempt.
    pub fn next(&self, debounce: Duration, now: Monotonic) -> usize {
        let again = 0 < self.used && now.since(self.taken) < debounce;
        if again {
            self.used
        } else {
            self.used.saturating_add(1)
        }
    }
}

/// Whether systemd's watchdog has bitten in this gave-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bite {
    /// Nothing is sent until it has.
    Due,
    /// It has; a watchdog timeout follows.
    Done,
}

/// How long systemd is left to wait before the watchdog bites: long enough for the records to be written.
pub(super) const BITE_AFTER: Duration = Duration::from_secs(2);

impl State {
    /// Goes on for nothing but the start that is pending, and no longer than until then.
    pub fn leave_after_start(&mut self, until: Monotonic) {
        self.leaving = true;
        self.leaves_by = until;
    }

    /// Whether a look that begins now may end in a restart, so that evidence has to be taken before it.
    pub fn wants_evidence(&self, settings: &Settings, now: Monotonic) -> Option<&Failure> {
        let latest = now + settings.longest_check();
        match &self.phase {
            // It may end after the delay even if it begins before.
            Phase::BackingOff { until, failure, .. } if *until <= latest => Some(failure),
            Phase::BackingOff { .. }
            | Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::Failing(_)
            | Phase::Restarting(_)
            | Phase::GaveUp { .. }
            | Phase::StandingBy { .. } => None,
        }
    }

    /// Whether a start is pending because of a configuration that is rolled back.
    pub fn rolls_back(&self) -> bool {
        self.pending_start
            .as_ref()
            .is_some_and(|pending_start| pending_start.rollback)
    }

    /// Whether the next look has to make the probes, or only ask for the unit and the pause.
    ///
    /// While systemd stops the gateway an answer would change nothing, and a hung one takes seconds not to come.
    pub fn wants_probes(&self) -> bool {
        match self.phase {
            Phase::Restarting(Step::Stopping { .. }) => self
                .pending_start
                .as_ref()
                .is_none_or(|pending_start| pending_start.stop_job.is_none()),
            // What refused its configuration may have done so to make way for another gateway.
            Phase::Restarting(Step::Starting { .. }) => self.rolls_back(),
            Phase::Restarting(Step::Killing { .. } | Step::CleaningUp { .. }) => false,
            Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::GaveUp { .. }
            | Phase::StandingBy { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::limits::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_stall_has_its_grace_once_and_not_a_moment_more() {
        let grace = Grace::default();
        let mut waited = Waited::default();
        assert_eq!(waited.left(Stall::Stopped, &grace), None);
        waited.add(Stall::Gone, Duration::from_secs(9));
        assert_eq!(
            waited.left(Stall::Gone, &grace),
            Some(Duration::from_secs(1))
        );
        assert_eq!(waited.left(Stall::Busy, &grace), Some(grace.busy));
        waited.add(Stall::Gone, Duration::from_secs(1));
        assert_eq!(waited.left(Stall::Gone, &grace), None);
    }

    #[test]
    fn a_stall_that_changes_its_kind_keeps_the_time_it_has_used() {
        let grace = Grace::default();
        let mut waited = Waited::default();
        waited.add(Stall::Blocked, secs(8));
        assert_eq!(waited.left(Stall::Deadlocked, &grace), Some(secs(2)));
        assert_eq!(waited.left(Stall::Waiting, &grace), Some(secs(172)));
        assert_eq!(waited.left(Stall::Disk, &grace), Some(secs(112)));
        assert_eq!(waited.left(Stall::Busy, &grace), Some(secs(172)));
        waited.add(Stall::Waiting, secs(30));
        assert_eq!(waited.left(Stall::Blocked, &grace), None);
        assert_eq!(waited.left(Stall::Starved, &grace), Some(secs(142)));
        // A loop that ran, and one that is not there, are other stalls.
        waited.add(Stall::Busy, secs(60));
        assert_eq!(waited.left(Stall::Disk, &grace), Some(secs(82)));
        assert_eq!(waited.left(Stall::Gone, &grace), Some(grace.gone));
        assert_eq!(waited.left(Stall::Answering, &grace), Some(grace.answering));
    }

    #[test]
    fn the_state_file_of_the_first_moment_reads_back_as_it_was() {
        let json = serde_json::to_string(&State::default()).unwrap();
        assert_eq!(
            serde_json::from_str::<State>(&json).unwrap(),
            State::default()
        );
    }

    #[test]
    fn the_state_file_of_an_older_gatehound_reads_back() {
        let mut json = serde_json::to_value(State::default()).unwrap();
        for key in [
            "addresses",
            "leaves_by",
            "silent_since",
            "debugged_since",
            "unasked",
        ] {
            json.as_object_mut().unwrap().remove(key).unwrap();
        }
        assert_eq!(
            serde_json::from_value::<State>(json).unwrap(),
            State::default()
        );
    }

    #[test]
    fn the_longest_step_covers_the_probes_and_stays_below_a_minute() {
        let settings = Settings::default();
        assert!(settings.longest_check() < longest_step(&settings));
        assert!(longest_step(&settings) < Duration::from_secs(60));
    }

    #[test]
    fn whatever_the_loop_waits_for_fits_into_the_timeout_or_the_watchdog() {
        let settings = Settings::default();
        let calls = |calls| MANAGER_LIMIT * calls;
        let (probes, said) = (settings.longest_check(), JOURNAL_LIMIT);
        // `Daemon::look` and `Senses::look`, then `watch_jobs_while_pending`, up to the next message to systemd.
        let watching = [
            ("watch_jobs", calls(1)),
            ("ask_unit, twice", calls(2)),
            ("the probes", probes),
            ("active_units", calls(1)),
            ("last_words", said),
            ("compare the configuration", KEEP_LIMIT),
            ("foreign_jobs", calls(1)),
            ("unwatch_jobs", calls(1)),
        ];
        let backing_off = [
            ("ask_unit for the evidence", calls(1)),
            ("evidence", EVIDENCE_LIMIT),
            ("ask_unit, twice", calls(2)),
            ("the probes", probes),
            ("active_units", calls(1)),
            ("last_words", said),
            ("compare the configuration", KEEP_LIMIT),
            ("watch_jobs", calls(1)),
            ("keep_evidence", KEEP_LIMIT),
        ];
        // `Daemon::act`: systemd is notified before it and after it.
        let acts = [
            ("restore", RESTORE_LIMIT),
            ("start, with reset_failed", calls(2)),
            ("cleanup", CLEANUP_GRACE),
            (
                "ready and the crash-loop breaker",
                READY_LIMIT * 3 / 2 + said,
            ),
        ];
        let sum =
            |parts: &[(&str, Duration)]| parts.iter().map(|(_, time)| *time).sum::<Duration>();
        let longest = longest_step(&settings);
        for parts in [&watching[..], &backing_off[..]] {
            let slack = longest.checked_sub(sum(parts));
            // Reading /proc and small files, and the 100 ms after which a killed journalctl is given up.
            assert!(
                Some(Duration::from_secs(1)) <= slack,
                "{parts:?} in {longest:?}"
            );
        }
        for (what, time) in acts {
            assert!(time < longest, "{what}");
        }
        // Between a watchdog ping and the first watchdog timeout there is only the unit's own WatchdogSec.
        let watchdog = include_str!("../../units/gatehound.service")
            .lines()
            .find_map(|line| line.strip_prefix("WatchdogSec="))
            .map(|seconds| Duration::from_secs(seconds.parse().unwrap()))
            .unwrap();
        let alert = ALERT_LIMIT * 2;
        let asked = KEEP_LIMIT + sum(&acts[3..]) + calls(3) + said + FIND_PORT_LIMIT;
        let failed = asked + alert + settings.interval + probes;
        assert_eq!(
            failed,
            settings.interval + longest_without_timeout(&settings)
        );
        assert!(failed < watchdog);
        assert!(probes < watchdog / 2);
    }
}
