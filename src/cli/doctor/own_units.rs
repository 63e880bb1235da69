//! Gatehound's own units: there, enabled, running, and as this version ships them.
//!
//! Asks the user manager and reads the unit files; changes neither.

use std::{fs, path::Path};

use super::findings::Findings;
use crate::{
    cli::{
        console::shipped_unit,
        gateway_unit,
        install::{self, packaged},
    },
    os::processes,
    other_watchdogs::unit_files,
    settings::{layers::Sources, limits::MANAGER_LIMIT},
    systemd::{ManagerError, UserManager},
    text::words::Names,
};

/// Gatehound's units: there, enabled, running, and as they are shipped.
pub(super) fn units(
    findings: &mut Findings,
    sources: &Sources,
    names: Names<'_>,
) -> Result<(), ManagerError> {
    let profile = names.profile;
    let mut manager = UserManager::new(None, MANAGER_LIMIT)?;
    let own = shipped_unit(sources.profile.as_deref());
    let facts = manager.unit(&own)?;
    if facts.load_state != "loaded" {
        let what = format!("{own} is {}", facts.load_state);
        findings.problem("gatehound", &what, format!("gatehound install{profile}"));
        return Ok(());
    }
    match facts.active_state.as_str() {
        "active" if processes::program_is_gone(Path::new("/proc"), facts.main_pid) => findings
            .warning(
                "gatehound",
                &format!("{own} runs a program that was upgraded or removed since"),
                format!("systemctl --user restart {own}"),
            ),
        "active" => findings.fine("gatehound", &format!("{own} is running")),
        state @ ("activating" | "deactivating") => findings.warning(
            "gatehound",
            &format!("{own} is {state}; it watches again in a moment"),
            format!("wait a moment, then: gatehound doctor{profile}"),
        ),
        state => findings.problem(
            "gatehound",
            &format!("{own} is {state}, so nobody watches"),
            format!("systemctl --user start {own}"),
        ),
    }
    enabled(findings, &mut manager, "gatehound", &own)?;
    shadows(findings, sources);
    shipped_units(findings, &mut manager, &own, profile)
}

/// Gatehound's units: all there and as they are in this version, and the timer armed.
fn shipped_units(
    findings: &mut Findings,
    manager: &mut UserManager,
    own: &str,
    profile: &str,
) -> Result<(), ManagerError> {
    let before = findings.0.len();
    let mut drop_ins = Vec::new();
    let units = [
        own,
        &install::helper(own, "alert"),
        &install::helper(own, "ping"),
        install::TIDY,
        install::TIMER,
    ];
    for unit in units {
        as_shipped(findings, manager, unit, profile)?;
        drop_ins.extend(manager.drop_ins(unit)?);
    }
    if findings.0.len() == before {
        findings.fine("gatehound", "its units are those of this version");
    }
    for drop_in in drop_ins {
        let text = unit_files::file_alone(Path::new(&drop_in));
        if let Some(advice) = text.and_then(|text| gateway_unit::bound(own, &drop_in, &text)) {
            findings.warning("gatehound", &advice.what, advice.fix);
        }
        findings.fine("gatehound", &format!("drop-in {drop_in}"));
    }
    if manager.active_state(install::TIMER)? != "active" {
        findings.warning(
            "gatehound",
            &format!(
                "{} is not active, so the gateway's logs grow",
                install::TIMER
            ),
            format!("systemctl --user enable --now {}", install::TIMER),
        );
    }
    Ok(())
}

/// An installation into the home that stands before a package's, and that no upgrade of the package reaches.
fn shadows(findings: &mut Findings, sources: &Sources) {
    let copies = install::Places::of(sources).map(|places| places.shadowing());
    if let Ok([copy, ..]) = copies.as_deref() {
        findings.warning(
            "package",
            &format!(
                "{} is used instead of the package's, and no upgrade of it reaches it",
                copy.display()
            ),
            format!("{} install", packaged::PROGRAM),
        );
    }
}

fn enabled(
    findings: &mut Findings,
    manager: &mut UserManager,
    about: &'static str,
    unit: &str,
) -> Result<(), ManagerError> {
    match manager.file_state(unit)?.as_str() {
        "enabled" => findings.fine(about, &format!("{unit} is enabled")),
        state => findings.warning(
            about,
            &format!("{unit} is {state}, so it does not start at boot"),
            format!("systemctl --user enable {unit}"),
        ),
    }
    Ok(())
}

fn as_shipped(
    findings: &mut Findings,
    manager: &mut UserManager,
    unit: &str,
    profile: &str,
) -> Result<(), ManagerError> {
    let path = manager.fragment_path(unit)?;
    let fix = format!("gatehound install{profile}");
    if path.is_empty() {
        let what = format!("there is no unit {unit}");
        findings.warning("gatehound", &what, fix);
        return Ok(());
    }
    match (
        fs::read_to_string(&path),
        install::shipped_text(unit, &path),
    ) {
        (Ok(there), Some(shipped)) if there == shipped => {}
        (Ok(_), _) => findings.warning(
            "gatehound",
            &format!("{path} is not the unit of this version: edited, or of another one"),
            format!("{fix}; what you want otherwise belongs into: systemctl --user edit {unit}"),
        ),
        (Err(e), _) => findings.warning("gatehound", &format!("{path} cannot be read: {e}"), fix),
    }
    Ok(())
}
