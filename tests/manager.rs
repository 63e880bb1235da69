//! The user manager's adapter against a bus of its own and a stand-in for `org.freedesktop.systemd1`.
//!
//! Needs the program `dbus-daemon` (Debian package dbus-daemon).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::{
    collections::{BTreeSet, HashMap},
    env,
    ffi::OsString,
    fs,
    future::pending,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gatehound::{
    policy::facts::{Invocation, Job, JobKind, Monotonic, UnitFacts},
    systemd::{ForeignJob, ManagerError, UserManager},
    text::line::Line,
};
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};
use tempfile::TempDir;
use zbus::{
    Connection, DBusError, ObjectPath, OwnedObjectPath, Variant, connection::Builder, interface,
};

const UNIT: &str = "openclaw-gateway.service";
const UNIT_PATH: &str = "/org/freedesktop/systemd1/unit/openclaw_2dgateway_2eservice";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// Long enough for a loaded machine; what is slower than this does not answer.
const PATIENT: Duration = Duration::from_secs(20);
/// For exchanges that are meant to run into it.
const SHORT: Duration = Duration::from_millis(300);

/// A dbus-daemon in a directory of its own.
struct Bus {
    directory: TempDir,
    daemon: Child,
}

impl Bus {
    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let daemon = start_daemon(directory.path());
        Self { directory, daemon }
    }

    fn address(&self) -> String {
        address(self.directory.path())
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.daemon.id()).unwrap());
        kill(pid, signal).unwrap();
        if signal == Signal::SIGSTOP {
            waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT).unwrap();
        }
    }

    fn die(&mut self) {
        self.signal(Signal::SIGKILL);
        self.daemon.wait().unwrap();
        fs::remove_file(self.directory.path().join("bus")).unwrap();
    }

    fn restart(&mut self) {
        self.die();
        self.daemon = start_daemon(self.directory.path());
    }

    fn manager(&self, limit: Duration) -> UserManager {
        UserManager::new(Some(self.address()), limit).unwrap()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn address(directory: &Path) -> String {
    format!("unix:path={}/bus", directory.display())
}

/// Returns once the daemon listens, which it says by printing its address.
fn start_daemon(directory: &Path) -> Child {
    let mut daemon = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--nopidfile", "--print-address"])
        .arg(format!("--address={}", address(directory)))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("dbus-daemon starts (apt install dbus-daemon)");
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("unix:path="), "{line}");
    daemon
}

/// A stand-in for systemd, served by a thread of its own until its connection closes.
struct Systemd {
    connection: Connection,
    subscribed: Arc<AtomicBool>,
    /// How often the unit is referred to.
    referenced: Arc<AtomicU32>,
    /// The number of the unit's job, and 0 for none.
    job: Arc<AtomicU32>,
    /// When the unit's state changed last.
    changed: Arc<AtomicU64>,
    /// How often all properties of the service were asked for.
    asked: Arc<AtomicU32>,
    /// What it was asked to do, but for starts and stops.
    done: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Systemd {
    fn start(bus: &Bus) -> Self {
        Self::answering(bus, Answer::Job)
    }

    /// One that answers to `StopUnit` in this way.
    fn answering(bus: &Bus, stop: Answer) -> Self {
        let address = bus.address();
        let subscribed = Arc::new(AtomicBool::new(false));
        let referenced = Arc::new(AtomicU32::new(0));
        let done = Arc::new(Mutex::new(Vec::new()));
        let manager = ManagerObject {
            done: done.clone(),
            subscribed: subscribed.clone(),
            referenced: referenced.clone(),
            last_job: AtomicU32::new(0),
            stop,
        };
        let job = Arc::new(AtomicU32::new(900));
        let asked = Arc::new(AtomicU32::new(0));
        let changed = Arc::new(AtomicU64::new(42));
        let unit = UnitObject {
            job: job.clone(),
            changed: changed.clone(),
        };
        let service = ServiceObject(asked.clone());
        let (ready, connection) = mpsc::channel();
        let thread = thread::spawn(move || {
            zbus::block_on(async {
                let connection = Builder::address(address.as_str())
                    .serve_at(MANAGER_PATH, manager)
                    .serve_at(UNIT_PATH, unit)
                    .serve_at(UNIT_PATH, service)
                    .serve_at(job_path(900), JobObject)
                    .name("org.freedesktop.systemd1")
                    .build()
                    .await
                    .unwrap();
                ready.send(connection.clone()).unwrap();
                connection.closed().await;
            });
        });
        Self {
            connection: connection.recv().unwrap(),
            subscribed,
            referenced,
            job,
            changed,
            asked,
            done,
            thread: Some(thread),
        }
    }

    fn is_subscribed(&self) -> bool {
        self.subscribed.load(SeqCst)
    }

    /// A job of the unit runs its course; as systemd, it is signalled only to subscribers.
    fn job_runs(&self, id: u32) {
        if self.is_subscribed() {
            zbus::block_on(async {
                job_state(&self.connection, id, "running").await;
                job_removed(&self.connection, id).await;
            });
        }
    }

    /// Another request is merged into a running job.
    fn job_is_merged(&self, id: u32) {
        zbus::block_on(job_state(&self.connection, id, "running"));
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = zbus::block_on(self.connection.clone().close());
        self.thread.take().map(JoinHandle::join);
    }
}

/// How the stand-in answers to `StopUnit`.
enum Answer {
    Job,
    Refusal,
    Silence,
}

#[derive(Debug, DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
enum SystemdError {
    #[zbus(error)]
    ZBus(zbus::Error),
    NoSuchUnit(String),
    #[zbus(name = "NoUnitForPID")]
    NoUnitForPid(String),
    TransactionIsDestructive(String),
}

struct ManagerObject {
    done: Arc<Mutex<Vec<String>>>,
    subscribed: Arc<AtomicBool>,
    referenced: Arc<AtomicU32>,
    last_job: AtomicU32,
    stop: Answer,
}

impl ManagerObject {
    fn does(&self, what: String) {
        self.done.lock().unwrap().push(what);
    }

    /// Queues a job that is over before the caller knows its number.
    async fn job(&self, connection: &Connection) -> OwnedObjectPath {
        let id = self.last_job.fetch_add(1, SeqCst) + 1;
        if self.subscribed.load(SeqCst) {
            job_state(connection, id, "running").await;
            job_removed(connection, id).await;
        }
        OwnedObjectPath::try_from(job_path(id)).unwrap()
    }
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl ManagerObject {
    async fn load_unit(&self, name: String) -> OwnedObjectPath {
        assert_eq!(name, UNIT);
        OwnedObjectPath::try_from(UNIT_PATH).unwrap()
    }

    async fn start_unit(
        &self,
        _name: String,
        mode: String,
        #[zbus(connection)] connection: &Connection,
    ) -> OwnedObjectPath {
        assert_eq!(mode, "fail");
        self.job(connection).await
    }

    async fn stop_unit(
        &self,
        _name: String,
        mode: String,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<OwnedObjectPath, SystemdError> {
        assert_eq!(mode, "ignore-dependencies");
        match self.stop {
            Answer::Job => Ok(self.job(connection).await),
            Answer::Refusal => Err(SystemdError::TransactionIsDestructive(
                "a 'start' job\nis queued".to_owned(),
            )),
            Answer::Silence => pending().await,
        }
    }

    async fn reset_failed_unit(&self, name: String) -> Result<(), SystemdError> {
        match name.as_str() {
            UNIT => {
                self.does(format!("reset {name}"));
                Ok(())
            }
            "refused.service" => Err(SystemdError::TransactionIsDestructive(name)),
            _ => Err(SystemdError::NoSuchUnit(format!("Unit {name} not loaded."))),
        }
    }

    async fn restart_unit(
        &self,
        name: String,
        mode: String,
        #[zbus(connection)] connection: &Connection,
    ) -> OwnedObjectPath {
        self.does(format!("restart {name} {mode}"));
        self.job(connection).await
    }

    async fn kill_unit(&self, name: String, whom: String, signal: i32) {
        self.does(format!("kill {name} {whom} {signal}"));
    }

    async fn thaw_unit(&self, name: String) {
        self.does(format!("thaw {name}"));
    }

    async fn reload(&self) {
        self.does("reload".to_owned());
    }

    async fn enable_unit_files(
        &self,
        units: Vec<String>,
        runtime: bool,
        force: bool,
    ) -> (bool, Vec<Link>) {
        self.does(format!("enable {units:?} {runtime} {force}"));
        (true, Vec::new())
    }

    async fn disable_unit_files(&self, units: Vec<String>, runtime: bool) -> Vec<Link> {
        self.does(format!("disable {units:?} {runtime}"));
        Vec::new()
    }

    #[zbus(property)]
    async fn version(&self) -> &str {
        "252.38-1~deb12u1"
    }

    async fn list_units_by_patterns(
        &self,
        states: Vec<String>,
        patterns: Vec<String>,
    ) -> Vec<ListedUnit> {
        assert_eq!(states, ["active", "activating"]);
        match patterns.as_slice() {
            [pattern] if pattern == "openclaw-update-*.scope" => {
                vec![
                    listed("openclaw-update-1.scope"),
                    listed("openclaw-update-2.scope"),
                ]
            }
            _ => Vec::new(),
        }
    }

    async fn ref_unit(&self, name: String) {
        assert_eq!(name, UNIT);
        self.referenced.fetch_add(1, SeqCst);
    }

    async fn unref_unit(&self, name: String) {
        assert_eq!(name, UNIT);
        self.referenced.fetch_sub(1, SeqCst);
    }

    async fn subscribe(&self) {
        self.subscribed.store(true, SeqCst);
    }

    async fn unsubscribe(&self) {
        self.subscribed.store(false, SeqCst);
    }
}

/// What became of a link: the kind of change, the link and its target.
type Link = (String, String, String);

/// Name, description, states, unit it follows, object, job, its type and object; see org.freedesktop.systemd1(5).
type ListedUnit = (
    String,
    String,
    String,
    String,
    String,
    String,
    OwnedObjectPath,
    u32,
    String,
    OwnedObjectPath,
);

fn listed(name: &str) -> ListedUnit {
    let text = str::to_owned;
    let path = || OwnedObjectPath::try_from(UNIT_PATH).unwrap();
    let (loaded, active, running) = (text("loaded"), text("active"), text("running"));
    (
        text(name),
        text("an update"),
        loaded,
        active,
        running,
        text(""),
        path(),
        0,
        text(""),
        path(),
    )
}

/// A unit with this job, whose state changed last at this moment.
struct UnitObject {
    job: Arc<AtomicU32>,
    changed: Arc<AtomicU64>,
}

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl UnitObject {
    #[zbus(property)]
    async fn id(&self) -> &str {
        UNIT
    }

    #[zbus(property)]
    async fn load_state(&self) -> &str {
        "loaded"
    }

    #[zbus(property)]
    async fn active_state(&self) -> &str {
        "active"
    }

    #[zbus(property)]
    async fn sub_state(&self) -> &str {
        "running"
    }

    #[zbus(property, name = "InvocationID")]
    async fn invocation_id(&self) -> Vec<u8> {
        vec![0xab; 16]
    }

    #[zbus(property)]
    async fn active_enter_timestamp_monotonic(&self) -> u64 {
        42
    }

    #[zbus(property)]
    async fn state_change_timestamp_monotonic(&self) -> u64 {
        self.changed.load(SeqCst)
    }

    #[zbus(property)]
    async fn job(&self) -> (u32, OwnedObjectPath) {
        let id = self.job.load(SeqCst);
        (id, OwnedObjectPath::try_from(job_path(id)).unwrap())
    }

    #[zbus(property)]
    async fn fragment_path(&self) -> &str {
        "/etc/gateway"
    }

    #[zbus(property)]
    async fn not_looked_at(&self) -> Vec<(String, bool)> {
        vec![("x".to_owned(), true)]
    }
}

type ExecCommand = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);

/// A service that counts how often it is asked.
struct ServiceObject(Arc<AtomicU32>);

#[interface(name = "org.freedesktop.systemd1.Service")]
impl ServiceObject {
    #[zbus(property, name = "MainPID")]
    async fn main_pid(&self) -> u32 {
        self.0.fetch_add(1, SeqCst);
        77
    }

    #[zbus(property)]
    async fn exec_start(&self) -> Vec<ExecCommand> {
        let arguments = ["node", "gateway", "--port", "18789"].map(str::to_owned);
        let path = "/usr/bin/node".to_owned();
        vec![(path, arguments.to_vec(), false, 0, 0, 0, 0, 0, 0, 0)]
    }

    #[zbus(property)]
    async fn environment(&self) -> Vec<String> {
        vec!["A=1".to_owned(), format!("B={}", "x".repeat(1 << 20))]
    }

    #[zbus(property)]
    async fn restart_prevent_exit_status(&self) -> (Vec<i32>, Vec<i32>) {
        (vec![78], vec![9])
    }

    #[zbus(property)]
    async fn status_text(&self) -> &str {
        "fine\nWATCHDOG=trigger"
    }
}

struct JobObject;

#[interface(name = "org.freedesktop.systemd1.Job")]
impl JobObject {
    #[zbus(property)]
    async fn job_type(&self) -> &str {
        "stop"
    }
}

fn job_path(id: u32) -> String {
    format!("/org/freedesktop/systemd1/job/{id}")
}

async fn job_removed(connection: &Connection, id: u32) {
    let job = ObjectPath::try_from(job_path(id)).unwrap();
    let body = (id, job, UNIT, "done");
    let emitted = connection.emit_signal(None::<&str>, MANAGER_PATH, MANAGER, "JobRemoved", &body);
    emitted.await.unwrap();
}

async fn job_state(connection: &Connection, id: u32, state: &str) {
    let changed = HashMap::from([("State", Variant::from(state))]);
    let body = ("org.freedesktop.systemd1.Job", changed, Vec::<&str>::new());
    let properties = "org.freedesktop.DBus.Properties";
    let emitted = connection.emit_signal(
        None::<&str>,
        job_path(id),
        properties,
        "PropertiesChanged",
        &body,
    );
    emitted.await.unwrap();
}

fn ended(id: u32) -> ForeignJob {
    ForeignJob::Ended {
        id,
        result: Line::from("done"),
        during_our_stop: false,
    }
}

#[test]
fn a_unit_is_seen_with_what_is_there_and_bounded() {
    let bus = Bus::start();
    let _systemd = Systemd::start(&bus);
    let seen = bus.manager(PATIENT).unit(UNIT).unwrap();
    let expected = UnitFacts {
        load_state: "loaded".to_owned(),
        active_state: "active".to_owned(),
        sub_state: "running".to_owned(),
        invocation_id: Some(Invocation("ab".repeat(16))),
        main_pid: 77,
        active_since: Monotonic(42),
        state_changed: Monotonic(42),
        exec_start: ["node", "gateway", "--port", "18789"]
            .map(str::to_owned)
            .to_vec(),
        environment: vec!["A=1".to_owned()],
        restart_prevent_exit_status: vec![78],
        job: Some(Job {
            id: 900,
            ours: false,
            kind: JobKind::Stop,
        }),
        fragment_path: "/etc/gateway".to_owned(),
        ..UnitFacts::default()
    };
    assert_eq!(seen, expected);
}

#[test]
fn of_a_unit_that_goes_on_as_it_was_only_that_is_asked() {
    let bus = Bus::start();
    let systemd = Systemd::start(&bus);
    let mut manager = bus.manager(PATIENT);
    let look = |manager: &mut UserManager, (changed, job), asked| {
        systemd.changed.store(changed, SeqCst);
        systemd.job.store(job, SeqCst);
        let seen = manager.unit_again(UNIT).unwrap();
        assert_eq!(systemd.asked.load(SeqCst), asked);
        assert_eq!(seen.state_changed, Monotonic(changed));
        assert_eq!(seen.job.as_ref().map_or(0, |job| job.id), job);
        assert_eq!(manager.unit(UNIT).unwrap(), seen);
        systemd.asked.store(0, SeqCst);
    };
    look(&mut manager, (42, 0), 1);
    look(&mut manager, (42, 0), 0);
    look(&mut manager, (43, 0), 1);
    look(&mut manager, (44, 900), 1);
    // With a job everything may change at any time.
    look(&mut manager, (44, 900), 1);
    look(&mut manager, (44, 0), 1);
    look(&mut manager, (44, 0), 0);
}

#[test]
fn single_properties_are_seen() {
    let bus = Bus::start();
    let _systemd = Systemd::start(&bus);
    let mut manager = bus.manager(PATIENT);
    assert_eq!(
        manager.status_text(UNIT).unwrap(),
        Some(Line::from("fine WATCHDOG=trigger"))
    );
    assert_eq!(manager.active_state(UNIT).unwrap(), "active");
    assert_eq!(manager.fragment_path(UNIT).unwrap(), "/etc/gateway");
    assert_eq!(manager.version().unwrap(), "252.38-1~deb12u1");
}

#[test]
fn active_units_are_found_by_a_pattern() {
    let bus = Bus::start();
    let _systemd = Systemd::start(&bus);
    let mut manager = bus.manager(PATIENT);
    assert_eq!(
        manager.active_units("openclaw-update-*.scope").unwrap(),
        ["openclaw-update-1.scope", "openclaw-update-2.scope"]
    );
    assert_eq!(manager.active_units("other-*.scope").unwrap(), [""; 0]);
    let since = manager
        .unit("openclaw-gateway.service")
        .unwrap()
        .active_since;
    assert_eq!(
        manager.first_active("openclaw-update-*.scope").unwrap(),
        Some(("openclaw-update-1.scope".to_owned(), since))
    );
    assert_eq!(manager.first_active("other-*.scope").unwrap(), None);
}

#[test]
fn a_missing_bus_is_said_at_once_and_with_the_remedy() {
    let mut bus = Bus::start();
    bus.die();
    let begun = Instant::now();
    let error = bus.manager(PATIENT).unit(UNIT).unwrap_err();
    assert!(begun.elapsed() < PATIENT / 4);
    assert!(matches!(error, ManagerError::NoBus { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&bus.address()), "{text}");
    assert!(text.contains("loginctl enable-linger"), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn an_address_that_is_none_is_no_bus() {
    for address in ["", "nonsense", "tcp:host=127.0.0.1,port=1"] {
        let mut manager = UserManager::new(Some(address.to_owned()), PATIENT).unwrap();
        let error = manager.unit(UNIT).unwrap_err();
        assert!(matches!(error, ManagerError::NoBus { .. }), "{error:?}");
    }
}

#[test]
fn a_bus_without_a_user_manager_is_no_bus() {
    let bus = Bus::start();
    let error = bus.manager(PATIENT).unit(UNIT).unwrap_err();
    assert!(matches!(error, ManagerError::NoBus { .. }), "{error:?}");
}

#[test]
fn a_frozen_bus_ends_in_a_timeout_and_heals() {
    let bus = Bus::start();
    let _systemd = Systemd::start(&bus);
    let mut kept = bus.manager(SHORT);
    // The limit is short, so a loaded machine may need more than one try.
    while kept.unit(UNIT).is_err() {}

    bus.signal(Signal::SIGSTOP);
    for manager in [&mut kept, &mut bus.manager(SHORT)] {
        let begun = Instant::now();
        let error = manager.unit(UNIT).unwrap_err();
        let spent = begun.elapsed();
        assert!(
            matches!(error, ManagerError::Timeout { after, .. } if after == SHORT),
            "{error:?}"
        );
        assert!(SHORT <= spent && spent < PATIENT / 4, "{spent:?}");
    }
    bus.signal(Signal::SIGCONT);
    while kept.unit(UNIT).is_err() {}
}

#[test]
fn a_restart_of_the_bus_between_two_calls_is_healed() {
    let mut bus = Bus::start();
    let mut systemd = Systemd::start(&bus);
    let mut manager = bus.manager(PATIENT);
    manager.unit(UNIT).unwrap();
    let mut restart = || {
        bus.restart();
        systemd = Systemd::start(&bus);
    };

    restart();
    assert_eq!(manager.unit(UNIT).unwrap().main_pid, 77);
    restart();
    assert_eq!(manager.start(UNIT), Ok(1));
}

#[test]
fn a_refusal_is_told_in_one_line_and_costs_neither_connection_nor_watch() {
    let bus = Bus::start();
    let systemd = Systemd::answering(&bus, Answer::Refusal);
    let mut manager = bus.manager(PATIENT);
    manager.watch_jobs(UNIT).unwrap();
    systemd.job_runs(500);

    let error = manager.stop(UNIT).unwrap_err();
    let expected = ManagerError::Refused {
        what: Line::from("stop openclaw-gateway.service"),
        name: "org.freedesktop.systemd1.TransactionIsDestructive".to_owned(),
        message: Line::from("a 'start' job is queued"),
    };
    assert_eq!(error, expected);
    systemd.job_runs(501);
    assert_eq!(manager.foreign_jobs().unwrap(), [ended(500), ended(501)]);
}

#[test]
fn resetting_a_unit_that_is_not_loaded_is_no_error() {
    let bus = Bus::start();
    let systemd = Systemd::start(&bus);
    let mut manager = bus.manager(PATIENT);
    assert_eq!(manager.reset_failed("gone.service"), Ok(()));
    assert!(systemd.done.lock().unwrap().is_empty());
    assert_eq!(manager.reset_failed(UNIT), Ok(()));
    assert_eq!(*systemd.done.lock().unwrap(), [format!("reset {UNIT}")]);
    manager.reset_failed("refused.service").unwrap_err();
}

#[test]
fn what_the_manager_is_to_do_reaches_it_for_that_unit_alone() {
    let bus = Bus::start();
    let systemd = Systemd::start(&bus);
    let mut manager = bus.manager(PATIENT);
    assert_eq!(manager.restart(UNIT), Ok(1));
    manager.kill(UNIT).unwrap();
    manager.thaw(UNIT).unwrap();
    manager.reload().unwrap();
    manager.enable("gatehound.service").unwrap();
    manager.disable("gatehound.service").unwrap();
    let expected = [
        "restart openclaw-gateway.service fail",
        "kill openclaw-gateway.service all 9",
        "thaw openclaw-gateway.service",
        "reload",
        "enable [\"gatehound.service\"] false true",
        "disable [\"gatehound.service\"] false",
    ];
    assert_eq!(*systemd.done.lock().unwrap(), expected);
}

#[test]
fn jobs_of_others_are_seen_and_our_own_are_not() {
    let bus = Bus::start();
    let systemd = Systemd::start(&bus);
    let mut manager = bus.manager(PATIENT);
    manager.watch_jobs(UNIT).unwrap();
    manager.watch_jobs(UNIT).unwrap();

    assert_eq!(manager.stop(UNIT), Ok(1));
    systemd.job_runs(500);
    assert_eq!(manager.start(UNIT), Ok(2));
    assert_eq!(manager.foreign_jobs().unwrap(), [ended(500)]);
    assert_eq!(manager.foreign_jobs().unwrap(), []);
}

#[test]
fn a_request_merged_into_our_job_is_seen() {
    let bus = Bus::start();
    let systemd = Systemd::start(&bus);
    let mut manager = bus.manager(PATIENT);
    manager.watch_jobs(UNIT).unwrap();
    assert_eq!(manager.stop(UNIT), Ok(1));
    assert_eq!(manager.foreign_jobs().unwrap(), []);
    systemd.job_is_merged(1);
    assert_eq!(
        manager.foreign_jobs().unwrap(),
        [ForeignJob::Merged { id: 1 }]
    );
}

#[test]
fn the_watch_is_set_up_again_after_the_bus_was_restarted() {
    let mut bus = Bus::start();
    let mut systemd = Systemd::start(&bus);
    let mut manager = bus.manager(PATIENT);
    manager.watch_jobs(UNIT).unwrap();
    assert!(systemd.is_subscribed());
    bus.restart();
    systemd = Systemd::start(&bus);

    manager.unit(UNIT).unwrap();
    systemd.job_runs(500);
    assert_eq!(manager.foreign_jobs().unwrap(), [ended(500)]);
}

#[test]
fn without_a_watch_nothing_is_signalled() {
    let bus = Bus::start();
    let systemd = Systemd::start(&bus);
    let mut manager = bus.manager(PATIENT);
    manager.watch_jobs(UNIT).unwrap();
    manager.unwatch_jobs();
    assert!(!systemd.is_subscribed());
    assert_eq!(manager.foreign_jobs().unwrap(), []);

    manager.watch_jobs(UNIT).unwrap();
    assert!(systemd.is_subscribed());
}

#[test]
fn rule_8_the_manager_does_not_forget_a_unit_whose_jobs_are_watched() {
    let bus = Bus::start();
    let systemd = Systemd::start(&bus);
    let mut manager = bus.manager(PATIENT);
    manager.watch_jobs(UNIT).unwrap();
    manager.watch_jobs(UNIT).unwrap();
    assert_eq!(systemd.referenced.load(SeqCst), 1);
    manager.unwatch_jobs();
    assert_eq!(systemd.referenced.load(SeqCst), 0);
}

#[test]
fn more_signals_than_a_queue_holds_do_not_hold_up_an_answer() {
    let bus = Bus::start();
    let systemd = Systemd::start(&bus);
    let mut manager = bus.manager(PATIENT);
    manager.watch_jobs(UNIT).unwrap();
    (1000..1200).for_each(|id| systemd.job_runs(id));

    manager.unit(UNIT).unwrap();
    let seen = manager.foreign_jobs().unwrap();
    assert_eq!(seen.last(), Some(&ended(1199)));
    assert!(64 < seen.len(), "{}", seen.len());
}

#[test]
fn the_job_of_a_stop_that_was_never_answered_is_taken_for_ours() {
    let bus = Bus::start();
    let systemd = Systemd::answering(&bus, Answer::Silence);
    let mut manager = bus.manager(SHORT);
    // The limit is short, so a loaded machine may need more than one try.
    while manager.watch_jobs(UNIT).is_err() {}

    let error = manager.stop(UNIT).unwrap_err();
    assert!(matches!(error, ManagerError::Timeout { .. }), "{error:?}");
    while manager.watch_jobs(UNIT).is_err() {}
    systemd.job_runs(500);
    systemd.job_runs(501);
    let mut seen = manager.foreign_jobs();
    while seen.is_err() {
        seen = manager.foreign_jobs();
    }
    assert_eq!(seen.unwrap(), [ended(501)]);
}

#[test]
fn many_calls_start_no_thread_and_leave_no_descriptor() {
    if !alone("many_calls_start_no_thread_and_leave_no_descriptor") {
        return;
    }
    let bus = Bus::start();
    let _systemd = Systemd::start(&bus);
    let threads = of_this_process("task");
    let mut manager = bus.manager(PATIENT);
    manager.watch_jobs(UNIT).unwrap();
    let descriptors = of_this_process("fd");

    for _ in 0..50 {
        manager.unit(UNIT).unwrap();
        manager.stop(UNIT).unwrap();
        manager.foreign_jobs().unwrap();
        manager.unwatch_jobs();
        manager.watch_jobs(UNIT).unwrap();
        assert_eq!(of_this_process("task"), threads);
    }
    assert_eq!(of_this_process("fd"), descriptors);
    drop(manager);
    assert_eq!(of_this_process("task"), threads);
}

#[test]
fn many_timeouts_leave_no_descriptor() {
    if !alone("many_timeouts_leave_no_descriptor") {
        return;
    }
    let bus = Bus::start();
    let _systemd = Systemd::start(&bus);
    let mut manager = bus.manager(SHORT);
    while manager.watch_jobs(UNIT).is_err() {}
    let descriptors = of_this_process("fd").len();

    bus.signal(Signal::SIGSTOP);
    for _ in 0..5 {
        manager.foreign_jobs().unwrap_err();
    }
    // Not even the connection is left that was kept before.
    assert!(of_this_process("fd").len() < descriptors);
}

/// Whether the test runs in a process of its own; if not, runs it in one and holds it to its success.
///
/// Threads and descriptors can be counted only where no other test makes any.
fn alone(test: &str) -> bool {
    const ALONE: &str = "MANAGER_TEST_ALONE";
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    false
}

/// The entries of a directory of /proc/self, without the one that reading it makes.
fn of_this_process(directory: &str) -> BTreeSet<OsString> {
    let path = Path::new("/proc/self").join(directory);
    let entries = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| fs::metadata(entry.path()).is_ok())
        .map(|entry| entry.file_name())
        .collect()
}
