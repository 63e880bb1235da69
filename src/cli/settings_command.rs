//! `gatehound settings`: the settings, without starting anything.

use crate::cli::console::say;
use std::{process::ExitCode, time::Duration};

use crate::cli::{
    answers,
    console::{self, manager, shipped_unit},
    show::{Cell, Tone, line, row, width},
};
use crate::{
    metrics::textfile,
    settings::layers::{self, Sources},
};

/// WatchdogSec of the shipped unit, for a machine on which the unit cannot be asked.
const SHIPPED_WATCHDOG: Duration = Duration::from_secs(90);

/// Prints every effective value and its origin.
pub(crate) fn show(sources: &Sources, json: bool) -> anyhow::Result<ExitCode> {
    let shown = layers::show(&layers::load(sources)?);
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
pub(crate) fn check(mut sources: Sources) -> anyhow::Result<ExitCode> {
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
