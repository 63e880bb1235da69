//! What has to hold whatever comes from outside: one property for each way in, shared by the fuzz targets and `cargo test`.
//!
//! Each takes any bytes, gives them to the very entry point that the daemon uses, and panics where they get the better of it.
//! It knows nothing of where the bytes come from.

// Each fuzz target uses one of them.
#![allow(dead_code)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener},
    os::unix::fs::symlink,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use gatehound::{
    daemon::{memory::Memory, status_line::status},
    history::timeline::History,
    journal::{entry::Entry, gateway_log, journalctl, logged::Moment},
    os::{
        cgroup::{self, Usage},
        folders::Variables,
        listeners, main_thread, processes,
        state_file::{Kept, StateFile},
        wall_clock,
    },
    other_watchdogs::{
        crontab::{Crontab, Job as CronJob},
        deeds::Gateway,
    },
    pause::pause_file,
    policy::{
        CleanedUp, Done, Event,
        answer::{Answer, Effect, WatchdogMessage},
        facts::{
            Breaker, Failure, Health, Invocation, Job, JobKind, Look, Monotonic, Outcome, Pause,
            Probe, Stall, UnitFacts, Useful,
        },
        state::{Phase, State},
        step,
    },
    probe::{
        gateway::Finder,
        http::{Client, Target},
        openclaw_json,
        readiness::{self, Readiness},
        stall::{self, LastTurn, Reading, Request},
        update,
    },
    recovery::evidence,
    settings::{
        MAX_SPAN, Settings,
        layers::{self, Loaded, Sources},
    },
    systemd,
    text::{
        line::{Line, MAX_CHARS},
        words::Names,
    },
};
use serde_json::Value;
use tempfile::TempDir;

/// A property of any bytes.
pub type Property = fn(&[u8]);

/// Every property by the name of its fuzz target and of the folder of its corpus.
pub const ALL: [(&str, Property); 14] = [
    ("cgroup_files", cgroup_files),
    ("crontab", crontab),
    ("gateway", gateway),
    ("http", http),
    ("journal_records", journal_records),
    ("line", line),
    ("openclaw_json", openclaw_json),
    ("pause_file", pause_file),
    ("proc_files", proc_files),
    ("settings", settings),
    ("spans", spans),
    ("state_file", state_file),
    ("tcp_tables", tcp_tables),
    ("unit_properties", unit_properties),
];

/// Characters that show as nothing or reorder what stands beside them, named one by one on purpose:
/// the code under test must not be what says which they are.
const TREACHEROUS: [char; 27] = [
    '\u{85}',
    '\u{ad}',
    '\u{61c}',
    '\u{180e}',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{200e}',
    '\u{200f}',
    '\u{2028}',
    '\u{2029}',
    '\u{202a}',
    '\u{202b}',
    '\u{202c}',
    '\u{202d}',
    '\u{202e}',
    '\u{2060}',
    '\u{2066}',
    '\u{2067}',
    '\u{2068}',
    '\u{2069}',
    '\u{3164}',
    '\u{fe0f}',
    '\u{feff}',
    '\u{fff9}',
    '\u{e0041}',
    '\u{e0100}',
];

/// Holds that a text is one line that a terminal shows as it is.
#[track_caller]
pub fn is_clean(text: &str) {
    let bad = text
        .chars()
        .find(|c| c.is_control() || TREACHEROUS.contains(c));
    assert_eq!(bad, None, "{text:?}");
}

/// Holds that a text is clean and short enough for a message.
#[track_caller]
fn is_short(text: &str) {
    is_clean(text);
    assert!(text.chars().count() <= MAX_CHARS, "{text:?}");
    assert_eq!(text, text.trim());
}

/// A folder for files that are to be read, one for each thread, for as long as it runs.
fn with_folder<T>(use_it: impl FnOnce(&Path) -> T) -> T {
    thread_local!(static FOLDER: TempDir = tempfile::tempdir().unwrap());
    FOLDER.with(|folder| use_it(folder.path()))
}

/// The parts of an input, which a line of dashes separates; as many as are wanted, the last ones empty if need be.
fn parts<const N: usize>(input: &[u8]) -> [&[u8]; N] {
    const BREAK: &[u8] = b"\n---\n";
    let mut rest = Some(input);
    std::array::from_fn(|_| {
        let whole = rest.take().unwrap_or_default();
        let at = whole.windows(BREAK.len()).position(|bytes| bytes == BREAK);
        let Some(at) = at else { return whole };
        rest = whole.get(at + BREAK.len()..);
        &whole[..at]
    })
}

/// Text that is to be shown somewhere, and the lines of the gateway's that journalctl prints.
pub fn line(input: &[u8]) {
    let line = Line::lossy(input);
    is_short(line.as_str());
    assert!(!line.as_str().contains("  "));
    assert_eq!(Line::new(line.as_str()), line);
    let json = serde_json::to_string(&line).unwrap();
    assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), line);
    let lines = journalctl::lines(input, gateway_log::LINES);
    assert!(lines.len() <= gateway_log::LINES);
    lines.iter().for_each(|line| is_short(line.as_str()));
    let tripped = gateway_log::breaker(&lines).and_then(|said| match said {
        Breaker::Tripped(what) => Some(what),
        Breaker::Recovered => None,
    });
    let quotes = [gateway_log::last_error(&lines), tripped];
    quotes
        .iter()
        .flatten()
        .for_each(|quote| is_short(quote.as_str()));
}

/// The records that journalctl prints, and the history that is folded from them.
pub fn journal_records(input: &[u8]) {
    let told = journalctl::logged(input);
    for told in &told {
        is_short(told.text.as_str());
        told.fields
            .values()
            .for_each(|value| is_short(value.as_str()));
        is_short(&wall_clock::local(told.at.wall));
    }
    let now = Moment {
        wall: Duration::from_secs(1_800_000_000),
        boot: "boot".to_owned(),
        monotonic: BEGIN,
    };
    let since = Duration::from_secs(1_700_000_000);
    let history = History::of(&told, since, &now, told.len().is_multiple_of(2));
    assert!(history.failing <= history.watched);
    let availability = history.availability().unwrap_or_default();
    assert!((0.0..=1.0).contains(&availability), "{availability}");
    let _ = history.mean_time_to_recover();
    for past in &history.incidents {
        is_short(&past.id);
        let _ = wall_clock::utc(past.began);
    }
    assert!(
        history
            .stood_by
            .iter()
            .rev()
            .skip(1)
            .all(|one| !one.under_way)
    );
}

/// openclaw.json.
pub fn openclaw_json(input: &[u8]) {
    match openclaw_json::parse(input) {
        Ok(said) => {
            assert_ne!(said.port, Some(0));
            said.problem
                .iter()
                .for_each(|problem| is_short(problem.as_str()));
        }
        Err(why) => is_short(why.as_str()),
    }
}

/// pause.json: a pause that ends, whatever is written there.
pub fn pause_file(input: &[u8]) {
    const DOUBTFUL: Duration = Duration::from_secs(3600);
    with_folder(|dir| {
        fs::write(dir.join("pause.json"), input).unwrap();
        let places = pause_file::Places {
            dir,
            flag_file: &dir.join("no flag file"),
            boot_id: "boot",
            uid: 0,
            doubtful: DOUBTFUL,
            profile: "",
        };
        let now = pause_file::Now {
            boottime: Duration::from_secs(7200),
            wall: SystemTime::now(),
        };
        let found = pause_file::look(&places, now);
        for warning in &found.warnings {
            is_short(warning.as_str());
        }
        if let Some(pause) = found.pause {
            is_short(pause.reason.as_str());
            let remaining = pause.remaining.unwrap();
            assert!(Duration::ZERO < remaining && remaining <= MAX_SPAN);
            // Only what makes sense may last longer than what does not.
            assert!(found.warnings.is_empty() || remaining <= DOUBTFUL);
        }
    });
}

/// A port on this machine that answers every request with the same bytes.
struct Server {
    address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    fn start() -> Mutex<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::default(),
        };
        let answer = Arc::clone(&server.answer);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // A request comes in one piece.
                let _ = stream.read(&mut [0; 4096]);
                let answer = answer.lock().unwrap().clone();
                let _ = stream.write_all(&answer);
                let _ = stream.shutdown(Shutdown::Write);
                // Closed with something unread, it would take back what it has sent.
                while stream.read(&mut [0; 4096]).is_ok_and(|read| 0 < read) {}
            }
        });
        Mutex::new(server)
    }

    fn answers(&self, bytes: Vec<u8>) -> Target {
        *self.answer.lock().unwrap() = bytes;
        Target {
            address: self.address,
            tls: false,
        }
    }
}

/// The answer of a gateway: the first byte says whether the others are all of it, over TCP or in place of TLS,
/// or the body of a sound one.
///
/// Whatever a gateway answers, it is for the gateway to answer for:
/// taken for trouble of our own, it would never be restarted.
pub fn http(input: &[u8]) {
    static SERVER: OnceLock<Mutex<Server>> = OnceLock::new();
    const LIMIT: Duration = Duration::from_secs(10);
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    let length = bytes.len();
    let kind = kind % 5;
    let head = match kind {
        0 | 4 => String::new(),
        1 => format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"),
        2 => format!("HTTP/1.1 503 Service Unavailable\r\ncontent-length: {length}\r\n\r\n"),
        _ => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
    };
    let server = SERVER.get_or_init(Server::start).lock();
    let server = server.unwrap_or_else(PoisonError::into_inner);
    let target = Target {
        tls: kind == 4,
        ..server.answers([head.as_bytes(), bytes].concat())
    };
    let client = Client::new(target);
    let (any, health) = (client.http(LIMIT), client.health(LIMIT));
    for outcome in [&any, &health] {
        match outcome {
            Outcome::Pass(_) => {}
            Outcome::Fail { reason, .. } => is_short(reason.as_str()),
            // What TLS makes of an alert or of an offer that it does not take may be for us to fix.
            Outcome::Unknown(why) if kind == 4 => is_short(why.as_str()),
            Outcome::Unknown(why) => panic!("{why}"),
        }
    }
    match kind {
        1 => {
            assert!(matches!(any, Outcome::Pass(_)), "{any:?}");
            let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
            let ok = body.get("ok") == Some(&Value::Bool(true)) && length <= 64 * 1024;
            assert_eq!(matches!(health, Outcome::Pass(_)), ok, "{health:?}");
        }
        2 => assert!(matches!(health, Outcome::Fail { answered: true, .. })),
        _ => {}
    }
    if let Readiness::Degraded(parts) = readiness::ready(&target, LIMIT) {
        assert!(!parts.is_empty());
        parts.iter().for_each(|part| is_short(part.as_str()));
    }
}

/// /proc/net/tcp and /proc/net/tcp6.
pub fn tcp_tables(input: &[u8]) {
    const PORT: u16 = 18789;
    let [tcp, tcp6] = parts(input);
    with_folder(|proc| {
        fs::create_dir_all(proc.join("net")).unwrap();
        fs::write(proc.join("net/tcp"), tcp).unwrap();
        fs::write(proc.join("net/tcp6"), tcp6).unwrap();
        let table = |port| listeners::listening(proc, port);
        let [listening, on_none] = [PORT, 0].map(table);
        match listening {
            Ok(listening) => {
                let expected = in_listen(tcp, PORT) + in_listen(tcp6, PORT);
                assert_eq!(listening.len(), expected);
                let address = listeners::address_to_probe(&listening);
                assert_eq!(address.is_some(), 0 < expected);
                assert!(on_none.is_ok());
            }
            Err(why) => is_short(why.as_str()),
        }
    });
}

/// How many lines of a table are of sockets in LISTEN on a port.
fn in_listen(table: &[u8], port: u16) -> usize {
    let text = String::from_utf8_lossy(table);
    let is_one = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let own = fields.get(1).and_then(|field| field.split(':').nth(1));
        let is_port = own.and_then(number) == Some(port.into());
        is_port && fields.get(3).and_then(|field| number(field)) == Some(0x0a)
    };
    text.lines().skip(1).filter(is_one).count()
}

/// The files of one process: stat, status, cgroup, environ, cmdline, and the rest of what evidence reads.
pub fn proc_files(input: &[u8]) {
    const PID: u32 = 4242;
    let files: [&[u8]; 9] = parts(input);
    let names = [
        "stat",
        "status",
        "cgroup",
        "environ",
        "cmdline",
        "wchan",
        "syscall",
        "limits",
        "oom_score",
    ];
    with_folder(|proc| {
        let dir = proc.join(PID.to_string());
        let thread = dir.join("task").join(PID.to_string());
        fs::create_dir_all(&thread).unwrap();
        fs::create_dir_all(dir.join("fd")).unwrap();
        let _ = symlink("socket:[777]", dir.join("fd/3"));
        for (name, bytes) in names.iter().zip(files) {
            fs::write(dir.join(name), bytes).unwrap();
        }
        fs::write(thread.join("stat"), files[0]).unwrap();
        for (name, bytes) in [
            ("status", files[1]),
            ("schedstat", files[6]),
            ("wchan", files[5]),
            ("children", files[8]),
        ] {
            fs::write(thread.join(name), bytes).unwrap();
        }
        the_stall_is_clean(proc, PID);
        fs::write(proc.join("loadavg"), files[6]).unwrap();
        if let Some(process) = processes::process(proc, PID) {
            is_short(process.command.as_str());
            let _ = processes::unit_of(&process.cgroup);
            // systemd's words for "none" and for the root name no unit.
            assert!(processes::in_cgroup(proc, "").is_empty());
            assert!(processes::in_cgroup(proc, "/").is_empty());
        }
        let _ = processes::is_marked(proc, PID, "openclaw-gateway.service", None);
        assert_eq!(listeners::held(proc, PID, &[777, 778]), [777]);
        the_evidence_is_clean(proc, PID);
    });
}

fn the_stall_is_clean(proc: &Path, pid: u32) {
    let now = Duration::from_secs(1 << 20);
    let reading = Reading {
        activity: processes::activity(proc, pid),
        turns: main_thread::turns(proc, pid),
        sleeps_in: main_thread::sleeps_in(proc, pid),
        children: main_thread::children(proc, pid, now),
        unit: Some(Usage {
            cpu: Some(Duration::ZERO),
            ..Usage::default()
        }),
    };
    let (_, sentence) = stall::judge(&Request {
        before: &reading,
        after: &reading,
        elapsed: Duration::from_secs(5),
        answered: false,
        last_turn: &LastTurn::default(),
        now,
    });
    is_short(sentence.as_str());
}

fn the_evidence_is_clean(proc: &Path, main_pid: u32) {
    let places = evidence::Places {
        proc: proc.to_owned(),
        cgroup: None,
        journalctl: "/nonexistent".into(),
    };
    let subject = evidence::Subject {
        stall: Stall::Blocked,
        detail: Line::default(),
        unit: "openclaw-gateway.service".to_owned(),
        // Without a name of the run journalctl is not asked.
        invocation: None,
        control_group: String::new(),
        main_pid,
        port: 18789,
    };
    let evidence = evidence::collect(&places, &subject, Duration::from_secs(10));
    is_short(evidence.summary().as_str());
    for (_, value) in evidence.fields() {
        is_clean(&value);
    }
    let file = serde_json::to_string_pretty(&evidence).unwrap();
    file.lines().for_each(is_clean);
}

/// The path of a cgroup as the user manager gives it, and the files that lie there.
pub fn cgroup_files(input: &[u8]) {
    const OUTSIDE: &str = "usage_usec 123454321\n";
    let [path, stat, events, freeze, memory, memory_events, pressure] = parts(input);
    with_folder(|top| {
        let root = top.join("cgroups");
        let group = root.join("unit");
        fs::create_dir_all(&group).unwrap();
        fs::write(top.join("cpu.stat"), OUTSIDE).unwrap();
        fs::write(root.join("cpu.stat"), OUTSIDE).unwrap();
        for (name, bytes) in [
            ("cpu.stat", stat),
            ("cgroup.events", events),
            ("cgroup.freeze", freeze),
            ("memory.current", memory),
            ("memory.events", memory_events),
            ("cpu.pressure", pressure),
            ("memory.pressure", pressure),
            ("io.pressure", pressure),
            ("memory.high", memory),
            ("cpu.max", memory),
        ] {
            fs::write(group.join(name), bytes).unwrap();
        }
        let seen = cgroup::look(&root, "/unit");
        for percent in [seen.cpu_pressure, seen.memory_pressure, seen.io_pressure] {
            assert!(percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)));
        }
        serde_json::to_string(&seen).unwrap();
        let _ = cgroup::usage(&root, "/unit");
        // Whatever path is named, what lies above the root, or is the whole machine's, is not a unit's.
        let path = String::from_utf8_lossy(path);
        let elsewhere = cgroup::cpu_used(&root, &path);
        assert_ne!(elsewhere, Some(Duration::from_micros(123_454_321)));
    });
}

/// What the user manager answers when it is asked for the unit: two bodies, as they come over the bus.
pub fn unit_properties(input: &[u8]) {
    let [unit, service] = parts(input);
    let Some(facts) = systemd::understood(unit, service) else {
        return;
    };
    let id = facts.invocation_id.as_ref().map(|id| id.0.as_str());
    assert!(id.is_none_or(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    let lists = facts.exec_start.iter().chain(&facts.environment);
    assert!(lists.map(String::len).sum::<usize>() <= 64 * 1024);
    the_gateway_is_found(&facts);
    let mut run = Run::new(State::default());
    run.unit = facts.clone();
    for stall in [Stall::Gone, Stall::Busy] {
        run.looks(failing(stall));
    }
    if facts.load_state == "loaded" && facts.active_state == "active" && facts.job.is_none() {
        run.a_gateway_that_hangs_is_restarted(facts);
    }
}

/// A crontab: what goes is nothing but a start of the old watchdog, and what stays stays byte for byte.
pub fn crontab(input: &[u8]) {
    let home = Path::new("/nonexistent");
    let gateway = Gateway::new("openclaw-gateway.service", None);
    let crontab = Crontab::new(input.to_vec(), home, &gateway);
    let left = crontab.without_watchdogs();
    let mut kept = left.split_inclusive(|byte| *byte == b'\n').peekable();
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        if kept.next_if(|kept| *kept == line).is_none() {
            only_starts_a_watchdog(line);
        }
    }
    assert!(kept.next().is_none(), "a line that was not there");
    let jobs = Crontab::new(left, home, &gateway).jobs();
    assert!(jobs.iter().all(|(job, _)| *job != CronJob::Watchdog));
    crontab
        .jobs()
        .iter()
        .for_each(|(_, line)| is_short(line.as_str()));
}

/// By what a shell makes of characters, which is not how the code under test goes about it.
fn only_starts_a_watchdog(line: &[u8]) {
    let text = str::from_utf8(line).expect("text");
    assert!(text.to_lowercase().contains("openclaw"), "{text:?}");
    assert!(!text.trim_start().starts_with('#'), "{text:?}");
    let words: Vec<&str> = text.split_whitespace().collect();
    let time = if words[0].starts_with('@') { 1 } else { 5 };
    let command = words[time..].join(" ");
    let harmless = ["$HOME/", "${HOME}/", "&&", ">&", "&>"];
    let rest = harmless
        .iter()
        .fold(command.to_owned(), |rest, it| rest.replace(it, ""));
    let special = |c: char| "|&$`'\"\\*?[]{}%#!\0".contains(c) || !c.is_ascii();
    assert!(!rest.contains(special), "{text:?}");
    for part in command.replace("&&", ";").split([';', '(', ')']) {
        let part = part.trim().to_lowercase();
        let redirects = part.is_empty() || part.starts_with(['<', '>', '&', '1', '2']);
        let starts = part.contains("watchdog") || part.contains("sleep");
        assert!(starts || redirects, "{text:?}");
    }
}

/// ExecStart and Environment of the unit, in lines: what begins with `+` is an argument, all else an assignment.
pub fn gateway(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (arguments, assignments): (Vec<&str>, Vec<&str>) =
        text.split('\n').partition(|line| line.starts_with('+'));
    the_gateway_is_found(&UnitFacts {
        exec_start: arguments.iter().map(|line| line[1..].to_owned()).collect(),
        environment: assignments.iter().map(|line| (*line).to_owned()).collect(),
        ..UnitFacts::default()
    });
}

fn the_gateway_is_found(facts: &UnitFacts) {
    // Where nobody's openclaw.json lies, whatever the unit says: only paths are of interest here.
    let home = ("HOME".into(), "/nonexistent".into());
    let mut finder = Finder::new(&Variables::from([home]));
    let found = finder.find(
        &Settings::default(),
        "openclaw-gateway.service",
        Some(facts),
    );
    assert_ne!(found.port, 0);
    let profile = found.profile.unwrap_or_default();
    assert!(!profile.contains(['/', '.', '\0', '\n']), "{profile:?}");
    found
        .problem
        .iter()
        .for_each(|problem| is_short(problem.as_str()));
    let sign = update::look(
        &facts.exec_start,
        facts.environment.first().map(String::as_str),
        SystemTime::now(),
    );
    sign.iter().for_each(|sign| is_short(sign.as_str()));
    let sign = update::look(&facts.exec_start, None, SystemTime::now());
    sign.iter().for_each(|sign| is_short(sign.as_str()));
}

/// config.toml: refused in one line, or settings that can be gone by and given again.
pub fn settings(input: &[u8]) {
    with_folder(|folder| {
        fs::write(folder.join("config.toml"), input).unwrap();
        let sources = Sources {
            folder: folder.to_owned(),
            ..Sources::default()
        };
        let loaded = match layers::load(&sources) {
            Ok(loaded) => loaded,
            Err(wrong) => return is_clean(&wrong.to_string()),
        };
        can_be_gone_by(&loaded);
        let shown = layers::show(&loaded);
        let given = shown.iter().filter(|one| one.value != "unset");
        let again = Sources {
            overrides: given
                .map(|one| format!("{}={}", one.key, one.value))
                .collect(),
            ..Sources::default()
        };
        let again = layers::load(&again).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(again.settings, loaded.settings);
    });
}

/// A span of time, as a setting and as that of a pause.
pub fn spans(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for key in [
        "interval",
        "retry_after",
        "backoff",
        "grace.gone",
        "nonsense",
    ] {
        let sources = Sources {
            overrides: vec![format!("{key}={text}")],
            ..Sources::default()
        };
        match layers::load(&sources) {
            Ok(loaded) => can_be_gone_by(&loaded),
            Err(wrong) => is_clean(&wrong.to_string()),
        }
    }
    if let Err(why) = wall_clock::moment(&text) {
        is_short(why.as_str());
    }
    let Ok(span) = humantime::parse_duration(&text) else {
        return;
    };
    with_folder(|dir| {
        let dir = dir.join("runtime");
        match gatehound::pause::pause_write::set(
            &dir,
            "boot",
            Duration::from_secs(1),
            span,
            &text,
            Line::default(),
        ) {
            Ok(()) => assert!(!span.is_zero() && span <= MAX_SPAN),
            Err(why) => is_short(why.as_str()),
        }
    });
}

fn can_be_gone_by(loaded: &Loaded) {
    let settings = &loaded.settings;
    assert_ne!(settings.gateway.port, Some(0));
    for span in [settings.interval, settings.grace.interval] {
        assert!(!span.is_zero() && span <= MAX_SPAN);
    }
    assert!(!settings.backoff.is_empty());
    for shown in layers::show(loaded) {
        for text in [&shown.key, &shown.value, &shown.origin] {
            is_clean(text);
        }
    }
    loaded
        .warnings
        .iter()
        .for_each(|warning| is_short(warning.as_str()));
}

/// The state of a predecessor, behind a first line whose bytes say what happens to the successor.
///
/// A state that is taken is kept as it is, whatever happens next ends in watchdog timeouts that end,
/// and a gateway that hangs from then on is restarted, whatever was remembered.
pub fn state_file(input: &[u8]) {
    let at = input.iter().position(|byte| *byte == b'\n');
    let (happens, state) = input.split_at(at.unwrap_or_default());
    let Some(memory) = with_folder(|dir| kept(dir, state)) else {
        return;
    };
    let mut run = Run::new(memory.state);
    for byte in happens {
        run.happens(*byte);
    }
    // The run that is remembered, then another one.
    let same = UnitFacts {
        invocation_id: run.state.gateway.invocation.clone(),
        ..unit("active", 1)
    };
    run.a_gateway_that_hangs_is_restarted(same);
    let next = UnitFacts {
        invocation_id: Some(Invocation("e4".repeat(16))),
        ..unit("active", run.now.0)
    };
    run.a_gateway_that_hangs_is_restarted(next);
}

/// The state that is read from a file with these bytes, and read again as it was.
fn kept(dir: &Path, bytes: &[u8]) -> Option<Memory> {
    let file = StateFile::<Memory>::new(dir, "boot");
    fs::write(dir.join("state.json"), bytes).unwrap();
    let memory = match file.peek() {
        Kept::Restored(memory) => memory,
        Kept::Rejected(why) => {
            is_short(why.as_str());
            return None;
        }
        Kept::Fresh | Kept::OtherBoot => return None,
    };
    // What was read in may take more room than it did, and is refused in one line then.
    if let Err(why) = file.save(&memory) {
        is_short(why.as_str());
        return Some(memory);
    }
    let Kept::Restored(again) = file.peek() else {
        panic!("cannot be read back")
    };
    assert_eq!(again.state, memory.state);
    assert_eq!(
        (again.unit, again.own_unit),
        (memory.unit.clone(), memory.own_unit.clone())
    );
    Some(memory)
}

/// A policy at work, and what it is told.
struct Run {
    settings: Settings,
    state: State,
    now: Monotonic,
    unit: UnitFacts,
    foreign_job: bool,
    pause: Option<Pause>,
    stops: u32,
    left: bool,
}

/// How far the clock of this boot has got when the successor begins: an hour.
const BEGIN: Monotonic = Monotonic(3_600_000_000);

impl Run {
    fn new(state: State) -> Self {
        Self {
            settings: Settings::default(),
            state: state.restored(BEGIN),
            now: BEGIN,
            unit: unit("active", 1),
            foreign_job: false,
            pause: None,
            stops: 0,
            left: false,
        }
    }

    /// Lets the policy answer, and answers its effects as the daemon does.
    fn tell(&mut self, event: Event) {
        let mut event = Some(event);
        while let Some(next) = event.take() {
            let state = self.state.clone();
            let (state, answer) = step(&self.settings, state, next, self.now);
            self.state = state;
            let shown = status(&self.settings, &self.state, Names::default(), self.now);
            is_short(shown.as_str());
            self.hear(&answer);
            event = answer.effect.as_ref().map(done).map(Event::Done);
        }
        // Whatever it waits for, it looks again soon.
        let wait = self.state.next.since(self.now);
        assert!(wait <= self.settings.interval, "{:?}", self.state);
    }

    fn hear(&mut self, answer: &Answer) {
        if let Some(WatchdogMessage::Timeout(timeout)) = answer.watchdog {
            assert!(timeout < Duration::from_secs(180), "{timeout:?}");
        }
        for noted in &answer.records {
            let incident = noted.incident.as_deref();
            let entry = Entry::of(&noted.record, incident, &self.state, Names::default());
            is_short(entry.text.as_str());
            entry.fields.iter().for_each(|(_, value)| is_clean(value));
        }
        self.stops += u32::from(matches!(answer.effect, Some(Effect::Stop { .. })));
        self.left |= answer.leave;
    }

    fn looks(&mut self, health: Health) {
        self.now = self.state.next.max(self.now);
        self.tell(Event::Looked(Box::new(Look {
            began: self.now,
            frozen: false,
            unit: Ok(self.unit.clone()),
            foreign_job: self.foreign_job,
            joined: 0,
            pause: self.pause.clone(),
            update: None,
            remedy: None,
            config: None,
            last_words: None,
            debugged: false,
            listens: Line::default(),
            port_holder: None,
            left_over: None,
            without_health: false,
            progress: Some(false),
            ran_after: None,
            health,
        })));
    }

    /// One of a few dozen things, as the byte says.
    fn happens(&mut self, byte: u8) {
        const STATES: [&str; 6] = [
            "active",
            "inactive",
            "failed",
            "activating",
            "deactivating",
            "reloading",
        ];
        let pick = usize::from(byte >> 3);
        match byte & 7 {
            0 => self.looks(Health::Healthy(Duration::from_millis(3))),
            1 => self.looks(failing(Stall::ALL[pick % Stall::ALL.len()])),
            2 => self.looks(Health::Unknown("no descriptors".into())),
            3 => self.unit = unit(STATES[pick % STATES.len()], u64::from(byte)),
            4 => self.now = self.now + Duration::from_secs(1 << pick.min(20)),
            5 => {
                self.unit.job = (pick % 3 != 0).then_some(Job {
                    id: u32::from(byte),
                    ours: pick % 3 == 1,
                    kind: match pick % 5 {
                        0 => JobKind::Start,
                        1 => JobKind::Stop,
                        _ => JobKind::Other,
                    },
                });
            }
            6 => self.foreign_job = pick % 2 == 0,
            _ => match pick % 8 {
                0 => self.tell(Event::Resumed),
                1 => self.tell(Event::Reset),
                2 => self.tell(Event::Leave),
                6 => self.tell(Event::Suspected),
                3 => self.state = self.state.clone().restored(self.now),
                4 => self.unit.invocation_id = None,
                5 => self.looks(Health::NotProbed),
                _ => {
                    self.pause = (pick % 2 == 0).then(|| Pause {
                        reason: "by hand".into(),
                        remaining: None,
                    });
                }
            },
        }
    }

    /// Has a run of the gateway go on that answers nothing, for longer than all grace, all backoffs,
    /// the window of forced stops and a hold together.
    ///
    /// Unless Gatehound leaves, or has stopped this run before, it has to stop it within that time.
    fn a_gateway_that_hangs_is_restarted(&mut self, unit: UnitFacts) {
        (self.pause, self.foreign_job, self.stops) = (None, false, 0);
        self.unit = unit;
        let end = self.now + Duration::from_secs(3600);
        while self.stops == 0 && !self.state.leaving && !self.holds_for_good() {
            self.looks(failing(Stall::Blocked));
            assert!(self.now < end, "never restarted: {:?}", self.state);
        }
    }

    fn holds_for_good(&self) -> bool {
        matches!(self.state.phase, Phase::GaveUp { .. }) && self.state.gateway.stopped
    }
}

/// What the daemon would answer an effect.
fn done(effect: &Effect) -> Done {
    match effect {
        Effect::AskReadiness => Done::Readiness(Useful::default()),
        Effect::Stop { .. } => Done::Stop(Ok(7)),
        Effect::Kill => Done::Kill(Ok(())),
        Effect::Cleanup { .. } => Done::Cleanup(Ok(CleanedUp::default())),
        Effect::Restore { .. } => Done::Restored(Ok("/kept/1.json".into())),
        Effect::Start => Done::Start(Ok(())),
    }
}

fn failing(stall: Stall) -> Health {
    Health::Failing(Failure {
        probe: Probe::Http,
        reason: "no answer within 5 s".into(),
        stall,
        detail: Line::default(),
    })
}

fn unit(active_state: &str, run: u64) -> UnitFacts {
    UnitFacts {
        load_state: "loaded".into(),
        active_state: active_state.into(),
        invocation_id: Some(Invocation(format!("{run:032x}"))),
        active_since: Monotonic(run),
        restart: "always".into(),
        ..UnitFacts::default()
    }
}
