//! A configuration held against the last known good: what differs, since when, and whether a human is at work on it.
//!
//! Owns the comparison, which may take as long as the disk does; writes nothing.

use std::{
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    time::Duration,
};

use crate::{
    os::worker,
    policy::facts::Config,
    probe::openclaw_files::{self, ConfigFile, Place},
    snapshots::store::{KeptFile, Kind, Snapshot, Store, hash},
    text::line::Line,
};

/// All of a configuration that is there now, and of what a snapshot would write over; whatever is in it.
///
/// # Errors
///
/// A file is there and cannot be read.
pub fn there(place: &Place, snapshot: &Snapshot) -> Result<Vec<ConfigFile>, Line> {
    let mut there = openclaw_files::read(place).unwrap_or_default();
    let written = snapshot.files.iter().map(|file| &file.path);
    for path in std::iter::once(&place.path).chain(written) {
        if there.iter().all(|file| file.path != *path)
            && let Some(file) = openclaw_files::read_one(path)?
        {
            there.push(file);
        }
    }
    Ok(there)
}

/// Everything that a configuration is judged by, as it is at one moment.
pub(super) struct Seen {
    /// The snapshot that is the last known good.
    pub(super) last: Snapshot,
    /// What is there now.
    pub(super) there: Vec<KeptFile>,
    /// When any of it was written last, since the Unix epoch.
    pub(super) changed: Duration,
    /// What was rolled back last.
    pub(super) rejected: Option<Snapshot>,
}

impl Seen {
    /// None where nothing was known good, or at another place: what was kept of that is put back where nobody reads it.
    pub(super) fn look(store: &Store, place: &Place) -> Option<Result<Self, (u32, Line)>> {
        let (mut kept, _) = store.list().ok()?;
        let last = kept.iter().rposition(|one| one.kind == Kind::KnownGood)?;
        let last = kept.remove(last);
        if last.files.first()?.path != place.path {
            return None;
        }
        let there = match there(place, &last) {
            Ok(there) => there,
            Err(why) => return Some(Err((last.number, why))),
        };
        Some(Ok(Self {
            changed: there
                .iter()
                .map(|file| file.changed)
                .max()
                .unwrap_or_default(),
            there: there.into_iter().map(KeptFile::from).collect(),
            rejected: kept.into_iter().rfind(|one| one.kind == Kind::Rejected),
            last,
        }))
    }

    pub(super) fn is_known_good(&self) -> bool {
        self.last.files.iter().all(|file| self.there.contains(file))
    }

    /// The hash of what is there; none without an openclaw.json: whoever removed it meant to.
    pub(super) fn content(&self) -> Option<String> {
        let path = &self.last.files.first()?.path;
        self.there.iter().find(|file| file.path == *path)?;
        Some(hash(&self.there))
    }

    /// Whether the rollback of what was rejected wrote some of its files and not all.
    pub(super) fn half_done(&self) -> bool {
        let Some(rejected) = &self.rejected else {
            return false;
        };
        let of = |files: &[KeptFile], path: &Path| {
            let file = files.iter().find(|file| file.path == path);
            file.map(|file| file.content.clone())
        };
        let mut written = self.last.files.iter().map(|file| {
            let now = of(&self.there, &file.path);
            let is_written = now.as_ref() == Some(&file.content);
            (is_written, now == of(&rejected.files, &file.path))
        });
        let of_both = written.clone().all(|(new, old)| new || old);
        of_both && !self.is_known_good() && written.any(|(new, old)| new && !old)
    }
}

/// When the last run of the gateway was, since the Unix epoch; zero is not known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// When it was started.
    pub began: Duration,
    /// When it was over.
    pub ended: Duration,
}

impl Run {
    /// Whether files that bear this time are what the run read, and nobody has written to them since.
    ///
    /// In doubt they are not, so that what a human wrote is never undone; all that costs is that a human is told instead.
    /// A time before the begin is the one sign: what is written while the run is about to refuse what it read before is as
    /// much a human's work as what is written after its end.
    /// Such a time may be too early, but not by more than the lag: whoever wrote after the end is found by that,
    /// and whoever wrote between begin and end within the lag of the begin was there before the gateway read anything.
    fn refused_what_is_from(self, changed: Duration) -> bool {
        changed < self.began && changed + openclaw_files::lag() < self.ended
    }
}

/// The comparison that is on its way, if one is.
#[derive(Debug, Default)]
pub struct Comparing(pub(super) Option<Receiver<Option<Config>>>);

impl Comparing {
    /// The configuration held against the one that is the last known good, `run` being the last one of the gateway;
    /// none where there is no such one, or that cannot be told within `budget`.
    ///
    /// One that took longer is waited for before there is another, and what it says then is of a moment that is over.
    pub fn compare(
        &mut self,
        store: Store,
        place: Place,
        run: Run,
        budget: Duration,
    ) -> Option<Config> {
        if let Some(late) = &self.0
            && late.try_recv() == Err(TryRecvError::Empty)
        {
            return None;
        }
        let work = move || compared(&store, &place, run);
        let receiver = worker::begin("config", "compare the configuration", work).ok()?;
        let config = receiver.recv_timeout(budget);
        let is_late = config == Err(RecvTimeoutError::Timeout);
        self.0 = is_late.then_some(receiver);
        config.ok().flatten()
    }
}

pub(super) fn compared(store: &Store, place: &Place, run: Run) -> Option<Config> {
    let seen = match Seen::look(store, place)? {
        Ok(seen) => seen,
        Err((snapshot, _)) => {
            return Some(Config {
                snapshot,
                content: None,
                is_known_good: false,
                untouched: false,
                half_done: false,
                was_rejected: false,
            });
        }
    };
    let content = seen.content();
    let (kept, _) = store.list().ok()?;
    let is_content =
        |one: &Snapshot| one.kind == Kind::Rejected && content.as_ref() == Some(&one.hash);
    Some(Config {
        snapshot: seen.last.number,
        is_known_good: seen.is_known_good(),
        untouched: run.refused_what_is_from(seen.changed),
        half_done: seen.half_done(),
        was_rejected: kept.iter().any(is_content),
        content,
    })
}
