//! Fuzz target: `properties::cgroup_files`.
#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::cgroup_files(input));
