//! `gatehound settings`: the settings, without starting anything.

use crate::cli::console::say;
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use crate::cli::{
    answers,
    console::{self, manager, shipped_unit},
    show::{Cell, Tone, line, row, width},
};
use crate::{
    metrics::textfile,
    os::files::{Links, read_limited},
    settings::layers::{self, Sources},
};

/// WatchdogSec of the shipped unit, for a machine on which the unit cannot be asked.
const SHIPPED_WATCHDOG: Duration = Duration::from_secs(90);

/// More than the kernel takes of a program's environment that a manager gives.
const MAX_ENVIRONMENT: u64 = 1024 * 1024;

/// As the running Gatehound has them: its variables and `--set`, which its drop-ins may have changed, instead of those of
/// the shell; as they are where none runs. What is set for this command comes over all.
pub(crate) fn of_the_running(mut sources: Sources) -> Sources {
    let unit = shipped_unit(sources.profile.as_deref());
    let facts = manager()
        .ok()
        .and_then(|mut manager| manager.unit(&unit).ok());
    let pid = facts.map_or(0, |facts| facts.main_pid);
    let read = |name: &str| {
        let path = PathBuf::from(format!("/proc/{pid}/{name}"));
        let contents = read_limited(&path, MAX_ENVIRONMENT, Links::Refuse).ok()??;
        let words = contents.bytes.split(|byte| *byte == 0);
        Some(words.map(<[u8]>::to_vec).collect::<Vec<_>>())
    };
    let (Some(environment), Some(arguments)) = (read("environ"), read("cmdline")) else {
        return sources;
    };
    sources.variables.retain(|name, _| !is_setting(name));
    let variables = environment.into_iter().filter_map(|variable| {
        let at = variable.iter().position(|byte| *byte == b'=')?;
        let (name, value) = variable.split_at(at);
        let value = OsString::from_vec(value.get(1..)?.to_vec());
        Some((OsString::from_vec(name.to_vec()), value))
    });
    let settings = variables.filter(|(name, _)| is_setting(name));
    sources.variables.extend(settings);
    let mut overrides = Vec::new();
    let mut arguments = arguments
        .into_iter()
        .map(|argument| String::from_utf8_lossy(&argument).into_owned());
    while let Some(argument) = arguments.next() {
        if argument == "--set" {
            overrides.extend(arguments.next());
        } else if let Some(value) = argument.strip_prefix("--set=") {
            overrides.push(value.to_owned());
        }
    }
    overrides.append(&mut sources.overrides);
    Sources {
        overrides,
        ..sources
    }
}

fn is_setting(name: &OsStr) -> bool {
    name.as_bytes().starts_with(layers::PREFIX.as_bytes())
}

/// Prints every effective value and its origin.
pub(crate) fn show(sources: Sources, json: bool) -> anyhow::Result<ExitCode> {
    let shown = layers::show(&layers::load(&of_the_running(sources))?);
    if json {
        let settings = shown.into_iter().map(answer).collect();
        answers::say(&answers::Settings { settings });
        return Ok(ExitCode::SUCCESS);
    }
    let key = shown.iter().map(|one| width(&one.key)).max().unwrap_or(0);
    let value = shown.iter().map(|one| width(&one.value)).max();
    for one in &shown {
        row(&[
            Cell::left(&one.key, key),
            Cell::left(&one.value, value.unwrap_or(0)),
            Cell::new(&one.origin),
        ]);
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(shown: layers::Shown) -> answers::Setting {
    answers::Setting {
        // What is not set and what is hidden is no value.
        value: serde_json::from_str(&shown.value).unwrap_or_default(),
        hidden: shown.value == layers::HIDDEN,
        key: shown.key,
        origin: shown.origin,
    }
}

/// Says whether `run` would accept the settings.
pub(crate) fn check(sources: Sources) -> anyhow::Result<ExitCode> {
    let mut sources = of_the_running(sources);
    sources.watchdog = Some(watchdog(&sources));
    let loaded = layers::load(&sources)?;
    for warning in &loaded.warnings {
        warn(warning.as_str());
    }
    let textfile = console::textfile(&sources, &loaded.settings);
    if let Some(why) = textfile.as_deref().and_then(textfile::obstacle) {
        warn(&format!(
            "metrics.textfile: {why}; without metrics until it can be written"
        ));
    }
    say!("the settings are right");
    Ok(ExitCode::SUCCESS)
}

fn warn(what: &str) {
    line(&[
        (Tone::Warning, "warning"),
        (Tone::Plain, ": "),
        (Tone::Plain, what),
    ]);
}

/// What the settings have to fit into.
pub(crate) fn watchdog(sources: &Sources) -> Duration {
    let unit = shipped_unit(sources.profile.as_deref());
    let asked = manager()
        .ok()
        .and_then(|mut manager| manager.watchdog_usec(&unit).ok().flatten());
    asked
        .filter(|watchdog| !watchdog.is_zero())
        .unwrap_or(SHIPPED_WATCHDOG)
}
