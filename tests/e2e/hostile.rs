//! Trials of rough hands and bad luck: what else happens to the machine while Gatehound watches or recovers a gateway.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::place;
use crate::privileged::{self, Frozen, PortHoldersProgram};
use crate::rig::{Rig, Setup, TIMEOUT, systemctl, wait_until};
use crate::watched::{
    event, events, from_systemd, healthy_with, invocation, is_port_taken, wait_for_checks,
    wait_until_port_taken, wait_until_recovered, watched,
};

/// The trials of this file that disturb no other.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "rule_8_a_humans_stop_that_joins_ours_is_respected",
            stop_during_stop,
        ),
        (
            "rule_8_a_humans_stop_outlives_the_gatehound_that_saw_it",
            stop_seen_by_the_predecessor,
        ),
        (
            "rule_8_a_successor_goes_on_with_a_stop_that_hangs",
            killed_during_stop,
        ),
        (
            "rule_8_killed_at_any_moment_of_a_recovery_it_is_completed",
            killed_often,
        ),
        (
            "rule_2_frozen_in_a_restart_it_is_ended_and_the_restart_completed",
            frozen,
        ),
        (
            "rule_3_a_pause_during_the_stop_is_kept_and_its_end_starts_the_gateway",
            pause_during_stop,
        ),
        (
            "rule_4_a_humans_restart_while_failing_or_backoff_makes_ours_needless",
            restart_by_human,
        ),
        (
            "rule_3_a_humans_restart_during_ours_takes_its_place",
            restart_during_stop,
        ),
        (
            "a_gateway_that_exits_while_while_failing_is_systemds_to_answer",
            exits_while_failing,
        ),
        (
            "a_gateway_that_systemd_gave_up_on_is_brought_back",
            start_limit,
        ),
        (
            "a_humans_stop_that_times_out_is_still_a_stop",
            stop_that_times_out,
        ),
        (
            "another_user_on_the_port_is_named_and_waited_for",
            port_holder_on_port,
        ),
        (
            "another_user_on_another_address_of_the_port_keeps_no_gateway_down",
            port_holder_beside,
        ),
        (
            "another_user_on_any_address_of_the_port_holds_a_gateway_that_takes_them_all",
            port_holder_at_one_of_all,
        ),
        ("a_reset_after_giving_up_tries_again", reset_after_giving_up),
        (
            "a_runtime_folder_that_was_removed_is_made_again",
            folder_removed,
        ),
        (
            "a_state_that_cannot_be_kept_is_warned_of_once",
            state_not_kept,
        ),
    ];
    crate::named(list)
}

/// Those that disturb everything under this user manager, so they run one by one.
pub fn alone() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "a_reload_and_a_reexec_of_the_manager_during_a_restart_change_nothing",
            reload_during_stop,
        ),
        (
            "a_bus_that_ends_during_a_restart_is_connected_anew",
            bus_killed,
        ),
        (
            "a_healthy_gateway_is_left_alone_while_the_manager_does_not_answer",
            manager_frozen,
        ),
        (
            "a_unit_file_removed_during_a_restart_and_put_back_is_started",
            unit_removed,
        ),
    ];
    crate::named(list)
}

/// A gateway whose loop is blocked, which Gatehound gives this long to stop.
fn hung(limit: &str, gateway_service: &'static str) -> Rig {
    let rig = healthy_with(
        &[("STOP_TIMEOUT__HUNG", limit)],
        Setup {
            gateway_service,
            notify_proxy: true,
            ..Setup::default()
        },
    );
    rig.mode("blocked");
    rig
}

fn wait_until_stopping(rig: &Rig) {
    rig.journal.wait_for("the stop", TIMEOUT, event("stopping"));
    wait_until("the gateway to be on its way down", TIMEOUT, || {
        active_state(rig) == "deactivating"
    });
}

fn active_state(rig: &Rig) -> String {
    rig.property(&rig.gateway, "ActiveState")
}

fn kill_gatehound(rig: &Rig) {
    systemctl(&["kill", "--signal=KILL", &rig.gatehound]);
}

#[track_caller]
fn assert_never(rig: &Rig, what: &str) {
    let events = events(rig);
    assert!(!events.iter().any(|event| event == what), "{events:?}");
}

fn stop_during_stop() {
    let rig = hung("20s", "TimeoutStopSec=4");
    wait_until_stopping(&rig);
    systemctl(&["stop", &rig.gateway]);
    rig.wait_for_status("standing-by: stopped", TIMEOUT);
    wait_for_checks(&rig, 5);
    assert_never(&rig, "starting");
}

fn stop_seen_by_the_predecessor() {
    let rig = hung("20s", "TimeoutStopSec=6");
    wait_until_stopping(&rig);
    systemctl(&["stop", "--no-block", &rig.gateway]);
    rig.wait_for_status("standing-by: in-transition", TIMEOUT);
    kill_gatehound(&rig);
    rig.wait_for_status("standing-by: stopped", TIMEOUT);
    wait_for_checks(&rig, 5);
    assert_never(&rig, "starting");
}

fn killed_during_stop() {
    // The gateway's own 330 s are far longer than this trial waits.
    let rig = hung("3s", "");
    wait_until_stopping(&rig);
    kill_gatehound(&rig);
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn killed_often() {
    for step in 0..8 {
        let rig = healthy_with(
            &[
                ("STOP_TIMEOUT__HUNG", "500ms"),
                ("BACKOFF", r#"["300ms", "300ms", "300ms"]"#),
            ],
            Setup {
                gatehound_service: "RestartSec=100ms".to_owned(),
                ..Setup::default()
            },
        );
        let hangs = step % 2 == 0;
        rig.mode(if hangs { "blocked" } else { "ok-false" });
        let begin = if hangs { "stopping" } else { "backing-off" };
        rig.journal
            .wait_for("the recovery's begin", TIMEOUT, event(begin));
        // Not a wait for anything: the moments are meant to lie anywhere in the recovery.
        thread::sleep(Duration::from_millis(step * 110));
        kill_gatehound(&rig);
        thread::sleep(Duration::from_millis(250 + step * 40));
        kill_gatehound(&rig);
        rig.journal
            .wait_for("the end of the incident", TIMEOUT, event("recovered"));
        rig.wait_until_healthy();
    }
}

fn frozen() {
    let rig = hung("3s", "");
    wait_until_stopping(&rig);
    systemctl(&["kill", "--signal=STOP", &rig.gatehound]);
    // The watchdog timeout is twice the longest step under the short settings and what is left of the stop.
    rig.journal
        .wait_for("the bite", TIMEOUT * 3, from_systemd("Watchdog timeout"));
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn pause_during_stop() {
    let rig = hung("20s", "TimeoutStopSec=4");
    wait_until_stopping(&rig);
    let paused = rig.gatehound(&["pause", "--for", "1h", "looking"]);
    assert!(paused.status.success(), "{paused:?}");
    rig.wait_for_status("standing-by: paused", TIMEOUT);
    wait_until("the gateway to be down", TIMEOUT, || {
        active_state(&rig) == "failed"
    });
    wait_for_checks(&rig, 3);
    assert_never(&rig, "starting");
    assert!(rig.gatehound(&["resume"]).status.success());
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn restart_by_human() {
    for (setting, value, moment) in [
        ("GRACE__ANSWERING", "20s", "failing"),
        ("BACKOFF", r#"["20s"]"#, "backing-off"),
    ] {
        let rig = healthy_with(&[(setting, value)], Setup::default());
        rig.mode("ok-false");
        rig.journal.wait_for("the moment", TIMEOUT, event(moment));
        systemctl(&["restart", &rig.gateway]);
        wait_until_recovered(&rig, TIMEOUT, "by-other");
        assert_never(&rig, "stopping");
    }
}

fn restart_during_stop() {
    let rig = hung("20s", "TimeoutStopSec=4");
    wait_until_stopping(&rig);
    systemctl(&["restart", &rig.gateway]);
    wait_until_recovered(&rig, TIMEOUT, "by-other");
    assert_never(&rig, "starting");
}

fn exits_while_failing() {
    let rig = healthy_with(&[("GRACE__ANSWERING", "20s")], Setup::default());
    rig.mode("ok-false");
    rig.journal
        .wait_for("the failing check", TIMEOUT, event("failing"));
    rig.signal_gateway(Signal::SIGKILL);
    wait_until_recovered(&rig, TIMEOUT, "by-other");
    assert_never(&rig, "stopping");
}

fn start_limit() {
    let rig = watched(Setup::default());
    rig.mode_at_start("exit=1");
    rig.signal_gateway(Signal::SIGKILL);
    rig.journal.wait_for(
        "systemd giving up",
        TIMEOUT,
        from_systemd("Start request repeated too quickly"),
    );
    rig.mode_at_start("healthy");
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn stop_that_times_out() {
    let rig = watched(Setup {
        gateway_service: "TimeoutStopSec=2",
        notify_proxy: true,
        ..Setup::default()
    });
    rig.mode("ignores-term");
    systemctl(&["stop", &rig.gateway]);
    assert_eq!(rig.property(&rig.gateway, "Result"), "timeout");
    rig.wait_for_status("standing-by: stopped", TIMEOUT);
    wait_for_checks(&rig, 5);
    assert_never(&rig, "starting");
}

/// Another user's program on the gateway's port at this address, and what it is named in a message.
fn port_holder_at(rig: &Rig, address: &str) -> (PortHoldersProgram, String) {
    let executable = place::executable().expect("this executable");
    let executable = executable.to_str().expect("a path in UTF-8");
    let port = rig.port.to_string();
    let arguments = "stand-in-gateway gateway --mode ok-false --bind";
    let command: Vec<&str> = [executable]
        .into_iter()
        .chain(arguments.split(' '))
        .chain([address, "--port", port.as_str()])
        .collect();
    let unit = format!("gatehound-e2e-{}.service", rig.profile);
    let holder = PortHoldersProgram::start(&unit, &command);
    wait_until("the port holder to listen", TIMEOUT, || {
        TcpStream::connect((address, rig.port)).is_ok()
    });
    let shown = privileged::as_root(&["systemctl", "show", "--value", "--property=MainPID", &unit]);
    let pid = shown.stdout.trim();
    let user = privileged::port_holder();
    let named = format!("pid {pid} of user {user} in unit {unit} ({executable} ");
    (holder, named)
}

fn port_holder_on_port() {
    let rig = healthy_with(
        &[("RETRY_AFTER", "4s")],
        Setup {
            notify_proxy: true,
            gateway_arguments: "--bind 127.0.0.1 --bind 127.0.0.3",
            ..Setup::default()
        },
    );
    // Nobody looks between the port that is closed and the one that is taken.
    let frozen = Frozen::process(&rig.main_pid(&rig.gatehound).to_string());
    rig.mode("port-gone");
    let (holder, named) = port_holder_at(&rig, "127.0.0.3");
    drop(frozen);
    let standing_by = wait_until_port_taken(&rig);
    assert!(standing_by.message().contains(&named), "{standing_by}");
    rig.wait_for_status(&format!("standing-by: port-taken, {named}"), TIMEOUT);
    let incident = rig
        .journal
        .wait_for("the incident", TIMEOUT, event("failing"));
    assert!(incident.message().contains(&named), "{incident}");
    // Whoever looks once knows as well where the gateway was.
    for command in ["check", "doctor"] {
        let said = rig.gatehound(&[command]);
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains(&named), "{said}");
    }
    wait_for_checks(&rig, 5);
    assert_never(&rig, "starting");
    drop(holder);
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn port_holder_beside() {
    // Hung, and up without its port.
    for mode in ["ok-false", "port-gone"] {
        let setup = Setup {
            notify_proxy: true,
            ..Setup::default()
        };
        let rig = healthy_with(&[("RETRY_AFTER", "\"never\"")], setup);
        let _holder = port_holder_at(&rig, "127.0.0.2");
        wait_for_checks(&rig, 2);
        rig.mode(mode);
        wait_until_recovered(&rig, TIMEOUT, "by-restart");
        assert_never(&rig, "gave-up");
        assert!(!rig.journal.all().iter().any(is_port_taken));
    }
}

fn port_holder_at_one_of_all() {
    let rig = healthy_with(&[("RETRY_AFTER", "\"never\"")], Setup::default());
    let home = PathBuf::from(std::env::var_os("HOME").expect("HOME"));
    let folder = home.join(format!(".openclaw-{}", rig.profile));
    fs::create_dir_all(&folder).expect("the gateway's folder");
    crate::rig::write(&folder.join("openclaw.json"), "{gateway: {bind: 'lan'}}");
    let (holder, named) = port_holder_at(&rig, "127.0.0.2");
    rig.mode("port-gone");
    let standing_by = wait_until_port_taken(&rig);
    assert!(standing_by.message().contains(&named), "{standing_by}");
    assert_never(&rig, "starting");
    drop(holder);
}

fn reset_after_giving_up() {
    let rig = healthy_with(
        &[("BACKOFF", r#"["1s"]"#), ("GRACE__STARTING", "1s")],
        Setup::default(),
    );
    rig.mode_at_start("ok-false");
    rig.mode("ok-false");
    rig.journal.wait_for("the hold", TIMEOUT, event("gave-up"));
    rig.mode_at_start("healthy");
    assert!(rig.gatehound(&["reset"]).status.success());
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn folder_removed() {
    let rig = watched(Setup::default());
    fs::remove_dir_all(rig.runtime_directory()).expect("the runtime folder");
    rig.mode("blocked");
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
    assert!(rig.runtime_directory().join("state.json").exists());
    assert!(rig.gatehound(&["reset"]).status.success());
    rig.journal.wait_for("the reset", TIMEOUT, event("reset"));
    assert_never(&rig, "warning");
}

fn state_not_kept() {
    let rig = watched(Setup::default());
    let file = rig.runtime_directory().join("state.json");
    fs::remove_file(&file).expect("the state file");
    fs::create_dir(&file).expect("a folder in its place");
    rig.mode("blocked");
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
    let warnings = events(&rig)
        .iter()
        .filter(|event| *event == "warning")
        .count();
    assert_eq!(warnings, 1);
}

fn reload_during_stop() {
    let rig = hung("4s", "");
    wait_until_stopping(&rig);
    systemctl(&["daemon-reload"]);
    systemctl(&["daemon-reexec"]);
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn bus_killed() {
    let rig = hung("4s", "");
    wait_until_stopping(&rig);
    systemctl(&["kill", "--signal=KILL", "dbus.service"]);
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn manager_frozen() {
    let rig = watched(Setup {
        notify_proxy: true,
        ..Setup::default()
    });
    let before = invocation(&rig);
    let frozen = Frozen::unit(&format!("user@{}.service", nix::unistd::getuid()));
    // Each of these looks waits for the manager in vain.
    wait_for_checks(&rig, 2);
    drop(frozen);
    wait_for_checks(&rig, 3);
    assert_never(&rig, "failing");
    assert_never(&rig, "standing-by");
    assert_eq!(invocation(&rig), before);
}

fn unit_removed() {
    let rig = hung("4s", "");
    wait_until_stopping(&rig);
    let path = rig.unit_path(&rig.gateway);
    let unit = fs::read(&path).expect("the gateway's unit file");
    fs::remove_file(&path).expect("the gateway's unit file");
    systemctl(&["daemon-reload"]);
    rig.wait_for_status("standing-by: no-unit", TIMEOUT);
    fs::write(&path, unit).expect("the gateway's unit file");
    systemctl(&["daemon-reload"]);
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}
