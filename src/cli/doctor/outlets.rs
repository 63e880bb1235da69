//! What leaves this machine or is left for others to read: alerts, pings and metrics, and whether they get there.
//!
//! Looks at what the last delivery left behind; sends nothing.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use super::findings::Findings;
use crate::{
    alerts::{holds::Holds, ping_note, queue},
    cli::{
        console::{manager, shipped_unit},
        install,
    },
    metrics::textfile,
    os::{folders, wall_clock},
    settings::{
        AlertSettings, Settings, Way,
        layers::Sources,
        limits::{MANAGER_LIMIT, longest_step},
    },
    systemd::{ManagerError, UserManager},
    text::words::span,
};

/// Whether alerts arrive: how the last delivery ended, what waits, and whether the unit has the credential.
pub(super) fn alerts(
    findings: &mut Findings,
    sources: &Sources,
    settings: &AlertSettings,
) -> Result<(), ManagerError> {
    if settings.channel.is_empty() {
        findings.fine(
            "alert",
            "no alert channel is configured; see man gatehound.toml",
        );
        return Ok(());
    }
    let unit = install::helper(&shipped_unit(sources.profile.as_deref()), "alert");
    let journal = format!("journalctl --user -u {unit}");
    let before = findings.0.len();
    let mut manager = UserManager::new(None, MANAGER_LIMIT)?;
    let facts = manager.unit(&unit)?;
    if !["", "success"].contains(&facts.result.as_str()) {
        let what = format!(
            "the last delivery failed: {}, exit status {}",
            facts.result, facts.exec_main_status
        );
        findings.warning("alert", &what, journal.clone());
    }
    let ping = install::helper(&shipped_unit(sources.profile.as_deref()), "ping");
    for channel in &settings.channel {
        let sent_by = [
            (&unit, channel.takes_alerts()),
            (&ping, channel.way == Way::Ping),
        ];
        for (unit, _) in sent_by.iter().filter(|(_, sends)| *sends) {
            for name in channel.credentials() {
                credential(findings, &mut manager, unit, &name)?;
            }
        }
    }
    let state = folders::state(&sources.variables, sources.profile.as_deref());
    let waiting = state.and_then(|state| {
        let folder = queue::folder(&state);
        let holds = Holds::read(&folder, wall_clock::now());
        Ok((queue::waiting(&folder)?, holds))
    });
    match waiting {
        Ok((waiting, _)) if waiting.is_empty() => {}
        Ok((waiting, holds)) => {
            let mut what = format!("not delivered yet: {}", waiting.len());
            for why in holds.reasons() {
                what = format!("{what}; {why}");
            }
            findings.warning("alert", &what, journal);
        }
        Err(why) => findings.warning("alert", why.as_str(), journal),
    }
    if findings.0.len() == before {
        findings.fine("alert", "every alert is delivered");
    }
    Ok(())
}

/// Whether the unit has this credential, and the file behind it is there and nobody else's.
fn credential(
    findings: &mut Findings,
    manager: &mut UserManager,
    unit: &str,
    name: &str,
) -> Result<(), ManagerError> {
    let all = manager.credentials(unit)?;
    let Some((_, path)) = all.iter().find(|(known, _)| known == name) else {
        findings.warning(
            "alert",
            &format!("{unit} has no credential {name:?}, which [[alert.channel]] names"),
            format!("LoadCredential={name}:PATH under [Service] in: systemctl --user edit {unit}"),
        );
        return Ok(());
    };
    // A relative one is looked up in folders of systemd's own, and an empty one is in the unit.
    if !path.starts_with('/') {
        return Ok(());
    }
    match fs::File::open(path).and_then(|file| file.metadata()) {
        Err(e) => findings.warning(
            "alert",
            &format!("{path}, which holds the credential {name:?}, cannot be read: {e}"),
            format!(
                "write the secret into it, for yourself alone: install -m 600 /dev/stdin {path}"
            ),
        ),
        Ok(metadata) if metadata.mode() & 0o077 != 0 => findings.warning(
            "alert",
            &format!("{path}, which holds the credential {name:?}, is open to others"),
            format!("chmod 600 {path}"),
        ),
        Ok(_) => {}
    }
    Ok(())
}

/// Whether the metrics come to be written, as the file's age shows.
pub(super) fn metrics(
    findings: &mut Findings,
    path: &Path,
    settings: &Settings,
    sources: &Sources,
) {
    if let Some(why) = textfile::obstacle(path) {
        let folder = path.parent().unwrap_or(path);
        let fix = if folder.is_dir() && !path.is_dir() {
            "set metrics.collected = true instead, and sudo systemctl enable --now gatehound-collect.timer"
                .to_owned()
        } else {
            "set metrics.textfile to a file in a folder that is there".to_owned()
        };
        findings.warning("metrics", &format!("not written: {why}"), fix);
        return;
    }
    let modified = path.metadata().and_then(|metadata| metadata.modified());
    // A clock that was set back makes the file no older.
    let age = modified.map(|at| at.elapsed().unwrap_or_default());
    let path = path.display();
    let profile = sources.profile.as_deref();
    let fix = format!(
        "systemctl --user reload {}; gatehound status{}",
        shipped_unit(profile),
        folders::profile_option(profile)
    );
    match age {
        Ok(age) if age <= longest_wait(settings) => {
            findings.fine("metrics", &format!("{path}, {} old", span(age)));
        }
        Ok(age) => {
            let what = format!("{path} was last written {} ago", span(age));
            findings.warning("metrics", &what, fix);
        }
        Err(_) => {
            findings.warning("metrics", &format!("{path} was not written yet"), fix);
        }
    }
}

/// Whether the last ping was taken, and whether any is sent at all.
pub(super) fn ping(findings: &mut Findings, sources: &Sources) {
    let profile = sources.profile.as_deref();
    let unit = install::helper(&shipped_unit(profile), "ping");
    let option = folders::profile_option(profile);
    // That the manager cannot be asked is a finding already.
    let path = manager().and_then(|mut manager| Ok(manager.fragment_path(&unit)?));
    let dir = folders::runtime(&sources.variables, profile);
    match dir.ok().as_deref().and_then(ping_note::failure) {
        Some(why) => findings.warning(
            "ping",
            &format!("it is not taken: {why}"),
            format!("fix the ping in [[alert.channel]], then: gatehound alert test --ping{option}"),
        ),
        None if path.is_ok_and(|path| path.is_empty()) => findings.warning(
            "ping",
            &format!("none is sent, because there is no unit {unit}"),
            format!("gatehound install{option}"),
        ),
        None => findings.fine("ping", "set; the last one did not fail"),
    }
}

/// The longest from one check to the end of the next, and as much again.
fn longest_wait(settings: &Settings) -> Duration {
    (settings.interval + longest_step(settings)) * 2
}
