//! Trials of a hostile environment: what Gatehound stands on goes away, hangs, fills up or runs out, and comes back.
//!
//! Each holds three things: what Gatehound says meanwhile, that nothing is done to the gateway for it,
//! and that afterwards all is as before.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::journal::Record;
use crate::place;
use crate::privileged::{self, Frozen, PortHoldersProgram, as_root};
use crate::rig::{Rig, Setup, TIMEOUT, systemctl, wait_until};
use crate::watched::{
    assert_field, assert_not_restarted, between, event, events, from_systemd, healthy_with,
    invocation, is_port_taken, wait_for_checks, wait_until_failing, wait_until_recovered, watched,
};

/// The trials of this file that disturb no other.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "a_state_that_has_no_place_is_said_and_a_hung_gateway_brought_back",
            state_without_place,
        ),
        (
            "evidence_that_has_no_place_is_said_and_a_hung_gateway_brought_back",
            evidence_without_place,
        ),
        (
            "of_two_gatehounds_without_a_lock_between_them_one_leaves",
            two_without_lock,
        ),
        (
            "without_a_descriptor_left_nothing_is_done_to_the_gateway",
            no_descriptors,
        ),
        (
            "without_memory_left_a_hung_gateway_is_brought_back",
            no_memory,
        ),
        (
            "frozen_longer_than_its_timeout_it_is_ended_and_the_gateway_left_alone",
            frozen_for_long,
        ),
        (
            "grace_is_not_used_up_while_gatehound_is_frozen",
            frozen_while_failing,
        ),
        (
            "rule_3_a_gateway_that_a_human_froze_is_left_alone_until_it_is_thawed",
            frozen_gateway,
        ),
        (
            "where_proc_hides_others_the_gateway_is_seen_and_a_port_holder_named",
            hidden_processes,
        ),
        (
            "what_the_cgroups_that_are_there_lose_is_said_and_a_hung_gateway_brought_back",
            cgroups_there,
        ),
        (
            "killed_for_memory_it_comes_back_and_restarts_the_gateway_once",
            killed_for_memory,
        ),
    ];
    crate::named(list)
}

/// Those that disturb everything under this user manager, so they run one by one.
pub fn alone() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "a_journal_that_is_frozen_or_full_holds_up_nobody",
            journal_frozen,
        ),
        (
            "a_journal_that_is_gone_gets_its_records_later",
            journal_gone,
        ),
        ("without_a_bus_nothing_is_done_until_it_is_back", bus_gone),
        ("while_the_bus_is_frozen_nothing_is_done", bus_frozen),
        (
            "a_manager_that_is_frozen_in_a_restart_finds_it_completed",
            manager_frozen_in_restart,
        ),
    ];
    crate::named(list)
}

/// Root's commands that are run when this is dropped, the last first.
struct Undo(Vec<Vec<String>>);

impl Drop for Undo {
    fn drop(&mut self) {
        for command in self.0.iter().rev() {
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            as_root(&command);
        }
    }
}

impl Undo {
    fn with(command: &[&str]) -> Self {
        Self(vec![command.iter().map(|&word| word.to_owned()).collect()])
    }
}

/// A rig whose checks can be counted, and the runs of the gateway and of Gatehound in it.
struct Trialled {
    rig: Rig,
    gateway: String,
    own: String,
}

impl Trialled {
    fn new(settings: &[(&str, &str)]) -> Self {
        let rig = healthy_with(
            settings,
            Setup {
                notify_proxy: true,
                ..Setup::default()
            },
        );
        Self {
            gateway: invocation(&rig),
            own: rig.property(&rig.gatehound, "InvocationID"),
            rig,
        }
    }

    /// Holds that neither the gateway nor Gatehound was started anew.
    #[track_caller]
    fn assert_untouched(&self) {
        assert_not_restarted(&self.rig);
        assert_eq!(invocation(&self.rig), self.gateway);
        self.assert_not_bitten();
    }

    #[track_caller]
    fn assert_not_bitten(&self) {
        let own = self.rig.property(&self.rig.gatehound, "InvocationID");
        assert_eq!(own, self.own, "the watchdog bit");
    }

    /// Holds that all is as before: healthy, and a gateway that hangs is brought back.
    fn assert_as_before(&self) {
        let mark = self.rig.journal.mark();
        self.rig.mode("ok-false");
        self.recovered_after(mark);
    }

    fn wait_for_another_run(&self) {
        wait_until("another run of the gateway", TIMEOUT, || {
            invocation(&self.rig) != self.gateway && self.rig.healthy()
        });
        self.rig.wait_for_status("healthy: ", TIMEOUT);
        self.assert_not_bitten();
    }

    fn recovered_after(&self, mark: usize) {
        self.rig
            .journal
            .wait_for_after(mark, "the recovery", TIMEOUT * 2, event("recovered"));
        self.rig.wait_for_status("healthy: ", TIMEOUT);
        self.assert_not_bitten();
    }

    /// Whether Gatehound sent this to the manager, frozen or not.
    fn told(&self, text: &str) -> bool {
        let notified = self.rig.notified();
        notified.iter().any(|datagram| datagram.text.contains(text))
    }
}

/// Fills the queue of journald's socket with datagrams that it ignores.
fn fill_journal() {
    loop {
        // Of its own each time, because a socket's own buffer is full before a long queue is.
        let socket = UnixDatagram::unbound().expect("a socket");
        socket
            .set_nonblocking(true)
            .expect("a socket that does not block");
        for _ in 0..32 {
            if socket.send_to(&[], "/run/systemd/journal/socket").is_err() {
                return;
            }
        }
    }
}

fn journal_frozen() {
    let trial = Trialled::new(&[("GRACE__ANSWERING", "1h")]);
    let frozen = Frozen::unit("systemd-journald.service");
    trial.rig.mode("blocked");
    trial.wait_for_another_run();
    // From here on the manager waits up to 10 s for each of its own records, so there is no restart any more.
    fill_journal();
    wait_for_checks(&trial.rig, 2);
    trial.rig.mode("ok-false");
    let status = "; the journal takes nothing, 1 record kept back";
    trial.rig.wait_for_status(status, TIMEOUT);
    wait_for_checks(&trial.rig, 2);
    assert!(trial.rig.status_text().starts_with("failing: "));
    drop(frozen);
    let by_restart = trial
        .rig
        .journal
        .wait_for("the first recovery", TIMEOUT, event("recovered"));
    assert_eq!(
        by_restart.get("GATEHOUND_REASON").as_deref(),
        Some("by-restart"),
        "{by_restart}"
    );
    let kept_back =
        |record: &Record| event("failing")(record) && by_restart.monotonic() < record.monotonic();
    trial
        .rig
        .journal
        .wait_for("the record kept back", TIMEOUT, kept_back);
    let mark = trial.rig.journal.mark();
    trial.rig.mode("healthy");
    trial.recovered_after(mark);
    wait_until("the status without it", TIMEOUT, || {
        !trial.rig.status_text().contains("journal")
    });
}

fn journal_gone() {
    let units = [
        "systemd-journald.socket",
        "systemd-journald-dev-log.socket",
        "systemd-journald-audit.socket",
        "systemd-journald.service",
    ];
    let trial = Trialled::new(&[]);
    let back = Undo::with(&["systemctl", "start", units[0], units[1], units[3]]);
    as_root(&[&["systemctl", "stop"], units.as_slice()].concat());
    trial.rig.mode("ok-false");
    trial.wait_for_another_run();
    let status = "; the journal takes nothing, ";
    trial.rig.wait_for_status(status, TIMEOUT);
    drop(back);
    trial.recovered_after(0);
    wait_until("the status without it", TIMEOUT, || {
        !trial.rig.status_text().contains("journal")
    });
}

fn bus_gone() {
    let trial = Trialled::new(&[]);
    systemctl(&["stop", "dbus.socket", "dbus.service"]);
    trial.rig.mode("ok-false");
    wait_for_checks(&trial.rig, 3);
    let status = trial.rig.status_text();
    systemctl(&["start", "dbus.socket"]);
    let said = "standing-by: no-bus, no user manager on the bus";
    assert!(status.starts_with(said), "{status}");
    trial.recovered_after(0);
}

fn bus_frozen() {
    let trial = Trialled::new(&[]);
    let frozen = Frozen::process(&trial.rig.property("dbus.service", "MainPID"));
    trial.rig.mode("ok-false");
    wait_until("Gatehound to say so", TIMEOUT, || {
        trial.told("STATUS=standing-by: no-bus, the user manager did not ")
    });
    trial.assert_untouched();
    drop(frozen);
    trial.recovered_after(0);
}

fn manager_frozen_in_restart() {
    let trial = Trialled::new(&[("STOP_TIMEOUT__HUNG", "4s")]);
    trial.rig.mode("blocked");
    trial
        .rig
        .journal
        .wait_for("the stop", TIMEOUT, event("stopping"));
    let frozen = Frozen::unit(&format!("user@{}.service", nix::unistd::getuid()));
    wait_for_checks(&trial.rig, 1);
    drop(frozen);
    trial.recovered_after(0);
    let starts = events(&trial.rig)
        .iter()
        .filter(|event| *event == "starting")
        .count();
    assert_eq!(starts, 1);
}

fn hidden_processes() {
    let trial = Trialled::new(&[("RETRY_AFTER", "4s")]);
    let _undo = Undo::with(&["mount", "-o", "remount,hidepid=0", "/proc"]);
    as_root(&["mount", "-o", "remount,hidepid=2", "/proc"]);
    assert!(
        !Path::new("/proc/1").exists(),
        "hidepid=2 hides nothing here, so this trial shows nothing"
    );
    wait_for_checks(&trial.rig, 2);
    trial.assert_untouched();
    trial.assert_as_before();
    let port = trial.rig.port.to_string();
    let executable = place::executable().expect("this executable");
    let executable = executable.to_str().expect("a path in UTF-8");
    let mark = trial.rig.journal.mark();
    trial.rig.mode("port-gone");
    let holder = PortHoldersProgram::start(
        &format!("gatehound-e2e-{}", trial.rig.profile),
        &[
            executable,
            "stand-in-gateway",
            "gateway",
            "--mode",
            "ok-false",
            "--port",
            &port,
        ],
    );
    let standing_by =
        trial
            .rig
            .journal
            .wait_for_after(mark, "a word about it", TIMEOUT, is_port_taken);
    let named = format!("of user {}", privileged::port_holder());
    assert!(standing_by.message().contains(&named), "{standing_by}");
    drop(holder);
    trial
        .rig
        .journal
        .wait_for_after(mark, "the recovery", TIMEOUT * 2, event("recovered"));
}

/// An empty file system over a folder, removed again when this is dropped.
fn disk(folder: &Path, option: &str) -> Undo {
    let folder = folder.to_str().expect("a path in UTF-8");
    let (user, group) = (nix::unistd::getuid(), nix::unistd::getgid());
    let options = format!("{option},mode=700,uid={user},gid={group}");
    as_root(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs", folder]);
    Undo::with(&["umount", "--lazy", folder])
}

/// Writes until there is no room left.
fn fill(folder: &Path) {
    fs::write(folder.join("filler"), vec![0; 1 << 20]).expect_err("a small disk");
}

/// Makes a folder unfit in one way after another; each is held to be said, and the way back to be found.
fn without_place(trial: &Trialled, folder: &Path, said: impl Fn(usize, &str)) {
    let name = folder.to_str().expect("a path in UTF-8");
    let small = disk(folder, "size=16k");
    fill(folder);
    said(0, "No space left on device");
    drop(small);
    let mark = trial.rig.journal.mark();
    let locked = disk(folder, "ro");
    said(mark, "Read-only file system");
    drop(locked);
    let own = Undo::with(&["chown", &nix::unistd::getuid().to_string(), name]);
    let mark = trial.rig.journal.mark();
    as_root(&["chown", "root", name]);
    said(mark, "belongs to uid 0");
    drop(own);
}

/// Enough attempts for every restart of a trial.
const ATTEMPTS: (&str, &str) = (
    "BACKOFF",
    r#"["100ms", "100ms", "100ms", "100ms", "100ms", "100ms"]"#,
);

fn state_without_place() {
    let trial = Trialled::new(&[ATTEMPTS]);
    let folder = trial.rig.runtime_directory();
    let said = |mark: usize, what: &str| {
        trial.rig.mode("ok-false");
        trial.recovered_after(mark);
        trial
            .rig
            .journal
            .wait_for_after(mark, what, TIMEOUT, |record| {
                event("warning")(record) && record.message().contains(what)
            });
        trial
            .rig
            .wait_for_status("; its state cannot be kept", TIMEOUT);
    };
    without_place(&trial, &folder, said);
    let mark = trial.rig.journal.mark();
    fs::remove_dir_all(&folder).expect("the runtime folder");
    trial.rig.mode("ok-false");
    trial.recovered_after(mark);
    wait_until("the status without it", TIMEOUT, || {
        !trial.rig.status_text().contains("cannot be kept")
    });
    assert!(folder.join("state.json").exists());
}

fn evidence_without_place() {
    let trial = Trialled::new(&[ATTEMPTS]);
    let home = std::env::var_os("HOME").expect("HOME");
    let folder = Path::new(&home).join(format!(".local/state/gatehound-{}", trial.rig.profile));
    fs::create_dir_all(&folder).expect("the state folder");
    let restarted = |mark: usize| {
        trial.rig.mode("ok-false");
        trial.recovered_after(mark);
        trial
            .rig
            .journal
            .wait_for_after(mark, "the evidence", TIMEOUT, event("evidence"))
            .message()
    };
    without_place(&trial, &folder, |mark, what| {
        let evidence = restarted(mark);
        assert!(evidence.contains(what), "{what}: {evidence}");
    });
    fs::remove_dir_all(&folder).expect("the state folder");
    let evidence = restarted(trial.rig.journal.mark());
    let kept = fs::read_dir(folder.join("incidents")).map(Iterator::count);
    fs::remove_dir_all(&folder).expect("the state folder");
    assert_eq!(kept.ok(), Some(1), "{evidence}");
}

/// A Gatehound that systemd knows nothing of, ended when this is dropped.
struct Second(Child);

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn two_without_lock() {
    let trial = Trialled::new(&[]);
    let rig = &trial.rig;
    let frozen = Frozen::process(&rig.main_pid(&rig.gatehound).to_string());
    fs::remove_dir_all(rig.runtime_directory()).expect("the runtime folder");
    let mut command = Command::new(place::file("gatehound"));
    command.args(["--profile", &rig.profile, "run"]);
    let second = Second(command.stderr(Stdio::null()).spawn().expect("gatehound"));
    wait_until("the second to have the lock", TIMEOUT, || {
        let lock = fs::read_to_string(rig.runtime_directory().join("lock"));
        lock.is_ok_and(|pid| pid == second.0.id().to_string())
    });
    drop(frozen);
    let warning = rig
        .journal
        .wait_for("the first to leave", TIMEOUT, event("warning"));
    let said = format!(
        "another gatehound (pid {}) watches this gateway since the runtime folder was removed",
        second.0.id()
    );
    assert!(warning.message().contains(&said), "{warning}");
    rig.journal
        .wait_for("the first to leave", TIMEOUT, event("leaving"));
    drop(second);
    rig.wait_for_status("healthy: ", TIMEOUT);
    assert_eq!(invocation(rig), trial.gateway);
    assert_not_restarted(rig);
}

/// Waits until a process has slept this many more times, where nothing else tells of its checks.
fn wait_for_sleeps(pid: i32, count: u64) {
    let slept = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse::<u64>().ok())
            .expect("a count")
    };
    let before = slept();
    wait_until("more checks", TIMEOUT, || before + count <= slept());
}

fn prlimit(pid: i32, limit: &str) {
    let pid = pid.to_string();
    let set = Command::new("prlimit")
        .args(["--pid", &pid, limit])
        .status();
    assert!(set.expect("run prlimit").success(), "{limit}");
}

fn no_descriptors() {
    let trial = Trialled::new(&[]);
    let pid = trial.rig.main_pid(&trial.rig.gatehound);
    prlimit(pid, &format!("--nofile={}:", lowest_free_descriptor(pid)));
    trial.rig.mode("blocked");
    // A check sleeps several times, and so does what lies between two.
    wait_for_sleeps(pid, 60);
    assert_eq!(invocation(&trial.rig), trial.gateway);
    prlimit(pid, "--nofile=1024:");
    let unknown = trial
        .rig
        .journal
        .wait_for("the trouble", TIMEOUT, event("unknown"));
    assert!(
        unknown.message().contains("Too many open files"),
        "{unknown}"
    );
    trial.recovered_after(0);
    let events = events(&trial.rig);
    let position = |name: &str| events.iter().position(|event| event == name);
    assert!(position("unknown") < position("failing"), "{events:?}");
}

/// The lowest number that a process has no descriptor of between two checks, which open some more for themselves.
///
/// The limit is one of the numbers, and the open ones may have gaps.
fn lowest_free_descriptor(pid: i32) -> usize {
    let is_open = |number: &usize| Path::new(&format!("/proc/{pid}/fd/{number}")).is_symlink();
    let seen = (0..200).map(|_| {
        thread::sleep(Duration::from_millis(10));
        (0..).find(|number| !is_open(number)).unwrap_or_default()
    });
    seen.min().unwrap_or_default()
}

fn no_memory() {
    let rig = watched(Setup::default());
    let before = invocation(&rig);
    prlimit(rig.main_pid(&rig.gatehound), "--data=1:1");
    rig.mode("blocked");
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
    assert_ne!(invocation(&rig), before);
    rig.wait_for_status("healthy: ", TIMEOUT);
    let starts = events(&rig)
        .iter()
        .filter(|event| *event == "starting")
        .count();
    assert_eq!(starts, 1);
}

/// Puts a process under a limit of memory that it soon runs into, or takes that limit away.
///
/// By its own cgroup where the memory controller is one of version 2, which goes with it.
/// Else by one of version 1, where all machines of a host see the same groups.
const SQUEEZE: &str = r#"
    set -e
    root=/run/gatehound-e2e-memory
    group=$root/$(uname -n)-$1
    if [ $0 = end ]; then
        ! mountpoint -q $root || { rmdir $group; umount --lazy $root; }
        exit
    fi
    own=/sys/fs/cgroup$(sed -n s/^0:://p /proc/$1/cgroup)
    if [ -e $own/memory.max ]; then
        echo 64K >$own/memory.max
    else
        mkdir -p $root
        mount -t cgroup -o memory cgroup $root
        mkdir $group
        echo 64K >$group/memory.limit_in_bytes
        echo $1 >$group/cgroup.procs
    fi
"#;

fn killed_for_memory() {
    let rig = watched(Setup::default());
    let before = invocation(&rig);
    let pid = rig.main_pid(&rig.gatehound).to_string();
    let _undo = Undo::with(&["sh", "-c", SQUEEZE, "end", &pid]);
    as_root(&["sh", "-c", SQUEEZE, "begin", &pid]);
    rig.mode("ok-false");
    rig.journal.wait_for("the kill", TIMEOUT, |record| {
        from_systemd("status=9/KILL")(record) || from_systemd("killed by the OOM killer")(record)
    });
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
    rig.wait_for_status("healthy: ", TIMEOUT);
    assert_ne!(invocation(&rig), before);
    let starts = events(&rig)
        .iter()
        .filter(|event| *event == "starting")
        .count();
    assert_eq!(starts, 1);
}

fn frozen_for_long() {
    // The shortest that the settings allow.
    let rig = watched(Setup {
        gatehound_service: "WatchdogSec=25".to_owned(),
        ..Setup::default()
    });
    let before = invocation(&rig);
    systemctl(&["kill", "--signal=STOP", &rig.gatehound]);
    let mark = rig.journal.mark();
    rig.journal
        .wait_for("the bite", TIMEOUT, from_systemd("Watchdog timeout"));
    rig.journal
        .wait_for_after(mark, "the successor", TIMEOUT, event("watching"));
    rig.wait_for_status("healthy: ", TIMEOUT);
    assert_eq!(invocation(&rig), before);
    assert_not_restarted(&rig);
}

fn frozen_while_failing() {
    let trial = Trialled::new(&[("GRACE__ANSWERING", "8s")]);
    let rig = &trial.rig;
    rig.mode("ok-false");
    wait_until_failing(rig, TIMEOUT, "answering");
    let frozen = Frozen::process(&rig.main_pid(&rig.gatehound).to_string());
    // Not a wait for anything: it is how long Gatehound does not run.
    thread::sleep(Duration::from_secs(9));
    drop(frozen);
    let held_up = rig.journal.wait_for("the thaw", TIMEOUT, event("held-up"));
    let backing_off = rig
        .journal
        .wait_for("the end of grace", TIMEOUT, event("backing-off"));
    let grace = between(&held_up, &backing_off);
    // What was left of it, less what the record of the thaw may be late; else nothing would be left of it.
    assert!(Duration::from_secs(4) < grace, "{grace:?}");
    trial.recovered_after(0);
}

fn frozen_gateway() {
    let rig = watched(Setup::default());
    systemctl(&["freeze", &rig.gateway]);
    let record = rig
        .journal
        .wait_for("a word about it", TIMEOUT, event("standing-by"));
    let thaw = format!("systemctl --user thaw {}", rig.gateway);
    assert_field(&record, "GATEHOUND_REASON", "frozen");
    assert!(record.message().contains(&thaw), "{record}");
    rig.wait_for_status("standing-by: frozen", TIMEOUT);
    assert_not_restarted(&rig);
    systemctl(&["thaw", &rig.gateway]);
    rig.wait_for_status("healthy: ", TIMEOUT);
    assert_not_restarted(&rig);
}

/// Where the cgroups are of version 1 alone, nothing but a judgement is lost; `E2E_CGROUP_V1=1` makes a machine so.
fn cgroups_there() {
    let trial = Trialled::new(&[]);
    let is_there = |path: &str| Path::new("/sys/fs/cgroup").join(path).exists();
    let (two, hybrid) = (
        is_there("cgroup.subtree_control"),
        is_there("unified/cgroup.subtree_control"),
    );
    let lost = match (two, hybrid) {
        (true, _) => None,
        (false, true) => Some("cgroups of version 1 have the controllers: "),
        (false, false) => Some("no cgroups of version 2: "),
    };
    let asked_for = std::env::var_os("E2E_CGROUP_V1").is_some_and(|value| value == "1");
    assert!(!asked_for || !two && !hybrid, "not of version 1 alone");
    let said = |command: &str| {
        let output = trial.rig.gatehound(&[command]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (doctor, status) = (said("doctor"), said("status"));
    match lost {
        None => {
            assert!(doctor.contains("fine cgroups version 2"), "{doctor}");
            assert!(!status.contains("cgroups"), "{status}");
        }
        Some(lost) => {
            let warned = format!("warning cgroups {lost}");
            assert!(doctor.contains(&warned), "{doctor}");
            assert!(status.contains(&format!("cgroups {lost}")), "{status}");
        }
    }
    trial.assert_untouched();
    trial.rig.mode("blocked");
    trial.wait_for_another_run();
    trial.recovered_after(0);
}
