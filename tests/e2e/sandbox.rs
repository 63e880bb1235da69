//! Trials of the sandbox in Gatehound's unit: that a user manager really enforces each line of it.
//!
//! Each line alone is given to a small program in perl, which is on every Debian and can make any system call;
//! what it may do without that line it must not be able to do with it.
//! That the sandbox as a whole hides nothing from Gatehound is what all other trials hold, which run it in the
//! shipped unit: `a_listener_in_a_child_of_the_main_process_is_the_gateway` for one needs to see whose the socket is.

use std::env;
use std::fs;
use std::process::Command;

use libtest_mimic::Trial;

use crate::place;

/// The trials of this file.
pub fn trials() -> Vec<Trial> {
    crate::named(&[("each_line_of_the_sandbox_is_enforced", enforced)])
}

/// Numbers of system calls, the result of one, and a file of one's own.
const PRELUDE: &str = r#"
    my %numbers = (
        x86_64 => { mmap => 9, personality => 135, setns => 308, ptrace => 101, keyctl => 250, mlock => 149,
            io_setup => 206, setgid => 106, sched_setscheduler => 144 },
        aarch64 => { mmap => 222, personality => 92, setns => 268, ptrace => 117, keyctl => 219, mlock => 228,
            io_setup => 0, setgid => 144, sched_setscheduler => 119 },
    );
    chomp(my $machine = `uname -m`);
    sub call { my $name = shift; said(syscall($numbers{$machine}{$name}, @_) != -1) }
    sub said { $_[0] ? 0 : 0 + $! }
    my $file = "$ARGV[0]/probe.$$";
    open F, ">", $file or die $!; close F;
    END { unlink $file }
"#;

/// EPERM, as a system call that a filter answers.
const DENIED: &str = "1";

/// What a line forbids: its beginning, a program that tries it, and what that says when it is forbidden.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("UMask=", r#"printf "%o", umask"#, "77"),
    (
        "LimitCORE=",
        r#"open L, "/proc/self/limits"; print /core file size\s+(\d+|unlimited)\s+(\d+|unlimited)/ for <L>"#,
        "00",
    ),
    (
        "NoNewPrivileges=",
        r#"open S, "/proc/self/status"; print /^NoNewPrivs:\s+(\d)/ for <S>"#,
        "1",
    ),
    // AF_PACKET: without the line it is EPERM, and with it EAFNOSUPPORT.
    (
        "RestrictAddressFamilies=",
        "print said(socket(S, 17, 3, 0))",
        "97",
    ),
    // Readable, writable and executable; private and anonymous.
    (
        "MemoryDenyWriteExecute=",
        r#"print call("mmap", 0, 4096, 7, 34, -1, 0)"#,
        DENIED,
    ),
    (
        "RestrictSUIDSGID=",
        "print said(chmod(04755, $file))",
        DENIED,
    ),
    // ADDR_NO_RANDOMIZE.
    (
        "LockPersonality=",
        r#"print call("personality", 0x40000)"#,
        DENIED,
    ),
    // No descriptor: without the line that is EBADF.
    (
        "RestrictNamespaces=",
        r#"print call("setns", -1, 0)"#,
        DENIED,
    ),
    // SCHED_FIFO with no priority: without the line that is EINVAL.
    (
        "RestrictRealtime=",
        r#"print call("sched_setscheduler", 0, 1, pack("i", 0))"#,
        DENIED,
    ),
    // exit(7) as a program for i386; where the kernel runs none there is nothing to forbid. SIGSYS is 31.
    (
        "SystemCallArchitectures=",
        r#"
            my $code = "\x31\xc0\x40\xb3\x07\xcd\x80";
            open P, ">", $file; binmode P;
            print P "\x7fELF\1\1\1", "\0" x 9, pack("vvVVVVVvvvvvv", 2, 3, 1, 0x8048054, 52, 0, 0, 52, 32, 1, 0, 0, 0);
            print P pack("VVVVVVVV", 1, 0, 0x8048000, 0x8048000, 91, 91, 5, 4096), $code;
            close P; chmod 0755, $file;
            my $status = system {$file} $file;
            print $status == -1 ? "none" : $status & 127;
        "#,
        "31",
    ),
    // PTRACE_TRACEME.
    (
        "SystemCallFilter=@",
        r#"print call("ptrace", 0, 0, 0, 0)"#,
        DENIED,
    ),
    (
        "SystemCallFilter=~",
        r#"
            print said(chown($<, -1, $file)), call("setgid", $( + 0), said(setpriority(0, 0, getpriority(0, 0)));
            print call("keyctl", 0, -3, 0), call("mlock", $file, 1), call("io_setup", 0, pack("Q", 0));
        "#,
        "111111",
    ),
    (
        "SystemCallErrorNumber=",
        r#"print call("ptrace", 0, 0, 0, 0)"#,
        DENIED,
    ),
];

/// What a program says under these lines of a unit.
fn under(lines: &[&str], program: &str) -> String {
    let mut command = Command::new("systemd-run");
    command.args(["--user", "--quiet", "--pipe", "--wait", "--collect"]);
    for line in lines {
        command.args(["--property", line]);
    }
    // As a file, because the manager would expand variables in an argument.
    let folder = tempfile::tempdir_in(env::var("HOME").expect("HOME")).expect("a folder");
    let script = folder.path().join("program");
    fs::write(&script, format!("{PRELUDE}{program}")).expect("a file");
    command.arg("perl").arg(&script).arg(folder.path());
    let output = command.output().expect("run systemd-run");
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

fn enforced() {
    let unit = fs::read_to_string(place::file("units/gatehound@.service")).expect("the unit");
    let (service, _) = unit.split_once("\n[Install]\n").expect("a section");
    let (before, sandbox) = service.split_once("\n# The sandbox").expect("a sandbox");
    let outside = before
        .lines()
        .filter(|line| line.starts_with("UMask=") || line.starts_with("LimitCORE="));
    let lines: Vec<&str> = sandbox
        .lines()
        .filter(|line| !line.starts_with('#') && line.contains('='))
        .chain(outside)
        .collect();
    assert_eq!(lines.len(), FORBIDDEN.len(), "{lines:?}");
    for line in lines {
        let (_, program, expected) = FORBIDDEN
            .iter()
            .find(|(begin, ..)| line.starts_with(begin))
            .unwrap_or_else(|| panic!("nothing tries {line}"));
        // A filter by itself kills; what is to be seen is which calls it stops.
        let beside: &[&str] = if line.starts_with("SystemCallFilter=") {
            &["SystemCallErrorNumber=EPERM"]
        } else if line.starts_with("SystemCallErrorNumber=") {
            &["SystemCallFilter=@system-service"]
        } else {
            &[]
        };
        let without = under(beside, program);
        let with = under(&[beside, &[line]].concat(), program);
        // From systemd 257 on the kernel's own switch forbids it, which is EACCES and no filter's EPERM.
        let is_refused = |said: &str| {
            said == *expected || line.starts_with("MemoryDenyWriteExecute=") && said == "13"
        };
        assert!(
            is_refused(&with) && !is_refused(&without) || without == "none",
            "{line}: {without:?} without it, {with:?} with it"
        );
    }
}
