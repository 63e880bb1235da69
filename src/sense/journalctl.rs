//! What stands in the journal, as journalctl tells it: a unit's last lines, and Gatehound's own records.
//!
//! Owns the child process: how it is started, how much of it is kept, and that it ends in time.
//! It knows nothing of what the lines and records mean.

use std::{
    io::Read as _,
    os::fd::{AsFd as _, BorrowedFd},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::{
    decide::{
        facts::{Incarnation, Monotonic},
        history::{Moment, Told},
    },
    line::Line,
};

/// How many bytes of a unit's lines are kept: the last ones, because what was written last says most.
const MAX_LINES: usize = 64 * 1024;

/// How many bytes of records are kept, again the last ones: some ten thousand of them.
const MAX_RECORDS: usize = 8 * 1024 * 1024;

/// How every field begins that only Gatehound writes.
const PREFIX: &str = "GATEHOUND_";

/// The part of the time that is kept back to see a killed journalctl end.
const REAP: Duration = Duration::from_millis(100);

/// What a child must not inherit: it would speak to systemd in Gatehound's name (sd_notify(3)).
const NOTIFY_VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// The last lines that one run of a user unit wrote itself, oldest first; none if it wrote none.
///
/// Returns within `budget`, whatever `program` (`journalctl`) does, if only it can be read from its disk.
/// One that does not even end by SIGKILL, because it waits for a dead disk, is left behind.
///
/// # Errors
///
/// The program cannot be started, fails, or is not done in time.
pub fn last_lines(
    program: &Path,
    unit: &str,
    incarnation: &Incarnation,
    count: usize,
    budget: Duration,
) -> Result<Vec<Line>, Line> {
    let arguments = [
        // Not `--user`: while the journal is not persistent, everything is in the system's.
        format!("--user-unit={unit}"),
        "--output=cat".to_owned(),
        format!("--lines={count}"),
        // Leaves out what systemd and Gatehound say about the unit.
        format!("_SYSTEMD_INVOCATION_ID={}", incarnation.0),
    ];
    let output = output(program, &arguments, MAX_LINES, budget)?;
    Ok(lines(&output, count))
}

/// The records that Gatehound wrote about a gateway's unit, as this user, oldest first.
///
/// `since` is a time as journalctl(1) takes it; one that it does not understand is an error that it explains itself.
/// What has not the form of a record is left out.
///
/// # Errors
///
/// The program cannot be started, fails, or is not done within `budget`.
pub fn records(
    program: &Path,
    unit: &str,
    since: &str,
    budget: Duration,
) -> Result<Vec<Told>, Line> {
    let arguments = [
        "--output=json".to_owned(),
        format!("--since={since}"),
        "SYSLOG_IDENTIFIER=gatehound".to_owned(),
        format!("USER_UNIT={unit}"),
        // Anybody may write such records; this one the kernel vouches for.
        format!("_UID={}", rustix::process::getuid().as_raw()),
    ];
    let output = output(program, &arguments, MAX_RECORDS, budget)?;
    let lines = output.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(record).collect())
}

/// A record from one line of JSON.
///
/// A field is a text; bytes that are none, and fields that are there twice, come in other forms and are not ours.
fn record(line: &[u8]) -> Option<Told> {
    let Ok(serde_json::Value::Object(all)) = serde_json::from_slice(line) else {
        return None;
    };
    let text = |name: &str| all.get(name)?.as_str();
    let usec = |name: &str| text(name)?.parse().ok();
    Some(Told {
        at: Moment {
            wall: Duration::from_micros(usec("__REALTIME_TIMESTAMP")?),
            boot: text("_BOOT_ID")?.to_owned(),
            monotonic: Monotonic(usec("__MONOTONIC_TIMESTAMP")?),
        },
        text: Line::new(text("MESSAGE")?),
        fields: all
            .iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .filter_map(|(name, value)| Some((name.clone(), Line::new(value.as_str()?))))
            .collect(),
    })
}

/// The last bytes that journalctl writes, `max` at most.
fn output(
    program: &Path,
    arguments: &[String],
    max: usize,
    budget: Duration,
) -> Result<Vec<u8>, Line> {
    let late_at = Instant::now() + budget.saturating_sub(REAP);
    let mut command = Command::new(program);
    command
        .args(["--quiet", "--no-pager"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    for variable in NOTIFY_VARIABLES {
        command.env_remove(variable);
    }
    let mut child = command
        .spawn()
        .map_err(|error| Line::new(&format!("cannot start {}: {error}", program.display())))?;
    let output = read_all(&mut child, max, late_at);
    let status = end(child, late_at);
    match (output, status) {
        (None, _) | (Some(_), None) => Err("journalctl is not done in time".into()),
        (Some(_), Some(status)) if !status.success() => {
            Err(Line::new(&format!("journalctl fails: {status}")))
        }
        (Some(output), Some(_)) => Ok(output),
    }
}

/// The end of what a child writes; nothing unless it has closed its output by then.
fn read_all(child: &mut Child, max: usize, late_at: Instant) -> Option<Vec<u8>> {
    let mut stdout = child.stdout.take()?;
    let mut kept = Vec::new();
    let mut chunk = [0; 16 * 1024];
    while is_ready(stdout.as_fd(), late_at) {
        match stdout.read(&mut chunk) {
            Ok(0) => return Some(kept),
            Ok(length) => keep_end(&mut kept, chunk.get(..length)?, max),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    None
}

fn keep_end(kept: &mut Vec<u8>, chunk: &[u8], max: usize) {
    kept.extend_from_slice(chunk);
    kept.drain(..kept.len().saturating_sub(max));
}

/// How a child ended by itself; one that has not by then is killed.
fn end(mut child: Child, late_at: Instant) -> Option<ExitStatus> {
    await_end(&child, late_at);
    if let Ok(Some(status)) = child.try_wait() {
        return Some(status);
    }
    // It fails only for a child that has ended meanwhile.
    let _ = child.kill();
    await_end(&child, Instant::now() + REAP);
    let _ = child.try_wait();
    None
}

fn await_end(child: &Child, late_at: Instant) {
    // The pid is the child's until it is waited for.
    if let Ok(pidfd) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) {
        is_ready(pidfd.as_fd(), late_at);
    }
}

/// Waits until there is something to read, or an end, but not longer than this.
fn is_ready(fd: BorrowedFd<'_>, late_at: Instant) -> bool {
    loop {
        let left = late_at.saturating_duration_since(Instant::now());
        // After this moment nothing counts, or a child that never stops writing would never be late.
        if left.is_zero() {
            return false;
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) | Ok(0) => {}
            Err(_) => return false,
            Ok(_) => return true,
        }
    }
}

fn lines(output: &[u8], count: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = output
        .split(|byte| *byte == b'\n')
        .map(Line::lossy)
        .filter(|line| !line.as_str().is_empty())
        .collect();
    // One message may have several lines.
    lines.drain(..lines.len().saturating_sub(count));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_each_as_one_printable_line() {
        let output: String = (0..30).map(|n| format!("\x1b[31mline\t{n}\n\n")).collect();
        let lines = lines(output.as_bytes(), 20);
        assert_eq!(lines.len(), 20);
        assert_eq!(lines[0].as_str(), "line 10");
        assert_eq!(lines[19].as_str(), "line 29");
    }

    #[test]
    fn of_long_output_the_end_is_kept() {
        let mut kept = Vec::new();
        for chunk in ["a".repeat(9000), "b".repeat(4096), "c".to_owned()] {
            keep_end(&mut kept, chunk.as_bytes(), 9000);
        }
        assert_eq!(kept.len(), 9000);
        assert_eq!(kept[0], b'a');
        assert!(kept.ends_with(b"bc"));
    }

    #[test]
    fn a_record_has_its_moment_its_text_and_our_fields() {
        let line = r#"{"__REALTIME_TIMESTAMP":"1700000000000001","__MONOTONIC_TIMESTAMP":"7","_BOOT_ID":"b",
            "MESSAGE":"gateway failing","GATEHOUND_EVENT":"failing","GATEHOUND_REASON":[27,255],"PRIORITY":"4"}"#;
        let told = record(line.as_bytes()).unwrap();
        assert_eq!(told.at.wall, Duration::from_micros(1_700_000_000_000_001));
        assert_eq!(told.at.monotonic, Monotonic(7));
        assert_eq!(told.text.as_str(), "gateway failing");
        let fields: Vec<_> = told.fields.iter().collect();
        assert_eq!(
            fields,
            [(&"GATEHOUND_EVENT".to_owned(), &Line::new("failing"))]
        );
    }

    #[test]
    fn what_is_no_record_is_left_out() {
        for line in [
            &b""[..],
            b"-- No entries --",
            b"[]",
            br#"{"MESSAGE":"x"}"#,
            b"\xff",
        ] {
            assert_eq!(record(line), None);
        }
    }
}
