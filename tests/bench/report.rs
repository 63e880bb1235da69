//! What was measured, the table a person reads, and the bounds it is held to.
//!
//! Owns the numbers that Gatehound must not exceed; measures nothing.

use serde::{Deserialize, Serialize};

/// One run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub machine: Machine,
    /// Size of the release binary, in bytes.
    pub binary: u64,
    pub idle: Vec<Idle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulses: Option<Pulses>,
    pub recovery: Vec<Recovery>,
    pub scale: Vec<Scale>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Instructions>,
}

/// Where it was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    pub kernel: String,
    pub cores: usize,
    /// Sockets in the machine's network namespace after a thousand checks of Gatehound.
    pub tcp_sockets: u64,
    /// What reading /proc/net/tcp once takes there, in milliseconds.
    pub tcp_table_ms: f64,
    /// Load of the host before it began, which others that work on it make.
    pub load: f64,
}

/// What a watcher costs while its gateway is healthy; 0 where there is no process from one check to the next.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Idle {
    pub watcher: String,
    /// Checks that were counted.
    pub checks: u64,
    /// Per check.
    pub cpu_ms: f64,
    pub user_ms: f64,
    pub system_ms: f64,
    /// Times it waited, per check.
    pub wakeups: f64,
    /// Those and the times it was made to wait, per check.
    pub switches: f64,
    /// Processes and threads, per check.
    pub started: f64,
    /// Bytes to files and pipes, per check.
    pub written: f64,
    /// Journal records, per check.
    pub records: f64,
    /// At the end; of the shell watchdog its largest process.
    pub resident_kib: u64,
    pub private_kib: u64,
    /// After each stretch of checks, where there is more than one to tell of.
    pub private_course_kib: Vec<u64>,
    pub threads: u64,
    pub descriptors: u64,
}

/// What looking at the kernel between two checks costs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pulses {
    /// Pulses that were counted.
    pub pulses: u64,
    /// Per pulse.
    pub cpu_ms: f64,
}

/// How a watcher brought back one gateway, in seconds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recovery {
    pub watcher: String,
    /// What the gateway's process did.
    pub stall: String,
    /// From the hang to the first healthy answer; none when it did not come back.
    pub total: Option<f64>,
    /// What the gateway itself takes to start.
    pub own_start: f64,
    /// The total without that.
    pub overhead: Option<f64>,
    /// What the total went into, where it is known.
    pub steps: Option<Steps>,
}

/// What a recovery went into, in seconds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Steps {
    /// From the hang to the first failing check's end.
    pub detection: f64,
    pub grace: f64,
    pub back_off: f64,
    pub stop: f64,
    /// SIGKILL, and whatever is left cleared away.
    pub cleanup: f64,
    /// From the order to start to the first healthy answer.
    pub start: f64,
}

/// Some Gatehounds on one machine, at the default interval.
#[derive(Debug, Serialize, Deserialize)]
pub struct Scale {
    pub instances: usize,
    /// Until all gateways and Gatehounds were up, in seconds.
    pub start: f64,
    /// Of all of them together.
    pub resident_kib: u64,
    pub proportional_kib: u64,
    pub private_kib: u64,
    /// Of one core.
    pub cpu_percent: f64,
    /// Per check, at the default pace, at which caches have gone cold.
    pub cpu_ms: f64,
    pub wakeups_per_second: f64,
    /// The most checks in one second.
    pub busiest_second: u64,
}

/// What a healthy check executes in user mode.
#[derive(Debug, Serialize, Deserialize)]
pub struct Instructions {
    pub per_check: u64,
    /// The largest first.
    pub functions: Vec<Function>,
}

/// A function and all that it calls, in instructions per check.
#[derive(Debug, Serialize, Deserialize)]
pub struct Function {
    pub count: u64,
    pub name: String,
}

/// A bound, what was measured, and whether it holds.
pub struct Bound {
    pub what: String,
    pub limit: String,
    pub measured: String,
    pub verdict: Verdict,
}

/// What a measurement says about its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    /// It was never met; src/ARCHITECTURE.md says why. What was reached is a bound of its own.
    Missed,
    Broken,
}

impl Bound {
    /// The verdict on a bound that was never met, where what was reached still is.
    fn unmet(self, still_reached: bool) -> Self {
        let verdict = match self.verdict {
            Verdict::Broken if still_reached => Verdict::Missed,
            verdict => verdict,
        };
        Self { verdict, ..self }
    }
}

/// Checks in an hour at the default interval of 30 s.
const CHECKS_PER_HOUR: f64 = 120.0;

/// 4 MiB; completions, units and texts are kept small for it.
const MAX_BINARY: u64 = 4_194_304;
/// 4.5 MiB.
const MAX_RESIDENT_KIB: u64 = 4608;
/// 7 MiB: 6.1 to 6.3 MiB are reached, with room for another linker.
const REACHED_RESIDENT_KIB: u64 = 7168;
/// The third: at its end 300 checks are over.
const EARLY_STRETCH: usize = 2;
/// Memory comes in pages; what is lost in each check would be below 48 bytes.
const MAX_GROWN_KIB: f64 = 32.0;
const MAX_DESCRIPTORS: u64 = 12;
const MAX_CPU_MS: f64 = 1.5;
const MAX_PULSE_CPU_MS: f64 = 0.1;
/// 0.17 is reached on a host with eight times as much to do as it has cores, where caches are cold after each second.
const REACHED_PULSE_CPU_MS: f64 = 0.5;
const MAX_PULSES_CPU_MS: f64 = 0.6;
/// At the default interval of 30 s and a pulse each 5 s; the sixth is a check.
const PULSES_PER_CHECK: f64 = 5.0;
const MIN_CPU_RATIO: f64 = 40.0;
/// Reached on a busy host as well.
const REACHED_CPU_RATIO: f64 = 28.0;
/// One answer to wait for in each of the two requests.
const WAKEUPS_OF_PROBES: f64 = 2.0;
const MAX_OTHER_WAKEUPS: f64 = 2.0;
/// Of the time that another takes to Gatehound's, by the stall.
const MIN_RECOVERY_RATIOS: [(&str, f64); 4] = [
    ("gone", 1.0),
    ("stopped", 1.0),
    ("deadlocked", 9.0),
    ("blocked", 4.0),
];
/// Of a hundred instances whose moments are chosen by chance, 3.3 fall into a second on average; more than this many
/// into any do so once in a thousand runs.
const MAX_BUSIEST_SECOND: f64 = 12.0;

impl Report {
    fn idle(&self, watcher: &str) -> Option<&Idle> {
        self.idle.iter().find(|idle| idle.watcher == watcher)
    }

    /// The bounds on what this run has measured.
    pub fn bounds(&self) -> Vec<Bound> {
        let mut bounds = Vec::new();
        // With its symbols it is larger than a release.
        if self.instructions.is_none() {
            let what = "release binary, bytes";
            bounds.push(at_most(what, MAX_BINARY as f64, self.binary as f64));
        }
        if let (Some(own), Some(shell)) = (self.idle("gatehound"), self.idle("shell")) {
            bounds.extend(idle_bounds(own, shell));
        }
        if let Some(pulses) = &self.pulses {
            let reached = pulses.cpu_ms <= REACHED_PULSE_CPU_MS;
            let what = "CPU of a pulse, ms";
            bounds.push(at_most(what, MAX_PULSE_CPU_MS, pulses.cpu_ms).unmet(reached));
            let what = "CPU of the pulses between two checks, ms";
            let all = pulses.cpu_ms * PULSES_PER_CHECK;
            bounds.push(at_most(what, MAX_PULSES_CPU_MS, all).unmet(reached));
        }
        for (stall, ratio) in MIN_RECOVERY_RATIOS {
            let Some(own) = self.overhead("gatehound", stall) else {
                continue;
            };
            for watcher in ["shell", "monit"] {
                bounds.push(at_least(
                    &format!("{watcher}'s time for a gateway that is {stall} over Gatehound's"),
                    ratio,
                    self.overhead(watcher, stall).unwrap_or(f64::INFINITY) / own,
                ));
            }
        }
        for scale in self.scale.iter().filter(|scale| scale.instances == 100) {
            bounds.push(at_most(
                "checks of 100 instances in the busiest second",
                MAX_BUSIEST_SECOND,
                scale.busiest_second as f64,
            ));
        }
        // Else a gateway that stays down would leave nothing to compare.
        let lost = self
            .recovery
            .iter()
            .filter(|recovery| recovery.watcher == "gatehound" && recovery.total.is_none());
        if !self.recovery.is_empty() {
            let what = "hung gateways that Gatehound did not bring back";
            bounds.push(at_most(what, 0.0, lost.count() as f64));
        }
        bounds
    }

    /// What a watcher adds to the gateway's own start, in seconds.
    fn overhead(&self, watcher: &str, stall: &str) -> Option<f64> {
        let mut all = self.recovery.iter();
        all.find(|one| one.watcher == watcher && one.stall == stall)?
            .overhead
    }

    /// The tables, in Markdown.
    pub fn tables(&self) -> String {
        let Machine {
            kernel,
            cores,
            tcp_sockets,
            tcp_table_ms,
            load,
        } = &self.machine;
        let mut text = format!(
            "Linux {kernel}, {cores} cores, load {load:.1} before; \
             /proc/net/tcp has {tcp_sockets} sockets and takes {tcp_table_ms:.2} ms to read\n"
        );
        text += &self.idle_table();
        text += &self.recovery_table();
        text += &self.scale_table();
        text += &self.instructions_table();
        text
    }

    fn recovery_table(&self) -> String {
        let heading = [
            "hang to healthy, s",
            "by",
            "all",
            "detection",
            "grace",
            "back-off",
            "stop",
            "cleanup",
            "start",
            "gateway's own start",
            "overhead",
        ];
        let seconds =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
        let row = |one: &Recovery| {
            let step = |of: fn(&Steps) -> f64| seconds(one.steps.as_ref().map(of));
            let all = one
                .total
                .map_or("never".to_owned(), |total| format!("{total:.1}"));
            vec![
                one.stall.clone(),
                one.watcher.clone(),
                all,
                step(|steps| steps.detection),
                step(|steps| steps.grace),
                step(|steps| steps.back_off),
                step(|steps| steps.stop),
                step(|steps| steps.cleanup),
                step(|steps| steps.start),
                seconds(Some(one.own_start)),
                seconds(one.overhead),
            ]
        };
        with_heading(&heading, self.recovery.iter().map(row).collect())
    }

    fn scale_table(&self) -> String {
        let heading = [
            "instances",
            "all up after, s",
            "resident, MiB",
            "proportional, MiB",
            "private, MiB",
            "CPU, % of a core",
            "CPU of a check, ms",
            "wake-ups per s",
            "checks in the busiest second",
        ];
        let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
        let row = |one: &Scale| {
            vec![
                one.instances.to_string(),
                format!("{:.1}", one.start),
                mib(one.resident_kib),
                mib(one.proportional_kib),
                mib(one.private_kib),
                format!("{:.2}", one.cpu_percent),
                format!("{:.2}", one.cpu_ms),
                format!("{:.1}", one.wakeups_per_second),
                one.busiest_second.to_string(),
            ]
        };
        with_heading(&heading, self.scale.iter().map(row).collect())
    }

    fn instructions_table(&self) -> String {
        let Some(all) = &self.instructions else {
            return String::new();
        };
        let heading = [
            "instructions of a check",
            "share, %",
            "in, with what it calls",
        ];
        let row = |one: &Function| {
            let share = one.count as f64 * 100.0 / all.per_check as f64;
            vec![
                one.count.to_string(),
                format!("{share:.1}"),
                one.name.clone(),
            ]
        };
        with_heading(&heading, all.functions.iter().map(row).collect())
    }

    fn idle_table(&self) -> String {
        let columns: Vec<&Idle> = ["gatehound", "shell", "monit"]
            .iter()
            .filter_map(|name| self.idle(name))
            .collect();
        if columns.is_empty() {
            return String::new();
        }
        let mut rows: Vec<Vec<String>> = vec![vec!["a healthy check".to_owned()]];
        rows[0].extend(columns.iter().map(|idle| idle.watcher.clone()));
        let mut row = |what: &str, digits: usize, value: fn(&Idle) -> f64| {
            let mut cells = vec![what.to_owned()];
            cells.extend(
                columns
                    .iter()
                    .map(|idle| format!("{:.digits$}", value(idle))),
            );
            rows.push(cells);
        };
        row("checks measured", 0, |idle| idle.checks as f64);
        row("CPU, ms", 2, |idle| idle.cpu_ms);
        row("of it in user mode, ms", 2, |idle| idle.user_ms);
        row("of it in the kernel, ms", 2, |idle| idle.system_ms);
        row("wake-ups", 2, |idle| idle.wakeups);
        row("context switches", 2, |idle| idle.switches);
        row("processes and threads started", 2, |idle| idle.started);
        row("bytes written in an hour", 0, |idle| {
            idle.written * CHECKS_PER_HOUR
        });
        row("journal records in an hour", 0, |idle| {
            idle.records * CHECKS_PER_HOUR
        });
        row("resident, KiB", 0, |idle| idle.resident_kib as f64);
        row("private, KiB", 0, |idle| idle.private_kib as f64);
        row("threads", 0, |idle| idle.threads as f64);
        row("open descriptors", 0, |idle| idle.descriptors as f64);
        table(&rows)
    }
}

fn idle_bounds(own: &Idle, shell: &Idle) -> Vec<Bound> {
    let course = &own.private_course_kib;
    let early = course.get(EARLY_STRETCH).copied().unwrap_or_default();
    let grown = own.private_kib as f64 - early as f64;
    vec![
        at_most(
            "resident after 1,000 checks, KiB",
            MAX_RESIDENT_KIB as f64,
            own.resident_kib as f64,
        )
        .unmet(own.resident_kib <= REACHED_RESIDENT_KIB),
        at_most(
            "private memory grown from check 300 to 1,000, KiB",
            MAX_GROWN_KIB,
            grown,
        ),
        at_most("threads", 1.0, own.threads as f64),
        at_most(
            "open descriptors",
            MAX_DESCRIPTORS as f64,
            own.descriptors as f64,
        ),
        at_most("CPU of a healthy check, ms", MAX_CPU_MS, own.cpu_ms),
        at_least(
            "CPU of the shell watchdog's check over that",
            MIN_CPU_RATIO,
            shell.cpu_ms / own.cpu_ms,
        )
        .unmet(REACHED_CPU_RATIO <= shell.cpu_ms / own.cpu_ms),
        at_most(
            "processes and threads started in all healthy checks",
            0.0,
            own.started * own.checks as f64,
        ),
        at_most(
            "wake-ups of a healthy check beyond its two requests",
            MAX_OTHER_WAKEUPS,
            own.wakeups - WAKEUPS_OF_PROBES,
        ),
        at_most(
            "journal records in all healthy checks",
            0.0,
            own.records * own.checks as f64,
        ),
    ]
}

fn at_most(what: &str, limit: f64, measured: f64) -> Bound {
    Bound {
        what: what.to_owned(),
        limit: format!("≤ {limit}"),
        measured: number(measured),
        verdict: verdict(measured <= limit),
    }
}

fn at_least(what: &str, limit: f64, measured: f64) -> Bound {
    Bound {
        what: what.to_owned(),
        limit: format!("≥ {limit}"),
        measured: number(measured),
        verdict: verdict(limit <= measured),
    }
}

fn verdict(gives_up: bool) -> Verdict {
    if gives_up {
        Verdict::Holds
    } else {
        Verdict::Broken
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// The bounds as a table.
pub fn bounds_table(bounds: &[Bound]) -> String {
    let mut rows = vec![
        ["bound", "limit", "measured", "holds"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(bounds.iter().map(|bound| {
        vec![
            bound.what.clone(),
            bound.limit.clone(),
            bound.measured.clone(),
            match bound.verdict {
                Verdict::Holds => "yes",
                Verdict::Missed => "no, as known",
                Verdict::Broken => "NO",
            }
            .to_owned(),
        ]
    }));
    table(&rows)
}

/// A table of these rows; nothing where there are none.
fn with_heading(heading: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut all = vec![heading.iter().map(|cell| (*cell).to_owned()).collect()];
    all.extend(rows);
    table(&all)
}

/// Rows of equally many cells, the first of them the heading.
fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::from("\n");
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            text += &format!("| {cell:<width$} ");
        }
        text += "|\n";
        if number == 0 {
            for width in &widths {
                text += &format!("|{}", "-".repeat(width + 2));
            }
            text += "|\n";
        }
    }
    text
}
