//! What a failing gateway's process is doing, from what the kernel showed before and after a request it did not answer.
//!
//! Owns the judgement and its sentence; it reads nothing itself.
//! Every doubt ends in the kind that is given more time: what cannot be read makes the judgement more careful.

use std::time::Duration;

use crate::{
    os::{
        cgroup::Usage,
        main_thread::{Child, Turns},
        processes::Activity,
    },
    policy::facts::Stall,
    text::{line::Line, words::span},
};

/// What was read at one moment. Of a healthy gateway that is its activity alone, because the rest costs more.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// State and CPU time of the main thread.
    pub activity: Option<Activity>,
    /// Whether it runs at all.
    pub turns: Option<Turns>,
    /// The kernel function it sleeps in.
    pub sleeps_in: Option<Line>,
    /// What it started and what has not ended.
    pub children: Option<Vec<Child>>,
    /// What the whole unit used and waited for.
    pub unit: Option<Usage>,
}

/// When the main thread of a process last ran, as far as it was watched.
///
/// Times are by CLOCK_BOOTTIME, as the age of a child is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastTurn {
    pid: u32,
    /// What its counters were at the last reading, and at which reading they were so first.
    seen: Option<(Turns, Duration)>,
    /// The last reading.
    read: Duration,
    /// It ran after this moment; none where that was never seen.
    ran_after: Option<Duration>,
}

impl LastTurn {
    /// A reading of the counters.
    pub fn see(&mut self, pid: u32, turns: Turns, now: Duration) {
        self.is_of(pid);
        let stands = |(seen, _): &(Turns, Duration)| turns.are_those_of(seen);
        if !self.seen.as_ref().is_some_and(stands) {
            if self.seen.is_some() {
                self.ran_after = self.ran_after.max(Some(self.read));
            }
            self.seen = Some((turns, now));
        }
        self.read = now;
    }

    /// It answered, which takes a turn.
    pub fn answered(&mut self, pid: u32, now: Duration) {
        self.is_of(pid);
        self.ran_after = Some(now);
    }

    fn is_of(&mut self, pid: u32) {
        if self.pid != pid {
            *self = Self {
                pid,
                ..Self::default()
            };
        }
    }

    /// How long it has stood still at least, if these are its counters now.
    fn stood(&self, turns: &Turns, now: Duration) -> Option<Duration> {
        let (seen, since) = self.seen.as_ref()?;
        turns.are_those_of(seen).then(|| now.saturating_sub(*since))
    }
}

/// A request that failed.
#[derive(Debug)]
pub struct Request<'a> {
    /// What was read before it was sent.
    pub before: &'a Reading,
    /// What was read when it was given up.
    pub after: &'a Reading,
    /// How long it was pending.
    pub elapsed: Duration,
    /// Whether anything came back.
    pub answered: bool,
    /// What the main thread was seen to do before.
    pub last_turn: &'a LastTurn,
    /// When it was given up, by CLOCK_BOOTTIME.
    pub now: Duration,
}

/// Below this, two readings of a counter of hundredths prove nothing.
const WATCHED_LONG_ENOUGH: Duration = Duration::from_millis(200);

/// A thread that used less than this share of the time made no progress: one part in ten.
///
/// Not zero, because the timers of an idle gateway take a twentieth of a CPU, and the kernel counts in hundredths.
const PROGRESS: u32 = 10;

/// A thread that others keep from a CPU runs for less than this share of the time: one part in fifty.
const HARDLY: u32 = 50;

/// A unit that used less than this share of the time did nothing: all threads of one that is deadlocked
/// were measured to use a hundredth of that.
const IDLE: u32 = 500;

/// Readings and the start of a child are this far apart at most where they belong together.
const SLACK: Duration = Duration::from_secs(1);

/// What the process is doing, and the same in a sentence where there is more to say.
///
/// [`Stall::Gone`] is no answer here: whether anything listens is for the port probe to say.
pub fn judge(request: &Request<'_>) -> (Stall, Line) {
    if request.answered {
        return (Stall::Answering, Line::default());
    }
    let Some(after) = &request.after.activity else {
        return (Stall::Busy, Line::default());
    };
    // Not `t`: a tracer stops its process at every system call and lets it go on.
    if after.state == 'T' {
        return (Stall::Stopped, Line::default());
    }
    let used = request.before.activity.as_ref();
    let used = used.and_then(|before| after.cpu.checked_sub(before.cpu));
    // A counter that went back is that of another process, and proves nothing about this one.
    let Some(used) = used.filter(|_| WATCHED_LONG_ENOUGH <= request.elapsed) else {
        return (Stall::Busy, Line::default());
    };
    if let Some(starved) = starved(request, used) {
        return (Stall::Starved, starved);
    }
    if request.elapsed / PROGRESS <= used || !matches!(after.state, 'S' | 'D') {
        return (Stall::Busy, Line::default());
    }
    if let Some(disk) = disk(request, after.state) {
        return (Stall::Disk, disk);
    }
    // Without the kernel's exact count, hundredths of a second have to say it.
    let Some(stood) = stood(request).filter(|_| used < request.elapsed / IDLE) else {
        return (Stall::Blocked, Line::default());
    };
    asleep(request, stood)
}

/// How long the main thread has not run; none where it did run while the request was pending, or nobody knows.
fn stood(request: &Request<'_>) -> Option<Duration> {
    let after = request.after.turns.as_ref()?;
    let before = request.before.turns.as_ref();
    let stands = before.is_some_and(|before| after.are_those_of(before));
    let watched = request.last_turn.stood(after, request.now);
    let stood = if stands {
        watched.unwrap_or_default().max(request.elapsed)
    } else {
        watched.filter(|stood| request.elapsed <= *stood)?
    };
    Some(stood)
}

/// Of a main thread that sleeps and has not run: what it waits for.
fn asleep(request: &Request<'_>, stood: Duration) -> (Stall, Line) {
    let waits_for = Waits::of(request.after.sleeps_in.as_ref());
    let Some(children) = &request.after.children else {
        return (Stall::Blocked, Line::default());
    };
    let began = request.last_turn.ran_after;
    let since = began.map_or(Duration::MAX, |began| request.now.saturating_sub(began));
    let young = children
        .iter()
        .filter(|child| child.age <= since.saturating_add(SLACK));
    let youngest = young.min_by_key(|child| child.age);
    match (waits_for, youngest) {
        (Waits::Lock, None) if is_idle(request) => {
            let text = format!(
                "the event loop is deadlocked: it has not run for {} and nothing it waits for is running",
                span(stood)
            );
            (Stall::Deadlocked, Line::new(&text))
        }
        // Where the kernel hides what it sleeps in, a child that began with the stall is reason enough to wait.
        (Waits::Event | Waits::Hidden, Some(child)) => {
            let text = format!(
                "the event loop waits for pid {} ({}), started {} ago",
                child.pid,
                child.command,
                span(child.age)
            );
            (Stall::Waiting, Line::new(&text))
        }
        (Waits::Lock | Waits::Event | Waits::Hidden | Waits::Disk | Waits::Other, _) => {
            (Stall::Blocked, Line::default())
        }
    }
}

/// What a thread sleeps for, by the kernel function it sleeps in, whose name is another one in each kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Lock,
    /// Something to read, or the end of a child.
    Event,
    Disk,
    Other,
    Hidden,
}

impl Waits {
    fn of(function: Option<&Line>) -> Self {
        const DISK: [&str; 8] = [
            "io_schedule",
            "folio_wait",
            "wait_on_page",
            "wait_on_buffer",
            "rq_qos_wait",
            "jbd2_",
            "nfs_wait",
            "rpc_wait",
        ];
        const EVENT: [&str; 6] = [
            "ep_poll",
            "do_epoll_wait",
            "poll_schedule_timeout",
            "do_sys_poll",
            "do_select",
            "do_wait",
        ];
        let Some(function) = function.map(Line::as_str) else {
            return Self::Hidden;
        };
        let begins = |names: &[&str]| names.iter().any(|name| function.starts_with(name));
        if begins(&["futex_"]) {
            Self::Lock
        } else if begins(&EVENT) {
            Self::Event
        } else if begins(&DISK) {
            Self::Disk
        } else {
            Self::Other
        }
    }
}

/// Whether no thread of the unit did anything while the request was pending.
fn is_idle(request: &Request<'_>) -> bool {
    grown(request, |unit| unit.cpu).is_some_and(|used| used < request.elapsed / IDLE)
}

/// By how much a counter of the unit grew while the request was pending.
fn grown(request: &Request<'_>, counter: impl Fn(&Usage) -> Option<Duration>) -> Option<Duration> {
    let of = |reading: &Reading| reading.unit.as_ref().and_then(&counter);
    of(request.after)?.checked_sub(of(request.before)?)
}

/// Whether this long is at least so many parts in a hundred of the time that the request was pending.
fn is_share(request: &Request<'_>, time: Duration, percent: u32) -> bool {
    request.elapsed * percent <= time.saturating_mul(100)
}

/// The gateway did not run because something kept it from it: what, for how long, and by which setting.
fn starved(request: &Request<'_>, used: Duration) -> Option<Line> {
    let of = span(request.elapsed);
    let share = |time: &Duration, percent| is_share(request, *time, percent);
    let unit = request.after.unit.as_ref();
    // All CPUs together; what it was held up of one of them is no longer than the request.
    let throttled = grown(request, |unit| unit.throttled).filter(|time| share(time, 50));
    if let Some(time) = throttled {
        let quota = unit.and_then(|unit| unit.cpu_limit);
        let quota = quota.map_or_else(String::new, |quota| format!("{quota}%"));
        let time = span(time.min(request.elapsed));
        let text =
            format!("the gateway is starved: CPUQuota={quota} held it up for {time} of {of}");
        return Some(Line::new(&text));
    }
    let events = |reading: &Reading| reading.unit.as_ref().and_then(|unit| unit.memory_high);
    let is_squeezed = events(request.before) < events(request.after);
    let full = grown(request, |unit| unit.memory_full).filter(|time| share(time, 25));
    let some =
        grown(request, |unit| unit.memory_some).filter(|time| is_squeezed && share(time, 50));
    if let Some(time) = full.or(some) {
        let time = span(time);
        let limit = unit.and_then(|unit| unit.memory_limit);
        let text = match limit.filter(|_| is_squeezed) {
            Some(limit) => format!(
                "the gateway is starved: MemoryHigh={}M kept it waiting for memory for {time} of {of}",
                limit / (1024 * 1024)
            ),
            None => format!("the gateway is starved: it waited for memory for {time} of {of}"),
        };
        return Some(Line::new(&text));
    }
    let delayed = |reading: &Reading| reading.turns.as_ref()?.delayed;
    let delayed = delayed(request.after)
        .zip(delayed(request.before))
        .and_then(|(after, before)| after.checked_sub(before))
        // One that gets somewhere is busy, and would be so with all of a CPU.
        .filter(|time| share(time, 50) && used < request.elapsed / HARDLY);
    delayed.map(|time| {
        Line::new(&format!(
            "the gateway is starved: it was ready to run, and other work had the CPU for {} of {of}",
            span(time)
        ))
    })
}

/// The main thread waits for the disk, or everybody in the unit does.
fn disk(request: &Request<'_>, state: char) -> Option<Line> {
    let waits = Waits::of(request.after.sleeps_in.as_ref()) == Waits::Disk || state == 'D';
    let full = grown(request, |unit| unit.io_full).filter(|time| is_share(request, *time, 50));
    let time = match full {
        Some(time) => time,
        None if waits => stood(request).unwrap_or(request.elapsed),
        None => return None,
    };
    Some(Line::new(&format!(
        "the disk does not answer: {} in I/O wait",
        span(time)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: u64 = 5000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(state: char, cpu_ms: u64) -> Activity {
        Activity {
            state,
            cpu: ms(cpu_ms),
        }
    }

    /// What a cheap reading before and after a request says.
    #[track_caller]
    fn check(before: Option<Activity>, after: Option<Activity>, elapsed: u64, expected: Stall) {
        let reading = |activity| Reading {
            activity,
            ..Reading::default()
        };
        let (before, after) = (reading(before), reading(after));
        let mut request = Request {
            before: &before,
            after: &after,
            elapsed: ms(elapsed),
            answered: false,
            last_turn: &LastTurn::default(),
            now: ms(1_000_000),
        };
        assert_eq!(judge(&request), (expected, Line::default()));
        request.answered = true;
        assert_eq!(judge(&request).0, Stall::Answering);
    }

    #[test]
    fn a_main_thread_asleep_without_progress_is_blocked() {
        check(Some(at('S', 70)), Some(at('S', 70)), 5000, Stall::Blocked);
        // The timers of an idle gateway.
        check(Some(at('S', 70)), Some(at('S', 320)), 5000, Stall::Blocked);
    }

    #[test]
    fn cpu_progress_is_busy() {
        check(Some(at('R', 0)), Some(at('R', 5000)), 5000, Stall::Busy);
        check(Some(at('S', 0)), Some(at('S', 1000)), 5000, Stall::Busy);
        check(Some(at('S', 0)), Some(at('D', 600)), 5000, Stall::Busy);
    }

    #[test]
    fn a_signal_stop_is_stopped_and_a_tracers_stop_is_not() {
        check(Some(at('S', 0)), Some(at('T', 0)), 5000, Stall::Stopped);
        check(None, Some(at('T', 0)), 0, Stall::Stopped);
        check(Some(at('S', 0)), Some(at('t', 0)), 5000, Stall::Busy);
    }

    #[test]
    fn doubt_is_busy() {
        check(None, None, 5000, Stall::Busy);
        check(None, Some(at('S', 0)), 5000, Stall::Busy);
        check(Some(at('S', 0)), None, 5000, Stall::Busy);
        // Too short to tell.
        check(Some(at('S', 0)), Some(at('S', 0)), 50, Stall::Busy);
        // Runnable but not run: somebody else has the CPU.
        check(Some(at('R', 0)), Some(at('R', 0)), 5000, Stall::Busy);
        // The pid was used again.
        check(Some(at('S', 90)), Some(at('S', 10)), 5000, Stall::Busy);
        check(Some(at('S', 0)), Some(at('Z', 0)), 5000, Stall::Busy);
    }

    /// A gateway that hangs, read twice, whose main thread was seen to run 20 s before the request ended.
    struct Hang {
        before: Reading,
        after: Reading,
        last_turn: LastTurn,
    }

    const PID: u32 = 42;
    const NOW: Duration = Duration::from_secs(1000);
    const STOOD: Duration = Duration::from_secs(15);

    /// Its main thread sleeps in `function`; the children are this old, in seconds.
    fn hang(function: &str, children: &[u64]) -> Hang {
        let turns = Turns {
            stopped: false,
            switches: 7,
            ran: Some(ms(100)),
            delayed: Some(ms(1)),
        };
        let before = Reading {
            activity: Some(at('S', 100)),
            turns: Some(turns.clone()),
            unit: Some(Usage {
                cpu: Some(ms(500)),
                throttled: Some(ms(0)),
                memory_high: Some(3),
                memory_some: Some(ms(0)),
                memory_full: Some(ms(0)),
                io_full: Some(ms(0)),
                memory_limit: Some(512 << 20),
                cpu_limit: Some(20),
            }),
            ..Reading::default()
        };
        let child = |age: &u64| Child {
            pid: 4711,
            age: Duration::from_secs(*age),
            command: "ffmpeg -i in.mp4".into(),
        };
        let mut last_turn = LastTurn::default();
        last_turn.see(PID, Turns::default(), NOW - Duration::from_secs(20));
        last_turn.see(PID, turns, NOW - STOOD);
        Hang {
            after: Reading {
                sleeps_in: (!function.is_empty()).then(|| function.into()),
                children: Some(children.iter().map(child).collect()),
                ..before.clone()
            },
            before,
            last_turn,
        }
    }

    impl Hang {
        fn judge(&self) -> (Stall, Line) {
            judge(&Request {
                before: &self.before,
                after: &self.after,
                elapsed: ms(REQUEST),
                answered: false,
                last_turn: &self.last_turn,
                now: NOW,
            })
        }

        fn unit(&mut self) -> &mut Usage {
            self.after.unit.as_mut().unwrap()
        }

        #[track_caller]
        fn is(&self, stall: Stall, sentence: &str) {
            let (found, said) = self.judge();
            assert_eq!((found, said.as_str()), (stall, sentence));
        }
    }

    const DEADLOCKED: &str =
        "the event loop is deadlocked: it has not run for 15 s and nothing it waits for is running";

    #[test]
    fn one_that_sleeps_in_a_lock_and_has_nobody_at_work_is_deadlocked() {
        for function in ["futex_do_wait", "futex_wait_queue", "futex_wait_queue_me"] {
            hang(function, &[]).is(Stall::Deadlocked, DEADLOCKED);
        }
        // The workers of its start are old.
        hang("futex_do_wait", &[3600, 3601]).is(Stall::Deadlocked, DEADLOCKED);
    }

    #[test]
    fn one_of_which_something_is_at_work_or_unknown_is_not_deadlocked() {
        let blocked = |change: fn(&mut Hang)| {
            let mut hang = hang("futex_do_wait", &[3600]);
            change(&mut hang);
            hang.is(Stall::Blocked, "");
        };
        // A thread that may release the lock.
        blocked(|hang| hang.unit().cpu = Some(ms(510)));
        blocked(|hang| hang.unit().cpu = None);
        blocked(|hang| hang.before.unit = None);
        blocked(|hang| hang.after.children = None);
        blocked(|hang| hang.after.children.as_mut().unwrap()[0].age = STOOD);
        blocked(|hang| hang.after.sleeps_in = None);
        blocked(|hang| hang.after.sleeps_in = Some("pipe_read".into()));
        blocked(|hang| hang.after.turns.as_mut().unwrap().switches += 1);
        blocked(|hang| hang.after.turns = None);
        // It ran itself for a hundredth of the time: less than progress, more than nothing.
        blocked(|hang| hang.after.activity = Some(at('S', 100 + REQUEST / 100)));
        // Never seen to run, so that any child may be the one.
        blocked(|hang| hang.last_turn = LastTurn::default());
    }

    #[test]
    fn one_that_waits_for_what_it_has_just_started_is_waiting() {
        let expected = "the event loop waits for pid 4711 (ffmpeg -i in.mp4), started 18 s ago";
        for function in [
            "ep_poll",
            "do_epoll_wait",
            "do_wait",
            "poll_schedule_timeout",
        ] {
            hang(function, &[3600, 18]).is(Stall::Waiting, expected);
        }
        // Where the kernel hides what it sleeps in, the child is reason enough.
        hang("", &[18]).is(Stall::Waiting, expected);
        // One that was there before is not waited for.
        hang("do_epoll_wait", &[22, 3600]).is(Stall::Blocked, "");
        hang("do_epoll_wait", &[]).is(Stall::Blocked, "");
    }

    #[test]
    fn one_that_was_never_seen_to_run_may_wait_for_any_child() {
        let mut hang = hang("do_epoll_wait", &[3600]);
        hang.last_turn = LastTurn::default();
        assert_eq!(hang.judge().0, Stall::Waiting);
        hang.last_turn.answered(PID, NOW - Duration::from_secs(30));
        hang.is(Stall::Blocked, "");
    }

    #[test]
    fn what_was_read_before_stands_for_what_was_not() {
        // The first failing check after a healthy one knows the turns from a pulse.
        let mut hang = hang("do_epoll_wait", &[18]);
        hang.before.turns = None;
        assert_eq!(hang.judge().0, Stall::Waiting);
        // But not where the reading is younger than the request.
        hang.last_turn = LastTurn::default();
        let turns = hang.after.turns.clone().unwrap();
        hang.last_turn.see(PID, turns, NOW - ms(10));
        hang.is(Stall::Blocked, "");
    }

    #[test]
    fn a_disk_that_does_not_answer_is_named() {
        let expected = "the disk does not answer: 15 s in I/O wait";
        hang("io_schedule", &[]).is(Stall::Disk, expected);
        let mut waits = hang("", &[]);
        waits.after.activity = Some(at('D', 100));
        waits.is(Stall::Disk, expected);
        let mut all = hang("futex_do_wait", &[]);
        all.unit().io_full = Some(ms(3000));
        all.is(Stall::Disk, "the disk does not answer: 3 s in I/O wait");
        all.unit().io_full = Some(ms(2000));
        all.is(Stall::Deadlocked, DEADLOCKED);
    }

    #[test]
    fn what_starves_it_is_named_with_the_number_and_the_setting() {
        let starved = |change: fn(&mut Hang), sentence: &str| {
            let mut hang = hang("futex_do_wait", &[]);
            change(&mut hang);
            hang.is(
                Stall::Starved,
                &format!("the gateway is starved: {sentence}"),
            );
        };
        starved(
            |hang| hang.unit().throttled = Some(ms(4000)),
            "CPUQuota=20% held it up for 4 s of 5 s",
        );
        starved(
            |hang| {
                hang.unit().memory_full = Some(ms(2000));
                hang.unit().memory_high = Some(4);
            },
            "MemoryHigh=512M kept it waiting for memory for 2 s of 5 s",
        );
        starved(
            |hang| hang.unit().memory_full = Some(ms(2000)),
            "it waited for memory for 2 s of 5 s",
        );
        starved(
            |hang| {
                hang.after.activity = Some(at('R', 150));
                hang.after.turns.as_mut().unwrap().delayed = Some(ms(4001));
            },
            "it was ready to run, and other work had the CPU for 4 s of 5 s",
        );
        // Half of a CPU is enough to be busy.
        let mut busy = hang("", &[]);
        busy.after.activity = Some(at('R', 2600));
        busy.after.turns.as_mut().unwrap().delayed = Some(ms(4001));
        busy.is(Stall::Busy, "");
        // A little of each is everyday life.
        let mut hang = hang("futex_do_wait", &[]);
        hang.unit().throttled = Some(ms(1000));
        hang.unit().memory_full = Some(ms(1000));
        hang.unit().memory_high = Some(4);
        hang.unit().memory_some = Some(ms(2000));
        hang.is(Stall::Deadlocked, DEADLOCKED);
    }

    #[test]
    fn another_process_has_its_own_last_turn() {
        let turns = |switches| Turns {
            switches,
            ..Turns::default()
        };
        let secs = Duration::from_secs;
        let mut last = LastTurn::default();
        last.see(1, turns(1), secs(10));
        last.see(1, turns(1), secs(20));
        assert_eq!(last.ran_after, None);
        assert_eq!(last.stood(&turns(1), secs(25)), Some(secs(15)));
        assert_eq!(last.stood(&turns(2), secs(25)), None);
        last.see(1, turns(2), secs(30));
        assert_eq!(last.ran_after, Some(secs(20)));
        last.answered(1, secs(35));
        last.see(1, turns(3), secs(40));
        assert_eq!(last.ran_after, Some(secs(35)));
        last.see(2, turns(3), secs(50));
        assert_eq!((last.ran_after, last.pid), (None, 2));
    }
}
