//! What the policy does beside the ten rules: grace, the attempts, gave-up, standing by, and when it looks.

use std::time::Duration;

use crate::policy::{
    Event,
    answer::Answer,
    facts::Signal,
    grace::next_check,
    step,
    tests::action::Action,
    tests::world::{Active, Fault, Mood, World, broken, failure, healthy, secs, world},
    usefulness::READY_EVERY,
};
use crate::{
    policy::{
        facts::{Invocation, Monotonic, Stall},
        state::{BITE_AFTER, Bite, Phase, Standby, State, Step},
    },
    settings::{RetryAfter, Settings},
    text::words::span,
};

/// Seconds from the first failing check until the phase is left for the attempts.
fn grace_with(stall: Stall) -> u64 {
    let mut world = broken(stall);
    let first = world.now;
    world.run_until("backing-off");
    world.now.since(first).as_secs()
}

// Grace.

#[test]
fn each_stall_is_given_its_own_grace() {
    for (stall, expected) in [
        (Stall::Stopped, 0),
        (Stall::Gone, 10),
        (Stall::Deadlocked, 10),
        (Stall::Waiting, 180),
        (Stall::Disk, 120),
        (Stall::Starved, 180),
        (Stall::Blocked, 30),
        (Stall::Busy, 180),
        (Stall::Answering, 10),
    ] {
        assert_eq!(grace_with(stall), expected, "{stall:?}");
    }
}

#[test]
fn the_time_the_first_failing_probe_took_counts() {
    let mut world = healthy();
    world.look_takes = secs(5);
    world.breaks(Stall::Blocked);
    world.next_check();
    let Phase::Failing(grace_used) = &world.state.phase else {
        panic!("failing");
    };
    let left = grace_used
        .waited
        .left(Stall::Blocked, &world.settings.grace)
        .expect("grace is left");
    assert_eq!(left, secs(25));
}

#[test]
fn a_gateway_that_is_looked_at_while_failing_is_looked_at_every_five_seconds() {
    let mut world = broken(Stall::Busy);
    for _ in 0..10 {
        assert_eq!(world.state.next.since(world.now), secs(5));
        world.next_check();
    }
}

#[test]
fn the_grace_of_one_stall_is_not_used_up_by_another() {
    let mut world = broken(Stall::Busy);
    world.run_for(secs(170));
    world.breaks(Stall::Blocked);
    world.run_for(secs(20));
    assert_eq!(world.phase(), "failing");
    assert_eq!(world.texts("failing-otherwise").len(), 1);
    world.run_for(secs(10));
    assert_eq!(world.phase(), "backing-off");
}

#[test]
fn a_stall_that_turns_out_to_be_of_another_kind_keeps_the_time_it_has_used() {
    let mut world = broken(Stall::Blocked);
    world.run_for(secs(10));
    world.breaks(Stall::Deadlocked);
    world.next_check();
    assert_eq!(world.phase(), "backing-off");

    let mut world = broken(Stall::Blocked);
    world.run_for(secs(25));
    world.breaks(Stall::Waiting);
    world.run_for(secs(150));
    assert_eq!(world.phase(), "failing");
    world.run_for(secs(5));
    assert_eq!(world.phase(), "backing-off");
}

#[test]
fn a_stall_that_turns_out_to_have_more_time_is_not_restarted_after_the_backoff() {
    let mut world = broken(Stall::Blocked);
    let began = world.now;
    world.run_until("backing-off");
    world.breaks(Stall::Waiting);
    world.next_check();
    assert_eq!(world.phase(), "failing");
    assert_eq!(world.texts("failing-otherwise").len(), 1);
    world.run_until_does(&Action::Stop);
    assert!(secs(180) <= world.now.since(began));
    assert_eq!(world.state.attempts.used, 1);
}

#[test]
fn trouble_of_our_own_uses_up_no_grace() {
    let mut world = broken(Stall::Blocked);
    world.run_for(secs(10));
    world.mood = Mood::Unknown;
    world.run_for(secs(600));
    world.breaks(Stall::Blocked);
    world.run_for(secs(15));
    assert_eq!(world.phase(), "failing");
}

#[test]
fn trouble_of_our_own_neither_restarts_nor_forgives() {
    let mut world = broken(Stall::Blocked);
    world.run_for(secs(20));
    world.mood = Mood::Unknown;
    world.run_for(secs(600));
    world.breaks(Stall::Blocked);
    // Five of the thirty seconds are left over from before, less the look at which it began to fail.
    world.run_for(secs(20));
    assert_ne!(world.phase(), "failing");
}

#[test]
fn trouble_of_our_own_is_said_once_and_is_an_incident_once_it_lasts() {
    let mut world = healthy();
    world.mood = Mood::Unknown;
    world.run_for(secs(170));
    assert_eq!(world.texts("unknown").len(), 1);
    assert_eq!(world.state.incident, None);
    world.run_for(secs(600));
    assert_eq!(world.texts("unknown").len(), 1);
    let [said] = &world.texts("failing")[..] else {
        panic!("one incident");
    };
    assert!(
        said.contains("nobody can tell whether it works: too many open files"),
        "{said}"
    );
    assert_eq!(world.deeds(), []);
    world.fixes();
    world.run_for(secs(10));
    assert_eq!(world.phase(), "healthy");
    assert_eq!(world.texts("recovered").len(), 1);
}

#[test]
fn trouble_of_our_own_holds_a_attempt_back() {
    let mut world = broken(Stall::Blocked);
    world.run_until("backing-off");
    world.mood = Mood::Unknown;
    world.run_for(secs(600));
    assert_eq!(world.deeds(), []);
    world.breaks(Stall::Blocked);
    world.run_for(secs(10));
    assert_eq!(world.count(&Action::Stop), 1);
}

// Starting.

fn starting(progress: Option<bool>) -> World {
    let mut world = world();
    world.breaks(Stall::Gone);
    world.progress = progress;
    world
}

#[test]
fn a_start_with_progress_is_given_ten_minutes() {
    for progress in [Some(true), None] {
        let mut world = starting(progress);
        world.run_for(secs(599));
        assert_eq!(world.phase(), "starting");
        world.run_for(secs(5));
        assert_eq!(world.phase(), "backing-off");
    }
}

#[test]
fn a_start_without_progress_and_without_port_is_given_a_minute() {
    let mut world = starting(Some(false));
    world.run_for(secs(59));
    assert_eq!(world.phase(), "starting");
    world.run_for(secs(5));
    assert_eq!(world.phase(), "backing-off");
}

#[test]
fn a_start_is_judged_by_its_progress_with_its_port_as_without() {
    for (progress, expected) in [(Some(true), 600), (None, 600), (Some(false), 60)] {
        for stall in [Stall::Gone, Stall::Blocked, Stall::Busy, Stall::Answering] {
            let mut world = world();
            world.breaks(stall);
            world.progress = progress;
            let began = world.now;
            world.run_until("backing-off");
            assert_eq!(world.now.since(began), secs(expected), "{stall:?}");
        }
    }
}

#[test]
fn a_start_that_waits_for_what_is_known_is_given_the_time_for_that() {
    for (stall, expected) in [
        (Stall::Waiting, 180),
        (Stall::Disk, 120),
        (Stall::Starved, 180),
    ] {
        let mut world = world();
        world.breaks(stall);
        world.progress = Some(false);
        let began = world.now;
        world.run_until("backing-off");
        assert_eq!(world.now.since(began), secs(expected), "{stall:?}");
    }
}

#[test]
fn a_start_that_certainly_hangs_is_given_no_more_time_than_any_other_run() {
    for (stall, expected) in [(Stall::Stopped, 0), (Stall::Deadlocked, 10)] {
        for progress in [Some(true), Some(false), None] {
            let mut world = world();
            world.breaks(stall);
            world.progress = progress;
            let began = world.now;
            world.run_until("backing-off");
            assert_eq!(world.now.since(began), secs(expected), "{stall:?}");
        }
    }
}

#[test]
fn a_start_that_hangs_each_time_uses_up_its_attempts_within_minutes() {
    let mut world = world();
    world.breaks(Stall::Deadlocked);
    let began = world.now;
    world.run_until("gave-up");
    assert!(world.now.since(began) < secs(180), "{:?}", world.now);
}

#[test]
fn a_start_that_goes_on_after_all_has_the_rest_of_its_grace() {
    let mut world = world();
    world.breaks(Stall::Deadlocked);
    world.next_check();
    // In between it moved.
    world.breaks(Stall::Gone);
    world.run_for(secs(6));
    world.breaks(Stall::Deadlocked);
    world.run_for(secs(9));
    assert_eq!(world.phase(), "starting");
    world.run_until("backing-off");
    world.breaks(Stall::Busy);
    world.next_check();
    assert_eq!(world.phase(), "starting");
    assert_eq!(world.state.attempts.used, 0);
    world.run_for(secs(500));
    assert_eq!(world.deeds(), []);
    world.run_until_does(&Action::Stop);
}

#[test]
fn progress_now_and_then_is_progress() {
    let mut world = starting(Some(false));
    for _ in 0..9 {
        world.progress = Some(false);
        world.run_for(secs(55));
        world.progress = Some(true);
        world.run_for(secs(5));
    }
    assert_eq!(world.phase(), "starting");
}

#[test]
fn trouble_of_our_own_does_not_count_as_a_start_without_progress() {
    let mut world = starting(Some(false));
    world.run_for(secs(20));
    world.mood = Mood::Unknown;
    world.run_for(secs(120));
    world.breaks(Stall::Gone);
    world.run_for(secs(10));
    assert_eq!(world.phase(), "starting");
}

#[test]
fn a_gateway_up_for_longer_than_a_start_takes_counts_as_served_at_the_first_look() {
    let mut world = world();
    world.now = world.now + secs(601);
    world.state.next = world.now;
    world.watchdog_starts();
    world.breaks(Stall::Blocked);
    world.next_check();
    assert_eq!(world.phase(), "failing");
}

#[test]
fn a_gateway_up_for_less_than_a_start_takes_is_starting_at_the_first_look() {
    let mut world = world();
    world.now = world.now + secs(500);
    world.state.next = world.now;
    world.watchdog_starts();
    world.breaks(Stall::Blocked);
    world.run_for(secs(95));
    assert_eq!(world.phase(), "starting");
    world.run_until("backing-off");
    assert!(world.now.since(Monotonic(1_500_000_000)) <= secs(105));
}

#[test]
fn a_restarted_gateway_has_its_startup_grace_before_the_next_attempt() {
    let mut world = broken(Stall::Gone);
    world.run_until_does(&Action::Start);
    world.run_for(secs(590));
    assert_eq!(world.phase(), "starting");
    world.run_for(secs(20));
    assert_eq!(world.phase(), "backing-off");
}

#[test]
fn a_crash_is_left_to_systemd() {
    let mut world = healthy();
    world.exits(134);
    world.run_for(secs(90));
    assert_eq!(world.phase(), "healthy");
    assert_eq!(world.run, 2);
    assert_eq!(world.deeds(), []);
}

/// A healthy gateway crashes, and every run after it crashes this long after its start.
fn crashes_before_it_is_healthy(lives: u64) -> World {
    let mut world = healthy();
    world.breaks(Stall::Gone);
    world.exits(134);
    let end = world.now + secs(110);
    while world.now < end {
        while world.active != Active::Up {
            world.run_for(secs(1));
        }
        world.run_for(secs(lives));
        world.exits(1);
    }
    assert_eq!(world.deeds(), []);
    world
}

#[test]
fn crashes_before_health_open_one_incident_however_many_and_are_left_to_systemd() {
    // The longer-lived runs are seen up, the shorter-lived ones are not.
    for lives in [1, 4, 12] {
        let world = crashes_before_it_is_healthy(lives);
        let texts = world.texts("failing");
        assert_eq!(texts.len(), 1, "{lives}: {texts:?}");
        let seen = texts[0].contains("a run ended before it was healthy: exit status 1");
        let counted = texts[0].contains("systemd started it 3 times");
        assert!(seen || counted, "{texts:?}");
        assert_eq!(world.texts("backing-off").len(), 0, "{lives}");
    }
}

#[test]
fn an_incident_of_crashes_ends_when_a_run_is_healthy() {
    let mut world = crashes_before_it_is_healthy(4);
    let incident = world.state.incident.clone().expect("an incident");
    let began = world.state.down_since.expect("downtime");
    assert!(began < incident.since);
    world.fixes();
    world.run_until("healthy");
    let since = world.now;
    // One healthy check of a gateway that ends again and again says little.
    world.run_for(secs(330));
    assert_eq!(world.state.incident, None);
    let [recovered] = &world.texts("recovered")[..] else {
        panic!("one end");
    };
    let downtime = span(since.since(incident.since));
    assert!(recovered.contains(&downtime), "{recovered}, {downtime}");
}

#[test]
fn a_crash_now_and_then_opens_no_incident() {
    let mut world = healthy();
    for _ in 0..5 {
        world.exits(1);
        world.run_for(secs(420));
        assert_eq!(world.phase(), "healthy");
    }
    assert_eq!(world.texts("failing").len(), 0);
}

#[test]
fn rule_11_runs_that_end_again_and_again_are_one_incident_however_healthy_in_between() {
    for status in [0, 1] {
        let mut world = healthy();
        for _ in 0..6 {
            world.exits(status);
            world.run_for(secs(60));
            assert_eq!(world.phase(), "healthy");
        }
        let [said] = &world.texts("failing")[..] else {
            panic!("one incident, but {:?}", world.texts("failing"));
        };
        assert!(
            said.contains("systemd started it 3 times within 10 min"),
            "{said}"
        );
        assert_eq!(world.texts("recovered").len(), 0);
        assert!(
            world.status().contains("systemd started it 3 times"),
            "{}",
            world.status()
        );
        // Over once a run stays healthy for reset_after, and down until it became so.
        world.run_for(secs(300));
        assert_eq!(world.state.incident, None);
        assert_eq!(world.texts("recovered").len(), 1);
    }
}

#[test]
fn rule_11_runs_that_are_not_healthy_at_the_first_look_are_a_loop_all_the_same() {
    let mut world = healthy();
    for _ in 0..4 {
        world.fresh = Mood::Failing(Stall::Gone);
        world.exits(0);
        world.run_until("starting");
        world.mood = Mood::Healthy;
        world.run_until("healthy");
    }
    let [said] = &world.texts("failing")[..] else {
        panic!("one incident, but {:?}", world.texts("failing"));
    };
    assert!(
        said.contains("systemd started it 3 times within 10 min"),
        "{said}"
    );
}

#[test]
fn a_gateway_that_ended_by_itself_is_started_again_and_that_is_said() {
    let mut world = healthy();
    world.ends_by_itself();
    world.run_until("failing");
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Start), 1);
    let said = &world.texts("failing")[0];
    assert!(
        said.contains("it ended by itself with exit status 0, and systemd does not restart it (Restart=on-failure)"),
        "{said}"
    );
}

#[test]
fn a_gateway_that_ended_by_itself_before_anybody_watched_is_left_alone() {
    let mut world = world();
    world.ends_by_itself();
    world.run_for(secs(600));
    assert_eq!(world.standby(), Some(Standby::Stopped));
    assert_eq!(world.deeds(), []);
}

#[test]
fn a_restart_by_somebody_else_of_a_gateway_that_hangs_is_no_longer_than_our_own() {
    let mut world = broken(Stall::Blocked);
    world.ignores_sigterm = true;
    world.fresh = Mood::Healthy;
    world.human_restarts();
    let from = world.now;
    world.run_until("healthy");
    assert_eq!(world.deeds(), [Action::Kill]);
    assert!(world.now.since(from) < secs(60));
    assert_eq!(world.texts("restart-joined").len(), 1);
}

#[test]
fn a_restart_by_somebody_else_of_a_gateway_that_works_is_given_the_time_it_wants() {
    let mut world = healthy();
    world.stop_takes = secs(300);
    world.human_restarts();
    world.run_until("healthy");
    assert_eq!(world.deeds(), []);
}

#[test]
fn the_units_own_stop_that_joins_ours_is_no_humans_stop() {
    let mut world = broken(Stall::Blocked);
    world.exec_stop = true;
    world.ignores_sigterm = true;
    world.fresh = Mood::Healthy;
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Start), 1);
}

#[test]
fn a_humans_stop_beside_the_units_own_is_respected() {
    let mut world = broken(Stall::Blocked);
    world.exec_stop = true;
    world.stop_takes = secs(8);
    world.run_until_does(&Action::Stop);
    world.human_stops();
    world.run_until("standing-by");
    world.run_for(secs(600));
    assert_eq!(world.standby(), Some(Standby::Stopped));
    assert_eq!(world.count(&Action::Start), 0);
}

#[test]
fn what_is_left_of_an_earlier_run_and_has_the_port_is_cleaned_up_within_the_grace() {
    let mut world = healthy();
    world.left_over = true;
    world.exits(1);
    let from = world.now;
    world.run_until("backing-off");
    world.run_until("healthy");
    assert!(
        world.now.since(from) < secs(60),
        "{:?}",
        world.now.since(from)
    );
    assert_eq!(world.count(&Action::Cleanup(Signal::Term)), 1);
}

#[test]
fn a_start_that_somebody_else_ended_opens_no_incident() {
    let restarts: fn(&mut World) = World::human_restarts;
    let updates: fn(&mut World) = |world| {
        world.updating = true;
        world.exits(1);
    };
    let pauses: fn(&mut World) = |world| {
        world.paused = true;
        world.exits(1);
    };
    for ends in [restarts, updates, pauses] {
        let mut world = starting(None);
        world.run_for(secs(22));
        ends(&mut world);
        world.run_for(secs(60));
        assert_eq!(world.texts("failing").len(), 0);
    }
}

#[test]
fn what_is_done_after_crashes_before_health_is_the_same_whether_or_not_they_are_told() {
    /// The policy, to which every unit on its way up looks like one that somebody starts.
    fn blind(
        settings: &Settings,
        state: State,
        mut event: Event,
        now: Monotonic,
    ) -> (State, Answer) {
        if let Event::Looked(look) = &mut event
            && let Ok(unit) = &mut look.unit
        {
            unit.sub_state = "start".into();
        }
        step(settings, state, event, now)
    }
    let done = |step| {
        let mut world = starting(None);
        world.step = step;
        for _ in 0..3 {
            world.run_for(secs(22));
            world.exits(1);
        }
        world.run_for(secs(3600));
        world.fixes();
        world.run_for(secs(3600));
        let told = world.texts("failing").concat().contains("before it was");
        world
            .log
            .retain(|(_, action)| !matches!(action, Action::Record(_)));
        (told, world.log)
    };
    let (told, seen) = done(step);
    let (untold, unseen) = done(blind);
    assert!(told && !untold);
    assert_eq!(seen, unseen);
}

#[test]
fn a_hung_start_after_crashes_has_the_grace_of_any_start() {
    let mut world = starting(None);
    world.run_for(secs(22));
    world.exits(1);
    world.run_for(secs(5));
    assert!(world.state.incident.is_some());
    let up = world.now;
    world.run_until("backing-off");
    let waited = world.now.since(up);
    assert!(secs(595) <= waited && waited <= secs(610), "{waited:?}");
}

#[test]
fn a_unit_systemd_gave_up_on_is_not_starting() {
    let mut world = starting(None);
    world.next_check();
    world.start_limit_hit(0);
    let gone = world.now;
    world.run_until_does(&Action::Start);
    assert!(world.now.since(gone) < secs(60));
}

#[test]
fn a_unit_systemd_gave_up_on_is_started_even_if_its_last_runs_were_not_seen() {
    let mut world = healthy();
    world.start_limit_hit(9);
    world.next_check();
    world.run_until_does(&Action::Start);
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Stop), 0);
    assert_eq!(world.count(&Action::Start), 1);
    assert!(world.texts("recovered")[0].ends_with("restarted once"));
}

#[test]
fn another_gateway_that_serves_the_port_while_the_unit_is_down_is_named() {
    let mut world = healthy();
    world.exits(78);
    (world.other_serves, world.port_holder) = (true, true);
    world.next_check();
    assert_eq!(world.standby(), Some(Standby::OtherGateway));
    let said = world.status();
    let named = "another gateway serves the port: pid 9 (sshd) of user 1001";
    assert!(said.contains(named), "{said}");
    // It hangs: it is in the way, and nothing is done to it.
    world.other_serves = false;
    world.run_for(secs(600));
    assert_eq!(world.standby(), Some(Standby::PortTaken));
    assert_eq!(world.deeds(), []);
}

/// A stop that a human asked for is under way at Gatehound's first look.
fn being_stopped_at_first() -> World {
    let mut world = world();
    world.stop_takes = secs(60);
    world.human_stops();
    world.next_check();
    assert_eq!(world.standby(), Some(Standby::InTransition));
    world
}

#[test]
fn a_stop_that_was_seen_and_cancelled_is_not_held_against_a_unit_that_systemd_gives_up_on_later() {
    let mut world = being_stopped_at_first();
    world.cancel_stop();
    world.start_limit_hit(0);
    world.run_until_does(&Action::Start);
    world.run_until("healthy");
}

#[test]
fn a_stop_that_was_seen_is_remembered_although_the_unit_fails_over_it() {
    let mut world = being_stopped_at_first();
    world.advance(secs(60));
    world.active = Active::Failed;
    world.ended = ("exit-code", 1, 1);
    world.run_for(secs(3600));
    assert_eq!(world.standby(), Some(Standby::Stopped));
}

#[test]
fn a_run_that_was_only_seen_on_its_way_up_and_ended_by_itself_was_stopped_by_nobody() {
    let mut world = world();
    world.active = Active::Activating {
        until: world.now + secs(3),
    };
    world.next_check();
    assert_eq!(world.standby(), Some(Standby::InTransition));
    world.advance(secs(4));
    world.ends_by_itself();
    world.run_until_does(&Action::Start);
    world.run_until("healthy");
}

// The attempts.

#[test]
fn the_attempts_waits_five_ten_and_twenty_seconds() {
    let mut world = broken(Stall::Gone);
    world.run_until("gave-up");
    let taken = world.texts("backing-off");
    let delays: Vec<&str> = taken
        .iter()
        .filter_map(|text| text.split(" unless").next())
        .collect();
    assert_eq!(
        delays,
        [
            "attempt 1 of 3: restart in 5 s",
            "attempt 2 of 3: restart in 10 s",
            "attempt 3 of 3: restart in 20 s"
        ]
    );
    assert_eq!(world.count(&Action::Stop), 3);
    assert_eq!(world.count(&Action::Start), 3);
    assert!(world.texts("gave-up")[0].contains("3 restarts did not help"));
}

#[test]
fn each_attempt_waits_its_delay() {
    let mut world = broken(Stall::Gone);
    for delay in [5, 10, 20] {
        world.run_until("backing-off");
        let begun = world.now;
        world.run_until_does(&Action::Stop);
        assert_eq!(world.now.since(begun), secs(delay));
    }
}

#[test]
fn failures_closer_together_than_debounce_use_one_attempt() {
    let mut world = healthy();
    world.settings.grace.stopped = secs(0);
    world.settings.grace.starting_idle = secs(1);
    world.settings.grace.starting = secs(1);
    world.breaks(Stall::Stopped);
    world.run_until("backing-off");
    world.run_until_does(&Action::Start);
    world.run_until("backing-off");
    let Phase::BackingOff { attempt, .. } = world.state.phase else {
        panic!("backing off");
    };
    assert_eq!(attempt, 1);
    world.run_until("gave-up");
    assert_eq!(world.state.attempts.used, 3);
}

#[test]
fn a_attempt_counts_once_however_often_its_stop_is_refused() {
    let mut world = broken(Stall::Blocked);
    world.fresh = Mood::Healthy;
    world.faults = vec![Fault::Refused; 5];
    world.run_until("healthy");
    assert_eq!(world.state.attempts.used, 1);
    assert_eq!(world.count(&Action::Stop), 6);
}

#[test]
fn a_gateway_that_cannot_drain_gets_less_time_to_stop() {
    for (stall, expected) in [
        (Stall::Stopped, 3),
        (Stall::Deadlocked, 3),
        (Stall::Waiting, 10),
        (Stall::Disk, 10),
        (Stall::Starved, 10),
        (Stall::Blocked, 10),
        (Stall::Busy, 10),
        (Stall::Gone, 30),
        (Stall::Answering, 30),
    ] {
        let mut world = broken(stall);
        world.ignores_sigterm = true;
        world.run_until_does(&Action::Stop);
        let asked = world.now;
        world.run_until_does(&Action::Kill);
        assert_eq!(world.now.since(asked), secs(expected), "{stall:?}");
    }
}

#[test]
fn the_start_follows_the_end_of_the_stop_at_once() {
    let mut world = broken(Stall::Blocked);
    world.run_until_does(&Action::Stop);
    let asked = world.now;
    world.run_until_does(&Action::Start);
    // The toy gateway takes a second to end.
    assert!(world.now.since(asked) <= secs(1) + secs(1) / 5);
}

#[test]
fn a_cancelled_stop_holds_and_says_so() {
    let mut world = broken(Stall::Blocked);
    world.run_until_does(&Action::Stop);
    world.cancel_stop();
    world.run_for(secs(5));
    assert_eq!(world.phase(), "gave-up");
    assert!(world.texts("gave-up")[0].contains("cancelled"));
    assert_eq!(world.state.pending_start, None);
}

#[test]
fn a_stop_that_is_always_refused_holds_and_says_so() {
    let mut world = broken(Stall::Blocked);
    world.faults = vec![Fault::Refused; 50];
    world.run_until("gave-up");
    assert!(world.texts("gave-up")[0].contains("systemd did not stop the gateway"));
    assert_eq!(world.active, Active::Up);
    assert_eq!(world.state.pending_start, None);
}

/// Each start of the next run is in vain for the reason that `obstruct` gives.
fn starts_in_vain(obstruct: fn(&mut World)) -> World {
    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.run_until_does(&Action::Cleanup(Signal::Term));
    obstruct(&mut world);
    world
}

#[test]
fn rule_11_a_start_that_systemd_refuses_time_after_time_is_given_up_with_its_reason() {
    let mut world = starts_in_vain(|world| world.faults = vec![Fault::Refused; 200]);
    world.run_until("gave-up");
    let from = world.now;
    assert_eq!(
        world.texts("gave-up"),
        [
            "gave up: systemd was asked 10 times to start it, and no run began: refused by the test; next try in 15 min; see: gatehound incident"
        ]
    );
    let starts = world.times(&Action::Start, Monotonic(0));
    let pauses: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(world.state.pending_start.is_some());
    // Nothing is asked of systemd until the time to try again.
    world.run_for(secs(15 * 60 - 1));
    assert_eq!(world.times(&Action::Start, from), [0; 10]);
    world.faults.clear();
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Start), 11);
    assert_eq!(world.bites, 1);
}

#[test]
fn rule_11_a_start_that_leaves_the_unit_down_time_after_time_is_given_up() {
    // An unmet condition in the unit file: the job ends well and nothing runs.
    let mut world = starts_in_vain(|world| world.unmet_condition = true);
    world.run_until("gave-up");
    assert_eq!(world.count(&Action::Start), 10);
    assert!(
        world.texts("gave-up")[0].contains("no run began: the unit stays "),
        "{:?}",
        world.texts("gave-up")
    );
    // Nor are all of them taken together anew where they are in vain once more.
    world.run_for(secs(16 * 60));
    assert_eq!(world.texts("gave-up").len(), 2);
    assert_eq!(world.texts("retrying").len(), 1);
    world.unmet_condition = false;
    world.happens(Event::Reset);
    world.run_for(secs(60));
    assert_eq!(world.phase(), "healthy");
}

#[test]
fn rule_11_starts_count_however_long_each_of_them_waits_for_what_it_needs() {
    let mut world = starts_in_vain(|_| {});
    world.unmet_condition = true;
    for _ in 0..10 {
        world.start_is_queued = true;
        world.run_until_does(&Action::Start);
        world.run_until("standing-by");
        world.run_for(secs(90));
        // What it needs has failed, and the start with it.
        world.start_is_queued = false;
        world.job = None;
    }
    world.run_until("gave-up");
    assert_eq!(world.count(&Action::Start), 10);
}

#[test]
fn rule_11_a_tracer_that_stays_buys_its_half_hour_once_however_healthy_the_gateway_was() {
    let mut world = healthy();
    world.debugged = true;
    world.breaks(Stall::Blocked);
    world.run_until("standing-by");
    assert_eq!(world.standby(), Some(Standby::Debugged));
    world.run_for(secs(20 * 60));
    world.mood = Mood::Healthy;
    world.run_until("healthy");
    world.run_for(secs(11 * 60));
    // A successor knows of it as well.
    world.succeed();
    world.breaks(Stall::Blocked);
    world.log.clear();
    world.fresh = Mood::Healthy;
    world.debugged = true;
    world.next_check();
    assert_ne!(world.standby(), Some(Standby::Debugged));
    // Once it was seen gone, the next one has its own time.
    let mut world = healthy();
    world.debugged = true;
    world.breaks(Stall::Blocked);
    world.run_for(secs(20 * 60));
    world.debugged = false;
    world.mood = Mood::Healthy;
    world.run_until("healthy");
    world.run_for(secs(11 * 60));
    world.debugged = true;
    world.breaks(Stall::Blocked);
    world.run_until("standing-by");
    assert_eq!(world.standby(), Some(Standby::Debugged));
}

#[test]
fn a_start_that_is_queued_is_waited_for() {
    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.start_is_queued = true;
    world.run_until_does(&Action::Start);
    world.run_for(secs(60));
    assert_eq!(world.count(&Action::Start), 1);
}

#[test]
fn a_refused_kill_is_tried_again() {
    let mut world = broken(Stall::Blocked);
    world.fresh = Mood::Healthy;
    world.ignores_sigterm = true;
    world.run_until_does(&Action::Stop);
    world.faults = vec![Fault::Refused; 3];
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Kill), 4);
    assert_eq!(world.state.forced.len(), 1);
    assert_eq!(world.texts("gave-up").len(), 0);
}

#[test]
fn a_refused_cleanup_does_not_keep_the_gateway_down() {
    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.run_until_does(&Action::Stop);
    world.faults = vec![Fault::Refused];
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Start), 1);
}

#[test]
fn a_start_that_takes_its_time_is_still_gatehounds_restart() {
    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.start_takes = secs(20);
    world.run_until("healthy");
    assert!(world.texts("recovered")[0].ends_with("restarted once"));
}

// The cleanup.

#[test]
fn a_cleanup_is_term_and_kill_twice_and_then_gatehound_gives_up() {
    let mut world = broken(Stall::Gone);
    world.leftovers = u8::MAX;
    world.run_until("gave-up");
    assert_eq!(
        world.deeds()[1..],
        [Signal::Term, Signal::Kill, Signal::Term, Signal::Kill].map(Action::Cleanup)
    );
    assert!(world.state.pending_start.is_some());
}

#[test]
fn what_does_not_end_is_named_once_and_the_start_follows_when_it_has_ended() {
    let mut world = broken(Stall::Gone);
    world.leftovers = u8::MAX;
    world.run_until("gave-up");
    let held = world.texts("gave-up");
    assert!(held[0].contains("pid "), "{held:?}");
    let before = world.deeds().len();
    world.run_for(secs(600));
    assert_eq!(world.phase(), "gave-up");
    assert_eq!(world.texts("gave-up"), held);
    let since = world.deeds().split_off(before);
    assert!(
        since
            .iter()
            .all(|deed| *deed == Action::Cleanup(Signal::Term)),
        "{since:?}"
    );
    world.fixes();
    world.leftovers = 0;
    world.run_for(world.settings.interval + secs(5));
    assert_eq!(world.phase(), "healthy");
}

#[test]
fn a_cleanup_that_leaves_nobody_is_not_repeated() {
    let mut world = broken(Stall::Gone);
    world.run_until_does(&Action::Start);
    assert_eq!(
        world.deeds(),
        [Action::Stop, Action::Cleanup(Signal::Term), Action::Start]
    );
}

#[test]
fn processes_that_sigkill_does_not_end_hold_until_they_have_ended() {
    let mut world = broken(Stall::Blocked);
    world.fresh = Mood::Healthy;
    world.ignores_sigterm = true;
    world.ignores_sigkill = true;
    world.run_until("gave-up");
    assert!(world.texts("gave-up")[0].contains("SIGKILL does not end"));
    // systemd's own limit ends it in the end, and the start is still pending.
    world.run_until("healthy");
    assert_eq!(world.run, 2);
}

// Port holders.

#[test]
fn a_port_holder_on_the_port_is_named_and_holds_before_anything_is_stopped() {
    let mut world = broken(Stall::Gone);
    world.port_holder = true;
    world.next_check();
    assert_eq!(world.standby(), Some(Standby::PortTaken));
    world.run_for(secs(600));
    assert_eq!(world.deeds(), []);
    assert_eq!(world.texts("backing-off").len(), 0);
    let [said] = &world.texts("standing-by")[..] else {
        panic!("said once");
    };
    assert!(said.contains("pid 9 (sshd) of user 1001"), "{said}");
}

#[test]
fn a_port_holder_that_appears_during_backoff_holds() {
    let mut world = broken(Stall::Gone);
    world.run_until("backing-off");
    world.port_holder = true;
    world.run_until("standing-by");
    world.run_for(secs(600));
    assert_eq!(world.standby(), Some(Standby::PortTaken));
    assert_eq!(world.deeds(), []);
}

#[test]
fn a_port_holder_found_by_the_cleanup_holds_until_it_is_gone_and_then_the_start_follows() {
    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.run_until_does(&Action::Stop);
    world.port_holder = true;
    world.run_until("standing-by");
    world.run_for(secs(600));
    assert_eq!(world.standby(), Some(Standby::PortTaken));
    assert_eq!(world.count(&Action::Start), 0);
    assert_eq!(world.texts("standing-by").len(), 1);
    world.port_holder = false;
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Start), 1);
}

#[test]
fn where_the_gateway_listened_is_known_while_it_is_down() {
    let mut world = broken(Stall::Blocked);
    let sees = |world: &mut World, addresses: &str| {
        let mut look = world.look();
        look.listens = addresses.into();
        world.happens(Event::Looked(Box::new(look)));
    };
    sees(&mut world, "127.0.0.1 192.0.2.1");
    world.run_until_does(&Action::Stop);
    // Somebody of the same user takes the port meanwhile.
    assert_ne!(world.active, Active::Up);
    sees(&mut world, "127.0.0.9");
    world.succeed();
    assert_eq!(world.state.addresses.as_str(), "127.0.0.1 192.0.2.1");
}

// Gave-up.

#[test]
fn the_watchdog_bites_once_soon_after_the_attempts_are_used_up() {
    let mut world = broken(Stall::Gone);
    world.run_until("gave-up");
    let held = world.now;
    assert_eq!(
        world.log.last().map(|(_, last)| last),
        Some(&Action::Timeout(BITE_AFTER))
    );
    assert_eq!(BITE_AFTER, secs(2));
    world.run_for(secs(2));
    assert_eq!(world.bites, 1);
    assert_eq!(world.now.since(held), secs(2));
    world.run_for(secs(600));
    assert_eq!(world.bites, 1);
    assert_eq!(world.phase(), "gave-up");
}

#[test]
fn nothing_is_sent_while_the_watchdog_is_left_to_bite() {
    let mut world = broken(Stall::Gone);
    world.run_until("gave-up");
    let before = world.log.len();
    // systemd that runs no watchdog over Gatehound never bites.
    world.without_watchdog();
    world.run_for(secs(600));
    assert_eq!(world.log.len(), before);
}

#[test]
fn the_watchdog_does_not_bite_a_second_time_in_the_same_incident() {
    let mut world = broken(Stall::Gone);
    world.run_until("gave-up");
    world.run_for(secs(3600 * 12));
    assert!(2 < world.texts("gave-up").len());
    assert_eq!(world.bites, 1);
}

#[test]
fn the_watchdog_bites_again_in_another_incident() {
    let mut world = broken(Stall::Gone);
    world.run_until("gave-up");
    world.run_for(secs(60));
    world.human_starts();
    world.fixes();
    world.human_restarts();
    world.run_until("healthy");
    world.breaks(Stall::Gone);
    world.run_until("gave-up");
    world.run_for(secs(60));
    assert_eq!(world.bites, 2);
}

#[test]
fn a_gateway_that_recovers_after_giving_up_is_found_healthy() {
    let mut world = broken(Stall::Gone);
    world.run_until("gave-up");
    world.run_for(secs(60));
    world.fixes();
    world.run_for(secs(31));
    assert_eq!(world.phase(), "healthy");
}

#[test]
fn the_attempts_are_made_again_after_retry_after() {
    let mut world = broken(Stall::Gone);
    world.run_until("gave-up");
    let held = world.now;
    world.log.clear();
    world.run_until_does(&Action::Stop);
    let rest = world.now.since(held);
    assert!(
        secs(15 * 60) < rest && rest < secs(16 * 60 + 10),
        "{rest:?}"
    );
    assert_eq!(world.texts("retrying").len(), 1);
    assert!(world.texts("backing-off")[0].starts_with("attempt 1 of 3"));
}

#[test]
fn the_attempts_are_never_made_again_when_retry_after_is_never() {
    let mut world = broken(Stall::Gone);
    world.settings.retry_after = RetryAfter::Never;
    world.run_until("gave-up");
    world.log.clear();
    world.run_for(secs(86_400));
    assert_eq!(world.deeds(), []);
    assert!(world.status().ends_with("fix it, then: gatehound reset"));
}

#[test]
fn a_reset_tries_the_attempts_again_from_its_first_attempt() {
    let mut world = broken(Stall::Gone);
    world.settings.retry_after = RetryAfter::Never;
    world.run_until("gave-up");
    world.run_for(secs(600));
    world.log.clear();
    world.happens(Event::Reset);
    assert_eq!(world.phase(), "failing");
    world.run_until_does(&Action::Stop);
    assert!(world.texts("backing-off")[0].starts_with("attempt 1 of 3"));
}

#[test]
fn a_reset_does_not_disturb_a_healthy_gateway_or_a_restart_under_way() {
    let mut world = healthy();
    world.happens(Event::Reset);
    assert_eq!(world.phase(), "healthy");

    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.run_until_does(&Action::Stop);
    world.happens(Event::Reset);
    assert_eq!(world.phase(), "restarting");
    world.run_until("healthy");
    assert_eq!(world.run, 2);
}

#[test]
fn a_reset_while_a_start_is_pending_does_not_lose_it() {
    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.leftovers = 5;
    world.run_until("gave-up");
    world.leftovers = 0;
    world.happens(Event::Reset);
    world.run_until("healthy");
    assert_eq!(world.run, 2);
}

// Recovery.

#[test]
fn a_gateway_that_recovers_while_failing_is_found_healthy_and_nothing_was_done() {
    let mut world = broken(Stall::Busy);
    world.run_for(secs(100));
    world.fixes();
    world.run_for(secs(5));
    assert_eq!(world.phase(), "healthy");
    assert_eq!(world.deeds(), []);
    assert!(world.texts("recovered")[0].contains("by itself"));
}

#[test]
fn a_restart_that_helped_is_said_with_the_downtime() {
    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.run_until("healthy");
    assert!(
        world.texts("recovered")[0].starts_with("gateway healthy again after 46 s"),
        "{:?}",
        world.texts("recovered")
    );
    assert!(world.texts("recovered")[0].ends_with("restarted once"));
}

#[test]
fn every_record_of_an_incident_carries_its_id() {
    let mut world = healthy();
    world.breaks(Stall::Gone);
    world.next_check();
    let id = world
        .state
        .incident
        .as_ref()
        .map(|incident| incident.id.clone())
        .expect("an incident is open");
    world.fresh = Mood::Healthy;
    world.run_until("restarting");
    world.run_until("healthy");
    for noted in world.noted() {
        assert_eq!(noted.incident.as_ref(), Some(&id), "{noted:?}");
    }
    assert_eq!(
        world.events(),
        [
            "failing",
            "backing-off",
            "stopping",
            "starting",
            "new-invocation",
            "recovered"
        ]
    );
}

#[test]
fn what_is_said_in_the_step_that_ends_an_incident_carries_its_id() {
    let mut world = broken(Stall::Blocked);
    let id = world.state.incident.as_ref().map(|open| open.id.clone());
    // Killed and started anew between two looks.
    world.run += 1;
    world.since = world.now;
    world.fixes();
    world.next_check();
    assert_eq!(world.events(), ["failing", "new-invocation", "recovered"]);
    for noted in world.noted().iter().skip(1) {
        assert_eq!(noted.incident, id, "{noted:?}");
    }
}

#[test]
fn an_incident_is_named_by_the_run_that_the_look_saw_else_by_the_boot() {
    let id = |run: Option<&str>, seed: Option<u64>| {
        let mut world = world();
        world.state.seed = seed;
        world.start_limit_hit(0);
        let mut look = world.look();
        if let Ok(unit) = &mut look.unit {
            unit.invocation_id = run.map(|run| Invocation(run.to_owned()));
        }
        world.happens(Event::Looked(Box::new(look)));
        world.state.incident.expect("an incident").id
    };
    assert!(id(Some("c0ffee0012345678"), Some(7)).starts_with("c0ffee00-"));
    assert!(id(None, Some(0xbeef_0000_1234_5678)).starts_with("beef0000-"));
    assert!(id(None, Some(0xbeef)).starts_with("00000000-"));
}

// Standing by.

#[test]
fn a_restart_that_was_never_begun_is_not_said_to_have_helped() {
    let mut world = broken(Stall::Blocked);
    world.faults = vec![Fault::Refused];
    world.run_until_does(&Action::Stop);
    world.fixes();
    world.run_until("healthy");
    assert!(world.texts("recovered")[0].contains("by itself"));
}

#[test]
fn a_start_that_ran_out_of_grace_is_not_said_to_be_given_more() {
    let mut world = starting(Some(false));
    world.run_until("backing-off");
    assert!(world.texts("failing")[0].starts_with("gateway down: "));
}

#[test]
fn each_reason_to_stand_by_is_named_and_left_when_it_is_gone() {
    type Change = fn(&mut World, bool);
    let reasons: [(Standby, Change); 6] = [
        (Standby::Paused, |world, on| world.paused = on),
        (Standby::Updating, |world, on| world.updating = on),
        (Standby::Debugged, |world, on| {
            world.debugged = on;
            if on {
                world.breaks(Stall::Stopped);
            }
        }),
        (Standby::Frozen, |world, on| world.frozen = on),
        (Standby::NoUnit, |world, on| world.no_unit = on),
        (Standby::InTransition, |world, on| {
            world.active = if on {
                Active::Activating {
                    until: Monotonic(u64::MAX),
                }
            } else {
                Active::Up
            };
        }),
    ];
    for (reason, change) in reasons {
        for stall in [None, Some(Stall::Stopped)] {
            let mut world = stall.map_or_else(healthy, broken);
            change(&mut world, true);
            world.run_for(secs(600));
            assert_eq!(world.standby(), Some(reason));
            assert_eq!(world.deeds(), []);
            assert_eq!(world.texts("standing-by").len(), 1);
            assert!(
                world
                    .status()
                    .starts_with(&format!("standing-by: {}", reason.name())),
                "{}",
                world.status()
            );
            world.fixes();
            change(&mut world, false);
            world.run_for(secs(31));
            assert_eq!(world.phase(), "healthy", "{reason:?}");
        }
    }
}

#[test]
fn a_failing_gateway_without_a_bus_is_stood_by() {
    let mut world = broken(Stall::Stopped);
    world.no_bus = true;
    world.run_for(secs(600));
    assert_eq!(world.standby(), Some(Standby::NoBus));
    assert_eq!(world.deeds(), []);
    world.no_bus = false;
    world.run_until_does(&Action::Stop);
}

#[test]
fn a_healthy_gateway_without_a_bus_is_found_healthy() {
    let mut world = healthy();
    world.no_bus = true;
    world.run_for(secs(600));
    assert_eq!(world.phase(), "healthy");
    assert_eq!(world.pings(), 20);
}

#[test]
fn a_gateway_stopped_by_gatehound_without_a_bus_is_stood_by_and_then_started() {
    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.run_until_does(&Action::Stop);
    world.no_bus = true;
    world.run_for(secs(600));
    assert_eq!(world.standby(), Some(Standby::NoBus));
    world.no_bus = false;
    world.run_until("healthy");
    assert_eq!(world.run, 2);
}

#[test]
fn a_pause_is_named_as_the_reason_even_without_a_bus() {
    let mut world = healthy();
    world.no_bus = true;
    world.paused = true;
    world.run_for(secs(60));
    assert_eq!(world.standby(), Some(Standby::Paused));
}

#[test]
fn an_incident_that_a_human_ended_by_stopping_the_gateway_is_closed() {
    let mut world = broken(Stall::Busy);
    world.human_stops();
    world.run_for(secs(60));
    assert_eq!(world.state.incident, None);
    assert!(world.texts("recovered")[0].starts_with("gateway stopped by a human after failing"));
}

#[test]
fn a_pause_restarts_the_grace() {
    let mut world = broken(Stall::Blocked);
    world.run_for(secs(25));
    world.paused = true;
    world.run_for(secs(60));
    world.paused = false;
    world.run_until("failing");
    world.run_for(secs(25));
    assert_eq!(world.phase(), "failing");
}

#[test]
fn a_run_that_was_healthy_while_nothing_was_judged_does_not_hang_in_its_start_later() {
    let obstacles: [fn(&mut World, bool); 2] = [
        |world, on| world.paused = on,
        |world, on| world.updating = on,
    ];
    for obstacle in obstacles {
        // A run that began before it, and one that began within it.
        for known in [true, false] {
            let mut world = healthy();
            world.fresh = Mood::Failing(Stall::Gone);
            if known {
                world.human_restarts();
                world.run_until("starting");
            }
            obstacle(&mut world, true);
            world.run_until("standing-by");
            if !known {
                world.human_restarts();
            }
            world.run_for(secs(120));
            world.mood = Mood::Healthy;
            world.run_for(secs(120));
            world.breaks(Stall::Blocked);
            obstacle(&mut world, false);
            world.next_check();
            assert_eq!(world.phase(), "failing", "known: {known}");
        }
    }
}

// A successor.

#[test]
fn a_successor_of_a_gatehound_that_gave_up_sends_watchdog_timeouts() {
    let mut world = broken(Stall::Gone);
    world.run_until("gave-up");
    world.succeed();
    assert!(matches!(
        world.state.phase,
        Phase::GaveUp {
            bite: Bite::Done,
            ..
        }
    ));
    assert!(world.state.incident.as_ref().is_some_and(|it| it.bitten));
    world.run_for(secs(600));
    assert_eq!(world.bites, 0);
}

#[test]
fn a_successor_gives_a_failing_gateway_its_whole_grace_again() {
    let mut world = broken(Stall::Blocked);
    world.run_for(secs(25));
    world.succeed();
    world.run_for(secs(25));
    assert_eq!(world.phase(), "failing");
    world.run_for(secs(5));
    assert_eq!(world.phase(), "backing-off");
}

#[test]
fn a_successor_goes_on_with_the_attempts_where_it_was() {
    let mut world = broken(Stall::Gone);
    world.run_until_does(&Action::Start);
    world.succeed();
    world.run_until("backing-off");
    assert!(
        world.status().contains("attempt 2 of 3"),
        "{}",
        world.status()
    );
}

#[test]
fn the_loop_does_not_probe_a_gateway_it_has_asked_to_stop() {
    let mut world = broken(Stall::Blocked);
    world.ignores_sigterm = true;
    world.run_until_does(&Action::Stop);
    assert!(!world.state.wants_probes());
    assert!(matches!(world.restart_step(), Some(Step::Stopping { .. })));
}

#[test]
fn a_stop_that_systemd_did_not_take_is_decided_with_probes() {
    let mut world = broken(Stall::Blocked);
    world.faults = vec![Fault::Refused];
    world.run_until_does(&Action::Stop);
    assert!(world.state.wants_probes());
}

#[test]
fn status_says_what_the_design_promises() {
    let mut world = healthy();
    world.settings = Settings {
        reset_after: secs(3600 * 24),
        ..world.settings
    };
    world.run_for(secs(4 * 3600 + 12 * 60));
    assert_eq!(world.status(), "healthy: / and /health 3 ms, up 4 h 12 min");

    let mut world = broken(Stall::Blocked);
    world.state.attempts.used = 1;
    world.run_until("backing-off");
    let Phase::BackingOff { until, .. } = world.state.phase else {
        panic!("backing off");
    };
    assert_eq!(until.since(world.now), secs(10));
    // The incident began 18 s earlier than this failure, before the attempt before.
    if let Some(incident) = &mut world.state.incident {
        incident.since.0 -= 18_000_000;
    }
    assert_eq!(
        world.status(),
        "backing-off: attempt 2 of 3: event loop blocked for 48 s (http: no answer within 5 s), \
         restart in 10 s unless it recovers"
    );
    assert_eq!(
        world.state.incident.as_ref().map(|it| &it.failure),
        Some(&failure(Stall::Blocked))
    );
}

// What is said of a gateway beside its health.

#[test]
fn evidence_is_kept_before_anything_is_destroyed() {
    let mut world = broken(Stall::Blocked);
    world.run_until("backing-off");
    world.run_until_does(&Action::Stop);
    let at = |action| world.log.iter().position(|(_, done)| *done == action);
    assert!(at(Action::KeepEvidence) < at(Action::Stop));
    assert_eq!(world.count(&Action::KeepEvidence), 1);
}

#[test]
fn the_look_that_ends_a_backoff_takes_evidence() {
    let mut world = broken(Stall::Blocked);
    world.run_until("backing-off");
    let World {
        state, settings, ..
    } = &world;
    let stall = state.wants_evidence(settings, world.now);
    assert_eq!(stall, Some(&failure(Stall::Blocked)));
    let patient = healthy();
    let now = patient.now;
    assert_eq!(patient.state.wants_evidence(settings, now), None);
}

/// How long a world has been healthy and degraded until it says so; the world goes on from there.
fn until_said(world: &mut World) -> Duration {
    let since = world.now;
    for _ in 0..100 {
        if !world.texts("degraded").is_empty() {
            return world.now.since(since);
        }
        world.next_check();
    }
    panic!("never said: {}", world.status());
}

#[test]
fn a_healthy_gateway_is_asked_every_two_minutes_whether_all_of_it_works() {
    let mut world = healthy();
    world.run_for(secs(20 * 60));
    let asked = world.count(&Action::AskReadiness);
    assert_eq!(asked, 10);
}

#[test]
fn a_channel_that_fails_for_five_minutes_is_said_to_and_one_that_does_not_is_not() {
    let mut world = healthy();
    world.degraded = Some("channel telegram".into());
    world.run_for(secs(6 * 60));
    world.degraded = None;
    world.run_for(secs(60));
    // It was first asked two minutes after the check that found all of it in order.
    assert_eq!(world.texts("degraded"), Vec::<String>::new());

    world.degraded = Some("channel telegram".into());
    let took = until_said(&mut world);
    let least = world.settings.degraded_after;
    assert!(least <= took && took <= least + READY_EVERY, "{took:?}");
    let said = "degraded: channel telegram";
    assert!(world.status().ends_with(said), "{}", world.status());

    world.degraded = None;
    world.next_check();
    assert!(!world.status().contains("degraded"), "{}", world.status());
    assert_eq!(world.texts("no-longer-degraded").len(), 1);
    assert_eq!(world.texts("degraded").len(), 1);
}

#[test]
fn a_gateway_that_is_up_and_useless_is_never_restarted_for_it() {
    for breaker in [None, Some("restart-loop breaker tripped".into())] {
        let mut world = healthy();
        world.degraded = Some("channel telegram".into());
        world.breaker = breaker;
        world.run_for(secs(24 * 60 * 60));
        assert_eq!(world.phase(), "healthy");
        assert!(world.status().ends_with("channel telegram"));
        assert_eq!(world.count(&Action::Stop) + world.count(&Action::Start), 0);
    }
}

#[test]
fn a_breaker_that_tripped_is_said_in_the_first_healthy_check_of_any_run() {
    let mut world = healthy();
    world.breaker = Some("restart-loop breaker tripped".into());
    // Not Gatehound's doing.
    world.human_restarts();
    world.run_for(secs(60));
    assert_eq!(world.texts("degraded").len(), 1);
    world.run_for(secs(60 * 60));
    assert_eq!(world.texts("degraded").len(), 1);

    world.breaker = None;
    world.run_for(READY_EVERY + secs(60));
    assert_eq!(world.texts("no-longer-degraded").len(), 1);
}

#[test]
fn what_a_start_has_not_started_yet_is_not_degraded_until_no_start_takes_that_long() {
    let mut world = world();
    world.degraded = Some("startup-sidecars".into());
    let took = until_said(&mut world);
    let grace = world.settings.grace.starting;
    assert!(grace <= took && took < grace + secs(60), "{took:?}");
}

#[test]
fn a_restart_does_not_end_what_is_degraded_unless_the_next_run_says_so() {
    let mut world = healthy();
    world.degraded = Some("channel telegram".into());
    until_said(&mut world);
    world.human_restarts();
    world.run_for(secs(60));
    world.run_for(secs(60 * 60));
    assert_eq!(world.texts("degraded").len(), 1);
    assert_eq!(world.texts("no-longer-degraded").len(), 0);

    world.human_restarts();
    // Its channels are looked at once its start is over.
    world.degraded = Some("startup-sidecars".into());
    world.run_for(secs(60));
    assert_eq!(world.texts("no-longer-degraded").len(), 0);
    world.degraded = None;
    world.next_check();
    assert_eq!(world.texts("no-longer-degraded").len(), 1);
}

#[test]
fn a_channel_that_fails_at_each_of_two_looks_far_apart_may_have_worked_in_between() {
    let mut world = healthy();
    world.degraded = Some("channel telegram".into());
    world.run_for(secs(3 * 60));
    world.paused = true;
    world.run_for(secs(60 * 60));
    world.paused = false;
    world.run_until("healthy");
    assert!(world.texts("degraded").is_empty());
    until_said(&mut world);
}

#[test]
fn rule_10_a_suspend_gives_a_channel_its_time_again() {
    let mut world = healthy();
    world.degraded = Some("channel telegram".into());
    world.run_for(secs(6 * 60));
    world.happens(Event::Resumed);
    world.next_check();
    assert!(world.texts("degraded").is_empty());
    until_said(&mut world);
}

/// A hang that ends by itself within its grace, in the middle of the time between two checks.
fn hang_for_a_while(world: &mut World) {
    world.run_for(secs(10));
    world.breaks(Stall::Blocked);
    world.run_until("failing");
    world.run_for(secs(10));
    world.fixes();
    world.run_until("healthy");
}

#[test]
fn a_gateway_that_comes_and_goes_is_said_to_and_not_restarted() {
    let mut world = healthy();
    for times in 1..=5 {
        hang_for_a_while(&mut world);
        assert_eq!(world.texts("flapping").len(), usize::from(3 <= times));
    }
    let text = &world.texts("flapping")[0];
    assert!(
        text.starts_with("gateway comes and goes: it failed 3 times within "),
        "{text}"
    );
    assert_eq!(world.count(&Action::Stop), 0);
    assert!(world.texts("no-longer-flapping").is_empty());
    world.run_for(world.settings.reset_after + secs(60));
    assert_eq!(world.texts("no-longer-flapping").len(), 1);
    // Three within a day are no pattern.
    world.log.clear();
    for _ in 0..3 {
        hang_for_a_while(&mut world);
        world.run_for(secs(3600));
    }
    assert!(world.texts("flapping").is_empty());
}

#[test]
fn a_downtime_begins_where_the_last_healthy_check_ended() {
    let mut world = healthy();
    let worked = world.now;
    world.breaks(Stall::Blocked);
    world.run_until("failing");
    assert!(secs(20) <= world.now.since(worked));
    assert_eq!(world.state.down_since, Some(worked));
    world.fixes();
    world.run_until("healthy");
    let down = world.now.since(worked);
    let recovered = &world.texts("recovered")[0];
    assert!(recovered.contains(&span(down)), "{recovered} {down:?}");
    assert_eq!(world.state.down_since, None);
}

#[test]
fn a_downtime_begins_where_the_last_pulse_saw_it_run_but_not_where_it_answers_wrongly() {
    let since = |stall| {
        let mut world = healthy();
        let worked = world.now;
        world.breaks(stall);
        world.ran_after = Some(worked + secs(15));
        world.run_until("failing");
        world.state.down_since.map(|since| since.since(worked))
    };
    for stall in [Stall::Gone, Stall::Deadlocked, Stall::Busy] {
        assert_eq!(since(stall), Some(secs(15)));
    }
    assert_eq!(since(Stall::Answering), Some(secs(0)));
}

#[test]
fn a_downtime_of_which_nobody_saw_the_beginning_begins_with_the_first_failing_check() {
    let mut world = healthy();
    world.breaks(Stall::Blocked);
    world.now = world.now + secs(60);
    world.happens(Event::HeldUp(secs(30)));
    world.run_until("failing");
    let since = world.state.incident.as_ref().map(|incident| incident.since);
    assert_eq!(world.state.down_since, since);
}

#[test]
fn what_nobody_wants_up_is_not_down() {
    let mut world = healthy();
    world.human_stops();
    world.run_until("standing-by");
    world.human_starts();
    world.mood = Mood::Failing(Stall::Gone);
    world.run_until("starting");
    assert_eq!(world.state.down_since, None);
}

#[test]
fn a_crash_and_the_start_after_it_are_downtime() {
    let mut world = healthy();
    let worked = world.now;
    world.fresh = Mood::Failing(Stall::Gone);
    world.exits(1);
    world.run_until("starting");
    assert_eq!(world.state.down_since, Some(worked));
    world.fixes();
    world.run_until("healthy");
    assert_eq!(world.state.down_since, None);
}

#[test]
fn a_gatehound_that_is_always_late_restarts_a_hung_gateway_all_the_same() {
    let mut world = broken(Stall::Blocked);
    let gap = secs(8);
    for _ in 0..20 {
        world.now = world.now + gap;
        world.happens(Event::HeldUp(gap));
        world.next_check();
        world.next_check();
        if world.phase() == "backing-off" {
            return;
        }
    }
    panic!("it has its grace anew for ever: {}", world.status());
}

#[test]
fn what_passes_while_gatehound_is_held_up_does_not_count() {
    let mut world = broken(Stall::Blocked);
    for _ in 0..3 {
        let gap = secs(3600);
        world.now = world.now + gap;
        world.happens(Event::HeldUp(gap));
        assert_eq!(world.phase(), "failing");
    }
    let mut world = world_that_starts();
    world.now = world.now + secs(3600);
    world.happens(Event::HeldUp(secs(3600)));
    world.next_check();
    assert_eq!(world.phase(), "starting");
}

fn world_that_starts() -> World {
    let mut world = world();
    world.mood = Mood::Failing(Stall::Gone);
    world.next_check();
    assert_eq!(world.phase(), "starting");
    world
}

#[test]
fn a_unit_systemd_gave_up_on_is_said_to_be() {
    let mut world = healthy();
    world.start_limit_hit(9);
    world.run_until("backing-off");
    let said = &world.texts("failing")[0];
    assert!(said.contains("systemd gave up: start-limit-hit"), "{said}");
}

// Where in the interval checks fall.

/// The seconds after boot of the first healthy checks of a Gatehound with this seed.
fn healthy_checks(seed: Option<u64>, checks: usize) -> Vec<Duration> {
    let mut world = world();
    world.state.seed = seed;
    let check = |_| {
        world.next_check();
        world.now.since(Monotonic::default())
    };
    (0..checks).map(check).collect()
}

#[test]
fn gatehounds_that_begin_together_part_with_the_second_check() {
    let seeds = (0..100_u64).map(|seed| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let all: Vec<Vec<Duration>> = seeds.map(|seed| healthy_checks(Some(seed), 4)).collect();
    assert!(all.iter().all(|checks| checks[0] == all[0][0]));
    let busiest = |check: usize| {
        let second = |checks: &Vec<Duration>| checks[check].as_secs();
        let begins = all.iter().map(second);
        let with = |begin| all.iter().filter(|checks| second(checks) == begin).count();
        begins.map(with).max().expect("a hundred")
    };
    assert_eq!(busiest(0), 100);
    for check in 1..4 {
        assert!(busiest(check) <= 10, "{}", busiest(check));
    }
}

#[test]
fn a_seed_makes_one_wait_shorter_and_none_longer() {
    let interval = Settings::default().interval;
    for seed in [0, 1, 999_999, 29_999_999, 30_000_000, u64::MAX] {
        let checks = healthy_checks(Some(seed), 5);
        let waits: Vec<Duration> = checks.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(waits[0] <= interval, "{seed}: {waits:?}");
        assert!(
            waits[1..].iter().all(|wait| *wait == interval),
            "{seed}: {waits:?}"
        );
    }
    let unseeded = healthy_checks(None, 3);
    assert!(unseeded.windows(2).all(|two| two[1] - two[0] == interval));
}

#[test]
fn a_check_at_an_odd_moment_does_not_move_the_later_ones() {
    let mut world = world();
    world.state.seed = Some(7_000_000);
    world.next_check();
    world.next_check();
    let chosen = world.now;
    world.now = world.now + secs(11);
    world.state.next = world.now;
    world.next_check();
    world.next_check();
    assert_eq!(world.now, chosen + world.settings.interval);
}

#[test]
fn soon_after_boot_and_with_any_interval_the_next_check_is_within_the_interval() {
    for interval in [1, 99_999, 100_000, 30_000_000, 31_557_600_000_000] {
        for (now, seed) in [(0, 0), (0, u64::MAX), (1, 29_000_000), (u64::MAX - 5, 3)] {
            let (began, interval) = (Monotonic(now), Duration::from_micros(interval));
            let wait = next_check(began, interval, Some(seed)).since(began);
            assert!(wait <= interval, "{interval:?} {now} {seed}: {wait:?}");
            let is_next = began < next_check(began, interval, Some(seed)) || u64::MAX - 5 == now;
            assert!(is_next, "{interval:?} {now} {seed}");
        }
    }
}
