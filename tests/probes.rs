//! The probes against real sockets: every way a gateway can answer, and every way it can fail to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::{
    env,
    fs::{self, File},
    io::{Read, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion, crypto::ring,
    pki_types::PrivateKeyDer, version,
};

use gatehound::{
    os::{
        listeners::{listening, owners},
        processes::activity,
    },
    policy::facts::Outcome,
    probe::http::{Client, Target, longest},
};

/// Long enough that only a server that never answers reaches it.
const AMPLE: Duration = Duration::from_secs(30);

/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(300);

/// What a healthy gateway says, byte for byte.
const LIVE: &str = r#"{"ok":true,"status":"live"}"#;

fn http(address: SocketAddr, limit: Duration) -> Outcome {
    Client::new(plain(address)).http(limit)
}

fn health(address: SocketAddr, limit: Duration) -> Outcome {
    Client::new(plain(address)).health(limit)
}

fn plain(address: SocketAddr) -> Target {
    Target {
        address,
        tls: false,
    }
}

fn tls(address: SocketAddr) -> Target {
    Target { address, tls: true }
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

/// Reads one request, up to the empty line behind its header; of what is none, its first byte.
fn request(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n")
        && text.first().is_none_or(|byte| *byte == b'G')
        && stream.read(&mut byte).unwrap() == 1
    {
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

/// Serves each connection over TLS, with a certificate that is expired and names another host.
fn serve_tls(
    versions: &[&'static SupportedProtocolVersion],
    script: impl Fn(StreamOwned<ServerConnection, TcpStream>) + Send + 'static,
) -> SocketAddr {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut certificate = rcgen::CertificateParams::new(["elsewhere.invalid".to_owned()]).unwrap();
    certificate.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let certificate = certificate.self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    serve(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        script(StreamOwned::new(connection, stream));
    })
}

/// A TLS server that answers every request with these bytes and closes.
fn answering_tls(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    serve_tls(rustls::ALL_VERSIONS, move |mut stream| {
        // What is no TLS is turned away, as by any TLS server.
        if stream.conn.complete_io(&mut stream.sock).is_err() {
            return;
        }
        request(&mut stream);
        let _ = stream.write_all(&answer);
        stream.conn.send_close_notify();
        let _ = stream.flush();
    })
}

/// A server that answers every request with these bytes and closes.
fn answering(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    serve(move |mut stream| {
        request(&mut stream);
        // The client may have seen enough and gone.
        let _ = stream.write_all(&answer);
    })
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// A server that answers with a start, then repeats a piece for ever, with a pause in between.
fn repeating(start: &'static str, piece: &'static [u8], pause: Duration) -> SocketAddr {
    serve(move |mut stream| {
        request(&mut stream);
        let _ = stream.write_all(start.as_bytes());
        while stream.write_all(piece).is_ok() {
            thread::sleep(pause);
        }
    })
}

#[track_caller]
fn passes(outcome: Outcome) -> Duration {
    match outcome {
        Outcome::Pass(took) => took,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn fails(outcome: Outcome, reason: &str) {
    match outcome {
        Outcome::Fail { reason: line, .. } => assert_eq!(line.as_str(), reason),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn health_fails(answer: &str, reason: &str) {
    fails(health(answering(answer), AMPLE), reason);
}

#[test]
fn a_healthy_gateway_passes() {
    let address = answering(ok(LIVE));
    passes(http(address, AMPLE));
    passes(health(address, AMPLE));
    passes(health(answering(ok(" {\"ok\" : true}\n")), AMPLE));
}

#[test]
fn the_request_is_a_plain_get() {
    let (sender, requests) = mpsc::channel();
    let address = serve(move |mut stream| {
        sender.send(request(&mut stream)).unwrap();
        stream.write_all(ok(LIVE).as_bytes()).unwrap();
    });
    passes(http(address, AMPLE));
    passes(health(address, AMPLE));
    for path in ["/", "/health"] {
        let request = requests.recv().unwrap().to_ascii_lowercase();
        assert!(
            request.starts_with(&format!("get {path} http/1.1\r\n")),
            "{request}"
        );
        assert!(request.contains(&format!("\r\nhost: {address}\r\n")));
        let closes = request.contains("\r\nconnection: close\r\n");
        assert_eq!(closes, path == "/health", "{request}");
        // The gateway answers these otherwise, or not at all.
        for field in ["upgrade:", "expect:", "x-forwarded-for:"] {
            assert!(!request.contains(field), "{request}");
        }
    }
}

/// A server that keeps a connection open for this many answers; the receiver gets each request with the number of its
/// connection.
fn keeping_open(answers: usize) -> (SocketAddr, mpsc::Receiver<(usize, String)>) {
    let (sender, requests) = mpsc::channel();
    let number = AtomicUsize::new(0);
    let address = serve(move |mut stream| {
        let number = number.fetch_add(1, SeqCst);
        for _ in 0..answers {
            let request = request(&mut stream);
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            sender.send((number, path)).unwrap();
            let _ = stream.write_all(ok(LIVE).as_bytes());
        }
        // The last one is not answered, and the connection closes behind it.
        let _ = stream.read(&mut [0]);
    });
    (address, requests)
}

#[test]
fn a_check_is_one_connection_and_the_next_check_another() {
    let (address, requests) = keeping_open(2);
    let client = Client::new(plain(address));
    for check in 0..3 {
        passes(client.http(AMPLE));
        passes(client.health(AMPLE));
        for path in ["/", "/health"] {
            assert_eq!(requests.recv().unwrap(), (check, path.to_owned()));
        }
    }
}

#[test]
fn a_connection_that_is_closed_when_it_is_used_again_is_no_failure() {
    let (address, requests) = keeping_open(1);
    let client = Client::new(plain(address));
    passes(client.http(AMPLE));
    passes(client.health(AMPLE));
    assert_eq!(requests.recv().unwrap(), (0, "/".to_owned()));
    assert_eq!(requests.recv().unwrap(), (1, "/health".to_owned()));
}

#[test]
fn over_tls_an_answer_on_a_kept_connection_has_all_the_time_that_a_probe_has() {
    let limit = Duration::from_secs(4);
    let address = serve_tls(rustls::ALL_VERSIONS, move |mut stream| {
        for stall in [Duration::ZERO, limit * 6 / 10] {
            request(&mut stream);
            // As a loop stalls in which each connection is served.
            thread::sleep(stall);
            let _ = stream.write_all(ok(LIVE).as_bytes());
        }
    });
    let client = Client::new(tls(address));
    passes(client.http(limit));
    passes(client.health(limit));
}

#[test]
fn any_status_is_an_answer_on_the_root() {
    for status in ["404 Not Found", "500 Oops", "204 No Content", "401 Who"] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        passes(http(answering(answer), AMPLE));
    }
    // The body is not waited for.
    let address = repeating("HTTP/1.1 200 OK\r\n\r\n", b" ", Duration::ZERO);
    passes(http(address, AMPLE));
}

#[test]
fn redirects_are_not_followed() {
    let (sender, visits) = mpsc::channel();
    let target = serve(move |mut stream| {
        sender.send(request(&mut stream)).unwrap();
        stream.write_all(ok(LIVE).as_bytes()).unwrap();
    });
    let answer = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{target}/health\r\nContent-Length: 0\r\n\r\n"
    );
    let address = answering(answer);
    passes(http(address, AMPLE));
    fails(health(address, AMPLE), "status 302");
    // The target works: it is asked once, now.
    passes(health(target, AMPLE));
    assert_eq!(visits.try_iter().count(), 1);
}

#[test]
fn a_closed_port_is_refused() {
    // An address no other test binds to, so that nobody takes the port once it is free again.
    let free = TcpListener::bind("127.77.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    fails(http(address, AMPLE), "connection refused");
    fails(health(address, AMPLE), "connection refused");
}

#[test]
fn silence_ends_at_the_limit() {
    // The kernel accepts, as for a gateway whose loop is blocked.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let start = Instant::now();
    fails(http(address, SHORT), "no answer within 300 ms");
    fails(health(address, SHORT), "no answer within 300 ms");
    assert!(2 * SHORT <= start.elapsed());
    fails(
        http(address, Duration::from_secs(1)),
        "no answer within 1 s",
    );
}

#[test]
fn a_dripping_header_ends_at_the_limit() {
    let address = repeating("HTTP/1.1 200 OK\r\nX: ", b"x", SHORT / 20);
    let start = Instant::now();
    fails(http(address, SHORT), "no answer within 300 ms");
    // Without the limit on the whole it would go on until the header is too large, after four minutes.
    assert!(start.elapsed() < AMPLE);
}

#[test]
fn a_dripping_body_ends_at_its_own_limit() {
    let start = "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n{";
    let address = repeating(start, b" ", SHORT / 20);
    let Outcome::Fail { reason, .. } = health(address, SHORT) else {
        panic!("passed")
    };
    let (head, tail) = reason.as_str().split_once(" bytes, ").unwrap();
    let received: usize = head
        .strip_prefix("body stopped after ")
        .unwrap()
        .parse()
        .unwrap();
    // Four bytes fit into the limit; under load, fewer come.
    assert!((1..20).contains(&received), "{reason}");
    assert_eq!(tail, "not complete within 60 ms");
}

#[test]
fn a_slow_answer_in_time_passes() {
    let delay = Duration::from_millis(200);
    let address = serve(move |mut stream| {
        request(&mut stream);
        thread::sleep(delay);
        stream.write_all(ok(LIVE).as_bytes()).unwrap();
    });
    let took = passes(health(address, AMPLE));
    assert!(delay <= took, "{took:?}");
}

#[test]
fn the_longest_probe_is_half_as_long_again_as_the_limit() {
    assert_eq!(longest(Duration::from_secs(10)), Duration::from_secs(15));
    assert_eq!(longest(Duration::ZERO), Duration::ZERO);
}

#[test]
fn an_answer_that_is_too_large_is_not_read_to_its_end() {
    let address = repeating("HTTP/1.1 200 OK\r\n\r\n{", &[b' '; 1000], Duration::ZERO);
    fails(health(address, AMPLE), "answer larger than 64 KiB");
    let just_fits = format!("{LIVE}{}", " ".repeat(64 * 1024 - LIVE.len()));
    passes(health(answering(ok(&just_fits)), AMPLE));
    health_fails(&ok(&format!("{just_fits} ")), "answer larger than 64 KiB");
}

#[test]
fn a_header_that_is_too_large_is_not_read_to_its_end() {
    let address = repeating("HTTP/1.1 200 OK\r\nX: ", &[b'x'; 1000], Duration::ZERO);
    fails(http(address, AMPLE), "answer header too large");
    fails(health(address, AMPLE), "answer header too large");
}

#[test]
fn what_is_not_http_is_called_so() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2p1\r\n",
        "\x15\x03\x01\x00\x02\x02\x46",
        "{\"ok\":true}\r\n\r\n",
    ] {
        for outcome in [
            http(answering(answer), AMPLE),
            health(answering(answer), AMPLE),
        ] {
            let Outcome::Fail { reason, .. } = outcome else {
                panic!("{outcome:?}")
            };
            assert!(reason.as_str().starts_with("not HTTP: "), "{reason}");
        }
    }
}

#[test]
fn a_connection_closed_before_the_answer_is_called_so() {
    // Unread data turns the end of the connection into a reset.
    let reset = serve(drop);
    let closed = answering("");
    let halfway = answering("HTTP/1.1 200 OK\r\nContent-Le");
    for address in [reset, closed, halfway] {
        fails(http(address, AMPLE), "closed without an answer");
        fails(health(address, AMPLE), "closed without an answer");
    }
}

#[test]
fn a_connection_closed_within_the_body_is_called_so() {
    health_fails(
        "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"ok\"",
        "closed after 5 bytes of the body",
    );
    health_fails(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"ok\"\r\n",
        "closed after 5 bytes of the body",
    );
}

#[test]
fn health_needs_status_200() {
    for status in ["503", "404", "201", "204"] {
        let length = LIVE.len();
        let answer =
            format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\n\r\n{LIVE}");
        health_fails(&answer, &format!("status {status}"));
    }
}

#[test]
fn health_needs_ok_true_in_a_json_object() {
    for (body, reason) in [
        (r#"{"ok":false,"status":"live"}"#, "\"ok\": false"),
        (r#"{"ok":"true"}"#, "\"ok\": \"true\""),
        (r#"{"ok":1}"#, "\"ok\": 1"),
        (r#"{"ok":null}"#, "\"ok\": null"),
        (r#"{"ok":true,"ok":false}"#, "\"ok\": false"),
        (r#"{"status":"live"}"#, "no \"ok\" in the answer"),
        (r#"{"gateway":{"ok":true}}"#, "no \"ok\" in the answer"),
        ("{}", "no \"ok\" in the answer"),
        (r#"["ok",true]"#, "not a JSON object"),
        ("true", "not a JSON object"),
        (r#""ok":true"#, "not JSON"),
        (r#"{"ok":true} and more"#, "not JSON"),
        (r#"{"ok":tru"#, "not JSON"),
        ("ok", "not JSON"),
        ("\u{0}", "not JSON"),
        ("", "empty answer"),
        (" \r\n", "empty answer"),
        (
            "\n<!doctype html><title>\"ok\":true</title>",
            "HTML instead of JSON",
        ),
    ] {
        health_fails(&ok(body), reason);
    }
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let deep = "[".repeat(60_000);
    health_fails(&ok(&deep), "not JSON");
    health_fails(&ok(&format!("{{\"ok\":true,\"x\":{deep}")), "not JSON");
}

#[test]
fn a_reason_that_quotes_the_answer_is_one_line() {
    let Outcome::Fail { reason, .. } = health(
        answering(ok("{\"ok\":\"\\nWATCHDOG=trigger\\u001b[2J\"}")),
        AMPLE,
    ) else {
        panic!("passed")
    };
    assert!(!reason.as_str().contains(['\n', '\u{1b}']), "{reason:?}");
}

#[test]
fn a_healthy_gateway_passes_over_tls_whatever_its_certificate() {
    for version in [&version::TLS12, &version::TLS13] {
        let address = serve_tls(&[version], |mut stream| {
            request(&mut stream);
            stream.write_all(ok(LIVE).as_bytes()).unwrap();
        });
        passes(Client::new(tls(address)).http(AMPLE));
        passes(Client::new(tls(address)).health(AMPLE));
    }
}

#[test]
fn what_is_wrong_with_an_answer_is_the_same_over_tls() {
    for (answer, reason) in [
        (
            "HTTP/1.1 503 Oops\r\nContent-Length: 0\r\n\r\n",
            "status 503",
        ),
        (&ok("{\"ok\":false}"), "\"ok\": false"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"ok\"",
            "closed after 5 bytes of the body",
        ),
        ("", "closed without an answer"),
    ] {
        fails(
            Client::new(tls(answering_tls(answer))).health(AMPLE),
            reason,
        );
    }
    let closed = TcpListener::bind("127.77.0.2:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    fails(Client::new(tls(address)).http(AMPLE), "connection refused");
}

#[test]
fn silence_in_the_handshake_ends_at_its_limit() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let target = tls(listener.local_addr().unwrap());
    fails(
        Client::new(target).http(SHORT),
        "no TLS handshake within 210 ms",
    );
    fails(
        Client::new(target).health(SHORT),
        "no TLS handshake within 210 ms",
    );
}

#[test]
fn a_dripping_handshake_ends_at_its_limit() {
    let address = serve(|mut stream| {
        // The header of a handshake message of 16 KiB.
        let _ = stream.write_all(&[0x16, 3, 3, 0x40, 0]);
        while stream.write_all(&[2]).is_ok() {
            thread::sleep(SHORT / 20);
        }
    });
    let start = Instant::now();
    fails(
        Client::new(tls(address)).http(SHORT),
        "no TLS handshake within 210 ms",
    );
    // Were the limit one on each read, it would go on for four minutes.
    assert!(start.elapsed() < AMPLE);
}

#[test]
fn silence_after_the_handshake_ends_at_its_limit() {
    let (sender, shaken) = mpsc::channel();
    let address = serve_tls(rustls::ALL_VERSIONS, move |mut stream| {
        stream.conn.complete_io(&mut stream.sock).unwrap();
        request(&mut stream);
        // Kept open until the test ends.
        sender.send(stream).unwrap();
    });
    let limit = Duration::from_secs(2);
    fails(
        Client::new(tls(address)).http(limit),
        "no answer within 1 s",
    );
    assert_eq!(shaken.try_iter().count(), 1);
}

#[test]
fn tls_where_plain_http_is_expected_is_our_own_trouble_and_said_plainly() {
    for outcome in [
        http(answering_tls(ok(LIVE)), AMPLE),
        health(answering_tls(ok(LIVE)), AMPLE),
    ] {
        let Outcome::Unknown(reason) = outcome else {
            panic!("{outcome:?}")
        };
        let start = "the port speaks TLS, gateway.tls says it does not";
        assert!(reason.as_str().starts_with(start), "{reason}");
    }
}

#[test]
fn plain_http_where_tls_is_expected_is_our_own_trouble_and_said_plainly() {
    // Some servers answer a handshake in plain HTTP, others hang up.
    let answers = answering(ok(LIVE));
    let hangs_up = serve(|mut stream| {
        if request(&mut stream).starts_with('G') {
            stream.write_all(ok(LIVE).as_bytes()).unwrap();
        }
    });
    for address in [answers, hangs_up] {
        for outcome in [
            Client::new(tls(address)).http(AMPLE),
            Client::new(tls(address)).health(AMPLE),
        ] {
            let Outcome::Unknown(reason) = outcome else {
                panic!("{outcome:?}")
            };
            let start = "the port speaks plain HTTP, gateway.tls says TLS";
            assert!(reason.as_str().starts_with(start), "{reason}");
        }
    }
}

#[test]
fn what_is_neither_tls_nor_http_fails() {
    let address = answering("SSH-2.0-OpenSSH_9.2p1\r\n");
    fails(Client::new(tls(address)).http(AMPLE), "not TLS");
    fails(Client::new(tls(address)).health(AMPLE), "not TLS");
}

/// Far more than anything but the stack of a thread would ask for.
const STACK: u64 = 512 * 1024 * 1024;

/// Names the address for a test that runs again in a process of its own.
const ADDRESS: &str = "GATEHOUND_TEST_ADDRESS";

/// The address to probe, in the process that [`in_child`] started.
fn address_of_parent() -> Option<SocketAddr> {
    Some(env::var(ADDRESS).ok()?.parse().unwrap())
}

/// Runs one test of this program again, alone in a process.
#[track_caller]
fn in_child(test: &str, address: SocketAddr, variables: &[(&str, &str)]) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env(ADDRESS, address.to_string())
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[test]
fn a_proxy_in_the_environment_is_ignored() {
    if let Some(address) = address_of_parent() {
        passes(http(address, AMPLE));
        passes(health(address, AMPLE));
        return;
    }
    let proxy = format!("http://{}", answering("HTTP/1.1 502 Proxy\r\n\r\n"));
    let variables = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    in_child(
        "a_proxy_in_the_environment_is_ignored",
        answering(ok(LIVE)),
        &variables.map(|name| (name, proxy.as_str())),
    );
}

#[test]
fn a_probe_starts_no_thread() {
    if let Some(address) = address_of_parent() {
        return passes_without_threads(&plain(address));
    }
    in_child(
        "a_probe_starts_no_thread",
        answering(ok(LIVE)),
        &[("RUST_MIN_STACK", &STACK.to_string())],
    );
}

#[test]
fn a_probe_over_tls_starts_no_thread() {
    if let Some(address) = address_of_parent() {
        return passes_without_threads(&tls(address));
    }
    in_child(
        "a_probe_over_tls_starts_no_thread",
        answering_tls(ok(LIVE)),
        &[("RUST_MIN_STACK", &STACK.to_string())],
    );
}

#[track_caller]
fn passes_without_threads(target: &Target) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Counting threads would miss one that has ended; so none can be started for want of a stack.
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    let limit = getrlimit(Resource::As);
    let room = Rlimit {
        current: Some(pages * rustix::param::page_size() as u64 + STACK / 2),
        ..limit
    };
    setrlimit(Resource::As, room).unwrap();
    let thread = thread::Builder::new().spawn(|| ());
    let outcomes = [
        Client::new(*target).http(AMPLE),
        Client::new(*target).health(AMPLE),
    ];
    setrlimit(Resource::As, limit).unwrap();
    assert!(thread.is_err());
    for outcome in outcomes {
        passes(outcome);
    }
}

#[test]
fn running_out_of_descriptors_is_our_own_trouble() {
    if let Some(address) = address_of_parent() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let none = Rlimit {
            current: Some(0),
            ..limit
        };
        setrlimit(Resource::Nofile, none).unwrap();
        let outcomes = [http(address, AMPLE), health(address, AMPLE)];
        let port = listening(Path::new("/proc"), address.port());
        setrlimit(Resource::Nofile, limit).unwrap();
        for outcome in outcomes {
            assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
        }
        assert!(port.is_err(), "{port:?}");
        return;
    }
    let address = answering(ok(LIVE));
    in_child(
        "running_out_of_descriptors_is_our_own_trouble",
        address,
        &[],
    );
}

#[test]
fn an_address_without_a_route_is_our_own_trouble() {
    // TCP has no broadcast, so this one is unreachable on every machine.
    let address = "255.255.255.255:18789".parse().unwrap();
    for outcome in [http(address, AMPLE), health(address, AMPLE)] {
        assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    }
}

#[test]
fn a_listener_is_found_with_its_owner_and_its_queue() {
    let proc = Path::new("/proc");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let _clients = [(); 3].map(|()| TcpStream::connect(address).unwrap());
    let found = listening(proc, address.port()).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].address, address.ip());
    assert_eq!(found[0].recv_queue, 3);
    let own = std::process::id();
    for first in [&[][..], &[own], &[1]] {
        let owners = owners(proc, &found, first);
        assert_eq!(owners.len(), 1, "{owners:?}");
        assert_eq!((owners[0].0, owners[0].1.pid), (found[0].inode, own));
    }
    drop(listener);
    // Connections outlive their listener; only LISTEN counts.
    assert_eq!(listening(proc, address.port()).unwrap(), []);
}

/// A procfs with these two tables in it.
fn fixture(tcp: Option<&str>, tcp6: Option<&str>) -> tempfile::TempDir {
    let proc = tempfile::tempdir().unwrap();
    fs::create_dir(proc.path().join("net")).unwrap();
    for (name, text) in [("net/tcp", tcp), ("net/tcp6", tcp6)] {
        if let Some(text) = text {
            fs::write(proc.path().join(name), text).unwrap();
        }
    }
    proc
}

const HEADER: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const LOOPBACK: &str = "   0: 0100007F:4965 00000000:0000 0A 00000000:00000001 00:00000000 00000000  1000        0 169528 2 000000006917cdef 100 0 0 10 0\n";
const CONNECTED: &str = "   4: 0100007F:4965 0100007F:88CC 01 00000000:00000000 00:00000000 00000000  1000        0 0 1 00000000a7a385b9 20 0 0 10 -1\n";
const HEADER6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const WILDCARD6: &str = "   0: 00000000000000000000000000000000:4965 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 169524 1 00000000fd5e21e7 100 0 0 10 0\n";
const MAPPED6: &str = "   1: 0000000000000000FFFF00000100007F:4965 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 169523 1 000000002a3df57f 100 0 0 10 0\n";
const LOOPBACK6: &str = "   2: 00000000000000000000000001000000:4965 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 169527 1 00000000043f48f1 100 0 0 10 0\n";
const CONNECTED6: &str = "   3: 0000000000000000FFFF00000100007F:4965 0000000000000000FFFF00000100007F:8816 01 00000000:00000000 00:00000000 00000000  1000        0 169526 1 00000000309bb2b7 20 0 0 10 -1\n";

#[test]
fn the_tables_of_both_families_are_read() {
    let proc = fixture(
        Some(&[HEADER, LOOPBACK, CONNECTED].concat()),
        Some(&[HEADER6, WILDCARD6, MAPPED6, LOOPBACK6, CONNECTED6].concat()),
    );
    let found = listening(proc.path(), 18789).unwrap();
    let found: Vec<(String, u64)> = found
        .iter()
        .map(|listener| (listener.address.to_string(), listener.inode))
        .collect();
    let expected = [
        ("127.0.0.1", 169_528),
        ("::", 169_524),
        ("127.0.0.1", 169_523),
        ("::1", 169_527),
    ];
    assert_eq!(
        found,
        expected.map(|(address, inode)| (address.to_owned(), inode))
    );
    assert_eq!(listening(proc.path(), 18790).unwrap(), []);
}

#[test]
fn a_kernel_without_ipv6_has_one_table() {
    let proc = fixture(Some(&[HEADER, LOOPBACK].concat()), None);
    assert_eq!(listening(proc.path(), 18789).unwrap().len(), 1);
}

#[test]
fn a_table_that_cannot_be_understood_is_an_error_and_never_nothing() {
    let good = [HEADER, LOOPBACK].concat();
    let cut = &good[..good.len() / 2 + HEADER.len() / 2];
    for bad in [
        "",
        "\n",
        LOOPBACK,
        cut,
        &good.replace("0100007F:4965", "0100007F"),
        &good.replace("0100007F:4965", "7F:4965"),
        &good.replace("0100007F:4965", "ZZZZZZZZ:4965"),
        &good.replace("0100007F:4965", "0100007F:1FFFF"),
        &good.replace(" 0A ", " FF "),
        &good.replace("169528", "socket"),
        &[HEADER, "garbage\n"].concat(),
        &[HEADER, "\n"].concat(),
    ] {
        for proc in [
            fixture(Some(bad), None),
            fixture(Some(HEADER), Some(bad)),
            fixture(None, Some(&good)),
        ] {
            let found = listening(proc.path(), 18789);
            let error = found.expect_err(bad);
            assert!(error.as_str().starts_with("cannot read "), "{error}");
        }
    }
    let proc = fixture(None, None);
    fs::write(proc.path().join("net/tcp"), [0xff; 300]).unwrap();
    assert!(listening(proc.path(), 18789).is_err());
}

#[test]
fn a_sleeping_process_shows_its_state_and_its_cpu_time() {
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Once it has echoed a byte, it waits for the next.
    child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    let stdout = child.stdout.as_mut().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    let proc = Path::new("/proc");
    let mut seen = activity(proc, child.id()).unwrap();
    while seen.state != 'S' {
        seen = activity(proc, child.id()).unwrap();
    }
    assert!(seen.cpu < Duration::from_secs(1));
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(activity(proc, child.id()), None);
}

#[test]
fn cpu_time_of_the_main_thread_is_counted_as_it_is_burnt() {
    let mut child = Command::new("cat")
        .stdin(File::open("/dev/zero").unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let proc = Path::new("/proc");
    let burnt = || activity(proc, child.id()).unwrap().cpu;
    let before = burnt();
    while burnt() < before + Duration::from_millis(30) {
        thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
