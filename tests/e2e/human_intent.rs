//! Trials of what happens between Gatehound's decisions: a human's wish, its own death, somebody on the port.

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use libtest_mimic::Trial;

use crate::place;
use crate::rig::{Rig, Setup, TIMEOUT, systemctl, wait_until};
use crate::watched::{
    assert_field, event, events, from_systemd, healthy_with, invocation, wait_for_checks,
    wait_until_recovered, watched,
};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "rule_4_a_humans_stop_during_the_backoff_is_respected",
            stop_in_backoff,
        ),
        (
            "rule_8_a_humans_stop_between_stop_and_start_is_respected",
            stop_between,
        ),
        (
            "rule_8_a_successor_starts_what_its_predecessor_stopped",
            killed_between,
        ),
        (
            "rule_8_a_successor_with_wrong_settings_starts_it_all_the_same",
            killed_between_and_wrong_settings,
        ),
        (
            "rule_8_a_successor_with_wrong_settings_starts_it_after_a_pause_as_well",
            killed_while_paused_and_wrong_settings,
        ),
        (
            "rule_8_told_to_stop_between_stop_and_start_it_starts_the_gateway_first",
            told_to_stop_between,
        ),
        (
            "who_holds_the_port_is_cleaned_up_and_who_does_not_survives",
            cleanup,
        ),
        (
            "rule_4_a_gateway_that_recovers_in_the_backoff_is_left_alone",
            recovers,
        ),
        (
            "an_emergency_stop_in_the_midst_of_a_restart_ends_everything_for_good",
            emergency_stop,
        ),
        (
            "an_emergency_stop_thaws_a_frozen_gateway_first",
            emergency_stop_of_a_frozen_one,
        ),
    ];
    crate::named(list)
}

fn stop_in_backoff() {
    let rig = healthy_with(
        &[("BACKOFF", "[\"20s\"]")],
        Setup {
            notify_proxy: true,
            ..Setup::default()
        },
    );
    rig.mode("ok-false");
    rig.journal
        .wait_for("the attempt", TIMEOUT, event("backing-off"));
    systemctl(&["stop", &rig.gateway]);
    rig.wait_for_status("standing-by: stopped", TIMEOUT);
    wait_for_checks(&rig, 25);
    assert_eq!(rig.property(&rig.gateway, "ActiveState"), "inactive");
    assert!(
        !events(&rig)
            .iter()
            .any(|event| ["stopping", "starting"].contains(&event.as_str()))
    );
}

/// Somebody else's program of the same user on the gateway's port, at an address that the gateway needs.
struct Holder(Child);

impl Holder {
    /// A holder that ends at SIGTERM.
    fn new(rig: &Rig) -> Self {
        Self::with(rig, &[])
    }

    /// A holder that has to be killed, and so keeps the gateway down for the cleanup's whole grace.
    fn stubborn(rig: &Rig) -> Self {
        Self::with(rig, &["--mode", "ignores-term"])
    }

    fn with(rig: &Rig, arguments: &[&str]) -> Self {
        // By its configuration the gateway needs every address, the holder's among them.
        let home = std::path::PathBuf::from(std::env::var_os("HOME").expect("HOME"));
        let folder = home.join(format!(".openclaw-{}", rig.profile));
        std::fs::create_dir_all(&folder).expect("the gateway's folder");
        crate::rig::write(&folder.join("openclaw.json"), "{gateway: {bind: 'lan'}}");
        let mut command = Command::new(place::executable().expect("this executable"));
        command
            .args([
                "stand-in-gateway",
                "--bind",
                "127.0.0.2",
                "--port",
                &rig.port.to_string(),
            ])
            .args(arguments);
        let holder = Self(
            command
                .stdout(Stdio::null())
                .spawn()
                .expect("start the holder"),
        );
        wait_until("the holder to listen", TIMEOUT, || {
            TcpStream::connect(("127.0.0.2", rig.port)).is_ok()
        });
        holder
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().expect("ask for the holder").is_none()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for the moment at which Gatehound has stopped the gateway and a stubborn holder keeps it from starting it.
fn wait_until_stopped_by_gatehound(rig: &Rig) {
    rig.journal.wait_for("the stop", TIMEOUT, event("stopping"));
    wait_until("the gateway to be down", TIMEOUT, || {
        rig.property(&rig.gateway, "ActiveState") == "inactive"
    });
}

fn stop_between() {
    let rig = watched(Setup {
        notify_proxy: true,
        ..Setup::default()
    });
    let mut holder = Holder::stubborn(&rig);
    rig.mode("ok-false");
    wait_until_stopped_by_gatehound(&rig);
    systemctl(&["stop", &rig.gateway]);
    rig.wait_for_status("standing-by: stopped", TIMEOUT);
    wait_for_checks(&rig, 5);
    assert_eq!(rig.property(&rig.gateway, "ActiveState"), "inactive");
    assert!(!events(&rig).contains(&"starting".to_owned()));
    assert!(
        holder.lives(),
        "nobody may be killed for a gateway that a human wants down"
    );
}

fn killed_between() {
    let rig = watched(Setup::default());
    let _holder = Holder::stubborn(&rig);
    rig.mode("ok-false");
    wait_until_stopped_by_gatehound(&rig);
    let mark = rig.journal.mark();
    systemctl(&["kill", "--signal=KILL", &rig.gatehound]);
    rig.journal
        .wait_for_after(mark, "the successor", TIMEOUT, event("watching"));
    let recovered =
        rig.journal
            .wait_for_after(mark, "the end of the incident", TIMEOUT, event("recovered"));
    assert_field(&recovered, "GATEHOUND_ATTEMPT", "1");
    assert_field(&recovered, "GATEHOUND_REASON", "by-restart");
    rig.wait_until_healthy();
}

fn killed_between_and_wrong_settings() {
    let rig = watched(Setup::default());
    let before = invocation(&rig);
    let _holder = Holder::stubborn(&rig);
    rig.mode("ok-false");
    wait_until_stopped_by_gatehound(&rig);
    rig.settings("interval = 7\n");
    systemctl(&["kill", "--signal=KILL", &rig.gatehound]);
    rig.journal
        .wait_for("the refusal", TIMEOUT, from_systemd("status=78/CONFIG"));
    rig.wait_until_healthy();
    assert_ne!(invocation(&rig), before);
}

fn killed_while_paused_and_wrong_settings() {
    let rig = watched(Setup::default());
    let before = invocation(&rig);
    let _holder = Holder::stubborn(&rig);
    rig.mode("ok-false");
    wait_until_stopped_by_gatehound(&rig);
    assert!(rig.gatehound(&["pause"]).status.success());
    rig.journal
        .wait_for("the pause", TIMEOUT, event("standing-by"));
    rig.settings("interval = 7\n");
    let mark = rig.journal.mark();
    systemctl(&["kill", "--signal=KILL", &rig.gatehound]);
    let warning = rig
        .journal
        .wait_for_after(mark, "the successor", TIMEOUT, event("warning"));
    let told = "starting the gateway that was stopped before, then leaving";
    assert!(warning.message().contains(told), "{warning}");
    rig.wait_for_status("standing-by: paused", TIMEOUT);
    assert_eq!(rig.property(&rig.gateway, "ActiveState"), "inactive");
    assert!(rig.gatehound(&["resume"]).status.success());
    rig.journal
        .wait_for("the refusal", TIMEOUT, from_systemd("status=78/CONFIG"));
    rig.wait_until_healthy();
    assert_ne!(invocation(&rig), before);
}

fn told_to_stop_between() {
    let rig = watched(Setup::default());
    let before = invocation(&rig);
    let _holder = Holder::stubborn(&rig);
    rig.mode("ok-false");
    wait_until_stopped_by_gatehound(&rig);
    systemctl(&["stop", &rig.gatehound]);
    assert_eq!(rig.property(&rig.gatehound, "Result"), "success");
    rig.wait_until_healthy();
    assert_ne!(invocation(&rig), before);
}

fn cleanup() {
    let rig = watched(Setup::default());
    let mut holder = Holder::new(&rig);
    let client = TcpStream::connect(("127.0.0.1", rig.port)).expect("a client of the port");
    let mut client_process = client_of(&rig);
    let mut namesake = Command::new("sleep");
    let mut namesake = namesake
        .arg0("openclaw-gateway")
        .arg("1000")
        .spawn()
        .expect("start a namesake");
    rig.mode("ok-false");
    let cleaned_up = rig
        .journal
        .wait_for("the cleanup", TIMEOUT, event("cleaned-up"));
    assert!(
        cleaned_up.message().contains(&holder.0.id().to_string()),
        "{cleaned_up}"
    );
    assert_field(&cleaned_up, "GATEHOUND_ACTION", "cleanup");
    rig.journal
        .wait_for("the end of the incident", TIMEOUT, event("recovered"));
    assert!(!holder.lives());
    assert!(
        namesake.try_wait().expect("ask for the namesake").is_none(),
        "killed for its name"
    );
    assert!(
        client_process
            .try_wait()
            .expect("ask for the client")
            .is_none(),
        "a client of the port was killed"
    );
    drop(client);
    for mut child in [namesake, client_process] {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A process that is connected to the gateway's port.
fn client_of(rig: &Rig) -> Child {
    let stream = TcpStream::connect(("127.0.0.1", rig.port)).expect("a client of the port");
    let socket = std::os::fd::OwnedFd::from(stream);
    Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::from(socket))
        .spawn()
        .expect("start a client")
}

fn recovers() {
    let rig = healthy_with(&[("BACKOFF", "[\"2min\"]")], Setup { ..Setup::default() });
    let before = invocation(&rig);
    rig.mode("ok-false");
    rig.journal
        .wait_for("the attempt", TIMEOUT, event("backing-off"));
    rig.mode("healthy");
    wait_until_recovered(&rig, TIMEOUT, "by-itself");
    assert_eq!(invocation(&rig), before);
}

fn emergency_stop_of_a_frozen_one() {
    let rig = watched(Setup::default());
    systemctl(&["freeze", &rig.gateway]);
    rig.journal
        .wait_for("a word about it", TIMEOUT, event("standing-by"));
    let output = rig.gatehound(&["emergency-stop"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let thawed = format!("thawed     {}, which was frozen", rig.gateway);
    assert!(said.contains(&thawed), "{said}");
    let state = rig.property(&rig.gateway, "ActiveState");
    assert!(["inactive", "failed"].contains(&state.as_str()), "{state}");
}

fn emergency_stop() {
    let setup = Setup {
        notify_proxy: true,
        ..Setup::default()
    };
    // Gatehound itself would wait for the gateway's stop for longer than the trial takes.
    let rig = healthy_with(&[("STOP_TIMEOUT__HUNG", "30s")], setup);
    let mut holder = Holder::stubborn(&rig);
    rig.mode("blocked");
    rig.journal.wait_for("the stop", TIMEOUT, event("stopping"));
    let output = rig.gatehound(&["emergency-stop"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let gatehound = format!("killed     {}", rig.gatehound);
    let gateway = format!("killed     {}", rig.gateway);
    for told in [&gatehound, &gateway, "SIGKILL", "both stay down"] {
        assert!(said.contains(told), "{told} in {said}");
    }
    assert!(!holder.lives());
    // Rule 6: whoever watches next has it in its budget, although all else is forgotten.
    let folder = rig.runtime_directory();
    let kept = fs::read_to_string(folder.join("forced-stops.json")).expect("the forced stops");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    let forced = kept["state"]["forced"].as_array().map(Vec::len);
    assert_eq!(forced, Some(1), "{kept}");
    assert!(!folder.join("state.json").exists());
    let state = |unit: &str| rig.property(unit, "ActiveState");
    assert!(["inactive", "failed"].contains(&state(&rig.gatehound).as_str()));
    assert!(["inactive", "failed"].contains(&state(&rig.gateway).as_str()));
    // By which history knows until when somebody watched.
    rig.journal
        .wait_for("systemd's word on Gatehound", TIMEOUT, |record| {
            from_systemd("Failed with result")(record)
                && record.get("USER_UNIT") == Some(rig.gatehound.clone())
        });
    // Nobody still has to make the gateway a start any more.
    let mark = rig.journal.all().len();
    rig.start_gatehound();
    rig.journal
        .wait_for_after(mark, "a look at it", TIMEOUT, event("standing-by"));
    wait_for_checks(&rig, 5);
    assert!(!events(&rig).contains(&"starting".to_owned()));
    assert!(["inactive", "failed"].contains(&state(&rig.gateway).as_str()));
}
