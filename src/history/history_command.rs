//! `gatehound history` and `gatehound incident`: what became of the gateway, and what was seen of one incident.
//!
//! Owns how they are shown; what the records mean is `timeline`'s.

use crate::cli::console::say;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{anyhow, bail};

use crate::cli::{
    answers,
    console::{settings, shipped_unit},
    show::{COLUMNS, wrapped},
};
use crate::{
    daemon::memory::Memory,
    history::{
        in_json::{history_answer, one_incident_answer},
        incident_page::{in_two_sentences, print_incident, set},
        picture::picture,
        rows::print_history,
        sources::{self, Asked, now, records, runs},
        timeline::{History, Outcome, Past},
    },
    journal::{journalctl::Age, logged::Logged},
    os::{folders, own_files, wall_clock},
    probe::gateway,
    recovery::incident_files,
    settings::layers::Sources,
    text::{line::Line, words::span},
};

/// How far back `incident` looks for the records of one whose evidence may be as old.
const INCIDENTS_BACK: Duration = Duration::from_secs(400 * 24 * 3600);

/// What a history is made of, and how it is shown.
pub(crate) struct Wanted {
    /// The first moment that counts, after the Unix epoch.
    pub(crate) since: Duration,
    /// As JSON.
    pub(crate) json: bool,
    /// A journal that was collected, instead of this machine's; `-` is standard input.
    pub(crate) journal: Option<PathBuf>,
    /// The host whose records are meant.
    pub(crate) host: Option<String>,
    /// Where a picture of it is written.
    pub(crate) svg: Option<PathBuf>,
}

/// Prints all incidents since a moment, and what they add up to.
pub(crate) fn history(sources: &Sources, wanted: &Wanted) -> anyhow::Result<ExitCode> {
    let units = units(sources);
    // As journalctl is asked.
    let since = Duration::from_secs(wanted.since.as_secs());
    let asked = match &wanted.journal {
        Some(path) => sources::collected(&units, path, wanted.host.as_deref()),
        None => sources::own(&units, since),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(e) if wanted.journal.is_none() && !wanted.json && wanted.svg.is_none() => {
            let kept = evidence(sources, &[], since);
            if kept.is_empty() {
                return Err(e);
            }
            say!("{e:#}");
            print_complaint();
            kept.iter().for_each(|line| say!("{line}"));
            return Ok(ExitCode::SUCCESS);
        }
        Err(e) => return Err(e),
    };
    let Asked { logged, now, runs } = asked;
    if logged.is_empty() && !wanted.json && wanted.svg.is_none() {
        let said = wall_clock::local(since);
        say!("no record of Gatehound since {said} that you may read");
        if wanted.journal.is_none() {
            print_complaint();
            evidence(sources, &[], since)
                .iter()
                .for_each(|line| say!("{line}"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let history = History::of(&logged, since, &now, runs);
    if let Some(path) = &wanted.svg {
        let picture = picture(&history, since, now.wall, &units);
        // A name alone has no folder.
        let path = &std::path::absolute(path)?;
        own_files::write_atomic(path, picture.as_bytes()).map_err(|line| anyhow!("{line}"))?;
        say!("written    {}", Line::new(&path.display().to_string()));
    } else if wanted.json {
        answers::say(&history_answer(&history, since, now.wall));
    } else {
        print_history(&history, since, now.wall);
        if wanted.journal.is_none() {
            // A journal in memory forgets them at each boot.
            evidence(sources, &history.incidents, since)
                .iter()
                .for_each(|line| say!("{line}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Why the journal may be empty, and what mends that.
fn print_complaint() {
    for text in sources::complaint() {
        for part in wrapped(&text, COLUMNS) {
            say!("{part}");
        }
    }
}

/// The restarts since a moment whose incidents the journal has not, and of which evidence is kept.
fn evidence(sources: &Sources, known: &[Past], since: Duration) -> Vec<String> {
    let profile = sources.profile.as_deref();
    let Ok(state) = folders::state(&sources.variables, profile) else {
        return Vec::new();
    };
    let mut kept = incident_files::kept(&state);
    kept.retain(|(written, id, _)| since <= *written && known.iter().all(|past| past.id != *id));
    if kept.is_empty() {
        return Vec::new();
    }
    let folder = incident_files::folder(&state);
    let option = folders::profile_option(profile);
    let mut lines = vec![
        String::new(),
        "restarts that are not in the journal, of which there is evidence, in".to_owned(),
        Line::new(&folder.display().to_string()).to_string(),
    ];
    lines.extend(kept.into_iter().map(|(wall, id, restart)| {
        format!("{}  {id}  restart {restart}", wall_clock::local(wall))
    }));
    lines.push(format!("gatehound incident{option} ID shows the evidence"));
    lines
}

/// Prints one incident, the last one if none is named: its records, then the evidence of each restart.
pub(crate) fn incident(
    sources: &Sources,
    id: Option<&str>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let folder = folders::state(&sources.variables, sources.profile.as_deref())
        .map_err(|line| anyhow!("{line}"))?;
    let units = units(sources);
    let now = now()?;
    let since = now.wall.saturating_sub(INCIDENTS_BACK);
    // The evidence has files of its own, and is the more wanted where the journal has nothing.
    let (logged, unread) = match records(&units, Age::Since(since)) {
        Ok(logged) => (logged, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let history = History::of(&logged, since, &now, runs(&units));
    let newest = newest_evidence(&folder, &history);
    if let Some(why) = &unread
        && id.is_none()
        && newest.is_none()
    {
        bail!("{why:#}");
    }
    let is_asked_for = id.is_some();
    let id = id.or(newest.as_deref());
    let of_id = |past: &&Past| id.is_none_or(|id| id == past.id);
    let past = history.incidents.iter().rev().find(of_id);
    let profile = &folders::profile_option(sources.profile.as_deref());
    let newer = newer(&history, profile).filter(|_| !is_asked_for);
    let Some(id) = id.or(past.map(|past| past.id.as_str())) else {
        match newer {
            Some(newer) => bail!("no incident in the journal, but {newer}"),
            None => {
                bail!("no incident in the journal; what else happened: gatehound history{profile}")
            }
        }
    };
    let evidence = incident_files::read(&folder, id);
    if past.is_none() && evidence.is_empty() {
        if let Some(why) = unread {
            return Err(why);
        }
        bail!(
            "no incident {:?}; `gatehound history{profile}` lists them",
            Line::new(id).as_str()
        );
    }
    let logged: Vec<&Logged> = logged
        .iter()
        .filter(|logged| logged.incident() == Some(id))
        .collect();
    if json {
        answers::say(&one_incident_answer(past, &logged, evidence));
    } else {
        if let Some(newer) = newer {
            set("newer      ", &newer);
            say!("");
        }
        if let Some(why) = unread {
            say!(
                "journal    {why:#}; what follows is the evidence alone; gatehound doctor{profile} says what mends it"
            );
        }
        print_incident(id, past, &logged, &evidence);
    }
    Ok(ExitCode::SUCCESS)
}

/// The last incident in two sentences, and the command that says more.
pub(crate) fn last_incident(sources: &Sources) -> anyhow::Result<String> {
    let units = units(sources);
    let now = now()?;
    let logged = records(&units, Age::Since(now.wall.saturating_sub(INCIDENTS_BACK)))?;
    let history = History::of(&logged, Duration::ZERO, &now, runs(&units));
    let Some(past) = history.incidents.last() else {
        bail!("no incident in the journal");
    };
    let profile = folders::profile_option(sources.profile.as_deref());
    let (words, id) = (in_two_sentences(past), &past.id);
    Ok(format!("{words}\nMore: gatehound incident{profile} {id}"))
}

/// The incident of the newest evidence, where it is newer than all that the journal has.
fn newest_evidence(state: &Path, history: &History) -> Option<String> {
    let (written, id, _) = incident_files::kept(state).pop()?;
    let is_older = |past: &Past| past.id != id && past.began < written;
    history.incidents.iter().all(is_older).then_some(id)
}

/// What is newer than the newest incident, is none, and may yet be what is looked for; with what to do.
fn newer(history: &History, profile: &str) -> Option<String> {
    let last = history.stood_by.last()?;
    // Why nothing is done about what is under way is in its own page.
    let incident = history.incidents.last();
    if incident.is_some_and(|past| past.outcome == Outcome::UnderWay) {
        return None;
    }
    let is_older = |past: &Past| past.began < last.began;
    if !history.incidents.last().is_none_or(is_older) || !(last.is_outage() || last.under_way) {
        return None;
    }
    let began = wall_clock::local(last.began);
    Some(if last.under_way && !last.text.as_str().is_empty() {
        format!("since {began} {}", last.text)
    } else {
        let (reason, lasted) = (&last.reason, span(last.lasted));
        format!("since {began} {reason} for {lasted}; `gatehound history{profile}` lists it")
    })
}

/// The gateway's unit, and Gatehound's own.
fn units(sources: &Sources) -> [String; 2] {
    let settings = settings(sources);
    let profile = sources.profile.as_deref();
    let dir = folders::runtime(&sources.variables, profile).ok();
    let own = dir.and_then(|dir| Memory::peek(&dir));
    [
        gateway::unit_name(&settings, profile),
        own.map_or_else(|| shipped_unit(profile), |memory| memory.own_unit),
    ]
}
