//! `cargo measure`: the release binary beside the watchdogs it replaces, in one throwaway machine, as ratios.
//!
//! Owns the build, the machine and the order of the parts; `report.rs` owns what the numbers have to be.
//! CPU time and ratios of one run are what other work on the host moves least, so the bounds are on those.

mod idle;
mod instructions;
mod meter;
mod pulse_cost;
mod recovery_times;
mod report;
mod scale;
mod watchers;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use nix::unistd::Uid;
use serde_json::Value;

use crate::machine::Machine;
use crate::place;
use report::Report;

/// A release binary that is there already, so that none is built.
const PREBUILT: &str = "MEASURE_BINARY";

/// Ended connections that the machine remembers, for a minute each: as many as at the default interval, for which
/// two of each check are left of the last two checks. A thousand checks in two minutes would leave a thousand, and
/// whoever lists sockets would pay for them.
const TIME_WAIT_SOCKETS: u32 = 4;

/// Measures from outside the machine, prints, and fails where a bound does not hold.
pub fn main(arguments: &[String]) -> ExitCode {
    match measure(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("measure: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &[String]) -> Result<bool, String> {
    let with_symbols = parts(arguments)?.contains(&INSTRUCTIONS);
    if !Uid::effective().is_root() {
        return Err("the throwaway machine needs root; run it as root".to_owned());
    }
    let binary = binary(with_symbols)?;
    let monit = monit()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/watchdog.sh");
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("units");
    let files: &[(&str, &Path)] = &[
        ("e2e", &place::executable()?),
        ("gatehound", &binary),
        ("units", &units),
        ("watchdog.sh", &script),
        ("monit", &monit),
    ];
    let machine = Machine::boot(files, None)?;
    limit_time_wait(&machine)?;
    let mut inside = machine.as_user(Machine::path("e2e"));
    inside.arg("measure-inside").args(arguments);
    let output = inside.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot measure in the machine: {error}"))?;
    if !output.status.success() {
        return Err(format!("the measurement failed ({})", output.status));
    }
    let mut report: Report = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("what was measured cannot be read: {error}"))?;
    report.binary = fs::metadata(&binary)
        .map_err(|error| format!("{}: {error}", binary.display()))?
        .len();
    tell(&report)
}

fn tell(report: &Report) -> Result<bool, String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("measure.json");
    let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    let bounds = report.bounds();
    println!("{}{}", report.tables(), report::bounds_table(&bounds));
    println!("all numbers are in {}", path.display());
    Ok(bounds
        .iter()
        .all(|bound| bound.verdict != report::Verdict::Broken))
}

/// Measures inside the machine and writes the report to standard output.
pub fn inside(arguments: &[String]) -> ExitCode {
    let parts = parts(arguments).expect("looked at outside");
    let mut report = Report {
        machine: here(),
        ..Report::default()
    };
    for part in parts {
        eprintln!("measure: {part}");
        match part {
            "idle" => report.idle = idle::measure(&mut report.machine),
            "pulse" => report.pulses = Some(pulse_cost::measure()),
            "recovery" => report.recovery = recovery_times::measure(),
            "scale" => report.scale = scale::measure(),
            INSTRUCTIONS => report.instructions = Some(instructions::measure()),
            other => panic!("no part {other}"),
        }
    }
    println!(
        "{}",
        serde_json::to_string(&report).expect("a report is JSON")
    );
    ExitCode::SUCCESS
}

/// The part that needs a binary with symbols, and valgrind.
const INSTRUCTIONS: &str = "instructions";

/// What is to be measured.
fn parts(arguments: &[String]) -> Result<Vec<&'static str>, String> {
    const ALL: [&str; 4] = ["idle", "pulse", "recovery", "scale"];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => Ok(vec!["idle", "pulse"]),
        ["--long"] => Ok(ALL.to_vec()),
        some => some
            .iter()
            .map(|name| {
                let all = || ALL.into_iter().chain([INSTRUCTIONS]);
                let there: Vec<&str> = all().collect();
                let part = all().find(|part| part == name);
                part.ok_or_else(|| format!("no part {name:?}; there are {}", there.join(", ")))
            })
            .collect(),
    }
}

fn here() -> report::Machine {
    let first_word = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    report::Machine {
        kernel: first_word("/proc/sys/kernel/osrelease"),
        cores: thread::available_parallelism().map_or(0, usize::from),
        tcp_sockets: 0,
        tcp_table_ms: meter::tcp_table_ms(),
        load: first_word("/proc/loadavg").parse().unwrap_or_default(),
    }
}

/// The release binary: built here, because the tests' own is a debug build.
fn binary(with_symbols: bool) -> Result<PathBuf, String> {
    if let Some(path) = env::var_os(PREBUILT) {
        return Ok(path.into());
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "--bin", "gatehound"]);
    cargo.args([
        "--message-format=json-render-diagnostics",
        "--manifest-path",
    ]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    if with_symbols {
        cargo.env("CARGO_PROFILE_RELEASE_STRIP", "none");
    }
    let output = cargo.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err("the release binary cannot be built".to_owned());
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .find_map(|message: Value| Some(message.get("executable")?.as_str()?.into()))
        .ok_or_else(|| "cargo names no executable".to_owned())
}

/// Monit as Debian packages it: the one that is installed, else one that is unpacked into the target folder, because
/// the package would start it for the whole host.
fn monit() -> Result<PathBuf, String> {
    let installed = PathBuf::from("/usr/bin/monit");
    if installed.exists() {
        return Ok(installed);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("monit");
    let unpacked = folder.join("usr/bin/monit");
    if unpacked.exists() {
        return Ok(unpacked);
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut sh = Command::new("sh");
    sh.args([
        "-c",
        "apt-get -qq download monit 2>/dev/null && dpkg-deb --extract monit_*.deb .",
    ]);
    let status = sh.current_dir(&folder).stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() && unpacked.exists() => Ok(unpacked),
        _ => Err("cannot get Monit; install it with: apt-get install monit".to_owned()),
    }
}

fn limit_time_wait(machine: &Machine) -> Result<(), String> {
    let mut sh = machine.as_root("sh");
    let path = "/proc/sys/net/ipv4/tcp_max_tw_buckets";
    sh.args(["-c", &format!("echo {TIME_WAIT_SOCKETS} >{path}")]);
    match sh.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("cannot write {path}")),
    }
}
