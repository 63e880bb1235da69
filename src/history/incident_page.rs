//! One incident for a person: two sentences that say what happened and what it means, then when what was done, then the evidence.
//!
//! Owns how an incident is printed; what it consists of is `timeline`'s and `recovery::evidence`'s.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;

use crate::{
    cli::{
        console::say,
        show::{COLUMNS, Tone, line, wrapped},
    },
    history::{
        rows::{cause, tone},
        timeline::{Outcome, Past},
    },
    journal::logged::Logged,
    os::wall_clock,
    text::{line::Line, words::span},
};

/// Prints it.
pub(super) fn print_incident(
    id: &str,
    past: Option<&Past>,
    logged: &[&Logged],
    evidence: &[(PathBuf, Result<Value, Line>)],
) {
    if let Some(past) = past {
        for text in wrapped(&in_two_sentences(past), COLUMNS) {
            say!("{text}");
        }
        say!("");
    }
    say!("incident   {}", Line::new(id));
    match past {
        Some(past) => {
            say!("began      {}", wall_clock::local(past.began));
            let down = format!("down       {}, ", span(past.down));
            line(&[(Tone::Plain, &down), (tone(past.outcome), outcome(past))]);
            set("cause      ", &cause(past));
            say!(
                "restarts   {} by Gatehound; attempts {}, stops with SIGKILL {}",
                past.restarts,
                past.attempts,
                past.forced
            );
        }
        None => say!("           no longer in the journal"),
    }
    if !logged.is_empty() {
        say!("");
    }
    let began = past.map_or(Duration::ZERO, |past| past.began);
    for logged in logged {
        let after = logged.at.wall.saturating_sub(began);
        let after = Duration::from_secs((after + Duration::from_millis(500)).as_secs());
        let head = format!(
            "{}  {:>11}  ",
            wall_clock::local(logged.at.wall),
            format!("+{}", span(after))
        );
        set(&head, logged.text.as_str());
    }
    for (path, content) in evidence {
        say!("");
        say!("evidence   {}", Line::new(&path.display().to_string()));
        match content {
            Ok(value) => print_value("", value),
            Err(why) => say!("           {why}"),
        }
    }
}

/// A text behind its head, in as many lines as it needs, all below each other.
pub(super) fn set(head: &str, text: &str) {
    let indent = head.chars().count();
    let room = COLUMNS.saturating_sub(indent).max(20);
    for (at, part) in wrapped(text, room).iter().enumerate() {
        match at {
            0 => say!("{head}{part}"),
            _ => say!("{}{part}", " ".repeat(indent)),
        }
    }
}

/// The two sentences that begin the page.
pub(super) fn in_two_sentences(past: &Past) -> String {
    format!("{} {}", what_happened(past), what_it_means(past))
}

/// What a reason begins or goes on with that says more than which probe failed.
const INSTEAD: [(&str, &str); 3] = [
    ("config-error: ", "it refused its configuration"),
    ("port-taken: ", "somebody else had its port"),
    (
        "a run ended before it was healthy: ",
        "one of its runs ended before it was healthy",
    ),
];

fn what_happened(past: &Past) -> String {
    let began = wall_clock::local(past.began);
    let (date, time) = began.split_once(' ').unwrap_or((&began, ""));
    let stall = past.stall.as_ref().map_or("", Line::as_str);
    let did = match stall {
        "gone" => "nothing listened on its port",
        "stopped" => "its process was stopped by a signal",
        "deadlocked" => "its event loop was deadlocked",
        "waiting" => "its event loop waited for another process",
        "disk" => "it waited for the disk",
        "starved" => "it was starved of CPU or memory",
        "blocked" => "its event loop was blocked",
        "busy" => "its event loop was busy",
        "answering" => "it gave wrong answers",
        _ => "why is no longer in the journal",
    };
    let detail = past
        .stall_detail
        .as_ref()
        .filter(|it| !it.as_str().is_empty());
    let detail = detail.or(past.reason.as_ref()).map_or("", Line::as_str);
    let (did, detail) = INSTEAD
        .iter()
        .find_map(|(mark, did)| Some((*did, detail.split_once(mark)?.1)))
        .unwrap_or((did, detail));
    let detail = match detail {
        "" => String::new(),
        detail => format!(" ({detail})"),
    };
    format!("The gateway stopped working on {date} at {time}: {did}{detail}.")
}

fn what_it_means(past: &Past) -> String {
    let down = span(past.down);
    let restarts = match past.restarts {
        1 => "Gatehound restarted it once".to_owned(),
        times => format!("Gatehound restarted it {times} times"),
    };
    match past.outcome {
        Outcome::UnderWay => format!(
            "It has been down for {down} and is not back yet: gatehound status says what is done."
        ),
        Outcome::ByItself => format!(
            "It recovered by itself after {down}, before a restart was due: if that happens often, the cause is in what it did then."
        ),
        Outcome::ByRestart if past.gave_up => format!(
            "It was down for {down}: {restarts} and gave up in between, so that the cause is probably outside of the process."
        ),
        Outcome::ByRestart => {
            format!("It was down for {down}: {restarts}, and it has worked since.")
        }
        Outcome::ByOther => {
            format!("It was down for {down}, until systemd or a human started it again.")
        }
        Outcome::Stopped => format!("It was down for {down}, until a human stopped it for good."),
        Outcome::Unseen => format!(
            "It was down for at least {down}; how that ended nobody saw, because no Gatehound was watching then."
        ),
    }
}

fn outcome(past: &Past) -> &'static str {
    match past.outcome {
        Outcome::UnderWay => "not over",
        Outcome::ByItself => "recovered by itself",
        Outcome::ByRestart => "recovered by Gatehound's restart",
        Outcome::ByOther => "recovered after a restart by systemd or a human",
        Outcome::Stopped => "a human stopped the gateway",
        Outcome::Unseen => "its end was not seen",
    }
}

/// One line for each value; a list of texts has a line for each text.
fn print_value(name: &str, value: &Value) {
    let below = |key: &str| {
        if name.is_empty() {
            key.to_owned()
        } else {
            format!("{name}.{key}")
        }
    };
    match value {
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::Array(all)
            if all
                .iter()
                .all(|value| !value.is_object() && !value.is_array()) =>
        {
            print_plain(name, all);
        }
        Value::Object(all) => {
            for (key, value) in all {
                print_value(&below(key), value);
            }
        }
        Value::Array(all) => all.iter().for_each(|value| print_value(name, value)),
        Value::String(text) => print_text(name, text),
        Value::Number(number) => print_text(name, &in_units(name, number)),
        Value::Bool(_) => print_text(name, &value.to_string()),
    }
}

/// Values beside each other; texts that a program wrote, one below the other.
fn print_plain(name: &str, all: &[Value]) {
    if ["journal", "command"].contains(&name) {
        return all.iter().for_each(|value| print_value(name, value));
    }
    let texts: Vec<String> = all
        .iter()
        .map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect();
    if !texts.is_empty() {
        print_text(name, &texts.join(", "));
    }
}

fn print_text(name: &str, text: &str) {
    let text = match name {
        "process.state" => state_in_words(text),
        _ => text.to_owned(),
    };
    let head = format!("  {:<30}  ", in_words(name));
    set(&head, Line::new(&text).as_str());
}

/// What a value of the evidence is; one that is not known keeps its name.
fn in_words(name: &str) -> String {
    let words = match name {
        "stall" => "what the process did",
        "stall_detail" => "in a sentence",
        "command" => "command",
        "process.pid" => "process",
        "process.state" => "its main thread",
        "process.wchan" => "which sleeps in the kernel's",
        "process.syscall" => "number of its system call",
        "process.main_thread_cpu_usec" => "CPU time of its main thread",
        "process.cpu_usec" => "CPU time of all its threads",
        "process.rss" => "memory",
        "process.swap" => "memory in swap",
        "process.threads" => "threads",
        "process.fds" => "open files",
        "process.fd_limit" => "open files allowed",
        "process.voluntary_switches" => "main thread waited, times",
        "process.involuntary_switches" => "main thread was interrupted",
        "process.oom_score" => "score for the OOM killer",
        "load_average" => "load (1, 5, 15 min)",
        "journal" => "it wrote last",
        "missing" => "could not be read",
        other => return Line::new(other).to_string(),
    };
    words.to_owned()
}

fn state_in_words(state: &str) -> String {
    let words = match state {
        "R" => "runs",
        "S" => "sleeps",
        "D" => "waits for the disk",
        "T" | "t" => "is stopped",
        "Z" | "X" => "has ended",
        _ => return state.to_owned(),
    };
    format!("{words} ({state})")
}

/// Times in seconds, memory in MiB.
fn in_units(name: &str, number: &serde_json::Number) -> String {
    const MIB: u64 = 1024 * 1024;
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let is_memory = ["rss", "swap", "anon", "file", "kernel", "slab"].contains(&leaf)
        || leaf.ends_with("_bytes")
        || leaf.starts_with("memory");
    match number.as_u64() {
        Some(usec) if leaf.ends_with("_usec") => span(Duration::from_micros(usec)),
        Some(bytes) if is_memory && MIB <= bytes => format!("{} MiB", bytes / MIB),
        Some(bytes) if is_memory => format!("{bytes} bytes"),
        Some(_) | None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_in_words_and_units() {
        let number = |n: u64| serde_json::Number::from(n);
        assert_eq!(in_units("process.rss", &number(700 << 20)), "700 MiB");
        assert_eq!(in_units("process.cpu_usec", &number(48_000_000)), "48 s");
        assert_eq!(in_units("process.threads", &number(11)), "11");
        assert_eq!(state_in_words("D"), "waits for the disk (D)");
        assert_eq!(in_words("process.rss"), "memory");
        assert!(!in_words("new.\u{1b}[2Jkey").contains('\u{1b}'));
    }
}
