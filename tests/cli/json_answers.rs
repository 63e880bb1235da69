//! What `--json` prints, held against the schema that is shipped.

use crate::{home::*, schema};

/// The answers that are tried here and, where a user manager is needed, in tests/e2e.
const COMMANDS: [(&[&str], &str); 9] = [
    (&["check"], "Check"),
    (&["status"], "Status"),
    (&["history"], "History"),
    (&["incident"], "OneIncident"),
    (&["doctor"], "Doctor"),
    (&["pause"], "Paused"),
    (&["settings", "show"], "Settings"),
    (&["snapshot", "list"], "SnapshotList"),
    (&["install"], "InstallPlan"),
];

#[test]
fn every_command_with_json_is_in_the_list_of_answers() {
    let home = Home::new();
    let below = |command: &[&str]| -> Vec<String> {
        let help = stdout(&home.run(&[command, &["--help"]].concat()));
        let list = help.split("\nCommands:\n").nth(1).unwrap_or_default();
        let list = list.split("\n\n").next().unwrap_or_default();
        let names = list
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        names.map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    for one in below(&[]) {
        let deeper = below(&[&one]);
        let all = deeper.iter().map(|two| vec![one.clone(), two.clone()]);
        let all: Vec<Vec<String>> = all
            .chain(deeper.is_empty().then(|| vec![one.clone()]))
            .collect();
        found.extend(all.into_iter().filter(|command| {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            stdout(&home.run(&[&words, &["--help"][..]].concat())).contains("--json")
        }));
    }
    let mut listed = COMMANDS.map(|(command, _)| command.to_vec());
    listed.sort();
    found.sort();
    assert_eq!(found, listed);
}

#[test]
fn what_needs_no_user_manager_answers_as_the_schema_says() {
    let (home, _) = with_snapshot(GOOD);
    let healthy = format!("gateway.port={}", gateway(r#"{"ok":true}"#));
    let failing = format!("gateway.port={}", gateway(r#"{"ok":false}"#));
    let answer = |arguments: &[&str], name| schema::check(name, &home.run(arguments).stdout);
    let pause = answer(&["pause", "--json", "--for", "90s", "a\nb"], "Paused");
    assert_eq!(
        (&pause["seconds"], &pause["heeded"]),
        (&90.into(), &false.into())
    );
    let seen = answer(&["--set", &healthy, "check", "--json"], "Check");
    assert_eq!(
        (&seen["health"], &seen["version"]),
        (&"healthy".into(), &1.into())
    );
    assert!(
        seen["pause"]["remaining_seconds"].as_u64().unwrap() <= 90,
        "{seen}"
    );
    answer(&["--set", &failing, "check", "--json"], "Check");
    answer(&["doctor", "--json"], "Doctor");
    let list = answer(&["snapshot", "list", "--json"], "SnapshotList");
    assert_eq!(list["snapshots"][0]["number"], 1, "{list}");
    assert_eq!(list["snapshots"][0]["current"], true, "{list}");
    let set = r#"alert.channel=[{preset="slack",url="https://hooks.example/x"}]"#;
    let shown = answer(&["--set", set, "settings", "show", "--json"], "Settings");
    let setting = |key: &str| {
        let all = shown["settings"].as_array().unwrap();
        all.iter().find(|one| one["key"] == key).unwrap().clone()
    };
    assert_eq!(setting("interval")["value"], "30s");
    assert_eq!(setting("gateway.port")["value"], serde_json::Value::Null);
    let url = setting("alert.channel.1.url");
    assert_eq!(
        (&url["value"], &url["hidden"]),
        (&serde_json::Value::Null, &true.into())
    );
    assert_eq!(url["origin"], "--set");
}

#[test]
fn the_journal_is_answered_as_the_schema_says() {
    let id = ("GATEHOUND_INCIDENT", "c0ffee00-1");
    let failing = minute_old("failing", &[id, ("GATEHOUND_PROBE", "http")]);
    let stood_by = minute_old("standing-by", &[("GATEHOUND_STANDBY", "stopped")]);
    let script = format!("case \"$*\" in *--since*) cat <<'E'\n{failing}\n{stood_by}\nE\n;; esac");
    let (home, bin) = with_journal(&script);
    let answer =
        |command, name| schema::check(name, &asked(&home, &bin, &[command, "--json"]).stdout);
    let history = answer("history", "History");
    assert_eq!(history["incidents"][0]["id"], "c0ffee00-1", "{history}");
    assert_eq!(history["stood_by"][0]["reason"], "stopped", "{history}");
    let folder = home.0.path().join(".local/state/gatehound/incidents");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("c0ffee00-1-1.json"), r#"{"any":["thing"]}"#).unwrap();
    fs::write(folder.join("c0ffee00-1-2.json"), "{").unwrap();
    let incident = answer("incident", "OneIncident");
    assert_eq!(incident["evidence"][0]["evidence"]["any"][0], "thing");
    assert!(incident["evidence"][1]["error"].is_string(), "{incident}");
    assert_eq!(incident["records"][0]["fields"]["GATEHOUND_PROBE"], "http");
}
