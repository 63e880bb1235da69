//! The connection to the bus, kept between exchanges, and what arrives over it unasked.
//!
//! Owns connecting, deadlines, reconnecting and the signals about jobs.
//! It knows how the user manager is reached, and nothing of what is asked of it.

use std::{
    collections::{HashMap, VecDeque},
    env, mem,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    task::Poll,
    time::{Duration, Instant},
};

use futures_core::Stream;
use nix::unistd::geteuid;
use serde::Serialize;
use zbus::{
    AsyncDrop, Connection, DynamicType, MatchRule, Message, MessageStream, OwnedObjectPath,
    OwnedVariant, connection::Builder, match_rule, message,
};

use crate::text::line::Line;
use crate::{
    os::user_folder,
    systemd::{
        error::ManagerError,
        jobs::{JobId, Signal},
        runtime::SingleThread,
    },
};

pub const DESTINATION: &str = "org.freedesktop.systemd1";
pub const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
pub const MANAGER: &str = "org.freedesktop.systemd1.Manager";
pub const UNIT: &str = "org.freedesktop.systemd1.Unit";
pub const SERVICE: &str = "org.freedesktop.systemd1.Service";
pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub const JOB: &str = "org.freedesktop.systemd1.Job";
const JOBS_PATH: &str = "/org/freedesktop/systemd1/job";
const PEER: &str = "org.freedesktop.DBus.Peer";

/// How many signals are kept between two drains; the oldest are forgotten first.
const MAX_SIGNALS: usize = 256;

/// When an exchange has to be over, and how long that was from its beginning.
#[derive(Clone, Copy)]
pub struct Deadline {
    at: Instant,
    after: Duration,
}

impl Deadline {
    pub fn after(limit: Duration) -> Self {
        Self {
            at: Instant::now() + limit,
            after: limit,
        }
    }
}

pub struct Bus {
    runtime: SingleThread,
    address: Option<String>,
    connection: Option<Connection>,
    watch: Option<Watch>,
}

/// The signals about the jobs of one unit.
struct Watch {
    unit: String,
    /// None until the manager and the bus know that they are wanted over this connection.
    streams: Option<[MessageStream; 2]>,
    seen: VecDeque<Signal>,
}

impl Bus {
    pub fn new(address: Option<String>) -> Result<Self, ManagerError> {
        let runtime = SingleThread::new().map_err(|error| {
            ManagerError::no_bus("any address", &format!("cannot wait on a socket: {error}"))
        })?;
        Ok(Self {
            runtime,
            address: address.or_else(session_address),
            connection: None,
            watch: None,
        })
    }

    /// One try of an exchange: one with an effect is never repeated, because the first may have had it.
    pub fn tell<T>(
        &mut self,
        what: &str,
        deadline: Deadline,
        call: impl AsyncFn(&Connection) -> zbus::Result<T>,
    ) -> Result<T, ManagerError> {
        let answered = self.exchange(what, deadline, call);
        // A refusal came over a sound connection; after anything else a fresh one is safer.
        if !matches!(answered, Ok(_) | Err(ManagerError::Refused { .. })) {
            self.hang_up(deadline);
        }
        answered
    }

    /// An exchange without effect, tried once more when a kept connection turns out closed.
    pub fn ask<T>(
        &mut self,
        what: &str,
        deadline: Deadline,
        call: impl AsyncFn(&Connection) -> zbus::Result<T>,
    ) -> Result<T, ManagerError> {
        let kept = self.connection.is_some();
        match self.tell(what, deadline, &call) {
            Err(ManagerError::Lost { .. }) if kept => self.tell(what, deadline, call),
            other => other,
        }
    }

    /// Waits for the next signal, or for the end of them; `None` if the deadline comes first.
    pub fn next_of(
        &self,
        deadline: Deadline,
        signals: &mut MessageStream,
    ) -> Option<Option<zbus::Result<Message>>> {
        let next = std::future::poll_fn(|context| Pin::new(&mut *signals).poll_next(context));
        self.runtime.block_until(deadline.at, next)
    }

    /// A check trip to the manager itself, after which all it signalled before is here.
    pub fn ping(&mut self, what: &str, deadline: Deadline) -> Result<(), ManagerError> {
        self.ask(what, deadline, async |connection| {
            connection
                .call_method(Some(DESTINATION), MANAGER_PATH, Some(PEER), "Ping", &())
                .await
                .map(drop)
        })
    }

    /// From the next exchange on, hears signals about the jobs of `unit`, which the manager does not forget meanwhile.
    pub fn watch(&mut self, unit: &str, deadline: Deadline) {
        if self.watch.as_ref().is_some_and(|watch| watch.unit == unit) {
            return;
        }
        self.unwatch(deadline);
        self.watch = Some(Watch {
            unit: unit.to_owned(),
            streams: None,
            seen: VecDeque::new(),
        });
    }

    /// Hears no more signals, has the manager send none, and lets it forget the unit.
    pub fn unwatch(&mut self, deadline: Deadline) {
        let Some(Watch { unit, streams, .. }) = self.watch.take() else {
            return;
        };
        let (Some(connection), Some(streams)) = (&self.connection, streams) else {
            return;
        };
        let unsubscribed = self.runtime.block_until(deadline.at, async {
            for stream in streams {
                stream.async_drop().await;
            }
            // A refusal means that there is no such reference.
            let _ = call(connection, "UnrefUnit", &unit.as_str()).await;
            call(connection, "Unsubscribe", &()).await
        });
        // A connection that ends is unsubscribed too.
        if !matches!(unsubscribed, Some(Ok(_))) {
            self.hang_up(deadline);
        }
    }

    pub fn is_watching(&self) -> bool {
        self.watch.is_some()
    }

    /// The signals heard since the last call, in their order.
    pub fn take_signals(&mut self) -> VecDeque<Signal> {
        match &mut self.watch {
            Some(watch) => mem::take(&mut watch.seen),
            None => VecDeque::new(),
        }
    }

    fn exchange<T>(
        &mut self,
        what: &str,
        deadline: Deadline,
        call: impl AsyncFn(&Connection) -> zbus::Result<T>,
    ) -> Result<T, ManagerError> {
        let connection = self.connected(what, deadline)?;
        self.listen(what, deadline, &connection)?;
        let call = hearing(self.watch.as_mut(), call(&connection));
        let answered = self.runtime.block_until(deadline.at, call);
        self.understood(what, deadline, answered)
    }

    /// The kept connection, or a new one.
    fn connected(&mut self, what: &str, deadline: Deadline) -> Result<Connection, ManagerError> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let Some(address) = self.address.as_deref() else {
            let reason = "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set, and you have no folder /run/user/UID";
            return Err(ManagerError::no_bus("no address", reason));
        };
        let connecting = Builder::address(address)
            .runtime(self.runtime.clone())
            .build();
        let connection = match self.runtime.block_until(deadline.at, connecting) {
            Some(Ok(connection)) => connection,
            Some(Err(error)) => {
                let said = if is_missing(address) {
                    ManagerError::bus_missing
                } else {
                    ManagerError::no_bus
                };
                return Err(said(address, &reason(&error)));
            }
            None => return Err(timeout(what, deadline)),
        };
        self.connection = Some(connection.clone());
        Ok(connection)
    }

    /// Sees to it that the signals of the watch, if there is one, arrive over `connection`.
    fn listen(
        &mut self,
        what: &str,
        deadline: Deadline,
        connection: &Connection,
    ) -> Result<(), ManagerError> {
        let Some(watch) = self.watch.as_ref().filter(|watch| watch.streams.is_none()) else {
            return Ok(());
        };
        let subscribing = subscribe(connection, &watch.unit);
        let subscribed = self.runtime.block_until(deadline.at, subscribing);
        let streams = self.understood(what, deadline, subscribed)?;
        if let Some(watch) = &mut self.watch {
            watch.streams = Some(streams);
        }
        Ok(())
    }

    /// Closes the connection rather than only letting it go: a task of its own may still hold it.
    fn hang_up(&mut self, deadline: Deadline) {
        if let Some(watch) = &mut self.watch {
            watch.streams = None;
        }
        if let Some(connection) = self.connection.take() {
            // It is given up either way, so the outcome does not matter.
            let _ = self.runtime.block_until(deadline.at, connection.close());
        }
    }

    /// Turns an outcome of zbus into one of ours; `None` means that the deadline passed.
    fn understood<T>(
        &self,
        what: &str,
        deadline: Deadline,
        answered: Option<zbus::Result<T>>,
    ) -> Result<T, ManagerError> {
        let address = self.address.as_deref().unwrap_or_default();
        answered
            .ok_or_else(|| timeout(what, deadline))?
            .map_err(|error| ManagerError::of_call(what, address, error))
    }
}

fn timeout(what: &str, deadline: Deadline) -> ManagerError {
    ManagerError::Timeout {
        what: Line::new(what),
        after: deadline.after,
    }
}

/// Why connecting failed, without the address, which the message names anyway.
fn reason(error: &zbus::Error) -> String {
    match error {
        zbus::Error::Connection(error, _) | zbus::Error::InputOutput(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// The address systemctl would use, from the environment; without one the bus in the folder that logind made.
fn session_address() -> Option<String> {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let logind = || user_folder::of(geteuid(), Path::new(user_folder::ALL));
    set("DBUS_SESSION_BUS_ADDRESS").or_else(|| {
        let directory = set("XDG_RUNTIME_DIR").map(PathBuf::from).or_else(logind)?;
        Some(format!("unix:path={}/bus", directory.display()))
    })
}

/// Whether the manager of this session runs and has no bus.
pub fn bus_is_missing() -> bool {
    session_address().is_some_and(|address| is_missing(&address))
}

fn is_missing(address: &str) -> bool {
    let bus = address.strip_prefix("unix:path=").map(Path::new);
    bus.and_then(Path::parent)
        .is_some_and(user_folder::lacks_bus)
}

/// Calls a method of the manager's own object.
pub async fn call(
    connection: &Connection,
    method: &str,
    arguments: &(impl Serialize + DynamicType),
) -> zbus::Result<Message> {
    connection
        .call_method(
            Some(DESTINATION),
            MANAGER_PATH,
            Some(MANAGER),
            method,
            arguments,
        )
        .await
}

/// Has the manager send signals and keep the unit in mind, and the bus pass on what is signalled about jobs.
async fn subscribe(connection: &Connection, unit: &str) -> zbus::Result<[MessageStream; 2]> {
    call(connection, "Subscribe", &()).await?;
    // A unit of systemd-run(1) has no file, and would be forgotten as soon as it is down.
    match call(connection, "RefUnit", &unit).await {
        Ok(_) | Err(zbus::Error::MethodError(..)) => {}
        Err(error) => return Err(error),
    }
    let removed = signal(MANAGER, "JobRemoved")
        .path(MANAGER_PATH)
        .arg(2, unit)
        .build()?;
    // A job's object does not name its unit, so these are of all units.
    let state = signal(PROPERTIES, "PropertiesChanged")
        .path_namespace(JOBS_PATH)
        .arg(0, JOB)
        .build()?;
    Ok([
        MessageStream::for_match_rule(removed, connection, None).await?,
        MessageStream::for_match_rule(state, connection, None).await?,
    ])
}

fn signal<'a>(interface: &'a str, member: &'a str) -> match_rule::Builder<'a> {
    MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender(DESTINATION)
        .interface(interface)
        .member(member)
}

/// Awaits `call` and takes in signals meanwhile, because a full queue of them would hold up the answer.
///
/// The bus keeps the order, so when the answer is there, every signal sent before it is too.
async fn hearing<T>(mut watch: Option<&mut Watch>, call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    std::future::poll_fn(|cx| {
        let answer = call.as_mut().poll(cx);
        if let Some(watch) = &mut watch {
            for stream in watch.streams.iter_mut().flatten() {
                while let Poll::Ready(Some(message)) = Pin::new(&mut *stream).poll_next(cx) {
                    watch
                        .seen
                        .extend(message.ok().as_ref().and_then(understand));
                }
            }
            let excess = watch.seen.len().saturating_sub(MAX_SIGNALS);
            watch.seen.drain(..excess);
        }
        answer
    })
    .await
}

/// What a message of one of the two streams says; one that makes no sense says nothing.
fn understand(message: &Message) -> Option<Signal> {
    let header = message.header();
    let body = message.body();
    if header.member()?.as_str() == "JobRemoved" {
        let (id, _, _, result): (JobId, OwnedObjectPath, &str, &str) = body.deserialize().ok()?;
        let result = Line::new(result);
        return Some(Signal::Removed { id, result });
    }
    let (_, changed, _): (&str, HashMap<String, OwnedVariant>, Vec<String>) =
        body.deserialize().ok()?;
    let state: &str = changed.get("State")?.downcast_ref().ok()?;
    Some(Signal::State {
        id: job_id(header.path()?)?,
        state: Line::new(state),
    })
}

/// The number at the end of a job's object path.
pub fn job_id(path: &str) -> Option<JobId> {
    path.strip_prefix(JOBS_PATH)?
        .strip_prefix('/')?
        .parse()
        .ok()
}

/// A job's object path.
pub fn job_path(id: JobId) -> String {
    format!("{JOBS_PATH}/{id}")
}
