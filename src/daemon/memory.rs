//! What the daemon keeps in the state file, and what it goes on with of a predecessor's.
//!
//! Owns the shape of that file but for the policy's part; knows nothing of how and when it is written.

use std::path::Path;

use crate::{
    alerts::alert::Reported,
    metrics::exposition::Counts,
    os::{
        boot_id,
        state_file::{Kept, StateFile},
    },
    policy::{facts::Monotonic, state::State},
    text::line::Line,
};

/// What is kept in the state file.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Memory {
    /// Gatehound's own unit.
    pub own_unit: String,
    /// The gateway's unit the state is about.
    pub unit: String,
    /// The policy's memory.
    pub state: State,
    /// Which alerts were sent.
    #[serde(default)]
    pub reported: Reported,
    /// What was counted for the metrics.
    #[serde(default)]
    pub counts: Counts,
}

impl Memory {
    /// The state file's content; reading it changes nothing, even if it makes no sense.
    pub fn peek(dir: &Path) -> Option<Self> {
        let boot_id = boot_id::get().ok()?;
        match StateFile::new(dir, &boot_id).peek() {
            Kept::Restored(memory) => Some(memory),
            Kept::Fresh | Kept::OtherBoot | Kept::Rejected(_) => None,
        }
    }
}

/// What of a predecessor's memory is gone on with.
pub(super) struct Recalled {
    pub(super) state: State,
    pub(super) reported: Reported,
    pub(super) counts: Counts,
    pub(super) left: Left,
}

/// What a predecessor left behind.
pub(super) enum Left {
    /// Nothing.
    Nothing,
    /// Its memory; the successor goes on with it.
    Memory,
    /// Something that cannot be gone on with; the line says what.
    Other(Line),
}

/// The predecessor's state, where it is about the same unit.
pub(super) fn recall(file: &StateFile<Memory>, unit: &str, now: Monotonic) -> Recalled {
    let left = match file.load() {
        Kept::Restored(memory) if memory.unit == unit => {
            return Recalled {
                state: memory.state.restored(now),
                reported: memory.reported,
                counts: memory.counts,
                left: Left::Memory,
            };
        }
        Kept::Restored(memory) => {
            let text = format!(
                "the state file is about {}; starting without it",
                memory.unit
            );
            Left::Other(Line::new(&text))
        }
        Kept::Rejected(why) => Left::Other(why),
        Kept::Fresh | Kept::OtherBoot => Left::Nothing,
    };
    Recalled {
        state: State {
            next: now,
            ..State::default()
        },
        reported: Reported::default(),
        counts: Counts::default(),
        left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gatehound_without_alerts_and_metrics_remembered_is_gone_on_with() {
        let memory = Memory {
            own_unit: "gatehound.service".to_owned(),
            unit: "openclaw-gateway.service".to_owned(),
            state: State::default(),
            reported: Reported::default(),
            counts: Counts::default(),
        };
        let mut older = serde_json::to_value(&memory).unwrap();
        for key in ["reported", "counts"] {
            older.as_object_mut().unwrap().remove(key).unwrap();
        }
        let read: Memory = serde_json::from_value(older).unwrap();
        assert_eq!(read.reported, Reported::default());
        assert_eq!(read.counts, Counts::default());
    }
}
