//! The real gateway where its port is in no text that is read, and where somebody else has its port.
//!
//! Owns how its unit is written differently; knows nothing of hangs.

use std::fs;
use std::process::Command;

use super::up_and_useless::Receiver;
use super::verdicts::{hold_left_alone, note_left_alone, on_loopback};
use super::{INTERVAL, Real, START};
use crate::place;
use crate::privileged::PortHoldersProgram;
use crate::rig::{Setup, TIMEOUT, systemctl, wait_until, write};
use crate::watched::{event, invocation, is_port_taken};

/// Checks that a gateway which is never restarted goes through: more than twice the time after which one was.
const PINGS: usize = 7;

fn new() -> Real {
    on_loopback(Setup {
        notify_proxy: true,
        ..Setup::default()
    })
}

/// Rewrites the gateway's unit, of which nothing was loaded yet.
fn rewrite(real: &Real, change: impl Fn(&str) -> String) {
    let path = real.rig.unit_path(&real.rig.gateway);
    let unit = fs::read_to_string(&path).expect("the unit");
    fs::write(&path, change(&unit)).expect("the unit");
}

/// The unit without a word of its port.
fn without_port(unit: &str, port: u16) -> String {
    let unit = unit.replace(&format!(" --port {port}"), "");
    unit.replace(&format!("Environment=OPENCLAW_GATEWAY_PORT={port}\n"), "")
}

/// What the commands say of the port.
fn said(real: &Real) -> [String; 3] {
    let lines = |arguments: &[&str], of: &str| {
        let output = real.rig.gatehound(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(of)).collect();
        lines.join(" / ")
    };
    [
        lines(&["check"], "port "),
        lines(&["doctor"], "port "),
        lines(&["settings", "show"], "gateway.port "),
    ]
}

/// Holds that a gateway that serves on its rig's port is pinged for, check after check, and never restarted.
fn hold_found(case: &str, real: &Real) -> [String; 3] {
    let rig = &real.rig;
    rig.journal
        .wait_for("a healthy gateway", START, event("healthy"));
    let before = invocation(rig);
    let pings = || {
        let sent = rig.notified();
        let pings = sent.iter().filter(|sent| sent.text.contains("WATCHDOG=1"));
        pings.count()
    };
    wait_until("its pings", INTERVAL * 7 + START, || PINGS <= pings());
    let said = said(real);
    eprintln!("real: {case}: {said:#?}");
    hold_left_alone(case, real, &before);
    said
}

fn start(real: &Real) {
    systemctl(&["start", &real.rig.gateway]);
    real.rig.start_gatehound();
}

pub fn environment_file() {
    let real = new();
    let port = real.rig.port;
    let file = real.rig.folder("gateway.env");
    write(&file, &format!("OPENCLAW_GATEWAY_PORT={port}\n"));
    real.configure_without_port();
    rewrite(&real, |unit| {
        let file = format!("[Service]\nEnvironmentFile={}\n", file.display());
        without_port(unit, port).replace("[Service]\n", &file)
    });
    start(&real);
    let [check, doctor, _] = hold_found("the port only in `EnvironmentFile=`", &real);
    let named = format!("{port} on 127.0.0.1, where the unit listens; ");
    assert!(check.contains(&named), "{check}");
    assert!(doctor.contains(&port.to_string()), "{doctor}");
}

pub fn behind_bash() {
    let real = new();
    let port = real.rig.port;
    real.configure_without_port();
    rewrite(&real, |unit| {
        let unit = unit.replace(&format!("Environment=OPENCLAW_GATEWAY_PORT={port}\n"), "");
        let lines = unit
            .lines()
            .map(|line| match line.strip_prefix("ExecStart=") {
                Some(command) => format!(
                    "ExecStart=/bin/bash -lc '{}'\n",
                    command.trim_end().replace('"', "")
                ),
                None => format!("{line}\n"),
            });
        lines.collect()
    });
    start(&real);
    let [check, doctor, _] = hold_found("`ExecStart=/bin/bash -lc '… --port …'`", &real);
    for said in [check, doctor] {
        assert!(said.contains(&port.to_string()), "{said}");
    }
}

pub fn edited_while_running() {
    let real = new();
    let port = real.rig.port;
    rewrite(&real, |unit| without_port(unit, port));
    real.configure(r#"bind: "loopback", reload: { mode: "off" }"#);
    start(&real);
    real.rig
        .journal
        .wait_for("a healthy gateway", START, event("healthy"));
    let text = fs::read_to_string(real.config()).expect("openclaw.json");
    let other = crate::rig::free_port();
    let edited = text.replace(&port.to_string(), &other.to_string());
    assert_ne!(edited, text);
    fs::write(real.config(), edited).expect("openclaw.json");
    let [check, doctor, _] = hold_found("the port edited in openclaw.json while it runs", &real);
    let named = format!("{port} on 127.0.0.1, where the unit listens; {other} was expected");
    assert!(check.contains(&named), "{check}");
    assert!(doctor.contains(&port.to_string()), "{doctor}");
}

/// Holds that whoever has the port is named in status, journal and alert as soon as Gatehound has looked once.
fn hold_named(case: &str, real: &Real, receiver: &Receiver, names: &[&str]) {
    let rig = &real.rig;
    let began = super::now();
    start(real);
    let standing_by = rig
        .journal
        .wait_for("a word about it", INTERVAL + TIMEOUT, is_port_taken);
    let (status, text) = (rig.status_text(), standing_by.message());
    let noticed = standing_by.monotonic().saturating_sub(began);
    let alert = receiver.next(INTERVAL + TIMEOUT);
    let arrived = super::now() - began;
    eprintln!(
        "real: {case}: said after {noticed:.1?}, alert after {arrived:.1?}\n  status: {status}\n  journal: {text}\n  alert: {alert}"
    );
    for name in names {
        for said in [&status, &text, &alert] {
            assert!(said.contains(name), "no {name}: {said}");
        }
    }
    note_left_alone(case, rig);
    assert!(
        noticed < INTERVAL && arrived < INTERVAL,
        "more than a check: {noticed:?}, {arrived:?}"
    );
}

pub fn another_users() {
    let receiver = Receiver::new();
    let real = receiver.gateway();
    let port = real.rig.port.to_string();
    let executable = place::executable().expect("this executable");
    let executable = executable.to_str().expect("a path in UTF-8");
    let unit = format!("{}-holder", real.rig.profile);
    let program = [executable, "stand-in-gateway", "gateway", "--port", &port];
    let _holder = PortHoldersProgram::start(&unit, &program);
    real.rig.wait_until_healthy();
    let user = crate::privileged::port_holder();
    hold_named("another user has the port", &real, &receiver, &[&user]);
    assert!(real.rig.healthy(), "the other user's program is gone");
}

pub fn another_units() {
    let receiver = Receiver::new();
    let real = receiver.gateway();
    let port = real.rig.port.to_string();
    let executable = place::executable().expect("this executable");
    let unit = format!("{}-proxy.service", real.rig.profile);
    let started = Command::new("systemd-run")
        .args(["--user", "--collect", &format!("--unit={unit}")])
        .arg(executable)
        .args(["stand-in-gateway", "gateway", "--port", &port])
        .output()
        .expect("systemd-run");
    assert!(started.status.success(), "{started:?}");
    real.rig.wait_until_healthy();
    hold_named("another unit has the port", &real, &receiver, &[&unit]);
    assert!(real.rig.healthy(), "the other unit's program is gone");
    systemctl(&["stop", &unit]);
}
