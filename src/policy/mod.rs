//! The state machine: what each event changes and what is to be done about it.
//!
//! Owns the words of the policy and what every event has in common: its dispatch, and the lease that ends it (rule 2).
//! Irreversible actions (stop, kill, sweep, start) are decided only in answer to a look,
//! so that intent, pause and probes were seen immediately before each of them (rule 4).

mod attempts;
pub mod facts;
mod grace;
mod intent;
pub mod record;
mod restart;
mod rollback;
pub mod state;
mod unit;

use std::time::Duration;

use crate::text::line::Line;
use crate::{
    policy::{
        facts::{Look, Monotonic, Process, Signal},
        record::Record,
        state::{Bite, Incident, Ladder, Phase, State, Step, Waited},
    },
    settings::{Settings, limits::longest_step},
};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The world was looked at.
    Looked(Box<Look>),
    /// An action ended.
    Done(Done),
    /// The machine was suspended, or Gatehound was held up, and runs again.
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
    /// The configuration was rolled back; what the gateway refused is kept in this file.
    Restored(Result<Line, NotRestored>),
    /// What of a healthy gateway does not work, as far as it says so itself.
    Readiness(Option<Line>),
}

/// Why a configuration was not rolled back; nothing is lost in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRestored {
    /// It is no longer what was judged: somebody is at work on it.
    Changed,
    /// The disk has not answered yet, and what it is doing goes on.
    Late,
    /// It cannot be done.
    Failed(Line),
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
    /// Put the configuration that was proven good last in the place of the one that the gateway refused,
    /// if that is still what was judged, and keep that one.
    Restore {
        /// The generation that was proven good last.
        generation: u32,
        /// The hash of what was refused.
        rejected: String,
        /// The hash of what this look saw there, which is the same but for a rollback that is gone on with.
        judged: String,
    },
    /// Ask systemd to forget failures of the unit and to start it.
    Start,
    /// Leave the loop.
    Leave,
}

/// Pause between looks while systemd is stopping or starting the unit.
const POLL: Duration = Duration::from_millis(100);

/// How long the kernel has to end processes after SIGKILL; only disk wait outlasts it.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Pause before an action that systemd refused is tried again.
const RETRY: Duration = Duration::from_secs(1);

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
        // Whoever is told to stop leaves to a successor what cannot be done now.
        Event::Leave => machine.state.settle(Monotonic::default()),
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
            Done::Restored(restored) => self.restored(restored),
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

    /// A suspend ended: rule 10. Whatever was counted while nothing could run does not count.
    fn resumed(&mut self) {
        let now = self.now;
        self.state.awake_since = now;
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
        // Whoever cancelled a stop has been heard; who asks for a new beginning now means this run as well (rule 5).
        self.state.gateway.stopped &= self.state.owed.is_some();
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

    /// Records the end of an incident; what was told before it in the same step is of that incident as well.
    fn close(&mut self, incident: &Incident, end: Record) {
        self.record(end);
        for action in &mut self.actions {
            if let Action::Record(record) = action {
                *record = Record::Of {
                    incident: incident.id.clone(),
                    record: Box::new(record.clone()),
                };
            }
        }
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

    /// Whether nothing is owed that could be settled now, or for as long as nobody else would: rule 8.
    fn may_leave(&self) -> bool {
        if self.state.owed.is_some() && self.now < self.state.settles_until {
            return false;
        }
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

#[cfg(test)]
mod tests;
