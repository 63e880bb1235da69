//! The programs that are known by name: what starts another, what carries out a script, what does no harm.
//!
//! Owns the lists; what a program of them does with its arguments is `judge.rs`'s.

/// Words before a command that are not its program.
pub(super) const KEYWORDS: [&str; 20] = [
    "if", "then", "else", "elif", "while", "until", "do", "!", "exec", "command", "builtin",
    "time", "return", "export", "local", "const", "let", "var", "await", "eval",
];

/// What starts the command behind it: its options that take a value, and how many words come before the command.
pub(super) const WRAPPERS: [(&str, &[&str], usize); 30] = [
    ("sudo", &["-u", "-g", "-h", "-p", "-C", "-r", "-t", "-D"], 0),
    ("doas", &["-u", "-C"], 0),
    ("env", &["-u", "-C"], 0),
    ("nice", &["-n"], 0),
    ("ionice", &["-c", "-n"], 0),
    ("chrt", &[], 1),
    ("taskset", &[], 1),
    ("timeout", &["-k", "-s"], 1),
    ("flock", &["-w", "-E"], 1),
    ("nohup", &[], 0),
    ("setsid", &[], 0),
    ("stdbuf", &["-i", "-o", "-e"], 0),
    ("chronic", &[], 0),
    ("cronic", &[], 0),
    ("unbuffer", &[], 0),
    ("xargs", &["-n", "-I", "-P", "-d", "-a", "-L"], 0),
    ("ssh", &["-p", "-i", "-l", "-o", "-F", "-J"], 1),
    ("su", &["-s", "-g"], 1),
    ("runuser", &["-u", "-g", "-s"], 0),
    ("gosu", &[], 1),
    ("machinectl", &["-u"], 2),
    ("systemd-run", &["-u", "-p", "-E", "-t"], 0),
    ("systemd-cat", &["-t", "-p"], 0),
    ("systemd-inhibit", &[], 0),
    ("dbus-run-session", &[], 0),
    ("watch", &["-n"], 0),
    ("tmux", &["-s", "-t", "-n"], 1),
    ("screen", &["-S"], 0),
    ("trickle", &[], 0),
    ("busybox", &[], 0),
];

/// What carries out a script, or the text behind `-c` or `-e`.
pub(super) const INTERPRETERS: [&str; 18] = [
    "sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "python", "python3", "node", "nodejs",
    "deno", "bun", "perl", "ruby", "php", ".", "source",
];

/// What looks at things or moves them about, and does nothing to a gateway whatever it is given.
pub(super) const HARMLESS: [&str; 66] = [
    "[",
    "[[",
    "test",
    "true",
    "false",
    ":",
    "sleep",
    "tar",
    "cp",
    "mv",
    "rm",
    "ln",
    "ls",
    "cat",
    "tee",
    "grep",
    "egrep",
    "zgrep",
    "awk",
    "sed",
    "cut",
    "sort",
    "uniq",
    "tail",
    "head",
    "wc",
    "gzip",
    "gunzip",
    "zip",
    "unzip",
    "xz",
    "zstd",
    "rsync",
    "scp",
    "rclone",
    "restic",
    "borg",
    "git",
    "df",
    "du",
    "date",
    "touch",
    "mkdir",
    "chmod",
    "chown",
    "truncate",
    "logrotate",
    "curl",
    "wget",
    "jq",
    "trap",
    "unset",
    "shift",
    "exit",
    "set",
    "dirname",
    "basename",
    "which",
    "type",
    "stat",
    "md5sum",
    "sha256sum",
    "diff",
    "journalctl",
    "gatehound",
    "pgrep",
];

/// Of these, what does nothing at all and says nothing of what it stands for.
pub(super) const STAND_INS: [&str; 4] = ["true", "false", ":", "sleep"];

/// What begins or is part of the name of a function that only says something.
pub(super) const SAYS: [&str; 19] = [
    "log", "echo", "print", "notify", "alert", "send", "msg", "message", "mail", "telegram",
    "slack", "discord", "webhook", "warn", "error", "debug", "report", "hint", "usage",
];

/// The whole name of such a function.
pub(super) const JUST_SAYS: [&str; 6] = ["say", "fail", "die", "post", "info", "abort"];
