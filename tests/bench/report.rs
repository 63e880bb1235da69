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
}

/// Where it was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    pub kernel: String,
    pub cores: usize,
    /// Sockets in the machine's network namespace; reading /proc/net/tcp costs by their number.
    pub tcp_sockets: u64,
    /// Load of the host before it began, which others that work on it make.
    pub load: f64,
}

/// What a watcher costs while its gateway is healthy; 0 where there is no process from one round to the next.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Idle {
    pub watcher: String,
    /// Rounds that were counted.
    pub rounds: u64,
    /// Per round.
    pub cpu_ms: f64,
    pub user_ms: f64,
    pub system_ms: f64,
    /// Times it waited, per round.
    pub wakeups: f64,
    /// Those and the times it was made to wait, per round.
    pub switches: f64,
    /// Processes and threads, per round.
    pub started: f64,
    /// Bytes to files and pipes, per round.
    pub written: f64,
    /// Journal records, per round.
    pub records: f64,
    /// At the end; of the shell watchdog its largest process.
    pub resident_kib: u64,
    pub resident_early_kib: u64,
    pub private_kib: u64,
    pub private_early_kib: u64,
    pub threads: u64,
    pub descriptors: u64,
}

/// A bound, what was measured, and whether it holds.
pub struct Bound {
    pub what: String,
    pub limit: String,
    pub measured: String,
    pub holds: bool,
}

/// Rounds in an hour at the default interval of 30 s.
const ROUNDS_PER_HOUR: f64 = 120.0;

const MAX_BINARY: u64 = 3_670_016;
/// 4.5 MiB.
const MAX_RESIDENT_KIB: u64 = 4608;
/// Memory comes in pages; what is lost in each round would be below 48 bytes.
const MAX_GROWN_KIB: f64 = 32.0;
const MAX_DESCRIPTORS: u64 = 12;
const MAX_CPU_MS: f64 = 1.5;
const MIN_CPU_RATIO: f64 = 40.0;
/// One answer to wait for in each of the two requests.
const WAKEUPS_OF_PROBES: f64 = 2.0;
const MAX_OTHER_WAKEUPS: f64 = 2.0;

impl Report {
    fn idle(&self, watcher: &str) -> Option<&Idle> {
        self.idle.iter().find(|idle| idle.watcher == watcher)
    }

    /// The bounds on what this run has measured.
    pub fn bounds(&self) -> Vec<Bound> {
        let mut bounds = vec![at_most(
            "release binary, bytes",
            MAX_BINARY as f64,
            self.binary as f64,
        )];
        if let (Some(own), Some(shell)) = (self.idle("gatehound"), self.idle("shell")) {
            bounds.extend(idle_bounds(own, shell));
        }
        bounds
    }

    /// The tables, in Markdown.
    pub fn tables(&self) -> String {
        let Machine {
            kernel,
            cores,
            tcp_sockets,
            load,
        } = &self.machine;
        let mut text = format!(
            "Linux {kernel}, {cores} cores, {tcp_sockets} TCP sockets in the machine, load {load:.1} before\n"
        );
        text += &self.idle_table();
        text
    }

    fn idle_table(&self) -> String {
        let columns: Vec<&Idle> = ["gatehound", "shell", "monit"]
            .iter()
            .filter_map(|name| self.idle(name))
            .collect();
        if columns.is_empty() {
            return String::new();
        }
        let mut rows: Vec<Vec<String>> = vec![vec!["a healthy round".to_owned()]];
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
        row("rounds measured", 0, |idle| idle.rounds as f64);
        row("CPU, ms", 2, |idle| idle.cpu_ms);
        row("of it in user mode, ms", 2, |idle| idle.user_ms);
        row("of it in the kernel, ms", 2, |idle| idle.system_ms);
        row("wake-ups", 2, |idle| idle.wakeups);
        row("context switches", 2, |idle| idle.switches);
        row("processes and threads started", 2, |idle| idle.started);
        row("bytes written in an hour", 0, |idle| {
            idle.written * ROUNDS_PER_HOUR
        });
        row("journal records in an hour", 0, |idle| {
            idle.records * ROUNDS_PER_HOUR
        });
        row("resident, KiB", 0, |idle| idle.resident_kib as f64);
        row("private, KiB", 0, |idle| idle.private_kib as f64);
        row("threads", 0, |idle| idle.threads as f64);
        row("open descriptors", 0, |idle| idle.descriptors as f64);
        table(&rows)
    }
}

fn idle_bounds(own: &Idle, shell: &Idle) -> Vec<Bound> {
    let grown = own.private_kib as f64 - own.private_early_kib as f64;
    vec![
        at_most(
            "resident after 1,000 rounds, KiB",
            MAX_RESIDENT_KIB as f64,
            own.resident_kib as f64,
        ),
        at_most(
            "private memory grown from round 300 to 1,000, KiB",
            MAX_GROWN_KIB,
            grown,
        ),
        at_most("threads", 1.0, own.threads as f64),
        at_most(
            "open descriptors",
            MAX_DESCRIPTORS as f64,
            own.descriptors as f64,
        ),
        at_most("CPU of a healthy round, ms", MAX_CPU_MS, own.cpu_ms),
        at_least(
            "CPU of the shell watchdog's round over that",
            MIN_CPU_RATIO,
            shell.cpu_ms / own.cpu_ms,
        ),
        at_most(
            "processes and threads started in all healthy rounds",
            0.0,
            own.started * own.rounds as f64,
        ),
        at_most(
            "wake-ups of a healthy round beyond its two requests",
            MAX_OTHER_WAKEUPS,
            own.wakeups - WAKEUPS_OF_PROBES,
        ),
        at_most(
            "journal records in all healthy rounds",
            0.0,
            own.records * own.rounds as f64,
        ),
    ]
}

fn at_most(what: &str, limit: f64, measured: f64) -> Bound {
    Bound {
        what: what.to_owned(),
        limit: format!("≤ {limit}"),
        measured: number(measured),
        holds: measured <= limit,
    }
}

fn at_least(what: &str, limit: f64, measured: f64) -> Bound {
    Bound {
        what: what.to_owned(),
        limit: format!("≥ {limit}"),
        measured: number(measured),
        holds: limit <= measured,
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
            if bound.holds { "yes" } else { "NO" }.to_owned(),
        ]
    }));
    table(&rows)
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
