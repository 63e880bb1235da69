//! Where the records of a history come from: this machine's journal, one that was collected, or lines that are given.
//!
//! Owns which records are asked for; what they mean is `timeline`'s, how journalctl is asked `journal::journalctl`'s.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{anyhow, bail};

use crate::{
    cli::console::manager,
    journal::{
        journalctl::{self, Age, Collected, JOURNALCTL, Place},
        kinds::Kind,
        logged::{Logged, Moment},
    },
    os::{boot_id, clock::Clock, wall_clock},
    text::line::Line,
};

/// How long journalctl may take: a journal of gigabytes on a slow disk is read within it.
const BUDGET: Duration = Duration::from_secs(30);

/// How much of standard input is read: some hundred thousand lines.
const MAX_INPUT: u64 = 256 * 1024 * 1024;

/// The gateway's unit, and Gatehound's own.
pub(super) type Units = [String; 2];

/// The records of a time, and what is needed to make a history of them.
pub(super) struct Asked {
    /// The records, oldest first, with what says how things stood when the time began.
    pub(super) logged: Vec<Logged>,
    /// The moment up to which they are known.
    pub(super) now: Moment,
    /// Whether a Gatehound runs then.
    pub(super) runs: bool,
}

/// All since a moment, from this machine's journal.
pub(super) fn own(units: &Units, since: Duration) -> anyhow::Result<Asked> {
    // First, because the journal may take its time.
    let now = now()?;
    // Nothing is written while the gateway stays healthy, so a record before the time that is asked for says how things stood when it began.
    let mut logged = records(units, Age::LastUntil(since))?;
    let within = records(units, Age::Since(since))?;
    let first = logged
        .iter()
        .chain(&within)
        .find(|logged| !logged.is_by_systemd());
    if let Some(first) = first
        && let Some(field) = first.under_way()
    {
        // What was under way began earlier still, and the cause is in an earlier record.
        let earlier = records(units, Age::AllUntil(since, &first.at.boot, &field))?;
        if !earlier.is_empty() {
            logged = earlier;
        }
    }
    logged.extend(within);
    let runs = runs(units);
    Ok(Asked { logged, now, runs })
}

/// All records of a journal that was collected: a folder, a file, or `-` for lines of JSON on standard input.
pub(super) fn collected(units: &Units, path: &Path, host: Option<&str>) -> anyhow::Result<Asked> {
    let [unit, own_unit] = units;
    let place = place(unit, own_unit);
    let read = if path == Path::new("-") {
        let mut input = Vec::new();
        std::io::stdin()
            .take(MAX_INPUT)
            .read_to_end(&mut input)
            .map_err(|e| anyhow!("standard input cannot be read: {e}"))?;
        journalctl::given(&place, &input)
    } else if path.exists() {
        let read = journalctl::collected(&place, path, BUDGET);
        read.map_err(|line| anyhow!("{} cannot be read: {line}", path.display()))?
    } else {
        bail!("{}: there is no such folder or file", path.display());
    };
    let Collected {
        mut records,
        mut ends,
    } = read;
    let mut hosts: Vec<Line> = records.iter().map(|(host, _)| host.clone()).collect();
    hosts.sort();
    hosts.dedup();
    let names = || {
        hosts
            .iter()
            .map(Line::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match host {
        Some(host) => {
            if !hosts.iter().any(|known| known.as_str() == host) && !hosts.is_empty() {
                bail!(
                    "no record of the host {:?}; there are: {}",
                    Line::new(host).as_str(),
                    names()
                );
            }
            records.retain(|(of, _)| of.as_str() == host);
            ends.retain(|(of, _)| of.as_str() == host);
        }
        None if 1 < hosts.len() => bail!(
            "records of several hosts; choose one with --host: {}",
            names()
        ),
        None => {}
    }
    let mut logged: Vec<Logged> = records.into_iter().map(|(_, logged)| logged).collect();
    logged.sort_by_key(|logged| logged.at.wall);
    let last = logged.iter().rfind(|logged| !logged.is_by_systemd());
    // Whatever else the machine wrote in the same boot says that it ran, and Gatehound with it.
    let runs = last.is_some_and(|last| !last.is_event(Kind::Leaving))
        && logged.last().is_some_and(|last| !last.is_by_systemd());
    let boot = last.map(|last| last.at.boot.clone());
    let ends = ends.into_iter().map(|(_, at)| at);
    let end = ends
        .filter(|at| Some(&at.boot) == boot.as_ref())
        .max_by_key(|at| at.wall);
    let now = end.or(logged.last().map(|logged| logged.at.clone()));
    let now = now.unwrap_or_default();
    Ok(Asked { logged, now, runs })
}

/// Records of this machine's journal.
pub(super) fn records([unit, own_unit]: &Units, age: Age<'_>) -> anyhow::Result<Vec<Logged>> {
    journalctl::records(&place(unit, own_unit), age, BUDGET)
        .map_err(|line| anyhow!("the journal cannot be read: {line}"))
}

fn place<'a>(unit: &'a str, own_unit: &'a str) -> Place<'a> {
    Place {
        program: Path::new(JOURNALCTL),
        unit,
        own_unit,
    }
}

/// What journalctl says of a journal in which it finds nothing, and what mends that.
pub(super) fn complaint() -> Vec<String> {
    let said = journalctl::words(Path::new(JOURNALCTL), BUDGET);
    let mut lines: Vec<String> = said
        .iter()
        .map(|line| format!("journalctl says: {line}"))
        .collect();
    let persistent = PathBuf::from("/var/log/journal");
    if !persistent.exists() {
        lines.push(
            "the journal is kept in memory only, so it is lost at a reboot and users cannot read theirs; \
             to keep it: sudo mkdir /var/log/journal && sudo systemctl restart systemd-journald, \
             or Storage=persistent in /etc/systemd/journald.conf"
                .to_owned(),
        );
    }
    lines.push(
        "if Gatehound ran, its records may be readable only for members of the group systemd-journal or adm; \
         to become one: sudo usermod -aG systemd-journal $USER, then log in again"
            .to_owned(),
    );
    lines
}

/// Whether a Gatehound runs; where nobody can be asked, the records are believed.
pub(super) fn runs([_, own_unit]: &Units) -> bool {
    let facts = manager().and_then(|mut manager| Ok(manager.unit(own_unit)?));
    facts.map_or(true, |facts| {
        !matches!(facts.active_state.as_str(), "inactive" | "failed")
    })
}

pub(super) fn now() -> anyhow::Result<Moment> {
    Ok(Moment {
        wall: wall_clock::now(),
        boot: boot_id::get().map_err(|line| anyhow!("{line}"))?,
        monotonic: Clock.now(),
    })
}
