//! Fuzz target: `properties::journal_records`.
#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::journal_records(input));
