//! `gatehound install --dry-run --json`: what install would do, for scripts.
//!
//! Owns how the lines that install says become steps, so that both say the same.

use std::process::ExitCode;

use super::install;
use crate::{
    cli::{
        answers::{self, InstallPlan, InstallStep},
        command_line::InstallOptions,
        console,
    },
    settings::layers::Sources,
    text::line::Line,
};

/// Prints the steps; 1 where install would refuse.
pub(crate) fn plan(sources: Sources, options: &InstallOptions) -> ExitCode {
    let (done, lines) = console::held(|| install(sources, options));
    let refused = done
        .as_ref()
        .err()
        .map(|why| Line::new(&format!("{why:#}")));
    let steps = lines.iter().map(|line| step(line)).collect();
    answers::say(&InstallPlan { steps, refused });
    done.unwrap_or(ExitCode::FAILURE)
}

/// A line has its step first, and what it is about behind two spaces or more.
fn step(line: &str) -> InstallStep {
    let (step, what) = line.split_once("  ").unwrap_or(("", line));
    InstallStep {
        step: step.trim().to_owned(),
        what: what.trim().to_owned(),
    }
}
