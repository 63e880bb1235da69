//! Fuzz target: `properties::tcp_tables`.
#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::tcp_tables(input));
