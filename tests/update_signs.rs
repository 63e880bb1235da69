//! Signs of an update of the gateway, in files as package managers leave them.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use gatehound::probe::update::{installed_version, look};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);

/// An installation: a program and the script it runs, both an hour old.
struct Place {
    directory: TempDir,
    now: SystemTime,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            directory: TempDir::new().unwrap(),
            now: SystemTime::now(),
        };
        place.write("node", HOUR);
        place.write("index.js", HOUR);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, age: Duration) {
        self.dated(name, self.now - age);
    }

    fn dated(&self, name: &str, modified: SystemTime) {
        let file = File::create(self.path(name)).unwrap();
        file.set_modified(modified).unwrap();
    }

    /// What is seen of ExecStart=<node> --max-old-space-size=8192 <script> gateway --port 18789.
    fn seen(&self, script: &Path) -> Option<String> {
        let program = self.path("node");
        let exec_start = [
            program.to_str().unwrap(),
            "--max-old-space-size=8192",
            script.to_str().unwrap(),
            "gateway",
            "--port",
            "18789",
        ];
        self.look(&exec_start)
    }

    fn look(&self, exec_start: &[&str]) -> Option<String> {
        let exec_start: Vec<String> = exec_start.iter().map(|&it| it.to_owned()).collect();
        look(&exec_start, None, self.now).map(String::from)
    }

    #[track_caller]
    fn check(&self, script: &str, expected: Option<&str>) {
        let expected = expected.map(|text| format!("{text}: {}", self.path(script).display()));
        assert_eq!(self.seen(&self.path(script)), expected);
    }
}

#[test]
fn an_installation_at_rest_is_no_update() {
    Place::new().check("index.js", None);
}

#[test]
fn an_active_scope_is_an_update_whatever_the_files_say() {
    let scope = Some("openclaw-update-7.scope");
    let line = look(&[], scope, SystemTime::now()).unwrap();
    assert_eq!(line.as_str(), "openclaw-update-7.scope is active");
}

#[test]
fn a_script_that_was_taken_away_is_an_update() {
    let place = Place::new();
    fs::remove_file(place.path("index.js")).unwrap();
    place.check("index.js", Some("missing"));
    // Its folder too, or a file where the folder was.
    place.check("dist/index.js", Some("missing"));
    place.check("node/index.js", Some("missing"));
}

#[test]
fn a_script_is_young_for_a_minute() {
    let place = Place::new();
    for (age, expected) in [
        (0, Some("written 0 s ago")),
        (59, Some("written 59 s ago")),
        (60, None),
    ] {
        place.write("index.js", Duration::from_secs(age));
        place.check("index.js", expected);
    }
}

#[test]
fn a_script_dated_in_the_future_is_not_young() {
    let place = Place::new();
    place.dated("index.js", place.now + Duration::from_secs(1));
    place.check("index.js", None);
}

#[test]
fn the_program_itself_counts_and_so_does_what_a_link_points_at() {
    let place = Place::new();
    symlink("openclaw.mjs", place.path("openclaw")).unwrap();
    let command = place.path("openclaw");
    let command = command.to_str().unwrap();
    let exec_start = [command, "gateway", "--port", "18789"];
    assert_eq!(
        place.look(&exec_start),
        Some(format!("missing: {command}")),
        "a dangling link"
    );
    place.write("openclaw.mjs", Duration::from_secs(5));
    assert_eq!(
        place.look(&exec_start),
        Some(format!("written 5 s ago: {command}"))
    );
    place.write("openclaw.mjs", HOUR);
    assert_eq!(place.look(&exec_start), None);
}

#[test]
fn what_cannot_be_found_from_here_is_no_sign() {
    let place = Place::new();
    assert_eq!(place.look(&[]), None);
    assert_eq!(place.look(&["node", "dist/index.js", "gateway"]), None);
    // A path that is too long for the kernel, as one that may not be looked at.
    assert_eq!(
        place.seen(Path::new(&format!("/{}.js", "x".repeat(5000)))),
        None
    );
}

#[test]
fn the_version_of_what_is_installed_stands_beside_its_script() {
    let place = Place::new();
    let package = |text: &str| fs::write(place.path("package.json"), text).unwrap();
    fs::create_dir(place.path("dist")).unwrap();
    for script in ["dist/index.js", "openclaw.mjs"] {
        let script = place.path(script).to_str().unwrap().to_owned();
        let exec_start = ["/node".to_owned(), script, "gateway".to_owned()];
        let installed = || installed_version(&exec_start[1..]).map(|it| it.to_string());
        package("{\"version\": \"2026.3.13\"}");
        assert_eq!(installed().as_deref(), Some("2026.3.13"));
        for text in ["{", "{}", "{\"version\": 7}"] {
            package(text);
            assert_eq!(installed(), None);
        }
    }
    assert_eq!(installed_version(&["dist/index.js".to_owned()]), None);
}
