//! Completions of the command line for bash, zsh and fish.
//!
//! Owns what may stand where a word is begun, which is asked of the definition in `command_line.rs`: the shells' files
//! hand over what is typed and offer what is answered, so that a new option is nothing to them.
//! The scripts that clap_complete makes are thirty times as large, in a program whose size is bounded, and offer no snapshot.

use std::{fs, process::ExitCode};

use clap::{Arg, Command, CommandFactory as _, ValueHint};

use super::{command_line::Cli, console::say};
use crate::{
    os::folders,
    recovery::incident_files,
    settings::{Settings, layers::Sources, leaves::leaves, unit_names::is_profile},
    snapshots::store::Store,
};

/// Where each is below a folder of shared data such as ~/.local/share, and what it is.
pub(crate) const FILES: [(&str, &str); 3] = [
    (
        "bash-completion/completions/gatehound",
        include_str!("completions/gatehound.bash"),
    ),
    (
        "zsh/site-functions/_gatehound",
        include_str!("completions/_gatehound"),
    ),
    (
        "fish/vendor_completions.d/gatehound.fish",
        include_str!("completions/gatehound.fish"),
    ),
];

/// What the shells' files take for "a folder", of which the shell knows more.
const FOLDER: &str = ":folder";

/// A word that is offered, and what it is.
type Offer = (String, String);

/// Prints what may stand for the last of the words, each with what it is.
pub(crate) fn complete(sources: Sources, words: &[String]) -> ExitCode {
    let (begun, before) = words
        .split_last()
        .map_or(("", words), |(last, before)| (last, before));
    // bash has an equals sign as a word of its own.
    let begun = if begun == "=" { "" } else { begun };
    let place = Place::after(before);
    let profile = place.profile.clone().or(sources.profile.clone());
    let sources = Sources { profile, ..sources };
    for (word, what) in place.offers(begun, &sources) {
        if word.starts_with(begun) || word == FOLDER {
            say!("{}", format!("{word} {what}").trim_end());
        }
    }
    ExitCode::SUCCESS
}

/// What is known where a word is begun.
struct Place {
    command: Command,
    /// The option whose value the word is.
    option: Option<Arg>,
    /// How many arguments the command has already.
    given: usize,
    profile: Option<String>,
}

impl Place {
    fn after(words: &[String]) -> Self {
        let mut command = Cli::command();
        command.build();
        let mut place = Self {
            command,
            option: None,
            given: 0,
            profile: None,
        };
        for word in words.iter().filter(|word| *word != "=") {
            place.pass(word);
        }
        place
    }

    fn pass(&mut self, word: &str) {
        if let Some(option) = self.option.take() {
            self.take(&option, word);
        } else if word.starts_with('-') {
            let (name, value) = word
                .split_once('=')
                .map_or((word, None), |(name, value)| (name, Some(value)));
            let option = named(&self.command)
                .filter(|arg| arg.get_action().takes_values())
                .find(|arg| spellings(arg).any(|one| one == name))
                .cloned();
            match (option, value) {
                (Some(option), Some(value)) => self.take(&option, value),
                (option, _) => self.option = option,
            }
        } else if let Some(below) = self
            .command
            .find_subcommand(word)
            .filter(|_| self.given == 0)
        {
            self.command = below.clone();
        } else {
            self.given += 1;
        }
    }

    fn take(&mut self, option: &Arg, value: &str) {
        if option.get_id() == "profile" && is_profile(value) {
            self.profile = Some(value.to_owned());
        }
    }

    fn offers(&self, begun: &str, sources: &Sources) -> Vec<Offer> {
        if let Some(option) = &self.option {
            return values(option, sources);
        }
        if begun.starts_with('-') {
            let offers = named(&self.command).flat_map(|arg| {
                let what = arg.get_help().map(ToString::to_string).unwrap_or_default();
                spellings(arg).map(move |one| (one, what.clone()))
            });
            return offers.collect();
        }
        // What help does not list is offered to whoever began to type it.
        let is_offered = |command: &&Command| !command.is_hide_set() || !begun.is_empty();
        let below = self.command.get_subcommands().filter(is_offered);
        let below = below.map(|one| {
            let what = one.get_about().map(ToString::to_string);
            (one.get_name().to_owned(), what.unwrap_or_default())
        });
        let argument = self.command.get_positionals().nth(self.given);
        let values = argument.map(|argument| values(argument, sources));
        below.chain(values.unwrap_or_default()).collect()
    }
}

fn named(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_positional())
}

fn spellings(arg: &Arg) -> impl Iterator<Item = String> + use<> {
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    long.into_iter().chain(short)
}

/// What is known of the values that an argument takes; nothing where that cannot be read.
fn values(argument: &Arg, sources: &Sources) -> Vec<Offer> {
    let state = folders::state(&sources.variables, sources.profile.as_deref()).ok();
    let words: Vec<String> = match argument.get_id().as_str() {
        "profile" => profiles(sources),
        "overrides" => {
            let keys = leaves(&Settings::default()).into_keys();
            keys.map(|key| format!("{key}=")).collect()
        }
        "snapshot" => {
            let numbers = state.and_then(|state| Store::new(&state).numbers().ok());
            let numbers = numbers.into_iter().flatten();
            numbers.map(|(number, _)| number.to_string()).collect()
        }
        "incident" => state
            .map(|state| incident_files::ids(&state))
            .unwrap_or_default(),
        _ if argument.get_value_hint() == ValueHint::DirPath => vec![FOLDER.to_owned()],
        _ => {
            let values = argument.get_possible_values();
            values
                .iter()
                .map(|value| value.get_name().to_owned())
                .collect()
        }
    };
    words
        .into_iter()
        .map(|word| (word, String::new()))
        .collect()
}

/// Those that have a file of settings.
fn profiles(sources: &Sources) -> Vec<String> {
    let files = fs::read_dir(&sources.folder)
        .into_iter()
        .flatten()
        .flatten();
    let mut profiles: Vec<String> = files
        .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".toml")?.to_owned()))
        .filter(|name| is_profile(name) && name != "config")
        .collect();
    profiles.sort();
    profiles
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is offered for the last of these words, where nothing is kept and no profile has settings.
    fn offered(typed: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources {
            system: None,
            folder: folder.path().to_owned(),
            profile: None,
            variables: [("HOME".into(), folder.path().into())].into(),
            overrides: Vec::new(),
            watchdog: None,
        };
        let mut words: Vec<String> = typed.split(' ').map(str::to_owned).collect();
        let begun = words.pop().unwrap();
        let offers = Place::after(&words).offers(&begun, &sources);
        let offers = offers.into_iter().map(|(word, _)| word);
        offers.filter(|word| word.starts_with(&begun)).collect()
    }

    #[test]
    fn every_command_and_option_is_offered_with_what_it_is() {
        let mut all = vec![(String::new(), Cli::command())];
        let mut seen = 0;
        while let Some((typed, mut command)) = all.pop() {
            command.build();
            let below = offered(&typed);
            let begun = offered(&format!("{typed}-"));
            for one in command.get_subcommands() {
                let name = one.get_name();
                assert_eq!(
                    below.iter().any(|word| word == name),
                    !one.is_hide_set(),
                    "{name}"
                );
                assert_eq!(offered(&format!("{typed}{name}")), [name]);
                assert!(one.get_about().is_some(), "{name}");
                all.push((format!("{typed}{name} "), one.clone()));
            }
            for arg in named(&command) {
                assert!(arg.get_help().is_some(), "{arg}");
                spellings(arg).for_each(|one| assert!(begun.contains(&one), "{one}"));
                seen += 1;
            }
        }
        assert!(60 < seen, "{seen}");
    }

    #[test]
    fn the_value_of_an_option_is_no_command_and_no_argument() {
        let snapshot = ["list", "diff", "restore"];
        assert!(offered("--profile snapshot ").contains(&"status".to_owned()));
        for typed in [
            "snapshot ",
            "--profile work snapshot ",
            "--profile = work snapshot ",
            "--profile=work snapshot ",
            "--set pause=9s snapshot ",
            "snapshot --profile status ",
        ] {
            assert_eq!(offered(typed), snapshot, "{typed}");
        }
        // What is free text has nothing to offer, and an argument has no commands below it.
        for typed in [
            "pause --for ",
            "pause status ",
            "history --since ",
            "snapshot diff list ",
        ] {
            assert_eq!(offered(typed), [""; 0], "{typed}");
        }
    }

    #[test]
    fn the_keys_of_the_settings_and_folders_are_offered() {
        assert_eq!(
            offered("--set pause."),
            ["pause.default=", "pause.flag_file="]
        );
        assert_eq!(offered("tidy --folder "), [FOLDER]);
    }
}
