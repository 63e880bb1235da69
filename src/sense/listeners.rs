//! Who listens on a port: the kernel's TCP tables, and the processes that hold their sockets.
//!
//! Owns /proc/net/tcp, /proc/net/tcp6 and the links in /proc/PID/fd; it knows nothing of HTTP or signals.
//! Only sockets in LISTEN count: whoever is merely connected to the port is not its holder.

use std::{
    fmt::Display,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use procfs::{FromBufReadSI as _, net::TcpState};

use super::processes;
use crate::{
    decide::facts::{Listener, Process},
    line::Line,
};

/// Some 400 000 sockets at 150 bytes each; a longer table is cut, and a cut table is an error.
const MAX_TABLE: u64 = 64 * 1024 * 1024;

/// The sockets in LISTEN on this port, of all addresses and users.
///
/// # Errors
///
/// A table that cannot be read or understood says nothing; it never means that nothing listens.
pub fn listening(proc: &Path, port: u16) -> Result<Vec<Listener>, Line> {
    let mut found = listening_in(&proc.join("net/tcp"), port)?;
    let tcp6 = proc.join("net/tcp6");
    // There is none when the kernel runs without IPv6.
    if fs::exists(&tcp6).map_err(|error| unreadable(&tcp6, error))? {
        found.extend(listening_in(&tcp6, port)?);
    }
    Ok(found)
}

fn listening_in(path: &Path, port: u16) -> Result<Vec<Listener>, Line> {
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
        .filter(|entry| entry.state == TcpState::Listen && entry.local_address.port() == port)
        .map(|entry| Listener {
            // An IPv6 socket bound to an IPv4 address shows it in IPv6 form.
            address: entry.local_address.ip().to_canonical(),
            uid: entry.uid,
            inode: entry.inode,
            recv_queue: entry.rx_queue,
        })
        .collect())
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

fn unreadable(path: &Path, error: impl Display) -> Line {
    Line::new(&format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
