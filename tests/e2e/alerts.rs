//! Trials of alerts: they arrive, and what they go to delays nothing.
//!
//! Owns a receiver in the trial's own process and the unit that delivers to it.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::time::{ClockId, clock_gettime};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, Stream};
use serde_json::Value;

use crate::journal::{Journal, Record};
use crate::place;
use crate::rig::{
    Rig, Setup, TIMEOUT, systemctl, systemd_version, try_systemctl, wait_until, write,
};
use crate::watched::{FAST, event, from_systemd, wait_until_failing, wait_until_recovered};

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[
        (
            "a_hung_gateway_is_told_to_be_down_and_to_be_back_past_a_receiver_that_refuses_once",
            told,
        ),
        (
            "a_test_is_sent_by_the_units_that_deliver_with_their_credentials",
            tested,
        ),
        (
            "a_test_goes_the_way_of_the_unit_with_its_proxy_and_its_authorities_and_not_that_of_the_shell",
            tested_from_a_shell,
        ),
        (
            "a_receiver_that_refuses_for_good_is_asked_once_for_each_alert_and_said_once",
            refused,
        ),
        ("a_receiver_that_hangs_delays_no_recovery", hanging),
        (
            "a_gateway_that_hangs_most_of_the_time_and_is_back_each_time_is_said_to_come_and_go",
            flapping,
        ),
        ("pings_go_out_while_the_gateway_works_and_only_then", pings),
        (
            "a_ping_that_hangs_or_fails_harms_nothing_and_is_told_once",
            failing_pings,
        ),
        (
            "without_the_units_that_deliver_alerts_and_pings_the_gateway_is_brought_back_all_the_same",
            without_unit,
        ),
    ];
    crate::named(list)
}

/// A healthy Gatehound with the short settings, whose alerts and pings are sent by units of the trial's own.
struct Alerting {
    rig: Rig,
    /// What delivers alerts.
    unit: String,
    /// What sends pings.
    ping: String,
}

impl Alerting {
    /// `alert` are lines of the table `alert`, `service` of the drop-in of the unit that delivers.
    fn new(alert: &str, service: &str) -> Self {
        let this = Self::stopped(alert);
        let identified = |unit| format!("SyslogIdentifier={unit}\n");
        let service = format!("{}{service}", identified(&this.unit));
        this.rig
            .install_template("gatehound-alert@.service", &this.unit, &service);
        let service = identified(&this.ping);
        this.rig
            .install_template("gatehound-ping@.service", &this.ping, &service);
        this.start();
        this
    }

    fn stopped(alert: &str) -> Self {
        let rig = Rig::with(&Setup {
            settings: format!("{FAST}\n{alert}"),
            ..Setup::default()
        });
        let unit = format!("gatehound-alert@{}.service", rig.profile);
        let ping = format!("gatehound-ping@{}.service", rig.profile);
        Self { rig, unit, ping }
    }

    fn start(&self) {
        self.rig.start_gateway();
        self.rig.start_gatehound();
        self.rig
            .journal
            .wait_for("a healthy gateway", TIMEOUT, event("healthy"));
    }

    fn drop_ins(&self, unit: &str) -> PathBuf {
        self.rig.unit_path(&format!("{unit}.d"))
    }

    fn state(&self) -> PathBuf {
        let home = env::var_os("HOME").expect("HOME");
        let name = format!(".local/state/gatehound-{}", self.rig.profile);
        Path::new(&home).join(name)
    }

    fn waiting(&self) -> usize {
        fs::read_dir(self.state().join("alerts")).map_or(0, Iterator::count)
    }
}

impl Drop for Alerting {
    fn drop(&mut self) {
        systemctl(&["stop", &self.rig.gatehound]);
        for unit in [&self.unit, &self.ping] {
            try_systemctl(&["stop", unit]);
            let _ = fs::remove_file(self.rig.unit_path(unit));
            let _ = fs::remove_dir_all(self.drop_ins(unit));
        }
        let _ = fs::remove_dir_all(self.state());
    }
}

/// What each connection to a port of its own is served with, and what comes of it.
pub fn receiver<T: Send + 'static>(
    mut serve: impl FnMut(TcpStream) -> T + Send + 'static,
) -> (u16, Receiver<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let (sender, received): (Sender<T>, _) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let served = serve(stream.expect("a connection"));
            if sender.send(served).is_err() {
                return;
            }
        }
    });
    (port, received)
}

/// The body of one request, which is answered with a status.
pub fn taken(stream: &mut (impl Read + Write), status: &str) -> Value {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).expect("a request");
        text.extend_from_slice(&buffer[..length]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let body = so_far.split_once("\r\n\r\n").map(|(_, body)| body);
        if let Some(body) = body.and_then(|body| serde_json::from_str(body).ok()) {
            let head = "Content-Length: 0\r\nConnection: close";
            write!(stream, "HTTP/1.1 {status}\r\n{head}\r\n\r\n").expect("an answer");
            return body;
        }
        assert_ne!(length, 0, "no JSON in {so_far}");
    }
}

fn told() {
    let mut refused = false;
    let (port, received) = receiver(move |mut stream| {
        let status = if refused { "200 OK" } else { "503 Not now" };
        refused = true;
        (status, taken(&mut stream, status))
    });
    let next = || {
        let (status, told) = received.recv_timeout(TIMEOUT).expect("an alert");
        let word = |name: &str| told[name].as_str().expect("a word").to_owned();
        (status, word("kind"), word("incident"), word("unit"))
    };
    // The credential's file is where systemd reads it, and the settings do not say.
    let runtime = PathBuf::from(env::var_os("XDG_RUNTIME_DIR").expect("XDG_RUNTIME_DIR"));
    let secret = runtime.join(format!("alert-url-{port}"));
    fs::write(&secret, format!("http://127.0.0.1:{port}/s3cr3t\n")).expect("a secret");
    let alerting = Alerting::new(
        "[[alert.channel]]\nurl = \"{{credential:alert-url}}\"",
        &format!(
            "LoadCredential=alert-url:{}\nRestartSec=1s",
            secret.display()
        ),
    );
    let rig = &alerting.rig;
    rig.mode("blocked");
    let failing = wait_until_failing(rig, TIMEOUT, "blocked");
    let incident = failing.get("GATEHOUND_INCIDENT").expect("an incident");
    let down = |status| {
        (
            status,
            "down".to_owned(),
            incident.clone(),
            rig.gateway.clone(),
        )
    };
    assert_eq!(next(), down("503 Not now"));
    assert_eq!(next(), down("200 OK"));
    wait_until_recovered(rig, TIMEOUT, "by-restart");
    let (status, kind, ..) = next();
    assert_eq!((status, kind.as_str()), ("200 OK", "back"));
    wait_until("the queue to be empty", TIMEOUT, || alerting.waiting() == 0);
    fs::remove_file(&secret).expect("the secret");
}

fn tested() {
    let (port, received) = receiver(|mut stream| taken(&mut stream, "200 OK"));
    let (ping_port, pinged) = receiver(asked);
    let runtime = PathBuf::from(env::var_os("XDG_RUNTIME_DIR").expect("XDG_RUNTIME_DIR"));
    let secret = |name: &str, port: u16| {
        let path = runtime.join(format!("{name}-{port}"));
        fs::write(&path, format!("http://127.0.0.1:{port}/s3cr3t\n")).expect("a secret");
        format!("LoadCredential={name}:{}", path.display())
    };
    let channels = "[alert]\nping_interval = \"1h\"\n[[alert.channel]]\nurl = \"{{credential:alert-url}}\"\n\
                    [[alert.channel]]\ntype = \"ping\"\nurl = \"{{credential:ping-url}}\"";
    let alerting = Alerting::new(channels, &secret("alert-url", port));
    let rig = &alerting.rig;
    // The first one goes out without its credential, and nobody counts it.
    let load = format!("[Service]\n{}\n", secret("ping-url", ping_port));
    write(
        &alerting.drop_ins(&alerting.ping).join("credential.conf"),
        &load,
    );
    systemctl(&["daemon-reload"]);
    let output = rig.gatehound(&["alert", "test", "--ping"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert_eq!(
        said,
        "delivered  webhook: status 200\ndelivered  ping: taken\n"
    );
    let told = received.recv_timeout(TIMEOUT).expect("a test");
    assert_eq!(told["kind"], "test");
    pinged.recv_timeout(TIMEOUT).expect("a ping");
    // What the unit is not given, a test has not got either.
    fs::remove_dir_all(alerting.drop_ins(&alerting.ping)).expect("the drop-ins");
    let arguments = fs::read_to_string(alerting.drop_ins(&alerting.unit).join("e2e.conf"));
    let arguments = arguments
        .expect("the drop-in")
        .replace("LoadCredential=alert-url:", "#");
    write(
        &alerting.drop_ins(&alerting.unit).join("e2e.conf"),
        &arguments,
    );
    systemctl(&["daemon-reload"]);
    let output = rig.gatehound(&["alert", "test"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.starts_with("failed     webhook: no credential \"alert-url\" here; "),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// A receiver that shows a certificate of its own and takes everything: its port and the certificate.
fn secure_receiver() -> (u16, Receiver<()>, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = certificate.self_signed(&key).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .expect("a certificate with its key");
    let config = Arc::new(config);
    let (port, received) = receiver(move |mut stream| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
        // Who does not trust it hangs up.
        if connection.complete_io(&mut stream).is_ok() {
            taken(&mut Stream::new(&mut connection, &mut stream), "200 OK");
        }
    });
    (port, received, certificate.pem())
}

fn tested_from_a_shell() {
    let (proxy_port, proxied) = receiver(|mut stream| {
        connected(&mut stream);
        taken(&mut stream, "200 OK")
    });
    let (secure_port, _received, certificate) = secure_receiver();
    let channels = format!(
        "[[alert.channel]]\nurl = \"http://service.example/s3cr3t\"\n\
         [[alert.channel]]\nurl = \"https://localhost:{secure_port}/s3cr3t\""
    );
    let unit_has = |proxy: u16, trusted: &Path| {
        let trusted = trusted.display();
        format!(
            "[Service]\nEnvironment=http_proxy=http://127.0.0.1:{proxy} no_proxy=localhost\n\
             Environment=SSL_CERT_FILE={trusted}\n"
        )
    };
    let alerting = Alerting::new(&channels, "");
    let rig = &alerting.rig;
    let trusted = rig.folder("trusted.pem");
    fs::write(&trusted, certificate).expect("a certificate");
    let other = rig.folder("other.pem");
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["other".to_owned()]).expect("a name");
    let other_certificate = params.self_signed(&key).expect("a certificate");
    fs::write(&other, other_certificate.pem()).expect("a certificate");
    let drop_in = alerting.drop_ins(&alerting.unit).join("way.conf");
    // Nobody listens there.
    let nowhere = crate::rig::free_port();
    let test = |proxy: u16, trusted: &Path| {
        let mut command = Command::new(place::file("gatehound"));
        command.args(["--profile", &rig.profile, "alert", "test"]);
        command.env("http_proxy", format!("http://127.0.0.1:{proxy}"));
        command.env("no_proxy", "localhost");
        command.env("SSL_CERT_FILE", trusted);
        let output = command.output().expect("run gatehound");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // What the unit has, and the shell has not.
    write(&drop_in, &unit_has(proxy_port, &trusted));
    systemctl(&["daemon-reload"]);
    let said = test(nowhere, &other);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(
        lines.iter().all(|line| line.starts_with("delivered ")),
        "{said}"
    );
    let told = proxied.recv_timeout(TIMEOUT).expect("a test");
    assert_eq!(told["kind"], "test");
    // What the shell has, and the unit has not.
    write(&drop_in, &unit_has(nowhere, &other));
    systemctl(&["daemon-reload"]);
    let said = test(proxy_port, &trusted);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(
        lines.iter().all(|line| line.starts_with("failed ")),
        "{said}"
    );
    assert!(said.contains("its certificate is of nobody whom"), "{said}");
    assert_eq!(proxied.try_iter().count(), 0, "through the shell's proxy");
}

fn refused() {
    let (port, received) = receiver(|mut stream| taken(&mut stream, "404 Not Found"));
    let channel = format!("[[alert.channel]]\nurl = \"http://127.0.0.1:{port}/s3cr3t\"");
    let alerting = Alerting::new(&channel, "");
    let rig = &alerting.rig;
    let journal = Journal::follow(&[&alerting.unit]);
    rig.mode("blocked");
    wait_until_recovered(rig, TIMEOUT, "by-restart");
    for kind in ["down", "back"] {
        let told = received.recv_timeout(TIMEOUT).expect("an alert");
        assert_eq!(told["kind"], kind);
    }
    wait_until("the unit to be done", TIMEOUT, || {
        rig.property(&alerting.unit, "ActiveState") == "inactive"
    });
    assert_eq!(rig.property(&alerting.unit, "Result"), "success");
    assert_eq!(alerting.waiting(), 3, "two alerts, and who is left alone");
    let left = |record: &Record| {
        record
            .message()
            .starts_with("left       webhook: status 404")
    };
    journal.wait_for("the refusal", TIMEOUT, left);
    assert_eq!(journal.all().iter().filter(|one| left(one)).count(), 1);
    let doctor = rig.gatehound(&["doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout);
    assert!(
        doctor.contains("not delivered yet: 2; status 404"),
        "{doctor}"
    );
}

fn hanging() {
    let (port, received) = receiver(|stream| stream);
    let alert = format!(
        "[alert]\ntimeout = \"1min\"\n[[alert.channel]]\nurl = \"http://127.0.0.1:{port}/\""
    );
    let alerting = Alerting::new(&alert, "");
    let rig = &alerting.rig;
    rig.mode("blocked");
    // Held open to the end, so that the delivery hangs all the while.
    let _connection = received.recv_timeout(TIMEOUT).expect("a connection");
    wait_until_recovered(rig, TIMEOUT, "by-restart");
    wait_until("the alert about the end", TIMEOUT, || {
        alerting.waiting() == 2
    });
    assert_eq!(rig.property(&alerting.unit, "ActiveState"), "activating");
}

fn flapping() {
    let (port, received) = receiver(|mut stream| taken(&mut stream, "200 OK"));
    let channel = format!("[[alert.channel]]\nurl = \"http://127.0.0.1:{port}/\"");
    let alerting = Alerting::stopped(&channel);
    let rig = &alerting.rig;
    // Whatever a busy machine takes it for.
    let mut patient = FAST.replace("[grace]", "[grace]\ndeadlocked = \"60s\"");
    for (stall, grace) in [
        ("blocked", "1s"),
        ("busy", "2s"),
        ("starved", "2s"),
        ("disk", "2s"),
    ] {
        let line = format!("{stall} = \"{grace}\"");
        assert!(patient.contains(&line), "{patient}");
        patient = patient.replace(&line, &format!("{stall} = \"60s\""));
    }
    rig.settings(&format!("{patient}\n{channel}"));
    rig.install_template("gatehound-alert@.service", &alerting.unit, "");
    alerting.start();
    let began = Instant::now();
    let mut hung = Duration::ZERO;
    for _ in 0..3 {
        let mark = rig.journal.mark();
        let since = Instant::now();
        rig.mode("blocked");
        let failing = || event("failing");
        rig.journal
            .wait_for_after(mark, "the failing check", TIMEOUT, failing());
        // Most of the time, however long it took to notice.
        let (noticed, healthy) = (since.elapsed(), Duration::from_secs(2));
        thread::sleep((healthy * 3).saturating_sub(noticed));
        rig.mode("healthy");
        let recovered =
            rig.journal
                .wait_for_after(mark, "the end of it", TIMEOUT, event("recovered"));
        assert_eq!(
            recovered.get("GATEHOUND_REASON").as_deref(),
            Some("by-itself")
        );
        hung += since.elapsed();
        thread::sleep(healthy);
    }
    let alert = received.recv_timeout(TIMEOUT).expect("an alert");
    assert_eq!(alert["kind"], "flapping", "{alert}");
    let text = alert["text"].as_str().expect("a text");
    assert!(text.contains("3 times"), "{text}");
    let history = rig.gatehound(&["history", "--json"]).stdout;
    let history: Value = serde_json::from_slice(&history).expect("JSON");
    let seen = history["availability"].as_f64().expect("a number");
    let hung = hung.as_secs_f64() / began.elapsed().as_secs_f64();
    assert!(0.5 < hung, "{hung}");
    // As well as a check each second can say it.
    assert!(
        (seen - (1.0 - hung)).abs() < 0.15,
        "{seen}, and {hung} hung"
    );
}

/// Answers as a proxy that is asked for a connection; what comes next is meant for the other end.
fn connected(stream: &mut TcpStream) {
    let asked = head(stream);
    assert!(asked.starts_with("CONNECT service.example:80 "), "{asked}");
    write!(stream, "HTTP/1.1 200 OK\r\n\r\n").expect("an answer");
}

/// A request that has no body.
fn head(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while !text.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut buffer).expect("a request");
        assert_ne!(length, 0, "a request that ends early");
        text.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Answers one request that has no body.
fn asked(mut stream: TcpStream) -> String {
    let text = head(&mut stream);
    let head = "Content-Length: 0\r\nConnection: close";
    write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n").expect("an answer");
    text
}

fn ping_to(port: u16) -> String {
    format!(
        "[alert]\ntimeout = \"1min\"\nping_interval = \"1s\"\n[[alert.channel]]\ntype = \"ping\"\nurl = \"http://127.0.0.1:{port}/s3cr3t\""
    )
}

fn pings() {
    let (port, received) = receiver(|stream| {
        let request = asked(stream);
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the time");
        (request, Duration::from(now))
    });
    let next = || received.recv_timeout(TIMEOUT).expect("a ping");
    let alerting = Alerting::new(&ping_to(port), "");
    let rig = &alerting.rig;
    for _ in 0..2 {
        let (request, _) = next();
        assert!(request.starts_with("GET /s3cr3t HTTP/1.1\r\n"), "{request}");
    }
    rig.mode("blocked");
    let failing = wait_until_failing(rig, TIMEOUT, "blocked").monotonic();
    let recovered = wait_until_recovered(rig, TIMEOUT, "by-restart").monotonic();
    let mut meanwhile = Vec::new();
    loop {
        let (_, at) = next();
        if recovered < at {
            break;
        }
        // One may have been on its way when the gateway hung.
        if failing + Duration::from_secs(1) < at {
            meanwhile.push(at);
        }
    }
    assert!(
        meanwhile.is_empty(),
        "{failing:?} {meanwhile:?} {recovered:?}"
    );
    // A ping that works is no line in the journal.
    let journal = Journal::follow(&[&alerting.ping]);
    next();
    next();
    // The manager's lines about a start know LogLevelMax= since systemd 249; what else it warns of is its own.
    let is_said = |record: &Record| {
        !from_systemd("")(record)
            || 249 <= systemd_version() && from_systemd("Sign of life")(record)
    };
    let all = journal.all();
    let said: Vec<String> = all
        .iter()
        .filter(|one| is_said(one))
        .map(Record::to_string)
        .collect();
    assert!(said.is_empty(), "{said:?}");
}

fn failing_pings() {
    let (port, received) = receiver(|stream| stream);
    let alerting = Alerting::new(&ping_to(port), "");
    let rig = &alerting.rig;
    let last = || rig.property(&rig.gatehound, "WatchdogTimestampMonotonic");
    let checks = |count| {
        for _ in 0..count {
            let before = last();
            wait_until("the next ping", TIMEOUT, || last() != before);
        }
    };
    // Held open to the end, so that the ping hangs all the while.
    let _connection = received.recv_timeout(TIMEOUT).expect("a connection");
    checks(2);
    rig.mode("blocked");
    wait_until_recovered(rig, TIMEOUT, "by-restart");
    // The first one has hung for its minute by now where the machine is slow, and then the next one hangs.
    wait_until("a ping that hangs", TIMEOUT, || {
        rig.property(&alerting.ping, "ActiveState") == "active"
    });
    let journal = Journal::follow(&[&alerting.ping]);
    // Nobody listens at port 1.
    rig.settings(&format!("{FAST}\n{}", ping_to(1)));
    systemctl(&["reload", &rig.gatehound]);
    systemctl(&["stop", &alerting.ping]);
    let failed = |record: &Record| record.message().starts_with("failed     ping: ");
    let said = journal.wait_for("the failure", TIMEOUT, failed);
    assert!(!said.message().contains("s3cr3t"), "{said}");
    checks(4);
    let all = journal.all();
    assert_eq!(all.iter().filter(|one| failed(one)).count(), 1);
    assert_eq!(rig.property(&alerting.ping, "Result"), "success");
    let doctor = rig.gatehound(&["doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout);
    assert!(doctor.contains("it is not taken: "), "{doctor}");
    let mut warnings = rig.journal.all();
    warnings.retain(event("warning"));
    let warnings: Vec<String> = warnings.iter().map(Record::to_string).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
}

fn without_unit() {
    let alerting = Alerting::stopped(
        "[alert]\nping_interval = \"1s\"\n[[alert.channel]]\ntype = \"command\"\ncommand = [\"/bin/true\"]\n[[alert.channel]]\ntype = \"ping\"\nurl = \"http://127.0.0.1:1/\"",
    );
    let rig = &alerting.rig;
    // Whatever templates are installed for this user, these instances have no unit.
    for unit in [&alerting.unit, &alerting.ping] {
        let mask = rig.unit_path(unit);
        std::os::unix::fs::symlink("/dev/null", &mask).expect("a masked unit");
    }
    alerting.start();
    rig.mode("blocked");
    wait_until_recovered(rig, TIMEOUT, "by-restart");
    wait_until("both alerts", TIMEOUT, || alerting.waiting() == 2);
    let install = format!("; run gatehound install --profile {}", rig.profile);
    for what in ["alerts wait in the queue: ", "no ping is sent: "] {
        rig.journal.wait_for("a warning", TIMEOUT, |record| {
            let text = record.message();
            let told = text.starts_with(what) && text.ends_with(&install);
            event("warning")(record) && told
        });
    }
    systemctl(&["stop", &rig.gatehound]);
    rig.journal
        .wait_for("the end of the watch", TIMEOUT, event("leaving"));
    let warnings = rig
        .journal
        .all()
        .iter()
        .filter(|one| event("warning")(one))
        .count();
    assert_eq!(warnings, 2, "said once, not with each alert and ping");
}
