//! Gatehound and what it is measured beside, each with a gateway of its own.
//!
//! Owns the units and the configuration of the watchers; knows nothing of what is measured.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::unistd::Uid;

use crate::place;
use crate::rig::{Rig, Setup, quoted, write};

/// A watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watcher {
    Gatehound,
    Shell,
    Monit,
}

impl Watcher {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gatehound => "gatehound",
            Self::Shell => "shell",
            Self::Monit => "monit",
        }
    }

    /// A gateway that runs, and the watcher's unit beside it, not started; its settings are its own defaults but for
    /// the time from one check to the next, in milliseconds.
    ///
    /// Whichever it is has Gatehound's place in the rig, which cleans up after it.
    pub fn beside_a_gateway(self, interval: u64) -> Rig {
        let rig = Rig::with(&Setup {
            // As OpenClaw writes it.
            restart_sec: "5",
            settings: format!("interval = \"{interval}ms\"\n"),
            watched: self == Self::Gatehound,
            ..Setup::default()
        });
        write(&config(&rig), &openclaw_json(&rig));
        let command = match self {
            Self::Gatehound => None,
            Self::Shell => Some(shell(&rig, interval)),
            Self::Monit => Some(monit(&rig, interval)),
        };
        if let Some(command) = command {
            let unit = format!("[Service]\nExecStart={command}\nKillMode=mixed\n");
            write(&rig.unit_path(&rig.gatehound), &unit);
        }
        rig.start_gateway();
        rig
    }
}

/// The gateway's configuration, which Gatehound reads and the shell watchdog copies.
fn config(rig: &Rig) -> PathBuf {
    let home = PathBuf::from(env::var_os("HOME").expect("HOME"));
    home.join(format!(".openclaw-{}/openclaw.json", rig.profile))
}

/// As long as a small one of a gateway that is in use.
fn openclaw_json(rig: &Rig) -> String {
    let channels: String = (0..20)
        .map(|number| format!("    \"channel-{number}\": {{ enabled: true, allow: [\"+15550100{number:02}\"], label: \"number {number}\" }},\n"))
        .collect();
    format!(
        "{{\n  gateway: {{ mode: \"local\", port: {} }},\n  channels: {{\n{channels}  }},\n}}\n",
        rig.port
    )
}

/// The words after `sh` of one run of the shell watchdog.
pub fn shell_check(rig: &Rig) -> [String; 5] {
    let folder = rig.folder("shell");
    fs::create_dir_all(&folder).expect("the shell watchdog's folder");
    [
        place::file("watchdog.sh").display().to_string(),
        rig.gateway.clone(),
        rig.port.to_string(),
        config(rig).display().to_string(),
        folder.display().to_string(),
    ]
}

/// A loop stands in for cron, and is kinder: a run never begins while another is under way.
fn shell(rig: &Rig, interval: u64) -> String {
    let check = shell_check(rig).join(" ");
    let seconds = interval as f64 / 1e3;
    format!("/bin/sh -c \"while :; do sh {check}; sleep {seconds}; done\"")
}

/// Monit forgets the environment, without which nobody finds the user manager.
fn monit(rig: &Rig, interval: u64) -> String {
    let folder = rig.folder("monit");
    let seconds = interval.div_ceil(1000);
    let systemctl = format!(
        "/usr/bin/env XDG_RUNTIME_DIR=/run/user/{} /usr/bin/systemctl --user",
        Uid::current()
    );
    let Rig { port, gateway, .. } = rig;
    let at = folder.display();
    let path = folder.join("monitrc");
    write(
        &path,
        &format!(
            "set daemon {seconds}\n\
             set logfile {at}/log\nset pidfile {at}/pid\nset idfile {at}/id\nset statefile {at}/state\n\
             check process gateway matching \"gateway --port {port}( |$)\"\n\
             \x20 start program = \"{systemctl} start {gateway}\"\n\
             \x20 stop program = \"{systemctl} stop {gateway}\"\n\
             \x20 if failed port {port} then restart\n\
             \x20 if failed port {port} protocol http request \"/\" with timeout 5 seconds then restart\n\
             \x20 if failed port {port} protocol http request \"/health\" with content = '\"ok\":true' with timeout 10 seconds then restart\n"
        ),
    );
    // It refuses a file that others may read.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
    let program = quoted(&place::file("monit"));
    format!("{program} -I -c {}", quoted(&path))
}
