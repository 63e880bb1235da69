//! The journal, read with journalctl: a unit's last lines, Gatehound's own records, and when Gatehound failed.
//!
//! Owns what journalctl is asked for and how its answer is read; the child process is `child`'s.
//! It knows nothing of what the lines and records mean.

use std::{path::Path, time::Duration};

use crate::os::child;
use crate::{
    journal::{
        fields::{IDENTIFIER, MESSAGE_ID, PREFIX, SYSLOG_IDENTIFIER, USER_UNIT},
        logged::{Logged, Moment},
    },
    policy::facts::{Invocation, Monotonic},
    text::line::Line,
};

/// How many bytes of a unit's lines are kept: the last ones, because what was written last says most.
const MAX_LINES: usize = 64 * 1024;

/// How many bytes of records are kept, again the last ones: some ten thousand of them.
const MAX_RECORDS: usize = 8 * 1024 * 1024;

/// With it the user manager says that a unit failed, by a signal for example (systemd.journal-fields(7), sd-messages.h).
const UNIT_FAILED: &str = "d9b373ed55a64feb8242e02dbe79a49c";

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
    invocation: &Invocation,
    count: usize,
    budget: Duration,
) -> Result<Vec<Line>, Line> {
    let arguments = [
        // Not `--user`: while the journal is not persistent, everything is in the system's.
        format!("--user-unit={unit}"),
        "--output=cat".to_owned(),
        format!("--lines={count}"),
        // Leaves out what systemd and Gatehound say about the unit.
        format!("_SYSTEMD_INVOCATION_ID={}", invocation.0),
    ];
    let output = journalctl(program, &arguments, MAX_LINES, budget)?;
    Ok(lines(&output, count))
}

/// Where records are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// `journalctl`.
    pub program: &'a Path,
    /// The gateway's unit, which the records are about.
    pub unit: &'a str,
    /// Gatehound's unit, about which systemd says when it failed.
    pub own_unit: &'a str,
}

/// Which records are asked for, by their age.
#[derive(Clone, Copy, Debug)]
pub enum Age<'a> {
    /// All since this time after the Unix epoch, to the second.
    Since(Duration),
    /// The last one until then.
    LastUntil(Duration),
    /// All until then, of one boot and with this field and value; and where systemd says that Gatehound failed in it.
    AllUntil(Duration, &'a str, &'a str),
}

/// The records that Gatehound wrote about a gateway's unit, as this user, and where systemd says that it failed,
/// oldest first.
///
/// What has not the form of a record is left out.
///
/// # Errors
///
/// The program cannot be started, fails, or is not done within `budget`.
pub fn records(place: &Place<'_>, age: Age<'_>, budget: Duration) -> Result<Vec<Logged>, Line> {
    let until = |until: Duration| format!("--until=@{}", until.as_secs());
    let mut arguments = match age {
        Age::Since(since) => vec![format!("--since=@{}", since.as_secs())],
        Age::AllUntil(then, ..) => vec![until(then)],
        Age::LastUntil(then) => vec![
            until(then),
            // From the end: some versions take --lines from the end of the journal, whatever --until says.
            "--reverse".to_owned(),
            "--lines=1".to_owned(),
        ],
    };
    // Anybody may write such records, but this field is the kernel's.
    let ours = format!("_UID={}", rustix::process::getuid().as_raw());
    arguments.extend([
        "--output=json".to_owned(),
        format!("{SYSLOG_IDENTIFIER}={IDENTIFIER}"),
        format!("{USER_UNIT}={}", place.unit),
        ours.clone(),
    ]);
    let boot = match age {
        Age::AllUntil(_, boot, field) => {
            let boot = format!("_BOOT_ID={boot}");
            arguments.extend([field.to_owned(), boot.clone()]);
            Some(boot)
        }
        Age::Since(_) | Age::LastUntil(_) => None,
    };
    arguments.extend([
        "+".to_owned(),
        format!("{MESSAGE_ID}={UNIT_FAILED}"),
        format!("{USER_UNIT}={}", place.own_unit),
        ours,
    ]);
    arguments.extend(boot);
    let output = journalctl(place.program, &arguments, MAX_RECORDS, budget)?;
    Ok(logged(&output))
}

/// The records in what journalctl printed, without what has not the form of one.
pub fn logged(output: &[u8]) -> Vec<Logged> {
    let lines = output.split(|byte| *byte == b'\n');
    lines.filter_map(record).collect()
}

/// A record from one line of JSON.
///
/// A field is a text; bytes that are none, and fields that are there twice, come in other forms and are not ours.
fn record(line: &[u8]) -> Option<Logged> {
    let Ok(serde_json::Value::Object(all)) = serde_json::from_slice(line) else {
        return None;
    };
    let text = |name: &str| all.get(name)?.as_str();
    let usec = |name: &str| text(name)?.parse().ok();
    Some(Logged {
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

fn journalctl(
    program: &Path,
    arguments: &[String],
    max: usize,
    budget: Duration,
) -> Result<Vec<u8>, Line> {
    let quiet = ["--quiet", "--no-pager"].map(str::to_owned);
    let arguments = [&quiet, arguments].concat();
    child::output(program, &arguments, max, budget)
}

/// The last lines of what journalctl printed, `count` at most, without empty ones.
pub fn lines(output: &[u8], count: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = output
        .split(|byte| *byte == b'\n')
        .map(Line::lossy)
        .filter(|line| !line.as_str().is_empty())
        .collect();
    // A message may have several lines.
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
    fn a_record_has_its_moment_its_text_and_our_fields() {
        let line = r#"{"__REALTIME_TIMESTAMP":"1700000000000001","__MONOTONIC_TIMESTAMP":"7","_BOOT_ID":"b",
            "MESSAGE":"gateway failing","GATEHOUND_EVENT":"failing","GATEHOUND_REASON":[27,255],"PRIORITY":"4"}"#;
        let logged = record(line.as_bytes()).unwrap();
        assert_eq!(logged.at.wall, Duration::from_micros(1_700_000_000_000_001));
        assert_eq!(logged.at.monotonic, Monotonic(7));
        assert_eq!(logged.text.as_str(), "gateway failing");
        let fields: Vec<_> = logged.fields.iter().collect();
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
