//! What `--json` prints: one type for each command, with the version that all of them carry.
//!
//! Owns the keys and what they mean, which scripts rely on; knows nothing of how the commands find it out.
//! `units/gatehound.schema.json` and the section JSON of gatehound(1) are made of this file, by the test at its end.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::console;
use crate::{policy::facts, text::line::Line};

/// A script that reads this version keeps working: keys are added to it, and none changes its meaning or goes.
const VERSION: u32 = 1;

/// Prints an answer in lines.
pub(crate) fn say<T: Serialize>(answer: &T) {
    console::say_json(&format!("{:#}", versioned(answer)));
}

/// An answer as one line, for those that follow each other.
pub(crate) fn short<T: Serialize>(answer: &T) -> String {
    console::in_clean_lines(&versioned(answer).to_string()) + "\n"
}

fn versioned<T: Serialize>(answer: &T) -> Value {
    let mut value = serde_json::to_value(answer).unwrap_or_default();
    if let Some(keys) = value.as_object_mut() {
        keys.insert("version".to_owned(), VERSION.into());
    }
    value
}

/// gatehound check --json
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Check {
    /// Whether the gateway works: healthy, failing or unknown.
    pub(crate) health: &'static str,
    /// The same in words.
    pub(crate) detail: String,
    /// The probe that failed: port, http or health.
    pub(crate) probe: Option<&'static str>,
    /// What it saw, or why nothing can be said.
    pub(crate) reason: Option<Line>,
    /// What the failing gateway's process is doing, as in gatehound.service(8).
    pub(crate) stall: Option<&'static str>,
    /// The same in a sentence, where there is more to say.
    pub(crate) stall_detail: Option<Line>,
    /// What of the healthy gateway does not work.
    pub(crate) degraded: Option<Line>,
    /// The gateway's unit.
    pub(crate) unit: String,
    /// Its state in systemd's words.
    pub(crate) unit_state: String,
    /// The gateway's port.
    pub(crate) port: u16,
    /// The port that settings, unit or openclaw.json name.
    pub(crate) expected_port: u16,
    /// Where it was asked, if anything listens.
    pub(crate) address: Option<String>,
    /// Whether it was asked over TLS.
    pub(crate) tls: bool,
    /// The gateway's profile.
    pub(crate) profile: Option<String>,
    /// The path of openclaw.json.
    pub(crate) config: Option<String>,
    /// Why openclaw.json says less than it could.
    pub(crate) config_problem: Option<Line>,
    /// Who is in the way of the port.
    pub(crate) port_holder: Option<Line>,
    /// The pause that is in force.
    pub(crate) pause: Option<Pause>,
    /// What is unclear.
    pub(crate) warnings: Vec<Line>,
}

/// A pause.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Pause {
    /// Why, in a human's words, or which file says so.
    pub(crate) reason: Line,
    /// How long it lasts yet; null until its file is removed.
    pub(crate) remaining_seconds: Option<u64>,
}

impl From<&facts::Pause> for Pause {
    fn from(pause: &facts::Pause) -> Self {
        Self {
            reason: pause.reason.clone(),
            remaining_seconds: pause.remaining.map(|left| left.as_secs()),
        }
    }
}

/// gatehound status --json
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Status {
    /// Gatehound's own unit.
    pub(crate) gatehound: OwnUnit,
    /// The gateway's unit.
    pub(crate) gateway: GatewayUnit,
    /// The phase, as in gatehound.service(8).
    pub(crate) phase: Option<&'static str>,
    /// Why Gatehound stands by, as in gatehound.service(8).
    pub(crate) standby: Option<&'static str>,
    /// The pause that is in force.
    pub(crate) pause: Option<Pause>,
    /// The incident that is not over.
    pub(crate) incident: Option<OpenIncident>,
    /// What of the healthy gateway does not work.
    pub(crate) degraded: Option<Line>,
    /// How many attempts are used.
    pub(crate) attempts: Option<usize>,
    /// The last that the gateway said, while an incident is open.
    pub(crate) said_last: Option<Line>,
    /// When the last check was, in UTC.
    pub(crate) last_check: Option<String>,
    /// When the next check is at the latest, in UTC, where that can be told.
    pub(crate) next_check: Option<String>,
    /// When Gatehound, which gave up, tries again by itself, in UTC.
    pub(crate) next_try: Option<String>,
}

/// Gatehound's unit.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct OwnUnit {
    /// Its name.
    pub(crate) unit: String,
    /// Its state in systemd's words.
    pub(crate) state: String,
    /// Its status line.
    pub(crate) status: Option<Line>,
}

/// The gateway's unit.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct GatewayUnit {
    /// Its name.
    pub(crate) unit: String,
    /// Its state in systemd's words.
    pub(crate) state: String,
    /// Its main process; 0 if it has none.
    pub(crate) pid: u32,
    /// Its run, by the InvocationID.
    pub(crate) invocation_id: Option<String>,
}

/// An incident that is not over.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct OpenIncident {
    /// Its id.
    pub(crate) id: String,
    /// How long it lasts.
    pub(crate) seconds: f64,
    /// The probe that failed: port, http or health.
    pub(crate) probe: &'static str,
    /// What it saw.
    pub(crate) reason: Line,
    /// What the process is doing, as in gatehound.service(8).
    pub(crate) stall: &'static str,
    /// How often Gatehound started the gateway in it.
    pub(crate) restarts: u32,
}

/// gatehound status --json --watch, where the user manager cannot be asked
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Error {
    /// What is wrong.
    pub(crate) error: Line,
}

/// gatehound history --json
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct History {
    /// The first moment that counts, in UTC.
    pub(crate) since: Option<String>,
    /// The incidents, the oldest first.
    pub(crate) incidents: Vec<Incident>,
    /// When Gatehound stood by, the oldest first.
    pub(crate) stood_by: Vec<StoodBy>,
    /// When the gateway was down without an incident, because it crashed or somebody restarted it, the oldest first.
    pub(crate) restarts: Vec<Spell>,
    /// When part of the healthy gateway did not work, the oldest first.
    pub(crate) degraded: Vec<Spell>,
    /// The last 24 hours and all of the time, each in parts.
    pub(crate) bars: Vec<Bar>,
    /// How long Gatehound watched a gateway that was to run.
    pub(crate) watched_seconds: f64,
    /// How long of it the gateway was down.
    pub(crate) failing_seconds: f64,
    /// How long Gatehound stood by.
    pub(crate) stood_by_seconds: f64,
    /// How long nobody looked since the first record: no Gatehound ran, or the machine slept.
    pub(crate) unseen_seconds: f64,
    /// The part of watched_seconds in which the gateway worked, from 0 to 1.
    pub(crate) availability: Option<f64>,
    /// The mean time that a restart took from the first failing check on.
    pub(crate) mean_time_to_recover_seconds: Option<f64>,
}

/// An incident.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Incident {
    /// Its id.
    pub(crate) id: String,
    /// When it began, in UTC.
    pub(crate) began: Option<String>,
    /// How long the gateway was down.
    pub(crate) down_seconds: f64,
    /// The probe that failed first: port, http or health.
    pub(crate) probe: Option<Line>,
    /// What it saw.
    pub(crate) reason: Option<Line>,
    /// What the process was doing, as in gatehound.service(8).
    pub(crate) stall: Option<Line>,
    /// The same in a sentence, where there was more to say.
    pub(crate) stall_detail: Option<Line>,
    /// How many attempts were used.
    pub(crate) attempts: usize,
    /// How often Gatehound restarted the gateway.
    pub(crate) restarts: usize,
    /// How many of the stops needed SIGKILL.
    pub(crate) forced_stops: usize,
    /// Whether Gatehound gave up for a while.
    pub(crate) gave_up: bool,
    /// How it ended: under-way, by-itself, by-restart, by-other, stopped or unseen.
    pub(crate) outcome: &'static str,
}

/// A time without an incident of its own.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Spell {
    /// What it was.
    pub(crate) what: Line,
    /// When it began, in UTC.
    pub(crate) began: Option<String>,
    /// How long it lasted.
    pub(crate) seconds: f64,
    /// Whether it is not over.
    pub(crate) under_way: bool,
}

/// A time in parts of one length.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Bar {
    /// How long it is, in words.
    pub(crate) label: String,
    /// When it began, in UTC.
    pub(crate) from: Option<String>,
    /// How the gateway was in each part: up, partly-down, down, stood-by or unseen.
    pub(crate) parts: Vec<&'static str>,
}

/// A time in which Gatehound stood by.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct StoodBy {
    /// Why, as in gatehound.service(8).
    pub(crate) reason: Line,
    /// What was seen.
    pub(crate) detail: Option<Line>,
    /// When it began, in UTC.
    pub(crate) began: Option<String>,
    /// How long it lasted.
    pub(crate) seconds: f64,
    /// Whether the gateway was down, and nobody wanted that.
    pub(crate) outage: bool,
    /// Whether it is not over.
    pub(crate) under_way: bool,
}

/// gatehound incident --json
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct OneIncident {
    /// The incident; null when the journal no longer has it.
    pub(crate) incident: Option<Incident>,
    /// Its records, the oldest first.
    pub(crate) records: Vec<Record>,
    /// What was seen before each restart.
    pub(crate) evidence: Vec<Evidence>,
}

/// A record of the journal.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Record {
    /// When it was written, in UTC.
    pub(crate) at: Option<String>,
    /// Its text.
    pub(crate) message: Line,
    /// Its fields, by the names in gatehound.service(8).
    pub(crate) fields: BTreeMap<String, Line>,
}

/// What was seen before a restart.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Evidence {
    /// The file in which it is kept.
    pub(crate) file: String,
    /// What the file has, for people: of its keys none is promised.
    pub(crate) evidence: Option<Value>,
    /// Why it cannot be read.
    pub(crate) error: Option<Line>,
}

/// gatehound doctor --json
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Doctor {
    /// The worst severity: fine, warning or problem.
    pub(crate) worst: &'static str,
    /// What was found.
    pub(crate) findings: Vec<Finding>,
}

/// What the doctor found.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Finding {
    /// What it is about, in a word.
    pub(crate) about: &'static str,
    /// How bad it is: fine, warning or problem.
    pub(crate) severity: &'static str,
    /// What was seen.
    pub(crate) what: Line,
    /// What fixes it: a command, or what to do.
    pub(crate) fix: Option<String>,
}

/// gatehound settings show --json
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Settings {
    /// All settings, by their keys.
    pub(crate) settings: Vec<Setting>,
}

/// A setting.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Setting {
    /// Its key in gatehound.toml(5), with a dot after each table.
    pub(crate) key: String,
    /// Its value; null where it is not set or hidden.
    pub(crate) value: Value,
    /// Whether it is a secret that is not shown.
    pub(crate) hidden: bool,
    /// Where it comes from.
    pub(crate) origin: String,
}

/// gatehound snapshot list --json
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SnapshotList {
    /// The path of openclaw.json.
    pub(crate) config: String,
    /// The snapshots, the oldest first.
    pub(crate) snapshots: Vec<Snapshot>,
    /// Which are passed over, and why.
    pub(crate) unreadable: Vec<Line>,
}

/// A snapshot.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Snapshot {
    /// Its number.
    pub(crate) number: u32,
    /// Why it is kept: known good, replaced or rejected.
    pub(crate) kind: &'static str,
    /// When it was kept, in UTC.
    pub(crate) kept: Option<String>,
    /// The gateway's version that was healthy with it.
    pub(crate) gateway_version: Option<Line>,
    /// The hash of its files.
    pub(crate) sha256: String,
    /// The run that was healthy with it, by the InvocationID.
    pub(crate) run: Option<String>,
    /// Whether openclaw.json is the same now.
    pub(crate) current: bool,
}

/// gatehound pause --json
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Paused {
    /// How long.
    pub(crate) seconds: u64,
    /// When it ends, in UTC.
    pub(crate) until: Option<String>,
    /// Whether Gatehound runs, which heeds it.
    pub(crate) heeded: bool,
}

/// gatehound install --dry-run --json
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct InstallPlan {
    /// What install would change; where it would refuse, also what was found.
    pub(crate) steps: Vec<InstallStep>,
    /// Why install would refuse.
    pub(crate) refused: Option<Line>,
}

/// A step of an installation.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct InstallStep {
    /// Such as would install, would replace, would remove, would enable, would start, would restart, or found.
    pub(crate) step: String,
    /// A file or a unit.
    pub(crate) what: String,
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, fs, path::Path};

    use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
    use serde_json::json;

    use super::*;

    impl JsonSchema for Line {
        fn inline_schema() -> bool {
            true
        }

        fn schema_name() -> Cow<'static, str> {
            "Line".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string" })
        }
    }

    /// The answers of the commands, by the names of their types.
    const ANSWERS: [&str; 10] = [
        "Check",
        "Status",
        "Error",
        "History",
        "OneIncident",
        "Doctor",
        "Settings",
        "SnapshotList",
        "Paused",
        "InstallPlan",
    ];

    const PAGE: &str = "man/gatehound.1";
    const BEGIN: &str = ".\\\" answers: begin\n";
    const END: &str = ".\\\" answers: end\n";

    fn schema() -> Value {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let mut generator = settings.into_generator();
        generator.subschema_for::<Check>();
        generator.subschema_for::<Status>();
        generator.subschema_for::<Error>();
        generator.subschema_for::<History>();
        generator.subschema_for::<OneIncident>();
        generator.subschema_for::<Doctor>();
        generator.subschema_for::<Settings>();
        generator.subschema_for::<SnapshotList>();
        generator.subschema_for::<Paused>();
        generator.subschema_for::<InstallPlan>();
        let mut types = Value::Object(generator.take_definitions(true));
        for name in ANSWERS {
            let answer = &mut types[name];
            answer["properties"]["version"] = json!({
                "const": VERSION,
                "description": "the version of all answers",
            });
            answer["required"]
                .as_array_mut()
                .unwrap()
                .push("version".into());
        }
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "What the commands of gatehound print with --json",
            "$defs": types,
            "anyOf": ANSWERS.map(|name| json!({ "$ref": format!("#/$defs/{name}") })),
        })
    }

    /// What a key holds, in a word or two.
    fn kind(schema: &Value) -> String {
        let of = |word: &str| match word {
            "integer" => "number".to_owned(),
            "array" => "list".to_owned(),
            other => other.to_owned(),
        };
        let kinds: Vec<String> = match (&schema["anyOf"], &schema["type"]) {
            (Value::Array(all), _) => all.iter().map(kind).collect(),
            (_, Value::Array(all)) => all.iter().map(|one| of(one.as_str().unwrap())).collect(),
            (_, Value::String(one)) => vec![of(one)],
            _ if schema["$ref"].is_string() => vec!["object".to_owned()],
            _ => vec!["any value".to_owned()],
        };
        kinds.join(" or ")
    }

    /// The type that a key holds one or a list of.
    fn below(schema: &Value) -> Option<&str> {
        let all = [&schema["items"], &schema["anyOf"][0], schema];
        let path = all.into_iter().find_map(|one| one["$ref"].as_str())?;
        path.rsplit('/').next()
    }

    fn describe(types: &Value, name: &str, path: &str, text: &mut String) {
        for (key, value) in types[name]["properties"].as_object().unwrap() {
            let what = value["description"].as_str().unwrap();
            let kind = kind(value);
            if key != "version" {
                let path = format!("{path}{key}").replace('-', "\\-");
                let what = what.replace('-', "\\-");
                text.push_str(&format!(".TP\n.BR {path} \" ({kind})\"\n{what}\n"));
            }
            if let Some(name) = below(value) {
                let list = if kind == "list" { "[]" } else { "" };
                describe(types, name, &format!("{path}{key}{list}."), text);
            }
        }
    }

    /// What section JSON of gatehound(1) says of the answers.
    fn section(types: &Value) -> String {
        let mut text = String::new();
        for name in ANSWERS {
            let what = types[name]["description"].as_str().unwrap();
            text.push_str(&format!(".SS {}\n", what.replace('-', "\\-")));
            describe(types, name, "", &mut text);
        }
        text
    }

    /// Holds that a file is this, or makes it so where that is asked for.
    #[track_caller]
    fn check(file: &str, expected: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os("GATEHOUND_TEST_WRITE").is_some() {
            fs::write(&path, expected).unwrap();
        }
        let is_so = fs::read_to_string(&path).is_ok_and(|text| text == expected);
        assert!(
            is_so,
            "{file} differs: GATEHOUND_TEST_WRITE=1 cargo test --lib answers"
        );
    }

    #[test]
    fn the_schema_and_the_man_page_are_made_of_the_types_of_the_answers() {
        let schema = schema();
        check("units/gatehound.schema.json", &format!("{schema:#}\n"));
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let section = section(&schema["$defs"]);
        check(PAGE, &format!("{before}{BEGIN}{section}{END}{after}"));
    }

    #[test]
    fn every_answer_says_its_version() {
        let answer = versioned(&Error { error: "x".into() });
        assert_eq!(answer, json!({ "error": "x", "version": VERSION }));
    }
}
