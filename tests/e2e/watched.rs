//! What the trials of Gatehound share: short settings, and how its records are recognised.

use std::time::Duration;

use crate::journal::Record;
use crate::rig::{Rig, Setup, TIMEOUT, wait_until};

/// Settings under which nothing takes longer than it must; a trial that measures a default sets it itself.
pub const FAST: &str = r#"
interval = "1s"
debounce = "0s"
backoff = ["1s", "1s", "1s"]
[probe]
http_timeout = "1s"
health_timeout = "1s"
[grace]
interval = "500ms"
gone = "500ms"
blocked = "1s"
answering = "500ms"
busy = "2s"
starved = "2s"
disk = "2s"
starting = "5s"
starting_idle = "5s"
[stop_timeout]
stuck = "1s"
hung = "1s"
draining = "3s"
"#;

/// A gateway and a Gatehound that pings for it, under the short settings.
pub fn watched(setup: Setup) -> Rig {
    healthy_with(&[], setup)
}

/// As [`healthy`], with settings of the trial's own, each the name of a variable without its prefix and a value.
pub fn healthy_with(own: &[(&str, &str)], setup: Setup) -> Rig {
    let rig = Rig::with(&short(own, setup));
    rig.start_gateway();
    rig.start_gatehound();
    rig.journal
        .wait_for("a healthy gateway", TIMEOUT, event("healthy"));
    rig
}

/// The short settings, with the trial's own over them.
pub fn short(own: &[(&str, &str)], setup: Setup) -> Setup {
    let variable =
        |(name, value): &(&str, &str)| format!("Environment='GATEHOUND_{name}={value}'\n");
    let variables: String = own.iter().map(variable).collect();
    Setup {
        settings: FAST.to_owned(),
        gatehound_service: variables + &setup.gatehound_service,
        ..setup
    }
}

/// Recognises a record by its `GATEHOUND_EVENT=`.
pub fn event(name: &str) -> impl Fn(&Record) -> bool {
    move |record| record.get("GATEHOUND_EVENT").as_deref() == Some(name)
}

/// Recognises what the user manager writes about a unit.
pub fn from_systemd(text: &str) -> impl Fn(&Record) -> bool {
    move |record| {
        record.get("SYSLOG_IDENTIFIER").as_deref() == Some("systemd")
            && record.message().contains(text)
    }
}

/// Everything Gatehound decided in this trial, by event.
pub fn events(rig: &Rig) -> Vec<String> {
    rig.journal
        .all()
        .iter()
        .filter_map(|record| record.get("GATEHOUND_EVENT"))
        .collect()
}

/// Holds that a field of a record has this value.
#[track_caller]
pub fn assert_field(record: &Record, field: &str, expected: &str) {
    assert_eq!(record.get(field).as_deref(), Some(expected), "{record}");
}

/// What a look may take this stall for on a machine that has no time for the gateway: a stall that is given more
/// grace. The other way round is a fault.
pub fn more_careful(stall: &str) -> &'static [&'static str] {
    match stall {
        "busy" => &["starved"],
        "blocked" => &["busy", "starved"],
        "deadlocked" => &["blocked", "busy", "starved"],
        _ => &[],
    }
}

/// Waits until this stall is named in the incident that this record opens.
#[track_caller]
pub fn wait_until_named(rig: &Rig, failing: &Record, within: Duration, stall: &str) {
    let seen = failing.get("GATEHOUND_STALL").unwrap_or_default();
    let errs = more_careful(stall).contains(&seen.as_str());
    assert!(
        seen == stall || errs,
        "{stall} was taken for {seen}: {failing}"
    );
    // One that burns CPU is starved for as long as the machine has no time for it.
    if seen == stall || stall == "busy" {
        return;
    }
    rig.journal.wait_for("the stall", within, |record| {
        let corrects = event("failing-otherwise")(record) || event("backing-off")(record);
        corrects
            && failing.monotonic() < record.monotonic()
            && record.get("GATEHOUND_STALL").as_deref() == Some(stall)
    });
}

/// Waits for the check that opens an incident, and until this stall is named; gives the record of that check.
#[track_caller]
pub fn wait_until_failing(rig: &Rig, within: Duration, stall: &str) -> Record {
    let failing = rig
        .journal
        .wait_for("the failing check", within, event("failing"));
    wait_until_named(rig, &failing, within, stall);
    failing
}

/// Waits for the end of the incident, which has to have this reason, and for the gateway to answer.
#[track_caller]
pub fn wait_until_recovered(rig: &Rig, within: Duration, reason: &str) -> Record {
    let recovered = rig
        .journal
        .wait_for("the end of the incident", within, event("recovered"));
    assert_field(&recovered, "GATEHOUND_REASON", reason);
    rig.wait_until_healthy();
    recovered
}

/// Recognises the record that somebody else has the gateway's port.
pub fn is_port_taken(record: &Record) -> bool {
    event("standing-by")(record) && record.get("GATEHOUND_REASON").as_deref() == Some("port-taken")
}

/// Waits until it is said that somebody else has the gateway's port.
#[track_caller]
pub fn wait_until_port_taken(rig: &Rig) -> Record {
    rig.journal
        .wait_for("a word about who has the port", TIMEOUT, is_port_taken)
}

/// Holds that Gatehound laid no hand on the gateway.
#[track_caller]
pub fn assert_not_restarted(rig: &Rig) {
    let acts: Vec<_> = rig
        .journal
        .all()
        .iter()
        .filter_map(|record| record.get("GATEHOUND_ACTION"))
        .collect();
    assert!(acts.is_empty(), "Gatehound acted: {acts:?}");
}

/// Waits until Gatehound has looked this many more times; needs [`Setup::notify_proxy`].
pub fn wait_for_checks(rig: &Rig, checks: usize) {
    let told = || {
        rig.notified()
            .iter()
            .filter(|datagram| datagram.text.contains("WATCHDOG"))
            .count()
    };
    let before = told();
    wait_until("more checks", TIMEOUT, || before + checks <= told());
}

/// The name of the gateway's current run.
pub fn invocation(rig: &Rig) -> String {
    rig.property(&rig.gateway, "InvocationID")
}

/// The time from one record to a later one.
pub fn between(earlier: &Record, later: &Record) -> Duration {
    later.monotonic().saturating_sub(earlier.monotonic())
}
