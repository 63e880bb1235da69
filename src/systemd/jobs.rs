//! Whose job it is: sets the jobs asked for here apart from everybody else's.
//!
//! Plain bookkeeping over what the manager signalled; it hears and asks nobody.

use std::collections::VecDeque;

use crate::text::line::Line;

/// The manager's number for a job.
pub type JobId = u32;

/// How many of our own jobs are remembered; a restart makes two.
const MAX_OWN: usize = 16;

/// What somebody else did to the watched unit's jobs.
///
/// systemd is somebody else too: it queues a job of its own to restart a crashed service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForeignJob {
    /// A job that was not asked for here is over.
    Ended {
        /// Its number.
        id: JobId,
        /// `done`, `canceled`, `timeout`, `failed`, `dependency`, `skipped` and so on.
        result: Line,
        /// A stop of ours was pending, with which another stop would have been merged.
        during_our_stop: bool,
    },
    /// Somebody asked for the same as a job of ours that was still pending, and got that job.
    Merged {
        /// The number of our job.
        id: JobId,
    },
}

impl ForeignJob {
    /// Whether it may have been a stop, of a unit that is down afterwards.
    ///
    /// The manager does not say what kind of job is over. A start that fails ends otherwise than well, and
    /// `try-restart` of a unit on its way down does nothing beside our stop, where a stop would have been merged.
    /// It errs towards a stop: what a human wants down is not started.
    pub fn may_be_a_stop(&self) -> bool {
        match self {
            Self::Ended {
                result,
                during_our_stop,
                ..
            } => result.as_str() == "done" && !during_our_stop,
            Self::Merged { .. } => false,
        }
    }
}

/// A signal of the manager about a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `JobRemoved`, of the watched unit.
    Removed { id: JobId, result: Line },
    /// `PropertiesChanged` of a job's `State`, of any unit.
    State { id: JobId, state: Line },
}

/// The jobs asked for here.
#[derive(Debug, Default)]
pub struct OwnJobs {
    jobs: VecDeque<OwnJob>,
    /// A call was sent whose answer never came: there may be a job of ours with an unknown number.
    unclaimed: bool,
}

#[derive(Debug)]
struct OwnJob {
    id: JobId,
    /// As last signalled.
    state: Line,
    /// Merges by our own calls whose signal is still to come.
    merges: u32,
    /// It stops the unit, and is not over.
    stops: bool,
}

impl OwnJobs {
    /// Notes the answer to a call of ours.
    pub fn queued(&mut self, id: JobId) {
        self.unclaimed = false;
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) {
            job.merges += 1;
        } else {
            self.jobs.truncate(MAX_OWN - 1);
            self.jobs.push_front(OwnJob {
                id,
                state: Line::from("waiting"),
                merges: 0,
                stops: false,
            });
        }
    }

    /// Notes that this job of ours is a stop.
    pub fn stops(&mut self, id: JobId) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) {
            job.stops = true;
        }
    }

    /// Takes over a predecessor's stop, which systemd carries out at once and so has announced as running.
    pub fn adopt(&mut self, id: Option<JobId>) {
        let Some(id) = id else {
            return self.unanswered();
        };
        self.queued(id);
        if let Some(job) = self.jobs.front_mut() {
            job.state = Line::from("running");
            job.stops = true;
        }
    }

    /// Notes that the answer to a call of ours never came.
    pub fn unanswered(&mut self) {
        self.unclaimed = true;
    }

    /// Whether a job of the unit is ours; the first unknown one is taken for the unanswered call.
    ///
    /// Erring so starts a gateway that a human wanted down, erring the other way leaves it down for ever.
    pub fn contains(&mut self, id: JobId) -> bool {
        let known = self.jobs.iter().any(|job| job.id == id);
        if !known && self.unclaimed {
            self.queued(id);
            return true;
        }
        known
    }

    /// What a signal says of others, if anything; signals have to come in their order.
    pub fn foreign(&mut self, signal: Signal) -> Option<ForeignJob> {
        match signal {
            Signal::Removed { id, result } => self.removed(id, result),
            Signal::State { id, state } => self.merged(id, state),
        }
    }

    fn removed(&mut self, id: JobId, result: Line) -> Option<ForeignJob> {
        if self.contains(id) {
            let over = self.jobs.iter_mut().find(|job| job.id == id);
            over.into_iter().for_each(|job| job.stops = false);
            return None;
        }
        let during_our_stop = self.jobs.iter().any(|job| job.stops);
        Some(ForeignJob::Ended {
            id,
            result,
            during_our_stop,
        })
    }

    /// The manager announces a job's state when it changes and when another request is merged into it,
    /// so a state that is announced twice is a merge (systemd 252).
    fn merged(&mut self, id: JobId, state: Line) -> Option<ForeignJob> {
        let job = self.jobs.iter_mut().find(|job| job.id == id)?;
        if job.state != state {
            job.state = state;
            return None;
        }
        if 0 < job.merges {
            job.merges -= 1;
            return None;
        }
        Some(ForeignJob::Merged { id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(id: JobId) -> Signal {
        Signal::Removed {
            id,
            result: Line::from("done"),
        }
    }

    fn state(id: JobId, state: &str) -> Signal {
        Signal::State {
            id,
            state: Line::from(state),
        }
    }

    fn ended(id: JobId) -> ForeignJob {
        ForeignJob::Ended {
            id,
            result: Line::from("done"),
            during_our_stop: false,
        }
    }

    #[test]
    fn only_a_job_that_ended_well_outside_our_own_stop_may_have_been_a_stop() {
        for (result, during_our_stop, expected) in [
            ("done", false, true),
            ("done", true, false),
            ("failed", false, false),
            ("dependency", false, false),
            ("canceled", false, false),
            ("skipped", false, false),
        ] {
            let job = ForeignJob::Ended {
                id: 7,
                result: result.into(),
                during_our_stop,
            };
            assert_eq!(job.may_be_a_stop(), expected, "{result} {during_our_stop}");
        }
    }

    #[test]
    fn what_ends_beside_our_stop_is_told_from_what_ends_after_it() {
        let mut jobs = OwnJobs::default();
        jobs.queued(5);
        jobs.stops(5);
        let beside = jobs.foreign(removed(6)).unwrap();
        assert!(!beside.may_be_a_stop());
        assert_eq!(jobs.foreign(removed(5)), None);
        assert_eq!(jobs.foreign(removed(7)), Some(ended(7)));
    }

    /// What is foreign in `signals`, after calls of ours that were answered with `own`.
    #[track_caller]
    fn check(own: &[JobId], signals: &[Signal], expected: &[ForeignJob]) {
        let mut jobs = OwnJobs::default();
        own.iter().for_each(|id| jobs.queued(*id));
        let foreign: Vec<_> = signals
            .iter()
            .filter_map(|signal| jobs.foreign(signal.clone()))
            .collect();
        assert_eq!(foreign, expected);
    }

    #[test]
    fn a_job_of_ours_that_runs_its_course_is_not_foreign() {
        check(&[5], &[state(5, "running"), removed(5)], &[]);
    }

    #[test]
    fn a_job_of_another_number_is_foreign() {
        check(&[5], &[removed(5), removed(6)], &[ended(6)]);
        check(&[], &[removed(6)], &[ended(6)]);
    }

    #[test]
    fn a_state_announced_twice_is_a_merge() {
        let merged = ForeignJob::Merged { id: 5 };
        check(
            &[5],
            &[state(5, "running"), state(5, "running"), removed(5)],
            std::slice::from_ref(&merged),
        );
        check(&[5], &[state(5, "waiting"), state(5, "running")], &[merged]);
    }

    #[test]
    fn a_merge_of_our_own_is_not_foreign() {
        let running = || state(5, "running");
        check(&[5, 5], &[running(), running()], &[]);
        let merged = ForeignJob::Merged { id: 5 };
        check(&[5, 5], &[running(), running(), running()], &[merged]);
    }

    #[test]
    fn the_states_of_other_jobs_say_nothing() {
        check(&[5], &[state(6, "running"), state(6, "running")], &[]);
    }

    #[test]
    fn the_first_job_after_an_unanswered_call_is_taken_for_ours() {
        let mut jobs = OwnJobs::default();
        jobs.unanswered();
        assert_eq!(jobs.foreign(removed(7)), None);
        assert_eq!(jobs.foreign(removed(8)), Some(ended(8)));
    }

    #[test]
    fn an_answered_call_settles_an_unanswered_one() {
        let mut jobs = OwnJobs::default();
        jobs.unanswered();
        jobs.queued(7);
        assert_eq!(jobs.foreign(removed(8)), Some(ended(8)));
    }

    #[test]
    fn the_stop_of_a_predecessor_is_ours_and_a_merge_with_it_is_not() {
        let mut jobs = OwnJobs::default();
        jobs.adopt(Some(5));
        assert_eq!(
            jobs.foreign(state(5, "running")),
            Some(ForeignJob::Merged { id: 5 })
        );
        assert_eq!(jobs.foreign(removed(5)), None);
        let mut jobs = OwnJobs::default();
        jobs.adopt(None);
        assert_eq!(jobs.foreign(removed(5)), None);
    }

    #[test]
    fn old_jobs_are_forgotten_before_new_ones() {
        let mut jobs = OwnJobs::default();
        (1..=100).for_each(|id| jobs.queued(id));
        let oldest = 101 - u32::try_from(MAX_OWN).unwrap();
        assert!((oldest..=100).all(|id| jobs.contains(id)));
        assert!(!jobs.contains(oldest - 1));
    }
}
