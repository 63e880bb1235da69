//! The commands that the README names, and what they share: read, not run.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{fs, path::PathBuf, process::Command};

const SCRIPTS: [&str; 5] = [
    "tests/demo",
    "tests/run",
    "tests/root",
    ".ci/run",
    ".ci/release",
];

/// What is needed, and the checks for it.
const NEEDS: &str = "tests/needs.sh";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

#[test]
fn bash_takes_the_scripts() {
    for name in SCRIPTS.into_iter().chain([NEEDS]) {
        let output = Command::new("bash").arg("-n").arg(path(name)).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
}

#[test]
fn what_is_needed_is_in_one_list() {
    for name in [
        "tests/demo",
        "tests/run",
        "tests/root",
        ".ci/run",
        ".ci/release",
    ] {
        let script = text(name);
        assert!(script.contains(&format!("\n. {NEEDS}\n")), "{name}");
        for own in ["_needs=(", "apt-get install", "dpkg-query"] {
            assert!(!script.contains(own), "{name} has {own}");
        }
    }
}
