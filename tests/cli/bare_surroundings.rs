//! Without a runtime folder, a home, a user manager, a terminal or room to write.

use crate::home::*;

#[test]
fn without_a_runtime_folder_each_command_names_the_variable() {
    let home = Home::new();
    for arguments in [
        &["run"][..],
        &["status"],
        &["pause"],
        &["resume"],
        &["reset"],
    ] {
        let output = home
            .gatehound(arguments)
            .env("XDG_RUNTIME_DIR", NOWHERE)
            .output()
            .unwrap();
        failed_saying(&output, 1, &["XDG_RUNTIME_DIR is not set", "/run/user/UID"]);
    }
    // 1 would say that the gateway does not work.
    let mut check = home.gatehound(&["check"]);
    let output = check.env("XDG_RUNTIME_DIR", NOWHERE).output().unwrap();
    failed_saying(&output, 2, &["XDG_RUNTIME_DIR is not set", "/run/user/UID"]);
}

#[test]
fn without_a_home_the_message_says_to_set_it() {
    let home = Home::new();
    let output = home
        .gatehound(&["check"])
        .env_remove("HOME")
        .env_remove("XDG_CONFIG_HOME")
        .output();
    failed_saying(&output.unwrap(), 2, &["no config folder", "set HOME"]);
    let output = home.gatehound(&["install"]).env_remove("HOME").output();
    failed_saying(&output.unwrap(), 1, &["HOME is not set"]);
}

#[test]
fn without_a_user_manager_the_message_names_the_bus_and_the_remedy() {
    let home = Home::new();
    for arguments in NEED_MANAGER {
        let output = home.run(arguments);
        failed_saying(
            &output,
            1,
            &[
                "no user manager on the bus at",
                "run/bus",
                "loginctl enable-linger",
            ],
        );
    }
    assert!(
        !home.0.path().join(".local").exists(),
        "an install that fails leaves nothing behind"
    );
}

#[test]
fn a_home_that_is_not_utf8_is_no_reason_to_panic() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let home = Home::new();
    let port = gateway(r#"{"ok":true}"#);
    let set = format!("gateway.port={port}");
    let output = home
        .gatehound(&["--set", &set, "check", "--json"])
        .env("HOME", OsStr::from_bytes(b"/nonexistent/\xff"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        seen["config"],
        "/nonexistent/\u{fffd}/.openclaw/openclaw.json"
    );
}

#[test]
fn a_runtime_folder_that_is_a_link_is_refused() {
    let home = Home::new();
    let elsewhere = home.0.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, home.runtime_folder()).unwrap();
    for arguments in [&["pause"][..], &["reset"], &["run"]] {
        let output = home.run(arguments);
        failed(&output, 1);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("not a folder; not used, remove it"), "{said}");
    }
    assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
}

#[test]
fn output_that_cannot_be_written_is_a_failure_and_a_reader_that_left_is_none() {
    let home = Home::new();
    let healthy = format!("gateway.port={}", gateway("{\"ok\": true}"));
    for (arguments, status) in [
        (&["settings", "show"][..], 1),
        // 1 would be a gateway that fails.
        (&["check", "--set", &healthy], 2),
        (&["--help"], 1),
        // Nobody listens there, which is told by the exit status.
        (&["check", "--set", "gateway.port=1"], 1),
        // No user manager is in reach.
        (&["doctor"], 2),
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = home.gatehound(arguments).stdout(full).output().unwrap();
        failed_saying(
            &output,
            status,
            &["standard output: No space left on device"],
        );
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = home.gatehound(&["settings", "show"]);
    let output = command.stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
