//! Alerts on the desktop: `gatehound alert` against a session bus of its own and a stand-in for its notifications.
//!
//! Needs the program `dbus-daemon` (Debian package dbus-daemon).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::{
    collections::HashMap,
    fs,
    future::pending,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering::SeqCst},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gatehound::alerts::{
    alert::{Alert, Kind},
    queue,
};
use tempfile::TempDir;
use zbus::{Connection, OwnedVariant, connection::Builder, interface};

/// What was said, without the note that no unit sends a test here.
fn without_note(said: &str) -> String {
    let lines = said.lines().filter(|line| !line.starts_with("note       "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Far more than anything here takes, unless it hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

const UNIT: &str = "openclaw-gateway.service";

/// A home with a session bus.
struct Session {
    folder: TempDir,
    bus: Child,
}

impl Session {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Folders of services, which the bus would start: none, as on a machine without a desktop.
        let config = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\"><busconfig><type>session</type>\
             <listen>{}</listen><policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
             <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
            address(&folder)
        );
        let file = folder.path().join("bus.conf");
        fs::write(&file, config).unwrap();
        let mut bus = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--print-address"])
            .arg(format!("--config-file={}", file.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon starts (apt install dbus-daemon)");
        let mut line = String::new();
        BufReader::new(bus.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("unix:path="), "{line}");
        fs::create_dir_all(folder.path().join("config/gatehound")).unwrap();
        fs::create_dir_all(folder.path().join("run/gatehound")).unwrap();
        let session = Self { folder, bus };
        session.set("[[alert.channel]]\ntype = \"desktop\"");
        session
    }

    fn set(&self, settings: &str) {
        let path = self.folder.path().join("config/gatehound/config.toml");
        fs::write(path, settings).unwrap();
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state/gatehound")
    }

    fn queue(&self, kind: Kind, text: &str) {
        let alert = Alert {
            kind,
            text: text.into(),
            ..Alert::test(UNIT)
        };
        queue::queue(&self.state(), &alert, TIMEOUT).unwrap();
    }

    fn waiting(&self) -> usize {
        queue::waiting(&queue::folder(&self.state())).unwrap().len()
    }

    /// Holds the exit status and says what was said.
    #[track_caller]
    fn alert(&self, what: &str, status: i32) -> String {
        let path = |name: &str| self.folder.path().join(name);
        let output = Command::new(env!("CARGO_BIN_EXE_gatehound"))
            .args(["alert", what])
            .env_clear()
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", path("config"))
            .env("XDG_STATE_HOME", path("state"))
            .env("XDG_RUNTIME_DIR", path("run"))
            .env("DBUS_SESSION_BUS_ADDRESS", address(&self.folder))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = without_note(&String::from_utf8(said).unwrap());
        assert_eq!(output.status.code(), Some(status), "{said}");
        said
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

fn address(folder: &TempDir) -> String {
    format!("unix:path={}/bus", folder.path().display())
}

/// What a desktop was asked to show.
#[derive(Debug)]
struct Shown {
    application: String,
    replaces: u32,
    icon: String,
    summary: String,
    body: String,
    actions: Vec<String>,
    urgency: u8,
    resident: bool,
    entry: String,
    expires: i32,
}

/// A stand-in for the desktop, served by a thread of its own until its connection closes.
struct Desktop {
    connection: Connection,
    shown: Receiver<Shown>,
    thread: Option<JoinHandle<()>>,
}

struct Notifications {
    shown: Sender<Shown>,
    last: AtomicU32,
    hangs: bool,
    buttons: bool,
}

#[interface(name = "org.freedesktop.Notifications")]
impl Notifications {
    fn get_capabilities(&self) -> Vec<String> {
        let buttons = self.buttons.then(|| "actions".to_owned());
        ["body".to_owned()].into_iter().chain(buttons).collect()
    }

    #[allow(clippy::too_many_arguments)]
    async fn notify(
        &self,
        application: String,
        replaces: u32,
        icon: String,
        summary: String,
        body: String,
        actions: Vec<String>,
        hints: HashMap<String, OwnedVariant>,
        expires: i32,
    ) -> u32 {
        let shown = Shown {
            application,
            replaces,
            icon,
            summary,
            body,
            actions,
            urgency: *hints["urgency"].downcast_ref::<&u8>().unwrap(),
            resident: *hints["resident"].downcast_ref::<&bool>().unwrap(),
            entry: hints["desktop-entry"]
                .downcast_ref::<&str>()
                .unwrap()
                .to_owned(),
            expires,
        };
        self.shown.send(shown).unwrap();
        if self.hangs {
            pending::<()>().await;
        }
        match replaces {
            0 => self.last.fetch_add(1, SeqCst) + 1,
            replaces => replaces,
        }
    }
}

impl Desktop {
    /// One whose notifications are numbered from `first`.
    fn start(session: &Session, first: u32, hangs: bool) -> Self {
        Self::of_kind(session, first, hangs, false)
    }

    fn of_kind(session: &Session, first: u32, hangs: bool, buttons: bool) -> Self {
        let address = address(&session.folder);
        let (sender, shown) = mpsc::channel();
        let notifications = Notifications {
            shown: sender,
            last: AtomicU32::new(first - 1),
            hangs,
            buttons,
        };
        let (ready, connection) = mpsc::channel();
        let thread = thread::spawn(move || {
            zbus::block_on(async {
                let connection = Builder::address(address.as_str())
                    .serve_at("/org/freedesktop/Notifications", notifications)
                    .name("org.freedesktop.Notifications")
                    .build()
                    .await
                    .unwrap();
                ready.send(connection.clone()).unwrap();
                connection.closed().await;
            });
        });
        Self {
            connection: connection.recv().unwrap(),
            shown,
            thread: Some(thread),
        }
    }

    /// Says that something became of a notification.
    fn signal(&self, name: &str, body: &(impl serde::Serialize + zbus::DynamicType)) {
        let path = "/org/freedesktop/Notifications";
        let interface = "org.freedesktop.Notifications";
        let said = self
            .connection
            .emit_signal(None::<&str>, path, interface, name, body);
        zbus::block_on(said).unwrap();
    }

    fn next(&self) -> Shown {
        self.shown.recv_timeout(TIMEOUT).expect("a notification")
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        let _ = zbus::block_on(self.connection.clone().close());
        self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn an_alert_is_shown_with_its_urgency_and_without_markup_or_hidden_characters() {
    let session = Session::start();
    let desktop = Desktop::start(&session, 7, false);
    session.queue(
        Kind::NeedsHuman,
        "a <b>bold</b> & <a href=\"x\">link</a>\n\u{1b}[31m\u{202e}red",
    );
    let said = session.alert("send", 0);
    assert!(said.starts_with("delivered  desktop: "), "{said}");
    assert_eq!(session.waiting(), 0);
    let shown = desktop.next();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let summary = format!("{}: gateway needs a human", host.trim());
    assert_eq!(shown.summary, summary);
    assert_eq!(
        shown.body,
        "a &lt;b&gt;bold&lt;/b&gt; &amp; &lt;a href=\"x\"&gt;link&lt;/a&gt; red"
    );
    assert_eq!(shown.application, "Gatehound");
    assert_eq!(
        (shown.urgency, shown.icon.as_str()),
        (2, "dialog-error"),
        "critical"
    );
    assert_eq!((shown.expires, shown.replaces), (0, 0));
    assert_eq!(shown.actions, [""; 0], "where none can be pressed");
    assert!(shown.resident && shown.entry == "gatehound", "{shown:?}");
    session.queue(Kind::Test, "it");
    session.alert("send", 0);
    let shown = desktop.next();
    assert_eq!((shown.resident, shown.expires), (false, -1));
}

#[test]
fn a_button_pauses_and_another_shows_the_incident_until_the_notification_is_closed() {
    let session = Session::start();
    let desktop = Desktop::of_kind(&session, 7, false, true);
    session.queue(Kind::NeedsHuman, "it");
    thread::scope(|scope| {
        let sending = scope.spawn(|| session.alert("send", 0));
        let shown = desktop.next();
        let buttons = ["incident", "Show incident", "pause", "Pause 30 min"];
        assert_eq!(shown.actions, buttons);
        // What is pressed at another notification is nobody's business here.
        desktop.signal("ActionInvoked", &(6_u32, "pause"));
        desktop.signal("ActionInvoked", &(7_u32, "another"));
        desktop.signal("ActionInvoked", &(7_u32, "incident"));
        let answer = desktop.next();
        assert!(answer.summary.ends_with(": incident"), "{answer:?}");
        assert_eq!((answer.replaces, answer.urgency), (0, 1), "beside it");
        desktop.signal("ActionInvoked", &(7_u32, "pause"));
        let answer = desktop.next();
        assert!(answer.body.starts_with("paused until "), "{answer:?}");
        assert!(answer.body.ends_with("; gatehound resume ends it before"));
        let pause = session.folder.path().join("run/gatehound/pause.json");
        let pause = fs::read_to_string(pause).unwrap();
        assert!(pause.contains("the button of a notification"), "{pause}");
        // Whoever listens sees to what comes meanwhile as well.
        session.queue(Kind::StillDown, "still");
        let renewed = desktop.next();
        assert_eq!((renewed.replaces, renewed.actions.len()), (7, 4));
        desktop.signal("NotificationClosed", &(7_u32, 2_u32));
        sending.join().unwrap();
    });
    assert_eq!(session.waiting(), 0);
}

#[test]
fn of_one_trouble_there_is_one_notification_and_the_next_trouble_has_another() {
    let session = Session::start();
    let desktop = Desktop::start(&session, 7, false);
    let show = |kind| {
        session.queue(kind, "it");
        session.alert("send", 0);
        let shown = desktop.next();
        (shown.replaces, shown.urgency)
    };
    assert_eq!(show(Kind::Down), (0, 1));
    assert_eq!(show(Kind::NeedsHuman), (7, 2));
    assert_eq!(show(Kind::Test), (0, 1), "beside it");
    assert_eq!(show(Kind::StillDown), (7, 2), "what it reminds of stays");
    assert_eq!(show(Kind::Back), (7, 1));
    assert_eq!(show(Kind::Down), (0, 1));
}

#[test]
fn a_reminder_renews_what_says_that_a_human_is_needed_and_never_takes_its_place() {
    let session = Session::start();
    let desktop = Desktop::start(&session, 7, false);
    let show = |kind, text: &str| {
        session.queue(kind, text);
        session.alert("send", 0);
        desktop.next()
    };
    let first = show(Kind::NeedsHuman, "the cause");
    for reminder in ["still down, 1 h", "still down, 2 h"] {
        let renewed = show(Kind::StillDown, reminder);
        assert_eq!(renewed.summary, first.summary);
        assert_eq!(renewed.body, format!("the cause\n{reminder}"));
        assert_eq!(
            (renewed.replaces, renewed.urgency, renewed.expires),
            (7, 2, 0)
        );
    }
    assert_eq!(show(Kind::Back, "healthy").body, "healthy");
    // One that no human was needed for is as any other.
    show(Kind::Down, "down");
    let reminder = show(Kind::StillDown, "still down");
    assert_eq!(
        (reminder.body.as_str(), reminder.urgency),
        ("still down", 1)
    );
}

#[test]
fn a_number_of_a_desktop_that_is_gone_is_not_replaced() {
    let session = Session::start();
    let first = Desktop::start(&session, 7, false);
    session.queue(Kind::Down, "it");
    session.alert("send", 0);
    assert_eq!(first.next().replaces, 0);
    drop(first);
    // To this one 7 is the notification of somebody else.
    let second = Desktop::start(&session, 8, false);
    session.queue(Kind::StillDown, "it");
    session.alert("send", 0);
    assert_eq!(second.next().replaces, 0);
    session.queue(Kind::Back, "it");
    session.alert("send", 0);
    assert_eq!(second.next().replaces, 8);
}

#[test]
fn where_nobody_is_logged_in_an_alert_is_skipped_and_a_test_says_so() {
    let mut session = Session::start();
    let nobody = "nobody is logged in at a desktop that shows notifications";
    session.queue(Kind::Down, "it");
    let said = session.alert("send", 0);
    assert_eq!(said, format!("skipped    desktop: {nobody}\n"));
    assert_eq!(session.waiting(), 0);
    session.bus.kill().unwrap();
    session.bus.wait().unwrap();
    let said = session.alert("test", 1);
    assert_eq!(said, format!("failed     desktop: {nobody}\n"));
}

#[test]
fn a_desktop_that_hangs_is_left_at_its_limit_and_tried_again() {
    let session = Session::start();
    session.set("alert.timeout = \"1s\"\n[[alert.channel]]\ntype = \"desktop\"");
    let desktop = Desktop::start(&session, 7, true);
    session.queue(Kind::Down, "it");
    let said = session.alert("send", 1);
    let expected =
        "left       desktop: the desktop did not answer within 1s; trying again in 1 min\n";
    assert_eq!(said, expected);
    desktop.next();
    assert_eq!(session.waiting(), 1);
}

/// dunst on a screen that nobody sees.
struct Dunst<'a> {
    session: &'a Session,
    display: String,
    screen: Child,
    dunst: Child,
}

impl<'a> Dunst<'a> {
    fn start(session: &'a Session) -> Self {
        let mut screen = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp"])
            .args(["-screen", "0", "900x420x24"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("apt-get install xvfb");
        let mut number = String::new();
        let output = screen.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        // Its menu of actions, in which somebody chooses to pause.
        let menu = session.folder.path().join("menu");
        fs::write(&menu, "#!/bin/sh\ngrep --max-count=1 暂停\n").unwrap();
        fs::set_permissions(&menu, fs::Permissions::from_mode(0o755)).unwrap();
        let config = session.folder.path().join("dunstrc");
        fs::write(
            &config,
            format!("[global]\ndmenu = {}\nwidth = 500\n", menu.display()),
        )
        .unwrap();
        let mut command = Command::new("dunst");
        command.arg("-conf").arg(config);
        command
            .env("DISPLAY", &display)
            .env("DBUS_SESSION_BUS_ADDRESS", address(&session.folder));
        let dunst = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let dunst = Self {
            session,
            display,
            screen,
            dunst: dunst.expect("apt-get install dunst"),
        };
        dunst.wait_for("0");
        dunst
    }

    fn control(&self, words: &[&str]) -> String {
        let output = Command::new("dunstctl")
            .args(words)
            .env("DBUS_SESSION_BUS_ADDRESS", address(&self.session.folder))
            .output()
            .expect("apt-get install dunst");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Waits until so many notifications are on the screen.
    #[track_caller]
    fn wait_for(&self, number: &str) {
        wait_until(number, || self.control(&["count", "displayed"]) == number);
    }

    /// Leaves a picture of the screen in the target folder.
    fn picture(&self, name: &str) {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let taken = Command::new("import")
            .args(["-display", &self.display, "-window", "root"])
            .arg(&path)
            .status()
            .expect("apt-get install imagemagick");
        assert!(taken.success());
        println!("{}", path.display());
    }
}

impl Drop for Dunst<'_> {
    fn drop(&mut self) {
        for child in [&mut self.dunst, &mut self.screen] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn dunst_shows_one_notification_that_stays_and_whose_button_pauses() {
    if std::env::var_os("E2E_DUNST").is_none_or(|value| value != "1") {
        eprintln!("not shown by dunst: E2E_DUNST=1 asks for it");
        return;
    }
    let session = Session::start();
    session.set("[alert]\nlanguage = \"zh\"\n[[alert.channel]]\ntype = \"desktop\"");
    let dunst = Dunst::start(&session);
    session.queue(
        Kind::NeedsHuman,
        "需要人工处理：10 秒内没有应答；重启 3 次无效；请运行 gatehound status",
    );
    let pause = session.folder.path().join("run/gatehound/pause.json");
    thread::scope(|scope| {
        let sending = scope.spawn(|| session.alert("send", 0));
        dunst.wait_for("1");
        dunst.picture("dunst-needs-human.png");
        // A reminder renews it, and whoever listens for the buttons shows that as well.
        session.queue(Kind::StillDown, "仍不可用，已持续 1 小时");
        wait_until("the reminder", || session.waiting() == 0);
        assert_eq!(dunst.control(&["count", "displayed"]), "1");
        dunst.picture("dunst-reminder.png");
        assert!(!pause.exists());
        // The menu of dunst, as a click with the middle button opens it.
        dunst.control(&["context"]);
        wait_until("the pause", || pause.exists());
        dunst.wait_for("2");
        dunst.picture("dunst-paused.png");
        dunst.control(&["close-all"]);
        let said = sending.join().unwrap();
        assert!(said.contains("paused until "), "{said}");
    });
}
