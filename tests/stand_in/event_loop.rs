//! The single-threaded event loop: listeners, connections, SIGTERM and orders, all in one poll.
//!
//! Whatever hangs this loop hangs everything, which is the point of it.

use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio, abort};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use super::mode::Mode;
use super::stand_in_http::{Request, Then, answer};
use super::{Order, Orders};

/// Why the loop ended.
pub enum End {
    /// SIGTERM, or the order to end.
    Terminated,
    /// The order to exit with this status.
    Exited(u8),
}

/// The state of the loop.
pub struct EventLoop {
    addresses: Vec<SocketAddr>,
    listeners: Vec<TcpListener>,
    connections: Vec<Connection>,
    mode: Mode,
    orders: Receiver<Order>,
    woken: UnixStream,
    signals: Option<SignalFd>,
    child: Option<Child>,
    asked: Arc<AtomicU64>,
}

impl EventLoop {
    /// A loop over these listeners, which are bound to these addresses, and the way to give it orders.
    pub fn new(
        addresses: Vec<SocketAddr>,
        listeners: Vec<TcpListener>,
        signals: Option<SignalFd>,
    ) -> (Orders, Self) {
        let (sender, orders) = mpsc::channel();
        let (waker, woken) = UnixStream::pair().expect("a pair of sockets");
        woken
            .set_nonblocking(true)
            .expect("a socket that does not block");
        let connections = Vec::new();
        let child = None;
        let asked = Arc::new(AtomicU64::new(0));
        let mode = Mode::Healthy;
        let event_loop = Self {
            addresses,
            listeners,
            connections,
            mode,
            orders,
            woken,
            signals,
            child,
            asked: Arc::clone(&asked),
        };
        let orders = Orders {
            sender,
            waker,
            asked,
        };
        (orders, event_loop)
    }

    /// Runs in this mode, then in those it is ordered into, until its end.
    pub fn run(&mut self, mode: Mode) -> End {
        for listener in &self.listeners {
            listener
                .set_nonblocking(true)
                .expect("a listener that does not block");
        }
        let mut next = self.behave(mode, Box::new(|| {}));
        loop {
            while let Some(order) = next.take().or_else(|| self.orders.try_recv().ok()) {
                match order {
                    Order::End => return self.end(End::Terminated),
                    Order::Behave(Mode::Exit(code), confirm) => {
                        confirm();
                        return self.end(End::Exited(code));
                    }
                    Order::Behave(mode, confirm) => next = self.behave(mode, confirm),
                }
            }
            if self.wait_for_event() {
                return self.end(End::Terminated);
            }
            self.accept();
            for connection in &mut self.connections {
                connection.progress(&self.mode, &self.asked);
            }
            self.connections.retain(|connection| !connection.closed);
        }
    }

    fn end(&mut self, end: End) -> End {
        self.end_child();
        end
    }

    /// Enters a mode; hands back the order that ended one in which the loop does not turn.
    fn behave(&mut self, mode: Mode, confirm: Box<dyn FnOnce() + Send>) -> Option<Order> {
        self.end_child();
        match &mode {
            Mode::PortGone => {
                self.listeners.clear();
                self.connections.clear();
            }
            Mode::ForkListener(inner) => self.hand_listener_to_child(&inner.clone()),
            _ => self.listen_again(),
        }
        self.mode = mode;
        confirm();
        match self.mode {
            Mode::Blocked(time) => self.pause(time, true),
            Mode::Deadlocked(time) => self.wait_for_lock(time),
            Mode::Waiting(time) => self.wait_for_child(time),
            Mode::Busy(time) => self.pause(time, false),
            Mode::Stopped => {
                kill(Pid::this(), Signal::SIGSTOP).expect("stop this process");
                None
            }
            Mode::Abort => abort(),
            _ => None,
        }
    }

    /// The channel of the orders is a lock for whoever looks from outside: a futex.
    fn wait_for_lock(&mut self, time: Option<Duration>) -> Option<Order> {
        let order = match time {
            None => self.orders.recv().ok(),
            Some(time) => self.orders.recv_timeout(time).ok(),
        };
        order.or_else(|| Some(Order::Behave(Mode::Healthy, Box::new(|| {}))))
    }

    /// No order ends this, as nothing ends a synchronous child but its own end.
    fn wait_for_child(&mut self, time: Option<Duration>) -> Option<Order> {
        let time = time.map_or("infinity".to_owned(), |it| it.as_secs_f64().to_string());
        let child = Command::new("sleep").arg(time).status();
        child.expect("run sleep");
        Some(Order::Behave(Mode::Healthy, Box::new(|| {})))
    }

    /// Sleeps or spins, and obeys orders meanwhile.
    fn pause(&mut self, time: Option<Duration>, sleeps: bool) -> Option<Order> {
        let end = time.map(|time| Instant::now() + time);
        loop {
            if let Ok(order) = self.orders.try_recv() {
                return Some(order);
            }
            if end.is_some_and(|end| end <= Instant::now()) {
                return Some(Order::Behave(Mode::Healthy, Box::new(|| {})));
            }
            if sleeps {
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Opens the listeners again where a mode had closed them.
    fn listen_again(&mut self) {
        if !self.listeners.is_empty() {
            return;
        }
        for address in &self.addresses {
            let listener = TcpListener::bind(address)
                .unwrap_or_else(|error| panic!("listen on {address}: {error}"));
            listener
                .set_nonblocking(true)
                .expect("a listener that does not block");
            self.listeners.push(listener);
        }
    }

    /// Gives the first listener to a child and closes all of them here.
    fn hand_listener_to_child(&mut self, mode: &Mode) {
        self.listen_again();
        let port = self.addresses[0].port().to_string();
        let listener = self.listeners.swap_remove(0);
        self.listeners.clear();
        let mut child = Command::new(env::current_exe().expect("the path of this executable"));
        child.args([
            "stand-in-gateway",
            "gateway",
            "--port",
            &port,
            "--listener-on-stdin",
            "--mode",
        ]);
        child
            .arg(mode.to_string())
            .stdin(Stdio::from(OwnedFd::from(listener)));
        self.child = Some(child.spawn().expect("a child to hold the listener"));
    }

    fn end_child(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until there is something to do; true when it is to end on SIGTERM.
    fn wait_for_event(&mut self) -> bool {
        let mut fds = vec![PollFd::new(self.woken.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            self.signals
                .as_ref()
                .map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)),
        );
        fds.extend(
            self.listeners
                .iter()
                .map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)),
        );
        fds.extend(self.connections.iter().map(Connection::poll_fd));
        let next = self
            .connections
            .iter()
            .filter_map(|connection| connection.due)
            .min();
        // As the timers of the real one, which wake it some 50 times a second.
        let timeout = next.map_or(PollTimeout::from(200_u8), |due| {
            // Up to the next millisecond: poll cannot wait for less and would spin.
            let wait = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
        let asked = fds
            .get(1)
            .filter(|_| self.signals.is_some())
            .is_some_and(|fd| fd.any() == Some(true));
        let _ = (&self.woken).read(&mut [0; 64]);
        if !asked {
            return false;
        }
        let signal = self.signals.as_ref().map(SignalFd::read_signal);
        matches!(signal, Some(Ok(Some(_)))) && self.mode != Mode::IgnoresTerm
    }

    fn accept(&mut self) {
        for listener in &self.listeners {
            while let Ok((stream, _)) = listener.accept() {
                if stream.set_nonblocking(true).is_ok() {
                    self.connections.push(Connection::new(stream));
                }
            }
        }
    }
}

/// One client.
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    sending: Vec<u8>,
    sent: usize,
    then: Then,
    /// When the next bytes may be sent; none while they may at once or there are none.
    due: Option<Instant>,
    closed: bool,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            received: Vec::new(),
            sending: Vec::new(),
            sent: 0,
            then: Then::Read,
            due: None,
            closed: false,
        }
    }

    fn poll_fd(&self) -> PollFd<'_> {
        let sending = self.sent < self.sending.len() && self.due.is_none();
        let flags = if sending {
            PollFlags::POLLIN | PollFlags::POLLOUT
        } else {
            PollFlags::POLLIN
        };
        PollFd::new(self.stream.as_fd(), flags)
    }

    /// Reads, answers and sends as far as it goes without waiting.
    fn progress(&mut self, mode: &Mode, asked: &AtomicU64) {
        self.receive();
        if self.closed || self.due.is_some_and(|due| Instant::now() < due) {
            return;
        }
        self.due = None;
        if matches!(self.then, Then::Read) && self.sent == self.sending.len() {
            let Some(request) = Request::take(&mut self.received) else {
                return;
            };
            if request.is_for_health() {
                asked.fetch_add(1, Ordering::Relaxed);
            }
            let answer = answer(mode, &request);
            (self.sending, self.sent, self.then) = (answer.bytes, 0, answer.then);
            if !answer.delay.is_zero() {
                self.due = Some(Instant::now() + answer.delay);
                return;
            }
        }
        self.send();
    }

    fn receive(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.closed = true,
                Ok(length) => {
                    self.received.extend_from_slice(&buffer[..length]);
                    // No request worth answering is longer, and a flood must not fill the memory.
                    self.closed |= (64 << 10) < self.received.len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.closed = true,
            }
            if self.closed {
                return;
            }
        }
    }

    fn send(&mut self) {
        while self.sent < self.sending.len() {
            match self.stream.write(&self.sending[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
        match &self.then {
            Then::Close => self.closed = true,
            Then::Read | Then::Silence => {}
            Then::Repeat(bytes, every) => {
                (self.sending, self.sent) = (bytes.clone(), 0);
                self.due = (!every.is_zero()).then(|| Instant::now() + *every);
            }
        }
    }
}
