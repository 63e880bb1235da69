//! What a command comes to: its own deeds, and those of the scripts that it starts.
//!
//! Reads scripts, within bounds, and runs nothing; which single command is a deed is `deeds.rs`'s.
//! A program that cannot be looked into is judged by what it is called, and errs towards nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    deeds::{self, Deed, Gateway, Setting},
    programs::{HARMLESS, INTERPRETERS, JUST_SAYS, KEYWORDS, SAYS, STAND_INS, WRAPPERS},
    shell_words::{Word, statements},
};
use crate::os::files::{Links, read_limited};

/// A script of more is not looked into.
const MAX_SCRIPT: u64 = 256 * 1024;

/// Scripts that start scripts, and texts within texts.
const MAX_DEPTH: usize = 5;

/// Scripts that are read for one command.
const MAX_SCRIPTS: usize = 24;

/// What is shown of the command that restarts the gateway.
const SHOWN: usize = 160;

/// What a command comes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Nothing that concerns the gateway, as far as can be seen.
    Nothing,
    /// It cannot be looked into, and is called like a watchdog of the gateway.
    Perhaps,
    /// It runs the gateway in the foreground: this command.
    Runs(String),
    /// It restarts, starts, stops or kills the gateway: by this command.
    Acts(String),
}

/// Where a text stands.
#[derive(Clone)]
struct Scope {
    variables: BTreeMap<String, String>,
    folder: PathBuf,
    /// It, or what started it, speaks of the gateway.
    names_gateway: bool,
    finds: bool,
    is_quoted: bool,
    depth: usize,
}

/// Judges commands for one gateway, in one home.
pub(super) struct Judge<'a> {
    gateway: &'a Gateway,
    home: &'a Path,
    /// How many scripts may still be read.
    left: usize,
    /// Whether a script, or a program of which it is known what it does, was part of the last command.
    looked_into: bool,
    /// Whether something was done again and again.
    loops: bool,
}

impl<'a> Judge<'a> {
    pub(super) fn new(gateway: &'a Gateway, home: &'a Path) -> Self {
        Self {
            gateway,
            home,
            left: MAX_SCRIPTS,
            looked_into: false,
            loops: false,
        }
    }

    /// Whether anything of the last command could be looked into.
    pub(super) fn looked_into(&self) -> bool {
        self.looked_into
    }

    /// Whether the last command does something again and again.
    pub(super) fn loops(&self) -> bool {
        self.loops
    }

    /// What a command comes to that cron or systemd starts; `around` is what it stands in.
    pub(super) fn command(
        &mut self,
        text: &str,
        around: &str,
        variables: &BTreeMap<String, String>,
    ) -> Verdict {
        self.left = MAX_SCRIPTS;
        self.looked_into = false;
        self.loops = false;
        let mut scope = Scope {
            variables: variables.clone(),
            folder: self.home.to_owned(),
            names_gateway: self.gateway.is_named_in(around),
            finds: deeds::finds(text),
            is_quoted: false,
            depth: 0,
        };
        self.text(text, &mut scope)
    }

    /// What a script comes to; none where it cannot be read as text.
    pub(super) fn script(&mut self, path: &Path) -> Option<Verdict> {
        self.left = MAX_SCRIPTS;
        let scope = Scope {
            variables: BTreeMap::new(),
            folder: self.home.to_owned(),
            names_gateway: false,
            finds: false,
            is_quoted: false,
            depth: 0,
        };
        self.file(path, &[], &scope, true)
    }

    fn text(&mut self, text: &str, scope: &mut Scope) -> Verdict {
        if MAX_DEPTH < scope.depth {
            return Verdict::Nothing;
        }
        let mut verdict = Verdict::Nothing;
        for words in statements(text) {
            verdict = verdict.max(self.statement(&words, scope));
            if matches!(verdict, Verdict::Acts(_)) {
                break;
            }
        }
        verdict
    }

    /// A text within a text, such as what stands behind `sh -c`.
    fn within(&mut self, text: &str, scope: &Scope, is_quoted: bool) -> Verdict {
        let mut inner = scope.clone();
        inner.depth += 1;
        inner.is_quoted = is_quoted;
        inner.names_gateway |= self.gateway.is_named_in(text);
        inner.finds |= deeds::finds(text);
        self.text(text, &mut inner)
    }

    fn statement(&mut self, words: &[Word], scope: &mut Scope) -> Verdict {
        let expanded: Vec<Word> = words.iter().map(|word| expanded(word, scope)).collect();
        let mut rest = expanded.as_slice();
        let mut verdict = Verdict::Nothing;
        // What stands before the program: keywords, and variables that are given a value.
        while let Some((first, after)) = rest.split_first() {
            if let [equals, value, ..] = after
                && equals.text == "="
                && is_name(&first.text)
            {
                verdict = verdict.max(self.assigned(&first.text, value, scope));
                // A list of words stays together; what is called is a command.
                rest = match after.len() {
                    2 if value.quoted => &[],
                    _ if value.quoted => after,
                    _ => after.get(1..).unwrap_or_default(),
                };
            } else if let Some((name, value)) =
                first.text.split_once('=').filter(|it| is_name(it.0))
            {
                let value = Word {
                    text: value.to_owned(),
                    quoted: first.quoted,
                };
                verdict = verdict.max(self.assigned(name, &value, scope));
                rest = after;
            } else if KEYWORDS.contains(&first.text.as_str()) {
                self.loops |= ["while", "until"].contains(&first.text.as_str());
                rest = after;
            } else {
                break;
            }
        }
        verdict.max(self.simple(rest, scope))
    }

    /// A variable that is given a value, which may be a command that is carried out, now or later.
    fn assigned(&mut self, name: &str, value: &Word, scope: &mut Scope) -> Verdict {
        let verdict = if value.is_text() {
            self.within(&value.text, scope, true)
        } else {
            Verdict::Nothing
        };
        if !value.text.contains('$') {
            scope.variables.insert(name.to_owned(), value.text.clone());
        }
        verdict
    }

    /// A command whose first word is its program.
    fn simple(&mut self, words: &[Word], scope: &mut Scope) -> Verdict {
        let Some((program, rest)) = words.split_first() else {
            return Verdict::Nothing;
        };
        let base = deeds::base(&program.text);
        // Prose, such as a script's description of itself.
        if program.is_text() && !program.text.contains('/') {
            return Verdict::Nothing;
        }
        if base == "cd" {
            let to = rest.first().map_or("~", |word| word.text.as_str());
            scope.folder = self.resolve(to, &scope.folder);
            return Verdict::Nothing;
        }
        let is_path = program.text.contains('/');
        let lower = base.to_lowercase();
        let says = SAYS.iter().any(|one| lower.contains(one)) || JUST_SAYS.contains(&&*lower);
        let says = says && !is_path;
        if says || HARMLESS.contains(&base.as_str()) {
            self.looked_into |= !STAND_INS.contains(&base.as_str());
            return self.substituted(words, scope);
        }
        if let Some(at) = words.iter().position(|word| word.text.starts_with("-exec"))
            && base == "find"
        {
            return self.simple(words.get(at + 1..).unwrap_or_default(), scope);
        }
        if base == "find" {
            return Verdict::Nothing;
        }
        let setting = Setting {
            names_gateway: scope.names_gateway,
            finds: scope.finds,
            is_quoted: scope.is_quoted,
        };
        match deeds::deed(self.gateway, words, setting) {
            Some(Deed::Acts) => return Verdict::Acts(shown(words)),
            Some(Deed::IsGateway) => return Verdict::Runs(shown(words)),
            None if deeds::is_gateway_program(&base) => return Verdict::Nothing,
            None => {}
        }
        if let Some((_, valued, before)) = WRAPPERS.iter().find(|one| one.0 == base) {
            return self.wrapped(rest, valued, *before, scope);
        }
        if INTERPRETERS.contains(&base.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'))
            || INTERPRETERS.contains(&base.as_str())
        {
            return self.interpreted(words, scope);
        }
        self.started(words, scope)
    }

    /// Commands that are carried out for the sake of their output.
    fn substituted(&mut self, words: &[Word], scope: &Scope) -> Verdict {
        let mut verdict = Verdict::Nothing;
        for word in words {
            if let Some((_, inner)) = word.text.split_once("$(") {
                verdict = verdict.max(self.within(inner, scope, false));
            }
        }
        verdict
    }

    /// The command behind one that only starts it.
    fn wrapped(
        &mut self,
        words: &[Word],
        valued: &[&str],
        mut before: usize,
        scope: &mut Scope,
    ) -> Verdict {
        let mut words = words;
        while let Some((first, rest)) = words.split_first() {
            let text = first.text.as_str();
            let is_command = ["-c", "--command"].contains(&text) && !valued.contains(&text);
            if first.is_text() {
                return self.within(&first.text, scope, false);
            }
            if let (true, Some(command)) = (is_command, rest.first()) {
                return self.within(&command.text, scope, false);
            }
            if text.len() > 1 && text.starts_with('-') {
                words = rest;
                if valued.contains(&text) {
                    words = rest.get(1..).unwrap_or_default();
                }
            } else if text == "-" || text.split_once('=').is_some_and(|it| is_name(it.0)) {
                words = rest;
            } else if 0 < before {
                before -= 1;
                words = rest;
            } else {
                return self.simple(words, scope);
            }
        }
        Verdict::Nothing
    }

    /// A script, or a text, that an interpreter is given.
    fn interpreted(&mut self, words: &[Word], scope: &mut Scope) -> Verdict {
        let mut rest = words.get(1..).unwrap_or_default();
        while let Some((first, after)) = rest.split_first() {
            let option = first.text.as_str();
            if !option.starts_with('-') && option != "run" {
                return self.started(rest, scope);
            }
            let letters = option.trim_start_matches('-');
            let is_text = option.len() < 5 && letters.ends_with(['c', 'e']) || option == "--eval";
            if let (true, Some(text)) = (is_text, after.first()) {
                return self.within(&text.text, scope, false);
            }
            if option == "-m" {
                return self.called(words, scope);
            }
            rest = after;
        }
        Verdict::Nothing
    }

    /// A program that is started: a script is looked into, and so are those that it is given.
    fn started(&mut self, words: &[Word], scope: &mut Scope) -> Verdict {
        let Some((program, arguments)) = words.split_first() else {
            return Verdict::Nothing;
        };
        let is_path = program.text.contains('/');
        let path = self.find(&program.text, scope);
        let mut verdict = Verdict::Nothing;
        match path.and_then(|path| self.file(&path, arguments, scope, true)) {
            Some(known) => verdict = verdict.max(known),
            None if is_path || scope.depth == 0 || looks_like_script(&program.text) => {
                verdict = verdict.max(self.called(words, scope));
            }
            None => {}
        }
        for argument in arguments {
            if matches!(verdict, Verdict::Acts(_)) {
                break;
            }
            let text = &argument.text;
            if argument.is_text() {
                // Somebody's own function may carry it out.
                verdict = verdict.max(self.within(text, scope, true));
            } else if text.contains('/') || looks_like_script(text) {
                let path = self.resolve(text, &scope.folder);
                let found = self.file(&path, &[], scope, false);
                verdict = verdict.max(found.unwrap_or(Verdict::Nothing));
            }
        }
        verdict.max(self.substituted(words, scope))
    }

    /// What cannot be looked into, by what it is called.
    fn called(&self, words: &[Word], scope: &Scope) -> Verdict {
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let sounds = self.gateway.sounds_like_a_watchdog(&texts.join(" "));
        if sounds && !scope.is_quoted {
            Verdict::Perhaps
        } else {
            Verdict::Nothing
        }
    }

    /// Looks into a file; none where it is no script that can be read.
    ///
    /// An argument has to show by itself that it is a script; a program that is text is one.
    fn file(
        &mut self,
        path: &Path,
        arguments: &[Word],
        scope: &Scope,
        is_program: bool,
    ) -> Option<Verdict> {
        self.left = self.left.checked_sub(1)?;
        let file = read_limited(path, MAX_SCRIPT, Links::Follow).ok()??;
        let text = String::from_utf8(file.bytes).ok()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_script = text.starts_with("#!") || looks_like_script(&name);
        if text.contains('\0') || !is_program && !is_script {
            return None;
        }
        self.looked_into = true;
        let given: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
        let given = given.join(" ");
        let mut inner = Scope {
            variables: BTreeMap::new(),
            folder: path.parent().unwrap_or(path).to_owned(),
            names_gateway: self.gateway.is_named_in(&text) || self.gateway.is_named_in(&given),
            finds: deeds::finds(&text),
            is_quoted: false,
            depth: scope.depth + 1,
        };
        for (number, argument) in arguments.iter().enumerate() {
            let name = (number + 1).to_string();
            inner.variables.insert(name, argument.text.clone());
        }
        Some(self.text(&text, &mut inner))
    }

    /// Where a program is: as a path, or in the folders in which scripts of one's own are.
    fn find(&self, program: &str, scope: &Scope) -> Option<PathBuf> {
        if program.contains('/') || program.starts_with('~') {
            return Some(self.resolve(program, &scope.folder));
        }
        let own = [
            scope.folder.clone(),
            self.home.join("bin"),
            self.home.join(".local/bin"),
        ];
        let system = ["/usr/local/bin", "/usr/local/sbin"].map(PathBuf::from);
        let path = scope.variables.get("PATH").map(|path| path.split(':'));
        let set = path.into_iter().flatten().map(PathBuf::from);
        let mut all = own.into_iter().chain(set).chain(system);
        all.find_map(|folder| Some(folder.join(program)).filter(|path| path.is_file()))
    }

    /// A path as a shell in this folder understands it; one behind a variable that is not known is looked for here.
    fn resolve(&self, word: &str, folder: &Path) -> PathBuf {
        let below = ["~", "$HOME", "${HOME}"].iter().find_map(|home| {
            let below = word.strip_prefix(home)?;
            below.is_empty().then_some("").or(below.strip_prefix('/'))
        });
        if let Some(below) = below {
            return self.home.join(below);
        }
        match word.rsplit_once('$') {
            Some((_, behind)) => {
                let (_, below) = behind.split_once('/').unwrap_or(("", behind));
                folder.join(below.trim_start_matches('/'))
            }
            // In a group of its own, a shell comes back to where it was.
            None => Some(folder.join(word))
                .filter(|path| path.exists())
                .unwrap_or_else(|| self.home.join(word)),
        }
    }
}

/// The words of a command as one text, no longer than what is shown.
fn shown(words: &[Word]) -> String {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    texts.join(" ").chars().take(SHOWN).collect()
}

fn is_name(text: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(part)
}

fn looks_like_script(name: &str) -> bool {
    let (_, end) = name.rsplit_once('.').unwrap_or_default();
    ["sh", "bash", "py", "js", "mjs", "cjs", "ts", "pl", "rb"].contains(&end)
}

/// A word with the variables filled in that are known.
fn expanded(word: &Word, scope: &Scope) -> Word {
    if let Some(value) = scope.variables.get(&word.text).filter(|_| !word.quoted) {
        // A name in Python or JavaScript; in a shell a word that is one by chance is no unit's.
        let is_constant = word
            .text
            .chars()
            .all(|c| c.is_ascii_uppercase() || c == '_');
        if is_constant {
            return Word {
                text: value.clone(),
                quoted: true,
            };
        }
    }
    let mut text = String::new();
    let mut rest = word.text.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        let (name, behind) = match after.strip_prefix('{').and_then(|it| it.split_once('}')) {
            Some((inside, behind)) => (inside, behind),
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                after.split_at(end.unwrap_or(after.len()))
            }
        };
        let (bare, default) = name.split_once(":-").unwrap_or((name, ""));
        let value = scope.variables.get(bare).map(String::as_str);
        match value.or(Some(default).filter(|it| !it.is_empty() && !it.contains('$'))) {
            Some(value) => text.push_str(value),
            None => {
                let taken = after.len() - behind.len();
                text.push('$');
                text.push_str(after.get(..taken).unwrap_or_default());
            }
        }
        rest = behind;
    }
    text.push_str(rest);
    Word {
        text,
        quoted: word.quoted,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Home(tempfile::TempDir, Gateway);

    impl Home {
        fn new(files: &[(&str, &str)]) -> Self {
            let home = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = home.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(home, Gateway::new("openclaw-gateway.service", None))
        }

        fn judge(&self, command: &str) -> Verdict {
            let mut judge = Judge::new(&self.1, self.0.path());
            judge.command(command, command, &BTreeMap::new())
        }

        #[track_caller]
        fn acts(&self, command: &str, by: &str) {
            let found = self.judge(command);
            assert!(
                matches!(&found, Verdict::Acts(how) if how.contains(by)),
                "{command}: {found:?}"
            );
        }

        #[track_caller]
        fn is(&self, command: &str, expected: &Verdict) {
            assert_eq!(&self.judge(command), expected, "{command}");
        }
    }

    #[test]
    fn a_command_is_followed_through_whatever_starts_it() {
        let script = "#!/bin/sh\nsystemctl --user restart openclaw-gateway\n";
        let home = Home::new(&[
            ("bin/heal", script),
            (
                "w/watch.py",
                "import os\nos.system(\"openclaw gateway restart\")\n",
            ),
            (
                "w/watch.js",
                "require('child_process').execSync('openclaw gateway restart')",
            ),
            (
                "outer.sh",
                "DIR=\"$(dirname \"$0\")\"\nexec \"$DIR/bin/heal\"\n",
            ),
            ("given.sh", "systemctl --user restart \"$1\"\n"),
        ]);
        for command in [
            "~/bin/heal",
            "$HOME/bin/heal >/dev/null 2>&1",
            "bash -l ${HOME}/bin/heal",
            "sh -c 'sleep 30 && ~/bin/heal'",
            "flock -n /tmp/lock -c \"~/bin/heal\"",
            "flock -n /tmp/lock ~/bin/heal",
            "timeout -k 5 60 nice -n 10 ~/bin/heal",
            "env A=b /usr/bin/nohup ~/bin/heal &",
            "su - claw -c '~/bin/heal'",
            "sudo -u claw XDG_RUNTIME_DIR=/run/user/1 ~/bin/heal",
            "cd bin && ./heal",
            "cd ~/bin; sh heal",
            "heal",
            "while true; do ~/bin/heal; sleep 60; done",
            "/opt/of/somebody/cronwrap --id 7 ~/bin/heal",
            "~/outer.sh",
            "X=$(~/bin/heal)",
            "echo \"$(~/bin/heal)\"",
            "find /tmp -name x -exec ~/bin/heal {} ;",
        ] {
            home.acts(command, "systemctl --user restart openclaw-gateway");
        }
        for command in [
            "/usr/bin/python3 ~/w/watch.py",
            "cd w && node watch.js fix >> log 2>&1",
            "python3 -c 'import os; os.system(\"openclaw gateway restart\")'",
        ] {
            home.acts(command, "openclaw gateway restart");
        }
        home.acts(
            "~/given.sh openclaw-gateway.service",
            "restart openclaw-gateway",
        );
        home.is("~/given.sh nginx", &Verdict::Nothing);
    }

    #[test]
    fn scripts_as_people_write_them_are_judged_by_what_they_do() {
        for script in [
            "UNIT=openclaw-gateway\ncheck() { curl -sf localhost:18789/; }\ncheck || systemctl --user restart \"$UNIT\"\n",
            "# OpenClaw\nrestart_it() {\n  log \"restarting\"\n  pids=$(pgrep -f gateway)\n  kill -9 $pids\n}\n",
            "import subprocess\nSVC = 'openclaw-gateway'\nsubprocess.run(\n  ['systemctl', '--user',\n   'restart', SVC],\n)\n",
            "const { spawn } = require('child_process');\nspawn('openclaw', ['gateway', 'restart'], { stdio: 'inherit' });\n",
            "CMD=\"openclaw gateway restart\"\neval $CMD\n",
            "if ! openclaw gateway status; then\n  openclaw gateway stop || true\nfi\n",
            "lsof -ti:18789 | xargs -r kill -9\n",
            "const a = ['gateway', 'restart'];\nrun('openclaw', a)\n",
        ] {
            let home = Home::new(&[("s.sh", script)]);
            let found = home.judge("~/s.sh");
            assert!(matches!(found, Verdict::Acts(_)), "{found:?} for {script}");
        }
        for script in [
            "# restart openclaw-gateway by hand: systemctl --user restart openclaw-gateway\ncurl -sf localhost:18789 || mail -s down me\n",
            "echo \"down; to restart: systemctl --user restart openclaw-gateway\"\n",
            "send_telegram \"openclaw gateway restart is needed\"\n",
            "tar czf /b/openclaw.tgz ~/.openclaw && systemctl restart nginx\n",
            "tail -f ~/.openclaw/log & T=$!\nsleep 5\nkill $T\n",
            "cat <<EOF\nopenclaw gateway restart\nEOF\n",
            "\"\"\"Looks at OpenClaw: never does openclaw gateway restart.\"\"\"\nprint('openclaw gateway restart')\n",
            "start=$(date +%s)\nopenclaw skills update\n",
            "find ~/.openclaw/logs -mtime +7 -delete\n",
        ] {
            let home = Home::new(&[("s.sh", script)]);
            home.is("~/s.sh", &Verdict::Nothing);
        }
    }

    #[test]
    fn what_cannot_be_looked_into_is_judged_by_what_it_is_called() {
        let home = Home::new(&[("bin/openclaw-watchdog", "\u{0}ELF")]);
        for command in [
            "/opt/openclaw/bin/healthcheck.sh --restart",
            "~/bin/openclaw-watchdog",
            "python3 -m openclaw_watchdog",
            "openclaw-guardian --once",
        ] {
            home.is(command, &Verdict::Perhaps);
        }
        for command in [
            "/usr/bin/flock -n /tmp/gw.lock -c \"/usr/local/bin/claw-heal --once\"",
            "flock -n /tmp/openclaw-watchdog.lock backup",
            "cp openclaw-watchdog.sh /backup",
            "echo openclaw watchdog",
            "backup > openclaw-watchdog.sh",
            "/opt/watchdog --all",
            "gatehound tidy --openclaw-watchdog",
        ] {
            home.is(command, &Verdict::Nothing);
        }
    }

    #[test]
    fn a_gateway_in_the_foreground_is_no_restart_of_one() {
        let home = Home::new(&[]);
        let runs = Verdict::Runs("openclaw gateway --port 18789".to_owned());
        home.is("exec openclaw gateway --port 18789", &runs);
    }

    #[test]
    fn scripts_that_start_each_other_come_to_an_end() {
        let home = Home::new(&[("a.sh", "~/b.sh\n~/b.sh\n"), ("b.sh", "~/a.sh\n~/a.sh\n")]);
        home.is("~/a.sh", &Verdict::Nothing);
    }
}
