//! The rollback of a configuration that the gateway refuses, and the start that follows it.
//!
//! Owns the only answer to exit status 78 but standing by (rule 7): the configuration that is the last known good, once,
//! where nobody is at work on the one that was refused, and a start with it, which is pending from before (rule 8).
//! Each is decided in answer to a look (rule 4); how files are put back is none of its business.

use std::time::Duration;

use crate::policy::{Machine, NotRestored, RETRY};
use crate::{
    policy::{
        answer::Effect,
        facts::{Config, Health, Look, Probe},
        record::Record,
        state::{PendingStart, Phase, Rollback, Standby, Step},
        unit,
    },
    settings,
    text::line::Line,
};

impl Machine<'_> {
    /// The gateway refuses its configuration, and nothing else is a reason to stand by.
    pub(super) fn config_error(&mut self, look: &Look, detail: Line) {
        self.stand_by(Standby::ConfigError, detail);
        let (Some(config), Ok(unit)) = (self.rejected(look), &look.unit) else {
            return;
        };
        let run = unit.invocation_id.clone();
        self.state.rollback = Some(Rollback {
            run: run.clone(),
            snapshot: config.snapshot,
            rejected: config.content.clone().unwrap_or_default(),
            kept: None,
            found: false,
            served: false,
        });
        // From here on a human's stop is listened for, and a successor goes on.
        self.state.pending_start = Some(PendingStart {
            invocation: run,
            rollback: true,
            ..PendingStart::default()
        });
        self.restore(config);
    }

    /// The configuration that is to be rolled back: one that is refused for what it says, that was known good before,
    /// that nobody has touched since, and that has not been rolled back yet.
    fn rejected<'a>(&self, look: &'a Look) -> Option<&'a Config> {
        let is_refused = look.unit.as_ref().is_ok_and(unit::refused_its_config);
        let in_the_way = look.update.is_some() || look.debugged || !is_port_free(look);
        // One after the other, without a gateway that worked between, would be a guess at what it wants.
        let again = self
            .state
            .rollback
            .as_ref()
            .is_some_and(|last| !last.served);
        let unwanted = look
            .unit
            .as_ref()
            .is_ok_and(|unit| self.is_unwanted(unit) || unit.job.is_some());
        let may = self.settings.rollback == settings::Rollback::Auto && !self.state.leaving;
        if !may || !is_refused || in_the_way || again || unwanted {
            return None;
        }
        let config = look.config.as_ref()?;
        let is_new = config.untouched && !config.was_rejected && !config.is_known_good;
        (is_new && config.content.is_some()).then_some(config)
    }

    fn restore(&mut self, seen: &Config) {
        let (Some(rollback), Some(judged)) = (&mut self.state.rollback, &seen.content) else {
            return;
        };
        // A Gatehound that was killed over it cannot report it; a human who put the good one back is taken for that, which rolls back less.
        rollback.found |= *judged != rollback.rejected;
        let restore = Effect::Restore {
            snapshot: rollback.snapshot,
            rejected: rollback.rejected.clone(),
            judged: judged.clone(),
        };
        self.act(restore);
    }

    pub(super) fn restored(&mut self, restored: Result<Line, NotRestored>) {
        let Some(rollback) = self.state.rollback.as_mut().filter(|_| {
            self.state
                .pending_start
                .as_ref()
                .is_some_and(|pending_start| pending_start.rollback)
        }) else {
            return;
        };
        match restored {
            Ok(kept) => {
                rollback.kept = Some(kept.clone());
                let snapshot = rollback.snapshot;
                self.record(Record::RolledBack { snapshot, kept });
                self.state.phase = Phase::Restarting(Step::Starting { tries: 0 });
                self.again_in(Duration::ZERO);
            }
            Err(NotRestored::Changed) => {
                // Where nothing was rolled back, what is there now is judged like any other.
                if !rollback.found {
                    self.state.rollback = None;
                }
                self.state.pending_start = None;
                self.again_in(self.settings.grace.interval);
            }
            Err(NotRestored::Late) => self.again_in(self.settings.interval),
            Err(NotRestored::Failed(why)) => {
                self.state.pending_start = None;
                self.record(Record::NotRolledBack { why });
                self.again_in(self.settings.interval);
            }
        }
    }

    /// The gateway is down and its configuration is being rolled back, by this Gatehound or one before it.
    pub(super) fn down_for_rollback(&mut self, look: &Look) {
        match &look.health {
            // A port that is taken was a reason to stand by before this.
            Health::Healthy(_) | Health::Failing(_) => {}
            Health::Unknown(_) => return self.again_in(self.settings.grace.interval),
            Health::NotProbed => return self.again_in(Duration::ZERO),
        }
        match &self.state.rollback {
            Some(Rollback { kept: Some(_), .. }) => self.start_with_it(look),
            Some(rollback) => {
                let goes_on = self.goes_on(rollback, look);
                self.stand_by(Standby::ConfigError, refusal(look, &self.state.rollback));
                match (goes_on, &look.config) {
                    (true, Some(config)) => self.restore(config),
                    // The disk cannot be asked yet.
                    (true, None) => {}
                    (false, _) => self.state.pending_start = None,
                }
            }
            // A damaged state file.
            None => {
                self.state.pending_start = None;
                self.again_in(RETRY);
            }
        }
    }

    /// Whether a rollback that was begun may still be gone on with.
    fn goes_on(&self, rollback: &Rollback, look: &Look) -> bool {
        let is_refused = look.unit.as_ref().is_ok_and(unit::refused_its_config);
        if self.settings.rollback != settings::Rollback::Auto || !is_refused {
            return false;
        }
        look.config.as_ref().is_none_or(|config| {
            // A human may have written the same once more, and means it.
            let is_same = config.untouched && config.content.as_ref() == Some(&rollback.rejected);
            let is_ours = is_same || config.half_done || config.is_known_good;
            is_ours && config.snapshot == rollback.snapshot
        })
    }

    fn start_with_it(&mut self, look: &Look) {
        let is_refused = look.unit.as_ref().is_ok_and(unit::refused_its_config);
        match &look.config {
            _ if !is_refused => {}
            Some(config) if config.is_known_good => {}
            // What was refused is never answered with a start, whoever has put it back.
            Some(_) => {
                self.state.pending_start = None;
                return self.stand_by(Standby::ConfigError, refusal(look, &self.state.rollback));
            }
            None => return self.again_in(self.settings.grace.interval),
        }
        if let Phase::GaveUp { since, .. } = self.state.phase
            && self.waits_to_start(since)
        {
            return;
        }
        if !matches!(self.state.phase, Phase::Restarting(Step::Starting { .. })) {
            self.state.phase = Phase::Restarting(Step::Starting { tries: 0 });
        }
        self.ask_for_start(look);
    }
}

/// Whether nothing listens on the port: exit status 78 is also how a gateway makes way for another one.
pub(super) fn is_port_free(look: &Look) -> bool {
    let Health::Failing(failure) = &look.health else {
        return false;
    };
    failure.probe == Probe::Port && look.port_holder.is_none()
}

/// What is seen of a gateway that refuses its configuration, and what fixes it.
pub(super) fn refusal(look: &Look, rollback: &Option<Rollback>) -> Line {
    let said = match &look.unit {
        Ok(unit) => format!("exit status {}", unit.exec_main_status),
        Err(why) => why.to_string(),
    };
    let config = look.config.as_ref();
    let after = rollback.as_ref().filter(|last| !last.served);
    let after = after.and_then(|last| match &last.kept {
        Some(kept) if config.is_some_and(|config| config.is_known_good) => Some(format!(
            "snapshot {}, which was put in its place, is refused as well; what was refused before is kept in {kept}",
            last.snapshot
        )),
        Some(_) | None => None,
    });
    // The remedy first: the gateway's words may be long, and a line is cut at its end.
    let remedy = look.remedy.as_ref().map(Line::as_str);
    let parts = [Some(said.as_str()), after.as_deref(), remedy];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    let text = parts.join("; ");
    Line::new(&match &look.last_words {
        Some(words) if 1 < parts.len() => format!("{text}; it said: {words}"),
        Some(words) => format!("{text}: {words}"),
        None => text,
    })
}
