//! Trials with the real OpenClaw gateway, under Gatehound's default settings.
//!
//! They are there when `E2E_REAL_GATEWAY=1` asks for them, because the gateway is large and the defaults are patient.
//! Not a name that begins with `GATEHOUND_`: Gatehound would take it for a setting.

mod inspector;
pub mod install;
mod up_and_useless;
pub mod verdicts;
mod whose_port;

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};

use crate::journal::Record;
use crate::rig::{self, Rig, Setup, TIMEOUT, quoted, systemctl, wait_until};
use crate::watched::{
    assert_field, assert_not_restarted, between, event, events, from_systemd, wait_until_recovered,
};

/// One gateway takes most of a core and 0.8 GB while it starts.
pub const THREADS: usize = 2;

/// A start takes 12 to 25 s on two cores, longer beside another one.
const START: Duration = Duration::from_secs(180);

/// Gatehound's defaults, as gatehound.toml(5) has them.
const INTERVAL: Duration = Duration::from_secs(30);
const PROBE_TIMEOUTS: Duration = Duration::from_secs(5 + 10);
const BUSY_GRACE: Duration = Duration::from_secs(3 * 60);
const FORCED_STOP_WINDOW: Duration = Duration::from_secs(5 * 60);

/// The gateway's own `TimeoutStopSec=`.
const GATEWAY_STOP_TIMEOUT: Duration = Duration::from_secs(330);

/// Blocks the main thread for ever: asleep, not one CPU tick.
const BLOCKED: &str = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)";
/// Spins the main thread for ever.
const BUSY: &str = "for (;;) {}";
/// Spins the main thread for a while.
const BUSY_FOR_100_S: &str = "const end = Date.now() + 100000; while (Date.now() < end) {}";

/// A module that makes a start longer than the 20 s that matter, however fast the machine is.
const SPIN_15_S: &str = "data:text/javascript,const end=Date.now()+15000;while(Date.now()<end){}";

/// What the gateway writes when it leaves its channels off after too many unclean ends.
const BREAKER_TRIPPED: &str = "restart-loop breaker tripped";

/// Whether the real gateway was asked for.
pub fn wanted() -> bool {
    env::var_os("E2E_REAL_GATEWAY").is_some_and(|value| value == "1")
}

/// The trials of this file, the longest first.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "real_a_third_hang_waits_for_the_window_and_the_channels_stay_on",
            three_hangs,
        ),
        (
            "real_the_script_this_replaces_waits_for_the_stop_timeout",
            baseline,
        ),
        ("real_a_start_is_never_touched", start),
        (
            "real_a_broken_config_is_not_answered_with_a_restart",
            broken_config,
        ),
        (
            "real_a_second_gateway_on_the_port_is_not_a_config_error",
            second_gateway,
        ),
        ("real_a_gateway_with_tls_is_found_healthy", tls),
        (
            "real_a_gateway_bound_to_all_addresses_is_found_healthy",
            bind_lan,
        ),
        (
            "real_a_gateway_bound_to_one_address_is_found_healthy",
            bind_custom,
        ),
        (
            "real_a_gateway_without_control_ui_is_found_healthy",
            control_ui_off,
        ),
    ];
    let mut all = crate::named(list);
    all.extend(verdicts::trials());
    all
}

/// A real gateway in a rig.
pub struct Real {
    rig: Rig,
    /// The port on which node's inspector opens, so that gateways side by side do not share one.
    inspector: u16,
    state: PathBuf,
}

impl Real {
    /// A gateway with these members added to the `gateway` object of its configuration; nothing runs yet.
    fn new(config: &str, setup: Setup) -> Self {
        Self::with_node_options("", config, setup)
    }

    /// As [`Real::new`], with further options of node.
    fn with_node_options(options: &str, config: &str, setup: Setup) -> Self {
        let inspector = rig::free_port();
        let node = quoted(&install::node());
        let script = quoted(&install::script());
        let rig = Rig::with(&Setup {
            gateway_program: Some(format!(
                "{node} --max-old-space-size=4096 --inspect-port=127.0.0.1:{inspector} {options} {script}"
            )),
            restart_sec: "5",
            gateway_service: "Environment=HOME=%h\n\
                Environment=TMPDIR=/tmp\n\
                Environment=PATH=/usr/local/bin:/usr/bin:/bin\n\
                Environment=NODE_OPTIONS=\n",
            ..setup
        });
        let home = PathBuf::from(env::var_os("HOME").expect("HOME"));
        let real = Self {
            inspector,
            state: home.join(format!(".openclaw-{}", rig.profile)),
            rig,
        };
        real.configure(config);
        real
    }

    /// Writes the configuration.
    fn configure(&self, members: &str) {
        self.write_config(&format!("port: {}, {members}", self.rig.port));
    }

    /// Writes one on loopback that has no word of the port.
    fn configure_without_port(&self) {
        self.write_config(LOOPBACK);
    }

    fn write_config(&self, members: &str) {
        let path = self.config();
        rig::write(
            &path,
            &format!(
                r#"{{ gateway: {{ mode: "local", auth: {{ mode: "token", token: "test-token-0123456789abcdef" }}, {members} }} }}"#
            ),
        );
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a private file");
    }

    fn config(&self) -> PathBuf {
        self.state.join("openclaw.json")
    }

    /// Starts the gateway; how long it takes until it answers.
    fn start(&self) -> Duration {
        let began = Instant::now();
        systemctl(&["start", &self.rig.gateway]);
        wait_until("the gateway to be healthy", START, || self.rig.healthy());
        began.elapsed()
    }

    /// Has the main thread execute this from its event loop, where it hangs; says when.
    fn hang(&self, script: &str) -> Duration {
        self.rig.signal_gateway(Signal::SIGUSR1);
        let listens = || std::net::TcpStream::connect(("127.0.0.1", self.inspector)).is_ok();
        wait_until("the inspector", TIMEOUT, listens);
        // Later, so that the answer leaves before.
        let expression = format!("setTimeout(() => {{ {script} }}, 50); 0");
        inspector::evaluate(self.inspector, &expression).expect("evaluate in the gateway");
        now()
    }

    /// The records of the gateway itself that contain a text.
    fn said(&self, text: &str) -> Vec<Record> {
        let by_gateway = |record: &Record| {
            record.get("_SYSTEMD_USER_UNIT").as_deref() == Some(&self.rig.gateway)
                && record.message().contains(text)
        };
        self.rig
            .journal
            .all()
            .into_iter()
            .filter(by_gateway)
            .collect()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        // Otherwise it writes its state again while it is removed.
        let _ = Command::new("systemctl")
            .args(["--user", "kill", "--signal=KILL", &self.rig.gateway])
            .status();
        let _ = fs::remove_dir_all(&self.state);
    }
}

/// Whether a condition holds within this time.
fn soon(within: Duration, condition: impl Fn() -> bool) -> bool {
    let mut left = rig::Left::of(within);
    while !condition() {
        if left.is_none() {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

/// CLOCK_MONOTONIC, which stamps journal records too.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .expect("a clock")
        .into()
}

/// A healthy gateway on loopback and a Gatehound that pings for it.
fn once_healthy() -> Real {
    let real = Real::new(LOOPBACK, Setup::default());
    real.start();
    real.rig.start_gatehound();
    real.rig
        .journal
        .wait_for("a healthy gateway", TIMEOUT, event("healthy"));
    real
}

/// The default of the gateway on a host; in what it takes for a container it would be another.
const LOOPBACK: &str = r#"bind: "loopback""#;

/// Waits for the end of the incident, which has to have been a restart, and only one.
fn wait_until_restarted_once(rig: &Rig, within: Duration) -> Record {
    let recovered = wait_until_recovered(rig, within, "by-restart");
    assert_field(&recovered, "GATEHOUND_ATTEMPT", "1");
    let starts = events(rig)
        .into_iter()
        .filter(|event| event == "starting")
        .count();
    assert_eq!(starts, 1);
    recovered
}

fn baseline() {
    let real = Real::new(
        LOOPBACK,
        Setup {
            watched: false,
            ..Setup::default()
        },
    );
    real.start();
    let began = Instant::now();
    real.hang(BLOCKED);
    let mut script = Command::new("bash");
    script.args(["-c", include_str!("real/baseline.sh"), "baseline"]);
    script.args([&real.rig.gateway, &real.rig.port.to_string()]);
    assert!(script.status().expect("run bash").success());
    let stopped = began.elapsed();
    wait_until("the gateway to be healthy", START, || real.rig.healthy());
    let all = began.elapsed();
    let own_start = all - stopped;
    eprintln!(
        "real: blocked loop, by the script: hang to healthy {all:.1?}, \
         of which the gateway's own start {own_start:.1?}, overhead {stopped:.1?}"
    );
    assert!(GATEWAY_STOP_TIMEOUT < stopped, "{stopped:?}");
}

fn start() {
    let real = Real::with_node_options(
        &format!("--import \"{SPIN_15_S}\""),
        LOOPBACK,
        Setup::default(),
    );
    let rig = &real.rig;
    let began = Instant::now();
    systemctl(&["start", &rig.gateway]);
    rig.start_gatehound();
    rig.wait_for_status("starting", TIMEOUT);
    wait_until("the gateway to be healthy", START, || rig.healthy());
    let took = began.elapsed();
    rig.journal
        .wait_for("a healthy gateway", TIMEOUT, event("healthy"));
    eprintln!("real: a start of {took:.1?}, left alone");
    assert!(Duration::from_secs(20) <= took, "{took:?} is a short start");
    assert!(
        !events(rig).contains(&"failing".to_owned()),
        "a start is no failure"
    );
    assert_not_restarted(rig);
    assert_eq!(rig.property(&rig.gateway, "NRestarts"), "0");
}

fn broken_config() {
    let real = once_healthy();
    let rig = &real.rig;
    let mark = rig.journal.mark();
    real.configure(r#"bind: "loopback", watchdogTrial: true"#);
    systemctl(&["restart", &rig.gateway]);
    rig.journal
        .wait_for_after(mark, "the exit", START, from_systemd("status=78/CONFIG"));
    let standing_by =
        rig.journal
            .wait_for_after(mark, "config-error", INTERVAL + TIMEOUT, |record| {
                event("standing-by")(record)
                    && record.get("GATEHOUND_REASON").as_deref() == Some("config-error")
            });
    let said = standing_by.message();
    assert!(said.contains("openclaw.json"), "no remedy: {said}");
    assert!(
        said.contains("watchdogTrial"),
        "the gateway's own message is not quoted: {said}"
    );
    rig.wait_for_status("standing-by: config-error", TIMEOUT);
    assert_eq!(rig.property(&rig.gateway, "ActiveState"), "failed");
    assert_eq!(rig.property(&rig.gateway, "ExecMainStatus"), "78");
    assert_not_restarted(rig);

    real.configure(LOOPBACK);
    real.start();
    rig.wait_for_status("healthy: / and /health", INTERVAL + TIMEOUT);
    assert_not_restarted(rig);
}

/// The gateway as a human starts it in a terminal: without a unit, with the same folder and port.
struct ByHand(Child);

impl ByHand {
    fn start(real: &Real) -> Self {
        let mut command = Command::new(install::node());
        command
            .arg(install::script())
            .args(["gateway", "--port", &real.rig.port.to_string()])
            // Nothing that says it belongs to a service.
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", env::var_os("HOME").expect("HOME"))
            .env("OPENCLAW_STATE_DIR", &real.state)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let by_hand = Self(command.spawn().expect("start the gateway by hand"));
        wait_until("it to be healthy", START, || real.rig.healthy());
        by_hand
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn second_gateway() {
    let real = Real::new(LOOPBACK, Setup::default());
    let rig = &real.rig;
    let mut by_hand = ByHand::start(&real);
    systemctl(&["start", &rig.gateway]);
    rig.start_gatehound();
    rig.journal
        .wait_for("the exit", START, from_systemd("status=78/CONFIG"));
    let standing_by = rig
        .journal
        .wait_for("its reason", INTERVAL + TIMEOUT, |record| {
            event("standing-by")(record) && record.message().contains("another gateway")
        });
    eprintln!("real: second gateway: {}", standing_by.message());
    assert_ne!(
        standing_by.get("GATEHOUND_REASON").as_deref(),
        Some("config-error"),
        "{standing_by}"
    );
    assert!(
        !standing_by.message().contains("openclaw.json"),
        "nothing is wrong with it: {standing_by}"
    );
    assert_eq!(rig.property(&rig.gateway, "ActiveState"), "failed");
    assert_not_restarted(rig);
    let lives = by_hand.0.try_wait().expect("ask for it").is_none();
    assert!(lives && rig.healthy(), "the one started by hand is gone");
}

/// Holds that a gateway with this configuration is found healthy, from its start through a second check.
fn found_healthy(config: &str) -> Real {
    let real = Real::new(
        config,
        Setup {
            notify_proxy: true,
            ..Setup::default()
        },
    );
    let rig = &real.rig;
    systemctl(&["start", &rig.gateway]);
    rig.start_gatehound();
    let healthy = rig
        .journal
        .wait_for("a healthy gateway", START, event("healthy"));
    eprintln!("real: {config}: {healthy}");
    let pings = || {
        let sent = rig.notified();
        sent.iter()
            .filter(|sent| sent.text.contains("WATCHDOG=1"))
            .count()
    };
    wait_until("a second ping", INTERVAL + TIMEOUT, || 2 <= pings());
    assert!(!events(rig).contains(&"failing".to_owned()));
    assert_not_restarted(rig);
    real
}

fn tls() {
    let real = found_healthy(r#"bind: "loopback", tls: { enabled: true }"#);
    let plain = real.rig.get("/health", TIMEOUT).unwrap_or_default();
    assert!(!plain.contains("200 OK"), "it speaks plain HTTP: {plain}");
}

/// Holds where the gateway is probed, in Gatehound's own words.
fn assert_probed_at(rig: &Rig, address: &str) {
    let checked = rig.gatehound(&["check", "--json"]);
    assert!(checked.status.success(), "{checked:?}");
    let said: serde_json::Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!(said["address"], address, "{said}");
}

fn bind_lan() {
    let real = found_healthy(r#"bind: "lan""#);
    assert_probed_at(&real.rig, "127.0.0.1");
}

fn bind_custom() {
    // All of 127.0.0.0/8 is on the loopback interface.
    let real = found_healthy(r#"bind: "custom", customBindHost: "127.0.0.5""#);
    std::net::TcpStream::connect(("127.0.0.5", real.rig.port)).expect("bound as configured");
    // This version listens on loopback as well, which needs no network to be up.
    assert_probed_at(&real.rig, "127.0.0.1");
}

fn control_ui_off() {
    let real = found_healthy(r#"bind: "loopback", controlUi: { enabled: false }"#);
    let page = real.rig.get("/", TIMEOUT).expect("an answer");
    assert!(page.starts_with("HTTP/1.1 404 "), "{page}");
}

fn three_hangs() {
    let real = once_healthy();
    let rig = &real.rig;
    for hang in 1..=3 {
        let mark = rig.journal.mark();
        let hung = real.hang(BLOCKED);
        let limit = FORCED_STOP_WINDOW + START;
        let recovered =
            rig.journal
                .wait_for_after(mark, "the end of the incident", limit, event("recovered"));
        assert_field(&recovered, "GATEHOUND_REASON", "by-restart");
        eprintln!(
            "real: hang {hang}: healthy after {:.1?}",
            recovered.monotonic() - hung
        );
    }
    let killed: Vec<Record> = rig
        .journal
        .all()
        .into_iter()
        .filter(event("killing"))
        .collect();
    assert_eq!(killed.len(), 3, "{killed:?}");
    let window = between(&killed[0], &killed[2]);
    assert!(
        FORCED_STOP_WINDOW <= window,
        "three forced stops within {window:?}"
    );
    assert!(
        is_in_program(BREAKER_TRIPPED),
        "the gateway has other words for it now"
    );
    // Whether they stay off is decided before this.
    rig.journal.wait_for("its channels", TIMEOUT, |record| {
        killed[2].monotonic() < record.monotonic() && record.message().contains("starting channels")
    });
    let tripped = real.said(BREAKER_TRIPPED);
    assert!(tripped.is_empty(), "{tripped:?}");
}

/// Whether the gateway's program contains a text.
fn is_in_program(text: &str) -> bool {
    let dist = install::script();
    let dist = dist.parent().unwrap_or(Path::new("/"));
    let files = fs::read_dir(dist).expect("the gateway's program").flatten();
    files
        .filter_map(|file| fs::read(file.path()).ok())
        .any(|file| String::from_utf8_lossy(&file).contains(text))
}
