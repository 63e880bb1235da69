//! One form for all worlds that no history can tell apart, so that an exploration of them ends.
//!
//! Times are counted from now and cut off where no deadline reaches, runs and jobs are numbered anew,
//! and what is only ever said to people is left out.
//! A canonical world is a world: the exploration goes on with it, so nothing can be left out that matters unnoticed.

use std::{
    collections::{BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    time::Duration,
};

use crate::policy::tests::world::{Active, Stamps, Witness, World, failure, invocation, secs};
use crate::{
    policy::{
        facts::{Invocation, Monotonic, Stall},
        restart::STARTS,
        state::{GraceUsed, Phase, State, Step},
        steadiness::Flapping,
        usefulness::READY_EVERY,
    },
    settings::{RetryAfter, Settings},
};

/// The moment that every canonical world is at, as the one it began at.
const NOW: Monotonic = Monotonic(1_000_000_000);

/// The start of an incident; any moment will do.
const ONCE: Monotonic = Monotonic(1);

/// How the numbers of one world are written in its canonical form.
struct Form<'a> {
    settings: &'a Settings,
    now: Monotonic,
    /// Runs that somebody remembers, oldest first.
    runs: Vec<u32>,
    job: Option<u32>,
}

impl World {
    /// Brings the world into its canonical form, and gives the number of it.
    pub(super) fn canonical(&mut self) -> u64 {
        self.log.clear();
        self.bites = 0;
        let form = Form {
            settings: &self.settings.clone(),
            now: self.now,
            runs: self.runs().into_iter().collect(),
            job: self.job.as_ref().map(|job| job.id),
        };
        form.state(&mut self.state);
        for saved in &mut self.saved {
            form.state(saved);
            *saved = saved.durable();
        }
        form.witness(&mut self.witness);
        self.count_anew();
        let states = || std::iter::once(&self.state).chain(&self.saved);
        let pending = states().filter_map(|state| state.pending_start.as_ref());
        let mut order: Vec<_> = pending
            .map(|pending_start| pending_start.stopped_at)
            .collect();
        order.extend([
            self.stamps.exited,
            self.stamps.left_active,
            self.stamps.left_inactive,
        ]);
        order.sort_unstable();
        order.dedup();
        // Only their order says anything, and which of them never was.
        let place = |at: Monotonic| {
            let place = order.iter().position(|known| *known == at);
            let place = u64::try_from(place.unwrap_or_default()).unwrap_or_default();
            let never = at == Monotonic::default();
            if never { at } else { Monotonic(place + 1) }
        };
        self.stamps = Stamps {
            exited: place(self.stamps.exited),
            left_active: place(self.stamps.left_active),
            left_inactive: place(self.stamps.left_inactive),
        };
        for state in std::iter::once(&mut self.state).chain(&mut self.saved) {
            if let Some(pending_start) = &mut state.pending_start {
                pending_start.stopped_at = place(pending_start.stopped_at);
            }
        }
        self.run = form.run(self.run);
        self.jobs = 1;
        if let Some(job) = &mut self.job {
            job.id = 1;
        }
        let old = self.settings.grace.starting + secs(1);
        self.since = form.past(self.since, old);
        match &mut self.active {
            Active::Activating { until } | Active::Deactivating { until } => {
                *until = form.ahead(*until);
            }
            Active::Up | Active::Down | Active::Failed => {}
        }
        self.deadline = self.deadline.map(|deadline| form.ahead(deadline));
        self.now = NOW;
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// systemd's count of restarts is only ever compared with itself.
    fn count_anew(&mut self) {
        let states = self.saved.iter_mut().chain([&mut self.state]);
        let mut counted: Vec<&mut u32> = states
            .filter_map(|state| state.unasked.counted.as_mut())
            .collect();
        counted.push(&mut self.restarts);
        let least = counted
            .iter()
            .map(|count| **count)
            .min()
            .unwrap_or_default();
        for count in counted {
            *count -= least;
        }
    }

    fn runs(&self) -> BTreeSet<u32> {
        let Witness {
            begun,
            stopped,
            seen,
            forced_run,
            restoring,
            restored,
            ..
        } = &self.witness;
        let seen = [begun, stopped, seen, forced_run, restoring, restored].map(|run| *run);
        let mut runs: BTreeSet<u32> = seen.into_iter().flatten().collect();
        runs.insert(self.run);
        for state in self.saved.iter().chain([&self.state]) {
            let pending_start = state
                .pending_start
                .as_ref()
                .and_then(|pending_start| pending_start.invocation.as_ref());
            let incident = state.incident.as_ref();
            let named = [
                state.gateway.invocation.as_ref(),
                state.gateway.unjudged.as_ref(),
                state.unwanted.as_ref(),
                incident.and_then(|incident| incident.started.as_ref()),
                state.rollback.as_ref().and_then(|last| last.run.as_ref()),
                pending_start,
            ];
            runs.extend(named.into_iter().flatten().map(number));
        }
        runs
    }
}

fn number(invocation: &Invocation) -> u32 {
    invocation
        .0
        .trim_start_matches("run")
        .parse()
        .expect("a run of this world")
}

impl Form<'_> {
    fn past(&self, moment: Monotonic, horizon: Duration) -> Monotonic {
        let ago = self.now.since(moment).min(horizon);
        let ago = u64::try_from(ago.as_micros()).expect("a short time");
        Monotonic(NOW.0 - ago)
    }

    fn ahead(&self, moment: Monotonic) -> Monotonic {
        NOW + moment.since(self.now)
    }

    fn run(&self, run: u32) -> u32 {
        let index = self.runs.iter().position(|known| *known == run);
        u32::try_from(index.expect("a run that was collected")).expect("few runs") + 1
    }

    fn invocation(&self, name: &mut Option<Invocation>) {
        if let Some(name) = name {
            *name = invocation(self.run(number(name)));
        }
    }

    fn witness(&self, witness: &mut Witness) {
        let grace = &self.settings.grace;
        let longest = grace.busy.max(grace.starting) + self.settings.backoff[0];
        for run in [
            &mut witness.begun,
            &mut witness.stopped,
            &mut witness.seen,
            &mut witness.forced_run,
            &mut witness.restoring,
            &mut witness.restored,
        ] {
            *run = run.map(|run| self.run(run));
        }
        let since = |moment: &mut Option<Monotonic>, horizon| {
            *moment = moment.map(|moment| self.past(moment, horizon));
        };
        let failing = self.settings.backoff[0].max(grace.waiting);
        since(&mut witness.failing_since, failing);
        since(&mut witness.deadlocked_since, grace.deadlocked);
        since(&mut witness.healthy_since, self.settings.reset_after);
        since(&mut witness.known_since, self.settings.reset_after);
        witness.awake_since = self.past(witness.awake_since, longest);
        witness.leaves_by = witness.leaves_by.map(|until| self.ahead(until));
        let window = self.settings.forced_stops.window;
        witness.forced.retain(|at| self.now.since(*at) < window);
        for at in &mut witness.forced {
            *at = self.past(*at, window);
        }
    }

    fn state(&self, state: &mut State) {
        self.phase(&mut state.phase);
        self.invocation(&mut state.gateway.invocation);
        self.invocation(&mut state.gateway.unjudged);
        self.invocation(&mut state.unwanted);
        state.gateway.since = NOW;
        state.attempts.taken = self.past(state.attempts.taken, self.settings.debounce);
        for at in &mut state.forced {
            *at = self.past(*at, self.settings.forced_stops.window);
        }
        if let Some(incident) = &mut state.incident {
            incident.id = String::new();
            incident.since = ONCE;
            incident.failure = failure(Stall::Gone);
            incident.restarts = incident.restarts.min(1);
            // How often it is said changes nothing that is done.
            incident.overdue = false;
            self.invocation(&mut incident.started);
        }
        if let Some(rollback) = &mut state.rollback {
            self.invocation(&mut rollback.run);
        }
        if let Some(pending_start) = &mut state.pending_start {
            self.invocation(&mut pending_start.invocation);
            pending_start.stop_job = pending_start
                .stop_job
                .map(|id| u32::from(Some(id) == self.job));
            pending_start.starts = pending_start.starts.min(STARTS);
            // What is only said.
            pending_start.refused = None;
        }
        // What is only said.
        state.flapping = Flapping::default();
        (state.worked_until, state.down_since) = (None, None);
        // When it is asked again changes nothing of what is done; so it is asked in every healthy check.
        let due = Monotonic(NOW.0 - u64::try_from(READY_EVERY.as_micros()).expect("a short time"));
        state.parts.asked = state.parts.asked.map(|_| due);
        for part in &mut state.parts.failing {
            part.since = self.past(part.since, self.settings.degraded_after);
        }
        let longest = self.settings.grace.starting.max(self.settings.grace.busy);
        state.silent_since = state.silent_since.map(|since| self.past(since, longest));
        state.debugged_since = state.debugged_since.map(|_| NOW);
        for at in &mut state.unasked.seen {
            *at = self.past(*at, self.settings.grace.starting);
        }
        let grace = &self.settings.grace;
        let longest = grace.stopped.max(grace.deadlocked);
        state.stuck_since = state.stuck_since.map(|since| self.past(since, longest));
        state.awake_since = self.past(state.awake_since, self.settings.grace.starting);
        state.next = self.ahead(state.next);
        if state.leaves_by != Monotonic::default() {
            state.leaves_by = self.ahead(state.leaves_by);
        }
    }

    fn phase(&self, phase: &mut Phase) {
        let grace = &self.settings.grace;
        match phase {
            Phase::Starting { since, progress } => {
                *since = self.past(*since, grace.starting);
                *progress = self.past(*progress, grace.starting_idle);
            }
            Phase::Healthy { since, .. } => *since = self.past(*since, self.settings.reset_after),
            Phase::Failing(grace_used) => self.grace_used(grace_used),
            Phase::BackingOff {
                until, grace_used, ..
            } => {
                *until = self.ahead(*until);
                if let Some(grace_used) = grace_used {
                    self.grace_used(grace_used);
                }
            }
            Phase::Restarting(Step::Stopping { until } | Step::Killing { until }) => {
                *until = self.ahead(*until);
            }
            Phase::Restarting(Step::Starting { tries }) => *tries = (*tries).min(STARTS),
            Phase::Restarting(Step::CleaningUp { .. }) => {}
            Phase::GaveUp { since, .. } => {
                let retry_after = match self.settings.retry_after {
                    RetryAfter::After(rest) => rest,
                    RetryAfter::Never => Duration::ZERO,
                };
                *since = self.past(*since, retry_after);
            }
            Phase::StandingBy { since, .. } => *since = NOW,
        }
    }

    fn grace_used(&self, grace_used: &mut GraceUsed) {
        let grace = &self.settings.grace;
        grace_used.since = NOW;
        grace_used.last = grace_used.last.map(|last| self.past(last, secs(900)));
        grace_used.waited = grace_used.waited.capped(grace);
    }
}

/// All of a world but what is the same throughout an exploration; a new field does not compile until it is here.
impl Hash for World {
    fn hash<H: Hasher>(&self, to: &mut H) {
        let Self {
            settings: _,
            step: _,
            restored: _,
            state,
            saved,
            saves_kept: _,
            now: _,
            log: _,
            left,
            active,
            mood,
            fresh,
            run,
            since,
            ended,
            stamps,
            restarts,
            ended_by_itself,
            job,
            jobs: _,
            unclaimed,
            restart_after_stop,
            start_takes,
            stop_takes,
            timeout_stop: _,
            crash_pause: _,
            ignores_sigterm,
            ignores_sigkill,
            leftovers,
            unmet_condition,
            start_is_queued,
            other_serves,
            content,
            refuses_all,
            untouched,
            rejected,
            degraded,
            breaker,
            foreign_job,
            joined,
            exec_stop,
            left_over,
            paused,
            updating,
            debugged,
            frozen,
            port_holder,
            progress,
            ran_after: _,
            no_bus,
            no_unit,
            look_takes,
            faults,
            human_stop_before_action,
            run_before_action,
            human_edit_before_action,
            watchdog,
            deadline,
            bites: _,
            tick: _,
            looks_at_once,
            witness,
        } = self;
        (
            state, saved, left, active, mood, fresh, run, since, ended, job,
        )
            .hash(to);
        (unclaimed, restart_after_stop, start_takes, stop_takes).hash(to);
        (ignores_sigterm, ignores_sigkill, leftovers, unmet_condition).hash(to);
        (start_is_queued, other_serves, degraded, breaker).hash(to);
        (foreign_job, paused).hash(to);
        (
            updating,
            debugged,
            frozen,
            port_holder,
            progress,
            no_bus,
            no_unit,
        )
            .hash(to);
        (
            content,
            refuses_all,
            untouched,
            rejected,
            human_edit_before_action,
        )
            .hash(to);
        (
            stamps,
            restarts,
            ended_by_itself,
            joined,
            exec_stop,
            left_over,
        )
            .hash(to);
        (look_takes, faults, human_stop_before_action).hash(to);
        run_before_action.hash(to);
        (watchdog, deadline, looks_at_once, witness).hash(to);
    }
}
