//! The restart at the end of an attempt: stop, kill, cleanup, start.
//!
//! Owns the only places where these are decided, each in answer to a look (rule 4).
//! What is pending from the stop until the gateway runs again is set here (rule 8).

use std::time::Duration;

use crate::policy::{CleanedUp, KILL_LIMIT, Machine, POLL, RETRY};
use crate::{
    policy::{
        answer::Effect,
        facts::{Failure, Health, Look, Monotonic, Process, Signal, Stall, UnitFacts},
        record::Record,
        state::{Attempts, PendingStart, Phase, Standby, State, Step},
        unit,
    },
    text::line::Line,
};

/// Cleanups before Gatehound gives up: two passes of SIGTERM and SIGKILL.
const PASSES: u8 = 4;

/// Starts that begin no run before Gatehound gives up: what is only in the way for a moment is gone by then.
pub(super) const STARTS: u32 = 10;

/// CLD_KILLED of wait(2): a signal ended the main process, so the status is its number.
const CLD_KILLED: i32 = 2;

/// SIGKILL of signal(7).
const SIGKILL: i32 = 9;

/// Why a unit is not restarted: systemd would not stop it, or not start it again.
fn not_restarted(unit: &UnitFacts) -> Option<Line> {
    if unit.cannot_stop && unit::needs_a_stop(unit) {
        let command = unit::what_ends_it(unit);
        return Some(Line::new(&format!(
            "systemd takes no stop of the gateway (RefuseManualStop=yes), so it is not restarted; what ends it now: {command}"
        )));
    }
    if !unit.cannot_start {
        return None;
    }
    let file = match unit.load_state.as_str() {
        "loaded" => {
            let why = "systemd would not start the gateway again (RefuseManualStart=yes), so it is not stopped";
            return Some(Line::new(why));
        }
        "not-found" => "is gone",
        _ => "has an error",
    };
    Some(Line::new(&format!(
        "systemd would not start the gateway again, because its unit file {file} ({}), so it is not stopped; mend the file, then: systemctl --user daemon-reload",
        unit.load_state
    )))
}

impl Machine<'_> {
    /// The look after the backoff still fails: the restart begins.
    pub(super) fn restart(&mut self, look: &Look, failure: &Failure, attempt: usize) {
        if self.state.attempts.used < attempt {
            self.state.attempts = Attempts {
                used: attempt,
                taken: self.now,
            };
        }
        if let Some(why) = look.unit.as_ref().ok().and_then(not_restarted) {
            return self.give_up(why);
        }
        let stop_timeout = self.stop_timeout(failure.stall);
        self.state.pending_start = Some(PendingStart {
            stop_timeout,
            ..pending_start_of(look)
        });
        if look.unit.as_ref().is_ok_and(unit::needs_a_stop) {
            if let Some(pending_start) = &mut self.state.pending_start {
                pending_start.stopped_at = self.now;
            }
            self.state.phase = Phase::Restarting(Step::Stopping {
                until: self.now + stop_timeout,
            });
            self.record(Record::Stopping {
                limit: stop_timeout,
                failure: failure.clone(),
            });
            self.act(Effect::Stop { begins: true });
        } else {
            self.cleanup(0, true);
        }
    }

    /// How long a stop is given before SIGKILL: what hangs does not drain.
    fn stop_timeout(&self, stall: Stall) -> Duration {
        let timeouts = &self.settings.stop_timeout;
        match stall {
            Stall::Stopped | Stall::Deadlocked => timeouts.stuck,
            Stall::Waiting | Stall::Disk | Stall::Starved | Stall::Blocked | Stall::Busy => {
                timeouts.hung
            }
            Stall::Gone | Stall::Answering => timeouts.draining,
        }
    }

    /// Whether somebody else's restart of the gateway is to be bounded as Gatehound's own would be.
    ///
    /// A gateway that drains is left alone for as long as systemd gives it; one that hangs cannot drain.
    pub(super) fn joins_restart(&self, look: &Look) -> bool {
        let (Health::Failing(failure), Ok(unit)) = (&look.health, &look.unit) else {
            return self.was_failing();
        };
        let hangs = is_hung(failure.stall);
        let given = match &self.state.incident {
            Some(_) => Duration::ZERO,
            None => self.settings.grace.of(failure.stall),
        };
        self.was_failing() || hangs && given <= self.now.since(unit.left_active)
    }

    /// Whether the gateway failed until its restart began.
    fn was_failing(&self) -> bool {
        match self.state.phase {
            Phase::Failing(_) | Phase::BackingOff { .. } | Phase::GaveUp { .. } => {
                self.state.incident.is_some()
            }
            Phase::Restarting(_) => true,
            Phase::Starting { .. } | Phase::Healthy { .. } | Phase::StandingBy { .. } => false,
        }
    }

    /// Somebody has a gateway started anew that hangs: SIGKILL after the time that a stop of ours would have,
    /// because the start that follows is what they want as well.
    pub(super) fn join_restart(&mut self, look: &Look, job: u32) {
        let failure = match (&look.health, &self.state.incident) {
            (_, Some(incident)) => incident.failure.clone(),
            (Health::Failing(failure), None) => failure.clone(),
            (_, None) => return self.stand_by(Standby::InTransition, Line::default()),
        };
        self.open_incident(look, &failure, Duration::ZERO);
        let stop_timeout = self.stop_timeout(failure.stall);
        self.state.pending_start = Some(PendingStart {
            stop_job: Some(job),
            stop_timeout,
            by_other: true,
            ..pending_start_of(look)
        });
        self.state.phase = Phase::Restarting(Step::Stopping {
            until: self.now + stop_timeout,
        });
        self.record(Record::RestartJoined {
            limit: stop_timeout,
        });
        self.again_in(POLL);
    }

    /// systemd did not take the stop, and this look shows that it is still needed.
    pub(super) fn not_stopped(&mut self, failure: &Failure, step: Step) {
        match step {
            // Nothing was stopped, so nothing is pending.
            Step::Stopping { .. } if self.state.leaving => self.state.pending_start = None,
            Step::Stopping { until } if self.now < until => {
                self.record(Record::Stopping {
                    limit: until.since(self.now),
                    failure: failure.clone(),
                });
                self.act(Effect::Stop { begins: false });
            }
            Step::Stopping { .. }
            | Step::Killing { .. }
            | Step::CleaningUp { .. }
            | Step::Starting { .. } => {
                self.state.pending_start = None;
                self.give_up(Line::new("systemd did not stop the gateway"));
            }
        }
    }

    /// The unit is on its way down because Gatehound asked for it.
    pub(super) fn stopping(&mut self) {
        let (timeout, forced) = match &self.state.pending_start {
            Some(pending_start) => (pending_start.stop_timeout, pending_start.forced),
            None => (Duration::ZERO, false),
        };
        match self.state.phase {
            Phase::Restarting(Step::Stopping { until }) if until <= self.now => {
                let allowed = self.forced_stop_allowed_from();
                if !forced && self.now < allowed {
                    return self
                        .again_in(allowed.since(self.now).min(self.settings.grace.interval));
                }
                self.count_forced_stop();
                self.state.phase = Phase::Restarting(Step::Killing {
                    until: self.now + KILL_LIMIT,
                });
                self.record(Record::Killing { after: timeout });
                self.act(Effect::Kill);
            }
            Phase::Restarting(Step::Killing { until }) if until <= self.now => {
                self.give_up(Line::new(
                    "SIGKILL does not end the gateway's processes, which wait for a disk or another device",
                ));
            }
            Phase::Restarting(Step::Stopping { until } | Step::Killing { until }) => {
                self.again_in(until.since(self.now).min(POLL));
            }
            Phase::GaveUp { .. } => self.again_in(self.settings.interval),
            // Back from standing by, or a successor: the stop goes on where it was.
            Phase::Restarting(Step::CleaningUp { .. } | Step::Starting { .. })
            | Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::StandingBy { .. } => {
                self.state.phase = Phase::Restarting(Step::Stopping {
                    until: self.now + timeout,
                });
                self.again_in(POLL);
            }
        }
    }

    /// The unit is down because Gatehound stopped it: cleanup, then start.
    pub(super) fn down(&mut self, look: &Look) {
        if let Phase::GaveUp { since, .. } = self.state.phase
            && self.waits_to_start(since)
        {
            return;
        }
        match self.state.phase {
            Phase::Restarting(Step::CleaningUp { passes }) => self.cleanup(passes, false),
            Phase::Restarting(Step::Starting { .. }) => self.ask_for_start(look),
            // What is in the way may go by itself, and a start that is pending does not wait for `retry_after` then.
            Phase::GaveUp { since, .. } if self.is_blocked() && !self.retries(since) => {
                self.act(Effect::Cleanup {
                    signal: Signal::Term,
                    begins: false,
                });
            }
            Phase::Restarting(Step::Stopping { .. } | Step::Killing { .. })
            | Phase::GaveUp { .. }
            | Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::StandingBy { .. } => {
                // systemd's own limit on the stop may be shorter than ours, or a human's SIGKILL was first.
                if was_killed(look) {
                    self.count_forced_stop();
                }
                self.cleanup(0, false);
            }
        }
    }

    /// Asks for the start that is pending, but not for ever: systemd may refuse it, or what it needs may fail, each time.
    pub(super) fn ask_for_start(&mut self, look: &Look) {
        // It is queued behind something else's job.
        if has_job(look) {
            return self.again_in(RETRY);
        }
        if self.starts_in_vain() {
            return self.give_up(self.why_in_vain(look));
        }
        self.record(Record::Starting);
        self.act(Effect::Start);
    }

    /// Whether enough starts began no run; a Gatehound that stays only for the start goes on.
    pub(super) fn starts_in_vain(&self) -> bool {
        let pending_start = self.state.pending_start.as_ref();
        let starts = pending_start.map_or(0, |pending_start| pending_start.starts);
        STARTS <= starts && !self.state.leaving
    }

    pub(super) fn try_starts_again(&mut self) {
        if let Some(pending_start) = &mut self.state.pending_start {
            pending_start.starts = 0;
            pending_start.refused = None;
        }
    }

    /// Whether nothing is done about starts that were in vain until `retry_after` is over.
    pub(super) fn waits_to_start(&mut self, gave_up: Monotonic) -> bool {
        if !self.starts_in_vain() {
            return false;
        }
        if !self.retries(gave_up) {
            self.again_in(self.settings.interval);
            return true;
        }
        self.state.attempts = Attempts::default();
        self.record(Record::Retrying);
        self.try_starts_again();
        false
    }

    fn why_in_vain(&self, look: &Look) -> Line {
        let pending_start = self.state.pending_start.as_ref();
        let refused = pending_start.and_then(|pending_start| pending_start.refused.as_ref());
        let why = match (refused, &look.unit) {
            (Some(why), _) => why.as_str().trim_end_matches('.').to_owned(),
            (None, Ok(unit)) => unit::why_not_started(unit),
            (None, Err(why)) => why.to_string(),
        };
        Line::new(&format!(
            "systemd was asked {STARTS} times to start it, and no run began: {why}"
        ))
    }

    fn cleanup(&mut self, passes: u8, begins: bool) {
        self.state.phase = Phase::Restarting(Step::CleaningUp { passes });
        let signal = if passes.is_multiple_of(2) {
            Signal::Term
        } else {
            Signal::Kill
        };
        if signal == Signal::Kill {
            self.count_forced_stop();
        }
        self.act(Effect::Cleanup { signal, begins });
    }

    /// Whether two passes have not ended what is in the way of the start that is pending.
    fn is_blocked(&self) -> bool {
        let pending_start = self.state.pending_start.as_ref();
        pending_start.is_some_and(|pending_start| pending_start.in_the_way)
    }

    fn set_blocked(&mut self, blocked: bool) {
        if let Some(pending_start) = &mut self.state.pending_start {
            pending_start.in_the_way = blocked;
        }
    }

    pub(super) fn cleaned_up(&mut self, cleaned_up: CleanedUp) {
        if matches!(self.state.phase, Phase::GaveUp { .. }) {
            return self.cleaned_up_after_giving_up(&cleaned_up);
        }
        let Phase::Restarting(Step::CleaningUp { passes }) = self.state.phase else {
            return;
        };
        if !cleaned_up.signalled.is_empty() {
            let signal = if passes.is_multiple_of(2) {
                Signal::Term
            } else {
                Signal::Kill
            };
            self.record(Record::CleanedUp {
                signal,
                processes: cleaned_up.signalled,
            });
        }
        if let Some(port_holder) = cleaned_up.port_holder {
            return self.stand_by(Standby::PortTaken, port_holder);
        }
        self.set_blocked(!cleaned_up.left.is_empty());
        let next = match cleaned_up.left.first() {
            None => Step::Starting { tries: 0 },
            Some(first) if PASSES <= passes.saturating_add(1) => {
                let others = cleaned_up.left.len() - 1;
                return self.give_up(still_there(first, others));
            }
            Some(_) => Step::CleaningUp {
                passes: passes.saturating_add(1),
            },
        };
        self.state.phase = Phase::Restarting(next);
        self.again_in(Duration::ZERO);
    }

    /// It was said when Gatehound gave up; what is worth saying next is that the start goes on.
    fn cleaned_up_after_giving_up(&mut self, cleaned_up: &CleanedUp) {
        if !cleaned_up.left.is_empty() || cleaned_up.port_holder.is_some() {
            return self.again_in(self.settings.interval);
        }
        self.set_blocked(false);
        self.state.phase = Phase::Restarting(Step::Starting { tries: 0 });
        self.again_in(Duration::ZERO);
    }

    /// A start was asked for. Each one that leaves the unit down makes the pause before the next longer.
    pub(super) fn start_tried(&mut self, refused: Option<Line>) {
        let mut pause = POLL;
        if let Some(pending_start) = &mut self.state.pending_start {
            pending_start.starts = pending_start.starts.saturating_add(1);
            pending_start.refused = refused;
        }
        if let Phase::Restarting(Step::Starting { tries }) = &mut self.state.phase {
            pause = RETRY
                .saturating_mul(*tries)
                .clamp(POLL, self.settings.interval.max(POLL));
            *tries = tries.saturating_add(1);
        }
        self.again_in(pause);
    }

    pub(super) fn failed_to(&mut self, what: &'static str, why: &Line) {
        self.record(Record::ActionFailed {
            what,
            why: why.clone(),
        });
        self.again_in(RETRY);
    }
}

impl State {
    /// Whether a restart that somebody else asked for is under way, of a gateway that hung.
    pub fn joins_restart(&self) -> bool {
        self.pending_start
            .as_ref()
            .is_some_and(|pending_start| pending_start.by_other)
    }
}

/// What is pending for the unit's last run, which may have come and gone between two looks.
fn pending_start_of(look: &Look) -> PendingStart {
    let unit = look.unit.as_ref().ok();
    PendingStart {
        invocation: unit.and_then(|unit| unit.invocation_id.clone()),
        control_group: unit.map_or_else(String::new, |unit| unit.control_group.clone()),
        ..PendingStart::default()
    }
}

fn is_hung(stall: Stall) -> bool {
    match stall {
        Stall::Stopped
        | Stall::Deadlocked
        | Stall::Waiting
        | Stall::Disk
        | Stall::Starved
        | Stall::Blocked
        | Stall::Busy => true,
        Stall::Gone | Stall::Answering => false,
    }
}

/// Why there is no start: what is left of the gateway, or holds its port, outlives SIGKILL or comes back.
fn still_there(first: &Process, others: usize) -> Line {
    let others = match others {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Line::new(&format!(
        "pid {} ({}){others}, left of the gateway or on its port, survived SIGKILL",
        first.pid, first.command
    ))
}

/// Whether SIGKILL ended the last run's main process.
fn was_killed(look: &Look) -> bool {
    look.unit
        .as_ref()
        .is_ok_and(|unit| unit.exec_main_code == CLD_KILLED && unit.exec_main_status == SIGKILL)
}

fn has_job(look: &Look) -> bool {
    look.unit.as_ref().is_ok_and(|unit| unit.job.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_systemd_would_not_stop_is_started_where_it_is_down() {
        let unit = |active_state: &str| UnitFacts {
            active_state: active_state.to_owned(),
            control_group: "/app.slice/gateway.service".to_owned(),
            cannot_stop: true,
            ..UnitFacts::default()
        };
        assert_eq!(not_restarted(&unit("failed")), None);
        let why = not_restarted(&unit("active")).unwrap();
        assert!(
            why.as_str().ends_with("--signal=SIGKILL gateway.service"),
            "{why}"
        );
    }
}
