//! The fault points are in the builds that tests run and in no other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::{fs, path::Path, process::Command};

/// The folder of a plan is named by this variable.
const VARIABLE: &[u8] = b"E2E_FAULTS";

fn contains(program: &[u8], text: &[u8]) -> bool {
    program.windows(text.len()).any(|window| window == text)
}

/// `src/os/fault.rs` beside the smallest of everything it names, and one point, with optimisation and no debug assertions.
fn compiled_for_release() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (source, object) = (folder.path().join("crate.rs"), folder.path().join("object"));
    let fault = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/os/fault.rs");
    let text = format!(
        "pub mod policy {{ pub mod answer {{ pub struct Answer; }} pub mod state {{ pub struct State; }} }}\n\
         #[path = {fault:?}] pub mod fault;\n\
         #[unsafe(no_mangle)] pub fn in_use() -> &'static str {{ fault::point(\"a point of a release\"); \"it is in use\" }}\n"
    );
    fs::write(&source, text).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=lib", "--emit=obj", "-O"])
        .arg("-o")
        .args([&object, &source])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::read(object).unwrap()
}

#[test]
fn the_program_under_test_has_fault_points() {
    let program = fs::read(env!("CARGO_BIN_EXE_gatehound")).unwrap();
    assert!(contains(&program, VARIABLE));
    assert!(contains(&program, b"temporary file written"));
}

#[test]
fn without_debug_assertions_nothing_is_left_of_a_fault_point() {
    let object = compiled_for_release();
    assert!(contains(&object, b"it is in use"));
    assert!(!contains(&object, VARIABLE));
    assert!(!contains(&object, b"a point of a release"));
}

#[test]
fn no_profile_switches_debug_assertions() {
    for name in ["Cargo.toml", ".cargo/config.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("debug-assertions"), "{name}");
        // A profile of another name could inherit from `dev` what `release` has not.
        let own = text.lines().filter(|line| line.starts_with("[profile."));
        for profile in own {
            // What a release says of one package is added to what it says of all.
            let known = [
                "[profile.dev",
                "[profile.release]",
                "[profile.release.package.",
            ];
            assert!(
                known.iter().any(|known| profile.starts_with(known)),
                "{profile}"
            );
        }
    }
}
