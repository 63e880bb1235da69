//! `gatehound collect-metrics`: the metrics of every user of a machine, for its node_exporter; what
//! gatehound-collect.service runs as root.
//!
//! Owns where they are fetched from and where they are put. What is passed on of them is `collecting`'s.
//! What it reads is in folders of others: no link is followed, nothing is waited for, and each has to own theirs.

use crate::cli::console::say;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use nix::unistd::{Uid, User};

use crate::{
    metrics::collecting::Speaker,
    os::{
        files::{Links, read_limited},
        own_files::{cannot, publish},
    },
    settings::{COLLECTED, textfile_name, unit_names::is_profile},
    text::line::Line,
};

/// Where systemd-logind has the runtime folder of each user who is there or lingers.
const USERS: &str = "/run/user";

/// The name of what is put there begins with it: a user's own textfile may be in the same folder.
const STEM: &str = "gatehound-collected";

/// Ten times what a page has, in bytes.
const MAX_PAGE: u64 = 64 * 1024;

/// More profiles than one user has.
const MAX_PROFILES: usize = 16;

/// Puts what there is into the folder; 1 if something could not be.
pub(crate) fn command(folder: &Path) -> ExitCode {
    let failed = collect(Path::new(USERS), folder, &name);
    for why in &failed {
        say!("left     {why}");
    }
    ExitCode::from(u8::from(!failed.is_empty()))
}

fn name(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// Puts the metrics of all users into the folder, and takes away those that nobody has any more.
fn collect(users: &Path, folder: &Path, name: &dyn Fn(u32) -> String) -> Vec<Line> {
    let mut failed = Vec::new();
    let mut there = BTreeSet::new();
    for (uid, runtime) in numbered(users) {
        let mut speaker = Speaker::new(uid, name(uid));
        for (profile, path) in pages(&runtime) {
            let page = match owned(&path, uid) {
                Ok(Some(page)) => page,
                Ok(None) => continue,
                Err(why) => {
                    failed.push(Line::new(&format!("{}: {why}", path.display())));
                    continue;
                }
            };
            let passed_on = speaker.passed_on(&page);
            let name = textfile_name(STEM, uid, profile.as_deref());
            let target = folder.join(&name);
            there.insert(name);
            failed.extend(publish(&target, passed_on.as_bytes(), 0o644).err());
        }
    }
    failed.extend(take_away(folder, &there));
    failed
}

/// The runtime folder of each user, in order.
fn numbered(users: &Path) -> Vec<(u32, PathBuf)> {
    let mut found: Vec<(u32, PathBuf)> = names(users)
        .into_iter()
        .filter_map(|name| Some((name.parse().ok()?, users.join(name))))
        .collect();
    found.sort();
    found
}

/// Where each Gatehound of a user leaves its page, the default profile's first.
fn pages(runtime: &Path) -> Vec<(Option<String>, PathBuf)> {
    let profile = |name: &str| {
        let profile = name.strip_prefix("gatehound")?;
        match profile.strip_prefix('-') {
            Some(profile) if is_profile(profile) => Some(Some(profile.to_owned())),
            None if profile.is_empty() => Some(None),
            Some(_) | None => None,
        }
    };
    let mut found: Vec<(Option<String>, PathBuf)> = names(runtime)
        .into_iter()
        .filter_map(|name| Some((profile(&name)?, runtime.join(name).join(COLLECTED))))
        .collect();
    found.sort();
    found.truncate(MAX_PROFILES);
    found
}

/// What is in a file that this user owns.
fn owned(path: &Path, uid: u32) -> Result<Option<String>, Line> {
    let Some(contents) = read_limited(path, MAX_PAGE, Links::Refuse)? else {
        return Ok(None);
    };
    if contents.metadata.uid() != uid {
        return Err(Line::new(&format!("it does not belong to user {uid}")));
    }
    let text = String::from_utf8(contents.bytes);
    text.map(Some).map_err(|_| "it is not UTF-8".into())
}

/// Takes away what was put there earlier and has no source any more.
fn take_away(folder: &Path, there: &BTreeSet<String>) -> Vec<Line> {
    let is_ours = |name: &String| {
        let rest = name
            .strip_prefix(STEM)
            .and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|rest| rest.ends_with(".prom"))
    };
    let gone = names(folder).into_iter().filter(is_ours);
    gone.filter(|name| !there.contains(name))
        .filter_map(|name| {
            let path = folder.join(name);
            let removed = fs::remove_file(&path);
            removed.err().map(|e| cannot("remove", &path, &e))
        })
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    // A folder that is not there, or not to be read, has nothing in it for us.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().into_string());
    names.filter_map(Result::ok).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::unistd::geteuid;

    use super::*;

    struct Machine {
        root: tempfile::TempDir,
        uid: u32,
    }

    impl Machine {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join("out")).unwrap();
            let uid = geteuid().as_raw();
            Self { root, uid }
        }

        fn out(&self, name: &str) -> PathBuf {
            self.root.path().join("out").join(name)
        }

        /// The folder of one Gatehound of the user with this number.
        fn runtime(&self, uid: u32, name: &str) -> PathBuf {
            let folder = self.root.path().join(format!("users/{uid}/{name}"));
            fs::create_dir_all(&folder).unwrap();
            folder
        }

        fn collect(&self) -> Vec<Line> {
            let users = self.root.path().join("users");
            collect(&users, &self.out(""), &|uid| format!("user{uid}"))
        }
    }

    const UP: &str = "gatehound_gateway_up{unit=\"a.service\"} 1\n";

    #[test]
    fn each_gatehound_of_each_user_gets_a_file_that_goes_with_its_source() {
        let machine = Machine::new();
        let uid = machine.uid;
        let (first, work) = (
            machine.runtime(uid, "gatehound"),
            machine.runtime(uid, "gatehound-work"),
        );
        machine.runtime(uid, "gatehounds");
        fs::write(first.join(COLLECTED), UP).unwrap();
        fs::write(work.join(COLLECTED), UP.replace("a.", "b.")).unwrap();
        fs::write(machine.out("gatehound-7.prom"), "somebody's own").unwrap();
        assert_eq!(machine.collect(), []);
        let names = || {
            let mut names = names(&machine.out(""));
            names.sort();
            names
        };
        let expected = [
            "gatehound-7.prom".to_owned(),
            format!("gatehound-collected-{uid}-work.prom"),
            format!("gatehound-collected-{uid}.prom"),
        ];
        assert_eq!(names(), expected);
        let file = machine.out(&expected[2]);
        let text = fs::read_to_string(&file).unwrap();
        let whose = format!("unit=\"a.service\",uid=\"{uid}\",user=\"user{uid}\"}} 1");
        assert!(text.contains(&whose), "{text}");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o644);
        fs::remove_file(first.join(COLLECTED)).unwrap();
        assert_eq!(machine.collect(), []);
        assert_eq!(names(), expected[..2]);
    }

    #[test]
    fn what_is_not_the_users_own_file_is_left_and_named() {
        let machine = Machine::new();
        let uid = machine.uid;
        let foreign = machine.runtime(uid + 1, "gatehound").join(COLLECTED);
        fs::write(&foreign, UP).unwrap();
        let link = machine.runtime(uid, "gatehound").join(COLLECTED);
        symlink(&foreign, &link).unwrap();
        let large = machine.runtime(uid, "gatehound-a").join(COLLECTED);
        fs::write(&large, vec![b'#'; 65 * 1024]).unwrap();
        let fifo = machine.runtime(uid, "gatehound-b").join(COLLECTED);
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let left = machine.collect();
        assert_eq!(
            left,
            [
                format!("{}: a symbolic link, not a file", link.display()),
                format!("{}: larger than 65536 bytes", large.display()),
                format!("{}: not a regular file", fifo.display()),
                format!(
                    "{}: it does not belong to user {}",
                    foreign.display(),
                    uid + 1
                ),
            ]
            .map(|text| Line::new(&text))
        );
        assert_eq!(names(&machine.out("")), [""; 0]);
    }
}
