//! `gatehound doctor`: what is missing or wrong, each with the command that fixes it.
//!
//! Owns the order of the findings. It looks only, and a part that cannot be looked at is itself a finding.

mod config_file;
mod defects;
mod findings;
mod one_look;
mod outlets;
mod own_units;
mod platform;
mod surroundings;

use std::{path::Path, process::ExitCode};

use nix::unistd::geteuid;

pub(crate) use self::defects::has_no_health;
use self::{findings::Findings, surroundings::manager_fix};
use crate::{
    cli::{
        answers, check,
        console::{self, manager},
        gateway_unit, settings_command as own_config,
    },
    daemon::look::Seen,
    os::folders,
    probe::gateway,
    settings::{Settings, layers as settings, layers::Sources},
    snapshots::store::{Kind, Store},
    text::words::Names,
};

/// What the commands that fix the gateway are told with.
struct Around<'a> {
    names: Names<'a>,
    settings: &'a Settings,
    /// Whether a configuration that was known good is kept.
    known_good: bool,
}

impl Around<'_> {
    /// The commands that make a refused configuration right, and start the gateway with it.
    fn restore_and_start(&self) -> String {
        let (unit, restore) = (self.names.unit, self.restore());
        if self.known_good {
            restore.replace("restore --yes", "restore --yes --start")
        } else {
            format!("{restore}; systemctl --user start {unit}")
        }
    }

    /// The command that makes a configuration right that is not.
    fn restore(&self) -> String {
        let profile = self.names.profile;
        if self.known_good {
            format!("gatehound snapshot diff{profile}; gatehound snapshot restore --yes{profile}")
        } else {
            format!("openclaw{profile} doctor --fix")
        }
    }
}

/// Looks at everything, says what it found, and ends with 0, 1 or 2 by the worst of it.
pub(crate) fn doctor(sources: Sources, json: bool) -> anyhow::Result<ExitCode> {
    let mut sources = own_config::of_the_running(sources);
    sources.watchdog = own_config::watchdog(&sources);
    let mut findings = Findings::default();
    let settings = settings(&mut findings, &sources);
    let unit = gateway::unit_name(&settings, sources.profile.as_deref());
    let profile = folders::profile_option(sources.profile.as_deref());
    let names = Names {
        unit: &unit,
        profile: &profile,
    };
    if let Err(e) = own_units::units(&mut findings, &sources, names) {
        findings.problem("manager", &e.to_string(), manager_fix());
    }
    // That the manager cannot be asked is a finding already.
    let _ = outlets::alerts(&mut findings, &sources, &settings.alert);
    match check::look(&sources, &settings, &unit) {
        Ok(seen) => {
            let around = Around {
                names,
                settings: &settings,
                known_good: has_known_good(&sources),
            };
            gateways_unit(&mut findings, &seen, names);
            one_look::of_look(&mut findings, &seen, &around);
            if let Some(what) = check::degraded(&sources, &settings, &seen) {
                one_look::degraded(&mut findings, &what, names.profile);
            }
        }
        Err(e) => findings.problem("gateway", &format!("{e:#}"), manager_fix()),
    }
    if let Some(path) = console::textfile(&sources, &settings) {
        outlets::metrics(&mut findings, &path, &settings, &sources);
    }
    if settings.alert.has_ping() {
        outlets::ping(&mut findings, &sources);
    }
    platform::platform(&mut findings, Path::new("/"));
    // Without systemd each of these commands would fail.
    if platform::no_systemd(Path::new("/")).is_none() {
        surroundings::session(&mut findings);
        surroundings::clock(&mut findings, Path::new("/run"));
    }
    surroundings::other_watchdogs(&mut findings, &sources, &unit, settings.gateway.port);
    if json {
        answers::say(&findings.answer());
    } else {
        findings::print(&findings);
    }
    Ok(ExitCode::from(findings.worst() as u8))
}

/// What should be otherwise with the gateway's unit.
fn gateways_unit(findings: &mut Findings, seen: &Seen, names: Names<'_>) {
    let Ok(facts) = &seen.look.unit else { return };
    // That the manager cannot be asked is a finding already.
    let advice = manager().and_then(|mut manager| {
        Ok(gateway_unit::advice(
            &mut manager,
            facts,
            names,
            seen.found.port,
        )?)
    });
    let advice = advice.unwrap_or_default();
    if advice.is_empty() {
        findings.fine(
            "gateway",
            &format!("{} is as it should be, and starts at boot", names.unit),
        );
    }
    for one in advice {
        if one.is_problem {
            findings.problem("gateway", &one.what, one.fix);
        } else {
            findings.warning("gateway", &one.what, one.fix);
        }
    }
}

fn settings(findings: &mut Findings, sources: &Sources) -> Settings {
    match settings::load(sources) {
        Ok(loaded) => {
            if loaded.warnings.is_empty() {
                findings.fine("settings", "right");
            }
            for warning in loaded.warnings {
                // Each of them is about who may write the file.
                let folder = sources.folder.display();
                let uid = geteuid();
                let fix = format!("sudo chown {uid} {folder}/*.toml && chmod o-w {folder}/*.toml");
                findings.warning("settings", warning.as_str(), fix);
            }
            loaded.settings
        }
        Err(e) => {
            let profile = folders::profile_option(sources.profile.as_deref());
            let fix = format!("fix it, then: gatehound settings check{profile}");
            let settings = settings::which_gateway(sources).unwrap_or_default();
            let unit = gateway::unit_name(&settings, sources.profile.as_deref());
            let what = format!("{e}; going on with the unit {unit} and the defaults");
            findings.problem("settings", &what, fix);
            settings
        }
    }
}

/// Whether there is a configuration to go back to.
fn has_known_good(sources: &Sources) -> bool {
    let state = folders::state(&sources.variables, sources.profile.as_deref());
    let kept = state.and_then(|state| Store::new(&state).list());
    kept.is_ok_and(|(kept, _)| kept.iter().any(|one| one.kind == Kind::KnownGood))
}
