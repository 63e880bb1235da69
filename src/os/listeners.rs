//! Who listens on a port: what the kernel says of it, and the processes that hold its sockets.
//!
//! Owns /proc/net/tcp, /proc/net/tcp6 and the links in /proc/PID/fd; it knows nothing of HTTP or signals.
//! Where those links may not be read, because the process is another user's, it says where the socket comes from.
//! Only sockets in LISTEN count: whoever is merely connected to the port is not its holder.

use std::{
    fmt::Display,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use procfs::{FromBufReadSI as _, net::TcpState};

use crate::os::{cgroup, processes, sock_diag};
use crate::{
    policy::facts::{Listener, Process},
    text::line::Line,
};

/// Some 400 000 sockets at 150 bytes each; a longer table is cut, and a cut table is an error.
const MAX_TABLE: u64 = 64 * 1024 * 1024;

/// Where the tables are that are about the same sockets as the kernel's own answer.
const PROC: &str = "/proc";

/// The sockets in LISTEN on this port, of all addresses and users.
///
/// The kernel is asked for them, which costs it a hundredth of writing its tables of all connections;
/// the tables are read where it does not answer, and where `proc` is another root.
///
/// # Errors
///
/// A table that cannot be read or understood says nothing; it never means that nothing listens.
pub fn listening(proc: &Path, port: u16) -> Result<Vec<Listener>, Line> {
    if proc == Path::new(PROC)
        && let Ok(sockets) = sock_diag::listening(port)
    {
        return Ok(sockets.into_iter().map(listener).collect());
    }
    from_tables(proc, port)
}

/// The sockets in LISTEN that these processes hold, on whichever port, each with its port.
///
/// # Errors
///
/// As [`listening`].
pub fn of_processes(proc: &Path, pids: &[u32]) -> Result<Vec<(u16, Listener)>, Line> {
    let all = on_any_port(proc)?;
    let inodes: Vec<u64> = all.iter().map(|(_, listener)| listener.inode).collect();
    let held: Vec<u64> = pids
        .iter()
        .flat_map(|pid| held(proc, *pid, &inodes))
        .collect();
    Ok(all
        .into_iter()
        .filter(|(_, listener)| held.contains(&listener.inode))
        .collect())
}

fn on_any_port(proc: &Path) -> Result<Vec<(u16, Listener)>, Line> {
    if proc == Path::new(PROC)
        && let Ok(sockets) = sock_diag::listening_on_any_port()
    {
        let sockets = sockets.into_iter();
        return Ok(sockets
            .map(|(port, socket)| (port, listener(socket)))
            .collect());
    }
    tables(proc)
}

fn listener(socket: sock_diag::Socket) -> Listener {
    Listener {
        // An IPv6 socket bound to an IPv4 address shows it in IPv6 form.
        address: socket.address.to_canonical(),
        uid: socket.uid,
        inode: socket.inode,
        recv_queue: socket.recv_queue,
    }
}

fn from_tables(proc: &Path, port: u16) -> Result<Vec<Listener>, Line> {
    let found = tables(proc)?.into_iter();
    let found = found.filter(|(its_port, _)| *its_port == port);
    Ok(found.map(|(_, listener)| listener).collect())
}

fn tables(proc: &Path) -> Result<Vec<(u16, Listener)>, Line> {
    let mut found = listening_in(&proc.join("net/tcp"))?;
    let tcp6 = proc.join("net/tcp6");
    // There is none when the kernel runs without IPv6.
    if fs::exists(&tcp6).map_err(|error| unreadable(&tcp6, error))? {
        found.extend(listening_in(&tcp6)?);
    }
    Ok(found)
}

fn listening_in(path: &Path) -> Result<Vec<(u16, Listener)>, Line> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    let mut table = BufReader::new(file.take(MAX_TABLE));
    let mut header = String::new();
    table
        .read_line(&mut header)
        .map_err(|error| unreadable(path, error))?;
    // An empty file is no table without sockets: the kernel always writes the header.
    if !header.contains("local_address") {
        return Err(unreadable(path, "no header"));
    }
    let entries = procfs::net::TcpNetEntries::from_buf_read(
        header.as_bytes().chain(table),
        procfs::current_system_info(),
    )
    .map_err(|error| unreadable(path, error))?;
    Ok(entries
        .0
        .into_iter()
        .filter(|entry| entry.state == TcpState::Listen)
        .map(|entry| {
            let listener = Listener {
                // An IPv6 socket bound to an IPv4 address shows it in IPv6 form.
                address: entry.local_address.ip().to_canonical(),
                uid: entry.uid,
                inode: entry.inode,
                recv_queue: entry.rx_queue,
            };
            (entry.local_address.port(), listener)
        })
        .collect())
}

/// The process that answers for the gateway: the main process where it holds one of these sockets, else the first that
/// is found to hold one, else the main process all the same.
pub fn owner(proc: &Path, listeners: &[Listener], main_pid: u32) -> u32 {
    let inodes: Vec<u64> = listeners.iter().map(|listener| listener.inode).collect();
    // Nearly always it is the main process itself, and to look at all others takes long.
    if inodes.is_empty() || !held(proc, main_pid, &inodes).is_empty() {
        return main_pid;
    }
    let owners = owners(proc, listeners, &[]);
    owners.first().map_or(main_pid, |(_, process)| process.pid)
}

/// The processes that hold these sockets, each with the inode of the one it holds.
///
/// Looks at `first` (the processes of the unit's cgroup), and is content when every socket has an owner there.
/// Else it looks at every process, and finds all owners of each socket: after a fork there are several.
/// A socket without an owner in the result belongs to a process that may not be looked at, or has just ended.
pub fn owners(proc: &Path, listeners: &[Listener], first: &[u32]) -> Vec<(u64, Process)> {
    let inodes: Vec<u64> = listeners.iter().map(|listener| listener.inode).collect();
    let near = owners_among(proc, &inodes, first.iter().copied());
    let is_owned = |inode: &u64| near.iter().any(|(owned, _)| owned == inode);
    if inodes.iter().all(is_owned) {
        return near;
    }
    owners_among(proc, &inodes, processes::pids(proc))
}

fn owners_among(
    proc: &Path,
    inodes: &[u64],
    pids: impl Iterator<Item = u32>,
) -> Vec<(u64, Process)> {
    let mut found = Vec::new();
    for pid in pids {
        let held = held(proc, pid, inodes);
        if held.is_empty() {
            continue;
        }
        if let Some(process) = processes::process(proc, pid) {
            found.extend(held.into_iter().map(|inode| (inode, process.clone())));
        }
    }
    found
}

/// Which of these sockets a process holds; none of those it does not let us look at.
pub fn held(proc: &Path, pid: u32, inodes: &[u64]) -> Vec<u64> {
    let links: Vec<PathBuf> = fs::read_dir(proc.join(pid.to_string()).join("fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .collect();
    inodes
        .iter()
        .copied()
        .filter(|inode| {
            let name = format!("socket:[{inode}]");
            links.iter().any(|link| link.as_os_str() == name.as_str())
        })
        .collect()
}

/// Where a socket comes from whose owner may not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The cgroup in which the process was that made it.
    pub cgroup: String,
    /// The processes of the socket's user that are in it now; none if not all of them can be seen.
    pub processes: Option<Vec<Process>>,
}

impl Origin {
    /// The process that holds the socket, where only one of its user is there.
    ///
    /// It errs where a socket was handed to another cgroup: then it is the one that is left where it was made.
    pub fn only_process(&self) -> Option<&Process> {
        match self.processes.as_deref()? {
            [process] => Some(process),
            _ => None,
        }
    }
}

/// Where a listening socket comes from, if the kernel says so; `cgroups` is where cgroup2 is mounted.
///
/// It costs a question to the kernel and a look at its cgroups: only for a socket whose owner cannot be seen.
pub fn origin(proc: &Path, cgroups: &Path, port: u16, listener: &Listener) -> Option<Origin> {
    let sockets = sock_diag::listening(port).ok()?;
    let socket = sockets
        .iter()
        .find(|socket| socket.inode == listener.inode)?;
    let id = socket.cgroup?;
    origin_in(proc, cgroups, id, listener.uid)
}

fn origin_in(proc: &Path, cgroups: &Path, id: u64, uid: u32) -> Option<Origin> {
    let cgroup = cgroup::path_of(cgroups, id)?;
    let seen = |pid| processes::process(proc, pid).filter(|process| process.cgroup == cgroup);
    // One that is hidden, or ends just now, may be the one that holds the socket.
    let processes: Option<Vec<Process>> = cgroup::pids(cgroups, &cgroup)
        .and_then(|pids| pids.into_iter().map(seen).collect())
        .map(|mut processes: Vec<Process>| {
            processes.retain(|process| process.uid == uid);
            processes
        });
    Some(Origin { cgroup, processes })
}

/// The address at which these listeners are best probed, if there are any.
///
/// Loopback where it is bound, alone or by the wildcard address, which needs no network to be up;
/// else the address that is bound.
pub fn address_to_probe(listeners: &[Listener]) -> Option<IpAddr> {
    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let is_bound = |loopback: IpAddr, wildcard: IpAddr| {
        listeners
            .iter()
            .any(|listener| listener.address == loopback || listener.address == wildcard)
    };
    if is_bound(V4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)) {
        return Some(V4);
    }
    if is_bound(V6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)) {
        return Some(V6);
    }
    listeners.first().map(|listener| listener.address)
}

/// Whether nobody can listen at one of these addresses while somebody else listens at the other.
///
/// `::` may take IPv4 as well, or not; nobody can see which, so it is taken to.
pub fn conflict(one: IpAddr, other: IpAddr) -> bool {
    let takes =
        |all: IpAddr, other: IpAddr| all.is_unspecified() && (all.is_ipv6() || other.is_ipv4());
    one == other || takes(one, other) || takes(other, one)
}

fn unreadable(path: &Path, error: impl Display) -> Line {
    Line::new(&format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{TcpListener, TcpStream},
        os::unix::fs::{MetadataExt as _, symlink},
    };

    #[test]
    fn the_listeners_of_a_process_are_found_on_whichever_port() {
        let listeners = [
            TcpListener::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
        ];
        let expected = listeners
            .each_ref()
            .map(|it| it.local_addr().unwrap().port());
        let own = [std::process::id()];
        let by_tables = tables(Path::new(PROC)).unwrap();
        for found in [of_processes(Path::new(PROC), &own).unwrap(), by_tables] {
            for port in expected {
                assert!(found.iter().any(|(found, _)| *found == port), "{found:?}");
            }
        }
        // Nobody's process holds none, whoever listens.
        assert_eq!(of_processes(Path::new(PROC), &[]).unwrap(), []);
    }

    #[test]
    fn addresses_conflict_where_the_kernel_would_say_so() {
        let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
        let v6only = fs::read_to_string("/proc/sys/net/ipv6/bindv6only");
        let v6only = v6only.is_ok_and(|set| set.trim() == "1");
        for (one, other) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.2"),
            ("0.0.0.0", "127.0.0.2"),
            ("127.0.0.1", "0.0.0.0"),
            ("0.0.0.0", "::1"),
            ("::1", "127.0.0.1"),
            ("::", "::1"),
            ("::", "127.0.0.1"),
            ("::", "0.0.0.0"),
            ("::1", "::"),
        ] {
            let [one, other] = [one, other].map(|it| it.parse::<IpAddr>().unwrap());
            if !has_ipv6 && (one.is_ipv6() || other.is_ipv6()) {
                continue;
            }
            // Nobody who looks at a listener can see whether it is so, but this host's own are.
            let is_apart = v6only && one.is_ipv6() != other.is_ipv6();
            let taken = conflict(one, other) && !is_apart;
            // Another process may have the port at the other address, but not one time after the other.
            let refused = (0..5).all(|_| {
                let first = TcpListener::bind((one, 0)).unwrap();
                let port = first.local_addr().unwrap().port();
                TcpListener::bind((other, port)).is_err()
            });
            assert_eq!(refused, taken, "{one} and {other}");
        }
    }

    const WEB: &str = "/system.slice/web.service";

    /// A machine with one cgroup, and these processes in it, each a pid and a user; none of them is pid 9.
    fn machine(processes: &[(u32, u32)]) -> (tempfile::TempDir, u64) {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join(format!("cgroups{WEB}"));
        fs::create_dir_all(&folder).unwrap();
        let pids: String = processes
            .iter()
            .map(|(pid, _)| format!("{pid}\n"))
            .collect();
        fs::write(folder.join("cgroup.procs"), pids).unwrap();
        for (pid, uid) in processes.iter().filter(|(pid, _)| *pid != 9) {
            let process = top.path().join(format!("proc/{pid}"));
            fs::create_dir_all(&process).unwrap();
            let stat = format!("{pid} (web) S 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 5 0");
            fs::write(process.join("stat"), stat).unwrap();
            fs::write(process.join("status"), format!("Uid:\t0\t{uid}\t0\t0\n")).unwrap();
            fs::write(process.join("cmdline"), "web\0--fast\0").unwrap();
            fs::write(process.join("cgroup"), format!("0::{WEB}\n")).unwrap();
        }
        let id = fs::metadata(folder).unwrap().ino();
        (top, id)
    }

    /// A machine of these processes, each with the inodes of the sockets that it holds.
    fn holding(processes: &[(u32, &[u64])]) -> tempfile::TempDir {
        let users: Vec<(u32, u32)> = processes.iter().map(|(pid, _)| (*pid, 1001)).collect();
        let (top, _) = machine(&users);
        for (pid, inodes) in processes {
            let folder = top.path().join(format!("proc/{pid}/fd"));
            fs::create_dir(&folder).unwrap();
            for inode in *inodes {
                symlink(format!("socket:[{inode}]"), folder.join(inode.to_string())).unwrap();
            }
        }
        top
    }

    fn with_inodes(inodes: &[u64]) -> Vec<Listener> {
        let made = inodes.iter().map(|inode| Listener {
            address: Ipv4Addr::LOCALHOST.into(),
            uid: 1001,
            inode: *inode,
            recv_queue: 0,
        });
        made.collect()
    }

    #[test]
    fn the_main_process_answers_unless_only_another_holds_the_socket() {
        let top = holding(&[(41, &[5]), (42, &[5]), (43, &[])]);
        let owner =
            |inodes: &[u64], main| owner(&top.path().join("proc"), &with_inodes(inodes), main);
        assert_eq!(owner(&[5], 42), 42);
        assert!([41, 42].contains(&owner(&[5], 43)));
        // Without a socket, or with one that nobody is seen to hold.
        assert_eq!([owner(&[], 43), owner(&[6], 43)], [43, 43]);
    }

    #[test]
    fn others_are_looked_at_only_for_a_socket_that_nobody_near_holds() {
        let top = holding(&[(41, &[5]), (42, &[5]), (43, &[6])]);
        let owners = |inodes: &[u64]| {
            let found = owners(&top.path().join("proc"), &with_inodes(inodes), &[41]);
            let mut found: Vec<(u64, u32)> = found
                .into_iter()
                .map(|(inode, it)| (inode, it.pid))
                .collect();
            found.sort();
            found
        };
        assert_eq!(owners(&[5]), [(5, 41)]);
        assert_eq!(owners(&[5, 6]), [(5, 41), (5, 42), (6, 43)]);
    }

    /// The pid that is said to hold a socket of user 1001, and how many of that user are known to be there.
    #[track_caller]
    fn check_origin(processes: &[(u32, u32)], expected: (Option<u32>, Option<usize>)) {
        let (top, id) = machine(processes);
        let (proc, cgroups) = (top.path().join("proc"), top.path().join("cgroups"));
        let origin = origin_in(&proc, &cgroups, id, 1001).unwrap();
        assert_eq!(origin.cgroup, WEB);
        let count = origin.processes.as_ref().map(Vec::len);
        assert_eq!((origin.only_process().map(|it| it.pid), count), expected);
    }

    #[test]
    fn the_only_process_of_its_user_where_a_socket_was_made_holds_it() {
        check_origin(&[(42, 1001)], (Some(42), Some(1)));
        check_origin(&[(41, 0), (42, 1001), (43, 1002)], (Some(42), Some(1)));
    }

    #[test]
    fn no_pid_is_told_that_is_not_sure() {
        check_origin(&[(42, 1001), (43, 1001)], (None, Some(2)));
        check_origin(&[(42, 1002)], (None, Some(0)));
        // One that cannot be seen may be the one.
        check_origin(&[(42, 1001), (9, 0)], (None, None));
        check_origin(&[], (None, Some(0)));
    }

    #[test]
    fn a_process_that_moved_on_is_not_where_the_socket_was_made() {
        let (top, id) = machine(&[(42, 1001)]);
        let (proc, cgroups) = (top.path().join("proc"), top.path().join("cgroups"));
        fs::write(proc.join("42/cgroup"), "0::/elsewhere\n").unwrap();
        let origin = origin_in(&proc, &cgroups, id, 1001).unwrap();
        assert_eq!(origin.only_process(), None);
        assert_eq!(origin_in(&proc, &cgroups, 0, 1001), None);
    }

    #[test]
    fn the_kernel_says_in_which_cgroup_a_listener_was_made() {
        let root = cgroup::root(Path::new("/sys/fs/cgroup")).expect("cgroup2");
        let proc = Path::new("/proc");
        let path = processes::process(proc, std::process::id()).unwrap().cgroup;
        let own = root.join(path.trim_start_matches('/'));
        let own = fs::metadata(own).unwrap().ino();
        for address in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            let socket = TcpListener::bind(address).unwrap();
            let port = socket.local_addr().unwrap().port();
            let [asked] = &*sock_diag::listening(port).unwrap() else {
                panic!("one listener on port {port}");
            };
            assert_eq!(asked.cgroup, Some(own), "{address}");
            let origin = origin(proc, &root, port, &listener(asked.clone()));
            let origin = origin.map(|origin| origin.cgroup);
            // The root of all cgroups counts as none.
            let expected = Some(path.clone()).filter(|path| path != "/");
            assert_eq!(origin, expected, "{address}");
        }
    }

    #[test]
    fn the_kernel_says_of_listeners_what_its_tables_say() {
        let proc = Path::new(PROC);
        for address in [
            "127.0.0.1:0",
            "0.0.0.0:0",
            "[::1]:0",
            "[::]:0",
            "[::ffff:127.0.0.1]:0",
        ] {
            let socket = TcpListener::bind(address).unwrap();
            let port = socket.local_addr().unwrap().port();
            let waiting = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
            let asked = sock_diag::listening(port).unwrap();
            let asked: Vec<Listener> = asked.into_iter().map(listener).collect();
            assert_eq!(asked.len(), 1, "{address}");
            assert_eq!(asked[0].recv_queue, 1, "{address}");
            assert_eq!(from_tables(proc, port).unwrap(), asked, "{address}");
            drop((socket, waiting));
            assert_eq!(sock_diag::listening(port).unwrap(), [], "{address}");
        }
    }

    #[track_caller]
    fn check(bound: &[&str], expected: Option<&str>) {
        let listeners: Vec<Listener> = bound
            .iter()
            .map(|address| Listener {
                address: address.parse().unwrap(),
                uid: 1000,
                inode: 1,
                recv_queue: 0,
            })
            .collect();
        assert_eq!(
            address_to_probe(&listeners),
            expected.map(|address| address.parse().unwrap())
        );
    }

    #[test]
    fn loopback_is_probed_where_it_is_bound() {
        check(&["127.0.0.1", "::1"], Some("127.0.0.1"));
        check(&["0.0.0.0"], Some("127.0.0.1"));
        check(&["192.0.2.7", "127.0.0.1"], Some("127.0.0.1"));
        check(&["::"], Some("::1"));
        check(&["192.0.2.7", "::1"], Some("::1"));
    }

    #[test]
    fn without_loopback_the_bound_address_is_probed() {
        check(&["192.0.2.7"], Some("192.0.2.7"));
        check(&["2001:db8::7"], Some("2001:db8::7"));
        check(&[], None);
    }
}
