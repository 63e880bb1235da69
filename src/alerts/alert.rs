//! Alerts: which one is due, what it says, and how it reads to whoever receives it.
//!
//! Owns the kinds of alert, what was reported already, and the bodies that webhooks take.
//! Knows nothing of queues, of the network, or of the policy's next step, which no alert changes.

use serde::{Deserialize, Serialize};

pub use crate::settings::Kind;
use crate::text::line::Line;
use crate::{
    policy::{
        facts::{Invocation, Monotonic},
        state::{Phase, Standby, State},
    },
    settings::AlertSettings,
    text::words::{Names, flapping as flapping_words, span, useless, words},
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
    /// That the gateway comes and goes was reported, and it is not steady again.
    pub flapping: bool,
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

/// The alert that is due after a check, if one is, and what is reported then.
pub fn due(
    settings: &AlertSettings,
    mut reported: Reported,
    state: &State,
    names: Names<'_>,
    now: Monotonic,
) -> (Reported, Option<Alert>) {
    let Names { unit, profile } = names;
    // Once the gateway is healthy no incident is open, and whoever hears that has to know which one is over.
    let id = match (&state.incident, &reported.trouble) {
        (Some(one), _) => Line::new(&one.id),
        (None, Some(known)) => Line::new(&known.id),
        (None, None) => Line::default(),
    };
    let due = match &state.phase {
        _ if is_news(&reported, state) => rolled_back(&mut reported, state, profile, now),
        Phase::BackingOff { failure, .. } => {
            let reason = Line::new(&words(failure));
            trouble(settings, &mut reported, state, now, reason, None)
        }
        Phase::GaveUp { reason, .. } => trouble(
            settings,
            &mut reported,
            state,
            now,
            reason.clone(),
            Some(profile),
        ),
        Phase::StandingBy {
            reason: Standby::ConfigError,
            detail,
            ..
        } => {
            let reason = Line::new(&format!("it refuses its configuration: {detail}"));
            trouble(settings, &mut reported, state, now, reason, Some(profile))
        }
        Phase::StandingBy {
            reason: Standby::PortTaken,
            detail,
            ..
        } => {
            let reason = Line::new(&format!("somebody else has its port: {detail}"));
            trouble(settings, &mut reported, state, now, reason, Some(profile))
        }
        Phase::Starting { .. } | Phase::Failing(_) | Phase::Restarting(_) => {
            overdue(settings, &mut reported, state, now)
        }
        Phase::Healthy { .. } if state.incident.is_some() => {
            overdue(settings, &mut reported, state, now)
        }
        Phase::Healthy { .. } => healthy(&mut reported, state, profile, now)
            .or_else(|| flaps(&mut reported, state, profile, now)),
        Phase::StandingBy {
            reason: Standby::Paused,
            detail,
            since,
        } => overdue(settings, &mut reported, state, now)
            .or_else(|| paused(settings, &mut reported, detail, *since, profile, now)),
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
        } => overdue(settings, &mut reported, state, now),
    };
    let alert = due.map(|(kind, text, reason)| Alert {
        kind,
        text: Line::new(&format!("{unit}: {text}")),
        unit: Line::new(unit),
        incident: id,
        phase: Line::new(state.phase.name()),
        reason,
    });
    (reported, alert)
}

/// Whether a configuration was rolled back that was not reported, and that has not served since:
/// else whoever has alerts switched on later hears of an old one.
fn is_news(reported: &Reported, state: &State) -> bool {
    let last = state.rollback.as_ref();
    last.is_some_and(|last| last.kept.is_some() && !last.served && last.run != reported.rollback)
}

/// Whoever wrote the configuration has to hear that another one is in its place, whatever comes of it.
fn rolled_back(
    reported: &mut Reported,
    state: &State,
    profile: &str,
    now: Monotonic,
) -> Option<Due> {
    let last = state.rollback.as_ref()?;
    reported.rollback.clone_from(&last.run);
    // What comes next is that the gateway is back, or that a human is needed.
    let incident = state.incident.as_ref();
    reported.trouble.get_or_insert_with(|| Trouble {
        id: incident.map_or_else(String::new, |one| one.id.clone()),
        since: incident.map_or(now, |one| one.since),
        human: false,
        last: now,
    });
    let text = format!(
        "it refused its configuration, and snapshot {}, which worked before, was put in its place; \
         what it refused is kept in {}, see gatehound snapshot diff{profile}",
        last.snapshot,
        last.kept.as_ref()?
    );
    let reason = Line::new("it refused its configuration");
    Some((Kind::RolledBack, text, reason))
}

/// A kind, what is said, and why.
type Due = (Kind, String, Line);

/// The gateway is down, and has to be reported once as such, and once more if a human is needed, with this profile's command.
fn trouble(
    settings: &AlertSettings,
    reported: &mut Reported,
    state: &State,
    now: Monotonic,
    reason: Line,
    human: Option<&str>,
) -> Option<Due> {
    let (id, since) = state.incident.as_ref().map_or_else(
        // A gateway that refuses to start has no incident of its own; what was reported before goes on.
        || match &reported.trouble {
            Some(known) => (known.id.clone(), known.since),
            None => (String::new(), now),
        },
        |incident| (incident.id.clone(), incident.since),
    );
    let known = reported.trouble.as_ref().filter(|known| known.id == id);
    if known.is_some_and(|known| known.human || human.is_none()) {
        return reminder(settings, reported, state, now);
    }
    let (kind, text) = if let Some(profile) = human {
        let text = format!("a human is needed: {reason}; gatehound status{profile} tells more");
        (Kind::NeedsHuman, text)
    } else {
        let next = match state.phase {
            Phase::BackingOff { .. } => "; it is about to be restarted",
            Phase::Starting { .. }
            | Phase::Healthy { .. }
            | Phase::Failing(_)
            | Phase::Restarting(_)
            | Phase::GaveUp { .. }
            | Phase::StandingBy { .. } => "",
        };
        (Kind::Down, format!("down, {reason}{next}"))
    };
    let began = reported.trouble.as_ref().map_or(since, |known| known.since);
    reported.trouble = Some(Trouble {
        id,
        since: began.min(since),
        human: human.is_some(),
        last: now,
    });
    Some((kind, text, reason))
}

/// The gateway is back, with all that works or without, or part of it has stopped working or works again.
fn healthy(reported: &mut Reported, state: &State, profile: &str, now: Monotonic) -> Option<Due> {
    let before = std::mem::replace(&mut reported.degraded, state.degraded.clone());
    let reason = state.degraded.clone().unwrap_or_default();
    let what = state.degraded.as_ref().map(|what| {
        let means = useless(what.as_str(), profile);
        format!("part of it does not work: {what}; {means}")
    });
    if let Some(trouble) = reported.trouble.take() {
        let downtime = span(now.since(trouble.since));
        let but = what.map_or_else(String::new, |what| format!(", but {what}"));
        let text = format!("healthy again after {downtime}{but}");
        return Some((Kind::Back, text, reason));
    }
    match (before, what) {
        (before, Some(what)) if before != state.degraded => {
            Some((Kind::Degraded, format!("healthy, but {what}"), reason))
        }
        (Some(before), None) => {
            let text = format!("all of it works again; it was: {before}");
            Some((Kind::NoLongerDegraded, text, reason))
        }
        (Some(_) | None, Some(_)) | (None, None) => None,
    }
}

/// The gateway comes and goes, or no longer does.
fn flaps(reported: &mut Reported, state: &State, profile: &str, now: Monotonic) -> Option<Due> {
    let flapping = &state.flapping;
    let before = std::mem::replace(&mut reported.flapping, flapping.said);
    match (before, flapping.said) {
        (false, true) => {
            let (times, within, down) = flapping.counted(now);
            let what = flapping_words(times, within, down);
            let text = format!(
                "{what}; it is not restarted as long as it comes back within its grace; \
                 see: gatehound incident{profile}"
            );
            Some((Kind::Flapping, text, Line::new(&what)))
        }
        (true, false) => {
            let text = "healthy without a break for a while again".to_owned();
            Some((Kind::Back, text, Line::default()))
        }
        (true, true) | (false, false) => None,
    }
}

/// A gateway that is down, or ends again and again, without an attempt of Gatehound's that would say so.
fn overdue(
    settings: &AlertSettings,
    reported: &mut Reported,
    state: &State,
    now: Monotonic,
) -> Option<Due> {
    let incident = state.incident.as_ref();
    // Each run that systemd starts has its grace anew, so that no attempt may ever be taken.
    let said = incident.filter(|one| one.crashed || one.loops || one.overdue);
    match said {
        Some(one) => {
            let reason = Line::new(&words(&one.failure));
            trouble(settings, reported, state, now, reason, None)
        }
        None => reminder(settings, reported, state, now),
    }
}

/// The gateway has been down for long since the last word.
fn reminder(
    settings: &AlertSettings,
    reported: &mut Reported,
    state: &State,
    now: Monotonic,
) -> Option<Due> {
    let known = reported.trouble.as_mut()?;
    if settings.remind.is_zero() || now.since(known.last) < settings.remind {
        return None;
    }
    known.last = now;
    let down = span(now.since(known.since));
    let text = format!("still down, for {down} now; {}", state.phase.name());
    Some((Kind::StillDown, text, Line::default()))
}

/// A pause that was forgotten leaves the gateway unwatched.
fn paused(
    settings: &AlertSettings,
    reported: &mut Reported,
    detail: &Line,
    since: Monotonic,
    profile: &str,
    now: Monotonic,
) -> Option<Due> {
    let age = now.since(since);
    if settings.paused.is_zero() || age < settings.paused || reported.pause == Some(since) {
        return None;
    }
    reported.pause = Some(since);
    let text = format!(
        "not watched, paused for {} now; gatehound resume{profile} ends it or says what does",
        span(age)
    );
    Some((Kind::Paused, text, detail.clone()))
}

impl Alert {
    /// One that says nothing but that alerts arrive.
    pub fn test(unit: &str) -> Self {
        Self {
            kind: Kind::Test,
            text: Line::new(&format!("{unit}: this is a test, alerts arrive")),
            unit: Line::new(unit),
            incident: Line::default(),
            phase: Line::default(),
            reason: Line::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alerts::message::{LATE, Message},
        policy::{
            facts::{Failure, Probe, Stall},
            state::{Bite, GraceUsed, Incident, Rollback, Step},
        },
    };
    use std::time::Duration;

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
        let settings = AlertSettings::default();
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
        let settings = AlertSettings::default();
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
        let settings = AlertSettings::default();
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
        let settings = AlertSettings::default();
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
        let settings = AlertSettings::default();
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
        let settings = AlertSettings::default();
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
        assert_eq!(due(&settings, reported, &back, WORK, at(4)).1, None);
    }

    #[test]
    fn a_gateway_that_comes_and_goes_is_reported_once_and_once_more_when_it_is_steady() {
        let settings = AlertSettings::default();
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
        let settings = AlertSettings::default();
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
        assert!(text.ends_with("; gatehound status --profile work tells more"));
        let text = reported(standing_by(Standby::Paused, at(1)));
        assert!(text.ends_with("; gatehound resume --profile work ends it or says what does"));
    }

    #[test]
    fn zero_is_never() {
        let settings = AlertSettings {
            remind: Duration::ZERO,
            paused: Duration::ZERO,
            ..AlertSettings::default()
        };
        let down = with(Some("a"), backing_off());
        let (reported, _) = due(&settings, Reported::default(), &down, WORK, at(1));
        for state in [down, with(None, standing_by(Standby::Paused, at(1)))] {
            let (_, alert) = due(&settings, reported.clone(), &state, WORK, at(100_000));
            assert_eq!(alert, None);
        }
    }

    #[test]
    fn an_alert_says_what_was_seen_and_what_is_done() {
        let settings = AlertSettings::default();
        let state = with(Some("a"), backing_off());
        let (reported, down) = due(&settings, Reported::default(), &state, WORK, at(2));
        let down = down.unwrap();
        assert_eq!(
            down.text.as_str(),
            "openclaw-gateway.service: down, health: no answer within 10 s (blocked); it is about to be restarted"
        );
        assert_eq!(down.incident.as_str(), "a");
        let (_, back) = due(&settings, reported, &with(None, healthy()), WORK, at(3));
        let back = back.unwrap();
        assert_eq!(
            back.text.as_str(),
            "openclaw-gateway.service: healthy again after 2 min"
        );
        assert_eq!(back.incident, down.incident, "or nobody can pair them");
        let message = Message::new(&down, &"box".into(), "now", LATE * 2);
        assert!(
            message
                .line()
                .as_str()
                .starts_with("box: gateway down: openclaw")
        );
        assert!(message.line().as_str().ends_with("(reported 4 min late)"));
    }
}
