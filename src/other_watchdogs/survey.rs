//! Who else acts on the gateway, as far as files and managers say: the one definition for daemon, `install` and `doctor`.
//!
//! Owns where is looked and what is said of each find; the user's own crontab is `finding.rs`'s, because only a program
//! with the group's rights may list it. Looks only.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::mpsc::Receiver,
};

use super::{
    crontab::Job,
    deeds::Gateway,
    judge::Judge,
    other_units::{self, acting},
    supervisors, system_cron,
    unit_files::{self, UnitFiles},
};
use crate::{
    os::{
        folders::{self, Variables},
        worker,
    },
    settings::limits::MANAGER_LIMIT,
    systemd::UserManager,
    text::line::Line,
};

/// Where the system manager is asked.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// What of the units of a manager may act by themselves.
const KINDS: [&str; 3] = ["*.timer", "*.path", "*.service"];

/// What another watchdog was found to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OtherWatchdog {
    /// `cron` or `other-watchdog`, as `doctor` sorts them.
    pub(crate) about: &'static str,
    pub(crate) what: String,
    pub(crate) fix: String,
}

/// Where is looked, and for which gateway.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    /// The root of the file system.
    root: PathBuf,
    pub(crate) home: PathBuf,
    user_folders: Vec<PathBuf>,
    unit: String,
    pub(crate) gateway: Gateway,
}

impl Around {
    /// For the gateway of this unit, on this port if one is set, and the user with these variables.
    pub(crate) fn new(variables: &Variables, unit: &str, port: Option<u16>) -> Self {
        let home = variables
            .get(OsStr::new("HOME"))
            .map(PathBuf::from)
            .unwrap_or_default();
        let config = folders::config(variables).unwrap_or_default();
        let config = config.parent().unwrap_or(&home).to_owned();
        let data = folders::data(variables, &home);
        let runtime = variables
            .get(OsStr::new("XDG_RUNTIME_DIR"))
            .map(PathBuf::from);
        let root = PathBuf::from("/");
        Self {
            user_folders: unit_files::of_user(&home, &config, &data, runtime.as_deref(), &root),
            root,
            home,
            unit: unit.to_owned(),
            gateway: Gateway::new(unit, port),
        }
    }

    /// All that is found; the manager says which units are active.
    pub(crate) fn survey(&self, manager: Option<&mut UserManager>) -> Vec<OtherWatchdog> {
        let of_user = manager.map(active).unwrap_or_default();
        let system = UserManager::new(Some(SYSTEM_BUS.to_owned()), MANAGER_LIMIT);
        let of_system = system
            .map(|mut manager| active(&mut manager))
            .unwrap_or_default();
        self.survey_given(&of_user, &of_system)
    }

    fn survey_given(&self, of_user: &[String], of_system: &[String]) -> Vec<OtherWatchdog> {
        let mut judge = Judge::new(&self.gateway, &self.home);
        let etc = self.root.join("etc");
        let cron = system_cron::of_system(&etc, &mut judge);
        let mut found: Vec<OtherWatchdog> = cron.into_iter().map(cron_file).collect();
        for (folders, active, scope) in [
            (self.user_folders.clone(), of_user, Scope::User),
            (unit_files::of_system(&self.root), of_system, Scope::System),
        ] {
            let files = UnitFiles::new(folders, &self.home);
            // The gateway's handlers are those of its own manager.
            let gateway = match scope {
                Scope::User => self.unit.as_str(),
                Scope::System => "",
            };
            let units = acting(&files, active, &self.gateway, gateway, &mut judge);
            found.extend(units.into_iter().map(|unit| self.unit(unit, scope)));
        }
        let monit = supervisors::of_monit(&etc, &self.home, &mut judge);
        found.extend(monit.into_iter().map(|(path, how)| {
            let fix = format!("take it out of {}, then: sudo monit reload", path.display());
            file("other-watchdog", &path, &how, fix)
        }));
        let supervisord = supervisors::of_supervisord(&etc, &mut judge);
        found.extend(supervisord.into_iter().map(|(path, how)| {
            let fix = format!(
                "take it out of {}, then: sudo supervisorctl update",
                path.display()
            );
            file("other-watchdog", &path, &how, fix)
        }));
        found
    }

    fn unit(&self, found: other_units::Found, scope: Scope) -> OtherWatchdog {
        let other_units::Found {
            unit,
            how,
            handler_of,
        } = found;
        let off = match scope {
            Scope::User => format!("systemctl --user disable --now {unit}"),
            Scope::System => format!("sudo systemctl disable --now {unit}"),
        };
        let (what, fix) = match (how, handler_of) {
            (how, Some(setting)) => {
                let gateway = &self.unit;
                let does = how.map_or_else(String::new, |how| format!("; it does: {how}"));
                (
                    format!(
                        "{setting}= of {gateway} starts {unit}, another watchdog of the gateway{does}"
                    ),
                    format!(
                        "remove {setting}={unit} from the unit or its drop-in: systemctl --user cat {gateway} shows where"
                    ),
                )
            }
            (Some(how), None) => (
                format!("{unit} is another watchdog of the gateway; it does: {how}"),
                off,
            ),
            (None, None) => (
                format!("{unit} may be another watchdog of the gateway, by its name"),
                format!("if it is one: {off}"),
            ),
        };
        OtherWatchdog {
            about: "other-watchdog",
            what,
            fix,
        }
    }
}

/// Begins to look, where nobody may wait for the disk; what is found arrives as lines.
///
/// # Errors
///
/// No thread can be started.
pub(crate) fn begin(around: Around) -> Result<Receiver<Vec<Line>>, Line> {
    worker::begin("other-watchdogs", "look for other watchdogs", move || {
        let mut manager = UserManager::new(None, MANAGER_LIMIT).ok();
        let found = around.survey(manager.as_mut()).into_iter();
        found.map(|one| Line::new(&one.what)).collect()
    })
}

#[derive(Clone, Copy)]
enum Scope {
    User,
    System,
}

/// The units that are active; none where the manager cannot be asked.
fn active(manager: &mut UserManager) -> Vec<String> {
    let mut all = Vec::new();
    for kind in KINDS {
        match manager.active_units(kind) {
            Ok(units) => all.extend(units),
            Err(_) => return all,
        }
    }
    all
}

fn cron_file(found: system_cron::Found) -> OtherWatchdog {
    let path = found.path.display();
    let Some(line) = found.line else {
        return match found.job {
            Job::Acts(how) => file(
                "cron",
                &found.path,
                &how,
                format!("remove it: sudo rm {path}"),
            ),
            Job::Perhaps | Job::Watchdog => OtherWatchdog {
                about: "cron",
                what: format!("{path} may start another watchdog of the gateway"),
                fix: format!("if it does: sudo rm {path}"),
            },
        };
    };
    let (what, fix) = in_line(&format!("a cron job of {path}"), &found.job, &line);
    OtherWatchdog {
        about: "cron",
        what,
        fix: format!("{fix}: sudoedit {path}"),
    }
}

/// What is said of a line of a crontab, and what a human does about it.
pub(super) fn in_line(whose: &str, job: &Job, line: &Line) -> (String, &'static str) {
    match job {
        Job::Acts(how) => {
            let does = if line.as_str().contains(how.as_str()) {
                String::new()
            } else {
                format!("; it does: {how}")
            };
            (
                format!("{whose} is another watchdog of the gateway: {line}{does}"),
                "remove the line",
            )
        }
        Job::Perhaps | Job::Watchdog => (
            format!("{whose} may be another watchdog of the gateway: {line}"),
            "if it is one, remove the line",
        ),
    }
}

fn file(about: &'static str, path: &Path, how: &str, fix: String) -> OtherWatchdog {
    OtherWatchdog {
        about,
        what: format!(
            "{} has another watchdog of the gateway; it does: {how}",
            path.display()
        ),
        fix,
    }
}
