//! What a person can ask for, and the exit status they get.
//!
//! Owns what each command of `command_line.rs` does; most have a file of their own.

pub(crate) mod answers;
mod check;
pub(crate) mod command_line;
mod completions;
pub mod console;
mod doctor;
mod emergency_stop;
mod gateway_unit;
mod install;
mod nagios;
mod settings_command;
pub mod show;
mod status;
mod status_view;
mod systemd_tools;
mod usage;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::anyhow;
use clap::{Parser as _, error::KindFormatter};
use command_line::{AlertCommand, Cli, Command, Options, SettingsCommand, SnapshotCommand};
use nix::unistd::geteuid;

use crate::{
    alerts::{alert_command, trial},
    daemon::{self, RunError},
    history::history_command,
    metrics::collect_command,
    os::{folders, user_folder},
    pause::pause_command,
    settings::layers::{ConfigError, Sources},
    snapshots::{diff::Values, snapshot_command},
    text::line::Line,
    tidy::tidy_command,
};

/// EX_CONFIG of sysexits(3): the settings are wrong, and starting again would not help.
const EX_CONFIG: u8 = 78;

/// EX_USAGE has another number; this is what clap and most programs end with.
const WRONG_USAGE: u8 = 2;

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
    let nagios = matches!(cli.command, Command::Check { nagios: true, .. });
    // Whether the gateway works, nobody has found out.
    let failure = if matches!(cli.command, Command::Check { .. }) {
        2
    } else {
        1
    };
    let of_root = cli.command.is_about_own_gateway() && geteuid().is_root();
    let done = cli.dispatch();
    if of_root {
        point_to_others();
    }
    match done {
        Ok(status) => written(status, failure),
        Err(e) if nagios => nagios::unknown(&Line::new(&format!("{e:#}"))),
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
        _ if arguments.iter().any(|one| one == nagios::OPTION) => {
            return nagios::unknown(&usage::wrong(&e, arguments));
        }
        _ => complain(&usage::wrong(&e, arguments)),
    }
    ExitCode::from(WRONG_USAGE)
}

/// Says in one line why there is nothing else to say.
fn complain(why: &Line) {
    let _ = writeln!(io::stderr(), "gatehound: {why}");
}

impl Command {
    /// Whether it is about the gateway of whoever types it, and not about those of others, or none.
    fn is_about_own_gateway(&self) -> bool {
        !matches!(
            self,
            Self::Run
                | Self::Complete { .. }
                | Self::Version
                | Self::CollectMetrics { .. }
                | Self::History {
                    journal: Some(_),
                    ..
                }
        )
    }
}

/// Says to root, who has no Gatehound, whose there are: the commands are about the gateway of whoever types them.
fn point_to_others() {
    let all = Path::new(user_folder::ALL);
    let own = user_folder::of(geteuid(), all);
    if own.is_some_and(|folder| user_folder::has_gatehound(&folder)) {
        return;
    }
    for user in user_folder::others_with_gatehound(geteuid(), all) {
        let text = format!(
            "root has no gateway that is watched, and {user} has; ask as {user}: sudo -iu {user} gatehound status"
        );
        complain(&Line::new(&text));
    }
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
            Command::Check { json, nagios } => check::check(&sources, json, nagios),
            Command::Status { json, watch: false } => status::status(&sources, json),
            Command::Status { json, watch: true } => status::watch(&sources, json),
            Command::Doctor { json } => doctor::doctor(sources, json),
            Command::History {
                since,
                json,
                svg,
                journal,
                host,
            } => {
                let wanted = history_command::Wanted {
                    since,
                    json,
                    journal,
                    host,
                    svg,
                };
                history_command::history(&sources, &wanted)
            }
            Command::Incident { incident, json } => {
                history_command::incident(&sources, incident.as_deref(), json)
            }
            Command::Pause { span, reason, json } => {
                pause_command::pause(&sources, span, &reason.join(" "), json)
            }
            Command::Resume => pause_command::resume(&sources),
            Command::Restart => Err(systemd_tools::restart(&sources)),
            Command::Logs { follow } => Err(systemd_tools::logs(&sources, follow)),
            Command::Version => {
                console::print(concat!("gatehound ", env!("CARGO_PKG_VERSION")));
                Ok(ExitCode::SUCCESS)
            }
            Command::Reset => pause_command::reset(&sources),
            Command::EmergencyStop { disable } => emergency_stop::emergency_stop(&sources, disable),
            Command::Tidy {
                keep,
                max_size,
                folder,
                dry_run,
            } => tidy_command::command(folder, keep, max_size, dry_run),
            Command::CollectMetrics { folder } => Ok(collect_command::command(&folder)),
            Command::Settings(SettingsCommand::Show { json }) => {
                settings_command::show(sources, json)
            }
            Command::Settings(SettingsCommand::Check) => settings_command::check(sources),
            Command::Alert(AlertCommand::Test { ping }) => trial::test(&sources, ping),
            Command::Alert(AlertCommand::Ping) => alert_command::ping(&sources),
            Command::Alert(AlertCommand::Send) => alert_command::send(&sources),
            Command::Snapshot(SnapshotCommand::List { json }) => {
                snapshot_command::list(&sources, json)
            }
            Command::Snapshot(SnapshotCommand::Diff {
                snapshot,
                show_values,
            }) => {
                let values = if show_values {
                    Values::All
                } else {
                    Values::Harmless
                };
                snapshot_command::diff(&sources, snapshot, values)
            }
            Command::Snapshot(SnapshotCommand::Restore {
                snapshot,
                yes,
                start,
            }) => snapshot_command::restore(&sources, snapshot, yes, start),
            Command::Install(options) if options.dry_run => install::dry_run(sources, &options),
            Command::Install(options) => install::install(sources, &options),
            Command::Uninstall => install::uninstall(&sources),
            Command::Complete { words } => Ok(completions::complete(sources, &words)),
        }
    }
}

impl Options {
    fn sources(self) -> anyhow::Result<Sources> {
        let logind = user_folder::of(geteuid(), Path::new(user_folder::ALL));
        let variables = folders::with_runtime(std::env::vars_os().collect(), logind);
        Ok(Sources {
            system: Some(folders::SYSTEM_CONFIG.into()),
            folder: folders::config(&variables).map_err(|line| anyhow!("{line}"))?,
            profile: self.profile.filter(|profile| profile != "default"),
            variables,
            overrides: self.overrides,
            watchdog: None,
        })
    }
}
