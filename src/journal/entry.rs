//! A record made out for the journal: its text, and its fields.
//!
//! Owns what a person reads of each record. What all records of a kind have in common is `kinds`'s,
//! and `writer` only writes down what is made here.

use std::time::Duration;

use crate::{
    journal::{
        fields::{
            ACTION, ATTEMPT, DEGRADED, DETAIL, DOWN_SINCE, DOWNTIME, EVENT, FORCED, INCIDENT,
            MESSAGE_ID, PHASE, PROBE, REASON, STALL, STALL_DETAIL, STANDBY,
        },
        kind_table::Level,
        kinds::Kind,
    },
    policy::{
        facts::{Failure, Process, Signal},
        record::{EMERGENCY_STOP, Ended, Record},
        state::{Phase, Standby, State},
    },
    settings::RetryAfter,
    text::{
        line::{Line, MAX_CHARS},
        words::{Names, asked, flapping, span, useless, words},
    },
};

/// A record made out for the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its priority.
    pub level: Level,
    /// What a person reads.
    pub text: Line,
    /// Fields by their journal names, `MESSAGE_ID` first.
    pub fields: Fields,
}

/// Fields by their journal names.
type Fields = Vec<(&'static str, String)>;

impl Entry {
    /// Makes a record out, with the incident it belongs to and the fields every record carries.
    pub fn of(record: &Record, incident: Option<&str>, state: &State, names: Names<'_>) -> Self {
        let kind = Kind::of(record);
        let mut fields = vec![
            (MESSAGE_ID, kind.message_id().to_owned()),
            (EVENT, kind.event().to_owned()),
            (PHASE, state.phase.name().to_owned()),
        ];
        if let Some(incident) = incident {
            // It may be from a state file.
            fields.push((INCIDENT, Line::from(incident).to_string()));
        }
        if let Phase::BackingOff { attempt, .. } = &state.phase {
            fields.push((ATTEMPT, attempt.to_string()));
        } else if 0 < state.attempts.used {
            fields.push((ATTEMPT, state.attempts.used.to_string()));
        }
        // What history cannot know of the records before this one, if they are none of its window.
        if let Phase::StandingBy { reason, .. } = &state.phase {
            fields.push((STANDBY, reason.name().to_owned()));
        }
        if state
            .pending_start
            .as_ref()
            .is_some_and(|pending_start| pending_start.forced)
        {
            fields.push((FORCED, "1".to_owned()));
        }
        if let Some(since) = state.down_since {
            fields.push((DOWN_SINCE, since.0.to_string()));
        }
        if let Some(what) = &state.degraded {
            fields.push((DEGRADED, what.to_string()));
        }
        let (text, own) = made_out(record, state, names);
        fields.extend(own);
        Self {
            level: kind.level(),
            text: Line::new(&text),
            fields,
        }
    }
}

/// The text of a record, and the fields it has of its own.
fn made_out(record: &Record, state: &State, names: Names<'_>) -> (String, Fields) {
    let profile = names.profile;
    match record {
        Record::Watching {
            unit,
            restored: false,
        } => plain(&format!("watching {unit}")),
        Record::Watching {
            unit,
            restored: true,
        } => plain(&format!(
            "watching {unit} again, going on where the last run of Gatehound stopped"
        )),
        Record::Leaving => plain("no longer watching"),
        Record::Healthy { took } => plain(&format!(
            "gateway healthy, {} {}",
            asked(state.without_health),
            span(*took)
        )),
        Record::NewInvocation { invocation } => {
            plain(&format!("gateway started as run {}", invocation.0))
        }
        Record::Failing { failure, grace } => {
            let text = if grace.is_zero() {
                format!("gateway down: {}", words(failure))
            } else {
                let given = format!("; {} given before a restart", span(*grace));
                fitted("gateway failing: ", &words(failure), &given)
            };
            (text, failure_fields(failure))
        }
        Record::FailingOtherwise { failure } => {
            let text = format!("gateway still failing, now: {}", words(failure));
            (text, failure_fields(failure))
        }
        Record::Recovered { ended, downtime } => (
            recovered(*ended, *downtime),
            vec![
                (REASON, ended.name().to_owned()),
                (DOWNTIME, downtime.as_micros().to_string()),
            ],
        ),
        Record::BackingOff {
            attempt,
            of,
            delay,
            failure,
        } => {
            let text = format!(
                "attempt {attempt} of {of}: restart in {} unless it recovers; {}",
                span(*delay),
                words(failure)
            );
            (text, failure_fields(failure))
        }
        Record::Evidence {
            summary,
            fields,
            kept,
        } => {
            let kept = match kept {
                Ok(path) => format!("; saved in {path}"),
                Err(why) => format!("; {why}"),
            };
            let text = fitted("evidence before the restart: ", summary.as_str(), &kept);
            (text, fields.clone())
        }
        Record::Stopping { limit, failure } => {
            let text = format!(
                "stopping the gateway, {} until SIGKILL: {}",
                span(*limit),
                words(failure)
            );
            let mut fields = failure_fields(failure);
            fields.extend(action("stop"));
            (text, fields)
        }
        Record::RestartJoined { limit } => plain(&format!(
            "somebody restarts the gateway while it hangs; SIGKILL in {} unless it stops",
            span(*limit)
        )),
        Record::Killing { after } => {
            let text = format!(
                "gateway did not stop within {}: sending SIGKILL to its unit",
                span(*after)
            );
            (text, action("kill"))
        }
        Record::CleanedUp { signal, processes } => {
            (cleaned_up(*signal, processes), action("cleanup"))
        }
        Record::Starting => ("starting the gateway".to_owned(), action("start")),
        Record::ActionFailed { what, why } => (
            fitted(
                &format!("could not {what}: "),
                why.as_str(),
                "; looking again",
            ),
            because(why),
        ),
        Record::GaveUp {
            reason,
            retry_after,
        } => (
            gave_up(reason, *retry_after, state, profile),
            because(reason),
        ),
        Record::Retrying => plain("trying again after giving up; attempts count from 1 again"),
        Record::StandingBy { reason, detail } => {
            let mut fields = vec![(REASON, reason.name().to_owned())];
            if !detail.as_str().is_empty() {
                fields.push((DETAIL, detail.to_string()));
            }
            (standing_by(*reason, detail, names), fields)
        }
        Record::WatchingAgain { was } => plain(&format!("resumed: {}", is_over(*was))),
        Record::Unknown { why } => (
            fitted(
                "cannot check the gateway: ",
                why.as_str(),
                "; nothing is done until a check succeeds",
            ),
            because(why),
        ),
        Record::AttemptsReset => plain("gateway stayed healthy; attempts count from 1 again"),
        Record::Resumed => plain("the machine was asleep; every grace starts again"),
        Record::HeldUp { gap } => plain(&format!(
            "gatehound was held up for {}; that time does not count",
            span(*gap)
        )),
        Record::Flapping {
            times,
            within,
            down,
        } => {
            let what = flapping(*times, *within, *down);
            (
                format!("gateway comes and goes: {what}"),
                vec![(REASON, what)],
            )
        }
        Record::EmergencyStop => (
            "emergency stop: a human stopped gatehound and the gateway".to_owned(),
            vec![(DETAIL, EMERGENCY_STOP.to_owned())],
        ),
        Record::NoLongerFlapping => plain("gateway steady again"),
        Record::Reset => plain("reset by a human; attempts count from 1 again"),
        Record::Degraded { what } => (
            fitted(
                "gateway healthy but degraded: ",
                what.as_str(),
                &format!("; {}", useless(what.as_str(), profile)),
            ),
            because(what),
        ),
        Record::NoLongerDegraded => plain("gateway healthy, no longer degraded"),
        Record::Reloaded => plain("settings read again"),
        Record::SnapshotKept { snapshot, path } => plain(&format!(
            "{path} is known good, kept as snapshot {snapshot}"
        )),
        Record::RolledBack { snapshot, kept } => {
            let text = format!(
                "openclaw.json rolled back to snapshot {snapshot}, the last known good; \
                 the refused one is kept in {kept}; starting the gateway"
            );
            (text, action("rollback"))
        }
        Record::NotRolledBack { why } => (
            fitted(
                "could not roll back openclaw.json: ",
                why.as_str(),
                &format!(
                    "; not tried again; to restore it: gatehound snapshot restore --start{profile}"
                ),
            ),
            because(why),
        ),
        Record::Warning { text } => plain(text.as_str()),
    }
}

fn plain(text: &str) -> (String, Fields) {
    (text.to_owned(), Fields::new())
}

fn action(name: &str) -> Fields {
    vec![(ACTION, name.to_owned())]
}

fn because(why: &Line) -> Fields {
    vec![(REASON, why.to_string())]
}

fn failure_fields(failure: &Failure) -> Fields {
    let mut fields = vec![
        (PROBE, failure.probe.name().to_owned()),
        (REASON, failure.reason.to_string()),
        (STALL, failure.stall.name().to_owned()),
    ];
    if !failure.detail.as_str().is_empty() {
        fields.push((STALL_DETAIL, failure.detail.to_string()));
    }
    fields
}

/// A text whose end says what comes next: where all of it is too long for a line, what is quoted is shortened.
fn fitted(before: &str, quoted: &str, after: &str) -> String {
    let room = (MAX_CHARS - 1).saturating_sub(before.chars().count() + after.chars().count());
    if quoted.chars().count() <= room {
        return format!("{before}{quoted}{after}");
    }
    let short: String = quoted.chars().take(room.saturating_sub(1)).collect();
    format!("{before}{short}…{after}")
}

/// Restarts are counted by the incident, because attempts may have been taken without one.
fn gave_up(reason: &Line, retry_after: RetryAfter, state: &State, profile: &str) -> String {
    let restarts = state.incident.as_ref().map(|incident| incident.restarts);
    let before = match restarts.unwrap_or_default() {
        // The reason counts them as well.
        _ if reason.as_str().starts_with(|c: char| c.is_ascii_digit()) => "gave up: ".to_owned(),
        0 => "gave up: ".to_owned(),
        1 => "gave up after 1 restart: ".to_owned(),
        more => format!("gave up after {more} restarts: "),
    };
    let next = match retry_after {
        RetryAfter::After(rest) => format!(
            "; next try in {}; see: gatehound incident{profile}",
            span(rest)
        ),
        RetryAfter::Never => {
            format!("; not tried again; fix it, then: gatehound reset{profile}")
        }
    };
    fitted(&before, reason.as_str(), &next)
}

fn recovered(ended: Ended, downtime: Duration) -> String {
    let downtime = span(downtime);
    match ended {
        Ended::ByItself => format!("gateway healthy again by itself after {downtime}, no restart"),
        Ended::ByRestart(1) => format!("gateway healthy again after {downtime}, restarted once"),
        Ended::ByRestart(times) => {
            format!("gateway healthy again after {downtime}, restarted {times} times")
        }
        Ended::ByOther => {
            format!("gateway healthy again after {downtime}, restarted by systemd or a human")
        }
        Ended::StoppedByHuman => format!("gateway stopped by a human after failing for {downtime}"),
    }
}

fn cleaned_up(signal: Signal, processes: &[Process]) -> String {
    let signal = match signal {
        Signal::Term => "SIGTERM",
        Signal::Kill => "SIGKILL",
    };
    let who: Vec<String> = processes
        .iter()
        .map(|process| format!("{} ({})", process.pid, process.command))
        .collect();
    format!("cleanup: {signal} sent to {}", who.join(", "))
}

/// Why nothing is done, and what changes that.
fn standing_by(reason: Standby, detail: &Line, names: Names<'_>) -> String {
    let Names { unit, profile } = names;
    let remedy = match reason {
        // A flag file is not Gatehound's to remove; the command says who can.
        Standby::Paused => format!("to end it: gatehound resume{profile}"),
        Standby::Stopped => format!("to start it: systemctl --user start {unit}"),
        Standby::NoUnit if !detail.as_str().is_empty() => format!("{unit} does not exist"),
        Standby::NoUnit => {
            format!(
                "no such unit; to install it: openclaw{profile} gateway install; if it has another name, set gateway.unit"
            )
        }
        Standby::NoBus => {
            "the user manager does not run; to keep it running: loginctl enable-linger".to_owned()
        }
        Standby::Updating => "watching again when the update is over".to_owned(),
        Standby::ConfigError => {
            format!("fix openclaw.json, then: systemctl --user restart {unit}")
        }
        Standby::OtherGateway => {
            format!("stop that one, or do without this one: systemctl --user disable {unit}")
        }
        Standby::InTransition => "systemd is starting or stopping the unit".to_owned(),
        Standby::Debugged => "watching again when it answers or the debugger is gone".to_owned(),
        Standby::Frozen => {
            format!("somebody froze the gateway; to let it go on: systemctl --user thaw {unit}")
        }
        Standby::Masked => {
            format!("nothing can start the gateway; to allow it: systemctl --user unmask {unit}")
        }
        Standby::PortTaken => {
            format!("the gateway cannot have its port; see: gatehound doctor{profile}")
        }
    };
    let before = format!("standing by, {}: ", reason.name());
    if detail.as_str().is_empty() {
        before + &remedy
    } else if reason == Standby::NoBus {
        // Whoever could not reach the manager has said what fixes it.
        before + detail.as_str()
    } else {
        fitted(&before, detail.as_str(), &format!("; {remedy}"))
    }
}

/// What was over when Gatehound began to watch again.
fn is_over(was: Standby) -> &'static str {
    match was {
        Standby::Paused => "no longer paused",
        Standby::Stopped => "the gateway was started again",
        Standby::NoUnit => "the unit exists now",
        Standby::NoBus => "the user manager answers again",
        Standby::Updating => "the update is over",
        Standby::ConfigError => "the gateway was started after its configuration error",
        Standby::OtherGateway => "no other gateway is in the way",
        Standby::InTransition => "systemd is done with the unit",
        Standby::Debugged => "no longer debugged",
        Standby::Frozen => "no longer frozen",
        Standby::Masked => "no longer masked",
        Standby::PortTaken => "nobody else has the port",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        journal::fields::{COMMON, OWN},
        policy::{
            facts::{Invocation, Monotonic, Probe, Stall},
            state::{Attempts, Incident},
        },
    };

    const TEN: Duration = Duration::from_secs(10);

    const WORK: Names<'_> = Names {
        unit: "openclaw-gateway-work.service",
        profile: " --profile work",
    };

    fn failure() -> Failure {
        Failure {
            probe: Probe::Health,
            reason: "no answer within 10 s".into(),
            stall: Stall::Waiting,
            detail: "the event loop waits for pid 7 (ffmpeg), started 48 s ago".into(),
        }
    }

    fn incident() -> Incident {
        Incident {
            id: "c0ffee00-7".into(),
            since: Monotonic(7_000_000),
            failure: failure(),
            restarts: 0,
            started: None,
            started_by_other: false,
            bitten: false,
            crashed: false,
            loops: false,
            overdue: false,
        }
    }

    /// Every kind of record with what a person reads of it.
    fn all() -> Vec<(Record, &'static str)> {
        let process = |pid| Process {
            pid,
            start_time: 1,
            uid: 1000,
            cgroup: String::new(),
            command: "node index.js".into(),
        };
        vec![
            (
                Record::Watching {
                    unit: "openclaw-gateway.service".into(),
                    restored: false,
                },
                "watching openclaw-gateway.service",
            ),
            (
                Record::Watching {
                    unit: "openclaw-gateway.service".into(),
                    restored: true,
                },
                "watching openclaw-gateway.service again, going on where the last run of Gatehound stopped",
            ),
            (Record::Leaving, "no longer watching"),
            (
                Record::Healthy {
                    took: Duration::from_millis(3),
                },
                "gateway healthy, / and /health 3 ms",
            ),
            (
                Record::NewInvocation {
                    invocation: Invocation("c0ffee".into()),
                },
                "gateway started as run c0ffee",
            ),
            (
                Record::Failing {
                    failure: failure(),
                    grace: TEN * 3,
                },
                "gateway failing: health: no answer within 10 s (waiting); the event loop waits for pid 7 (ffmpeg), started 48 s ago; 30 s given before a restart",
            ),
            (
                Record::FailingOtherwise { failure: failure() },
                "gateway still failing, now: health: no answer within 10 s (waiting); the event loop waits for pid 7 (ffmpeg), started 48 s ago",
            ),
            (
                Record::Recovered {
                    ended: Ended::ByRestart(1),
                    downtime: TEN * 6,
                },
                "gateway healthy again after 1 min, restarted once",
            ),
            (
                Record::BackingOff {
                    attempt: 2,
                    of: 3,
                    delay: TEN,
                    failure: failure(),
                },
                "attempt 2 of 3: restart in 10 s unless it recovers; health: no answer within 10 s (waiting); the event loop waits for pid 7 (ffmpeg), started 48 s ago",
            ),
            (
                Record::Stopping {
                    limit: TEN,
                    failure: failure(),
                },
                "stopping the gateway, 10 s until SIGKILL: health: no answer within 10 s (waiting); the event loop waits for pid 7 (ffmpeg), started 48 s ago",
            ),
            (
                Record::RestartJoined { limit: TEN },
                "somebody restarts the gateway while it hangs; SIGKILL in 10 s unless it stops",
            ),
            (
                Record::Killing { after: TEN },
                "gateway did not stop within 10 s: sending SIGKILL to its unit",
            ),
            (
                Record::CleanedUp {
                    signal: Signal::Term,
                    processes: vec![process(7), process(8)],
                },
                "cleanup: SIGTERM sent to 7 (node index.js), 8 (node index.js)",
            ),
            (Record::Starting, "starting the gateway"),
            (
                Record::ActionFailed {
                    what: "start the gateway",
                    why: "no answer from the user manager".into(),
                },
                "could not start the gateway: no answer from the user manager; looking again",
            ),
            (
                Record::GaveUp {
                    reason: "the attempts are used up".into(),
                    retry_after: RetryAfter::After(TEN * 90),
                },
                "gave up: the attempts are used up; next try in 15 min; see: gatehound incident --profile work",
            ),
            (
                Record::GaveUp {
                    reason: "the attempts are used up".into(),
                    retry_after: RetryAfter::Never,
                },
                "gave up: the attempts are used up; not tried again; fix it, then: gatehound reset --profile work",
            ),
            (
                Record::Retrying,
                "trying again after giving up; attempts count from 1 again",
            ),
            (
                Record::StandingBy {
                    reason: Standby::Paused,
                    detail: "maintenance".into(),
                },
                "standing by, paused: maintenance; to end it: gatehound resume --profile work",
            ),
            (
                Record::StandingBy {
                    reason: Standby::Stopped,
                    detail: Line::default(),
                },
                "standing by, stopped: to start it: systemctl --user start openclaw-gateway-work.service",
            ),
            (
                Record::WatchingAgain {
                    was: Standby::Paused,
                },
                "resumed: no longer paused",
            ),
            (
                Record::Unknown {
                    why: "too many open files".into(),
                },
                "cannot check the gateway: too many open files; nothing is done until a check succeeds",
            ),
            (
                Record::AttemptsReset,
                "gateway stayed healthy; attempts count from 1 again",
            ),
            (
                Record::Resumed,
                "the machine was asleep; every grace starts again",
            ),
            (
                Record::HeldUp {
                    gap: Duration::from_secs(12),
                },
                "gatehound was held up for 12 s; that time does not count",
            ),
            (
                Record::Flapping {
                    times: 3,
                    within: Duration::from_secs(420),
                    down: Duration::from_secs(300),
                },
                "gateway comes and goes: it failed 3 times within 7 min and recovered by itself, \
                 down for up to 5 min in all",
            ),
            (Record::NoLongerFlapping, "gateway steady again"),
            (
                Record::EmergencyStop,
                "emergency stop: a human stopped gatehound and the gateway",
            ),
            (
                Record::Reset,
                "reset by a human; attempts count from 1 again",
            ),
            (
                Record::SnapshotKept {
                    snapshot: 3,
                    path: "/h/.openclaw/openclaw.json".into(),
                },
                "/h/.openclaw/openclaw.json is known good, kept as snapshot 3",
            ),
            (
                Record::RolledBack {
                    snapshot: 3,
                    kept: "/h/.local/state/gatehound/snapshots/4.json".into(),
                },
                "openclaw.json rolled back to snapshot 3, the last known good; \
                 the refused one is kept in /h/.local/state/gatehound/snapshots/4.json; starting the gateway",
            ),
            (
                Record::NotRolledBack {
                    why: "no space left".into(),
                },
                "could not roll back openclaw.json: no space left; not tried again; to restore it: gatehound snapshot restore --start --profile work",
            ),
            (
                Record::Evidence {
                    summary: "main thread in epoll_wait".into(),
                    fields: vec![("GATEHOUND_EVIDENCE_PID", "7".to_owned())],
                    kept: Ok("/h/.local/state/gatehound/incidents/x.json".into()),
                },
                "evidence before the restart: main thread in epoll_wait; \
                 saved in /h/.local/state/gatehound/incidents/x.json",
            ),
            (
                Record::Evidence {
                    summary: "main thread in epoll_wait".into(),
                    fields: Vec::new(),
                    kept: Err("not saved: no space left".into()),
                },
                "evidence before the restart: main thread in epoll_wait; not saved: no space left",
            ),
            (
                Record::Degraded {
                    what: "channel telegram".into(),
                },
                "gateway healthy but degraded: channel telegram; a restart would not help; \
                 see: openclaw --profile work channels status --probe",
            ),
            (
                Record::NoLongerDegraded,
                "gateway healthy, no longer degraded",
            ),
            (Record::Reloaded, "settings read again"),
            (
                Record::Warning {
                    text: "the flag file belongs to another user, it is ignored".into(),
                },
                "the flag file belongs to another user, it is ignored",
            ),
        ]
    }

    #[test]
    fn every_record_says_in_plain_words_what_was_seen_and_what_follows() {
        for (record, text) in all() {
            let entry = Entry::of(&record, None, &State::default(), WORK);
            assert_eq!(entry.text.as_str(), text, "{record:?}");
        }
    }

    #[test]
    fn every_kind_of_record_has_an_example_with_exactly_the_fields_of_its_row() {
        for kind in Kind::ALL {
            let mut own = BTreeSet::new();
            let examples = all().into_iter().map(|(record, _)| record);
            let examples: Vec<Record> = examples.filter(|it| Kind::of(it) == *kind).collect();
            assert!(!examples.is_empty(), "{kind:?} has no example");
            for record in examples {
                let entry = Entry::of(&record, None, &State::default(), WORK);
                assert_eq!(entry.level, kind.level());
                let names = entry.fields.into_iter().map(|(name, _)| name);
                own.extend(names.filter(|name| !COMMON.contains(name)));
            }
            if *kind == Kind::Evidence {
                // Its fields are those of what was found.
                assert_eq!(own, BTreeSet::from(["GATEHOUND_EVIDENCE_PID"]));
                continue;
            }
            let row: BTreeSet<&str> = kind.own_fields().iter().copied().collect();
            assert_eq!(own, row, "{kind:?}");
            assert!(row.iter().all(|name| OWN.contains(name)));
        }
    }

    #[test]
    fn each_reason_to_stand_by_says_what_to_do_and_what_was_over() {
        for (reason, remedy, over) in [
            (
                Standby::Paused,
                "to end it: gatehound resume --profile work",
                "no longer paused",
            ),
            (
                Standby::Stopped,
                "to start it: systemctl --user start openclaw-gateway-work.service",
                "the gateway was started again",
            ),
            (
                Standby::NoUnit,
                "no such unit; to install it: openclaw --profile work gateway install; \
                 if it has another name, set gateway.unit",
                "the unit exists now",
            ),
            (
                Standby::NoBus,
                "the user manager does not run; to keep it running: loginctl enable-linger",
                "the user manager answers again",
            ),
            (
                Standby::Updating,
                "watching again when the update is over",
                "the update is over",
            ),
            (
                Standby::ConfigError,
                "fix openclaw.json, then: systemctl --user restart openclaw-gateway-work.service",
                "the gateway was started after its configuration error",
            ),
            (
                Standby::OtherGateway,
                "stop that one, or do without this one: \
                 systemctl --user disable openclaw-gateway-work.service",
                "no other gateway is in the way",
            ),
            (
                Standby::InTransition,
                "systemd is starting or stopping the unit",
                "systemd is done with the unit",
            ),
            (
                Standby::Debugged,
                "watching again when it answers or the debugger is gone",
                "no longer debugged",
            ),
            (
                Standby::Frozen,
                "somebody froze the gateway; to let it go on: systemctl --user thaw openclaw-gateway-work.service",
                "no longer frozen",
            ),
            (
                Standby::Masked,
                "nothing can start the gateway; to allow it: systemctl --user unmask openclaw-gateway-work.service",
                "no longer masked",
            ),
            (
                Standby::PortTaken,
                "the gateway cannot have its port; see: gatehound doctor --profile work",
                "nobody else has the port",
            ),
        ] {
            let name = reason.name();
            let said = standing_by(reason, &Line::default(), WORK);
            assert_eq!(said, format!("standing by, {name}: {remedy}"));
            assert_eq!(is_over(reason), over);
            let seen = standing_by(reason, &"seen".into(), WORK);
            if reason == Standby::NoBus {
                assert_eq!(seen, "standing by, no-bus: seen");
            } else if reason == Standby::NoUnit {
                // Who has the port may be the gateway, so nobody is sent to install another.
                let there = "openclaw-gateway-work.service does not exist";
                assert_eq!(seen, format!("standing by, no-unit: seen; {there}"));
            } else {
                assert_eq!(seen, format!("standing by, {name}: seen; {remedy}"));
            }
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_shortened_where_it_quotes() {
        let record = Record::GaveUp {
            reason: Line::new(&"y".repeat(1000)),
            retry_after: RetryAfter::After(TEN * 90),
        };
        let text = Entry::of(&record, None, &State::default(), WORK).text;
        let end = "y…; next try in 15 min; see: gatehound incident --profile work";
        assert!(text.as_str().ends_with(end), "{text}");
        assert_eq!(text.as_str().chars().count(), MAX_CHARS - 1);
    }

    #[test]
    fn giving_up_says_how_many_restarts_did_not_help() {
        for (restarts, text) in [
            (0, "gave up: x; next try in 10 s; see: gatehound incident"),
            (
                1,
                "gave up after 1 restart: x; next try in 10 s; see: gatehound incident",
            ),
            (
                3,
                "gave up after 3 restarts: x; next try in 10 s; see: gatehound incident",
            ),
        ] {
            let state = State {
                incident: Some(Incident {
                    restarts,
                    ..incident()
                }),
                ..State::default()
            };
            assert_eq!(
                gave_up(&"x".into(), RetryAfter::After(TEN), &state, ""),
                text
            );
        }
    }

    #[test]
    fn a_record_carries_its_phase_its_incident_and_its_attempt() {
        let state = State {
            incident: Some(incident()),
            attempts: Attempts {
                used: 2,
                ..Attempts::default()
            },
            ..State::default()
        };
        let record = Record::Stopping {
            limit: TEN,
            failure: failure(),
        };
        let entry = Entry::of(&record, Some("c0ffee00-7"), &state, WORK);
        let fields: Vec<_> = entry
            .fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(
            fields,
            [
                ("MESSAGE_ID", "aadc2d5129e945529678d96cfdae026a"),
                ("GATEHOUND_EVENT", "stopping"),
                ("GATEHOUND_PHASE", "starting"),
                ("GATEHOUND_INCIDENT", "c0ffee00-7"),
                ("GATEHOUND_ATTEMPT", "2"),
                ("GATEHOUND_PROBE", "health"),
                ("GATEHOUND_REASON", "no answer within 10 s"),
                ("GATEHOUND_STALL", "waiting"),
                (
                    "GATEHOUND_STALL_DETAIL",
                    "the event loop waits for pid 7 (ffmpeg), started 48 s ago",
                ),
                ("GATEHOUND_ACTION", "stop"),
            ]
        );
        assert_eq!(entry.level, Level::Error);
    }

    #[test]
    fn a_record_says_why_nothing_is_done_and_whether_the_stop_took_sigkill() {
        let standing_by = |detail: &str| {
            let state = State {
                phase: Phase::StandingBy {
                    reason: Standby::Paused,
                    detail: detail.into(),
                    since: Monotonic(7),
                },
                pending_start: Some(crate::policy::state::PendingStart {
                    forced: true,
                    ..Default::default()
                }),
                ..State::default()
            };
            let record = Record::StandingBy {
                reason: Standby::Paused,
                detail: detail.into(),
            };
            (
                Entry::of(&record, None, &state, WORK).fields,
                Entry::of(&Record::Leaving, None, &state, WORK).fields,
            )
        };
        let (begun, left) = standing_by("new disk");
        for field in [("GATEHOUND_STANDBY", "paused"), ("GATEHOUND_FORCED", "1")] {
            let field = (field.0, field.1.to_owned());
            assert!(begun.contains(&field) && left.contains(&field), "{field:?}");
        }
        assert!(begun.contains(&("GATEHOUND_DETAIL", "new disk".to_owned())));
        let is_detail = |(name, _): &(&str, String)| *name == "GATEHOUND_DETAIL";
        assert!(!left.iter().any(is_detail) && !standing_by("").0.iter().any(is_detail));
    }

    #[test]
    fn a_record_of_a_closed_incident_carries_that_incidents_id() {
        let closed = Record::Recovered {
            ended: Ended::ByItself,
            downtime: TEN,
        };
        let entry = Entry::of(&closed, Some("c0ffee00-7"), &State::default(), WORK);
        assert!(
            entry
                .fields
                .contains(&("GATEHOUND_INCIDENT", "c0ffee00-7".to_owned()))
        );
        assert_eq!(
            entry.text.as_str(),
            "gateway healthy again by itself after 10 s, no restart"
        );
    }

    #[test]
    fn each_end_of_an_incident_has_its_own_words() {
        for (ended, text) in [
            (
                Ended::ByItself,
                "gateway healthy again by itself after 10 s, no restart",
            ),
            (
                Ended::ByRestart(3),
                "gateway healthy again after 10 s, restarted 3 times",
            ),
            (
                Ended::ByOther,
                "gateway healthy again after 10 s, restarted by systemd or a human",
            ),
            (
                Ended::StoppedByHuman,
                "gateway stopped by a human after failing for 10 s",
            ),
        ] {
            assert_eq!(recovered(ended, TEN), text);
        }
    }
}
