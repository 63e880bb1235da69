//! The command line as it is typed: commands, options, their help and their values.
//!
//! Owns their words, of which clap makes help and usage, and `completions.rs` what the shells offer.
//! Knows nothing of what the commands do.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};

use crate::{os::wall_clock, settings::unit_names::is_profile};

/// Restarts an OpenClaw Gateway that still runs but no longer works.
#[derive(Debug, Parser)]
#[command(
    name = "gatehound",
    version,
    disable_version_flag = true,
    arg_required_else_help = true,
    // Each command has --help, and the list has to fit on a screen of 24 rows, which leaves none for the usage.
    disable_help_subcommand = true,
    help_template = "{about-with-newline}{all-args}"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print version
    #[arg(short = 'V', long, action = ArgAction::Version, hide = true)]
    pub(crate) version: Option<bool>,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Watch the gateway of this profile
    #[arg(long, global = true, env = "GATEHOUND_PROFILE", hide_env = true, value_name = "NAME", value_parser = profile)]
    pub(crate) profile: Option<String>,
    /// Set a key of gatehound.toml(5) over all else
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    // Hidden like `tidy`, because a unit runs it: the list is for people.
    /// Watch the gateway; what gatehound.service runs
    #[command(hide = true)]
    Run,
    /// Look once, change nothing: 0 healthy, 1 failing, 2 unknown
    #[command(
        after_help = "Example, in a script:\n  gatehound check >/dev/null || echo the gateway does not work"
    )]
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print one line, and exit, as a plugin of Nagios does
        #[arg(long)]
        nagios: bool,
    },
    /// Show what the running Gatehound is doing
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Show it anew every two seconds, until q is pressed
        #[arg(long)]
        watch: bool,
    },
    /// List what became of the gateway: incidents, availability
    #[command(
        after_help = "Examples:\n  gatehound history --since \"2 hours ago\"\n  gatehound history --since 2026-11-23"
    )]
    History {
        /// A span such as "7d" or "2 hours ago", a date, or "today"
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = moment, allow_hyphen_values = true)]
        since: Duration,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Draw it as a picture into this file
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        svg: Option<PathBuf>,
        /// Read a journal that was collected: a folder, a file, or "-" for lines of journalctl -o json
        #[arg(long, value_name = "DIR")]
        journal: Option<PathBuf>,
        /// The host whose records are meant, where there are several
        #[arg(long, value_name = "NAME", requires = "journal")]
        host: Option<String>,
    },
    /// Show one incident with its evidence
    Incident {
        /// Its id, as history shows it; the last one if not given
        #[arg(value_name = "ID")]
        incident: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Find what is wrong: 0 nothing, 1 warnings, 2 problems
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Leave the gateway alone for a while
    #[command(after_help = "Example:\n  gatehound pause --for 2h moving house")]
    Pause {
        /// Such as "30min"; pause.default if not given
        #[arg(long = "for", value_name = "SPAN", value_parser = span)]
        span: Option<Duration>,
        /// Why, for whoever looks
        reason: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a pause
    Resume,
    /// Restart the gateway, by the systemctl command that is shown
    Restart,
    /// Show what gateway and Gatehound wrote, by journalctl
    Logs {
        /// Go on with what they write from now on
        #[arg(short, long)]
        follow: bool,
    },
    /// Print the version
    #[command(hide = true)]
    Version,
    /// Count attempts from 1 again; try again after giving up
    Reset,
    /// Stop Gatehound and gateway at once, and end what is left
    EmergencyStop {
        /// Keep both from starting at the next boot or login
        #[arg(long)]
        disable: bool,
    },
    /// Delete old log files of the gateway and empty large ones
    #[command(hide = true)]
    Tidy {
        /// Delete files that are older
        #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = span)]
        keep: Duration,
        /// Empty files that are larger
        #[arg(long, value_name = "MEGABYTES", default_value = "50", value_parser = megabytes)]
        max_size: u64,
        /// A folder of logs [default: the gateway's in /tmp]
        #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
        folder: Vec<PathBuf>,
        /// Say what would be done and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Fetch the metrics of all users for node_exporter
    #[command(hide = true)]
    CollectMetrics {
        /// The folder that its textfile collector reads
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
    /// The settings of gatehound.toml(5)
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// The kept snapshots of openclaw.json
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Where alerts go when the gateway is down
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Put everything into place for this user, and start watching
    Install(InstallOptions),
    /// Stop watching and remove what install put into place
    Uninstall,
    // The shells' completions run it.
    /// Print what may stand for the last of these words
    #[command(hide = true)]
    Complete {
        /// What is typed after "gatehound"
        #[arg(last = true)]
        words: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SettingsCommand {
    /// Print every effective value and where it comes from
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the settings without starting: 0 right, 78 wrong
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// List the kept snapshots of the gateway's openclaw.json
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what differs between a snapshot and openclaw.json
    Diff {
        /// Its number; the one that is the last known good if not given
        #[arg(value_parser = snapshot)]
        snapshot: Option<u32>,
        /// Show every value, secrets as well
        #[arg(long)]
        show_values: bool,
    },
    /// Put a snapshot of openclaw.json back; what it replaces is kept
    Restore {
        /// Its number; the one that is the last known good if not given
        #[arg(value_parser = snapshot)]
        snapshot: Option<u32>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Start the gateway with it, if it is down
        #[arg(long)]
        start: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertCommand {
    /// Send a test through every channel, and say what is answered
    Test {
        /// Send a ping as well, which says that all is well
        #[arg(long)]
        ping: bool,
    },
    // A unit runs it.
    /// Deliver the alerts that wait; what gatehound-alert.service runs
    #[command(hide = true)]
    Send,
    // Another one does.
    /// Send the ping of a gateway that works; what gatehound-ping.service runs
    #[command(hide = true)]
    Ping,
}

/// What a person says of an installation.
#[derive(Debug, Args)]
pub(crate) struct InstallOptions {
    /// Say what would be done and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Remove the old watchdog from your crontab
    #[arg(long)]
    pub(crate) replace_cron: bool,
    /// Watch even beside another watchdog that is left
    #[arg(long)]
    pub(crate) side_by_side: bool,
    /// Print JSON, with --dry-run
    #[arg(long, requires = "dry_run")]
    pub(crate) json: bool,
}

/// A profile becomes part of unit and folder names.
fn profile(text: &str) -> Result<String, String> {
    if is_profile(text) {
        Ok(text.to_owned())
    } else {
        Err("a profile has letters, digits, '-', '_' and '.', begins with a letter or digit, and has at most 64 of them".to_owned())
    }
}

/// A span of time.
fn span(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "not a time span; write one such as 30min")
}

/// The number of a snapshot.
fn snapshot(text: &str) -> Result<u32, &'static str> {
    let right = "not the number of a snapshot; write one such as 7";
    text.parse().map_err(|_| right)
}

/// A size of files.
fn megabytes(text: &str) -> Result<u64, &'static str> {
    let right = "not a number of megabytes; write a whole one such as 50";
    text.parse().map_err(|_| right)
}

/// A moment in the past, since the Unix epoch.
fn moment(text: &str) -> Result<Duration, String> {
    wall_clock::moment(text).map_err(|line| line.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::show;
    use clap::CommandFactory;

    #[test]
    fn the_options_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_on_a_screen_of_80_columns_and_24_rows() {
        let mut all = vec![Cli::command()];
        while let Some(mut command) = all.pop() {
            command.build();
            let help = command.render_help().to_string();
            let rows = help
                .lines()
                .map(|line| show::width(line).div_ceil(80).max(1));
            // One more is the shell's.
            assert!(rows.sum::<usize>() < 24, "{help}");
            all.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn a_profile_cannot_leave_its_folder() {
        for bad in ["", "..", "_x", "a/b", "a b", "a\nb", ".hidden", "%i"] {
            profile(bad).unwrap_err();
        }
        for good in ["work", "a-b_c.d", "9"] {
            profile(good).unwrap();
        }
    }
}
