//! A history as a picture, for a report: the bars, and the incidents below each other.
//!
//! Owns the drawing, as SVG text; it is given what it draws.

use std::{fmt::Write as _, time::Duration};

use crate::{
    history::{
        bar::{PARTS, Part, percent},
        rows::{cause, windows},
        timeline::History,
    },
    os::wall_clock,
    text::{line::printable, words::span},
};

const WIDTH: u32 = 900;
const MARGIN: u32 = 24;
const CELL: u32 = 13;
const GAP: u32 = 1;
const BAR: u32 = 34;
const ROW: u32 = 20;

/// So many incidents are drawn, the newest.
const DRAWN: usize = 40;

/// Draws it.
pub(super) fn picture(
    history: &History,
    since: Duration,
    now: Duration,
    [unit, _]: &[String; 2],
) -> String {
    let drawn = history.incidents.len().min(DRAWN);
    let windows = windows(since, now);
    let bars = u32::try_from(windows.len()).unwrap_or(0);
    let rows = u32::try_from(drawn).unwrap_or(0).max(1);
    let height = MARGIN * 3 + ROW * 2 + bars * (BAR + ROW * 2) + (rows + 2) * ROW;
    let mut svg = Svg::new(height);
    let mut y = MARGIN + ROW;
    svg.text(MARGIN, y, "title", unit);
    let to = wall_clock::local_with_offset(now);
    svg.text(
        MARGIN,
        y + ROW,
        "small",
        &format!("{} to {to}", wall_clock::local(since)),
    );
    y += ROW * 2;
    for (label, from) in windows {
        let all = history.stretches.share(from, now);
        let percent = percent(all.down, all.up + all.down).unwrap_or_else(|| "unknown".to_owned());
        let text = format!("{label}: available {percent}, down for {}", span(all.down));
        svg.text(MARGIN, y + ROW, "", &text);
        let mut x = MARGIN;
        for share in history.stretches.shares(from, now, PARTS) {
            svg.part(x, y + ROW + 8, &Part::of(&share), &span(share.down));
            x += CELL + GAP;
        }
        y += BAR + ROW * 2;
    }
    svg.text(MARGIN, y + ROW, "head", "incidents");
    y += ROW * 2;
    if drawn == 0 {
        svg.text(MARGIN, y, "", "none");
    }
    for past in history.incidents.iter().rev().take(DRAWN) {
        let began = wall_clock::local(past.began);
        svg.text(MARGIN, y, "", &began);
        svg.text(MARGIN + 150, y, "", &span(past.down));
        svg.text(MARGIN + 240, y, "", past.outcome.name());
        svg.text(MARGIN + 320, y, "small", &short(&cause(past)));
        y += ROW;
    }
    svg.end()
}

/// What fits beside the other columns.
fn short(text: &str) -> String {
    const MOST: usize = 88;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST - 1).chain(['…']).collect()
}

/// A picture that is being drawn.
struct Svg(String);

impl Svg {
    fn new(height: u32) -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
             <style>text{{font:13px sans-serif;fill:#24292f}}.title{{font-size:18px;font-weight:bold}}\
             .head{{font-weight:bold}}.small{{font-size:12px;fill:#57606a}}</style>\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        ))
    }

    fn text(&mut self, x: u32, y: u32, class: &str, text: &str) {
        let text = escaped(text);
        // Writing to a text cannot fail.
        let _ = writeln!(
            self.0,
            "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{text}</text>"
        );
    }

    fn part(&mut self, x: u32, y: u32, part: &Part, down: &str) {
        let (colour, words) = match part {
            Part::Up => ("#2da44e", "up".to_owned()),
            Part::Partly => ("#d4a72c", format!("down for {down}")),
            Part::Down => ("#cf222e", format!("down for {down}")),
            Part::Aside => ("#8c959f", "Gatehound stood by".to_owned()),
            Part::Unseen => ("#eaeef2", "nobody looked".to_owned()),
        };
        let words = escaped(&words);
        let _ = writeln!(
            self.0,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{BAR}\" rx=\"2\" fill=\"{colour}\"><title>{words}</title></rect>"
        );
    }

    fn end(mut self) -> String {
        self.0 += "</svg>\n";
        self.0
    }
}

/// Text that is only text in XML, whatever is in it.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in printable(text).chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_text_is_only_text() {
        let foul = "</text><script>alert(1)</script>&\"'\u{1}";
        let escaped = escaped(foul);
        assert!(
            !escaped.contains(['<', '>', '"', '\'', '\u{1}']),
            "{escaped}"
        );
        let units = [foul.to_owned(), String::new()];
        let day = Duration::from_secs(86_400);
        let svg = picture(&History::default(), day, day * 31, &units);
        assert!(!svg.contains("<script>"), "{svg}");
        assert_eq!(svg.matches("<svg").count(), 1);
        assert_eq!(svg.matches("</svg>").count(), 1);
        assert_eq!(svg.matches("<rect").count(), 1 + 2 * 60);
    }

    #[test]
    fn what_is_too_long_is_cut() {
        assert_eq!(short(&"x".repeat(200)).chars().count(), 88);
    }
}
