//! Whose a listening socket is: the gateway unit's, or somebody else's.
//!
//! Owns that one question, and which port the unit's processes listen on.
//! It believes the kernel alone: cgroups, descriptors and sockets, and no text that says which port is meant.

use std::path::Path;

use crate::{
    os::{cgroup, listeners, processes},
    policy::facts::{Listener, Process, UnitFacts},
    text::line::Line,
};

/// Where the kernel is asked.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    /// Root of procfs.
    pub proc: &'a Path,
    /// Where cgroup2 is mounted, if it is.
    pub cgroups: Option<&'a Path>,
}

/// Whose the sockets on a port are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A process of the unit holds one of them.
    Units(u32),
    /// Each is held by a process that is not of the unit; this is one of them.
    Anothers(Process),
    /// A process of an earlier run of the unit holds one, and none of this run does.
    LeftOver(Process),
    /// Nobody can tell.
    Unknown,
}

/// Whose these sockets on the port are.
///
/// It errs towards [`Whose::Unknown`]: a process whose descriptors cannot be read may be the unit's.
pub fn whose(kernel: Kernel<'_>, unit: &UnitFacts, port: u16, listeners: &[Listener]) -> Whose {
    let inodes: Vec<u64> = listeners.iter().map(|listener| listener.inode).collect();
    if unit.control_group.is_empty() || inodes.is_empty() {
        return Whose::Unknown;
    }
    // Nearly always it is the main process itself, and to look at all others takes long.
    if !listeners::held(kernel.proc, unit.main_pid, &inodes).is_empty() {
        return Whose::Units(unit.main_pid);
    }
    let owners = listeners::owners(kernel.proc, listeners, &pids(kernel, unit));
    let is_units = |process: &Process| processes::is_within(&process.cgroup, &unit.control_group);
    let is_earlier = |process: &Process| {
        let run = processes::invocation(kernel.proc, process.pid);
        run.is_some() && run != unit.invocation_id
    };
    let (earlier, of_run): (Vec<_>, Vec<_>) = owners
        .iter()
        .map(|(_, process)| process)
        .filter(|process| is_units(process))
        .partition(|process| is_earlier(process));
    match (of_run.first(), earlier.first()) {
        (Some(process), _) => return Whose::Units(process.pid),
        (None, Some(process)) => return Whose::LeftOver((*process).clone()),
        (None, None) => {}
    }
    let is_owned = |inode: &u64| owners.iter().any(|(owned, _)| owned == inode);
    let all_owned = inodes.iter().all(is_owned);
    // The kernel says where a socket was made, whoever may not be looked at.
    let made_in_unit = |listener: &Listener| {
        let origin = kernel
            .cgroups
            .and_then(|root| listeners::origin(kernel.proc, root, port, listener));
        origin.is_some_and(|origin| processes::is_within(&origin.cgroup, &unit.control_group))
    };
    if listeners.iter().any(made_in_unit) {
        return Whose::Units(unit.main_pid);
    }
    match owners.into_iter().next() {
        Some((_, process)) if all_owned && !process.cgroup.is_empty() => Whose::Anothers(process),
        Some(_) | None => Whose::Unknown,
    }
}

/// Those of the sockets on the unit's port that only processes of others hold, by inode: at another address, as of a proxy.
pub fn of_others(kernel: Kernel<'_>, unit: &UnitFacts, listeners: &[Listener]) -> Vec<u64> {
    let inodes: Vec<u64> = listeners.iter().map(|listener| listener.inode).collect();
    let held = listeners::held(kernel.proc, unit.main_pid, &inodes);
    if inodes.iter().all(|inode| held.contains(inode)) {
        return Vec::new();
    }
    let owners = listeners::owners(kernel.proc, listeners, &pids(kernel, unit));
    let is_others = |inode: &u64| {
        let mut holders = owners.iter().filter(|(held, _)| held == inode).peekable();
        holders.peek().is_some()
            && holders
                .all(|(_, process)| !processes::is_within(&process.cgroup, &unit.control_group))
    };
    inodes.into_iter().filter(is_others).collect()
}

/// The ports on which the unit's processes listen, lowest first.
///
/// # Errors
///
/// The kernel's sockets cannot be read.
pub fn ports(kernel: Kernel<'_>, unit: &UnitFacts) -> Result<Vec<u16>, Line> {
    if unit.control_group.is_empty() {
        return Ok(Vec::new());
    }
    let found = listeners::of_processes(kernel.proc, &pids(kernel, unit))?;
    let mut ports: Vec<u16> = found.into_iter().map(|(port, _)| port).collect();
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// The unit's processes, its main one first.
fn pids(kernel: Kernel<'_>, unit: &UnitFacts) -> Vec<u32> {
    let flat = kernel
        .cgroups
        .and_then(|root| cgroup::pids(root, &unit.control_group));
    let mut pids = vec![unit.main_pid];
    match flat {
        // What is below the unit's cgroup is in it as well, and an empty one has something below.
        Some(flat) if flat.contains(&unit.main_pid) => pids.extend(flat),
        Some(_) | None => {
            let all = processes::in_cgroup(kernel.proc, &unit.control_group);
            pids.extend(all.iter().map(|process| process.pid));
        }
    }
    pids.retain(|pid| *pid != 0);
    pids.dedup();
    pids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::facts::Invocation;
    use std::{
        fs,
        net::TcpListener,
        os::unix::fs::symlink,
        process::{Child, Command, Stdio},
    };

    const UNIT: &str = "/user.slice/user-1000.slice/user@1000.service/app.slice/gateway.service";

    fn unit(main_pid: u32) -> UnitFacts {
        UnitFacts {
            control_group: UNIT.to_owned(),
            main_pid,
            ..UnitFacts::default()
        }
    }

    /// A procfs that shows this process and one more, each as it is but in these cgroups.
    struct Shown(tempfile::TempDir, Child);

    impl Shown {
        fn new(own: &str, other: &str) -> Self {
            let child = Command::new("cat")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let proc = tempfile::tempdir().unwrap();
            symlink("/proc/net", proc.path().join("net")).unwrap();
            for (pid, cgroup) in [(std::process::id(), own), (child.id(), other)] {
                let shown = proc.path().join(pid.to_string());
                fs::create_dir(&shown).unwrap();
                for name in ["stat", "status", "cmdline", "environ", "fd"] {
                    symlink(format!("/proc/{pid}/{name}"), shown.join(name)).unwrap();
                }
                fs::write(shown.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
            }
            Self(proc, child)
        }

        fn kernel(&self) -> Kernel<'_> {
            Kernel {
                proc: self.0.path(),
                cgroups: None,
            }
        }
    }

    impl Drop for Shown {
        fn drop(&mut self) {
            drop(self.1.stdin.take());
            drop(self.1.wait());
        }
    }

    fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    fn on(port: u16) -> Vec<Listener> {
        listeners::listening(Path::new("/proc"), port).unwrap()
    }

    #[test]
    fn a_socket_of_the_main_process_or_of_another_one_in_the_cgroup_is_the_units() {
        let (_kept, port) = listener();
        let own = std::process::id();
        let below = format!("{UNIT}/payload");
        for cgroup in [UNIT, below.as_str()] {
            let shown = Shown::new(cgroup, UNIT);
            for main_pid in [own, shown.1.id()] {
                let found = whose(shown.kernel(), &unit(main_pid), port, &on(port));
                assert_eq!(found, Whose::Units(own), "{cgroup}");
                assert!(
                    ports(shown.kernel(), &unit(main_pid))
                        .unwrap()
                        .contains(&port)
                );
            }
        }
    }

    #[test]
    fn rule_1_a_socket_of_a_process_elsewhere_is_anothers() {
        let (_kept, port) = listener();
        let elsewhere = "/user.slice/user-1000.slice/session-3.scope";
        let shown = Shown::new(elsewhere, UNIT);
        let unit = unit(shown.1.id());
        match whose(shown.kernel(), &unit, port, &on(port)) {
            Whose::Anothers(process) => assert_eq!(process.pid, std::process::id()),
            found => panic!("{found:?}"),
        }
        assert!(!ports(shown.kernel(), &unit).unwrap().contains(&port));
    }

    #[test]
    fn a_process_of_an_earlier_run_is_left_over_and_one_of_no_run_is_the_units() {
        let (_kept, port) = listener();
        let own = std::process::id();
        let shown = Shown::new(UNIT, UNIT);
        let unit = UnitFacts {
            invocation_id: Some(Invocation("b2".to_owned())),
            ..unit(shown.1.id())
        };
        let of = |environ: &str| {
            let path = shown.0.path().join(format!("{own}/environ"));
            fs::remove_file(&path).unwrap();
            fs::write(&path, environ).unwrap();
            whose(shown.kernel(), &unit, port, &on(port))
        };
        assert_eq!(of("INVOCATION_ID=b2\0"), Whose::Units(own));
        assert_eq!(of("A=1\0"), Whose::Units(own));
        match of("INVOCATION_ID=a1\0") {
            Whose::LeftOver(process) => assert_eq!(process.pid, own),
            found => panic!("{found:?}"),
        }
    }

    #[test]
    fn only_a_socket_that_is_seen_to_be_held_by_others_alone_is_others() {
        let (_kept, port) = listener();
        let listeners = on(port);
        let elsewhere = Shown::new("/user.slice/user-1000.slice/session-3.scope", UNIT);
        let others = |main_pid, listeners: &[Listener]| {
            of_others(elsewhere.kernel(), &unit(main_pid), listeners)
        };
        assert_eq!(others(elsewhere.1.id(), &listeners), [listeners[0].inode]);
        assert_eq!(others(std::process::id(), &listeners), [0; 0]);
        let unseen = Listener {
            inode: 0,
            ..listeners[0].clone()
        };
        assert_eq!(others(elsewhere.1.id(), &[unseen]), [0; 0]);
        let inside = Shown::new(UNIT, UNIT);
        let found = of_others(inside.kernel(), &unit(inside.1.id()), &listeners);
        assert_eq!(found, [0; 0]);
    }

    #[test]
    fn a_process_below_the_units_cgroup_is_found_where_the_cgroup_itself_is_empty() {
        let (_kept, port) = listener();
        let below = format!("{UNIT}/payload");
        let shown = Shown::new(&below, &below);
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(UNIT.trim_start_matches('/'));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("cgroup.procs"), "").unwrap();
        let kernel = Kernel {
            cgroups: Some(root.path()),
            ..shown.kernel()
        };
        let found = ports(kernel, &unit(shown.1.id())).unwrap();
        assert!(found.contains(&port), "{found:?}");
    }

    #[test]
    fn where_nobody_can_tell_nobody_is_accused() {
        let (_kept, port) = listener();
        let shown = Shown::new("", UNIT);
        let main_pid = shown.1.id();
        let found = whose(shown.kernel(), &unit(main_pid), port, &on(port));
        assert_eq!(found, Whose::Unknown, "no cgroup to be read");
        let elsewhere = Shown::new("/user.slice/user-1000.slice/session-3.scope", UNIT);
        let down = UnitFacts {
            control_group: String::new(),
            ..unit(elsewhere.1.id())
        };
        let found = whose(elsewhere.kernel(), &down, port, &on(port));
        assert_eq!(found, Whose::Unknown, "a unit that is down");
        let found = whose(shown.kernel(), &unit(main_pid), port, &[]);
        assert_eq!(found, Whose::Unknown, "nobody listens");
    }
}
