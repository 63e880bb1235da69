//! check.

use crate::home::*;

#[test]
fn check_needs_no_user_manager_and_ends_with_what_it_saw() {
    let home = Home::new();
    let check = |port: u16, json: bool| {
        let set = format!("gateway.port={port}");
        let mut arguments = vec!["--set", &set, "check"];
        arguments.extend(json.then_some("--json"));
        home.run(&arguments)
    };
    let healthy = check(gateway(r#"{"ok":true}"#), false);
    assert_eq!(healthy.status.code(), Some(0), "{healthy:?}");
    assert!(
        stdout(&healthy).starts_with("gateway  healthy, / and /health "),
        "{healthy:?}"
    );
    assert!(
        stdout(&healthy).contains("loginctl enable-linger"),
        "{healthy:?}"
    );

    let failing = check(gateway(r#"{"ok":false}"#), true);
    assert_eq!(failing.status.code(), Some(1), "{failing:?}");
    let seen: serde_json::Value = serde_json::from_slice(&failing.stdout).unwrap();
    assert_eq!(seen["health"], "failing", "{seen}");
    assert_eq!(seen["probe"], "health", "{seen}");
    assert_eq!(seen["stall"], "answering", "{seen}");
    assert!(seen["reason"].as_str().unwrap().contains("ok"), "{seen}");

    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let down = check(port, false);
    assert_eq!(down.status.code(), Some(1), "{down:?}");
    assert!(
        stdout(&down).contains(&format!("nothing listens on port {port}")),
        "{down:?}"
    );
    assert!(!home.runtime_folder().exists(), "check changes nothing");
}

#[test]
fn check_says_that_a_gateway_takes_connections_and_answers_nothing() {
    let home = Home::new();
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("gateway.port={}", hung.local_addr().unwrap().port());
    let limits = ["probe.http_timeout=1s", "probe.health_timeout=1s"];
    let [http, health] = limits;
    let checked = home.run(&[
        "--set", &port, "--set", http, "--set", health, "check", "--json",
    ]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let seen: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(seen["health"], "failing", "{seen}");
    assert_eq!(seen["probe"], "http", "{seen}");
    assert_eq!(seen["reason"], "no answer within 1 s", "{seen}");
}

#[test]
fn a_manager_without_a_bus_is_told_from_none_and_the_package_is_named() {
    let home = Home::new();
    let private = home.0.path().join("run/systemd/private");
    fs::create_dir(private.parent().unwrap()).unwrap();
    fs::write(private, "").unwrap();
    for (command, status) in [
        (&["check"][..], 2),
        (&["status"], 1),
        (&["install"], 1),
        (&["doctor"], 2),
    ] {
        let run = home.run(command);
        let said = stdout(&run) + &String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(status), "{said}");
        for part in [
            "the user manager runs, but without a bus at ",
            "apt-get install dbus-user-session",
        ] {
            assert!(said.contains(part), "{command:?}: {said}");
        }
        for wrong in ["nothing listens", "enable-linger", "no user manager"] {
            let is_about_it = |line: &&str| line.contains(wrong) && !line.contains(" linger ");
            assert_eq!(said.lines().find(is_about_it), None, "{command:?}: {said}");
        }
    }
}

#[test]
fn what_is_told_to_be_done_next_is_told_with_the_profile() {
    let home = Home::new();
    let told = |arguments: &[&str], part: &str| {
        let run = home.run(&[&["--profile", "work"], arguments].concat());
        let told = stdout(&run) + &String::from_utf8_lossy(&run.stderr);
        assert!(told.contains(part), "{told}");
    };
    let list = "gatehound snapshot list --profile work shows";
    told(&["snapshot", "diff", "7"], list);
    let flag = home.0.path().join("flag");
    fs::create_dir(&flag).unwrap();
    let set = format!("pause.flag_file={}", flag.display());
    let pause = "not a regular file; not taken for a pause, use gatehound pause --profile work";
    told(&["--set", &set, "check"], pause);
    told(&["--set", &set, "resume"], pause);
}
