//! What was seen: the words in which the adapters describe the world to the policy.
//!
//! Plain data. Nothing here looks, judges or acts.

use std::{net::IpAddr, ops::Add, time::Duration};

use serde::{Deserialize, Serialize};

use crate::text::line::Line;

/// A moment by CLOCK_MONOTONIC: microseconds since boot, suspends left out.
///
/// The kernel's clock rather than `std::time::Instant`, because moments are kept in the state file
/// and have to mean the same to the next process of the same boot.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// The time since `earlier`; zero if that lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

/// One run of the gateway unit, named by systemd's InvocationID (32 hexadecimal digits).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Invocation(pub String);

/// What a healthy gateway says of itself, beyond being alive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Useful {
    /// What `/ready` lists as failing; none where it did not say, as in versions that have none.
    pub failing: Option<Vec<Line>>,
    /// What this run said last of its crash-loop breaker; none where it did not mention it, or was not asked.
    pub breaker: Option<Breaker>,
}

/// What a run says of its crash-loop breaker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Breaker {
    /// It tripped, in the gateway's words: it runs without channels.
    Tripped(Line),
    /// Channels are started again.
    Recovered,
}

/// What the user manager says of the gateway unit, in systemd's own words.
///
/// Source: org.freedesktop.systemd1(5).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// `LoadState`: `loaded`, `not-found`, `masked`, `bad-setting`, `error`.
    pub load_state: String,
    /// `ActiveState`: `active`, `reloading`, `inactive`, `failed`, `activating`, `deactivating`.
    pub active_state: String,
    /// `SubState`: `running`, `dead`, `auto-restart`, `stop-sigterm` and so on.
    pub sub_state: String,
    /// `Result` of the last run: `success`, `exit-code`, `signal`, `timeout`, `start-limit-hit` and so on.
    pub result: String,
    /// `ExecMainStatus`: exit status, or the number of the signal that ended the main process.
    pub exec_main_status: i32,
    /// `ExecMainCode`: 1 exited, 2 killed, 3 dumped (wait(2)'s CLD_ codes), 0 none yet.
    pub exec_main_code: i32,
    /// `InvocationID` of the current or last run, if it ever ran.
    pub invocation_id: Option<Invocation>,
    /// `MainPID`, 0 when there is none.
    pub main_pid: u32,
    /// `ActiveEnterTimestampMonotonic`: when the current run became active; 0 if it never did.
    pub active_since: Monotonic,
    /// `ActiveEnterTimestamp`: the same by the wall clock, since the Unix epoch.
    /// For the times of files, never for the policy, because that clock can be set (rule 10).
    pub active_since_wall: Duration,
    /// `ExecMainExitTimestamp`: when the main process of the last run ended, by the wall clock likewise; 0 if none did.
    pub exited_wall: Duration,
    /// `ExecMainExitTimestampMonotonic`: when the main process of the last run ended; 0 if none did.
    pub exited: Monotonic,
    /// `InactiveExitTimestampMonotonic`: when the unit was last taken out of an inactive or failed state; 0 if it never was.
    pub left_inactive: Monotonic,
    /// `ActiveExitTimestampMonotonic`: when the unit last left its active state, by a crash for example; 0 if it never did.
    pub left_active: Monotonic,
    /// `StateChangeTimestampMonotonic`: when the unit's state changed last.
    pub state_changed: Monotonic,
    /// `ControlGroup`: path below the cgroup root, empty when there is none.
    pub control_group: String,
    /// The arguments of the first `ExecStart` command.
    pub exec_start: Vec<String>,
    /// `Environment`: assignments `NAME=value`.
    pub environment: Vec<String>,
    /// `Restart`: `always`, `on-failure`, `no` and so on.
    pub restart: String,
    /// `NRestarts`: runs that systemd began by itself since somebody asked for one.
    pub restarts: u32,
    /// `ExitType`: `main`, or `cgroup` where a run is over with its last process.
    pub exit_type: String,
    /// The arguments of the first `ExecStop` command.
    pub exec_stop: Vec<String>,
    /// `TimeoutStopUSec`: how long systemd gives a stop; none where it waits for ever.
    pub timeout_stop: Option<Duration>,
    /// `CanStart` is false: systemd takes no start of it, as with `RefuseManualStart=`, or without its file.
    pub cannot_start: bool,
    /// `CanStop` is false: systemd takes no stop of it, as with `RefuseManualStop=`.
    pub cannot_stop: bool,
    /// The condition or assertion that kept the last start from being made, as in a unit file; empty if none did.
    pub unmet: String,
    /// A unit that this one needs and that has failed, looked for while this one is down; empty if there is none.
    pub failed_dependency: String,
    /// Exit statuses of `RestartPreventExitStatus`.
    pub restart_prevent_exit_status: Vec<i32>,
    /// `FreezerState`: `running`, `freezing`, `frozen` and so on.
    pub freezer_state: String,
    /// `Job`: the job queued or running for the unit, if any.
    pub job: Option<Job>,
    /// `FragmentPath`: the unit file.
    pub fragment_path: String,
}

/// A job of the user manager.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Job {
    /// The manager's number for it.
    pub id: u32,
    /// Whether this process asked for it.
    pub ours: bool,
    /// What it does, where somebody else asked for it.
    pub kind: JobKind,
}

/// What a job does to the unit (`JobType` of org.freedesktop.systemd1(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// It starts the unit, or stops it first to start it again.
    Start,
    /// It stops the unit.
    Stop,
    /// Anything else, or nobody can tell.
    #[default]
    Other,
}

/// A process, with what identifies it beyond a pid that may be used again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Field 22 of /proc/PID/stat: start time in clock ticks since boot.
    pub start_time: u64,
    /// Effective user id of the process.
    pub uid: u32,
    /// Path of its cgroup below the cgroup2 root; empty when unknown.
    pub cgroup: String,
    /// Its command line, reduced to one line.
    pub command: Line,
}

/// A socket in LISTEN on the gateway's port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The address it is bound to.
    pub address: IpAddr,
    /// User id the kernel names as the socket's owner.
    pub uid: u32,
    /// Inode of the socket, which /proc/PID/fd links name.
    pub inode: u64,
    /// Connections the kernel has accepted for it that the process has not (Recv-Q).
    pub recv_queue: u32,
}

/// The outcome of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The gateway did what a healthy one does, within this time.
    Pass(Duration),
    /// It did not.
    Fail {
        /// What was seen instead.
        reason: Line,
        /// Whether an answer came at all, whatever it said.
        answered: bool,
    },
    /// Our own trouble; says nothing about the gateway.
    Unknown(Line),
}

/// What a cleanup sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// The three probes, in the order they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// Something listens on the port.
    Port,
    /// HTTP answers on `/`.
    Http,
    /// `/health` says `"ok": true`.
    Health,
}

/// What a failing gateway's process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stall {
    /// Nothing listens on the port.
    Gone,
    /// Stopped by a signal (state T) or frozen.
    Stopped,
    /// Its main thread waits for a lock, and nothing that could release it runs.
    Deadlocked,
    /// Its main thread waits for a child that was started when the stall began.
    Waiting,
    /// Its main thread waits for the disk.
    Disk,
    /// It is kept from running by a limit, or by want of memory or of a CPU.
    Starved,
    /// Sleeping, no CPU progress in its main thread while a request is pending, and nothing tells why.
    Blocked,
    /// Burning CPU while a request is pending.
    Busy,
    /// It answers requests, but not as a healthy gateway does.
    Answering,
}

/// How the gateway fails: which probe, why, and what its process is doing meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failure {
    /// The first probe that did not pass.
    pub probe: Probe,
    /// What was seen instead.
    pub reason: Line,
    /// What the process is doing.
    pub stall: Stall,
    /// The same in a sentence, with the numbers of this look, where there is more to say than [`Failure::stall`].
    #[serde(default)]
    pub detail: Line,
}

impl Failure {
    /// Whether this is the same way to fail: the numbers in the sentence are new with every look.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.probe, self.stall, &self.reason) == (other.probe, other.stall, &other.reason)
    }
}

/// What the probes of one check say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// This look made no probes.
    NotProbed,
    /// All three passed; `/health` took this long.
    Healthy(Duration),
    /// One failed.
    Failing(Failure),
    /// One could not tell.
    Unknown(Line),
}

/// A human's pause that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why, in the human's words, or which file says so.
    pub reason: Line,
    /// How long it still lasts; none for a flag file, which lasts until it is removed.
    pub remaining: Option<Duration>,
}

/// The gateway's configuration as it is, held against the one that is the last known good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The snapshot that is the last known good.
    pub snapshot: u32,
    /// The hash of what is there now, whatever is in it; none where not all of it can be read.
    pub content: Option<String>,
    /// It is the one that is the last known good.
    pub is_known_good: bool,
    /// Nobody has written to it since the last run of the gateway began, so that this is what the run refused.
    pub untouched: bool,
    /// A rollback was killed over it: some files are as they were known good, the others as they were refused.
    pub half_done: bool,
    /// A rollback has replaced this very content before, or began to.
    pub was_rejected: bool,
}

/// One look at the world. The unit and the pause are read after the probes,
/// so that a wish a human gave while a probe waited for its answer is known before anything is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// When it began; the policy's `now` is when it ended.
    pub began: Monotonic,
    /// The gateway's unit, or why the user manager could not be asked.
    pub unit: Result<UnitFacts, Line>,
    /// Whether somebody else's job for the unit, which may have been a stop, ended while a start is pending.
    pub foreign_job: bool,
    /// Stops by somebody else that joined ours since the last look.
    pub joined: u32,
    /// The pause in force, if any.
    pub pause: Option<Pause>,
    /// An update of the gateway that is going on, if any.
    pub update: Option<Line>,
    /// What the gateway's last run said of its end, looked up where the unit refused its configuration.
    pub last_words: Option<Line>,
    /// What gets the gateway going again, looked up with [`Look::last_words`]: the command that restores
    /// the configuration that is the last known good, where it is another one.
    pub remedy: Option<Line>,
    /// What became of the configuration since it was known good, looked up with [`Look::last_words`].
    pub config: Option<Config>,
    /// A tracer is attached to the gateway's process: a human is at work where it does not answer.
    /// Of one that answers that is known only after a tracer was seen.
    pub debugged: bool,
    /// The unit's processes do not run because somebody has frozen it: a human is at work.
    pub frozen: bool,
    /// The addresses at which this user listens on the gateway's port, with a space between.
    pub listens: Line,
    /// Who else listens on the gateway's port, at an address that the gateway needs, and must be left alone.
    pub port_holder: Option<Line>,
    /// A process of an earlier run of the unit that listens on the gateway's port, so that no new run can.
    pub left_over: Option<Line>,
    /// The gateway is too old for `/health` and was judged by `/` alone.
    pub without_health: bool,
    /// Whether the unit's processes used CPU since the last look, as far as that is known.
    pub progress: Option<bool>,
    /// It was seen to run after this moment, where the kernel was looked at since the last check.
    pub ran_after: Option<Monotonic>,
    /// What the probes say.
    pub health: Health,
}

impl Look {
    /// Who serves the port of a unit that cannot run: the gateway, perhaps, under another name.
    pub(super) fn served_by(&self) -> Line {
        let holder = self.port_holder.as_ref();
        holder.map_or_else(Line::default, |holder| {
            Line::new(&format!("its port is held by {holder}"))
        })
    }
}

impl Probe {
    /// The probe's word, as in `GATEHOUND_PROBE=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::Http => "http",
            Self::Health => "health",
        }
    }
}

impl Stall {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Gone,
        Self::Stopped,
        Self::Deadlocked,
        Self::Waiting,
        Self::Disk,
        Self::Starved,
        Self::Blocked,
        Self::Busy,
        Self::Answering,
    ];

    /// Whether it certainly does not end by itself: even a start is given no more time for it than anybody else.
    pub fn is_certain(self) -> bool {
        match self {
            Self::Stopped | Self::Deadlocked => true,
            Self::Gone
            | Self::Waiting
            | Self::Disk
            | Self::Starved
            | Self::Blocked
            | Self::Busy
            | Self::Answering => false,
        }
    }

    /// The stall's word, as in `GATEHOUND_STALL=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Stopped => "stopped",
            Self::Deadlocked => "deadlocked",
            Self::Waiting => "waiting",
            Self::Disk => "disk",
            Self::Starved => "starved",
            Self::Blocked => "blocked",
            Self::Busy => "busy",
            Self::Answering => "answering",
        }
    }
}
