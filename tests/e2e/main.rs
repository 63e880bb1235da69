//! The end-to-end suite, `cargo demo`, `cargo measure`, and every helper program they need, in one executable.
//!
//! Owns the choice of the mode by the first argument, and of the place where the trials run: the user manager that is
//! running, else a throwaway machine in which this same executable is started again with the same arguments.
//! Knows nothing of what the trials do.

// Clippy's leave for tests covers only functions marked `#[test]`, which a suite with a harness of its own has not.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod alerts;
mod apprise;
#[path = "../bench/mod.rs"]
mod bench;
mod cases;
mod config_rollback;
mod days;
mod demo;
mod environment;
mod fleet;
mod history;
mod hostile;
mod human_intent;
mod infrastructure;
mod input;
mod installation;
mod judgement;
mod killed;
mod machine;
mod metrics;
mod packages;
#[path = "../packaging/mod.rs"]
#[allow(dead_code)]
mod packaging;
mod place;
mod played;
#[path = "../cases/reading.rs"]
mod reading;
mod real;
mod recovery;
mod sandbox;
#[path = "../schema/mod.rs"]
mod schema;
#[path = "../stand_in/mod.rs"]
mod stand_in;
mod tls_gateway;
mod watched;
mod watching;
mod wishes;
// What these offer is more than the trials of one moment use.
#[allow(dead_code)]
mod journal;
#[allow(dead_code)]
mod notify_proxy;
#[allow(dead_code)]
mod privileged;
#[allow(dead_code)]
mod rig;

use std::env;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

/// Trials mostly wait for timers and the journal, so there may be more of them at once than there are cores.
const THREADS: usize = 8;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("stand-in-gateway") => stand_in::main(rest),
        Some("notify-proxy") => notify_proxy::main(rest),
        Some("notify-forwarder") => notify_proxy::forward(rest),
        Some("tls-gateway") => tls_gateway::main(rest),
        Some("no-inotify") => tls_gateway::no_inotify(),
        Some("order") => stand_in::order_main(rest),
        Some("pager") => fleet::pager(rest),
        Some("mail-server") => apprise::mail_server(rest),
        Some("as-root") => privileged::serve(),
        Some("demo") if rest.first().is_some_and(|word| word == "days") => {
            days::main(rest.get(1..).unwrap_or_default())
        }
        Some("demo") => demo::main(),
        Some("measure") => bench::main(rest),
        Some("measure-inside") => bench::inside(rest),
        _ => suite(&arguments),
    }
}

fn trials() -> Vec<Trial> {
    [
        infrastructure::trials(),
        watching::trials(),
        recovery::trials(),
        human_intent::trials(),
        wishes::trials(),
        input::trials(),
        judgement::trials(),
        config_rollback::trials(),
        hostile::trials(),
        history::trials(),
        environment::trials(),
        sandbox::trials(),
        alerts::trials(),
        metrics::trials(),
        played::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Trials that would disturb others beside them.
fn alone() -> Vec<Trial> {
    [
        judgement::alone(),
        installation::trials(),
        cases::trials(),
        packages::trials(),
        hostile::alone(),
        killed::alone(),
        config_rollback::alone(),
        environment::alone(),
        history::alone(),
        played::alone(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Trials that are plain functions and fail by a panic.
fn named(list: &[(&str, fn())]) -> Vec<Trial> {
    let run = |trial: fn()| -> Result<(), Failed> {
        trial();
        Ok(())
    };
    list.iter()
        .map(|(name, trial)| {
            let trial = *trial;
            Trial::test(*name, move || run(trial))
        })
        .collect()
}

fn suite(arguments: &[String]) -> ExitCode {
    let options = Arguments::from_args();
    if options.list {
        let all = [trials(), alone(), real_trials()];
        return libtest_mimic::run(&options, all.into_iter().flatten().collect()).exit_code();
    }
    // Beside their machines, and so before there is one.
    let beside = [
        (fleet::wanted(), fleet::trials()),
        (apprise::wanted(), apprise::trials()),
    ];
    for (_, trials) in beside.into_iter().filter(|(wanted, _)| *wanted) {
        let options = Arguments {
            test_threads: Some(1),
            ..options.clone()
        };
        if libtest_mimic::run(&options, trials).has_failed() {
            return ExitCode::FAILURE;
        }
    }
    if real::wanted()
        && let Err(reason) = real::install::install()
    {
        return refuse(reason);
    }
    match place::find() {
        Ok(place::Place::Here) => run(&options),
        Ok(place::Place::Machine) => place::again_in_machine(arguments).unwrap_or_else(refuse),
        Err(reason) => refuse(reason),
    }
}

/// The trials with the real gateway, which have to be asked for.
fn real_trials() -> Vec<Trial> {
    if real::wanted() {
        real::trials()
    } else {
        Vec::new()
    }
}

/// Side by side first, then one by one those that would disturb the others, then those that are large.
fn run(options: &Arguments) -> ExitCode {
    let conclusions = [
        (trials(), options.test_threads.unwrap_or(THREADS)),
        (alone(), 1),
        (real_trials(), options.test_threads.unwrap_or(real::THREADS)),
    ]
    .map(|(trials, threads)| {
        let options = Arguments {
            test_threads: Some(threads),
            ..options.clone()
        };
        libtest_mimic::run(&options, trials)
    });
    real::verdicts::print();
    if conclusions.iter().any(Conclusion::has_failed) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn refuse(reason: String) -> ExitCode {
    eprintln!("e2e: {reason}");
    ExitCode::FAILURE
}
