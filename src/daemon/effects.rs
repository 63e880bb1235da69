//! An answer of the policy is carried out.
//!
//! Owns the order: evidence, records, the message to systemd, and then the one effect, whose end is the next event.
//! It decides nothing.

use std::sync::mpsc::RecvTimeoutError;

use crate::{
    daemon::core::Daemon,
    os::{fault, folders, wall_clock},
    policy::{
        CleanedUp, Done, Event, NotRestored,
        answer::{Answer, Effect, WatchdogMessage},
        facts::{Process, Signal, Useful},
        record::Record,
    },
    recovery::{cleanup, incident_files},
    settings::limits::{CLEANUP_GRACE, KEEP_LIMIT, RESTORE_LIMIT},
    snapshots::restoring,
    systemd::{
        ManagerError, UserManager,
        notify::{Notifier, Watchdog},
    },
    text::line::Line,
};

impl Daemon {
    /// The evidence comes first, because the records say what is about to happen; systemd learns the phase before the effect,
    /// which may take long.
    pub(super) fn carry_out(&mut self, answer: &Answer, notifier: &mut Notifier) -> Option<Event> {
        if answer.effect.as_ref().is_some_and(Effect::begins_restart) {
            self.keep_evidence();
        }
        for noted in &answer.records {
            self.write(noted);
        }
        self.leaving |= answer.leave;
        let watchdog = match answer.watchdog {
            Some(WatchdogMessage::Ping { restore: true }) => Watchdog::PingAndRestore,
            Some(WatchdogMessage::Ping { restore: false }) => Watchdog::Ping,
            Some(WatchdogMessage::Timeout(timeout)) => Watchdog::Timeout(timeout),
            None => Watchdog::Silence,
        };
        let status = self.status();
        if matches!(watchdog, Watchdog::Ping | Watchdog::PingAndRestore) {
            self.pinged = true;
            self.metrics.pinged = Some(wall_clock::now());
        }
        match notifier.send(watchdog, &status) {
            Ok(()) => self.unnotified.over(),
            Err(why) => {
                if self.unnotified.is_news(why.clone()) {
                    self.warn(why);
                }
            }
        }
        fault::point("systemd notified");
        let done = self.act(answer.effect.as_ref()?);
        fault::point("acted");
        Some(Event::Done(done))
    }

    fn act(&mut self, effect: &Effect) -> Done {
        let unit = self.senses.unit.clone();
        let manager = &mut self.senses.manager;
        let line = |e: ManagerError| Line::new(&e.to_string());
        match effect {
            Effect::AskReadiness => Done::Readiness(self.ask_readiness()),
            Effect::Stop { .. } => Done::Stop(manager.stop(&unit).map_err(line)),
            Effect::Kill => Done::Kill(manager.kill(&unit).map_err(line)),
            Effect::Cleanup { signal, .. } => Done::Cleanup(self.cleanup(*signal)),
            Effect::Restore {
                snapshot,
                rejected,
                judged,
            } => Done::Restored(self.roll_back(*snapshot, rejected, judged)),
            Effect::Start => Done::Start(start(manager, &unit)),
        }
    }

    /// Writes down what the look before this decision took; a disk that is full or slow delays nothing.
    fn keep_evidence(&mut self) {
        let Some(evidence) = self.evidence.take() else {
            return;
        };
        // Not the attempt, which comes again when Gatehound tries again.
        let (incident, restart) = match &self.state.incident {
            Some(incident) => (incident.id.as_str(), incident.restarts.saturating_add(1)),
            None => ("", 1),
        };
        let kept = folders::state(&self.sources.variables, self.sources.profile.as_deref())
            .and_then(|state| {
                incident_files::save(&state, incident, restart, &evidence, KEEP_LIMIT)
            })
            .map(|path| Line::new(&path.display().to_string()));
        fault::point("evidence kept");
        self.record(Record::Evidence {
            summary: evidence.summary(),
            fields: evidence.fields(),
            kept,
        });
    }

    /// Waits for the disk no longer than it may; what it has not done by then goes on, and is asked after again.
    fn roll_back(
        &mut self,
        snapshot: u32,
        rejected: &str,
        judged: &str,
    ) -> Result<Line, NotRestored> {
        let (of, restoring) = match self.restoring.take() {
            Some(restoring) => restoring,
            None => {
                let nowhere = || NotRestored::Failed("openclaw.json was not found".into());
                let run = self.state.rollback.as_ref();
                let order = restoring::Order {
                    place: self.place.clone().ok_or_else(nowhere)?,
                    snapshot,
                    rejected: rejected.to_owned(),
                    judged: judged.to_owned(),
                    run: run.and_then(|last| Some(last.run.clone()?.0)),
                    now: wall_clock::now(),
                    keep: self.settings.snapshots.keep,
                };
                let store = self.store().ok_or_else(nowhere)?;
                let restoring = restoring::roll_back_in_thread(store, order);
                (rejected.to_owned(), restoring.map_err(NotRestored::Failed)?)
            }
        };
        match restoring.recv_timeout(RESTORE_LIMIT) {
            Ok(restored) if of == rejected => restored,
            // An older one is over, which nobody waited for any more.
            Ok(_) => Err(NotRestored::Late),
            Err(RecvTimeoutError::Timeout) => {
                self.restoring = Some((of, restoring));
                Err(NotRestored::Late)
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(NotRestored::Failed("it ended without an answer".into()))
            }
        }
    }

    fn ask_readiness(&mut self) -> Useful {
        let run = self.state.gateway.invocation.clone();
        match self.target {
            Some(target) => {
                let tripped = self.state.parts.breaker.is_some();
                self.senses.useful(&target, run.as_ref(), tripped)
            }
            None => Useful::default(),
        }
    }

    fn cleanup(&mut self, signal: Signal) -> Result<CleanedUp, Line> {
        let Some(pending_start) = &self.state.pending_start else {
            return Ok(CleanedUp::default());
        };
        let territory = cleanup::Territory {
            proc: &self.senses.proc,
            cgroups: self.senses.cgroups.as_deref(),
            unit: &self.senses.unit,
            port: self.port,
            addresses: &self.addresses,
            control_group: &pending_start.control_group,
            invocation: pending_start.invocation.as_ref(),
            uid: self.senses.uid,
            own_cgroup: &self.own.cgroup,
        };
        let cleaned_up = cleanup::cleanup(&territory, signal, CLEANUP_GRACE)?;
        for (process, why) in cleaned_up.unsignalled {
            self.warn(Line::new(&format!(
                "pid {} was sent no signal: {why}",
                process.pid
            )));
        }
        let processes =
            |list: Vec<(Process, _)>| list.into_iter().map(|(process, _)| process).collect();
        Ok(CleanedUp {
            signalled: processes(cleaned_up.signalled),
            left: processes(cleaned_up.left),
            port_holder: cleaned_up
                .foreign
                .first()
                .map(|holder| Line::new(&holder.to_string())),
        })
    }
}

fn start(manager: &mut UserManager, unit: &str) -> Result<(), Line> {
    // The start limit may have been reached by what came before.
    let done = manager
        .reset_failed(unit)
        .inspect(|()| fault::point("failures forgotten"))
        .and_then(|()| manager.start(unit))
        .map(drop);
    done.map_err(|e| Line::new(&e.to_string()))
}
