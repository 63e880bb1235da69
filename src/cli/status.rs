//! `gatehound status`: what the running Gatehound is doing, from its status line and its state file.

use crate::cli::console::say;
use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::anyhow;

use crate::{
    cli::{
        answers,
        console::{manager, settings, shipped_unit},
        show::{Tone, line, paused},
    },
    pause::pause_command,
};
use crate::{
    daemon::memory::Memory,
    os::{clock::Clock, folders},
    policy::{
        facts::{Pause, UnitFacts},
        state::{Phase, State},
    },
    probe::gateway,
    settings::layers::Sources,
    text::{line::Line, words::span},
};

/// Pause between two looks of [`watch`].
const PAUSE: Duration = Duration::from_secs(2);

/// What is known of both units.
struct Known {
    own_unit: String,
    own: UnitFacts,
    status: Option<Line>,
    unit: String,
    gateway: UnitFacts,
    state: Option<State>,
    pause: Option<Pause>,
    /// The option that names the profile, for commands.
    profile: String,
}

/// Prints it; 0 when Gatehound runs, 1 when it does not.
pub(crate) fn status(sources: &Sources, json: bool) -> anyhow::Result<ExitCode> {
    let known = known(sources)?;
    if json {
        answers::say(&answer(&known));
    } else {
        print_lines(&known);
    }
    Ok(if known.own.active_state == "active" {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// Prints it again and again: in place on a terminal, else one below the other. Ends only by a signal.
pub(crate) fn watch(sources: &Sources, json: bool) -> anyhow::Result<ExitCode> {
    // To the upper left corner, and clear from there (ECMA-48).
    let clear = if std::io::stdout().is_terminal() && !json {
        "\x1b[H\x1b[2J"
    } else {
        ""
    };
    // Without this folder no later look would show more.
    runtime(sources)?;
    loop {
        // Before the look, which may have something to say of the settings.
        let _ = write!(std::io::stdout(), "{clear}");
        let _ = std::io::stdout().flush();
        match known(sources) {
            Ok(known) if json => answers::say_short(&answer(&known)),
            Ok(known) => print_lines(&known),
            // The user manager may be restarting; whoever watches wants to see it come back.
            Err(e) => {
                let why = Line::new(&format!("{e:#}"));
                if json {
                    answers::say_short(&answers::Error { error: why });
                } else {
                    say!("gatehound  {why}");
                }
            }
        }
        // A reader that has gone away wants no more.
        if writeln!(std::io::stdout()).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
        thread::sleep(PAUSE);
    }
}

fn runtime(sources: &Sources) -> anyhow::Result<PathBuf> {
    let profile = sources.profile.as_deref();
    folders::runtime(&sources.variables, profile).map_err(|line| anyhow!("{line}"))
}

fn known(sources: &Sources) -> anyhow::Result<Known> {
    let dir = runtime(sources)?;
    let memory = Memory::peek(&dir);
    let settings = settings(sources);
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
    Ok(Known {
        own: manager.unit(&own_unit)?,
        status: manager.status_text(&own_unit)?,
        gateway: manager.unit(&unit)?,
        own_unit,
        unit,
        state: memory.map(|memory| memory.state),
        pause: pause_command::look(&settings, &dir, &profile)?.pause,
        profile,
    })
}

fn state_of(unit: &UnitFacts) -> String {
    if unit.load_state == "loaded" {
        format!("{} ({})", unit.active_state, unit.sub_state)
    } else {
        unit.load_state.clone()
    }
}

/// What the name of a phase says at a glance; a word that is none says nothing.
fn tone(phase: &str) -> Tone {
    match phase {
        "healthy" => Tone::Good,
        "starting" | "failing" | "standing-by" => Tone::Warning,
        "backing-off" | "restarting" | "gave-up" => Tone::Bad,
        _ => Tone::Plain,
    }
}

fn print_lines(known: &Known) {
    let running = known.own.active_state == "active";
    let text = known.status.as_ref().filter(|_| running);
    match text {
        Some(text) => {
            let (phase, rest) = text.as_str().split_at(text.as_str().find(':').unwrap_or(0));
            line(&[
                (Tone::Plain, "gatehound  "),
                (tone(phase), phase),
                (Tone::Plain, rest),
            ]);
        }
        None => {
            let state = state_of(&known.own);
            let rest = match known.own.load_state.as_str() {
                "not-found" => {
                    let profile = &known.profile;
                    format!(", nobody watches; install it: gatehound install{profile}")
                }
                _ => {
                    let own = &known.own_unit;
                    format!(", nobody watches; start it: systemctl --user start {own}")
                }
            };
            line(&[
                (Tone::Plain, "gatehound  "),
                (Tone::Bad, &state),
                (Tone::Plain, &rest),
            ]);
        }
    }
    say!("gateway    {}: {}", known.unit, state_of(&known.gateway));
    if let Some(pause) = &known.pause {
        say!("paused     {}", paused(pause));
    }
    let Some(state) = &known.state else { return };
    let now = Clock.now();
    if let Some(incident) = &state.incident {
        let since = span(now.since(incident.since));
        let failure = &incident.failure;
        let text = format!(
            "{}, {since} so far, {}: {}",
            incident.id,
            failure.probe.name(),
            failure.reason
        );
        line(&[
            (Tone::Bad, "incident"),
            (Tone::Plain, "   "),
            (Tone::Plain, &text),
        ]);
    }
    if 0 < state.attempts.used {
        let taken = span(now.since(state.attempts.taken));
        say!(
            "attempts     attempt {}, taken {taken} ago",
            state.attempts.used
        );
    }
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
    }
}
