//! Where the trials run: under the user manager that is running, or in a throwaway machine.
//!
//! Owns that choice and the way the executables under test get to the place.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use nix::unistd::Uid;

use crate::machine::Machine;
use crate::packages;
use crate::real;

/// A place with a user manager, a user bus and a journal.
pub enum Place {
    /// The session this process is in.
    Here,
    /// A machine that has to be booted first.
    Machine,
}

/// The folder with the real gateway and its node, as [`file`] knows it.
pub const REAL_GATEWAY: &str = "real-gateway";

/// Finds the place, or says in one line why there is none.
///
/// Root gets a machine even when it has a user manager: journald keeps no journal file for root's user units, so
/// `journalctl --user`, through which the trials read everything back, would be empty.
pub fn find() -> Result<Place, String> {
    if Uid::effective().is_root() {
        return Ok(Place::Machine);
    }
    match user_manager() {
        Ok(()) => Ok(Place::Here),
        Err(reason) => Err(format!(
            "{reason}; run the tests as a logged-in user with a systemd user manager, or as root, which boots a machine for them"
        )),
    }
}

/// One call through the bus proves the bus and the manager behind it.
fn user_manager() -> Result<(), String> {
    if env::var_os("XDG_RUNTIME_DIR").is_none() {
        return Err("no user manager: XDG_RUNTIME_DIR is not set".to_owned());
    }
    let mut busctl = Command::new("busctl");
    busctl.args([
        "--user",
        "--timeout=10",
        "call",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
    ]);
    busctl.args(["org.freedesktop.DBus.Peer", "Ping"]);
    let output = busctl.output().map_err(|error| {
        format!("cannot run busctl ({error}); install it with: apt-get install systemd dbus-user-session")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "the user manager does not answer on the user bus ({}); where it is missing: apt-get install dbus-user-session libpam-systemd",
        said.trim()
    ))
}

/// Boots a machine with everything under test in it, with packages of it, and with a folder that is bound there.
pub fn boot(packages: Option<&Path>, bound: Option<(&str, &Path)>) -> Result<Machine, String> {
    let executable = executable()?;
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("units");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<(&str, &Path)> = vec![
        ("e2e", &executable),
        ("gatehound", Path::new(env!("CARGO_BIN_EXE_gatehound"))),
        ("units", &units),
        ("cases", &cases),
    ];
    files.extend(packages.map(|folder| (packages::FOLDER, folder)));
    Machine::boot(&files, bound)
}

/// Runs this executable inside a new machine with the same arguments, and hands on how it ended.
pub fn again_in_machine(arguments: &[String]) -> Result<ExitCode, String> {
    let real_gateway = real::install::folder();
    let built = packages::wanted().then(packages::build).transpose();
    let built = built.map_err(|error| format!("cannot keep the packages: {error}"))?;
    let machine = boot(
        built.as_ref().map(|folder| folder.path()),
        real::wanted().then_some((REAL_GATEWAY, &real_gateway)),
    )?;
    let status = machine
        .as_user(Machine::path("e2e"))
        .args(arguments)
        .status()
        .map_err(|error| format!("cannot run the trials in the machine: {error}"))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// This executable, which is also the stand-in gateway.
pub fn executable() -> Result<PathBuf, String> {
    env::current_exe().map_err(|error| format!("cannot name this executable: {error}"))
}

/// A file under test: the copy handed into the machine, or the one cargo built.
pub fn file(name: &str) -> PathBuf {
    match env::var_os("E2E_FILES") {
        Some(files) => Path::new(&files).join(name),
        None if name == "gatehound" => PathBuf::from(env!("CARGO_BIN_EXE_gatehound")),
        None if name == REAL_GATEWAY => real::install::folder(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join(name),
    }
}
