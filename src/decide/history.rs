//! History: what became of the gateway, folded from the records that the journal kept.
//!
//! Owns what counts as an incident, as time watched and as time down.
//! Knows nothing of where the records come from, and trusts them no further than to add up times.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::facts::Monotonic;
use crate::line::Line;

/// One moment, by both clocks: people ask by the one, time is counted by the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Time since the Unix epoch.
    pub wall: Duration,
    /// The boot it belongs to, as `_BOOT_ID=` has it.
    pub boot: String,
    /// Time of that boot.
    pub monotonic: Monotonic,
}

impl Moment {
    /// Time from `earlier` to this; none across a reboot, because nobody watched for the most of it.
    fn since(&self, earlier: &Self) -> Duration {
        if self.boot == earlier.boot {
            self.monotonic.since(earlier.monotonic)
        } else {
            Duration::ZERO
        }
    }
}

/// A record of Gatehound as the journal gives it back; a field it has not is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// When the journal got it.
    pub at: Moment,
    /// `MESSAGE=`.
    pub text: Line,
    /// All other fields that Gatehound writes, by their names.
    pub fields: BTreeMap<String, Line>,
}

impl Told {
    fn field(&self, name: &str) -> Option<&Line> {
        self.fields.get(name)
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.field(name).is_some_and(|line| line.as_str() == value)
    }

    fn is_event(&self, event: &str) -> bool {
        self.is("GATEHOUND_EVENT", event)
    }

    /// The incident it belongs to.
    pub fn incident(&self) -> Option<&str> {
        self.field("GATEHOUND_INCIDENT").map(Line::as_str)
    }

    /// Whether it could have been written without knowing of an incident that is still open.
    fn is_aside(&self) -> bool {
        ["watching", "leaving", "warning", "reloaded"]
            .iter()
            .any(|event| self.is_event(event))
    }

    /// Whether the gateway was watched, and wanted up, from this record to the next.
    fn begins_watching(&self) -> bool {
        !self.is_event("leaving") && !self.is("GATEHOUND_PHASE", "standing-by")
    }
}

/// How an incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It has not.
    UnderWay,
    /// Without a restart.
    ByItself,
    /// By Gatehound's restart.
    ByRestart,
    /// By a restart that was not Gatehound's.
    ByOther,
    /// A human stopped the gateway.
    Stopped,
    /// Nobody saw its end: a reboot, or a state that was lost.
    Unseen,
}

impl Outcome {
    /// Its word, the one of `GATEHOUND_REASON=` where there is one.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnderWay => "under-way",
            Self::ByItself => "by-itself",
            Self::ByRestart => "by-restart",
            Self::ByOther => "by-other",
            Self::Stopped => "stopped",
            Self::Unseen => "unseen",
        }
    }

    fn of(reason: Option<&Line>) -> Self {
        let known = [
            Self::ByItself,
            Self::ByRestart,
            Self::ByOther,
            Self::Stopped,
        ];
        known
            .into_iter()
            .find(|outcome| reason.is_some_and(|reason| reason.as_str() == outcome.name()))
            .unwrap_or(Self::Unseen)
    }

    /// Whether the gateway was healthy again.
    fn is_recovery(self) -> bool {
        match self {
            Self::ByItself | Self::ByRestart | Self::ByOther => true,
            Self::UnderWay | Self::Stopped | Self::Unseen => false,
        }
    }
}

/// One incident, from its first failing round to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// Its id.
    pub id: String,
    /// When it began, since the Unix epoch.
    pub began: Duration,
    /// How long the gateway was down.
    pub down: Duration,
    /// The probe that failed first.
    pub probe: Option<Line>,
    /// What it said.
    pub reason: Option<Line>,
    /// What the gateway's process was doing when it was last judged.
    pub stall: Option<Line>,
    /// Rungs taken.
    pub rungs: usize,
    /// Starts that Gatehound asked for.
    pub starts: usize,
    /// Stops that needed SIGKILL.
    pub forced: usize,
    /// Whether Gatehound gave up for a while.
    pub held: bool,
    /// How it ended.
    pub outcome: Outcome,
    last: Moment,
}

/// What became of the gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// All incidents, oldest first.
    pub incidents: Vec<Past>,
    /// Time in which Gatehound watched a gateway that was wanted up.
    pub watched: Duration,
    /// The part of it in which an incident was open.
    pub failing: Duration,
}

impl History {
    /// Folds records, oldest first, into what they tell until `now`.
    pub fn of(told: &[Told], now: &Moment) -> Self {
        let mut history = Self::default();
        for (at, record) in told.iter().enumerate() {
            history.take(record);
            let until = told.get(at + 1).map_or(now, |next| &next.at);
            if record.begins_watching() {
                let span = until.since(&record.at);
                history.watched += span;
                if history.open().is_some() {
                    history.failing += span;
                }
            }
        }
        history.end(now);
        history
    }

    /// The part of the time watched in which no incident was open, from 0 to 1; none if nobody watched.
    pub fn availability(&self) -> Option<f64> {
        (!self.watched.is_zero())
            .then(|| 1.0 - self.failing.as_secs_f64() / self.watched.as_secs_f64())
    }

    /// The mean time from the first failing round to a healthy one; none if there was no recovery.
    pub fn mean_time_to_recover(&self) -> Option<Duration> {
        let recovered = || {
            let past = self.incidents.iter();
            past.filter(|past| past.outcome.is_recovery())
        };
        let down: Duration = recovered().map(|past| past.down).sum();
        down.checked_div(u32::try_from(recovered().count()).ok()?)
    }

    fn open(&mut self) -> Option<&mut Past> {
        let last = self.incidents.last_mut();
        last.filter(|past| past.outcome == Outcome::UnderWay)
    }

    fn take(&mut self, record: &Told) {
        let Some(id) = record.incident() else {
            // Every record names the incident while one is open, so its end went by unseen.
            if !record.is_aside()
                && let Some(past) = self.open()
            {
                past.outcome = Outcome::Unseen;
            }
            return;
        };
        if self.open().is_some_and(|past| past.id != id)
            && let Some(past) = self.open()
        {
            past.outcome = Outcome::Unseen;
        }
        if self.open().is_none() {
            self.incidents.push(Past::begun_by(record, id));
        }
        if let Some(past) = self.open() {
            past.take(record);
        }
    }

    /// An incident of another boot is over, whoever saw it.
    fn end(&mut self, now: &Moment) {
        if let Some(past) = self.open() {
            if past.last.boot == now.boot {
                past.down += now.since(&past.last);
            } else {
                past.outcome = Outcome::Unseen;
            }
        }
    }
}

impl Past {
    fn begun_by(record: &Told, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            began: record.at.wall,
            down: Duration::ZERO,
            probe: record.field("GATEHOUND_PROBE").cloned(),
            reason: None,
            stall: None,
            rungs: 0,
            starts: 0,
            forced: 0,
            held: false,
            outcome: Outcome::UnderWay,
            last: record.at.clone(),
        }
    }

    fn take(&mut self, record: &Told) {
        self.down += record.at.since(&self.last);
        self.last = record.at.clone();
        if record.field("GATEHOUND_PROBE").is_some() && self.reason.is_none() {
            self.reason = record.field("GATEHOUND_REASON").cloned();
        }
        if let Some(stall) = record.field("GATEHOUND_STALL") {
            self.stall = Some(stall.clone());
        }
        let event = |event| usize::from(record.is_event(event));
        self.rungs += event("backing-off");
        self.starts += event("starting");
        self.forced += event("killing");
        self.held |= record.is_event("holding");
        if record.is_event("recovered") {
            self.ended(record);
        }
    }

    /// Gatehound measured the downtime; what its records add up to may have begun before them.
    fn ended(&mut self, record: &Told) {
        self.outcome = Outcome::of(record.field("GATEHOUND_REASON"));
        let downtime = record.field("GATEHOUND_DOWNTIME_USEC");
        if let Some(down) = downtime.and_then(|line| line.as_str().parse().ok()) {
            self.down = Duration::from_micros(down);
            self.began = self.began.min(record.at.wall.saturating_sub(self.down));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "c0ffee00-100";

    fn at(seconds: u64) -> Moment {
        Moment {
            wall: Duration::from_secs(1_000_000 + seconds),
            boot: "boot".to_owned(),
            monotonic: Monotonic(seconds * 1_000_000),
        }
    }

    fn told(seconds: u64, event: &str, fields: &[(&str, &str)]) -> Told {
        let event = ("GATEHOUND_EVENT", event);
        Told {
            at: at(seconds),
            text: Line::default(),
            fields: fields
                .iter()
                .chain([&event])
                .map(|(name, value)| ((*name).to_owned(), Line::new(value)))
                .collect(),
        }
    }

    fn of_incident(seconds: u64, event: &str, more: &[(&str, &str)]) -> Told {
        let id = [("GATEHOUND_INCIDENT", ID)];
        told(seconds, event, &[&id, more].concat())
    }

    fn failing(seconds: u64) -> Told {
        let fields = [
            ("GATEHOUND_PROBE", "http"),
            ("GATEHOUND_REASON", "no answer within 5 s"),
            ("GATEHOUND_STALL", "blocked"),
        ];
        of_incident(seconds, "failing", &fields)
    }

    fn recovered(seconds: u64, reason: &str, down: u64) -> Told {
        let down = (down * 1_000_000).to_string();
        let fields = [
            ("GATEHOUND_REASON", reason),
            ("GATEHOUND_DOWNTIME_USEC", &down),
        ];
        of_incident(seconds, "recovered", &fields)
    }

    fn hang() -> Vec<Told> {
        vec![
            told(0, "healthy", &[]),
            failing(100),
            of_incident(130, "backing-off", &[]),
            of_incident(135, "stopping", &[("GATEHOUND_STALL", "busy")]),
            of_incident(145, "killing", &[]),
            of_incident(146, "starting", &[]),
            recovered(160, "by-restart", 61),
            told(400, "leaving", &[]),
        ]
    }

    #[test]
    fn an_incident_is_told_with_its_cause_its_rungs_and_its_end() {
        let history = History::of(&hang(), &at(1000));
        let [past] = &history.incidents[..] else {
            panic!("{history:?}")
        };
        assert_eq!(past.id, ID);
        assert_eq!(past.began, at(99).wall);
        assert_eq!(past.down, Duration::from_secs(61));
        assert_eq!(past.reason, Some("no answer within 5 s".into()));
        assert_eq!(past.stall, Some("busy".into()));
        assert_eq!((past.rungs, past.starts, past.forced), (1, 1, 1));
        assert!(!past.held);
        assert_eq!(past.outcome, Outcome::ByRestart);
    }

    #[test]
    fn time_counts_from_record_to_record_while_somebody_watches() {
        let history = History::of(&hang(), &at(1000));
        assert_eq!(history.watched, Duration::from_secs(400));
        assert_eq!(history.failing, Duration::from_secs(60));
        assert_eq!(history.availability(), Some(0.85));
        assert_eq!(
            history.mean_time_to_recover(),
            Some(Duration::from_secs(61))
        );
    }

    #[test]
    fn time_in_which_the_gateway_is_not_wanted_up_does_not_count() {
        let stopped = ("GATEHOUND_PHASE", "standing-by");
        let told = [
            told(0, "healthy", &[]),
            told(10, "standing-by", &[stopped]),
            told(500, "new-incarnation", &[]),
        ];
        let history = History::of(&told, &at(520));
        assert_eq!(history.watched, Duration::from_secs(30));
        assert_eq!(history.availability(), Some(1.0));
    }

    #[test]
    fn an_incident_without_an_end_is_under_way_and_grows() {
        let told = [failing(100), told(130, "warning", &[])];
        let history = History::of(&told, &at(160));
        assert_eq!(history.incidents[0].outcome, Outcome::UnderWay);
        assert_eq!(history.incidents[0].down, Duration::from_secs(60));
        assert_eq!(history.mean_time_to_recover(), None);
    }

    #[test]
    fn the_end_of_an_incident_that_a_reboot_or_a_lost_state_hid_is_unseen() {
        let mut later = at(5);
        later.boot = "next".to_owned();
        let history = History::of(&[failing(100)], &later);
        assert_eq!(history.incidents[0].outcome, Outcome::Unseen);
        assert_eq!(history.watched, Duration::ZERO);
        let forgotten = [failing(100), told(130, "healthy", &[])];
        let history = History::of(&forgotten, &at(200));
        assert_eq!(history.incidents[0].outcome, Outcome::Unseen);
        let mut other = failing(130);
        other
            .fields
            .insert("GATEHOUND_INCIDENT".to_owned(), "other".into());
        let history = History::of(&[failing(100), other], &at(200));
        let outcomes: Vec<_> = history.incidents.iter().map(|past| past.outcome).collect();
        assert_eq!(outcomes, [Outcome::Unseen, Outcome::UnderWay]);
    }

    #[test]
    fn of_an_incident_that_began_before_the_first_record_the_length_is_known() {
        let history = History::of(&[recovered(160, "by-other", 90)], &at(200));
        assert_eq!(history.incidents[0].began, at(70).wall);
        assert_eq!(history.incidents[0].outcome, Outcome::ByOther);
        assert_eq!(history.incidents[0].reason, None);
    }

    #[test]
    fn without_records_nothing_is_claimed() {
        let history = History::of(&[], &at(7));
        assert_eq!(history, History::default());
        assert_eq!(history.availability(), None);
        assert_eq!(history.mean_time_to_recover(), None);
    }

    #[test]
    fn a_gateway_that_a_human_stopped_did_not_recover() {
        let history = History::of(&[failing(1), recovered(9, "stopped", 8)], &at(20));
        assert_eq!(history.incidents[0].outcome, Outcome::Stopped);
        assert_eq!(history.mean_time_to_recover(), None);
    }
}
