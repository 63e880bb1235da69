//! What can end the loop's sleep: signals, requests in the runtime folder, and the next deadline.
//!
//! Owns the one place where the daemon waits. What a wake-up means is the loop's to say.

use std::{mem, os::fd::AsFd, path::Path, time::Duration};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        inotify::{AddWatchFlags, InitFlags, Inotify},
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

use crate::text::line::Line;

/// Files in the runtime folder through which a human's command reaches the daemon.
const REQUESTS: [&str; 2] = ["pause.json", "reset"];

/// Why the sleep ended, besides the deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// SIGTERM or SIGINT: stop.
    pub leave: bool,
    /// SIGHUP: read the settings again.
    pub reload: bool,
    /// A request was made in the runtime folder, or may have been.
    pub request: bool,
}

/// The descriptors the loop sleeps on.
#[derive(Debug)]
pub struct Waker {
    signals: SignalFd,
    requests: Option<Inotify>,
    /// A request may have been made before the folder was watched anew.
    unwatched: bool,
}

impl Waker {
    /// Takes over SIGTERM, SIGINT and SIGHUP, and watches the runtime folder.
    ///
    /// A folder that cannot be watched only makes requests wait for the next check.
    ///
    /// # Errors
    /// The signals cannot be taken over.
    pub fn new(dir: &Path) -> Result<Self, Line> {
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            mask.add(signal);
        }
        let cannot = |e: Errno| Line::new(&format!("cannot take over signals: {}", e.desc()));
        mask.thread_block().map_err(cannot)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags).map_err(cannot)?;
        Ok(Self {
            signals,
            requests: watch(dir).ok(),
            unwatched: false,
        })
    }

    /// Watches the runtime folder that was made anew.
    pub fn watch(&mut self, dir: &Path) {
        self.requests = watch(dir).ok();
        self.unwatched = true;
    }

    /// Sleeps for `limit` at most.
    pub fn sleep(&mut self, limit: Duration) -> Wake {
        let mut descriptors = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if let Some(requests) = &self.requests {
            descriptors.push(PollFd::new(requests.as_fd(), PollFlags::POLLIN));
        }
        // Rounded up, so that the deadline has passed when the sleep is over.
        let millis = limit.as_micros().div_ceil(1000);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        let mut wake = Wake {
            request: self.requests.is_none() || mem::take(&mut self.unwatched),
            ..Wake::default()
        };
        // Interrupted or out of memory: an early look is the harmless way to go on.
        if poll(&mut descriptors, timeout) != Ok(0) {
            self.read_signals(&mut wake);
            self.read_requests(&mut wake);
        }
        wake
    }

    fn read_signals(&mut self, wake: &mut Wake) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            match i32::try_from(signal.ssi_signo).map(Signal::try_from) {
                Ok(Ok(Signal::SIGHUP)) => wake.reload = true,
                _ => wake.leave = true,
            }
        }
    }

    fn read_requests(&mut self, wake: &mut Wake) {
        let Some(requests) = &self.requests else {
            return;
        };
        while let Ok(events) = requests.read_events() {
            wake.request |= events.iter().any(|event| {
                event
                    .name
                    .as_ref()
                    .is_some_and(|name| REQUESTS.iter().any(|request| name == request))
            });
        }
    }
}

fn watch(dir: &Path) -> Result<Inotify, Errno> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    // A request is renamed into place; the end of a pause removes one.
    inotify.add_watch(dir, AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE)?;
    Ok(inotify)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_reported_when_one_was_made_or_may_have_been() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let mut waker = Waker::new(path).unwrap();
        // Whoever begins to watch looks for requests itself.
        assert_eq!(waker.sleep(Duration::ZERO), Wake::default());
        let request = |file: &str| {
            std::fs::write(path.join("new"), "").unwrap();
            std::fs::rename(path.join("new"), path.join(file)).unwrap();
        };
        request("state.json");
        assert!(!waker.sleep(Duration::ZERO).request);
        request("reset");
        assert!(waker.sleep(Duration::ZERO).request);
        assert!(!waker.sleep(Duration::ZERO).request);
        // One may have been made before the folder was watched again, or while it cannot be.
        waker.watch(path);
        assert!(waker.sleep(Duration::ZERO).request);
        assert!(!waker.sleep(Duration::ZERO).request);
        waker.watch(&path.join("missing"));
        assert!(waker.sleep(Duration::ZERO).request);
        assert!(waker.sleep(Duration::ZERO).request);
    }
}
