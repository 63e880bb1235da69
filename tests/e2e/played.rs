//! Units and behaviours as people have them, under a real user manager: a folder of `tests/cases/` is a case.
//!
//! Owns how a case is put into the machine, how its steps are played and how it is taken out again; what is right stands
//! in its file `expect`, and what a step is in `tests/cases/reading.rs`.
//! Knows nothing of any single case.
//!
//! Of a case `gateway.service` is the gateway's unit, `gateway.service.d/` its drop-ins, `gatehound.toml` tables that the short
//! settings get as well and `gatehound.conf` a drop-in of Gatehound's unit; `home/` goes to `@HOME@`, `state/` to where the gateway
//! keeps openclaw.json, `user/` and `system/` to the units of the user and of the system.
//! `@BIN@` has the stand-in gateway as `openclaw` and `node`; [`Played::names`] has all names that are filled in.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use libtest_mimic::Trial;

use crate::place;
use crate::privileged::{as_root, port_holder};
use crate::reading::{Case, PLAYED, PLAYERS, Step, cases, filled};
use crate::rig::{Rig, Setup, TIMEOUT, free_port, try_systemctl};
use crate::watched::{FAST, event};

/// A trial for each case that others beside it do not disturb.
pub fn trials() -> Vec<Trial> {
    of_cases(false)
}

/// A trial for each of the others.
pub fn alone() -> Vec<Trial> {
    of_cases(true)
}

fn of_cases(alone: bool) -> Vec<Trial> {
    let all = PLAYED.iter().flat_map(|kind| cases(kind));
    let these = all.filter(|case| case.is("alone") == alone);
    these
        .map(|case| {
            Trial::test(case.name.clone(), move || {
                Played::new(&case).play();
                Ok(())
            })
        })
        .collect()
}

/// A case that is in the machine until this is dropped.
struct Played<'a> {
    case: &'a Case,
    names: Vec<(&'static str, String)>,
    files: Vec<PathBuf>,
    of_root: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    rig: Rig,
    /// Held while the case needs a port that others need as well.
    _port: Option<MutexGuard<'static, ()>>,
}

/// What has to hold until the end.
enum Lasting {
    Never {
        event: String,
        text: String,
        records: usize,
        pings: usize,
    },
    Stays {
        unit: String,
        system: bool,
        pid: String,
    },
}

impl<'a> Played<'a> {
    fn new(case: &'a Case) -> Self {
        static PORT: Mutex<()> = Mutex::new(());
        let fixed = case.lines().find_map(|line| match Step::of(line) {
            Some(Step::Port(port)) => Some(port.parse().expect("a port")),
            _ => None,
        });
        let guard = fixed.map(|_: u16| PORT.lock().unwrap_or_else(PoisonError::into_inner));
        let rig = Rig::with(&Setup {
            gateway_unit: Some(String::new()),
            lasting: true,
            watched: false,
            port: Some(fixed.unwrap_or_else(free_port)),
            ..Setup::default()
        });
        let home = PathBuf::from(std::env::var_os("HOME").expect("HOME"));
        let state = home.join(format!(".openclaw-{}", rig.profile));
        let names = names(&rig, &state);
        let given: Vec<(&str, &str)> = names
            .iter()
            .map(|(name, to)| (*name, to.as_str()))
            .collect();
        let (user, here) = (rig.unit_path(""), rig.folder("home"));
        stand_in(&rig, &rig.folder("bin"));
        let mut files = case.put("gateway.service", &rig.unit_path(&rig.gateway), &given);
        files.extend(case.put("user", &user, &given));
        case.put("home", &here, &given);
        case.put("state", &state, &given);
        case.put(
            "gateway.service.d",
            &rig.unit_path(&format!("{}.d", rig.gateway)),
            &given,
        );
        let copy = rig.folder("of-root");
        let mut of_root = Vec::new();
        for file in case.put("system", &copy, &given) {
            let target =
                Path::new("/run/systemd/system").join(file.strip_prefix(&copy).expect("below it"));
            let [from, to] = [&file, &target].map(|path| path.to_str().expect("UTF-8"));
            as_root(&["install", "-D", "-m", "644", from, to]);
            of_root.push(target);
        }
        let own = |name: &str| case.text(name).map(|text| filled(&text, &given));
        rig.watch(&Setup {
            settings: FAST.to_owned() + &own("gatehound.toml").unwrap_or_default(),
            gatehound_service: own("gatehound.conf").unwrap_or_default(),
            notify_proxy: true,
            ..Setup::default()
        });
        for folder in [&here, &rig.folder("bin")] {
            made_long_ago(folder);
        }
        Self {
            case,
            names,
            files,
            of_root,
            folders: vec![state, here],
            rig,
            _port: guard,
        }
    }

    fn play(&self) {
        let given: Vec<(&str, &str)> = self
            .names
            .iter()
            .map(|(name, to)| (*name, to.as_str()))
            .collect();
        let mut lasting = Vec::new();
        // Where the record of the last `then` stands.
        let mut at = 0;
        // What a command said, until something else happens.
        let mut said: Option<(String, String)> = None;
        for line in self.case.lines() {
            let line = filled(line, &given);
            let step = Step::of(&line).unwrap_or_else(|| panic!("{}: {line:?}", self.case.name));
            if let Step::Says(speaker, has, text) = step {
                if said.as_ref().is_none_or(|(by, _)| by != speaker) {
                    said = Some((speaker.to_owned(), self.says(speaker)));
                }
                let (_, all) = said.as_ref().expect("said above");
                let word = if has { "lacks" } else { "has" };
                assert_eq!(
                    all.contains(text),
                    has,
                    "{}: {speaker} {word} {text:?}: {all}",
                    self.case.name
                );
                continue;
            }
            said = None;
            self.step(step, &mut at, &mut lasting);
        }
        lasting.iter().for_each(|it| self.held(it));
    }

    fn step(&self, step: Step<'_>, at: &mut usize, lasting: &mut Vec<Lasting>) {
        let rig = &self.rig;
        match step {
            Step::Port(_) | Step::Alone | Step::Clean(_) | Step::Says(..) => {}
            Step::Start("gateway") => self.start(&rig.gateway),
            Step::Start("gatehound") => rig.start_gatehound(),
            Step::Start(unit) => self.start(unit),
            Step::Do(command) => self.shell(command),
            Step::Root(command) => drop(as_root(&["sh", "-ec", command])),
            Step::Gateway(mode) => rig.mode_when_up(mode),
            Step::Next(mode) => rig.mode_at_start(mode),
            Step::Then(event_name, text) => {
                let fits = fits(event_name, text);
                rig.journal.wait_for_after(
                    *at,
                    &format!("{}: {event_name} {text}", self.case.name),
                    TIMEOUT,
                    &fits,
                );
                let all = rig.journal.all();
                let found = all.iter().skip(*at).position(fits).expect("waited for");
                *at += found + 1;
            }
            Step::Never(event, text) => lasting.push(Lasting::Never {
                event: event.to_owned(),
                text: text.to_owned(),
                records: rig.journal.mark(),
                pings: self.pings(),
            }),
            Step::Status(text) => rig.wait_for_status(text, TIMEOUT),
            Step::Pinged => {
                let before = self.pings();
                rig.wait_until("watchdog ping", || before < self.pings());
            }
            Step::Checks(count) => {
                let before = rig.notified().len();
                rig.wait_until("further checks", || before + count <= rig.notified().len());
            }
            Step::Stays(unit, system) => {
                rig.wait_until(unit, || self.main_pid(unit, system) != "0");
                lasting.push(Lasting::Stays {
                    unit: unit.to_owned(),
                    system,
                    pid: self.main_pid(unit, system),
                });
            }
        }
    }

    /// Starts a unit, and waits for no more than its job.
    fn start(&self, unit: &str) {
        let started = try_systemctl(&["start", "--no-block", unit]).expect("run systemctl");
        assert!(started.status.success(), "{}: {started:?}", self.case.name);
    }

    fn shell(&self, command: &str) {
        let output = Command::new("sh")
            .args(["-ec", command])
            .output()
            .expect("run sh");
        assert!(
            output.status.success(),
            "{}: {command}: {output:?}",
            self.case.name
        );
    }

    fn says(&self, speaker: &str) -> String {
        let (_, arguments) = PLAYERS
            .iter()
            .find(|(name, _)| *name == speaker)
            .expect("a command");
        let output = self.rig.gatehound(arguments);
        let both = [&output.stdout[..], &output.stderr[..]].concat();
        String::from_utf8(both).expect("UTF-8")
    }

    fn pings(&self) -> usize {
        let sent = self.rig.notified();
        let is_ping = |text: &str| text.lines().any(|line| line == "WATCHDOG=1");
        sent.iter().filter(|sent| is_ping(&sent.text)).count()
    }

    fn main_pid(&self, unit: &str, system: bool) -> String {
        let mut command = Command::new("systemctl");
        if !system {
            command.arg("--user");
        }
        let output = command
            .args(["show", "--value", "--property=MainPID", unit])
            .output()
            .expect("run systemctl");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn held(&self, lasting: &Lasting) {
        let name = &self.case.name;
        match lasting {
            Lasting::Never {
                event,
                text,
                records,
                pings,
            } if event == "ping" => {
                let _ = (text, records);
                assert_eq!(self.pings(), *pings, "{name}: a watchdog ping");
            }
            Lasting::Never {
                event,
                text,
                records,
                ..
            } => {
                let all = self.rig.journal.all();
                let found = all
                    .iter()
                    .skip(*records)
                    .find(|record| fits(event, text)(record));
                assert!(found.is_none(), "{name}: {}", found.expect("found"));
            }
            Lasting::Stays { unit, system, pid } => {
                assert_eq!(
                    &self.main_pid(unit, *system),
                    pid,
                    "{name}: {unit} is another"
                );
            }
        }
    }
}

impl Drop for Played<'_> {
    fn drop(&mut self) {
        let given: Vec<(&str, &str)> = self
            .names
            .iter()
            .map(|(name, to)| (*name, to.as_str()))
            .collect();
        let all = |line: &str| filled(line, &given);
        for line in self.case.lines().map(all) {
            if let Some(Step::Clean(command)) = Step::of(&line) {
                as_root(&["sh", "-c", &format!("{{ {command}; }} >&2 || :")]);
            }
        }
        let unit_of = |path: &PathBuf| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        let gateways = |name: &String| *name == self.rig.gateway;
        for unit in self
            .files
            .iter()
            .filter_map(unit_of)
            .filter(|name| !gateways(name))
        {
            try_systemctl(&["kill", "--signal=KILL", &unit]);
            try_systemctl(&["stop", &unit]);
            try_systemctl(&["reset-failed", &unit]);
        }
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        for file in &self.of_root {
            let unit = file.file_name().expect("a name").to_string_lossy();
            let end = format!(
                "systemctl kill -s KILL {unit}; systemctl stop {unit}; systemctl reset-failed {unit}; rm -f {}",
                file.display()
            );
            as_root(&["sh", "-c", &format!("{{ {end}; }} 2>/dev/null || :")]);
        }
        for folder in &self.folders {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Recognises a record by its event and by a part of its message, its reason or its stall.
fn fits(name: &str, text: &str) -> impl Fn(&crate::journal::Record) -> bool {
    move |record| {
        let is = |field| record.get(field).is_some_and(|value| value == text);
        event(name)(record)
            && (record.message().contains(text) || is("GATEHOUND_REASON") || is("GATEHOUND_STALL"))
    }
}

fn names(rig: &Rig, state: &Path) -> Vec<(&'static str, String)> {
    let text = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
    vec![
        ("@PROFILE@", rig.profile.clone()),
        ("@GATEWAY@", rig.gateway.clone()),
        ("@GATEHOUND@", rig.gatehound.clone()),
        ("@PORT@", rig.port.to_string()),
        ("@OTHER_PORT@", free_port().to_string()),
        ("@HOME@", text(rig.folder("home"))),
        ("@UNITS@", text(rig.unit_path(""))),
        ("@BIN@", text(rig.folder("bin"))),
        ("@STATE@", text(state.to_owned())),
        (
            "@STAND_IN@",
            text(place::executable().expect("this executable")),
        ),
        ("@PROGRAM@", text(place::file("gatehound"))),
        ("@UID@", nix::unistd::getuid().to_string()),
        ("@USER@", std::env::var("USER").expect("USER")),
        ("@OTHER_USER@", port_holder()),
    ]
}

/// Puts the stand-in gateway there under the names that units call.
fn stand_in(rig: &Rig, folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    let program = place::executable().expect("this executable");
    let [program, orders, mode] =
        [program, rig.control(), rig.mode_file_path()].map(|path| path.display().to_string());
    for name in ["openclaw", "node"] {
        let path = folder.join(name);
        let script = format!(
            "#!/bin/sh\nexec '{program}' stand-in-gateway --control '{orders}' --mode-file '{mode}' \"$@\"\n"
        );
        fs::write(&path, script).expect("a program");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("a program");
    }
}

/// A gateway program younger than a minute passes for one that is being updated.
fn made_long_ago(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        made_long_ago(&path);
        let there = fs::File::open(&path).expect("what the case put there");
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800);
        there.set_modified(then).expect("its time");
    }
}
