//! What the daemon keeps in the state file, and what it goes on with of a predecessor's.
//!
//! Owns the shape of that file but for the policy's part; knows nothing of how and when it is written.

use std::path::Path;

use crate::{
    alerts::alert::Reported,
    metrics::exposition::Counts,
    os::{
        boot_id,
        own_files::ensure_private_dir,
        state_file::{Kept, StateFile},
    },
    policy::{facts::Monotonic, state::State},
    probe::update::Bound,
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
    /// Since when an update has been seen.
    #[serde(default)]
    pub update: Bound,
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

/// When stops of the gateway needed SIGKILL: rule 6 holds for whoever forgets all else, and for a human's emergency stop.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ForcedStops {
    /// The gateway's unit.
    pub unit: String,
    /// The moments, oldest first.
    pub forced: Vec<Monotonic>,
}

impl ForcedStops {
    /// The file that holds them in the runtime folder `dir`.
    pub fn file(dir: &Path, boot_id: &str) -> StateFile<Self> {
        StateFile::beside(dir, "forced-stops.json", boot_id)
    }

    /// Adds the one that comes now, beside whatever a Gatehound does.
    pub fn add(dir: &Path, unit: &str, now: Monotonic) -> Result<(), Line> {
        /// No budget is larger.
        const MOST: usize = 100;
        let file = Self::file(dir, &boot_id::get()?);
        let mut forced = match file.peek() {
            Kept::Restored(kept) if kept.unit == unit => kept.forced,
            Kept::Restored(_) | Kept::Fresh | Kept::OtherBoot => Vec::new(),
            // Whatever it was, it does not come back.
            Kept::Rejected(_) => vec![now],
        };
        forced.push(now);
        forced.drain(..forced.len().saturating_sub(MOST));
        ensure_private_dir(dir)?;
        file.save(&Self {
            unit: unit.to_owned(),
            forced,
        })
    }
}

/// What of a predecessor's memory is gone on with.
pub(super) struct Recalled {
    pub(super) state: State,
    pub(super) reported: Reported,
    pub(super) counts: Counts,
    pub(super) update: Bound,
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

/// The predecessor's state, where it is about the same unit, and the forced stops that outlive it.
///
/// Where nobody can tell how many there were, the `budget` counts as used up: a restart comes late rather than one too many.
pub(super) fn recall(
    file: &StateFile<Memory>,
    forced_stops: &StateFile<ForcedStops>,
    unit: &str,
    budget: usize,
    now: Monotonic,
) -> Recalled {
    let mut recalled = recall_state(file, unit, now);
    let kept = match forced_stops.load() {
        Kept::Restored(kept) if kept.unit == unit => kept.forced,
        Kept::Restored(_) | Kept::Fresh | Kept::OtherBoot => Vec::new(),
        // The state holds them as well.
        Kept::Rejected(_) if matches!(recalled.left, Left::Memory) => Vec::new(),
        Kept::Rejected(why) => {
            if let Left::Nothing = recalled.left {
                recalled.left = Left::Other(why);
            }
            vec![now; budget]
        }
    };
    let forced = &mut recalled.state.forced;
    forced.extend(kept.into_iter().map(|moment| moment.min(now)));
    forced.sort_unstable();
    forced.dedup_by(|one, other| one == other && *one != now);
    recalled
}

fn recall_state(file: &StateFile<Memory>, unit: &str, now: Monotonic) -> Recalled {
    let left = match file.load() {
        Kept::Restored(memory) if memory.unit == unit => {
            return Recalled {
                state: memory.state.restored(now),
                reported: memory.reported,
                counts: memory.counts,
                update: memory.update,
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
        update: Bound::default(),
        left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        path::{Path, PathBuf},
        process,
    };

    const UNIT: &str = "openclaw-gateway.service";
    const NOW: Monotonic = Monotonic(500_000_000);

    fn folder(test: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("gatehound-memory-{test}-{}", process::id()));
        let _ = fs::remove_dir_all(&dir);
        ensure_private_dir(&dir).unwrap();
        dir
    }

    /// What a successor finds in `dir`.
    fn recalled(dir: &Path) -> Recalled {
        let file = StateFile::new(dir, "boot");
        let forced = ForcedStops::file(dir, "boot");
        recall(&file, &forced, UNIT, 2, NOW)
    }

    fn keep(dir: &Path, unit: &str, forced: &[u64]) {
        let kept = ForcedStops {
            unit: unit.to_owned(),
            forced: forced.iter().copied().map(Monotonic).collect(),
        };
        ForcedStops::file(dir, "boot").save(&kept).unwrap();
    }

    #[test]
    fn rule_6_the_budget_survives_a_state_file_that_makes_no_sense_or_is_gone() {
        let dir = folder("forced");
        keep(&dir, UNIT, &[7, u64::MAX]);
        for broken in [true, false] {
            if broken {
                fs::write(dir.join("state.json"), [0xff; 64]).unwrap();
            }
            let found = recalled(&dir);
            assert_eq!(matches!(found.left, Left::Other(_)), broken);
            assert_eq!(found.state.forced, [Monotonic(7), NOW]);
        }
        keep(&dir, "other.service", &[7]);
        assert_eq!(recalled(&dir).state.forced, []);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn rule_6_what_nobody_can_read_counts_as_a_budget_that_is_used_up() {
        let dir = folder("unreadable");
        fs::write(dir.join("forced-stops.json"), "{").unwrap();
        let found = recalled(&dir);
        assert_eq!(found.state.forced, [NOW, NOW]);
        let Left::Other(why) = found.left else {
            panic!("nothing is said")
        };
        let said = "kept as forced-stops.json.rejected, starting without it";
        assert!(why.as_str().contains(said), "{why}");
        // Once.
        assert_eq!(recalled(&dir).state.forced, []);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn rule_6_an_emergency_stop_adds_to_what_its_gatehound_counted() {
        let dir = folder("added");
        let boot = boot_id::get().unwrap();
        let kept = || match ForcedStops::file(&dir, &boot).peek() {
            Kept::Restored(kept) => kept.forced,
            Kept::Fresh | Kept::OtherBoot | Kept::Rejected(_) => Vec::new(),
        };
        ForcedStops::add(&dir, UNIT, Monotonic(7)).unwrap();
        ForcedStops::add(&dir, UNIT, Monotonic(9)).unwrap();
        assert_eq!(kept(), [Monotonic(7), Monotonic(9)]);
        fs::write(dir.join("forced-stops.json"), "{").unwrap();
        ForcedStops::add(&dir, UNIT, Monotonic(9)).unwrap();
        assert_eq!(kept(), [Monotonic(9), Monotonic(9)]);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_a_gatehound_without_alerts_and_metrics_remembered_is_gone_on_with() {
        let memory = Memory {
            own_unit: "gatehound.service".to_owned(),
            unit: "openclaw-gateway.service".to_owned(),
            state: State::default(),
            reported: Reported::default(),
            counts: Counts::default(),
            update: Bound::default(),
        };
        let mut older = serde_json::to_value(&memory).unwrap();
        for key in ["reported", "counts", "update"] {
            older.as_object_mut().unwrap().remove(key).unwrap();
        }
        let read: Memory = serde_json::from_value(older).unwrap();
        assert_eq!(read.reported, Reported::default());
        assert_eq!(read.counts, Counts::default());
        assert_eq!(read.update, Bound::default());
    }
}
