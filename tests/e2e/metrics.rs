//! Trials of the metrics: the shipped unit can write them, they show what happened, and they harm nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::place;
use crate::privileged::as_root;
use crate::rig::{Rig, Setup, TIMEOUT, systemctl, wait_until};
use crate::watched::{FAST, event, wait_until_failing, wait_until_recovered};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "metrics_show_node_exporter_a_hung_gateway_and_its_restart",
            told,
        ),
        (
            "metrics_that_cannot_be_written_are_reported_once_and_delay_nothing",
            unwritable,
        ),
    ];
    crate::named(list)
}

/// A healthy Gatehound that writes metrics into a folder of the trial's own, and their file.
fn writing(mode: u32) -> (Rig, PathBuf) {
    let rig = Rig::with(&Setup::default());
    let folder = rig.folder("textfiles");
    fs::create_dir(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("its mode");
    let path = folder.join("gatehound.prom");
    rig.settings(&format!("{FAST}\n[metrics]\ntextfile = {path:?}"));
    rig.start_gateway();
    rig.start_gatehound();
    rig.journal
        .wait_for("a healthy gateway", TIMEOUT, event("healthy"));
    let uid = fs::metadata(&folder).expect("the folder").uid();
    let path = folder.join(format!("gatehound-{}-{}.prom", uid, rig.profile));
    (rig, path)
}

/// The value of the first series whose name and labels contain both.
fn value(path: &Path, name: &str, label: &str) -> Option<f64> {
    let page = fs::read_to_string(path).ok()?;
    let line = page
        .lines()
        .find(|line| line.starts_with(&format!("{name}{{")) && line.contains(label))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[track_caller]
fn wait_for(path: &Path, name: &str, label: &str, expected: f64) {
    wait_until(&format!("{name} {label} {expected}"), TIMEOUT, || {
        value(path, name, label) == Some(expected)
    });
}

fn told() {
    let (rig, path) = writing(0o700);
    wait_for(&path, "gatehound_gateway_up", &rig.gateway, 1.0);
    wait_for(&path, "gatehound_phase", "\"healthy\"", 1.0);
    let mode = fs::metadata(&path).expect("the file").mode();
    assert_eq!(mode & 0o777, 0o644, "node_exporter is another user");
    let last_check = || value(&path, "gatehound_last_check_timestamp_seconds", "");
    let before = last_check();
    wait_until("the next check", TIMEOUT, || last_check() > before);
    let tasks = format!("/proc/{}/task", rig.main_pid(&rig.gatehound));
    assert_eq!(fs::read_dir(tasks).expect("its threads").count(), 2);
    // What root's timer runs every 15 s says nothing, not even that others have a gateway and root has none.
    let program = place::file("gatehound");
    let program = program.to_str().expect("UTF-8");
    let collected = rig.folder("collected");
    fs::create_dir(&collected).expect("a folder");
    let collected = collected.to_str().expect("UTF-8");
    let left = as_root(&["env", "HOME=/root", program, "collect-metrics", collected]);
    assert_eq!((left.stdout.as_str(), left.stderr.as_str()), ("", ""));
    rig.mode("blocked");
    wait_until_failing(&rig, TIMEOUT, "blocked");
    wait_for(&path, "gatehound_incident_open", "", 1.0);
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
    wait_for(&path, "gatehound_incident_open", "", 0.0);
    for counter in ["incidents", "restarts", "forced_stops"] {
        wait_for(&path, &format!("gatehound_{counter}_total"), "", 1.0);
    }
    // A successor goes on counting.
    systemctl(&["restart", &rig.gatehound]);
    let before = last_check();
    wait_until("a check of the successor", TIMEOUT, || {
        last_check() > before
    });
    assert_eq!(value(&path, "gatehound_incidents_total", ""), Some(1.0));
    // The file goes with the setting, so that nothing stale is read.
    rig.settings(FAST);
    systemctl(&["reload", &rig.gatehound]);
    wait_until("the end of the file", TIMEOUT, || !path.exists());
}

fn unwritable() {
    let (rig, path) = writing(0o500);
    let warning = rig.journal.wait_for("a warning", TIMEOUT, event("warning"));
    let expected = format!("cannot write {}: ", path.display());
    assert!(warning.message().starts_with(&expected), "{warning}");
    let checked = rig.gatehound(&["settings", "check"]);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");
    assert!(said.contains("this user cannot write in "), "{said}");
    let doctor = rig.gatehound(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("gatehound-collect.timer"), "{said}");
    rig.mode("blocked");
    wait_until_recovered(&rig, TIMEOUT, "by-restart");
    let folder = path.parent().expect("a folder");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("its mode");
    wait_for(&path, "gatehound_gateway_up", "", 1.0);
    let warnings = rig.journal.all();
    let warnings = warnings.iter().filter(|one| event("warning")(one)).count();
    assert_eq!(warnings, 1, "said once, not with each check");
    let doctor = rig.gatehound(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("fine     metrics "), "{said}");
}
