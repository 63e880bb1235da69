//! `/ready` against real sockets: what old and new gateways answer, and what is none of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use gatehound::probe::{
    http::{Target, longest},
    readiness::{self, Readiness},
};

/// Long enough that only a server that never answers reaches it.
const AMPLE: Duration = Duration::from_secs(30);

/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(300);

/// Asks over plain HTTP.
fn ready(address: SocketAddr, limit: Duration) -> Readiness {
    let tls = false;
    readiness::ready(&Target { address, tls }, limit)
}

/// Serves each connection, one after the other, until the test program ends.
fn serve(script: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            script(stream.unwrap());
        }
    });
    address
}

/// Reads one request, up to the empty line behind its header.
fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

/// What is made of this status line and body.
fn answered(status: &str, body: &str) -> Readiness {
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    let address = serve(move |mut stream| {
        request(&mut stream);
        // The client may have seen enough and gone.
        let _ = stream.write_all(answer.as_bytes());
    });
    ready(address, AMPLE)
}

#[track_caller]
fn check(status: &str, body: &str, expected: &Readiness) {
    assert_eq!(&answered(status, body), expected, "{status} {body}");
}

#[track_caller]
fn check_degraded(body: &str, expected: &[&str]) {
    let parts = expected.iter().map(|part| (*part).into()).collect();
    let degraded = Readiness::Degraded(parts);
    check("503 Service Unavailable", body, &degraded);
    check("200 OK", body, &degraded);
}

#[test]
fn a_gateway_that_is_ready_is_ready_whatever_its_event_loop_says() {
    let body = r#"{"ready":true,"failing":[],"uptimeMs":5,"eventLoop":{"degraded":true,"reasons":["event_loop_delay"]},"conditions":[{"type":"EventLoopHealthy","status":"False"}],"advisories":["EventLoopDegraded"]}"#;
    check("200 OK", body, &Readiness::Ready);
}

#[test]
fn what_fails_is_named() {
    check_degraded(
        r#"{"ready":false,"failing":["telegram","discord"]}"#,
        &["channel telegram", "channel discord"],
    );
    check_degraded(
        r#"{"ready":false,"failing":["startup-sidecars"]}"#,
        &["startup-sidecars"],
    );
}

#[test]
fn a_gateway_that_does_not_say_what_fails_is_degraded_nonetheless() {
    for body in [
        r#"{"ready":false}"#,
        r#"{"ready":false,"failing":null}"#,
        r#"{"ready":false,"failing":[1,{}]}"#,
    ] {
        check_degraded(body, &["no reason given"]);
    }
}

#[test]
fn names_from_outside_become_one_line() {
    check_degraded(
        r#"{"ready":false,"failing":["a\nWATCHDOG=trigger"]}"#,
        &["channel a WATCHDOG=trigger"],
    );
}

#[test]
fn an_old_gateways_web_page_and_any_other_answer_say_nothing() {
    for (status, body) in [
        ("200 OK", "<!doctype html><html></html>"),
        ("404 Not Found", "Not Found"),
        ("404 Not Found", r#"{"ready":false}"#),
        ("403 Forbidden", r#"{"ready":true}"#),
        ("302 Found", r#"{"ready":true}"#),
        ("200 OK", ""),
        ("200 OK", "[true]"),
        ("200 OK", r#"{"ok":true}"#),
        ("200 OK", r#"{"ready":"true"}"#),
        ("503 Service Unavailable", r#"{"ready":false"#),
    ] {
        check(status, body, &Readiness::Unknown);
    }
    let large = format!(r#"{{"ready":true,"x":"{}"}}"#, "x".repeat(64 * 1024));
    check("200 OK", &large, &Readiness::Unknown);
}

#[test]
fn a_gateway_that_is_gone_or_closes_says_nothing() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(ready(gone, AMPLE), Readiness::Unknown);
    assert_eq!(ready(serve(drop), AMPLE), Readiness::Unknown);
}

#[test]
fn a_gateway_that_is_silent_is_waited_for_no_longer_than_any_probe() {
    // The kernel accepts; nobody reads.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let begun = Instant::now();
    let found = ready(listener.local_addr().unwrap(), SHORT);
    let spent = begun.elapsed();
    assert_eq!(found, Readiness::Unknown);
    // What is above the limit is the machine's load.
    assert!(
        SHORT <= spent && spent < longest(SHORT) + AMPLE / 6,
        "{spent:?}"
    );
}

#[test]
fn the_request_is_for_ready_and_nothing_else() {
    let (sender, requests) = mpsc::channel();
    let address = serve(move |mut stream| sender.send(request(&mut stream)).unwrap());
    ready(address, AMPLE);
    let request = requests.recv().unwrap();
    assert!(request.starts_with("GET /ready HTTP/1.1\r\n"), "{request}");
}
