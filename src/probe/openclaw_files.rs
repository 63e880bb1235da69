//! The files that make up the gateway's configuration: openclaw.json and whatever it includes.
//!
//! Owns which files belong to it, where they may lie, and the bounds on all of them together.
//! It writes nothing, and knows nothing of snapshots.

use std::{
    collections::VecDeque,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::time::{ClockId, clock_getres};

use crate::{
    os::files::{Links, line, read_limited},
    probe::openclaw_json::{self, MAX_FILE},
    text::line::Line,
};

/// Ten times as many files as a configuration that is split by agent and channel.
const MAX_FILES: usize = 64;

/// All files together, in bytes.
const MAX_TOTAL: usize = 4 * 1024 * 1024;

/// Where a configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// openclaw.json.
    pub path: PathBuf,
    /// Folders beside its own from which it may include files.
    pub include_roots: Vec<PathBuf>,
}

/// One file of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// Where the gateway reads it; the file itself may be elsewhere, behind a link.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// When it, or a link to it, was changed last, since the Unix epoch.
    ///
    /// The time of the status change, because that of the last write comes along when a file is moved into place.
    pub changed: Duration,
}

/// All files of the configuration, openclaw.json first.
///
/// # Errors
///
/// A file is missing, unreadable, too large or no JSON5, or lies where the gateway would not read it:
/// part of a configuration is none.
pub fn read(place: &Place) -> Result<Vec<ConfigFile>, Line> {
    let allowed = allowed(place);
    let mut files: Vec<ConfigFile> = Vec::new();
    let mut total = 0;
    let mut wanted = VecDeque::from([place.path.clone()]);
    while let Some(path) = wanted.pop_front() {
        if files.iter().any(|file| file.path == path) {
            continue;
        }
        let wrong = |why: &str| Line::new(&format!("{}: {why}", path.display()));
        if files.len() == MAX_FILES {
            return Err(wrong(&format!("one file more than {MAX_FILES}")));
        }
        if !files.is_empty() && !is_allowed(&path, &allowed) {
            return Err(wrong("included from outside the configuration's folder"));
        }
        let file = read_one(&path)?.ok_or_else(|| wrong("no such file"))?;
        total += file.bytes.len();
        if MAX_TOTAL < total {
            return Err(wrong(&format!(
                "the files have more than {MAX_TOTAL} bytes together"
            )));
        }
        let value = openclaw_json::value(&file.bytes).map_err(|e| wrong(e.as_str()))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        wanted.extend(
            openclaw_json::includes(&value)
                .into_iter()
                .map(|name| tidy(&folder.join(name))),
        );
        files.push(file);
    }
    Ok(files)
}

/// One file as it is, whatever is in it; none where there is none.
pub fn read_one(path: &Path) -> Result<Option<ConfigFile>, Line> {
    let wrong = |why: &Line| Line::new(&format!("{}: {why}", path.display()));
    // A link is followed: people keep this file among their dotfiles.
    let Some(contents) = read_limited(path, MAX_FILE, Links::Follow).map_err(|e| wrong(&e))? else {
        return Ok(None);
    };
    let entry = fs::symlink_metadata(path).map_err(|e| wrong(&line(&e)))?;
    Ok(Some(ConfigFile {
        path: path.to_owned(),
        changed: changed(&contents.metadata).max(changed(&entry)),
        bytes: contents.bytes,
    }))
}

/// How much later than [`ConfigFile::changed`] a file may have been changed: the kernel notes down its last tick.
///
/// That may be long ago where the CPU that counts them is held up, as that of a busy virtual machine is; another one takes
/// over once five have passed in vain (`MAX_STALLED_JIFFIES` in kernel/time/tick-sched.c), which makes six.
pub fn lag() -> Duration {
    /// The longest there is, of a kernel with 100 of them in a second.
    const LONGEST: Duration = Duration::from_millis(10);
    6 * clock_getres(ClockId::CLOCK_REALTIME_COARSE).map_or(LONGEST, Duration::from)
}

fn changed(metadata: &Metadata) -> Duration {
    let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

/// The folders files may be included from, as they are behind links.
fn allowed(place: &Place) -> Vec<PathBuf> {
    let real = fs::canonicalize(&place.path).ok();
    let folders = [place.path.parent(), real.as_deref().and_then(Path::parent)];
    let roots = place.include_roots.iter().map(PathBuf::as_path);
    let all = folders.into_iter().flatten().chain(roots);
    all.filter_map(|folder| fs::canonicalize(folder).ok())
        .collect()
}

/// Whether files in this folder, which is there, may be included.
pub fn may_hold(place: &Place, folder: &Path) -> bool {
    is_allowed(folder, &allowed(place))
}

fn is_allowed(path: &Path, allowed: &[PathBuf]) -> bool {
    // One that is missing is said to be missing, and not to be somewhere else.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    allowed.iter().any(|folder| real.starts_with(folder))
}

/// A path without `.` and `..`, by its text alone, as the gateway resolves it.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                tidied.pop();
            }
            part => tidied.push(part),
        }
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            for (name, text) in files {
                let path = folder.0.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            folder
        }

        fn place(&self) -> Place {
            Place {
                path: self.0.path().join("openclaw/openclaw.json"),
                include_roots: vec![self.0.path().join("shared")],
            }
        }

        #[track_caller]
        fn names(&self) -> Vec<String> {
            let files = read(&self.place()).unwrap();
            let name = |file: &ConfigFile| {
                file.path
                    .strip_prefix(self.0.path())
                    .unwrap()
                    .display()
                    .to_string()
            };
            files.iter().map(name).collect()
        }

        #[track_caller]
        fn refused(&self, why: &str) {
            let error = read(&self.place()).unwrap_err();
            assert!(error.as_str().contains(why), "{error}");
        }
    }

    #[test]
    fn included_files_come_along_each_once() {
        let folder = Folder::new(&[
            (
                "openclaw/openclaw.json",
                "{$include: ['./a.json5', 'sub/b.json']}",
            ),
            ("openclaw/a.json5", "{$include: 'sub/b.json'}"),
            (
                "openclaw/sub/b.json",
                "{x: {$include: '../openclaw.json'}, y: {$include: 'c.json'}}",
            ),
            ("openclaw/sub/c.json", "{}"),
        ]);
        assert_eq!(
            folder.names(),
            [
                "openclaw/openclaw.json",
                "openclaw/a.json5",
                "openclaw/sub/b.json",
                "openclaw/sub/c.json"
            ]
        );
    }

    #[test]
    fn files_are_included_from_the_folder_and_its_roots_alone() {
        let folder = Folder::new(&[("shared/a.json", "{}"), ("other/b.json", "{}")]);
        let include = |name: &str| {
            let path = folder.0.path().join(name);
            fs::create_dir_all(folder.0.path().join("openclaw")).unwrap();
            fs::write(folder.place().path, format!("{{$include: {path:?}}}")).unwrap();
        };
        include("shared/a.json");
        assert_eq!(folder.names(), ["openclaw/openclaw.json", "shared/a.json"]);
        include("other/b.json");
        folder.refused("other/b.json: included from outside");
        symlink(
            folder.0.path().join("other"),
            folder.0.path().join("openclaw/sub"),
        )
        .unwrap();
        include("openclaw/sub/b.json");
        folder.refused("openclaw/sub/b.json: included from outside");
    }

    #[test]
    fn part_of_a_configuration_is_none() {
        let folder = Folder::new(&[("openclaw/openclaw.json", "{$include: 'a.json'}")]);
        folder.refused("a.json: no such file");
        fs::write(folder.0.path().join("openclaw/a.json"), "{").unwrap();
        folder.refused("a.json: not JSON5");
        let large = vec![b' '; usize::try_from(MAX_FILE).unwrap() + 1];
        fs::write(folder.0.path().join("openclaw/a.json"), large).unwrap();
        folder.refused("a.json: larger than");
    }

    #[test]
    fn all_files_together_are_bounded_in_number_and_size() {
        let many: Vec<String> = (0..MAX_FILES).map(|i| format!("'{i}.json'")).collect();
        let folder = Folder::new(&[(
            "openclaw/openclaw.json",
            &format!("{{$include: [{}]}}", many.join(",")),
        )]);
        let large = format!("{{}}{}", " ".repeat(900 * 1024));
        for i in 0..MAX_FILES {
            fs::write(folder.0.path().join(format!("openclaw/{i}.json")), "{}").unwrap();
        }
        folder.refused("one file more than 64");
        for i in 0..5 {
            fs::write(folder.0.path().join(format!("openclaw/{i}.json")), &large).unwrap();
        }
        folder.refused("bytes together");
    }

    #[test]
    fn a_link_counts_from_when_it_was_made() {
        let folder = Folder::new(&[("dotfiles/config", "{}"), ("openclaw/x", "")]);
        let (link, target) = (folder.place().path, folder.0.path().join("dotfiles/config"));
        let before = read_one(&target).unwrap().unwrap().changed;
        // The kernel's file times are as coarse as its tick, so a link that is made at once may be as old.
        let made = loop {
            let _ = fs::remove_file(&link);
            symlink(&target, &link).unwrap();
            let file = read_one(&link).unwrap().unwrap();
            assert_eq!(file.bytes, b"{}");
            if before < file.changed {
                break file.changed;
            }
        };
        assert!(before < made);
    }

    #[test]
    fn a_file_may_be_younger_than_it_says_by_six_ticks_of_the_kernel() {
        // It counts 100 to 1000 of them in a second.
        let [shortest, longest] = [6, 60].map(Duration::from_millis);
        assert!((shortest..=longest).contains(&lag()), "{:?}", lag());
    }
}
