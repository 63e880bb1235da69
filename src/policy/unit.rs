//! What the unit's facts mean: whether a human stopped it, systemd is at work on it, or it runs.
//!
//! Owns that one judgement; knows nothing of probes, phases or time.

use crate::policy::{
    facts::{Invocation, Job, JobKind, Monotonic, UnitFacts},
    state::PendingStart,
};

/// EX_CONFIG of sysexits(3): how the gateway says that a restart cannot help.
pub(super) const EX_CONFIG: i32 = 78;

/// CLD_EXITED of wait(2): the main process exited by itself, so the status is an exit status.
const CLD_EXITED: i32 = 1;

/// What the gateway unit's state means for the watchdog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is no such unit, or it cannot be loaded.
    NoUnit,
    /// It is down, and masked so that nothing can start it.
    Masked,
    /// It is down because somebody wants it down.
    Stopped,
    /// It is down because its configuration is refused; a restart cannot help.
    ConfigError,
    /// It is down, nobody asked for that, and systemd does not start it again.
    GivenUp,
    /// systemd is at work on it and bounds that itself.
    InTransition,
    /// It is on its way down because Gatehound asked for that.
    StoppingForUs,
    /// It is on its way down because somebody else has it started anew by this job.
    RestartedByOther(u32),
    /// It is down because Gatehound stopped it; a start is pending.
    DownForUs,
    /// It runs.
    Up {
        /// This run.
        invocation: Invocation,
        /// When it became active.
        since: Monotonic,
    },
}

/// Judges the unit.
pub(super) fn standing(unit: &UnitFacts, pending_start: Option<&PendingStart>) -> Standing {
    let foreign_job = pending_start.is_some_and(|pending_start| pending_start.foreign_job);
    // What runs is watched, whatever became of its file since: a typo in it ends no watch.
    let is_down = is_down(unit);
    match unit.load_state.as_str() {
        "loaded" => {}
        "masked" if is_down => return Standing::Masked,
        _ if is_down => return Standing::NoUnit,
        _ => {}
    }
    let foreign = unit
        .job
        .as_ref()
        .filter(|job| !is_ours(job.id, job.ours, pending_start));
    let starts = |job: &&Job| job.kind == JobKind::Start;
    match unit.active_state.as_str() {
        // A restart that is queued has not begun; one that has takes the unit down first.
        "active" if foreign.is_some() => Standing::InTransition,
        "active" => Standing::Up {
            invocation: unit.invocation_id.clone().unwrap_or_default(),
            since: unit.active_since,
        },
        "deactivating" if foreign_job => Standing::InTransition,
        // Whoever has it started anew wants what Gatehound wants.
        "deactivating" => match (foreign.filter(starts), pending_start) {
            (Some(_), Some(_)) => Standing::StoppingForUs,
            (Some(job), None) => Standing::RestartedByOther(job.id),
            (None, Some(_)) if foreign.is_none() => Standing::StoppingForUs,
            (None, _) => Standing::InTransition,
        },
        // The second half of somebody's restart, by the number that Gatehound took for its stop, starts it as well.
        "inactive" | "failed"
            if foreign.is_some() || unit.job.as_ref().is_some_and(|job| starts(&job)) =>
        {
            Standing::InTransition
        }
        // The unit staying down after a job that is not ours is how a stop by a human
        // of a unit that was already down shows: rule 8.
        "inactive" | "failed" if pending_start.is_some() && foreign_job => Standing::Stopped,
        "inactive" | "failed" if pending_start.is_some() => Standing::DownForUs,
        "inactive" if is_down_by_itself(unit) => Standing::GivenUp,
        "inactive" => Standing::Stopped,
        "failed" => failed(unit),
        // activating, deactivating, reloading, and whatever a later systemd may add:
        // standing by is the careful reading of a state we do not know.
        _ => Standing::InTransition,
    }
}

/// Whether no run of it is there, on its way up or on its way down.
pub(super) fn is_down(unit: &UnitFacts) -> bool {
    matches!(unit.active_state.as_str(), "" | "inactive" | "failed")
}

/// Whether systemd was starting it again after its last run.
///
/// `Result` keeps how that run failed; before systemd 262 it says `start-limit-hit` only after runs that succeeded.
/// A unit that was taken out of an inactive state after its last main process had ended was being started again,
/// and where it is down, systemd refused that (measured with systemd 247 to 262). After a stop the order is the other way round:
/// it was taken out of an inactive state when the run began, and the main process ended last.
pub(super) fn is_started_again(unit: &UnitFacts) -> bool {
    let ended = unit.exited != Monotonic::default();
    unit.result == "start-limit-hit" || ended && unit.exited < unit.left_inactive
}

/// Whether its last run ended as none does that is stopped: by itself, or with another start after it.
pub(super) fn went_on(unit: &UnitFacts) -> bool {
    is_started_again(unit) || ended_by_itself(unit)
}

/// Whether somebody else's job takes the unit down.
pub(super) fn is_stopped_by_other(unit: &UnitFacts) -> bool {
    let foreign = |job: &Job| !job.ours && job.kind != JobKind::Start;
    unit.active_state == "deactivating" && unit.job.as_ref().is_some_and(foreign)
}

fn is_ours(id: u32, ours: bool, pending_start: Option<&PendingStart>) -> bool {
    ours || pending_start.is_some_and(|pending_start| pending_start.stop_job == Some(id))
}

/// Whether the last run ended with the exit status that says that its configuration is refused, and no other.
pub(super) fn refused_its_config(unit: &UnitFacts) -> bool {
    let exited = unit.exec_main_code == CLD_EXITED && unit.exec_main_status == EX_CONFIG;
    unit.active_state == "failed" && exited
}

/// Whether systemd waits to start the next run.
pub(super) fn is_between_runs(unit: &UnitFacts) -> bool {
    // Since systemd 254 the last moment of it is `auto-restart-queued`.
    unit.sub_state.starts_with("auto-restart")
}

/// Whether a restart has to stop it first.
pub(super) fn needs_a_stop(unit: &UnitFacts) -> bool {
    unit.active_state == "active" || is_between_runs(unit)
}

/// The command that ends it whatever systemd waits for; a unit that is not down has a cgroup, which has its name.
pub(super) fn what_ends_it(unit: &UnitFacts) -> String {
    let name = unit.control_group.rsplit('/').next().unwrap_or_default();
    format!("systemctl --user kill --signal=SIGKILL {name}")
}

/// Whether its last run failed and systemd is about to start the next, which it does after no stop that anybody asked for.
pub(super) fn is_restarted_by_itself(unit: &UnitFacts) -> bool {
    is_between_runs(unit) && unit.result != "success"
}

/// Whether an inactive unit is down although nobody stopped it: it ended by itself, or systemd did not start it.
fn is_down_by_itself(unit: &UnitFacts) -> bool {
    if !unit.unmet.is_empty() || !unit.failed_dependency.is_empty() {
        return true;
    }
    unit.result == "exec-condition" || ended_by_itself(unit)
}

/// Whether a unit that is down may be so because somebody stopped it before anybody looked.
pub(super) fn may_be_stopped(unit: &UnitFacts) -> bool {
    let not_started = !unit.unmet.is_empty() || !unit.failed_dependency.is_empty();
    unit.active_state == "inactive" && !not_started
}

/// Why a unit that nobody stopped is down, in words.
pub(super) fn why_down(unit: &UnitFacts) -> String {
    if !unit.unmet.is_empty() {
        return format!("systemd did not start it: {} is not met", unit.unmet);
    }
    if !unit.failed_dependency.is_empty() {
        return format!("it needs {}, which has failed", unit.failed_dependency);
    }
    if unit.result == "exec-condition" {
        return "systemd did not start it: its ExecCondition= says no".to_owned();
    }
    let status = unit.exec_main_status;
    match unit.exec_main_code {
        _ if unit.exited < unit.left_inactive => format!("systemd gave up: {}", unit.result),
        CLD_EXITED if !unit.restart.is_empty() && ended_by_itself(unit) => format!(
            "it ended by itself with exit status {status}, and systemd does not restart it (Restart={})",
            unit.restart
        ),
        _ if ended_by_itself(unit) => format!(
            "signal {status} ended it, and systemd does not restart it (Restart={})",
            unit.restart
        ),
        _ => format!("systemd gave up: {}", unit.result),
    }
}

/// Why systemd began no run of a unit that it was asked to start, in words.
pub(super) fn why_not_started(unit: &UnitFacts) -> String {
    let known = !unit.unmet.is_empty()
        || !unit.failed_dependency.is_empty()
        || unit.result == "exec-condition";
    if known {
        return why_down(unit);
    }
    let state = (&unit.active_state, &unit.result);
    format!("the unit stays {} (Result={})", state.0, state.1)
}

/// Whether the last run was over before anything took it down.
///
/// A stop takes the unit out of its active state first, and then the main process ends; where that ends by itself,
/// the order is the other way round. Where systemd knows no main process it errs towards a stop.
pub(super) fn ended_by_itself(unit: &UnitFacts) -> bool {
    let known = unit.exited != Monotonic::default() && unit.exit_type != "cgroup";
    // Taken out of an inactive state since: it was being started again, and a stop ended that.
    let started_again = unit.exited < unit.left_inactive;
    known && !started_again && unit.exited <= unit.left_active
}

/// Whether the unit's own `ExecStop=` may ask systemd for the stop that is already going on, as `openclaw gateway stop` does.
pub(super) fn asks_for_its_own_stop(unit: &UnitFacts) -> bool {
    /// Programs that ask nobody.
    const HARMLESS: [&str; 6] = ["kill", "pkill", "sleep", "true", "echo", "curl"];
    let program = unit.exec_stop.first().map(String::as_str);
    let name = program.and_then(|path| path.rsplit('/').next());
    name.is_some_and(|name| !HARMLESS.contains(&name))
}

/// A unit that failed without Gatehound's doing.
fn failed(unit: &UnitFacts) -> Standing {
    let exited = unit.exec_main_code == CLD_EXITED;
    // A status the unit itself excludes from restarts says the same as 78: restarting cannot help.
    let prevented = unit.exec_main_status == EX_CONFIG
        || unit
            .restart_prevent_exit_status
            .contains(&unit.exec_main_status);
    if exited && prevented {
        return Standing::ConfigError;
    }
    let aborted = matches!(unit.result.as_str(), "signal" | "core-dump");
    // The table of systemd.service(5), Restart=.
    let restarts_by_itself = match unit.restart.as_str() {
        "always" | "on-failure" => true,
        "on-abnormal" => aborted || matches!(unit.result.as_str(), "timeout" | "watchdog"),
        "on-abort" => aborted,
        _ => false,
    };
    // Among them are runs that ended by a signal of `RestartPreventExitStatus=`.
    let ended_by_itself = unit.left_active != Monotonic::default() && ended_by_itself(unit);
    let needs_another = !unit.failed_dependency.is_empty();
    // Or no run of it ever came as far as its main process.
    let start_refused = is_started_again(unit) || unit.exited < unit.left_inactive;
    if start_refused || !restarts_by_itself || ended_by_itself || needs_another {
        return Standing::GivenUp;
    }
    // systemd would have restarted it, had nobody asked it to stop:
    // a stop that ended badly is still a stop somebody wanted.
    Standing::Stopped
}

/// Whether a run other than the one Gatehound stopped has begun since.
///
/// The stop ends also a run that systemd or somebody began between the look before it and the stop itself.
pub(super) fn started_since(unit: &UnitFacts, pending_start: &PendingStart) -> bool {
    let another = match (&unit.invocation_id, &pending_start.invocation) {
        (Some(now), Some(then)) => now != then,
        // It had never run when it was to be started.
        (Some(_), None) => true,
        (None, _) => false,
    };
    let ends = matches!(
        unit.active_state.as_str(),
        "inactive" | "failed" | "deactivating"
    );
    let before = unit.left_inactive <= pending_start.stopped_at;
    let known = pending_start.stopped_at != Monotonic::default();
    another && !(known && before && ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: u32, ours: bool, kind: JobKind) -> Job {
        Job { id, ours, kind }
    }

    fn unit(active_state: &str) -> UnitFacts {
        UnitFacts {
            load_state: "loaded".into(),
            active_state: active_state.into(),
            result: "success".into(),
            restart: "always".into(),
            invocation_id: Some(Invocation("a".into())),
            ..UnitFacts::default()
        }
    }

    fn pending_start() -> PendingStart {
        PendingStart {
            invocation: Some(Invocation("a".into())),
            stop_job: Some(7),
            ..PendingStart::default()
        }
    }

    #[track_caller]
    fn check(unit: &UnitFacts, pending_start: Option<&PendingStart>, expected: Standing) {
        assert_eq!(standing(unit, pending_start), expected);
    }

    #[test]
    fn an_inactive_unit_was_stopped_by_a_human_unless_we_stopped_it() {
        check(&unit("inactive"), None, Standing::Stopped);
        check(
            &unit("inactive"),
            Some(&pending_start()),
            Standing::DownForUs,
        );
        check(&unit("failed"), Some(&pending_start()), Standing::DownForUs);
    }

    /// A unit that ran from 3 on: out of its active state at `left_active`, its main process over at `exited`.
    fn over(active_state: &str, left_active: u64, exited: u64) -> UnitFacts {
        UnitFacts {
            exec_main_code: 1,
            left_inactive: Monotonic(3),
            left_active: Monotonic(left_active),
            exited: Monotonic(exited),
            ..unit(active_state)
        }
    }

    #[test]
    fn a_unit_that_went_inactive_by_itself_was_stopped_by_nobody() {
        check(&over("inactive", 8, 7), None, Standing::GivenUp);
        check(&over("inactive", 8, 8), None, Standing::GivenUp);
        // A stop takes it out of its active state first.
        check(&over("inactive", 7, 8), None, Standing::Stopped);
        // A stop while systemd was about to start it again.
        let between = UnitFacts {
            left_inactive: Monotonic(9),
            ..over("inactive", 8, 7)
        };
        check(&between, None, Standing::Stopped);
        // systemd knows of no main process, or of one that is not all of the run.
        check(&over("inactive", 8, 0), None, Standing::Stopped);
        let of_cgroup = UnitFacts {
            exit_type: "cgroup".into(),
            ..over("inactive", 8, 7)
        };
        check(&of_cgroup, None, Standing::Stopped);
    }

    #[test]
    fn a_unit_that_systemd_did_not_start_was_stopped_by_nobody() {
        let unmet = UnitFacts {
            unmet: "ConditionPathExists=/mnt/data".into(),
            ..unit("inactive")
        };
        check(&unmet, None, Standing::GivenUp);
        let needs = UnitFacts {
            failed_dependency: "data.mount".into(),
            ..over("inactive", 7, 8)
        };
        check(&needs, None, Standing::GivenUp);
        let condition = UnitFacts {
            result: "exec-condition".into(),
            ..unit("inactive")
        };
        check(&condition, None, Standing::GivenUp);
    }

    #[test]
    fn a_run_that_a_prevented_signal_ended_was_stopped_by_nobody() {
        let killed = UnitFacts {
            result: "signal".into(),
            exec_main_code: 2,
            exec_main_status: 9,
            ..over("failed", 8, 7)
        };
        check(&killed, None, Standing::GivenUp);
        let timed_out = UnitFacts {
            result: "timeout".into(),
            ..over("failed", 7, 8)
        };
        check(&timed_out, None, Standing::Stopped);
    }

    #[test]
    fn rule_3_a_restart_that_somebody_else_asked_for_is_told_from_a_stop() {
        let with = |kind| UnitFacts {
            job: Some(job(9, false, kind)),
            ..unit("deactivating")
        };
        let by_other = Standing::RestartedByOther(9);
        check(&with(JobKind::Start), None, by_other);
        check(&with(JobKind::Stop), None, Standing::InTransition);
        let pending = pending_start();
        let joins = with(JobKind::Start);
        check(&joins, Some(&pending), Standing::StoppingForUs);
        let stops = with(JobKind::Stop);
        check(&stops, Some(&pending), Standing::InTransition);
        let unwanted = PendingStart {
            foreign_job: true,
            ..pending_start()
        };
        check(&joins, Some(&unwanted), Standing::InTransition);
    }

    #[test]
    fn rule_3_the_second_half_of_somebodys_restart_is_no_stop() {
        let pending = PendingStart {
            foreign_job: true,
            ..pending_start()
        };
        for state in ["inactive", "failed"] {
            // By the number that is remembered as the stop's.
            let starts = UnitFacts {
                job: Some(job(7, false, JobKind::Start)),
                ..unit(state)
            };
            check(&starts, Some(&pending), Standing::InTransition);
            check(&starts, Some(&pending_start()), Standing::InTransition);
        }
    }

    #[test]
    fn only_a_program_that_may_ask_systemd_asks_for_its_own_stop() {
        for (arguments, expected) in [
            (&["/usr/bin/openclaw", "gateway", "stop"][..], true),
            (&["/bin/sh", "-c", "systemctl --user stop x"], true),
            (&["/bin/kill", "-TERM", "7"], false),
            (&[], false),
        ] {
            let unit = UnitFacts {
                exec_stop: arguments.iter().map(|it| (*it).to_owned()).collect(),
                ..unit("active")
            };
            assert_eq!(asks_for_its_own_stop(&unit), expected, "{arguments:?}");
        }
    }

    #[test]
    fn only_a_run_that_failed_and_that_systemd_restarts_has_crashed() {
        for (sub_state, result, crashed) in [
            ("auto-restart", "exit-code", true),
            ("auto-restart-queued", "signal", true),
            // An exit that is no failure may be how somebody has it restarted.
            ("auto-restart", "success", false),
            ("start-pre", "exit-code", false),
            ("stop-sigterm", "exit-code", false),
        ] {
            let unit = UnitFacts {
                sub_state: sub_state.into(),
                result: result.into(),
                ..unit("activating")
            };
            assert_eq!(is_restarted_by_itself(&unit), crashed, "{sub_state}");
        }
    }

    #[test]
    fn rule_8_a_foreign_job_on_the_unit_we_stopped_is_a_humans_stop() {
        let foreign = PendingStart {
            foreign_job: true,
            ..pending_start()
        };
        check(&unit("inactive"), Some(&foreign), Standing::Stopped);
        check(&unit("failed"), Some(&foreign), Standing::Stopped);
    }

    #[test]
    fn rule_3_states_that_systemd_bounds_itself_are_transitions() {
        for state in [
            "activating",
            "deactivating",
            "reloading",
            "maintenance",
            "refreshing",
            "",
        ] {
            check(&unit(state), None, Standing::InTransition);
        }
    }

    #[test]
    fn rule_3_a_pending_job_of_somebody_else_is_a_transition() {
        for state in ["active", "inactive", "failed", "deactivating"] {
            let unit = UnitFacts {
                job: Some(job(9, false, JobKind::Other)),
                ..unit(state)
            };
            check(&unit, None, Standing::InTransition);
            check(&unit, Some(&pending_start()), Standing::InTransition);
        }
    }

    #[test]
    fn our_own_stop_is_known_by_its_job_even_to_a_successor() {
        let ours = UnitFacts {
            job: Some(job(9, true, JobKind::Other)),
            ..unit("deactivating")
        };
        check(&ours, Some(&pending_start()), Standing::StoppingForUs);
        let predecessors = UnitFacts {
            job: Some(job(7, false, JobKind::Other)),
            ..unit("deactivating")
        };
        check(
            &predecessors,
            Some(&pending_start()),
            Standing::StoppingForUs,
        );
    }

    #[test]
    fn rule_8_a_job_is_not_ours_because_our_own_has_no_number() {
        let theirs = UnitFacts {
            job: Some(job(7, false, JobKind::Other)),
            ..unit("deactivating")
        };
        let refused = PendingStart {
            stop_job: None,
            ..pending_start()
        };
        check(&theirs, Some(&refused), Standing::InTransition);
    }

    #[test]
    fn rule_7_exit_78_is_a_configuration_error_and_signal_78_is_not() {
        let exit = UnitFacts {
            result: "exit-code".into(),
            exec_main_code: 1,
            exec_main_status: 78,
            ..unit("failed")
        };
        check(&exit, None, Standing::ConfigError);
        let other = UnitFacts {
            exec_main_code: 2,
            ..exit
        };
        check(&other, None, Standing::Stopped);
    }

    #[test]
    fn a_unit_that_systemd_gave_up_on_is_told_from_one_whose_stop_ended_badly() {
        let limit = UnitFacts {
            result: "start-limit-hit".into(),
            ..unit("failed")
        };
        check(&limit, None, Standing::GivenUp);
        let after_a_failure = UnitFacts {
            result: "exit-code".into(),
            exited: Monotonic(7),
            left_inactive: Monotonic(8),
            ..unit("failed")
        };
        check(&after_a_failure, None, Standing::GivenUp);
        let never = UnitFacts {
            restart: "no".into(),
            result: "signal".into(),
            ..unit("failed")
        };
        check(&never, None, Standing::GivenUp);
        let excluded = UnitFacts {
            restart: "on-abnormal".into(),
            result: "exit-code".into(),
            exec_main_code: 1,
            exec_main_status: 1,
            ..unit("failed")
        };
        check(&excluded, None, Standing::GivenUp);
        let stop_timed_out = UnitFacts {
            result: "timeout".into(),
            exited: Monotonic(8),
            left_inactive: Monotonic(7),
            ..unit("failed")
        };
        check(&stop_timed_out, None, Standing::Stopped);
    }

    #[test]
    fn a_unit_that_cannot_be_loaded_is_no_unit() {
        for (load_state, expected) in [
            ("not-found", Standing::NoUnit),
            ("bad-setting", Standing::NoUnit),
            ("error", Standing::NoUnit),
            ("masked", Standing::Masked),
        ] {
            for active_state in ["inactive", "failed"] {
                let unit = UnitFacts {
                    load_state: load_state.into(),
                    ..unit(active_state)
                };
                check(&unit, None, expected.clone());
            }
        }
    }

    #[test]
    fn what_runs_is_watched_whatever_became_of_its_file() {
        for load_state in ["not-found", "masked", "bad-setting", "error"] {
            let unit = UnitFacts {
                load_state: load_state.into(),
                ..unit("active")
            };
            let up = Standing::Up {
                invocation: Invocation("a".into()),
                since: Monotonic(0),
            };
            check(&unit, None, up);
        }
    }

    #[test]
    fn rule_8_a_run_that_began_before_the_stop_was_taken_is_stopped_with_it() {
        let stopped = PendingStart {
            stopped_at: Monotonic(5),
            ..pending_start()
        };
        let next = |left_inactive, active_state| UnitFacts {
            invocation_id: Some(Invocation("b".into())),
            left_inactive: Monotonic(left_inactive),
            ..unit(active_state)
        };
        for (left_inactive, active_state, since) in [
            (5, "failed", false),
            (4, "inactive", false),
            (4, "deactivating", false),
            (6, "failed", true),
            // Nothing takes it down, whenever it began.
            (4, "active", true),
        ] {
            let unit = next(left_inactive, active_state);
            let seen = started_since(&unit, &stopped);
            assert_eq!(seen, since, "{left_inactive} {active_state}");
        }
    }

    #[test]
    fn a_run_after_the_one_we_stopped_ends_what_is_pending() {
        assert!(!started_since(&unit("inactive"), &pending_start()));
        let next = UnitFacts {
            invocation_id: Some(Invocation("b".into())),
            ..unit("failed")
        };
        assert!(started_since(&next, &pending_start()));
        let unloaded = UnitFacts {
            invocation_id: None,
            ..unit("inactive")
        };
        assert!(!started_since(&unloaded, &pending_start()));
    }
}
