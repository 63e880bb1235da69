//! `gatehound config`: the settings, without starting anything.

use std::{process::ExitCode, time::Duration};

use super::{manager, shipped_unit};
use crate::sense::config::{self, Sources};

/// WatchdogSec of the shipped unit, for a machine on which the unit cannot be asked.
const SHIPPED_WATCHDOG: Duration = Duration::from_secs(90);

/// Prints every effective value and its origin.
pub(super) fn show(sources: &Sources) -> anyhow::Result<ExitCode> {
    let shown = config::show(&config::load(sources)?);
    let key = shown.iter().map(|one| one.key.len()).max().unwrap_or(0);
    let value = shown
        .iter()
        .map(|one| one.value.chars().count())
        .max()
        .unwrap_or(0);
    for one in shown {
        say!("{:key$}  {:value$}  {}", one.key, one.value, one.origin);
    }
    Ok(ExitCode::SUCCESS)
}

/// Says whether `run` would accept the settings.
pub(super) fn check(mut sources: Sources) -> anyhow::Result<ExitCode> {
    sources.watchdog = Some(watchdog(&sources));
    let loaded = config::load(&sources)?;
    for warning in &loaded.warnings {
        say!("warning: {warning}");
    }
    say!("the settings are right");
    Ok(ExitCode::SUCCESS)
}

/// What the settings have to fit into.
pub(super) fn watchdog(sources: &Sources) -> Duration {
    let unit = shipped_unit(sources.profile.as_deref());
    let asked = manager()
        .ok()
        .and_then(|mut manager| manager.watchdog_usec(&unit).ok().flatten());
    asked
        .filter(|watchdog| !watchdog.is_zero())
        .unwrap_or(SHIPPED_WATCHDOG)
}
