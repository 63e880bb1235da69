//! `Line`: text that is safe to put on one line of STATUS, the journal or a terminal.
//!
//! Owns the one place where foreign text (HTTP bodies, command lines, error messages, files) is cut down.
//! It knows nothing of where the text comes from or goes to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest line, in characters: enough for what was seen, what is done and what comes next.
pub const MAX_CHARS: usize = 400;

/// One printable line: no control characters, no newline, at most [`MAX_CHARS`] characters.
///
/// sd_notify(3) separates assignments by newlines and sd-notify does not escape them,
/// so text that reached `STATUS=` unreduced could forge `WATCHDOG=trigger`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Line(String);

impl Line {
    /// Reduces any text to one line: every run of white space and control characters becomes one space.
    pub fn new(text: &str) -> Self {
        Self(if is_plain_line(text) {
            text.to_owned()
        } else {
            reduced(text)
        })
    }

    /// Reduces bytes that may not be UTF-8, such as a command line or an HTTP body.
    pub fn lossy(bytes: &[u8]) -> Self {
        Self::new(&String::from_utf8_lossy(bytes))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text made one line.
fn reduced(text: &str) -> String {
    let mut line = String::new();
    let mut chars = 0;
    let mut gap = false;
    for c in without_control_sequences(text) {
        if is_unprintable(c) || c.is_whitespace() {
            gap = true;
            continue;
        }
        let width = 1 + usize::from(gap && !line.is_empty());
        if MAX_CHARS <= chars + width {
            line.push('…');
            break;
        }
        if width == 2 {
            line.push(' ');
        }
        line.push(c);
        chars += width;
        gap = false;
    }
    line
}

/// Whether a text is one line as it is, which is so of nearly all, and cheaper to find out than to make it one.
fn is_plain_line(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() < MAX_CHARS
        && bytes.iter().all(|byte| (b' '..=b'~').contains(byte))
        && !(text.starts_with(' ') || text.ends_with(' '))
        && bytes.windows(2).all(|pair| pair != b"  ")
}

/// The characters without the control sequences of a terminal, which are mostly colours (ECMA-48, 5.4).
fn without_control_sequences(text: &str) -> impl Iterator<Item = char> {
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        loop {
            let c = chars.next()?;
            if c != '\u{1b}' || chars.next_if_eq(&'[').is_none() {
                return Some(c);
            }
            // Parameters and intermediate bytes, then one final byte.
            while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
            chars.next_if(|c| ('@'..='~').contains(c));
        }
    })
}

/// Whether a character is a control character, or shows as nothing, or reorders or breaks what a terminal shows.
///
/// Source: the property Default_Ignorable_Code_Point of Unicode 16 (DerivedCoreProperties.txt),
/// in which all bidirectional controls are, and the line and paragraph separators and annotation marks beside it.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Text of any length on one line: each character that would not show as itself becomes a space.
///
/// For a line that is made of several texts and set in columns, which [`Line::new`] would close up.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c| if is_unprintable(c) { ' ' } else { c };
    text.chars().map(shown).collect()
}

/// Foreign text as part of a line, which has to have room for what is said of it.
pub(crate) fn short(text: &str) -> String {
    const ROOM: usize = 80;
    let line = Line::new(text);
    if line.as_str().chars().count() <= ROOM {
        return line.0;
    }
    line.as_str().chars().take(ROOM).chain(['…']).collect()
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<Line> for String {
    fn from(line: Line) -> Self {
        line.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Line::new(text).as_str(), expected);
    }

    #[test]
    fn a_forged_notification_becomes_one_harmless_line() {
        check(
            "bad\nWATCHDOG=trigger\nMAINPID=1",
            "bad WATCHDOG=trigger MAINPID=1",
        );
    }

    #[test]
    fn escape_sequences_and_direction_marks_lose_their_power() {
        check("a \x1b[1;31mred\x1b[0m\x07", "a red");
        check("\x1b[", "");
        check("\x1b]0;title\x07", "]0;title");
        check("user\u{202e}txt.exe", "user txt.exe");
        check("\u{61c}a\u{2066}b\u{2069}", "a b");
    }

    #[test]
    fn what_shows_as_nothing_goes() {
        for c in "\u{ad}\u{115f}\u{180e}\u{200b}\u{3164}\u{fe0f}\u{ffa0}\u{e0041}\u{e0100}".chars()
        {
            check(&format!("a{c}b"), "a b");
        }
        check("ca\u{301}fé 日本 עברית", "ca\u{301}fé 日本 עברית");
    }

    #[test]
    fn a_line_in_columns_keeps_them() {
        assert_eq!(
            printable("unit     a\n\x1b[31m\u{202e}b"),
            "unit     a  [31m b"
        );
    }

    #[test]
    fn leading_and_trailing_space_goes() {
        check("  \r\n a \t b \n", "a b");
        check("", "");
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        let line = Line::new(&"x".repeat(1_000_000));
        assert_eq!(line.as_str().chars().count(), MAX_CHARS);
        assert!(line.as_str().ends_with('…'));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept_readable() {
        assert_eq!(
            Line::lossy(b"a\xff\xfeb\0c").as_str(),
            "a\u{fffd}\u{fffd}b c"
        );
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_short_printable_line(text in ".*") {
            let line = Line::new(&text);
            prop_assert!(line.as_str().chars().count() <= MAX_CHARS);
            prop_assert!(!line.as_str().chars().any(is_unprintable));
            prop_assert_eq!(Line::new(line.as_str()), line.clone());
        }

        #[test]
        fn what_is_a_line_already_is_found_to_be_the_same(text in "[ -~]{0,420}|[a-z ~]{0,9}") {
            prop_assert_eq!(Line::new(&text), Line(reduced(&text)));
        }
    }
}
