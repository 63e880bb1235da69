//! The trials of the packages: installed, enabled by a user, upgraded, removed.
//!
//! Packages are for the whole machine, so it is a throwaway one or none: nothing is installed in a session.
//! They are built before the machine boots, because the tools and the checkout are not in it.

use std::env;
use std::fs;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use libtest_mimic::{Arguments, Trial};
use tempfile::TempDir;

use crate::installation::{INSTALLED, home};
use crate::packaging;
use crate::place;
use crate::privileged::as_root;
use crate::rig::{Rig, Setup, TIMEOUT, systemctl};
use crate::watched::{FAST, event, invocation};

const TRIALS: [(&str, fn()); 2] = [
    (
        "a_deb_is_installed_watches_is_upgraded_and_leaves_nothing_when_it_is_purged",
        deb,
    ),
    ("an_rpm_is_installed_watches_and_leaves_nothing", rpm),
];

/// The folder of the packages, as [`place::file`] knows it.
pub const FOLDER: &str = "packages";

/// Why there are no packages, in their folder.
const FAILED: &str = "failed";

/// Where a package has its program.
const PROGRAM: &str = "/usr/bin/gatehound";

/// The trials of this file, in the machine only.
pub fn trials() -> Vec<Trial> {
    if env::var_os("E2E_FILES").is_none() {
        eprintln!("e2e: the packages are tried in the throwaway machine alone, which root gets");
        return Vec::new();
    }
    if chosen() && !place::file(FOLDER).exists() {
        eprintln!("e2e: {}", packaging::LEFT_OUT);
        return Vec::new();
    }
    crate::named(&TRIALS)
}

/// Whether the packages were asked for and these arguments choose a trial of this file.
pub fn wanted() -> bool {
    packaging::asked_for() && chosen()
}

fn chosen() -> bool {
    let options = Arguments::from_args();
    let filter = options.filter.unwrap_or_default();
    TRIALS.iter().any(|(name, _)| name.contains(&filter))
}

/// Builds the packages of the program under test; where that fails, the trials say why.
pub fn build() -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    if let Err(reason) = build_into(folder.path()) {
        fs::write(folder.path().join(FAILED), reason)?;
    }
    Ok(folder)
}

fn build_into(folder: &Path) -> Result<(), String> {
    let target = tempfile::tempdir().map_err(|error| error.to_string())?;
    // Debug information is most of a debug build, and would have to be compressed and unpacked.
    let program = target.path().join("stripped");
    let stripped = Command::new("strip")
        .arg("-o")
        .args([&program, Path::new(env!("CARGO_BIN_EXE_gatehound"))])
        .status();
    if !stripped.is_ok_and(|status| status.success()) {
        return Err("cannot strip the program; apt-get install binutils".to_owned());
    }
    let keep = |package: PathBuf, name: &str| {
        fs::copy(package, folder.join(name))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    // The rpm takes a quarter of a minute, all of it in checksums by an unoptimised tool.
    let apart = target.path().join("rpm");
    thread::scope(|scope| {
        let rpm = scope.spawn(|| packaging::rpm(&program, &apart));
        for (name, revision) in [("old.deb", 0), ("new.deb", 1)] {
            keep(packaging::deb(&program, revision, target.path())?, name)?;
        }
        keep(rpm.join().expect("no panic")?, "gatehound.rpm")
    })
}

fn dpkg(arguments: &[&str]) -> String {
    as_root(&[&["dpkg"], arguments].concat()).stdout
}

fn package(name: &str) -> String {
    let path = place::file(FOLDER).join(name);
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Runs a Gatehound for the rig's profile, and holds how it ends.
fn run(rig: &Rig, program: &Path, arguments: &[&str], status: &[i32]) -> String {
    let mut command = Command::new(program);
    command.args(["--profile", &rig.profile]).args(arguments);
    let output = command.output().expect("run gatehound");
    let code = output.status.code().expect("an exit status");
    assert!(
        status.contains(&code),
        "gatehound {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn packaged(rig: &Rig, arguments: &[&str]) -> String {
    run(rig, Path::new(PROGRAM), arguments, &[0])
}

/// What `doctor` of the package says; a throwaway machine leaves it something to warn of.
fn doctor(rig: &Rig) -> String {
    run(rig, Path::new(PROGRAM), &["doctor"], &[1])
}

fn in_home() -> Vec<PathBuf> {
    let paths = INSTALLED.iter().map(|path| home(path));
    paths.filter(|path| path.exists()).collect()
}

fn deb() {
    let rig = unwatched();
    dpkg(&["--install", &package("old.deb")]);
    is_there_for_those_who_want_it(&rig);

    let said = packaged(&rig, &["install"]);
    assert!(said.contains(&format!("packaged   {PROGRAM}")), "{said}");
    assert!(
        said.contains(&format!("started    {}", rig.gatehound)),
        "{said}"
    );
    assert_eq!(in_home(), Vec::<PathBuf>::new(), "a copy of the package");
    assert_eq!(rig.property(&rig.gatehound, "UnitFileState"), "enabled");
    let file = "/usr/lib/systemd/user/gatehound@.service";
    assert_eq!(rig.property(&rig.gatehound, "FragmentPath"), file);
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    let said = doctor(&rig);
    assert!(
        said.contains("its units are those of this version"),
        "{said}"
    );
    assert!(!said.contains("is used instead of the package's"), "{said}");

    recovers(&rig);
    upgraded(&rig);
    shadowed(&rig);
    uninstalled(&rig);
    removed(&rig);
}

fn rpm() {
    let rig = unwatched();
    // The machine is Debian's: nothing there that the package needs is known to rpm, which older ones warn of.
    let help = as_root(&["rpm", "--help"]).stdout;
    let force = help.contains("--force-debian").then_some("--force-debian");
    let command: Vec<&str> = iter::once("rpm").chain(force).collect();
    let rpm = |arguments: &[&str]| as_root(&[&command, arguments].concat());
    rpm(&["--install", "--nodeps", &package("gatehound.rpm")]);
    is_there_for_those_who_want_it(&rig);
    packaged(&rig, &["install"]);
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    let before = invocation(&rig);
    rpm(&["--erase", "gatehound"]);
    left_nothing(&rig, &before);
}

/// A gateway that nobody watches yet.
fn unwatched() -> Rig {
    if let Ok(reason) = fs::read_to_string(place::file(FOLDER).join(FAILED)) {
        panic!("{reason}");
    }
    let rig = Rig::with(&Setup {
        watched: false,
        ..Setup::default()
    });
    rig.settings(FAST);
    rig.start_gateway();
    rig
}

/// A package that was installed enables and starts nothing.
fn is_there_for_those_who_want_it(rig: &Rig) {
    assert_eq!(rig.property(&rig.gatehound, "LoadState"), "loaded");
    assert_eq!(rig.property(&rig.gatehound, "UnitFileState"), "disabled");
    assert_eq!(rig.property(&rig.gatehound, "ActiveState"), "inactive");
    assert!(in_catalog());
}

fn recovers(rig: &Rig) {
    rig.mode("blocked");
    rig.journal
        .wait_for("the end of the incident", TIMEOUT, event("recovered"));
    rig.wait_until_healthy();
}

/// An upgrade leaves what runs alone, and doctor says what is to be done.
fn upgraded(rig: &Rig) {
    let before = rig.property(&rig.gatehound, "InvocationID");
    let said = dpkg(&["--install", &package("new.deb")]);
    assert!(
        said.contains("whoever runs it has the old one until"),
        "{said}"
    );
    assert_eq!(rig.property(&rig.gatehound, "InvocationID"), before);
    assert_eq!(rig.property(&rig.gatehound, "NeedDaemonReload"), "no");
    let remedy = format!("→ systemctl --user restart {}", rig.gatehound);
    let said = doctor(rig);
    assert!(
        said.contains("runs a program that was upgraded or removed since"),
        "{said}"
    );
    assert!(said.contains(&remedy), "{said}");
    systemctl(&["restart", "gatehound*.service"]);
    assert_ne!(rig.property(&rig.gatehound, "InvocationID"), before);
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    let said = doctor(rig);
    assert!(
        said.contains(&format!("{} is running", rig.gatehound)),
        "{said}"
    );
}

/// A copy in the home stands before the package; it is said by whoever is asked, and the package's `install` ends it.
fn shadowed(rig: &Rig) {
    let said = run(rig, &place::file("gatehound"), &["install"], &[0]);
    assert!(said.contains("are used instead of the package's"), "{said}");
    assert_eq!(in_home().len(), INSTALLED.len());
    let copy = home(".config/systemd/user/gatehound@.service");
    assert_eq!(
        Path::new(&rig.property(&rig.gatehound, "FragmentPath")),
        copy
    );
    let said = doctor(rig);
    assert!(said.contains("is used instead of the package's"), "{said}");
    assert!(said.contains(&format!("→ {PROGRAM} install")), "{said}");

    let said = packaged(rig, &["install", "--dry-run"]);
    assert!(said.contains("would remove"), "{said}");
    assert_eq!(
        in_home().len(),
        INSTALLED.len(),
        "a dry run removed something"
    );

    let said = packaged(rig, &["install"]);
    assert!(
        said.contains(&format!("removed    {}", copy.display())),
        "{said}"
    );
    assert!(
        said.contains(&format!("restarted  {}", rig.gatehound)),
        "{said}"
    );
    assert_eq!(in_home(), Vec::<PathBuf>::new());
    assert_eq!(rig.property(&rig.gatehound, "UnitFileState"), "enabled");
    let pid = rig.main_pid(&rig.gatehound);
    let program = fs::read_link(format!("/proc/{pid}/exe")).expect("its program");
    assert_eq!(program, Path::new(PROGRAM));
    let said = doctor(rig);
    assert!(!said.contains("is used instead of the package's"), "{said}");
}

/// One user who wants it no more takes nothing from the others.
fn uninstalled(rig: &Rig) {
    let said = packaged(rig, &["uninstall"]);
    assert!(said.contains(&format!("kept       {PROGRAM}")), "{said}");
    assert_eq!(rig.property(&rig.gatehound, "ActiveState"), "inactive");
    assert_eq!(rig.property(&rig.gatehound, "UnitFileState"), "disabled");
    assert!(Path::new(PROGRAM).exists());
    assert_eq!(rig.property(&rig.gatehound, "LoadState"), "loaded");
    packaged(rig, &["install"]);
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
}

/// A removal stops the package's Gatehound and nobody's gateway, and a purge leaves nothing.
fn removed(rig: &Rig) {
    let before = invocation(rig);
    dpkg(&["--remove", "gatehound"]);
    assert_eq!(rig.property(&rig.gatehound, "ActiveState"), "inactive");
    dpkg(&["--purge", "gatehound"]);
    left_nothing(rig, &before);
}

/// Nobody watches the gateway, which nobody stopped, and no file of a package is left.
fn left_nothing(rig: &Rig, invocation_before: &str) {
    assert_eq!(rig.property(&rig.gatehound, "ActiveState"), "inactive");
    assert_eq!(rig.property(&rig.gatehound, "LoadState"), "not-found");
    assert_eq!(invocation(rig), invocation_before);
    assert!(rig.healthy());
    let left = as_root(&["find", "/etc", "/usr", "/var/lib", "-iname", "*gatehound*"]).stdout;
    assert_eq!(left, "", "a purge left something");
    assert!(!in_catalog());
}

/// Whether `journalctl -x` explains records of Gatehound.
fn in_catalog() -> bool {
    let listed = as_root(&["journalctl", "--list-catalog"]).stdout;
    listed.contains("Gatehound watches")
}
