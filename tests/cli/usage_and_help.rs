//! Wrong usage, help and version.

use crate::home::*;

#[test]
fn wrong_usage_ends_with_2() {
    let home = Home::new();
    for arguments in [
        &[][..],
        &["no-such-command"],
        &["run", "--no-such-option"],
        &["settings"],
        &["pause", "--for", "3"],
        &["pause", "--for"],
        &["--profile", "a/b", "status"],
        &["--set"],
        &["resume", "now"],
    ] {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn wrong_arguments_are_told_in_one_line_with_what_would_be_right() {
    let home = Home::new();
    let long = "x".repeat(1000);
    for (arguments, expected) in [
        (
            &["statu"][..],
            "\"statu\": no command of gatehound, perhaps status; see gatehound --help",
        ),
        (
            &["--profile", "check", "snapshot", "restroe"],
            "\"restroe\": no command of gatehound snapshot, perhaps restore; see gatehound snapshot --help",
        ),
        (
            &["--foo"],
            "\"--foo\": no option of gatehound; see gatehound --help",
        ),
        (
            &["check", "--jsn"],
            "\"--jsn\": no option of gatehound check, perhaps --json; see gatehound check --help",
        ),
        (
            &["--json", "check"],
            "\"--json\": no option of gatehound; 'check --json' exists; see gatehound --help",
        ),
        (
            &["incident", "x", "y"],
            "\"y\": more than gatehound incident takes; see gatehound incident --help",
        ),
        (
            &["\u{1b}[31mEVIL\u{7}"],
            "\"EVIL\": no command of gatehound; see gatehound --help",
        ),
        (
            &["snapshot", "diff", "abc"],
            "SNAPSHOT \"abc\": not the number of a snapshot; write one such as 7; \
             see gatehound snapshot diff --help",
        ),
        (
            &["pause", "--for", "abc"],
            "--for \"abc\": not a time span; write one such as 30min; see gatehound pause --help",
        ),
        (
            &["tidy", "--max-size=-1"],
            "--max-size \"-1\": not a number of megabytes; write a whole one such as 50; see gatehound tidy --help",
        ),
        (
            &["history", "--since"],
            "--since: a value is missing; see gatehound history --help",
        ),
        (
            &["check", "--json=3"],
            "--json: takes no value; see gatehound check --help",
        ),
        (
            &["check", "--json", "--json"],
            "--json: given more than once; see gatehound check --help",
        ),
        (&["pause", "--for", &long], "see gatehound pause --help"),
        (
            &["help", "statu", "check"],
            "\"statu\": no command of gatehound, perhaps status; see gatehound --help",
        ),
    ] {
        let message = failed(&home.run(arguments), 2);
        let is_whole =
            message == expected || message.ends_with(expected) && expected.starts_with("see");
        assert!(is_whole, "{arguments:?}: {message}");
    }
}

#[test]
fn help_and_version_are_printed_and_end_with_0() {
    let home = Home::new();
    for (arguments, expected) in [
        (&["--help"][..], "Restarts an OpenClaw Gateway"),
        (&["pause", "--help"], "--for <SPAN>"),
        (&["help"], "Restarts an OpenClaw Gateway"),
        (
            &["help", "snapshot", "restore"],
            "Usage: gatehound snapshot restore",
        ),
        (
            &["--version"],
            concat!("gatehound ", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(stdout(&output).contains(expected), "{output:?}");
    }
}

#[test]
fn every_profile_that_the_option_takes_is_one_that_the_settings_take() {
    let home = Home::new();
    for name in ["_x", "-x", ".x", "a/b"] {
        let argument = format!("--profile={name}");
        let output = home.run(&[&argument, "settings", "show"]);
        assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
    }
}
