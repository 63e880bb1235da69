//! How `gatehound status` reads: lines of what the manager says now and what Gatehound saw at its last check.
//!
//! Owns which of the two is believed where they differ: the manager, which is asked now. Asks nobody itself.

use std::time::Duration;

use crate::{
    cli::show::{Parts, Tone},
    daemon::status_line,
    os::wall_clock,
    policy::{
        facts::{Health, Invocation, Monotonic, Pause, UnitFacts},
        state::{Bite, Phase, Standby, State},
    },
    settings::{RetryAfter, Settings},
    text::{
        line::Line,
        words::{ENDED_EARLY, Names, span, useless},
    },
};

/// What ails Gatehound itself stands at the end of its status line; only the daemon knows it.
const AILS: [&str; 2] = ["; its state cannot be kept", "; the journal takes nothing"];

/// What is known of both units.
pub(super) struct Known {
    pub(super) own_unit: String,
    pub(super) own: UnitFacts,
    /// What Gatehound said to systemd at its last check.
    pub(super) status: Option<Line>,
    /// When that was, if the unit has a watchdog.
    pub(super) checked: Option<Monotonic>,
    pub(super) unit: String,
    pub(super) gateway: UnitFacts,
    pub(super) state: Option<State>,
    pub(super) pause: Option<Pause>,
    /// How long ago it was given.
    pub(super) paused_ago: Option<Duration>,
    /// By whom, in words.
    pub(super) paused_by: String,
    /// The last that the gateway said, where it does not work.
    pub(super) words: Option<Line>,
    /// How the gateway is during a pause, in which the running Gatehound does not look.
    pub(super) meanwhile: Option<Health>,
    /// The option that names the profile, for commands.
    pub(super) profile: String,
    pub(super) settings: Settings,
    /// What Gatehound cannot tell on this machine.
    pub(super) lost: Option<&'static str>,
    pub(super) now: Monotonic,
    /// The same moment since the Unix epoch.
    pub(super) wall: Duration,
}

/// All lines.
pub(super) fn lines(known: &Known) -> Vec<Parts> {
    let mut lines = vec![gatehound(known), gateway(known)];
    let plain = |text: String| vec![(Tone::Plain, text)];
    if known.is_running() {
        lines.extend(known.checked.map(|at| plain(checked(known, at))));
    }
    if let Some(pause) = &known.pause {
        lines.push(plain(format!("paused     {}", paused(known, pause))));
        lines.extend(known.meanwhile.as_ref().map(meanwhile));
        let profile = &known.profile;
        // A flag file ends by being removed; that is in its reason.
        if pause.remaining.is_some() {
            lines.push(plain(format!(
                "           to end it: gatehound resume{profile}"
            )));
        }
    }
    let lost = known.lost.map(|lost| format!("cgroups    {lost}"));
    lines.extend(lost.map(|text| vec![(Tone::Warning, text)]));
    let Some(state) = &known.state else {
        return lines;
    };
    if let Some(incident) = &state.incident {
        let failure = &incident.failure;
        let (since, probe) = (known.at(incident.since), failure.probe.name());
        let so_far = span(known.now.since(incident.since));
        let text = format!("   {}, since {since}, {so_far} so far", incident.id);
        lines.push(vec![
            (Tone::Bad, "incident".to_owned()),
            (Tone::Plain, text),
        ]);
        let reason = besides_standby(failure.reason.as_str(), &state.phase);
        let reason = match reason.starts_with(ENDED_EARLY) {
            true => reason.to_owned(),
            false => format!("{probe}: {reason}"),
        };
        lines.push(plain(format!("cause      {reason}")));
        let detail = failure.detail.as_str();
        if !detail.is_empty() {
            lines.push(plain(format!("           {detail}")));
        }
        if let Some(words) = known.words_besides(failure.reason.as_str()) {
            lines.push(plain(format!("said last  {words}")));
        }
        lines.extend(restarts(known, incident.restarts).map(plain));
        let profile = &known.profile;
        lines.push(plain(format!(
            "           what was done, with evidence: gatehound incident{profile}"
        )));
    }
    if let Some(what) = &state.degraded {
        let means = useless(what.as_str(), &known.profile);
        lines.push(vec![
            (Tone::Warning, "degraded".to_owned()),
            (Tone::Plain, format!("   {means}")),
        ]);
    }
    lines.extend(attempts(known, state).map(plain));
    let next = next_try(known, state);
    lines.extend(next.into_iter().map(|text| vec![(Tone::Warning, text)]));
    lines
}

impl Known {
    /// Whether a Gatehound runs.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.own.active_state.as_str(), "active" | "reloading")
    }

    fn wall_of(&self, moment: Monotonic) -> Duration {
        if self.now < moment {
            self.wall.saturating_add(moment.since(self.now))
        } else {
            self.wall.saturating_sub(self.now.since(moment))
        }
    }

    /// A moment by the clock on the wall; with the date if that is not today's.
    fn at(&self, moment: Monotonic) -> String {
        let (text, today) = (
            wall_clock::local(self.wall_of(moment)),
            wall_clock::local(self.wall),
        );
        match (text.split_once(' '), today.split_once(' ')) {
            (Some((day, time)), Some((today, _))) if day == today => time.to_owned(),
            _ => text,
        }
    }

    /// The same for scripts.
    pub(super) fn utc(&self, moment: Monotonic) -> Option<String> {
        wall_clock::utc(self.wall_of(moment))
    }

    /// When Gatehound, which gave up, tries again by itself.
    pub(super) fn tries_again(&self, state: &State) -> Option<Monotonic> {
        match (&state.phase, self.settings.retry_after) {
            (Phase::GaveUp { since, .. }, RetryAfter::After(rest)) => Some(*since + rest),
            _ => None,
        }
    }

    /// The phase of the last check, as it was said.
    fn phase(&self) -> Option<&str> {
        let (phase, _) = self.status.as_ref()?.as_str().split_once(':')?;
        Some(phase)
    }

    /// The gateway's last words, unless the cause quotes them.
    fn words_besides(&self, cause: &str) -> Option<&Line> {
        let words = self.words.as_ref();
        words.filter(|words| !words.as_str().is_empty() && !cause.contains(words.as_str()))
    }

    /// Why the gateway is not what the last check found healthy, if so.
    fn changed(&self) -> Option<String> {
        let unit = &self.gateway;
        if unit.active_state != "active" || unit.sub_state != "running" {
            let state = state_of(unit);
            return Some(match unit.sub_state.as_str() {
                "auto-restart"
                | "auto-restart-queued"
                | "dead-before-auto-restart"
                | "failed-before-auto-restart" => {
                    format!("the gateway ended; systemd starts it again ({state})")
                }
                _ => format!("the gateway is {state}"),
            });
        }
        let checked = self.state.as_ref()?.gateway.invocation.as_ref()?;
        let runs: &Invocation = unit.invocation_id.as_ref()?;
        let since = self.at(unit.active_since);
        (checked != runs).then(|| format!("a new run of the gateway began at {since}"))
    }

    /// When the next check is at the latest, if that can be told.
    pub(super) fn next(&self, checked: Monotonic) -> Option<Monotonic> {
        let interval = match self.phase()? {
            "healthy" | "standing-by" => self.settings.interval,
            "starting" | "failing" => self.settings.grace.interval,
            _ => return None,
        };
        Some(checked + interval).filter(|next| self.now < *next)
    }
}

fn checked(known: &Known, at: Monotonic) -> String {
    let ago = span(known.now.since(at));
    let next = known.next(at).map(|next| known.at(next));
    let next = next.map_or_else(String::new, |next| format!("; next by {next}"));
    format!("checked    at {}, {ago} ago{next}", known.at(at))
}

pub(super) fn state_of(unit: &UnitFacts) -> String {
    if unit.load_state == "loaded" {
        format!("{} ({})", unit.active_state, unit.sub_state)
    } else {
        unit.load_state.clone()
    }
}

/// What the name of a phase says at a glance; a word that is none says nothing.
fn tone(phase: &str) -> Tone {
    match phase {
        "healthy" => Tone::Good,
        "starting" | "failing" | "standing-by" => Tone::Warning,
        "backing-off" | "restarting" | "gave-up" => Tone::Bad,
        _ => Tone::Plain,
    }
}

fn gatehound(known: &Known) -> Parts {
    let label = (Tone::Plain, "gatehound  ".to_owned());
    let Some(text) = known.status.as_ref().filter(|_| known.is_running()) else {
        let (state, rest) = (state_of(&known.own), nobody_watches(known));
        return vec![label, (Tone::Bad, state), (Tone::Plain, rest)];
    };
    if let (Some("healthy"), Some(why)) = (known.phase(), known.changed()) {
        let rest = "; the last check found it healthy, the next looks again".to_owned();
        return vec![label, (Tone::Bad, why), (Tone::Plain, rest)];
    }
    let text = counted(known, text.as_str());
    let (phase, rest) = text.split_at(text.find(':').unwrap_or(0));
    vec![
        label,
        (tone(phase), phase.to_owned()),
        (Tone::Plain, rest.to_owned()),
    ]
}

/// The status line as it would be said now: its spans go on where the last check said them.
fn counted(known: &Known, said: &str) -> String {
    let kept = known.state.as_ref();
    // Without a state that can be kept, the file is older than what was said.
    let same = kept.filter(|state| Some(state.phase.name()) == known.phase());
    let Some(state) = same.filter(|_| !said.contains(AILS[0])) else {
        return said.to_owned();
    };
    let mut state = state.clone();
    match &mut state.phase {
        // How long its last check took is not kept.
        Phase::Healthy { .. } => return said.to_owned(),
        // Grace is counted from check to check.
        Phase::Failing(used) => {
            if let (Some(failure), Some(last)) = (&used.failure, used.last) {
                used.waited.add(failure.stall, known.now.since(last));
            }
        }
        Phase::Starting { .. }
        | Phase::BackingOff { .. }
        | Phase::Restarting(_)
        | Phase::GaveUp { .. }
        | Phase::StandingBy { .. } => {}
    }
    let names = Names {
        unit: &known.unit,
        profile: &known.profile,
    };
    let text = status_line::status(&known.settings, &state, names, known.now);
    let ails = said.find(AILS[1]).and_then(|at| said.get(at..));
    format!("{text}{}", ails.unwrap_or_default())
}

/// What follows where no Gatehound runs: nothing for a human to do while systemd is at it.
fn nobody_watches(known: &Known) -> String {
    let (own, profile) = (&known.own_unit, &known.profile);
    let unit = &known.own;
    let bites = known.state.as_ref().is_some_and(|state| {
        let due = Bite::Due;
        matches!(&state.phase, Phase::GaveUp { bite, .. } if *bite == due)
    });
    match (
        unit.load_state.as_str(),
        unit.active_state.as_str(),
        unit.sub_state.as_str(),
    ) {
        ("not-found", ..) => {
            format!(", nobody watches; install it: gatehound install{profile}")
        }
        (_, "deactivating" | "activating", _) | (_, _, "failed-before-auto-restart") if bites => {
            ", it gave up, so systemd restarts it once; it goes on in a moment".to_owned()
        }
        (
            _,
            _,
            "auto-restart"
            | "auto-restart-queued"
            | "dead-before-auto-restart"
            | "failed-before-auto-restart",
        ) => ", it ended, and systemd starts it again in a moment".to_owned(),
        (_, "activating", _) => ", it is starting".to_owned(),
        (_, "deactivating", "stop-watchdog" | "final-watchdog") => {
            ", it hung, and systemd restarts it".to_owned()
        }
        (_, "deactivating", _) => ", it is stopping".to_owned(),
        _ => format!(", nobody watches; start it: systemctl --user start {own}"),
    }
}

fn gateway(known: &Known) -> Parts {
    let unit = &known.gateway;
    let state = state_of(unit);
    let tone = match unit.active_state.as_str() {
        "active" => Tone::Plain,
        "failed" => Tone::Bad,
        _ => Tone::Warning,
    };
    let mut rest = String::new();
    if unit.load_state == "loaded" && unit.state_changed != Monotonic::default() {
        rest += &format!(" since {}", known.at(unit.state_changed));
    }
    if unit.main_pid != 0 {
        rest += &format!(", pid {}", unit.main_pid);
    }
    vec![
        (Tone::Plain, format!("gateway    {}: ", known.unit)),
        (tone, state),
        (Tone::Plain, rest),
    ]
}

/// How the pause is, and how to end it.
fn paused(known: &Known, pause: &Pause) -> String {
    let since = known.paused_ago.map(|ago| {
        let began = Monotonic(known.now.0.saturating_sub(micros(ago)));
        format!("since {}, ", known.at(began))
    });
    let until = pause.remaining.map(|left| {
        let end = known.at(known.now + left);
        format!("until {end}, {} more,", span(left))
    });
    let text = format!(
        "{}{}{}",
        since.unwrap_or_default(),
        until.unwrap_or_default(),
        known.paused_by
    );
    let text = text.trim_end_matches(',');
    if text.is_empty() {
        format!("{}; to end it, remove that", pause.reason)
    } else {
        format!("{text}: {}", pause.reason)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// How the gateway is while nobody would restart it.
fn meanwhile(health: &Health) -> Parts {
    let (tone, text) = match health {
        Health::Healthy(took) => (
            Tone::Good,
            format!("works meanwhile, answered in {}", span(*took)),
        ),
        Health::Failing(failure) => (
            Tone::Bad,
            format!(
                "does not work meanwhile: {}: {}",
                failure.probe.name(),
                failure.reason
            ),
        ),
        Health::Unknown(why) => (Tone::Warning, format!("cannot be looked at: {why}")),
        Health::NotProbed => (Tone::Warning, "is down meanwhile".to_owned()),
    };
    vec![
        (Tone::Plain, "           the gateway ".to_owned()),
        (tone, text),
    ]
}

/// Who started the gateway how often since it works no more.
fn restarts(known: &Known, ours: u32) -> Option<String> {
    let times = |count: u32| match count {
        1 => "once".to_owned(),
        more => format!("{more} times"),
    };
    // Counted by systemd from the last start that somebody asked for.
    let theirs = known.gateway.restarts;
    match (ours, theirs) {
        (0, 0) => None,
        (0, theirs) => Some(format!("restarts   by systemd {}", times(theirs))),
        (ours, 0) => Some(format!("restarts   by Gatehound {}", times(ours))),
        (ours, theirs) => Some(format!(
            "restarts   by Gatehound {}, by systemd {} since the last of those",
            times(ours),
            times(theirs)
        )),
    }
}

/// How an incident began, without why Gatehound stands by: that is in its own line.
fn besides_standby<'a>(reason: &'a str, phase: &Phase) -> &'a str {
    let Phase::StandingBy {
        reason: standby, ..
    } = phase
    else {
        return reason;
    };
    let own = format!("; {}: ", standby.name());
    reason.split_once(&own).map_or(reason, |(seen, _)| seen)
}

/// How many attempts are left, and when there are all of them again.
fn attempts(known: &Known, state: &State) -> Option<String> {
    let (used, of) = (state.attempts.used, known.settings.backoff.len());
    if used == 0 {
        return None;
    }
    let last = known.at(state.attempts.taken);
    let again = match &state.phase {
        Phase::Healthy { since, .. } => {
            format!(
                "all of them again at {}",
                known.at(*since + known.settings.reset_after)
            )
        }
        Phase::Starting { .. }
        | Phase::Failing(_)
        | Phase::BackingOff { .. }
        | Phase::Restarting(_)
        | Phase::GaveUp { .. }
        | Phase::StandingBy { .. } => {
            format!(
                "all of them again after {} healthy",
                span(known.settings.reset_after)
            )
        }
    };
    Some(format!(
        "attempts   {used} of {of} used, the last at {last}; {again}"
    ))
}

/// What is next where Gatehound itself can do no more.
fn next_try(known: &Known, state: &State) -> Vec<String> {
    let profile = &known.profile;
    match &state.phase {
        Phase::GaveUp { .. } => vec![match known.tries_again(state) {
            Some(at) => {
                let at = known.at(at);
                format!("next try   at {at}; at once with: gatehound reset{profile}")
            }
            None => format!("next try   none; once the cause is gone: gatehound reset{profile}"),
        }],
        Phase::StandingBy {
            reason: Standby::ConfigError,
            ..
        } => vec![
            format!("next try   none; to see what changed: gatehound snapshot diff{profile}"),
            format!(
                "           to undo that and start: gatehound snapshot restore --start{profile}"
            ),
        ],
        Phase::StandingBy {
            reason: Standby::PortTaken,
            ..
        } => vec![format!(
            "next try   when the port is free; who has it: gatehound doctor{profile}"
        )],
        Phase::StandingBy { .. }
        | Phase::Starting { .. }
        | Phase::Healthy { .. }
        | Phase::Failing(_)
        | Phase::BackingOff { .. }
        | Phase::Restarting(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        os::cgroup::Versions,
        policy::{
            facts::{Failure, Probe, Stall},
            state::{GraceUsed, Incident},
        },
    };

    const NOW: Monotonic = Monotonic(100_000_000_000);

    fn ago(seconds: u64) -> Monotonic {
        Monotonic(NOW.0 - seconds * 1_000_000)
    }

    fn unit(active: &str, sub: &str) -> UnitFacts {
        UnitFacts {
            load_state: "loaded".to_owned(),
            active_state: active.to_owned(),
            sub_state: sub.to_owned(),
            invocation_id: Some(Invocation("c0ffee".to_owned())),
            main_pid: 4711,
            active_since: ago(3600),
            state_changed: ago(3600),
            ..UnitFacts::default()
        }
    }

    fn known(status: &str, phase: Phase) -> Known {
        let mut state = State {
            phase,
            ..State::default()
        };
        state.gateway.invocation = Some(Invocation("c0ffee".to_owned()));
        Known {
            own_unit: "gatehound.service".to_owned(),
            own: unit("active", "running"),
            status: Some(status.into()),
            checked: Some(ago(4)),
            unit: "openclaw-gateway.service".to_owned(),
            gateway: unit("active", "running"),
            state: Some(state),
            pause: None,
            words: None,
            paused_ago: None,
            paused_by: String::new(),
            meanwhile: None,
            profile: String::new(),
            settings: Settings::default(),
            lost: None,
            now: NOW,
            wall: Duration::from_secs(1_764_000_000),
        }
    }

    fn healthy() -> Known {
        let phase = Phase::Healthy {
            since: ago(60),
            took: Duration::ZERO,
        };
        known("healthy: /health 3 ms, up 1 h", phase)
    }

    fn text(known: &Known) -> String {
        let lines = lines(known).into_iter().map(|parts| {
            let texts = parts.into_iter().map(|(_, text)| text);
            texts.collect::<String>() + "\n"
        });
        lines.collect()
    }

    #[track_caller]
    fn says(known: &Known, line: &str) {
        let text = text(known);
        assert!(text.lines().any(|one| one == line), "{line:?} in\n{text}");
    }

    #[test]
    fn a_healthy_gateway_is_shown_with_both_checks() {
        let known = healthy();
        says(&known, "gatehound  healthy: /health 3 ms, up 1 h");
        let (checked, next) = (known.at(ago(4)), known.at(NOW + Duration::from_secs(26)));
        says(
            &known,
            &format!("checked    at {checked}, 4 s ago; next by {next}"),
        );
        let since = known.at(ago(3600));
        says(
            &known,
            &format!(
                "gateway    openclaw-gateway.service: active (running) since {since}, pid 4711"
            ),
        );
    }

    #[test]
    fn what_the_last_check_found_healthy_is_not_called_so_once_its_unit_is_down() {
        for (active, sub, expected) in [
            ("failed", "failed", "the gateway is failed (failed)"),
            ("inactive", "dead", "the gateway is inactive (dead)"),
            (
                "activating",
                "auto-restart",
                "the gateway ended; systemd starts it again (activating (auto-restart))",
            ),
            (
                "deactivating",
                "stop-sigterm",
                "the gateway is deactivating (stop-sigterm)",
            ),
        ] {
            let mut known = healthy();
            known.gateway = unit(active, sub);
            let rest = "; the last check found it healthy, the next looks again";
            says(&known, &format!("gatehound  {expected}{rest}"));
            assert!(!text(&known).contains("healthy:"), "{}", text(&known));
        }
        let mut known = healthy();
        known.gateway.invocation_id = Some(Invocation("another".to_owned()));
        assert!(
            text(&known).starts_with("gatehound  a new run of the gateway began at "),
            "{}",
            text(&known)
        );
    }

    #[test]
    fn what_cannot_be_told_without_cgroups_of_version_2_is_said() {
        let mut known = healthy();
        assert!(!text(&known).contains("cgroups"));
        known.lost = Versions::One.lost();
        assert!(text(&known).contains("\ncgroups    no cgroups of version 2: "));
    }

    #[test]
    fn spans_go_on_from_the_last_check() {
        let failure = Failure {
            probe: Probe::Http,
            reason: "no answer within 5 s".into(),
            stall: Stall::Blocked,
            detail: Line::default(),
        };
        let mut used = GraceUsed::new(ago(14));
        used.failure = Some(failure.clone());
        used.last = Some(ago(4));
        used.waited.add(Stall::Blocked, Duration::from_secs(10));
        let said = "failing: event loop blocked for 10 s (http: no answer within 5 s), restart in 25 s unless it recovers; the journal takes nothing, 1 record kept back";
        let mut known = known(said, Phase::Failing(used));
        let state = known.state.as_mut().unwrap();
        state.incident = Some(an_incident(failure));
        let names = Names {
            unit: "",
            profile: "",
        };
        // Four seconds less are left than when it was said.
        let mut then = known.state.clone().unwrap();
        if let Phase::Failing(used) = &mut then.phase {
            used.waited.add(Stall::Blocked, Duration::from_secs(4));
        }
        let expected = status_line::status(&known.settings, &then, names, NOW);
        says(
            &known,
            &format!("gatehound  {expected}; the journal takes nothing, 1 record kept back"),
        );
        assert!(!text(&known).contains("restart in 25 s"));
        // What cannot be kept is not what was said.
        known.status = Some("failing: as it was said; its state cannot be kept".into());
        says(
            &known,
            "gatehound  failing: as it was said; its state cannot be kept",
        );
    }

    #[test]
    fn while_systemd_restarts_gatehound_nobody_is_asked_to_start_it() {
        let gave_up = |bite| Phase::GaveUp {
            since: ago(60),
            reason: "3 restarts did not help".into(),
            bite,
        };
        let mut known = known("gave-up: 3 restarts did not help", gave_up(Bite::Due));
        for (active, sub) in [
            ("deactivating", "stop-watchdog"),
            ("failed", "failed-before-auto-restart"),
            ("activating", "auto-restart"),
        ] {
            known.own = unit(active, sub);
            says(
                &known,
                &format!(
                    "gatehound  {active} ({sub}), it gave up, so systemd restarts it once; it goes on in a moment"
                ),
            );
        }
        known.state.as_mut().unwrap().phase = gave_up(Bite::Done);
        for (active, sub, expected) in [
            (
                "activating",
                "auto-restart",
                "it ended, and systemd starts it again in a moment",
            ),
            ("activating", "start", "it is starting"),
            (
                "deactivating",
                "stop-watchdog",
                "it hung, and systemd restarts it",
            ),
            ("deactivating", "stop-sigterm", "it is stopping"),
            (
                "failed",
                "failed",
                "nobody watches; start it: systemctl --user start gatehound.service",
            ),
            (
                "inactive",
                "dead",
                "nobody watches; start it: systemctl --user start gatehound.service",
            ),
        ] {
            known.own = unit(active, sub);
            says(&known, &format!("gatehound  {active} ({sub}), {expected}"));
        }
        known.own.load_state = "not-found".to_owned();
        says(
            &known,
            "gatehound  not-found, nobody watches; install it: gatehound install",
        );
    }

    #[test]
    fn a_gateway_that_was_given_up_has_its_next_try_by_the_clock() {
        let phase = Phase::GaveUp {
            since: ago(60),
            reason: "3 restarts did not help".into(),
            bite: Bite::Done,
        };
        let mut known = known("gave-up: 3 restarts did not help", phase);
        let at = known.at(NOW + Duration::from_secs(14 * 60));
        says(
            &known,
            &format!("next try   at {at}; at once with: gatehound reset"),
        );
        known.settings.retry_after = RetryAfter::Never;
        says(
            &known,
            "next try   none; once the cause is gone: gatehound reset",
        );
    }

    fn an_incident(failure: Failure) -> Incident {
        Incident {
            id: "c0ffee00-7".into(),
            since: ago(14),
            failure,
            restarts: 0,
            started: None,
            started_by_other: false,
            bitten: false,
            crashed: false,
            loops: false,
            overdue: false,
        }
    }

    #[test]
    fn why_gatehound_stands_by_is_said_once_and_a_crash_names_no_probe() {
        let phase = Phase::StandingBy {
            reason: Standby::ConfigError,
            detail: "exit status 78".into(),
            since: ago(60),
        };
        let mut known = known("standing-by: config-error, exit status 78", phase);
        for (reason, expected) in [
            (
                "nothing listens on port 18789; config-error: exit status 78",
                "cause      port: nothing listens on port 18789",
            ),
            (
                "a run ended before it was healthy: signal 9",
                "cause      a run ended before it was healthy: signal 9",
            ),
        ] {
            known.state.as_mut().unwrap().incident = Some(an_incident(Failure {
                probe: Probe::Port,
                reason: reason.into(),
                stall: Stall::Gone,
                detail: Line::default(),
            }));
            says(&known, expected);
        }
    }

    #[test]
    fn a_pause_is_shown_with_who_gave_it_how_it_ends_and_how_the_gateway_is() {
        let mut known = healthy();
        let left = Duration::from_secs(80 * 60);
        known.pause = Some(Pause {
            reason: "new disk".into(),
            remaining: Some(left),
        });
        known.paused_ago = Some(Duration::from_secs(40 * 60));
        known.paused_by = " by ann (bash)".to_owned();
        known.meanwhile = Some(Health::Healthy(Duration::from_millis(3)));
        let (since, until) = (known.at(ago(40 * 60)), known.at(NOW + left));
        says(
            &known,
            &format!(
                "paused     since {since}, until {until}, 1 h 20 min more, by ann (bash): new disk"
            ),
        );
        says(
            &known,
            "           the gateway works meanwhile, answered in 3 ms",
        );
        says(&known, "           to end it: gatehound resume");
        known.meanwhile = Some(Health::Failing(Failure {
            probe: Probe::Port,
            reason: "nothing listens".into(),
            stall: Stall::Gone,
            detail: Line::default(),
        }));
        says(
            &known,
            "           the gateway does not work meanwhile: port: nothing listens",
        );
        known.pause = Some(Pause {
            reason: "flag file /tmp/x".into(),
            remaining: None,
        });
        (known.paused_ago, known.paused_by) = (None, String::new());
        says(
            &known,
            "paused     flag file /tmp/x; to end it, remove that",
        );
    }

    #[test]
    fn another_days_moment_has_its_date() {
        let known = healthy();
        assert_eq!(known.at(NOW).len(), "10:32:07".len());
        let then = ago(26 * 3600);
        assert_eq!(known.at(then).len(), "2026-11-23 10:32:07".len());
    }
}
