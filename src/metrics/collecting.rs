//! What one user's Gatehound says, reduced to what that user may say to a node's Prometheus.
//!
//! Owns which lines are passed on: those of the families that Gatehound has, as being of that user, each once.
//! Somebody else's metrics cannot be forged through it, and nothing that it passes on makes node_exporter refuse
//! the whole file: help and types are ours, and no line has a time.
//! Folders and files are `collect_command`'s.
//!
//! Source: prometheus.io, "Exposition formats"; node_exporter 1.5, collector/textfile.go.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::metrics::exposition::{FAMILIES, escaped};

/// Several times as many as a page has.
const MAX_SERIES: usize = 200;

/// The labels that a user may choose; whose it is, is not one of them.
const LABELS: [&str; 6] = ["phase", "probe", "profile", "reason", "unit", "version"];

/// One user, and the series that were passed on for them: two files of theirs may not say the same one.
#[derive(Debug)]
pub(crate) struct Speaker {
    uid: u32,
    user: String,
    said: BTreeSet<String>,
}

impl Speaker {
    /// The user with this number and name, of whom nothing was passed on yet.
    pub(crate) fn new(uid: u32, user: String) -> Self {
        Self {
            uid,
            user,
            said: BTreeSet::new(),
        }
    }

    /// What of a page is passed on.
    pub(crate) fn passed_on(&mut self, page: &str) -> String {
        let mut families: BTreeMap<&str, String> = BTreeMap::new();
        for line in page.lines() {
            let Some((name, labels, value)) = series(line) else {
                continue;
            };
            let series = format!("{name}{{{}}}", self.labels(&labels));
            if self.said.len() < MAX_SERIES && self.said.insert(series.clone()) {
                // Writing into a string cannot fail.
                let _ = writeln!(families.entry(name).or_default(), "{series} {value}");
            }
        }
        let mut text = String::new();
        for family in FAMILIES {
            if let Some(lines) = families.get(family.name) {
                let (name, kind, help) = (family.name, family.kind, family.help);
                let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
            }
        }
        text
    }

    /// The labels of a series, with whose it is, always in the same order.
    fn labels(&self, chosen: &BTreeMap<&str, &str>) -> String {
        let mut text = String::new();
        for (name, value) in chosen {
            let _ = write!(text, "{name}=\"{value}\",");
        }
        let _ = write!(
            text,
            "uid=\"{}\",user=\"{}\"",
            self.uid,
            escaped(&self.user)
        );
        text
    }
}

/// A series of ours: its name, the labels that may be chosen, as they are written, and the value.
fn series(line: &str) -> Option<(&'static str, BTreeMap<&str, &str>, &str)> {
    let (name, rest) = line.split_once('{')?;
    let family = FAMILIES.iter().find(|family| family.name == name)?;
    let (labels, rest) = labels(rest)?;
    let value = rest.strip_prefix(' ')?;
    // A time after it would be a second word, which is no number.
    let is_number = value.parse::<f64>().is_ok_and(f64::is_finite);
    is_number.then_some((family.name, labels, value))
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(BTreeMap<&str, &str>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        rest = after.strip_prefix(',').unwrap_or(after);
        if matches!(name, "uid" | "user") {
            continue;
        }
        let may_be_chosen = LABELS.contains(&name) && !value.contains(char::is_control);
        if !may_be_chosen || labels.insert(name, value).is_some() {
            return None;
        }
    }
}

/// A value up to its closing quote, as it is written, and what follows that.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((text.get(..at)?, text.get(at + 1..)?)),
            '\\' => {
                characters.next().filter(|(_, c)| r#"\"n"#.contains(*c))?;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        metrics::exposition::{Counts, Sample},
        policy::{facts::Health, state::State},
    };

    fn page(uid: u32, user: &str, profile: Option<&str>) -> String {
        Sample {
            state: &State::default(),
            health: &Health::Healthy(Duration::ZERO),
            counts: Counts::default(),
            attempts: 3,
            unit: "openclaw\\x2dgateway\".service",
            profile,
            uid,
            user,
            checked: Duration::ZERO,
            ping: Some(Duration::ZERO),
        }
        .render()
    }

    fn ann() -> Speaker {
        Speaker::new(1000, "ann".to_owned())
    }

    /// The series of a page, whatever the order of their labels.
    fn contents(page: &str) -> BTreeSet<String> {
        let sorted = |line: &str| {
            let mut words: Vec<&str> = line.split(['{', ',', '}']).collect();
            words.sort_unstable();
            words.join(" ")
        };
        page.lines().map(sorted).collect()
    }

    #[test]
    fn everything_that_gatehound_writes_is_passed_on_as_it_is() {
        let page = page(1000, "ann", Some("work"));
        assert_eq!(contents(&ann().passed_on(&page)), contents(&page));
    }

    #[test]
    fn a_page_is_of_the_user_who_wrote_it_whoever_it_says_it_is_of() {
        let forged = page(1001, "bob", None);
        let honest = page(1000, "ann", None);
        assert_eq!(contents(&ann().passed_on(&forged)), contents(&honest));
        let bare = "gatehound_gateway_up{unit=\"a.service\"} 1\n";
        let passed = ann().passed_on(bare);
        assert!(
            passed.ends_with(
                "gatehound_gateway_up{unit=\"a.service\",uid=\"1000\",user=\"ann\"} 1\n"
            ),
            "{passed}"
        );
    }

    #[test]
    fn nothing_else_than_gatehounds_metrics_is_passed_on() {
        for line in [
            "node_filesystem_avail_bytes{mountpoint=\"/\"} 0",
            "gatehound_other{unit=\"a\"} 1",
            "gatehound_gateway_up 1",
            "gatehound_gateway_up{instance=\"another\"} 1",
            "gatehound_gateway_up{unit=\"a\"} 1 1764000000000",
            "gatehound_gateway_up{unit=\"a\"} one",
            "gatehound_gateway_up{unit=\"a\"} NaN",
            "gatehound_gateway_up{unit=\"a\",unit=\"b\"} 1",
            "gatehound_gateway_up{unit=\"a\\q\"} 1",
            "gatehound_gateway_up{unit=\"a} 1",
            "gatehound_gateway_up{unit=\"a\"}node_load1 1",
            "gatehound_gateway_up{unit=\"a\u{7}\"} 1",
            "# HELP node_load1 Mine.",
            "# TYPE gatehound_gateway_up counter",
        ] {
            assert_eq!(ann().passed_on(line), "", "{line}");
        }
    }

    #[test]
    fn two_files_of_a_user_that_say_the_same_do_not_say_it_twice() {
        let mut ann = ann();
        let up = "gatehound_gateway_up{unit=\"a\",profile=\"b\"} 1\n";
        let swapped = "gatehound_gateway_up{profile=\"b\",unit=\"a\",uid=\"0\"} 0\n";
        let passed = ann.passed_on(&format!("{up}{swapped}"));
        assert_eq!(passed.matches("gateway_up{").count(), 1, "{passed}");
        assert_eq!(ann.passed_on(up), "");
        let many: String = (0..1000)
            .map(|one| format!("gatehound_gateway_up{{unit=\"{one}\"}} 1\n"))
            .collect();
        assert_eq!(ann.passed_on(&many).lines().count(), 2 + MAX_SERIES - 1);
    }
}
