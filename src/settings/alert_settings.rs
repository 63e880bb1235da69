//! Who is notified, and how: the channels of alerts, and the ping.
//!
//! Owns their defaults and what goes with what; knows nothing of how they are delivered.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values::{
    Chat, Choice, Credential, DeliverySpan, Flag, Invalid, Is, OneOf, Optional, PingUrl,
    PositiveSpan, Program, Span, Template, UNSET, WebhookUrl,
};

/// Who is notified of what becomes of the gateway; nobody, unless a channel is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// Time from one reminder to the next while the gateway stays down; zero for none.
    #[serde(with = "Is::<Span>")]
    pub remind: Duration,
    /// A pause that is older than this is reported; zero for none.
    #[serde(with = "Is::<Span>")]
    pub paused: Duration,
    /// How long one delivery through one channel may take.
    #[serde(with = "Is::<DeliverySpan>")]
    pub timeout: Duration,
    /// Whether the user's desktop shows it.
    #[serde(with = "Is::<Flag>")]
    pub desktop: bool,
    /// A program with its arguments; the text comes as one more. Empty for none.
    #[serde(with = "Is::<Program>")]
    pub command: Vec<String>,
    /// A URL that alerts are sent to.
    pub webhook: Webhook,
    /// A URL that is asked for as long as all is well.
    pub ping: PingSettings,
}

/// A dead man's switch: whoever owns the URL raises the alarm when nobody asks for it any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PingSettings {
    /// The URL, if there is no secret in it.
    #[serde(with = "Is::<Optional<PingUrl>>")]
    pub url: Option<String>,
    /// The name of the systemd credential that holds the URL.
    #[serde(with = "Is::<Optional<Credential>>")]
    pub url_credential: Option<String>,
    /// Time from one ping to the next.
    #[serde(with = "Is::<PositiveSpan>")]
    pub interval: Duration,
}

impl PingSettings {
    /// Whether there is a URL.
    pub fn is_on(&self) -> bool {
        self.url.is_some() || self.url_credential.is_some()
    }
}

impl Default for PingSettings {
    fn default() -> Self {
        Self {
            url: None,
            url_credential: None,
            // What such services are usually set to expect at the most often.
            interval: Duration::from_secs(60),
        }
    }
}

/// A URL that alerts are sent to, by POST.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhook {
    /// The URL, if there is no secret in it.
    #[serde(with = "Is::<Optional<WebhookUrl>>")]
    pub url: Option<String>,
    /// The name of the systemd credential that holds the URL.
    #[serde(with = "Is::<Optional<Credential>>")]
    pub url_credential: Option<String>,
    /// What the other side understands.
    #[serde(with = "Is::<OneOf<Preset>>")]
    pub preset: Preset,
    /// The chat, for Telegram.
    #[serde(with = "Is::<Optional<Chat>>")]
    pub chat: Option<String>,
    /// The body, instead of the preset's: JSON with `{{text}}` and the like in its strings.
    #[serde(with = "Is::<Optional<Template>>")]
    pub body: Option<String>,
}

/// What the other side of a webhook understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Every field of the alert as JSON.
    #[default]
    Json,
    /// ntfy(1): the topic's URL.
    Ntfy,
    /// An incoming webhook of Slack, or of what takes the same.
    Slack,
    /// A webhook of Discord.
    Discord,
    /// `sendMessage` of a Telegram bot.
    Telegram,
    /// A custom bot of Feishu or Lark.
    Feishu,
}

impl AlertSettings {
    /// Whether anybody is notified at all.
    pub fn is_on(&self) -> bool {
        self.desktop || !self.command.is_empty() || self.webhook.is_on()
    }
}

impl Webhook {
    /// Whether there is a URL.
    pub fn is_on(&self) -> bool {
        self.url.is_some() || self.url_credential.is_some()
    }
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            remind: Duration::from_secs(60 * 60),
            paused: Duration::from_secs(24 * 60 * 60),
            // A phone network takes seconds; whoever takes longer is tried again.
            timeout: Duration::from_secs(15),
            // Most gateways run where nobody sits, and there each alert would be in vain.
            desktop: false,
            command: Vec::new(),
            webhook: Webhook::default(),
            ping: PingSettings::default(),
        }
    }
}

impl Choice for Preset {
    const WRONG: &'static str =
        r#"not a preset; write "json", "ntfy", "slack", "discord", "telegram" or "feishu""#;
}

impl AlertSettings {
    /// Refuses what does not go together.
    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        let (webhook, ping) = (&self.webhook, &self.ping);
        one_of_both(
            ["alert.webhook.url", "alert.webhook.url_credential"],
            &webhook.url,
            &webhook.url_credential,
        )?;
        one_of_both(
            ["alert.ping.url", "alert.ping.url_credential"],
            &ping.url,
            &ping.url_credential,
        )?;
        if webhook.preset == Preset::Telegram && webhook.chat.is_none() && webhook.body.is_none() {
            let right = "alert.webhook.preset = \"telegram\" needs the id of the chat";
            return Err(Invalid::new("alert.webhook.chat", UNSET, right));
        }
        Ok(())
    }
}

/// A URL, or the name of the credential that holds it; their keys in this order.
fn one_of_both(
    [key, credential_key]: [&'static str; 2],
    url: &Option<String>,
    credential: &Option<String>,
) -> Result<(), Invalid> {
    match (url, credential) {
        (Some(_), Some(name)) => {
            let right = format!(
                "must be the name of a credential, such as \"alert-url\", and go without {key}"
            );
            Err(Invalid::new(credential_key, format!("{name:?}"), right))
        }
        _ => Ok(()),
    }
}
