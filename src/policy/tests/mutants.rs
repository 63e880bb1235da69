//! Policies that are broken on purpose, one rule each, to see that the exploration would notice.
//!
//! Each is the real policy behind a border that changes what goes in or comes out.

use std::time::Duration;

use crate::policy::{
    Done, Event,
    answer::{Effect, WatchdogMessage},
    step,
    tests::{
        explore::{
            HONEST, Place, Policy, explore, forced, gatehound, gateway, human, no_rollback,
            obstacles, rollback, stalls, starts, useless,
        },
        world::{RestoredFn, StepFn},
    },
};
use crate::{
    policy::{
        facts::{Config, Health, Look, Monotonic, Stall, UnitFacts},
        state::{Attempts, GraceUsed, Phase, State},
    },
    settings::{Rollback, Settings},
};

/// The same event with the look changed.
fn seen(event: Event, change: impl FnOnce(&mut Look)) -> Event {
    match event {
        Event::Looked(mut look) => {
            change(&mut look);
            Event::Looked(look)
        }
        other => other,
    }
}

/// The same event with what the manager says of the unit changed.
fn shown(event: Event, change: impl FnOnce(&mut UnitFacts)) -> Event {
    seen(event, |look| {
        if let Ok(unit) = &mut look.unit {
            change(unit);
        }
    })
}

/// The same event with what is seen of a configuration that is refused changed.
fn configured(event: Event, change: impl FnOnce(&mut Config)) -> Event {
    seen(event, |look| {
        if let Some(config) = &mut look.config {
            change(config);
        }
    })
}

/// The same event with the look at a gateway that refuses its configuration changed.
fn refusing(event: Event, change: impl FnOnce(&mut Look)) -> Event {
    seen(event, |look| {
        let refused =
            |unit: &UnitFacts| unit.active_state == "failed" && unit.exec_main_status == 78;
        if look.unit.as_ref().is_ok_and(refused) {
            change(look);
        }
    })
}

/// Its name, what it does, where that shows, and the rule that it breaks.
type Mutant = (&'static str, StepFn, fn() -> Place, &'static str);

/// Policies of which a single step is wrong.
const ROUGH: [Mutant; 43] = [
    (
        "says nothing of a gateway that is down while it stands by",
        |settings, state, event, now| {
            let before = state.incident.clone();
            let (mut state, answer) = step(settings, state, event, now);
            if before.is_none() && matches!(state.phase, Phase::StandingBy { .. }) {
                state.incident = None;
            }
            (state, answer)
        },
        obstacles,
        "rule 11",
    ),
    (
        "does not see who else has the port",
        |settings, state, event, now| {
            let event = seen(event, |look| look.port_holder = None);
            step(settings, state, event, now)
        },
        obstacles,
        "rule 12",
    ),
    (
        "takes every stop that joins its own for the unit's",
        |settings, state, event, now| {
            let event = seen(event, |look| look.joined = 0);
            step(settings, state, event, now)
        },
        human,
        "rule 8",
    ),
    (
        "takes the unit's own stop for a human's",
        |settings, state, event, now| {
            let event = seen(event, |look| look.joined *= 2);
            step(settings, state, event, now)
        },
        human,
        "rule 8",
    ),
    (
        "pings while the gateway fails",
        |settings, state, event, now| {
            let (mut state, mut answer) = step(settings, state, event, now);
            if matches!(state.phase, Phase::Failing(_)) {
                answer.watchdog = Some(WatchdogMessage::Ping { restore: true });
                state.timeout_set = false;
            }
            (state, answer)
        },
        gateway,
        "rule 1",
    ),
    (
        "watchdog timeouts for ever",
        |settings, state, event, now| {
            let (state, mut answer) = step(settings, state, event, now);
            if let Some(WatchdogMessage::Timeout(timeout)) = &mut answer.watchdog {
                *timeout = Duration::MAX;
            }
            (state, answer)
        },
        gateway,
        "rule 2",
    ),
    (
        "watchdog timeouts never",
        |settings, state, event, now| {
            let (state, mut answer) = step(settings, state, event, now);
            answer
                .watchdog
                .take_if(|message| matches!(message, WatchdogMessage::Timeout(_)));
            (state, answer)
        },
        gateway,
        "rule 2",
    ),
    (
        "does not restore WatchdogSec",
        |settings, state, event, now| {
            let (state, mut answer) = step(settings, state, event, now);
            if let Some(WatchdogMessage::Ping { restore }) = &mut answer.watchdog {
                *restore = false;
            }
            (state, answer)
        },
        gateway,
        "rule 2",
    ),
    (
        "acts while paused",
        |settings, state, event, now| {
            let event = seen(event, |look| {
                if matches!(look.health, Health::Failing(_)) {
                    look.pause = None;
                }
            });
            step(settings, state, event, now)
        },
        human,
        "rule 3",
    ),
    (
        "acts during a transition",
        |settings, state, event, now| {
            let event = shown(event, |unit| {
                if unit.active_state == "activating" {
                    unit.active_state = "active".into();
                }
            });
            step(settings, state, event, now)
        },
        gateway,
        "rule 3",
    ),
    (
        "acts during an update",
        |settings, state, event, now| {
            let event = seen(event, |look| look.update = None);
            step(settings, state, event, now)
        },
        obstacles,
        "rule 3",
    ),
    (
        "acts on a gateway that is debugged",
        |settings, state, event, now| {
            let event = seen(event, |look| look.debugged = false);
            step(settings, state, event, now)
        },
        obstacles,
        "rule 3",
    ),
    (
        "takes a stopped gateway for one that systemd gave up on",
        |settings, state, event, now| {
            let event = shown(event, |unit| {
                if unit.active_state == "inactive" {
                    unit.active_state = "failed".into();
                    unit.result = "start-limit-hit".into();
                }
            });
            step(
                settings,
                State {
                    unwanted: None,
                    ..state
                },
                event,
                now,
            )
        },
        human,
        "rule 8",
    ),
    (
        "skips the second look",
        |settings, state, event, now| {
            let (state, answer) = step(settings, state, event.clone(), now);
            let Phase::BackingOff { until, .. } = state.phase else {
                return (state, answer);
            };
            let (mut state, answer) = step(settings, state, event, until);
            state.next = now;
            (state, answer)
        },
        gateway,
        "rule 4",
    ),
    (
        "stops a gateway that has recovered",
        |settings, state, event, now| {
            let event = match state.phase {
                Phase::BackingOff { ref failure, .. } => seen(event, |look| {
                    look.health = Health::Failing(failure.clone());
                }),
                _ => event,
            };
            step(settings, state, event, now)
        },
        gateway,
        "rule 4",
    ),
    (
        "kills as soon as the stop is queued",
        |settings, state, event, now| {
            let queued = matches!(event, Event::Done(Done::Stop(Ok(_))));
            let (state, mut answer) = step(settings, state, event, now);
            if queued {
                answer.effect = Some(Effect::Kill);
            }
            (state, answer)
        },
        gateway,
        "rule 4",
    ),
    (
        "cleans up and starts without a look between",
        |settings, state, event, now| {
            let cleaned_up = matches!(event, Event::Done(Done::Cleanup(Ok(_))));
            let (state, mut answer) = step(settings, state, event, now);
            if cleaned_up {
                answer.effect = Some(Effect::Start);
            }
            (state, answer)
        },
        gateway,
        "rule 4",
    ),
    (
        "stops a run twice",
        |settings, state, event, now| {
            let (mut state, answer) = step(settings, state, event, now);
            state.gateway.stopped = false;
            (state, answer)
        },
        human,
        "rule 5",
    ),
    (
        "forgets the budget of forced stops",
        |settings, state, event, now| {
            let (mut state, answer) = step(settings, state, event, now);
            state.forced.clear();
            (state, answer)
        },
        forced,
        "rule 6",
    ),
    (
        "answers exit status 78 with a start",
        |settings, state, event, now| {
            let event = shown(event, |unit| {
                if unit.exec_main_status == 78 {
                    unit.exec_main_status = 1;
                    unit.result = "start-limit-hit".into();
                }
            });
            step(settings, state, event, now)
        },
        gateway,
        "rule 7",
    ),
    (
        "ignores a stop by somebody else",
        |settings, mut state, event, now| {
            if let Some(pending_start) = &mut state.pending_start {
                pending_start.foreign_job = false;
            }
            let event = seen(event, |look| look.foreign_job = false);
            step(settings, state, event, now)
        },
        human,
        "rule 8",
    ),
    (
        "leaves at once when asked to",
        |settings, state, event, now| {
            let asked = event == Event::Leave;
            let (state, mut answer) = step(settings, state, event, now);
            answer.leave |= asked;
            (state, answer)
        },
        gatehound,
        "rule 8",
    ),
    (
        "leaves a start to nobody when its settings are wrong",
        |settings, mut state, event, now| {
            state.leaves_by = Monotonic::default();
            step(settings, state, event, now)
        },
        obstacles,
        "rule 8",
    ),
    (
        "forgets the start",
        |settings, state, event, now| {
            let (state, mut answer) = step(settings, state, event, now);
            answer.effect.take_if(|effect| *effect == Effect::Start);
            (state, answer)
        },
        gateway,
        "rule 8",
    ),
    (
        "counts the attempts anew at the first ping",
        |settings, state, event, now| {
            let (mut state, answer) = step(settings, state, event, now);
            if matches!(state.phase, Phase::Healthy { .. }) {
                state.attempts = Attempts::default();
            }
            (state, answer)
        },
        gateway,
        "rule 9",
    ),
    (
        "counts the attempts anew too soon",
        |settings, state, event, now| {
            let settings = Settings {
                reset_after: settings.reset_after / 2,
                ..settings.clone()
            };
            step(&settings, state, event, now)
        },
        gateway,
        "rule 9",
    ),
    (
        "never counts the attempts anew",
        |settings, state, event, now| {
            let settings = Settings {
                reset_after: Duration::MAX,
                ..settings.clone()
            };
            step(&settings, state, event, now)
        },
        gateway,
        "rule 9",
    ),
    (
        "sleeps through a suspend",
        |settings, state, event, now| {
            let before = state.clone();
            let resumed = event == Event::Resumed;
            let (mut state, answer) = step(settings, state, event, now);
            if resumed {
                state.phase = before.phase;
                state.awake_since = before.awake_since;
            }
            (state, answer)
        },
        obstacles,
        "rule 10",
    ),
    (
        "rolls back unasked",
        |settings, state, event, now| {
            let settings = Settings {
                rollback: Rollback::Auto,
                ..settings.clone()
            };
            step(&settings, state, event, now)
        },
        no_rollback,
        "rule 7",
    ),
    (
        "rolls back what a human has just written",
        |settings, state, event, now| {
            step(
                settings,
                state,
                configured(event, |config| config.untouched = true),
                now,
            )
        },
        rollback,
        "rule 7",
    ),
    (
        "rolls back the same twice",
        |settings, state, event, now| {
            step(
                settings,
                state,
                configured(event, |config| config.was_rejected = false),
                now,
            )
        },
        rollback,
        "rule 7",
    ),
    (
        "rolls back again without a healthy run",
        |settings, mut state, event, now| {
            if let Some(last) = &mut state.rollback {
                last.served = true;
            }
            step(settings, state, event, now)
        },
        rollback,
        "rule 7",
    ),
    (
        "starts before it has rolled back",
        |settings, state, event, now| {
            let (mut state, answer) = step(settings, state, event, now);
            if let Some(last) = state.rollback.as_mut().filter(|last| last.kept.is_none()) {
                last.kept = Some("nowhere".into());
            }
            (state, answer)
        },
        rollback,
        "rule 7",
    ),
    (
        "rolls back although another gateway makes it refuse",
        |settings, state, event, now| {
            let event = refusing(event, |look| {
                look.port_holder = None;
                look.health = super::world::failing(Stall::Gone);
            });
            step(settings, state, event, now)
        },
        rollback,
        "rule 12",
    ),
    (
        "rolls back while paused",
        |settings, state, event, now| {
            step(
                settings,
                state,
                refusing(event, |look| look.pause = None),
                now,
            )
        },
        rollback,
        "rule 3",
    ),
    (
        "rolls back during an update",
        |settings, state, event, now| {
            step(
                settings,
                state,
                refusing(event, |look| look.update = None),
                now,
            )
        },
        rollback,
        "rule 3",
    ),
    (
        "rolls back while debugged",
        |settings, state, event, now| {
            step(
                settings,
                state,
                refusing(event, |look| look.debugged = false),
                now,
            )
        },
        rollback,
        "rule 3",
    ),
    (
        "lets suspicion act",
        |settings, state, event, now| {
            let suspected = event == Event::Suspected;
            let (mut state, answer) = step(settings, state, event, now);
            if suspected && matches!(state.phase, Phase::Healthy { .. }) {
                state.phase = Phase::Failing(GraceUsed::new(now));
            }
            (state, answer)
        },
        stalls,
        "rule 4",
    ),
    (
        "gives a deadlock the time of a busy gateway",
        |settings, state, event, now| {
            let mut settings = settings.clone();
            settings.grace.deadlocked = settings.grace.busy;
            step(&settings, state, event, now)
        },
        stalls,
        "grace",
    ),
    (
        "restarts a gateway that waits",
        |settings, state, event, now| {
            let event = seen(event, |look| {
                if let Health::Failing(failure) = &mut look.health
                    && failure.stall == Stall::Waiting
                {
                    failure.stall = Stall::Blocked;
                }
            });
            step(settings, state, event, now)
        },
        stalls,
        "grace",
    ),
    (
        "forgets the start after a rollback",
        |settings, state, event, now| {
            let done = matches!(event, Event::Done(Done::Restored(_)));
            let (mut state, answer) = step(settings, state, event, now);
            if done {
                state.pending_start = None;
            }
            (state, answer)
        },
        rollback,
        "rule 8",
    ),
    (
        "asks for a start for ever",
        |settings, mut state, event, now| {
            if let Some(pending_start) = &mut state.pending_start {
                pending_start.starts = 0;
            }
            step(settings, state, event, now)
        },
        starts,
        "rule 11: starts that begin no run are given up",
    ),
    (
        "restarts a gateway that is degraded",
        |settings, state, event, now| {
            let degraded = state.degraded.is_some();
            let event = seen(event, |look| {
                if degraded && matches!(look.health, Health::Healthy(_)) {
                    look.health = super::world::failing(Stall::Answering);
                }
            });
            step(settings, state, event, now)
        },
        useless,
        "rule 4",
    ),
];

/// Policies of which no single step is wrong.
const IDLE: [(&str, StepFn, &str); 3] = [
    (
        "never pings",
        |settings, state, event, now| {
            let event = seen(event, |look| {
                if matches!(look.health, Health::Healthy(_)) {
                    look.health = Health::Unknown("dazed".into());
                }
            });
            step(settings, state, event, now)
        },
        "liveness: a healthy gateway is found healthy",
    ),
    (
        "never acts",
        |settings, state, event, now| {
            let event = seen(event, |look| {
                if matches!(look.health, Health::Failing(_)) {
                    look.health = Health::Unknown("dazed".into());
                }
            });
            step(settings, state, event, now)
        },
        "liveness: a gateway that stays broken is acted on",
    ),
    (
        "is never out of grace",
        |settings, mut state, event, now| {
            if let Phase::Failing(grace_used) = &mut state.phase {
                *grace_used = crate::policy::state::GraceUsed::new(now);
            }
            step(settings, state, event, now)
        },
        "liveness: a gateway that stays broken is acted on",
    ),
];

/// Successors that make something else of the state file.
const FORGETFUL: [(&str, RestoredFn, &str); 3] = [
    ("begins anew", |_, _| State::default(), "rule 11"),
    (
        "forgets what is pending",
        |state, now| State {
            pending_start: None,
            ..state.restored(now)
        },
        "rule 8",
    ),
    (
        "goes on with the attempt",
        |state, now| {
            let phase = state.phase.clone();
            let mut state = state.restored(now);
            if matches!(phase, Phase::BackingOff { .. }) {
                state.phase = phase;
            }
            state
        },
        "rule 4",
    ),
];

/// Holds that the policy is caught, and by that rule.
#[track_caller]
fn caught(name: &str, policy: Policy, mut place: Place, by: &str) {
    place.happenings = Some(3);
    match explore(&place, policy) {
        Err(violation) => {
            assert!(violation.what.starts_with(by), "{name}: {violation}");
            println!("{name}: caught by {}", violation.what);
        }
        Ok(report) => panic!("{name} is not caught: {report}"),
    }
}

/// Where this number is stated, in tests/README.md, it is to be the same.
#[test]
fn forty_nine_mutants_are_tried() {
    assert_eq!(ROUGH.len() + IDLE.len() + FORGETFUL.len(), 49);
}

#[test]
fn a_policy_that_breaks_a_rule_is_caught_by_that_rule() {
    for (name, step, place, by) in ROUGH {
        caught(name, Policy { step, ..HONEST }, place(), &format!("{by}:"));
    }
}

#[test]
fn a_policy_that_does_nothing_is_caught() {
    for (name, step, by) in IDLE {
        caught(name, Policy { step, ..HONEST }, gateway(), by);
    }
}

#[test]
fn a_successor_that_forgets_is_caught() {
    for (name, restored, by) in FORGETFUL {
        caught(name, Policy { restored, ..HONEST }, gatehound(), by);
    }
}
