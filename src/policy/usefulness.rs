//! Up and useless: what of a healthy gateway does not work, as far as it says so itself.
//!
//! Owns when that is asked and from when on it is said. It never decides that anything is done about it:
//! a restart mends neither a channel nor a breaker, and brings the breaker about.

use std::time::Duration;

use crate::{
    policy::{
        Machine,
        answer::Effect,
        facts::{Breaker, Monotonic, Useful},
        record::Record,
        steadiness::{Part, Parts},
    },
    text::line::Line,
};

/// How often a healthy gateway of which everything works is asked.
pub const READY_EVERY: Duration = Duration::from_secs(2 * 60);

/// What `/ready` says of a gateway that is still starting its parts, or ends: it has not looked at the others then.
const UNDER_WAY: [&str; 2] = [STARTING, "gateway-draining"];

/// An ordinary start says that for many seconds after the first healthy check, and a slow one for minutes.
pub const STARTING: &str = "startup-sidecars";

/// So many parts are named; what else fails is counted.
const NAMED: usize = 6;

impl Machine<'_> {
    /// Asks in the first healthy check of each run, then from time to time, and in each check while something fails.
    pub(super) fn ask_readiness(&mut self) {
        let parts = &self.state.parts;
        // Checks come at full intervals: one that is a moment early is the one that was meant.
        let slack = self.settings.interval / 2;
        let due = match parts.asked {
            None => true,
            Some(asked) => {
                !parts.failing.is_empty() || READY_EVERY <= self.now.since(asked) + slack
            }
        };
        if due {
            self.answer.effect = Some(Effect::AskReadiness);
        }
    }

    /// Said in STATUS, the journal and a notification, once it has lasted; never a reason to restart.
    pub(super) fn readiness(&mut self, useful: Useful) {
        if let Some(listed) = useful.failing {
            self.state.parts.list(listed, self.now);
        }
        match useful.breaker {
            Some(Breaker::Tripped(what)) => self.state.parts.breaker = Some(what),
            Some(Breaker::Recovered) => self.state.parts.breaker = None,
            // Its line may be out of reach by now.
            None => {}
        }
        self.state.parts.asked = Some(self.now);
        let degraded = self.degraded();
        match &degraded {
            Some(what) if self.state.degraded != degraded => {
                self.record(Record::Degraded { what: what.clone() });
            }
            None if self.state.degraded.is_some() => self.record(Record::NoLongerDegraded),
            Some(_) | None => {}
        }
        self.state.degraded = degraded;
    }

    /// In words; none where all works or has not failed for long enough.
    fn degraded(&mut self) -> Option<Line> {
        let (after, now) = (self.settings.degraded_after, self.now);
        let starting = now.since(self.state.gateway.since) < self.settings.grace.starting;
        for part in &mut self.state.parts.failing {
            let excused = starting && part.name.as_str() == STARTING;
            part.said |= !excused && after <= now.since(part.since);
        }
        let lasting = self.state.parts.failing.iter().filter(|part| part.said);
        let mut names: Vec<String> = lasting.map(|part| part.name.to_string()).collect();
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        if 0 < more {
            names.push(format!("{more} more"));
        }
        let breaker = self.state.parts.breaker.as_ref();
        names.splice(0..0, breaker.map(Line::to_string));
        (!names.is_empty()).then(|| Line::new(&names.join(", ")))
    }

    /// A new run is asked anew, and what was said of the one before stands until it answers.
    pub(super) fn ask_new_run(&mut self) {
        let parts = &mut self.state.parts;
        parts.asked = None;
        parts.breaker = None;
        parts.failing.retain(|part| part.said);
    }

    /// Nothing ran for a while: what was not said yet has its time again (rule 10).
    pub(super) fn give_parts_time_again(&mut self) {
        self.state.parts.begin_again(self.now);
    }

    /// Nobody looked for this long, which does not count.
    pub(super) fn give_parts_time(&mut self, gap: Duration) {
        for part in self
            .state
            .parts
            .failing
            .iter_mut()
            .filter(|part| !part.said)
        {
            part.since = (part.since + gap).min(self.now);
        }
    }
}

impl Parts {
    fn begin_again(&mut self, now: Monotonic) {
        for part in self.failing.iter_mut().filter(|part| !part.said) {
            part.since = now;
        }
    }

    /// Takes over what is listed as failing now; what was before has failed since then.
    fn list(&mut self, listed: Vec<Line>, now: Monotonic) {
        let looked = !listed.iter().any(|name| UNDER_WAY.contains(&name.as_str()));
        self.failing
            .retain(|part| !looked || listed.contains(&part.name));
        // What was long not asked may have worked in between.
        if self
            .asked
            .is_none_or(|asked| READY_EVERY * 2 < now.since(asked))
        {
            self.begin_again(now);
        }
        for name in listed {
            if self.failing.iter().all(|known| known.name != name) {
                self.failing.push(Part {
                    name,
                    since: now,
                    said: false,
                });
            }
        }
    }
}
