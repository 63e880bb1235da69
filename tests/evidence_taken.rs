//! Evidence from real processes, sockets and files, and from ones that do not answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::{
    fs::{self, File, FileTimes, Permissions},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::fs::{PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use gatehound::{
    journal::journalctl,
    os::{cgroup, listeners, processes},
    policy::facts::{Invocation, Stall},
    recovery::{
        evidence::{self, BUDGET, Evidence, Places, Process, Subject},
        incident_files,
    },
    text::line::Line,
};
use nix::{sys::stat::Mode, unistd::mkfifo};

const RUN: &str = "0123456789abcdef0123456789abcdef";

/// Long enough for anything that is to come, on a loaded host.
const AMPLE: Duration = Duration::from_secs(30);

/// What a loaded host may add to a time that is kept.
const SLACK: Duration = Duration::from_millis(500);

/// One test at a time of those that start programs:
/// a fork in one keeps the file open that another is about to execute (ETXTBSY).
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn program(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("journalctl");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    path
}

fn last_lines(program: &Path, budget: Duration) -> Result<Vec<Line>, Line> {
    let run = Invocation(RUN.to_owned());
    journalctl::last_lines(program, "gateway.service", &run, 20, budget)
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(Line::as_str).collect()
}

mod journal {
    use super::*;

    #[test]
    fn journalctl_is_asked_for_the_last_lines_of_this_run_alone() {
        let _alone = alone();
        let dir = tempfile::tempdir().unwrap();
        let echo = program(dir.path(), r#"for it in "$@"; do echo "$it"; done"#);
        assert_eq!(
            texts(&last_lines(&echo, AMPLE).unwrap()),
            [
                "--quiet",
                "--no-pager",
                "--user-unit=gateway.service",
                "--output=cat",
                "--lines=20",
                "_SYSTEMD_INVOCATION_ID=0123456789abcdef0123456789abcdef",
            ]
        );
    }

    #[test]
    fn journalctl_cannot_speak_to_systemd_in_our_name() {
        let _alone = alone();
        let dir = tempfile::tempdir().unwrap();
        // The environment of this process is shared by all tests, so the child's is looked at in one of its own.
        let asked = program(dir.path(), "env | grep -E '^(NOTIFY_|WATCHDOG_)'; echo end");
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::the_environment_of_journalctl"])
            .args(["--nocapture"])
            .env("GATEHOUND_TEST_JOURNALCTL", &asked)
            .env("NOTIFY_SOCKET", "/run/notify")
            .env("WATCHDOG_USEC", "1")
            .env("WATCHDOG_PID", "1")
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        assert!(output.contains(r#"heard ["end"]"#), "{output}");
    }

    /// The other half of the test above; alone it says nothing.
    #[test]
    fn the_environment_of_journalctl() {
        if let Some(program) = std::env::var_os("GATEHOUND_TEST_JOURNALCTL") {
            let lines = last_lines(Path::new(&program), AMPLE).unwrap();
            println!("heard {:?}", texts(&lines));
        }
    }

    #[test]
    fn a_run_that_wrote_nothing_has_no_lines() {
        let _alone = alone();
        assert_eq!(last_lines(Path::new("/bin/true"), AMPLE), Ok(Vec::new()));
    }

    #[test]
    fn a_journalctl_that_fails_or_is_not_there_is_named() {
        let _alone = alone();
        let failed = last_lines(Path::new("/bin/false"), AMPLE).unwrap_err();
        assert_eq!(failed.as_str(), "false fails: exit status: 1");
        let absent = last_lines(Path::new("/nonexistent/journalctl"), AMPLE).unwrap_err();
        let expected = "cannot start /nonexistent/journalctl: No such file";
        assert!(absent.as_str().starts_with(expected), "{absent}");
    }

    /// Holds that this script is killed and reaped when its time is over.
    #[track_caller]
    fn check_killed(script: &str) {
        let _alone = alone();
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let script = format!("echo $$ > {}\n{script}", pid_file.display());
        let hanging = program(dir.path(), &script);
        let start = Instant::now();
        let late = last_lines(&hanging, BUDGET).unwrap_err();
        let took = start.elapsed();
        assert_eq!(late.as_str(), "journalctl is not done in time");
        assert!(took < BUDGET + SLACK, "{took:?}");
        let pid = fs::read_to_string(pid_file).unwrap();
        let entry = Path::new("/proc").join(pid.trim());
        assert!(!entry.exists(), "{} is still there", entry.display());
    }

    #[test]
    fn a_journalctl_that_hangs_is_killed_in_time() {
        check_killed("exec sleep 1000");
    }

    #[test]
    fn a_journalctl_that_hangs_after_its_last_word_is_killed_in_time() {
        check_killed("exec >&-\nexec sleep 1000");
    }

    #[test]
    fn a_journalctl_that_never_stops_writing_is_killed_in_time() {
        check_killed("exec yes");
    }
}

mod places {
    use super::*;

    /// A process that holds a socket and waits for its input.
    pub(super) struct Cat(Child);

    impl Cat {
        pub(super) fn gave_up(socket: impl Into<OwnedFd>) -> Self {
            let mut child = Command::new("cat")
                .arg("-")
                .env("SECRET", "hunter2")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::from(socket.into()))
                .spawn()
                .unwrap();
            // Once it echoes, its program runs.
            child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
            let stdout = child.stdout.as_mut().unwrap();
            stdout.read_exact(&mut [0]).unwrap();
            // And it waits for the next byte, once a busy host lets it get there.
            let activity = || processes::activity(Path::new("/proc"), child.id()).unwrap();
            while activity().state != 'S' {
                assert_ne!(activity().state, 'Z', "it ended");
                thread::yield_now();
            }
            Self(child)
        }

        pub(super) fn pid(&self) -> u32 {
            self.0.id()
        }
    }

    impl Drop for Cat {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A /proc with one process, the main process 42, which listens on port 80.
    pub(super) fn fake_proc() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let process = dir.path().join("42");
        fs::create_dir_all(process.join("task/42")).unwrap();
        fs::create_dir_all(process.join("fd")).unwrap();
        fs::create_dir(dir.path().join("net")).unwrap();
        let stat = |ticks: u32| {
            format!("42 (a) b) D 1 42 42 0 -1 0 1 2 3 4 {ticks} 100 0 0 20 0 11 0 987654 1 2 3")
        };
        let status = "Name:\ta\nTracerPid:\t0\nUid:\t1\t2\t3\t4\nVmRSS:\t     800 kB\nVmSwap:\t 16 kB\n\
                      Threads:\t11\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t6\n";
        let limits = "Limit     Soft Limit   Hard Limit   Units\n\
                      Max processes    9    9   processes\nMax open files    1024    4096   files\n";
        for (name, text) in [
            ("42/stat", stat(200).as_str()),
            ("42/task/42/stat", stat(100).as_str()),
            ("42/status", status),
            ("42/wchan", "io_schedule"),
            ("42/syscall", "0 0xdead 0xbeef"),
            ("42/limits", limits),
            ("42/oom_score", "666\n"),
            ("42/cgroup", "0::/unit\n"),
            ("42/cmdline", "node\0dist/index.js\0gateway\0"),
            ("loadavg", "4.50 2.25 1.75 6/172 24214\n"),
            (
                "net/tcp",
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                 0: 0100007F:0050 00000000:0000 0A 00000000:0000000C 00:00000000 00000000  1000        0 4242 1 \
                 0000000000000000 100 0 0 10 0\n",
            ),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        for (fd, target) in [
            ("0", "/dev/null"),
            ("1", "pipe:[1]"),
            ("9", "socket:[4242]"),
        ] {
            symlink(target, process.join("fd").join(fd)).unwrap();
        }
        dir
    }

    pub(super) fn fake_cgroup() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "memory\n").unwrap();
        let unit = dir.path().join("unit");
        fs::create_dir(&unit).unwrap();
        let pressure = |percent| format!("some avg10={percent} avg60=0.00 avg300=0.00 total=0\n");
        for (name, text) in [
            ("cpu.stat", "usage_usec 1234567\nuser_usec 1\n".to_owned()),
            ("cgroup.events", "populated 1\nfrozen 0\n".to_owned()),
            ("cgroup.freeze", "0\n".to_owned()),
            ("memory.current", "4096\n".to_owned()),
            (
                "memory.events",
                "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\n".to_owned(),
            ),
            ("cpu.pressure", pressure("1.50")),
            ("memory.pressure", pressure("2.50")),
            ("io.pressure", pressure("3.50")),
        ] {
            fs::write(unit.join(name), text).unwrap();
        }
        dir
    }

    pub(super) fn fake_places(proc: &Path, cgroup: &Path) -> Places {
        Places {
            proc: proc.to_owned(),
            cgroup: cgroup::root(cgroup),
            journalctl: "/bin/true".into(),
        }
    }

    pub(super) fn subject(main_pid: u32, port: u16) -> Subject {
        Subject {
            stall: Stall::Blocked,
            detail: Line::default(),
            unit: "gateway.service".to_owned(),
            invocation: Some(Invocation(RUN.to_owned())),
            control_group: "/unit".to_owned(),
            main_pid,
            port,
        }
    }
}

use places::{Cat, fake_cgroup, fake_places, fake_proc, subject};

/// The cgroup of [`fake_cgroup`].
fn known_cgroup() -> cgroup::Cgroup {
    cgroup::Cgroup {
        cpu: Some(Duration::from_micros(1_234_567)),
        frozen: false,
        memory: Some(4096),
        oom_kills: Some(5),
        memory_high: Some(2),
        cpu_pressure: Some(1.5),
        memory_pressure: Some(2.5),
        io_pressure: Some(3.5),
    }
}

#[test]
fn every_number_comes_from_its_own_place() {
    let _alone = alone();
    let (proc, cgroup) = (fake_proc(), fake_cgroup());
    let places = fake_places(proc.path(), cgroup.path());
    let found = evidence::collect(&places, &subject(42, 80), AMPLE);
    let tick = 1_000_000 / procfs::ticks_per_second();
    let expected = Process {
        pid: 42,
        state: 'D',
        wchan: Some("io_schedule".into()),
        syscall: Some(0),
        main_thread_cpu: Duration::from_micros(200 * tick),
        cpu: Some(Duration::from_micros(300 * tick)),
        rss: Some(800 * 1024),
        swap: Some(16 * 1024),
        threads: Some(11),
        fds: Some(3),
        fd_limit: Some(1024),
        voluntary_switches: Some(5),
        involuntary_switches: Some(6),
        oom_score: Some(666),
    };
    assert_eq!(found.process, Some(expected));
    assert_eq!(found.command, Some("node dist/index.js gateway".into()));
    assert_eq!(found.cgroup, Some(known_cgroup()));
    assert_eq!(found.listeners[0].recv_queue, 12);
    assert_eq!(found.load_average, Some([4.5, 2.25, 1.75]));
    assert_eq!(found.missing, []);
}

#[test]
fn what_cannot_be_had_is_named_and_the_rest_is_kept() {
    let _alone = alone();
    let (proc, cgroup) = (fake_proc(), fake_cgroup());
    for name in [
        "42/wchan",
        "42/syscall",
        "loadavg",
        "net/tcp",
        "42/oom_score",
    ] {
        fs::remove_file(proc.path().join(name)).unwrap();
    }
    fs::write(proc.path().join("42/wchan"), "0").unwrap();
    for name in ["memory.current", "io.pressure"] {
        fs::remove_file(cgroup.path().join("unit").join(name)).unwrap();
    }
    let mut places = fake_places(proc.path(), cgroup.path());
    places.journalctl = "/bin/false".into();
    let found = evidence::collect(&places, &subject(42, 80), AMPLE);
    let missing = texts(&found.missing);
    let (listeners, others): (Vec<&str>, Vec<&str>) =
        missing.iter().partition(|it| it.starts_with("listeners: "));
    assert_eq!(listeners.len(), 1, "{missing:?}");
    assert_eq!(
        others,
        [
            "load_average",
            "cgroup_memory",
            "io_pressure",
            "wchan",
            "syscall",
            "oom_score",
            "journal: false fails: exit status: 1",
        ]
    );
    assert_eq!(found.process.unwrap().rss, Some(800 * 1024));
    assert_eq!(found.cgroup.unwrap().oom_kills, Some(5));
}

#[test]
fn from_nothing_comes_nothing_but_the_names_of_what_is_missing() {
    let nothing = tempfile::tempdir().unwrap();
    let places = fake_places(nothing.path(), nothing.path());
    let nobody = Subject {
        invocation: None,
        ..subject(0, 80)
    };
    let found = evidence::collect(&places, &nobody, AMPLE);
    assert_eq!((&found.process, &found.cgroup), (&None, &None));
    let names: Vec<&str> = texts(&found.missing)
        .iter()
        .map(|it| it.split(':').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "load_average",
            "cgroup",
            "listeners",
            "process",
            "command",
            "journal"
        ]
    );
}

#[test]
fn a_read_that_never_ends_costs_no_more_than_the_budget_and_only_what_follows_it() {
    let _alone = alone();
    let (proc, cgroup) = (fake_proc(), fake_cgroup());
    // Opening a FIFO that nobody writes to waits as a command line does whose process waits for the disk.
    let cmdline = proc.path().join("42/cmdline");
    fs::remove_file(&cmdline).unwrap();
    mkfifo(&cmdline, Mode::S_IRWXU).unwrap();
    let places = fake_places(proc.path(), cgroup.path());
    let start = Instant::now();
    let found = evidence::collect(&places, &subject(42, 80), BUDGET);
    let took = start.elapsed();
    assert!((BUDGET..BUDGET + SLACK).contains(&took), "{took:?}");
    assert_eq!(texts(&found.missing), ["command: not read in time"]);
    assert_eq!(found.process.unwrap().state, 'D');
    assert_eq!(found.cgroup, Some(known_cgroup()));
}

#[test]
fn a_journal_that_hangs_costs_no_more_than_the_budget_and_nothing_else() {
    let _alone = alone();
    let (proc, cgroup) = (fake_proc(), fake_cgroup());
    let dir = tempfile::tempdir().unwrap();
    let mut places = fake_places(proc.path(), cgroup.path());
    places.journalctl = program(dir.path(), "exec sleep 1000");
    let start = Instant::now();
    let found = evidence::collect(&places, &subject(42, 80), BUDGET);
    let took = start.elapsed();
    assert!(took < BUDGET + SLACK, "{took:?}");
    assert_eq!(
        texts(&found.missing),
        ["journal: journalctl is not done in time"]
    );
    assert!(found.command.is_some() && found.process.is_some());
}

fn real_places() -> Places {
    Places {
        proc: "/proc".into(),
        cgroup: None,
        journalctl: "/bin/true".into(),
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Evidence of a process that holds a socket and is not the main process.
fn of_a_child_that_listens(connections: usize) -> (Cat, Evidence) {
    let _alone = alone();
    let (socket, address) = listener();
    let cat = Cat::gave_up(socket);
    let _clients: Vec<TcpStream> = (0..connections)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let start = Instant::now();
    // The last packet of a handshake is the kernel's own to deliver.
    let waiting =
        || listeners::listening(Path::new("/proc"), address.port()).unwrap()[0].recv_queue;
    while waiting() as usize != connections {
        assert!(start.elapsed() < AMPLE, "{} connections wait", waiting());
        thread::yield_now();
    }
    let launcher = std::process::id();
    let found = evidence::collect(&real_places(), &subject(launcher, address.port()), AMPLE);
    (cat, found)
}

#[test]
fn the_owner_of_the_socket_is_looked_at_and_not_its_launcher() {
    let (cat, found) = of_a_child_that_listens(0);
    let process = found.process.unwrap();
    assert_eq!((process.pid, process.state), (cat.pid(), 'S'));
    assert_eq!(process.threads, Some(1));
    assert!(3 <= process.fds.unwrap() && process.fds.unwrap() < 20);
    assert!(process.fd_limit.is_some() && process.oom_score.is_some());
    assert!((64 * 1024..64 * 1024 * 1024).contains(&process.rss.unwrap()));
    assert!(process.cpu.unwrap() < AMPLE);
    assert_eq!(found.command, Some("cat -".into()));
}

#[test]
fn connections_that_wait_to_be_accepted_are_counted() {
    let (_cat, found) = of_a_child_that_listens(3);
    assert_eq!(found.listeners[0].recv_queue, 3);
    assert!(found.summary().as_str().contains(", Recv-Q 3,"));
}

#[test]
fn without_a_listener_the_main_process_is_looked_at() {
    let _alone = alone();
    let (socket, address) = listener();
    let (unrelated, _) = listener();
    drop(socket);
    let cat = Cat::gave_up(unrelated);
    let found = evidence::collect(&real_places(), &subject(cat.pid(), address.port()), AMPLE);
    assert_eq!(found.process.unwrap().pid, cat.pid());
    assert_eq!(found.listeners, []);
}

#[test]
fn the_environment_is_no_evidence() {
    let (_cat, found) = of_a_child_that_listens(0);
    let json = serde_json::to_string(&found).unwrap();
    assert!(
        !json.contains("hunter2") && !json.contains("SECRET"),
        "{json}"
    );
}

mod cgroups {
    use super::*;

    #[test]
    fn the_mount_is_found_beside_the_hierarchies_of_version_1_as_well() {
        let base = tempfile::tempdir().unwrap();
        let unified = base.path().join("unified");
        assert_eq!(cgroup::root(base.path()), None);
        fs::create_dir(&unified).unwrap();
        fs::write(unified.join("cgroup.controllers"), "").unwrap();
        assert_eq!(cgroup::root(base.path()), Some(unified));
        fs::write(base.path().join("cgroup.controllers"), "").unwrap();
        assert_eq!(cgroup::root(base.path()), Some(base.path().to_owned()));
    }

    #[test]
    fn without_controllers_the_cpu_time_is_still_known() {
        let root = fake_cgroup();
        let unit = root.path().join("unit");
        for name in ["memory.current", "memory.events", "memory.pressure"] {
            fs::remove_file(unit.join(name)).unwrap();
        }
        let found = cgroup::look(root.path(), "/unit");
        let expected = cgroup::Cgroup {
            memory: None,
            oom_kills: None,
            memory_high: None,
            memory_pressure: None,
            ..known_cgroup()
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn frozen_by_itself_by_an_ancestor_or_about_to_be() {
        let root = fake_cgroup();
        let is_frozen = |events: &str, freeze: &str| {
            let unit = root.path().join("unit");
            fs::write(unit.join("cgroup.events"), events).unwrap();
            fs::write(unit.join("cgroup.freeze"), freeze).unwrap();
            cgroup::frozen(root.path(), "/unit")
        };
        assert!(is_frozen("populated 1\nfrozen 1\n", "1\n"));
        assert!(is_frozen("populated 1\nfrozen 1\n", "0\n"));
        assert!(is_frozen("populated 1\nfrozen 0\n", "1\n"));
        assert!(!is_frozen("populated 1\nfrozen 0\n", "0\n"));
        assert!(!is_frozen("", ""));
        assert!(!cgroup::frozen(root.path(), "/elsewhere"));
    }

    #[test]
    fn nonsense_is_nothing() {
        let root = fake_cgroup();
        for text in [
            &b""[..],
            b"\xff\xfe",
            b"-1",
            b"usage_usec\n",
            &[b'1'; 20_000],
        ] {
            for entry in fs::read_dir(root.path().join("unit")).unwrap() {
                fs::write(entry.unwrap().path(), text).unwrap();
            }
            let found = cgroup::look(root.path(), "/unit");
            assert_eq!(found, cgroup::Cgroup::default());
        }
    }
}

mod kept {
    use super::*;

    fn save(state: &Path, incident: &str, attempt: u32) -> Result<PathBuf, Line> {
        incident_files::save(state, incident, attempt, &["seen"], AMPLE)
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Writes a file of this age, in seconds.
    fn old(path: &Path, age: u64) {
        let time = SystemTime::now() - Duration::from_secs(age);
        let file = File::create(path).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    #[test]
    fn each_attempt_has_a_file_for_its_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state/gatehound");
        let path = save(&state, "c0ffee00-1", 1).unwrap();
        save(&state, "c0ffee00-1", 2).unwrap();
        assert_eq!(path, state.join("incidents/c0ffee00-1-1.json"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "[\n  \"seen\"\n]\n");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(
            names(&incident_files::folder(&state)),
            ["c0ffee00-1-1.json", "c0ffee00-1-2.json"]
        );
    }

    #[test]
    fn the_newest_are_kept_and_what_is_not_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = incident_files::folder(dir.path());
        fs::create_dir(&folder).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, "kept").unwrap();
        // Older than all others, and none of ours.
        old(&folder.join("notes.txt"), 9999);
        old(&folder.join("aa.json"), 9999);
        symlink(&elsewhere, folder.join("aa-9999-1.json")).unwrap();
        fs::create_dir(folder.join("bb-9999-1.json")).unwrap();
        for age in 1..=incident_files::KEPT as u64 + 5 {
            old(&folder.join(format!("{age}-1.json")), age * 10);
        }
        save(dir.path(), "c0ffee00-1", 1).unwrap();
        let names = names(&folder);
        let has = |name: &str| names.iter().any(|it| it == name);
        for name in ["notes.txt", "aa.json", "aa-9999-1.json", "bb-9999-1.json"] {
            assert!(has(name), "{name} is gone");
        }
        assert_eq!(names.len(), incident_files::KEPT + 4);
        assert!(has("c0ffee00-1-1.json") && has("1-1.json") && has("49-1.json"));
        assert!(!has("50-1.json") && !has("55-1.json"));
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "kept");
    }

    #[test]
    fn what_a_predecessor_was_killed_over_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        let folder = incident_files::folder(dir.path());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(".c0ffee00-1-1.json.1.new"), "ha").unwrap();
        fs::write(folder.join(".notes.txt.1.new"), "not ours").unwrap();
        save(dir.path(), "c0ffee00-1", 2).unwrap();
        let mut left = names(&folder);
        left.sort();
        assert_eq!(left, [".notes.txt.1.new", "c0ffee00-1-2.json"]);
    }

    #[test]
    fn a_file_written_again_takes_no_room_from_another() {
        let dir = tempfile::tempdir().unwrap();
        let folder = incident_files::folder(dir.path());
        fs::create_dir(&folder).unwrap();
        for age in 1..=incident_files::KEPT as u64 {
            old(&folder.join(format!("{age}-1.json")), age * 10);
        }
        save(dir.path(), "7", 1).unwrap();
        assert_eq!(names(&folder).len(), incident_files::KEPT);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = incident_files::folder(dir.path());
        fs::create_dir(&folder).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, "kept").unwrap();
        symlink(&elsewhere, folder.join("c0ffee00-1-1.json")).unwrap();
        let path = save(dir.path(), "c0ffee00-1", 1).unwrap();
        assert!(fs::symlink_metadata(path).unwrap().is_file());
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "kept");
    }

    #[test]
    fn a_folder_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), incident_files::folder(dir.path())).unwrap();
        let refused = save(dir.path(), "c0ffee00-1", 1).unwrap_err();
        assert!(refused.as_str().contains("not a folder"), "{refused}");
        assert_eq!(names(elsewhere.path()), [""; 0]);
    }

    #[test]
    fn a_disk_that_takes_no_file_is_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("file");
        fs::write(&state, "").unwrap();
        let refused = save(&state.join("gatehound"), "c0ffee00-1", 1).unwrap_err();
        assert!(refused.as_str().starts_with("cannot create "), "{refused}");
    }

    #[test]
    fn an_id_that_is_none_of_ours_becomes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        for id in ["../../c0ffee", "", "/", "x\ny"] {
            let refused = save(dir.path(), id, 1).unwrap_err();
            assert!(refused.as_str().contains("not the id"), "{refused}");
        }
        assert_eq!(names(dir.path()), [""; 0]);
    }
}
