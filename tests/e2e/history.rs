//! Trials of what a person asks on the day after: what went on, and what was seen of it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use gatehound::os::wall_clock;
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::place;
use crate::rig::{Rig, Setup, TIMEOUT, systemctl, wait_until};
use crate::watched::{event, from_systemd, healthy_with, wait_until_recovered, watched};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    crate::named(&[
        (
            "after_a_hang_one_command_shows_the_cause_and_one_more_the_evidence",
            told,
        ),
        (
            "a_hang_that_ends_between_two_looks_is_one_incident_with_its_cause",
            ended_unseen,
        ),
        (
            "time_in_which_no_gatehound_ran_is_not_counted_as_watched",
            unwatched,
        ),
        (
            "a_window_without_a_record_is_explained_by_the_one_before",
            quiet,
        ),
        (
            "a_refused_configuration_is_an_incident_and_in_the_history",
            refused,
        ),
        (
            "a_status_that_is_watched_follows_what_happens",
            history_of_a_watched_gateway,
        ),
    ])
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(rig: &Rig, arguments: &[&str]) -> Value {
    crate::schema::check("History", &rig.gatehound(arguments).stdout)
}

fn told() {
    let rig = watched(Setup::default());
    rig.mode("blocked");
    let failing = rig
        .journal
        .wait_for("the failing check", TIMEOUT, event("failing"));
    let id = failing.get("GATEHOUND_INCIDENT").expect("an incident");
    let status = rig.gatehound(&["status", "--json"]).stdout;
    let status = crate::schema::check("Status", &status);
    assert_eq!(status["incident"]["id"], id, "{status}");
    // A follower of the journal may be ahead of one that opens it anew.
    let incidents = || json(&rig, &["history", "--json"])["incidents"].clone();
    wait_until("the incident to be in the history", TIMEOUT, || {
        incidents()[0]["outcome"] == "under-way"
    });
    rig.journal
        .wait_for("the end of the incident", TIMEOUT, event("recovered"));
    wait_until("its end to be in the history", TIMEOUT, || {
        incidents()[0]["outcome"] == "by-restart"
    });
    let history = json(&rig, &["history", "--json"]);
    let past = &history["incidents"][0];
    assert_eq!(past["id"], id.as_str());
    assert_eq!(past["stall"], "blocked");
    assert_eq!(past["restarts"], 1);
    assert_eq!(history["incidents"].as_array().map(Vec::len), Some(1));
    let availability = history["availability"].as_f64().expect("a number");
    assert!((0.0..1.0).contains(&availability), "{history}");

    let history = text(rig.gatehound(&["history"]));
    assert!(
        history.contains(&id) && history.contains("http: no answer"),
        "{history}"
    );
    let incident = text(rig.gatehound(&["incident"]));
    for told in [
        &id,
        "recovered by Gatehound's restart",
        "stopping the gateway",
        "its main thread                 sleeps (S)",
        "evidence   /",
    ] {
        assert!(incident.contains(told), "{told} in {incident}");
    }
    assert_eq!(incident, text(rig.gatehound(&["incident", &id])));
    let unknown = rig.gatehound(&["incident", "c0ffee00-1"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&unknown.stderr),
        format!(
            "gatehound: no incident \"c0ffee00-1\"; `gatehound history --profile {}` lists them\n",
            rig.profile
        )
    );
}

fn ended_unseen() {
    // No look between the death of the one run and the health of the next.
    let own = [
        ("GRACE__ANSWERING", "60s"),
        ("GRACE__INTERVAL", "3s"),
        ("INTERVAL", "3s"),
    ];
    let rig = healthy_with(&own, Setup::default());
    rig.mode("ok-false");
    let failing = rig
        .journal
        .wait_for("the failing check", TIMEOUT, event("failing"));
    // A later record of it is the last one before a short window, and does not name the cause.
    systemctl(&["reload", &rig.gatehound]);
    rig.journal
        .wait_for("the new settings", TIMEOUT, event("reloaded"));
    let after = wall_clock::utc(Duration::from_secs(wall_clock::now().as_secs() + 1));
    wait_until("a window to begin after both", TIMEOUT, || {
        let history = json(&rig, &["history", "--since", "1s", "--json"]);
        let past = &history["incidents"][0];
        let begun = after.as_deref() <= history["since"].as_str();
        assert!(!begun || past["probe"] == "health", "{history}");
        begun
    });
    rig.signal_gateway(Signal::SIGKILL);
    wait_until_recovered(&rig, TIMEOUT, "by-other");
    wait_until("its end to be in the history", TIMEOUT, || {
        json(&rig, &["history", "--json"])["incidents"][0]["outcome"] == "by-other"
    });
    let history = json(&rig, &["history", "--json"]);
    assert_eq!(history["incidents"].as_array().map(Vec::len), Some(1));
    let past = &history["incidents"][0];
    let id = failing.get("GATEHOUND_INCIDENT").expect("an incident");
    assert_eq!(past["id"], id);
    assert_eq!(past["probe"], "health");
}

fn unwatched() {
    let rig = watched(Setup {
        gatehound_service: "Restart=no\n".to_owned(),
        ..Setup::default()
    });
    let seconds = || {
        let seconds = json(&rig, &["history", "--json"])["watched_seconds"].as_f64();
        seconds.expect("a number")
    };
    let first = seconds();
    wait_until("the watch to go on without a record", TIMEOUT, || {
        first < seconds()
    });
    let watched = seconds();
    systemctl(&["kill", "--signal=KILL", &rig.gatehound]);
    rig.journal.wait_for(
        "systemd's word on it",
        TIMEOUT,
        from_systemd("Failed with result 'signal'"),
    );
    let then = seconds();
    assert!(watched <= then, "what it watched before it died counts");
    assert_eq!(then, seconds(), "nobody watches any more");
    rig.start_gatehound();
    wait_until("the successor's watch to count", TIMEOUT, || {
        then < seconds()
    });
}

fn quiet() {
    let rig = watched(Setup::default());
    // What is written at the start is older than the window in the end, and then nothing is.
    wait_until("two seconds without a record", TIMEOUT, || {
        let history = json(&rig, &["history", "--since", "2s", "--json"]);
        let watched = history["watched_seconds"].as_f64().expect("a number");
        (1.9..TIMEOUT.as_secs_f64()).contains(&watched)
    });
    let history = text(rig.gatehound(&["history", "--since", "1s"]));
    assert!(history.contains("\nno incident since"), "{history}");
    assert!(history.contains("availability 100.00 %"), "{history}");
}

fn refused() {
    let rig = watched(Setup::default());
    rig.mode("exit=78");
    rig.wait_for_status("standing-by: config-error", TIMEOUT);
    wait_until("the outage to be in the history", TIMEOUT, || {
        json(&rig, &["history", "--json"])["stood_by"][0]["outage"] == true
    });
    let stood_by = json(&rig, &["history", "--json"])["stood_by"][0].clone();
    assert_eq!(stood_by["reason"], "config-error");
    assert_eq!(stood_by["under_way"], true);
    let incident = text(rig.gatehound(&["incident"]));
    assert!(incident.contains("exit status 78"), "{incident}");
    rig.mode_at_start("healthy");
    systemctl(&["restart", &rig.gateway]);
    rig.wait_for_status("healthy", TIMEOUT);
    wait_until("its end to be in the history", TIMEOUT, || {
        json(&rig, &["history", "--json"])["stood_by"][0]["under_way"] == false
    });
    let history = json(&rig, &["history", "--json"]);
    let incidents = history["incidents"].as_array().expect("a list");
    assert_eq!(incidents.len(), 1, "{history}");
    assert!(0.0 < history["failing_seconds"].as_f64().expect("a number"));
}

fn history_of_a_watched_gateway() {
    let rig = watched(Setup::default());
    let mut status = Command::new(place::file("gatehound"))
        .args(["--profile", &rig.profile, "status", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("run gatehound");
    let mut lines = BufReader::new(status.stdout.take().expect("a pipe")).lines();
    let mut next = |text: &str| {
        let told = |line: Result<String, _>| line.is_ok_and(|line| line.contains(text));
        assert!(lines.any(told), "the output ended without {text:?}");
    };
    next("healthy: / and /health");
    next("healthy: / and /health");
    assert!(rig.gatehound(&["pause", "new disk"]).status.success());
    next("standing-by: paused");
    drop(lines);
    // Whoever reads has gone, and so does it.
    let ended = status.wait().expect("wait for gatehound");
    assert!(ended.success(), "{ended}");
}
