//! What the deb and the rpm consist of, read back with dpkg-deb(1) and rpm(8).
//!
//! What a deb does when it is installed, upgraded and removed is tried in `tests/e2e/packages.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod packaging;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
};

use tempfile::TempDir;

/// The paths of a package with what `ls -l` shows of their mode.
type Files = BTreeMap<String, String>;

/// What is in both packages, each file with its source in the checkout.
const SHIPPED: [(&str, &str); 28] = [
    (
        "/usr/lib/systemd/catalog/gatehound.catalog",
        "units/gatehound.catalog",
    ),
    (
        "/usr/lib/systemd/system/gatehound-collect.service",
        "units/system/gatehound-collect.service",
    ),
    (
        "/usr/lib/systemd/system/gatehound-collect.timer",
        "units/system/gatehound-collect.timer",
    ),
    (
        "/usr/lib/systemd/user/gatehound-alert.service",
        "units/gatehound-alert.service",
    ),
    (
        "/usr/lib/systemd/user/gatehound-alert@.service",
        "units/gatehound-alert@.service",
    ),
    (
        "/usr/lib/systemd/user/gatehound-ping.service",
        "units/gatehound-ping.service",
    ),
    (
        "/usr/lib/systemd/user/gatehound-ping@.service",
        "units/gatehound-ping@.service",
    ),
    (
        "/usr/lib/systemd/user/gatehound-tidy.service",
        "units/gatehound-tidy.service",
    ),
    (
        "/usr/lib/systemd/user/gatehound-tidy.timer",
        "units/gatehound-tidy.timer",
    ),
    (
        "/usr/lib/systemd/user/gatehound.service",
        "units/gatehound.service",
    ),
    (
        "/usr/lib/systemd/user/gatehound@.service",
        "units/gatehound@.service",
    ),
    (
        "/usr/share/doc/gatehound/gatehound.dashboard.json",
        "units/gatehound.dashboard.json",
    ),
    (
        "/usr/share/doc/gatehound/gatehound.example.toml",
        "units/gatehound.example.toml",
    ),
    (
        "/usr/share/doc/gatehound/gatehound.rules.test.yml",
        "units/gatehound.rules.test.yml",
    ),
    (
        "/usr/share/doc/gatehound/gatehound.rules.yml",
        "units/gatehound.rules.yml",
    ),
    (
        "/usr/share/doc/gatehound/gatehound.schema.json",
        "units/gatehound.schema.json",
    ),
    (
        "/usr/share/bash-completion/completions/gatehound",
        "src/cli/completions/gatehound.bash",
    ),
    ("/usr/share/doc/gatehound/CHANGELOG.md", "CHANGELOG.md"),
    ("/usr/share/doc/gatehound/README.md", "README.md"),
    (
        "/usr/share/fish/vendor_completions.d/gatehound.fish",
        "src/cli/completions/gatehound.fish",
    ),
    ("/usr/share/man/man1/gatehound.1", "man/gatehound.1"),
    (
        "/usr/share/doc/gatehound/README.zh-CN.md",
        "README.zh-CN.md",
    ),
    (
        "/usr/share/man/zh_CN/man1/gatehound.1",
        "man/zh_CN/gatehound.1",
    ),
    (
        "/usr/share/man/zh_CN/man5/gatehound.toml.5",
        "man/zh_CN/gatehound.toml.5",
    ),
    (
        "/usr/share/man/zh_CN/man8/gatehound.service.8",
        "man/zh_CN/gatehound.service.8",
    ),
    (
        "/usr/share/man/man5/gatehound.toml.5",
        "man/gatehound.toml.5",
    ),
    (
        "/usr/share/man/man8/gatehound.service.8",
        "man/gatehound.service.8",
    ),
    (
        "/usr/share/zsh/site-functions/_gatehound",
        "src/cli/completions/_gatehound",
    ),
];

/// Whether the packages are to be built; it says once where they are not.
fn asked_for() -> bool {
    static SAID: Once = Once::new();
    let asked = packaging::asked_for();
    if !asked {
        // Past the harness, which keeps what a test that passes prints.
        let line = format!("packages: {}\n", packaging::LEFT_OUT);
        SAID.call_once(|| io::stderr().write_all(line.as_bytes()).unwrap());
    }
    asked
}

/// What a program of the system says; it has to end well.
#[track_caller]
fn said(program: &str, arguments: &[&str], file: &Path, debian: &str) -> String {
    let output = Command::new(program).args(arguments).arg(file).output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}; apt-get install {debian}"));
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A stand-in for the program: the tools take their time over a large one, and look only at what it links.
fn program() -> &'static Path {
    Path::new("/bin/true")
}

fn deb(folder: &TempDir) -> PathBuf {
    packaging::deb(program(), 0, folder.path()).unwrap()
}

fn rpm(folder: &TempDir) -> PathBuf {
    packaging::rpm(program(), folder.path()).unwrap()
}

/// The files of the deb, under the names that they have in the rpm.
fn files_of_deb(package: &Path) -> Files {
    let listed = said("dpkg-deb", &["--contents"], package, "dpkg");
    let files = listed.lines().filter(|line| !line.starts_with('d'));
    let files = files.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1], "0/0", "{line}");
        (
            words[5].trim_start_matches('.').to_owned(),
            words[0].to_owned(),
        )
    });
    files.collect()
}

fn files_of_rpm(package: &Path) -> Files {
    let query = ["--query", "--list", "--verbose", "--package"];
    let listed = said("rpm", &query, package, "rpm");
    let files = listed.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[2..4], ["root", "root"], "{line}");
        (words.last().unwrap().to_string(), words[0].to_owned())
    });
    files.collect()
}

/// Where Debian wants a file that other distributions have elsewhere.
fn as_in_rpm(path: &str) -> String {
    path.trim_end_matches(".gz")
        .replace("/zsh/vendor-completions/", "/zsh/site-functions/")
        .replace("/doc/gatehound/copyright", "/licenses/gatehound/LICENSE")
}

#[test]
fn deb_and_rpm_have_the_same_files_and_nothing_else() {
    if !asked_for() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (deb, rpm) = (files_of_deb(&deb(&folder)), files_of_rpm(&rpm(&folder)));
    let mut as_rpm: Files = deb
        .iter()
        .map(|(path, mode)| (as_in_rpm(path), mode.clone()))
        .collect();
    let debians = "/usr/share/doc/gatehound/changelog.Debian";
    assert!(as_rpm.remove(debians).is_some(), "{as_rpm:?}");
    assert_eq!(as_rpm, rpm);
    let mut expected: Files = SHIPPED
        .iter()
        .map(|(path, _)| (path.to_string(), "-rw-r--r--".to_owned()))
        .collect();
    expected.insert("/usr/bin/gatehound".to_owned(), "-rwxr-xr-x".to_owned());
    let licence = "/usr/share/licenses/gatehound/LICENSE".to_owned();
    expected.insert(licence, "-rw-r--r--".to_owned());
    assert_eq!(rpm, expected);
    // Debian's policy has manual pages and its own list of changes compressed.
    assert_eq!(deb.keys().filter(|path| path.ends_with(".gz")).count(), 7);
}

#[test]
fn every_unit_is_in_the_packages() {
    let units = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("units")).unwrap();
    for unit in units {
        let unit = unit.unwrap();
        let source = format!("units/{}", unit.file_name().into_string().unwrap());
        let is_file = unit.file_type().unwrap().is_file();
        let shipped = SHIPPED.iter().any(|(_, one)| *one == source);
        assert!(!is_file || shipped, "{source}");
    }
}

#[test]
fn what_the_deb_puts_into_place_is_what_is_in_the_checkout() {
    if !asked_for() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let unpacked = Command::new("dpkg-deb")
        .arg("--extract")
        .arg(deb(&folder))
        .arg(&root)
        .status();
    assert!(unpacked.unwrap().success());
    for (path, source) in SHIPPED {
        // gzip(1) is as good a judge of what was compressed as any.
        let path = root.join(
            path.trim_start_matches('/')
                .replace("/site-functions/", "/vendor-completions/"),
        );
        let bytes = if path.exists() {
            fs::read(&path).unwrap()
        } else {
            let compressed = path.with_added_extension("gz");
            said("gzip", &["--decompress", "--stdout"], &compressed, "gzip").into_bytes()
        };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        assert!(bytes == fs::read(&source).unwrap(), "{}", source.display());
    }
}

#[test]
fn the_packages_ask_for_what_gatehound_stands_on() {
    if !asked_for() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let depends = said("dpkg-deb", &["--field"], &deb(&folder), "dpkg");
    let depends = depends
        .lines()
        .find_map(|line| line.strip_prefix("Depends: "));
    let depends: Vec<&str> = depends.unwrap().split(", ").collect();
    for package in ["libc6 (>= 2.28)", "systemd (>= 247)", "dbus-user-session"] {
        assert!(depends.contains(&package), "{depends:?}");
    }
    let query = ["--query", "--requires", "--package"];
    let requires = said("rpm", &query, &rpm(&folder), "rpm");
    for one in ["systemd", "libc.so.6"] {
        assert!(
            requires.lines().any(|line| line.starts_with(one)),
            "{requires}"
        );
    }
}

#[test]
fn lintian_finds_no_error_in_the_deb() {
    if !asked_for() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let lintian = Command::new("lintian")
        .args(["--fail-on", "error"])
        .arg(deb(&folder))
        .output();
    match lintian {
        Ok(lintian) => {
            let said = String::from_utf8_lossy(&lintian.stdout);
            assert!(lintian.status.success(), "{said}");
        }
        Err(e) => eprintln!("left out: lintian: {e}; apt-get install lintian"),
    }
}

#[test]
fn both_packages_have_the_same_scripts_and_a_shell_takes_them() {
    if !asked_for() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (deb, rpm) = (deb(&folder), rpm(&folder));
    let scripts = said("rpm", &["--query", "--scripts", "--package"], &rpm, "rpm");
    for name in ["postinst", "prerm", "postrm"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("units/package")
            .join(name);
        said("sh", &["-n"], &path, "dash");
        let source = fs::read_to_string(&path).unwrap();
        assert!(scripts.contains(source.trim_end()), "{name} in {scripts}");
        let output = Command::new("dpkg-deb")
            .arg("--info")
            .arg(&deb)
            .arg(name)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), source, "{name}");
    }
}

#[test]
fn rpm_installs_and_removes_its_package() {
    if !asked_for() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let rpm_in_root = |arguments: &[&str]| {
        let output = Command::new("rpm")
            .arg("--root")
            .arg(&root)
            // The root is empty: neither what the package needs nor a shell for its scripts is there.
            .args(["--nodeps", "--noscripts"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    rpm_in_root(&["--install", rpm(&folder).to_str().unwrap()]);
    assert!(root.join("usr/bin/gatehound").exists());
    rpm_in_root(&["--erase", "gatehound"]);
    for (path, _) in SHIPPED {
        assert!(!root.join(path.trim_start_matches('/')).exists(), "{path}");
    }
}

#[test]
fn debian_is_given_the_version_that_is_built() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("units/package/changelog");
    let first = format!("gatehound ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(fs::read_to_string(path).unwrap().starts_with(&first));
}
