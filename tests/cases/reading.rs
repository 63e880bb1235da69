//! A case: a folder with what somebody has, and a file `expect` with what is right.
//!
//! Owns the form of `expect`, for the tests of the command line and for the trials under a user manager.
//!
//! Each line begins with who says it and goes on with `has` or `lacks` and a text: `doctor has 19111, by the configuration`.
//! `install refuses`, `install replaces` and `install goes on` say how `install --dry-run` ends.
//! `agents 2000` blows a configuration up at `@AGENTS@`, and `utf-16` encodes it so. A line that begins with `#` says what the case stands for.
//!
//! Of `units` and `behaviours` the lines are steps, played from the first to the last; see [`Step`].

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Who may say something.
#[allow(dead_code)]
pub const SPEAKERS: [&str; 4] = ["doctor", "check", "install", "run"];

/// The kinds of cases that are played.
pub const PLAYED: [&str; 2] = ["units", "behaviours"];

/// One line of a case that is played.
#[allow(dead_code)]
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// `port 18789`: `@PORT@` is that one, and no other case of it is played meanwhile; without this line it is a free one.
    Port(&'a str),
    /// `alone`: not beside other trials.
    Alone,
    /// `start gateway`, `start gatehound`, `start UNIT`: nobody waits until it is up, but for Gatehound.
    Start(&'a str),
    /// `do COMMAND` of the shell, as the user.
    Do(&'a str),
    /// `root COMMAND` of the shell.
    Root(&'a str),
    /// `clean COMMAND` of the shell, as root, after the case and whatever became of it.
    Clean(&'a str),
    /// `gateway MODE`: the stand-in gateway behaves so from now on.
    Gateway(&'a str),
    /// `next MODE`: every later run of the stand-in gateway begins so.
    Next(&'a str),
    /// `then EVENT TEXT`: the next record of this event that says so, or has this reason or stall, after the one of the line before.
    Then(&'a str, &'a str),
    /// `never EVENT TEXT`: from here to the end no such record; the event `ping` is a watchdog ping.
    Never(&'a str, &'a str),
    /// `status TEXT`: waits until the unit's status says so.
    Status(&'a str),
    /// `pinged`: waits for a watchdog ping.
    Pinged,
    /// `checks N`: waits until Gatehound has sent so many further messages to systemd.
    Checks(usize),
    /// `stays UNIT`, `stays system UNIT`: from here to the end this unit is up with the same main process.
    Stays(&'a str, bool),
    /// `COMMAND has TEXT`, `COMMAND lacks TEXT`: what a command of [`PLAYERS`] says now.
    Says(&'a str, bool, &'a str),
}

/// What the commands of [`Step::Says`] are.
#[allow(dead_code)]
pub const PLAYERS: [(&str, &[&str]); 7] = [
    ("check", &["check"]),
    ("doctor", &["doctor"]),
    ("history", &["history"]),
    ("install", &["install", "--dry-run"]),
    ("json", &["check", "--json"]),
    ("settings", &["settings", "show"]),
    ("page", &["status"]),
];

impl<'a> Step<'a> {
    /// The step of a line; none where nobody would understand it.
    pub fn of(line: &'a str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        let step = match word {
            "alone" | "pinged" if !rest.is_empty() => return None,
            "alone" => Self::Alone,
            "pinged" => Self::Pinged,
            _ if rest.is_empty() => return None,
            "port" => Self::Port(rest),
            "start" => Self::Start(rest),
            "do" => Self::Do(rest),
            "root" => Self::Root(rest),
            "clean" => Self::Clean(rest),
            "gateway" => Self::Gateway(rest),
            "next" => Self::Next(rest),
            "then" => Self::Then(first, second),
            "never" => Self::Never(first, second),
            "status" => Self::Status(rest),
            "checks" => Self::Checks(rest.parse().ok()?),
            "stays" => match rest.strip_prefix("system ") {
                Some(unit) => Self::Stays(unit, true),
                None => Self::Stays(rest, false),
            },
            _ if !PLAYERS.iter().any(|(name, _)| *name == word) || second.is_empty() => {
                return None;
            }
            _ => match first {
                "has" => Self::Says(word, true, second),
                "lacks" => Self::Says(word, false, second),
                _ => return None,
            },
        };
        Some(step)
    }
}

/// One case.
pub struct Case {
    /// Its folder's name.
    pub name: String,
    folder: PathBuf,
    expect: String,
}

/// All cases of one kind, in order.
pub fn cases(kind: &str) -> Vec<Case> {
    // In a throwaway machine they are beside what else is tried there.
    let folder = match env::var_os("E2E_FILES") {
        Some(files) => Path::new(&files).join("cases"),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"),
    };
    let folder = folder.join(kind);
    let mut cases: Vec<Case> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .map(|entry| {
            let folder = entry.expect("an entry").path();
            let name = folder
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let expect = fs::read_to_string(folder.join("expect"));
            Case {
                expect: expect.unwrap_or_else(|error| panic!("{name}/expect: {error}")),
                name: format!("{kind}/{name}"),
                folder,
            }
        })
        .collect();
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
}

// What these offer is more than each of the two programs uses.
#[allow(dead_code)]
impl Case {
    /// The lines that are not comments.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let lines = self.expect.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
    }

    /// Holds what is expected of what somebody said.
    pub fn holds(&self, speaker: &str, said: &str) {
        for line in self.lines() {
            let Some(rest) = line.strip_prefix(speaker) else {
                continue;
            };
            if let Some(text) = rest.strip_prefix(" has ") {
                assert!(
                    said.contains(text),
                    "{}: {speaker} lacks {text:?}: {said}",
                    self.name
                );
            } else if let Some(text) = rest.strip_prefix(" lacks ") {
                assert!(
                    !said.contains(text),
                    "{}: {speaker} has {text:?}: {said}",
                    self.name
                );
            }
        }
    }

    /// What somebody is expected to say.
    pub fn says(&self, speaker: &str) -> Vec<&str> {
        let has = format!("{speaker} has ");
        self.lines()
            .filter_map(|line| line.strip_prefix(&has))
            .collect()
    }

    /// How `install --dry-run` is expected to end.
    pub fn install(&self) -> Option<&str> {
        let mut lines = self.lines();
        lines.find_map(|line| {
            let end = line.strip_prefix("install ")?;
            ["refuses", "replaces", "goes on"]
                .contains(&end)
                .then_some(end)
        })
    }

    /// A number of this name.
    pub fn number(&self, name: &str) -> Option<usize> {
        let mut lines = self.lines();
        lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Whether this line is there.
    pub fn is(&self, line: &str) -> bool {
        self.lines().any(|one| one == line)
    }

    /// Holds that no line is one that nobody looks at.
    pub fn understood(&self) {
        let played = self
            .name
            .split_once('/')
            .map(|(kind, _)| PLAYED.contains(&kind));
        if played == Some(true) {
            for line in self.lines() {
                assert!(Step::of(line).is_some(), "{}: {line:?}", self.name);
            }
            return;
        }
        for line in self.lines() {
            let (speaker, rest) = line.split_once(' ').unwrap_or((line, ""));
            let says = rest.starts_with("has ") || rest.starts_with("lacks ");
            let is_speaker = SPEAKERS.contains(&speaker);
            let ends = speaker == "install" && self.install().is_some();
            let is_known = is_speaker && (says || ends) || ["agents", "utf-16"].contains(&speaker);
            assert!(is_known, "{}: {line:?}", self.name);
        }
    }

    /// The text of a file of the case, if it has it.
    pub fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    /// Copies a file or folder of the case, if it has it, with names filled in; what was copied.
    pub fn put(&self, from: &str, to: &Path, names: &[(&str, &str)]) -> Vec<PathBuf> {
        let mut done = Vec::new();
        copy(&self.folder.join(from), to, names, &mut done);
        done
    }
}

fn copy(from: &Path, to: &Path, names: &[(&str, &str)], done: &mut Vec<PathBuf>) {
    if from.is_dir() {
        for entry in fs::read_dir(from).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = filled(
                path.file_name().expect("a name").to_str().expect("UTF-8"),
                names,
            );
            copy(&path, &to.join(name), names, done);
        }
    } else if from.exists() {
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        let bytes = fs::read(from).expect("a file");
        // What is no text is put as it is.
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => filled(&text, names).into_bytes(),
            Err(foreign) => foreign.into_bytes(),
        };
        fs::write(to, bytes).expect("a file");
        let mode = fs::metadata(from).expect("a file").permissions();
        fs::set_permissions(to, mode).expect("its mode");
        done.push(to.to_owned());
    }
}

/// A text with names filled in.
pub fn filled(text: &str, names: &[(&str, &str)]) -> String {
    let fill = |text: String, (name, value): &(&str, &str)| text.replace(name, value);
    names.iter().fold(text.to_owned(), fill)
}
