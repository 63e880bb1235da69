//! `gatehound snapshot list`, `diff` and `restore`: the kept snapshots of the gateway's openclaw.json.

use crate::cli::console::say;
use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::{anyhow, bail};
use serde_json::Value;

use crate::{
    cli::{
        answers,
        console::{ask, manager, settings_of_that_gateway},
        show::{Cell, Tone, row},
    },
    snapshots::{
        comparing,
        diff::{self, Values},
        restoring,
    },
};
use crate::{
    os::{folders, wall_clock},
    policy::NotRestored,
    probe::{
        gateway::{self, Finder},
        openclaw_files::Place,
        openclaw_json,
    },
    settings::layers::Sources,
    snapshots::store::{self, KeptFile, Kind, Snapshot, Store},
    text::line::Line,
};

/// What a command needs to know of the gateway and of what was kept.
struct Kept {
    store: Store,
    snapshots: Vec<Snapshot>,
    /// Why those that are there and not among them are not.
    wrong: Vec<Line>,
    place: Place,
    unit: String,
    /// The option that names the profile, for commands.
    profile: String,
    keep: usize,
}

impl Kept {
    fn load(sources: &Sources) -> anyhow::Result<Self> {
        let profile = sources.profile.as_deref();
        // Whoever needs the configuration back does not need the rest of the settings for it.
        let settings = settings_of_that_gateway(sources)?;
        let state = folders::state(&sources.variables, profile).map_err(error)?;
        let store = Store::new(&state);
        let (snapshots, wrong) = store.list().map_err(error)?;
        let unit = gateway::unit_name(&settings, profile);
        let facts = manager()
            .ok()
            .and_then(|mut manager| manager.unit(&unit).ok());
        let found = Finder::new(&sources.variables).find(&settings, &unit, facts.as_ref());
        // Without the user manager the place is where it was when it was last known.
        let last = snapshots.last().filter(|_| facts.is_none());
        let last = last.and_then(|last| last.files.first());
        let place = last.map_or_else(
            || found.place(),
            |file| {
                Some(Place {
                    path: file.path.clone(),
                    include_roots: found.include_roots.clone(),
                })
            },
        );
        Ok(Self {
            store,
            snapshots,
            wrong,
            place: place.ok_or_else(|| {
                anyhow!("no openclaw.json: HOME holds no absolute path; set HOME")
            })?,
            unit,
            profile: folders::profile_option(profile),
            keep: settings.snapshots.keep,
        })
    }

    /// Tells which snapshots are passed over.
    ///
    /// # Errors
    ///
    /// All that are there.
    fn warn(&self) -> anyhow::Result<()> {
        if let ([], [first, ..]) = (&*self.snapshots, &*self.wrong) {
            bail!(
                "no snapshot can be used: {first}; nothing is done, the next healthy run of the gateway keeps one"
            );
        }
        for line in &self.wrong {
            let _ = writeln!(io::stderr(), "gatehound: {line}; passed over");
        }
        Ok(())
    }

    fn choose(&self, number: Option<u32>) -> anyhow::Result<Snapshot> {
        let profile = &self.profile;
        if let Some(number) = number {
            let chosen = self.store.get(number).map_err(|why| {
                anyhow!(
                    "cannot use snapshot {number}: {why}; nothing is done, gatehound snapshot list{profile} shows the others"
                )
            })?;
            return chosen.ok_or_else(|| {
                anyhow!(
                    "there is no snapshot {number}; gatehound snapshot list{profile} shows those there are"
                )
            });
        }
        self.warn()?;
        let mut newest = self.snapshots.iter().rev();
        match newest.find(|one| one.kind == Kind::KnownGood) {
            Some(chosen) => Ok(chosen.clone()),
            None if !self.snapshots.is_empty() => bail!(
                "no snapshot was known good yet; give a number, gatehound snapshot list{profile} shows those there are"
            ),
            None => bail!(
                "no snapshot is kept yet; the first one is when gatehound run finds the gateway healthy"
            ),
        }
    }

    fn there(&self, chosen: &Snapshot) -> anyhow::Result<Vec<KeptFile>> {
        let there = comparing::there(&self.place, chosen).map_err(|why| {
            anyhow!(
                "{why}; nothing is done: make it a file that this user can read, or move it away"
            )
        })?;
        Ok(there.into_iter().map(KeptFile::from).collect())
    }
}

fn error(line: Line) -> anyhow::Error {
    anyhow!("{line}")
}

/// Prints the snapshots, oldest first.
pub(crate) fn list(sources: &Sources, json: bool) -> anyhow::Result<ExitCode> {
    let kept = Kept::load(sources)?;
    let current = store::current(&kept.place);
    let current = current.ok().map(|files| store::hash(&files));
    if json {
        answers::say(&list_answer(kept, current.as_ref()));
        return Ok(ExitCode::SUCCESS);
    }
    kept.warn()?;
    if kept.snapshots.is_empty() {
        say!("no snapshot of {} is kept yet", kept.place.path.display());
        return Ok(ExitCode::SUCCESS);
    }
    print_row(["", "kept", "", "gateway", "sha-256", "run", ""]);
    for one in &kept.snapshots {
        let hash: String = one.hash.chars().take(12).collect();
        let run = Line::new(one.run.as_deref().unwrap_or("-"));
        let is_current = current.as_ref() == Some(&one.hash);
        print_row([
            &one.number.to_string(),
            &wall_clock::local(one.kept),
            one.kind.name(),
            one.version.as_ref().map_or("-", Line::as_str),
            &hash,
            run.as_str(),
            if is_current { "current" } else { "" },
        ]);
    }
    Ok(ExitCode::SUCCESS)
}

fn list_answer(kept: Kept, current: Option<&String>) -> answers::SnapshotList {
    let snapshots = kept.snapshots.into_iter().map(|one| answers::Snapshot {
        number: one.number,
        kind: one.kind.name(),
        kept: wall_clock::utc(one.kept),
        gateway_version: one.version,
        current: current == Some(&one.hash),
        sha256: one.hash,
        run: one.run,
    });
    answers::SnapshotList {
        config: kept.place.path.to_string_lossy().into_owned(),
        snapshots: snapshots.collect(),
        unreadable: kept.wrong,
    }
}

fn print_row([number, kept, kind, version, hash, run, current]: [&str; 7]) {
    row(&[
        Cell::right(number, 4),
        Cell::left(kept, 19),
        Cell::left(kind, 8),
        Cell::left(version, 12),
        Cell::left(hash, 12),
        Cell::left(run, 32),
        Cell::new(current).tone(Tone::Good),
    ]);
}

/// Prints what differs from a snapshot to what is there now.
pub(crate) fn diff(
    sources: &Sources,
    number: Option<u32>,
    values: Values,
) -> anyhow::Result<ExitCode> {
    let kept = Kept::load(sources)?;
    let chosen = kept.choose(number)?;
    let there = kept.there(&chosen)?;
    let mut same = true;
    for file in &chosen.files {
        let now = there.iter().find(|now| now.path == file.path);
        same &= now.map(|now| now.content.bytes()) == Some(file.content.bytes());
        diff_file(file, now, values)?;
    }
    for file in there
        .iter()
        .filter(|now| chosen.files.iter().all(|old| old.path != now.path))
    {
        same = false;
        say!("{}: not in snapshot {}", file.path.display(), chosen.number);
    }
    if same {
        say!("the configuration is that of snapshot {}", chosen.number);
    }
    Ok(ExitCode::SUCCESS)
}

fn diff_file(old: &KeptFile, now: Option<&KeptFile>, values: Values) -> anyhow::Result<()> {
    let path = Line::new(&old.path.display().to_string());
    let Some(now) = now else {
        say!("{path}: gone");
        return Ok(());
    };
    if old.content == now.content {
        return Ok(());
    }
    // What is wrong is not quoted: it may be a secret.
    let value = |file: &KeptFile| openclaw_json::value(file.content.bytes()).ok();
    match (value(old), value(now)) {
        (Some(old), Some(now)) => print_lines(&path, &old, &now, values),
        (_, None) => {
            say!("{path}: is not JSON5 now, so its keys cannot be compared");
            print_broken_line(now.content.bytes(), values);
        }
        (None, _) => say!("{path}: was not JSON5 then, so its keys cannot be compared"),
    }
    Ok(())
}

/// Shows where a file is first not JSON5.
fn print_broken_line(bytes: &[u8], values: Values) {
    let text = String::from_utf8_lossy(bytes);
    let Some(number) = openclaw_json::broken_line(&text) else {
        return;
    };
    let mut lines = text.lines().skip(number.saturating_sub(2));
    // The first line has none above it.
    let before = if 1 < number { lines.next() } else { None };
    let broken = lines.next().unwrap_or_default();
    let shown = match values {
        Values::Harmless => diff::shown_line(before.unwrap_or_default(), broken),
        Values::All => Line::new(broken),
    };
    say!("it is broken in line {number}, or just above:");
    row(&[Cell::new(&format!("  {shown}")).tone(Tone::Bad)]);
}

fn print_lines(path: &Line, old: &Value, now: &Value, values: Values) {
    let lines = diff::diff(old, now, values);
    if lines.is_empty() {
        say!("{path}: says the same, written otherwise");
        return;
    }
    say!("{path}:");
    for line in lines {
        let gone = line.as_str().starts_with('-');
        let tone = if gone { Tone::Bad } else { Tone::Good };
        row(&[Cell::new(line.as_str()).tone(tone)]);
    }
}

/// Puts a snapshot back.
pub(crate) fn restore(
    sources: &Sources,
    number: Option<u32>,
    yes: bool,
    start: bool,
) -> anyhow::Result<ExitCode> {
    let kept = Kept::load(sources)?;
    let chosen = kept.choose(number)?;
    let was = chosen.files.first().map(|file| &file.path);
    if was != Some(&kept.place.path) {
        let was = was
            .map(|path| path.display().to_string())
            .unwrap_or_default();
        bail!(
            "snapshot {} is of {was}, and the gateway reads {}; nothing is restored",
            chosen.number,
            kept.place.path.display()
        );
    }
    let there = kept.there(&chosen)?;
    let is_there = |file: &KeptFile| there.contains(file);
    if chosen.files.iter().all(is_there) {
        say!(
            "the configuration is that of snapshot {} already",
            chosen.number
        );
        return if start {
            started(&kept.unit, &kept.profile)
        } else {
            Ok(ExitCode::SUCCESS)
        };
    }
    if !yes && !agreed(&chosen, &kept.place)? {
        bail!("nothing is restored");
    }
    let changed = || {
        anyhow!(
            "somebody wrote to {} meanwhile; nothing is restored: look with gatehound snapshot diff{}, then restore again",
            kept.place.path.display(),
            kept.profile
        )
    };
    // Somebody may have written while the question waited.
    if kept.there(&chosen)? != there {
        return Err(changed());
    }
    if !there.is_empty() {
        let replaced = kept
            .store
            .keep(
                Kind::Replaced,
                None,
                || None,
                there.clone(),
                wall_clock::now(),
                kept.keep,
            )
            .map_err(error)?;
        if let Some(replaced) = replaced {
            say!("kept what was there as snapshot {}", replaced.number);
        }
    }
    restoring::restore(&chosen, &kept.place, &there).map_err(|why| match why {
        NotRestored::Failed(why) => error(why),
        NotRestored::Changed | NotRestored::Late => changed(),
    })?;
    say!(
        "restored snapshot {} of {}",
        chosen.number,
        kept.place.path.display()
    );
    if start {
        return started(&kept.unit, &kept.profile);
    }
    let (number, profile, unit) = (chosen.number, &kept.profile, &kept.unit);
    say!("if {unit} is down, this starts it: gatehound snapshot restore {number} --start{profile}");
    Ok(ExitCode::SUCCESS)
}

/// Starts a gateway that is down; one that runs is left alone, whatever it runs with.
fn started(unit: &str, profile: &str) -> anyhow::Result<ExitCode> {
    let mut manager = manager()?;
    let facts = manager.unit(unit)?;
    if facts.load_state != "loaded" {
        bail!(
            "there is no {unit} to start ({}); set gateway.unit, or: openclaw{profile} gateway install",
            facts.load_state
        );
    }
    let state = facts.active_state.as_str();
    if matches!(state, "active" | "reloading" | "deactivating") {
        say!(
            "{unit} is {state}, so it is not started; to restart it with this configuration: systemctl --user restart {unit}"
        );
        return Ok(ExitCode::SUCCESS);
    }
    // What failed too often in a row is not started otherwise.
    manager.reset_failed(unit)?;
    manager.start(unit)?;
    say!("starting {unit}; whether it gets healthy: gatehound status{profile}");
    Ok(ExitCode::SUCCESS)
}

/// Asks, where there is somebody to ask.
fn agreed(chosen: &Snapshot, place: &Place) -> anyhow::Result<bool> {
    let kept = wall_clock::local(chosen.kept);
    let path = place.path.display();
    let question = format!("Replace {path} by snapshot {} of {kept}?", chosen.number);
    ask(&question).ok_or_else(|| {
        anyhow!("nobody is there to ask whether {path} is to be replaced; give --yes")
    })
}
