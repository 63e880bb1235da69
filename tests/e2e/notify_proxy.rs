//! A witness between a notifying service and its manager: every datagram is written down and handed on.
//!
//! `notify-proxy LOG PROGRAM…` starts a forwarder as a child and then becomes the program, so that the unit's main
//! process, its exit and its `WATCHDOG_PID` are the real ones; the unit needs `NotifyAccess=all` for the forwarder.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::time::{ClockId, clock_gettime};
use rustix::process::{PidfdFlags, getppid, pidfd_open};
use serde_json::{Value, json};

/// One message to the manager.
#[derive(Debug)]
pub struct Datagram {
    /// When it was received, on CLOCK_MONOTONIC as in systemd's properties.
    pub at: Duration,
    /// Its assignments, one per line.
    pub text: String,
}

/// Reads what a forwarder has written down so far.
pub fn read(log: &Path) -> Vec<Datagram> {
    let text = fs::read_to_string(log).unwrap_or_default();
    // A line without its end is still being written.
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete.lines().map(datagram).collect()
}

fn datagram(line: &str) -> Datagram {
    let value: Value = serde_json::from_str(line).expect("a line of the forwarder's log");
    Datagram {
        at: Duration::from_micros(value["at"].as_u64().expect("a time in the forwarder's log")),
        text: value["text"]
            .as_str()
            .expect("a text in the forwarder's log")
            .to_owned(),
    }
}

/// Starts the forwarder and becomes the program.
///
/// Nobody waits for the forwarder: it ends after the program, and then belongs to the manager.
#[allow(clippy::zombie_processes)]
pub fn main(arguments: &[String]) -> ExitCode {
    let [log, program, rest @ ..] = arguments else {
        panic!("notify-proxy LOG PROGRAM [ARGUMENT]…")
    };
    let manager = env::var("NOTIFY_SOCKET").expect("notify-proxy runs in a unit of Type=notify");
    let own = format!("{log}.socket");
    // A predecessor that was killed left its socket behind.
    let _ = fs::remove_file(&own);
    let socket = UnixDatagram::bind(&own).expect("a socket to listen on");
    let mut forwarder = Command::new(env::current_exe().expect("the path of this executable"));
    forwarder
        .args(["notify-forwarder", log, &manager])
        .stdin(Stdio::from(OwnedFd::from(socket)));
    forwarder.spawn().expect("start the forwarder");
    let error = Command::new(program)
        .args(rest)
        .env("NOTIFY_SOCKET", &own)
        .exec();
    eprintln!("notify-proxy: {program}: {error}");
    ExitCode::FAILURE
}

/// Hands on datagrams until the process that started it has ended.
pub fn forward(arguments: &[String]) -> ExitCode {
    let [log, manager] = arguments else {
        panic!("notify-forwarder LOG SOCKET")
    };
    // A stop signals the whole cgroup, and what the main process says while it stops is wanted too.
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGHUP])
        .thread_block()
        .expect("block SIGTERM");
    let Some(parent) = getppid() else {
        return ExitCode::SUCCESS;
    };
    let Ok(parent) = pidfd_open(parent, PidfdFlags::empty()) else {
        return ExitCode::SUCCESS;
    };
    let socket = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .expect("a socket on standard input");
    let socket = UnixDatagram::from(socket);
    socket
        .set_nonblocking(true)
        .expect("a socket that does not block");
    let sender = UnixDatagram::unbound().expect("a socket to send from");
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .expect("open the log");
    loop {
        let mut fds = [
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(parent.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
        let ended = fds[1].any() == Some(true);
        hand_on(&socket, &sender, manager, &mut log);
        if ended {
            return ExitCode::SUCCESS;
        }
    }
}

fn hand_on(socket: &UnixDatagram, sender: &UnixDatagram, manager: &str, log: &mut File) {
    let mut buffer = [0; 8192];
    loop {
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("receive a datagram: {error}"),
        };
        let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).expect("read the clock"));
        let at = u64::try_from(now.as_micros()).expect("less than half a million years of uptime");
        let line = json!({ "at": at, "text": String::from_utf8_lossy(&buffer[..length]) });
        writeln!(log, "{line}").expect("write the log");
        sender
            .send_to(&buffer[..length], manager)
            .expect("hand on a datagram");
    }
}
