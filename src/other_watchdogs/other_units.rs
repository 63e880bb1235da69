//! Units that act on the gateway: timers, services, and what systemd starts when the gateway fails.
//!
//! Owns which units count: those that run, or that something starts. Reads unit files and changes none.

use std::collections::BTreeSet;

use super::{
    deeds::Gateway,
    judge::{Judge, Verdict},
    unit_files::{UnitFiles, UnitText, started_by},
};

/// Units beyond these are not looked at.
const MAX_UNITS: usize = 1024;

/// What was found of a unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// What a human switches off.
    pub(super) unit: String,
    /// The command that acts on the gateway; none where its name alone speaks for it.
    pub(super) how: Option<String>,
    /// The file with `OnFailure=` or `OnSuccess=` that starts it, if it is one of the gateway's.
    pub(super) handler_of: Option<String>,
}

/// The units of one manager that act on the gateway, of those that are active by this list or that another unit wants.
pub(super) fn acting(
    files: &UnitFiles,
    active: &[String],
    gateway: &Gateway,
    gateway_unit: &str,
    judge: &mut Judge<'_>,
) -> Vec<Found> {
    let mut on: BTreeSet<String> = files.wanted();
    on.extend(active.iter().cloned());
    let mut found = handlers(files, gateway, gateway_unit, judge);
    let mut seen: BTreeSet<String> = found.iter().map(|it| it.unit.clone()).collect();
    seen.insert(gateway_unit.to_owned());
    // What starts a service is switched off, and not the service.
    let kinds = [".timer", ".path", ".service"];
    let in_turn = kinds
        .iter()
        .flat_map(|kind| on.iter().filter(move |it| it.ends_with(kind)));
    for name in in_turn.take(MAX_UNITS) {
        let Some(unit) = files.read(name) else {
            if active.contains(name) && !is_own(name) && gateway.sounds_like_a_watchdog(name) {
                found.push(Found {
                    unit: name.clone(),
                    how: None,
                    handler_of: None,
                });
            }
            continue;
        };
        let service = started_by(name, &unit);
        if is_own(name) || !seen.insert(service.clone()) {
            continue;
        }
        let started = if service == *name {
            Some(unit)
        } else {
            files.read(&service)
        };
        let how = match started {
            Some(service) => judged(name, &service, gateway, judge),
            None => gateway.sounds_like_a_watchdog(name).then_some(None),
        };
        found.extend(how.map(|how| Found {
            unit: name.clone(),
            how,
            handler_of: None,
        }));
    }
    found
}

/// What systemd starts when the gateway fails or ends.
fn handlers(
    files: &UnitFiles,
    gateway: &Gateway,
    gateway_unit: &str,
    judge: &mut Judge<'_>,
) -> Vec<Found> {
    let Some(unit) = files.read(gateway_unit) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for setting in ["OnFailure", "OnSuccess"] {
        let names = unit
            .all(setting)
            .into_iter()
            .flat_map(str::split_whitespace);
        for name in names.take(MAX_UNITS) {
            let how = files
                .read(name)
                .and_then(|handler| judged(name, &handler, gateway, judge));
            found.extend(how.map(|how| Found {
                unit: name.to_owned(),
                how,
                handler_of: Some(setting.to_owned()),
            }));
        }
    }
    found
}

/// Whether a service acts on the gateway, and by which command if that can be seen.
fn judged(
    name: &str,
    service: &UnitText,
    gateway: &Gateway,
    judge: &mut Judge<'_>,
) -> Option<Option<String>> {
    let around = format!("{name}\n{}", service.text);
    if service.is_packaged() && !gateway.is_named_in(&around) {
        return None;
    }
    let variables = service.variables();
    let mut worst = Verdict::Nothing;
    let mut looked_into = false;
    for command in service.commands() {
        let verdict = judge.command(command, &around, &variables);
        looked_into |= judge.looked_into();
        let is_loop = judge.loops();
        match verdict {
            // Another gateway, such as a profile's; one that is started again and again is a watchdog's.
            Verdict::Runs(_) if !is_loop => return None,
            Verdict::Runs(how) => worst = worst.max(Verdict::Acts(how)),
            other => worst = worst.max(other),
        }
    }
    let is_called = || {
        let descriptions = service.all("Description").join(" ");
        gateway.sounds_like_a_watchdog(name) || gateway.sounds_like_a_watchdog(&descriptions)
    };
    match worst {
        Verdict::Acts(how) | Verdict::Runs(how) => Some(Some(how)),
        Verdict::Perhaps => Some(None),
        Verdict::Nothing => (!looked_into && is_called()).then_some(None),
    }
}

fn is_own(name: &str) -> bool {
    name.starts_with("gatehound")
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new(files: &[(&str, &str)]) -> Self {
            let root = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = root.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }

        fn look(&self, active: &[&str]) -> Vec<(String, Option<String>)> {
            let gateway = Gateway::new("openclaw-gateway.service", None);
            let files = UnitFiles::new(vec![self.0.path().to_owned()], Path::new("/home/a"));
            let mut judge = Judge::new(&gateway, self.0.path());
            let active: Vec<String> = active.iter().map(|it| (*it).to_owned()).collect();
            let found = acting(
                &files,
                &active,
                &gateway,
                "openclaw-gateway.service",
                &mut judge,
            );
            found.into_iter().map(|it| (it.unit, it.how)).collect()
        }
    }

    const RESTART: &str = "[Service]\nExecStart=systemctl --user restart openclaw-gateway\n";

    fn restarts(unit: &str) -> (String, Option<String>) {
        let how = "systemctl --user restart openclaw-gateway";
        (unit.to_owned(), Some(how.to_owned()))
    }

    #[test]
    fn a_unit_that_acts_is_named_when_it_runs_or_something_starts_it() {
        let machine = Machine::new(&[
            ("a.service", RESTART),
            ("a.timer", "[Timer]\nOnBootSec=1\n"),
            ("b.service", RESTART),
        ]);
        assert_eq!(machine.look(&[]), []);
        assert_eq!(
            machine.look(&["a.timer", "a.service"]),
            [restarts("a.timer")]
        );
        assert_eq!(machine.look(&["b.service"]), [restarts("b.service")]);
        let link = machine.0.path().join("default.target.wants/b.service");
        fs::create_dir(link.parent().unwrap()).unwrap();
        fs::write(link, "").unwrap();
        assert_eq!(machine.look(&[]), [restarts("b.service")]);
    }

    #[test]
    fn what_systemd_starts_when_the_gateway_fails_is_named_if_it_restarts_it() {
        let handler = "[Service]\nExecStart=/bin/bash -c 'sleep 5; systemctl --user restart %i'\n";
        let machine = Machine::new(&[
            (
                "openclaw-gateway.service",
                "[Unit]\nOnFailure=say@%n.service again@%N.service\n",
            ),
            ("again@.service", handler),
            (
                "say@.service",
                "[Service]\nExecStart=/usr/bin/curl -d %i ntfy.sh/x\n",
            ),
        ]);
        assert_eq!(
            machine.look(&[]),
            [restarts("again@openclaw-gateway.service")]
        );
    }

    #[test]
    fn a_name_speaks_for_a_unit_only_where_nothing_can_be_looked_into() {
        let stand_in = "[Service]\nExecStart=/bin/true\n";
        let checks = "[Service]\nExecStart=/usr/bin/curl -sf localhost:18789/health\n";
        let machine = Machine::new(&[
            ("x-openclaw-healthcheck.service", stand_in),
            ("x-openclaw-healthcheck.timer", "[Timer]\n"),
            ("openclaw-health-check.service", checks),
            (
                "disk-watchdog.service",
                "[Service]\nExecStart=/bin/sleep infinity\n",
            ),
            ("gatehound-openclaw-restart.service", stand_in),
        ]);
        let on = [
            "x-openclaw-healthcheck.timer",
            "openclaw-health-check.service",
            "disk-watchdog.service",
            "gatehound-openclaw-restart.service",
        ];
        assert_eq!(
            machine.look(&on),
            [("x-openclaw-healthcheck.timer".to_owned(), None)]
        );
    }

    #[test]
    fn another_gateway_is_none_unless_a_loop_starts_it_again() {
        let machine = Machine::new(&[
            (
                "openclaw-gateway-work.service",
                "[Service]\nExecStart=/x/openclaw gateway --port 1\n",
            ),
            (
                "loop.service",
                "[Service]\nExecStart=sh -c 'while true; do openclaw gateway; done'\n",
            ),
            (
                "openclaw-gateway.service",
                "[Service]\nExecStartPre=pkill -f openclaw\n",
            ),
        ]);
        let on = [
            "openclaw-gateway-work.service",
            "loop.service",
            "openclaw-gateway.service",
        ];
        let how = Some("openclaw gateway".to_owned());
        assert_eq!(machine.look(&on), [("loop.service".to_owned(), how)]);
    }
}
