//! A history and an incident as the answers of `--json` have them.
//!
//! Owns which part of them is which key; the keys are `cli::answers`'.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;

use crate::{
    cli::answers,
    history::{
        bar::{PARTS, Part},
        rows::windows,
        timeline::{History, Past, Spell, StoodBy},
    },
    journal::logged::Logged,
    os::wall_clock,
    text::line::Line,
};

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

fn spell_answer(spell: &Spell) -> answers::Spell {
    answers::Spell {
        what: spell.what.clone(),
        began: wall_clock::utc(spell.began),
        seconds: spell.lasted.as_secs_f64(),
        under_way: spell.under_way,
    }
}

pub(super) fn history_answer(
    history: &History,
    since: Duration,
    now: Duration,
) -> answers::History {
    let mean = history.mean_time_to_recover();
    let bar = |(label, from): (String, Duration)| answers::Bar {
        label,
        from: wall_clock::utc(from),
        parts: history
            .stretches
            .shares(from, now, PARTS)
            .iter()
            .map(|share| Part::of(share).name())
            .collect(),
    };
    answers::History {
        since: wall_clock::utc(since),
        incidents: history.incidents.iter().map(incident_answer).collect(),
        stood_by: history.stood_by.iter().map(stood_by_answer).collect(),
        restarts: history.lapses.iter().map(spell_answer).collect(),
        degraded: history.degraded.iter().map(spell_answer).collect(),
        bars: windows(since, now).into_iter().map(bar).collect(),
        watched_seconds: history.watched.as_secs_f64(),
        failing_seconds: history.failing.as_secs_f64(),
        stood_by_seconds: history.aside.as_secs_f64(),
        unseen_seconds: history.unseen.as_secs_f64(),
        availability: history.availability(),
        mean_time_to_recover_seconds: mean.map(|mean| mean.as_secs_f64()),
    }
}

pub(super) fn one_incident_answer(
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
