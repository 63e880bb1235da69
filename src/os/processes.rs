//! Processes as /proc shows them: who they are, whose they are, what they are doing.
//!
//! Owns the parsing of /proc/PID; it knows nothing of ports or signals, and matches no process by its name.
//! A process that has ended, or that we may not look at, is absent: what cannot be seen is left alone.
//! Source of every format: proc(5), except where said otherwise.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
    time::Duration,
};

use crate::{
    policy::facts::{Invocation, Process},
    text::{line::Line, secrets},
};

/// Enough for every file read here but the environment.
pub(super) const MAX_FILE: u64 = 16 * 1024;

/// Half of the 2 MiB that execve(2) commonly takes for arguments and environment together.
const MAX_ENVIRON: u64 = 1024 * 1024;

/// The flag of a kernel thread in field 9 of /proc/PID/stat (include/linux/sched.h).
const PF_KTHREAD: u64 = 0x0020_0000;

/// What marks the processes of a gateway unit; OpenClaw writes it into the unit, and children inherit it.
const UNIT_VARIABLE: &[u8] = b"OPENCLAW_SYSTEMD_UNIT";

/// What systemd gives every process of a service, and children inherit too (systemd.exec(5)).
const INVOCATION_VARIABLE: &[u8] = b"INVOCATION_ID";

/// The process with this pid; none if it has ended, is a kernel thread, or may not be looked at.
///
/// A zombie has ended: it holds nothing, and no signal does anything to it.
pub fn process(proc: &Path, pid: u32) -> Option<Process> {
    let directory = proc.join(pid.to_string());
    let stat = Stat::read(&directory)?;
    if stat.is_kernel_thread() || stat.has_ended() {
        return None;
    }
    let status = read(&directory.join("status"), MAX_FILE)?;
    let command = command(&read(&directory.join("cmdline"), MAX_FILE)?);
    Some(Process {
        pid,
        start_time: stat.start_time,
        // Real, effective, saved, file system.
        uid: status_field(&status, "Uid:")?.nth(1)?.parse().ok()?,
        cgroup: cgroup(proc, pid)?,
        command: if command.as_str().is_empty() {
            Line::new(&format!("[{}]", stat.comm))
        } else {
            command
        },
    })
}

/// Whether the file of this process's program was replaced or removed since the process began.
///
/// Of one that cannot be looked at it says no.
pub fn program_is_gone(proc: &Path, pid: u32) -> bool {
    // A file whose own name ends in this is no program that anybody installs.
    fs::read_link(proc.join(pid.to_string()).join("exe"))
        .is_ok_and(|exe| exe.as_os_str().as_encoded_bytes().ends_with(b" (deleted)"))
}

/// What stands for a secret that is not written down.
const HIDDEN: &str = "[hidden]";

/// A command line without the values of options, variables and headers that are named like a secret.
///
/// It goes into the journal and into evidence, which others are shown who never saw /proc of that moment.
/// A value that hides for nothing is the lesser harm, so whatever may belong to one goes with it.
fn command(cmdline: &[u8]) -> Line {
    let text = String::from_utf8_lossy(cmdline);
    let mut words = Vec::new();
    let mut is_value = false;
    for argument in text.split('\0') {
        if is_value {
            is_value = is_scheme(argument);
            words.push(HIDDEN.to_owned());
            continue;
        }
        // A process that gave itself a title, and a shell's command, have several in one.
        let mut rest = argument.split_whitespace();
        while let Some(word) = rest.next() {
            if is_value {
                is_value = is_scheme(word);
                words.push(HIDDEN.to_owned());
                continue;
            }
            if let Some((name, value)) = secret(word) {
                words.push(format!("{name}{HIDDEN}"));
                let follows = value.is_empty() || is_scheme(value);
                is_value = follows && rest.next().is_none();
                break;
            }
            is_value = is_scheme(word) || (word.starts_with('-') && secrets::names_one(word));
            words.push(word.to_owned());
        }
    }
    Line::new(&words.join(" "))
}

/// A word taken apart behind `NAME=` or `NAME:`, where it is named like a secret.
fn secret(word: &str) -> Option<(&str, &str)> {
    let mut ends = word.match_indices(['=', ':']).map(|(at, _)| at);
    let end = ends.find(|at| word.get(..*at).is_some_and(secrets::names_one))?;
    word.split_at_checked(end + 1)
}

/// Whether a word stands before a secret in a header that says who asks (RFC 9110, 11.6.2).
fn is_scheme(word: &str) -> bool {
    ["bearer", "basic"]
        .iter()
        .any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// The processes in this cgroup or below it.
///
/// Looks through all of /proc, because the cgroup file system may not be visible.
/// Neither the root nor an empty path (systemd's for "none") has any: it would be every process there is.
pub fn in_cgroup(proc: &Path, control_group: &str) -> Vec<Process> {
    pids(proc)
        .filter(|pid| cgroup(proc, *pid).is_some_and(|path| is_within(&path, control_group)))
        .filter_map(|pid| process(proc, pid))
        .filter(|process| is_within(&process.cgroup, control_group))
        .collect()
}

/// CPU time of the processes in this cgroup or below it, and of the children they waited for; for where the kernel does not
/// count it for the cgroup. None where it has no process that can be seen.
///
/// It falls when a process ends for which nobody waits.
pub fn cpu_in_cgroup(proc: &Path, control_group: &str) -> Option<Duration> {
    let of = |process: &Process| {
        let stat = Stat::read(&proc.join(process.pid.to_string()))?;
        Some(ticks(stat.cpu_ticks.saturating_add(stat.ended_ticks)))
    };
    let all = in_cgroup(proc, control_group);
    all.iter().filter_map(of).reduce(Duration::saturating_add)
}

/// Whether a cgroup is `control_group` or lies below it.
pub fn is_within(cgroup: &str, control_group: &str) -> bool {
    let Some(rest) = cgroup.strip_prefix(control_group) else {
        return false;
    };
    !matches!(control_group, "" | "/") && (rest.is_empty() || rest.starts_with('/'))
}

/// The unit that a cgroup belongs to: the innermost service or scope on its path, if there is one.
///
/// systemd writes `_` before a name that would look like a file of the cgroup's own.
pub fn unit_of(cgroup: &str) -> Option<&str> {
    let name = |component: &&str| {
        [".service", ".scope"].iter().any(|suffix| {
            component
                .strip_suffix(suffix)
                .is_some_and(|prefix| !prefix.is_empty())
        })
    };
    let component = cgroup.rsplit('/').find(name)?;
    Some(component.strip_prefix('_').unwrap_or(component))
}

/// The processes of this user that carry the mark of the gateway unit; see [`is_marked`].
pub fn marked(proc: &Path, uid: u32, unit: &str, run: Option<&Invocation>) -> Vec<Process> {
    pids(proc)
        .filter(|pid| is_marked(proc, *pid, unit, run))
        .filter_map(|pid| process(proc, pid))
        .filter(|process| process.uid == uid)
        .collect()
}

/// The InvocationID of the unit's run in which a process was started, if systemd started it or what started it.
pub fn invocation(proc: &Path, pid: u32) -> Option<Invocation> {
    let path = proc.join(pid.to_string()).join("environ");
    let environ = read(&path, MAX_ENVIRON)?;
    let id = variable(&environ, INVOCATION_VARIABLE)?;
    let id = std::str::from_utf8(id).ok()?;
    (!id.is_empty()).then(|| Invocation(id.to_owned()))
}

/// Whether a process was started with `OPENCLAW_SYSTEMD_UNIT=<unit>`, as part of this run.
///
/// The variable alone proves nothing: `systemctl --user import-environment`, run inside the gateway,
/// puts it into every service the user manager starts from then on.
/// But whatever systemd started, and every child of that, carries the InvocationID of its own service,
/// so one that is not the gateway's own disqualifies, and so does any when the gateway's is not known.
pub fn is_marked(proc: &Path, pid: u32, unit: &str, run: Option<&Invocation>) -> bool {
    let path = proc.join(pid.to_string()).join("environ");
    let Some(environ) = read(&path, MAX_ENVIRON) else {
        return false;
    };
    let value = |name| variable(&environ, name).unwrap_or_default();
    let invocation = value(INVOCATION_VARIABLE);
    value(UNIT_VARIABLE) == unit.as_bytes()
        && (invocation.is_empty() || run.is_some_and(|own| own.0.as_bytes() == invocation))
}

/// What the main thread of a process is doing at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Its state: `R`, `S`, `D`, `T`, `t`, `Z` and so on.
    pub state: char,
    /// CPU time it has used, in user and kernel mode; the kernel counts hundredths of a second.
    pub cpu: Duration,
}

/// What the main thread of a process is doing, if it can be seen.
pub fn activity(proc: &Path, pid: u32) -> Option<Activity> {
    // The numbers in /proc/PID/stat are those of all threads together.
    let stat = Stat::read(&proc.join(format!("{pid}/task/{pid}")))?;
    Some(Activity {
        state: stat.state,
        cpu: ticks(stat.cpu_ticks),
    })
}

/// Whether another process, a debugger, traces this one.
pub fn is_traced(proc: &Path, pid: u32) -> bool {
    let tracer = || -> Option<u32> {
        let status = read(&proc.join(format!("{pid}/status")), MAX_FILE)?;
        status_field(&status, "TracerPid:")?.next()?.parse().ok()
    };
    tracer().is_some_and(|tracer| tracer != 0)
}

/// Ticks of the kernel's clock as time.
pub(crate) fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(1000) / procfs::ticks_per_second().max(1))
}

/// Every pid there is at the moment; none if /proc cannot be read.
pub(crate) fn pids(proc: &Path) -> impl Iterator<Item = u32> {
    fs::read_dir(proc)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Path of a process in the hierarchy that systemd sorts processes by; empty when there is none.
///
/// That is version 2, always hierarchy 0 without controllers, or `name=systemd` of version 1; see cgroups(7).
/// Where both are there and version 2 has everybody in its root, systemd uses the other one.
fn cgroup(proc: &Path, pid: u32) -> Option<String> {
    let text = read(&proc.join(pid.to_string()).join("cgroup"), MAX_FILE)?;
    let text = String::from_utf8_lossy(&text);
    let unified = text.lines().find_map(|line| line.strip_prefix("0::"));
    let named = || {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find_map(|(_, rest)| rest.strip_prefix("name=systemd:"))
    };
    let path = match unified {
        None | Some("/") => named().or(unified),
        Some(_) => unified,
    };
    Some(path.unwrap_or_default().to_owned())
}

/// The fields of /proc/PID/stat that are used here.
///
/// Not procfs's own `Stat`, which panics on a line that is cut off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) comm: String,
    pub(super) state: char,
    flags: u64,
    cpu_ticks: u64,
    /// Those of children that have ended and were waited for.
    ended_ticks: u64,
    threads: u64,
    pub(super) start_time: u64,
}

impl Stat {
    pub(super) fn read(directory: &Path) -> Option<Self> {
        let text = read_once(&directory.join("stat"))?;
        Self::parse(&String::from_utf8_lossy(&text))
    }

    fn parse(text: &str) -> Option<Self> {
        // The name is whatever the process likes, parentheses included, but nothing behind it has any.
        let (head, tail) = text.rsplit_once(')')?;
        let (_, comm) = head.split_once('(')?;
        // Fields 3 to 22 of proc(5).
        let fields: Vec<&str> = tail.split_whitespace().take(20).collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            comm: comm.to_owned(),
            state: fields
                .first()?
                .chars()
                .next()
                .filter(char::is_ascii_alphabetic)?,
            flags: number(9)?,
            cpu_ticks: number(14)?.saturating_add(number(15)?),
            ended_ticks: number(16)?.saturating_add(number(17)?),
            threads: number(20)?,
            start_time: number(22)?,
        })
    }

    fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    /// A main thread that has ended shows as a zombie while other threads of the process still run.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads <= 1
    }
}

/// The values of one line of /proc/PID/status.
pub(super) fn status_field<'a>(
    status: &'a [u8],
    name: &str,
) -> Option<impl Iterator<Item = &'a str>> {
    let line = status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(name.as_bytes()))?;
    Some(str::from_utf8(line).ok()?.split_whitespace())
}

/// The first value of a variable, which is the one getenv(3) finds.
fn variable<'a>(environ: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    environ
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(name)?.strip_prefix(b"="))
}

/// More than these files mostly have: they are made as they are read, and each further read costs.
const USUAL_FILE: usize = 4096;

/// At most `limit` bytes of a file, if it can be read.
pub(super) fn read(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL_FILE);
    File::open(path)
        .ok()?
        .take(limit)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}

/// A file that the kernel writes in one piece, whatever its size: there is nothing behind a read that leaves room.
pub(super) fn read_once(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = vec![0; USUAL_FILE];
    let length = File::open(path).ok()?.read(&mut bytes).ok()?;
    bytes.truncate(length);
    // One that was cut off is not understood, or only half.
    (length < USUAL_FILE).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "42 (MainThread) S 1 42 42 0 -1 4194304 1 2 3 4 150 25 3 4 20 0 11 0 987654 1 2 3";

    #[test]
    fn stat_is_read_by_its_fields() {
        let expected = Stat {
            comm: "MainThread".to_owned(),
            state: 'S',
            flags: 4_194_304,
            cpu_ticks: 175,
            ended_ticks: 7,
            threads: 11,
            start_time: 987_654,
        };
        assert_eq!(Stat::parse(STAT), Some(expected));
    }

    #[test]
    fn a_program_is_gone_when_the_kernel_says_so() {
        let proc = tempfile::tempdir().unwrap();
        let program = |pid: u32, exe: &str| {
            let directory = proc.path().join(pid.to_string());
            fs::create_dir(&directory).unwrap();
            std::os::unix::fs::symlink(exe, directory.join("exe")).unwrap();
            program_is_gone(proc.path(), pid)
        };
        assert!(program(1, "/usr/bin/gatehound (deleted)"));
        assert!(!program(2, "/usr/bin/gatehound"));
        assert!(!program_is_gone(proc.path(), 3));
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        for name in [")", "a) R 1 1 1", "((", "x y", ") Z 0 ("] {
            let stat = Stat::parse(&STAT.replace("MainThread", name)).unwrap();
            assert_eq!(
                (stat.comm.as_str(), stat.state, stat.start_time),
                (name, 'S', 987_654)
            );
        }
    }

    #[test]
    fn a_stat_that_is_cut_off_or_garbage_is_no_process() {
        for length in 0..=STAT.find(" 987654").unwrap() {
            assert_eq!(Stat::parse(&STAT[..length]), None, "{}", &STAT[..length]);
        }
        for garbage in ["", "(", ")", ")(", "1 (x)", "1 (x) S a b c", "\0\0"] {
            assert_eq!(Stat::parse(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn where_no_cgroup_counts_it_the_cpu_time_of_children_is_the_units_as_well() {
        let proc = tempfile::tempdir().unwrap();
        let put = |pid: u32, cgroup: &str, [own, ended]: [u64; 2]| {
            let folder = proc.path().join(pid.to_string());
            fs::create_dir_all(&folder).unwrap();
            let stat =
                format!("{pid} (node) S 1 1 1 0 -1 0 0 0 0 0 {own} 0 {ended} 0 20 0 1 0 9 0");
            for (name, text) in [
                ("stat", &*stat),
                ("status", "Uid:\t1 1 1 1\n"),
                ("cmdline", "node\0"),
                ("cgroup", &format!("3:cpuacct:/\n1:name=systemd:{cgroup}\n")),
            ] {
                fs::write(folder.join(name), text).unwrap();
            }
        };
        let used = || cpu_in_cgroup(proc.path(), "/a.service");
        assert_eq!(used(), None);
        put(1, "/a.service", [100, 0]);
        put(2, "/a.service/child", [300, 0]);
        put(3, "/b.service", [5000, 0]);
        assert_eq!(used(), Some(ticks(400)));
        // The child ends, and its parent has waited for it.
        fs::remove_dir_all(proc.path().join("2")).unwrap();
        put(1, "/a.service", [100, 300]);
        assert_eq!(used(), Some(ticks(400)));
    }

    #[test]
    fn a_thread_of_the_kernel_is_no_process_of_anybody() {
        let proc = tempfile::tempdir().unwrap();
        let folder = proc.path().join("42");
        fs::create_dir(&folder).unwrap();
        for (name, text) in [
            ("status", "Uid:\t1 1 1 1\n"),
            ("cmdline", "node\0"),
            ("cgroup", "0::/\n"),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        let has_process = |flags: &str| {
            fs::write(folder.join("stat"), STAT.replace("4194304", flags)).unwrap();
            process(proc.path(), 42).is_some()
        };
        assert!(has_process("4194304"));
        // PF_KTHREAD, among others.
        assert!(!has_process("69238880"));
    }

    #[test]
    fn the_kernels_ticks_are_parts_of_a_second() {
        let second = procfs::ticks_per_second();
        assert_eq!(ticks(second), Duration::from_secs(1));
        assert_eq!(ticks(second / 2), Duration::from_millis(500));
    }

    #[test]
    fn a_cgroup_contains_itself_and_what_is_below() {
        let unit = "/user.slice/app.slice/openclaw-gateway.service";
        assert!(is_within(unit, unit));
        assert!(is_within(&format!("{unit}/payload"), unit));
        assert!(!is_within(&format!("{unit}x"), unit));
        assert!(!is_within("/user.slice/app.slice", unit));
        assert!(!is_within(unit, ""));
        assert!(!is_within(unit, "/"));
        assert!(!is_within("", ""));
    }

    #[test]
    fn a_cgroup_names_the_innermost_unit_on_its_path() {
        let user = "/user.slice/user-1000.slice/user@1000.service";
        for (cgroup, expected) in [
            (format!("{user}/app.slice/foo.service"), Some("foo.service")),
            (
                format!("{user}/app.slice/foo.service/payload"),
                Some("foo.service"),
            ),
            (format!("{user}/app.slice/run-1.scope"), Some("run-1.scope")),
            (
                format!("{user}/app.slice/_cpu.service"),
                Some("cpu.service"),
            ),
            (format!("{user}/app.slice"), Some("user@1000.service")),
            (
                "/user.slice/user-1000.slice/session-2.scope".to_owned(),
                Some("session-2.scope"),
            ),
            (
                "/system.slice/nginx.service".to_owned(),
                Some("nginx.service"),
            ),
            ("/user.slice".to_owned(), None),
            ("/.service/x.servicex".to_owned(), None),
            ("/".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(unit_of(&cgroup), expected, "{cgroup}");
        }
    }

    #[test]
    fn the_first_value_of_a_variable_counts() {
        let environ = b"A=1\0AB=2\0B=\0A=3\0no value\0";
        assert_eq!(variable(environ, b"A"), Some(&b"1"[..]));
        assert_eq!(variable(environ, b"AB"), Some(&b"2"[..]));
        assert_eq!(variable(environ, b"B"), Some(&b""[..]));
        assert_eq!(variable(environ, b"C"), None);
    }

    #[test]
    fn a_process_that_systemd_did_not_start_is_of_no_run() {
        let proc = tempfile::tempdir().unwrap();
        let folder = proc.path().join("42");
        fs::create_dir(&folder).unwrap();
        let of = |environ: &str| {
            fs::write(folder.join("environ"), environ).unwrap();
            invocation(proc.path(), 42)
        };
        let run = Invocation("e4e4".to_owned());
        assert_eq!(of("A=1\0INVOCATION_ID=e4e4\0"), Some(run));
        assert_eq!([of("A=1\0"), of("INVOCATION_ID=\0")], [None, None]);
        assert_eq!(invocation(proc.path(), 43), None);
    }

    #[test]
    fn this_process_is_seen_as_it_is() {
        let own = process(Path::new("/proc"), std::process::id()).unwrap();
        assert_eq!(own.uid, nix::unistd::geteuid().as_raw());
        assert!(
            own.command.as_str().contains("gatehound"),
            "{}",
            own.command
        );
        assert_ne!(own.start_time, 0);
    }

    #[track_caller]
    fn check_command(cmdline: &str, expected: &str) {
        assert_eq!(command(cmdline.as_bytes()).as_str(), expected);
    }

    #[test]
    fn a_command_line_is_shown_without_its_secrets() {
        for (cmdline, expected) in [
            (
                "node\0index.js\0gateway\0--token\0hunter2\0--port\x0018789\0",
                "node index.js gateway --token [hidden] --port 18789",
            ),
            (
                "node\0--password=hunter 2\0gateway\0",
                "node --password=[hidden] gateway",
            ),
            ("x\0--api-Key\0-hunter2\0y\0", "x --api-Key [hidden] y"),
            ("x\0--token\0hunter 2\0y\0", "x --token [hidden] y"),
            (
                "sh\0-c\0OPENCLAW_GATEWAY_TOKEN=hunter2 exec node\0",
                "sh -c OPENCLAW_GATEWAY_TOKEN=[hidden]",
            ),
            (
                "title --secret hunter2 more",
                "title --secret [hidden] more",
            ),
            ("x\0--token", "x --token"),
            (
                "curl\0-H\0Authorization: Bearer sk-hunter2\0https://h:1/\0",
                "curl -H Authorization:[hidden] https://h:1/",
            ),
            (
                "curl\0--header=X-Api-Key: hunter2\0h\0",
                "curl --header=X-Api-Key:[hidden] h",
            ),
            (
                "curl -H Authorization: Basic hunter2",
                "curl -H Authorization:[hidden]",
            ),
            (
                "x\0Authorization:\0Bearer\0hunter2\0y\0",
                "x Authorization:[hidden] [hidden] [hidden] y",
            ),
            ("title bearer hunter2 more", "title bearer [hidden] more"),
            ("x\0--smtp-pass\0hunter2\0", "x --smtp-pass [hidden]"),
            ("x\0MFA_OTP=123456\0", "x MFA_OTP=[hidden]"),
            (
                "node\0dist/token.js\0--port=1\0",
                "node dist/token.js --port=1",
            ),
        ] {
            check_command(cmdline, expected);
        }
    }

    #[test]
    fn a_tracer_is_seen_and_one_that_cannot_be_is_none() {
        let proc = tempfile::tempdir().unwrap();
        let traced = |status: &str| {
            fs::create_dir_all(proc.path().join("7")).unwrap();
            fs::write(proc.path().join("7/status"), status).unwrap();
            is_traced(proc.path(), 7)
        };
        assert!(traced("Name:\ta\nTracerPid:\t4711\nUid:\t1\n"));
        assert!(!traced("Name:\ta\nTracerPid:\t0\nUid:\t1\n"));
        assert!(!traced("TracerPid:\n"));
        assert!(!is_traced(proc.path(), 8));
        assert!(!is_traced(Path::new("/proc"), std::process::id()));
    }
}
