//! What became of the gateway, as a terminal of 80 columns shows it: bars, rows, sums.
//!
//! Owns how a history is printed; what it consists of is `timeline`'s.

use std::time::Duration;

use crate::{
    cli::{
        console::say,
        show::{COLUMNS, Cell, Tone, cut, line, row, wrapped},
    },
    history::{
        bar::{LEGEND, PARTS, Part, percent},
        timeline::{History, Outcome, Past, Spell, StoodBy},
    },
    os::wall_clock,
    policy::record::EMERGENCY_STOP,
    text::{line::Line, words::span},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Where the second line of a row begins.
const INDENT: &str = "    ";

/// Prints all of it.
pub(super) fn print_history(history: &History, since: Duration, now: Duration) {
    print_bars(history, since, now);
    let rows = rows(history);
    if !rows.is_empty() {
        print_row(["began", "down", "ended", "incident"], Tone::Plain);
        rows.iter().for_each(Row::print);
        say!("");
    }
    print_sums(history, since);
}

/// The last 24 hours, and all that was asked for.
pub(super) fn windows(since: Duration, now: Duration) -> Vec<(String, Duration)> {
    let all = now.saturating_sub(since);
    let mut windows = Vec::new();
    if DAY < all {
        windows.push(("24 h".to_owned(), now.saturating_sub(DAY)));
    }
    // Rounded, because the moment was asked for a while ago.
    let minutes = (all + Duration::from_secs(30)).as_secs() / 60;
    let rounded = Duration::from_secs(60 * minutes.max(1));
    let label = span(rounded);
    // "29 d 23 h" is what is left of 30 days where the clocks went forward.
    let label = label.split(" d ").next().map_or(label.clone(), |days| {
        if days == label {
            label.clone()
        } else {
            format!("{days} d")
        }
    });
    windows.push((label, since));
    windows
}

fn print_bars(history: &History, since: Duration, now: Duration) {
    for (label, from) in windows(since, now) {
        let parts = history.stretches.shares(from, now, PARTS);
        let mut line_parts: Vec<(Tone, String)> = Vec::new();
        for part in parts.iter().map(Part::of) {
            let tone = match part {
                Part::Up => Tone::Good,
                Part::Partly => Tone::Warning,
                Part::Down => Tone::Bad,
                Part::Aside | Part::Unseen => Tone::Plain,
            };
            match line_parts.last_mut() {
                Some((last, text)) if *last == tone => text.push(part.sign()),
                _ => line_parts.push((tone, part.sign().to_string())),
            }
        }
        let all = history.stretches.share(from, now);
        let percent = percent(all.down, all.up + all.down).unwrap_or_else(|| "unknown".to_owned());
        let label = format!("{label:<6}");
        let mut texts: Vec<(Tone, &str)> = vec![(Tone::Plain, &label)];
        texts.extend(line_parts.iter().map(|(tone, text)| (*tone, text.as_str())));
        let percent = format!("  {percent:>8}");
        texts.push((Tone::Plain, &percent));
        line(&texts);
    }
    say!("      {LEGEND}");
    say!("");
}

/// One row: what it was and when, and below it why.
struct Row {
    began: Duration,
    down: String,
    ended: &'static str,
    tone: Tone,
    name: String,
    cause: String,
}

impl Row {
    fn print(&self) {
        let began = wall_clock::local(self.began);
        print_row([&began, &self.down, self.ended, &self.name], self.tone);
        let room = COLUMNS.saturating_sub(INDENT.len());
        say!("{INDENT}{}", cut(&self.cause, room));
    }
}

fn print_row([began, down, ended, name]: [&str; 4], tone: Tone) {
    row(&[
        Cell::left(began, 19),
        Cell::right(down, 11),
        Cell::left(ended, 10).tone(tone),
        Cell::new(name),
    ]);
}

/// All rows, in the order of time.
fn rows(history: &History) -> Vec<Row> {
    let mut rows: Vec<Row> = history.incidents.iter().map(of_past).collect();
    rows.extend(history.stood_by.iter().map(of_stood_by));
    rows.extend(history.lapses.iter().map(of_lapse));
    rows.extend(history.degraded.iter().map(of_degraded));
    rows.sort_by_key(|row| row.began);
    rows
}

fn of_past(past: &Past) -> Row {
    let mut cause = cause(past);
    if 0 < past.restarts {
        let times = if past.restarts == 1 { "" } else { "s" };
        cause += &format!("; {} restart{times}", past.restarts);
    }
    Row {
        began: past.began,
        down: span(past.down),
        ended: past.outcome.name(),
        tone: tone(past.outcome),
        name: past.id.clone(),
        cause,
    }
}

/// In the place of an id stands the reason, because no incident was opened.
fn of_stood_by(stood_by: &StoodBy) -> Row {
    let lasted = span(stood_by.lasted);
    let detail = stood_by.detail.as_ref().map_or("", Line::as_str);
    let (down, cause) = if stood_by.is_outage() {
        (lasted, detail.to_owned())
    } else {
        let gap = if detail.is_empty() { "" } else { ": " };
        (
            "-".to_owned(),
            format!("stood by for {lasted}{gap}{detail}"),
        )
    };
    let (ended, tone) = ended(stood_by.under_way, stood_by.is_outage());
    let (name, cause) = match detail {
        EMERGENCY_STOP => (
            "emergency-stop".to_owned(),
            "a human stopped gatehound and the gateway".to_owned(),
        ),
        _ => (stood_by.reason.to_string(), cause),
    };
    Row {
        began: stood_by.began,
        down,
        ended,
        tone,
        name,
        cause: if cause.is_empty() {
            "-".to_owned()
        } else {
            cause
        },
    }
}

fn of_lapse(lapse: &Spell) -> Row {
    let (ended, tone) = ended(lapse.under_way, true);
    Row {
        began: lapse.began,
        down: span(lapse.lasted),
        ended,
        tone,
        name: "restart".to_owned(),
        cause: "its run ended, and systemd or a human started the next".to_owned(),
    }
}

fn of_degraded(spell: &Spell) -> Row {
    let (ended, tone) = ended(spell.under_way, false);
    Row {
        began: spell.began,
        down: "-".to_owned(),
        ended,
        tone,
        name: "degraded".to_owned(),
        cause: format!("for {}: {}", span(spell.lasted), spell.what),
    }
}

fn ended(under_way: bool, is_outage: bool) -> (&'static str, Tone) {
    match (under_way, is_outage) {
        (true, true) => ("under-way", Tone::Bad),
        (true, false) => ("under-way", Tone::Warning),
        (false, _) => ("over", Tone::Warning),
    }
}

/// What a word for the end of an incident is to whoever reads it.
pub(super) fn tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::UnderWay => Tone::Bad,
        Outcome::ByItself | Outcome::ByRestart | Outcome::ByOther => Tone::Good,
        Outcome::Stopped | Outcome::Unseen => Tone::Warning,
    }
}

/// Why the gateway was down.
pub(super) fn cause(past: &Past) -> String {
    let mut cause = match (&past.probe, &past.reason) {
        (Some(probe), Some(reason)) => format!("{probe}: {reason}"),
        _ => "not in the journal".to_owned(),
    };
    if let Some(stall) = &past.stall {
        cause += &format!(" ({stall})");
    }
    if let Some(detail) = past
        .stall_detail
        .as_ref()
        .filter(|it| !it.as_str().is_empty())
    {
        cause += &format!("; {detail}");
    }
    if past.gave_up {
        cause += "; gave up";
    }
    cause
}

fn print_sums(history: &History, since: Duration) {
    let since = wall_clock::local(since);
    let count = match history.incidents.len() {
        0 => "no incident".to_owned(),
        1 => "1 incident".to_owned(),
        more => format!("{more} incidents"),
    };
    let outages = history.stood_by.iter().filter(|one| one.is_outage());
    let others = [
        (outages.count(), "outage"),
        (history.lapses.len(), "crash or restart without an incident"),
        (history.degraded.len(), "time degraded"),
    ];
    let others: String = others
        .into_iter()
        .filter(|(count, _)| 0 < *count)
        .map(|(count, what)| format!(", {}", counted(count, what)))
        .collect();
    say_wrapped(&format!("{count}{others} since {since}"));
    let mut watched = format!("watched for {}", span(history.watched));
    if Duration::from_secs(1) <= history.aside {
        watched += &format!(", stood by for {}", span(history.aside));
    }
    if Duration::from_secs(1) <= history.unseen {
        watched += &format!(
            ", unseen for {} (no Gatehound ran, or the machine slept)",
            span(history.unseen)
        );
    }
    say_wrapped(&watched);
    let availability = percent(history.failing, history.watched);
    let mean = history.mean_time_to_recover().map(span);
    say!(
        "availability {}, mean time to recover {}",
        availability.as_deref().unwrap_or("unknown"),
        mean.as_deref().unwrap_or("unknown")
    );
}

fn say_wrapped(text: &str) {
    for line in wrapped(text, COLUMNS) {
        say!("{line}");
    }
}

fn counted(count: usize, what: &str) -> String {
    match (count, what) {
        (1, what) => format!("1 {what}"),
        (count, "time degraded") => format!("{count} times degraded"),
        (count, "outage") => format!("{count} outages"),
        (count, _) => format!("{count} crashes or restarts without an incident"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_are_the_last_day_and_all_of_it() {
        let now = Duration::from_secs(100 * 24 * 3600);
        let labels = |before: Duration| {
            let windows = windows(now - before, now);
            windows
                .into_iter()
                .map(|(label, _)| label)
                .collect::<Vec<_>>()
        };
        assert_eq!(labels(DAY * 30), ["24 h", "30 d"]);
        assert_eq!(labels(DAY * 30 + DAY / 24), ["24 h", "30 d"]);
        assert_eq!(labels(DAY / 12), ["2 h"]);
        assert_eq!(labels(DAY), ["1 d"]);
    }
}
