//! What Gatehound does with the real gateway, case by case: whom it leaves alone, whom it brings back, and how soon.
//!
//! Owns the confusion table that is printed at the end, and the cases of a gateway that hangs or seems to.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::Signal;

use super::{
    BLOCKED, BUSY, BUSY_FOR_100_S, BUSY_GRACE, INTERVAL, LOOPBACK, PROBE_TIMEOUTS, Real, START,
    install, now, once_healthy, up_and_useless, whose_port,
};
use crate::journal::Record;
use crate::privileged::as_root;
use crate::rig::{Rig, TIMEOUT, wait_until};
use crate::watched::{event, events, invocation};

/// From the hang to the first healthy answer of one that is deadlocked, its own start subtracted.
const DEADLOCKED_BOUND: Duration = Duration::from_secs(40);

/// How many gateways are deadlocked, each at another moment between two checks.
const DEADLOCKS: usize = 5;

/// Answers what it is asked through the server's own handler, but as another one would.
const ON_REQUEST: &str = "const http = process.getBuiltinModule('http'); \
    const emit = http.Server.prototype.emit; \
    http.Server.prototype.emit = function (...given) { \
      const [name, request, response] = given; \
      const go = () => emit.apply(this, given); \
      return name === 'request' && request.url.startsWith(PATH) ? (HANDLER, true) : go(); };";

/// A script that does this with each request for a path; `go()` answers it as the gateway does.
pub fn on_request(path: &str, handler: &str) -> String {
    ON_REQUEST
        .replace("PATH", &format!("'{path}'"))
        .replace("HANDLER", handler)
}

/// One line of the table.
struct Verdict {
    case: String,
    restart: bool,
    restarts: usize,
    times: Option<Times>,
}

/// From the hang to the first healthy answer, and what of it is the gateway's own start.
#[derive(Clone, Copy)]
struct Times {
    all: Duration,
    own_start: Duration,
}

static VERDICTS: Mutex<Vec<Verdict>> = Mutex::new(Vec::new());

impl Verdict {
    /// What is written down before it is held, so that a case that fails is in the table.
    fn note(case: &str, restart: bool, restarts: usize, times: Option<Times>) {
        let verdict = Self {
            case: case.to_owned(),
            restart,
            restarts,
            times,
        };
        let mut verdicts = VERDICTS.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.push(verdict);
    }
}

/// Prints the table, where a case was tried.
pub fn print() {
    let mut verdicts = VERDICTS.lock().unwrap_or_else(PoisonError::into_inner);
    if verdicts.is_empty() {
        return;
    }
    verdicts.sort_by(|one, other| (one.restart, &one.case).cmp(&(other.restart, &other.case)));
    let mut text = "\n| case | restart expected | restarts seen | hang to healthy | of it the gateway's own start | the rest |\n\
                    |---|---|---|---|---|---|\n"
        .to_owned();
    for verdict in verdicts.iter() {
        let times = verdict.times.map_or_else(
            || "| |".to_owned(),
            |times| {
                let rest = times.all.saturating_sub(times.own_start);
                format!("{:.1?} | {:.1?} | {rest:.1?}", times.all, times.own_start)
            },
        );
        let expected = if verdict.restart { "yes" } else { "no" };
        let _ = writeln!(
            text,
            "| {} | {expected} | {} | {times} |",
            verdict.case, verdict.restarts
        );
    }
    let wrong = |restart: bool| {
        let of_kind = verdicts.iter().filter(|one| one.restart == restart);
        of_kind.filter(|one| (one.restarts == 0) == restart).count()
    };
    eprintln!(
        "{text}\nreal: {} cases: false restarts {}, missed hangs {}",
        verdicts.len(),
        wrong(false),
        wrong(true)
    );
}

/// How often Gatehound has begun to stop the gateway.
fn restarts(rig: &Rig) -> usize {
    let acts = rig.journal.all();
    let stops = acts.iter().filter(|record| event("stopping")(record));
    stops.count()
}

/// All cases, the longest first.
pub fn trials() -> Vec<Trial> {
    let mut list: Vec<(String, fn())> = Vec::new();
    let mut add = |name: &str, case: fn()| list.push((format!("real_verdict_{name}"), case));
    add("a_channel_that_fails_is_said", up_and_useless::channel);
    add("blocked_most_of_the_time_is_left_alone", mostly_blocked);
    add("busy_for_ever_is_brought_back", busy_for_ever);
    add("a_breaker_that_tripped_is_said", up_and_useless::breaker);
    add("waiting_for_a_child_is_left_alone", waiting);
    for _ in 1..DEADLOCKS {
        add("deadlocked_is_brought_back", deadlocked);
    }
    add("busy_for_100_s_is_left_alone", busy_for_a_while);
    add("deadlocked_is_brought_back", deadlocked);
    add(
        "a_port_in_an_environment_file_is_found",
        whose_port::environment_file,
    );
    add("a_port_behind_bash_is_found", whose_port::behind_bash);
    add(
        "a_port_edited_while_it_runs_is_found",
        whose_port::edited_while_running,
    );
    add("stopped_is_brought_back", stopped);
    add("wrong_health_is_brought_back", wrong_health);
    add("slow_health_is_left_alone", slow_health);
    add("another_users_port_is_said", whose_port::another_users);
    add("another_units_port_is_said", whose_port::another_units);
    add("short_of_memory_is_left_alone", short_of_memory);
    add("a_fsync_storm_is_left_alone", fsync_storm);
    list.into_iter()
        .map(|(name, case)| {
            Trial::test(name, move || {
                case();
                Ok::<(), Failed>(())
            })
        })
        .collect()
}

/// Holds that Gatehound has not laid a hand on a gateway that went through this, and is content with it.
pub fn hold_left_alone(case: &str, real: &Real, before: &str) {
    let rig = &real.rig;
    wait_until("the gateway to be healthy", START, || rig.healthy());
    rig.wait_for_status("healthy: / and /health", INTERVAL + TIMEOUT);
    let restarts = restarts(rig);
    Verdict::note(case, false, restarts, None);
    let seen = events(rig);
    let failing = said_of_failing(rig);
    eprintln!("real: {case}: restarts {restarts}, said {seen:?} {failing:#?}");
    assert_eq!(restarts, 0, "{seen:?}");
    assert_eq!(invocation(rig), before, "another run: {seen:?}");
}

/// Does something to a healthy gateway that ends by itself, and holds that it is left alone.
fn left_alone(case: &str, length: Duration, script: &str) -> Real {
    let real = once_healthy();
    let before = invocation(&real.rig);
    let over = real.rig.folder("over");
    let over_text = over.to_str().expect("a path in UTF-8");
    let script = script.replace(
        "OVER",
        &format!("process.getBuiltinModule('fs').writeFileSync('{over_text}', '')"),
    );
    let hung = real.hang(&script);
    wait_until("the end of it", length + START, || over.exists());
    let took = now() - hung;
    eprintln!("real: {case}: over after {took:.1?}");
    assert!(length <= took, "only {took:?}");
    hold_left_alone(case, &real, &before);
    real
}

/// What was said of a gateway that fails, first and later.
fn said_of_failing(rig: &Rig) -> Vec<String> {
    let all = rig.journal.all();
    let failing = all
        .iter()
        .filter(|record| event("failing")(record) || event("failing-otherwise")(record));
    failing.map(Record::message).collect()
}

fn waiting() {
    let real = left_alone(
        "`execSync('sleep 110')`",
        Duration::from_secs(110),
        "process.getBuiltinModule('child_process').execSync('sleep 110'); OVER",
    );
    let said = said_of_failing(&real.rig);
    let names_it = |said: &String| said.contains("waits for pid") && said.contains("sleep 110");
    assert!(said.iter().any(names_it), "{said:?}");
}

fn busy_for_a_while() {
    left_alone(
        "a busy loop of 100 s",
        Duration::from_secs(100),
        &format!("{BUSY_FOR_100_S} OVER"),
    );
}

fn mostly_blocked() {
    left_alone(
        "blocked 8 s of every 10 s for 5 minutes",
        Duration::from_secs(298),
        "const cell = new Int32Array(new SharedArrayBuffer(4)); let left = 30; \
         const turn = () => { Atomics.wait(cell, 0, 0, 8000); \
           if (--left) setTimeout(turn, 2000); else OVER; }; turn()",
    );
}

fn slow_health() {
    let slow = on_request("/health", "setTimeout(go, 9000)");
    left_alone(
        "`/health` answers after 9 s",
        Duration::from_secs(120),
        &format!("{slow} setTimeout(() => {{ http.Server.prototype.emit = emit; OVER }}, 120000)"),
    );
}

/// Squeezes a process for 60 s, by its own cgroup where the memory controller is one of version 2.
///
/// Version 1 has no `memory.high`: there a limit has the kernel search for memory all the while, and who finds none waits.
const SQUEEZE: &str = r#"
    set -e
    own=/sys/fs/cgroup$(sed -n s/^0:://p /proc/$1/cgroup)
    if [ -e $own/memory.high ]; then
        echo $(($(cat $own/memory.current) * 9 / 10)) >$own/memory.high
        sleep 60
        echo "memory.high: $(sed -n 's/^high //p' $own/memory.events) times"
        echo max >$own/memory.high
        exit
    fi
    root=/run/gatehound-e2e-squeeze-$1
    group=$root/$(uname -n)-squeeze-$1
    mkdir -p $root
    mount -t cgroup -o memory cgroup $root
    mkdir $group
    end() {
        echo -1 >$group/memory.limit_in_bytes
        echo "memory.limit_in_bytes: $(cat $group/memory.failcnt) times"
        for pid in $(cat $group/cgroup.procs); do echo $pid >$root/cgroup.procs || true; done
        echo 0 >$group/memory.force_empty || true
        rmdir $group
        umount --lazy $root
    }
    trap end EXIT
    echo 1 >$group/memory.oom_control
    echo 200M >$group/memory.limit_in_bytes
    [ -e $own ] || own=/sys/fs/cgroup/unified${own#/sys/fs/cgroup}
    procs=$(cat $own/cgroup.procs)
    for pid in $procs; do echo $pid >$group/cgroup.procs; done
    sleep 60
"#;

fn short_of_memory() {
    let real = once_healthy();
    let before = invocation(&real.rig);
    // It reads what has no place in memory; of a file of holes nothing comes from the disk.
    let disk = OnDisk::new(&real.rig);
    let file = disk.0.join("holes");
    let file = file.to_str().expect("a path in UTF-8");
    real.hang(&format!(
        "const fs = process.getBuiltinModule('fs'); fs.writeFileSync('{file}', ''); fs.truncateSync('{file}', 2 ** 31); \
         const end = Date.now() + 70000; const block = Buffer.alloc(1 << 20); \
         const read = async () => {{ const file = await fs.promises.open('{file}'); \
           for (let at = 0; Date.now() < end; at = (at + block.length) % 2 ** 31) await file.read(block, 0, block.length, at); \
           await file.close(); }}; read(); read()"
    ));
    let pid = real.rig.main_pid(&real.rig.gateway).to_string();
    let squeezed = as_root(&["sh", "-c", SQUEEZE, "squeeze", &pid]).stdout;
    eprintln!("real: short of memory: {}", squeezed.trim());
    let times = squeezed
        .split_whitespace()
        .find_map(|word| word.parse::<u64>().ok());
    assert!(
        times.is_some_and(|times| 10 <= times),
        "it was not short: {squeezed}"
    );
    let (how, _) = squeezed.split_once(':').unwrap_or_default();
    hold_left_alone(&format!("`{how}` squeezed for 60 s"), &real, &before);
}

/// A folder on the disk of the host; all else that a machine writes is in memory.
struct OnDisk(PathBuf);

const BIND: &str = r#"
    set -e
    mkdir -p $1
    mount --bind $0 $1
    mount -o remount,bind,rw $1
    mkdir $1/$2
    chmod 1777 $1/$2
"#;

impl OnDisk {
    fn new(rig: &Rig) -> Self {
        let source = install::scratch();
        if std::env::var_os("E2E_FILES").is_none() {
            let folder = source.join(&rig.profile);
            fs::create_dir_all(&folder).expect("a folder");
            return Self(folder);
        }
        let source = source.to_str().expect("a path in UTF-8");
        let bound = format!("/run/gatehound-e2e-disk-{}", rig.profile);
        as_root(&["sh", "-c", BIND, source, &bound, &rig.profile]);
        Self(Path::new(&bound).join(&rig.profile))
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        let folder = self.0.to_str().unwrap_or_default();
        if std::env::var_os("E2E_FILES").is_none() {
            let _ = fs::remove_dir_all(&self.0);
        } else {
            as_root(&["sh", "-c", "rm -rf $0; umount --lazy $(dirname $0)", folder]);
        }
    }
}

fn fsync_storm() {
    let real = once_healthy();
    let before = invocation(&real.rig);
    let disk = OnDisk::new(&real.rig);
    let folder = disk.0.to_str().expect("a path in UTF-8");
    let over = disk.0.join("over");
    // Four programs beside it that write and wait for the disk, and the event loop does nothing else either.
    let began = real.hang(&format!(
        "const fs = process.getBuiltinModule('fs'); \
         const {{ spawn }} = process.getBuiltinModule('child_process'); \
         const beside = [1, 2, 3, 4].map((one) => spawn('sh', ['-c', \
           `while :; do dd if=/dev/zero of={folder}/$one bs=64k count=64 oflag=sync 2>/dev/null; done`], \
           {{ detached: true, stdio: 'ignore' }})); \
         const end = Date.now() + 60000; let count = 0; \
         const file = fs.openSync('{folder}/own', 'w'); const block = Buffer.alloc(256 * 1024, 1); \
         const storm = () => {{ \
           for (let each = 0; each < 20; each++) {{ fs.writeSync(file, block, 0, block.length, 0); fs.fsyncSync(file); count++; }} \
           if (Date.now() < end) setImmediate(storm); \
           else {{ beside.forEach((one) => process.kill(-one.pid, 'SIGKILL')); fs.writeFileSync('{folder}/over', String(count)); }} }}; \
         storm()"
    ));
    wait_until(
        "the end of the storm",
        Duration::from_secs(60) + START,
        || fs::read_to_string(&over).is_ok_and(|text| !text.is_empty()),
    );
    let count = fs::read_to_string(&over).expect("how many");
    eprintln!(
        "real: fsync storm: {count} by the event loop in {:.1?}",
        now() - began
    );
    hold_left_alone("a fsync storm of 60 s", &real, &before);
}

/// Holds that a gateway that was hung at this moment is brought back by one restart, and says how long it took.
fn hold_brought_back(case: &str, real: &Real, hung: Duration, within: Duration) -> Times {
    let rig = &real.rig;
    let is_start = event("starting");
    // Without a panic, so that a hang that is missed is in the table.
    let began = super::soon(within, || rig.journal.all().iter().any(&is_start));
    if !began {
        Verdict::note(case, true, 0, None);
        panic!("not restarted within {within:?}: {:?}", events(rig));
    }
    let began = now();
    wait_until("the gateway to be healthy", START, || rig.healthy());
    let times = Times {
        all: now() - hung,
        own_start: now() - began,
    };
    Verdict::note(case, true, restarts(rig), Some(times));
    super::wait_until_restarted_once(rig, INTERVAL + TIMEOUT);
    let failing = rig
        .journal
        .wait_for("the failing check", TIMEOUT, event("failing"));
    let stop = rig.journal.wait_for("the stop", TIMEOUT, event("stopping"));
    eprintln!(
        "real: {case}: noticed after {:.1?} ({}), stopped after {:.1?}, healthy after {:.1?}, own start {:.1?}, the rest {:.1?}",
        failing.monotonic().saturating_sub(hung),
        failing.get("GATEHOUND_STALL").unwrap_or_default(),
        stop.monotonic().saturating_sub(hung),
        times.all,
        times.own_start,
        times.all.saturating_sub(times.own_start)
    );
    times
}

fn deadlocked() {
    let real = once_healthy();
    let hung = real.hang(BLOCKED);
    let times = hold_brought_back("deadlocked by `Atomics.wait`", &real, hung, START);
    let rest = times.all.saturating_sub(times.own_start);
    assert!(rest <= DEADLOCKED_BOUND, "{rest:?}");
}

fn stopped() {
    let real = once_healthy();
    real.rig.signal_gateway(Signal::SIGSTOP);
    hold_brought_back("stopped by SIGSTOP", &real, now(), START);
}

fn busy_for_ever() {
    let real = once_healthy();
    let hung = real.hang(BUSY);
    let within = BUSY_GRACE + INTERVAL + PROBE_TIMEOUTS + START;
    let times = hold_brought_back("busy for ever", &real, hung, within);
    assert!(BUSY_GRACE <= times.all, "{:?}", times.all);
}

fn wrong_health() {
    let real = once_healthy();
    let wrong = on_request(
        "/health",
        "response.writeHead(200, { 'Content-Type': 'application/json' }).end('{\"ok\":false}')",
    );
    let hung = real.hang(&wrong);
    hold_brought_back("`/health` says `\"ok\":false`", &real, hung, START);
}

/// A gateway on loopback, of which everything that the configuration says of `gateway` stands here.
pub fn on_loopback(setup: crate::rig::Setup) -> Real {
    Real::new(LOOPBACK, setup)
}

/// Writes a case of a gateway that is up or down for a reason that no restart mends into the table.
pub fn note_left_alone(case: &str, rig: &Rig) {
    let restarts = restarts(rig);
    Verdict::note(case, false, restarts, None);
    assert_eq!(restarts, 0, "{:?}", events(rig));
}
