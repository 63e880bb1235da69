//! The service manager's notification socket, as sd_notify(3) describes it.
//!
//! Owns what is put on the wire; when a watchdog ping or a watchdog timeout is due is the policy's to say.
//! Texts come as [`Line`]s, because sd-notify does not escape newlines.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::text::line::Line;

/// The connection to whoever supervises this process, if anybody does.
#[derive(Debug)]
pub struct Notifier {
    supervised: bool,
    watchdog: Option<Duration>,
    /// `READY=1` was sent.
    ready: bool,
    status: Line,
}

/// What systemd's watchdog gets to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watchdog {
    /// `WATCHDOG=1`.
    Ping,
    /// `WATCHDOG=1`, and the unit's own WatchdogSec again.
    PingAndRestore,
    /// `WATCHDOG_USEC=`: this long and no longer.
    Timeout(Duration),
    /// Nothing.
    Silence,
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` of this process.
    pub fn from_env() -> Self {
        Self {
            supervised: std::env::var_os("NOTIFY_SOCKET").is_some(),
            watchdog: sd_notify::watchdog_enabled(),
            ready: false,
            status: Line::default(),
        }
    }

    /// Whether a service manager listens.
    pub fn supervised(&self) -> bool {
        self.supervised
    }

    /// The unit's WatchdogSec, if it is set.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Says that start-up is complete.
    ///
    /// # Errors
    /// The socket could not be written.
    pub fn ready(&mut self, status: &Line) -> Result<(), Line> {
        self.status = status.clone();
        self.ready = true;
        self.deliver(&[NotifyState::Ready, NotifyState::Status(status.as_str())])
    }

    /// Says that the settings are being read again; `READY=1` follows through [`Notifier::ready`].
    ///
    /// # Errors
    /// The socket could not be written.
    pub fn reloading(&self) -> Result<(), Line> {
        let now = NotifyState::monotonic_usec_now().map_err(|e| Line::new(&e.to_string()))?;
        self.deliver(&[NotifyState::Reloading, now])
    }

    /// Says that the process is about to end.
    ///
    /// # Errors
    /// The socket could not be written.
    pub fn stopping(&self) -> Result<(), Line> {
        self.deliver(&[NotifyState::Stopping])
    }

    /// Sends what the watchdog gets to hear, and the status where it changed, in one message.
    ///
    /// Without a watchdog only the status is sent: `WATCHDOG_USEC=` would switch one on where the unit has none.
    /// Before `READY=1` it is TimeoutStartSec= that runs, and a watchdog timeout extends it by as much.
    ///
    /// # Errors
    /// The socket could not be written.
    pub fn send(&mut self, watchdog: Watchdog, status: &Line) -> Result<(), Line> {
        let message = self.message(watchdog, status);
        if message.is_empty() {
            return Ok(());
        }
        let sent = self.deliver(&message);
        self.status = status.clone();
        sent
    }

    fn message<'a>(&self, watchdog: Watchdog, status: &'a Line) -> Vec<NotifyState<'a>> {
        let mut message = Vec::new();
        let own = self.watchdog;
        if let (Watchdog::Timeout(timeout), false) = (watchdog, self.ready) {
            message.push(NotifyState::ExtendTimeoutUsec(usec(timeout)));
        }
        match (watchdog, own) {
            (Watchdog::Silence, _) | (_, None) => {}
            (Watchdog::Ping, Some(_)) => message.push(NotifyState::Watchdog),
            (Watchdog::PingAndRestore, Some(own)) => {
                message.extend([NotifyState::WatchdogUsec(usec(own)), NotifyState::Watchdog]);
            }
            (Watchdog::Timeout(timeout), Some(_)) => {
                message.push(NotifyState::WatchdogUsec(usec(timeout)))
            }
        }
        if *status != self.status {
            message.push(NotifyState::Status(status.as_str()));
        }
        message
    }

    fn deliver(&self, message: &[NotifyState<'_>]) -> Result<(), Line> {
        sd_notify::notify(message).map_err(|e| {
            Line::new(&format!(
                "cannot write to the notification socket: {e}; going on"
            ))
        })
    }
}

/// Microseconds, at most what the field holds: 71 minutes.
fn usec(span: Duration) -> u32 {
    // 0 would switch the watchdog off: systemd.service(5), WatchdogSec=.
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(notifier: &Notifier, watchdog: Watchdog) -> Vec<String> {
        let message = notifier.message(watchdog, &notifier.status);
        message.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_timeout_before_ready_extends_the_start_and_none_after_it_does() {
        let timeout = Watchdog::Timeout(Duration::from_secs(100));
        let mut notifier = Notifier {
            supervised: true,
            watchdog: Some(Duration::from_secs(90)),
            ready: false,
            status: Line::default(),
        };
        let extended = ["EXTEND_TIMEOUT_USEC=100000000", "WATCHDOG_USEC=100000000"];
        assert_eq!(said(&notifier, timeout), extended);
        notifier.watchdog = None;
        assert_eq!(said(&notifier, timeout), extended[..1]);
        notifier.ready = true;
        assert!(said(&notifier, timeout).is_empty());
        notifier.watchdog = Some(Duration::from_secs(90));
        assert_eq!(said(&notifier, timeout), extended[1..]);
    }
}
