//! Work in a thread of its own, so that a disk or a program that hangs holds up nobody.
//!
//! Owns how such a thread is started and waited for, and that one that is late is left behind. Knows nothing of the work.

use std::{
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use crate::{settings::values::spelled, text::line::Line};

/// Starts some work, whose end nobody waits for; `name` is the thread's, `purpose` what it is to do, for the error.
///
/// # Errors
///
/// No thread can be started.
pub(crate) fn start(
    name: &str,
    purpose: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), Line> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|e| Line::new(&format!("cannot start a thread to {purpose}: {e}")))
}

/// Starts some work; what it comes to arrives through the channel.
///
/// # Errors
///
/// No thread can be started.
pub(crate) fn begin<T: Send + 'static>(
    name: &str,
    purpose: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Receiver<T>, Line> {
    let (sender, receiver) = channel();
    // Nobody may be waiting any more.
    start(name, purpose, move || drop(sender.send(work())))?;
    Ok(receiver)
}

/// Has something written, and leaves it behind when it is late.
///
/// # Errors
///
/// No thread can be started, or the time is up.
pub(crate) fn within<T: Send + 'static>(
    budget: Duration,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Line> {
    let receiver = begin(what, &format!("write {what}"), work)?;
    receiver.recv_timeout(budget).map_err(|_| {
        let budget = spelled(budget);
        Line::new(&format!(
            "the {what} is not written within {budget}; going on without"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_does_not_answer_is_not_waited_for() {
        let (sender, receiver) = channel::<()>();
        let late = within(Duration::from_millis(10), "evidence", move || {
            receiver.recv()
        });
        assert_eq!(
            late.unwrap_err().as_str(),
            "the evidence is not written within 10ms; going on without"
        );
        drop(sender);
        assert_eq!(within(Duration::from_secs(60), "evidence", || 7), Ok(7));
    }
}
