//! pause and resume.

use crate::home::*;

#[test]
fn a_pause_names_the_command_that_ends_it() {
    let home = Home::new();
    let said = stdout(&home.run(&["pause", "--profile", "work"]));
    assert!(
        said.contains("; gatehound resume --profile work ends it"),
        "{said}"
    );
}

#[test]
fn a_pause_is_given_shown_and_ended_without_a_running_gatehound() {
    let home = Home::new();
    let paused = home.run(&["pause", "--for", "90min", "new", "disk"]);
    assert_eq!(paused.status.code(), Some(0), "{paused:?}");
    let said = stdout(&paused);
    assert!(
        said.starts_with("paused for 1 h 30 min; gatehound resume ends it before 2")
            && said.ends_with("\nGatehound is not running and heeds it once it does; start it: systemctl --user start gatehound.service\n"),
        "{said}"
    );
    let mode = |name: &str| {
        fs::metadata(home.runtime(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("pause.json"), mode(".")), (0o600, 0o700));
    let shown = stdout(&home.run(&["check"]));
    assert!(
        shown.contains("paused   for 1 h 29 min: new disk\n"),
        "{shown}"
    );
    let resumed = home.run(&["resume"]);
    assert_eq!(resumed.status.code(), Some(0), "{resumed:?}");
    let said = stdout(&resumed);
    assert!(
        said.starts_with("resumed after ")
            && said.ends_with("; how the gateway is: gatehound status\n"),
        "{said}"
    );
    assert!(!home.runtime("pause.json").exists());
    assert_eq!(
        stdout(&home.run(&["resume"])),
        "was not paused by gatehound pause\n"
    );
}

#[test]
fn a_pause_without_a_length_lasts_as_long_as_the_settings_say() {
    let home = Home::with_config("[pause]\ndefault = \"10min\"\n");
    let output = home.run(&["pause"]);
    assert!(
        stdout(&output).starts_with("paused for 10 min; gatehound resume ends it before "),
        "{output:?}"
    );
}

#[test]
fn a_second_pause_says_what_it_replaces_and_ends_it_sooner_only_where_that_is_asked_for() {
    let home = Home::new();
    let ann = |arguments: &[&str]| {
        let mut command = home.gatehound(arguments);
        stdout(
            &command
                .env("USER", "ann")
                .env_remove("SUDO_USER")
                .output()
                .unwrap(),
        )
    };
    assert!(!ann(&["pause", "--for", "5h", "new disk"]).contains("replaces"));
    let longer = ann(&["pause", "upgrade"]);
    assert!(longer.starts_with("paused for 4 h 59 min; "), "{longer}");
    assert!(
        longer.contains("\nit replaces the pause until 2"),
        "{longer}"
    );
    assert!(longer.contains(" by ann ("), "{longer}");
    assert!(longer.contains("): new disk\n"), "{longer}");
    let sooner = ann(&["pause", "--for", "5min"]);
    assert!(sooner.starts_with("paused for 5 min; "), "{sooner}");
    assert!(sooner.contains("): upgrade, and ends sooner\n"), "{sooner}");
}

#[test]
fn a_pause_of_no_time_or_above_a_year_is_refused() {
    let home = Home::new();
    for span in ["0s", "2years"] {
        failed_saying(
            &home.run(&["pause", "--for", span]),
            1,
            &["cannot pause for", "not longer than a year"],
        );
    }
    assert!(!home.runtime("pause.json").exists());
}

#[test]
fn the_reason_of_a_pause_becomes_one_clean_line() {
    let home = Home::new();
    let reason = "new\ndisk\u{1b}[31m\u{202e}\r\nWATCHDOG=trigger";
    assert_eq!(home.run(&["pause", reason]).status.code(), Some(0));
    let shown = stdout(&home.run(&["check"]));
    let line = shown
        .lines()
        .find(|line| line.starts_with("paused"))
        .unwrap();
    assert!(line.ends_with(": new disk WATCHDOG=trigger"), "{line:?}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\r']), "{shown:?}");
    let kept = fs::read_to_string(home.runtime("pause.json")).unwrap();
    assert!(
        !kept.contains('\n') && !kept.contains("\\n") && !kept.contains("\\u"),
        "{kept}"
    );
}

#[test]
fn resume_says_so_when_the_flag_file_still_pauses() {
    let home = Home::new();
    let flag = home.0.path().join("maintenance");
    fs::write(&flag, "").unwrap();
    let set = format!("pause.flag_file={}", flag.display());
    let output = home.run(&["--set", &set, "resume"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&format!("rm {}", flag.display())), "{said}");
    assert!(flag.exists());
    let shown = stdout(&home.run(&["--set", &set, "check"]));
    let line = format!("\npaused   flag file {}\n", flag.display());
    assert!(shown.contains(&line), "{shown}");
}

#[test]
fn resume_says_that_a_flag_file_that_is_a_link_pauses_nothing() {
    let home = Home::new();
    let flag = home.0.path().join("maintenance");
    std::os::unix::fs::symlink("/nonexistent", &flag).unwrap();
    let set = format!("pause.flag_file={}", flag.display());
    let output = home.run(&["--set", &set, "resume"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = stdout(&output);
    assert!(
        said.contains("a symbolic link, not a file; not taken for a pause"),
        "{said}"
    );
}
