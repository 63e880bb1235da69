//! A bar of a time: one sign for each part of it, as status pages have them.
//!
//! Owns the signs and what makes a part one or the other; knows nothing of terminals and pictures.

use std::time::Duration;

use crate::history::stretches::Share;

/// How many parts a bar has: with its label and a percentage it fits into 80 columns.
pub const PARTS: u32 = 60;

/// How the gateway was in one part of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It worked whenever somebody looked.
    Up,
    /// It was down for less than half of the time watched.
    Partly,
    /// It was down for at least half of it.
    Down,
    /// Gatehound stood by.
    Aside,
    /// Nobody looked.
    Unseen,
}

impl Part {
    /// What a time that adds up to this was; any downtime shows, however short.
    pub fn of(share: &Share) -> Self {
        let Share { up, down, aside } = *share;
        if !down.is_zero() {
            if down < up { Self::Partly } else { Self::Down }
        } else if !up.is_zero() {
            Self::Up
        } else if !aside.is_zero() {
            Self::Aside
        } else {
            Self::Unseen
        }
    }

    /// Its sign; each is another one without colour as well.
    pub fn sign(self) -> char {
        match self {
            Self::Up => '█',
            Self::Partly => '▆',
            Self::Down => '▂',
            Self::Aside => '-',
            Self::Unseen => '·',
        }
    }

    /// Its word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Partly => "partly-down",
            Self::Down => "down",
            Self::Aside => "stood-by",
            Self::Unseen => "unseen",
        }
    }
}

/// What the signs mean, in one line.
pub const LEGEND: &str = "█ up  ▆ down for a part  ▂ down for most  - stood by  · nobody looked";

/// The availability, rounded down: with any downtime at all it is not 100 %. None if nobody watched.
pub fn percent(failing: Duration, watched: Duration) -> Option<String> {
    let up = watched.saturating_sub(failing).as_nanos();
    let hundredths = (up * 10_000).checked_div(watched.as_nanos())?;
    Some(format!("{}.{:02} %", hundredths / 100, hundredths % 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_downtime_shows() {
        let part = |up, down, aside| {
            let [up, down, aside] = [up, down, aside].map(Duration::from_secs);
            Part::of(&Share { up, down, aside })
        };
        assert_eq!(part(3600, 0, 60), Part::Up);
        assert_eq!(part(3600, 1, 0), Part::Partly);
        assert_eq!(part(30, 30, 3000), Part::Down);
        assert_eq!(part(0, 0, 1), Part::Aside);
        assert_eq!(part(0, 0, 0), Part::Unseen);
    }

    #[test]
    fn availability_is_rounded_down() {
        let year = Duration::from_secs(365 * 24 * 3600);
        for (failing, watched, text) in [
            (Duration::ZERO, year, "100.00 %"),
            (Duration::from_nanos(1), year, "99.99 %"),
            (Duration::from_secs(60), year, "99.99 %"),
            (Duration::from_secs(15), Duration::from_secs(100), "85.00 %"),
            (Duration::from_secs(1), Duration::from_secs(3), "66.66 %"),
            (year, year, "0.00 %"),
        ] {
            assert_eq!(percent(failing, watched).as_deref(), Some(text));
        }
        assert_eq!(percent(Duration::ZERO, Duration::ZERO), None);
    }
}
