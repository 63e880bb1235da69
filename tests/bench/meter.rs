//! What a process, a cgroup and this machine have used so far, as the kernel counts it.
//!
//! Owns the reading of /proc and of the cgroup file system; knows nothing of watchers.
//! Source of every format: proc(5) and the kernel's documentation of cgroup v2.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// CPU time in milliseconds.
#[derive(Clone, Copy)]
pub struct Cpu {
    pub user: f64,
    pub system: f64,
}

impl Cpu {
    /// What a cgroup used, and all that ever was in it.
    pub fn of_cgroup(cgroup: &Path) -> Self {
        let stat = read(&cgroup.join("cpu.stat"));
        let msec = |name: &str| number_after(&stat, name) as f64 / 1e3;
        Self {
            user: msec("user_usec"),
            system: msec("system_usec"),
        }
    }

    pub fn total(self) -> f64 {
        self.user + self.system
    }

    pub fn since(self, before: Self) -> Self {
        Self {
            user: self.user - before.user,
            system: self.system - before.system,
        }
    }
}

/// What all children of this process used that have ended and were waited for, their own children included.
pub struct Children {
    pub cpu: Cpu,
    pub voluntary: u64,
    pub involuntary: u64,
    /// The most that one of them had in memory at once, in KiB.
    pub largest: u64,
}

impl Children {
    pub fn so_far() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage");
        let msec = |time: TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
        let count = |number| u64::try_from(number).expect("a count");
        Self {
            cpu: Cpu {
                user: msec(usage.user_time()),
                system: msec(usage.system_time()),
            },
            voluntary: count(usage.voluntary_context_switches()),
            involuntary: count(usage.involuntary_context_switches()),
            largest: count(usage.max_rss()),
        }
    }
}

/// Context switches of all threads of a process: those in which it waited, and those in which it was made to.
pub fn switches(pid: i32) -> (u64, u64) {
    let (mut voluntary, mut involuntary) = (0, 0);
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    for task in tasks.flatten() {
        let status = read(&task.path().join("status"));
        voluntary += number_after(&status, "voluntary_ctxt_switches:");
        involuntary += number_after(&status, "nonvoluntary_ctxt_switches:");
    }
    (voluntary, involuntary)
}

/// Memory of a process in KiB.
#[derive(Clone, Copy)]
pub struct Memory {
    pub resident: u64,
    /// What it wrote itself; a page of a file that nobody else happens to have in memory is not counted.
    pub private: u64,
    /// Its own, and its share of what others have in memory too.
    pub proportional: u64,
}

impl Memory {
    pub fn of(pid: i32) -> Self {
        let rollup = read(Path::new(&format!("/proc/{pid}/smaps_rollup")));
        let kib = |name| number_after(&rollup, name);
        Self {
            resident: kib("Rss:"),
            private: kib("Private_Dirty:"),
            proportional: kib("Pss:"),
        }
    }
}

/// Threads of a process.
pub fn threads(pid: i32) -> u64 {
    entries(&format!("/proc/{pid}/task"))
}

/// Open descriptors of a process.
pub fn descriptors(pid: i32) -> u64 {
    entries(&format!("/proc/{pid}/fd"))
}

/// Bytes a process, and its children that were waited for, passed to write(2): to files and pipes, not to sockets.
pub fn written(pid: i32) -> u64 {
    number_after(&read(Path::new(&format!("/proc/{pid}/io"))), "wchar:")
}

/// The cgroup a process is in.
pub fn cgroup(pid: i32) -> PathBuf {
    let text = read(Path::new(&format!("/proc/{pid}/cgroup")));
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    Path::new("/sys/fs/cgroup").join(path.expect("a cgroup of version 2"))
}

/// The number that the last process or thread of this pid namespace got.
///
/// They are given out one after the other, so the difference of two is how many were started between them, by
/// whomever, and however soon they ended.
pub fn last_pid() -> u64 {
    let text = read(Path::new("/proc/loadavg"));
    let last = text.split_whitespace().last();
    last.and_then(|pid| pid.parse().ok()).expect("a pid")
}

/// TCP sockets of this network namespace, those that have ended and are remembered included.
pub fn tcp_sockets() -> u64 {
    let sockets = |path| read(Path::new(path)).lines().skip(1).count() as u64;
    sockets("/proc/net/tcp") + sockets("/proc/net/tcp6")
}

/// What reading one table of TCP sockets takes, in milliseconds; the least of some tries.
///
/// Where the kernel's own table is large this is most of what anybody pays who reads it, however few sockets there are.
pub fn tcp_table_ms() -> f64 {
    let took = |_| {
        let began = Instant::now();
        read(Path::new("/proc/net/tcp"));
        began.elapsed().as_secs_f64() * 1e3
    };
    (0..10).map(took).fold(f64::INFINITY, f64::min)
}

/// The first number after a name at the beginning of a line.
fn number_after(text: &str, name: &str) -> u64 {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("no {name} in {text}"));
    let number = rest.split_whitespace().next();
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

fn entries(folder: &str) -> u64 {
    fs::read_dir(folder).expect("the process runs").count() as u64
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
