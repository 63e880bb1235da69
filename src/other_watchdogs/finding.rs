//! Who else would restart the gateway: the old shell watchdog that cron starts, and whatever `survey.rs` finds.
//!
//! Owns what becomes of them in an installation; crontab lines are `crontab.rs`'s.

use crate::cli::{command_line::InstallOptions as Options, console::say};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{anyhow, bail};
use nix::unistd::geteuid;

use crate::cli::console::ask;
use crate::{
    os::{own_files::cannot, wall_clock},
    other_watchdogs::{
        crontab::{Crontab, Job},
        crontab_edit::Replaced,
        survey::{Around, OtherWatchdog, in_line},
    },
    systemd::UserManager,
    text::line::Line,
};

/// crontab(1), wherever `$PATH` has it.
const CRONTAB: &str = "crontab";

/// How long crontab(1) may take.
const CRONTAB_LIMIT: Duration = Duration::from_secs(5);

/// How the names begin of the files that keep a crontab as it was.
const KEPT: &str = "crontab-";

/// How the names of the files begin that the old shell watchdog leaves in /tmp.
const STATE_FILES: &str = "openclaw-watchdog";

/// Everything that might restart the gateway beside Gatehound.
pub(crate) struct OtherWatchdogs {
    crontab: Result<Crontab, Line>,
    jobs: Vec<(Job, Line)>,
    /// All but the user's crontab.
    elsewhere: Vec<OtherWatchdog>,
}

impl OtherWatchdogs {
    /// Looks for them; without a user manager at files alone.
    pub(crate) fn look(around: &Around, manager: Option<&mut UserManager>) -> Self {
        let program = Path::new(CRONTAB);
        let crontab = Crontab::read(program, &around.home, &around.gateway, CRONTAB_LIMIT);
        Self {
            jobs: crontab.as_ref().map(Crontab::jobs).unwrap_or_default(),
            crontab,
            elsewhere: around.survey(manager),
        }
    }

    /// The lines of the user's crontab that are the old watchdog and nothing else.
    fn old(&self) -> Vec<&Line> {
        let old = self.jobs.iter().filter(|(job, _)| *job == Job::Watchdog);
        old.map(|(_, line)| line).collect()
    }

    /// Those that only a human can remove, because they may be something else, or somebody else's.
    fn left(&self) -> Vec<(&'static str, String, String)> {
        let mut left = Vec::new();
        if let Err(why) = &self.crontab {
            let what = format!("whether cron starts another watchdog is not known: {why}");
            left.push(("cron", what, "crontab -l".to_owned()));
        }
        for (job, line) in self.jobs.iter().filter(|(job, _)| *job != Job::Watchdog) {
            let (what, fix) = in_line("a cron job", job, line);
            left.push(("cron", what, format!("{fix}: crontab -e")));
        }
        let elsewhere = self.elsewhere.iter();
        left.extend(elsewhere.map(|one| (one.about, one.what.clone(), one.fix.clone())));
        left
    }

    /// All that `doctor` tells, as what it is about, what it is and its fix; `install` is the command that removes what
    /// is certain.
    pub(crate) fn all(&self, install: &str) -> Vec<(&'static str, String, String)> {
        let old = self.old().into_iter().map(|line| {
            let what = format!("cron starts the old watchdog too: {line}");
            ("cron", what, format!("{install} --replace-cron"))
        });
        old.chain(self.left()).collect()
    }

    /// Says what was found, and whether the lines of the old watchdog are to be removed.
    ///
    /// # Errors
    ///
    /// There is another watchdog and nobody said what is to become of it: the two would restart the gateway against
    /// each other, so nothing is installed. The error has the command that goes on.
    pub(crate) fn settle(&self, options: &Options, install: &str) -> anyhow::Result<bool> {
        let (old, left) = (self.old(), self.left());
        for line in &old {
            say!("found      cron: {line}");
        }
        for (_, what, fix) in &left {
            say!("found      {what} → {fix}");
        }
        if !left.is_empty() && !options.side_by_side {
            bail!(
                "another watchdog would restart the gateway against Gatehound; nothing is installed; \
                 remove what was found and install again, or have both: {install}{} --side-by-side",
                if old.is_empty() {
                    ""
                } else {
                    " --replace-cron"
                },
            );
        }
        if old.is_empty() || options.replace_cron {
            return Ok(!old.is_empty());
        }
        if options.side_by_side {
            return Ok(false);
        }
        let agreed = !options.dry_run && self.agreed();
        if !agreed {
            bail!(
                "cron starts the old watchdog ({}), and the two would restart the gateway against each other; \
                 nothing is installed; to have Gatehound take its place: {install} --replace-cron",
                count(old.len(), "line"),
            );
        }
        Ok(true)
    }

    fn agreed(&self) -> bool {
        let lines = count(self.old().len(), "line");
        let question = format!("Remove the {lines} of the old watchdog from your crontab?");
        ask(&question).unwrap_or(false)
    }

    /// Says what [`Self::remove`] would do.
    pub(crate) fn would_remove(&self, folder: &Path) {
        for line in self.old() {
            say!("would remove   cron: {line}");
        }
        say!(
            "would keep     the crontab as it is in {}",
            folder.display()
        );
    }

    /// Removes the lines of the old watchdog; `folder` is where the crontab is kept as it was.
    pub(crate) fn remove(&self, folder: &Path) -> anyhow::Result<Replaced> {
        let own = |line: &Line| anyhow!("{line}");
        let crontab = self.crontab.as_ref().map_err(own)?;
        let now = wall_clock::utc(wall_clock::now()).unwrap_or_default();
        let kept = folder.join(format!("{KEPT}{now}"));
        let replaced = Replaced::new(Path::new(CRONTAB), crontab, kept, CRONTAB_LIMIT)
            .map_err(|line| own(&line))?;
        for line in self.old() {
            say!("removed    cron: {line}");
        }
        say!(
            "kept       the old crontab; this puts it back in place of the one there is then: crontab {}",
            replaced.kept().display()
        );
        // A line that begins with `sleep 30` may be waiting now.
        say!("left       what cron has started of it: it ends within a minute");
        Ok(replaced)
    }
}

/// The crontab as it was before lines were last removed from it, if any were.
pub(crate) fn kept_crontab(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let is_kept = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(KEPT)
    };
    // Their names have the time in them, in an order that text has as well.
    entries.map(|entry| entry.path()).filter(is_kept).max()
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// The files of this user that the old watchdog left behind, but for its logs.
fn state_files(folder: &Path) -> Vec<PathBuf> {
    let is_state = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let metadata = path.symlink_metadata();
        name.starts_with(STATE_FILES)
            && !name.contains(".log")
            && metadata.is_ok_and(|it| it.is_file() && it.uid() == geteuid().as_raw())
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_state).collect();
    found.sort();
    found
}

/// Removes the state files of the old watchdog, if that is wanted, and says so.
///
/// With the flag file a human asks that the gateway be left alone, which Gatehound heeds as well; only they remove it.
pub(crate) fn tidy_up(temporary: &Path, flag: &Path, options: &Options) {
    for path in state_files(temporary) {
        let question = format!("Remove {}, a file of the old watchdog?", path.display());
        remove_file(&path, options, options.replace_cron, &question);
    }
    if flag.symlink_metadata().is_ok() {
        let flag_name = flag.display();
        let question = format!("Remove {flag_name}? It keeps Gatehound from acting.");
        remove_file(flag, options, false, &question);
    }
}

fn remove_file(path: &Path, options: &Options, wanted: bool, question: &str) {
    let name = path.display();
    if options.dry_run {
        if wanted {
            say!("would remove   {name}");
        }
        return;
    }
    if !wanted && !ask(question).unwrap_or(false) {
        return say!("left       {name}; to remove it: rm {name}");
    }
    match fs::remove_file(path) {
        Ok(()) => say!("removed    {name}"),
        Err(error) => say!("left       {}", cannot("remove", path, &error)),
    }
}
