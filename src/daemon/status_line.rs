//! STATUS: one line that says in plain words what Gatehound is doing.
//!
//! Owns the words a person reads in `systemctl --user status gatehound`.

use std::time::Duration;

use crate::{
    policy::{
        facts::{Failure, Monotonic, Stall},
        state::{Bite, Phase, Standby, State, Step},
    },
    settings::{RetryAfter, Settings},
    text::{
        line::Line,
        words::{Names, asked, span},
    },
};

/// The status line: the phase's name, a colon, and what a person wants to know about it.
pub fn status(settings: &Settings, state: &State, names: Names<'_>, now: Monotonic) -> Line {
    Line::new(&format!(
        "{}: {}",
        state.phase.name(),
        detail(settings, state, names, now)
    ))
}

/// The status line before the first look, when nothing is known yet but what is going to be looked at.
pub fn before_the_first_look(state: &State, unit: &str) -> Line {
    // What a predecessor found may no longer be so.
    let phase = match &state.phase {
        Phase::Healthy { .. } => Phase::default().name(),
        other => other.name(),
    };
    Line::new(&format!("{phase}: first look at {unit}"))
}

fn detail(settings: &Settings, state: &State, names: Names<'_>, now: Monotonic) -> String {
    match &state.phase {
        Phase::Starting { since, .. } => {
            // A run that was there before somebody looked began then, and not with the look.
            let began = match state.gateway.invocation {
                Some(_) => state.gateway.since.min(*since),
                None => *since,
            };
            let ago = span(now.since(began));
            match &state.unknown {
                Some(why) => format!("gateway started {ago} ago; {}", unknown(why)),
                None => format!("gateway started {ago} ago, not healthy yet"),
            }
        }
        Phase::Healthy { took, .. } => {
            let mut text = format!("{} {}", asked(state.without_health), span(*took));
            // Without a bus nobody says since when it runs.
            if state.gateway.invocation.is_some() {
                text += &format!(", up {}", span(now.since(state.gateway.since)));
            }
            if let Some(incident) = state.incident.as_ref().filter(|one| one.loops) {
                text += &format!("; {}", incident.failure.reason);
            }
            if let Some(what) = &state.degraded {
                text += &format!(", degraded: {what}");
            }
            text
        }
        Phase::Failing(grace_used) => match (&state.unknown, &grace_used.failure) {
            (Some(why), _) => unknown(why),
            (None, Some(failure)) => {
                let left = grace_used.waited.left(failure.stall, &settings.grace);
                let next = after_grace(settings, state, left.unwrap_or_default(), now);
                format!(
                    "{}, {next} unless it recovers",
                    failing_for(state, failure, now)
                )
            }
            (None, None) => "checking again".to_owned(),
        },
        Phase::BackingOff {
            attempt,
            until,
            failure,
            grace_used: _,
        } => {
            let of = settings.backoff.len();
            let failing = failing_for(state, failure, now);
            let budget = &settings.forced_stops;
            let window = match state.forced_stop_allowed_from(budget) == Some(*until) {
                true => format!(
                    "; not sooner, because one more stop with SIGKILL within {} would turn its channels off",
                    span(budget.window)
                ),
                false => String::new(),
            };
            format!(
                "attempt {attempt} of {of}: {failing}, restart in {} unless it recovers{window}",
                span(until.since(now))
            )
        }
        Phase::Restarting(step) if state.rolls_back() => {
            format!("configuration rolled back, {}", restarting(*step, now))
        }
        Phase::Restarting(step) if state.joins_restart() => {
            format!("restarted by somebody else, {}", restarting(*step, now))
        }
        Phase::Restarting(step) => {
            let of = settings.backoff.len();
            format!(
                "attempt {} of {of}: {}",
                state.attempts.used,
                restarting(*step, now)
            )
        }
        Phase::GaveUp {
            since,
            reason,
            bite,
        } => {
            let next = next(settings.retry_after, *since, names, now);
            gave_up(reason, *bite, &next)
        }
        Phase::StandingBy { reason, detail, .. } => {
            let mut text = reason.name().to_owned();
            if !detail.as_str().is_empty() {
                text += &format!(", {detail}");
            }
            if let Some(command) = way_out(*reason, detail, names) {
                text += &format!("; {command}");
            }
            text
        }
    }
}

fn unknown(why: &Line) -> String {
    format!("its state is unknown: {why}; checking again")
}

/// What the process is doing and for how long, and the probe that failed.
fn failing_for(state: &State, failure: &Failure, now: Monotonic) -> String {
    let since = state
        .incident
        .as_ref()
        .map_or(now, |incident| incident.since);
    let stall = match failure.stall {
        Stall::Gone => "port closed",
        Stall::Stopped => "process stopped by a signal",
        Stall::Deadlocked => "event loop deadlocked",
        Stall::Waiting => "event loop waiting for a child",
        Stall::Disk => "event loop waiting for the disk",
        Stall::Starved => "gateway starved",
        Stall::Blocked => "event loop blocked",
        Stall::Busy => "event loop busy",
        Stall::Answering => "wrong answers",
    };
    let probe = failure.probe.name();
    let span = span(now.since(since));
    let detail = failure.detail.as_str();
    if detail.is_empty() {
        format!("{stall} for {span} ({probe}: {})", failure.reason)
    } else {
        format!("{detail} ({probe}: {}, failing for {span})", failure.reason)
    }
}

/// What follows when so much of the grace is left: the delay of the next attempt, or giving up.
fn after_grace(settings: &Settings, state: &State, left: Duration, now: Monotonic) -> String {
    let attempt = state.attempts.next(settings.debounce, now);
    match settings.backoff.get(attempt.saturating_sub(1)) {
        Some(delay) => format!("restart in {}", span(left.saturating_add(*delay))),
        None => format!("giving up in {}", span(left)),
    }
}

fn restarting(step: Step, now: Monotonic) -> String {
    match step {
        Step::Stopping { until } => format!(
            "stopping the gateway, SIGKILL in {}",
            span(until.since(now))
        ),
        Step::Killing { .. } => "SIGKILL sent, waiting for the gateway to end".to_owned(),
        Step::CleaningUp { .. } => "gateway stopped, ending what is left of it".to_owned(),
        Step::Starting { tries: 0 | 1 } => "starting the gateway".to_owned(),
        Step::Starting { tries } => {
            format!("starting the gateway, tried {tries} times so far")
        }
    }
}

/// What comes after giving up.
fn next(retry_after: RetryAfter, since: Monotonic, names: Names<'_>, now: Monotonic) -> String {
    match retry_after {
        RetryAfter::After(rest) => format!(
            "next try in {}; see: gatehound incident{}",
            span(rest.saturating_sub(now.since(since))),
            names.profile
        ),
        RetryAfter::Never => format!(
            "not tried again; fix it, then: gatehound reset{}",
            names.profile
        ),
    }
}

fn gave_up(reason: &Line, bite: Bite, next: &str) -> String {
    match bite {
        Bite::Due => format!("{reason}; {next}; systemd restarts Gatehound itself now, once"),
        Bite::Done => format!("{reason}; {next}"),
    }
}

/// The command that ends the standing by, where a human began it, or what ends it.
fn way_out(reason: Standby, detail: &Line, names: Names<'_>) -> Option<String> {
    match reason {
        Standby::Stopped => Some(format!(
            "to start it: systemctl --user start {}",
            names.unit
        )),
        Standby::Frozen => Some(format!(
            "to let it go on: systemctl --user thaw {}",
            names.unit
        )),
        Standby::Masked => Some(format!(
            "to allow its start: systemctl --user unmask {}",
            names.unit
        )),
        Standby::Paused => Some(format!("to go on: gatehound resume{}", names.profile)),
        Standby::PortTaken => Some(format!("see: gatehound doctor{}", names.profile)),
        Standby::InTransition if detail.as_str().contains("auto-restart") => {
            Some("it ended, and systemd starts it again in a moment".to_owned())
        }
        Standby::InTransition => Some("systemd is starting or stopping it".to_owned()),
        Standby::NoUnit
        | Standby::NoBus
        | Standby::Updating
        | Standby::ConfigError
        | Standby::OtherGateway
        | Standby::Debugged => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::facts::{Invocation, Probe};
    use crate::policy::state::{GraceUsed, Incident, Waited};

    const NOW: Monotonic = Monotonic(20_000_000_000);

    const WORK: Names<'_> = Names {
        unit: "openclaw-gateway-work.service",
        profile: " --profile work",
    };

    fn ago(seconds: u64) -> Monotonic {
        Monotonic(NOW.0 - seconds * 1_000_000)
    }

    fn failure() -> Failure {
        Failure {
            probe: Probe::Http,
            reason: "no answer within 5 s".into(),
            stall: Stall::Blocked,
            detail: Line::default(),
        }
    }

    /// A gateway up for 4 h 12 min that has failed for 48 s, in `phase`.
    #[track_caller]
    fn says(phase: Phase, expected: &str) {
        let mut state = State {
            phase,
            incident: Some(Incident {
                id: "c0ffee00-7".into(),
                since: ago(48),
                failure: failure(),
                restarts: 0,
                started: None,
                started_by_other: false,
                bitten: false,
                crashed: false,
                loops: false,
                overdue: false,
            }),
            ..State::default()
        };
        state.gateway.since = ago(4 * 3600 + 12 * 60);
        state.gateway.invocation = Some(Invocation("c0ffee".into()));
        state.attempts.used = 2;
        let status = status(&Settings::default(), &state, WORK, NOW);
        assert_eq!(status.as_str(), expected);
    }

    #[test]
    fn healthy_says_how_healthy_and_how_long_up() {
        says(
            Phase::Healthy {
                since: ago(60),
                took: Duration::from_millis(3),
            },
            "healthy: / and /health 3 ms, up 4 h 12 min",
        );
    }

    #[test]
    fn a_run_that_nobody_named_is_not_said_to_be_up_since_boot() {
        let phase = Phase::Healthy {
            since: ago(60),
            took: Duration::from_millis(3),
        };
        let state = State {
            phase,
            ..State::default()
        };
        let status = status(&Settings::default(), &state, WORK, NOW);
        assert_eq!(status.as_str(), "healthy: / and /health 3 ms");
    }

    #[test]
    fn backing_off_says_which_attempt_what_for_and_when() {
        says(
            Phase::BackingOff {
                attempt: 2,
                until: NOW + Duration::from_secs(10),
                failure: failure(),
                grace_used: None,
            },
            "backing-off: attempt 2 of 3: event loop blocked for 48 s (http: no answer within 5 s), \
             restart in 10 s unless it recovers",
        );
    }

    #[test]
    fn starting_and_failing_say_what_is_waited_for() {
        says(
            Phase::Starting {
                since: ago(40),
                progress: NOW,
            },
            "starting: gateway started 4 h 12 min ago, not healthy yet",
        );
        let mut grace_used = GraceUsed {
            since: ago(12),
            failure: None,
            last: None,
            waited: Waited::default(),
        };
        says(
            Phase::Failing(grace_used.clone()),
            "failing: checking again",
        );
        grace_used.failure = Some(failure());
        grace_used
            .waited
            .add(Stall::Blocked, Duration::from_secs(12));
        says(
            Phase::Failing(grace_used.clone()),
            "failing: event loop blocked for 48 s (http: no answer within 5 s), \
             restart in 38 s unless it recovers",
        );
        grace_used.failure = Some(Failure {
            stall: Stall::Waiting,
            detail: "the event loop waits for pid 4711 (ffmpeg -i a), started 48 s ago".into(),
            ..failure()
        });
        says(
            Phase::Failing(grace_used.clone()),
            "failing: the event loop waits for pid 4711 (ffmpeg -i a), started 48 s ago \
             (http: no answer within 5 s, failing for 48 s), restart in 3 min 8 s unless it recovers",
        );
        grace_used.failure = Some(failure());
        let starting = Phase::Starting {
            since: ago(40),
            progress: NOW,
        };
        for (phase, expected) in [
            (
                Phase::Failing(grace_used),
                "failing: its state is unknown: too many open files; checking again",
            ),
            (
                starting,
                "starting: gateway started 40 s ago; its state is unknown: too many open files; checking again",
            ),
        ] {
            let state = State {
                phase,
                unknown: Some("too many open files".into()),
                ..State::default()
            };
            let status = status(&Settings::default(), &state, WORK, NOW);
            assert_eq!(status.as_str(), expected);
        }
    }

    #[test]
    fn restarting_says_which_step_it_is_at() {
        let until = NOW + Duration::from_secs(9);
        for (step, expected) in [
            (
                Step::Stopping { until },
                "stopping the gateway, SIGKILL in 9 s",
            ),
            (
                Step::Killing { until },
                "SIGKILL sent, waiting for the gateway to end",
            ),
            (
                Step::CleaningUp { passes: 1 },
                "gateway stopped, ending what is left of it",
            ),
            (Step::Starting { tries: 0 }, "starting the gateway"),
            (
                Step::Starting { tries: 4 },
                "starting the gateway, tried 4 times so far",
            ),
        ] {
            says(
                Phase::Restarting(step),
                &format!("restarting: attempt 2 of 3: {expected}"),
            );
        }
    }

    #[test]
    fn giving_up_says_why_and_what_comes_next() {
        let gave_up = |bite| Phase::GaveUp {
            since: ago(60),
            reason: "3 restarts did not help".into(),
            bite,
        };
        says(
            gave_up(Bite::Due),
            "gave-up: 3 restarts did not help; next try in 14 min; \
             see: gatehound incident --profile work; systemd restarts Gatehound itself now, once",
        );
        says(
            gave_up(Bite::Done),
            "gave-up: 3 restarts did not help; next try in 14 min; see: gatehound incident --profile work",
        );
    }

    #[test]
    fn standing_by_names_its_reason() {
        for (reason, detail, expected) in [
            (
                Standby::Stopped,
                "",
                "stopped; to start it: systemctl --user start openclaw-gateway-work.service",
            ),
            (
                Standby::Paused,
                "maintenance",
                "paused, maintenance; to go on: gatehound resume --profile work",
            ),
            (
                Standby::ConfigError,
                "exit status 78",
                "config-error, exit status 78",
            ),
        ] {
            let phase = Phase::StandingBy {
                reason,
                detail: detail.into(),
                since: NOW,
            };
            says(phase, &format!("standing-by: {expected}"));
        }
    }

    #[track_caller]
    fn check(millis: u64, expected: &str) {
        assert_eq!(span(Duration::from_millis(millis)), expected);
    }

    #[test]
    fn before_the_first_look_nothing_is_said_of_the_gateway() {
        let said = before_the_first_look(&State::default(), "openclaw-gateway.service");
        assert_eq!(
            said.as_str(),
            "starting: first look at openclaw-gateway.service"
        );
    }

    #[test]
    fn a_start_after_a_rollback_is_on_no_attempt() {
        let state = State {
            phase: Phase::Restarting(Step::Starting { tries: 0 }),
            pending_start: Some(crate::policy::state::PendingStart {
                rollback: true,
                ..Default::default()
            }),
            ..State::default()
        };
        assert_eq!(
            status(&Settings::default(), &state, WORK, NOW).as_str(),
            "restarting: configuration rolled back, starting the gateway"
        );
    }

    #[test]
    fn a_span_is_said_in_its_two_largest_units() {
        check(0, "0 s");
        check(3, "3 ms");
        check(1_999, "1 s");
        check(48_000, "48 s");
        check(60_000, "1 min");
        check(320_000, "5 min 20 s");
        check(15_120_000, "4 h 12 min");
        check(273_600_000, "3 d 4 h");
    }
}
