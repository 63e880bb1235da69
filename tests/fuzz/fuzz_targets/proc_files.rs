//! Fuzz target: `properties::proc_files`.
#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::proc_files(input));
