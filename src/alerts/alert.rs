//! Alerts: which one is due, and what it says.
//!
//! Owns what was reported already.
//! Knows nothing of queues, of the network, or of the policy's next step, which no alert changes.

use serde::{Deserialize, Serialize};

use crate::alerts::texts::{self, failure, span, without_middle};
pub use crate::settings::Kind;
use crate::text::line::{Line, MAX_CHARS};
use crate::{
    policy::{
        facts::{Invocation, Monotonic},
        state::{Phase, Standby, State},
    },
    settings::{Language, RetryAfter, Settings},
    text::words::{ENDED_EARLY, Names, flapping as flapping_words, useless},
};

/// Something that a human should hear of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What it is about.
    pub kind: Kind,
    /// What a person reads.
    pub text: Line,
    /// The gateway's unit.
    pub unit: Line,
    /// The id of the incident, also of one that is just over; empty where there is none.
    pub incident: Line,
    /// What Gatehound is doing.
    pub phase: Line,
    /// Why; may be empty.
    pub reason: Line,
    /// The run whose last words tell more, if one does.
    #[serde(default)]
    pub run: Option<Invocation>,
}

/// What was reported already; kept in the state file, so that a successor does not report it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reported {
    /// The trouble that was reported and is not over.
    pub trouble: Option<Trouble>,
    /// When the pause began that was reported.
    pub pause: Option<Monotonic>,
    /// The run whose configuration was rolled back, if that was reported.
    pub rollback: Option<Invocation>,
    /// What of the healthy gateway does not work, if that was reported and is not over.
    pub degraded: Option<Line>,
    /// That was said with "back" alone, which reads as if all were well: it is due by itself.
    pub degraded_due: bool,
    /// That the gateway comes and goes was reported, and it is not steady again.
    pub flapping: bool,
    /// The runs that were seen in the incident.
    pub runs: Runs,
}

/// A trouble that was reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The incident's id, or what stands for it where none is open.
    id: String,
    /// When it began.
    since: Monotonic,
    /// It was said that a human is needed.
    human: bool,
    /// When the last word about it was.
    last: Monotonic,
}

/// The runs of the gateway that were seen in one incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// The incident's id.
    incident: String,
    /// The last one.
    last: Option<Invocation>,
    /// How many there were that are over, as far as a check saw them.
    over: u32,
}

impl Runs {
    /// Counts the run that a check saw.
    fn note(&mut self, state: &State) {
        let Some(incident) = &state.incident else {
            return;
        };
        if self.incident != incident.id {
            *self = Self {
                incident: incident.id.clone(),
                last: state.gateway.invocation.clone(),
                over: 0,
            };
        } else if self.last != state.gateway.invocation {
            self.last.clone_from(&state.gateway.invocation);
            self.over = self.over.saturating_add(1);
        }
    }
}

/// What a check is reported by.
#[derive(Clone, Copy, Debug)]
struct View<'a> {
    settings: &'a Settings,
    state: &'a State,
    unit: &'a str,
    /// This profile's option in commands.
    profile: &'a str,
    language: Language,
    now: Monotonic,
}

/// The alert that is due after a check, if one is, and what is reported then.
pub fn due(
    settings: &Settings,
    mut reported: Reported,
    state: &State,
    names: Names<'_>,
    now: Monotonic,
) -> (Reported, Option<Alert>) {
    let Names { unit, profile } = names;
    let view = View {
        settings,
        state,
        unit,
        profile,
        language: settings.alert.language,
        now,
    };
    reported.runs.note(state);
    // Once the gateway is healthy no incident is open, and whoever hears that has to know which one is over.
    let id = match (&state.incident, &reported.trouble) {
        (Some(one), _) => Line::new(&one.id),
        (None, Some(known)) => Line::new(&known.id),
        (None, None) => Line::default(),
    };
    let due = match &state.phase {
        _ if is_news(&reported, state) => view.rolled_back(&mut reported),
        Phase::BackingOff {
            failure: fails,
            until,
            attempt,
            ..
        } => {
            let reason = failure(fails, view.language);
            let window = texts::window(settings, state, *until, view.language);
            let text = texts::DOWN.with(
                view.language,
                &[
                    ("window", &window),
                    ("reason", &reason),
                    ("wait", &span(until.since(now), view.language)),
                    ("attempt", &attempt.to_string()),
                    ("of", &settings.backoff.len().to_string()),
                ],
            );
            view.trouble(&mut reported, &reason, text, false)
        }
        Phase::GaveUp { reason, since, .. } => {
            let next = match settings.retry_after {
                RetryAfter::After(span) => Some((*since + span).since(now)),
                RetryAfter::Never => None,
            };
            let next = texts::next(next, view.language);
            view.needs_human(&mut reported, &texts::said(reason, view.language), &next)
        }
        Phase::StandingBy {
            reason: Standby::ConfigError,
            detail,
            ..
        } => {
            let detail = [("detail", detail.as_str())];
            let reason = texts::REFUSED.with(view.language, &detail);
            let next = texts::next(None, view.language);
            view.needs_human(&mut reported, &reason, &next)
        }
        Phase::StandingBy {
            reason: Standby::PortTaken,
            detail,
            ..
        } => {
            let detail = [("detail", detail.as_str())];
            let reason = texts::PORT_TAKEN.with(view.language, &detail);
            let next = texts::WHEN_FREE.plain(view.language);
            view.needs_human(&mut reported, &reason, next)
        }
        Phase::Starting { .. } | Phase::Failing(_) | Phase::Restarting(_) => {
            view.overdue(&mut reported)
        }
        Phase::Healthy { .. } if state.incident.is_some() => view.overdue(&mut reported),
        Phase::Healthy { .. } => view
            .healthy(&mut reported)
            .or_else(|| view.flaps(&mut reported)),
        Phase::StandingBy {
            reason: Standby::Paused,
            detail,
            since,
        } => view
            .overdue(&mut reported)
            .or_else(|| view.paused(&mut reported, detail, *since)),
        // Whoever stopped or removed the gateway knows that it is down.
        Phase::StandingBy {
            reason: Standby::Stopped,
            ..
        } => {
            reported.trouble = None;
            reported.degraded = None;
            reported.flapping = false;
            None
        }
        // Rule 11: whatever the reason, a gateway that is down for long is said to be.
        Phase::StandingBy {
            reason:
                Standby::InTransition
                | Standby::NoUnit
                | Standby::NoBus
                | Standby::Updating
                | Standby::OtherGateway
                | Standby::Debugged
                | Standby::Frozen
                | Standby::Masked,
            ..
        } => view.overdue(&mut reported),
    };
    let alert = due.map(|(kind, text, reason)| Alert {
        kind,
        text: Line::new(&format!("{unit}: {text}")),
        unit: Line::new(unit),
        incident: id,
        phase: Line::new(state.phase.name()),
        reason,
        // Whoever is well has nothing to say about it.
        run: match kind {
            Kind::Down | Kind::NeedsHuman | Kind::StillDown => state.gateway.invocation.clone(),
            Kind::RolledBack
            | Kind::Back
            | Kind::Flapping
            | Kind::Degraded
            | Kind::NoLongerDegraded
            | Kind::Paused
            | Kind::Test => None,
        },
    });
    (reported, alert)
}

/// Whether a configuration was rolled back that was not reported, and that has not served since:
/// else whoever has alerts switched on later hears of an old one.
fn is_news(reported: &Reported, state: &State) -> bool {
    let last = state.rollback.as_ref();
    last.is_some_and(|last| last.kept.is_some() && !last.served && last.run != reported.rollback)
}

/// A kind, what is said, and why.
type Due = (Kind, String, Line);

impl View<'_> {
    /// Whoever wrote the configuration has to hear that another one is in its place, whatever comes of it.
    fn rolled_back(&self, reported: &mut Reported) -> Option<Due> {
        let last = self.state.rollback.as_ref()?;
        reported.rollback.clone_from(&last.run);
        // What comes next is that the gateway is back, or that a human is needed.
        let incident = self.state.incident.as_ref();
        reported.trouble.get_or_insert_with(|| Trouble {
            id: incident.map_or_else(String::new, |one| one.id.clone()),
            since: incident.map_or(self.now, |one| one.since),
            human: false,
            last: self.now,
        });
        let text = texts::ROLLED_BACK.with(
            self.language,
            &[
                ("snapshot", &last.snapshot.to_string()),
                ("kept", last.kept.as_ref()?.as_str()),
                ("profile", self.profile),
            ],
        );
        let reason = Line::new(texts::REFUSED_REASON.plain(self.language));
        Some((Kind::RolledBack, text, reason))
    }

    /// Only a human helps: why, how it began, what was tried in vain, and when the next try is.
    fn needs_human(&self, reported: &mut Reported, reason: &str, next: &str) -> Option<Due> {
        let incident = self.state.incident.as_ref();
        let cause = incident.map(|one| failure(&one.failure, self.language));
        let why = match &self.state.phase {
            Phase::StandingBy { detail, .. } => detail.as_str(),
            _ => reason,
        };
        let is_said = |cause: &String| reason.contains(cause) || cause.contains(why);
        let cause = cause.filter(|cause| !is_said(cause));
        let cause = cause.map_or_else(String::new, |cause| {
            texts::CAUSE.with(self.language, &[("cause", &cause)])
        });
        let tries = self.tries(reported);
        let tries = texts::unless_said(tries, reason, self.language);
        let filled = |reason: &str| {
            texts::HUMAN.with(
                self.language,
                &[
                    ("reason", reason),
                    ("cause", &cause),
                    ("tries", &tries),
                    ("next", next),
                    ("profile", self.profile),
                ],
            )
        };
        // The command stands at the end, which a line that is too long loses.
        let around = self.unit.chars().count() + filled("").chars().count() + 3;
        let text = filled(&without_middle(reason, MAX_CHARS.saturating_sub(around)));
        self.trouble(reported, reason, text, true)
    }

    /// How often the gateway was started in vain.
    fn tries(&self, reported: &Reported) -> String {
        let restarts = self.state.incident.as_ref().map_or(0, |one| one.restarts);
        let runs = reported.runs.over.max(restarts);
        let (text, count) = match (restarts, runs) {
            (restarts, runs) if restarts < runs && 1 < runs => (texts::RUNS, runs),
            (0, _) => return String::new(),
            (1, _) => (texts::RESTART, 1),
            (restarts, _) => (texts::RESTARTS, restarts),
        };
        text.with(self.language, &[("count", &count.to_string())])
    }

    /// The gateway is down, and has to be reported once as such, and once more if a human is needed.
    fn trouble(
        &self,
        reported: &mut Reported,
        reason: &str,
        text: String,
        human: bool,
    ) -> Option<Due> {
        let (id, since) = self.state.incident.as_ref().map_or_else(
            // A gateway that refuses to start has no incident of its own; what was reported before goes on.
            || match &reported.trouble {
                Some(known) => (known.id.clone(), known.since),
                None => (String::new(), self.now),
            },
            |incident| (incident.id.clone(), incident.since),
        );
        let known = reported.trouble.as_ref().filter(|known| known.id == id);
        if known.is_some_and(|known| known.human || !human) {
            return self.reminder(reported);
        }
        let began = reported.trouble.as_ref().map_or(since, |known| known.since);
        reported.trouble = Some(Trouble {
            id,
            since: began.min(since),
            human,
            last: self.now,
        });
        let kind = if human { Kind::NeedsHuman } else { Kind::Down };
        Some((kind, text, Line::new(reason)))
    }

    /// The gateway is back, with all that works or without, or part of it has stopped working or works again.
    fn healthy(&self, reported: &mut Reported) -> Option<Due> {
        let degraded = &self.state.degraded;
        let before = std::mem::replace(&mut reported.degraded, degraded.clone());
        let due = std::mem::take(&mut reported.degraded_due) || before != *degraded;
        let reason = degraded.clone().unwrap_or_default();
        let what = degraded.as_ref().map(|what| {
            let means = useless(what.as_str(), self.profile);
            let values = [("what", what.as_str()), ("means", &means)];
            texts::PART.with(self.language, &values)
        });
        if let Some(trouble) = reported.trouble.take() {
            let downtime = span(self.now.since(trouble.since), self.language);
            let mut text = texts::BACK.with(self.language, &[("time", &downtime)]);
            if let Some(what) = what {
                text = texts::BUT.with(self.language, &[("text", &text), ("what", &what)]);
                reported.degraded_due = due;
            }
            return Some((Kind::Back, text, reason));
        }
        match (before, what) {
            (_, Some(what)) if due => {
                let text = texts::DEGRADED.with(self.language, &[("what", &what)]);
                Some((Kind::Degraded, text, reason))
            }
            (Some(before), None) => {
                let text = texts::WORKS.with(self.language, &[("what", before.as_str())]);
                Some((Kind::NoLongerDegraded, text, reason))
            }
            (Some(_) | None, Some(_)) | (None, None) => None,
        }
    }

    /// The gateway comes and goes, or no longer does.
    fn flaps(&self, reported: &mut Reported) -> Option<Due> {
        let flapping = &self.state.flapping;
        let before = std::mem::replace(&mut reported.flapping, flapping.said);
        match (before, flapping.said) {
            (false, true) => {
                let (times, within, down) = flapping.counted(self.now);
                let what = flapping_words(times, within, down);
                let values = [("what", what.as_str()), ("profile", self.profile)];
                let text = texts::FLAPS.with(self.language, &values);
                Some((Kind::Flapping, text, Line::new(&what)))
            }
            (true, false) => {
                let text = texts::STEADY.plain(self.language).to_owned();
                Some((Kind::Back, text, Line::default()))
            }
            (true, true) | (false, false) => None,
        }
    }

    /// A gateway that is down, or ends again and again, without an attempt of Gatehound's that would say so.
    fn overdue(&self, reported: &mut Reported) -> Option<Due> {
        let incident = self.state.incident.as_ref();
        // Each run that systemd starts has its grace anew, so that no attempt may ever be taken.
        let Some(one) = incident.filter(|it| it.crashed || it.loops || it.overdue) else {
            return self.reminder(reported);
        };
        let reason = failure(&one.failure, self.language);
        let is_paused = matches!(
            self.state.phase,
            Phase::StandingBy {
                reason: Standby::Paused,
                ..
            }
        );
        let text = match (one.loops, one.crashed) {
            _ if is_paused => texts::DOWN_PAUSED,
            (true, _) => texts::LOOPS,
            (false, true) if reason.contains(ENDED_EARLY) => texts::ENDED,
            (false, true) => texts::CRASHED,
            (false, false) => texts::DOWN_ALONE,
        };
        let times = self.state.unasked.counted.max(Some(reported.runs.over));
        let times = texts::so_far(times.unwrap_or_default(), self.language);
        let (reason_of, profile) = (("reason", reason.as_str()), ("profile", self.profile));
        let values = [reason_of, profile, ("times", &times)];
        self.trouble(reported, &reason, text.with(self.language, &values), false)
    }

    /// The gateway has been down for long since the last word.
    fn reminder(&self, reported: &mut Reported) -> Option<Due> {
        let tries = self.tries(reported);
        let remind = self.settings.alert.remind;
        let known = reported.trouble.as_mut()?;
        if remind.is_zero() || self.now.since(known.last) < remind {
            return None;
        }
        known.last = self.now;
        let phase = texts::phase(self.state.phase.name(), self.language);
        let time = span(self.now.since(known.since), self.language);
        let values = [
            ("time", time.as_str()),
            ("tries", &tries),
            ("phase", phase),
            ("profile", self.profile),
        ];
        let text = texts::STILL.with(self.language, &values);
        Some((Kind::StillDown, text, Line::default()))
    }

    /// A pause that was forgotten leaves the gateway unwatched.
    fn paused(&self, reported: &mut Reported, detail: &Line, since: Monotonic) -> Option<Due> {
        let age = self.now.since(since);
        let paused = self.settings.alert.paused;
        if paused.is_zero() || age < paused || reported.pause == Some(since) {
            return None;
        }
        reported.pause = Some(since);
        let age = span(age, self.language);
        let values = [("time", age.as_str()), ("profile", self.profile)];
        let text = texts::PAUSED.with(self.language, &values);
        Some((Kind::Paused, text, detail.clone()))
    }
}

impl Alert {
    /// One that says nothing but that alerts arrive.
    pub fn test(unit: &str) -> Self {
        Self::tried(unit, Language::En)
    }

    /// The same in another language.
    pub fn tried(unit: &str, language: Language) -> Self {
        let text = texts::TEST.plain(language);
        Self {
            kind: Kind::Test,
            text: Line::new(&format!("{unit}: {text}")),
            unit: Line::new(unit),
            incident: Line::default(),
            phase: Line::default(),
            reason: Line::default(),
            run: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        alerts::message::{Around, LATE, Message},
        policy::{
            facts::{Failure, Probe, Stall},
            state::{Bite, GraceUsed, Incident, Rollback, Step},
        },
    };

    const UNIT: &str = "openclaw-gateway.service";

    const WORK: Names<'_> = Names {
        unit: UNIT,
        profile: " --profile work",
    };
    const MINUTE: u64 = 60_000_000;

    fn failure() -> Failure {
        Failure {
            probe: Probe::Health,
            reason: "no answer within 10 s".into(),
            stall: Stall::Blocked,
            detail: Line::default(),
        }
    }

    fn at(minutes: u64) -> Monotonic {
        Monotonic(minutes * MINUTE)
    }

    fn with(id: Option<&str>, phase: Phase) -> State {
        State {
            phase,
            incident: id.map(|id| Incident {
                id: id.to_owned(),
                since: at(1),
                failure: failure(),
                restarts: 0,
                started: None,
                started_by_other: false,
                bitten: false,
                crashed: false,
                loops: false,
                overdue: false,
            }),
            ..State::default()
        }
    }

    fn failing() -> Phase {
        Phase::Failing(GraceUsed::new(at(1)))
    }

    fn backing_off() -> Phase {
        Phase::BackingOff {
            attempt: 1,
            until: at(2),
            failure: failure(),
            grace_used: None,
        }
    }

    fn gave_up() -> Phase {
        Phase::GaveUp {
            since: at(3),
            reason: "the attempts are used up".into(),
            bite: Bite::Done,
        }
    }

    fn healthy() -> Phase {
        Phase::Healthy {
            since: at(9),
            took: Duration::ZERO,
        }
    }

    fn standing_by(reason: Standby, since: Monotonic) -> Phase {
        Phase::StandingBy {
            reason,
            detail: "port taken".into(),
            since,
        }
    }

    /// The kinds of alert that checks lead to: the minute, the incident and the phase of each.
    #[track_caller]
    fn check(checks: Vec<(u64, Option<&str>, Phase)>, expected: &[(u64, Kind)]) {
        let settings = Settings::default();
        let mut reported = Reported::default();
        let mut found = Vec::new();
        for (minute, id, phase) in checks {
            let state = with(id, phase);
            let (next, alert) = due(&settings, reported, &state, WORK, at(minute));
            // As a successor reads it back.
            reported = serde_json::from_str(&serde_json::to_string(&next).unwrap()).unwrap();
            found.extend(alert.map(|alert| (minute, alert.kind)));
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn a_short_failing_is_told_to_nobody() {
        let one = Some("a");
        check(
            vec![
                (1, one, failing()),
                (2, one, failing()),
                (3, None, healthy()),
            ],
            &[],
        );
    }

    #[test]
    fn an_incident_is_told_once_when_it_begins_and_once_when_it_ends() {
        let one = Some("a");
        check(
            vec![
                (1, one, failing()),
                (2, one, backing_off()),
                (3, one, backing_off()),
                (4, one, failing()),
                (5, one, backing_off()),
                (6, None, healthy()),
                (7, None, healthy()),
            ],
            &[(2, Kind::Down), (6, Kind::Back)],
        );
    }

    #[test]
    fn a_gateway_that_crashes_before_it_is_healthy_is_told_as_down_once() {
        let transition = || standing_by(Standby::InTransition, at(1));
        let mut state = with(Some("a"), transition());
        let settings = Settings::default();
        // A human's restart of one that fails passes.
        let (reported, alert) = due(&settings, Reported::default(), &state, WORK, at(1));
        assert_eq!(alert, None);
        state.incident.as_mut().unwrap().crashed = true;
        let (reported, alert) = due(&settings, reported, &state, WORK, at(2));
        assert_eq!(alert.map(|alert| alert.kind), Some(Kind::Down));
        let (reported, alert) = due(&settings, reported, &state, WORK, at(3));
        assert_eq!(alert, None);
        let (_, alert) = due(&settings, reported, &with(None, healthy()), WORK, at(4));
        assert_eq!(alert.map(|alert| alert.kind), Some(Kind::Back));
    }

    #[test]
    fn a_human_is_asked_for_once_in_an_incident_however_often_the_attempts_is_tried() {
        let one = Some("a");
        check(
            vec![
                (2, one, backing_off()),
                (3, one, gave_up()),
                (18, one, failing()),
                (19, one, backing_off()),
                (20, one, gave_up()),
                (30, None, healthy()),
            ],
            &[(2, Kind::Down), (3, Kind::NeedsHuman), (30, Kind::Back)],
        );
    }

    #[test]
    fn whoever_stays_down_is_told_of_again_and_again_but_not_while_paused() {
        let one = Some("a");
        check(
            vec![
                (2, one, gave_up()),
                (61, one, gave_up()),
                (62, one, gave_up()),
                (63, one, failing()),
                (121, one, standing_by(Standby::Paused, at(120))),
                (123, one, failing()),
                (140, one, gave_up()),
            ],
            &[
                (2, Kind::NeedsHuman),
                (62, Kind::StillDown),
                (123, Kind::StillDown),
            ],
        );
    }

    #[test]
    fn a_configuration_that_is_refused_needs_a_human_once() {
        let refused = || standing_by(Standby::ConfigError, at(1));
        check(
            vec![
                (1, None, refused()),
                (2, None, refused()),
                (3, None, healthy()),
            ],
            &[(1, Kind::NeedsHuman), (3, Kind::Back)],
        );
        // It came to that within an incident, which was reported.
        check(
            vec![
                (1, Some("a"), backing_off()),
                (2, Some("a"), refused()),
                (3, None, refused()),
                (4, None, healthy()),
            ],
            &[(1, Kind::Down), (2, Kind::NeedsHuman), (4, Kind::Back)],
        );
    }

    #[test]
    fn a_human_who_stops_the_gateway_hears_no_more_of_it() {
        check(
            vec![
                (1, Some("a"), backing_off()),
                (2, None, standing_by(Standby::Stopped, at(2))),
                (90, None, standing_by(Standby::Stopped, at(2))),
                (91, None, healthy()),
            ],
            &[(1, Kind::Down)],
        );
    }

    #[test]
    fn a_rollback_is_told_once_and_then_what_comes_of_it() {
        let settings = Settings::default();
        let rolled_back = |phase| State {
            rollback: Some(Rollback {
                run: Some(Invocation("a".into())),
                snapshot: 3,
                kept: Some("/state/snapshots/4.json".into()),
                ..Rollback::default()
            }),
            ..with(None, phase)
        };
        let starting = rolled_back(Phase::Restarting(Step::Starting { tries: 0 }));
        for (then, kind) in [
            (healthy(), Kind::Back),
            (standing_by(Standby::ConfigError, at(2)), Kind::NeedsHuman),
        ] {
            let (reported, alert) = due(&settings, Reported::default(), &starting, WORK, at(1));
            let alert = alert.unwrap();
            assert_eq!(alert.kind, Kind::RolledBack);
            let text = alert.text.as_str();
            assert!(
                text.contains("snapshot 3") && text.contains("/state/snapshots/4.json"),
                "{text}"
            );
            let (reported, alert) = due(&settings, reported, &starting, WORK, at(2));
            assert_eq!(alert, None);
            let (_, alert) = due(&settings, reported, &rolled_back(then), WORK, at(3));
            assert_eq!(alert.map(|alert| alert.kind), Some(kind));
        }
        // One that was begun, or could not be done, is none yet.
        let mut begun = starting;
        begun.rollback.as_mut().unwrap().kept = None;
        assert_eq!(
            due(&settings, Reported::default(), &begun, WORK, at(1)).1,
            None
        );
    }

    #[test]
    fn a_rollback_that_served_before_alerts_were_asked_for_is_no_news() {
        let settings = Settings::default();
        let mut state = with(None, healthy());
        state.rollback = Some(Rollback {
            run: Some(Invocation("a".into())),
            kept: Some("/state/snapshots/4.json".into()),
            served: true,
            ..Rollback::default()
        });
        let (reported, alert) = due(&settings, Reported::default(), &state, WORK, at(1));
        assert_eq!(alert, None);
        assert_eq!(due(&settings, reported, &state, WORK, at(2)).1, None);
    }

    #[test]
    fn what_does_not_work_is_reported_once_and_that_it_works_again_once() {
        let settings = Settings::default();
        let state = |degraded: Option<&str>| State {
            degraded: degraded.map(Line::new),
            ..with(None, healthy())
        };
        let channel = Some("channel telegram");
        let mut reported = Reported::default();
        let mut heard = Vec::new();
        for degraded in [None, channel, channel, None, None] {
            let (next, alert) = due(&settings, reported, &state(degraded), WORK, at(9));
            reported = serde_json::from_str(&serde_json::to_string(&next).unwrap()).unwrap();
            heard.extend(alert.map(|alert| alert.text.to_string()));
        }
        assert_eq!(
            heard,
            [
                "openclaw-gateway.service: healthy, but part of it does not work: channel telegram; \
                 a restart would not help; see: openclaw --profile work channels status --probe",
                "openclaw-gateway.service: all of it works again; it was: channel telegram",
            ]
        );
    }

    #[test]
    fn a_gateway_that_is_back_with_its_channels_off_is_not_reported_as_if_all_were_well() {
        let settings = Settings::default();
        let down = with(Some("a"), backing_off());
        let (reported, _) = due(&settings, Reported::default(), &down, WORK, at(2));
        let back = State {
            degraded: Some("restart-loop breaker tripped: 3 unclean boot(s)".into()),
            ..with(None, healthy())
        };
        let (reported, alert) = due(&settings, reported, &back, WORK, at(3));
        assert_eq!(
            alert.unwrap().text.as_str(),
            "openclaw-gateway.service: healthy again after 2 min, but part of it does not work: \
             restart-loop breaker tripped: 3 unclean boot(s); it runs with its channels off; \
             they should be back 10 min after the last crash, else see: openclaw --profile work channels status"
        );
        let works = with(None, healthy());
        let (_, alert) = due(&settings, reported.clone(), &works, WORK, at(4));
        assert_eq!(alert.unwrap().kind, Kind::NoLongerDegraded);
        let (reported, alert) = due(&settings, reported, &back, WORK, at(4));
        let alert = alert.unwrap();
        assert_eq!(alert.kind, Kind::Degraded);
        assert!(
            alert.text.as_str().contains("channels off"),
            "{}",
            alert.text
        );
        let (reported, alert) = due(&settings, reported, &back, WORK, at(5));
        assert_eq!(alert, None);
        // What was said of the run before needs no second word when the next one is as it was.
        let (reported, _) = due(&settings, reported, &down, WORK, at(6));
        let (reported, alert) = due(&settings, reported, &back, WORK, at(7));
        assert_eq!(alert.unwrap().kind, Kind::Back);
        assert_eq!(due(&settings, reported, &back, WORK, at(8)).1, None);
    }

    #[test]
    fn a_gateway_that_comes_and_goes_is_reported_once_and_once_more_when_it_is_steady() {
        let settings = Settings::default();
        let mut state = with(None, healthy());
        let minute = Duration::from_secs(60);
        state.flapping.recoveries = vec![(at(3), minute), (at(6), minute), (at(9), minute * 3)];
        let (reported, alert) = due(&settings, Reported::default(), &state, WORK, at(9));
        assert_eq!(alert, None, "not before it is said");
        state.flapping.said = true;
        let (reported, alert) = due(&settings, reported, &state, WORK, at(9));
        assert_eq!(
            alert.unwrap().text.as_str(),
            "openclaw-gateway.service: it failed 3 times within 7 min and recovered by itself, \
             down for up to 5 min in all; it is not restarted as long as it comes back within its grace; \
             see: gatehound incident --profile work"
        );
        let (reported, alert) = due(&settings, reported, &state, WORK, at(10));
        assert_eq!(alert, None);
        let (reported, alert) = due(&settings, reported, &with(None, healthy()), WORK, at(15));
        assert_eq!(alert.map(|alert| alert.kind), Some(Kind::Back));
        let (_, alert) = due(&settings, reported, &with(None, healthy()), WORK, at(16));
        assert_eq!(alert, None);
    }

    #[test]
    fn another_incident_is_another_alert() {
        check(
            vec![
                (1, Some("a"), backing_off()),
                (2, None, healthy()),
                (3, Some("b"), backing_off()),
            ],
            &[(1, Kind::Down), (2, Kind::Back), (3, Kind::Down)],
        );
    }

    #[test]
    fn a_pause_of_a_day_is_told_once() {
        let day = 24 * 60;
        let pause = |since| standing_by(Standby::Paused, at(since));
        check(
            vec![
                (day, None, pause(1)),
                (day + 1, None, pause(1)),
                (day + 2, None, pause(1)),
                (3 * day, None, pause(day + 5)),
            ],
            &[(day + 1, Kind::Paused), (3 * day, Kind::Paused)],
        );
    }

    #[test]
    fn the_commands_in_an_alert_name_the_profile() {
        let settings = Settings::default();
        let reported = |phase| {
            let state = with(Some("a"), phase);
            let (_, alert) = due(
                &settings,
                Reported::default(),
                &state,
                WORK,
                at(2 * 24 * 60),
            );
            alert.unwrap().text.to_string()
        };
        let text = reported(standing_by(Standby::ConfigError, at(1)));
        assert!(text.ends_with("; see gatehound status --profile work"));
        let text = reported(standing_by(Standby::Paused, at(1)));
        assert!(text.ends_with("; gatehound resume --profile work ends it or says what does"));
    }

    #[test]
    fn zero_is_never() {
        let mut settings = Settings::default();
        (settings.alert.remind, settings.alert.paused) = (Duration::ZERO, Duration::ZERO);
        let down = with(Some("a"), backing_off());
        let (reported, _) = due(&settings, Reported::default(), &down, WORK, at(1));
        for state in [down, with(None, standing_by(Standby::Paused, at(1)))] {
            let (_, alert) = due(&settings, reported.clone(), &state, WORK, at(100_000));
            assert_eq!(alert, None);
        }
    }

    #[test]
    fn an_alert_says_what_was_seen_and_what_is_done() {
        let settings = Settings::default();
        let state = with(Some("a"), backing_off());
        let now = Monotonic(at(2).0 - 5_000_000);
        let (reported, down) = due(&settings, Reported::default(), &state, WORK, now);
        let down = down.unwrap();
        assert_eq!(
            down.text.as_str(),
            "openclaw-gateway.service: down, health: no answer within 10 s (event loop blocked); \
             restarted in 5 s unless it recovers (attempt 1 of 3)"
        );
        assert_eq!(down.incident.as_str(), "a");
        let (_, back) = due(&settings, reported, &with(None, healthy()), WORK, at(3));
        let back = back.unwrap();
        assert_eq!(
            back.text.as_str(),
            "openclaw-gateway.service: healthy again after 2 min"
        );
        assert_eq!(back.incident, down.incident, "or nobody can pair them");
        let words = "Error: listen EADDRINUSE".into();
        let mut around = Around {
            host: &"box".into(),
            time: "now",
            age: LATE * 2,
            words: Some(&words),
            language: Language::En,
        };
        let line = Message::new(&down, &around).line();
        let line = line.as_str();
        assert!(line.starts_with("box: gateway down: openclaw"), "{line}");
        let end = "(reported 4 min late); the last that it said: Error: listen EADDRINUSE";
        assert!(line.ends_with(end), "{line}");
        around.language = Language::Zh;
        let line = Message::new(&down, &around).line();
        let line = line.as_str();
        assert!(line.starts_with("box: 网关不可用: openclaw"), "{line}");
        assert!(
            line.ends_with("（迟报 4 分钟）；它最后的输出：Error: listen EADDRINUSE"),
            "{line}"
        );
    }

    #[track_caller]
    fn needs_human(settings: &Settings, state: &State, expected: &str) {
        let (_, alert) = due(settings, Reported::default(), state, WORK, at(5));
        let alert = alert.unwrap();
        assert_eq!(alert.kind, Kind::NeedsHuman);
        assert_eq!(alert.text.as_str(), format!("{UNIT}: {expected}"));
    }

    #[test]
    fn whoever_is_needed_hears_why_what_was_tried_and_when_the_next_try_is() {
        let mut settings = Settings::default();
        let mut state = with(Some("a"), gave_up());
        state.incident.as_mut().unwrap().restarts = 3;
        needs_human(
            &settings,
            &state,
            "a human is needed: the attempts are used up; it began with health: no answer within 10 s (event loop blocked); \
             3 restarts did not help; the next try is in 13 min; see gatehound status --profile work",
        );
        settings.retry_after = RetryAfter::Never;
        state.incident.as_mut().unwrap().restarts = 0;
        needs_human(
            &settings,
            &state,
            "a human is needed: the attempts are used up; it began with health: no answer within 10 s (event loop blocked); \
             Gatehound does not try again by itself; see gatehound status --profile work",
        );
        settings.alert.language = Language::Zh;
        state.incident.as_mut().unwrap().restarts = 3;
        needs_human(
            &settings,
            &state,
            "需要人工处理：the attempts are used up；起因：health：10 秒内没有应答（主线程阻塞）；重启 3 次无效；\
             Gatehound 不会自行再试；请运行 gatehound status --profile work",
        );
    }

    #[test]
    fn who_has_the_port_is_said_once_and_whole() {
        let holder = "pid 7 of user bob in unit proxy.service (/usr/bin/node proxy.js); proxy.service is a system unit";
        let mut state = with(Some("a"), standing_by(Standby::PortTaken, at(1)));
        if let Phase::StandingBy { detail, .. } = &mut state.phase {
            *detail = Line::new(holder);
        }
        state.incident.as_mut().unwrap().failure.reason =
            Line::new(&format!("port-taken: {holder}"));
        let expected = format!(
            "a human is needed: somebody else has its port: {holder}; Gatehound goes on when the port is free; see gatehound status --profile work"
        );
        needs_human(&Settings::default(), &state, &expected);
    }

    #[test]
    fn the_end_of_a_run_is_said_once() {
        let mut state = with(Some("a"), standing_by(Standby::InTransition, at(1)));
        let incident = state.incident.as_mut().unwrap();
        incident.crashed = true;
        incident.failure.reason = Line::new(&format!("{ENDED_EARLY}: signal 9"));
        let settings = Settings::default();
        let (_, alert) = due(&settings, Reported::default(), &state, WORK, at(5));
        let expected = format!("{UNIT}: down, {ENDED_EARLY}: signal 9; systemd starts it again");
        assert_eq!(alert.unwrap().text.as_str(), expected);
        for (count, times) in [(1, ", once so far"), (4, ", 4 times so far")] {
            state.unasked.counted = Some(count);
            let (_, alert) = due(&settings, Reported::default(), &state, WORK, at(5));
            assert_eq!(alert.unwrap().text.as_str(), format!("{expected}{times}"));
        }
    }

    #[test]
    fn an_attempt_that_waits_for_the_window_of_forced_stops_says_so() {
        let settings = Settings::default();
        let window = settings.forced_stops.window;
        let mut state = with(Some("a"), backing_off());
        let text = |state: &State| {
            let (_, alert) = due(&settings, Reported::default(), state, WORK, at(1));
            alert.unwrap().text.to_string()
        };
        state.forced = vec![at(1); settings.forced_stops.limit];
        assert!(
            text(&state).ends_with(" (attempt 1 of 3)"),
            "{}",
            text(&state)
        );
        if let Phase::BackingOff { until, .. } = &mut state.phase {
            *until = at(1) + window;
        }
        let reason = " (attempt 1 of 3); not sooner, because one more stop with SIGKILL within 5 min would turn its channels off";
        assert!(text(&state).ends_with(reason), "{}", text(&state));
    }

    #[test]
    fn however_long_the_reason_is_the_command_is_not_lost() {
        let refused = Phase::StandingBy {
            reason: Standby::ConfigError,
            detail: Line::new(&format!(
                "{}; gatehound snapshot restore restores it",
                "x".repeat(330)
            )),
            since: at(1),
        };
        let state = with(Some("a"), refused);
        let (_, alert) = due(
            &Settings::default(),
            Reported::default(),
            &state,
            WORK,
            at(5),
        );
        let text = alert.unwrap().text.to_string();
        assert!(
            text.contains("; gatehound snapshot restore restores it; "),
            "{text}"
        );
        assert!(
            text.ends_with("; see gatehound status --profile work"),
            "{text}"
        );
        assert_eq!(without_middle("网关需要人工处理", 5), "网关…处理");
        assert_eq!(without_middle("a", 0), "…");
    }

    #[test]
    fn a_crash_loop_is_reported_as_one_with_how_often_it_ended() {
        let settings = Settings::default();
        let mut reported = Reported::default();
        let mut texts = Vec::new();
        for minute in 1..=90 {
            let mut state = with(Some("a"), standing_by(Standby::InTransition, at(1)));
            state.gateway.invocation = Some(Invocation(minute.to_string()));
            state.incident.as_mut().unwrap().crashed = true;
            let (next, alert) = due(&settings, reported, &state, WORK, at(minute));
            reported = next;
            texts.extend(alert.map(|alert| (alert.run, alert.text.to_string())));
        }
        let run = |number: u64| Some(Invocation(number.to_string()));
        let down = "down, it ended before it was healthy: health: no answer within 10 s (event loop blocked); systemd starts it again";
        let still = "still down, for 1 h now; 60 of its runs ended before one was healthy; standing-by; see gatehound status --profile work";
        let expected = [
            (run(1), format!("{UNIT}: {down}")),
            (run(61), format!("{UNIT}: {still}")),
        ];
        assert_eq!(texts, expected);
        // A hang that follows names how it began.
        let mut state = with(Some("a"), gave_up());
        state.gateway.invocation = run(90);
        let (_, alert) = due(&settings, reported, &state, WORK, at(91));
        let text = alert.unwrap().text.to_string();
        let parts = "; it began with health: no answer within 10 s (event loop blocked); 89 of its runs ended before one was healthy; ";
        assert!(text.contains(parts), "{text}");
    }
}
