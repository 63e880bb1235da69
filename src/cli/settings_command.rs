//! `gatehound settings`: the settings, without starting anything.

use crate::cli::console::say;
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
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
    other_watchdogs::unit_files::{UnitText, file_alone},
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
            Cell::new(if is_found(one) { FOUND } else { &one.origin }),
        ]);
    }
    Ok(ExitCode::SUCCESS)
}

/// The port is the gateway's own where no setting names it.
const FOUND: &str = "default: where the unit listens; gatehound check says where";

fn is_found(shown: &layers::Shown) -> bool {
    shown.key == "gateway.port" && serde_json::from_str::<u16>(&shown.value).is_err()
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
    sources.watchdog = watchdog(&sources);
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

/// What the settings have to fit into: `WatchdogSec=` of the unit's files, or of the shipped unit where they cannot be asked
/// for; none where they have no watchdog.
///
/// The manager's own number is no help: `WATCHDOG_USEC=` changes it for as long as a gateway is not healthy.
pub(crate) fn watchdog(sources: &Sources) -> Option<Duration> {
    let unit = shipped_unit(sources.profile.as_deref());
    let files = manager().ok().and_then(|mut manager| {
        let fragment = manager.fragment_path(&unit).ok()?;
        let drop_ins = manager.drop_ins(&unit).unwrap_or_default();
        file_alone(Path::new(&fragment)).map(|text| {
            let more = drop_ins.iter().filter_map(|it| file_alone(Path::new(it)));
            [text].into_iter().chain(more).collect::<Vec<_>>()
        })
    });
    files.map_or(Some(SHIPPED_WATCHDOG), |files| watchdog_of(&files))
}

/// `WatchdogSec=` of a unit's file and its drop-ins, in the order in which systemd reads them; what it cannot read it leaves out.
fn watchdog_of(files: &[UnitText]) -> Option<Duration> {
    let values = files.iter().flat_map(|file| file.all("WatchdogSec"));
    let span = |value: &str| match value.parse().map(Duration::from_secs) {
        Ok(seconds) => Some(seconds),
        Err(_) if value == "infinity" => Some(Duration::ZERO),
        Err(_) => humantime::parse_duration(value).ok(),
    };
    values
        .filter_map(span)
        .next_back()
        .filter(|watchdog| !watchdog.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_watchdog_is_what_the_units_files_say_last() {
        let folder = tempfile::tempdir().unwrap();
        let of = |files: &[&str]| {
            let files = files.iter().enumerate().map(|(number, text)| {
                let path = folder.path().join(number.to_string());
                fs::write(&path, format!("[Service]\n{text}\n")).unwrap();
                file_alone(&path).unwrap()
            });
            watchdog_of(&files.collect::<Vec<_>>()).map(|watchdog| watchdog.as_secs())
        };
        for (files, seconds) in [
            (&["WatchdogSec=90"][..], Some(90)),
            (&["WatchdogSec=90", "WatchdogSec = 2min 5s"], Some(125)),
            (&["WatchdogSec=20h", "Nice=1"], Some(72_000)),
            // systemd keeps the one before as well.
            (&["WatchdogSec=90\nWatchdogSec=soon"], Some(90)),
            (&["#WatchdogSec=90"], None),
            (&["WatchdogSec=90", "WatchdogSec=0"], None),
            (&["WatchdogSec=90", "WatchdogSec=infinity"], None),
        ] {
            assert_eq!(of(files), seconds, "{files:?}");
        }
    }
}
