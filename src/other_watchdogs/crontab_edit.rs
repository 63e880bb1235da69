//! The user's crontab, writing, through crontab(1).
//!
//! Owns that the old one is kept in a file first, that nobody's change is overwritten, and that it can be put back.
//! Which lines go is `other_watchdogs::crontab`'s to say.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::os::own_files::{ensure_private_dir, write_atomic};
use crate::{
    os::child,
    other_watchdogs::crontab::{self, Crontab},
    text::line::Line,
};

/// A crontab that lost the lines of the old watchdog, and what it was before.
#[derive(Debug)]
pub struct Replaced {
    program: PathBuf,
    budget: Duration,
    old: Vec<u8>,
    new: Vec<u8>,
    kept: PathBuf,
}

impl Replaced {
    /// Takes the lines of the old watchdog out of the crontab `old`, which is first kept in the file `kept`.
    ///
    /// crontab(1) knows no lock: what somebody writes in the milliseconds between the last look and the writing is lost.
    ///
    /// # Errors
    ///
    /// The crontab is no longer the one that was looked at, cannot be kept, or cannot be written.
    /// It then is as it was, or the line says with which command it becomes that again.
    pub fn new(
        program: &Path,
        old: &Crontab,
        kept: PathBuf,
        budget: Duration,
    ) -> Result<Self, Line> {
        let replaced = Self {
            program: program.to_owned(),
            budget,
            old: old.bytes().to_vec(),
            new: old.without_watchdogs(),
            kept,
        };
        replaced.unchanged(&replaced.old)?;
        if let Some(folder) = replaced.kept.parent() {
            ensure_private_dir(folder)?;
        }
        write_atomic(&replaced.kept, &replaced.old)?;
        let written = replaced.write(&replaced.old, &replaced.new);
        let Err(why) = written else {
            return Ok(replaced);
        };
        if replaced.unchanged(&replaced.old).is_ok() {
            // Nothing was written, so what was kept is of no use; if it stays it is in nobody's way.
            let _ = fs::remove_file(&replaced.kept);
            return Err(why);
        }
        Err(replaced.with_remedy(&why))
    }

    /// Where the old crontab is kept.
    pub fn kept(&self) -> &Path {
        &self.kept
    }

    /// Puts the old crontab back.
    ///
    /// # Errors
    ///
    /// Somebody has changed it since, or it cannot be written; the line says with which command it is put back.
    pub fn undo(&self) -> Result<(), Line> {
        let written = self.write(&self.new, &self.old);
        written.map_err(|why| self.with_remedy(&why))
    }

    fn with_remedy(&self, why: &Line) -> Line {
        let kept = self.kept.display();
        Line::new(&format!(
            "{why}; this puts the old one back in place of the one there is now: crontab {kept}"
        ))
    }

    /// Writes one crontab over another, and reads back what is there then.
    fn write(&self, from: &[u8], to: &[u8]) -> Result<(), Line> {
        self.unchanged(from)?;
        let written = child::output_fed(&self.program, &["-"], to, 0, self.budget);
        let there = self.read()?;
        match written {
            _ if there == to => Ok(()),
            Err(why) => Err(Line::new(&format!("the crontab cannot be written: {why}"))),
            Ok(_) => Err("crontab(1) does not list what it was given".into()),
        }
    }

    fn unchanged(&self, from: &[u8]) -> Result<(), Line> {
        if self.read()? == from {
            Ok(())
        } else {
            Err("the crontab was changed meanwhile, and is left as it is".into())
        }
    }

    fn read(&self) -> Result<Vec<u8>, Line> {
        crontab::listed(&self.program, self.budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::other_watchdogs::deeds::Gateway;
    use std::os::unix::fs::PermissionsExt as _;
    use tempfile::TempDir;

    const OLD: &str = "MAILTO=me\n* * * * * ~/openclaw-watchdog.sh\n0 0 * * * backup\n";
    const NEW: &str = "MAILTO=me\n0 0 * * * backup\n";

    /// A crontab(1) of its own, that does this with what it is given on `-`; `$0.tab` is the crontab.
    struct Cron(TempDir);

    impl Cron {
        fn new(write: &str) -> Self {
            let cron = Self(tempfile::tempdir().unwrap());
            let script = format!(
                "#!/bin/sh\ncase $1 in\n-l) cat \"$0.tab\" ;;\n-) {write} ;;\n*) exit 9 ;;\nesac\n"
            );
            fs::write(cron.program(), script).unwrap();
            fs::set_permissions(cron.program(), fs::Permissions::from_mode(0o700)).unwrap();
            fs::write(cron.tab(), OLD).unwrap();
            cron
        }

        fn program(&self) -> PathBuf {
            self.0.path().join("crontab")
        }

        fn tab(&self) -> PathBuf {
            self.0.path().join("crontab.tab")
        }

        fn there(&self) -> String {
            fs::read_to_string(self.tab()).unwrap()
        }

        fn kept(&self) -> PathBuf {
            self.0.path().join("state/crontab-1")
        }

        fn read(&self) -> Crontab {
            {
                let gateway = Gateway::new("openclaw-gateway.service", None);
                Crontab::read(&self.program(), Path::new("/"), &gateway, BUDGET).unwrap()
            }
        }

        fn replace(&self, old: &Crontab) -> Result<Replaced, Line> {
            Replaced::new(&self.program(), old, self.kept(), BUDGET)
        }
    }

    const BUDGET: Duration = Duration::from_secs(20);
    const TAKES_IT: &str = "cat > \"$0.tab\"";

    #[test]
    fn the_old_watchdog_goes_the_rest_stays_and_all_of_it_comes_back() {
        let cron = Cron::new(TAKES_IT);
        let replaced = cron.replace(&cron.read()).unwrap();
        assert_eq!(cron.there(), NEW);
        assert_eq!(fs::read_to_string(replaced.kept()).unwrap(), OLD);
        let mode = fs::metadata(cron.kept()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        replaced.undo().unwrap();
        assert_eq!(cron.there(), OLD);
    }

    #[test]
    fn a_crontab_that_was_changed_since_it_was_read_is_left_as_it_is() {
        let cron = Cron::new(TAKES_IT);
        let old = cron.read();
        fs::write(cron.tab(), "1 1 * * * mine\n").unwrap();
        let why = cron.replace(&old).unwrap_err();
        assert!(why.as_str().contains("was changed meanwhile"), "{why}");
        assert_eq!(cron.there(), "1 1 * * * mine\n");
        assert!(!cron.kept().exists());
    }

    #[test]
    fn a_crontab_that_was_changed_since_it_was_written_is_not_put_back() {
        let cron = Cron::new(TAKES_IT);
        let replaced = cron.replace(&cron.read()).unwrap();
        fs::write(cron.tab(), "1 1 * * * mine\n").unwrap();
        let why = replaced.undo().unwrap_err();
        let remedy = format!(
            "in place of the one there is now: crontab {}",
            cron.kept().display()
        );
        assert!(why.as_str().ends_with(&remedy), "{why}");
        assert_eq!(cron.there(), "1 1 * * * mine\n");
    }

    #[test]
    fn a_crontab_that_cannot_be_written_is_said_to_be_so() {
        for (write, said) in [
            ("exit 1", "cannot be written: crontab fails: exit status: 1"),
            ("exec cat", "does not list what it was given"),
        ] {
            let cron = Cron::new(write);
            let why = cron.replace(&cron.read()).unwrap_err();
            assert!(why.as_str().contains(said), "{why}");
            assert_eq!(cron.there(), OLD);
            assert!(!cron.kept().exists());
        }
    }

    #[test]
    fn a_crontab_that_cannot_be_read_back_is_kept_and_the_way_back_told() {
        let cron = Cron::new("yes | head -n 200000 > \"$0.tab\"");
        let why = cron.replace(&cron.read()).unwrap_err();
        assert!(
            why.as_str()
                .contains("in place of the one there is now: crontab "),
            "{why}"
        );
        assert_eq!(fs::read_to_string(cron.kept()).unwrap(), OLD);
    }
}
