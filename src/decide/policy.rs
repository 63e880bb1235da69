//! The state machine: what each event changes and what is to be done about it.
//!
//! Owns every transition. Irreversible actions (stop, kill, sweep, start) are decided only in answer to a look,
//! so that intent, pause and probes were seen immediately before each of them (rule 4).

use std::time::Duration;

use super::{
    facts::{Failure, Health, Incarnation, Look, Monotonic, Process, Stall, UnitFacts},
    record::{Ended, Record},
    settings::{Rearm, Settings},
    state::{
        BITE_AFTER, Bite, Doubt, Gateway, Incident, Ladder, Owed, Phase, Standby, State, Step,
        Waited, longest_step,
    },
    unit::{self, Standing},
};
use crate::line::Line;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The world was looked at.
    Looked(Box<Look>),
    /// An action ended.
    Done(Done),
    /// The machine was suspended and runs again.
    Resumed,
    /// A human asks for the ladder to go back to its first rung.
    Reset,
    /// Gatehound is told to stop.
    Leave,
}

/// How an action ended; the error says why it did not succeed.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// systemd queued the stop as this job.
    Stop(Result<u32, Line>),
    /// SIGKILL was sent to the whole unit.
    Kill(Result<(), Line>),
    /// A sweep ended.
    Sweep(Result<Swept, Line>),
    /// systemd queued the start.
    Start(Result<(), Line>),
    /// What of a healthy gateway does not work, as far as it says so itself.
    Readiness(Option<Line>),
}

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Processes that were sent the signal.
    pub signalled: Vec<Process>,
    /// Processes that are still there.
    pub left: Vec<Process>,
    /// Who holds the port and may not be signalled, in words.
    pub stranger: Option<Line>,
}

/// What a sweep sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// Something to be done. They are carried out in order, after the state has been saved.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send `WATCHDOG=1`; with `restore`, the unit's own WatchdogSec in the same message.
    Vouch {
        /// A lease is in force.
        restore: bool,
    },
    /// Send `WATCHDOG_USEC=`.
    Lease(Duration),
    /// Write a journal record.
    Record(Record),
    /// Write down what was seen of the failing gateway before it is stopped.
    KeepEvidence,
    /// Ask a healthy gateway whether all of it works.
    AskReadiness,
    /// Ask systemd to stop the gateway.
    Stop,
    /// Ask systemd to send SIGKILL to the whole unit.
    Kill,
    /// Signal what is left of the gateway and who holds its port.
    Sweep(Signal),
    /// Ask systemd to forget failures of the unit and to start it.
    Start,
    /// Leave the loop.
    Leave,
}

/// Pause between looks while systemd is stopping or starting the unit.
const POLL: Duration = Duration::from_millis(100);

/// How long the kernel has to end processes after SIGKILL; only disk wait outlasts it.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Sweeps before the ladder holds: two passes of SIGTERM and SIGKILL.
const SWEEPS: u8 = 4;

/// Pause before an action that systemd refused is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// CLD_KILLED of wait(2): a signal ended the main process, so the status is its number.
const CLD_KILLED: i32 = 2;

/// SIGKILL of signal(7).
const SIGKILL: i32 = 9;

/// What an event does to the state, and what is to be done about it.
pub fn step(
    settings: &Settings,
    state: State,
    event: Event,
    now: Monotonic,
) -> (State, Vec<Action>) {
    let mut machine = Machine {
        settings,
        state,
        now,
        actions: Vec::new(),
    };
    match event {
        Event::Looked(look) => machine.looked(&look),
        Event::Done(done) => machine.done(done),
        Event::Resumed => machine.resumed(),
        Event::Reset => machine.reset(),
        Event::Leave => machine.state.leaving = true,
    }
    machine.finish()
}

/// One step under way.
struct Machine<'a> {
    settings: &'a Settings,
    state: State,
    now: Monotonic,
    actions: Vec<Action>,
}

impl Machine<'_> {
    fn looked(&mut self, look: &Look) {
        if let (Ok(unit), Some(owed)) = (&look.unit, &self.state.owed)
            && unit::started_since(unit, owed)
        {
            self.settled(unit.invocation_id.clone());
        }
        if let Some(owed) = &mut self.state.owed {
            owed.foreign_job |= look.foreign_job;
        }
        let standing = match &look.unit {
            Ok(unit) => self.standing(unit),
            Err(why) => return self.without_bus(look, why),
        };
        // Even under a pause, because only this look may show it: a successor knows nothing of past jobs.
        if matches!(standing, Standing::Stopped | Standing::ConfigError) {
            self.state.owed = None;
        }
        if let (Standing::Stopped, Ok(unit)) = (&standing, &look.unit) {
            self.state.unwanted = unit.invocation_id.clone();
        }
        match self.hands_off(look, &standing) {
            Some((Standby::Stopped, detail)) => self.stopped_by_human(detail),
            Some((reason, detail)) => self.stand_by(reason, detail),
            None => match standing {
                Standing::Up { incarnation, since } => self.up(look, incarnation, since),
                Standing::GivenUp => self.given_up(look),
                Standing::StoppingForUs => {
                    self.know_stop_job(look);
                    self.stopping();
                }
                Standing::DownForUs => self.down(look),
                // Each of these is a reason to keep hands off, so they do not get here.
                Standing::NoUnit
                | Standing::Stopped
                | Standing::ConfigError
                | Standing::InTransition => {
                    self.stand_by(Standby::InTransition, Line::default());
                }
            },
        }
    }

    /// What the unit's state means.
    /// A run that exits 78 while it is stopped is not owed a start: rule 7 goes before rule 8.
    /// A unit that systemd gave up on stays failed when a human stops it, so that has to be remembered.
    fn standing(&self, unit: &UnitFacts) -> Standing {
        let unowed = || unit::standing(unit, None);
        match unit::standing(unit, self.state.owed.as_ref()) {
            Standing::DownForUs if unowed() == Standing::ConfigError => Standing::ConfigError,
            Standing::GivenUp if self.is_unwanted(unit) => Standing::Stopped,
            standing => standing,
        }
    }

    fn is_unwanted(&self, unit: &UnitFacts) -> bool {
        unit.invocation_id.is_some() && unit.invocation_id == self.state.unwanted
    }

    /// Why nothing may be done now, if so: rules 3 and 7.
    fn hands_off(&self, look: &Look, standing: &Standing) -> Option<(Standby, Line)> {
        if let Some(pause) = &look.pause {
            return Some((Standby::Paused, pause.reason.clone()));
        }
        match standing {
            Standing::NoUnit => Some((Standby::NoUnit, Line::default())),
            Standing::Stopped => Some((Standby::Stopped, Line::default())),
            Standing::ConfigError => Some(refused(look)),
            Standing::InTransition => Some((Standby::InTransition, transition(look))),
            // The start that is owed waits for the end of the update, which takes the code away meanwhile.
            // A tracer that appears between stop and start does not leave the gateway down.
            Standing::StoppingForUs | Standing::DownForUs => updating(look),
            Standing::Up { .. } | Standing::GivenUp => updating(look).or_else(|| debugged(look)),
        }
    }

    /// The user manager cannot be asked: nothing can be done, but a healthy gateway can still be vouched for.
    fn without_bus(&mut self, look: &Look, why: &Line) {
        if let Some(pause) = &look.pause {
            return self.stand_by(Standby::Paused, pause.reason.clone());
        }
        match &look.health {
            Health::Healthy(took) if self.state.owed.is_none() => self.healthy(look, *took),
            Health::Healthy(_) | Health::Failing(_) | Health::Unsure(_) | Health::NotProbed => {
                self.stand_by(Standby::NoBus, why.clone());
            }
        }
    }

    /// systemd no longer restarts the unit, which is worth knowing beside what the probes say.
    fn given_up(&mut self, look: &Look) {
        let (Health::Failing(failure), Ok(unit)) = (&look.health, &look.unit) else {
            return self.judge(look);
        };
        let reason = format!("{}, systemd gave up: {}", failure.reason, unit.result);
        let failure = Failure {
            reason: Line::new(&reason),
            ..failure.clone()
        };
        self.judge(&Look {
            health: Health::Failing(failure),
            ..look.clone()
        });
    }

    fn up(&mut self, look: &Look, incarnation: Incarnation, since: Monotonic) {
        if self.state.gateway.incarnation.as_ref() != Some(&incarnation) {
            self.new_incarnation(incarnation, since);
        }
        if self.state.owed.is_some() {
            self.up_while_owed(look);
        } else {
            self.judge(look);
        }
    }

    /// The run that Gatehound set out to stop is still up.
    fn up_while_owed(&mut self, look: &Look) {
        let stopping = self.know_stop_job(look);
        let accepted = self
            .state
            .owed
            .as_ref()
            .is_some_and(|owed| owed.stop_job.is_some());
        match &self.state.phase {
            _ if stopping => self.stopping(),
            Phase::Restarting(_) if accepted => {
                self.state.owed = None;
                self.hold(Line::new("somebody cancelled the stop of the gateway"));
            }
            Phase::Restarting(_) => self.judge(look),
            Phase::Starting { .. }
            | Phase::Vouching { .. }
            | Phase::Doubting(_)
            | Phase::BackingOff { .. }
            | Phase::Holding { .. }
            | Phase::StandingBy { .. } => {
                self.state.owed = None;
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
        if let (Some(owed), Some(job)) = (&mut self.state.owed, job) {
            owed.stop_job = Some(job.id);
        }
        job.is_some()
    }

    fn new_incarnation(&mut self, incarnation: Incarnation, since: Monotonic) {
        let first = self.state.gateway.incarnation.is_none();
        // A gateway that has been up for longer than any start takes is not starting.
        let old = self.settings.patience.starting < self.now.since(since);
        if let Some(incident) = &mut self.state.incident {
            incident.started_by_other = incident.started.as_ref() != Some(&incarnation);
        }
        self.state.degraded = None;
        self.state.gateway = Gateway {
            incarnation: Some(incarnation.clone()),
            since,
            served: old,
            stopped: false,
        };
        self.state.phase = Phase::Starting {
            since,
            progress: self.now,
        };
        if !first {
            self.record(Record::NewIncarnation { incarnation });
        }
    }

    /// The unit is one that can be acted upon; what the probes say decides.
    fn judge(&mut self, look: &Look) {
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

    fn healthy(&mut self, look: &Look, took: Duration) {
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
        if let Some(incident) = self.state.incident.take() {
            let ended = Ended::of(&incident);
            let downtime = self.now.since(incident.since);
            self.record_of(&incident, Record::Recovered { ended, downtime });
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
        self.state.next = (look.began + self.settings.interval).max(self.now + POLL);
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

    fn doubting(&mut self, look: &Look, failure: &Failure) {
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

    /// Takes the next rung of the ladder, or holds when there is none.
    fn next_rung(&mut self, look: &Look, failure: &Failure) {
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
        if again { ladder.used } else { ladder.used + 1 }
    }

    fn wait_for_rung(&mut self, until: Monotonic) {
        self.again_in(until.since(self.now).min(self.settings.patience.interval));
    }

    fn backing_off(&mut self, look: &Look, failure: &Failure, rung: usize, until: Monotonic) {
        let until = until.max(self.forced_stop_allowed_from());
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

    /// The look after the backoff still fails: the restart begins.
    fn restart(&mut self, look: &Look, failure: &Failure, rung: usize) {
        if self.state.ladder.used < rung {
            self.state.ladder = Ladder {
                used: rung,
                taken: self.now,
            };
        }
        let hung = match failure.stall {
            Stall::Stopped | Stall::Blocked | Stall::Busy => true,
            Stall::Gone | Stall::Answering => false,
        };
        let timeouts = &self.settings.stop_timeout;
        let stop_timeout = if hung {
            timeouts.hung
        } else {
            timeouts.draining
        };
        // The unit's last run, which may have come and gone between two looks.
        let unit = look.unit.as_ref().ok();
        let incarnation = unit.and_then(|unit| unit.invocation_id.clone());
        let control_group = unit.map_or_else(String::new, |unit| unit.control_group.clone());
        self.actions.push(Action::KeepEvidence);
        self.state.owed = Some(Owed {
            incarnation,
            control_group,
            stop_job: None,
            stop_timeout,
            forced: false,
            foreign_job: false,
        });
        if is_up(look) {
            self.state.phase = Phase::Restarting(Step::Stopping {
                until: self.now + stop_timeout,
            });
            self.record(Record::Stopping {
                limit: stop_timeout,
                failure: failure.clone(),
            });
            self.act(Action::Stop);
        } else {
            self.sweep(0);
        }
    }

    /// systemd did not take the stop, and this look shows that it is still needed.
    fn not_stopped(&mut self, failure: &Failure, step: Step) {
        match step {
            // Nothing was stopped, so nothing is owed.
            Step::Stopping { .. } if self.state.leaving => self.state.owed = None,
            Step::Stopping { until } if self.now < until => {
                self.record(Record::Stopping {
                    limit: until.since(self.now),
                    failure: failure.clone(),
                });
                self.act(Action::Stop);
            }
            Step::Stopping { .. }
            | Step::Killing { .. }
            | Step::Sweeping { .. }
            | Step::Starting { .. } => {
                self.state.owed = None;
                self.hold(Line::new("systemd does not stop the gateway"));
            }
        }
    }

    /// The unit is on its way down because Gatehound asked for it.
    fn stopping(&mut self) {
        let (timeout, forced) = match &self.state.owed {
            Some(owed) => (owed.stop_timeout, owed.forced),
            None => (Duration::ZERO, false),
        };
        match self.state.phase {
            Phase::Restarting(Step::Stopping { until }) if until <= self.now => {
                let allowed = self.forced_stop_allowed_from();
                if !forced && self.now < allowed {
                    return self
                        .again_in(allowed.since(self.now).min(self.settings.patience.interval));
                }
                self.count_forced_stop();
                self.state.phase = Phase::Restarting(Step::Killing {
                    until: self.now + KILL_LIMIT,
                });
                self.record(Record::Killing { after: timeout });
                self.act(Action::Kill);
            }
            Phase::Restarting(Step::Killing { until }) if until <= self.now => {
                self.hold(Line::new(
                    "SIGKILL does not end the gateway's processes; they wait for a device",
                ));
            }
            Phase::Restarting(Step::Stopping { until } | Step::Killing { until }) => {
                self.again_in(until.since(self.now).min(POLL));
            }
            Phase::Holding { .. } => self.again_in(self.settings.interval),
            // Back from standing by, or a successor: the stop goes on where it was.
            Phase::Restarting(Step::Sweeping { .. } | Step::Starting { .. })
            | Phase::Starting { .. }
            | Phase::Vouching { .. }
            | Phase::Doubting(_)
            | Phase::BackingOff { .. }
            | Phase::StandingBy { .. } => {
                self.state.phase = Phase::Restarting(Step::Stopping {
                    until: self.now + timeout,
                });
                self.again_in(POLL);
            }
        }
    }

    /// The unit is down because Gatehound stopped it: sweep, then start.
    fn down(&mut self, look: &Look) {
        match self.state.phase {
            Phase::Restarting(Step::Sweeping { sweeps }) if SWEEPS <= sweeps => {
                self.hold(Line::new(
                    "processes left of the gateway, or on its port, do not end",
                ));
            }
            Phase::Restarting(Step::Sweeping { sweeps }) => self.sweep(sweeps),
            // The start is queued behind something else's job.
            Phase::Restarting(Step::Starting { .. }) if has_job(look) => self.again_in(RETRY),
            Phase::Restarting(Step::Starting { .. }) => {
                self.record(Record::Starting);
                self.act(Action::Start);
            }
            // Starting into a port that somebody else holds helps nobody.
            Phase::Holding { since, .. } if look.stranger.is_some() && !self.rearms(since) => {
                self.again_in(self.settings.interval);
            }
            Phase::Restarting(Step::Stopping { .. } | Step::Killing { .. })
            | Phase::Holding { .. }
            | Phase::Starting { .. }
            | Phase::Vouching { .. }
            | Phase::Doubting(_)
            | Phase::BackingOff { .. }
            | Phase::StandingBy { .. } => {
                // systemd's own limit on the stop may be shorter than ours, or a human's SIGKILL was first.
                if was_killed(look) {
                    self.count_forced_stop();
                }
                self.sweep(0);
            }
        }
    }

    fn sweep(&mut self, sweeps: u8) {
        self.state.phase = Phase::Restarting(Step::Sweeping { sweeps });
        let signal = if sweeps.is_multiple_of(2) {
            Signal::Term
        } else {
            Signal::Kill
        };
        if signal == Signal::Kill {
            self.count_forced_stop();
        }
        self.act(Action::Sweep(signal));
    }

    fn holding(&mut self, look: &Look, failure: &Failure, since: Monotonic) {
        if !self.rearms(since) {
            return self.again_in(self.settings.interval);
        }
        self.state.ladder = Ladder::default();
        self.record(Record::Rearmed);
        self.state.phase = Phase::Doubting(self.doubt());
        self.doubting(look, failure);
    }

    fn rearms(&self, since: Monotonic) -> bool {
        match self.settings.rearm {
            Rearm::After(rest) => rest <= self.now.since(since),
            Rearm::Never => false,
        }
    }

    fn hold(&mut self, reason: Line) {
        let bitten = self
            .state
            .incident
            .as_ref()
            .is_some_and(|incident| incident.bitten);
        let bite = if bitten { Bite::Done } else { Bite::Due };
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

    fn stand_by(&mut self, reason: Standby, detail: Line) {
        let same = matches!(self.state.phase, Phase::StandingBy { reason: before, .. } if before == reason);
        if same {
            if let Phase::StandingBy { detail: before, .. } = &mut self.state.phase {
                *before = detail;
            }
        } else {
            self.record(Record::StandingBy {
                reason,
                detail: detail.clone(),
            });
            self.state.phase = Phase::StandingBy {
                reason,
                detail,
                since: self.now,
            };
        }
        let pace = match reason {
            Standby::InTransition | Standby::NoBus => self.settings.patience.interval,
            Standby::Paused
            | Standby::Stopped
            | Standby::NoUnit
            | Standby::Updating
            | Standby::ConfigError
            | Standby::OtherGateway
            | Standby::Debugged => self.settings.interval,
        };
        self.again_in(pace.min(self.settings.interval));
    }

    /// A human stopped the gateway: nothing is owed any more, and the next start is a new beginning.
    fn stopped_by_human(&mut self, detail: Line) {
        self.state.owed = None;
        self.state.ladder = Ladder::default();
        if let Some(incident) = self.state.incident.take() {
            let downtime = self.now.since(incident.since);
            self.record_of(
                &incident,
                Record::Recovered {
                    ended: Ended::StoppedByHuman,
                    downtime,
                },
            );
        }
        self.stand_by(Standby::Stopped, detail);
    }

    /// A new run of the gateway has begun since Gatehound stopped it.
    fn settled(&mut self, run: Option<Incarnation>) {
        self.state.owed = None;
        if let Phase::Restarting(step) = self.state.phase {
            if let (Step::Starting { .. }, Some(incident)) = (step, &mut self.state.incident) {
                incident.restarts += 1;
                incident.started = run;
            }
            self.state.phase = Phase::Starting {
                since: self.now,
                progress: self.now,
            };
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Stop(Ok(job)) => {
                self.state.gateway.stopped = true;
                if let Some(owed) = &mut self.state.owed {
                    owed.stop_job = Some(job);
                }
                self.again_in(POLL);
            }
            Done::Kill(Ok(())) => self.again_in(POLL),
            Done::Sweep(Ok(swept)) => self.swept(swept),
            Done::Start(Ok(())) => self.start_tried(),
            Done::Readiness(degraded) => self.readiness(degraded),
            Done::Stop(Err(why)) => self.failed_to("stop the gateway", &why),
            Done::Kill(Err(why)) => {
                self.state.phase = Phase::Restarting(Step::Stopping { until: self.now });
                self.failed_to("kill the gateway's processes", &why);
            }
            Done::Sweep(Err(why)) => {
                // A port that is still taken makes the start fail by itself; not starting would leave it down for sure.
                self.state.phase = Phase::Restarting(Step::Starting { tries: 0 });
                self.failed_to("sweep what is left of the gateway", &why);
            }
            Done::Start(Err(why)) => {
                self.failed_to("start the gateway", &why);
                self.start_tried();
            }
        }
    }

    /// Said in STATUS and the journal; never a reason to restart, because a restart would not mend it.
    fn readiness(&mut self, degraded: Option<Line>) {
        match &degraded {
            Some(what) if self.state.degraded != degraded => {
                self.record(Record::Degraded { what: what.clone() });
            }
            None if self.state.degraded.is_some() => self.record(Record::NoLongerDegraded),
            Some(_) | None => {}
        }
        self.state.degraded = degraded;
    }

    /// A start was asked for. Each one that leaves the unit down makes the pause before the next longer.
    fn start_tried(&mut self) {
        let mut pause = POLL;
        if let Phase::Restarting(Step::Starting { tries }) = &mut self.state.phase {
            pause = RETRY
                .saturating_mul(*tries)
                .clamp(POLL, self.settings.interval.max(POLL));
            *tries = tries.saturating_add(1);
        }
        self.again_in(pause);
    }

    fn failed_to(&mut self, what: &'static str, why: &Line) {
        self.record(Record::ActionFailed {
            what,
            why: why.clone(),
        });
        self.again_in(RETRY);
    }

    fn swept(&mut self, swept: Swept) {
        let Phase::Restarting(Step::Sweeping { sweeps }) = self.state.phase else {
            return;
        };
        if !swept.signalled.is_empty() {
            let signal = if sweeps.is_multiple_of(2) {
                Signal::Term
            } else {
                Signal::Kill
            };
            self.record(Record::Swept {
                signal,
                processes: swept.signalled,
            });
        }
        if let Some(stranger) = swept.stranger {
            return self.hold(Line::new(&format!("the port is held by {stranger}")));
        }
        let next = if swept.left.is_empty() {
            Step::Starting { tries: 0 }
        } else {
            Step::Sweeping { sweeps: sweeps + 1 }
        };
        self.state.phase = Phase::Restarting(next);
        self.again_in(Duration::ZERO);
    }

    /// A suspend ended: rule 10. Whatever was counted while nothing could run does not count.
    fn resumed(&mut self) {
        let now = self.now;
        match &mut self.state.phase {
            Phase::Starting { since, progress } => (*since, *progress) = (now, now),
            Phase::Doubting(doubt) => {
                doubt.waited = Waited::default();
                doubt.last = None;
            }
            Phase::BackingOff { .. } => self.state.phase = Phase::Doubting(self.doubt()),
            Phase::Restarting(Step::Stopping { until }) => {
                *until = now
                    + self
                        .state
                        .owed
                        .as_ref()
                        .map_or(Duration::ZERO, |owed| owed.stop_timeout);
            }
            Phase::Restarting(Step::Killing { until }) => *until = now + KILL_LIMIT,
            Phase::Restarting(Step::Sweeping { .. } | Step::Starting { .. })
            | Phase::Vouching { .. }
            | Phase::Holding { .. }
            | Phase::StandingBy { .. } => {}
        }
        self.record(Record::Resumed);
        self.again_in(Duration::ZERO);
    }

    fn reset(&mut self) {
        self.state.ladder = Ladder::default();
        match self.state.phase {
            Phase::Holding { .. } | Phase::BackingOff { .. } => {
                self.state.phase = Phase::Doubting(self.doubt());
            }
            Phase::Starting { .. }
            | Phase::Vouching { .. }
            | Phase::Doubting(_)
            | Phase::Restarting(_)
            | Phase::StandingBy { .. } => {}
        }
        self.record(Record::Reset);
        self.again_in(Duration::ZERO);
    }

    /// Opens the incident unless one is open; says whether it did.
    fn open_incident(&mut self, look: &Look, failure: &Failure, patience: Duration) -> bool {
        if self.state.incident.is_some() {
            return false;
        }
        let since = look.began;
        let run = self
            .state
            .gateway
            .incarnation
            .as_ref()
            .map_or("", |incarnation| &incarnation.0);
        // The run and the second name the incident: unique on this machine without a source of randomness.
        let run: String = run.chars().take(8).collect();
        let id = format!("{run:0>8}-{}", since.0 / 1_000_000);
        self.state.incident = Some(Incident {
            id,
            since,
            failure: failure.clone(),
            restarts: 0,
            started: None,
            started_by_other: false,
            bitten: false,
        });
        self.record(Record::Failing {
            failure: failure.clone(),
            patience,
        });
        true
    }

    fn doubt(&self) -> Doubt {
        Doubt {
            since: self.now,
            failure: None,
            last: None,
            waited: Waited::default(),
        }
    }

    /// When another forced stop would stay within the budget of rule 6.
    fn forced_stop_allowed_from(&self) -> Monotonic {
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
    fn count_forced_stop(&mut self) {
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

    /// An action whose end decides when to look again; in case its end is never told, soon.
    fn act(&mut self, action: Action) {
        self.actions.push(action);
        self.again_in(RETRY);
    }

    fn again_in(&mut self, wait: Duration) {
        self.state.next = self.now + wait;
    }

    fn record(&mut self, record: Record) {
        self.actions.push(Action::Record(record));
    }

    /// A record of an incident that is no longer the open one.
    fn record_of(&mut self, incident: &Incident, record: Record) {
        self.actions.push(Action::Record(Record::Of {
            incident: incident.id.clone(),
            record: Box::new(record),
        }));
    }

    fn finish(mut self) -> (State, Vec<Action>) {
        if self.state.leaving && self.may_leave() {
            self.actions.push(Action::Leave);
            return (self.state, self.actions);
        }
        let silent = match self.state.phase {
            Phase::Vouching { .. } => true,
            Phase::Holding { bite, .. } => bite == Bite::Due,
            Phase::Starting { .. }
            | Phase::Doubting(_)
            | Phase::BackingOff { .. }
            | Phase::Restarting(_)
            | Phase::StandingBy { .. } => false,
        };
        if !silent {
            let lease = self.state.next.since(self.now) + longest_step(self.settings) * 2;
            self.actions.insert(0, Action::Lease(lease));
            self.state.leased = true;
        }
        (self.state, self.actions)
    }

    /// Whether nothing is owed that could be settled now: rule 8.
    fn may_leave(&self) -> bool {
        match self.state.phase {
            Phase::Restarting(Step::Starting { tries }) => self.state.owed.is_none() || 0 < tries,
            Phase::Restarting(_) => self.state.owed.is_none(),
            Phase::Starting { .. }
            | Phase::Vouching { .. }
            | Phase::Doubting(_)
            | Phase::BackingOff { .. }
            | Phase::Holding { .. }
            | Phase::StandingBy { .. } => true,
        }
    }
}

fn is_up(look: &Look) -> bool {
    look.unit
        .as_ref()
        .is_ok_and(|unit| unit.active_state == "active")
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

fn updating(look: &Look) -> Option<(Standby, Line)> {
    let update = look.update.clone()?;
    Some((Standby::Updating, update))
}

fn debugged(look: &Look) -> Option<(Standby, Line)> {
    let tracer = Line::new("a tracer is attached to the gateway");
    look.debugged.then_some((Standby::Debugged, tracer))
}

/// Exit status 78 does not always mean a wrong configuration: it is also how a gateway makes way for another one.
fn refused(look: &Look) -> (Standby, Line) {
    let said = match &look.unit {
        Ok(unit) => format!("exit status {}", unit.exec_main_status),
        Err(why) => why.to_string(),
    };
    match (&look.health, &look.last_words) {
        (Health::Healthy(_), _) => (
            Standby::OtherGateway,
            Line::new("another gateway serves the port"),
        ),
        (_, Some(words)) => (Standby::ConfigError, Line::new(&format!("{said}: {words}"))),
        (_, None) => (Standby::ConfigError, Line::new(&said)),
    }
}

fn transition(look: &Look) -> Line {
    look.unit.as_ref().map_or_else(Line::clone, |unit| {
        Line::new(&format!("{} ({})", unit.active_state, unit.sub_state))
    })
}

#[cfg(test)]
mod tests;
