//! What the stand-in gateway answers to a request, as bytes and what comes after them.
//!
//! Pure: no sockets, no clock.

use std::time::Duration;

use super::mode::Mode;

/// The healthy body, byte for byte the real gateway's.
const HEALTHY: &str = r#"{"ok":true,"status":"live"}"#;
const READY: &str = r#"{"ready":true,"failing":[]}"#;
const PAGE: &str =
    "<!doctype html><html><head><title>OpenClaw Control</title></head><body></body></html>\n";

/// A request as far as the answer depends on it.
pub struct Request {
    method: String,
    path: String,
    keep_alive: bool,
}

impl Request {
    /// Takes one request off the front of what was received, once its head is complete; bodies are not expected.
    pub fn take(received: &mut Vec<u8>) -> Option<Self> {
        let end = received
            .windows(4)
            .position(|window| window == b"\r\n\r\n")?
            + 4;
        let head = String::from_utf8_lossy(&received[..end]).into_owned();
        received.drain(..end);
        let mut words = head.split_whitespace();
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let closing = head
            .to_ascii_lowercase()
            .contains("\r\nconnection: close\r\n");
        let http11 = head
            .lines()
            .next()
            .is_some_and(|line| line.ends_with("HTTP/1.1"));
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            keep_alive: http11 && !closing,
        })
    }

    /// Whether it asks how the gateway is.
    pub fn is_for_health(&self) -> bool {
        matches!(self.path.as_str(), "/health" | "/healthz")
    }
}

/// What follows the first bytes of an answer.
#[derive(Clone)]
pub enum Then {
    /// The connection closes.
    Close,
    /// The next request is read.
    Read,
    /// Nothing, for ever.
    Silence,
    /// These bytes again and again, this far apart.
    Repeat(Vec<u8>, Duration),
}

/// An answer to one request.
pub struct Answer {
    /// How long to wait before the first byte.
    pub delay: Duration,
    /// The bytes to send.
    pub bytes: Vec<u8>,
    /// What follows them.
    pub then: Then,
}

impl Answer {
    fn raw(bytes: impl Into<Vec<u8>>, then: Then) -> Self {
        Self {
            delay: Duration::ZERO,
            bytes: bytes.into(),
            then,
        }
    }
}

/// The answer to a request in a mode.
pub fn answer(mode: &Mode, request: &Request) -> Answer {
    let page = request.path.as_str();
    let health = request.is_for_health();
    match mode {
        Mode::Health(inner) if health => answer(inner, request),
        Mode::AcceptAndSilent => Answer::raw("", Then::Silence),
        Mode::Drip => {
            let head = head("200 OK", "application/json", 1 << 30, "");
            Answer::raw(
                head,
                Then::Repeat(b" ".to_vec(), Duration::from_millis(100)),
            )
        }
        Mode::DripHeader => Answer::raw(
            "HTTP/1.1 200 OK\r\nX-Drip: ",
            Then::Repeat(b"a".to_vec(), Duration::from_millis(100)),
        ),
        Mode::HugeBody => {
            let begin = r#"{"ok":true,"status":"live","padding":""#;
            let head = head("200 OK", "application/json", 1 << 30, "");
            Answer::raw(
                head + begin,
                Then::Repeat(vec![b'a'; 64 << 10], Duration::ZERO),
            )
        }
        Mode::HugeHeader => {
            let padding = format!("X-Padding: {}\r\n", "a".repeat(1 << 20));
            let head = head("200 OK", "application/json", HEALTHY.len(), &padding);
            Answer::raw(head + HEALTHY, Then::Close)
        }
        Mode::NotHttp => Answer::raw("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", Then::Close),
        Mode::ClosesEarly => Answer::raw("", Then::Close),
        Mode::ClosesInBody => Answer::raw(
            head("200 OK", "application/json", HEALTHY.len(), "") + &HEALTHY[..10],
            Then::Close,
        ),
        // Fatal alert, protocol_version: what a TLS server sends to somebody who speaks plain text.
        Mode::TlsGarbage => Answer::raw([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46], Then::Close),
        Mode::Redirect if page != "/elsewhere" => respond(
            request,
            "302 Found",
            "text/plain",
            "",
            "Location: /elsewhere\r\n",
        ),
        Mode::Root404 if page == "/" => {
            respond(request, "404 Not Found", "text/plain", "Not Found", "")
        }
        Mode::Root403 if page == "/" => {
            respond(request, "403 Forbidden", "text/plain", "Forbidden", "")
        }
        Mode::Degraded if matches!(page, "/ready" | "/readyz") => respond(
            request,
            "503 Service Unavailable",
            "application/json; charset=utf-8",
            r#"{"ready":false,"failing":["telegram"]}"#,
            "",
        ),
        Mode::OkFalse if health => json(request, r#"{"ok":false,"status":"live"}"#),
        Mode::Foul if health => json(
            request,
            "{\"ok\":\"\\nWATCHDOG=trigger\\nMAINPID=1\\u001b[31m\u{202e}\u{200b}foul\"}",
        ),
        Mode::NoOk if health => json(request, r#"{"status":"live"}"#),
        Mode::Html if health => respond(request, "200 OK", "text/html; charset=utf-8", PAGE, ""),
        Mode::NotJson if health => json(request, r#"{"ok":true,"status":"live""#),
        Mode::Slow(time) => Answer {
            delay: *time,
            ..healthy(request)
        },
        _ => healthy(request),
    }
}

fn healthy(request: &Request) -> Answer {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return respond(
            request,
            "405 Method Not Allowed",
            "text/plain",
            "",
            "Allow: GET, HEAD\r\n",
        );
    }
    match request.path.as_str() {
        "/health" | "/healthz" | "/elsewhere" => json(request, HEALTHY),
        "/ready" | "/readyz" => json(request, READY),
        "/" => respond(request, "200 OK", "text/html; charset=utf-8", PAGE, ""),
        _ => respond(request, "404 Not Found", "text/plain", "Not Found", ""),
    }
}

fn json(request: &Request, body: &str) -> Answer {
    respond(
        request,
        "200 OK",
        "application/json; charset=utf-8",
        body,
        "Cache-Control: no-store\r\n",
    )
}

fn respond(request: &Request, status: &str, kind: &str, body: &str, fields: &str) -> Answer {
    let (connection, then) = match request.keep_alive {
        true => (
            "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
            Then::Read,
        ),
        false => ("Connection: close\r\n", Then::Close),
    };
    let head = head(status, kind, body.len(), &format!("{connection}{fields}"));
    let body = if request.method == "HEAD" { "" } else { body };
    Answer::raw(head + body, then)
}

fn head(status: &str, kind: &str, length: usize, fields: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{fields}\r\n")
}
