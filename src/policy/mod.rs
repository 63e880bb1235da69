//! The state machine: what each event changes and what is to be done about it.
//!
//! Owns the words of the policy and what every event has in common: its dispatch, and the watchdog timeout that ends it (rule 2).
//! Irreversible actions (stop, kill, cleanup, start) are decided only in answer to a look,
//! so that intent, pause and probes were seen immediately before each of them (rule 4).

pub mod answer;
mod attempts;
pub mod downtime;
pub mod facts;
mod grace;
mod intent;
mod overdue;
mod pending;
pub mod record;
mod restart;
mod rollback;
pub mod state;
pub mod steadiness;
mod successor;
mod unit;
pub mod usefulness;

use std::time::Duration;

use crate::text::line::Line;
use crate::{
    policy::{
        answer::{Answer, Effect, Noted, WatchdogMessage},
        facts::{Look, Monotonic, Process, Useful},
        record::Record,
        state::{Attempts, Bite, Phase, State, Step, Waited},
    },
    settings::{Settings, limits::longest_step},
};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The world was looked at.
    Looked(Box<Look>),
    /// An effect ended.
    Done(Done),
    /// The kernel shows of a healthy gateway what makes it worth while to look now.
    Suspected,
    /// The machine was suspended and runs again.
    Resumed,
    /// Gatehound itself was held up for this long, or the machine stood still without a suspend.
    HeldUp(Duration),
    /// A human asks for the attempts to count from 1 again.
    Reset,
    /// Gatehound is asked to stop.
    Leave,
}

/// How an effect ended; the error says why it did not succeed.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// systemd queued the stop as this job.
    Stop(Result<u32, Line>),
    /// SIGKILL was sent to the whole unit.
    Kill(Result<(), Line>),
    /// A cleanup ended.
    Cleanup(Result<CleanedUp, Line>),
    /// systemd queued the start.
    Start(Result<(), Line>),
    /// The configuration was rolled back; what the gateway refused is kept in this file.
    Restored(Result<Line, NotRestored>),
    /// What a healthy gateway says of itself.
    Readiness(Useful),
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

/// What a cleanup did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanedUp {
    /// Processes that were sent the signal.
    pub signalled: Vec<Process>,
    /// Processes that are still there.
    pub left: Vec<Process>,
    /// Who holds the port and may not be signalled, in words.
    pub port_holder: Option<Line>,
}

/// Pause between looks while systemd is stopping or starting the unit.
const POLL: Duration = Duration::from_millis(100);

/// How long the kernel has to end processes after SIGKILL; only disk wait outlasts it.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Pause before an effect that systemd refused is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What an event does to the state, and what is to be done about it.
pub fn step(settings: &Settings, state: State, event: Event, now: Monotonic) -> (State, Answer) {
    let mut machine = Machine {
        settings,
        state,
        now,
        answer: Answer::default(),
    };
    match event {
        Event::Looked(look) => {
            machine.looked(&look);
            machine.track_downtime(&look);
        }
        Event::Done(done) => machine.done(done),
        Event::Suspected => machine.suspected(),
        Event::Resumed => machine.resumed(),
        Event::HeldUp(gap) => machine.held_up(gap),
        Event::Reset => machine.reset(),
        // What cannot be done now is left to a successor.
        Event::Leave => machine.state.leave_after_start(Monotonic::default()),
    }
    machine.finish()
}

/// One step under way.
struct Machine<'a> {
    settings: &'a Settings,
    state: State,
    now: Monotonic,
    answer: Answer,
}

impl Machine<'_> {
    fn done(&mut self, done: Done) {
        match done {
            Done::Stop(Ok(job)) => {
                self.state.gateway.stopped = true;
                if let Some(pending_start) = &mut self.state.pending_start {
                    pending_start.stop_job = Some(job);
                    pending_start.stopped_at = self.now;
                }
                self.again_in(POLL);
            }
            Done::Kill(Ok(())) => self.again_in(POLL),
            Done::Cleanup(Ok(cleaned_up)) => self.cleaned_up(cleaned_up),
            Done::Start(Ok(())) => self.start_tried(None),
            Done::Restored(restored) => self.restored(restored),
            Done::Readiness(useful) => self.readiness(useful),
            Done::Stop(Err(why)) => self.failed_to("stop the gateway", &why),
            Done::Kill(Err(why)) => {
                self.state.phase = Phase::Restarting(Step::Stopping { until: self.now });
                self.failed_to("kill the gateway's processes", &why);
            }
            Done::Cleanup(Err(why)) => {
                // A port that is still taken makes the start fail by itself; not starting would leave it down for sure.
                self.state.phase = Phase::Restarting(Step::Starting { tries: 0 });
                self.failed_to("clean up what is left of the gateway", &why);
            }
            Done::Start(Err(why)) => {
                self.failed_to("start the gateway", &why);
                self.start_tried(Some(why));
            }
        }
    }

    /// A suspend ended: rule 10. Whatever was counted while nothing could run does not count.
    fn resumed(&mut self) {
        let now = self.now;
        self.state.awake_since = now;
        self.state.stuck_since = None;
        match &mut self.state.phase {
            Phase::Starting { since, progress } => (*since, *progress) = (now, now),
            Phase::Failing(grace_used) => {
                grace_used.waited = Waited::default();
                grace_used.last = None;
            }
            Phase::BackingOff { .. } => self.state.phase = Phase::Failing(self.new_grace()),
            Phase::Restarting(Step::Stopping { until }) => {
                *until = now
                    + self
                        .state
                        .pending_start
                        .as_ref()
                        .map_or(Duration::ZERO, |pending_start| pending_start.stop_timeout);
            }
            Phase::Restarting(Step::Killing { until }) => *until = now + KILL_LIMIT,
            Phase::Restarting(Step::CleaningUp { .. } | Step::Starting { .. })
            | Phase::Healthy { .. }
            | Phase::GaveUp { .. }
            | Phase::StandingBy { .. } => {}
        }
        self.give_parts_time_again();
        self.state.worked_until = None;
        self.record(Record::Resumed);
        self.again_in(Duration::ZERO);
    }

    /// Nobody looked for a while. That while does not count, and what counted before does:
    /// a machine that is always late would give a hung gateway its grace anew for ever.
    fn held_up(&mut self, gap: Duration) {
        let now = self.now;
        let later = |moment: Monotonic| (moment + gap).min(now);
        match &mut self.state.phase {
            Phase::Starting { since, progress } => {
                (*since, *progress) = (later(*since), later(*progress));
            }
            Phase::Failing(grace_used)
            | Phase::BackingOff {
                grace_used: Some(grace_used),
                ..
            } => grace_used.last = None,
            Phase::Restarting(Step::Stopping { until } | Step::Killing { until }) => {
                *until = *until + gap;
            }
            Phase::Restarting(Step::CleaningUp { .. } | Step::Starting { .. })
            | Phase::BackingOff {
                grace_used: None, ..
            }
            | Phase::Healthy { .. }
            | Phase::GaveUp { .. }
            | Phase::StandingBy { .. } => {}
        }
        self.state.stuck_since = self.state.stuck_since.map(later);
        self.give_parts_time(gap);
        self.state.worked_until = None;
        self.record(Record::HeldUp { gap });
        self.again_in(Duration::ZERO);
    }

    /// Suspicion is no failure: of a gateway that is healthy only the next check comes now.
    fn suspected(&mut self) {
        match self.state.phase {
            Phase::Healthy { .. } => self.again_in(Duration::ZERO),
            Phase::Starting { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::Restarting(_)
            | Phase::GaveUp { .. }
            | Phase::StandingBy { .. } => {}
        }
    }

    fn reset(&mut self) {
        self.state.attempts = Attempts::default();
        // Whoever cancelled a stop has been heard; who asks for a new beginning now means this run as well (rule 5).
        self.state.gateway.stopped &= self.state.pending_start.is_some();
        self.try_starts_again();
        match self.state.phase {
            Phase::GaveUp { .. } | Phase::BackingOff { .. } => {
                self.state.phase = Phase::Failing(self.new_grace());
            }
            Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::Failing(_)
            | Phase::Restarting(_)
            | Phase::StandingBy { .. } => {}
        }
        self.record(Record::Reset);
        self.again_in(Duration::ZERO);
    }

    /// An effect whose end decides when to look again; in case its end never comes, soon.
    fn act(&mut self, effect: Effect) {
        self.answer.effect = Some(effect);
        self.again_in(RETRY);
    }

    fn again_in(&mut self, wait: Duration) {
        self.state.next = self.now + wait;
    }

    fn record(&mut self, record: Record) {
        let incident = self.state.incident.as_ref();
        self.answer.records.push(Noted {
            incident: incident.map(|incident| incident.id.clone()),
            record,
        });
    }

    fn finish(mut self) -> (State, Answer) {
        if self.state.leaving && self.may_leave() {
            self.answer.leave = true;
            return (self.state, self.answer);
        }
        let silent = match self.state.phase {
            Phase::Healthy { .. } => true,
            Phase::GaveUp { bite, .. } => bite == Bite::Due,
            Phase::Starting { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::Restarting(_)
            | Phase::StandingBy { .. } => false,
        };
        if !silent {
            let timeout = self.state.next.since(self.now) + longest_step(self.settings) * 2;
            self.answer
                .watchdog
                .get_or_insert(WatchdogMessage::Timeout(timeout));
            self.state.timeout_set = true;
        }
        (self.state, self.answer)
    }

    /// Whether no start is pending that could be made now, or that nobody else would make: rule 8.
    fn may_leave(&self) -> bool {
        if self.state.pending_start.is_some() && self.now < self.state.leaves_by {
            return false;
        }
        match self.state.phase {
            Phase::Restarting(Step::Starting { tries }) => {
                self.state.pending_start.is_none() || 0 < tries
            }
            Phase::Restarting(_) => self.state.pending_start.is_none(),
            Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::GaveUp { .. }
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
