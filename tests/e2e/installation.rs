//! Trials of `gatehound install` and `uninstall`, for a profile of their own.
//!
//! An installation reloads the user manager, which disturbs trials beside it, so these run after all others.

use std::env;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use gatehound::alerts::{alert::Alert, queue};
use libtest_mimic::Trial;
use nix::pty::openpty;

use crate::place;
use crate::privileged::as_root;
use crate::rig::{Rig, Setup, TIMEOUT, systemctl};
use crate::watched::{FAST, event, invocation};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "install_leads_to_a_watched_gateway_and_uninstall_leaves_it_as_it_was",
            install,
        ),
        ("from_a_shell_of_su_each_command_works_as_typed", from_su),
        (
            "uninstall_says_that_the_unit_is_enabled_for_all_users",
            enabled_for_all,
        ),
        (
            "install_takes_the_place_of_the_cron_script_and_of_nothing_else",
            replace_cron,
        ),
        (
            "at_a_terminal_install_asks_before_it_takes_the_place_of_the_cron_script",
            ask,
        ),
        (
            "another_watchdog_that_is_a_unit_is_told_and_not_touched",
            watchdog_unit,
        ),
        (
            "an_install_that_fails_gives_the_gateway_back_to_the_cron_script",
            give_back,
        ),
    ];
    crate::named(list)
}

pub fn home(path: &str) -> PathBuf {
    Path::new(&env::var_os("HOME").expect("HOME")).join(path)
}

/// What `install` puts into place, in the home.
pub const INSTALLED: [&str; 15] = [
    ".local/bin/gatehound",
    ".config/systemd/user/gatehound.service",
    ".config/systemd/user/gatehound@.service",
    ".config/systemd/user/gatehound-alert.service",
    ".config/systemd/user/gatehound-alert@.service",
    ".config/systemd/user/gatehound-ping.service",
    ".config/systemd/user/gatehound-ping@.service",
    ".config/systemd/user/gatehound-tidy.service",
    ".config/systemd/user/gatehound-tidy.timer",
    ".local/share/man/man1/gatehound.1.gz",
    ".local/share/man/man5/gatehound.toml.5.gz",
    ".local/share/man/man8/gatehound.service.8.gz",
    ".local/share/bash-completion/completions/gatehound",
    ".local/share/fish/vendor_completions.d/gatehound.fish",
    ".local/share/zsh/site-functions/_gatehound",
];

const TIMER: &str = "gatehound-tidy.timer";

/// The timer is armed for the night, and what it starts does its work inside its sandbox.
fn tidy(rig: &Rig) {
    assert_eq!(rig.property(TIMER, "ActiveState"), "active");
    let due = rig.property(TIMER, "NextElapseUSecRealtime");
    assert!(due.contains("03:00:00"), "{due}");
    let logs = Path::new("/tmp/openclaw");
    let [old, young] = ["gatehound-e2e-old.log", "gatehound-e2e-young.log"].map(|it| logs.join(it));
    fs::create_dir_all(logs).expect("a folder for logs");
    fs::set_permissions(logs, Permissions::from_mode(0o700)).expect("a folder of our own");
    for path in [&old, &young] {
        fs::write(path, "a line\n").expect("a log");
    }
    let log = File::options().write(true).open(&old).expect("the log");
    let then = SystemTime::now() - Duration::from_secs(8 * 24 * 3600);
    log.set_modified(then).expect("an old log");
    systemctl(&["start", "gatehound-tidy.service"]);
    assert!(!old.exists() && young.exists());
    fs::remove_file(&young).expect("the young log");
}

/// What `su -` and `sudo -iu` leave out of the environment is found: each command works as typed.
fn bare(rig: &Rig) {
    let said = |arguments: &[&str], status: i32| {
        let mut command = Command::new(place::file("gatehound"));
        let output = command
            .args(["--profile", &rig.profile])
            .args(arguments)
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .output()
            .expect("run gatehound");
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {output:?}"
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert!(said(&["doctor"], 1).contains(&format!("{} is running", rig.gatehound)));
    assert!(said(&["status"], 0).contains("healthy"));
    said(&["check"], 0);
    said(&["history"], 0);
    said(&["pause", "1h"], 0);
    rig.wait_for_status("paused", TIMEOUT);
    said(&["resume"], 0);
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    said(&["install"], 0);
}

/// The ways into a service user's account that are on the machine, each with a command line behind it.
fn ways_in(user: &str) -> Vec<Vec<String>> {
    let ways = [
        vec!["su", "-", user, "-c"],
        vec!["runuser", "-l", user, "-c"],
        vec!["sudo", "-iu", user, "--", "sh", "-c"],
    ];
    let is_there = |way: &Vec<&str>| {
        let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
        folders
            .iter()
            .any(|folder| Path::new(folder).join(way[0]).exists())
    };
    let there = ways.into_iter().filter(is_there);
    there
        .map(|way| way.into_iter().map(str::to_owned).collect())
        .collect()
}

fn from_su() {
    vacant();
    let rig = unwatched();
    let user = Command::new("id").arg("-un").output().expect("id");
    let user = String::from_utf8(user.stdout).expect("UTF-8");
    let ways = ways_in(user.trim());
    assert!(!ways.is_empty());
    for way in ways {
        let typed = |command: &str| {
            let program = place::file("gatehound");
            let line = format!("{} --profile {} {command}", program.display(), rig.profile);
            let argv: Vec<&str> = way.iter().map(String::as_str).chain([&*line]).collect();
            as_root(&argv).stdout
        };
        let said = typed("install");
        assert!(
            said.contains(&format!("started    {}", rig.gatehound)),
            "{said}"
        );
        rig.wait_for_status("healthy: / and /health", TIMEOUT);
        assert!(typed("status").contains("healthy"));
        assert!(typed("check").starts_with("gateway  healthy"));
        typed("pause 1h");
        rig.wait_for_status("paused", TIMEOUT);
        typed("resume");
        rig.wait_for_status("healthy: / and /health", TIMEOUT);
        typed("history");
        let said = typed("uninstall");
        assert!(
            said.contains(&format!("stopped    {}", rig.gatehound)),
            "{said}"
        );
    }
    forget(&rig);
}

/// The unit is a file of the machine's, enabled for all users, as an image build does it.
struct ForAll(PathBuf);

impl ForAll {
    fn enable(rig: &Rig) -> Self {
        let unit = Path::new("/etc/systemd/user/gatehound@.service").to_owned();
        let own = home(".config/systemd/user/gatehound@.service");
        let [from, to] = [&own, &unit].map(|path| path.to_str().expect("UTF-8"));
        as_root(&["install", "-D", "-m", "644", from, to]);
        as_root(&["systemctl", "--global", "enable", &rig.gatehound]);
        Self(unit)
    }
}

impl Drop for ForAll {
    fn drop(&mut self) {
        let links = "/etc/systemd/user/default.target.wants/gatehound@*.service";
        let unit = self.0.display();
        as_root(&["sh", "-c", &format!("rm -f {links} {unit}")]);
        systemctl(&["daemon-reload"]);
    }
}

fn enabled_for_all() {
    vacant();
    let rig = unwatched();
    run(&rig, &["install"]);
    let for_all = ForAll::enable(&rig);
    let said = run(&rig, &["uninstall"]);
    let unit = &rig.gatehound;
    let kept = format!("kept       {unit} is enabled for all users");
    assert!(said.contains(&kept), "{said}");
    for command in ["--user mask", "--global disable"] {
        let command = format!("systemctl {command} {unit}");
        assert!(said.contains(&command), "{command}: {said}");
    }
    as_root(&["systemctl", "--global", "disable", unit]);
    let said = run(&rig, &["uninstall"]);
    assert!(!said.contains("for all users"), "{said}");
    drop(for_all);
    forget(&rig);
}

/// Removes what an installation keeps.
fn forget(rig: &Rig) {
    let state = home(".local/state").join(format!("gatehound-{}", rig.profile));
    if state.exists() {
        fs::remove_dir_all(state).expect("the state folder");
    }
}

/// A new installation has no problems, and what is wrong with it later is found with what fixes it.
fn doctor(rig: &Rig) {
    let examined = |status: i32| {
        let output = rig.gatehound(&["doctor"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(status), "{said}");
        said
    };
    let has = |said: &str, severity: &str, what: &str| {
        let found = |line: &str| line.starts_with(severity) && line.contains(what);
        assert!(said.lines().any(found), "no {severity} {what:?} in {said}");
    };
    // A throwaway machine has no persistent journal, and a stand-in gateway no unit file of the real one.
    let said = examined(1);
    has(&said, "fine", &format!("{} is running", rig.gatehound));
    has(&said, "fine", "its units are those of this version");
    has(&said, "fine", "no alert channel is configured");
    has(&said, "fine", "healthy, / and /health");
    has(&said, "fine", "linger     on");
    bare(rig);

    let unit = home(INSTALLED[2]);
    let shipped = fs::read_to_string(&unit).expect("the unit");
    fs::write(&unit, format!("{shipped}\n")).expect("another unit");
    systemctl(&["stop", &rig.gatehound]);
    let said = examined(2);
    has(&said, "PROBLEM", "is inactive, so nobody watches");
    assert!(said.contains(&format!("→ systemctl --user start {}", rig.gatehound)));
    has(&said, "warning", "is not the unit of this version");
    fs::write(&unit, shipped).expect("the unit as it was");
    systemctl(&["start", &rig.gatehound]);

    let tidy = home(".config/systemd/user/gatehound-tidy.service");
    let shipped = fs::read_to_string(&tidy).expect("the unit");
    fs::remove_file(&tidy).expect("no unit");
    systemctl(&["stop", TIMER]);
    systemctl(&["daemon-reload"]);
    let said = examined(1);
    has(&said, "warning", "there is no unit gatehound-tidy.service");
    has(&said, "warning", "gatehound-tidy.timer is not active");
    fs::write(&tidy, shipped).expect("the unit as it was");
    systemctl(&["daemon-reload"]);
    systemctl(&["start", TIMER]);
    let ping = home(INSTALLED[6]);
    let shipped = fs::read_to_string(&ping).expect("the unit");
    fs::remove_file(&ping).expect("no unit");
    systemctl(&["daemon-reload"]);
    rig.settings(&format!(
        "{FAST}\n[[alert.channel]]\ntype = \"ping\"\nurl = \"http://127.0.0.1:9/\"\n"
    ));
    let said = examined(1);
    let none = format!("gatehound-ping@{}.service", rig.profile);
    has(&said, "warning", &format!("there is no unit {none}"));
    has(
        &said,
        "warning",
        &format!("none is sent, because there is no unit {none}"),
    );
    let install = format!("→ gatehound install --profile {}\n", rig.profile);
    assert!(said.contains(&install), "{said}");
    fs::write(&ping, shipped).expect("the unit as it was");
    systemctl(&["daemon-reload"]);
    rig.settings(FAST);
    doctor_of_alerts(rig);
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
}

/// Who is to be told and cannot be is found, with what fixes it.
fn doctor_of_alerts(rig: &Rig) {
    let alert = rig.gatehound.replace("gatehound@", "gatehound-alert@");
    let examined = || {
        let said = rig.gatehound(&["doctor"]).stdout;
        let said = String::from_utf8(said).expect("UTF-8");
        let about = |line: &str| line.contains(" alert ");
        said.lines()
            .filter(|line| about(line))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let hook = "[[alert.channel]]\nurl = \"{{credential:hook}}\"\n";
    rig.settings(&format!("{FAST}\n{hook}"));
    let said = examined();
    assert!(
        said.contains(&format!("{alert} has no credential \"hook\"")),
        "{said}"
    );

    let secret = rig.unit_path("hook");
    let drop_in = rig.unit_path(&format!("{alert}.d/hook.conf"));
    fs::create_dir_all(drop_in.parent().unwrap()).expect("a folder of drop-ins");
    let load = format!("[Service]\nLoadCredential=hook:{}\n", secret.display());
    fs::write(&drop_in, load).expect("a drop-in");
    systemctl(&["daemon-reload"]);
    let said = examined();
    assert!(
        said.contains("hook, which holds the credential \"hook\", cannot be read"),
        "{said}"
    );
    fs::write(&secret, "http://127.0.0.1:9/").expect("a secret");
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).expect("an open secret");
    assert!(examined().contains("is open to others"), "{}", examined());
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("a secret");
    assert_eq!(examined(), "fine     alert      every alert is delivered");

    // An alert that cannot be delivered: nothing listens there.
    let state = home(".local/state").join(format!("gatehound-{}", rig.profile));
    queue::queue(&state, &Alert::test(&rig.gateway), TIMEOUT).expect("an alert that waits");
    let started = Command::new("systemctl")
        .args(["--user", "start", &alert])
        .output();
    assert!(!started.expect("systemctl").status.success());
    let said = examined();
    assert!(
        said.contains("warning  alert      the last delivery failed: exit-code"),
        "{said}"
    );
    assert!(said.contains("not delivered yet: 1"), "{said}");
    systemctl(&["stop", &alert]);
    fs::remove_dir_all(drop_in.parent().unwrap()).expect("the drop-ins");
    fs::remove_dir_all(state).expect("the state folder");
    systemctl(&["daemon-reload"]);
    rig.settings(FAST);
}

fn run(rig: &Rig, arguments: &[&str]) -> String {
    let output = rig.gatehound(arguments);
    assert!(
        output.status.success(),
        "gatehound {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Holds that no Gatehound is installed, which a trial would remove.
fn vacant() {
    let in_use: Vec<_> = INSTALLED
        .iter()
        .filter(|path| home(path).exists())
        .collect();
    assert!(
        in_use.is_empty(),
        "a Gatehound is installed for this user ({in_use:?}); uninstall it, or run the suite as root"
    );
}

/// A gateway that nobody watches.
fn unwatched() -> Rig {
    let rig = Rig::with(&Setup {
        watched: false,
        ..Setup::default()
    });
    rig.settings(FAST);
    rig.start_gateway();
    rig
}

fn install() {
    vacant();
    let rig = unwatched();
    let gateway = fs::read(rig.unit_path(&rig.gateway)).expect("the gateway's unit");
    let before = invocation(&rig);

    let said = run(&rig, &["install", "--dry-run"]);
    assert!(
        said.lines().all(|line| line.starts_with("would ")),
        "{said}"
    );
    assert!(
        said.contains(&format!("would watch  {}\n", rig.gateway)),
        "{said}"
    );
    let plan = rig.gatehound(&["install", "--dry-run", "--json"]).stdout;
    let plan = crate::schema::check("InstallPlan", &plan);
    let steps = plan["steps"].as_array().expect("steps");
    assert_eq!(steps.len(), said.lines().count(), "{plan}");
    for (step, line) in steps.iter().zip(said.lines()) {
        let word = |key: &str| step[key].as_str().expect("a word");
        assert!(
            line.starts_with(word("step")) && line.ends_with(word("what")),
            "{line}"
        );
        assert!(!word("step").is_empty(), "{line}");
    }
    assert!(
        INSTALLED.iter().all(|path| !home(path).exists()),
        "a dry run installed something"
    );

    let said = run(&rig, &["install"]);
    assert!(
        said.contains(&format!("started    {}", rig.gatehound)),
        "{said}"
    );
    assert!(
        said.contains(&format!("watching   {}", rig.gateway)),
        "{said}"
    );
    rig.wait_for_status("healthy: / and /health", TIMEOUT);
    assert_eq!(
        fs::read(home(INSTALLED[0])).unwrap(),
        fs::read(place::file("gatehound")).unwrap()
    );
    assert_eq!(rig.property(&rig.gatehound, "UnitFileState"), "enabled");
    let mut verify = Command::new("systemd-analyze");
    // man(1) finds the pages by itself where a login has put ~/.local/bin into PATH.
    verify
        .args(["--user", "verify", "gatehound.service"])
        .env("MANPATH", home(".local/share/man"));
    let verified = verify.output().unwrap();
    assert!(
        verified.status.success() && verified.stderr.is_empty(),
        "{verified:?}"
    );

    tidy(&rig);
    doctor(&rig);

    let own_run = rig.property(&rig.gatehound, "InvocationID");
    let said = run(&rig, &["install"]);
    assert!(
        said.contains("unchanged") && !said.contains("installed"),
        "{said}"
    );
    let dry = rig.gatehound(&["install", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(3), "{dry:?}");
    assert_eq!(dry.stdout, b"nothing would change\n", "{dry:?}");
    systemctl(&["disable", &rig.gatehound]);
    let dry = rig.gatehound(&["install", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(0), "{dry:?}");
    let would = format!("would enable  {}\n", rig.gatehound);
    assert_eq!(String::from_utf8_lossy(&dry.stdout), would);
    systemctl(&["enable", &rig.gatehound]);
    assert_eq!(
        rig.property(&rig.gatehound, "InvocationID"),
        own_run,
        "a repeated install restarted what runs"
    );
    assert_eq!(invocation(&rig), before);

    rig.mode("blocked");
    rig.journal
        .wait_for("the end of the incident", TIMEOUT, event("recovered"));
    assert_eq!(
        fs::read(rig.unit_path(&rig.gateway)).expect("the gateway's unit"),
        gateway
    );

    let before = invocation(&rig);
    let [alert, prom, state] = left_behind(&rig);
    let said = run(&rig, &["uninstall"]);
    assert!(!prom.exists(), "metrics that are old for ever: {said}");
    let kept = format!("to remove it: rm -r {}\n", state.display());
    assert!(said.contains(&kept), "{said}");
    let waiting = queue::folder(&state);
    let waiting = format!(
        "kept       {}, alerts not delivered: 1\n",
        waiting.display()
    );
    assert!(said.contains(&waiting), "{said}");
    let failed = Command::new("systemctl")
        .args(["--user", "list-units", "--all", "--plain", "gatehound*"])
        .output()
        .expect("systemctl");
    let failed = String::from_utf8_lossy(&failed.stdout).into_owned();
    for unit in [&rig.gatehound, alert.to_str().expect("UTF-8")] {
        assert!(!failed.contains(unit), "{failed}");
    }
    assert!(
        INSTALLED.iter().all(|path| !home(path).exists()),
        "uninstall left something"
    );
    assert_eq!(rig.property(&rig.gatehound, "LoadState"), "not-found");
    assert_eq!(rig.property(TIMER, "LoadState"), "not-found");
    assert_eq!(invocation(&rig), before);
    assert!(rig.healthy());
    uninstalled(&rig);
    fs::remove_dir_all(state).expect("the state folder");
}

/// What an installation leaves behind: a delivery that waits for its next try, metrics, and a state folder.
fn left_behind(rig: &Rig) -> [PathBuf; 3] {
    let textfile = rig.unit_path("gatehound.prom");
    let hook = "[[alert.channel]]\nurl = \"http://127.0.0.1:9/\"\n[metrics]\n";
    rig.settings(&format!("{FAST}\n{hook}textfile = {textfile:?}\n"));
    let prom = textfile.with_file_name(format!(
        "gatehound-{}-{}.prom",
        nix::unistd::geteuid(),
        rig.profile
    ));
    fs::write(&prom, "gatehound_up 1\n").expect("metrics");
    let state = home(".local/state").join(format!("gatehound-{}", rig.profile));
    queue::queue(&state, &Alert::test(&rig.gateway), TIMEOUT).expect("an alert that waits");
    let alert = rig.gatehound.replace("gatehound@", "gatehound-alert@");
    let started = Command::new("systemctl")
        .args(["--user", "start", &alert])
        .output();
    assert!(!started.expect("systemctl").status.success());
    assert_ne!(rig.property(&alert, "ActiveState"), "inactive");
    [alert.into(), prom, state]
}

/// Without an installation each command does what can be done, and says what puts one into place.
fn uninstalled(rig: &Rig) {
    let said = run(rig, &["uninstall"]);
    assert!(!said.contains("disabled"), "{said}");
    let status = rig.gatehound(&["status"]);
    assert_eq!(status.status.code(), Some(1), "{status:?}");
    let install = format!("install it: gatehound install --profile {}\n", rig.profile);
    let shown = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(shown.contains(&install), "{shown}");
    let said = run(rig, &["emergency-stop", "--disable"]);
    let gateway = &rig.gateway;
    assert!(said.contains(&format!("disabled   {gateway}\n")), "{said}");
    let back =
        format!("{gateway} stays down; to have it back: systemctl --user enable --now {gateway}\n");
    assert!(said.ends_with(&back), "{said}");
    assert!(!said.contains(&rig.gatehound), "{said}");
    let none = "gatehound-e2e-none.service";
    let [unit, port] = [
        format!("gateway.unit={none}"),
        format!("gateway.port={}", rig.port),
    ];
    let stop = ["--set", &unit, "--set", &port, "emergency-stop"];
    let neither = format!("neither {} nor {none} is installed\n", rig.gatehound);
    assert_eq!(run(rig, &stop), neither);
    assert_eq!(rig.property(gateway, "ActiveState"), "inactive");
    let doctor = rig.gatehound(&["doctor"]);
    assert_eq!(doctor.status.code(), Some(2), "{doctor:?}");
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    for told in [
        format!("{gateway} is inactive, so nothing listens on port "),
        format!("→ systemctl --user start {gateway}\n"),
        format!("→ gatehound install --profile {}\n", rig.profile),
    ] {
        assert!(said.contains(&told), "{told} in {said}");
    }
}

/// A crontab of the trial's own, with a crontab(1) that keeps it in a file.
///
/// A real one belongs to the user who runs the suite, and is not touched.
struct Cron(PathBuf);

const WATCHDOG: [&str; 2] = [
    "* * * * * /opt/openclaw-watchdog.sh >/dev/null 2>&1",
    "* * * * * sleep 30; /opt/openclaw-watchdog.sh >/dev/null 2>&1",
];

impl Cron {
    fn new(rig: &Rig, lines: &[&str]) -> Self {
        let cron = Self(rig.unit_path("cron"));
        fs::create_dir_all(&cron.0).expect("a folder for cron");
        fs::write(cron.table(), lines.join("\n") + "\n").expect("a crontab");
        let program = cron.0.join("crontab");
        let script =
            "#!/bin/sh\ncase $1 in -l) cat \"$0.tab\";; -) cat >\"$0.tab\";; *) exit 2;; esac\n";
        fs::write(&program, script).expect("a crontab(1)");
        fs::set_permissions(&program, Permissions::from_mode(0o700)).expect("a program");
        cron
    }

    fn table(&self) -> PathBuf {
        self.0.join("crontab.tab")
    }

    fn lines(&self) -> Vec<String> {
        let table = fs::read_to_string(self.table()).expect("the crontab");
        table.lines().map(str::to_owned).collect()
    }

    fn command(&self, rig: &Rig, arguments: &[&str]) -> Command {
        let path = format!("{}:/usr/bin:/bin", self.0.display());
        let mut command = Command::new(place::file("gatehound"));
        command
            .args(["--profile", &rig.profile])
            .args(arguments)
            .env("PATH", path)
            .stdin(Stdio::null());
        command
    }

    fn gatehound(&self, rig: &Rig, arguments: &[&str]) -> Output {
        let output = self.command(rig, arguments).output();
        output.expect("run gatehound")
    }

    /// The same at a terminal at which this is typed; says how it ended and what was shown.
    fn at_terminal(&self, rig: &Rig, arguments: &[&str], typed: &str) -> (Option<i32>, String) {
        let pty = openpty(None, None).expect("a terminal");
        let end = || pty.slave.try_clone().expect("its other side");
        let mut command = self.command(rig, arguments);
        command.stdin(end()).stdout(end()).stderr(end());
        let mut child = command.spawn().expect("run gatehound");
        drop((command, pty.slave));
        let mut terminal = File::from(pty.master);
        // Whatever is asked beyond that gets the end of a terminal's input, and no test waits for ever.
        let typed = format!("{typed}\u{4}\u{4}\u{4}");
        terminal.write_all(typed.as_bytes()).expect("a terminal");
        let mut shown = Vec::new();
        // At the end, when nobody has the other side open any more, Linux says EIO.
        let _ = terminal.read_to_end(&mut shown);
        let status = child.wait().expect("its end");
        (status.code(), String::from_utf8(shown).expect("UTF-8"))
    }
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (text(&output.stdout), text(&output.stderr))
}

fn replace_cron() {
    vacant();
    let rig = unwatched();
    let others = ["MAILTO=me", "0 3 * * * rm -f /tmp/openclaw/old.log"];
    let table = [others[0], WATCHDOG[0], others[1], WATCHDOG[1]];
    let cron = Cron::new(&rig, &table);
    let remedy = format!(
        "{} --profile {} install --replace-cron",
        place::file("gatehound").display(),
        rig.profile
    );

    for arguments in [&["install"][..], &["install", "--dry-run"]] {
        let refused = cron.gatehound(&rig, arguments);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let (out, err) = said(&refused);
        for line in WATCHDOG {
            assert!(out.contains(&format!("found      cron: {line}\n")), "{out}");
        }
        assert!(err.contains("nothing is installed"), "{err}");
        assert!(err.trim_end().ends_with(&remedy), "{err}");
    }
    let dry = cron.gatehound(&rig, &["install", "--dry-run", "--replace-cron"]);
    assert!(dry.status.success(), "{dry:?}");
    let (out, _) = said(&dry);
    for line in WATCHDOG {
        assert!(
            out.contains(&format!("would remove   cron: {line}\n")),
            "{out}"
        );
    }
    assert_eq!(cron.lines(), table, "nobody said that it is to be replaced");
    vacant();

    let examined = said(&cron.gatehound(&rig, &["doctor"])).0;
    assert!(
        examined.contains("cron starts the old watchdog too"),
        "{examined}"
    );
    assert!(examined.contains(&format!("→ {remedy}\n")), "{examined}");

    let installed = cron.gatehound(&rig, &["install", "--replace-cron"]);
    assert!(installed.status.success(), "{installed:?}");
    let (out, _) = said(&installed);
    for line in WATCHDOG {
        assert!(out.contains(&format!("removed    cron: {line}\n")), "{out}");
    }
    assert_eq!(cron.lines(), others);
    assert!(out.contains("left       what cron has started"), "{out}");
    let started = out.find(&format!("started    {}", rig.gatehound));
    assert!(out.find("removed    cron") < started, "never both: {out}");
    let (_, rest) = out
        .split_once("this puts it back in place of the one there is then: crontab ")
        .expect("where it is kept");
    let kept = Path::new(rest.lines().next().expect("a path"));
    assert_eq!(
        fs::read_to_string(kept).expect("the old crontab"),
        table.join("\n") + "\n"
    );
    assert_eq!(
        fs::metadata(kept).unwrap().permissions().mode() & 0o777,
        0o600
    );
    rig.wait_for_status("healthy: / and /health", TIMEOUT);

    let again = cron.gatehound(&rig, &["install"]);
    assert!(again.status.success(), "{again:?}");
    let unseen = format!(
        "missing    {} is not in PATH, ",
        home(".local/bin").display()
    );
    assert!(said(&again).0.contains(&unseen), "{again:?}");
    let gateway = &rig.gateway;
    let inline = format!(
        "* * * * * systemctl --user is-active {gateway} || systemctl --user restart {gateway}"
    );
    let script = cron.0.join("keepalive.sh");
    fs::write(&script, "#!/bin/sh\npkill -f openclaw\n").expect("a script");
    let locked = format!("* * * * * flock -n /tmp/lock {}", script.display());
    for line in [&inline, &locked] {
        fs::write(cron.table(), format!("{line}\n")).expect("a crontab");
        let refused = cron.gatehound(&rig, &["install"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let (out, err) = said(&refused);
        assert!(out.contains(line.as_str()), "{out}");
        assert!(err.trim_end().ends_with(" install --side-by-side"), "{err}");
        let beside = cron.gatehound(&rig, &["install", "--side-by-side"]);
        assert!(beside.status.success(), "{beside:?}");
        assert_eq!(cron.lines(), [line.as_str()]);
    }
    let mixed = "* * * * * mine && openclaw-watchdog.sh";
    fs::write(cron.table(), format!("{}\n{mixed}\n", WATCHDOG[0])).expect("a crontab");
    let refused = cron.gatehound(&rig, &["install", "--replace-cron"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        said(&refused)
            .1
            .contains("install --replace-cron --side-by-side"),
        "{refused:?}"
    );
    let beside = cron.gatehound(&rig, &["install", "--replace-cron", "--side-by-side"]);
    assert!(beside.status.success(), "{beside:?}");
    assert_eq!(cron.lines(), [mixed]);

    let out = run(&rig, &["uninstall"]);
    let last = kept.parent().unwrap().read_dir().expect("the state folder");
    let last = last.map(|entry| entry.unwrap().path()).filter(|path| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("crontab-")
    });
    let last = last.max().expect("a crontab that is kept");
    let back = format!(
        "the cron script is back, in place of the crontab as it is now, with: crontab {}\n",
        last.display()
    );
    assert!(out.contains(&back), "{out}");
    fs::remove_dir_all(kept.parent().unwrap()).expect("the state folder");
}

fn give_back() {
    vacant();
    let rig = unwatched();
    let cron = Cron::new(&rig, &WATCHDOG);
    let drop_in = rig.unit_path(&format!("{}.d/broken.conf", rig.gatehound));
    fs::create_dir_all(drop_in.parent().unwrap()).expect("a folder of drop-ins");
    // 78 is not answered with a new start.
    let broken = "[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit 78'\n";
    fs::write(&drop_in, broken).expect("a drop-in");
    let failed = cron.gatehound(&rig, &["install", "--replace-cron"]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let (out, err) = said(&failed);
    assert!(out.contains("removed    cron: "), "{out}");
    let back = format!(
        "the crontab is put back, and {} is stopped and disabled",
        rig.gatehound
    );
    assert!(err.contains(&back), "{err}");
    assert_eq!(cron.lines(), WATCHDOG);
    assert_eq!(rig.property(&rig.gatehound, "UnitFileState"), "disabled");
    run(&rig, &["uninstall"]);
    let state = home(".local/state").join(format!("gatehound-{}", rig.profile));
    fs::remove_dir_all(state).expect("the state folder");
}

fn ask() {
    vacant();
    let rig = unwatched();
    let cron = Cron::new(&rig, &WATCHDOG);
    let [state, log] =
        ["state", "log"].map(|end| PathBuf::from(format!("/tmp/openclaw-watchdog.{end}")));
    let flag = rig.unit_path("flag");
    rig.settings(&format!("{FAST}\n[pause]\nflag_file = {flag:?}\n"));
    for path in [&state, &log, &flag] {
        fs::write(path, "1\n").expect("what the old watchdog leaves behind");
    }
    let question = "Remove the 2 lines of the old watchdog from your crontab? [y/N] ";
    let (status, shown) = cron.at_terminal(&rig, &["install"], "\n");
    assert_eq!(status, Some(1), "{shown}");
    assert!(shown.contains(question), "{shown}");
    assert_eq!(cron.lines(), WATCHDOG);
    vacant();
    // Yes to the lines, no to the state, yes to the flag.
    let (status, shown) = cron.at_terminal(&rig, &["install"], "y\nn\nyes\n");
    assert_eq!(status, Some(0), "{shown}");
    assert_eq!(cron.lines(), Vec::<String>::new());
    assert!(state.exists() && !flag.exists(), "{shown}");

    let run = |arguments: &[&str]| said(&cron.gatehound(&rig, arguments)).0;
    fs::write(&flag, "").expect("a flag");
    let out = run(&["install"]);
    for path in [&state, &flag] {
        let left = format!("left       {0}; to remove it: rm {0}\n", path.display());
        assert!(out.contains(&left), "{out}");
    }
    let out = run(&["install", "--replace-cron", "--dry-run"]);
    assert!(
        out.contains(&format!("would remove   {}\n", state.display())),
        "{out}"
    );
    assert!(state.exists());
    let out = run(&["install", "--replace-cron"]);
    assert!(
        out.contains(&format!("removed    {}\n", state.display())),
        "{out}"
    );
    assert!(!state.exists() && log.exists() && flag.exists(), "{out}");
    run(&["uninstall"]);
    fs::remove_file(log).expect("the log");
    fs::remove_dir_all(home(".local/state").join(format!("gatehound-{}", rig.profile)))
        .expect("the state folder");
}

fn watchdog_unit() {
    vacant();
    let rig = unwatched();
    let other_watchdog = format!("openclaw-watchdog-{}.service", rig.profile);
    let unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
    fs::write(rig.unit_path(&other_watchdog), unit).expect("a unit");
    systemctl(&["start", &other_watchdog]);
    let refused = rig.gatehound(&["install"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let (out, err) = said(&refused);
    assert!(
        out.contains(&format!(
            "→ if it is one: systemctl --user disable --now {other_watchdog}\n"
        )),
        "{out}"
    );
    assert!(err.trim_end().ends_with(" install --side-by-side"), "{err}");
    vacant();
    run(&rig, &["install", "--side-by-side"]);
    rig.journal.wait_for("a warning", TIMEOUT, |record| {
        event("warning")(record)
            && record
                .message()
                .starts_with("another watchdog may restart the gateway")
            && record.message().contains(&other_watchdog)
    });
    assert_eq!(rig.property(&other_watchdog, "ActiveState"), "active");
    run(&rig, &["uninstall"]);
    systemctl(&["stop", &other_watchdog]);
    fs::remove_file(rig.unit_path(&other_watchdog)).expect("the unit");
}
