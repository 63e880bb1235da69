//! The stand-in gateway: behaves like OpenClaw's where a watchdog can see it, and misbehaves on demand.
//!
//! Like the real one it is a single event loop in the main thread, so that a blocked or spinning loop neither answers
//! nor drains on SIGTERM.
//! A second thread only takes orders; the main thread carries them out and confirms them when they are in force.
//! Knows nothing of Gatehound.
//!
//! Two users: the end-to-end suite runs it as a process ([`main`]), the adapters' tests inside their own
//! ([`spawn_in_process`]).

// Each of the two users leaves some of it unused, and clippy's leave for tests covers only `#[test]` functions.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod event_loop;
mod mode;
mod stand_in_http;

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

pub use self::mode::Mode;

use self::event_loop::{End, EventLoop};

/// An order to the event loop.
enum Order {
    /// Change the behaviour; the call confirms that the new one is in force.
    Behave(Mode, Box<dyn FnOnce() + Send>),
    /// Leave the loop.
    End,
}

/// The sending end for orders, with the byte that wakes the loop, and what may be asked of it at any time.
struct Orders {
    sender: Sender<Order>,
    waker: UnixStream,
    /// How often `/health` was asked for: each watcher does so once in a check of a healthy gateway.
    asked: Arc<AtomicU64>,
}

impl Orders {
    fn give(&self, order: Order) {
        // A loop that has ended takes no more orders; its process is on its way out.
        let _ = self.sender.send(order);
        let _ = (&self.waker).write_all(b"!");
    }
}

/// A stand-in gateway on a thread of this process, ended when dropped.
pub struct InProcess {
    /// The port it listens on, on 127.0.0.1.
    pub port: u16,
    orders: Orders,
    thread: Option<JoinHandle<()>>,
}

/// Starts a stand-in gateway on a thread, on a free port of 127.0.0.1.
///
/// Panics for the modes that concern a whole process: `stopped`, `exit`, `abort` and `fork-listener`.
pub fn spawn_in_process(mode: Mode) -> InProcess {
    refuse_process_modes(&mode);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("the address of a listener");
    let (orders, mut event_loop) = EventLoop::new(vec![address], vec![listener], None);
    let thread = thread::spawn(move || {
        event_loop.run(mode);
    });
    InProcess {
        port: address.port(),
        orders,
        thread: Some(thread),
    }
}

impl InProcess {
    /// Changes the behaviour, and returns when the new one is in force.
    pub fn set(&self, mode: Mode) {
        refuse_process_modes(&mode);
        let (sender, confirmed) = mpsc::channel();
        self.orders.give(Order::Behave(
            mode,
            Box::new(move || {
                let _ = sender.send(());
            }),
        ));
        confirmed
            .recv()
            .expect("the event loop runs until it is dropped");
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.orders.give(Order::End);
        if let Some(thread) = self.thread.take() {
            // A panic in the loop has been printed; a second one in a drop would abort the test.
            let _ = thread.join();
        }
    }
}

fn refuse_process_modes(mode: &Mode) {
    let for_process = matches!(
        mode,
        Mode::Stopped | Mode::Exit(_) | Mode::Abort | Mode::ForkListener(_)
    );
    assert!(!for_process, "the mode {mode:?} concerns a whole process");
}

/// What the process was asked to be.
struct Arguments {
    port: u16,
    addresses: Vec<IpAddr>,
    control: Option<PathBuf>,
    mode_file: Option<PathBuf>,
    mode: Mode,
    start_delay: Duration,
    start_busy: Duration,
    refuses: Option<String>,
    listener_on_stdin: bool,
}

/// Runs the stand-in gateway as this process, in the main thread.
///
/// Arguments, in any order: `gateway` and the others that people give the real one (ignored), `--token TOKEN` (likewise),
/// `--port N` (else `$OPENCLAW_GATEWAY_PORT`, else 18789), `--bind ADDRESS` (repeatable, like the words in
/// `$STAND_IN_BIND`; 127.0.0.1 and, where there is one, ::1; the real one's `lan` is 0.0.0.0), `--control PATH`, `--mode-file PATH`, `--mode MODE`,
/// `--refuses TEXT` (exits with 78 where openclaw.json in `$OPENCLAW_STATE_DIR` contains it, not at once),
/// `--start-delay MS` (asleep) and `--start-busy MS` (burning CPU) before the port opens.
pub fn main(arguments: &[String]) -> ExitCode {
    match parse(arguments).and_then(run) {
        Ok(End::Terminated) => {
            println!("[gateway] signal SIGTERM received, shutdown complete");
            ExitCode::SUCCESS
        }
        Ok(End::Exited(code)) => ExitCode::from(code),
        Err(reason) => {
            eprintln!("[gateway] Gateway failed to start: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Orders a running stand-in gateway to behave in a mode, and returns its reply: `ok` once the mode is in force.
///
/// The order `asked` changes nothing, and the reply is how often `/health` was asked for.
pub fn order(control: &Path, mode: &str) -> io::Result<String> {
    let mut control = UnixStream::connect(control)?;
    control.set_read_timeout(Some(Duration::from_secs(30)))?;
    writeln!(control, "{mode}")?;
    let mut reply = String::new();
    BufReader::new(control).read_line(&mut reply)?;
    Ok(reply.trim_end().to_owned())
}

/// `order CONTROL MODE`: [`order`] for whoever is outside the machine.
pub fn order_main(arguments: &[String]) -> ExitCode {
    let [control, mode] = arguments else {
        panic!("order CONTROL MODE")
    };
    match order(Path::new(control), mode).as_deref() {
        Ok("ok") => ExitCode::SUCCESS,
        other => {
            eprintln!("order {mode}: {other:?}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Arguments, String> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let addresses = set("STAND_IN_BIND").unwrap_or_default();
    let mut parsed = Arguments {
        port: set("OPENCLAW_GATEWAY_PORT").map_or(Ok(18789), |port| number(&port))?,
        addresses: addresses
            .split_whitespace()
            .map(|address| {
                address
                    .parse()
                    .map_err(|error| format!("{address}: {error}"))
            })
            .collect::<Result<_, _>>()?,
        control: None,
        mode_file: None,
        mode: Mode::Healthy,
        start_delay: Duration::ZERO,
        start_busy: Duration::ZERO,
        refuses: None,
        listener_on_stdin: false,
    };
    let apart = |argument: &String| match argument.split_once('=') {
        Some((option @ "--port", value)) => vec![option.to_owned(), value.to_owned()],
        _ => vec![argument.clone()],
    };
    let arguments: Vec<String> = arguments.iter().flat_map(apart).collect();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || {
            rest.next()
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "gateway" | "start" | "run" | "--foreground" | "--force" | "--allow-unconfigured" => {}
            script if script.ends_with(".js") => {}
            "--token" => drop(value()?),
            "--port" => parsed.port = number(value()?)?,
            "--bind" => match value()?.as_str() {
                "auto" | "loopback" | "tailnet" => {}
                "lan" => parsed.addresses.push(Ipv4Addr::UNSPECIFIED.into()),
                address => parsed.addresses.push(
                    address
                        .parse()
                        .map_err(|error| format!("--bind: {error}"))?,
                ),
            },
            "--control" => parsed.control = Some(value()?.into()),
            "--mode-file" => parsed.mode_file = Some(value()?.into()),
            "--mode" => parsed.mode = value()?.parse()?,
            "--start-delay" => parsed.start_delay = Duration::from_millis(number(value()?)?),
            "--start-busy" => parsed.start_busy = Duration::from_millis(number(value()?)?),
            "--refuses" => parsed.refuses = Some(value()?.to_owned()),
            "--listener-on-stdin" => parsed.listener_on_stdin = true,
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(parsed)
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| format!("{text} is not a number in range"))
}

fn run(arguments: Arguments) -> Result<End, String> {
    // Before the first thread, so that no thread takes the signal the ordinary way.
    let mut term = SigSet::empty();
    term.add(Signal::SIGTERM);
    term.thread_block()
        .map_err(|error| format!("cannot block SIGTERM: {error}"))?;
    let signals =
        SignalFd::new(&term).map_err(|error| format!("cannot watch for SIGTERM: {error}"))?;

    let mode = match &arguments.mode_file {
        Some(path) if path.exists() => {
            let text =
                fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            text.trim().parse()?
        }
        _ => arguments.mode,
    };
    let refuses = arguments
        .refuses
        .is_some_and(|text| config().contains(&text));
    // The real one needs 2.5 s until it refuses; this is longer than the kernel's clock for files may stand still.
    if refuses && term_within(&signals, Duration::from_millis(200))? {
        return Ok(End::Terminated);
    }
    let mode = if refuses { Mode::Exit(78) } else { mode };
    // Broken before it would listen, as the real one is by a bad configuration.
    if mode == Mode::Breaker {
        println!(
            "[gateway] gateway restart-loop breaker tripped: 3 unclean boot(s) within 300000ms; \
             suppressing channel/provider account auto-start."
        );
    }
    if let Mode::Exit(code) = mode {
        eprintln!(
            "[gateway] Gateway failed to start: Invalid config: <root>: Unrecognized key \"stand-in\""
        );
        return Ok(End::Exited(code));
    }
    if term_within(&signals, arguments.start_delay)? {
        return Ok(End::Terminated);
    }
    spin_for(arguments.start_busy);

    let (addresses, listeners) = listeners(
        arguments.port,
        arguments.addresses,
        arguments.listener_on_stdin,
    )?;
    let (orders, mut event_loop) = EventLoop::new(addresses, listeners, Some(signals));
    // Without a control socket the sending end is kept all the same: its end would be an event to the loop.
    let _kept = match arguments.control {
        Some(path) => take_orders(&path, orders).map(|()| None)?,
        None => Some(orders),
    };
    println!(
        "\u{1b}[36m[gateway]\u{1b}[39m listening on port {} (PID {})",
        arguments.port,
        std::process::id()
    );
    Ok(event_loop.run(mode))
}

/// The text of openclaw.json, where there is one.
fn config() -> String {
    let folder = std::env::var_os("OPENCLAW_STATE_DIR").unwrap_or_default();
    fs::read_to_string(Path::new(&folder).join("openclaw.json")).unwrap_or_default()
}

/// Sleeps this long; true when SIGTERM came first.
fn term_within(signals: &SignalFd, time: Duration) -> Result<bool, String> {
    let timeout =
        PollTimeout::try_from(time).map_err(|error| format!("--start-delay: {error:?}"))?;
    let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, timeout)
        .map(|ready| 0 < ready)
        .map_err(|error| format!("poll: {error}"))
}

fn spin_for(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// Opens the listening sockets, or takes over the one a parent handed down.
fn listeners(
    port: u16,
    wanted: Vec<IpAddr>,
    on_stdin: bool,
) -> Result<(Vec<SocketAddr>, Vec<TcpListener>), String> {
    if on_stdin {
        let inherited = std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| error.to_string())?;
        let listener = TcpListener::from(inherited);
        let address = listener
            .local_addr()
            .map_err(|error| format!("standard input is no listener: {error}"))?;
        return Ok((vec![address], vec![listener]));
    }
    let (wanted, default) = match wanted.is_empty() {
        true => (
            vec![
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ],
            true,
        ),
        false => (wanted, false),
    };
    let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
    for address in wanted.into_iter().map(|ip| SocketAddr::new(ip, port)) {
        match TcpListener::bind(address) {
            Ok(listener) => {
                addresses.push(address);
                listeners.push(listener);
            }
            // A host without IPv6 has no ::1, and the real gateway does without it as well.
            Err(error)
                if default
                    && address.is_ipv6()
                    && error.kind() == std::io::ErrorKind::AddrNotAvailable => {}
            Err(error) => {
                return Err(format!(
                    "another gateway instance is already listening on {address}: {error}"
                ));
            }
        }
    }
    Ok((addresses, listeners))
}

/// Serves the control socket on a thread: a line with a mode in, `ok` out once it is in force.
fn take_orders(path: &Path, orders: Orders) -> Result<(), String> {
    // A predecessor that was killed left its socket behind.
    let _ = fs::remove_file(path);
    let listener =
        UnixListener::bind(path).map_err(|error| format!("{}: {error}", path.display()))?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            take_order(stream, &orders);
        }
    });
    Ok(())
}

fn take_order(mut stream: UnixStream, orders: &Orders) {
    let Ok(reader) = stream.try_clone() else {
        return;
    };
    let mut line = String::new();
    if BufReader::new(reader).read_line(&mut line).is_err() {
        return;
    }
    if line.trim() == "asked" {
        let asked = orders.asked.load(Ordering::Relaxed);
        return drop(writeln!(stream, "{asked}"));
    }
    match line.trim().parse() {
        // The main thread writes the reply itself: after `abort` or `stopped` nobody else could.
        Ok(mode) => orders.give(Order::Behave(
            mode,
            Box::new(move || {
                let _ = stream.write_all(b"ok\n");
            }),
        )),
        Err(reason) => drop(writeln!(stream, "error: {reason}")),
    }
}
