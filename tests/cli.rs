//! The command line as a person meets it: exit statuses and messages, where no user manager is needed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

use nix::pty::openpty;
use tempfile::TempDir;

/// Commands that need the user manager and cannot do without.
const NEED_MANAGER: [&[&str]; 6] = [
    &["emergency-stop"],
    &["status"],
    &["status", "--json"],
    &["install"],
    &["install", "--dry-run"],
    &["uninstall"],
];

/// Commands that need the settings to be right.
const NEED_SETTINGS: [&[&str]; 3] = [&["settings", "check"], &["check"], &["run"]];

/// A home of its own with no user manager in reach.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for folder in ["run", "config/gatehound"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        Self(home)
    }

    fn with_config(text: &str) -> Self {
        let home = Self::new();
        fs::write(home.config(), text).unwrap();
        home
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("config/gatehound/config.toml")
    }

    fn runtime_folder(&self) -> PathBuf {
        self.0.path().join("run/gatehound")
    }

    fn runtime(&self, name: &str) -> PathBuf {
        self.runtime_folder().join(name)
    }

    fn gatehound(&self, arguments: &[&str]) -> Command {
        // A `run` that should have been refused and was not would never end.
        let mut command = Command::new("timeout");
        command
            .args(["30", env!("CARGO_BIN_EXE_gatehound")])
            .args(arguments)
            .env_clear()
            .env("HOME", self.0.path())
            .env("XDG_CONFIG_HOME", self.0.path().join("config"))
            .env("XDG_RUNTIME_DIR", self.0.path().join("run"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.gatehound(arguments).output().unwrap()
    }
}

/// What a command does at a terminal at which this is typed.
fn at_terminal(command: Command, typed: &str) -> (Option<i32>, String) {
    at_terminal_after(command, "", || (), typed)
}

/// As [`at_terminal`], where something happens between what the command shows first and the typing.
fn at_terminal_after(
    mut command: Command,
    first: &str,
    meanwhile: impl FnOnce(),
    typed: &str,
) -> (Option<i32>, String) {
    let pty = openpty(None, None).unwrap();
    let end = || pty.slave.try_clone().unwrap();
    let mut child = command
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .unwrap();
    drop((command, pty.slave));
    let mut terminal = File::from(pty.master);
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains(first) {
        let mut byte = [0];
        terminal.read_exact(&mut byte).unwrap();
        shown.extend(byte);
    }
    meanwhile();
    // Whatever is asked beyond that gets the end of a terminal's input, and no test waits for ever.
    let typed = format!("{typed}\u{4}\u{4}\u{4}");
    terminal.write_all(typed.as_bytes()).unwrap();
    // At the end, when nobody has the other side open any more, Linux says EIO.
    let _ = terminal.read_to_end(&mut shown);
    let status = child.wait().unwrap();
    (status.code(), String::from_utf8(shown).unwrap())
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Holds that a command failed with this status and said why in one line, which is returned without its prefix.
#[track_caller]
fn failed(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
    let message = said
        .strip_prefix("gatehound: ")
        .expect("a prefix")
        .trim_end();
    assert_eq!(
        stdout(output),
        "",
        "a command that fails has nothing to print"
    );
    message.to_owned()
}

/// As [`failed`], for a message that begins with a word of ours and not with the name of something.
#[track_caller]
fn failed_saying(output: &Output, status: i32, parts: &[&str]) {
    let message = failed(output, status);
    let first = message.chars().next().unwrap();
    let is_name = message.starts_with("HOME ");
    assert!(first.is_lowercase() || is_name, "{message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let home = Home::new();
    for arguments in [
        &[][..],
        &["no-such-command"],
        &["run", "--no-such-option"],
        &["settings"],
        &["pause", "--for", "3"],
        &["pause", "--for"],
        &["--profile", "a/b", "status"],
        &["--set"],
        &["resume", "now"],
    ] {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn wrong_arguments_are_told_in_one_line_with_what_would_be_right() {
    let home = Home::new();
    let long = "x".repeat(1000);
    for (arguments, expected) in [
        (
            &["statu"][..],
            "\"statu\": no command of gatehound, perhaps status; see gatehound --help",
        ),
        (
            &["--profile", "check", "snapshot", "restroe"],
            "\"restroe\": no command of gatehound snapshot, perhaps restore; see gatehound snapshot --help",
        ),
        (
            &["--foo"],
            "\"--foo\": no option of gatehound; see gatehound --help",
        ),
        (
            &["check", "--jsn"],
            "\"--jsn\": no option of gatehound check, perhaps --json; see gatehound check --help",
        ),
        (
            &["--json", "check"],
            "\"--json\": no option of gatehound; 'check --json' exists; see gatehound --help",
        ),
        (
            &["incident", "x", "y"],
            "\"y\": more than gatehound incident takes; see gatehound incident --help",
        ),
        (
            &["\u{1b}[31mEVIL\u{7}"],
            "\"EVIL\": no command of gatehound; see gatehound --help",
        ),
        (
            &["snapshot", "diff", "abc"],
            "SNAPSHOT \"abc\": not the number of a snapshot; write one such as 7; \
             see gatehound snapshot diff --help",
        ),
        (
            &["pause", "--for", "abc"],
            "--for \"abc\": not a time span; write one such as 30min; see gatehound pause --help",
        ),
        (
            &["tidy", "--max-size=-1"],
            "--max-size \"-1\": not a number of megabytes; write a whole one such as 50; see gatehound tidy --help",
        ),
        (
            &["history", "--since"],
            "--since: a value is missing; see gatehound history --help",
        ),
        (
            &["check", "--json=3"],
            "--json: takes no value; see gatehound check --help",
        ),
        (
            &["check", "--json", "--json"],
            "--json: given more than once; see gatehound check --help",
        ),
        (&["pause", "--for", &long], "see gatehound pause --help"),
        (
            &["help", "statu", "check"],
            "\"statu\": no command of gatehound, perhaps status; see gatehound --help",
        ),
    ] {
        let message = failed(&home.run(arguments), 2);
        let is_whole =
            message == expected || message.ends_with(expected) && expected.starts_with("see");
        assert!(is_whole, "{arguments:?}: {message}");
    }
}

#[test]
fn help_and_version_are_printed_and_end_with_0() {
    let home = Home::new();
    for (arguments, expected) in [
        (&["--help"][..], "Usage: gatehound"),
        (&["pause", "--help"], "--for <SPAN>"),
        (&["help"], "Usage: gatehound"),
        (
            &["help", "snapshot", "restore"],
            "Usage: gatehound snapshot restore",
        ),
        (
            &["--version"],
            concat!("gatehound ", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(stdout(&output).contains(expected), "{output:?}");
    }
}

/// Holds that these settings are refused by every command that needs them.
#[track_caller]
fn check_refused(config: &str, parts: &[&str]) {
    let home = Home::with_config(config);
    for command in NEED_SETTINGS {
        let message = failed(&home.run(command), 78);
        let file = home.config().display().to_string();
        assert!(message.starts_with(&file), "{command:?}: {message}");
        for part in parts {
            assert!(
                message.contains(part),
                "{command:?}: {message:?} lacks {part:?}"
            );
        }
    }
    assert!(
        !home.runtime("state.json").exists(),
        "a refused run leaves no state"
    );
}

#[test]
fn a_wrong_setting_is_refused_with_file_key_value_and_what_would_be_right() {
    check_refused(
        "interval = 30\n",
        &["interval = 30:", "write one such as \"30s\""],
    );
    check_refused(
        "backoff = []\n",
        &["backoff = []:", "needs at least one delay"],
    );
    check_refused(
        "[gateway]\nport = 0\n",
        &["gateway.port = 0:", "from 1 to 65535"],
    );
    check_refused(
        "[gateway]\nport = 70000\n",
        &["gateway.port = 70000:", "from 1 to 65535"],
    );
    check_refused(
        "[probe]\nhttp_timeout = \"0s\"\n",
        &["probe.http_timeout = \"0s\":", "longer than 0s"],
    );
}

#[test]
fn an_unknown_key_is_refused_with_those_that_are_known() {
    check_refused(
        "intervall = \"3s\"\n",
        &["intervall: no such key", "interval"],
    );
    check_refused(
        "[gateway]\nhost = \"x\"\n",
        &["gateway.host: no such key", "gateway.port"],
    );
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_line_and_column() {
    check_refused(
        "reset_after = \"1s\"\ninterval = \"30s\n",
        &["line 2, column "],
    );
}

#[test]
fn a_config_file_that_cannot_be_read_is_refused() {
    let home = Home::new();
    fs::create_dir(home.config()).unwrap();
    for command in NEED_SETTINGS {
        let message = failed(&home.run(command), 78);
        assert!(
            message.starts_with(&home.config().display().to_string()),
            "{message}"
        );
        assert!(message.contains("make it a text file"), "{message}");
    }
}

#[test]
fn a_wrong_variable_or_override_is_refused_by_its_name() {
    let home = Home::new();
    let variable = home
        .gatehound(&["settings", "check"])
        .env("GATEHOUND_GATEWAY__PORT", "0")
        .output();
    let message = failed(&variable.unwrap(), 78);
    assert!(
        message.starts_with("GATEHOUND_GATEWAY__PORT: gateway.port = 0:"),
        "{message}"
    );
    let message = failed(
        &home.run(&["--set", "interval=soon", "settings", "check"]),
        78,
    );
    assert!(
        message.starts_with("--set: interval = \"soon\":"),
        "{message}"
    );
    let message = failed(&home.run(&["--set", "interval", "settings", "check"]), 78);
    assert!(message.contains("--set interval=30s"), "{message}");
}

#[test]
fn an_interval_above_half_of_the_watchdog_is_refused() {
    let home = Home::with_config("interval = \"46s\"\n");
    // Without a unit to ask, the shipped one counts.
    let message = failed(&home.run(&["settings", "check"]), 78);
    assert!(
        message
            .contains("interval = \"46s\": must not be longer than half of WatchdogSec=1min 30s"),
        "{message}"
    );
    let run = |interval: &str| {
        home.gatehound(&["--set", &format!("interval={interval}"), "run"])
            .env("WATCHDOG_USEC", "60000000")
            .env("NOTIFY_SOCKET", home.0.path().join("none"))
            .output()
            .unwrap()
    };
    let message = failed(&run("31s"), 78);
    assert!(
        message.contains("half of WatchdogSec=1min: 30s"),
        "{message}"
    );
}

#[test]
fn config_check_says_that_the_settings_are_right() {
    let home = Home::with_config("reset_after = \"1min\"\n");
    let output = home.run(&["settings", "check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(stdout(&output), "the settings are right\n");
}

#[test]
fn config_check_warns_about_a_file_that_everybody_can_change() {
    let home = Home::with_config("");
    fs::set_permissions(home.config(), fs::Permissions::from_mode(0o666)).unwrap();
    let output = home.run(&["settings", "check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).starts_with("warning: "), "{output:?}");
    assert!(stdout(&output).contains("chmod o-w"), "{output:?}");
}

#[test]
fn config_show_prints_every_value_with_its_origin() {
    let home = Home::with_config("reset_after = \"1min\"\n[pause]\ndefault = \"1h\"\n");
    fs::write(
        home.config().with_file_name("work.toml"),
        "debounce = \"9s\"\n",
    )
    .unwrap();
    let output = home
        .gatehound(&[
            "--profile",
            "work",
            "--set",
            "interval=20s",
            "settings",
            "show",
        ])
        .env("GATEHOUND_PROBE__HTTP_TIMEOUT", "3s")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = stdout(&output);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let config = home.config().display().to_string();
    let profile = config.replace("config.toml", "work.toml");
    for expected in [
        ["reset_after", "\"1min\"", &config],
        ["pause.default", "\"1h\"", &config],
        ["debounce", "\"9s\"", &profile],
        [
            "probe.http_timeout",
            "\"3s\"",
            "GATEHOUND_PROBE__HTTP_TIMEOUT",
        ],
        ["interval", "\"20s\"", "--set"],
        ["probe.health_timeout", "\"10s\"", "default"],
        ["gateway.port", "unset", "default"],
    ] {
        assert!(
            rows.contains(&expected.to_vec()),
            "{expected:?} is not in\n{text}"
        );
    }
}

#[test]
fn without_a_runtime_folder_each_command_names_the_variable() {
    let home = Home::new();
    for arguments in [
        &["run"][..],
        &["status"],
        &["pause"],
        &["resume"],
        &["reset"],
    ] {
        let output = home
            .gatehound(arguments)
            .env_remove("XDG_RUNTIME_DIR")
            .output()
            .unwrap();
        failed_saying(&output, 1, &["XDG_RUNTIME_DIR is not set", "/run/user/UID"]);
    }
    // 1 would say that the gateway does not work.
    let mut check = home.gatehound(&["check"]);
    let output = check.env_remove("XDG_RUNTIME_DIR").output().unwrap();
    failed_saying(&output, 2, &["XDG_RUNTIME_DIR is not set", "/run/user/UID"]);
}

#[test]
fn without_a_home_the_message_says_to_set_it() {
    let home = Home::new();
    let output = home
        .gatehound(&["check"])
        .env_remove("HOME")
        .env_remove("XDG_CONFIG_HOME")
        .output();
    failed_saying(&output.unwrap(), 2, &["no config folder", "set HOME"]);
    let output = home.gatehound(&["install"]).env_remove("HOME").output();
    failed_saying(&output.unwrap(), 1, &["HOME is not set"]);
}

#[test]
fn without_a_user_manager_the_message_names_the_bus_and_the_remedy() {
    let home = Home::new();
    for arguments in NEED_MANAGER {
        let output = home.run(arguments);
        failed_saying(
            &output,
            1,
            &[
                "no user manager on the bus at",
                "run/bus",
                "loginctl enable-linger",
            ],
        );
    }
    assert!(
        !home.0.path().join(".local").exists(),
        "an install that fails leaves nothing behind"
    );
}

/// A gateway that answers every request with this body, on the port that is returned.
fn gateway(body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
    });
    port
}

#[test]
fn check_needs_no_user_manager_and_ends_with_what_it_saw() {
    let home = Home::new();
    let check = |port: u16, json: bool| {
        let set = format!("gateway.port={port}");
        let mut arguments = vec!["--set", &set, "check"];
        arguments.extend(json.then_some("--json"));
        home.run(&arguments)
    };
    let healthy = check(gateway(r#"{"ok":true}"#), false);
    assert_eq!(healthy.status.code(), Some(0), "{healthy:?}");
    assert!(
        stdout(&healthy).starts_with("gateway  healthy, /health "),
        "{healthy:?}"
    );
    assert!(
        stdout(&healthy).contains("loginctl enable-linger"),
        "{healthy:?}"
    );

    let failing = check(gateway(r#"{"ok":false}"#), true);
    assert_eq!(failing.status.code(), Some(1), "{failing:?}");
    let seen: serde_json::Value = serde_json::from_slice(&failing.stdout).unwrap();
    assert_eq!(seen["health"], "failing", "{seen}");
    assert_eq!(seen["probe"], "health", "{seen}");
    assert_eq!(seen["stall"], "answering", "{seen}");
    assert!(seen["reason"].as_str().unwrap().contains("ok"), "{seen}");

    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let down = check(port, false);
    assert_eq!(down.status.code(), Some(1), "{down:?}");
    assert!(
        stdout(&down).contains(&format!("nothing listens on port {port}")),
        "{down:?}"
    );
    assert!(!home.runtime_folder().exists(), "check changes nothing");
}

#[test]
fn what_is_told_to_be_done_next_is_told_with_the_profile() {
    let home = Home::new();
    let told = |arguments: &[&str], part: &str| {
        let run = home.run(&[&["--profile", "work"], arguments].concat());
        let told = stdout(&run) + &String::from_utf8_lossy(&run.stderr);
        assert!(told.contains(part), "{told}");
    };
    let list = "gatehound snapshot list --profile work shows";
    told(&["snapshot", "diff", "7"], list);
    let flag = home.0.path().join("flag");
    fs::create_dir(&flag).unwrap();
    let set = format!("pause.flag_file={}", flag.display());
    let pause = "not a regular file; not taken for a pause, use gatehound pause --profile work";
    told(&["--set", &set, "check"], pause);
    told(&["--set", &set, "resume"], pause);
}

#[test]
fn a_pause_names_the_command_that_ends_it() {
    let home = Home::new();
    let said = stdout(&home.run(&["pause", "--profile", "work"]));
    assert!(
        said.contains("; gatehound resume --profile work ends it"),
        "{said}"
    );
}

#[test]
fn a_pause_is_given_shown_and_ended_without_a_running_gatehound() {
    let home = Home::new();
    let paused = home.run(&["pause", "--for", "90min", "new", "disk"]);
    assert_eq!(paused.status.code(), Some(0), "{paused:?}");
    assert_eq!(
        stdout(&paused),
        "paused for 1 h 30 min; gatehound resume ends it\n\
         no Gatehound runs, the next one heeds it; start it: systemctl --user start gatehound.service\n"
    );
    let mode = |name: &str| {
        fs::metadata(home.runtime(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("pause.json"), mode(".")), (0o600, 0o700));
    let shown = stdout(&home.run(&["check"]));
    assert!(
        shown.contains("paused   for 1 h 29 min: new disk\n"),
        "{shown}"
    );
    let resumed = home.run(&["resume"]);
    assert_eq!(resumed.status.code(), Some(0), "{resumed:?}");
    assert_eq!(stdout(&resumed), "resumed\n");
    assert!(!home.runtime("pause.json").exists());
    assert_eq!(
        stdout(&home.run(&["resume"])),
        "was not paused by gatehound pause\n"
    );
}

#[test]
fn a_pause_without_a_length_lasts_as_long_as_the_settings_say() {
    let home = Home::with_config("[pause]\ndefault = \"10min\"\n");
    let output = home.run(&["pause"]);
    assert!(
        stdout(&output).starts_with("paused for 10 min; gatehound resume ends it\n"),
        "{output:?}"
    );
}

#[test]
fn wrong_settings_keep_nobody_from_pausing_or_resetting() {
    let home = Home::with_config("interval = 30\n");
    for arguments in [&["pause"][..], &["resume"], &["reset"]] {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn what_goes_on_with_wrong_settings_says_what_is_wrong_with_them() {
    let told = |text: &str, arguments: &[&str], wrong: &str| {
        let home = Home::with_config(text);
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        let on = "; going on with the unit mine.service and the defaults\n";
        for part in ["gatehound: ", wrong, on] {
            assert!(said.contains(part), "{part} in {said}");
        }
        stdout(&output)
    };
    let unit = "[gateway]\nunit = \"mine.service\"\n";
    let paused = told(&format!("pause = 3\n{unit}"), &["pause"], "pause = 3: ");
    assert!(paused.starts_with("paused for 2 h; "), "{paused}");
    for command in ["pause", "resume"] {
        let set = ["--set", "pause.default=abc", command];
        told(unit, &set, "--set: pause.default = \"abc\": ");
    }
    let home = Home::new();
    for command in ["status", "emergency-stop"] {
        // Neither gets further without a user manager.
        let said = home.run(&["--set", "foo=1", command]).stderr;
        let said = String::from_utf8(said).unwrap();
        let first = said.lines().next().unwrap();
        assert!(first.contains("--set: foo: "), "{said}");
        let on = "; going on with the unit openclaw-gateway.service and the defaults";
        assert!(first.ends_with(on), "{said}");
    }
}

/// A command that answers, where the settings are wrong and name a gateway of their own.
fn with_wrong_settings(arguments: &[&str]) -> (Output, String) {
    let home = Home::with_config("intervall = \"5s\"\n[gateway]\nunit = \"mine.service\"\n");
    let programs = home.0.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let (journalctl, asked) = (programs.join("journalctl"), programs.join("asked"));
    let script = format!("#!/bin/sh\necho \"$@\" >>{}\n", asked.display());
    fs::write(&journalctl, script).unwrap();
    fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o755)).unwrap();
    let output = home
        .gatehound(arguments)
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .output()
        .unwrap();
    (output, fs::read_to_string(&asked).unwrap_or_default())
}

#[test]
fn wrong_settings_have_no_command_look_at_another_gateway_in_silence() {
    let on = "going on with the unit mine.service and the defaults\n";
    for arguments in [
        &["history"][..],
        &["history", "--json"],
        &["incident", "0123456789abcdef"],
        &["status"],
        &["pause"],
        &["emergency-stop"],
        &["snapshot", "list"],
    ] {
        let (output, _) = with_wrong_settings(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        let first = said.lines().next().unwrap_or_default();
        assert!(first.contains("intervall"), "{arguments:?}: {said}");
        assert_eq!(said.matches(on).count(), 1, "{arguments:?}: {said}");
    }
    // What it prints is what it finds.
    let (output, _) = with_wrong_settings(&["doctor"]);
    let found = stdout(&output);
    assert!(found.contains(on.trim_end()), "{found}");
    // Its answer would be about a port and time limits that nobody set.
    let (output, _) = with_wrong_settings(&["check"]);
    failed(&output, 78);
}

#[test]
fn the_journal_is_asked_about_the_gateway_that_wrong_settings_name() {
    for arguments in [&["history"][..], &["incident", "0123456789abcdef"]] {
        let (output, asked) = with_wrong_settings(arguments);
        assert!(asked.contains("mine.service"), "{asked}: {output:?}");
        assert!(!asked.contains("openclaw-gateway"), "{asked}");
    }
}

#[test]
fn a_pause_of_no_time_or_above_a_year_is_refused() {
    let home = Home::new();
    for span in ["0s", "2years"] {
        failed_saying(
            &home.run(&["pause", "--for", span]),
            1,
            &["cannot pause for", "not longer than a year"],
        );
    }
    assert!(!home.runtime("pause.json").exists());
}

#[test]
fn the_reason_of_a_pause_becomes_one_clean_line() {
    let home = Home::new();
    let reason = "new\ndisk\u{1b}[31m\u{202e}\r\nWATCHDOG=trigger";
    assert_eq!(home.run(&["pause", reason]).status.code(), Some(0));
    let shown = stdout(&home.run(&["check"]));
    let line = shown
        .lines()
        .find(|line| line.starts_with("paused"))
        .unwrap();
    assert!(line.ends_with(": new disk WATCHDOG=trigger"), "{line:?}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\r']), "{shown:?}");
    let kept = fs::read_to_string(home.runtime("pause.json")).unwrap();
    assert!(
        !kept.contains('\n') && !kept.contains("\\n") && !kept.contains("\\u"),
        "{kept}"
    );
}

/// Holds that what a terminal is given are lines of characters that show as themselves.
#[track_caller]
fn clean(output: &Output) {
    for text in [&output.stdout, &output.stderr] {
        let text = str::from_utf8(text).unwrap();
        let bad =
            |c: char| c != '\n' && (c.is_control() || "\u{ad}\u{200b}\u{202e}\u{2066}".contains(c));
        assert!(!text.contains(bad), "{text:?}");
    }
}

#[test]
fn whatever_a_path_or_an_answer_is_made_of_the_terminal_gets_clean_lines() {
    let home = Home::new();
    let foul = home.0.path().join("foul\n\u{1b}[31m\u{202e}\u{200b}name");
    for folder in ["run/gatehound", "gatehound"] {
        fs::create_dir_all(foul.join(folder)).unwrap();
    }
    fs::create_dir(foul.join(".openclaw")).unwrap();
    fs::write(
        foul.join(".openclaw/openclaw.json"),
        "{gateway: {port: '\u{9b}31m'}}",
    )
    .unwrap();
    fs::write(
        foul.join("run/gatehound/pause.json"),
        "{\"\u{202e}\u{1b}\": 1}",
    )
    .unwrap();
    let port = gateway("{\"ok\": \"\\n\\u001b[31m\u{202e}\u{ad}\"}");
    let set = format!("gateway.port={port}");
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["--set", &set, "check"],
        &["--set", &set, "check", "--json"],
        &["settings", "show"],
        &[
            "--set",
            "interval=a\u{1b}[31m\u{202e}b\nc",
            "settings",
            "show",
        ],
        &["--set", "a\u{1b}[31m\u{202e}b\nc=1", "settings", "show"],
        &["--set", "pause.flag_file=/a\u{202e}b", "settings", "show"],
        &["status"],
        &["install"],
        &["resume"],
    ] {
        let output = home
            .gatehound(arguments)
            .env("HOME", &foul)
            .env("XDG_CONFIG_HOME", &foul)
            .env("XDG_RUNTIME_DIR", foul.join("run"))
            .output()
            .unwrap();
        assert!(
            output.status.code().is_some_and(|code| code != 101),
            "{output:?}"
        );
        clean(&output);
    }
    // The file that is found wrong is named by its whole path.
    fs::write(
        foul.join("gatehound/config.toml"),
        "interval = \"\u{202e}\"\n",
    )
    .unwrap();
    let refused = home
        .gatehound(&["settings", "check"])
        .env("XDG_CONFIG_HOME", &foul)
        .output()
        .unwrap();
    failed(&refused, 78);
    clean(&refused);
}

#[test]
fn a_home_that_is_not_utf8_is_no_reason_to_panic() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let home = Home::new();
    let port = gateway(r#"{"ok":true}"#);
    let set = format!("gateway.port={port}");
    let output = home
        .gatehound(&["--set", &set, "check", "--json"])
        .env("HOME", OsStr::from_bytes(b"/nonexistent/\xff"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        seen["config"],
        "/nonexistent/\u{fffd}/.openclaw/openclaw.json"
    );
}

#[test]
fn resume_says_so_when_the_flag_file_still_pauses() {
    let home = Home::new();
    let flag = home.0.path().join("maintenance");
    fs::write(&flag, "").unwrap();
    let set = format!("pause.flag_file={}", flag.display());
    let output = home.run(&["--set", &set, "resume"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&format!("rm {}", flag.display())), "{said}");
    assert!(flag.exists());
    let shown = stdout(&home.run(&["--set", &set, "check"]));
    let line = format!("\npaused   flag file {}\n", flag.display());
    assert!(shown.contains(&line), "{shown}");
}

#[test]
fn resume_says_that_a_flag_file_that_is_a_link_pauses_nothing() {
    let home = Home::new();
    let flag = home.0.path().join("maintenance");
    std::os::unix::fs::symlink("/nonexistent", &flag).unwrap();
    let set = format!("pause.flag_file={}", flag.display());
    let output = home.run(&["--set", &set, "resume"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = stdout(&output);
    assert!(
        said.contains("a symbolic link, not a file; not taken for a pause"),
        "{said}"
    );
}

#[test]
fn who_asks_while_no_gatehound_runs_is_told_so_and_who_asks_a_running_one_is_not() {
    let home = Home::new();
    let says = |arguments: &[&str]| stdout(&home.run(arguments)).contains("no Gatehound runs, ");
    assert!(says(&["pause"]) && says(&["reset"]));
    let lock = File::create(home.runtime("lock")).unwrap();
    assert!(says(&["pause"]), "a lock file that a dead one left behind");
    lock.lock().unwrap();
    assert!(!says(&["pause"]) && !says(&["reset"]));
}

#[test]
fn a_folder_that_is_to_be_tidied_and_is_not_there_is_told() {
    let home = Home::new();
    let output = home.run(&["tidy", "--folder", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(stdout(&output), "left     /nonexistent: no such folder\n");
}

#[test]
fn a_reset_is_asked_for_in_the_runtime_folder() {
    let home = Home::new();
    let output = home.run(&["reset"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(fs::read(home.runtime("reset")).unwrap(), b"");
}

#[test]
fn a_profile_has_a_runtime_folder_of_its_own() {
    let home = Home::new();
    assert_eq!(
        home.run(&["--profile", "work", "pause"]).status.code(),
        Some(0)
    );
    assert!(home.0.path().join("run/gatehound-work/pause.json").exists());
    assert!(!home.runtime_folder().exists());
}

#[test]
fn whoever_watches_in_json_gets_json_alone_and_without_a_runtime_folder_an_error() {
    let home = Home::new();
    for arguments in [&["status", "--watch", "--json"][..], &["status", "--watch"]] {
        let mut command = home.gatehound(arguments);
        let output = command.env_remove("XDG_RUNTIME_DIR").output().unwrap();
        failed_saying(&output, 1, &["XDG_RUNTIME_DIR is not set"]);
    }
    let mut watch = home.gatehound(&["status", "--watch", "--json"]);
    let mut child = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    shown.read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let seen: serde_json::Value = serde_json::from_str(&line).unwrap();
    let why = seen["error"].as_str().unwrap();
    assert!(why.contains("no user manager on the bus"), "{line}");
}

#[test]
fn a_runtime_folder_that_is_a_link_is_refused() {
    let home = Home::new();
    let elsewhere = home.0.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, home.runtime_folder()).unwrap();
    for arguments in [&["pause"][..], &["reset"], &["run"]] {
        let output = home.run(arguments);
        failed(&output, 1);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("not a folder; not used, remove it"), "{said}");
    }
    assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
}

#[test]
fn a_second_run_is_refused_and_told_how_to_stop_the_first() {
    let home = Home::new();
    fs::create_dir(home.runtime_folder()).unwrap();
    fs::write(home.runtime("lock"), "4711").unwrap();
    let first = File::open(home.runtime("lock")).unwrap();
    first.lock().unwrap();
    failed_saying(
        &home.run(&["run"]),
        1,
        &[
            "another gatehound (pid 4711) watches this gateway",
            "systemctl --user stop gatehound.service",
        ],
    );
    let kept = fs::read(home.runtime("lock")).unwrap();
    assert_eq!(kept, b"4711", "the first one's pid stays");
}

#[test]
fn output_that_cannot_be_written_is_a_failure_and_a_reader_that_left_is_none() {
    let home = Home::new();
    let healthy = format!("gateway.port={}", gateway("{\"ok\": true}"));
    for (arguments, status) in [
        (&["settings", "show"][..], 1),
        // 1 would be a gateway that fails.
        (&["check", "--set", &healthy], 2),
        (&["--help"], 1),
        // Nobody listens there, which is told by the exit status.
        (&["check", "--set", "gateway.port=1"], 1),
        // No user manager is in reach.
        (&["doctor"], 2),
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = home.gatehound(arguments).stdout(full).output().unwrap();
        failed_saying(
            &output,
            status,
            &["standard output: No space left on device"],
        );
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = home.gatehound(&["settings", "show"]);
    let output = command.stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn every_profile_that_the_option_takes_is_one_that_the_settings_take() {
    let home = Home::new();
    for name in ["_x", "-x", ".x", "a/b"] {
        let argument = format!("--profile={name}");
        let output = home.run(&[&argument, "settings", "show"]);
        assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
    }
}

/// A home in whose `$PATH` there is only this journalctl.
fn with_journal(script: &str) -> (Home, PathBuf) {
    let home = Home::new();
    let bin = home.0.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let journalctl = bin.join("journalctl");
    fs::write(&journalctl, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o700)).unwrap();
    (home, bin)
}

fn asked(home: &Home, bin: &Path, arguments: &[&str]) -> Output {
    let mut command = home.gatehound(arguments);
    let path = format!("{}:/usr/bin:/bin", bin.display());
    command.env("PATH", path).output().unwrap()
}

#[test]
fn a_journal_without_records_is_said_to_be_so_and_why_it_may_be() {
    let (home, bin) = with_journal("exit 0");
    let said = asked(&home, &bin, &["history", "--since", "2026-11-01"]);
    assert!(said.status.success(), "{said:?}");
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(
        said.starts_with("no record of Gatehound since 2026-11-01 00:00:00"),
        "{said}"
    );
    failed_saying(&asked(&home, &bin, &["incident"]), 1, &["no incident"]);
}

/// A record of this boot as it is in the journal, written a minute ago.
fn minute_old(event: &str, fields: &[(&str, &str)]) -> String {
    seconds_old(60, event, fields)
}

fn seconds_old(age: u128, event: &str, fields: &[(&str, &str)]) -> String {
    let age = age * 1_000_000;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let monotonic = gatehound::os::clock::Clock.now().0;
    let mut record = serde_json::json!({
        "__REALTIME_TIMESTAMP": (now.unwrap().as_micros() - age).to_string(),
        "__MONOTONIC_TIMESTAMP": (u128::from(monotonic) - age).to_string(),
        "_BOOT_ID": boot.trim().replace('-', ""),
        "MESSAGE": format!("text of {event}"),
        "GATEHOUND_EVENT": event,
    });
    for (name, value) in fields {
        record[name] = (*value).into();
    }
    record.to_string()
}

#[test]
fn a_quiet_time_is_told_by_the_record_before_it() {
    let before = minute_old("healthy", &[]);
    // All that is asked for is there, and nothing else.
    let script = format!(
        "case \"$*\" in *'--until=@'*'--reverse --lines=1'*'USER_UNIT=openclaw-gateway.service _UID='*' + MESSAGE_ID='*'USER_UNIT=gatehound.service _UID='*) cat <<'E'\n{before}\nE\n;; esac"
    );
    let (home, bin) = with_journal(&script);
    let said = stdout(&asked(&home, &bin, &["history", "--since", "30s"]));
    assert!(said.starts_with("no incident since "), "{said}");
    assert!(said.contains(", watched for 3"), "{said}");
    assert!(said.contains("availability 100.00 %"), "{said}");
}

#[test]
fn an_incident_that_was_open_when_the_time_began_is_told_from_its_beginning() {
    let id = ("GATEHOUND_INCIDENT", "c0ffee00-1");
    let cause = [
        id,
        ("GATEHOUND_PROBE", "http"),
        ("GATEHOUND_REASON", "no answer"),
    ];
    let failing = minute_old("failing", &cause);
    let last = seconds_old(50, "warning", &[id]);
    // What systemd says of a Gatehound that failed has no field; its successor's first record has.
    let died = seconds_old(40, "", &[]).replace("GATEHOUND_EVENT", "X");
    let begun = seconds_old(10, "watching", &[id]);
    for (before, window) in [(&last, ""), (&died, &begun[..])] {
        let script = format!(
            "case \"$*\" in *--reverse*) cat <<'E'\n{before}\nE\n;;\
             *--until=@*'GATEHOUND_INCIDENT=c0ffee00-1 _BOOT_ID='*' + MESSAGE_ID='*'_BOOT_ID='*) cat <<'E'\n{failing}\n{last}\nE\n;;\
             *--since*) cat <<'E'\n{window}\nE\n;; esac"
        );
        let (home, bin) = with_journal(&script);
        let asked = asked(&home, &bin, &["history", "--since", "30s", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap();
        let past = &json["incidents"][0];
        assert_eq!(past["probe"], "http", "{json}");
        assert_eq!(past["outcome"], "under-way", "{json}");
        let seconds = |value: &serde_json::Value| value.as_f64().unwrap();
        // From the failing check to the last record there is nothing that says otherwise.
        assert!(10.0 < seconds(&past["down_seconds"]), "{json}");
        assert!(seconds(&json["watched_seconds"]) < seconds(&past["down_seconds"]));
    }
}

#[test]
fn an_outage_without_an_incident_is_told_with_what_to_do() {
    let record = minute_old(
        "standing-by",
        &[
            ("GATEHOUND_PHASE", "standing-by"),
            ("GATEHOUND_STANDBY", "config-error"),
            ("GATEHOUND_DETAIL", "port is no number"),
        ],
    );
    let script = format!("case \"$*\" in *--since*) cat <<'E'\n{record}\nE\n;; esac");
    let (home, bin) = with_journal(&script);
    let said = stdout(&asked(&home, &bin, &["history"]));
    let row = said.lines().nth(1).unwrap_or_default();
    for told in [
        "  config-error  ",
        "  1 min",
        "  under-way   port is no number",
    ] {
        assert!(row.contains(told), "{told} in {said}");
    }
    assert!(said.contains("\nno incident, 1 outage since "), "{said}");
    assert!(said.contains("availability 0.00 %"), "{said}");
    let json = asked(&home, &bin, &["history", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["incidents"], serde_json::json!([]));
    assert_eq!(json["stood_by"][0]["reason"], "config-error");
    assert_eq!(json["stood_by"][0]["outage"], true);
    failed_saying(
        &asked(&home, &bin, &["incident"]),
        1,
        &[
            "no incident in the journal, but since ",
            "text of standing-by",
        ],
    );
}

#[test]
fn a_gateway_that_a_human_paused_is_not_shown_as_down() {
    let record = minute_old(
        "standing-by",
        &[
            ("GATEHOUND_PHASE", "standing-by"),
            ("GATEHOUND_STANDBY", "paused"),
            ("GATEHOUND_DETAIL", "new disk"),
        ],
    );
    let script = format!("case \"$*\" in *--since*) cat <<'E'\n{record}\nE\n;; esac");
    let (home, bin) = with_journal(&script);
    let said = stdout(&asked(&home, &bin, &["history"]));
    let row = said.lines().nth(1).unwrap_or_default();
    assert!(row.contains("  paused  "), "{said}");
    assert!(
        row.contains("  -         -  under-way   stood by for 1 min"),
        "{said}"
    );
    assert!(row.ends_with(": new disk"), "{said}");
    assert!(said.contains("\nno incident since "), "{said}");
}

#[test]
fn a_moment_that_is_none_is_refused_with_what_would_be_one() {
    let refused = Home::new().run(&["history", "--since", "soon"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("--since \"soon\": no time; give a span such as 7d"),
        "{said}"
    );
}

#[test]
fn a_journal_that_cannot_be_read_is_named() {
    let (home, bin) = with_journal("exit 3");
    let failed = asked(&home, &bin, &["history"]);
    failed_saying(&failed, 1, &["the journal cannot be read", "journalctl"]);
}

#[test]
fn what_stands_in_the_journal_reaches_the_terminal_as_plain_lines() {
    let record = r#"{"__REALTIME_TIMESTAMP":"1","__MONOTONIC_TIMESTAMP":"1","_BOOT_ID":"b","MESSAGE":"a\u001b[2Jb\nc","GATEHOUND_EVENT":"failing","GATEHOUND_INCIDENT":"\u001b]0;x\u0007\nforged","GATEHOUND_PROBE":"http","GATEHOUND_REASON":"r\u202e\n1"}"#;
    let (home, bin) = with_journal(&format!("echo '{}'", record.replace('\\', "\\\\")));
    for arguments in [&["history"][..], &["incident"]] {
        let said = String::from_utf8(asked(&home, &bin, arguments).stdout).unwrap();
        assert!(said.contains("forged"), "{said}");
        assert!(
            said.lines().all(|line| !line.starts_with("forged")),
            "{said}"
        );
        let dirty = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(!said.contains(dirty), "{said:?}");
    }
}

#[test]
fn a_doctor_who_finds_no_user_manager_says_so_and_looks_at_the_rest() {
    let home = Home::with_config("interval = 7\n");
    let output = home.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    for told in [
        "PROBLEM  settings",
        "PROBLEM  manager",
        "no user manager on the bus",
        "→ ",
    ] {
        assert!(said.contains(told), "{told} in {said}");
    }
    let json = home.run(&["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["worst"], "problem");
}

#[test]
fn a_flag_file_is_one_finding_whatever_it_is_with_the_command_that_removes_it() {
    let home = Home::new();
    let flag = home.0.path().join("maintenance");
    let shown = flag.display();
    let found = |what: &str, fix: String| {
        let set = format!("pause.flag_file={}", flag.display());
        let output = home.run(&["--set", &set, "doctor", "--json"]);
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = said["findings"].as_array().unwrap();
        let of_flag = |one: &&serde_json::Value| one.to_string().contains("flag file");
        let [one] = &findings.iter().filter(of_flag).collect::<Vec<_>>()[..] else {
            panic!("{said:#}");
        };
        assert_eq!(one["about"], "pause", "{one}");
        assert!(one["what"].as_str().unwrap().contains(what), "{one}");
        assert_eq!(one["fix"], fix, "{one}");
    };
    fs::write(&flag, "").unwrap();
    found("paused: flag file ", format!("rm {shown}"));
    fs::remove_file(&flag).unwrap();
    std::os::unix::fs::symlink("/nonexistent", &flag).unwrap();
    found("not taken for a pause", format!("rm {shown}"));
    fs::remove_file(&flag).unwrap();
    fs::create_dir(&flag).unwrap();
    found("not taken for a pause", format!("rm -r {shown}"));
}

#[test]
fn a_cron_job_about_the_gateway_is_found_with_what_to_do_about_it() {
    let (home, bin) = with_journal("exit 0");
    let crontab = "#!/bin/sh\necho '* * * * * /home/a/openclaw-watchdog.sh'\n";
    fs::write(bin.join("crontab"), crontab).unwrap();
    fs::set_permissions(bin.join("crontab"), fs::Permissions::from_mode(0o700)).unwrap();
    let output = asked(&home, &bin, &["doctor"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("cron starts the old watchdog too: * * * * * /home/a/openclaw-watchdog.sh"),
        "{said}"
    );
    assert!(said.contains(" install --replace-cron\n"), "{said}");

    let script = "#!/bin/sh\nsystemctl --user restart openclaw-gateway\n";
    fs::write(home.0.path().join("keepalive.sh"), script).unwrap();
    for line in [
        "* * * * * flock -n /tmp/l ~/keepalive.sh",
        "* * * * * cd ~ && ./keepalive.sh",
        "* * * * * systemctl --user is-active openclaw-gateway || systemctl --user restart openclaw-gateway",
    ] {
        fs::write(bin.join("crontab"), format!("#!/bin/sh\necho '{line}'\n")).unwrap();
        let output = asked(&home, &bin, &["doctor"]);
        let said = String::from_utf8(output.stdout).unwrap();
        let told = format!("a cron job may be another watchdog of the gateway: {line}");
        assert!(said.contains(&told), "{said}");
        assert!(
            said.contains("if it is one, remove the line: crontab -e\n"),
            "{said}"
        );
    }
}

/// A home with an openclaw.json and one snapshot of it that was known good.
fn with_snapshot(text: &str) -> (Home, PathBuf) {
    with_snapshot_of(&[("openclaw.json", text)])
}

/// As [`with_snapshot`], with included files behind openclaw.json.
fn with_snapshot_of(files: &[(&str, &str)]) -> (Home, PathBuf) {
    use gatehound::{probe::openclaw_files::Place, snapshots::store};
    let home = Home::new();
    let folder = home.0.path().join(".openclaw");
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let config = folder.join("openclaw.json");
    let store = store::Store::new(&home.0.path().join(".local/state/gatehound"));
    let proof = store::Proof {
        run: "c0ffee".to_owned(),
        started: std::time::Duration::from_secs(u64::MAX),
        place: Place {
            path: config.clone(),
            include_roots: Vec::new(),
        },
    };
    let now = std::time::Duration::from_secs(1_700_000_000);
    let version = || Some("2026.9.6".into());
    let kept = store::known_good(&store, proof, version, now, 10);
    kept.unwrap().unwrap();
    (home, config)
}

const GOOD: &str = "{gateway: {port: 18789, auth: {token: 'hunter2'}}, x: 'sk-abcDEF0123456789'}";
const BAD: &str = "{gateway: {port: 18790, auth: {token: 'hunter3'}}, x: 'sk-abcDEF9876543210'}";

#[test]
fn snapshots_are_listed_with_the_one_that_is_current() {
    let home = Home::new();
    let none = home.run(&["snapshot", "list"]);
    assert!(stdout(&none).contains("is kept yet"), "{none:?}");
    failed_saying(
        &home.run(&["snapshot", "diff"]),
        1,
        &["no snapshot is kept yet"],
    );
    let (home, config) = with_snapshot(GOOD);
    let listed = stdout(&home.run(&["snapshot", "list"]));
    assert!(
        listed.contains("known good") && listed.contains("c0ffee"),
        "{listed}"
    );
    assert!(listed.contains("  current\n"), "{listed}");
    assert!(listed.contains("  known good  2026.9.6      "), "{listed}");
    let snapshot = home
        .0
        .path()
        .join(".local/state/gatehound/snapshots/1.json");
    let text = fs::read_to_string(&snapshot).unwrap();
    fs::write(&snapshot, text.replace(r#""version":"2026.9.6","#, "")).unwrap();
    let older = stdout(&home.run(&["snapshot", "list"]));
    assert!(older.contains("  known good  -             "), "{older}");
    fs::write(config, BAD).unwrap();
    assert!(!stdout(&home.run(&["snapshot", "list"])).contains("current"));
    failed_saying(
        &home.run(&["snapshot", "diff", "7"]),
        1,
        &["there is no snapshot 7"],
    );
}

#[test]
fn a_diff_shows_what_differs_and_no_secret() {
    let (home, config) = with_snapshot(GOOD);
    let same = stdout(&home.run(&["snapshot", "diff"]));
    assert_eq!(same, "the configuration is that of snapshot 1\n");
    fs::write(&config, BAD).unwrap();
    let shown = stdout(&home.run(&["snapshot", "diff", "1"]));
    let expected = [
        "- gateway.auth.token = (hidden)",
        "+ gateway.auth.token = (hidden)",
        "- gateway.port = 18789",
        "+ gateway.port = 18790",
        "- x = (hidden)",
        "+ x = (hidden)",
    ];
    assert_eq!(shown.lines().skip(1).collect::<Vec<_>>(), expected);
    fs::write(&config, "{gateway: {auth: {token: hunter3").unwrap();
    let shown = home.run(&["snapshot", "diff"]);
    assert!(stdout(&shown).contains("is not JSON5 now"), "{shown:?}");
    assert!(!format!("{shown:?}").contains("hunter"), "{shown:?}");
}

#[test]
fn a_restore_needs_a_yes_keeps_what_it_replaces_and_says_how_to_start() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, b"\xff{ hunter3").unwrap();
    failed_saying(&home.run(&["snapshot", "restore"]), 1, &["give --yes"]);
    assert_eq!(fs::read(&config).unwrap(), b"\xff{ hunter3");
    let said = stdout(&home.run(&["snapshot", "restore", "--yes"]));
    for part in [
        "kept what was there as snapshot 2",
        "restored snapshot 1",
        "systemctl --user reset-failed openclaw-gateway.service",
        "systemctl --user start openclaw-gateway.service",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("hunter"), "{said}");
    assert_eq!(fs::read_to_string(&config).unwrap(), GOOD);
    let again = stdout(&home.run(&["snapshot", "restore", "--yes"]));
    assert!(again.contains("snapshot 1 already"), "{again}");
    home.run(&["snapshot", "restore", "2", "--yes"]);
    assert_eq!(fs::read(&config).unwrap(), b"\xff{ hunter3");
}

#[test]
fn a_read_only_configuration_is_not_restored() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, BAD).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o400)).unwrap();
    let output = home.run(&["snapshot", "restore", "--yes"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("is read-only; nothing is restored: chmod u+w"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(fs::read_to_string(&config).unwrap(), BAD);
}

#[test]
fn at_a_terminal_a_restore_asks_and_only_a_yes_is_one() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, BAD).unwrap();
    for (typed, status, expected) in [
        ("\n", 1, BAD),
        ("n\n", 1, BAD),
        ("\u{4}", 1, BAD),
        ("Yes\n", 0, GOOD),
    ] {
        let (code, shown) = at_terminal(home.gatehound(&["snapshot", "restore"]), typed);
        assert_eq!(code, Some(status), "{typed:?}: {shown}");
        assert!(shown.contains("? [y/N] "), "{shown}");
        assert_eq!(fs::read_to_string(&config).unwrap(), expected, "{typed:?}");
    }
}

#[test]
fn what_is_written_while_a_restore_asks_is_left_as_it_is() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, BAD).unwrap();
    let restore = home.gatehound(&["snapshot", "restore"]);
    let write = || fs::write(&config, "{fixed: true}").unwrap();
    let (code, shown) = at_terminal_after(restore, "? [y/N] ", write, "y\n");
    assert_eq!(code, Some(1), "{shown}");
    for part in ["meanwhile; nothing is restored", "gatehound snapshot diff"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert_eq!(fs::read_to_string(&config).unwrap(), "{fixed: true}");
    let list = stdout(&home.run(&["snapshot", "list"]));
    assert!(!list.contains("replaced"), "{list}");
}

#[test]
fn a_folder_of_included_files_that_is_gone_is_made_anew() {
    let main = "{$include: 'parts/deep/more.json'}";
    let (home, config) =
        with_snapshot_of(&[("openclaw.json", main), ("parts/deep/more.json", "{a: 1}")]);
    let parts = config.with_file_name("parts");
    fs::remove_dir_all(&parts).unwrap();
    let said = stdout(&home.run(&["snapshot", "restore", "--yes"]));
    assert!(said.contains("restored snapshot 1"), "{said}");
    let more = parts.join("deep/more.json");
    assert_eq!(fs::read_to_string(&more).unwrap(), "{a: 1}");
    for folder in [&parts, &parts.join("deep")] {
        let mode = fs::metadata(folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
    }
}

#[test]
fn a_restore_makes_no_folder_but_below_the_configurations_own() {
    let (home, config) = with_snapshot(GOOD);
    fs::remove_dir_all(config.parent().unwrap()).unwrap();
    failed_saying(
        &home.run(&["snapshot", "restore", "--yes"]),
        1,
        &[
            "there is no folder ",
            "/.openclaw; nothing is restored",
            "make it",
        ],
    );
    assert!(!config.parent().unwrap().exists());
}

#[test]
fn a_snapshot_that_makes_no_sense_is_not_said_to_be_missing() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, BAD).unwrap();
    let snapshot = home
        .0
        .path()
        .join(".local/state/gatehound/snapshots/1.json");
    fs::write(&snapshot, "{").unwrap();
    for arguments in [
        &["snapshot", "diff", "1"][..],
        &["snapshot", "restore", "1", "--yes"],
    ] {
        failed_saying(
            &home.run(arguments),
            1,
            &[
                "cannot use snapshot 1",
                "/snapshots/1.json: not a snapshot",
                "gatehound snapshot list",
            ],
        );
    }
    assert_eq!(fs::read_to_string(&config).unwrap(), BAD);
    let list = home.run(&["snapshot", "list"]);
    failed_saying(&list, 1, &["not a snapshot", "no snapshot can be used"]);
    let restore = home.run(&["snapshot", "restore", "--yes"]);
    failed_saying(&restore, 1, &["not a snapshot", "no snapshot can be used"]);
}

#[test]
fn snapshots_that_cannot_be_looked_at_are_not_said_to_be_none() {
    let (home, _) = with_snapshot(GOOD);
    let folder = home.0.path().join(".local/state/gatehound/snapshots");
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "no folder").unwrap();
    for arguments in [
        &["snapshot", "list"][..],
        &["snapshot", "diff"],
        &["snapshot", "diff", "1"],
        &["snapshot", "restore", "--yes"],
    ] {
        let said = ["cannot read ", "Not a directory", "is not known: make it"];
        failed_saying(&home.run(arguments), 1, &said);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_what_to_do_about_it() {
    let (home, config) = with_snapshot(GOOD);
    fs::remove_file(&config).unwrap();
    fs::create_dir(&config).unwrap();
    for arguments in [&["snapshot", "diff"][..], &["snapshot", "restore", "--yes"]] {
        let message = failed(&home.run(arguments), 1);
        for part in [
            "openclaw.json: not a regular file",
            "nothing is done",
            "make it",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn a_configuration_is_restored_whatever_else_is_wrong_with_the_settings() {
    for wrong in ["interval = 7\n", "interval = \n", "[snapshots]\nkeep = 0\n"] {
        let (home, config) = with_snapshot(GOOD);
        fs::write(home.config(), wrong).unwrap();
        fs::write(&config, BAD).unwrap();
        for arguments in [
            &["snapshot", "list"][..],
            &["snapshot", "diff"],
            &["snapshot", "restore", "--yes"],
        ] {
            let output = home.run(arguments);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(said.lines().count(), 1, "{said}");
            let file = home.config().display().to_string();
            for part in [&file, "going on with the unit openclaw-gateway.service"] {
                assert!(said.contains(part), "{said}");
            }
        }
        assert_eq!(fs::read_to_string(&config).unwrap(), GOOD);
    }
}

#[test]
fn what_a_restore_needs_of_the_settings_is_used_or_refused() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, BAD).unwrap();
    let restore = |text: &str| {
        fs::write(home.config(), text).unwrap();
        home.run(&["snapshot", "restore", "--yes"])
    };
    for wrong in ["5", "\"no unit\""] {
        let text = format!("interval = 7\n[gateway]\nunit = {wrong}\n");
        let message = failed(&restore(&text), 78);
        assert!(message.contains("gateway.unit = "), "{message}");
        assert_eq!(fs::read_to_string(&config).unwrap(), BAD);
    }
    let output = restore("interval = 7\n[gateway]\nunit = \"mine.service\"\n");
    let said = stdout(&output);
    assert!(
        said.contains("systemctl --user start mine.service"),
        "{output:?}"
    );
}

/// A command that colours a word, at a terminal of this kind.
fn coloured(home: &Home, variables: &[(&str, &str)]) -> bool {
    let mut command = home.gatehound(&["doctor"]);
    command.envs(variables.iter().copied());
    let (_, shown) = at_terminal(command, "");
    assert!(shown.contains("PROBLEM"), "{shown}");
    let colour = "\u{1b}[1m\u{1b}[31mPROBLEM\u{1b}[0m  manager    ";
    assert_eq!(
        shown.contains('\u{1b}'),
        shown.contains(colour),
        "{shown:?}"
    );
    shown.contains(colour)
}

#[test]
fn only_a_terminal_that_takes_colour_gets_it() {
    let home = Home::new();
    let xterm = ("TERM", "xterm-256color");
    assert!(coloured(&home, &[xterm]));
    assert!(coloured(&home, &[xterm, ("NO_COLOR", "")]));
    assert!(!coloured(&home, &[xterm, ("NO_COLOR", "1")]));
    assert!(!coloured(&home, &[("TERM", "dumb")]));
    assert!(!coloured(&home, &[]));
    let piped = home.gatehound(&["doctor"]).env("TERM", "xterm").output();
    assert!(!stdout(&piped.unwrap()).contains('\u{1b}'));
}

#[test]
fn every_command_that_tells_good_from_bad_colours_it_at_a_terminal() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, BAD).unwrap();
    let port = gateway(r#"{"ok":true}"#);
    let set = format!("gateway.port={port}");
    let at_xterm = |arguments: &[&str]| {
        let mut command = home.gatehound(arguments);
        command.env("TERM", "xterm");
        at_terminal(command, "").1
    };
    let diff = at_xterm(&["snapshot", "diff"]);
    assert!(
        diff.contains("\u{1b}[1m\u{1b}[31m- gateway.port = 18789\u{1b}[0m"),
        "{diff:?}"
    );
    assert!(
        diff.contains("\u{1b}[32m+ gateway.port = 18790\u{1b}[0m"),
        "{diff:?}"
    );
    let check = at_xterm(&["--set", &set, "check"]);
    assert!(
        check.starts_with("gateway  \u{1b}[32mhealthy\u{1b}[0m, /health "),
        "{check:?}"
    );
    let json = at_xterm(&["--set", &set, "check", "--json"]);
    assert!(!json.contains('\u{1b}'), "{json:?}");

    let record = r#"{"__REALTIME_TIMESTAMP":"1","__MONOTONIC_TIMESTAMP":"1","_BOOT_ID":"b","MESSAGE":"m","GATEHOUND_EVENT":"failing","GATEHOUND_INCIDENT":"i","GATEHOUND_PROBE":"http","GATEHOUND_REASON":"r"}"#;
    let (home, bin) = with_journal(&format!("echo '{record}'"));
    let mut command = home.gatehound(&["history"]);
    let path = format!("{}:/usr/bin:/bin", bin.display());
    command.env("PATH", path).env("TERM", "xterm");
    let (_, history) = at_terminal(command, "");
    assert!(
        history.contains("  \u{1b}[33munseen\u{1b}[0m      http: r"),
        "{history:?}"
    );
}

/// At which column of a terminal a text stands; of the characters used here, those from U+1100 on are two wide.
fn column(line: &str, text: &str) -> usize {
    let (before, _) = line
        .split_once(text)
        .unwrap_or_else(|| panic!("{text:?} in {line:?}"));
    let wide = |c: char| match c {
        '\u{300}'..='\u{36f}' => 0,
        '\u{1100}'.. => 2,
        _ => 1,
    };
    before.chars().map(wide).sum()
}

#[test]
fn columns_stay_aligned_whatever_is_in_them() {
    let record = |id: &str, stall: &str| {
        format!(
            r#"{{"__REALTIME_TIMESTAMP":"1","__MONOTONIC_TIMESTAMP":"1","_BOOT_ID":"b","MESSAGE":"m","GATEHOUND_EVENT":"failing","GATEHOUND_INCIDENT":"{id}","GATEHOUND_STALL":"{stall}","GATEHOUND_PROBE":"http","GATEHOUND_REASON":"応答なし"}}"#
        )
    };
    let records = [
        record("plain", "blocked"),
        record("日本語", "停止中"),
        record("e\u{301}te\u{301}", "🦞"),
    ];
    let (home, bin) = with_journal(&format!("cat <<'E'\n{}\nE", records.join("\n")));
    let said = String::from_utf8(asked(&home, &bin, &["history"]).stdout).unwrap();
    let rows: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("http: "))
        .collect();
    assert_eq!(rows.len(), 3, "{said}");
    for text in ["  unseen", "http: "] {
        let columns: Vec<usize> = rows.iter().map(|row| column(row, text)).collect();
        assert_eq!(columns, [columns[0]; 3], "{text}\n{said}");
    }

    let home = Home::with_config(
        "[pause]\nflag_file = \"/tmp/保守作業中のファイルです、触らないでください\"\n",
    );
    let shown = stdout(&home.run(&["settings", "show"]));
    let columns: Vec<usize> = shown
        .lines()
        .map(|line| {
            let origin = if line.starts_with("pause.flag_file") {
                "  /"
            } else {
                "  default"
            };
            column(line, origin)
        })
        .collect();
    assert!(
        columns.iter().all(|column| *column == columns[0]),
        "{columns:?}\n{shown}"
    );
}
