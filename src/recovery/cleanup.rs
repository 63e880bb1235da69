//! The forced cleanup between stop and start.
//!
//! Owns the signals and the rules of who may get one; it knows nothing of why the gateway is restarted.
//! Nobody is found by name: a process is ours because it listens on the port, is in the unit's cgroup
//! or carries the unit's mark, and each of these is looked at again, through a pidfd, before the signal.

use std::{
    fmt,
    net::IpAddr,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::{Uid, User},
};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

pub use crate::policy::facts::Signal;
use crate::{
    os::{fault, listeners, processes},
    policy::facts::{Invocation, Listener, Process},
    text::line::Line,
};

/// Where the cleanup looks, and what it may touch there.
#[derive(Clone, Copy, Debug)]
pub struct Territory<'a> {
    /// Root of procfs.
    pub proc: &'a Path,
    /// Where cgroup2 is mounted, if it is.
    pub cgroups: Option<&'a Path>,
    /// Name of the gateway unit.
    pub unit: &'a str,
    /// The gateway's port.
    pub port: u16,
    /// The addresses at which the gateway needs it; with none, all of them.
    pub addresses: &'a [IpAddr],
    /// The unit's cgroup as it was while the unit ran: systemd forgets it when the unit has stopped.
    ///
    /// A path that does not end in the unit's name is ignored, for whatever else it is, it is not the unit's.
    pub control_group: &'a str,
    /// The run of the unit that is cleaned up after.
    pub invocation: Option<&'a Invocation>,
    /// The user whose processes may be signalled.
    pub uid: u32,
    /// The cgroup of Gatehound's own unit, whose processes are never signalled; empty if there is none.
    pub own_cgroup: &'a str,
}

/// Why a process is one to be cleaned up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It listens on the gateway's port.
    HoldsPort,
    /// It is in the unit's cgroup.
    InCgroup,
    /// `OPENCLAW_SYSTEMD_UNIT` in its environment names the unit.
    Marked,
}

/// What is in the way of a start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// Processes to be cleaned up, each once, with the first claim that holds.
    pub ours: Vec<(Process, Claim)>,
    /// Who holds the port, at an address that the gateway needs, and may not be signalled.
    pub foreign: Vec<Holder>,
}

/// Somebody who listens on the port and may not be signalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process; none when it is not known.
    pub process: Option<Process>,
    /// The user it runs as, or who opened the socket.
    pub uid: u32,
    /// That user's name, if there is one.
    pub user: Option<Line>,
    /// The unit it is in, or in which the socket was made.
    pub unit: Option<Line>,
    /// How many processes of that user are where the socket was made, if that was asked and all can be seen.
    pub among: Option<usize>,
}

/// What a cleanup did and what is still there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CleanedUp {
    /// Processes that got the signal.
    pub signalled: Vec<(Process, Claim)>,
    /// Processes that did not get it after all, and why.
    pub unsignalled: Vec<(Process, Line)>,
    /// Processes that still have a claim afterwards.
    pub left: Vec<(Process, Claim)>,
    /// Who still holds the port and may not be signalled.
    pub foreign: Vec<Holder>,
}

/// Looks for everything that is in the way of a start, without touching it.
///
/// # Errors
///
/// The kernel's table of sockets cannot be read.
pub fn survey(territory: &Territory<'_>) -> Result<Survey, Line> {
    let Territory { proc, port, .. } = *territory;
    let mut survey = Survey::default();
    let listeners = listeners::listening(proc, port)?;
    // No place to look first: after a fork, the owners outside the unit are wanted too.
    let owners = listeners::owners(proc, &listeners, &[]);
    let is_needed = |inode| {
        let mut listeners = listeners.iter();
        listeners.any(|listener| listener.inode == inode && territory.needs(listener))
    };
    // Who has the port at an address that the gateway does not need is in nobody's way (rule 12).
    for (_, process) in owners.iter().filter(|(inode, _)| is_needed(*inode)) {
        if territory.may_signal(process) {
            survey.claim(process.clone(), Claim::HoldsPort);
        } else {
            survey.name(Holder::seen(process.clone()));
        }
    }
    let is_owned = |inode| owners.iter().any(|(owned, _)| *owned == inode);
    if !listeners.iter().all(|listener| is_owned(listener.inode)) {
        // Again, because a holder that ended between the two looks has no owner either.
        for listener in listeners::listening(proc, port)? {
            if is_needed(listener.inode) && !is_owned(listener.inode) {
                survey.name(Holder::unseen(proc, territory.cgroups, port, &listener));
            }
        }
    }
    for process in processes::in_cgroup(proc, territory.unit_cgroup()) {
        if territory.may_signal(&process) {
            survey.claim(process, Claim::InCgroup);
        }
    }
    let Territory { uid, unit, .. } = *territory;
    for process in processes::marked(proc, uid, unit, territory.invocation) {
        if territory.may_signal(&process) {
            survey.claim(process, Claim::Marked);
        }
    }
    Ok(survey)
}

/// Signals everything that is ours, waits until it has ended or for `budget`, and looks again.
///
/// # Errors
///
/// The kernel's table of sockets cannot be read, so nobody knows whether the port is free.
pub fn cleanup(
    territory: &Territory<'_>,
    signal: Signal,
    budget: Duration,
) -> Result<CleanedUp, Line> {
    let mut cleaned_up = CleanedUp::default();
    let mut ending = Vec::new();
    let found = survey(territory)?;
    fault::point("surveyed");
    for (process, claim) in found.ours {
        match strike(territory, &process, claim, signal) {
            Struck::Signalled(pidfd) => {
                ending.push(pidfd);
                cleaned_up.signalled.push((process, claim));
            }
            Struck::Gone => {}
            Struck::Unsignalled(reason) => cleaned_up.unsignalled.push((process, reason)),
        }
    }
    fault::point("signalled");
    wait(ending, budget);
    let Survey { ours, foreign } = survey(territory).map_err(|error| {
        let signalled = cleaned_up.signalled.len();
        Line::new(&format!("{error}, after signalling {signalled} processes"))
    })?;
    cleaned_up.left = ours;
    cleaned_up.foreign = foreign;
    Ok(cleaned_up)
}

impl Territory<'_> {
    /// Whether this process is one that may be signalled at all, whatever its claim: rule 12.
    fn may_signal(&self, process: &Process) -> bool {
        process.uid == self.uid
            && process.pid != 1
            && process.pid != std::process::id()
            && !processes::is_within(&process.cgroup, self.own_cgroup)
            && !is_manager(process)
            && !self.is_of_another_unit(process)
    }

    /// Whether the process belongs to another unit, of whichever manager, or may do so.
    ///
    /// A login session and a desktop's terminal are no unit that anybody manages: what runs there was started by hand.
    /// Where no cgroup can be read, nobody knows, and it is left alone.
    fn is_of_another_unit(&self, process: &Process) -> bool {
        let cgroup = process.cgroup.as_str();
        if processes::is_within(cgroup, self.unit_cgroup()) {
            return false;
        }
        match processes::unit_of(cgroup) {
            None => cgroup.is_empty(),
            Some(unit) if unit == self.unit => !self.is_of_this_manager(cgroup),
            Some(unit) => !is_session(unit),
        }
    }

    /// Who holds these sockets and is of another unit; none where somebody may be of this one, or nobody can tell.
    pub fn other_holder(&self, listeners: &[Listener]) -> Option<Process> {
        let owners = listeners::owners(self.proc, listeners, &[]);
        let is_other = |process: &Process| is_manager(process) || self.is_of_another_unit(process);
        let all_are_others = listeners.iter().all(|listener| {
            let mut holders = owners.iter().filter(|(inode, _)| *inode == listener.inode);
            let known = holders.clone().next().is_some();
            known && holders.all(|(_, process)| is_other(process))
        });
        let first = owners.into_iter().next();
        first.filter(|_| all_are_others).map(|(_, process)| process)
    }

    /// Whether a cgroup is of the manager that runs Gatehound: a system unit may have the name of a user's.
    fn is_of_this_manager(&self, cgroup: &str) -> bool {
        let ends = self
            .own_cgroup
            .find(".service/")
            .map(|at| at + ".service/".len());
        match ends.and_then(|end| self.own_cgroup.get(..end)) {
            Some(manager) => cgroup.starts_with(manager),
            None => !cgroup.starts_with("/system.slice/"),
        }
    }

    /// Whether the gateway cannot start while somebody listens there.
    fn needs(&self, listener: &Listener) -> bool {
        let mut addresses = self.addresses.iter();
        self.addresses.is_empty()
            || addresses.any(|address| listeners::conflict(*address, listener.address))
    }

    /// The unit's cgroup, or nothing if it cannot be the unit's.
    fn unit_cgroup(&self) -> &str {
        match self.control_group.rsplit_once('/') {
            Some((_, name)) if name == self.unit => self.control_group,
            _ => "",
        }
    }

    /// Whether the claim on a process still holds.
    fn still_claims(&self, process: &Process, claim: Claim) -> bool {
        let Territory { proc, unit, .. } = *self;
        match claim {
            Claim::HoldsPort => listeners::listening(proc, self.port).is_ok_and(|listeners| {
                let needed = listeners.iter().filter(|it| self.needs(it));
                let inodes: Vec<u64> = needed.map(|it| it.inode).collect();
                !listeners::held(proc, process.pid, &inodes).is_empty()
            }),
            Claim::InCgroup => processes::is_within(&process.cgroup, self.unit_cgroup()),
            Claim::Marked => processes::is_marked(proc, process.pid, unit, self.invocation),
        }
    }
}

/// systemd keeps itself, and nothing of a user's, in `init.scope`, as system and as user manager.
///
/// It holds the port when a socket unit does.
fn is_manager(process: &Process) -> bool {
    process
        .cgroup
        .split('/')
        .any(|component| component == "init.scope")
}

/// Whether a unit is the scope of a login session or of a desktop's terminal.
fn is_session(unit: &str) -> bool {
    let starts = ["session-", "vte-spawn-", "app-"];
    unit.ends_with(".scope") && starts.iter().any(|start| unit.starts_with(start))
}

impl Survey {
    fn claim(&mut self, process: Process, claim: Claim) {
        if self.ours.iter().all(|(known, _)| known.pid != process.pid) {
            self.ours.push((process, claim));
        }
    }

    fn name(&mut self, holder: Holder) {
        // One process may hold the port at two addresses.
        if !self.foreign.contains(&holder) {
            self.foreign.push(holder);
        }
    }
}

impl Holder {
    /// A process that is seen to hold the port.
    pub fn seen(process: Process) -> Self {
        Self {
            uid: process.uid,
            user: user(process.uid),
            unit: unit(&process.cgroup),
            process: Some(process),
            among: None,
        }
    }

    /// Whoever holds this listener of the port, as far as that is known without descriptors,
    /// which the kernel shows of another user's process only to the privileged.
    pub fn unseen(proc: &Path, cgroups: Option<&Path>, port: u16, listener: &Listener) -> Self {
        let origin = cgroups.and_then(|root| listeners::origin(proc, root, port, listener));
        let processes = origin.as_ref().and_then(|it| it.processes.as_ref());
        Self {
            process: origin.as_ref().and_then(|it| it.only_process()).cloned(),
            uid: listener.uid,
            user: user(listener.uid),
            unit: origin.as_ref().and_then(|it| unit(&it.cgroup)),
            among: processes.map(Vec::len),
        }
    }
}

fn user(uid: u32) -> Option<Line> {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map(|user| Line::new(&user.name))
}

fn unit(cgroup: &str) -> Option<Line> {
    processes::unit_of(cgroup).map(Line::new)
}

impl Holder {
    /// What helps whoever expected the gateway there, where the holder's unit says so.
    pub fn remedy(&self) -> Option<String> {
        let cgroup = self.process.as_ref().map_or("", |process| &process.cgroup);
        let command = self.process.as_ref().map_or("", |it| it.command.as_str());
        let unit = self.unit.as_ref()?;
        if command.contains("docker-proxy") || command.contains("rootlessport") {
            return Some(
                "a container's port; gatehound watches a gateway in a user unit".to_owned(),
            );
        }
        if cgroup.contains("/system.slice/") {
            return Some(format!(
                "{unit} is a system unit; gatehound watches a gateway in a user unit"
            ));
        }
        let of_user = cgroup.contains("/user@") && unit.as_str().ends_with(".service");
        of_user.then(|| format!("if that is your gateway: set gateway.unit = \"{unit}\""))
    }
}

/// How much of a command is shown, in characters: another user chose it, and what is done follows it in a message.
const COMMAND: usize = 100;

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.process, self.among) {
            (Some(process), _) => write!(f, "pid {}", process.pid)?,
            (None, Some(among)) if 1 < among => write!(f, "one of {among} processes")?,
            (None, _) => write!(f, "an unseen process")?,
        }
        match &self.user {
            Some(name) => write!(f, " of user {name}")?,
            None => write!(f, " of uid {}", self.uid)?,
        }
        if let Some(unit) = &self.unit {
            write!(f, " in unit {unit}")?;
        }
        match &self.process {
            Some(process) => write!(f, " ({:.COMMAND$})", process.command),
            None => Ok(()),
        }
    }
}

/// What became of one attempt to signal a process.
#[derive(Debug)]
enum Struck {
    /// It got the signal; the descriptor becomes readable when it has ended.
    Signalled(OwnedFd),
    /// It has ended by itself, which is as good.
    Gone,
    /// It did not get the signal, and why.
    Unsignalled(Line),
}

/// Signals one process, if it still is the one that was surveyed and its claim still holds.
///
/// The pidfd comes first: from then on the signal reaches this process or none,
/// so an identity that is read afterwards and is the same belongs to it.
fn strike(territory: &Territory<'_>, seen: &Process, claim: Claim, signal: Signal) -> Struck {
    let unsignalled = |reason: &str| Struck::Unsignalled(Line::new(reason));
    let Some(pid) = i32::try_from(seen.pid).ok().and_then(Pid::from_raw) else {
        return unsignalled("not a pid");
    };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(rustix::io::Errno::SRCH) => return Struck::Gone,
        Err(error) => return unsignalled(&format!("pidfd_open: {error}")),
    };
    let Some(now) = processes::process(territory.proc, seen.pid) else {
        return Struck::Gone;
    };
    if now.start_time != seen.start_time {
        return Struck::Gone;
    }
    if now.uid != seen.uid || now.cgroup != seen.cgroup {
        return unsignalled("its user or cgroup has changed");
    }
    if !territory.may_signal(&now) {
        return unsignalled("it must not be signalled");
    }
    if !territory.still_claims(&now, claim) {
        return unsignalled("it is no longer in the way");
    }
    let number = match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    match pidfd_send_signal(&pidfd, number) {
        Ok(()) => Struck::Signalled(pidfd),
        Err(rustix::io::Errno::SRCH) => Struck::Gone,
        Err(error) => unsignalled(&format!("pidfd_send_signal: {error}")),
    }
}

/// Returns when all these processes have ended, after `budget` at the latest.
fn wait(mut ending: Vec<OwnedFd>, budget: Duration) {
    let start = Instant::now();
    while !ending.is_empty() {
        let left = budget.saturating_sub(start.elapsed());
        let mut polled: Vec<PollFd<'_>> = ending
            .iter()
            .map(|pidfd| PollFd::new(pidfd.as_fd(), PollFlags::POLLIN))
            .collect();
        match poll(
            &mut polled,
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
        ) {
            Err(Errno::EINTR) => continue,
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let mut still_runs = polled
            .iter()
            .map(|polled| polled.any() == Some(false))
            .collect::<Vec<bool>>()
            .into_iter();
        ending.retain(|_| still_runs.next().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        env, fs,
        io::{Read as _, Write as _},
        os::unix::{fs::symlink, process::ExitStatusExt as _},
        process::{self, Child, Command, Stdio},
        thread,
    };

    use nix::{sys::signal, unistd::geteuid};

    const UNIT: &str = "gatehound-strike-test.service";

    fn territory<'a>() -> Territory<'a> {
        Territory {
            proc: Path::new("/proc"),
            cgroups: None,
            unit: UNIT,
            port: 0,
            addresses: &[],
            control_group: "",
            invocation: None,
            uid: nix::unistd::geteuid().as_raw(),
            own_cgroup: "",
        }
    }

    /// A marked process, which the pipe to its input keeps alive.
    fn marked() -> (Child, Process) {
        marked_running(&mut Command::new("cat"))
    }

    /// As [`marked`], of a program that answers each byte it reads with one.
    fn marked_running(program: &mut Command) -> (Child, Process) {
        let mut child = program
            .env("OPENCLAW_SYSTEMD_UNIT", UNIT)
            .env_remove("INVOCATION_ID")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Its environment is complete once it runs, which it does when it echoes.
        echo(&mut child);
        let process = processes::process(Path::new("/proc"), child.id()).unwrap();
        (child, process)
    }

    fn echo(child: &mut Child) {
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let stdout = child.stdout.as_mut().unwrap();
        stdout.read_exact(&mut [0]).unwrap();
    }

    #[track_caller]
    fn check_unharmed(territory: &Territory<'_>, seen: &Process, child: &mut Child) {
        let struck = strike(territory, seen, Claim::Marked, Signal::Kill);
        assert!(!matches!(struck, Struck::Signalled(_)), "{struck:?}");
        // Closing the pipe ends it, with success unless a signal was faster.
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn the_process_that_was_surveyed_is_signalled() {
        let (mut child, seen) = marked();
        let struck = strike(&territory(), &seen, Claim::Marked, Signal::Kill);
        assert!(matches!(struck, Struck::Signalled(_)), "{struck:?}");
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn another_start_time_is_another_process() {
        let (mut child, mut seen) = marked();
        seen.start_time -= 1;
        check_unharmed(&territory(), &seen, &mut child);
    }

    #[test]
    fn a_process_that_changed_its_cgroup_or_user_is_left_alone() {
        let (mut child, mut seen) = marked();
        seen.cgroup.push_str("/elsewhere");
        check_unharmed(&territory(), &seen, &mut child);

        let (mut child, mut seen) = marked();
        seen.uid += 1;
        check_unharmed(&territory(), &seen, &mut child);
    }

    #[test]
    fn a_process_whose_claim_is_gone_is_left_alone() {
        let (mut child, seen) = marked();
        let elsewhere = Territory {
            unit: "another.service",
            ..territory()
        };
        check_unharmed(&elsewhere, &seen, &mut child);
    }

    #[test]
    fn a_process_that_ended_by_itself_is_gone() {
        let (mut child, seen) = marked();
        drop(child.stdin.take());
        child.wait().unwrap();
        let struck = strike(&territory(), &seen, Claim::Marked, Signal::Kill);
        assert!(matches!(struck, Struck::Gone), "{struck:?}");
    }

    #[test]
    fn a_zombie_is_gone() {
        let (mut child, seen) = marked();
        drop(child.stdin.take());
        // Until it is waited for its pid is taken, and a signal to it would succeed.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(seen.pid).unwrap());
        let keep = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(nix::sys::wait::Id::Pid(pid), keep).unwrap();
        let struck = strike(&territory(), &seen, Claim::Marked, Signal::Kill);
        assert!(matches!(struck, Struck::Gone), "{struck:?}");
        assert_eq!(signal::kill(pid, None), Ok(()));
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_becomes_another_users_before_the_signal_is_left_alone() {
        // Root can give itself away; everybody else has set-user-ID programs, and this one waits for a password.
        let other = if geteuid().is_root() {
            "setpriv --reuid=65534 --clear-groups cat"
        } else {
            "su"
        };
        let script = format!("read x; echo; read x; exec {other}");
        let mut shell = Command::new("sh");
        let (mut child, seen) = marked_running(shell.args(["-c", &script]).stderr(Stdio::null()));
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let now = || processes::process(Path::new("/proc"), seen.pid).unwrap();
        while now().uid == seen.uid {
            thread::sleep(Duration::from_millis(1));
        }
        // It is the same process all the same.
        assert_eq!(now().start_time, seen.start_time);
        let struck = strike(&territory(), &seen, Claim::Marked, Signal::Kill);
        assert!(matches!(struck, Struck::Unsignalled(_)), "{struck:?}");
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().signal(), None);
    }

    /// Set in a test that was started again in a pid namespace.
    const INSIDE: &str = "GATEHOUND_TEST_IN_PID_NAMESPACE";

    /// Runs a test again where this process decides which pid is given next.
    fn again_in_pid_namespace(test: &str) {
        let mut unshare = Command::new("unshare");
        if !geteuid().is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        let output = unshare
            .args(["--pid", "--fork", "--mount-proc", "--kill-child", "--"])
            .arg(env::current_exe().unwrap())
            .args(["--exact", test])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        // A name that is mistyped is a test that is not run.
        let passed = output.status.success() && said.contains("1 passed");
        assert!(passed, "{said}{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Marked processes until one has this one's pid, as happens when the pids have wrapped.
    fn successor_of(seen: &Process) -> (Child, Process) {
        loop {
            let last = (seen.pid - 1).to_string();
            fs::write("/proc/sys/kernel/ns_last_pid", last).unwrap();
            let (mut child, process) = marked();
            // The kernel tells start times in hundredths of a second.
            if process.pid == seen.pid && process.start_time != seen.start_time {
                return (child, process);
            }
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_pid_that_was_given_to_another_process_before_the_signal_is_left_alone() {
        if env::var_os(INSIDE).is_none() {
            return again_in_pid_namespace(
                "recovery::cleanup::tests::a_pid_that_was_given_to_another_process_before_the_signal_is_left_alone",
            );
        }
        let (mut first, seen) = marked();
        let pid = i32::try_from(seen.pid).unwrap();
        let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        drop(first.stdin.take());
        first.wait().unwrap();
        // Of the same user, in the same cgroup, with the same claim.
        let (mut second, now) = successor_of(&seen);
        let expected = Process {
            start_time: now.start_time,
            ..seen.clone()
        };
        assert_eq!(now, expected);

        let struck = strike(&territory(), &seen, Claim::Marked, Signal::Kill);
        assert!(matches!(struck, Struck::Gone), "{struck:?}");
        // Had the pid changed hands after it was opened, the signal would have reached nobody.
        let sent = pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
        assert_eq!(sent, Err(rustix::io::Errno::SRCH));
        echo(&mut second);

        // What would have happened to it without all that.
        signal::kill(nix::unistd::Pid::from_raw(pid), signal::SIGKILL).unwrap();
        let ended = second.wait().unwrap();
        assert_eq!(ended.signal(), Some(signal::SIGKILL as i32));
    }

    #[test]
    fn a_holder_is_named_as_far_as_it_is_known() {
        let process = |cgroup: &str| Process {
            pid: 42,
            start_time: 1,
            uid: 4_000_000,
            cgroup: cgroup.to_owned(),
            command: Line::new("nginx: master"),
        };
        let seen = Holder::seen(process("/system.slice/web.service"));
        assert_eq!(
            seen.to_string(),
            "pid 42 of uid 4000000 in unit web.service (nginx: master)"
        );
        let seen = Holder {
            user: Some(Line::new("bob")),
            ..Holder::seen(process(""))
        };
        assert_eq!(seen.to_string(), "pid 42 of user bob (nginx: master)");
        assert_eq!(user(0), Some(Line::new("root")));
        let wordy = Process {
            command: Line::new(&"x".repeat(300)),
            ..process("")
        };
        let told = Holder::seen(wordy).to_string();
        assert_eq!(told, format!("pid 42 of uid 4000000 ({})", "x".repeat(100)));
        let unseen = |unit: Option<&str>, among| Holder {
            process: None,
            unit: unit.map(Line::new),
            among,
            ..seen.clone()
        };
        for (unit, among, expected) in [
            (
                Some("web.service"),
                Some(3),
                "one of 3 processes of user bob in unit web.service",
            ),
            (None, Some(1), "an unseen process of user bob"),
            (
                Some("web.service"),
                Some(0),
                "an unseen process of user bob in unit web.service",
            ),
            (
                Some("web.service"),
                None,
                "an unseen process of user bob in unit web.service",
            ),
            (None, None, "an unseen process of user bob"),
        ] {
            assert_eq!(unseen(unit, among).to_string(), expected);
        }
    }

    /// Who is told to hold a socket of this process, were it in this cgroup.
    fn other_holder_in(cgroup: &str) -> Option<u32> {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let own = process::id().to_string();
        let proc = tempfile::tempdir().unwrap();
        symlink("/proc/net", proc.path().join("net")).unwrap();
        let shown = proc.path().join(&own);
        fs::create_dir(&shown).unwrap();
        for file in ["stat", "status", "cmdline", "fd", "environ"] {
            symlink(format!("/proc/self/{file}"), shown.join(file)).unwrap();
        }
        fs::write(shown.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
        let territory = Territory {
            proc: proc.path(),
            port,
            ..territory()
        };
        let listeners = listeners::listening(Path::new("/proc"), port).unwrap();
        Some(territory.other_holder(&listeners)?.pid)
    }

    #[test]
    fn rule_12_while_the_unit_is_down_only_who_is_of_another_unit_is_named() {
        let named = Some(process::id());
        assert_eq!(other_holder_in("/system.slice/proxy.service"), named);
        // A system unit may have the name of a user's.
        let same_name = format!("/system.slice/{UNIT}");
        assert_eq!(other_holder_in(&same_name), named);
        let session = "/user.slice/user-1000.slice/session-3.scope";
        assert_eq!(other_holder_in(session), None);
        let left_over = format!("/user.slice/user-1000.slice/user@1000.service/app.slice/{UNIT}");
        assert_eq!(other_holder_in(&left_over), None);
    }

    #[test]
    fn rule_12_managers_gatehound_other_units_and_other_users_may_not_be_signalled() {
        let territory = Territory {
            own_cgroup: "/user/gatehound.service",
            ..territory()
        };
        let process = |pid, cgroup: &str, uid| Process {
            pid,
            start_time: 1,
            uid,
            cgroup: cgroup.to_owned(),
            command: Line::new("node"),
        };
        let uid = territory.uid;
        assert!(territory.may_signal(&process(4242, "/user.slice/session-3.scope", uid)));
        for spared in [
            process(1, "/user.slice/session-3.scope", uid),
            process(std::process::id(), "/user.slice/session-3.scope", uid),
            process(4242, "/user.slice/session-3.scope", uid + 1),
            process(4242, "/user/app.slice/x.service", uid),
            process(4242, "", uid),
            process(4242, "/user/gatehound.service", uid),
            process(4242, "/user/gatehound.service/sub", uid),
            process(4242, "/user.slice/user@1000.service/init.scope", uid),
            // Nobody started these by hand, although their names begin or end like a session's.
            process(4242, "/user/app.slice/app-chat@autostart.service", uid),
            process(4242, "/user/app.slice/run-7.scope", uid),
        ] {
            assert!(!territory.may_signal(&spared), "{spared:?}");
        }
    }

    #[test]
    fn rule_12_a_unit_of_the_same_name_is_the_gateway_only_under_the_same_manager() {
        let manager = |uid: u32| format!("/user.slice/user-1000.slice/user@{uid}.service");
        let own = format!("{}/app.slice/gatehound.service", manager(1000));
        let territory = Territory {
            own_cgroup: &own,
            ..territory()
        };
        let is_another = |manager: &str| {
            territory.is_of_another_unit(&Process {
                pid: 4242,
                start_time: 1,
                uid: territory.uid,
                cgroup: format!("{manager}/app.slice/{UNIT}"),
                command: Line::new("node"),
            })
        };
        assert!(!is_another(&manager(1000)));
        assert!(is_another(&manager(2000)));
        assert!(is_another("/system.slice"));
    }

    #[test]
    fn a_holder_whose_unit_can_be_watched_says_how() {
        let remedy = |cgroup: &str, command: &str| {
            let holder = Holder::seen(Process {
                pid: 42,
                start_time: 1,
                uid: 1000,
                cgroup: cgroup.to_owned(),
                command: Line::new(command),
            });
            holder.remedy().unwrap_or_default()
        };
        let user = "/user.slice/user-1000.slice/user@1000.service/app.slice";
        let container = "a container's port; gatehound watches a gateway in a user unit";
        let docker = remedy(
            "/system.slice/docker.service",
            "/usr/bin/docker-proxy -proto tcp",
        );
        assert_eq!(docker, container);
        assert_eq!(
            remedy(&format!("{user}/podman.scope"), "rootlessport"),
            container
        );
        assert_eq!(
            remedy("/system.slice/bot.service", "node"),
            "bot.service is a system unit; gatehound watches a gateway in a user unit"
        );
        assert_eq!(
            remedy(&format!("{user}/bot.service"), "node"),
            "if that is your gateway: set gateway.unit = \"bot.service\""
        );
        for cgroup in [
            &*format!("{user}/run-1.scope"),
            "/machine.slice/bot.service",
            "",
        ] {
            assert_eq!(remedy(cgroup, "node"), "", "{cgroup}");
        }
    }

    #[test]
    fn a_cgroup_that_is_not_the_units_is_ignored() {
        let with = |control_group| Territory {
            control_group,
            ..territory()
        };
        let unit = format!("/user.slice/app.slice/{UNIT}");
        assert_eq!(with(&unit).unit_cgroup(), unit);
        for other in [
            "",
            "/",
            "/user.slice",
            "/user.slice/app.slice/other.service",
        ] {
            assert_eq!(with(other).unit_cgroup(), "");
        }
    }
}
