//! The runtime under the D-Bus connection; it makes progress only inside [`SingleThread::block_until`].
//!
//! Owns the choice that no thread is ever started for D-Bus.
//! It knows zbus and zruntime, and nothing of systemd.
//!
//! zbus's own runtime hands a connection that outlives a call to a helper thread.
//! One made by `SharedRuntime::new` has, by its documentation, no helper ever,
//! so a connection kept on it rests between calls.

use std::{
    future::{Future, ready},
    io,
    net::SocketAddr,
    os::{
        linux::net::SocketAddrExt,
        unix::{ffi::OsStrExt, net},
    },
    path::Path,
    pin::Pin,
    process::{Command, ExitStatus, Stdio},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use zbus::runtime::{
    Interest, IoSource,
    traits::{PollIo, Runtime, TaskHandle},
};
use zruntime::{Shared, SharedRuntime, net::unix::UnixStream};

/// A runtime that the calling thread drives, for as long as a call lasts.
#[derive(Clone)]
pub struct SingleThread(SharedRuntime);

impl SingleThread {
    /// Makes one; what can fail is the kernel's readiness queue, when descriptors have run out.
    pub fn new() -> io::Result<Self> {
        SharedRuntime::new().map(Self)
    }

    /// Runs `future`, and everything spawned here, until it is done; `None` if `deadline` comes first.
    pub fn block_until<T>(&self, deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
        self.0.block_on(self.0.timeout_at(deadline, future)).ok()
    }
}

impl Runtime for SingleThread {
    type RegisteredIoSource = Watched;
    type Sleep = zruntime::Sleep<Shared>;
    type Task<T>
        = Task<T>
    where
        T: Send + 'static;

    fn register_io_source(&self, source: IoSource) -> io::Result<Watched> {
        self.0.register(source).map(Watched)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn spawn<T>(&self, name: &str, future: impl Future<Output = T> + Send + 'static) -> Task<T>
    where
        T: Send + 'static,
    {
        Task(self.0.spawn(name.to_owned(), future))
    }

    async fn connect_tcp(&self, _: SocketAddr) -> io::Result<IoSource> {
        Err(unsupported("a bus over TCP"))
    }

    async fn connect_unix(&self, path: &Path) -> io::Result<IoSource> {
        let stream = UnixStream::<Shared>::connect_addr(&self.0, &socket_address(path)?).await?;
        Ok(IoSource::from(std::os::fd::OwnedFd::from(
            stream.into_std(),
        )))
    }

    fn spawn_process(
        &self,
        _: Command,
        _: Stdio,
        _: Stdio,
        _: Stdio,
    ) -> io::Result<Pin<Box<dyn Future<Output = io::Result<ExitStatus>> + Send + 'static>>> {
        Err(unsupported("a bus behind a helper process"))
    }

    /// Runs the work at once, on this thread: over a unix socket zbus has none that blocks.
    fn spawn_blocking<T>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = T> + Send + 'static>>
    where
        T: Send + 'static,
    {
        Box::pin(ready(work()))
    }
}

/// The address of `path`; a leading zero byte names an abstract socket, as zbus passes it.
fn socket_address(path: &Path) -> io::Result<net::SocketAddr> {
    match path.as_os_str().as_bytes().split_first() {
        Some((0, name)) => net::SocketAddr::from_abstract_name(name),
        _ => net::SocketAddr::from_pathname(path),
    }
}

fn unsupported(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("{what} is not supported"),
    )
}

/// A socket whose readiness the runtime watches.
pub struct Watched(zruntime::Registration<Shared>);

impl PollIo for Watched {
    fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
        operation: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let interest = match interest {
            Interest::Readable => zruntime::Interest::Readable,
            Interest::Writable => zruntime::Interest::Writable,
            _ => return Poll::Ready(Err(unsupported("this kind of readiness"))),
        };
        self.0.poll_io(cx, interest, operation)
    }
}

/// A task on the runtime; dropping it cancels it.
pub struct Task<T>(zruntime::Task<T, Shared>);

impl<T> Future for Task<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T: Send + 'static> TaskHandle<T> for Task<T> {
    fn detach(self) {
        self.0.detach();
    }
}
