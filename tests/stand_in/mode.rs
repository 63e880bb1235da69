//! The named ways in which the stand-in gateway behaves.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One way to behave.
///
/// Every mode is written as its name in kebab case, with `=` and a number where it has one; times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As the real one when all is well.
    Healthy,
    /// The listening sockets are closed while the process runs on.
    PortGone,
    /// Connections are accepted and requests read, and nothing is ever answered.
    AcceptAndSilent,
    /// A good head at once, then one byte of body every 100 ms for ever.
    Drip,
    /// One byte of an endless head every 100 ms.
    DripHeader,
    /// A good head announcing 1 GiB that begins like a healthy answer.
    HugeBody,
    /// A healthy answer below a header field of 1 MiB.
    HugeHeader,
    /// The banner of another protocol.
    NotHttp,
    /// 302 to a path that would answer healthily.
    Redirect,
    /// 404 on `/`, `/health` as ever: a gateway without its control UI.
    Root404,
    /// 403 on `/`, `/health` as ever: a gateway that asks for credentials.
    Root403,
    /// `/ready` says that a channel is down; all else is well.
    Degraded,
    /// At start it says that its crash-loop breaker tripped; `/health` and `/ready` are those of a healthy one.
    Breaker,
    /// `/health` says `"ok":false`.
    OkFalse,
    /// `/health` says an `ok` that would forge a notification, and colour and reorder what a terminal shows.
    Foul,
    /// `/health` is a JSON object without `ok`.
    NoOk,
    /// `/health` is a page, with status 200: a gateway too old to know the route.
    Html,
    /// `/health` is a healthy answer cut short, so no JSON.
    NotJson,
    /// Closed when the request has been read, without a byte of answer.
    ClosesEarly,
    /// Closed in the middle of the announced body.
    ClosesInBody,
    /// A plain-text request is answered with a TLS alert.
    TlsGarbage,
    /// The healthy answer, this late.
    Slow(Duration),
    /// `/` as ever, while `/health` answers in another mode; written `health:MODE`.
    Health(Box<Mode>),
    /// The main thread sleeps, now and then for a moment awake, with the port open; for ever without a time.
    Blocked(Option<Duration>),
    /// The main thread waits for a lock that nobody releases, with the port open; for ever without a time.
    Deadlocked(Option<Duration>),
    /// The main thread waits for a child that it has just started, with the port open; for ever without a time.
    Waiting(Option<Duration>),
    /// The main thread spins, with the port open; for ever without a time.
    Busy(Option<Duration>),
    /// The process stops itself with SIGSTOP, and is healthy again after SIGCONT.
    Stopped,
    /// Healthy, and SIGTERM does nothing.
    IgnoresTerm,
    /// The process exits with this status; at start, before it listens.
    Exit(u8),
    /// The process aborts.
    Abort,
    /// A child process holds the listening socket and behaves in this mode; written `fork-listener[:MODE]`.
    ForkListener(Box<Mode>),
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("unknown mode {text:?}");
        if let Some((name, inner)) = text.split_once(':') {
            let inner = Box::new(inner.parse()?);
            return match name {
                "health" => Ok(Self::Health(inner)),
                "fork-listener" => Ok(Self::ForkListener(inner)),
                _ => Err(unknown()),
            };
        }
        if let Some((name, value)) = text.split_once('=') {
            let number: u64 = value.parse().map_err(|_| unknown())?;
            let time = Duration::from_millis(number);
            return match name {
                "slow" => Ok(Self::Slow(time)),
                "blocked-for" => Ok(Self::Blocked(Some(time))),
                "deadlocked-for" => Ok(Self::Deadlocked(Some(time))),
                "waiting-for" => Ok(Self::Waiting(Some(time))),
                "busy-for" => Ok(Self::Busy(Some(time))),
                "exit" => u8::try_from(number).map(Self::Exit).map_err(|_| unknown()),
                _ => Err(unknown()),
            };
        }
        Self::plain(text).ok_or_else(unknown)
    }
}

impl Mode {
    fn plain(name: &str) -> Option<Self> {
        Some(match name {
            "healthy" => Self::Healthy,
            "port-gone" => Self::PortGone,
            "accept-and-silent" => Self::AcceptAndSilent,
            "drip" => Self::Drip,
            "drip-header" => Self::DripHeader,
            "huge-body" => Self::HugeBody,
            "huge-header" => Self::HugeHeader,
            "not-http" => Self::NotHttp,
            "redirect" => Self::Redirect,
            "root-404" => Self::Root404,
            "root-403" => Self::Root403,
            "degraded" => Self::Degraded,
            "breaker" => Self::Breaker,
            "ok-false" => Self::OkFalse,
            "foul" => Self::Foul,
            "no-ok" => Self::NoOk,
            "html" => Self::Html,
            "not-json" => Self::NotJson,
            "closes-early" => Self::ClosesEarly,
            "closes-in-body" => Self::ClosesInBody,
            "tls-garbage" => Self::TlsGarbage,
            "blocked" => Self::Blocked(None),
            "deadlocked" => Self::Deadlocked(None),
            "waiting" => Self::Waiting(None),
            "busy" => Self::Busy(None),
            "stopped" => Self::Stopped,
            "ignores-term" => Self::IgnoresTerm,
            "abort" => Self::Abort,
            "fork-listener" => Self::ForkListener(Box::new(Self::Healthy)),
            _ => return None,
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Healthy => "healthy",
            Self::PortGone => "port-gone",
            Self::AcceptAndSilent => "accept-and-silent",
            Self::Drip => "drip",
            Self::DripHeader => "drip-header",
            Self::HugeBody => "huge-body",
            Self::HugeHeader => "huge-header",
            Self::NotHttp => "not-http",
            Self::Redirect => "redirect",
            Self::Root404 => "root-404",
            Self::Root403 => "root-403",
            Self::Degraded => "degraded",
            Self::Breaker => "breaker",
            Self::OkFalse => "ok-false",
            Self::Foul => "foul",
            Self::NoOk => "no-ok",
            Self::Html => "html",
            Self::NotJson => "not-json",
            Self::ClosesEarly => "closes-early",
            Self::ClosesInBody => "closes-in-body",
            Self::TlsGarbage => "tls-garbage",
            Self::Blocked(None) => "blocked",
            Self::Deadlocked(None) => "deadlocked",
            Self::Waiting(None) => "waiting",
            Self::Busy(None) => "busy",
            Self::Stopped => "stopped",
            Self::IgnoresTerm => "ignores-term",
            Self::Abort => "abort",
            Self::Slow(time) => return write!(formatter, "slow={}", time.as_millis()),
            Self::Blocked(Some(time)) => {
                return write!(formatter, "blocked-for={}", time.as_millis());
            }
            Self::Deadlocked(Some(time)) => {
                return write!(formatter, "deadlocked-for={}", time.as_millis());
            }
            Self::Waiting(Some(time)) => {
                return write!(formatter, "waiting-for={}", time.as_millis());
            }
            Self::Busy(Some(time)) => return write!(formatter, "busy-for={}", time.as_millis()),
            Self::Exit(code) => return write!(formatter, "exit={code}"),
            Self::Health(inner) => return write!(formatter, "health:{inner}"),
            Self::ForkListener(inner) => return write!(formatter, "fork-listener:{inner}"),
        };
        formatter.write_str(name)
    }
}
