//! The journal, or standard error where no journal listens.
//!
//! Owns how records get there, and that a journal that takes none holds up nothing: they are kept back until it does.
//! Their words and fields are `entry`'s.

use std::{
    collections::VecDeque,
    io::{self, Write},
    os::{fd::AsFd, unix::net::UnixDatagram},
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use systemd_journal_logger::{JournalLog, connected_to_journal};

use crate::{
    journal::{
        entry::Entry,
        fields::{IDENTIFIER, USER_UNIT},
        kind_table::Level,
    },
    os::terminal,
    policy::{answer::Noted, state::State},
    text::words::Names,
};

/// journald's socket for records with fields, the one that systemd-journal-logger writes to.
/// Source: systemd-journald.service(8).
const SOCKET: &str = "/run/systemd/journal/socket";

/// How long a journal that took the last record may take for the next: a busy one needs milliseconds.
const WAIT: Duration = Duration::from_millis(200);

/// How many records are kept back at most: some thirty incidents, or a quarter of a megabyte.
const KEPT_BACK: usize = 256;

/// Where records go, and those that could not be written yet.
#[derive(Debug)]
pub struct Journal {
    sink: Sink,
    late: Late,
}

#[derive(Debug, Default)]
struct Late {
    kept_back: VecDeque<Entry>,
    lost: usize,
    /// Whether the journal did not take the last record.
    stuck: bool,
}

#[derive(Debug)]
enum Sink {
    Journald,
    StandardError { colour: bool },
}

impl Journal {
    /// The journal when this process's standard error is connected to it, else standard error.
    pub fn open() -> Self {
        let sink = if connected_to_journal() {
            Sink::Journald
        } else {
            let colour = terminal::takes_colour(&io::stderr());
            Sink::StandardError { colour }
        };
        Self {
            sink,
            late: Late::default(),
        }
    }

    /// The journal, whatever standard error is connected to: for a command that a human runs.
    pub(crate) fn journald() -> Self {
        Self {
            sink: Sink::Journald,
            late: Late::default(),
        }
    }

    /// Writes one record, after those that are kept back. `USER_UNIT=` makes it appear in the gateway's own log as well.
    pub fn write(&mut self, noted: &Noted, state: &State, names: Names<'_>) {
        let mut entry = Entry::of(&noted.record, noted.incident.as_deref(), state, names);
        entry.fields.push((USER_UNIT, names.unit.to_owned()));
        self.late.add(entry);
        self.flush();
    }

    /// Writes what is kept back, as far as the journal takes it.
    pub fn flush(&mut self) {
        self.late.flush(|entry, wait| self.sink.send(entry, wait));
    }

    /// How many records wait for a journal that takes none.
    pub fn kept_back(&self) -> usize {
        self.late.kept_back.len()
    }

    /// How many records were lost since this was last asked; none as long as the journal takes none.
    pub fn take_lost(&mut self) -> usize {
        if self.late.stuck {
            return 0;
        }
        std::mem::take(&mut self.late.lost)
    }
}

impl Late {
    /// The oldest make room for the newest, which say how things stand.
    fn add(&mut self, entry: Entry) {
        if self.kept_back.len() == KEPT_BACK {
            self.kept_back.pop_front();
            self.lost += 1;
        }
        self.kept_back.push_back(entry);
    }

    fn flush(&mut self, mut send: impl FnMut(&Entry, Duration) -> Sent) {
        while let Some(entry) = self.kept_back.front() {
            // Waited for once, and not again for each record or in each check.
            let wait = if self.stuck { Duration::ZERO } else { WAIT };
            let sent = send(entry, wait);
            self.stuck = sent == Sent::NotTaken;
            match sent {
                Sent::NotTaken => return,
                Sent::Refused => self.lost += 1,
                Sent::Written => {}
            }
            self.kept_back.pop_front();
        }
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Written,
    /// Nobody listens, or whoever does is behind; it is worth another try.
    NotTaken,
    /// This record cannot be written.
    Refused,
}

impl Sink {
    fn send(&self, entry: &Entry, wait: Duration) -> Sent {
        match self {
            Self::Journald => send_to_journald(entry, wait),
            Self::StandardError { colour } => {
                let (on, off) = match (colour, entry.level) {
                    (true, Level::Error) => ("\x1b[1;31m", "\x1b[0m"),
                    (true, Level::Warning) => ("\x1b[33m", "\x1b[0m"),
                    (true, Level::Notice) | (false, _) => ("", ""),
                };
                // A terminal that was closed is no reason to end.
                let written = writeln!(io::stderr(), "{on}{}{off}", entry.text);
                written.map_or(Sent::Refused, |()| Sent::Written)
            }
        }
    }
}

/// Sends one record, if it can be done without waiting longer than this.
///
/// systemd-journal-logger blocks as long as journald's queue is full, so nothing is sent before there is room.
/// A socket has a buffer of its own too, which records that journald has not read may fill sooner;
/// that is why each record has a new one.
/// What is left is another program that takes the last free place in between: then the watchdog ends this one.
fn send_to_journald(entry: &Entry, wait: Duration) -> Sent {
    if !has_room(SOCKET, wait) {
        return Sent::NotTaken;
    }
    // It sends an empty datagram, which takes a place in the queue as well.
    let Ok(journal) = JournalLog::new() else {
        return Sent::NotTaken;
    };
    if !has_room(SOCKET, wait) {
        return Sent::NotTaken;
    }
    let journal = journal.with_syslog_identifier(IDENTIFIER.to_owned());
    let level = match entry.level {
        Level::Error => log::Level::Error,
        Level::Warning => log::Level::Warn,
        Level::Notice => log::Level::Info,
    };
    let fields: &[(&str, String)] = &entry.fields;
    let sent = journal.journal_send(
        &log::Record::builder()
            .args(format_args!("{}", entry.text))
            .level(level)
            .target("gatehound")
            .key_values(&fields)
            .build(),
    );
    sent.map_or(Sent::Refused, |()| Sent::Written)
}

/// Whether a socket's queue has room for a datagram within this time.
///
/// Only a socket that is connected to it knows.
fn has_room(path: &str, wait: Duration) -> bool {
    let connected = UnixDatagram::unbound().and_then(|socket| {
        socket.connect(path)?;
        Ok(socket)
    });
    let Ok(socket) = connected else {
        return false;
    };
    let mut sockets = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    let timeout = PollTimeout::try_from(wait.as_millis()).unwrap_or(PollTimeout::ZERO);
    poll(&mut sockets, timeout).is_ok_and(|ready| 0 < ready)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::line::Line;

    fn entry(text: &str) -> Entry {
        Entry {
            level: Level::Notice,
            text: Line::new(text),
            fields: Vec::new(),
        }
    }

    #[test]
    fn what_the_journal_does_not_take_is_kept_back_in_order_and_waited_for_once() {
        let mut late = Late::default();
        late.add(entry("1"));
        late.add(entry("2"));
        let mut waited = Vec::new();
        for _ in 0..2 {
            late.flush(|_, wait| {
                waited.push(wait);
                Sent::NotTaken
            });
        }
        assert_eq!(waited, [WAIT, Duration::ZERO]);
        let mut sent = Vec::new();
        late.flush(|entry, _| {
            sent.push(entry.text.to_string());
            Sent::Written
        });
        assert_eq!(sent, ["1", "2"]);
        assert_eq!((late.kept_back.len(), late.lost), (0, 0));
    }

    #[test]
    fn more_than_can_be_kept_back_is_lost_and_counted() {
        let mut late = Late::default();
        for number in 0..KEPT_BACK + 3 {
            late.add(entry(&number.to_string()));
        }
        assert_eq!((late.kept_back.len(), late.lost), (KEPT_BACK, 3));
        assert_eq!(late.kept_back.front(), Some(&entry("3")));
        late.flush(|_, _| Sent::Refused);
        assert_eq!((late.kept_back.len(), late.lost), (0, KEPT_BACK + 3));
    }

    #[test]
    fn room_in_a_queue_is_known_without_sending_anything() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let name = path.to_str().unwrap();
        assert!(!has_room(name, Duration::ZERO), "nobody listens");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.set_nonblocking(true).unwrap();
        assert!(has_room(name, Duration::ZERO));
        while sender.send_to(b"1", &path).is_ok() {}
        assert!(!has_room(name, Duration::from_millis(10)));
        receiver.recv(&mut [0]).unwrap();
        assert!(has_room(name, Duration::ZERO));
    }
}
