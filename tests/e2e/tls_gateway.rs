//! Two helpers of cases: a stand-in gateway that speaks TLS, and a program that leaves its user no inotify instance.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use nix::sys::inotify::{InitFlags, Inotify};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, crypto::ring};

/// `tls-gateway gateway --port N [--client-certificate]`: healthy, with a certificate of its own making;
/// with the last argument for nobody who has none of that maker's.
pub fn main(arguments: &[String]) -> ExitCode {
    let at = arguments.iter().position(|argument| argument == "--port");
    let port = at.and_then(|at| arguments.get(at + 1)?.parse::<u16>().ok());
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, port.expect("--port N"))).expect("the port");
    let wants = arguments
        .iter()
        .any(|argument| argument == "--client-certificate");
    let config = Arc::new(config(wants));
    for stream in listener.incoming().flatten() {
        let config = Arc::clone(&config);
        thread::spawn(move || serve(stream, config));
    }
    ExitCode::SUCCESS
}

fn config(wants_certificate: bool) -> ServerConfig {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(["gateway".to_owned()]).expect("a name");
    let certificate = certificate.self_signed(&key).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .expect("versions");
    let builder = if wants_certificate {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("a root");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![certificate.der().clone()];
    builder
        .with_single_cert(chain, key)
        .expect("a configuration")
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>) {
    let connection = ServerConnection::new(config).expect("a connection");
    let mut stream = StreamOwned::new(connection, stream);
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.extend(byte),
            _ => return,
        }
    }
    let body = r#"{"ok":true,"status":"live"}"#;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// `no-inotify`: has all inotify instances that the user may have, until it is ended.
pub fn no_inotify() -> ExitCode {
    let mut all = Vec::new();
    while let Ok(one) = Inotify::init(InitFlags::IN_CLOEXEC) {
        all.push(one);
    }
    println!("{} inotify instances are taken", all.len());
    loop {
        thread::park();
    }
}
