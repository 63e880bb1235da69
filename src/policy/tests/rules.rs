//! The rules of the design, each held by the tests that carry its number.

use std::time::Duration;

use crate::policy::{
    Done, Event, NotRestored,
    answer::Effect,
    facts::Signal,
    overdue::bound_of,
    step,
    tests::action::{Action, actions},
    tests::world::{Active, Fault, Mood, World, broken, healthy, secs, world},
};
use crate::{
    policy::{
        facts::{Job, JobKind, Look, Stall},
        record::{Ended, Record},
        state::{Bite, Phase, Standby, Step},
    },
    settings::{Rollback, Settings},
};

/// A look at the world as it is, changed by hand.
fn sees(world: &mut World, change: impl FnOnce(&mut Look)) {
    let mut look = world.look();
    change(&mut look);
    world.happens(Event::Looked(Box::new(look)));
}

// Rule 1: `WATCHDOG=1` only right after a check in which all three probes passed.

#[test]
fn rule_1_a_healthy_check_is_answered_with_a_ping() {
    let mut world = world();
    world.next_check();
    assert_eq!(world.pings(), 1);
    world.run_for(secs(300));
    assert_eq!(world.pings(), 11);
}

#[test]
fn rule_1_no_ping_is_sent_from_the_first_failing_check_to_recovery() {
    let mut world = broken(Stall::Blocked);
    world.run_until("restarting");
    assert_eq!(world.pings(), 0);
    world.fresh = Mood::Healthy;
    world.run_until("healthy");
    assert_eq!(world.pings(), 1);
}

#[test]
fn rule_1_trouble_of_our_own_is_not_answered_with_a_ping() {
    let mut world = healthy();
    world.mood = Mood::Unknown;
    world.run_for(secs(600));
    assert_eq!(world.pings(), 0);
    assert_eq!(world.phase(), "failing");
}

#[test]
fn rule_1_what_answers_while_the_unit_is_down_gets_no_ping() {
    let down: [fn(&mut World); 2] = [World::ends_by_itself, |world| world.start_limit_hit(1)];
    for goes_down in down {
        let mut world = healthy();
        goes_down(&mut world);
        world.other_serves = true;
        world.run_for(secs(600));
        assert_eq!(world.pings(), 0);
        assert_eq!(world.deeds(), []);
        assert_eq!(world.standby(), Some(Standby::OtherGateway));
        assert!(world.state.incident.is_some(), "{:?}", world.state);
    }
}

// Rule 2: a watchdog timeout is finite, names what it waits for, and the first ping after it restores WatchdogSec.

#[test]
fn rule_2_the_first_ping_after_a_timeout_restores_the_units_own_watchdog() {
    let mut world = healthy();
    world.run_for(secs(60));
    assert_eq!(world.count(&Action::Ping { restore: true }), 0);
    world.mood = Mood::Failing(Stall::Busy);
    world.run_for(secs(40));
    world.fixes();
    world.run_for(secs(60));
    assert_eq!(world.count(&Action::Ping { restore: true }), 1);
    assert!(1 < world.pings());
}

#[test]
fn rule_2_a_successor_restores_the_units_own_watchdog() {
    let mut world = healthy();
    world.succeed();
    world.next_check();
    assert_eq!(world.count(&Action::Ping { restore: true }), 1);
}

#[test]
fn rule_2_a_loop_that_wedges_under_a_timeout_is_ended_by_systemd() {
    // The toy systemd fails a test in which the watchdog bites; this is that it would.
    let mut world = broken(Stall::Busy);
    world.run_until("failing");
    let wedged = world.state.next;
    let mut timeouts = world.log.iter().filter_map(|(at, done)| match done {
        Action::Timeout(timeout) => Some(*at + *timeout),
        _ => None,
    });
    let bite = timeouts
        .next_back()
        .expect("failing is under a watchdog timeout");
    assert!(wedged < bite && bite.since(wedged) < secs(300));
}

// Rule 3: nothing is done while paused, stopped by a human, in a transition, or during an update.

#[track_caller]
fn does_nothing_for_an_hour(mut world: World, reason: Standby) -> World {
    world.run_for(secs(3600));
    assert_eq!(world.deeds(), []);
    assert_eq!(world.standby(), Some(reason));
    world
}

#[test]
fn rule_3_nothing_is_done_while_paused() {
    let mut world = broken(Stall::Stopped);
    world.paused = true;
    does_nothing_for_an_hour(world, Standby::Paused);
}

#[test]
fn rule_3_nothing_is_done_to_a_unit_that_a_human_stopped() {
    let mut world = healthy();
    world.human_stops();
    let mut world = does_nothing_for_an_hour(world, Standby::Stopped);
    world.human_starts();
    world.run_for(secs(60));
    assert_eq!(world.phase(), "healthy");
}

#[test]
fn rule_3_nothing_is_done_during_a_start_a_stop_or_a_reload() {
    for state in ["activating", "deactivating", "reloading"] {
        let mut world = broken(Stall::Gone);
        for _ in 0..100 {
            sees(&mut world, |look| {
                look.unit.as_mut().expect("there is a bus").active_state = state.into();
            });
            world.run_for(secs(0));
            assert_eq!(world.standby(), Some(Standby::InTransition), "{state}");
        }
        assert_eq!(world.deeds(), []);
    }
}

#[test]
fn rule_3_nothing_is_done_while_somebody_elses_job_is_queued() {
    let mut world = broken(Stall::Stopped);
    sees(&mut world, |look| {
        look.unit.as_mut().expect("there is a bus").job = Some(Job {
            id: 9,
            ours: false,
            kind: JobKind::Other,
        });
    });
    assert_eq!(world.standby(), Some(Standby::InTransition));
    assert_eq!(world.deeds(), []);
}

#[test]
fn rule_3_nothing_is_done_during_an_update() {
    let mut world = broken(Stall::Gone);
    world.updating = true;
    let mut world = does_nothing_for_an_hour(world, Standby::Updating);
    world.updating = false;
    world.run_until_does(&Action::Stop);
}

#[test]
fn rule_3_an_update_between_stop_and_start_is_waited_out_and_then_the_start_follows() {
    let mut world = broken(Stall::Gone);
    world.run_until_does(&Action::Stop);
    world.updating = true;
    world.run_for(secs(600));
    assert_eq!(world.deeds(), [Action::Stop]);
    assert_eq!(world.standby(), Some(Standby::Updating));
    world.updating = false;
    world.fixes();
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Start), 1);
}

#[test]
fn rule_3_a_pause_between_stop_and_start_is_obeyed_and_then_the_start_follows() {
    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.run_until_does(&Action::Stop);
    world.paused = true;
    world.run_for(secs(3600));
    assert_eq!(world.deeds(), [Action::Stop]);
    world.paused = false;
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Start), 1);
}

// Rule 4: intent, pause and probes are looked at again immediately before each irreversible step.

#[test]
fn rule_4_a_gateway_that_recovers_during_backoff_is_left_alone() {
    let mut world = broken(Stall::Blocked);
    world.run_until("backing-off");
    world.fixes();
    world.run_until("healthy");
    assert_eq!(world.deeds(), []);
    let ended = world
        .records()
        .into_iter()
        .find(|record| matches!(record, Record::Recovered { .. }));
    assert!(matches!(
        ended,
        Some(Record::Recovered {
            ended: Ended::ByItself,
            ..
        })
    ));
}

#[test]
fn rule_4_the_look_that_ends_the_backoff_is_a_new_one() {
    let mut world = broken(Stall::Stopped);
    world.run_until("backing-off");
    world.fixes();
    let Phase::BackingOff { until, .. } = world.state.phase else {
        panic!("backing off");
    };
    while world.state.next < until {
        let next = world.state.next;
        world.run_for(next.since(world.now) / 2);
        world.breaks(Stall::Stopped);
        world.next_check();
    }
    world.fixes();
    world.next_check();
    assert_eq!(world.phase(), "healthy");
    assert_eq!(world.deeds(), []);
}

#[test]
fn rule_4_a_pause_or_an_update_during_backoff_is_obeyed() {
    for (pauses, reason) in [(true, Standby::Paused), (false, Standby::Updating)] {
        let mut world = broken(Stall::Blocked);
        world.run_until("backing-off");
        world.paused = pauses;
        world.updating = !pauses;
        does_nothing_for_an_hour(world, reason);
    }
}

#[test]
fn rule_4_a_gateway_that_recovers_while_the_stop_is_refused_is_left_alone() {
    let mut world = broken(Stall::Blocked);
    world.faults = vec![Fault::Refused];
    world.run_until_does(&Action::Stop);
    world.fixes();
    world.run_for(secs(60));
    assert_eq!(world.phase(), "healthy");
    assert_eq!(world.state.pending_start, None);
    assert_eq!(world.deeds(), [Action::Stop]);
}

#[test]
fn rule_4_each_step_of_a_restart_follows_a_look_of_its_own() {
    // The world fails a step that answers anything else; this is that the steps are there.
    let mut world = broken(Stall::Blocked);
    world.ignores_sigterm = true;
    world.fresh = Mood::Healthy;
    world.run_until("healthy");
    assert_eq!(
        world.deeds(),
        [
            Action::Stop,
            Action::Kill,
            Action::Cleanup(Signal::Term),
            Action::Start
        ]
    );
}

// Rule 5: one invocation is restarted at most once; counters do not outlive the cause they counted.

#[test]
fn rule_4_a_successor_goes_on_with_no_attempt_that_nobody_watched() {
    let mut world = broken(Stall::Blocked);
    world.run_until("backing-off");
    world.succeed();
    world.run_for(secs(29));
    assert_eq!(world.phase(), "failing");
    assert_eq!(world.deeds(), []);
}

#[test]
fn rule_4_a_stop_that_died_with_gatehound_is_decided_anew() {
    let mut world = broken(Stall::Blocked);
    world.faults = vec![Fault::KilledBefore];
    world.run_until_does(&Action::Stop);
    world.fixes();
    world.look_takes = secs(0);
    let mut healthy = world.clone();
    healthy.next_check();
    assert_eq!(healthy.phase(), "healthy");
    world.breaks(Stall::Blocked);
    world.run_for(secs(29));
    assert_eq!(world.phase(), "failing");
    assert_eq!(world.count(&Action::Stop), 1);
    // Nothing was stopped, so the attempt is still to be taken.
    assert_eq!(world.state.attempts.used, 0);
    world.run_until_does(&Action::Stop);
    assert_eq!(world.state.attempts.used, 1);
}

#[test]
fn rule_5_a_run_whose_stop_was_cancelled_is_not_stopped_again() {
    let mut world = broken(Stall::Blocked);
    world.run_until_does(&Action::Stop);
    world.cancel_stop();
    world.run_until("gave-up");
    world.run_for(secs(3600));
    assert!(!world.texts("retrying").is_empty());
    assert!(
        world.texts("gave-up")[1].contains("already stopped once"),
        "{:?}",
        world.texts("gave-up")
    );
    assert_eq!(world.count(&Action::Stop), 1);
}

#[test]
fn rule_5_a_human_who_resets_means_a_run_whose_stop_was_cancelled_as_well() {
    let mut world = broken(Stall::Blocked);
    world.run_until_does(&Action::Stop);
    // A reset while the stop is under way comes before whoever cancels it.
    world.happens(Event::Reset);
    world.cancel_stop();
    world.run_until("gave-up");
    assert_eq!(world.count(&Action::Stop), 1);
    world.happens(Event::Reset);
    world.run_until("restarting");
    assert_eq!(world.count(&Action::Stop), 2);
}

#[test]
fn rule_5_grace_does_not_outlive_the_run_it_was_used_on() {
    let mut world = healthy();
    world.mood = Mood::Failing(Stall::Busy);
    world.run_until("failing");
    world.run_for(secs(170));
    world.fresh = Mood::Failing(Stall::Busy);
    world.human_restarts();
    world.run_for(secs(170));
    assert_eq!(world.deeds(), []);
    assert_eq!(world.phase(), "starting");
}

#[test]
fn rule_5_grace_does_not_outlive_a_healthy_check() {
    let mut world = healthy();
    for _ in 0..20 {
        world.mood = Mood::Failing(Stall::Blocked);
        world.run_until("failing");
        world.run_for(secs(25));
        world.fixes();
        world.run_for(secs(31));
        assert_eq!(world.phase(), "healthy");
    }
    assert_eq!(world.deeds(), []);
}

// Rule 6: at most two forced stops in any five minutes.

fn hung() -> World {
    let mut world = broken(Stall::Stopped);
    world.ignores_sigterm = true;
    world.settings.grace.starting_idle = secs(10);
    world.settings.grace.starting = secs(10);
    world.settings.reset_after = secs(5);
    world
}

/// A gateway that hangs as soon as it is up and settled, so that the attempts never is what stops Gatehound.
fn hang_again_and_again(world: &mut World, times: usize) {
    for _ in 0..times {
        let kills = world.count(&Action::Kill);
        world.run_until_does(&Action::Kill);
        assert_eq!(world.count(&Action::Kill), kills + 1);
        world.fresh = Mood::Healthy;
        world.run_until("healthy");
        world.run_for(secs(40));
        world.mood = Mood::Failing(Stall::Stopped);
    }
}

#[test]
fn rule_6_the_third_forced_stop_waits_for_the_window() {
    let mut world = hung();
    hang_again_and_again(&mut world, 5);
    let kills = world.times(&Action::Kill, world.log[0].0);
    assert!(kills[1] - kills[0] < 120, "{kills:?}");
    assert!(300 <= kills[2] - kills[0], "{kills:?}");
    assert!(300 <= kills[4] - kills[2], "{kills:?}");
}

#[test]
fn rule_6_the_budget_survives_gatehound() {
    let mut world = hung();
    hang_again_and_again(&mut world, 2);
    world.succeed();
    world.run_until_does(&Action::Kill);
    let kills = world.times(&Action::Kill, world.log[0].0);
    assert!(300 <= kills[2] - kills[0], "{kills:?}");
}

#[test]
fn rule_6_the_backoff_says_how_long_the_budget_makes_it_wait() {
    let mut world = hung();
    hang_again_and_again(&mut world, 2);
    world.run_until("backing-off");
    let Phase::BackingOff { until, .. } = world.state.phase else {
        panic!("backing off");
    };
    assert!(secs(100) < until.since(world.now));
}

#[test]
fn rule_6_a_cleanup_with_sigkill_is_a_forced_stop_and_one_attempt_counts_once() {
    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.leftovers = 2;
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Cleanup(Signal::Kill)), 1);
    assert_eq!(world.state.forced.len(), 1);

    let mut world = broken(Stall::Blocked);
    world.fresh = Mood::Healthy;
    world.ignores_sigterm = true;
    world.leftovers = 4;
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Kill), 1);
    assert_eq!(world.count(&Action::Cleanup(Signal::Kill)), 2);
    assert_eq!(world.state.forced.len(), 1);
}

#[test]
fn rule_6_a_gateway_that_systemd_itself_had_to_kill_counts() {
    let mut world = broken(Stall::Blocked);
    world.fresh = Mood::Healthy;
    world.ignores_sigterm = true;
    // Longer than the unit's own TimeoutStopSec, so that systemd is first.
    world.settings.stop_timeout.hung = secs(400);
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Kill), 0);
    assert_eq!(world.state.forced.len(), 1);
}

#[test]
fn rule_6_a_stop_that_ended_by_itself_is_not_forced() {
    let mut world = broken(Stall::Blocked);
    world.fresh = Mood::Healthy;
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Stop), 1);
    assert_eq!(world.state.forced, []);
}

// Rule 7: exit status 78 is never answered with a restart.

#[test]
fn rule_7_a_gateway_that_exits_78_is_left_down() {
    let mut world = healthy();
    world.exits(78);
    let world = does_nothing_for_an_hour(world, Standby::ConfigError);
    assert!(world.status().contains("exit status 78"));
}

#[test]
fn rule_7_another_gateway_that_serves_the_port_is_named() {
    let mut world = healthy();
    world.exits(78);
    world.other_serves = true;
    let world = does_nothing_for_an_hour(world, Standby::OtherGateway);
    assert!(world.status().contains("another gateway serves the port"));
}

#[test]
fn rule_7_a_run_that_gatehound_started_and_that_exits_78_is_left_down() {
    let mut world = broken(Stall::Blocked);
    world.run_until_does(&Action::Start);
    world.exits(78);
    world.log.clear();
    does_nothing_for_an_hour(world, Standby::ConfigError);
}

#[test]
fn rule_7_a_run_that_exits_78_while_it_is_stopped_is_left_down() {
    let mut world = broken(Stall::Blocked);
    world.run_until_does(&Action::Stop);
    world.active = Active::Up;
    world.exits(78);
    world.log.clear();
    let mut world = does_nothing_for_an_hour(world, Standby::ConfigError);
    assert_eq!(world.state.pending_start, None);
    world.fixes();
    world.human_starts();
    world.run_for(secs(60));
    assert_eq!(world.phase(), "healthy");
}

#[test]
fn rule_7_a_start_limit_reached_by_exits_78_is_left_down() {
    let mut world = healthy();
    world.start_limit_hit(0);
    sees(&mut world, |look| {
        look.unit.as_mut().expect("there is a bus").exec_main_status = 78;
    });
    assert_eq!(world.standby(), Some(Standby::ConfigError));
}

/// A gateway that was healthy, and refuses what a human wrote since; where that is asked for, it is to be rolled back.
fn refused() -> World {
    let mut world = healthy();
    world.settings.rollback = Rollback::Auto;
    world.human_edits(1);
    world.exits(78);
    world
}

fn restore(judged: &str) -> Action {
    Action::Restore {
        snapshot: 1,
        rejected: "1".into(),
        judged: judged.into(),
    }
}

#[test]
fn rule_7_what_is_refused_is_rolled_back_once() {
    let mut world = refused();
    world.run_until_does(&Action::Start);
    world.run_until("healthy");
    assert_eq!(world.deeds(), [restore("1"), Action::Start]);
    assert_eq!(
        world.events(),
        [
            "standing-by",
            "failing",
            "rolled-back",
            "starting",
            "new-invocation",
            "recovered"
        ]
    );
    // The same content again, after a healthy run.
    world.human_edits(1);
    world.exits(78);
    world.log.clear();
    let world = does_nothing_for_an_hour(world, Standby::ConfigError);
    assert_eq!(world.content, 1);
}

#[test]
fn rule_7_what_was_rolled_back_to_and_is_refused_as_well_is_left_down() {
    let mut world = refused();
    world.refuses_all = true;
    world.run_until_does(&Action::Start);
    world.log.clear();
    let mut world = does_nothing_for_an_hour(world, Standby::ConfigError);
    assert!(
        world.status().contains(
            "snapshot 1, which was put in its place, is refused as well; what was refused before is kept in /state/config/2.json"
        ),
        "{}",
        world.status()
    );
    // Nor is another one rolled back that a human tries, before one of them was healthy.
    world.human_edits(2);
    world.human_starts();
    does_nothing_for_an_hour(world, Standby::ConfigError);
}

#[test]
fn rule_7_a_rollback_that_gatehound_died_over_counts_whatever_a_human_writes_next() {
    let mut world = refused();
    world.faults = vec![Fault::KilledAfter];
    world.run_until_does(&restore("1"));
    assert_eq!(world.content, 0);
    world.human_edit_before_action = true;
    world.run_until_does(&restore("0"));
    // What the human wrote is refused as well, and no run was healthy between the two.
    world.human_restarts();
    world.log.clear();
    let world = does_nothing_for_an_hour(world, Standby::ConfigError);
    assert_eq!(world.content, 2);
}

#[test]
fn rule_7_nothing_is_rolled_back_while_there_is_a_reason_to_stand_by() {
    let hindrances: [fn(&mut World); 7] = [
        |world| world.settings.rollback = Rollback::Off,
        |world| world.paused = true,
        |world| world.updating = true,
        |world| world.debugged = true,
        |world| world.port_holder = true,
        |world| world.other_serves = true,
        |world| world.untouched = false,
    ];
    for hinder in hindrances {
        let mut world = refused();
        hinder(&mut world);
        world.run_for(secs(3600));
        assert_eq!((world.deeds(), world.content), (vec![], 1));
        assert_eq!(world.phase(), "standing-by");
    }
}

#[test]
fn rule_7_a_status_that_is_not_78_is_never_a_reason_to_roll_back() {
    let mut world = refused();
    sees(&mut world, |look| {
        let unit = look.unit.as_mut().unwrap();
        // What the unit excludes from restarts is stood by for as well.
        unit.exec_main_status = 79;
        unit.restart_prevent_exit_status = vec![78, 79];
    });
    assert_eq!(world.standby(), Some(Standby::ConfigError));
    assert_eq!(world.deeds(), []);
}

#[test]
fn rule_3_a_run_that_exits_78_while_a_human_stops_it_is_not_rolled_back() {
    let mut world = healthy();
    world.settings.rollback = Rollback::Auto;
    world.human_edits(1);
    world.stop_takes = secs(60);
    world.human_stops();
    world.next_check();
    assert_eq!(world.standby(), Some(Standby::InTransition));
    (world.active, world.job) = (Active::Failed, None);
    (world.ended, world.untouched) = (("exit-code", 1, 78), true);
    world.run_for(secs(3600));
    assert_eq!((world.deeds(), world.content), (vec![], 1));
}

#[test]
fn rule_7_another_gateway_that_is_healthy_does_not_make_up_for_one_that_was_rolled_back() {
    let mut world = refused();
    world.refuses_all = true;
    world.run_until_does(&Action::Start);
    world.run_until("standing-by");
    world.ended = ("start-limit-hit", 1, 1);
    world.other_serves = true;
    world.run_for(secs(600));
    assert_eq!(world.standby(), Some(Standby::OtherGateway));
    assert!(!world.state.rollback.as_ref().unwrap().served);
}

#[test]
fn rule_4_the_port_is_looked_at_again_between_a_rollback_and_its_start() {
    let mut world = refused();
    world.run_until_does(&restore("1"));
    world.other_serves = true;
    world.run_for(secs(600));
    assert_eq!(world.standby(), Some(Standby::OtherGateway));
    assert_eq!(world.count(&Action::Start), 0);
    // The start is pending all the while.
    world.other_serves = false;
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Start), 1);
}

#[test]
fn rule_8_a_humans_stop_between_a_rollback_and_its_start_is_final() {
    let mut world = refused();
    world.run_until_does(&restore("1"));
    world.human_stops();
    let world = {
        world.log.clear();
        world.run_for(secs(3600));
        world
    };
    assert_eq!(world.standby(), Some(Standby::ConfigError));
    assert_eq!((world.deeds(), world.state.pending_start), (vec![], None));
}

#[test]
fn rule_8_a_successor_finishes_a_rollback_that_was_begun() {
    for fault in [Fault::KilledBefore, Fault::KilledAfter] {
        let mut world = refused();
        world.faults = vec![fault];
        world.run_until_does(&Action::Start);
        world.run_until("healthy");
        let judged = if fault == Fault::KilledBefore {
            "1"
        } else {
            "0"
        };
        assert_eq!(
            world.deeds(),
            [restore("1"), restore(judged), Action::Start]
        );
        assert_eq!((world.content, world.witness.rollbacks), (0, 0));
    }
}

#[test]
fn rule_8_a_rollback_that_was_done_is_followed_by_its_start_even_by_a_gatehound_that_leaves() {
    let mut world = refused();
    world.run_until_does(&restore("1"));
    world.settings.rollback = Rollback::Off;
    world.happens(Event::Leave);
    world.run_for(secs(60));
    assert!(world.left);
    assert_eq!(world.count(&Action::Start), 1);
}

#[test]
fn a_rollback_that_the_disk_cannot_do_is_said_once_and_not_tried_again() {
    let mut world = refused();
    world.faults = vec![Fault::Refused];
    world.run_for(secs(3600));
    assert_eq!(world.deeds(), [restore("1")]);
    assert_eq!(world.texts("not-rolled-back").len(), 1);
    assert_eq!(world.standby(), Some(Standby::ConfigError));
}

#[test]
fn a_disk_that_is_late_with_a_rollback_is_asked_again_in_the_next_check() {
    let mut world = refused();
    let look = Event::Looked(Box::new(world.look()));
    let (state, answer) = step(&world.settings, world.state.clone(), look, world.now);
    assert!(actions(&answer).contains(&restore("1")));
    let late = Event::Done(Done::Restored(Err(NotRestored::Late)));
    let (state, answer) = step(&world.settings, state, late, world.now);
    assert_eq!(state.next, world.now + world.settings.interval);
    let actions = actions(&answer);
    assert!(matches!(actions[..], [Action::Timeout(_)]), "{actions:?}");
    world.state = state;
    world.run_until("healthy");
    assert_eq!(world.deeds(), [restore("1"), Action::Start]);
}

// Rule 8: what Gatehound stopped it starts again, unless a human stopped it meanwhile.

#[test]
fn rule_8_a_successor_starts_what_its_predecessor_stopped() {
    for fault in [Fault::KilledBefore, Fault::KilledAfter] {
        // Killed at the stop, at the cleanup, at the start.
        for at in 0..3 {
            let mut world = broken(Stall::Blocked);
            world.fresh = Mood::Healthy;
            world.run_until("backing-off");
            for _ in 0..at {
                let deeds = world.deeds().len();
                while world.deeds().len() == deeds {
                    world.next_check();
                }
            }
            world.faults = vec![fault];
            world.run_until("healthy");
            assert_eq!(world.run, 2, "{fault:?} at {at}");
            assert_eq!(world.faults, []);
        }
    }
}

#[test]
fn rule_8_a_successor_that_comes_late_still_starts_the_gateway() {
    for fault in [Fault::KilledBefore, Fault::KilledAfter] {
        let mut world = broken(Stall::Blocked);
        world.fresh = Mood::Healthy;
        world.faults = vec![fault];
        world.run_until_does(&Action::Stop);
        world.check_later(secs(60));
        world.run_until("healthy");
        assert_eq!(world.run, 2, "{fault:?}");
        assert_eq!(world.count(&Action::Kill), 0, "{fault:?}");
        assert_eq!(
            world.events().iter().filter(|e| **e == "gave-up").count(),
            0
        );
    }
}

#[test]
fn rule_8_a_successor_repeats_a_kill_that_may_not_have_been_sent() {
    let mut world = broken(Stall::Blocked);
    world.fresh = Mood::Healthy;
    world.ignores_sigterm = true;
    world.run_until_does(&Action::Stop);
    world.faults = vec![Fault::KilledBefore];
    world.run_until_does(&Action::Kill);
    assert!(matches!(world.active, Active::Deactivating { .. }));
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Kill), 2);
    assert_eq!(world.state.forced.len(), 1);
}

#[test]
fn rule_8_a_humans_stop_is_not_taken_for_one_that_was_refused() {
    let mut world = broken(Stall::Blocked);
    world.ignores_sigterm = true;
    world.human_stop_before_action = true;
    world.faults = vec![Fault::Refused];
    world.run_until_does(&Action::Stop);
    world.log.clear();
    world.run_for(secs(20));
    assert_eq!(world.standby(), Some(Standby::InTransition));
    does_nothing_for_an_hour(world, Standby::Stopped);
}

#[test]
fn rule_8_a_run_that_begins_between_the_look_and_the_stop_comes_back() {
    for stall in [Stall::Blocked, Stall::Gone] {
        let mut world = broken(stall);
        world.fresh = Mood::Failing(stall);
        world.run_before_action = true;
        world.run_until_does(&Action::Stop);
        world.fresh = Mood::Healthy;
        world.run_until("healthy");
        assert_eq!(world.count(&Action::Start), 1);
    }
}

#[test]
fn rule_8_a_humans_stop_during_backoff_is_final() {
    let mut world = broken(Stall::Blocked);
    world.run_until("backing-off");
    world.human_stops();
    does_nothing_for_an_hour(world, Standby::Stopped);
}

#[test]
fn rule_8_a_humans_stop_between_stop_and_start_is_final() {
    let mut world = broken(Stall::Gone);
    world.run_until_does(&Action::Cleanup(Signal::Term));
    world.human_stops();
    world.log.clear();
    let world = does_nothing_for_an_hour(world, Standby::Stopped);
    assert_eq!(world.state.pending_start, None);
    assert_eq!(world.state.incident, None);
}

#[test]
fn rule_8_a_humans_stop_while_pending_and_paused_is_final_even_for_a_successor() {
    let mut world = broken(Stall::Gone);
    world.run_until_does(&Action::Stop);
    world.paused = true;
    world.run_for(secs(60));
    assert!(world.state.pending_start.is_some());
    world.human_stops();
    world.run_for(secs(60));
    world.succeed();
    world.paused = false;
    world.log.clear();
    does_nothing_for_an_hour(world, Standby::Stopped);
}

#[test]
fn rule_8_a_humans_stop_of_a_unit_systemd_gave_up_on_is_remembered() {
    let mut world = healthy();
    world.start_limit_hit(0);
    world.run_until_does(&Action::Cleanup(Signal::Term));
    world.human_stops();
    world.log.clear();
    let mut world = does_nothing_for_an_hour(world, Standby::Stopped);
    world.human_starts();
    world.run_for(secs(60));
    assert_eq!(world.phase(), "healthy");
    world.start_limit_hit(0);
    world.run_until_does(&Action::Start);
}

#[test]
fn rule_8_a_humans_start_ends_what_is_pending() {
    let mut world = broken(Stall::Gone);
    world.run_until_does(&Action::Stop);
    world.fresh = Mood::Healthy;
    world.human_starts();
    world.run_until("healthy");
    assert_eq!(world.count(&Action::Start), 0);
    assert_eq!(world.state.pending_start, None);
    assert!(world.texts("recovered")[0].ends_with("restarted by systemd or a human"));
}

#[test]
fn rule_8_gatehound_that_is_asked_to_stop_finishes_the_start_first() {
    let mut world = broken(Stall::Gone);
    world.run_until_does(&Action::Stop);
    world.happens(Event::Leave);
    assert!(!world.left);
    world.run_for(secs(60));
    assert!(world.left);
    assert_eq!(world.run, 2);
    assert_eq!(world.log.last().map(|(_, last)| last), Some(&Action::Leave));
}

#[test]
fn rule_8_gatehound_with_nothing_pending_leaves_at_once() {
    for stall in [Stall::Gone, Stall::Busy] {
        let mut world = broken(stall);
        for phase in ["failing", "backing-off"] {
            world.run_until(phase);
            let mut leaving = world.clone();
            leaving.happens(Event::Leave);
            assert!(leaving.left, "{phase}");
        }
    }
}

#[test]
fn rule_8_gatehound_does_not_stay_for_a_stop_or_a_start_that_is_refused() {
    let mut world = broken(Stall::Gone);
    world.faults = vec![Fault::Refused];
    world.run_until_does(&Action::Stop);
    world.happens(Event::Leave);
    world.run_for(secs(5));
    assert!(world.left);
    assert_eq!(world.active, Active::Up);

    let mut world = broken(Stall::Gone);
    world.run_until_does(&Action::Cleanup(Signal::Term));
    world.happens(Event::Leave);
    world.faults = vec![Fault::Refused];
    world.run_for(secs(5));
    assert!(world.left);
    assert!(
        world.state.pending_start.is_some(),
        "the start is its successor's"
    );
}

/// A gateway that Gatehound is stopping, and that would be healthy again.
fn stopped_by_gatehound() -> World {
    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.run_until_does(&Action::Stop);
    world
}

/// Whatever it stands at, a Gatehound whose settings are wrong starts the gateway and leaves.
#[track_caller]
fn settled_with_wrong_settings(world: World) -> World {
    settled_once(world, |_| {})
}

#[track_caller]
fn settled_once(mut world: World, obstacle_ends: impl FnOnce(&mut World)) -> World {
    world.succeed_with_wrong_settings(secs(2400));
    world.run_for(secs(60));
    obstacle_ends(&mut world);
    world.run_for(secs(60));
    assert!(world.left, "{:?}", world.state);
    assert_eq!((world.active, world.run), (Active::Up, 2));
    world
}

#[test]
fn rule_8_wrong_settings_do_not_leave_a_stop_without_a_number_unanswered() {
    let mut world = broken(Stall::Gone);
    world.fresh = Mood::Healthy;
    world.stop_takes = secs(5);
    world.run_until("backing-off");
    let look = loop {
        world.now = world.state.next;
        let look = Event::Looked(Box::new(world.look()));
        let (_, answer) = step(
            &world.settings,
            world.state.clone(),
            look.clone(),
            world.now,
        );
        if answer.effect == Some(Effect::Stop { begins: true }) {
            break look;
        }
        world.happens(look);
    };
    // Killed between the request and the write of its number, as `Fault::KilledAfter` does it.
    let (state, _) = step(
        &world.settings,
        world.state.clone(),
        look.clone(),
        world.now,
    );
    world.faults = vec![Fault::KilledAfter];
    world.happens(look);
    assert_eq!(world.state.phase.name(), "failing");
    assert!(
        state
            .pending_start
            .is_some_and(|pending_start| pending_start.stop_job.is_none())
    );
    settled_with_wrong_settings(world);
}

#[test]
fn rule_8_wrong_settings_do_not_leave_a_start_that_was_tried_once_at_that() {
    let mut world = stopped_by_gatehound();
    world.unmet_condition = true;
    world.run_until_does(&Action::Start);
    world.run_for(secs(3));
    let tried = |world: &World| matches!(world.restart_step(), Some(Step::Starting { tries: 1.. }));
    assert!(tried(&world));
    world.unmet_condition = false;
    settled_with_wrong_settings(world);
}

#[test]
fn rule_8_wrong_settings_do_not_end_a_hold_with_the_gateway_down() {
    let mut world = stopped_by_gatehound();
    world.port_holder = true;
    world.run_until("standing-by");
    settled_once(world, |world| world.port_holder = false);

    let mut world = stopped_by_gatehound();
    world.leftovers = 60;
    world.run_until("gave-up");
    settled_once(world, |world| world.leftovers = 0);
}

#[test]
fn rule_8_wrong_settings_do_not_end_a_wait_with_the_gateway_down() {
    let obstacles: [fn(&mut World, bool); 3] = [
        |world, on| world.paused = on,
        |world, on| world.updating = on,
        |world, on| world.no_bus = on,
    ];
    for obstacle in obstacles {
        // One that is over when the successor comes, and one that it sees end.
        for seen in [false, true] {
            let mut world = stopped_by_gatehound();
            obstacle(&mut world, true);
            world.run_until("standing-by");
            obstacle(&mut world, seen);
            settled_once(world, |world| obstacle(world, false));
        }
    }
}

#[test]
fn rule_8_wrong_settings_start_nothing_that_a_human_stopped() {
    let mut world = stopped_by_gatehound();
    world.paused = true;
    world.run_until("standing-by");
    world.succeed_with_wrong_settings(secs(2400));
    world.run_for(secs(60));
    assert!(!world.left, "the pause may end");
    world.human_stops();
    world.run_for(secs(60));
    assert!(world.left);
    assert_eq!(world.count(&Action::Start), 0);
}

#[test]
fn a_gatehound_with_wrong_settings_stays_for_no_longer_than_it_may() {
    let mut world = stopped_by_gatehound();
    world.paused = true;
    world.run_until("standing-by");
    world.succeed_with_wrong_settings(secs(2400));
    world.run_for(secs(2399));
    assert!(!world.left);
    world.run_for(secs(60));
    assert!(world.left);
    assert!(
        world.state.pending_start.is_some(),
        "the start is its successor's"
    );
}

#[test]
fn a_gatehound_with_wrong_settings_leaves_when_told_to() {
    let mut world = stopped_by_gatehound();
    world.paused = true;
    world.run_until("standing-by");
    world.succeed_with_wrong_settings(secs(2400));
    world.run_for(secs(60));
    world.happens(Event::Leave);
    assert!(world.left);
}

// Rule 9: attempts count from 1 again only after the gateway stayed healthy for `reset_after`.

#[track_caller]
fn next_attempt_after_healthy_for(healthy: u64, expected: usize) {
    let mut world = broken(Stall::Blocked);
    world.fresh = Mood::Healthy;
    world.run_until_does(&Action::Start);
    world.run_until("healthy");
    world.run_for(secs(healthy));
    world.mood = Mood::Failing(Stall::Blocked);
    world.run_until("backing-off");
    let Phase::BackingOff { attempt, .. } = world.state.phase else {
        panic!("backing off");
    };
    assert_eq!(attempt, expected, "after {healthy} s");
}

#[test]
fn rule_9_attempts_count_from_1_again_only_after_five_healthy_minutes() {
    next_attempt_after_healthy_for(30, 2);
    next_attempt_after_healthy_for(270, 2);
    next_attempt_after_healthy_for(300, 1);
}

#[test]
fn rule_9_health_that_was_interrupted_does_not_add_up() {
    let mut world = broken(Stall::Blocked);
    world.fresh = Mood::Healthy;
    world.run_until_does(&Action::Start);
    for _ in 0..10 {
        world.run_until("healthy");
        world.run_for(secs(200));
        world.mood = Mood::Failing(Stall::Busy);
        world.run_until("failing");
        world.fixes();
    }
    assert_eq!(world.state.attempts.used, 1);
    assert_eq!(world.texts("attempts-reset").len(), 0);
}

#[test]
fn rule_9_a_restart_by_somebody_else_does_not_take_the_attempts_back() {
    let mut world = broken(Stall::Blocked);
    world.fresh = Mood::Healthy;
    world.run_until_does(&Action::Start);
    world.run_until("healthy");
    world.human_restarts();
    world.run_for(secs(60));
    assert_eq!(world.state.attempts.used, 1);
}

// Rule 10: time is monotonic; a suspend restarts every grace window.

#[test]
fn rule_10_a_suspend_restarts_the_grace_of_a_failing_gateway() {
    let mut world = broken(Stall::Blocked);
    world.run_until("failing");
    for _ in 0..20 {
        world.run_for(secs(25));
        world.happens(Event::Resumed);
        assert_eq!(world.phase(), "failing");
    }
    world.run_until("backing-off");
    assert_eq!(world.deeds(), []);
}

#[test]
fn rule_10_a_suspend_restarts_the_grace_of_a_start() {
    let mut world = world();
    world.mood = Mood::Failing(Stall::Gone);
    world.progress = Some(false);
    for _ in 0..30 {
        world.run_for(secs(50));
        world.happens(Event::Resumed);
    }
    assert_eq!(world.phase(), "starting");
    world.run_until("backing-off");
    assert_eq!(world.deeds(), []);
}

#[test]
fn rule_10_a_suspend_restarts_the_grace_of_a_start_that_was_not_seen_before_it() {
    let mut world = world();
    world.now = world.now + secs(599);
    world.state.next = world.now;
    world.watchdog_starts();
    world.breaks(Stall::Blocked);
    world.happens(Event::Resumed);
    world.run_for(secs(590));
    assert_eq!(world.phase(), "starting");
}

#[test]
fn rule_10_a_suspend_during_backoff_goes_back_to_failing() {
    let mut world = broken(Stall::Blocked);
    world.run_until("backing-off");
    world.happens(Event::Resumed);
    world.run_for(secs(25));
    assert_eq!(world.phase(), "failing");
    assert_eq!(world.deeds(), []);
}

#[test]
fn rule_10_a_suspend_during_a_stop_gives_the_stop_its_time_again() {
    let mut world = broken(Stall::Blocked);
    world.ignores_sigterm = true;
    world.run_until_does(&Action::Stop);
    world.run_for(secs(9));
    world.happens(Event::Resumed);
    world.run_for(secs(9));
    assert_eq!(world.count(&Action::Kill), 0);
    assert!(matches!(world.restart_step(), Some(Step::Stopping { .. })));
    world.run_for(secs(2));
    assert_eq!(world.count(&Action::Kill), 1);
}

#[test]
fn rule_10_a_suspend_does_not_wake_a_watchdog_that_is_left_to_bite() {
    let mut world = broken(Stall::Blocked);
    world.run_until("gave-up");
    let before = world.log.len();
    world.happens(Event::Resumed);
    assert!(matches!(
        world.state.phase,
        Phase::GaveUp {
            bite: Bite::Due,
            ..
        }
    ));
    assert_eq!(world.log.len(), before + 1, "nothing but the record");
}

// Rule 11: whatever keeps the gateway down for long is said, but for a human's stop.

/// How long after the gateway was last healthy an incident opens, while nothing else changes; none within an hour.
fn said_after(change: impl FnOnce(&mut World)) -> (Option<Duration>, World) {
    let mut world = healthy();
    change(&mut world);
    let from = world.now;
    while world.state.incident.is_none() && world.now.since(from) < secs(3600) {
        world.next_check();
    }
    let said = world.state.incident.as_ref().map(|_| world.now.since(from));
    (said, world)
}

#[test]
fn rule_11_whatever_keeps_the_gateway_down_is_said_in_time() {
    /// What keeps the gateway down, and why Gatehound stands by then.
    type Case = (Standby, fn(&mut World));
    let down = |world: &mut World| world.breaks(Stall::Gone);
    let cases: [Case; 9] = [
        (Standby::ConfigError, |world| world.exits(78)),
        (Standby::PortTaken, |world| world.port_holder = true),
        (Standby::Paused, |world| world.paused = true),
        (Standby::NoUnit, |world| world.no_unit = true),
        (Standby::NoBus, |world| world.no_bus = true),
        (Standby::Updating, |world| world.updating = true),
        (Standby::Debugged, |world| world.debugged = true),
        (Standby::Frozen, |world| world.frozen = true),
        (Standby::InTransition, |world| {
            world.crash_pause = secs(7200);
            world.exits(1);
        }),
    ];
    for (reason, change) in cases {
        let bound = bound_of(reason, &Settings::default()).expect("it is said");
        let (said, world) = said_after(|world| {
            down(world);
            change(world);
        });
        let said = said.unwrap_or_else(|| panic!("{reason:?} is never said"));
        // One interval until the check that sees it, and one more until the next.
        assert!(said <= bound + secs(60), "{reason:?}: {said:?}");
        assert_eq!(world.standby(), Some(reason));
        let text = &world.texts("failing")[0];
        assert!(text.starts_with("gateway down: "), "{text}");
        assert_eq!(world.deeds(), [], "{reason:?}");
    }
}

#[test]
fn rule_11_a_gateway_that_a_human_stopped_is_no_incident() {
    let (said, world) = said_after(World::human_stops);
    assert_eq!(said, None);
    assert_eq!(world.standby(), Some(Standby::Stopped));
    let (said, _) = said_after(|world| {
        world.human_stops();
        world.paused = true;
    });
    assert_eq!(said, None);
}

#[test]
fn rule_11_runs_that_never_become_healthy_are_said_however_short_they_are() {
    let (said, world) = said_after(|world| {
        world.breaks(Stall::Blocked);
        world.crash_pause = secs(1);
        world.exits(0);
    });
    assert!(said.is_some(), "{:?}", world.state);
}

// Rule 12: nobody else is touched.

#[test]
fn rule_12_nothing_is_done_while_somebody_else_has_the_port() {
    for stall in [Stall::Gone, Stall::Answering] {
        let mut world = broken(stall);
        world.port_holder = true;
        world.run_for(secs(3600));
        assert_eq!(world.deeds(), []);
        assert_eq!(world.standby(), Some(Standby::PortTaken));
    }
}
