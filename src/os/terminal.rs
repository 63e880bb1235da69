//! The terminal of who reads: whether it takes colour, and single keys that are pressed at it.
//!
//! Owns the variables that say the first; knows nothing of what is written to it or of what a key means.

use std::{
    env,
    ffi::OsStr,
    io::{IsTerminal, stdin},
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr},
    unistd::{getpgrp, read, tcgetpgrp},
};
use std::os::fd::AsFd as _;

/// Whether to colour what is written to a stream: to a terminal, unless `$NO_COLOR` is set and not empty, or `$TERM`
/// names one that takes none.
///
/// Source: <https://no-color.org>.
pub fn takes_colour(stream: &impl IsTerminal) -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == OsStr::new("dumb"));
    stream.is_terminal() && !is_set("NO_COLOR") && !dumb
}

/// Single keys, taken until this is dropped.
#[derive(Debug)]
pub struct Keys {
    before: Termios,
}

impl Keys {
    /// Takes them, where standard input is a terminal that this process may read from.
    ///
    /// Signals are no longer made of keys, because one would leave the terminal as it is now.
    pub fn take() -> Option<Self> {
        let input = stdin();
        // In the background of a terminal that it is controlled by, asking for it would stop the process.
        if tcgetpgrp(&input).is_ok_and(|foreground| foreground != getpgrp()) {
            return None;
        }
        let before = tcgetattr(&input).ok()?;
        let mut single = before.clone();
        single
            .local_flags
            .remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
        tcsetattr(&input, SetArg::TCSANOW, &single).ok()?;
        Some(Self { before })
    }

    /// The key that is pressed within this time, if one is.
    pub fn pressed(&self, within: Duration) -> Option<u8> {
        let input = stdin();
        let timeout = PollTimeout::try_from(within).unwrap_or(PollTimeout::ZERO);
        let mut polled = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, timeout).ok()? == 0 {
            return None;
        }
        let mut key = [0];
        let length = read(&input, &mut key).ok()?;
        // The end of input would be read again and again.
        key.into_iter().next().filter(|_| 0 < length)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // The terminal may be gone, and then nobody needs it as it was.
        let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.before);
    }
}
