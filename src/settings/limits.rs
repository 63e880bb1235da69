//! How long anything may take: the limits of each step of the loop, and what they add up to.
//!
//! Owns the numbers; the settings that go into the sums are `settings`'.

use std::time::Duration;

use crate::settings::{Invalid, Settings, values::spelled};

/// The longest a cleanup waits for processes to end.
pub const CLEANUP_GRACE: Duration = Duration::from_secs(2);

/// The longest a message to the user manager may take, connecting included.
pub const MANAGER_LIMIT: Duration = Duration::from_secs(3);

/// The longest that taking evidence may delay a restart.
pub const EVIDENCE_LIMIT: Duration = Duration::from_secs(2);

/// How long the disk may take to keep evidence.
pub const KEEP_LIMIT: Duration = Duration::from_millis(500);

/// How long the disk may take to roll a configuration back; one that takes longer is asked again in the next check.
pub const RESTORE_LIMIT: Duration = Duration::from_secs(2);

/// The longest that each part of an alert may delay a check: its file, and asking systemd to have it sent.
pub const ALERT_LIMIT: Duration = Duration::from_millis(500);

/// How long one port of several may take to say whether it is the gateway's.
pub const PORT_LIMIT: Duration = Duration::from_millis(100);

/// All that finding the port may take: four are asked, and half of it again for connecting and the body of each.
pub const FIND_PORT_LIMIT: Duration = Duration::from_millis(600);

/// The longest that the gateway's own lines in the journal are waited for.
pub const JOURNAL_LIMIT: Duration = Duration::from_secs(2);

/// How long `/ready` may take to answer; half of it again at most for connecting and the body.
pub const READY_LIMIT: Duration = Duration::from_secs(2);

/// The longest time the loop can be away between two events, besides waiting for the next look:
/// both probes at their limits, the manager's answers and the cleanup's grace.
pub fn longest_step(settings: &Settings) -> Duration {
    /// Jobs before and after a look, its unit before and after the probes, updates, and jobs or evidence.
    const MANAGER_CALLS: u32 = 6;
    // Evidence comes before probes, readiness after them; lines of the journal with either.
    // Where the gateway refused its configuration, that is compared beside them.
    let asked_of_it =
        (EVIDENCE_LIMIT + KEEP_LIMIT).max(READY_LIMIT * 3 / 2) + JOURNAL_LIMIT + KEEP_LIMIT;
    settings.longest_check()
        + MANAGER_LIMIT * MANAGER_CALLS
        + CLEANUP_GRACE * 2
        + asked_of_it
        + ALERT_LIMIT * 2
        + FIND_PORT_LIMIT
}

/// The longest time from a watchdog ping to the watchdog timeout that follows when the next look finds the gateway failing,
/// besides the wait for that look: what is asked after the ping, the unit twice, updates, what it said at its end, and its configuration.
pub fn longest_without_timeout(settings: &Settings) -> Duration {
    settings.longest_check()
        + MANAGER_LIMIT * 3
        + READY_LIMIT * 3 / 2
        + JOURNAL_LIMIT * 2
        + KEEP_LIMIT
        + ALERT_LIMIT * 2
        + FIND_PORT_LIMIT
}

/// A check that may outlast WatchdogSec would have systemd kill a watchdog that works.
pub fn fits(settings: &Settings, watchdog: Duration) -> Result<(), Invalid> {
    let limit = spelled(watchdog);
    if watchdog / 2 < settings.interval {
        let half = spelled(watchdog / 2);
        let right = format!("must not be longer than half of WatchdogSec={limit}: {half}");
        return Err(Invalid::span("interval", settings.interval, right));
    }
    if watchdog <= longest_without_timeout(settings).saturating_add(settings.interval) {
        // Blamed on the longer one: shortening it helps most.
        let (key, span) = if settings.probe.health_timeout < settings.probe.http_timeout {
            ("probe.http_timeout", settings.probe.http_timeout)
        } else {
            ("probe.health_timeout", settings.probe.health_timeout)
        };
        let right = format!(
            "too long: interval, 1.3 times probe.http_timeout, 1.5 times probe.health_timeout and \
             18.1s for the user manager, what a restarted gateway is asked and an alert together must be shorter than WatchdogSec={limit}"
        );
        return Err(Invalid::span(key, span, right));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_step_is_the_sum_of_what_is_waited_for() {
        let settings = Settings::default();
        let besides = longest_step(&settings) - settings.longest_check();
        // Manager 6 times 3 s, cleanup twice 2 s, `/ready` 3 s, journal 2 s, configuration 0.5 s, alert twice 0.5 s, port 0.6 s.
        assert_eq!(besides, Duration::from_millis(29_100));
        let evidence = EVIDENCE_LIMIT + KEEP_LIMIT;
        assert!(evidence < READY_LIMIT * 3 / 2, "the longer one counts");
    }
}
