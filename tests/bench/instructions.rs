//! What a healthy check executes in user mode, as callgrind counts it: instructions, of which other work on the host
//! changes none.
//!
//! Owns the unit under valgrind, which is without the sandbox, because valgrind generates code; knows no bound.

use std::process::Command;

use crate::bench::report::{Function, Instructions};
use crate::bench::watchers::Watcher;
use crate::place;
use crate::rig::{TIMEOUT, quoted, wait_until, write};
use crate::watched::event;

const INTERVAL: u64 = 100;
/// Checks before the first that counts.
const WARM_UP: u64 = 50;
const CHECKS: u64 = 300;
/// Functions that are named.
const NAMED: usize = 40;

/// What the shipped unit forbids and valgrind needs.
const UNCONFINED: &str = "MemoryDenyWriteExecute=no\nNoNewPrivileges=no\nRestrictSUIDSGID=no\nLockPersonality=no\n\
     RestrictNamespaces=no\nRestrictRealtime=no\nRestrictAddressFamilies=\nSystemCallArchitectures=\nSystemCallFilter=\n\
     WatchdogSec=600\n";

/// Counts.
pub fn measure() -> Instructions {
    let rig = Watcher::Gatehound.beside_a_gateway(INTERVAL);
    let counts = rig.folder("callgrind");
    write(
        &rig.unit_path(&format!("{}.d/valgrind.conf", rig.gatehound)),
        &format!(
            "[Service]\n{UNCONFINED}ExecStart=\nExecStart=/usr/bin/valgrind --tool=callgrind --callgrind-out-file={} {} --profile %i run\n",
            quoted(&counts),
            quoted(&place::file("gatehound")),
        ),
    );
    rig.start_gatehound();
    rig.journal
        .wait_for("a healthy gateway", TIMEOUT, event("healthy"));
    let pid = rig.main_pid(&rig.gatehound).to_string();
    let wait = |checks: u64| {
        let until = rig.asked() + checks;
        wait_until("checks", TIMEOUT * 10, || until <= rig.asked());
    };
    wait(WARM_UP);
    run("callgrind_control", &["--zero", &pid]);
    let before = rig.asked();
    wait(CHECKS);
    run("callgrind_control", &["--dump", &pid]);
    let checks = rig.asked() - before;
    // It adds the number of the dump.
    let counts = format!("{}.1", counts.display());
    let text = run(
        "callgrind_annotate",
        &["--inclusive=yes", "--threshold=100", &counts],
    );
    let functions = text.lines().filter_map(function);
    let per_check = |(count, name): (u64, String)| Function {
        count: count / checks,
        name,
    };
    let all: Vec<Function> = functions.map(per_check).take(NAMED).collect();
    Instructions {
        per_check: all.first().expect("the whole program").count,
        functions: all,
    }
}

/// One line of callgrind_annotate(1): a count with its share, then the file, the function and the program it is in.
fn function(line: &str) -> Option<(u64, String)> {
    let (count, rest) = line.trim_start().split_once(" (")?;
    let count = count.replace(',', "").parse().ok()?;
    let (_, place) = rest.split_once(")  ")?;
    let (_, name) = place.split_once(':').unwrap_or(("", place));
    let name = name.split(" [").next().unwrap_or_default();
    Some((count, name.to_owned()))
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{program}: {error}; install it with: apt-get install valgrind")
    });
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
