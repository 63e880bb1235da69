//! settings show and check, and how wrong settings are refused.

use crate::home::*;

#[test]
fn a_wrong_setting_is_refused_with_file_key_value_and_what_would_be_right() {
    check_refused(
        "interval = 30\n",
        &["interval = 30:", "write one such as \"30s\""],
    );
    check_refused(
        "backoff = []\n",
        &["backoff = []:", "needs at least one delay"],
    );
    check_refused(
        "[gateway]\nport = 0\n",
        &["gateway.port = 0:", "from 1 to 65535"],
    );
    check_refused(
        "[gateway]\nport = 70000\n",
        &["gateway.port = 70000:", "from 1 to 65535"],
    );
    check_refused(
        "[probe]\nhttp_timeout = \"0s\"\n",
        &["probe.http_timeout = \"0s\":", "longer than 0s"],
    );
}

#[test]
fn an_unknown_key_is_refused_with_those_that_are_known() {
    check_refused(
        "intervall = \"3s\"\n",
        &["intervall: no such key", "interval"],
    );
    check_refused(
        "[gateway]\nhost = \"x\"\n",
        &["gateway.host: no such key", "gateway.port"],
    );
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_line_and_column() {
    check_refused(
        "reset_after = \"1s\"\ninterval = \"30s\n",
        &["line 2, column "],
    );
}

#[test]
fn a_config_file_that_cannot_be_read_is_refused() {
    let home = Home::new();
    fs::create_dir(home.config()).unwrap();
    for command in NEED_SETTINGS {
        let message = failed(&home.run(command), 78);
        assert!(
            message.starts_with(&home.config().display().to_string()),
            "{message}"
        );
        assert!(message.contains("make it a text file"), "{message}");
    }
}

#[test]
fn a_wrong_variable_or_override_is_refused_by_its_name() {
    let home = Home::new();
    let variable = home
        .gatehound(&["settings", "check"])
        .env("GATEHOUND_GATEWAY__PORT", "0")
        .output();
    let message = failed(&variable.unwrap(), 78);
    assert!(
        message.starts_with("GATEHOUND_GATEWAY__PORT: gateway.port = 0:"),
        "{message}"
    );
    let message = failed(
        &home.run(&["--set", "interval=soon", "settings", "check"]),
        78,
    );
    assert!(
        message.starts_with("--set: interval = \"soon\":"),
        "{message}"
    );
    let message = failed(&home.run(&["--set", "interval", "settings", "check"]), 78);
    assert!(message.contains("--set interval=30s"), "{message}");
}

#[test]
fn an_interval_above_half_of_the_watchdog_is_refused() {
    let home = Home::with_config("interval = \"46s\"\n");
    // Without a unit to ask, the shipped one counts.
    let message = failed(&home.run(&["settings", "check"]), 78);
    assert!(
        message
            .contains("interval = \"46s\": must not be longer than half of WatchdogSec=1min 30s"),
        "{message}"
    );
    let run = |interval: &str| {
        home.gatehound(&["--set", &format!("interval={interval}"), "run"])
            .env("WATCHDOG_USEC", "60000000")
            .env("NOTIFY_SOCKET", home.0.path().join("none"))
            .output()
            .unwrap()
    };
    let message = failed(&run("31s"), 78);
    assert!(
        message.contains("half of WatchdogSec=1min: 30s"),
        "{message}"
    );
}

#[test]
fn config_check_says_that_the_settings_are_right() {
    let home = Home::with_config("reset_after = \"1min\"\n");
    let output = home.run(&["settings", "check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(stdout(&output), "the settings are right\n");
}

#[test]
fn config_check_warns_about_a_file_that_everybody_can_change() {
    let home = Home::with_config("");
    fs::set_permissions(home.config(), fs::Permissions::from_mode(0o666)).unwrap();
    let output = home.run(&["settings", "check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).starts_with("warning: "), "{output:?}");
    assert!(stdout(&output).contains("chmod o-w"), "{output:?}");
}

#[test]
fn config_show_prints_every_value_with_its_origin() {
    let home = Home::with_config("reset_after = \"1min\"\n[pause]\ndefault = \"1h\"\n");
    fs::write(
        home.config().with_file_name("work.toml"),
        "debounce = \"9s\"\n",
    )
    .unwrap();
    let output = home
        .gatehound(&[
            "--profile",
            "work",
            "--set",
            "interval=20s",
            "settings",
            "show",
        ])
        .env("GATEHOUND_PROBE__HTTP_TIMEOUT", "3s")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = stdout(&output);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let config = home.config().display().to_string();
    let profile = config.replace("config.toml", "work.toml");
    for expected in [
        ["reset_after", "\"1min\"", &config],
        ["pause.default", "\"1h\"", &config],
        ["debounce", "\"9s\"", &profile],
        [
            "probe.http_timeout",
            "\"3s\"",
            "GATEHOUND_PROBE__HTTP_TIMEOUT",
        ],
        ["interval", "\"20s\"", "--set"],
        ["probe.health_timeout", "\"10s\"", "default"],
        ["gateway.unit", "unset", "default"],
    ] {
        assert!(
            rows.contains(&expected.to_vec()),
            "{expected:?} is not in\n{text}"
        );
    }
    let port = text.lines().find(|line| line.starts_with("gateway.port"));
    assert!(port.is_some_and(|port| port.contains(" where the unit listens;")));
}

#[test]
fn no_command_prints_what_is_secret_in_a_channel() {
    let home = Home::with_config(
        "[alert]\ntimeout = \"1s\"\n\
         [[alert.channel]]\npreset = \"pushover\"\nto = \"me\"\ntoken = \"hunter2\"\nsecret = \"hunter2\"\n\
         url = \"http://hunter2:hunter2@127.0.0.1:1/hunter2?hunter2=hunter2\"\nheaders = { A = \"hunter2\" }\n\
         [[alert.channel]]\nurl = \"http://127.0.0.1:1/hunter2\"\nbody = '{\"hunter2\": \"hunter2\"}'\n\
         [[alert.channel]]\nurl = \"https://{{credential:nosuch}}@127.0.0.1:1/hunter2\"\n\
         [[alert.channel]]\ntype = \"command\"\ncommand = [\"/nosuch/notify\", \"hunter2\"]\n\
         [[alert.channel]]\ntype = \"ping\"\nurl = \"http://127.0.0.1:1/hunter2\"\n",
    );
    for command in [
        ["settings", "show"].as_slice(),
        &["settings", "show", "--json"],
        &["settings", "check"],
        &["status"],
        &["status", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["check"],
        &["check", "--json"],
        &["alert", "test"],
        &["alert", "test", "--ping"],
        &["install", "--dry-run"],
        &["install", "--dry-run", "--json"],
    ] {
        let output = home.run(command);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.is_empty(), "{command:?}");
        assert!(!said.contains("hunter2"), "{command:?}: {said}");
    }
}
