//! `gatehound emergency-stop`: watchdog and gateway down, now, and nothing left of either.
//!
//! Owns the order: the watchdog first, because it would bring back what is stopped after it.
//! Who may be signalled is `recovery::cleanup`'s to say, here as in a restart.

use crate::cli::console::say;
use std::{
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};

use crate::cli::console::{manager, settings, shipped_unit};
use crate::{
    daemon::memory::ForcedStops,
    journal::writer::Journal,
    os::{cgroup, clock::Clock, folders, state_file},
    policy::{
        answer::Noted,
        facts::{Monotonic, UnitFacts},
        record::Record,
        state::{Phase, Standby, State},
    },
    probe::gateway::{self, Finder},
    recovery::cleanup::{self, CleanedUp, Signal, Territory},
    settings::{Settings, layers::Sources, limits::CLEANUP_GRACE},
    systemd::UserManager,
    text::{line::Line, words::Names},
};

/// How long Gatehound may take: it may be waiting for an answer of the gateway, and is not worth waiting for.
const WATCHDOG_LIMIT: Duration = Duration::from_secs(3);

/// How long the gateway may take to finish its work; as `stop_timeout.hung` is by default.
const GATEWAY_LIMIT: Duration = Duration::from_secs(10);

/// How long the kernel may take after SIGKILL; only disk wait outlasts it.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Stops both units, cleanups what is left, and says what was done; 1 if something is left.
pub(crate) fn emergency_stop(sources: &Sources, disable: bool) -> anyhow::Result<ExitCode> {
    // Wrong settings must not keep a human from stopping it all.
    let settings = settings(sources);
    let own = shipped_unit(sources.profile.as_deref());
    let unit = gateway::unit_name(&settings, sources.profile.as_deref());
    let mut manager = manager()?;
    let facts = manager.unit(&unit).with_context(|| {
        format!("nothing is stopped, because {unit} can only be stopped through the user manager")
    })?;
    stop(&mut manager, &own, WATCHDOG_LIMIT, || {})?;
    forget(sources);
    let mut counted = false;
    let mut count = || {
        if !std::mem::replace(&mut counted, true) {
            count_forced_stop(sources, &unit);
        }
    };
    stop(&mut manager, &unit, GATEWAY_LIMIT, &mut count)?;
    let profile = folders::profile_option(sources.profile.as_deref());
    note(Names {
        unit: &unit,
        profile: &profile,
    });
    let clean = cleanup(sources, &settings, &unit, &facts, count)?;
    let mut back = Vec::new();
    // The gateway first: it is what must not come back.
    for unit in [&unit, &own] {
        if manager.fragment_path(unit)?.is_empty() {
            continue;
        }
        back.push(unit.as_str());
        if disable {
            manager.disable(unit)?;
            say!("disabled   {unit}");
        }
    }
    if disable {
        manager.reload()?;
    }
    let enable = if disable { "enable --now" } else { "start" };
    match back[..] {
        [] => say!("neither {own} nor {unit} is installed"),
        [one] => say!("{one} stays down; to have it back: systemctl --user {enable} {one}"),
        _ => say!(
            "both stay down; to have them back: systemctl --user {enable} {}",
            back.join(" ")
        ),
    }
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// Gatehound may remember a pending start, and a human has just said otherwise.
fn forget(sources: &Sources) {
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref());
    if let Err(why) = dir.and_then(|dir| state_file::forget_state(&dir)) {
        say!("warning    {why}; a gatehound that is started now may start the gateway");
    }
}

/// Whoever watches next has this SIGKILL in its budget (rule 6).
fn count_forced_stop(sources: &Sources, unit: &str) {
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref());
    if let Err(why) = dir.and_then(|dir| ForcedStops::add(&dir, unit, Clock.now())) {
        say!("warning    {why}; a gatehound that is started now does not count this SIGKILL");
    }
}

/// Says it in the journal, for who asks for the history; a journal that takes nothing is not worth a word now.
fn note(names: Names<'_>) {
    let state = State {
        phase: Phase::StandingBy {
            reason: Standby::Stopped,
            detail: Line::default(),
            since: Monotonic::default(),
        },
        ..State::default()
    };
    let noted = Noted {
        incident: None,
        record: Record::EmergencyStop,
    };
    Journal::journald().write(&noted, &state, names);
}

fn stop(
    manager: &mut UserManager,
    unit: &str,
    limit: Duration,
    before_kill: impl FnOnce(),
) -> anyhow::Result<()> {
    let facts = manager.unit(unit)?;
    if is_down(&facts) {
        // One that is not installed was never up.
        if facts.load_state != "not-found" {
            say!("was down   {unit}");
        }
        return Ok(());
    }
    // systemd from 257 on stops no unit that is frozen, and one whose stop was refused can never be thawed again.
    if !matches!(facts.freezer_state.as_str(), "" | "running") {
        manager.thaw(unit)?;
        say!("thawed     {unit}, which was frozen");
    }
    manager.stop(unit)?;
    if comes_down(manager, unit, limit)? {
        say!("stopped    {unit}");
        return Ok(());
    }
    before_kill();
    manager.kill(unit)?;
    if comes_down(manager, unit, KILL_LIMIT)? {
        say!("killed     {unit}, which did not stop within {limit:?}");
        return Ok(());
    }
    bail!(
        "{unit} is still there after SIGKILL, probably waiting for a disk; look with: systemctl --user status {unit}"
    )
}

fn comes_down(manager: &mut UserManager, unit: &str, limit: Duration) -> anyhow::Result<bool> {
    let deadline = Instant::now() + limit;
    loop {
        if is_down(&manager.unit(unit)?) {
            return Ok(true);
        }
        if deadline <= Instant::now() {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn is_down(unit: &UnitFacts) -> bool {
    unit.job.is_none() && matches!(unit.active_state.as_str(), "inactive" | "failed")
}

/// SIGTERM, then SIGKILL to who has not ended; whether nothing is left.
fn cleanup(
    sources: &Sources,
    settings: &Settings,
    unit: &str,
    facts: &UnitFacts,
    before_kill: impl FnOnce(),
) -> anyhow::Result<bool> {
    let mut before_kill = Some(before_kill);
    let found = Finder::new(&sources.variables).find(settings, unit, Some(facts));
    let cgroups = cgroup::root(Path::new("/sys/fs/cgroup"));
    let territory = Territory {
        proc: Path::new("/proc"),
        cgroups: cgroups.as_deref(),
        unit,
        port: found.port,
        addresses: &[],
        control_group: &facts.control_group,
        invocation: facts.invocation_id.as_ref(),
        uid: nix::unistd::geteuid().as_raw(),
        own_cgroup: "",
    };
    let mut last = CleanedUp::default();
    for (signal, name) in [(Signal::Term, "SIGTERM"), (Signal::Kill, "SIGKILL")] {
        if matches!(signal, Signal::Kill)
            && let Some(count) = before_kill.take()
        {
            count();
        }
        last = cleanup::cleanup(&territory, signal, CLEANUP_GRACE).map_err(|line| {
            anyhow!("the units are stopped, but not what is left of them: {line}")
        })?;
        for (process, _) in &last.signalled {
            say!(
                "cleaned up pid {} ({}), {name}",
                process.pid,
                process.command
            );
        }
        if last.left.is_empty() {
            break;
        }
    }
    for (process, _) in &last.left {
        say!("left       pid {} ({})", process.pid, process.command);
    }
    for holder in &last.foreign {
        say!("left       {holder}, which holds port {}", found.port);
    }
    Ok(last.left.is_empty() && last.foreign.is_empty())
}
