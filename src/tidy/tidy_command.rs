//! `gatehound tidy`: the gateway's own log files, kept from filling the disk; what gatehound-tidy.timer runs.

use crate::cli::console::say;
use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use crate::{
    text::line::Line,
    tidy::gateway_logs::{Limits, Tidied, tidy},
};

/// Bytes of a megabyte, as disks are sold.
const MEGABYTE: u64 = 1_000_000;

/// Where the gateway writes logs unless it is told otherwise; the second is for when somebody else has the first.
///
/// Source: OpenClaw 2026.9.6, src/logging.
fn usual_folders() -> Vec<PathBuf> {
    let uid = nix::unistd::geteuid();
    vec![
        PathBuf::from("/tmp/openclaw"),
        PathBuf::from(format!("/tmp/openclaw-{uid}")),
    ]
}

/// Tidies each folder, and says what was done; 1 if something could not be.
pub(crate) fn command(
    folders: Vec<PathBuf>,
    keep: Duration,
    max_size: u64,
    dry_run: bool,
) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    // Those that are usual need not be there, one that was asked for does.
    for folder in folders.iter().filter(|folder| !folder.exists()) {
        say!("left     {}: no such folder", folder.display());
        failed = true;
    }
    let folders = if folders.is_empty() {
        usual_folders()
    } else {
        folders
    };
    let limits = Limits {
        age: keep,
        size: max_size.saturating_mul(MEGABYTE),
    };
    let would = if dry_run { "would be " } else { "" };
    for folder in folders {
        let tidied = tidy(&folder, limits, SystemTime::now(), dry_run)
            .unwrap_or_else(|why| vec![Tidied::Left(why)]);
        for tidied in tidied {
            match tidied {
                Tidied::Deleted(path) => say!("{would}deleted  {}", line(path)),
                Tidied::Emptied(path) => say!("{would}emptied  {}", line(path)),
                Tidied::Left(why) => {
                    say!("left     {why}");
                    failed = true;
                }
            }
        }
    }
    Ok(ExitCode::from(u8::from(failed)))
}

fn line(path: PathBuf) -> Line {
    Line::new(&path.display().to_string())
}
