//! What reaches a terminal: clean lines, colour, columns.

use crate::home::*;

#[test]
fn whatever_a_path_or_an_answer_is_made_of_the_terminal_gets_clean_lines() {
    let home = Home::new();
    let foul = home.0.path().join("foul\n\u{1b}[31m\u{202e}\u{200b}name");
    for folder in ["run/gatehound", "gatehound"] {
        fs::create_dir_all(foul.join(folder)).unwrap();
    }
    fs::create_dir(foul.join(".openclaw")).unwrap();
    fs::write(
        foul.join(".openclaw/openclaw.json"),
        "{gateway: {port: '\u{9b}31m'}}",
    )
    .unwrap();
    fs::write(
        foul.join("run/gatehound/pause.json"),
        "{\"\u{202e}\u{1b}\": 1}",
    )
    .unwrap();
    let port = gateway("{\"ok\": \"\\n\\u001b[31m\u{202e}\u{ad}\"}");
    let set = format!("gateway.port={port}");
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["--set", &set, "check"],
        &["--set", &set, "check", "--json"],
        &["settings", "show"],
        &[
            "--set",
            "interval=a\u{1b}[31m\u{202e}b\nc",
            "settings",
            "show",
        ],
        &["--set", "a\u{1b}[31m\u{202e}b\nc=1", "settings", "show"],
        &["--set", "pause.flag_file=/a\u{202e}b", "settings", "show"],
        &["status"],
        &["install"],
        &["resume"],
    ] {
        let output = home
            .gatehound(arguments)
            .env("HOME", &foul)
            .env("XDG_CONFIG_HOME", &foul)
            .env("XDG_RUNTIME_DIR", foul.join("run"))
            .output()
            .unwrap();
        assert!(
            output.status.code().is_some_and(|code| code != 101),
            "{output:?}"
        );
        clean(&output);
    }
    // The file that is found wrong is named by its whole path.
    fs::write(
        foul.join("gatehound/config.toml"),
        "interval = \"\u{202e}\"\n",
    )
    .unwrap();
    let refused = home
        .gatehound(&["settings", "check"])
        .env("XDG_CONFIG_HOME", &foul)
        .output()
        .unwrap();
    failed(&refused, 78);
    clean(&refused);
}

#[test]
fn only_a_terminal_that_takes_colour_gets_it() {
    let home = Home::new();
    let xterm = ("TERM", "xterm-256color");
    assert!(coloured(&home, &[xterm]));
    assert!(coloured(&home, &[xterm, ("NO_COLOR", "")]));
    assert!(!coloured(&home, &[xterm, ("NO_COLOR", "1")]));
    assert!(!coloured(&home, &[("TERM", "dumb")]));
    assert!(!coloured(&home, &[]));
    let piped = home.gatehound(&["doctor"]).env("TERM", "xterm").output();
    assert!(!stdout(&piped.unwrap()).contains('\u{1b}'));
}

#[test]
fn a_status_that_is_watched_is_drawn_over_the_last_and_ends_by_q() {
    let home = Home::new();
    for key in ["q", "\u{3}"] {
        let watch = home.gatehound(&["status", "--watch"]);
        let (status, shown) = at_terminal_after(watch, "\u{1b}[J", || (), key);
        assert_eq!(status, Some(0), "{shown:?}");
        assert!(shown.starts_with("\u{1b}[H20"), "{shown:?}");
        assert!(shown.contains("; q ends this\u{1b}[K\r\n"), "{shown:?}");
        assert!(!shown.contains("\u{1b}[2J"), "{shown:?}");
    }
}

#[test]
fn every_command_that_tells_good_from_bad_colours_it_at_a_terminal() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, BAD).unwrap();
    let port = gateway(r#"{"ok":true}"#);
    let set = format!("gateway.port={port}");
    let at_xterm = |arguments: &[&str]| {
        let mut command = home.gatehound(arguments);
        command.env("TERM", "xterm");
        at_terminal(command, "").1
    };
    let diff = at_xterm(&["snapshot", "diff"]);
    assert!(
        diff.contains("\u{1b}[1m\u{1b}[31m- gateway.port = 18789\u{1b}[0m"),
        "{diff:?}"
    );
    assert!(
        diff.contains("\u{1b}[32m+ gateway.port = 18790\u{1b}[0m"),
        "{diff:?}"
    );
    let check = at_xterm(&["--set", &set, "check"]);
    assert!(
        check.starts_with("gateway  \u{1b}[32mhealthy\u{1b}[0m, / and /health "),
        "{check:?}"
    );
    let json = at_xterm(&["--set", &set, "check", "--json"]);
    assert!(!json.contains('\u{1b}'), "{json:?}");

    let record = r#"{"__REALTIME_TIMESTAMP":"1","__MONOTONIC_TIMESTAMP":"1","_BOOT_ID":"b","MESSAGE":"m","GATEHOUND_EVENT":"failing","GATEHOUND_INCIDENT":"i","GATEHOUND_PROBE":"http","GATEHOUND_REASON":"r"}"#;
    let (home, bin) = with_journal(&format!("echo '{record}'"));
    let mut command = home.gatehound(&["history"]);
    let path = format!("{}:/usr/bin:/bin", bin.display());
    command.env("PATH", path).env("TERM", "xterm");
    let (_, history) = at_terminal(command, "");
    assert!(
        history.contains("  \u{1b}[33munseen\u{1b}[0m      i\r\n    http: r"),
        "{history:?}"
    );
}

#[test]
fn columns_stay_aligned_whatever_is_in_them() {
    let record = |id: &str, stall: &str| {
        format!(
            r#"{{"__REALTIME_TIMESTAMP":"1","__MONOTONIC_TIMESTAMP":"1","_BOOT_ID":"b","MESSAGE":"m","GATEHOUND_EVENT":"failing","GATEHOUND_INCIDENT":"{id}","GATEHOUND_STALL":"{stall}","GATEHOUND_PROBE":"http","GATEHOUND_REASON":"応答なし"}}"#
        )
    };
    let records = [
        record("plain", "blocked"),
        record("日本語", "停止中"),
        record("e\u{301}te\u{301}", "🦞"),
    ];
    let (home, bin) = with_journal(&format!("cat <<'E'\n{}\nE", records.join("\n")));
    let said = String::from_utf8(asked(&home, &bin, &["history"]).stdout).unwrap();
    // A row has its incident, and below it how that began.
    for (text, of) in [("  unseen", "1970-"), ("http: ", "    http")] {
        let rows: Vec<&str> = said.lines().filter(|line| line.starts_with(of)).collect();
        assert_eq!(rows.len(), 3, "{said}");
        let columns: Vec<usize> = rows.iter().map(|row| column(row, text)).collect();
        assert_eq!(columns, [columns[0]; 3], "{text}\n{said}");
    }

    let home = Home::with_config(
        "[pause]\nflag_file = \"/tmp/保守作業中のファイルです、触らないでください\"\n",
    );
    let shown = stdout(&home.run(&["settings", "show"]));
    let columns: Vec<usize> = shown
        .lines()
        .map(|line| {
            let origin = if line.starts_with("pause.flag_file") {
                "  /"
            } else {
                "  default"
            };
            column(line, origin)
        })
        .collect();
    assert!(
        columns.iter().all(|column| *column == columns[0]),
        "{columns:?}\n{shown}"
    );
}
