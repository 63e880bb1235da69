//! What ships beside the program: the unit files and the man pages they point to.

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
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use gatehound::settings::{Settings, layers::Sources};
use tempfile::TempDir;

/// Of these, the watchdog's own.
const WATCHDOGS: [&str; 2] = ["gatehound.service", "gatehound@.service"];

const UNITS: [&str; 8] = [
    "gatehound.service",
    "gatehound@.service",
    "gatehound-alert.service",
    "gatehound-alert@.service",
    "gatehound-ping.service",
    "gatehound-ping@.service",
    "gatehound-tidy.service",
    "gatehound-tidy.timer",
];

const PAGES: [(&str, &str); 3] = [
    ("gatehound.1", "man1"),
    ("gatehound.toml.5", "man5"),
    ("gatehound.service.8", "man8"),
];

fn shipped(folder: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(name)
}

fn unit(name: &str) -> String {
    fs::read_to_string(shipped("units", name)).unwrap()
}

/// The directives of a unit file: each `Key=value` line.
fn directives(unit: &str) -> Vec<(&str, &str)> {
    unit.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect()
}

/// A home with everything installed: program, units, man pages, and an empty runtime folder.
fn installed() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    for folder in ["bin", "units", "run"] {
        fs::create_dir_all(home.path().join(".local").join(folder)).unwrap();
    }
    let program = home.path().join(".local/bin/gatehound");
    fs::write(&program, "").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for name in UNITS {
        // As `gatehound install` writes it into a home.
        let unit = unit(name).replace("=/usr/bin/gatehound ", "=%h/.local/bin/gatehound ");
        fs::write(home.path().join(".local/units").join(name), unit).unwrap();
    }
    for (name, section) in PAGES {
        let folder = home.path().join(".local/man").join(section);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(shipped("man", name), folder.join(name)).unwrap();
    }
    home
}

/// Holds that a program of the system ends well and has nothing to say.
#[track_caller]
fn check_silent(command: &mut Command, package: &str) {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; run apt install {package}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    let home = installed();
    let local = home.path().join(".local");
    for name in [
        "gatehound.service",
        "gatehound@work.service",
        "gatehound-alert.service",
        "gatehound-alert@work.service",
        "gatehound-ping.service",
        "gatehound-ping@work.service",
        "gatehound-tidy.service",
        "gatehound-tidy.timer",
    ] {
        let mut verify = Command::new("systemd-analyze");
        verify
            .args(["--user", "verify"])
            .arg(local.join("units").join(name))
            .env("HOME", home.path())
            .env("XDG_RUNTIME_DIR", local.join("run"))
            // Documentation=man: pages are looked up too.
            .env("MANPATH", local.join("man"));
        check_silent(&mut verify, "systemd man-db");
    }
}

#[test]
fn systemd_has_nothing_to_say_about_the_units_of_the_systems_manager() {
    let home = installed();
    for name in ["gatehound-collect.service", "gatehound-collect.timer"] {
        let unit = fs::read_to_string(shipped("units/system", name)).unwrap();
        let program = home.path().join(".local/bin/gatehound");
        let unit = unit.replace("=/usr/bin/gatehound", &format!("={}", program.display()));
        let path = home.path().join(name);
        fs::write(&path, unit).unwrap();
        let mut verify = Command::new("systemd-analyze");
        verify
            .arg("verify")
            .arg(path)
            .env("MANPATH", home.path().join(".local/man"));
        check_silent(&mut verify, "systemd man-db");
    }
}

#[test]
fn prometheus_takes_the_alerting_rules_and_they_pass_their_tests() {
    for arguments in [
        ["check", "rules", "gatehound.rules.yml"],
        ["test", "rules", "gatehound.rules.test.yml"],
    ] {
        let output = Command::new("promtool")
            .args(arguments)
            .current_dir(shipped("units", ""))
            .output();
        let output = output.unwrap_or_else(|e| panic!("promtool: {e}; apt-get install prometheus"));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn prometheus_takes_every_expression_of_the_dashboard() {
    let dashboard = fs::read_to_string(shipped("units", "gatehound.dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let expressions = targets.flatten().map(|target| target["expr"].as_str());
    let rules: Vec<serde_json::Value> = expressions
        .enumerate()
        .map(|(number, expression)| {
            // What Grafana puts in.
            let expression = expression.unwrap().replace("$__range", "1h");
            serde_json::json!({ "record": format!("panel:{number}"), "expr": expression })
        })
        .collect();
    assert!(15 < rules.len(), "{rules:?}");
    // JSON is YAML as well.
    let rules = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dashboard.yml");
    fs::write(&path, rules.to_string()).unwrap();
    let output = Command::new("promtool")
        .args(["check", "rules"])
        .arg(&path)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

/// The types of Grafana's own dashboards, and what holds a file against them, as npm has them.
const GRAFANA: &str = "npm install --ignore-scripts --no-audit --no-fund --prefix . \
                       @grafana/schema@13.2.3 typescript@5.9.3";

/// What a JSON file can have of a type, and what Prometheus adds to an annotation.
const GRAFANA_TYPES: &str = "\
import type { AnnotationQuery, Dashboard, DataQuery, Panel, RowPanel } from '@grafana/schema';
type Json<T> = T extends string ? `${T}`
    : T extends number | boolean | null | undefined ? T
    : T extends readonly (infer E)[] ? Json<E>[]
    : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type Annotation = AnnotationQuery<DataQuery & { expr: string; interval: string }>
    & { titleFormat: string; textFormat: string };
type Whole = Omit<Dashboard, 'panels' | 'annotations'> & { annotations: { list: Annotation[] } };
";

/// Each kind of panel in the dashboard, its name in these types, and whether its fields have settings of their own.
const PANELS: [(&str, &str, bool); 5] = [
    ("stat", "Stat", false),
    ("state-timeline", "StateTimeline", true),
    ("bargauge", "BarGauge", false),
    ("timeseries", "TimeSeries", true),
    ("table", "Table", true),
];

/// Whether this variable asks for a test that needs more; says so where it does not.
fn is_asked_for(variable: &str) -> bool {
    let asked = std::env::var_os(variable).is_some_and(|value| value == "1");
    if !asked {
        eprintln!("not tried: {variable}=1 asks for it");
    }
    asked
}

/// A folder in which this script has put what it fetches, unless it did so before.
fn fetched(name: &str, script: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mark = folder.join("fetched-by");
    if fs::read_to_string(&mark).is_ok_and(|by| by == script) {
        return folder;
    }
    fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(&folder);
    assert!(command.status().unwrap().success(), "{script}");
    fs::write(mark, script).unwrap();
    folder
}

#[test]
fn the_dashboard_is_what_grafana_says_a_dashboard_is() {
    if !is_asked_for("E2E_GRAFANA") {
        return;
    }
    let dashboard = fs::read_to_string(shipped("units", "gatehound.dashboard.json")).unwrap();
    let mut dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard.as_object_mut().unwrap().remove("panels").unwrap();
    let mut types = GRAFANA_TYPES.to_owned();
    for (kind, name, _) in PANELS {
        let folder = kind.replace('-', "");
        types += &format!(
            "import type * as {name} from '@grafana/schema/dist/esm/raw/composable/{folder}/panelcfg/x/{name}PanelCfg_types.gen';\n"
        );
    }
    types += &format!("export const dashboard: Json<Whole> = {dashboard:#};\n");
    for (number, panel) in panels.as_array().unwrap().iter().enumerate() {
        let kind = panel["type"].as_str().unwrap();
        let is = if kind == "row" {
            "RowPanel".to_owned()
        } else {
            let (_, name, fields) = PANELS.iter().find(|(found, ..)| *found == kind).unwrap();
            let fields = if *fields {
                format!("{name}.FieldConfig")
            } else {
                "Record<string, never>".to_owned()
            };
            format!("Panel<{name}.Options, {fields}>")
        };
        types += &format!("export const panel{number}: Json<{is}> = {panel:#};\n");
    }
    let folder = fetched("grafana-schema", GRAFANA);
    fs::write(folder.join("dashboard.ts"), types).unwrap();
    let output = Command::new(folder.join("node_modules/.bin/tsc"))
        .args(["--noEmit", "--strict", "--target", "es2022"])
        .args(["--module", "esnext", "--moduleResolution", "bundler"])
        .arg("dashboard.ts")
        .current_dir(&folder)
        .output()
        .expect("apt-get install nodejs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

/// The examples of a section of gatehound.service(8), each as it is typed.
fn examples(section: &str) -> Vec<String> {
    let page = fs::read_to_string(shipped("man", "gatehound.service.8")).unwrap();
    let section = page.split(&format!("\n.SH {section}\n")).nth(1).unwrap();
    let section = section.split("\n.SH ").next().unwrap();
    let examples = section.split("\n.EX\n").skip(1);
    let examples = examples.map(|rest| rest.split("\n.EE").next().unwrap());
    examples
        .map(|text| text.replace("\\-", "-").replace("\\(dq", "\"") + "\n")
        .collect()
}

#[test]
fn what_is_written_of_many_gateways_is_taken_as_it_is_written() {
    let examples = examples("MANY GATEWAYS");
    let starting = |text: &str| {
        let found = examples.iter().find(|example| example.starts_with(text));
        found.unwrap_or_else(|| panic!("{text} in {examples:?}"))
    };
    // The file for all users is read as one.
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("config.toml");
    fs::write(&path, starting("# /etc/gatehound/config.toml")).unwrap();
    let sources = Sources {
        system: Some(root.path().to_owned()),
        ..Sources::default()
    };
    let loaded = gatehound::settings::layers::load(&sources).unwrap();
    assert!(loaded.settings.metrics.collected);
    assert_eq!(loaded.settings.alert.channel.len(), 1);
    // The cloud-config writes one that is read as well.
    let cloud = starting("#cloud-config");
    let lines = cloud
        .lines()
        .skip_while(|line| !line.ends_with("content: |"));
    let content: String = lines
        .skip(1)
        .take_while(|line| line.starts_with("      "))
        .map(|line| line.trim_start().to_owned() + "\n")
        .collect();
    fs::write(&path, content).unwrap();
    assert!(
        gatehound::settings::layers::load(&sources)
            .unwrap()
            .settings
            .metrics
            .collected
    );
    // What both run is what stands beside them, and what the trial of a fleet runs.
    let ansible = starting("- name: ");
    let from_root = starting("sudo systemctl --user -M");
    let enable = from_root.lines().next().unwrap();
    let enable = enable.strip_prefix("sudo ").unwrap();
    assert!(
        ansible.contains(&format!("command: {enable}\n")),
        "{ansible}"
    );
    for file in [
        "path: /etc/gatehound\n",
        "dest: /etc/gatehound/config.toml\n",
    ] {
        assert!(ansible.contains(file), "{ansible}");
    }
    let image = starting("systemctl --global enable");
    let enable = image.lines().next().unwrap().replace(' ', ", ");
    assert!(cloud.contains(&format!("- [{enable}]\n")), "{cloud}");
    assert!(cloud.contains("path: /etc/gatehound/config.toml\n"));
    // The drop-in is one for the unit that is shipped.
    let drop_in = starting("# /etc/systemd/user/");
    let home = installed();
    let local = home.path().join(".local");
    let folder = local.join("units/gatehound.service.d");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("local.conf"), drop_in).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify
        .args(["--user", "verify"])
        .arg(local.join("units/gatehound.service"))
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", local.join("run"))
        .env("MANPATH", local.join("man"));
    check_silent(&mut verify, "systemd man-db");
    // In an image, whose root is another folder.
    let enable = image.lines().next().unwrap();
    let folder = root.path().join("usr/lib/systemd/user");
    fs::create_dir_all(&folder).unwrap();
    for name in UNITS {
        fs::copy(shipped("units", name), folder.join(name)).unwrap();
    }
    let mut words = enable.split(' ');
    let mut enabled = Command::new(words.next().unwrap());
    let output = enabled.arg("--root").arg(root.path()).args(words).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let wants = root.path().join("etc/systemd/user");
    assert!(
        wants
            .join("default.target.wants/gatehound.service")
            .is_symlink()
    );
    assert!(
        wants
            .join("timers.target.wants/gatehound-tidy.timer")
            .is_symlink()
    );
}

/// ansible-core of PyPI, and cloud-init of Debian, without its services, in a Python of their own.
const PLAYERS: &str = "python3 -m venv --clear .
bin/pip install --quiet --disable-pip-version-check ansible-core==2.19.14 \
    configobj jinja2 jsonpatch jsonschema netifaces oauthlib pyserial pyyaml requests setuptools
rm -f ./*.deb
apt-get --quiet=2 download cloud-init
dpkg-deb --extract ./*.deb cloud-init";

#[test]
fn ansible_and_cloud_init_take_their_examples() {
    if !is_asked_for("E2E_EXAMPLES") {
        return;
    }
    let folder = fetched("players", PLAYERS);
    let examples = examples("MANY GATEWAYS");
    for (name, begin) in [("playbook.yml", "- name: "), ("cloud.yml", "#cloud-config")] {
        let example = examples.iter().find(|text| text.starts_with(begin));
        fs::write(folder.join(name), example.unwrap()).unwrap();
    }
    for words in [
        "bin/ansible-playbook --syntax-check --inventory gateways, playbook.yml",
        "bin/python -m cloudinit.cmd.main schema --config-file cloud.yml",
    ] {
        let output = Command::new("sh")
            .args(["-euc", words])
            .current_dir(&folder)
            .env("LC_ALL", "C.UTF-8")
            .env("PYTHONPATH", "cloud-init/usr/lib/python3/dist-packages")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{words}: {said}");
        println!("{words}: {said}");
    }
}

#[test]
fn journalctl_takes_the_catalog() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("usr/lib/systemd/catalog");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(root.path().join("var/lib/systemd/catalog")).unwrap();
    fs::copy(
        shipped("units", "gatehound.catalog"),
        folder.join("gatehound.catalog"),
    )
    .unwrap();
    let mut root_option = std::ffi::OsString::from("--root=");
    root_option.push(root.path());
    let mut update = Command::new("journalctl");
    update.arg(&root_option).arg("--update-catalog");
    check_silent(&mut update, "systemd");
    let mut list = Command::new("journalctl");
    let listed = list
        .arg(&root_option)
        .arg("--list-catalog")
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let entries = fs::read_to_string(shipped("units", "gatehound.catalog")).unwrap();
    let entries = entries
        .lines()
        .filter(|line| line.starts_with("-- "))
        .count();
    assert_eq!(listed.lines().count(), entries, "{listed}");
}

#[test]
fn groff_has_nothing_to_say_about_the_man_pages() {
    for (name, _) in PAGES {
        let mut lint = Command::new("groff");
        lint.args(["-man", "-Tutf8", "-ww", "-z"])
            .arg(shipped("man", name));
        check_silent(&mut lint, "groff-base");
    }
}

#[test]
fn man_shows_the_pages_in_chinese_to_whoever_reads_chinese() {
    let folder = tempfile::tempdir().unwrap();
    for (name, section) in PAGES {
        let page = shipped("man/zh_CN", name);
        let mut lint = Command::new("groff");
        lint.args(["-man", "-Kutf8", "-Tutf8", "-ww", "-z"])
            .arg(&page);
        check_silent(&mut lint, "groff");
        for (language, folder) in [("zh_CN/", folder.path()), ("", folder.path())] {
            let folder = folder.join(format!("{language}{section}"));
            fs::create_dir_all(&folder).unwrap();
            fs::copy(shipped(&format!("man/{language}"), name), folder.join(name)).unwrap();
        }
        let title = name.rsplit_once('.').unwrap().0;
        let mut man = Command::new("man");
        let man = man
            .args(["-L", "zh_CN", title])
            .env("MANPATH", folder.path())
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "80")
            .output()
            .unwrap();
        let shown = String::from_utf8(man.stdout).unwrap();
        assert!(shown.contains("名称") && shown.contains("另见"), "{shown}");
        let wide = |line: &str| {
            line.chars()
                .map(|c| if c < '\u{2e80}' { 1 } else { 2 })
                .sum::<usize>()
        };
        let text = shown
            .lines()
            .filter(|line| line.contains(|c| '\u{2e80}' <= c));
        let longest = text.map(wide).max();
        assert!(longest <= Some(82), "a line is not broken: {longest:?}");
    }
}

#[test]
fn the_man_pages_are_of_this_version() {
    let version = format!("\"gatehound {}\"", env!("CARGO_PKG_VERSION"));
    for (name, _) in PAGES {
        for folder in ["man", "man/zh_CN"] {
            let page = fs::read_to_string(shipped(folder, name)).unwrap();
            let title = page.lines().next().unwrap();
            assert!(title.contains(&version), "{folder}/{name}: {title}");
        }
    }
}

/// Holds in which directives a unit and its template differ; of the comments only the three lines at the top do.
#[track_caller]
fn check_differing(units: [&str; 2], expected: &[(&str, &str, &str)]) {
    let [plain, template] = units.map(unit);
    let others = |unit: &str| -> Vec<String> {
        let below = unit.lines().skip(3);
        let others = below.filter(|line| line.starts_with(['#', '[']) || !line.contains('='));
        others
            .map(|line| line.replace("/gatehound-PROFILE.", "/gatehound."))
            .collect()
    };
    assert_eq!(others(&plain), others(&template));
    let (plain, template) = (directives(&plain), directives(&template));
    assert_eq!(plain.len(), template.len());
    let differing: Vec<(&str, &str, &str)> = plain
        .iter()
        .zip(&template)
        .filter(|(plain, template)| plain != template)
        .map(|(plain, template)| {
            assert_eq!(plain.0, template.0);
            (plain.0, plain.1, template.1)
        })
        .collect();
    assert_eq!(differing, expected);
}

#[test]
fn the_units_differ_only_in_names() {
    let alert = [
        (
            "Description",
            "Alerts about the OpenClaw Gateway",
            "Alerts about the OpenClaw Gateway (profile: %i)",
        ),
        (
            "ExecStart",
            "/usr/bin/gatehound alert send",
            "/usr/bin/gatehound --profile %i alert send",
        ),
    ];
    check_differing(
        ["gatehound-alert.service", "gatehound-alert@.service"],
        &alert,
    );
    let ping = [
        (
            "Description",
            "Sign of life of the OpenClaw Gateway",
            "Sign of life of the OpenClaw Gateway (profile: %i)",
        ),
        (
            "ExecStart",
            "/usr/bin/gatehound alert ping",
            "/usr/bin/gatehound --profile %i alert ping",
        ),
    ];
    check_differing(["gatehound-ping.service", "gatehound-ping@.service"], &ping);
    let expected = [
        (
            "Description",
            "Watchdog of the OpenClaw Gateway",
            "Watchdog of the OpenClaw Gateway (profile: %i)",
        ),
        (
            "After",
            "openclaw-gateway.service",
            "openclaw-gateway-%i.service",
        ),
        (
            "ExecStart",
            "/usr/bin/gatehound run",
            "/usr/bin/gatehound --profile %i run",
        ),
        ("RuntimeDirectory", "gatehound", "gatehound-%i"),
    ];
    check_differing(WATCHDOGS, &expected);
}

#[test]
fn each_directive_has_its_reason_above_it() {
    for name in UNITS {
        let unit = unit(name);
        let lines: Vec<&str> = unit.lines().collect();
        for (above, line) in lines.iter().zip(&lines[1..]) {
            let says_itself =
                line.starts_with("Description=") || line.starts_with("Documentation=");
            if !line.starts_with('#') && line.contains('=') && !says_itself {
                assert!(above.starts_with("# "), "{name}: {line}");
            }
        }
    }
}

#[test]
fn nothing_in_the_units_hides_the_listeners_of_the_port() {
    // Each of these implies PrivateUsers=yes in a user unit of systemd 254 and later, or keeps it from starting.
    let absent = [
        "PrivateUsers",
        "PrivateTmp",
        "PrivateDevices",
        "PrivateMounts",
        "PrivateNetwork",
        "PrivateIPC",
        "ProtectSystem",
        "ProtectHome",
        "ProtectProc",
        "ProcSubset",
        "ProtectKernelTunables",
        "ProtectKernelModules",
        "ProtectKernelLogs",
        "ProtectControlGroups",
        "ProtectClock",
        "ProtectHostname",
        "ReadOnlyPaths",
        "ReadWritePaths",
        "InaccessiblePaths",
        "ExecPaths",
        "NoExecPaths",
        "BindPaths",
        "BindReadOnlyPaths",
        "TemporaryFileSystem",
        "RootDirectory",
        "RootImage",
        "MountAPIVFS",
        "DynamicUser",
        "CapabilityBoundingSet",
        "AmbientCapabilities",
    ];
    for name in UNITS {
        for (key, _) in directives(&unit(name)) {
            assert!(!absent.contains(&key), "{name}: {key}=");
        }
    }
}

#[test]
fn the_units_let_gatehound_use_the_sockets_it_uses() {
    let used = BTreeSet::from(["AF_INET", "AF_INET6", "AF_NETLINK", "AF_UNIX"]);
    for name in WATCHDOGS {
        let unit = unit(name);
        let (_, families) = directives(&unit)
            .into_iter()
            .find(|(key, _)| *key == "RestrictAddressFamilies")
            .unwrap();
        let families: BTreeSet<&str> = families.split_whitespace().collect();
        assert_eq!(families, used, "{name}");
    }
}

#[test]
fn the_units_expose_no_more_than_they_must() {
    // In tenths, as systemd 252 counts; the unit says why the rest of it stays.
    const EXPOSURE: u32 = 64;
    let home = installed();
    let local = home.path().join(".local");
    for name in ["gatehound.service", "gatehound@work.service"] {
        let mut security = Command::new("systemd-analyze");
        security
            .args(["--user", "security", "--offline=true", "--no-pager"])
            .arg(format!("--threshold={EXPOSURE}"))
            .arg(local.join("units").join(name))
            .env("HOME", home.path())
            .env("XDG_RUNTIME_DIR", local.join("run"));
        let output = security.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let last = said.lines().last().unwrap_or_default();
        assert!(output.status.success(), "{last}");
    }
}

#[test]
fn the_default_settings_fit_the_watchdog_of_the_units() {
    for name in WATCHDOGS {
        let unit = unit(name);
        let (_, seconds) = directives(&unit)
            .into_iter()
            .find(|(key, _)| *key == "WatchdogSec")
            .unwrap();
        let watchdog = std::time::Duration::from_secs(seconds.parse().unwrap());
        assert_eq!(
            gatehound::settings::limits::fits(&Settings::default(), watchdog),
            Ok(())
        );
    }
}
