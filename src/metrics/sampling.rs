//! The daemon's part in metrics: what it remembers for them, and when the textfile is written.
//!
//! Owns how often that is, and that what goes wrong with it is said once.
//! What is in it is `exposition`'s, how it is written `textfile`'s.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path, time::Duration};

use crate::{
    metrics::{
        exposition::{Counts, Sample},
        textfile::Textfile,
    },
    os::{folders::Variables, wall_clock},
    policy::{
        facts::{Health, Monotonic},
        state::State,
    },
    settings::Settings,
    text::{line::Line, once::Once},
};

/// While a restart is under way a check follows the other within 100 ms; nobody reads metrics as often.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// What surrounds a check.
pub(crate) struct Around<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) profile: Option<&'a str>,
    pub(crate) unit: &'a str,
    pub(crate) uid: u32,
    /// The runtime folder of this profile.
    pub(crate) runtime: &'a Path,
}

/// What the metrics are made of besides the state, and on their way to the file.
#[derive(Default)]
pub(crate) struct Metrics {
    /// What was counted.
    pub(crate) counts: Counts,
    /// When the last watchdog ping was sent, since the Unix epoch.
    pub(crate) pinged: Option<Duration>,
    /// The name of the user whose gateway it is.
    user: String,
    file: Option<Textfile>,
    /// When the file was last given to be written, and in which phase.
    written: Option<(Monotonic, &'static str)>,
    /// How the last write ended that has: known a check later, because nobody waits for it.
    ended: Option<Result<(), Line>>,
    /// What is wrong with it.
    complaint: Once<Line>,
}

impl Metrics {
    /// Goes on counting where a predecessor stopped.
    pub(crate) fn new(counts: Counts, variables: &Variables) -> Self {
        // The manager sets it. Asking the system's list of users could wait for a server of the company's.
        let user = variables.get(OsStr::new("USER"));
        Self {
            counts,
            user: user.map_or_else(String::new, |user| Line::lossy(user.as_bytes()).to_string()),
            ..Self::default()
        }
    }

    /// After a check: has the file written, if there is to be one. Returns what went wrong, when that is news.
    pub(crate) fn after(
        &mut self,
        around: &Around<'_>,
        state: &State,
        health: &Health,
        now: Monotonic,
    ) -> Option<Line> {
        let metrics = &around.settings.metrics;
        let path = metrics.file(around.profile, around.uid, around.runtime);
        let Some(path) = path else {
            if let Some(file) = self.file.take() {
                file.remove();
            }
            return None;
        };
        let phase = state.phase.name();
        let is_known =
            |(at, before): (Monotonic, &str)| before == phase && now.since(at) < AT_MOST_EVERY;
        if self.written.is_some_and(is_known) {
            return None;
        }
        self.written = Some((now, phase));
        let sample = Sample {
            state,
            health,
            counts: self.counts,
            attempts: around.settings.backoff.len(),
            unit: around.unit,
            profile: around.profile,
            uid: around.uid,
            user: &self.user,
            checked: wall_clock::now(),
            ping: self.pinged,
        };
        let Err(why) = self.write(&path, sample.render()) else {
            self.complaint.over();
            return None;
        };
        let text = format!("{why}; no metrics until it can be written");
        self.complaint.is_news(why).then(|| Line::new(&text))
    }

    fn write(&mut self, path: &Path, text: String) -> Result<(), Line> {
        if let Some(other) = self.file.take_if(|file| file.path() != path) {
            other.remove();
            self.ended = None;
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => Textfile::new(path)?,
        };
        self.ended = file.ended().or(self.ended.take());
        self.file.insert(file).write(text)?;
        self.ended.clone().unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, thread, time::Instant};

    use super::*;

    /// Far more than a small file takes.
    const TIMEOUT: Duration = Duration::from_secs(60);

    fn settings(path: &Path) -> Settings {
        let mut settings = Settings::default();
        settings.metrics.textfile = Some(path.to_owned());
        settings
    }

    /// A file as the setting names it, and as it is written.
    fn names(folder: &Path, stem: &str) -> (PathBuf, PathBuf) {
        let named = folder.join(format!("{stem}.prom"));
        (named, folder.join(format!("{stem}-1000.prom")))
    }

    /// A healthy check at a second of the boot; returns what went wrong.
    fn check(metrics: &mut Metrics, settings: &Settings, second: u64) -> Option<Line> {
        let around = Around {
            settings,
            profile: None,
            unit: "openclaw-gateway.service",
            uid: 1000,
            runtime: Path::new("/nowhere"),
        };
        let now = Monotonic(second * 1_000_000);
        metrics.after(&around, &State::default(), &Health::NotProbed, now)
    }

    fn wait(what: impl Fn() -> bool) {
        let began = Instant::now();
        while !what() {
            assert!(began.elapsed() < TIMEOUT, "waited in vain");
            thread::yield_now();
        }
    }

    #[test]
    fn without_the_setting_nothing_is_written_and_no_thread_started() {
        let mut metrics = Metrics::default();
        assert_eq!(check(&mut metrics, &Settings::default(), 1), None);
        assert!(metrics.file.is_none());
    }

    #[test]
    fn a_check_is_written_and_the_file_goes_with_the_setting() {
        let folder = tempfile::tempdir().unwrap();
        let (named, path) = names(folder.path(), "gatehound");
        let (renamed, other) = names(folder.path(), "other");
        let mut metrics = Metrics::default();
        check(&mut metrics, &settings(&named), 1);
        wait(|| path.exists());
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("gatehound_phase{"), "{text}");
        check(&mut metrics, &settings(&renamed), 2);
        wait(|| other.exists() && !path.exists());
        check(&mut metrics, &Settings::default(), 3);
        wait(|| !other.exists());
    }

    #[test]
    fn within_a_second_a_check_is_written_only_if_the_phase_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder.path().join("gatehound.prom"));
        let mut metrics = Metrics::default();
        check(&mut metrics, &settings, 1);
        let first = metrics.written;
        check(&mut metrics, &settings, 1);
        assert_eq!(metrics.written, first);
        metrics.written = Some((Monotonic(1_000_000), "healthy"));
        check(&mut metrics, &settings, 1);
        assert_eq!(metrics.written, first);
        check(&mut metrics, &settings, 2);
        assert_ne!(metrics.written, first);
    }

    #[test]
    fn what_is_wrong_is_said_once_and_once_again_after_it_was_right() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        let (named, path) = names(&inner, "gatehound");
        let settings = settings(&named);
        let mut metrics = Metrics::default();
        let mut second = 0;
        let mut told = || {
            let mut told = Vec::new();
            for _ in 0..3 {
                second += 1;
                told.extend(check(&mut metrics, &settings, second));
                metrics.ended = metrics.file.as_ref().map(Textfile::wait);
            }
            told
        };
        let first = told();
        assert_eq!(first.len(), 1, "{first:?}");
        let expected = format!("cannot write {}: ", path.display());
        assert!(first[0].as_str().starts_with(&expected), "{first:?}");
        let next = "; no metrics until it can be written";
        assert!(first[0].as_str().ends_with(next), "{first:?}");
        fs::create_dir(&inner).unwrap();
        assert_eq!(told(), []);
        assert!(path.exists());
        fs::remove_dir_all(&inner).unwrap();
        assert_eq!(told(), first);
    }
}
