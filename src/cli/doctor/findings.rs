//! What the doctor found: how bad it is, what it says and what fixes it; how that is printed.
//!
//! Must not know where a finding comes from.

use crate::{
    cli::{
        answers,
        show::{Cell, Tone, room, row, width, wrapped},
    },
    text::line::Line,
};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// As it should be.
    Fine,
    /// The watch works, but not in every case.
    Warning,
    /// The gateway is not watched, or would not be brought back.
    Problem,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

#[derive(Debug)]
pub(super) struct Finding {
    pub(super) about: &'static str,
    pub(super) severity: Severity,
    pub(super) what: Line,
    /// A command, or what to do.
    pub(super) fix: Option<String>,
}

/// The findings so far.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn fine(&mut self, about: &'static str, what: &str) {
        self.add(about, Severity::Fine, what, None);
    }

    pub(super) fn warning(&mut self, about: &'static str, what: &str, fix: impl Into<String>) {
        self.add(about, Severity::Warning, what, Some(fix.into()));
    }

    pub(super) fn problem(&mut self, about: &'static str, what: &str, fix: impl Into<String>) {
        self.add(about, Severity::Problem, what, Some(fix.into()));
    }

    pub(super) fn add(
        &mut self,
        about: &'static str,
        severity: Severity,
        what: &str,
        fix: Option<String>,
    ) {
        self.0.push(Finding {
            about,
            severity,
            what: Line::new(what),
            fix,
        });
    }

    pub(super) fn answer(&self) -> answers::Doctor {
        let findings = self.0.iter().map(|finding| answers::Finding {
            about: finding.about,
            severity: finding.severity.name(),
            what: finding.what.clone(),
            fix: finding.fix.clone(),
        });
        answers::Doctor {
            worst: self.worst().name(),
            findings: findings.collect(),
        }
    }

    pub(super) fn worst(&self) -> Severity {
        let worst = self.0.iter().map(|finding| finding.severity).max();
        worst.unwrap_or(Severity::Fine)
    }
}

pub(super) fn print(findings: &Findings) {
    /// The columns of severity and subject.
    const INDENT: usize = 20;
    for finding in &findings.0 {
        let (severity, tone) = match finding.severity {
            Severity::Fine => ("fine", Tone::Good),
            Severity::Warning => ("warning", Tone::Warning),
            Severity::Problem => ("PROBLEM", Tone::Bad),
        };
        let set = |severity, about, what: &str| {
            let severity = Cell::left(severity, 7).tone(tone);
            row(&[severity, Cell::left(about, 9), Cell::new(what)]);
        };
        let (mut severity, mut about) = (severity, finding.about);
        for part in wrapped(finding.what.as_str(), room(INDENT)) {
            set(severity, about, &part);
            (severity, about) = ("", "");
        }
        if let Some(fix) = &finding.fix {
            for (at, part) in steps(fix, room(INDENT + ARROW)).iter().enumerate() {
                let arrow = if at == 0 { "→" } else { " " };
                set("", "", &format!("{arrow} {part}"));
            }
        }
    }
}

/// The columns of the arrow before what fixes it.
const ARROW: usize = 2;

/// What fixes it, in lines of so many columns: broken between sentences and commands only, so that each command can be
/// copied; one that is longer stays whole.
fn steps(fix: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let parts = fix.split_inclusive("; ");
    for part in parts.flat_map(|part| part.split_inclusive(": ")) {
        match lines.last_mut() {
            Some(last) if width(&format!("{last}{}", part.trim_end())) <= columns => {
                last.push_str(part);
            }
            Some(_) | None => lines.push(part.to_owned()),
        }
    }
    lines.iter_mut().for_each(|line| {
        line.truncate(line.trim_end().len());
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fixes_it_is_broken_between_commands_and_never_within_one() {
        let fix = "gatehound status says what is done; at once: systemctl --user restart openclaw-gateway.service";
        let expected = [
            "gatehound status says what is done; at once:",
            "systemctl --user restart openclaw-gateway.service",
        ];
        assert_eq!(steps(fix, 58), expected);
        assert_eq!(steps(fix, usize::MAX), [fix]);
        assert_eq!(
            steps("a-command --that is-long", 9),
            ["a-command --that is-long"]
        );
    }
}
