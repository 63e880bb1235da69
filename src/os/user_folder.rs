//! The runtime folder that logind made for a user, where the environment does not name it: after `su -`, `sudo -iu`, in cron.
//!
//! Owns /run/user, looking; only a folder of that user's own counts. It knows no variable and none of our folders but by
//! the beginning of their names.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User};

/// Where logind makes them.
pub const ALL: &str = "/run/user";

/// The folder of this user, if it is there and nobody else's.
pub fn of(uid: Uid, all: &Path) -> Option<PathBuf> {
    let folder = all.join(uid.to_string());
    let metadata = fs::symlink_metadata(&folder).ok()?;
    (metadata.is_dir() && metadata.uid() == uid.as_raw()).then_some(folder)
}

/// Whether a user manager runs in this folder and the bus beside it is missing.
pub fn lacks_bus(folder: &Path) -> bool {
    folder.join("systemd/private").exists() && !folder.join("bus").exists()
}

/// The users, without this one, for whom a Gatehound runs or ran since they logged in; none where that cannot be read.
pub fn others_with_gatehound(uid: Uid, all: &Path) -> Vec<String> {
    let owners = entries(all).into_iter().filter_map(|folder| {
        let owner = folder
            .file_name()?
            .to_str()?
            .parse()
            .ok()
            .map(Uid::from_raw)?;
        (owner != uid && has_gatehound(&of(owner, all)?)).then_some(owner)
    });
    let mut names: Vec<String> = owners
        .filter_map(|owner| Some(User::from_uid(owner).ok()??.name))
        .collect();
    names.sort();
    names
}

/// Whether a Gatehound has its folder in this one.
pub fn has_gatehound(folder: &Path) -> bool {
    entries(folder).iter().any(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name == "gatehound" || name.starts_with("gatehound-"))
    })
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use nix::unistd::geteuid;

    use super::*;

    #[test]
    fn only_a_folder_of_ones_own_is_taken() {
        let all = tempfile::tempdir().unwrap();
        let own = all.path().join(geteuid().to_string());
        assert_eq!(of(geteuid(), all.path()), None);
        symlink(all.path(), &own).unwrap();
        assert_eq!(of(geteuid(), all.path()), None, "a link");
        fs::remove_file(&own).unwrap();
        fs::create_dir(&own).unwrap();
        assert_eq!(of(geteuid(), all.path()), Some(own));
        // This user's folder under another's number.
        let other = Uid::from_raw(geteuid().as_raw() + 1);
        fs::create_dir(all.path().join(other.to_string())).unwrap();
        assert_eq!(of(other, all.path()), None);
    }

    #[test]
    fn a_bus_is_missed_only_where_a_user_manager_runs() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(!lacks_bus(folder));
        fs::create_dir(folder.join("systemd")).unwrap();
        fs::write(folder.join("systemd/private"), "").unwrap();
        assert!(lacks_bus(folder));
        fs::write(folder.join("bus"), "").unwrap();
        assert!(!lacks_bus(folder));
        fs::remove_dir_all(folder.join("systemd")).unwrap();
        assert!(!lacks_bus(folder));
    }

    #[test]
    fn root_finds_whose_gateways_are_watched() {
        let all = tempfile::tempdir().unwrap();
        let folder = |uid: u32, name: &str| {
            let folder = all.path().join(uid.to_string());
            fs::create_dir_all(folder.join(name)).unwrap();
            // Without root's right it stays this user's, and does not count.
            chown(&folder, Some(uid), None).is_ok()
        };
        let is_root = folder(1, "gatehound") & folder(2, "gatehounds") & folder(3, "systemd");
        let found = others_with_gatehound(Uid::from_raw(0), all.path());
        let expected = if is_root { vec!["daemon"] } else { vec![] };
        assert_eq!(found, expected);
        assert!(others_with_gatehound(Uid::from_raw(1), all.path()).is_empty());
        assert!(others_with_gatehound(geteuid(), Path::new("/nowhere")).is_empty());
    }
}
