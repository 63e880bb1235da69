//! How lines are set: columns that stay aligned whatever is in them, and colour where a terminal takes it.
//!
//! Owns widths and colours; knows nothing of what the words mean.

use std::io::IsTerminal as _;

use clap::builder::styling::{AnsiColor, Style};
use unicode_width::UnicodeWidthChar as _;

use crate::cli::console::print;
use crate::{
    os::terminal,
    policy::facts::Pause,
    text::{line::printable, words::span},
};

/// What a word is to whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// One among others.
    Plain,
    /// All is well.
    Good,
    /// Somebody should look.
    Warning,
    /// Something is wrong.
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// One text of a row, and how it is set.
#[derive(Clone, Copy)]
pub(crate) struct Cell<'a> {
    text: &'a str,
    width: usize,
    right: bool,
    tone: Tone,
}

impl<'a> Cell<'a> {
    /// As wide as its text.
    pub(crate) fn new(text: &'a str) -> Self {
        Self::left(text, 0)
    }

    /// At least this many columns of a terminal wide, with the text at the left.
    pub(crate) fn left(text: &'a str, width: usize) -> Self {
        Self {
            text,
            width,
            right: false,
            tone: Tone::Plain,
        }
    }

    /// The same with the text at the right.
    pub(crate) fn right(text: &'a str, width: usize) -> Self {
        Self {
            right: true,
            ..Self::left(text, width)
        }
    }

    pub(crate) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// Only the text is coloured, so that nothing shows where there is none.
    fn set(self, colour: bool) -> String {
        let text = printable(self.text);
        let gap = " ".repeat(self.width.saturating_sub(width(&text)));
        let style = self.tone.style();
        let text = match colour && self.tone != Tone::Plain {
            true => format!("{style}{text}{style:#}"),
            false => text,
        };
        if self.right { gap + &text } else { text + &gap }
    }
}

/// Prints one row of a table, its cells two columns apart.
pub(crate) fn row(cells: &[Cell<'_>]) {
    joined(cells, "  ");
}

/// Prints one line of several texts.
pub(crate) fn line(parts: &[(Tone, &str)]) {
    print(&text(parts));
}

/// One line of several texts, as [`line`] prints it.
pub(crate) fn text(parts: &[(Tone, &str)]) -> String {
    let cells: Vec<Cell<'_>> = parts
        .iter()
        .map(|(tone, text)| Cell::new(text).tone(*tone))
        .collect();
    set(&cells, "")
}

fn joined(cells: &[Cell<'_>], apart: &str) {
    print(&set(cells, apart));
}

fn set(cells: &[Cell<'_>], apart: &str) -> String {
    let colour = terminal::takes_colour(&std::io::stdout());
    let cells: Vec<String> = cells.iter().map(|cell| cell.set(colour)).collect();
    cells.join(apart).trim_end().to_owned()
}

/// For how long, if that is known, and why.
pub(crate) fn paused(pause: &Pause) -> String {
    let reason = &pause.reason;
    match pause.remaining {
        Some(left) => format!("for {}: {reason}", span(left)),
        None => reason.to_string(),
    }
}

/// What every terminal has, and no line of a table is longer than.
pub(crate) const COLUMNS: usize = 80;

/// How many columns are left behind so many, where somebody sees the lines; what another program reads stays whole.
pub(crate) fn room(taken: usize) -> usize {
    match std::io::stdout().is_terminal() {
        true => COLUMNS.saturating_sub(taken),
        false => usize::MAX,
    }
}

/// How wide the labels are.
const LABEL: usize = 11;

/// One line of several texts.
pub(crate) type Parts = Vec<(Tone, String)>;

/// Lines of so many columns at most: what does not fit goes on below, behind the labels.
pub(crate) fn in_columns(lines: &[Parts], columns: usize) -> Vec<Parts> {
    let broken = lines.iter().flat_map(|parts| broken(parts, columns));
    broken.collect()
}

fn broken(parts: &Parts, columns: usize) -> Vec<Parts> {
    let mut lines = vec![Parts::new()];
    let mut column = 0;
    for (tone, text) in parts {
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let room = columns.saturating_sub(column);
            let (fits, later) = split(rest, room, column);
            if let Some(line) = lines.last_mut().filter(|_| !fits.is_empty()) {
                line.push((*tone, fits.to_owned()));
                column += width(fits);
            }
            rest = later;
            if !rest.is_empty() {
                lines.push(vec![(Tone::Plain, " ".repeat(LABEL))]);
                column = LABEL;
                rest = rest.trim_start();
            }
        }
    }
    lines
}

/// As many words of a text as there is room for, and the others; one that is too long for any line is not cut.
fn split(text: &str, room: usize, column: usize) -> (&str, &str) {
    if width(text) <= room {
        return (text, "");
    }
    let mut blanks = text.match_indices(' ').map(|(at, _)| at);
    let fits = |at: &usize| text.get(..*at).is_some_and(|begin| width(begin) <= room);
    let label = LABEL.saturating_sub(column).min(text.len());
    let content = label.max(text.len() - text.trim_start().len());
    let last = blanks
        .clone()
        .filter(|at| content < *at)
        .take_while(fits)
        .last();
    let at = match last {
        Some(at) => at,
        None if column <= LABEL => blanks.find(|at| content < *at).unwrap_or(text.len()),
        None => 0,
    };
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// As much of a text as so many columns of a terminal hold.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    let text = printable(text);
    if width(&text) <= columns {
        return text;
    }
    let mut short = String::new();
    for c in text.chars() {
        if columns <= width(&short) + c.width().unwrap_or(0) {
            break;
        }
        short.push(c);
    }
    short + "…"
}

/// A text in lines of so many columns at most; only a word that is longer is not cut.
pub(crate) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let text = printable(text);
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(last) if last.is_empty() => last.push_str(word),
            Some(last) if width(last) + 1 + width(word) <= columns => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// How many columns of a terminal a text takes: two for a wide character, none for one that is put onto another.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cell: Cell<'_>, expected: &str) {
        assert_eq!(cell.set(false), expected);
    }

    #[test]
    fn a_text_is_cut_and_wrapped_by_what_a_terminal_shows() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde…");
        assert_eq!(cut("日本語日本語", 6), "日本…");
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("overlong x", 4), ["overlong", "x"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn a_cell_is_filled_up_by_what_a_terminal_shows() {
        check(Cell::left("ab", 4), "ab  ");
        check(Cell::right("ab", 4), "  ab");
        check(Cell::left("日本", 6), "日本  ");
        check(Cell::right("ﾆﾎﾝ한", 6), " ﾆﾎﾝ한");
        check(Cell::left("e\u{301}tat", 6), "e\u{301}tat  ");
        check(Cell::left("🦞", 4), "🦞  ");
        check(Cell::left("日本語", 4), "日本語");
    }

    #[test]
    fn a_cell_holds_nothing_that_does_not_show_as_itself() {
        check(Cell::left("a\u{1b}[31m\u{202e}\n", 9), "a [31m   ");
    }

    #[test]
    fn colour_is_around_the_text_and_takes_no_width() {
        let cell = Cell::left("a\u{1b}", 4).tone(Tone::Bad);
        assert_eq!(cell.set(true), "\u{1b}[1m\u{1b}[31ma \u{1b}[0m  ");
        assert_eq!(cell.set(false), "a   ");
        assert_eq!(Cell::right("a", 3).set(true), "  a");
    }

    #[test]
    fn a_line_that_is_too_long_goes_on_behind_the_labels() {
        let parts = vec![
            (Tone::Plain, "gatehound  ".to_owned()),
            (Tone::Bad, "failing".to_owned()),
            (Tone::Plain, ": event loop blocked".to_owned()),
        ];
        let shown: Vec<String> = in_columns(&[parts], 25)
            .iter()
            .map(|parts| parts.iter().map(|(_, text)| text.as_str()).collect())
            .collect();
        assert_eq!(
            shown,
            ["gatehound  failing: event", "           loop blocked"]
        );
        let long = vec![(Tone::Plain, "cause      one/that/is/too/long x".to_owned())];
        let shown = in_columns(&[long], 20);
        assert_eq!(shown.len(), 2, "{shown:?}");
    }
}
