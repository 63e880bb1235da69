//! `gatehound restart` and `gatehound logs`: the systemctl and journalctl command for this gateway, said and then run.
//!
//! Owns which command that is. Gatehound becomes the program, whose output and exit status are the answer.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
};

use anyhow::anyhow;
use nix::unistd::geteuid;

use super::console::{settings, settings_of_that_gateway, shipped_unit};
use crate::{os::child, probe::gateway, settings::layers::Sources};

/// Restarts the gateway's unit.
pub(crate) fn restart(sources: &Sources) -> anyhow::Error {
    let settings = match settings_of_that_gateway(sources) {
        Ok(settings) => settings,
        Err(wrong) => return wrong.into(),
    };
    let unit = gateway::unit_name(&settings, sources.profile.as_deref());
    run(sources, &["systemctl", "--user", "restart", &unit])
}

/// Shows what the gateway and Gatehound wrote, and with `follow` what they go on to write.
pub(crate) fn logs(sources: &Sources, follow: bool) -> anyhow::Error {
    let profile = sources.profile.as_deref();
    let (unit, own) = (
        gateway::unit_name(&settings(sources), profile),
        shipped_unit(profile),
    );
    let mut command = vec!["journalctl", "--user", "-u", &unit, "-u", &own];
    command.extend(follow.then_some("-f"));
    run(sources, &command)
}

/// Comes back only with what kept the program from running.
fn run(sources: &Sources, command: &[&str]) -> anyhow::Error {
    // What the program prints may go on to another one.
    let _ = writeln!(io::stderr(), "{}", command.join(" "));
    let known = sources.variables.get(OsStr::new("XDG_RUNTIME_DIR"));
    let runtime: OsString = match known.filter(|folder| !folder.is_empty()) {
        Some(folder) => folder.clone(),
        // su(1) and cron leave it out, and systemctl needs it to find the user manager.
        None => format!("/run/user/{}", geteuid()).into(),
    };
    let (program, arguments) = command.split_first().unwrap_or((&"", &[]));
    anyhow!("{}", child::become_program(program, arguments, &runtime))
}
