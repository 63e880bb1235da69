//! Giving and ending a pause: `gatehound pause` and `gatehound resume`.
//!
//! Owns the writing of pause.json; what it means is `pause::pause_file`'s business.

use std::{fs, io, path::Path, time::Duration};

use crate::{
    os::own_files::{cannot, ensure_private_dir, write_atomic},
    pause::pause_file::{PauseFile, path},
    settings::MAX_SPAN,
    text::line::Line,
};

/// Pauses for `span` from `now`, which is CLOCK_BOOTTIME; replaces a pause already given.
///
/// Works without a running Gatehound, which finds the pause when it starts.
pub fn set(
    dir: &Path,
    boot_id: &str,
    now: Duration,
    span: Duration,
    reason: &str,
    by: Line,
) -> Result<(), Line> {
    if span.is_zero() || MAX_SPAN < span {
        let span = crate::settings::values::spelled(span);
        return Err(Line::new(&format!(
            "cannot pause for {span}: it must be longer than 0s and not longer than a year"
        )));
    }
    let reason = Line::new(reason);
    let file = PauseFile {
        boot_id: boot_id.to_owned(),
        since: micros(now),
        until: micros(now.saturating_add(span)),
        reason: if reason.as_str().is_empty() {
            "no reason given".into()
        } else {
            reason
        },
        by,
    };
    let bytes = serde_json::to_vec(&file)
        .map_err(|e| Line::new(&format!("cannot write the pause as JSON: {e}")))?;
    ensure_private_dir(dir)?;
    write_atomic(&path(dir), &bytes)
}

/// Ends the pause that [`set`] gave; whether there was one. A flag file is its owner's to remove.
pub fn lift(dir: &Path) -> Result<bool, Line> {
    let path = path(dir);
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(cannot("remove", &path, &e)),
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_no_time_or_above_a_year_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for span in [Duration::ZERO, MAX_SPAN + Duration::from_secs(1)] {
            set(
                dir.path(),
                "boot",
                Duration::ZERO,
                span,
                "",
                Line::default(),
            )
            .unwrap_err();
        }
        set(
            dir.path(),
            "boot",
            Duration::ZERO,
            MAX_SPAN,
            "",
            Line::default(),
        )
        .unwrap();
    }

    #[test]
    fn the_longest_reason_still_fits() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = dir.path().join("gatehound");
        let reason = "\u{10ffff}\"".repeat(100_000);
        let hour = Duration::from_secs(3600);
        set(&runtime, "boot", hour, hour, &reason, Line::default()).unwrap();
        let size = fs::metadata(path(&runtime)).unwrap().len();
        assert!(size < 16 * 1024, "{size} bytes");
    }
}
