//! `gatehound check`: one look, read-only.

use crate::cli::console::say;
use std::{path::PathBuf, process::ExitCode};

use anyhow::anyhow;

use crate::cli::{
    answers,
    console::manager,
    nagios,
    show::{Tone, line, paused},
};
use crate::{
    daemon::{look::Seen, memory::Memory, senses::Senses},
    os::{boot_id, clock::Clock, folders},
    policy::{
        facts::{Health, Look},
        usefulness::STARTING,
    },
    probe::{
        gateway::{self, Finder},
        readiness::{self, Readiness},
    },
    settings::{
        Settings,
        layers::{self, Sources},
        limits::READY_LIMIT,
    },
    text::{
        line::Line,
        words::{asked, span, useless, words},
    },
};

/// Looks once and says what is seen.
pub(crate) fn check(sources: &Sources, json: bool, nagios: bool) -> anyhow::Result<ExitCode> {
    let settings = layers::load(sources)?.settings;
    let unit = gateway::unit_name(&settings, sources.profile.as_deref());
    let seen = look(sources, &settings, &unit)?;
    let degraded = degraded(sources, &settings, &seen);
    if nagios {
        return Ok(nagios::say(&seen, verdict(&seen.look).1, degraded.as_ref()));
    }
    if json {
        answers::say(&answer(&unit, &seen, degraded));
    } else {
        let profile = folders::profile_option(sources.profile.as_deref());
        print_lines(&unit, &seen, &profile);
        if let Some(what) = &degraded {
            line(&[
                (Tone::Warning, "degraded"),
                (Tone::Plain, " "),
                (
                    Tone::Plain,
                    &format!("{what}; {}", useless(what.as_str(), &profile)),
                ),
            ]);
        }
    }
    Ok(match seen.look.health {
        Health::Healthy(_) => ExitCode::SUCCESS,
        Health::Failing(_) => ExitCode::from(1),
        Health::Unknown(_) | Health::NotProbed => ExitCode::from(2),
    })
}

/// One look with all probes, which changes nothing.
pub(crate) fn look(sources: &Sources, settings: &Settings, unit: &str) -> anyhow::Result<Seen> {
    let own = |line: Line| anyhow!("{line}");
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref()).map_err(own)?;
    let boot_id = boot_id::get().map_err(own)?;
    let finder = Finder::new(&sources.variables);
    let proc = PathBuf::from("/proc");
    let unit = unit.to_owned();
    // The running Gatehound knows where the gateway was before it went down.
    let known = Memory::peek(&dir).map(|memory| memory.state.addresses);
    let mut senses = Senses::new(proc, dir, boot_id, unit, finder, Clock, manager()?);
    senses.profile = folders::profile_option(sources.profile.as_deref());
    Ok(senses.look(settings, true, &known.unwrap_or_default()))
}

/// What of the healthy gateway does not work: as the running Gatehound says, which knows for how long,
/// else as the gateway says now.
pub(crate) fn degraded(sources: &Sources, settings: &Settings, seen: &Seen) -> Option<Line> {
    if !matches!(seen.look.health, Health::Healthy(_)) {
        return None;
    }
    let unit = seen.look.unit.as_ref().ok()?;
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref()).ok();
    let memory = dir.and_then(|dir| Memory::peek(&dir));
    let known = memory.map(|memory| memory.state);
    let known = known.filter(|state| state.gateway.invocation == unit.invocation_id);
    if let Some(what) = known.as_ref().and_then(|state| state.degraded.clone()) {
        return Some(what);
    }
    let now = Clock.now();
    let failing = known.map_or_else(Vec::new, |state| state.parts.failing);
    let lately = |name: &Line| {
        let mut known = failing.iter().filter(|part| part.name == *name);
        known.any(|part| now.since(part.since) < settings.degraded_after)
    };
    let Readiness::Degraded(parts) = readiness::ready(&seen.target()?, READY_LIMIT) else {
        return None;
    };
    let starting = now.since(unit.active_since) < settings.grace.starting;
    let excused = |name: &Line| lately(name) || starting && name.as_str() == STARTING;
    let parts: Vec<&str> = parts
        .iter()
        .filter(|name| !excused(name))
        .map(Line::as_str)
        .collect();
    (!parts.is_empty()).then(|| Line::new(&parts.join(", ")))
}

fn verdict(look: &Look) -> (&'static str, String) {
    match &look.health {
        Health::Healthy(took) => {
            let what = asked(look.without_health);
            ("healthy", format!("{what} {}", span(*took)))
        }
        Health::Failing(failure) => ("failing", words(failure)),
        Health::Unknown(why) => ("unknown", why.to_string()),
        Health::NotProbed => ("unknown", "not probed".to_owned()),
    }
}

fn unit_state(seen: &Seen) -> String {
    match &seen.look.unit {
        Ok(unit) if unit.load_state != "loaded" => unit.load_state.clone(),
        Ok(unit) => format!("{} ({})", unit.active_state, unit.sub_state),
        Err(why) => why.to_string(),
    }
}

/// What is to be said where the gateway listens on another port than expected.
fn elsewhere(seen: &Seen) -> String {
    if seen.found.port == seen.found.expected {
        return String::new();
    }
    format!(
        ", where the unit listens; {} was expected",
        seen.found.expected
    )
}

fn tls(seen: &Seen) -> &'static str {
    if seen.found.tls { ", TLS" } else { "" }
}

fn print_lines(unit: &str, seen: &Seen, profile: &str) {
    let (verdict, detail) = verdict(&seen.look);
    let tone = match &seen.look.health {
        Health::Healthy(_) => Tone::Good,
        Health::Failing(_) => Tone::Bad,
        Health::Unknown(_) | Health::NotProbed => Tone::Warning,
    };
    line(&[
        (Tone::Plain, "gateway  "),
        (tone, verdict),
        (Tone::Plain, &format!(", {detail}")),
    ]);
    say!("unit     {unit}: {}", unit_state(seen));
    match (seen.address, &seen.look.port_holder) {
        (Some(address), _) => say!(
            "port     {} on {address}{}{}",
            seen.found.port,
            tls(seen),
            elsewhere(seen)
        ),
        (None, Some(port_holder)) => say!("port     {}, held by {port_holder}", seen.found.port),
        (None, None) => match &seen.look.health {
            Health::Unknown(_) | Health::NotProbed => {
                say!("port     {}, not looked at", seen.found.port);
            }
            Health::Healthy(_) | Health::Failing(_) => {
                say!("port     {}, nothing listens", seen.found.port);
            }
        },
    }
    if let Some(problem) = &seen.found.problem {
        say!("config   {problem}");
    }
    if let Some(pause) = &seen.look.pause {
        say!("paused   {}", paused(pause));
    }
    for warning in &seen.warnings {
        line(&[
            (Tone::Warning, "warning"),
            (Tone::Plain, "  "),
            (Tone::Plain, warning.as_str()),
        ]);
    }
    if !matches!(seen.look.health, Health::Healthy(_)) {
        say!("next     what is done about it: gatehound status{profile}");
        say!("         what helps: gatehound doctor{profile}");
    }
}

fn answer(unit: &str, seen: &Seen, degraded: Option<Line>) -> answers::Check {
    let (health, detail) = verdict(&seen.look);
    let (failure, reason) = match &seen.look.health {
        Health::Failing(failure) => (Some(failure), Some(failure.reason.clone())),
        Health::Unknown(why) => (None, Some(why.clone())),
        Health::Healthy(_) | Health::NotProbed => (None, None),
    };
    let config = seen.found.config_path.as_ref();
    answers::Check {
        health,
        detail,
        probe: failure.map(|failure| failure.probe.name()),
        reason,
        stall: failure.map(|failure| failure.stall.name()),
        stall_detail: failure
            .map(|failure| failure.detail.clone())
            .filter(|detail| !detail.as_str().is_empty()),
        degraded,
        unit: unit.to_owned(),
        unit_state: unit_state(seen),
        port: seen.found.port,
        expected_port: seen.found.expected,
        address: seen.address.map(|address| address.to_string()),
        tls: seen.found.tls,
        profile: seen.found.profile.clone(),
        config: config.map(|path| path.to_string_lossy().into_owned()),
        config_problem: seen.found.problem.clone(),
        port_holder: seen.look.port_holder.clone(),
        pause: seen.look.pause.as_ref().map(Into::into),
        warnings: seen.warnings.clone(),
    }
}
