//! Where the gateway is: its unit's name, its port, how it is spoken to, found without settings in an ordinary installation.
//!
//! Owns the order in which the settings, the unit and openclaw.json are believed, which is the gateway's own.
//! It asks nobody but the one file, and knows nothing of sockets.

use std::{
    ffi::OsStr,
    net::IpAddr,
    path::{Path, PathBuf},
};

use crate::{
    os::folders::Variables,
    policy::facts::UnitFacts,
    probe::{
        openclaw_files::Place,
        openclaw_json::{Bind, Reader, Said},
    },
    settings::{Settings, unit_names},
    text::line::Line,
};

/// The gateway's port where nothing else is said.
pub const DEFAULT_PORT: u16 = 18789;

/// What a shell takes away from around a word.
const QUOTES: [char; 2] = ['\'', '"'];

/// The unit of the gateway: the one that the settings name, else that of the profile.
pub fn unit_name(settings: &Settings, profile: Option<&str>) -> String {
    let named = settings.gateway.unit.clone();
    named.unwrap_or_else(|| unit_names::gateway(profile))
}

/// Where the gateway is, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The port it serves on: where a process of its unit listens, else the one that is expected.
    pub port: u16,
    /// The port that the settings, the unit, openclaw.json or the profile name.
    pub expected: u16,
    /// The address to probe, if a setting names one; else the listening socket says it.
    pub address: Option<IpAddr>,
    /// Whether the port speaks TLS.
    pub tls: bool,
    /// At which addresses openclaw.json has it take the port.
    pub bind: Bind,
    /// The gateway's profile, if it has one.
    pub profile: Option<String>,
    /// The gateway's openclaw.json, whether it exists or not; none where no home folder is known.
    pub config_path: Option<PathBuf>,
    /// Folders beside its own from which openclaw.json may include files: `OPENCLAW_INCLUDE_ROOTS` of the unit.
    pub include_roots: Vec<PathBuf>,
    /// The port that the unit names.
    pub by_unit: Option<u16>,
    /// The port that openclaw.json names.
    pub by_file: Option<u16>,
    /// Why openclaw.json says less than it could, if it does.
    pub problem: Option<Line>,
    /// Whether a file that openclaw.json includes may say it.
    pub includes: bool,
}

impl Found {
    /// Where the gateway's configuration is.
    pub fn place(&self) -> Option<Place> {
        Some(Place {
            path: self.config_path.clone()?,
            include_roots: self.include_roots.clone(),
        })
    }
}

/// Finds the gateway; keeps what makes finding it again cheap.
#[derive(Debug)]
pub struct Finder {
    home: Option<PathBuf>,
    openclaw_json: Reader,
    last: Option<Unit>,
}

/// What a look at the unit said, kept for a look that cannot ask the user manager.
#[derive(Clone, Debug, Default)]
struct Unit {
    arguments: Vec<String>,
    assignments: Vec<String>,
}

impl Finder {
    /// A finder that looks below `$HOME` where the unit names no other home.
    pub fn new(variables: &Variables) -> Self {
        let home = variables.get(OsStr::new("HOME")).map(PathBuf::from);
        Self {
            home: home.filter(|home| home.is_absolute()),
            openclaw_json: Reader::default(),
            last: None,
        }
    }

    /// Whether [`Finder::find`] would have to guess, because nobody has ever said what the unit says.
    pub fn guesses(&self, settings: &Settings) -> bool {
        self.last.is_none() && settings.gateway.port.is_none()
    }

    /// Finds the gateway of the unit of this name; `facts` is none while the user manager cannot be asked.
    ///
    /// The port is the setting, else `--port` of ExecStart, else `OPENCLAW_GATEWAY_PORT` of the unit,
    /// else `gateway.port` of openclaw.json, else the profile's own, else 18789.
    /// What `EnvironmentFile=` assigns is not among the unit's properties, and so is not known here;
    /// where the gateway really listens, the sockets of its unit say.
    pub fn find(&mut self, settings: &Settings, name: &str, facts: Option<&UnitFacts>) -> Found {
        // A port that jumped to the default for a moment would have another gateway cleaned up.
        let last = self.last.take();
        let unit = match (last, facts) {
            (Some(last), Some(facts)) if last.is_of(facts) => last,
            (_, Some(facts)) => Unit {
                arguments: facts.exec_start.clone(),
                assignments: facts.environment.clone(),
            },
            (Some(last), None) => last,
            (None, None) => return self.find_by(settings, name, &Unit::default()),
        };
        let found = self.find_by(settings, name, &unit);
        self.last = Some(unit);
        found
    }

    fn find_by(&mut self, settings: &Settings, name: &str, unit: &Unit) -> Found {
        let profile = profile(unit, name);
        let config_path = self.config_path(unit, profile.as_deref());
        let said = match &config_path {
            Some(path) => self.openclaw_json.read(path),
            None => Said::default(),
        };
        let by_unit = unit.port();
        let port = settings.gateway.port.or(by_unit).or(said.port);
        let expected =
            port.unwrap_or_else(|| profile.as_deref().map_or(DEFAULT_PORT, port_of_profile));
        Found {
            port: expected,
            expected,
            address: settings.gateway.address,
            tls: settings.gateway.tls.or(said.tls).unwrap_or(false),
            bind: said.bind,
            profile,
            config_path,
            include_roots: self.include_roots(unit),
            by_unit,
            by_file: said.port,
            problem: said.problem,
            includes: said.includes,
        }
    }

    /// `OPENCLAW_CONFIG_PATH`, else openclaw.json in `OPENCLAW_STATE_DIR`, else in the profile's folder;
    /// without any of these, and without openclaw.json, that of the gateway's former name.
    fn config_path(&self, unit: &Unit, profile: Option<&str>) -> Option<PathBuf> {
        let home = match unit.variable("OPENCLAW_HOME") {
            Some(home) => below(&self.home_of(unit)?, home),
            None => self.home_of(unit)?,
        };
        if let Some(path) = unit.variable("OPENCLAW_CONFIG_PATH") {
            return Some(below(&home, path));
        }
        if let Some(folder) = unit.variable("OPENCLAW_STATE_DIR") {
            return Some(below(&home, folder).join("openclaw.json"));
        }
        let Some(profile) = profile else {
            let path = home.join(".openclaw/openclaw.json");
            let former = home.join(".clawdbot/clawdbot.json");
            let is_former = !path.exists() && former.exists();
            return Some(if is_former { former } else { path });
        };
        Some(home.join(format!(".openclaw-{profile}/openclaw.json")))
    }

    fn include_roots(&self, unit: &Unit) -> Vec<PathBuf> {
        let roots = unit.variable("OPENCLAW_INCLUDE_ROOTS").unwrap_or_default();
        let home = self.home_of(unit).unwrap_or_default();
        let roots = roots
            .split(':')
            .map(str::trim)
            .filter(|one| !one.is_empty());
        roots.map(|root| below(&home, root)).collect()
    }

    fn home_of(&self, unit: &Unit) -> Option<PathBuf> {
        let home = unit.variable("HOME").map(PathBuf::from);
        home.filter(|home| home.is_absolute())
            .or_else(|| self.home.clone())
    }
}

impl Unit {
    fn is_of(&self, facts: &UnitFacts) -> bool {
        self.arguments == facts.exec_start && self.assignments == facts.environment
    }

    fn port(&self) -> Option<u16> {
        let of_variable = || {
            let value = self.variable("OPENCLAW_GATEWAY_PORT")?;
            // The gateway accepts `host:port` there.
            parse(value.rsplit(':').next().unwrap_or(value))
        };
        self.port_of_command().or_else(of_variable)
    }

    fn port_of_command(&self) -> Option<u16> {
        // Words, because a shell is given the whole command in one argument.
        let words = self.arguments.iter().flat_map(|one| one.split_whitespace());
        let mut words = words.map(|word| word.trim_matches(QUOTES));
        while let Some(argument) = words.next() {
            if argument == "--port" {
                return words.next().and_then(parse);
            }
            if let Some(value) = argument.strip_prefix("--port=") {
                return parse(value.trim_matches(QUOTES));
            }
        }
        None
    }

    /// The last assignment counts, and an empty one is none.
    fn variable(&self, name: &str) -> Option<&str> {
        let assigned = self
            .assignments
            .iter()
            .rev()
            .find_map(|one| one.strip_prefix(name)?.strip_prefix('='))?;
        Some(assigned.trim()).filter(|value| !value.is_empty())
    }
}

/// `OPENCLAW_PROFILE` of the unit, else what its name says; `default` is no profile.
fn profile(unit: &Unit, name: &str) -> Option<String> {
    let of_name = || unit_names::profile_of_gateway(name);
    let profile = unit.variable("OPENCLAW_PROFILE").or_else(of_name)?;
    // It becomes part of a path.
    let is_name = profile
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    (is_name && profile != "default").then(|| profile.to_owned())
}

/// The port a gateway of 2026.8.2 or later gives a profile that names none: FNV-1a, 32 bits.
///
/// Older ones take the default port; but installed units name their port, so that this is rarely asked.
fn port_of_profile(profile: &str) -> u16 {
    let hash = profile.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    u16::try_from(20_000 + hash % 40_000).unwrap_or(DEFAULT_PORT)
}

/// A path as the unit gives it: absolute, behind `~`, or relative to the home, where user units run by default.
fn below(home: &Path, path: &str) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        Some(_) | None => home.join(path),
    }
}

fn parse(value: &str) -> Option<u16> {
    value.trim().parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_names_its_unit() {
        let settings = Settings::default();
        assert_eq!(unit_name(&settings, None), "openclaw-gateway.service");
        assert_eq!(
            unit_name(&settings, Some("default")),
            "openclaw-gateway.service"
        );
        assert_eq!(
            unit_name(&settings, Some("work")),
            "openclaw-gateway-work.service"
        );
    }

    #[test]
    fn the_port_of_a_profile_is_its_fnv_1a_hash() {
        // The hash's published test vectors: "" 811c9dc5, "a" e40c292c, "foobar" bf9cf968.
        for (profile, hash) in [
            ("", 0x811c_9dc5),
            ("a", 0xe40c_292c),
            ("foobar", 0xbf9c_f968_u32),
        ] {
            assert_eq!(u32::from(port_of_profile(profile)), 20_000 + hash % 40_000);
        }
    }

    const UNIT: &str = "openclaw-gateway.service";

    fn finder() -> Finder {
        Finder {
            home: Some("/nowhere".into()),
            ..Finder::new(&Variables::default())
        }
    }

    #[test]
    fn what_the_unit_said_last_counts_while_the_manager_cannot_be_asked() {
        let mut finder = finder();
        let settings = Settings::default();
        assert!(finder.guesses(&settings));
        let mut port = |facts: Option<&UnitFacts>| finder.find(&settings, UNIT, facts).port;
        let with = |arguments: &[&str], environment: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
            Some(UnitFacts {
                exec_start: owned(arguments),
                environment: owned(environment),
                ..UnitFacts::default()
            })
        };
        assert_eq!(port(None), DEFAULT_PORT);
        for (facts, expected) in [
            (with(&["node", "--port", "1111"], &[]), 1111),
            (None, 1111),
            (with(&["node", "--port", "2222"], &[]), 2222),
            (with(&["node"], &["OPENCLAW_GATEWAY_PORT=3333"]), 3333),
            (with(&["node"], &["OPENCLAW_GATEWAY_PORT=4444"]), 4444),
            (with(&["node"], &[]), DEFAULT_PORT),
            (None, DEFAULT_PORT),
        ] {
            assert_eq!(port(facts.as_ref()), expected);
        }
        assert!(!finder.guesses(&settings));
    }

    #[test]
    fn a_profile_that_could_lead_out_of_the_folder_is_none() {
        let of = |assignment: &str, name| {
            let unit = Unit {
                assignments: vec![assignment.to_owned()],
                ..Unit::default()
            };
            profile(&unit, name)
        };
        let work = "openclaw-gateway-work.service";
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(of("OPENCLAW_PROFILE=a-b_1", work), some("a-b_1"));
        assert_eq!(of("OPENCLAW_PROFILE=", work), some("work"));
        for none in ["../x", "a/b", "default", "ä"] {
            assert_eq!(
                of(&format!("OPENCLAW_PROFILE={none}"), work),
                None,
                "{none}"
            );
        }
    }

    #[test]
    fn a_path_of_the_unit_is_below_the_home_unless_it_is_absolute() {
        for (path, expected) in [
            ("~", "/h"),
            ("~/a", "/h/a"),
            ("~//a", "/h/a"),
            ("~bob/a", "/h/~bob/a"),
            ("a", "/h/a"),
            ("/a", "/a"),
        ] {
            assert_eq!(below(Path::new("/h"), path), Path::new(expected));
        }
        let facts = UnitFacts {
            environment: vec!["OPENCLAW_INCLUDE_ROOTS=/a: ~/b ::c".to_owned()],
            ..UnitFacts::default()
        };
        let found = finder().find(&Settings::default(), UNIT, Some(&facts));
        let expected = ["/a", "/nowhere/b", "/nowhere/c"].map(PathBuf::from);
        assert_eq!(found.include_roots, expected);
    }
}
