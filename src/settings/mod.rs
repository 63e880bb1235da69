//! Every number and name the watchdog goes by, validated.
//!
//! Owns the defaults and their reasons; knows nothing of files, variables or flags.
//! `settings::layers` fills it in.

pub mod alert_settings;
pub mod definition;
pub mod layers;
pub(crate) mod leaves;
pub mod limits;
pub mod presets;
pub mod unit_names;
pub mod values;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::policy::facts::Stall;
pub use alert_settings::{AlertSettings, Channel, Kind, Language, Way};
use definition::table;
use values::{
    Address, Choice, Delays, Flag, FlagFile, ForcedStopLimit, Kept, OneOf, Optional, Port,
    PositiveSpan, PromFile, Rule, ServiceName, Span,
};
pub use values::{Invalid, MAX_SPAN, UNSET, URL, is_url};

table! {
    /// What the watchdog goes by. Every field has a default; see gatehound.toml(5).
    pub struct Settings {
        /// Time from one check to the next while the gateway works.
        pub interval: PositiveSpan = INTERVAL,
        /// The delay in front of each attempt; there are as many attempts as delays.
        pub backoff: Delays = [5, 10, 20].map(Duration::from_secs).to_vec(),
        /// Failures closer together than this use one attempt, not two.
        pub debounce: Span = INTERVAL,
        /// How long Gatehound waits after the last attempt before it tries again, or "never".
        pub retry_after: RetryAfter = RetryAfter::After(Duration::from_secs(15 * 60)),
        /// How often the kernel is looked at between two checks of a healthy gateway, or "off".
        // A healthy gateway turns some 250 times in it.
        pub pulse: Pulse = Pulse::Every(Duration::from_secs(5)),
        /// How long the gateway has to stay healthy before attempts count from 1 again.
        pub reset_after: Span = Duration::from_secs(5 * 60),
        /// How long a part of a healthy gateway, such as a channel, may fail before that is said. Nothing is restarted for it.
        // A channel that reconnects, or that the gateway restarts itself, is back within it.
        pub degraded_after: Span = Duration::from_secs(5 * 60),
        /// "auto" rolls a configuration that the gateway refuses back to the last known good one.
        // Silent restores have cost people the edit they had meant; who wants them asks for them.
        pub rollback: OneOf<Rollback> = Rollback::Off,
        /// Which gateway is watched.
        pub gateway: Gateway = Gateway::default(),
        /// Time limits of the probes.
        pub probe: Probe = Probe::default(),
        /// How long a failing gateway is given, by what its process is doing.
        pub grace: Grace = Grace::default(),
        /// How long systemd's stop of the gateway may take before SIGKILL.
        pub stop_timeout: StopTimeout = StopTimeout::default(),
        /// How many forced stops may fall into a window.
        pub forced_stops: ForcedStops = ForcedStops::default(),
        /// How a human's pause is given.
        pub pause: PauseSettings = PauseSettings::default(),
        /// Who is notified.
        pub alert: AlertSettings = AlertSettings::default(),
        /// What is kept of the gateway's configuration.
        pub snapshots: SnapshotSettings = SnapshotSettings::default(),
        /// Who reads how the gateway is.
        pub metrics: MetricsSettings = MetricsSettings::default(),
    }
}

/// What is done about a configuration that the gateway refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rollback {
    /// It is reported, with the command that restores the last one that was known good.
    #[default]
    Off,
    /// The last one that was known good takes its place, once, and the gateway is started with it.
    Auto,
}

/// How often the kernel is looked at between two checks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pulse {
    /// Once in this time.
    Every(Duration),
    /// Not at all.
    Off,
}

/// How long no attempt is made once all of them were in vain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RetryAfter {
    /// Tries again after this long.
    After(Duration),
    /// Never tries again by itself.
    Never,
}

table! {
    /// Which gateway is watched. What is not set is found from the unit and the gateway's openclaw.json.
    pub struct Gateway {
        /// The unit to watch; without it openclaw-gateway.service, or that of the profile.
        pub unit: Optional<ServiceName> = None => "openclaw-gateway.service",
        /// The port; without it the one that the unit or openclaw.json names.
        pub port: Optional<Port> = None => 18789,
        /// The address to probe; without it the one that the gateway listens on.
        pub address: Optional<Address> = None => "127.0.0.1",
        /// Whether the port speaks TLS; without it as openclaw.json says.
        pub tls: Optional<Flag> = None => false,
    }
}

table! {
    /// Time limits of the probes.
    pub struct Probe {
        /// How long `/` may take to answer.
        pub http_timeout: PositiveSpan = Duration::from_secs(5),
        /// How long `/health` may take to answer.
        pub health_timeout: PositiveSpan = Duration::from_secs(10),
    }
}

table! {
    /// How long a failing gateway is given, by what its process is doing.
    pub struct Grace {
        /// Time from one check to the next while the gateway is failing or starting.
        pub interval: PositiveSpan = Duration::from_secs(5),
        /// How long nothing may listen on the port.
        // An in-process restart leaves the port closed for up to 6.4 s.
        pub gone: Span = Duration::from_secs(10),
        /// How long the process may be stopped by a signal.
        // Nothing to wait for: only another signal ends it.
        pub stopped: Span = Duration::ZERO,
        /// How long the main thread may wait for a lock that nothing of the unit can release.
        // It cannot end by itself; this is time for a second look.
        pub deadlocked: Span = Duration::from_secs(10),
        /// How long the main thread may wait for a child that was started when the stall began.
        // Synchronous children of 20 s to 110 s are reported.
        pub waiting: Span = Duration::from_secs(3 * 60),
        /// How long the main thread may wait for the disk.
        // It ends with the disk, which a restart does not mend.
        pub disk: Span = Duration::from_secs(2 * 60),
        /// How long a limit, or want of memory or of a CPU, may keep the gateway from running.
        // A restart lifts no limit either.
        pub starved: Span = Duration::from_secs(3 * 60),
        /// How long the main thread may sleep while a request is pending, and nothing tells why.
        // What it sleeps for cannot be seen, so it gets time to end.
        pub blocked: Span = Duration::from_secs(30),
        /// How long the main thread may burn CPU while a request is pending.
        // The longest healthy event-loop stall reported is 169 s.
        pub busy: Span = Duration::from_secs(3 * 60),
        /// How long the gateway may answer, but not as a healthy one does.
        // It runs, so an answer that stays wrong is not a matter of time.
        pub answering: Span = Duration::from_secs(10),
        /// How long a start that makes progress may take.
        // Starts of 4 to 12 min are reported.
        pub starting: Span = Duration::from_secs(10 * 60),
        /// How long a start in which the unit uses no CPU may take.
        // Hangs before the first request are reported too.
        pub starting_idle: Span = Duration::from_secs(60),
    }
}

table! {
    /// How long systemd's stop of the gateway may take before SIGKILL.
    pub struct StopTimeout {
        /// How long the stop of a gateway that is stopped or deadlocked may take before SIGKILL.
        // A loop that certainly cannot run cannot drain.
        pub stuck: Span = Duration::from_secs(3),
        /// The same for a gateway that hangs in another way.
        // It will hardly drain.
        pub hung: Span = Duration::from_secs(10),
        /// The same for a gateway that still runs and can finish its work.
        pub draining: Span = Duration::from_secs(30),
    }
}

table! {
    /// How many forced stops may fall into a window.
    // The gateway's own crash-loop breaker disables all channels
    // at the third unclean boot in 5 minutes, while /health stays green.
    pub struct ForcedStops {
        /// How many stops may need SIGKILL within the window.
        pub limit: ForcedStopLimit = 2,
        /// The window.
        pub window: Span = Duration::from_secs(5 * 60),
    }
}

table! {
    /// How a human's pause is given.
    pub struct PauseSettings {
        /// How long `gatehound pause` lasts without --for.
        pub default: PositiveSpan = Duration::from_secs(2 * 60 * 60),
        /// While this file exists, Gatehound is paused.
        // The flag file of the old shell watchdog.
        pub flag_file: FlagFile = PathBuf::from("/tmp/openclaw-maintenance"),
    }
}

/// Half a minute: what the cron line this replaces did.
const INTERVAL: Duration = Duration::from_secs(30);

table! {
    /// Who reads how the gateway is; nobody, unless a file is asked for.
    pub struct MetricsSettings {
        /// For gatehound-collect.timer of the system's manager, which fetches the metrics of all users for node_exporter.
        pub collected: Flag = false,
        /// Else a file for node_exporter's textfile collector, with the user's number in its name, as in gatehound-1000.prom.
        pub textfile: Optional<PromFile> = None => "/var/lib/prometheus/node-exporter/gatehound.prom",
    }
}

impl MetricsSettings {
    /// The file of one user and profile, which never write the same one: each would undo the other's.
    pub fn file(&self, profile: Option<&str>, uid: u32, runtime: &Path) -> Option<PathBuf> {
        let Some(path) = self.textfile.as_ref() else {
            return self.collected.then(|| runtime.join(COLLECTED));
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        Some(path.with_file_name(textfile_name(&stem, uid, profile)))
    }
}

/// What is fetched from a runtime folder.
pub const COLLECTED: &str = "metrics.prom";

/// The name of the file of one user and profile.
pub fn textfile_name(stem: &str, uid: u32, profile: Option<&str>) -> String {
    match profile {
        Some(profile) => format!("{stem}-{uid}-{profile}.prom"),
        None => format!("{stem}-{uid}.prom"),
    }
}

table! {
    /// What is kept of the gateway's configuration.
    pub struct SnapshotSettings {
        /// How many snapshots of openclaw.json are kept of each kind.
        // Weeks of changes by hand, at a few kilobytes each.
        pub keep: Kept = 10,
    }
}

impl Settings {
    /// The longest a check may take: the time limits of both requests,
    /// with what connecting, sending and reading may add to each.
    pub fn longest_check(&self) -> Duration {
        let http = self.probe.http_timeout.saturating_mul(13) / 10;
        let health = self.probe.health_timeout.saturating_mul(3) / 2;
        http.saturating_add(health)
    }
}

impl Grace {
    /// The grace for a kind of stall.
    pub fn of(&self, stall: Stall) -> Duration {
        match stall {
            Stall::Gone => self.gone,
            Stall::Stopped => self.stopped,
            Stall::Deadlocked => self.deadlocked,
            Stall::Waiting => self.waiting,
            Stall::Disk => self.disk,
            Stall::Starved => self.starved,
            Stall::Blocked => self.blocked,
            Stall::Busy => self.busy,
            Stall::Answering => self.answering,
        }
    }
}

impl Rule for RetryAfter {
    type Read = Self;

    fn read(value: &serde_json::Value) -> Result<Self, String> {
        if value.as_str() == Some("never") {
            return Ok(Self::Never);
        }
        let neither = r#"neither a time span nor "never"; write one such as "15min""#;
        let is_span = |text| humantime::parse_duration(text).is_ok();
        if !value.as_str().is_some_and(is_span) {
            return Err(neither.to_owned());
        }
        PositiveSpan::read(value).map(Self::After)
    }

    fn spell(read: &Self) -> serde_json::Value {
        match read {
            Self::After(rest) => Span::spell(rest),
            Self::Never => "never".into(),
        }
    }
}

impl Rule for Pulse {
    type Read = Self;

    fn read(value: &serde_json::Value) -> Result<Self, String> {
        if value.as_str() == Some("off") {
            return Ok(Self::Off);
        }
        let neither = r#"neither a time span nor "off"; write one such as "5s""#;
        let is_span = |text| humantime::parse_duration(text).is_ok();
        if !value.as_str().is_some_and(is_span) {
            return Err(neither.to_owned());
        }
        let every = PositiveSpan::read(value)?;
        // Less says nothing of a gateway that turns now and then, and costs more than the checks.
        if every < Duration::from_secs(1) {
            return Err(r#"too short; write at least "1s", or "off""#.to_owned());
        }
        Ok(Self::Every(every))
    }

    fn spell(read: &Self) -> serde_json::Value {
        match read {
            Self::Every(every) => Span::spell(every),
            Self::Off => "off".into(),
        }
    }
}

impl Choice for Rollback {
    const WRONG: &'static str =
        r#"not a way to deal with a refused configuration; write "off" or "auto""#;
}

#[cfg(test)]
mod tests {
    use super::*;
    use layers::Sources;
    use leaves::leaves;
    use std::path::Path;

    const WATCHDOG: Duration = Duration::from_secs(90);

    /// Reads what a change of the defaults would be in a file, with the unit as it is shipped.
    fn read(change: impl FnOnce(&mut Settings)) -> Result<(), String> {
        let mut settings = Settings::default();
        change(&mut settings);
        let defaults = leaves(&Settings::default());
        let overrides = leaves(&settings)
            .into_iter()
            .filter(|(key, value)| defaults.get(key) != Some(value))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let sources = Sources {
            overrides,
            watchdog: Some(WATCHDOG),
            ..Sources::default()
        };
        let read = layers::load(&sources).map_err(|wrong| wrong.to_string())?;
        assert_eq!(read.settings, settings);
        Ok(())
    }

    struct Refused {
        value: String,
        right: String,
    }

    /// Holds that a change of the defaults is refused, and blamed on `key`.
    #[track_caller]
    fn refused(key: &str, change: impl FnOnce(&mut Settings)) -> Refused {
        let wrong = read(change).unwrap_err();
        let said = wrong.strip_prefix("--set: ").unwrap_or(&wrong);
        let said = said.strip_prefix(key).expect(&wrong);
        let said = said.strip_prefix(" = ").expect(&wrong);
        // A span, and whatever else is compared here, has none in it.
        let (value, right) = said.split_once(": ").expect(&wrong);
        Refused {
            value: value.to_owned(),
            right: right.to_owned(),
        }
    }

    #[track_caller]
    fn accepted(change: impl FnOnce(&mut Settings)) {
        assert_eq!(read(change), Ok(()));
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
            "must not be longer than half of WatchdogSec=1min 30s: 45s"
        );
        accepted(|s| s.interval = Duration::from_secs(45));
    }

    #[test]
    fn without_a_watchdog_any_interval_will_do() {
        let sources = Sources {
            overrides: vec!["interval=1h".to_owned()],
            ..Sources::default()
        };
        assert!(layers::load(&sources).is_ok());
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
    fn attempts_without_attempts_or_with_too_many_is_refused() {
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
    fn a_pulse_is_off_or_beats_once_a_second_at_most() {
        refused("pulse", |s| s.pulse = Pulse::Every(Duration::ZERO));
        refused("pulse", |s| {
            s.pulse = Pulse::Every(Duration::from_millis(900));
        });
        accepted(|s| s.pulse = Pulse::Every(Duration::from_secs(1)));
        accepted(|s| s.pulse = Pulse::Off);
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

    /// What is wrong with one channel, of a file of TOML, behind the place that it names.
    fn channel(text: &str) -> Result<(), String> {
        let sources = Sources {
            overrides: vec![format!("alert.channel=[{{{text}}}]")],
            ..Sources::default()
        };
        let read = layers::load(&sources).map_err(|wrong| wrong.to_string());
        read.map(drop).map_err(|wrong| {
            let place = "--set: alert.channel = (hidden): the 1st: ";
            wrong.strip_prefix(place).expect(&wrong).to_owned()
        })
    }

    #[test]
    fn a_ping_has_a_url_and_an_interval() {
        let url = "type = 'ping', url = 'https://hc-ping.com/{{credential:uuid}}'";
        assert_eq!(channel(url), Ok(()));
        assert_eq!(channel(&format!("{url}, preset = 'uptime-kuma'")), Ok(()));
        for (text, wrong) in [
            ("type = 'ping'".to_owned(), "type = \"ping\" needs url"),
            (
                format!("{url}, preset = 'ntfy'"),
                "preset must be one of healthchecks, uptime-kuma",
            ),
            (
                format!("{url}, to = 'x'"),
                "to means nothing where type = \"ping\"",
            ),
            (
                format!("{url}, kinds = ['down']"),
                "kinds means nothing where type = \"ping\"",
            ),
        ] {
            assert_eq!(channel(&text), Err(wrong.to_owned()));
        }
        refused("alert.ping_interval", |s| {
            s.alert.ping_interval = Duration::ZERO;
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
    fn each_user_and_profile_has_a_textfile_of_its_own() {
        let mut metrics = MetricsSettings {
            textfile: Some(PathBuf::from("/srv/gatehound.prom")),
            collected: true,
        };
        let runtime = Path::new("/run/user/1000/gatehound-work");
        let of = |metrics: &MetricsSettings, profile, uid| metrics.file(profile, uid, runtime);
        for (profile, uid, expected) in [
            (None, 1000, "/srv/gatehound-1000.prom"),
            (None, 1001, "/srv/gatehound-1001.prom"),
            (Some("work"), 1000, "/srv/gatehound-1000-work.prom"),
            (Some("a.b"), 1000, "/srv/gatehound-1000-a.b.prom"),
            // Its own name is another than that of this user's default profile.
            (Some("1001"), 1000, "/srv/gatehound-1000-1001.prom"),
        ] {
            assert_eq!(of(&metrics, profile, uid), Some(expected.into()));
        }
        metrics.textfile = None;
        let collected = runtime.join("metrics.prom");
        assert_eq!(of(&metrics, Some("work"), 1000), Some(collected));
        assert_eq!(of(&MetricsSettings::default(), None, 1000), None);
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
            "https://:1",
            "http://[::1",
            "http://[::1]80/a",
            "http://h:0/",
            "http://h:99999/a",
            "http://h:22x/a",
            "http://u:s@h:/a",
            "http://%/",
            "http://h:+1",
            "https://a/{{text}}",
            "https://a/{{credential:a b}}",
            "https://a/{{credential:b",
        ] {
            let wrong = channel(&format!("type = 'webhook', url = '{url}'")).unwrap_err();
            assert!(
                wrong.starts_with("url must be a URL that begins with"),
                "{wrong}"
            );
        }
        for url in [
            "https://ntfy.sh/a",
            "http://u:s@h:8080/a?b",
            "http://[::1]:80/a",
            "http://[::1]",
            "https://a:65535",
            "https://a/{{ credential:b }}",
            "{{credential:b}}",
        ] {
            assert_eq!(channel(&format!("type = 'webhook', url = '{url}'")), Ok(()));
        }
        let url = "type = 'webhook', url = 'https://a'";
        for (more, right) in [
            ("preset = 'telegram'", "preset = \"telegram\" needs to"),
            (
                "preset = 'pushover', token = 'a'",
                "preset = \"pushover\" needs to",
            ),
            (
                "preset = 'nobody'",
                "preset must be one of json, ntfy, slack,",
            ),
            (
                "preset = 'mail', to = 'a'",
                "preset must be one of json, ntfy, slack,",
            ),
            ("body = '{{text}}'", "body must be JSON once"),
            (
                "headers = {A = '{{text}}'}",
                "headers must be a printable text",
            ),
            (
                "command = ['/bin/true']",
                "command means nothing where type = \"webhook\"",
            ),
            ("kinds = ['up']", "kinds: must be some of down, needs-human"),
            ("ulr = 'https://a'", "ulr: no such key; did you mean url?"),
            ("to = true", "to: not a text; write it between quotes"),
        ] {
            let wrong = channel(&format!("{url}, {more}")).unwrap_err();
            assert!(wrong.starts_with(right), "{wrong}");
        }
        for (text, right) in [
            (
                "type = 'post'",
                "type: no type of channel; write \"webhook\", \"command\"",
            ),
            ("type = 'command'", "type = \"command\" needs command"),
            (
                "type = 'command', command = ['notify-send']",
                "command must begin with the absolute path",
            ),
            (
                "type = 'command', command = ['/a', '{{nobody}}']",
                "command may have these in its arguments: {{text}}",
            ),
            ("type = 'mail'", "type = \"mail\" needs to"),
            (
                "type = 'desktop', url = 'https://a'",
                "url means nothing where type = \"desktop\"",
            ),
        ] {
            let wrong = channel(text).unwrap_err();
            assert!(wrong.starts_with(right), "{wrong}");
        }
        for text in [
            "type = 'webhook', url = 'https://a', preset = 'telegram', to = -1001234567890",
            "type = 'webhook', url = 'https://a', preset = 'telegram', body = '{}'",
            "type = 'command', command = ['/usr/bin/mail', '-s', '{{title}}', 'me']",
            "type = 'mail', to = 'me@example.com', kinds = ['needs-human', 'back']",
            "type = 'desktop'",
        ] {
            assert_eq!(channel(text), Ok(()), "{text}");
        }
        refused("alert.timeout", |s| s.alert.timeout = Duration::ZERO);
        refused("alert.timeout", |s| {
            s.alert.timeout = Duration::from_secs(61);
        });
        assert!(!AlertSettings::default().is_on());
    }

    #[test]
    fn every_preset_has_all_that_its_form_needs() {
        for row in presets::WEBHOOKS {
            let forms = row.headers.iter().map(|(_, value)| *value);
            let forms: String = forms.chain([row.path, row.body]).collect();
            for name in ["to", "token"] {
                let is_named = crate::text::template::names(&forms)
                    .any(|one| one == name || one == format!("url-{name}"));
                assert_eq!(row.needs.contains(&name), is_named, "{}: {name}", row.name);
            }
        }
    }
}
