//! What the machine around offers: a user manager, linger, a journal that lasts, a right clock, and no other watchdog.
//!
//! Looks only, and knows nothing of the gateway's health.

use std::path::Path;

use nix::unistd::geteuid;

use super::findings::Findings;
use crate::{
    cli::{console::manager, install},
    other_watchdogs::{finding::OtherWatchdogs, survey::Around},
    settings::layers::Sources,
};

/// The command that makes the user manager run.
pub(super) fn manager_fix() -> String {
    let uid = geteuid();
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
    if Path::new("/var/log/journal").is_dir() {
        findings.fine("journal", "persistent");
    } else {
        findings.warning(
            "journal",
            "not persistent: what happened is forgotten at the next boot",
            "sudo mkdir -p /var/log/journal && sudo journalctl --flush",
        );
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
    use std::fs;

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
}
