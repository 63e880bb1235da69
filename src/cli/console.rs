//! What the commands share: printing, asking, and where the settings and the user manager come from.
//!
//! Knows no command.

use std::{
    cell::RefCell,
    io::{self, BufRead as _, ErrorKind, IsTerminal as _, Write},
    path::PathBuf,
    sync::OnceLock,
};

use nix::unistd::geteuid;

use crate::{
    os::folders,
    probe::gateway,
    settings::{
        Settings,
        layers::{self, ConfigError, Sources, which_gateway},
        limits::MANAGER_LIMIT,
    },
    systemd::UserManager,
    text::line::{is_unprintable, printable},
};

/// Prints one line, whatever is in the texts it is made of.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::console::print(&$crate::text::line::printable(&format!($($text)*)))
    };
}
pub(crate) use say;

pub(crate) use crate::settings::unit_names::own as shipped_unit;

/// Why standard output took not all of what was said.
pub(crate) static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

thread_local! {
    static HELD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Does something and gives the lines that it says, which are not printed.
pub(crate) fn held<T>(does: impl FnOnce() -> T) -> (T, Vec<String>) {
    HELD.set(Some(Vec::new()));
    let done = does();
    (done, HELD.take().unwrap_or_default())
}

/// A reader that has gone away, such as `| head`, has read what it wanted.
pub(crate) fn print(line: &str) {
    let is_held = HELD.with_borrow_mut(|held| {
        let lines = held.as_mut();
        lines.map(|lines| lines.push(line.to_owned())).is_some()
    });
    if is_held {
        return;
    }
    match writeln!(io::stdout(), "{line}") {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => drop(UNWRITTEN.set(e)),
        Ok(()) | Err(_) => {}
    }
}

/// Prints JSON for programs, which a person may look at on a terminal all the same.
pub(crate) fn say_json(json: &str) {
    print(&in_clean_lines(json));
}

/// JSON in which nothing is unprintable.
pub(crate) fn in_clean_lines(json: &str) -> String {
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
pub(crate) fn ask(question: &str) -> Option<bool> {
    let answers = io::stdin();
    if !answers.is_terminal() {
        return None;
    }
    let mut terminal = io::stderr();
    let _ = write!(terminal, "{} [y/N] ", printable(question));
    let _ = terminal.flush();
    let mut answer = String::new();
    // One that cannot be read is no yes.
    let _ = answers.lock().read_line(&mut answer);
    Some(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// The settings, for what a human needs whatever is wrong with them, which is said.
///
/// Where even the gateway's unit is not known, it is the one of the profile.
pub(crate) fn settings(sources: &Sources) -> Settings {
    let loaded = layers::load(sources).map(|loaded| loaded.settings);
    loaded.unwrap_or_else(|wrong| {
        let settings = which_gateway(sources).unwrap_or_default();
        say_what_is_wrong(sources, &wrong, &settings);
        settings
    })
}

/// As [`settings`], for what must not touch another gateway than the one that is meant.
///
/// # Errors
/// What they say of the gateway's unit is wrong as well.
pub(crate) fn settings_of_that_gateway(sources: &Sources) -> Result<Settings, ConfigError> {
    let loaded = layers::load(sources).map(|loaded| loaded.settings);
    loaded.or_else(|wrong| {
        let settings = which_gateway(sources)?;
        say_what_is_wrong(sources, &wrong, &settings);
        Ok(settings)
    })
}

fn say_what_is_wrong(sources: &Sources, wrong: &ConfigError, settings: &Settings) {
    let unit = gateway::unit_name(settings, sources.profile.as_deref());
    let on = format!("{wrong}; going on with the unit {unit} and the defaults");
    let _ = writeln!(io::stderr(), "gatehound: {on}");
}

/// The file that metrics are written to, if any are.
pub(crate) fn textfile(sources: &Sources, settings: &Settings) -> Option<PathBuf> {
    let profile = sources.profile.as_deref();
    let runtime = folders::runtime(&sources.variables, profile).unwrap_or_default();
    let uid = geteuid().as_raw();
    settings.metrics.file(profile, uid, &runtime)
}

pub(crate) fn manager() -> anyhow::Result<UserManager> {
    UserManager::new(None, MANAGER_LIMIT).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
