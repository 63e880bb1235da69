//! The policy's answer to an event: what is to be said, and the one thing that is to be done.
//!
//! Owns the words between the policy and whoever carries out what it decides; knows nothing of how that is done.

use std::time::Duration;

use crate::policy::{facts::Signal, record::Record};

/// What is to be said and done about an event, once the state has been saved:
/// the evidence, the records, the message to systemd, and then the effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The message to systemd's watchdog; with none, only the status is sent.
    pub watchdog: Option<WatchdogMessage>,
    /// What is written into the journal, in this order.
    pub records: Vec<Noted>,
    /// What is done to the gateway, or asked of it: one thing, so that the world is looked at again before the next.
    pub effect: Option<Effect>,
    /// Leave the loop.
    pub leave: bool,
}

/// A message to systemd's watchdog over Gatehound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchdogMessage {
    /// `WATCHDOG=1`; with `restore`, the unit's own WatchdogSec in the same message.
    Ping {
        /// A watchdog timeout is in force.
        restore: bool,
    },
    /// `WATCHDOG_USEC=`.
    Timeout(Duration),
}

/// A journal record with the incident that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Noted {
    /// The incident's id, if one was open.
    pub incident: Option<String>,
    /// The record.
    pub record: Record,
}

/// Something that is done to the gateway, or asked of it.
///
/// With `begins`, a restart begins with it: what was seen of the failing gateway is written down before anything of it is destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask a healthy gateway whether all of it works.
    AskReadiness,
    /// Ask systemd to stop the gateway.
    Stop {
        /// A restart begins with it.
        begins: bool,
    },
    /// Ask systemd to send SIGKILL to the whole unit.
    Kill,
    /// Signal what is left of the gateway and who holds its port.
    Cleanup {
        /// The signal.
        signal: Signal,
        /// A restart begins with it, because the unit is down already.
        begins: bool,
    },
    /// Put the configuration that is the last known good in the place of the one that the gateway refused,
    /// if that is still what was judged, and keep that one.
    Restore {
        /// The snapshot that is the last known good.
        snapshot: u32,
        /// The hash of what was refused.
        rejected: String,
        /// The hash of what this look saw there, which is the same but for a rollback that is gone on with.
        judged: String,
    },
    /// Ask systemd to forget failures of the unit and to start it.
    Start,
}

impl Effect {
    /// Whether a restart begins with it.
    pub fn begins_restart(&self) -> bool {
        match self {
            Self::Stop { begins } | Self::Cleanup { begins, .. } => *begins,
            Self::AskReadiness | Self::Kill | Self::Restore { .. } | Self::Start => false,
        }
    }
}
