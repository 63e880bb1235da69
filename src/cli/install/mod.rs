//! `gatehound install`: puts program, units, man pages and completions into place for one user, and starts to watch.
//!
//! Owns the order of that. It writes no file of the gateway's, and says what it did and what is missing.
//! Run as the program of a package it puts nothing anywhere, and enables the package's units.

pub mod packaged;
mod plan;
mod shipped;
mod uninstall;

use std::{
    env,
    ffi::OsStr,
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use nix::unistd::{User, geteuid};

use self::shipped::{remove, shipped};
pub(crate) use self::{
    plan::dry_run,
    shipped::{Places, TIDY, TIMER, helper, shipped_text},
    uninstall::uninstall,
};
use crate::{
    cli::{
        command_line::InstallOptions,
        console::{manager, say, shipped_unit},
        doctor, gateway_unit, settings_command,
    },
    os::{folders, processes},
    other_watchdogs::{
        crontab_edit::Replaced,
        finding::{self, OtherWatchdogs},
        survey::Around,
    },
    policy::facts::UnitFacts,
    probe::{gateway, update},
    settings::{layers as settings, layers::Sources},
    systemd::UserManager,
    text::words::Names,
};

/// How long the unit may take to be active; it answers for itself after that.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Puts everything into place, enables and starts the unit.
pub(crate) fn install(mut sources: Sources, options: &InstallOptions) -> anyhow::Result<ExitCode> {
    let places = Places::of(&sources)?;
    let state = folders::state(&sources.variables, sources.profile.as_deref())
        .map_err(|line| anyhow!("{line}"))?;
    let mut manager = manager()?;
    let unit = shipped_unit(sources.profile.as_deref());
    let before = manager
        .unit(&unit)
        .context("cannot install without a user session")?;
    sources.watchdog = settings_command::watchdog(&sources);
    let settings = settings::load(&sources)
        .context("not installed, because Gatehound would not start")?
        .settings;
    let gateway = gateway::unit_name(&settings, sources.profile.as_deref());
    let around = Around::new(&sources.variables, &gateway, settings.gateway.port);
    let other_watchdogs = OtherWatchdogs::look(&around, Some(&mut manager));
    let replace = other_watchdogs.settle(options, &command(sources.profile.as_deref()))?;
    // Between an upgrade and a restart the old program runs on, and its file is no longer there.
    let mut changed = processes::program_is_gone(Path::new("/proc"), before.main_pid);
    if packaged::is_this() {
        say!("packaged   {}", packaged::PROGRAM);
        changed |= remove(places.shadowing(), options.dry_run)?;
    } else {
        for file in shipped(&places)? {
            changed |= file.put(options.dry_run)?;
        }
    }
    if options.dry_run {
        if replace {
            other_watchdogs.would_remove(&state);
        }
        would_activate(&mut manager, &unit, &before, changed)?;
    } else {
        let removed = replace.then(|| other_watchdogs.remove(&state)).transpose();
        let replaced = removed.context("program and units are in place, and not started")?;
        activate(&mut manager, &unit, &before, changed)
            .map_err(|e| undone(e, &mut manager, &unit, replaced.as_ref()))?;
    }
    finding::tidy_up(Path::new("/tmp"), &settings.pause.flag_file, options);
    let watching = if options.dry_run && before.active_state != "active" {
        "would watch  "
    } else {
        "watching   "
    };
    let facts = manager.unit(&gateway)?;
    let mut finder = gateway::Finder::new(&sources.variables);
    let port = finder.find(&settings, &gateway, Some(&facts)).port;
    let profile = folders::profile_option(sources.profile.as_deref());
    let names = Names {
        unit: &gateway,
        profile: &profile,
    };
    missing(&mut manager, &facts, names, port, watching)?;
    if !packaged::is_this() {
        not_in_path(&sources, &places.program);
    }
    if let Some(copy) = places.shadowing().first()
        && !options.dry_run
    {
        say!(
            "shadows    {} and the others are used instead of the package's, and no upgrade of it reaches them; \
             to use the package: {} install",
            copy.display(),
            packaged::PROGRAM
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The command that installs, as it was called, for messages.
pub(crate) fn command(profile: Option<&str>) -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let profile = folders::profile_option(profile);
    format!("{}{profile} install", called.display())
}

/// Gives the gateway back to the old watchdog, because Gatehound does not watch; says so behind the error.
///
/// Gatehound goes first: it may yet start, and then the two would restart the gateway against each other.
fn undone(
    error: anyhow::Error,
    manager: &mut UserManager,
    unit: &str,
    replaced: Option<&Replaced>,
) -> anyhow::Error {
    let Some(replaced) = replaced else {
        return error;
    };
    let stopped = manager
        .stop(unit)
        .and_then(|_| manager.disable(unit))
        .and_then(|()| manager.reload());
    let stopped = match stopped {
        Ok(()) => format!("{unit} is stopped and disabled"),
        Err(why) => format!("{unit} cannot be stopped: {why}"),
    };
    match replaced.undo() {
        Ok(()) => anyhow!("{error:#}; the crontab is put back, and {stopped}"),
        Err(why) => anyhow!("{error:#}; {why}; {stopped}"),
    }
}

fn activate(
    manager: &mut UserManager,
    unit: &str,
    before: &UnitFacts,
    changed: bool,
) -> anyhow::Result<()> {
    for unit in [unit, TIMER] {
        manager.enable(unit)?;
        say!("enabled    {unit}");
    }
    // After the links: from systemd 255 on, new ones alone make each unit of the user one that changed on disk.
    manager.reload()?;
    // A timer that runs already is started to no effect.
    manager.start(TIMER)?;
    let running = before.active_state == "active";
    if running && !changed {
        say!("running    {unit}");
        return Ok(());
    }
    if running {
        manager.restart(unit)?;
    } else {
        manager.reset_failed(unit)?;
        manager.start(unit)?;
    }
    await_active(manager, unit)?;
    say!(
        "{}  {unit}",
        if running { "restarted" } else { "started  " }
    );
    Ok(())
}

/// Says what [`activate`] would do.
fn would_activate(
    manager: &mut UserManager,
    unit: &str,
    before: &UnitFacts,
    changed: bool,
) -> anyhow::Result<()> {
    for unit in [unit, TIMER] {
        if manager.file_state(unit)? != "enabled" {
            say!("would enable  {unit}");
        }
    }
    if manager.active_state(TIMER)? != "active" {
        say!("would start  {TIMER}");
    }
    if before.active_state != "active" {
        say!("would start  {unit}");
    } else if changed {
        say!("would restart  {unit}");
    }
    Ok(())
}

/// Waits until the unit has said READY=1.
fn await_active(manager: &mut UserManager, unit: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let facts = manager.unit(unit)?;
        match facts.active_state.as_str() {
            "active" if facts.job.is_none() => return Ok(()),
            "failed" => bail!(
                "{unit} did not start: {}, exit status {}; see journalctl --user -u {unit}",
                facts.result,
                facts.exec_main_status
            ),
            _ if deadline <= Instant::now() => {
                bail!(
                    "{unit} is {} after {START_LIMIT:?}; see systemctl --user status {unit}",
                    facts.active_state
                );
            }
            _ => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Says what is still missing, each with what fixes it.
fn missing(
    manager: &mut UserManager,
    facts: &UnitFacts,
    names: Names<'_>,
    port: u16,
    watching: &str,
) -> anyhow::Result<()> {
    let gateway = names.unit;
    match (facts.load_state.as_str(), facts.active_state.as_str()) {
        (_, "active") => say!("{watching}{gateway}"),
        ("loaded", state) => {
            say!("missing    {gateway} is {state}; start it: systemctl --user start {gateway}")
        }
        (_, _) => {}
    }
    for advice in gateway_unit::advice(manager, facts, names, port)? {
        say!("missing    {} → {}", advice.what, advice.fix);
    }
    if let Some(version) = update::installed_version(&facts.exec_start)
        && doctor::has_no_health(&version)
    {
        say!(
            "missing    gateway {version} has no /health, so Gatehound judges it by / alone → openclaw update"
        );
    }
    if let Some(remedy) = linger_is_off() {
        say!("missing    linger is off, so both stop at logout; switch it on: {remedy}");
    }
    Ok(())
}

/// Says so where a shell would not find the program; a login adds the folder to PATH on most distributions.
fn not_in_path(sources: &Sources, program: &Path) {
    let folder = program.parent().unwrap_or(program);
    let path = sources.variables.get(OsStr::new("PATH"));
    if !path.is_some_and(|path| env::split_paths(path).any(|one| one == folder)) {
        let folder = folder.display();
        say!(
            "missing    {folder} is not in PATH, so a shell does not find gatehound; \
             log in anew, or: export PATH=\"{folder}:$PATH\""
        );
    }
}

/// The command that keeps the user manager running after logout, unless it does.
pub(crate) fn linger_is_off() -> Option<String> {
    let user = User::from_uid(geteuid()).ok().flatten();
    let user = user.map_or_else(String::new, |user| user.name);
    // systemd-logind keeps one empty file for each lingering user.
    let lingers = Path::new("/var/lib/systemd/linger").join(&user).exists();
    (!lingers).then(|| format!("loginctl enable-linger {user}"))
}
