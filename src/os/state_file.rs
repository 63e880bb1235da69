//! The state file and the request for a reset, in the runtime folder.
//!
//! Owns the envelope with version and boot id. Knows nothing of what the state means.

use std::{
    fs, io,
    marker::PhantomData,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    os::{
        files::{Links, read_limited},
        own_files::{cannot, ensure_private_dir, remove_unfinished, write_atomic},
    },
    text::line::Line,
};

/// The largest state file, in bytes.
const MAX_STATE: u64 = 256 * 1024;

/// Changes when an older Gatehound could not make sense of the state.
const STATE_VERSION: u32 = 1;

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
        Self::at(state_path(dir), boot_id)
    }

    /// The file of this name beside it, for what outlives the state itself.
    pub fn beside(dir: &Path, name: &str, boot_id: &str) -> Self {
        Self::at(dir.join(name), boot_id)
    }

    fn at(path: PathBuf, boot_id: &str) -> Self {
        Self {
            path,
            boot_id: boot_id.to_owned(),
            state: PhantomData,
        }
    }

    /// Reads the state back. Never fails: a file that makes no sense is put aside and reported,
    /// because a watchdog without memory is better than none.
    ///
    /// For the one that holds the [`Lock`](crate::os::lock::Lock), because it also clears away what a predecessor was killed over.
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
        let name = aside.file_name().unwrap_or_default().display();
        Line::new(&match fs::rename(&self.path, &aside) {
            Ok(()) => format!("{path}: {reason}; kept as {name}, starting without it"),
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

/// Removes the state file, so that no pending start is left to whoever starts next.
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

/// Asks the running Gatehound to count attempts from 1 again.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::own_files::tests::{mode, names};
    use proptest::prelude::*;
    use std::{os::unix::fs::symlink, process};

    fn state_file(dir: &Path) -> StateFile<Vec<u32>> {
        StateFile::new(dir, "boot")
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
    fn a_state_of_exactly_the_most_is_written_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::<String>::new(dir.path(), "boot");
        file.save(&String::new()).unwrap();
        let around = fs::metadata(&file.path).unwrap().len();
        let most = "x".repeat(usize::try_from(MAX_STATE - around).unwrap());
        file.save(&most).unwrap();
        assert_eq!(file.load(), Kept::Restored(most.clone()));
        file.save(&(most + "x")).unwrap_err();
    }

    #[test]
    fn a_state_that_is_forgotten_is_gone_and_one_that_cannot_be_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = state_file(dir.path());
        file.save(&vec![1]).unwrap();
        assert_eq!(
            [forget_state(dir.path()), forget_state(dir.path())],
            [Ok(()), Ok(())]
        );
        assert_eq!(file.load(), Kept::Fresh);
        fs::create_dir(&file.path).unwrap();
        let reason = forget_state(dir.path()).unwrap_err();
        assert!(reason.as_str().starts_with("cannot remove /"), "{reason}");
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
