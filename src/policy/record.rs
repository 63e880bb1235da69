//! What goes into the journal: one kind of record for each kind of event, with its words and fields.
//!
//! Owns the texts, the MESSAGE_IDs and the field values; `journal::writer` only writes them down.

use std::time::Duration;

use crate::text::line::Line;
use crate::{
    policy::{
        facts::{Failure, Invocation, Process, Signal},
        state::{Incident, Phase, Standby, State},
    },
    settings::RetryAfter,
    text::words::{Names, span, words},
};

/// Something worth a journal record.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Gatehound started.
    Watching {
        /// The gateway's unit.
        unit: Line,
        /// What a predecessor left behind, if anything.
        restored: bool,
    },
    /// Gatehound stops.
    Leaving,
    /// The gateway is healthy, and no incident was open.
    Healthy {
        /// How long `/health` took.
        took: Duration,
    },
    /// A new run of the gateway has begun.
    NewInvocation {
        /// Its name.
        invocation: Invocation,
    },
    /// The first failing check of an incident, or a run that failed before it was healthy.
    Failing {
        /// How it fails.
        failure: Failure,
        /// How long it is given.
        grace: Duration,
    },
    /// It still fails, in another way.
    FailingOtherwise {
        /// How it fails now.
        failure: Failure,
    },
    /// The incident is over.
    Recovered {
        /// How it ended.
        ended: Ended,
        /// From the first failing check until now.
        downtime: Duration,
    },
    /// An attempt was taken.
    BackingOff {
        /// The attempt, from 1.
        attempt: usize,
        /// How many there are.
        of: usize,
        /// How long until the restart.
        delay: Duration,
        /// How the gateway fails.
        failure: Failure,
    },
    /// What the failing gateway looked like was taken down.
    Evidence {
        /// The evidence in one line.
        summary: Line,
        /// The same in fields.
        fields: Vec<(&'static str, String)>,
        /// Where all of it is, or why it is nowhere.
        kept: Result<Line, Line>,
    },
    /// systemd is asked to stop the gateway.
    Stopping {
        /// How long it gets.
        limit: Duration,
        /// How the gateway fails.
        failure: Failure,
    },
    /// SIGKILL is sent to the gateway's unit.
    Killing {
        /// How long the stop took in vain.
        after: Duration,
    },
    /// Leftovers were signalled.
    CleanedUp {
        /// With what.
        signal: Signal,
        /// Who.
        processes: Vec<Process>,
    },
    /// systemd is asked to start the gateway.
    Starting,
    /// Something that was to be done did not succeed.
    ActionFailed {
        /// What.
        what: &'static str,
        /// Why.
        why: Line,
    },
    /// Nothing more is done for now.
    GaveUp {
        /// Why.
        reason: Line,
        /// When Gatehound tries again.
        retry_after: RetryAfter,
    },
    /// Gatehound tries again.
    Retrying,
    /// There is nothing to do.
    StandingBy {
        /// Why.
        reason: Standby,
        /// What was seen; may be empty.
        detail: Line,
    },
    /// The reason to stand by is gone.
    WatchingAgain,
    /// Gatehound's own trouble keeps it from telling how the gateway is.
    Unknown {
        /// The trouble.
        why: Line,
    },
    /// Attempts count from 1 again.
    AttemptsReset,
    /// Time passed in which nobody looked: the machine was suspended, or Gatehound was held up.
    Resumed,
    /// A human sent the attempts back to its first attempt.
    Reset,
    /// The gateway is healthy, and part of it does not work.
    Degraded {
        /// Which part.
        what: Line,
    },
    /// All of the gateway works again.
    NoLongerDegraded,
    /// The settings were read again.
    Reloaded,
    /// The configuration of a gateway that is healthy was kept.
    SnapshotKept {
        /// The number of its snapshot.
        snapshot: u32,
        /// The gateway's openclaw.json.
        path: Line,
    },
    /// A configuration that the gateway refused was rolled back.
    RolledBack {
        /// The snapshot that took its place.
        snapshot: u32,
        /// Where what was refused is kept.
        kept: Line,
    },
    /// A configuration that the gateway refused could not be rolled back.
    NotRolledBack {
        /// Why.
        why: Line,
    },
    /// Something is not as it should be, and Gatehound goes on.
    Warning {
        /// What was seen, what is done, what comes next.
        text: Line,
    },
}

/// How an incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Without a restart.
    ByItself,
    /// By Gatehound's restart.
    ByRestart(u32),
    /// By a restart that was not Gatehound's.
    ByOther,
    /// A human stopped the gateway.
    StoppedByHuman,
}

impl Ended {
    /// How the incident that is closed by a healthy check ended.
    pub(super) fn of(incident: &Incident) -> Self {
        match (incident.started_by_other, incident.restarts) {
            (true, _) => Self::ByOther,
            (false, 0) => Self::ByItself,
            (false, restarts) => Self::ByRestart(restarts),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::ByItself => "by-itself",
            Self::ByRestart(_) => "by-restart",
            Self::ByOther => "by-other",
            Self::StoppedByHuman => "stopped",
        }
    }
}

/// How much a record matters, in the journal's priorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// An action is taken or Gatehound gives up: priority 3.
    Error,
    /// Something is wrong: priority 4.
    Warning,
    /// The state changed: priority 5.
    Notice,
}

/// A record made out for the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its priority.
    pub level: Level,
    /// What a person reads.
    pub text: Line,
    /// Fields by their journal names, `MESSAGE_ID` first.
    pub fields: Vec<(&'static str, String)>,
}

impl Record {
    /// Makes the record out, with the incident it belongs to and the fields every record carries.
    pub fn entry(&self, incident: Option<&str>, state: &State, names: Names<'_>) -> Entry {
        let mut fields = vec![
            ("MESSAGE_ID", self.message_id().to_owned()),
            ("GATEHOUND_EVENT", self.event().to_owned()),
            ("GATEHOUND_PHASE", state.phase.name().to_owned()),
        ];
        if let Some(incident) = incident {
            // It may be from a state file.
            fields.push(("GATEHOUND_INCIDENT", Line::from(incident).to_string()));
        }
        if let Phase::BackingOff { attempt, .. } = &state.phase {
            fields.push(("GATEHOUND_ATTEMPT", attempt.to_string()));
        } else if 0 < state.attempts.used {
            fields.push(("GATEHOUND_ATTEMPT", state.attempts.used.to_string()));
        }
        // What history cannot know of the records before this one, if they are none of its window.
        if let Phase::StandingBy { reason, .. } = &state.phase {
            fields.push(("GATEHOUND_STANDBY", reason.name().to_owned()));
        }
        if state
            .pending_start
            .as_ref()
            .is_some_and(|pending_start| pending_start.forced)
        {
            fields.push(("GATEHOUND_FORCED", "1".to_owned()));
        }
        self.own_fields(&mut fields);
        Entry {
            level: self.level(),
            text: Line::new(&self.text(names)),
            fields,
        }
    }

    fn own_fields(&self, fields: &mut Vec<(&'static str, String)>) {
        match self {
            Self::Failing { failure, .. }
            | Self::FailingOtherwise { failure }
            | Self::BackingOff { failure, .. } => {
                failure_fields(failure, fields);
            }
            Self::Stopping { failure, .. } => {
                failure_fields(failure, fields);
                fields.push(("GATEHOUND_ACTION", "stop".to_owned()));
            }
            Self::Evidence { fields: own, .. } => fields.extend(own.iter().cloned()),
            Self::Killing { .. } => fields.push(("GATEHOUND_ACTION", "kill".to_owned())),
            Self::CleanedUp { .. } => fields.push(("GATEHOUND_ACTION", "cleanup".to_owned())),
            Self::Starting => fields.push(("GATEHOUND_ACTION", "start".to_owned())),
            Self::RolledBack { .. } => fields.push(("GATEHOUND_ACTION", "rollback".to_owned())),
            Self::Recovered { ended, downtime } => {
                fields.push(("GATEHOUND_REASON", ended.name().to_owned()));
                fields.push(("GATEHOUND_DOWNTIME_USEC", downtime.as_micros().to_string()));
            }
            Self::GaveUp { reason, .. } => fields.push(("GATEHOUND_REASON", reason.to_string())),
            Self::StandingBy { reason, detail } => {
                fields.push(("GATEHOUND_REASON", reason.name().to_owned()));
                if !detail.as_str().is_empty() {
                    fields.push(("GATEHOUND_DETAIL", detail.to_string()));
                }
            }
            Self::Unknown { why: reason }
            | Self::NotRolledBack { why: reason }
            | Self::ActionFailed { why: reason, .. }
            | Self::Degraded { what: reason } => {
                fields.push(("GATEHOUND_REASON", reason.to_string()));
            }
            Self::Watching { .. }
            | Self::Leaving
            | Self::Healthy { .. }
            | Self::NewInvocation { .. }
            | Self::Retrying
            | Self::WatchingAgain
            | Self::AttemptsReset
            | Self::Resumed
            | Self::Reset
            | Self::NoLongerDegraded
            | Self::Reloaded
            | Self::SnapshotKept { .. }
            | Self::Warning { .. } => {}
        }
    }

    /// The kind of event, as in `GATEHOUND_EVENT=`.
    pub fn event(&self) -> &'static str {
        match self {
            Self::Watching { .. } => "watching",
            Self::Leaving => "leaving",
            Self::Healthy { .. } => "healthy",
            Self::NewInvocation { .. } => "new-invocation",
            Self::Failing { .. } => "failing",
            Self::FailingOtherwise { .. } => "failing-otherwise",
            Self::Recovered { .. } => "recovered",
            Self::BackingOff { .. } => "backing-off",
            Self::Evidence { .. } => "evidence",
            Self::Stopping { .. } => "stopping",
            Self::Killing { .. } => "killing",
            Self::CleanedUp { .. } => "cleaned up",
            Self::Starting => "starting",
            Self::ActionFailed { .. } => "action-failed",
            Self::GaveUp { .. } => "gave-up",
            Self::Retrying => "retrying",
            Self::StandingBy { .. } => "standing-by",
            Self::WatchingAgain => "watching-again",
            Self::Unknown { .. } => "unknown",
            Self::AttemptsReset => "attempts-reset",
            Self::Resumed => "resumed",
            Self::Reset => "reset",
            Self::Degraded { .. } => "degraded",
            Self::NoLongerDegraded => "no-longer-degraded",
            Self::Reloaded => "reloaded",
            Self::SnapshotKept { .. } => "snapshot-kept",
            Self::RolledBack { .. } => "rolled-back",
            Self::NotRolledBack { .. } => "not-rolled-back",
            Self::Warning { .. } => "warning",
        }
    }

    /// The constant that finds all records of one kind: `journalctl MESSAGE_ID=`.
    pub fn message_id(&self) -> &'static str {
        match self {
            Self::Watching { .. } => "5252ed90e72c44c28d4b3b4a680df226",
            Self::Leaving => "2d1c80d4627945768af0f3ac07361ee3",
            Self::Healthy { .. } => "17045854f6e6450c8d773b632f3b3ffb",
            Self::NewInvocation { .. } => "04f07a9a53a74aeab15f09c0296ebd0e",
            Self::Failing { .. } => "571f9110cce24311927f6a8f13b389fa",
            Self::FailingOtherwise { .. } => "9bcc69ab6a26477da501b0cace6260ff",
            Self::Recovered { .. } => "f803a11ecbfb4714987eed88c95c434d",
            Self::BackingOff { .. } => "c16dc7ef91d6474b91542a9c0c737fbe",
            Self::Evidence { .. } => "3d09db59c46441b8beceb34a2968a6ee",
            Self::Stopping { .. } => "aadc2d5129e945529678d96cfdae026a",
            Self::Killing { .. } => "9485985e1b484028838ee14a8b12a1bc",
            Self::CleanedUp { .. } => "24d5dd0528bd41c7b397869fc2b86d69",
            Self::Starting => "5925b005d4e74d1ba8dd7c79395a21ac",
            Self::ActionFailed { .. } => "ddeb2ba31bda4eefa87c56edfabef2aa",
            Self::GaveUp { .. } => "5fa4ea4a196e4bf79ad18f155132ac1e",
            Self::Retrying => "567e93acb06345cc909c34e930b7e548",
            Self::StandingBy { .. } => "88ffd60b61164f05810e52acda53833f",
            Self::WatchingAgain => "c6feefa795b24a368e10aa8184f0e0ac",
            Self::Unknown { .. } => "11d11b8bbb3e44d8bf33a4162a7882e5",
            Self::AttemptsReset => "a24e1ff07fbf40a78eee5680fa5b4fbc",
            Self::Resumed => "50402af3033543f48f27cb64a4d88728",
            Self::Reset => "d7d77a0c1a93450a9e23ac62afdcd997",
            Self::Degraded { .. } => "22035b910ee74734b689454d66bac686",
            Self::NoLongerDegraded => "ffa8923a453d4988a3c3ad8967d6628a",
            Self::Reloaded => "ff863b6c074c44c09d72fe9a5bb3a017",
            Self::SnapshotKept { .. } => "d55f393bc92a47499c48b55a044c46b5",
            Self::RolledBack { .. } => "ce1d2ddc91894c549dadde60d8c5c138",
            Self::NotRolledBack { .. } => "cf0ffd5d50884ebca27cec89b74c1ede",
            Self::Warning { .. } => "7bb8dfa2417d478e9194daf607465a8d",
        }
    }

    fn level(&self) -> Level {
        match self {
            Self::Stopping { .. }
            | Self::Killing { .. }
            | Self::CleanedUp { .. }
            | Self::Starting
            | Self::RolledBack { .. }
            | Self::NotRolledBack { .. }
            | Self::GaveUp { .. } => Level::Error,
            Self::Failing { .. }
            | Self::FailingOtherwise { .. }
            | Self::BackingOff { .. }
            | Self::ActionFailed { .. }
            | Self::Retrying
            | Self::Unknown { .. }
            | Self::Degraded { .. }
            | Self::Warning { .. } => Level::Warning,
            Self::Watching { .. }
            | Self::Leaving
            | Self::Healthy { .. }
            | Self::NewInvocation { .. }
            | Self::Recovered { .. }
            | Self::StandingBy { .. }
            | Self::WatchingAgain
            | Self::AttemptsReset
            | Self::Resumed
            | Self::Reset
            | Self::NoLongerDegraded
            | Self::Evidence { .. }
            | Self::SnapshotKept { .. }
            | Self::Reloaded => Level::Notice,
        }
    }

    fn text(&self, names: Names<'_>) -> String {
        let profile = names.profile;
        match self {
            Self::Watching {
                unit,
                restored: false,
            } => format!("watching {unit}"),
            Self::Watching {
                unit,
                restored: true,
            } => format!("watching {unit} again, going on where the last run was"),
            Self::Leaving => "no longer watching".to_owned(),
            Self::Healthy { took } => format!("gateway healthy, /health {}", span(*took)),
            Self::NewInvocation { invocation } => {
                format!("gateway started as run {}", invocation.0)
            }
            Self::Failing { failure, grace } => {
                format!(
                    "gateway failing: {}; {} given before a restart",
                    words(failure),
                    span(*grace)
                )
            }
            Self::FailingOtherwise { failure } => {
                format!("gateway still failing, now: {}", words(failure))
            }
            Self::Recovered { ended, downtime } => recovered(*ended, *downtime),
            Self::BackingOff {
                attempt,
                of,
                delay,
                failure,
            } => {
                format!(
                    "attempt {attempt} of {of}: restart in {} unless it recovers; {}",
                    span(*delay),
                    words(failure)
                )
            }
            Self::Stopping { limit, failure } => {
                format!(
                    "stopping the gateway, {} until SIGKILL: {}",
                    span(*limit),
                    words(failure)
                )
            }
            Self::Evidence {
                summary,
                kept: Ok(path),
                ..
            } => {
                format!("evidence before the restart: {summary}; all of it is in {path}")
            }
            Self::Evidence {
                summary,
                kept: Err(why),
                ..
            } => {
                format!("evidence before the restart: {summary}; {why}")
            }
            Self::Killing { after } => {
                format!(
                    "gateway not stopped after {}: sending SIGKILL to its unit",
                    span(*after)
                )
            }
            Self::CleanedUp { signal, processes } => cleaned_up(*signal, processes),
            Self::Starting => "starting the gateway".to_owned(),
            Self::ActionFailed { what, why } => format!("could not {what}: {why}; looking again"),
            Self::GaveUp {
                reason,
                retry_after: RetryAfter::After(rest),
            } => {
                format!(
                    "gave-up, {reason}; a human is needed, trying again in {}",
                    span(*rest)
                )
            }
            Self::GaveUp {
                reason,
                retry_after: RetryAfter::Never,
            } => {
                format!(
                    "gave-up, {reason}; a human is needed: fix it, then run gatehound reset{profile}"
                )
            }
            Self::Retrying => {
                "the rest is over, the attempts starts again at its first attempt".to_owned()
            }
            Self::StandingBy { reason, detail } => standing_by(*reason, detail, names),
            Self::WatchingAgain => "nothing keeps hands off any more, watching again".to_owned(),
            Self::Unknown { why } => {
                format!("cannot tell how the gateway is: {why}; looking again")
            }
            Self::AttemptsReset => {
                "gateway has stayed healthy, the attempts is back at its first attempt".to_owned()
            }
            Self::Resumed => {
                "the machine or Gatehound stood still, all grace starts anew".to_owned()
            }
            Self::Reset => "reset by a human, the attempts is back at its first attempt".to_owned(),
            Self::Degraded { what } => format!(
                "gateway healthy but degraded: {what}; that is no reason for a restart, see openclaw{profile} doctor"
            ),
            Self::NoLongerDegraded => "gateway healthy, no longer degraded".to_owned(),
            Self::Reloaded => "settings read again".to_owned(),
            Self::SnapshotKept { snapshot, path } => {
                format!("{path} is known good, kept as snapshot {snapshot}")
            }
            Self::RolledBack { snapshot, kept } => format!(
                "openclaw.json rolled back to snapshot {snapshot}, which is the last known good; \
                 what the gateway refused is kept in {kept}; starting the gateway"
            ),
            Self::NotRolledBack { why } => format!(
                "openclaw.json cannot be rolled back: {why}; not tried again, a human is needed"
            ),
            Self::Warning { text } => text.to_string(),
        }
    }
}

fn failure_fields(failure: &Failure, fields: &mut Vec<(&'static str, String)>) {
    fields.push(("GATEHOUND_PROBE", failure.probe.name().to_owned()));
    fields.push(("GATEHOUND_REASON", failure.reason.to_string()));
    fields.push(("GATEHOUND_STALL", failure.stall.name().to_owned()));
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
    format!("cleaned up with {signal}: {}", who.join(", "))
}

/// Why nothing is done, and what changes that.
fn standing_by(reason: Standby, detail: &Line, names: Names<'_>) -> String {
    let Names { unit, profile } = names;
    let remedy = match reason {
        // A flag file is not Gatehound's to remove.
        Standby::Paused => format!("gatehound resume{profile} ends it or says what does"),
        Standby::Stopped => format!("systemctl --user start {unit} brings it back"),
        Standby::NoUnit => {
            format!("no such unit: openclaw{profile} gateway install, or name it as gateway.unit")
        }
        Standby::NoBus => "is the user manager running? loginctl enable-linger keeps it".to_owned(),
        Standby::Updating => "watching again when the update is over".to_owned(),
        Standby::ConfigError => {
            format!("fix openclaw.json, then systemctl --user restart {unit}")
        }
        Standby::OtherGateway => {
            format!("stop that one, or this unit for good with systemctl --user disable {unit}")
        }
        Standby::InTransition => "systemd is at work on the unit".to_owned(),
        Standby::Debugged => "watching again when it answers or the tracer is gone".to_owned(),
    };
    if reason == Standby::NoBus && !detail.as_str().is_empty() {
        // Whoever could not reach the manager has said what fixes it.
        format!("standing by, {}: {detail}", reason.name())
    } else if detail.as_str().is_empty() {
        format!("standing by, {}: {remedy}", reason.name())
    } else {
        format!("standing by, {}: {detail}; {remedy}", reason.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::policy::{
        facts::{Probe, Stall},
        state::Attempts,
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
            stall: Stall::Blocked,
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
                "watching openclaw-gateway.service again, going on where the last run was",
            ),
            (Record::Leaving, "no longer watching"),
            (
                Record::Healthy {
                    took: Duration::from_millis(3),
                },
                "gateway healthy, /health 3 ms",
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
                "gateway failing: health: no answer within 10 s (blocked); 30 s given before a restart",
            ),
            (
                Record::FailingOtherwise { failure: failure() },
                "gateway still failing, now: health: no answer within 10 s (blocked)",
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
                "attempt 2 of 3: restart in 10 s unless it recovers; health: no answer within 10 s (blocked)",
            ),
            (
                Record::Stopping {
                    limit: TEN,
                    failure: failure(),
                },
                "stopping the gateway, 10 s until SIGKILL: health: no answer within 10 s (blocked)",
            ),
            (
                Record::Killing { after: TEN },
                "gateway not stopped after 10 s: sending SIGKILL to its unit",
            ),
            (
                Record::CleanedUp {
                    signal: Signal::Term,
                    processes: vec![process(7), process(8)],
                },
                "cleaned up with SIGTERM: 7 (node index.js), 8 (node index.js)",
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
                "gave-up, the attempts are used up; a human is needed, trying again in 15 min",
            ),
            (
                Record::GaveUp {
                    reason: "the attempts are used up".into(),
                    retry_after: RetryAfter::Never,
                },
                "gave-up, the attempts are used up; a human is needed: fix it, then run gatehound reset --profile work",
            ),
            (
                Record::Retrying,
                "the rest is over, the attempts starts again at its first attempt",
            ),
            (
                Record::StandingBy {
                    reason: Standby::Paused,
                    detail: "maintenance".into(),
                },
                "standing by, paused: maintenance; gatehound resume --profile work ends it or says what does",
            ),
            (
                Record::StandingBy {
                    reason: Standby::Stopped,
                    detail: Line::default(),
                },
                "standing by, stopped: systemctl --user start openclaw-gateway-work.service brings it back",
            ),
            (
                Record::WatchingAgain,
                "nothing keeps hands off any more, watching again",
            ),
            (
                Record::Unknown {
                    why: "too many open files".into(),
                },
                "cannot tell how the gateway is: too many open files; looking again",
            ),
            (
                Record::AttemptsReset,
                "gateway has stayed healthy, the attempts is back at its first attempt",
            ),
            (
                Record::Resumed,
                "the machine or Gatehound stood still, all grace starts anew",
            ),
            (
                Record::Reset,
                "reset by a human, the attempts is back at its first attempt",
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
                "openclaw.json rolled back to snapshot 3, which is the last known good; \
                 what the gateway refused is kept in /h/.local/state/gatehound/snapshots/4.json; starting the gateway",
            ),
            (
                Record::NotRolledBack {
                    why: "no space left".into(),
                },
                "openclaw.json cannot be rolled back: no space left; not tried again, a human is needed",
            ),
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
            assert_eq!(
                record.entry(None, &State::default(), WORK).text.as_str(),
                text,
                "{record:?}"
            );
        }
    }

    #[test]
    fn every_kind_of_record_has_one_message_id_of_its_own() {
        let kinds: HashSet<_> = all().iter().map(|(record, _)| record.event()).collect();
        let ids: HashSet<_> = all()
            .iter()
            .map(|(record, _)| record.message_id())
            .collect();
        assert_eq!(kinds.len(), 25, "a kind of record is not listed");
        assert_eq!(ids.len(), kinds.len());
        for id in ids {
            assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn a_record_carries_its_phase_its_incident_and_its_attempt() {
        let state = State {
            incident: Some(Incident {
                id: "c0ffee00-7".into(),
                since: crate::policy::facts::Monotonic(7_000_000),
                failure: failure(),
                restarts: 0,
                started: None,
                started_by_other: false,
                bitten: false,
                crashed: false,
            }),
            attempts: Attempts {
                used: 2,
                ..Attempts::default()
            },
            ..State::default()
        };
        let entry = Record::Stopping {
            limit: TEN,
            failure: failure(),
        }
        .entry(Some("c0ffee00-7"), &state, WORK);
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
                ("GATEHOUND_STALL", "blocked"),
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
                    since: crate::policy::facts::Monotonic(7),
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
                record.entry(None, &state, WORK).fields,
                Record::Leaving.entry(None, &state, WORK).fields,
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
        let entry = closed.entry(Some("c0ffee00-7"), &State::default(), WORK);
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
