//! What is looked up only where something is wrong: a refused configuration, a gateway that came back degraded, evidence.
//!
//! Owns when the journal, the snapshots and `/ready` are asked; judges nothing and changes nothing.

use std::path::{Path, PathBuf};

use crate::{
    daemon::senses::Senses,
    journal::{gateway_log, journalctl::JOURNALCTL},
    os::files::read_end,
    other_watchdogs::unit_files::files_of,
    policy::facts::{Config, Failure, Invocation, UnitFacts, Useful},
    probe::{
        gateway::Found,
        http::Target,
        readiness::{self, Readiness},
    },
    recovery::evidence::{self, Evidence},
    settings::{
        Settings,
        limits::{EVIDENCE_LIMIT, KEEP_LIMIT, READY_LIMIT},
    },
    snapshots::comparing::Run,
    text::line::Line,
};

/// How much of the end of a file is looked at for the gateway's last words.
const WORDS: u64 = 16 * 1024;

impl Senses {
    /// What the gateway said of its configuration, where its unit failed for that; asked for once a run.
    pub(super) fn last_words(&mut self, unit: &UnitFacts) -> Option<Line> {
        let run = unit.invocation_id.as_ref()?;
        if !is_refusal(unit) {
            return None;
        }
        if self
            .last_words
            .as_ref()
            .is_none_or(|(asked, _)| asked != run)
        {
            let said = gateway_log::last_error(&self.gateway_lines(run));
            let said = said.or_else(|| self.written(unit));
            self.last_words = Some((run.clone(), said));
        }
        self.last_words.as_ref()?.1.clone()
    }

    /// Why the gateway ended, where its unit has its words written to a file, which is named.
    fn written(&self, unit: &UnitFacts) -> Option<Line> {
        let text = files_of(&self.unit, &unit.fragment_path)?;
        let file = Path::new(text.error_file()?);
        let end = read_end(file, WORDS)?;
        let lines: Vec<Line> = String::from_utf8_lossy(&end)
            .lines()
            .map(Line::new)
            .collect();
        let said = gateway_log::last_error(&lines)?;
        Some(Line::new(&format!("{said} (in {})", file.display())))
    }

    /// The configuration as it is now; looked at anew each time, because somebody may be fixing it.
    pub(super) fn config(&mut self, unit: &UnitFacts, found: &Found) -> Option<Config> {
        let (store, _) = self.kept.clone()?;
        let run = Run {
            began: unit.active_since_wall,
            ended: unit.exited_wall,
        };
        self.comparing
            .compare(store, found.place()?, run, KEEP_LIMIT)
    }

    /// The command that restores the configuration that is the last known good, where it is another one.
    pub(super) fn remedy(&self, config: &Config) -> Option<Line> {
        let (_, command) = self.kept.as_ref().filter(|_| !config.is_known_good)?;
        Some(Line::new(&format!(
            "the configuration changed since it worked; {command} restores snapshot {}, which worked",
            config.snapshot
        )))
    }

    /// What a healthy gateway says of itself, beyond being alive; `tripped` is what is known of its crash-loop breaker.
    pub fn useful(&mut self, target: &Target, run: Option<&Invocation>, tripped: bool) -> Useful {
        let failing = match readiness::ready(target, READY_LIMIT) {
            Readiness::Degraded(parts) => Some(parts),
            Readiness::Ready => Some(Vec::new()),
            Readiness::Unknown => None,
        };
        let run = run.filter(|run| self.breaker.is_due(run, tripped));
        let breaker = run.and_then(|run| {
            let said = self.said_by(run);
            self.breaker.note(said.is_ok());
            gateway_log::breaker(&said.unwrap_or_default())
        });
        Useful { failing, breaker }
    }

    /// Takes down what the failing gateway looks like.
    pub fn evidence(&mut self, settings: &Settings, failure: &Failure) -> Evidence {
        let unit = self.ask_unit().unwrap_or_default();
        let found = self.find(settings, Some(&unit));
        let places = evidence::Places {
            proc: self.proc.clone(),
            cgroup: self.cgroups.clone(),
            journalctl: PathBuf::from(JOURNALCTL),
        };
        let subject = evidence::Subject {
            stall: failure.stall,
            detail: failure.detail.clone(),
            unit: self.unit.clone(),
            invocation: unit.invocation_id,
            control_group: unit.control_group,
            main_pid: unit.main_pid,
            port: found.port,
        };
        evidence::collect(&places, &subject, EVIDENCE_LIMIT)
    }
}

/// Whether the unit failed because the gateway refused its configuration.
pub(crate) fn is_refusal(unit: &UnitFacts) -> bool {
    /// EX_CONFIG of sysexits(3).
    const REFUSED: i32 = 78;
    unit.active_state == "failed" && unit.exec_main_status == REFUSED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_exited_with_78_and_is_to_go_on_refuses_nothing() {
        let unit = |active_state: &str, exec_main_status| UnitFacts {
            active_state: active_state.to_owned(),
            exec_main_status,
            ..UnitFacts::default()
        };
        assert!(is_refusal(&unit("failed", 78)));
        assert!(!is_refusal(&unit("failed", 1)));
        for state in ["active", "activating", "inactive"] {
            assert!(!is_refusal(&unit(state, 78)), "{state}");
        }
    }
}
