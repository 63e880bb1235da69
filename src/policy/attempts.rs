//! The attempts: which is next, how long it waits, and when Gatehound gives up.
//!
//! Owns the backoff, the budget of forced stops (rule 6) and gave-up; the restart at the end of an attempt is `restart`'s.

use crate::policy::{Machine, is_up};
use crate::{
    policy::{
        answer::WatchdogMessage,
        facts::{Failure, Look, Monotonic},
        record::Record,
        state::{Attempts, BITE_AFTER, Bite, GraceUsed, Phase, State},
    },
    settings::{ForcedStops, RetryAfter},
    text::line::Line,
};

impl State {
    /// When the next stop may need SIGKILL again (rule 6); none while none has to wait for that.
    pub fn forced_stop_allowed_from(&self, budget: &ForcedStops) -> Option<Monotonic> {
        let oldest = self.forced.len().checked_sub(budget.limit.max(1))?;
        Some(*self.forced.get(oldest)? + budget.window)
    }
}

impl Machine<'_> {
    /// Takes the next attempt, or gives up when there is none.
    pub(super) fn next_attempt(&mut self, look: &Look, failure: &Failure) {
        if self.state.gateway.stopped && self.state.pending_start.is_none() && is_up(look) {
            return self.give_up(Line::new(
                "this run of the gateway was already stopped once and still runs",
            ));
        }
        let attempt = self.state.attempts.next(self.settings.debounce, self.now);
        let of = self.settings.backoff.len();
        let Some(delay) = self.settings.backoff.get(attempt - 1) else {
            // Failures that follow each other at once use one attempt, and each of them was restarted.
            let restarts = self.state.incident.as_ref().map_or(0, |one| one.restarts);
            let restarts = of.max(usize::try_from(restarts).unwrap_or(of));
            let word = if restarts == 1 { "restart" } else { "restarts" };
            return self.give_up(Line::new(&format!("{restarts} {word} did not help")));
        };
        let until = (self.now + *delay).max(self.forced_stop_allowed_from());
        let grace_used = match &self.state.phase {
            Phase::Failing(grace_used) => Some(grace_used.clone()),
            Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::BackingOff { .. }
            | Phase::Restarting(_)
            | Phase::GaveUp { .. }
            | Phase::StandingBy { .. } => None,
        };
        self.state.phase = Phase::BackingOff {
            attempt,
            until,
            failure: failure.clone(),
            grace_used,
        };
        self.record(Record::BackingOff {
            attempt,
            of,
            delay: until.since(self.now),
            failure: failure.clone(),
        });
        self.wait_for_attempt(until);
    }

    fn wait_for_attempt(&mut self, until: Monotonic) {
        self.again_in(until.since(self.now).min(self.settings.grace.interval));
    }

    pub(super) fn backing_off(
        &mut self,
        look: &Look,
        failure: &Failure,
        (attempt, until, mut grace_used): (usize, Monotonic, Option<GraceUsed>),
    ) {
        // A start that goes on after all has the rest of its grace.
        if grace_used.is_none() && !failure.stall.is_certain() && self.state.stuck_since.is_some() {
            self.state.stuck_since = None;
            self.state.phase = Phase::Starting {
                since: self.state.gateway.since.max(self.state.awake_since),
                progress: self.now,
            };
            self.record(Record::FailingOtherwise {
                failure: failure.clone(),
            });
            return self.again_in(self.settings.grace.interval);
        }
        // What is seen now decides: a stall that turns out to be of a kind with more time has what is left of that.
        if let Some(grace_used) = &mut grace_used
            && let Some(left) = self.count(grace_used, look, failure)
        {
            self.state.phase = Phase::Failing(grace_used.clone());
            self.record(Record::FailingOtherwise {
                failure: failure.clone(),
            });
            return self.again_in(left.min(self.settings.grace.interval));
        }
        // A state file, or settings read again meanwhile, may have named a delay that is none any more.
        let delay = attempt
            .checked_sub(1)
            .and_then(|attempt| self.settings.backoff.get(attempt))
            .or(self.settings.backoff.last());
        let until = until
            .min(self.now + delay.copied().unwrap_or_default())
            .max(self.forced_stop_allowed_from());
        if self.now < until {
            self.state.phase = Phase::BackingOff {
                attempt,
                until,
                failure: failure.clone(),
                grace_used,
            };
            return self.wait_for_attempt(until);
        }
        self.restart(look, failure, attempt);
    }

    pub(super) fn gave_up(&mut self, look: &Look, failure: &Failure, since: Monotonic) {
        if !self.retries(since) {
            return self.again_in(self.settings.interval);
        }
        self.state.attempts = Attempts::default();
        self.record(Record::Retrying);
        self.state.phase = Phase::Failing(self.new_grace());
        self.use_grace(look, failure);
    }

    pub(super) fn retries(&self, since: Monotonic) -> bool {
        match self.settings.retry_after {
            RetryAfter::After(rest) => rest <= self.now.since(since),
            RetryAfter::Never => false,
        }
    }

    pub(super) fn give_up(&mut self, reason: Line) {
        let bitten = self
            .state
            .incident
            .as_ref()
            .is_some_and(|incident| incident.bitten);
        // The bite is for a Gatehound that watches on; one that stays only for a start would be ended by it.
        let bite = if bitten || self.state.leaving {
            Bite::Done
        } else {
            Bite::Due
        };
        self.record(Record::GaveUp {
            reason: reason.clone(),
            retry_after: self.settings.retry_after,
        });
        self.state.phase = Phase::GaveUp {
            since: self.now,
            reason,
            bite,
        };
        if bite == Bite::Due {
            // The old watchdog timeout may have minutes to go; this one ends soon, and nothing is sent after it.
            self.answer.watchdog = Some(WatchdogMessage::Timeout(BITE_AFTER));
            self.state.timeout_set = true;
        }
        self.again_in(self.settings.interval);
    }

    /// When another forced stop would stay within the budget of rule 6.
    pub(super) fn forced_stop_allowed_from(&self) -> Monotonic {
        let allowed = self
            .state
            .forced_stop_allowed_from(&self.settings.forced_stops);
        allowed.unwrap_or_default()
    }

    /// Counts this attempt as a forced stop, once, before it becomes one.
    pub(super) fn count_forced_stop(&mut self) {
        let Some(pending_start) = &mut self.state.pending_start else {
            return;
        };
        if pending_start.forced {
            return;
        }
        pending_start.forced = true;
        self.state.forced.push(self.now);
        let surplus = self
            .state
            .forced
            .len()
            .saturating_sub(self.settings.forced_stops.limit.max(1));
        self.state.forced.drain(..surplus);
    }
}
