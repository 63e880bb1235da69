//! How Gatehound writes what is its own: private files and folders, and the programs and units of `install`.
//!
//! A crash at any moment leaves the old or the new file, never half of one.
//! Knows nothing of what the files mean.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    process,
};

use crate::{
    os::{fault, files::line},
    text::line::Line,
};

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

/// Removes a file; one that is not there is removed.
///
/// # Errors
///
/// The disk is read-only, or the folder somebody else's.
pub fn remove(path: &Path) -> Result<(), Line> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(cannot("remove", path, &e)),
        Ok(()) | Err(_) => Ok(()),
    }
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

/// An error about a file as one line: what could not be done to what, and why.
pub(crate) fn cannot(verb: &str, path: &Path, error: &io::Error) -> Line {
    Line::new(&format!(
        "cannot {verb} {}: {}",
        path.display(),
        line(error)
    ))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::{os::unix::fs::symlink, path::PathBuf};

    pub(crate) fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
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
    fn a_file_that_is_not_there_is_removed_and_a_folder_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"").unwrap();
        assert_eq!([remove(&path), remove(&path)], [Ok(()), Ok(())]);
        let reason = remove(dir.path()).unwrap_err();
        assert!(reason.as_str().starts_with("cannot remove /"), "{reason}");
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
        let reason = ensure_private_dir(&dir.path().join("file")).unwrap_err();
        assert!(reason.as_str().contains("not a folder"), "{reason}");
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
}
