//! The real gateway that is up and of no use: what arrives on a phone, word for word.
//!
//! Owns a receiver of alerts in the trial's own process.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use super::verdicts::{note_left_alone, on_loopback, on_request};
use super::{BREAKER_TRIPPED, INTERVAL, Real, START};
use crate::alerts::{receiver, taken};
use crate::rig::{Setup, TIMEOUT, systemctl, wait_until};
use crate::watched::{event, invocation};

/// `/ready` is read every 2 min, and what it lists is said after `degraded_after` of 5 min.
const DEGRADED_SAID: Duration = Duration::from_secs((2 + 5 + 2) * 60);

/// A webhook that takes whatever it is sent.
pub struct Receiver {
    port: u16,
    received: mpsc::Receiver<Value>,
}

impl Receiver {
    pub fn new() -> Self {
        let (port, received) = receiver(|mut stream| taken(&mut stream, "200 OK"));
        Self { port, received }
    }

    /// A gateway whose Gatehound sends its alerts here, by the shipped unit.
    pub fn gateway(&self) -> Real {
        let port = self.port;
        let real = on_loopback(Setup {
            settings: format!("[[alert.channel]]\nurl = \"http://127.0.0.1:{port}/\"\n"),
            ..Setup::default()
        });
        let unit = format!("gatehound-alert@{}.service", real.rig.profile);
        real.rig
            .install_template("gatehound-alert@.service", &unit, "");
        real
    }

    /// What the next alert says.
    pub fn next(&self, within: Duration) -> String {
        let alert = self.received.recv_timeout(within).expect("an alert");
        eprintln!("real: on a phone: {alert}");
        alert.to_string()
    }
}

/// A healthy one.
fn once_healthy(receiver: &Receiver) -> Real {
    let real = receiver.gateway();
    real.start();
    real.rig.start_gatehound();
    real.rig
        .journal
        .wait_for("a healthy gateway", TIMEOUT, event("healthy"));
    real
}

pub fn breaker() {
    let receiver = Receiver::new();
    let real = once_healthy(&receiver);
    let rig = &real.rig;
    for _ in 0..3 {
        let before = invocation(rig);
        systemctl(&["kill", "--signal=SIGKILL", &rig.gateway]);
        wait_until("another run", TIMEOUT, || invocation(rig) != before);
        wait_until("it to be healthy", START, || rig.healthy());
    }
    let tripped = || !real.said(BREAKER_TRIPPED).is_empty();
    wait_until("the breaker", TIMEOUT, tripped);
    let said = rig
        .journal
        .wait_for("the breaker", INTERVAL * 2 + TIMEOUT, event("degraded"));
    eprintln!("real: breaker: {said}");
    let alert = loop {
        let alert = receiver.next(TIMEOUT);
        if alert.contains(BREAKER_TRIPPED) {
            break alert;
        }
    };
    assert!(alert.contains("channels"), "{alert}");
    note_left_alone("its crash-loop breaker tripped", rig);
}

pub fn channel() {
    let receiver = Receiver::new();
    let real = once_healthy(&receiver);
    let rig = &real.rig;
    let before = invocation(rig);
    let failing = on_request(
        "/ready",
        "response.writeHead(503, { 'Content-Type': 'application/json' })\
         .end('{\"ready\":false,\"failing\":[\"telegram\"],\"uptimeMs\":1000}')",
    );
    let began = real.hang(&failing);
    let said = rig
        .journal
        .wait_for("the channel", DEGRADED_SAID, event("degraded"));
    eprintln!(
        "real: a channel: said after {:.1?}: {said}",
        said.monotonic().saturating_sub(began)
    );
    let alert = receiver.next(TIMEOUT);
    assert!(alert.contains("telegram"), "{alert}");
    let check = rig.gatehound(&["check"]);
    let check = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.contains("telegram"), "{check}");
    real.hang("process.getBuiltinModule('http').Server.prototype.emit = process.getBuiltinModule('events').prototype.emit");
    rig.journal.wait_for(
        "the end of it",
        INTERVAL * 4 + TIMEOUT,
        event("no-longer-degraded"),
    );
    receiver.next(TIMEOUT);
    note_left_alone("a channel that fails for 6 min", rig);
    assert_eq!(invocation(rig), before);
}
