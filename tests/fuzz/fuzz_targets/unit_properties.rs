//! Fuzz target: `properties::unit_properties`.
#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::unit_properties(input));
