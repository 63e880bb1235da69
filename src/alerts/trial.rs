//! `gatehound alert test`: has the units that deliver send a test, so that what arrives is what would arrive.
//!
//! Owns the request that is left in the queue's folder and its answer; whoever delivers takes the one and writes the other.
//! Where no unit can be started, the test is sent from here, and that is said.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};

use crate::{
    alerts::{
        alert::Alert,
        delivery::{self, Outlet, Surroundings},
        message::{Around, Message},
        ping_note, queue,
    },
    cli::console::{manager, say},
    os::{
        files::{Links, read_limited},
        folders,
        own_files::{ensure_private_dir, remove, write_atomic},
        wall_clock,
    },
    probe::gateway,
    settings::{
        AlertSettings, Settings, Way,
        layers::{self, Sources},
        unit_names,
    },
    text::line::Line,
};

/// More than the answers of all channels have bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// From one look for the answer to the next.
const TICK: Duration = Duration::from_millis(100);

/// How long starting the unit and writing the answer may take besides the deliveries.
const AROUND: Duration = Duration::from_secs(20);

fn request(folder: &Path) -> PathBuf {
    folder.join("test")
}

fn answer(folder: &Path) -> PathBuf {
    folder.join("tested")
}

/// Has a test sent through every channel, and says what the other sides answer; 1 if one failed.
///
/// A ping only if it is asked for: to whoever waits for it, a test is no other than a sign that all is well.
pub(crate) fn test(sources: &Sources, ping: bool) -> anyhow::Result<ExitCode> {
    let settings = layers::load(sources)?.settings;
    if settings.alert.channel.is_empty() {
        bail!("no alert channel is configured; add [[alert.channel]], see gatehound.toml(5)");
    }
    if ping && !settings.alert.has_ping() {
        bail!("no ping is set; add [[alert.channel]] with type = \"ping\", see gatehound.toml(5)");
    }
    let mut lines = Vec::new();
    if settings.alert.is_on() {
        lines = match by_unit(sources, &settings.alert) {
            Ok(lines) => lines,
            Err(Unsent::Here(why)) => {
                say!(
                    "note       sent from this shell, whose credentials and proxy may be others: {why}"
                );
                sent(&settings, sources)
            }
            Err(Unsent::Never(why)) => bail!("{why}"),
        };
    }
    if ping {
        lines.push(pinged(sources, &settings.alert));
    } else if settings.alert.has_ping() {
        lines.push(format!(
            "not sent   ping: it would say that the gateway works; gatehound alert test --ping{} sends one",
            folders::profile_option(sources.profile.as_deref())
        ));
    }
    for line in &lines {
        say!("{line}");
    }
    let failed = lines.iter().any(|line| line.starts_with("failed"));
    Ok(ExitCode::from(u8::from(failed)))
}

/// Why the unit did not send a test.
enum Unsent {
    /// There is none that could.
    Here(Line),
    /// It could, and did not.
    Never(Line),
}

/// What the unit says came of a test.
fn by_unit(sources: &Sources, settings: &AlertSettings) -> Result<Vec<String>, Unsent> {
    let profile = sources.profile.as_deref();
    if !sources.overrides.is_empty() {
        return Err(Unsent::Here("the unit does not know of --set".into()));
    }
    let unit = unit_names::helper(&unit_names::own(profile), "alert");
    let here = |why: Line| Unsent::Here(why);
    let folder = queue::folder(&folders::state(&sources.variables, profile).map_err(here)?);
    let mut manager = manager().map_err(|why| Unsent::Here(Line::new(&format!("{why:#}"))))?;
    ensure_private_dir(&folder).map_err(here)?;
    remove(&answer(&folder)).map_err(here)?;
    let asked = request(&folder);
    write_atomic(&asked, b"").map_err(here)?;
    let withdraw = |why: &str| {
        // Else the next delivery would begin with it.
        let _ = remove(&asked);
        Line::new(why)
    };
    let channels = u32::try_from(settings.channel.len()).unwrap_or(u32::MAX);
    let until = Instant::now() + settings.timeout.saturating_mul(channels) + AROUND;
    let mut tick = 0_u32;
    while Instant::now() < until {
        if let Some(lines) = read(&answer(&folder)) {
            return Ok(lines);
        }
        // Again and again, because one that was just ending takes no request any more.
        if tick.is_multiple_of(20)
            && let Err(why) = manager.start(&unit)
        {
            return Err(Unsent::Here(withdraw(&why.to_string())));
        }
        tick += 1;
        let facts = manager
            .unit(&unit)
            .map_err(|why| here(withdraw(&why.to_string())))?;
        if 30 < tick && asked.exists() && !["", "success"].contains(&facts.result.as_str()) {
            let why = format!(
                "{unit} does not start ({}, exit status {}); see journalctl --user -u {unit}",
                facts.result, facts.exec_main_status
            );
            return Err(Unsent::Never(withdraw(&why)));
        }
        thread::sleep(TICK);
    }
    let why = format!("{unit} did not say what came of it; see journalctl --user -u {unit}");
    Err(Unsent::Never(withdraw(&why)))
}

fn read(path: &Path) -> Option<Vec<String>> {
    let contents = read_limited(path, MAX_ANSWER, Links::Refuse).ok()??;
    let _ = remove(path);
    let text = String::from_utf8_lossy(&contents.bytes).into_owned();
    Some(text.lines().map(spaced).collect())
}

/// A line whose first word stands in a column of its own.
fn spaced(line: &str) -> String {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    format!("{word:<11}{}", Line::new(rest))
}

/// Sends a test that was asked for, if one was.
pub(super) fn serve(folder: &Path, settings: &Settings, sources: &Sources) -> Result<(), Line> {
    if fs::symlink_metadata(request(folder)).is_err() {
        return Ok(());
    }
    remove(&request(folder))?;
    let lines = sent(settings, sources);
    for line in &lines {
        say!("{line}");
    }
    write_atomic(&answer(folder), lines.join("\n").as_bytes())
}

/// Sends a test through every channel but pings: a line for each.
fn sent(settings: &Settings, sources: &Sources) -> Vec<String> {
    let unit = gateway::unit_name(settings, sources.profile.as_deref());
    let settings = &settings.alert;
    let time = wall_clock::local_with_offset(wall_clock::now());
    let message = Message::new(
        &Alert::tried(&unit, settings.language),
        &Around {
            host: &delivery::host(),
            time: &time,
            age: Duration::ZERO,
            words: None,
            language: settings.language,
        },
    );
    let around = Surroundings {
        limit: settings.timeout,
        runtime: folders::runtime(&sources.variables, sources.profile.as_deref()).ok(),
        ..Surroundings::default()
    };
    let outlets = Outlet::all(&settings.channel).into_iter();
    let outlets = outlets.filter(|outlet| outlet.channel.way != Way::Ping);
    outlets
        .map(|outlet| {
            let answer = outlet.deliver(&message, &around);
            said(&outlet.name(), answer.map_err(delivery::Refusal::why))
        })
        .collect()
}

fn said(name: &str, answer: Result<Line, Line>) -> String {
    match answer {
        Ok(answer) => format!("delivered  {name}: {answer}"),
        Err(why) => format!("failed     {name}: {why}"),
    }
}

/// Has the ping sent by its unit, and says what came of it.
fn pinged(sources: &Sources, settings: &AlertSettings) -> String {
    let profile = sources.profile.as_deref();
    let unit = unit_names::helper(&unit_names::own(profile), "ping");
    let done = || -> anyhow::Result<Result<Line, Line>> {
        let mut manager = manager()?;
        manager.start(&unit)?;
        let until = Instant::now() + settings.timeout * 2 + AROUND;
        loop {
            let facts = manager.unit(&unit)?;
            // The manager forgets a unit that is over, its run included.
            let is_over = ["inactive", "failed"].contains(&facts.active_state.as_str());
            if is_over && facts.job.is_none() {
                break;
            }
            if until < Instant::now() {
                bail!("{unit} is not done");
            }
            thread::sleep(TICK);
        }
        let dir = folders::runtime(&sources.variables, profile).map_err(|why| anyhow!("{why}"))?;
        Ok(match ping_note::failure(&dir) {
            Some(why) => Err(why),
            None => Ok("taken".into()),
        })
    };
    match done() {
        Ok(answer) => said("ping", answer),
        Err(why) => {
            say!(
                "note       the ping is sent from this shell, whose credentials and proxy may be others: {why:#}"
            );
            let pings = Outlet::all(&settings.channel).into_iter();
            let pings = pings.filter(|outlet| outlet.channel.way == Way::Ping);
            let mut answer = Ok(Line::default());
            for outlet in pings {
                let one = delivery::ping(outlet.channel, None, settings.timeout);
                answer = answer.and(one.map_err(|refused| refused.why));
            }
            said("ping", answer)
        }
    }
}
