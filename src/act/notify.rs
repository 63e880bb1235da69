//! The service manager's notification socket, as sd_notify(3) describes it.
//!
//! Owns what is put on the wire; when a vouch or a lease is due is the policy's to say.
//! Texts come as [`Line`]s, because sd-notify does not escape newlines.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::line::Line;

/// The connection to whoever supervises this process, if anybody does.
#[derive(Debug)]
pub struct Notifier {
    supervised: bool,
    watchdog: Option<Duration>,
    status: Line,
}

/// What the watchdog is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watchdog {
    /// `WATCHDOG=1`.
    Vouch,
    /// `WATCHDOG=1`, and the unit's own WatchdogSec again.
    VouchAndRestore,
    /// `WATCHDOG_USEC=`: this long and no longer.
    Lease(Duration),
    /// Nothing.
    Silence,
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` of this process.
    pub fn from_env() -> Self {
        Self {
            supervised: std::env::var_os("NOTIFY_SOCKET").is_some(),
            watchdog: sd_notify::watchdog_enabled(),
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

    /// Tells that start-up is complete.
    ///
    /// # Errors
    /// The socket could not be written.
    pub fn ready(&mut self, status: &Line) -> Result<(), Line> {
        self.status = status.clone();
        self.send(&[NotifyState::Ready, NotifyState::Status(status.as_str())])
    }

    /// Tells that the settings are being read again; `READY=1` follows through [`Notifier::ready`].
    ///
    /// # Errors
    /// The socket could not be written.
    pub fn reloading(&self) -> Result<(), Line> {
        let now = NotifyState::monotonic_usec_now().map_err(|e| Line::new(&e.to_string()))?;
        self.send(&[NotifyState::Reloading, now])
    }

    /// Tells that the process is about to end.
    ///
    /// # Errors
    /// The socket could not be written.
    pub fn stopping(&self) -> Result<(), Line> {
        self.send(&[NotifyState::Stopping])
    }

    /// Tells the watchdog, and the status where it changed, in one message.
    ///
    /// Without a watchdog only the status is sent: `WATCHDOG_USEC=` would switch one on where the unit has none.
    ///
    /// # Errors
    /// The socket could not be written.
    pub fn tell(&mut self, watchdog: Watchdog, status: &Line) -> Result<(), Line> {
        let mut message = Vec::new();
        let own = self.watchdog;
        match (watchdog, own) {
            (Watchdog::Silence, _) | (_, None) => {}
            (Watchdog::Vouch, Some(_)) => message.push(NotifyState::Watchdog),
            (Watchdog::VouchAndRestore, Some(own)) => {
                message.extend([NotifyState::WatchdogUsec(usec(own)), NotifyState::Watchdog]);
            }
            (Watchdog::Lease(lease), Some(_)) => {
                message.push(NotifyState::WatchdogUsec(usec(lease)))
            }
        }
        if *status != self.status {
            message.push(NotifyState::Status(status.as_str()));
        }
        if message.is_empty() {
            return Ok(());
        }
        let sent = self.send(&message);
        self.status = status.clone();
        sent
    }

    fn send(&self, message: &[NotifyState<'_>]) -> Result<(), Line> {
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
