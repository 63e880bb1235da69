//! Channels that are left alone for a while: what only a human corrects is asked hourly, and whoever says when is heeded.
//!
//! Owns one file in the queue's folder; each delivery is a process of its own, and this is what one leaves for the next.
//! Knows nothing of what a channel is.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    alerts::verdict::LONGEST,
    os::{
        files::{Links, read_limited},
        own_files::{remove, write_atomic},
    },
    text::line::Line,
};

/// More than as many channels as one may have.
const MAX_FILE: u64 = 64 * 1024;

/// What is older than this belongs to alerts that are gone.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// What a channel goes by here: its settings, the secret ones included, so that corrected ones are tried at once.
///
/// The file has no secret in it: nothing leads from this back to them.
pub fn key(settings: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    settings.hash(&mut hasher);
    hasher.finish()
}

/// One channel that is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hold {
    key: u64,
    /// When it was last tried, since the Unix epoch.
    at: Duration,
    until: Duration,
    /// It is not tried for a new alert either.
    strict: bool,
    why: Line,
}

/// All that are.
#[derive(Clone, Debug)]
pub struct Holds {
    path: PathBuf,
    list: Vec<Hold>,
}

impl Holds {
    /// What the last delivery left in the queue's folder. What cannot be read holds nothing.
    pub fn read(folder: &Path, now: Duration) -> Self {
        let path = folder.join("held");
        let contents = read_limited(&path, MAX_FILE, Links::Refuse);
        let contents = contents.ok().flatten();
        let bytes = contents.map(|contents| contents.bytes).unwrap_or_default();
        let list = String::from_utf8_lossy(&bytes)
            .lines()
            .filter_map(parsed)
            // A clock that was set back makes none longer, and an old one says nothing.
            .filter(|hold| hold.until <= now + LONGEST && now < hold.until + OLD)
            .collect();
        Self { path, list }
    }

    /// Whether a channel is not tried now for an alert that was due then.
    pub fn blocks(&self, key: u64, due: Duration, now: Duration) -> bool {
        let mut list = self.list.iter();
        list.any(|hold| hold.key == key && now < hold.until && (hold.strict || due <= hold.at))
    }

    /// Leaves a channel alone for a while; says whether that is news.
    ///
    /// # Errors
    ///
    /// The disk is full or read-only.
    pub fn add(
        &mut self,
        key: u64,
        now: Duration,
        span: Duration,
        strict: bool,
        why: &Line,
    ) -> Result<bool, Line> {
        let known = |hold: &Hold| hold.key == key && hold.why == *why;
        let news = !self.list.iter().any(known);
        self.list.retain(|hold| hold.key != key);
        self.list.push(Hold {
            key,
            at: now,
            until: now + span,
            strict,
            why: why.clone(),
        });
        self.save().map(|()| news)
    }

    /// Forgets a channel that took an alert.
    ///
    /// # Errors
    ///
    /// The disk is full or read-only.
    pub fn lift(&mut self, key: u64) -> Result<(), Line> {
        let before = self.list.len();
        self.list.retain(|hold| hold.key != key);
        if self.list.len() == before {
            return Ok(());
        }
        self.save()
    }

    /// How long alerts wait, the newest of which was due then, if each channel that has not taken them is one of these.
    pub fn wait(&self, newest: Duration, now: Duration) -> Duration {
        let held = |hold: &&Hold| now < hold.until && (hold.strict || newest <= hold.at);
        let until = self.list.iter().filter(held).map(|hold| hold.until).min();
        until.map_or(Duration::ZERO, |until| until.saturating_sub(now))
    }

    /// Why channels are left alone.
    pub fn reasons(&self) -> impl Iterator<Item = &Line> {
        self.list.iter().map(|hold| &hold.why)
    }

    fn save(&self) -> Result<(), Line> {
        if self.list.is_empty() {
            return remove(&self.path);
        }
        let mut text = String::new();
        for hold in &self.list {
            let (at, until) = (hold.at.as_micros(), hold.until.as_micros());
            let strict = u8::from(hold.strict);
            text += &format!("{:x} {at} {until} {strict} {}\n", hold.key, hold.why);
        }
        write_atomic(&self.path, text.as_bytes())
    }
}

fn parsed(line: &str) -> Option<Hold> {
    let mut parts = line.splitn(5, ' ');
    let key = u64::from_str_radix(parts.next()?, 16).ok()?;
    let mut moment = || Some(Duration::from_micros(parts.next()?.parse().ok()?));
    let (at, until) = (moment()?, moment()?);
    let strict = parts.next()? == "1";
    Some(Hold {
        key,
        at,
        until,
        strict,
        why: Line::new(parts.next()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn a_channel_is_left_alone_for_its_time_and_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (key(&["webhook", "a"]), key(&["webhook", "b"]));
        let read = |now| Holds::read(folder.path(), now);
        assert!(
            read(at(0))
                .add(one, at(0), HOUR, false, &"no".into())
                .unwrap()
        );
        let holds = read(at(60));
        assert!(holds.blocks(one, at(0), at(60)));
        assert!(!holds.blocks(other, at(0), at(60)), "other settings");
        assert!(!holds.blocks(one, at(30), at(60)), "a new alert");
        assert!(!holds.blocks(one, at(0), at(3600)));
        assert_eq!(holds.wait(at(0), at(60)), at(3600) - at(60));
        assert_eq!(holds.wait(at(30), at(60)), Duration::ZERO);
        assert!(
            !read(at(3600))
                .add(one, at(3600), HOUR, false, &"no".into())
                .unwrap()
        );
        assert!(
            read(at(3601))
                .add(one, at(3601), HOUR, false, &"gone".into())
                .unwrap()
        );
        read(at(3602)).lift(one).unwrap();
        assert_eq!(read(at(3602)).reasons().count(), 0);
        assert!(!folder.path().join("held").exists());
    }

    #[test]
    fn whoever_says_when_is_not_asked_before_not_even_for_a_new_alert() {
        let folder = tempfile::tempdir().unwrap();
        let one = key(&["a"]);
        let mut holds = Holds::read(folder.path(), at(0));
        holds.add(one, at(0), HOUR, true, &"no".into()).unwrap();
        assert!(holds.blocks(one, at(30), at(60)));
        assert_eq!(holds.wait(at(30), at(60)), at(3600) - at(60));
    }

    #[test]
    fn what_makes_no_sense_or_is_from_another_time_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let one = key(&["a"]);
        let mut holds = Holds::read(folder.path(), at(9000));
        holds.add(one, at(9000), HOUR, true, &"no".into()).unwrap();
        for now in [at(0), at(9000) + HOUR + OLD] {
            assert!(!Holds::read(folder.path(), now).blocks(one, at(0), now));
        }
        std::fs::write(folder.path().join("held"), "x\n1 2\n\u{0}").unwrap();
        assert_eq!(Holds::read(folder.path(), at(0)).reasons().count(), 0);
    }
}
