//! Trials in which Gatehound is killed between two effects of a recovery: at every fault point that one passes.
//!
//! The list of the points is the program's own: a first recovery without a kill writes down those it passes, and
//! then each of them has a recovery in which SIGKILL ends Gatehound there.
//! See `src/os/fault.rs` for the points.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::signal::Signal::SIGKILL;
use serde_json::Value;

use crate::journal::Record;
use crate::rig::{Left, Rig, Setup, TIMEOUT, process_state, quoted, systemctl, wait_until, write};
use crate::watched::{event, invocation};

/// These trials occupy the machine, so no other runs beside them.
pub fn alone() -> Vec<Trial> {
    let mut list: Vec<(&str, fn())> = vec![
        (
            "killed_at_any_point_of_a_recovery_the_gateway_is_brought_back_once",
            killed_once,
        ),
        (
            "killed_at_any_point_while_the_gateway_is_up_a_humans_stop_is_final",
            stopped_by_human,
        ),
    ];
    if std::env::var_os("E2E_LONG").is_some() {
        list.push((
            "killed_twice_in_a_recovery_the_gateway_is_brought_back_once",
            killed_twice,
        ));
    }
    crate::named(&list)
}

/// Recoveries at once: they mostly wait, two seconds of each for a leftover that ignores SIGTERM.
const AT_ONCE: usize = 16;

/// Recoveries for one plan until it has to have come true.
const GOES: usize = 3;

/// How long a recovery may take until it passes a point; one that has not by then does not pass it.
const ON_ITS_WAY: Duration = Duration::from_secs(20);

/// No look takes time but those at a gateway that is healthy, and those have all they may need.
pub const SETTINGS: &str = r#"
interval = "500ms"
debounce = "0s"
backoff = ["100ms", "100ms", "100ms"]
[probe]
http_timeout = "5s"
health_timeout = "5s"
[grace]
interval = "300ms"
gone = "10s"
answering = "1s"
starting = "1min"
starting_idle = "1min"
[stop_timeout]
draining = "300ms"
"#;

/// One recovery from its begin: a gateway that works no longer and does not hear that it is to stop.
struct Recovery {
    rig: Rig,
    /// The run of the gateway that is to be replaced.
    failed: String,
    /// A process of the gateway outside of its unit, which only SIGKILL ends.
    leftover: Child,
    mark: usize,
}

impl Recovery {
    /// Everything is well, and the points of this plan are ahead.
    fn ahead(plan: &[String], gateway_service: &'static str, gatehound_service: &str) -> Self {
        let rig = Rig::with(&Setup {
            settings: SETTINGS.to_owned(),
            gateway_service,
            ..Setup::default()
        });
        let faults = quoted(&rig.folder("faults"));
        write(
            &rig.unit_path(&format!("{}.d", rig.gatehound))
                .join("faults.conf"),
            &format!("[Service]\nEnvironment=E2E_FAULTS={faults}\n{gatehound_service}\n"),
        );
        rig.start_gateway();
        rig.start_gatehound();
        rig.journal
            .wait_for("a healthy gateway", TIMEOUT, event("healthy"));
        let recovery = Self {
            failed: invocation(&rig),
            leftover: leftover(&rig),
            mark: rig.journal.mark(),
            rig,
        };
        let lines: String = plan.iter().map(|label| format!("{label}\n")).collect();
        write(&recovery.plan(), &lines);
        recovery.rig.mode("ok-false");
        recovery
    }

    fn plan(&self) -> PathBuf {
        self.rig.folder("faults").join("plan")
    }

    /// The points passed so far, each once.
    fn passed(&self) -> Vec<String> {
        let text = fs::read_to_string(self.rig.folder("faults").join("passed"));
        let mut points = Vec::new();
        for point in text
            .expect("the points that were passed, which only a build with debug assertions has")
            .lines()
        {
            if !points.iter().any(|known| known == point) {
                points.push(point.to_owned());
            }
        }
        points
    }

    /// How many points of the plan are still ahead.
    fn left(&self) -> usize {
        fs::read_to_string(self.plan())
            .expect("the plan")
            .lines()
            .count()
    }

    /// Waits until so many points of the plan are left; whether that came in time.
    fn await_left(&self, left: usize, within: Duration) -> bool {
        let mut time = Left::of(within);
        while left < self.left() {
            if time.is_none() {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// What Gatehound keeps of itself.
    fn state(&self) -> Value {
        let path = self.rig.runtime_directory().join("state.json");
        let text = fs::read(path).unwrap_or_default();
        let kept: Value = serde_json::from_slice(&text).unwrap_or_default();
        kept["state"]["state"].clone()
    }

    /// Whether a Gatehound that has been started anew this often pings for a new run of the gateway.
    fn pings(&self, restarts: usize) -> bool {
        // First what costs no process.
        let state = self.state();
        let run = &state["gateway"]["invocation"];
        state["phase"].get("healthy").is_some()
            && *run != *self.failed
            && *run == *invocation(&self.rig)
            && self.restarts() == restarts
            && self.rig.status_text().starts_with("healthy: ")
    }

    fn restarts(&self) -> usize {
        let restarts = self.rig.property(&self.rig.gatehound, "NRestarts");
        restarts.parse().expect("a number")
    }

    /// What systemd did to the gateway since the plan was made.
    fn done_by_systemd(&self, what: &str) -> usize {
        let done = |record: &Record| {
            record.get("USER_UNIT").as_deref() == Some(&self.rig.gateway)
                && record.get("SYSLOG_IDENTIFIER").as_deref() == Some("systemd")
                && record.message().starts_with(what)
        };
        self.rig.journal.all()[self.mark..]
            .iter()
            .filter(|record| done(record))
            .count()
    }

    /// Holds that the gateway was stopped once and started once, and that one restart was counted, a forced one.
    fn check(&mut self) {
        let ended = self.leftover.try_wait().expect("a child");
        assert_eq!(
            ended.and_then(|status| status.signal()),
            Some(SIGKILL as i32)
        );
        // journald may be behind.
        wait_until("the start in systemd's books", TIMEOUT, || {
            0 < self.done_by_systemd("Started ")
        });
        assert_eq!(self.done_by_systemd("Started "), 1);
        assert_eq!(self.done_by_systemd("Stopping "), 1);
        assert_eq!(self.rig.property(&self.rig.gateway, "NRestarts"), "0");
        let state = self.state();
        assert_eq!(state["attempts"]["used"], 1, "{state}");
        assert_eq!(state["forced"].as_array().map(Vec::len), Some(1), "{state}");
        assert!(
            state["pending_start"].is_null() && state["incident"].is_null(),
            "{state}"
        );
        let folder = fs::read_dir(self.rig.runtime_directory()).expect("the runtime folder");
        let names = folder.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
        names.sort();
        assert_eq!(names, ["forced-stops.json", "lock", "state.json"]);
        self.check_records();
        assert!(self.rig.healthy());
    }

    /// One incident, and never another attempt than the first.
    fn check_records(&self) {
        let records = self.rig.journal.all();
        let all = |field: &str| {
            let mut values: Vec<String> = records.iter().filter_map(|it| it.get(field)).collect();
            values.sort();
            values.dedup();
            values
        };
        assert_eq!(all("GATEHOUND_ATTEMPT"), ["1"]);
        assert_eq!(all("GATEHOUND_INCIDENT").len(), 1);
        let events = all("GATEHOUND_EVENT");
        for never in ["gave-up", "action-failed", "warning", "standing-by"] {
            assert!(!events.iter().any(|event| event == never), "{events:?}");
        }
    }
}

impl Drop for Recovery {
    fn drop(&mut self) {
        let _ = self.leftover.kill();
        let _ = self.leftover.wait();
    }
}

/// What a gateway may leave behind outside of its unit, as `setsid` in a scope of its own does.
fn leftover(rig: &Rig) -> Child {
    let child = Command::new("env")
        .args(["--ignore-signal=TERM", "sleep", "1000"])
        .env("OPENCLAW_SYSTEMD_UNIT", &rig.gateway)
        .env_remove("INVOCATION_ID")
        .stdin(Stdio::null())
        .spawn()
        .expect("run env");
    let pid = i32::try_from(child.id()).expect("a pid");
    wait_until("the leftover to ignore SIGTERM", TIMEOUT, || {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep"))
            && process_state(pid) == 'S'
    });
    child
}

/// The stop is asked for with a signal that a gateway takes no notice of, as a hung one takes none of SIGTERM.
const DEAF: &str = "KillSignal=SIGURG";
/// The same, where a human's stop has to come to its end.
const DEAF_FOR_A_SECOND: &str = "KillSignal=SIGURG\nTimeoutStopSec=1";

/// The end of the first healthy check after the one that ends the incident.
const LAST: &str = "healthy [ping]: systemd notified";

/// All points of one recovery, in order.
fn points() -> Vec<String> {
    let mut recovery = Recovery::ahead(&[], DEAF, "");
    recovery.rig.wait_until("ping", || recovery.pings(0));
    recovery.check();
    wait_until("a check after the recovery", TIMEOUT, || {
        recovery.passed().iter().any(|point| point == LAST)
    });
    let points = recovery.passed();
    // What the recovery is made of; a point of any of these that is missing would be one forgotten.
    for part in [
        "[watchdog timeout, failing]: state saved",
        "backing-off]: record written",
        "temporary file written",
        "temporary file renamed",
        "stop]: evidence kept",
        "stop]: systemd notified",
        "stop]: acted",
        "kill]: systemd notified",
        "kill]: acted",
        "cleanup with SIGTERM]: surveyed",
        "cleanup with SIGTERM]: signalled",
        "cleanup with SIGTERM]: acted",
        "cleanup with SIGKILL]: surveyed",
        "cleanup with SIGKILL]: signalled",
        "cleanup with SIGKILL]: acted",
        "start]: failures forgotten",
        "start]: acted",
        "new-invocation]: record written",
        "healthy [ping, recovered",
        LAST,
    ] {
        assert!(
            points.iter().any(|point| point.contains(part)),
            "{part} in {points:#?}"
        );
    }
    points
}

/// Holds that each of the plans comes true, its first kill at least, and with it what the trial holds; several at once.
///
/// There are as many plans as tests/README.md states, or more: with fewer, points would have been forgotten.
/// The answers depend a little on timing, so a point may not be there to be killed at: then there is another recovery.
pub fn each(least: usize, plans: Vec<Vec<String>>, trial: fn(&[String]) -> usize) {
    let (began, all) = (Instant::now(), plans.len());
    eprintln!("{all} plans");
    assert!(least <= all, "{all} plans instead of {least}: {plans:#?}");
    let (mut left, kills) = (plans, AtomicUsize::new(0));
    for _ in 0..GOES {
        left = at_once(&left, trial, &kills);
    }
    assert!(left.is_empty(), "never passed again: {left:#?}");
    let took = began.elapsed().as_secs();
    let kills = kills.into_inner();
    eprintln!("{all} recoveries with {kills} kills as planned within {took} s");
}

/// The plans that did not come true; panics when what the trial holds is not so in any of them.
fn at_once(
    plans: &[Vec<String>],
    trial: fn(&[String]) -> usize,
    kills: &AtomicUsize,
) -> Vec<Vec<String>> {
    let next = AtomicUsize::new(0);
    let left = Mutex::new(Vec::new());
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
            let list = match catch_unwind(AssertUnwindSafe(|| trial(plan))) {
                Ok(0) => &left,
                Ok(killed) => {
                    kills.fetch_add(killed, Ordering::Relaxed);
                    continue;
                }
                Err(_) => &failed,
            };
            list.lock().expect("no panic holds it").push(plan.clone());
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().expect("no panic held it");
    assert!(failed.is_empty(), "killed at these points: {failed:#?}");
    left.into_inner().expect("no panic held it")
}

fn killed_once() {
    let plans: Vec<Vec<String>> = points().into_iter().map(|point| vec![point]).collect();
    each(97, plans, brought_back);
}

/// The second kill is at the point after, and, where the successor passes it, at the same one again.
fn killed_twice() {
    let points = points();
    let again = points
        .iter()
        .map(|point| vec![point.clone(), point.clone()]);
    let next = points.windows(2).map(<[String]>::to_vec);
    each(193, again.chain(next).collect(), brought_back);
}

/// How often Gatehound was killed as planned; the gateway is brought back in any case.
fn brought_back(plan: &[String]) -> usize {
    let mut recovery = Recovery::ahead(plan, DEAF, "RestartSec=100ms");
    recovery.await_left(0, ON_ITS_WAY);
    let killed = plan.len() - recovery.left();
    recovery.rig.wait_until("ping", || recovery.pings(killed));
    recovery.check();
    killed
}

/// The points at which the gateway is up and Gatehound is not yet known to have asked for its stop.
fn stopped_by_human() {
    let points = points();
    let at = |part: &str| points.iter().position(|point| point.contains(part));
    // From here on the state says that Gatehound is about to stop the gateway: see the known limits.
    let pending_start = at("stop]: temporary file renamed").expect("the begin of the restart");
    let started = at("start]: acted").expect("the end of the restart");
    let up = points[..pending_start].iter().chain(&points[started..]);
    let plans: Vec<Vec<String>> = up.map(|point| vec![point.clone()]).collect();
    each(42, plans, stays_stopped);
}

fn stays_stopped(plan: &[String]) -> usize {
    let recovery = Recovery::ahead(plan, DEAF_FOR_A_SECOND, "Restart=no");
    if !recovery.await_left(0, ON_ITS_WAY) {
        return 0;
    }
    let Recovery { rig, .. } = &recovery;
    wait_until("the end of gatehound", TIMEOUT, || {
        rig.main_pid(&rig.gatehound) == 0
    });
    // A start that was asked for may still be queued; cancelled there, it leaves no trace that a successor could see.
    rig.wait_until("active gateway", || {
        rig.property(&rig.gateway, "ActiveState") == "active"
    });
    systemctl(&["stop", &rig.gateway]);
    rig.start_gatehound();
    rig.wait_until("standing by", || {
        rig.status_text().starts_with("standing-by: stopped")
    });
    let began = Instant::now();
    // The successor looks every half a second.
    wait_until("some checks", TIMEOUT, || {
        let state = rig.property(&rig.gateway, "ActiveState");
        assert!(["inactive", "failed"].contains(&state.as_str()), "{state}");
        Duration::from_secs(2) < began.elapsed()
    });
    assert!(rig.status_text().starts_with("standing-by: stopped"));
    1
}
