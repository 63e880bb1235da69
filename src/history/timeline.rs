//! History: what became of the gateway, added up from the records in the journal.
//!
//! Owns what counts as an incident, as an outage without one, as time watched and as time down.
//! Knows nothing of where the records come from, and trusts them no further than to add up times.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::{
    history::stretches::{How, Stretches},
    journal::{
        fields::{
            ATTEMPT, DEGRADED, DETAIL, DOWNTIME, FORCED, PROBE, REASON, STALL, STALL_DETAIL,
            STANDBY,
        },
        kinds::Kind,
        logged::{Logged, Moment},
    },
    policy::{record::Ended, state::Standby},
    text::line::Line,
};

/// Whether the gateway is down against everybody's wish.
fn is_outage(reason: &Line) -> bool {
    [Standby::ConfigError, Standby::OtherGateway]
        .iter()
        .any(|outage| reason.as_str() == outage.name())
}

/// How an incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Its end was not seen: a reboot, a lost state file, or no Gatehound that runs.
    Unseen,
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl From<Ended> for Outcome {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::ByItself => Self::ByItself,
            Ended::ByRestart(_) => Self::ByRestart,
            Ended::ByOther => Self::ByOther,
            Ended::StoppedByHuman => Self::Stopped,
        }
    }
}

impl Outcome {
    /// Its word, the one of `GATEHOUND_REASON=` where there is one.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnderWay => "under-way",
            Self::ByItself => Ended::ByItself.name(),
            Self::ByRestart => Ended::ByRestart(1).name(),
            Self::ByOther => Ended::ByOther.name(),
            Self::Stopped => Ended::StoppedByHuman.name(),
            Self::Unseen => "unseen",
        }
    }

    fn of(reason: Option<&Line>) -> Self {
        Ended::ALL
            .into_iter()
            .find(|ended| reason.is_some_and(|reason| reason.as_str() == ended.name()))
            .map_or(Self::Unseen, Self::from)
    }

    /// Whether the gateway was healthy again.
    fn is_recovery(self) -> bool {
        match self {
            Self::ByItself | Self::ByRestart | Self::ByOther => true,
            Self::UnderWay | Self::Stopped | Self::Unseen => false,
        }
    }
}

/// One incident, from its first failing check to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// Its id.
    pub id: String,
    /// When it began, since the Unix epoch.
    pub began: Duration,
    /// How long the gateway was down, without the time in which no Gatehound ran.
    pub down: Duration,
    /// The probe that failed first.
    pub probe: Option<Line>,
    /// What it said.
    pub reason: Option<Line>,
    /// What the gateway's process was doing when it was last judged.
    pub stall: Option<Line>,
    /// The same in a sentence, where there was more to say.
    pub stall_detail: Option<Line>,
    /// Attempts taken, each counted once until attempts count from 1 again.
    pub attempts: usize,
    /// Restarts that Gatehound began.
    pub restarts: usize,
    /// Those of them whose stop took SIGKILL.
    pub forced: usize,
    /// Whether Gatehound gave up for a while.
    pub gave_up: bool,
    /// How it ended.
    pub outcome: Outcome,
    first: Moment,
    /// How long it had been down when the first record of it was written.
    before: Duration,
    attempt: Option<Line>,
    /// The restart under way is among the forced ones.
    is_forced: bool,
}

/// A time in which Gatehound stood by.
#[derive(Clone, Debug, PartialEq)]
pub struct StoodBy {
    /// Why, as in `GATEHOUND_STANDBY=`.
    pub reason: Line,
    /// What was seen.
    pub detail: Option<Line>,
    /// The record that began it; empty if that is not known.
    pub text: Line,
    /// When it began, since the Unix epoch.
    pub began: Duration,
    /// How long it lasted, without the time in which no Gatehound ran.
    pub lasted: Duration,
    /// Whether it is not over.
    pub under_way: bool,
    boot: String,
}

impl StoodBy {
    /// Whether the gateway was down against everybody's wish.
    pub fn is_outage(&self) -> bool {
        is_outage(&self.reason)
    }
}

/// A time that has no incident of its own: a crash with the start after it, or one in which part of the gateway did not work.
#[derive(Clone, Debug, PartialEq)]
pub struct Spell {
    /// What it was, in words.
    pub what: Line,
    /// When it began, since the Unix epoch.
    pub began: Duration,
    /// How long it lasted, without the time in which no Gatehound ran.
    pub lasted: Duration,
    /// Whether it is not over.
    pub under_way: bool,
    boot: String,
}

/// What became of the gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// All incidents, oldest first.
    pub incidents: Vec<Past>,
    /// All times in which Gatehound stood by, oldest first.
    pub stood_by: Vec<StoodBy>,
    /// All times in which it was down without an incident, because it crashed and started again, oldest first.
    pub lapses: Vec<Spell>,
    /// All times in which it was degraded, oldest first.
    pub degraded: Vec<Spell>,
    /// How it was at each time.
    pub stretches: Stretches,
    /// Time in which Gatehound stood by.
    pub aside: Duration,
    /// Time in which nobody looked: no Gatehound ran, or the machine was off or asleep.
    pub unseen: Duration,
    /// Time in which Gatehound watched a gateway that was meant to run.
    pub watched: Duration,
    /// The part of it in which an incident was open, or the gateway was down without one.
    pub failing: Duration,
}

impl History {
    /// Adds up records, oldest first, to what they say of the time from `since` until `now`.
    ///
    /// Older ones say how things stood when it began, and how it had come to that. `runs` says whether a Gatehound runs now.
    pub fn of(records: &[Logged], since: Duration, now: &Moment, runs: bool) -> Self {
        let mut history = Self::default();
        for (at, record) in records.iter().enumerate() {
            history.take(record, since);
            let until = match records.get(at + 1) {
                // Nothing says when the run of Gatehound before this one ended; at the earliest at its last record.
                Some(next) => (!next.is_event(Kind::Watching)).then_some(&next.at),
                None => runs.then_some(now),
            };
            if let Some(until) = until
                && !record.is_by_systemd()
                && !record.is_event(Kind::Leaving)
            {
                history.pass(record, until.since(&record.at));
            }
        }
        history.end(now, runs);
        history
            .lapses
            .retain(|lapse| since < lapse.began + lapse.lasted);
        history
            .degraded
            .retain(|spell| since < spell.began + spell.lasted);
        let share = history.stretches.share(since, Duration::MAX);
        history.watched = share.up + share.down;
        history.failing = share.down;
        history.aside = share.aside;
        // Before the first record there may have been no Gatehound.
        let known = records
            .first()
            .map_or(now.wall, |first| first.at.wall.max(since));
        let seen = history.watched + history.aside;
        history.unseen = now.wall.saturating_sub(known).saturating_sub(seen);
        history
    }

    /// What follows upon a record went on for `span`.
    fn pass(&mut self, record: &Logged, span: Duration) {
        let stands_by = record.standby().is_some();
        let is_outage = record.standby().is_some_and(is_outage);
        let open = self.open().is_some();
        let failing = open || is_outage || record.down_for().is_some();
        if let Some(past) = self.open() {
            past.down += span;
        }
        if let Some(stood_by) = self.standing_by() {
            stood_by.lasted += span;
        }
        let how = if stands_by && !is_outage {
            How::Aside
        } else if failing {
            How::Down
        } else if record.is(STANDBY, Standby::InTransition.name()) || record.is_of_unknown() {
            // A start of a gateway that nobody had seen up, or a gateway of which nobody can tell.
            How::Aside
        } else {
            How::Up
        };
        self.stretches.add(&record.at, span, how);
        if how == How::Down && !open && !is_outage {
            self.lapse(record, span);
        } else {
            self.lapses
                .iter_mut()
                .for_each(|lapse| lapse.under_way = false);
        }
        if let Some(spell) = self.degraded.last_mut().filter(|spell| spell.under_way) {
            spell.lasted += span;
        }
    }

    /// It is down without an incident: between two runs, or in a start after a crash.
    fn lapse(&mut self, record: &Logged, span: Duration) {
        let under_way = self.lapses.last_mut().filter(|lapse| lapse.under_way);
        if let Some(lapse) = under_way {
            lapse.lasted += span;
            return;
        }
        let before = record.down_for().unwrap_or_default();
        self.lapses.push(Spell {
            what: record.text.clone(),
            began: record.at.wall.saturating_sub(before),
            lasted: before + span,
            under_way: true,
            boot: record.at.boot.clone(),
        });
    }

    /// The part of the time watched in which the gateway did not fail, from 0 to 1; none if nobody watched.
    ///
    /// Less than 1 whenever it failed at all, however long it was watched.
    pub fn availability(&self) -> Option<f64> {
        let (watched, failing) = (self.watched.as_secs_f64(), self.failing.as_secs_f64());
        let most = if failing == 0.0 {
            1.0
        } else {
            1.0_f64.next_down()
        };
        (!self.watched.is_zero()).then(|| (1.0 - failing / watched).min(most))
    }

    /// The mean time down of the incidents that ended with a healthy check; none if there was no recovery.
    pub fn mean_time_to_recover(&self) -> Option<Duration> {
        let recovered = || {
            let past = self.incidents.iter();
            past.filter(|past| past.outcome.is_recovery())
        };
        let down: Duration = recovered().map(|past| past.down).sum();
        down.checked_div(u32::try_from(recovered().count()).ok()?)
    }

    fn open(&mut self) -> Option<&mut Past> {
        let mut incidents = self.incidents.iter_mut();
        incidents.rfind(|past| past.outcome == Outcome::UnderWay)
    }

    fn standing_by(&mut self) -> Option<&mut StoodBy> {
        self.stood_by
            .last_mut()
            .filter(|stood_by| stood_by.under_way)
    }

    fn take(&mut self, record: &Logged, since: Duration) {
        // A successor goes on where the one that failed was.
        if record.is_by_systemd() {
            return;
        }
        self.take_standby(record, since);
        self.take_degraded(record);
        if let Some(since) = record.down_since() {
            self.stretches.was_down(&record.at.boot, since);
        }
        // Every record names the incident while one is open, so its end was missed.
        if let Some(past) = self.open()
            && !past.is_of(record)
        {
            past.outcome = Outcome::Unseen;
        }
        let was_over = record.is_event(Kind::Recovered) && record.at.wall < since;
        let Some(id) = record.incident().filter(|_| !was_over) else {
            return;
        };
        if !self.incidents.iter().any(|past| past.is_of(record)) {
            let past = Past::begun_by(record, id);
            // What began as a crash turns out to be an incident.
            self.lapses
                .pop_if(|lapse| lapse.under_way && past.began <= lapse.began);
            self.incidents.push(past);
        }
        if let Some(past) = self.incidents.iter_mut().rfind(|past| past.is_of(record)) {
            past.take(record);
        }
    }

    fn take_standby(&mut self, record: &Logged, since: Duration) {
        let reason = record.standby();
        if let Some(stood_by) = self.standing_by() {
            stood_by.under_way =
                reason == Some(&stood_by.reason) && stood_by.boot == record.at.boot;
        }
        if record.at.wall < since {
            // What was over before is not asked for, and where it begins the one before is over.
            let begins = record.is_event(Kind::StandingBy);
            self.stood_by.retain(|before| before.under_way && !begins);
        }
        if let Some(reason) = reason.filter(|_| self.standing_by().is_none()) {
            self.stood_by.push(StoodBy {
                reason: reason.clone(),
                detail: None,
                text: Line::default(),
                began: record.at.wall,
                lasted: Duration::ZERO,
                under_way: true,
                boot: record.at.boot.clone(),
            });
        }
        // The end of an incident, for example, is recorded before it in the same check.
        if let Some(stood_by) = self.standing_by()
            && (record.is_event(Kind::StandingBy) || record.is_event(Kind::EmergencyStop))
        {
            stood_by.detail = record.field(DETAIL).cloned();
            stood_by.text = record.text.clone();
        }
    }

    fn take_degraded(&mut self, record: &Logged) {
        let what = record.field(DEGRADED);
        if let Some(spell) = self.degraded.last_mut() {
            spell.under_way &= what == Some(&spell.what) && spell.boot == record.at.boot;
        }
        let goes_on = self.degraded.last().is_some_and(|spell| spell.under_way);
        if let Some(what) = what.filter(|_| !goes_on) {
            self.degraded.push(Spell {
                what: what.clone(),
                began: record.at.wall,
                lasted: Duration::ZERO,
                under_way: true,
                boot: record.at.boot.clone(),
            });
        }
    }

    /// What was under way in another boot is over; what nobody looks at may be.
    fn end(&mut self, now: &Moment, runs: bool) {
        let goes_on = |boot: &str| runs && boot == now.boot;
        if let Some(past) = self.open()
            && !goes_on(&past.first.boot)
        {
            past.outcome = Outcome::Unseen;
        }
        if let Some(stood_by) = self.standing_by() {
            stood_by.under_way = goes_on(&stood_by.boot);
        }
        for spell in self.lapses.iter_mut().chain(&mut self.degraded) {
            spell.under_way &= goes_on(&spell.boot);
        }
    }
}

impl Past {
    fn begun_by(record: &Logged, id: &str) -> Self {
        let before = record.down_for().unwrap_or_default();
        Self {
            id: id.to_owned(),
            began: record.at.wall.saturating_sub(before),
            down: before,
            before,
            probe: None,
            reason: None,
            stall: None,
            stall_detail: None,
            attempts: 0,
            restarts: 0,
            forced: 0,
            gave_up: false,
            outcome: Outcome::UnderWay,
            first: record.at.clone(),
            attempt: None,
            is_forced: false,
        }
    }

    /// An id is of one boot, whatever an older Gatehound made of it.
    fn is_of(&self, record: &Logged) -> bool {
        record.incident() == Some(&self.id) && record.at.boot == self.first.boot
    }

    fn take(&mut self, record: &Logged) {
        if self.outcome == Outcome::Unseen {
            self.outcome = Outcome::UnderWay;
        }
        if self.probe.is_none() && record.field(PROBE).is_some() {
            self.probe = record.field(PROBE).cloned();
            self.reason = record.field(REASON).cloned();
        }
        if let Some(stall) = record.field(STALL) {
            self.stall = Some(stall.clone());
            self.stall_detail = record.field(STALL_DETAIL).cloned();
        }
        // A delay that starts again, as after a suspend, is that of the same attempt.
        let attempt = record.field(ATTEMPT);
        if record.is_event(Kind::BackingOff) && self.attempt.as_ref() != attempt {
            self.attempts += 1;
            self.attempt = attempt.cloned();
        }
        if record.is_event(Kind::Retrying) || record.is_event(Kind::Reset) {
            self.attempt = None;
        }
        if record.is_event(Kind::Evidence) {
            self.restarts += 1;
            self.is_forced = false;
        }
        if record.field(FORCED).is_some() && !self.is_forced {
            self.forced += 1;
            self.is_forced = true;
        }
        self.gave_up |= record.is_event(Kind::GaveUp);
        if record.is_event(Kind::Recovered) {
            self.ended(record);
        }
    }

    /// The downtime in the record may have begun before the first record, and includes time in which no Gatehound ran.
    fn ended(&mut self, record: &Logged) {
        self.outcome = Outcome::of(record.field(REASON));
        let downtime = record.field(DOWNTIME);
        if let Some(down) = downtime.and_then(|line| line.as_str().parse().ok()) {
            let measured = Duration::from_micros(down);
            self.began = self.began.min(record.at.wall.saturating_sub(measured));
            let watched = self.down.saturating_sub(self.before);
            let unwatched = record.at.since(&self.first).saturating_sub(watched);
            self.down = measured.saturating_sub(unwatched);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::facts::Monotonic;

    const ID: &str = "c0ffee00-100";

    fn at(seconds: u64) -> Moment {
        Moment {
            wall: Duration::from_secs(1_000_000 + seconds),
            boot: "boot".to_owned(),
            monotonic: Monotonic(seconds * 1_000_000),
        }
    }

    fn logged(seconds: u64, event: &str, fields: &[(&str, &str)]) -> Logged {
        let event = ("GATEHOUND_EVENT", event);
        Logged {
            at: at(seconds),
            text: Line::default(),
            fields: fields
                .iter()
                .chain([&event])
                .map(|(name, value)| ((*name).to_owned(), Line::new(value)))
                .collect(),
        }
    }

    fn of_incident(seconds: u64, event: &str, more: &[(&str, &str)]) -> Logged {
        let id = [("GATEHOUND_INCIDENT", ID)];
        logged(seconds, event, &[&id, more].concat())
    }

    fn failing(seconds: u64) -> Logged {
        let fields = [
            ("GATEHOUND_PROBE", "http"),
            ("GATEHOUND_REASON", "no answer within 5 s"),
            ("GATEHOUND_STALL", "blocked"),
        ];
        of_incident(seconds, "failing", &fields)
    }

    fn recovered(seconds: u64, reason: &str, down: u64) -> Logged {
        let down = (down * 1_000_000).to_string();
        let fields = [
            ("GATEHOUND_REASON", reason),
            ("GATEHOUND_DOWNTIME_USEC", &down),
        ];
        of_incident(seconds, "recovered", &fields)
    }

    fn until(seconds: u64, logged: &[Logged]) -> History {
        History::of(logged, Duration::ZERO, &at(seconds), true)
    }

    /// What systemd writes of a Gatehound that was killed.
    fn died(seconds: u64) -> Logged {
        Logged {
            at: at(seconds),
            ..Logged::default()
        }
    }

    fn standing_by(seconds: u64, reason: &str, detail: &str) -> Logged {
        let mut record = logged(
            seconds,
            "standing-by",
            &[
                ("GATEHOUND_PHASE", "standing-by"),
                ("GATEHOUND_STANDBY", reason),
                ("GATEHOUND_DETAIL", detail),
            ],
        );
        record.text = Line::new(&format!("standing by, {reason}: {detail}"));
        record
    }

    fn in_next_boot(mut record: Logged) -> Logged {
        record.at.boot = "next".to_owned();
        record
    }

    fn attempt(seconds: u64, attempt: &str) -> Logged {
        of_incident(seconds, "backing-off", &[("GATEHOUND_ATTEMPT", attempt)])
    }

    fn outcomes(history: &History) -> Vec<Outcome> {
        history.incidents.iter().map(|past| past.outcome).collect()
    }

    const FORCED: (&str, &str) = ("GATEHOUND_FORCED", "1");

    fn hang() -> Vec<Logged> {
        vec![
            logged(0, "healthy", &[]),
            failing(100),
            attempt(130, "1"),
            of_incident(135, "evidence", &[]),
            of_incident(135, "stopping", &[("GATEHOUND_STALL", "busy")]),
            of_incident(145, "killing", &[FORCED]),
            of_incident(146, "starting", &[FORCED]),
            recovered(160, "by-restart", 61),
            logged(400, "leaving", &[]),
        ]
    }

    #[test]
    fn an_incident_is_shown_with_its_cause_its_attempts_and_its_end() {
        let history = until(1000, &hang());
        let [past] = &history.incidents[..] else {
            panic!("{history:?}")
        };
        assert_eq!(past.id, ID);
        assert_eq!(past.began, at(99).wall);
        assert_eq!(past.down, Duration::from_secs(61));
        assert_eq!(past.reason, Some("no answer within 5 s".into()));
        assert_eq!(past.stall, Some("busy".into()));
        assert_eq!((past.attempts, past.restarts, past.forced), (1, 1, 1));
        assert!(!past.gave_up);
        assert_eq!(past.outcome, Outcome::ByRestart);
    }

    #[test]
    fn time_counts_from_record_to_record_while_somebody_watches() {
        let history = until(1000, &hang());
        assert_eq!(history.watched, Duration::from_secs(400));
        // The record of its end says that it began a second before the first of it.
        assert_eq!(history.failing, Duration::from_secs(61));
        assert_eq!(history.availability(), Some(1.0 - 61.0 / 400.0));
        assert_eq!(
            history.mean_time_to_recover(),
            Some(Duration::from_secs(61))
        );
    }

    /// A record that says since when the gateway is down.
    fn down(seconds: u64, since: u64, event: &str, fields: &[(&str, &str)]) -> Logged {
        let mut record = logged(seconds, event, fields);
        let since = Line::new(&(since * 1_000_000).to_string());
        record
            .fields
            .insert("GATEHOUND_DOWN_SINCE_USEC".to_owned(), since);
        record
    }

    #[test]
    fn a_crash_and_the_start_after_it_are_down_and_listed_although_there_is_no_incident() {
        let starting = [("GATEHOUND_PHASE", "starting")];
        let crash = [
            logged(0, "healthy", &[]),
            down(100, 80, "new-invocation", &starting),
            down(105, 80, "warning", &starting),
            logged(111, "healthy", &[]),
        ];
        let history = until(200, &crash);
        assert_eq!(history.failing, Duration::from_secs(31));
        assert_eq!(history.watched, Duration::from_secs(200));
        assert_eq!(history.incidents, []);
        let [lapse] = &history.lapses[..] else {
            panic!("{history:?}")
        };
        assert_eq!(
            (lapse.began, lapse.lasted),
            (at(80).wall, Duration::from_secs(31))
        );
        assert!(!lapse.under_way);
        assert!(until(108, &crash[..3]).lapses[0].under_way);

        // A run that never serves becomes an incident, which began with the crash.
        let mut incident = failing(120);
        incident.fields.extend(down(120, 80, "failing", &[]).fields);
        let history = until(300, &[&crash[..3], &[incident]].concat());
        assert_eq!(history.lapses, []);
        assert_eq!(history.incidents[0].began, at(80).wall);
        assert_eq!(history.incidents[0].down, Duration::from_secs(220));
        assert_eq!(history.failing, Duration::from_secs(220));
    }

    #[test]
    fn a_gateway_that_hangs_for_most_of_the_time_is_not_available_for_most_of_it() {
        // It hangs for 50 of every 70 seconds, and is looked at when it has for 20.
        let mut logged = vec![logged(0, "healthy", &[])];
        for hang in 0..6 {
            let begin = hang * 70;
            let id = format!("c0ffee00-{begin}");
            let mut failed = down(begin + 40, begin + 10, "failing", &[]);
            let mut over = recovered(begin + 70, "by-itself", 60);
            for record in [&mut failed, &mut over] {
                let id = Line::new(&id);
                record.fields.insert("GATEHOUND_INCIDENT".to_owned(), id);
            }
            logged.extend([failed, over]);
        }
        let history = until(420, &logged);
        assert_eq!(history.incidents.len(), 6);
        let availability = history.availability().unwrap();
        assert!(availability < 0.29, "{availability}");
    }

    #[test]
    fn a_time_of_being_degraded_is_listed_and_available() {
        let degraded = [("GATEHOUND_DEGRADED", "channel telegram")];
        let logged = [
            logged(0, "healthy", &[]),
            logged(60, "degraded", &degraded),
            logged(90, "reloaded", &degraded),
            logged(120, "no-longer-degraded", &[]),
        ];
        let history = until(200, &logged);
        let [spell] = &history.degraded[..] else {
            panic!("{history:?}")
        };
        assert_eq!(spell.what, "channel telegram".into());
        assert_eq!(
            (spell.began, spell.lasted),
            (at(60).wall, Duration::from_secs(60))
        );
        assert!(!spell.under_way);
        assert_eq!(history.availability(), Some(1.0));
        assert!(until(100, &logged[..3]).degraded[0].under_way);
    }

    #[test]
    fn time_that_nobody_saw_is_said_to_be_that() {
        let logged = [
            logged(0, "healthy", &[]),
            standing_by(100, "paused", ""),
            logged(150, "leaving", &[]),
            logged(500, "watching", &[]),
        ];
        let history = until(510, &logged);
        assert_eq!(history.watched, Duration::from_secs(110));
        assert_eq!(history.aside, Duration::from_secs(50));
        assert_eq!(history.unseen, Duration::from_secs(350));
    }

    #[test]
    fn a_gateway_that_failed_at_all_was_not_always_available() {
        let of = |failing| History {
            watched: Duration::from_secs(10 * 365 * 24 * 3600),
            failing,
            ..History::default()
        };
        assert_eq!(of(Duration::ZERO).availability(), Some(1.0));
        assert!(of(Duration::from_nanos(1)).availability().unwrap() < 1.0);
    }

    #[test]
    fn time_in_which_the_gateway_is_not_wanted_up_does_not_count() {
        let logged = [
            logged(0, "healthy", &[]),
            standing_by(10, "stopped", ""),
            logged(500, "new-invocation", &[]),
        ];
        let history = until(520, &logged);
        assert_eq!(history.watched, Duration::from_secs(30));
        assert_eq!(history.availability(), Some(1.0));
    }

    #[test]
    fn a_gateway_that_crashes_before_it_is_healthy_fails_also_between_its_runs() {
        let transition = [
            ("GATEHOUND_PHASE", "standing-by"),
            ("GATEHOUND_STANDBY", "in-transition"),
        ];
        let starting = [("GATEHOUND_PHASE", "starting")];
        let logged = [
            logged(0, "healthy", &[]),
            standing_by(100, "in-transition", ""),
            logged(105, "new-invocation", &starting),
            of_incident(110, "failing", &transition),
            of_incident(115, "new-invocation", &starting),
            of_incident(120, "standing-by", &transition),
            of_incident(125, "new-invocation", &starting),
            recovered(130, "by-other", 20),
        ];
        let history = until(200, &logged);
        // What came before the incident says nothing of a gateway that was up.
        assert_eq!(history.watched, Duration::from_secs(190));
        assert_eq!(history.failing, Duration::from_secs(20));
        assert_eq!(history.incidents[0].down, Duration::from_secs(20));
        assert!(history.stood_by.is_empty());
    }

    #[test]
    fn an_incident_without_an_end_is_under_way_and_grows() {
        let logged = [failing(100), of_incident(130, "warning", &[])];
        let history = until(160, &logged);
        assert_eq!(history.incidents[0].outcome, Outcome::UnderWay);
        assert_eq!(history.incidents[0].down, Duration::from_secs(60));
        assert_eq!(history.mean_time_to_recover(), None);
    }

    #[test]
    fn the_end_of_an_incident_that_a_reboot_or_a_lost_state_hid_is_unseen() {
        let mut later = at(5);
        later.boot = "next".to_owned();
        let history = History::of(&[failing(100)], Duration::ZERO, &later, true);
        assert_eq!(history.incidents[0].outcome, Outcome::Unseen);
        assert_eq!(history.watched, Duration::ZERO);
        let forgotten = [failing(100), logged(130, "healthy", &[])];
        let history = until(200, &forgotten);
        assert_eq!(history.incidents[0].outcome, Outcome::Unseen);
        let mut other = failing(130);
        other
            .fields
            .insert("GATEHOUND_INCIDENT".to_owned(), "other".into());
        let history = until(200, &[failing(100), other]);
        assert_eq!(outcomes(&history), [Outcome::Unseen, Outcome::UnderWay]);
    }

    #[test]
    fn an_incident_that_another_boot_left_open_ends_with_the_first_record_of_this_one() {
        let next = |seconds, event| in_next_boot(logged(seconds, event, &[]));
        let rebooted = [failing(100), next(5, "watching"), next(65, "warning")];
        let now = next(85, "").at;
        let history = History::of(&rebooted, Duration::ZERO, &now, true);
        assert_eq!(outcomes(&history), [Outcome::Unseen]);
        assert_eq!(history.failing, Duration::ZERO);
        // In the same boot, a Gatehound that begins without the incident has lost the state.
        let lost = [
            failing(100),
            logged(130, "watching", &[]),
            logged(140, "warning", &[]),
        ];
        let history = until(150, &lost);
        assert_eq!(outcomes(&history), [Outcome::Unseen]);
        assert_eq!(history.failing, Duration::ZERO);
    }

    #[test]
    fn the_same_id_met_again_is_the_same_incident() {
        let logged = [
            failing(100),
            logged(110, "new-invocation", &[]),
            recovered(110, "by-other", 11),
            logged(200, "leaving", &[]),
        ];
        let history = until(300, &logged);
        assert_eq!(outcomes(&history), [Outcome::ByOther]);
        assert_eq!(
            history.incidents[0].reason,
            Some("no answer within 5 s".into())
        );
        assert_eq!(outcomes(&until(105, &logged[..1])), [Outcome::UnderWay]);
        assert_eq!(outcomes(&until(115, &logged[..2])), [Outcome::Unseen]);
        let lasting = [logged[0].clone(), logged[1].clone(), failing(120)];
        assert_eq!(outcomes(&until(130, &lasting)), [Outcome::UnderWay]);
        // An older Gatehound gave the same id in each boot.
        let again = [failing(100), in_next_boot(failing(101))];
        assert_eq!(until(200, &again).incidents.len(), 2);
    }

    #[test]
    fn the_cause_is_that_of_the_first_record_that_names_one() {
        let logged = [of_incident(100, "new-invocation", &[]), failing(100)];
        assert_eq!(until(110, &logged).incidents[0].probe, Some("http".into()));
    }

    #[test]
    fn what_was_before_the_window_is_gone_on_with_from_its_beginning() {
        let since = at(1000).wall;
        let quiet = [logged(10, "healthy", &[])];
        let history = History::of(&quiet, since, &at(1120), true);
        assert_eq!(history.watched, Duration::from_secs(120));
        assert_eq!(history.availability(), Some(1.0));

        let open = [failing(10), recovered(1030, "by-itself", 1025)];
        let history = History::of(&open, since, &at(1120), true);
        assert_eq!(history.incidents[0].down, Duration::from_secs(1025));
        assert_eq!(history.incidents[0].began, at(5).wall);
        assert_eq!(history.failing, Duration::from_secs(30));
        assert_eq!(history.watched, Duration::from_secs(120));

        let over = [recovered(10, "by-itself", 5)];
        let history = History::of(&over, since, &at(1120), true);
        assert_eq!(history.incidents, []);
        assert_eq!(history.availability(), Some(1.0));

        let down = [standing_by(10, "config-error", "")];
        let history = History::of(&down, since, &at(1120), true);
        assert_eq!(history.stood_by[0].began, at(10).wall);
        assert_eq!(history.failing, Duration::from_secs(120));

        for end in [died(10), logged(10, "leaving", &[])] {
            let history = History::of(&[end], since, &at(1120), false);
            assert_eq!(history.watched, Duration::ZERO);
        }
    }

    #[test]
    fn an_incident_that_began_before_the_window_is_shown_whole_and_counts_from_there() {
        let paused = ("GATEHOUND_STANDBY", "paused");
        let logged = [
            failing(100),
            attempt(130, "1"),
            of_incident(140, "evidence", &[]),
            // Over before the window, and none of its.
            of_incident(200, "standing-by", &[paused]),
            of_incident(300, "new-invocation", &[]),
            of_incident(89_000, "reminder", &[]),
        ];
        let history = History::of(&logged, at(90_000).wall, &at(93_600), true);
        let past = &history.incidents[0];
        assert_eq!(past.began, at(100).wall);
        assert_eq!(past.down, Duration::from_secs(93_500));
        assert_eq!(past.probe, Some("http".into()));
        assert_eq!((past.attempts, past.restarts), (1, 1));
        assert_eq!(history.stood_by, []);
        assert_eq!(history.watched, Duration::from_secs(3600));
        assert_eq!(history.failing, Duration::from_secs(3600));
    }

    #[test]
    fn of_the_times_of_standing_by_before_the_window_the_last_goes_on_into_it() {
        let logged = [
            standing_by(10, "paused", "old disk"),
            standing_by(500, "paused", "new disk"),
            logged(89_000, "reloaded", &[("GATEHOUND_STANDBY", "paused")]),
        ];
        let history = History::of(&logged, at(90_000).wall, &at(93_600), true);
        let [pause] = &history.stood_by[..] else {
            panic!("{history:?}")
        };
        assert_eq!(pause.began, at(500).wall);
        assert_eq!(pause.lasted, Duration::from_secs(93_100));
        assert_eq!(pause.detail, Some("new disk".into()));
    }

    #[test]
    fn what_a_record_is_in_the_middle_of_is_found_by_a_field() {
        let paused = ("GATEHOUND_STANDBY", "paused");
        for (record, field) in [
            (logged(1, "healthy", &[]), None),
            (recovered(1, "by-itself", 1), None),
            (failing(1), Some(format!("GATEHOUND_INCIDENT={ID}"))),
            (
                logged(1, "reloaded", &[paused]),
                Some("GATEHOUND_STANDBY=paused".to_owned()),
            ),
        ] {
            assert_eq!(record.under_way(), field);
        }
    }

    #[test]
    fn what_no_gatehound_looks_at_any_more_is_not_under_way() {
        let paused = ("GATEHOUND_STANDBY", "paused");
        for end in [died(70), logged(70, "leaving", &[paused])] {
            let logged = [standing_by(60, "paused", ""), end];
            let ended = History::of(&logged, Duration::ZERO, &at(90), false);
            assert!(!ended.stood_by[0].under_way);
            assert_eq!(ended.stood_by[0].lasted, Duration::from_secs(10));
        }
        let logged = [failing(60), of_incident(70, "leaving", &[])];
        let ended = History::of(&logged, Duration::ZERO, &at(90), false);
        assert_eq!(outcomes(&ended), [Outcome::Unseen]);
        // One that begins again goes on with it.
        let begun = [&logged[..], &[of_incident(80, "watching", &[])]].concat();
        assert_eq!(outcomes(&until(90, &begun)), [Outcome::UnderWay]);
    }

    #[test]
    fn time_in_which_no_gatehound_ran_is_not_watched() {
        let healthy = || logged(0, "healthy", &[]);
        let begun = || logged(500, "watching", &[]);
        // As systemd says.
        let history = until(510, &[healthy(), died(100), begun()]);
        assert_eq!(history.watched, Duration::from_secs(110));
        // Nothing says so: until the last record.
        let lost = [healthy(), logged(30, "reloaded", &[]), begun()];
        assert_eq!(until(510, &lost).watched, Duration::from_secs(40));
        // None runs now.
        let history = History::of(&lost[..2], Duration::ZERO, &at(510), false);
        assert_eq!(history.watched, Duration::from_secs(30));
        let history = until(510, &[healthy(), died(100)]);
        assert_eq!(history.watched, Duration::from_secs(100));
    }

    #[test]
    fn time_in_which_no_gatehound_ran_is_no_downtime() {
        let logged = [
            failing(100),
            died(110),
            of_incident(86_500, "watching", &[]),
            recovered(86_510, "by-itself", 86_415),
        ];
        let history = until(86_510, &logged);
        assert_eq!(history.incidents[0].began, at(95).wall);
        // Five before the first record, ten before the death, ten after the new beginning.
        assert_eq!(history.incidents[0].down, Duration::from_secs(25));
        assert_eq!(
            history.mean_time_to_recover(),
            Some(Duration::from_secs(25))
        );
        assert_eq!(history.failing, Duration::from_secs(20));
    }

    #[test]
    fn restarts_attempts_and_forced_stops_are_counted_once_each() {
        let logged = [
            failing(0),
            attempt(1, "1"),
            // A suspend sends it back to failing.
            of_incident(2, "resumed", &[]),
            attempt(3, "1"),
            of_incident(4, "evidence", &[]),
            of_incident(4, "stopping", &[]),
            // It did not take SIGKILL until the cleanup, and the start was refused.
            of_incident(5, "cleaned-up", &[]),
            of_incident(6, "cleaned-up", &[FORCED]),
            of_incident(7, "starting", &[FORCED]),
            of_incident(8, "starting", &[FORCED]),
            attempt(9, "2"),
            of_incident(10, "evidence", &[]),
            of_incident(11, "killing", &[FORCED]),
            of_incident(12, "gave-up", &[FORCED]),
            of_incident(13, "retrying", &[]),
            attempt(14, "1"),
            of_incident(15, "reset", &[]),
            attempt(16, "1"),
        ];
        let history = until(20, &logged);
        let past = &history.incidents[0];
        assert_eq!((past.attempts, past.restarts, past.forced), (4, 2, 2));
    }

    #[test]
    fn a_time_of_standing_by_has_its_words_whatever_was_recorded_first() {
        let mut end = recovered(9, "stopped", 8);
        let stopped = standing_by(9, "stopped", "x");
        let standby = stopped.fields["GATEHOUND_STANDBY"].clone();
        end.fields.insert("GATEHOUND_STANDBY".to_owned(), standby);
        let history = until(20, &[failing(1), end, stopped]);
        assert_eq!(history.stood_by.len(), 1);
        assert_eq!(history.stood_by[0].detail, Some("x".into()));
        assert_eq!(history.stood_by[0].text, "standing by, stopped: x".into());
    }

    #[test]
    fn an_outage_without_an_incident_is_listed_and_fails() {
        let phase = ("GATEHOUND_PHASE", "standing-by");
        let reason = ("GATEHOUND_STANDBY", "config-error");
        let logged = [
            logged(0, "healthy", &[]),
            standing_by(60, "config-error", "port is no number"),
            // A successor goes on with it.
            died(70),
            logged(100, "watching", &[phase, reason]),
            logged(110, "healthy", &[]),
            standing_by(120, "in-transition", ""),
            standing_by(130, "paused", "new disk"),
        ];
        let history = until(140, &logged);
        let [outage, pause] = &history.stood_by[..] else {
            panic!("{history:?}")
        };
        assert_eq!(outage.reason, "config-error".into());
        assert_eq!(outage.detail, Some("port is no number".into()));
        assert_eq!(outage.began, at(60).wall);
        assert_eq!(outage.lasted, Duration::from_secs(20));
        assert!(outage.is_outage() && !outage.under_way);
        assert_eq!(pause.lasted, Duration::from_secs(10));
        assert!(!pause.is_outage() && pause.under_way);
        assert_eq!(
            pause.text,
            "standing by, paused: new disk".into(),
            "what to do about it is known while it lasts"
        );
        assert_eq!(history.incidents, []);
        assert_eq!(history.watched, Duration::from_secs(90));
        assert_eq!(history.failing, Duration::from_secs(20));
        // No boot goes on with what another left.
        let mut now = at(150);
        now.boot = "next".to_owned();
        let history = History::of(&logged, Duration::ZERO, &now, true);
        assert!(!history.stood_by[1].under_way);
    }

    #[test]
    fn of_an_incident_that_began_before_the_first_record_the_length_is_known() {
        let history = until(200, &[recovered(160, "by-other", 90)]);
        assert_eq!(history.incidents[0].began, at(70).wall);
        assert_eq!(history.incidents[0].outcome, Outcome::ByOther);
        assert_eq!(history.incidents[0].reason, None);
    }

    #[test]
    fn without_records_nothing_is_claimed() {
        let history = until(7, &[]);
        assert_eq!(history, History::default());
        assert_eq!(history.availability(), None);
        assert_eq!(history.mean_time_to_recover(), None);
    }

    #[test]
    fn a_gateway_that_a_human_stopped_did_not_recover() {
        let history = until(20, &[failing(1), recovered(9, "stopped", 8)]);
        assert_eq!(history.incidents[0].outcome, Outcome::Stopped);
        assert_eq!(history.mean_time_to_recover(), None);
    }
}
