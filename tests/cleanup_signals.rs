//! The cleanup against real processes and sockets: who is signalled, and above all who is not.
//!
//! Every process is a `cat` that inherits a socket as its standard error,
//! so none of these tests depends on a program that opens one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use gatehound::{
    os::processes,
    policy::facts::Invocation,
    recovery::cleanup::{Claim, CleanedUp, Holder, Signal, Territory, cleanup, survey},
};
use nix::{
    sys::signal::{
        self,
        Signal::{SIGKILL, SIGSTOP, SIGTERM},
    },
    unistd::{Pid, geteuid},
};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, listen, socket_with,
    sockopt::set_socket_reuseport,
};

/// Long enough that only a process that ignores the signal reaches it.
const AMPLE: Duration = Duration::from_secs(30);

/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(200);

const RUN: &str = "0123456789abcdef0123456789abcdef";

/// The territory of a unit that nothing is marked with and that has no cgroup.
fn territory(port: u16) -> Territory<'static> {
    Territory {
        proc: Path::new("/proc"),
        cgroups: None,
        unit: "gatehound-cleanup-test.service",
        port,
        addresses: &[],
        control_group: "",
        invocation: None,
        uid: geteuid().as_raw(),
        own_cgroup: "",
    }
}

/// One test at a time: between fork and exec, a child of any of them holds the sockets of all.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A process that runs until its input is closed, or a signal is faster.
struct Cat(Child);

impl Cat {
    fn gave_up(socket: impl Into<OwnedFd>) -> Self {
        Self::spawn(Command::new("cat").stderr(Stdio::from(socket.into())))
    }

    fn marked(variables: &[(&str, &str)]) -> Self {
        Self::spawn(
            Command::new("cat")
                .env_remove("INVOCATION_ID")
                .envs(variables.iter().copied()),
        )
    }

    /// Returns once it echoes, and so has its program, its environment and its signal mask in place.
    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        let stdout = child.stdout.as_mut().unwrap();
        stdout.read_exact(&mut [0]).unwrap();
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends by itself; fails if a signal had already ended it.
    #[track_caller]
    fn survived(mut self) {
        drop(self.0.stdin.take());
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }

    /// Has been ended by this signal; waits for ever if it has not.
    #[track_caller]
    fn was_ended_by(mut self, signal: signal::Signal) {
        assert_eq!(self.0.wait().unwrap().signal(), Some(signal as i32));
    }
}

impl Drop for Cat {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who was signalled, by pid.
fn signalled(cleaned_up: &CleanedUp) -> Vec<(u32, Claim)> {
    let signalled = cleaned_up.signalled.iter();
    let mut signalled: Vec<_> = signalled
        .map(|(process, claim)| (process.pid, *claim))
        .collect();
    signalled.sort_unstable_by_key(|(pid, _)| *pid);
    signalled
}

/// These processes with this claim, by pid.
fn sorted(cats: &[Cat], claim: Claim) -> Vec<(u32, Claim)> {
    let mut pids: Vec<u32> = cats.iter().map(Cat::pid).collect();
    pids.sort_unstable();
    pids.into_iter().map(|pid| (pid, claim)).collect()
}

#[track_caller]
fn check_nothing_in_the_way(cleaned_up: &CleanedUp) {
    assert_eq!(cleaned_up.left, []);
    assert_eq!(cleaned_up.foreign, []);
    assert_eq!(cleaned_up.unsignalled, []);
}

#[test]
fn a_holder_of_the_port_is_ended_by_sigterm() {
    let _alone = alone();
    let (listener, address) = listener();
    let holder = Cat::gave_up(listener);
    let start = Instant::now();
    let cleaned_up = cleanup(&territory(address.port()), Signal::Term, AMPLE).unwrap();
    assert_eq!(signalled(&cleaned_up), [(holder.pid(), Claim::HoldsPort)]);
    check_nothing_in_the_way(&cleaned_up);
    // It returned when the holder had ended, not when the budget was used up.
    assert!(start.elapsed() < AMPLE);
    TcpListener::bind(address).unwrap();
    holder.was_ended_by(SIGTERM);
}

#[test]
fn a_holder_that_ignores_sigterm_is_left_by_it_and_ended_by_sigkill() {
    let _alone = alone();
    let (listener, address) = listener();
    let holder = Cat::spawn(
        Command::new("env")
            .args(["--ignore-signal=TERM", "cat"])
            .stderr(Stdio::from(OwnedFd::from(listener))),
    );
    let territory = territory(address.port());
    let start = Instant::now();
    let cleaned_up = cleanup(&territory, Signal::Term, SHORT).unwrap();
    assert!(SHORT <= start.elapsed() + Duration::from_millis(1));
    assert_eq!(signalled(&cleaned_up), [(holder.pid(), Claim::HoldsPort)]);
    assert_eq!(cleaned_up.left, cleaned_up.signalled);

    let cleaned_up = cleanup(&territory, Signal::Kill, AMPLE).unwrap();
    assert_eq!(signalled(&cleaned_up), [(holder.pid(), Claim::HoldsPort)]);
    check_nothing_in_the_way(&cleaned_up);
    holder.was_ended_by(SIGKILL);
}

#[test]
fn every_owner_of_a_forked_listener_is_ended() {
    let _alone = alone();
    let (listener, address) = listener();
    let parent = Cat::gave_up(listener.try_clone().unwrap());
    let child = Cat::gave_up(listener);
    let cleaned_up = cleanup(&territory(address.port()), Signal::Term, AMPLE).unwrap();
    let mut pids: Vec<u32> = signalled(&cleaned_up).iter().map(|(pid, _)| *pid).collect();
    pids.sort_unstable();
    let mut expected = [parent.pid(), child.pid()];
    expected.sort_unstable();
    assert_eq!(pids, expected);
    check_nothing_in_the_way(&cleaned_up);
    parent.was_ended_by(SIGTERM);
    child.was_ended_by(SIGTERM);
}

/// A socket that listens on the port, or on a free one, beside others that do so in the same way.
fn listener_beside_others(port: u16) -> TcpListener {
    // Without the flag every process started here would hold all of them.
    let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
    let tcp = socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
    set_socket_reuseport(&tcp, true).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    bind(&tcp, &address).unwrap();
    listen(&tcp, 1).unwrap();
    TcpListener::from(tcp)
}

#[test]
fn every_one_of_several_sockets_on_the_port_loses_its_holder() {
    let _alone = alone();
    let first = listener_beside_others(0);
    let address = first.local_addr().unwrap();
    let second = listener_beside_others(address.port());
    let holders = [first, second].map(Cat::gave_up);
    let cleaned_up = cleanup(&territory(address.port()), Signal::Term, AMPLE).unwrap();
    assert_eq!(signalled(&cleaned_up), sorted(&holders, Claim::HoldsPort));
    check_nothing_in_the_way(&cleaned_up);
    TcpListener::bind(address).unwrap();
    for holder in holders {
        holder.was_ended_by(SIGTERM);
    }
}

#[test]
fn a_port_holder_among_several_holders_is_named_and_survives() {
    let _alone = alone();
    let first = listener_beside_others(0);
    let port = first.local_addr().unwrap().port();
    let sockets = [
        first,
        listener_beside_others(port),
        listener_beside_others(port),
    ];
    let [port_holder, holders @ ..] = sockets.map(Cat::gave_up);
    let proc = fake_proc(&port_holder, "/app.slice/other.service");
    for holder in &holders {
        show(&proc, holder, "/user.slice/user-1000.slice/session-3.scope");
    }
    let status = proc
        .path()
        .join(port_holder.pid().to_string())
        .join("status");
    fs::remove_file(&status).unwrap();
    fs::write(status, "Uid:\t4000000\t4000000\t4000000\t4000000\n").unwrap();
    let territory = Territory {
        proc: proc.path(),
        ..territory(port)
    };
    let cleaned_up = cleanup(&territory, Signal::Kill, AMPLE).unwrap();
    assert_eq!(signalled(&cleaned_up), sorted(&holders, Claim::HoldsPort));
    assert_eq!(cleaned_up.left, []);
    let named: Vec<String> = cleaned_up.foreign.iter().map(Holder::to_string).collect();
    let pid = port_holder.pid();
    assert_eq!(
        named,
        [format!(
            "pid {pid} of uid 4000000 in unit other.service (cat)"
        )]
    );
    for holder in holders {
        holder.was_ended_by(SIGKILL);
    }
    port_holder.survived();
}

#[test]
fn a_stopped_holder_outlasts_sigterm_and_is_ended_by_sigkill() {
    let _alone = alone();
    let (listener, address) = listener();
    let holder = Cat::gave_up(listener);
    let pid = Pid::from_raw(i32::try_from(holder.pid()).unwrap());
    signal::kill(pid, SIGSTOP).unwrap();
    // Until it has stopped, the kernel may take a later SIGTERM first.
    let stopped = nix::sys::wait::WaitPidFlag::WSTOPPED | nix::sys::wait::WaitPidFlag::WNOWAIT;
    nix::sys::wait::waitid(nix::sys::wait::Id::Pid(pid), stopped).unwrap();
    let territory = territory(address.port());
    let cleaned_up = cleanup(&territory, Signal::Term, SHORT).unwrap();
    assert_eq!(signalled(&cleaned_up), [(holder.pid(), Claim::HoldsPort)]);
    assert_eq!(cleaned_up.left, cleaned_up.signalled);

    let cleaned_up = cleanup(&territory, Signal::Kill, AMPLE).unwrap();
    check_nothing_in_the_way(&cleaned_up);
    holder.was_ended_by(SIGKILL);
}

#[test]
fn a_holder_that_forks_when_asked_to_end_is_ended_by_the_next_pass() {
    let _alone = alone();
    let (listener, address) = listener();
    // A command in the background reads from nowhere unless it is given where from.
    // Each says a word once it would fork when asked to end, and then counts for some seconds:
    // a shell that is about to read would read first and hear the signal later.
    let script = r#"exec 3<&0; trap 'sh -c "$0" "$0" <&3 & exit' TERM; echo
        i=0; while [ $i -lt 9999999 ]; do i=$((i + 1)); done; read x"#;
    let mut holder = Cat::spawn(
        Command::new("sh")
            .args(["-c", script, script])
            .stderr(Stdio::from(OwnedFd::from(listener))),
    );
    let territory = territory(address.port());
    let cleaned_up = cleanup(&territory, Signal::Term, AMPLE).unwrap();
    assert_eq!(signalled(&cleaned_up), [(holder.pid(), Claim::HoldsPort)]);
    assert_eq!(cleaned_up.left.len(), 1, "{cleaned_up:?}");
    let fork = cleaned_up.left[0].0.pid;
    assert_ne!(fork, holder.pid());
    holder
        .0
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut [0])
        .unwrap();

    let cleaned_up = cleanup(&territory, Signal::Kill, AMPLE).unwrap();
    assert_eq!(signalled(&cleaned_up), [(fork, Claim::HoldsPort)]);
    check_nothing_in_the_way(&cleaned_up);
    TcpListener::bind(address).unwrap();
}

#[test]
fn a_client_of_the_port_survives() {
    let _alone = alone();
    let (listener, address) = listener();
    let client = Cat::gave_up(TcpStream::connect(address).unwrap());
    // The gateway's end of the connection is no listener either.
    let (accepted, _) = listener.accept().unwrap();
    let server_end = Cat::gave_up(accepted);
    let holder = Cat::gave_up(listener);
    let cleaned_up = cleanup(&territory(address.port()), Signal::Kill, AMPLE).unwrap();
    assert_eq!(signalled(&cleaned_up), [(holder.pid(), Claim::HoldsPort)]);
    check_nothing_in_the_way(&cleaned_up);
    client.survived();
    server_end.survived();
}

#[test]
fn a_process_with_the_gateways_name_survives() {
    let _alone = alone();
    let name = "node openclaw-gateway gatehound-cleanup-test.service";
    let named = Cat::spawn(Command::new("cat").arg0(name));
    let seen = processes::process(Path::new("/proc"), named.pid()).unwrap();
    assert_eq!(seen.command.as_str(), name);
    let (listener, address) = listener();
    let holder = Cat::gave_up(listener);
    let cleaned_up = cleanup(&territory(address.port()), Signal::Kill, AMPLE).unwrap();
    assert_eq!(signalled(&cleaned_up), [(holder.pid(), Claim::HoldsPort)]);
    named.survived();
}

#[test]
fn a_marked_leftover_is_cleaned_up_without_holding_the_port() {
    let _alone = alone();
    let unit = "gatehound-cleanup-marked.service";
    let own = Invocation(RUN.to_owned());
    let mark = ("OPENCLAW_SYSTEMD_UNIT", unit);
    let plain = Cat::marked(&[mark]);
    let of_this_run = Cat::marked(&[mark, ("INVOCATION_ID", RUN)]);
    // A service of its own, which got the variable through `import-environment`.
    let of_another = Cat::marked(&[mark, ("INVOCATION_ID", &RUN.replace('0', "f"))]);
    let of_another_unit = Cat::marked(&[("OPENCLAW_SYSTEMD_UNIT", "openclaw-node.service")]);
    let territory = Territory {
        unit,
        invocation: Some(&own),
        ..territory(1)
    };
    let cleaned_up = cleanup(&territory, Signal::Kill, AMPLE).unwrap();
    let mut pids = signalled(&cleaned_up);
    pids.sort_unstable_by_key(|(pid, _)| *pid);
    let mut expected = [plain.pid(), of_this_run.pid()].map(|pid| (pid, Claim::Marked));
    expected.sort_unstable_by_key(|(pid, _)| *pid);
    assert_eq!(pids, expected);
    check_nothing_in_the_way(&cleaned_up);
    plain.was_ended_by(SIGKILL);
    of_this_run.was_ended_by(SIGKILL);
    of_another.survived();
    of_another_unit.survived();
}

#[test]
fn without_a_known_run_a_marked_service_survives() {
    let _alone = alone();
    let unit = "gatehound-cleanup-unknown-run.service";
    let service = Cat::marked(&[("OPENCLAW_SYSTEMD_UNIT", unit), ("INVOCATION_ID", RUN)]);
    let territory = Territory {
        unit,
        ..territory(1)
    };
    assert_eq!(survey(&territory).unwrap().ours, []);
    service.survived();
}

#[test]
fn gatehound_never_ends_itself_and_says_that_it_holds_the_port() {
    let _alone = alone();
    let (_listener, address) = listener();
    let cleaned_up = cleanup(&territory(address.port()), Signal::Kill, AMPLE).unwrap();
    assert_eq!(cleaned_up.signalled, []);
    assert_eq!(cleaned_up.left, []);
    let pids: Vec<Option<u32>> = cleaned_up
        .foreign
        .iter()
        .map(|holder| holder.process.as_ref().map(|process| process.pid))
        .collect();
    assert_eq!(pids, [Some(std::process::id())]);
}

#[test]
fn another_users_holder_is_named_and_survives() {
    let _alone = alone();
    let (listener, address) = listener();
    let holder = Cat::gave_up(listener);
    // From the point of view of the next user, this one is another.
    let territory = Territory {
        uid: geteuid().as_raw() + 1,
        ..territory(address.port())
    };
    let cleaned_up = cleanup(&territory, Signal::Kill, AMPLE).unwrap();
    assert_eq!(cleaned_up.signalled, []);
    assert_eq!(cleaned_up.left, []);
    assert_eq!(cleaned_up.foreign.len(), 1);
    let foreign = &cleaned_up.foreign[0];
    assert_eq!(foreign.process.as_ref().unwrap().pid, holder.pid());
    assert_eq!(foreign.uid, geteuid().as_raw());
    let text = foreign.to_string();
    assert!(
        text.starts_with(&format!("pid {} of u", holder.pid())) && text.ends_with(" (cat)"),
        "{text}"
    );
    holder.survived();
}

#[test]
fn another_users_holder_is_in_the_way_only_at_an_address_that_the_gateway_needs() {
    let _alone = alone();
    // Another process may have the port at the other address, but not one time after the other.
    let beside = (0..5).find_map(|_| {
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpListener::bind(("127.0.0.1", port)).ok()?;
        Some((listener, port))
    });
    let (listener, port) = beside.unwrap();
    let holder = Cat::gave_up(listener);
    let named = |needed: &[&str], uid: u32| {
        let addresses: Vec<IpAddr> = needed.iter().map(|it| it.parse().unwrap()).collect();
        let territory = Territory {
            addresses: &addresses,
            uid,
            ..territory(port)
        };
        let found = survey(&territory).unwrap();
        (found.ours.len(), found.foreign.len())
    };
    let uid = geteuid().as_raw();
    assert_eq!(named(&["127.0.0.1", "::1"], uid + 1), (0, 0));
    for needed in [&["127.0.0.1", "127.0.0.2"][..], &["0.0.0.0"], &["::"], &[]] {
        assert_eq!(named(needed, uid + 1), (0, 1), "{needed:?}");
    }
    // Whose it is does not matter where it is in nobody's way.
    assert_eq!(named(&["127.0.0.1"], uid), (0, 0));
    assert_eq!(named(&["127.0.0.2"], uid), (1, 0));
    holder.survived();
}

#[test]
fn an_unseen_holder_at_an_address_that_the_gateway_does_not_need_is_not_in_the_way() {
    let proc = unseen_holder();
    for (needed, expected) in [([127, 0, 0, 2], 0), ([127, 0, 0, 1], 1)] {
        let territory = Territory {
            proc: proc.path(),
            addresses: &[IpAddr::from(needed)],
            ..territory(18789)
        };
        assert_eq!(survey(&territory).unwrap().foreign.len(), expected);
    }
}

#[test]
fn the_processes_of_gatehounds_own_unit_survive() {
    let _alone = alone();
    let (listener, address) = listener();
    let holder = Cat::gave_up(listener);
    let proc = fake_proc(&holder, "/app.slice/gatehound.service");
    let territory = Territory {
        proc: proc.path(),
        own_cgroup: "/app.slice/gatehound.service",
        ..territory(address.port())
    };
    let cleaned_up = cleanup(&territory, Signal::Kill, AMPLE).unwrap();
    assert_eq!(cleaned_up.signalled, []);
    assert_eq!(cleaned_up.foreign.len(), 1);
    holder.survived();
}

#[test]
fn rule_12_a_port_holder_that_belongs_to_another_unit_is_named_and_survives() {
    let _alone = alone();
    let (listener, address) = listener();
    let holder = Cat::gave_up(listener);
    let user = "/user.slice/user-1000.slice/user@1000.service";
    let own_cgroup = format!("{user}/app.slice/gatehound.service");
    let unit = "gatehound-cleanup-test.service";
    let survey = |cgroup: &str| {
        let proc = fake_proc(&holder, cgroup);
        let territory = Territory {
            proc: proc.path(),
            own_cgroup: &own_cgroup,
            ..territory(address.port())
        };
        let found = survey(&territory).unwrap();
        (found.ours.len(), found.foreign.len())
    };
    for another in [
        format!("{user}/app.slice/proxy.service"),
        format!("{user}/app.slice/run-r1.scope"),
        format!("{user}/user.slice/libpod-0123.scope/container"),
        format!("{user}/init.scope"),
        "/system.slice/openclaw.service".to_owned(),
        format!("/system.slice/{unit}"),
    ] {
        assert_eq!(survey(&another), (0, 1), "{another}");
    }
    for nobodys in [
        format!("{user}/app.slice/{unit}"),
        "/user.slice/user-1000.slice/session-3.scope".to_owned(),
        format!("{user}/app.slice/vte-spawn-0123.scope"),
        "/".to_owned(),
    ] {
        assert_eq!(survey(&nobodys), (1, 0), "{nobodys}");
    }
    holder.survived();
}

#[test]
fn rule_12_where_there_is_cgroup_version_1_alone_the_user_manager_survives() {
    let _alone = alone();
    let (listener, address) = listener();
    let holder = Cat::gave_up(listener);
    let proc = fake_proc(&holder, "/");
    let cgroup = proc.path().join(holder.pid().to_string()).join("cgroup");
    let manager = "/user.slice/user-1000.slice/user@1000.service/init.scope";
    for (text, expected) in [
        (
            format!("4:memory:/user.slice\n1:name=systemd:{manager}\n"),
            (0, 1),
        ),
        (format!("1:name=systemd:{manager}\n0::/\n"), (0, 1)),
        ("4:memory:/user.slice\n".to_owned(), (0, 1)),
        (
            "1:name=systemd:/user.slice/user-1000.slice/session-1.scope\n".to_owned(),
            (1, 0),
        ),
    ] {
        fs::write(&cgroup, &text).unwrap();
        let territory = Territory {
            proc: proc.path(),
            ..territory(address.port())
        };
        let found = survey(&territory).unwrap();
        assert_eq!((found.ours.len(), found.foreign.len()), expected, "{text}");
    }
    holder.survived();
}

#[test]
fn a_leftover_in_the_units_cgroup_or_below_is_cleaned_up() {
    let _alone = alone();
    let unit = "gatehound-cleanup-cgroup.service";
    let control_group = format!("/app.slice/{unit}");
    for cgroup in [control_group.clone(), format!("{control_group}/payload")] {
        let leftover = Cat::marked(&[]);
        let proc = fake_proc(&leftover, &cgroup);
        let territory = Territory {
            proc: proc.path(),
            unit,
            control_group: &control_group,
            ..territory(1)
        };
        let found = survey(&territory).unwrap();
        assert_eq!(found.ours.len(), 1, "{cgroup}");
        let cleaned_up = cleanup(&territory, Signal::Kill, SHORT).unwrap();
        assert_eq!(signalled(&cleaned_up), [(leftover.pid(), Claim::InCgroup)]);
        leftover.was_ended_by(SIGKILL);
    }
}

#[test]
fn a_process_in_a_cgroup_of_a_like_name_survives() {
    let _alone = alone();
    let unit = "gatehound-cleanup-like.service";
    let neighbour = Cat::marked(&[]);
    let proc = fake_proc(&neighbour, &format!("/app.slice/{unit}-2"));
    let whole_slice = Territory {
        proc: proc.path(),
        unit,
        control_group: "/app.slice",
        ..territory(1)
    };
    let control_group = format!("/app.slice/{unit}");
    let own = Territory {
        control_group: &control_group,
        ..whole_slice
    };
    for territory in [whole_slice, own] {
        let cleaned_up = cleanup(&territory, Signal::Kill, SHORT).unwrap();
        assert_eq!(cleaned_up.signalled, []);
    }
    neighbour.survived();
}

/// A procfs that shows one real process, as it is but in this cgroup, and the real sockets.
fn fake_proc(cat: &Cat, cgroup: &str) -> tempfile::TempDir {
    let proc = tempfile::tempdir().unwrap();
    show(&proc, cat, cgroup);
    std::os::unix::fs::symlink("/proc/net", proc.path().join("net")).unwrap();
    proc
}

/// Shows one more process there.
fn show(proc: &tempfile::TempDir, cat: &Cat, cgroup: &str) {
    let real = Path::new("/proc").join(cat.pid().to_string());
    let shown = proc.path().join(cat.pid().to_string());
    fs::create_dir(&shown).unwrap();
    for name in ["stat", "status", "cmdline", "environ", "fd"] {
        std::os::unix::fs::symlink(real.join(name), shown.join(name)).unwrap();
    }
    fs::write(
        shown.join("cgroup"),
        format!("1:name=systemd:/\n0::{cgroup}\n"),
    )
    .unwrap();
}

/// The kernel's table with one socket, which another user opened and so many connections wait for.
fn table(waiting: u8) -> String {
    format!(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 0100007F:4965 00000000:0000 0A 00000000:{waiting:08X} 00:00000000 00000000 4000000        0 4711 1 0 100 0 0 10 0\n"
    )
}

/// A procfs with a socket on port 18789 of 127.0.0.1, and no process.
fn unseen_holder() -> tempfile::TempDir {
    let proc = tempfile::tempdir().unwrap();
    fs::create_dir(proc.path().join("net")).unwrap();
    fs::write(proc.path().join("net/tcp"), table(0)).unwrap();
    proc
}

#[test]
fn a_holder_that_cannot_be_seen_is_named_by_its_socket() {
    let _alone = alone();
    let proc = unseen_holder();
    let territory = Territory {
        proc: proc.path(),
        ..territory(18789)
    };
    let found = survey(&territory).unwrap();
    assert_eq!(found.ours, []);
    assert_eq!(found.foreign.len(), 1);
    assert_eq!(
        found.foreign[0].to_string(),
        "an unseen process of uid 4000000"
    );
}

#[test]
fn a_holder_that_cannot_be_seen_is_named_while_connections_to_it_come_and_go() {
    let _alone = alone();
    let proc = tempfile::tempdir().unwrap();
    let net = proc.path().join("net");
    fs::create_dir(&net).unwrap();
    let fifos = ["tcp", "tcp6"].map(|name| net.join(name));
    let made = Command::new("mkfifo").args(&fifos).status().unwrap();
    assert!(made.success());
    let territory = Territory {
        proc: proc.path(),
        ..territory(18789)
    };
    let [tcp, tcp6] = fifos;
    // Each write waits for its reader, and the second table follows the end of the first.
    let kernel = thread::spawn(move || {
        for waiting in [0, 3] {
            fs::write(&tcp, table(waiting)).unwrap();
            fs::write(&tcp6, "  sl  local_address\n").unwrap();
        }
    });
    assert_eq!(survey(&territory).unwrap().foreign.len(), 1);
    kernel.join().unwrap();
}

#[test]
fn a_table_that_cannot_be_read_is_an_error_and_nobody_is_signalled() {
    let _alone = alone();
    let unit = "gatehound-cleanup-unreadable.service";
    let marked = Cat::marked(&[("OPENCLAW_SYSTEMD_UNIT", unit)]);
    let proc = fake_proc(&marked, "/");
    fs::remove_file(proc.path().join("net")).unwrap();
    let territory = Territory {
        proc: proc.path(),
        unit,
        ..territory(18789)
    };
    let error = cleanup(&territory, Signal::Kill, AMPLE).unwrap_err();
    assert!(error.as_str().contains("cannot read "), "{error}");
    marked.survived();
}

#[test]
fn nothing_in_the_way_is_found_at_once() {
    let _alone = alone();
    let start = Instant::now();
    let cleaned_up = cleanup(&territory(1), Signal::Term, AMPLE).unwrap();
    assert_eq!(cleaned_up, CleanedUp::default());
    assert!(start.elapsed() < AMPLE);
}

#[test]
fn a_zombie_is_not_in_the_way() {
    let _alone = alone();
    let unit = "gatehound-cleanup-zombie.service";
    let marked = Cat::marked(&[("OPENCLAW_SYSTEMD_UNIT", unit)]);
    let proc = fake_proc(&marked, &format!("/app.slice/{unit}"));
    let control_group = format!("/app.slice/{unit}");
    let territory = Territory {
        proc: proc.path(),
        unit,
        control_group: &control_group,
        ..territory(1)
    };
    assert_eq!(survey(&territory).unwrap().ours.len(), 1);
    let pid = Pid::from_raw(i32::try_from(marked.pid()).unwrap());
    signal::kill(pid, SIGKILL).unwrap();
    // Ended, and not yet waited for: the kernel keeps it as a zombie.
    let ended = nix::sys::wait::Id::Pid(pid);
    let keep = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
    nix::sys::wait::waitid(ended, keep).unwrap();
    assert_eq!(survey(&territory).unwrap().ours, []);
    marked.was_ended_by(SIGKILL);
}
