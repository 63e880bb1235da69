//! What the policy has begun and not ended: a start that is pending, a configuration that is rolled back.
//!
//! Owns the shape of both, as the state file keeps them; `restart` and `rollback` own what happens to them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    policy::facts::{Invocation, Monotonic},
    text::line::Line,
};

/// A start that is pending because Gatehound stopped the gateway: rule 8.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PendingStart {
    /// The run that is stopped; none when the unit was already down.
    pub invocation: Option<Invocation>,
    /// The unit's cgroup while it ran: systemd forgets it once the unit has stopped.
    pub control_group: String,
    /// The manager's number of the stop job, once it is known.
    pub stop_job: Option<u32>,
    /// When the stop was asked for, and then when systemd had taken it: it ends every run that began before.
    #[serde(default)]
    pub stopped_at: Monotonic,
    /// What the stop was given, as the stall deserves.
    pub stop_timeout: Duration,
    /// This attempt already counts as a forced stop: rule 6.
    pub forced: bool,
    /// Somebody else's job for the unit ended, or joined ours, since: kept, because only the one who heard it knows.
    pub foreign_job: bool,
    /// Stops by somebody else that joined ours: the first may be the unit's own, from its `ExecStop=`.
    #[serde(default)]
    pub joined: u32,
    /// The stop is part of a restart that somebody else asked for, of a gateway that hung.
    #[serde(default)]
    pub by_other: bool,
    /// Two passes of the cleanup have not ended what is in the way of the start.
    #[serde(default)]
    pub in_the_way: bool,
    /// How many starts systemd was asked for that began no run.
    #[serde(default)]
    pub starts: u32,
    /// Why it took none, the last time that it said so.
    #[serde(default)]
    pub refused: Option<Line>,
    /// It is pending because of [`crate::policy::state::State::rollback`]: Gatehound did not stop the gateway, which refused its configuration.
    #[serde(default)]
    pub rollback: bool,
}

/// A configuration that the gateway refused and that another one takes the place of: rule 7.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rollback {
    /// The run that refused it.
    pub run: Option<Invocation>,
    /// What was refused, by its hash.
    pub rejected: String,
    /// The snapshot that takes its place.
    pub snapshot: u32,
    /// Where what was refused is kept, once it is replaced; without, and with nothing pending, it was not.
    pub kept: Option<Line>,
    /// A look found what was refused replaced, in part at least, although no rollback was reported done: it counts all the same.
    #[serde(default)]
    pub found: bool,
    /// The gateway has been healthy since.
    pub served: bool,
}
