//! `gatehound install --dry-run`: what install would change.
//!
//! Owns which of the lines that install says are changes, the exit status, and how they become the steps of `--json`.

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

/// The exit status where install would change nothing.
const NOTHING: u8 = 3;

/// Prints what install would change, and who keeps it from that; 1 where install would refuse, 3 where nothing would change.
pub(crate) fn dry_run(sources: Sources, options: &InstallOptions) -> anyhow::Result<ExitCode> {
    let (done, mut lines) = console::held(|| install(sources, options));
    // What is as it should be, and what only a human can change, is no change.
    lines.retain(|line| line.starts_with("would ") || done.is_err());
    let status = match &done {
        Ok(_) if lines.is_empty() => ExitCode::from(NOTHING),
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    };
    if options.json {
        let refused = done.err().map(|why| Line::new(&format!("{why:#}")));
        let steps = lines.iter().map(|line| step(line)).collect();
        answers::say(&InstallPlan { steps, refused });
        return Ok(status);
    }
    for line in &lines {
        console::print(line);
    }
    if lines.is_empty() && done.is_ok() {
        console::say!("nothing would change");
    }
    done.map(|_| status)
}

/// A line has its step first, and what it is about behind two spaces or more.
fn step(line: &str) -> InstallStep {
    let (step, what) = line.split_once("  ").unwrap_or(("", line));
    InstallStep {
        step: step.trim().to_owned(),
        what: what.trim().to_owned(),
    }
}
