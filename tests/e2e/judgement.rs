//! Trials of judgement: what kind of failure it is, how long it deserves, and what is told of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use libtest_mimic::Trial;

use crate::journal::Record;
use crate::place;
use crate::rig::{Rig, Setup, TIMEOUT, free_port, systemctl};
use crate::watched::{
    assert_field, assert_not_restarted, between, event, events, healthy_with, invocation,
    more_careful, short, wait_for_checks, wait_until_failing, wait_until_port_taken,
    wait_until_recovered, watched,
};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let mut list: Vec<(&str, fn())> = vec![
        ("a_start_that_makes_progress_is_never_touched", slow_start),
        ("a_start_without_progress_is_acted_on", dead_start),
        (
            "a_busy_loop_that_ends_in_time_is_left_alone",
            busy_for_a_while,
        ),
        ("a_busy_loop_that_does_not_end_is_restarted", busy_for_ever),
        (
            "a_gateway_that_cannot_go_on_is_deadlocked_and_stopped_at_once",
            deadlocked,
        ),
        (
            "a_gateway_that_waits_for_a_child_is_left_to_wait_and_the_child_is_named",
            waiting,
        ),
        (
            "between_two_checks_the_pulse_finds_what_hangs",
            found_by_the_pulse,
        ),
        (
            "a_listener_in_a_child_of_the_main_process_is_the_gateway",
            listener_in_a_child,
        ),
        (
            "of_two_profiles_only_the_one_that_hangs_is_restarted",
            two_profiles,
        ),
        (
            "a_gateway_on_an_address_of_its_own_is_found_healthy",
            own_address,
        ),
        (
            "a_gateway_that_listens_where_no_text_says_is_found_by_its_units_socket",
            found_by_its_socket,
        ),
        (
            "rule_1_a_server_of_the_same_user_in_another_unit_is_named_and_gets_no_ping_and_no_signal",
            another_units_server,
        ),
        ("a_gateway_without_a_page_is_healthy", no_page),
        (
            "rule_6_the_third_forced_stop_waits_for_the_window",
            forced_stops,
        ),
        (
            "a_gateway_that_comes_back_degraded_is_said_to_be_and_left_alone",
            degraded,
        ),
        (
            "a_crash_loop_breaker_that_tripped_without_gatehounds_doing_is_said",
            breaker,
        ),
        ("evidence_is_taken_down_before_the_stop", evidence),
        (
            "a_refused_configuration_is_restored_by_the_command_that_is_told",
            refused_configuration,
        ),
    ];
    if std::env::var_os("E2E_LONG").is_some() {
        list.push((
            "by_default_a_start_of_five_minutes_that_makes_progress_is_never_touched",
            start_of_five_minutes,
        ));
        list.push((
            "by_default_a_start_without_progress_is_acted_on_after_a_minute",
            dead_start_by_default,
        ));
    }
    crate::named(&list)
}

/// The trials that show something to every Gatehound of the session.
pub fn alone() -> Vec<Trial> {
    crate::named(&[("during_an_update_the_gateway_is_left_alone", update)])
}

/// A gateway that is told how to start, and a Gatehound that sees it from its beginning.
fn starting(arguments: &'static str, own: &[(&str, &str)]) -> Rig {
    let setup = Setup {
        gateway_arguments: arguments,
        ..Setup::default()
    };
    let rig = Rig::with(&short(own, setup));
    systemctl(&["start", &rig.gateway]);
    rig.start_gatehound();
    rig
}

fn refused_configuration() {
    let rig = Rig::with(&short(&[], Setup::default()));
    let home = PathBuf::from(std::env::var_os("HOME").expect("HOME"));
    let config = home
        .join(format!(".openclaw-{}", rig.profile))
        .join("openclaw.json");
    fs::create_dir_all(config.parent().expect("a folder")).expect("the gateway's folder");
    let good = "{gateway: {mode: 'local', auth: {token: 'hunter2hunter2'}}}";
    crate::rig::write(&config, good);
    systemctl(&["start", &rig.gateway]);
    rig.start_gatehound();
    let kept = rig
        .journal
        .wait_for("the snapshot", TIMEOUT, event("snapshot-kept"));
    assert!(
        kept.message().contains("kept as snapshot 1"),
        "{}",
        kept.message()
    );
    crate::rig::write(&config, "{gateway: {mode: 'local', auth: {token: 'hunter3");
    rig.mode("exit=78");
    let standing_by = rig
        .journal
        .wait_for("the refusal", TIMEOUT, event("standing-by"));
    let command = format!(
        "gatehound snapshot restore --yes --start --profile {}",
        rig.profile
    );
    assert!(
        standing_by.message().contains(&command),
        "{}",
        standing_by.message()
    );
    rig.wait_for_status(&command, TIMEOUT);
    let broken = rig.gatehound(&["snapshot", "diff"]);
    let broken = String::from_utf8_lossy(&broken.stdout).into_owned();
    assert!(broken.contains("broken in line 1"), "{broken}");
    let restored = rig.gatehound(&["snapshot", "restore", "--yes", "--start"]);
    assert!(restored.status.success(), "{restored:?}");
    assert_eq!(fs::read_to_string(&config).expect("the file"), good);
    let listed = rig.gatehound(&["snapshot", "list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("replaced"), "{listed}");
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    for record in rig.journal.all() {
        assert!(!record.message().contains("hunter"), "{}", record.message());
    }
}

fn slow_start() {
    let own = [("GRACE__STARTING", "1min"), ("GRACE__STARTING_IDLE", "2s")];
    let rig = starting("--start-busy 8000", &own);
    rig.wait_for_status("starting: gateway started", TIMEOUT);
    // What its unit sets is what the command line shows.
    let shown = rig.gatehound(&["settings", "show"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let set = shown
        .lines()
        .find(|line| line.starts_with("grace.starting "));
    let set = set.expect("the setting");
    assert!(
        set.ends_with("GATEHOUND_GRACE__STARTING") && set.contains("1min"),
        "{set}"
    );
    rig.journal
        .wait_for("a healthy gateway", TIMEOUT, event("healthy"));
    assert_not_restarted(&rig);
    assert!(!events(&rig).contains(&"failing".to_owned()));
}

fn dead_start() {
    let own = [("GRACE__STARTING", "1min"), ("GRACE__STARTING_IDLE", "3s")];
    let rig = starting("--start-delay 3600000", &own);
    let watching = rig
        .journal
        .wait_for("the beginning", TIMEOUT, event("watching"));
    let failing = wait_until_failing(&rig, TIMEOUT, "gone");
    let waited = between(&watching, &failing);
    assert!(
        (Duration::from_secs(3)..Duration::from_secs(30)).contains(&waited),
        "{waited:?}"
    );
    rig.journal
        .wait_for("the restart", TIMEOUT, event("starting"));
}

/// A gateway that is told how to start, under Gatehound's default settings.
fn starting_by_default(arguments: &'static str) -> Rig {
    let rig = Rig::with(&Setup {
        gateway_arguments: arguments,
        ..Setup::default()
    });
    systemctl(&["start", &rig.gateway]);
    rig.start_gatehound();
    rig
}

fn start_of_five_minutes() {
    let rig = starting_by_default("--start-busy 300000");
    let limit = Duration::from_secs(360);
    rig.journal
        .wait_for("a healthy gateway", limit, event("healthy"));
    assert_not_restarted(&rig);
    assert!(!events(&rig).contains(&"failing".to_owned()));
}

fn dead_start_by_default() {
    let rig = starting_by_default("--start-delay 3600000");
    let limit = Duration::from_secs(120);
    let watching = rig
        .journal
        .wait_for("the beginning", TIMEOUT, event("watching"));
    let failing = wait_until_failing(&rig, limit, "gone");
    let waited = between(&watching, &failing);
    // Up to one interval of 30 s passes between two looks, and the rest is for a busy machine.
    assert!(
        (Duration::from_secs(60)..Duration::from_secs(110)).contains(&waited),
        "{waited:?}"
    );
    rig.journal
        .wait_for("the restart", limit, event("starting"));
}

fn busy_for_a_while() {
    let rig = healthy_with(&[("GRACE__BUSY", "20s")], Setup::default());
    let before = invocation(&rig);
    rig.mode("busy-for=5000");
    wait_until_failing(&rig, TIMEOUT, "busy");
    rig.wait_for_status("failing: ", TIMEOUT);
    wait_until_recovered(&rig, TIMEOUT, "by-itself");
    assert_eq!(invocation(&rig), before);
    assert_not_restarted(&rig);
}

fn busy_for_ever() {
    // On a machine that is busy itself it may look starved as well.
    let own = [("GRACE__BUSY", "6s"), ("GRACE__STARVED", "6s")];
    let rig = healthy_with(&own, Setup::default());
    rig.mode("busy");
    let failing = rig
        .journal
        .wait_for("the failing check", TIMEOUT, event("failing"));
    let backing_off = rig
        .journal
        .wait_for("the attempt", TIMEOUT, event("backing-off"));
    let stall = backing_off.get("GATEHOUND_STALL");
    assert!(
        matches!(stall.as_deref(), Some("busy" | "starved")),
        "{backing_off}"
    );
    assert!(
        Duration::from_secs(4) < between(&failing, &backing_off),
        "{backing_off}"
    );
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

/// Waits until the stall is this one, whatever it was taken for before; the sentence about it.
#[track_caller]
fn wait_until_judged(rig: &Rig, stall: &str) -> (Record, String) {
    let judged = rig.journal.wait_for(stall, TIMEOUT, |record| {
        record.get("GATEHOUND_STALL").as_deref() == Some(stall)
    });
    let sentence = judged.get("GATEHOUND_STALL_DETAIL");
    (judged, sentence.expect("a sentence"))
}

fn deadlocked() {
    let own = [
        ("GRACE__DEADLOCKED", "3s"),
        ("GRACE__BLOCKED", "1h"),
        ("GRACE__BUSY", "1h"),
        ("STOP_TIMEOUT__STUCK", "1s"),
        ("STOP_TIMEOUT__HUNG", "1h"),
    ];
    let rig = healthy_with(&own, Setup::default());
    rig.mode("deadlocked");
    let (_, sentence) = wait_until_judged(&rig, "deadlocked");
    assert!(
        sentence.starts_with("the event loop is deadlocked: it has not run for ")
            && sentence.ends_with(" and nothing it waits for is running"),
        "{sentence}"
    );
    let evidence = rig
        .journal
        .wait_for("the evidence", TIMEOUT, event("evidence"));
    assert!(evidence.message().contains(&sentence[..40]), "{evidence}");
    rig.journal.wait_for("SIGKILL", TIMEOUT, event("killing"));
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn waiting() {
    let own = [
        ("GRACE__WAITING", "1h"),
        ("GRACE__BUSY", "1h"),
        ("GRACE__BLOCKED", "10s"),
    ];
    let rig = healthy_with(&own, Setup::default());
    let before = invocation(&rig);
    rig.mode("waiting-for=16000");
    let (judged, sentence) = wait_until_judged(&rig, "waiting");
    assert!(
        sentence.starts_with("the event loop waits for pid ")
            && sentence.contains(" (sleep 16), started "),
        "{sentence}"
    );
    rig.wait_for_status(&format!("failing: {}", &sentence[..30]), TIMEOUT);
    let recovered = wait_until_recovered(&rig, TIMEOUT, "by-itself");
    // Longer than one of which nothing is known is left alone.
    assert!(
        Duration::from_secs(10) < between(&judged, &recovered),
        "{recovered}"
    );
    assert_eq!(invocation(&rig), before);
    assert_not_restarted(&rig);
}

fn found_by_the_pulse() {
    // The check that does not come because of the pulse comes within hours.
    let setup = Setup {
        gatehound_service: "WatchdogSec=20h\n".to_owned(),
        ..Setup::default()
    };
    let rig = healthy_with(&[("INTERVAL", "10h"), ("PULSE", "1s")], setup);
    for (mode, stall) in [
        ("port-gone", "gone"),
        ("deadlocked", "deadlocked"),
        ("busy", "busy"),
    ] {
        let mark = rig.journal.mark();
        rig.mode(mode);
        let after = |what, name| rig.journal.wait_for_after(mark, what, TIMEOUT, event(name));
        let failing = after("the failing check", "failing");
        let seen = failing.get("GATEHOUND_STALL").unwrap_or_default();
        let stalls = [&[stall], more_careful(stall)].concat();
        assert!(stalls.contains(&seen.as_str()), "{failing}");
        let recovered = after("the end of it", "recovered");
        assert_field(&recovered, "GATEHOUND_REASON", "by-restart");
        rig.wait_until_healthy();
    }
}

fn listener_in_a_child() {
    let rig = watched(Setup::default());
    rig.mode("fork-listener");
    rig.wait_until_healthy();
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    assert_not_restarted(&rig);
    rig.mode("fork-listener:blocked");
    wait_until_failing(&rig, TIMEOUT, "blocked");
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}

fn two_profiles() {
    let healthy = watched(Setup {
        notify_proxy: true,
        ..Setup::default()
    });
    let hung = watched(Setup::default());
    let before = invocation(&healthy);
    hung.mode("blocked");
    wait_until_recovered(&hung, TIMEOUT, "by-restart");
    wait_for_checks(&healthy, 2);
    assert_eq!(invocation(&healthy), before);
    assert_not_restarted(&healthy);
    assert!(!events(&healthy).contains(&"failing".to_owned()));
}

fn own_address() {
    let setup = Setup {
        gateway_arguments: "--bind 127.0.0.5",
        ..Setup::default()
    };
    let rig = Rig::with(&short(&[], setup));
    systemctl(&["start", &rig.gateway]);
    rig.start_gatehound();
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    let checked = rig.gatehound(&["check"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.contains("on 127.0.0.5"), "{said}");
}

fn found_by_its_socket() {
    let port = free_port();
    // The stand-in takes the last port it is given, and who reads the command line the first.
    let arguments: &'static str = Box::leak(format!("--port {port}").into_boxed_str());
    let setup = Setup {
        gateway_arguments: arguments,
        ..Setup::default()
    };
    let rig = Rig::with(&short(&[], setup));
    systemctl(&["start", &rig.gateway]);
    rig.start_gatehound();
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    let checked = rig.gatehound(&["check"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    let named = format!(
        "{port} on 127.0.0.1, where the unit listens; {} was expected",
        rig.port
    );
    assert!(said.contains(&named), "{said}");
    assert_not_restarted(&rig);
    rig.mode("blocked");
    wait_until_failing(&rig, TIMEOUT, "blocked");
    let recovered = rig
        .journal
        .wait_for("the end of it", TIMEOUT, event("recovered"));
    assert_field(&recovered, "GATEHOUND_REASON", "by-restart");
}

fn another_units_server() {
    let setup = Setup {
        gateway_program: Some("/bin/sh -c 'exec sleep 600'".to_owned()),
        notify_proxy: true,
        ..Setup::default()
    };
    let rig = Rig::with(&short(&[], setup));
    let executable = place::executable().expect("this executable");
    let executable = executable.to_str().expect("a path in UTF-8");
    let (unit, port) = (format!("{}-proxy", rig.profile), rig.port.to_string());
    let unit_name = format!("--unit={unit}");
    let run = [
        "--user",
        "--collect",
        &unit_name,
        executable,
        "stand-in-gateway",
    ];
    let started = Command::new("systemd-run")
        .args(run)
        .args(["gateway", "--port", &port])
        .output()
        .expect("systemd-run");
    assert!(started.status.success(), "{started:?}");
    rig.wait_until_healthy();
    systemctl(&["start", &rig.gateway]);
    rig.start_gatehound();
    let standing_by = wait_until_port_taken(&rig);
    let text = standing_by.message().to_owned();
    assert!(text.contains(&format!("in unit {unit}.service")), "{text}");
    assert!(
        text.contains(&format!("set gateway.unit = \"{unit}.service\"")),
        "{text}"
    );
    assert_not_restarted(&rig);
    assert!(
        !rig.notified()
            .iter()
            .any(|sent| sent.text.lines().any(|line| line == "WATCHDOG=1"))
    );
    rig.wait_until_healthy();
    systemctl(&["stop", &unit]);
}

fn no_page() {
    let rig = watched(Setup {
        notify_proxy: true,
        ..Setup::default()
    });
    rig.mode("root-404");
    wait_for_checks(&rig, 3);
    assert!(
        rig.status_text().starts_with("healthy"),
        "{}",
        rig.status_text()
    );
    assert!(!events(&rig).contains(&"failing".to_owned()));
}

fn forced_stops() {
    let own = [
        ("FORCED_STOPS__WINDOW", "25s"),
        ("BACKOFF", r#"["1s", "1s", "1s", "1s"]"#),
    ];
    let rig = healthy_with(&own, Setup::default());
    let mut kills = Vec::new();
    for _ in 0..3 {
        // Before the hang: the end may be in the journal as soon as the stop is seen.
        let mark = rig.journal.mark();
        rig.mode("blocked");
        let after = |what, name| {
            rig.journal
                .wait_for_after(mark, what, TIMEOUT * 2, event(name))
        };
        kills.push(after("the forced stop", "killing"));
        after("the end of the incident", "recovered");
    }
    let window = between(&kills[0], &kills[2]);
    assert!(
        Duration::from_secs(25) <= window + Duration::from_millis(50),
        "{window:?}"
    );
    assert!(between(&kills[0], &kills[1]) < Duration::from_secs(25));
}

fn degraded() {
    let setup = Setup {
        notify_proxy: true,
        ..Setup::default()
    };
    let rig = healthy_with(&[("DEGRADED_AFTER", "2s")], setup);
    rig.mode_at_start("degraded");
    rig.mode("blocked");
    let said = rig
        .journal
        .wait_for("what does not work", TIMEOUT, event("degraded"));
    assert_field(&said, "GATEHOUND_REASON", "channel telegram");
    rig.wait_for_status("degraded: channel telegram", TIMEOUT);
    let before = invocation(&rig);
    wait_for_checks(&rig, 4);
    assert_eq!(invocation(&rig), before);
    let check = rig.gatehound(&["check"]);
    assert!(check.status.success(), "{check:?}");
    let shown = String::from_utf8_lossy(&check.stdout);
    assert!(shown.contains("degraded channel telegram; "), "{shown}");
    rig.mode("healthy");
    rig.journal
        .wait_for("all of it", TIMEOUT, event("no-longer-degraded"));
}

/// Three kills that were not Gatehound's are what trips the real one.
fn breaker() {
    let rig = watched(Setup {
        notify_proxy: true,
        ..Setup::default()
    });
    rig.mode_at_start("breaker");
    systemctl(&["kill", "--signal=SIGKILL", &rig.gateway]);
    let said = rig
        .journal
        .wait_for("the breaker", TIMEOUT, event("degraded"));
    let words = "restart-loop breaker tripped: 3 unclean boot(s) within 300000ms";
    assert_field(&said, "GATEHOUND_REASON", words);
    let before = invocation(&rig);
    wait_for_checks(&rig, 4);
    assert_eq!(invocation(&rig), before);
    assert_not_restarted(&rig);
    rig.mode_at_start("healthy");
    systemctl(&["restart", &rig.gateway]);
    rig.journal
        .wait_for("its channels", TIMEOUT, event("no-longer-degraded"));
}

/// Where Gatehound keeps what it saw of this rig's gateway.
fn incidents(rig: &Rig) -> PathBuf {
    let home = std::env::var_os("HOME").expect("HOME");
    Path::new(&home).join(format!(".local/state/gatehound-{}", rig.profile))
}

fn evidence() {
    let rig = watched(Setup::default());
    rig.mode("blocked");
    let evidence = rig
        .journal
        .wait_for("the evidence", TIMEOUT, event("evidence"));
    let stopping = rig.journal.wait_for("the stop", TIMEOUT, event("stopping"));
    assert!(evidence.monotonic() <= stopping.monotonic());
    assert_field(&evidence, "GATEHOUND_EVIDENCE_STATE", "S");
    assert!(
        evidence.get("GATEHOUND_EVIDENCE_RECV_QUEUE").is_some(),
        "{evidence}"
    );
    let incident = evidence.get("GATEHOUND_INCIDENT").expect("an incident");
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
    let path = incidents(&rig).join(format!("incidents/{incident}-1.json"));
    let kept = fs::read_to_string(&path).expect("the file of the incident");
    fs::remove_dir_all(incidents(&rig)).expect("a folder to remove");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(kept["stall"], "blocked");
    assert!(
        kept["journal"]
            .as_array()
            .is_some_and(|lines| !lines.is_empty()),
        "{kept}"
    );
}

/// Something that looks like an update of the gateway, until it is dropped.
struct Updater(Child);

impl Updater {
    fn start(scope: &str) -> Self {
        let mut command = Command::new("systemd-run");
        command.args([
            "--user", "--scope", "--quiet", "--unit", scope, "sleep", "1000",
        ]);
        Self(command.spawn().expect("start an update"))
    }
}

impl Drop for Updater {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn update() {
    let rig = watched(Setup {
        notify_proxy: true,
        ..Setup::default()
    });
    let updater = Updater::start("openclaw-update-e2e.scope");
    rig.mode("ok-false");
    rig.wait_for_status(
        "standing-by: updating, openclaw-update-e2e.scope is active",
        TIMEOUT,
    );
    wait_for_checks(&rig, 5);
    assert_not_restarted(&rig);
    drop(updater);
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
}
