//! The lock in the runtime folder: one Gatehound for each gateway.
//!
//! Owns how its file is opened, which never waits and follows no link. Knows nothing of what the holder does.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    process,
};

use nix::fcntl::OFlag;

use crate::{
    os::{
        files::{Links, read_limited},
        own_files::{cannot, ensure_private_dir},
    },
    text::line::Line,
};

/// Proof that this is the only Gatehound for its gateway; the kernel takes it back with the process.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Why the lock was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "another gatehound{holder} watches this gateway; stop it first: systemctl --user stop {unit}"
    )]
    Held {
        /// ` (pid N)`, or nothing when it has not said so yet.
        holder: String,
        /// Gatehound's own unit.
        unit: String,
    },
    /// There is no file that could be locked.
    #[error("{0}")]
    Cannot(Line),
}

impl Lock {
    /// Takes the lock in the runtime folder `dir`, and leaves the pid in it for whoever comes second.
    ///
    /// `unit` is Gatehound's own unit, which the message says how to stop.
    pub fn take(dir: &Path, unit: &str) -> Result<Self, LockError> {
        let path = dir.join("lock");
        let cannot = |verb, e| LockError::Cannot(cannot(verb, &path, &e));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let mut file = open(&path, &mut options).map_err(|e| cannot("open", e))?;
        match file.try_lock() {
            Ok(()) => {
                // A full disk takes no pid, but it is only for the message.
                let _ = file
                    .set_len(0)
                    .and_then(|()| write!(file, "{}", process::id()));
                Ok(Self { file })
            }
            Err(TryLockError::WouldBlock) => Err(LockError::Held {
                holder: holder(&path),
                unit: unit.to_owned(),
            }),
            Err(TryLockError::Error(e)) => Err(cannot("lock", e)),
        }
    }

    /// Takes the lock anew where its file is gone, for somebody may remove the runtime folder.
    ///
    /// Says whether that was so.
    ///
    /// # Errors
    /// Another Gatehound has it by now.
    /// That no file can be made is no error: nobody else can have one either.
    pub fn keep(&mut self, dir: &Path, unit: &str) -> Result<bool, Line> {
        if self.is_in(dir) || ensure_private_dir(dir).is_err() {
            return Ok(false);
        }
        match Self::take(dir, unit) {
            Ok(lock) => {
                *self = lock;
                Ok(true)
            }
            Err(LockError::Cannot(_)) => Ok(false),
            Err(LockError::Held { holder, .. }) => Err(Line::new(&format!(
                "another gatehound{holder} watches this gateway since the runtime folder was removed"
            ))),
        }
    }

    fn is_in(&self, dir: &Path) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let there = fs::symlink_metadata(dir.join("lock")).map(identity);
        let ours = self.file.metadata().map(identity);
        matches!((there, ours), (Ok(there), Ok(ours)) if there == ours)
    }
}

/// Whether a Gatehound has the lock in the runtime folder `dir`.
///
/// To find out it takes it for a moment, as one of many, which only another one that starts just then could notice.
pub fn is_watched(dir: &Path) -> bool {
    let lock = open(&dir.join("lock"), OpenOptions::new().read(true));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Opens a lock file. Whatever else has its name, a link, a FIFO or a device, is refused and never waited for.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = options.custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("not a regular file; remove it"))
    }
}

/// The pid in a lock file; nothing when its owner has not written it yet.
fn holder(path: &Path) -> String {
    let contents = read_limited(path, 32, Links::Refuse).ok().flatten();
    contents
        .and_then(|contents| String::from_utf8(contents.bytes).ok()?.parse::<u32>().ok())
        .map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::{sys::stat::Mode, unistd::mkfifo};
    use std::os::unix::fs::symlink;

    #[test]
    fn the_second_gatehound_learns_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path(), "gatehound").unwrap();
        let reason = Lock::take(dir.path(), "gatehound@work").unwrap_err();
        assert_eq!(
            reason.to_string(),
            format!(
                "another gatehound (pid {}) watches this gateway; \
                 stop it first: systemctl --user stop gatehound@work",
                process::id()
            )
        );
        drop(first);
        until_free(|| Lock::take(dir.path(), "gatehound").ok());
    }

    /// A child of another test has a copy of each descriptor, the lock's among them, until it runs its own program.
    fn until_free<T>(mut take: impl FnMut() -> Option<T>) -> T {
        loop {
            match take() {
                Some(taken) => return taken,
                None => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn a_lock_whose_folder_was_removed_is_taken_anew_or_is_lost_to_another() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("run");
        ensure_private_dir(&folder).unwrap();
        let mut first = Lock::take(&folder, "gatehound").unwrap();
        assert_eq!(first.keep(&folder, "gatehound"), Ok(false));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(first.keep(&folder, "gatehound"), Ok(true));
        Lock::take(&folder, "gatehound").unwrap_err();
        fs::remove_dir_all(&folder).unwrap();
        ensure_private_dir(&folder).unwrap();
        let second = Lock::take(&folder, "gatehound").unwrap();
        let lost = first.keep(&folder, "gatehound").unwrap_err();
        let expected = format!("another gatehound (pid {})", process::id());
        assert!(lost.as_str().starts_with(&expected), "{lost}");
        drop(second);
        until_free(|| (first.keep(&folder, "gatehound") == Ok(true)).then_some(()));
        // Where no folder can be made, nobody else has a lock.
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, b"").unwrap();
        assert_eq!(first.keep(&folder, "gatehound"), Ok(false));
    }

    #[test]
    fn a_lock_is_seen_for_as_long_as_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_watched(dir.path()));
        let lock = Lock::take(dir.path(), "gatehound").unwrap();
        assert!(is_watched(dir.path()));
        drop(lock);
        until_free(|| (!is_watched(dir.path())).then_some(()));
    }

    #[test]
    fn the_pid_of_a_dead_predecessor_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("lock"), "4294967295 and more").unwrap();
        let _lock = Lock::take(dir.path(), "gatehound").unwrap();
        let pid = fs::read_to_string(dir.path().join("lock")).unwrap();
        assert_eq!(pid, process::id().to_string());
    }

    #[test]
    fn a_link_in_place_of_the_lock_is_refused_and_its_target_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        fs::write(&target, "foreign").unwrap();
        symlink(&target, dir.path().join("lock")).unwrap();
        let refused = Lock::take(dir.path(), "gatehound").unwrap_err();
        assert!(matches!(refused, LockError::Cannot(_)), "{refused}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "foreign");
        // One that is locked elsewhere would make it look as if a Gatehound ran.
        let locked = File::open(&target).unwrap();
        locked.lock().unwrap();
        assert!(!is_watched(dir.path()));
    }

    /// What `work` finds within 5 s; it would wait for ever where a FIFO is opened as a file is.
    fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(work()));
        let found = receiver.recv_timeout(std::time::Duration::from_secs(5));
        found.expect("it waits for the other end of a FIFO")
    }

    #[test]
    fn a_fifo_in_place_of_the_lock_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let take = || {
            let dir = dir.path().to_owned();
            in_time(move || Lock::take(&dir, "gatehound").map(drop))
        };
        let refused = take().unwrap_err();
        assert!(matches!(refused, LockError::Cannot(_)), "{refused}");
        let folder = dir.path().to_owned();
        assert!(!in_time(move || is_watched(&folder)));
        // With somebody at the other end it can be opened, and is no file all the same.
        let reader = OpenOptions::new().read(true).write(true).open(&path);
        let refused = take().unwrap_err();
        assert!(
            refused
                .to_string()
                .ends_with("not a regular file; remove it"),
            "{refused}"
        );
        drop(reader);
    }

    #[test]
    fn a_device_in_place_of_the_lock_is_refused() {
        let path = Path::new("/dev/null");
        for options in [
            OpenOptions::new().read(true),
            OpenOptions::new().write(true),
        ] {
            let refused = open(path, options).unwrap_err();
            assert!(
                refused.to_string().contains("not a regular file"),
                "{refused}"
            );
        }
    }
}
