//! The pulse: between two checks of a healthy gateway the kernel alone is looked at, and nothing is asked of anybody.
//!
//! Owns when it is due and what is suspicious; it reads nothing itself. Suspicion never counts as a failure: it only makes the check come now.
//! Where the kernel does not say it, nothing is suspicious, and the check comes when it would have come.

use std::time::Duration;

use crate::{
    os::main_thread::Turns,
    policy::facts::{Health, Monotonic},
};

/// What one pulse remembers for the next.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// The process whose main thread was read, its counters, and when that was.
    last: Option<(u32, Turns, Monotonic)>,
    /// How often it had given up the CPU to wait, where the last pulse asked for that.
    waits: Option<u64>,
    /// A check was made since.
    checked: bool,
    /// The check is made because nothing moved.
    because_still: bool,
    /// How often in a row that was for nothing.
    in_vain: u8,
    /// It has run after this moment, and nothing was suspicious.
    ran_after: Option<Monotonic>,
}

/// A gateway that answered at once has not moved because it had nothing to do; after so many times that is its way.
const ITS_WAY: u8 = 3;

/// One that stood still and has just gone on may take longer than this.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Two readings that are closer together say nothing.
const LONG_ENOUGH: Duration = Duration::from_millis(800);

/// How much of the time a core that is burnt throughout is at least burnt, in percent; the rest is for the readings.
const THROUGHOUT: u128 = 90;

/// Above this it may be burnt throughout from one pulse to the next, and it costs little beside that to ask whether it turns.
const MUCH: u128 = 50;

/// A main thread that turns gives up the CPU more often than this; one that computes without a pause
/// was measured to do so twice in 5 s.
const TURNS: u64 = 5;

/// When the pulse after `now` is due, at the moment the seed chooses of each interval:
/// counted from boot, so that those of many Gatehounds fall where their seeds say, whatever brought them together.
pub(super) fn next_pulse(now: Monotonic, every: Duration, seed: Option<u64>) -> Monotonic {
    let micros = u64::try_from(every.as_micros()).unwrap_or(u64::MAX).max(1);
    let chosen = seed.unwrap_or_default() % micros;
    let since = now.0.saturating_add(micros - chosen) % micros;
    Monotonic(now.0.saturating_add(micros - since))
}

impl Pulse {
    /// A check has found this.
    pub(super) fn checked(&mut self, health: &Health) {
        self.checked = true;
        if !std::mem::take(&mut self.because_still) {
            return;
        }
        match health {
            Health::Healthy(took) if *took < AT_ONCE => {
                self.in_vain = self.in_vain.saturating_add(1);
            }
            Health::Healthy(_) | Health::Failing(_) | Health::Unknown(_) | Health::NotProbed => {
                self.in_vain = 0
            }
        }
    }

    /// Whether the main thread, whose counters are these now, makes one suspicious; `waiting` is a connection
    /// that nobody has accepted, and `waits` how often it gave up the CPU to wait, which is only asked of a busy one.
    pub(super) fn is_suspicious(
        &mut self,
        pid: u32,
        turns: Turns,
        now: Monotonic,
        waiting: bool,
        waits: impl FnOnce() -> Option<u64>,
    ) -> bool {
        let checked = std::mem::take(&mut self.checked);
        let is_early = |last: &(u32, Turns, Monotonic)| now.since(last.2) < LONG_ENOUGH;
        if self.last.as_ref().is_some_and(is_early) {
            self.checked |= checked;
            return false;
        }
        let last_waits = self.waits.take();
        let Some((last_pid, last, then)) = self.last.replace((pid, turns.clone(), now)) else {
            return turns.stopped;
        };
        if last_pid != pid {
            self.in_vain = 0;
            return turns.stopped;
        }
        let elapsed = now.since(then).as_micros();
        // One that is ready to run and has to wait for a core would burn it as well.
        let busy = |turns: &Turns| Some(turns.ran? + turns.delayed.unwrap_or_default());
        let ran = busy(&turns).zip(busy(&last));
        let ran = ran.and_then(|(now, then)| now.checked_sub(then));
        let ran = ran.unwrap_or_default().as_micros() * 100;
        if elapsed * MUCH <= ran {
            self.waits = waits();
        }
        // Of one that has just become busy it is not known whether it turns, and a check finds out.
        let turns_not = |now: u64| last_waits.is_none_or(|then| now.saturating_sub(then) < TURNS);
        let is_burnt = elapsed * THROUGHOUT <= ran && self.waits.is_some_and(turns_not);
        let is_still = turns.are_those_of(&last);
        if !is_still && !checked {
            self.in_vain = 0;
        }
        let believed = waiting || self.in_vain < ITS_WAY;
        self.because_still = is_still && believed && !waiting;
        let is_suspicious = turns.stopped || is_burnt || (is_still && believed);
        if !is_still && !is_suspicious {
            self.ran_after = Some(then);
        }
        is_suspicious
    }

    /// After which moment it was seen to run.
    pub(super) fn ran_after(&self) -> Option<Monotonic> {
        self.ran_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(5);
    const PID: u32 = 42;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(1_000_000_000 + seconds * 1_000_000)
    }

    fn turns(switches: u64, ran_ms: u64) -> Turns {
        Turns {
            stopped: false,
            switches,
            ran: Some(Duration::from_millis(ran_ms)),
            delayed: None,
        }
    }

    /// One that is not busy is not asked how often it waited.
    fn idle() -> Option<u64> {
        panic!("asked in vain");
    }

    /// Pulses 5 s apart with these counters; whether each is suspicious.
    fn pulses(pulse: &mut Pulse, counters: &[(u64, u64)], waiting: bool) -> Vec<bool> {
        let each = counters.iter().enumerate().map(|(index, (switches, ran))| {
            let now = at(5 * u64::try_from(index).unwrap());
            let waits = || Some(*switches);
            pulse.is_suspicious(PID, turns(*switches, *ran), now, waiting, waits)
        });
        each.collect()
    }

    #[test]
    fn one_that_turns_is_not_suspicious_and_one_that_stands_still_is() {
        let found = pulses(
            &mut Pulse::default(),
            &[(1, 1), (257, 40), (257, 40)],
            false,
        );
        assert_eq!(found, [false, false, true]);
    }

    #[test]
    fn it_is_known_after_which_pulse_it_ran() {
        let mut pulse = Pulse::default();
        assert_eq!(pulse.ran_after(), None);
        // It hangs somewhere between the second and the third.
        pulses(
            &mut pulse,
            &[(1, 1), (257, 40), (300, 50), (300, 50)],
            false,
        );
        assert_eq!(pulse.ran_after(), Some(at(5)));
    }

    #[test]
    fn a_core_that_is_burnt_throughout_is_suspicious() {
        let found = pulses(
            &mut Pulse::default(),
            // A busy gateway turns all the same, which is known from the second time; JSON without a pause does not.
            &[
                (1, 0),
                (200, 4990),
                (420, 9970),
                (422, 14_960),
                (650, 15_100),
                (651, 17_000),
            ],
            false,
        );
        assert_eq!(found, [false, true, false, true, false, false]);
        let half = [(1, 0), (200, 2600), (420, 7590), (421, 12_580)];
        let found = pulses(&mut Pulse::default(), &half, false);
        assert_eq!(found, [false, false, false, true]);
        // Where the kernel does not say it, nothing is suspicious.
        let mut pulse = Pulse::default();
        let mut hidden =
            |time, ran| pulse.is_suspicious(PID, turns(time, ran), at(time), false, || None);
        assert_eq!(
            [hidden(5, 0), hidden(10, 4990), hidden(15, 9980)],
            [false; 3]
        );
    }

    #[test]
    fn one_that_never_moves_by_itself_is_let_be_until_a_connection_waits() {
        let mut pulse = Pulse::default();
        let healthy = Health::Healthy(Duration::from_millis(3));
        let (mut switches, mut time, mut checks) = (1, 0, 0);
        let mut beats = |pulse: &mut Pulse, switches, waiting| {
            time += 5;
            pulse.is_suspicious(PID, turns(switches, 0), at(time), waiting, idle)
        };
        for _ in 0..20 {
            if beats(&mut pulse, switches, false) {
                pulse.checked(&healthy);
                // The check wakes it.
                switches += 1;
                checks += 1;
            }
        }
        assert_eq!(checks, ITS_WAY);
        assert!(beats(&mut pulse, switches, true));
        // One that moves unasked has another way.
        assert!(!beats(&mut pulse, 99, false));
        assert!(beats(&mut pulse, 99, false));
    }

    #[test]
    fn one_that_was_late_to_answer_stood_still() {
        let mut pulse = Pulse::default();
        for beat in 0..20 {
            let (switches, suspicious) = (beat / 2, beat % 2 == 1);
            let found = pulse.is_suspicious(PID, turns(switches, 0), at(5 * beat), false, idle);
            assert_eq!(found, suspicious, "{beat}");
            if found {
                pulse.checked(&Health::Healthy(Duration::from_secs(3)));
            }
        }
    }

    #[test]
    fn one_that_a_signal_has_stopped_is_suspicious_at_once() {
        let stopped = Turns {
            stopped: true,
            ..turns(1, 0)
        };
        assert!(Pulse::default().is_suspicious(PID, stopped, at(0), false, idle));
    }

    #[test]
    fn another_process_is_not_compared_with_the_one_before() {
        let mut pulse = Pulse::default();
        assert!(!pulse.is_suspicious(PID, turns(1, 1), at(0), false, idle));
        assert!(!pulse.is_suspicious(PID + 1, turns(1, 1), at(5), false, idle));
        assert!(pulse.is_suspicious(PID + 1, turns(1, 1), at(10), false, idle));
    }

    #[test]
    fn the_pulses_of_many_fall_into_all_of_the_interval() {
        let mut slots = [0; 5];
        let seeds = (0..100_u64).map(|seed| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for seed in seeds {
            let now = at(12);
            let due = next_pulse(now, EVERY, Some(seed));
            let wait = due.since(now);
            assert!(Duration::ZERO < wait && wait <= EVERY, "{wait:?}");
            assert_eq!(next_pulse(due, EVERY, Some(seed)), due + EVERY);
            slots[usize::try_from(wait.as_micros() / 1_000_001).unwrap()] += 1;
        }
        assert!(slots.iter().all(|slot| (8..40).contains(slot)), "{slots:?}");
    }
}
