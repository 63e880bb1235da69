//! The ladder: which rung is next, how long it waits, and when it holds.
//!
//! Owns the backoff, the budget of forced stops (rule 6) and holding; the restart at the end of a rung is `restart`'s.

use crate::policy::{Action, Machine, is_up};
use crate::{
    policy::{
        facts::{Failure, Look, Monotonic},
        record::Record,
        state::{BITE_AFTER, Bite, Ladder, Phase},
    },
    settings::Rearm,
    text::line::Line,
};

impl Machine<'_> {
    /// Takes the next rung of the ladder, or holds when there is none.
    pub(super) fn next_rung(&mut self, look: &Look, failure: &Failure) {
        if let Some(stranger) = &look.stranger {
            return self.hold(Line::new(&format!("the port is held by {stranger}")));
        }
        if self.state.gateway.stopped && self.state.owed.is_none() && is_up(look) {
            return self.hold(Line::new(
                "this run of the gateway was already stopped once and still runs",
            ));
        }
        let rung = self.rung();
        let of = self.settings.backoff.len();
        let Some(delay) = self.settings.backoff.get(rung - 1) else {
            return self.hold(Line::new("the ladder is used up"));
        };
        let until = (self.now + *delay).max(self.forced_stop_allowed_from());
        self.state.phase = Phase::BackingOff {
            rung,
            until,
            failure: failure.clone(),
        };
        self.record(Record::BackingOff {
            rung,
            of,
            delay: until.since(self.now),
            failure: failure.clone(),
        });
        self.wait_for_rung(until);
    }

    /// The rung that comes next, from 1. Failures closer together than `debounce` use one rung.
    fn rung(&self) -> usize {
        let ladder = &self.state.ladder;
        let again = 0 < ladder.used && self.now.since(ladder.taken) < self.settings.debounce;
        if again {
            ladder.used
        } else {
            ladder.used.saturating_add(1)
        }
    }

    fn wait_for_rung(&mut self, until: Monotonic) {
        self.again_in(until.since(self.now).min(self.settings.patience.interval));
    }

    pub(super) fn backing_off(
        &mut self,
        look: &Look,
        failure: &Failure,
        rung: usize,
        until: Monotonic,
    ) {
        // A state file, or settings read again meanwhile, may have named a delay that is none any more.
        let delay = rung
            .checked_sub(1)
            .and_then(|rung| self.settings.backoff.get(rung))
            .or(self.settings.backoff.last());
        let until = until
            .min(self.now + delay.copied().unwrap_or_default())
            .max(self.forced_stop_allowed_from());
        if self.now < until {
            self.state.phase = Phase::BackingOff {
                rung,
                until,
                failure: failure.clone(),
            };
            return self.wait_for_rung(until);
        }
        if let Some(stranger) = &look.stranger {
            return self.hold(Line::new(&format!("the port is held by {stranger}")));
        }
        self.restart(look, failure, rung);
    }

    pub(super) fn holding(&mut self, look: &Look, failure: &Failure, since: Monotonic) {
        if !self.rearms(since) {
            return self.again_in(self.settings.interval);
        }
        self.state.ladder = Ladder::default();
        self.record(Record::Rearmed);
        self.state.phase = Phase::Doubting(self.doubt());
        self.doubting(look, failure);
    }

    pub(super) fn rearms(&self, since: Monotonic) -> bool {
        match self.settings.rearm {
            Rearm::After(rest) => rest <= self.now.since(since),
            Rearm::Never => false,
        }
    }

    pub(super) fn hold(&mut self, reason: Line) {
        let bitten = self
            .state
            .incident
            .as_ref()
            .is_some_and(|incident| incident.bitten);
        // The bite is for who watches on; one that only settles a start would be ended over it.
        let bite = if bitten || self.state.leaving {
            Bite::Done
        } else {
            Bite::Due
        };
        self.record(Record::Holding {
            reason: reason.clone(),
            rearm: self.settings.rearm,
        });
        self.state.phase = Phase::Holding {
            since: self.now,
            reason,
            bite,
        };
        if bite == Bite::Due {
            // The old lease may have minutes to go; this one ends soon, and nothing is sent after it.
            self.actions.push(Action::Lease(BITE_AFTER));
            self.state.leased = true;
        }
        self.again_in(self.settings.interval);
    }

    /// When another forced stop would stay within the budget of rule 6.
    pub(super) fn forced_stop_allowed_from(&self) -> Monotonic {
        let budget = &self.settings.forced_stops;
        let oldest = self
            .state
            .forced
            .len()
            .checked_sub(budget.limit.max(1))
            .and_then(|i| self.state.forced.get(i));
        oldest.map_or(Monotonic::default(), |oldest| *oldest + budget.window)
    }

    /// Counts this rung as a forced stop, once, before it becomes one.
    pub(super) fn count_forced_stop(&mut self) {
        let Some(owed) = &mut self.state.owed else {
            return;
        };
        if owed.forced {
            return;
        }
        owed.forced = true;
        self.state.forced.push(self.now);
        let surplus = self
            .state
            .forced
            .len()
            .saturating_sub(self.settings.forced_stops.limit.max(1));
        self.state.forced.drain(..surplus);
    }
}
