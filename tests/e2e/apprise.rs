//! E-mail and apprise, as section EXAMPLES of gatehound.toml(5) writes them, with the real apprise from PyPI.
//!
//! Runs on the host, beside its machine, when `E2E_APPRISE=1` asks for it.
//! Owns apprise's version, the folder that it is installed in, and the mail server that it talks to.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::Trial;

use crate::fleet::{Host, example, examples};
use crate::rig::{TIMEOUT, wait_until};

const VERSION: &str = "apprise==2.3.0";

/// What the mail server was sent.
const MAIL: &str = "/run/mail";

/// Where mailto:// delivers unless it says otherwise.
const PORT: &str = "25";

/// What stands in for a program that sends mail: its arguments and its input, in a file named after it.
const SENDER: &str = "#!/bin/sh\n{ printf '<%s>' \"$@\"; echo; cat; } >/tmp/\"${0##*/}\"\n";

/// Whether it was asked for.
pub fn wanted() -> bool {
    env::var_os("E2E_APPRISE").is_some_and(|value| value == "1")
}

/// The trial of this file.
pub fn trials() -> Vec<Trial> {
    let list: &[(&str, fn())] = &[(
        "apprise_and_mail_deliver_as_the_manual_writes_them",
        as_written,
    )];
    crate::named(list)
}

/// A folder with apprise, from PyPI unless it is there.
fn installed() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("apprise");
    let mark = folder.join("version");
    if fs::read_to_string(&mark).is_ok_and(|version| version == VERSION) {
        return folder;
    }
    let run = |program: &Path, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).status();
        let status = status.expect("apt-get install python3-venv");
        assert!(status.success(), "{} {arguments:?}", program.display());
    };
    let path = folder.to_str().expect("a plain path");
    run(Path::new("python3"), &["-m", "venv", "--clear", path]);
    let python = folder.join("bin/python");
    run(
        &python,
        &[
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            VERSION,
        ],
    );
    fs::write(mark, VERSION).expect("the mark");
    folder
}

fn as_written() {
    let apprise = installed();
    let host = Host::boot_with("mailing", &[("apprise", &apprise)]);
    host.install();
    host.write("/etc/hosts", "127.0.0.1 localhost mailing example.com\n");
    // Where the folder stood is not in the machine.
    host.write(
        "/usr/bin/apprise",
        "#!/bin/sh\nexec /opt/e2e/apprise/bin/python /opt/e2e/apprise/bin/apprise \"$@\"\n",
    );
    for sender in ["/usr/sbin/sendmail", "/usr/bin/mail"] {
        host.write(sender, SENDER);
        host.shell(&format!("chmod +x {sender} /usr/bin/apprise"));
    }
    let examples = examples("gatehound.toml.5", "EXAMPLES");
    let channels = example(
        &examples,
        "[[alert.channel]]\ntype = \"mail\"\nto = \"me@example.com\"\n",
    );
    host.write(
        "/home/watched/.config/gatehound/config.toml",
        &format!("{channels}\n[alert]\nlanguage = \"zh\"\n"),
    );
    host.write("/home/watched/.config/gatehound/mail", "hunter2\n");
    // As the page writes it for the credential of another channel.
    let credential = example(&examples, "[Service]\nLoadCredential=telegram:");
    host.write(
        "/home/watched/.config/systemd/user/gatehound-alert.service.d/mail.conf",
        &credential.replace("telegram", "mail"),
    );
    host.shell("chown -R watched: /home/watched/.config");
    host.user_shell("systemctl --user daemon-reload");

    let failed = host.user_shell("! gatehound alert test");
    println!("{failed}");
    let why = failed
        .lines()
        .find(|line| line.starts_with("failed     command 2: "));
    let why = why.expect("a refusal");
    assert!(
        why.contains("Connection error while submitting email"),
        "{failed}"
    );
    assert!(!failed.contains("hunter2"), "{failed}");

    host.shell(&format!(
        "systemd-run --quiet --unit=mail-server /opt/e2e/e2e mail-server {PORT} {MAIL}"
    ));
    wait_until("the mail server", TIMEOUT, || {
        host.output(&format!("test -e {MAIL}")).status.success()
    });
    let said = host.user_shell("gatehound alert test");
    println!("{said}");
    assert_eq!(said.matches("delivered  ").count(), 3, "{said}");
    assert!(!said.contains("note "), "{said}");

    let text = "openclaw-gateway.service: 这是一条测试，告警可以送达";
    let title = "mailing: 测试告警";
    let letter = host.shell("cat /tmp/sendmail");
    println!("{letter}");
    assert!(
        letter.starts_with("<-i><-t>\nTo: me@example.com\n"),
        "{letter}"
    );
    assert!(letter.contains(text), "{letter}");
    let mail = host.shell("cat /tmp/mail");
    println!("{mail}");
    assert_eq!(mail, format!("<-s><{title}><me@example.com>\n{text}\n"));
    let sent = host.shell(&format!("cat {MAIL}"));
    println!("{sent}");
    // "user" and "hunter2", as AUTH PLAIN has them.
    for line in [
        "AUTH PLAIN AHVzZXIAaHVudGVyMg==",
        "rcpt TO:<user@example.com>",
        ".",
    ] {
        assert!(sent.lines().any(|found| found == line), "{line}: {sent}");
    }
}

/// `mail-server PORT FILE`: takes every letter, and writes down each line that it is sent.
pub fn mail_server(arguments: &[String]) -> ExitCode {
    let [port, file] = arguments else {
        panic!("mail-server PORT FILE")
    };
    let port = port.parse().expect("a port");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port");
    let mut lines = OpenOptions::new().append(true).create(true).open(file);
    let lines = lines.as_mut().expect("the file");
    for stream in listener.incoming() {
        take(stream.expect("a connection"), lines);
    }
    ExitCode::SUCCESS
}

fn take(mut stream: TcpStream, written: &mut impl Write) {
    let read = BufReader::new(stream.try_clone().expect("the other direction"));
    let mut answer = |text: &str| write!(stream, "{text}\r\n").is_ok();
    let mut letter = false;
    if !answer("220 ready") {
        return;
    }
    for line in read.lines().map_while(Result::ok) {
        writeln!(written, "{line}").expect("a line");
        let word = line.split(' ').next().unwrap_or_default();
        let taken = match (letter, word.to_ascii_uppercase().as_str()) {
            (true, ".") => {
                letter = false;
                answer("250 taken")
            }
            (true, _) => true,
            (false, "EHLO") => answer("250-ready\r\n250-SMTPUTF8\r\n250 AUTH PLAIN"),
            (false, "AUTH") => answer("235 known"),
            (false, "DATA") => {
                letter = true;
                answer("354 go on")
            }
            (false, "QUIT") => answer("221 bye"),
            (false, _) => answer("250 taken"),
        };
        if !taken {
            return;
        }
    }
}
