//! Metrics: what is counted over the boot, and how a check reads in Prometheus' text format.
//!
//! Owns the names, their help and their labels; knows nothing of files, of the wall clock or of who reads them.
//!
//! Source: prometheus.io, "Exposition formats" and "Metric and label naming".

use std::{fmt::Write as _, time::Duration};

use serde::{Deserialize, Serialize};

use crate::policy::{
    answer::{Answer, Effect},
    facts::{Health, Probe},
    record::Record,
    state::{Phase, Standby, State},
};

/// What is counted; kept in the state file, so that a successor goes on counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Incidents that were opened.
    pub incidents: u64,
    /// Restarts that were begun.
    pub restarts: u64,
    /// Stops that took SIGKILL.
    pub forced_stops: u64,
    /// Whether a human was needed, and the gateway has not recovered since.
    pub needs_human: bool,
}

impl Counts {
    /// Counts what one step did.
    pub fn add(&mut self, before: &State, after: &State, answer: &Answer) {
        for noted in &answer.records {
            if matches!(noted.record, Record::Failing { .. }) {
                count(&mut self.incidents);
            }
        }
        if answer.effect.as_ref().is_some_and(Effect::begins_restart) {
            count(&mut self.restarts);
        }
        // The list is kept as short as the budget needs, so its length says nothing.
        if after.forced.last() != before.forced.last() && !after.forced.is_empty() {
            count(&mut self.forced_stops);
        }
        // The attempts of `retry_after` are no recovery: whoever was called would be called off for minutes.
        self.needs_human =
            needs_human(&after.phase) || (self.needs_human && after.incident.is_some());
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

/// One check as the metrics show it.
#[derive(Clone, Debug)]
pub struct Sample<'a> {
    /// The policy's memory after the check.
    pub state: &'a State,
    /// What the probes of the check said.
    pub health: &'a Health,
    /// What was counted so far.
    pub counts: Counts,
    /// How many attempts there are until Gatehound gives up.
    pub attempts: usize,
    /// The gateway's unit.
    pub unit: &'a str,
    /// The profile, if it is not the default one.
    pub profile: Option<&'a str>,
    /// The user whose gateway it is: node_exporter takes no two files with the same series.
    pub uid: u32,
    /// The name of that user.
    pub user: &'a str,
    /// When the check ended, since the Unix epoch.
    pub checked: Duration,
    /// When the last watchdog ping was sent, since the Unix epoch; none if none was since Gatehound started.
    pub ping: Option<Duration>,
}

impl Sample<'_> {
    /// The metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut page = Page::new(self);
        page.build();
        page.timestamps(self);
        page.gateway(self);
        page.phases(&self.state.phase);
        page.counters(self.counts);
        page.text
    }
}

/// The phases' names, as [`Phase::name`] has them.
const PHASES: [&str; 7] = [
    "starting",
    "healthy",
    "failing",
    "backing-off",
    "restarting",
    "gave-up",
    "standing-by",
];

/// The reasons to stand by.
const REASONS: [Standby; 12] = [
    Standby::Paused,
    Standby::Stopped,
    Standby::NoUnit,
    Standby::NoBus,
    Standby::Updating,
    Standby::ConfigError,
    Standby::OtherGateway,
    Standby::InTransition,
    Standby::Debugged,
    Standby::Frozen,
    Standby::Masked,
    Standby::PortTaken,
];

/// One family of metrics.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What Prometheus takes it for.
    pub kind: &'static str,
    /// What it says, in a sentence.
    pub help: &'static str,
}

impl Family {
    const fn gauge(name: &'static str, help: &'static str) -> Self {
        let kind = "gauge";
        Self { name, kind, help }
    }

    const fn counter(name: &'static str, help: &'static str) -> Self {
        let kind = "counter";
        Self { name, kind, help }
    }
}

const BUILD: Family = Family::gauge(
    "gatehound_build_info",
    "The version of Gatehound; always 1.",
);
const CHECKED: Family = Family::gauge(
    "gatehound_last_check_timestamp_seconds",
    "When Gatehound last checked the gateway, in Unix time.",
);
const PINGED: Family = Family::gauge(
    "gatehound_last_watchdog_ping_timestamp_seconds",
    "When Gatehound last sent WATCHDOG=1 to systemd, after all probes passed, in Unix time.",
);
const UP: Family = Family::gauge(
    "gatehound_gateway_up",
    "1 if all probes of the last check passed, else 0.",
);
const DEGRADED: Family = Family::gauge(
    "gatehound_gateway_degraded",
    "1 while the gateway is degraded: it is healthy, and part of it has not worked for long.",
);
const PROBE: Family = Family::gauge(
    "gatehound_probe_success",
    "1 if the probe passed in the last check, else 0; absent if it was not made.",
);
const TOOK: Family = Family::gauge(
    "gatehound_check_duration_seconds",
    "How long / and /health took in the last check; absent if one did not pass.",
);
const INCIDENT: Family = Family::gauge(
    "gatehound_incident_open",
    "1 while an incident is open: the gateway failed and is not healthy again, else 0.",
);
const HUMAN: Family = Family::gauge(
    "gatehound_needs_human",
    "1 from when Gatehound gave up, or the gateway refused its configuration, until the gateway is healthy again, else 0.",
);
const ATTEMPT: Family = Family::gauge(
    "gatehound_attempt",
    "The number of the last restart attempt, from 1; 0 when attempts count from 1 again.",
);
const LIMIT: Family = Family::gauge(
    "gatehound_attempts_limit",
    "How many restart attempts there are until Gatehound gives up.",
);
const PHASE: Family = Family::gauge(
    "gatehound_phase",
    "1 for the phase that Gatehound is in, 0 for the others.",
);
const STANDBY: Family = Family::gauge(
    "gatehound_standby",
    "1 for the reason why Gatehound stands by, if it does, 0 for the others.",
);
const INCIDENTS: Family = Family::counter(
    "gatehound_incidents_total",
    "Incidents since the boot: how often the gateway began to fail.",
);
const RESTARTS: Family = Family::counter(
    "gatehound_restarts_total",
    "Restarts of the gateway by Gatehound since the boot.",
);
const FORCED: Family = Family::counter(
    "gatehound_forced_stops_total",
    "Stops of the gateway by Gatehound since the boot that took SIGKILL.",
);

/// All of them, in the order of the page.
pub const FAMILIES: [Family; 16] = [
    BUILD, CHECKED, PINGED, UP, DEGRADED, PROBE, TOOK, INCIDENT, HUMAN, ATTEMPT, LIMIT, PHASE,
    STANDBY, INCIDENTS, RESTARTS, FORCED,
];

/// A page of metrics as it grows.
struct Page {
    text: String,
    /// The labels that every series has.
    labels: String,
}

impl Page {
    fn new(sample: &Sample<'_>) -> Self {
        let labels = format!(
            "unit=\"{}\",profile=\"{}\",uid=\"{}\",user=\"{}\"",
            escaped(sample.unit),
            escaped(sample.profile.unwrap_or("default")),
            sample.uid,
            escaped(sample.user)
        );
        Self {
            // A page has about 5 KiB.
            text: String::with_capacity(8 * 1024),
            labels,
        }
    }

    fn family(&mut self, family: Family) {
        let Family { name, kind, help } = family;
        // Writing into a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn series(&mut self, family: Family, further: Option<(&str, &str)>, value: &str) {
        let (name, labels) = (family.name, &self.labels);
        let _ = match further {
            None => writeln!(self.text, "{name}{{{labels}}} {value}"),
            Some((label, of)) => {
                writeln!(self.text, "{name}{{{labels},{label}=\"{of}\"}} {value}")
            }
        };
    }

    fn single(&mut self, family: Family, value: &str) {
        self.family(family);
        self.series(family, None, value);
    }

    fn build(&mut self) {
        self.family(BUILD);
        let version = env!("CARGO_PKG_VERSION");
        self.series(BUILD, Some(("version", version)), "1");
    }

    fn timestamps(&mut self, sample: &Sample<'_>) {
        self.single(CHECKED, &seconds(sample.checked));
        if let Some(ping) = sample.ping {
            self.single(PINGED, &seconds(ping));
        }
    }

    fn gateway(&mut self, sample: &Sample<'_>) {
        let state = sample.state;
        let up = matches!(sample.health, Health::Healthy(_));
        self.single(UP, flag(up));
        self.single(DEGRADED, flag(state.degraded.is_some()));
        self.probes(sample.health);
        self.single(INCIDENT, flag(state.incident.is_some()));
        self.single(HUMAN, flag(sample.counts.needs_human));
        self.single(ATTEMPT, &state.attempts.used.to_string());
        self.single(LIMIT, &sample.attempts.to_string());
    }

    /// Only the probes that were made: a value of an earlier check would be taken for one of this.
    fn probes(&mut self, health: &Health) {
        let all = [Probe::Port, Probe::Http, Probe::Health];
        let failed = match health {
            Health::NotProbed | Health::Unknown(_) => return,
            Health::Healthy(_) => None,
            Health::Failing(failure) => Some(failure.probe),
        };
        self.family(PROBE);
        for probe in all {
            let passed = failed != Some(probe);
            self.series(PROBE, Some(("probe", probe.name())), flag(passed));
            if !passed {
                return;
            }
        }
        if let Health::Healthy(took) = health {
            self.single(TOOK, &format!("{:.6}", took.as_secs_f64()));
        }
    }

    fn phases(&mut self, phase: &Phase) {
        self.family(PHASE);
        for one in PHASES {
            self.series(PHASE, Some(("phase", one)), flag(one == phase.name()));
        }
        let now = match phase {
            Phase::StandingBy { reason, .. } => Some(*reason),
            Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::Failing(_)
            | Phase::BackingOff { .. }
            | Phase::Restarting(_)
            | Phase::GaveUp { .. } => None,
        };
        self.family(STANDBY);
        for one in REASONS {
            let value = flag(now == Some(one));
            self.series(STANDBY, Some(("reason", one.name())), value);
        }
    }

    fn counters(&mut self, counts: Counts) {
        self.single(INCIDENTS, &counts.incidents.to_string());
        self.single(RESTARTS, &counts.restarts.to_string());
        self.single(FORCED, &counts.forced_stops.to_string());
    }
}

/// Whether Gatehound has nothing left that it could do by itself now.
fn needs_human(phase: &Phase) -> bool {
    match phase {
        Phase::GaveUp { .. }
        | Phase::StandingBy {
            reason: Standby::ConfigError | Standby::PortTaken,
            ..
        } => true,
        Phase::StandingBy { .. }
        | Phase::Starting { .. }
        | Phase::Healthy { .. }
        | Phase::Failing(_)
        | Phase::BackingOff { .. }
        | Phase::Restarting(_) => false,
    }
}

fn flag(set: bool) -> &'static str {
    if set { "1" } else { "0" }
}

/// Seconds with their thousandths.
fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// A label's value: backslash, quote and newline have a meaning there.
pub(crate) fn escaped(value: &str) -> String {
    let value = value.replace('\\', r"\\").replace('"', r#"\""#);
    value.replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::policy::answer::Noted;
    use crate::{
        policy::{
            facts::{Failure, Monotonic, Stall},
            state::{Attempts, Bite, GraceUsed, Incident},
        },
        settings::Settings,
        text::line::Line,
    };

    fn sample<'a>(state: &'a State, health: &'a Health) -> Sample<'a> {
        Sample {
            state,
            health,
            counts: Counts {
                incidents: 3,
                restarts: 2,
                forced_stops: 1,
                needs_human: false,
            },
            attempts: 3,
            unit: "openclaw-gateway.service",
            profile: None,
            uid: 1000,
            user: "ann",
            checked: Duration::from_millis(1_764_000_000_250),
            ping: Some(Duration::from_millis(1_763_999_970_007)),
        }
    }

    fn healthy() -> State {
        State {
            phase: Phase::Healthy {
                since: Monotonic(1),
                took: Duration::from_millis(3),
            },
            ..State::default()
        }
    }

    fn standing_by(reason: Standby) -> State {
        let phase = Phase::StandingBy {
            reason,
            detail: Line::default(),
            since: Monotonic(0),
        };
        State {
            phase,
            ..State::default()
        }
    }

    fn incident() -> Incident {
        Incident {
            id: "c0ffee00-7".into(),
            since: Monotonic(1),
            failure: Failure {
                probe: Probe::Http,
                reason: "refused".into(),
                stall: Stall::Gone,
                detail: Line::default(),
            },
            restarts: 1,
            started: None,
            started_by_other: false,
            bitten: false,
            crashed: false,
            loops: false,
            overdue: false,
        }
    }

    fn failing(probe: Probe) -> Health {
        Health::Failing(Failure {
            probe,
            reason: "no answer within 5 s".into(),
            stall: Stall::Blocked,
            detail: Line::default(),
        })
    }

    /// The value of the series with this name and this further label; none if there is no such series.
    fn value(page: &str, name: &str, further: &str) -> Option<String> {
        let common = r#"unit="openclaw-gateway.service",profile="default",uid="1000",user="ann""#;
        let series = match further {
            "" => format!("{name}{{{common}}} "),
            further => format!("{name}{{{common},{further}}} "),
        };
        let found: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix(series.as_str()))
            .collect();
        assert!(found.len() < 2, "{series} is there twice");
        found.first().map(|value| (*value).to_owned())
    }

    #[track_caller]
    fn check(page: &str, name: &str, further: &str, expected: Option<&str>) {
        let found = value(page, name, further);
        assert_eq!(found.as_deref(), expected, "{name} {further}\n{page}");
    }

    #[test]
    fn a_healthy_check_reads_as_one() {
        let page = sample(&healthy(), &Health::Healthy(Duration::from_millis(3))).render();
        for (name, further, expected) in [
            (
                "gatehound_build_info",
                concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""),
                "1",
            ),
            (
                "gatehound_last_check_timestamp_seconds",
                "",
                "1764000000.250",
            ),
            (
                "gatehound_last_watchdog_ping_timestamp_seconds",
                "",
                "1763999970.007",
            ),
            ("gatehound_gateway_up", "", "1"),
            ("gatehound_gateway_degraded", "", "0"),
            ("gatehound_probe_success", "probe=\"port\"", "1"),
            ("gatehound_probe_success", "probe=\"http\"", "1"),
            ("gatehound_probe_success", "probe=\"health\"", "1"),
            ("gatehound_check_duration_seconds", "", "0.003000"),
            ("gatehound_incident_open", "", "0"),
            ("gatehound_needs_human", "", "0"),
            ("gatehound_phase", "phase=\"healthy\"", "1"),
            ("gatehound_phase", "phase=\"gave-up\"", "0"),
            ("gatehound_attempts_limit", "", "3"),
            ("gatehound_incidents_total", "", "3"),
            ("gatehound_restarts_total", "", "2"),
            ("gatehound_forced_stops_total", "", "1"),
        ] {
            check(&page, name, further, Some(expected));
        }
        assert_eq!(page.matches("} 1\n").count(), 7, "{page}");
        assert!(page.ends_with('\n'));
    }

    #[test]
    fn a_failing_check_says_which_probe_and_keeps_silent_about_those_that_were_not_made() {
        let mut state = State {
            attempts: Attempts {
                used: 2,
                taken: Monotonic(1),
            },
            degraded: Some("no channels".into()),
            ..State::default()
        };
        state.incident = Some(incident());
        let health = failing(Probe::Http);
        let page = Sample {
            ping: None,
            ..sample(&state, &health)
        }
        .render();
        for (name, further, expected) in [
            ("gatehound_last_watchdog_ping_timestamp_seconds", "", None),
            ("gatehound_gateway_up", "", Some("0")),
            ("gatehound_gateway_degraded", "", Some("1")),
            ("gatehound_probe_success", "probe=\"port\"", Some("1")),
            ("gatehound_probe_success", "probe=\"http\"", Some("0")),
            ("gatehound_probe_success", "probe=\"health\"", None),
            ("gatehound_check_duration_seconds", "", None),
            ("gatehound_incident_open", "", Some("1")),
            ("gatehound_attempt", "", Some("2")),
        ] {
            check(&page, name, further, expected);
        }
        for health in [Health::NotProbed, Health::Unknown("no descriptors".into())] {
            let page = sample(&state, &health).render();
            assert!(!page.contains("probe_success"), "{page}");
            check(&page, "gatehound_gateway_up", "", Some("0"));
        }
    }

    #[test]
    fn each_phase_and_each_reason_is_one_of_its_set() {
        let gave_up = State {
            phase: Phase::GaveUp {
                since: Monotonic(0),
                reason: "the attempts are used up".into(),
                bite: Bite::Done,
            },
            ..State::default()
        };
        let page = sample(&gave_up, &Health::NotProbed).render();
        check(&page, "gatehound_phase", "phase=\"gave-up\"", Some("1"));
        assert_eq!(page.matches("gatehound_phase{").count(), 7);
        for reason in REASONS {
            let page = sample(&standing_by(reason), &Health::NotProbed).render();
            let lines = page.lines();
            let set: Vec<&str> = lines
                .filter(|line| line.starts_with("gatehound_standby{") && line.ends_with(" 1"))
                .collect();
            let label = format!("reason=\"{}\"", reason.name());
            assert!(set.len() == 1 && set[0].contains(&label), "{set:?}");
        }
    }

    #[test]
    fn a_human_is_needed_until_the_gateway_recovers_and_not_only_until_the_next_attempt() {
        let mut counts = Counts::default();
        let mut steps = |after: &State| {
            counts.add(&State::default(), after, &Answer::default());
            counts.needs_human
        };
        let gave_up = Phase::GaveUp {
            since: Monotonic(0),
            reason: "the attempts are used up".into(),
            bite: Bite::Done,
        };
        let failing = Phase::Failing(GraceUsed::new(Monotonic(0)));
        let open = |phase: Phase| State {
            phase,
            incident: Some(incident()),
            ..State::default()
        };
        assert!(!steps(&open(failing.clone())), "before it gave up");
        assert!(steps(&open(gave_up.clone())));
        assert!(steps(&open(failing.clone())), "it is tried again");
        assert!(!steps(&healthy()));
        assert!(!steps(&open(failing)), "another incident");
        assert!(steps(&standing_by(Standby::ConfigError)));
        assert!(!steps(&standing_by(Standby::Stopped)), "a human was there");
        let state = open(gave_up);
        counts.add(&State::default(), &state, &Answer::default());
        let page = Sample {
            counts,
            ..sample(&state, &Health::NotProbed)
        }
        .render();
        check(&page, "gatehound_needs_human", "", Some("1"));
    }

    #[test]
    fn every_family_has_its_help_and_type_before_its_series_and_keeps_to_the_naming_rules() {
        let page = sample(&healthy(), &Health::Healthy(Duration::ZERO)).render();
        let mut known = BTreeSet::new();
        let mut lines = page.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) = line
                .strip_prefix("# HELP ")
                .unwrap()
                .split_once(' ')
                .unwrap();
            assert!(help.ends_with('.'), "{line}");
            assert!(known.insert(name.to_owned()), "{name} comes twice");
            let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap();
            let kind = kind.strip_prefix(name).unwrap().trim();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} {kind}");
            assert!(name.starts_with("gatehound_"), "{name}");
            let mut series = 0;
            while lines
                .next_if(|line| line.starts_with(&format!("{name}{{")))
                .is_some()
            {
                series += 1;
            }
            assert!(0 < series, "{name} has no series");
        }
        let all: BTreeSet<String> = FAMILIES.map(|family| family.name.to_owned()).into();
        assert_eq!(known, all);
    }

    #[test]
    fn what_has_a_meaning_in_a_label_is_escaped() {
        let (state, health) = (healthy(), Health::NotProbed);
        let page = Sample {
            unit: "a\\x2d\"b\nc.service",
            profile: Some("work"),
            user: "a\"nn",
            ..sample(&state, &health)
        }
        .render();
        let series = r#"gatehound_gateway_up{unit="a\\x2d\"b\nc.service",profile="work",uid="1000",user="a\"nn"} 0"#;
        assert!(page.lines().any(|line| line == series), "{page}");
    }

    #[test]
    fn a_page_costs_little() {
        let page = sample(&healthy(), &Health::Healthy(Duration::ZERO)).render();
        assert!(page.len() < 8 * 1024, "{} bytes", page.len());
    }

    #[test]
    fn incidents_restarts_and_forced_stops_are_counted_once_each() {
        let mut counts = Counts::default();
        let (mut before, after) = (State::default(), State::default());
        let records = |records: [Record; 2]| Answer {
            records: records
                .map(|record| Noted {
                    incident: None,
                    record,
                })
                .into(),
            ..Answer::default()
        };
        let effect = |effect| Answer {
            effect: Some(effect),
            ..Answer::default()
        };
        let nothing = Answer::default();
        let failing = match failing(Probe::Port) {
            Health::Failing(failure) => Record::Failing {
                failure,
                grace: Settings::default().grace.gone,
            },
            other => panic!("{other:?}"),
        };
        counts.add(&before, &after, &records([failing, Record::Retrying]));
        counts.add(&before, &after, &effect(Effect::Stop { begins: true }));
        counts.add(&before, &after, &effect(Effect::Stop { begins: false }));
        counts.add(&before, &after, &effect(Effect::Kill));
        // The budget is kept as a short list, in which a new one may take the place of an old one.
        before.forced = vec![Monotonic(1), Monotonic(2)];
        let mut forced = before.clone();
        forced.forced = vec![Monotonic(2), Monotonic(3)];
        counts.add(&before, &forced, &nothing);
        counts.add(&forced, &forced, &nothing);
        counts.add(&forced, &State::default(), &nothing);
        assert_eq!(
            counts,
            Counts {
                incidents: 1,
                restarts: 1,
                forced_stops: 1,
                needs_human: false,
            }
        );
    }
}
