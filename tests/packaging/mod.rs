//! Building the deb and the rpm of a program that is there already, by the metadata in Cargo.toml.
//!
//! Owns the calls of the tools, and whether they were asked for; `.ci/release` makes the same calls for a release.
//! Knows nothing of what is in the packages.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What is said instead of the tests that need the tools.
pub const LEFT_OUT: &str = "the deb and the rpm are left out; with them: GATEHOUND_PACKAGES=1";

/// Whether the packages were asked for; their tools take minutes to build.
pub fn asked_for() -> bool {
    env::var_os("GATEHOUND_PACKAGES").is_some_and(|value| value == "1")
}

/// Builds the deb of this revision, in a target folder of its own.
pub fn deb(program: &Path, revision: u8, target: &Path) -> Result<PathBuf, String> {
    let version = format!("1.0.{revision}");
    let package = target.join(format!("gatehound-{version}.deb"));
    let arguments = ["deb", "--no-build", "--no-strip", "--fast"];
    let arguments = [&arguments[..], &["--deb-version", &version]].concat();
    build("cargo-deb", &arguments, program, target, revision, &package)
}

/// Builds the rpm, in a target folder of its own.
pub fn rpm(program: &Path, target: &Path) -> Result<PathBuf, String> {
    let package = target.join("gatehound.rpm");
    let arguments = ["generate-rpm", "--payload-compress", "none"];
    build(
        "cargo-generate-rpm",
        &arguments,
        program,
        target,
        0,
        &package,
    )
}

fn build(
    tool: &str,
    arguments: &[&str],
    program: &Path,
    target: &Path,
    revision: u8,
    package: &Path,
) -> Result<PathBuf, String> {
    let release = target.join("release");
    let copied = fs::create_dir_all(&release)
        .and_then(|()| fs::copy(program, release.join("gatehound")).map(drop));
    copied.map_err(|error| format!("{}: {error}", release.display()))?;
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--output")
        .arg(package)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target)
        // systemd knows a unit that has changed by the time of its file.
        .env("SOURCE_DATE_EPOCH", format!("157783680{revision}"))
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if output.status.success() {
        return Ok(package.to_owned());
    }
    Err(format!(
        "{tool} built no package; where it is missing: cargo install --locked --debug {tool}, apt-get install dpkg-dev: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}
