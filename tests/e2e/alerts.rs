//! Trials of alerts: they arrive, and what they go to delays nothing.
//!
//! Owns a receiver in the trial's own process and the unit that delivers to it.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::place;
use crate::rig::{PATIENCE, Rig, Setup, quoted, systemctl, wait_until, write};
use crate::watched::{FAST, event, wait_until_failing, wait_until_recovered};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "a_hung_gateway_is_told_to_be_down_and_to_be_back_past_a_receiver_that_refuses_once",
            told,
        ),
        ("a_receiver_that_hangs_delays_no_recovery", hanging),
        (
            "without_the_unit_that_delivers_alerts_the_gateway_is_brought_back_all_the_same",
            without_unit,
        ),
    ];
    crate::named(list)
}

/// A vouching Gatehound with the short settings, whose alerts are delivered by a unit of the trial's own.
struct Alerting {
    rig: Rig,
    unit: String,
}

impl Alerting {
    /// `alert` are lines of the table `alert`, `service` of the drop-in of the unit.
    fn new(alert: &str, service: &str) -> Self {
        let this = Self::stopped(alert);
        let unit = fs::read_to_string(place::file("units/gatehound-alert@.service"));
        let unit = unit.expect("the shipped unit");
        let arguments = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart=%h/.local/bin/gatehound"))
            .expect("the shipped unit's ExecStart=");
        let program = quoted(&place::file("gatehound"));
        write(&this.rig.unit_path(&this.unit), &unit);
        write(
            &this.drop_ins().join("e2e.conf"),
            &format!("[Service]\nExecStart=\nExecStart={program}{arguments}\n{service}\n"),
        );
        this.start();
        this
    }

    fn stopped(alert: &str) -> Self {
        let rig = Rig::with(&Setup {
            settings: format!("{FAST}\n{alert}"),
            ..Setup::default()
        });
        let unit = format!("gatehound-alert@{}.service", rig.profile);
        Self { rig, unit }
    }

    fn start(&self) {
        self.rig.start_gateway();
        self.rig.start_gatehound();
        self.rig
            .journal
            .wait_for("a healthy gateway", PATIENCE, event("healthy"));
    }

    fn drop_ins(&self) -> PathBuf {
        self.rig.unit_path(&format!("{}.d", self.unit))
    }

    fn state(&self) -> PathBuf {
        let home = env::var_os("HOME").expect("HOME");
        let name = format!(".local/state/gatehound-{}", self.rig.profile);
        Path::new(&home).join(name)
    }

    fn waiting(&self) -> usize {
        fs::read_dir(self.state().join("alerts")).map_or(0, Iterator::count)
    }
}

impl Drop for Alerting {
    fn drop(&mut self) {
        systemctl(&["stop", &self.rig.gatehound]);
        systemctl(&["stop", &self.unit]);
        let _ = fs::remove_file(self.rig.unit_path(&self.unit));
        let _ = fs::remove_dir_all(self.drop_ins());
        let _ = fs::remove_dir_all(self.state());
    }
}

/// What each connection to a port of its own is served with, and what comes of it.
fn receiver<T: Send + 'static>(
    mut serve: impl FnMut(TcpStream) -> T + Send + 'static,
) -> (u16, Receiver<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let (sender, received): (Sender<T>, _) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let served = serve(stream.expect("a connection"));
            if sender.send(served).is_err() {
                return;
            }
        }
    });
    (port, received)
}

/// The body of one request, which is answered with a status.
fn taken(stream: &mut TcpStream, status: &str) -> Value {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).expect("a request");
        text.extend_from_slice(&buffer[..length]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let body = so_far.split_once("\r\n\r\n").map(|(_, body)| body);
        if let Some(body) = body.and_then(|body| serde_json::from_str(body).ok()) {
            let head = "Content-Length: 0\r\nConnection: close";
            write!(stream, "HTTP/1.1 {status}\r\n{head}\r\n\r\n").expect("an answer");
            return body;
        }
        assert_ne!(length, 0, "no JSON in {so_far}");
    }
}

fn told() {
    let mut refused = false;
    let (port, received) = receiver(move |mut stream| {
        let status = if refused { "200 OK" } else { "503 Not now" };
        refused = true;
        (status, taken(&mut stream, status))
    });
    let next = || {
        let (status, told) = received.recv_timeout(PATIENCE).expect("an alert");
        let word = |name: &str| told[name].as_str().expect("a word").to_owned();
        (status, word("kind"), word("incident"), word("unit"))
    };
    // The credential's file is where systemd reads it, and the settings do not say.
    let runtime = PathBuf::from(env::var_os("XDG_RUNTIME_DIR").expect("XDG_RUNTIME_DIR"));
    let secret = runtime.join(format!("alert-url-{port}"));
    fs::write(&secret, format!("http://127.0.0.1:{port}/s3cr3t\n")).expect("a secret");
    let alerting = Alerting::new(
        "[alert.webhook]\nurl_credential = \"alert-url\"",
        &format!(
            "LoadCredential=alert-url:{}\nRestartSec=1s",
            secret.display()
        ),
    );
    let rig = &alerting.rig;
    rig.mode("blocked");
    let failing = wait_until_failing(rig, PATIENCE, "blocked");
    let incident = failing.get("GATEHOUND_INCIDENT").expect("an incident");
    let down = |status| {
        (
            status,
            "down".to_owned(),
            incident.clone(),
            rig.gateway.clone(),
        )
    };
    assert_eq!(next(), down("503 Not now"));
    assert_eq!(next(), down("200 OK"));
    wait_until_recovered(rig, PATIENCE, "by-restart");
    let (status, kind, ..) = next();
    assert_eq!((status, kind.as_str()), ("200 OK", "back"));
    wait_until("the queue to be empty", PATIENCE, || {
        alerting.waiting() == 0
    });
    fs::remove_file(&secret).expect("the secret");
}

fn hanging() {
    let (port, received) = receiver(|stream| stream);
    let alert =
        format!("[alert]\ntimeout = \"1min\"\n[alert.webhook]\nurl = \"http://127.0.0.1:{port}/\"");
    let alerting = Alerting::new(&alert, "");
    let rig = &alerting.rig;
    rig.mode("blocked");
    // Held open to the end, so that the delivery hangs all the while.
    let _connection = received.recv_timeout(PATIENCE).expect("a connection");
    wait_until_recovered(rig, PATIENCE, "by-restart");
    wait_until("the alert about the end", PATIENCE, || {
        alerting.waiting() == 2
    });
    assert_eq!(rig.property(&alerting.unit, "ActiveState"), "activating");
}

fn without_unit() {
    let alerting = Alerting::stopped("[alert]\ncommand = [\"/bin/true\"]");
    let rig = &alerting.rig;
    // Whatever template is installed for this user, this instance has no unit.
    let mask = rig.unit_path(&alerting.unit);
    std::os::unix::fs::symlink("/dev/null", &mask).expect("a masked unit");
    alerting.start();
    rig.mode("blocked");
    wait_until_recovered(rig, PATIENCE, "by-restart");
    wait_until("both alerts", PATIENCE, || alerting.waiting() == 2);
    rig.journal
        .wait_for("a warning", Duration::from_secs(5), |record| {
            event("warning")(record) && record.message().contains("run gatehound install")
        });
    systemctl(&["stop", &rig.gatehound]);
    rig.journal
        .wait_for("the end of the watch", PATIENCE, event("leaving"));
    let warnings = rig
        .journal
        .all()
        .iter()
        .filter(|one| event("warning")(one))
        .count();
    assert_eq!(warnings, 1, "said once, not with each alert");
}
