//! Snapshots of the gateway's configuration: what was known good, and what a restore replaced.
//!
//! Owns the folder they are kept in and how a configuration is put back; each snapshot is one file that is replaced whole.
//! Knows nothing of what a configuration means, and never uses a name that OpenClaw keeps copies under.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::mpsc::Receiver,
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::os::own_files::{cannot, ensure_private_dir, remove_unfinished, write_atomic};
use crate::{
    os::{
        files::{Links, read_limited},
        folders, worker,
    },
    probe::openclaw_files::{self, ConfigFile, Place},
    text::line::Line,
};

/// The largest snapshot that is read back: all of a configuration, escaped as JSON.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// How often, and how far apart, it is tried to be the only one who writes snapshots: for ten seconds,
/// because whoever does so may be asking the gateway for its version.
const LOCK_TRIES: u32 = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why a configuration is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A gateway was started with it and was healthy.
    KnownGood,
    /// A human's restore put another one in its place.
    Replaced,
    /// The gateway refused it, and it was rolled back.
    Rejected,
}

impl Kind {
    /// The word for it, as in `gatehound snapshot list`.
    pub fn name(self) -> &'static str {
        match self {
            Self::KnownGood => "known good",
            Self::Replaced => "replaced",
            Self::Rejected => "rejected",
        }
    }
}

/// One kept configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Its number; of those that were known good, the highest was so last.
    pub number: u32,
    /// Why it is kept.
    pub kind: Kind,
    /// When it was kept, since the Unix epoch.
    pub kept: Duration,
    /// The run of the gateway that proved it good, by its InvocationID.
    pub run: Option<String>,
    /// The gateway's version that proved it good, where that said which it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Line>,
    /// SHA-256 of all files, in hexadecimal.
    pub hash: String,
    /// The files, openclaw.json first.
    pub files: Vec<KeptFile>,
}

/// One file of a kept configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptFile {
    /// Where the gateway reads it.
    pub path: PathBuf,
    /// What it holds.
    pub content: Content,
}

/// Text where it is some; what a restore replaces may be anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// UTF-8.
    Text(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Content {
    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl From<ConfigFile> for KeptFile {
    fn from(file: ConfigFile) -> Self {
        let text = String::from_utf8(file.bytes);
        Self {
            path: file.path,
            content: text.map_or_else(|e| Content::Bytes(e.into_bytes()), Content::Text),
        }
    }
}

/// The command that restores the snapshot that is the last known good, and starts a gateway that is down with it.
pub fn restore_command(profile: Option<&str>) -> Line {
    let profile = folders::profile_option(profile);
    Line::new(&format!(
        "gatehound snapshot restore --yes --start{profile}"
    ))
}

/// The kept snapshots of one gateway.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The snapshots below Gatehound's state folder.
    pub fn new(state: &Path) -> Self {
        Self {
            folder: state.join("snapshots"),
        }
    }

    /// All snapshots, oldest first; with a reason for each file of ours that cannot be read or makes no sense.
    ///
    /// # Errors
    ///
    /// The folder is there and cannot be read.
    pub fn list(&self) -> Result<(Vec<Snapshot>, Vec<Line>), Line> {
        let (mut kept, mut wrong) = (Vec::new(), Vec::new());
        for (number, path) in self.numbers()? {
            match load(&path, number) {
                Ok(snapshot) => kept.push(snapshot),
                Err(why) => wrong.push(why),
            }
        }
        Ok((kept, wrong))
    }

    /// The snapshot of this number, if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be read or makes no sense.
    pub fn get(&self, number: u32) -> Result<Option<Snapshot>, Line> {
        let is_it = |(there, _): &(u32, PathBuf)| *there == number;
        let found = self.numbers()?.into_iter().find(is_it);
        found.map(|(_, path)| load(&path, number)).transpose()
    }

    /// The snapshot that is the last known good.
    pub fn last_known_good(&self) -> Option<Snapshot> {
        let (kept, _) = self.list().ok()?;
        kept.into_iter().rfind(|one| one.kind == Kind::KnownGood)
    }

    /// Keeps a configuration, unless one with the same content is kept already; the new snapshot, if there is one.
    ///
    /// `version` says which gateway proved it good, and is asked only if it is kept.
    /// A content that is known good again after another takes a new number and gives up its old one.
    ///
    /// # Errors
    ///
    /// The disk is full or read-only, or an old snapshot cannot be removed.
    pub fn keep(
        &self,
        kind: Kind,
        run: Option<String>,
        version: impl FnOnce() -> Option<Line>,
        files: Vec<KeptFile>,
        kept: Duration,
        keep: usize,
    ) -> Result<Option<Snapshot>, Line> {
        let hash = hash(&files);
        if let Some(state) = self.folder.parent() {
            ensure_private_dir(state)?;
        }
        ensure_private_dir(&self.folder)?;
        let _lock = self.lock()?;
        let (all, _) = self.list()?;
        let is_last =
            |one: &Snapshot| all.iter().rfind(|any| any.kind == Kind::KnownGood) == Some(one);
        let same = all.iter().filter(|one| one.hash == hash);
        let known = same.clone().any(|one| match kind {
            Kind::KnownGood => is_last(one),
            Kind::Replaced => true,
            Kind::Rejected => one.kind == Kind::Rejected,
        });
        if known {
            return Ok(None);
        }
        // What was known good once stays so, even if the gateway of today refuses it.
        let superseded = same.filter(|one| kind == Kind::KnownGood || one.kind == Kind::Replaced);
        let superseded: Vec<u32> = superseded.map(|one| one.number).collect();
        remove_unfinished(&self.folder, |name| number(name).is_some());
        // A file that makes no sense keeps its number: it is not ours to write over.
        let last = self.numbers()?.last().map_or(0, |(number, _)| *number);
        let number = last.checked_add(1).ok_or_else(|| {
            let highest = self.path(last);
            Line::new(&format!(
                "{} has the highest number there is, so nothing can be kept; move it away",
                highest.display()
            ))
        })?;
        let snapshot = Snapshot {
            number,
            kind,
            kept,
            run,
            version: version(),
            hash,
            files,
        };
        let bytes = serde_json::to_vec(&snapshot)
            .map_err(|e| Line::new(&format!("cannot write a snapshot as JSON: {e}")))?;
        write_atomic(&self.path(snapshot.number), &bytes)?;
        let old: Vec<u32> = all
            .iter()
            .filter(|one| one.kind == kind)
            .map(|one| one.number)
            .filter(|number| !superseded.contains(number))
            .collect();
        let surplus = (old.len() + 1).saturating_sub(keep);
        for number in superseded.into_iter().chain(old.into_iter().take(surplus)) {
            let path = self.path(number);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(cannot("remove", &path, &e));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(Some(snapshot))
    }

    /// Keeps others from adding and removing snapshots until it is dropped, other threads of this process included.
    ///
    /// Where the file system has no such lock it goes on without: what is kept is worth more.
    fn lock(&self) -> Result<File, Line> {
        let folder = File::open(&self.folder).map_err(|e| cannot("open", &self.folder, &e))?;
        for _ in 0..LOCK_TRIES {
            match folder.try_lock() {
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(folder),
            }
        }
        Err(Line::new(&format!(
            "another gatehound is at work in {} and does not end; nothing is kept, try again when it has",
            self.folder.display()
        )))
    }

    pub(super) fn path(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{number}.json"))
    }

    /// Our files by their numbers, lowest first; whatever else lies in the folder, somebody put there, and it stays.
    ///
    /// A part of them would let one more be written over another.
    pub(crate) fn numbers(&self) -> Result<Vec<(u32, PathBuf)>, Line> {
        let unreadable = |error| {
            let why = cannot("read", &self.folder, &error);
            Line::new(&format!(
                "{why}; what is kept there is not known: make it a folder that this user can read"
            ))
        };
        let mut found = Vec::new();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            entries => entries.map_err(unreadable)?,
        };
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            if let Some(number) = entry.file_name().to_str().and_then(number) {
                found.push((number, entry.path()));
            }
        }
        found.sort();
        Ok(found)
    }
}

fn number(name: &str) -> Option<u32> {
    let number: u32 = name.strip_suffix(".json")?.parse().ok()?;
    (format!("{number}.json") == name).then_some(number)
}

fn load(path: &Path, number: u32) -> Result<Snapshot, Line> {
    let wrong = |why: &str| Line::new(&format!("{}: {why}", path.display()));
    let contents = read_limited(path, MAX_FILE, Links::Refuse)
        .map_err(|why| wrong(why.as_str()))?
        .ok_or_else(|| wrong("it is gone"))?;
    // The reason stays out of it, because it may quote what is secret.
    let snapshot: Snapshot =
        serde_json::from_slice(&contents.bytes).map_err(|_| wrong("not a snapshot"))?;
    let is_whole = snapshot.number == number && snapshot.hash == hash(&snapshot.files);
    let is_placed =
        !snapshot.files.is_empty() && snapshot.files.iter().all(|file| file.path.is_absolute());
    if is_whole && is_placed {
        Ok(snapshot)
    } else {
        Err(wrong("its content is not what was kept"))
    }
}

/// One hash over all files with their paths.
pub fn hash(files: &[KeptFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        for part in [
            file.path.as_os_str().as_encoded_bytes(),
            file.content.bytes(),
        ] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The configuration as it is now; none where it cannot be read as one.
pub fn current(place: &Place) -> Result<Vec<KeptFile>, Line> {
    let files = openclaw_files::read(place)?;
    Ok(files.into_iter().map(KeptFile::from).collect())
}

/// What proves a configuration good: a run of the gateway that is healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The run, by its InvocationID.
    pub run: String,
    /// When it was started, since the Unix epoch.
    pub started: Duration,
    /// Where its configuration is.
    pub place: Place,
}

/// Keeps the configuration that a healthy gateway was started with, in a thread of its own that nobody waits for, and that
/// asks the gateway for its version if it keeps anything;
/// what became of it comes through the channel.
///
/// # Errors
///
/// No thread can be started.
pub fn keep_known_good(
    store: Store,
    proof: Proof,
    version: impl FnOnce() -> Option<Line> + Send + 'static,
    kept: Duration,
    keep: usize,
) -> Result<Receiver<Result<Option<Snapshot>, Line>>, Line> {
    worker::begin("config", "keep the configuration", move || {
        known_good(&store, proof, version, kept, keep)
    })
}

/// As [`keep_known_good`], at once.
///
/// # Errors
///
/// The configuration cannot be read or kept.
pub fn known_good(
    store: &Store,
    proof: Proof,
    version: impl FnOnce() -> Option<Line>,
    kept: Duration,
    keep: usize,
) -> Result<Option<Snapshot>, Line> {
    // A gateway may live on its defaults and its environment alone.
    let path = &proof.place.path;
    if fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let files = openclaw_files::read(&proof.place)?;
    // Whoever wrote to it since, this run was not started with it; the next one may be.
    if files.iter().any(|file| proof.started <= file.changed) {
        return Ok(None);
    }
    let files = files.into_iter().map(KeptFile::from).collect();
    store.keep(Kind::KnownGood, Some(proof.run), version, files, kept, keep)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        os::own_files::tests::mode,
        policy::{NotRestored, facts::Config},
        snapshots::{
            comparing::{Comparing, Run, compared, there},
            restoring::{Order, restore, roll_back},
        },
    };
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    struct Rig(tempfile::TempDir);

    impl Rig {
        fn new(text: &str) -> Self {
            let rig = Self(tempfile::tempdir().unwrap());
            fs::create_dir(rig.0.path().join("openclaw")).unwrap();
            rig.write(text);
            rig
        }
        fn config(&self) -> PathBuf {
            self.0.path().join("openclaw/openclaw.json")
        }
        fn write(&self, text: &str) {
            fs::write(self.config(), text).unwrap();
        }
        fn store(&self) -> Store {
            Store::new(&self.0.path().join("state"))
        }
        fn place(&self) -> Place {
            Place {
                path: self.config(),
                include_roots: Vec::new(),
            }
        }
        /// A healthy run that was started after all that was written.
        fn prove(&self) -> Result<Option<Snapshot>, Line> {
            self.prove_started(Duration::from_secs(u64::MAX))
        }
        fn prove_started(&self, started: Duration) -> Result<Option<Snapshot>, Line> {
            let proof = Proof {
                run: "c0ffee".to_owned(),
                started,
                place: self.place(),
            };
            known_good(&self.store(), proof, || Some("2026.9.6".into()), NOW, 3)
        }
        /// A restore over whatever is there.
        fn restore(&self, snapshot: &Snapshot) -> Result<(), NotRestored> {
            let there = there(&self.place(), snapshot).unwrap();
            let judged: Vec<_> = there.into_iter().map(KeptFile::from).collect();
            restore(snapshot, &self.place(), &judged)
        }
        pub(crate) fn numbers(&self) -> Vec<u32> {
            self.store()
                .list()
                .unwrap()
                .0
                .iter()
                .map(|one| one.number)
                .collect()
        }
    }

    #[test]
    fn a_snapshot_is_never_written_over_by_one_more() {
        let rig = Rig::new("{a: 1}");
        rig.prove().unwrap().unwrap();
        let highest = rig.0.path().join("state/snapshots/4294967295.json");
        fs::write(&highest, "precious").unwrap();
        rig.write("{a: 2}");
        let refused = rig.prove().unwrap_err();
        assert!(refused.as_str().contains("move it away"), "{refused}");
        assert_eq!(fs::read_to_string(highest).unwrap(), "precious");
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_told() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path());
        assert_eq!(store.list(), Ok((Vec::new(), Vec::new())));
        fs::write(state.path().join("snapshots"), "no folder").unwrap();
        let wrong = store.list().unwrap_err();
        assert!(wrong.as_str().contains("Not a directory"), "{wrong}");
    }

    #[test]
    fn a_content_is_kept_once_private_and_read_back_whole() {
        let rig = Rig::new("{a: 1}");
        let kept = rig.prove().unwrap().unwrap();
        assert_eq!((kept.number, kept.kind), (1, Kind::KnownGood));
        assert_eq!(rig.store().last_known_good().unwrap(), kept);
        assert_eq!(rig.prove(), Ok(None));
        let folder = rig.0.path().join("state/snapshots");
        assert_eq!(
            (mode(&folder), mode(&folder.join("1.json"))),
            (0o700, 0o600)
        );
    }

    #[test]
    fn what_was_written_after_the_start_is_not_known_good() {
        let rig = Rig::new("{a: 1}");
        let changed = openclaw_files::read_one(&rig.config())
            .unwrap()
            .unwrap()
            .changed;
        assert_eq!(rig.prove_started(changed), Ok(None));
        assert!(
            rig.prove_started(changed + Duration::from_micros(1))
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn a_gateway_without_a_configuration_has_none_to_keep() {
        let rig = Rig::new("{a: 1}");
        fs::remove_file(rig.config()).unwrap();
        assert_eq!(rig.prove(), Ok(None));
        std::os::unix::fs::symlink("nowhere", rig.config()).unwrap();
        rig.prove().unwrap_err();
    }

    #[test]
    fn a_content_that_is_known_good_again_is_the_last_one_again() {
        let rig = Rig::new("{a: 1}");
        for text in ["{a: 1}", "{a: 2}", "{a: 1}"] {
            rig.write(text);
            rig.prove().unwrap().unwrap();
        }
        assert_eq!(rig.numbers(), [2, 3]);
    }

    #[test]
    fn a_content_that_is_known_good_again_drives_out_no_other() {
        let rig = Rig::new("{}");
        for text in ["{a: 1}", "{a: 2}", "{a: 3}", "{a: 2}"] {
            rig.write(text);
            rig.prove().unwrap().unwrap();
        }
        assert_eq!(rig.numbers(), [1, 3, 4]);
    }

    #[test]
    fn whoever_keeps_one_at_the_same_time_takes_another_number() {
        const WRITERS: u32 = 8;
        let rig = Rig::new("{}");
        let store = rig.store();
        let start = std::sync::Barrier::new(WRITERS as usize);
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (start, store, path) = (&start, &store, rig.config());
                scope.spawn(move || {
                    let content = Content::Text(format!("{{a: {writer}}}"));
                    let files = vec![KeptFile { path, content }];
                    start.wait();
                    let kept = store.keep(Kind::Replaced, None, || None, files, NOW, 10);
                    kept.unwrap().unwrap();
                });
            }
        });
        assert_eq!(rig.numbers(), (1..=WRITERS).collect::<Vec<_>>());
    }

    #[test]
    fn the_oldest_go_and_what_was_replaced_drives_out_nothing_known_good() {
        let rig = Rig::new("{}");
        for i in 0..5 {
            rig.write(&format!("{{a: {i}}}"));
            rig.prove().unwrap().unwrap();
        }
        assert_eq!(rig.numbers(), [3, 4, 5]);
        for i in 5..10 {
            rig.write(&format!("{{a: {i}}}"));
            let files = current(&rig.place()).unwrap();
            rig.store()
                .keep(Kind::Replaced, None, || None, files, NOW, 3)
                .unwrap()
                .unwrap();
        }
        assert_eq!(rig.numbers(), [3, 4, 5, 8, 9, 10]);
    }

    #[test]
    fn a_snapshot_that_makes_no_sense_is_passed_over_and_told_without_its_content() {
        let rig = Rig::new("{a: 'hunter2'}");
        rig.prove().unwrap().unwrap();
        let folder = rig.0.path().join("state/snapshots");
        let text = fs::read_to_string(folder.join("1.json")).unwrap();
        fs::write(folder.join("2.json"), text.replace("hunter2", "hunter3")).unwrap();
        fs::write(folder.join("3.json"), text.split_at(text.len() / 2).0).unwrap();
        fs::write(folder.join(".4.json.1.new"), "half").unwrap();
        fs::write(folder.join("notes"), "x").unwrap();
        let (kept, wrong) = rig.store().list().unwrap();
        assert_eq!((kept.len(), wrong.len()), (1, 2));
        assert!(
            wrong.iter().all(|line| !line.as_str().contains("hunter")),
            "{wrong:?}"
        );
        rig.write("{a: 2}");
        assert_eq!(rig.prove().unwrap().unwrap().number, 4);
        assert!(!folder.join(".4.json.1.new").exists() && folder.join("notes").exists());
    }

    #[test]
    fn a_configuration_differs_from_the_last_known_good_one_of_its_place_alone() {
        const LONG: Duration = Duration::from_secs(60);
        let rig = Rig::new("{a: 1}");
        let differs = |place| {
            let config = Comparing::default().compare(rig.store(), place, Run::default(), LONG)?;
            (!config.is_known_good).then_some(config.snapshot)
        };
        assert_eq!(differs(rig.place()), None);
        rig.prove().unwrap().unwrap();
        assert_eq!(differs(rig.place()), None);
        for broken in ["{a: 2}", "{"] {
            rig.write(broken);
            assert_eq!(differs(rig.place()), Some(1));
        }
        let elsewhere = rig.config().with_file_name("other.json");
        let include_roots = Vec::new();
        assert_eq!(
            differs(Place {
                path: elsewhere,
                include_roots
            }),
            None
        );
    }

    #[test]
    fn while_a_comparison_hangs_no_other_is_begun() {
        const LONG: Duration = Duration::from_secs(60);
        let rig = Rig::new("{a: 1}");
        rig.prove().unwrap().unwrap();
        let (hanging, receiver) = std::sync::mpsc::channel();
        let mut comparing = Comparing(Some(receiver));
        let mut compare = || comparing.compare(rig.store(), rig.place(), Run::default(), LONG);
        assert_eq!(compare(), None);
        // What it says at last is of a moment that is over.
        hanging.send(None).unwrap();
        assert_eq!(compare().unwrap().snapshot, 1);
        drop(hanging);
        assert_eq!(compare().unwrap().snapshot, 1);
    }

    #[test]
    fn a_snapshot_that_was_kept_before_versions_were_is_read() {
        let rig = Rig::new("{a: 1}");
        let kept = rig.prove().unwrap().unwrap();
        assert_eq!(kept.version, Some("2026.9.6".into()));
        let path = rig.0.path().join("state/snapshots/1.json");
        let text = fs::read_to_string(&path).unwrap();
        let older = text.replace(r#""version":"2026.9.6","#, "");
        assert_ne!(older, text);
        fs::write(&path, older).unwrap();
        assert_eq!(
            rig.store().last_known_good(),
            Some(Snapshot {
                version: None,
                ..kept
            })
        );
    }

    /// What a look would say of a run that began after all that was written.
    fn seen(rig: &Rig) -> Config {
        let long_after = Duration::from_secs(u64::MAX);
        let run = Run {
            began: long_after,
            ended: long_after,
        };
        compared(&rig.store(), &rig.place(), run).unwrap()
    }

    fn order(rig: &Rig, rejected: &Config) -> Order {
        Order {
            place: rig.place(),
            snapshot: rejected.snapshot,
            rejected: rejected.content.clone().unwrap(),
            judged: seen(rig).content.unwrap(),
            run: Some("c0ffee".to_owned()),
            now: NOW,
            keep: 3,
        }
    }

    /// Two files, each as it was known good and as it is refused, and what is seen of the latter.
    fn refused() -> (Rig, PathBuf, Config) {
        let rig = Rig::new("{$include: 'b.json'}");
        let included = rig.config().with_file_name("b.json");
        fs::write(&included, "{b: 1}").unwrap();
        rig.prove().unwrap().unwrap();
        fs::write(&included, "{b: 2}").unwrap();
        rig.write("{$include: 'b.json', broken");
        let config = seen(&rig);
        assert!(config.untouched && !config.is_known_good && !config.was_rejected);
        (rig, included, config)
    }

    #[test]
    fn a_rollback_keeps_what_was_refused_with_all_its_files() {
        let (rig, included, config) = refused();
        let kept = roll_back(&rig.store(), order(&rig, &config)).unwrap();
        assert_eq!(fs::read(&included).unwrap(), b"{b: 1}");
        assert_eq!(fs::read(rig.config()).unwrap(), b"{$include: 'b.json'}");
        let path = Path::new(kept.as_str());
        assert_eq!(
            (path.file_name().unwrap(), mode(path)),
            ("2.json".as_ref(), 0o600)
        );
        let (all, wrong) = rig.store().list().unwrap();
        assert_eq!(wrong, []);
        assert_eq!(all[1].kind, Kind::Rejected);
        let texts: Vec<_> = all[1]
            .files
            .iter()
            .map(|file| file.content.bytes())
            .collect();
        assert_eq!(texts, [&b"{$include: 'b.json', broken"[..], b"{b: 2}"]);
        assert!(seen(&rig).is_known_good);
        // Whoever was killed before it heard of it asks once more.
        let again = roll_back(&rig.store(), order(&rig, &config));
        assert_eq!(again, Ok(kept));
        // The same content is not rolled back again, even after a human has restored it.
        fs::write(&included, "{b: 2}").unwrap();
        rig.write("{$include: 'b.json', broken");
        assert!(seen(&rig).was_rejected);
    }

    #[test]
    fn what_was_known_good_good_once_stays_so_when_it_is_refused_later() {
        let rig = Rig::new("{a: 1}");
        rig.prove().unwrap().unwrap();
        rig.write("{a: 2}");
        rig.prove().unwrap().unwrap();
        rig.write("{a: 1}");
        roll_back(&rig.store(), order(&rig, &seen(&rig))).unwrap();
        let (all, _) = rig.store().list().unwrap();
        let kinds: Vec<_> = all.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [Kind::KnownGood, Kind::KnownGood, Kind::Rejected]);
        assert_eq!(fs::read(rig.config()).unwrap(), b"{a: 2}");
    }

    #[test]
    fn a_folder_of_included_files_that_was_removed_is_rolled_back_too() {
        let rig = Rig::new("{$include: 'parts/b.json'}");
        let parts = rig.config().with_file_name("parts");
        fs::create_dir(&parts).unwrap();
        fs::write(parts.join("b.json"), "{b: 1}").unwrap();
        rig.prove().unwrap().unwrap();
        fs::remove_dir_all(&parts).unwrap();
        roll_back(&rig.store(), order(&rig, &seen(&rig))).unwrap();
        assert_eq!(fs::read(parts.join("b.json")).unwrap(), b"{b: 1}");
        assert_eq!(mode(&parts), 0o700);
    }

    #[test]
    fn no_folder_is_made_where_the_gateway_would_read_nothing() {
        let rig = Rig::new("{}");
        let root = rig.0.path().join("shared");
        let place = Place {
            include_roots: vec![root.clone()],
            ..rig.place()
        };
        let mut kept = rig.prove().unwrap().unwrap();
        let path = root.join("parts/b.json");
        let content = Content::Text("{b: 1}".to_owned());
        kept.files.push(KeptFile { path, content });
        let refused = restore(&kept, &place, &kept.files[..1]).unwrap_err();
        assert!(matches!(refused, NotRestored::Failed(_)), "{refused:?}");
        assert!(!root.exists());
        fs::create_dir(&root).unwrap();
        restore(&kept, &place, &kept.files[..1]).unwrap();
        assert_eq!(fs::read(root.join("parts/b.json")).unwrap(), b"{b: 1}");
    }

    #[test]
    fn nothing_is_rolled_back_that_is_no_longer_what_was_judged() {
        let (rig, included, config) = refused();
        let judged = order(&rig, &config);
        fs::write(&included, "{b: 3}").unwrap();
        assert_eq!(roll_back(&rig.store(), judged), Err(NotRestored::Changed));
        assert_eq!(fs::read(&included).unwrap(), b"{b: 3}");
        assert_eq!(rig.numbers(), [1]);
    }

    #[test]
    fn what_changes_while_it_is_rolled_back_stays_as_it_is_and_the_rest_is_put_back() {
        let (rig, included, _) = refused();
        let (all, _) = rig.store().list().unwrap();
        let there = there(&rig.place(), &all[0]).unwrap();
        let judged: Vec<KeptFile> = there.into_iter().map(KeptFile::from).collect();
        rig.write("{a human was here}");
        assert_eq!(
            restore(&all[0], &rig.place(), &judged),
            Err(NotRestored::Changed)
        );
        assert_eq!(fs::read(&included).unwrap(), b"{b: 2}");
        assert_eq!(fs::read(rig.config()).unwrap(), b"{a human was here}");
    }

    #[test]
    fn a_rollback_that_was_killed_between_two_files_is_gone_on_with() {
        let (rig, included, config) = refused();
        assert!(!config.half_done);
        roll_back(&rig.store(), order(&rig, &config)).unwrap();
        rig.write("{$include: 'b.json', broken");
        let name = format!(".openclaw.json.{}.new", std::process::id() + 1);
        let unfinished = included.with_file_name(name);
        fs::write(&unfinished, "half").unwrap();
        let half = seen(&rig);
        assert!(half.half_done && half.content != config.content);
        roll_back(&rig.store(), order(&rig, &config)).unwrap();
        assert!(seen(&rig).is_known_good);
        assert!(!unfinished.exists());
        assert_eq!(rig.numbers(), [1, 2]);
        // A human who fixes one of the files is no rollback that was killed.
        fs::write(&included, "{b: 4}").unwrap();
        assert!(!seen(&rig).half_done);
    }

    #[test]
    fn a_write_since_the_run_began_is_a_human_at_work() {
        let (rig, included, _) = refused();
        let of = |path: &Path| openclaw_files::read_one(path).unwrap().unwrap().changed;
        let changed = of(&included).max(of(&rig.config()));
        let long = Duration::from_secs(2);
        let untouched = |began, ended| {
            let run = Run { began, ended };
            let config = compared(&rig.store(), &rig.place(), run).unwrap();
            config.untouched
        };
        // Mended while the run that read it before was about to refuse it.
        assert!(!untouched(changed - long, changed + long));
        assert!(!untouched(changed, changed + long));
        // Written and started at once.
        let at_once = changed + Duration::from_micros(1);
        assert!(untouched(at_once, changed + long));
        // The kernel's clock for files may have stood still all the while the run took, so that this was written after it.
        let latest = changed + openclaw_files::lag();
        assert!(!untouched(at_once, at_once));
        assert!(!untouched(at_once, latest));
        assert!(untouched(at_once, latest + Duration::from_micros(1)));
        // Nothing is known of the run.
        assert!(!untouched(Duration::ZERO, changed + long));
        assert!(!untouched(at_once, Duration::ZERO));
    }

    #[test]
    fn a_configuration_that_is_gone_or_cannot_be_read_has_no_content_to_be_judged_by() {
        let (rig, included, _) = refused();
        fs::remove_file(rig.config()).unwrap();
        assert_eq!(seen(&rig).content, None);
        rig.write("{$include: 'b.json', broken");
        fs::remove_file(&included).unwrap();
        fs::create_dir(&included).unwrap();
        assert_eq!(seen(&rig).content, None);
    }

    #[test]
    fn where_nothing_can_be_written_nothing_is_lost_and_what_was_refused_is_kept_or_stays() {
        let (rig, included, config) = refused();
        fs::set_permissions(rig.config(), Permissions::from_mode(0o400)).unwrap();
        let why = roll_back(&rig.store(), order(&rig, &config)).unwrap_err();
        let NotRestored::Failed(why) = why else {
            panic!("{why:?}");
        };
        assert!(
            why.as_str()
                .contains("is read-only; nothing is restored: chmod u+w"),
            "{why}"
        );
        assert_eq!(fs::read(&included).unwrap(), b"{b: 2}");
        // Where what was refused cannot be kept, it is not touched at all.
        let (rig, included, config) = refused();
        let folder = rig.0.path().join("state/snapshots");
        fs::rename(&folder, rig.0.path().join("there")).unwrap();
        symlink(rig.0.path().join("there"), &folder).unwrap();
        let why = roll_back(&rig.store(), order(&rig, &config)).unwrap_err();
        assert!(matches!(why, NotRestored::Failed(_)), "{why:?}");
        assert_eq!(fs::read(&included).unwrap(), b"{b: 2}");
    }

    #[test]
    fn a_restore_writes_behind_a_link_and_keeps_the_mode() {
        let rig = Rig::new("{a: 1}");
        let target = rig.0.path().join("dotfile");
        fs::rename(rig.config(), &target).unwrap();
        symlink(&target, rig.config()).unwrap();
        let kept = rig.prove().unwrap().unwrap();
        fs::write(&target, "{a: 2}").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
        rig.restore(&kept).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"{a: 1}");
        assert_eq!(mode(&target), 0o640);
        assert!(fs::symlink_metadata(rig.config()).unwrap().is_symlink());
    }

    #[test]
    fn a_read_only_file_or_folder_is_refused_and_nothing_is_changed() {
        let rig = Rig::new("{$include: 'b.json'}");
        let included = rig.config().with_file_name("b.json");
        fs::write(&included, "{b: 1}").unwrap();
        let kept = rig.prove().unwrap().unwrap();
        fs::write(&included, "{b: 2}").unwrap();
        rig.write("{a: 2}");
        let folder = rig.config().parent().unwrap().to_owned();
        for (path, closed, open) in [(&rig.config(), 0o400, 0o600), (&folder, 0o500, 0o700)] {
            fs::set_permissions(path, Permissions::from_mode(closed)).unwrap();
            let why = rig.restore(&kept).unwrap_err();
            let NotRestored::Failed(why) = why else {
                panic!("{why:?}");
            };
            assert!(
                why.as_str().contains("is read-only; nothing is restored"),
                "{why}"
            );
            assert_eq!(fs::read(&included).unwrap(), b"{b: 2}");
            fs::set_permissions(path, Permissions::from_mode(open)).unwrap();
        }
        rig.restore(&kept).unwrap();
        assert_eq!(fs::read(&included).unwrap(), b"{b: 1}");
    }

    #[test]
    fn a_restore_that_fails_halfway_puts_back_what_it_wrote() {
        let rig = Rig::new("{$include: 'b.json'}");
        let included = rig.config().with_file_name("b.json");
        fs::write(&included, "{b: 1}").unwrap();
        let mut kept = rig.prove().unwrap().unwrap();
        fs::write(&included, "{b: 2}").unwrap();
        // The name of its temporary file is longer than a file system takes.
        let long = rig.config().with_file_name("x".repeat(250));
        kept.files[0].path = long;
        rig.restore(&kept).unwrap_err();
        assert_eq!(fs::read(&included).unwrap(), b"{b: 2}");
    }
}
