//! An alert made out for whoever receives it: title, text, fields, and how urgent it is in each service's own measure.
//!
//! Knows nothing of why an alert is due, nor of channels, queues and the network.

use std::time::Duration;

use crate::{
    alerts::{
        alert::{Alert, Kind},
        encoding::header,
        holds,
        texts::{self, span},
    },
    settings::Language,
    text::{line::Line, template::FIELDS},
};

/// An alert on its way: with where it comes from, and when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    title: Line,
    text: Line,
    fields: [(&'static str, String); 9],
    kind: Kind,
    language: Language,
}

/// What an alert is made out with.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The name of this machine.
    pub host: &'a Line,
    /// When it was due, as people read it.
    pub time: &'a str,
    /// How long ago that was.
    pub age: Duration,
    /// The last that the gateway said.
    pub words: Option<&'a Line>,
    /// The language of what is said.
    pub language: Language,
}

/// An alert that is older than this says so: whoever reads it takes it for news.
pub(super) const LATE: Duration = Duration::from_secs(2 * 60);

/// The names of [`Measures`].
const MEASURES: [&str; 9] = [
    "ntfy", "tag", "gotify", "pushover", "bark", "severity", "action", "topic", "icon",
];

/// How urgent a kind is and what it belongs to, in the words that services have for it.
type Measures = [&'static str; 9];

const TROUBLE: Measures = [
    "high",
    "warning",
    "6",
    "1",
    "timeSensitive",
    "error",
    "trigger",
    "gateway",
    "dialog-warning",
];

const WORD: Measures = [
    "default",
    "dog",
    "4",
    "0",
    "active",
    "info",
    "trigger",
    "watchdog",
    "dialog-information",
];

const RESOLVED: Measures = [
    "default",
    "white_check_mark",
    "4",
    "0",
    "active",
    "info",
    "resolve",
    "gateway",
    "dialog-information",
];

/// The same with another severity, about something else.
fn with(measures: Measures, severity: &'static str, topic: &'static str) -> Measures {
    let [ntfy, tag, gotify, pushover, bark, _, action, _, icon] = measures;
    [
        ntfy, tag, gotify, pushover, bark, severity, action, topic, icon,
    ]
}

fn measures(kind: Kind) -> Measures {
    match kind {
        Kind::Down | Kind::StillDown => TROUBLE,
        Kind::NeedsHuman => [
            "urgent",
            "rotating_light",
            "8",
            "1",
            "timeSensitive",
            "critical",
            "trigger",
            "gateway",
            "dialog-error",
        ],
        Kind::RolledBack => with(TROUBLE, "warning", "configuration"),
        Kind::Flapping => with(TROUBLE, "warning", "gateway"),
        Kind::Degraded => with(TROUBLE, "warning", "channels"),
        Kind::Back => with(RESOLVED, "info", "gateway"),
        Kind::NoLongerDegraded => with(RESOLVED, "info", "channels"),
        Kind::Paused | Kind::Test => WORD,
    }
}

impl Message {
    /// Makes an alert out, with the gateway's own last words.
    pub fn new(alert: &Alert, around: &Around<'_>) -> Self {
        let language = around.language;
        let mut text = alert.text.to_string();
        if LATE < around.age {
            let age = span(around.age, language);
            let values = [("text", text.as_str()), ("time", &age)];
            text = texts::LATE.with(language, &values);
        }
        // Last, because it is the end that a long line loses.
        let words = around.words.map(Line::as_str).unwrap_or_default();
        if !words.is_empty() && !text.contains(words) {
            let values = [("text", text.as_str()), ("words", words)];
            text = texts::SAID.with(language, &values);
        }
        let text = Line::new(&text);
        let title = texts::title(alert.kind).plain(language);
        let host = around.host;
        let title = Line::new(&match host.as_str() {
            "" => title.to_owned(),
            host => format!("{host}: {title}"),
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
            around.time.to_owned(),
        ];
        let mut values = values.into_iter();
        Self {
            fields: FIELDS.map(|name| (name, values.next().unwrap_or_default())),
            kind: alert.kind,
            language,
            title,
            text,
        }
    }

    /// What it is about.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Title and text in one line.
    pub fn line(&self) -> Line {
        Line::new(&format!("{}: {}", self.title, self.text))
    }

    /// Every field by its name.
    pub fn fields(&self) -> &[(&'static str, String)] {
        &self.fields
    }

    /// What a name in a template stands for, of those that an alert knows.
    pub fn look_up(&self, name: &str) -> Option<String> {
        let field = self.fields.iter().find(|(known, _)| *known == name);
        if let Some((_, value)) = field {
            return Some(value.clone());
        }
        let mut measures = MEASURES.into_iter().zip(measures(self.kind));
        if let Some((_, word)) = measures.find(|(known, _)| *known == name) {
            return Some(word.to_owned());
        }
        match name {
            "line" => Some(self.line().to_string()),
            "header-title" => Some(header(self.title.as_str())),
            "id" => {
                let id = ["kind", "unit", "incident", "time"].map(|name| self.look_up(name));
                let id = id.map(Option::unwrap_or_default);
                let id: Vec<&str> = id.iter().map(String::as_str).collect();
                Some(format!("{:x}", holds::key(&id)))
            }
            _ => None,
        }
    }

    /// What the desktop shows.
    pub fn notice(&self) -> Notice {
        let body = escaped(self.text.as_str());
        let urgency = match self.kind {
            Kind::NeedsHuman => Urgency::Critical,
            Kind::Down
            | Kind::StillDown
            | Kind::RolledBack
            | Kind::Back
            | Kind::Flapping
            | Kind::Degraded
            | Kind::NoLongerDegraded
            | Kind::Paused
            | Kind::Test => Urgency::Normal,
        };
        let place = match self.kind {
            Kind::Down | Kind::NeedsHuman => Place::Stays,
            Kind::StillDown => Place::Renews,
            Kind::Back => Place::Last,
            // That the gateway is back must not hide which configuration it is back with.
            Kind::RolledBack
            | Kind::Flapping
            | Kind::Degraded
            | Kind::NoLongerDegraded
            | Kind::Paused
            | Kind::Test => Place::Beside,
        };
        let [.., icon] = measures(self.kind);
        Notice {
            summary: self.title.clone(),
            body,
            urgency,
            icon,
            place,
            buttons: [texts::SHOW_INCIDENT, texts::PAUSE].map(|text| text.plain(self.language)),
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
    /// What its buttons say, if it has any: show the incident, pause.
    pub buttons: [&'static str; 2],
}

impl Notice {
    /// An ordinary one, in a place of its own.
    pub fn of(summary: &Line, text: &str) -> Self {
        Self {
            summary: summary.clone(),
            body: escaped(text),
            urgency: Urgency::Normal,
            icon: "dialog-information",
            place: Place::Beside,
            buttons: [""; 2],
        }
    }
}

/// The body may have markup (Desktop Notifications Specification), so that of a foreign text is none.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
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
    /// Likewise; but what says that a human is needed stays beside the new words.
    Renews,
    /// In the place of the one before; the next one is about something else.
    Last,
    /// In a place of its own.
    Beside,
}
