//! `gatehound doctor`: what keeps the watch from being complete, each with the command that fixes it.
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

use nix::unistd::{getegid, geteuid};
use serde::Serialize;

use crate::{
    alerts::{ping_note, queue},
    daemon::{look::Seen, trouble},
    metrics::textfile,
    os::{folders, processes},
    policy::facts::{Failure, Health},
    probe::{gateway, openclaw_files, readiness, update},
    settings::{
        AlertSettings, Settings, layers as settings,
        layers::Sources,
        limits::{READY_LIMIT, longest_step},
    },
    snapshots::store::{Kind, Store},
    systemd::{ManagerError, UserManager},
    text::{
        line::Line,
        words::{Names, span},
    },
};
use crate::{
    cli::{
        check,
        console::{manager, say_json, shipped_unit},
        install::{self, packaged},
        settings_command as own_config,
        show::{Cell, Tone, row},
    },
    other_watchdogs::finding::OtherWatchdogs,
};

/// What concerns a watchdog in some versions of the gateway: the first and the last of them, what it is,
/// and what to do about it.
struct Defect(&'static [u32], &'static [u32], &'static str, &'static str);

/// Source: OpenClaw's published packages and public issues.
const DEFECTS: [Defect; 5] = [
    Defect(
        &[0],
        &[2026, 2, 99],
        "it has no /health, so that it is never found healthy",
        UPDATE,
    ),
    Defect(
        &[2026, 3, 13],
        &[2026, 3, 13],
        "it stops logging once its log file has 500 MB, without a word",
        UPDATE,
    ),
    Defect(
        &[2026, 7, 1],
        &[2026, 9, 5],
        "its crash-loop breaker may stay tripped until a restart, all channels off and /health green",
        UPDATE,
    ),
    Defect(
        &[2026, 9, 5],
        &[2026, 9, 5],
        "its folder ~/.openclaw/tmp grows without bound, and a full disk hangs it",
        UPDATE,
    ),
    Defect(
        &[2026, 9, 6],
        &[2026, 9, 6],
        "SIGUSR1, which restarted older ones, opens Node's inspector to all of this machine",
        "nothing as long as nobody sends it; restarts go by systemctl --user restart",
    ),
];

/// What fixes most of them.
const UPDATE: &str = "openclaw update";

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
    fix: Option<String>,
}

/// What the commands that fix the gateway are told with.
struct Around<'a> {
    names: Names<'a>,
    settings: &'a Settings,
    /// Whether a configuration that was known good is kept.
    known_good: bool,
}

/// The findings so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn fine(&mut self, about: &'static str, what: &str) {
        self.add(about, Severity::Fine, what, None);
    }

    fn warning(&mut self, about: &'static str, what: &str, fix: impl Into<String>) {
        self.add(about, Severity::Warning, what, Some(fix.into()));
    }

    fn problem(&mut self, about: &'static str, what: &str, fix: impl Into<String>) {
        self.add(about, Severity::Problem, what, Some(fix.into()));
    }

    fn add(&mut self, about: &'static str, severity: Severity, what: &str, fix: Option<String>) {
        self.0.push(Finding {
            about,
            severity,
            what: Line::new(what),
            fix,
        });
    }

    fn worst(&self) -> Severity {
        let worst = self.0.iter().map(|finding| finding.severity).max();
        worst.unwrap_or(Severity::Fine)
    }
}

/// Looks at everything, says what it found, and ends with 0, 1 or 2 by the worst of it.
pub(crate) fn doctor(mut sources: Sources, json: bool) -> anyhow::Result<ExitCode> {
    sources.watchdog = Some(own_config::watchdog(&sources));
    let mut findings = Findings::default();
    let settings = settings(&mut findings, &sources);
    let unit = gateway::unit_name(&settings, sources.profile.as_deref());
    let profile = folders::profile_option(sources.profile.as_deref());
    let names = Names {
        unit: &unit,
        profile: &profile,
    };
    let runtime = format!("/run/user/{}", geteuid());
    let export = format!("export XDG_RUNTIME_DIR={runtime}");
    if let Err(e) = units(&mut findings, &sources, names) {
        let variable = sources.variables.get(OsStr::new("XDG_RUNTIME_DIR"));
        let is_unset = variable.is_none_or(|value| value.is_empty());
        // A bus that is there has a manager, which is only not found.
        let fix = if is_unset && Path::new(&runtime).join("bus").exists() {
            export.clone()
        } else {
            manager_fix()
        };
        findings.problem("manager", &e.to_string(), fix);
    }
    // A manager that cannot be asked was told above.
    let _ = alerts(&mut findings, &sources, &settings.alert);
    match check::look(&sources, &settings, &unit) {
        Ok(seen) => {
            let around = Around {
                names,
                settings: &settings,
                known_good: has_known_good(&sources),
            };
            of_look(&mut findings, &seen, &around);
        }
        Err(e) => findings.problem("gateway", &format!("{e:#}"), export),
    }
    if let Some(path) = settings.metrics.textfile(sources.profile.as_deref()) {
        metrics(&mut findings, &path, &settings, &sources);
    }
    if settings.alert.ping.is_on() {
        ping(&mut findings, &sources);
    }
    session(&mut findings);
    clock(&mut findings, Path::new("/run"));
    other_watchdogs(&mut findings, &sources);
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
            findings.problem("settings", &e.to_string(), fix);
            Settings::default()
        }
    }
}

/// The command that makes the user manager run.
fn manager_fix() -> String {
    let uid = geteuid();
    install::linger_is_off().unwrap_or_else(|| format!("sudo systemctl start user@{uid}.service"))
}

/// Whether there is a configuration to go back to.
fn has_known_good(sources: &Sources) -> bool {
    let state = folders::state(&sources.variables, sources.profile.as_deref());
    let kept = state.and_then(|state| Store::new(&state).list());
    kept.is_ok_and(|(kept, _)| kept.iter().any(|one| one.kind == Kind::KnownGood))
}

/// Both units: there, enabled, running, and Gatehound's own as it is shipped.
fn units(findings: &mut Findings, sources: &Sources, names: Names<'_>) -> Result<(), ManagerError> {
    let Names {
        unit: gateway,
        profile,
    } = names;
    let mut manager = UserManager::new(None, crate::settings::limits::MANAGER_LIMIT)?;
    let facts = manager.unit(gateway)?;
    if facts.load_state != "loaded" {
        findings.problem(
            "gateway",
            &format!("{gateway} is {}", facts.load_state),
            format!("openclaw{profile} gateway install"),
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
                format!("openclaw{profile} doctor --fix"),
            );
        }
        if !facts.restart_prevent_exit_status.contains(&78) {
            findings.warning(
                "gateway",
                &format!(
                    "{gateway} has no RestartPreventExitStatus=78, as of old versions: \
                     systemd restarts a gateway that refuses its configuration for ever"
                ),
                format!("openclaw{profile} doctor --fix"),
            );
        }
    }
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
    let unit = install::helper(&shipped_unit(sources.profile.as_deref()), "alert");
    let journal = format!("journalctl --user -u {unit}");
    let before = findings.0.len();
    let mut manager = UserManager::new(None, crate::settings::limits::MANAGER_LIMIT)?;
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
    match state.and_then(|state| queue::waiting(&queue::folder(&state))) {
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

/// What one check shows: health, port, pause, version.
fn of_look(findings: &mut Findings, seen: &Seen, around: &Around<'_>) {
    let Names { unit, profile } = around.names;
    match &seen.look.health {
        Health::Healthy(took) => {
            findings.fine("gateway", &format!("healthy, /health {}", span(*took)));
        }
        Health::Failing(failure) => failing(findings, seen, failure, around),
        Health::Unknown(why) => {
            let fix = match &seen.look.unit {
                Ok(_) => format!("gatehound check{profile}"),
                Err(_) => manager_fix(),
            };
            let what = format!("cannot tell how it is: {why}");
            findings.warning("gateway", &what, fix);
        }
        Health::NotProbed => {}
    }
    let is_whole = config(findings, seen, around);
    port(findings, seen, around, is_whole);
    if let Some(port_holder) = &seen.look.port_holder {
        let fix = format!(
            "stop that process; or give the gateway another port in openclaw.json, \
             then: openclaw{profile} gateway install --force"
        );
        findings.problem("port", &format!("held by {port_holder}"), fix);
    }
    let flag = &around.settings.pause.flag_file;
    let rm = if flag.is_dir() { "rm -r" } else { "rm" };
    let rm = format!("{rm} {}", flag.display());
    let of_flag = Line::new(&format!("flag file {}", flag.display()));
    for warning in &seen.warnings {
        let (about, fix) = if warning.as_str().starts_with(of_flag.as_str()) {
            ("pause", rm.clone())
        } else {
            ("look", format!("gatehound check{profile}"))
        };
        findings.warning(about, warning.as_str(), fix);
    }
    if let Some(pause) = &seen.look.pause {
        let resume = format!("gatehound resume{profile}");
        let fix = match pause.remaining {
            Some(_) => resume,
            None if pause.reason == of_flag => rm,
            None => format!("{rm}; {resume}"),
        };
        findings.warning("pause", &format!("paused: {}", pause.reason), fix);
    }
    let answers = seen.target();
    let version = answers.and_then(|target| readiness::version(&target, READY_LIMIT));
    let arguments = seen.look.unit.as_ref().map(|unit| &unit.exec_start[..]);
    match version.or_else(|| update::installed_version(arguments.unwrap_or_default())) {
        Some(version) => of_version(findings, &version),
        None => findings.fine(
            "version",
            &format!(
                "of the gateway not known: it does not say it, and {unit} runs no package of it"
            ),
        ),
    }
}

/// A gateway that fails, by what its unit says of it.
fn failing(findings: &mut Findings, seen: &Seen, failure: &Failure, around: &Around<'_>) {
    let Names { unit, profile } = around.names;
    let (probe, reason) = (failure.probe.name(), &failure.reason);
    let (what, fix) = match &seen.look.unit {
        // That there is no unit was told before, with what fixes it.
        Ok(facts) if facts.load_state != "loaded" => (
            format!("failing, {probe}: {reason}"),
            format!("openclaw{profile} gateway install"),
        ),
        Ok(facts) if trouble::is_refusal(facts) => {
            let said = seen.look.last_words.as_ref();
            let said = said.map_or_else(String::new, |said| format!(": {said}"));
            (
                format!("{unit} refuses its configuration, exit status 78{said}"),
                format!("{}; systemctl --user start {unit}", around.restore()),
            )
        }
        Ok(facts) if ["inactive", "failed"].contains(&facts.active_state.as_str()) => (
            format!("{unit} is {}, so {reason}", facts.active_state),
            format!("systemctl --user start {unit}"),
        ),
        _ => (
            format!("failing, {probe}: {reason}"),
            format!(
                "gatehound status{profile} says what is done; at once: systemctl --user restart {unit}"
            ),
        ),
    };
    findings.problem("gateway", &what, fix);
}

impl Around<'_> {
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

/// Whether the next start of the gateway finds a configuration that it can read; what is wrong with it is told.
fn config(findings: &mut Findings, seen: &Seen, around: &Around<'_>) -> bool {
    let Some(place) = seen.found.place() else {
        return false;
    };
    // What is wrong with the file itself, a value of the wrong kind too; an include is nothing wrong.
    let doubt = seen.found.doubt.clone().filter(|_| !seen.found.includes);
    let severity = match doubt {
        Some(_) if place.path.exists() => Severity::Problem,
        // The gateway may have been told of other folders to include from, or to do without a file.
        _ => Severity::Warning,
    };
    let Some(why) = openclaw_files::read(&place).err().or(doubt) else {
        return true;
    };
    let profile = around.names.profile;
    let fix = match severity {
        // It may be right all the same: then an older one would only do harm.
        Severity::Warning if around.known_good => format!("gatehound snapshot diff{profile}"),
        Severity::Warning if !place.path.exists() => format!("openclaw{profile} setup"),
        _ => around.restore(),
    };
    let what = format!("{why}; the gateway's next start may refuse that");
    findings.add("config", severity, &what, Some(fix));
    false
}

/// Whether all who name a port name the same; `is_whole` is false where openclaw.json has been complained of.
fn port(findings: &mut Findings, seen: &Seen, around: &Around<'_>, is_whole: bool) {
    let Names { unit, profile } = around.names;
    let (found, set) = (&seen.found, around.settings.gateway.port);
    let file = found
        .config_path
        .as_deref()
        .unwrap_or(Path::new("openclaw.json"));
    let file = file.display();
    let port = found.port;
    if let (Some(by_unit), Some(by_file)) = (found.by_unit, found.by_file)
        && by_unit != by_file
    {
        findings.warning(
            "port",
            &format!("{unit} says {by_unit}, which is in force, and {file} says {by_file}"),
            format!(
                "openclaw{profile} gateway install --force, or make gateway.port {by_unit} there"
            ),
        );
    }
    let served = found.by_unit.or(found.by_file);
    if let (Some(set), Some(served)) = (set, served)
        && set != served
    {
        findings.warning(
            "port",
            &format!("Gatehound's own gateway.port is {set}, which is watched, and the gateway's is {served}"),
            format!("remove it from where gatehound settings show{profile} says it is"),
        );
    }
    let by = match (set, found.by_unit, found.by_file) {
        (Some(_), ..) => "Gatehound's gateway.port",
        (None, Some(one), Some(other)) if one == other => "unit and configuration",
        (None, Some(_), _) => "the unit",
        (None, None, Some(_)) => "the configuration",
        (None, None, None) if found.profile.is_some() => "the profile's name",
        (None, None, None) => "default",
    };
    let is_named = set.or(found.by_unit).is_some();
    let answers = matches!(seen.look.health, Health::Healthy(_));
    match &found.doubt {
        // What answers in good health on a port that is named has neither another port nor another TLS.
        Some(doubt) if is_whole && !(is_named && answers) => findings.warning(
            "port",
            doubt.as_str(),
            "write port = … and tls = … as they are in there under [gateway] of ~/.config/gatehound/config.toml",
        ),
        _ => findings.fine("port", &format!("{port}, by {by}")),
    }
}

fn of_version(findings: &mut Findings, version: &Line) {
    let numbers: Vec<u32> = version
        .as_str()
        .split(['.', '-'])
        .map_while(|part| part.parse().ok())
        // A fourth one is of the package alone.
        .take(3)
        .collect();
    let mut known = DEFECTS
        .iter()
        .filter(|Defect(first, last, ..)| (*first..=*last).contains(&&numbers[..]))
        .peekable();
    if known.peek().is_none() {
        findings.fine("version", &format!("gateway {version}"));
    }
    for Defect(_, _, defect, fix) in known {
        let severity = if *fix == UPDATE {
            Severity::Warning
        } else {
            Severity::Fine
        };
        let what = format!("gateway {version}: {defect}");
        findings.add("version", severity, &what, Some((*fix).to_owned()));
    }
}

/// Whether the metrics come to be written, as the file's age shows.
fn metrics(findings: &mut Findings, path: &Path, settings: &Settings, sources: &Sources) {
    if let Some(why) = textfile::obstacle(path) {
        let folder = path.parent().unwrap_or(path);
        let fix = if folder.is_dir() && !path.is_dir() {
            let (group, folder) = (getegid(), folder.display());
            format!(
                "let your group write there: sudo chgrp {group} {folder} && sudo chmod g+w {folder}"
            )
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
fn ping(findings: &mut Findings, sources: &Sources) {
    let profile = sources.profile.as_deref();
    let unit = install::helper(&shipped_unit(profile), "ping");
    let option = folders::profile_option(profile);
    // A manager that cannot be asked was told before.
    let path = manager().and_then(|mut manager| Ok(manager.fragment_path(&unit)?));
    let dir = folders::runtime(&sources.variables, profile);
    match dir.ok().as_deref().and_then(ping_note::failure) {
        Some(why) => findings.warning(
            "ping",
            &format!("it is not taken: {why}"),
            format!("fix alert.ping, then: gatehound alert test --ping{option}"),
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

/// What the machine around has to offer: linger, a journal that lasts.
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
}

/// Whether the clock is right, by the marks below /run: the kernel's own word takes an unsafe call.
fn clock(findings: &mut Findings, run: &Path) {
    let is_there = |name: &str| run.join(name).exists();
    if is_there("systemd/timesync/synchronized") {
        findings.fine("clock", "synchronised");
    } else if is_there("chrony") {
        findings.fine("clock", "kept by chrony; chronyc tracking says more");
    } else if is_there("ntpd.pid") {
        findings.fine("clock", "kept by ntpd; ntpq -p says more");
    } else if is_there("systemd/container") {
        findings.fine("clock", "kept by whoever runs this container");
    } else {
        findings.warning(
            "clock",
            "not synchronised as far as can be seen, so the journal's times may be wrong; \
             the watch does not depend on it",
            "sudo timedatectl set-ntp true",
        );
    }
}

/// Who else might restart the gateway.
fn other_watchdogs(findings: &mut Findings, sources: &Sources) {
    let home = sources.variables.get(OsStr::new("HOME"));
    let home = home.map_or_else(PathBuf::new, PathBuf::from);
    let found = OtherWatchdogs::look(&home, manager().ok().as_mut());
    for other_watchdog in found.all(&install::command(sources.profile.as_deref())) {
        findings.warning(
            other_watchdog.about,
            &other_watchdog.what,
            other_watchdog.fix,
        );
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
        if let Some(fix) = &finding.fix {
            set("", "", &format!("→ {fix}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        os::folders::Variables,
        policy::facts::{Look, Monotonic, Pause, Probe, Stall, UnitFacts},
        probe::gateway::Finder,
    };

    const UNIT: &str = "openclaw-gateway-work.service";

    /// A home with this openclaw.json, and a unit of the profile `work` that names this port.
    struct World {
        home: tempfile::TempDir,
        settings: Settings,
        unit: UnitFacts,
        health: Health,
        pause: Option<Pause>,
        known_good: bool,
    }

    impl World {
        fn new(openclaw_json: &str, port: &str) -> Self {
            let home = tempfile::tempdir().unwrap();
            let folder = home.path().join(".openclaw-work");
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("openclaw.json"), openclaw_json).unwrap();
            let exec_start = format!("/node /p/dist/index.js gateway {port}");
            let unit = UnitFacts {
                load_state: "loaded".to_owned(),
                active_state: "active".to_owned(),
                exec_start: exec_start.split(' ').map(str::to_owned).collect(),
                ..UnitFacts::default()
            };
            Self {
                home,
                settings: Settings::default(),
                unit,
                health: Health::Healthy(Duration::from_millis(3)),
                pause: None,
                known_good: true,
            }
        }

        fn down(state: &str, status: i32) -> Self {
            let mut world = Self::new("{}", "--port 18789");
            world.health = Health::Failing(Failure {
                probe: Probe::Port,
                reason: "nothing listens on port 18789".into(),
                stall: Stall::Gone,
            });
            world.unit.active_state = state.to_owned();
            world.unit.exec_main_status = status;
            world
        }

        fn findings(&self) -> Vec<Finding> {
            let variables = Variables::from([("HOME".into(), self.home.path().into())]);
            let mut finder = Finder::new(&variables);
            let found = finder.find(&self.settings, UNIT, Some(&self.unit));
            let seen = Seen {
                look: Look {
                    began: Monotonic(0),
                    unit: Ok(self.unit.clone()),
                    foreign_job: false,
                    pause: self.pause.clone(),
                    update: None,
                    last_words: Some("Gateway start blocked".into()),
                    remedy: None,
                    config: None,
                    debugged: false,
                    frozen: false,
                    listens: Line::default(),
                    port_holder: None,
                    progress: None,
                    health: self.health.clone(),
                },
                warnings: Vec::new(),
                found,
                address: None,
                needs: Vec::new(),
            };
            let around = Around {
                names: Names {
                    unit: UNIT,
                    profile: " --profile work",
                },
                settings: &self.settings,
                known_good: self.known_good,
            };
            let mut findings = Findings::default();
            of_look(&mut findings, &seen, &around);
            findings.0
        }

        /// Holds that of one thing this is found, with this to fix it.
        #[track_caller]
        fn check(&self, about: &str, severity: Severity, what: &str, fix: &str) {
            let found = self.findings();
            let fits = |one: &Finding| {
                one.about == about
                    && one.severity == severity
                    && one.what.as_str().contains(what)
                    && one.fix.as_deref().unwrap_or_default().contains(fix)
                    && (fix != DIFF || one.fix.as_deref() == Some(DIFF))
            };
            assert!(found.iter().any(fits), "{found:#?}");
        }
    }

    /// Alone, for what may be right all the same.
    const DIFF: &str = "gatehound snapshot diff --profile work";

    const RESTORE: &str =
        "gatehound snapshot diff --profile work; gatehound snapshot restore --yes --profile work";

    #[test]
    fn two_ports_are_both_told_and_which_is_in_force() {
        let world = World::new("{gateway: {port: 20000}}", "--port 18789");
        let what = format!("{UNIT} says 18789, which is in force, and ");
        let fix = "openclaw --profile work gateway install --force";
        world.check("port", Severity::Warning, &what, fix);
        world.check(
            "port",
            Severity::Warning,
            "openclaw.json says 20000",
            "18789",
        );
        let mut own = World::new("{gateway: {port: 18789}}", "--port 18789");
        own.check(
            "port",
            Severity::Fine,
            "18789, by unit and configuration",
            "",
        );
        own.settings.gateway.port = Some(7);
        own.check(
            "port",
            Severity::Warning,
            "gateway.port is 7, ",
            "gatehound settings show",
        );
        let unit = World::new("{}", "--port=18789");
        unit.check("port", Severity::Fine, "18789, by the unit", "");
        let file = World::new("{gateway: {port: 20000}}", "");
        file.check("port", Severity::Fine, "20000, by the configuration", "");
        let name = World::new("{}", "");
        name.check("port", Severity::Fine, ", by the profile's name", "");
    }

    #[test]
    fn an_include_is_of_no_matter_where_the_unit_names_the_port() {
        let include = "{gateway: {$include: './a.json'}}";
        let with_include = |port| {
            let world = World::new(include, port);
            fs::write(world.home.path().join(".openclaw-work/a.json"), "{}").unwrap();
            world
        };
        with_include("--port 18789").check("port", Severity::Fine, "18789, by the unit", "");
        let guessed = with_include("");
        guessed.check(
            "port",
            Severity::Warning,
            "$include is not followed",
            "[gateway]",
        );
    }

    #[test]
    fn a_configuration_that_the_next_start_refuses_is_a_problem_with_what_restores_it() {
        for (text, what) in [("{", "not JSON5"), ("{gateway: {port: 'x'}}", "not a port")] {
            let mut world = World::new(text, "--port 18789");
            world.check("config", Severity::Problem, what, RESTORE);
            world.check("port", Severity::Fine, "18789, by the unit", "");
            world.known_good = false;
            let fix = "openclaw --profile work doctor --fix";
            world.check("config", Severity::Problem, what, fix);
        }
    }

    #[test]
    fn a_configuration_of_which_a_part_is_missing_is_a_warning() {
        let world = World::new("{$include: './a.json'}", "--port 18789");
        world.check("config", Severity::Warning, "a.json: no such file", DIFF);
        let mut none = World::new("{}", "--port 18789");
        fs::remove_dir_all(none.home.path().join(".openclaw-work")).unwrap();
        none.check("config", Severity::Warning, "no such file", DIFF);
        none.known_good = false;
        none.check(
            "config",
            Severity::Warning,
            "no such file",
            "openclaw --profile work setup",
        );
    }

    #[test]
    fn a_gateway_that_is_down_is_told_with_what_starts_it() {
        let start = format!("systemctl --user start {UNIT}");
        for state in ["inactive", "failed"] {
            let what = format!("{UNIT} is {state}, so nothing listens on port 18789");
            World::down(state, 0).check("gateway", Severity::Problem, &what, &start);
        }
        let refused = World::down("failed", 78);
        let what = "exit status 78: Gateway start blocked";
        let fix = format!("{RESTORE}; {start}");
        refused.check("gateway", Severity::Problem, what, &fix);
        let hung = World::down("active", 0);
        let fix = format!("systemctl --user restart {UNIT}");
        hung.check("gateway", Severity::Problem, "failing, port: ", &fix);
    }

    #[test]
    fn a_pause_is_told_with_what_ends_it() {
        let mut world = World::new("{}", "--port 18789");
        let flag = "/tmp/openclaw-maintenance";
        for (reason, remaining, fix) in [
            (
                "disk",
                Some(Duration::from_secs(9)),
                "gatehound resume --profile work",
            ),
            (
                "flag file /tmp/openclaw-maintenance",
                None,
                "rm /tmp/openclaw-maintenance",
            ),
            (
                "disk; flag file …",
                None,
                "rm /tmp/openclaw-maintenance; gatehound resume",
            ),
        ] {
            assert_eq!(world.settings.pause.flag_file, Path::new(flag));
            world.pause = Some(Pause {
                reason: reason.into(),
                remaining,
            });
            world.check("pause", Severity::Warning, reason, fix);
        }
    }

    #[track_caller]
    fn check_version(version: &str, severity: Severity, expected: &[&str]) {
        let mut findings = Findings::default();
        of_version(&mut findings, &version.into());
        assert_eq!(findings.worst(), severity, "{version}");
        let told: Vec<_> = findings.0.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(told.len(), expected.len().max(1), "{told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_version_is_told_of_that_version_alone() {
        check_version("2026.1.29", Severity::Warning, &["no /health"]);
        check_version("2026.2.26-beta.1", Severity::Warning, &["no /health"]);
        check_version("2026.3.13", Severity::Warning, &["500 MB"]);
        check_version("2026.3.13-1", Severity::Warning, &["500 MB"]);
        check_version("2026.5.7", Severity::Fine, &[]);
        check_version("2026.7.1", Severity::Warning, &["crash-loop breaker"]);
        check_version("2026.9.5", Severity::Warning, &["breaker", "openclaw/tmp"]);
        check_version("2026.9.6", Severity::Fine, &["SIGUSR1"]);
        check_version("2026.10.1", Severity::Fine, &[]);
        check_version("of sorts", Severity::Fine, &[]);
    }

    #[test]
    fn a_clock_is_judged_by_the_marks_that_are_there() {
        for (marks, severity, what) in [
            (
                &[][..],
                Severity::Warning,
                "not synchronised as far as can be seen",
            ),
            (&["systemd/timesync"], Severity::Warning, "not synchronised"),
            (
                &["systemd/timesync/synchronized"],
                Severity::Fine,
                "synchronised",
            ),
            (&["chrony"], Severity::Fine, "kept by chrony"),
            (&["ntpd.pid"], Severity::Fine, "kept by ntpd"),
            (&["systemd/container"], Severity::Fine, "this container"),
        ] {
            let run = tempfile::tempdir().unwrap();
            for mark in marks {
                fs::create_dir_all(run.path().join(mark)).unwrap();
            }
            let mut findings = Findings::default();
            clock(&mut findings, run.path());
            assert_eq!(findings.worst(), severity, "{marks:?}");
            assert!(findings.0[0].what.as_str().contains(what), "{marks:?}");
        }
    }
}
