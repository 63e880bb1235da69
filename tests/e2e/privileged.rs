//! Commands as root and as another user, for the few trials that need a foreigner.
//!
//! In the machine a socket-activated unit runs them; in a session `sudo -n` does, and a trial fails where neither can.

use std::env;
use std::io::{Read, Write, stdin, stdout};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Output};

use serde_json::{Value, json};

/// What a command left.
#[derive(Debug)]
pub struct Outcome {
    /// The exit status; none when a signal ended it.
    pub code: Option<i32>,
    /// Everything it wrote to standard output.
    pub stdout: String,
    /// Everything it wrote to standard error.
    pub stderr: String,
}

/// Runs a command as root to its end; panics when it cannot be run or fails.
pub fn as_root(argv: &[&str]) -> Outcome {
    let outcome = match env::var("E2E_ROOT_SOCKET") {
        Ok(socket) => through_socket(&socket, argv),
        Err(_) => through_sudo(argv),
    };
    assert_eq!(
        outcome.code,
        Some(0),
        "{argv:?} as root: {}",
        outcome.stderr
    );
    outcome
}

/// Runs a command as an ordinary user who is not this one to its end; panics when it cannot be run or fails.
pub fn as_port_holder(argv: &[&str]) -> Outcome {
    let port_holder = port_holder();
    as_root(&[&["runuser", "-u", &port_holder, "--"], argv].concat())
}

/// The name of a user who is not this one.
pub fn port_holder() -> String {
    env::var("E2E_PORT_HOLDER").unwrap_or_else(|_| "nobody".to_owned())
}

/// A program another user keeps running until this is dropped.
pub struct PortHoldersProgram {
    unit: String,
}

impl PortHoldersProgram {
    /// Starts it as the system unit of this name, which must not be in use.
    pub fn start(unit: &str, argv: &[&str]) -> Self {
        let user = format!("--uid={}", port_holder());
        let name = format!("--unit={unit}");
        as_root(
            &[
                &["systemd-run", "--quiet", "--collect", &user, &name, "--"],
                argv,
            ]
            .concat(),
        );
        Self {
            unit: unit.to_owned(),
        }
    }
}

impl Drop for PortHoldersProgram {
    fn drop(&mut self) {
        // A program that already ended has no unit any more, which is as good.
        let unit = &self.unit;
        as_root(&[
            "sh",
            "-c",
            &format!(
                "systemctl kill -s KILL {unit} 2>/dev/null; systemctl stop {unit} 2>/dev/null; :"
            ),
        ]);
    }
}

fn through_socket(socket: &str, argv: &[&str]) -> Outcome {
    let mut stream = UnixStream::connect(socket).expect("the machine's socket for root's commands");
    stream
        .write_all(json!(argv).to_string().as_bytes())
        .expect("send a command");
    stream.shutdown(Shutdown::Write).expect("end a command");
    let mut reply = String::new();
    stream
        .read_to_string(&mut reply)
        .expect("read what a command left");
    let reply: Value = serde_json::from_str(&reply)
        .unwrap_or_else(|error| panic!("{argv:?}: {error} in {reply:?}"));
    let text = |name: &str| reply[name].as_str().unwrap_or_default().to_owned();
    Outcome {
        code: reply["code"]
            .as_i64()
            .and_then(|code| i32::try_from(code).ok()),
        stdout: text("stdout"),
        stderr: text("stderr"),
    }
}

fn through_sudo(argv: &[&str]) -> Outcome {
    let output = Command::new("sudo").arg("-n").args(argv).output();
    let output = output.unwrap_or_else(|error| {
        panic!("this trial needs `sudo -n`, or root to run the suite: {error}")
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !stderr.contains("sudo: a password"),
        "this trial needs `sudo -n`, or root to run the suite: {stderr}"
    );
    outcome(&output)
}

fn outcome(output: &Output) -> Outcome {
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The other end of the machine's socket: one command from standard input, what it left to standard output.
pub fn serve() -> ExitCode {
    let mut request = String::new();
    stdin()
        .read_to_string(&mut request)
        .expect("read a command");
    let argv: Vec<String> = serde_json::from_str(&request).expect("a command is a list of strings");
    let reply = match Command::new(&argv[0])
        .args(&argv[1..])
        .stdin(std::process::Stdio::null())
        .output()
    {
        Ok(output) => {
            let left = outcome(&output);
            json!({ "code": left.code, "stdout": left.stdout, "stderr": left.stderr })
        }
        Err(error) => json!({ "code": 127, "stdout": "", "stderr": error.to_string() }),
    };
    stdout()
        .write_all(reply.to_string().as_bytes())
        .expect("send what a command left");
    ExitCode::SUCCESS
}

/// A process that is stopped by SIGSTOP until this is dropped.
pub struct Frozen {
    pid: String,
}

impl Frozen {
    /// The main process of a unit of the system.
    pub fn unit(unit: &str) -> Self {
        let shown = as_root(&["systemctl", "show", "--value", "--property=MainPID", unit]);
        Self::process(shown.stdout.trim())
    }

    /// The process with this pid.
    pub fn process(pid: &str) -> Self {
        as_root(&["kill", "-STOP", pid]);
        Self {
            pid: pid.to_owned(),
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        as_root(&["kill", "-CONT", &self.pid]);
    }
}
