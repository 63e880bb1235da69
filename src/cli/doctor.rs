//! `gatehound doctor`: what keeps the watch from being complete, each with the command that mends it.
//!
//! Owns the findings and their words. It looks only, and a part that cannot be looked at is itself a finding.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use serde::Serialize;

use super::{
    check, config, install, manager, packaged,
    rivals::Rivals,
    say_json, shipped_unit,
    show::{Cell, Tone, row},
};
use crate::{
    act::{
        alerts,
        manager::{ManagerError, UserManager},
        ping, textfile,
    },
    daemon::look::Seen,
    decide::{
        READY_LIMIT,
        facts::Health,
        longest_step,
        settings::{AlertSettings, Settings},
        status::span,
    },
    line::Line,
    sense::{
        config::{self as settings, Sources},
        folders, gateway, processes, readiness,
    },
};

/// What is known to concern a watchdog in single versions of the gateway.
///
/// Source: OpenClaw's public issues.
const DEFECTS: [(&str, &str); 2] = [
    (
        "2026.3.13",
        "it stops logging once its log file has 500 MB, without a word",
    ),
    (
        "2026.9.5",
        "its folder ~/.openclaw/tmp grows without bound, and a full disk hangs it",
    ),
];

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Severity {
    /// As it should be.
    Fine,
    /// The watch works, but not in every case.
    Warning,
    /// The gateway is not watched, or would not be brought back.
    Problem,
}

#[derive(Debug, Serialize)]
struct Finding {
    about: &'static str,
    severity: Severity,
    what: Line,
    /// A command, or what to do.
    mend: Option<String>,
}

/// The findings so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn fine(&mut self, about: &'static str, what: &str) {
        self.add(about, Severity::Fine, what, None);
    }

    fn warning(&mut self, about: &'static str, what: &str, mend: impl Into<String>) {
        self.add(about, Severity::Warning, what, Some(mend.into()));
    }

    fn problem(&mut self, about: &'static str, what: &str, mend: impl Into<String>) {
        self.add(about, Severity::Problem, what, Some(mend.into()));
    }

    fn add(&mut self, about: &'static str, severity: Severity, what: &str, mend: Option<String>) {
        self.0.push(Finding {
            about,
            severity,
            what: Line::new(what),
            mend,
        });
    }

    fn worst(&self) -> Severity {
        let worst = self.0.iter().map(|finding| finding.severity).max();
        worst.unwrap_or(Severity::Fine)
    }
}

/// Looks at everything, says what it found, and ends with 0, 1 or 2 by the worst of it.
pub(super) fn doctor(mut sources: Sources, json: bool) -> anyhow::Result<ExitCode> {
    sources.watchdog = Some(config::watchdog(&sources));
    let mut findings = Findings::default();
    let settings = settings(&mut findings, &sources);
    let unit = gateway::unit_name(&settings, sources.profile.as_deref());
    if let Err(e) = units(&mut findings, &sources, &unit) {
        findings.problem(
            "manager",
            &e.to_string(),
            "log in as the user of the gateway, or: loginctl enable-linger USER",
        );
    }
    // A manager that cannot be asked was told above.
    let _ = alerts(&mut findings, &sources, &settings.alert);
    match check::look(&sources, &settings, &unit) {
        Ok(seen) => of_look(&mut findings, &seen),
        Err(e) => findings.problem("gateway", &format!("{e:#}"), "see above"),
    }
    if let Some(path) = settings.metrics.textfile(sources.profile.as_deref()) {
        metrics(&mut findings, &path, &settings);
    }
    if settings.alert.ping.is_on() {
        ping(&mut findings, &sources);
    }
    session(&mut findings);
    rivals(&mut findings, &sources, &settings);
    if json {
        let found = serde_json::json!({ "worst": findings.worst(), "findings": findings.0 });
        say_json(&format!("{found:#}"));
    } else {
        print(&findings);
    }
    Ok(ExitCode::from(findings.worst() as u8))
}

fn settings(findings: &mut Findings, sources: &Sources) -> Settings {
    match settings::load(sources) {
        Ok(loaded) => {
            if loaded.warnings.is_empty() {
                findings.fine("settings", "right");
            }
            for warning in loaded.warnings {
                findings.warning("settings", warning.as_str(), "see man gatehound.toml");
            }
            loaded.settings
        }
        Err(e) => {
            let mend = "mend it; gatehound config check says whether it is right";
            findings.problem("settings", &e.to_string(), mend);
            Settings::default()
        }
    }
}

/// Both units: there, enabled, running, and Gatehound's own as it is shipped.
fn units(findings: &mut Findings, sources: &Sources, gateway: &str) -> Result<(), ManagerError> {
    let mut manager = UserManager::new(None, crate::decide::MANAGER_LIMIT)?;
    let facts = manager.unit(gateway)?;
    if facts.load_state != "loaded" {
        let mend = "openclaw gateway install";
        findings.problem(
            "gateway",
            &format!("{gateway} is {}", facts.load_state),
            mend,
        );
    } else {
        enabled(findings, &mut manager, "gateway", gateway)?;
        if !matches!(facts.restart.as_str(), "always" | "on-failure") {
            findings.warning(
                "gateway",
                &format!(
                    "{gateway} has Restart={}, so a crash is not answered",
                    facts.restart
                ),
                "openclaw doctor --fix",
            );
        }
        if !facts.restart_prevent_exit_status.contains(&78) {
            findings.warning(
                "gateway",
                &format!(
                    "{gateway} has no RestartPreventExitStatus=78, as of old versions: \
                     systemd restarts a gateway that refuses its configuration for ever"
                ),
                "openclaw doctor --fix",
            );
        }
    }
    let own = shipped_unit(sources.profile.as_deref());
    let facts = manager.unit(&own)?;
    if facts.load_state != "loaded" {
        let what = format!("{own} is {}", facts.load_state);
        findings.problem("gatehound", &what, "gatehound install");
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
        state => findings.problem(
            "gatehound",
            &format!("{own} is {state}, so nobody watches"),
            format!("systemctl --user start {own}"),
        ),
    }
    enabled(findings, &mut manager, "gatehound", &own)?;
    shadows(findings, sources);
    shipped_units(findings, &mut manager, &own)
}

/// Gatehound's units: all there and as they are in this version, and the timer armed.
fn shipped_units(
    findings: &mut Findings,
    manager: &mut UserManager,
    own: &str,
) -> Result<(), ManagerError> {
    let before = findings.0.len();
    let mut drop_ins = Vec::new();
    let units = [own, &alert_unit_of(own), install::TIDY, install::TIMER];
    for unit in units {
        as_shipped(findings, manager, unit)?;
        drop_ins.extend(manager.drop_ins(unit)?);
    }
    if findings.0.len() == before {
        findings.fine("gatehound", "its units are those of this version");
    }
    for drop_in in drop_ins {
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

/// The unit that delivers the alerts of a Gatehound.
fn alert_unit_of(own: &str) -> String {
    own.replacen("gatehound", "gatehound-alert", 1)
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
) -> Result<(), ManagerError> {
    let path = manager.fragment_path(unit)?;
    if path.is_empty() {
        let what = format!("there is no unit {unit}");
        findings.warning("gatehound", &what, "gatehound install");
        return Ok(());
    }
    match (fs::read_to_string(&path), install::shipped_text(unit, &path)) {
        (Ok(there), Some(shipped)) if there == shipped => {}
        (Ok(_), _) => findings.warning(
            "gatehound",
            &format!("{path} is not the unit of this version: edited, or of another one"),
            format!(
                "gatehound install; what you want otherwise belongs into: systemctl --user edit {unit}"
            ),
        ),
        (Err(e), _) => findings.warning(
            "gatehound",
            &format!("{path} cannot be read: {e}"),
            "gatehound install",
        ),
    }
    Ok(())
}

/// Whether who is to be told will be: how the last delivery ended, what waits, and whether the unit has the credential.
fn alerts(
    findings: &mut Findings,
    sources: &Sources,
    settings: &AlertSettings,
) -> Result<(), ManagerError> {
    if !settings.is_on() {
        findings.fine("alert", "nobody is to be told; see man gatehound.toml");
        return Ok(());
    }
    let unit = alert_unit_of(&shipped_unit(sources.profile.as_deref()));
    let journal = format!("journalctl --user -u {unit}");
    let before = findings.0.len();
    let mut manager = UserManager::new(None, crate::decide::MANAGER_LIMIT)?;
    let facts = manager.unit(&unit)?;
    if !["", "success"].contains(&facts.result.as_str()) {
        let what = format!(
            "the last delivery failed: {}, exit status {}",
            facts.result, facts.exec_main_status
        );
        findings.warning("alert", &what, journal.clone());
    }
    if let Some(name) = &settings.webhook.url_credential {
        credential(findings, &mut manager, &unit, name)?;
    }
    let state = folders::state(&sources.variables, sources.profile.as_deref());
    match state.and_then(|state| alerts::waiting(&alerts::folder(&state))) {
        Ok(waiting) if waiting.is_empty() => {}
        Ok(waiting) => {
            let what = format!("not delivered yet: {}", waiting.len());
            findings.warning("alert", &what, journal);
        }
        Err(why) => findings.warning("alert", why.as_str(), journal),
    }
    if findings.0.len() == before {
        findings.fine("alert", "what is to be told is delivered");
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
            &format!("{unit} has no credential {name:?}, which alert.webhook.url_credential names"),
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
            format!("write the URL into it, for yourself alone: install -m 600 /dev/stdin {path}"),
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

/// What one round shows: health, port, pause, version.
fn of_look(findings: &mut Findings, seen: &Seen) {
    match &seen.look.health {
        Health::Healthy(took) => {
            findings.fine("gateway", &format!("healthy, /health {}", span(*took)));
        }
        Health::Failing(failure) => findings.problem(
            "gateway",
            &format!("failing, {}: {}", failure.probe.name(), failure.reason),
            "gatehound status; gatehound history",
        ),
        Health::Unsure(why) => {
            findings.warning(
                "gateway",
                &format!("cannot tell how it is: {why}"),
                "gatehound check",
            );
        }
        Health::NotProbed => {}
    }
    match &seen.found.doubt {
        Some(doubt) => findings.warning(
            "port",
            doubt.as_str(),
            "set gateway.port; see man gatehound.toml",
        ),
        None => findings.fine(
            "port",
            &format!("{}, by unit and configuration", seen.found.port),
        ),
    }
    if let Some(stranger) = &seen.look.stranger {
        let mend = "stop that process, or give the gateway another port";
        findings.problem("port", &format!("held by {stranger}"), mend);
    }
    if let Some(pause) = &seen.look.pause {
        findings.warning(
            "pause",
            &format!("paused: {}", pause.reason),
            "gatehound resume",
        );
    }
    for warning in &seen.warnings {
        findings.warning("look", warning.as_str(), "gatehound check");
    }
    let version = seen
        .target()
        .and_then(|target| readiness::version(&target, READY_LIMIT));
    match version {
        Some(version) => of_version(findings, &version),
        None => findings.fine(
            "version",
            "of the gateway not known: it is down, or older than 2026.8.2",
        ),
    }
}

fn of_version(findings: &mut Findings, version: &Line) {
    let known = DEFECTS.iter().find(|(of, _)| *of == version.as_str());
    match known {
        Some((_, defect)) => findings.warning(
            "version",
            &format!("gateway {version}: {defect}"),
            "openclaw update",
        ),
        None => findings.fine("version", &format!("gateway {version}")),
    }
}

/// Whether the metrics come to be written, as the file's age shows.
fn metrics(findings: &mut Findings, path: &Path, settings: &Settings) {
    if let Some(why) = textfile::obstacle(path) {
        let folder = path.parent().unwrap_or(path);
        let mend = if folder.is_dir() && !path.is_dir() {
            let (group, folder) = (nix::unistd::getegid(), folder.display());
            format!(
                "let your group write there: sudo chgrp {group} {folder} && sudo chmod g+w {folder}"
            )
        } else {
            "set metrics.textfile to a file in a folder that is there".to_owned()
        };
        findings.warning("metrics", &format!("not written: {why}"), mend);
        return;
    }
    let modified = path.metadata().and_then(|metadata| metadata.modified());
    // A clock that was set back makes the file no older.
    let age = modified.map(|at| at.elapsed().unwrap_or_default());
    let path = path.display();
    let mend = "systemctl --user reload gatehound; gatehound status";
    match age {
        Ok(age) if age <= longest_wait(settings) => {
            findings.fine("metrics", &format!("{path}, {} old", span(age)));
        }
        Ok(age) => {
            let what = format!("{path} was last written {} ago", span(age));
            findings.warning("metrics", &what, mend);
        }
        Err(_) => {
            findings.warning("metrics", &format!("{path} was not written yet"), mend);
        }
    }
}

/// Whether the last ping was taken.
fn ping(findings: &mut Findings, sources: &Sources) {
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref());
    match dir.ok().as_deref().and_then(ping::failure) {
        Some(why) => findings.warning(
            "ping",
            &format!("it is not taken: {why}"),
            "mend alert.ping; see man gatehound.toml",
        ),
        None => findings.fine("ping", "set; the last one did not fail"),
    }
}

/// The longest from one round to the end of the next, and as much again.
fn longest_wait(settings: &Settings) -> Duration {
    (settings.interval + longest_step(settings)) * 2
}

/// What the machine around has to offer: linger, a journal that lasts, a clock that is right.
fn session(findings: &mut Findings) {
    match install::linger_is_off() {
        Some(remedy) => {
            findings.warning("linger", "off: gateway and watchdog stop at logout", remedy);
        }
        None => findings.fine("linger", "on"),
    }
    if Path::new("/var/log/journal").is_dir() {
        findings.fine("journal", "persistent");
    } else {
        findings.warning(
            "journal",
            "not persistent: what happened is forgotten at the next boot",
            "sudo mkdir -p /var/log/journal && sudo journalctl --flush",
        );
    }
    // Only systemd-timesyncd leaves a mark; other services of its kind are not asked.
    let timesync = Path::new("/run/systemd/timesync");
    if timesync.is_dir() && !timesync.join("synchronized").exists() {
        findings.warning(
            "clock",
            "not synchronised, so the journal's times may be wrong; the watch does not depend on it",
            "timedatectl set-ntp true",
        );
    }
}

/// Who else might restart the gateway, and what the old shell watchdog left behind.
fn rivals(findings: &mut Findings, sources: &Sources, settings: &Settings) {
    let flag = &settings.pause.flag_file;
    if flag.symlink_metadata().is_ok() {
        let flag = flag.display();
        findings.warning(
            "pause",
            &format!("the flag file {flag} of the old shell watchdog is there"),
            format!("rm {flag}"),
        );
    }
    let home = sources.variables.get(OsStr::new("HOME"));
    let home = home.map_or_else(PathBuf::new, PathBuf::from);
    let found = Rivals::look(&home, manager().ok().as_mut());
    for rival in found.all(&install::command(sources.profile.as_deref())) {
        findings.warning(rival.about, &rival.what, rival.mend);
    }
}

fn print(findings: &Findings) {
    for finding in &findings.0 {
        let (severity, tone) = match finding.severity {
            Severity::Fine => ("fine", Tone::Good),
            Severity::Warning => ("warning", Tone::Warning),
            Severity::Problem => ("PROBLEM", Tone::Bad),
        };
        let set = |severity, about, what: &str| {
            let severity = Cell::left(severity, 7).tone(tone);
            row(&[severity, Cell::left(about, 9), Cell::new(what)]);
        };
        set(severity, finding.about, finding.what.as_str());
        if let Some(mend) = &finding.mend {
            set("", "", &format!("→ {mend}"));
        }
    }
}
