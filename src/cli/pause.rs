//! `gatehound pause`, `resume` and `reset`: what a human asks of the running Gatehound.

use std::{process::ExitCode, time::Duration};

use anyhow::{anyhow, bail};

use crate::{
    act::{files, pause},
    decide::{settings::Settings, status::span},
    line::Line,
    sense::{
        boot_id,
        clock::Clock,
        config::{self, Sources},
        folders,
    },
};

/// Keeps Gatehound's hands off the gateway for a while.
pub(super) fn pause(
    sources: &Sources,
    span_given: Option<Duration>,
    reason: &str,
) -> anyhow::Result<ExitCode> {
    // A wrong config must not keep a human from pausing.
    let settings =
        config::load(sources).map_or_else(|_| Settings::default(), |loaded| loaded.settings);
    let length = span_given.unwrap_or(settings.pause.default);
    let boot_id = boot_id::get().map_err(own)?;
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    pause::set(&dir, &boot_id, Clock.boottime(), length, reason).map_err(own)?;
    let profile = folders::profile_option(sources.profile.as_deref());
    say!(
        "paused for {}; gatehound resume{profile} ends it",
        span(length)
    );
    Ok(ExitCode::SUCCESS)
}

/// Ends a pause.
pub(super) fn resume(sources: &Sources) -> anyhow::Result<ExitCode> {
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    let lifted = pause::lift(&dir).map_err(own)?;
    say!(
        "{}",
        if lifted {
            "resumed"
        } else {
            "was not paused by gatehound pause"
        }
    );
    let settings =
        config::load(sources).map_or_else(|_| Settings::default(), |loaded| loaded.settings);
    let flag = settings.pause.flag_file;
    if flag.symlink_metadata().is_ok() {
        bail!(
            "the flag file {} is still there; remove it to end its pause: rm {0}",
            flag.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends the ladder back to its first rung.
pub(super) fn reset(sources: &Sources) -> anyhow::Result<ExitCode> {
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    files::request_reset(&dir).map_err(own)?;
    say!("reset asked for; gatehound status shows what comes of it");
    Ok(ExitCode::SUCCESS)
}

fn own(line: Line) -> anyhow::Error {
    anyhow!("{line}")
}
