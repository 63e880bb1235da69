//! Finding the gateway: what is believed of settings, unit and openclaw.json, in a home folder of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use gatehound::{
    os::folders::Variables,
    policy::facts::UnitFacts,
    probe::{
        gateway::{DEFAULT_PORT, Finder, Found},
        openclaw_json::Reader,
    },
    settings::Settings,
};
use proptest::prelude::*;
use tempfile::TempDir;

const UNIT: &str = "openclaw-gateway.service";

/// A home folder with these files in it.
struct Home(TempDir);

impl Home {
    fn new(files: &[(&str, &str)]) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            home.write(path, text);
        }
        home
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn finder(&self) -> Finder {
        let home = ("HOME".into(), self.0.path().into());
        Finder::new(&Variables::from([home]))
    }

    /// What is found for a unit with this command line and environment; `~` there is this home.
    fn find(&self, name: &str, exec_start: &[&str], environment: &[&str]) -> Found {
        let unit = unit(exec_start, environment);
        self.finder().find(&Settings::default(), name, Some(&unit))
    }

    #[track_caller]
    fn check_port(&self, exec_start: &[&str], environment: &[&str], expected: u16) {
        assert_eq!(self.find(UNIT, exec_start, environment).port, expected);
    }

    #[track_caller]
    fn check_path(&self, name: &str, environment: &[&str], expected: &str) {
        let found = self.find(name, &[], environment);
        assert_eq!(found.config_path, Some(self.path(expected)));
    }
}

fn unit(exec_start: &[&str], environment: &[&str]) -> UnitFacts {
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    UnitFacts {
        exec_start: owned(exec_start),
        environment: owned(environment),
        ..UnitFacts::default()
    }
}

const CONFIG: &str = ".openclaw/openclaw.json";

#[test]
fn the_command_line_goes_before_the_environment_before_the_file_before_the_default() {
    let home = Home::new(&[(CONFIG, "{gateway: {port: 19002}}")]);
    let environment = ["OPENCLAW_GATEWAY_PORT=19001"];
    home.check_port(
        &["node", "index.js", "--port", "19000"],
        &environment,
        19000,
    );
    home.check_port(&["node", "index.js", "--port=19000"], &environment, 19000);
    home.check_port(&["node"], &environment, 19001);
    home.check_port(&["node"], &["OPENCLAW_GATEWAY_PORT=127.0.0.1:19003"], 19003);
    home.check_port(&["node"], &["OPENCLAW_GATEWAY_PORT=[::1]:19003"], 19003);
    home.check_port(&["node"], &[], 19002);
    Home::new(&[]).check_port(&[], &[], DEFAULT_PORT);
}

#[test]
fn a_command_that_is_given_to_a_shell_is_read_as_well() {
    let home = Home::new(&[]);
    for (command, port) in [
        ("exec node index.js gateway --port 19000", 19000),
        ("node index.js gateway --port='19001' 2>&1", 19001),
        ("node index.js gateway --port \"$PORT\"", 19002),
    ] {
        let environment = ["OPENCLAW_GATEWAY_PORT=19002"];
        home.check_port(&["/bin/bash", "-lc", command], &environment, port);
    }
}

#[test]
fn a_port_that_is_none_is_passed_over() {
    let home = Home::new(&[]);
    let environment = ["OPENCLAW_GATEWAY_PORT=19001"];
    home.check_port(&["--port"], &environment, 19001);
    home.check_port(&["--port", "0"], &["OPENCLAW_GATEWAY_PORT=x"], DEFAULT_PORT);
    home.check_port(&["--port", "70000"], &[], DEFAULT_PORT);
    // Of two assignments the last counts, and an empty one takes the first back.
    home.check_port(&[], &["OPENCLAW_GATEWAY_PORT=1", environment[0]], 19001);
    home.check_port(
        &[],
        &[environment[0], "OPENCLAW_GATEWAY_PORT="],
        DEFAULT_PORT,
    );
    home.check_port(&[], &["OPENCLAW_GATEWAY_PORTS=5"], DEFAULT_PORT);
}

#[test]
fn settings_go_before_everything() {
    let home = Home::new(&[(CONFIG, "{gateway: {port: 9, tls: {enabled: true}}}")]);
    let mut settings = Settings::default();
    settings.gateway.port = Some(7);
    settings.gateway.tls = Some(false);
    settings.gateway.address = Some("::1".parse().unwrap());
    let unit = unit(&["--port", "8"], &[]);
    let found = home.finder().find(&settings, UNIT, Some(&unit));
    assert_eq!((found.port, found.tls), (7, false));
    assert_eq!(found.address, settings.gateway.address);
    let found = home.find(UNIT, &["--port", "8"], &[]);
    assert_eq!((found.port, found.tls, found.address), (8, true, None));
}

#[test]
fn the_config_path_is_the_one_the_gateway_would_read() {
    let home = Home::new(&[]);
    home.check_path(UNIT, &[], CONFIG);
    home.check_path(UNIT, &["OPENCLAW_STATE_DIR=~/state"], "state/openclaw.json");
    home.check_path(UNIT, &["OPENCLAW_STATE_DIR=state"], "state/openclaw.json");
    let both = [
        "OPENCLAW_CONFIG_PATH=~/my.json",
        "OPENCLAW_STATE_DIR=~/state",
    ];
    home.check_path(UNIT, &both, "my.json");
    home.check_path(
        UNIT,
        &["OPENCLAW_HOME=~/claw"],
        "claw/.openclaw/openclaw.json",
    );
    let both = ["OPENCLAW_HOME=~/claw", "OPENCLAW_STATE_DIR=~/state"];
    home.check_path(UNIT, &both, "claw/state/openclaw.json");
    let found = home.find(UNIT, &[], &["HOME=/nowhere"]);
    assert_eq!(
        found.config_path.unwrap(),
        Path::new("/nowhere").join(CONFIG)
    );
    let mut homeless = Finder::new(&Variables::new());
    let found = homeless.find(&Settings::default(), UNIT, Some(&UnitFacts::default()));
    assert_eq!((found.port, found.config_path), (DEFAULT_PORT, None));
}

#[test]
fn a_profile_has_its_own_folder_and_its_own_port() {
    let home = Home::new(&[]);
    let name = "openclaw-gateway-work.service";
    home.check_path(name, &[], ".openclaw-work/openclaw.json");
    home.check_path(
        "my.service",
        &["OPENCLAW_PROFILE=work"],
        ".openclaw-work/openclaw.json",
    );
    home.check_path(name, &["OPENCLAW_PROFILE=default"], CONFIG);
    home.check_path(name, &["OPENCLAW_PROFILE=../../etc"], CONFIG);
    let found = home.find(name, &[], &[]);
    // FNV-1a of "work", 32 bits, is 0x5b98d260.
    assert_eq!(found.port, 20_000 + (0x5b98_d260_u32 % 40_000) as u16);
    assert_eq!(found.profile.as_deref(), Some("work"));
    assert_eq!(home.find(name, &["--port", "5"], &[]).port, 5);
    home.write(".openclaw-work/openclaw.json", "{gateway: {port: 6}}");
    assert_eq!(home.find(name, &[], &[]).port, 6);
    assert_eq!(home.find(UNIT, &[], &[]).profile, None);
}

#[test]
fn the_file_of_the_former_name_is_read_where_there_is_no_other() {
    let former = ".clawdbot/clawdbot.json";
    let home = Home::new(&[(former, "{gateway: {port: 5}}")]);
    home.check_path(UNIT, &[], former);
    home.check_port(&[], &[], 5);
    home.write(CONFIG, "{}");
    home.check_path(UNIT, &[], CONFIG);
}

#[test]
fn while_the_user_manager_cannot_be_asked_the_port_stays() {
    let home = Home::new(&[]);
    let mut finder = home.finder();
    let settings = Settings::default();
    let unit = unit(&["--port", "19000"], &["OPENCLAW_PROFILE=work"]);
    let before = finder.find(&settings, UNIT, Some(&unit));
    assert_eq!(finder.find(&settings, UNIT, None), before);
    assert_eq!(home.finder().find(&settings, UNIT, None).port, DEFAULT_PORT);
}

#[test]
fn a_link_is_followed() {
    let home = Home::new(&[("dotfiles/claw.json", "{gateway: {port: 5}}")]);
    fs::create_dir(home.path(".openclaw")).unwrap();
    symlink("../dotfiles/claw.json", home.path(CONFIG)).unwrap();
    home.check_port(&[], &[], 5);
}

/// Holds that a file with these bytes says nothing, and why.
#[track_caller]
fn says_nothing(text: impl AsRef<[u8]>, why: &str) {
    let home = Home::new(&[]);
    home.write(CONFIG, text);
    says_nothing_in(&home, why);
}

#[track_caller]
fn says_nothing_in(home: &Home, why: &str) {
    let found = home.find(UNIT, &[], &[]);
    assert_eq!((found.port, found.tls), (DEFAULT_PORT, false));
    let problem = found.problem.unwrap();
    let path = home.path(CONFIG);
    let (named, reason) = problem.as_str().split_once(": ").unwrap();
    assert_eq!(Path::new(named), path);
    assert!(reason.starts_with(why), "{problem}");
}

#[test]
fn a_hostile_file_says_nothing_and_ends_nothing() {
    says_nothing("[".repeat(100_000), "not JSON5: nested deeper");
    says_nothing("{a:".repeat(100_000), "not JSON5: nested deeper");
    says_nothing(vec![b' '; 5 * 1024 * 1024], "larger than 1048576 bytes");
    says_nothing(b"{gateway: {port: 5, note: '\xff'}}", "not UTF-8 text");
    says_nothing("{gateway: {port: 5}}\0", "not JSON5");
    says_nothing("", "not JSON5");
    says_nothing("{gateway: {port: '5'}}", "gateway.port = \"5\": not a port");
    says_nothing("{gateway: {port: -5}}", "gateway.port = -5: not a port");
    says_nothing("{gateway: {port: 0}}", "gateway.port = 0: not a port");
    says_nothing(
        "{gateway: {port: 70000}}",
        "gateway.port = 70000: not a port",
    );
    says_nothing("{gateway: {port: '\\n\\u001b[2J'}}", "gateway.port = \"");
}

#[test]
fn what_is_no_file_says_nothing() {
    let home = Home::new(&[]);
    says_nothing_in(&home, "no such file");
    fs::create_dir_all(home.path(CONFIG)).unwrap();
    says_nothing_in(&home, "not a regular file");
    fs::remove_dir(home.path(CONFIG)).unwrap();
    symlink("/dev/zero", home.path(CONFIG)).unwrap();
    says_nothing_in(&home, "not a regular file");
    fs::remove_file(home.path(CONFIG)).unwrap();
    symlink("openclaw.json", home.path(CONFIG)).unwrap();
    says_nothing_in(&home, "");
}

#[test]
fn a_file_that_may_not_be_read_says_nothing_until_it_may() {
    let home = Home::new(&[]);
    let path = home.write(CONFIG, "{gateway: {port: 5}}");
    fs::set_permissions(home.path(""), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    let mut reader = Reader::default();
    let said = as_nobody(|| reader.read(&path));
    assert_eq!(said.port, None);
    let problem = said.problem.unwrap();
    assert!(problem.as_str().contains("Permission denied"), "{problem}");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(as_nobody(|| reader.read(&path)).port, Some(5));
}

/// Looks at files without root's rights, which no permission would keep out.
///
/// The kernel keeps this identity for each thread, so that no other test notices.
fn as_nobody<T>(look: impl FnOnce() -> T) -> T {
    let before = nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
    let found = look();
    nix::unistd::setfsuid(before);
    found
}

#[test]
fn a_change_is_seen_and_what_is_wrong_leaves_the_last_good_in_force() {
    let home = Home::new(&[]);
    let path = home.write(CONFIG, "{gateway: {port: 5, tls: {enabled: true}}}");
    let mut reader = Reader::default();
    assert_eq!(reader.read(&path).port, Some(5));
    home.write(CONFIG, "{gateway: {port: 5, tls: {enabled: tru");
    for _ in 0..2 {
        let said = reader.read(&path);
        assert_eq!((said.port, said.tls), (Some(5), Some(true)));
        assert!(said.problem.is_some());
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(reader.read(&path).port, Some(5));
    home.write(CONFIG, "{gateway: {port: 60}}");
    let said = reader.read(&path);
    assert_eq!((said.port, said.tls, said.problem), (Some(60), None, None));
    // Another file's word is not kept.
    assert_eq!(reader.read(&home.path("none.json")).port, None);
}

#[test]
fn a_file_that_did_not_change_is_not_read_again() {
    let home = Home::new(&[]);
    let path = home.write(CONFIG, "{gateway: {port: 5}}");
    let mut reader = Reader::default();
    reader.read(&path);
    let before = bytes_read();
    for _ in 0..100 {
        assert_eq!(reader.read(&path).port, Some(5));
    }
    // The second of these two looks costs one read of a few hundred bytes itself.
    assert!(bytes_read() - before < 1000);
}

/// Bytes this thread has read so far.
fn bytes_read() -> u64 {
    let io = fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = io.lines().find(|line| line.starts_with("rchar: ")).unwrap();
    line["rchar: ".len()..].parse().unwrap()
}

proptest! {
    #[test]
    fn any_unit_and_any_file_find_a_port(
        words in proptest::collection::vec("(--port|--port=)?[0-9~/. -]{0,8}", 0..4),
        values in proptest::collection::vec("(OPENCLAW_(HOME|PROFILE|STATE_DIR|GATEWAY_PORT)=)?[~/a-z0-9:]{0,8}", 0..4),
        text in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let home = Home::new(&[]);
        home.write(CONFIG, text);
        let unit = UnitFacts { exec_start: words, environment: values, ..UnitFacts::default() };
        let found = home.finder().find(&Settings::default(), UNIT, Some(&unit));
        prop_assert_ne!(found.port, 0);
    }
}
