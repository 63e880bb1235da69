//! `gatehound run`: the one loop, in one thread, that looks, asks the policy and does what it says.
//!
//! Owns the order: the state is saved before any action is carried out,
//! so that a successor knows what was begun.
//! It judges nothing; that is `decide`'s.

pub mod look;
pub mod status_line;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    time::Duration,
};

use crate::alerts::handover::{Alerts, Check};
use crate::metrics::sampling::Metrics;
use crate::{
    alerts::alert::Told,
    daemon::status_line::{before_the_first_look, status},
    journal::writer::Journal,
    metrics::exposition::Counts,
    os::{
        boot_id,
        clock::Clock,
        fault, folders,
        own_files::{self, Kept, Lock, StateFile},
        processes,
        wake::Waker,
        wall_clock,
    },
    other_watchdogs::crontab,
    policy::{
        CleanedUp, Done, Event, NotRestored,
        answer::{Answer, Effect, Noted, WatchdogMessage},
        facts::{Health, Monotonic, Process, Signal},
        record::Record,
        state::{Phase, State},
        step,
    },
    probe::{
        gateway::{self, Finder},
        http::Target,
        openclaw_files::Place,
        readiness,
    },
    recovery::{cleanup, evidence::Evidence, incident_files},
    settings::{
        Settings,
        layers::{self, ConfigError, Sources},
        limits::{CLEANUP_GRACE, KEEP_LIMIT, MANAGER_LIMIT, READY_LIMIT, RESTORE_LIMIT},
    },
    snapshots::store::{self, Proof, Snapshot, Store},
    systemd::{
        ManagerError, UserManager,
        notify::{Notifier, Watchdog},
    },
    text::{line::Line, words::Names},
};
use look::{Seen, Senses};

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The settings are wrong: exit status 78, because a restart cannot help.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Anything else: exit status 1.
    #[error("{0}")]
    Other(Line),
}

impl From<Line> for RunError {
    fn from(line: Line) -> Self {
        Self::Other(line)
    }
}

/// A suspend shorter than this is scheduling noise between two clock reads.
const SUSPEND: Duration = Duration::from_secs(1);

/// A look that is this late has missed another: Gatehound was stopped, or the machine stood still without a suspend.
const HELD_UP: Duration = Duration::from_secs(5);

/// How long a Gatehound whose settings are wrong stays for a start that is pending: longer than an update may take.
const PENDING_START_LIMIT: Duration = Duration::from_secs(40 * 60);

/// Units with such a name are taken for other watchdogs of the gateway.
const OTHER_WATCHDOGS: &str = "*openclaw*watchdog*";

/// Runs until it is told to stop.
///
/// # Errors
/// The settings are wrong, another Gatehound watches this gateway, or the machine lacks what the loop stands on.
pub fn run(sources: Sources) -> Result<(), RunError> {
    let mut notifier = Notifier::from_env();
    let ran = run_notifying(sources, &mut notifier);
    if let Err(error) = &ran {
        // journald may lose which unit a line came from when its process is gone before journald has looked at it.
        // That this cannot be told either is no reason to tell less through the exit status.
        let _ = notifier.tell(Watchdog::Silence, &Line::new(&error.to_string()));
    }
    ran
}

fn run_notifying(mut sources: Sources, notifier: &mut Notifier) -> Result<(), RunError> {
    sources.watchdog = notifier.watchdog();
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref())?;
    own_files::ensure_private_dir(&dir)?;
    let own_cgroup = own_cgroup(Path::new(PROC));
    let own_unit = own_unit(&own_cgroup, sources.profile.as_deref());
    let lock = Lock::take(&dir, &own_unit).map_err(|e| Line::new(&e.to_string()))?;
    let own = Own {
        unit: own_unit,
        cgroup: own_cgroup,
        lock,
    };
    match layers::load(&sources) {
        Ok(loaded) => {
            let (mut daemon, kept) = Daemon::new(loaded.settings, sources, dir, own)?;
            daemon.begin(notifier, kept, loaded.warnings);
            daemon.watch(notifier);
            daemon.end(notifier);
            Ok(())
        }
        Err(wrong) => {
            start_what_is_pending(sources, dir, own, notifier, &wrong)?;
            Err(wrong.into())
        }
    }
}

/// Starts the gateway if a predecessor stopped it and was ended before it could start it again.
///
/// For a run whose settings are wrong: the gateway must not stay down for that, and systemd starts no other after it.
/// So it waits for what is in the way of the start, such as a pause or an update, but not for ever.
/// Its watchdog timeouts extend TimeoutStartSec=, because systemd has not been told that Gatehound is ready, and will not be.
fn start_what_is_pending(
    sources: Sources,
    dir: PathBuf,
    own: Own,
    notifier: &mut Notifier,
    wrong: &ConfigError,
) -> Result<(), Line> {
    let Kept::Restored(memory) = StateFile::<Memory>::new(&dir, &boot_id::get()?).peek() else {
        return Ok(());
    };
    if memory.state.pending_start.is_none() {
        return Ok(());
    }
    let mut settings = Settings::default();
    settings.gateway.unit = Some(memory.unit);
    let (mut daemon, _) = Daemon::new(settings, sources, dir, own)?;
    daemon.warn(Line::new(&format!(
        "{wrong}; starting the gateway that was stopped before, then leaving"
    )));
    daemon
        .state
        .settle(daemon.senses.clock.now() + PENDING_START_LIMIT);
    daemon.watch(notifier);
    Ok(())
}

/// The running kernel's proc file system.
const PROC: &str = "/proc";

/// What Gatehound knows of itself, and what makes it the only one.
struct Own {
    unit: String,
    cgroup: String,
    lock: Lock,
}

/// What is kept in the state file.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Memory {
    /// Gatehound's own unit.
    pub own_unit: String,
    /// The gateway's unit the state is about.
    pub unit: String,
    /// The policy's memory.
    pub state: State,
    /// Which alerts were told.
    #[serde(default)]
    pub told: Told,
    /// What was counted for the metrics.
    #[serde(default)]
    pub counts: Counts,
}

impl Memory {
    /// The state file's content; reading it changes nothing, even if it makes no sense.
    pub fn peek(dir: &Path) -> Option<Self> {
        let boot_id = boot_id::get().ok()?;
        match StateFile::new(dir, &boot_id).peek() {
            Kept::Restored(memory) => Some(memory),
            Kept::Fresh | Kept::OtherBoot | Kept::Rejected(_) => None,
        }
    }
}

/// What of a predecessor's memory is gone on with.
struct Recalled {
    state: State,
    told: Told,
    counts: Counts,
    left: Left,
}

/// What a predecessor left behind.
enum Left {
    /// Nothing.
    Nothing,
    /// Its memory; the successor goes on with it.
    Memory,
    /// Something that cannot be gone on with; the line says what.
    Other(Line),
}

/// The predecessor's state, where it is about the same unit.
fn recall(file: &StateFile<Memory>, unit: &str, now: Monotonic) -> Recalled {
    let left = match file.load() {
        Kept::Restored(memory) if memory.unit == unit => {
            return Recalled {
                state: memory.state.restored(now),
                told: memory.told,
                counts: memory.counts,
                left: Left::Memory,
            };
        }
        Kept::Restored(memory) => {
            let text = format!("the state kept is about {}, not used", memory.unit);
            Left::Other(Line::new(&text))
        }
        Kept::Rejected(why) => Left::Other(why),
        Kept::Fresh | Kept::OtherBoot => Left::Nothing,
    };
    Recalled {
        state: State {
            next: now,
            ..State::default()
        },
        told: Told::default(),
        counts: Counts::default(),
        left,
    }
}

/// The cgroup of this process; empty when it cannot be seen.
fn own_cgroup(proc: &Path) -> String {
    processes::process(proc, std::process::id()).map_or_else(String::new, |process| process.cgroup)
}

/// Gatehound's own unit: the one its cgroup is named for, else the shipped name.
fn own_unit(cgroup: &str, profile: Option<&str>) -> String {
    let unit = cgroup.rsplit('/').next().unwrap_or_default();
    match profile {
        _ if unit.starts_with("gatehound") && unit.ends_with(".service") => unit.to_owned(),
        Some(profile) => format!("gatehound@{profile}.service"),
        None => "gatehound.service".to_owned(),
    }
}

/// What tells this Gatehound from every other that runs under this kernel, as a number.
fn seed(boot_id: &str, own_unit: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let user = nix::unistd::geteuid().as_raw();
    (boot_id, own_unit, user).hash(&mut hasher);
    hasher.finish()
}

fn start(manager: &mut UserManager, unit: &str) -> Result<(), Line> {
    // The start limit may have been reached by what came before.
    let done = manager
        .reset_failed(unit)
        .inspect(|()| fault::point("failures forgotten"))
        .and_then(|()| manager.start(unit))
        .map(drop);
    done.map_err(|e| Line::new(&e.to_string()))
}

/// The run that was looked at, if it is up and its configuration can be found; a unit that does not say when the run
/// was started proves nothing.
fn proof(seen: &Seen) -> Option<Proof> {
    let unit = seen.look.unit.as_ref().ok()?;
    let is_known = unit.active_state == "active" && !unit.active_since_wall.is_zero();
    Some(Proof {
        run: unit.invocation_id.clone().filter(|_| is_known)?.0,
        started: unit.active_since_wall,
        place: seen.found.place()?,
    })
}

/// A rollback on its way: the hash of what is rolled back, and what becomes of it.
type Restoring = (String, Receiver<Result<Line, NotRestored>>);

struct Daemon {
    settings: Settings,
    sources: Sources,
    senses: Senses,
    waker: Waker,
    file: StateFile<Memory>,
    state: State,
    journal: Journal,
    /// The option that names the profile, for commands in texts.
    profile: String,
    own: Own,
    /// The port that was probed last.
    port: u16,
    /// The addresses at which the gateway needs it.
    addresses: Vec<IpAddr>,
    /// Where the gateway answered last.
    target: Option<Target>,
    /// What was taken down for a restart that may follow.
    evidence: Option<Evidence>,
    alerts: Alerts,
    metrics: Metrics,
    /// What would prove the configuration good if the run that was looked at last is found healthy.
    proof: Option<Proof>,
    /// The run that was found healthy and whose configuration was looked at for that.
    known_good: Option<String>,
    /// The configuration that is being kept meanwhile.
    keeping: Option<Receiver<Result<Option<Snapshot>, Line>>>,
    /// Where the gateway's configuration was when it was last looked for.
    place: Option<Place>,
    /// The rollback that the disk has not finished yet.
    restoring: Option<Restoring>,
    /// The state as the file holds it, with the alerts that were told and what was counted.
    saved: Option<(State, Told, Counts)>,
    /// Time spent suspended since boot.
    suspended: Duration,
    /// Warnings that stand and were already written.
    warned: Vec<Line>,
    /// Why the state was not kept when it was last to be, if it was not.
    unsaved: Option<Line>,
    /// Why the manager was not told when it was last to be, if it was not.
    untold: Option<Line>,
    /// Whether the last check pinged.
    pinged: bool,
    leaving: bool,
}

impl Daemon {
    fn new(
        settings: Settings,
        sources: Sources,
        dir: PathBuf,
        own: Own,
    ) -> Result<(Self, Left), Line> {
        let boot_id = boot_id::get()?;
        let mut manager =
            UserManager::new(None, MANAGER_LIMIT).map_err(|e| Line::new(&e.to_string()))?;
        let unit = gateway::unit_name(&settings, sources.profile.as_deref());
        let file = StateFile::new(&dir, &boot_id);
        let Recalled {
            mut state,
            told,
            counts,
            left,
        } = recall(&file, &unit, Clock.now());
        state.seed = Some(seed(&boot_id, &own.unit));
        let profile = sources.profile.as_deref();
        let profile_option = folders::profile_option(profile);
        let state_folder = folders::state(&sources.variables, profile);
        let alerts = Alerts::new(told, state_folder, profile, Clock.now());
        let finder = Finder::new(&sources.variables);
        if let Some(pending_start) = &state.pending_start {
            manager.adopt(pending_start.stop_job);
        }
        let mut daemon = Self {
            settings,
            sources,
            waker: Waker::new(&dir)?,
            senses: Senses::new(
                PathBuf::from(PROC),
                dir,
                boot_id,
                unit,
                finder,
                Clock,
                manager,
            ),
            file,
            state,
            journal: Journal::open(),
            profile: profile_option,
            own,
            port: gateway::DEFAULT_PORT,
            addresses: Vec::new(),
            target: None,
            evidence: None,
            alerts,
            metrics: Metrics::new(counts),
            proof: None,
            known_good: None,
            keeping: None,
            place: None,
            restoring: None,
            saved: None,
            suspended: Clock.suspended(),
            warned: Vec::new(),
            unsaved: None,
            untold: None,
            pinged: false,
            leaving: false,
        };
        daemon.senses.profile.clone_from(&daemon.profile);
        daemon.senses.kept = daemon.store().map(|store| {
            let profile = daemon.sources.profile.as_deref();
            (store, store::restore_command(profile))
        });
        Ok((daemon, left))
    }

    /// Tells everybody that the watching begins.
    fn begin(&mut self, notifier: &mut Notifier, left: Left, warnings: Vec<Line>) {
        let status = before_the_first_look(&self.state, &self.senses.unit);
        let told = notifier.ready(&status);
        self.warn_on_error(told);
        fault::point("ready");
        if !notifier.supervised() {
            let text =
                "no service manager listens (NOTIFY_SOCKET is not set); watching without one";
            self.warn(Line::new(text));
        }
        self.record(Record::Watching {
            unit: Line::new(&self.senses.unit),
            restored: matches!(left, Left::Memory),
        });
        if let Left::Other(what) = left {
            self.warn(what);
        }
        warnings.into_iter().for_each(|warning| self.warn(warning));
        self.warn_of_other_watchdogs();
        if own_files::take_reset(&self.senses.dir) {
            self.handle(Event::Reset, notifier);
        }
    }

    /// Says at the start who else may restart the gateway, as far as the sandbox lets that be seen.
    ///
    /// The user's own crontab is not: crontab(1) needs its set-group-ID bit, which the sandbox takes away.
    fn warn_of_other_watchdogs(&mut self) {
        let jobs = crontab::of_system(Path::new(crontab::ETC), None);
        let jobs = jobs
            .iter()
            .map(|(path, line)| format!("{}: {line}", path.display()));
        // A manager that cannot be asked is the first look's to tell.
        let units = self.senses.manager.active_units(OTHER_WATCHDOGS);
        for other_watchdog in jobs.chain(units.unwrap_or_default()) {
            self.warn(Line::new(&format!(
                "another watchdog may restart the gateway against this one; gatehound doctor{} says what to do: {other_watchdog}",
                self.profile
            )));
        }
    }

    /// The status line, with what ails Gatehound itself at its end.
    fn status(&self) -> Line {
        let status = status(
            &self.settings,
            &self.state,
            names(&self.senses, &self.profile),
            self.senses.clock.now(),
        );
        if self.unsaved.is_none() && self.journal.kept_back() == 0 {
            return status;
        }
        let mut text = status.to_string();
        if self.unsaved.is_some() {
            text += "; its state cannot be kept";
        }
        match self.journal.kept_back() {
            0 => {}
            1 => text += "; the journal takes nothing, 1 record kept back",
            records => text += &format!("; the journal takes nothing, {records} records kept back"),
        }
        Line::new(&text)
    }

    /// Writes the records that the journal did not take before, if it takes them now.
    fn write_late(&mut self) {
        self.journal.flush();
        match self.journal.take_lost() {
            0 => {}
            lost => self.warn(Line::new(&format!(
                "{lost} records are lost, because the journal did not take them; going on"
            ))),
        }
    }

    /// Leaves when another Gatehound took the lock, which is possible once the runtime folder was removed.
    fn stay_alone(&mut self, notifier: &mut Notifier) {
        if self.state.leaving {
            return;
        }
        match self.own.lock.keep(&self.senses.dir, &self.own.unit) {
            Ok(false) => {}
            Ok(true) => self.waker.watch(&self.senses.dir),
            Err(why) => {
                self.warn(Line::new(&format!("{why}; leaving the gateway to it")));
                self.handle(Event::Leave, notifier);
            }
        }
    }

    fn end(&mut self, notifier: &Notifier) {
        self.record(Record::Leaving);
        self.warn_on_error(notifier.stopping());
    }

    fn watch(&mut self, notifier: &mut Notifier) {
        let mut look = true;
        while !self.leaving {
            self.write_late();
            if look {
                self.stay_alone(notifier);
                let seen = self.look();
                self.port = seen.found.port;
                self.target = seen.target();
                self.addresses.clone_from(&seen.needs);
                self.proof = proof(&seen);
                self.place = seen.found.place();
                let health = seen.look.health.clone();
                self.pinged = false;
                self.handle(Event::Looked(Box::new(seen.look)), notifier);
                self.alert();
                self.publish(&health);
            }
            if self.leaving {
                break;
            }
            self.keep_config();
            look = self.sleep(notifier);
        }
    }

    /// Has told what is due to be told, after everything that the check led to is done.
    ///
    /// The queue comes before the memory of it: a successor tells it rather twice than never.
    fn alert(&mut self) {
        let now = self.senses.clock.now();
        let round = Check {
            state: &self.state,
            names: names(&self.senses, &self.profile),
            pinged: self.pinged,
            now,
        };
        let failed = self.alerts.after(&self.settings.alert, &round);
        self.save();
        if let Some(why) = failed {
            self.warn(why);
        }
    }

    /// Has the check written for whoever reads metrics; nobody waits for the disk.
    fn publish(&mut self, health: &Health) {
        let now = self.senses.clock.now();
        let around = crate::metrics::sampling::Around {
            settings: &self.settings,
            profile: self.sources.profile.as_deref(),
            unit: &self.senses.unit,
            uid: self.senses.uid,
        };
        if let Some(why) = self.metrics.after(&around, &self.state, health, now) {
            self.warn(why);
        }
    }

    fn store(&self) -> Option<Store> {
        let state = folders::state(&self.sources.variables, self.sources.profile.as_deref());
        state.ok().as_deref().map(Store::new)
    }

    /// Has the configuration of a run kept, once, when the run is first found healthy.
    /// Nobody waits for the disk: what became of it is told in a later check.
    fn keep_config(&mut self) {
        match self.keeping.as_ref().map(Receiver::try_recv) {
            Some(Err(TryRecvError::Empty)) => return,
            Some(Ok(kept)) => self.config_kept(kept),
            Some(Err(TryRecvError::Disconnected)) | None => {}
        }
        self.keeping = None;
        if !matches!(self.state.phase, Phase::Healthy { .. }) {
            return;
        }
        let new = |proof: &Proof| self.known_good.as_ref() != Some(&proof.run);
        let (Some(proof), Some(store)) = (self.proof.take().filter(new), self.store()) else {
            return;
        };
        self.known_good = Some(proof.run.clone());
        let keep = self.settings.snapshots.keep;
        let target = self.target;
        let version = move || readiness::version(&target?, READY_LIMIT);
        match store::keep_known_good(store, proof, version, wall_clock::now(), keep) {
            Ok(keeping) => self.keeping = Some(keeping),
            Err(why) => self.config_kept(Err(why)),
        }
    }

    fn config_kept(&mut self, kept: Result<Option<Snapshot>, Line>) {
        match kept {
            Ok(Some(kept)) => {
                let path = kept
                    .files
                    .first()
                    .map(|file| file.path.display().to_string());
                self.record(Record::SnapshotKept {
                    snapshot: kept.number,
                    path: Line::new(&path.unwrap_or_default()),
                });
            }
            Ok(None) => {}
            Err(why) => self.warn(Line::new(&format!(
                "the gateway's configuration is not kept: {why}; going on without"
            ))),
        }
    }

    /// Sleeps until the next look; says whether it is time for it.
    fn sleep(&mut self, notifier: &mut Notifier) -> bool {
        let wait = self.state.next.since(self.senses.clock.now());
        let wake = self.waker.sleep(wait);
        let suspended = self.senses.clock.suspended();
        let late = self.senses.clock.now().since(self.state.next);
        if SUSPEND < suspended.saturating_sub(self.suspended) || HELD_UP < late {
            self.handle(Event::Resumed, notifier);
        }
        self.suspended = suspended;
        if wake.reload {
            self.reload(notifier);
        }
        if wake.leave {
            self.handle(Event::Leave, notifier);
        }
        if wake.request && own_files::take_reset(&self.senses.dir) {
            self.handle(Event::Reset, notifier);
        }
        wake.request || self.state.next <= self.senses.clock.now()
    }

    fn look(&mut self) -> Seen {
        if self.state.pending_start.is_some() {
            let unit = self.senses.unit.clone();
            // Without a bus the look says so itself.
            let _ = self.senses.manager.watch_jobs(&unit);
        }
        let now = self.senses.clock.now();
        if let Some(stall) = self.state.wants_evidence(&self.settings, now) {
            self.evidence = Some(self.senses.evidence(&self.settings, stall));
        }
        let probe = self.state.wants_probes();
        let known = &self.state.addresses;
        let mut seen = self.senses.look(&self.settings, probe, known);
        if self.state.pending_start.is_some() {
            seen.look.foreign_job = self
                .senses
                .manager
                .foreign_jobs()
                .is_ok_and(|jobs| !jobs.is_empty());
        }
        self.warn_once(std::mem::take(&mut seen.warnings));
        seen
    }

    /// Lets the policy answer an event, and carries its answer out until nothing follows from it.
    fn handle(&mut self, event: Event, notifier: &mut Notifier) {
        let mut event = Some(event);
        while let Some(next) = event.take() {
            let now = self.senses.clock.now();
            let pending_start = self.state.pending_start.is_some();
            let (state, answer) = step(&self.settings, self.state.clone(), next, now);
            self.metrics.counts.add(&self.state, &state, &answer);
            self.state = state;
            fault::answered(&self.state, &answer);
            fault::point("decided");
            self.watch_jobs_while_pending(pending_start);
            self.save();
            event = self.carry_out(&answer, notifier);
        }
    }

    /// Foreign jobs are watched from before the stop until the gateway runs again.
    fn watch_jobs_while_pending(&mut self, pending_start: bool) {
        match (pending_start, self.state.pending_start.is_some()) {
            (false, true) => {
                let unit = self.senses.unit.clone();
                if let Err(why) = self.senses.manager.watch_jobs(&unit) {
                    self.warn(Line::new(&format!(
                        "{why}; a stop by a human may go unseen until the gateway runs again"
                    )));
                }
            }
            (true, false) => self.senses.manager.unwatch_jobs(),
            (true, true) | (false, false) => {}
        }
    }

    /// The evidence comes first, because the records say what is about to happen; systemd is said the phase before the effect,
    /// which may take long.
    fn carry_out(&mut self, answer: &Answer, notifier: &mut Notifier) -> Option<Event> {
        if answer.effect.as_ref().is_some_and(Effect::begins_restart) {
            self.keep_evidence();
        }
        for noted in &answer.records {
            self.write(noted);
        }
        self.leaving |= answer.leave;
        let watchdog = match answer.watchdog {
            Some(WatchdogMessage::Ping { restore: true }) => Watchdog::PingAndRestore,
            Some(WatchdogMessage::Ping { restore: false }) => Watchdog::Ping,
            Some(WatchdogMessage::Timeout(timeout)) => Watchdog::Timeout(timeout),
            None => Watchdog::Silence,
        };
        let status = self.status();
        if matches!(watchdog, Watchdog::Ping | Watchdog::PingAndRestore) {
            self.pinged = true;
            self.metrics.pinged = Some(wall_clock::now());
        }
        match notifier.tell(watchdog, &status) {
            Ok(()) => self.untold = None,
            // In each check, as long as it stands.
            Err(why) if self.untold.as_ref() == Some(&why) => {}
            Err(why) => {
                self.warn(why.clone());
                self.untold = Some(why);
            }
        }
        fault::point("told systemd");
        let done = self.act(answer.effect.as_ref()?);
        fault::point("acted");
        Some(Event::Done(done))
    }

    fn act(&mut self, effect: &Effect) -> Done {
        let unit = self.senses.unit.clone();
        let manager = &mut self.senses.manager;
        let line = |e: ManagerError| Line::new(&e.to_string());
        match effect {
            Effect::AskReadiness => Done::Readiness(self.ask_readiness()),
            Effect::Stop { .. } => Done::Stop(manager.stop(&unit).map_err(line)),
            Effect::Kill => Done::Kill(manager.kill(&unit).map_err(line)),
            Effect::Cleanup { signal, .. } => Done::Cleanup(self.cleanup(*signal)),
            Effect::Restore {
                snapshot,
                rejected,
                judged,
            } => Done::Restored(self.roll_back(*snapshot, rejected, judged)),
            Effect::Start => Done::Start(start(manager, &unit)),
        }
    }

    /// Writes down what the look before this decision took; a disk that is full or slow delays nothing.
    fn keep_evidence(&mut self) {
        let Some(evidence) = self.evidence.take() else {
            return;
        };
        // Not the attempt, which comes again when Gatehound tries again.
        let (incident, restart) = match &self.state.incident {
            Some(incident) => (incident.id.as_str(), incident.restarts.saturating_add(1)),
            None => ("", 1),
        };
        let kept = folders::state(&self.sources.variables, self.sources.profile.as_deref())
            .and_then(|state| {
                incident_files::save(&state, incident, restart, &evidence, KEEP_LIMIT)
            })
            .map(|path| Line::new(&path.display().to_string()));
        fault::point("evidence kept");
        self.record(Record::Evidence {
            summary: evidence.summary(),
            fields: evidence.fields(),
            kept,
        });
    }

    /// Waits for the disk no longer than it may; what it has not done by then goes on, and is asked after again.
    fn roll_back(
        &mut self,
        snapshot: u32,
        rejected: &str,
        judged: &str,
    ) -> Result<Line, NotRestored> {
        let (of, restoring) = match self.restoring.take() {
            Some(restoring) => restoring,
            None => {
                let nowhere = || NotRestored::Failed("its place is not known".into());
                let run = self.state.rollback.as_ref();
                let order = store::Order {
                    place: self.place.clone().ok_or_else(nowhere)?,
                    snapshot,
                    rejected: rejected.to_owned(),
                    judged: judged.to_owned(),
                    run: run.and_then(|last| Some(last.run.clone()?.0)),
                    now: wall_clock::now(),
                    keep: self.settings.snapshots.keep,
                };
                let store = self.store().ok_or_else(nowhere)?;
                let restoring = store::roll_back_in_thread(store, order);
                (rejected.to_owned(), restoring.map_err(NotRestored::Failed)?)
            }
        };
        match restoring.recv_timeout(RESTORE_LIMIT) {
            Ok(restored) if of == rejected => restored,
            // An older one is over, which nobody waited for any more.
            Ok(_) => Err(NotRestored::Late),
            Err(RecvTimeoutError::Timeout) => {
                self.restoring = Some((of, restoring));
                Err(NotRestored::Late)
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(NotRestored::Failed("it ended without a word".into()))
            }
        }
    }

    fn ask_readiness(&mut self) -> Option<Line> {
        let run = self.state.gateway.invocation.clone();
        self.senses.degraded(&self.target?, run.as_ref())
    }

    fn cleanup(&mut self, signal: Signal) -> Result<CleanedUp, Line> {
        let Some(pending_start) = &self.state.pending_start else {
            return Ok(CleanedUp::default());
        };
        let territory = cleanup::Territory {
            proc: &self.senses.proc,
            cgroups: self.senses.cgroups.as_deref(),
            unit: &self.senses.unit,
            port: self.port,
            addresses: &self.addresses,
            control_group: &pending_start.control_group,
            invocation: pending_start.invocation.as_ref(),
            uid: self.senses.uid,
            own_cgroup: &self.own.cgroup,
        };
        let cleaned_up = cleanup::cleanup(&territory, signal, CLEANUP_GRACE)?;
        for (process, why) in cleaned_up.unsignalled {
            self.warn(Line::new(&format!(
                "not signalled pid {}: {why}",
                process.pid
            )));
        }
        let processes =
            |list: Vec<(Process, _)>| list.into_iter().map(|(process, _)| process).collect();
        Ok(CleanedUp {
            signalled: processes(cleaned_up.signalled),
            left: processes(cleaned_up.left),
            port_holder: cleaned_up
                .foreign
                .first()
                .map(|holder| Line::new(&holder.to_string())),
        })
    }

    fn save(&mut self) {
        let state = self.state.durable();
        let told = self.alerts.told.clone();
        let now = (state, told, self.metrics.counts);
        if self.saved.as_ref() == Some(&now) {
            return;
        }
        let (state, told, counts) = now;
        let memory = Memory {
            own_unit: self.own.unit.clone(),
            unit: self.senses.unit.clone(),
            state,
            told,
            counts,
        };
        // Whoever cleans up the runtime folder may take this one along.
        let made = own_files::ensure_private_dir(&self.senses.dir);
        match made.and_then(|()| self.file.save(&memory)) {
            Ok(()) => {
                self.saved = Some((memory.state, memory.told, memory.counts));
                self.unsaved = None;
                fault::point("state saved");
            }
            Err(why) => self.not_saved(why),
        }
    }

    /// A gateway that hangs is worse than a memory that would not survive this process.
    fn not_saved(&mut self, why: Line) {
        if self.unsaved.as_ref() != Some(&why) {
            self.warn(Line::new(&format!(
                "{why}; going on without keeping the state"
            )));
            self.unsaved = Some(why);
        }
    }

    fn reload(&mut self, notifier: &mut Notifier) {
        let told = notifier.reloading();
        self.warn_on_error(told);
        match layers::load(&self.sources) {
            Ok(loaded) => {
                self.settings = loaded.settings;
                self.record(Record::Reloaded);
                let unit = gateway::unit_name(&self.settings, self.sources.profile.as_deref());
                if unit != self.senses.unit {
                    self.warn(Line::new(&format!(
                        "gateway.unit is {unit} now; still watching {}, until a restart of gatehound",
                        self.senses.unit
                    )));
                }
                loaded
                    .warnings
                    .into_iter()
                    .for_each(|warning| self.warn(warning));
            }
            Err(e) => self.warn(Line::new(&format!(
                "{e}; keeping the settings as they were"
            ))),
        }
        let status = self.status();
        let told = notifier.ready(&status);
        self.warn_on_error(told);
    }

    /// Writes a record of the daemon's own, which is of the incident that is open.
    fn record(&mut self, record: Record) {
        let incident = self.state.incident.as_ref();
        self.write(&Noted {
            incident: incident.map(|incident| incident.id.clone()),
            record,
        });
    }

    fn write(&mut self, noted: &Noted) {
        let names = names(&self.senses, &self.profile);
        self.journal.write(noted, &self.state, names);
        fault::point("record written");
    }

    fn warn(&mut self, text: Line) {
        self.record(Record::Warning { text });
    }

    fn warn_on_error(&mut self, result: Result<(), Line>) {
        if let Err(text) = result {
            self.warn(text);
        }
    }

    /// Writes each warning when it first stands, not in every check.
    fn warn_once(&mut self, standing: Vec<Line>) {
        for text in &standing {
            if !self.warned.contains(text) {
                self.warn(text.clone());
            }
        }
        self.warned = standing;
    }
}

/// What the commands in a text are given, without borrowing all of the daemon.
fn names<'a>(senses: &'a Senses, profile: &'a str) -> Names<'a> {
    Names {
        unit: &senses.unit,
        profile,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gatehound_without_alerts_and_metrics_remembered_is_gone_on_with() {
        let memory = Memory {
            own_unit: "gatehound.service".to_owned(),
            unit: "openclaw-gateway.service".to_owned(),
            state: State::default(),
            told: Told::default(),
            counts: Counts::default(),
        };
        let mut older = serde_json::to_value(&memory).unwrap();
        for key in ["told", "counts"] {
            older.as_object_mut().unwrap().remove(key).unwrap();
        }
        let read: Memory = serde_json::from_value(older).unwrap();
        assert_eq!(read.told, Told::default());
        assert_eq!(read.counts, Counts::default());
    }
}
