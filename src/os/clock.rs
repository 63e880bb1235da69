//! The kernel's clocks: what time it is, and how long the machine has been asleep.
//!
//! Everything the policy knows about time comes from here; what the time is for is not known here.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::policy::facts::Monotonic;

/// CLOCK_MONOTONIC and CLOCK_BOOTTIME of the running kernel (clock_gettime(2)).
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The moment by CLOCK_MONOTONIC, which stands still while the machine is suspended.
    pub fn now(&self) -> Monotonic {
        Monotonic(0) + read(ClockId::CLOCK_MONOTONIC)
    }

    /// Time since boot by CLOCK_BOOTTIME, suspends included.
    pub fn boottime(&self) -> Duration {
        read(ClockId::CLOCK_BOOTTIME)
    }

    /// How long the machine has been suspended since boot, all suspends together.
    ///
    /// Grows by exactly the time of each suspend. Two readings without a suspend between them may
    /// differ by the time between the two clock readings, so compare with a tolerance (one second will do).
    pub fn suspended(&self) -> Duration {
        // The monotonic clock first: it can only be older than the other, never ahead of it.
        let awake = read(ClockId::CLOCK_MONOTONIC);
        read(ClockId::CLOCK_BOOTTIME).saturating_sub(awake)
    }
}

/// Zero if the kernel refuses, which it does only for clocks it does not have:
/// a clock that stands still makes the policy wait, not act.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_the_kernels_monotonic_clock() {
        // /proc/uptime is the boot time clock, in hundredths of a second.
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let clock = Clock;
        let boottime = clock.boottime().as_secs_f64();
        assert!(
            (uptime - 0.02..uptime + 60.0).contains(&boottime),
            "{uptime} {boottime}"
        );
        let awake = Duration::from_micros(clock.now().0) + clock.suspended();
        assert!((uptime - 0.02..uptime + 60.0).contains(&awake.as_secs_f64()));
    }

    #[test]
    fn time_moves_forward() {
        let earlier = Clock.now();
        while Clock.now() == earlier {}
        assert!(earlier < Clock.now());
        assert_ne!(Clock.now().since(earlier), Duration::ZERO);
    }
}
