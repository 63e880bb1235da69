//! The restart at the end of a rung: stop, kill, sweep, start.
//!
//! Owns the only places where these are decided, each in answer to a look (rule 4).
//! What is owed from the stop until the gateway runs again is set here (rule 8).

use std::time::Duration;

use crate::policy::{Action, KILL_LIMIT, Machine, POLL, RETRY, Signal, Swept, is_up};
use crate::{
    policy::{
        facts::{Failure, Look, Process, Stall},
        record::Record,
        state::{Ladder, Owed, Phase, Step},
    },
    text::line::Line,
};

/// Sweeps before the ladder holds: two passes of SIGTERM and SIGKILL.
const SWEEPS: u8 = 4;

/// CLD_KILLED of wait(2): a signal ended the main process, so the status is its number.
const CLD_KILLED: i32 = 2;

/// SIGKILL of signal(7).
const SIGKILL: i32 = 9;

impl Machine<'_> {
    /// The look after the backoff still fails: the restart begins.
    pub(super) fn restart(&mut self, look: &Look, failure: &Failure, rung: usize) {
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
            in_the_way: false,
            rollback: false,
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
    pub(super) fn not_stopped(&mut self, failure: &Failure, step: Step) {
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
    pub(super) fn stopping(&mut self) {
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
    pub(super) fn down(&mut self, look: &Look) {
        match self.state.phase {
            Phase::Restarting(Step::Sweeping { sweeps }) => self.sweep(sweeps),
            // The start is queued behind something else's job.
            Phase::Restarting(Step::Starting { .. }) if has_job(look) => self.again_in(RETRY),
            Phase::Restarting(Step::Starting { .. }) => {
                self.record(Record::Starting);
                self.act(Action::Start);
            }
            // What is in the way may go by itself, and a start that is owed does not wait for `rearm` then.
            Phase::Holding { since, .. } if self.is_blocked() && !self.rearms(since) => {
                self.act(Action::Sweep(Signal::Term));
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

    /// Whether two passes have not ended what is in the way of the start that is owed.
    fn is_blocked(&self) -> bool {
        let owed = self.state.owed.as_ref();
        owed.is_some_and(|owed| owed.in_the_way)
    }

    fn set_blocked(&mut self, blocked: bool) {
        if let Some(owed) = &mut self.state.owed {
            owed.in_the_way = blocked;
        }
    }

    pub(super) fn swept(&mut self, swept: Swept) {
        if matches!(self.state.phase, Phase::Holding { .. }) {
            return self.swept_while_holding(&swept);
        }
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
        self.set_blocked(!swept.left.is_empty());
        let next = match swept.left.first() {
            None => Step::Starting { tries: 0 },
            Some(first) if SWEEPS <= sweeps.saturating_add(1) => {
                let others = swept.left.len() - 1;
                return self.hold(still_there(first, others));
            }
            Some(_) => Step::Sweeping {
                sweeps: sweeps.saturating_add(1),
            },
        };
        self.state.phase = Phase::Restarting(next);
        self.again_in(Duration::ZERO);
    }

    /// Said once, when the hold began; what is worth saying next is that the start goes on.
    fn swept_while_holding(&mut self, swept: &Swept) {
        if !swept.left.is_empty() || swept.stranger.is_some() {
            return self.again_in(self.settings.interval);
        }
        self.set_blocked(false);
        self.state.phase = Phase::Restarting(Step::Starting { tries: 0 });
        self.again_in(Duration::ZERO);
    }

    /// A start was asked for. Each one that leaves the unit down makes the pause before the next longer.
    pub(super) fn start_tried(&mut self) {
        let mut pause = POLL;
        if let Phase::Restarting(Step::Starting { tries }) = &mut self.state.phase {
            pause = RETRY
                .saturating_mul(*tries)
                .clamp(POLL, self.settings.interval.max(POLL));
            *tries = tries.saturating_add(1);
        }
        self.again_in(pause);
    }

    pub(super) fn failed_to(&mut self, what: &'static str, why: &Line) {
        self.record(Record::ActionFailed {
            what,
            why: why.clone(),
        });
        self.again_in(RETRY);
    }
}

/// Why there is no start: what is left of the gateway, or holds its port, outlives SIGKILL or comes back.
fn still_there(first: &Process, others: usize) -> Line {
    let others = match others {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Line::new(&format!(
        "pid {} ({}){others}, left of the gateway or on its port, do not end",
        first.pid, first.command
    ))
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
