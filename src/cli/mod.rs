//! The command line: what a person can ask for, and the exit status they get.
//!
//! Owns the words of the options; each command has a file of its own.

mod check;
mod completions;
pub mod console;
mod doctor;
mod emergency_stop;
mod install;
mod settings_command;
pub mod show;
mod status;
mod usage;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::anyhow;
use clap::{Args, Parser, Subcommand, error::KindFormatter};

use crate::{
    alerts::alert_command,
    daemon::{self, RunError},
    history::history_command,
    os::{folders, wall_clock},
    pause::pause_command,
    settings::{
        layers::{ConfigError, Sources},
        unit_names::is_profile,
    },
    snapshots::snapshot_command,
    text::line::Line,
    tidy::tidy_command,
};

/// EX_CONFIG of sysexits(3): the settings are wrong, and starting again would not help.
const EX_CONFIG: u8 = 78;

/// EX_USAGE has another number; this is what clap and most programs end with.
const WRONG_USAGE: u8 = 2;

/// Restarts an OpenClaw Gateway that still runs but no longer works.
#[derive(Debug, Parser)]
#[command(
    name = "gatehound",
    version,
    arg_required_else_help = true,
    // Each command has --help, and the list has to fit on a screen of 24 rows.
    disable_help_subcommand = true,
    help_template = "{about-with-newline}{usage-heading} {usage}\n{all-args}"
)]
pub struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
struct Options {
    /// Watch the gateway of this profile
    #[arg(long, global = true, env = "GATEHOUND_PROFILE", hide_env = true, value_name = "NAME", value_parser = profile)]
    profile: Option<String>,
    /// Set a key of gatehound.toml(5) over all else
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    // Hidden like `tidy`, because a unit runs it: the list is for people.
    /// Watch the gateway; what gatehound.service runs
    #[command(hide = true)]
    Run,
    /// Look once, change nothing: 0 healthy, 1 failing, 2 unknown
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what the running Gatehound is doing
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Show it anew every two seconds, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// List what became of the gateway: incidents, availability
    History {
        /// A span such as "7d", a date, or "today"
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = moment)]
        since: Duration,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one incident with its evidence
    Incident {
        /// Its id, as history shows it; the last one if not given
        id: Option<String>,
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
    Pause {
        /// Such as "30min"; pause.default if not given
        #[arg(long = "for", value_name = "SPAN", value_parser = span)]
        span: Option<Duration>,
        /// Why, for whoever looks
        reason: Vec<String>,
    },
    /// End a pause
    Resume,
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
        #[arg(long, value_name = "PATH")]
        folder: Vec<PathBuf>,
        /// Say what would be done and do nothing
        #[arg(long)]
        dry_run: bool,
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
    Install(crate::other_watchdogs::finding::Options),
    /// Stop watching and remove what install put into place
    Uninstall,
}

#[derive(Debug, Subcommand)]
enum SettingsCommand {
    /// Print every effective value and where it comes from
    Show,
    /// Check the settings without starting: 0 right, 78 wrong
    Check,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    /// List the kept snapshots of the gateway's openclaw.json
    List,
    /// Show what differs between a snapshot and openclaw.json
    Diff {
        /// Its number; the one that is the last known good if not given
        #[arg(value_parser = snapshot)]
        snapshot: Option<u32>,
    },
    /// Put a snapshot of openclaw.json back; what it replaces is kept
    Restore {
        /// Its number; the one that is the last known good if not given
        #[arg(value_parser = snapshot)]
        snapshot: Option<u32>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
enum AlertCommand {
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

/// Reads the arguments and does what they ask.
pub fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    // `gatehound help pause`, as other programs have it.
    if arguments.get(1).is_some_and(|first| first == "help") {
        arguments.remove(1);
        arguments.push("--help".into());
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(e) => return without_command(e, &arguments),
    };
    // Whether the gateway works, nobody has found out.
    let failure = if matches!(cli.command, Command::Check { .. }) {
        2
    } else {
        1
    };
    match cli.dispatch() {
        Ok(status) => written(status, failure),
        Err(e) => {
            complain(&Line::new(&format!("{e:#}")));
            ExitCode::from(if is_config(&e) { EX_CONFIG } else { failure })
        }
    }
}

/// Gives the help that was asked for, or says what is wrong.
fn without_command(e: clap::Error, arguments: &[OsString]) -> ExitCode {
    let kind = e.kind();
    let text = |e: clap::Error| e.apply::<KindFormatter>().render().to_string();
    match kind {
        clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion => {
            console::print(text(e).trim_end());
            return written(ExitCode::SUCCESS, 1);
        }
        clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = io::stderr().write_all(text(e).as_bytes());
        }
        _ => complain(&usage::wrong(&e, arguments)),
    }
    ExitCode::from(WRONG_USAGE)
}

/// Says in one line why there is nothing else to say.
fn complain(why: &Line) {
    let _ = writeln!(io::stderr(), "gatehound: {why}");
}

/// The exit status of what is done, if what it said could be written.
fn written(status: ExitCode, failure: u8) -> ExitCode {
    let Some(e) = console::UNWRITTEN.get() else {
        return status;
    };
    let text = format!("cannot write to standard output: {e}; what was to be said is lost");
    complain(&Line::new(&text));
    if status == ExitCode::SUCCESS {
        ExitCode::from(failure)
    } else {
        status
    }
}

fn is_config(e: &anyhow::Error) -> bool {
    e.is::<ConfigError>() || matches!(e.downcast_ref(), Some(RunError::Config(_)))
}

impl Cli {
    fn dispatch(self) -> anyhow::Result<ExitCode> {
        let sources = self.options.sources()?;
        match self.command {
            Command::Run => daemon::run(sources)
                .map(|()| ExitCode::SUCCESS)
                .map_err(Into::into),
            Command::Check { json } => check::check(&sources, json),
            Command::Status { json, watch: false } => status::status(&sources, json),
            Command::Status { json, watch: true } => status::watch(&sources, json),
            Command::Doctor { json } => doctor::doctor(sources, json),
            Command::History { since, json } => history_command::history(&sources, since, json),
            Command::Incident { id, json } => {
                history_command::incident(&sources, id.as_deref(), json)
            }
            Command::Pause { span, reason } => {
                pause_command::pause(&sources, span, &reason.join(" "))
            }
            Command::Resume => pause_command::resume(&sources),
            Command::Reset => pause_command::reset(&sources),
            Command::EmergencyStop { disable } => emergency_stop::emergency_stop(&sources, disable),
            Command::Tidy {
                keep,
                max_size,
                folder,
                dry_run,
            } => tidy_command::command(folder, keep, max_size, dry_run),
            Command::Settings(SettingsCommand::Show) => settings_command::show(&sources),
            Command::Settings(SettingsCommand::Check) => settings_command::check(sources),
            Command::Alert(AlertCommand::Test { ping }) => alert_command::test(&sources, ping),
            Command::Alert(AlertCommand::Ping) => alert_command::ping(&sources),
            Command::Alert(AlertCommand::Send) => alert_command::send(&sources),
            Command::Snapshot(SnapshotCommand::List) => snapshot_command::list(&sources),
            Command::Snapshot(SnapshotCommand::Diff { snapshot }) => {
                snapshot_command::diff(&sources, snapshot)
            }
            Command::Snapshot(SnapshotCommand::Restore { snapshot, yes }) => {
                snapshot_command::restore(&sources, snapshot, yes)
            }
            Command::Install(options) => install::install(sources, &options),
            Command::Uninstall => install::uninstall(&sources),
        }
    }
}

impl Options {
    fn sources(self) -> anyhow::Result<Sources> {
        let variables = std::env::vars_os().collect();
        Ok(Sources {
            folder: folders::config(&variables).map_err(|line| anyhow!("{line}"))?,
            profile: self.profile.filter(|profile| profile != "default"),
            variables,
            overrides: self.overrides,
            watchdog: None,
        })
    }
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
