//! What of the gateway's unit keeps it from being watched or brought back well, each with what helps.
//!
//! Owns the advice that `doctor` and `install` give about it. Asks the user manager, reads unit files, changes nothing.

use std::{path::Path, slice, time::Duration};

use nix::sys::statvfs::{FsFlags, statvfs};

use crate::{
    os::{cgroup, listeners},
    other_watchdogs::unit_files::{UnitText, files_of},
    policy::facts::UnitFacts,
    recovery::cleanup::Holder,
    systemd::{ManagerError, UserManager},
    text::words::{Names, span},
};

/// Other names of a gateway's unit: of a Quadlet, and of the gateway's former names.
const OTHERS: [&str; 3] = [
    "openclaw.service",
    "clawdbot-gateway.service",
    "moltbot-gateway.service",
];

/// Targets that no user manager starts.
const OF_SYSTEM: [&str; 2] = ["multi-user.target", "graphical.target"];

/// The exit status of a program that could not be executed (systemd.exec(5)).
const EXEC: i32 = 203;

/// One thing that should be otherwise.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) what: String,
    pub(crate) fix: String,
    /// Whether the gateway is not watched, or would not be brought back.
    pub(crate) is_problem: bool,
}

/// What should be otherwise with this unit, whose gateway is expected on this port.
pub(crate) fn advice(
    manager: &mut UserManager,
    facts: &UnitFacts,
    names: Names<'_>,
    port: u16,
) -> Result<Vec<Advice>, ManagerError> {
    if facts.load_state != "loaded" {
        return Ok(vec![absent(manager, facts, names, port)?]);
    }
    let unit = names.unit;
    let text = files_of(unit, &facts.fragment_path);
    let mut found: Vec<Advice> = Vec::new();
    let wanted = match &text {
        Some(text) => text.all("WantedBy").join(" "),
        None => String::new(),
    };
    let state = manager.file_state(unit)?;
    let wanted_by = manager.wanted_by(unit)?;
    found.extend(boot(unit, &state, &wanted, &wanted_by));
    found.extend(settings(facts, names));
    if let Some(limit) = manager.watchdog(unit)? {
        found.extend(own_watchdog(unit, limit, &manager.service_type(unit)?));
    }
    found.extend(not_executed(facts, unit));
    Ok(found)
}

/// A unit that is not there, is masked, or cannot be loaded; who serves the port comes before any advice.
fn absent(
    manager: &mut UserManager,
    facts: &UnitFacts,
    names: Names<'_>,
    port: u16,
) -> Result<Advice, ManagerError> {
    let Names { unit, profile } = names;
    let holder = serving(port);
    let served = holder.as_ref().map_or_else(String::new, |holder| {
        format!("; port {port} is served by {holder}")
    });
    let helps = holder.as_ref().and_then(remedy);
    let state = &facts.load_state;
    let mut fix = match state.as_str() {
        "masked" => format!("if it is to run here: systemctl --user unmask {unit}"),
        "not-found" => format!("openclaw{profile} gateway install"),
        _ => format!("systemd-analyze --user verify {unit} says what is wrong with its file"),
    };
    if let Some(helps) = helps {
        fix = helps;
    } else if state == "not-found" {
        for other in OTHERS {
            let there = manager.unit(other)?;
            if there.load_state == "loaded" && other != unit {
                fix = gateway_unit(other);
                break;
            }
        }
    }
    let meant = if state == "masked" {
        ", because somebody wants it not to start"
    } else {
        ""
    };
    Ok(Advice {
        what: format!("{unit} is {state}{meant}{served}"),
        fix,
        is_problem: true,
    })
}

/// Who serves a port, as far as the kernel says it.
pub(crate) fn serving(port: u16) -> Option<Holder> {
    let proc = Path::new("/proc");
    let listening = listeners::listening(proc, port).ok()?;
    let listener = listening.first()?;
    let owner = listeners::owners(proc, slice::from_ref(listener), &[]).pop();
    let cgroups = cgroup::root(Path::new("/sys/fs/cgroup"));
    Some(match owner {
        Some((_, process)) => Holder::seen(process),
        None => Holder::unseen(proc, cgroups.as_deref(), port, listener),
    })
}

/// What helps whoever expected the gateway where somebody else serves.
pub(crate) fn remedy(holder: &Holder) -> Option<String> {
    let unit = holder.unit.as_ref().map_or("", |unit| unit.as_str());
    let process = holder.process.as_ref();
    let command = process.map_or("", |process| process.command.as_str());
    let of_container = ["docker.service", "containerd.service", "podman.service"];
    if command.contains("docker-proxy") || of_container.contains(&unit) {
        return Some(
            "a container serves there: its own engine restarts it; Gatehound watches a gateway in a user unit"
                .to_owned(),
        );
    }
    let of_user = process.is_some_and(|process| process.cgroup.contains("/user@"));
    if of_user && unit.ends_with(".service") {
        return Some(gateway_unit(unit));
    }
    if unit.ends_with(".service") {
        return Some(format!(
            "{unit} is a unit of the system, which is not a user's watchdog's to watch; to have yours instead: sudo systemctl disable --now {unit}"
        ));
    }
    None
}

fn gateway_unit(unit: &str) -> String {
    format!(
        "if that is your gateway, write unit = \"{unit}\" under [gateway] of ~/.config/gatehound/config.toml"
    )
}

/// Whether the unit starts at boot, by its file and by what wants it.
fn boot(unit: &str, state: &str, in_file: &str, wanted_by: &[String]) -> Option<Advice> {
    let starts = |target: &str| !target.is_empty() && !OF_SYSTEM.contains(&target);
    let by_file = state.starts_with("enabled") && in_file.split_whitespace().any(starts);
    if by_file || wanted_by.iter().any(|target| starts(target)) {
        return None;
    }
    let add = format!("systemctl --user add-wants default.target {unit}");
    let (what, fix) = if state.starts_with("enabled") && !in_file.is_empty() {
        (
            format!(
                "{unit} is enabled for {in_file}, which nothing here starts: a user's units start with default.target"
            ),
            add,
        )
    } else if in_file.split_whitespace().any(starts) {
        (
            format!("{unit} is {state}, so it does not start at boot"),
            format!("systemctl --user enable {unit}"),
        )
    } else {
        (
            format!(
                "{unit} is {state}: nothing starts it at boot, and enable would change nothing"
            ),
            add,
        )
    };
    Some(Advice {
        what,
        fix,
        is_problem: false,
    })
}

/// Settings of the unit that stand in the way of a recovery.
fn settings(facts: &UnitFacts, names: Names<'_>) -> Vec<Advice> {
    let Names { unit, profile } = names;
    let mut found = Vec::new();
    let mut warn = |what: String, fix: String| {
        found.push(Advice {
            what,
            fix,
            is_problem: false,
        });
    };
    let edit = |line: &str| format!("{line} under [Service] in: systemctl --user edit {unit}");
    match facts.restart.as_str() {
        "always" | "" => {}
        "on-failure" => warn(
            format!(
                "{unit} has Restart=on-failure, so systemd does not start it again when it ends with status 0"
            ),
            edit("Restart=always"),
        ),
        other => warn(
            format!("{unit} has Restart={other}, so a crash is not answered by systemd"),
            edit("Restart=always"),
        ),
    }
    if !facts.exec_stop.is_empty() {
        warn(
            format!(
                "{unit} has ExecStop={}, which is waited for at each stop; systemd alone ends a gateway that hangs",
                facts.exec_stop.join(" ")
            ),
            edit("ExecStop= (with nothing behind it)"),
        );
    }
    if !facts.restart_prevent_exit_status.contains(&78) {
        warn(
            format!(
                "{unit} has no RestartPreventExitStatus=78, as of old versions: \
                 systemd restarts a gateway that refuses its configuration for ever"
            ),
            format!("openclaw{profile} doctor --fix"),
        );
    }
    found
}

/// A watchdog of systemd's that the gateway never pings, so that it is ended again and again.
fn own_watchdog(unit: &str, limit: Duration, kind: &str) -> Option<Advice> {
    // What notifies systemd of its start may ping as well.
    if kind.starts_with("notify") {
        return None;
    }
    let limit = span(limit);
    Some(Advice {
        what: format!(
            "{unit} has a WatchdogSec= of {limit}, but OpenClaw never sends WATCHDOG=1: systemd ends each run when that time is over"
        ),
        fix: format!("WatchdogSec=0 under [Service] in: systemctl --user edit {unit}"),
        is_problem: true,
    })
}

/// A program that could not be executed, on a file system that forbids it perhaps.
fn not_executed(facts: &UnitFacts, unit: &str) -> Option<Advice> {
    let program = facts
        .exec_start
        .first()
        .filter(|_| facts.exec_main_status == EXEC)?;
    let noexec =
        statvfs(Path::new(program)).is_ok_and(|found| found.flags().contains(FsFlags::ST_NOEXEC));
    let (why, fix) = if noexec {
        (
            "which is on a file system that is mounted noexec",
            format!("sudo mount -o remount,exec \"$(findmnt -n -o TARGET -T {program})\""),
        )
    } else {
        ("which cannot be executed", format!("ls -l {program}"))
    };
    Some(Advice {
        what: format!("{unit} ended with status 203/EXEC: it starts {program}, {why}"),
        fix,
        is_problem: true,
    })
}

/// A drop-in of Gatehound's own unit that has systemd stop Gatehound together with the gateway.
pub(crate) fn bound(own: &str, drop_in: &str, text: &UnitText) -> Option<Advice> {
    let kinds = ["BindsTo", "Requires", "PartOf"];
    let (kind, to) = kinds.iter().find_map(|kind| {
        let to = text.all(kind).join(" ");
        (!to.is_empty()).then_some((kind, to))
    })?;
    Some(Advice {
        what: format!(
            "{drop_in} has {kind}={to}: when that stops, systemd stops {own} with it, and nobody brings either back"
        ),
        fix: format!("take the line out of {drop_in}, then: systemctl --user daemon-reload"),
        is_problem: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "openclaw-gateway.service";

    fn names() -> Names<'static> {
        Names {
            unit: UNIT,
            profile: "",
        }
    }

    #[test]
    fn a_unit_starts_at_boot_where_something_starts_what_wants_it() {
        let none: &[String] = &[];
        let wants = ["default.target".to_owned()];
        assert_eq!(boot(UNIT, "enabled", "default.target", none), None);
        assert_eq!(boot(UNIT, "static", "", &wants), None);
        assert_eq!(boot(UNIT, "generated", "default.target", &wants), None);
        for (state, in_file, what, fix) in [
            (
                "enabled",
                "multi-user.target",
                "which nothing here starts",
                "add-wants default.target",
            ),
            (
                "disabled",
                "default.target",
                "is disabled, so it does not",
                "--user enable",
            ),
            (
                "static",
                "",
                "enable would change nothing",
                "add-wants default.target",
            ),
            (
                "disabled",
                "multi-user.target",
                "enable would change nothing",
                "add-wants",
            ),
        ] {
            let found = boot(UNIT, state, in_file, &["multi-user.target".to_owned()]).unwrap();
            assert!(
                found.what.contains(what) && found.fix.contains(fix),
                "{found:?}"
            );
        }
    }

    #[test]
    fn settings_in_the_way_of_a_recovery_are_named_with_what_helps() {
        let right = UnitFacts {
            restart: "always".to_owned(),
            restart_prevent_exit_status: vec![78],
            ..UnitFacts::default()
        };
        assert_eq!(settings(&right, names()), []);
        let wrong = UnitFacts {
            restart: "no".to_owned(),
            exec_stop: vec!["systemctl".to_owned(), "stop".to_owned()],
            ..UnitFacts::default()
        };
        let found = settings(&wrong, names());
        let whats = [
            "Restart=no",
            "ExecStop=systemctl stop",
            "RestartPreventExitStatus=78",
        ];
        assert_eq!(found.len(), whats.len());
        for (found, what) in found.iter().zip(whats) {
            assert!(found.what.contains(what), "{found:?}");
        }
        let clean = UnitFacts {
            restart: "on-failure".to_owned(),
            ..right
        };
        assert!(
            settings(&clean, names())[0]
                .what
                .contains("ends with status 0")
        );
    }

    #[test]
    fn a_watchdog_that_the_gateway_never_pings_is_told() {
        let limit = Duration::from_secs(60);
        let found = own_watchdog(UNIT, limit, "simple").unwrap();
        assert!(found.is_problem);
        assert!(found.what.contains("WatchdogSec= of 1 min"), "{found:?}");
        assert_eq!(own_watchdog(UNIT, limit, "notify"), None);
    }

    #[test]
    fn a_program_that_could_not_be_executed_is_named() {
        let mut facts = UnitFacts {
            exec_start: vec!["/proc/version".to_owned()],
            ..UnitFacts::default()
        };
        assert_eq!(not_executed(&facts, UNIT), None);
        facts.exec_main_status = EXEC;
        let found = not_executed(&facts, UNIT).unwrap();
        assert!(
            found.what.contains("203/EXEC: it starts /proc/version"),
            "{found:?}"
        );
    }

    #[test]
    fn whoever_serves_is_said_with_what_helps() {
        let held = |cgroup: &str, command: &str| {
            let process = crate::policy::facts::Process {
                pid: 7,
                start_time: 7,
                uid: 7,
                cgroup: cgroup.to_owned(),
                command: command.into(),
            };
            remedy(&Holder::seen(process)).unwrap_or_default()
        };
        let user = "/user.slice/user-7.slice/user@7.service/app.slice/openclaw.service";
        assert!(held(user, "node").contains("write unit = \"openclaw.service\""));
        assert!(held("/system.slice/claw.service", "node").contains("not a user's watchdog's"));
        assert!(held("/system.slice/docker.service", "docker-proxy").contains("a container"));
        assert_eq!(held("/user.slice/user-7.slice/session-1.scope", "node"), "");
    }
}
