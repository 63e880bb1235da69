//! Reading small files that somebody else may have put there.
//!
//! Owns the bounds: regular files only, a size limit, no waiting on a FIFO.
//! Knows nothing of what the files mean.

use std::{
    fs::{Metadata, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use nix::fcntl::OFlag;

use crate::text::line::Line;

/// More than a small file mostly has, in bytes.
const USUAL_FILE: u64 = 1024;

/// A file, and what the kernel says of it.
#[derive(Debug)]
pub struct Contents {
    /// The bytes, all of them.
    pub bytes: Vec<u8>,
    /// Owner, mode and times of the very file that was read.
    pub metadata: Metadata,
}

/// Whether a symbolic link in the last component is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// For files a human keeps, perhaps in a folder of dotfiles elsewhere.
    Follow,
    /// For files only Gatehound writes.
    Refuse,
}

/// Reads a regular file of at most `max` bytes; `None` when there is none.
///
/// The error says what is there instead, without the path.
pub fn read_limited(path: &Path, max: u64, links: Links) -> Result<Option<Contents>, Line> {
    // Non-blocking, because opening a FIFO would otherwise wait for a writer.
    let mut flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    if links == Links::Refuse {
        flags |= OFlag::O_NOFOLLOW;
    }
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if e.raw_os_error() == Some(nix::libc::ELOOP) => {
            return Err("a symbolic link, not a file".into());
        }
        Err(e) => return Err(line(&e)),
    };
    let metadata = file.metadata().map_err(|e| line(&e))?;
    if !metadata.is_file() {
        return Err("not a regular file".into());
    }
    // The kernel's own files tell no size; most of them fit at once.
    let size = metadata.len().clamp(USUAL_FILE, max.max(USUAL_FILE));
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    // One byte more than allowed, because the size may change between fstat and read.
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| line(&e))?;
    if max < u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
        return Err(Line::new(&format!("larger than {max} bytes")));
    }
    Ok(Some(Contents { bytes, metadata }))
}

/// The last `max` bytes of a regular file; `None` where they cannot be had.
pub fn read_end(path: &Path, max: u64) -> Option<Vec<u8>> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let mut file = opened.ok()?;
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    file.seek(SeekFrom::Start(metadata.len().saturating_sub(max)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// An error of the operating system as one line.
pub fn line(error: &io::Error) -> Line {
    Line::new(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::{sys::stat::Mode, unistd::mkfifo};
    use std::{fs, os::unix::fs::symlink};

    #[track_caller]
    fn check_refused(path: &Path, links: Links, expected: &str) {
        let reason = read_limited(path, 10, links).unwrap_err();
        assert_eq!(reason.as_str(), expected);
    }

    #[test]
    fn up_to_the_limit_is_read_and_one_byte_more_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"0123456789").unwrap();
        let contents = read_limited(&path, 10, Links::Refuse).unwrap().unwrap();
        assert_eq!(contents.bytes, b"0123456789");
        fs::write(&path, b"0123456789a").unwrap();
        check_refused(&path, Links::Refuse, "larger than 10 bytes");
    }

    #[test]
    fn a_missing_file_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let found = read_limited(&dir.path().join("none"), 10, Links::Refuse).unwrap();
        assert!(found.is_none());
    }

    #[test]
    fn links_are_followed_only_where_a_human_keeps_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, b"x").unwrap();
        symlink(&target, &link).unwrap();
        check_refused(&link, Links::Refuse, "a symbolic link, not a file");
        let contents = read_limited(&link, 10, Links::Follow).unwrap().unwrap();
        assert_eq!(contents.bytes, b"x");
    }

    #[test]
    fn folders_fifos_and_devices_are_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        check_refused(dir.path(), Links::Refuse, "not a regular file");
        let fifo = dir.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        check_refused(&fifo, Links::Refuse, "not a regular file");
        check_refused(Path::new("/dev/zero"), Links::Follow, "not a regular file");
    }

    #[test]
    fn what_else_stands_in_the_way_is_said_as_the_kernel_says_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let below = file.path().join("file");
        check_refused(&below, Links::Follow, "Not a directory (os error 20)");
    }

    #[test]
    fn of_a_long_file_the_end_is_read_and_of_a_fifo_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(read_end(&path, 4), None);
        fs::write(&path, b"0123456789").unwrap();
        assert_eq!(read_end(&path, 4).unwrap(), b"6789");
        assert_eq!(read_end(&path, 20).unwrap(), b"0123456789");
        let fifo = dir.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        assert_eq!(read_end(&fifo, 4), None);
        assert_eq!(read_end(dir.path(), 4), None);
    }
}
