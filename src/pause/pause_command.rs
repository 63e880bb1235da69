//! `gatehound pause`, `resume` and `reset`: what a human asks of the running Gatehound.

use crate::cli::console::say;
use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::{anyhow, bail};

use crate::cli::{
    answers,
    console::{settings, shipped_unit},
};
use crate::{
    os::{boot_id, clock::Clock, folders, lock, state_file, wall_clock},
    pause::{pause_file, pause_write},
    settings::{Settings, layers::Sources},
    text::{line::Line, words::span},
};

/// Has Gatehound leave the gateway alone for a while.
pub(crate) fn pause(
    sources: &Sources,
    span_given: Option<Duration>,
    reason: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    // A wrong config must not keep a human from pausing.
    let settings = settings(sources);
    let length = span_given.unwrap_or(settings.pause.default);
    let boot_id = boot_id::get().map_err(own)?;
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    pause_write::set(&dir, &boot_id, Clock.boottime(), length, reason).map_err(own)?;
    if json {
        answers::say(&answers::Paused {
            seconds: length.as_secs(),
            until: wall_clock::utc(wall_clock::now().saturating_add(length)),
            heeded: lock::is_watched(&dir),
        });
        return Ok(ExitCode::SUCCESS);
    }
    let profile = folders::profile_option(sources.profile.as_deref());
    say!(
        "paused for {}; gatehound resume{profile} ends it",
        span(length)
    );
    unheeded(sources, &dir);
    Ok(ExitCode::SUCCESS)
}

/// What a look at the pause says now.
pub(crate) fn look(
    settings: &Settings,
    dir: &Path,
    profile: &str,
) -> anyhow::Result<pause_file::Found> {
    let places = pause_file::Places {
        dir,
        flag_file: &settings.pause.flag_file,
        boot_id: &boot_id::get().map_err(own)?,
        uid: nix::unistd::geteuid().as_raw(),
        doubtful: settings.pause.default,
        profile,
    };
    let now = pause_file::Now {
        boottime: Clock.boottime(),
        wall: SystemTime::now(),
    };
    Ok(pause_file::look(&places, now))
}

/// Says so where nobody is there to heed a human's wish.
fn unheeded(sources: &Sources, dir: &Path) {
    if !lock::is_watched(dir) {
        say!(
            "Gatehound is not running and heeds it once it does; start it: systemctl --user start {}",
            shipped_unit(sources.profile.as_deref())
        );
    }
}

/// Ends a pause.
pub(crate) fn resume(sources: &Sources) -> anyhow::Result<ExitCode> {
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    let lifted = pause_write::lift(&dir).map_err(own)?;
    say!(
        "{}",
        if lifted {
            "resumed"
        } else {
            "was not paused by gatehound pause"
        }
    );
    let settings = settings(sources);
    let found = look(
        &settings,
        &dir,
        &folders::profile_option(sources.profile.as_deref()),
    )?;
    if found.pause.is_some() {
        bail!(
            "the flag file {} is still there; remove it to end its pause: rm {0}",
            settings.pause.flag_file.display()
        );
    }
    for warning in found.warnings {
        say!("{warning}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Has Gatehound count attempts from 1 again.
pub(crate) fn reset(sources: &Sources) -> anyhow::Result<ExitCode> {
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    state_file::request_reset(&dir).map_err(own)?;
    let profile = folders::profile_option(sources.profile.as_deref());
    say!("reset asked for; gatehound status{profile} shows what comes of it");
    unheeded(sources, &dir);
    Ok(ExitCode::SUCCESS)
}

fn own(line: Line) -> anyhow::Error {
    anyhow!("{line}")
}
