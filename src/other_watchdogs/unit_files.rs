//! The unit files of one manager, read as far as they say what is started, when, and by which command.
//!
//! Owns folders, drop-ins and specifiers (systemd.unit(5)); asks no manager and judges nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::os::files::{Links, read_limited};

/// A unit file of more is nobody's.
const MAX_UNIT: u64 = 64 * 1024;

/// Links of one folder beyond these are not looked at.
const MAX_LINKS: usize = 1024;

/// Folders of a package manager, whose units speak of the gateway when they concern it.
const OF_PACKAGES: [&str; 2] = ["/usr/lib/systemd", "/lib/systemd"];

/// The unit files of one manager, in the order in which it looks for them.
pub(super) struct UnitFiles {
    folders: Vec<PathBuf>,
    home: PathBuf,
}

/// What a unit's files say.
pub(crate) struct UnitText {
    /// Where it is.
    pub(super) path: PathBuf,
    /// All of it, drop-ins included.
    pub(super) text: String,
    entries: Vec<(String, String)>,
}

impl UnitText {
    /// The values of a setting, those before an empty one forgotten.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for (key, value) in self.entries.iter().filter(|(key, _)| key == name) {
            debug_assert_eq!(key, name);
            if value.is_empty() {
                values.clear();
            } else {
                values.push(value.as_str());
            }
        }
        values
    }

    /// The file to which a service's errors go, where its unit names one.
    pub(crate) fn error_file(&self) -> Option<&str> {
        let goes_to = |setting| self.all(setting).pop();
        let errors = goes_to("StandardError").filter(|to| *to != "inherit");
        let to = errors.or_else(|| goes_to("StandardOutput"))?;
        let kinds = ["append:", "file:", "truncate:"];
        kinds.iter().find_map(|kind| to.strip_prefix(kind))
    }

    /// Whether it comes with a package.
    pub(super) fn is_packaged(&self) -> bool {
        OF_PACKAGES
            .iter()
            .any(|folder| self.path.starts_with(folder))
    }

    /// The variables that it sets for its commands.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let values = self.all("Environment").into_iter();
        let words = values.flat_map(|value| value.split_whitespace());
        let pairs = words.filter_map(|word| word.trim_matches('"').split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The commands that it starts, in the words of systemd.
    pub(super) fn commands(&self) -> Vec<&str> {
        let kinds = [
            "ExecCondition",
            "ExecStartPre",
            "ExecStart",
            "ExecStartPost",
        ];
        let all = kinds.iter().flat_map(|kind| self.all(kind));
        all.map(|command| command.trim_start_matches(['@', '-', ':', '+', '!', '|']))
            .collect()
    }
}

impl UnitFiles {
    pub(super) fn new(folders: Vec<PathBuf>, home: &Path) -> Self {
        Self {
            folders,
            home: home.to_owned(),
        }
    }

    /// The units that another unit wants, as `enable` links them.
    pub(super) fn wanted(&self) -> BTreeSet<String> {
        let mut wanted = BTreeSet::new();
        for folder in &self.folders {
            for entry in entries(folder) {
                let kind = entry.extension().unwrap_or_default().to_owned();
                if ["wants", "requires", "upholds"]
                    .iter()
                    .any(|one| kind == **one)
                {
                    let names = entries(&entry)
                        .into_iter()
                        .filter_map(|link| Some(link.file_name()?.to_str()?.to_owned()));
                    wanted.extend(names);
                }
            }
        }
        wanted
    }

    /// What the files of a unit say; none where there is none, or it is masked.
    pub(super) fn read(&self, name: &str) -> Option<UnitText> {
        let template = template(name);
        let names: Vec<&str> = [Some(name), template.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        let (path, mut text) = self.fragment(&names)?;
        for drop_in in self.drop_ins(&names) {
            if let Some(more) = text_of(&drop_in) {
                text.push('\n');
                text.push_str(&more);
            }
        }
        let entries = entries_of(&text);
        let entries = entries.into_iter().map(|(key, value)| {
            let value = self.specified(&value, name);
            (key, value)
        });
        Some(UnitText {
            path,
            entries: entries.collect(),
            text,
        })
    }

    fn fragment(&self, names: &[&str]) -> Option<(PathBuf, String)> {
        for name in names {
            for folder in &self.folders {
                let path = folder.join(name);
                if path.symlink_metadata().is_ok() {
                    // One that is there and cannot be read as a file is a masked one.
                    return text_of(&path)
                        .filter(|text| !text.is_empty())
                        .map(|text| (path, text));
                }
            }
        }
        None
    }

    fn drop_ins(&self, names: &[&str]) -> Vec<PathBuf> {
        let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
        for name in names {
            for folder in &self.folders {
                for path in entries(&folder.join(format!("{name}.d"))) {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    if name.ends_with(".conf") {
                        found
                            .entry(name.into_owned())
                            .or_insert_with(|| path.clone());
                    }
                }
            }
        }
        found.into_values().collect()
    }

    /// Fills in the specifiers that name the unit, its instance or the home.
    fn specified(&self, value: &str, unit: &str) -> String {
        let (stem, _) = unit.rsplit_once('.').unwrap_or((unit, ""));
        let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
        let mut text = String::new();
        let mut rest = value;
        while let Some((before, after)) = rest.split_once('%') {
            text.push_str(before);
            let mut after = after.chars();
            match after.next() {
                Some('i') => text.push_str(instance),
                Some('I') => text.push_str(&instance.replace('-', "/")),
                Some('n') => text.push_str(unit),
                Some('N') => text.push_str(stem),
                Some('p' | 'P') => text.push_str(prefix),
                Some('h') => text.push_str(&self.home.to_string_lossy()),
                Some('%') => text.push('%'),
                Some(other) => text.extend(['%', other]),
                None => text.push('%'),
            }
            rest = after.as_str();
        }
        text.push_str(rest);
        text
    }
}

/// What the file of a unit and its drop-ins beside it say, where the manager has it from this file.
pub(crate) fn files_of(unit: &str, fragment: &str) -> Option<UnitText> {
    let folder = Path::new(fragment).parent()?;
    // The folder of a user's units is four below the home.
    let home = folder.ancestors().nth(3).unwrap_or(folder);
    UnitFiles::new(vec![folder.to_owned()], home).read(unit)
}

/// What a file alone says, such as a drop-in.
pub(crate) fn file_alone(path: &Path) -> Option<UnitText> {
    let text = text_of(path)?;
    Some(UnitText {
        path: path.to_owned(),
        entries: entries_of(&text),
        text,
    })
}

/// What a timer or a path unit starts; itself for any other.
pub(super) fn started_by(name: &str, unit: &UnitText) -> String {
    let set = unit.all("Unit").last().map(|unit| (*unit).to_owned());
    match name.rsplit_once('.') {
        Some((stem, "timer" | "path")) => set.unwrap_or_else(|| format!("{stem}.service")),
        Some(_) | None => name.to_owned(),
    }
}

/// The folders of the user manager's units.
///
/// Source: systemd.unit(5).
pub(super) fn of_user(
    home: &Path,
    config: &Path,
    data: &Path,
    runtime: Option<&Path>,
    root: &Path,
) -> Vec<PathBuf> {
    let mut folders = vec![config.join("systemd/user.control")];
    folders.extend(runtime.map(|it| it.join("systemd/user.control")));
    folders.extend(runtime.map(|it| it.join("systemd/transient")));
    folders.push(config.join("systemd/user"));
    if config != home.join(".config") {
        folders.push(home.join(".config/systemd/user"));
    }
    let system = ["etc/xdg/systemd/user", "etc/systemd/user"];
    folders.extend(system.map(|folder| root.join(folder)));
    folders.extend(runtime.map(|it| it.join("systemd/user")));
    folders.push(root.join("run/systemd/user"));
    folders.extend(runtime.map(|it| it.join("systemd/generator")));
    folders.push(data.join("systemd/user"));
    let system = [
        "usr/local/share/systemd/user",
        "usr/local/lib/systemd/user",
        "usr/lib/systemd/user",
    ];
    folders.extend(system.map(|folder| root.join(folder)));
    folders
}

/// The folders of the system manager's units.
pub(super) fn of_system(root: &Path) -> Vec<PathBuf> {
    let folders = [
        "etc/systemd/system.control",
        "run/systemd/system.control",
        "run/systemd/transient",
        "etc/systemd/system",
        "run/systemd/system",
        "run/systemd/generator",
        "usr/local/lib/systemd/system",
        "usr/lib/systemd/system",
        "lib/systemd/system",
    ];
    folders.map(|folder| root.join(folder)).to_vec()
}

/// The file of which a unit with an instance is one.
fn template(name: &str) -> Option<String> {
    let (stem, kind) = name.rsplit_once('.')?;
    let (prefix, _) = stem.split_once('@')?;
    Some(format!("{prefix}@.{kind}"))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).take(MAX_LINKS).collect();
    paths.sort();
    paths
}

fn text_of(path: &Path) -> Option<String> {
    let contents = read_limited(path, MAX_UNIT, Links::Follow).ok()??;
    Some(String::from_utf8_lossy(&contents.bytes).into_owned())
}

/// The settings of a unit file, each line that ends in a backslash joined with the next.
fn entries_of(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut whole = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(begun) = line.strip_suffix('\\') {
            whole.push_str(begun);
            whole.push(' ');
            continue;
        }
        whole.push_str(line);
        if let Some((key, value)) = whole.split_once('=') {
            found.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        whole.clear();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn where_the_errors_of_a_service_go_is_read_from_its_unit() {
        for (text, expected) in [
            ("StandardOutput=append:/a/b.log\n", Some("/a/b.log")),
            (
                "StandardOutput=file:/a\nStandardError=truncate:/b\n",
                Some("/b"),
            ),
            (
                "StandardOutput=file:/a\nStandardError=inherit\n",
                Some("/a"),
            ),
            ("StandardOutput=file:/a\nStandardError=journal\n", None),
            ("StandardOutput=journal\n", None),
            ("", None),
        ] {
            let root = tempfile::tempdir().unwrap();
            put(root.path(), "x.service", &format!("[Service]\n{text}"));
            let unit = file_alone(&root.path().join("x.service")).unwrap();
            assert_eq!(unit.error_file(), expected, "{text}");
        }
    }

    #[test]
    fn a_unit_is_read_with_its_drop_ins_and_its_specifiers() {
        let root = tempfile::tempdir().unwrap();
        let [first, second] = ["a", "b"].map(|it| root.path().join(it));
        put(
            &second,
            "x@.service",
            "[Service]\nExecStart=/old\nEnvironment=\"A=1\" B=2\n",
        );
        put(
            &first,
            "x@.service.d/1.conf",
            "[Service]\nExecStart=\n# no\nExecStart=-/bin/sh -c \\\n 'go %i %n %h 100%%'\n",
        );
        let files = UnitFiles::new(vec![first.clone(), second], Path::new("/home/a"));
        let unit = files.read("x@y.service").unwrap();
        let expected = "/bin/sh -c  'go y x@y.service /home/a 100%'";
        assert_eq!(unit.commands(), [expected]);
        assert_eq!(unit.variables().len(), 2);
        assert!(files.read("y.service").is_none());
        std::os::unix::fs::symlink("/dev/null", first.join("x@.service")).unwrap();
        assert!(files.read("x@y.service").is_none(), "it is masked");
    }

    #[test]
    fn what_is_wanted_is_what_is_linked() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "timers.target.wants/a.timer", "");
        put(root.path(), "x.target.requires/b.service", "");
        put(root.path(), "c.service.d/c.conf", "");
        let files = UnitFiles::new(vec![root.path().to_owned()], Path::new("/"));
        let wanted: Vec<_> = files.wanted().into_iter().collect();
        assert_eq!(wanted, ["a.timer", "b.service"]);
    }

    #[test]
    fn a_timer_starts_the_service_that_it_names_or_that_has_its_name() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "a.timer", "[Timer]\nOnBootSec=1\n");
        put(root.path(), "b.timer", "[Timer]\nUnit=c.service\n");
        let files = UnitFiles::new(vec![root.path().to_owned()], Path::new("/"));
        let started = |name: &str| started_by(name, &files.read(name).unwrap());
        assert_eq!(
            [started("a.timer"), started("b.timer")],
            ["a.service", "c.service"]
        );
    }
}
