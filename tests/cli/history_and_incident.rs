//! history and incident.

use crate::home::*;

/// The lines of the table below its titles.
fn rows(said: &str) -> Vec<&str> {
    let table = said.lines().skip_while(|line| !line.starts_with("began"));
    table.skip(1).take_while(|line| !line.is_empty()).collect()
}

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
    assert!(said.contains("usermod -aG systemd-journal"), "{said}");
    assert!(
        said.lines().all(|line| line.chars().count() <= 80),
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
    assert!(said.contains("\nno incident since "), "{said}");
    assert!(said.contains("\nwatched for 3"), "{said}");
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
    let [row, cause] = rows(&said)[..] else {
        panic!("{said}")
    };
    for told in ["  1 min", "  under-way ", "  config-error"] {
        assert!(row.contains(told), "{told} in {said}");
    }
    assert_eq!(cause, "    port is no number", "{said}");
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
    let [row, cause] = rows(&said)[..] else {
        panic!("{said}")
    };
    assert!(row.ends_with("  -  under-way   paused"), "{said}");
    assert!(cause.starts_with("    stood by for 1 min"), "{said}");
    assert!(cause.ends_with(": new disk"), "{said}");
    assert!(said.contains("\nno incident since "), "{said}");
}

#[test]
fn a_moment_that_is_none_is_refused_with_what_would_be_one() {
    let refused = Home::new().run(&["history", "--since", "soon"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("--since \"soon\": no time; give a span such as 7d or"),
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

/// A line of `journalctl -o json` about the gateway, as it is collected from another machine.
fn collected(host: &str, age: u128, event: &str, fields: &[(&str, &str)]) -> String {
    let mut record: serde_json::Value =
        serde_json::from_str(&seconds_old(age, event, fields)).unwrap();
    record["_HOSTNAME"] = host.into();
    record["_BOOT_ID"] = "0123456789abcdef0123456789abcdef".into();
    record["SYSLOG_IDENTIFIER"] = "gatehound".into();
    record["USER_UNIT"] = "openclaw-gateway.service".into();
    record.to_string()
}

/// A history of a hang that a restart ended, and a line of somebody else ten seconds ago.
fn journal_of_a_hang(host: &str) -> String {
    let id = ("GATEHOUND_INCIDENT", "c0ffee00-1");
    let hang = [
        id,
        ("GATEHOUND_PROBE", "http"),
        ("GATEHOUND_REASON", "no answer within 5 s"),
        ("GATEHOUND_STALL", "blocked"),
        (
            "GATEHOUND_STALL_DETAIL",
            "the event loop waits for pid 4711 (ffmpeg -i a-name-that-is-long-enough-not-to-fit.mp4)",
        ),
    ];
    let over = [
        id,
        ("GATEHOUND_REASON", "by-restart"),
        ("GATEHOUND_DOWNTIME_USEC", "600000000"),
    ];
    let mut other: serde_json::Value =
        serde_json::from_str(&collected(host, 10, "x", &[])).unwrap();
    other["SYSLOG_IDENTIFIER"] = "sshd".into();
    [
        collected(host, 3600, "healthy", &[]),
        collected(host, 1800, "failing", &hang),
        collected(host, 1700, "evidence", &[id]),
        collected(host, 1210, "recovered", &over),
        other.to_string(),
        "-- Boot 1 --".to_owned(),
    ]
    .join("\n")
}

fn given(home: &Home, arguments: &[&str], input: &str) -> Output {
    use std::io::Write as _;
    let mut child = home
        .gatehound(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let written = child.stdin.take().unwrap().write_all(input.as_bytes());
    drop(written);
    child.wait_with_output().unwrap()
}

#[test]
fn a_journal_that_was_collected_is_read_from_standard_input() {
    let home = Home::new();
    let arguments = ["history", "--since", "1h", "--journal", "-"];
    let said = stdout(&given(&home, &arguments, &journal_of_a_hang("box")));
    assert!(
        said.lines().all(|line| line.chars().count() <= 80),
        "{said}"
    );
    let [row, cause] = rows(&said)[..] else {
        panic!("{said}")
    };
    assert!(row.ends_with("10 min  by-restart  c0ffee00-1"), "{said}");
    assert!(
        cause.starts_with(
            "    http: no answer within 5 s (blocked); the event loop waits for pid 4711"
        ),
        "{said}"
    );
    assert!(said.contains("\n1 incident since "), "{said}");

    let both = journal_of_a_hang("box") + "\n" + &journal_of_a_hang("bex");
    let refused = given(&home, &arguments, &both);
    failed_saying(&refused, 1, &["choose one with --host: bex, box"]);
    let one = [&arguments[..], &["--host", "bex", "--json"]].concat();
    let json = given(&home, &one, &both).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        json["incidents"].as_array().map(Vec::len),
        Some(1),
        "{json}"
    );
    // Until the last line of that machine, and ten of its sixty minutes down.
    let availability = json["availability"].as_f64().unwrap();
    assert!((0.82..0.85).contains(&availability), "{json}");
    let [_, bar] = &json["bars"].as_array().unwrap()[..] else {
        let bars = json["bars"].as_array().unwrap();
        assert_eq!(bars[0]["parts"].as_array().map(Vec::len), Some(60));
        return;
    };
    panic!("one bar for an hour: {bar}");
}

#[test]
fn a_history_is_drawn_into_a_file_that_only_its_owner_reads() {
    let home = Home::new();
    let file = home.0.path().join("history.svg");
    let path = file.to_str().unwrap();
    let arguments = ["history", "--since", "1h", "--journal", "-", "--svg", path];
    let said = stdout(&given(&home, &arguments, &journal_of_a_hang("box")));
    assert_eq!(said, format!("written    {path}\n"));
    let svg = fs::read_to_string(&file).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
        "{svg}"
    );
    assert!(svg.contains("pid 4711 (ffmpeg"), "{svg}");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn without_a_journal_the_evidence_of_restarts_is_listed_and_what_mends_it_is_said() {
    let script = "echo 'No journal files were found.' >&2; exit 1";
    let (home, bin) = with_journal(script);
    let state = home.0.path().join(".local/state/gatehound/incidents");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("c0ffee00-7-1.json"), "{}").unwrap();
    let said = stdout(&asked(&home, &bin, &["history"]));
    assert!(said.starts_with("the journal cannot be read: "), "{said}");
    assert!(said.contains("No journal files were found."), "{said}");
    assert!(said.contains("  c0ffee00-7  restart 1\n"), "{said}");
    assert!(said.contains("gatehound incident ID shows"), "{said}");
    for arguments in [&["incident"][..], &["incident", "c0ffee00-7"]] {
        let said = stdout(&asked(&home, &bin, arguments));
        assert!(
            said.starts_with("journal    the journal cannot be read: "),
            "{said}"
        );
        assert!(said.contains("\nincident   c0ffee00-7\n"), "{said}");
        assert!(said.contains("c0ffee00-7-1.json\n"), "{said}");
    }
    let none = asked(&home, &bin, &["incident", "nobodys-1"]);
    failed_saying(&none, 1, &["the journal cannot be read"]);
}

#[test]
fn an_incident_begins_with_what_happened_and_what_it_means() {
    let id = ("GATEHOUND_INCIDENT", "c0ffee00-1");
    let failing = minute_old(
        "failing",
        &[
            id,
            ("GATEHOUND_PROBE", "http"),
            ("GATEHOUND_REASON", "no answer within 5 s"),
            ("GATEHOUND_STALL", "busy"),
        ],
    );
    let over = seconds_old(
        20,
        "recovered",
        &[
            id,
            ("GATEHOUND_REASON", "by-itself"),
            ("GATEHOUND_DOWNTIME_USEC", "50000000"),
        ],
    );
    let (home, bin) = with_journal(&format!("cat <<'E'\n{failing}\n{over}\nE"));
    let said = stdout(&asked(&home, &bin, &["incident"]));
    let page = said.split_once("\n\n").unwrap().0.replace('\n', " ");
    assert!(
        page.starts_with("The gateway stopped working on "),
        "{said}"
    );
    assert!(
        page.contains(
            ": its event loop was busy (no answer within 5 s). It recovered by itself after 50 s"
        ),
        "{said}"
    );
    assert!(said.contains("+10 s  text of failing"), "{said}");
}

#[test]
fn an_emergency_stop_is_in_the_history_although_no_gatehound_runs_after_it() {
    let stopped = [
        ("GATEHOUND_PHASE", "standing-by"),
        ("GATEHOUND_STANDBY", "stopped"),
        ("GATEHOUND_DETAIL", "emergency stop"),
    ];
    let journal = [
        collected("box", 600, "healthy", &[]),
        collected("box", 301, "leaving", &[]),
        collected("box", 300, "emergency-stop", &stopped),
    ]
    .join("\n");
    let arguments = ["history", "--since", "1h", "--journal", "-"];
    let said = stdout(&given(&Home::new(), &arguments, &journal));
    let [row, cause] = rows(&said)[..] else {
        panic!("{said}")
    };
    assert!(row.ends_with("  emergency-stop"), "{said}");
    assert_eq!(
        cause, "    a human stopped gatehound and the gateway",
        "{said}"
    );
    assert!(said.contains("availability 100.00 %"), "{said}");
}
