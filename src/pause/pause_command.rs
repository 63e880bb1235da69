//! `gatehound pause`, `resume` and `reset`: what a human asks of the running Gatehound.

use crate::cli::console::say;
use std::{
    ffi::OsStr,
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::{anyhow, bail};
use nix::unistd::{geteuid, getppid};

use crate::cli::{
    answers,
    console::{settings, shipped_unit},
};
use crate::{
    os::{
        boot_id,
        clock::Clock,
        files::{Links, read_limited},
        folders, lock, state_file, wall_clock,
    },
    pause::{pause_file, pause_write},
    settings::{Settings, layers::Sources},
    text::{line::Line, words::span},
};

/// More than the kernel keeps of a program's name.
const MAX_NAME: u64 = 64;

/// Has Gatehound leave the gateway alone for a while.
pub(crate) fn pause(
    sources: &Sources,
    span_given: Option<Duration>,
    reason: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    // A wrong config must not keep a human from pausing.
    let settings = settings(sources);
    let boot_id = boot_id::get().map_err(own)?;
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    let profile = folders::profile_option(sources.profile.as_deref());
    let before = look(&settings, &dir, &profile)?;
    let left = before.pause.as_ref().and_then(|pause| pause.remaining);
    let left = left.filter(|_| before.given.is_some());
    // Only a human who says for how long means that a pause shall end sooner than it would.
    let usual = settings.pause.default;
    let length = span_given.unwrap_or_else(|| left.map_or(usual, |left| left.max(usual)));
    let by = who(sources);
    pause_write::set(&dir, &boot_id, Clock.boottime(), length, reason, by).map_err(own)?;
    let now = wall_clock::now();
    let until = now.saturating_add(length);
    if json {
        answers::say(&answers::Paused {
            seconds: length.as_secs(),
            until: wall_clock::utc(until),
            heeded: lock::is_watched(&dir),
        });
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "paused for {}; gatehound resume{profile} ends it before {}",
        span(length),
        wall_clock::local(until)
    );
    if let (Some(left), Some(pause)) = (left, &before.pause) {
        let end = wall_clock::local(now.saturating_add(left));
        let (by, reason) = (given_by(&before), &pause.reason);
        let sooner = if length < left {
            ", and ends sooner"
        } else {
            ""
        };
        say!("it replaces the pause until {end}{by}: {reason}{sooner}");
    }
    unheeded(sources, &dir);
    Ok(ExitCode::SUCCESS)
}

/// Pauses for a span, or for as long as it is paused already; until when, in words.
pub(crate) fn at_least(sources: &Sources, length: Duration, by: &str) -> anyhow::Result<String> {
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    let profile = folders::profile_option(sources.profile.as_deref());
    let before = look(&settings(sources), &dir, &profile)?;
    let left = before.pause.as_ref().and_then(|pause| pause.remaining);
    let length = left.map_or(length, |left| left.max(length));
    let boot_id = boot_id::get().map_err(own)?;
    let now = Clock.boottime();
    pause_write::set(&dir, &boot_id, now, length, "", Line::new(by)).map_err(own)?;
    let until = wall_clock::local(wall_clock::now().saturating_add(length));
    Ok(format!(
        "paused until {until}; gatehound resume{profile} ends it before"
    ))
}

/// Who asks: the user, and the program from which they do.
fn who(sources: &Sources) -> Line {
    let variable = |name: &str| sources.variables.get(OsStr::new(name));
    let user = variable("SUDO_USER").or_else(|| variable("USER"));
    let user = user.map_or_else(
        || geteuid().to_string(),
        |user| user.to_string_lossy().into_owned(),
    );
    // A shell, or whatever runs a script that does it.
    let parent = format!("/proc/{}/comm", getppid());
    let from = read_limited(Path::new(&parent), MAX_NAME, Links::Refuse);
    let from = from.ok().flatten();
    let from = from.map(|from| format!(" ({})", String::from_utf8_lossy(&from.bytes).trim()));
    Line::new(&format!("{user}{}", from.unwrap_or_default()))
}

/// By whom a pause is, in words; nothing where it is not known.
pub(crate) fn given_by(found: &pause_file::Found) -> String {
    let by = found.given.as_ref().map(|(_, by)| by.as_str());
    let by = by.filter(|by| !by.is_empty());
    by.map_or_else(String::new, |by| format!(" by {by}"))
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
    let settings = settings(sources);
    let profile = folders::profile_option(sources.profile.as_deref());
    let before = look(&settings, &dir, &profile)?;
    if pause_write::lift(&dir).map_err(own)? {
        let lasted = before.given.as_ref().map(|(ago, _)| span(*ago));
        let lasted = lasted.map_or_else(String::new, |lasted| format!(" after {lasted}"));
        say!("resumed{lasted}; how the gateway is: gatehound status{profile}");
    } else {
        say!("was not paused by gatehound pause");
    }
    let found = look(&settings, &dir, &profile)?;
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
