//! What is written about the program, held against the program: the man pages, the architecture page, the invariants.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use gatehound::{
    journal::{fields, kinds::Kind},
    metrics::exposition::{Counts, Sample},
    policy::{facts::Health, record::Ended, state::State},
};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A man page with its escaped hyphens as a reader sees them.
fn page(name: &str) -> String {
    read(&format!("man/{name}")).replace("\\-", "-")
}

/// The names of all Rust files in a folder and below it, relative to the crate.
fn sources(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            // What cargo-fuzz builds there is nobody's source.
            if name != "tests/fuzz/target" {
                found.extend(sources(&name));
            }
        } else if name.ends_with(".rs") {
            found.push(name);
        }
    }
    found.sort();
    found
}

/// The code of a file without comments and without its tests, which come last.
fn code(name: &str) -> String {
    let text = read(name);
    let text = text.split("#[cfg(test)]").next().unwrap();
    let lines = text.lines().map(|line| match line.find("//") {
        Some(comment) => &line[..comment],
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Everything that the `use` items of some code bring in, as full paths.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for item in code.split(';') {
        let Some((_, tree)) = item.rsplit_once("use ") else {
            continue;
        };
        expand("", tree, &mut found);
    }
    found
}

/// Takes `a::{b, c::{d, e as f}}` apart into `a::b`, `a::c::d`, `a::c::e`.
fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let Some((head, rest)) = tree.split_once('{') else {
        let name = tree.split_whitespace().next().unwrap_or_default();
        found.push(format!("{prefix}{name}"));
        return;
    };
    let prefix = format!("{prefix}{}", head.trim());
    let inner = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&prefix, &inner[start..at], found);
                start = at + 1;
            }
            _ => (),
        }
    }
    if !inner[start..].trim().is_empty() {
        expand(&prefix, &inner[start..], found);
    }
}

/// What a pure policy has no use for.
const IMPURE: [&str; 24] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::thread",
    "std::env",
    "std::io",
    "std::os",
    "ureq",
    "zbus",
    "zruntime",
    "procfs",
    "nix",
    "rustix",
    "log",
    "sd_notify",
    "libsystemd",
    "figment",
    "crate::os",
    "crate::probe",
    "crate::recovery",
    "crate::systemd",
    "crate::journal",
];

/// Paths that begin like an impure one and are plain data.
const DATA: [&str; 1] = ["std::net::IpAddr"];

/// What in some code a pure policy must not name, by its imports and by paths written out.
fn impurities(code: &str) -> BTreeSet<String> {
    let is_below = |path: &str, parent: &str| {
        path == parent
            || path
                .strip_prefix(parent)
                .is_some_and(|rest| rest.starts_with("::"))
    };
    let impure = IMPURE.iter().chain(&["crate::daemon", "crate::cli"]);
    let mut found: BTreeSet<String> = imports(code)
        .into_iter()
        .filter(|import| !DATA.contains(&import.as_str()))
        .filter(|import| impure.clone().any(|impure| is_below(import, impure)))
        .collect();
    let words = code.split(|c: char| !(c.is_alphanumeric() || "_:!.".contains(c)));
    for word in words.filter(|word| !word.ends_with("::")) {
        let spelled_out = word.contains("::") && !DATA.contains(&word);
        if spelled_out && impure.clone().any(|impure| is_below(word, impure)) {
            found.insert(word.to_owned());
        }
        if [
            "async",
            "println!",
            "eprintln!",
            "dbg!",
            "print!",
            "eprint!",
        ]
        .contains(&word)
            || word.ends_with(".await")
            || word.contains("super::super")
        {
            found.insert(word.to_owned());
        }
    }
    found
}

#[test]
fn the_check_for_purity_sees_what_it_is_to_see() {
    for (code, expected) in [
        ("use std::{fmt, fs::{self, File}};", 2),
        ("use std::{net::IpAddr, time::Duration};", 0),
        ("use std::net::{IpAddr, TcpStream};", 1),
        ("use std::time::Instant;", 1),
        ("use crate::{line::Line, os::clock::Clock};", 1),
        ("let a = std::process::id();", 1),
        ("pub use nix;", 1),
        ("use std::{fmt, fs as _, time::Duration};", 1),
        ("use ureq as client;", 1),
        ("async fn a() {}", 1),
        ("fn a() { println!(\"\") }", 1),
        ("use crate::text::line::Line; let catalog = log_of(a);", 0),
    ] {
        assert_eq!(
            impurities(code).len(),
            expected,
            "{code}: {:?}",
            impurities(code)
        );
    }
}

/// The pure parts of the features around the loop, and what policy and features say things with.
const PURE: [&str; 15] = [
    "src/alerts/alert.rs",
    "src/daemon/status_line.rs",
    "src/history/timeline.rs",
    "src/journal/entry.rs",
    "src/journal/fields.rs",
    "src/journal/kinds.rs",
    "src/journal/logged.rs",
    "src/metrics/collecting.rs",
    "src/metrics/exposition.rs",
    "src/settings/limits.rs",
    "src/settings/mod.rs",
    "src/text/line.rs",
    "src/text/secrets.rs",
    "src/text/template.rs",
    "src/text/words.rs",
];

#[test]
fn the_policy_is_pure() {
    let policy = sources("src/policy").into_iter();
    let policy: Vec<String> = policy.filter(|name| !name.contains("/tests")).collect();
    assert!(
        policy.contains(&"src/policy/mod.rs".to_owned()),
        "{policy:?}"
    );
    for name in policy {
        let found = impurities(&code(&name));
        assert!(found.is_empty(), "{name} names {found:?}");
    }
    for name in PURE {
        let mut found = impurities(&code(name));
        // What a record is like is plain data, unlike the journal itself; the policy knows neither.
        found.retain(|path| !DESCRIBES.iter().any(|module| path.starts_with(module)));
        assert!(found.is_empty(), "{name} names {found:?}");
    }
}

/// The modules of the journal that only describe a record.
const DESCRIBES: [&str; 5] = [
    "crate::journal::entry::",
    "crate::journal::fields::",
    "crate::journal::kind_table::",
    "crate::journal::kinds::",
    "crate::journal::logged::",
];

/// Each outside crate that stands for an outside thing, and where it may be named.
const ADAPTERS: [(&str, &[&str]); 19] = [
    ("base64", &["src/alerts/encoding.rs"]),
    ("hmac", &["src/alerts/encoding.rs"]),
    ("jiff", &["src/os/wall_clock.rs"]),
    ("ureq", &["src/alerts/webhook.rs", "src/probe/http.rs"]),
    ("zbus", &["src/alerts/desktop.rs", "src/systemd/"]),
    ("zruntime", &["src/systemd/"]),
    ("futures_core", &["src/systemd/"]),
    ("rustls", &["src/os/tls.rs"]),
    ("webpki", &["src/os/tls.rs"]),
    ("rustls_native_certs", &["src/alerts/webhook.rs"]),
    (
        "sha2",
        &["src/alerts/encoding.rs", "src/snapshots/store.rs"],
    ),
    ("sd_notify", &["src/systemd/notify.rs"]),
    ("systemd_journal_logger", &["src/journal/writer.rs"]),
    ("log", &["src/journal/writer.rs"]),
    ("figment", &["src/settings/layers.rs"]),
    ("json5", &["src/probe/openclaw_json.rs"]),
    (
        "libsystemd",
        &["src/os/boot_id.rs", "src/os/credentials.rs"],
    ),
    ("procfs", &["src/os/listeners.rs", "src/os/processes.rs"]),
    (
        "rustix",
        &[
            "src/recovery/cleanup.rs",
            "src/os/child.rs",
            "src/journal/journalctl.rs",
            "src/os/sock_diag.rs",
            "src/os/tls.rs",
        ],
    ),
];

#[test]
fn each_outside_crate_is_named_in_its_adapter_alone() {
    let mut named = BTreeSet::new();
    for name in sources("src") {
        let code = code(&name);
        let spelled = code.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c)));
        let paths: Vec<String> = imports(&code)
            .into_iter()
            .chain(
                spelled
                    .filter(|word| word.contains("::"))
                    .map(str::to_owned),
            )
            .collect();
        for (krate, places) in ADAPTERS {
            let is_named = |path: &String| {
                let rest = path.strip_prefix(krate);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            };
            if !paths.iter().any(is_named) {
                continue;
            }
            assert!(
                places.iter().any(|place| name.starts_with(place)),
                "{name} names {krate}, which is for {places:?}"
            );
            named.insert(krate);
        }
    }
    let all: BTreeSet<&str> = ADAPTERS.iter().map(|(krate, _)| *krate).collect();
    assert_eq!(named, all, "a crate of the table is no longer used");
}

/// What starts a program or a thread, and who may: only what is used when something is wrong.
const STARTS: [(&str, &[&str]); 7] = [
    ("Command::new", &["src/os/child.rs"]),
    ("process::exec", &[]),
    ("execv", &[]),
    ("fork(", &[]),
    ("thread::spawn", &[]),
    ("thread::Builder", &["src/os/worker.rs"]),
    (
        "worker::",
        &[
            "src/recovery/incident_files.rs",
            "src/snapshots/store.rs",
            "src/snapshots/comparing.rs",
            "src/snapshots/restoring.rs",
            "src/metrics/textfile.rs",
            "src/recovery/evidence.rs",
            "src/alerts/queue.rs",
            "src/other_watchdogs/survey.rs",
        ],
    ),
];

#[test]
fn programs_and_threads_are_started_only_where_something_is_wrong() {
    for name in sources("src") {
        let code = code(&name);
        for (start, places) in STARTS {
            let allowed = places.contains(&name.as_str());
            assert_eq!(code.contains(start), allowed, "{start} in {name}");
        }
    }
}

/// The match arms `Self::Name… => "text"` of a function, as the source spells them.
fn arms(source: &str, function: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for body in source.split(&format!("fn {function}(")).skip(1) {
        let body = body.split("\n    }\n").next().unwrap();
        for arm in body.split("Self::").skip(1) {
            let name: String = arm.chars().take_while(|c| c.is_alphanumeric()).collect();
            let text = arm
                .split_once("=> \"")
                .and_then(|(_, text)| text.split_once('"'));
            if let Some((text, _)) = text {
                found.insert(name, text.to_owned());
            }
        }
    }
    found
}

/// The entries of a man page: each begins with its tag.
fn entries(page: &str) -> Vec<&str> {
    page.split("\n.TP\n").skip(1).collect()
}

/// The tag of an entry as plain text.
fn tag(entry: &str) -> String {
    let words = entry.lines().next().unwrap().split_whitespace().skip(1);
    words.collect::<Vec<_>>().join(" ").replace(['"', ','], "")
}

#[test]
fn every_kind_of_record_has_an_event_and_a_message_id_of_its_own() {
    let events: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.event()).collect();
    let ids: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.message_id()).collect();
    assert_eq!(events.len(), Kind::ALL.len(), "an event is named twice");
    assert_eq!(ids.len(), Kind::ALL.len(), "an id is used twice");
    for id in ids {
        assert!(is_message_id(id), "{id}");
    }
    for event in events {
        let plain = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(event.chars().all(plain), "{event} is not one word");
    }
}

fn is_message_id(word: &str) -> bool {
    word.len() == 32
        && word
            .chars()
            .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

/// A text of the table of kinds in the language of manual pages.
fn in_roff(text: &str) -> String {
    let mut roff = String::new();
    for (at, part) in text.split('`').enumerate() {
        match at % 2 {
            0 => roff += part,
            _ => roff += &format!("\\fB{part}\\fP"),
        }
    }
    for page in ["gatehound(1)", "gatehound.toml(5)"] {
        let (name, section) = page.split_at(page.len() - 3);
        roff = roff.replace(page, &format!("\\fB{name}\\fP{section}"));
    }
    roff.replace('-', "\\-")
}

/// What the entries of section Events in gatehound.service(8) have to be, by the table of kinds.
fn events(about: impl Fn(Kind) -> &'static str) -> String {
    let entry = |kind: &Kind| {
        let (event, about) = (in_roff(kind.event()), in_roff(about(*kind)));
        format!(".TP\n.B {event}\n{about}\n.br\n{}\n", kind.message_id())
    };
    Kind::ALL.iter().map(entry).collect()
}

#[test]
fn the_events_of_gatehound_service_8_are_those_of_the_table_of_kinds() {
    let pages = [
        ("man/gatehound.service.8", "Events", events(Kind::about)),
        (
            "man/zh_CN/gatehound.service.8",
            "事件",
            events(Kind::in_chinese),
        ),
    ];
    for (name, section, events) in pages {
        let page = read(name);
        let (_, behind) = page
            .split_once(&format!("\n.SS {section}\n"))
            .expect("a section");
        let from = behind.find(".TP\n").expect("a first entry");
        let entries = &behind[from..];
        let to = entries.find("\n.S").expect("a section behind it") + 1;
        let entries = &entries[..to];
        if std::env::var_os("GATEHOUND_TEST_PRINT").is_some() {
            fs::write(path(name), page.replacen(entries, &events, 1)).unwrap();
            continue;
        }
        assert!(
            entries == events,
            "{name} is older than the table: GATEHOUND_TEST_PRINT=1 cargo test --test docs table_of_kinds"
        );
    }
}

/// What units/gatehound.catalog has to be, by the table of kinds.
fn catalog() -> String {
    let mut catalog = "\
# What `journalctl -x` says below each record of Gatehound: what it means, and what to do about it.
# A package installs this file into /usr/lib/systemd/catalog; journalctl(1) has no catalog of a single user.
# Printed from src/journal/kinds.rs by GATEHOUND_TEST_PRINT=1 cargo test --test docs table_of_kinds
"
    .to_owned();
    for kind in Kind::ALL {
        catalog += &format!(
            "\n-- {}\nSubject: {}\nDefined-By: Gatehound\nSupport: man:gatehound(1)\n\
             Documentation: man:gatehound.service(8)\n\n{}\n",
            kind.message_id(),
            kind.subject(),
            kind.explained()
        );
    }
    catalog
}

#[test]
fn the_catalog_is_the_one_of_the_table_of_kinds() {
    let catalog = catalog();
    if std::env::var_os("GATEHOUND_TEST_PRINT").is_some() {
        fs::write(path("units/gatehound.catalog"), &catalog).unwrap();
    }
    assert!(
        read("units/gatehound.catalog") == catalog,
        "the catalog is older than the table: GATEHOUND_TEST_PRINT=1 cargo test --test docs table_of_kinds"
    );
    for kind in Kind::ALL {
        // What stands between two @ is a field of the record, or one that journald adds.
        let text = format!("{}\n{}", kind.subject(), kind.explained());
        for field in text.split('@').skip(1).step_by(2) {
            assert!(
                field == "_SYSTEMD_USER_UNIT"
                    || fields::COMMON.contains(&field)
                    || kind.own_fields().contains(&field),
                "{kind:?} has no field {field}"
            );
        }
    }
}

#[test]
fn every_phase_reason_stall_and_probe_is_in_gatehound_service_8() {
    let page = page("gatehound.service.8");
    // Some events have the names of phases.
    let page = page.split("\n.SS Events\n").next().unwrap();
    let tags: Vec<String> = entries(page).into_iter().map(tag).collect();
    let mut names: Vec<String> = Vec::new();
    for (file, least) in [("state", 15), ("facts", 8)] {
        let found = arms(&code(&format!("src/policy/{file}.rs")), "name");
        assert!(least <= found.len(), "{found:?}");
        names.extend(found.into_values());
    }
    for name in names {
        let bold = format!(".B {name}\n");
        let listed = format!(".BR {name} ");
        assert!(
            tags.contains(&name) || page.contains(&bold) || page.contains(&listed),
            "gatehound.service(8) lacks {name}"
        );
    }
}

#[test]
fn every_field_of_a_record_is_in_gatehound_service_8() {
    let page = page("gatehound.service.8");
    let tags: Vec<String> = entries(&page).into_iter().map(tag).collect();
    for field in fields::COMMON.iter().chain(&fields::OWN) {
        assert!(tags.contains(&(*field).to_owned()), "no entry for {field}");
    }
    for ended in Ended::ALL {
        assert!(
            page.contains(ended.name()),
            "gatehound.service(8) lacks the end {ended:?}"
        );
    }
}

#[test]
fn each_field_of_a_record_is_spelled_in_one_place() {
    for name in sources("src/journal")
        .into_iter()
        .chain(sources("src/history"))
        .chain(sources("src/policy"))
        .filter(|name| !name.contains("/tests"))
    {
        let code = code(&name);
        for field in fields::COMMON.iter().chain(&fields::OWN) {
            let quoted = [format!("\"{field}\""), format!("\"{field}=")];
            let is_spelled = quoted.iter().any(|quoted| code.contains(quoted));
            assert_eq!(
                is_spelled,
                name == "src/journal/fields.rs",
                "{field} in {name}"
            );
        }
    }
}

#[test]
fn every_field_of_the_evidence_is_in_gatehound_service_8_and_no_other() {
    let source = code("src/recovery/evidence.rs");
    let prefix = "GATEHOUND_EVIDENCE";
    let fields: BTreeSet<&str> = source
        .split('"')
        .filter_map(|text| text.strip_prefix(prefix))
        .filter(|rest| *rest != "_")
        .collect();
    assert!(20 < fields.len(), "{fields:?}");
    let page = page("gatehound.service.8");
    let entry = entries(&page)
        .into_iter()
        .find(|entry| tag(entry) == format!("{prefix}_*"));
    let listed: BTreeSet<&str> = entry
        .expect("an entry for the evidence")
        .split("\n.SS ")
        .next()
        .unwrap()
        .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
        .filter(|word| 1 < word.len() && word.starts_with('_'))
        .collect();
    assert_eq!(listed, fields);
}

/// The metrics of a healthy check, which has all of them.
fn page_of_metrics() -> String {
    let (state, health) = (State::default(), Health::Healthy(Duration::ZERO));
    let sample = Sample {
        state: &state,
        health: &health,
        counts: Counts::default(),
        attempts: 3,
        unit: "openclaw-gateway.service",
        profile: None,
        uid: 1000,
        user: "ann",
        checked: Duration::ZERO,
        ping: Some(Duration::ZERO),
    };
    sample.render()
}

/// Their names.
fn metrics() -> BTreeSet<String> {
    let page = page_of_metrics();
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_metric_is_in_gatehound_service_8_and_no_other() {
    let page = page("gatehound.service.8");
    let section = page.split("\n.SH METRICS\n").nth(1).unwrap();
    let section = section.split("\n.SH ").next().unwrap();
    let listed: Vec<String> = entries(section).into_iter().map(tag).collect();
    assert_eq!(listed.len(), metrics().len(), "{listed:?}");
    assert_eq!(BTreeSet::from_iter(listed), metrics());
}

#[test]
fn every_phase_and_every_reason_to_stand_by_is_a_label_of_a_metric() {
    let names = arms(&code("src/policy/state.rs"), "name");
    assert!(15 < names.len(), "{names:?}");
    let page = page_of_metrics();
    for name in names.values() {
        assert!(page.contains(&format!("=\"{name}\"}} ")), "no label {name}");
    }
}

#[test]
fn every_metric_and_label_of_the_alerting_rules_exists() {
    let rules = read("units/gatehound.rules.yml");
    let expressions: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "))
        .collect();
    assert_eq!(expressions.len(), rules.matches("- alert: ").count());
    let words = |text: &str, prefix: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_alphanumeric() || "_$.".contains(c)));
        let words = words.filter_map(|word| word.strip_prefix(prefix));
        words.map(str::to_owned).collect()
    };
    let named = words(&expressions.join(" "), "gatehound_");
    assert!(3 < named.len(), "{named:?}");
    for name in named {
        assert!(metrics().contains(&format!("gatehound_{name}")), "{name}");
    }
    // The instance is Prometheus' own.
    let labels = words(&rules, "$labels.");
    assert_eq!(
        labels,
        ["instance", "profile", "unit", "user"]
            .map(str::to_owned)
            .into()
    );
}

#[test]
fn every_metric_and_label_of_the_dashboard_exists() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("units/gatehound.dashboard.json")).unwrap();
    let mut expressions = Vec::new();
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        expressions.extend(targets.iter().map(|target| &target["expr"]));
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let queries = variables.iter().filter(|one| one["type"] == "query");
    expressions.extend(queries.map(|one| &one["query"]["query"]));
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    expressions.extend(annotations.iter().map(|one| &one["target"]["expr"]));
    let text: Vec<&str> = expressions
        .iter()
        .map(|one| one.as_str().unwrap())
        .collect();
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.map(str::to_owned).collect()
    };
    let named: BTreeSet<String> = words(&text.join(" "))
        .into_iter()
        .filter(|word| word.starts_with("gatehound_"))
        .collect();
    assert!(named.is_subset(&metrics()), "{named:?}");
    // All of them but two that say what others say as well.
    let left: Vec<String> = metrics().difference(&named).cloned().collect();
    assert_eq!(left, ["gatehound_last_watchdog_ping_timestamp_seconds"]);
    // A panel of one gateway and of all of them has the same choice.
    for one in text.iter().filter(|one| !one.starts_with("label_values")) {
        for label in ["user", "profile", "instance"] {
            assert!(one.contains(&format!("{label}=~\"${label}\"")), "{one}");
        }
    }
}

/// What `--help` of a command says.
fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gatehound"))
        .args(command)
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The first words of the indented lines of a section of a help text.
fn listed(help: &str, section: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != section).skip(1);
    lines
        .take_while(|line| line.starts_with(' '))
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

fn long_options(help: &str) -> BTreeSet<String> {
    let options = help.split("\nOptions:\n").nth(1).unwrap_or_default();
    let words = options.split(|c: char| c.is_whitespace() || "=,".contains(c));
    words
        .filter(|word| word.starts_with("--"))
        .map(str::to_owned)
        .collect()
}

/// Holds that a command, its own options, and the commands below it are in the page.
fn check_command(page: &str, command: &[&str]) -> usize {
    let help = help(command);
    let below = listed(&help, "Commands:");
    let (commands, options) = page
        .split_once("\n.SH OPTIONS\n")
        .expect("a section OPTIONS");
    let name = command.join(" ");
    let entry = entries(commands).into_iter().find(|entry| {
        let tag = tag(entry);
        tag == name || tag.starts_with(&format!("{name} "))
    });
    if below.is_empty() {
        assert!(entry.is_some(), "gatehound(1) has no entry for {name}");
    }
    for option in long_options(&help) {
        let here = entry.is_some_and(|entry| entry.contains(&option));
        let of_all = options.split("\n.SH ").next().unwrap().contains(&option);
        assert!(here || of_all, "gatehound(1) lacks {option} of {name:?}");
    }
    let deeper = below.iter().map(|one| match one.as_str() {
        "help" => 0,
        one => check_command(page, &[command, &[one]].concat()),
    });
    1 + deeper.sum::<usize>()
}

#[test]
fn every_command_and_option_is_in_gatehound_1() {
    let page = page("gatehound.1");
    // The list leaves out what units and shells run.
    let hidden: [&[&str]; 6] = [
        &["run"],
        &["tidy"],
        &["alert", "send"],
        &["alert", "ping"],
        &["complete"],
        &["version"],
    ];
    let hidden = hidden.map(|one| check_command(&page, one));
    let checked = check_command(&page, &[]) + hidden.iter().sum::<usize>();
    assert!(
        15 < checked,
        "only {checked} commands found in the help texts"
    );
}

/// The tags of the entries of a section; where one is more than a line, both.
fn tags(page: &str, section: &str) -> Vec<String> {
    let page = format!("\n{page}");
    let rest = page.split(&format!("\n.SH {section}\n")).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("no section {section}"));
    let section = format!("\n{}", rest.split("\n.SH ").next().unwrap());
    let tag = |entry: &str| {
        let lines = entry
            .lines()
            .take(if entry.lines().next().unwrap().ends_with("\\c") {
                2
            } else {
                1
            });
        lines.collect::<Vec<_>>().join(" ")
    };
    section.split("\n.TP\n").skip(1).map(tag).collect()
}

#[test]
fn the_chinese_pages_have_the_same_commands_options_settings_and_metrics() {
    for (name, sections) in [
        (
            "gatehound.1",
            &[
                ("COMMANDS", "命令"),
                ("OPTIONS", "选项"),
                ("EXIT STATUS", "退出状态"),
            ][..],
        ),
        ("gatehound.toml.5", &[("KEYS", "键"), ("CHANNELS", "渠道")]),
        (
            "gatehound.service.8",
            &[
                ("PHASES", "阶段"),
                ("WATCHDOG PROTOCOL", "看门狗协议"),
                ("JOURNAL", "日志"),
                ("METRICS", "指标"),
            ],
        ),
    ] {
        let english = read(&format!("man/{name}"));
        let chinese = read(&format!("man/zh_CN/{name}"));
        for (section, in_chinese) in sections {
            let tags_there = tags(&english, section);
            assert!(!tags_there.is_empty(), "{name}: {section}");
            assert_eq!(tags(&chinese, in_chinese), tags_there, "{name}: {section}");
        }
    }
}

#[test]
fn the_chinese_page_of_the_unit_has_the_same_message_ids_and_the_same_examples() {
    let [english, chinese] =
        ["man", "man/zh_CN"].map(|folder| read(&format!("{folder}/gatehound.service.8")));
    let section = |page: &str, name: &str| {
        let rest = page.split(&format!("\n.SH {name}\n")).nth(1).unwrap();
        rest.split("\n.SH ").next().unwrap().to_owned()
    };
    let ids = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| line.len() == 32 && line.chars().all(|c| c.is_ascii_hexdigit()));
        lines.map(str::to_owned).collect()
    };
    let expected = ids(&section(&english, "JOURNAL"));
    assert!(30 < expected.len(), "{expected:?}");
    assert_eq!(ids(&section(&chinese, "日志")), expected);
    // What is typed is the same; comments are for those who read.
    let typed = |text: &str| -> Vec<String> {
        let examples = text.split("\n.EX\n").skip(1);
        let lines = examples.flat_map(|rest| rest.split("\n.EE").next().unwrap().lines());
        let lines = lines.filter(|line| !line.starts_with("# "));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(
        typed(&section(&chinese, "许多网关")),
        typed(&section(&english, "MANY GATEWAYS"))
    );
}

#[test]
fn the_chinese_readme_names_commands_and_presets_that_there_are() {
    let page = read("README.zh-CN.md");
    let commands = listed(&help(&[]), "Commands:");
    let named = page.split("gatehound ").skip(1).filter_map(|rest| {
        let word = rest
            .split(|c: char| !(c.is_ascii_lowercase() || c == '-'))
            .next()?;
        (!word.is_empty()).then(|| word.to_owned())
    });
    let named: BTreeSet<String> = named.collect();
    assert!(8 < named.len(), "{named:?}");
    for word in named {
        assert!(commands.contains(&word), "gatehound {word}");
    }
    let settings = read("man/gatehound.toml.5")
        .replace("\\(dq", "\"")
        .replace("\\-", "-");
    for preset in [
        "feishu",
        "dingtalk",
        "wecom",
        "serverchan",
        "pushplus",
        "bark",
        "uptime-kuma",
    ] {
        let preset = format!("\"{preset}\"");
        assert!(
            page.contains(&preset) && settings.contains(&preset),
            "{preset}"
        );
    }
    // Each line of the table of the English page has its own.
    let rows = |page: &str| page.matches("\n| `").count();
    assert!(rows(&read("README.md")) <= rows(&page) + 1);
}

#[test]
fn every_test_that_the_architecture_page_names_exists_and_no_rule_goes_without() {
    let page = read("src/ARCHITECTURE.md");
    let code: String = sources("src")
        .into_iter()
        .chain(sources("tests/e2e"))
        .map(|name| read(&name))
        .collect();
    let mut rules = BTreeSet::new();
    let words = page.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    for name in words.filter(|word| word.starts_with("rule_") && 8 < word.len()) {
        let function = format!("fn {name}(");
        let trial = format!("\"{name}\"");
        assert!(
            code.contains(&function) || code.contains(&trial),
            "there is no test {name}"
        );
        rules.insert(name.split('_').nth(1).unwrap().parse::<u32>().unwrap());
    }
    assert_eq!(
        rules.into_iter().collect::<Vec<_>>(),
        (1..=12).collect::<Vec<_>>()
    );
}

#[test]
fn every_file_of_the_crate_is_on_the_code_map_and_every_file_on_it_exists() {
    let page = read("src/ARCHITECTURE.md");
    let map = page.split("\n## Code map\n").nth(1).unwrap();
    let map = map.split("\n## ").next().unwrap();
    let rows: Vec<&str> = map
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    for row in &rows {
        assert!(
            path("src").join(row).exists(),
            "{row} is on the map and not there"
        );
    }
    for name in sources("src") {
        let name = name.strip_prefix("src/").unwrap();
        let is_plain = name.ends_with("mod.rs") && !name.starts_with("daemon");
        if is_plain || name.contains("/tests") || ["lib.rs", "main.rs"].contains(&name) {
            continue;
        }
        let mapped = rows
            .iter()
            .any(|row| *row == name || row.ends_with('/') && name.starts_with(row));
        assert!(mapped, "{name} is not on the code map");
    }
}

#[test]
fn every_file_says_what_it_owns() {
    for name in sources("src").into_iter().chain(sources("tests")) {
        let text = read(&name);
        let begins = text.starts_with("//!") || text.starts_with("#![doc = include_str!");
        assert!(begins, "{name} does not begin with //!");
    }
}

#[test]
fn the_pages_that_people_read_first_stay_short() {
    for (name, most) in [("README.md", 1200), ("src/ARCHITECTURE.md", 3500)] {
        let words = read(name).split_whitespace().count();
        assert!(
            words <= most,
            "{name} has {words} words, {most} are allowed"
        );
    }
}

#[test]
fn every_file_that_a_page_links_to_exists() {
    let mut links = 0;
    for name in [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "tests/README.md",
    ] {
        for link in read(name).split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if !link.starts_with("https://") {
                let file = path(name).parent().unwrap().join(link);
                assert!(file.exists(), "{name} links to {link}");
                links += 1;
            }
        }
    }
    assert!(5 < links, "{links}");
}

#[test]
fn every_test_that_stands_for_a_lesson_exists() {
    let page = read("tests/README.md");
    let lessons = page.split("\n## Lessons from the field\n").nth(1).unwrap();
    let rows = lessons.lines().filter(|line| line.ends_with("` |"));
    let tests = rows.map(|row| row.rsplit('`').nth(1).unwrap());
    let code: String = ["src", "tests"]
        .into_iter()
        .flat_map(sources)
        .map(|name| read(&name))
        .collect();
    let mut found = 0;
    for test in tests {
        let exists = [format!("fn {test}("), format!("\"{test}\"")];
        assert!(
            exists.iter().any(|it| code.contains(it)),
            "there is no test {test}"
        );
        found += 1;
    }
    assert!(20 < found, "{found}");
}

/// Words that Gatehound once had for what others name otherwise, each with what it is to be left alone in.
const OLD_WORDS: [(&str, &[&str]); 27] = [
    ("doubting", &[]),
    ("generation", &[]),
    ("generations", &[]),
    ("hands off", &[]),
    ("incarnation", &[]),
    ("incarnations", &[]),
    ("lease", &[]),
    ("leases", &[]),
    ("owed", &[]),
    ("owes", &[]),
    ("patience", &[]),
    ("proven good", &[]),
    ("rearm", &[]),
    ("rearmed", &[]),
    ("rearms", &[]),
    ("rival", &[]),
    ("rivals", &[]),
    ("round", &["other way round"]),
    ("rounds", &[]),
    ("stranger", &[]),
    ("strangers", &[]),
    ("sweep", &[]),
    ("sweeps", &[]),
    ("swept", &[]),
    ("unsure", &[]),
    ("vouch", &[]),
    ("vouching", &[]),
];

/// The words of a line: names in code are taken apart, and all are in lower case.
fn words_of(line: &str) -> String {
    let mut words = String::from(" ");
    let mut before = ' ';
    for c in line.chars() {
        let is_next = c.is_uppercase() && before.is_lowercase();
        if (is_next || !c.is_alphanumeric()) && !words.ends_with(' ') {
            words.push(' ');
        }
        if c.is_alphanumeric() {
            words.extend(c.to_lowercase());
        }
        before = c;
    }
    if !words.ends_with(' ') {
        words.push(' ');
    }
    words
}

/// Whether a line, as `words_of` takes it apart, has an old word where it is not to be left alone.
fn has_old(words: &str, old: &str, allowed: &[&str]) -> bool {
    let old = format!(" {old} ");
    let is_left_alone = |words: String, allowed: &&str| words.replace(&words_of(allowed), " ");
    words.contains(&old)
        && allowed
            .iter()
            .fold(words.to_owned(), is_left_alone)
            .contains(&old)
}

#[test]
fn the_search_for_old_words_sees_what_it_is_to_see() {
    for (line, word, allowed, expected) in [
        ("the next round begins", "round", &[][..], true),
        ("fn after(a: Round) {}", "round", &[], true),
        ("LAST_ROUND", "round", &[], true),
        ("around and surrounds, rounded", "round", &[], false),
        ("the other way round", "round", &["other way round"], false),
        ("what was proven-good", "proven good", &[], true),
        ("a release", "lease", &[], false),
    ] {
        assert_eq!(has_old(&words_of(line), word, allowed), expected, "{line}");
    }
}

#[test]
fn each_thing_has_one_word_and_no_old_one() {
    let mut files = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    let mut folders: Vec<String> = ["src", "units", "man", "tests"].map(str::to_owned).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(path(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().into_string().unwrap());
            // What fuzzing found is bytes, what it builds is nobody's, and this file has the list.
            let is_left_out = ["corpus", "target", "artifacts", "coverage"]
                .iter()
                .any(|part| name == format!("tests/fuzz/{part}"));
            match entry.file_type().unwrap().is_dir() {
                true if !is_left_out => folders.push(name),
                false if name != "tests/docs.rs" => files.push(name),
                _ => (),
            }
        }
    }
    assert!(150 < files.len(), "{}", files.len());
    let mut found = Vec::new();
    for name in files {
        for (at, line) in read(&name).lines().enumerate() {
            let words = words_of(line);
            for (word, allowed) in OLD_WORDS {
                if has_old(&words, word, allowed) {
                    found.push(format!("{name}:{}: {word}: {line}", at + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_man_pages_and_the_change_log_are_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    for name in ["gatehound.1", "gatehound.toml.5", "gatehound.service.8"] {
        let page = page(name);
        let title = page.lines().next().unwrap();
        let named = format!("\"gatehound {version}\"");
        assert!(title.contains(&named), "{name}: {title}");
    }
    let changes = read("CHANGELOG.md");
    assert!(changes.contains(&format!("\n## {version}\n")));
    let install = format!("gatehound_{version}-1_amd64.deb");
    assert!(read("README.md").contains(&install));
}

/// The file of the deepest module on a path below the crate, if it is one of these.
fn file_of(path: &str, files: &BTreeSet<String>) -> Option<String> {
    let parts: Vec<&str> = path.split("::").collect();
    (1..=parts.len()).rev().find_map(|end| {
        let module = format!("src/{}", parts[..end].join("/"));
        [format!("{module}.rs"), format!("{module}/mod.rs")]
            .into_iter()
            .find(|file| files.contains(file))
    })
}

/// The files whose items a file uses, a folder's own files left out for its mod.rs.
fn used_by(name: &str, code: &str, files: &BTreeSet<String>) -> BTreeSet<String> {
    let module = name.strip_prefix("src/").unwrap();
    let module = module.strip_suffix("/mod.rs").unwrap_or(module);
    let module = module.strip_suffix(".rs").unwrap_or(module);
    let parent = module.rsplit_once('/').map_or("", |(parent, _)| parent);
    // The trees of `use` items are taken apart by `imports`; what is left of the code has whole paths.
    let rest = code.split(';').map(|item| {
        let parts = item.rsplit_once("use ");
        parts.map_or(item, |(before, _)| before)
    });
    let words =
        rest.flat_map(|item| item.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c))));
    let spelled = words.map(|word| word.trim_end_matches(':').to_owned());
    let paths = imports(code).into_iter().chain(spelled);
    let absolute = paths.filter_map(|path| {
        let path = path.trim_end_matches("::self").to_owned();
        match path.split_once("::") {
            Some(("crate", rest)) => Some(rest.to_owned()),
            Some(("super", rest)) => Some(format!("{}::{rest}", parent.replace('/', "::"))),
            _ => None,
        }
    });
    let own = name.strip_suffix("mod.rs").unwrap_or("no folder");
    absolute
        .filter_map(|path| file_of(&path, files))
        .filter(|used| used != name && !used.starts_with(own))
        .collect()
}

/// A way from a file back to itself, if there is one.
fn circle(uses: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(
        file: &str,
        uses: &BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if way.iter().any(|passed| passed == file) {
            way.push(file.to_owned());
            return true;
        }
        if !done.insert(file.to_owned()) {
            return false;
        }
        way.push(file.to_owned());
        let found = uses
            .get(file)
            .is_some_and(|used| used.iter().any(|next| visit(next, uses, way, done)));
        if !found {
            way.pop();
        }
        found
    }
    let mut done = BTreeSet::new();
    uses.keys().find_map(|file| {
        let mut way = Vec::new();
        visit(file, uses, &mut way, &mut done).then_some(way)
    })
}

fn without_tests() -> BTreeSet<String> {
    let files = sources("src").into_iter();
    files.filter(|name| !name.contains("/tests")).collect()
}

#[test]
fn no_files_of_the_crate_import_each_other_in_a_circle() {
    let files = without_tests();
    let mut uses: BTreeMap<String, BTreeSet<String>> = files
        .iter()
        .map(|name| (name.clone(), used_by(name, &code(name), &files)))
        .collect();
    assert!(300 < uses.values().map(BTreeSet::len).sum::<usize>());
    // A child that uses an item of its folder's mod.rs is no circle: that one holds what its files share.
    for (name, used) in &mut uses {
        used.retain(|other| {
            let folder = other.strip_suffix("mod.rs");
            !folder.is_some_and(|folder| name.starts_with(folder))
        });
    }
    assert_eq!(circle(&uses), None);
    // And one that is there is seen.
    let line = "src/text/line.rs".to_owned();
    let cli = used_by(
        &line,
        "use crate::{cli::{console::say}, os::files};",
        &files,
    );
    assert!(cli.contains("src/cli/console.rs"), "{cli:?}");
    uses.insert(line, cli);
    assert!(circle(&uses).is_some());
}

#[test]
fn no_file_is_longer_than_a_reader_holds() {
    for name in without_tests() {
        let text = read(&name);
        let lines = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines = lines.lines().count();
        assert!(lines <= 500, "{name} has {lines} lines without its tests");
    }
}

#[test]
fn no_two_files_have_the_same_name() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    // A fuzz target has the name of what it fuzzes.
    let files = sources("src").into_iter().chain(sources("tests"));
    for name in files.filter(|name| !name.contains("/fuzz_targets/")) {
        let file = name.rsplit('/').next().unwrap().to_owned();
        if ["mod.rs", "main.rs"].contains(&file.as_str()) {
            continue;
        }
        let other = seen.insert(file, name.clone());
        assert_eq!(other, None, "{name} has the name of another file");
    }
}
