//! A toy world for the policy: a clock, a gateway, a human, and as much of systemd as the policy can see.
//!
//! Every step taken in it is held against the rules that have to hold in every reachable state,
//! so each test of a single behaviour is a test of those too.

use std::time::Duration;

use super::super::{Action, Done, Event, Signal, Swept, step};
use crate::{
    decide::{
        facts::{
            Failure, Health, Incarnation, Job, Look, Monotonic, Pause, Probe, Process, Stall,
            UnitFacts,
        },
        record::Record,
        settings::Settings,
        state::{Bite, Phase, Standby, State, Step, longest_step},
        status::status,
    },
    line::Line,
};

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The unit's own WatchdogSec.
const WATCHDOG: Duration = secs(90);

/// systemd's own limit on a stop of the gateway.
const TIMEOUT_STOP: Duration = secs(330);

/// How many looks in a row may be asked for without waiting; a sweep pass and a start need no more.
const LOOKS_AT_ONCE: u32 = 8;

/// How the gateway behaves while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mood {
    Healthy,
    Failing(Stall),
    Unsure,
}

/// Where the toy systemd has the unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Active {
    Up,
    Down,
    Failed,
    Activating { until: Monotonic },
    Deactivating { until: Monotonic },
}

/// What kind of action something happens to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// The action is refused.
    Refused,
    /// Gatehound is killed before it is carried out.
    KilledBefore,
    /// Gatehound is killed when it has been carried out.
    KilledAfter,
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) state: State,
    pub(super) now: Monotonic,
    /// What happened, oldest first.
    pub(super) log: Vec<(Monotonic, Action)>,
    pub(super) left: bool,

    // The gateway and its unit.
    pub(super) active: Active,
    pub(super) mood: Mood,
    /// How runs that begin from now on behave.
    pub(super) fresh: Mood,
    pub(super) run: u32,
    since: Monotonic,
    /// `Result`, `ExecMainCode`, `ExecMainStatus`.
    ended: (&'static str, i32, i32),
    job: Option<Job>,
    jobs: u32,
    restart_after_stop: bool,
    pub(super) start_takes: Duration,
    pub(super) ignores_sigterm: bool,
    pub(super) ignores_sigkill: bool,
    /// Sweeps that what is left of the gateway outlives.
    pub(super) leftovers: u8,
    /// A start job ends well and nothing runs.
    pub(super) unmet_condition: bool,
    /// A start job waits for another unit.
    pub(super) start_is_queued: bool,
    pub(super) other_serves: bool,
    pub(super) degraded: Option<Line>,

    // What else a look shows.
    foreign_job: bool,
    pub(super) paused: bool,
    pub(super) updating: bool,
    pub(super) debugged: bool,
    pub(super) stranger: bool,
    pub(super) progress: Option<bool>,
    pub(super) no_bus: bool,
    pub(super) no_unit: bool,
    pub(super) look_takes: Duration,

    /// What befalls the next actions that change something.
    pub(super) faults: Vec<Fault>,
    /// A human stops the gateway after the look and before the next action.
    pub(super) human_stop_before_action: bool,

    // systemd's watchdog over Gatehound.
    watchdog: Duration,
    deadline: Option<Monotonic>,
    pub(super) bites: u32,

    // Kept by the checks.
    looks_at_once: u32,
    stopped_runs: Vec<u32>,
    forced: Vec<Monotonic>,
    forced_run: Option<u32>,
    wish_down: bool,
}

/// A world whose gateway has just been started and is healthy.
pub(super) fn world() -> World {
    let now = Monotonic(1_000_000_000);
    World {
        settings: Settings::default(),
        state: State {
            next: now,
            ..State::default()
        },
        now,
        log: Vec::new(),
        left: false,
        active: Active::Up,
        mood: Mood::Healthy,
        fresh: Mood::Healthy,
        run: 1,
        since: now,
        ended: ("success", 0, 0),
        job: None,
        jobs: 0,
        restart_after_stop: false,
        start_takes: Duration::ZERO,
        ignores_sigterm: false,
        ignores_sigkill: false,
        leftovers: 0,
        unmet_condition: false,
        start_is_queued: false,
        other_serves: false,
        degraded: None,
        foreign_job: false,
        paused: false,
        updating: false,
        debugged: false,
        stranger: false,
        progress: Some(true),
        no_bus: false,
        no_unit: false,
        look_takes: Duration::ZERO,
        faults: Vec::new(),
        human_stop_before_action: false,
        watchdog: WATCHDOG,
        deadline: Some(now + WATCHDOG),
        bites: 0,
        looks_at_once: 0,
        stopped_runs: Vec::new(),
        forced: Vec::new(),
        forced_run: None,
        wish_down: false,
    }
}

/// A world that vouches for its gateway, with an empty log.
pub(super) fn vouching() -> World {
    let mut world = world();
    world.round();
    assert_eq!(world.phase(), "vouching");
    world.log.clear();
    world
}

/// A world whose gateway fails, this run and every later one, and that has just seen it for the first time.
pub(super) fn broken(stall: Stall) -> World {
    let mut world = vouching();
    world.breaks(stall);
    world.round();
    world
}

impl World {
    // What the gateway and its users do.

    pub(super) fn breaks(&mut self, stall: Stall) {
        self.mood = Mood::Failing(stall);
        self.fresh = self.mood;
    }

    pub(super) fn mends(&mut self) {
        self.mood = Mood::Healthy;
        self.fresh = Mood::Healthy;
    }

    pub(super) fn human_stops(&mut self) {
        self.stop_unit(false);
    }

    pub(super) fn human_starts(&mut self) {
        self.wish_down = false;
        match self.active {
            Active::Deactivating { .. } => {
                self.restart_after_stop = true;
                let id = self.new_job_id();
                self.job = Some(Job { id, ours: false });
            }
            Active::Up | Active::Activating { .. } => {}
            Active::Down | Active::Failed => {
                self.begin_run();
                self.foreign_job_ended();
            }
        }
    }

    pub(super) fn human_restarts(&mut self) {
        self.stop_unit(false);
        self.human_starts();
    }

    /// The main process exits with this status.
    pub(super) fn exits(&mut self, status: i32) {
        if self.active != Active::Up {
            return;
        }
        self.ended = ("exit-code", 1, status);
        self.active = if status == 78 {
            Active::Failed
        } else {
            Active::Activating {
                until: self.now + secs(5),
            }
        };
    }

    /// systemd gives up on the unit after `crashes` runs that nobody saw.
    pub(super) fn start_limit_hit(&mut self, crashes: u32) {
        if !matches!(self.active, Active::Up | Active::Activating { .. }) {
            return;
        }
        self.run += crashes;
        self.ended = ("start-limit-hit", 1, 1);
        self.active = Active::Failed;
    }

    // systemd.

    fn new_job_id(&mut self) -> u32 {
        self.jobs += 1;
        self.jobs
    }

    fn foreign_job_ended(&mut self) {
        self.foreign_job |= self.state.owed.is_some();
    }

    fn stop_unit(&mut self, ours: bool) -> u32 {
        let id = self.new_job_id();
        match self.active {
            Active::Up | Active::Activating { .. } => {
                let takes = if self.ignores_sigterm {
                    TIMEOUT_STOP
                } else {
                    secs(1)
                };
                self.active = Active::Deactivating {
                    until: self.now + takes,
                };
                self.job = Some(Job { id, ours });
                self.restart_after_stop = false;
                id
            }
            Active::Deactivating { .. } => match &self.job {
                // A second stop merges into the job of the first.
                Some(job) if !self.restart_after_stop => job.id,
                _ => {
                    self.restart_after_stop = false;
                    self.job = Some(Job { id, ours });
                    id
                }
            },
            Active::Down | Active::Failed => {
                if !ours {
                    self.foreign_job_ended();
                }
                id
            }
        }
    }

    fn stop_ends(&mut self, killed: bool) {
        self.ended = if killed {
            ("timeout", 2, 9)
        } else {
            ("success", 1, 0)
        };
        self.active = if killed { Active::Failed } else { Active::Down };
        // A successor that was not told the number takes the stop for its predecessor's.
        let known = self.state.owed.as_ref().and_then(|owed| owed.stop_job);
        if let Some(job) = self.job.take()
            && !job.ours
            && known.is_some_and(|known| known != job.id)
        {
            self.foreign_job_ended();
        }
        if std::mem::take(&mut self.restart_after_stop) {
            self.begin_run();
        }
    }

    fn begin_run(&mut self) {
        self.run += 1;
        self.mood = self.fresh;
        self.wish_down = false;
        if self.start_takes.is_zero() {
            self.active = Active::Up;
            self.since = self.now;
        } else {
            self.active = Active::Activating {
                until: self.now + self.start_takes,
            };
        }
    }

    fn incarnation(&self) -> Incarnation {
        Incarnation(format!("run{}", self.run))
    }

    fn unit(&self) -> UnitFacts {
        let (result, code, status) = self.ended;
        let active_state = match self.active {
            Active::Up => "active",
            Active::Down => "inactive",
            Active::Failed => "failed",
            Active::Activating { .. } => "activating",
            Active::Deactivating { .. } => "deactivating",
        };
        UnitFacts {
            load_state: if self.no_unit { "not-found" } else { "loaded" }.into(),
            active_state: active_state.into(),
            sub_state: "toy".into(),
            result: result.into(),
            exec_main_code: code,
            exec_main_status: status,
            invocation_id: Some(self.incarnation()),
            active_since: self.since,
            restart: "always".into(),
            restart_prevent_exit_status: vec![78],
            job: self.job.clone(),
            ..UnitFacts::default()
        }
    }

    // Time.

    fn advance_to(&mut self, end: Monotonic) {
        while !self.left {
            let due = match self.active {
                Active::Activating { until } | Active::Deactivating { until } => Some(until),
                Active::Up | Active::Down | Active::Failed => None,
            };
            let Some(first) = due.into_iter().chain(self.deadline).min() else {
                break;
            };
            if end < first {
                break;
            }
            self.now = self.now.max(first);
            if due == Some(first) {
                self.transition_ends();
            } else {
                self.bites();
            }
        }
        self.now = self.now.max(end);
    }

    fn transition_ends(&mut self) {
        match self.active {
            Active::Activating { .. } => {
                // After a crash systemd begins a new run; after a start it already has.
                if self.ended.0 == "exit-code" {
                    self.run += 1;
                    self.mood = self.fresh;
                    self.ended = ("success", 0, 0);
                }
                self.active = Active::Up;
                self.since = self.now;
            }
            Active::Deactivating { .. } => self.stop_ends(self.ignores_sigterm),
            Active::Up | Active::Down | Active::Failed => {}
        }
    }

    fn bites(&mut self) {
        assert!(
            matches!(
                self.state.phase,
                Phase::Holding {
                    bite: Bite::Due,
                    ..
                }
            ),
            "rule 2: the watchdog bit in {:?}",
            self.state.phase
        );
        self.bites += 1;
        self.succeed();
    }

    /// Gatehound dies and a successor goes on from the state file.
    pub(super) fn succeed(&mut self) {
        let saved = serde_json::to_string(&self.state).expect("the state is plain data");
        let read: State = serde_json::from_str(&saved).expect("it was written a moment ago");
        assert_eq!(read, self.state);
        self.state = read.restored(self.now);
        self.foreign_job = false;
        if let Some(job) = &mut self.job {
            job.ours = false;
        }
        self.watchdog = WATCHDOG;
        self.deadline = Some(self.now + WATCHDOG);
    }

    // Rounds.

    pub(super) fn look(&mut self) -> Look {
        let began = self.now;
        let probes = self.state.wants_probes();
        if probes {
            self.advance_to(began + self.look_takes);
        }
        let serving = self.active == Active::Up;
        let health = match self.mood {
            _ if !probes => Health::NotProbed,
            _ if self.other_serves => Health::Healthy(Duration::from_millis(3)),
            _ if !serving => failing(Stall::Gone),
            Mood::Healthy => Health::Healthy(Duration::from_millis(3)),
            Mood::Failing(stall) => failing(stall),
            Mood::Unsure => Health::Unsure("too many open files".into()),
        };
        Look {
            began,
            unit: if self.no_bus {
                Err("no user manager".into())
            } else {
                Ok(self.unit())
            },
            foreign_job: self.foreign_job,
            pause: self.paused.then(|| Pause {
                reason: "maintenance".into(),
                remaining: None,
            }),
            update: self
                .updating
                .then(|| "openclaw-update-1.scope is running".into()),
            debugged: self.debugged,
            last_words: None,
            stranger: self.stranger.then(|| "pid 9 (sshd) of user 1001".into()),
            progress: self.progress,
            health,
        }
    }

    /// Waits for the next look, makes it, and does what follows from it.
    pub(super) fn round(&mut self) {
        self.advance_to(self.state.next);
        let look = self.look();
        self.happens(Event::Looked(Box::new(look)));
    }

    /// systemd's watchdog over Gatehound begins to run now.
    pub(super) fn watchdog_starts(&mut self) {
        self.deadline = Some(self.now + self.watchdog);
    }

    pub(super) fn without_watchdog(&mut self) {
        self.deadline = None;
    }

    /// Somebody cancels the job that stops the gateway before it has begun.
    pub(super) fn cancel_stop(&mut self) {
        self.active = Active::Up;
        self.job = None;
    }

    /// Nobody runs for that long, as between Gatehound's death and its successor; then the successor looks.
    pub(super) fn round_later(&mut self, time: Duration) {
        self.deadline = None;
        self.advance_to(self.now + time);
        self.succeed();
        self.round();
    }

    /// Lets the loop run for that long.
    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while !self.left && self.state.next <= end {
            self.round();
        }
        if !self.left {
            self.advance_to(end);
        }
    }

    /// Lets the loop run until `phase`; fails after an hour.
    #[track_caller]
    pub(super) fn run_until(&mut self, phase: &str) {
        let limit = self.now + secs(3600);
        while self.phase() != phase {
            assert!(
                self.now < limit,
                "not {phase} within an hour, but {:?}",
                self.state
            );
            self.round();
        }
    }

    /// Lets the loop run until it is on the way to do `action`; fails after an hour.
    #[track_caller]
    pub(super) fn run_until_does(&mut self, action: &Action) {
        let (before, limit) = (self.count(action), self.now + secs(3600));
        while self.count(action) == before {
            assert!(
                self.now < limit,
                "no {action:?} within an hour, but {:?}",
                self.state
            );
            self.round();
        }
    }

    /// Takes one step, checks it, and carries out its actions.
    pub(super) fn happens(&mut self, event: Event) {
        let before = self.state.clone();
        let at_once = matches!(event, Event::Looked(_)) && self.state.next == self.now;
        let (state, actions) = step(
            &self.settings,
            std::mem::take(&mut self.state),
            event.clone(),
            self.now,
        );
        self.state = state;
        // Jobs are of interest from the moment a start is owed.
        self.foreign_job &= self.state.owed.is_some();
        self.check(&before, &event, &actions);
        let stays = self.state.next <= self.now;
        self.looks_at_once = if at_once && stays {
            self.looks_at_once + 1
        } else {
            0
        };
        assert!(
            self.looks_at_once < LOOKS_AT_ONCE,
            "looks without waiting: {:?}",
            self.state
        );
        for action in actions {
            self.log.push((self.now, action.clone()));
            match self.carry_out(&action) {
                Ok(Some(done)) => self.happens(Event::Done(done)),
                Ok(None) => {}
                Err(Killed) => return,
            }
        }
    }

    fn carry_out(&mut self, action: &Action) -> Result<Option<Done>, Killed> {
        match action {
            Action::Vouch { restore } => {
                if *restore {
                    self.watchdog = WATCHDOG;
                }
                assert_eq!(self.watchdog, WATCHDOG, "rule 2: vouched under a lease");
                self.deadline = Some(self.now + self.watchdog);
                return Ok(None);
            }
            Action::Lease(lease) => {
                self.watchdog = *lease;
                self.deadline = Some(self.now + *lease);
                return Ok(None);
            }
            Action::Record(_) | Action::KeepEvidence => return Ok(None),
            Action::AskReadiness => return Ok(Some(Done::Readiness(self.degraded.clone()))),
            Action::Leave => {
                self.left = true;
                self.deadline = None;
                return Ok(None);
            }
            Action::Stop | Action::Kill | Action::Sweep(_) | Action::Start => {}
        }
        if std::mem::take(&mut self.human_stop_before_action) {
            self.human_stops();
        }
        let fault = self.faults.pop();
        match fault {
            Some(Fault::Refused) => return Ok(Some(refused(action))),
            Some(Fault::KilledBefore) => {
                self.succeed();
                return Err(Killed);
            }
            Some(Fault::KilledAfter) | None => {}
        }
        let done = self.does(action);
        if fault == Some(Fault::KilledAfter) {
            self.succeed();
            return Err(Killed);
        }
        Ok(done)
    }

    fn does(&mut self, action: &Action) -> Option<Done> {
        match action {
            Action::Stop => {
                self.foreign_job = false;
                assert!(
                    !self.stopped_runs.contains(&self.run),
                    "rule 5: run {} is stopped twice",
                    self.run
                );
                self.stopped_runs.push(self.run);
                Some(Done::Stop(Ok(self.stop_unit(true))))
            }
            Action::Kill => {
                if matches!(self.active, Active::Deactivating { .. }) && !self.ignores_sigkill {
                    self.stop_ends(true);
                }
                Some(Done::Kill(Ok(())))
            }
            Action::Sweep(_) => Some(Done::Sweep(Ok(self.sweep()))),
            Action::Start => {
                assert!(
                    !self.wish_down,
                    "rule 8: started although a human wants it down"
                );
                if self.start_is_queued {
                    let id = self.new_job_id();
                    self.job = Some(Job { id, ours: true });
                } else if matches!(self.active, Active::Down | Active::Failed)
                    && !self.unmet_condition
                {
                    self.begin_run();
                    self.ended = ("success", 0, 0);
                }
                Some(Done::Start(Ok(())))
            }
            Action::Vouch { .. }
            | Action::Lease(_)
            | Action::Record(_)
            | Action::KeepEvidence
            | Action::AskReadiness
            | Action::Leave => None,
        }
    }

    fn sweep(&mut self) -> Swept {
        let holder = Process {
            pid: 77,
            start_time: 1,
            uid: 1000,
            cgroup: String::new(),
            command: "leftover".into(),
        };
        let mut swept = Swept::default();
        if 0 < self.leftovers {
            self.leftovers -= 1;
            swept.signalled.push(holder.clone());
            if 0 < self.leftovers {
                swept.left.push(holder);
            }
        }
        swept.stranger = self.stranger.then(|| "pid 9 (sshd) of user 1001".into());
        swept
    }

    // What has to hold at every step.

    fn check(&mut self, before: &State, event: &Event, actions: &[Action]) {
        self.check_watchdog(event, actions);
        self.check_next(event);
        for action in actions {
            match action {
                Action::Stop | Action::Kill | Action::Sweep(_) | Action::Start => {
                    self.check_act(before, event, action);
                }
                Action::Record(record) => check_text(record, &self.state),
                Action::Vouch { .. }
                | Action::Lease(_)
                | Action::KeepEvidence
                | Action::AskReadiness
                | Action::Leave => {}
            }
        }
        self.note_wish(before, event);
    }

    /// Rules 1 and 2.
    fn check_watchdog(&self, event: &Event, actions: &[Action]) {
        let healthy = matches!(
            event,
            Event::Looked(look) if matches!(look.health, Health::Healthy(_)) && look.pause.is_none()
        );
        let vouches = actions
            .iter()
            .filter(|action| matches!(action, Action::Vouch { .. }))
            .count();
        assert!(
            vouches == 0 || healthy && vouches == 1,
            "rule 1: vouched after {event:?}"
        );
        let said = status(&self.settings, &self.state, self.now);
        assert!(
            said.as_str().starts_with(self.state.phase.name()),
            "STATUS does not begin with the phase: {said}"
        );
        let bound = self.pace() + longest_step(&self.settings) * 2;
        let leases: Vec<Duration> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Lease(lease) => Some(*lease),
                _ => None,
            })
            .collect();
        for lease in &leases {
            assert!(
                secs(0) < *lease && *lease <= bound,
                "rule 2: a lease of {lease:?}"
            );
        }
        let leaving = actions.contains(&Action::Leave);
        match &self.state.phase {
            Phase::Vouching { .. } => assert!(leases.is_empty(), "rule 2: vouching under a lease"),
            Phase::Holding {
                bite: Bite::Due, ..
            } => {}
            _ => assert!(leaving || !leases.is_empty(), "rule 2: no lease in {said}"),
        }
    }

    fn pace(&self) -> Duration {
        self.settings.interval.max(self.settings.patience.interval)
    }

    fn check_next(&self, event: &Event) {
        let next = self.state.next;
        assert!(
            next <= self.now + self.pace(),
            "the next look is {:?} away",
            next.since(self.now)
        );
        let told = matches!(event, Event::Leave | Event::Done(_)) || self.state.leaving;
        assert!(told || self.now <= next, "the next look is in the past");
    }

    /// Rules 3, 4, 6 and 7.
    fn check_act(&mut self, before: &State, event: &Event, action: &Action) {
        let Event::Looked(look) = event else {
            panic!("rule 4: {action:?} in answer to {event:?}");
        };
        assert!(look.pause.is_none(), "rule 3: {action:?} while paused");
        assert!(look.update.is_none(), "rule 3: {action:?} during an update");
        let unit = look.unit.as_ref().expect("rule 3: acted without a bus");
        assert_eq!(unit.load_state, "loaded", "rule 3: {action:?} on no unit");
        let given_up = unit.active_state == "failed" && unit.result == "start-limit-hit";
        let owed = before.owed.is_some();
        let fits = match (action, unit.active_state.as_str()) {
            (Action::Stop, "active") => matches!(look.health, Health::Failing(_)),
            (Action::Kill, "active" | "deactivating") => owed && !look.foreign_job,
            (Action::Sweep(_) | Action::Start, "inactive") => owed && !look.foreign_job,
            (Action::Sweep(_), "failed") => (owed || given_up) && !look.foreign_job,
            (Action::Start, "failed") => owed && !look.foreign_job,
            _ => false,
        };
        assert!(fits, "rule 3: {action:?} on {unit:?}");
        let exit_78 = unit.active_state == "failed"
            && (unit.exec_main_code, unit.exec_main_status) == (1, 78);
        assert!(!exit_78, "rule 7: {action:?} after exit status 78");
        if matches!(action, Action::Kill | Action::Sweep(Signal::Kill)) {
            self.note_forced();
        }
    }

    /// Rule 6, counted from outside: a run that needed SIGKILL is one forced stop.
    fn note_forced(&mut self) {
        if self.forced_run == Some(self.run) {
            return;
        }
        self.forced_run = Some(self.run);
        self.forced.push(self.now);
        let window = self.settings.forced_stops.window;
        let recent = self
            .forced
            .iter()
            .filter(|at| self.now.since(**at) < window)
            .count();
        assert!(
            recent <= self.settings.forced_stops.limit,
            "rule 6: {recent} forced stops within {window:?}"
        );
    }

    /// Rule 8: what a look has shown of a human's wish.
    fn note_wish(&mut self, before: &State, event: &Event) {
        let Event::Looked(look) = event else { return };
        let Ok(unit) = &look.unit else { return };
        if unit.load_state != "loaded" {
            return;
        }
        let owed = before
            .owed
            .as_ref()
            .filter(|owed| owed.incarnation == unit.invocation_id);
        let down = unit.active_state == "inactive";
        if owed.is_none() {
            let job = unit.job.is_some() && !self.restart_after_stop;
            self.wish_down |= down || unit.active_state == "deactivating" && job;
        } else if down || unit.active_state == "failed" {
            self.wish_down |= look.foreign_job;
        }
    }

    // What tests ask.

    pub(super) fn phase(&self) -> &'static str {
        self.state.phase.name()
    }

    pub(super) fn standby(&self) -> Option<Standby> {
        match self.state.phase {
            Phase::StandingBy { reason, .. } => Some(reason),
            _ => None,
        }
    }

    pub(super) fn restart_step(&self) -> Option<Step> {
        match self.state.phase {
            Phase::Restarting(step) => Some(step),
            _ => None,
        }
    }

    pub(super) fn count(&self, action: &Action) -> usize {
        self.log.iter().filter(|(_, done)| done == action).count()
    }

    /// When each such action was taken, in seconds since `from`.
    pub(super) fn times(&self, action: &Action, from: Monotonic) -> Vec<u64> {
        self.log
            .iter()
            .filter(|(_, done)| done == action)
            .map(|(at, _)| at.since(from).as_secs())
            .collect()
    }

    pub(super) fn vouches(&self) -> usize {
        self.log
            .iter()
            .filter(|(_, done)| matches!(done, Action::Vouch { .. }))
            .count()
    }

    /// Everything done to the gateway, in order.
    pub(super) fn deeds(&self) -> Vec<Action> {
        self.log
            .iter()
            .map(|(_, done)| done)
            .filter(|done| {
                matches!(
                    done,
                    Action::Stop | Action::Kill | Action::Sweep(_) | Action::Start
                )
            })
            .cloned()
            .collect()
    }

    /// The kinds of all records, in order.
    pub(super) fn events(&self) -> Vec<&'static str> {
        self.records().iter().map(|record| record.event()).collect()
    }

    pub(super) fn records(&self) -> Vec<Record> {
        self.log
            .iter()
            .filter_map(|(_, done)| match done {
                Action::Record(record) => Some(record.clone()),
                _ => None,
            })
            .collect()
    }

    /// The texts of the records of one kind.
    pub(super) fn texts(&self, event: &str) -> Vec<String> {
        self.records()
            .iter()
            .filter(|record| record.event() == event)
            .map(|record| record.entry(&self.state).text.to_string())
            .collect()
    }

    pub(super) fn status(&self) -> String {
        status(&self.settings, &self.state, self.now).to_string()
    }

    /// A human's stop that joined ours outlives the process that heard of it.
    fn stop_was_noted(&self) -> bool {
        let owed = self.state.owed.as_ref();
        owed.is_some_and(|owed| owed.foreign_job)
    }

    /// Whether nobody and nothing stands in the way of a restart, so that health is only a matter of time.
    pub(super) fn nobody_objects(&self) -> bool {
        match self.active {
            Active::Up => !self.stopped_runs.contains(&self.run),
            Active::Activating { .. } => true,
            Active::Deactivating { .. } => {
                self.restart_after_stop || self.stop_is_ours() && !self.wish_down
            }
            Active::Down => self.owes_a_start() && !self.wish_down,
            Active::Failed if self.ended.2 == 78 => false,
            Active::Failed if self.ended.0 == "start-limit-hit" => {
                !self.foreign_job && !self.wish_down && !self.stop_was_noted()
            }
            Active::Failed => self.owes_a_start() && !self.wish_down,
        }
    }

    /// A start is owed for the run that is the unit's last, and nobody else has had a hand in it.
    pub(super) fn owes_a_start(&self) -> bool {
        let owed = self.state.owed.as_ref();
        owed.is_some_and(|owed| owed.incarnation == Some(self.incarnation()))
            && !self.foreign_job
            && !self.stop_was_noted()
    }

    fn stop_is_ours(&self) -> bool {
        let known = self.state.owed.as_ref().and_then(|owed| owed.stop_job);
        let job = self.job.as_ref();
        self.owes_a_start()
            && job.is_some_and(|job| job.ours || known.is_none_or(|id| id == job.id))
    }

    /// Every adversity ends, and runs that begin from now on are healthy.
    pub(super) fn peace(&mut self) {
        self.fresh = Mood::Healthy;
        self.paused = false;
        self.updating = false;
        self.debugged = false;
        self.stranger = false;
        self.no_bus = false;
        self.no_unit = false;
        self.other_serves = false;
        self.ignores_sigkill = false;
        self.leftovers = 0;
        self.unmet_condition = false;
        self.start_takes = Duration::ZERO;
        self.faults.clear();
        self.human_stop_before_action = false;
        if self.mood == Mood::Unsure {
            self.mood = Mood::Failing(Stall::Blocked);
        }
    }

    /// Whether the unit is up and neither a job nor a start that is owed is under way.
    pub(super) fn healthy_and_undisturbed(&self) -> bool {
        self.active == Active::Up && self.job.is_none()
    }

    pub(super) fn runs_or_starts(&self) -> bool {
        matches!(self.active, Active::Up | Active::Activating { .. }) || self.restart_after_stop
    }
}

/// Gatehound was killed.
struct Killed;

fn refused(action: &Action) -> Done {
    let why = || Line::new("refused by the test");
    match action {
        Action::Stop => Done::Stop(Err(why())),
        Action::Kill => Done::Kill(Err(why())),
        Action::Sweep(_) => Done::Sweep(Err(why())),
        _ => Done::Start(Err(why())),
    }
}

pub(super) fn failure(stall: Stall) -> Failure {
    let (probe, reason) = match stall {
        Stall::Gone => (Probe::Port, "nothing listens"),
        Stall::Answering => (Probe::Health, "no \"ok\": true"),
        Stall::Stopped | Stall::Blocked | Stall::Busy => (Probe::Http, "no answer within 5 s"),
    };
    Failure {
        probe,
        reason: reason.into(),
        stall,
    }
}

fn failing(stall: Stall) -> Health {
    Health::Failing(failure(stall))
}

/// Every record's text is one plain line that does not begin with a capital letter.
#[track_caller]
pub(super) fn check_text(record: &Record, state: &State) {
    let text = record.entry(state).text.to_string();
    assert!(
        text.starts_with(|c: char| c.is_lowercase()) && !text.ends_with('.'),
        "{text}"
    );
}
