//! What goes on with settings that are wrong, and with which gateway.

use crate::home::*;

#[test]
fn wrong_settings_keep_nobody_from_pausing_or_resetting() {
    let home = Home::with_config("interval = 30\n");
    for arguments in [&["pause"][..], &["resume"], &["reset"]] {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn what_goes_on_with_wrong_settings_says_what_is_wrong_with_them() {
    let told = |text: &str, arguments: &[&str], wrong: &str| {
        let home = Home::with_config(text);
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        let on = "; going on with the unit mine.service and the defaults\n";
        for part in ["gatehound: ", wrong, on] {
            assert!(said.contains(part), "{part} in {said}");
        }
        stdout(&output)
    };
    let unit = "[gateway]\nunit = \"mine.service\"\n";
    let paused = told(&format!("pause = 3\n{unit}"), &["pause"], "pause = 3: ");
    assert!(paused.starts_with("paused for 2 h; "), "{paused}");
    for command in ["pause", "resume"] {
        let set = ["--set", "pause.default=abc", command];
        told(unit, &set, "--set: pause.default = \"abc\": ");
    }
    let home = Home::new();
    for command in ["status", "emergency-stop"] {
        // Neither gets further without a user manager.
        let said = home.run(&["--set", "foo=1", command]).stderr;
        let said = String::from_utf8(said).unwrap();
        let first = said.lines().next().unwrap();
        assert!(first.contains("--set: foo: "), "{said}");
        let on = "; going on with the unit openclaw-gateway.service and the defaults";
        assert!(first.ends_with(on), "{said}");
    }
}

#[test]
fn wrong_settings_have_no_command_look_at_another_gateway_in_silence() {
    let on = "going on with the unit mine.service and the defaults\n";
    for arguments in [
        &["history"][..],
        &["history", "--json"],
        &["incident", "0123456789abcdef"],
        &["status"],
        &["pause"],
        &["emergency-stop"],
        &["snapshot", "list"],
    ] {
        let (output, _) = with_wrong_settings(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        let first = said.lines().next().unwrap_or_default();
        assert!(first.contains("intervall"), "{arguments:?}: {said}");
        assert_eq!(said.matches(on).count(), 1, "{arguments:?}: {said}");
    }
    // What it prints is what it finds.
    let (output, _) = with_wrong_settings(&["doctor"]);
    let found = stdout(&output);
    assert!(found.contains(on.trim_end()), "{found}");
    // Its answer would be about a port and time limits that nobody set.
    let (output, _) = with_wrong_settings(&["check"]);
    failed(&output, 78);
}

#[test]
fn the_journal_is_asked_about_the_gateway_that_wrong_settings_name() {
    for arguments in [&["history"][..], &["incident", "0123456789abcdef"]] {
        let (output, asked) = with_wrong_settings(arguments);
        assert!(asked.contains("mine.service"), "{asked}: {output:?}");
        assert!(!asked.contains("openclaw-gateway"), "{asked}");
    }
}
