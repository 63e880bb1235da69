//! `gatehound uninstall`: stops watching and removes what install put into place.
//!
//! Leaves the gateway, the settings and the state folder, and says what it left.

use std::{fs, process::ExitCode, thread, time::Duration};

use anyhow::Context;

use super::{
    packaged,
    shipped::{Places, TIDY, TIMER, helper, remove},
};
use crate::{
    alerts::queue,
    cli::console::{self, manager, say, shipped_unit},
    os::folders,
    other_watchdogs::finding,
    settings::{layers as settings, layers::Sources},
    systemd::UserManager,
};

/// Stops watching and removes what [`super::install`] put into place. The gateway is left as it is.
pub(crate) fn uninstall(sources: &Sources) -> anyhow::Result<ExitCode> {
    let places = Places::of(sources)?;
    let profile = sources.profile.as_deref();
    let unit = shipped_unit(profile);
    let mut manager = manager()?;
    let facts = manager
        .unit(&unit)
        .context("cannot uninstall without a user session")?;
    if matches!(
        facts.active_state.as_str(),
        "active" | "activating" | "reloading"
    ) {
        manager.stop(&unit)?;
        await_stopped(&mut manager, &unit)?;
        say!("stopped    {unit}");
    }
    // A unit that failed stays in the list of those, whatever becomes of its file.
    manager.reset_failed(&unit)?;
    disable(&mut manager, &unit)?;
    // A delivery that failed waits for its next try, which would find no program.
    for what in ["alert", "ping"] {
        end(&mut manager, &helper(&unit, what))?;
    }
    // Metrics that nobody writes any more would be alerted of for ever.
    let settings = settings::load(sources).map(|loaded| loaded.settings);
    let textfile = settings
        .ok()
        .and_then(|settings| console::textfile(sources, &settings));
    remove(textfile, false)?;
    let other = other_instance(&places, &unit);
    match &other {
        Some(other) => say!("kept       program and units, because {other} is still enabled"),
        None => {
            for unit in [TIMER, TIDY] {
                end(&mut manager, unit)?;
            }
            disable(&mut manager, TIMER)?;
            remove(places.all(), false)?;
        }
    }
    manager.reload()?;
    enabled_for_all(&mut manager, &unit)?;
    if other.is_none() {
        say!("kept       {}", sources.folder.display());
    }
    let state = folders::state(&sources.variables, profile);
    if let Some(state) = state.ok().filter(|state| state.exists()) {
        if let Some(kept) = finding::kept_crontab(&state) {
            let kept = kept.display();
            say!(
                "kept       {kept}; the cron script is back, in place of the crontab as it is now, with: crontab {kept}"
            );
        }
        let queue = queue::folder(&state);
        let waiting = queue::waiting(&queue).map_or(0, |waiting| waiting.len());
        if 0 < waiting {
            let queue = queue.display();
            say!("kept       {queue}, alerts not delivered: {waiting}");
        }
        let state = state.display();
        say!(
            "kept       {state}, with incidents and the gateway's configurations, secrets among them; \
             to remove it: rm -r {state}"
        );
    }
    if other.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    if packaged::is_there() {
        say!(
            "kept       {} and what came with it, which the package owns",
            packaged::PROGRAM
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Stops a unit that is there, and has its failure forgotten.
fn end(manager: &mut UserManager, unit: &str) -> anyhow::Result<()> {
    if manager.active_state(unit)? != "inactive" {
        manager.stop(unit)?;
        await_stopped(manager, unit)?;
        manager.reset_failed(unit)?;
    }
    Ok(())
}

/// Disables a unit and says so; one that is not there any more needs no word.
fn disable(manager: &mut UserManager, unit: &str) -> anyhow::Result<()> {
    if !manager.fragment_path(unit)?.is_empty() {
        manager.disable(unit)?;
        say!("disabled   {unit}");
    }
    Ok(())
}

/// Says so where the unit is enabled for every user, which is not one user's to undo.
fn enabled_for_all(manager: &mut UserManager, unit: &str) -> anyhow::Result<()> {
    let state = manager.file_state(unit)?;
    // systemd 247 takes that for static, because it finds the unit by another path than the link leads to.
    let is_wanted = state == "static" && !manager.wanted_by(unit)?.is_empty();
    if state == "enabled" || is_wanted {
        say!(
            "kept       {unit} is enabled for all users (systemctl --global), so it starts again when you log in; \
             to prevent that: systemctl --user mask {unit}; for all users: sudo systemctl --global disable {unit}"
        );
    }
    Ok(())
}

/// Gatehound may first have to start a gateway it was restarting, so this takes as long as the unit allows.
fn await_stopped(manager: &mut UserManager, unit: &str) -> anyhow::Result<()> {
    loop {
        let state = manager.active_state(unit)?;
        if matches!(state.as_str(), "inactive" | "failed") {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Another Gatehound of this user that still needs the files.
fn other_instance(places: &Places, unit: &str) -> Option<String> {
    let enabled = fs::read_dir(places.units.join("default.target.wants")).ok()?;
    enabled
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.starts_with("gatehound") && name != unit)
}
