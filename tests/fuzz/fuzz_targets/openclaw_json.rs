//! Fuzz target: `properties::openclaw_json`.
#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::openclaw_json(input));
