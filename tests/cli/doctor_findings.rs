//! doctor.

use crate::home::*;

#[test]
fn a_doctor_who_finds_no_user_manager_says_so_and_looks_at_the_rest() {
    let home = Home::with_config("interval = 7\n");
    let output = home.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    for told in [
        "PROBLEM  settings",
        "PROBLEM  manager",
        "no user manager on the bus",
        "→ ",
    ] {
        assert!(said.contains(told), "{told} in {said}");
    }
    let json = home.run(&["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["worst"], "problem");
}

#[test]
fn a_flag_file_is_one_finding_whatever_it_is_with_the_command_that_removes_it() {
    let home = Home::new();
    let flag = home.0.path().join("maintenance");
    let shown = flag.display();
    let found = |what: &str, fix: String| {
        let set = format!("pause.flag_file={}", flag.display());
        let output = home.run(&["--set", &set, "doctor", "--json"]);
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = said["findings"].as_array().unwrap();
        let of_flag = |one: &&serde_json::Value| one.to_string().contains("flag file");
        let [one] = &findings.iter().filter(of_flag).collect::<Vec<_>>()[..] else {
            panic!("{said:#}");
        };
        assert_eq!(one["about"], "pause", "{one}");
        assert!(one["what"].as_str().unwrap().contains(what), "{one}");
        assert_eq!(one["fix"], fix, "{one}");
    };
    fs::write(&flag, "").unwrap();
    found("paused: flag file ", format!("rm {shown}"));
    fs::remove_file(&flag).unwrap();
    std::os::unix::fs::symlink("/nonexistent", &flag).unwrap();
    found("not taken for a pause", format!("rm {shown}"));
    fs::remove_file(&flag).unwrap();
    fs::create_dir(&flag).unwrap();
    found("not taken for a pause", format!("rm -r {shown}"));
}

#[test]
fn a_cron_job_about_the_gateway_is_found_with_what_to_do_about_it() {
    let (home, bin) = with_journal("exit 0");
    let crontab = "#!/bin/sh\necho '* * * * * /home/a/openclaw-watchdog.sh'\n";
    fs::write(bin.join("crontab"), crontab).unwrap();
    fs::set_permissions(bin.join("crontab"), fs::Permissions::from_mode(0o700)).unwrap();
    let output = asked(&home, &bin, &["doctor"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("cron starts the old watchdog too: * * * * * /home/a/openclaw-watchdog.sh"),
        "{said}"
    );
    assert!(said.contains(" install --replace-cron\n"), "{said}");

    let script = "#!/bin/sh\nsystemctl --user restart openclaw-gateway\n";
    fs::write(home.0.path().join("keepalive.sh"), script).unwrap();
    for line in [
        "* * * * * flock -n /tmp/l ~/keepalive.sh",
        "* * * * * cd ~ && ./keepalive.sh",
        "* * * * * systemctl --user is-active openclaw-gateway || systemctl --user restart openclaw-gateway",
    ] {
        fs::write(bin.join("crontab"), format!("#!/bin/sh\necho '{line}'\n")).unwrap();
        let output = asked(&home, &bin, &["doctor"]);
        let said = String::from_utf8(output.stdout).unwrap();
        let told = format!("a cron job is another watchdog of the gateway: {line}");
        assert!(said.contains(&told), "{said}");
        assert!(said.contains("→ remove the line: crontab -e\n"), "{said}");
    }
}
