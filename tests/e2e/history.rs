//! Trials of what a person asks on the day after: what went on, and what was seen of it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::place;
use crate::rig::{PATIENCE, Rig, Setup, wait_until};
use crate::watched::{event, vouching};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    crate::named(&[
        (
            "after_a_hang_one_command_tells_the_cause_and_one_more_the_evidence",
            told,
        ),
        ("a_status_that_is_watched_follows_what_happens", watched),
    ])
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(rig: &Rig, arguments: &[&str]) -> Value {
    serde_json::from_str(&text(rig.gatehound(arguments))).expect("JSON")
}

fn told() {
    let rig = vouching(Setup::default());
    rig.mode("blocked");
    let failing = rig
        .journal
        .wait_for("the failing round", PATIENCE, event("failing"));
    let id = failing.get("GATEHOUND_INCIDENT").expect("an incident");
    // A follower of the journal may be ahead of one that opens it anew.
    let incidents = || json(&rig, &["history", "--json"])["incidents"].clone();
    wait_until("the incident to be in the history", PATIENCE, || {
        incidents()[0]["outcome"] == "under-way"
    });
    rig.journal
        .wait_for("the end of the incident", PATIENCE, event("recovered"));
    wait_until("its end to be in the history", PATIENCE, || {
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
        "process.state  S",
        "evidence   /",
    ] {
        assert!(incident.contains(told), "{told} in {incident}");
    }
    assert_eq!(incident, text(rig.gatehound(&["incident", &id])));
    let unknown = rig.gatehound(&["incident", "c0ffee00-1"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&unknown.stderr),
        "gatehound: no incident \"c0ffee00-1\"; `gatehound history` lists them\n"
    );
}

fn watched() {
    let rig = vouching(Setup::default());
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
    next("vouching: gateway healthy");
    next("vouching: gateway healthy");
    assert!(rig.gatehound(&["pause", "new disk"]).status.success());
    next("standing-by: paused");
    drop(lines);
    // Whoever reads has gone, and so does it.
    let ended = status.wait().expect("wait for gatehound");
    assert!(ended.success(), "{ended}");
}
