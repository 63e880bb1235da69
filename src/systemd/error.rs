//! `ManagerError`: what can go wrong with the user manager, in our own words.
//!
//! Owns the border at which zbus's errors end.

use std::time::Duration;

use thiserror::Error;
use zbus::DBusError;

use crate::text::line::Line;

/// What is missing, and what helps, where nobody knows which of manager and bus it is.
const NO_MANAGER: [&str; 2] = [
    "no user manager on the bus",
    "is it running? `loginctl enable-linger` starts and keeps it, the package dbus-user-session brings its bus",
];

/// The same where the manager runs.
const NO_BUS: [&str; 2] = [
    "the user manager runs, but without a bus",
    "the package dbus-user-session brings it: sudo apt-get install dbus-user-session, \
     then: systemctl --user start dbus.socket",
];

/// Why the user manager gave no answer, or not the one asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ManagerError {
    /// No bus, or no user manager on it; nothing was asked of one.
    #[error("{missing} at {address}: {reason}; {remedy}")]
    NoBus {
        /// Where the bus was looked for.
        address: Line,
        /// What was seen there.
        reason: Line,
        /// What is missing.
        missing: &'static str,
        /// What helps.
        remedy: &'static str,
    },
    /// No answer in time; what was asked for may still happen.
    #[error("the user manager did not {what} within {after:?}, connecting anew next time")]
    Timeout {
        /// What was asked for.
        what: Line,
        /// The limit that passed.
        after: Duration,
    },
    /// The connection ended before the answer came; what was asked for may still happen.
    #[error("lost the bus while asking to {what}: {reason}, connecting anew next time")]
    Lost {
        /// What was asked for.
        what: Line,
        /// How the connection ended.
        reason: Line,
    },
    /// The manager said no.
    #[error("the user manager refused to {what}: {message} ({name})")]
    Refused {
        /// What was asked for.
        what: Line,
        /// The D-Bus error name, such as `org.freedesktop.systemd1.TransactionIsDestructive`.
        name: String,
        /// The manager's own words.
        message: Line,
    },
    /// An answer that is none; what was asked for may have happened.
    #[error("the user manager's answer when asked to {what} makes no sense: {reason}")]
    Protocol {
        /// What was asked for.
        what: Line,
        /// What is wrong with the answer.
        reason: Line,
    },
}

impl ManagerError {
    pub(super) fn no_bus(address: &str, reason: &str) -> Self {
        Self::missing(address, reason, NO_MANAGER)
    }

    /// The manager runs, and has no bus at `address`.
    pub(super) fn bus_missing(address: &str, reason: &str) -> Self {
        Self::missing(address, reason, NO_BUS)
    }

    fn missing(address: &str, reason: &str, [missing, remedy]: [&'static str; 2]) -> Self {
        Self::NoBus {
            address: Line::new(address),
            reason: Line::new(reason),
            missing,
            remedy,
        }
    }

    /// Of a call that was sent over the bus at `address`.
    pub(super) fn of_call(what: &str, address: &str, error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, message, _) => {
                Self::of_reply(what, address, &name, &message.unwrap_or_default())
            }
            zbus::Error::FDO(error) => {
                let message = error.description().unwrap_or_default();
                Self::of_reply(what, address, &error.name(), message)
            }
            zbus::Error::InputOutput(error) => Self::lost(what, &error.to_string()),
            other => Self::protocol(what, &other.to_string()),
        }
    }

    /// Of an error reply, which the manager sent, or the bus in its place.
    fn of_reply(what: &str, address: &str, name: &str, message: &str) -> Self {
        match name.strip_prefix("org.freedesktop.DBus.Error.") {
            Some("ServiceUnknown" | "NameHasNoOwner") => Self::no_bus(address, message),
            // The bus tried to start a manager, which cannot be done that way.
            Some(name) if name.starts_with("Spawn.") => Self::no_bus(address, message),
            // The manager left the bus after it had taken the call.
            Some("NoReply") => Self::lost(what, message),
            _ => Self::Refused {
                what: Line::new(what),
                name: Line::new(name).to_string(),
                message: Line::new(message),
            },
        }
    }

    fn lost(what: &str, reason: &str) -> Self {
        Self::Lost {
            what: Line::new(what),
            reason: Line::new(reason),
        }
    }

    pub(super) fn protocol(what: &str, reason: &str) -> Self {
        Self::Protocol {
            what: Line::new(what),
            reason: Line::new(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        let name = format!("org.freedesktop.{name}");
        let error = ManagerError::of_reply("stop x", "unix:path=/bus", &name, "it\nsays");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_reply_of_the_bus_about_a_missing_manager_is_no_bus() {
        let expected = "no user manager on the bus at unix:path=/bus: it says; is it running? \
             `loginctl enable-linger` starts and keeps it, the package dbus-user-session brings its bus";
        check("DBus.Error.ServiceUnknown", expected);
        check("DBus.Error.NameHasNoOwner", expected);
        check("DBus.Error.Spawn.ChildExited", expected);
    }

    #[test]
    fn a_manager_that_left_without_an_answer_is_lost() {
        check(
            "DBus.Error.NoReply",
            "lost the bus while asking to stop x: it says, connecting anew next time",
        );
    }

    #[test]
    fn any_other_error_reply_is_a_refusal() {
        check(
            "systemd1.UnitMasked",
            "the user manager refused to stop x: it says (org.freedesktop.systemd1.UnitMasked)",
        );
        check(
            "DBus.Error.AccessDenied",
            "the user manager refused to stop x: it says (org.freedesktop.DBus.Error.AccessDenied)",
        );
    }
}
