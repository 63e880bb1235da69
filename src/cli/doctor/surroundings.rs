//! What the machine around offers: a user manager, linger, a journal that lasts, a right clock, and no other watchdog.
//!
//! Looks only, and knows nothing of the gateway's health.

use std::{fs, io, path::Path};

use nix::unistd::geteuid;

use super::{findings::Findings, platform};
use crate::{
    cli::{console::manager, install},
    other_watchdogs::{finding::OtherWatchdogs, survey::Around},
    settings::layers::Sources,
    systemd::bus_is_missing,
};

/// The command that makes the user manager run, or its bus.
pub(super) fn manager_fix() -> String {
    let uid = geteuid();
    if bus_is_missing() {
        return "sudo apt-get install dbus-user-session && systemctl --user start dbus.socket"
            .to_owned();
    }
    if let Some(fix) = platform::no_systemd(Path::new("/")) {
        return fix.to_owned();
    }
    install::linger_is_off().unwrap_or_else(|| format!("sudo systemctl start user@{uid}.service"))
}

/// What the machine around has to offer: linger, a journal that lasts.
pub(super) fn session(findings: &mut Findings) {
    match install::linger_is_off() {
        Some(remedy) => {
            findings.warning("linger", "off: gateway and watchdog stop at logout", remedy);
        }
        None => findings.fine("linger", "on"),
    }
    journal(findings, Path::new("/"));
}

/// Makes journald write to the disk, whatever its own file says.
const PERSISTENT: &str = "sudo mkdir -p /var/log/journal /etc/systemd/journald.conf.d && \
    printf '[Journal]\\nStorage=persistent\\n' | sudo tee /etc/systemd/journald.conf.d/persistent.conf && \
    sudo systemctl restart systemd-journald && sudo journalctl --flush";

/// Whether the journal outlives a boot, and whether this user may read it, by its folders below `root`.
///
/// A folder on the disk alone says nothing: with `Storage=volatile` it stays, and nothing comes into it.
fn journal(findings: &mut Findings, root: &Path) {
    let machine = fs::read_to_string(root.join("etc/machine-id")).unwrap_or_default();
    let in_memory = root.join("run/log/journal").join(machine.trim());
    let of_system = in_memory.join("system.journal");
    // The folder is there while the journal is in memory; whoever may not read that, may not look into it either.
    let is_hidden =
        matches!(fs::read_dir(in_memory), Err(e) if e.kind() == io::ErrorKind::PermissionDenied);
    if !is_hidden && !of_system.exists() {
        if root.join("var/log/journal").is_dir() {
            findings.fine("journal", "persistent");
        } else {
            let what = "not persistent: what happened is forgotten at the next boot";
            findings.warning("journal", what, PERSISTENT);
        }
        return;
    }
    // In memory there is no file of each user's own.
    if fs::File::open(of_system).is_ok() {
        let what = "in memory only: what happened is forgotten at the next boot";
        findings.warning("journal", what, PERSISTENT);
    } else {
        let what = "in memory only, where you may not read it: history, incident and journalctl show nothing of yours, \
            and all is forgotten at the next boot";
        findings.warning("journal", what, PERSISTENT);
    }
}

/// Whether the clock is right, by the marks below /run: the kernel's own word takes an unsafe call.
pub(super) fn clock(findings: &mut Findings, run: &Path) {
    let is_there = |name: &str| run.join(name).exists();
    if is_there("systemd/timesync/synchronized") {
        findings.fine("clock", "synchronised");
    } else if is_there("chrony") {
        findings.fine("clock", "kept by chrony; chronyc tracking says more");
    } else if is_there("ntpd.pid") {
        findings.fine("clock", "kept by ntpd; ntpq -p says more");
    } else if is_there("WSL") {
        findings.fine("clock", "kept by Windows");
    } else if is_there("systemd/container") {
        findings.fine("clock", "kept by whoever runs this container");
    } else {
        findings.warning(
            "clock",
            "not synchronised as far as can be seen, so the journal's times may be wrong; \
             the watch does not depend on it",
            "sudo timedatectl set-ntp true",
        );
    }
}

/// Who else might restart the gateway.
pub(super) fn other_watchdogs(
    findings: &mut Findings,
    sources: &Sources,
    unit: &str,
    port: Option<u16>,
) {
    let around = Around::new(&sources.variables, unit, port);
    let found = OtherWatchdogs::look(&around, manager().ok().as_mut());
    for (about, what, fix) in found.all(&install::command(sources.profile.as_deref())) {
        findings.warning(about, &what, fix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::findings::Severity;

    #[test]
    fn a_clock_is_judged_by_the_marks_that_are_there() {
        for (marks, severity, what) in [
            (
                &[][..],
                Severity::Warning,
                "not synchronised as far as can be seen",
            ),
            (&["systemd/timesync"], Severity::Warning, "not synchronised"),
            (
                &["systemd/timesync/synchronized"],
                Severity::Fine,
                "synchronised",
            ),
            (&["chrony"], Severity::Fine, "kept by chrony"),
            (&["ntpd.pid"], Severity::Fine, "kept by ntpd"),
            (&["WSL"], Severity::Fine, "kept by Windows"),
            (&["systemd/container"], Severity::Fine, "this container"),
        ] {
            let run = tempfile::tempdir().unwrap();
            for mark in marks {
                fs::create_dir_all(run.path().join(mark)).unwrap();
            }
            let mut findings = Findings::default();
            clock(&mut findings, run.path());
            assert_eq!(findings.worst(), severity, "{marks:?}");
            assert!(findings.0[0].what.as_str().contains(what), "{marks:?}");
        }
    }

    #[test]
    fn a_journal_in_memory_is_not_taken_for_one_on_the_disk() {
        for (files, severity, what) in [
            (&[][..], Severity::Warning, "not persistent"),
            (&["var/log/journal/id/x"], Severity::Fine, "persistent"),
            (
                &["var/log/journal/id/x", "run/log/journal/id/system.journal"],
                Severity::Warning,
                "in memory only: ",
            ),
            // Of another machine, as in an image that was copied.
            (
                &["var/log/journal/id/x", "run/log/journal/old/system.journal"],
                Severity::Fine,
                "persistent",
            ),
        ] {
            let root = tempfile::tempdir().unwrap();
            for file in files.iter().chain(&["etc/none"]) {
                let file = root.path().join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, "").unwrap();
            }
            fs::write(root.path().join("etc/machine-id"), "id\n").unwrap();
            let mut findings = Findings::default();
            journal(&mut findings, root.path());
            assert_eq!(findings.worst(), severity, "{files:?}");
            let said = findings.0[0].what.as_str();
            assert!(said.starts_with(what), "{files:?}: {said}");
        }
    }
}
