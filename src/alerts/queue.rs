//! The queue of alerts: one file for each, in the state folder, until it is delivered.
//!
//! Owns the files' names, their order, how many there are and for how long, and that only one process delivers.
//! Knows nothing of who is notified, nor how.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::os::{
    own_files::{cannot, ensure_private_dir, remove, write_atomic},
    worker::within,
};
use crate::{
    alerts::{alert::Alert, holds::Holds},
    os::{
        fault,
        files::{Links, read_limited},
    },
    text::line::Line,
};

/// How many alerts wait at most: a day of reminders, and four times that. The oldest go first.
pub const KEPT: usize = 100;

/// What is older than this is no news.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The largest file that is read back; ours have a kilobyte.
const MAX_FILE: u64 = 64 * 1024;

/// An alert that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queued {
    /// The alert.
    pub alert: Alert,
    /// When it was due, since the Unix epoch.
    pub due: Duration,
    /// Channels through which it was delivered already.
    pub delivered: Vec<String>,
}

/// The folder of the queue in the state folder.
pub fn folder(state: &Path) -> PathBuf {
    state.join("alerts")
}

/// Puts an alert into the queue, and removes the oldest beyond [`KEPT`].
///
/// Waits for the disk for `budget` at most; what is late may still come to be written.
///
/// # Errors
///
/// The disk is full, read-only or late.
pub fn queue(state: &Path, alert: &Alert, budget: Duration) -> Result<(), Line> {
    let due = since_epoch(SystemTime::now());
    let folder = folder(state);
    let state = state.to_owned();
    let name = format!("{:020}-{}.json", due.as_micros(), alert.kind.name());
    let queued = Queued {
        alert: alert.clone(),
        due,
        delivered: Vec::new(),
    };
    within(budget, "alert", move || {
        ensure_private_dir(&state)?;
        ensure_private_dir(&folder)?;
        // One that cannot be listed takes another alert all the same.
        let there = waiting(&folder).unwrap_or_default();
        let surplus = (there.len() + 1).saturating_sub(KEPT);
        for path in there.iter().take(surplus) {
            remove(path)?;
        }
        save(&folder.join(name), &queued)
    })??;
    fault::point("alert queued");
    Ok(())
}

/// How long the alerts that wait are to be left, none if no alert waits.
///
/// # Errors
///
/// The queue cannot be listed, or not within `budget`, so that one may wait.
pub fn pause(state: &Path, budget: Duration) -> Result<Option<Duration>, Line> {
    let folder = folder(state);
    within(budget, "alert", move || {
        let found = waiting(&folder)?;
        let Some(newest) = found.last().and_then(|path| due(path)) else {
            return Ok(None);
        };
        let now = since_epoch(SystemTime::now());
        Ok(Some(Holds::read(&folder, now).wait(newest, now)))
    })?
}

/// The files of the alerts that wait, oldest first.
///
/// # Errors
///
/// The folder is there and cannot be listed.
pub fn waiting(folder: &Path) -> Result<Vec<PathBuf>, Line> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(cannot("list", folder, &e)),
        entries => entries,
    };
    let mut found: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| due(path).is_some())
        .collect();
    found.sort();
    Ok(found)
}

/// When an alert was due, by its file's name; none if that is not one that [`queue`] gives.
fn due(path: &Path) -> Option<Duration> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".json")?;
    let (micros, _) = stem.split_once('-')?;
    let is_ours = micros.len() == 20 && micros.chars().all(|c| c.is_ascii_digit());
    is_ours.then(|| Duration::from_micros(micros.parse().unwrap_or(u64::MAX)))
}

/// Why an alert cannot be delivered.
#[derive(Debug)]
pub enum Unread {
    /// Now; it may be read another time.
    Now(Line),
    /// Ever: it makes no sense, or could not be read for [`MAX_AGE`].
    Ever(Line),
}

/// One alert that waits, with its age; none if it is gone.
///
/// # Errors
///
/// The file cannot be read or makes no sense.
pub fn read(path: &Path) -> Result<Option<(Queued, Duration)>, Unread> {
    let said = |why: &str| Line::new(&format!("{}: {why}", path.display()));
    let contents = match read_limited(path, MAX_FILE, Links::Refuse) {
        Ok(Some(contents)) => contents,
        Ok(None) => return Ok(None),
        Err(why) if due(path).is_some_and(|due| MAX_AGE < age(due)) => {
            return Err(Unread::Ever(said(why.as_str())));
        }
        Err(why) => return Err(Unread::Now(said(why.as_str()))),
    };
    let queued: Queued = serde_json::from_slice(&contents.bytes)
        .map_err(|e| Unread::Ever(said(&format!("not an alert: {e}"))))?;
    let age = age(queued.due);
    Ok(Some((queued, age)))
}

/// How long ago a moment was; a clock that was set back makes nothing older.
fn age(due: Duration) -> Duration {
    since_epoch(SystemTime::now()).saturating_sub(due)
}

/// Replaces an alert that waits, after one channel of several took it.
///
/// # Errors
///
/// The disk is full or read-only.
pub fn save(path: &Path, queued: &Queued) -> Result<(), Line> {
    let bytes = serde_json::to_vec(queued)
        .map_err(|e| Line::new(&format!("cannot write the alert as JSON: {e}")))?;
    write_atomic(path, &bytes)
}

/// Proof that nobody else delivers from this queue; the kernel takes it back with the process.
#[derive(Debug)]
pub struct Lock {
    _folder: File,
}

impl Lock {
    /// Takes the lock on the queue; none if there is no queue, because nothing was ever put into it.
    ///
    /// # Errors
    ///
    /// Somebody else holds it, or the folder cannot be opened.
    pub fn take(folder: &Path) -> Result<Option<Self>, Line> {
        let file = match File::open(folder) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(cannot("open", folder, &e)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _folder: file })),
            Err(TryLockError::WouldBlock) => {
                Err("another gatehound delivers these alerts; leaving them to it".into())
            }
            Err(TryLockError::Error(e)) => Err(cannot("lock", folder, &e)),
        }
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_secs(60);

    #[test]
    fn alerts_come_back_in_the_order_they_were_due_and_the_oldest_of_too_many_go() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder(state.path());
        assert_eq!(pause(state.path(), BUDGET).unwrap(), None);
        for number in 0..KEPT + 3 {
            let alert = Alert::test(&number.to_string());
            queue(state.path(), &alert, BUDGET).unwrap();
        }
        assert_eq!(pause(state.path(), BUDGET).unwrap(), Some(Duration::ZERO));
        let units: Vec<String> = waiting(&folder)
            .unwrap()
            .iter()
            .map(|path| read(path).unwrap().unwrap().0.alert.unit.to_string())
            .collect();
        let expected: Vec<String> = (3..KEPT + 3).map(|number| number.to_string()).collect();
        assert_eq!(units, expected);
    }

    #[test]
    fn what_else_lies_in_the_folder_is_no_alert() {
        let state = tempfile::tempdir().unwrap();
        for name in [
            "a.json",
            "1-down.json",
            ".00000000000000000001-down.json.7.new",
        ] {
            fs::write(state.path().join(name), "").unwrap();
        }
        assert_eq!(waiting(state.path()).unwrap(), Vec::<PathBuf>::new());
        let bad = state.path().join("00000000000000000001-down.json");
        fs::write(&bad, "{").unwrap();
        assert_eq!(waiting(state.path()).unwrap(), std::slice::from_ref(&bad));
        assert!(matches!(read(&bad), Err(Unread::Ever(_))));
        waiting(&bad).unwrap_err();
        assert_eq!(
            waiting(&state.path().join("none")).unwrap(),
            Vec::<PathBuf>::new()
        );
    }

    #[test]
    fn only_one_process_delivers() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        assert!(lock.is_some());
        Lock::take(folder.path()).unwrap_err();
        drop(lock);
        assert!(Lock::take(folder.path()).unwrap().is_some());
        assert!(Lock::take(&folder.path().join("none")).unwrap().is_none());
    }
}
