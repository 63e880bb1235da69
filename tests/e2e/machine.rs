//! The throwaway machine: a systemd of its own in namespaces of its own, booted by root in about half a second.
//!
//! It is the host's own distribution, or the one in the folder that `E2E_ROOT` names.
//! Owns the boot, the way in and the end; `boot.sh` is what runs inside before systemd does.
//! Knows nothing of trials, of Gatehound or of the gateway.
//!
//! Nothing of it outlives the process that booted it: the kernel kills `unshare` with its parent, `unshare` takes
//! process 1 along, and with process 1 goes everything in its pid namespace and every mount.
//! An empty cgroup may stay behind a killed run; the next boot removes it.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tempfile::TempDir;

/// Where the machine keeps the executables and unit files under test.
const INSIDE: &str = "/opt/e2e";
/// Ids of ordinary users, below 60000, that a distribution does not give out by itself.
const USER_ID: u32 = 59001;
const PORT_HOLDER_ID: u32 = 59002;
/// Half a second on an idle host; the bound is for one that is compiling.
const BOOT_TIMEOUT: Duration = Duration::from_secs(60);
const CGROUP_PREFIX: &str = "gatehound-e2e-";
const FLEET_PREFIX: &str = "gatehound-fleet-";

/// Variables of the caller that reach a process inside; all others stay outside.
const PASSED_ON: &[&str] = &[
    "TERM",
    "NO_COLOR",
    "CARGO_TERM_COLOR",
    "RUST_BACKTRACE",
    "E2E_REAL_GATEWAY",
    "E2E_LONG",
    VERSION_1,
];

/// The folder with the distribution that boots, where it is not the host's own.
const ROOT: &str = "E2E_ROOT";

/// Asks for cgroups of version 1 alone; systemd knows them until 257, and the host has to have them.
const VERSION_1: &str = "E2E_CGROUP_V1";

/// What a Debian package is recognised by.
type Package = (&'static str, &'static [&'static str]);

/// What the host boots the machine with.
const AROUND: &[Package] = &[
    ("iproute2", &["/bin/ip"]),
    (
        "util-linux",
        &["/usr/bin/unshare", "/usr/bin/nsenter", "/usr/bin/setpriv"],
    ),
    // Where util-linux has it, it is there.
    ("util-linux-extra", &["/sbin/pivot_root"]),
];

/// What is booted.
const INSIDE_IT: &[Package] = &[
    ("systemd", &["/lib/systemd/systemd", "/bin/systemctl"]),
    ("dbus-user-session", &["/usr/lib/systemd/user/dbus.socket"]),
    ("libpam-systemd", &["/usr/share/pam-configs/systemd"]),
];

/// A running machine; dropping it ends everything in it.
pub struct Machine {
    unshare: Child,
    cgroup: PathBuf,
    init: i32,
    /// A pidfd of process 1, readable once it has ended.
    ended: Option<OwnedFd>,
}

impl Machine {
    /// Boots a machine with these executables and folders in `/opt/e2e`, each under its own file name.
    ///
    /// A folder that is too large to copy is bound there, read-only; anybody has to be allowed to read it.
    ///
    /// Must be called from the main thread: the kernel ties the machine's life to the thread that started it.
    pub fn boot(files: &[(&str, &Path)], bound: Option<(&str, &Path)>) -> Result<Self, String> {
        let name = format!("{CGROUP_PREFIX}{}", std::process::id());
        Self::boot_as(&name, &name, files, bound)
    }

    /// As [`Machine::boot`], as one of several, each with a host name of its own.
    pub fn boot_named(host: &str, files: &[(&str, &Path)]) -> Result<Self, String> {
        let cgroup = format!("{FLEET_PREFIX}{}-{host}", std::process::id());
        Self::boot_as(host, &cgroup, files, None)
    }

    fn boot_as(
        name: &str,
        cgroup: &str,
        files: &[(&str, &Path)],
        bound: Option<(&str, &Path)>,
    ) -> Result<Self, String> {
        let root = root();
        missing_packages(&root)?;
        let parent = if is_version_1() {
            cgroup1_mount()?
        } else {
            cgroup2_mount()?
        };
        remove_stale_cgroups(&parent, cgroup);
        let stage =
            stage(files).map_err(|error| format!("cannot stage the machine's files: {error}"))?;
        let cgroup = parent.join(cgroup);
        fs::create_dir(&cgroup)
            .map_err(|error| format!("cannot create the cgroup {}: {error}", cgroup.display()))?;

        let notify = UnixDatagram::bind(stage.path().join("notify"))
            .map_err(|error| format!("cannot listen for the machine's readiness: {error}"))?;
        let mut unshare = unshare(&cgroup, stage.path(), name);
        unshare.env("ROOT", &root);
        if is_version_1() {
            unshare.env("CGROUP_V1", "1");
        }
        if let Some((name, source)) = bound {
            unshare.env("BOUND", name).env("BOUND_SOURCE", source);
        }
        let unshare = unshare
            .spawn()
            .map_err(|error| format!("cannot run unshare: {error}"))?;
        let mut machine = Self {
            unshare,
            cgroup,
            init: 0,
            ended: None,
        };
        machine.await_ready(&notify)?;
        Ok(machine)
    }

    /// A command run as the machine's ordinary user, in the environment a login would give.
    pub fn as_user(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.enter();
        command.args([
            "setpriv".to_owned(),
            format!("--reuid={USER_ID}"),
            format!("--regid={USER_ID}"),
            "--init-groups".to_owned(),
        ]);
        command.args(["env", "--ignore-environment", "--chdir=/home/watched"]);
        command.args([
            "HOME=/home/watched",
            "USER=watched",
            "LOGNAME=watched",
            "SHELL=/bin/sh",
        ]);
        command.args(["LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin"]);
        command.arg(format!("XDG_RUNTIME_DIR=/run/user/{USER_ID}"));
        command.arg(format!(
            "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{USER_ID}/bus"
        ));
        command.arg("E2E_ROOT_SOCKET=/run/e2e-as-root");
        command.arg("E2E_PORT_HOLDER=portholder");
        command.arg(format!("E2E_FILES={INSIDE}"));
        command.args(
            PASSED_ON
                .iter()
                .filter_map(|name| Some(format!("{name}={}", env::var(name).ok()?))),
        );
        command.arg(program);
        command
    }

    /// A command run as the machine's root.
    pub fn as_root(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.enter();
        command.args(["env", "--ignore-environment", "--chdir=/", "LANG=C.UTF-8"]);
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.arg(program);
        command
    }

    /// Joins this machine and another one by a cable whose ends have these names and these addresses.
    pub fn cable(
        &self,
        (name, address): (&str, &str),
        other: &Self,
        (other_name, other_address): (&str, &str),
    ) -> Result<(), String> {
        let pid = other.init.to_string();
        let mut add = Command::new("nsenter");
        add.args(["--target", &self.init.to_string(), "--net", "ip", "link"]);
        add.args(["add", "name", name, "type", "veth", "peer"]);
        add.args(["name", other_name, "netns", &pid]);
        succeed(&mut add)?;
        for (machine, name, address) in [(self, name, address), (other, other_name, other_address)]
        {
            for words in [
                ["address", "add", address, "dev", name].as_slice(),
                ["link", "set", name, "up"].as_slice(),
            ] {
                succeed(machine.as_root("ip").args(words))?;
            }
        }
        Ok(())
    }

    /// The path inside of a file given to [`Machine::boot`].
    pub fn path(name: &str) -> PathBuf {
        Path::new(INSIDE).join(name)
    }

    /// Steps into the namespaces, in a cgroup below the machine's own so that its paths make sense inside.
    fn enter(&self) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo 0 >"$0/cgroup.procs" && exec "$@""#]);
        command.arg(self.cgroup.join("visitors"));
        command.args(["nsenter", "--target", &self.init.to_string()]);
        command.args([
            "--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup", "--",
        ]);
        command
    }

    /// Waits for systemd's own word that its first transaction, the user manager included, is done.
    fn await_ready(&mut self, notify: &UnixDatagram) -> Result<(), String> {
        let deadline = Instant::now() + BOOT_TIMEOUT;
        let mut datagram = [0; 4096];
        loop {
            if let Some(status) = self.unshare.try_wait().map_err(|error| error.to_string())? {
                return Err(format!(
                    "the throwaway machine did not start ({status}); it needs root with CAP_SYS_ADMIN"
                ));
            }
            if deadline <= Instant::now() {
                return Err(format!(
                    "the throwaway machine was not ready within {BOOT_TIMEOUT:?}: {}",
                    self.jobs()
                ));
            }
            // Short, so that a boot script that failed is noticed before the deadline.
            notify
                .set_read_timeout(Some(Duration::from_millis(100)))
                .map_err(|error| error.to_string())?;
            let Ok(length) = notify.recv(&mut datagram) else {
                continue;
            };
            if datagram[..length]
                .split(|byte| *byte == b'\n')
                .any(|line| line == b"READY=1")
            {
                break;
            }
        }
        self.init = self.find_init()?;
        self.ended =
            Pid::from_raw(self.init).and_then(|init| pidfd_open(init, PidfdFlags::empty()).ok());
        fs::create_dir(self.cgroup.join("visitors"))
            .map_err(|error| format!("cannot prepare the way in: {error}"))
    }

    /// systemd puts itself, and nothing else, into `init.scope`; read from here its pid is the host's.
    fn find_init(&self) -> Result<i32, String> {
        let path = self.cgroup.join("init.scope/cgroup.procs");
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let pid = text.lines().next().and_then(|line| line.parse().ok());
        pid.ok_or_else(|| format!("{} names no process", path.display()))
    }

    /// What a boot that did not finish was waiting for.
    fn jobs(&mut self) -> String {
        let Ok(init) = self.find_init() else {
            return "systemd did not come up".to_owned();
        };
        self.init = init;
        if fs::create_dir(self.cgroup.join("visitors")).is_err() {
            return "systemd did not come up".to_owned();
        }
        let output = self
            .as_root("systemctl")
            .args(["list-jobs", "--no-pager"])
            .output();
        output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The kernel kills process 1 with `unshare`, and process 1 has ended only when its pid namespace is empty.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        if let Some(ended) = &self.ended {
            let mut fds = [PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, PollTimeout::from(10_000u16));
        }
        // After a boot that failed half-way the cgroup may still be in use; then the next boot removes it.
        let _ = remove_cgroup(&self.cgroup);
    }
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {said}"))
}

fn unshare(cgroup: &Path, stage: &Path, name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]);
    command.args([
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--ipc",
        "--uts",
        "--net",
    ]);
    // Process 1 alone enters the new cgroup, and only then makes it the root of what it sees.
    command.args([
        "sh",
        "-c",
        r#"echo 0 >"$0/cgroup.procs" && exec unshare --cgroup sh "$STAGE/boot.sh""#,
    ]);
    command.arg(cgroup);
    command.env("STAGE", stage).env("NAME", name);
    command
        .env("USER_ID", USER_ID.to_string())
        .env("PORT_HOLDER_ID", PORT_HOLDER_ID.to_string());
    command.stdin(Stdio::null());
    command
}

/// The folder through which the machine is handed its files; it is gone again once the machine runs.
fn stage(files: &[(&str, &Path)]) -> io::Result<TempDir> {
    let stage = tempfile::Builder::new().prefix(CGROUP_PREFIX).tempdir()?;
    fs::create_dir(stage.path().join("disk"))?;
    fs::create_dir(stage.path().join("files"))?;
    fs::write(stage.path().join("boot.sh"), include_str!("boot.sh"))?;
    for (name, source) in files {
        copy(source, &stage.path().join("files").join(name)).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", source.display()))
        })?;
    }
    Ok(stage)
}

fn copy(source: &Path, target: &Path) -> io::Result<()> {
    if !source.is_dir() {
        return fs::copy(source, target).map(drop);
    }
    fs::create_dir(target)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        copy(&entry.path(), &target.join(entry.file_name()))?;
    }
    Ok(())
}

/// The folder with the distribution that boots.
fn root() -> PathBuf {
    env::var_os(ROOT)
        .filter(|root| !root.is_empty())
        .map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

fn missing_packages(root: &Path) -> Result<(), String> {
    let host = Path::new("/");
    let mut here = missing(AROUND, host);
    let there = missing(INSIDE_IT, root);
    if root == host {
        here.extend(&there);
    } else if !there.is_empty() {
        return Err(format!(
            "{} lacks what boots: {}; `tests/run --root SUITE` makes such a root",
            root.display(),
            there.join(" ")
        ));
    }
    if here.is_empty() {
        return Ok(());
    }
    Err(format!(
        "missing Debian packages; install them with: apt-get install {}",
        here.join(" ")
    ))
}

fn missing(packages: &[Package], root: &Path) -> Vec<&'static str> {
    let is_there = |file: &&str| root.join(file.trim_start_matches('/')).exists();
    packages
        .iter()
        .filter(|(_, files)| !files.iter().all(is_there))
        .map(|(package, _)| *package)
        .collect()
}

/// Whether the machine gets version 1 of cgroups, and no version 2.
fn is_version_1() -> bool {
    env::var_os(VERSION_1).is_some_and(|value| value == "1")
}

/// The hierarchy without controllers in which systemd keeps who is where.
fn cgroup1_mount() -> Result<PathBuf, String> {
    let mount = PathBuf::from("/sys/fs/cgroup/systemd");
    if mount.join("cgroup.procs").exists() && !mount.join("cgroup.subtree_control").exists() {
        return Ok(mount);
    }
    Err(format!(
        "no cgroups of version 1 at {}, which {VERSION_1}=1 asks for",
        mount.display()
    ))
}

/// Version 2 stands alone on newer hosts and beside version 1 on others.
fn cgroup2_mount() -> Result<PathBuf, String> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .map(PathBuf::from)
        .find(|mount| {
            mount.join("cgroup.procs").exists() && mount.join("cgroup.subtree_control").exists()
        })
        .ok_or_else(|| {
            "no cgroup2 mount at /sys/fs/cgroup or /sys/fs/cgroup/unified; systemd needs one"
                .to_owned()
        })
}

/// A run ended by SIGKILL cannot remove its cgroup, which by then is empty; the name begins with its pid.
///
/// One with the name of the machine to come is of a process that had this one's pid.
fn remove_stale_cgroups(parent: &Path, to_come: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let owner = [CGROUP_PREFIX, FLEET_PREFIX]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix));
        let pid = owner.and_then(|owner| owner.split('-').next());
        if name == to_come || pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = remove_cgroup(&entry.path());
        }
    }
}

/// Fails while a process is left in it, so it never takes a running machine's.
fn remove_cgroup(cgroup: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cgroup)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(cgroup)
}
