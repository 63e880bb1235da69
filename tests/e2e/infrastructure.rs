//! Trials of the suite's own ground: the place, the stand-in gateway under systemd, the witnesses.
//!
//! None of them needs Gatehound; what they hold is what its trials rely on.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::notify_proxy;
use crate::place;
use crate::privileged::{self, PortHoldersProgram};
use crate::rig::{
    self, Rig, Setup, TIMEOUT, main_thread_ticks, process_state, systemctl, wait_until,
};
use crate::stand_in;

/// Long enough for a loop that turns to answer many times over.
const NO_ANSWER: Duration = Duration::from_millis(500);

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "the_journal_has_what_a_unit_writes_and_what_is_written_about_it",
            journal,
        ),
        ("the_stand_in_gateway_answers_like_the_real_one", answers),
        ("a_mode_changes_the_answer_while_it_runs", modes),
        ("the_stand_in_gateway_runs_on_a_thread_too", on_a_thread),
        ("a_mode_at_start_outlives_a_restart", mode_at_start),
        ("a_blocked_gateway_is_asleep_and_silent", blocked),
        ("a_busy_gateway_burns_cpu_and_is_silent", busy),
        ("a_stopped_gateway_is_in_state_t", stopped),
        ("a_hang_with_a_time_ends_by_itself", ends_by_itself),
        ("an_aborted_gateway_is_restarted_by_systemd", aborted),
        ("an_exit_with_78_is_not_answered_by_systemd", exit_78),
        ("a_healthy_gateway_stops_at_once", stops_at_once),
        ("a_hung_gateway_stays_deactivating", stays_deactivating),
        ("a_closed_port_leaves_the_unit_active", port_gone),
        ("a_child_can_hold_the_listener", fork_listener),
        (
            "every_notification_is_written_down_and_handed_on",
            notifications,
        ),
        ("the_shipped_unit_is_taken_as_it_is", shipped_unit),
        ("a_port_holder_is_somebody_else", port_holder),
        ("a_rig_leaves_nothing_behind", leaves_nothing),
    ];
    crate::named(list)
}

/// A rig with a running gateway and no Gatehound.
fn unwatched() -> Rig {
    let rig = Rig::with(&Setup {
        watched: false,
        ..Setup::default()
    });
    rig.start_gateway();
    rig
}

fn journal() {
    let rig = unwatched();
    let written = rig
        .journal
        .wait_for("the gateway's own line", TIMEOUT, |record| {
            record
                .message()
                .contains(&format!("listening on port {}", rig.port))
        });
    assert_eq!(
        written.get("_SYSTEMD_USER_UNIT").as_deref(),
        Some(rig.gateway.as_str())
    );
    let about = rig
        .journal
        .wait_for("the manager's line", TIMEOUT, |record| {
            record.get("SYSLOG_IDENTIFIER").as_deref() == Some("systemd")
        });
    assert_eq!(
        about.get("USER_UNIT").as_deref(),
        Some(rig.gateway.as_str())
    );
}

fn answers() {
    let rig = unwatched();
    let health = rig.get("/health", TIMEOUT).expect("an answer");
    assert!(
        health.starts_with("HTTP/1.1 200 OK\r\n")
            && health.ends_with(r#"{"ok":true,"status":"live"}"#),
        "{health}"
    );
    let page = rig.get("/", TIMEOUT).expect("an answer");
    assert!(
        page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html"),
        "{page}"
    );
    let ready = rig.get("/ready", TIMEOUT).expect("an answer");
    assert!(ready.ends_with(r#"{"ready":true,"failing":[]}"#), "{ready}");
}

fn modes() {
    let rig = unwatched();
    for (mode, path, expected) in [
        ("ok-false", "/health", r#"{"ok":false,"status":"live"}"#),
        ("foul", "/health", r#"{"ok":"\nWATCHDOG=trigger"#),
        ("no-ok", "/health", r#"{"status":"live"}"#),
        ("html", "/health", "Content-Type: text/html"),
        (
            "not-json",
            "/health",
            "\r\n\r\n{\"ok\":true,\"status\":\"live\"",
        ),
        ("redirect", "/health", "HTTP/1.1 302 Found"),
        ("root-404", "/", "HTTP/1.1 404 Not Found"),
        ("root-404", "/health", r#""ok":true"#),
        ("not-http", "/health", "SSH-2.0-"),
        ("tls-garbage", "/health", "\u{15}\u{3}\u{3}"),
        ("health:ok-false", "/", "text/html"),
        ("slow=200", "/health", r#""ok":true"#),
        ("healthy", "/health", r#""ok":true"#),
    ] {
        rig.mode(mode);
        let answer = rig.get(path, TIMEOUT).expect("an answer");
        assert!(answer.contains(expected), "{mode}: {answer}");
    }
    for mode in [
        "accept-and-silent",
        "drip",
        "drip-header",
        "health:accept-and-silent",
    ] {
        rig.mode(mode);
        assert!(
            rig.get("/health", NO_ANSWER).is_err(),
            "{mode} answered in full"
        );
    }
    rig.mode("closes-early");
    assert_eq!(rig.get("/health", TIMEOUT).expect("an end"), "");
    rig.mode("huge-header");
    assert!((1 << 20) < rig.get("/health", TIMEOUT).expect("an answer").len());
}

fn on_a_thread() {
    let mode = |name: &str| name.parse::<stand_in::Mode>().expect("a mode");
    let gateway = stand_in::spawn_in_process(mode("healthy"));
    let answer = || rig::get(gateway.port, "/health", NO_ANSWER);
    assert!(answer().is_ok_and(|answer| answer.contains(r#""ok":true"#)));
    for silent in ["blocked", "busy", "huge-body", "drip"] {
        gateway.set(mode(silent));
        assert!(answer().is_err(), "{silent} answered in full");
    }
    gateway.set(mode("closes-in-body"));
    assert!(
        answer()
            .is_ok_and(|answer| answer.contains("Content-Length: 27") && !answer.contains("live"))
    );
    gateway.set(mode("port-gone"));
    assert!(answer().is_err());
    gateway.set(mode("blocked"));
    let port = gateway.port;
    drop(gateway);
    assert!(
        rig::get(port, "/health", NO_ANSWER).is_err(),
        "a dropped gateway still listens"
    );
}

fn mode_at_start() {
    let rig = unwatched();
    rig.mode_at_start("ok-false");
    systemctl(&["restart", &rig.gateway]);
    wait_until("the gateway to answer", TIMEOUT, || {
        rig.get("/health", TIMEOUT)
            .is_ok_and(|answer| answer.contains(r#""ok":false"#))
    });
}

fn blocked() {
    let rig = unwatched();
    let pid = rig.main_pid(&rig.gateway);
    rig.mode("blocked");
    let before = main_thread_ticks(pid);
    assert!(
        rig.get("/health", NO_ANSWER).is_err(),
        "a blocked gateway answered"
    );
    assert_eq!((process_state(pid), main_thread_ticks(pid)), ('S', before));
    rig.mode("healthy");
    assert!(rig.healthy());
}

fn busy() {
    let rig = unwatched();
    let pid = rig.main_pid(&rig.gateway);
    rig.mode("busy");
    let before = main_thread_ticks(pid);
    assert!(
        rig.get("/health", NO_ANSWER).is_err(),
        "a busy gateway answered"
    );
    wait_until("ten ticks of CPU", TIMEOUT, || {
        before + 10 <= main_thread_ticks(pid)
    });
    assert_eq!(process_state(pid), 'R');
}

fn stopped() {
    let rig = unwatched();
    rig.mode("stopped");
    assert!(
        rig.get("/health", NO_ANSWER).is_err(),
        "a stopped gateway answered"
    );
    systemctl(&["kill", "--signal=CONT", &rig.gateway]);
    rig.wait_until_healthy();
}

fn ends_by_itself() {
    let rig = unwatched();
    for mode in ["blocked-for=700", "busy-for=700"] {
        // Before the order, which may be in force before this process runs again.
        let began = Instant::now();
        rig.mode(mode);
        assert!(
            rig.get("/health", TIMEOUT)
                .is_ok_and(|answer| answer.contains(r#""ok":true"#))
        );
        assert!(
            Duration::from_millis(500) < began.elapsed(),
            "{mode} answered after {:?}",
            began.elapsed()
        );
    }
}

fn aborted() {
    let rig = unwatched();
    let first = rig.property(&rig.gateway, "InvocationID");
    rig.mode("abort");
    wait_until("another invocation", TIMEOUT, || {
        let now = rig.property(&rig.gateway, "InvocationID");
        !now.is_empty() && now != first
    });
    rig.wait_until_healthy();
    assert_eq!(rig.property(&rig.gateway, "NRestarts"), "1");
    rig.journal.wait_for("the abort", TIMEOUT, |record| {
        record.message().contains("status=6/ABRT")
    });
}

fn exit_78() {
    let rig = unwatched();
    rig.mode("exit=78");
    wait_until("the unit to fail", TIMEOUT, || {
        rig.property(&rig.gateway, "ActiveState") == "failed"
    });
    assert_eq!(rig.property(&rig.gateway, "ExecMainStatus"), "78");
}

fn stops_at_once() {
    let rig = unwatched();
    let began = Instant::now();
    systemctl(&["stop", &rig.gateway]);
    assert!(
        // Else it were killed after the unit's 330 s.
        began.elapsed() < TIMEOUT,
        "stopping took {:?}",
        began.elapsed()
    );
    assert_eq!(rig.property(&rig.gateway, "Result"), "success");
    assert_eq!(rig.property(&rig.gateway, "ActiveState"), "inactive");
}

fn stays_deactivating() {
    for mode in ["blocked", "busy", "ignores-term"] {
        let rig = unwatched();
        let pid = rig.main_pid(&rig.gateway);
        rig.mode(mode);
        systemctl(&["stop", "--no-block", &rig.gateway]);
        wait_until("the stop to begin", TIMEOUT, || {
            rig.property(&rig.gateway, "SubState") == "stop-sigterm"
        });
        // The healthy one is gone within milliseconds of the same signal.
        let _ = rig.get("/health", NO_ANSWER);
        assert_eq!(
            rig.property(&rig.gateway, "SubState"),
            "stop-sigterm",
            "{mode}"
        );
        assert!(process_state(pid) != 'X', "{mode}");
        systemctl(&["kill", "--signal=KILL", &rig.gateway]);
        wait_until("the stop to end", TIMEOUT, || {
            rig.property(&rig.gateway, "Job").is_empty() && process_state(pid) == 'X'
        });
    }
}

fn port_gone() {
    let rig = unwatched();
    rig.mode("port-gone");
    let error = rig.get("/health", TIMEOUT).expect_err("nobody listens");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(rig.property(&rig.gateway, "ActiveState"), "active");
    rig.mode("healthy");
    assert!(rig.healthy());
}

fn fork_listener() {
    let rig = unwatched();
    let main = rig.main_pid(&rig.gateway);
    rig.mode("fork-listener");
    rig.wait_until_healthy();
    // With the main process stopped only somebody else can be answering.
    systemctl(&["kill", "--kill-who=main", "--signal=STOP", &rig.gateway]);
    wait_until("the main process to be stopped", TIMEOUT, || {
        process_state(main) == 'T'
    });
    assert!(rig.healthy());
    systemctl(&["kill", "--kill-who=main", "--signal=CONT", &rig.gateway]);
    rig.mode("fork-listener:ok-false");
    let answer = rig.get("/health", TIMEOUT).expect("an answer");
    assert!(answer.contains(r#""ok":false"#), "{answer}");
}

fn notifications() {
    let folder = tempfile::Builder::new()
        .tempdir_in(std::env::var_os("XDG_RUNTIME_DIR").expect("XDG_RUNTIME_DIR"));
    let folder = folder.expect("a folder");
    let log = folder.path().join("notify");
    let unit = format!("gatehound-e2e-notify-{}.service", std::process::id());
    let executable = place::executable().expect("this executable");
    let mut run = Command::new("systemd-run");
    run.args(["--user", "--quiet", "--collect", "--unit", &unit]);
    run.args([
        "--property=Type=notify",
        "--property=NotifyAccess=all",
        "--property=KillMode=mixed",
    ])
    .arg(executable)
    .arg("notify-proxy")
    .arg(&log);
    run.args(["sh", "-c", "trap 'systemd-notify STOPPING=1; exit' TERM; systemd-notify --ready --status=seen; while :; do sleep 1 & wait; done"]);
    assert!(run.status().expect("run systemd-run").success());
    let shown = systemctl(&["show", "--value", "--property=StatusText", &unit]);
    assert_eq!(shown.trim(), "seen");
    systemctl(&["stop", &unit]);
    let texts: Vec<String> = notify_proxy::read(&log)
        .into_iter()
        .map(|datagram| datagram.text)
        .collect();
    for expected in ["READY=1", "STOPPING=1"] {
        assert!(
            texts
                .iter()
                .any(|text| text.lines().any(|line| line == expected)),
            "{expected}: {texts:?}"
        );
    }
}

fn shipped_unit() {
    let rig = Rig::with(&Setup {
        gatehound_service: "Environment=TRIAL=1".to_owned(),
        ..Setup::default()
    });
    let shipped = fs::read(place::file("units/gatehound@.service")).expect("the shipped unit");
    assert_eq!(
        fs::read(rig.unit_path(&rig.gatehound)).expect("the trial's unit"),
        shipped
    );
    assert_eq!(rig.property(&rig.gatehound, "Type"), "notify");
    assert_eq!(rig.property(&rig.gatehound, "Environment"), "TRIAL=1");
    let command = rig.property(&rig.gatehound, "ExecStart");
    let program = place::file("gatehound");
    assert!(
        command.contains(program.to_str().expect("a path in UTF-8")),
        "{command}"
    );
    assert!(
        command.contains(&format!("--profile {}", rig.profile)),
        "{command}"
    );
    assert!(rig.property(&rig.gatehound, "After").contains(&rig.gateway));
}

fn port_holder() {
    let own = Command::new("id")
        .arg("-u")
        .output()
        .expect("run id")
        .stdout;
    let foreign = privileged::as_port_holder(&["id", "-u"]).stdout;
    assert_ne!(String::from_utf8_lossy(&own), foreign);
    assert_ne!(foreign.trim(), "0");
    assert_eq!(privileged::as_root(&["id", "-u"]).stdout, "0\n");

    let executable = place::executable().expect("this executable");
    let executable = executable.to_str().expect("a path in UTF-8");
    let rig = Rig::with(&Setup {
        watched: false,
        ..Setup::default()
    });
    let unit = format!("gatehound-e2e-portholder-{}", std::process::id());
    let port = rig.port.to_string();
    let held = PortHoldersProgram::start(
        &unit,
        &[executable, "stand-in-gateway", "gateway", "--port", &port],
    );
    rig.wait_until_healthy();
    drop(held);
    assert!(
        rig.get("/health", NO_ANSWER).is_err(),
        "the port holder's program is still there"
    );
}

fn leaves_nothing() {
    let rig = unwatched();
    rig.mode("blocked");
    let (unit, file) = (rig.gateway.clone(), rig.unit_path(&rig.gateway));
    let pid = rig.main_pid(&unit);
    drop(rig);
    assert!(!fs::exists(file).expect("look for the unit file"));
    assert_eq!(process_state(pid), 'X');
    assert_eq!(
        systemctl(&["show", "--value", "--property=LoadState", &unit]).trim(),
        "not-found"
    );
}
