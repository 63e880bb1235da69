//! What a trial stands on: a stand-in gateway and a Gatehound of its own, each under its own unit, profile and port.
//!
//! Owns their files, the calls of systemctl, and the clean-up.
//! There is no `daemon-reload` in it: the manager finds new files when it first loads a unit, and a reload in one trial
//! starts the restart timers of all others over, counting their restarts twice (measured, systemd 252).
//!
//! Everything goes into the user's runtime folder, except the settings, which Gatehound reads from the user's
//! configuration; nothing of a trial is left after it.

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::journal::Journal;
use crate::notify_proxy::{self, Datagram};
use crate::place;
use crate::stand_in;

/// How long anything may take that is not what a trial measures, on a host with more trials than cores.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// What differs from one trial to the next.
pub struct Setup {
    /// The gateway's unit as it is in a case, instead of the one of all other trials; empty is none.
    pub gateway_unit: Option<String>,
    /// Whether its units and files outlive the user manager.
    pub lasting: bool,
    /// The gateway's program with what stands before its own arguments; none is the stand-in.
    pub gateway_program: Option<String>,
    /// The gateway's port; none is a free one.
    pub port: Option<u16>,
    /// Gatehound's settings, as TOML.
    pub settings: String,
    /// `RestartSec=` of the gateway.
    pub restart_sec: &'static str,
    /// Further arguments of the stand-in gateway.
    pub gateway_arguments: &'static str,
    /// Further lines for the `[Service]` section of the gateway's unit.
    pub gateway_service: &'static str,
    /// Further lines for the `[Service]` section of the drop-in of Gatehound's unit.
    pub gatehound_service: String,
    /// Whether every datagram of Gatehound to the manager is written down.
    pub notify_proxy: bool,
    /// Whether there is a Gatehound at all.
    pub watched: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            gateway_unit: None,
            lasting: false,
            gateway_program: None,
            port: None,
            settings: String::new(),
            restart_sec: "100ms",
            gateway_arguments: "",
            gateway_service: "",
            gatehound_service: String::new(),
            notify_proxy: false,
            watched: true,
        }
    }
}

/// The two units of a trial and what belongs to them.
pub struct Rig {
    /// The profile: unique in this session.
    pub profile: String,
    /// The gateway's port.
    pub port: u16,
    /// `openclaw-gateway-<profile>.service`.
    pub gateway: String,
    /// `gatehound@<profile>.service`.
    pub gatehound: String,
    /// Everything in the journal by and about the two units.
    pub journal: Journal,
    runtime: PathBuf,
    units: PathBuf,
    folder: PathBuf,
    settings: PathBuf,
}

impl Rig {
    /// A rig of the ordinary kind.
    pub fn new() -> Self {
        Self::with(&Setup::default())
    }

    /// A rig set up in a particular way; nothing runs yet.
    pub fn with(setup: &Setup) -> Self {
        static COUNT: AtomicU16 = AtomicU16::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let profile = format!("t{}n{count}", std::process::id());
        let gateway = format!("openclaw-gateway-{profile}.service");
        let gatehound = format!("gatehound@{profile}.service");
        let runtime = PathBuf::from(env::var_os("XDG_RUNTIME_DIR").expect("XDG_RUNTIME_DIR"));
        let home = PathBuf::from(env::var_os("HOME").expect("HOME"));
        let rig = Self {
            port: setup.port.unwrap_or_else(free_port),
            journal: Journal::follow(&[&gateway, &gatehound]),
            units: match setup.lasting {
                true => home.join(".config"),
                false => runtime.clone(),
            }
            .join("systemd/user"),
            folder: match setup.lasting {
                true => home.clone(),
                false => runtime.clone(),
            }
            .join("gatehound-e2e")
            .join(&profile),
            settings: home
                .join(".config/gatehound")
                .join(format!("{profile}.toml")),
            profile,
            gateway,
            gatehound,
            runtime,
        };
        fs::create_dir_all(&rig.folder).expect("the trial's folder");
        let unit = setup.gateway_unit.clone();
        let unit = unit.unwrap_or_else(|| rig.gateway_unit(setup));
        if !unit.is_empty() {
            write(&rig.unit_path(&rig.gateway), &unit);
        }
        if setup.watched {
            rig.install_gatehound(setup);
        }
        rig
    }

    /// The real unit's shape: section 1.1 of the reference page on the gateway.
    fn gateway_unit(&self, setup: &Setup) -> String {
        let Self {
            profile,
            port,
            gateway,
            ..
        } = self;
        let stand_in = || {
            let executable = quoted(&place::executable().expect("this executable"));
            let control = quoted(&self.control());
            let mode_file = quoted(&self.mode_file_path());
            format!("{executable} stand-in-gateway --control {control} --mode-file {mode_file}")
        };
        let program = setup.gateway_program.clone().unwrap_or_else(stand_in);
        let Setup {
            restart_sec,
            gateway_arguments,
            gateway_service,
            ..
        } = setup;
        format!(
            "[Unit]\n\
             Description=OpenClaw Gateway (profile: {profile})\n\
             StartLimitBurst=10\n\
             StartLimitIntervalSec=300\n\
             [Service]\n\
             ExecStart={program} gateway --port {port} {gateway_arguments}\n\
             Restart=always\n\
             RestartSec={restart_sec}\n\
             RestartPreventExitStatus=78\n\
             TimeoutStopSec=330\n\
             TimeoutStartSec=30\n\
             SuccessExitStatus=0 143\n\
             OOMPolicy=continue\n\
             KillMode=mixed\n\
             Environment=OPENCLAW_PROFILE={profile}\n\
             Environment=OPENCLAW_STATE_DIR=%h/.openclaw-{profile}\n\
             Environment=OPENCLAW_GATEWAY_PORT={port}\n\
             Environment=OPENCLAW_SYSTEMD_UNIT={gateway}\n\
             Environment=OPENCLAW_SERVICE_MARKER=openclaw\n\
             Environment=OPENCLAW_SERVICE_KIND=gateway\n\
             {gateway_service}\n"
        )
    }

    /// The shipped template under the instance's own name, and beside it what must differ from it.
    ///
    /// A unit file for one instance stands before the template, so an installed Gatehound is not in the way.
    fn install_gatehound(&self, setup: &Setup) {
        let shipped = place::file("units/gatehound@.service");
        let unit = fs::read_to_string(&shipped)
            .unwrap_or_else(|error| panic!("{}: {error}", shipped.display()));
        let command = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/gatehound"));
        let arguments =
            command.expect("the shipped unit's ExecStart= begins with /usr/bin/gatehound");
        let mut program = quoted(&place::file("gatehound"));
        let mut access = "";
        if setup.notify_proxy {
            let executable = quoted(&place::executable().expect("this executable"));
            program = format!(
                "{executable} notify-proxy {} {program}",
                quoted(&self.notify_log_path())
            );
            access = "NotifyAccess=all";
        }
        write(&self.unit_path(&self.gatehound), &unit);
        let drop_in = self
            .unit_path(&format!("{}.d", self.gatehound))
            .join("e2e.conf");
        let further = &setup.gatehound_service;
        write(
            &drop_in,
            &format!(
                "[Service]\nExecStart=\nExecStart={program}{arguments}\n{access}\n{further}\n"
            ),
        );
        self.settings(&setup.settings);
    }

    /// Installs another shipped template under an instance's own name, with the program under test.
    pub fn install_template(&self, template: &str, unit: &str, service: &str) {
        let text = fs::read_to_string(place::file(&format!("units/{template}")));
        let text = text.expect("the shipped unit");
        let arguments = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/gatehound"))
            .expect("the shipped unit's ExecStart=");
        let program = quoted(&place::file("gatehound"));
        write(&self.unit_path(unit), &text);
        write(
            &self.unit_path(&format!("{unit}.d")).join("e2e.conf"),
            &format!("[Service]\nExecStart=\nExecStart={program}{arguments}\n{service}\n"),
        );
    }

    /// Puts a Gatehound beside a gateway that has none.
    pub fn watch(&self, setup: &Setup) {
        self.install_gatehound(setup);
    }

    /// As [`Rig::mode`], once there is a gateway that takes orders.
    pub fn mode_when_up(&self, mode: &str) {
        self.wait_until("gateway that takes orders", || {
            stand_in::order(&self.control(), "asked").is_ok()
        });
        self.mode(mode);
    }

    /// Writes Gatehound's settings for this profile.
    pub fn settings(&self, toml: &str) {
        write(&self.settings, toml);
    }

    /// Puts a folder where Gatehound's settings for this profile would be.
    pub fn settings_unreadable(&self) {
        fs::remove_file(&self.settings).expect("the settings");
        fs::create_dir(&self.settings).expect("a folder in their place");
    }

    /// Where a unit file or a folder of drop-ins of this trial is.
    pub fn unit_path(&self, name: &str) -> PathBuf {
        self.units.join(name)
    }

    /// Gatehound's `$RUNTIME_DIRECTORY`.
    pub fn runtime_directory(&self) -> PathBuf {
        self.runtime.join(format!("gatehound-{}", self.profile))
    }

    /// Starts the gateway and waits until it answers.
    pub fn start_gateway(&self) {
        systemctl(&["start", &self.gateway]);
        self.wait_until_healthy();
    }

    /// Waits until a condition holds that may cost a process; panics with the journal when it does not in time.
    pub fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let mut left = Left::of(TIMEOUT);
        while !condition() {
            assert!(
                !left.is_none(),
                "no {what} within {TIMEOUT:?}; the journal:{}",
                self.records()
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The journal as a failure shows it.
    fn records(&self) -> String {
        let all = self.journal.all();
        all.iter().map(|record| format!("\n  {record}")).collect()
    }

    /// Waits until the gateway answers as a healthy one does.
    pub fn wait_until_healthy(&self) {
        wait_until("the gateway to be healthy", TIMEOUT, || self.healthy());
    }

    /// Whether `/health` answers as it does when all is well.
    pub fn healthy(&self) -> bool {
        self.get("/health", Duration::from_secs(1))
            .is_ok_and(|answer| answer.contains(r#""ok":true"#))
    }

    /// Everything the gateway sends in answer to one GET; an error when that takes longer than the time.
    pub fn get(&self, path: &str, within: Duration) -> io::Result<String> {
        get(self.port, path, within)
    }

    /// Switches the running gateway's behaviour and returns when the new one is in force.
    pub fn mode(&self, mode: &str) {
        let reply = stand_in::order(&self.control(), mode).expect("give an order");
        assert_eq!(reply, "ok", "the order {mode}");
        if mode == "stopped" {
            let pid = self.main_pid(&self.gateway);
            wait_until("the gateway to be stopped", TIMEOUT, || {
                process_state(pid) == 'T'
            });
        }
    }

    /// How often `/health` of the running gateway was asked for, which works in every mode but a stopped one.
    pub fn asked(&self) -> u64 {
        let reply = stand_in::order(&self.control(), "asked").expect("give an order");
        reply.parse().expect("a number")
    }

    /// Sets the behaviour every later run of the gateway starts with.
    pub fn mode_at_start(&self, mode: &str) {
        write(&self.mode_file_path(), mode);
    }

    /// Starts Gatehound and waits until it is ready.
    pub fn start_gatehound(&self) {
        if self.try_start_gatehound() {
            return;
        }
        // No record can tell of a start that did not happen; what there is says why.
        self.journal
            .wait_for("a start of gatehound", Duration::from_secs(1), |_| false);
    }

    /// Starts Gatehound; whether it became ready.
    pub fn try_start_gatehound(&self) -> bool {
        let output = try_systemctl(&["start", &self.gatehound]);
        output.is_some_and(|output| output.status.success())
    }

    /// Runs the command line for this profile.
    pub fn gatehound(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(place::file("gatehound"));
        command.args(["--profile", &self.profile]).args(arguments);
        command.output().expect("run gatehound")
    }

    /// What Gatehound's unit says about itself.
    pub fn status_text(&self) -> String {
        self.property(&self.gatehound, "StatusText")
    }

    /// Waits until Gatehound's status contains a text; panics with the journal when it does not in time.
    pub fn wait_for_status(&self, text: &str, within: Duration) {
        let mut left = Left::of(within);
        while !self.status_text().contains(text) {
            assert!(
                !left.is_none(),
                "waited {within:?} in vain for the status {text:?}; it is {:?}, and the journal:{}",
                self.status_text(),
                self.records()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A property of a unit, as `systemctl show` writes it.
    pub fn property(&self, unit: &str, name: &str) -> String {
        let shown = systemctl(&["show", "--value", "--property", name, unit]);
        shown.trim_end_matches('\n').to_owned()
    }

    /// The main process of a unit, 0 when it has none.
    pub fn main_pid(&self, unit: &str) -> i32 {
        self.property(unit, "MainPID").parse().expect("a pid")
    }

    /// Sends a signal to the gateway's main process alone; the option of systemctl for it is another before systemd 252.
    pub fn signal_gateway(&self, signal: Signal) {
        let pid = Pid::from_raw(self.main_pid(&self.gateway));
        assert!(pid.as_raw() > 1, "{} has no main process", self.gateway);
        kill(pid, signal).expect("signal the gateway");
    }

    /// Every datagram Gatehound has sent so far, oldest first; needs [`Setup::notify_proxy`].
    pub fn notified(&self) -> Vec<Datagram> {
        notify_proxy::read(&self.notify_log_path())
    }

    /// A place for files of the trial's own, gone with it.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where the stand-in gateway takes orders.
    pub fn control(&self) -> PathBuf {
        self.folder.join("control")
    }

    /// Where the behaviour of later runs of the stand-in gateway stands.
    pub fn mode_file_path(&self) -> PathBuf {
        self.folder.join("mode")
    }

    fn notify_log_path(&self) -> PathBuf {
        self.folder.join("notify")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // First the jobs, so that nothing restarts; then SIGKILL, because a hung gateway has 330 s to stop.
        let units = [self.gatehound.as_str(), self.gateway.as_str()];
        for unit in units {
            try_systemctl(&["stop", "--no-block", unit]);
            try_systemctl(&["kill", "--signal=KILL", unit]);
            // Gatehound may have pending the gateway a start; it comes before the gateway in this order.
            try_systemctl(&["stop", unit]);
            try_systemctl(&["reset-failed", unit]);
        }
        for unit in units {
            let _ = fs::remove_file(self.unit_path(unit));
            let _ = fs::remove_dir_all(self.unit_path(&format!("{unit}.d")));
        }
        let _ = fs::remove_dir_all(&self.folder);
        // The unit preserves it, for a start still pending.
        let _ = fs::remove_dir_all(self.runtime_directory());
        let _ = fs::remove_file(&self.settings).or_else(|_| fs::remove_dir(&self.settings));
    }
}

/// Everything that is sent from a port of 127.0.0.1 in answer to one GET; an error when that takes longer than the time.
pub fn get(port: u16, path: &str, within: Duration) -> io::Result<String> {
    let deadline = Instant::now() + within;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    let mut buffer = [0; 64 << 10];
    loop {
        // An answer in drops satisfies each read, so the time that is left bounds all of them together.
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => return Ok(String::from_utf8_lossy(&answer).into_owned()),
            length => answer.extend_from_slice(&buffer[..length]),
        }
    }
}

/// The time a wait may still take, of which no step counts for more than [`STEP`].
///
/// A virtual machine that its host stops for a minute finds all deadlines passed when it goes on, and nothing done.
pub struct Left {
    time: Duration,
    since: Instant,
}

/// Far more than one look and the pause after it take.
const STEP: Duration = Duration::from_secs(2);

impl Left {
    /// All of it.
    pub fn of(time: Duration) -> Self {
        Self {
            time,
            since: Instant::now(),
        }
    }

    /// How long the next step may be.
    pub fn step(&self) -> Duration {
        self.time.min(STEP)
    }

    /// Takes off what has passed since it was last asked; whether nothing is left.
    pub fn is_none(&mut self) -> bool {
        let now = Instant::now();
        let step = now.duration_since(self.since).min(STEP);
        self.since = now;
        self.time = self.time.saturating_sub(step);
        self.time.is_zero()
    }
}

/// Waits until a condition holds that no event tells of; panics when it does not in time.
pub fn wait_until(what: &str, within: Duration, condition: impl Fn() -> bool) {
    let mut left = Left::of(within);
    while !condition() {
        assert!(!left.is_none(), "waited {within:?} in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Calls the user manager; panics when it refuses.
pub fn systemctl(arguments: &[&str]) -> String {
    let output = Command::new("systemctl")
        .arg("--user")
        .args(arguments)
        .output()
        .expect("run systemctl");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "systemctl --user {arguments:?}: {stderr}"
    );
    String::from_utf8(output.stdout).expect("systemctl writes UTF-8")
}

/// The version of the systemd that runs, where trials differ by it.
pub fn systemd_version() -> u32 {
    let shown = systemctl(&["show", "--value", "--property=Version"]);
    let number = shown.split(|c: char| !c.is_ascii_digit()).next();
    number
        .and_then(|number| number.parse().ok())
        .expect("a version")
}

/// Calls the user manager where a refusal, of a unit that is not there, is as good.
pub fn try_systemctl(arguments: &[&str]) -> Option<Output> {
    Command::new("systemctl")
        .arg("--user")
        .args(arguments)
        .output()
        .ok()
}

/// The state letter of a process's main thread, `X` when there is no such process.
pub fn process_state(pid: i32) -> char {
    stat_field(pid, 3)
        .and_then(|state| state.chars().next())
        .unwrap_or('X')
}

/// The CPU time a process's main thread has used so far, in clock ticks.
pub fn main_thread_ticks(pid: i32) -> u64 {
    let path = format!("/proc/{pid}/task/{pid}/stat");
    let field =
        |number| field_of(Path::new(&path), number).and_then(|ticks| ticks.parse::<u64>().ok());
    field(14)
        .zip(field(15))
        .map_or(0, |(user, system)| user + system)
}

fn stat_field(pid: i32, number: usize) -> Option<String> {
    field_of(&PathBuf::from(format!("/proc/{pid}/stat")), number)
}

/// Fields are counted from 1 as in proc(5); the second, in brackets, may itself hold spaces and brackets.
fn field_of(stat: &Path, number: usize) -> Option<String> {
    let text = fs::read_to_string(stat).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    rest.split(' ')
        .nth(number.checked_sub(3)?)
        .map(str::to_owned)
}

/// A port below the ones the kernel gives to clients, free on both loopback addresses.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 100).expect("below 100") * 100;
    loop {
        let port = 20000 + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % 10000;
        let taken = |error: io::Error| error.kind() == io::ErrorKind::AddrInUse;
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if v4 && !TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_err_and(taken) {
            return port;
        }
    }
}

/// A path as one word of a unit file's command line.
pub fn quoted(path: &Path) -> String {
    let path = path
        .to_str()
        .expect("a path in UTF-8")
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    format!("\"{}\"", path.replace('%', "%%").replace('$', "$$"))
}

pub fn write(path: &Path, text: &str) {
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
