//! What the pulses of one Gatehound cost that makes no check meanwhile.
//!
//! Owns how long it is looked at; knows no bound.

use std::thread;
use std::time::{Duration, Instant};

use crate::bench::meter::{self, Cpu};
use crate::bench::report::Pulses;
use crate::bench::watchers::Watcher;
use crate::rig::{TIMEOUT, wait_until};
use crate::watched::event;

/// As many pulses between two checks as the settings allow.
const SETTINGS: &str = "interval = \"45s\"\npulse = \"1s\"\n";
/// A gateway that is idle by nature is checked in vain before that is believed.
const AT_REST: Duration = Duration::from_secs(6);
const PULSES: u64 = 30;

/// Measures.
pub fn measure() -> Pulses {
    let rig = Watcher::Gatehound.beside_a_gateway(1000);
    rig.settings(SETTINGS);
    rig.start_gatehound();
    rig.journal
        .wait_for("a healthy gateway", TIMEOUT, event("healthy"));
    let pid = rig.main_pid(&rig.gatehound);
    let beats = || meter::switches(pid).0;
    loop {
        let asked = rig.asked();
        thread::sleep(AT_REST);
        if rig.asked() == asked {
            break;
        }
    }
    let before = rig.asked();
    wait_until("the next check", TIMEOUT, || before < rig.asked());
    thread::sleep(Duration::from_secs(1));
    let (asked, began) = (rig.asked(), Instant::now());
    let (cpu, first) = (Cpu::of_cgroup(&meter::cgroup(pid)), beats());
    wait_until("pulses", TIMEOUT * 2, || first + PULSES <= beats());
    let cpu = Cpu::of_cgroup(&meter::cgroup(pid)).since(cpu);
    // Each pulse is one wake-up, and nothing else wakes it.
    let pulses = beats() - first;
    assert_eq!(rig.asked(), asked, "a check in between");
    eprintln!("measure: {pulses} pulses in {:.1?}", began.elapsed());
    Pulses {
        pulses,
        cpu_ms: cpu.total() / pulses as f64,
    }
}
