//! What the probes say: ping, give it time, or take the attempts.
//!
//! Owns the only ping (rule 1) and every grace; knows nothing of how a gateway is restarted.

use std::time::Duration;

use crate::policy::{Machine, POLL, is_up};
use crate::{
    policy::{
        answer::WatchdogMessage,
        facts::{Failure, Health, Look, Monotonic, Stall},
        record::{Ended, Record},
        state::{Attempts, GraceUsed, Incident, Phase, Standby},
    },
    text::line::Line,
};

/// Whether somebody asked for this run, and systemd did not begin it because the one before had ended.
fn is_asked_for(look: &Look) -> bool {
    look.unit.as_ref().is_ok_and(|unit| unit.restarts == 0)
}

/// When the check that follows a healthy one is due: within `interval`, at the moment the seed chooses of each interval.
///
/// The moments are counted from boot and not from the first check, so that Gatehounds which an event brought together,
/// such as a boot, a resume or a reload, part again with the next check.
pub(super) fn next_check(began: Monotonic, interval: Duration, seed: Option<u64>) -> Monotonic {
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
        if let Phase::StandingBy { reason, .. } = self.state.phase {
            self.resume_watching(reason);
        }
        if !matches!(look.health, Health::Unknown(_)) {
            self.state.unknown = None;
        }
        match &look.health {
            Health::Healthy(took) => self.healthy(look, *took),
            Health::Unknown(why) => self.unknown(why),
            Health::Failing(failure) => self.failing(look, failure),
            // The phase may have changed since this look was asked for; the next one makes the probes.
            Health::NotProbed => self.again_in(Duration::ZERO),
        }
    }

    /// What only a gateway that is up shows, whatever keeps it from being judged: what hangs later does not hang in its start.
    pub(super) fn note_up(&mut self, look: &Look) {
        let Some(unit) = look.unit.as_ref().ok().filter(|_| is_up(look)) else {
            return;
        };
        // Kept while it is down, when nobody can see them.
        if !look.listens.as_str().is_empty() {
            self.state.addresses.clone_from(&look.listens);
        }
        let gateway = &mut self.state.gateway;
        if !matches!(look.health, Health::Healthy(_)) || unit.invocation_id.is_none() {
            return;
        }
        if gateway.invocation == unit.invocation_id {
            gateway.served = true;
        } else {
            gateway.unjudged.clone_from(&unit.invocation_id);
        }
    }

    fn resume_watching(&mut self, was: Standby) {
        if was != Standby::InTransition || !self.state.loops() {
            self.record(Record::WatchingAgain { was });
        }
        self.state.phase = if self.state.gateway.served {
            Phase::Failing(self.new_grace())
        } else {
            Phase::Starting {
                since: self.now,
                progress: self.now,
            }
        };
    }

    pub(super) fn healthy(&mut self, look: &Look, took: Duration) {
        self.state.without_health = look.without_health;
        let since = match self.state.phase {
            Phase::Healthy { since, .. } => since,
            Phase::Starting { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::Restarting(_)
            | Phase::GaveUp { .. }
            | Phase::StandingBy { .. } => self.now,
        };
        // Whatever was about to be done, the gateway recovered first.
        self.state.pending_start = None;
        self.state.gateway.served = true;
        if let Some(rollback) = &mut self.state.rollback {
            // Where the unit is down, it is another gateway that is healthy.
            rollback.served |= is_up(look);
        }
        let settled = self.settings.reset_after <= self.now.since(since);
        match &self.state.incident {
            // Where run after run ends, that one of them is healthy for a moment ends nothing.
            Some(incident) if incident.loops && !settled && !is_asked_for(look) => {}
            Some(incident) => {
                let ended = Ended::of(incident);
                let downtime = self.downtime(incident);
                self.record(Record::Recovered { ended, downtime });
                self.note_recovery(ended, downtime);
                self.state.incident = None;
            }
            None if !matches!(self.state.phase, Phase::Healthy { .. }) => {
                self.record(Record::Healthy { took });
            }
            None => {}
        }
        if 0 < self.state.attempts.used && settled {
            self.state.attempts = Attempts::default();
            self.record(Record::AttemptsReset);
        }
        self.note_steady(since);
        self.state.phase = Phase::Healthy { since, took };
        self.answer.watchdog = Some(WatchdogMessage::Ping {
            restore: self.state.timeout_set,
        });
        // A gateway can answer and yet have come back without its channels.
        self.ask_readiness();
        self.state.timeout_set = false;
        let next = next_check(look.began, self.settings.interval, self.state.seed);
        self.state.next = next.max(self.now + POLL);
    }

    /// Our own trouble: neither a failure nor health, so the phase stays and no grace is used.
    fn unknown(&mut self, why: &Line) {
        if matches!(self.state.phase, Phase::Healthy { .. }) {
            self.state.phase = Phase::Failing(self.new_grace());
        }
        if let Phase::Starting { progress, .. } = &mut self.state.phase {
            *progress = self.now;
        }
        if let Phase::Failing(grace_used) = &mut self.state.phase {
            grace_used.last = None;
        }
        if self.state.unknown.as_ref() != Some(why) {
            self.record(Record::Unknown { why: why.clone() });
        }
        self.state.unknown = Some(why.clone());
        self.again_in(self.settings.grace.interval);
    }

    fn failing(&mut self, look: &Look, failure: &Failure) {
        match self.state.phase.clone() {
            // A unit that is down is not starting, whatever its last run did.
            Phase::Starting { .. }
                if self.state.gateway.served || !is_up(look) || look.left_over.is_some() =>
            {
                self.state.phase = Phase::Failing(self.new_grace());
                self.use_grace(look, failure);
            }
            Phase::Starting { since, progress } => self.starting(look, failure, since, progress),
            Phase::Healthy { .. } => {
                self.state.phase = Phase::Failing(self.new_grace());
                self.use_grace(look, failure);
            }
            Phase::Failing(_) => self.use_grace(look, failure),
            Phase::BackingOff {
                attempt,
                until,
                failure: _,
                grace_used,
            } => self.backing_off(look, failure, (attempt, until, grace_used)),
            Phase::Restarting(step) => self.not_stopped(failure, step),
            Phase::GaveUp { since, .. } => self.gave_up(look, failure, since),
            // `judge` has left this phase.
            Phase::StandingBy { .. } => self.again_in(self.settings.grace.interval),
        }
    }

    /// A start is judged by what the whole unit computes, with its port or without;
    /// but what does not end by itself does not end for a start either.
    fn starting(&mut self, look: &Look, failure: &Failure, since: Monotonic, progress: Monotonic) {
        let grace = &self.settings.grace;
        let stall = failure.stall;
        let stuck_since = stall
            .is_certain()
            .then(|| self.state.stuck_since.unwrap_or(look.began));
        self.state.stuck_since = stuck_since;
        let stuck = stuck_since.map(|since| grace.of(stall).saturating_sub(self.now.since(since)));
        let progress = match look.progress {
            Some(false) => progress,
            Some(true) | None => self.now,
        };
        // What it is known to wait for may take as long as it may later on.
        let idle = match stall {
            Stall::Waiting | Stall::Disk | Stall::Starved => {
                grace.starting_idle.max(grace.of(stall))
            }
            Stall::Gone
            | Stall::Stopped
            | Stall::Deadlocked
            | Stall::Blocked
            | Stall::Busy
            | Stall::Answering => grace.starting_idle,
        };
        let is_in_time = self.now.since(since) < grace.starting && self.now.since(progress) < idle;
        if is_in_time && stuck.is_none_or(|left| !left.is_zero()) {
            self.state.phase = Phase::Starting { since, progress };
            let wait = stuck.unwrap_or(grace.interval).min(grace.interval);
            return self.again_in(wait);
        }
        self.open_incident(look, failure, Duration::ZERO);
        self.next_attempt(look, failure);
    }

    pub(super) fn use_grace(&mut self, look: &Look, failure: &Failure) {
        let Phase::Failing(mut grace_used) = self.state.phase.clone() else {
            return;
        };
        let news = grace_used
            .failure
            .as_ref()
            .is_none_or(|last| !last.is_like(failure));
        let left = self.count(&mut grace_used, look, failure);
        self.state.phase = Phase::Failing(grace_used);
        let grace = self.settings.grace.of(failure.stall);
        let opened = self.open_incident(look, failure, grace);
        match left {
            None => self.next_attempt(look, failure),
            Some(left) => {
                if news && !opened {
                    self.record(Record::FailingOtherwise {
                        failure: failure.clone(),
                    });
                }
                self.again_in(left.min(self.settings.grace.interval));
            }
        }
    }

    /// Counts the time since the last failing look; says what is left of the grace for this stall.
    pub(super) fn count(
        &self,
        grace_used: &mut GraceUsed,
        look: &Look,
        failure: &Failure,
    ) -> Option<Duration> {
        // The first failing look counts from its beginning: the request was pending all the while.
        let from = grace_used.last.unwrap_or(look.began);
        grace_used.waited.add(failure.stall, self.now.since(from));
        grace_used.last = Some(self.now);
        grace_used.failure = Some(failure.clone());
        grace_used.waited.left(failure.stall, &self.settings.grace)
    }

    pub(super) fn new_grace(&self) -> GraceUsed {
        GraceUsed::new(self.now)
    }

    /// Opens the incident unless one is open; says whether it did.
    pub(super) fn open_incident(
        &mut self,
        look: &Look,
        failure: &Failure,
        grace: Duration,
    ) -> bool {
        if self.state.incident.is_some() {
            return false;
        }
        let since = look.began;
        let unit = look.unit.as_ref().ok();
        let run = unit.and_then(|unit| unit.invocation_id.as_ref());
        // Without a run, what tells this boot from others.
        let name = match run.or(self.state.gateway.invocation.as_ref()) {
            Some(run) => run.0.clone(),
            None => format!("{:016x}", self.state.seed.unwrap_or_default()),
        };
        // The run and the second name the incident: unique on this machine without a source of randomness.
        let name: String = name.chars().take(8).collect();
        let id = format!("{name:0>8}-{}", since.0 / 1_000_000);
        // What the same step said before is of this incident as well.
        for noted in &mut self.answer.records {
            noted.incident.get_or_insert_with(|| id.clone());
        }
        self.state.incident = Some(Incident {
            id,
            since,
            failure: failure.clone(),
            restarts: 0,
            started: None,
            started_by_other: false,
            bitten: false,
            crashed: false,
            loops: false,
            overdue: false,
        });
        self.record(Record::Failing {
            failure: failure.clone(),
            grace,
        });
        true
    }
}
