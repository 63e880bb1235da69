//! Rule 11, nobody is silent: whatever keeps the gateway down for long is said.
//!
//! Owns how long each phase and each reason to stand by may last before it becomes an incident,
//! and what counts as a gateway that systemd starts again and again. It never leads to a restart.

use std::time::Duration;

use crate::policy::{Machine, is_up};
use crate::{
    policy::{
        facts::{Failure, Health, Look, Probe, Stall, UnitFacts},
        state::{Phase, Standby, State, Unasked},
        unit::{Standing, is_stopped_by_other},
    },
    settings::Settings,
    text::{line::Line, words::span},
};

/// So many runs that nobody asked for, within the time that a start is given, are a restart loop.
const LOOP_RUNS: usize = 3;

impl Machine<'_> {
    /// Opens the incident of a gateway that has been down for too long without one.
    pub(super) fn nobody_is_silent(&mut self, look: &Look) {
        self.note_tracer(look);
        if self.is_wanted_down_or_healthy(look) {
            self.state.silent_since = None;
            return;
        }
        let began = look.began;
        let since = *self.state.silent_since.get_or_insert(began);
        let since = since.max(self.state.awake_since);
        let Some(bound) = bound(&self.state, self.settings) else {
            return;
        };
        if self.now.since(since) < bound {
            return;
        }
        let failure = self.silent_failure(look);
        self.open_incident(look, &failure, Duration::ZERO);
        if let Some(incident) = &mut self.state.incident {
            incident.overdue = true;
        }
    }

    /// A tracer has its time once, however healthy the gateway is in between: until it is seen to be gone from one that runs.
    fn note_tracer(&mut self, look: &Look) {
        let probed = matches!(look.health, Health::Healthy(_) | Health::Failing(_));
        if look.debugged {
            self.state.debugged_since.get_or_insert(self.now);
        } else if probed && is_up(look) {
            self.state.debugged_since = None;
        }
    }

    /// Whether the gateway works as far as this look tells, or a human wants it down.
    fn is_wanted_down_or_healthy(&self, look: &Look) -> bool {
        let healthy = matches!(look.health, Health::Healthy(_));
        match self.state.phase {
            Phase::Healthy { .. } => true,
            Phase::StandingBy {
                reason: Standby::Stopped,
                ..
            } => true,
            // Whoever pauses Gatehound over a gateway that is stopped wants it down.
            Phase::StandingBy {
                reason: Standby::Paused,
                ..
            } => {
                let unit = look.unit.as_ref();
                let stopped = unit.is_ok_and(|unit| self.standing(unit) == Standing::Stopped);
                healthy || stopped || matches!(look.health, Health::NotProbed)
            }
            // systemd bounds a stop that somebody asked for.
            Phase::StandingBy {
                reason: Standby::InTransition,
                ..
            } if look.unit.as_ref().is_ok_and(is_being_stopped) => true,
            Phase::StandingBy { .. } => healthy && is_up(look),
            Phase::Starting { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::Restarting(_)
            | Phase::GaveUp { .. } => false,
        }
    }

    /// What is said of a gateway that is down while Gatehound stands by.
    fn silent_failure(&self, look: &Look) -> Failure {
        let seen = match &look.health {
            Health::Failing(failure) => Some(failure.clone()),
            Health::Healthy(_) | Health::Unknown(_) | Health::NotProbed => None,
        };
        let why = match (&self.state.phase, &self.state.unknown) {
            (Phase::StandingBy { reason, detail, .. }, _) if detail.as_str().is_empty() => {
                reason.name().to_owned()
            }
            (
                Phase::StandingBy {
                    reason: Standby::Updating,
                    detail,
                    ..
                },
                _,
            ) => format!("updating: an update is believed to be under way, because {detail}"),
            (Phase::StandingBy { reason, detail, .. }, _) => {
                format!("{}: {detail}", reason.name())
            }
            (_, Some(why)) => format!("nobody can tell whether it works: {why}"),
            (_, None) => "not healthy for long".to_owned(),
        };
        // What was seen says more than why nothing is done about it.
        let why = match &seen {
            Some(failure) => format!("{}; {why}", failure.reason),
            None => why,
        };
        Failure {
            probe: seen.as_ref().map_or(Probe::Port, |failure| failure.probe),
            reason: Line::new(&why),
            stall: seen.as_ref().map_or(Stall::Gone, |failure| failure.stall),
            detail: seen.map(|failure| failure.detail).unwrap_or_default(),
        }
    }

    /// Counts the runs that systemd began by itself; three in ten minutes are an incident,
    /// however they ended and whether or not they were healthy in between.
    ///
    /// Where the one that ended last was never healthy, the incident is over with the first that is.
    pub(super) fn count_unasked_runs(&mut self, look: &Look) {
        let (now, Ok(unit)) = (self.now, &look.unit) else {
            return;
        };
        let settled = match self.state.phase {
            Phase::Healthy { since, .. } => self.settings.reset_after <= now.since(since),
            Phase::StandingBy { reason, .. } => reason == Standby::Stopped,
            Phase::Starting { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::Restarting(_)
            | Phase::GaveUp { .. } => false,
        };
        let gateway = &self.state.gateway;
        let Unasked {
            counted,
            seen,
            served,
            after_healthy,
        } = &mut self.state.unasked;
        // What ended is what was seen until this look; that stays true while the run after it is not healthy yet.
        if counted.is_some_and(|before| before < unit.restarts) {
            *after_healthy = *served;
        }
        let ended_healthy = *after_healthy;
        *served = gateway.has_served(unit.invocation_id.as_ref());
        let works = matches!(self.state.phase, Phase::Healthy { .. });
        // One that works after others that never did is the end of it.
        if settled || works && !ended_healthy {
            seen.clear();
            *counted = Some(unit.restarts);
            return;
        }
        let before = counted.replace(unit.restarts);
        // The count begins anew with each start that somebody asks for.
        let new = before.map_or(0, |before| unit.restarts.saturating_sub(before));
        let new = usize::try_from(new).unwrap_or(LOOP_RUNS).min(LOOP_RUNS);
        seen.extend(std::iter::repeat_n(now, new));
        seen.retain(|at| now.since(*at) < self.settings.grace.starting);
        let surplus = seen.len().saturating_sub(LOOP_RUNS);
        seen.drain(..surplus);
        if new == 0 || seen.len() < LOOP_RUNS || look.pause.is_some() {
            return;
        }
        let reason = format!(
            "systemd started it {LOOP_RUNS} times within {}, and each run ended",
            span(self.settings.grace.starting)
        );
        let failure = Failure {
            probe: Probe::Port,
            reason: Line::new(&reason),
            stall: Stall::Gone,
            detail: Line::default(),
        };
        self.open_incident(look, &failure, Duration::ZERO);
        if let Some(incident) = &mut self.state.incident {
            incident.loops |= ended_healthy;
            incident.crashed |= !ended_healthy;
        }
    }
}

fn is_being_stopped(unit: &UnitFacts) -> bool {
    is_stopped_by_other(unit) && unit.timeout_stop.is_some()
}

/// How long a gateway may be down in this phase before it is an incident; none where the phase has its own grace.
fn bound(state: &State, settings: &Settings) -> Option<Duration> {
    match &state.phase {
        // However many runs it takes.
        Phase::Starting { .. } => Some(settings.grace.starting),
        Phase::Failing(_) => state.unknown.is_some().then_some(settings.grace.busy),
        Phase::Healthy { .. }
        | Phase::BackingOff { .. }
        | Phase::Restarting(_)
        | Phase::GaveUp { .. } => None,
        Phase::StandingBy { reason, .. } => bound_of(*reason, settings),
    }
}

/// How long a gateway may be down while Gatehound stands by for this reason.
///
/// It is at once where only a human can help, soon where nobody is at work on it,
/// and as long as a start is given where somebody is.
pub(super) fn bound_of(reason: Standby, settings: &Settings) -> Option<Duration> {
    let grace = &settings.grace;
    match reason {
        Standby::Stopped => None,
        Standby::ConfigError | Standby::PortTaken => Some(Duration::ZERO),
        Standby::Paused | Standby::NoUnit | Standby::NoBus | Standby::OtherGateway => {
            Some(grace.starting_idle)
        }
        Standby::Updating
        | Standby::Debugged
        | Standby::Frozen
        | Standby::Masked
        | Standby::InTransition => Some(grace.starting),
    }
}

impl State {
    /// Whether run after run ends, which was said once.
    pub(super) fn loops(&self) -> bool {
        let incident = self.incident.as_ref();
        incident.is_some_and(|incident| incident.loops || incident.crashed)
    }
}
