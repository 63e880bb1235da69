//! The two ways Gatehound is installed: by a package for the whole machine, or by `gatehound install` into a home.
//!
//! Owns where a package's program and units are, and the one line in which the units of a home differ from them.
//! It looks only; `install` and `doctor` do and say what follows from it.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The program of a package, as the shipped units name it.
pub(crate) const PROGRAM: &str = "/usr/bin/gatehound";

/// The folder of a package's units.
pub(crate) const UNITS: &str = "/usr/lib/systemd/user";

/// The units of a home run the program of that home; in all else they are the shipped ones.
pub(crate) fn for_home(unit: &str) -> String {
    unit.replace(
        "\nExecStart=/usr/bin/gatehound ",
        "\nExecStart=%h/.local/bin/gatehound ",
    )
}

/// What the unit file at this path has to be, given the shipped one.
pub(crate) fn expected_at(path: &Path, unit: &str) -> String {
    if path.starts_with(UNITS) {
        unit.to_owned()
    } else {
        for_home(unit)
    }
}

/// Whether this very program is the one that a package put into place, with the units that run it.
///
/// A program that was copied to the package's place by hand comes without units, and installs into the home.
pub(crate) fn is_this() -> bool {
    env::current_exe().is_ok_and(|this| this == Path::new(PROGRAM)) && is_there()
}

/// Whether there is a package.
pub(crate) fn is_there() -> bool {
    Path::new(PROGRAM).exists() && Path::new(UNITS).join("gatehound.service").exists()
}

/// Those of the files in the home that are used instead of the package's, if there is one.
pub(crate) fn shadowing(in_home: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    if !is_there() {
        return Vec::new();
    }
    let mut found: Vec<PathBuf> = in_home.into_iter().collect();
    found.retain(|path| path.symlink_metadata().is_ok());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_of_a_home_differ_from_the_packages_in_the_program_alone() {
        for (name, unit) in super::super::shipped::UNITS {
            let home = for_home(unit);
            let differing: Vec<_> = unit
                .lines()
                .zip(home.lines())
                .filter(|(one, other)| one != other)
                .collect();
            let services = usize::from(name.ends_with(".service"));
            assert_eq!(differing.len(), services, "{name}: {differing:?}");
            for (packaged, home) in differing {
                assert!(packaged.starts_with(&format!("ExecStart={PROGRAM} ")));
                assert!(home.starts_with("ExecStart=%h/.local/bin/gatehound "));
            }
            assert_eq!(unit.lines().count(), home.lines().count());
            let packaged = Path::new(UNITS).join(name);
            assert_eq!(expected_at(&packaged, unit), unit);
            let elsewhere = Path::new("/home/a/.config/systemd/user").join(name);
            assert_eq!(expected_at(&elsewhere, unit), home);
        }
    }
}
