//! What the probes say: vouch, give it time, or take the ladder.
//!
//! Owns the only vouch (rule 1) and every patience; knows nothing of how a gateway is restarted.

use std::time::Duration;

use crate::policy::{Action, Machine, POLL, is_up};
use crate::{
    policy::{
        facts::{Failure, Health, Look, Monotonic, Stall},
        record::{Ended, Record},
        state::{Doubt, Incident, Ladder, Phase},
    },
    text::line::Line,
};

/// When the round that follows a healthy one is due: within `interval`, at the moment the seed chooses of each interval.
///
/// The moments are counted from boot and not from the first round, so that Gatehounds which an event brought together,
/// such as a boot, a resume or a reload, part again with the next round.
pub(super) fn next_round(began: Monotonic, interval: Duration, seed: Option<u64>) -> Monotonic {
    let latest = began + interval;
    let interval = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
    let Some(chosen) = seed.and_then(|seed| seed.checked_rem(interval)) else {
        return latest;
    };
    // One interval is added because the chosen moment may lie after the latest one, soon after boot.
    let past = latest.0.saturating_add(interval - chosen) % interval;
    Monotonic(latest.0.saturating_sub(past))
}

impl Machine<'_> {
    /// The unit is one that can be acted upon; what the probes say decides.
    pub(super) fn judge(&mut self, look: &Look) {
        if matches!(self.state.phase, Phase::StandingBy { .. }) {
            self.resume_watching();
        }
        if !matches!(look.health, Health::Unsure(_)) {
            self.state.unsure = None;
        }
        match &look.health {
            Health::Healthy(took) => self.healthy(look, *took),
            Health::Unsure(why) => self.unsure(why),
            Health::Failing(failure) => self.failing(look, failure),
            // The phase may have changed since this look was asked for; the next one makes the probes.
            Health::NotProbed => self.again_in(Duration::ZERO),
        }
    }

    fn resume_watching(&mut self) {
        self.record(Record::WatchingAgain);
        self.state.phase = if self.state.gateway.served {
            Phase::Doubting(self.doubt())
        } else {
            Phase::Starting {
                since: self.now,
                progress: self.now,
            }
        };
    }

    pub(super) fn healthy(&mut self, look: &Look, took: Duration) {
        let since = match self.state.phase {
            Phase::Vouching { since, .. } => since,
            Phase::Starting { .. }
            | Phase::Doubting(_)
            | Phase::BackingOff { .. }
            | Phase::Restarting(_)
            | Phase::Holding { .. }
            | Phase::StandingBy { .. } => self.now,
        };
        // Whatever was about to be done, the gateway recovered first.
        self.state.owed = None;
        self.state.gateway.served = true;
        if let Some(rollback) = &mut self.state.rollback {
            // Where the unit is down, it is another gateway that is healthy.
            rollback.served |= is_up(look);
        }
        if let Some(incident) = self.state.incident.take() {
            let ended = Ended::of(&incident);
            let downtime = self.now.since(incident.since);
            self.close(&incident, Record::Recovered { ended, downtime });
        } else if !matches!(self.state.phase, Phase::Vouching { .. }) {
            self.record(Record::Healthy { took });
        }
        if 0 < self.state.ladder.used && self.settings.settle <= self.now.since(since) {
            self.state.ladder = Ladder::default();
            self.record(Record::Settled);
        }
        self.state.phase = Phase::Vouching { since, took };
        self.actions.push(Action::Vouch {
            restore: self.state.leased,
        });
        // A gateway can answer and yet have come back without its channels.
        if 0 < self.state.ladder.used || self.state.degraded.is_some() {
            self.actions.push(Action::AskReadiness);
        }
        self.state.leased = false;
        let next = next_round(look.began, self.settings.interval, self.state.seed);
        self.state.next = next.max(self.now + POLL);
    }

    /// Our own trouble: neither a failure nor health, so the phase stays and no patience is used.
    fn unsure(&mut self, why: &Line) {
        if matches!(self.state.phase, Phase::Vouching { .. }) {
            self.state.phase = Phase::Doubting(self.doubt());
        }
        if let Phase::Starting { progress, .. } = &mut self.state.phase {
            *progress = self.now;
        }
        if let Phase::Doubting(doubt) = &mut self.state.phase {
            doubt.last = None;
        }
        if self.state.unsure.as_ref() != Some(why) {
            self.record(Record::CannotTell { why: why.clone() });
        }
        self.state.unsure = Some(why.clone());
        self.again_in(self.settings.patience.interval);
    }

    fn failing(&mut self, look: &Look, failure: &Failure) {
        match self.state.phase.clone() {
            // A unit that is down is not starting, whatever its last run did.
            Phase::Starting { .. } if self.state.gateway.served || !is_up(look) => {
                self.state.phase = Phase::Doubting(self.doubt());
                self.doubting(look, failure);
            }
            Phase::Starting { since, progress } => self.starting(look, failure, since, progress),
            Phase::Vouching { .. } => {
                self.state.phase = Phase::Doubting(self.doubt());
                self.doubting(look, failure);
            }
            Phase::Doubting(_) => self.doubting(look, failure),
            Phase::BackingOff { rung, until, .. } => self.backing_off(look, failure, rung, until),
            Phase::Restarting(step) => self.not_stopped(failure, step),
            Phase::Holding { since, .. } => self.holding(look, failure, since),
            // `judge` has left this phase.
            Phase::StandingBy { .. } => self.again_in(self.settings.patience.interval),
        }
    }

    fn starting(&mut self, look: &Look, failure: &Failure, since: Monotonic, progress: Monotonic) {
        let patience = &self.settings.patience;
        let idle = failure.stall == Stall::Gone && look.progress == Some(false);
        let progress = if idle { progress } else { self.now };
        if self.now.since(since) < patience.starting
            && self.now.since(progress) < patience.starting_idle
        {
            self.state.phase = Phase::Starting { since, progress };
            return self.again_in(patience.interval);
        }
        self.open_incident(look, failure, Duration::ZERO);
        self.next_rung(look, failure);
    }

    pub(super) fn doubting(&mut self, look: &Look, failure: &Failure) {
        let Phase::Doubting(mut doubt) = self.state.phase.clone() else {
            return;
        };
        // The first failing look counts from its beginning: the request was pending all the while.
        let from = doubt.last.unwrap_or(look.began);
        doubt.waited.add(failure.stall, self.now.since(from));
        doubt.last = Some(self.now);
        let news = doubt.failure.as_ref() != Some(failure);
        doubt.failure = Some(failure.clone());
        let left = doubt.waited.left(failure.stall, &self.settings.patience);
        self.state.phase = Phase::Doubting(doubt);
        let patience = self.settings.patience.of(failure.stall);
        let opened = self.open_incident(look, failure, patience);
        match left {
            None => self.next_rung(look, failure),
            Some(left) => {
                if news && !opened {
                    self.record(Record::FailingOtherwise {
                        failure: failure.clone(),
                    });
                }
                self.again_in(left.min(self.settings.patience.interval));
            }
        }
    }

    pub(super) fn doubt(&self) -> Doubt {
        Doubt::new(self.now)
    }

    /// Opens the incident unless one is open; says whether it did.
    pub(super) fn open_incident(
        &mut self,
        look: &Look,
        failure: &Failure,
        patience: Duration,
    ) -> bool {
        if self.state.incident.is_some() {
            return false;
        }
        let since = look.began;
        let unit = look.unit.as_ref().ok();
        let run = unit.and_then(|unit| unit.invocation_id.as_ref());
        // Without a run, what tells this boot from others.
        let name = match run.or(self.state.gateway.incarnation.as_ref()) {
            Some(run) => run.0.clone(),
            None => format!("{:016x}", self.state.seed.unwrap_or_default()),
        };
        // The run and the second name the incident: unique on this machine without a source of randomness.
        let name: String = name.chars().take(8).collect();
        let id = format!("{name:0>8}-{}", since.0 / 1_000_000);
        self.state.incident = Some(Incident {
            id,
            since,
            failure: failure.clone(),
            restarts: 0,
            started: None,
            started_by_other: false,
            bitten: false,
            crashed: false,
        });
        self.record(Record::Failing {
            failure: failure.clone(),
            patience,
        });
        true
    }

    /// Said in STATUS and the journal; never a reason to restart, because a restart would not mend it.
    pub(super) fn readiness(&mut self, degraded: Option<Line>) {
        match &degraded {
            Some(what) if self.state.degraded != degraded => {
                self.record(Record::Degraded { what: what.clone() });
            }
            None if self.state.degraded.is_some() => self.record(Record::NoLongerDegraded),
            Some(_) | None => {}
        }
        self.state.degraded = degraded;
    }
}
