//! Trials of the attempts: a gateway that hangs is brought back, one that stays broken is held.

use std::fs;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::journal::Record;
use crate::rig::{Rig, Setup, TIMEOUT};
use crate::watched::{
    assert_field, between, event, events, from_systemd, healthy_with, invocation, wait_for_checks,
    wait_until_failing, wait_until_recovered, watched,
};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "rule_1_a_blocked_gateway_is_brought_back_without_a_ping_meanwhile",
            blocked,
        ),
        ("a_gateway_whose_port_is_gone_is_restarted", port_gone),
        ("a_gateway_whose_http_is_dead_is_restarted", http_dead),
        ("a_gateway_whose_health_has_no_ok_is_restarted", no_ok),
        (
            "a_gateway_whose_health_says_ok_false_is_restarted",
            ok_false,
        ),
        ("a_gateway_that_answers_html_is_restarted", html),
        (
            "a_gateway_older_than_health_is_judged_by_its_page_alone",
            older_than_health,
        ),
        (
            "a_gateway_that_is_never_healthy_again_is_held_and_the_watchdog_bites_once",
            never_healthy,
        ),
        (
            "a_gateway_that_ignores_sigterm_is_stopped_within_the_bound",
            ignores_sigterm,
        ),
        ("a_stopped_gateway_is_restarted_at_once", stopped),
        (
            "the_gateways_unit_and_drop_ins_stay_as_they_are",
            unit_files,
        ),
    ];
    crate::named(list)
}

fn blocked() {
    let rig = watched(Setup {
        notify_proxy: true,
        ..Setup::default()
    });
    rig.mode("blocked");
    let failing = wait_until_failing(&rig, TIMEOUT, "blocked");
    assert_field(&failing, "GATEHOUND_PROBE", "http");
    let incident = failing.get("GATEHOUND_INCIDENT").expect("an incident");
    let recovered = wait_until_recovered(&rig, TIMEOUT, "by-restart");
    assert_eq!(recovered.get("GATEHOUND_INCIDENT"), Some(incident.clone()));
    assert_field(&recovered, "GATEHOUND_ATTEMPT", "1");
    let story = [
        "failing",
        "backing-off",
        "stopping",
        "killing",
        "starting",
        "recovered",
    ];
    let told: Vec<_> = events(&rig)
        .into_iter()
        .filter(|event| story.contains(&event.as_str()))
        .collect();
    assert_eq!(told, story);
    for record in rig.journal.all() {
        if record
            .get("GATEHOUND_EVENT")
            .is_some_and(|event| story.contains(&event.as_str()))
        {
            assert_eq!(
                record.get("GATEHOUND_INCIDENT"),
                Some(incident.clone()),
                "{record}"
            );
            assert_eq!(
                record.get("USER_UNIT"),
                Some(rig.gateway.clone()),
                "{record}"
            );
            assert_eq!(
                record.get("MESSAGE_ID").map(|id| id.len()),
                Some(32),
                "{record}"
            );
        }
    }
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    wait_for_checks(&rig, 2);
    let starting = rig
        .journal
        .wait_for("the start", TIMEOUT, event("starting"));
    let pings: Vec<_> = rig
        .notified()
        .into_iter()
        .filter(|sent| sent.text.contains("WATCHDOG=1"))
        .collect();
    // Not "recovered": journald stamps a record when it reads it, which may be after the ping that followed it.
    let first = pings
        .iter()
        .find(|ping| failing.monotonic() <= ping.at)
        .expect("a watchdog ping afterwards");
    assert!(starting.monotonic() < first.at, "{pings:?}");
    assert!(first.text.contains("WATCHDOG_USEC=90000000"), "{first:?}");
    assert!(rig.healthy());
}

/// Holds that a way to fail is answered with one restart, and that the journal names it.
fn restarted_for(mode: &str, probe: &str, reason: &str, stalls: &[&str]) {
    let rig = watched(Setup::default());
    rig.mode(mode);
    let failing = rig
        .journal
        .wait_for("the failing check", TIMEOUT, event("failing"));
    let field = |name| failing.get(name).unwrap_or_default();
    assert_eq!(field("GATEHOUND_PROBE"), probe, "{failing}");
    assert!(field("GATEHOUND_REASON").contains(reason), "{failing}");
    let stall = field("GATEHOUND_STALL");
    assert!(stalls.contains(&stall.as_str()), "{failing}");
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
    assert_eq!(
        events(&rig)
            .iter()
            .filter(|event| *event == "starting")
            .count(),
        1
    );
}

fn port_gone() {
    restarted_for("port-gone", "port", "nothing listens", &["gone"]);
}

fn http_dead() {
    // Its loop runs and may just be waking up when it is looked at; in doubt it counts as busy.
    restarted_for(
        "accept-and-silent",
        "http",
        "no answer within 1 s",
        &["blocked", "busy"],
    );
}

fn no_ok() {
    restarted_for("no-ok", "health", "no \"ok\"", &["answering"]);
}

fn ok_false() {
    restarted_for("ok-false", "health", "\"ok\": false", &["answering"]);
}

fn html() {
    restarted_for("html", "health", "HTML", &["answering"]);
}

fn older_than_health() {
    let rig = healthy_with(
        &[],
        Setup {
            gateway_service: "Environment=OPENCLAW_SERVICE_VERSION=2026.2.24\n",
            notify_proxy: true,
            ..Setup::default()
        },
    );
    let before = invocation(&rig);
    rig.mode("html");
    let said = "gateway 2026.2.24 has no /health and is judged by / alone";
    rig.journal.wait_for("a word about it", TIMEOUT, |record| {
        event("warning")(record) && record.message().contains(said)
    });
    rig.wait_for_status("healthy: / alone", TIMEOUT);
    let check = rig.gatehound(&["check"]);
    let shown = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{check:?}");
    assert!(shown.contains("healthy, / alone"), "{shown}");
    wait_for_checks(&rig, 3);
    assert_eq!(invocation(&rig), before);
    assert!(!events(&rig).contains(&"failing".to_owned()));
    // It is watched all the same.
    rig.mode("blocked");
    rig.journal.wait_for("the stop", TIMEOUT, event("stopping"));
}

fn never_healthy() {
    let settings = [
        ("BACKOFF", r#"["5s", "10s", "20s"]"#),
        ("GRACE__STARTING", "1s"),
    ];
    let rig = healthy_with(
        &settings,
        Setup {
            notify_proxy: true,
            ..Setup::default()
        },
    );
    rig.mode_at_start("ok-false");
    rig.mode("ok-false");
    let begun = event("healthy");
    let mut last = rig.journal.wait_for("the beginning", TIMEOUT, begun);
    // Not by a mark, which would be taken too late where the next record does not wait for this process.
    let after = |earlier: &Record, what, within, name| {
        let earlier = earlier.monotonic();
        rig.journal.wait_for(what, within, |record| {
            event(name)(record) && earlier < record.monotonic()
        })
    };
    for (attempt, delay) in [(1, 5), (2, 10), (3, 20)] {
        let within = TIMEOUT + Duration::from_secs(delay);
        let backing_off = after(&last, "an attempt", within, "backing-off");
        assert_eq!(
            backing_off.get("GATEHOUND_ATTEMPT"),
            Some(attempt.to_string()),
            "{backing_off}"
        );
        assert!(
            backing_off
                .message()
                .contains(&format!("restart in {delay} s")),
            "{backing_off}"
        );
        let stopping = after(&backing_off, "the stop", within, "stopping");
        let waited = between(&backing_off, &stopping);
        assert!(
            (delay..delay + 10).contains(&(waited + Duration::from_millis(50)).as_secs()),
            "attempt {attempt} waited {waited:?}"
        );
        last = after(&stopping, "the start", TIMEOUT, "starting");
    }
    let gave_up = rig.journal.wait_for("the hold", TIMEOUT, event("gave-up"));
    let bite = rig
        .journal
        .wait_for("the bite", TIMEOUT, from_systemd("Watchdog timeout"));
    assert!(between(&gave_up, &bite) < Duration::from_secs(15), "{bite}");
    rig.journal.wait_for(
        "systemd's books",
        TIMEOUT,
        from_systemd("Failed with result 'watchdog'"),
    );
    after(&bite, "the successor", TIMEOUT, "watching");
    rig.wait_for_status("gave-up: 3 restarts did not help", TIMEOUT);
    wait_for_checks(&rig, 5);
    assert_eq!(rig.property(&rig.gatehound, "NRestarts"), "1");
    assert!(
        rig.status_text().starts_with("gave-up: "),
        "{}",
        rig.status_text()
    );
    let last = rig.notified().pop().expect("a watchdog timeout");
    assert!(last.text.contains("WATCHDOG_USEC="), "{last:?}");
    assert_eq!(
        events(&rig)
            .iter()
            .filter(|event| *event == "starting")
            .count(),
        3
    );
    assert_eq!(
        events(&rig)
            .iter()
            .filter(|event| *event == "gave-up")
            .count(),
        1
    );
}

fn ignores_sigterm() {
    let rig = watched(Setup::default());
    assert_eq!(rig.property(&rig.gateway, "TimeoutStopUSec"), "5min 30s");
    rig.mode("blocked");
    let stopping = rig.journal.wait_for("the stop", TIMEOUT, event("stopping"));
    let starting = rig
        .journal
        .wait_for("the start", TIMEOUT, event("starting"));
    let took = between(&stopping, &starting);
    // One second until SIGKILL, as the settings say, and what two cores full of trials add; else it were 330.
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(30)).contains(&took),
        "{took:?}"
    );
    rig.journal
        .wait_for("the end of the incident", TIMEOUT, event("recovered"));
}

fn stopped() {
    // Whatever this has no grace with, a look later or another stall would take far longer to act on.
    let own =
        ["INTERVAL", "GONE", "BLOCKED", "ANSWERING", "BUSY"].map(|name| format!("GRACE__{name}"));
    let own: Vec<_> = own.iter().map(|name| (name.as_str(), "30s")).collect();
    let rig = healthy_with(&own, Setup::default());
    rig.mode("stopped");
    let failing = wait_until_failing(&rig, TIMEOUT, "stopped");
    let backing_off = rig
        .journal
        .wait_for("the attempt", TIMEOUT, event("backing-off"));
    assert!(
        between(&failing, &backing_off) < Duration::from_secs(15),
        "{backing_off}"
    );
    rig.journal
        .wait_for("the end of the incident", TIMEOUT, event("recovered"));
}

fn unit_files() {
    let rig = Rig::with(&Setup::default());
    let drop_in = rig
        .unit_path(&format!("{}.d", rig.gateway))
        .join("operator.conf");
    fs::create_dir_all(drop_in.parent().expect("a folder")).expect("a folder for the drop-in");
    fs::write(&drop_in, "[Service]\nEnvironment=OPERATOR=1\n").expect("a drop-in");
    drop(rig);
    let rig = watched(Setup {
        gateway_service: "Environment=OPERATOR=1",
        ..Setup::default()
    });
    let drop_in = rig
        .unit_path(&format!("{}.d", rig.gateway))
        .join("operator.conf");
    fs::create_dir_all(drop_in.parent().expect("a folder")).expect("a folder for the drop-in");
    fs::write(&drop_in, "[Service]\nEnvironment=OPERATOR=2\n").expect("a drop-in");
    let unit = rig.unit_path(&rig.gateway);
    let before = (seen(&unit), seen(&drop_in));
    rig.mode("blocked");
    rig.journal
        .wait_for("the end of the incident", TIMEOUT, event("recovered"));
    assert_eq!((seen(&unit), seen(&drop_in)), before);
    let folder = fs::read_dir(drop_in.parent().expect("a folder"))
        .expect("the folder")
        .count();
    assert_eq!(folder, 1, "a drop-in appeared");
    assert_eq!(
        rig.property(&rig.gateway, "FragmentPath"),
        unit.display().to_string()
    );
}

/// A file's bytes, and what tells that nobody wrote the same bytes again.
fn seen(path: &Path) -> (Vec<u8>, std::time::SystemTime, u64) {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).expect("the file");
    (
        fs::read(path).expect("the file"),
        metadata.modified().expect("a time"),
        metadata.ino(),
    )
}
