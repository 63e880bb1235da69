//! What Gatehound keeps in files: state, lock and requests, in its runtime folder.
//!
//! Owns how they are written so that a crash at any moment leaves the old or the new file, never half of one.
//! Knows nothing of what the state means.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    marker::PhantomData,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    os::{
        fault,
        files::{Links, line, read_limited},
    },
    text::line::Line,
};

/// The largest state file, in bytes.
const MAX_STATE: u64 = 256 * 1024;

/// Changes when an older Gatehound could not make sense of the state.
const STATE_VERSION: u32 = 1;

/// Replaces a file at once and for good: temporary file beside it, mode 0600, fsync, rename, fsync of the folder.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Line> {
    install(path, bytes, 0o600)
}

/// As [`write_atomic`], with a mode of the caller's: for programs and for what everybody may read.
pub fn install(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Line> {
    replace(path, bytes, mode, Outlives::PowerCut).map_err(|e| cannot("write", path, &e))
}

/// As [`install`], for what is written so often that the disk is not to be woken for it, and is old at the next boot.
pub(crate) fn publish(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Line> {
    replace(path, bytes, mode, Outlives::Process).map_err(|e| cannot("write", path, &e))
}

/// What a file that was written is still there after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outlives {
    /// The process that wrote it.
    Process,
    /// A power cut as well: it is on the disk.
    PowerCut,
}

fn replace(path: &Path, bytes: &[u8], mode: u32, outlives: Outlives) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let temporary = dir.join(format!(".{}.{}.new", name.to_string_lossy(), process::id()));
    let written = write_new(&temporary, bytes, mode, outlives)
        .inspect(|()| fault::point("temporary file written"))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The error being returned says more than one about the clean-up would.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    fault::point("temporary file renamed");
    match outlives {
        Outlives::Process => Ok(()),
        Outlives::PowerCut => File::open(dir)?.sync_all(),
    }
}

fn write_new(path: &Path, bytes: &[u8], mode: u32, outlives: Outlives) -> io::Result<()> {
    // A predecessor with the same pid may have died before its rename.
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => (),
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    match outlives {
        Outlives::Process => Ok(()),
        Outlives::PowerCut => file.sync_all(),
    }
}

/// Removes the temporary files that processes other than this one left behind for files with fitting names.
///
/// They were killed between writing and renaming, and with their pid in its name nobody would write over it.
/// Only for files that nobody else may be writing at the moment.
/// Best effort: a file that stays is in nobody's way.
pub(crate) fn remove_unfinished(dir: &Path, fits: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| is_unfinished(name, &fits)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a name is that of a temporary file, as [`replace`] makes it, of another process.
fn is_unfinished(name: &str, fits: impl Fn(&str) -> bool) -> bool {
    let parts = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(".new")?.rsplit_once('.'));
    parts.is_some_and(|(name, pid)| {
        fits(name) && pid.parse::<u32>().is_ok_and(|pid| pid != process::id())
    })
}

/// Makes sure that a folder exists, belongs to this user, is no link, and is closed to everybody else (0700).
pub fn ensure_private_dir(path: &Path) -> Result<(), Line> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Line::new(&format!(
                "{}: not a folder; not used, remove it or make it a folder of your own",
                path.display()
            )),
            _ => cannot("create", path, &e),
        })?;
    let metadata = fs::symlink_metadata(path).map_err(|e| cannot("look at", path, &e))?;
    let refused = |reason: &str| {
        Line::new(&format!(
            "{}: {reason}; not used, remove it or make it a folder of your own",
            path.display()
        ))
    };
    if !metadata.is_dir() {
        return Err(refused("not a folder"));
    }
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err(refused(&format!("belongs to uid {}", metadata.uid())));
    }
    if metadata.mode() & 0o777 != 0o700 {
        fs::set_permissions(path, Permissions::from_mode(0o700))
            .map_err(|e| cannot("close", path, &e))?;
    }
    Ok(())
}

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
    /// `unit` is Gatehound's own unit, which the message tells a human to stop.
    pub fn take(dir: &Path, unit: &str) -> Result<Self, LockError> {
        let path = dir.join("lock");
        let cannot = |verb, e| LockError::Cannot(cannot(verb, &path, &e));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(|e| cannot("open", e))?;
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
    let lock = File::open(dir.join("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The pid in a lock file; nothing when its owner has not written it yet.
fn holder(path: &Path) -> String {
    let contents = read_limited(path, 32, Links::Refuse).ok().flatten();
    contents
        .and_then(|contents| String::from_utf8(contents.bytes).ok()?.parse::<u32>().ok())
        .map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

/// State that outlives the process and ends with the boot.
#[derive(Debug)]
pub struct StateFile<T> {
    path: PathBuf,
    boot_id: String,
    state: PhantomData<fn(T) -> T>,
}

/// What the state file held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept<T> {
    /// There is none.
    Fresh,
    /// The state as it was saved.
    Restored(T),
    /// State of an earlier boot, in which nothing still stands.
    OtherBoot,
    /// Not a state of ours. It was put aside; the line says what it was and where it is now.
    Rejected(Line),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<T> {
    version: u32,
    boot_id: String,
    state: T,
}

impl<T: Serialize + DeserializeOwned> StateFile<T> {
    /// The state file in the runtime folder `dir`, for the boot with this id.
    pub fn new(dir: &Path, boot_id: &str) -> Self {
        Self {
            path: state_path(dir),
            boot_id: boot_id.to_owned(),
            state: PhantomData,
        }
    }

    /// Reads the state back. Never fails: a file that makes no sense is put aside and reported,
    /// because a watchdog without memory is better than none.
    ///
    /// For the one that holds the [`Lock`], because it also clears away what a predecessor was killed over.
    pub fn load(&self) -> Kept<T> {
        if let (Some(dir), Some(own)) = (self.path.parent(), self.path.file_name()) {
            remove_unfinished(dir, |name| own == name);
        }
        self.parse()
            .unwrap_or_else(|reason| Kept::Rejected(self.reject(&reason)))
    }

    /// Reads the state back and leaves the file as it is, whatever it holds: for whoever only wants to show it.
    pub fn peek(&self) -> Kept<T> {
        self.parse().unwrap_or_else(Kept::Rejected)
    }

    fn parse(&self) -> Result<Kept<T>, Line> {
        let Some(contents) = read_limited(&self.path, MAX_STATE, Links::Refuse)? else {
            return Ok(Kept::Fresh);
        };
        let nonsense = |e: serde_json::Error| Line::new(&format!("not a state: {e}"));
        let envelope: Envelope<serde_json::Value> =
            serde_json::from_slice(&contents.bytes).map_err(nonsense)?;
        if envelope.boot_id != self.boot_id {
            return Ok(Kept::OtherBoot);
        }
        if envelope.version != STATE_VERSION {
            return Err(Line::new(&format!(
                "version {}, this gatehound reads {STATE_VERSION}",
                envelope.version
            )));
        }
        serde_json::from_value(envelope.state)
            .map(Kept::Restored)
            .map_err(nonsense)
    }

    /// Puts the file aside, over the one put aside before.
    fn reject(&self, reason: &Line) -> Line {
        let aside = self.path.with_extension("json.rejected");
        let path = self.path.display();
        Line::new(&match fs::rename(&self.path, &aside) {
            Ok(()) => format!("{path}: {reason}; kept as state.json.rejected, starting without it"),
            Err(e) => format!("{path}: {reason}; starting without it; cannot put it aside: {e}"),
        })
    }

    /// Saves the state.
    pub fn save(&self, state: &T) -> Result<(), Line> {
        let envelope = Envelope {
            version: STATE_VERSION,
            boot_id: self.boot_id.clone(),
            state,
        };
        let bytes = serde_json::to_vec(&envelope)
            .map_err(|e| Line::new(&format!("cannot write the state as JSON: {e}")))?;
        if MAX_STATE < u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
            let size = bytes.len();
            return Err(Line::new(&format!(
                "the state has {size} bytes, more than {MAX_STATE}; not saved, the last one stays"
            )));
        }
        write_atomic(&self.path, &bytes)
    }
}

/// Removes the state file, so that whoever starts next still has to make nothing.
pub fn forget_state(dir: &Path) -> Result<(), Line> {
    let path = state_path(dir);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(cannot("remove", &path, &e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn state_path(dir: &Path) -> PathBuf {
    dir.join("state.json")
}

/// Asks the running Gatehound to take its attempts back to the first attempt.
pub fn request_reset(dir: &Path) -> Result<(), Line> {
    ensure_private_dir(dir)?;
    write_atomic(&dir.join("reset"), b"")
}

/// Takes a request for a reset, if there is one, so that it is answered once.
///
/// One that cannot be removed counts as none: answered in every check, it would disarm the attempts.
pub fn take_reset(dir: &Path) -> bool {
    fs::remove_file(dir.join("reset")).is_ok()
}

/// An error about a file as one line: what could not be done to what, and why.
pub(crate) fn cannot(verb: &str, path: &Path, error: &io::Error) -> Line {
    Line::new(&format!(
        "cannot {verb} {}: {}",
        path.display(),
        line(error)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    fn state_file(dir: &Path) -> StateFile<Vec<u32>> {
        StateFile::new(dir, "boot")
    }

    #[test]
    fn a_file_is_replaced_whole_private_and_without_leftovers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let stale = format!(".file.{}.new", process::id());
        fs::write(dir.path().join(stale), b"half").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn what_a_predecessor_was_killed_over_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        let file = state_file(dir.path());
        file.save(&vec![1]).unwrap();
        let own = format!(".state.json.{}.new", process::id());
        let others = [
            &own,
            ".pause.json.1.new",
            ".state.json.new",
            "state.json.1.new",
        ];
        for name in others.into_iter().chain([".state.json.1.new"]) {
            fs::write(dir.path().join(name), b"half").unwrap();
        }
        assert_eq!(file.load(), Kept::Restored(vec![1]));
        let mut left = names(dir.path());
        left.retain(|name| name != "state.json");
        let mut others = others.map(str::to_owned);
        others.sort();
        assert_eq!(left, others);
    }

    #[test]
    fn a_link_is_replaced_and_its_target_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, target) = (dir.path().join("file"), dir.path().join("target"));
        fs::write(&target, b"foreign").unwrap();
        symlink(&target, &path).unwrap();
        write_atomic(&path, b"ours").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"foreign");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::create_dir(&path).unwrap();
        let reason = write_atomic(&path, b"new").unwrap_err();
        assert!(reason.as_str().starts_with("cannot write /"), "{reason}");
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn a_private_folder_is_made_with_its_parents_and_closed_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        ensure_private_dir(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        ensure_private_dir(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn a_link_a_file_or_a_foreign_folder_is_not_a_private_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        let reason = ensure_private_dir(&link).unwrap_err();
        assert!(reason.as_str().contains("not a folder"), "{reason}");
        fs::write(dir.path().join("file"), b"").unwrap();
        ensure_private_dir(&dir.path().join("file")).unwrap_err();
        // /proc/1 belongs to root; as root, a folder of another user is made.
        let foreign = if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&real, Some(1), None).unwrap();
            real
        } else {
            PathBuf::from("/proc")
        };
        let reason = ensure_private_dir(&foreign).unwrap_err();
        assert!(reason.as_str().contains("belongs to uid"), "{reason}");
    }

    #[test]
    fn the_second_gatehound_is_told_who_is_first() {
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
        Lock::take(dir.path(), "gatehound").unwrap();
    }

    #[test]
    fn no_lock_is_taken_behind_a_link_and_its_target_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("foreign");
        fs::write(&target, b"foreign").unwrap();
        symlink(&target, dir.path().join("lock")).unwrap();
        let refused = Lock::take(dir.path(), "gatehound").unwrap_err();
        assert!(matches!(refused, LockError::Cannot(_)), "{refused}");
        assert_eq!(fs::read(&target).unwrap(), b"foreign");
        // Nor is one made there.
        fs::remove_file(&target).unwrap();
        Lock::take(dir.path(), "gatehound").unwrap_err();
        assert!(!target.exists());
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
        assert_eq!(first.keep(&folder, "gatehound"), Ok(true));
        // Where no folder can be made, nobody else has a lock.
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, b"").unwrap();
        assert_eq!(first.keep(&folder, "gatehound"), Ok(false));
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
    fn state_comes_back_in_the_same_boot_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = state_file(dir.path());
        assert_eq!(file.load(), Kept::Fresh);
        file.save(&vec![1, 2]).unwrap();
        assert_eq!(file.load(), Kept::Restored(vec![1, 2]));
        assert_eq!(mode(&file.path), 0o600);
        let later = StateFile::<Vec<u32>>::new(dir.path(), "another boot");
        assert_eq!(later.load(), Kept::OtherBoot);
    }

    #[track_caller]
    fn check_rejected(bytes: &[u8], expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let file = state_file(dir.path());
        fs::write(&file.path, bytes).unwrap();
        fs::write(dir.path().join("state.json.rejected"), "an older one").unwrap();
        let Kept::Rejected(reason) = file.load() else {
            panic!("taken for a state");
        };
        assert!(reason.as_str().contains(expected), "{reason}");
        assert_eq!(names(dir.path()), ["state.json.rejected"]);
        let kept = fs::read(dir.path().join("state.json.rejected")).unwrap();
        assert_eq!(kept, bytes);
        assert_eq!(file.load(), Kept::Fresh);
    }

    #[test]
    fn garbage_is_put_aside_and_reported() {
        check_rejected(b"", "not a state: EOF while parsing");
        check_rejected(b"\xff\x00garbage", "not a state");
        let deep = format!(r#"{{"state":{}"#, "[".repeat(10_000));
        check_rejected(deep.as_bytes(), "not a state: recursion limit");
        check_rejected(&vec![b' '; 256 * 1024 + 1], "larger than 262144 bytes");
        check_rejected(
            br#"{"version":1,"boot_id":"boot","state":["a"]}"#,
            "invalid type",
        );
        check_rejected(
            br#"{"version":2,"boot_id":"boot","state":[]}"#,
            "version 2, this gatehound reads 1",
        );
        check_rejected(
            br#"{"version":1,"boot_id":"boot","state":[],"more":0}"#,
            "unknown field",
        );
    }

    #[test]
    fn a_link_or_a_folder_in_place_of_the_state_is_put_aside() {
        for folder in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let file = state_file(dir.path());
            if folder {
                fs::create_dir(&file.path).unwrap();
            } else {
                symlink("/etc/passwd", &file.path).unwrap();
            }
            assert!(matches!(file.load(), Kept::Rejected(_)));
            file.save(&vec![3]).unwrap();
            assert_eq!(file.load(), Kept::Restored(vec![3]));
        }
    }

    #[test]
    fn a_rejected_state_that_cannot_be_put_aside_is_still_not_fatal() {
        let dir = tempfile::tempdir().unwrap();
        let file = state_file(dir.path());
        fs::write(&file.path, b"garbage").unwrap();
        fs::create_dir(dir.path().join("state.json.rejected")).unwrap();
        let Kept::Rejected(reason) = file.load() else {
            panic!("taken for a state");
        };
        assert!(reason.as_str().contains("cannot put it aside"), "{reason}");
    }

    #[test]
    fn a_state_that_could_not_be_read_back_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = state_file(dir.path());
        file.save(&vec![1]).unwrap();
        let reason = file.save(&vec![0; 200_000]).unwrap_err();
        assert!(reason.as_str().contains("not saved"), "{reason}");
        assert_eq!(file.load(), Kept::Restored(vec![1]));
    }

    #[test]
    fn a_reset_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = dir.path().join("gatehound");
        assert!(!take_reset(&runtime));
        request_reset(&runtime).unwrap();
        request_reset(&runtime).unwrap();
        assert!(take_reset(&runtime));
        assert!(!take_reset(&runtime));
    }

    proptest! {
        #[test]
        fn any_bytes_in_the_state_file_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let dir = tempfile::tempdir().unwrap();
            let file = state_file(dir.path());
            fs::write(&file.path, &bytes).unwrap();
            prop_assert!(matches!(file.load(), Kept::Rejected(_)));
        }
    }
}
