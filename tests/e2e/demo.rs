//! `cargo demo`: a throwaway machine on which cron starts a shell watchdog, Gatehound's `install` in its place, and a
//! gateway that hangs and is brought back.
//!
//! Owns the machine with the stand-in gateway and the shorter settings, which `days` has as well.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use gatehound::text::line::Line;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Uid;
use serde_json::Value;

use crate::journal::Record;
use crate::machine::Machine;
use crate::place;
use crate::watched;

/// After this long without the gateway being back, the demo has failed.
const LIMIT: Duration = Duration::from_secs(50);

pub const GATEWAY: &str = "openclaw-gateway.service";
const CONTROL: &str = "/run/user/59001/stand-in-control";

/// The gateway's configuration.
const CONFIG: &str = "{\n  \"gateway\": { \"mode\": \"local\", \"port\": 18789 }\n}\n";

/// What a start of the stand-in gateway is like.
pub const MODE_AT_START: &str = ".openclaw/mode-at-start";

/// What the stand-in gateway refuses in its configuration.
pub const REFUSED: &str = "chanels";

/// Shorter than the defaults, so that nobody waits a minute for a demonstration.
pub const SETTINGS: &str = r#"interval = "5s"
[probe]
http_timeout = "2s"
health_timeout = "3s"
[grace]
interval = "2s"
blocked = "6s"
[stop_timeout]
hung = "5s"
"#;

/// The folder with the crontab of two lines, and with the script that they start, as people have them.
const OLD_WATCHDOG: &str = "cases/crontabs/S01-health-check";

/// Stands in for crontab(1) and cron(8), so that nobody waits for a minute to begin.
/// cron's minute has 6 s and the half of one 3 s; it ends when it has nothing to start any more and all has ended.
const CRONTAB: &str = "#!/bin/sh
table=$HOME/.crontab
case ${1-} in
-l) cat \"$table\" ;;
minutes)
    PATH=$HOME/minute:$PATH
    while grep -q '^\\* \\* \\* \\* \\* ' \"$table\"; do
        sed -n 's/^\\* \\* \\* \\* \\* //p' \"$table\" | while read -r job; do
            (sh -c \"$job\"; echo \"$job\") &
        done
        sleep 60
    done
    wait
    ;;
*) cat \"$1\" >\"$table\" ;;
esac
";
const SLEEP: &str = "#!/bin/sh\nexec /bin/sleep $(($1 / 10))\n";

/// Boots the machine, plays the scenario and returns how it ended.
pub fn main() -> ExitCode {
    match play() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("demo: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> Result<(), String> {
    if !Uid::effective().is_root() {
        return Err("the throwaway machine needs root; run it as root".to_owned());
    }
    say("booting a throwaway machine with a user manager of its own");
    let demo = Demo::new(SETTINGS)?;
    let cron = demo.old_watchdog()?;
    say("gatehound install: it changes nothing while cron starts another watchdog");
    demo.shows("install")?;
    say("gatehound install --replace-cron");
    demo.user("gatehound", &["install", "--replace-cron"])?;
    cron.ends()?;
    say("crontab -l shows nothing any more; Gatehound watches");
    demo.user("crontab", &["-l"])?;
    let mut story = demo.follow(LIMIT)?;
    story.wait_for("healthy")?;
    say("the gateway's event loop is blocked now: its port stays open, it answers nobody");
    demo.order("blocked")?;
    let hung = now();
    let detected = story.wait_for("failing")?;
    let restarted = story.wait_for("starting")?;
    let healthy = story.wait_for("recovered")?;
    for question in ["status", "check", "history", "incident", "doctor"] {
        say(&format!("gatehound {question}"));
        demo.shows(question)?;
    }
    println!();
    for (what, record) in [
        ("detected", detected),
        ("restarted", restarted),
        ("healthy", healthy),
    ] {
        let after = record.monotonic().saturating_sub(hung);
        println!("{what:<10} after {:4.1} s", after.as_secs_f64());
    }
    Ok(())
}

pub struct Demo {
    machine: Machine,
}

impl Demo {
    /// Boots a machine with the stand-in gateway and these settings, and starts the gateway.
    pub fn new(settings: &str) -> Result<Self, String> {
        let demo = Self {
            machine: place::boot(None, None)?,
        };
        demo.prepare(settings)?;
        Ok(demo)
    }

    fn prepare(&self, settings: &str) -> Result<(), String> {
        let gateway = Machine::path("e2e");
        let unit = format!(
            "[Unit]\nDescription=OpenClaw Gateway (stand-in)\nStartLimitBurst=10\nStartLimitIntervalSec=300\n\
             [Service]\nExecStart={} stand-in-gateway gateway --port 18789 --control {CONTROL} \
             --mode-file %h/{MODE_AT_START} --refuses {REFUSED}\n\
             Restart=always\nRestartSec=5\nRestartPreventExitStatus=78\nTimeoutStopSec=330\n\
             SuccessExitStatus=0 143\nKillMode=mixed\nEnvironment=OPENCLAW_SYSTEMD_UNIT={GATEWAY} OPENCLAW_STATE_DIR=%h/.openclaw\n\
             [Install]\nWantedBy=default.target\n",
            gateway.display()
        );
        self.write(&format!(".config/systemd/user/{GATEWAY}"), &unit)?;
        self.write(".config/gatehound/config.toml", settings)?;
        self.write(".openclaw/openclaw.json", CONFIG)?;
        say(&format!("starting a stand-in gateway as {GATEWAY}"));
        self.user("systemctl", &["--user", "daemon-reload"])?;
        self.user(
            "systemctl",
            &["--user", "--quiet", "enable", "--now", GATEWAY],
        )
    }

    /// Gives the user the old watchdog's script and its crontab, and waits until cron has started each line once.
    fn old_watchdog(&self) -> Result<Cron, String> {
        let old = Machine::path(OLD_WATCHDOG).display().to_string();
        self.user("cp", &["-rT", &format!("{old}/home"), "."])?;
        let scripts = ".openclaw/scripts/openclaw-health-check.sh";
        self.user("chmod", &["+x", scripts])?;
        self.write("minute/sleep", SLEEP)?;
        self.write("minute/crontab", CRONTAB)?;
        self.user("chmod", &["+x", "minute/sleep", "minute/crontab"])?;
        let mut link = self.machine.as_root("ln");
        link.args(["-s", "/home/watched/minute/crontab", "/usr/local/bin/"]);
        ended(link.status(), "ln")?;
        // What the script finds has to be there before it looks: it kills a gateway that is about to listen.
        self.order("healthy")?;
        self.user("crontab", &[&format!("{old}/crontab")])?;
        say("crontab -l: cron starts the old watchdog twice a minute, which has 6 s here");
        self.user("crontab", &["-l"])?;
        let mut crontab = self.command("crontab", &["minutes"]);
        let mut child = crontab
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cron: {error}"))?;
        let stdout = child.stdout.take().ok_or("cron has no output")?;
        let mut cron = Cron {
            child,
            ran: BufReader::new(stdout).lines(),
        };
        cron.ran_one()?;
        cron.ran_one()?;
        self.user("ls", &["-l", ".openclaw/openclaw.json.bak"])?;
        Ok(cron)
    }

    /// Has the gateway behave in a mode from now on.
    pub fn order(&self, mode: &str) -> Result<(), String> {
        self.user("e2e", &["order", CONTROL, mode])
    }

    /// Writes a file in the user's home.
    pub fn write(&self, path: &str, text: &str) -> Result<(), String> {
        let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        self.user("mkdir", &["-p", folder])?;
        let mut tee = self.machine.as_user("tee");
        tee.arg(path).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut tee = tee.spawn().map_err(|error| format!("{path}: {error}"))?;
        let mut stdin = tee.stdin.take().ok_or("no way to write into the machine")?;
        stdin
            .write_all(text.as_bytes())
            .map_err(|error| format!("{path}: {error}"))?;
        drop(stdin);
        ended(tee.wait(), path)
    }

    /// Shows what Gatehound answers; that something could be better on this machine is no failure.
    fn shows(&self, question: &str) -> Result<(), String> {
        let mut gatehound = self.machine.as_user(Machine::path("gatehound"));
        let status = gatehound.arg(question).status();
        status.map(drop).map_err(|e| format!("gatehound: {e}"))
    }

    /// Runs a program as the machine's user; what it prints is part of the demonstration.
    pub fn user(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        ended(self.command(program, arguments).status(), program)
    }

    /// Where a program of ours is in the machine.
    pub fn program(&self, name: &str) -> String {
        Machine::path(name).display().to_string()
    }

    /// A program that runs as the machine's user.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let path = match program {
            "gatehound" | "e2e" => Machine::path(program),
            program => program.into(),
        };
        let mut command = self.machine.as_user(path);
        command.args(arguments);
        command
    }

    /// Follows both journals; whatever is waited for has to come within so long.
    pub fn follow(&self, limit: Duration) -> Result<Story, String> {
        let mut journalctl: Command = self.machine.as_user("journalctl");
        journalctl.args(["--user", "--follow", "--no-tail", "--all", "--output=json"]);
        journalctl.args(["--unit=gatehound.service", &format!("--unit={GATEWAY}")]);
        let mut child = journalctl
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let stdout = child.stdout.take().ok_or("journalctl has no output")?;
        let (sender, records) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(Value::Object(fields)) = serde_json::from_str(&line)
                    && sender.send(Record(fields)).is_err()
                {
                    return;
                }
            }
        });
        Ok(Story {
            journalctl: child,
            records,
            limit,
        })
    }
}

/// What stands in for cron(8), with what it has run.
struct Cron {
    child: Child,
    ran: std::io::Lines<BufReader<ChildStdout>>,
}

impl Cron {
    /// Waits until one line's command has ended, and shows it.
    fn ran_one(&mut self) -> Result<(), String> {
        let Some(Ok(job)) = self.ran.next() else {
            return Err("cron ended".to_owned());
        };
        println!("  cron ran: {job}");
        Ok(())
    }

    /// Waits until cron has nothing to start any more and the last that it started has ended.
    fn ends(mut self) -> Result<(), String> {
        for _ in self.ran.by_ref() {}
        ended(self.child.wait(), "cron")
    }
}

/// The journal as it happens.
pub struct Story {
    journalctl: Child,
    records: Receiver<Record>,
    limit: Duration,
}

impl Story {
    /// Shows records until one of this event has come.
    fn wait_for(&mut self, event: &str) -> Result<Record, String> {
        self.find(event, watched::event(event), |record| {
            println!("  {}", Line::new(&record.to_string()))
        })
    }

    /// Waits for the next record that is the one; every record until then is handed over.
    pub fn find(
        &mut self,
        what: &str,
        is_it: impl Fn(&Record) -> bool,
        mut each: impl FnMut(&Record),
    ) -> Result<Record, String> {
        let deadline = Instant::now() + self.limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.records.recv_timeout(left) {
                Ok(record) => {
                    each(&record);
                    if is_it(&record) {
                        return Ok(record);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("no record {what:?} within {:?}", self.limit));
                }
                Err(RecvTimeoutError::Disconnected) => return Err("journalctl ended".to_owned()),
            }
        }
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let _ = self.journalctl.kill();
        let _ = self.journalctl.wait();
    }
}

fn ended(status: std::io::Result<std::process::ExitStatus>, what: &str) -> Result<(), String> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what}: {status}")),
        Err(error) => Err(format!("{what}: {error}")),
    }
}

pub fn say(what: &str) {
    println!("\n== {what}");
}

/// CLOCK_MONOTONIC, which the machine shares with this process.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
