//! What a successor makes of the state that it finds, and what of the state it needs.
//!
//! Owns which waits begin anew and which moments are believed; knows nothing of the file.

use std::time::Duration;

use crate::policy::{
    facts::Monotonic,
    state::{Bite, GraceUsed, Phase, State, Step, Waited},
};

/// `TimeoutStopSec=` of the gateway's unit: no stop goes on for longer.
const LONGEST_STOP: Duration = Duration::from_secs(330);

impl State {
    /// The memory of a predecessor, fit to go on with.
    ///
    /// Grace starts anew, because nobody looked in between.
    /// A watchdog bite that was due has happened: that is why there is a successor.
    pub fn restored(mut self, now: Monotonic) -> Self {
        self.place_in_the_past(now);
        self.next = now;
        self.leaving = false;
        self.leaves_by = Monotonic::default();
        // systemd starts a service under its own WatchdogSec, but restoring it once more costs nothing.
        self.timeout_set = true;
        let pending_start = self.pending_start.as_ref();
        let stop_job = pending_start.is_some_and(|pending_start| pending_start.stop_job.is_some());
        let stop_timeout =
            pending_start.map_or(Duration::ZERO, |pending_start| pending_start.stop_timeout);
        match &mut self.phase {
            Phase::Failing(grace_used) => {
                grace_used.waited = Waited::default();
                grace_used.last = None;
            }
            // The stop or the SIGKILL may have died with the predecessor, so each gets its chance again.
            Phase::Restarting(Step::Stopping { until }) if stop_job => *until = now + stop_timeout,
            // A gateway that runs may have recovered meanwhile; one that is on its way down, or is down, is started again.
            Phase::BackingOff { .. } | Phase::Restarting(Step::Stopping { .. }) => {
                self.phase = Phase::Failing(GraceUsed::new(now));
            }
            Phase::Restarting(step @ Step::Killing { .. }) => {
                *step = Step::Stopping { until: now };
            }
            Phase::GaveUp { bite, .. } if *bite == Bite::Due => {
                *bite = Bite::Done;
                if let Some(incident) = &mut self.incident {
                    incident.bitten = true;
                }
            }
            Phase::GaveUp { .. }
            | Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::Restarting(Step::CleaningUp { .. } | Step::Starting { .. })
            | Phase::StandingBy { .. } => {}
        }
        self
    }

    /// Takes moments that lie ahead for this one, and a stop that takes too long for the longest that systemd grants.
    ///
    /// They are those of a clock that was set back, as for a container that was moved, or of a damaged file;
    /// nothing that is measured from them would ever be over.
    fn place_in_the_past(&mut self, now: Monotonic) {
        let mut moments = vec![
            &mut self.gateway.since,
            &mut self.attempts.taken,
            &mut self.awake_since,
        ];
        moments.extend(&mut self.forced);
        moments.extend(&mut self.down_since);
        moments.extend(&mut self.silent_since);
        moments.extend(&mut self.debugged_since);
        moments.extend(&mut self.stuck_since);
        moments.extend(self.incident.as_mut().map(|incident| &mut incident.since));
        match &mut self.phase {
            Phase::Starting { since, progress } => moments.extend([since, progress]),
            Phase::Failing(grace_used) => {
                moments.push(&mut grace_used.since);
                moments.extend(&mut grace_used.last);
            }
            Phase::Healthy { since, .. }
            | Phase::GaveUp { since, .. }
            | Phase::StandingBy { since, .. } => moments.push(since),
            // These wait for a moment that is still to come; the policy bounds it.
            Phase::BackingOff { .. } | Phase::Restarting(_) => {}
        }
        for moment in moments {
            *moment = (*moment).min(now);
        }
        if let Some(pending_start) = &mut self.pending_start {
            pending_start.stop_timeout = pending_start.stop_timeout.min(LONGEST_STOP);
        }
    }

    /// What a successor needs of it: the same memory from one healthy check to the next.
    pub fn durable(&self) -> Self {
        let mut state = Self {
            next: Monotonic::default(),
            ..self.clone()
        };
        if let Phase::Healthy { took, .. } = &mut state.phase {
            *took = Duration::ZERO;
        }
        // A successor asks in its first healthy check.
        state.parts.asked = None;
        state.worked_until = None;
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{
        facts::{Failure, Probe, Stall},
        state::{Attempts, PendingStart},
    };
    use crate::text::line::Line;

    const NOW: Monotonic = Monotonic(500_000_000);

    #[test]
    fn a_successor_gives_each_step_of_a_restart_its_chance_again() {
        for (step, expected) in [
            (
                Step::Stopping {
                    until: Monotonic(1),
                },
                Step::Stopping {
                    until: NOW + Duration::from_secs(30),
                },
            ),
            (
                Step::Killing {
                    until: Monotonic(1),
                },
                Step::Stopping { until: NOW },
            ),
            (
                Step::CleaningUp { passes: 3 },
                Step::CleaningUp { passes: 3 },
            ),
            (Step::Starting { tries: 2 }, Step::Starting { tries: 2 }),
        ] {
            let state = State {
                phase: Phase::Restarting(step),
                pending_start: Some(PendingStart {
                    stop_job: Some(7),
                    stop_timeout: Duration::from_secs(30),
                    ..PendingStart::default()
                }),
                leaving: true,
                ..State::default()
            }
            .restored(NOW);
            assert_eq!(state.phase, Phase::Restarting(expected));
            assert!(state.pending_start.is_some() && state.timeout_set && !state.leaving);
            assert_eq!(state.next, NOW);
        }
    }

    #[test]
    fn a_successor_fails_anew_where_nothing_is_known_to_have_been_stopped() {
        let failure = Failure {
            probe: Probe::Http,
            reason: Line::from("no answer within 5 s"),
            stall: Stall::Blocked,
            detail: Line::default(),
        };
        for phase in [
            Phase::BackingOff {
                attempt: 1,
                until: Monotonic(1),
                failure,
                grace_used: None,
            },
            Phase::Restarting(Step::Stopping {
                until: Monotonic(1),
            }),
        ] {
            let state = State {
                phase,
                pending_start: Some(PendingStart::default()),
                ..State::default()
            }
            .restored(NOW);
            assert_eq!(state.phase, Phase::Failing(GraceUsed::new(NOW)));
            assert!(state.pending_start.is_some());
        }
    }

    #[test]
    fn moments_that_lie_ahead_are_waited_for_by_no_successor() {
        let ahead = Monotonic(u64::MAX);
        let phases = [
            Phase::Starting {
                since: ahead,
                progress: ahead,
            },
            Phase::GaveUp {
                since: ahead,
                reason: "3 restarts did not help".into(),
                bite: Bite::Done,
            },
        ];
        for phase in phases {
            let state = State {
                phase,
                forced: vec![Monotonic(7), ahead],
                attempts: Attempts {
                    used: 1,
                    taken: ahead,
                },
                pending_start: Some(PendingStart {
                    stop_timeout: Duration::MAX,
                    ..PendingStart::default()
                }),
                ..State::default()
            }
            .restored(NOW);
            let since = match state.phase {
                Phase::Starting { since, progress } => since.max(progress),
                Phase::GaveUp { since, .. } => since,
                other => panic!("{other:?}"),
            };
            assert_eq!(since, NOW);
            assert_eq!(state.forced, [Monotonic(7), NOW]);
            assert_eq!(state.attempts.taken, NOW);
            assert_eq!(state.pending_start.unwrap().stop_timeout, LONGEST_STOP);
        }
    }
}
