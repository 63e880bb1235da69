//! What the gateway itself said: why it did not start, whether its crash-loop breaker tripped.
//!
//! Owns which of its lines say so; where the lines come from is `journalctl`'s.

use crate::{
    policy::facts::Breaker,
    text::{line::Line, words::BREAKER},
};

/// How many lines are enough to hold a whole start of the gateway.
pub const LINES: usize = 200;

/// How a line begins, after its time, that says why the gateway exits with status 78.
///
/// Source: OpenClaw 2026.9.6, and its runs with an invalid, an unreadable and a missing configuration (measured).
const REASONS: [&str; 6] = [
    "Gateway failed to start:",
    "Gateway start blocked:",
    "Missing config.",
    INVALID,
    "gateway already running",
    "another gateway",
];

/// What the path of a configuration follows that is refused, and after it what is wrong.
const INVALID: &str = "Invalid config at";

/// Source: OpenClaw 2026.9.6, src/infra/gateway-boot-lifecycle.ts (measured).
const TRIPPED: &str = " tripped";

/// Since 2026.8 the same run says that, once five minutes have passed without a crash.
///
/// Source: OpenClaw 2026.9.6, src/cli/gateway-cli/run.ts.
const RECOVERED: &str = " recovered";

/// What these lines say of the crash-loop breaker, the last word of several; none where they do not mention it.
pub fn breaker(lines: &[Line]) -> Option<Breaker> {
    lines.iter().rev().find_map(|line| {
        let quote = quote(line, &[BREAKER])?;
        let said = quote.strip_prefix(BREAKER)?;
        if said.starts_with(RECOVERED) {
            return Some(Breaker::Recovered);
        }
        // What the gateway advises next fits no status line.
        let what = quote.split(';').next().unwrap_or_default();
        said.starts_with(TRIPPED)
            .then(|| Breaker::Tripped(Line::new(what)))
    })
}

/// Why the gateway ended, in its own words: the last line that gives a reason, else its last one.
pub fn last_error(lines: &[Line]) -> Option<Line> {
    for (at, line) in lines.iter().enumerate().rev() {
        let Some(mut quote) = quote(line, &REASONS) else {
            continue;
        };
        // "Invalid config at <path>:" is followed by what is wrong with it.
        if let Some(next) = lines.get(at + 1).filter(|_| quote.ends_with(':')) {
            quote = format!("{quote} {next}");
        }
        return Some(Line::new(&without_path(&quote)));
    }
    lines
        .iter()
        .rev()
        .find(|line| !line.as_str().is_empty())
        .cloned()
}

/// A configuration that is refused, without its path: it is said beside the quote, and leaves no room for the mistake.
fn without_path(quote: &str) -> String {
    let rest = quote.split_once(INVALID).map(|(_, rest)| rest);
    match rest.and_then(|rest| rest.split_once(": ")) {
        Some((_, mistake)) => format!("Invalid config: {mistake}"),
        None => quote.to_owned(),
    }
}

/// The line from the first of `marks` on, without what stands before it: the time and the subsystem.
fn quote(line: &Line, marks: &[&str]) -> Option<String> {
    let line = line.as_str();
    let begin = marks.iter().filter_map(|mark| line.find(mark)).min()?;
    Some(line.get(begin..)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], expected: &str) {
        let lines: Vec<Line> = lines.iter().map(|line| Line::new(line)).collect();
        let found = last_error(&lines);
        assert_eq!(found.unwrap_or_default().as_str(), expected);
    }

    // The texts are those of OpenClaw 2026.9.6, shortened.

    #[test]
    fn an_invalid_configuration_is_quoted_with_its_first_mistake() {
        check(
            &[
                "2026-11-23T06:04:36.975+00:00 [gateway] loading configuration…",
                "2026-11-23T06:04:39.440+00:00 Gateway failed to start: Invalid config at /h/openclaw.json:",
                "<root>: Unrecognized keys: \"nonsense\", \"other\"",
                "Run \"openclaw doctor --fix\" to repair, then retry.",
                "2026-11-23T06:04:39.442+00:00 Run \"openclaw doctor --fix\" to repair the config, then retry.",
            ],
            "Invalid config: <root>: Unrecognized keys: \"nonsense\", \"other\"",
        );
    }

    #[test]
    fn the_reason_is_quoted_and_not_what_is_said_after_it() {
        check(
            &[
                "2026-11-23T06:04:42.553+00:00 Gateway start blocked: existing config is missing gateway.mode.",
                "2026-11-23T06:04:42.562+00:00 Config write audit: SQLite diagnostic_events/config-audit state",
            ],
            "Gateway start blocked: existing config is missing gateway.mode.",
        );
        check(
            &["Missing config. Run `openclaw setup` or set gateway.mode=local."],
            "Missing config. Run `openclaw setup` or set gateway.mode=local.",
        );
        check(
            &[
                "x Gateway failed to start: gateway already running under systemd",
                "bye",
            ],
            "Gateway failed to start: gateway already running under systemd",
        );
    }

    #[test]
    fn without_a_known_reason_the_last_line_is_quoted() {
        check(&["first", "last", "", "\x1b[0m "], "last");
        check(&["", ""], "");
        check(&[], "");
    }

    #[test]
    fn the_last_reason_counts() {
        check(
            &["Gateway start blocked: a", "Gateway start blocked: b"],
            "Gateway start blocked: b",
        );
        // Cut off where what is wrong would stand.
        check(&["Invalid config at /h/x:"], "Invalid config at /h/x:");
    }

    #[test]
    fn the_breaker_is_quoted_from_its_own_words_on() {
        let lines = [
            Line::new("starting"),
            Line::new(
                "06:04 [gateway] \x1b[31mgateway restart-loop breaker tripped: 3 unclean boot(s) within 300000ms; \
                 suppressing channel/provider account auto-start. Inspect the stability bundle",
            ),
            Line::new("ready"),
        ];
        assert_eq!(
            breaker(&lines),
            Some(Breaker::Tripped(Line::new(
                "restart-loop breaker tripped: 3 unclean boot(s) within 300000ms"
            )))
        );
        assert_eq!(breaker(&lines[2..]), None);
    }

    #[test]
    fn the_last_word_about_the_breaker_counts() {
        let tripped = Line::new("[gateway] restart-loop breaker tripped: 3 unclean boot(s)");
        let recovered = Line::new(
            "[gateway] gateway restart-loop breaker recovered; channel auto-start restored",
        );
        let said = breaker(&[tripped.clone(), recovered.clone()]);
        assert_eq!(said, Some(Breaker::Recovered));
        let said = breaker(&[recovered, tripped]);
        assert!(matches!(said, Some(Breaker::Tripped(_))));
    }
}
