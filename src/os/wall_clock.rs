//! The wall clock and the local time zone, for what people read and ask.
//!
//! Nothing that the policy knows comes from here: this clock can be set (rule 10).

use std::time::Duration;

use jiff::{
    Timestamp, ToSpan as _, Zoned,
    civil::{DateTime, Weekday},
    tz::TimeZone,
};

use crate::text::line::Line;

/// Time since the Unix epoch.
pub fn now() -> Duration {
    Duration::try_from(Timestamp::now().as_duration()).unwrap_or_default()
}

/// A moment in the local time zone, to the second: `2026-11-23 03:12:07`.
pub fn local(wall: Duration) -> String {
    let Some(zoned) = zoned(wall) else {
        return "(no time)".to_owned();
    };
    // Not strftime, whose two dozen other directives would come along.
    let (date, time) = (zoned.date(), zoned.time());
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// The same with how far it is from UTC, for whoever reads it elsewhere: `2026-11-23 03:12:07+01:00`.
pub fn local_with_offset(wall: Duration) -> String {
    let offset = zoned(wall).map_or_else(String::new, |zoned| offset(&zoned));
    local(wall) + &offset
}

fn offset(zoned: &Zoned) -> String {
    let minutes = zoned.offset().seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.abs();
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// A moment as RFC 3339 has it, in UTC.
pub fn utc(wall: Duration) -> Option<String> {
    Some(zoned(wall)?.timestamp().to_string())
}

fn zoned(wall: Duration) -> Option<Zoned> {
    let timestamp = Timestamp::from_second(i64::try_from(wall.as_secs()).ok()?).ok()?;
    Some(timestamp.to_zoned(TimeZone::system()))
}

/// The moment that a person means by `today`, `yesterday`, a date with or without a time, or a span before now.
///
/// # Errors
///
/// It is none of these; the message says what would be.
pub fn moment(text: &str) -> Result<Duration, Line> {
    parse(text, &Zoned::now()).ok_or_else(|| {
        "no time; give a span such as 7d or \"2 hours ago\", a date such as 2026-11-23 or \
         \"2026-11-23 08:00\", a time such as 08:00, a day such as yesterday or monday"
            .into()
    })
}

fn parse(text: &str, now: &Zoned) -> Option<Duration> {
    let text = text.trim().to_lowercase();
    let moment = match text.as_str() {
        "now" => now.clone(),
        text => of_day(text, now)
            .or_else(|| before(text, now))
            .or_else(|| {
                let civil: DateTime = text.parse().ok()?;
                civil.to_zoned(now.time_zone().clone()).ok()
            })?,
    };
    Duration::try_from(moment.timestamp().as_duration()).ok()
}

/// `today`, `yesterday`, a weekday that is the last one past, or a time of today; the first three with a time or without.
fn of_day(text: &str, now: &Zoned) -> Option<Zoned> {
    let (day, time) = match text.split_once(' ') {
        Some((day, time)) => (day, Some(time)),
        None if text.contains(':') => ("today", Some(text)),
        None => (text, None),
    };
    let begin = match day {
        "today" => now.start_of_day().ok()?,
        "yesterday" => now.checked_sub(1.day()).ok()?.start_of_day().ok()?,
        day => now
            .nth_weekday(-1, weekday(day)?)
            .ok()?
            .start_of_day()
            .ok()?,
    };
    let Some(time) = time else {
        return Some(begin);
    };
    let time: jiff::civil::Time = time.parse().ok()?;
    let civil = begin.date().to_datetime(time);
    civil.to_zoned(now.time_zone().clone()).ok()
}

fn weekday(name: &str) -> Option<Weekday> {
    let all = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let is_it = |known: &str| known == name || name.len() == 3 && known.starts_with(name);
    all.into_iter()
        .find(|(known, _)| is_it(known))
        .map(|(_, day)| day)
}

/// A span before now: `2h`, `2 hours ago`, `-2h` as journalctl has it, `an hour ago`, `last week`, `the last 3 days`.
fn before(text: &str, now: &Zoned) -> Option<Zoned> {
    let mut text = text
        .strip_suffix(" ago")
        .or(text.strip_prefix('-'))
        .unwrap_or(text);
    for prefix in ["the ", "last ", "past "] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let text = match text.split_once(' ') {
        Some(("a" | "an" | "one", unit)) => format!("1 {unit}"),
        Some(_) => text.to_owned(),
        // "last week"
        None if text.starts_with(|first: char| first.is_ascii_alphabetic()) => format!("1 {text}"),
        None => text.to_owned(),
    };
    now.checked_sub(humantime::parse_duration(&text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments are written in the time of Berlin on the day on which its clocks went forward at 02:00.
    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = |time: &str| {
            let civil: DateTime = time.parse().unwrap();
            civil.to_zoned(berlin.clone()).unwrap()
        };
        let expected =
            expected.map(|time| Duration::try_from(at(time).timestamp().as_duration()).unwrap());
        assert_eq!(parse(text, &at("2026-03-29 12:00")), expected, "{text}");
    }

    #[test]
    fn a_moment_is_a_span_a_date_or_a_word() {
        check("2h", Some("2026-03-29 10:00"));
        check("12h", Some("2026-03-28 23:00"));
        for text in [
            "2 hours ago",
            "2 hours",
            "-2h",
            "the last 2 hours",
            "Last 2 Hours",
            " 2h ",
        ] {
            check(text, Some("2026-03-29 10:00"));
        }
        for text in ["an hour ago", "last hour", "1 hour ago", "one hour ago"] {
            check(text, Some("2026-03-29 11:00"));
        }
        check("half", None);
        check("last week", Some("2026-03-22 11:00"));
        check("3 days 2h ago", Some("2026-03-26 09:00"));
        check("08:30", Some("2026-03-29 08:30"));
        check("yesterday 08:30", Some("2026-03-28 08:30"));
        check("today 06:15:20", Some("2026-03-29 06:15:20"));
        check("monday", Some("2026-03-23"));
        check("sun 10:00", Some("2026-03-22 10:00"));
        check("now", Some("2026-03-29 12:00"));
        check("today", Some("2026-03-29"));
        check("yesterday", Some("2026-03-28"));
        check("2026-03-01", Some("2026-03-01"));
        check("2026-03-29 08:30", Some("2026-03-29 08:30"));
    }

    #[test]
    fn a_time_for_other_places_says_how_far_it_is_from_utc() {
        for (zone, expected) in [
            ("CET-1", "+01:00"),
            ("NST3:30", "-03:30"),
            ("UTC0", "+00:00"),
        ] {
            let zone = TimeZone::posix(zone).unwrap();
            assert_eq!(offset(&Timestamp::UNIX_EPOCH.to_zoned(zone)), expected);
        }
        let told = local_with_offset(Duration::ZERO);
        assert!(told.starts_with(&local(Duration::ZERO)), "{told}");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "soon",
            "2026-13-01",
            "ago",
            "-",
            "25:00",
            "1e9",
            "9999999999y",
        ] {
            check(text, None);
        }
        let refused = moment("soon").unwrap_err();
        assert!(refused.as_str().starts_with("no time; give"));
    }

    #[test]
    fn now_is_when_a_file_is_written() {
        let before = now();
        let file = tempfile::NamedTempFile::new().unwrap();
        let written = file.as_file().metadata().unwrap().modified().unwrap();
        let written = written.duration_since(std::time::UNIX_EPOCH).unwrap();
        // A file system's time may be a clock tick old.
        let tick = Duration::from_secs(1);
        assert!(before.saturating_sub(tick) <= written && written <= now() + tick);
    }

    #[test]
    fn a_moment_that_no_calendar_has_is_not_shown() {
        assert_eq!(local(Duration::MAX), "(no time)");
        assert_eq!(utc(Duration::MAX), None);
        assert_eq!(
            utc(Duration::from_secs(1_700_000_000)).as_deref(),
            Some("2023-11-14T22:13:20Z")
        );
    }
}
