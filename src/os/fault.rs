//! Fault points: the places between two effects of the program where a test can have it killed.
//!
//! Owns their names and the two files in the test's folder; it knows nothing of what the program does between them.
//!
//! Without debug assertions both functions are empty, so no release build has them.
//! A feature of the crate would be the less careful switch: features add up, and whoever packages with
//! `--all-features` would ship them, while a release build has debug assertions only if its profile asks for it.
//! `tests/fault_points.rs` holds that ours does not, and that nothing of them is left without.
//! Where they are compiled in they do nothing either, unless `E2E_FAULTS` names a folder with a file `plan`.

use crate::policy::{answer::Answer, state::State};

/// The policy has answered; the points that follow, up to the next answer, are points of this one.
#[inline]
pub fn answered(state: &State, answer: &Answer) {
    #[cfg(debug_assertions)]
    armed::answered(state, answer);
    #[cfg(not(debug_assertions))]
    let _ = (state, answer);
}

/// One effect is complete and the next has not begun.
///
/// Under a plan the point is added to the file `passed`.
/// If it is the plan's first line, that line is removed, so that a successor gets through, and SIGKILL ends this process.
#[inline]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    armed::point(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::{
        env,
        fs::{self, OpenOptions},
        io::Write as _,
        path::PathBuf,
        sync::{Mutex, PoisonError},
    };

    use nix::{
        sys::signal::{Signal::SIGKILL, kill},
        unistd::Pid,
    };

    use crate::{
        journal::kinds::Kind,
        policy::{
            answer::{Answer, Effect, WatchdogMessage},
            facts::Signal,
            state::{Phase, State, Step},
        },
    };

    /// What distinguishes the points: the answer they belong to, and those of it already passed.
    struct Current {
        words: String,
        passed: Vec<String>,
    }

    static CURRENT: Mutex<Current> = Mutex::new(Current {
        words: String::new(),
        passed: Vec::new(),
    });

    pub(crate) fn answered(state: &State, answer: &Answer) {
        let words: Vec<&str> = words(answer).collect();
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        current.words = format!("{} [{}]", phase(&state.phase), words.join(", "));
        current.passed.clear();
    }

    pub(crate) fn point(name: &str) {
        let Some(folder) = env::var_os("E2E_FAULTS").map(PathBuf::from) else {
            return;
        };
        // Held to the end: evidence is written in a thread of its own.
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        let mut label = format!("{}: {name}", current.words);
        while current.passed.contains(&label) {
            label.push_str(", again");
        }
        current.passed.push(label.clone());
        let Ok(plan) = fs::read_to_string(folder.join("plan")) else {
            return;
        };
        let passed = OpenOptions::new()
            .append(true)
            .create(true)
            .open(folder.join("passed"));
        // What cannot be written down the test misses.
        let _ = passed.and_then(|mut file| writeln!(file, "{label}"));
        // Whoever reads the plan meanwhile finds all of it.
        let leave = |rest| {
            fs::write(folder.join("plan.new"), rest)?;
            fs::rename(folder.join("plan.new"), folder.join("plan"))
        };
        if let Some(rest) = plan.strip_prefix(&format!("{label}\n"))
            && leave(rest).is_ok()
        {
            let _ = kill(Pid::this(), SIGKILL);
        }
    }

    fn phase(phase: &Phase) -> &'static str {
        match phase {
            Phase::Restarting(Step::Stopping { .. }) => "stopping",
            Phase::Restarting(Step::Killing { .. }) => "killing",
            Phase::Restarting(Step::CleaningUp { .. }) => "cleaning up",
            Phase::Restarting(Step::Starting { .. }) => "restarting",
            phase => phase.name(),
        }
    }

    /// What the answer asks for, in the order in which the labels name it.
    fn words(answer: &Answer) -> impl Iterator<Item = &'static str> {
        let effect = answer.effect.as_ref();
        let begins = effect.is_some_and(Effect::begins_restart);
        answer
            .watchdog
            .map(watchdog)
            .into_iter()
            .chain(begins.then_some("keep evidence"))
            .chain(
                answer
                    .records
                    .iter()
                    .map(|noted| Kind::of(&noted.record).event()),
            )
            .chain(effect.map(name))
            .chain(answer.leave.then_some("leave"))
    }

    fn watchdog(message: WatchdogMessage) -> &'static str {
        match message {
            WatchdogMessage::Ping { .. } => "ping",
            WatchdogMessage::Timeout(_) => "watchdog timeout",
        }
    }

    fn name(effect: &Effect) -> &'static str {
        match effect {
            Effect::AskReadiness => "ask for readiness",
            Effect::Stop { .. } => "stop",
            Effect::Kill => "kill",
            Effect::Cleanup {
                signal: Signal::Term,
                ..
            } => "cleanup with SIGTERM",
            Effect::Cleanup {
                signal: Signal::Kill,
                ..
            } => "cleanup with SIGKILL",
            Effect::Restore { .. } => "restore",
            Effect::Start => "start",
        }
    }
}
