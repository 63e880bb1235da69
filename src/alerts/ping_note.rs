//! The note about the ping: why it fails, as long as it does.
//!
//! Owns a file in the runtime folder; each ping is a process of its own, and this is what one tells the next.
//! Knows nothing of how a ping is sent.

use std::path::{Path, PathBuf};

use crate::os::own_files::{ensure_private_dir, remove, write_atomic};
use crate::{
    os::files::{Links, read_limited},
    text::line::Line,
};

/// More than the longest line has bytes.
const MAX: u64 = 4 * 1024;

fn path(dir: &Path) -> PathBuf {
    dir.join("ping-failed")
}

/// Why the last ping failed, if it did.
pub fn failure(dir: &Path) -> Option<Line> {
    let contents = read_limited(&path(dir), MAX, Links::Refuse).ok()??;
    Some(Line::lossy(&contents.bytes))
}

/// Notes how a ping ended; none is a success.
///
/// # Errors
///
/// The runtime folder cannot be written to.
pub fn note(dir: &Path, failed: Option<&Line>) -> Result<(), Line> {
    let path = path(dir);
    match failed {
        Some(why) if failure(dir).as_ref() == Some(why) => Ok(()),
        Some(why) => {
            ensure_private_dir(dir)?;
            write_atomic(&path, why.as_str().as_bytes())
        }
        None => remove(&path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_noted_until_a_ping_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("gatehound");
        note(&dir, None).unwrap();
        assert_eq!(failure(&dir), None);
        for why in ["status 503", "status 503", "no answer within 15s"] {
            note(&dir, Some(&why.into())).unwrap();
            assert_eq!(failure(&dir), Some(why.into()));
        }
        note(&dir, None).unwrap();
        assert_eq!(failure(&dir), None);
    }
}
