//! What is known to be wrong in some versions of the gateway, as far as it concerns a watchdog.
//!
//! Looks at nothing: it is given the version.

use super::findings::{Findings, Severity};
use crate::text::line::Line;

/// What concerns a watchdog in some versions of the gateway: the first and the last of them, what it is,
/// and what to do about it.
struct Defect(&'static [u32], &'static [u32], &'static str, &'static str);

/// Source: OpenClaw's published packages and public issues.
const DEFECTS: [Defect; 5] = [
    Defect(
        &[0],
        &[2026, 2, 99],
        "it has no /health, so Gatehound judges it by / alone",
        UPDATE,
    ),
    Defect(
        &[2026, 3, 13],
        &[2026, 3, 13],
        "it stops logging once its log file has 500 MB, without a word",
        UPDATE,
    ),
    Defect(
        &[2026, 7, 1],
        &[2026, 9, 5],
        "its crash-loop breaker may stay tripped until a restart, all channels off and /health green",
        UPDATE,
    ),
    Defect(
        &[2026, 9, 5],
        &[2026, 9, 5],
        "its folder ~/.openclaw/tmp grows without bound, and a full disk hangs it",
        UPDATE,
    ),
    Defect(
        &[2026, 9, 6],
        &[2026, 9, 6],
        "SIGUSR1, which restarted older ones, opens Node's inspector to all of this machine",
        "nothing as long as nobody sends it; restarts go by systemctl --user restart",
    ),
];

/// What fixes most of them.
const UPDATE: &str = "openclaw update";

/// Whether a gateway of this version has no `/health`.
pub(crate) fn has_no_health(version: &Line) -> bool {
    let numbers = numbers(version);
    let without = DEFECTS.iter().filter(|one| one.2.contains("no /health"));
    let mut ranges = without.map(|Defect(first, last, ..)| *first..=*last);
    !numbers.is_empty() && ranges.any(|range| range.contains(&&numbers[..]))
}

fn numbers(version: &Line) -> Vec<u32> {
    let parts = version.as_str().split(['.', '-']);
    // A fourth one is of the package alone.
    parts.map_while(|part| part.parse().ok()).take(3).collect()
}

pub(super) fn of_version(findings: &mut Findings, version: &Line) {
    let numbers = numbers(version);
    let mut known = DEFECTS
        .iter()
        .filter(|Defect(first, last, ..)| (*first..=*last).contains(&&numbers[..]))
        .peekable();
    if known.peek().is_none() {
        findings.fine("version", &format!("gateway {version}"));
    }
    for Defect(_, _, defect, fix) in known {
        let severity = if *fix == UPDATE {
            Severity::Warning
        } else {
            Severity::Fine
        };
        let what = format!("gateway {version}: {defect}");
        findings.add("version", severity, &what, Some((*fix).to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_version(version: &str, severity: Severity, expected: &[&str]) {
        let mut findings = Findings::default();
        of_version(&mut findings, &version.into());
        assert_eq!(findings.worst(), severity, "{version}");
        let told: Vec<_> = findings.0.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(told.len(), expected.len().max(1), "{told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_version_is_told_of_that_version_alone() {
        check_version("2026.1.29", Severity::Warning, &["no /health"]);
        check_version("2026.2.26-beta.1", Severity::Warning, &["no /health"]);
        check_version("2026.3.13", Severity::Warning, &["500 MB"]);
        check_version("2026.3.13-1", Severity::Warning, &["500 MB"]);
        check_version("2026.5.7", Severity::Fine, &[]);
        check_version("2026.7.1", Severity::Warning, &["crash-loop breaker"]);
        check_version("2026.9.5", Severity::Warning, &["breaker", "openclaw/tmp"]);
        check_version("2026.9.6", Severity::Fine, &["SIGUSR1"]);
        check_version("2026.10.1", Severity::Fine, &[]);
        check_version("of sorts", Severity::Fine, &[]);
    }
}
