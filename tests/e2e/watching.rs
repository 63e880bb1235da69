//! Trials of what Gatehound leaves alone: a crash, a human's stop, a pause.

use std::fs;

use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::privileged;
use crate::rig::{Setup, TIMEOUT, systemctl, wait_until};
use crate::watched::{
    assert_not_restarted, event, healthy_with, invocation, wait_for_checks, wait_until_recovered,
    watched,
};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        ("a_crash_is_systemds_to_answer", crash),
        (
            "a_gateway_that_crashes_before_it_is_healthy_is_told_and_left_to_systemd",
            crashes,
        ),
        (
            "a_humans_stop_is_respected_and_their_start_is_watched_again",
            stop,
        ),
        ("during_a_pause_the_gateway_is_left_alone", pause),
        ("the_old_flag_file_pauses_while_it_exists", flag_file),
        (
            "a_flag_file_of_another_user_is_refused_with_a_warning",
            foreign_flag_file,
        ),
        (
            "a_healthy_check_starts_no_process_and_no_thread",
            nothing_is_spawned,
        ),
    ];
    crate::named(list)
}

fn crash() {
    let rig = watched(Setup::default());
    let before = invocation(&rig);
    rig.signal_gateway(Signal::SIGABRT);
    rig.journal
        .wait_for("systemd's new run", TIMEOUT, event("new-invocation"));
    rig.wait_until_healthy();
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    assert_ne!(invocation(&rig), before);
    assert_eq!(rig.property(&rig.gateway, "NRestarts"), "1");
    assert_not_restarted(&rig);
}

fn crashes() {
    let rig = watched(Setup {
        restart_sec: "2s",
        ..Setup::default()
    });
    rig.mode_at_start("exit=1");
    rig.signal_gateway(Signal::SIGKILL);
    let failing = rig
        .journal
        .wait_for("the incident", TIMEOUT, event("failing"));
    let reason = failing.get("GATEHOUND_REASON").expect("a reason");
    assert_eq!(reason, "a run ended before it was healthy: exit status 1");
    wait_until("more runs", TIMEOUT, || {
        let restarts = rig.property(&rig.gateway, "NRestarts");
        4 <= restarts.parse().unwrap_or(0)
    });
    rig.mode_at_start("healthy");
    wait_until_recovered(&rig, TIMEOUT, "by-other");
    let told = |name: &str| rig.journal.all().into_iter().filter(event(name)).count();
    assert_eq!(told("failing"), 1);
    assert_eq!(told("recovered"), 1);
    assert_not_restarted(&rig);
}

fn stop() {
    let rig = watched(Setup {
        notify_proxy: true,
        ..Setup::default()
    });
    systemctl(&["stop", &rig.gateway]);
    rig.wait_for_status("standing-by: stopped", TIMEOUT);
    wait_for_checks(&rig, 5);
    assert_eq!(rig.property(&rig.gateway, "ActiveState"), "inactive");
    assert!(rig.status_text().starts_with("standing-by: stopped"));
    assert_not_restarted(&rig);
    systemctl(&["start", &rig.gateway]);
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    assert_not_restarted(&rig);
}

fn pause() {
    let rig = watched(Setup {
        notify_proxy: true,
        ..Setup::default()
    });
    let paused = rig.gatehound(&["pause", "--for", "1h", "trying", "something"]);
    assert!(paused.status.success(), "{paused:?}");
    rig.wait_for_status("standing-by: paused, trying something", TIMEOUT);
    rig.mode("blocked");
    wait_for_checks(&rig, 5);
    assert_not_restarted(&rig);
    let mark = rig.journal.mark();
    assert!(rig.gatehound(&["resume"]).status.success());
    rig.journal
        .wait_for_after(mark, "the restart", TIMEOUT, event("starting"));
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
}

fn flag_file() {
    let flag = std::env::temp_dir().join(format!("gatehound-e2e-flag-{}", std::process::id()));
    let rig = healthy_with(
        &[("PAUSE__FLAG_FILE", flag.to_str().unwrap())],
        Setup {
            notify_proxy: true,
            ..Setup::default()
        },
    );
    fs::write(&flag, "").unwrap();
    rig.wait_for_status("standing-by: paused", TIMEOUT);
    rig.mode("blocked");
    wait_for_checks(&rig, 3);
    assert_not_restarted(&rig);
    fs::remove_file(&flag).unwrap();
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
}

fn foreign_flag_file() {
    let flag = std::env::temp_dir().join(format!("gatehound-e2e-foreign-{}", std::process::id()));
    let flag = flag.to_str().unwrap();
    privileged::as_root(&[
        "install",
        "-o",
        &privileged::port_holder(),
        "-m",
        "666",
        "/dev/null",
        flag,
    ]);
    let rig = healthy_with(&[("PAUSE__FLAG_FILE", flag)], Setup::default());
    let warning = rig
        .journal
        .wait_for("the refusal", TIMEOUT, event("warning"));
    assert!(warning.message().contains("belongs to uid"), "{warning}");
    rig.mode("blocked");
    rig.journal
        .wait_for("the restart", TIMEOUT, event("recovered"));
    privileged::as_root(&["rm", flag]);
}

fn nothing_is_spawned() {
    // The user has more processes than one already, so that every fork and every thread is refused.
    let rig = watched(Setup {
        gatehound_service: "LimitNPROC=1".to_owned(),
        ..Setup::default()
    });
    let pid = rig.main_pid(&rig.gatehound);
    let last = || rig.property(&rig.gatehound, "WatchdogTimestampMonotonic");
    for _ in 0..5 {
        let before = last();
        wait_until("the next ping", TIMEOUT, || last() != before);
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
        assert_eq!(threads, 1);
    }
    assert_eq!(rig.main_pid(&rig.gatehound), pid);
    let refused = std::process::Command::new("prlimit")
        .args(["--nproc=1", "sh", "-c", "true & true"])
        .output();
    assert!(
        !refused.unwrap().stderr.is_empty(),
        "LimitNPROC=1 refuses nothing here, so this trial shows nothing"
    );
}
