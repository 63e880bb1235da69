//! What one check of the gateway shows: its health, its port, its configuration, a pause, its version.
//!
//! Judges what was seen; apart from the gateway's version and its openclaw.json it looks at nothing itself.

use std::path::Path;

use super::{
    Around, config_file, defects::of_version, findings::Findings, surroundings::manager_fix,
};
use crate::{
    cli::gateway_unit,
    daemon::{look::Seen, trouble},
    policy::facts::{Failure, Health},
    probe::{readiness, update},
    settings::limits::READY_LIMIT,
    text::{
        line::Line,
        words::{Names, asked, span, useless_command},
    },
};

/// What one check shows: health, port, pause, version.
pub(super) fn of_look(findings: &mut Findings, seen: &Seen, around: &Around<'_>) {
    let profile = around.names.profile;
    match &seen.look.health {
        Health::Healthy(took) => {
            findings.fine(
                "gateway",
                &format!(
                    "healthy, {} {}",
                    asked(seen.look.without_health),
                    span(*took)
                ),
            );
        }
        Health::Failing(failure) => failing(findings, seen, failure, around),
        Health::Unknown(why) => {
            let fix = match &seen.look.unit {
                Ok(_) => format!("gatehound check{profile}"),
                Err(_) => manager_fix(),
            };
            let what = format!("cannot tell how it is: {why}");
            findings.warning("gateway", &what, fix);
        }
        Health::NotProbed => {}
    }
    let is_whole = config_file::config(findings, seen, around);
    port(findings, seen, around, is_whole);
    if let Some(port_holder) = &seen.look.port_holder {
        let helps = gateway_unit::serving(seen.found.port);
        let helps = helps.as_ref().and_then(gateway_unit::remedy);
        let fix = helps.unwrap_or_else(|| {
            format!(
                "stop that process; or give the gateway another port in openclaw.json, \
                 then: openclaw{profile} gateway install --force"
            )
        });
        findings.problem("port", &format!("held by {port_holder}"), fix);
    }
    let flag = &around.settings.pause.flag_file;
    let rm = if flag.is_dir() { "rm -r" } else { "rm" };
    let rm = format!("{rm} {}", flag.display());
    let of_flag = Line::new(&format!("flag file {}", flag.display()));
    for warning in &seen.warnings {
        let (about, fix) = if warning.as_str().starts_with(of_flag.as_str()) {
            ("pause", rm.clone())
        } else {
            ("look", format!("gatehound check{profile}"))
        };
        findings.warning(about, warning.as_str(), fix);
    }
    if let Some(pause) = &seen.look.pause {
        let resume = format!("gatehound resume{profile}");
        let fix = match pause.remaining {
            Some(_) => resume,
            None if pause.reason == of_flag => rm,
            None => format!("{rm}; {resume}"),
        };
        findings.warning("pause", &format!("paused: {}", pause.reason), fix);
    }
    let answers = seen.target();
    let version = answers.and_then(|target| readiness::version(&target, READY_LIMIT));
    let arguments = seen.look.unit.as_ref().map(|unit| &unit.exec_start[..]);
    match version.or_else(|| update::installed_version(arguments.unwrap_or_default())) {
        Some(version) => of_version(findings, &version),
        None => findings.fine("version", "gateway version unknown"),
    }
}

/// A gateway that is healthy, and part of it does not work.
pub(super) fn degraded(findings: &mut Findings, what: &Line, profile: &str) {
    let fix = useless_command(what.as_str(), profile);
    let what = format!("up, but part of it does not work: {what}");
    findings.problem("gateway", &what, fix);
}

/// A gateway that fails, by what its unit says of it.
fn failing(findings: &mut Findings, seen: &Seen, failure: &Failure, around: &Around<'_>) {
    let Names { unit, profile } = around.names;
    let (probe, reason) = (failure.probe.name(), &failure.reason);
    let (what, fix) = match &seen.look.unit {
        // That there is no unit is a finding already, with what fixes it.
        Ok(facts) if facts.load_state != "loaded" => (
            format!("failing, {probe}: {reason}"),
            format!("gatehound check{profile}"),
        ),
        Ok(facts) if trouble::is_refusal(facts) => {
            let said = seen.look.last_words.as_ref();
            let said = said.map_or_else(String::new, |said| format!(": {said}"));
            (
                format!("{unit} refuses its configuration, exit status 78{said}"),
                around.restore_and_start(),
            )
        }
        Ok(facts) if ["inactive", "failed"].contains(&facts.active_state.as_str()) => (
            format!("{unit} is {}, so {reason}", facts.active_state),
            format!("systemctl --user start {unit}"),
        ),
        // Whoever holds the port is a finding of its own, with what fixes it.
        _ if seen.look.port_holder.is_some() => (
            format!("failing, {probe}: {reason}"),
            format!("gatehound status{profile} says what is done"),
        ),
        _ => (
            format!("failing, {probe}: {reason}"),
            format!(
                "gatehound status{profile} says what is done; at once: systemctl --user restart {unit}"
            ),
        ),
    };
    findings.problem("gateway", &what, fix);
}

/// Whether all who name a port name the same; `is_whole` is false where openclaw.json has been complained of.
fn port(findings: &mut Findings, seen: &Seen, around: &Around<'_>, is_whole: bool) {
    let Names { unit, profile } = around.names;
    let (found, set) = (&seen.found, around.settings.gateway.port);
    let file = found
        .config_path
        .as_deref()
        .unwrap_or(Path::new("openclaw.json"));
    let file = file.display();
    let port = found.port;
    if let (Some(by_unit), Some(by_file)) = (found.by_unit, found.by_file)
        && by_unit != by_file
        && port == by_unit
    {
        findings.warning(
            "port",
            &format!("{unit} says {by_unit}, which is in force, and {file} says {by_file}"),
            format!(
                "openclaw{profile} gateway install --force, or make gateway.port {by_unit} there"
            ),
        );
    }
    let served = found.by_unit.or(found.by_file);
    if let (Some(set), Some(served)) = (set, served)
        && set != served
    {
        findings.warning(
            "port",
            &format!("Gatehound's own gateway.port is {set}, which is watched, and the gateway's is {served}"),
            format!("remove it from where gatehound settings show{profile} says it is"),
        );
    }
    let by = match (set, found.by_unit, found.by_file) {
        (Some(_), ..) => "Gatehound's gateway.port",
        (None, Some(one), Some(other)) if one == other => "unit and configuration",
        (None, Some(_), _) => "the unit",
        (None, None, Some(_)) => "the configuration",
        (None, None, None) if found.profile.is_some() => "the profile's name",
        (None, None, None) => "default",
    };
    let is_named = set.or(found.by_unit).is_some();
    let answers = matches!(seen.look.health, Health::Healthy(_));
    match &found.problem {
        // What answers in good health on a port that is named has neither another port nor another TLS.
        Some(problem) if is_whole && !(is_named && answers) => {
            findings.warning("port", problem.as_str(), config_file::settings_for(found))
        }
        _ if port == found.expected => findings.fine("port", &format!("{port}, by {by}")),
        _ => {
            let expected = found.expected;
            let what = format!("{port}, where the unit listens; {expected} was expected by {by}");
            findings.fine("port", &what);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::{
        cli::doctor::findings::{Finding, Severity},
        os::folders::Variables,
        policy::facts::{Look, Monotonic, Pause, Probe, Stall, UnitFacts},
        probe::gateway::Finder,
        settings::Settings,
    };

    const UNIT: &str = "openclaw-gateway-work.service";

    /// A home with this openclaw.json, and a unit of the profile `work` that names this port.
    struct World {
        home: tempfile::TempDir,
        settings: Settings,
        unit: UnitFacts,
        health: Health,
        pause: Option<Pause>,
        known_good: bool,
        /// The port on which the unit listens, where that is another one.
        elsewhere: Option<u16>,
    }

    impl World {
        fn new(openclaw_json: &str, port: &str) -> Self {
            let home = tempfile::tempdir().unwrap();
            let folder = home.path().join(".openclaw-work");
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("openclaw.json"), openclaw_json).unwrap();
            let exec_start = format!("/node /p/dist/index.js gateway {port}");
            let unit = UnitFacts {
                load_state: "loaded".to_owned(),
                active_state: "active".to_owned(),
                exec_start: exec_start.split(' ').map(str::to_owned).collect(),
                ..UnitFacts::default()
            };
            Self {
                home,
                settings: Settings::default(),
                unit,
                health: Health::Healthy(Duration::from_millis(3)),
                pause: None,
                known_good: true,
                elsewhere: None,
            }
        }

        fn down(state: &str, status: i32) -> Self {
            let mut world = Self::new("{}", "--port 18789");
            world.health = Health::Failing(Failure {
                probe: Probe::Port,
                reason: "nothing listens on port 18789".into(),
                stall: Stall::Gone,
                detail: Line::default(),
            });
            world.unit.active_state = state.to_owned();
            world.unit.exec_main_status = status;
            world
        }

        fn findings(&self) -> Vec<Finding> {
            let variables = Variables::from([("HOME".into(), self.home.path().into())]);
            let mut finder = Finder::new(&variables);
            let mut found = finder.find(&self.settings, UNIT, Some(&self.unit));
            found.port = self.elsewhere.unwrap_or(found.port);
            let seen = Seen {
                look: Look {
                    began: Monotonic(0),
                    unit: Ok(self.unit.clone()),
                    foreign_job: false,
                    joined: 0,
                    pause: self.pause.clone(),
                    update: None,
                    last_words: Some("Gateway start blocked".into()),
                    remedy: None,
                    config: None,
                    debugged: false,
                    frozen: false,
                    listens: Line::default(),
                    port_holder: None,
                    left_over: None,
                    without_health: false,
                    progress: None,
                    ran_after: None,
                    health: self.health.clone(),
                },
                warnings: Vec::new(),
                found,
                address: None,
                needs: Vec::new(),
            };
            let around = Around {
                names: Names {
                    unit: UNIT,
                    profile: " --profile work",
                },
                settings: &self.settings,
                known_good: self.known_good,
            };
            let mut findings = Findings::default();
            of_look(&mut findings, &seen, &around);
            findings.0
        }

        /// Holds that of one thing this is found, with this to fix it.
        #[track_caller]
        fn check(&self, about: &str, severity: Severity, what: &str, fix: &str) {
            let found = self.findings();
            let fits = |one: &Finding| {
                one.about == about
                    && one.severity == severity
                    && one.what.as_str().contains(what)
                    && one.fix.as_deref().unwrap_or_default().contains(fix)
                    && (fix != DIFF || one.fix.as_deref() == Some(DIFF))
            };
            assert!(found.iter().any(fits), "{found:#?}");
        }
    }

    /// Alone, for what may be right all the same.
    const DIFF: &str = "gatehound snapshot diff --profile work";

    const RESTORE: &str =
        "gatehound snapshot diff --profile work; gatehound snapshot restore --yes --profile work";

    #[test]
    fn two_ports_are_both_told_and_which_is_in_force() {
        let world = World::new("{gateway: {port: 20000}}", "--port 18789");
        let what = format!("{UNIT} says 18789, which is in force, and ");
        let fix = "openclaw --profile work gateway install --force";
        world.check("port", Severity::Warning, &what, fix);
        world.check(
            "port",
            Severity::Warning,
            "openclaw.json says 20000",
            "18789",
        );
        let mut own = World::new("{gateway: {port: 18789}}", "--port 18789");
        own.check(
            "port",
            Severity::Fine,
            "18789, by unit and configuration",
            "",
        );
        own.settings.gateway.port = Some(7);
        own.check(
            "port",
            Severity::Warning,
            "gateway.port is 7, ",
            "gatehound settings show",
        );
        let unit = World::new("{}", "--port=18789");
        unit.check("port", Severity::Fine, "18789, by the unit", "");
        let file = World::new("{gateway: {port: 20000}}", "");
        file.check("port", Severity::Fine, "20000, by the configuration", "");
        let name = World::new("{}", "");
        name.check("port", Severity::Fine, ", by the profile's name", "");
    }

    #[test]
    fn a_port_that_nobody_names_is_said_to_be_the_units_own() {
        let mut world = World::new("{gateway: {port: 20000}}", "--port 18789");
        world.elsewhere = Some(21000);
        let what = "21000, where the unit listens; 18789 was expected by the unit";
        world.check("port", Severity::Fine, what, "");
        let warned = world.findings();
        assert!(
            warned
                .iter()
                .all(|one| one.about != "port" || one.severity == Severity::Fine)
        );
    }

    #[test]
    fn an_include_is_of_no_matter_where_the_unit_names_the_port() {
        let include = "{gateway: {$include: './a.json'}}";
        let with_include = |port| {
            let world = World::new(include, port);
            fs::write(world.home.path().join(".openclaw-work/a.json"), "{}").unwrap();
            world
        };
        with_include("--port 18789").check("port", Severity::Fine, "18789, by the unit", "");
        let guessed = with_include("");
        guessed.check(
            "port",
            Severity::Warning,
            "$include is not followed",
            "[gateway]",
        );
    }

    #[test]
    fn a_configuration_that_the_next_start_refuses_is_a_problem_with_what_restores_it() {
        for (text, what) in [("{", "not JSON5"), ("{gateway: {port: 'x'}}", "not a port")] {
            let mut world = World::new(text, "--port 18789");
            world.check("config", Severity::Problem, what, RESTORE);
            world.check("port", Severity::Fine, "18789, by the unit", "");
            world.known_good = false;
            let fix = "openclaw --profile work doctor --fix";
            world.check("config", Severity::Problem, what, fix);
        }
    }

    #[test]
    fn a_configuration_of_which_a_part_is_missing_is_a_warning() {
        let world = World::new("{$include: './a.json'}", "--port 18789");
        world.check("config", Severity::Warning, "a.json: no such file", DIFF);
        let mut none = World::new("{}", "--port 18789");
        fs::remove_dir_all(none.home.path().join(".openclaw-work")).unwrap();
        none.check("config", Severity::Warning, "no such file", DIFF);
        none.known_good = false;
        none.check(
            "config",
            Severity::Warning,
            "no such file",
            "openclaw --profile work setup",
        );
    }

    #[test]
    fn a_gateway_that_is_down_is_told_with_what_starts_it() {
        let start = format!("systemctl --user start {UNIT}");
        for state in ["inactive", "failed"] {
            let what = format!("{UNIT} is {state}, so nothing listens on port 18789");
            World::down(state, 0).check("gateway", Severity::Problem, &what, &start);
        }
        let refused = World::down("failed", 78);
        let what = "exit status 78: Gateway start blocked";
        let fix = RESTORE.replace("--yes", "--yes --start");
        refused.check("gateway", Severity::Problem, what, &fix);
        let hung = World::down("active", 0);
        let fix = format!("systemctl --user restart {UNIT}");
        hung.check("gateway", Severity::Problem, "failing, port: ", &fix);
    }

    #[test]
    fn a_pause_is_told_with_what_ends_it() {
        let mut world = World::new("{}", "--port 18789");
        let flag = "/tmp/openclaw-maintenance";
        for (reason, remaining, fix) in [
            (
                "disk",
                Some(Duration::from_secs(9)),
                "gatehound resume --profile work",
            ),
            (
                "flag file /tmp/openclaw-maintenance",
                None,
                "rm /tmp/openclaw-maintenance",
            ),
            (
                "disk; flag file …",
                None,
                "rm /tmp/openclaw-maintenance; gatehound resume",
            ),
        ] {
            assert_eq!(world.settings.pause.flag_file, Path::new(flag));
            world.pause = Some(Pause {
                reason: reason.into(),
                remaining,
            });
            world.check("pause", Severity::Warning, reason, fix);
        }
    }
}
