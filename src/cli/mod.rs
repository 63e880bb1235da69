//! The command line: what a person can ask for, and the exit status they get.
//!
//! Owns the words of the options; each command has a file of its own.

/// Prints one line, whatever is in the texts it is made of.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::print(&$crate::line::printable(&format!($($text)*)))
    };
}

mod alert;
mod check;
mod completions;
mod config;
mod config_diff;
mod doctor;
mod emergency_stop;
mod history;
mod install;
mod packaged;
mod pause;
mod rivals;
mod show;
mod snapshots;
mod status;
mod tidy;

use std::{
    io::{BufRead as _, IsTerminal as _, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::anyhow;
use clap::{Args, Parser, Subcommand};

use crate::{
    act::manager::UserManager,
    daemon::{self, RunError},
    decide::MANAGER_LIMIT,
    line::{is_unprintable, printable},
    sense::{
        config::{ConfigError, Sources, is_profile},
        folders, wall_clock,
    },
};

/// EX_CONFIG of sysexits(3): the settings are wrong, and starting again would not help.
const EX_CONFIG: u8 = 78;

/// A watchdog for the OpenClaw Gateway: restarts one that still runs but no longer works.
#[derive(Debug, Parser)]
#[command(
    name = "gatehound",
    version,
    arg_required_else_help = true,
    // Each command has --help, and the list has to fit on a screen.
    disable_help_subcommand = true,
    max_term_width = 100
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
    /// Set a key of gatehound.toml(5), over files and variables
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    // Hidden like `tidy`, because a unit runs it: the list is for people.
    /// Watch the gateway; what gatehound.service runs
    #[command(hide = true)]
    Run,
    /// Look once and change nothing: 0 healthy, 1 failing or down, 2 cannot tell
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
    /// List what became of the gateway: incidents, availability, mean time to recover
    History {
        /// From when on: a span such as "7d", a date, "today" or "yesterday"
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
    /// Find what keeps the watch from being complete: 0 nothing, 1 warnings, 2 problems
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep hands off the gateway for a while
    Pause {
        /// For how long, such as "30min"; pause.default if not given
        #[arg(long = "for", value_name = "SPAN", value_parser = humantime::parse_duration)]
        span: Option<Duration>,
        /// Why, for whoever looks
        reason: Vec<String>,
    },
    /// End a pause
    Resume,
    /// Send the ladder back to its first rung, and end a hold
    Reset,
    /// Stop Gatehound and gateway at once and end what is left of them
    EmergencyStop {
        /// Keep both from starting at the next boot or login
        #[arg(long)]
        disable: bool,
    },
    /// Delete old log files of the gateway and empty large ones; what gatehound-tidy.timer runs
    #[command(hide = true)]
    Tidy {
        /// Delete files that were last written to longer ago
        #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = humantime::parse_duration)]
        keep: Duration,
        /// Empty files that are larger
        #[arg(long, value_name = "MEGABYTES", default_value_t = 50)]
        max_size: u64,
        /// A folder of logs; may be given more than once [default: the gateway's in /tmp]
        #[arg(long, value_name = "PATH")]
        folder: Vec<PathBuf>,
        /// Say what would be done and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// The settings, and the generations of openclaw.json
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Who is told when the gateway is down
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Put program, units, man pages and completions into place, and start watching
    Install(install::Options),
    /// Stop watching and remove what install put into place
    Uninstall,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every effective value and where it comes from
    Show,
    /// Check the settings without starting: 0 right, 78 wrong
    Check,
    /// List the kept generations of the gateway's openclaw.json
    List,
    /// Show what differs between a generation and openclaw.json, secrets hidden
    Diff {
        /// Its number, as list shows it; the one that was proven good last if not given
        generation: Option<u32>,
    },
    /// Put a generation of openclaw.json back; what it replaces is kept
    Restore {
        /// Its number, as list shows it; the one that was proven good last if not given
        generation: Option<u32>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
enum AlertCommand {
    /// Send a test through every channel at once, and say what the other sides answer
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
    let cli = Cli::parse();
    // Whether the gateway works, nobody has found out.
    let failure = if matches!(cli.command, Command::Check { .. }) {
        2
    } else {
        1
    };
    match cli.dispatch() {
        Ok(status) => status,
        Err(e) => {
            let _ = writeln!(
                std::io::stderr(),
                "gatehound: {}",
                crate::line::Line::new(&format!("{e:#}"))
            );
            ExitCode::from(if is_config(&e) { EX_CONFIG } else { failure })
        }
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
            Command::History { since, json } => history::history(&sources, since, json),
            Command::Incident { id, json } => history::incident(&sources, id.as_deref(), json),
            Command::Pause { span, reason } => pause::pause(&sources, span, &reason.join(" ")),
            Command::Resume => pause::resume(&sources),
            Command::Reset => pause::reset(&sources),
            Command::EmergencyStop { disable } => emergency_stop::emergency_stop(&sources, disable),
            Command::Tidy {
                keep,
                max_size,
                folder,
                dry_run,
            } => tidy::command(folder, keep, max_size, dry_run),
            Command::Config(ConfigCommand::Show) => config::show(&sources),
            Command::Config(ConfigCommand::Check) => config::check(sources),
            Command::Alert(AlertCommand::Test { ping }) => alert::test(&sources, ping),
            Command::Alert(AlertCommand::Ping) => alert::ping(&sources),
            Command::Alert(AlertCommand::Send) => alert::send(&sources),
            Command::Config(ConfigCommand::List) => snapshots::list(&sources),
            Command::Config(ConfigCommand::Diff { generation }) => {
                snapshots::diff(&sources, generation)
            }
            Command::Config(ConfigCommand::Restore { generation, yes }) => {
                snapshots::restore(&sources, generation, yes)
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

/// A moment in the past, since the Unix epoch.
fn moment(text: &str) -> Result<Duration, String> {
    wall_clock::moment(text).map_err(|line| line.to_string())
}

/// A reader that has gone away, such as `| head`, is no reason to panic.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints JSON for programs, which a person may look at on a terminal all the same.
fn say_json(json: &str) {
    print(&in_clean_lines(json));
}

fn in_clean_lines(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        // Such a character is part of a string, for JSON itself has none but the newlines between its lines.
        if is_unprintable(c) && c != '\n' {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            shown.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Asks a question on a terminal; anything but a yes is a no. None where nobody is there to ask.
fn ask(question: &str) -> Option<bool> {
    let answers = std::io::stdin();
    if !answers.is_terminal() {
        return None;
    }
    let mut terminal = std::io::stderr();
    let _ = write!(terminal, "{} [y/N] ", printable(question));
    let _ = terminal.flush();
    let mut answer = String::new();
    // One that cannot be read is no yes.
    let _ = answers.lock().read_line(&mut answer);
    Some(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

fn manager() -> anyhow::Result<UserManager> {
    UserManager::new(None, MANAGER_LIMIT).map_err(Into::into)
}

/// Gatehound's unit for this profile, as shipped.
fn shipped_unit(profile: Option<&str>) -> String {
    profile.map_or_else(
        || "gatehound.service".to_owned(),
        |profile| format!("gatehound@{profile}.service"),
    )
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
    fn json_is_shown_in_clean_lines_and_still_says_the_same() {
        let value = serde_json::json!({ "a": "b\n\u{1b}[31m\u{7f}\u{9b}\u{202e}\u{e0041}é", "c": [1, "\u{ad}"] });
        let shown = in_clean_lines(&format!("{value:#}"));
        assert!(
            !shown.chars().any(|c| is_unprintable(c) && c != '\n'),
            "{shown:?}"
        );
        assert!(shown.contains('é'), "{shown}");
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn help_fits_on_a_screen() {
        let help = Cli::command().render_help().to_string();
        assert!(help.lines().count() <= 24, "{help}");
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
