//! `gatehound install` and `uninstall`: program, units, man pages and completions of one user.
//!
//! Owns what is put where. It writes no file of the gateway's, and says what it did and what is missing.
//! Run as the program of a package it puts nothing anywhere, and enables the package's units.

pub mod packaged;

use crate::cli::console::say;
use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use nix::unistd::{User, geteuid};

use crate::{
    alerts::queue,
    os::{folders, own_files, processes},
    other_watchdogs::crontab_edit::Replaced,
    policy::facts::UnitFacts,
    probe::gateway,
    settings::{layers as settings, layers::Sources},
    systemd::UserManager,
};
use crate::{
    cli::{
        completions,
        console::{manager, shipped_unit},
        settings_command,
    },
    other_watchdogs::finding::{self, Options, OtherWatchdogs},
};

/// The shipped units: the watchdog's, what delivers its alerts and what sends its pings, each with a template for profiles,
/// and what tidies for all of them.
pub(crate) const UNITS: [(&str, &str); 8] = [
    (
        "gatehound.service",
        include_str!("../../../units/gatehound.service"),
    ),
    (
        "gatehound@.service",
        include_str!("../../../units/gatehound@.service"),
    ),
    (
        "gatehound-alert.service",
        include_str!("../../../units/gatehound-alert.service"),
    ),
    (
        "gatehound-alert@.service",
        include_str!("../../../units/gatehound-alert@.service"),
    ),
    (
        "gatehound-ping.service",
        include_str!("../../../units/gatehound-ping.service"),
    ),
    (
        "gatehound-ping@.service",
        include_str!("../../../units/gatehound-ping@.service"),
    ),
    (TIDY, include_str!("../../../units/gatehound-tidy.service")),
    (TIMER, include_str!("../../../units/gatehound-tidy.timer")),
];

/// The unit that has the gateway's logs tidied.
pub(crate) const TIMER: &str = "gatehound-tidy.timer";

/// What the timer starts.
pub(crate) const TIDY: &str = "gatehound-tidy.service";

/// The unit that does something for this Gatehound: `alert` or `ping`.
pub(crate) fn helper(own: &str, what: &str) -> String {
    own.replacen("gatehound", &format!("gatehound-{what}"), 1)
}

/// The man pages; man(1) finds them below ~/.local/share/man because ~/.local/bin is in PATH.
const MAN_PAGES: [(&str, &[u8]); 3] = [
    (
        "man1/gatehound.1.gz",
        include_bytes!(concat!(env!("OUT_DIR"), "/gatehound.1.gz")),
    ),
    (
        "man5/gatehound.toml.5.gz",
        include_bytes!(concat!(env!("OUT_DIR"), "/gatehound.toml.5.gz")),
    ),
    (
        "man8/gatehound.service.8.gz",
        include_bytes!(concat!(env!("OUT_DIR"), "/gatehound.service.8.gz")),
    ),
];

/// How long the unit may take to be active; it answers for itself after that.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Where things go, from the variables of the user's session.
pub(crate) struct Places {
    home: PathBuf,
    program: PathBuf,
    units: PathBuf,
    man: PathBuf,
    /// `$XDG_DATA_HOME`, for the completions.
    data: PathBuf,
}

impl Places {
    pub(crate) fn of(sources: &Sources) -> anyhow::Result<Self> {
        let home = sources
            .variables
            .get(OsStr::new("HOME"))
            .map(PathBuf::from)
            .filter(|home| home.is_absolute());
        let home = home.ok_or_else(|| anyhow!("HOME is not set; set it to install into it"))?;
        let config = sources
            .folder
            .parent()
            .map_or_else(|| home.join(".config"), Path::to_owned);
        Ok(Self {
            program: home.join(".local/bin/gatehound"),
            units: config.join("systemd/user"),
            man: home.join(".local/share/man"),
            data: folders::data(&sources.variables, &home),
            home,
        })
    }

    /// Everything that an installation into the home consists of.
    fn all(&self) -> impl Iterator<Item = PathBuf> {
        let units = UNITS.map(|(name, _)| self.units.join(name));
        let man = MAN_PAGES.map(|(name, _)| self.man.join(name));
        let completions = completions::FILES.map(|(name, _)| self.data.join(name));
        let program = self.program.clone();
        let files = units.into_iter().chain(man).chain(completions);
        files.chain([program])
    }

    /// What of it is used instead of a package's.
    pub(crate) fn shadowing(&self) -> Vec<PathBuf> {
        packaged::shadowing(self.all())
    }
}

/// One file to be put into place.
struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    mode: u32,
}

/// What is found where a file is to go.
#[derive(PartialEq)]
enum There {
    Nothing,
    Same,
    Other,
}

impl File {
    fn there(&self) -> There {
        match fs::read(&self.path) {
            Ok(bytes) if bytes == self.bytes => There::Same,
            Ok(_) => There::Other,
            Err(_) => There::Nothing,
        }
    }

    /// Puts the file into place, and says whether that changed anything.
    fn put(&self, dry_run: bool) -> anyhow::Result<bool> {
        let there = self.there();
        let path = self.path.display();
        match (&there, dry_run) {
            (There::Same, _) => say!("unchanged  {path}"),
            (There::Nothing, true) => say!("would install  {path}"),
            (There::Other, true) => say!("would replace  {path}"),
            (There::Nothing | There::Other, false) => {
                let folder = self.path.parent().unwrap_or(Path::new("/"));
                fs::create_dir_all(folder)
                    .with_context(|| format!("cannot create {}", folder.display()))?;
                own_files::install(&self.path, &self.bytes, self.mode)
                    .map_err(|line| anyhow!("{line}"))?;
                say!(
                    "{}  {path}",
                    if there == There::Nothing {
                        "installed"
                    } else {
                        "replaced "
                    }
                );
            }
        }
        Ok(there != There::Same)
    }
}

/// Puts everything into place, enables and starts the unit.
pub(crate) fn install(mut sources: Sources, options: &Options) -> anyhow::Result<ExitCode> {
    let places = Places::of(&sources)?;
    let state = folders::state(&sources.variables, sources.profile.as_deref())
        .map_err(|line| anyhow!("{line}"))?;
    let mut manager = manager()?;
    let unit = shipped_unit(sources.profile.as_deref());
    let before = manager
        .unit(&unit)
        .context("cannot install without a user session")?;
    sources.watchdog = Some(settings_command::watchdog(&sources));
    let settings = settings::load(&sources)
        .context("not installed, because Gatehound would not start")?
        .settings;
    let other_watchdogs = OtherWatchdogs::look(&places.home, Some(&mut manager));
    let replace = other_watchdogs.settle(options, &command(sources.profile.as_deref()))?;
    // Between an upgrade and a restart the old program runs on, and its file is no longer there.
    let mut changed = processes::program_is_gone(Path::new("/proc"), before.main_pid);
    if packaged::is_this() {
        say!("packaged   {}", packaged::PROGRAM);
        changed |= remove(places.shadowing(), options.dry_run)?;
    } else {
        for file in shipped(&places)? {
            changed |= file.put(options.dry_run)?;
        }
    }
    if options.dry_run {
        if replace {
            other_watchdogs.would_remove(&state);
        }
        for unit in [&unit, TIMER] {
            say!("would enable and start  {unit}");
        }
    } else {
        let removed = replace.then(|| other_watchdogs.remove(&state)).transpose();
        let replaced = removed.context("program and units are in place, and not started")?;
        activate(&mut manager, &unit, &before, changed)
            .map_err(|e| undone(e, &mut manager, &unit, replaced.as_ref()))?;
    }
    finding::tidy_up(Path::new("/tmp"), &settings.pause.flag_file, options);
    let gateway = gateway::unit_name(&settings, sources.profile.as_deref());
    let watching = if options.dry_run {
        "would watch  "
    } else {
        "watching   "
    };
    missing(&mut manager, &gateway, sources.profile.as_deref(), watching)?;
    if !packaged::is_this() {
        not_in_path(&sources, &places.program);
    }
    if let Some(copy) = places.shadowing().first()
        && !options.dry_run
    {
        say!(
            "shadows    {} and the others are used instead of the package's, and no upgrade of it reaches them; \
             to use the package: {} install",
            copy.display(),
            packaged::PROGRAM
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The command that installs, as it was called, for messages.
pub(crate) fn command(profile: Option<&str>) -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let profile = folders::profile_option(profile);
    format!("{}{profile} install", called.display())
}

/// Gives the gateway back to the old watchdog, because Gatehound does not watch; says so behind the error.
///
/// Gatehound goes first: it may yet start, and then the two would restart the gateway against each other.
fn undone(
    error: anyhow::Error,
    manager: &mut UserManager,
    unit: &str,
    replaced: Option<&Replaced>,
) -> anyhow::Error {
    let Some(replaced) = replaced else {
        return error;
    };
    let stopped = manager
        .stop(unit)
        .and_then(|_| manager.disable(unit))
        .and_then(|()| manager.reload());
    let stopped = match stopped {
        Ok(()) => format!("{unit} is stopped and disabled"),
        Err(why) => format!("{unit} cannot be stopped: {why}"),
    };
    match replaced.undo() {
        Ok(()) => anyhow!("{error:#}; the crontab is put back, and {stopped}"),
        Err(why) => anyhow!("{error:#}; {why}; {stopped}"),
    }
}

fn shipped(places: &Places) -> anyhow::Result<Vec<File>> {
    let this = std::env::current_exe().context("cannot find this program's own file")?;
    let program = fs::read(&this).with_context(|| format!("cannot read {}", this.display()))?;
    let data = |path: PathBuf, bytes: &[u8]| File {
        path,
        bytes: bytes.into(),
        mode: 0o644,
    };
    let unit = |(name, unit)| data(places.units.join(name), packaged::for_home(unit).as_bytes());
    let mut files = vec![File {
        path: places.program.clone(),
        bytes: program,
        mode: 0o755,
    }];
    files.extend(UNITS.map(unit));
    files.extend(MAN_PAGES.map(|(name, page)| data(places.man.join(name), page)));
    files.extend(
        completions::FILES.map(|(name, file)| data(places.data.join(name), file.as_bytes())),
    );
    Ok(files)
}

fn activate(
    manager: &mut UserManager,
    unit: &str,
    before: &UnitFacts,
    changed: bool,
) -> anyhow::Result<()> {
    manager.reload()?;
    for unit in [unit, TIMER] {
        manager.enable(unit)?;
        say!("enabled    {unit}");
    }
    // A timer that runs already is started to no effect.
    manager.start(TIMER)?;
    let running = before.active_state == "active";
    if running && !changed {
        say!("running    {unit}");
        return Ok(());
    }
    if running {
        manager.restart(unit)?;
    } else {
        manager.reset_failed(unit)?;
        manager.start(unit)?;
    }
    await_active(manager, unit)?;
    say!(
        "{}  {unit}",
        if running { "restarted" } else { "started  " }
    );
    Ok(())
}

/// Waits until the unit has said READY=1.
fn await_active(manager: &mut UserManager, unit: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let facts = manager.unit(unit)?;
        match facts.active_state.as_str() {
            "active" if facts.job.is_none() => return Ok(()),
            "failed" => bail!(
                "{unit} did not start: {}, exit status {}; see journalctl --user -u {unit}",
                facts.result,
                facts.exec_main_status
            ),
            _ if deadline <= Instant::now() => {
                bail!(
                    "{unit} is {} after {START_LIMIT:?}; see systemctl --user status {unit}",
                    facts.active_state
                );
            }
            _ => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Says what still keeps the watch from being complete, each with what fixes it.
fn missing(
    manager: &mut UserManager,
    gateway: &str,
    profile: Option<&str>,
    watching: &str,
) -> anyhow::Result<()> {
    let facts = manager.unit(gateway)?;
    match (facts.load_state.as_str(), facts.active_state.as_str()) {
        ("loaded", "active") => say!("{watching}{gateway}"),
        ("loaded", state) => {
            say!("missing    {gateway} is {state}; start it: systemctl --user start {gateway}")
        }
        (state, _) => {
            let profile = folders::profile_option(profile);
            say!("missing    {gateway} is {state}; install it: openclaw{profile} gateway install")
        }
    }
    if let Some(remedy) = linger_is_off() {
        say!("missing    linger is off, so both stop at logout; switch it on: {remedy}");
    }
    Ok(())
}

/// Says so where a shell would not find the program; a login adds the folder to PATH on most distributions.
fn not_in_path(sources: &Sources, program: &Path) {
    let folder = program.parent().unwrap_or(program);
    let path = sources.variables.get(OsStr::new("PATH"));
    if !path.is_some_and(|path| env::split_paths(path).any(|one| one == folder)) {
        let folder = folder.display();
        say!(
            "missing    {folder} is not in PATH, so a shell does not find gatehound; \
             log in anew, or: export PATH=\"{folder}:$PATH\""
        );
    }
}

/// The command that keeps the user manager running after logout, unless it does.
pub(crate) fn linger_is_off() -> Option<String> {
    let user = User::from_uid(geteuid()).ok().flatten();
    let user = user.map_or_else(String::new, |user| user.name);
    // systemd-logind keeps one empty file for each lingering user.
    let lingers = Path::new("/var/lib/systemd/linger").join(&user).exists();
    (!lingers).then(|| format!("loginctl enable-linger {user}"))
}

/// What the file of this unit at this path is in this version; an instance is its template.
pub(crate) fn shipped_text(unit: &str, path: &str) -> Option<String> {
    let template = unit
        .split_once('@')
        .map(|(name, _)| format!("{name}@.service"));
    let name = template.as_deref().unwrap_or(unit);
    UNITS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| packaged::expected_at(Path::new(path), text))
}

/// Stops watching and removes what [`install`] put into place. The gateway is left as it is.
pub(crate) fn uninstall(sources: &Sources) -> anyhow::Result<ExitCode> {
    let places = Places::of(sources)?;
    let profile = sources.profile.as_deref();
    let unit = shipped_unit(profile);
    let mut manager = manager()?;
    let facts = manager
        .unit(&unit)
        .context("cannot uninstall without a user session")?;
    if matches!(
        facts.active_state.as_str(),
        "active" | "activating" | "reloading"
    ) {
        manager.stop(&unit)?;
        await_stopped(&mut manager, &unit)?;
        say!("stopped    {unit}");
    }
    // A unit that failed stays in the list of those, whatever becomes of its file.
    manager.reset_failed(&unit)?;
    disable(&mut manager, &unit)?;
    // A delivery that failed waits for its next try, which would find no program.
    for what in ["alert", "ping"] {
        end(&mut manager, &helper(&unit, what))?;
    }
    // Metrics that nobody writes any more would be alerted of for ever.
    let settings = settings::load(sources).map(|loaded| loaded.settings);
    let textfile = settings
        .ok()
        .and_then(|settings| settings.metrics.textfile(profile));
    remove(textfile, false)?;
    let other = other_instance(&places, &unit);
    match &other {
        Some(other) => say!("kept       program and units, because {other} is still enabled"),
        None => {
            for unit in [TIMER, TIDY] {
                end(&mut manager, unit)?;
            }
            disable(&mut manager, TIMER)?;
            remove(places.all(), false)?;
            manager.reload()?;
        }
    }
    if other.is_none() {
        say!("kept       {}", sources.folder.display());
    }
    let state = folders::state(&sources.variables, profile);
    if let Some(state) = state.ok().filter(|state| state.exists()) {
        if let Some(kept) = finding::kept_crontab(&state) {
            let kept = kept.display();
            say!(
                "kept       {kept}; the cron script is back, in place of the crontab as it is now, with: crontab {kept}"
            );
        }
        let queue = queue::folder(&state);
        let waiting = queue::waiting(&queue).map_or(0, |waiting| waiting.len());
        if 0 < waiting {
            let queue = queue.display();
            say!("kept       {queue}, alerts not delivered: {waiting}");
        }
        let state = state.display();
        say!(
            "kept       {state}, with incidents and the gateway's configurations, secrets among them; \
             to remove it: rm -r {state}"
        );
    }
    if other.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    if packaged::is_there() {
        say!(
            "kept       {} and what came with it, which the package owns",
            packaged::PROGRAM
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Stops a unit that is there, and has its failure forgotten.
fn end(manager: &mut UserManager, unit: &str) -> anyhow::Result<()> {
    if manager.active_state(unit)? != "inactive" {
        manager.stop(unit)?;
        await_stopped(manager, unit)?;
        manager.reset_failed(unit)?;
    }
    Ok(())
}

/// Disables a unit and says so; one that is not there any more needs no word.
fn disable(manager: &mut UserManager, unit: &str) -> anyhow::Result<()> {
    if !manager.fragment_path(unit)?.is_empty() {
        manager.disable(unit)?;
        say!("disabled   {unit}");
    }
    Ok(())
}

/// Removes what is there of these files, and says whether that changed anything.
fn remove(paths: impl IntoIterator<Item = PathBuf>, dry_run: bool) -> anyhow::Result<bool> {
    let mut changed = false;
    for path in paths {
        if dry_run {
            say!("would remove  {}", path.display());
            continue;
        }
        match fs::remove_file(&path) {
            Ok(()) => say!("removed    {}", path.display()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => bail!("cannot remove {}: {e}; remove it by hand", path.display()),
        }
        changed = true;
    }
    Ok(changed)
}

/// Gatehound may first have to start a gateway it was restarting, so this takes as long as the unit allows.
fn await_stopped(manager: &mut UserManager, unit: &str) -> anyhow::Result<()> {
    loop {
        let state = manager.active_state(unit)?;
        if matches!(state.as_str(), "inactive" | "failed") {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Another Gatehound of this user that still needs the files.
fn other_instance(places: &Places, unit: &str) -> Option<String> {
    let enabled = fs::read_dir(places.units.join("default.target.wants")).ok()?;
    enabled
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.starts_with("gatehound") && name != unit)
}
