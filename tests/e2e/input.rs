//! Trials of bad input: whatever is wrong, one line says so, and the gateway is not lost.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use libtest_mimic::Trial;

use crate::rig::{Rig, Setup, TIMEOUT, systemctl, wait_until};
use crate::watched::{
    FAST, assert_not_restarted, event, from_systemd, healthy_with, invocation, watched,
};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "a_wrong_setting_is_exit_78_and_leaves_the_gateway_alone",
            wrong_setting,
        ),
        ("an_unreadable_config_is_exit_78", unreadable_config),
        ("port_0_is_exit_78", port_0),
        (
            "an_interval_above_half_of_watchdogsec_is_exit_78",
            long_interval,
        ),
        (
            "settings_are_judged_by_the_units_own_watchdog_and_not_by_the_timeout_in_force",
            watchdog_in_force,
        ),
        ("a_unit_that_does_not_exist_is_stood_by_for", no_unit),
        (
            "a_state_file_of_garbage_is_put_aside_and_the_gateway_watched",
            garbage_state,
        ),
        ("a_second_run_is_refused_and_the_first_goes_on", second_run),
        ("a_bad_config_at_reload_keeps_the_old_settings", bad_reload),
        ("a_gateway_that_exits_with_78_is_not_restarted", exit_78),
        (
            "foul_text_and_secrets_of_the_gateway_reach_no_reader",
            foul_text,
        ),
    ];
    crate::named(list)
}

/// Holds that these settings keep Gatehound from starting, with this line, and nothing else.
fn refused(settings: &str, line: &[&str]) {
    let rig = Rig::with(&Setup {
        settings: settings.to_owned(),
        ..Setup::default()
    });
    rig.start_gateway();
    let before = invocation(&rig);
    assert_refused(&rig, line);
    assert!(rig.healthy());
    assert_eq!(invocation(&rig), before);
}

fn assert_refused(rig: &Rig, line: &[&str]) {
    assert!(!rig.try_start_gatehound());
    // Not from the journal, where journald loses the unit of a line whose process ended too soon.
    let said = rig.status_text();
    for part in line {
        assert!(said.contains(part), "{said}");
    }
    rig.journal
        .wait_for("systemd's books", TIMEOUT, from_systemd("status=78/CONFIG"));
    assert_eq!(rig.property(&rig.gatehound, "NRestarts"), "0");
    assert_eq!(rig.property(&rig.gatehound, "ExecMainStatus"), "78");
}

fn wrong_setting() {
    refused(
        "interval = \"fast\"\n",
        &[".toml: interval = \"fast\"", "time span"],
    );
}

fn unreadable_config() {
    let rig = Rig::with(&Setup::default());
    rig.start_gateway();
    rig.settings_unreadable();
    assert_refused(&rig, &[".toml"]);
    assert!(rig.healthy());
}

fn port_0() {
    refused("[gateway]\nport = 0\n", &["gateway.port = 0", "65535"]);
}

fn long_interval() {
    refused(
        "interval = \"46s\"\n",
        &["interval = \"46s\"", "half of WatchdogSec"],
    );
}

fn watchdog_in_force() {
    let rig = watched(Setup {
        gatehound_service: "WatchdogSec=2min\n".to_owned(),
        ..Setup::default()
    });
    // Above half of the unit's own watchdog, and of any that the shipped unit has.
    let check = |interval: &str| {
        let set = format!("interval={interval}");
        rig.gatehound(&["settings", "check", "--set", &set])
    };
    let judged = || {
        let good = check("59s");
        assert!(good.status.success(), "{good:?}");
        let bad = check("61s");
        let said = String::from_utf8_lossy(&bad.stderr);
        assert!(said.contains("half of WatchdogSec=2min: 1min"), "{said}");
    };
    assert_eq!(rig.property(&rig.gatehound, "WatchdogUSec"), "2min");
    judged();
    systemctl(&["stop", &rig.gateway]);
    rig.wait_for_status("standing-by: ", TIMEOUT);
    let in_force = rig.property(&rig.gatehound, "WatchdogUSec");
    assert_ne!(in_force, "2min");
    judged();
}

fn no_unit() {
    let settings = format!("{FAST}\n[gateway]\nunit = \"openclaw-gateway-nowhere.service\"\n");
    let rig = Rig::with(&Setup {
        settings,
        ..Setup::default()
    });
    rig.start_gatehound();
    rig.wait_for_status("standing-by: no-unit", TIMEOUT);
    let said = rig
        .journal
        .wait_for("the remedy", TIMEOUT, event("standing-by"));
    assert!(said.message().contains("gateway.unit"), "{said}");
}

fn garbage_state() {
    let rig = Rig::with(&Setup {
        settings: FAST.to_owned(),
        ..Setup::default()
    });
    rig.start_gateway();
    let before = invocation(&rig);
    let folder = rig.runtime_directory();
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .expect("the runtime folder");
    let mut state = fs::OpenOptions::new();
    let mut state = state
        .write(true)
        .create(true)
        .mode(0o600)
        .open(folder.join("state.json"))
        .expect("a state file");
    state.write_all(&[0xff; 4096]).expect("garbage");
    rig.start_gatehound();
    let said = rig
        .journal
        .wait_for("the warning", TIMEOUT, event("warning"));
    assert!(
        said.message().contains("kept as state.json.rejected"),
        "{said}"
    );
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    assert_eq!(
        fs::read(folder.join("state.json.rejected")).expect("the garbage"),
        [0xff; 4096]
    );
    assert_eq!(invocation(&rig), before);
    assert_not_restarted(&rig);
}

fn second_run() {
    let rig = watched(Setup::default());
    let second = rig.gatehound(&["run"]);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(
        said.contains("another gatehound (pid") && said.contains("systemctl --user stop"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    assert_eq!(rig.property(&rig.gatehound, "NRestarts"), "0");
}

fn bad_reload() {
    let rig = watched(Setup::default());
    rig.settings("interval = 7\n");
    systemctl(&["reload", &rig.gatehound]);
    let said = rig
        .journal
        .wait_for("the refusal", TIMEOUT, event("warning"));
    assert!(
        said.message().contains("interval")
            && said.message().contains("the settings before stay in force"),
        "{said}"
    );
    rig.mode("ok-false");
    rig.journal
        .wait_for("the end of the incident", TIMEOUT, event("recovered"));
    rig.settings(FAST);
    systemctl(&["reload", &rig.gatehound]);
    rig.journal
        .wait_for("the new settings", TIMEOUT, event("reloaded"));
}

fn exit_78() {
    let rig = healthy_with(
        &[("INTERVAL", "1s")],
        Setup {
            notify_proxy: true,
            ..Setup::default()
        },
    );
    rig.mode("exit=78");
    rig.wait_for_status("standing-by: config-error", TIMEOUT);
    crate::watched::wait_for_checks(&rig, 5);
    assert_eq!(rig.property(&rig.gateway, "ActiveState"), "failed");
    assert_not_restarted(&rig);
    systemctl(&["start", &rig.gateway]);
    wait_until("the gateway to be healthy", TIMEOUT, || rig.healthy());
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
}

/// Characters that do something to whoever reads them other than being read.
fn is_foul(c: char) -> bool {
    c.is_control() || "\u{200b}\u{202e}".contains(c)
}

#[track_caller]
fn assert_clean(lines: &str) {
    assert!(
        !lines.lines().any(|line| line.contains(is_foul)),
        "{lines:?}"
    );
    assert!(!lines.contains("hunter2"), "{lines}");
}

fn foul_text() {
    let rig = watched(Setup {
        gateway_arguments: "--token hunter2",
        gateway_service: "Environment=OPENCLAW_GATEWAY_TOKEN=hunter2",
        notify_proxy: true,
        ..Setup::default()
    });
    rig.mode_at_start("foul");
    rig.mode("foul");
    rig.journal
        .wait_for("a restart", TIMEOUT, event("stopping"));
    rig.wait_for_status("gave-up", 2 * TIMEOUT);
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["check"],
        &["check", "--json"],
    ] {
        let said = rig.gatehound(arguments);
        assert_clean(&String::from_utf8(said.stdout).expect("UTF-8"));
        assert_clean(&String::from_utf8(said.stderr).expect("UTF-8"));
    }
    for record in rig.journal.all() {
        if record.get("GATEHOUND_EVENT").is_none() {
            continue;
        }
        for (name, value) in &record.0 {
            let value = value
                .as_str()
                .expect("a text that the journal takes for one");
            assert!(
                name.starts_with('_') || !value.contains(is_foul),
                "{name}={value:?}"
            );
            assert!(!value.contains("hunter2"), "{name}={value}");
        }
    }
    let evidence = rig.journal.wait_for("evidence", TIMEOUT, event("evidence"));
    let command = evidence.get("GATEHOUND_EVIDENCE_COMMAND");
    let command = command.expect("a command line");
    assert!(command.contains("--token [hidden]"), "{command}");
    let said = evidence.message();
    let (_, path) = said.rsplit_once("; saved in ").expect("the name of a file");
    assert_clean(&fs::read_to_string(path).expect("a file of evidence"));
    let kept = Path::new(path).ancestors().nth(2).expect("a state folder");
    fs::remove_dir_all(kept).expect("a folder to remove");
    for datagram in rig.notified() {
        for assignment in datagram.text.lines() {
            let (name, value) = assignment.split_once('=').expect("an assignment");
            assert_ne!((name, value), ("WATCHDOG", "trigger"), "{datagram:?}");
            assert_ne!(name, "MAINPID", "{datagram:?}");
            assert_clean(value);
        }
    }
}
