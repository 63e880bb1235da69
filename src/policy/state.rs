//! What the policy remembers from one event to the next, and all that is kept in the state file.
//!
//! Owns the shape of the memory; `policy` owns what happens to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text::line::Line;
use crate::{
    policy::facts::{Failure, Incarnation, Monotonic, Stall},
    settings::{Patience, Settings},
};

/// The policy's whole memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// What Gatehound is doing.
    pub phase: Phase,
    /// The run of the gateway that was seen last.
    pub gateway: Gateway,
    /// The failure that is being dealt with, from its first failing round to the round that vouches again.
    pub incident: Option<Incident>,
    /// How far the ladder has been climbed.
    pub ladder: Ladder,
    /// When stops needed SIGKILL, oldest first.
    pub forced: Vec<Monotonic>,
    /// Set from before Gatehound stops the gateway until it runs again: a start is owed.
    pub owed: Option<Owed>,
    /// Where the gateway was last seen to listen, as in a look: whoever has its port at another address is not in its way.
    #[serde(default)]
    pub addresses: Line,
    /// The last configuration that was rolled back, or is being: rule 7.
    #[serde(default)]
    pub rollback: Option<Rollback>,
    /// The last run of the gateway when it was last seen down by a human's wish.
    pub unwanted: Option<Incarnation>,
    /// What of the healthy gateway does not work, as far as it says so itself.
    pub degraded: Option<Line>,
    /// Why Gatehound could not tell at the last look how the gateway is, if it could not.
    pub unsure: Option<Line>,
    /// When the last suspend ended that Gatehound knows of: no patience counts from before it.
    #[serde(default)]
    pub awake_since: Monotonic,
    /// systemd waits under a lease; the next vouch restores the unit's own WatchdogSec.
    pub leased: bool,
    /// Gatehound was told to stop and only settles what it owes.
    pub leaving: bool,
    /// Until when Gatehound does not leave with a start still owed: its settings are wrong, so it has no successor.
    #[serde(default)]
    pub settles_until: Monotonic,
    /// When to look again.
    pub next: Monotonic,
    /// Where in the interval the rounds of a healthy gateway fall, so that Gatehounds that began together do not wake
    /// together for ever; any number that differs from one to the other. With none, an interval follows each round.
    #[serde(default)]
    pub seed: Option<u64>,
}

/// What Gatehound is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// This incarnation has never been healthy and its startup patience is not used up.
    Starting {
        /// When the incarnation became active, or a suspend ended.
        since: Monotonic,
        /// When it last made progress or had its port.
        progress: Monotonic,
    },
    /// The last round passed all three probes.
    Vouching {
        /// Since when all rounds did.
        since: Monotonic,
        /// How long `/health` took in the last one.
        took: Duration,
    },
    /// A probe failed or could not tell; patience for this stall is not used up.
    Doubting(Doubt),
    /// On a rung, waiting its delay.
    BackingOff {
        /// The rung, from 1. It counts as used once its restart begins.
        rung: usize,
        /// When the delay is over.
        until: Monotonic,
        /// How the gateway fails.
        failure: Failure,
    },
    /// Evidence, stop, sweep, start; what it is about stands in [`Owed`].
    Restarting(Step),
    /// The ladder is used up or cannot help.
    Holding {
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
            Self::Vouching { .. } => "vouching",
            Self::Doubting(_) => "doubting",
            Self::BackingOff { .. } => "backing-off",
            Self::Restarting(_) => "restarting",
            Self::Holding { .. } => "holding",
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
        /// The ladder holds after that.
        until: Monotonic,
    },
    /// The unit is down; what is left of it and who holds its port is swept.
    Sweeping {
        /// Sweeps done: even ones send SIGTERM, odd ones SIGKILL.
        sweeps: u8,
    },
    /// Swept; systemd is asked to start the unit.
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
        }
    }
}

/// A doubt about the gateway's health, and how much of the patience it has used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Doubt {
    /// When it began.
    pub since: Monotonic,
    /// The failure last seen; none while Gatehound itself cannot tell.
    pub failure: Option<Failure>,
    /// When the last failing look was, if the last look failed.
    pub last: Option<Monotonic>,
    /// Time seen in each kind of stall.
    pub waited: Waited,
}

impl Doubt {
    /// A doubt that begins now.
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
/// One account for each kind, because a gateway that was busy for minutes and then sleeps for a moment
/// has not used up the patience for a blocked one; their sum is bounded all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Waited {
    gone: Duration,
    stopped: Duration,
    blocked: Duration,
    busy: Duration,
    answering: Duration,
}

impl Waited {
    /// Adds time to the account of `stall`.
    pub fn add(&mut self, stall: Stall, time: Duration) {
        let account = match stall {
            Stall::Gone => &mut self.gone,
            Stall::Stopped => &mut self.stopped,
            Stall::Blocked => &mut self.blocked,
            Stall::Busy => &mut self.busy,
            Stall::Answering => &mut self.answering,
        };
        *account = account.saturating_add(time);
    }

    /// What is left of the patience for `stall`; none when it is used up.
    pub fn left(&self, stall: Stall, patience: &Patience) -> Option<Duration> {
        let waited = match stall {
            Stall::Gone => self.gone,
            Stall::Stopped => self.stopped,
            Stall::Blocked => self.blocked,
            Stall::Busy => self.busy,
            Stall::Answering => self.answering,
        };
        patience
            .of(stall)
            .checked_sub(waited)
            .filter(|left| !left.is_zero())
    }
}

/// The run of the gateway that was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Gateway {
    /// Its name, once one was seen.
    pub incarnation: Option<Incarnation>,
    /// When it became active.
    pub since: Monotonic,
    /// Whether it has ever been healthy.
    pub served: bool,
    /// Whether Gatehound has already had it stopped: rule 5.
    pub stopped: bool,
}

/// A failure, from its first failing round to the round that vouches again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Incident {
    /// Carried by every record of the incident.
    pub id: String,
    /// The first failing round, or the one that found a run over that was never healthy.
    pub since: Monotonic,
    /// How it failed at first.
    pub failure: Failure,
    /// Runs that Gatehound started within it.
    pub restarts: u32,
    /// The last of them.
    pub started: Option<Incarnation>,
    /// Somebody other than Gatehound started the gateway last.
    pub started_by_other: bool,
    /// systemd's watchdog has bitten for it; it bites once.
    pub bitten: bool,
    /// A run ended within it before it was healthy, and systemd starts the next.
    #[serde(default)]
    pub crashed: bool,
}

/// How far the ladder has been climbed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ladder {
    /// Rungs used so far.
    pub used: usize,
    /// When the last one was taken.
    pub taken: Monotonic,
}

/// A start that Gatehound owes because it stopped the gateway: rule 8.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owed {
    /// The run that is stopped; none when the unit was already down.
    pub incarnation: Option<Incarnation>,
    /// The unit's cgroup while it ran: systemd forgets it once the unit has stopped.
    pub control_group: String,
    /// The manager's number of the stop job, once it is known.
    pub stop_job: Option<u32>,
    /// What the stop was given, as the stall deserves.
    pub stop_timeout: Duration,
    /// This rung already counts as a forced stop: rule 6.
    pub forced: bool,
    /// Somebody else's job for the unit ended, or joined ours, since: kept, because only the one who heard it knows.
    pub foreign_job: bool,
    /// Two passes of the sweep have not ended what is in the way of the start.
    #[serde(default)]
    pub in_the_way: bool,
    /// It is owed because of [`State::rollback`]: Gatehound did not stop the gateway, which refused its configuration.
    #[serde(default)]
    pub rollback: bool,
}

/// A configuration that the gateway refused and that another one takes the place of: rule 7.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rollback {
    /// The run that refused it.
    pub run: Option<Incarnation>,
    /// What was refused, by its hash.
    pub rejected: String,
    /// The generation that takes its place.
    pub generation: u32,
    /// Where what was refused is kept, once it is replaced; without, and with nothing owed, it was not.
    pub kept: Option<Line>,
    /// A look found what was refused replaced, in part at least, and nobody had told: it counts, as one that was told does.
    #[serde(default)]
    pub found: bool,
    /// The gateway has been healthy since.
    pub served: bool,
}

/// Whether systemd's watchdog has bitten in this holding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bite {
    /// Nothing is sent until it has.
    Due,
    /// It has; a lease follows.
    Done,
}

/// How long systemd is left to wait before the watchdog bites: long enough for the records to be written.
pub(super) const BITE_AFTER: Duration = Duration::from_secs(2);

/// `TimeoutStopSec=` of the gateway's unit: no stop goes on for longer.
const LONGEST_STOP: Duration = Duration::from_secs(330);

impl State {
    /// The memory of a predecessor, fit to go on with.
    ///
    /// Patience starts anew, because nobody looked in between.
    /// A watchdog bite that was due has happened: that is why there is a successor.
    pub fn restored(mut self, now: Monotonic) -> Self {
        self.place_in_the_past(now);
        self.next = now;
        self.leaving = false;
        self.settles_until = Monotonic::default();
        // systemd starts a service under its own WatchdogSec, but restoring it once more costs nothing.
        self.leased = true;
        let owed = self.owed.as_ref();
        let stop_job = owed.is_some_and(|owed| owed.stop_job.is_some());
        let stop_timeout = owed.map_or(Duration::ZERO, |owed| owed.stop_timeout);
        match &mut self.phase {
            Phase::Doubting(doubt) => {
                doubt.waited = Waited::default();
                doubt.last = None;
            }
            // The stop or the SIGKILL may have died with the predecessor, so each gets its chance again.
            Phase::Restarting(Step::Stopping { until }) if stop_job => *until = now + stop_timeout,
            // A gateway that runs may have recovered meanwhile; one that is on its way down, or is, owes its start.
            Phase::BackingOff { .. } | Phase::Restarting(Step::Stopping { .. }) => {
                self.phase = Phase::Doubting(Doubt::new(now));
            }
            Phase::Restarting(step @ Step::Killing { .. }) => {
                *step = Step::Stopping { until: now };
            }
            Phase::Holding { bite, .. } if *bite == Bite::Due => {
                *bite = Bite::Done;
                if let Some(incident) = &mut self.incident {
                    incident.bitten = true;
                }
            }
            Phase::Holding { .. }
            | Phase::Starting { .. }
            | Phase::Vouching { .. }
            | Phase::Restarting(Step::Sweeping { .. } | Step::Starting { .. })
            | Phase::StandingBy { .. } => {}
        }
        self
    }

    /// Goes on for nothing but the start that is owed, and no longer than until then.
    pub fn settle(&mut self, until: Monotonic) {
        self.leaving = true;
        self.settles_until = until;
    }

    /// Takes moments that lie ahead for this one, and a stop that takes too long for the longest that systemd grants.
    ///
    /// They are those of a clock that was set back, as for a container that was moved, or of a damaged file;
    /// nothing that is measured from them would ever be over.
    fn place_in_the_past(&mut self, now: Monotonic) {
        let mut moments = vec![
            &mut self.gateway.since,
            &mut self.ladder.taken,
            &mut self.awake_since,
        ];
        moments.extend(&mut self.forced);
        moments.extend(self.incident.as_mut().map(|incident| &mut incident.since));
        match &mut self.phase {
            Phase::Starting { since, progress } => moments.extend([since, progress]),
            Phase::Doubting(doubt) => {
                moments.push(&mut doubt.since);
                moments.extend(&mut doubt.last);
            }
            Phase::Vouching { since, .. }
            | Phase::Holding { since, .. }
            | Phase::StandingBy { since, .. } => moments.push(since),
            // These wait for a moment that is still to come; the policy bounds it.
            Phase::BackingOff { .. } | Phase::Restarting(_) => {}
        }
        for moment in moments {
            *moment = (*moment).min(now);
        }
        if let Some(owed) = &mut self.owed {
            owed.stop_timeout = owed.stop_timeout.min(LONGEST_STOP);
        }
    }

    /// What a successor needs of it: the same memory from one healthy round to the next.
    pub fn durable(&self) -> Self {
        let mut state = Self {
            next: Monotonic::default(),
            ..self.clone()
        };
        if let Phase::Vouching { took, .. } = &mut state.phase {
            *took = Duration::ZERO;
        }
        state
    }

    /// Whether a look that begins now may end in a restart, so that evidence has to be taken before it.
    pub fn wants_evidence(&self, settings: &Settings, now: Monotonic) -> Option<Stall> {
        let latest = now + settings.longest_round();
        match &self.phase {
            // It may end after the delay even if it begins before.
            Phase::BackingOff { until, failure, .. } if *until <= latest => Some(failure.stall),
            Phase::BackingOff { .. }
            | Phase::Starting { .. }
            | Phase::Vouching { .. }
            | Phase::Doubting(_)
            | Phase::Restarting(_)
            | Phase::Holding { .. }
            | Phase::StandingBy { .. } => None,
        }
    }

    /// Whether a start is owed because of a configuration that is rolled back.
    pub fn rolls_back(&self) -> bool {
        self.owed.as_ref().is_some_and(|owed| owed.rollback)
    }

    /// Whether the next look has to make the probes, or only ask for the unit and the pause.
    ///
    /// While systemd stops the gateway an answer would change nothing, and a hung one takes seconds not to come.
    pub fn wants_probes(&self) -> bool {
        match self.phase {
            Phase::Restarting(Step::Stopping { .. }) => self
                .owed
                .as_ref()
                .is_none_or(|owed| owed.stop_job.is_none()),
            // What refused its configuration may have done so to make way for another gateway.
            Phase::Restarting(Step::Starting { .. }) => self.rolls_back(),
            Phase::Restarting(Step::Killing { .. } | Step::Sweeping { .. }) => false,
            Phase::Starting { .. }
            | Phase::Vouching { .. }
            | Phase::Doubting(_)
            | Phase::BackingOff { .. }
            | Phase::Holding { .. }
            | Phase::StandingBy { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{policy::facts::Probe, settings::limits::*};

    const NOW: Monotonic = Monotonic(500_000_000);

    #[test]
    fn a_stall_has_its_patience_once_and_not_a_moment_more() {
        let patience = Patience::default();
        let mut waited = Waited::default();
        assert_eq!(waited.left(Stall::Stopped, &patience), None);
        waited.add(Stall::Gone, Duration::from_secs(9));
        assert_eq!(
            waited.left(Stall::Gone, &patience),
            Some(Duration::from_secs(1))
        );
        assert_eq!(waited.left(Stall::Busy, &patience), Some(patience.busy));
        waited.add(Stall::Gone, Duration::from_secs(1));
        assert_eq!(waited.left(Stall::Gone, &patience), None);
    }

    #[test]
    fn a_successor_gives_each_step_of_a_restart_its_chance_again() {
        for (step, expected) in [
            (
                Step::Stopping {
                    until: Monotonic(1),
                },
                Step::Stopping {
                    until: NOW + Duration::from_secs(30),
                },
            ),
            (
                Step::Killing {
                    until: Monotonic(1),
                },
                Step::Stopping { until: NOW },
            ),
            (Step::Sweeping { sweeps: 3 }, Step::Sweeping { sweeps: 3 }),
            (Step::Starting { tries: 2 }, Step::Starting { tries: 2 }),
        ] {
            let state = State {
                phase: Phase::Restarting(step),
                owed: Some(Owed {
                    stop_job: Some(7),
                    stop_timeout: Duration::from_secs(30),
                    ..Owed::default()
                }),
                leaving: true,
                ..State::default()
            }
            .restored(NOW);
            assert_eq!(state.phase, Phase::Restarting(expected));
            assert!(state.owed.is_some() && state.leased && !state.leaving);
            assert_eq!(state.next, NOW);
        }
    }

    #[test]
    fn a_successor_doubts_anew_where_nothing_is_known_to_have_been_stopped() {
        let failure = Failure {
            probe: Probe::Http,
            reason: Line::from("no answer within 5 s"),
            stall: Stall::Blocked,
        };
        for phase in [
            Phase::BackingOff {
                rung: 1,
                until: Monotonic(1),
                failure,
            },
            Phase::Restarting(Step::Stopping {
                until: Monotonic(1),
            }),
        ] {
            let state = State {
                phase,
                owed: Some(Owed::default()),
                ..State::default()
            }
            .restored(NOW);
            assert_eq!(state.phase, Phase::Doubting(Doubt::new(NOW)));
            assert!(state.owed.is_some());
        }
    }

    #[test]
    fn moments_that_lie_ahead_are_waited_for_by_no_successor() {
        let ahead = Monotonic(u64::MAX);
        let phases = [
            Phase::Starting {
                since: ahead,
                progress: ahead,
            },
            Phase::Holding {
                since: ahead,
                reason: "the ladder is used up".into(),
                bite: Bite::Done,
            },
        ];
        for phase in phases {
            let state = State {
                phase,
                forced: vec![Monotonic(7), ahead],
                ladder: Ladder {
                    used: 1,
                    taken: ahead,
                },
                owed: Some(Owed {
                    stop_timeout: Duration::MAX,
                    ..Owed::default()
                }),
                ..State::default()
            }
            .restored(NOW);
            let since = match state.phase {
                Phase::Starting { since, progress } => since.max(progress),
                Phase::Holding { since, .. } => since,
                other => panic!("{other:?}"),
            };
            assert_eq!(since, NOW);
            assert_eq!(state.forced, [Monotonic(7), NOW]);
            assert_eq!(state.ladder.taken, NOW);
            assert_eq!(state.owed.unwrap().stop_timeout, LONGEST_STOP);
        }
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
        for key in ["addresses", "settles_until"] {
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
        assert!(settings.longest_round() < longest_step(&settings));
        assert!(longest_step(&settings) < Duration::from_secs(60));
    }

    #[test]
    fn whatever_the_loop_waits_for_fits_into_the_lease_or_the_watchdog() {
        let settings = Settings::default();
        let calls = |calls| MANAGER_LIMIT * calls;
        let (probes, said) = (settings.longest_round(), JOURNAL_LIMIT);
        // `Daemon::look` and `Senses::look`, then `watch_jobs_while_owed`, up to the next message to systemd.
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
        // `Daemon::act`: systemd is told before it and after it.
        let acts = [
            ("restore", RESTORE_LIMIT),
            ("start, with reset_failed", calls(2)),
            ("sweep", SWEEP_GRACE),
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
        // Between a vouch and the first lease there is only the unit's own WatchdogSec.
        let watchdog = include_str!("../../units/gatehound.service")
            .lines()
            .find_map(|line| line.strip_prefix("WatchdogSec="))
            .map(|seconds| Duration::from_secs(seconds.parse().unwrap()))
            .unwrap();
        let alert = ALERT_LIMIT * 2;
        let doubted =
            KEEP_LIMIT + sum(&acts[3..]) + alert + settings.interval + calls(3) + probes + said;
        assert_eq!(
            doubted,
            settings.interval + longest_without_lease(&settings)
        );
        assert!(doubted < watchdog);
        assert!(probes < watchdog / 2);
    }
}
