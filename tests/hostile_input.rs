//! Whatever comes from outside: the properties of tests/fuzz, tried with its corpus and with bytes of chance.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[path = "fuzz/properties.rs"]
mod properties;

use std::{fs, path::PathBuf, time::Duration};

use nix::time::{ClockId, clock_gettime};
use properties::ALL;
use proptest::{prelude::*, test_runner::RngSeed};

/// The inputs that a fuzz target has found worth keeping.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let entries = fs::read_dir(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    entries
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect()
}

/// The same inputs each time, so that a change passes or fails for what it changes.
/// `PROPTEST_CASES=10000 PROPTEST_RNG_SEED=$RANDOM cargo test --test hostile_input` looks for new ones.
fn config() -> ProptestConfig {
    let given = ProptestConfig::default();
    let asked = |name| std::env::var_os(name).is_some();
    ProptestConfig {
        cases: if asked("PROPTEST_CASES") {
            given.cases
        } else {
            200
        },
        rng_seed: if asked("PROPTEST_RNG_SEED") {
            given.rng_seed
        } else {
            RngSeed::Fixed(20)
        },
        failure_persistence: None,
        ..given
    }
}

/// An input of the corpus with some of it replaced by other bytes: what is nearly right gets further than noise.
fn nearly(name: &str) -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<prop::sample::Index>(),
        0..8_usize,
        prop::collection::vec(any::<u8>(), 0..8),
    );
    let changes = prop::collection::vec(change, 0..4);
    (prop::sample::select(corpus(name)), changes).prop_map(|(mut bytes, changes)| {
        for (at, length, new) in changes {
            let begin = at.index(bytes.len() + 1);
            let end = bytes.len().min(begin + length);
            bytes.splice(begin..end, new);
        }
        bytes
    })
}

/// Tries a property with its corpus, with bytes near to it, and with any bytes.
#[track_caller]
fn gives_up(name: &str) {
    let (_, property) = ALL.iter().find(|(known, _)| *known == name).unwrap();
    corpus(name).iter().for_each(|input| property(input));
    proptest!(config(), |(input in prop_oneof![
        3 => nearly(name),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ])| property(&input));
}

#[test]
fn the_cgroup_files_say_only_what_can_be() {
    gives_up("cgroup_files");
}

#[test]
fn nothing_but_the_old_watchdog_leaves_any_crontab() {
    gives_up("crontab");
}

#[test]
fn the_units_words_name_a_port_and_a_path() {
    gives_up("gateway");
}

#[test]
fn any_answer_of_the_gateway_is_the_gateways_to_answer_for() {
    gives_up("http");
}

#[test]
fn any_records_add_up_to_a_history() {
    gives_up("journal_records");
}

#[test]
fn any_text_becomes_one_clean_line() {
    gives_up("line");
}

#[test]
fn any_openclaw_json_is_read_or_failed() {
    gives_up("openclaw_json");
}

#[test]
fn any_pause_ends() {
    gives_up("pause_file");
}

#[test]
fn any_process_is_described_in_clean_words() {
    gives_up("proc_files");
}

#[test]
fn any_settings_are_refused_in_one_line_or_can_be_gone_by() {
    gives_up("settings");
}

#[test]
fn any_span_is_refused_in_one_line_or_can_be_gone_by() {
    gives_up("spans");
}

#[test]
fn any_state_that_is_taken_lets_a_hung_gateway_be_restarted() {
    gives_up("state_file");
}

#[test]
fn only_sockets_in_listen_count_in_any_table() {
    gives_up("tcp_tables");
}

#[test]
fn any_answer_about_the_unit_is_survived() {
    gives_up("unit_properties");
}

/// CPU time of this thread, which other work on the machine does not make longer.
fn used() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}

/// A megabyte of these bytes over and over; a fuzzer rarely gets that far.
#[track_caller]
fn a_megabyte_of(pattern: &[u8]) {
    let input: Vec<u8> = pattern.iter().copied().cycle().take(1 << 20).collect();
    for (name, property) in ALL {
        let began = used();
        property(&input);
        // Far above what it takes, far below what is more than linear in the length.
        let took = used() - began;
        assert!(took < Duration::from_secs(30), "{name} took {took:?}");
    }
}

#[test]
fn a_megabyte_of_anything_is_survived_in_time() {
    for pattern in [
        &b"\x1b["[..],
        b"a",
        b"[",
        b"{\"a\":",
        b"\xff",
        b"\0",
        b"\n",
        b"\n---\n",
        "\u{202e}\u{200b}".as_bytes(),
        b"1",
        b"/* ",
        b"HTTP/1.1 200 OK\r\n",
    ] {
        a_megabyte_of(pattern);
    }
}

#[test]
fn every_property_has_a_corpus_and_a_fuzz_target() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let names = |of: &str| {
        let entries = fs::read_dir(folder.join(of)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("corpus"), ALL.map(|(name, _)| name));
    assert_eq!(
        names("fuzz_targets"),
        ALL.map(|(name, _)| format!("{name}.rs"))
    );
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for (name, _) in ALL {
        let target = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(
            target.contains(&format!("properties::{name}(input)")),
            "{name}"
        );
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
    }
}
