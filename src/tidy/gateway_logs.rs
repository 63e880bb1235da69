//! Tidying: old log files of the gateway are deleted, large ones emptied.
//!
//! Owns which files may be touched: regular files of this user, in a folder of this user, under one name only.
//! A link is never followed, and everything is done relative to the folder as it was when it was judged.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::stat::{FileStat, Mode, SFlag, fstat, fstatat},
    unistd::{UnlinkatFlags, unlinkat},
};

use crate::os::own_files::cannot;
use crate::text::line::Line;

/// What is too old, and what too large.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A file that was last written to longer ago is deleted.
    pub age: Duration,
    /// A larger file is emptied, in bytes.
    pub size: u64,
}

/// What is to be done to one file, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tidied {
    /// It was too old.
    Deleted(PathBuf),
    /// It was too large. Whoever has it open goes on writing to it.
    Emptied(PathBuf),
    /// It is too old or too large, and nothing was done about it.
    Left(Line),
}

/// Tidies the log files of one folder; a folder that is not there has none.
///
/// # Errors
///
/// The folder is a link, belongs to somebody else, can be written to by others, or cannot be read.
pub fn tidy(
    folder: &Path,
    limits: Limits,
    now: SystemTime,
    dry_run: bool,
) -> Result<Vec<Tidied>, Line> {
    let Some(opened) = open(folder)? else {
        return Ok(Vec::new());
    };
    let mut names: Vec<_> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
        .map_err(|e: io::Error| cannot("list", folder, &e))?;
    names.retain(|name| is_log(name));
    names.sort();
    let mut done = Vec::new();
    for name in names {
        let path = folder.join(&name);
        match tidy_file(&opened, &name, &path, limits, now, dry_run) {
            Ok(tidied) => done.extend(tidied),
            Err(e) => done.push(Tidied::Left(cannot("tidy", &path, &e.into()))),
        }
    }
    Ok(done)
}

/// Opens a folder that is nobody else's.
fn open(folder: &Path) -> Result<Option<OwnedFd>, Line> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = match nix::fcntl::open(folder, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::ENOENT) => return Ok(None),
        Err(e) => return Err(cannot("open the folder", folder, &e.into())),
    };
    let stat = fstat(&opened).map_err(|e| cannot("look at", folder, &e.into()))?;
    let refused = |why: &str| Line::new(&format!("{}: {why}; left alone", folder.display()));
    if stat.st_uid != nix::unistd::geteuid().as_raw() {
        return Err(refused("belongs to somebody else"));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(refused("others may write to it"));
    }
    Ok(Some(opened))
}

/// A log, or one that was rotated: `x.log`, `x.log.1`.
fn is_log(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let name = name.strip_suffix('.').unwrap_or(name);
        name.ends_with(".log")
    })
}

fn tidy_file(
    folder: &impl AsFd,
    name: &OsStr,
    path: &Path,
    limits: Limits,
    now: SystemTime,
    dry_run: bool,
) -> nix::Result<Option<Tidied>> {
    let stat = fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let is_old = now
        .duration_since(modified(&stat))
        .is_ok_and(|age| limits.age < age);
    let is_large = limits.size < u64::try_from(stat.st_size).unwrap_or(0);
    if !(is_old || is_large) || !is_plain(&stat) {
        return Ok(None);
    }
    if is_old {
        if !dry_run {
            unlinkat(folder, name, UnlinkatFlags::NoRemoveDir)?;
        }
        return Ok(Some(Tidied::Deleted(path.to_owned())));
    }
    if !dry_run {
        empty(folder, name)?;
    }
    Ok(Some(Tidied::Emptied(path.to_owned())))
}

fn empty(folder: &impl AsFd, name: &OsStr) -> nix::Result<()> {
    // Non-blocking, in case a FIFO has taken the file's place.
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(folder, name, flags, Mode::empty())?;
    if !is_plain(&fstat(&file)?) {
        return Err(Errno::EINVAL);
    }
    File::from(file)
        .set_len(0)
        .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))
}

/// A regular file of this user that has no other name, so that nothing else is lost with it.
fn is_plain(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
        && stat.st_uid == nix::unistd::geteuid().as_raw()
        && stat.st_nlink == 1
}

fn modified(stat: &FileStat) -> SystemTime {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    const LIMITS: Limits = Limits {
        age: Duration::from_secs(7 * 86_400),
        size: 1000,
    };

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        folder
    }

    /// A file of so many bytes that was written to so many days ago.
    fn file(path: &Path, size: usize, days: u64) {
        fs::write(path, vec![b'x'; size]).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        let then = SystemTime::now() - Duration::from_secs(days * 86_400 + 60);
        file.set_modified(then).unwrap();
    }

    fn tidied(folder: &Path, dry_run: bool) -> Vec<Tidied> {
        tidy(folder, LIMITS, SystemTime::now(), dry_run).unwrap()
    }

    #[test]
    fn an_old_log_is_deleted_and_a_large_one_emptied() {
        let dir = folder();
        let at = |name: &str| dir.path().join(name);
        file(&at("old.log"), 1, 7);
        file(&at("old.log.3"), 1, 7);
        file(&at("large.log"), 1001, 0);
        file(&at("young.log"), 1000, 6);
        file(&at("old.txt"), 5000, 9);
        file(&at("log"), 5000, 9);
        let expected = [
            Tidied::Emptied(at("large.log")),
            Tidied::Deleted(at("old.log")),
            Tidied::Deleted(at("old.log.3")),
        ];
        assert_eq!(tidied(dir.path(), true), expected);
        assert!(at("old.log").exists());
        assert_eq!(tidied(dir.path(), false), expected);
        assert!(!at("old.log").exists() && !at("old.log.3").exists());
        assert_eq!(fs::metadata(at("large.log")).unwrap().len(), 0);
        assert_eq!(fs::metadata(at("young.log")).unwrap().len(), 1000);
        assert!(at("old.txt").exists() && at("log").exists());
        assert_eq!(tidied(dir.path(), false), []);
    }

    #[test]
    fn a_link_is_never_followed() {
        let dir = folder();
        let elsewhere = folder();
        let target = elsewhere.path().join("target.log");
        file(&target, 5000, 9);
        symlink(&target, dir.path().join("soft.log")).unwrap();
        fs::hard_link(&target, dir.path().join("hard.log")).unwrap();
        fs::create_dir(dir.path().join("folder.log")).unwrap();
        assert_eq!(tidied(dir.path(), false), []);
        assert_eq!(fs::metadata(&target).unwrap().len(), 5000);
        let link = elsewhere.path().join("link");
        symlink(dir.path(), &link).unwrap();
        tidy(&link, LIMITS, SystemTime::now(), false).unwrap_err();
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_left_alone() {
        let dir = folder();
        file(&dir.path().join("old.log"), 1, 9);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
        let refused = tidy(dir.path(), LIMITS, SystemTime::now(), false).unwrap_err();
        assert!(
            refused.as_str().contains("others may write to it"),
            "{refused}"
        );
        assert!(dir.path().join("old.log").exists());
    }

    #[test]
    fn a_folder_that_is_not_there_has_nothing_to_tidy() {
        assert_eq!(tidied(Path::new("/nonexistent/openclaw"), false), []);
    }
}
