//! A fleet, as section MANY GATEWAYS of gatehound.service(8) writes it: two machines with a gateway, and a collector,
//! joined by cables, with the real node_exporter, Prometheus, Alertmanager, journal-upload and journal-remote.
//!
//! Runs on the host, beside its machines, when `E2E_FLEET=1` asks for it: it needs the programs of [`PROGRAMS`],
//! and takes minutes.
//! Owns the machines, and the receiver of pages.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::machine::Machine;
use crate::place;
use crate::rig::{TIMEOUT, wait_until};
use crate::watched::FAST;

/// What the trial runs beside systemd's own, each with its Debian package.
const PROGRAMS: &[(&str, &str)] = &[
    ("prometheus", "/usr/bin/prometheus"),
    (
        "prometheus-node-exporter",
        "/usr/bin/prometheus-node-exporter",
    ),
    (
        "prometheus-alertmanager",
        "/usr/bin/prometheus-alertmanager",
    ),
    (
        "systemd-journal-remote",
        "/lib/systemd/systemd-journal-upload",
    ),
    ("openssl", "/usr/bin/openssl"),
];

/// Who is where: the collector's address on each cable ends with 1, the other one with 2.
const HOSTS: &str = "\
10.71.1.2 alpha.example.org alpha\n\
10.71.2.2 beta.example.org beta\n";

/// How long the slowest of it may take: a collection, a scrape, an evaluation, a page, on a busy host.
const LONG: Duration = Duration::from_secs(300);

/// Where the pages arrive.
const PAGES: &str = "/run/pages";
const PAGER_PORT: &str = "9099";

/// Whether the fleet was asked for.
pub fn wanted() -> bool {
    env::var_os("E2E_FLEET").is_some_and(|value| value == "1")
}

/// The trial of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[(
        "fleet_a_hang_on_one_machine_pages_once_resolves_once_and_is_read_on_the_collector",
        fleet,
    )];
    crate::named(list)
}

/// One machine of the fleet.
pub struct Host {
    name: &'static str,
    machine: Machine,
}

impl Host {
    fn boot(name: &'static str) -> Self {
        let host = Self::boot_with(name, &[]);
        host.write(
            "/etc/hosts",
            &format!("127.0.0.1 localhost {name}\n{HOSTS}"),
        );
        // What belongs to root alone would not be read by what sends it, and systemd sees to that only at a boot with a disk.
        host.shell("systemd-tmpfiles --create --prefix /var/log/journal && journalctl --rotate");
        host
    }

    /// A machine with these files besides the program and its units.
    pub fn boot_with(name: &'static str, further: &[(&str, &Path)]) -> Self {
        let executable = place::executable().expect("this executable");
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let units = project.join("units");
        let own: [(&str, &Path); 3] = [
            ("e2e", &executable),
            ("gatehound", Path::new(env!("CARGO_BIN_EXE_gatehound"))),
            ("units", &units),
        ];
        let machine = Machine::boot_named(name, &[&own, further].concat()).expect("a machine");
        Self { name, machine }
    }

    pub fn output(&self, script: &str) -> Output {
        let mut command = self.machine.as_root("env");
        command.args(["HOME=/root", "sh", "-euc", script]);
        command.stdin(Stdio::null());
        command.output().expect("a shell in the machine")
    }

    /// Runs a script as root; what it printed.
    #[track_caller]
    pub fn shell(&self, script: &str) -> String {
        self.printed(script, &self.output(script))
    }

    /// Runs a script as the user with the gateway.
    #[track_caller]
    pub fn user_shell(&self, script: &str) -> String {
        let output = self.machine.as_user("sh").args(["-euc", script]).output();
        self.printed(script, &output.expect("a shell in the machine"))
    }

    /// What a script that has to end well printed.
    #[track_caller]
    fn printed(&self, script: &str, output: &Output) -> String {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{} on {}: {said}",
            script,
            self.name
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn write(&self, path: &str, text: &str) {
        let mut command = self.machine.as_root("sh");
        command.args(["-euc", r#"mkdir -p "${0%/*}" && cat >"$0""#, path]);
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell in the machine");
        let mut input = child.stdin.take().expect("its input");
        input.write_all(text.as_bytes()).expect("a file's content");
        drop(input);
        assert!(child.wait().expect("its end").success(), "{path}");
    }

    /// What a package puts in place, and a gateway with its unit, nothing of it running.
    pub fn install(&self) {
        self.shell(
            "cp /opt/e2e/gatehound /usr/bin/
            cp /opt/e2e/units/gatehound*.service /opt/e2e/units/gatehound-tidy.timer /usr/lib/systemd/user/
            cp /opt/e2e/units/system/* /usr/lib/systemd/system/
            systemctl daemon-reload",
        );
        self.write(
            "/etc/systemd/user/openclaw-gateway.service",
            "[Service]\n\
             ExecStart=/opt/e2e/e2e stand-in-gateway --control %t/gateway --mode-file %h/mode gateway --port 18789\n\
             Restart=always\n\
             RestartSec=100ms\n\
             RestartPreventExitStatus=78\n\
             TimeoutStopSec=330\n\
             KillMode=mixed\n",
        );
        self.user_shell(
            "systemctl --user daemon-reload && systemctl --user start openclaw-gateway",
        );
    }

    fn pages(&self) -> Vec<(String, String, String)> {
        let pages = self.shell(&format!("cat {PAGES} 2>/dev/null || :"));
        let mut alerts = Vec::new();
        for page in pages.lines() {
            let page: Value = serde_json::from_str(page).expect("a page is JSON");
            for alert in page["alerts"].as_array().expect("its alerts") {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let labels = &alert["labels"];
                alerts.push((
                    text(&alert["status"]),
                    text(&labels["alertname"]),
                    text(&labels["instance"]),
                ));
            }
        }
        alerts
    }

    fn wait_for_pages(&self, number: usize) -> Vec<(String, String, String)> {
        wait_until(&format!("page {number}"), LONG, || {
            number <= self.pages().len()
        });
        self.pages()
    }
}

/// The examples of a section as they are typed.
pub fn examples(page: &str, section: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(page);
    let page = fs::read_to_string(page).expect("the manual");
    let found = page.split(&format!("\n.SH {section}\n")).nth(1);
    let found = found.and_then(|rest| rest.split("\n.SH ").next());
    let examples = found
        .expect(section)
        .split("\n.EX\n")
        .skip(1)
        .map(|rest| rest.split("\n.EE").next().expect("an end"));
    examples
        .map(|text| {
            text.replace("\\-", "-")
                .replace("\\(dq", "\"")
                .replace("\\(aq", "'")
                + "\n"
        })
        .map(|text| text.replace("openclaw@", "watched@"))
        .collect()
}

/// The example that begins with these words.
pub fn example<'a>(examples: &'a [String], text: &str) -> &'a str {
    let found = examples.iter().find(|example| example.starts_with(text));
    found.unwrap_or_else(|| panic!("{text} in {examples:#?}"))
}

/// The lines that stand below this comment of an example, up to the next one.
fn below(script: &str, comment: &str) -> String {
    let lines = script.lines().skip_while(|line| *line != comment).skip(1);
    let lines: Vec<&str> = lines.take_while(|line| !line.starts_with('#')).collect();
    assert!(!lines.is_empty(), "{comment} in {script}");
    lines.join("\n") + "\n"
}

fn fleet() {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(_, program)| !Path::new(program).exists())
        .map(|(package, _)| *package)
        .collect();
    assert!(
        missing.is_empty(),
        "the fleet needs more; install it with: apt-get install {}",
        missing.join(" ")
    );
    let examples = examples("gatehound.service.8", "MANY GATEWAYS");
    let [collector, alpha, beta] = ["collector", "alpha", "beta"].map(Host::boot);
    for (number, host) in [(1, &alpha), (2, &beta)] {
        let end = format!("to-{}", host.name);
        let here = format!("10.71.{number}.1/24");
        let there = format!("10.71.{number}.2/24");
        let cable = collector
            .machine
            .cable((&end, &here), &host.machine, ("uplink", &there));
        cable.expect("a cable");
        host.shell(&format!(
            "echo 10.71.{number}.1 collector.example.org >>/etc/hosts"
        ));
    }
    certify(&collector, &[&alpha, &beta]);
    collect_journals(&examples, &collector, &[&alpha, &beta]);
    for host in [&alpha, &beta] {
        watch(&examples, host);
    }
    listen(&collector);

    // All is well, and nobody is paged.
    wait_until("both gateways in Prometheus", LONG, || {
        series(&collector, "gatehound_gateway_up == 1").len() == 2
    });
    assert_eq!(collector.pages(), []);
    for host in [&alpha, &beta] {
        let collecting = host.shell("journalctl --quiet --output=cat -u gatehound-collect.service");
        assert_eq!(collecting, "", "what comes every 15 s has nothing to say");
    }

    // On one of them each run hangs until Gatehound gives up, tries again, and gives up again.
    alpha.user_shell("echo blocked >mode && /opt/e2e/e2e order /run/user/$(id -u)/gateway blocked");
    let gave_up = "journalctl --quiet --output=cat _SYSTEMD_USER_UNIT=gatehound.service GATEHOUND_EVENT=gave-up | wc -l";
    let needs_human = |status: &str| {
        (
            status.to_owned(),
            "GatehoundNeedsHuman".to_owned(),
            "alpha:9100".to_owned(),
        )
    };
    wait_until("to give up", TIMEOUT, || alpha.shell(gave_up).trim() != "0");
    assert_eq!(collector.wait_for_pages(1), [needs_human("firing")]);
    wait_until("to give up a second time", LONG, || {
        alpha.shell(gave_up).trim() != "1"
    });
    // Somebody mends it; a plain restart would wait for the gateway's own stop timeout.
    alpha.user_shell("rm mode && systemctl --user kill --signal=KILL openclaw-gateway");
    assert_eq!(
        collector.wait_for_pages(2),
        [needs_human("firing"), needs_human("resolved")]
    );
    // Nor does anything follow: Prometheus has seen what came after, and Alertmanager has nothing left.
    wait_until("the end of all alerts", LONG, || {
        series(&collector, "ALERTS").is_empty()
    });
    assert_eq!(collector.pages().len(), 2);

    assert_eq!(empty_panels(&collector), Vec::<String>::new());

    read_back(&examples, &collector);
}

/// The queries of the shipped dashboard, for all of the fleet, that find nothing in its Prometheus.
fn empty_panels(collector: &Host) -> Vec<String> {
    let dashboard = Path::new(env!("CARGO_MANIFEST_DIR")).join("units/gatehound.dashboard.json");
    let dashboard = fs::read_to_string(dashboard).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("its panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let mut empty = Vec::new();
    for target in targets {
        // What Grafana puts in.
        let mut expression = target["expr"].as_str().expect("a query").to_owned();
        for (variable, value) in [
            ("$__range", "1h"),
            ("$user", ".*"),
            ("$profile", ".*"),
            ("$instance", ".*"),
        ] {
            expression = expression.replace(variable, value);
        }
        let found = series(collector, &expression);
        println!("{expression}");
        for one in &found {
            println!("    {one}");
        }
        if found.is_empty() {
            empty.push(expression);
        }
    }
    empty
}

/// A certificate for each machine, of an authority of the fleet's own.
fn certify(collector: &Host, hosts: &[&Host]) {
    let folder = tempfile::tempdir().expect("a folder");
    let openssl = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-euc", script]).current_dir(folder.path());
        let output = command.output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {said}");
    };
    openssl(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=fleet \
         -keyout ca.key -out ca.pem",
    );
    let all = hosts.iter().map(|host| (*host, "upload"));
    for (host, role) in all.chain([(collector, "remote")]) {
        let name = host.name;
        openssl(&format!(
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name}.example.org \
             -keyout {name}.key -out {name}.csr
             echo subjectAltName=DNS:{name}.example.org >{name}.ext
             openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile {name}.ext -out {name}.pem"
        ));
        let read =
            |file: &str| fs::read_to_string(folder.path().join(file)).expect("a certificate");
        host.write("/etc/ssl/ca/trusted.pem", &read("ca.pem"));
        let certificate = read(&format!("{name}.pem"));
        host.write(&format!("/etc/ssl/certs/journal-{role}.pem"), &certificate);
        let key = read(&format!("{name}.key"));
        host.write(&format!("/etc/ssl/private/journal-{role}.pem"), &key);
    }
}

/// Journals in one place.
fn collect_journals(examples: &[String], collector: &Host, hosts: &[&Host]) {
    let example = example(examples, "# on the collector\n");
    let write = |host: &Host, path: &str| {
        host.write(path, &below(example, &format!("# on each machine, {path}")));
    };
    collector.shell(&below(example, "# on the collector"));
    for host in hosts {
        write(host, "/etc/systemd/journal-upload.conf");
        let drop_in = "/etc/systemd/system/systemd-journal-upload.service.d/local.conf";
        write(host, drop_in);
        host.shell(&below(example, "# on each machine"));
    }
}

/// All users of a machine, and one of them from root.
fn watch(examples: &[String], host: &Host) {
    host.install();
    let settings = example(examples, "# /etc/gatehound/config.toml");
    // Keys of the top stand before tables; two attempts take two stops by force, and there may be no third one soon.
    let short = FAST.replace(r#"["1s", "1s", "1s"]"#, r#"["1s"]"#);
    let short = format!("retry_after = \"20s\"\n{short}\n{settings}");
    host.write("/etc/gatehound/config.toml", &short);
    let drop_in = example(
        examples,
        "# /etc/systemd/user/gatehound.service.d/local.conf",
    );
    host.write("/etc/systemd/user/gatehound.service.d/local.conf", drop_in);
    host.user_shell("systemctl --user daemon-reload");
    let from_root = example(examples, "sudo systemctl --user -M").replace("sudo ", "");
    for line in from_root.lines() {
        let output = host.output(line);
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        println!("{}: {line}\n{said}{complained}", host.name);
        // The doctor finds much in a machine as bare as this one.
        assert!(
            output.status.success() || line.ends_with("doctor"),
            "{line}: {said}{complained}"
        );
    }
    host.shell(
        "mkdir -p /var/lib/prometheus/node-exporter
        systemctl start prometheus-node-exporter
        systemctl enable --now gatehound-collect.timer",
    );
}

/// Prometheus with the shipped rules, Alertmanager, and whom it pages.
fn listen(collector: &Host) {
    collector.write(
        "/etc/prometheus/prometheus.yml",
        "global:\n  scrape_interval: 5s\n  evaluation_interval: 5s\n\
         rule_files: [gatehound.rules.yml]\n\
         alerting:\n  alertmanagers:\n  - static_configs:\n    - targets: ['localhost:9093']\n\
         scrape_configs:\n- job_name: node\n  static_configs:\n  - targets: ['alpha:9100', 'beta:9100']\n",
    );
    collector.write(
        "/etc/prometheus/alertmanager.yml",
        &format!(
            "route:\n  receiver: pager\n  group_by: [alertname, instance]\n  group_wait: 1s\n  group_interval: 5s\n\
             receivers:\n- name: pager\n  webhook_configs:\n  - url: http://127.0.0.1:{PAGER_PORT}/\n    send_resolved: true\n"
        ),
    );
    collector.shell(&format!(
        "cp /opt/e2e/units/gatehound.rules.yml /etc/prometheus/
        systemd-run --quiet --unit=pager /opt/e2e/e2e pager {PAGER_PORT} {PAGES}
        systemctl start prometheus prometheus-alertmanager"
    ));
}

/// The series that Prometheus has for an expression, as it prints them.
fn series(collector: &Host, expression: &str) -> Vec<String> {
    let found = collector.output(&format!(
        "promtool query instant http://localhost:9090 '{expression}'"
    ));
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    let lines = found.lines().filter(|line| line.contains(" => "));
    lines.map(str::to_owned).collect()
}

/// What became of both, from what the collector was sent.
fn read_back(examples: &[String], collector: &Host) {
    collector.shell("cp /opt/e2e/gatehound /usr/bin/");
    let asked = below(
        example(examples, "# on the collector\n"),
        "# on the collector, what became of one gateway, and all that were given up",
    );
    let (history, all) = asked.trim().split_once('\n').expect("two commands");
    wait_until("the end of the incident on the collector", LONG, || {
        let sent = collector.shell(&all.replace("gave-up", "recovered"));
        sent.lines().any(|line| line.contains(" alpha "))
    });
    let given_up = collector.shell(all);
    assert_eq!(given_up.matches("gave up: ").count(), 2, "{given_up}");
    // Which of them is meant has to be said.
    let output = collector.output(history.split(" --host").next().expect("a command"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--host: alpha, beta"), "{said}");
    let alpha = collector.shell(&history.replace("HOST", "alpha"));
    let beta = collector.shell(&history.replace("HOST", "beta"));
    println!("{alpha}\n{beta}");
    assert!(alpha.contains("gave up; 2 restarts"), "{alpha}");
    assert!(alpha.contains("1 incident since "), "{alpha}");
    assert!(beta.contains("no incident since "), "{beta}");
}

/// `pager PORT FILE`: writes the body of each request on one line.
pub fn pager(arguments: &[String]) -> ExitCode {
    let [port, file] = arguments else {
        panic!("pager PORT FILE")
    };
    let port = port.parse().expect("a port");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port");
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        let page = body(&mut stream);
        let mut pages = OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .expect("the file");
        writeln!(pages, "{page}").expect("a line");
        let _ =
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    ExitCode::SUCCESS
}

fn body(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
            if length.unwrap_or(0) <= body.len() {
                return body.trim().to_owned();
            }
        }
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return text,
            Ok(length) => received.extend_from_slice(&part[..length]),
        }
    }
}
