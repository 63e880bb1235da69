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

/// What a healthy gateway was asked for.
pub fn asked(without_health: bool) -> &'static str {
    if without_health {
        "/ alone"
    } else {
        "/ and /health"
    }
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

/// What it means that this part of a healthy gateway does not work, and the command that says more.
///
/// Source: OpenClaw 2026.9.6, docs/gateway/restart-recovery.md.
pub(crate) fn useless(what: &str, profile: &str) -> String {
    let command = useless_command(what, profile);
    if what.starts_with(BREAKER) {
        format!(
            "it runs with its channels off; they should be back 10 min after the last crash, else see: {command}"
        )
    } else {
        format!("a restart would not help; see: {command}")
    }
}

/// The command that says more of a part of the gateway that does not work.
pub(crate) fn useless_command(what: &str, profile: &str) -> String {
    if what.starts_with(BREAKER) {
        format!("openclaw{profile} channels status")
    } else if what.starts_with("channel ") {
        format!("openclaw{profile} channels status --probe")
    } else {
        format!("openclaw{profile} status")
    }
}

/// How a failure begins that was the end of a run.
pub(crate) const ENDED_EARLY: &str = "a run ended before it was healthy";

/// How the gateway's own words about its crash-loop breaker begin.
pub(crate) const BREAKER: &str = "restart-loop breaker";

/// That a gateway comes and goes, in words.
pub(crate) fn flapping(times: usize, within: Duration, down: Duration) -> String {
    format!(
        "it failed {times} times within {} and recovered by itself, down for up to {} in all",
        span(within),
        span(down)
    )
}

/// A failure in words, as in `health: no answer within 10 s (blocked)`, with the sentence about its stall where there is one.
pub(crate) fn words(failure: &Failure) -> String {
    let probe = failure.probe.name();
    let stall = failure.stall.name();
    match failure.detail.as_str() {
        "" => format!("{probe}: {} ({stall})", failure.reason),
        detail => format!("{probe}: {} ({stall}); {detail}", failure.reason),
    }
}
