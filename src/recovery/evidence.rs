//! Evidence: what a failing gateway looks like, collected before its restart destroys it.
//!
//! Owns what is collected, in which order and for how long; judges nothing.
//! What cannot be read is named and left out: evidence is worth something, the restart is worth more.
//! Never collected: environments, the contents of memory, the command line of any process but the one that is looked at.
//! Source of the /proc formats: proc(5).

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use serde::{Serialize, Serializer};

use crate::{
    journal::journalctl,
    os::{
        cgroup::{self, Cgroup},
        files::{Links, read_limited},
        listeners, processes, worker,
    },
};
use crate::{
    policy::facts::{Invocation, Listener, Stall},
    text::line::Line,
};

/// How long a restart waits for evidence, in the worst case.
pub const BUDGET: Duration = Duration::from_secs(2);

/// How many of the gateway's own last lines are kept.
const JOURNAL_LINES: usize = 20;

/// Enough for every file read here.
const MAX_FILE: u64 = 16 * 1024;

/// Where evidence is found.
#[derive(Clone, Debug)]
pub struct Places {
    /// Root of procfs.
    pub proc: PathBuf,
    /// Where cgroup2 is mounted, if it is; see [`cgroup::root`].
    pub cgroup: Option<PathBuf>,
    /// journalctl, by its path or by a name that `$PATH` finds.
    pub journalctl: PathBuf,
}

/// What the evidence is about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What its process is doing, as the probes judged it.
    pub stall: Stall,
    /// The same in a sentence; may be empty.
    pub detail: Line,
    /// Name of the gateway unit.
    pub unit: String,
    /// The run of it that fails.
    pub invocation: Option<Invocation>,
    /// The unit's cgroup.
    pub control_group: String,
    /// Its main process, 0 when there is none.
    pub main_pid: u32,
    /// The gateway's port.
    pub port: u16,
}

/// What was found, in our own plain words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// What the gateway's process was doing.
    pub stall: Stall,
    /// The same in a sentence; may be empty.
    pub stall_detail: Line,
    /// The owner of the listening socket, else the main process.
    pub process: Option<Process>,
    /// Its command line.
    pub command: Option<Line>,
    /// The unit's cgroup.
    pub cgroup: Option<Cgroup>,
    /// The sockets in LISTEN on the port.
    pub listeners: Vec<Listener>,
    /// Processes that ran or waited for a CPU or the disk, on average over 1, 5 and 15 minutes.
    pub load_average: Option<[f64; 3]>,
    /// The last lines the gateway wrote to the journal in this run.
    pub journal: Vec<Line>,
    /// What could not be read, and why where that is known.
    pub missing: Vec<Line>,
}

/// A process at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// State of its main thread: `R`, `S`, `D`, `T` and so on.
    pub state: char,
    /// The kernel function its main thread sleeps in.
    pub wchan: Option<Line>,
    /// Number of the system call its main thread is in; what it means depends on the machine.
    pub syscall: Option<u32>,
    /// CPU time of its main thread.
    #[serde(rename = "main_thread_cpu_usec", serialize_with = "usec")]
    pub main_thread_cpu: Duration,
    /// CPU time of all its threads together.
    #[serde(rename = "cpu_usec", serialize_with = "cgroup::usec")]
    pub cpu: Option<Duration>,
    /// Resident memory, in bytes.
    pub rss: Option<u64>,
    /// Memory in swap, in bytes.
    pub swap: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open file descriptors.
    pub fds: Option<usize>,
    /// How many it may open: the soft limit. None also when there is no limit.
    pub fd_limit: Option<u64>,
    /// How often its main thread gave up the CPU to wait.
    pub voluntary_switches: Option<u64>,
    /// How often its main thread was taken off the CPU.
    pub involuntary_switches: Option<u64>,
    /// How soon the kernel would kill it for want of memory, from 0 to about 1000.
    pub oom_score: Option<u64>,
}

/// What [`look`] looks for, one after the other, by the names it has in [`Evidence::missing`].
const PARTS: [&str; 5] = ["load_average", "cgroup", "listeners", "process", "command"];

/// One of [`PARTS`].
enum Part {
    LoadAverage([f64; 3]),
    Cgroup(Cgroup),
    Listeners(Result<Vec<Listener>, Line>),
    Process(Process),
    Command(Line),
}

/// Collects what can be read within `budget`.
///
/// Files and journal have a thread each, because neither is sure ever to answer:
/// /proc/PID/cmdline waits for a lock of that process's memory, which a process in disk wait may hold,
/// and to start a program takes a disk that can be read.
/// A thread that hangs there is left behind; it ends when the process, or the disk, comes back.
pub fn collect(places: &Places, subject: &Subject, budget: Duration) -> Evidence {
    let deadline = Instant::now() + budget;
    let left = move || deadline.saturating_duration_since(Instant::now());
    let parts = begin(places, subject, look);
    let journal = begin(places, subject, move |places, subject, journal| {
        let _ = journal.send(lines(places, subject, left()));
    });
    let mut evidence = Evidence {
        stall: subject.stall,
        stall_detail: subject.detail.clone(),
        process: None,
        command: None,
        cgroup: None,
        listeners: Vec::new(),
        load_average: None,
        journal: Vec::new(),
        missing: Vec::new(),
    };
    for name in PARTS {
        match parts.recv_timeout(left()) {
            Ok(Some(part)) => evidence.add(name, part),
            Ok(None) => evidence.lack(name),
            Err(_) => evidence.lack(&format!("{name}: not read in time")),
        }
    }
    match journal.recv_timeout(left()) {
        Ok(Ok(lines)) => evidence.journal = lines,
        Ok(Err(why)) => evidence.lack(&format!("journal: {why}")),
        Err(_) => evidence.lack("journal: not read in time"),
    }
    evidence
}

/// Does some work in a thread of its own, which sends what it finds.
fn begin<T: Send + 'static>(
    places: &Places,
    subject: &Subject,
    work: impl FnOnce(&Places, &Subject, &Sender<T>) + Send + 'static,
) -> Receiver<T> {
    let (sender, receiver) = channel();
    let (places, subject) = (places.clone(), subject.clone());
    // Without a thread the sender is gone, and everything it would send is missing.
    let _ = worker::start("evidence", "look at the gateway", move || {
        work(&places, &subject, &sender);
    });
    receiver
}

fn lines(places: &Places, subject: &Subject, budget: Duration) -> Result<Vec<Line>, Line> {
    let Some(invocation) = &subject.invocation else {
        return Err("the run has no invocation id".into());
    };
    journalctl::last_lines(
        &places.journalctl,
        &subject.unit,
        invocation,
        JOURNAL_LINES,
        budget,
    )
}

/// Looks at everything but the journal, first at what is sure to answer.
///
/// Sends [`PARTS`] in their order, nothing for one that cannot be read.
fn look(places: &Places, subject: &Subject, parts: &Sender<Option<Part>>) {
    let Places { proc, cgroup, .. } = places;
    // It fails when nobody waits any more.
    let send = |part| {
        let _ = parts.send(part);
    };
    send(load_average(proc).map(Part::LoadAverage));
    let root = cgroup.as_deref();
    send(root.map(|root| Part::Cgroup(cgroup::look(root, &subject.control_group))));
    let listeners = listeners::listening(proc, subject.port);
    send(Some(Part::Listeners(listeners.clone())));
    let pid = listeners::owner(proc, &listeners.unwrap_or_default(), subject.main_pid);
    send(process(proc, pid).map(Part::Process));
    send(processes::process(proc, pid).map(|process| Part::Command(process.command)));
}

fn process(proc: &Path, pid: u32) -> Option<Process> {
    let activity = processes::activity(proc, pid)?;
    let directory = proc.join(pid.to_string());
    let text = |name| text(&directory.join(name));
    let status = text("status").unwrap_or_default();
    let number = |name| value(&status, name)?.parse().ok();
    let bytes = |name| number(name).map(|kib: u64| kib.saturating_mul(1024));
    Some(Process {
        pid,
        state: activity.state,
        wchan: text("wchan").as_deref().and_then(wchan),
        syscall: text("syscall").as_deref().and_then(first_number),
        main_thread_cpu: activity.cpu,
        cpu: text("stat").as_deref().and_then(cpu_of_all_threads),
        rss: bytes("VmRSS:"),
        swap: bytes("VmSwap:"),
        threads: number("Threads:"),
        fds: fs::read_dir(directory.join("fd")).ok().map(Iterator::count),
        // "Max open files", soft, hard, unit.
        fd_limit: text("limits").and_then(|limits| value(&limits, "Max open files")?.parse().ok()),
        voluntary_switches: number("voluntary_ctxt_switches:"),
        involuntary_switches: number("nonvoluntary_ctxt_switches:"),
        oom_score: text("oom_score").as_deref().and_then(first_number),
    })
}

/// Absent when the thread does not sleep, or the kernel hides where: both are `0`.
fn wchan(text: &str) -> Option<Line> {
    let name = text.trim();
    (!matches!(name, "" | "0")).then(|| Line::new(name))
}

/// Of /proc/PID/syscall this leaves out the arguments, which are the process's own, and `running`.
fn first_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.split_whitespace().next()?.parse().ok()
}

/// Fields 14 and 15 of /proc/PID/stat: CPU time in user and kernel mode, in ticks.
fn cpu_of_all_threads(stat: &str) -> Option<Duration> {
    // Behind the name, which may hold anything, follows field 3.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()?.saturating_add(ticks()?);
    Some(processes::ticks(ticks))
}

fn load_average(proc: &Path) -> Option<[f64; 3]> {
    let text = text(&proc.join("loadavg"))?;
    let mut fields = text.split(' ').map(|field| field.parse().ok());
    let mut next = || fields.next()?;
    Some([next()?, next()?, next()?])
}

/// The first word behind a name at the beginning of a line.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_whitespace()
        .next()
}

fn text(path: &Path) -> Option<String> {
    let contents = read_limited(path, MAX_FILE, Links::Refuse).ok()??;
    Some(String::from_utf8_lossy(&contents.bytes).into_owned())
}

impl Evidence {
    fn add(&mut self, name: &str, part: Part) {
        match part {
            Part::LoadAverage(found) => self.load_average = Some(found),
            Part::Cgroup(found) => {
                self.lack_empty(&cgroup_fields(&found));
                self.cgroup = Some(found);
            }
            Part::Listeners(Ok(found)) => self.listeners = found,
            Part::Listeners(Err(why)) => self.lack(&format!("{name}: {why}")),
            Part::Process(found) => {
                self.lack_empty(&found.fields());
                self.process = Some(found);
            }
            Part::Command(found) => self.command = Some(found),
        }
    }

    fn lack(&mut self, what: &str) {
        self.missing.push(Line::new(what));
    }

    fn lack_empty(&mut self, fields: &[Field]) {
        for (name, _) in fields.iter().filter(|(_, value)| value.is_none()) {
            self.lack(&name.trim_start_matches(PREFIX).to_lowercase());
        }
    }

    /// Connections the kernel has accepted and the gateway has not, at all addresses together.
    fn recv_queue(&self) -> Option<u32> {
        let queues = self.listeners.iter().map(|listener| listener.recv_queue);
        queues.reduce(u32::saturating_add)
    }

    /// The evidence in one line, as its journal record words it.
    pub fn summary(&self) -> Line {
        let mut words = Vec::new();
        match &self.process {
            Some(process) => process.summarize(&mut words),
            None => words.push("no process found".to_owned()),
        }
        if let Some(queue) = self.recv_queue() {
            words.push(format!("Recv-Q {queue}"));
        }
        if let Some(cgroup) = &self.cgroup {
            summarize(cgroup, &mut words);
        }
        if let Some([load, ..]) = self.load_average {
            words.push(format!("load {load:.2}"));
        }
        if !self.journal.is_empty() {
            words.push(format!("journal lines {}", self.journal.len()));
        }
        let stall = match self.stall_detail.as_str() {
            "" => self.stall.name().to_owned(),
            detail => format!("{} ({detail})", self.stall.name()),
        };
        let mut text = format!("{stall}: {}", words.join(", "));
        if !self.missing.is_empty() {
            text.push_str(&format!("; missing {}", self.missing()));
        }
        Line::new(&text)
    }

    fn missing(&self) -> String {
        let missing: Vec<&str> = self.missing.iter().map(Line::as_str).collect();
        missing.join(", ")
    }

    /// The evidence as journal fields; none for what is missing, and of the gateway's own lines only their number.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let own = [
            field("GATEHOUND_EVIDENCE_COMMAND", self.command.as_ref()),
            field("GATEHOUND_EVIDENCE_RECV_QUEUE", self.recv_queue()),
            field(
                "GATEHOUND_EVIDENCE_LOAD",
                self.load_average.map(|[load, ..]| load),
            ),
            field("GATEHOUND_EVIDENCE_JOURNAL_LINES", Some(self.journal.len())),
            field(
                "GATEHOUND_EVIDENCE_MISSING",
                (!self.missing.is_empty()).then(|| self.missing()),
            ),
        ];
        let process = self.process.iter().flat_map(Process::fields);
        process
            .chain(self.cgroup.iter().flat_map(cgroup_fields))
            .chain(own)
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

impl Process {
    fn summarize(&self, words: &mut Vec<String>) {
        words.push(match &self.wchan {
            Some(wchan) => format!("pid {} in state {} in {wchan}", self.pid, self.state),
            None => format!("pid {} in state {}", self.pid, self.state),
        });
        let cpu = self.cpu.unwrap_or(self.main_thread_cpu);
        words.push(format!("{:.1} s CPU", cpu.as_secs_f64()));
        if let Some(rss) = self.rss {
            words.push(format!("RSS {} MiB", mib(rss)));
        }
        if let Some(swap) = self.swap.filter(|swap| 0 < mib(*swap)) {
            words.push(format!("swap {} MiB", mib(swap)));
        }
        if let Some(threads) = self.threads {
            words.push(format!("{threads} threads"));
        }
        match (self.fds, self.fd_limit) {
            (Some(fds), Some(limit)) => words.push(format!("{fds} of {limit} fds")),
            (Some(fds), None) => words.push(format!("{fds} fds")),
            (None, _) => {}
        }
    }

    fn fields(&self) -> [Field; 14] {
        let main_thread_cpu = Some(self.main_thread_cpu.as_micros());
        let cpu = self.cpu.map(|cpu| cpu.as_micros());
        [
            field("GATEHOUND_EVIDENCE_PID", Some(self.pid)),
            field("GATEHOUND_EVIDENCE_STATE", Some(self.state)),
            field("GATEHOUND_EVIDENCE_WCHAN", self.wchan.as_ref()),
            field("GATEHOUND_EVIDENCE_SYSCALL", self.syscall),
            field("GATEHOUND_EVIDENCE_MAIN_THREAD_CPU_USEC", main_thread_cpu),
            field("GATEHOUND_EVIDENCE_CPU_USEC", cpu),
            field("GATEHOUND_EVIDENCE_RSS", self.rss),
            field("GATEHOUND_EVIDENCE_SWAP", self.swap),
            field("GATEHOUND_EVIDENCE_THREADS", self.threads),
            field("GATEHOUND_EVIDENCE_FDS", self.fds),
            field("GATEHOUND_EVIDENCE_FD_LIMIT", self.fd_limit),
            field(
                "GATEHOUND_EVIDENCE_VOLUNTARY_SWITCHES",
                self.voluntary_switches,
            ),
            field(
                "GATEHOUND_EVIDENCE_INVOLUNTARY_SWITCHES",
                self.involuntary_switches,
            ),
            field("GATEHOUND_EVIDENCE_OOM_SCORE", self.oom_score),
        ]
    }
}

/// Only what is out of the ordinary, but for the memory.
fn summarize(cgroup: &Cgroup, words: &mut Vec<String>) {
    if cgroup.frozen {
        words.push("frozen".to_owned());
    }
    if let Some(memory) = cgroup.memory {
        words.push(format!("cgroup memory {} MiB", mib(memory)));
    }
    if let Some(kills) = cgroup.oom_kills.filter(|kills| 0 < *kills) {
        words.push(format!("{kills} OOM kills"));
    }
    for (name, pressure) in [
        ("cpu", cgroup.cpu_pressure),
        ("memory", cgroup.memory_pressure),
        ("io", cgroup.io_pressure),
    ] {
        if let Some(percent) = pressure.filter(|percent| 1.0 <= *percent) {
            words.push(format!("{name} pressure {percent:.0} %"));
        }
    }
}

fn cgroup_fields(cgroup: &Cgroup) -> [Field; 8] {
    let cpu = cgroup.cpu.map(|cpu| cpu.as_micros());
    [
        field("GATEHOUND_EVIDENCE_CGROUP_CPU_USEC", cpu),
        field("GATEHOUND_EVIDENCE_CGROUP_FROZEN", Some(cgroup.frozen)),
        field("GATEHOUND_EVIDENCE_CGROUP_MEMORY", cgroup.memory),
        field("GATEHOUND_EVIDENCE_OOM_KILLS", cgroup.oom_kills),
        field("GATEHOUND_EVIDENCE_MEMORY_HIGH", cgroup.memory_high),
        field("GATEHOUND_EVIDENCE_CPU_PRESSURE", cgroup.cpu_pressure),
        field("GATEHOUND_EVIDENCE_MEMORY_PRESSURE", cgroup.memory_pressure),
        field("GATEHOUND_EVIDENCE_IO_PRESSURE", cgroup.io_pressure),
    ]
}

/// A journal field, without a value when that could not be read.
type Field = (&'static str, Option<String>);

/// How all of them begin.
const PREFIX: &str = "GATEHOUND_EVIDENCE_";

fn field(name: &'static str, value: Option<impl ToString>) -> Field {
    (name, value.map(|value| value.to_string()))
}

fn mib(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

fn usec<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    cgroup::usec(&Some(*span), to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence() -> Evidence {
        Evidence {
            stall: Stall::Blocked,
            stall_detail: Line::default(),
            process: Some(Process {
                pid: 4711,
                state: 'S',
                wchan: Some("futex_do_wait".into()),
                syscall: Some(202),
                main_thread_cpu: Duration::from_millis(40_100),
                cpu: Some(Duration::from_millis(48_230)),
                rss: Some(790 << 20),
                swap: Some(0),
                threads: Some(15),
                fds: Some(43),
                fd_limit: Some(524_288),
                voluntary_switches: Some(100),
                involuntary_switches: Some(7),
                oom_score: Some(733),
            }),
            command: Some("node dist/index.js gateway".into()),
            cgroup: Some(Cgroup {
                memory: Some(961 << 20),
                memory_pressure: Some(12.5),
                cpu_pressure: Some(0.4),
                ..Cgroup::default()
            }),
            listeners: [("127.0.0.1", 12), ("::1", 1)]
                .map(|(address, recv_queue)| Listener {
                    address: address.parse().unwrap(),
                    uid: 1000,
                    inode: 1,
                    recv_queue,
                })
                .to_vec(),
            load_average: Some([0.52, 0.4, 0.3]),
            journal: vec!["token: hunter2".into()],
            missing: vec!["io_pressure".into()],
        }
    }

    #[test]
    fn the_summary_says_the_most_telling_first() {
        assert_eq!(
            evidence().summary().as_str(),
            "blocked: pid 4711 in state S in futex_do_wait, 48.2 s CPU, RSS 790 MiB, 15 threads, \
             43 of 524288 fds, Recv-Q 13, cgroup memory 961 MiB, memory pressure 12 %, load 0.52, \
             journal lines 1; missing io_pressure"
        );
    }

    #[test]
    fn the_summary_without_a_process_says_so() {
        let nothing = Evidence {
            stall: Stall::Gone,
            process: None,
            cgroup: None,
            listeners: Vec::new(),
            load_average: None,
            journal: Vec::new(),
            missing: Vec::new(),
            ..evidence()
        };
        assert_eq!(nothing.summary().as_str(), "gone: no process found");
    }

    #[test]
    fn frozen_oom_kills_and_swap_are_in_the_summary() {
        let mut evidence = evidence();
        let cgroup = evidence.cgroup.as_mut().unwrap();
        (cgroup.frozen, cgroup.oom_kills) = (true, Some(2));
        evidence.process.as_mut().unwrap().swap = Some(3 << 20);
        let summary = evidence.summary();
        for words in [", swap 3 MiB,", ", frozen,", ", 2 OOM kills,"] {
            assert!(summary.as_str().contains(words), "{summary}");
        }
    }

    #[test]
    fn the_fields_hold_every_number_and_no_line_of_the_gateway() {
        let fields = evidence().fields();
        let value = |name: &str| {
            let name = format!("GATEHOUND_EVIDENCE_{name}");
            let found = fields.iter().find(|(field, _)| *field == name);
            found.map(|(_, value)| value.as_str())
        };
        for (name, expected) in [
            ("PID", "4711"),
            ("STATE", "S"),
            ("WCHAN", "futex_do_wait"),
            ("SYSCALL", "202"),
            ("MAIN_THREAD_CPU_USEC", "40100000"),
            ("CPU_USEC", "48230000"),
            ("RSS", "828375040"),
            ("SWAP", "0"),
            ("THREADS", "15"),
            ("FDS", "43"),
            ("FD_LIMIT", "524288"),
            ("VOLUNTARY_SWITCHES", "100"),
            ("INVOLUNTARY_SWITCHES", "7"),
            ("OOM_SCORE", "733"),
            ("COMMAND", "node dist/index.js gateway"),
            ("RECV_QUEUE", "13"),
            ("CGROUP_FROZEN", "false"),
            ("CGROUP_MEMORY", "1007681536"),
            ("MEMORY_PRESSURE", "12.5"),
            ("CPU_PRESSURE", "0.4"),
            ("LOAD", "0.52"),
            ("JOURNAL_LINES", "1"),
            ("MISSING", "io_pressure"),
        ] {
            assert_eq!(value(name), Some(expected), "{name}");
        }
        assert_eq!(value("IO_PRESSURE"), None);
        assert_eq!(fields.len(), 23);
        assert!(!format!("{fields:?}").contains("hunter2"));
    }

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 1 2 3 4 150 25 0 0 20 0 11 0 987654";
        let expected = Duration::from_millis(175 * 1000 / procfs::ticks_per_second());
        assert_eq!(cpu_of_all_threads(stat), Some(expected));
        for cut in [
            "",
            "42 (a",
            "42 (a) S 1 2 3",
            "42 (a) S 1 42 42 0 -1 0 1 2 3 4 150",
        ] {
            assert_eq!(cpu_of_all_threads(cut), None, "{cut}");
        }
    }

    #[test]
    fn a_wchan_of_0_is_none() {
        assert_eq!(wchan("futex_do_wait"), Some("futex_do_wait".into()));
        assert_eq!(wchan("0"), None);
        assert_eq!(wchan(""), None);
    }

    #[test]
    fn of_a_system_call_only_the_number_is_kept() {
        assert_eq!(first_number::<u32>("202 0x7ffd 0x80"), Some(202));
        assert_eq!(first_number::<u32>("running"), None);
        assert_eq!(first_number::<u32>("-1 0x7ffd 0x80"), None);
        assert_eq!(first_number::<u32>(""), None);
    }
}
