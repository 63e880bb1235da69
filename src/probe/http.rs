//! The HTTP probes: does `/` answer, does `/health` say `"ok": true`, over plain HTTP or TLS.
//!
//! Owns the HTTP client and its limits; it knows nothing of listeners, processes or grace.
//! No type of the client leaves this file.

use std::{
    cell::Cell,
    fmt::Display,
    io::{self, Read as _},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use ureq::{Agent, Body, Error, Timeout, http::Response, tls::TlsConfig};

use crate::{policy::facts::Outcome, text::line::Line};

/// A healthy `/health` answers in 27 bytes; a web page, which is what old gateways answer, in 18 KiB.
const MAX_BODY: usize = 64 * 1024;

/// A healthy gateway sends less than 2 KiB of header.
const MAX_HEADER: usize = 8 * 1024;

/// More than the largest header, because the client reports one that fills its buffer as a closed connection;
/// and not much more, because it clears the buffer for each connection.
const INPUT_BUFFER: usize = MAX_HEADER + 2 * 1024;

/// The request is one short line and a few fields.
const OUTPUT_BUFFER: usize = 1024;

/// What is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// A request's turn in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It opens a connection, which stays open if the gateway likes.
    First,
    /// It takes the connection that was left open, if it still is, and closes it.
    Last,
    /// It opens a connection and closes it.
    Only,
}

/// Asks one gateway: `/` over a new connection, then `/health` over the same one where the gateway keeps it open.
///
/// A connection is as dear as what is asked over it.
/// None is kept for longer than that, because it would hide that no new one is accepted.
pub struct Client {
    target: Target,
    agent: Agent,
    /// Whether the gateway may have left a connection open.
    open: Cell<bool>,
    /// Whether the last answer to `/health` was that of a server that has none.
    has_no_health: Cell<bool>,
}

impl Client {
    /// A client that has asked nothing yet.
    pub fn new(target: Target) -> Self {
        let config = Agent::config_builder()
            // By default `http_proxy` would send the probe to another machine.
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .max_idle_connections(1)
            .max_response_header_size(MAX_HEADER)
            .input_buffer_size(INPUT_BUFFER)
            .output_buffer_size(OUTPUT_BUFFER)
            .user_agent(concat!("gatehound/", env!("CARGO_PKG_VERSION")))
            .tls_config(any_certificate());
        Self {
            target,
            agent: config.build().into(),
            open: Cell::new(false),
            has_no_health: Cell::new(false),
        }
    }

    /// What it asks.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Asks for `/` and takes any status for an answer.
    ///
    /// `limit` is how long the answer may take once the request is sent; over TLS the handshake may take
    /// 0.7 times as long, and the answer half as long. See [`longest`] for the whole.
    pub fn http(&self, limit: Duration) -> Outcome {
        let start = Instant::now();
        match self.ask("/", limit, Turn::First) {
            Ok(response) => {
                let took = start.elapsed();
                // Only behind a body that was read can the connection be used again; what is in it does not matter.
                let length = response.body().content_length();
                let short = length.is_some_and(|length| length <= MAX_BODY as u64);
                self.open
                    .set(short && read(response.into_body(), limit).is_ok());
                Outcome::Pass(took)
            }
            Err(outcome) => outcome,
        }
    }

    /// Asks for `/health`, which has to answer with status 200 and a JSON object that has `"ok": true`.
    ///
    /// `limit` is as for [`Self::http`].
    pub fn health(&self, limit: Duration) -> Outcome {
        let start = Instant::now();
        let turn = match self.open.take() {
            true => Turn::Last,
            false => Turn::Only,
        };
        self.has_no_health.set(false);
        let response = match self.ask("/health", limit, turn) {
            Ok(response) => response,
            Err(outcome) => return outcome,
        };
        let status = response.status().as_u16();
        self.has_no_health.set(status == 404);
        if status != 200 {
            return fail(format_args!("status {status}"));
        }
        let body = match read(response.into_body(), limit) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        self.has_no_health.set(body.trim_ascii().starts_with(b"<"));
        match judge(&body) {
            Ok(()) => Outcome::Pass(start.elapsed()),
            Err(reason) => fail(reason),
        }
    }

    /// Whether the last answer to [`Self::health`] was status 404 or a web page, as of a gateway older than `/health`.
    pub fn has_no_health(&self) -> bool {
        self.has_no_health.get()
    }

    /// One GET, or the outcome that its failure is.
    fn ask(&self, path: &str, limit: Duration, mut turn: Turn) -> Result<Response<Body>, Outcome> {
        let start = Instant::now();
        let early = || start.elapsed() < limit / 2;
        let mut left = limit;
        let mut answered = self.get(path, left, turn);
        // The gateway may close a connection just when it is used again, and that is no failure.
        if turn == Turn::Last && early() && answered.as_ref().is_err_and(is_about_the_connection) {
            (turn, left) = (Turn::Only, limit.saturating_sub(start.elapsed()));
            answered = self.get(path, left, turn);
        }
        answered.map_err(|error| {
            // Either kind of server turns the other kind of client away at once, which leaves time for a second request.
            if early() && is_turned_away(&error) && self.speaks_the_other(path, limit) {
                return mismatch(&self.target);
            }
            before_the_body(error, self.target.tls, &self.budgets(left, turn))
        })
    }

    /// Whether the port answers over TLS where plain HTTP was spoken, or the other way check.
    fn speaks_the_other(&self, path: &str, limit: Duration) -> bool {
        let other = Self::new(Target {
            tls: !self.target.tls,
            ..self.target
        });
        other.get(path, limit / 10, Turn::Only).is_ok()
    }

    /// One GET.
    ///
    /// The address is numeric, and there is no limit on the whole call or on name resolution:
    /// with either of these ureq 3.5 starts a thread for each request.
    fn get(&self, path: &str, limit: Duration, turn: Turn) -> Result<Response<Body>, Error> {
        let Target { address, tls } = self.target;
        let budgets = self.budgets(limit, turn);
        let scheme = if tls { "https" } else { "http" };
        let mut request = self.agent.get(format!("{scheme}://{address}{path}"));
        if turn != Turn::First {
            request = request.header("connection", "close");
        }
        let youngest = match turn {
            Turn::Last => limit,
            Turn::First | Turn::Only => Duration::ZERO,
        };
        request
            .config()
            .max_idle_age(youngest)
            .timeout_connect(Some(budgets.connect))
            .timeout_send_request(Some(budgets.send))
            .timeout_recv_response(Some(budgets.answer))
            .timeout_recv_body(Some(budgets.body))
            .build()
            .call()
    }

    /// On a connection that was left open there is no handshake to wait for.
    fn budgets(&self, limit: Duration, turn: Turn) -> Budgets {
        Budgets::of(self.target.tls && turn != Turn::Last, limit)
    }
}

/// One GET on a connection of its own.
pub(crate) fn get(target: &Target, path: &str, limit: Duration) -> Result<Response<Body>, Error> {
    Client::new(*target).get(path, limit, Turn::Only)
}

/// The longest that one probe can take: the time limits of its phases together.
pub fn longest(limit: Duration) -> Duration {
    let budgets = Budgets::of(false, limit);
    budgets.connect + budgets.send + budgets.answer + budgets.body
}

/// How the phases of a probe are limited.
struct Budgets {
    /// The TLS handshake is a part of it.
    connect: Duration,
    send: Duration,
    answer: Duration,
    body: Duration,
}

impl Budgets {
    /// On one machine all but the answer takes microseconds, so a fraction of its time is ample.
    ///
    /// Over TLS the gateway's event loop has to answer twice, and it is the handshake that finds it stalled.
    /// Connection and answer together get the same time either way, so that a check is no longer over TLS.
    fn of(tls: bool, limit: Duration) -> Self {
        let (connect, answer) = if tls {
            (limit * 7 / 10, limit / 2)
        } else {
            (limit / 5, limit)
        };
        Self {
            connect,
            send: limit / 10,
            answer,
            body: limit / 5,
        }
    }
}

/// The gateway works, and what we take it for is wrong: no restart would fix that.
fn mismatch(target: &Target) -> Outcome {
    Outcome::Unknown(Line::new(if target.tls {
        "the port speaks plain HTTP, gateway.tls says TLS; set gateway.tls = false"
    } else {
        "the port speaks TLS, gateway.tls says it does not; set gateway.tls = true"
    }))
}

/// TLS with whatever certificate the gateway shows.
///
/// It is self-signed and made by the gateway itself, so nothing pings for it that could be checked.
/// Nor does anything rest on it: the request carries no secret, it goes to a socket that was seen listening
/// on this machine, and whoever holds that socket could as well answer over plain HTTP.
fn any_certificate() -> TlsConfig {
    TlsConfig::builder()
        .disable_verification(true)
        .unversioned_rustls_crypto_provider(Arc::new(crate::os::tls::provider()))
        .build()
}

/// The whole body, or the outcome that its absence is.
pub(crate) fn read(body: Body, limit: Duration) -> Result<Vec<u8>, Outcome> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a body that is too large from one that just fits.
    let most = MAX_BODY as u64 + 1;
    if let Err(error) = body.into_reader().take(most).read_to_end(&mut bytes) {
        return Err(within_the_body(Error::from(error), bytes.len(), limit));
    }
    if MAX_BODY < bytes.len() {
        return Err(fail("answer larger than 64 KiB"));
    }
    Ok(bytes)
}

/// Whether this is what a healthy gateway says, else what it is instead.
fn judge(body: &[u8]) -> Result<(), Line> {
    let text = body.trim_ascii();
    match text.first() {
        None => return Err(Line::new("empty answer")),
        Some(b'<') => return Err(Line::new("HTML instead of JSON")),
        Some(_) => {}
    }
    let answer: Value = serde_json::from_slice(text).map_err(|_| Line::new("not JSON"))?;
    let Value::Object(members) = answer else {
        return Err(Line::new("not a JSON object"));
    };
    match members.get("ok") {
        Some(Value::Bool(true)) => Ok(()),
        Some(value) => Err(Line::new(&format!("\"ok\": {value}"))),
        None => Err(Line::new("no \"ok\" in the answer")),
    }
}

/// What an error says that came before the answer's header was complete.
fn before_the_body(error: Error, tls: bool, budgets: &Budgets) -> Outcome {
    match error {
        Error::Timeout(Timeout::Connect) => silent(format_args!(
            "no {} within {}",
            if tls { "TLS handshake" } else { "connection" },
            span(budgets.connect)
        )),
        Error::Timeout(Timeout::SendRequest) => silent(format_args!(
            "request not taken within {}",
            span(budgets.send)
        )),
        Error::Timeout(_) => silent(format_args!("no answer within {}", span(budgets.answer))),
        Error::LargeResponseHeader(..) => fail("answer header too large"),
        Error::Protocol(error) => fail(format_args!("not HTTP: {error}")),
        Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            silent("connection refused")
        }
        Error::Io(error) if is_hang_up(&error) => fail("closed without an answer"),
        Error::Io(error) if crate::os::tls::is_none(&error) => fail("not TLS"),
        other => Outcome::Unknown(Line::new(&other.to_string())),
    }
}

/// What an error says that came after the header, with `received` bytes of the body.
fn within_the_body(error: Error, received: usize, limit: Duration) -> Outcome {
    match error {
        Error::Timeout(_) => silent(format_args!(
            "body stopped after {received} bytes, not complete within {}",
            span(Budgets::of(false, limit).body)
        )),
        Error::Protocol(error) => fail(format_args!("malformed body: {error}")),
        Error::Io(error) if is_hang_up(&error) => {
            fail(format_args!("closed after {received} bytes of the body"))
        }
        // Closed in the middle of a chunk's length, which the client knows only as a body that does not go on.
        Error::BodyStalled => fail(format_args!("closed after {received} bytes of the body")),
        other => Outcome::Unknown(Line::new(&other.to_string())),
    }
}

/// Whether the connection that was left open is no more, and the new one not made in the time of a kept one.
fn is_about_the_connection(error: &Error) -> bool {
    is_turned_away(error) || matches!(error, Error::Timeout(Timeout::Connect))
}

/// Whether this is how a server answers a client that speaks TLS to plain HTTP, or the other way check.
fn is_turned_away(error: &Error) -> bool {
    match error {
        Error::Protocol(_) => true,
        Error::Io(error) => is_hang_up(error) || crate::os::tls::is_none(error),
        _ => false,
    }
}

/// Whether the other side ended the connection.
///
/// Every error not named as the gateway's doing is our own trouble (no descriptors, memory, ports or route),
/// so an unknown one leaves the gateway alone.
fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// It reacted, but not as a healthy gateway does.
fn fail<R: Display>(reason: R) -> Outcome {
    Outcome::Fail {
        reason: Line::new(&reason.to_string()),
        answered: true,
    }
}

/// It did not react in time.
fn silent<R: Display>(reason: R) -> Outcome {
    Outcome::Fail {
        reason: Line::new(&reason.to_string()),
        answered: false,
    }
}

/// A time limit in the unit it was most likely given in.
fn span(limit: Duration) -> String {
    if limit.subsec_millis() == 0 {
        format!("{} s", limit.as_secs())
    } else {
        format!("{} ms", limit.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[track_caller]
    fn check(error: Error, before: &str, within: &str) {
        let text = error.to_string();
        let same = match error {
            Error::Timeout(phase) => Error::Timeout(phase),
            Error::Io(ref error) => Error::Io(error.kind().into()),
            _ => panic!("{text}"),
        };
        // Only an answer, or a hang-up, shows that the gateway reacts.
        let expected = match &error {
            Error::Timeout(_) => silent::<&str>,
            _ => fail::<&str>,
        };
        assert_eq!(
            before_the_body(error, false, &Budgets::of(false, LIMIT)),
            expected(before),
            "{text}"
        );
        assert_eq!(within_the_body(same, 5, LIMIT), expected(within), "{text}");
    }

    #[test]
    fn each_limit_has_its_own_reason() {
        let body = "body stopped after 5 bytes, not complete within 2 s";
        let timeout = Error::Timeout;
        check(timeout(Timeout::Connect), "no connection within 2 s", body);
        check(
            timeout(Timeout::SendRequest),
            "request not taken within 1 s",
            body,
        );
        check(
            timeout(Timeout::RecvResponse),
            "no answer within 10 s",
            body,
        );
    }

    #[test]
    fn a_probe_over_tls_takes_no_longer() {
        let sum = |tls| {
            let budgets = Budgets::of(tls, LIMIT);
            budgets.connect + budgets.send + budgets.answer + budgets.body
        };
        assert!(sum(true) <= longest(LIMIT));
    }

    #[test]
    fn a_hang_up_is_the_gateways_doing_in_all_its_forms() {
        for kind in [
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::BrokenPipe,
        ] {
            check(
                Error::Io(kind.into()),
                "closed without an answer",
                "closed after 5 bytes of the body",
            );
        }
    }

    #[test]
    fn a_body_that_ends_within_a_chunks_length_is_the_gateways_doing() {
        assert_eq!(
            within_the_body(Error::BodyStalled, 5, LIMIT),
            fail("closed after 5 bytes of the body")
        );
    }

    #[test]
    fn what_only_we_lack_is_our_own_trouble() {
        use nix::errno::Errno;
        for errno in [
            Errno::EMFILE,
            Errno::ENFILE,
            Errno::ENOMEM,
            Errno::ENOBUFS,
            Errno::EADDRNOTAVAIL,
            Errno::EAFNOSUPPORT,
            Errno::ENETUNREACH,
            Errno::EHOSTUNREACH,
            Errno::EACCES,
            Errno::EPERM,
        ] {
            let error = || Error::Io(errno.into());
            for outcome in [
                before_the_body(error(), false, &Budgets::of(false, LIMIT)),
                within_the_body(error(), 0, LIMIT),
            ] {
                assert!(
                    matches!(outcome, Outcome::Unknown(_)),
                    "{errno} {outcome:?}"
                );
            }
        }
    }
}
