//! What a person hears of each way in which a gateway can be down, after how long, and with which command.
//!
//! Owns the table of `tests/README.md`: the policy is run in the toy world, and what it leads to is put into words as
//! for an alert (rule 11).

use std::{fs, time::Duration};

use crate::{
    alerts::alert::{Alert, Reported, due},
    policy::{
        facts::{Monotonic, Stall},
        tests::world::{Active, World, healthy, secs},
    },
    settings::Kind,
    text::words::{Names, span},
};

const NAMES: Names<'static> = Names {
    unit: "openclaw-gateway.service",
    profile: "",
};

/// What is the matter, and how it begins with a gateway that was healthy.
type Trouble = (&'static str, fn(&mut World));

fn starts_anew(world: &mut World, stall: Stall) {
    world.breaks(stall);
    world.human_restarts();
    world.state.next = world.now + secs(2);
}

fn troubles() -> Vec<Trouble> {
    vec![
        ("it is stopped by a signal", |world| {
            world.breaks(Stall::Stopped);
        }),
        ("it is deadlocked", |world| world.breaks(Stall::Deadlocked)),
        ("it listens no more", |world| world.breaks(Stall::Gone)),
        ("it answers wrongly", |world| world.breaks(Stall::Answering)),
        ("it sleeps, nobody knows for what", |world| {
            world.breaks(Stall::Blocked);
        }),
        ("it waits for the disk", |world| world.breaks(Stall::Disk)),
        ("it burns CPU", |world| world.breaks(Stall::Busy)),
        ("it waits for its child", |world| {
            world.breaks(Stall::Waiting);
        }),
        ("it is starved", |world| world.breaks(Stall::Starved)),
        ("it starts and never listens, with progress", |world| {
            starts_anew(world, Stall::Gone);
        }),
        ("it starts and never listens, without progress", |world| {
            world.progress = Some(false);
            starts_anew(world, Stall::Gone);
        }),
        ("it cannot be stopped", |world| {
            world.ignores_sigterm = true;
            world.ignores_sigkill = true;
            world.breaks(Stall::Blocked);
        }),
        ("`config-error`: it exits with status 78", |world| {
            world.exits(78);
        }),
        ("`port-taken`: somebody else has its port", |world| {
            world.port_holder = true;
            world.breaks(Stall::Gone);
            world.exits(1);
        }),
        ("`paused`: it is down under a pause", |world| {
            world.paused = true;
            world.exits(78);
        }),
        ("`updating`: it is down, an update goes on", |world| {
            world.updating = true;
            world.breaks(Stall::Gone);
        }),
        ("`debugged`: a tracer holds it", |world| {
            world.debugged = true;
            world.breaks(Stall::Stopped);
        }),
        ("`frozen`: somebody has frozen it", |world| {
            world.frozen = true;
            world.breaks(Stall::Stopped);
        }),
        ("`no-unit`: its unit is gone", |world| {
            world.no_unit = true;
            world.breaks(Stall::Gone);
        }),
        ("`no-bus`: systemd does not answer, it hangs", |world| {
            world.no_bus = true;
            world.breaks(Stall::Blocked);
        }),
        ("`in-transition`: its start never ends", |world| {
            world.breaks(Stall::Gone);
            world.active = Active::Activating {
                until: Monotonic(u64::MAX),
            };
        }),
        ("`stopped`: a human stopped it", World::human_stops),
        ("its start is refused each time", |world| {
            world.unmet_condition = true;
            world.breaks(Stall::Gone);
            world.run_until("restarting");
        }),
    ]
}

/// The alerts of the first hours, each with the time since the begin of the trouble.
fn heard(trouble: fn(&mut World)) -> Vec<(Duration, Alert)> {
    let mut world = healthy();
    let mut reported = Reported::default();
    let mut heard = Vec::new();
    trouble(&mut world);
    let begin = world.now;
    // The toy world takes every stop under a tracer for a fault, also when the tracer has used its time.
    let end = begin + secs(if world.debugged { 29 * 60 } else { 2 * 3600 });
    while world.now < end && !world.left {
        world.next_check();
        let (now, state) = (world.now, &world.state);
        let (then, alert) = due(&world.settings, reported, state, NAMES, now);
        reported = then;
        heard.extend(alert.map(|alert| (now.since(begin), alert)));
    }
    heard
}

fn row(what: &str, heard: &[(Duration, Alert)]) -> String {
    let prefix = format!("{}: ", NAMES.unit);
    let cell = |(after, alert): &(Duration, Alert)| {
        let text = alert.text.as_str();
        let text = text
            .strip_prefix(&prefix)
            .unwrap_or(text)
            .replace('|', "\\|");
        format!("{} | {text}", span(*after))
    };
    let down = heard.first().map_or("| ".to_owned(), cell);
    let human = heard
        .iter()
        .find(|(_, alert)| alert.kind == Kind::NeedsHuman);
    let is_first = heard
        .first()
        .is_some_and(|(_, alert)| alert.kind == Kind::NeedsHuman);
    let human = human.filter(|_| !is_first).map_or("| ".to_owned(), cell);
    format!("| {what} | {down} | {human} |\n")
}

#[test]
fn rule_11_each_trouble_is_heard_of_as_the_page_says() {
    let mut table = "| what is the matter | first heard after | what is said | a human is called after | what is said |\n|---|---|---|---|---|\n".to_owned();
    for (what, trouble) in troubles() {
        table += &row(what, &heard(trouble));
    }
    let name = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/README.md");
    let page = fs::read_to_string(name).unwrap();
    let (begin, end) = ("<!-- heard: begin -->\n", "<!-- heard: end -->");
    let (before, behind) = page.split_once(begin).unwrap();
    let (known, behind) = behind.split_once(end).unwrap();
    if std::env::var_os("GATEHOUND_TEST_PRINT").is_some() {
        fs::write(name, format!("{before}{begin}{table}{end}{behind}")).unwrap();
    }
    assert!(
        known == table,
        "the page is older than the policy: GATEHOUND_TEST_PRINT=1 cargo test --lib heard"
    );
}
