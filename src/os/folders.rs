//! Where Gatehound's folders are, from the environment variables it is given.
//!
//! Owns the names of the folders; touches no file, and never reads the process environment itself.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use crate::text::line::Line;

/// Environment variables; `std::env::vars_os().collect()` in the program.
pub type Variables = BTreeMap<OsString, OsString>;

/// The folder of the config.toml that holds for all users of the machine.
pub const SYSTEM_CONFIG: &str = "/etc/gatehound";

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
    let name = name(profile);
    given(variables, "RUNTIME_DIRECTORY", &name)
        .or_else(|| Some(absolute(variables, "XDG_RUNTIME_DIR")?.join(&name)))
        .ok_or_else(|| {
            "no runtime folder: XDG_RUNTIME_DIR is not set to an absolute path, and you have no folder /run/user/UID; \
             log in, or have systemd keep it: loginctl enable-linger"
                .into()
        })
}

/// The folder of what outlives a boot: `$STATE_DIRECTORY`, else below `$XDG_STATE_HOME`,
/// else below `$HOME/.local/state`, `gatehound` or `gatehound-PROFILE`.
///
/// `$STATE_DIRECTORY` counts by the rule of [`runtime`].
/// The shipped units have no `StateDirectory=`, which would set it:
/// before systemd 254 that is a folder below `$XDG_CONFIG_HOME`, where no command run in a terminal would look.
/// Source: XDG Base Directory Specification, systemd.exec(5).
pub fn state(variables: &Variables, profile: Option<&str>) -> Result<PathBuf, Line> {
    let name = name(profile);
    given(variables, "STATE_DIRECTORY", &name)
        .or_else(|| Some(absolute(variables, "XDG_STATE_HOME")?.join(&name)))
        .or_else(|| {
            Some(
                absolute(variables, "HOME")?
                    .join(".local/state")
                    .join(&name),
            )
        })
        .ok_or_else(|| {
            "no state folder: neither XDG_STATE_HOME nor HOME holds an absolute path; set HOME"
                .into()
        })
}

/// The folder of what programs keep for a user: `$XDG_DATA_HOME`, else `.local/share` of the home.
///
/// Source: XDG Base Directory Specification.
pub fn data(variables: &Variables, home: &Path) -> PathBuf {
    absolute(variables, "XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share"))
}

/// Adds the folder that logind made for this user where `$XDG_RUNTIME_DIR` is not set: `su -`, `sudo -iu` and cron leave
/// it out, and systemctl's own look goes by it alone.
pub fn with_runtime(mut variables: Variables, logind: Option<PathBuf>) -> Variables {
    let name = OsStr::new("XDG_RUNTIME_DIR");
    let is_set = variables.get(name).is_some_and(|value| !value.is_empty());
    if let Some(folder) = logind.filter(|_| !is_set) {
        variables.insert(name.to_owned(), folder.into_os_string());
    }
    variables
}

fn name(profile: Option<&str>) -> String {
    match profile {
        Some(profile) => format!("gatehound-{profile}"),
        None => "gatehound".to_owned(),
    }
}

/// A folder that systemd gave to a service of ours, not to one that happens to run us.
fn given(variables: &Variables, variable: &str, name: &str) -> Option<PathBuf> {
    absolute(variables, variable).filter(|path| path.file_name() == Some(OsStr::new(name)))
}

fn absolute(variables: &Variables, name: &str) -> Option<PathBuf> {
    let path = Path::new(variables.get(OsStr::new(name))?);
    path.is_absolute().then(|| path.to_owned())
}

/// The option that a command needs for this profile, with a space before it; nothing for the default one.
pub fn profile_option(profile: Option<&str>) -> String {
    profile.map_or_else(String::new, |profile| format!(" --profile {profile}"))
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
    fn where_no_variable_names_it_the_runtime_folder_is_the_one_of_logind() {
        let logind = || Some(PathBuf::from("/run/user/7"));
        let found = |list: &[(&str, &str)], logind| {
            runtime(&with_runtime(variables(list), logind), None).ok()
        };
        let expected = Some(PathBuf::from("/run/user/7/gatehound"));
        assert_eq!(found(&[], logind()), expected);
        assert_eq!(found(&[("XDG_RUNTIME_DIR", "")], logind()), expected);
        let set = [("XDG_RUNTIME_DIR", "/x")];
        assert_eq!(found(&set, logind()), Some("/x/gatehound".into()));
        assert_eq!(found(&[("XDG_RUNTIME_DIR", "x")], logind()), None);
        assert_eq!(found(&[], None), None);
    }

    #[test]
    fn the_data_folder_follows_the_xdg_variable() {
        for (variable, expected) in [
            ("/x", "/x"),
            ("x", "/h/.local/share"),
            ("", "/h/.local/share"),
        ] {
            let found = data(&variables(&[("XDG_DATA_HOME", variable)]), Path::new("/h"));
            assert_eq!(found, Path::new(expected));
        }
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

    #[track_caller]
    fn check_state(list: &[(&str, &str)], profile: Option<&str>, expected: Option<&str>) {
        let found = state(&variables(list), profile).ok();
        assert_eq!(found.as_deref(), expected.map(Path::new));
    }

    #[test]
    fn the_state_folder_follows_systemd_and_the_xdg_variables() {
        let home = ("HOME", "/h");
        check_state(&[home], None, Some("/h/.local/state/gatehound"));
        check_state(
            &[home],
            Some("work"),
            Some("/h/.local/state/gatehound-work"),
        );
        let xdg = ("XDG_STATE_HOME", "/x");
        check_state(&[home, xdg], None, Some("/x/gatehound"));
        let given = ("STATE_DIRECTORY", "/s/gatehound");
        check_state(&[home, xdg, given], None, Some("/s/gatehound"));
        check_state(&[home, xdg, given], Some("work"), Some("/x/gatehound-work"));
        check_state(
            &[("XDG_STATE_HOME", "x"), home],
            None,
            Some("/h/.local/state/gatehound"),
        );
        check_state(&[("HOME", "h")], None, None);
    }
}
