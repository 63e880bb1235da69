//! The configuration of a run that is healthy is kept, because it is known good.
//!
//! Owns when that is done and what is said of it; files and their comparison are the store's.

use std::sync::mpsc::{Receiver, TryRecvError};

use crate::{
    daemon::{core::Daemon, look::Seen},
    os::wall_clock,
    policy::{record::Record, state::Phase},
    probe::readiness,
    settings::limits::READY_LIMIT,
    snapshots::store::{self, Proof, Snapshot},
    text::line::Line,
};

/// The run that was looked at, if it is up and its configuration can be found; a unit that does not say when the run
/// was started proves nothing.
pub(super) fn proof(seen: &Seen) -> Option<Proof> {
    let unit = seen.look.unit.as_ref().ok()?;
    let is_known = unit.active_state == "active" && !unit.active_since_wall.is_zero();
    Some(Proof {
        run: unit.invocation_id.clone().filter(|_| is_known)?.0,
        started: unit.active_since_wall,
        place: seen.found.place()?,
    })
}

impl Daemon {
    /// Has the configuration of a run kept, once, at the run's first healthy check.
    /// Nobody waits for the disk: what became of it is said in a later check.
    pub(super) fn keep_config(&mut self) {
        match self.keeping.as_ref().map(Receiver::try_recv) {
            Some(Err(TryRecvError::Empty)) => return,
            Some(Ok(kept)) => self.config_kept(kept),
            Some(Err(TryRecvError::Disconnected)) | None => {}
        }
        self.keeping = None;
        if !matches!(self.state.phase, Phase::Healthy { .. }) {
            return;
        }
        let new = |proof: &Proof| self.known_good.as_ref() != Some(&proof.run);
        let (Some(proof), Some(store)) = (self.proof.take().filter(new), self.store()) else {
            return;
        };
        self.known_good = Some(proof.run.clone());
        let keep = self.settings.snapshots.keep;
        let target = self.target;
        let version = move || readiness::version(&target?, READY_LIMIT);
        match store::keep_known_good(store, proof, version, wall_clock::now(), keep) {
            Ok(keeping) => self.keeping = Some(keeping),
            Err(why) => self.config_kept(Err(why)),
        }
    }

    fn config_kept(&mut self, kept: Result<Option<Snapshot>, Line>) {
        match kept {
            Ok(Some(kept)) => {
                let path = kept
                    .files
                    .first()
                    .map(|file| file.path.display().to_string());
                self.record(Record::SnapshotKept {
                    snapshot: kept.number,
                    path: Line::new(&path.unwrap_or_default()),
                });
            }
            Ok(None) => {}
            Err(why) => self.warn(Line::new(&format!(
                "no snapshot of the gateway's configuration: {why}; next try at its next start"
            ))),
        }
    }
}
