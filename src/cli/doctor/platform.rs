//! Whether Gatehound was tried on what the machine runs: systemd, kernel, cgroups, WSL; what is lost, and what helps.
//!
//! Owns the bounds of the table in tests/README.md. Looks only, and knows nothing of the gateway.

use std::{fs, path::Path};

use super::findings::Findings;
use crate::{
    cli::console::manager,
    os::cgroup::{self, Versions},
};

/// The oldest and the newest systemd on which the trials passed.
const SYSTEMD: [u32; 2] = [247, 262];

/// The oldest kernel for which Gatehound was made.
const KERNEL: [u32; 2] = [5, 10];

/// What helps on WSL 1, which has no kernel of Linux and starts no systemd.
const WSL_2: &str =
    "make it WSL 2, in Windows: wsl.exe --set-version NAME 2, with its NAME by wsl.exe --list";

/// What helps where systemd does not run the machine, by the files below `root`; none where it does.
pub(super) fn no_systemd(root: &Path) -> Option<&'static str> {
    // What sd_booted(3) looks for.
    if root.join("run/systemd/system").is_dir() {
        return None;
    }
    let kernel = kernel(root);
    Some(if is_wsl_1(&kernel) {
        WSL_2
    } else if is_wsl(&kernel) {
        "put the two lines [boot] and systemd=true into /etc/wsl.conf, then, in Windows: wsl.exe --shutdown"
    } else {
        "run Gatehound where systemd is process 1: a machine, or a container that boots it"
    })
}

/// What the machine runs, by the files below `root` and the manager's own word.
pub(super) fn platform(findings: &mut Findings, root: &Path) {
    let version = manager().and_then(|mut manager| Ok(manager.version()?));
    // That the manager cannot be asked is a finding already.
    if let Ok(version) = version {
        systemd(findings, &version);
    }
    let kernel = kernel(root);
    self::kernel_version(findings, &kernel);
    cgroups(
        findings,
        cgroup::versions(&root.join("sys/fs/cgroup")),
        &kernel,
    );
    if is_wsl(&kernel) {
        findings.warning(
            "wsl",
            "Windows starts no distribution by itself and ends one that is idle; nobody watches until it runs, whatever linger says",
            // A session of Windows' own keeps it; a process that systemd started does not. Without a name it would be the default one's.
            "have Windows' Task Scheduler run at logon: wsl.exe --distribution NAME --exec sleep infinity, with its NAME by wsl.exe --list",
        );
    }
}

fn systemd(findings: &mut Findings, version: &str) {
    let [oldest, newest] = SYSTEMD;
    let number = numbers(version).next().unwrap_or_default();
    if number < oldest {
        let what = format!("version {version} is older than {oldest}, the oldest that was tried");
        findings.warning("systemd", &what, "upgrade the distribution");
    } else if newest < number {
        let what = format!("version {version}; the newest that was tried is {newest}");
        findings.fine("systemd", &what);
    } else {
        findings.fine("systemd", &format!("version {version}, which was tried"));
    }
}

fn kernel_version(findings: &mut Findings, version: &str) {
    let [major, minor] = KERNEL;
    let mut found = numbers(version);
    let found = [found.next(), found.next()].map(Option::unwrap_or_default);
    if found < KERNEL {
        let what = format!("{version} is older than {major}.{minor}, for which Gatehound was made");
        let fix = if is_wsl_1(version) {
            WSL_2
        } else if is_wsl(version) {
            "in Windows: wsl.exe --update"
        } else {
            "upgrade the distribution"
        };
        findings.warning("kernel", &what, fix);
    } else {
        findings.fine("kernel", version);
    }
}

fn cgroups(findings: &mut Findings, versions: Versions, kernel: &str) {
    // WSL itself mounts version 1 before systemd starts, whatever systemd is asked for.
    let fix = if is_wsl(kernel) {
        "put the two lines [wsl2] and kernelCommandLine=cgroup_no_v1=all into .wslconfig in your folder of Windows, then, in Windows: wsl.exe --shutdown"
    } else {
        "add systemd.unified_cgroup_hierarchy=1 to the kernel's command line and boot again"
    };
    match versions.lost() {
        None => findings.fine("cgroups", "version 2"),
        Some(lost) => findings.warning("cgroups", lost, fix),
    }
}

/// The kernel's release, such as `6.1.0-13-amd64`.
fn kernel(root: &Path) -> String {
    let release = fs::read_to_string(root.join("proc/sys/kernel/osrelease"));
    release.unwrap_or_default().trim().to_owned()
}

fn is_wsl(kernel: &str) -> bool {
    kernel.to_ascii_lowercase().contains("microsoft")
}

/// Such as `4.4.0-19041-Microsoft`; that of WSL 2 ends in `-microsoft-standard-WSL2`.
fn is_wsl_1(kernel: &str) -> bool {
    kernel.ends_with("-Microsoft")
}

/// The numbers that a version consists of.
fn numbers(version: &str) -> impl Iterator<Item = u32> {
    let parts = version.split(|c: char| !c.is_ascii_digit());
    parts.map_while(|part| part.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::findings::Severity;

    #[track_caller]
    fn check(look: impl Fn(&mut Findings), severity: Severity, what: &str) {
        let mut findings = Findings::default();
        look(&mut findings);
        let [found] = findings.0.as_slice() else {
            panic!("{:?}", findings.0);
        };
        assert_eq!(found.severity, severity, "{found:?}");
        assert!(found.what.as_str().contains(what), "{found:?}");
    }

    #[test]
    fn versions_are_judged_by_what_was_tried() {
        for (version, severity, what) in [
            ("246-1", Severity::Warning, "older than 247"),
            ("247.3-7+deb11u7", Severity::Fine, "which was tried"),
            ("262.1-1", Severity::Fine, "which was tried"),
            (
                "263~rc1",
                Severity::Fine,
                "the newest that was tried is 262",
            ),
        ] {
            check(|it| systemd(it, version), severity, what);
        }
        for (version, severity) in [
            ("4.19.0-27-amd64", Severity::Warning),
            ("5.4.0", Severity::Warning),
            ("5.10.0-35-amd64", Severity::Fine),
            ("5.15.153.1-microsoft-standard-WSL2", Severity::Fine),
            ("6.1.0", Severity::Fine),
        ] {
            check(|it| kernel_version(it, version), severity, version);
        }
    }

    #[test]
    fn what_was_tried_is_what_the_table_says() {
        let page = include_str!("../../../tests/README.md");
        let row = |line: &str| {
            let mut cells = line.split('|').map(str::trim);
            let is_of_it = |cell: &str| cell.starts_with("Debian ") || cell.starts_with("Ubuntu ");
            cells.nth(1).filter(|cell| is_of_it(cell))?;
            cells.next()?.parse::<u32>().ok()
        };
        let tried: Vec<u32> = page.lines().filter_map(row).collect();
        let bounds = [tried.iter().min(), tried.iter().max()].map(Option::unwrap);
        assert_eq!(bounds, [&SYSTEMD[0], &SYSTEMD[1]], "{tried:?}");
        let [major, minor] = KERNEL;
        assert!(page.contains(&format!("made for Linux {major}.{minor} and later")));
    }

    #[test]
    fn cgroups_of_version_1_are_said_with_what_is_lost() {
        let cgroups = |versions| move |it: &mut Findings| cgroups(it, versions, "6.1.0");
        check(cgroups(Versions::Two), Severity::Fine, "version 2");
        for versions in [Versions::Hybrid, Versions::One] {
            check(cgroups(versions), Severity::Warning, "CPUQuota=");
        }
        check(cgroups(Versions::One), Severity::Warning, "deadlocked");
    }

    #[test]
    fn what_helps_on_wsl_is_done_in_windows() {
        let fix = |look: &dyn Fn(&mut Findings)| {
            let mut findings = Findings::default();
            look(&mut findings);
            findings.0[0].fix.clone().unwrap().to_string()
        };
        let [one, two] = ["4.4.0-19041-Microsoft", "4.19.128-microsoft-standard"];
        assert!(fix(&|it| kernel_version(it, one)).contains("--set-version NAME 2"));
        assert!(fix(&|it| kernel_version(it, two)).contains("wsl.exe --update"));
        assert!(fix(&|it| kernel_version(it, "4.19.0-27-amd64")).starts_with("upgrade"));
        let hybrid = fix(&|it| cgroups(it, Versions::Hybrid, two));
        assert!(hybrid.contains("cgroup_no_v1=all"), "{hybrid}");
    }

    #[test]
    fn without_systemd_the_advice_is_one_that_works_there() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let release = root.join("proc/sys/kernel/osrelease");
        fs::create_dir_all(release.parent().unwrap()).unwrap();
        fs::write(&release, "6.1.0\n").unwrap();
        assert!(no_systemd(root).unwrap().contains("process 1"));
        fs::write(&release, "5.15.153.1-microsoft-standard-WSL2\n").unwrap();
        assert!(no_systemd(root).unwrap().contains("systemd=true"));
        fs::write(&release, "4.4.0-19041-Microsoft\n").unwrap();
        assert!(no_systemd(root).unwrap().contains("--set-version"));
        fs::create_dir_all(root.join("run/systemd/system")).unwrap();
        assert_eq!(no_systemd(root), None);
    }
}
