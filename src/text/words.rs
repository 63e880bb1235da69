//! Words that records, status, alerts and the command line share: spans, failures, and the names that commands are given.
//!
//! Owns how they read; knows nothing of what is said with them.

use std::time::Duration;

use crate::policy::facts::Failure;

/// What the commands in a text are given, so that they act on this gateway and this Gatehound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a> {
    /// The gateway's unit.
    pub unit: &'a str,
    /// The option that names the profile, with a space before it; empty for the default one.
    pub profile: &'a str,
}

/// A span in words: `3 ms`, `48 s`, `5 min 20 s`, `4 h 12 min`, `3 d 4 h`.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |big: u64, unit: &str, small: u64, part: &str| {
        if small == 0 {
            format!("{big} {unit}")
        } else {
            format!("{big} {unit} {small} {part}")
        }
    };
    match seconds {
        0 if span.is_zero() => "0 s".to_owned(),
        0 => format!("{} ms", span.as_millis().max(1)),
        1..60 => format!("{seconds} s"),
        60..3600 => pair(minutes, "min", seconds % 60, "s"),
        3600..86_400 => pair(hours, "h", minutes % 60, "min"),
        _ => pair(days, "d", hours % 24, "h"),
    }
}

/// A failure in words, as in `/health: no answer within 10 s (blocked)`.
pub(crate) fn words(failure: &Failure) -> String {
    format!(
        "{}: {} ({})",
        failure.probe.name(),
        failure.reason,
        failure.stall.name()
    )
}
