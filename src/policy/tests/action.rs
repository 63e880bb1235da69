//! What a policy's answer leads to, one thing after the other, as the daemon carries it out.
//!
//! Owns the flat words in which the world logs an answer and the rules are held against it.

use std::time::Duration;

use crate::policy::{
    answer::{Answer, Effect, Noted, WatchdogMessage},
    facts::Signal,
};

/// One thing that is said or done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    Ping {
        restore: bool,
    },
    Timeout(Duration),
    Record(Noted),
    KeepEvidence,
    AskReadiness,
    Stop,
    Kill,
    Cleanup(Signal),
    Restore {
        snapshot: u32,
        rejected: String,
        judged: String,
    },
    Start,
    Leave,
}

/// The answer's parts, in the daemon's order.
pub(super) fn actions(answer: &Answer) -> Vec<Action> {
    let begins = answer.effect.as_ref().is_some_and(Effect::begins_restart);
    let evidence = begins.then_some(Action::KeepEvidence);
    let records = answer.records.iter().cloned().map(Action::Record);
    let watchdog = answer.watchdog.map(|message| match message {
        WatchdogMessage::Ping { restore } => Action::Ping { restore },
        WatchdogMessage::Timeout(timeout) => Action::Timeout(timeout),
    });
    let leave = answer.leave.then_some(Action::Leave);
    evidence
        .into_iter()
        .chain(records)
        .chain(watchdog)
        .chain(answer.effect.as_ref().map(action))
        .chain(leave)
        .collect()
}

fn action(effect: &Effect) -> Action {
    match effect.clone() {
        Effect::AskReadiness => Action::AskReadiness,
        Effect::Stop { .. } => Action::Stop,
        Effect::Kill => Action::Kill,
        Effect::Cleanup { signal, .. } => Action::Cleanup(signal),
        Effect::Restore {
            snapshot,
            rejected,
            judged,
        } => Action::Restore {
            snapshot,
            rejected,
            judged,
        },
        Effect::Start => Action::Start,
    }
}
