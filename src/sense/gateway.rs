//! Where the gateway is: its unit's name and its port, found without settings in an ordinary installation.
//!
//! Pure: it reads what the unit says and asks nobody.

use crate::decide::{facts::UnitFacts, settings::Settings};

/// The gateway's port where nothing else is said.
pub const DEFAULT_PORT: u16 = 18789;

/// The unit of the gateway of a profile; `default` is no profile.
pub fn unit_name(settings: &Settings, profile: Option<&str>) -> String {
    if let Some(unit) = &settings.gateway.unit {
        return unit.clone();
    }
    match profile {
        None | Some("default") => "openclaw-gateway.service".to_owned(),
        Some(profile) => format!("openclaw-gateway-{profile}.service"),
    }
}

/// The port: the setting, else `--port` of ExecStart, else `OPENCLAW_GATEWAY_PORT` of the unit, else 18789.
///
/// That is the gateway's own order, because the installed unit passes the port in both places.
pub fn port(settings: &Settings, unit: Option<&UnitFacts>) -> u16 {
    let found = || {
        unit.and_then(|unit| {
            port_of_command(&unit.exec_start).or_else(|| port_of_environment(&unit.environment))
        })
    };
    settings.gateway.port.or_else(found).unwrap_or(DEFAULT_PORT)
}

fn port_of_command(arguments: &[String]) -> Option<u16> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--port" {
            return arguments.next().and_then(|value| parse(value));
        }
        if let Some(value) = argument.strip_prefix("--port=") {
            return parse(value);
        }
    }
    None
}

fn port_of_environment(assignments: &[String]) -> Option<u16> {
    let value = assignments
        .iter()
        .rev()
        .find_map(|one| one.strip_prefix("OPENCLAW_GATEWAY_PORT="))?;
    // The gateway accepts `host:port` there.
    parse(value.rsplit(':').next().unwrap_or(value))
}

fn parse(value: &str) -> Option<u16> {
    value.trim().parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(exec_start: &[&str], environment: &[&str]) -> UnitFacts {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        UnitFacts {
            exec_start: owned(exec_start),
            environment: owned(environment),
            ..UnitFacts::default()
        }
    }

    #[track_caller]
    fn check(exec_start: &[&str], environment: &[&str], expected: u16) {
        assert_eq!(
            port(&Settings::default(), Some(&unit(exec_start, environment))),
            expected
        );
    }

    #[test]
    fn the_command_line_goes_before_the_environment_before_the_default() {
        check(
            &["node", "index.js", "gateway", "--port", "19000"],
            &["OPENCLAW_GATEWAY_PORT=19001"],
            19000,
        );
        check(&["node", "index.js", "gateway", "--port=19000"], &[], 19000);
        check(
            &["node", "index.js", "gateway"],
            &["OPENCLAW_GATEWAY_PORT=19001"],
            19001,
        );
        check(&["node"], &["OPENCLAW_GATEWAY_PORT=127.0.0.1:19002"], 19002);
        check(&[], &[], DEFAULT_PORT);
    }

    #[test]
    fn a_port_that_is_none_is_passed_over() {
        check(
            &["gateway", "--port"],
            &["OPENCLAW_GATEWAY_PORT=19001"],
            19001,
        );
        check(
            &["gateway", "--port", "0"],
            &["OPENCLAW_GATEWAY_PORT=x"],
            DEFAULT_PORT,
        );
        check(&["gateway", "--port", "70000"], &[], DEFAULT_PORT);
    }

    #[test]
    fn a_setting_goes_before_everything() {
        let mut settings = Settings::default();
        settings.gateway.port = Some(7);
        assert_eq!(port(&settings, Some(&unit(&["--port", "8"], &[]))), 7);
        assert_eq!(port(&Settings::default(), None), DEFAULT_PORT);
    }

    #[test]
    fn a_profile_names_its_unit() {
        let settings = Settings::default();
        assert_eq!(unit_name(&settings, None), "openclaw-gateway.service");
        assert_eq!(
            unit_name(&settings, Some("default")),
            "openclaw-gateway.service"
        );
        assert_eq!(
            unit_name(&settings, Some("work")),
            "openclaw-gateway-work.service"
        );
    }
}
