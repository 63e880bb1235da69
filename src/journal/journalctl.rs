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

/// The program, found by `$PATH`.
pub(crate) const JOURNALCTL: &str = "journalctl";

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

/// Records of a journal that was collected, and how far it reaches.
#[derive(Debug, Default)]
pub struct Collected {
    /// The records, each with the host that wrote it.
    pub records: Vec<(Line, Logged)>,
    /// The last line of any kind of each host.
    pub ends: Vec<(Line, Moment)>,
}

/// All records about a gateway's unit in a folder of journals or one file of them, whoever wrote them.
///
/// # Errors
///
/// As for [`records`].
pub fn collected(place: &Place<'_>, path: &Path, budget: Duration) -> Result<Collected, Line> {
    let option = if path.is_dir() { "directory" } else { "file" };
    let from = format!("--{option}={}", path.display());
    let json = "--output=json".to_owned();
    let matches = [
        format!("{SYSLOG_IDENTIFIER}={IDENTIFIER}"),
        format!("{USER_UNIT}={}", place.unit),
        "+".to_owned(),
        format!("{MESSAGE_ID}={UNIT_FAILED}"),
        format!("{USER_UNIT}={}", place.own_unit),
    ];
    let arguments = [&[from.clone(), json.clone()], &matches[..]].concat();
    let output = journalctl(place.program, &arguments, MAX_RECORDS, budget)?;
    let mut all = given(place, &output);
    all.ends.clear();
    let hosts: Vec<Line> = all.records.iter().map(|(host, _)| host.clone()).collect();
    for host in hosts {
        if all.ends.iter().any(|(known, _)| *known == host) {
            continue;
        }
        let arguments = [
            from.clone(),
            json.clone(),
            "--lines=1".to_owned(),
            format!("_HOSTNAME={host}"),
        ];
        let output = journalctl(place.program, &arguments, MAX_RECORDS, budget)?;
        let last = output.split(|byte| *byte == b'\n').find_map(fields);
        all.ends
            .extend(last.and_then(|all| Some((host, moment(&all)?))));
    }
    Ok(all)
}

/// The same from lines of JSON, among which there may be any others.
pub fn given(place: &Place<'_>, input: &[u8]) -> Collected {
    let mut collected = Collected::default();
    for all in input.split(|byte| *byte == b'\n').filter_map(fields) {
        let text = |name: &str| all.get(name).and_then(serde_json::Value::as_str);
        let host = Line::new(text("_HOSTNAME").unwrap_or_default());
        if let Some(at) = moment(&all) {
            collected.ends.retain(|(known, _)| *known != host);
            collected.ends.push((host.clone(), at));
        }
        let unit = text(USER_UNIT);
        let ours = text(SYSLOG_IDENTIFIER) == Some(IDENTIFIER) && unit == Some(place.unit);
        let failed = text(MESSAGE_ID) == Some(UNIT_FAILED) && unit == Some(place.own_unit);
        if ours || failed {
            collected
                .records
                .extend(of_fields(&all).map(|logged| (host, logged)));
        }
    }
    collected
}

/// What journalctl says besides records: that there is no journal, or one that may not be read.
pub fn words(program: &Path, budget: Duration) -> Vec<Line> {
    let arguments = [
        "--no-pager".to_owned(),
        "--lines=1".to_owned(),
        "--output=cat".to_owned(),
        format!("{SYSLOG_IDENTIFIER}={IDENTIFIER}"),
    ];
    let given = child::Given {
        arguments: &arguments,
        variables: &[],
        input: &[],
    };
    let said = match child::output_of(program, &given, MAX_LINES, budget) {
        Ok(said) => lines(&said, 10),
        Err(error) => vec![error.into()],
    };
    let is_empty = |line: &Line| line.as_str() == "-- No entries --";
    said.into_iter().filter(|line| !is_empty(line)).collect()
}

/// The records in what journalctl printed, without what has not the form of one.
pub fn logged(output: &[u8]) -> Vec<Logged> {
    let lines = output.split(|byte| *byte == b'\n');
    lines.filter_map(record).collect()
}

/// The fields of one line of JSON.
fn fields(line: &[u8]) -> Option<serde_json::Map<String, serde_json::Value>> {
    match serde_json::from_slice(line) {
        Ok(serde_json::Value::Object(all)) => Some(all),
        Ok(_) | Err(_) => None,
    }
}

fn record(line: &[u8]) -> Option<Logged> {
    of_fields(&fields(line)?)
}

fn moment(all: &serde_json::Map<String, serde_json::Value>) -> Option<Moment> {
    let text = |name: &str| all.get(name)?.as_str();
    let usec = |name: &str| text(name)?.parse().ok();
    Some(Moment {
        wall: Duration::from_micros(usec("__REALTIME_TIMESTAMP")?),
        boot: text("_BOOT_ID")?.to_owned(),
        monotonic: Monotonic(usec("__MONOTONIC_TIMESTAMP")?),
    })
}

/// A record from the fields of one line.
///
/// A field is a text; bytes that are none, and fields that are there twice, come in other forms and are not ours.
fn of_fields(all: &serde_json::Map<String, serde_json::Value>) -> Option<Logged> {
    Some(Logged {
        at: moment(all)?,
        text: Line::new(all.get("MESSAGE")?.as_str()?),
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
