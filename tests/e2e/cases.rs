//! Crontabs and other watchdogs as people have them, under a real user manager: a folder of `tests/cases/` is a case.
//!
//! Owns how a case is put into the machine and taken out again; what is right stands in its file `expect`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use libtest_mimic::Trial;

use crate::place;
use crate::privileged::as_root;
use crate::reading::{Case, cases};
use crate::rig::{Rig, Setup, TIMEOUT, systemctl};
use crate::watched::{FAST, event};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "crontabs_as_people_have_them_end_an_installation_as_expected",
            crontabs,
        ),
        (
            "other_watchdogs_as_people_have_them_are_named_alike_by_all",
            other_watchdogs,
        ),
    ];
    crate::named(list)
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).expect("UTF-8")
}

/// Holds that an installation ends as the case expects.
fn ends(case: &Case, install: &dyn Fn(&[&str]) -> Output) {
    let output = install(&["install", "--dry-run"]);
    let said = text(&output);
    case.holds("install", &said);
    let name = &case.name;
    let end = case
        .install()
        .unwrap_or_else(|| panic!("{name} says nothing of install"));
    let code = output.status.code();
    match end {
        "goes on" => assert_eq!(code, Some(0), "{name}: {said}"),
        "refuses" => {
            assert_eq!(code, Some(1), "{name}: {said}");
            assert!(
                said.trim_end().ends_with("--side-by-side"),
                "{name}: {said}"
            );
        }
        _ => {
            assert_eq!(code, Some(1), "{name}: {said}");
            assert!(
                said.trim_end().ends_with("install --replace-cron"),
                "{name}: {said}"
            );
            let said = text(&install(&["install", "--dry-run", "--replace-cron"]));
            assert!(said.contains("would remove   cron: "), "{name}: {said}");
        }
    }
}

fn crontabs() {
    let rig = Rig::with(&Setup {
        watched: false,
        ..Setup::default()
    });
    let all = cases("crontabs");
    assert!(11 <= all.len());
    for case in &all {
        let home = rig.folder("a-home");
        let names = [("@HOME@", home.to_str().expect("UTF-8"))];
        case.put("home", &home, &names);
        let program = home.join("bin/crontab");
        case.put("crontab", &home.join("bin/crontab.tab"), &names);
        fs::write(&program, "#!/bin/sh\n[ \"$1\" = -l ] && cat \"$0.tab\"\n")
            .expect("a crontab(1)");
        fs::set_permissions(&program, Permissions::from_mode(0o700)).expect("a program");
        ends(case, &|arguments| {
            let mut command = Command::new(place::file("gatehound"));
            command.args(["--profile", &rig.profile]).args(arguments);
            command.env(
                "PATH",
                format!("{}:/usr/bin:/bin", home.join("bin").display()),
            );
            command.env("HOME", &home).stdin(Stdio::null());
            command.output().expect("run gatehound")
        });
        fs::remove_dir_all(&home).expect("the home");
    }
}

fn other_watchdogs() {
    let rig = Rig::with(&Setup {
        settings: FAST.to_owned(),
        ..Setup::default()
    });
    rig.start_gateway();
    let all = cases("watchdogs");
    assert!(11 <= all.len());
    for case in &all {
        let there = There::new(case, &rig);
        case.holds("doctor", &text(&rig.gatehound(&["doctor"])));
        ends(case, &|arguments| rig.gatehound(arguments));
        let mark = rig.journal.mark();
        rig.start_gatehound();
        for said in case.says("run") {
            rig.journal.wait_for_after(mark, said, TIMEOUT, |record| {
                let message = record.message();
                event("warning")(record)
                    && message.starts_with("another watchdog may restart the gateway")
                    && message.contains(said)
            });
        }
        rig.wait_for_status("healthy: ", TIMEOUT);
        // What was found before is said by then.
        let asked = rig.asked();
        rig.wait_until("further checks", || asked + 2 <= rig.asked());
        if case.says("run").is_empty() {
            let records = rig.journal.all();
            let mut later = records.iter().skip(mark);
            assert!(
                !later.any(|it| it.message().starts_with("another watchdog")),
                "{}",
                case.name
            );
        }
        systemctl(&["stop", &rig.gatehound]);
        drop(there);
    }
}

/// A case that is in the machine until this is dropped.
struct There {
    files: Vec<PathBuf>,
    of_root: Vec<PathBuf>,
    units: Vec<String>,
    of_system: Vec<String>,
}

impl There {
    fn new(case: &Case, rig: &Rig) -> Self {
        let home = rig.folder("a-home");
        let names = [
            ("@HOME@", home.to_str().expect("UTF-8")),
            ("@GATEWAY@", &rig.gateway),
        ];
        let mut files = case.put("home", &home, &names);
        let units = case.put("user", &rig.unit_path(""), &names);
        let mut of_root = Vec::new();
        let mut of_system = Vec::new();
        for (folder, to) in [("system", "/run/systemd/system"), ("etc", "/etc")] {
            let copy = rig.folder("of-root");
            for file in case.put(folder, &copy, &names) {
                let target = Path::new(to).join(file.strip_prefix(&copy).expect("below it"));
                let [from, target_name] = [&file, &target].map(|it| it.to_str().expect("UTF-8"));
                as_root(&["install", "-D", "-m", "755", from, target_name]);
                of_root.push(target);
                files.push(file);
            }
            if folder == "system" {
                of_system = started(&of_root);
            }
        }
        let there = Self {
            of_system,
            units: started(&units),
            files: files.into_iter().chain(units).collect(),
            of_root,
        };
        systemctl(&["daemon-reload"]);
        as_root(&["systemctl", "daemon-reload"]);
        there
            .units
            .iter()
            .for_each(|unit| drop(systemctl(&["start", unit])));
        for unit in &there.of_system {
            as_root(&["systemctl", "start", unit]);
        }
        there
    }
}

/// Those of a case's units that start by themselves: timers, and services that something may want.
fn started(files: &[PathBuf]) -> Vec<String> {
    let starts = |path: &&PathBuf| {
        let kind = path.extension().unwrap_or_default();
        let text = fs::read_to_string(path).unwrap_or_default();
        kind == "timer" || kind == "service" && text.contains("[Install]")
    };
    let names = files
        .iter()
        .filter(starts)
        .filter_map(|path| path.file_name());
    names
        .map(|name| name.to_str().expect("UTF-8").to_owned())
        .collect()
}

impl Drop for There {
    fn drop(&mut self) {
        self.units
            .iter()
            .for_each(|unit| drop(systemctl(&["stop", unit])));
        for unit in &self.of_system {
            as_root(&["systemctl", "stop", unit]);
        }
        for file in &self.files {
            fs::remove_file(file).expect("a file of the case");
        }
        for file in &self.of_root {
            as_root(&["rm", file.to_str().expect("UTF-8")]);
        }
        systemctl(&["daemon-reload"]);
        as_root(&["systemctl", "daemon-reload"]);
    }
}
