//! A snapshot put back in the place of openclaw.json and the files it includes, by a human or by a rollback.
//!
//! Owns the order in which files are written, and that none is written over that is not what was judged.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::mpsc::Receiver,
    time::Duration,
};

use crate::{
    os::{
        fault,
        own_files::{cannot, install, remove_unfinished},
        worker,
    },
    policy::NotRestored,
    probe::openclaw_files::{self, Place},
    snapshots::{
        comparing::Seen,
        store::{KeptFile, Kind, Snapshot, Store},
    },
    text::line::Line,
};

/// What is to be rolled back.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where the configuration is.
    pub place: Place,
    /// The snapshot that takes its place.
    pub snapshot: u32,
    /// The hash of what the gateway refused.
    pub rejected: String,
    /// The hash of what was there when this was decided; over nothing else is anything written.
    pub judged: String,
    /// The run that refused it.
    pub run: Option<String>,
    /// The time, since the Unix epoch.
    pub now: Duration,
    /// How many of the configurations that were rolled back are kept.
    pub keep: usize,
}

/// Rolls a configuration back in a thread of its own; what became of it, with the file that what was refused is kept in,
/// comes through the channel.
///
/// # Errors
///
/// No thread can be started.
pub fn roll_back_in_thread(
    store: Store,
    order: Order,
) -> Result<Receiver<Result<Line, NotRestored>>, Line> {
    worker::begin("config", "roll it back", move || roll_back(&store, order))
}

/// Keeps what was refused, and puts the snapshot that is the last known good in its place, if it is still what was judged.
///
/// Where that is done already it only says so, so that whoever was killed meanwhile has it done once more.
///
/// # Errors
///
/// As [`NotRestored`] says; what was there is there, or kept, in any case.
pub fn roll_back(store: &Store, order: Order) -> Result<Line, NotRestored> {
    let seen = match Seen::look(store, &order.place) {
        Some(seen) => seen.map_err(|(_, why)| NotRestored::Failed(why))?,
        None => return Err(NotRestored::Changed),
    };
    if seen.last.number != order.snapshot {
        return Err(NotRestored::Changed);
    }
    if seen.content().as_ref() != Some(&order.judged) {
        return Err(NotRestored::Changed);
    }
    let known = |store: &Store| {
        let (kept, _) = store.list().ok()?;
        let is_it = |one: &Snapshot| one.kind == Kind::Rejected && one.hash == order.rejected;
        kept.into_iter().rfind(is_it).map(|one| one.number)
    };
    let number = match known(store) {
        Some(number) => number,
        // Somebody else put it back, or part of it, and nothing was replaced by us.
        None if order.judged != order.rejected => return Err(NotRestored::Changed),
        None => {
            let there = seen.there.clone();
            let kept = store
                .keep(
                    Kind::Rejected,
                    order.run,
                    || None,
                    there,
                    order.now,
                    order.keep,
                )
                .map_err(NotRestored::Failed)?;
            kept.map(|kept| kept.number)
                .ok_or_else(|| NotRestored::Failed("what was refused is not kept".into()))?
        }
    };
    fault::point("rejected kept");
    restore(&seen.last, &order.place, &seen.there)?;
    fault::point("restored");
    Ok(Line::new(&store.path(number).display().to_string()))
}

/// Puts the files of a snapshot where they were, each at once, openclaw.json last, over files that hold what they were
/// judged by and over no others.
/// A link stays one and its target is written; a file that is there keeps its mode, and a folder that is gone is made anew.
///
/// # Errors
///
/// Somebody wrote to a file meanwhile, a file or its folder is read-only, or the disk is full; nothing is changed then, or
/// what was changed is put back.
pub fn restore(snapshot: &Snapshot, place: &Place, judged: &[KeptFile]) -> Result<(), NotRestored> {
    let targets: Vec<_> = snapshot
        .files
        .iter()
        .rev()
        .map(|file| Ok((target(&file.path, place)?, file)))
        .collect::<Result<_, Line>>()
        .map_err(NotRestored::Failed)?;
    let mut before: Vec<(&Path, Option<Vec<u8>>, u32)> = Vec::new();
    for ((path, mode), file) in &targets {
        let put = put_one(path, *mode, file, judged);
        match put {
            Ok(None) => {}
            Ok(Some(old)) => before.push((path, old, *mode)),
            Err(why) => {
                for (path, old, mode) in before {
                    let _ = match old {
                        Some(old) => install(path, &old, mode),
                        None => fs::remove_file(path).map_err(|e| cannot("remove", path, &e)),
                    };
                }
                return Err(why);
            }
        }
    }
    Ok(())
}

/// Writes one file, unless it holds that already; what it held before, if it was written.
#[expect(clippy::option_option, reason = "there may have been no file")]
fn put_one(
    path: &Path,
    mode: u32,
    file: &KeptFile,
    judged: &[KeptFile],
) -> Result<Option<Option<Vec<u8>>>, NotRestored> {
    let failed =
        |why: Line| NotRestored::Failed(Line::new(&format!("{why}; what was there stays")));
    let old = openclaw_files::read_one(path).map_err(failed)?;
    let old = old.map(|old| old.bytes);
    let then = judged.iter().find(|then| then.path == file.path);
    if then.map(|then| then.content.bytes()) != old.as_deref() {
        return Err(NotRestored::Changed);
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    if let Some(own) = path.file_name() {
        // Whoever was killed over it meanwhile.
        remove_unfinished(folder, |name| own == name);
    }
    if old.as_deref() == Some(file.content.bytes()) {
        return Ok(None);
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| failed(cannot("create", folder, &e)))?;
    install(path, file.content.bytes(), mode).map_err(failed)?;
    Ok(Some(old))
}

/// The file that is to be written, and its mode; refused where a human or a tool made it read-only.
///
/// A folder that is gone is made anew where the gateway would read files from it, and nowhere else.
fn target(path: &Path, place: &Place) -> Result<(PathBuf, u32), Line> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let wanted = path.parent().unwrap_or(Path::new("/"));
    let there = wanted.ancestors().find(|folder| folder.exists());
    let folder = there.unwrap_or(Path::new("/"));
    if folder != wanted && !openclaw_files::may_hold(place, folder) {
        return Err(Line::new(&format!(
            "there is no folder {}; nothing is restored: make it, with mode 0700, and restore again",
            wanted.display()
        )));
    }
    let file_mode = fs::metadata(&path)
        .ok()
        .map(|metadata| metadata.mode() & 0o777);
    let folder_mode = fs::metadata(folder)
        .map_err(|e| cannot("look at", folder, &e))?
        .mode();
    for (what, mode) in [(path.as_path(), file_mode), (folder, Some(folder_mode))] {
        let is_open = nix::unistd::eaccess(what, nix::unistd::AccessFlags::W_OK).is_ok();
        if mode.is_some_and(|mode| mode & 0o200 == 0 || !is_open) {
            return Err(Line::new(&format!(
                "{} is read-only; nothing is restored: chmod u+w it, or fix it where it is made",
                what.display()
            )));
        }
    }
    Ok((path, file_mode.unwrap_or(0o600)))
}
