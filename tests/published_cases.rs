//! Configurations and crontabs as people have them, through `gatehound doctor`: a folder of `tests/cases/` is a case.
//!
//! Owns the home that a case is put into; what is expected of it stands in its own file `expect`.
//! `tests/e2e/cases.rs` tries what needs a user manager.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[path = "cases/reading.rs"]
mod reading;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use reading::{Case, cases};
use tempfile::TempDir;

/// What doctor, or check, says of a gateway whose home has this in it.
fn gatehound(home: &Path, arguments: &[&str]) -> Output {
    let path = format!("{}/bin:/usr/bin:/bin", home.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatehound"));
    command.args(arguments).env_clear().env("PATH", path);
    command
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home.join("run"));
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A home with what a case puts there, its openclaw.json and its crontab.
fn home(case: &Case) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let names = [("@HOME@", home.path().to_str().unwrap())];
    fs::create_dir_all(home.path().join("bin")).unwrap();
    case.put("home", home.path(), &names);
    case.put("config", &home.path().join(".openclaw"), &names);
    if let Some(size) = case.number("agents") {
        let agent = r#"{"id":"an agent","systemPrompt":"and what it is to do, at length"}"#;
        let agents = vec![agent; size].join(",\n");
        let config = home.path().join(".openclaw/openclaw.json");
        let small = fs::read_to_string(&config).unwrap();
        fs::write(&config, small.replace("@AGENTS@", &agents)).unwrap();
    }
    if case.is("utf-16") {
        let config = home.path().join(".openclaw/openclaw.json");
        let text = fs::read_to_string(&config).unwrap();
        let units = format!("\u{feff}{text}");
        let bytes: Vec<u8> = units.encode_utf16().flat_map(u16::to_le_bytes).collect();
        fs::write(&config, bytes).unwrap();
    }
    let crontab = home.path().join("bin/crontab");
    case.put("crontab", &home.path().join("bin/crontab.tab"), &names);
    fs::write(&crontab, "#!/bin/sh\n[ \"$1\" = -l ] && cat \"$0.tab\"\n").unwrap();
    fs::set_permissions(&crontab, fs::Permissions::from_mode(0o700)).unwrap();
    home
}

fn judged_as_expected(kind: &str, least: usize) {
    let all = cases(kind);
    assert!(least <= all.len(), "{kind}: {} cases", all.len());
    for case in &all {
        let home = home(case);
        let doctor = text(&gatehound(home.path(), &["doctor"]).stdout);
        case.holds("doctor", &doctor);
        let check = text(&gatehound(home.path(), &["check", "--json"]).stdout);
        case.holds("check", &check);
    }
}

#[test]
fn configurations_as_people_have_them_are_judged_as_expected() {
    judged_as_expected("configs", 18);
}

#[test]
fn crontabs_as_people_have_them_are_judged_as_expected() {
    judged_as_expected("crontabs", 11);
}

#[test]
fn there_are_as_many_cases_as_is_said() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/README.md");
    let page = fs::read_to_string(page).unwrap();
    let counts = ["configs", "crontabs", "watchdogs", "units", "behaviours"];
    let [configs, crontabs, watchdogs, units, behaviours] = counts.map(|kind| cases(kind).len());
    let said = format!(
        "{configs} configurations, {crontabs} crontabs, {watchdogs} other watchdogs, {units} units and {behaviours} behaviours."
    );
    assert!(page.contains(&said), "{said}");
}

#[test]
fn every_line_of_what_is_expected_is_understood() {
    for kind in ["configs", "crontabs", "watchdogs", "units", "behaviours"] {
        cases(kind).iter().for_each(Case::understood);
    }
}
