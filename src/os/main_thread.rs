//! The main thread of a process as the kernel shows it: whether it runs, what it sleeps in, and who its children are.
//!
//! Owns the files of /proc/PID/task/PID but `stat`, which `processes` parses; what they mean is not known here.
//! What cannot be read is absent. Source of every format: proc(5).

use std::{path::Path, time::Duration};

use crate::{
    os::processes::{self, MAX_FILE, Stat, read, read_once, status_field, ticks},
    text::line::Line,
};

/// What moves whenever a thread runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// Whether a signal has stopped it.
    pub stopped: bool,
    /// How often it was given a CPU; in a kernel that does not count it, how often it gave it up to wait.
    pub switches: u64,
    /// Time it has run, to the nanosecond; absent in a kernel that does not count it.
    pub ran: Option<Duration>,
    /// Time it was ready to run, and others had the CPU.
    pub delayed: Option<Duration>,
}

/// How much a thread may seem to have run although it has not: the kernel's own work on its behalf.
const NOTHING: Duration = Duration::from_millis(1);

impl Turns {
    /// Whether the thread has not run since it was at `before`.
    pub fn are_those_of(&self, before: &Self) -> bool {
        let ran = |turns: &Self| turns.ran.unwrap_or_default();
        self.switches == before.switches
            && ran(self)
                .checked_sub(ran(before))
                .is_some_and(|ran| ran < NOTHING)
    }
}

/// How often the main thread has run, if that can be seen.
///
/// It is read at each pulse: these two files are the cheapest that say it.
pub fn turns(proc: &Path, pid: u32) -> Option<Turns> {
    let task = proc.join(format!("{pid}/task/{pid}"));
    let stat = Stat::read(&task)?;
    // Run, waited for a CPU, and how often; all zero in a kernel that does not count.
    let schedstat = read_once(&task.join("schedstat")).unwrap_or_default();
    let schedstat = String::from_utf8_lossy(&schedstat);
    let mut numbers = schedstat.split_whitespace().map(str::parse::<u64>);
    let mut number = || numbers.next()?.ok();
    let [ran, delayed, count] = [number(), number(), number()];
    let switches = match count.filter(|count| 0 < *count) {
        Some(count) => count,
        None => waits(proc, pid)?,
    };
    Some(Turns {
        stopped: stat.state == 'T',
        switches,
        ran: ran.map(Duration::from_nanos),
        delayed: delayed.map(Duration::from_nanos),
    })
}

/// How often the main thread gave up the CPU to wait.
pub fn waits(proc: &Path, pid: u32) -> Option<u64> {
    let status = read(&proc.join(format!("{pid}/task/{pid}/status")), MAX_FILE)?;
    let mut words = status_field(&status, "voluntary_ctxt_switches:")?;
    words.next()?.parse().ok()
}

/// The kernel function that the main thread sleeps in, without what a compiler puts behind its name.
///
/// Absent when it does not sleep, or the kernel hides where: both are `0`.
pub fn sleeps_in(proc: &Path, pid: u32) -> Option<Line> {
    let text = read(&proc.join(format!("{pid}/task/{pid}/wchan")), MAX_FILE)?;
    let text = String::from_utf8_lossy(&text);
    let name = text.trim().split('.').next()?;
    (!matches!(name, "" | "0")).then(|| Line::new(name))
}

/// Whether the freezer of cgroup version 1 holds it, which has no file that a user could ask.
pub fn is_refrigerated(proc: &Path, pid: u32) -> bool {
    sleeps_in(proc, pid).is_some_and(|function| function.as_str() == "__refrigerator")
}

/// A process that the main thread of another one started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Process id.
    pub pid: u32,
    /// How long ago it was started, suspends included.
    pub age: Duration,
    /// Its command line, or its name where that may not be asked for.
    pub command: Line,
}

/// More children than these are not looked at.
const MAX_CHILDREN: usize = 256;

/// The children that the main thread started and that have not ended; absent where the kernel does not list them.
///
/// `boottime` is now, by the clock that the kernel counts the start of a process by.
pub fn children(proc: &Path, pid: u32, boottime: Duration) -> Option<Vec<Child>> {
    let list = read(&proc.join(format!("{pid}/task/{pid}/children")), MAX_FILE)?;
    let list = String::from_utf8_lossy(&list);
    let pids = list.split_whitespace().map(str::parse).take(MAX_CHILDREN);
    let child = |pid: u32| {
        let stat = Stat::read(&proc.join(pid.to_string()))?;
        if stat.has_ended() {
            return None;
        }
        // The command line waits for a lock of the process's memory, which one in disk wait may hold.
        let whole = (stat.state != 'D').then(|| processes::process(proc, pid));
        let command = whole.flatten().map(|process| process.command);
        Some(Child {
            pid,
            age: boottime.saturating_sub(ticks(stat.start_time)),
            command: command.unwrap_or_else(|| Line::new(&format!("[{}]", stat.comm))),
        })
    };
    Some(pids.flatten().filter_map(child).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        process::{Command, Stdio},
    };

    use crate::os::clock::Clock;

    #[test]
    fn a_thread_that_sleeps_has_not_run_and_one_that_runs_has() {
        let proc = Path::new("/proc");
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        while sleeps_in(proc, child.id()).is_none_or(|it| !it.as_str().contains("nanosleep")) {
            std::thread::yield_now();
        }
        let first = turns(proc, child.id()).unwrap();
        let second = turns(proc, child.id()).unwrap();
        assert!(second.are_those_of(&first), "{first:?} {second:?}");
        child.kill().unwrap();
        child.wait().unwrap();

        let own = std::process::id();
        let first = turns(proc, own).unwrap();
        let earlier = Turns {
            switches: first.switches.wrapping_sub(1),
            ..first.clone()
        };
        assert!(!first.are_those_of(&earlier));
        let other = Turns {
            ran: first.ran.map(|ran| ran + Duration::from_millis(5)),
            ..first.clone()
        };
        assert!(!other.are_those_of(&first));
        // A time that went back is that of another thread.
        assert!(!first.are_those_of(&other) || first.ran.is_none());
    }

    #[test]
    fn the_freezer_of_cgroup_version_1_is_seen_by_where_a_thread_sleeps() {
        let proc = tempfile::tempdir().unwrap();
        let folder = proc.path().join("42/task/42");
        fs::create_dir_all(&folder).unwrap();
        let frozen = |function: &str| {
            fs::write(folder.join("wchan"), function).unwrap();
            is_refrigerated(proc.path(), 42)
        };
        assert!(frozen("__refrigerator"));
        assert!(!frozen("ep_poll") && !frozen("0"));
        assert!(!is_refrigerated(proc.path(), 43));
    }

    #[test]
    fn a_child_is_seen_with_its_age_and_command() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut line).unwrap();
        let proc = Path::new("/proc");
        let is_sleep = |child: &Child| child.command.as_str() == "sleep 60";
        // It is there as a copy of the shell before it becomes another program.
        let child = loop {
            let found = children(proc, shell.id(), Clock.boottime()).unwrap();
            if let [child] = found.as_slice()
                && is_sleep(child)
            {
                break child.clone();
            }
        };
        assert!(child.age < Duration::from_secs(60), "{child:?}");
        shell.kill().unwrap();
        shell.wait().unwrap();
        let child = nix::unistd::Pid::from_raw(i32::try_from(child.pid).unwrap());
        let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
        assert_eq!(children(proc, 0, Duration::ZERO), None);
    }

    #[test]
    fn what_is_not_there_or_not_understood_is_absent() {
        let proc = tempfile::tempdir().unwrap();
        let task = proc.path().join("7/task/7");
        fs::create_dir_all(&task).unwrap();
        let write = |name: &str, text: &str| fs::write(task.join(name), text).unwrap();
        assert_eq!(turns(proc.path(), 7), None);
        assert_eq!(children(proc.path(), 7, Duration::ZERO), None);
        write("status", "Name:\ta\nvoluntary_ctxt_switches:\t42\n");
        assert_eq!(turns(proc.path(), 7), None);
        let stat = |state| format!("7 (a) {state} 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 5 0");
        write("stat", &stat('S'));
        let without = Turns {
            switches: 42,
            ..Turns::default()
        };
        assert_eq!(turns(proc.path(), 7), Some(without.clone()));
        let none = Some(Duration::ZERO);
        let uncounted = Turns {
            ran: none,
            delayed: none,
            ..without
        };
        write("schedstat", "0 0 0\n");
        assert_eq!(turns(proc.path(), 7), Some(uncounted));
        write("schedstat", "1000 2000 3\n");
        write("stat", &stat('T'));
        let whole = Turns {
            stopped: true,
            switches: 3,
            ran: Some(Duration::from_micros(1)),
            delayed: Some(Duration::from_micros(2)),
        };
        assert_eq!(turns(proc.path(), 7), Some(whole));
        assert_eq!(waits(proc.path(), 7), Some(42));
        write("schedstat", "x 2000\n");
        write("status", "voluntary_ctxt_switches:\tx\n");
        assert_eq!(waits(proc.path(), 7), None);
        assert_eq!(turns(proc.path(), 7), None);
        for (text, expected) in [
            ("0", None),
            ("", None),
            ("futex_do_wait", Some("futex_do_wait")),
            (
                "poll_schedule_timeout.constprop.0",
                Some("poll_schedule_timeout"),
            ),
        ] {
            write("wchan", text);
            let found = sleeps_in(proc.path(), 7);
            assert_eq!(found.as_ref().map(Line::as_str), expected);
        }
        // Whoever ended meanwhile is none.
        write("children", "8 x 9");
        assert_eq!(children(proc.path(), 7, Duration::ZERO), Some(Vec::new()));
    }
}
