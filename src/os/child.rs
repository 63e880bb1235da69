//! A program that is asked something or given something: journalctl, crontab for `gatehound doctor` and `install`, and the command
//! that alerts go to.
//!
//! Owns the child process: how it is started, how much of its output is kept, and that it ends in time.
//! Knows nothing of what it is asked, nor of what it says.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, PipeReader, Read as _, Seek as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::process::CommandExt as _,
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::memfd::{MFdFlags, memfd_create},
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::text::line::Line;

/// The part of the time that is kept back to see a killed child end.
const REAP: Duration = Duration::from_millis(100);

/// What a child must not inherit: it would speak to systemd in Gatehound's name (sd_notify(3)).
const NOTIFY_VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// The last bytes that a program writes, `max` at most, because what was written last says most.
///
/// Returns within `budget`, whatever `program` does, if only it can be read from its disk.
/// One that does not even end by SIGKILL, because it waits for a dead disk, is left behind.
///
/// # Errors
///
/// The program cannot be started, fails, or is not done in time.
pub fn output(
    program: &Path,
    arguments: &[String],
    max: usize,
    budget: Duration,
) -> Result<Vec<u8>, Line> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    run(command, false, max, budget).map_err(Line::from)
}

/// Becomes a program, which has this terminal and answers for itself; comes back only with what kept it from that.
pub fn become_program(program: &str, arguments: &[&str], runtime_folder: &OsStr) -> Line {
    let mut command = Command::new(program);
    let failed = command
        .args(arguments)
        .env("XDG_RUNTIME_DIR", runtime_folder)
        .exec();
    Line::new(&format!("cannot run {program}: {failed}"))
}

/// What a program is given.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Its arguments.
    pub arguments: &'a [String],
    /// Variables, besides those of this process.
    pub variables: &'a [(String, String)],
    /// What it can read.
    pub input: &'a [u8],
}

/// As [`output`], for a program that somebody else chose: what it says of an error is among its output,
/// and the last line of it in the error.
///
/// # Errors
///
/// As for [`output`].
pub fn output_of(
    program: &Path,
    given: &Given<'_>,
    max: usize,
    budget: Duration,
) -> Result<Vec<u8>, ChildError> {
    let mut command = Command::new(program);
    command
        .args(given.arguments)
        .envs(given.variables.iter().map(|(name, value)| (name, value)))
        .stdin(in_memory(given.input)?);
    run(command, true, max, budget)
}

/// As [`output`], for a program that is given something to read, and where it matters why it says nothing.
///
/// # Errors
///
/// As for [`output`].
pub fn output_fed(
    program: &Path,
    arguments: &[&str],
    input: &[u8],
    max: usize,
    budget: Duration,
) -> Result<Vec<u8>, ChildError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(in_memory(input)?);
    run(command, false, max, budget)
}

/// Why a program said nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChildError {
    /// There is no such program.
    #[error("{0}")]
    Absent(Line),
    /// It ended with another exit status than 0, or by a signal.
    #[error("{0}")]
    Failed(Line),
    /// It could not be started, or was not done in time.
    #[error("{0}")]
    Unknown(Line),
}

impl From<ChildError> for Line {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Absent(line) | ChildError::Failed(line) | ChildError::Unknown(line) => line,
        }
    }
}

/// Whether a program that is looked up by its name is in no folder of PATH.
fn is_nowhere(program: &Path) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    is_in_none_of(program, &path)
}

fn is_in_none_of(program: &Path, path: &OsStr) -> bool {
    let is_name = program.components().count() == 1 && program.is_relative();
    is_name && std::env::split_paths(path).all(|folder| !folder.join(program).exists())
}

/// A file that is nowhere: unlike a pipe it takes everything at once, and a program that does not read is not waited for.
fn in_memory(bytes: &[u8]) -> Result<File, ChildError> {
    let filled = || -> io::Result<File> {
        let mut file = File::from(memfd_create("input", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(bytes)?;
        file.rewind()?;
        Ok(file)
    };
    filled().map_err(|error| {
        let text = format!("no memory for what a program is to read: {error}");
        ChildError::Unknown(Line::new(&text))
    })
}

fn run(
    mut command: Command,
    with_errors: bool,
    max: usize,
    budget: Duration,
) -> Result<Vec<u8>, ChildError> {
    let late_at = Instant::now() + budget.saturating_sub(REAP);
    let pipe = io::pipe().and_then(|(read, write)| {
        let errors = if with_errors {
            Stdio::from(write.try_clone()?)
        } else {
            Stdio::null()
        };
        command.stdout(write).stderr(errors);
        Ok(read)
    });
    let mut stdout = pipe.map_err(|error| {
        let text = format!("no pipe for what a program says: {error}");
        ChildError::Unknown(Line::new(&text))
    })?;
    for variable in NOTIFY_VARIABLES {
        command.env_remove(variable);
    }
    let program = Path::new(command.get_program()).to_owned();
    let child = command.spawn().map_err(|error| {
        let text = Line::new(&format!("cannot start {}: {error}", program.display()));
        match error.kind() {
            io::ErrorKind::NotFound => ChildError::Absent(text),
            // A folder of PATH that may not be entered is reported like a program that may not be run.
            io::ErrorKind::PermissionDenied if is_nowhere(&program) => ChildError::Absent(text),
            _ => ChildError::Unknown(text),
        }
    })?;
    // It has the ends for writing, and as long as they are open here, there is no end of reading.
    drop(command);
    let output = read_all(&mut stdout, max, late_at);
    let status = end(child, late_at);
    let name = program.file_name().unwrap_or(OsStr::new("")).display();
    match (output, status) {
        (None, _) | (Some(_), None) => Err(ChildError::Unknown(Line::new(&format!(
            "{name} is not done in time"
        )))),
        (Some(output), Some(status)) if !status.success() => {
            let output = if with_errors { output } else { Vec::new() };
            let said = String::from_utf8_lossy(&output);
            let said = match said.trim_end().lines().next_back() {
                Some(last) => format!(": {last}"),
                None => String::new(),
            };
            Err(ChildError::Failed(Line::new(&format!(
                "{name} fails: {status}{said}"
            ))))
        }
        (Some(output), Some(_)) => Ok(output),
    }
}

/// The end of what a child writes; nothing unless it has closed its output by then.
fn read_all(stdout: &mut PipeReader, max: usize, late_at: Instant) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut chunk = [0; 16 * 1024];
    while is_ready(stdout.as_fd(), late_at) {
        match stdout.read(&mut chunk) {
            Ok(0) => return Some(kept),
            Ok(length) => keep_end(&mut kept, chunk.get(..length)?, max),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    None
}

fn keep_end(kept: &mut Vec<u8>, chunk: &[u8], max: usize) {
    kept.extend_from_slice(chunk);
    kept.drain(..kept.len().saturating_sub(max));
}

/// How a child ended by itself; one that has not by then is killed.
fn end(mut child: Child, late_at: Instant) -> Option<ExitStatus> {
    await_end(&child, late_at);
    if let Ok(Some(status)) = child.try_wait() {
        return Some(status);
    }
    // It fails only for a child that has ended meanwhile.
    let _ = child.kill();
    await_end(&child, Instant::now() + REAP);
    let _ = child.try_wait();
    None
}

fn await_end(child: &Child, late_at: Instant) {
    // The pid is the child's until it is waited for.
    if let Ok(pidfd) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) {
        is_ready(pidfd.as_fd(), late_at);
    }
}

/// Waits until there is something to read, or an end, but not longer than this.
fn is_ready(fd: BorrowedFd<'_>, late_at: Instant) -> bool {
    loop {
        let left = late_at.saturating_duration_since(Instant::now());
        // After this moment nothing counts, or a child that never stops writing would never be late.
        if left.is_zero() {
            return false;
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) | Ok(0) => {}
            Err(_) => return false,
            Ok(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_absent_where_no_folder_of_path_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = std::env::join_paths([folder.path(), Path::new("/nonexistent")]).unwrap();
        assert!(is_in_none_of(Path::new("crontab"), &path));
        std::fs::write(folder.path().join("crontab"), "").unwrap();
        assert!(!is_in_none_of(Path::new("crontab"), &path));
        // One that is named by its path is where it is said to be.
        for named in ["/etc", "/nonexistent/crontab", "nonexistent/crontab"] {
            assert!(!is_in_none_of(Path::new(named), &path), "{named}");
        }
        assert!(is_nowhere(Path::new("no-program-has-this-name")));
    }

    #[test]
    fn of_long_output_the_end_is_kept() {
        let mut kept = Vec::new();
        for chunk in ["a".repeat(9000), "b".repeat(4096), "c".to_owned()] {
            keep_end(&mut kept, chunk.as_bytes(), 9000);
        }
        assert_eq!(kept.len(), 9000);
        assert_eq!(kept[0], b'a');
        assert!(kept.ends_with(b"bc"));
    }
}
