//! What is wrong with the arguments, in one line.
//!
//! Owns what is said where clap finds them wrong, because its own four lines quote them as they are.

use std::{error::Error as _, ffi::OsString};

use clap::{
    CommandFactory as _, Error,
    error::{ContextKind, ErrorKind},
};

use crate::text::line::{Line, short};

/// What was seen, and where it stands what would be right.
pub(crate) fn wrong(error: &Error, arguments: &[OsString]) -> Line {
    let said = |kind| error.get(kind).map(|value| short(&value.to_string()));
    let given = said(ContextKind::InvalidArg).or(said(ContextKind::InvalidSubcommand));
    let given = given.unwrap_or_default();
    // clap has "--for <SPAN>" or "[ID]", of which the name is enough.
    let name = given.split(' ').next().unwrap_or_default();
    let name = name.trim_matches(['[', ']', '<', '>', '.']);
    let command = command(arguments, &[&given, name]);
    let value = said(ContextKind::InvalidValue).unwrap_or_default();
    let what = match error.kind() {
        ErrorKind::UnknownArgument if given.starts_with('-') => {
            format!("{given:?}: no option of {command}")
        }
        ErrorKind::UnknownArgument => format!("{given:?}: more than {command} takes"),
        ErrorKind::InvalidSubcommand => format!("{given:?}: no command of {command}"),
        ErrorKind::InvalidValue => format!("{name}: a value is missing"),
        ErrorKind::ValueValidation => {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{name} {value:?}: {why}")
        }
        ErrorKind::TooManyValues => format!("{name}: takes no value"),
        ErrorKind::MissingRequiredArgument => format!("{name}: is missing"),
        ErrorKind::ArgumentConflict => format!("{name}: given more than once"),
        other => other.to_string(),
    };
    let similar = said(ContextKind::SuggestedSubcommand).or(said(ContextKind::SuggestedArg));
    let hint = match (similar, said(ContextKind::Suggested)) {
        (Some(similar), _) => format!(", perhaps {similar}"),
        (None, Some(hint)) => format!("; {hint}"),
        (None, None) => String::new(),
    };
    Line::new(&format!("{what}{hint}; see {command} --help"))
}

/// The command that the arguments name before one that is wrong.
fn command(arguments: &[OsString], wrong: &[&str]) -> String {
    let mut name = "gatehound".to_owned();
    let mut command = super::command_line::Cli::command();
    let words = arguments.iter().skip(1).map(|word| word.to_string_lossy());
    let mut words = words.take_while(|word| !wrong.contains(&&**word));
    while let Some(word) = words.next() {
        if ["--profile", "--set"].contains(&&*word) {
            words.next();
        } else if let Some(below) = command.find_subcommand(&*word) {
            name = format!("{name} {word}");
            command = below.clone();
        }
    }
    name
}
