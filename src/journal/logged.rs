//! A record as the journal gives it back.
//!
//! Owns how its fields are asked for, by the names with which they are written; what records add up to is `history`'s.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    journal::{
        fields::{DEGRADED, DOWN_SINCE, DOWNTIME, EVENT, INCIDENT, PHASE, STANDBY},
        kinds::Kind,
    },
    policy::{facts::Monotonic, state::Standby},
    text::line::Line,
};

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
    /// Time from `earlier` to this; none across a reboot, because nobody watched for most of it.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        if self.boot == earlier.boot {
            self.monotonic.since(earlier.monotonic)
        } else {
            Duration::ZERO
        }
    }
}

/// A record of Gatehound as the journal gives it back, or what systemd wrote when one failed, which has no field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logged {
    /// When the journal got it.
    pub at: Moment,
    /// `MESSAGE=`.
    pub text: Line,
    /// All other fields that Gatehound writes, by their names.
    pub fields: BTreeMap<String, Line>,
}

impl Logged {
    /// The value of one of Gatehound's fields.
    pub fn field(&self, name: &str) -> Option<&Line> {
        self.fields.get(name)
    }

    /// Whether a field has this value.
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.field(name).is_some_and(|line| line.as_str() == value)
    }

    /// Whether it is a record of this kind.
    pub fn is_event(&self, kind: Kind) -> bool {
        self.is(EVENT, kind.event())
    }

    /// The incident it belongs to.
    pub fn incident(&self) -> Option<&str> {
        self.field(INCIDENT).map(Line::as_str)
    }

    /// What it is in the middle of, as the field and value that all records of that have; an incident comes first.
    pub fn under_way(&self) -> Option<String> {
        let incident = self.incident().filter(|_| !self.is_event(Kind::Recovered));
        let of = |name: &str, value: Option<&Line>| Some(format!("{name}={}", value?));
        let standby = || of(STANDBY, self.standby());
        let degraded = || of(DEGRADED, self.field(DEGRADED));
        let other = || standby().or_else(degraded);
        incident.map_or_else(other, |id| Some(format!("{INCIDENT}={id}")))
    }

    /// Since when the gateway is down, by the clock of that boot, if it is.
    pub fn down_since(&self) -> Option<Monotonic> {
        if let Some(since) = self.field(DOWN_SINCE) {
            return Some(Monotonic(since.as_str().parse().ok()?).min(self.at.monotonic));
        }
        // The last record of an incident says how long it was.
        let down = self
            .field(DOWNTIME)
            .filter(|_| self.is_event(Kind::Recovered))?;
        let down: u64 = down.as_str().parse().ok()?;
        Some(Monotonic(self.at.monotonic.0.saturating_sub(down)))
    }

    /// For how long the gateway has been down when it was written, if it goes on.
    pub fn down_for(&self) -> Option<Duration> {
        let since = self
            .down_since()
            .filter(|_| !self.is_event(Kind::Recovered))?;
        Some(self.at.monotonic.since(since))
    }

    /// Whether nobody can tell from it that the gateway is up: it starts, or its state is unknown.
    pub fn is_of_unknown(&self) -> bool {
        self.is(PHASE, "starting") || self.is(PHASE, "failing")
    }

    /// Whether it only says that Gatehound itself failed, and not how things stood.
    pub fn is_by_systemd(&self) -> bool {
        self.field(EVENT).is_none()
    }

    /// Why Gatehound stood by from it on, if it did; a transition does not count, because every restart goes through one.
    pub fn standby(&self) -> Option<&Line> {
        let reason = self.field(STANDBY);
        reason.filter(|reason| reason.as_str() != Standby::InTransition.name())
    }
}
