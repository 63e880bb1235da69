//! Trials of who wanted the gateway down: a human, its own unit, systemd, or nobody.

use std::path::PathBuf;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::rig::{Rig, Setup, TIMEOUT, quoted, systemctl, try_systemctl, wait_until};
use crate::watched::{
    assert_not_restarted, between, event, events, healthy_with, wait_until_failing,
    wait_until_recovered, watched,
};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "a_gateway_that_ends_by_itself_with_status_0_is_started_again",
            ends_by_itself,
        ),
        (
            "a_gateway_whose_execstop_asks_systemd_for_the_stop_comes_back",
            execstop,
        ),
        (
            "rule_8_a_humans_stop_of_a_gateway_with_such_an_execstop_is_respected",
            execstop_and_human,
        ),
        (
            "a_restart_by_a_human_of_a_gateway_that_hangs_does_not_wait_for_timeoutstopsec",
            restart_by_human,
        ),
        (
            "rule_11_runs_that_end_with_status_0_again_and_again_are_one_incident",
            clean_loop,
        ),
        (
            "a_condition_that_keeps_the_gateway_from_starting_is_named_and_no_humans_stop",
            unmet_condition,
        ),
        (
            "what_an_earlier_run_left_on_the_port_is_cleaned_up",
            left_over,
        ),
        (
            "a_try_restart_by_a_human_during_a_recovery_is_no_stop",
            try_restart,
        ),
        (
            "a_gateway_that_systemd_may_not_start_is_not_stopped",
            refuses_start,
        ),
    ];
    crate::named(list)
}

fn ends_by_itself() {
    let rig = watched(Setup {
        gateway_service: "Restart=on-failure",
        ..Setup::default()
    });
    rig.mode("exit=0");
    let failing = wait_until_failing(&rig, TIMEOUT, "gone");
    let text = failing.message().to_owned();
    let why = "it ended by itself with exit status 0, and systemd does not restart it (Restart=on-failure)";
    assert!(text.contains(why), "{text}");
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

/// A gateway whose unit asks systemd for the stop that is going on, as several guides have it.
fn with_execstop() -> Rig {
    watched(Setup {
        gateway_service: "ExecStop=/bin/systemctl --user stop %n\nTimeoutStopSec=4s",
        ..Setup::default()
    })
}

fn execstop() {
    let rig = with_execstop();
    rig.mode("blocked");
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
    assert!(!events(&rig).contains(&"standing-by".to_owned()));
}

fn execstop_and_human() {
    let rig = with_execstop();
    systemctl(&["stop", "--no-block", &rig.gateway]);
    // It waits for itself until systemd's own limit ends it.
    let ends = format!(
        "systemd gives it 4 s; what ends it now: systemctl --user kill --signal=SIGKILL {}",
        rig.gateway
    );
    rig.wait_for_status(&ends, TIMEOUT);
    rig.wait_for_status("standing-by: stopped", TIMEOUT);
    assert_not_restarted(&rig);
}

fn restart_by_human() {
    let rig = healthy_with(&[("GRACE__BLOCKED", "20s")], Setup::default());
    rig.mode("blocked");
    let failing = wait_until_failing(&rig, TIMEOUT, "blocked");
    systemctl(&["restart", "--no-block", &rig.gateway]);
    rig.journal.wait_for(
        "the restart that is joined",
        TIMEOUT,
        event("restart-joined"),
    );
    let recovered = wait_until_recovered(&rig, TIMEOUT, "by-other");
    // The unit's own limit is 330 s.
    assert!(between(&failing, &recovered) < Duration::from_secs(60));
}

fn clean_loop() {
    let rig = healthy_with(&[("RESET_AFTER", "1h")], Setup::default());
    for _ in 0..3 {
        let mark = rig.journal.mark();
        rig.mode("exit=0");
        rig.journal
            .wait_for_after(mark, "the next run", TIMEOUT, event("healthy"));
    }
    let failing = rig
        .journal
        .wait_for("the incident", TIMEOUT, event("failing"));
    let text = failing.message().to_owned();
    assert!(text.contains("systemd started it 3 times within"), "{text}");
    rig.wait_for_status("healthy: ", TIMEOUT);
    rig.wait_for_status("systemd started it 3 times", TIMEOUT);
    assert_not_restarted(&rig);
}

fn unmet_condition() {
    let rig = watched(Setup {
        gateway_service: "[Unit]\nConditionPathExists=!%t/away-%n\n[Service]",
        ..Setup::default()
    });
    let runtime = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").expect("XDG_RUNTIME_DIR"));
    let away = runtime.join(format!("away-{}", rig.gateway));
    crate::rig::write(&away, "");
    // systemd stops it, and then does not start it.
    systemctl(&["restart", &rig.gateway]);
    let failing = wait_until_failing(&rig, TIMEOUT, "gone");
    let text = failing.message().to_owned();
    assert!(
        text.contains("systemd did not start it: ConditionPathExists=!"),
        "{text}"
    );
    std::fs::remove_file(&away).expect("the file that keeps it away");
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn left_over() {
    let rig = watched(Setup {
        gateway_service: "KillMode=process",
        restart_sec: "1s",
        ..Setup::default()
    });
    rig.mode("fork-listener");
    rig.wait_until_healthy();
    let pid = rig.main_pid(&rig.gateway);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .expect("the main process");
    rig.journal
        .wait_for("the cleanup", TIMEOUT, event("cleaned-up"));
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn try_restart() {
    let rig = healthy_with(&[("STOP_TIMEOUT__HUNG", "5s")], Setup::default());
    rig.mode("blocked");
    rig.journal.wait_for("the stop", TIMEOUT, event("stopping"));
    // Before the stop is going on it would be a human's restart.
    wait_until("the stop to be going on", TIMEOUT, || {
        rig.property(&rig.gateway, "ActiveState") == "deactivating"
    });
    // Its job does nothing beside that, and ends well.
    assert!(try_systemctl(&["try-restart", "--no-block", &rig.gateway]).is_some());
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn refuses_start() {
    let rig = Rig::with(&crate::watched::short(
        &[],
        Setup {
            gateway_service: "[Unit]\nRefuseManualStart=yes\n[Service]",
            ..Setup::default()
        },
    ));
    // Whatever starts it, it is not a request of somebody.
    let starter = format!("{}-starter.service", rig.profile);
    let unit = format!(
        "[Unit]\nWants={0}\nBefore={0}\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={1}\n",
        rig.gateway,
        quoted(std::path::Path::new("/bin/true"))
    );
    crate::rig::write(&rig.unit_path(&starter), &unit);
    systemctl(&["start", &starter]);
    rig.wait_until_healthy();
    rig.start_gatehound();
    rig.journal
        .wait_for("a healthy gateway", TIMEOUT, event("healthy"));
    rig.mode("ok-false");
    let gave_up = rig
        .journal
        .wait_for("a word about it", TIMEOUT, event("gave-up"));
    let text = gave_up.message().to_owned();
    assert!(text.contains("RefuseManualStart=yes"), "{text}");
    assert_not_restarted(&rig);
    systemctl(&["stop", &starter]);
}
