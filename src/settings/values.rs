//! What a setting may be: a rule for each kind of value, which reads one or says what would be right.
//!
//! Owns the bounds and the sentences a user reads behind `key = value: `. Knows neither keys nor files.

use std::{
    ffi::OsStr, fmt::Display, marker::PhantomData, net::IpAddr, path::PathBuf, time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::text::line::is_unprintable;

/// The longest span: a year of 365.25 days, as humantime counts it.
/// Anything longer is a slip of the pen, and sums of spans stay far from overflow.
pub const MAX_SPAN: Duration = Duration::from_secs(31_557_600);

/// The longest that one delivery of an alert may be given.
const MAX_DELIVERY: Duration = Duration::from_secs(60);

/// More attempts than this would be hours of restarts that help nobody.
const MAX_ATTEMPTS: usize = 16;

/// Longest name of a unit. Source: systemd.unit(5).
const MAX_UNIT_NAME: usize = 255;

/// What [`is_url`] asks of one.
pub const URL: &str =
    "URL that begins with https:// or http://, with a host and, if any, a port from 1 to 65535";

/// A span as a file spells it, in the largest units that say it exactly: `1min 30s`, `24h`.
pub fn spelled(span: Duration) -> String {
    const HOUR: u64 = 60 * 60;
    const DAY: u64 = 24 * HOUR;
    let seconds = span.as_secs();
    // Hours say more than days as long as one can imagine them.
    let days = if seconds <= 2 * DAY { 0 } else { seconds / DAY };
    let rest = seconds - days * DAY;
    let nanoseconds = u64::from(span.subsec_nanos());
    let parts = [
        (days, "days"),
        (rest / HOUR, "h"),
        (rest % HOUR / 60, "min"),
        (rest % 60, "s"),
        (nanoseconds / 1_000_000, "ms"),
        (nanoseconds / 1000 % 1000, "us"),
        (nanoseconds % 1000, "ns"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.join(" ")
    }
}

/// What a kind of value may be.
pub trait Rule {
    /// What it is read as.
    type Read: Clone;

    /// Reads it, or says what would be right.
    fn read(value: &Value) -> Result<Self::Read, String>;

    /// Spells it as a file would.
    fn spell(read: &Self::Read) -> Value;
}

/// A field that need not be set.
pub struct Optional<R>(PhantomData<R>);

impl<R: Rule> Rule for Optional<R> {
    type Read = Option<R::Read>;

    fn read(value: &Value) -> Result<Self::Read, String> {
        R::read(value).map(Some)
    }

    fn spell(read: &Self::Read) -> Value {
        read.as_ref().map_or(Value::Null, R::spell)
    }
}

const NOT_A_SPAN: &str = r#"not a time span; write one such as "30s" or "5min""#;

fn span(value: &Value) -> Result<Duration, String> {
    let text = value.as_str().ok_or(NOT_A_SPAN)?;
    let span = humantime::parse_duration(text).map_err(|_| NOT_A_SPAN)?;
    if MAX_SPAN < span {
        return Err("must not be longer than a year".to_owned());
    }
    Ok(span)
}

fn not_zero(span: Duration) -> Result<Duration, String> {
    if span.is_zero() {
        return Err("must be longer than 0s".to_owned());
    }
    Ok(span)
}

/// Implements [`Rule`] for a kind of value that is read by a function and spelled by another.
macro_rules! rule {
    ($(#[$doc:meta])* $name:ident, $read:ty, |$value:ident| $parse:expr, |$kept:ident| $spell:expr) => {
        $(#[$doc])*
        pub struct $name;

        impl Rule for $name {
            type Read = $read;

            fn read($value: &Value) -> Result<$read, String> {
                $parse
            }

            fn spell($kept: &$read) -> Value {
                $spell
            }
        }
    };
}

rule!(
    /// A time span of up to a year.
    Span, Duration, |value| span(value), |read| spelled(*read).into()
);

rule!(
    /// A time span that is not zero.
    PositiveSpan, Duration, |value| not_zero(span(value)?), |read| spelled(*read).into()
);

rule!(
    /// A time span that one delivery may take.
    DeliverySpan,
    Duration,
    |value| {
        let span = not_zero(span(value)?)?;
        if MAX_DELIVERY < span {
            return Err("must not be longer than 1min: others wait behind it".to_owned());
        }
        Ok(span)
    },
    |read| spelled(*read).into()
);

rule!(
    /// The delays in front of the attempts.
    Delays,
    Vec<Duration>,
    |value| {
        let wrong = r#"not a list of time spans; write one such as ["5s", "10s", "20s"]"#;
        let list = value.as_array().ok_or(wrong)?;
        let delays = list.iter().map(|one| {
            span(one).map_err(|why| if why == NOT_A_SPAN { wrong.to_owned() } else { why })
        });
        let delays: Vec<Duration> = delays.collect::<Result<_, _>>()?;
        if delays.is_empty() {
            return Err(r#"needs at least one delay, such as ["5s", "10s", "20s"]"#.to_owned());
        }
        if MAX_ATTEMPTS < delays.len() {
            return Err(format!("must not have more than {MAX_ATTEMPTS}"));
        }
        Ok(delays)
    },
    |read| read.iter().map(|span| spelled(*span)).collect()
);

rule!(
    /// A port that something can listen on.
    Port,
    u16,
    |value| match value.as_u64().map(u16::try_from) {
        Some(Ok(0)) => Err("must be from 1 to 65535: nothing can listen on port 0".to_owned()),
        Some(Ok(port)) => Ok(port),
        _ => Err("not a port; write a number from 1 to 65535".to_owned()),
    },
    |read| (*read).into()
);

rule!(
    /// The address of a machine.
    Address,
    IpAddr,
    |value| typed(value, r#"not an IP address; write one such as "127.0.0.1""#),
    |read| read.to_string().into()
);

rule!(
    /// Yes or no.
    Flag,
    bool,
    |value| typed(value, "neither true nor false; write one of them"),
    |read| (*read).into()
);

rule!(
    /// The name of a service, as systemd would take it. Source: systemd.unit(5).
    ServiceName,
    String,
    |value| {
        let name = text(
            value,
            r#"not the name of a unit; write one such as "openclaw-gateway.service""#,
        )?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        let prefix = name.strip_suffix(".service");
        if MAX_UNIT_NAME < name.len()
            || !prefix.is_some_and(|prefix| !prefix.is_empty() && prefix.chars().all(allowed))
        {
            return Err(
                r#"must be the name of a service, such as "openclaw-gateway.service""#.to_owned(),
            );
        }
        Ok(name)
    },
    |read| read.as_str().into()
);

rule!(
    /// How many forced stops may fall into a window.
    ForcedStopLimit,
    usize,
    |value| match typed(value, "not a count; write a whole number from 1")? {
        0 => Err("must be at least 1: a gateway that hangs cannot be stopped otherwise".to_owned()),
        limit => Ok(limit),
    },
    |read| (*read).into()
);

rule!(
    /// How many snapshots are kept; more than the bound is a slip of the pen, and each may have megabytes.
    Kept,
    usize,
    |value| {
        let keep = typed(value, "not a count; write a whole number from 1 to 1000")?;
        if (1..=1000).contains(&keep) {
            Ok(keep)
        } else {
            Err("must be from 1 to 1000".to_owned())
        }
    },
    |read| (*read).into()
);

rule!(
    /// The path of a flag file.
    FlagFile,
    PathBuf,
    |value| {
        let wrong = r#"not a path; write an absolute one such as "/tmp/openclaw-maintenance""#;
        let right = r#"must be an absolute path that can be printed, such as "/tmp/openclaw-maintenance""#;
        plain_path(&text(value, wrong)?).ok_or_else(|| right.to_owned())
    },
    |read| read.to_string_lossy().into()
);

rule!(
    /// A file that node_exporter's textfile collector reads.
    PromFile,
    PathBuf,
    |value| {
        let wrong = r#"not a path; write one such as "/var/lib/prometheus/node-exporter/gatehound.prom""#;
        let right = "must be the absolute path of a file named *.prom that can be printed, \
                     such as \"/var/lib/prometheus/node-exporter/gatehound.prom\"";
        plain_path(&text(value, wrong)?)
            .filter(|path| path.extension() == Some(OsStr::new("prom")))
            .ok_or_else(|| right.to_owned())
    },
    |read| read.to_string_lossy().into()
);

/// One of a few words.
pub trait Choice: Copy + Serialize + DeserializeOwned {
    /// What another word is, and what would be right.
    const WRONG: &'static str;
}

/// A field whose value is one of a few words.
pub struct OneOf<C>(PhantomData<C>);

impl<C: Choice> Rule for OneOf<C> {
    type Read = C;

    fn read(value: &Value) -> Result<C, String> {
        typed(value, C::WRONG)
    }

    fn spell(read: &C) -> Value {
        // A word becomes a string by construction.
        serde_json::to_value(read).unwrap_or_default()
    }
}

fn typed<T: DeserializeOwned>(value: &Value, wrong: impl Display) -> Result<T, String> {
    T::deserialize(value).map_err(|_| wrong.to_string())
}

fn text(value: &Value, wrong: &str) -> Result<String, String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| wrong.to_owned())
}

/// A path that says by itself which file it means, and shows as itself in a message.
fn plain_path(text: &str) -> Option<PathBuf> {
    let path = PathBuf::from(text);
    (path.is_absolute() && !text.chars().any(is_unprintable)).then_some(path)
}

/// Whether a text is a URL that an alert or a ping can be sent to.
pub fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        rest.chars().all(|c| c.is_ascii_graphic()) && is_authority(authority)
    })
}

/// A host, with a port from 1 on if there is one: a client that leaves out a port it does not understand
/// sends what is secret to somebody else.
fn is_authority(text: &str) -> bool {
    let place = text.rsplit_once('@').map_or(text, |(_, place)| place);
    let (host, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, ""))) => (host, None),
        Some(Some((host, rest))) => (host, Some(rest.strip_prefix(':').unwrap_or_default())),
        Some(None) => return false,
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let is_port = |port: &str| {
        port.chars().all(|c| c.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port != 0)
    };
    !host.is_empty() && !host.contains('%') && port.is_none_or(is_port)
}

/// What stands in the place of a value that is not there.
pub const UNSET: &str = "unset";

/// A value that is well-formed and cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The dotted key.
    pub key: &'static str,
    /// Its value, as gatehound.toml(5) would spell it.
    pub value: String,
    /// What would be right.
    pub right: String,
}

impl Invalid {
    pub(crate) fn new(
        key: &'static str,
        value: impl Into<String>,
        right: impl Into<String>,
    ) -> Self {
        let (value, right) = (value.into(), right.into());
        Self { key, value, right }
    }

    pub(crate) fn span(key: &'static str, span: Duration, right: impl Into<String>) -> Self {
        Self::new(key, format!("\"{}\"", spelled(span)), right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_span_is_spelled_as_the_documents_do() {
        let seconds = Duration::from_secs;
        for (span, expected) in [
            (Duration::ZERO, "0s"),
            (seconds(30), "30s"),
            (seconds(60), "1min"),
            (seconds(90), "1min 30s"),
            (seconds(900), "15min"),
            (seconds(5400), "1h 30min"),
            (seconds(24 * 3600), "24h"),
            (seconds(3 * 24 * 3600), "3days"),
            (MAX_SPAN, "365days 6h"),
            (Duration::from_micros(1_500_001), "1s 500ms 1us"),
        ] {
            assert_eq!(spelled(span), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_spelled_is_read_as_the_same_span(nanoseconds in 0..MAX_SPAN.as_nanos() as u64) {
            let span = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(Span::read(&Span::spell(&span)), Ok(span));
        }
    }
}
