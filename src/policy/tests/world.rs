//! A toy world for the policy: a clock, a gateway, a human, and as much of systemd as the policy can see.
//!
//! Every step taken in it is held against the rules that have to hold in every reachable state,
//! so each test of a single behaviour is a test of those too.

use std::{collections::BTreeSet, time::Duration};

use crate::policy::{
    CleanedUp, Done, Event, NotRestored, step,
    tests::action::{Action, actions},
};
use crate::{
    daemon::status_line::status,
    journal::{entry::Entry, kinds::Kind},
    policy::{
        answer::{Answer, Noted},
        facts::{
            Breaker, Config, Failure, Health, Invocation, Job, JobKind, Look, Monotonic, Pause,
            Probe, Process, Signal, Stall, UnitFacts, Useful,
        },
        record::Record,
        state::{Bite, Phase, Standby, State, Step},
    },
    settings::{RetryAfter, Rollback, Settings, limits::longest_step},
    text::{line::Line, words::Names},
};

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The unit's own WatchdogSec.
const WATCHDOG: Duration = secs(90);

/// What answers the events: the policy, or one that is broken on purpose.
pub(super) type StepFn = fn(&Settings, State, Event, Monotonic) -> (State, Answer);

/// How a successor makes the state file its memory.
pub(super) type RestoredFn = fn(State, Monotonic) -> State;

/// How many looks in a row may be asked for without waiting; a cleanup pass and a start need no more.
const LOOKS_AT_ONCE: u32 = 8;

/// How the gateway behaves while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mood {
    Healthy,
    Failing(Stall),
    Unknown,
}

/// Where the toy systemd has the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Active {
    Up,
    Down,
    Failed,
    Activating { until: Monotonic },
    Deactivating { until: Monotonic },
}

/// What kind of action something happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// The action is refused.
    Refused,
    /// Gatehound is killed before it is carried out.
    KilledBefore,
    /// Gatehound is killed when it has been carried out.
    KilledAfter,
}

/// What the rules are held against, kept apart from the policy's own memory,
/// so that a policy that remembers wrongly is not believed.
#[derive(Clone, Default, Hash)]
pub(super) struct Witness {
    /// The run that Gatehound set out to take down, or found given up, and has to bring back.
    pub(super) begun: Option<u32>,
    /// The run whose stop by Gatehound systemd took.
    pub(super) stopped: Option<u32>,
    /// A human stopped the gateway and nobody has started it since, whether or not that can be seen.
    pub(super) human_stopped: bool,
    /// A look has shown Gatehound that a human wants it down.
    pub(super) wish_seen: bool,
    /// The run that the last look showed.
    pub(super) seen: Option<u32>,
    /// The first failing look since one that was healthy, of this run.
    pub(super) failing_since: Option<Monotonic>,
    /// This run was healthy.
    pub(super) served: bool,
    /// The first look, in a row of nothing else, at which a deadlock was given time.
    pub(super) deadlocked_since: Option<Monotonic>,
    /// The first ping in a row of nothing else, of this run.
    pub(super) healthy_since: Option<Monotonic>,
    /// Since when every look has shown this run; a look without a bus shows none.
    pub(super) known_since: Option<Monotonic>,
    /// When the machine last woke up.
    pub(super) awake_since: Monotonic,
    /// When SIGKILL was sent, oldest first, once for each run.
    pub(super) forced: Vec<Monotonic>,
    pub(super) forced_run: Option<u32>,
    /// The last run whose configuration Gatehound set out to roll back.
    pub(super) restoring: Option<u32>,
    /// The last run whose configuration was replaced by the one that was known good.
    pub(super) restored: Option<u32>,
    /// Rollbacks since the gateway was seen healthy.
    pub(super) rollbacks: u32,
    /// A start was tried since Gatehound was asked to stop.
    pub(super) start_tried: bool,
    /// How long a Gatehound whose settings are wrong has to stay for a start that is pending.
    pub(super) leaves_by: Option<Monotonic>,
}

/// The moments by which systemd says in which order a run ended and its unit went down.
#[derive(Clone, Copy, Default, Hash)]
pub(super) struct Stamps {
    pub(super) exited: Monotonic,
    pub(super) left_active: Monotonic,
    pub(super) left_inactive: Monotonic,
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) step: StepFn,
    pub(super) restored: RestoredFn,
    pub(super) state: State,
    /// What the state file held last, newest last.
    pub(super) saved: Vec<State>,
    /// How many writes of the state file a successor may find; one that is not the last was followed by lost ones.
    pub(super) saves_kept: usize,
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
    pub(super) since: Monotonic,
    /// `Result`, `ExecMainCode`, `ExecMainStatus`.
    pub(super) ended: (&'static str, i32, i32),
    /// `ExecMainExitTimestampMonotonic`, `ActiveExitTimestampMonotonic` and `InactiveExitTimestampMonotonic`.
    pub(super) stamps: Stamps,
    /// `NRestarts`.
    pub(super) restarts: u32,
    /// The main process ended by itself, and systemd does not start the unit again.
    pub(super) ended_by_itself: bool,
    pub(super) job: Option<Job>,
    pub(super) jobs: u32,
    /// A predecessor's call may have made a job whose number it could not write down: the first one seen is taken for it.
    pub(super) unclaimed: bool,
    pub(super) restart_after_stop: bool,
    pub(super) start_takes: Duration,
    pub(super) stop_takes: Duration,
    /// systemd's own limit on a stop of the gateway.
    pub(super) timeout_stop: Duration,
    /// RestartSec of the gateway.
    pub(super) crash_pause: Duration,
    pub(super) ignores_sigterm: bool,
    pub(super) ignores_sigkill: bool,
    /// Cleanups that what is left of the gateway outlives.
    pub(super) leftovers: u8,
    /// A start job ends well and nothing runs.
    pub(super) unmet_condition: bool,
    /// A start job waits for another unit.
    pub(super) start_is_queued: bool,
    pub(super) other_serves: bool,
    /// What openclaw.json holds: 0 is what was known good, and anything else the gateway refuses.
    pub(super) content: u8,
    /// The gateway refuses what was known good as well.
    pub(super) refuses_all: bool,
    /// Nobody has written to openclaw.json since the last run ended.
    pub(super) untouched: bool,
    /// What is kept of what was rolled back.
    pub(super) rejected: BTreeSet<u8>,
    pub(super) degraded: Option<Line>,
    pub(super) breaker: Option<Line>,

    // What else a look shows.
    /// Somebody else's job ended while a start was pending, and no look has shown it yet.
    pub(super) foreign_job: bool,
    /// Stops that joined ours and were not looked at yet.
    pub(super) joined: u32,
    /// The unit's `ExecStop=` asks systemd for the stop that is going on.
    pub(super) exec_stop: bool,
    /// What is left of an earlier run has the port.
    pub(super) left_over: bool,
    pub(super) paused: bool,
    pub(super) updating: bool,
    pub(super) debugged: bool,
    pub(super) frozen: bool,
    pub(super) port_holder: bool,
    pub(super) progress: Option<bool>,
    /// What a pulse saw last.
    pub(super) ran_after: Option<Monotonic>,
    pub(super) no_bus: bool,
    pub(super) no_unit: bool,
    pub(super) look_takes: Duration,

    /// What befalls the next actions that change something.
    pub(super) faults: Vec<Fault>,
    /// A human stops the gateway after the look and before the next action.
    pub(super) human_stop_before_action: bool,
    /// Another run begins between the next look and what is done after it.
    pub(super) run_before_action: bool,
    /// A human writes another configuration after the look and before the next action.
    pub(super) human_edit_before_action: bool,

    // systemd's watchdog over Gatehound.
    pub(super) watchdog: Duration,
    pub(super) deadline: Option<Monotonic>,
    pub(super) bites: u32,

    /// Looks come at full ticks of this length, as on a machine that wakes the loop late; not at all when zero.
    pub(super) tick: Duration,
    pub(super) looks_at_once: u32,
    pub(super) witness: Witness,
}

/// A world whose gateway has just been started and is healthy.
pub(super) fn world() -> World {
    let now = Monotonic(1_000_000_000);
    World {
        settings: Settings::default(),
        step,
        restored: State::restored,
        state: State {
            next: now,
            ..State::default()
        },
        saved: Vec::new(),
        saves_kept: 1,
        now,
        log: Vec::new(),
        left: false,
        active: Active::Up,
        mood: Mood::Healthy,
        fresh: Mood::Healthy,
        run: 1,
        since: now,
        ended: ("success", 0, 0),
        stamps: Stamps {
            left_inactive: now,
            ..Stamps::default()
        },
        restarts: 0,
        ended_by_itself: false,
        job: None,
        jobs: 0,
        unclaimed: false,
        restart_after_stop: false,
        start_takes: Duration::ZERO,
        stop_takes: secs(1),
        timeout_stop: secs(330),
        crash_pause: secs(5),
        ignores_sigterm: false,
        ignores_sigkill: false,
        leftovers: 0,
        unmet_condition: false,
        start_is_queued: false,
        other_serves: false,
        content: 0,
        refuses_all: false,
        untouched: true,
        rejected: BTreeSet::new(),
        degraded: None,
        breaker: None,
        foreign_job: false,
        joined: 0,
        exec_stop: false,
        left_over: false,
        paused: false,
        updating: false,
        debugged: false,
        frozen: false,
        port_holder: false,
        progress: Some(true),
        ran_after: None,
        no_bus: false,
        no_unit: false,
        look_takes: Duration::ZERO,
        faults: Vec::new(),
        human_stop_before_action: false,
        run_before_action: false,
        human_edit_before_action: false,
        watchdog: WATCHDOG,
        deadline: Some(now + WATCHDOG),
        bites: 0,
        tick: Duration::ZERO,
        looks_at_once: 0,
        witness: Witness::default(),
    }
}

/// A world that pings for its gateway, with an empty log.
pub(super) fn healthy() -> World {
    let mut world = world();
    world.next_check();
    assert_eq!(world.phase(), "healthy");
    world.log.clear();
    world
}

/// A world whose gateway fails, this run and every later one, and that has just seen it for the first time.
pub(super) fn broken(stall: Stall) -> World {
    let mut world = healthy();
    world.breaks(stall);
    world.next_check();
    world
}

impl World {
    // What the gateway and its users do.

    pub(super) fn breaks(&mut self, stall: Stall) {
        self.mood = Mood::Failing(stall);
        self.fresh = self.mood;
    }

    pub(super) fn fixes(&mut self) {
        self.mood = Mood::Healthy;
        self.fresh = Mood::Healthy;
    }

    pub(super) fn human_stops(&mut self) {
        self.stop_unit(false);
        self.witness.human_stopped = true;
    }

    pub(super) fn human_starts(&mut self) {
        self.witness.wish_seen = false;
        self.witness.human_stopped = false;
        match self.active {
            Active::Deactivating { .. } => {
                self.restart_after_stop = true;
                let id = self.new_job_id();
                let kind = JobKind::Start;
                let ours = false;
                self.job = Some(Job { id, ours, kind });
            }
            Active::Up | Active::Activating { .. } => {}
            Active::Down | Active::Failed => {
                self.restarts = 0;
                self.begin_run();
                self.foreign_job_ended();
            }
        }
    }

    /// The main process ends with status 0, under `Restart=on-failure`.
    pub(super) fn ends_by_itself(&mut self) {
        if self.active != Active::Up {
            return;
        }
        self.ended = ("success", 1, 0);
        self.ended_by_itself = true;
        self.active = Active::Down;
        self.stamps.exited = self.now;
        self.stamps.left_active = self.now;
        self.job = None;
    }

    pub(super) fn human_restarts(&mut self) {
        self.stop_unit(false);
        self.human_starts();
    }

    /// A human writes openclaw.json.
    pub(super) fn human_edits(&mut self, content: u8) {
        self.content = content;
        self.untouched = false;
    }

    /// The main process exits with this status.
    pub(super) fn exits(&mut self, status: i32) {
        if self.active != Active::Up {
            return;
        }
        self.untouched = true;
        self.ended = ("exit-code", 1, status);
        self.stamps.exited = self.now;
        self.stamps.left_active = self.now;
        self.active = if status == 78 {
            Active::Failed
        } else {
            Active::Activating {
                until: self.now + self.crash_pause,
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

    /// Heard only while a start is pending.
    fn foreign_job_ended(&mut self) {
        self.foreign_job |=
            self.state.pending_start.is_some() && !std::mem::take(&mut self.unclaimed);
    }

    fn stop_unit(&mut self, ours: bool) -> u32 {
        let id = self.new_job_id();
        match self.active {
            Active::Up | Active::Activating { .. } => {
                let takes = if self.ignores_sigterm {
                    self.timeout_stop
                } else {
                    self.stop_takes
                };
                self.active = Active::Deactivating {
                    until: self.now + takes,
                };
                self.stamps.left_active = self.now;
                let kind = JobKind::Stop;
                self.job = Some(Job { id, ours, kind });
                self.restart_after_stop = false;
                self.joined += u32::from(self.exec_stop && ours);
                id
            }
            Active::Deactivating { .. } => match &self.job {
                // A second stop merges into the job of the first, which is signalled.
                Some(job) if !self.restart_after_stop => {
                    let heard = self.state.pending_start.is_some() && ours != job.ours;
                    self.joined += u32::from(heard);
                    job.id
                }
                _ => {
                    self.restart_after_stop = false;
                    let kind = JobKind::Stop;
                    self.job = Some(Job { id, ours, kind });
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
        self.stamps.exited = self
            .now
            .max(self.stamps.left_active + Duration::from_micros(1));
        if self.job.take().is_some_and(|job| !job.ours) {
            self.foreign_job_ended();
        }
        if std::mem::take(&mut self.restart_after_stop) {
            self.begin_run();
        }
    }

    fn begin_run(&mut self) {
        self.run += 1;
        self.mood = self.fresh;
        self.witness.wish_seen = false;
        self.witness.human_stopped = false;
        self.ended = ("success", 0, 0);
        self.ended_by_itself = false;
        self.stamps.exited = Monotonic::default();
        self.stamps.left_inactive = self.now;
        if self.refuses() {
            self.refused();
        } else if self.start_takes.is_zero() {
            self.active = Active::Up;
            self.since = self.now;
        } else {
            self.active = Active::Activating {
                until: self.now + self.start_takes,
            };
        }
    }

    fn refuses(&self) -> bool {
        self.content != 0 || self.refuses_all
    }

    fn refused(&mut self) {
        self.untouched = true;
        self.ended = ("exit-code", 1, 78);
        self.active = Active::Failed;
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
            // What runs is watched, whatever became of its file.
            active_state: if self.no_unit {
                "inactive"
            } else {
                active_state
            }
            .into(),
            sub_state: match self.active {
                Active::Activating { .. } if result == "exit-code" => "auto-restart",
                _ => "toy",
            }
            .into(),
            result: result.into(),
            exec_main_code: code,
            exec_main_status: status,
            invocation_id: Some(invocation(self.run)),
            active_since: self.since,
            exited: self.stamps.exited,
            left_active: self.stamps.left_active,
            left_inactive: self.stamps.left_inactive,
            restarts: self.restarts,
            timeout_stop: Some(self.timeout_stop),
            exec_stop: match self.exec_stop {
                true => vec!["openclaw".into(), "gateway".into(), "stop".into()],
                false => Vec::new(),
            },
            restart: match self.ended_by_itself {
                true => "on-failure".into(),
                false => "always".into(),
            },
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
                    self.restarts += 1;
                    self.stamps.exited = Monotonic::default();
                    self.mood = self.fresh;
                    self.ended = ("success", 0, 0);
                    if self.refuses() {
                        return self.refused();
                    }
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
                Phase::GaveUp {
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
        self.succeed_from(0);
    }

    /// The same, when the last `lost` writes of the state file did not reach it.
    pub(super) fn succeed_from(&mut self, lost: usize) {
        let index = self.saved.len().checked_sub(lost + 1);
        let found = index.and_then(|index| self.saved.get(index)).map(read_back);
        self.saved.truncate(index.map_or(0, |index| index + 1));
        self.state = found.map_or_else(State::default, |state| (self.restored)(state, self.now));
        self.state.next = self.now;
        self.left = false;
        self.witness.leaves_by = None;
        self.foreign_job = false;
        self.joined = 0;
        self.adopt();
        self.watchdog = WATCHDOG;
        self.deadline = Some(self.now + WATCHDOG);
        if 0 < lost {
            self.witness.forget(&self.state, self.run);
        }
    }

    /// Gatehound dies, and its successor's settings are wrong: it stays for nothing but a start that is pending.
    pub(super) fn succeed_with_wrong_settings(&mut self, limit: Duration) {
        self.succeed();
        self.left = self.state.pending_start.is_none();
        if self.left {
            self.deadline = None;
            return;
        }
        self.state.leave_after_start(self.now + limit);
        self.witness.leaves_by = Some(self.now + limit);
        self.witness.start_tried = false;
    }

    /// What `OwnJobs::adopt` does with the number of the stop, or without one.
    fn adopt(&mut self) {
        let pending_start = self.state.pending_start.as_ref();
        self.unclaimed =
            pending_start.is_some_and(|pending_start| pending_start.stop_job.is_none());
        let known = pending_start.and_then(|pending_start| pending_start.stop_job);
        if let Some(job) = &mut self.job {
            job.ours = std::mem::take(&mut self.unclaimed) || known == Some(job.id);
        }
    }

    /// What the daemon does before it carries anything out.
    fn save(&mut self) {
        let state = self.state.durable();
        if self.saved.last() == Some(&state) {
            return;
        }
        let surplus = (self.saved.len() + 1).saturating_sub(self.saves_kept.max(1));
        self.saved.drain(..surplus);
        self.saved.push(state);
    }

    // Checks.

    pub(super) fn look(&mut self) -> Look {
        let began = self.now;
        let probes = self.state.wants_probes();
        if probes {
            self.advance_to(began + self.look_takes);
        }
        let serving = self.active == Active::Up;
        let health = match self.mood {
            _ if !probes => Health::NotProbed,
            _ if self.left_over => failing(Stall::Gone),
            _ if self.other_serves => Health::Healthy(Duration::from_millis(3)),
            _ if !serving => failing(Stall::Gone),
            Mood::Healthy => Health::Healthy(Duration::from_millis(3)),
            Mood::Failing(stall) => failing(stall),
            Mood::Unknown => Health::Unknown("too many open files".into()),
        };
        Look {
            began,
            unit: if self.no_bus {
                Err("no user manager".into())
            } else {
                Ok(self.unit())
            },
            foreign_job: std::mem::take(&mut self.foreign_job),
            joined: std::mem::take(&mut self.joined),
            pause: self.paused.then(|| Pause {
                reason: "maintenance".into(),
                remaining: None,
            }),
            update: self
                .updating
                .then(|| "openclaw-update-1.scope is running".into()),
            debugged: self.debugged,
            frozen: self.frozen,
            remedy: None,
            config: (self.ended.2 == 78).then(|| Config {
                snapshot: 1,
                content: Some(self.content.to_string()),
                is_known_good: self.content == 0,
                untouched: self.untouched,
                half_done: false,
                was_rejected: self.rejected.contains(&self.content),
            }),
            last_words: None,
            listens: Line::default(),
            port_holder: self.port_holder.then(|| "pid 9 (sshd) of user 1001".into()),
            left_over: self.left_over.then(|| "pid 8 (node)".into()),
            without_health: false,
            progress: self.progress,
            ran_after: self.ran_after,
            health,
        }
    }

    /// Waits for the next look, makes it, and does what follows from it.
    pub(super) fn next_check(&mut self) {
        self.advance_to(self.next_look());
        let look = self.look();
        self.happens(Event::Looked(Box::new(look)));
    }

    fn next_look(&self) -> Monotonic {
        let tick = u64::try_from(self.tick.as_micros()).expect("a tick is short");
        match tick {
            0 => self.state.next,
            tick => Monotonic(self.state.next.0.next_multiple_of(tick)),
        }
    }

    /// Time passes without a look.
    pub(super) fn advance(&mut self, time: Duration) {
        self.advance_to(self.now + time);
    }

    /// systemd's watchdog over Gatehound begins to run now.
    pub(super) fn watchdog_starts(&mut self) {
        self.deadline = Some(self.now + self.watchdog);
    }

    pub(super) fn without_watchdog(&mut self) {
        self.deadline = None;
    }

    /// Half of the time to the next look passes.
    pub(super) fn passes(&mut self) {
        let half = self.next_look().since(self.now) / 2;
        let tick = self.tick.max(Duration::from_micros(1)).as_micros();
        let ticks = u32::try_from(half.as_micros() / tick).unwrap_or(u32::MAX);
        self.advance_to(self.now + self.tick.max(Duration::from_micros(1)) * ticks);
    }

    /// Somebody cancels the job that stops the gateway before it has begun.
    pub(super) fn cancel_stop(&mut self) {
        if !matches!(self.active, Active::Deactivating { .. }) {
            return;
        }
        self.active = Active::Up;
        self.job = None;
        self.witness.wish_seen = false;
        self.witness.human_stopped = false;
    }

    /// Nobody runs for that long, as between Gatehound's death and its successor; then the successor looks.
    pub(super) fn check_later(&mut self, time: Duration) {
        self.deadline = None;
        self.advance_to(self.now + time);
        self.succeed();
        self.next_check();
    }

    /// Lets the loop run for that long.
    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while !self.left && self.state.next <= end {
            self.next_check();
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
            self.next_check();
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
            self.next_check();
        }
    }

    /// Takes one step, checks it, and carries out its actions.
    pub(super) fn happens(&mut self, event: Event) {
        if event == Event::Leave {
            self.witness.leaves_by = None;
        }
        let before = self.state.clone();
        let at_once = matches!(event, Event::Looked(_)) && self.state.next == self.now;
        let (state, answer) = (self.step)(
            &self.settings,
            std::mem::take(&mut self.state),
            event.clone(),
            self.now,
        );
        let actions = actions(&answer);
        self.state = state;
        // Jobs are of interest from the moment a start is pending.
        self.foreign_job &= self.state.pending_start.is_some();
        self.unclaimed &= self.state.pending_start.is_some();
        self.check(&before, &event, &actions);
        self.save();
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
            Action::Ping { restore } => {
                if *restore {
                    self.watchdog = WATCHDOG;
                }
                assert!(
                    self.watchdog == WATCHDOG,
                    "rule 2: pinged under a watchdog timeout"
                );
                self.deadline = Some(self.now + self.watchdog);
                return Ok(None);
            }
            Action::Timeout(timeout) => {
                self.watchdog = *timeout;
                self.deadline = Some(self.now + *timeout);
                return Ok(None);
            }
            Action::Record(_) | Action::KeepEvidence => return Ok(None),
            Action::AskReadiness => {
                let useful = Useful {
                    failing: Some(self.degraded.iter().cloned().collect()),
                    breaker: Some(match &self.breaker {
                        Some(what) => Breaker::Tripped(what.clone()),
                        None => Breaker::Recovered,
                    }),
                };
                return Ok(Some(Done::Readiness(useful)));
            }
            Action::Leave => {
                self.left = true;
                self.deadline = None;
                return Ok(None);
            }
            Action::Stop
            | Action::Kill
            | Action::Cleanup(_)
            | Action::Restore { .. }
            | Action::Start => {}
        }
        if std::mem::take(&mut self.human_edit_before_action) {
            self.human_edits(2);
        }
        if std::mem::take(&mut self.human_stop_before_action) {
            self.human_stops();
        }
        if std::mem::take(&mut self.run_before_action) {
            self.begin_run();
            // Whatever is done is done to this one.
            self.witness.begun = Some(self.run);
        }
        let fault = self.faults.pop();
        match fault {
            Some(Fault::Refused) => {
                self.witness.start_tried |= *action == Action::Start;
                if matches!(action, Action::Restore { .. }) {
                    // What cannot be restored is said, and nothing is pending for it.
                    self.witness.restored = None;
                }
                return Ok(Some(refused(action)));
            }
            Some(Fault::KilledBefore) => {
                if matches!(action, Action::Restore { .. }) {
                    // What was refused is kept first.
                    self.rejected.insert(self.content);
                }
                self.succeed();
                return Err(Killed);
            }
            Some(Fault::KilledAfter) | None => {}
        }
        self.witness.start_tried |= *action == Action::Start;
        let done = self.does(action);
        if fault == Some(Fault::KilledAfter) {
            if *action == Action::Stop {
                // That systemd took it was never heard.
                self.witness.stopped = None;
            }
            self.succeed();
            return Err(Killed);
        }
        Ok(done)
    }

    fn does(&mut self, action: &Action) -> Option<Done> {
        match action {
            Action::Stop => {
                self.unclaimed = false;
                assert!(
                    self.witness.stopped != Some(self.run),
                    "rule 5: run {} is stopped twice",
                    self.run
                );
                self.witness.stopped = Some(self.run);
                Some(Done::Stop(Ok(self.stop_unit(true))))
            }
            Action::Kill => {
                if matches!(self.active, Active::Deactivating { .. }) && !self.ignores_sigkill {
                    self.stop_ends(true);
                }
                Some(Done::Kill(Ok(())))
            }
            Action::Cleanup(_) => Some(Done::Cleanup(Ok(self.cleanup()))),
            Action::Restore { judged, .. } => Some(Done::Restored(self.restore(judged))),
            Action::Start => {
                if self.start_is_queued {
                    let id = self.new_job_id();
                    self.job = Some(Job {
                        id,
                        ours: true,
                        kind: JobKind::Start,
                    });
                } else if matches!(self.active, Active::Down | Active::Failed)
                    && !self.unmet_condition
                {
                    self.restarts = 0;
                    self.begin_run();
                }
                Some(Done::Start(Ok(())))
            }
            Action::Ping { .. }
            | Action::Timeout(_)
            | Action::Record(_)
            | Action::KeepEvidence
            | Action::AskReadiness
            | Action::Leave => None,
        }
    }

    fn restore(&mut self, judged: &str) -> Result<Line, NotRestored> {
        if self.content.to_string() != judged {
            // Somebody is at work on it, and has the next word.
            self.witness.restored = None;
            return Err(NotRestored::Changed);
        }
        if self.content != 0 {
            self.witness.rollbacks += 1;
            let once = self.witness.rollbacks == 1;
            assert!(once, "rule 7: rolled back again without a healthy run");
            self.rejected.insert(self.content);
            self.content = 0;
            self.untouched = false;
        }
        self.witness.restored = Some(self.run);
        Ok("/state/config/2.json".into())
    }

    fn cleanup(&mut self) -> CleanedUp {
        let holder = Process {
            pid: 77,
            start_time: 1,
            uid: 1000,
            cgroup: String::new(),
            command: "leftover".into(),
        };
        let mut cleaned_up = CleanedUp::default();
        if std::mem::take(&mut self.left_over) {
            cleaned_up.signalled.push(holder.clone());
        }
        if 0 < self.leftovers {
            self.leftovers -= 1;
            cleaned_up.signalled.push(holder.clone());
            if 0 < self.leftovers {
                cleaned_up.left.push(holder);
            }
        }
        cleaned_up.port_holder = self.port_holder.then(|| "pid 9 (sshd) of user 1001".into());
        cleaned_up
    }

    // What has to hold at every step.

    fn check(&mut self, before: &State, event: &Event, actions: &[Action]) {
        if *event == Event::Suspected {
            let same = State {
                next: before.next,
                timeout_set: before.timeout_set,
                ..self.state.clone()
            } == *before;
            let silent = !actions.iter().any(|it| matches!(it, Action::Record(_)));
            assert!(same && silent, "rule 4: suspicion alone did {actions:?}");
        }
        self.check_watchdog(event, actions);
        self.check_next(event);
        if let Event::Looked(look) = event {
            self.note_look(look);
        }
        self.check_grace(event);
        self.check_attempts(before, event, actions);
        let acts = |action: &&Action| {
            matches!(
                action,
                Action::Stop
                    | Action::Kill
                    | Action::Cleanup(_)
                    | Action::Restore { .. }
                    | Action::Start
            )
        };
        for action in actions.iter().filter(acts) {
            self.check_act(event, action);
        }
        for action in actions {
            match action {
                Action::Record(noted) => check_text(&noted.record, &self.state),
                Action::Leave => self.check_leave(),
                Action::Ping { .. }
                | Action::Timeout(_)
                | Action::KeepEvidence
                | Action::AskReadiness
                | Action::Stop
                | Action::Kill
                | Action::Cleanup(_)
                | Action::Restore { .. }
                | Action::Start => {}
            }
        }
        match event {
            // What passes while nobody looks does not count either.
            Event::Resumed | Event::HeldUp(_) => self.witness.awake_since = self.now,
            Event::Leave => self.witness.start_tried = false,
            // Who asks for a new beginning means a run whose stop was cancelled as well.
            Event::Reset if self.state.pending_start.is_none() => self.witness.stopped = None,
            Event::Looked(_) | Event::Done(_) | Event::Suspected | Event::Reset => {}
        }
    }

    /// What cannot end by itself is not waited for longer than its grace, while its evidence stands.
    fn check_grace(&mut self, event: &Event) {
        let deadlocked = matches!(
            event,
            Event::Looked(look) if look.health == failing(Stall::Deadlocked)
        );
        let since = &mut self.witness.deadlocked_since;
        let (Event::Looked(look), true, Phase::Failing(_)) = (event, deadlocked, &self.state.phase)
        else {
            *since = None;
            return;
        };
        let waited = self.now.since(*since.get_or_insert(look.began));
        assert!(
            waited < self.settings.grace.deadlocked,
            "grace: a deadlock was given {waited:?}"
        );
    }

    /// Rules 1 and 2.
    fn check_watchdog(&self, event: &Event, actions: &[Action]) {
        let healthy = matches!(
            event,
            Event::Looked(look) if matches!(look.health, Health::Healthy(_)) && look.pause.is_none()
        );
        let pings = actions
            .iter()
            .filter(|action| matches!(action, Action::Ping { .. }))
            .count();
        assert!(
            pings == 0 || healthy && pings == 1,
            "rule 1: pinged after {event:?}"
        );
        let said = status(&self.settings, &self.state, Names::default(), self.now);
        assert!(
            said.as_str().starts_with(self.state.phase.name()),
            "STATUS does not begin with the phase: {said}"
        );
        let bound = self.pace() + longest_step(&self.settings) * 2;
        let timeouts: Vec<Duration> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Timeout(timeout) => Some(*timeout),
                _ => None,
            })
            .collect();
        for timeout in &timeouts {
            assert!(
                secs(0) < *timeout && *timeout <= bound,
                "rule 2: a watchdog timeout of {timeout:?}"
            );
        }
        let leaving = actions.contains(&Action::Leave);
        match &self.state.phase {
            Phase::Healthy { .. } => assert!(
                timeouts.is_empty(),
                "rule 2: healthy under a watchdog timeout"
            ),
            Phase::GaveUp {
                bite: Bite::Due, ..
            } => {}
            _ => assert!(
                leaving || !timeouts.is_empty(),
                "rule 2: no watchdog timeout in {said}"
            ),
        }
    }

    fn pace(&self) -> Duration {
        self.settings.interval.max(self.settings.grace.interval)
    }

    fn check_next(&self, event: &Event) {
        let next = self.state.next;
        assert!(
            next <= self.now + self.pace(),
            "the next look is {:?} away",
            next.since(self.now)
        );
        let asked = matches!(event, Event::Leave | Event::Done(_)) || self.state.leaving;
        assert!(asked || self.now <= next, "the next look is in the past");
    }

    /// What a look shows, and how long it has shown it.
    fn note_look(&mut self, look: &Look) {
        let run = self.run;
        let witness = &mut self.witness;
        let up = |unit: &UnitFacts| unit.active_state == "active";
        if look.unit.as_ref().is_ok_and(up) && witness.seen.replace(run) != Some(run) {
            witness.failing_since = None;
            witness.served = false;
            witness.healthy_since = None;
            witness.known_since = None;
        }
        match (&look.unit, &mut witness.known_since) {
            (Err(_), known) => *known = None,
            (Ok(_), known) => {
                known.get_or_insert(self.now);
            }
        }
        match look.health {
            Health::Healthy(_) => {
                witness.failing_since = None;
                witness.served = true;
            }
            Health::Failing(_) => {
                witness.failing_since.get_or_insert(look.began);
            }
            Health::Unknown(_) | Health::NotProbed => {}
        }
        if look
            .config
            .as_ref()
            .is_some_and(|config| !config.is_known_good)
        {
            // Somebody has put another one there since.
            witness.restored = None;
        }
        let Ok(unit) = &look.unit else { return };
        if unit.load_state != "loaded" {
            return;
        }
        if up(unit) && matches!(look.health, Health::Healthy(_)) {
            witness.rollbacks = 0;
        }
        if up(unit) && unit.job.is_none() && matches!(look.health, Health::Healthy(_)) {
            witness.begun = None;
        }
        let down = unit.active_state == "inactive" && !self.ended_by_itself;
        if witness.begun != Some(run) {
            let job = unit.job.is_some() && !self.restart_after_stop;
            witness.wish_seen |= down || unit.active_state == "deactivating" && job;
        } else if down || unit.active_state == "failed" {
            let joined = u32::from(self.exec_stop) < look.joined;
            witness.wish_seen |= look.foreign_job || joined;
        }
    }

    /// Rule 9.
    fn check_attempts(&mut self, before: &State, event: &Event, actions: &[Action]) {
        let pinged = actions
            .iter()
            .any(|action| matches!(action, Action::Ping { .. }));
        let Event::Looked(look) = event else {
            let kept = before.attempts.used <= self.state.attempts.used;
            assert!(
                kept || *event == Event::Reset,
                "rule 9: {event:?} took the attempts back"
            );
            return;
        };
        let now = self.now;
        let since = pinged.then(|| *self.witness.healthy_since.get_or_insert(now));
        let settled = since.is_some_and(|since| self.settings.reset_after <= now.since(since));
        self.witness.healthy_since = since;
        let down = look
            .unit
            .as_ref()
            .is_ok_and(|unit| matches!(unit.active_state.as_str(), "inactive" | "failed"));
        let rested = match (&before.phase, self.settings.retry_after) {
            (Phase::GaveUp { since, .. }, RetryAfter::After(rest)) => rest <= now.since(*since),
            _ => false,
        };
        // An attempt whose stop nobody asked for was never taken.
        let untaken = before.pending_start.is_some()
            && self.state.attempts.used + 1 == before.attempts.used
            && self.witness.stopped != Some(self.run);
        if self.state.attempts.used < before.attempts.used {
            assert!(
                settled || down || rested || untaken,
                "rule 9: the attempts went back after {:?} of health",
                since.map(|since| now.since(since))
            );
        }
        let known = self.witness.known_since;
        let known = known.is_some_and(|since| self.settings.reset_after <= now.since(since));
        assert!(
            !(settled && known) || self.state.attempts.used == 0,
            "rule 9: the attempts did not go back"
        );
    }

    /// Rules 3, 4, 6, 7, 8 and 10.
    fn check_act(&mut self, event: &Event, action: &Action) {
        let Event::Looked(look) = event else {
            panic!("rule 4: {action:?} in answer to {event:?}");
        };
        assert!(look.pause.is_none(), "rule 3: {action:?} while paused");
        assert!(look.update.is_none(), "rule 3: {action:?} during an update");
        let touches = !matches!(action, Action::Kill);
        assert!(
            !touches || look.port_holder.is_none(),
            "rule 12: {action:?} while somebody else has the port"
        );
        let unit = look.unit.as_ref().expect("rule 3: acted without a bus");
        let loaded = unit.load_state == "loaded";
        assert!(loaded, "rule 3: {action:?} on no unit");
        let exit_78 = unit.active_state == "failed"
            && (unit.exec_main_code, unit.exec_main_status) == (1, 78);
        let restored = self.witness.restored == Some(self.run) && self.content == 0;
        let restored = restored && *action == Action::Start;
        let restores = matches!(action, Action::Restore { .. });
        assert!(
            restored || restores || !exit_78,
            "rule 7: {action:?} after exit status 78"
        );
        if exit_78 {
            assert!(!look.debugged, "rule 3: {action:?} while debugged");
            let free = look.health == failing(Stall::Gone) && look.port_holder.is_none();
            assert!(free, "rule 4: {action:?} while the port is taken");
        }
        let recovered = *action == Action::Stop && !matches!(look.health, Health::Failing(_));
        assert!(!recovered, "rule 4: {action:?} of one that recovered");
        assert!(
            !self.witness.wish_seen,
            "rule 8: {action:?} although a human wants it down"
        );
        if restores {
            self.check_restore(look, exit_78);
            self.witness.begun = Some(self.run);
            return;
        }
        self.check_standing(unit, look, action);
        if *action == Action::Stop || self.witness.begun != Some(self.run) {
            self.check_second_look(look, action);
        }
        let (awake, limit) = (
            self.now.since(self.witness.awake_since),
            &self.settings.stop_timeout,
        );
        assert!(
            *action != Action::Kill || limit.stuck.min(limit.hung).min(limit.draining) <= awake,
            "rule 10: {action:?} {awake:?} after a suspend"
        );
        if matches!(action, Action::Kill | Action::Cleanup(Signal::Kill)) {
            self.note_forced();
        }
        self.witness.begun = Some(self.run);
    }

    /// Rule 7: what is rolled back was refused, nobody is at work on it, and it is done once.
    fn check_restore(&mut self, look: &Look, exit_78: bool) {
        let asked = self.settings.rollback == Rollback::Auto;
        assert!(asked, "rule 7: rolled back, and nobody asked for it");
        assert!(exit_78, "rule 7: rolled back what was not refused");
        let config = look.config.as_ref().expect("rule 7: rolled back unseen");
        if self.witness.restoring.replace(self.run) == Some(self.run) {
            return;
        }
        assert!(config.untouched, "rule 7: rolled back what a human wrote");
        assert!(!config.was_rejected, "rule 7: rolled back twice");
    }

    /// Rule 3: the unit is in a state in which this may be done to it.
    fn check_standing(&self, unit: &UnitFacts, look: &Look, action: &Action) {
        let given_up = unit.active_state == "failed" && unit.result == "start-limit-hit";
        let given_up = given_up || self.ended_by_itself;
        // Somebody has it started anew, and what hangs does not stop by itself.
        let restarted = unit
            .job
            .as_ref()
            .is_some_and(|job| job.kind == JobKind::Start);
        let restarted = restarted && *action == Action::Kill;
        let ours = self.witness.begun == Some(self.run);
        let fits = match (action, unit.active_state.as_str()) {
            (Action::Stop, "active") => !look.debugged && !look.frozen,
            (Action::Kill, "deactivating") if restarted => true,
            (Action::Kill, "active" | "deactivating") | (Action::Start, "inactive" | "failed") => {
                ours
            }
            (Action::Cleanup(_), "inactive") => ours || given_up,
            (Action::Cleanup(_), "failed") => ours || given_up,
            // What is left of an earlier run lets no other begin.
            (Action::Stop, "activating") => look.left_over.is_some(),
            _ => false,
        };
        assert!(fits, "rule 3: {action:?} on {unit:?}");
        let foreign = unit.job.as_ref().is_some_and(|job| !job.ours);
        assert!(
            !foreign || restarted,
            "rule 3: {action:?} during a job of somebody else"
        );
    }

    /// Rules 4 and 10: a restart begins with a look after the backoff, and with grace since a suspend.
    fn check_second_look(&self, look: &Look, action: &Action) {
        let backoff = self.settings.backoff.first().copied().unwrap_or_default();
        let failing = self
            .witness
            .failing_since
            .map(|since| self.now.since(since));
        assert!(
            failing.is_some_and(|failing| backoff <= failing),
            "rule 4: {action:?} at the first look, {failing:?} after it failed"
        );
        let Health::Failing(failure) = &look.health else {
            return;
        };
        let grace = &self.settings.grace;
        let waits = failure.stall == Stall::Waiting && self.witness.served;
        assert!(
            !waits || failing.is_some_and(|failing| grace.waiting <= failing),
            "grace: {action:?} of one that waits, {failing:?} after it failed"
        );
        // What was gone when its grace was over may have become anything else since.
        let least = grace
            .of(failure.stall)
            .min(grace.gone)
            .min(grace.starting)
            .min(grace.starting_idle);
        let awake = self.now.since(self.witness.awake_since);
        // One that was deadlocked when the delay began, and is of another kind now, has used its time all the while.
        let first = match failure.stall {
            Stall::Gone | Stall::Stopped | Stall::Answering => least,
            Stall::Deadlocked
            | Stall::Waiting
            | Stall::Disk
            | Stall::Starved
            | Stall::Blocked
            | Stall::Busy => least.min(grace.deadlocked),
        };
        assert!(
            least.max(first + backoff) <= awake,
            "rule 10: {action:?} {awake:?} after a suspend"
        );
    }

    /// Rule 6, counted from outside: a run that needed SIGKILL is one forced stop.
    fn note_forced(&mut self) {
        if self.witness.forced_run == Some(self.run) {
            return;
        }
        self.witness.forced_run = Some(self.run);
        let (now, window) = (self.now, self.settings.forced_stops.window);
        let forced = &mut self.witness.forced;
        forced.retain(|at| now.since(*at) < window);
        forced.push(now);
        assert!(
            forced.len() <= self.settings.forced_stops.limit,
            "rule 6: {} forced stops within {window:?}",
            forced.len()
        );
    }

    /// Rule 8: a restart that is under way is finished first, if it can be.
    fn check_leave(&self) {
        let restarting = matches!(self.state.phase, Phase::Restarting(_));
        let down = matches!(self.active, Active::Down | Active::Failed);
        let pending = restarting && down && self.wanted();
        assert!(
            !pending || self.witness.start_tried,
            "rule 8: left the gateway down"
        );
        let nobody_comes = self.witness.leaves_by.is_some_and(|it| self.now < it);
        assert!(
            !nobody_comes || !self.wanted() || self.runs_or_starts(),
            "rule 8: left the gateway down for good"
        );
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

    pub(super) fn pings(&self) -> usize {
        self.log
            .iter()
            .filter(|(_, done)| matches!(done, Action::Ping { .. }))
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
                    Action::Stop
                        | Action::Kill
                        | Action::Cleanup(_)
                        | Action::Restore { .. }
                        | Action::Start
                )
            })
            .cloned()
            .collect()
    }

    /// The kinds of all records, in order.
    pub(super) fn events(&self) -> Vec<&'static str> {
        self.records()
            .iter()
            .map(|record| Kind::of(record).event())
            .collect()
    }

    pub(super) fn records(&self) -> Vec<Record> {
        self.noted().into_iter().map(|noted| noted.record).collect()
    }

    /// All records with their incidents, in order.
    pub(super) fn noted(&self) -> Vec<Noted> {
        self.log
            .iter()
            .filter_map(|(_, done)| match done {
                Action::Record(noted) => Some(noted.clone()),
                _ => None,
            })
            .collect()
    }

    /// The texts of the records of one kind.
    pub(super) fn texts(&self, event: &str) -> Vec<String> {
        self.records()
            .iter()
            .filter(|record| Kind::of(record).event() == event)
            .map(|record| {
                Entry::of(record, None, &self.state, Names::default())
                    .text
                    .to_string()
            })
            .collect()
    }

    pub(super) fn status(&self) -> String {
        status(&self.settings, &self.state, Names::default(), self.now).to_string()
    }

    /// Whether nobody and nothing stands in the way of a restart, so that health is only a matter of time.
    pub(super) fn wanted(&self) -> bool {
        let witness = &self.witness;
        let pending = self.state.pending_start.as_ref();
        let heard = self.foreign_job || pending.is_some_and(|pending| pending.foreign_job);
        let ours = witness.begun == Some(self.run) && !witness.human_stopped;
        match self.active {
            // A run whose stop was cancelled is not stopped again.
            Active::Up => witness.stopped != Some(self.run),
            Active::Activating { .. } => true,
            Active::Deactivating { .. } => self.restart_after_stop || ours,
            // Where nobody saw the run, nobody knows that it was not stopped.
            Active::Down if self.ended_by_itself => {
                self.state.gateway.was_seen() && !witness.human_stopped
            }
            Active::Down => ours,
            Active::Failed if self.ended.2 == 78 => {
                let restored = witness.restored == Some(self.run) && self.content == 0;
                restored && !witness.human_stopped && !heard
            }
            Active::Failed if self.ended.0 == "start-limit-hit" => !witness.human_stopped && !heard,
            Active::Failed => ours,
        }
    }

    /// Whether nothing but a rollback brings the gateway back, nobody objects to one, and there was none of it before.
    pub(super) fn rollback_is_due(&self) -> bool {
        self.settings.rollback == Rollback::Auto
            && (&self.active, self.ended.2) == (&Active::Failed, 78)
            && self.content != 0
            && self.untouched
            && !self.rejected.contains(&self.content)
            && self.state.rollback.is_none()
            && !self.witness.human_stopped
    }

    /// Whether a start is pending that begins no run however often it is tried.
    pub(super) fn starts_in_vain(&self) -> bool {
        let down = matches!(self.active, Active::Down | Active::Failed);
        let tried = self.unmet_condition && self.state.pending_start.is_some();
        down && tried && self.wanted() && !self.state.leaving
    }

    /// Whether the gateway does not work, or cannot be asked, and nobody wants that.
    pub(super) fn is_broken(&self) -> bool {
        let works = self.active == Active::Up && self.mood == Mood::Healthy && !self.left_over;
        self.wanted() && !works && !self.no_unit
    }

    /// Every adversity ends, and runs that begin from now on are healthy.
    pub(super) fn peace(&mut self) {
        self.fresh = Mood::Healthy;
        self.paused = false;
        self.updating = false;
        self.debugged = false;
        self.port_holder = false;
        self.left_over = false;
        self.no_bus = false;
        self.no_unit = false;
        self.other_serves = false;
        self.ignores_sigkill = false;
        self.leftovers = 0;
        self.unmet_condition = false;
        self.start_takes = Duration::ZERO;
        self.faults.clear();
        self.human_stop_before_action = false;
        self.run_before_action = false;
        self.human_edit_before_action = false;
        self.refuses_all = false;
        self.content = 0;
        if self.mood == Mood::Unknown {
            self.mood = Mood::Failing(Stall::Blocked);
        }
    }

    /// Whether the unit is up and neither a job nor a start that is pending is under way.
    pub(super) fn healthy_and_undisturbed(&self) -> bool {
        self.active == Active::Up && self.job.is_none()
    }

    pub(super) fn runs_or_starts(&self) -> bool {
        matches!(self.active, Active::Up | Active::Activating { .. }) || self.restart_after_stop
    }
}

impl Witness {
    /// Nobody can be held to what was lost with the writes of the state file.
    fn forget(&mut self, state: &State, run: u32) {
        let pending_start = state.pending_start.as_ref();
        let pending_start =
            pending_start.and_then(|pending_start| pending_start.invocation.as_ref());
        self.begun = pending_start
            .is_some_and(|pending_start| *pending_start == invocation(run))
            .then_some(run);
        if !state.gateway.stopped {
            self.stopped = None;
        }
        if !state.rolls_back() {
            self.restored = None;
        }
        if state.rollback.as_ref().is_none_or(|last| last.served) {
            self.rollbacks = 0;
        }
        self.forced = state.forced.clone();
        self.forced_run = None;
        self.served &= state.gateway.has_served(Some(&invocation(run)));
        self.awake_since = state.awake_since;
        // A stop of a unit that systemd gave up on shows nowhere else; any other is seen again at the next look.
        let remembered = state.unwanted == Some(invocation(run));
        let heard = state
            .pending_start
            .as_ref()
            .is_some_and(|pending_start| pending_start.foreign_job);
        self.wish_seen &= remembered || heard;
        self.healthy_since = match state.phase {
            Phase::Healthy { since, .. } => Some(since),
            _ => None,
        };
    }
}

/// Gatehound was killed.
struct Killed;

fn read_back(state: &State) -> State {
    let saved = serde_json::to_string(state).expect("the state is plain data");
    let read: State = serde_json::from_str(&saved).expect("it was written a moment ago");
    assert_eq!(read, *state);
    read
}

pub(super) fn invocation(run: u32) -> Invocation {
    Invocation(format!("run{run}"))
}

fn refused(action: &Action) -> Done {
    let why = || Line::new("refused by the test");
    match action {
        Action::Stop => Done::Stop(Err(why())),
        Action::Kill => Done::Kill(Err(why())),
        Action::Cleanup(_) => Done::Cleanup(Err(why())),
        Action::Restore { .. } => Done::Restored(Err(NotRestored::Failed(why()))),
        _ => Done::Start(Err(why())),
    }
}

pub(super) fn failure(stall: Stall) -> Failure {
    let (probe, reason) = match stall {
        Stall::Gone => (Probe::Port, "nothing listens"),
        Stall::Answering => (Probe::Health, "no \"ok\": true"),
        Stall::Stopped
        | Stall::Deadlocked
        | Stall::Waiting
        | Stall::Disk
        | Stall::Starved
        | Stall::Blocked
        | Stall::Busy => (Probe::Http, "no answer within 5 s"),
    };
    Failure {
        probe,
        reason: reason.into(),
        stall,
        detail: Line::default(),
    }
}

pub(super) fn failing(stall: Stall) -> Health {
    Health::Failing(failure(stall))
}

/// Every record's text is one plain line that does not begin with a capital letter.
#[track_caller]
pub(super) fn check_text(record: &Record, state: &State) {
    let text = Entry::of(record, None, state, Names::default())
        .text
        .to_string();
    assert!(
        text.starts_with(|c: char| c.is_lowercase()) && !text.ends_with('.'),
        "{text}"
    );
}
