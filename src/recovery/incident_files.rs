//! The incident folder: what was seen before each restart, one file for each restart of an incident.
//!
//! Owns their names, how many are kept, and that a hanging disk does not hold up a restart.
//! Knows nothing of what is in the files.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::os::own_files::{cannot, ensure_private_dir, remove_unfinished, write_atomic};
use crate::{
    os::{
        files::{Links, read_limited},
        worker,
    },
    text::line::Line,
};

/// How many files are kept: months of incidents, at a few kilobytes each.
pub const KEPT: usize = 50;

/// The largest file that is read back; ours are a few kilobytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The longest id of an incident.
const MAX_ID: usize = 64;

/// The incident folder in the state folder.
pub fn folder(state: &Path) -> PathBuf {
    state.join("incidents")
}

/// Writes the evidence of one restart, `<incident>-<restart>.json`, over what is there before, and removes the oldest
/// files beyond [`KEPT`].
///
/// Waits for the disk for `budget` at most; what is late may still come to be written.
///
/// # Errors
///
/// The id is none of ours, the evidence is no JSON, or the disk is full, read-only or late.
/// Also when the file is written but an old one cannot be removed.
pub fn save<T: Serialize>(
    state: &Path,
    incident: &str,
    restart: u32,
    evidence: &T,
    budget: Duration,
) -> Result<PathBuf, Line> {
    if !is_id(incident) {
        let reason = format!("evidence not saved: {incident:?} is not the id of an incident");
        return Err(Line::new(&reason));
    }
    let mut bytes = serde_json::to_vec_pretty(evidence)
        .map_err(|e| Line::new(&format!("cannot write the evidence as JSON: {e}")))?;
    bytes.push(b'\n');
    let state = state.to_owned();
    let name = format!("{incident}-{restart}.json");
    worker::within(budget, "evidence", move || write(&state, &name, &bytes))?
}

/// The evidence of one incident, by its files, in the order of the restarts; none if none was kept.
///
/// A file that cannot be read or understood comes with the reason.
pub fn read(state: &Path, incident: &str) -> Vec<(PathBuf, Result<serde_json::Value, Line>)> {
    let mut files: Vec<(u32, PathBuf)> = ours(&folder(state))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(_, path)| {
            let (id, restart) = parts(path.file_name()?.to_str()?)?;
            let restart = (id == incident).then_some(restart)?;
            Some((restart, path))
        })
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|(_, path)| {
            let content = content(&path);
            (path, content)
        })
        .collect()
}

/// The ids of the incidents of which evidence is kept.
pub(crate) fn ids(state: &Path) -> Vec<String> {
    let files = ours(&folder(state)).unwrap_or_default();
    let names = files
        .iter()
        .filter_map(|(_, path)| path.file_name()?.to_str());
    let mut ids: Vec<String> = names
        .filter_map(|name| Some(parts(name)?.0.to_owned()))
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Every file of evidence: when it was written, after the Unix epoch, the incident and the restart, the oldest first.
pub(crate) fn kept(state: &Path) -> Vec<(Duration, String, u32)> {
    let files = ours(&folder(state)).unwrap_or_default();
    let mut kept: Vec<(Duration, String, u32)> = files
        .iter()
        .filter_map(|(written, path)| {
            let (id, restart) = parts(path.file_name()?.to_str()?)?;
            let written = written.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Some((written, id.to_owned(), restart))
        })
        .collect();
    kept.sort();
    kept
}

fn content(path: &Path) -> Result<serde_json::Value, Line> {
    let contents = read_limited(path, MAX_FILE, Links::Refuse)?;
    let bytes = contents.ok_or("the file is gone")?.bytes;
    serde_json::from_slice(&bytes)
        .map_err(|e| Line::new(&format!("the file is not valid JSON: {e}")))
}

fn write(state: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, Line> {
    let folder = folder(state);
    ensure_private_dir(state)?;
    ensure_private_dir(&folder)?;
    // First, because it makes room on a full disk.
    let pruned = prune(&folder, name);
    let path = folder.join(name);
    write_atomic(&path, bytes)?;
    pruned.map(|()| path)
}

/// Leaves room for one more file, by removing those of ours that were written first or not to their end.
fn prune(folder: &Path, name: &str) -> Result<(), Line> {
    remove_unfinished(folder, |name| parts(name).is_some());
    let mut ours = ours(folder).map_err(|e| cannot("list", folder, &e))?;
    ours.retain(|(_, path)| *path != folder.join(name));
    ours.sort();
    let surplus = (ours.len() + 1).saturating_sub(KEPT);
    for (_, path) in ours.iter().take(surplus) {
        fs::remove_file(path).map_err(|e| cannot("remove", path, &e))?;
    }
    Ok(())
}

/// Our files, by their names, each with the time it was written.
///
/// Whatever else lies in the folder, somebody put there, and it stays.
fn ours(folder: &Path) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let mut ours = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_str().and_then(parts).is_some();
        // Of the entry itself, not of what it may link to.
        let metadata = entry.metadata()?;
        if is_ours && metadata.is_file() {
            ours.push((metadata.modified()?, entry.path()));
        }
    }
    Ok(ours)
}

/// The incident and the restart in one of our file names.
fn parts(name: &str) -> Option<(&str, u32)> {
    let (incident, restart) = name.strip_suffix(".json")?.rsplit_once('-')?;
    is_id(incident).then_some((incident, restart.parse().ok()?))
}

/// Whether this can be the id of an incident: it may come from a state file, and it becomes the name of a file.
fn is_id(text: &str) -> bool {
    let is_ours = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_lead_out_of_the_folder() {
        for id in ["c0ffee00-123", "0", "-", &"f".repeat(MAX_ID)] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", ".", "..", "a/b", "/etc", "A", "g", "a\n", "a\0", "é"] {
            assert!(!is_id(id), "{id:?}");
        }
        assert!(!is_id(&"f".repeat(MAX_ID + 1)));
    }

    #[test]
    fn an_incident_with_several_files_is_named_once_and_foreign_files_never() {
        let state = tempfile::tempdir().unwrap();
        assert!(ids(state.path()).is_empty());
        let folder = folder(state.path());
        fs::create_dir_all(&folder).unwrap();
        for name in ["b-1-1.json", "a-1-2.json", "a-1-1.json", "notes.json"] {
            fs::write(folder.join(name), "{}").unwrap();
        }
        assert_eq!(ids(state.path()), ["a-1", "b-1"]);
    }

    #[test]
    fn only_a_name_that_is_made_here_is_ours() {
        for name in ["c0ffee00-123-1.json", "0-10.json"] {
            assert!(parts(name).is_some(), "{name}");
        }
        for name in [
            "c0ffee00.json",
            "c0ffee00-.json",
            "-1.json",
            "notes-1.json",
            "c0ffee00-1-x.json",
            "c0ffee00-1-1.json.bak",
            ".c0ffee00-1-1.json.77.new",
            "",
        ] {
            assert_eq!(parts(name), None);
        }
    }
}
