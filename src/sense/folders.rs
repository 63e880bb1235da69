//! Where Gatehound's folders are, from the environment variables it is given.
//!
//! Owns the names of the folders; touches no file, and never reads the process environment itself.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use crate::line::Line;

/// Environment variables; `std::env::vars_os().collect()` in the program.
pub type Variables = BTreeMap<OsString, OsString>;

/// The folder of config.toml: `$XDG_CONFIG_HOME/gatehound`, else `$HOME/.config/gatehound`.
///
/// A relative path in either variable is ignored.
/// Source: XDG Base Directory Specification.
pub fn config(variables: &Variables) -> Result<PathBuf, Line> {
    absolute(variables, "XDG_CONFIG_HOME")
        .or_else(|| Some(absolute(variables, "HOME")?.join(".config")))
        .map(|base| base.join("gatehound"))
        .ok_or_else(|| {
            "no config folder: neither XDG_CONFIG_HOME nor HOME holds an absolute path; set HOME"
                .into()
        })
}

/// The folder of state, lock, pause and requests: `$RUNTIME_DIRECTORY`, else below `$XDG_RUNTIME_DIR`,
/// `gatehound` or `gatehound-PROFILE`.
///
/// `$RUNTIME_DIRECTORY` counts only when it ends in that name:
/// a `gatehound pause` run by somebody else's service must not leave its pause in that service's folder,
/// where nobody looks for it.
pub fn runtime(variables: &Variables, profile: Option<&str>) -> Result<PathBuf, Line> {
    let name = match profile {
        Some(profile) => format!("gatehound-{profile}"),
        None => "gatehound".to_owned(),
    };
    absolute(variables, "RUNTIME_DIRECTORY")
        .filter(|path| path.file_name() == Some(OsStr::new(&name)))
        .or_else(|| Some(absolute(variables, "XDG_RUNTIME_DIR")?.join(&name)))
        .ok_or_else(|| {
            "no runtime folder: XDG_RUNTIME_DIR is not set; \
             run gatehound in a user session, or set XDG_RUNTIME_DIR=/run/user/UID"
                .into()
        })
}

fn absolute(variables: &Variables, name: &str) -> Option<PathBuf> {
    let path = Path::new(variables.get(OsStr::new(name))?);
    path.is_absolute().then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(list: &[(&str, &str)]) -> Variables {
        list.iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[track_caller]
    fn check_config(list: &[(&str, &str)], expected: Option<&str>) {
        let found = config(&variables(list)).ok();
        assert_eq!(found.as_deref(), expected.map(Path::new));
    }

    #[track_caller]
    fn check_runtime(list: &[(&str, &str)], profile: Option<&str>, expected: Option<&str>) {
        let found = runtime(&variables(list), profile).ok();
        assert_eq!(found.as_deref(), expected.map(Path::new));
    }

    #[test]
    fn the_config_folder_follows_the_xdg_variables() {
        check_config(
            &[("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")],
            Some("/x/gatehound"),
        );
        check_config(&[("HOME", "/h")], Some("/h/.config/gatehound"));
        check_config(
            &[("XDG_CONFIG_HOME", "x"), ("HOME", "/h")],
            Some("/h/.config/gatehound"),
        );
        check_config(&[("XDG_CONFIG_HOME", ""), ("HOME", "h")], None);
        check_config(&[], None);
    }

    #[test]
    fn daemon_and_commands_find_the_same_runtime_folder() {
        let session = ("XDG_RUNTIME_DIR", "/run/user/1000");
        check_runtime(&[session], None, Some("/run/user/1000/gatehound"));
        check_runtime(
            &[session, ("RUNTIME_DIRECTORY", "/run/user/1000/gatehound")],
            None,
            Some("/run/user/1000/gatehound"),
        );
        check_runtime(
            &[session],
            Some("work"),
            Some("/run/user/1000/gatehound-work"),
        );
        check_runtime(&[], None, None);
    }

    #[test]
    fn the_runtime_folder_of_a_foreign_service_is_not_taken() {
        check_runtime(
            &[
                ("XDG_RUNTIME_DIR", "/run/user/1000"),
                ("RUNTIME_DIRECTORY", "/run/user/1000/backup"),
            ],
            None,
            Some("/run/user/1000/gatehound"),
        );
    }
}
