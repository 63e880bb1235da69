//! How long each watcher takes to bring back a gateway that hangs, under its default settings, all of them at once.
//!
//! Owns the moment at which a gateway begins to hang: just after a check, which is the worst there is.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::bench::meter;
use crate::bench::report::{Recovery, Steps};
use crate::bench::watchers::Watcher;
use crate::rig::{Rig, TIMEOUT, systemctl, wait_until};
use crate::watched::event;

/// Half a minute, as a cron line with two runs a minute has it, and as Gatehound has it by default.
const INTERVAL: u64 = 30_000;

/// A gateway that is not back by then is not brought back: a stop may take 330 s, and a check or two more.
const LIMIT: Duration = Duration::from_secs(480);

/// Kinds of stalls, and how the stand-in gateway is told to have them.
const STALLS: [(&str, &str); 6] = [
    ("gone", "port-gone"),
    ("stopped", "stopped"),
    ("deadlocked", "deadlocked"),
    ("blocked", "blocked"),
    ("answering", "ok-false"),
    ("busy", "busy"),
];

/// Has each watcher bring back a gateway of each kind; a busy one Gatehound alone, because there are few cores to burn.
pub fn measure() -> Vec<Recovery> {
    let plans: Vec<(Watcher, &str, &str)> = [Watcher::Gatehound, Watcher::Shell, Watcher::Monit]
        .into_iter()
        .flat_map(|watcher| STALLS.map(|(stall, mode)| (watcher, stall, mode)))
        .filter(|(watcher, stall, _)| *watcher == Watcher::Gatehound || *stall != "busy")
        .collect();
    thread::scope(|scope| {
        let threads: Vec<_> = plans
            .into_iter()
            .map(|(watcher, stall, mode)| scope.spawn(move || recovery(watcher, stall, mode)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|recovery| recovery.expect("no panic")).collect()
    })
}

fn recovery(watcher: Watcher, stall: &str, mode: &str) -> Recovery {
    let rig = watcher.beside_a_gateway(INTERVAL);
    let own_start = own_start(&rig);
    let asked = rig.asked();
    rig.start_gatehound();
    // The first check is at once, the second wherever the watcher's checks fall.
    wait_until("two checks", TIMEOUT * 4, || asked + 2 <= rig.asked());
    thread::sleep(Duration::from_millis(500));
    let pid = rig.main_pid(&rig.gateway);
    let procs = meter::cgroup(pid).join("cgroup.procs");
    let (mark, began, hung) = (rig.journal.mark(), now(), Instant::now());
    rig.mode(mode);
    while !(is_another_run(&procs, pid) && rig.healthy()) && hung.elapsed() < LIMIT {
        thread::sleep(Duration::from_millis(20));
    }
    let total = Some(hung.elapsed().as_secs_f64()).filter(|total| *total < LIMIT.as_secs_f64());
    eprintln!(
        "measure: {} and a gateway that is {stall}: {}",
        watcher.name(),
        total.map_or("never back".to_owned(), |total| format!(
            "back after {total:.1} s"
        ))
    );
    let steps = (watcher == Watcher::Gatehound && total.is_some())
        .then(|| steps(&rig, mark, began, began + hung.elapsed()));
    Recovery {
        watcher: watcher.name().to_owned(),
        stall: stall.to_owned(),
        total,
        own_start,
        overhead: total.map(|total| total - own_start),
        steps,
    }
}

/// How long the gateway itself takes from the order to start to its first answer, in seconds.
fn own_start(rig: &Rig) -> f64 {
    systemctl(&["stop", &rig.gateway]);
    let began = Instant::now();
    rig.start_gateway();
    began.elapsed().as_secs_f64()
}

/// Whether the unit has a process and the old one is not among them.
fn is_another_run(procs: &Path, old: i32) -> bool {
    let text = fs::read_to_string(procs).unwrap_or_default();
    !text.is_empty() && text.lines().all(|pid| pid != old.to_string())
}

/// What the time went into, as Gatehound's records say.
fn steps(rig: &Rig, mark: usize, hung: Duration, healthy: Duration) -> Steps {
    rig.journal
        .wait_for_after(mark, "a recovery", TIMEOUT, event("recovered"));
    let records = rig.journal.all().split_off(mark);
    let at = |name: &str| {
        let record = records.iter().find(|record| event(name)(record));
        record.map(|record| record.monotonic())
    };
    let must = |name: &str| at(name).unwrap_or_else(|| panic!("no record of {name}"));
    let (failing, backing_off) = (must("failing"), must("backing-off"));
    let (stopping, starting) = (must("stopping"), must("starting"));
    let stopped = at("killing").or(at("cleaned-up")).unwrap_or(starting);
    let span = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64();
    Steps {
        detection: span(hung, failing),
        grace: span(failing, backing_off),
        back_off: span(backing_off, stopping),
        stop: span(stopping, stopped),
        cleanup: span(stopped, starting),
        start: span(starting, healthy),
    }
}

/// CLOCK_MONOTONIC, by which the journal's records can be compared.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .expect("a clock")
        .into()
}
