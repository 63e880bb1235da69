//! history and incident.

use crate::home::*;

#[test]
fn a_journal_without_records_is_said_to_be_so_and_why_it_may_be() {
    let (home, bin) = with_journal("exit 0");
    let said = asked(&home, &bin, &["history", "--since", "2026-11-01"]);
    assert!(said.status.success(), "{said:?}");
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(
        said.starts_with("no record of Gatehound since 2026-11-01 00:00:00"),
        "{said}"
    );
    failed_saying(&asked(&home, &bin, &["incident"]), 1, &["no incident"]);
}

#[test]
fn a_quiet_time_is_told_by_the_record_before_it() {
    let before = minute_old("healthy", &[]);
    // All that is asked for is there, and nothing else.
    let script = format!(
        "case \"$*\" in *'--until=@'*'--reverse --lines=1'*'USER_UNIT=openclaw-gateway.service _UID='*' + MESSAGE_ID='*'USER_UNIT=gatehound.service _UID='*) cat <<'E'\n{before}\nE\n;; esac"
    );
    let (home, bin) = with_journal(&script);
    let said = stdout(&asked(&home, &bin, &["history", "--since", "30s"]));
    assert!(said.starts_with("no incident since "), "{said}");
    assert!(said.contains(", watched for 3"), "{said}");
    assert!(said.contains("availability 100.00 %"), "{said}");
}

#[test]
fn an_incident_that_was_open_when_the_time_began_is_told_from_its_beginning() {
    let id = ("GATEHOUND_INCIDENT", "c0ffee00-1");
    let cause = [
        id,
        ("GATEHOUND_PROBE", "http"),
        ("GATEHOUND_REASON", "no answer"),
    ];
    let failing = minute_old("failing", &cause);
    let last = seconds_old(50, "warning", &[id]);
    // What systemd says of a Gatehound that failed has no field; its successor's first record has.
    let died = seconds_old(40, "", &[]).replace("GATEHOUND_EVENT", "X");
    let begun = seconds_old(10, "watching", &[id]);
    for (before, window) in [(&last, ""), (&died, &begun[..])] {
        let script = format!(
            "case \"$*\" in *--reverse*) cat <<'E'\n{before}\nE\n;;\
             *--until=@*'GATEHOUND_INCIDENT=c0ffee00-1 _BOOT_ID='*' + MESSAGE_ID='*'_BOOT_ID='*) cat <<'E'\n{failing}\n{last}\nE\n;;\
             *--since*) cat <<'E'\n{window}\nE\n;; esac"
        );
        let (home, bin) = with_journal(&script);
        let asked = asked(&home, &bin, &["history", "--since", "30s", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap();
        let past = &json["incidents"][0];
        assert_eq!(past["probe"], "http", "{json}");
        assert_eq!(past["outcome"], "under-way", "{json}");
        let seconds = |value: &serde_json::Value| value.as_f64().unwrap();
        // From the failing check to the last record there is nothing that says otherwise.
        assert!(10.0 < seconds(&past["down_seconds"]), "{json}");
        assert!(seconds(&json["watched_seconds"]) < seconds(&past["down_seconds"]));
    }
}

#[test]
fn an_outage_without_an_incident_is_told_with_what_to_do() {
    let record = minute_old(
        "standing-by",
        &[
            ("GATEHOUND_PHASE", "standing-by"),
            ("GATEHOUND_STANDBY", "config-error"),
            ("GATEHOUND_DETAIL", "port is no number"),
        ],
    );
    let script = format!("case \"$*\" in *--since*) cat <<'E'\n{record}\nE\n;; esac");
    let (home, bin) = with_journal(&script);
    let said = stdout(&asked(&home, &bin, &["history"]));
    let row = said.lines().nth(1).unwrap_or_default();
    for told in [
        "  config-error  ",
        "  1 min",
        "  under-way   port is no number",
    ] {
        assert!(row.contains(told), "{told} in {said}");
    }
    assert!(said.contains("\nno incident, 1 outage since "), "{said}");
    assert!(said.contains("availability 0.00 %"), "{said}");
    let json = asked(&home, &bin, &["history", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["incidents"], serde_json::json!([]));
    assert_eq!(json["stood_by"][0]["reason"], "config-error");
    assert_eq!(json["stood_by"][0]["outage"], true);
    failed_saying(
        &asked(&home, &bin, &["incident"]),
        1,
        &[
            "no incident in the journal, but since ",
            "text of standing-by",
        ],
    );
}

#[test]
fn a_gateway_that_a_human_paused_is_not_shown_as_down() {
    let record = minute_old(
        "standing-by",
        &[
            ("GATEHOUND_PHASE", "standing-by"),
            ("GATEHOUND_STANDBY", "paused"),
            ("GATEHOUND_DETAIL", "new disk"),
        ],
    );
    let script = format!("case \"$*\" in *--since*) cat <<'E'\n{record}\nE\n;; esac");
    let (home, bin) = with_journal(&script);
    let said = stdout(&asked(&home, &bin, &["history"]));
    let row = said.lines().nth(1).unwrap_or_default();
    assert!(row.contains("  paused  "), "{said}");
    assert!(
        row.contains("  -         -  under-way   stood by for 1 min"),
        "{said}"
    );
    assert!(row.ends_with(": new disk"), "{said}");
    assert!(said.contains("\nno incident since "), "{said}");
}

#[test]
fn a_moment_that_is_none_is_refused_with_what_would_be_one() {
    let refused = Home::new().run(&["history", "--since", "soon"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("--since \"soon\": no time; give a span such as 7d"),
        "{said}"
    );
}

#[test]
fn a_journal_that_cannot_be_read_is_named() {
    let (home, bin) = with_journal("exit 3");
    let failed = asked(&home, &bin, &["history"]);
    failed_saying(&failed, 1, &["the journal cannot be read", "journalctl"]);
}

#[test]
fn what_stands_in_the_journal_reaches_the_terminal_as_plain_lines() {
    let record = r#"{"__REALTIME_TIMESTAMP":"1","__MONOTONIC_TIMESTAMP":"1","_BOOT_ID":"b","MESSAGE":"a\u001b[2Jb\nc","GATEHOUND_EVENT":"failing","GATEHOUND_INCIDENT":"\u001b]0;x\u0007\nforged","GATEHOUND_PROBE":"http","GATEHOUND_REASON":"r\u202e\n1"}"#;
    let (home, bin) = with_journal(&format!("echo '{}'", record.replace('\\', "\\\\")));
    for arguments in [&["history"][..], &["incident"]] {
        let said = String::from_utf8(asked(&home, &bin, arguments).stdout).unwrap();
        assert!(said.contains("forged"), "{said}");
        assert!(
            said.lines().all(|line| !line.starts_with("forged")),
            "{said}"
        );
        let dirty = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(!said.contains(dirty), "{said:?}");
    }
}
