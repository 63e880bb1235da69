//! The textfile: metrics in a file that node_exporter reads.
//!
//! Owns the file, its mode, and the thread that writes it, for which nobody waits.
//! What is in it is `exposition`'s.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel},
};

use nix::unistd::{AccessFlags, access};

use crate::os::{
    own_files::{cannot, publish, remove_unfinished},
    worker,
};
use crate::text::line::Line;

/// Anybody may read it: node_exporter is another user, and what is in it says no more than `systemctl status` does.
const MODE: u32 = 0o644;

enum Job {
    Write(String),
    Remove,
}

/// The file, with a thread that writes it: the folder may be on a disk that hangs, and a check waits for none.
///
/// The thread ends with this.
#[derive(Debug)]
pub struct Textfile {
    path: PathBuf,
    jobs: SyncSender<Job>,
    ends: Receiver<Result<(), Line>>,
}

impl Textfile {
    /// Gets ready to write the file, and clears away what a predecessor that was killed over it left.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn new(path: &Path) -> Result<Self, Line> {
        // One is written while the next one waits: a third would be old by the time that it is written.
        let (jobs, work) = sync_channel::<Job>(1);
        let (ended, ends) = channel();
        let file = path.to_owned();
        worker::start("metrics", "write metrics", move || {
            clear(&file);
            while let Ok(job) = work.recv() {
                if ended.send(done(&file, job)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            jobs,
            ends,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has it replaced, and waits for nothing.
    ///
    /// # Errors
    ///
    /// An earlier one is still being written.
    pub fn write(&self, text: String) -> Result<(), Line> {
        self.jobs
            .try_send(Job::Write(text))
            .map_err(|error| match error {
                TrySendError::Full(_) => Line::new(&format!(
                    "{} is not written in time; its disk hangs",
                    self.path.display()
                )),
                // It ends only with this.
                TrySendError::Disconnected(_) => "the thread that writes metrics is gone".into(),
            })
    }

    /// How the last write ended that has ended since this was asked last.
    pub fn ended(&self) -> Option<Result<(), Line>> {
        self.ends.try_iter().last()
    }

    /// Waits for the end of a write.
    #[cfg(test)]
    pub(crate) fn wait(&self) -> Result<(), Line> {
        self.ends.recv_timeout(tests::TIMEOUT).unwrap()
    }

    /// Has the file removed, because stale metrics look like a Gatehound that hangs.
    pub fn remove(self) {
        // Best effort: whoever took the setting away can remove the file as well.
        let _ = self.jobs.try_send(Job::Remove);
    }
}

fn done(path: &Path, job: Job) -> Result<(), Line> {
    match job {
        Job::Write(text) => publish(path, text.as_bytes(), MODE),
        Job::Remove => match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(cannot("remove", path, &e)),
            Ok(()) | Err(_) => Ok(()),
        },
    }
}

fn clear(path: &Path) {
    if let (Some(folder), Some(own)) = (path.parent(), path.file_name()) {
        remove_unfinished(folder, |name| own == name);
    }
}

/// Why this user cannot write the file, if that shows by looking.
///
/// The folder counts and not the file, because the file is replaced by another one.
pub fn obstacle(path: &Path) -> Option<Line> {
    let folder = path.parent()?;
    let said = |what: String| Some(Line::new(&what));
    if !folder.is_dir() {
        return said(format!("there is no folder {}", folder.display()));
    }
    if path.is_dir() {
        return said(format!("{} is a folder", path.display()));
    }
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK)
        .is_err()
        .then(|| Line::new(&format!("this user cannot write in {}", folder.display())))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::MetadataExt as _, time::Duration};

    use super::*;
    use crate::os::own_files::tests::names;

    pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

    #[test]
    fn the_file_is_replaced_whole_and_everybody_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gatehound.prom");
        fs::write(folder.path().join(".gatehound.prom.1.new"), "half").unwrap();
        fs::write(folder.path().join(".other.prom.1.new"), "theirs").unwrap();
        let file = Textfile::new(&path).unwrap();
        for text in ["a 1\n", "a 2\n"] {
            file.write(text.to_owned()).unwrap();
            file.wait().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        }
        let mut there = names(folder.path());
        there.sort();
        assert_eq!(there, [".other.prom.1.new", "gatehound.prom"]);
        let Textfile { jobs, ends, .. } = file;
        jobs.send(Job::Remove).unwrap();
        ends.recv_timeout(TIMEOUT).unwrap().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_write_that_hangs_is_waited_for_by_nobody() {
        // Nobody takes the jobs, as with a disk that hangs.
        let (jobs, _work) = sync_channel(1);
        let (_ended, ends) = channel();
        let file = Textfile {
            path: "/x/gatehound.prom".into(),
            jobs,
            ends,
        };
        file.write(String::new()).unwrap();
        let late = file.write(String::new()).unwrap_err();
        assert_eq!(
            late.as_str(),
            "/x/gatehound.prom is not written in time; its disk hangs"
        );
        assert_eq!(file.ended(), None);
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gatehound.prom");
        assert_eq!(obstacle(&path), None);
        fs::create_dir(&path).unwrap();
        assert!(obstacle(&path).unwrap().as_str().ends_with("is a folder"));
        let file = Textfile::new(&path).unwrap();
        file.write(String::new()).unwrap();
        let why = file.wait().unwrap_err();
        assert!(why.as_str().starts_with("cannot write "), "{why}");
        let missing = folder.path().join("none/gatehound.prom");
        let why = obstacle(&missing).unwrap();
        assert!(why.as_str().starts_with("there is no folder"), "{why}");
    }
}
