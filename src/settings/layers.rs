//! The settings, merged from their sources: defaults, the config.toml of all users and of one, PROFILE.toml, variables, `--set`.
//!
//! Owns the order of the sources, the origin of each value and the messages about wrong ones.
//! What a value may be is `settings`' business; what it does is nobody's here.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::Metadata as FileMetadata,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment, Metadata, Profile, Provider,
    error::{Error, Kind},
    providers::{Format, Toml},
    util::nest,
    value::{Dict, Map, Value},
};

use crate::{
    os::{
        files::{self, Links},
        folders::Variables,
    },
    settings::{
        Invalid, Settings, UNSET,
        leaves::{CHANNELS, is_in_channels, is_secret, leaves},
        limits,
        unit_names::is_profile,
        values::{Rule as _, ServiceName},
    },
    text::{
        line::{Line, short},
        near_miss,
    },
};

/// Far more than every key written out with comments.
const MAX_FILE: u64 = 256 * 1024;

/// What keys of variables begin with; `__` separates a table from its key.
/// With it the name of a variable begins that is a setting.
pub const PREFIX: &str = "GATEHOUND_";

/// A variable that is an option of the program, not a key.
const NOT_A_KEY: &str = "GATEHOUND_PROFILE";

/// Where settings come from, later ones over earlier ones; kept for reading them again.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The folder of the config.toml of all users of the machine.
    pub system: Option<PathBuf>,
    /// The folder of the user's config.toml.
    pub folder: PathBuf,
    /// Adds PROFILE.toml from the same folder.
    pub profile: Option<String>,
    /// Environment variables; those that begin with `GATEHOUND_` are settings.
    pub variables: Variables,
    /// The arguments of `--set`, each `key=value`.
    pub overrides: Vec<String>,
    /// WatchdogSec of the unit, which the settings have to fit into.
    pub watchdog: Option<Duration>,
}

/// Settings that can be gone by.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub settings: Settings,
    /// What is allowed and should still be fixed.
    pub warnings: Vec<Line>,
    origins: BTreeMap<String, String>,
}

impl Loaded {
    /// Where the value of a dotted key comes from:
    /// `default`, the full path of a file, the name of a variable, or `--set`.
    pub fn origin(&self, key: &str) -> &str {
        let key = if is_in_channels(key) { CHANNELS } else { key };
        self.origins.get(key).map_or("default", String::as_str)
    }
}

/// Settings that cannot be gone by; one line with source, key, value and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// One effective value, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The dotted key.
    pub key: String,
    /// The value as gatehound.toml(5) spells it, or `unset` for what is found from the unit.
    pub value: String,
    /// As [`Loaded::origin`] says.
    pub origin: String,
}

/// What stands in the place of a secret.
pub(crate) const HIDDEN: &str = "(hidden)";

/// Merges the sources and validates the result.
///
/// A file that does not exist is an empty one.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut figment = Figment::new();
    let mut warnings = Vec::new();
    for layer in layers(sources, &mut warnings)? {
        figment = figment.merge(layer?);
    }
    let settings: Settings = figment.extract().map_err(|e| explain(&figment, &e))?;
    if let Some(watchdog) = sources.watchdog {
        limits::fits(&settings, watchdog).map_err(|invalid| refuse(&figment, &invalid))?;
    }
    let origins = leaves(&settings)
        .into_keys()
        .chain([CHANNELS.to_owned()])
        .filter_map(|key| Some((key.clone(), origin(&figment, &key)?)))
        .collect();
    Ok(Loaded {
        settings,
        warnings,
        origins,
    })
}

/// What settings that cannot be gone by still say of which gateway it is, for what has to work all the same.
///
/// All else is a default, but for `snapshots.keep`: what it may be is not known, so nothing is one too many.
///
/// # Errors
///
/// That itself is wrong.
pub fn which_gateway(sources: &Sources) -> Result<Settings, ConfigError> {
    const KEY: &str = "gateway.unit";
    let mut figment = Figment::new();
    for layer in layers(sources, &mut Vec::new())?.into_iter().flatten() {
        figment = figment.merge(layer);
    }
    let mut settings = Settings::default();
    if let Ok(value) = figment.find_value(KEY) {
        let written = serde_json::to_value(&value).unwrap_or_default();
        let unit = ServiceName::read(&written).map_err(|right| {
            let source = origin(&figment, KEY).unwrap_or_default();
            ConfigError(format!("{source}: {KEY} = {}: {right}", in_short(&value)))
        })?;
        settings.gateway.unit = Some(unit);
    }
    settings.snapshots.keep = usize::MAX;
    Ok(settings)
}

/// What each source says, later ones over earlier ones, or what is wrong with it.
fn layers(
    sources: &Sources,
    warnings: &mut Vec<Line>,
) -> Result<Vec<Result<Layer, ConfigError>>, ConfigError> {
    let files = config_files(sources)?;
    let files = files
        .iter()
        .filter_map(|path| file_layer(path, warnings).transpose());
    let overrides = sources
        .overrides
        .iter()
        .map(|argument| override_layer(argument));
    let variables = sources.variables.iter();
    let variables = variables.filter_map(|(name, value)| variable_layer(name, value));
    Ok(files.chain(variables).chain(overrides).collect())
}

/// Every effective value, in the order of its key.
pub fn show(loaded: &Loaded) -> Vec<Shown> {
    leaves(&loaded.settings)
        .into_iter()
        .map(|(key, value)| Shown {
            value: match value {
                serde_json::Value::Null => UNSET.to_owned(),
                _ if is_secret(&key) => HIDDEN.to_owned(),
                value => value.to_string(),
            },
            origin: loaded.origin(&key).to_owned(),
            key,
        })
        .collect()
}

/// Values that have one origin.
struct Layer {
    origin: String,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

fn config_files(sources: &Sources) -> Result<Vec<PathBuf>, ConfigError> {
    let mut names = vec!["config.toml".to_owned()];
    if let Some(profile) = &sources.profile {
        if !is_profile(profile) {
            return Err(ConfigError(format!(
                "--profile {:?}: not a profile; use up to 64 letters, digits, \"-\", \"_\" and \".\", \
                 the first of them a letter or digit",
                Line::new(profile).as_str()
            )));
        }
        names.push(format!("{profile}.toml"));
    }
    let system = sources.system.as_ref();
    let system = system.map(|folder| folder.join("config.toml"));
    let own = names.into_iter().map(|name| sources.folder.join(name));
    Ok(system.into_iter().chain(own).collect())
}

fn file_layer(path: &Path, warnings: &mut Vec<Line>) -> Result<Option<Layer>, ConfigError> {
    let origin = Line::lossy(path.as_os_str().as_bytes()).as_str().to_owned();
    let refused = |reason: &str| ConfigError(format!("{origin}: {reason}"));
    let contents = files::read_limited(path, MAX_FILE, Links::Follow).map_err(|reason| {
        refused(&format!(
            "cannot be read: {reason}; make it a text file that this user can read, or remove it"
        ))
    })?;
    let Some(contents) = contents else {
        return Ok(None);
    };
    warnings.extend(warning(&origin, &contents.metadata));
    let text = std::str::from_utf8(&contents.bytes).map_err(|e| {
        refused(&format!(
            "not UTF-8 text at byte {}; save it as UTF-8",
            e.valid_up_to()
        ))
    })?;
    let values = Toml::from_str::<Dict>(text).map_err(|e| {
        let start = e.span().map_or(0, |span| span.start);
        let (line, column) = position(text, start);
        let reason = Line::new(e.message());
        refused(&format!("line {line}, column {column}: {reason}"))
    })?;
    Ok(Some(Layer { origin, values }))
}

/// Line and column of a byte, both counted from 1, the column in characters.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// Who else could change the file. Only a warning: refusing it would leave the gateway unwatched.
fn warning(origin: &str, metadata: &FileMetadata) -> Option<Line> {
    const WRITABLE_BY_ALL: u32 = 0o002;
    let owner = metadata.uid();
    if metadata.permissions().mode() & WRITABLE_BY_ALL != 0 {
        return Some(Line::new(&format!(
            "{origin}: every user can change it, used all the same; run chmod o-w on it"
        )));
    }
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        return Some(Line::new(&format!(
            "{origin}: belongs to uid {owner}, used all the same; make it your own"
        )));
    }
    None
}

fn variable_layer(name: &OsStr, value: &OsStr) -> Option<Result<Layer, ConfigError>> {
    let name = name.to_string_lossy();
    let key = name.strip_prefix(PREFIX)?;
    // Two underscores would make it a key of the table `alert`; one is for the command that alerts go to.
    let of_an_alert = key.starts_with("ALERT_") && !key.starts_with("ALERT__");
    if name == NOT_A_KEY || of_an_alert {
        return None;
    }
    let key = key.to_ascii_lowercase().replace("__", ".");
    Some(match value.to_str() {
        Some(value) => text_layer(&name, &key, value),
        None => {
            let reason = "not UTF-8 text; set it to text, or unset it";
            Err(ConfigError(format!("{}: {reason}", Line::new(&name))))
        }
    })
}

fn override_layer(argument: &str) -> Result<Layer, ConfigError> {
    let (key, value) = argument.split_once('=').ok_or_else(|| {
        ConfigError(format!(
            "--set {:?}: not key=value; write one such as --set interval=30s",
            short(argument)
        ))
    })?;
    text_layer("--set", key.trim(), value)
}

/// A value given as text: what TOML would take it for, else a string, so that `30s` needs no quotes.
///
/// Not figment's own parser of such values: it recurses without a limit, and 128 brackets end the stack.
fn text_layer(origin: &str, key: &str, text: &str) -> Result<Layer, ConfigError> {
    let origin = Line::new(origin).as_str().to_owned();
    if !leaves(&Settings::default()).contains_key(key) {
        return Err(unknown(&origin, key));
    }
    let value = Toml::from_str::<Dict>(&format!("value = {text}"))
        .ok()
        // More keys than one came from line breaks in the text.
        .filter(|dict| dict.len() == 1)
        .and_then(|mut dict| dict.remove("value"))
        .unwrap_or_else(|| Value::from(text.trim()));
    let values = nest(key, value).into_dict().unwrap_or_default();
    Ok(Layer { origin, values })
}

/// Turns figment's first error into our own line.
fn explain(figment: &Figment, error: &Error) -> ConfigError {
    let mut path = error.path.clone();
    // The place in a list says less than the list.
    while path
        .last()
        .is_some_and(|part| part.parse::<usize>().is_ok())
    {
        path.pop();
    }
    let key = path.join(".");
    let source = error
        .metadata
        .as_ref()
        .map(|metadata| metadata.name.to_string())
        .or_else(|| origin(figment, &key))
        .unwrap_or_else(|| "default".to_owned());
    if matches!(error.kind, Kind::UnknownField(..)) {
        return unknown(&source, &key);
    }
    let value = figment
        .find_value(&key)
        .map_or_else(|_| "?".to_owned(), |value| shown(&key, &value));
    // The values say themselves what would be right, so all else is one where a table belongs.
    let right = match &error.kind {
        Kind::Message(right) => right,
        _ => "not a table; put its keys below it, as gatehound.toml(5) shows",
    };
    let key = Line::new(&key);
    ConfigError(format!("{source}: {key} = {value}: {right}"))
}

fn refuse(figment: &Figment, invalid: &Invalid) -> ConfigError {
    let Invalid { key, value, right } = invalid;
    let source = origin(figment, key).unwrap_or_else(|| "default".to_owned());
    // What was written, rather than what it was read as; a default was not written.
    let value = figment
        .find_value(key)
        .ok()
        .map_or_else(|| value.clone(), |written| shown(key, &written));
    ConfigError(format!("{source}: {key} = {value}: {right}"))
}

fn unknown(origin: &str, key: &str) -> ConfigError {
    let known = leaves(&Settings::default());
    let names: Vec<&str> = known
        .keys()
        .map(String::as_str)
        .chain(tables(&known))
        .collect();
    if let Some(meant) = near_miss::meant(key, &names) {
        let key = short(key);
        return ConfigError(format!(
            "{origin}: {key}: no such key; did you mean {meant}?"
        ));
    }
    let table = key.rsplit_once('.').map_or("", |(table, _)| table);
    let below = |table: &str| -> Vec<&str> {
        known
            .keys()
            .filter(|known| known.rsplit_once('.').map_or("", |(table, _)| table) == table)
            .map(String::as_str)
            .collect()
    };
    let beside = match below(table) {
        list if list.is_empty() => known.keys().map(String::as_str).collect(),
        list if table.is_empty() => list.into_iter().chain(tables(&known)).collect(),
        list => list,
    };
    let key = short(key);
    let beside = beside.join(", ");
    ConfigError(format!("{origin}: {key}: no such key; known are {beside}"))
}

fn tables(known: &BTreeMap<String, serde_json::Value>) -> Vec<&str> {
    let mut tables: Vec<&str> = known
        .keys()
        .filter_map(|key| Some(key.rsplit_once('.')?.0))
        .collect();
    // A table's keys stand on both sides of the tables in it.
    tables.sort_unstable();
    tables.dedup();
    tables
}

fn origin(figment: &Figment, key: &str) -> Option<String> {
    Some(figment.find_metadata(key)?.name.to_string())
}

/// A value for a message: none of what may have been written in the place of the channels.
fn shown(key: &str, value: &Value) -> String {
    if key == CHANNELS
        || CHANNELS
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with('.'))
    {
        HIDDEN.to_owned()
    } else {
        in_short(value)
    }
}

/// A value as TOML would spell it, cut down to what a message has room for.
fn in_short(value: &Value) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    short(&text)
}
