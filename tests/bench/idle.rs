//! What each watcher costs while its gateway is healthy.
//!
//! Owns how long each is looked at and in which order: the shell watchdog's checks fall between blocks of Gatehound's,
//! so that whatever else the host does meets both.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::bench::meter::{self, Children, Cpu, Memory};
use crate::bench::report::{Idle, Machine};
use crate::bench::watchers::{Watcher, shell_check};
use crate::rig::{Rig, TIMEOUT, wait_until};
use crate::watched::event;

const BLOCKS: u64 = 10;
/// Ten blocks are the thousand checks after which the bounds are held.
const BLOCK: u64 = 100;
/// The shortest time from one check to the next that Gatehound has, in milliseconds.
const INTERVAL: u64 = 100;
const SHELL_CHECKS: u64 = 5;
const MONIT_CHECKS: u64 = 20;
/// Checks before the first that counts.
const WARM_UP: u64 = 20;

/// Measures all of them.
pub fn measure(machine: &mut Machine) -> Vec<Idle> {
    let gatehound = Watcher::Gatehound.beside_a_gateway(INTERVAL);
    let shell = Watcher::Shell.beside_a_gateway(INTERVAL);
    let (gatehound, shell) = side_by_side(&gatehound, &shell);
    machine.tcp_sockets = meter::tcp_sockets();
    let monit = monit(&Watcher::Monit.beside_a_gateway(1000));
    vec![gatehound, shell, monit]
}

/// What has been counted of a watcher at one moment.
struct Count {
    checks: u64,
    cpu: Cpu,
    voluntary: u64,
    involuntary: u64,
    written: u64,
    last_pid: u64,
    records: u64,
}

impl Count {
    fn of(rig: &Rig, pid: i32) -> Self {
        let (voluntary, involuntary) = meter::switches(pid);
        Self {
            checks: rig.asked(),
            cpu: Cpu::of_cgroup(&meter::cgroup(pid)),
            voluntary,
            involuntary,
            written: meter::written(pid),
            last_pid: meter::last_pid(),
            records: records(rig),
        }
    }

    fn of_children(rig: &Rig) -> Self {
        let children = Children::so_far();
        Self {
            checks: rig.asked(),
            cpu: children.cpu,
            voluntary: children.voluntary,
            involuntary: children.involuntary,
            written: meter::written(std::process::id() as i32),
            last_pid: meter::last_pid(),
            records: records(rig),
        }
    }
}

/// Records of the watcher's unit.
fn records(rig: &Rig) -> u64 {
    let from = |unit: Option<String>| unit.as_ref() == Some(&rig.gatehound);
    let all = rig.journal.all();
    let own = all
        .iter()
        .filter(|record| from(record.get("_SYSTEMD_USER_UNIT")));
    own.count() as u64
}

/// The sum of some stretches of time in which a watcher was looked at.
#[derive(Default)]
struct Sum {
    checks: u64,
    /// CPU time per check of each stretch: its median is what a stretch disturbed by others does not move.
    cpu: Vec<f64>,
    user: f64,
    system: f64,
    voluntary: u64,
    involuntary: u64,
    written: u64,
    started: u64,
    records: u64,
}

impl Sum {
    fn add(&mut self, before: &Count, after: &Count) {
        let checks = after.checks - before.checks;
        let cpu = after.cpu.since(before.cpu);
        self.checks += checks;
        self.cpu.push(cpu.total() / checks as f64);
        self.user += cpu.user;
        self.system += cpu.system;
        self.voluntary += after.voluntary - before.voluntary;
        self.involuntary += after.involuntary - before.involuntary;
        self.written += after.written - before.written;
        self.started += after.last_pid - before.last_pid;
        self.records += after.records - before.records;
    }

    fn idle(self, watcher: Watcher) -> Idle {
        let per_check = |sum: u64| sum as f64 / self.checks as f64;
        let cpu_ms = median(&self.cpu);
        let user_share = self.user / (self.user + self.system);
        Idle {
            watcher: watcher.name().to_owned(),
            checks: self.checks,
            cpu_ms,
            user_ms: cpu_ms * user_share,
            system_ms: cpu_ms * (1.0 - user_share),
            wakeups: per_check(self.voluntary),
            switches: per_check(self.voluntary + self.involuntary),
            started: per_check(self.started),
            written: per_check(self.written),
            records: per_check(self.records),
            ..Idle::default()
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Waits for this many more checks, starting nothing meanwhile.
fn wait_for_checks(rig: &Rig, checks: u64) {
    let until = rig.asked() + checks;
    wait_until("checks", TIMEOUT + Duration::from_secs(checks), || {
        until <= rig.asked()
    });
}

fn side_by_side(gatehound: &Rig, shell: &Rig) -> (Idle, Idle) {
    gatehound.start_gatehound();
    gatehound
        .journal
        .wait_for("a healthy gateway", TIMEOUT, event("healthy"));
    let pid = gatehound.main_pid(&gatehound.gatehound);
    wait_for_checks(gatehound, WARM_UP);
    run_shell(shell);
    let (mut of_gatehound, mut of_shell) = (Sum::default(), Sum::default());
    let mut private = Vec::new();
    for block in 1..=BLOCKS {
        let before = Count::of(gatehound, pid);
        wait_for_checks(gatehound, BLOCK);
        of_gatehound.add(&before, &Count::of(gatehound, pid));
        private.push(Memory::of(pid).private);
        let before = Count::of_children(shell);
        for _ in 0..SHELL_CHECKS {
            run_shell(shell);
        }
        of_shell.add(&before, &Count::of_children(shell));
        eprintln!("measure: {} checks of gatehound", block * BLOCK);
    }
    // Both are of this process's children, the largest of which was one of the shell watchdog's.
    let largest = Children::so_far().largest;
    let shell = Idle {
        resident_kib: largest,
        ..of_shell.idle(Watcher::Shell)
    };
    let gatehound = Idle {
        private_course_kib: private,
        ..with_process(of_gatehound.idle(Watcher::Gatehound), pid)
    };
    (gatehound, shell)
}

fn run_shell(rig: &Rig) {
    let status = Command::new("sh").args(shell_check(rig)).status();
    assert!(status.expect("run sh").success(), "the shell watchdog");
}

fn monit(rig: &Rig) -> Idle {
    rig.start_gatehound();
    let pid = rig.main_pid(&rig.gatehound);
    // It asks nothing of a process that is younger than 30 s; whatever it does at its start is done after two checks.
    wait_until("Monit's first check", TIMEOUT * 2, || 1 < rig.asked());
    wait_for_checks(rig, 2);
    let mut sum = Sum::default();
    for _ in 0..MONIT_CHECKS / 5 {
        let before = Count::of(rig, pid);
        wait_for_checks(rig, 5);
        // It asks first and works on.
        thread::sleep(Duration::from_millis(100));
        sum.add(&before, &Count::of(rig, pid));
    }
    with_process(sum.idle(Watcher::Monit), pid)
}

fn with_process(idle: Idle, pid: i32) -> Idle {
    let late = Memory::of(pid);
    Idle {
        resident_kib: late.resident,
        private_kib: late.private,
        threads: meter::threads(pid),
        descriptors: meter::descriptors(pid),
        ..idle
    }
}
