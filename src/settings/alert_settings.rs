//! Who is notified, and how: the channels of alerts, and the ping.
//!
//! Owns their defaults and what goes with what; knows nothing of how they are delivered.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    definition::table,
    presets::{self, PINGS, WEBHOOKS},
    values::{Choice, DeliverySpan, OneOf, PositiveSpan, Rule, Span, URL, is_url},
};
use crate::text::{
    line::{is_unprintable, short},
    near_miss,
    template::{self, CREDENTIAL},
};

table! {
    /// Who is notified of what becomes of the gateway; nobody, unless a channel is set.
    pub struct AlertSettings {
        /// Time from one reminder to the next while the gateway stays down; "0s" for none.
        pub remind: Span = Duration::from_secs(60 * 60),
        /// A pause that is older than this is reported once; "0s" for never.
        pub paused: Span = Duration::from_secs(24 * 60 * 60),
        /// How long one delivery may take.
        // A phone network takes seconds; whoever takes longer is tried again.
        pub timeout: DeliverySpan = Duration::from_secs(15),
        /// The language of alerts: en or zh.
        pub language: OneOf<Language> = Language::En,
        /// Time from one ping to the next, while the gateway works.
        // What such services are usually set to expect at the most often.
        pub ping_interval: PositiveSpan = Duration::from_secs(60),
        /// Who is notified. Each is a table of its own, which stands behind the keys above, as shown below.
        ///
        /// ```toml
        /// [[alert.channel]]
        /// type = "webhook"        # or command, mail, desktop
        /// preset = "ntfy"         # gatehound.toml(5) has the others: slack, telegram, feishu, dingtalk, ...
        /// url = "https://ntfy.sh/my-topic"
        /// kinds = ["needs-human"] # without it all
        ///
        /// [[alert.channel]]
        /// type = "ping"           # whoever owns the URL raises the alarm when nobody asks for it any more
        /// preset = "healthchecks" # or uptime-kuma
        /// url = "https://hc-ping.com/UUID"
        /// ```
        pub channel: Channels = Vec::new(),
    }
}

/// A language in which alerts are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Chinese.
    Zh,
}

impl Choice for Language {
    const WRONG: &'static str = r#"no language of alerts; write "en" or "zh""#;
}

/// A way to somebody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channel {
    /// Which way it is.
    pub way: Way,
    /// Which alerts go there; none for all.
    pub kinds: Vec<Kind>,
    /// What the other side understands.
    pub preset: Option<String>,
    /// Where it is.
    pub url: Option<String>,
    /// Who is meant there: a chat, a room, a user, an address.
    pub to: Option<String>,
    /// Who may write there.
    pub token: Option<String>,
    /// What requests are signed with.
    pub secret: Option<String>,
    /// Header fields, besides the preset's.
    pub headers: Vec<(String, String)>,
    /// The body, instead of the preset's: JSON with `{{text}}` and the like in its strings.
    pub body: Option<String>,
    /// A program with its arguments.
    pub command: Vec<String>,
}

/// Which way it is to somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// A URL that alerts are sent to.
    #[default]
    Webhook,
    /// A program that is run.
    Command,
    /// The user's desktop.
    Desktop,
    /// E-mail, through sendmail(8).
    Mail,
    /// A URL that is asked for as long as all is well: whoever owns it raises the alarm when nobody asks any more.
    Ping,
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The gateway is failing, and attempts have begun.
    Down,
    /// Nothing but a human brings the gateway back.
    NeedsHuman,
    /// The gateway has not come back since the last word about it.
    StillDown,
    /// The gateway refused its configuration, which was rolled back.
    RolledBack,
    /// The gateway is healthy again.
    Back,
    /// The gateway fails again and again and recovers by itself each time.
    Flapping,
    /// The gateway is healthy, and part of it does not work.
    Degraded,
    /// All of the gateway works again.
    NoLongerDegraded,
    /// A pause is older than a pause should be.
    Paused,
    /// Somebody wants to see whether alerts arrive.
    Test,
}

impl Kind {
    /// All that happen by themselves.
    pub const ALL: [Self; 9] = [
        Self::Down,
        Self::NeedsHuman,
        Self::StillDown,
        Self::RolledBack,
        Self::Back,
        Self::Flapping,
        Self::Degraded,
        Self::NoLongerDegraded,
        Self::Paused,
    ];

    /// The word for it, as in `{{kind}}`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::NeedsHuman => "needs-human",
            Self::StillDown => "still-down",
            Self::RolledBack => "rolled-back",
            Self::Back => "back",
            Self::Flapping => "flapping",
            Self::Degraded => "degraded",
            Self::NoLongerDegraded => "no-longer-degraded",
            Self::Paused => "paused",
            Self::Test => "test",
        }
    }
}

impl Way {
    const ALL: [Self; 5] = [
        Self::Webhook,
        Self::Command,
        Self::Desktop,
        Self::Mail,
        Self::Ping,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Command => "command",
            Self::Desktop => "desktop",
            Self::Mail => "mail",
            Self::Ping => "ping",
        }
    }

    /// The keys that mean something to it besides `type`, and those it cannot do without.
    fn keys(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Webhook => (
                &[
                    "kinds", "preset", "url", "to", "token", "secret", "headers", "body",
                ],
                &["url"],
            ),
            Self::Command => (&["kinds", "command"], &["command"]),
            Self::Desktop => (&["kinds"], &[]),
            Self::Mail => (&["kinds", "to", "command"], &["to"]),
            Self::Ping => (&["preset", "url", "headers"], &["url"]),
        }
    }
}

impl AlertSettings {
    /// Whether anybody is notified at all.
    pub fn is_on(&self) -> bool {
        self.channel.iter().any(Channel::takes_alerts)
    }

    /// Whether anybody waits for a sign of life.
    pub fn has_ping(&self) -> bool {
        self.channel.iter().any(|channel| channel.way == Way::Ping)
    }
}

impl Channel {
    /// Whether alerts go there at all: to a ping only if it knows more than one word.
    pub fn takes_alerts(&self) -> bool {
        self.way != Way::Ping || self.preset.is_some()
    }

    /// Whether an alert of this kind goes there.
    pub fn takes(&self, kind: Kind) -> bool {
        match self.way {
            Way::Ping => self.preset.is_some() && matches!(kind, Kind::Down | Kind::NeedsHuman),
            Way::Webhook | Way::Command | Way::Desktop | Way::Mail => {
                kind == Kind::Test || self.kinds.is_empty() || self.kinds.contains(&kind)
            }
        }
    }

    /// The names of the credentials that it needs.
    pub fn credentials(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (_, text) in self.texts() {
            let named = template::names(text).filter_map(|name| name.strip_prefix(CREDENTIAL));
            found.extend(named.map(str::to_owned));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Every text in which `{{…}}` stands for something, with its key.
    fn texts(&self) -> Vec<(&'static str, &str)> {
        let texts = [
            ("url", &self.url),
            ("to", &self.to),
            ("token", &self.token),
            ("secret", &self.secret),
            ("body", &self.body),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(key, text)| text.as_deref().map(|text| (key, text)));
        let headers = self.headers.iter();
        let headers = headers.map(|(_, text)| ("headers", text.as_str()));
        let arguments = self.command.iter().map(|text| ("command", text.as_str()));
        texts.chain(headers).chain(arguments).collect()
    }

    /// Whether a key of it is set.
    fn has(&self, key: &str) -> bool {
        match key {
            "kinds" => !self.kinds.is_empty(),
            "preset" => self.preset.is_some(),
            "headers" => !self.headers.is_empty(),
            "command" => !self.command.is_empty(),
            key => self.texts().iter().any(|(known, _)| *known == key),
        }
    }

    /// What is wrong with it, if anything is.
    fn wrong(&self) -> Option<String> {
        let (known, needed) = self.way.keys();
        let way = self.way.name();
        let strange = |key: &&str| *key != "type" && self.has(key) && !known.contains(key);
        if let Some(key) = KEYS.into_iter().find(strange) {
            return Some(format!("{key} means nothing where type = \"{way}\""));
        }
        let lacks = |keys: &[&'static str]| keys.iter().copied().find(|key| !self.has(key));
        if let Some(key) = lacks(needed) {
            return Some(format!("type = \"{way}\" needs {key}"));
        }
        if let Some(name) = self.preset.as_deref() {
            let webhooks = WEBHOOKS.iter().map(|row| row.name);
            let names: Vec<&str> = match self.way {
                Way::Ping => PINGS.to_vec(),
                Way::Webhook | Way::Command | Way::Desktop | Way::Mail => {
                    webhooks.filter(|name| *name != "mail").collect()
                }
            };
            if !names.contains(&name) {
                let names = names.join(", ");
                return Some(format!("preset must be one of {names}"));
            }
            let row = presets::webhook(name).filter(|_| self.body.is_none());
            if let Some(key) = row.and_then(|row| lacks(row.needs)) {
                return Some(format!("preset = \"{name}\" needs {key}"));
            }
        }
        let program = self.command.first();
        if program.is_some_and(|program| !program.starts_with('/')) {
            return Some("command must begin with the absolute path of a program".to_owned());
        }
        for (key, text) in self.texts() {
            let is_right = match key {
                "url" => template::sample(text, false).is_some_and(|url| {
                    // The whole URL may be a secret.
                    is_url(&url) || (text.starts_with("{{") && is_url(&format!("https://{url}")))
                }),
                "body" => template::is_json(text),
                "command" => template::sample(text, true).is_some(),
                _ => template::sample(text, false).is_some() && !text.chars().any(is_unprintable),
            };
            if !is_right {
                return Some(match key {
                    "url" => format!("url must be a {URL}"),
                    "body" => format!(
                        "body must be JSON once what stands in its strings is filled in: {}",
                        template::KNOWN
                    ),
                    "command" => format!(
                        "command may have these in its arguments: {}",
                        template::KNOWN
                    ),
                    key => format!(
                        "{key} must be a printable text, in which {{{{credential:NAME}}}} may stand for a secret"
                    ),
                });
            }
        }
        None
    }
}

/// The keys of a channel.
pub const KEYS: [&str; 10] = [
    "type", "kinds", "preset", "url", "to", "token", "secret", "headers", "body", "command",
];

/// The list of channels. Not derived: what it costs in the program is a tenth of that.
pub struct Channels;

impl Rule for Channels {
    type Read = Vec<Channel>;

    fn read(value: &Value) -> Result<Vec<Channel>, String> {
        let wrong = "not a list of tables; write each as [[alert.channel]]";
        let list = value.as_array().ok_or(wrong)?;
        let mut channels = Vec::new();
        for (number, value) in (1..).zip(list) {
            let table = value.as_object().ok_or(wrong)?;
            let channel = Channel::read(table);
            let checked = channel.and_then(|channel| match channel.wrong() {
                Some(wrong) => Err(wrong),
                None => Ok(channel),
            });
            // The number, because there is no other name for it; no value, because it may be a secret.
            channels.push(checked.map_err(|wrong| format!("the {}: {wrong}", ordinal(number)))?);
        }
        Ok(channels)
    }

    fn spell(read: &Vec<Channel>) -> Value {
        read.iter().map(Channel::spelled).collect()
    }
}

impl Channel {
    fn read(table: &Map<String, Value>) -> Result<Self, String> {
        let mut channel = Self::default();
        for (key, value) in table {
            let key = key.as_str();
            let wrong = |right: &str| format!("{}: {right}", short(key));
            let no_text = || wrong("not a text; write it between quotes");
            match (key, value) {
                ("type", value) => {
                    let way = Way::ALL
                        .into_iter()
                        .find(|way| Some(way.name()) == value.as_str());
                    let right = r#"no type of channel; write "webhook", "command", "desktop", "mail" or "ping""#;
                    channel.way = way.ok_or_else(|| wrong(right))?;
                }
                ("kinds", Value::Array(list)) => {
                    let of = |value: &Value| {
                        Kind::ALL
                            .into_iter()
                            .find(|kind| Some(kind.name()) == value.as_str())
                    };
                    let kinds: Option<Vec<Kind>> = list.iter().map(of).collect();
                    channel.kinds = kinds.ok_or_else(|| {
                        let names = Kind::ALL.map(Kind::name).join(", ");
                        wrong(&format!("must be some of {names}"))
                    })?;
                }
                ("command", Value::Array(list)) => {
                    let words: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                    let words = words.ok_or_else(no_text)?;
                    channel.command = words.into_iter().map(str::to_owned).collect();
                }
                ("headers", Value::Object(fields)) => {
                    for (name, value) in fields {
                        let value = value.as_str().ok_or_else(no_text)?;
                        channel.headers.push((name.clone(), value.to_owned()));
                    }
                }
                ("headers", _) => return Err(wrong("not a table of header fields")),
                ("kinds" | "command", _) => return Err(wrong("not a list of texts")),
                (key, value) => {
                    let Some(slot) = channel.slot(key) else {
                        return Err(match near_miss::meant(key, &KEYS) {
                            Some(meant) => wrong(&format!("no such key; did you mean {meant}?")),
                            None => wrong(&format!("no such key; known are {}", KEYS.join(", "))),
                        });
                    };
                    // The id of a chat may be a number.
                    *slot = Some(match value {
                        Value::Number(id) if id.is_i64() => id.to_string(),
                        value => value.as_str().ok_or_else(no_text)?.to_owned(),
                    });
                }
            }
        }
        Ok(channel)
    }

    /// Where the text of a key is.
    fn slot(&mut self, key: &str) -> Option<&mut Option<String>> {
        Some(match key {
            "preset" => &mut self.preset,
            "url" => &mut self.url,
            "to" => &mut self.to,
            "token" => &mut self.token,
            "secret" => &mut self.secret,
            "body" => &mut self.body,
            _ => return None,
        })
    }

    /// What is set of it.
    fn spelled(&self) -> Value {
        let mut table = Map::new();
        let mut put = |key: &str, value: Value| {
            table.insert(key.to_owned(), value);
        };
        put("type", self.way.name().into());
        if !self.kinds.is_empty() {
            put("kinds", self.kinds.iter().map(|kind| kind.name()).collect());
        }
        if !self.command.is_empty() {
            put("command", self.command.clone().into());
        }
        if !self.headers.is_empty() {
            let fields = self.headers.iter();
            let fields = fields.map(|(name, value)| (name.clone(), value.as_str().into()));
            put("headers", Value::Object(fields.collect()));
        }
        if let Some(preset) = &self.preset {
            put("preset", preset.as_str().into());
        }
        for (key, text) in self.texts() {
            if !["headers", "command"].contains(&key) {
                put(key, text.into());
            }
        }
        Value::Object(table)
    }
}

/// `1st`, `2nd`, `11th`.
fn ordinal(number: usize) -> String {
    let end = match (number % 10, number % 100) {
        (1, rest) if rest != 11 => "st",
        (2, rest) if rest != 12 => "nd",
        (3, rest) if rest != 13 => "rd",
        _ => "th",
    };
    format!("{number}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(way: Way, preset: Option<&str>, kinds: &[Kind]) -> Channel {
        Channel {
            way,
            preset: preset.map(str::to_owned),
            kinds: kinds.to_vec(),
            ..Channel::default()
        }
    }

    #[test]
    fn a_channel_takes_what_it_was_given_and_every_test() {
        for way in [Way::Webhook, Way::Command, Way::Desktop, Way::Mail] {
            let all = channel(way, None, &[]);
            assert!(all.takes_alerts());
            assert!(Kind::ALL.into_iter().all(|kind| all.takes(kind)));
            let one = channel(way, None, &[Kind::Back]);
            let taken = Kind::ALL.into_iter().filter(|kind| one.takes(*kind));
            assert_eq!(taken.collect::<Vec<_>>(), [Kind::Back]);
            assert!(one.takes(Kind::Test));
        }
    }

    #[test]
    fn a_ping_takes_alerts_only_where_it_knows_a_word_for_them() {
        let plain = channel(Way::Ping, None, &[]);
        assert!(!plain.takes_alerts() && !plain.takes(Kind::Down));
        let with_words = channel(Way::Ping, Some("healthchecks"), &[]);
        assert!(with_words.takes_alerts());
        let taken = Kind::ALL.into_iter().filter(|kind| with_words.takes(*kind));
        assert_eq!(taken.collect::<Vec<_>>(), [Kind::Down, Kind::NeedsHuman]);
        let of = |channel: Channel| AlertSettings {
            channel: vec![channel],
            ..AlertSettings::default()
        };
        assert!(of(plain.clone()).has_ping() && !of(plain).is_on());
        assert!(!of(channel(Way::Mail, None, &[])).has_ping());
    }

    #[test]
    fn the_credentials_of_a_channel_are_named_once_each() {
        let channel = Channel {
            url: Some("https://example.org/{{credential:b}}".to_owned()),
            token: Some("{{credential:a}}".to_owned()),
            body: Some("{{text}} {{credential:b}}".to_owned()),
            ..channel(Way::Webhook, None, &[])
        };
        assert_eq!(channel.credentials(), ["a", "b"]);
    }

    #[test]
    fn a_channel_is_counted_as_people_count() {
        for (number, expected) in [
            (1, "1st"),
            (2, "2nd"),
            (3, "3rd"),
            (4, "4th"),
            (10, "10th"),
            (11, "11th"),
            (12, "12th"),
            (13, "13th"),
            (21, "21st"),
            (102, "102nd"),
            (111, "111th"),
        ] {
            assert_eq!(ordinal(number), expected);
        }
    }
}
