//! status, reset, run and tidy.

use crate::home::*;

#[test]
fn who_asks_while_no_gatehound_runs_is_told_so_and_who_asks_a_running_one_is_not() {
    let home = Home::new();
    let says =
        |arguments: &[&str]| stdout(&home.run(arguments)).contains("Gatehound is not running ");
    assert!(says(&["pause"]) && says(&["reset"]));
    let lock = File::create(home.runtime("lock")).unwrap();
    assert!(says(&["pause"]), "a lock file that a dead one left behind");
    lock.lock().unwrap();
    assert!(!says(&["pause"]) && !says(&["reset"]));
}

#[test]
fn a_folder_that_is_to_be_tidied_and_is_not_there_is_told() {
    let home = Home::new();
    let output = home.run(&["tidy", "--folder", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(stdout(&output), "left     /nonexistent: no such folder\n");
}

#[test]
fn a_reset_is_asked_for_in_the_runtime_folder() {
    let home = Home::new();
    let output = home.run(&["reset"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(fs::read(home.runtime("reset")).unwrap(), b"");
}

#[test]
fn a_profile_has_a_runtime_folder_of_its_own() {
    let home = Home::new();
    assert_eq!(
        home.run(&["--profile", "work", "pause"]).status.code(),
        Some(0)
    );
    assert!(home.0.path().join("run/gatehound-work/pause.json").exists());
    assert!(!home.runtime_folder().exists());
}

#[test]
fn whoever_watches_in_json_gets_json_alone_and_without_a_runtime_folder_an_error() {
    let home = Home::new();
    for arguments in [&["status", "--watch", "--json"][..], &["status", "--watch"]] {
        let mut command = home.gatehound(arguments);
        let output = command.env("XDG_RUNTIME_DIR", NOWHERE).output().unwrap();
        failed_saying(&output, 1, &["XDG_RUNTIME_DIR is not set"]);
    }
    let mut watch = home.gatehound(&["status", "--watch", "--json"]);
    let mut child = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    shown.read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let seen: serde_json::Value = serde_json::from_str(&line).unwrap();
    let why = seen["error"].as_str().unwrap();
    assert!(why.contains("no user manager on the bus"), "{line}");
}

#[test]
fn a_second_run_is_refused_and_told_how_to_stop_the_first() {
    let home = Home::new();
    fs::create_dir(home.runtime_folder()).unwrap();
    fs::write(home.runtime("lock"), "4711").unwrap();
    let first = File::open(home.runtime("lock")).unwrap();
    first.lock().unwrap();
    failed_saying(
        &home.run(&["run"]),
        1,
        &[
            "another gatehound (pid 4711) watches this gateway",
            "systemctl --user stop gatehound.service",
        ],
    );
    let kept = fs::read(home.runtime("lock")).unwrap();
    assert_eq!(kept, b"4711", "the first one's pid stays");
}
