//! Every number and name the watchdog goes by, validated.
//!
//! Owns the defaults and their reasons; knows nothing of files, variables or flags.
//! `settings::layers` fills it in.

pub mod layers;
pub mod limits;
pub mod unit_names;

use std::{
    ffi::OsStr,
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};

use crate::policy::facts::Stall;
use crate::text::line::is_unprintable;

/// What the watchdog goes by. Every field has a default; see gatehound.toml(5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Time from one check to the next while the gateway is healthy.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Delay in front of each attempt; its length is the number of attempts.
    #[serde(with = "durations")]
    pub backoff: Vec<Duration>,
    /// Failures closer together than this use one attempt, not two.
    #[serde(with = "humantime_serde")]
    pub debounce: Duration,
    /// How long the attempts rests once it is used up.
    pub retry_after: RetryAfter,
    /// How long the gateway has to stay healthy before attempts count from 1 again.
    #[serde(with = "humantime_serde")]
    pub reset_after: Duration,
    /// Which gateway is watched.
    pub gateway: Gateway,
    /// Time limits of the probes.
    pub probe: Probe,
    /// How long a failing gateway is given, by what its process is doing.
    pub grace: Grace,
    /// How long systemd's stop of the gateway may take before SIGKILL.
    pub stop_timeout: StopTimeout,
    /// How many forced stops may fall into a window.
    pub forced_stops: ForcedStops,
    /// How a human's pause is given.
    pub pause: PauseSettings,
    /// Who is told, past the gateway.
    pub alert: AlertSettings,
    /// What is kept of the gateway's configuration.
    pub snapshots: SnapshotSettings,
    /// What is done about a configuration that the gateway refuses.
    pub rollback: Rollback,
    /// Who reads how the gateway is, without being told.
    pub metrics: MetricsSettings,
}

/// What is done about a configuration that the gateway refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rollback {
    /// It is told, with the command that restores the last one that was known good.
    #[default]
    Off,
    /// The last one that was known good takes its place, once, and the gateway is started with it.
    Auto,
}

/// How long the attempts rests once it is used up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RetryAfter {
    /// Tries again after this long.
    After(Duration),
    /// Never tries again by itself.
    Never,
}

/// Which gateway is watched. What is not set is found from the unit and the gateway's openclaw.json.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// The unit's name; by default `openclaw-gateway.service`, or `openclaw-gateway-PROFILE.service`.
    pub unit: Option<String>,
    /// The port, if not the one the unit or openclaw.json names.
    pub port: Option<u16>,
    /// The address to probe, if not the one the gateway listens on.
    pub address: Option<IpAddr>,
    /// Whether the port speaks TLS, if not as the gateway's openclaw.json says.
    pub tls: Option<bool>,
}

/// Time limits of the probes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Probe {
    /// How long `/` may take to answer; any status is an answer.
    #[serde(with = "humantime_serde")]
    pub http_timeout: Duration,
    /// How long `/health` may take to answer.
    #[serde(with = "humantime_serde")]
    pub health_timeout: Duration,
}

/// How long a failing gateway is given, by what its process is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grace {
    /// Time from one check to the next while the gateway is failing or starting.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Nothing listens on the port.
    #[serde(with = "humantime_serde")]
    pub gone: Duration,
    /// The process is stopped by a signal.
    #[serde(with = "humantime_serde")]
    pub stopped: Duration,
    /// The main thread sleeps while a request is pending.
    #[serde(with = "humantime_serde")]
    pub blocked: Duration,
    /// The main thread burns CPU while a request is pending.
    #[serde(with = "humantime_serde")]
    pub busy: Duration,
    /// The gateway answers, but not as a healthy one does.
    #[serde(with = "humantime_serde")]
    pub answering: Duration,
    /// A start that makes progress.
    #[serde(with = "humantime_serde")]
    pub starting: Duration,
    /// A start that makes no progress and has no port.
    #[serde(with = "humantime_serde")]
    pub starting_idle: Duration,
}

/// How long systemd's stop of the gateway may take before SIGKILL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StopTimeout {
    /// A hung gateway cannot drain.
    #[serde(with = "humantime_serde")]
    pub hung: Duration,
    /// A gateway whose event loop still runs can.
    #[serde(with = "humantime_serde")]
    pub draining: Duration,
}

/// How many forced stops may fall into a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForcedStops {
    /// Forced stops allowed within the window.
    pub limit: usize,
    /// The window.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
}

/// How a human's pause is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PauseSettings {
    /// How long `gatehound pause` lasts without `--for`.
    #[serde(with = "humantime_serde")]
    pub default: Duration,
    /// The flag file of the old shell watchdog; while it exists, Gatehound is paused.
    pub flag_file: PathBuf,
}

/// Who is told what becomes of the gateway, past the gateway; nobody, unless a channel is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// Time from one reminder to the next while the gateway stays down; zero for none.
    #[serde(with = "humantime_serde")]
    pub remind: Duration,
    /// A pause that is older than this is told; zero for none.
    #[serde(with = "humantime_serde")]
    pub paused: Duration,
    /// How long one delivery through one channel may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Whether the user's desktop shows it.
    pub desktop: bool,
    /// A program with its arguments; the text comes as one more. Empty for none.
    pub command: Vec<String>,
    /// A URL that is told.
    pub webhook: Webhook,
    /// A URL that is asked for as long as all is well.
    pub ping: PingSettings,
}

/// A dead man's switch: whoever owns the URL raises the alarm when nobody asks for it any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PingSettings {
    /// The URL, if there is no secret in it.
    pub url: Option<String>,
    /// The name of the systemd credential that holds the URL.
    pub url_credential: Option<String>,
    /// Time from one ping to the next.
    #[serde(with = "humantime_serde")]
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

/// A URL that is told, by POST.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhook {
    /// The URL, if there is no secret in it.
    pub url: Option<String>,
    /// The name of the systemd credential that holds the URL.
    pub url_credential: Option<String>,
    /// What the other side understands.
    pub preset: Preset,
    /// The chat, for Telegram.
    #[serde(deserialize_with = "chat")]
    pub chat: Option<String>,
    /// The body, instead of the preset's: JSON with `{{text}}` and the like in its strings.
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
    /// Whether anybody is told at all.
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

/// Half a minute: what the cron line this replaces did.
const INTERVAL: Duration = Duration::from_secs(30);

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: INTERVAL,
            backoff: [5, 10, 20].map(Duration::from_secs).to_vec(),
            debounce: INTERVAL,
            retry_after: RetryAfter::After(Duration::from_secs(15 * 60)),
            reset_after: Duration::from_secs(5 * 60),
            gateway: Gateway::default(),
            probe: Probe::default(),
            grace: Grace::default(),
            stop_timeout: StopTimeout::default(),
            forced_stops: ForcedStops::default(),
            pause: PauseSettings::default(),
            alert: AlertSettings::default(),
            snapshots: SnapshotSettings::default(),
            // Silent restores have cost people the edit they had meant; who wants them asks for them.
            rollback: Rollback::Off,
            metrics: MetricsSettings::default(),
        }
    }
}

/// Who reads how the gateway is; nobody, unless a file is named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// The file for node_exporter's textfile collector, which reads none that is not named `*.prom`.
    pub textfile: Option<PathBuf>,
}

impl MetricsSettings {
    /// The file of one profile: config.toml holds for all of them, and two that write the same file would undo each other.
    pub fn textfile(&self, profile: Option<&str>) -> Option<PathBuf> {
        let path = self.textfile.as_ref()?;
        let Some(profile) = profile else {
            return Some(path.clone());
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        Some(path.with_file_name(format!("{stem}-{profile}.prom")))
    }
}

/// What is kept of the gateway's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotSettings {
    /// Snapshots that are kept of what was known good, and as many of what a restore replaced.
    pub keep: usize,
}

/// More snapshots than this is a slip of the pen, and each may have megabytes.
const MAX_KEPT: usize = 1000;

impl Default for SnapshotSettings {
    fn default() -> Self {
        // Weeks of changes by hand, at a few kilobytes each.
        Self { keep: 10 }
    }
}

/// A value that is well-formed and cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The dotted key.
    pub key: &'static str,
    /// Its value, as gatehound.toml(5) would spell it.
    pub value: String,
    /// What would be right.
    pub right: String,
}

/// More attempts than this would be hours of restarts that help nobody.
const MAX_ATTEMPTS: usize = 16;

/// The longest span: a year of 365.25 days, as humantime counts it.
/// Anything longer is a slip of the pen, and sums of spans stay far from overflow.
pub const MAX_SPAN: Duration = Duration::from_secs(31_557_600);

/// The longest that one delivery of an alert may be given.
const MAX_ALERT_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest name of a unit. Source: systemd.unit(5).
const MAX_UNIT_NAME: usize = 255;

impl Settings {
    /// Refuses values that cannot work, the first one found.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.validate_spans()?;
        self.validate_counts()?;
        self.validate_names()?;
        self.validate_alert()
    }

    /// The longest a check may take: the time limits of both requests,
    /// with what connecting, sending and reading may add to each.
    pub fn longest_check(&self) -> Duration {
        let http = self.probe.http_timeout.saturating_mul(13) / 10;
        let health = self.probe.health_timeout.saturating_mul(3) / 2;
        http.saturating_add(health)
    }

    fn validate_spans(&self) -> Result<(), Invalid> {
        let retry_after = match self.retry_after {
            RetryAfter::After(rest) => Some(rest),
            RetryAfter::Never => None,
        };
        let not_zero = [
            ("interval", Some(self.interval)),
            ("retry_after", retry_after),
            ("probe.http_timeout", Some(self.probe.http_timeout)),
            ("probe.health_timeout", Some(self.probe.health_timeout)),
            ("grace.interval", Some(self.grace.interval)),
            ("pause.default", Some(self.pause.default)),
            ("alert.timeout", Some(self.alert.timeout)),
            ("alert.ping.interval", Some(self.alert.ping.interval)),
        ];
        let may_be_zero = [
            ("debounce", self.debounce),
            ("reset_after", self.reset_after),
            ("grace.gone", self.grace.gone),
            ("grace.stopped", self.grace.stopped),
            ("grace.blocked", self.grace.blocked),
            ("grace.busy", self.grace.busy),
            ("grace.answering", self.grace.answering),
            ("grace.starting", self.grace.starting),
            ("grace.starting_idle", self.grace.starting_idle),
            ("stop_timeout.hung", self.stop_timeout.hung),
            ("stop_timeout.draining", self.stop_timeout.draining),
            ("forced_stops.window", self.forced_stops.window),
            ("alert.remind", self.alert.remind),
            ("alert.paused", self.alert.paused),
        ];
        let not_zero = not_zero
            .into_iter()
            .filter_map(|(key, span)| Some((key, span?)));
        for (key, span) in not_zero.clone() {
            if span.is_zero() {
                return Err(Invalid::span(key, span, "must be longer than 0s"));
            }
        }
        let attempts = self.backoff.iter().map(|delay| ("backoff", *delay));
        for (key, span) in not_zero.chain(may_be_zero).chain(attempts) {
            if MAX_SPAN < span {
                return Err(Invalid::span(key, span, "must not be longer than a year"));
            }
        }
        Ok(())
    }

    fn validate_counts(&self) -> Result<(), Invalid> {
        if self.backoff.is_empty() {
            let right = r#"needs at least one delay, such as ["5s", "10s", "20s"]"#;
            return Err(Invalid::new("backoff", "[]", right));
        }
        if MAX_ATTEMPTS < self.backoff.len() {
            let value = format!("[{} delays]", self.backoff.len());
            let right = format!("must not have more than {MAX_ATTEMPTS}");
            return Err(Invalid::new("backoff", value, right));
        }
        if self.forced_stops.limit == 0 {
            let right = "must be at least 1: a gateway that hangs cannot be stopped otherwise";
            return Err(Invalid::new("forced_stops.limit", "0", right));
        }
        if !(1..=MAX_KEPT).contains(&self.snapshots.keep) {
            let right = format!("must be from 1 to {MAX_KEPT}");
            return Err(Invalid::new(
                "snapshots.keep",
                self.snapshots.keep.to_string(),
                right,
            ));
        }
        Ok(())
    }

    fn validate_names(&self) -> Result<(), Invalid> {
        if self.gateway.port == Some(0) {
            let right = "must be from 1 to 65535: nothing can listen on port 0";
            return Err(Invalid::new("gateway.port", "0", right));
        }
        if let Some(unit) = &self.gateway.unit
            && !is_service_name(unit)
        {
            let right = "must be the name of a service, such as \"openclaw-gateway.service\"";
            return Err(Invalid::new("gateway.unit", format!("{unit:?}"), right));
        }
        let flag_file = &self.pause.flag_file;
        let text = flag_file.to_string_lossy();
        if !is_plain_path(flag_file) {
            let right = "must be an absolute path that can be printed, such as \"/tmp/openclaw-maintenance\"";
            return Err(Invalid::new("pause.flag_file", format!("{text:?}"), right));
        }
        if let Some(textfile) = &self.metrics.textfile
            && !(is_plain_path(textfile) && textfile.extension() == Some(OsStr::new("prom")))
        {
            let right = "must be the absolute path of a file named *.prom that can be printed, \
                         such as \"/var/lib/prometheus/node-exporter/gatehound.prom\"";
            let value = format!("{:?}", textfile.to_string_lossy());
            return Err(Invalid::new("metrics.textfile", value, right));
        }
        Ok(())
    }

    fn validate_alert(&self) -> Result<(), Invalid> {
        let Webhook {
            url,
            url_credential,
            preset,
            chat,
            body,
        } = &self.alert.webhook;
        let ping = &self.alert.ping;
        if MAX_ALERT_TIMEOUT < self.alert.timeout {
            let right = "must not be longer than 1min: others wait behind it";
            return Err(Invalid::span("alert.timeout", self.alert.timeout, right));
        }
        if let Some(program) = self.alert.command.first()
            && !program.starts_with('/')
        {
            let right = "must begin with the absolute path of a program";
            let value = format!("[{program:?}, ...]");
            return Err(Invalid::new("alert.command", value, right));
        }
        let keys = ["alert.webhook.url", "alert.webhook.url_credential"];
        validate_url(keys, url.as_deref(), url_credential.as_deref())?;
        let keys = ["alert.ping.url", "alert.ping.url_credential"];
        validate_url(keys, ping.url.as_deref(), ping.url_credential.as_deref())?;
        if *preset == Preset::Telegram && chat.is_none() && body.is_none() {
            let right = "alert.webhook.preset = \"telegram\" needs the id of the chat";
            return Err(Invalid::new("alert.webhook.chat", UNSET, right));
        }
        if body
            .as_deref()
            .is_some_and(|body| !crate::text::template::is_template(body))
        {
            let right = "must be JSON once {{text}}, {{title}}, {{kind}}, {{unit}}, {{host}}, {{incident}}, \
                         {{phase}}, {{reason}} and {{time}} in its strings are filled in, and have no others";
            return Err(Invalid::new("alert.webhook.body", HIDDEN, right));
        }
        Ok(())
    }
}

impl Grace {
    /// The grace for a kind of stall.
    pub fn of(&self, stall: Stall) -> Duration {
        match stall {
            Stall::Gone => self.gone,
            Stall::Stopped => self.stopped,
            Stall::Blocked => self.blocked,
            Stall::Busy => self.busy,
            Stall::Answering => self.answering,
        }
    }
}

/// What stands in the place of a value that is not there.
pub const UNSET: &str = "unset";

/// What stands in the place of a value that may be a secret.
const HIDDEN: &str = "(hidden)";

/// What [`is_url`] asks of one.
pub const URL: &str =
    "URL that begins with https:// or http://, with a host and, if any, a port from 1 to 65535";

/// A URL, or the name of the credential that holds it; their keys in this order.
fn validate_url(
    [key, credential_key]: [&'static str; 2],
    url: Option<&str>,
    credential: Option<&str>,
) -> Result<(), Invalid> {
    if url.is_some_and(|url| !is_url(url)) {
        return Err(Invalid::new(key, HIDDEN, format!("must be a {URL}")));
    }
    if let Some(name) = credential
        && (url.is_some() || name.is_empty() || name.contains(|c: char| !is_credential(c)))
    {
        let right = format!(
            "must be the name of a credential, such as \"alert-url\", and go without {key}"
        );
        return Err(Invalid::new(credential_key, format!("{name:?}"), right));
    }
    Ok(())
}

impl Invalid {
    pub(crate) fn new(
        key: &'static str,
        value: impl Into<String>,
        right: impl Into<String>,
    ) -> Self {
        let (value, right) = (value.into(), right.into());
        Self { key, value, right }
    }

    pub(crate) fn span(key: &'static str, span: Duration, right: impl Into<String>) -> Self {
        Self::new(
            key,
            format!("\"{}\"", humantime::format_duration(span)),
            right,
        )
    }
}

/// Whether a path says by itself which file it means, and shows as itself in a message.
fn is_plain_path(path: &Path) -> bool {
    path.is_absolute() && !path.to_string_lossy().chars().any(is_unprintable)
}

/// Whether a text is a URL that somebody can be told by.
pub fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        rest.chars().all(|c| c.is_ascii_graphic()) && is_authority(authority)
    })
}

/// A host, with a port from 1 on if there is one: a client that leaves out a port it does not understand
/// sends what is secret to somebody else.
fn is_authority(text: &str) -> bool {
    let place = text.rsplit_once('@').map_or(text, |(_, place)| place);
    let (host, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, ""))) => (host, None),
        Some(Some((host, rest))) => (host, Some(rest.strip_prefix(':').unwrap_or_default())),
        Some(None) => return false,
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let is_port = |port: &str| {
        port.chars().all(|c| c.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port != 0)
    };
    !host.is_empty() && !host.contains('%') && port.is_none_or(is_port)
}

fn is_credential(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

/// Whether systemd would take the name for that of a service. Source: systemd.unit(5).
fn is_service_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    name.len() <= MAX_UNIT_NAME
        && name
            .strip_suffix(".service")
            .is_some_and(|prefix| !prefix.is_empty() && prefix.chars().all(allowed))
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            http_timeout: Duration::from_secs(5),
            health_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for Grace {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            // An in-process restart leaves the port closed for up to 6.4 s.
            gone: Duration::from_secs(10),
            // Nothing to wait for: only another signal ends it.
            stopped: Duration::ZERO,
            // A synchronous child or a slow disk ends within it.
            blocked: Duration::from_secs(30),
            // The longest healthy event-loop stall reported is 169 s.
            busy: Duration::from_secs(3 * 60),
            // It may be starting, draining or reloading its parts; those end within it.
            answering: Duration::from_secs(30),
            // Starts of 4 to 12 min are reported.
            starting: Duration::from_secs(10 * 60),
            // Hangs before the first request are reported too.
            starting_idle: Duration::from_secs(60),
        }
    }
}

impl Default for StopTimeout {
    fn default() -> Self {
        Self {
            hung: Duration::from_secs(10),
            draining: Duration::from_secs(30),
        }
    }
}

impl Default for ForcedStops {
    fn default() -> Self {
        // The gateway's own crash-loop breaker disables all channels
        // at the third unclean boot in 5 minutes, while /health stays green.
        Self {
            limit: 2,
            window: Duration::from_secs(5 * 60),
        }
    }
}

impl Default for PauseSettings {
    fn default() -> Self {
        Self {
            default: Duration::from_secs(2 * 60 * 60),
            flag_file: PathBuf::from("/tmp/openclaw-maintenance"),
        }
    }
}

impl TryFrom<String> for RetryAfter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        humantime::parse_duration(&text)
            .map(Self::After)
            .map_err(|e| e.to_string())
    }
}

impl From<RetryAfter> for String {
    fn from(retry_after: RetryAfter) -> Self {
        match retry_after {
            RetryAfter::After(rest) => humantime::format_duration(rest).to_string(),
            RetryAfter::Never => "never".to_owned(),
        }
    }
}

/// Telegram has numbers for ids, and a value that is given as text has no quotes.
fn chat<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    struct Chat;

    impl Visitor<'_> for Chat {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number or a string")
        }

        fn visit_i64<E: de::Error>(self, id: i64) -> Result<Self::Value, E> {
            Ok(Some(id.to_string()))
        }

        fn visit_str<E: de::Error>(self, id: &str) -> Result<Self::Value, E> {
            Ok(Some(id.to_owned()))
        }
    }

    from.deserialize_any(Chat)
}

/// A list of time spans, each as humantime spells it.
mod durations {
    use super::*;
    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(list: &[Duration], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(
            list.iter()
                .map(|span| humantime::format_duration(*span).to_string()),
        )
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Duration>, D::Error> {
        let list = Vec::<humantime_serde::Serde<Duration>>::deserialize(from)?;
        Ok(list
            .into_iter()
            .map(humantime_serde::Serde::into_inner)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCHDOG: Duration = Duration::from_secs(90);

    /// With the unit as it is shipped.
    fn valid(settings: &Settings) -> Result<(), Invalid> {
        settings.validate()?;
        crate::settings::limits::fits(settings, WATCHDOG)
    }

    /// Holds that a change of the defaults is refused, and blamed on `key`.
    #[track_caller]
    fn refused(key: &str, change: impl FnOnce(&mut Settings)) -> Invalid {
        let mut settings = Settings::default();
        change(&mut settings);
        let invalid = valid(&settings).unwrap_err();
        assert_eq!(invalid.key, key, "{invalid:?}");
        invalid
    }

    #[track_caller]
    fn accepted(change: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::default();
        change(&mut settings);
        assert_eq!(valid(&settings), Ok(()));
    }

    #[test]
    fn the_defaults_fit_the_shipped_unit() {
        accepted(|_| ());
    }

    #[test]
    fn port_zero_is_refused() {
        refused("gateway.port", |s| s.gateway.port = Some(0));
        accepted(|s| s.gateway.port = Some(1));
    }

    #[test]
    fn an_interval_of_zero_or_above_half_of_the_watchdog_is_refused() {
        refused("interval", |s| s.interval = Duration::ZERO);
        let invalid = refused("interval", |s| s.interval = Duration::from_secs(46));
        assert_eq!(invalid.value, "\"46s\"");
        assert_eq!(
            invalid.right,
            "must not be longer than half of WatchdogSec=1m 30s: 45s"
        );
        accepted(|s| s.interval = Duration::from_secs(45));
    }

    #[test]
    fn without_a_watchdog_any_interval_will_do() {
        let settings = Settings {
            interval: Duration::from_secs(3600),
            ..Settings::default()
        };
        assert_eq!(settings.validate(), Ok(()));
    }

    #[test]
    fn a_check_that_may_outlast_the_watchdog_is_refused() {
        refused("probe.health_timeout", |s| {
            s.probe.health_timeout = Duration::from_secs(25);
        });
        refused("probe.http_timeout", |s| {
            s.probe.http_timeout = Duration::from_secs(23);
        });
        accepted(|s| s.probe.health_timeout = Duration::from_secs(23));
    }

    #[test]
    fn a_attempts_without_attempts_or_with_too_many_is_refused() {
        refused("backoff", |s| s.backoff.clear());
        refused("backoff", |s| s.backoff = vec![Duration::ZERO; 17]);
        accepted(|s| s.backoff = vec![Duration::ZERO; 16]);
    }

    #[test]
    fn spans_that_must_not_be_zero_are_refused() {
        refused("retry_after", |s| {
            s.retry_after = RetryAfter::After(Duration::ZERO)
        });
        refused("probe.http_timeout", |s| {
            s.probe.http_timeout = Duration::ZERO;
        });
        refused("probe.health_timeout", |s| {
            s.probe.health_timeout = Duration::ZERO;
        });
        refused("grace.interval", |s| s.grace.interval = Duration::ZERO);
        refused("pause.default", |s| s.pause.default = Duration::ZERO);
    }

    #[test]
    fn spans_above_a_year_are_refused_without_overflow() {
        let long = MAX_SPAN + Duration::from_secs(1);
        refused("retry_after", |s| {
            s.retry_after = RetryAfter::After(Duration::MAX)
        });
        refused("reset_after", |s| s.reset_after = long);
        refused("backoff", |s| s.backoff = vec![long]);
        refused("probe.health_timeout", |s| {
            s.probe.health_timeout = Duration::MAX;
        });
        refused("forced_stops.window", |s| s.forced_stops.window = long);
        accepted(|s| s.reset_after = MAX_SPAN);
    }

    #[test]
    fn at_least_one_forced_stop_must_be_allowed() {
        refused("forced_stops.limit", |s| s.forced_stops.limit = 0);
    }

    #[test]
    fn only_names_of_services_are_units() {
        for name in [
            "",
            ".service",
            "gateway",
            "gateway.timer",
            "a/b.service",
            "a\nb.service",
            "a b.service",
            &format!("{}.service", "x".repeat(248)),
        ] {
            refused("gateway.unit", |s| {
                s.gateway.unit = Some(name.to_owned());
            });
        }
        for name in ["openclaw-gateway-work.service", "a@b\\x2dc.service"] {
            accepted(|s| s.gateway.unit = Some(name.to_owned()));
        }
    }

    #[test]
    fn a_ping_has_one_url_and_an_interval() {
        let url = || Some("https://hc-ping.com/uuid".to_owned());
        accepted(|s| s.alert.ping.url = url());
        accepted(|s| s.alert.ping.url_credential = Some("ping-url".to_owned()));
        let wrong = refused("alert.ping.url", |s| {
            s.alert.ping.url = Some("hc-ping.com".to_owned());
        });
        assert_eq!(wrong.value, "(hidden)");
        let both = refused("alert.ping.url_credential", |s| {
            s.alert.ping.url = url();
            s.alert.ping.url_credential = Some("ping-url".to_owned());
        });
        assert!(both.right.ends_with("without alert.ping.url"), "{both:?}");
        refused("alert.ping.interval", |s| {
            s.alert.ping.interval = Duration::ZERO;
        });
    }

    #[test]
    fn a_textfile_is_one_that_node_exporter_reads() {
        accepted(|s| s.metrics.textfile = Some(PathBuf::from("/srv/gatehound.prom")));
        for path in [
            "gatehound.prom",
            "/srv/gatehound",
            "/srv/.prom",
            "/srv/gatehound.prom.txt",
            "/srv/gate\nhound.prom",
            "/srv/gatehound.prom/..",
        ] {
            refused("metrics.textfile", |s| {
                s.metrics.textfile = Some(PathBuf::from(path));
            });
        }
    }

    #[test]
    fn each_profile_has_a_textfile_of_its_own() {
        let metrics = MetricsSettings {
            textfile: Some(PathBuf::from("/srv/gatehound.prom")),
        };
        let of = |profile| metrics.textfile(profile).unwrap();
        assert_eq!(of(None), Path::new("/srv/gatehound.prom"));
        assert_eq!(of(Some("work")), Path::new("/srv/gatehound-work.prom"));
        assert_eq!(of(Some("a.b")), Path::new("/srv/gatehound-a.b.prom"));
        assert_eq!(MetricsSettings::default().textfile(Some("work")), None);
    }

    #[test]
    fn the_flag_file_has_an_absolute_path() {
        for path in [
            "",
            "openclaw-maintenance",
            "/tmp/a\nb",
            "/tmp/a\0b",
            "/tmp/a\u{202e}b",
        ] {
            refused("pause.flag_file", |s| {
                s.pause.flag_file = PathBuf::from(path);
            });
        }
    }

    #[test]
    fn alerts_go_to_a_url_or_to_a_program_by_its_path() {
        for url in [
            "",
            "ntfy.sh/a",
            "https://",
            "https://a b",
            "https://a\nb",
            "https://:1",
            "http://[::1",
            "http://[::1]80/a",
            "http://h:0/",
            "http://h:99999/a",
            "http://h:22x/a",
            "http://u:s@h:/a",
            "http://%/",
            "http://h:+1",
        ] {
            refused("alert.webhook.url", |s| {
                s.alert.webhook.url = Some(url.to_owned());
            });
        }
        for name in ["", "a/b", "a b"] {
            refused("alert.webhook.url_credential", |s| {
                s.alert.webhook.url_credential = Some(name.to_owned());
            });
        }
        refused("alert.webhook.url_credential", |s| {
            s.alert.webhook.url = Some("https://a".to_owned());
            s.alert.webhook.url_credential = Some("a".to_owned());
        });
        refused("alert.webhook.chat", |s| {
            s.alert.webhook.preset = Preset::Telegram;
        });
        refused("alert.webhook.body", |s| {
            s.alert.webhook.body = Some("{{text}}".to_owned());
        });
        refused("alert.command", |s| {
            s.alert.command = vec!["notify-send".to_owned()];
        });
        refused("alert.timeout", |s| s.alert.timeout = Duration::ZERO);
        refused("alert.timeout", |s| {
            s.alert.timeout = Duration::from_secs(61);
        });
        for url in [
            "https://ntfy.sh/a",
            "http://u:s@h:8080/a?b",
            "http://[::1]:80/a",
            "http://[::1]",
            "https://a:65535",
        ] {
            accepted(|s| s.alert.webhook.url = Some(url.to_owned()));
        }
        accepted(|s| s.alert.command = vec!["/usr/bin/notify-send".to_owned()]);
        assert!(!AlertSettings::default().is_on());
    }
}
