//! Trials of what a person asks on the day after: what went on, and what was seen of it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use gatehound::os::wall_clock;
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::place;
use crate::privileged::as_root;
use crate::rig::{Rig, Setup, TIMEOUT, systemctl, wait_until};
use crate::watched::{
    event, from_systemd, healthy_with, invocation, wait_until_recovered, watched,
};

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

/// One that takes the journal away from everything in the machine; nobody's own is taken for it.
pub fn alone() -> Vec<Trial> {
    if std::env::var_os("E2E_FILES").is_none() {
        eprintln!(
            "e2e: a journal in memory is tried in the throwaway machine alone, which root gets"
        );
        return Vec::new();
    }
    crate::named(&[(
        "a_journal_in_memory_that_a_boot_takes_leaves_the_cause_of_a_hang_in_the_evidence",
        in_memory,
    )])
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
        // It may be waking up just then.
        "its main thread                 ",
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

/// As often as needed: systemd starts it five times in ten seconds, and then no more.
const RESTART: &str =
    "systemctl reset-failed systemd-journald && systemctl restart systemd-journald";

/// A journal in memory, until this is dropped.
struct InMemory;

impl InMemory {
    const CONF: &str = "/run/systemd/journald.conf.d/volatile.conf";

    fn begin() -> Self {
        let begin = format!(
            "mkdir -p /run/systemd/journald.conf.d && printf '[Journal]\\nStorage=volatile\\n' >{conf} && \
             mv /etc/systemd/journald.conf.d/e2e.conf /run/e2e-journald.conf && \
             mv /var/log/journal /var/log/e2e-journal && {RESTART}",
            conf = Self::CONF
        );
        let it = Self;
        as_root(&["sh", "-c", &begin]);
        it
    }

    /// As a boot does; of the new one a user reads nothing who is in no group of the journal's.
    fn lose(anybody_reads: bool) {
        let mode = if anybody_reads { "o+rX" } else { "o-w" };
        let lose = format!(
            "rm -rf /run/log/journal/* && {RESTART} && \
             journalctl --sync && chmod -R {mode} /run/log/journal"
        );
        as_root(&["sh", "-c", &lose]);
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        // journald writes to the disk at once where this says that it was told to, and newer ones remove it for one in memory.
        let end = format!(
            "rm -rf {} /run/log/journal; mv /run/e2e-journald.conf /etc/systemd/journald.conf.d/e2e.conf; \
             mv /var/log/e2e-journal /var/log/journal; : >/run/systemd/journal/flushed; {RESTART} && \
             journalctl --flush && journalctl --sync",
            Self::CONF
        );
        as_root(&["sh", "-c", &end]);
    }
}

/// Everything a command prints, each run of white space as one blank, because texts are wrapped.
fn said(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr].concat();
    let all = String::from_utf8(all).expect("UTF-8");
    all.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn in_memory() {
    let rig = watched(Setup::default());
    let memory = InMemory::begin();
    let before = invocation(&rig);
    rig.mode("blocked");
    wait_until("another run of the gateway", TIMEOUT, || {
        invocation(&rig) != before && rig.healthy()
    });
    rig.wait_for_status("healthy: ", TIMEOUT);

    let files = kept(&rig);
    let [file] = &files[..] else {
        panic!("one restart, but {files:?}");
    };
    let (id, restart) = file.rsplit_once('-').expect("an incident and a restart");
    assert_eq!(restart, "1.json");
    let row = format!(
        "{id} restart 1 gatehound incident --profile {} ID",
        rig.profile
    );

    // Where it may not be read.
    for lost in [false, true] {
        InMemory::lose(false);
        if lost {
            systemctl(&["restart", &rig.gatehound]);
            rig.wait_for_status("healthy: ", TIMEOUT);
        }
        let history = rig.gatehound(&["history"]);
        assert!(history.status.success(), "{history:?}");
        assert!(said(&history).contains(&row), "{history:?}");
        assert!(said(&history).contains("Storage=persistent"), "{history:?}");
        let incident = rig.gatehound(&["incident"]);
        assert!(incident.status.success(), "{incident:?}");
        for told in [id, "what follows is the evidence alone", "blocked"] {
            assert!(said(&incident).contains(told), "{told}: {incident:?}");
        }
        let doctor = said(&rig.gatehound(&["doctor"]));
        for told in [
            "in memory only, where you may not read it",
            "Storage=persistent",
        ] {
            assert!(doctor.contains(told), "{told}: {doctor}");
        }
    }

    // Where it may: it has records, but none of what was before the boot.
    InMemory::lose(true);
    systemctl(&["restart", &rig.gatehound]);
    wait_until("a record since the boot", TIMEOUT, || {
        said(&rig.gatehound(&["history"])).contains("no incident since")
    });
    let history = rig.gatehound(&["history"]);
    assert!(said(&history).contains(&row), "{history:?}");
    let incident = rig.gatehound(&["incident"]);
    assert!(incident.status.success(), "{incident:?}");
    for told in [id, "no longer in the journal", "blocked"] {
        assert!(said(&incident).contains(told), "{told}: {incident:?}");
    }
    let doctor = said(&rig.gatehound(&["doctor"]));
    let told = "in memory only: what happened is forgotten at the next boot";
    assert!(doctor.contains(told), "{doctor}");

    // A new hang is in the journal, and the last.
    rig.mode("blocked");
    wait_until("the new incident to end", TIMEOUT, || {
        json(&rig, &["history", "--json"])["incidents"][0]["outcome"] == "by-restart"
    });
    let incident = rig.gatehound(&["incident"]);
    assert!(!said(&incident).contains(id), "{incident:?}");
    assert!(said(&rig.gatehound(&["history"])).contains(&row));
    drop(memory);
    // Whatever comes after finds the journal that it had.
    let doctor = said(&rig.gatehound(&["doctor"]));
    assert!(doctor.contains("fine journal persistent"), "{doctor}");
}

/// The names of the files of evidence.
fn kept(rig: &Rig) -> Vec<String> {
    let home = std::env::var_os("HOME").expect("HOME");
    let state = format!(".local/state/gatehound-{}/incidents", rig.profile);
    let files = std::fs::read_dir(Path::new(&home).join(state)).expect("the evidence");
    let names = files.map(|file| file.expect("a file").file_name());
    names
        .map(|name| name.into_string().expect("UTF-8"))
        .collect()
}
