//! `gatehound status`: what the running Gatehound is doing, from its status line and its state file.

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::anyhow;

use super::status_view::{Known, lines, state_of};
use crate::{
    cli::{
        answers, check,
        console::{manager, settings, shipped_unit},
        settings_command::of_the_running,
        show::{Parts, Tone, in_columns, line, room, text},
    },
    daemon::memory::Memory,
    journal::{
        gateway_log,
        journalctl::{self, JOURNALCTL},
    },
    os::{cgroup, clock::Clock, folders, terminal::Keys, wall_clock},
    pause::pause_command,
    policy::{
        facts::UnitFacts,
        state::{Phase, State},
    },
    probe::gateway,
    settings::{
        Settings,
        layers::{self, Sources, which_gateway},
        limits::JOURNAL_LIMIT,
    },
    text::line::Line,
};

/// Pause between two looks of [`watch`].
const PAUSE: Duration = Duration::from_secs(2);

/// Ctrl-C, which is a key like others while keys are taken.
const CTRL_C: u8 = 3;

/// Prints it; 0 when Gatehound runs, 1 when it does not.
pub(crate) fn status(sources: &Sources, json: bool) -> anyhow::Result<ExitCode> {
    let sources = &of_the_running(sources.clone());
    let known = known(sources, settings(sources))?;
    if json {
        answers::say(&answer(&known));
    } else {
        for parts in in_columns(&lines(&known), room(0)) {
            line(&borrowed(&parts));
        }
    }
    Ok(ExitCode::from(u8::from(!known.is_running())))
}

fn borrowed(parts: &Parts) -> Vec<(Tone, &str)> {
    let parts = parts.iter().map(|(tone, text)| (*tone, text.as_str()));
    parts.collect()
}

/// Prints it again and again: in place on a terminal, else one below the other. Ends by `q`, a signal, or when nobody
/// reads any more.
pub(crate) fn watch(sources: &Sources, json: bool) -> anyhow::Result<ExitCode> {
    // Without this folder no later look would show more.
    runtime(sources)?;
    let in_place = stdout().is_terminal() && !json;
    let keys = if in_place { Keys::take() } else { None };
    loop {
        let page = page(sources, json, keys.is_some());
        let written = if in_place {
            write!(stdout(), "{}", over_the_last(&page))
        } else {
            let apart = if json { "" } else { "\n" };
            write!(stdout(), "{page}{apart}")
        };
        // A reader that has gone away wants no more.
        if written.and_then(|()| stdout().flush()).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
        match &keys {
            Some(keys) => {
                if matches!(keys.pressed(PAUSE), Some(b'q' | b'Q' | CTRL_C)) {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            None => thread::sleep(PAUSE),
        }
    }
}

/// One look as it is shown.
fn page(sources: &Sources, json: bool, keys: bool) -> String {
    let (settings, wrong) = quiet_settings(sources);
    let known = known(sources, settings);
    if json {
        return match known {
            Ok(known) => answers::short(&answer(&known)),
            // The user manager may be restarting; whoever watches wants to see it come back.
            Err(e) => answers::short(&answers::Error {
                error: Line::new(&format!("{e:#}")),
            }),
        };
    }
    let mut page = String::new();
    let mut add = |parts: &[(Tone, &str)]| {
        // Writing into a string cannot fail.
        let _ = writeln!(page, "{}", text(parts));
    };
    let time = wall_clock::local(wall_clock::now());
    let ends = if keys { "; q ends this" } else { "" };
    add(&[(Tone::Plain, &format!("{time}{ends}"))]);
    if let Some(wrong) = wrong {
        add(&[(Tone::Warning, "settings   "), (Tone::Plain, &wrong)]);
    }
    match known {
        Ok(known) => in_columns(&lines(&known), room(0))
            .iter()
            .for_each(|parts| add(&borrowed(parts))),
        Err(e) => add(&[(Tone::Plain, &format!("gatehound  {e:#}"))]),
    }
    page
}

/// The page over the one before, of which nothing is left: each line is ended, then what is below it (ECMA-48).
///
/// Nothing is cleared first, so that no blank screen is seen between two of them.
fn over_the_last(page: &str) -> String {
    format!("\x1b[H{}\x1b[J", page.replace('\n', "\x1b[K\n"))
}

/// The settings, and what is wrong with them, which has its place on the page.
fn quiet_settings(sources: &Sources) -> (Settings, Option<String>) {
    match layers::load(sources) {
        Ok(loaded) => (loaded.settings, None),
        Err(wrong) => {
            let settings = which_gateway(sources).unwrap_or_default();
            (settings, Some(wrong.to_string()))
        }
    }
}

fn runtime(sources: &Sources) -> anyhow::Result<PathBuf> {
    let profile = sources.profile.as_deref();
    folders::runtime(&sources.variables, profile).map_err(|line| anyhow!("{line}"))
}

fn known(sources: &Sources, settings: Settings) -> anyhow::Result<Known> {
    let dir = runtime(sources)?;
    let memory = Memory::peek(&dir);
    let profile = sources.profile.as_deref();
    let (own_unit, unit) = memory.as_ref().map_or_else(
        || {
            (
                shipped_unit(profile),
                gateway::unit_name(&settings, profile),
            )
        },
        |memory| (memory.own_unit.clone(), memory.unit.clone()),
    );
    let mut manager = manager()?;
    let profile = folders::profile_option(profile);
    let found = pause_command::look(&settings, &dir, &profile)?;
    // The running Gatehound does not probe during a pause.
    let meanwhile = match &found.pause {
        Some(_) => check::look(sources, &settings, &unit).ok(),
        None => None,
    };
    let gateway = manager.unit(&unit)?;
    let state = memory.map(|memory| memory.state);
    Ok(Known {
        words: words(&unit, &gateway, state.as_ref()),
        paused_ago: found.given.as_ref().map(|(ago, _)| *ago),
        paused_by: pause_command::given_by(&found),
        meanwhile: meanwhile.map(|seen| seen.look.health),
        own: manager.unit(&own_unit)?,
        status: manager.status_text(&own_unit)?,
        checked: manager.watchdog_timestamp(&own_unit)?,
        gateway,
        own_unit,
        unit,
        state,
        pause: found.pause,
        profile,
        settings,
        lost: cgroup::versions(Path::new("/sys/fs/cgroup")).lost(),
        now: Clock.now(),
        wall: wall_clock::now(),
    })
}

/// The last that the gateway's run said, where it does not work.
fn words(unit: &str, gateway: &UnitFacts, state: Option<&State>) -> Option<Line> {
    state?.incident.as_ref()?;
    let run = gateway.invocation_id.as_ref()?;
    let program = Path::new(JOURNALCTL);
    let lines = journalctl::last_lines(program, unit, run, gateway_log::LINES, JOURNAL_LIMIT);
    gateway_log::last_error(&lines.ok()?)
}

fn answer(known: &Known) -> answers::Status {
    let state = known.state.as_ref();
    let incident = state.and_then(|state| state.incident.as_ref());
    let run = known.gateway.invocation_id.as_ref();
    answers::Status {
        gatehound: answers::OwnUnit {
            unit: known.own_unit.clone(),
            state: state_of(&known.own),
            status: known.status.clone(),
        },
        gateway: answers::GatewayUnit {
            unit: known.unit.clone(),
            state: state_of(&known.gateway),
            pid: known.gateway.main_pid,
            invocation_id: run.map(|run| run.0.clone()),
        },
        phase: state.map(|state| state.phase.name()),
        standby: state.and_then(|state| match state.phase {
            Phase::StandingBy { reason, .. } => Some(reason.name()),
            _ => None,
        }),
        pause: known.pause.as_ref().map(Into::into),
        incident: incident.map(|incident| answers::OpenIncident {
            id: incident.id.clone(),
            seconds: Clock.now().since(incident.since).as_secs_f64(),
            probe: incident.failure.probe.name(),
            reason: incident.failure.reason.clone(),
            stall: incident.failure.stall.name(),
            restarts: incident.restarts,
        }),
        degraded: state.and_then(|state| state.degraded.clone()),
        attempts: state.map(|state| state.attempts.used),
        said_last: known.words.clone(),
        last_check: known.checked.and_then(|at| known.utc(at)),
        next_check: known
            .checked
            .and_then(|at| known.next(at))
            .and_then(|at| known.utc(at)),
        next_try: state
            .and_then(|state| known.tries_again(state))
            .and_then(|at| known.utc(at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_the_place_of_the_one_before_without_a_blank_screen() {
        let drawn = over_the_last("10:32:07\nhealthy\n");
        assert_eq!(drawn, "\x1b[H10:32:07\x1b[K\nhealthy\x1b[K\n\x1b[J");
        assert!(!drawn.contains("\x1b[2J"));
    }
}
