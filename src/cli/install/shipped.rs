//! The files that an installation consists of, and where each goes.
//!
//! Owns what is put where; knows no manager, and starts nothing.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};

use super::packaged;
use crate::{
    cli::{completions, console::say},
    os::{folders, own_files},
    settings::layers::Sources,
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

pub(crate) use crate::settings::unit_names::helper;

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

/// Where things go, from the variables of the user's session.
pub(crate) struct Places {
    pub(super) program: PathBuf,
    pub(super) units: PathBuf,
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
        })
    }

    /// Everything that an installation into the home consists of.
    pub(super) fn all(&self) -> impl Iterator<Item = PathBuf> {
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
pub(super) struct File {
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
    pub(super) fn put(&self, dry_run: bool) -> anyhow::Result<bool> {
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

/// The files of an installation into the home, as this version has them.
pub(super) fn shipped(places: &Places) -> anyhow::Result<Vec<File>> {
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

/// Removes what is there of these files, and says whether that changed anything.
pub(super) fn remove(
    paths: impl IntoIterator<Item = PathBuf>,
    dry_run: bool,
) -> anyhow::Result<bool> {
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
