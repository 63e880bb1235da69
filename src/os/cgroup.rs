//! What the kernel counts for a unit's cgroup: CPU time, memory, pressure, and whether it is frozen; and who is in one.
//!
//! Owns the files of cgroup2; it knows nothing of processes but their pids, or of what the numbers mean for a gateway.
//! Everything is optional: files are absent with their controller, as on hosts that keep the controllers in version 1.
//! Source of every format: Documentation/admin-guide/cgroup-v2.rst of the kernel.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use serde::{Serialize, Serializer};

use crate::os::files::{Links, read_limited};

/// Enough for every file read here.
const MAX_FILE: u64 = 16 * 1024;

/// A host with a hundred containers has some thousand cgroups.
const MAX_CGROUPS: usize = 10_000;

/// What is known of a cgroup at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cgroup {
    /// CPU time its processes have used, those that have ended included.
    #[serde(rename = "cpu_usec", serialize_with = "usec")]
    pub cpu: Option<Duration>,
    /// Whether its processes are frozen.
    pub frozen: bool,
    /// Memory in use, in bytes.
    pub memory: Option<u64>,
    /// How often the kernel killed a process of it for want of memory.
    pub oom_kills: Option<u64>,
    /// How often it was slowed down because it used more than `MemoryHigh=`.
    pub memory_high: Option<u64>,
    /// Share of the last 10 s in which some process waited for a CPU, in percent.
    pub cpu_pressure: Option<f64>,
    /// The same for memory.
    pub memory_pressure: Option<f64>,
    /// The same for the disk.
    pub io_pressure: Option<f64>,
}

/// What of the time a unit's processes ran, and what of it they were kept from running; each counts up for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time its processes have used, those that have ended included.
    pub cpu: Option<Duration>,
    /// How long its CPU quota held them up, on all CPUs together.
    pub throttled: Option<Duration>,
    /// How often it was slowed down because it used more than `MemoryHigh=`.
    pub memory_high: Option<u64>,
    /// How long some of them waited for memory.
    pub memory_some: Option<Duration>,
    /// How long all of them that had anything to do waited for memory.
    pub memory_full: Option<Duration>,
    /// The same for the disk.
    pub io_full: Option<Duration>,
    /// `MemoryHigh=` in bytes, where there is one.
    pub memory_limit: Option<u64>,
    /// `CPUQuota=` in percent of one CPU, where there is one.
    pub cpu_limit: Option<u64>,
}

/// What a unit's processes have used and waited for, by its path as systemd names it; see [`look`].
pub fn usage(root: &Path, control_group: &str) -> Usage {
    let text = |name| read(root, control_group, name).unwrap_or_default();
    let cpu = text("cpu.stat");
    let memory = text("memory.pressure");
    let span = |text: &str, name| keyed(text, name).map(Duration::from_micros);
    Usage {
        cpu: span(&cpu, "usage_usec"),
        throttled: span(&cpu, "throttled_usec"),
        memory_high: keyed(&text("memory.events"), "high"),
        memory_some: total(&memory, "some "),
        memory_full: total(&memory, "full "),
        io_full: total(&text("io.pressure"), "full "),
        // `max` where there is none.
        memory_limit: text("memory.high").trim().parse().ok(),
        cpu_limit: quota(&text("cpu.max")),
    }
}

/// Where cgroup2 is mounted, `base` being `/sys/fs/cgroup`: there, or below it beside the hierarchies of version 1.
pub fn root(base: &Path) -> Option<PathBuf> {
    [base.to_owned(), base.join("unified")]
        .into_iter()
        .find(|root| root.join("cgroup.controllers").is_file())
}

/// Which versions of cgroups a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// Version 2.
    Two,
    /// Version 2 for who is where, beside the controllers of version 1.
    Hybrid,
    /// Version 1 alone, or none that can be seen.
    One,
}

/// Which versions there are, `base` being `/sys/fs/cgroup`.
pub fn versions(base: &Path) -> Versions {
    match root(base) {
        Some(root) if root == base => Versions::Two,
        Some(_) => Versions::Hybrid,
        None => Versions::One,
    }
}

impl Versions {
    /// What Gatehound cannot tell of a gateway there; nothing where all is counted.
    pub fn lost(self) -> Option<&'static str> {
        match self {
            Self::Two => None,
            Self::Hybrid => Some(
                "cgroups of version 1 have the controllers: a gateway kept from running by CPUQuota= or MemoryHigh= \
                 is taken for a blocked or busy one",
            ),
            Self::One => Some(
                "no cgroups of version 2: a gateway kept from running by CPUQuota= or MemoryHigh= is taken for a blocked \
                 or busy one, and none is found deadlocked; each is given the longer time",
            ),
        }
    }
}

/// Everything that is known of a cgroup, by its path as systemd names it.
///
/// The root and an empty path (systemd's for "none") have nothing: it would be that of the whole machine.
pub fn look(root: &Path, control_group: &str) -> Cgroup {
    let number = |name| read(root, control_group, name)?.trim().parse().ok();
    let event = |name| keyed(&read(root, control_group, "memory.events")?, name);
    let pressure = |name| some_avg10(&read(root, control_group, name)?);
    Cgroup {
        cpu: cpu_used(root, control_group),
        frozen: frozen(root, control_group),
        memory: number("memory.current"),
        oom_kills: event("oom_kill"),
        memory_high: event("high"),
        cpu_pressure: pressure("cpu.pressure"),
        memory_pressure: pressure("memory.pressure"),
        io_pressure: pressure("io.pressure"),
    }
}

/// CPU time the processes of a cgroup have used, those that have ended included.
///
/// The kernel counts it without the cpu controller as well.
/// It starts at zero with the cgroup, which systemd makes anew for a unit that was down.
pub fn cpu_used(root: &Path, control_group: &str) -> Option<Duration> {
    let text = read(root, control_group, "cpu.stat")?;
    keyed(&text, "usage_usec").map(Duration::from_micros)
}

/// Whether the processes of a cgroup are frozen, or about to be; false when that cannot be known.
///
/// /proc shows a frozen process as sleeping, so nothing but its cgroup tells it from a blocked one.
pub fn frozen(root: &Path, control_group: &str) -> bool {
    // An ancestor's freezing shows only in the events, one that still waits for a process in disk wait only in the setting.
    read(root, control_group, "cgroup.events").and_then(|text| keyed(&text, "frozen")) == Some(1)
        || read(root, control_group, "cgroup.freeze").is_some_and(|text| text.trim() == "1")
}

/// The path of the cgroup with this id, as systemd names it; none if it is gone, or is the root.
///
/// The id is the inode number of its folder, except on machines of 32 bits, whose inode numbers are shorter:
/// there none is found.
/// Looks at every cgroup in the worst case.
pub fn path_of(root: &Path, id: u64) -> Option<String> {
    let mut folders = vec![root.to_owned()];
    for _ in 0..MAX_CGROUPS {
        for entry in fs::read_dir(folders.pop()?).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            if entry.metadata().is_ok_and(|folder| folder.ino() == id) {
                let path = path.strip_prefix(root).ok()?;
                return Some(format!("/{}", path.to_str()?));
            }
            folders.push(path);
        }
    }
    None
}

/// The pids in this cgroup, those below it left out; none if that cannot be known.
///
/// A process outside of our pid namespace has pid 0 here.
pub fn pids(root: &Path, control_group: &str) -> Option<Vec<u32>> {
    let text = read(root, control_group, "cgroup.procs")?;
    text.lines().map(|line| line.parse().ok()).collect()
}

/// The value of one line `NAME VALUE`.
fn keyed(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?
        .trim()
        .parse()
        .ok()
}

/// `some avg10=0.12 avg60=… avg300=… total=…`
fn some_avg10(text: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix("some "))?
        .split(' ')
        .find_map(|field| field.strip_prefix("avg10="))?
        .parse()
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent))
}

/// How long `some ` or `full ` of them waited, in microseconds at the end of the line.
fn total(text: &str, of: &str) -> Option<Duration> {
    let line = text.lines().find_map(|line| line.strip_prefix(of))?;
    let total = line
        .split(' ')
        .find_map(|field| field.strip_prefix("total="))?;
    total.trim().parse().ok().map(Duration::from_micros)
}

/// `QUOTA PERIOD` in microseconds, as percent; `max` is none.
fn quota(text: &str) -> Option<u64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let quota: u64 = quota.parse().ok()?;
    quota.saturating_mul(100).checked_div(period.parse().ok()?)
}

fn read(root: &Path, control_group: &str, name: &str) -> Option<String> {
    let path = Path::new(control_group.trim_start_matches('/'));
    let is_below = |component| matches!(component, Component::Normal(_));
    // `all` is true of no components at all, which is the root.
    if path.as_os_str().is_empty() || !path.components().all(is_below) {
        return None;
    }
    let path = root.join(path).join(name);
    let contents = read_limited(&path, MAX_FILE, Links::Refuse).ok()??;
    String::from_utf8(contents.bytes).ok()
}

/// Whole microseconds, as systemd counts spans.
pub(crate) fn usec<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    span.map(|span| u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
        .serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_taken_for_a_longer_one() {
        let text = "oom_kill_all 3\noom_kill 2\noom 1\nhigh x\n";
        assert_eq!(keyed(text, "oom_kill"), Some(2));
        assert_eq!(keyed(text, "oom"), Some(1));
        assert_eq!(keyed(text, "kill"), None);
        assert_eq!(keyed(text, "high"), None);
        assert_eq!(keyed("", "oom"), None);
    }

    #[test]
    fn the_share_of_some_in_the_last_10_seconds_is_read() {
        let text = "some avg10=1.50 avg60=2.00 avg300=3.00 total=4\nfull avg10=9.00 avg60=0.00\n";
        assert_eq!(some_avg10(text), Some(1.5));
        assert_eq!(some_avg10("full avg10=9.00 avg60=0.00"), None);
        for nonsense in ["", "some", "some avg10=", "some avg10=NaN", "some avg10=-1"] {
            assert_eq!(some_avg10(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn what_a_unit_used_and_waited_for_is_read() {
        let root = tempfile::tempdir().unwrap();
        let of = |files: &[(&str, &str)]| {
            let folder = root.path().join("a");
            fs::create_dir_all(&folder).unwrap();
            for (name, text) in files {
                fs::write(folder.join(name), text).unwrap();
            }
            usage(root.path(), "/a")
        };
        assert_eq!(of(&[]), Usage::default());
        let found = of(&[
            (
                "cpu.stat",
                "usage_usec 7\nnr_throttled 3\nthrottled_usec 5\n",
            ),
            ("memory.events", "low 0\nhigh 12\nmax 0\n"),
            (
                "memory.pressure",
                "some avg10=1.50 avg60=0 avg300=0 total=40\nfull avg10=1.00 total=30\n",
            ),
            ("io.pressure", "some total=9\nfull avg10=1.00 total=8\n"),
            ("memory.high", "1048576\n"),
            ("cpu.max", "20000 100000\n"),
        ]);
        let usec = |usec| Some(Duration::from_micros(usec));
        let expected = Usage {
            cpu: usec(7),
            throttled: usec(5),
            memory_high: Some(12),
            memory_some: usec(40),
            memory_full: usec(30),
            io_full: usec(8),
            memory_limit: Some(1 << 20),
            cpu_limit: Some(20),
        };
        assert_eq!(found, expected);
        let found = of(&[
            ("memory.high", "max\n"),
            ("cpu.max", "max 100000\n"),
            ("memory.pressure", "full total=x\n"),
        ]);
        assert_eq!((found.memory_limit, found.cpu_limit), (None, None));
        assert_eq!((found.memory_some, found.memory_full), (None, None));
        assert_eq!(quota("1 0"), None);
    }

    #[test]
    fn a_look_takes_each_fact_from_its_own_file() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(look(root.path(), "/a"), Cgroup::default());
        let folder = root.path().join("a");
        fs::create_dir(&folder).unwrap();
        for (name, text) in [
            ("cpu.stat", "usage_usec 7\n"),
            ("cgroup.freeze", "1\n"),
            ("memory.current", "4096\n"),
            ("memory.events", "high 12\noom 9\noom_kill 2\n"),
            ("cpu.pressure", "some avg10=1.50 total=1\n"),
            ("memory.pressure", "some avg10=2.50 total=1\n"),
            ("io.pressure", "some avg10=3.50 total=1\n"),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        let expected = Cgroup {
            cpu: Some(Duration::from_micros(7)),
            frozen: true,
            memory: Some(4096),
            oom_kills: Some(2),
            memory_high: Some(12),
            cpu_pressure: Some(1.5),
            memory_pressure: Some(2.5),
            io_pressure: Some(3.5),
        };
        assert_eq!(look(root.path(), "/a"), expected);
    }

    #[test]
    fn a_cgroup_is_frozen_by_its_own_setting_or_by_an_ancestors() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a");
        fs::create_dir(&folder).unwrap();
        let is_frozen = |event: &str, setting: &str| {
            fs::write(folder.join("cgroup.events"), event).unwrap();
            fs::write(folder.join("cgroup.freeze"), setting).unwrap();
            frozen(root.path(), "/a")
        };
        assert!(!frozen(root.path(), "/a"));
        assert!(!is_frozen("populated 1\nfrozen 0\n", "0\n"));
        assert!(is_frozen("populated 1\nfrozen 1\n", "0\n"));
        assert!(is_frozen("populated 1\nfrozen 0\n", "1\n"));
        assert!(!is_frozen("", ""));
    }

    #[test]
    fn which_versions_there_are_is_seen_by_their_files() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        fs::create_dir_all(base.join("systemd/user.slice")).unwrap();
        assert_eq!(versions(base), Versions::One);
        fs::create_dir(base.join("unified")).unwrap();
        assert_eq!(versions(base), Versions::One);
        fs::write(base.join("unified/cgroup.controllers"), "").unwrap();
        assert_eq!(versions(base), Versions::Hybrid);
        fs::write(base.join("cgroup.controllers"), "cpu\n").unwrap();
        assert_eq!(versions(base), Versions::Two);
        assert_eq!(versions(base).lost(), None);
    }

    #[test]
    fn only_a_path_below_the_root_is_looked_at() {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        for folder in [top.path(), &root, &root.join("a"), &root.join("a/b")] {
            fs::write(folder.join("cpu.stat"), "usage_usec 7\n").unwrap();
        }
        let used = |path| cpu_used(&root, path);
        let seven = Some(Duration::from_micros(7));
        assert_eq!([used("/a"), used("/a/b"), used("a")], [seven; 3]);
        for path in ["", "/", "//", "..", "/..", "/a/../..", "/c"] {
            assert_eq!(used(path), None, "{path}");
        }
    }

    #[test]
    fn a_cgroup_is_found_by_its_id() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("a/b.service")).unwrap();
        fs::create_dir_all(root.join("c/d.scope")).unwrap();
        fs::write(root.join("a/cgroup.procs"), "").unwrap();
        let id = |path: &str| fs::metadata(root.join(path)).unwrap().ino();
        for path in ["/a", "/a/b.service", "/c", "/c/d.scope"] {
            let found = path_of(root, id(path.trim_start_matches('/')));
            assert_eq!(found.as_deref(), Some(path));
        }
        // Neither the root, nor a file, nor one that is not there.
        for id in [id(""), id("a/cgroup.procs"), 0] {
            assert_eq!(path_of(root, id), None);
        }
    }

    #[test]
    fn the_pids_of_a_cgroup_are_all_or_none() {
        let root = tempfile::tempdir().unwrap();
        let procs = root.path().join("cgroup.procs");
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(procs, "1\n").unwrap();
        let of = |text: &str| {
            fs::write(root.path().join("a/cgroup.procs"), text).unwrap();
            pids(root.path(), "/a")
        };
        assert_eq!(of("42\n7\n0\n"), Some(vec![42, 7, 0]));
        assert_eq!(of(""), Some(Vec::new()));
        assert_eq!(of("42\n-7\n"), None);
        assert_eq!(of(&"42\n".repeat(10_000)), None);
        assert_eq!(pids(root.path(), "/"), None);
        assert_eq!(pids(root.path(), "/b"), None);
    }
}
