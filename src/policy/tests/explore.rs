//! Every history of the toy world up to a bound, with every rule held in every state.
//!
//! A happening is anything that misbehaves, wants something or breaks; a check is Gatehound's own doing and free.
//! All worlds that differ are visited once, those with fewer happenings first,
//! so that what is printed of a violation is a history of the fewest happenings that lead there.
//! In each, what has to become of it is followed to its end: a gateway that stays broken is acted on,
//! one that is healthy is found healthy, and one that Gatehound took down comes back.

use std::{
    any::Any,
    collections::HashSet,
    fmt::{self, Display, Formatter, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use crate::policy::tests::{
    happening::Happening as H,
    world::{Active, Fault, Mood, RestoredFn, StepFn, World, secs, world},
};
use crate::{
    policy::{
        facts::{Monotonic, Stall},
        state::{Phase, State},
    },
    settings::{RetryAfter, Rollback, Settings},
};

/// Times of a few ticks each, all different where that matters, so that the worlds are few and every deadline is met.
fn settings() -> Settings {
    let mut settings = Settings {
        interval: secs(2),
        backoff: vec![secs(1), secs(2)],
        debounce: secs(4),
        retry_after: RetryAfter::After(secs(5)),
        reset_after: secs(4),
        degraded_after: secs(2),
        ..Settings::default()
    };
    settings.grace.interval = secs(1);
    settings.grace.gone = secs(1);
    settings.grace.deadlocked = secs(1);
    settings.grace.disk = secs(2);
    settings.grace.starved = secs(2);
    // Only where one waits a longer time makes a difference.
    settings.grace.waiting = secs(1);
    settings.grace.blocked = secs(2);
    settings.grace.busy = secs(2);
    settings.grace.answering = secs(1);
    settings.grace.starting = secs(4);
    settings.grace.starting_idle = secs(2);
    settings.stop_timeout.stuck = secs(1);
    settings.stop_timeout.hung = secs(2);
    settings.stop_timeout.draining = secs(3);
    settings.forced_stops.window = secs(30);
    settings
}

/// What may happen in an exploration, and where it begins.
pub(super) struct Place {
    name: &'static str,
    /// Happenings after which nothing more befalls the world; none goes on until there is nothing new.
    pub(super) happenings: Option<usize>,
    saves_kept: usize,
    rollback: Rollback,
    alphabet: Vec<H>,
}

/// How a policy under test is put together.
#[derive(Clone, Copy)]
pub(super) struct Policy {
    pub(super) step: StepFn,
    pub(super) restored: RestoredFn,
}

/// The policy as it is.
pub(super) const HONEST: Policy = Policy {
    step: super::super::step,
    restored: State::restored,
};

/// What an exploration has seen.
#[derive(Debug)]
pub(super) struct Report {
    name: &'static str,
    happenings: usize,
    closed: bool,
    states: usize,
    transitions: usize,
    took: Duration,
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bound = if self.closed {
            "any number of happenings (closed)".to_owned()
        } else {
            format!("up to {} happenings", self.happenings)
        };
        write!(
            f,
            "{}: {bound}, {} states, {} transitions, 12 rules and {} outcomes, {:.1} s",
            self.name,
            self.states,
            self.transitions,
            OUTCOMES.len(),
            self.took.as_secs_f64()
        )
    }
}

/// A rule that does not hold, and how to get there.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) what: String,
    history: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.what, self.history)
    }
}

/// How a world came to be: from which, and by which happening, a check if none.
struct Origin {
    from: u32,
    by: Option<u8>,
}

struct Explorer<'a> {
    place: &'a Place,
    policy: Policy,
    origins: Vec<Origin>,
    visited: HashSet<u64>,
    /// Worlds from which each outcome is known to come.
    known: [HashSet<u64>; OUTCOMES.len()],
    transitions: usize,
}

/// Explores; fails with a history of the fewest happenings that break a rule.
pub(super) fn explore(place: &Place, policy: Policy) -> Result<Report, Violation> {
    let began = Instant::now();
    let mut explorer = Explorer {
        place,
        policy,
        origins: Vec::new(),
        visited: HashSet::new(),
        known: Default::default(),
        transitions: 0,
    };
    let mut layer = Layer::new();
    let beginning = explorer.beginning();
    explorer.arrive(beginning, Origin { from: 0, by: None }, &mut layer)?;
    let (mut happenings, mut new) = (0, true);
    while new && place.happenings.is_none_or(|bound| happenings < bound) {
        let before = explorer.origins.len();
        happenings += 1;
        layer = explorer.befall(layer, place.happenings == Some(happenings))?;
        new = before < explorer.origins.len();
    }
    Ok(Report {
        name: place.name,
        happenings,
        closed: !new,
        states: explorer.origins.len(),
        transitions: explorer.transitions,
        took: began.elapsed(),
    })
}

/// Checks that are told of a world that does not come to its outcome.
const TOLD: usize = 40;

type Layer = Vec<(u32, World)>;

impl Explorer<'_> {
    fn beginning(&self) -> World {
        let mut world = world();
        world.settings = settings();
        world.settings.rollback = self.place.rollback;
        if self.place.alphabet.contains(&WAITS) {
            world.settings.grace.waiting = secs(4);
        }
        world.step = self.policy.step;
        world.restored = self.policy.restored;
        world.saves_kept = self.place.saves_kept;
        world.tick = secs(1);
        world.stop_takes = secs(2);
        world.crash_pause = secs(2);
        world.timeout_stop = secs(12);
        world
    }

    /// Lets everything happen, one thing at a time, to all worlds of a layer;
    /// after the last one the worlds are not kept, because nothing more befalls them.
    fn befall(&mut self, layer: Layer, last: bool) -> Result<Layer, Violation> {
        let mut next = Layer::new();
        for (from, world) in layer {
            for by in 0..self.place.alphabet.len() {
                let by = Some(u8::try_from(by).expect("few happenings"));
                let world = self.moved(&world, from, by)?;
                self.arrive(world, Origin { from, by }, &mut next)?;
                if last {
                    next.clear();
                }
            }
        }
        Ok(next)
    }

    /// The world after a check or a happening.
    fn moved(&mut self, world: &World, from: u32, by: Option<u8>) -> Result<World, Violation> {
        self.transitions += 1;
        let mut world = world.clone();
        let happening = by.map(|by| self.place.alphabet[usize::from(by)].clone());
        let moved = catch_unwind(AssertUnwindSafe(|| {
            match happening {
                Some(happening) => happening.befalls(&mut world),
                None => world.next_check(),
            }
            world
        }));
        moved.map_err(|panic| self.violation(said(panic), &Origin { from, by }, None))
    }

    /// Adds a world, and all that come of it by checks alone, where they are new.
    fn arrive(&mut self, world: World, origin: Origin, layer: &mut Layer) -> Result<(), Violation> {
        let mut next = Some((world, origin));
        while let Some((mut world, origin)) = next.take() {
            if !self.visited.insert(world.canonical()) {
                break;
            }
            for (index, outcome) in OUTCOMES.iter().enumerate() {
                if let Err(what) = self.follow(&world, index, outcome) {
                    return Err(self.violation(what, &origin, Some(outcome)));
                }
            }
            let id = u32::try_from(self.origins.len()).expect("fewer worlds than memory holds");
            self.origins.push(origin);
            if !world.left {
                let origin = Origin { from: id, by: None };
                next = Some((self.moved(&world, id, None)?, origin));
            }
            layer.push((id, world));
        }
        Ok(())
    }

    /// Follows a world in which nothing more happens until the outcome is there, or the world comes back to where it was.
    fn follow(&mut self, world: &World, index: usize, outcome: &Outcome) -> Result<(), String> {
        let mut world = world.clone();
        if world.left || !(outcome.due)(&world) {
            return Ok(());
        }
        (outcome.given)(&mut world);
        let known = &mut self.known[index];
        let mut path = Vec::new();
        loop {
            let number = world.canonical();
            if known.contains(&number) {
                break;
            }
            if path.contains(&number) {
                return Err(format!("{}: never, but {:?}", outcome.name, world.state));
            }
            path.push(number);
            self.transitions += 1;
            let moved = catch_unwind(AssertUnwindSafe(|| world.next_check()));
            moved.map_err(said)?;
            if world.left || (outcome.there)(&world) {
                break;
            }
        }
        known.extend(path);
        Ok(())
    }

    /// Goes the way to a violation once more, to tell it.
    fn violation(&self, what: String, last: &Origin, outcome: Option<&Outcome>) -> Violation {
        let mut way = vec![last.by];
        let mut at = last.from;
        while at != 0 {
            let origin = &self.origins[at as usize];
            way.push(origin.by);
            at = origin.from;
        }
        let known = way.len();
        let mut world = self.beginning();
        let mut history = String::new();
        let way = way.into_iter().rev();
        let on = outcome.map_or(0, |_| TOLD);
        for (index, by) in way.map(Some).chain((0..on).map(|_| None)).enumerate() {
            if index == known {
                outcome
                    .into_iter()
                    .for_each(|outcome| (outcome.given)(&mut world));
            }
            let happening = by.flatten().map(|by| &self.place.alphabet[usize::from(by)]);
            let before = world.now;
            let done = catch_unwind(AssertUnwindSafe(|| match happening {
                Some(happening) => happening.clone().befalls(&mut world),
                None => world.next_check(),
            }));
            let what = happening.map_or_else(|| "check".to_owned(), |one| format!("{one:?}"));
            tell(&mut history, &what, before, &mut world);
            if done.is_err() {
                break;
            }
        }
        Violation { what, history }
    }
}

fn tell(history: &mut String, what: &str, before: Monotonic, world: &mut World) {
    let at = world.now.since(Monotonic(1_000_000_000));
    let _ = write!(
        history,
        "  {at:>5?} (+{:?}) {what}: {:?}",
        world.now.since(before),
        world.active
    );
    let _ = writeln!(history, ", {} {:?}", world.phase(), world.deeds());
    world.log.clear();
}

fn said(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

/// What has to become of a world in which nothing more happens.
struct Outcome {
    name: &'static str,
    /// Whether it has to.
    due: fn(&World) -> bool,
    /// How the world stays from then on.
    given: fn(&mut World),
    there: fn(&World) -> bool,
}

const OUTCOMES: [Outcome; 6] = [
    Outcome {
        name: "liveness: a gateway that stays broken is acted on",
        due: |world| world.wanted() && world.active == Active::Up,
        given: |world| {
            world.peace();
            if !matches!(world.mood, Mood::Failing(_)) {
                world.mood = Mood::Failing(Stall::Blocked);
            }
            world.fresh = world.mood;
        },
        there: |world| !world.deeds().is_empty(),
    },
    Outcome {
        name: "liveness: a healthy gateway is found healthy",
        due: World::healthy_and_undisturbed,
        given: |world| {
            world.peace();
            world.mood = Mood::Healthy;
        },
        there: |world| 0 < world.pings(),
    },
    Outcome {
        name: "rule 7: where it is asked for, what is refused is rolled back",
        due: World::rollback_is_due,
        given: |world| {
            let content = world.content;
            world.peace();
            world.content = content;
        },
        there: |world| world.content == 0,
    },
    Outcome {
        name: "rule 8: a gateway that nobody wants down is up in the end",
        due: World::wanted,
        given: World::peace,
        there: |world| {
            let up = world.active == Active::Up && world.state.pending_start.is_none();
            up && matches!(world.state.phase, Phase::Healthy { .. })
        },
    },
    Outcome {
        name: "rule 11: a gateway that does not work is said not to",
        due: World::is_broken,
        given: |_| {},
        there: |world| world.state.incident.is_some() || 0 < world.pings() || !world.is_broken(),
    },
    Outcome {
        name: "rule 11: starts that begin no run are given up",
        due: World::starts_in_vain,
        given: |world| {
            world.peace();
            world.unmet_condition = true;
        },
        there: |world| world.phase() == "gave-up",
    },
];

const BROKEN: H = H::Mood(Mood::Failing(Stall::Blocked));
const WAITS: H = H::Mood(Mood::Failing(Stall::Waiting));
const BREAKS_AGAIN: H = H::Fresh(Mood::Failing(Stall::Blocked));
const FIXED: H = H::Mood(Mood::Healthy);
const FIXES_NEXT: H = H::Fresh(Mood::Healthy);

/// How the gateway and systemd behave by themselves.
pub(super) fn gateway() -> Place {
    let failing = |stall| H::Mood(Mood::Failing(stall));
    Place {
        name: "gateway",
        happenings: None,
        saves_kept: 1,
        rollback: Rollback::Off,
        alphabet: vec![
            FIXED,
            failing(Stall::Gone),
            failing(Stall::Stopped),
            BROKEN,
            failing(Stall::Answering),
            H::Mood(Mood::Unknown),
            FIXES_NEXT,
            BREAKS_AGAIN,
            H::Progress(Some(false)),
            H::Exits(1),
            H::Exits(78),
            H::EndsByItself,
            H::StartLimit(1),
        ],
    }
}

/// A stall whose evidence changes, and a pulse that suspects it.
pub(super) fn stalls() -> Place {
    let failing = |stall| H::Mood(Mood::Failing(stall));
    Place {
        name: "stalls",
        happenings: None,
        saves_kept: 1,
        rollback: Rollback::Off,
        alphabet: vec![
            FIXED,
            failing(Stall::Deadlocked),
            WAITS,
            failing(Stall::Starved),
            BROKEN,
            failing(Stall::Busy),
            H::Fresh(Mood::Failing(Stall::Deadlocked)),
            H::Progress(Some(false)),
            H::Suspected,
            H::Resumed,
        ],
    }
}

/// What humans do to a gateway that breaks now and then.
pub(super) fn human() -> Place {
    Place {
        name: "human",
        happenings: None,
        saves_kept: 1,
        rollback: Rollback::Off,
        alphabet: vec![
            BROKEN,
            FIXED,
            BREAKS_AGAIN,
            FIXES_NEXT,
            H::HumanStops,
            H::HumanStarts,
            H::HumanRestarts,
            H::HumanStopsBeforeAction,
            H::StopCancelled,
            H::ExecStop(true),
            H::EndsByItself,
            H::Paused(true),
            H::Paused(false),
            H::Reset,
        ],
    }
}

/// What happens to Gatehound itself and to what it does.
pub(super) fn gatehound() -> Place {
    Place {
        name: "gatehound",
        happenings: None,
        saves_kept: 3,
        rollback: Rollback::Off,
        alphabet: vec![
            BROKEN,
            FIXED,
            BREAKS_AGAIN,
            FIXES_NEXT,
            H::Killed(0),
            H::Killed(1),
            H::Killed(2),
            H::Faults(vec![Fault::Refused]),
            H::Faults(vec![Fault::KilledBefore]),
            H::Faults(vec![Fault::KilledAfter]),
            H::WrongSettings(6),
            H::Leave,
        ],
    }
}

/// A gateway that has to be forced, and the clock.
pub(super) fn forced() -> Place {
    Place {
        name: "forced",
        happenings: None,
        saves_kept: 1,
        rollback: Rollback::Off,
        alphabet: vec![
            BROKEN,
            FIXED,
            BREAKS_AGAIN,
            FIXES_NEXT,
            H::IgnoresSigterm(true),
            H::IgnoresSigterm(false),
            H::Resumed,
            H::Killed(0),
        ],
    }
}

/// What stands in the way.
pub(super) fn obstacles() -> Place {
    Place {
        name: "obstacles",
        happenings: None,
        saves_kept: 1,
        rollback: Rollback::Off,
        alphabet: vec![
            BROKEN,
            FIXED,
            BREAKS_AGAIN,
            H::NoBus(true),
            H::NoBus(false),
            H::Updating(true),
            H::Updating(false),
            H::Debugged(true),
            H::Debugged(false),
            H::PortHolder(true),
            H::PortHolder(false),
            H::LeftOver,
            H::WrongSettings(6),
            H::Resumed,
        ],
    }
}

/// Starts that systemd takes and that begin no run.
pub(super) fn starts() -> Place {
    Place {
        name: "starts",
        happenings: None,
        saves_kept: 1,
        rollback: Rollback::Off,
        alphabet: vec![
            BROKEN,
            FIXES_NEXT,
            H::UnmetCondition(true),
            H::UnmetCondition(false),
            H::HumanStops,
            H::HumanStarts,
            H::PortHolder(true),
            H::PortHolder(false),
            H::Killed(0),
            H::WrongSettings(6),
            H::Reset,
        ],
    }
}

/// A gateway that is up and useless, healthy or not.
pub(super) fn useless() -> Place {
    Place {
        name: "useless",
        happenings: None,
        saves_kept: 1,
        rollback: Rollback::Off,
        alphabet: vec![
            H::Degraded(true),
            H::Degraded(false),
            BROKEN,
            FIXED,
            BREAKS_AGAIN,
            FIXES_NEXT,
            H::Mood(Mood::Unknown),
            H::HumanRestarts,
            H::Killed(0),
            H::Resumed,
        ],
    }
}

/// Everything at once.
fn everything() -> Place {
    let mut alphabet = Vec::new();
    for place in [
        gateway(),
        stalls(),
        human(),
        gatehound(),
        forced(),
        obstacles(),
    ] {
        for happening in place.alphabet {
            if !alphabet.contains(&happening) {
                alphabet.push(happening);
            }
        }
    }
    alphabet.extend([
        H::Degraded(true),
        H::Fresh(Mood::Unknown),
        H::Progress(None),
        H::Exits(134),
        H::StartLimit(0),
        H::NoUnit(true),
        H::NoUnit(false),
        H::OtherServes(true),
        H::OtherServes(false),
        H::IgnoresSigkill(true),
        H::IgnoresSigkill(false),
        H::UnmetCondition(true),
        H::Leftovers(1),
        H::Leftovers(3),
        H::Leftovers(5),
        H::StartTakes(2),
        H::LookTakes(1),
        H::TimePasses,
    ]);
    Place {
        name: "everything",
        happenings: None,
        saves_kept: 3,
        rollback: Rollback::Off,
        alphabet,
    }
}

/// A gateway that refuses what somebody wrote into its configuration, and everybody who may be at work meanwhile.
pub(super) fn rollback() -> Place {
    Place {
        name: "rollback",
        happenings: None,
        saves_kept: 1,
        rollback: Rollback::Auto,
        alphabet: vec![
            H::Edits(0),
            H::Edits(1),
            H::EditsAndRestarts(1),
            H::EditsAndRestarts(2),
            H::HumanEditsBeforeAction,
            H::RefusesAll(true),
            H::Exits(78),
            H::HumanStops,
            H::HumanStarts,
            H::HumanRestarts,
            H::HumanStopsBeforeAction,
            H::Paused(true),
            H::Paused(false),
            H::Updating(true),
            H::PortHolder(true),
            H::OtherServes(true),
            H::OtherServes(false),
            H::Debugged(true),
            H::Killed(0),
            H::Faults(vec![Fault::Refused]),
            H::Faults(vec![Fault::KilledBefore]),
            H::Faults(vec![Fault::KilledAfter]),
            H::Reset,
            H::Leave,
        ],
    }
}

/// The same where nobody asked for it.
pub(super) fn no_rollback() -> Place {
    Place {
        name: "no rollback",
        rollback: Rollback::Off,
        ..rollback()
    }
}

/// Happenings in a row, where a place is not given fewer.
const DEPTH: usize = 3;

/// Holds every rule in every world of a place, up to the bound that `EXPLORE_DEPTH` gives instead of 3:
/// `EXPLORE_DEPTH=4 cargo test --release --lib no_history -- --nocapture --test-threads=1` goes deeper.
///
/// The numbers of worlds and steps are stated in tests/README.md; with fewer, something is no longer tried.
#[track_caller]
fn no_rule_is_broken(mut place: Place, less: usize, worlds: usize, steps: usize) {
    let depth = std::env::var("EXPLORE_DEPTH");
    let depth = depth.map_or(DEPTH, |depth| depth.parse().expect("a number"));
    place.happenings = Some(usize::saturating_sub(depth, less));
    match explore(&place, HONEST) {
        Ok(report) => {
            println!("{report}");
            let enough = worlds <= report.states && steps <= report.transitions;
            assert!(depth < DEPTH || enough, "fewer than before: {report}");
        }
        Err(violation) => panic!("{violation}"),
    }
}

#[test]
fn no_history_of_a_gateway_that_misbehaves_breaks_a_rule() {
    no_rule_is_broken(gateway(), 0, 21_028, 105_156);
}

#[test]
fn no_history_of_stalls_that_change_their_kind_breaks_a_rule() {
    no_rule_is_broken(stalls(), 0, 10_000, 40_000);
}

#[test]
fn no_history_of_humans_at_work_breaks_a_rule() {
    no_rule_is_broken(human(), 0, 10_491, 45_845);
}

#[test]
fn no_history_of_gatehound_being_killed_and_refused_breaks_a_rule() {
    no_rule_is_broken(gatehound(), 1, 2_244, 9_815);
}

#[test]
fn no_history_of_forced_stops_and_suspends_breaks_a_rule() {
    no_rule_is_broken(forced(), 0, 3_283, 17_281);
}

#[test]
fn no_history_of_updates_debuggers_and_port_holders_breaks_a_rule() {
    no_rule_is_broken(obstacles(), 0, 14_000, 58_800);
}

#[test]
fn no_history_of_starts_in_vain_breaks_a_rule() {
    no_rule_is_broken(starts(), 0, 1_000, 4_000);
}

#[test]
fn no_history_of_configurations_that_are_refused_breaks_a_rule() {
    no_rule_is_broken(rollback(), 0, 42_475, 139_768);
    no_rule_is_broken(no_rollback(), 1, 2_752, 8_044);
}

#[test]
fn no_history_of_a_gateway_that_is_up_and_useless_breaks_a_rule() {
    no_rule_is_broken(useless(), 0, 6_790, 28_349);
}

#[test]
fn no_history_of_everything_at_once_breaks_a_rule() {
    no_rule_is_broken(everything(), 2, 526, 2_177);
}
