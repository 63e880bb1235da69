//! Code run inside a node process, through the inspector that SIGUSR1 opens in it.
//!
//! Owns the little of HTTP and WebSocket (RFC 6455) that one `Runtime.evaluate` takes.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// An event loop that turns answers within milliseconds; one that starts up may take seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// Evaluates an expression in the main thread of the process whose inspector listens on the port.
pub fn evaluate(port: u16, expression: &str) -> io::Result<()> {
    let targets: Value = serde_json::from_slice(&get(port, "/json/list")?)?;
    let id = targets[0]["id"].as_str().ok_or(ErrorKind::InvalidData)?;
    let mut stream = upgrade(port, id)?;
    let request = json!({
        "id": 1,
        "method": "Runtime.evaluate",
        "params": { "expression": expression },
    });
    stream
        .get_mut()
        .write_all(&frame(request.to_string().as_bytes()))?;
    loop {
        let answer: Value = serde_json::from_slice(&receive(&mut stream)?)?;
        // Others are events, which come unasked.
        if answer["id"] == 1 {
            return match answer["result"].get("exceptionDetails") {
                None => Ok(()),
                Some(details) => Err(io::Error::other(details.to_string())),
            };
        }
    }
}

fn connect(port: u16) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(BufReader::new(stream))
}

fn get(port: u16, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = connect(port)?;
    write!(
        stream.get_mut(),
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    )?;
    let header = header(&mut stream)?;
    let length = header
        .iter()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse()
                .ok()
        })
        .ok_or(ErrorKind::InvalidData)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn upgrade(port: u16, id: &str) -> io::Result<BufReader<TcpStream>> {
    let mut stream = connect(port)?;
    // The key proves nothing here but has to be 16 bytes in base64.
    write!(
        stream.get_mut(),
        "GET /{id} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )?;
    let header = header(&mut stream)?;
    match header.first() {
        Some(line) if line.starts_with("HTTP/1.1 101 ") => Ok(stream),
        line => Err(io::Error::other(format!("no WebSocket: {line:?}"))),
    }
}

/// The lines up to the empty one.
fn header(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end() {
            "" => return Ok(lines),
            line => lines.push(line.to_owned()),
        }
    }
}

/// One text message in one frame; a client has to mask, and a mask of zeros leaves the bytes as they are.
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short expression");
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(length.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The payload of one frame; the inspector sends each message in one, unmasked.
fn receive(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            usize::from(u16::from_be_bytes(length))
        }
        // What is asked for here has no answer of 64 KiB.
        127 => return Err(ErrorKind::InvalidData.into()),
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    Ok(payload)
}
