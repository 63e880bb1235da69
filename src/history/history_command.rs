//! `gatehound history` and `gatehound incident`: what became of the gateway, and what was seen of one incident.
//!
//! Owns how they are shown; what the records mean is `timeline`'s.

use crate::cli::console::say;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{anyhow, bail};
use serde_json::Value;

use crate::cli::{
    answers,
    console::{manager, settings, shipped_unit},
    show::{Cell, Tone, line, row},
};
use crate::{
    daemon::memory::Memory,
    history::timeline::{History, Outcome, Past, StoodBy},
    journal::{
        journalctl::{self, Age, Place},
        logged::{Logged, Moment},
    },
    os::{boot_id, clock::Clock, folders, wall_clock},
    probe::gateway,
    recovery::incident_files,
    settings::layers::Sources,
    text::{line::Line, words::span},
};

/// How long journalctl may take: a journal of gigabytes on a slow disk is read within it.
const BUDGET: Duration = Duration::from_secs(30);

/// How far back `incident` looks for the records of one whose evidence may be as old.
const INCIDENTS_BACK: Duration = Duration::from_secs(400 * 24 * 3600);

/// Prints all incidents since a moment, and what they add up to.
pub(crate) fn history(sources: &Sources, since: Duration, json: bool) -> anyhow::Result<ExitCode> {
    let units = units(sources);
    // As journalctl is asked.
    let since = Duration::from_secs(since.as_secs());
    // First, because the journal may take its time.
    let now = now()?;
    // Nothing is written while the gateway stays healthy, so a record before the time that is asked for says how things stood when it began.
    let mut logged = records(&units, Age::LastUntil(since))?;
    let within = records(&units, Age::Since(since))?;
    let first = logged
        .iter()
        .chain(&within)
        .find(|logged| !logged.is_by_systemd());
    if let Some(first) = first
        && let Some(field) = first.under_way()
    {
        // What was under way began earlier still, and the cause is in an earlier record.
        let earlier = records(&units, Age::AllUntil(since, &first.at.boot, &field))?;
        if !earlier.is_empty() {
            logged = earlier;
        }
    }
    logged.extend(within);
    let history = History::of(&logged, since, &now, runs(&units));
    if json {
        answers::say(&history_answer(&history, since));
    } else {
        print_history(&history, since, logged.is_empty());
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints one incident, the last one if none is named: its records, then the evidence of each restart.
pub(crate) fn incident(
    sources: &Sources,
    id: Option<&str>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let folder = folders::state(&sources.variables, sources.profile.as_deref())
        .map_err(|line| anyhow!("{line}"))?;
    let units = units(sources);
    let now = now()?;
    let since = now.wall.saturating_sub(INCIDENTS_BACK);
    let logged = records(&units, Age::Since(since))?;
    let history = History::of(&logged, since, &now, runs(&units));
    let of_id = |past: &&Past| id.is_none_or(|id| id == past.id);
    let past = history.incidents.iter().rev().find(of_id);
    let profile = &folders::profile_option(sources.profile.as_deref());
    let newer = newer(&history, profile).filter(|_| id.is_none());
    let Some(id) = id.or(past.map(|past| past.id.as_str())) else {
        match newer {
            Some(newer) => bail!("no incident in the journal, but {newer}"),
            None => bail!("no incident in the journal"),
        }
    };
    let evidence = incident_files::read(&folder, id);
    if past.is_none() && evidence.is_empty() {
        bail!(
            "no incident {:?}; `gatehound history{profile}` lists them",
            Line::new(id).as_str()
        );
    }
    let logged: Vec<&Logged> = logged
        .iter()
        .filter(|logged| logged.incident() == Some(id))
        .collect();
    if json {
        answers::say(&one_incident_answer(past, &logged, evidence));
    } else {
        if let Some(newer) = newer {
            say!("newer      {newer}");
        }
        print_incident(id, past, &logged, &evidence);
    }
    Ok(ExitCode::SUCCESS)
}

/// What is newer than the newest incident, is none, and may yet be what is looked for; with what to do.
fn newer(history: &History, profile: &str) -> Option<String> {
    let last = history.stood_by.last()?;
    let is_older = |past: &Past| past.began < last.began;
    if !history.incidents.last().is_none_or(is_older) || !(last.is_outage() || last.under_way) {
        return None;
    }
    let began = wall_clock::local(last.began);
    Some(if last.under_way && !last.text.as_str().is_empty() {
        format!("since {began} {}", last.text)
    } else {
        let (reason, lasted) = (&last.reason, span(last.lasted));
        format!("since {began} {reason} for {lasted}; `gatehound history{profile}` lists it")
    })
}

/// The gateway's unit, and Gatehound's own.
fn units(sources: &Sources) -> [String; 2] {
    let settings = settings(sources);
    let profile = sources.profile.as_deref();
    let dir = folders::runtime(&sources.variables, profile).ok();
    let own = dir.and_then(|dir| Memory::peek(&dir));
    [
        gateway::unit_name(&settings, profile),
        own.map_or_else(|| shipped_unit(profile), |memory| memory.own_unit),
    ]
}

fn records([unit, own_unit]: &[String; 2], age: Age<'_>) -> anyhow::Result<Vec<Logged>> {
    let place = Place {
        program: Path::new("journalctl"),
        unit,
        own_unit,
    };
    journalctl::records(&place, age, BUDGET)
        .map_err(|line| anyhow!("the journal cannot be read: {line}"))
}

/// Whether a Gatehound runs; where nobody can be asked, the records are believed.
fn runs([_, own_unit]: &[String; 2]) -> bool {
    let facts = manager().and_then(|mut manager| Ok(manager.unit(own_unit)?));
    facts.map_or(true, |facts| {
        !matches!(facts.active_state.as_str(), "inactive" | "failed")
    })
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
            "if Gatehound ran: a journal that is not persistent is lost at a reboot, and a persistent one \
             may be readable only for members of the group systemd-journal"
        );
        return;
    }
    if !history.incidents.is_empty() || !history.stood_by.is_empty() {
        let titles = [
            "began", "incident", "stall", "down", "attempts", "ended", "cause",
        ];
        print_row(titles, Tone::Plain);
        // Both are in the order of time.
        let mut stood_by = history.stood_by.iter().peekable();
        for past in &history.incidents {
            while let Some(before) = stood_by.next_if(|next| next.began < past.began) {
                print_stood_by(before);
            }
            print_past(past);
        }
        stood_by.for_each(print_stood_by);
        say!("");
    }
    let count = match history.incidents.len() {
        0 => "no incident".to_owned(),
        1 => "1 incident".to_owned(),
        more => format!("{more} incidents"),
    };
    let outages = history.stood_by.iter().filter(|one| one.is_outage());
    let outages = match outages.count() {
        0 => String::new(),
        1 => ", 1 outage".to_owned(),
        more => format!(", {more} outages"),
    };
    say!(
        "{count}{outages} since {since}, watched for {}",
        span(history.watched)
    );
    let availability = percent(history.failing, history.watched);
    let mean = history.mean_time_to_recover().map(span);
    say!(
        "availability {}, mean time to recover {}",
        availability.as_deref().unwrap_or("unknown"),
        mean.as_deref().unwrap_or("unknown")
    );
}

/// The availability, rounded down: with any downtime at all it is not 100 %. None if nobody watched.
fn percent(failing: Duration, watched: Duration) -> Option<String> {
    let up = watched.saturating_sub(failing).as_nanos();
    let hundredths = (up * 10_000).checked_div(watched.as_nanos())?;
    Some(format!("{}.{:02} %", hundredths / 100, hundredths % 100))
}

/// The cause comes last because its width is not known.
fn print_row([began, id, stall, down, attempts, ended, cause]: [&str; 7], tone: Tone) {
    row(&[
        Cell::left(began, 19),
        Cell::left(id, 20),
        Cell::left(stall, 9),
        Cell::right(down, 11),
        Cell::right(attempts, 8),
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
        &past.attempts.to_string(),
        past.outcome.name(),
        &cause(past),
    ];
    print_row(texts, tone(past.outcome));
}

/// In the place of an id stands the reason, because no incident was opened.
fn print_stood_by(stood_by: &StoodBy) {
    let (ended, tone) = match (stood_by.under_way, stood_by.is_outage()) {
        (true, true) => ("under-way", Tone::Bad),
        (true, false) => ("under-way", Tone::Warning),
        (false, _) => ("over", Tone::Warning),
    };
    let lasted = span(stood_by.lasted);
    let detail = stood_by.detail.as_ref().map_or("-", Line::as_str);
    let (down, cause) = if stood_by.is_outage() {
        (lasted.as_str(), detail.to_owned())
    } else {
        ("-", format!("stood by for {lasted}: {detail}"))
    };
    let texts: [&str; 7] = [
        &wall_clock::local(stood_by.began),
        stood_by.reason.as_str(),
        "-",
        down,
        "-",
        ended,
        &cause,
    ];
    print_row(texts, tone);
}

fn cause(past: &Past) -> String {
    let cause = match (&past.probe, &past.reason) {
        (Some(probe), Some(reason)) => format!("{probe}: {reason}"),
        _ => "not in the journal".to_owned(),
    };
    if past.gave_up {
        cause + "; gave up"
    } else {
        cause
    }
}

fn outcome(past: &Past) -> &'static str {
    match past.outcome {
        Outcome::UnderWay => "not over",
        Outcome::ByItself => "recovered by itself",
        Outcome::ByRestart => "recovered by Gatehound's restart",
        Outcome::ByOther => "recovered after a restart by systemd or a human",
        Outcome::Stopped => "a human stopped the gateway",
        Outcome::Unseen => "its end was not seen",
    }
}

fn print_incident(
    id: &str,
    past: Option<&Past>,
    logged: &[&Logged],
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
                match &past.stall_detail {
                    Some(detail) => say!("stall      {stall}: {detail}"),
                    None => say!("stall      {stall}"),
                }
            }
            say!(
                "restarts   {}; attempts {}, stops with SIGKILL {}",
                past.restarts,
                past.attempts,
                past.forced
            );
        }
        None => say!("           no longer in the journal"),
    }
    if !logged.is_empty() {
        say!("");
    }
    for logged in logged {
        say!("{}  {}", wall_clock::local(logged.at.wall), logged.text);
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

fn incident_answer(past: &Past) -> answers::Incident {
    answers::Incident {
        id: past.id.clone(),
        began: wall_clock::utc(past.began),
        down_seconds: past.down.as_secs_f64(),
        probe: past.probe.clone(),
        reason: past.reason.clone(),
        stall: past.stall.clone(),
        stall_detail: past.stall_detail.clone(),
        attempts: past.attempts,
        restarts: past.restarts,
        forced_stops: past.forced,
        gave_up: past.gave_up,
        outcome: past.outcome.name(),
    }
}

fn stood_by_answer(stood_by: &StoodBy) -> answers::StoodBy {
    answers::StoodBy {
        reason: stood_by.reason.clone(),
        detail: stood_by.detail.clone(),
        began: wall_clock::utc(stood_by.began),
        seconds: stood_by.lasted.as_secs_f64(),
        outage: stood_by.is_outage(),
        under_way: stood_by.under_way,
    }
}

fn history_answer(history: &History, since: Duration) -> answers::History {
    let mean = history.mean_time_to_recover();
    answers::History {
        since: wall_clock::utc(since),
        incidents: history.incidents.iter().map(incident_answer).collect(),
        stood_by: history.stood_by.iter().map(stood_by_answer).collect(),
        watched_seconds: history.watched.as_secs_f64(),
        failing_seconds: history.failing.as_secs_f64(),
        availability: history.availability(),
        mean_time_to_recover_seconds: mean.map(|mean| mean.as_secs_f64()),
    }
}

fn one_incident_answer(
    past: Option<&Past>,
    logged: &[&Logged],
    evidence: Vec<(PathBuf, Result<Value, Line>)>,
) -> answers::OneIncident {
    let record = |logged: &&Logged| answers::Record {
        at: wall_clock::utc(logged.at.wall),
        message: logged.text.clone(),
        fields: logged.fields.clone(),
    };
    let kept = |(path, content): (PathBuf, Result<Value, Line>)| {
        let (evidence, error) = match content {
            Ok(value) => (Some(value), None),
            Err(why) => (None, Some(why)),
        };
        answers::Evidence {
            file: path.to_string_lossy().into_owned(),
            evidence,
            error,
        }
    };
    answers::OneIncident {
        incident: past.map(incident_answer),
        records: logged.iter().map(record).collect(),
        evidence: evidence.into_iter().map(kept).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn availability_is_rounded_down() {
        let year = Duration::from_secs(365 * 24 * 3600);
        for (failing, watched, text) in [
            (Duration::ZERO, year, "100.00 %"),
            (Duration::from_nanos(1), year, "99.99 %"),
            (Duration::from_secs(60), year, "99.99 %"),
            (Duration::from_secs(15), Duration::from_secs(100), "85.00 %"),
            (Duration::from_secs(1), Duration::from_secs(3), "66.66 %"),
            (year, year, "0.00 %"),
        ] {
            assert_eq!(percent(failing, watched).as_deref(), Some(text));
        }
        assert_eq!(percent(Duration::ZERO, Duration::ZERO), None);
    }
}
