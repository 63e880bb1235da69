//! Since when the gateway is down, as truthfully as looks allow, and whether it comes and goes.
//!
//! Owns what is said of that; nothing is ever done because of it.

use std::time::Duration;

use crate::policy::{
    Machine,
    facts::{Health, Look, Monotonic, Stall},
    record::{Ended, Record},
    state::{Incident, Phase, Standby},
    steadiness::Flapping,
};

/// So many recoveries within [`WINDOW`] are no accident.
pub const TIMES: usize = 3;

/// Three stalls of the length that is left alone, with checks in between, fit into it.
pub const WINDOW: Duration = Duration::from_secs(10 * 60);

impl Machine<'_> {
    /// After a look: between the last healthy check and this one it stopped working, and nobody knows when.
    pub(super) fn track_downtime(&mut self, look: &Look) {
        if self.is_unwanted_or_unknown() {
            self.state.worked_until = None;
            self.state.down_since = None;
            return;
        }
        if let Phase::Healthy { .. } = self.state.phase {
            self.state.worked_until = Some(self.now);
            self.state.down_since = None;
            return;
        }
        if self.state.down_since.is_some() || matches!(look.health, Health::Unknown(_)) {
            return;
        }
        self.state.down_since = match self.state.worked_until {
            Some(worked) => {
                let unit = look.unit.as_ref().ok();
                let ended = unit.map_or(worked, |unit| unit.left_active);
                let worked = worked.max(ended.min(look.began));
                Some(worked.max(ran_after(look).unwrap_or(worked)))
            }
            // Nobody knows anything of before.
            None => self.state.incident.as_ref().map(|incident| incident.since),
        };
    }

    /// Whether nobody wants the gateway up, or nobody can tell how it is.
    fn is_unwanted_or_unknown(&self) -> bool {
        match self.state.phase {
            Phase::StandingBy { reason, .. } => match reason {
                Standby::Paused
                | Standby::Stopped
                | Standby::NoUnit
                | Standby::NoBus
                | Standby::Updating
                | Standby::Debugged
                | Standby::Frozen
                | Standby::Masked => true,
                Standby::ConfigError
                | Standby::OtherGateway
                | Standby::PortTaken
                | Standby::InTransition => false,
            },
            Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::Restarting(_)
            | Phase::GaveUp { .. } => false,
        }
    }

    /// How long an incident that ends now was one.
    pub(super) fn downtime(&self, incident: &Incident) -> Duration {
        let since = self.state.down_since.unwrap_or(incident.since);
        // Where run after run ended, the last of them has worked since it became healthy.
        let until = match self.state.phase {
            Phase::Healthy { since, .. } if incident.loops => since,
            _ => self.now,
        };
        until.since(since.min(incident.since))
    }

    /// An incident is over; said once where it is one of several that ended by themselves.
    pub(super) fn note_recovery(&mut self, ended: Ended, down: Duration) {
        if ended != Ended::ByItself {
            return;
        }
        let now = self.now;
        let flapping = &mut self.state.flapping;
        flapping
            .recoveries
            .retain(|(at, _)| now.since(*at) < WINDOW);
        flapping.recoveries.push((now, down));
        if flapping.said || flapping.recoveries.len() < TIMES {
            return;
        }
        flapping.said = true;
        let (times, within, down) = flapping.counted(now);
        self.record(Record::Flapping {
            times,
            within,
            down,
        });
    }

    /// It has been healthy since then without a break.
    pub(super) fn note_steady(&mut self, since: Monotonic) {
        if self.state.flapping.said && self.settings.reset_after <= self.now.since(since) {
            self.state.flapping = Flapping::default();
            self.record(Record::NoLongerFlapping);
        }
    }
}

/// It worked at this moment at least: what it fails with now would have been seen.
fn ran_after(look: &Look) -> Option<Monotonic> {
    let Health::Failing(failure) = &look.health else {
        return None;
    };
    match failure.stall {
        // It runs, and nobody asked it meanwhile.
        Stall::Answering => None,
        Stall::Gone
        | Stall::Stopped
        | Stall::Deadlocked
        | Stall::Waiting
        | Stall::Disk
        | Stall::Starved
        | Stall::Blocked
        | Stall::Busy => look.ran_after,
    }
}

impl Flapping {
    /// How often it failed, within which time, and how long it was down in all.
    pub(crate) fn counted(&self, now: Monotonic) -> (usize, Duration, Duration) {
        let first = self.recoveries.first();
        let within = first.map(|(at, down)| now.since(*at) + *down);
        let down = self.recoveries.iter().map(|(_, down)| *down).sum();
        (self.recoveries.len(), within.unwrap_or_default(), down)
    }
}
