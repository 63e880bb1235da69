//! Stretches of time in which the gateway was up, down, or not wanted up, and what a part of them adds up to.
//!
//! Owns how times are cut and added; knows nothing of records. Between stretches nobody looked.

use std::time::Duration;

use crate::{journal::logged::Moment, policy::facts::Monotonic};

/// How the gateway was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It worked.
    Up,
    /// It was wanted up, and did not work.
    Down,
    /// Gatehound stood by, because nobody wanted it up or nobody could tell.
    Aside,
}

/// A time in which it was one of that.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// When it began.
    pub began: Moment,
    /// How long it lasted.
    pub lasted: Duration,
    /// How the gateway was.
    pub how: How,
}

/// What a part of the time adds up to; what is missing nobody saw.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// The time in which it worked.
    pub up: Duration,
    /// The time in which it was down.
    pub down: Duration,
    /// The time in which Gatehound stood by.
    pub aside: Duration,
}

impl Stretch {
    /// The part of it that lies between two times after the Unix epoch.
    fn within(&self, from: Duration, to: Duration) -> Duration {
        let ended = self.began.wall.saturating_add(self.lasted);
        ended.min(to).saturating_sub(self.began.wall.max(from))
    }
}

/// All stretches, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stretches(Vec<Stretch>);

impl Stretches {
    /// Adds the next one, and makes one of two that belong together.
    pub(super) fn add(&mut self, began: &Moment, lasted: Duration, how: How) {
        if lasted.is_zero() {
            return;
        }
        if let Some(last) = self.0.last_mut()
            && last.how == how
            && last.began.boot == began.boot
            && last.began.monotonic + last.lasted == began.monotonic
        {
            last.lasted += lasted;
            return;
        }
        self.0.push(Stretch {
            began: began.clone(),
            lasted,
            how,
        });
    }

    /// It turns out that the gateway was down since then: nobody knew when it was taken for up.
    pub(super) fn was_down(&mut self, boot: &str, since: Monotonic) {
        let mut tail = Vec::new();
        while let Some(last) = self
            .0
            .pop_if(|last| last.began.boot == boot && since < last.began.monotonic + last.lasted)
        {
            tail.push(last);
        }
        for stretch in tail.into_iter().rev() {
            if stretch.how != How::Up {
                self.add(&stretch.began, stretch.lasted, stretch.how);
                continue;
            }
            let before = since.since(stretch.began.monotonic);
            self.add(&stretch.began, before, How::Up);
            let began = Moment {
                wall: stretch.began.wall.saturating_add(before),
                monotonic: stretch.began.monotonic + before,
                ..stretch.began
            };
            self.add(&began, stretch.lasted.saturating_sub(before), How::Down);
        }
    }

    /// What lies between two times after the Unix epoch.
    pub fn share(&self, from: Duration, to: Duration) -> Share {
        let mut share = Share::default();
        for stretch in &self.0 {
            let sum = match stretch.how {
                How::Up => &mut share.up,
                How::Down => &mut share.down,
                How::Aside => &mut share.aside,
            };
            *sum += stretch.within(from, to);
        }
        share
    }

    /// The same for each of so many parts of that time, all of one length.
    pub fn shares(&self, from: Duration, to: Duration, parts: u32) -> Vec<Share> {
        let length = to.saturating_sub(from) / parts.max(1);
        (0..parts)
            .map(|part| {
                let begin = from.saturating_add(length.saturating_mul(part));
                self.share(begin, begin.saturating_add(length))
            })
            .collect()
    }

    /// Each of them.
    pub fn all(&self) -> &[Stretch] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment {
            wall: secs(1000 + seconds),
            boot: "boot".to_owned(),
            monotonic: Monotonic(seconds * 1_000_000),
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn share(up: u64, down: u64, aside: u64) -> Share {
        Share {
            up: secs(up),
            down: secs(down),
            aside: secs(aside),
        }
    }

    #[test]
    fn what_was_taken_for_up_is_down_from_when_it_is_known_to_be_and_nothing_else_is() {
        let mut stretches = Stretches::default();
        stretches.add(&at(0), secs(60), How::Up);
        stretches.add(&at(60), secs(10), How::Aside);
        stretches.add(&at(100), secs(30), How::Up);
        stretches.was_down("boot", Monotonic(40_000_000));
        assert_eq!(stretches.share(secs(1000), secs(1130)), share(40, 50, 10));
        assert_eq!(stretches.all().len(), 4);
        // Another boot's clock says nothing of this one's.
        stretches.was_down("other", Monotonic(0));
        assert_eq!(stretches.share(secs(1000), secs(1130)), share(40, 50, 10));
    }

    #[test]
    fn a_part_of_the_time_has_its_part_of_each_stretch() {
        let mut stretches = Stretches::default();
        stretches.add(&at(0), secs(50), How::Up);
        stretches.add(&at(50), secs(20), How::Down);
        let shares = stretches.shares(secs(1000), secs(1090), 3);
        assert_eq!(shares, [share(30, 0, 0), share(20, 10, 0), share(0, 10, 0)]);
    }
}
