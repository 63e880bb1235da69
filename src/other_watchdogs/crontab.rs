//! The user's crontab, as crontab(1) lists it.
//!
//! Owns what a line of a crontab is, and which lines are the old shell watchdog and nothing else;
//! what a command comes to is `judge.rs`'s. Touches no crontab.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    deeds::Gateway,
    judge::{Judge, Verdict},
};
use crate::os::{
    child::{self, ChildError},
    files::{Links, read_limited},
};
use crate::text::line::Line;

/// A crontab of more is nobody's.
pub(super) const MAX: usize = 256 * 1024;

/// A script of more is not the old watchdog, which has a hundred lines.
const MAX_SCRIPT: u64 = 64 * 1024;

/// What is left out of a command when it is asked which program it runs.
const SHELLS: [&str; 8] = [
    "sh",
    "/bin/sh",
    "/usr/bin/sh",
    "bash",
    "/bin/bash",
    "/usr/bin/bash",
    "dash",
    "/bin/dash",
];

/// What stands behind an `@` instead of a time.
const EVENTS: [&str; 8] = [
    "reboot", "yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly",
];

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Redirections from one descriptor to another.
const DUPLICATIONS: [&str; 3] = ["2>&1", "1>&2", ">&2"];

/// Redirections to or from a file, which follows; those that begin like another come first.
const REDIRECTIONS: [&str; 9] = ["&>>", "&>", "2>>", "2>", "1>>", "1>", ">>", ">", "<"];

/// What a line does to the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// It starts the old watchdog of the gateway and does nothing else.
    Watchdog,
    /// It restarts, starts, stops or kills the gateway, by this command, and may do other things as well.
    Acts(String),
    /// What it starts cannot be looked into, and is called like a watchdog of the gateway.
    Perhaps,
}

impl Job {
    pub(super) fn of(verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Acts(how) | Verdict::Runs(how) => Some(Self::Acts(how)),
            Verdict::Perhaps => Some(Self::Perhaps),
            Verdict::Nothing => None,
        }
    }
}

/// A crontab as it was read, byte for byte.
#[derive(Clone, Debug)]
pub struct Crontab {
    bytes: Vec<u8>,
    home: PathBuf,
    gateway: Gateway,
    variables: BTreeMap<String, String>,
}

impl Crontab {
    /// The crontab of this user.
    ///
    /// # Errors
    ///
    /// As for [`listed`].
    pub fn read(
        program: &Path,
        home: &Path,
        gateway: &Gateway,
        budget: Duration,
    ) -> Result<Self, Line> {
        Ok(Self::new(listed(program, budget)?, home, gateway))
    }

    /// A crontab that was read elsewhere.
    pub fn new(bytes: Vec<u8>, home: &Path, gateway: &Gateway) -> Self {
        Self {
            variables: variables(&String::from_utf8_lossy(&bytes)),
            bytes,
            home: home.to_owned(),
            gateway: gateway.clone(),
        }
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The lines that do something to the gateway, in their order.
    pub fn jobs(&self) -> Vec<(Job, Line)> {
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n');
        let found = lines.filter_map(|line| Some((self.job(line)?, Line::lossy(line))));
        found.collect()
    }

    /// What is left without the lines that only start a watchdog of the gateway; every other byte stays.
    pub fn without_watchdogs(&self) -> Vec<u8> {
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n');
        let kept = lines.filter(|line| self.job(line) != Some(Job::Watchdog));
        kept.flatten().copied().collect()
    }

    fn job(&self, line: &[u8]) -> Option<Job> {
        // What is not text may say to a shell what it does not say here.
        let text = str::from_utf8(line).ok();
        let command = text.and_then(command);
        if command.is_some_and(|command| self.only_starts_watchdog(command)) {
            return Some(Job::Watchdog);
        }
        let text = String::from_utf8_lossy(line);
        if is_no_job(&text) {
            return None;
        }
        let command = command.map_or_else(|| text.trim().to_owned(), str::to_owned);
        let mut judge = Judge::new(&self.gateway, &self.home);
        Job::of(judge.command(&command, &command, &self.variables))
    }

    /// Whether a command is made of waiting and of starting a watchdog of the gateway.
    fn only_starts_watchdog(&self, command: &str) -> bool {
        let Some(parts) = parts(command) else {
            return false;
        };
        let starts = parts.iter().filter(|part| self.is_watchdog(part)).count();
        0 < starts
            && parts
                .iter()
                .all(|part| is_sleep(part) || self.is_watchdog(part))
    }

    fn is_watchdog(&self, part: &[String]) -> bool {
        let words = part.iter().skip_while(|word| is_assignment(word));
        let mut words = words.skip_while(|word| SHELLS.contains(&word.as_str()));
        let Some(program) = words.next() else {
            return false;
        };
        let path = self.expand(&self.home, program);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_named = names(name.as_bytes(), b"watchdog")
            && match Judge::new(&self.gateway, &self.home).script(&path) {
                Some(verdict) => matches!(verdict, Verdict::Acts(_)),
                None => names(program.as_bytes(), b"openclaw"),
            };
        is_named || is_the_script(&path)
    }

    /// A path as the shell of a cron job understands it in this folder.
    fn expand(&self, folder: &Path, word: &str) -> PathBuf {
        let below = ["~", "$HOME", "${HOME}"].iter().find_map(|home| {
            let below = word.strip_prefix(home)?;
            below.is_empty().then_some("").or(below.strip_prefix('/'))
        });
        below.map_or_else(|| folder.join(word), |below| self.home.join(below))
    }
}

/// All bytes of the user's crontab; none where there is no crontab, or no cron.
///
/// crontab(1) fails in the same way when there is no crontab and when it may not be read.
///
/// # Errors
///
/// crontab(1) does not answer in time, cannot be started, or lists more than anybody wrote.
pub fn listed(program: &Path, budget: Duration) -> Result<Vec<u8>, Line> {
    match child::output_fed(program, &["-l"], b"", MAX + 1, budget) {
        Ok(bytes) if MAX < bytes.len() => {
            Err(Line::new(&format!("the crontab has more than {MAX} bytes")))
        }
        Ok(bytes) => Ok(bytes),
        Err(ChildError::Absent(_) | ChildError::Failed(_)) => Ok(Vec::new()),
        Err(ChildError::Unknown(why)) => Err(why),
    }
}

/// Whether a line is empty, a comment, or gives a variable a value.
pub(super) fn is_no_job(line: &str) -> bool {
    let line = line.trim_start();
    let name = line.split_once('=').map(|(name, _)| name.trim_end());
    let is_variable = name.is_some_and(|name| {
        let bare = name.trim_matches(['"', '\'']);
        bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    line.is_empty() || line.starts_with('#') || is_variable
}

/// The variables that a crontab sets for its commands.
pub(super) fn variables(text: &str) -> BTreeMap<String, String> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let set = lines.filter(|line| is_no_job(line)).filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let bare = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
        Some((bare(name), bare(value)))
    });
    set.collect()
}

/// Whether a file is the health check script that Gatehound takes the place of, whatever its name.
///
/// It is known by what it does: it asks for `/health`, restarts through systemd, kills what is left, and minds a flag file
/// that nothing else has. One that lacks any of these is a human's to remove.
fn is_the_script(path: &Path) -> bool {
    const TRAITS: [&[u8]; 5] = [
        b"openclaw-maintenance",
        b"/health",
        b"systemctl",
        b"openclaw-gateway",
        b"kill",
    ];
    let read = read_limited(path, MAX_SCRIPT, Links::Follow);
    let has_all = |bytes: &[u8]| TRAITS.iter().all(|one| names(bytes, one));
    read.is_ok_and(|file| file.is_some_and(|file| has_all(&file.bytes)))
}

/// Whether a text has a word in it, in whatever case.
fn names(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len())
        .any(|part| part.eq_ignore_ascii_case(word))
}

/// The command of a job line; none of a comment, a variable, or what is no line of a crontab (crontab(5)).
pub(super) fn command(line: &str) -> Option<&str> {
    let blank = |c: char| c == ' ' || c == '\t';
    let mut rest = line.trim_matches(|c: char| blank(c) || c == '\n');
    let fields = if rest.starts_with('@') { 1 } else { 5 };
    for field in 0..fields {
        let (time, after) = rest.split_once(blank)?;
        if !is_time(time, field) {
            return None;
        }
        rest = after.trim_start_matches(blank);
    }
    Some(rest)
}

/// Whether a field says when: a list of stars, numbers and ranges, each with a step perhaps.
fn is_time(field: &str, at: usize) -> bool {
    if let Some(name) = field.strip_prefix('@') {
        return at == 0 && EVENTS.contains(&name);
    }
    let names: &[&str] = match at {
        3 => &MONTHS,
        4 => &DAYS,
        _ => &[],
    };
    let is_number = |text: &str| {
        (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_named = |text: &str| names.iter().any(|name| name.eq_ignore_ascii_case(text));
    let is_value = |text: &str| is_number(text) || is_named(text);
    field.split(',').all(|one| {
        let (range, step) = one.split_once('/').unwrap_or((one, "1"));
        let (from, to) = range.split_once(['-', '~']).unwrap_or((range, "1"));
        is_number(step) && (range == "*" || is_value(from) && is_value(to))
    })
}

/// The simple commands that a command is made of, each as its words without redirections.
///
/// None when there is anything in it that a shell would take apart or fill in, but `;`, `&&`, parentheses and a home.
fn parts(command: &str) -> Option<Vec<Vec<String>>> {
    let apart = command.replace("&&", " ; ").replace([';', '(', ')'], " ; ");
    let mut parts: Vec<Vec<String>> = vec![Vec::new()];
    let mut words = apart.split([' ', '\t']).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if DUPLICATIONS.contains(&word) {
            continue;
        }
        let redirected = REDIRECTIONS.iter().find_map(|to| word.strip_prefix(to));
        match redirected {
            // Its target is the next word.
            Some("") => drop(words.next().filter(|target| is_plain(target))?),
            Some(target) if is_plain(target) => {}
            Some(_) => return None,
            None if word == ";" => parts.push(Vec::new()),
            None if is_plain(word) => parts.last_mut()?.push(word.to_owned()),
            None => return None,
        }
    }
    parts.retain(|part| !part.is_empty());
    Some(parts)
}

/// Whether a word means itself to a shell, but for a home at its beginning.
fn is_plain(word: &str) -> bool {
    let below = ["$HOME/", "${HOME}/"]
        .iter()
        .find_map(|home| word.strip_prefix(home));
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./~@:+,=-".contains(c);
    below.unwrap_or(word).chars().all(plain) && word != "!"
}

/// Whether a word gives a variable to what follows it.
fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else {
        return false;
    };
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(part)
}

fn is_sleep(part: &[String]) -> bool {
    let [program, span] = part else { return false };
    let is_span = |span: &str| !span.is_empty() && span.chars().all(|c| c.is_ascii_digit());
    ["sleep", "/bin/sleep", "/usr/bin/sleep"].contains(&program.as_str())
        && is_span(span.strip_suffix('s').unwrap_or(span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    const SECOND: Duration = Duration::from_secs(5);

    fn crontab(text: &[u8], home: &Path) -> Crontab {
        Crontab::new(text.to_vec(), home, &gateway())
    }

    fn gateway() -> Gateway {
        Gateway::new("openclaw-gateway.service", None)
    }

    fn acts(how: &str) -> Option<Job> {
        Some(Job::Acts(how.to_owned()))
    }

    #[track_caller]
    fn check(line: &str, expected: Option<Job>) {
        let found = crontab(line.as_bytes(), Path::new("/nonexistent")).job(line.as_bytes());
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn a_line_that_only_starts_the_old_watchdog_is_one() {
        for command in [
            "/home/a/openclaw-watchdog.sh",
            "sleep 30; /home/a/openclaw-watchdog.sh",
            "sleep 30 && ~/OpenClaw-Watchdog.sh >/dev/null 2>&1",
            "( sleep 30 ; /home/a/.openclaw/watchdog.sh )",
            "$HOME/openclaw-watchdog.sh; sleep 30s; ${HOME}/openclaw-watchdog.sh",
            "/bin/bash /opt/openclaw/bin/watchdog >> /tmp/openclaw-watchdog.log 2>&1",
            "XDG_RUNTIME_DIR=/run/user/1000 bash openclaw-watchdog.sh --port 18789 > /dev/null",
        ] {
            for time in ["* * * * *", "*/1\t0-23 * jan,FEB Mon-fri", "@reboot"] {
                check(&format!("{time} {command}\n"), Some(Job::Watchdog));
                check(&format!("  {time}  {command}"), Some(Job::Watchdog));
            }
        }
    }

    #[test]
    fn what_may_do_anything_else_is_a_humans_to_remove() {
        for line in [
            "* * * * * backup && openclaw-watchdog.sh",
            "* * * * * openclaw-watchdog.sh; rm -rf /tmp/x",
            "* * * * * openclaw-watchdog.sh || mail me",
            "* * * * * openclaw-watchdog.sh | tee /tmp/log",
            "* * * * * openclaw-watchdog.sh & backup",
            "* * * * * bash -c openclaw-watchdog.sh",
            "* * * * * 'openclaw-watchdog.sh'",
            "* * * * * $(backup)/openclaw-watchdog.sh",
            "* * * * * `backup`/openclaw-watchdog.sh",
            "* * * * * $DIR/openclaw-watchdog.sh",
            "* * * * * openclaw-watchdog.sh > $(backup)",
            "* * * * * openclaw-watchdog.sh % input",
            "* * * * * openclaw-watchdog.sh \\",
            "* * * * * /opt/openclaw-watchdog/backup",
            "* * * * openclaw-watchdog.sh",
            "* * * * backup && openclaw-watchdog.sh",
            "* ** * * * openclaw-watchdog.sh",
            "*/ * * * * openclaw-watchdog.sh",
            "@backup openclaw-watchdog.sh",
        ] {
            check(line, Some(Job::Perhaps));
        }
        let line = b"* * * * * openclaw-watchdog.sh \xff\n";
        let foul = crontab(line, Path::new("/nonexistent"));
        assert_eq!(foul.job(line), Some(Job::Perhaps));
    }

    #[test]
    fn comments_and_what_has_to_do_with_something_else_are_left_out() {
        for line in [
            "0 3 * * * rm /tmp/openclaw/*.log",
            "30 3 * * * tar czf /b/openclaw-$(date +\\%F).tgz /home/a/.openclaw",
            "0 4 * * * openclaw skills update",
            "* * * * * backup > openclaw-watchdog.sh",
            "* * * * * cp openclaw-watchdog.sh /backup",
            "* * * * * sleep 30 openclaw-watchdog.sh",
            "* * * * * flock -n /tmp/openclaw-watchdog.lock backup",
            "* * * * * A=openclaw-watchdog.sh backup",
            "* * * * * echo openclaw watchdog",
            "A=* * * * * openclaw-watchdog.sh",
            "A = * * * * * openclaw-watchdog.sh",
            "OPENCLAW=/home/a/watchdog.sh",
            "\"A\" = \"* * * * * openclaw-watchdog.sh\"",
        ] {
            check(line, None);
        }
        check("# * * * * * openclaw-watchdog.sh", None);
        check("  #openclaw-watchdog.sh", None);
        check("* * * * * /home/a/watchdog.sh", None);
        check("MAILTO=me", None);
        check("", None);
    }

    #[test]
    fn a_watchdog_is_one_of_the_gateway_when_its_script_says_so() {
        let home = tempfile::tempdir().unwrap();
        let line = b"* * * * * ~/bin/watchdog.sh";
        let crontab = crontab(line, home.path());
        assert_eq!(crontab.job(line), None);
        fs::create_dir(home.path().join("bin")).unwrap();
        let script = home.path().join("bin/watchdog.sh");
        fs::write(&script, "systemctl --user restart other").unwrap();
        assert_eq!(crontab.job(line), None);
        fs::write(&script, "systemctl --user restart openclaw-gateway").unwrap();
        assert_eq!(crontab.job(line), Some(Job::Watchdog));
    }

    #[test]
    fn the_script_that_gatehound_replaces_is_known_by_what_it_does_whatever_its_name() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".openclaw/scripts");
        fs::create_dir_all(&folder).unwrap();
        let script = folder.join("openclaw-health-check.sh");
        let text = "#!/bin/bash\n[ -f /tmp/openclaw-maintenance ] && exit 0\n\
            curl -s -m 10 http://127.0.0.1:18789/health | grep -q '\"ok\":true' && exit 0\n\
            systemctl --user stop openclaw-gateway\npkill -9 -f openclaw-gateway\n\
            systemctl --user start openclaw-gateway\n";
        let lines = [
            "* * * * * ~/.openclaw/scripts/openclaw-health-check.sh >> /tmp/check.log 2>&1",
            "* * * * * sleep 30 && bash $HOME/.openclaw/scripts/openclaw-health-check.sh",
        ];
        fs::write(&script, text).unwrap();
        let crontab_of = |line: &str| crontab(line.as_bytes(), home.path());
        for line in lines {
            assert_eq!(crontab_of(line).job(line.as_bytes()), Some(Job::Watchdog));
            assert_eq!(crontab_of(line).without_watchdogs(), b"", "{line}");
        }
        // One that does only some of it may do something else that is wanted.
        for missing in ["openclaw-maintenance", "/health", "systemctl", "kill"] {
            fs::write(&script, text.replace(missing, "")).unwrap();
            let line = lines[0];
            let job = crontab_of(line).job(line.as_bytes());
            assert!(matches!(job, Some(Job::Acts(_))), "{missing}: {job:?}");
        }
    }

    #[test]
    fn a_line_is_judged_by_every_script_that_it_names() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("bin")).unwrap();
        let script = "#!/bin/sh\nsystemctl --user restart openclaw-gateway\n";
        for name in ["watchdog.sh", "keepalive.sh", "bin/keepalive"] {
            fs::write(home.path().join(name), script).unwrap();
        }
        let harmless = "#!/bin/sh\ntar cz ~/.openclaw/skills\n";
        fs::write(home.path().join("backup.sh"), harmless).unwrap();
        fs::write(home.path().join("log"), script.trim_start_matches("#!")).unwrap();
        let absolute = format!("* * * * * nice {}/keepalive.sh", home.path().display());
        for line in [
            "* * * * * flock -n /tmp/l ~/watchdog.sh",
            "* * * * * cd ~ && ./watchdog.sh",
            "* * * * * cd bin; sh ./keepalive",
            "* * * * * cd $HOME/bin&&keepalive",
            "* * * * * cd /tmp; ~/keepalive.sh",
            "* * * * * (cd /tmp; true); ./keepalive.sh",
            "* * * * * ~/watchdog.sh && true",
            "* * * * * ~/watchdog.sh; rm -rf /tmp/foo",
            "* * * * * ~/keepalive.sh",
            "* * * * * bash -c \"${HOME}/keepalive.sh | logger\"",
            "@reboot while sleep 30; do ~/keepalive.sh; done",
            &absolute,
        ] {
            let table = crontab(line.as_bytes(), home.path());
            let how = acts("systemctl --user restart openclaw-gateway");
            assert_eq!(table.job(line.as_bytes()), how, "{line}");
            assert_eq!(table.without_watchdogs(), line.as_bytes(), "{line}");
        }
        for line in [
            "* * * * * ~/backup.sh",
            "* * * * * gzip ~/log",
            "* * * * * cd bin && ls",
            "# * * * * * ~/keepalive.sh",
            "* * * * * ~/bin/keepalive.sh",
        ] {
            let table = crontab(line.as_bytes(), home.path());
            assert_eq!(table.job(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_line_that_does_to_the_gateway_what_a_watchdog_does_is_named_with_the_command() {
        for (command, how) in [
            (
                "systemctl --user is-active openclaw-gateway || systemctl --user restart openclaw-gateway",
                "systemctl --user restart openclaw-gateway",
            ),
            (
                "curl -sf localhost:18789/health || pkill -f openclaw",
                "pkill -f openclaw",
            ),
            ("openclaw gateway restart", "openclaw gateway restart"),
            ("sleep 30 && openclaw gateway", "openclaw gateway"),
        ] {
            check(&format!("* * * * * {command}"), acts(how));
            check(&format!("@reboot {command}"), acts(how));
        }
    }

    #[test]
    fn without_the_watchdog_every_other_byte_stays() {
        let text = b"MAILTO=me\n\n# openclaw watchdog\n* * * * * ~/openclaw-watchdog.sh\n\
            \xff * bad\n* * * * * sleep 30; ~/openclaw-watchdog.sh\r\n* * * * * x && openclaw-watchdog.sh\n\
            * * * * * sleep 30; ~/openclaw-watchdog.sh\n0 0 * * * backup";
        let left = crontab(text, Path::new("/nonexistent")).without_watchdogs();
        // A carriage return is part of the name that the shell would look for.
        let expected = b"MAILTO=me\n\n# openclaw watchdog\n\xff * bad\n\
            * * * * * sleep 30; ~/openclaw-watchdog.sh\r\n* * * * * x && openclaw-watchdog.sh\n0 0 * * * backup";
        assert_eq!(
            left.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }

    #[test]
    fn where_there_is_no_cron_there_are_no_lines() {
        for program in ["/nonexistent/crontab", "/bin/false"] {
            assert_eq!(listed(Path::new(program), SECOND).unwrap(), b"");
        }
    }

    #[test]
    fn a_crontab_that_cannot_be_listed_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("crontab");
        fs::write(&program, "#!/bin/sh\nexec sleep 60\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let late = listed(&program, SECOND / 10);
        assert_eq!(late.unwrap_err().as_str(), "crontab is not done in time");
        fs::write(&program, "#!/bin/sh\nyes | head -n 200000\n").unwrap();
        let long = listed(&program, SECOND);
        assert_eq!(
            long.unwrap_err().as_str(),
            "the crontab has more than 262144 bytes"
        );
        let none = listed(Path::new("/etc"), SECOND);
        assert!(none.unwrap_err().as_str().starts_with("cannot start /etc"));
    }
}
