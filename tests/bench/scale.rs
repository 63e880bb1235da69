//! One, ten and a hundred Gatehounds on one machine, each with a gateway of its own, started all at once.
//!
//! Owns their units, which are plainer than a trial's, because there are many.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::meter::{self, Cpu, Memory};
use crate::bench::report::Scale;
use crate::place;
use crate::rig::{TIMEOUT, get, quoted, systemctl, wait_until, write};
use crate::stand_in;

const COUNTS: [usize; 3] = [1, 10, 100];

/// Within the first interval each Gatehound finds its own moment.
const FIRST: Duration = Duration::from_secs(32);

/// Two intervals: as many checks of each.
const WINDOW: u64 = 60;

/// Above the ports of the trials, below those that the kernel gives to clients.
const FIRST_PORT: u16 = 31_000;

/// Measures each number of instances.
pub fn measure() -> Vec<Scale> {
    COUNTS.iter().map(|count| of(*count)).collect()
}

/// Gateways and Gatehounds; dropping them ends and removes them.
struct Herd {
    names: Vec<String>,
}

impl Herd {
    fn new(count: usize) -> Self {
        let herd = Self {
            names: (0..count).map(|number| format!("scale{number}")).collect(),
        };
        let executable = quoted(&place::executable().expect("this executable"));
        for (port, name) in (FIRST_PORT..).zip(&herd.names) {
            let control = quoted(&control(name));
            write(
                &units().join(gateway(name)),
                &format!(
                    "[Service]\nExecStart={executable} stand-in-gateway --control {control} gateway --port {port}\n"
                ),
            );
        }
        let template = place::file("units/gatehound@.service");
        let template = fs::read_to_string(template).expect("the shipped unit");
        write(&units().join("gatehound@.service"), &template);
        let program = quoted(&place::file("gatehound"));
        write(
            &units().join("gatehound@.service.d/program.conf"),
            &format!("[Service]\nExecStart=\nExecStart={program} --profile %i run\n"),
        );
        herd
    }

    fn start(&self) {
        self.systemctl("start", gateway);
        for port in (FIRST_PORT..).take(self.names.len()) {
            wait_until("a gateway", TIMEOUT, || {
                get(port, "/", Duration::from_secs(1)).is_ok()
            });
        }
        self.systemctl("start", gatehound);
    }

    fn systemctl(&self, verb: &str, unit: fn(&str) -> String) -> String {
        let units: Vec<String> = self.names.iter().map(|name| unit(name)).collect();
        let mut arguments = vec![verb];
        arguments.extend(units.iter().map(String::as_str));
        systemctl(&arguments)
    }

    fn pids(&self) -> Vec<i32> {
        let show =
            |name: &String| systemctl(&["show", "--value", "--property=MainPID", &gatehound(name)]);
        let pid = |name| show(name).trim().parse().expect("a pid");
        self.names.iter().map(pid).collect()
    }

    /// Checks of all of them so far.
    fn checks(&self) -> u64 {
        let asked = |name: &String| {
            let reply = stand_in::order(&control(name), "asked").expect("give an order");
            reply.parse::<u64>().expect("a number")
        };
        self.names.iter().map(asked).sum()
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        self.systemctl("stop", gatehound);
        self.systemctl("stop", gateway);
        for name in &self.names {
            let _ = fs::remove_file(units().join(gateway(name)));
            let _ = fs::remove_file(control(name));
        }
        let _ = fs::remove_file(units().join("gatehound@.service"));
        let _ = fs::remove_dir_all(units().join("gatehound@.service.d"));
    }
}

fn gateway(name: &str) -> String {
    format!("openclaw-gateway-{name}.service")
}

fn gatehound(name: &str) -> String {
    format!("gatehound@{name}.service")
}

fn runtime() -> PathBuf {
    PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").expect("XDG_RUNTIME_DIR"))
}

fn units() -> PathBuf {
    runtime().join("systemd/user")
}

fn control(name: &str) -> PathBuf {
    runtime().join(format!("control-{name}"))
}

fn of(count: usize) -> Scale {
    let herd = Herd::new(count);
    let began = Instant::now();
    herd.start();
    let start = began.elapsed();
    let pids = herd.pids();
    thread::sleep(FIRST);
    let cpu = |pid: &i32| Cpu::of_cgroup(&meter::cgroup(*pid)).total();
    let waits = |pid: &i32| meter::switches(*pid).0;
    let before: (f64, u64) = (pids.iter().map(cpu).sum(), pids.iter().map(waits).sum());
    let busiest_second = busiest_second(&herd);
    let after: (f64, u64) = (pids.iter().map(cpu).sum(), pids.iter().map(waits).sum());
    let memory: Vec<Memory> = pids.iter().map(|pid| Memory::of(*pid)).collect();
    let seconds = WINDOW as f64;
    eprintln!("measure: {count} instances");
    Scale {
        instances: count,
        start: start.as_secs_f64(),
        resident_kib: memory.iter().map(|memory| memory.resident).sum(),
        proportional_kib: memory.iter().map(|memory| memory.proportional).sum(),
        private_kib: memory.iter().map(|memory| memory.private).sum(),
        cpu_percent: (after.0 - before.0) / (seconds * 1e3) * 100.0,
        cpu_ms: (after.0 - before.0) / (count as f64 * 2.0),
        wakeups_per_second: (after.1 - before.1) as f64 / seconds,
        busiest_second,
    }
}

/// The most checks that fell into one second of the window.
fn busiest_second(herd: &Herd) -> u64 {
    let began = Instant::now();
    let mut before = herd.checks();
    let mut most = 0;
    for second in 1..=WINDOW {
        thread::sleep(Duration::from_secs(second).saturating_sub(began.elapsed()));
        let now = herd.checks();
        most = most.max(now - before);
        before = now;
    }
    most
}
