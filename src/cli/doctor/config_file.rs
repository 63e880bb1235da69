//! The gateway's configuration as its next start finds it: whole, of a size that is read, and with a mode.
//!
//! Reads openclaw.json and the files it includes; shows no value of theirs but port and TLS.

use serde_json::Value;

use super::{
    Around,
    findings::{Findings, Severity},
};
use crate::{
    daemon::look::Seen,
    probe::{
        gateway::Found,
        openclaw_files::{self, ConfigFile},
        openclaw_json::{self, MAX_FILE},
    },
};

/// With this argument the gateway starts whatever its mode.
const WITHOUT_MODE: &str = "--allow-unconfigured";

/// Whether the next start of the gateway finds a configuration that it can read; what is wrong with it becomes a finding.
pub(super) fn config(findings: &mut Findings, seen: &Seen, around: &Around<'_>) -> bool {
    let Some(place) = seen.found.place() else {
        return false;
    };
    // What is wrong with the file itself, a value of the wrong kind too; an include is nothing wrong.
    let problem = seen.found.problem.clone().filter(|_| !seen.found.includes);
    let severity = match problem {
        Some(_) if place.path.exists() => Severity::Problem,
        // The gateway may be set to include from other folders, or to do without a file.
        _ => Severity::Warning,
    };
    let profile = around.names.profile;
    let size = place.path.metadata().map_or(0, |metadata| metadata.len());
    if MAX_FILE < size {
        // The gateway has no such limit.
        let what = format!(
            "{} has more than {} MiB, which is Gatehound's own limit and not the gateway's; it is not read",
            place.path.display(),
            MAX_FILE >> 20
        );
        findings.warning("config", &what, SETTINGS);
        return false;
    }
    let why = match openclaw_files::read(&place) {
        Ok(files) => {
            let Some(why) = problem else {
                mode(findings, seen, around, &files);
                return true;
            };
            why
        }
        Err(why) => why,
    };
    let fix = match severity {
        // It may be right all the same: then an older one would only do harm.
        Severity::Warning if around.known_good => format!("gatehound snapshot diff{profile}"),
        Severity::Warning if !place.path.exists() => format!("openclaw{profile} setup"),
        _ => around.restore(),
    };
    let what = format!("{why}; the gateway's next start may refuse that");
    findings.add("config", severity, &what, Some(fix));
    false
}

/// What helps where the configuration says something that is not understood.
const SETTINGS: &str = "write port = … and tls = … as they are in there under [gateway] of ~/.config/gatehound/config.toml";

/// The settings of Gatehound's that stand for what an included file says.
pub(super) fn settings_for(found: &Found) -> String {
    let files = found
        .place()
        .and_then(|place| openclaw_files::read(&place).ok());
    let included = files
        .as_deref()
        .and_then(|files| files.get(1..))
        .unwrap_or_default();
    let values: Vec<Value> = included.iter().filter_map(value).collect();
    // An included file is of the whole or of the table `gateway`.
    let of = |path: &str, inner: &str| {
        let mut all = values.iter();
        all.find_map(|value| {
            value
                .pointer(path)
                .or_else(|| value.pointer(inner))
                .cloned()
        })
    };
    let port = of("/gateway/port", "/port").and_then(|port| u16::try_from(port.as_u64()?).ok());
    let tls = of("/gateway/tls/enabled", "/tls/enabled").and_then(|tls| tls.as_bool());
    match (port, tls) {
        (None, None) => SETTINGS.to_owned(),
        (port, tls) => {
            let port = port.map_or_else(String::new, |port| format!("port = {port}"));
            let tls = tls.map_or_else(String::new, |tls| format!("tls = {tls}"));
            let and = if port.is_empty() || tls.is_empty() {
                ""
            } else {
                " and "
            };
            format!("write {port}{and}{tls} under [gateway] of ~/.config/gatehound/config.toml")
        }
    }
}

/// A mode that is missing or not this machine's, with which current versions of the gateway end with status 78.
fn mode(findings: &mut Findings, seen: &Seen, around: &Around<'_>, files: &[ConfigFile]) {
    let unit = seen.look.unit.as_ref();
    let is_excused = unit.is_ok_and(|unit| unit.exec_start.iter().any(|word| word == WITHOUT_MODE));
    let values: Vec<Value> = files.iter().filter_map(value).collect();
    let Some((first, included)) = values.split_first().filter(|_| !is_excused) else {
        return;
    };
    let of_table = |value: &Value| value.pointer("/gateway/mode").cloned();
    let mode = of_table(first).or_else(|| {
        included
            .iter()
            .find_map(|value| of_table(value).or_else(|| value.get("mode").cloned()))
    });
    let what = match mode.as_ref().map(Value::as_str) {
        Some(Some("local")) => return,
        None => "has no gateway.mode",
        Some(Some("remote")) => "has gateway.mode \"remote\", as for a gateway on another machine",
        Some(_) => "has a gateway.mode that is not \"local\"",
    };
    let path = files
        .first()
        .map(|file| file.path.display().to_string())
        .unwrap_or_default();
    let what =
        format!("{path} {what}: current versions of the gateway end with exit status 78 then");
    let fix = format!(
        "openclaw{} config set gateway.mode local",
        around.names.profile
    );
    findings.warning("config", &what, fix);
}

fn value(file: &ConfigFile) -> Option<Value> {
    openclaw_json::value(&file.bytes).ok()
}
