//! Trials of `gatehound install` and `uninstall`, for a profile of their own.
//!
//! An installation reloads the user manager, which disturbs trials beside it, so these run after all others.

use std::env;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use libtest_mimic::Trial;

use crate::place;
use crate::rig::{PATIENCE, Rig, Setup, systemctl};
use crate::watched::{FAST, event, incarnation};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[(
        "install_leads_to_a_watched_gateway_and_uninstall_leaves_it_as_it_was",
        install,
    )];
    crate::named(list)
}

fn home(path: &str) -> PathBuf {
    Path::new(&env::var_os("HOME").expect("HOME")).join(path)
}

/// What `install` puts into place, in the home.
const INSTALLED: [&str; 10] = [
    ".local/bin/gatehound",
    ".config/systemd/user/gatehound.service",
    ".config/systemd/user/gatehound@.service",
    ".config/systemd/user/gatehound-alert.service",
    ".config/systemd/user/gatehound-alert@.service",
    ".config/systemd/user/gatehound-tidy.service",
    ".config/systemd/user/gatehound-tidy.timer",
    ".local/share/man/man1/gatehound.1",
    ".local/share/man/man5/gatehound.toml.5",
    ".local/share/man/man8/gatehound.service.8",
];

const TIMER: &str = "gatehound-tidy.timer";

/// The timer is armed for the night, and what it starts does its work inside its sandbox.
fn tidy(rig: &Rig) {
    assert_eq!(rig.property(TIMER, "ActiveState"), "active");
    let due = rig.property(TIMER, "NextElapseUSecRealtime");
    assert!(due.contains("03:00:00"), "{due}");
    let logs = Path::new("/tmp/openclaw");
    let [old, young] = ["gatehound-e2e-old.log", "gatehound-e2e-young.log"].map(|it| logs.join(it));
    fs::create_dir_all(logs).expect("a folder for logs");
    fs::set_permissions(logs, Permissions::from_mode(0o700)).expect("a folder of our own");
    for path in [&old, &young] {
        fs::write(path, "a line\n").expect("a log");
    }
    let log = File::options().write(true).open(&old).expect("the log");
    let then = SystemTime::now() - Duration::from_secs(8 * 24 * 3600);
    log.set_modified(then).expect("an old log");
    systemctl(&["start", "gatehound-tidy.service"]);
    assert!(!old.exists() && young.exists());
    fs::remove_file(&young).expect("the young log");
}

/// A new installation has no problems, and what is wrong with it later is found with what mends it.
fn doctor(rig: &Rig) {
    let examined = |status: i32| {
        let output = rig.gatehound(&["doctor"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(status), "{said}");
        said
    };
    let has = |said: &str, severity: &str, what: &str| {
        let found = |line: &str| line.starts_with(severity) && line.contains(what);
        assert!(said.lines().any(found), "no {severity} {what:?} in {said}");
    };
    // A throwaway machine has no persistent journal, and a stand-in gateway no unit file of the real one.
    let said = examined(1);
    has(&said, "fine", &format!("{} is running", rig.gatehound));
    has(&said, "fine", "its unit is the one of this version");
    has(&said, "fine", "healthy, /health");
    has(&said, "fine", "linger     on");

    let unit = home(INSTALLED[2]);
    let shipped = fs::read_to_string(&unit).expect("the unit");
    fs::write(&unit, format!("{shipped}\n")).expect("another unit");
    systemctl(&["stop", &rig.gatehound]);
    let said = examined(2);
    has(&said, "PROBLEM", "is inactive, so nobody watches");
    assert!(said.contains(&format!("→ systemctl --user start {}", rig.gatehound)));
    has(&said, "warning", "is not the unit of this version");
    fs::write(&unit, shipped).expect("the unit as it was");
    systemctl(&["start", &rig.gatehound]);
    rig.wait_for_status("vouching: gateway healthy", PATIENCE);
}

fn run(rig: &Rig, arguments: &[&str]) -> String {
    let output = rig.gatehound(arguments);
    assert!(
        output.status.success(),
        "gatehound {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn install() {
    let in_use: Vec<_> = INSTALLED
        .iter()
        .filter(|path| home(path).exists())
        .collect();
    assert!(
        in_use.is_empty(),
        "a Gatehound is installed for this user ({in_use:?}); uninstall it, or run the suite as root"
    );
    let rig = Rig::with(&Setup {
        watched: false,
        ..Setup::default()
    });
    rig.settings(FAST);
    rig.start_gateway();
    let gateway = fs::read(rig.unit_path(&rig.gateway)).expect("the gateway's unit");
    let before = incarnation(&rig);

    let said = run(&rig, &["install", "--dry-run"]);
    assert!(
        said.contains("would install") && said.contains("would enable and start"),
        "{said}"
    );
    assert!(
        INSTALLED.iter().all(|path| !home(path).exists()),
        "a dry run installed something"
    );

    let said = run(&rig, &["install"]);
    assert!(
        said.contains(&format!("started    {}", rig.gatehound)),
        "{said}"
    );
    assert!(
        said.contains(&format!("watching   {}", rig.gateway)),
        "{said}"
    );
    rig.wait_for_status("vouching: gateway healthy", PATIENCE);
    assert_eq!(
        fs::read(home(INSTALLED[0])).unwrap(),
        fs::read(place::file("gatehound")).unwrap()
    );
    assert_eq!(rig.property(&rig.gatehound, "UnitFileState"), "enabled");
    let mut verify = Command::new("systemd-analyze");
    // man(1) finds the pages by itself where a login has put ~/.local/bin into PATH.
    verify
        .args(["--user", "verify", "gatehound.service"])
        .env("MANPATH", home(".local/share/man"));
    let verified = verify.output().unwrap();
    assert!(
        verified.status.success() && verified.stderr.is_empty(),
        "{verified:?}"
    );

    tidy(&rig);
    doctor(&rig);

    let own_run = rig.property(&rig.gatehound, "InvocationID");
    let said = run(&rig, &["install"]);
    assert!(
        said.contains("unchanged") && !said.contains("installed"),
        "{said}"
    );
    assert_eq!(
        rig.property(&rig.gatehound, "InvocationID"),
        own_run,
        "a repeated install restarted what runs"
    );
    assert_eq!(incarnation(&rig), before);

    rig.mode("blocked");
    rig.journal
        .wait_for("the end of the incident", PATIENCE, event("recovered"));
    assert_eq!(
        fs::read(rig.unit_path(&rig.gateway)).expect("the gateway's unit"),
        gateway
    );

    let before = incarnation(&rig);
    run(&rig, &["uninstall"]);
    assert!(
        INSTALLED.iter().all(|path| !home(path).exists()),
        "uninstall left something"
    );
    assert_eq!(rig.property(&rig.gatehound, "LoadState"), "not-found");
    assert_eq!(rig.property(TIMER, "LoadState"), "not-found");
    assert_eq!(incarnation(&rig), before);
    assert!(rig.healthy());
}
