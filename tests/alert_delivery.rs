//! Alerts on their way out: `gatehound alert` against receivers of its own, with every preset, and when they fail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use gatehound::{
    alerts::{
        alert::{Alert, Kind},
        queue,
    },
    policy::facts::Invocation,
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What was said, without the note that no unit sends a test here.
fn without_note(said: &str) -> String {
    let lines = said.lines().filter(|line| !line.starts_with("note       "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Far more than anything here takes, unless it hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A channel that takes everything.
const TRUE: &str = "[[alert.channel]]\ntype = \"command\"\ncommand = [\"/bin/true\"]";

const UNIT: &str = "openclaw-gateway.service";

/// What must not be taken for anything but text.
const FOUL: &str =
    "a \"b\" \\ {\"c\": [1]} <!channel> @everyone <at user_id=\"all\"> & {{unit}}\r\nX-Forged: y";

/// What becomes of it.
const FLAT: &str =
    "a \"b\" \\ {\"c\": [1]} <!channel> @everyone <at user_id=\"all\"> & {{unit}} X-Forged: y";

/// One request as it came: the header as text, and the body.
struct Request {
    header: String,
    body: String,
}

impl Request {
    /// The header of one, whatever follows.
    fn connect(stream: &mut impl Read) -> Self {
        let mut header = Vec::new();
        let mut byte = [0];
        while !header.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            header.push(byte[0]);
        }
        Self {
            header: String::from_utf8(header).unwrap(),
            body: String::new(),
        }
    }

    fn read(stream: &mut impl Read) -> Self {
        let mut request = Self::connect(stream);
        if request.header.starts_with("GET ") {
            return request;
        }
        let length = request.field("content-length").parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        request.body = String::from_utf8(body).unwrap();
        request
    }

    fn field(&self, name: &str) -> String {
        let found = self.header.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        found.unwrap_or_else(|| panic!("no {name} in {}", self.header))
    }

    fn json(&self) -> Value {
        assert_eq!(self.field("content-type"), "application/json");
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver that answers its requests with these statuses in turn, the last for all that follow.
fn receiver(statuses: &[&'static str]) -> (SocketAddr, Receiver<Request>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let statuses = statuses.to_vec();
    let (sender, requests) = channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let status = statuses.get(number).or(statuses.last()).unwrap();
            let request = Request::read(&mut stream);
            // Before the answer, with which the program may end.
            let is_over = sender.send(request).is_err();
            answer(&mut stream, status);
            if is_over {
                return;
            }
        }
    });
    (address, requests)
}

/// `status` may have header fields behind it, and a body behind `|`.
fn answer(stream: &mut impl Write, status: &str) {
    let (status, body) = status
        .split_once('|')
        .unwrap_or((status, "taken\nand more"));
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
}

/// A home of its own.
struct Home(TempDir);

impl Home {
    fn with(settings: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(home.0.path().join("config/gatehound")).unwrap();
        home.set(settings);
        home
    }

    /// One whose webhook is at an address.
    fn notified_at(address: SocketAddr, preset: &str, further: &str) -> Self {
        Self::with(&format!(
            "[[alert.channel]]\nurl = \"http://{address}/hook/s3cr3t-topic\"\npreset = \"{preset}\"\n{further}"
        ))
    }

    fn set(&self, settings: &str) {
        fs::write(self.0.path().join("config/gatehound/config.toml"), settings).unwrap();
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state/gatehound")
    }

    fn queue(&self, kind: Kind, text: &str) {
        let alert = Alert {
            kind,
            text: text.into(),
            reason: text.into(),
            ..Alert::test(UNIT)
        };
        queue::queue(&self.state(), &alert, TIMEOUT).unwrap();
    }

    fn waiting(&self) -> Vec<PathBuf> {
        queue::waiting(&queue::folder(&self.state())).unwrap()
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatehound"));
        command
            .args(["alert", what])
            .env_clear()
            .env("HOME", self.0.path())
            .env("XDG_CONFIG_HOME", self.0.path().join("config"))
            .env("XDG_STATE_HOME", self.0.path().join("state"))
            .env("XDG_RUNTIME_DIR", self.0.path().join("run"));
        command
    }

    /// Holds the exit status and says what was said, in which no URL may be.
    #[track_caller]
    fn alert(&self, what: &str, status: i32) -> String {
        said(&self.command(what).output().unwrap(), status)
    }
}

#[track_caller]
fn said(output: &Output, status: i32) -> String {
    let said = [output.stdout.clone(), output.stderr.clone()].concat();
    let said = String::from_utf8(said).unwrap();
    let said = without_note(&said);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
    said
}

#[track_caller]
fn said_by(command: &mut Command, status: i32) -> String {
    said(&command.output().unwrap(), status)
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    name.trim().to_owned()
}

/// What one alert with a foul text becomes under a preset.
fn posted(preset: &str, further: &str) -> Request {
    let request = posted_to(preset, further, "200 OK");
    assert!(
        request
            .header
            .starts_with("POST /hook/s3cr3t-topic HTTP/1.1\r\n")
    );
    request
}

/// The same, where the service answers so to what it took.
#[track_caller]
fn posted_to(preset: &str, further: &str, answer: &'static str) -> Request {
    let (address, requests) = receiver(&[answer]);
    let home = Home::notified_at(address, preset, further);
    home.queue(Kind::NeedsHuman, FOUL);
    let said = home.alert("send", 0);
    assert!(said.starts_with("delivered  "), "{said}");
    assert_eq!(home.waiting(), Vec::<PathBuf>::new());
    let request = requests.recv_timeout(TIMEOUT).unwrap();
    assert!(!request.header.contains("X-Forged"), "{}", request.header);
    request
}

fn line() -> String {
    format!("{}: gateway needs a human: {FLAT}", host())
}

#[test]
fn json_has_every_field() {
    let sent = posted("json", "").json();
    assert_eq!(sent["text"], FLAT);
    assert_eq!(sent["reason"], FLAT);
    assert_eq!(sent["kind"], "needs-human");
    assert_eq!(sent["unit"], UNIT);
    assert_eq!(sent["host"], host());
    let time = sent["time"].as_str().unwrap();
    let (_, zone) = time.split_at(time.len() - "+00:00".len());
    assert!(zone.starts_with(['+', '-']) && zone.contains(':'), "{time}");
}

#[test]
fn ntfy_has_the_text_as_body_and_the_rest_in_its_header() {
    let request = posted("ntfy", "");
    assert_eq!(request.body, FLAT);
    assert_eq!(request.field("priority"), "urgent");
    assert_eq!(request.field("tags"), "rotating_light");
    let title = format!("{}: gateway needs a human", host());
    assert_eq!(request.field("title"), title);
}

/// A text as it is where `@everyone` would call somebody.
fn calm(text: &str) -> String {
    text.replace('@', "@\u{200b}")
}

/// What each preset posts: further settings, what its service answers to a success, what it is sent.
#[test]
fn every_preset_sends_what_its_service_takes_and_foul_text_is_only_text_in_it() {
    let (line, title) = (line(), format!("{}: gateway needs a human", host()));
    let entities = line.replace('&', "&amp;");
    let entities = entities.replace('<', "&lt;").replace('>', "&gt;");
    let no_tags = |text: &str| calm(&text.replace('<', "\u{2039}").replace('>', "\u{203a}"));
    let text = json!({ "msgtype": "text", "text": { "content": calm(&line) } });
    let block = |text: String, weight: Option<&str>| {
        let mut block = json!({ "type": "TextBlock", "wrap": true, "text": text });
        if let Some(weight) = weight {
            block["weight"] = weight.into();
        }
        block
    };
    let card = json!({
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [block(no_tags(&title), Some("bolder")), block(no_tags(FLAT), None)],
    });
    let attachment = json!({
        "contentType": "application/vnd.microsoft.card.adaptive",
        "content": card,
    });
    for (preset, further, answer, expected) in [
        ("slack", "", "200 OK|ok", json!({ "text": calm(&entities) })),
        (
            "mattermost",
            "",
            "200 OK|ok",
            json!({ "text": calm(&line) }),
        ),
        (
            "discord",
            "",
            "204 No Content|",
            json!({ "content": calm(&line), "allowed_mentions": { "parse": [] } }),
        ),
        (
            "telegram",
            "to = -100",
            "200 OK|{\"ok\":true,\"result\":{\"message_id\":7}}",
            json!({ "chat_id": "-100", "text": calm(&line) }),
        ),
        (
            "feishu",
            "",
            "200 OK|{\"StatusCode\":0,\"StatusMessage\":\"success\",\"code\":0,\"data\":{},\"msg\":\"success\"}",
            json!({ "msg_type": "text", "content": { "text": no_tags(&line) } }),
        ),
        (
            "dingtalk",
            "",
            "200 OK|{\"errcode\":0,\"errmsg\":\"ok\"}",
            text.clone(),
        ),
        (
            "wecom",
            "",
            "200 OK|{\"errcode\":0,\"errmsg\":\"ok\"}",
            text,
        ),
        (
            "serverchan",
            "",
            "200 OK|{\"code\":0,\"message\":\"\",\"data\":{\"pushid\":\"1\",\"error\":\"SUCCESS\",\"errno\":0}}",
            json!({ "title": title, "desp": FLAT }),
        ),
        (
            "pushplus",
            "token = \"s3cr3t\"",
            "200 OK|{\"code\":200,\"msg\":\"请求成功\",\"data\":\"f6\"}",
            json!({ "token": "s3cr3t", "title": title, "content": FLAT, "template": "txt" }),
        ),
        (
            "bark",
            "",
            "200 OK|{\"code\":200,\"message\":\"success\",\"timestamp\":1699}",
            json!({ "title": title, "body": FLAT, "level": "timeSensitive", "group": "Gatehound" }),
        ),
        (
            "pushover",
            "token = \"s3cr3t\"\nto = \"me\"",
            "200 OK|{\"status\":1,\"request\":\"647d2300\"}",
            json!({ "token": "s3cr3t", "user": "me", "title": title, "message": FLAT, "priority": 1 }),
        ),
        (
            "teams",
            "",
            "202 Accepted|",
            json!({ "type": "message", "attachments": [attachment] }),
        ),
        (
            "pagerduty",
            "token = \"s3cr3t\"",
            "202 Accepted|{\"status\":\"success\",\"message\":\"Event processed\",\"dedup_key\":\"a\"}",
            json!({
                "routing_key": "s3cr3t",
                "event_action": "trigger",
                "dedup_key": format!("gatehound {} {UNIT} gateway", host()),
                "payload": { "summary": line, "source": host(), "severity": "critical" },
            }),
        ),
    ] {
        let request = posted_to(preset, further, answer);
        assert!(
            request
                .header
                .starts_with("POST /hook/s3cr3t-topic HTTP/1.1\r\n")
        );
        assert_eq!(request.json(), expected, "{preset}");
    }
}

/// What each service answers to what it does not take, as its documents have it.
#[test]
fn what_a_service_does_not_take_is_left_in_the_queue_with_its_own_words() {
    for (preset, further, answer, words) in [
        (
            "slack",
            "",
            "200 OK|channel_is_archived",
            "channel_is_archived",
        ),
        ("slack", "", "403 Forbidden|invalid_token", "invalid_token"),
        (
            "mattermost",
            "",
            "400 Bad Request|{\"id\":\"web.incoming_webhook.invalid.app_error\",\"message\":\"Invalid webhook.\"}",
            "Invalid webhook.",
        ),
        (
            "discord",
            "",
            "404 Not Found|{\"message\":\"Unknown Webhook\",\"code\":10015}",
            "Unknown Webhook",
        ),
        (
            "telegram",
            "to = 7",
            "400 Bad Request|{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: chat not found\"}",
            "chat not found",
        ),
        (
            "feishu",
            "",
            "200 OK|{\"code\":19021,\"msg\":\"sign match fail or timestamp is not within one hour from current time\"}",
            "sign match fail",
        ),
        (
            "dingtalk",
            "",
            "200 OK|{\"errcode\":310000,\"errmsg\":\"keywords not in content\"}",
            "keywords not in content",
        ),
        (
            "wecom",
            "",
            "200 OK|{\"errcode\":93000,\"errmsg\":\"invalid webhook url\"}",
            "invalid webhook url",
        ),
        (
            "serverchan",
            "",
            "400 Bad Request|{\"code\":40001,\"message\":\"[AUTH]错误的Key\"}",
            "错误的Key",
        ),
        (
            "pushplus",
            "token = \"x\"",
            "200 OK|{\"code\":903,\"msg\":\"无效的用户token\",\"data\":null}",
            "无效的用户token",
        ),
        (
            "bark",
            "",
            "400 Bad Request|{\"code\":400,\"message\":\"failed to get device token\"}",
            "failed to get device token",
        ),
        (
            "gotify",
            "token = \"x\"",
            "401 Unauthorized|{\"error\":\"Unauthorized\",\"errorCode\":401,\"errorDescription\":\"you need to provide a valid access token\"}",
            "valid access token",
        ),
        (
            "pushover",
            "token = \"x\"\nto = \"y\"",
            "400 Bad Request|{\"user\":\"invalid\",\"errors\":[\"user identifier is invalid\"],\"status\":0}",
            "user identifier is invalid",
        ),
        (
            "teams",
            "",
            "200 OK|Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 404",
            "delivery failed",
        ),
        (
            "matrix",
            "token = \"x\"\nto = \"!r:h\"",
            "403 Forbidden|{\"errcode\":\"M_FORBIDDEN\",\"error\":\"You are not in the room\"}",
            "not in the room",
        ),
        (
            "pagerduty",
            "token = \"x\"",
            "400 Bad Request|{\"status\":\"invalid event\",\"message\":\"Event object is invalid\",\"errors\":[\"Invalid routing key\"]}",
            "Invalid routing key",
        ),
        (
            "ntfy",
            "",
            "403 Forbidden|{\"code\":40301,\"http\":403,\"error\":\"forbidden\"}",
            "forbidden",
        ),
    ] {
        let (address, requests) = receiver(&[answer]);
        let home = Home::notified_at(address, preset, further);
        home.queue(Kind::Down, "it");
        let said = home.alert("send", 0);
        let begin = format!("left       {preset}: status ");
        assert!(said.starts_with(&begin) && said.contains(words), "{said}");
        assert!(said.contains("; trying again in 1 h"), "{said}");
        assert_eq!(home.waiting().len(), 1, "{preset}");
        assert_eq!(requests.try_iter().count(), 1);
    }
}

#[test]
fn gotify_and_matrix_have_a_path_and_a_token_in_the_header() {
    let sent = posted_to(
        "gotify",
        "token = \"s3cr3t\"",
        "200 OK|{\"id\":25,\"appid\":5}",
    );
    let begin = "POST /hook/s3cr3t-topic/message HTTP/1.1\r\n";
    assert!(sent.header.starts_with(begin), "{}", sent.header);
    assert_eq!(sent.field("x-gotify-key"), "s3cr3t");
    let title = format!("{}: gateway needs a human", host());
    let expected = json!({ "title": title, "message": FLAT, "priority": 8 });
    assert_eq!(sent.json(), expected);
    let further = "token = \"s3cr3t\"\nto = \"!abc:example.org\"";
    let sent = posted_to("matrix", further, "200 OK|{\"event_id\":\"$a\"}");
    let begin =
        "PUT /hook/s3cr3t-topic/_matrix/client/v3/rooms/%21abc%3Aexample.org/send/m.room.message/";
    assert!(sent.header.starts_with(begin), "{}", sent.header);
    assert_eq!(sent.field("authorization"), "Bearer s3cr3t");
    let expected = json!({ "msgtype": "m.text", "body": calm(&line()), "m.mentions": {} });
    assert_eq!(sent.json(), expected);
}

#[test]
fn pagerduty_is_asked_to_resolve_what_it_was_asked_to_trigger() {
    let (address, requests) = receiver(&["202 Accepted|{\"status\":\"success\"}"]);
    let home = Home::notified_at(address, "pagerduty", "token = \"s3cr3t\"");
    for (kind, action) in [(Kind::Down, "trigger"), (Kind::Back, "resolve")] {
        home.queue(kind, "it");
        home.alert("send", 0);
        let sent = requests.recv_timeout(TIMEOUT).unwrap().json();
        assert_eq!(sent["event_action"], action);
        assert_eq!(
            sent["dedup_key"],
            format!("gatehound {} {UNIT} gateway", host())
        );
    }
}

#[test]
fn dingtalk_and_feishu_are_sent_a_signature() {
    let further = "secret = \"s3cr3t-key\"";
    let sent = posted_to("dingtalk", further, "200 OK|{\"errcode\":0}");
    let (_, query) = sent.header.lines().next().unwrap().split_once('?').unwrap();
    let query = query.strip_suffix(" HTTP/1.1").unwrap();
    let (stamp, sign) = query.split_once("&sign=").unwrap();
    assert_eq!(stamp.len(), "timestamp=1700000000000".len(), "{query}");
    // 32 bytes in base64, with what is no part of a query escaped.
    assert!(
        sign.ends_with("%3D") && !sign.contains(['+', '/', '=']),
        "{sign}"
    );
    let sent = posted_to("feishu", further, "200 OK|{\"code\":0}").json();
    assert_eq!(
        sent["timestamp"].as_str().unwrap().len(),
        "1700000000".len()
    );
    assert_eq!(sent["sign"].as_str().unwrap().len(), 44);
    assert_eq!(sent["msg_type"], "text");
}

#[test]
fn a_template_takes_the_place_of_the_presets_body() {
    let request = posted("ntfy", "body = '{\"m\": \"{{kind}}: {{text}}\"}'");
    assert_eq!(
        request.json(),
        json!({ "m": format!("needs-human: {FLAT}") })
    );
}

#[test]
fn a_credential_may_stand_in_the_url_the_token_the_body_and_a_header_and_is_in_no_message() {
    let (address, requests) = receiver(&["403 No|bad token s3cr3t-Ab\"1 or Bearer s3cr3t-Ab\"1"]);
    let channel = "preset = \"gotify\"\ntoken = \"{{credential:one}}\"\n\
                   headers = { Authorization = \"Bearer {{credential:one}}\" }";
    let home = Home::with(&format!(
        "[[alert.channel]]\nurl = \"http://{address}/{{{{credential:two}}}}\"\n{channel}"
    ));
    fs::write(home.0.path().join("one"), "s3cr3t-Ab\"1\n").unwrap();
    fs::write(home.0.path().join("two"), "s3cr3t-path\n").unwrap();
    let mut command = home.command("test");
    let said = said_by(command.env("CREDENTIALS_DIRECTORY", home.0.path()), 1);
    assert_eq!(said, "failed     gotify: status 403 bad token … or … …\n");
    let request = requests.recv_timeout(TIMEOUT).unwrap();
    assert!(request.header.starts_with("POST /s3cr3t-path/message "));
    assert_eq!(request.field("x-gotify-key"), "s3cr3t-Ab\"1");
    assert_eq!(request.field("authorization"), "Bearer s3cr3t-Ab\"1");
    home.set(&format!(
        "[[alert.channel]]\nurl = \"http://{address}/\"\nbody = '{{\"k\": \"{{{{credential:one}}}}\"}}'"
    ));
    let mut command = home.command("test");
    said_by(command.env("CREDENTIALS_DIRECTORY", home.0.path()), 1);
    let request = requests.recv_timeout(TIMEOUT).unwrap();
    assert_eq!(request.json(), json!({ "k": "s3cr3t-Ab\"1" }));
}

#[test]
fn each_channel_takes_its_kinds_and_a_test_goes_to_all() {
    let (address, requests) = receiver(&["200 OK"]);
    let hook = |path: &str, kinds: &str| {
        format!("[[alert.channel]]\nurl = \"http://{address}/{path}\"\nkinds = [{kinds}]\n")
    };
    let home = Home::with(&(hook("a", "\"needs-human\"") + &hook("b", "")));
    home.queue(Kind::Down, "it");
    let said = home.alert("send", 0);
    assert!(said.starts_with("delivered  webhook 2: "), "{said}");
    home.queue(Kind::NeedsHuman, "it");
    home.alert("send", 0);
    home.alert("test", 0);
    let paths: Vec<String> = requests
        .try_iter()
        .map(|one| one.header.split(' ').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(paths, ["/b", "/a", "/b", "/a", "/b"]);
}

/// A program of its own, and the settings of a channel that runs it.
fn script(home: &Home, text: &str, arguments: &str) -> PathBuf {
    let path = home.0.path().join("notify");
    fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    home.set(&format!(
        "[[alert.channel]]\ntype = \"command\"\ncommand = [{:?}{arguments}]",
        path.to_str().unwrap()
    ));
    path
}

#[test]
fn a_command_gets_the_text_to_read_and_fields_in_its_arguments_without_a_shell() {
    let home = Home::with("");
    let text = "printf '%s\\n' \"$@\" \"$GATEHOUND_ALERT_KIND\" \"$GATEHOUND_ALERT_REASON\" > \"$0.out\"\n\
                cat >> \"$0.out\"\necho taken\n";
    let script = script(&home, text, ", \"a b\", \"{{title}}\", \"x{{kind}}y\"");
    home.queue(Kind::NeedsHuman, FOUL);
    let said = home.alert("send", 0);
    assert!(said.contains("exit status 0 taken"), "{said}");
    let found = fs::read_to_string(script.with_file_name("notify.out")).unwrap();
    let title = format!("{}: gateway needs a human", host());
    let expected = format!("a b\n{title}\nxneeds-humany\nneeds-human\n{FLAT}\n{FLAT}\n");
    assert_eq!(found, expected);
}

#[test]
fn the_last_words_of_the_run_that_failed_are_in_the_alert() {
    let (address, requests) = receiver(&["200 OK"]);
    let home = Home::notified_at(address, "ntfy", "");
    let journalctl = home.0.path().join("journalctl");
    let text = "#!/bin/sh\ncase \"$*\" in *_SYSTEMD_INVOCATION_ID=abc*) echo first; echo 'listen EADDRINUSE';; esac";
    fs::write(&journalctl, text).unwrap();
    fs::set_permissions(&journalctl, Permissions::from_mode(0o755)).unwrap();
    let alert = Alert {
        kind: Kind::NeedsHuman,
        text: "it is down".into(),
        run: Some(Invocation("abc".to_owned())),
        ..Alert::test(UNIT)
    };
    queue::queue(&home.state(), &alert, TIMEOUT).unwrap();
    let mut command = home.command("send");
    said_by(command.env("PATH", home.0.path()), 0);
    let body = requests.recv_timeout(TIMEOUT).unwrap().body;
    assert_eq!(body, "it is down; the last that it said: listen EADDRINUSE");
    // Whoever cannot read the journal is notified all the same.
    fs::write(&journalctl, "#!/bin/sh\nexit 1").unwrap();
    queue::queue(&home.state(), &alert, TIMEOUT).unwrap();
    let mut command = home.command("send");
    said_by(command.env("PATH", home.0.path()), 0);
    assert_eq!(requests.recv_timeout(TIMEOUT).unwrap().body, "it is down");
}

#[test]
fn an_alert_in_chinese_arrives_with_every_letter() {
    let (address, requests) = receiver(&["200 OK"]);
    let home = Home::notified_at(address, "ntfy", "[alert]\nlanguage = \"zh\"");
    home.alert("test", 0);
    let request = requests.recv_timeout(TIMEOUT).unwrap();
    assert_eq!(request.body, format!("{UNIT}: 这是一条测试，告警可以送达"));
    let title = request.field("title");
    assert!(
        title.starts_with("=?UTF-8?B?") && title.is_ascii(),
        "{title}"
    );
}

#[test]
fn what_a_command_says_of_its_failure_is_in_the_report() {
    let home = Home::with("");
    let text = "echo first >&2; printf 'no \\033[1mroute\\033[0m\\r\\n' >&2; exit 75\n";
    script(&home, text, "");
    home.queue(Kind::Down, "it");
    assert_eq!(
        home.alert("send", 1),
        "left       command: notify fails: exit status: 75: no route; trying again in 1 min\n"
    );
    home.set("[[alert.channel]]\ntype = \"command\"\ncommand = [\"/nonexistent/apprise\"]");
    let said = home.alert("send", 0);
    let begin = "left       command: there is no program /nonexistent/apprise; install it, or correct the command; ";
    assert!(said.starts_with(begin), "{said}");
}

#[test]
fn mail_goes_to_what_sendmail_reads() {
    let home = Home::with("");
    let script = script(&home, "cat > \"$0.out\"\n", "");
    let path = script.to_str().unwrap();
    home.set(&format!(
        "[[alert.channel]]\ntype = \"mail\"\nto = \"me@example.com\"\ncommand = [{path:?}]"
    ));
    home.queue(Kind::NeedsHuman, FOUL);
    home.alert("send", 0);
    let letter = fs::read_to_string(script.with_file_name("notify.out")).unwrap();
    let (header, body) = letter.split_once("\n\n").unwrap();
    let subject = format!("Subject: {}: gateway needs a human\n", host());
    assert!(
        header.starts_with("To: me@example.com\n") && header.contains(&subject),
        "{header}"
    );
    assert!(body.starts_with(&format!("{FLAT}\n")), "{body}");
}

#[test]
fn what_a_command_is_given_is_no_setting_if_it_asks_gatehound() {
    let home = Home::with(TRUE);
    let mut command = home.command("send");
    command.env("GATEHOUND_ALERT_TEXT", "down");
    said(&command.output().unwrap(), 0);
    command.env("GATEHOUND_ALERT__REMAIND", "1h");
    said(&command.output().unwrap(), 78);
}

#[test]
fn what_is_not_taken_waits_and_goes_first_when_it_is() {
    let (address, requests) = receiver(&["503 No", "200 OK"]);
    let home = Home::notified_at(address, "ntfy", "");
    home.queue(Kind::Down, "first");
    home.queue(Kind::Back, "second");
    let said = home.alert("send", 1);
    assert!(
        said.contains("left       ntfy: status 503 taken; trying again in 1 min"),
        "{said}"
    );
    assert_eq!(home.waiting().len(), 2);
    // The channel is away, and is not tried with the second one.
    assert_eq!(requests.recv_timeout(TIMEOUT).unwrap().body, "first");
    home.alert("send", 0);
    assert_eq!(requests.recv_timeout(TIMEOUT).unwrap().body, "first");
    assert_eq!(requests.recv_timeout(TIMEOUT).unwrap().body, "second");
    assert_eq!(home.waiting(), Vec::<PathBuf>::new());
}

/// What one alert leads to that is answered so, and the exit status of the delivery.
#[track_caller]
fn answered(status: &'static str, exit: i32) -> (Home, Receiver<Request>, String) {
    let (address, requests) = receiver(&[status]);
    let home = Home::notified_at(address, "json", "");
    home.queue(Kind::Down, "first");
    let said = home.alert("send", exit);
    assert_eq!(home.waiting().len(), 1);
    (home, requests, said)
}

#[test]
fn a_service_that_refuses_with_status_200_did_not_take_the_alert_whatever_the_preset() {
    for (answer, quoted) in [
        (
            r#"200 OK|{"errcode":310000,"errmsg":"sign not match"}"#,
            "310000",
        ),
        (
            r#"200 OK|{"code":19024,"msg":"Key Words Not Found"}"#,
            "19024",
        ),
        (
            r#"200 OK|{"ok":false,"description":"chat not found"}"#,
            "chat not found",
        ),
        ("200 OK|invalid_token", "invalid_token"),
    ] {
        let (.., said) = answered(answer, 0);
        let begin = "left       webhook: status 200 ";
        assert!(said.starts_with(begin) && said.contains(quoted), "{said}");
    }
}

#[test]
fn what_only_a_human_corrects_is_reported_once_and_tried_again_with_the_next_alert() {
    let (home, requests, said) = answered("404 Not Found", 0);
    assert_eq!(
        said,
        "left       webhook: status 404 taken; trying again in 1 h, and with the next alert\n"
    );
    assert_eq!(home.alert("send", 0), "", "it is left alone");
    assert_eq!(requests.try_iter().count(), 1);
    home.queue(Kind::NeedsHuman, "second");
    assert_eq!(home.alert("send", 0), "", "it was said before");
    assert_eq!(requests.try_iter().count(), 1, "the new one");
    // Another URL is tried at once, for all that waits.
    let (address, requests) = receiver(&["200 OK"]);
    home.set(&format!(
        "[[alert.channel]]\nurl = \"http://{address}/corrected\""
    ));
    home.alert("send", 0);
    assert_eq!(requests.try_iter().count(), 2);
    assert_eq!(home.waiting(), Vec::<PathBuf>::new());
}

#[test]
fn a_service_that_says_when_is_not_asked_before() {
    let (home, requests, said) = answered("429 Slow down\r\nRetry-After: 600", 0);
    let expected = "left       webhook: status 429 taken; trying again in 10 min\n";
    assert_eq!(said, expected);
    home.queue(Kind::NeedsHuman, "second");
    assert_eq!(home.alert("send", 0), "");
    assert_eq!(requests.try_iter().count(), 1);
}

#[test]
fn a_channel_that_took_an_alert_is_not_told_again_for_another_that_did_not() {
    let (address, requests) = receiver(&["200 OK"]);
    let home = Home::notified_at(
        address,
        "ntfy",
        "[[alert.channel]]\ntype = \"command\"\ncommand = [\"/bin/false\"]",
    );
    home.queue(Kind::Down, "first");
    let said = home.alert("send", 1);
    assert!(
        said.contains("left       command: false fails: exit status: 1"),
        "{said}"
    );
    home.alert("send", 1);
    assert_eq!(home.waiting().len(), 1);
    assert_eq!(requests.recv_timeout(TIMEOUT).unwrap().body, "first");
    requests
        .try_recv()
        .err()
        .expect("the webhook was told once");
}

#[test]
fn a_receiver_that_hangs_is_left_at_its_limit_and_costs_it_once() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let home = Home::notified_at(address, "ntfy", "[alert]\ntimeout = \"1s\"");
    for _ in 0..60 {
        home.queue(Kind::Down, "down");
    }
    let begin = Instant::now();
    let said = home.alert("send", 1);
    assert!(said.contains("no answer within 1s"), "{said}");
    assert!(begin.elapsed() < TIMEOUT, "{:?}", begin.elapsed());
    assert_eq!(home.waiting().len(), 60);
}

#[test]
fn what_is_older_than_a_day_is_dropped_and_so_is_what_makes_no_sense() {
    let (address, requests) = receiver(&["200 OK"]);
    let home = Home::notified_at(address, "ntfy", "");
    home.queue(Kind::Down, "young");
    let young = home.waiting().remove(0);
    let (mut queued, _) = queue::read(&young).unwrap().unwrap();
    queued.alert.text = "late".into();
    queued.due -= Duration::from_secs(3600);
    queue::save(
        &young.with_file_name("00000000000000000002-down.json"),
        &queued,
    )
    .unwrap();
    queued.alert.text = "old".into();
    queued.due -= queue::MAX_AGE;
    queue::save(
        &young.with_file_name("00000000000000000001-down.json"),
        &queued,
    )
    .unwrap();
    let senseless = "00000000000000000000-down.json";
    fs::write(young.with_file_name(senseless), "{").unwrap();
    let said = home.alert("send", 0);
    assert!(said.contains("dropped    older than a day: old"), "{said}");
    assert!(
        said.contains(&format!("{senseless}: not an alert")),
        "{said}"
    );
    let late = requests.recv_timeout(TIMEOUT).unwrap().body;
    assert_eq!(late, "late (reported 1 h late)");
    assert_eq!(requests.recv_timeout(TIMEOUT).unwrap().body, "young");
    assert_eq!(home.waiting(), Vec::<PathBuf>::new());
}

#[test]
fn a_test_tells_what_each_side_answered() {
    let (address, requests) = receiver(&["200 OK", "404 Not Found", "302 Found"]);
    let home = Home::notified_at(
        address,
        "ntfy",
        "[[alert.channel]]\ntype = \"command\"\ncommand = [\"/bin/echo\", \"heard\"]",
    );
    let said = home.alert("test", 0);
    assert!(
        said.contains("delivered  ntfy: status 200 taken\n"),
        "{said}"
    );
    assert!(
        said.contains("delivered  command: exit status 0 heard"),
        "{said}"
    );
    let request = requests.recv_timeout(TIMEOUT).unwrap();
    assert_eq!(
        request.body,
        format!("{UNIT}: this is a test, alerts arrive")
    );
    assert_eq!(request.field("priority"), "default");
    for status in ["404", "302"] {
        let said = home.alert("test", 1);
        assert!(
            said.contains(&format!("failed     ntfy: status {status} taken")),
            "{said}"
        );
        assert_eq!(said.contains("redirects are not followed"), status == "302");
    }
    let said = Home::with("").alert("test", 1);
    assert!(said.contains("no alert channel is configured"), "{said}");
}

#[test]
fn an_alert_that_cannot_be_read_is_named_and_waits_for_a_day_and_the_others_go_on() {
    let (address, requests) = receiver(&["200 OK"]);
    let home = Home::notified_at(address, "ntfy", "");
    home.queue(Kind::Down, "first");
    let first = home.waiting().remove(0);
    // What a mode keeps from everybody else, root can read.
    let (aside, old) = (
        home.0.path().join("aside"),
        "00000000000000000001-down.json",
    );
    fs::rename(&first, &aside).unwrap();
    symlink(&aside, &first).unwrap();
    symlink(&aside, first.with_file_name(old)).unwrap();
    home.queue(Kind::Back, "second");
    let said = home.alert("send", 1);
    let name = first.file_name().unwrap().to_str().unwrap();
    for part in [
        format!(
            "dropped    {}: a symbolic link",
            first.with_file_name(old).display()
        ),
        format!("{name}: a symbolic link, not a file; trying again in 1 min"),
    ] {
        assert!(said.contains(&part), "{said}");
    }
    assert_eq!(requests.recv_timeout(TIMEOUT).unwrap().body, "second");
    assert_eq!(home.waiting(), std::slice::from_ref(&first));
    fs::rename(&aside, &first).unwrap();
    home.alert("send", 0);
    assert_eq!(requests.recv_timeout(TIMEOUT).unwrap().body, "first");
    assert_eq!(home.waiting(), Vec::<PathBuf>::new());
}

#[test]
fn a_test_that_no_unit_sends_is_sent_from_the_shell_and_says_so() {
    let (address, requests) = receiver(&["200 OK"]);
    let home = Home::notified_at(address, "ntfy", "");
    let output = home.command("test").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let begin = "note       sent from this shell, whose credentials and proxy may be others: ";
    assert!(said.starts_with(begin), "{said}");
    assert!(
        said.ends_with("delivered  ntfy: status 200 taken\n"),
        "{said}"
    );
    assert_eq!(requests.try_iter().count(), 1);
    // No request is left that the next delivery would begin with.
    assert_eq!(home.alert("send", 0), "");
}

#[test]
fn a_test_that_was_asked_for_is_sent_before_what_waits() {
    let (address, requests) = receiver(&["200 OK", "404 Not Found"]);
    let home = Home::notified_at(address, "ntfy", "");
    home.queue(Kind::Down, "it");
    let folder = queue::folder(&home.state());
    fs::write(folder.join("test"), "").unwrap();
    let said = home.alert("send", 0);
    assert!(
        said.starts_with("delivered  ntfy: status 200 taken\n"),
        "{said}"
    );
    let answer = fs::read_to_string(folder.join("tested")).unwrap();
    assert_eq!(answer, "delivered  ntfy: status 200 taken");
    assert!(
        requests
            .recv_timeout(TIMEOUT)
            .unwrap()
            .body
            .contains("this is a test")
    );
    assert!(!folder.join("test").exists());
}

/// A home whose ping goes to an address.
fn pinging(address: SocketAddr) -> Home {
    Home::with(&format!(
        "alert.timeout = \"1s\"\n[[alert.channel]]\ntype = \"ping\"\nurl = \"http://{address}/ping/s3cr3t-uuid\""
    ))
}

#[test]
fn a_ping_asks_for_its_url_and_says_nothing_while_it_is_taken() {
    let (address, requests) = receiver(&["200 OK", "204 No Content"]);
    let home = pinging(address);
    for _ in 0..2 {
        assert_eq!(home.alert("ping", 0), "");
        let request = requests.recv_timeout(TIMEOUT).unwrap();
        let begin = "GET /ping/s3cr3t-uuid HTTP/1.1\r\n";
        assert!(request.header.starts_with(begin), "{}", request.header);
    }
}

/// A home with a ping of a preset at an address that has a query.
fn pinging_as(preset: &str, address: SocketAddr) -> Home {
    Home::with(&format!(
        "[[alert.channel]]\ntype = \"ping\"\npreset = \"{preset}\"\n\
         url = \"http://{address}/s3cr3t-uuid?status=up&msg=OK&ping=\""
    ))
}

fn first_line(request: &Request) -> &str {
    request.header.lines().next().unwrap()
}

#[test]
fn healthchecks_hears_of_the_begin_of_a_restart_and_of_a_failure_with_the_reason() {
    // 201 for a check that the ping made.
    let (address, requests) = receiver(&[
        "200 OK|OK",
        "201 Created|Created",
        "404 Not Found|not found",
    ]);
    let home = pinging_as("healthchecks", address);
    home.queue(Kind::Down, "it hangs");
    home.queue(Kind::NeedsHuman, "nothing helps");
    home.queue(Kind::Back, "healthy again");
    let said = home.alert("send", 0);
    assert_eq!(said.matches("delivered  ping: ").count(), 2, "{said}");
    for (path, text) in [("start", "it hangs"), ("fail", "nothing helps")] {
        let request = requests.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(
            first_line(&request),
            format!("POST /s3cr3t-uuid/{path} HTTP/1.1")
        );
        assert!(request.body.ends_with(text), "{}", request.body);
    }
    // A check that is not there: the pings that do not come raise the alarm, so that it is not tried again.
    home.queue(Kind::NeedsHuman, "nothing helps");
    let said = home.alert("send", 0);
    assert_eq!(said, "skipped    ping: status 404 not found\n");
    assert_eq!(home.waiting(), Vec::<PathBuf>::new());
    assert_eq!(requests.try_iter().count(), 1);
}

#[test]
fn uptime_kuma_hears_that_it_is_up_and_that_it_is_down_with_the_reason() {
    let (address, requests) = receiver(&[
        "200 OK|{\"ok\":true}",
        "200 OK|{\"ok\":true}",
        "404 Not Found|{\"ok\":false,\"msg\":\"Monitor not found or not active.\"}",
    ]);
    let home = pinging_as("uptime-kuma", address);
    assert_eq!(home.alert("ping", 0), "");
    let request = requests.recv_timeout(TIMEOUT).unwrap();
    assert_eq!(
        first_line(&request),
        "GET /s3cr3t-uuid?status=up&msg=OK HTTP/1.1"
    );
    home.queue(Kind::Down, "it hangs");
    home.queue(Kind::NeedsHuman, "nothing helps & more");
    home.alert("send", 0);
    let request = requests.recv_timeout(TIMEOUT).unwrap();
    let line = first_line(&request);
    assert!(
        line.starts_with("GET /s3cr3t-uuid?status=down&msg="),
        "{line}"
    );
    assert!(
        line.ends_with("nothing%20helps%20%26%20more HTTP/1.1"),
        "{line}"
    );
    let said = home.alert("ping", 0);
    assert!(said.contains("Monitor not found or not active."), "{said}");
}

#[test]
fn a_ping_that_fails_is_told_once_and_once_more_when_it_is_taken_again() {
    let (address, requests) = receiver(&["503 No", "302 Found", "200 OK"]);
    let home = pinging(address);
    let said = home.alert("ping", 0);
    assert!(
        said.starts_with("failed     ping: status 503 taken; "),
        "{said}"
    );
    assert_eq!(home.alert("ping", 0), "");
    let said = home.alert("ping", 0);
    assert_eq!(said, "delivered  ping: taken again, status 200 taken\n");
    assert_eq!(home.alert("ping", 0), "");
    assert_eq!(requests.try_iter().count(), 4);
}

#[test]
fn a_ping_that_hangs_is_left_at_its_limit() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let home = pinging(listener.local_addr().unwrap());
    let begin = Instant::now();
    let said = home.alert("ping", 0);
    assert!(said.contains("no answer within 1s"), "{said}");
    assert!(begin.elapsed() < TIMEOUT, "{:?}", begin.elapsed());
}

#[test]
fn a_test_sends_a_ping_only_if_it_is_asked_to() {
    let (address, requests) = receiver(&["200 OK", "404 Not Found"]);
    let home = pinging(address);
    let said = home.alert("test", 0);
    assert!(said.starts_with("not sent   ping: "), "{said}");
    let test = |status| {
        let mut command = home.command("test");
        said_by(command.arg("--ping"), status)
    };
    assert_eq!(test(0), "delivered  ping: status 200 taken\n");
    assert_eq!(test(1), "failed     ping: status 404 taken\n");
    assert_eq!(requests.try_iter().count(), 2);
    home.set(TRUE);
    let said = test(1);
    assert!(said.contains("no ping is set"), "{said}");
}

#[test]
fn a_pings_url_from_a_credential_is_used_and_never_told() {
    let (address, requests) = receiver(&["200 OK"]);
    let home = Home::with("[[alert.channel]]\ntype = \"ping\"\nurl = \"{{credential:ping-url}}\"");
    let said = home.alert("ping", 0);
    assert!(said.contains("LoadCredential=ping-url:PATH"), "{said}");
    let url = format!("http://{address}/s3cr3t-uuid\n");
    fs::write(home.0.path().join("ping-url"), url).unwrap();
    let mut command = home.command("ping");
    said_by(command.env("CREDENTIALS_DIRECTORY", home.0.path()), 0);
    let request = requests.recv_timeout(TIMEOUT).unwrap();
    assert!(request.header.starts_with("GET /s3cr3t-uuid "));
}

#[test]
fn a_url_from_a_credential_is_used_and_never_told() {
    let (address, requests) = receiver(&["200 OK"]);
    let home =
        Home::with("[[alert.channel]]\nurl = \"{{credential:alert-url}}\"\npreset = \"ntfy\"");
    home.queue(Kind::Down, "down");
    let said_without = home.alert("send", 0);
    assert!(
        said_without.contains("LoadCredential=alert-url:PATH"),
        "{said_without}"
    );
    let send = |url: &str, status| {
        fs::write(home.0.path().join("alert-url"), url).unwrap();
        let mut command = home.command("send");
        command.env("CREDENTIALS_DIRECTORY", home.0.path());
        said(&command.output().unwrap(), status)
    };
    // Nobody listens at port 1; the other is no URL at all.
    send("http://127.0.0.1:1/s3cr3t-topic", 1);
    for url in [
        "http://[s3cr3t-topic",
        "http://127.0.0.1:99999/s3cr3t-topic",
        "s3cr3t",
    ] {
        fs::write(home.0.path().join("alert-url"), url).unwrap();
        let mut command = home.command("test");
        let said = said_by(command.env("CREDENTIALS_DIRECTORY", home.0.path()), 1);
        let begin = "failed     ntfy: with its credentials the url is no URL that begins with https:// or http://";
        assert!(said.starts_with(begin), "{said}");
    }
    send(&format!("http://{address}/s3cr3t-topic\n"), 0);
    assert!(
        requests
            .recv_timeout(TIMEOUT)
            .unwrap()
            .header
            .starts_with("POST /s3cr3t-topic ")
    );
}

#[test]
fn an_https_url_of_what_speaks_no_tls_is_told_as_that() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&mut stream.unwrap(), "400 Bad Request");
        }
    });
    let home = Home::with(&format!(
        "[[alert.channel]]\nurl = \"https://{address}/s3cr3t\""
    ));
    let key = rcgen::KeyPair::generate().unwrap();
    let root = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let bundle = home.0.path().join("roots.pem");
    fs::write(&bundle, root.self_signed(&key).unwrap().pem()).unwrap();
    let told = said_by(home.command("test").env("SSL_CERT_FILE", bundle), 1);
    assert_eq!(
        told,
        "failed     webhook: no TLS is spoken there; correct the port, or write http:// for https:// in the URL\n"
    );
}

/// A proxy that takes one CONNECT, and a request to whomever that was; what it was asked.
fn proxy() -> (SocketAddr, Receiver<Request>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Request::connect(&mut stream);
            if request.header.starts_with("CONNECT ") {
                write!(stream, "HTTP/1.1 200 OK\r\n\r\n").unwrap();
                request.body = Request::read(&mut stream).header;
            }
            answer(&mut stream, "200 OK");
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    (address, requests)
}

#[test]
fn a_proxy_is_chosen_by_the_scheme_of_the_url_and_socks_is_refused() {
    let (address, requests) = proxy();
    let home = Home::with("[[alert.channel]]\nurl = \"http://service.example/s3cr3t-topic\"");
    let test = |variables: &[(&str, &str)], status| {
        let mut command = home.command("test");
        said_by(command.envs(variables.iter().copied()), status)
    };
    let proxy = address.to_string();
    test(
        &[
            ("http_proxy", &proxy),
            ("https_proxy", "http://127.0.0.1:1"),
        ],
        0,
    );
    let request = requests.recv_timeout(TIMEOUT).unwrap();
    assert!(
        request.header.contains("service.example"),
        "{}",
        request.header
    );
    let said = test(&[("all_proxy", "socks5h://127.0.0.1:9050")], 1);
    let begin = "failed     webhook: all_proxy has a proxy of the kind socks5h, which Gatehound does not speak; ";
    assert!(said.starts_with(begin), "{said}");
    test(&[("http_proxy", &proxy), ("no_proxy", ".example")], 1);
    assert_eq!(requests.try_iter().count(), 0);
}

/// The port of a receiver that shows this certificate and takes everything.
fn secure_receiver(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> u16 {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream: StreamOwned<_, TcpStream> =
                StreamOwned::new(connection, stream.unwrap());
            // A client that does not trust it hangs up here.
            if stream.conn.complete_io(&mut stream.sock).is_ok() {
                Request::read(&mut stream);
                answer(&mut stream, "200 OK");
            }
        }
    });
    port
}

/// What a test says of a receiver at this port, for whom this file has all that are trusted.
fn tested_with(port: u16, trusted: &Path, status: i32) -> String {
    let home = Home::with(&format!(
        "[[alert.channel]]\nurl = \"https://localhost:{port}/s3cr3t\""
    ));
    let mut command = home.command("test");
    command.env("SSL_CERT_FILE", trusted);
    said(&command.output().unwrap(), status)
}

#[test]
fn a_certificate_of_an_authority_is_no_servers_and_the_command_that_is_named_makes_one() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        let output = command
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap_or_else(|error| panic!("{error}; install it with: apt-get install openssl"));
        assert!(output.status.success(), "{output:?}");
    };
    let serve = || {
        let read = |name| fs::read(folder.path().join(name)).unwrap();
        let certificate = CertificateDer::from_pem_slice(&read("cert.pem")).unwrap();
        secure_receiver(
            certificate,
            PrivateKeyDer::from_pem_slice(&read("key.pem")).unwrap(),
        )
    };
    let trusted = folder.path().join("cert.pem");
    // As most instructions have it.
    let words = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=localhost \
                 -addext subjectAltName=DNS:localhost";
    openssl(&words.split_whitespace().collect::<Vec<_>>());
    let told = tested_with(serve(), &trusted, 1);
    let begin = "failed     webhook: its certificate is that of an authority (CA:TRUE), ";
    assert!(told.starts_with(begin), "{told}");
    let named = told.trim().split_once("openssl ").unwrap().1;
    let named = named.replace("HOST", "localhost");
    openssl(&named.split(' ').collect::<Vec<_>>());
    let told = tested_with(serve(), &trusted, 0);
    assert!(told.contains("status 200"), "{told}");
}

#[test]
fn only_a_certificate_that_the_system_trusts_will_do() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let port = secure_receiver(
        certificate.der().clone(),
        PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    );
    let folder = tempfile::tempdir().unwrap();
    let test = |root: &rcgen::Certificate, status| {
        let bundle = folder.path().join("roots.pem");
        fs::write(&bundle, root.pem()).unwrap();
        tested_with(port, &bundle, status)
    };
    let told = test(&certificate, 0);
    assert!(told.contains("status 200"), "{told}");
    let other = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let other = other
        .self_signed(&rcgen::KeyPair::generate().unwrap())
        .unwrap();
    let told = test(&other, 1);
    let begin = "failed     webhook: its certificate is of nobody whom this system trusts; put ";
    assert!(told.starts_with(begin), "{told}");
}
