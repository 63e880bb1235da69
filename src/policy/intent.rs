//! What a look leaves to Gatehound: who is at work on the unit, and whether to stand by.
//!
//! Owns the order in which a look is read: what is pending first, then what humans and systemd are doing (rules 3 and 7),
//! and only then what the probes say, which `grace` judges.

use std::time::Duration;

use crate::policy::{
    Machine,
    rollback::{is_port_free, refusal},
};
use crate::{
    policy::{
        facts::{Failure, Health, Invocation, Look, Monotonic, Probe, Stall, UnitFacts},
        record::{Ended, Record},
        state::{Attempts, Gateway, Phase, Rollback, Standby, Step},
        steadiness::{Flapping, Parts},
        unit::{self, Standing},
    },
    text::{
        line::Line,
        words::{ENDED_EARLY, span},
    },
};

/// For how long a debugger is taken for a human at work.
const DEBUGGED_LIMIT: Duration = Duration::from_secs(30 * 60);

impl Machine<'_> {
    pub(super) fn looked(&mut self, look: &Look) {
        if let (Ok(unit), Some(pending_start)) = (&look.unit, &self.state.pending_start)
            && unit::started_since(unit, pending_start)
        {
            self.run_begun(unit.invocation_id.clone());
        }
        self.hear_others(look);
        self.note_up(look);
        let standing = match &look.unit {
            Ok(unit) => self.standing(unit),
            Err(why) => {
                self.without_bus(look, why);
                return self.nobody_is_silent(look);
            }
        };
        // Even under a pause, because only this look may show it: a successor knows nothing of past jobs.
        if matches!(standing, Standing::Stopped | Standing::ConfigError) {
            self.state.pending_start = None;
        }
        if let Ok(unit) = &look.unit {
            self.state.gateway.seen |= !unit::is_down(unit);
            let stopping = standing == Standing::InTransition && unit::is_stopped_by_other(unit);
            if standing == Standing::Stopped || stopping {
                self.state.unwanted = unit.invocation_id.clone();
                self.state.over_when_unwanted = !stopping || unit::went_on(unit);
            }
        }
        match self.reason_to_stand_by(look, &standing) {
            Some((Standby::Stopped, detail)) => self.stopped_by_human(detail),
            Some((Standby::ConfigError, detail)) => self.config_error(look, detail),
            Some((Standby::InTransition, detail)) => {
                self.crashed(look);
                self.stand_by(Standby::InTransition, detail);
            }
            Some((reason, detail)) => self.stand_by(reason, detail),
            None => self.act_on(look, standing),
        }
        self.count_unasked_runs(look);
        self.nobody_is_silent(look);
    }

    /// Nothing stands in the way of what the unit's state and the probes call for.
    fn act_on(&mut self, look: &Look, standing: Standing) {
        match standing {
            Standing::Up { invocation, since } => self.up(look, invocation, since),
            Standing::GivenUp => self.given_up(look),
            Standing::StoppingForUs => {
                self.know_stop_job(look);
                self.stopping();
            }
            Standing::RestartedByOther(job) => self.join_restart(look, job),
            Standing::DownForUs if self.state.rolls_back() => self.down_for_rollback(look),
            Standing::DownForUs => self.down(look),
            // What is left of an earlier run keeps every new one from starting.
            Standing::InTransition => self.judge(look),
            // Each of these is a reason to stand by, so they do not get here.
            Standing::NoUnit | Standing::Masked | Standing::Stopped | Standing::ConfigError => {
                self.stand_by(Standby::InTransition, Line::default());
            }
        }
    }

    /// Notes what others did to the unit's jobs while a start is pending.
    fn hear_others(&mut self, look: &Look) {
        let Some(pending_start) = &mut self.state.pending_start else {
            return;
        };
        pending_start.joined = pending_start.joined.saturating_add(look.joined);
        // The one that comes from the unit itself, while it is stopped for us, is no human's.
        let own = look.unit.as_ref().is_ok_and(unit::asks_for_its_own_stop);
        pending_start.foreign_job |= look.foreign_job || u32::from(own) < pending_start.joined;
    }

    /// What the unit's state means. No start is pending for a run that exits 78 while it is stopped: rule 7 goes before rule 8.
    /// The start that follows a rollback is pending for just such a run.
    /// A unit that systemd gave up on stays failed when a human stops it, so that has to be remembered.
    pub(super) fn standing(&self, unit: &UnitFacts) -> Standing {
        let not_pending = || unit::standing(unit, None);
        match unit::standing(unit, self.state.pending_start.as_ref()) {
            Standing::DownForUs
                if not_pending() == Standing::ConfigError && !self.state.rolls_back() =>
            {
                Standing::ConfigError
            }
            Standing::GivenUp if self.is_unwanted(unit) => Standing::Stopped,
            // Nobody saw how it ended, and it was not started since.
            Standing::GivenUp if !self.state.gateway.was_seen() && unit::may_be_stopped(unit) => {
                Standing::Stopped
            }
            standing => standing,
        }
    }

    /// Whether somebody wanted this run down, and nothing that came later shows that the stop was cancelled.
    pub(super) fn is_unwanted(&self, unit: &UnitFacts) -> bool {
        let same = unit.invocation_id.is_some() && unit.invocation_id == self.state.unwanted;
        same && (self.state.over_when_unwanted || !unit::went_on(unit))
    }

    /// Why nothing may be done now, if so: rules 3 and 7.
    fn reason_to_stand_by(&self, look: &Look, standing: &Standing) -> Option<(Standby, Line)> {
        if let Some(pause) = &look.pause {
            return Some((Standby::Paused, pause.reason.clone()));
        }
        match standing {
            Standing::NoUnit => Some((Standby::NoUnit, look.served_by())),
            Standing::Masked => Some((Standby::Masked, look.served_by())),
            Standing::Stopped => Some((Standby::Stopped, Line::default())),
            Standing::ConfigError => {
                port_taken(look).or_else(|| Some(refused(look, &self.state.rollback)))
            }
            Standing::InTransition if self.is_kept_from_starting(look) => {
                updating(look).or_else(|| self.debugged(look))
            }
            Standing::InTransition => {
                port_taken(look).or_else(|| Some((Standby::InTransition, transition(look))))
            }
            Standing::RestartedByOther(_) if self.joins_restart(look) => updating(look),
            Standing::RestartedByOther(_) => Some((Standby::InTransition, transition(look))),
            // The start that is pending waits for the end of the update, which takes the code away meanwhile.
            // A debugger that appears between stop and start does not leave the gateway down.
            Standing::DownForUs if self.state.rolls_back() => updating(look)
                .or_else(|| self.debugged(look))
                .or_else(|| port_taken(look))
                .or_else(|| taken(look)),
            Standing::StoppingForUs => updating(look),
            Standing::DownForUs => updating(look).or_else(|| port_taken(look)),
            Standing::Up { .. } => updating(look)
                .or_else(|| frozen(look))
                .or_else(|| self.debugged(look))
                .or_else(|| port_taken(look)),
            Standing::GivenUp => updating(look)
                .or_else(|| self.debugged(look))
                .or_else(|| port_taken(look))
                .or_else(|| served_by_other(look)),
        }
    }

    /// A tracer on a gateway that does not answer, but not for ever: one that was forgotten keeps nobody from anything.
    fn debugged(&self, look: &Look) -> Option<(Standby, Line)> {
        let since = self.state.debugged_since.unwrap_or(self.now);
        let works = matches!(look.health, Health::Healthy(_));
        if works || !look.debugged || DEBUGGED_LIMIT <= self.now.since(since) {
            return None;
        }
        let debugger = Line::new("it does not answer, and a debugger is attached to it");
        Some((Standby::Debugged, debugger))
    }

    /// Whether systemd starts one run after the other while what is left of an earlier one has the port.
    fn is_kept_from_starting(&self, look: &Look) -> bool {
        let unit = look.unit.as_ref();
        look.left_over.is_some() && unit.is_ok_and(unit::is_between_runs)
    }

    /// The user manager cannot be asked: nothing can be done, but a healthy gateway can still be found healthy.
    fn without_bus(&mut self, look: &Look, why: &Line) {
        if let Some(pause) = &look.pause {
            return self.stand_by(Standby::Paused, pause.reason.clone());
        }
        match &look.health {
            Health::Healthy(took) if self.state.pending_start.is_none() => {
                self.healthy(look, *took)
            }
            Health::Healthy(_) | Health::Failing(_) | Health::Unknown(_) | Health::NotProbed => {
                self.stand_by(Standby::NoBus, why.clone());
            }
        }
    }

    /// systemd no longer restarts the unit, which is worth knowing beside what the probes say.
    fn given_up(&mut self, look: &Look) {
        let (Health::Failing(failure), Ok(unit)) = (&look.health, &look.unit) else {
            return self.judge(look);
        };
        let reason = format!("{}, {}", failure.reason, unit::why_down(unit));
        let failure = Failure {
            reason: Line::new(&reason),
            ..failure.clone()
        };
        self.judge(&Look {
            health: Health::Failing(failure),
            ..look.clone()
        });
    }

    fn up(&mut self, look: &Look, invocation: Invocation, since: Monotonic) {
        // Whoever wanted it down has thought better of it.
        self.state.unwanted = None;
        if self.state.gateway.invocation.as_ref() != Some(&invocation) {
            self.new_invocation(look, invocation, since);
        }
        if self.state.pending_start.is_some() {
            self.up_while_pending(look);
        } else {
            self.judge(look);
        }
    }

    /// The run that Gatehound set out to stop is still up.
    fn up_while_pending(&mut self, look: &Look) {
        let stopping = self.know_stop_job(look);
        let accepted = self
            .state
            .pending_start
            .as_ref()
            .is_some_and(|pending_start| pending_start.stop_job.is_some());
        match &self.state.phase {
            _ if stopping => self.stopping(),
            // Whoever asked for it thought better of it; how the gateway fails decides again.
            Phase::Restarting(_) if self.state.joins_restart() => {
                self.state.pending_start = None;
                self.state.phase = Phase::Failing(self.new_grace());
                self.judge(look);
            }
            Phase::Restarting(_) if accepted => {
                self.state.pending_start = None;
                self.give_up(Line::new("somebody cancelled the stop of the gateway"));
            }
            Phase::Restarting(_) => self.judge(look),
            Phase::Failing(_) if !accepted => {
                // A predecessor died before it asked for the stop, so its attempt is still to be taken.
                let attempts = &mut self.state.attempts;
                attempts.used = attempts.used.saturating_sub(1);
                self.state.pending_start = None;
                self.judge(look);
            }
            Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::GaveUp { .. }
            | Phase::StandingBy { .. } => {
                self.state.pending_start = None;
                self.judge(look);
            }
        }
    }

    /// Notes the number of Gatehound's own stop job; says whether there is one.
    ///
    /// A predecessor may have died before it wrote the number down,
    /// and without it the job's end looks like a stop by somebody else.
    fn know_stop_job(&mut self, look: &Look) -> bool {
        let job = look.unit.as_ref().ok().and_then(|unit| unit.job.as_ref());
        if let (Some(pending_start), Some(job)) = (&mut self.state.pending_start, job) {
            pending_start.stop_job = Some(job.id);
        }
        job.is_some()
    }

    fn new_invocation(&mut self, look: &Look, invocation: Invocation, since: Monotonic) {
        let first = self.state.gateway.invocation.is_none();
        let since = since.min(self.now);
        // A gateway that has been up for longer than any start takes is not starting.
        let old = self.settings.grace.starting < self.now.since(since);
        if let Some(incident) = &mut self.state.incident {
            incident.started_by_other = incident.started.as_ref() != Some(&invocation);
        }
        self.ask_new_run();
        self.state.gateway = Gateway {
            invocation: Some(invocation.clone()),
            since,
            served: old || self.state.gateway.has_served(Some(&invocation)),
            seen: true,
            ..Gateway::default()
        };
        // A run that cannot start while something of an earlier one has the port has no grace of its own.
        let hindered = look.left_over.is_some()
            && matches!(
                self.state.phase,
                Phase::Failing(_) | Phase::BackingOff { .. }
            );
        if !hindered {
            // A run that nobody looked at before a suspend has its grace from the suspend on, like any other.
            self.state.phase = Phase::Starting {
                since: since.max(self.state.awake_since),
                progress: self.now,
            };
        }
        if !first && !self.state.loops() {
            self.record(Record::NewInvocation { invocation });
        }
    }

    /// A new run of the gateway has begun since Gatehound stopped it.
    fn run_begun(&mut self, run: Option<Invocation>) {
        self.state.pending_start = None;
        if let Phase::Restarting(step) = self.state.phase {
            if let (Step::Starting { .. }, Some(incident)) = (step, &mut self.state.incident) {
                incident.restarts = incident.restarts.saturating_add(1);
                incident.started = run;
            }
            self.state.phase = Phase::Starting {
                since: self.now,
                progress: self.now,
            };
        }
    }

    /// Where systemd is about to restart a run that failed before it was healthy, an incident is open:
    /// every such run has its grace anew, so that a gateway that never starts would go unreported.
    fn crashed(&mut self, look: &Look) {
        let Ok(unit) = &look.unit else { return };
        let by_itself = unit::is_restarted_by_itself(unit)
            && self.state.pending_start.is_none()
            && look.update.is_none()
            && !look.debugged
            && !self.is_unwanted(unit);
        if !by_itself || !self.has_not_served(unit) {
            return;
        }
        let status = unit.exec_main_status;
        let ended = match unit.result.as_str() {
            "exit-code" => format!("exit status {status}"),
            result => format!("{result} {status}"),
        };
        let reason = format!("{ENDED_EARLY}: {ended}");
        let failure = Failure {
            probe: Probe::Port,
            reason: Line::new(&reason),
            stall: Stall::Gone,
            detail: Line::default(),
        };
        // What the next run is given, as any start is.
        self.open_incident(look, &failure, self.settings.grace.starting);
        if let Some(incident) = &mut self.state.incident {
            incident.crashed = true;
        }
    }

    /// Whether this run, which is over, was never healthy as far as anybody looked.
    fn has_not_served(&self, unit: &UnitFacts) -> bool {
        let gateway = &self.state.gateway;
        let served = gateway.has_served(unit.invocation_id.as_ref());
        if served || gateway.invocation == unit.invocation_id {
            return !served;
        }
        // One that came and went between two looks at a unit on its way up.
        match self.state.phase {
            Phase::StandingBy {
                reason: Standby::InTransition,
                since,
                ..
            } => since < unit.active_since,
            Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::Restarting(_)
            | Phase::GaveUp { .. }
            | Phase::StandingBy { .. } => false,
        }
    }

    pub(super) fn stand_by(&mut self, reason: Standby, detail: Line) {
        let same = matches!(self.state.phase, Phase::StandingBy { reason: before, .. } if before == reason);
        if same {
            if let Phase::StandingBy { detail: before, .. } = &mut self.state.phase {
                *before = detail;
            }
        } else {
            // One run after the other is one incident, and it was said.
            if reason != Standby::InTransition || !self.state.loops() {
                self.record(Record::StandingBy {
                    reason,
                    detail: detail.clone(),
                });
            }
            self.state.phase = Phase::StandingBy {
                reason,
                detail,
                since: self.now,
            };
        }
        let pace = match reason {
            Standby::InTransition | Standby::NoBus | Standby::PortTaken => {
                self.settings.grace.interval
            }
            Standby::Paused
            | Standby::Stopped
            | Standby::NoUnit
            | Standby::Updating
            | Standby::ConfigError
            | Standby::OtherGateway
            | Standby::Debugged
            | Standby::Frozen
            | Standby::Masked => self.settings.interval,
        };
        self.again_in(pace.min(self.settings.interval));
    }

    /// A human stopped the gateway: nothing is pending any more, and the next start is a new beginning.
    fn stopped_by_human(&mut self, detail: Line) {
        self.state.pending_start = None;
        self.state.attempts = Attempts::default();
        self.state.parts = Parts::default();
        self.state.degraded = None;
        self.state.flapping = Flapping::default();
        if let Some(incident) = &self.state.incident {
            let downtime = self.downtime(incident);
            self.record(Record::Recovered {
                ended: Ended::StoppedByHuman,
                downtime,
            });
            self.state.incident = None;
        }
        self.stand_by(Standby::Stopped, detail);
    }
}

fn updating(look: &Look) -> Option<(Standby, Line)> {
    let update = look.update.clone()?;
    Some((Standby::Updating, update))
}

fn frozen(look: &Look) -> Option<(Standby, Line)> {
    look.frozen.then(|| (Standby::Frozen, Line::default()))
}

/// Somebody else has the port, who must be left alone; a gateway cannot start into that.
fn port_taken(look: &Look) -> Option<(Standby, Line)> {
    if matches!(look.health, Health::Healthy(_)) {
        return None;
    }
    let holder = look.port_holder.as_ref()?;
    Some((Standby::PortTaken, holder.clone()))
}

/// Somebody else has the port that a start after a rollback would need.
fn taken(look: &Look) -> Option<(Standby, Line)> {
    let seen = matches!(look.health, Health::Healthy(_) | Health::Failing(_));
    let detail = Line::new("another process has the port; the gateway starts when it is free");
    (seen && !is_port_free(look)).then_some((Standby::OtherGateway, detail))
}

/// What answers while the unit is down is not of the unit: it gets neither a ping (rule 1) nor a signal.
fn served_by_other(look: &Look) -> Option<(Standby, Line)> {
    let detail = match &look.port_holder {
        Some(holder) => Line::new(&format!("another gateway serves the port: {holder}")),
        None => Line::new("another gateway serves the port"),
    };
    matches!(look.health, Health::Healthy(_)).then_some((Standby::OtherGateway, detail))
}

/// Exit status 78 does not always mean a wrong configuration: it is also how a gateway makes way for another one.
fn refused(look: &Look, rollback: &Option<Rollback>) -> (Standby, Line) {
    served_by_other(look).unwrap_or_else(|| (Standby::ConfigError, refusal(look, rollback)))
}

fn transition(look: &Look) -> Line {
    let unit = match &look.unit {
        Ok(unit) => unit,
        Err(why) => return why.clone(),
    };
    let state = format!("{} ({})", unit.active_state, unit.sub_state);
    if !unit::is_stopped_by_other(unit) {
        return Line::new(&state);
    }
    let given = match unit.timeout_stop {
        Some(limit) => format!("gives it {}", span(limit)),
        None => "waits for it without a limit".to_owned(),
    };
    let command = unit::what_ends_it(unit);
    Line::new(&format!(
        "{state}: somebody has it stopped, and systemd {given}; what ends it now: {command}"
    ))
}
