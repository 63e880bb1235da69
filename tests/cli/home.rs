//! A home of its own for each test, with what the tests of the command line ask of it and put into it.

pub(crate) use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

pub(crate) use nix::pty::openpty;
pub(crate) use tempfile::TempDir;

/// Commands that need the user manager and cannot do without.
pub(crate) const NEED_MANAGER: [&[&str]; 6] = [
    &["emergency-stop"],
    &["status"],
    &["status", "--json"],
    &["install"],
    &["install", "--dry-run"],
    &["uninstall"],
];

/// Commands that need the settings to be right.
pub(crate) const NEED_SETTINGS: [&[&str]; 3] = [&["settings", "check"], &["check"], &["run"]];

/// A home of its own with no user manager in reach.
pub(crate) struct Home(pub(crate) TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for folder in ["run", "config/gatehound"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        Self(home)
    }

    pub(crate) fn with_config(text: &str) -> Self {
        let home = Self::new();
        fs::write(home.config(), text).unwrap();
        home
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.0.path().join("config/gatehound/config.toml")
    }

    pub(crate) fn runtime_folder(&self) -> PathBuf {
        self.0.path().join("run/gatehound")
    }

    pub(crate) fn runtime(&self, name: &str) -> PathBuf {
        self.runtime_folder().join(name)
    }

    pub(crate) fn gatehound(&self, arguments: &[&str]) -> Command {
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

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.gatehound(arguments).output().unwrap()
    }
}

/// No folder, and no reason to take the one of whoever runs the tests, as where the variable is not set.
pub(crate) const NOWHERE: &str = "relative";

/// What a command does at a terminal at which this is typed.
pub(crate) fn at_terminal(command: Command, typed: &str) -> (Option<i32>, String) {
    at_terminal_after(command, "", || (), typed)
}

/// As [`at_terminal`], where something happens between what the command shows first and the typing.
pub(crate) fn at_terminal_after(
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

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Holds that a command failed with this status and said why in one line, which is returned without its prefix.
#[track_caller]
pub(crate) fn failed(output: &Output, status: i32) -> String {
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
pub(crate) fn failed_saying(output: &Output, status: i32, parts: &[&str]) {
    let message = failed(output, status);
    let first = message.chars().next().unwrap();
    let is_name = message.starts_with("HOME ");
    assert!(first.is_lowercase() || is_name, "{message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

/// Holds that these settings are refused by every command that needs them.
#[track_caller]
pub(crate) fn check_refused(config: &str, parts: &[&str]) {
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

/// A gateway that answers every request with this body, on the port that is returned.
pub(crate) fn gateway(body: &'static str) -> u16 {
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

/// A command that answers, where the settings are wrong and name a gateway of their own.
pub(crate) fn with_wrong_settings(arguments: &[&str]) -> (Output, String) {
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

/// Holds that what a terminal is given are lines of characters that show as themselves.
#[track_caller]
pub(crate) fn clean(output: &Output) {
    for text in [&output.stdout, &output.stderr] {
        let text = str::from_utf8(text).unwrap();
        let bad =
            |c: char| c != '\n' && (c.is_control() || "\u{ad}\u{200b}\u{202e}\u{2066}".contains(c));
        assert!(!text.contains(bad), "{text:?}");
    }
}

/// A home in whose `$PATH` there is only this journalctl.
pub(crate) fn with_journal(script: &str) -> (Home, PathBuf) {
    let home = Home::new();
    let bin = home.0.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let journalctl = bin.join("journalctl");
    fs::write(&journalctl, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o700)).unwrap();
    (home, bin)
}

pub(crate) fn asked(home: &Home, bin: &Path, arguments: &[&str]) -> Output {
    let mut command = home.gatehound(arguments);
    let path = format!("{}:/usr/bin:/bin", bin.display());
    command.env("PATH", path).output().unwrap()
}

/// A record of this boot as it is in the journal, written a minute ago.
pub(crate) fn minute_old(event: &str, fields: &[(&str, &str)]) -> String {
    seconds_old(60, event, fields)
}

pub(crate) fn seconds_old(age: u128, event: &str, fields: &[(&str, &str)]) -> String {
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

/// A home with an openclaw.json and one snapshot of it that was known good.
pub(crate) fn with_snapshot(text: &str) -> (Home, PathBuf) {
    with_snapshot_of(&[("openclaw.json", text)])
}

/// As [`with_snapshot`], with included files behind openclaw.json.
pub(crate) fn with_snapshot_of(files: &[(&str, &str)]) -> (Home, PathBuf) {
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

pub(crate) const GOOD: &str =
    "{gateway: {port: 18789, auth: {token: 'hunter2'}}, x: 'sk-abcDEF0123456789'}";

pub(crate) const BAD: &str =
    "{gateway: {port: 18790, auth: {token: 'hunter3'}}, x: 'sk-abcDEF9876543210'}";

/// A command that colours a word, at a terminal of this kind.
pub(crate) fn coloured(home: &Home, variables: &[(&str, &str)]) -> bool {
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

/// At which column of a terminal a text stands; of the characters used here, those from U+1100 on are two wide.
pub(crate) fn column(line: &str, text: &str) -> usize {
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
