//! The table of src/ARCHITECTURE.md: in which phase what is seen leads to which phase and effect.
//!
//! Owns the states and looks that it is computed from; the page has to hold what comes out.

use std::fmt::Write as _;

use crate::{
    policy::{
        CleanedUp, Done, Event,
        answer::{Answer, Effect, WatchdogMessage},
        facts::{Health, Job, JobKind, Look, Monotonic, Pause, Process, Signal, Stall, UnitFacts},
        restart::STARTS,
        state::{
            Attempts, Bite, Gateway, GraceUsed, Incident, PendingStart, Phase, Standby, State, Step,
        },
        step,
        tests::world::{failing, failure, invocation, secs},
    },
    settings::Settings,
    text::line::Line,
};

const NOW: Monotonic = Monotonic(100_000_000_000);

/// The number of the job by which Gatehound stops the gateway.
const OUR_JOB: u32 = 7;

fn ago(seconds: u64) -> Monotonic {
    Monotonic(NOW.0 - seconds * 1_000_000)
}

/// Whether the time that the phase gives is over.
#[derive(Clone, Copy, PartialEq)]
enum Given {
    Left,
    Over,
}

/// All phases but `restarting`, in the order of the page.
fn phases(given: Given) -> Vec<(&'static str, Phase)> {
    let over = given == Given::Over;
    let since = if over { ago(3600) } else { ago(5) };
    let mut grace_used = GraceUsed::new(since);
    grace_used.failure = Some(failure(Stall::Blocked));
    grace_used.last = Some(ago(1));
    if over {
        grace_used.waited.add(Stall::Blocked, secs(3600));
        grace_used.waited.add(Stall::Gone, secs(3600));
    }
    let until = if over { NOW } else { NOW + secs(5) };
    let mut phases = vec![
        (
            "starting",
            Phase::Starting {
                since,
                progress: since,
            },
        ),
        (
            "healthy",
            Phase::Healthy {
                since,
                took: secs(0),
            },
        ),
        ("failing", Phase::Failing(grace_used)),
        (
            "backing-off",
            Phase::BackingOff {
                attempt: 1,
                until,
                failure: failure(Stall::Blocked),
                grace_used: None,
            },
        ),
        (
            "gave-up",
            Phase::GaveUp {
                since,
                reason: "3 restarts did not help".into(),
                bite: Bite::Done,
            },
        ),
    ];
    for reason in [
        Standby::Paused,
        Standby::Stopped,
        Standby::NoUnit,
        Standby::NoBus,
        Standby::Updating,
        Standby::ConfigError,
        Standby::OtherGateway,
        Standby::InTransition,
        Standby::Debugged,
        Standby::Frozen,
        Standby::Masked,
    ] {
        let phase = Phase::StandingBy {
            reason,
            detail: Line::default(),
            since,
        };
        phases.push((reason.name(), phase));
    }
    phases
}

/// The first names of `phases` that are none of a reason to stand by.
const PHASES: usize = 5;

/// The steps of a restart, which systemd has been asked for.
fn steps(given: Given) -> [(&'static str, Phase); 4] {
    let until = match given {
        Given::Left => NOW + secs(5),
        Given::Over => NOW,
    };
    [
        ("stopping", Step::Stopping { until }),
        ("killing", Step::Killing { until }),
        ("cleaning up", Step::CleaningUp { passes: 0 }),
        ("starting", Step::Starting { tries: 0 }),
    ]
    .map(|(name, step)| (name, Phase::Restarting(step)))
}

/// The memory of a gateway that was up for an hour, in this phase.
fn state(phase: Phase) -> State {
    let is_restarting = matches!(phase, Phase::Restarting(_));
    let fails = is_restarting
        || matches!(
            phase,
            Phase::Failing(_) | Phase::BackingOff { .. } | Phase::GaveUp { .. }
        );
    let incident = Incident {
        id: "run1-1".into(),
        since: ago(60),
        failure: failure(Stall::Blocked),
        restarts: 0,
        started: None,
        started_by_other: false,
        bitten: false,
        crashed: false,
        loops: false,
        overdue: false,
    };
    let pending_start = PendingStart {
        invocation: Some(invocation(1)),
        stop_job: Some(OUR_JOB),
        stop_timeout: secs(10),
        ..PendingStart::default()
    };
    State {
        gateway: Gateway {
            invocation: Some(invocation(1)),
            since: ago(3600),
            served: !matches!(phase, Phase::Starting { .. }),
            stopped: is_restarting,
            seen: true,
            unjudged: None,
        },
        incident: fails.then_some(incident),
        attempts: Attempts {
            used: usize::from(is_restarting),
            taken: ago(30),
        },
        pending_start: is_restarting.then_some(pending_start),
        phase,
        ..State::default()
    }
}

fn unit(active_state: &str) -> UnitFacts {
    UnitFacts {
        load_state: "loaded".into(),
        active_state: active_state.into(),
        result: "success".into(),
        exec_main_code: 1,
        invocation_id: Some(invocation(1)),
        active_since: ago(3600),
        ..UnitFacts::default()
    }
}

fn exited_78() -> UnitFacts {
    UnitFacts {
        result: "exit-code".into(),
        exec_main_status: 78,
        ..unit("failed")
    }
}

/// A look that shows this unit, and a gateway that answers nothing.
fn look(unit: UnitFacts) -> Look {
    Look {
        began: NOW,
        unit: Ok(unit),
        foreign_job: false,
        joined: 0,
        pause: None,
        update: None,
        last_words: None,
        remedy: None,
        config: None,
        debugged: false,
        frozen: false,
        listens: Line::default(),
        port_holder: None,
        left_over: None,
        without_health: false,
        progress: Some(false),
        ran_after: None,
        health: failing(Stall::Blocked),
    }
}

fn paused(look: Look) -> Look {
    Look {
        pause: Some(Pause {
            reason: "by hand".into(),
            remaining: None,
        }),
        ..look
    }
}

fn updating(look: Look) -> Look {
    Look {
        update: Some("update".into()),
        ..look
    }
}

fn with_health(look: Look, health: Health) -> Look {
    Look { health, ..look }
}

const HEALTHY: Health = Health::Healthy(secs(0));

/// What is seen or happens, in the words of the page, and whether it comes when the time given is over.
type Seen = (&'static str, Given, Event);

fn seen(what: &'static str, given: Given, look: Look) -> Seen {
    (what, given, Event::Looked(Box::new(look)))
}

/// What may be seen of a gateway that Gatehound is not restarting.
fn sights() -> Vec<Seen> {
    use Given::{Left, Over};
    let up = || look(unit("active"));
    let no_bus = |health| Look {
        unit: Err("no answer".into()),
        ..with_health(up(), health)
    };
    let auto_restart = UnitFacts {
        sub_state: "auto-restart".into(),
        result: "exit-code".into(),
        exec_main_status: 1,
        ..unit("activating")
    };
    let given_up = UnitFacts {
        result: "start-limit-hit".into(),
        ..unit("failed")
    };
    let frozen = Look {
        frozen: true,
        ..up()
    };
    let debugged = Look {
        debugged: true,
        ..up()
    };
    let held = Look {
        port_holder: Some("pid 9 (sshd) of user 1001".into()),
        ..up()
    };
    vec![
        seen("it is healthy", Left, with_health(up(), HEALTHY)),
        seen("it fails, time is left", Left, up()),
        seen("it fails, the time is over", Over, up()),
        seen(
            "a probe cannot tell",
            Over,
            with_health(up(), Health::Unknown("no descriptors".into())),
        ),
        seen(
            "it fails, another user holds its port",
            Over,
            Look {
                health: failing(Stall::Gone),
                ..held
            },
        ),
        seen("it fails, systemd gave up on it", Over, look(given_up)),
        seen("a pause", Over, paused(up())),
        seen("a human stopped it", Over, look(unit("inactive"))),
        seen("no unit", Over, look(UnitFacts::default())),
        seen("no bus, it is healthy", Left, no_bus(HEALTHY)),
        seen("no bus, it fails", Over, no_bus(failing(Stall::Blocked))),
        seen("an update", Over, updating(up())),
        seen("a debugger holds it", Over, debugged),
        seen("somebody froze it", Over, frozen),
        seen("systemd restarts it", Over, look(auto_restart)),
        seen("exit status 78", Over, look(exited_78())),
        seen(
            "exit status 78, another gateway answers",
            Over,
            with_health(look(exited_78()), HEALTHY),
        ),
        ("the machine wakes up", Over, Event::Resumed),
        ("`gatehound reset`", Left, Event::Reset),
        ("Gatehound is to stop", Left, Event::Leave),
    ]
}

/// What may be seen during a restart.
fn sights_of_a_restart() -> Vec<Seen> {
    use Given::{Left, Over};
    let on_its_way = || {
        look(UnitFacts {
            job: Some(Job {
                id: OUR_JOB,
                ours: true,
                kind: JobKind::Stop,
            }),
            ..unit("deactivating")
        })
    };
    let down = || look(unit("inactive"));
    let stopped_by_human = Look {
        foreign_job: true,
        ..down()
    };
    let no_bus = Look {
        unit: Err("no answer".into()),
        ..down()
    };
    let next_run = UnitFacts {
        invocation_id: Some(invocation(2)),
        active_since: NOW,
        ..unit("active")
    };
    vec![
        seen("it stops, time is left", Left, on_its_way()),
        seen("it stops, the time is over", Over, on_its_way()),
        seen("it is down", Left, down()),
        seen("a human stopped it meanwhile", Left, stopped_by_human),
        seen("a pause", Left, paused(down())),
        seen("an update", Left, updating(down())),
        seen("no bus", Left, no_bus),
        seen("exit status 78", Left, look(exited_78())),
        seen(
            "the next run is healthy",
            Left,
            with_health(look(next_run.clone()), HEALTHY),
        ),
        seen("the next run fails", Left, look(next_run)),
        seen("somebody cancelled the stop", Left, look(unit("active"))),
        ("Gatehound is to stop", Left, Event::Leave),
    ]
}

/// What a cleanup may have come to, at this pass of it.
fn cleanups() -> Vec<(&'static str, u8, CleanedUp)> {
    let process = Process {
        pid: 77,
        start_time: 1,
        uid: 1000,
        cgroup: String::new(),
        command: "leftover".into(),
    };
    let left = || CleanedUp {
        left: vec![process.clone()],
        ..CleanedUp::default()
    };
    let held = CleanedUp {
        port_holder: Some("pid 9 (sshd) of user 1001".into()),
        ..CleanedUp::default()
    };
    vec![
        ("nothing is left", 0, CleanedUp::default()),
        ("something is left", 0, left()),
        ("something is left after two passes", 3, left()),
        ("another user holds the port", 0, held),
    ]
}

/// The step that asks for a start, after so many that began no run.
fn after_starts_in_vain() -> Row {
    let [.., (name, phase)] = steps(Given::Left);
    let mut state = state(phase.clone());
    if let Some(pending_start) = &mut state.pending_start {
        pending_start.starts = STARTS;
    }
    let event = Event::Looked(Box::new(look(unit("inactive"))));
    let (state, answer) = step(&Settings::default(), state, event, NOW);
    Row {
        name,
        before: outcome(&phase, &Answer::default()),
        then: outcome(&state.phase, &answer),
    }
}

/// The phase after it, and what is done.
fn outcome(phase: &Phase, answer: &Answer) -> String {
    if answer.leave {
        return "leaves".to_owned();
    }
    let mut said = match phase {
        Phase::StandingBy { reason, .. } => format!("standing-by ({})", reason.name()),
        Phase::Restarting(_) => {
            let same = |(_, step): &(&str, Phase)| match (step, phase) {
                (Phase::Restarting(one), Phase::Restarting(other)) => {
                    std::mem::discriminant(one) == std::mem::discriminant(other)
                }
                _ => false,
            };
            let name = steps(Given::Left).into_iter().find(same);
            format!("restarting ({})", name.map_or("", |(name, _)| name))
        }
        phase => phase.name().to_owned(),
    };
    if let Phase::GaveUp {
        bite: Bite::Due, ..
    } = phase
    {
        said += ", the watchdog bites";
    }
    if matches!(answer.watchdog, Some(WatchdogMessage::Ping { .. })) {
        said += ", ping";
    }
    said += match &answer.effect {
        None => "",
        Some(Effect::AskReadiness) => ", read /ready",
        Some(Effect::Stop { begins: true }) => ", evidence, stop",
        Some(Effect::Stop { begins: false }) => ", stop",
        Some(Effect::Kill) => ", SIGKILL",
        Some(Effect::Cleanup { begins: true, .. }) => ", evidence, cleanup",
        Some(Effect::Cleanup {
            signal: Signal::Term,
            ..
        }) => ", cleanup",
        Some(Effect::Cleanup {
            signal: Signal::Kill,
            ..
        }) => ", cleanup with SIGKILL",
        Some(Effect::Restore { .. }) => ", rollback",
        Some(Effect::Start) => ", start",
    };
    said
}

/// The lines of one thing seen: phases of the same outcome together, in the order in which they come.
fn lines(table: &mut String, what: &str, all: &str, outcomes: Vec<Row>) {
    let mut groups: Vec<(Vec<&str>, String)> = Vec::new();
    let same = outcomes.windows(2).all(|pair| pair[0].then == pair[1].then);
    for row in outcomes {
        let then = if row.then == row.before && !same {
            "stays".to_owned()
        } else {
            row.then
        };
        match groups.iter_mut().find(|(_, known)| *known == then) {
            Some((names, _)) => names.push(row.name),
            None => groups.push((vec![row.name], then)),
        }
    }
    for (names, then) in groups {
        let names = if same {
            all.to_owned()
        } else {
            names.join(", ")
        };
        writeln!(table, "| {what} | {names} | {then} |").expect("a string takes all");
    }
}

/// The reasons to stand by in one word, where all of them lead to the same or to nothing.
fn reasons_together(mut rows: Vec<Row>) -> Vec<Row> {
    let mut reasons = rows.split_off(PHASES);
    let stays = reasons.iter().all(|row| row.then == row.before);
    let same = reasons.windows(2).all(|pair| pair[0].then == pair[1].then);
    if stays || same {
        reasons.truncate(1);
        reasons[0].name = "standing-by";
    }
    rows.append(&mut reasons);
    rows
}

/// What one phase leads to.
struct Row {
    name: &'static str,
    /// The outcome where nothing happens.
    before: String,
    then: String,
}

fn rows(phases: Vec<(&'static str, Phase)>, event: &Event) -> Vec<Row> {
    let row = |(name, phase): (_, Phase)| Row {
        name,
        before: outcome(&phase, &Answer::default()),
        then: {
            let (state, answer) = step(&Settings::default(), state(phase), event.clone(), NOW);
            outcome(&state.phase, &answer)
        },
    };
    phases.into_iter().map(row).collect()
}

fn table() -> String {
    let mut table = "| seen | in | then |\n|---|---|---|\n".to_owned();
    for (what, given, event) in sights() {
        let rows = reasons_together(rows(phases(given), &event));
        lines(&mut table, what, "any phase", rows);
    }
    table += "\n| seen during a restart | in | then |\n|---|---|---|\n";
    for (what, given, event) in sights_of_a_restart() {
        lines(
            &mut table,
            what,
            "any step",
            rows(steps(given).into(), &event),
        );
    }
    let what = format!("{STARTS} starts began no run");
    lines(&mut table, &what, "starting", vec![after_starts_in_vain()]);
    for (what, passes, cleaned_up) in cleanups() {
        let event = Event::Done(Done::Cleanup(Ok(cleaned_up)));
        let phase = Phase::Restarting(Step::CleaningUp { passes });
        let rows = rows(vec![("cleaning up", phase)], &event);
        lines(&mut table, what, "cleaning up", rows);
    }
    table
}

const PAGE: &str = include_str!("../../ARCHITECTURE.md");

#[test]
fn the_architecture_page_says_what_happens_when() {
    let table = table();
    let (_, section) = PAGE
        .split_once("\n## What happens when\n")
        .expect("the section on the page");
    let (_, block) = section
        .split_once("<!-- table: begin -->\n")
        .expect("the begin of the table");
    let (block, _) = block
        .split_once("<!-- table: end -->")
        .expect("the end of the table");
    assert!(
        block.trim() == table.trim(),
        "between the marks of the page there should be:\n\n{table}"
    );
    assert!(table.lines().count() <= 60, "{}", table.lines().count());
}
