//! Whether the gateway is being updated: while its program is taken away, a restart cannot help.
//!
//! Owns what counts as a sign of an update and for how long one is believed, and which version is installed.
//! The manager is asked elsewhere; only the files of ExecStart are looked at here.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    os::files::{Links, read_limited},
    policy::facts::{Monotonic, UnitFacts},
    probe::openclaw_json::MAX_FILE,
    text::line::Line,
};

/// Names of the transient units in which OpenClaw runs its updates, as a pattern for the user manager.
pub const SCOPES: &str = "openclaw-update-*.scope";

/// A file written less than this ago may have been written together with others that are still to come.
///
/// npm and its like give files the time of their unpacking (measured, npm: the package's own times are dropped).
const YOUNG: Duration = Duration::from_secs(60);

/// For how long an update is believed: a scope that never ends, or a package that was removed, is none.
pub const LONGEST: Duration = Duration::from_secs(30 * 60);

/// The first sign of an update: `scope` (an active unit that matches [`SCOPES`]),
/// or the program or script of `exec_start` missing or just written.
///
/// Without a sign there is none: a file that cannot be looked at, or is dated in the future, proves nothing.
pub fn look(exec_start: &[String], scope: Option<&str>, now: SystemTime) -> Option<Line> {
    if let Some(scope) = scope {
        return Some(Line::new(&format!("{scope} is active")));
    }
    let (program, arguments) = exec_start.split_first()?;
    [script(arguments), Some(program.as_str())]
        .into_iter()
        .flatten()
        .find_map(|file| sign(Path::new(file), now))
}

/// The JavaScript file that the program is to run, if it is one that runs any.
fn script(arguments: &[String]) -> Option<&str> {
    let is_script = |argument: &&String| {
        let name = argument.as_str();
        !name.starts_with('-')
            && [".js", ".mjs", ".cjs"]
                .iter()
                .any(|end| name.ends_with(end))
    };
    arguments.iter().find(is_script).map(String::as_str)
}

/// The version of the package whose script these arguments of ExecStart run.
///
/// What runs may be older, where it was not restarted since an update.
pub fn installed_version(exec_start: &[String]) -> Option<Line> {
    let script = Path::new(script(exec_start)?);
    let folder = script.parent().filter(|folder| folder.is_absolute())?;
    let package = match folder.ends_with("dist") {
        true => folder.parent()?,
        false => folder,
    };
    let text = read_limited(&package.join("package.json"), MAX_FILE, Links::Follow).ok()??;
    let package: Value = serde_json::from_slice(&text.bytes).ok()?;
    package.get("version")?.as_str().map(Line::new)
}

/// The version of a gateway that has no `/health`, where this unit runs one: those before 2026.3 have none.
///
/// Where no package is found, it is what the gateway wrote into its unit.
pub fn version_without_health(unit: &UnitFacts) -> Option<Line> {
    let written = || {
        let mut variables = unit.environment.iter();
        let version = variables.find_map(|it| it.strip_prefix("OPENCLAW_SERVICE_VERSION="));
        version.map(Line::new)
    };
    let version = installed_version(&unit.exec_start).or_else(written)?;
    let mut parts = version.as_str().split(['.', '-']);
    let mut number = || parts.next()?.parse::<u32>().ok();
    let is_older = (number()?, number()?) < (2026, 3);
    is_older.then_some(version)
}

/// What a file says of an update, through a link such as npm makes for a command.
fn sign(file: &Path, now: SystemTime) -> Option<Line> {
    // A relative path is resolved by the manager's search path or the unit's WorkingDirectory;
    // from here it would be another file.
    if !file.is_absolute() {
        return None;
    }
    let path = file.display();
    match fs::metadata(file) {
        Ok(metadata) => {
            let age = now.duration_since(metadata.modified().ok()?).ok()?;
            let text = format!("written {} s ago: {path}", age.as_secs());
            (age < YOUNG).then(|| Line::new(&text))
        }
        Err(error) if is_absent(&error) => Some(Line::new(&format!("missing: {path}"))),
        Err(_) => None,
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What is to be made of the signs of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// There is none.
    None,
    /// It goes on; the sign.
    InProgress(Line),
    /// It has gone on for longer than [`LONGEST`] and no longer counts; why.
    Overdue(Line),
}

/// What a check saw of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It did not look, because the gateway is healthy: an update that leaves it healthy keeps nobody from anything.
    NotLooked,
    /// No sign of one.
    Nothing,
    /// This sign, and since when it has been there where it has an age.
    Sign(Line, Option<Monotonic>),
}

/// Remembers since when an update has been seen, over a restart of Gatehound as well.
///
/// By CLOCK_MONOTONIC, because an update sleeps while the machine does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    first: Option<First>,
}

/// The update that was seen last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct First {
    /// Its first sight, or its beginning where that is known.
    since: Monotonic,
    /// Its sign, as last seen.
    sign: Line,
    /// The gateway has been healthy since.
    healthy_since: bool,
}

impl Bound {
    /// Judges what a check saw; signs that follow each other are one update.
    ///
    /// A sign that is there again after the gateway was healthy is the same update, with what is left of its time:
    /// a scope that never ends would buy that time anew at every hang. Another sign is another update.
    pub fn judge(&mut self, sight: Sight, now: Monotonic) -> Update {
        let (sign, began) = match sight {
            Sight::NotLooked => {
                if let Some(first) = &mut self.first {
                    first.healthy_since = true;
                }
                return Update::None;
            }
            Sight::Nothing => {
                self.first = None;
                return Update::None;
            }
            Sight::Sign(sign, began) => (sign, began),
        };
        let same = |first: &First| !first.healthy_since || first.sign == sign;
        let known = self.first.take().filter(same);
        // A state file may name a moment that lies ahead.
        let since = known.map_or(now, |first| first.since.min(now));
        // One that was there before anybody looked has used that time.
        let since = began.map_or(since, |began| since.min(began));
        self.first = Some(First {
            since,
            sign: sign.clone(),
            healthy_since: false,
        });
        if now.since(since) < LONGEST {
            return Update::InProgress(sign);
        }
        let minutes = LONGEST.as_secs() / 60;
        Update::Overdue(Line::new(&format!(
            "an update for more than {minutes} min is none, going on as without it; {sign}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn sign() -> Sight {
        Sight::Sign("openclaw-update-1.scope is active".into(), None)
    }

    /// Each step: minutes since boot, whether there is a sign, and what is made of it.
    #[track_caller]
    fn check(steps: &[(u32, bool, &str)]) {
        let sight = |seen| if seen { sign() } else { Sight::Nothing };
        let steps: Vec<_> = steps
            .iter()
            .map(|(minutes, seen, expected)| (*minutes, sight(*seen), *expected))
            .collect();
        check_sights(&steps);
    }

    #[track_caller]
    fn check_sights(steps: &[(u32, Sight, &str)]) {
        let mut bound = Bound::default();
        for (minutes, seen, expected) in steps {
            let now = Monotonic(0) + *minutes * MINUTE;
            let judged = match bound.judge(seen.clone(), now) {
                Update::None => "none",
                Update::InProgress(_) => "in progress",
                Update::Overdue(_) => "overdue",
            };
            assert_eq!(judged, *expected, "after {minutes} min");
            // As a Gatehound that is restarted after each check remembers it.
            let kept = serde_json::to_string(&bound).unwrap();
            bound = serde_json::from_str(&kept).unwrap();
        }
    }

    #[test]
    fn a_scope_that_never_ends_buys_its_half_hour_once_however_healthy_the_gateway_was() {
        let other = || Sight::Sign("openclaw-update-2.scope is active".into(), None);
        check_sights(&[
            (100, sign(), "in progress"),
            (105, Sight::NotLooked, "none"),
            (120, sign(), "in progress"),
            (121, Sight::NotLooked, "none"),
            (131, sign(), "overdue"),
            (132, Sight::NotLooked, "none"),
            (133, other(), "in progress"),
        ]);
    }

    #[test]
    fn a_scope_has_used_the_time_before_anybody_looked() {
        let since = |minutes: u32| {
            let began = Some(Monotonic(0) + minutes * MINUTE);
            Sight::Sign("openclaw-update-1.scope is active".into(), began)
        };
        check_sights(&[
            (100, since(75), "in progress"),
            (104, Sight::NotLooked, "none"),
            (105, since(75), "overdue"),
        ]);
        check_sights(&[(200, since(1), "overdue")]);
    }

    #[test]
    fn an_update_is_believed_for_half_an_hour() {
        check(&[
            (100, false, "none"),
            (101, true, "in progress"),
            (130, true, "in progress"),
            (131, true, "overdue"),
            (500, true, "overdue"),
        ]);
    }

    #[test]
    fn the_next_update_has_its_own_half_hour() {
        check(&[
            (0, true, "in progress"),
            (30, true, "overdue"),
            (31, false, "none"),
            (32, true, "in progress"),
            (61, true, "in progress"),
            (62, true, "overdue"),
        ]);
    }

    #[test]
    fn an_overdue_update_says_what_was_seen_and_what_comes_next() {
        let mut bound = Bound::default();
        bound.judge(sign(), Monotonic(0));
        let expected = "an update for more than 30 min is none, going on as without it; \
             openclaw-update-1.scope is active";
        let overdue = Update::Overdue(expected.into());
        assert_eq!(bound.judge(sign(), Monotonic(0) + LONGEST), overdue);
    }

    #[test]
    fn only_a_gateway_before_2026_3_has_no_health() {
        let without = |package: Option<&str>, written: &str| {
            let folder = tempfile::tempdir().unwrap();
            if let Some(version) = package {
                let text = format!(r#"{{"version":"{version}"}}"#);
                fs::write(folder.path().join("package.json"), text).unwrap();
            }
            let script = folder.path().join("dist/index.js").display().to_string();
            let unit = UnitFacts {
                exec_start: vec!["node".to_owned(), script],
                environment: vec![format!("OPENCLAW_SERVICE_VERSION={written}")],
                ..UnitFacts::default()
            };
            version_without_health(&unit).is_some()
        };
        for (package, written, expected) in [
            (Some("2026.2.24"), "", true),
            (Some("2026.2.26-beta.1"), "2026.9.4", true),
            (Some("2025.12.1"), "", true),
            (Some("2026.3.0"), "2026.2.24", false),
            (Some("2026.10.1"), "", false),
            (Some("what"), "", false),
            (None, "2026.2.24", true),
            (None, "2026.3.13", false),
            (None, "", false),
        ] {
            assert_eq!(without(package, written), expected, "{package:?} {written}");
        }
    }

    #[track_caller]
    fn check_script(arguments: &str, expected: Option<&str>) {
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        assert_eq!(script(&arguments), expected);
    }

    #[test]
    fn the_script_is_the_first_argument_that_names_one() {
        check_script(
            "--max-old-space-size=8192 /p/dist/index.js gateway",
            Some("/p/dist/index.js"),
        );
        check_script("/p/openclaw.mjs gateway", Some("/p/openclaw.mjs"));
        check_script("/p/entry.cjs /p/other.js", Some("/p/entry.cjs"));
        check_script("--import=/p/hook.mjs /p/index.js", Some("/p/index.js"));
        check_script("gateway --port 18789 /p/package.json", None);
    }
}
