//! The crontabs of the system and the folders of scripts that cron starts by the day.
//!
//! Owns where they are and which of their files cron passes over; what a command comes to is `judge.rs`'s.
//! Reads only, and passes over what this user may not read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    crontab::{self, Job, is_no_job},
    judge::{Judge, Verdict},
};
use crate::{
    os::files::{Links, read_limited},
    text::line::Line,
};

/// Folders of scripts that cron, or anacron, starts.
const SCRIPTS: [&str; 4] = ["cron.hourly", "cron.daily", "cron.weekly", "cron.monthly"];

/// Files of one folder beyond these are not looked at.
const MAX_FILES: usize = 256;

/// How the names end of files that are switched off, or kept by a package manager or an editor.
const PASSED_OVER: [&str; 10] = [
    "~",
    ".bak",
    ".disabled",
    ".off",
    ".old",
    ".orig",
    ".save",
    ".swp",
    ".rpmsave",
    ".rpmnew",
];

/// What was found in a file of cron's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) job: Job,
    /// Its line; none where the file itself is the script.
    pub(super) line: Option<Line>,
}

/// What the crontabs below `etc` do to the gateway.
pub(super) fn of_system(etc: &Path, judge: &mut Judge<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    let mut tables = vec![etc.join("crontab"), etc.join("anacrontab")];
    tables.extend(files(&etc.join("cron.d")));
    for path in tables {
        let max = u64::try_from(crontab::MAX).unwrap_or(u64::MAX);
        let Ok(Some(contents)) = read_limited(&path, max, Links::Follow) else {
            continue;
        };
        let text = String::from_utf8_lossy(&contents.bytes);
        let variables = crontab::variables(&text);
        for line in text.lines().filter(|line| !is_no_job(line)) {
            let verdict = judge.command(command(line), line, &variables);
            found.extend(Job::of(verdict).map(|job| Found {
                path: path.clone(),
                job,
                line: Some(Line::new(line)),
            }));
        }
    }
    for path in SCRIPTS.iter().flat_map(|folder| files(&etc.join(folder))) {
        let verdict = judge.script(&path).unwrap_or(Verdict::Nothing);
        found.extend(Job::of(verdict).map(|job| Found {
            path: path.clone(),
            job,
            line: None,
        }));
    }
    found
}

/// The command of a line: behind its times stands a user, in anacron's behind two numbers a name.
fn command(line: &str) -> &str {
    let blank = |c: char| c == ' ' || c == '\t';
    let behind_word = |text: &'_ str| -> Option<usize> {
        let end = text.find(blank)?;
        let rest = text.get(end..)?;
        Some(end + rest.len() - rest.trim_start_matches(blank).len())
    };
    if let Some(rest) = crontab::command(line) {
        return behind_word(rest)
            .and_then(|at| rest.get(at..))
            .unwrap_or(rest);
    }
    let mut rest = line.trim();
    for _ in 0..3 {
        rest = behind_word(rest)
            .and_then(|at| rest.get(at..))
            .unwrap_or(rest);
    }
    rest
}

/// The files of a folder that cron does not pass over.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let counts = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.')
            && !name.contains(".dpkg-")
            && !PASSED_OVER.iter().any(|end| name.ends_with(end))
    };
    let paths = entries.map(|entry| entry.path()).filter(counts);
    let mut paths: Vec<PathBuf> = paths.take(MAX_FILES).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::{super::deeds::Gateway, *};

    #[test]
    fn every_crontab_of_the_system_and_every_script_of_its_folders_is_judged_by_what_it_does() {
        let etc = tempfile::tempdir().unwrap();
        let gateway = Gateway::new("openclaw-gateway.service", None);
        let home = etc.path().join("home");
        let look = || {
            let mut judge = Judge::new(&gateway, &home);
            let found = of_system(etc.path(), &mut judge);
            let named = found.into_iter().map(|found| {
                let name = found.path.strip_prefix(etc.path()).unwrap();
                (name.display().to_string(), found.job)
            });
            named.collect::<Vec<_>>()
        };
        assert_eq!(look(), []);
        let put = |name: &str, text: &str| {
            let path = etc.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let script = "#!/bin/sh\npkill -f openclaw\n";
        let line = format!("*/5 * * * * root {}/keep\n", etc.path().display());
        put("keep", script);
        put(
            "crontab",
            "SHELL=/bin/sh\n17 * * * * root openclaw backup\n",
        );
        put(
            "anacrontab",
            "1 5 of.gateway systemctl --user restart openclaw-gateway\n",
        );
        put("cron.d/a", &format!("# pkill openclaw\n{line}"));
        put(
            "cron.d/b",
            "*/2 * * * * claw X=1 /opt/openclaw/healthcheck.sh --restart\n",
        );
        put("cron.d/c.disabled", &line);
        put("cron.d/.placeholder", &line);
        put("cron.daily/openclaw-restart", script);
        put(
            "cron.daily/openclaw-backup",
            "#!/bin/sh\ntar cz /home/a/.openclaw\n",
        );
        let acts = |how: &str| Job::Acts(how.to_owned());
        let expected = [
            (
                "anacrontab",
                acts("systemctl --user restart openclaw-gateway"),
            ),
            ("cron.d/a", acts("pkill -f openclaw")),
            ("cron.d/b", Job::Perhaps),
            ("cron.daily/openclaw-restart", acts("pkill -f openclaw")),
        ];
        assert_eq!(look(), expected.map(|(name, job)| (name.to_owned(), job)));
    }
}
