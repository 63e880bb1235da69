//! check --nagios, restart, logs and version.

use crate::home::*;

#[test]
fn a_nagios_plugin_says_one_line_and_ends_with_its_own_statuses() {
    let home = Home::new();
    let check = |arguments: &[&str], status: i32, begin: &str, end: &str| {
        let run = home.run(&[arguments, &["check", "--nagios"]].concat());
        assert_eq!(run.status.code(), Some(status), "{run:?}");
        let said = stdout(&run);
        assert!(said.starts_with(begin) && said.ends_with(end), "{said}");
        assert_eq!(
            (said.lines().count(), said.matches('|').count()),
            (1, 1),
            "{said}"
        );
        assert!(run.stderr.is_empty(), "{run:?}");
    };
    let down = "| health=U;;;0\n";
    let failing = format!("gateway.port={}", gateway(r#"{"ok":false}"#));
    check(
        &["--set", &failing],
        2,
        "OPENCLAW CRITICAL - health: ",
        down,
    );
    let healthy = format!("gateway.port={}", gateway(r#"{"ok":true}"#));
    check(&["--set", &healthy], 0, "OPENCLAW OK - ", "s;;;0\n");
    home.run(&["pause", "moving|house"]);
    let end = "; paused: moving/house | health=";
    let paused = home.run(&["--set", &healthy, "check", "--nagios"]);
    assert_eq!(paused.status.code(), Some(1), "{paused:?}");
    assert!(stdout(&paused).contains(end), "{paused:?}");
    check(
        &["--set", "interval=never|1"],
        3,
        "OPENCLAW UNKNOWN - --set: interval",
        down,
    );
    check(&["--wrong"], 3, "OPENCLAW UNKNOWN - ", down);
}

/// What a command runs, with programs that print how they were called.
fn runs(arguments: &[&str]) -> (String, String) {
    let home = Home::with_config("[gateway]\nunit = \"bot.service\"");
    let bin = home.0.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["systemctl", "journalctl"] {
        let program = bin.join(name);
        fs::write(&program, "#!/bin/sh\necho \"${0##*/} $*\"\nexit 7\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let run = home
        .gatehound(arguments)
        .env("PATH", path)
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(7), "{run:?}");
    (stdout(&run), String::from_utf8(run.stderr).unwrap())
}

#[test]
fn restart_and_logs_say_the_command_and_become_it() {
    for (arguments, command) in [
        (&["restart"][..], "systemctl --user restart bot.service\n"),
        (
            &["logs"],
            "journalctl --user -u bot.service -u gatehound.service\n",
        ),
        (
            &["logs", "-f"],
            "journalctl --user -u bot.service -u gatehound.service -f\n",
        ),
        (
            &["--profile", "work", "logs"],
            "journalctl --user -u bot.service -u gatehound@work.service\n",
        ),
    ] {
        assert_eq!(runs(arguments), (command.to_owned(), command.to_owned()));
    }
    let home = Home::new();
    std::os::unix::fs::symlink("/usr/bin/timeout", home.0.path().join("timeout")).unwrap();
    let mut alone = home.gatehound(&["restart"]);
    let run = alone.env("PATH", home.0.path()).output().unwrap();
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert!(
        String::from_utf8_lossy(&run.stderr).contains("gatehound: cannot run systemctl: "),
        "{run:?}"
    );
}

#[test]
fn a_restart_with_settings_that_name_no_unit_restarts_none() {
    let home = Home::with_config("[gateway]\nunit = \"a b\"");
    let run = home.run(&["restart"]);
    assert!(
        run.stdout.is_empty() && run.status.code() == Some(78),
        "{run:?}"
    );
}

#[test]
fn the_version_is_a_command_and_an_option() {
    let home = Home::new();
    let [command, option] = ["version", "--version"].map(|one| stdout(&home.run(&[one])));
    assert_eq!(
        command,
        format!("gatehound {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(command, option);
}
