//! `tests/demo days`: the bad days a person may have with a gateway, as they are seen at 80 columns and on the phone.
//!
//! Owns what happens on each day, and when somebody looks. Judges nothing: it is there to be read.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::process::{Child, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::demo::{Demo, GATEWAY, MODE_AT_START, REFUSED, SETTINGS, Story, say};
use crate::journal::Record;
use crate::watched;

/// What a person's terminal has.
const COLUMNS: usize = 80;

/// After this long without what a day waits for, something is wrong.
const LIMIT: Duration = Duration::from_secs(240);

/// Still shorter times than those of the demo.
const TIMES: &str = r#"backoff = ["2s", "3s", "4s"]
debounce = "1s"
degraded_after = "2s"
"#;

/// A phone, which is a pipe; a message on it ends with an empty line.
const MORE: &str = r#"
[forced_stops]
window = "40s"
[[alert.channel]]
type = "command"
command = ["/bin/sh", "-c", "{ echo \"[$0]\"; cat; } | sed '$G' >>~/phone", "{{title}}"]
"#;

type Day = fn(&Person) -> Result<(), String>;

/// The names of the days, and what happens on them.
const DAYS: [(&str, Day); 8] = [
    ("hang", hang),
    ("crash-loop", crash_loop),
    ("port-taken", port_taken),
    ("broken-config", broken_config),
    ("forgotten-pause", forgotten_pause),
    ("three-hangs", three_hangs),
    ("gave-up", gave_up),
    ("channels-off", channels_off),
];

/// Plays the days of these names, all of them without one.
pub fn main(names: &[String]) -> ExitCode {
    let known = |name: &String| DAYS.iter().any(|(day, _)| day == name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        let days = DAYS.map(|(day, _)| day).join(", ");
        eprintln!("demo: no day is called {name}; they are: {days}");
        return ExitCode::FAILURE;
    }
    for (name, day) in DAYS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("\n######## {name}");
        if let Err(reason) = Person::new().and_then(|person| day(&person)) {
            eprintln!("demo: {name}: {reason}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn hang(person: &Person) -> Result<(), String> {
    person.does("the gateway's event loop is blocked", |demo| {
        demo.order("blocked")
    })?;
    person.sees("failing")?;
    person.asks("status")?;
    person.sees("backing-off")?;
    person.asks("status")?;
    person.asks("check")?;
    person.sees("recovered")?;
    person.looks_back("gateway back")
}

fn crash_loop(person: &Person) -> Result<(), String> {
    person.starts_as("exit=1")?;
    person.does("the gateway crashes, and every later run as well", |demo| {
        demo.order("abort")
    })?;
    person.sees("failing")?;
    person.asks("status")?;
    person.asks("check")?;
    person.looks_back("gateway down")?;
    person.waits_for_restarts(4)?;
    person.asks("status")?;
    person.starts_as("blocked")?;
    say("now its runs start, and hang");
    person.phone_has("needs a human")?;
    person.looks_back("needs a human")
}

fn port_taken(person: &Person) -> Result<(), String> {
    person.does("another service takes the gateway's port", |demo| {
        demo.user("systemctl", &["--user", "stop", GATEWAY])?;
        let web = demo.program("e2e");
        let web = web.as_str();
        demo.user(
            "systemd-run",
            &[
                "--user",
                "--quiet",
                "--unit=my-web",
                web,
                "stand-in-gateway",
                "--port",
                "18789",
                "--mode",
                "html",
            ],
        )?;
        demo.user("systemctl", &["--user", "start", "--no-block", GATEWAY])
    })?;
    person.phone_has("port")?;
    person.asks("status")?;
    person.asks("check")?;
    person.looks_back("port")?;
    person.does("the other service ends", |demo| {
        demo.user("systemctl", &["--user", "stop", "my-web"])
    })?;
    person.phone_has("gateway back")?;
    person.looks_back("gateway back")
}

fn broken_config(person: &Person) -> Result<(), String> {
    person.does(
        "somebody mistypes a key in openclaw.json and restarts",
        |demo| {
            demo.write(
                ".openclaw/openclaw.json",
                &format!("{{\n  \"gateway\": {{ \"mode\": \"local\", \"port\": 18789 }},\n  \"{REFUSED}\": {{}}\n}}\n"),
            )?;
            demo.user("systemctl", &["--user", "restart", GATEWAY])
        },
    )?;
    person.phone_has("configuration")?;
    person.asks("status")?;
    person.asks("check")?;
    person.asks("snapshot diff")?;
    person.looks_back("configuration")?;
    person.asks("snapshot restore --yes --start")?;
    person.phone_has("gateway back")?;
    person.looks_back("gateway back")
}

fn forgotten_pause(person: &Person) -> Result<(), String> {
    person.asks("pause --for 3h new disk")?;
    person.does("the gateway hangs during the pause", |demo| {
        demo.order("blocked")
    })?;
    person.phone_has("down")?;
    person.asks("status")?;
    person.asks("check")?;
    person.looks_back("down")?;
    person.asks("resume")?;
    person.phone_has("gateway back")?;
    person.looks_back("gateway back")
}

fn three_hangs(person: &Person) -> Result<(), String> {
    for _ in 0..3 {
        person.does("the gateway's event loop is blocked", |demo| {
            demo.order("blocked")
        })?;
        person.sees("backing-off")?;
        person.asks("status")?;
        person.sees("recovered")?;
    }
    person.looks_back("gateway back")
}

fn gave_up(person: &Person) -> Result<(), String> {
    person.starts_as("blocked")?;
    person.does("the gateway hangs, and so does every later run", |demo| {
        demo.order("blocked")
    })?;
    person.phone_has("needs a human")?;
    person.asks("status")?;
    person.asks("check")?;
    person.looks_back("needs a human")?;
    person.starts_as("healthy")?;
    say("whoever looks after it finds the cause");
    person.asks("reset")?;
    person.phone_has("gateway back")?;
    person.looks_back("gateway back")
}

fn channels_off(person: &Person) -> Result<(), String> {
    person.starts_as("breaker")?;
    person.does("the gateway starts without its channels", |demo| {
        demo.user("systemctl", &["--user", "kill", "--signal=KILL", GATEWAY])
    })?;
    person.phone_has("degraded")?;
    person.asks("status")?;
    person.asks("check")?;
    person.looks_back("degraded")?;
    person.starts_as("healthy")?;
    person.asks("restart")?;
    person.phone_has("no longer degraded")?;
    person.looks_back("no longer degraded")
}

/// Whoever runs the bot.
struct Person {
    demo: Demo,
    story: RefCell<Story>,
    phone: RefCell<Phone>,
}

/// What a phone has shown so far, and what it will show.
struct Phone {
    reader: Child,
    lines: Receiver<String>,
    shown: Vec<String>,
}

impl Phone {
    fn new(demo: &Demo) -> Result<Self, String> {
        demo.user("mkfifo", &["phone"])?;
        // Open in both directions, a pipe has no end.
        let mut reader = demo.command("sh", &["-c", "exec cat <>phone"]);
        let mut reader = reader
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("phone: {error}"))?;
        let stdout = reader.stdout.take().ok_or("the phone shows nothing")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines
                .map_while(|line| sender.send(line).ok())
                .for_each(drop);
        });
        Ok(Self {
            reader,
            lines,
            shown: Vec::new(),
        })
    }

    /// Waits until a whole message has these words.
    fn has(&mut self, words: &str) -> bool {
        let end = Instant::now() + LIMIT;
        loop {
            let mut messages = self.shown.split_inclusive(String::is_empty);
            let is_whole = |message: &[String]| message.last().is_some_and(String::is_empty);
            if messages.any(|one| is_whole(one) && one.iter().any(|line| line.contains(words))) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.shown.push(line),
                Err(_) => return false,
            }
        }
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self.reader.kill();
        let _ = self.reader.wait();
    }
}

impl Person {
    fn new() -> Result<Self, String> {
        let settings = SETTINGS.replace("[grace]\n", "[grace]\nstarting_idle = \"6s\"\n");
        let settings = format!("{TIMES}{settings}{MORE}");
        let demo = Demo::new(&settings)?;
        let phone = Phone::new(&demo)?.into();
        let installed = demo.command("gatehound", &["install"]).output();
        let installed = installed.map_err(|error| format!("gatehound install: {error}"))?;
        if !installed.status.success() {
            return Err(format!("gatehound install: {installed:?}"));
        }
        let story = demo.follow(LIMIT)?.into();
        let person = Self { demo, story, phone };
        person.sees("healthy")?;
        // The last known good is kept once it has been good for a while.
        person.sees("snapshot-kept")?;
        Ok(person)
    }

    /// Something happens, which takes part in no transcript.
    fn does(
        &self,
        what: &str,
        act: impl FnOnce(&Demo) -> Result<(), String>,
    ) -> Result<(), String> {
        say(what);
        act(&self.demo)
    }

    /// How every later run of the gateway behaves.
    fn starts_as(&self, mode: &str) -> Result<(), String> {
        self.demo.write(MODE_AT_START, mode)
    }

    /// Waits for a record, which a person does not see.
    fn sees(&self, event: &str) -> Result<(), String> {
        let mut story = self.story.borrow_mut();
        story.find(event, watched::event(event), |_| ()).map(drop)
    }

    /// Waits until the phone shows this.
    fn phone_has(&self, words: &str) -> Result<(), String> {
        let mut phone = self.phone.borrow_mut();
        if phone.has(words) {
            return Ok(());
        }
        self.demo
            .user("journalctl", &["--user", "--no-pager", "--lines=60"])?;
        let shown = phone.shown.join("\n");
        Err(format!("no {words:?} on the phone; it shows:\n{shown}"))
    }

    /// Waits until systemd has restarted the gateway so often.
    fn waits_for_restarts(&self, times: u32) -> Result<(), String> {
        let counted = format!("restart counter is at {times}.");
        let is_it = |record: &Record| record.message().contains(&counted);
        let mut story = self.story.borrow_mut();
        story.find(&counted, is_it, |_| ()).map(drop)
    }

    /// What the phone shows, and everything that can be asked afterwards.
    fn looks_back(&self, words: &str) -> Result<(), String> {
        self.phone_has(words)?;
        say("the phone so far");
        let shown = &self.phone.borrow().shown;
        shown.iter().for_each(|line| broken(line));
        for question in ["status", "history", "incident", "doctor"] {
            self.asks(question)?;
        }
        Ok(())
    }

    /// What Gatehound answers; that it found something wrong is no failure.
    fn asks(&self, question: &str) -> Result<(), String> {
        say(&format!("gatehound {question}"));
        // A terminal of its own, of 80 columns.
        let shown = format!(
            "stty cols {COLUMNS}; NO_COLOR=1 {} {question}",
            self.demo.program("gatehound")
        );
        let mut command = self.demo.command("script", &["-qec", &shown, "/dev/null"]);
        command.env_remove("NO_COLOR").stdin(Stdio::null());
        let failed = |error: std::io::Error| format!("gatehound {question}: {error}");
        let mut asked = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
        let stdout = asked.stdout.take().ok_or("no output")?;
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            broken(line.trim_end_matches('\r'));
        }
        asked.wait().map(drop).map_err(failed)
    }
}

/// Prints a line as a terminal of so many columns breaks it; what was broken is marked.
fn broken(line: &str) {
    let mut rest: Vec<char> = line.chars().collect();
    while COLUMNS < rest.len() {
        let later = rest.split_off(COLUMNS);
        println!("{} <<<", rest.iter().collect::<String>());
        rest = later;
    }
    println!("{}", rest.iter().collect::<String>());
}
