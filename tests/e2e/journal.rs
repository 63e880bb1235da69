//! What the user's journal says about some units, as it is written.
//!
//! Owns a `journalctl --user --follow` and its records; knows nothing of what they mean.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::rig::Left;

/// One journal record.
#[derive(Clone, Debug)]
pub struct Record(pub Map<String, Value>);

impl Record {
    /// A field as text; the first value of a field that has several.
    pub fn get(&self, field: &str) -> Option<String> {
        text(self.0.get(field)?)
    }

    /// The field `MESSAGE`, empty without one.
    pub fn message(&self) -> String {
        self.get("MESSAGE").unwrap_or_default()
    }

    /// When journald's clock says it was written, on CLOCK_MONOTONIC.
    pub fn monotonic(&self) -> Duration {
        let usec = self
            .get("__MONOTONIC_TIMESTAMP")
            .and_then(|usec| usec.parse().ok());
        Duration::from_micros(usec.expect("journald stamps every record"))
    }
}

/// journalctl writes a field as a string, as a list of strings, or, where it is not plain text, as a list of bytes.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(values) if values.iter().all(Value::is_u64) => {
            let bytes: Option<Vec<u8>> = values
                .iter()
                .map(|byte| u8::try_from(byte.as_u64()?).ok())
                .collect();
            Some(String::from_utf8_lossy(&bytes?).into_owned())
        }
        Value::Array(values) => text(values.first()?),
        _ => None,
    }
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.get("SYSLOG_IDENTIFIER").unwrap_or_default();
        write!(
            formatter,
            "{:.3} {who}: {}",
            self.monotonic().as_secs_f64(),
            self.message()
        )
    }
}

/// A follower of the records by and about some user units.
pub struct Journal {
    journalctl: Child,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    records: Vec<Record>,
    /// What journalctl said when it ended, which it does not do by itself while all is well.
    ended: Option<String>,
}

impl Shared {
    /// A trial that panicked while it looked at the records leaves them as good as they were.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Follows what these units write and what others, the manager first of all, write about them, from now on.
    ///
    /// journald finds out the unit of a process that is still there when it gets to its line; one that writes and ends at
    /// once is found where the unit has its own name for a `SyslogIdentifier=`, which is known without the process.
    pub fn follow(units: &[&str]) -> Self {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("a clock after 1970");
        let mut journalctl = Command::new("journalctl");
        journalctl.args(["--user", "--follow", "--no-tail", "--all", "--output=json"]);
        journalctl.arg(format!(
            "--since=@{}.{:06}",
            now.as_secs(),
            now.subsec_micros()
        ));
        for unit in units {
            // Two matches with + between them are alternatives.
            journalctl.args([
                &format!("_SYSTEMD_USER_UNIT={unit}"),
                "+",
                &format!("USER_UNIT={unit}"),
                "+",
                &format!("SYSLOG_IDENTIFIER={unit}"),
                "+",
            ]);
        }
        journalctl.args(units.last().map(|unit| format!("USER_UNIT={unit}")));
        journalctl
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .stdin(Stdio::null());
        let mut journalctl = journalctl.spawn().expect("run journalctl");
        let shared = Arc::new(Shared::default());
        let (stdout, stderr) = (journalctl.stdout.take(), journalctl.stderr.take());
        let (stdout, stderr) = (stdout.expect("piped above"), stderr.expect("piped above"));
        let reading = Arc::clone(&shared);
        thread::spawn(move || read(stdout, stderr, &reading));
        Self { journalctl, shared }
    }

    /// Everything read so far, oldest first.
    pub fn all(&self) -> Vec<Record> {
        self.shared.lock().records.clone()
    }

    /// How much has been read so far, for [`Journal::wait_for_after`].
    pub fn mark(&self) -> usize {
        self.shared.lock().records.len()
    }

    /// The first record since the follower started that fits; panics with all of them when none comes in time.
    pub fn wait_for(&self, what: &str, within: Duration, fits: impl Fn(&Record) -> bool) -> Record {
        self.wait_for_after(0, what, within, fits)
    }

    /// The first record after a mark that fits; panics with all of them when none comes in time.
    pub fn wait_for_after(
        &self,
        mark: usize,
        what: &str,
        within: Duration,
        fits: impl Fn(&Record) -> bool,
    ) -> Record {
        let mut left = Left::of(within);
        let mut state = self.shared.lock();
        let mut seen = mark;
        loop {
            if let Some(record) = state.records.iter().skip(seen).find(|record| fits(record)) {
                return record.clone();
            }
            seen = state.records.len().max(mark);
            if left.is_none() || state.ended.is_some() {
                panic!("no record of {what} within {within:?}{}", describe(&state));
            }
            let waited = self.shared.changed.wait_timeout(state, left.step());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.journalctl.kill();
        let _ = self.journalctl.wait();
    }
}

fn describe(state: &State) -> String {
    let ended = state
        .ended
        .as_ref()
        .map(|said| format!("; journalctl ended: {said}"));
    let records: String = state
        .records
        .iter()
        .map(|record| format!("\n  {record}"))
        .collect();
    format!("{}; the journal:{records}", ended.unwrap_or_default())
}

fn read(stdout: ChildStdout, mut stderr: ChildStderr, shared: &Shared) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(Value::Object(fields)) = serde_json::from_str(&line) else {
            continue;
        };
        shared.lock().records.push(Record(fields));
        shared.changed.notify_all();
    }
    let mut said = String::new();
    let _ = stderr.read_to_string(&mut said);
    shared.lock().ended = Some(said.trim().to_owned());
    shared.changed.notify_all();
}
