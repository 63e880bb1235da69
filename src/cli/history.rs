//! `gatehound history` and `gatehound incident`: what became of the gateway, and what was seen of one incident.
//!
//! Owns how they are shown; what the records mean is `decide::history`'s.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{anyhow, bail};
use serde_json::{Value, json};

use super::{
    say_json,
    show::{Cell, Tone, line, row},
};
use crate::{
    act::incidents,
    decide::{
        history::{History, Moment, Outcome, Past, Told},
        settings::Settings,
        status::span,
    },
    line::Line,
    sense::{
        boot_id,
        clock::Clock,
        config::{self, Sources},
        folders, gateway, journalctl, wall_clock,
    },
};

/// How long journalctl may take: a journal of gigabytes on a slow disk is read within it.
const BUDGET: Duration = Duration::from_secs(30);

/// How far back `incident` looks for the records of one whose evidence may be as old.
const INCIDENTS_BACK: Duration = Duration::from_secs(400 * 24 * 3600);

/// Prints all incidents since a moment, and what they add up to.
pub(super) fn history(sources: &Sources, since: Duration, json: bool) -> anyhow::Result<ExitCode> {
    let told = records(sources, since)?;
    let history = History::of(&told, &now()?);
    if json {
        say_json(&format!("{:#}", history_as_json(&history, since)));
    } else {
        print_history(&history, since, told.is_empty());
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints one incident, the last one if none is named: its records, then the evidence of each restart.
pub(super) fn incident(
    sources: &Sources,
    id: Option<&str>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let folder = folders::state(&sources.variables, sources.profile.as_deref())
        .map_err(|line| anyhow!("{line}"))?;
    let told = records(sources, wall_clock::now().saturating_sub(INCIDENTS_BACK))?;
    let history = History::of(&told, &now()?);
    let of_id = |past: &&Past| id.is_none_or(|id| id == past.id);
    let past = history.incidents.iter().rev().find(of_id);
    let Some(id) = id.or(past.map(|past| past.id.as_str())) else {
        bail!("no incident in the journal; nothing is shown");
    };
    let evidence = incidents::read(&folder, id);
    if past.is_none() && evidence.is_empty() {
        bail!(
            "no incident {:?}; `gatehound history` lists them",
            Line::new(id).as_str()
        );
    }
    let told: Vec<&Told> = told
        .iter()
        .filter(|told| told.incident() == Some(id))
        .collect();
    if json {
        say_json(&format!("{:#}", incident_as_json(past, &told, &evidence)));
    } else {
        print_incident(id, past, &told, &evidence);
    }
    Ok(ExitCode::SUCCESS)
}

fn records(sources: &Sources, since: Duration) -> anyhow::Result<Vec<Told>> {
    // Settings that are wrong are `config check`'s to complain about; the unit's usual name then has to do.
    let settings =
        config::load(sources).map_or_else(|_| Settings::default(), |loaded| loaded.settings);
    let unit = gateway::unit_name(&settings, sources.profile.as_deref());
    let since = format!("@{}", since.as_secs());
    journalctl::records(Path::new("journalctl"), &unit, &since, BUDGET)
        .map_err(|line| anyhow!("the journal cannot be read: {line}"))
}

fn now() -> anyhow::Result<Moment> {
    Ok(Moment {
        wall: wall_clock::now(),
        boot: boot_id::get().map_err(|line| anyhow!("{line}"))?,
        monotonic: Clock.now(),
    })
}

fn print_history(history: &History, since: Duration, silent: bool) {
    let since = wall_clock::local(since);
    if silent {
        say!("no record of Gatehound since {since} that you may read");
        say!(
            "if it ran: a journal that is not persistent is lost at a reboot, and without the group \
             systemd-journal you may read no other"
        );
        return;
    }
    if !history.incidents.is_empty() {
        let titles = [
            "began", "incident", "stall", "down", "rungs", "ended", "cause",
        ];
        print_row(titles, Tone::Plain);
        for past in &history.incidents {
            print_past(past);
        }
        say!("");
    }
    let count = match history.incidents.len() {
        0 => "no incident".to_owned(),
        1 => "1 incident".to_owned(),
        more => format!("{more} incidents"),
    };
    say!(
        "{count} since {since}, watched for {}",
        span(history.watched)
    );
    let availability = history.availability().map(percent);
    let mean = history.mean_time_to_recover().map(span);
    say!(
        "availability {}, mean time to recover {}",
        availability.as_deref().unwrap_or("unknown"),
        mean.as_deref().unwrap_or("unknown")
    );
}

/// Rounded down: 99.999 % is not 100 %.
fn percent(availability: f64) -> String {
    format!("{:.2} %", (availability * 10_000.0).floor() / 100.0)
}

/// The cause comes last because its width is not known.
fn print_row([began, id, stall, down, rungs, ended, cause]: [&str; 7], tone: Tone) {
    row(&[
        Cell::left(began, 19),
        Cell::left(id, 20),
        Cell::left(stall, 9),
        Cell::right(down, 11),
        Cell::right(rungs, 5),
        Cell::left(ended, 10).tone(tone),
        Cell::new(cause),
    ]);
}

fn tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::UnderWay => Tone::Bad,
        Outcome::ByItself | Outcome::ByRestart | Outcome::ByOther => Tone::Good,
        Outcome::Stopped | Outcome::Unseen => Tone::Warning,
    }
}

fn print_past(past: &Past) {
    let texts: [&str; 7] = [
        &wall_clock::local(past.began),
        &past.id,
        past.stall.as_ref().map_or("-", Line::as_str),
        &span(past.down),
        &past.rungs.to_string(),
        past.outcome.name(),
        &cause(past),
    ];
    print_row(texts, tone(past.outcome));
}

fn cause(past: &Past) -> String {
    let cause = match (&past.probe, &past.reason) {
        (Some(probe), Some(reason)) => format!("{probe}: {reason}"),
        _ => "not in the journal".to_owned(),
    };
    if past.held { cause + "; held" } else { cause }
}

fn outcome(past: &Past) -> &'static str {
    match past.outcome {
        Outcome::UnderWay => "not over",
        Outcome::ByItself => "recovered by itself",
        Outcome::ByRestart => "recovered by Gatehound's restart",
        Outcome::ByOther => "recovered by a restart that was not Gatehound's",
        Outcome::Stopped => "a human stopped the gateway",
        Outcome::Unseen => "nobody saw its end",
    }
}

fn print_incident(
    id: &str,
    past: Option<&Past>,
    told: &[&Told],
    evidence: &[(PathBuf, Result<Value, Line>)],
) {
    say!("incident   {}", Line::new(id));
    match past {
        Some(past) => {
            say!("began      {}", wall_clock::local(past.began));
            let down = format!("down       {}, ", span(past.down));
            line(&[(Tone::Plain, &down), (tone(past.outcome), outcome(past))]);
            say!("cause      {}", cause(past));
            if let Some(stall) = &past.stall {
                say!("stall      {stall}");
            }
            say!(
                "restarts   {}; rungs taken {}, stops with SIGKILL {}",
                past.starts,
                past.rungs,
                past.forced
            );
        }
        None => say!("           no longer in the journal"),
    }
    if !told.is_empty() {
        say!("");
    }
    for told in told {
        say!("{}  {}", wall_clock::local(told.at.wall), told.text);
    }
    for (path, content) in evidence {
        say!("");
        say!("evidence   {}", Line::new(&path.display().to_string()));
        match content {
            Ok(value) => print_value("", value),
            Err(why) => say!("           {why}"),
        }
    }
}

/// One line for each value; a list of texts has a line for each text.
fn print_value(name: &str, value: &Value) {
    let below = |key: &str| {
        if name.is_empty() {
            key.to_owned()
        } else {
            format!("{name}.{key}")
        }
    };
    match value {
        Value::Null => {}
        Value::Object(all) => {
            for (key, value) in all {
                print_value(&below(key), value);
            }
        }
        Value::Array(all) => all.iter().for_each(|value| print_value(name, value)),
        Value::String(text) => say!("  {}  {}", Line::new(name), Line::new(text)),
        Value::Bool(_) | Value::Number(_) => say!("  {}  {value}", Line::new(name)),
    }
}

fn past_as_json(past: &Past) -> Value {
    json!({
        "id": past.id,
        "began": wall_clock::utc(past.began),
        "down_seconds": past.down.as_secs_f64(),
        "probe": past.probe,
        "reason": past.reason,
        "stall": past.stall,
        "rungs": past.rungs,
        "restarts": past.starts,
        "forced_stops": past.forced,
        "held": past.held,
        "outcome": past.outcome,
    })
}

fn history_as_json(history: &History, since: Duration) -> Value {
    json!({
        "since": wall_clock::utc(since),
        "incidents": history.incidents.iter().map(past_as_json).collect::<Vec<_>>(),
        "watched_seconds": history.watched.as_secs_f64(),
        "failing_seconds": history.failing.as_secs_f64(),
        "availability": history.availability(),
        "mean_time_to_recover_seconds": history.mean_time_to_recover().map(|mean| mean.as_secs_f64()),
    })
}

fn incident_as_json(
    past: Option<&Past>,
    told: &[&Told],
    evidence: &[(PathBuf, Result<Value, Line>)],
) -> Value {
    let records = told.iter().map(|told| {
        json!({ "at": wall_clock::utc(told.at.wall), "message": told.text, "fields": told.fields })
    });
    let evidence = evidence.iter().map(|(path, content)| match content {
        Ok(value) => json!({ "file": path.to_string_lossy(), "evidence": value }),
        Err(why) => json!({ "file": path.to_string_lossy(), "error": why }),
    });
    json!({
        "incident": past.map(past_as_json),
        "records": records.collect::<Vec<_>>(),
        "evidence": evidence.collect::<Vec<_>>(),
    })
}
