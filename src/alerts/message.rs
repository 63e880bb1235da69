//! An alert made out for whoever receives it: title, text, fields, and the bodies that webhooks take.
//!
//! Knows nothing of why an alert is due, nor of queues and the network.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    alerts::alert::{Alert, Kind},
    settings::{Preset, Webhook},
    text::{
        line::Line,
        template::{FIELDS, fill},
        words::span,
    },
};

/// An alert on its way: with where it comes from, and when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    title: Line,
    text: Line,
    fields: [(&'static str, String); 9],
    kind: Kind,
}

/// An alert that is older than this says so: whoever reads it takes it for news.
pub(super) const LATE: Duration = Duration::from_secs(2 * 60);

impl Message {
    /// Makes an alert out, `age` after it was due at `time`, a date that people read.
    pub fn new(alert: &Alert, host: &Line, time: &str, age: Duration) -> Self {
        let late = if LATE < age {
            format!(" (reported {} late)", span(age))
        } else {
            String::new()
        };
        let text = Line::new(&format!("{}{late}", alert.text));
        let title = Line::new(&match host.as_str() {
            "" => alert.kind.title().to_owned(),
            host => format!("{host}: {}", alert.kind.title()),
        });
        let values = [
            text.to_string(),
            title.to_string(),
            alert.kind.name().to_owned(),
            alert.unit.to_string(),
            host.to_string(),
            alert.incident.to_string(),
            alert.phase.to_string(),
            alert.reason.to_string(),
            time.to_owned(),
        ];
        let mut values = values.into_iter();
        Self {
            fields: FIELDS.map(|name| (name, values.next().unwrap_or_default())),
            kind: alert.kind,
            title,
            text,
        }
    }

    /// Title and text in one line.
    pub fn line(&self) -> Line {
        Line::new(&format!("{}: {}", self.title, self.text))
    }

    /// Every field by its name.
    pub fn fields(&self) -> &[(&'static str, String)] {
        &self.fields
    }

    /// What a webhook is sent.
    pub fn post(&self, webhook: &Webhook) -> Post {
        let line = self.line();
        let json = |value: Value| Post {
            headers: vec![("Content-Type", "application/json".to_owned())],
            body: value.to_string(),
        };
        if let Some(template) = &webhook.body {
            let body = fill(template, self.fields()).unwrap_or_default();
            return Post {
                body,
                ..json(Value::Null)
            };
        }
        match webhook.preset {
            Preset::Json => json(
                self.fields
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), Value::from(value.clone())))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
            ),
            Preset::Ntfy => self.ntfy(),
            Preset::Slack => {
                // Source: docs.slack.dev, "Formatting message text": three characters, or <!channel> wakes everybody.
                let text = line.as_str().replace('&', "&amp;");
                let text = text.replace('<', "&lt;").replace('>', "&gt;");
                json(json!({ "text": text }))
            }
            Preset::Discord => json(json!({
                "content": line,
                // Else an @everyone in a foreign text would wake everybody.
                "allowed_mentions": { "parse": [] },
            })),
            // Without parse_mode the text is taken as it is.
            Preset::Telegram => json(json!({ "chat_id": webhook.chat, "text": line })),
            Preset::Feishu => {
                // <at user_id="all"> wakes everybody, and there is no way to escape it.
                let text = line
                    .as_str()
                    .replace('<', "\u{2039}")
                    .replace('>', "\u{203a}");
                json(json!({ "msg_type": "text", "content": { "text": text } }))
            }
        }
    }

    /// What the desktop shows.
    pub fn notice(&self) -> Notice {
        // The body may have markup (Desktop Notifications Specification), so that of a foreign text is none.
        let body = self.text.as_str().replace('&', "&amp;");
        let body = body.replace('<', "&lt;").replace('>', "&gt;");
        let (urgency, icon) = match self.kind {
            Kind::NeedsHuman => (Urgency::Critical, "dialog-error"),
            Kind::Down | Kind::StillDown | Kind::RolledBack | Kind::Degraded => {
                (Urgency::Normal, "dialog-warning")
            }
            Kind::Back | Kind::NoLongerDegraded | Kind::Paused | Kind::Test => {
                (Urgency::Normal, "dialog-information")
            }
        };
        let place = match self.kind {
            Kind::Down | Kind::NeedsHuman | Kind::StillDown => Place::Stays,
            Kind::Back => Place::Last,
            // That the gateway is back must not hide which configuration it is back with.
            Kind::RolledBack
            | Kind::Degraded
            | Kind::NoLongerDegraded
            | Kind::Paused
            | Kind::Test => Place::Beside,
        };
        Notice {
            summary: self.title.clone(),
            body,
            urgency,
            icon,
            place,
        }
    }

    /// The text is the body, and the rest are headers, which have to be ASCII.
    fn ntfy(&self) -> Post {
        let (priority, tag) = self.kind.ntfy();
        let title = self.title.as_str().chars();
        let title = title.filter(|c| c.is_ascii_graphic() || *c == ' ');
        Post {
            headers: vec![
                ("Content-Type", "text/plain; charset=utf-8".to_owned()),
                ("Title", title.collect()),
                ("Priority", priority.to_owned()),
                ("Tags", tag.to_owned()),
            ],
            body: self.text.to_string(),
        }
    }
}

/// What the desktop shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its first line, in which there is no markup.
    pub summary: Line,
    /// Its text, with the characters escaped that are markup.
    pub body: String,
    /// How it is shown.
    pub urgency: Urgency,
    /// An icon, by the Icon Naming Specification.
    pub icon: &'static str,
    /// Where it stands.
    pub place: Place,
}

/// How a desktop shows something; the numbers are those of the Desktop Notifications Specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// For a few seconds.
    Normal = 1,
    /// Until somebody has seen it.
    Critical = 2,
}

/// Where something stands on a desktop: of one trouble there is one notification, with the last word about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the place of the one before, and the next one takes its place.
    Stays,
    /// In the place of the one before; the next one is about something else.
    Last,
    /// In a place of its own.
    Beside,
}

/// What is sent to a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Header fields.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}
