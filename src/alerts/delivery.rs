//! One message through one channel: templates and credentials filled in, sent, and what came of it.
//!
//! Owns what each type of channel does with a message, and that no secret of its settings reaches an answer.
//! Knows nothing of the queue.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    alerts::{
        desktop::{self, DesktopError, Offer},
        encoding::{harmless, percent, signed},
        message::{Message, Place},
        webhook::{self, Refused, Request},
    },
    os::{
        child::{self, ChildError},
        credentials,
        files::{Links, read_limited},
        wall_clock,
    },
    settings::{
        Channel, Kind, URL, Way, is_url,
        presets::{self, Danger, Preset, Signature},
    },
    text::{
        line::Line,
        template::{CREDENTIAL, fill},
    },
};

/// As much of a command's output as says something.
const MAX_OUTPUT: usize = 4 * 1024;

/// Its recipients are those in the header.
const SENDMAIL: [&str; 3] = ["/usr/sbin/sendmail", "-i", "-t"];

/// Why a channel did not take a message.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It may take it another time.
    Away(Refused),
    /// Nobody is there, and the next reminder reports it to whoever comes.
    Nobody(Line),
}

impl Refusal {
    pub(super) fn why(self) -> Line {
        match self {
            Self::Away(refused) => refused.why,
            Self::Nobody(why) => why,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::Away(refused)
    }
}

/// What channels are given besides the message.
#[derive(Default)]
pub(super) struct Surroundings {
    /// How long one delivery may take.
    pub(super) limit: Duration,
    /// The runtime folder.
    pub(super) runtime: Option<PathBuf>,
    /// The notification whose buttons somebody may press.
    pub(super) offer: RefCell<Option<Offer>>,
}

/// A channel, and what it is called in messages and in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlet<'a> {
    pub(super) channel: &'a Channel,
    /// Which of those that are called alike, from 1.
    number: usize,
}

impl<'a> Outlet<'a> {
    /// All channels.
    pub(super) fn all(channels: &'a [Channel]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for channel in channels {
            let alike = |one: &&Self| called(one.channel) == called(channel);
            let number = 1 + all.iter().filter(alike).count();
            all.push(Self { channel, number });
        }
        all
    }

    /// Its preset or type, and a number for the second one.
    pub(super) fn name(&self) -> String {
        match (called(self.channel), self.number) {
            (name, 1) => name.to_owned(),
            (name, number) => format!("{name} {number}"),
        }
    }

    /// All that it goes by, the secrets included, for telling corrected settings from those before.
    pub(super) fn identity(&self) -> String {
        let secrets = self.channel.credentials();
        let secrets = secrets.iter().map(|name| credentials::read(name));
        let secrets: Vec<String> = secrets
            .map(|read| read.unwrap_or_else(|why| why.to_string()))
            .collect();
        format!("{} {:?} {secrets:?}", self.name(), self.channel)
    }

    /// Delivers one message, and says what the other side answered.
    pub(super) fn deliver(
        &self,
        message: &Message,
        around: &Surroundings,
    ) -> Result<Line, Refusal> {
        let channel = self.channel;
        match channel.way {
            Way::Webhook => Ok(post(channel, message, around.limit)?),
            Way::Command | Way::Mail => Ok(run(channel, message, around.limit)?),
            Way::Desktop => show(message, around),
            Way::Ping => {
                // Late ones say nothing that is still so, and the pings that are missing raise the alarm anyway.
                ping(channel, Some(message), around.limit)
                    .map_err(|refused| Refusal::Nobody(refused.why))
            }
        }
    }
}

fn called(channel: &Channel) -> &str {
    match (channel.way, channel.preset.as_deref()) {
        (Way::Webhook, Some(preset)) if preset != "json" => preset,
        (way, _) => way.name(),
    }
}

fn show(message: &Message, around: &Surroundings) -> Result<Line, Refusal> {
    let runtime = around.runtime.as_deref();
    let notice = message.notice();
    match desktop::show(None, &notice, runtime, around.limit) {
        Ok(offer) => {
            if notice.place != Place::Beside {
                around.offer.replace(offer);
            }
            Ok("shown".into())
        }
        Err(DesktopError::NoDesktop(why)) => Err(Refusal::Nobody(why)),
        Err(DesktopError::Failed(why)) => Err(Refused::soon(why).into()),
    }
}

/// What the names in the templates of one channel stand for.
struct Filling<'a> {
    channel: &'a Channel,
    message: Option<&'a Message>,
    row: Option<&'a Preset>,
    timestamp: String,
    /// What of it no message may have.
    secrets: Vec<String>,
}

impl<'a> Filling<'a> {
    fn new(channel: &'a Channel, message: Option<&'a Message>, row: Option<&'a Preset>) -> Self {
        let now = wall_clock::now();
        let timestamp = match row.map(|row| row.signature) {
            Some(Signature::DingTalk) => now.as_millis().to_string(),
            Some(Signature::Feishu | Signature::None) | None => now.as_secs().to_string(),
        };
        Self {
            channel,
            message,
            row,
            timestamp,
            secrets: Vec::new(),
        }
    }

    fn fill(&mut self, template: &str, json: bool) -> Result<String, Refused> {
        fill(template, json, &mut |name| self.look_up(name)).map_err(Refused::hourly)
    }

    fn look_up(&mut self, name: &str) -> Result<String, Line> {
        if let Some(name) = name.strip_prefix(CREDENTIAL) {
            let secret = credentials::read(name)?;
            self.secrets.push(secret.clone());
            return Ok(secret);
        }
        let channel = self.channel;
        match name {
            "to" => self.setting(&channel.to),
            "url-to" => self.setting(&channel.to).map(|to| percent(&to)),
            "token" => {
                let token = self.setting(&channel.token)?;
                self.secrets.push(token.clone());
                Ok(token)
            }
            "timestamp" => Ok(self.timestamp.clone()),
            "sign" => self.sign(),
            name => {
                let value = self.message.and_then(|message| message.look_up(name));
                let value = value.ok_or_else(|| Line::new(&format!("no {{{{{name}}}}} here")))?;
                let danger = self.row.map_or(Danger::Nothing, |row| row.danger);
                Ok(harmless(&value, danger))
            }
        }
    }

    fn setting(&mut self, text: &Option<String>) -> Result<String, Line> {
        let text = text.as_deref().unwrap_or_default();
        fill(text, false, &mut |name| self.look_up(name))
    }

    fn sign(&mut self) -> Result<String, Line> {
        let channel = self.channel;
        let secret = self.setting(&channel.secret)?;
        self.secrets.push(secret.clone());
        let stamped = format!("{}\n{secret}", self.timestamp);
        // What one takes for the key is to the other what is signed.
        Ok(match self.row.map(|row| row.signature) {
            Some(Signature::Feishu) => signed(&stamped, ""),
            Some(Signature::DingTalk | Signature::None) | None => signed(&secret, &stamped),
        })
    }
}

fn post(channel: &Channel, message: &Message, limit: Duration) -> Result<Line, Refused> {
    let name = channel.preset.as_deref().unwrap_or("json");
    let no_row = || Refused::hourly(Line::new(&format!("no preset {name}")));
    let row = presets::webhook(name).ok_or_else(no_row)?;
    let own = channel.body.as_deref();
    // A body of one's own says itself what is safe in it.
    let mut filling = Filling::new(channel, Some(message), own.is_none().then_some(row));
    let url = channel.url.as_deref().unwrap_or_default();
    let mut url = right_url(filling.fill(url, false)?)?;
    let is_json = own.is_some() || row.body.starts_with("{\"");
    let mut body = filling.fill(own.unwrap_or(row.body), is_json)?;
    let mut headers = Vec::new();
    let mut method = "POST";
    if own.is_none() {
        let path = filling.fill(row.path, false)?;
        if !path.is_empty() {
            url = format!("{}{path}", url.trim_end_matches('/'));
        }
        for (name, value) in row.headers {
            headers.push(((*name).to_owned(), filling.fill(value, false)?));
        }
        if row.name == "matrix" {
            method = "PUT";
        }
        if channel.secret.is_some() {
            let sign = filling.look_up("sign").map_err(Refused::hourly)?;
            let stamp = &filling.timestamp;
            match row.signature {
                Signature::None => {}
                Signature::DingTalk => {
                    let mark = if url.contains('?') { '&' } else { '?' };
                    url = format!("{url}{mark}timestamp={stamp}&sign={}", percent(&sign));
                }
                Signature::Feishu => {
                    let rest = body.strip_prefix('{').unwrap_or_default();
                    body = format!("{{\"timestamp\":\"{stamp}\",\"sign\":\"{sign}\",{rest}");
                }
            }
        }
    }
    let kind = if is_json {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    };
    headers.push(("Content-Type".to_owned(), kind.to_owned()));
    own_headers(channel, &mut filling, &mut headers)?;
    let request = Request {
        method,
        url,
        headers,
        body,
        secrets: filling.secrets,
    };
    webhook::send(&request, limit)
}

/// The fields that the settings have, in the place of those of the same name.
fn own_headers(
    channel: &Channel,
    filling: &mut Filling<'_>,
    headers: &mut Vec<(String, String)>,
) -> Result<(), Refused> {
    for (name, value) in &channel.headers {
        let value = filling.fill(value, false)?;
        filling.secrets.push(value.clone());
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        headers.push((name.clone(), value));
    }
    Ok(())
}

/// Held to what those in the settings are held to, and, like them, not shown.
fn right_url(url: String) -> Result<String, Refused> {
    let wrong = || {
        Refused::hourly(Line::new(&format!(
            "with its credentials the url is no {URL}"
        )))
    };
    is_url(&url).then_some(url).ok_or_else(wrong)
}

/// Asks for the URL of a ping; a message is a failure, or the begin of a restart, where the service knows these.
pub(super) fn ping(
    channel: &Channel,
    message: Option<&Message>,
    limit: Duration,
) -> Result<Line, Refused> {
    let mut filling = Filling::new(channel, message, None);
    let url = channel.url.as_deref().unwrap_or_default();
    let mut url = right_url(filling.fill(url, false)?)?;
    let mut headers = Vec::new();
    own_headers(channel, &mut filling, &mut headers)?;
    let needs_human = message.is_some_and(|message| message.kind() == Kind::NeedsHuman);
    let text = message.map_or_else(String::new, |message| message.line().to_string());
    let mut request = Request {
        method: "GET",
        url: String::new(),
        headers,
        body: String::new(),
        secrets: filling.secrets,
    };
    let is_kuma = channel.preset.as_deref() == Some("uptime-kuma");
    let base = url
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_end_matches('/')
        .to_owned();
    match (message, is_kuma) {
        (None, false) => {}
        // Source: Uptime Kuma, server/routers/api-router.js: it takes what its own example of a URL says, too.
        (None, true) => url = format!("{base}?status=up&msg=OK"),
        (Some(_), true) if needs_human => {
            url = format!("{base}?status=down&msg={}", percent(&text));
        }
        (Some(_), true) => return Ok("not sent, it knows no start".into()),
        // Source: healthchecks.io/docs/http_api.
        (Some(_), false) => {
            let what = if needs_human { "fail" } else { "start" };
            url = format!("{base}/{what}");
            (request.method, request.body) = ("POST", text);
        }
    }
    request.url = url;
    webhook::send(&request, limit)
}

fn run(channel: &Channel, message: &Message, limit: Duration) -> Result<Line, Refused> {
    let mail = presets::webhook("mail").filter(|_| channel.way == Way::Mail);
    let mut filling = Filling::new(channel, Some(message), None);
    let input = filling.fill(mail.map_or("{{text}}\n", |row| row.body), false)?;
    let mut command = channel.command.clone();
    if command.is_empty() {
        command = SENDMAIL.map(str::to_owned).to_vec();
    }
    let mut filled = Vec::new();
    for argument in &command {
        filled.push(filling.fill(argument, false)?);
    }
    let Some((program, arguments)) = filled.split_first() else {
        return Err(Refused::hourly("no command is set".into()));
    };
    let variables: Vec<(String, String)> = message
        .fields()
        .iter()
        .map(|(name, value)| {
            let name = format!("GATEHOUND_ALERT_{}", name.to_ascii_uppercase());
            (name, value.clone())
        })
        .collect();
    let path = Path::new(program);
    let given = child::Given {
        arguments,
        variables: &variables,
        input: input.as_bytes(),
    };
    let quoted = |line: &Line| Line::new(&webhook::without(line.as_str(), &filling.secrets));
    match child::output_of(path, &given, MAX_OUTPUT, limit) {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output);
            let first = text.trim().lines().next().unwrap_or_default();
            Ok(quoted(&Line::new(&format!("exit status 0 {first}"))))
        }
        Err(ChildError::Absent(_)) => Err(Refused::hourly(Line::new(&format!(
            "there is no program {program}; install it, or correct the command"
        )))),
        Err(ChildError::Failed(why) | ChildError::Unknown(why)) => Err(Refused::soon(quoted(&why))),
    }
}

/// This machine's name, because one inbox may serve several machines.
pub(super) fn host() -> Line {
    let read = read_limited(Path::new("/proc/sys/kernel/hostname"), 256, Links::Follow);
    let contents = read.ok().flatten();
    contents.map_or_else(Line::default, |contents| Line::lossy(&contents.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_that_are_called_alike_have_numbers() {
        let channel = |preset: Option<&str>| Channel {
            preset: preset.map(str::to_owned),
            ..Channel::default()
        };
        let channels = [None, Some("ntfy"), Some("json"), Some("ntfy")].map(channel);
        let names: Vec<String> = Outlet::all(&channels).iter().map(Outlet::name).collect();
        assert_eq!(names, ["webhook", "ntfy", "webhook 2", "ntfy 2"]);
    }
}
