//! Where settings come from, what is refused, and what the messages say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::Duration,
};

use gatehound::settings::{
    Kind, RetryAfter, Settings,
    alert_settings::KEYS,
    layers::{Loaded, Sources, load, show},
    presets::{PINGS, WEBHOOKS},
};
use proptest::prelude::*;
use tempfile::TempDir;

/// A folder with a config.toml, and the sources that read it under the shipped WatchdogSec.
fn sources(config: &str) -> (TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), config).unwrap();
    let sources = Sources {
        folder: dir.path().to_owned(),
        watchdog: Some(Duration::from_secs(90)),
        ..Sources::default()
    };
    (dir, sources)
}

#[test]
fn what_holds_for_all_users_is_under_what_each_user_says() {
    let (_dir, mut sources) = sources("interval = \"20s\"\n");
    let system = tempfile::tempdir().unwrap();
    sources.system = Some(system.path().to_owned());
    assert_eq!(
        load(&sources).unwrap().settings.interval,
        Duration::from_secs(20)
    );
    let path = system.path().join("config.toml");
    fs::write(&path, "interval = \"10s\"\nretry_after = \"never\"\n").unwrap();
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings.interval, Duration::from_secs(20));
    assert_eq!(loaded.settings.retry_after, RetryAfter::Never);
    assert_eq!(loaded.origin("retry_after"), path.to_str().unwrap());
    fs::write(&path, "retry_after = 7\n").unwrap();
    let refused = load(&sources).unwrap_err().to_string();
    assert!(refused.starts_with(path.to_str().unwrap()), "{refused}");
}

fn loaded(config: &str) -> Loaded {
    let (_dir, sources) = sources(config);
    load(&sources).unwrap()
}

/// Holds that the config is refused with this message behind the path of the file.
#[track_caller]
fn check_refused(config: &str, expected: &str) {
    let (dir, sources) = sources(config);
    let path = dir.path().join("config.toml");
    let error = load(&sources).unwrap_err().to_string();
    assert_eq!(error, format!("{}: {expected}", path.display()));
}

#[track_caller]
fn check_override_refused(argument: &str, expected: &str) {
    let sources = Sources {
        overrides: vec![argument.to_owned()],
        ..Sources::default()
    };
    assert_eq!(load(&sources).unwrap_err().to_string(), expected);
}

fn variable(sources: &mut Sources, name: &str, value: &str) {
    sources.variables.insert(name.into(), value.into());
}

#[test]
fn without_any_source_the_defaults_hold() {
    let dir = tempfile::tempdir().unwrap();
    let sources = Sources {
        folder: dir.path().join("missing"),
        profile: Some("work".to_owned()),
        ..Sources::default()
    };
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings, Settings::default());
    assert_eq!(loaded.origin("interval"), "default");
    assert!(loaded.warnings.is_empty());
}

#[test]
fn each_source_goes_over_the_one_before_and_is_named() {
    let (dir, mut sources) = sources(
        r#"
        interval = "1s"
        reset_after = "1s"
        debounce = "1s"
        retry_after = "1s"
        "#,
    );
    let profile = dir.path().join("work.toml");
    fs::write(
        &profile,
        "reset_after = '2s'\ndebounce = '2s'\nretry_after = '2s'\n[probe]\nhttp_timeout = '2s'\n",
    )
    .unwrap();
    sources.profile = Some("work".to_owned());
    variable(&mut sources, "GATEHOUND_DEBOUNCE", "3s");
    variable(&mut sources, "GATEHOUND_RETRY_AFTER", "3s");
    variable(&mut sources, "GATEHOUND_PROBE__HEALTH_TIMEOUT", "3s");
    sources.overrides = vec!["retry_after=never".to_owned()];

    let loaded = load(&sources).unwrap();

    let seconds = Duration::from_secs;
    assert_eq!(loaded.settings.interval, seconds(1));
    assert_eq!(loaded.settings.reset_after, seconds(2));
    assert_eq!(loaded.settings.debounce, seconds(3));
    assert_eq!(loaded.settings.retry_after, RetryAfter::Never);
    assert_eq!(loaded.settings.probe.http_timeout, seconds(2));
    assert_eq!(loaded.settings.probe.health_timeout, seconds(3));
    let config = dir.path().join("config.toml");
    assert_eq!(Path::new(loaded.origin("interval")), config);
    assert_eq!(Path::new(loaded.origin("reset_after")), profile);
    assert_eq!(Path::new(loaded.origin("probe.http_timeout")), profile);
    assert_eq!(loaded.origin("debounce"), "GATEHOUND_DEBOUNCE");
    assert_eq!(
        loaded.origin("probe.health_timeout"),
        "GATEHOUND_PROBE__HEALTH_TIMEOUT"
    );
    assert_eq!(loaded.origin("retry_after"), "--set");
    assert_eq!(loaded.origin("backoff"), "default");
}

#[test]
fn values_of_variables_and_overrides_have_types() {
    let (_dir, mut sources) = sources("");
    variable(&mut sources, "GATEHOUND_GATEWAY__PORT", "18790");
    variable(&mut sources, "GATEHOUND_GATEWAY__ADDRESS", "::1");
    variable(&mut sources, "GATEHOUND_BACKOFF", r#"["1s", "2min"]"#);
    sources.overrides = vec![
        "gateway.unit=a.service".to_owned(),
        "forced_stops.limit=3".to_owned(),
        "pause.flag_file=/run/flag=1".to_owned(),
    ];
    let settings = load(&sources).unwrap().settings;
    assert_eq!(settings.gateway.port, Some(18790));
    assert_eq!(settings.gateway.address, Some("::1".parse().unwrap()));
    assert_eq!(
        settings.backoff,
        [Duration::from_secs(1), Duration::from_secs(120)]
    );
    assert_eq!(settings.gateway.unit.as_deref(), Some("a.service"));
    assert_eq!(settings.forced_stops.limit, 3);
    assert_eq!(settings.pause.flag_file, Path::new("/run/flag=1"));
}

#[test]
fn a_value_with_a_line_break_is_one_value() {
    check_override_refused(
        "interval=1\nbackoff = []",
        r#"--set: interval = "1\nbackoff = []": not a time span; write one such as "30s" or "5min""#,
    );
}

#[test]
fn options_of_the_program_and_foreign_variables_are_no_keys() {
    let (_dir, mut sources) = sources("");
    for name in ["GATEHOUND_PROFILE", "OPENCLAW_GATEWAY_PORT", "INTERVAL"] {
        variable(&mut sources, name, "1");
    }
    assert_eq!(load(&sources).unwrap().settings, Settings::default());
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_what_would_be_right() {
    let span = r#"not a time span; write one such as "30s" or "5min""#;
    check_refused(
        r#"interval = "fast""#,
        &format!(r#"interval = "fast": {span}"#),
    );
    check_refused("interval = 30", &format!("interval = 30: {span}"));
    check_refused("reset_after = true", &format!("reset_after = true: {span}"));
    check_refused(
        "[probe]\nhttp_timeout = []",
        &format!("probe.http_timeout = []: {span}"),
    );
    check_refused(
        "[gateway]\nport = 70000",
        "gateway.port = 70000: not a port; write a number from 1 to 65535",
    );
    check_refused(
        "[gateway]\nport = '18789'",
        r#"gateway.port = "18789": not a port; write a number from 1 to 65535"#,
    );
    check_refused(
        "[gateway]\naddress = 'localhost'",
        r#"gateway.address = "localhost": not an IP address; write one such as "127.0.0.1""#,
    );
    check_refused(
        "gateway = 18789",
        "gateway = 18789: not a table; put its keys below it, as gatehound.toml(5) shows",
    );
    check_refused(
        "backoff = ['5s', 'soon']",
        r#"backoff = ["5s","soon"]: not a list of time spans; write one such as ["5s", "10s", "20s"]"#,
    );
    check_refused(
        "retry_after = 'soon'",
        r#"retry_after = "soon": neither a time span nor "never"; write one such as "15min""#,
    );
    check_refused(
        "[forced_stops]\nlimit = -1",
        "forced_stops.limit = -1: not a count; write a whole number from 1",
    );
}

#[test]
fn a_value_that_cannot_work_is_named_as_it_was_written() {
    check_refused(
        "interval = '1min'",
        r#"interval = "1min": must not be longer than half of WatchdogSec=1min 30s: 45s"#,
    );
    check_refused(
        "[gateway]\nport = 0",
        "gateway.port = 0: must be from 1 to 65535: nothing can listen on port 0",
    );
    check_refused(
        "backoff = []",
        r#"backoff = []: needs at least one delay, such as ["5s", "10s", "20s"]"#,
    );
    check_refused(
        "rollback = 'on'",
        r#"rollback = "on": not a way to deal with a refused configuration; write "off" or "auto""#,
    );
    check_refused(
        "[snapshots]\nkeep = 0",
        "snapshots.keep = 0: must be from 1 to 1000",
    );
    check_refused(
        "[pause]\nflag_file = 'flag'",
        r#"pause.flag_file = "flag": must be an absolute path that can be printed, such as "/tmp/openclaw-maintenance""#,
    );
}

#[test]
fn an_unknown_key_is_named_with_those_that_are_known() {
    check_refused(
        "intervall = '30s'",
        "intervall: no such key; did you mean interval?",
    );
    check_refused(
        "[gatewya]\nport = 1",
        "gatewya: no such key; did you mean gateway?",
    );
    check_refused("port = 1", "port: no such key; did you mean gateway.port?");
    check_refused(
        "[probe]\ntimeout = '5s'",
        "probe.timeout: no such key; known are probe.health_timeout, probe.http_timeout",
    );
    check_override_refused(
        "pause.for=1h",
        "--set: pause.for: no such key; known are pause.default, pause.flag_file",
    );
}

#[test]
fn an_unknown_variable_is_named() {
    let (_dir, mut sources) = sources("");
    variable(&mut sources, "GATEHOUND_PROBE__TIMEOUT", "5s");
    assert_eq!(
        load(&sources).unwrap_err().to_string(),
        "GATEHOUND_PROBE__TIMEOUT: probe.timeout: no such key; \
         known are probe.health_timeout, probe.http_timeout"
    );
}

#[test]
fn a_wrong_value_is_blamed_on_the_source_it_came_from() {
    let (_dir, mut sources) = sources("interval = '30s'");
    variable(&mut sources, "GATEHOUND_INTERVAL", "soon");
    let error = load(&sources).unwrap_err().to_string();
    assert!(
        error.starts_with(r#"GATEHOUND_INTERVAL: interval = "soon": not a time span"#),
        "{error}"
    );
    check_override_refused(
        "interval=0s",
        r#"--set: interval = "0s": must be longer than 0s"#,
    );
}

#[test]
fn an_override_without_a_value_is_refused() {
    check_override_refused(
        "interval",
        r#"--set "interval": not key=value; write one such as --set interval=30s"#,
    );
}

#[test]
fn a_syntax_error_has_line_and_column() {
    let (dir, sources) = sources("interval = \"30s\"\nreset_after = \"5min\n");
    let error = load(&sources).unwrap_err().to_string();
    let prefix = format!(
        "{}: line 2, column ",
        dir.path().join("config.toml").display()
    );
    assert!(error.starts_with(&prefix), "{error}");
    check_one_line(&error);
    check_refused(
        "interval = '1s'\ninterval = '2s'",
        "line 2, column 1: duplicate key `interval` in document root",
    );
}

#[test]
fn a_file_that_is_no_readable_text_is_an_error() {
    let (dir, sources) = sources("");
    let path = dir.path().join("config.toml");
    let check = |expected: &str| {
        let error = load(&sources).unwrap_err().to_string();
        let full = format!("{}: {expected}", path.display());
        assert!(error.starts_with(&full), "{error}");
    };

    fs::write(&path, b"# \xff\n").unwrap();
    check("not UTF-8 text at byte 2");
    fs::write(&path, vec![b'#'; 256 * 1024 + 1]).unwrap();
    check("cannot be read: larger than 262144 bytes");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    check("cannot be read: not a regular file");
    fs::remove_dir(&path).unwrap();
    symlink(&path, &path).unwrap();
    check("cannot be read:");
}

#[test]
fn a_config_kept_elsewhere_and_linked_is_read() {
    let (dir, sources) = sources("interval = '7s'");
    let path = dir.path().join("config.toml");
    fs::rename(&path, dir.path().join("dotfile")).unwrap();
    symlink("dotfile", &path).unwrap();
    assert_eq!(
        load(&sources).unwrap().settings.interval,
        Duration::from_secs(7)
    );
}

#[test]
fn a_config_that_every_user_can_change_is_used_with_a_warning() {
    let (dir, sources) = sources("interval = '7s'");
    let path = dir.path().join("config.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings.interval, Duration::from_secs(7));
    let warnings: Vec<&str> = loaded.warnings.iter().map(|line| line.as_str()).collect();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("every user can change it"),
        "{warnings:?}"
    );
}

#[test]
fn a_profile_stays_inside_the_folder() {
    for profile in ["../x", "", ".hidden", "a/b", "a\nb", &"x".repeat(65)] {
        let sources = Sources {
            profile: Some(profile.to_owned()),
            ..Sources::default()
        };
        let error = load(&sources).unwrap_err().to_string();
        assert!(error.contains("not a profile"), "{error}");
        check_one_line(&error);
    }
}

#[test]
fn every_effective_value_is_shown_with_its_origin() {
    let loaded = loaded("interval = '90ms'\n[gateway]\nport = 1\n");
    let shown = show(&loaded);
    let line = |key: &str| {
        let found = shown.iter().find(|shown| shown.key == key).unwrap();
        (found.value.as_str(), found.origin.as_str())
    };
    let file = loaded.origin("interval");
    assert!(file.ends_with("/config.toml"));
    assert_eq!(line("interval"), (r#""90ms""#, file));
    assert_eq!(line("gateway.port"), ("1", file));
    assert_eq!(line("gateway.unit"), ("unset", "default"));
    assert_eq!(line("backoff"), (r#"["5s","10s","20s"]"#, "default"));
    assert_eq!(line("retry_after"), (r#""15min""#, "default"));
}

#[test]
fn what_is_shown_can_be_read_back() {
    let shown = show(&loaded(
        "retry_after = 'never'\nbackoff = ['90s', '1h 1ms']\n[gateway]\naddress = '::1'\nunit = 'a.service'\n",
    ));
    let config: String = shown
        .iter()
        .filter(|shown| shown.value != "unset")
        .map(|shown| format!("{} = {}\n", shown.key, shown.value))
        .collect();
    let again: Vec<_> = show(&loaded(&config))
        .into_iter()
        .map(|shown| (shown.key, shown.value))
        .collect();
    let first: Vec<_> = shown
        .into_iter()
        .map(|shown| (shown.key, shown.value))
        .collect();
    assert_eq!(again, first);
}

/// The keys of gatehound.toml(5), each with its default if it has one.
fn documented() -> Vec<(String, Option<String>)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/gatehound.toml.5");
    let page = fs::read_to_string(page).unwrap();
    let keys = page
        .split("\n.SH ")
        .find(|section| section.starts_with("KEYS\n"))
        .unwrap();
    keys.split("\n.TP\n")
        .skip(1)
        .map(|entry| {
            let tag = entry.lines().next().unwrap();
            match tag.strip_prefix(".BR ") {
                Some(tag) => {
                    let (key, value) = tag.split_once(" \" = ").unwrap();
                    let value = value.strip_suffix('"').unwrap();
                    let value = value.replace("\\(dq", "\"").replace("\\-", "-");
                    (key.to_owned(), Some(value))
                }
                None => (tag.strip_prefix(".B ").unwrap().to_owned(), None),
            }
        })
        .collect()
}

#[test]
fn the_man_page_has_every_key_once_and_no_other() {
    let mut documented: Vec<String> = documented().into_iter().map(|(key, _)| key).collect();
    documented.sort();
    let known: Vec<String> = show(&loaded(""))
        .into_iter()
        .map(|shown| shown.key)
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn the_man_page_has_every_key_and_every_preset_of_a_channel() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/gatehound.toml.5");
    let page = fs::read_to_string(page).unwrap().replace("\\-", "-");
    let section = page
        .split("\n.SH ")
        .find(|section| section.starts_with("CHANNELS\n"))
        .unwrap();
    let tags: Vec<&str> = section
        .split("\n.TP\n")
        .skip(1)
        .flat_map(|entry| entry.lines().next().unwrap().split([' ', ',', '"']))
        .collect();
    for key in KEYS {
        assert!(tags.contains(&key), "{key}");
    }
    for kind in Kind::ALL {
        let name = kind.name();
        assert!(section.contains(&format!("\\(dq{name}\\(dq")), "{name}");
    }
    let presets = WEBHOOKS.iter().map(|row| row.name).chain(PINGS);
    for name in presets.filter(|name| *name != "mail") {
        assert!(section.contains(&format!("\\(dq{name}\\(dq")), "{name}");
    }
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let others = ["json", "mail"].len();
    let services = WEBHOOKS.len() - others;
    let claim = format!("presets for {services} services");
    assert!(
        fs::read_to_string(readme).unwrap().contains(&claim),
        "{claim}"
    );
}

/// The examples of gatehound.toml(5) that are settings, as they stand there.
fn examples() -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/gatehound.toml.5");
    let page = fs::read_to_string(page).unwrap();
    let examples = page.split("\n.EX\n").skip(1);
    let examples = examples.map(|rest| rest.split("\n.EE\n").next().unwrap().to_owned());
    examples
        .map(|text| {
            text.replace("\\(dq", "\"")
                .replace("\\(aq", "'")
                .replace("\\-", "-")
        })
        .filter(|text| text.contains(" = "))
        .collect()
}

#[test]
fn the_examples_of_the_man_page_are_settings_that_are_taken() {
    let examples = examples();
    assert!(6 < examples.len());
    for example in examples {
        assert_ne!(loaded(&example).settings, Settings::default(), "{example}");
    }
}

#[test]
fn the_defaults_of_the_man_page_are_those_of_the_program() {
    let documented = documented();
    for (key, value) in &documented {
        let config = match value {
            Some(value) => format!("{key} = {value}"),
            None => continue,
        };
        let loaded = loaded(&config);
        assert_eq!(loaded.settings, Settings::default(), "{config}");
        assert_ne!(loaded.origin(key), "default");
    }
    let without: Vec<&String> = documented
        .iter()
        .filter_map(|(key, value)| value.is_none().then_some(key))
        .collect();
    let shown = show(&loaded(""));
    let unset: Vec<&String> = shown
        .iter()
        .filter_map(|shown| (shown.value == "unset").then_some(&shown.key))
        .collect();
    assert_eq!(BTreeSet::from_iter(without), BTreeSet::from_iter(unset));
}

/// The example file with the `#` in front of its settings removed, as far as `keep` says of their dotted keys.
fn example(mut keep: impl FnMut(&str) -> bool) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/units/gatehound.example.toml");
    let mut table = String::new();
    let mut before = "";
    let mut settings = String::new();
    let text = fs::read_to_string(path).unwrap();
    for line in text.lines() {
        let set = line.strip_prefix('#').filter(|set| !set.starts_with(' '));
        let set = set.filter(|set| !set.is_empty());
        if let Some(name) = set.and_then(|set| set.strip_prefix('[')) {
            table = format!("{}.", name.strip_suffix(']').unwrap());
        } else if let Some((key, value)) = set.map(|set| set.split_once(" = ").unwrap()) {
            let plain = before.starts_with("# ") && before.ends_with('.');
            assert!(plain, "{key} has no line that says what it is");
            let key = format!("{table}{key}");
            if keep(&key) {
                settings.push_str(&format!("{key} = {value}\n"));
            }
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "{line}");
        }
        before = line;
    }
    settings
}

#[test]
fn the_example_has_every_key_once_with_its_default() {
    let shown = show(&loaded(""));
    let mut keys = Vec::new();
    let unset: Vec<&str> = shown
        .iter()
        .filter_map(|one| (one.value == "unset").then_some(one.key.as_str()))
        .collect();
    let with_default = example(|key| {
        keys.push(key.to_owned());
        !unset.contains(&key)
    });
    assert_eq!(loaded(&with_default).settings, Settings::default());
    keys.sort();
    let known: Vec<&String> = shown.iter().map(|one| &one.key).collect();
    assert_eq!(keys.iter().collect::<Vec<_>>(), known);
    // As it is copied it changes nothing, and what has no default is an example that is accepted.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/units/gatehound.example.toml");
    let copied = fs::read_to_string(path).unwrap();
    assert_eq!(loaded(&copied).settings, Settings::default());
    for key in unset {
        loaded(&example(|one| one == key));
    }
}

#[track_caller]
fn check_one_line(message: &str) {
    assert!(!message.is_empty());
    assert!(message.len() < 2000, "{} bytes", message.len());
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

#[track_caller]
fn check_either_loads_or_says_one_line(sources: &Sources) {
    if let Err(error) = load(sources) {
        check_one_line(&error.to_string());
    }
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let deep = 100_000;
    for config in [
        format!("backoff = {}", "[".repeat(deep)),
        format!("backoff = {}", "{a=".repeat(deep / 2)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]", "a.".repeat(deep)),
        format!("interval = {{ {}a = 1 }}", "a.".repeat(deep)),
    ] {
        let (_dir, sources) = sources(&config);
        check_one_line(&load(&sources).unwrap_err().to_string());
    }
    for argument in [
        format!("backoff={}", "[".repeat(deep)),
        format!("backoff={}", "{a=".repeat(deep / 3)),
        format!("{}a=1", "a.".repeat(deep)),
    ] {
        let (_dir, mut sources) = sources("");
        sources.overrides = vec![argument];
        check_one_line(&load(&sources).unwrap_err().to_string());
    }
}

/// Text that looks enough like a config to get past the first check.
fn toml_like() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("interval".to_owned()),
        Just("backoff".to_owned()),
        Just("retry_after".to_owned()),
        Just("gateway.port".to_owned()),
        Just("gateway.unit".to_owned()),
        Just("probe".to_owned()),
        Just("probe.http_timeout".to_owned()),
        Just("pause.flag_file".to_owned()),
        Just("\"a.b\\n\"".to_owned()),
        "[a-z_.\"']{0,12}",
    ];
    let value = prop_oneof![
        "\"[0-9]{1,20}(s|min|y|ns)?\"",
        "-?[0-9]{1,20}",
        "[0-9.eE+-]{1,10}",
        Just("[]".to_owned()),
        Just("nan".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        Just("{ a = [1, { b = 'c' }] }".to_owned()),
        "\\[(\"[0-9]{1,3}s\",){0,20}\\]",
        "\"(\\\\n|\\\\u0000|[a-z/@.])*\"",
        ".*",
    ];
    let line = prop_oneof![
        8 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => "\\[+[a-z.]{0,9}\\]+",
        1 => ".*",
    ];
    proptest::collection::vec(line, 0..6).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn any_file_loads_or_says_one_line(config in toml_like()) {
        let (_dir, sources) = sources(&config);
        check_either_loads_or_says_one_line(&sources);
    }

    #[test]
    fn any_variable_and_override_loads_or_says_one_line(
        name in "[A-Z_]{0,12}|INTERVAL|GATEWAY__PORT|BACKOFF",
        value in ".*",
        argument in "(interval|backoff|gateway\\.unit|pause\\.flag_file|.*)=.*|.*",
    ) {
        let (_dir, mut sources) = sources("");
        variable(&mut sources, &format!("GATEHOUND_{name}"), &value);
        check_either_loads_or_says_one_line(&sources);
        sources.variables.clear();
        sources.overrides = vec![argument];
        check_either_loads_or_says_one_line(&sources);
    }
}

#[test]
fn the_id_of_a_chat_may_be_a_number_wherever_it_is_set() {
    let expected = Some("-1001234567890");
    for id in ["-1001234567890", "\"-1001234567890\""] {
        let keys = [
            "preset = \"telegram\"",
            "url = \"https://a\"",
            &format!("to = {id}"),
        ];
        let set = loaded(&format!("[[alert.channel]]\n{}", keys.join("\n")));
        assert_eq!(set.settings.alert.channel[0].to.as_deref(), expected);
        let (_dir, mut given) = sources("");
        given.overrides = vec![format!("alert.channel=[{{{}}}]", keys.join(", "))];
        let set = load(&given).unwrap();
        assert_eq!(set.settings.alert.channel[0].to.as_deref(), expected);
        assert_eq!(set.origin("alert.channel.1.to"), "--set");
    }
}

#[test]
fn a_channel_is_shown_without_what_is_secret_in_it() {
    let set = loaded(
        "[[alert.channel]]\ntype = \"desktop\"\n[[alert.channel]]\nkinds = [\"down\"]\npreset = \"pushover\"\n\
         to = \"me\"\nurl = \"https://example.com/hunter22\"\ntoken = \"hunter22\"\nsecret = \"hunter22\"\n\
         headers = { A = \"hunter22\" }\nbody = '{\"a\": \"hunter22\"}'",
    );
    let shown = show(&set);
    let lines: Vec<String> = shown
        .iter()
        .filter_map(|one| {
            Some(format!(
                "{} = {}",
                one.key.strip_prefix("alert.channel.")?,
                one.value
            ))
        })
        .collect();
    assert_eq!(
        lines,
        [
            "1.type = \"desktop\"",
            "2.body = (hidden)",
            "2.headers.A = (hidden)",
            "2.kinds = [\"down\"]",
            "2.preset = \"pushover\"",
            "2.secret = (hidden)",
            "2.to = \"me\"",
            "2.token = (hidden)",
            "2.type = \"webhook\"",
            "2.url = (hidden)",
        ]
    );
    assert!(shown.iter().all(|one| !one.value.contains("hunter22")));
    let origin = &shown
        .iter()
        .find(|one| one.key == "alert.channel.2.to")
        .unwrap()
        .origin;
    assert!(origin.ends_with("/config.toml"), "{origin}");
}

#[test]
fn what_may_be_secret_in_a_channel_is_in_no_message() {
    for wrong in [
        "[[alert.channel]]\nurl = \"gopher://hunter22\"",
        "[[alert.channel]]\nurl = [\"https://hunter22\"]",
        "[[alert.channel]]\nheaders = \"hunter22\"",
        "[[alert.channel]]\ncommand = [\"hunter22\"]",
        "[[alert.channel]]\nbody = \"hunter22 {{nosuch}}\"",
        "[[alert.channel]]\ntoken = { hunter22 = \"hunter22\" }",
        "[[alert.channel]]\nkinds = [\"hunter22\"]",
        "alert.channel = \"https://hunter22\"",
        "alert.channel = [\"https://hunter22\"]",
        "alert = \"https://hunter22\"",
        "alert.webhook = \"https://hunter22\"",
        "[alert.channel]\nurl = \"https://hunter22\"",
    ] {
        let (_folder, sources) = sources(wrong);
        let message = load(&sources).unwrap_err().to_string();
        assert!(!message.contains("hunter22"), "{message}");
    }
}

/// A channel in which this key, as far as it takes a text, has a secret in every place; with what else the key needs.
fn secretive(key: &str) -> String {
    let webhook = "type = \"webhook\", url = \"https://a/\"";
    match key {
        "type" | "kinds" | "preset" => format!("{webhook}, {key} = \"hunter22\""),
        "url" => {
            "type = \"webhook\", url = \"https://hunter22:hunter22@hunter22.example.com/hunter22?hunter22=hunter22#hunter22\""
                .to_owned()
        }
        "headers" => format!("{webhook}, headers = {{ A = \"hunter22\", B = \"Bearer {{{{credential:a}}}} hunter22\" }}"),
        "body" => format!("{webhook}, body = '{{\"hunter22\": \"hunter22\"}}'"),
        "command" => "type = \"command\", command = [\"/hunter22\", \"hunter22\", \"--x=hunter22\"]".to_owned(),
        text => format!("{webhook}, {text} = \"hunter22\""),
    }
}

#[test]
fn of_every_key_of_a_channel_it_was_decided_whether_it_is_shown() {
    let mut seen = Vec::new();
    for key in KEYS {
        let written = format!("[alert]\nchannel = [{{{}}}]\n", secretive(key));
        let (_folder, sources) = sources(&written);
        let text = match load(&sources) {
            Ok(set) => {
                let shown = show(&set).into_iter();
                let text: Vec<String> = shown
                    .map(|one| format!("{} = {}\n", one.key, one.value))
                    .collect();
                text.concat()
            }
            // What is no text of one's own is refused, and not quoted.
            Err(refused) => {
                assert!(["type", "kinds", "preset"].contains(&key), "{refused}");
                refused.to_string()
            }
        };
        if text.contains("hunter22") {
            seen.push(key);
        }
    }
    // Whom a message is for, which is no leave to write to them.
    assert_eq!(seen, ["to"]);
}

#[test]
fn of_every_setting_that_takes_any_text_it_was_decided_that_it_is_shown() {
    let mut taken = Vec::new();
    for one in show(&loaded("")) {
        let texts = [
            "hunter22",
            "/hunter22",
            "/hunter22.prom",
            "https://a/hunter22",
            "hunter22.service",
        ];
        let any = texts
            .iter()
            .flat_map(|text| [format!("{text:?}"), format!("[{text:?}]")])
            .any(|value| {
                let (_folder, mut sources) = sources("");
                sources.overrides = vec![format!("{}={value}", one.key)];
                load(&sources)
                    .is_ok_and(|set| show(&set).iter().any(|one| one.value.contains("hunter22")))
            });
        if any {
            taken.push(one.key);
        }
    }
    // A unit and two files. Who adds a setting with a text decides here whether it may be seen, else in `leaves.rs`.
    assert_eq!(
        taken,
        ["gateway.unit", "metrics.textfile", "pause.flag_file"]
    );
}
