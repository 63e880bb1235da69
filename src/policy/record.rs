//! What the policy says: one kind of record for each kind of event, as plain data.
//!
//! Owns what is known of an event, and nothing of how it is shown: kinds, texts and fields are `journal`'s.

use std::time::Duration;

use crate::{
    policy::{
        facts::{Failure, Invocation, Process, Signal},
        state::{Incident, Standby},
    },
    settings::RetryAfter,
    text::line::Line,
};

/// What `GATEHOUND_DETAIL=` says of an emergency stop.
pub const EMERGENCY_STOP: &str = "emergency stop";

/// Something worth a journal record.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Gatehound started.
    Watching {
        /// The gateway's unit.
        unit: Line,
        /// Whether it goes on from what an earlier run of Gatehound left.
        restored: bool,
    },
    /// Gatehound stops.
    Leaving,
    /// The gateway is healthy, and no incident was open.
    Healthy {
        /// How long `/health` took.
        took: Duration,
    },
    /// A new run of the gateway has begun.
    NewInvocation {
        /// Its name.
        invocation: Invocation,
    },
    /// The first failing check of an incident, or a run that failed before it was healthy.
    Failing {
        /// How it fails.
        failure: Failure,
        /// How long it is given.
        grace: Duration,
    },
    /// It still fails, in another way.
    FailingOtherwise {
        /// How it fails now.
        failure: Failure,
    },
    /// The incident is over.
    Recovered {
        /// How it ended.
        ended: Ended,
        /// From the first failing check until now.
        downtime: Duration,
    },
    /// An attempt was taken.
    BackingOff {
        /// The attempt, from 1.
        attempt: usize,
        /// How many there are.
        of: usize,
        /// How long until the restart.
        delay: Duration,
        /// How the gateway fails.
        failure: Failure,
    },
    /// What the failing gateway looked like was collected.
    Evidence {
        /// The evidence in one line.
        summary: Line,
        /// The same in fields.
        fields: Vec<(&'static str, String)>,
        /// The file with all of it, or why there is none.
        kept: Result<Line, Line>,
    },
    /// systemd is asked to stop the gateway.
    Stopping {
        /// How long it gets.
        limit: Duration,
        /// How the gateway fails.
        failure: Failure,
    },
    /// Somebody else has a gateway restarted that hangs, and its stop is bounded as Gatehound's own would be.
    RestartJoined {
        /// How long it gets.
        limit: Duration,
    },
    /// SIGKILL is sent to the gateway's unit.
    Killing {
        /// How long the stop took in vain.
        after: Duration,
    },
    /// Processes that were left over or held the port were signalled.
    CleanedUp {
        /// With what.
        signal: Signal,
        /// Who.
        processes: Vec<Process>,
    },
    /// systemd is asked to start the gateway.
    Starting,
    /// Something that was to be done did not succeed.
    ActionFailed {
        /// What.
        what: &'static str,
        /// Why.
        why: Line,
    },
    /// Restarts do not help: Gatehound waits before it tries again.
    GaveUp {
        /// Why.
        reason: Line,
        /// When Gatehound tries again.
        retry_after: RetryAfter,
    },
    /// Gatehound tries again after it gave up.
    Retrying,
    /// Gatehound stands by.
    StandingBy {
        /// Why.
        reason: Standby,
        /// What was seen; may be empty.
        detail: Line,
    },
    /// The reason to stand by is over.
    WatchingAgain {
        /// What it was.
        was: Standby,
    },
    /// Gatehound's own trouble keeps it from checking the gateway.
    Unknown {
        /// The trouble.
        why: Line,
    },
    /// The gateway stayed healthy: attempts count from 1 again.
    AttemptsReset,
    /// The machine was suspended.
    Resumed,
    /// Gatehound was held up: time passed in which nobody looked.
    HeldUp {
        /// For how long.
        gap: Duration,
    },
    /// The gateway comes and goes: it failed several times and recovered by itself.
    Flapping {
        /// How often.
        times: usize,
        /// Within which time.
        within: Duration,
        /// How long it was down in all.
        down: Duration,
    },
    /// It has stayed healthy since.
    NoLongerFlapping,
    /// A human stopped watchdog and gateway at once.
    EmergencyStop,
    /// A human reset the attempts: they count from 1 again.
    Reset,
    /// The gateway is healthy, and part of it does not work.
    Degraded {
        /// Which part.
        what: Line,
    },
    /// All of the gateway works again.
    NoLongerDegraded,
    /// The settings were read again.
    Reloaded,
    /// The configuration of a gateway that is healthy was kept.
    SnapshotKept {
        /// The number of its snapshot.
        snapshot: u32,
        /// The gateway's openclaw.json.
        path: Line,
    },
    /// A configuration that the gateway refused was rolled back.
    RolledBack {
        /// The snapshot that took its place.
        snapshot: u32,
        /// Where what was refused is kept.
        kept: Line,
    },
    /// A configuration that the gateway refused could not be rolled back.
    NotRolledBack {
        /// Why.
        why: Line,
    },
    /// Something is not as it should be, and Gatehound goes on.
    Warning {
        /// What was seen, what is done, what comes next.
        text: Line,
    },
}

/// How an incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Without a restart.
    ByItself,
    /// By Gatehound's restart.
    ByRestart(u32),
    /// By a restart that was not Gatehound's.
    ByOther,
    /// A human stopped the gateway.
    StoppedByHuman,
}

impl Ended {
    /// Every way to end, for whoever lists or reads them.
    pub const ALL: [Self; 4] = [
        Self::ByItself,
        Self::ByRestart(1),
        Self::ByOther,
        Self::StoppedByHuman,
    ];

    /// How the incident that is closed by a healthy check ended.
    pub(super) fn of(incident: &Incident) -> Self {
        match (incident.started_by_other, incident.restarts) {
            (true, _) => Self::ByOther,
            (false, 0) => Self::ByItself,
            (false, restarts) => Self::ByRestart(restarts),
        }
    }

    /// Its word, as in `GATEHOUND_REASON=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ByItself => "by-itself",
            Self::ByRestart(_) => "by-restart",
            Self::ByOther => "by-other",
            Self::StoppedByHuman => "stopped",
        }
    }
}
