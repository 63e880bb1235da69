//! `gatehound run`: the one loop, in one thread, that looks, asks the policy and does what it says.
//!
//! Owns when each thing is done: the state is saved before anything is carried out, so that a successor knows what was begun.
//! It judges nothing; that is `policy`'s.

mod breaker;
mod core;
mod effects;
mod identity;
mod known_good;
pub mod look;
pub mod memory;
mod probing;
mod pulse;
pub mod senses;
pub mod status_line;
pub mod trouble;

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, TryRecvError},
    time::Duration,
};

use crate::{
    alerts::handover::Check,
    daemon::{
        core::{Daemon, names},
        identity::{Own, PROC, own_cgroup, own_unit},
        known_good::proof,
        look::Seen,
        memory::{Left, Memory},
        pulse::next_pulse,
        status_line::before_the_first_look,
    },
    metrics::sampling::Around,
    os::{
        boot_id, fault, folders,
        lock::Lock,
        own_files,
        state_file::{self, Kept, StateFile},
    },
    other_watchdogs::survey,
    policy::{
        Event,
        facts::{Health, Invocation, Monotonic},
        record::Record,
        state::Phase,
        step,
    },
    probe::gateway,
    settings::{
        Pulse, Settings,
        layers::{self, ConfigError, Sources},
    },
    systemd::{
        ForeignJob,
        notify::{Notifier, Watchdog},
    },
    text::line::Line,
};

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The settings are wrong: exit status 78, because a restart cannot help.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Anything else: exit status 1.
    #[error("{0}")]
    Other(Line),
}

impl From<Line> for RunError {
    fn from(line: Line) -> Self {
        Self::Other(line)
    }
}

/// A suspend shorter than this is scheduling noise between two clock reads.
const SUSPEND: Duration = Duration::from_secs(1);

/// A look that is this late has missed another: Gatehound was stopped, or the machine stood still without a suspend.
const HELD_UP: Duration = Duration::from_secs(5);

/// How long a Gatehound whose settings are wrong stays for a start that is pending: longer than an update may take.
const PENDING_START_LIMIT: Duration = Duration::from_secs(40 * 60);

/// Runs until it is asked to stop.
///
/// # Errors
/// The settings are wrong, another Gatehound watches this gateway, or the machine lacks what the loop stands on.
pub fn run(sources: Sources) -> Result<(), RunError> {
    let mut notifier = Notifier::from_env();
    let ran = run_notifying(sources, &mut notifier);
    if let Err(error) = &ran {
        // journald may lose which unit a line came from when its process is gone before journald has looked at it.
        // Where this cannot be sent either, the exit status says it.
        let _ = notifier.send(Watchdog::Silence, &Line::new(&error.to_string()));
    }
    ran
}

fn run_notifying(mut sources: Sources, notifier: &mut Notifier) -> Result<(), RunError> {
    sources.watchdog = notifier.watchdog();
    let dir = folders::runtime(&sources.variables, sources.profile.as_deref())?;
    own_files::ensure_private_dir(&dir)?;
    let own_cgroup = own_cgroup(Path::new(PROC));
    let own_unit = own_unit(&own_cgroup, sources.profile.as_deref());
    let lock = Lock::take(&dir, &own_unit).map_err(|e| Line::new(&e.to_string()))?;
    let own = Own {
        unit: own_unit,
        cgroup: own_cgroup,
        lock,
    };
    match layers::load(&sources) {
        Ok(loaded) => {
            let (mut daemon, kept) = Daemon::new(loaded.settings, sources, dir, own)?;
            daemon.begin(notifier, kept, loaded.warnings);
            daemon.watch(notifier);
            daemon.end(notifier);
            Ok(())
        }
        Err(wrong) => {
            start_what_is_pending(sources, dir, own, notifier, &wrong)?;
            Err(wrong.into())
        }
    }
}

/// Starts the gateway if a predecessor stopped it and was ended before it could start it again.
///
/// For a run whose settings are wrong: the gateway must not stay down for that, and systemd starts no other after it.
/// So it waits for what is in the way of the start, such as a pause or an update, but not for ever.
/// Its watchdog timeouts extend TimeoutStartSec=, because systemd is never notified that this Gatehound is ready.
fn start_what_is_pending(
    sources: Sources,
    dir: PathBuf,
    own: Own,
    notifier: &mut Notifier,
    wrong: &ConfigError,
) -> Result<(), Line> {
    let Kept::Restored(memory) = StateFile::<Memory>::new(&dir, &boot_id::get()?).peek() else {
        return Ok(());
    };
    if memory.state.pending_start.is_none() {
        return Ok(());
    }
    let mut settings = Settings::default();
    settings.gateway.unit = Some(memory.unit);
    let (mut daemon, _) = Daemon::new(settings, sources, dir, own)?;
    daemon.warn(Line::new(&format!(
        "{wrong}; starting the gateway that was stopped before, then leaving"
    )));
    daemon
        .state
        .leave_after_start(daemon.senses.clock.now() + PENDING_START_LIMIT);
    daemon.watch(notifier);
    Ok(())
}

impl Daemon {
    /// Says that the watching begins.
    fn begin(&mut self, notifier: &mut Notifier, left: Left, warnings: Vec<Line>) {
        let status = before_the_first_look(&self.state, &self.senses.unit);
        let sent = notifier.ready(&status);
        self.warn_on_error(sent);
        fault::point("ready");
        if !notifier.supervised() {
            let text = "not started by systemd (NOTIFY_SOCKET is not set); watching, but nothing restarts gatehound if it hangs";
            self.warn(Line::new(text));
        }
        self.record(Record::Watching {
            unit: Line::new(&self.senses.unit),
            restored: matches!(left, Left::Memory),
        });
        if let Left::Other(what) = left {
            self.warn(what);
        }
        warnings.into_iter().for_each(|warning| self.warn(warning));
        self.look_for_other_watchdogs();
        if state_file::take_reset(&self.senses.dir) {
            self.handle(Event::Reset, notifier);
        }
    }

    /// Begins to look who else may restart the gateway, as far as the sandbox lets that be seen.
    ///
    /// The user's own crontab is not: crontab(1) needs its set-group-ID bit, which the sandbox takes away.
    fn look_for_other_watchdogs(&mut self) {
        let variables = &self.sources.variables;
        let around = survey::Around::new(variables, &self.senses.unit, self.settings.gateway.port);
        match survey::begin(around) {
            Ok(looking) => self.other_watchdogs = Some(looking),
            Err(why) => self.warn(why),
        }
    }

    /// Says who else was found, once that is known; nobody waits for it.
    fn say_other_watchdogs(&mut self) {
        let found = match self.other_watchdogs.as_ref().map(Receiver::try_recv) {
            Some(Ok(found)) => found,
            Some(Err(TryRecvError::Empty)) | None => return,
            Some(Err(TryRecvError::Disconnected)) => Vec::new(),
        };
        self.other_watchdogs = None;
        for other_watchdog in found {
            self.warn(Line::new(&format!(
                "another watchdog may restart the gateway against this one; gatehound doctor{} says what to do: {other_watchdog}",
                self.profile
            )));
        }
    }

    /// Writes the records that the journal did not take before, if it takes them now.
    fn write_late(&mut self) {
        self.journal.flush();
        match self.journal.take_lost() {
            0 => {}
            lost => self.warn(Line::new(&format!(
                "the journal took no records for a while: {lost} are lost"
            ))),
        }
    }

    /// Leaves when another Gatehound took the lock, which is possible once the runtime folder was removed.
    fn stay_alone(&mut self, notifier: &mut Notifier) {
        if self.state.leaving {
            return;
        }
        match self.own.lock.keep(&self.senses.dir, &self.own.unit) {
            Ok(false) => {}
            Ok(true) => self.waker.watch(&self.senses.dir),
            Err(why) => {
                self.warn(Line::new(&format!("{why}; this gatehound leaves")));
                self.handle(Event::Leave, notifier);
            }
        }
    }

    fn end(&mut self, notifier: &Notifier) {
        self.record(Record::Leaving);
        self.warn_on_error(notifier.stopping());
    }

    fn watch(&mut self, notifier: &mut Notifier) {
        let mut look = true;
        while !self.leaving {
            self.write_late();
            if look {
                self.stay_alone(notifier);
                let seen = self.look();
                self.looked = true;
                self.port = seen.found.port;
                self.target = seen.target();
                self.addresses.clone_from(&seen.needs);
                self.proof = proof(&seen);
                self.place = seen.found.place();
                let health = seen.look.health.clone();
                let unit = seen.look.unit.as_ref().ok();
                let run = unit.and_then(|unit| unit.invocation_id.clone());
                self.pinged = false;
                self.handle(Event::Looked(Box::new(seen.look)), notifier);
                self.alert(run.as_ref());
                self.publish(&health);
            }
            if self.leaving {
                break;
            }
            self.keep_config();
            self.say_other_watchdogs();
            look = self.sleep(notifier);
        }
    }

    /// Sends the alerts that are due, after everything that the check led to is done.
    ///
    /// The queue comes before the memory of it: a successor sends an alert rather twice than never.
    fn alert(&mut self, run: Option<&Invocation>) {
        let now = self.senses.clock.now();
        let check = Check {
            state: &self.state,
            names: names(&self.senses, &self.profile),
            run,
            pinged: self.pinged,
            now,
        };
        let failed = self.alerts.after(&self.settings, &check);
        self.save();
        if let Some(why) = failed {
            self.warn(why);
        }
    }

    /// Has the check written for whoever reads metrics; nobody waits for the disk.
    fn publish(&mut self, health: &Health) {
        let now = self.senses.clock.now();
        let around = Around {
            settings: &self.settings,
            profile: self.sources.profile.as_deref(),
            unit: &self.senses.unit,
            uid: self.senses.uid,
            runtime: &self.senses.dir,
        };
        if let Some(why) = self.metrics.after(&around, &self.state, health, now) {
            self.warn(why);
        }
    }

    /// Sleeps until the next look; says whether it is time for it.
    fn sleep(&mut self, notifier: &mut Notifier) -> bool {
        let now = self.senses.clock.now();
        let pulse = self.pulse_due(now);
        let until = pulse.map_or(self.state.next, |pulse| pulse.min(self.state.next));
        let wake = self.waker.sleep(until.since(now));
        let suspended = self.senses.clock.suspended();
        let late = self.senses.clock.now().since(self.state.next);
        if SUSPEND < suspended.saturating_sub(self.suspended) {
            self.handle(Event::Resumed, notifier);
        } else if HELD_UP < late {
            self.handle(Event::HeldUp(late), notifier);
        }
        self.suspended = suspended;
        if wake.reload {
            self.reload(notifier);
        }
        if wake.leave {
            self.handle(Event::Leave, notifier);
        }
        if wake.request && state_file::take_reset(&self.senses.dir) {
            self.handle(Event::Reset, notifier);
        }
        let now = self.senses.clock.now();
        // Whatever else happened has its own check.
        let is_due = pulse.is_some_and(|pulse| pulse <= now && now < self.state.next);
        if is_due && self.senses.is_suspicious() {
            self.handle(Event::Suspected, notifier);
        }
        wake.request || self.state.next <= self.senses.clock.now()
    }

    /// When the kernel is to be looked at next: only between the checks of a gateway that is healthy.
    fn pulse_due(&self, now: Monotonic) -> Option<Monotonic> {
        match (self.settings.pulse, &self.state.phase) {
            (Pulse::Every(every), Phase::Healthy { .. }) => {
                Some(next_pulse(now, every, self.state.seed))
            }
            (Pulse::Every(_) | Pulse::Off, _) => None,
        }
    }

    fn look(&mut self) -> Seen {
        if self.state.pending_start.is_some() {
            let unit = self.senses.unit.clone();
            // Without a bus the look says so itself.
            let _ = self.senses.manager.watch_jobs(&unit);
        }
        let now = self.senses.clock.now();
        if let Some(failure) = self.state.wants_evidence(&self.settings, now) {
            self.evidence = Some(self.senses.evidence(&self.settings, failure));
        }
        let probe = self.state.wants_probes();
        let known = &self.state.addresses;
        let mut seen = self.senses.look(&self.settings, probe, known);
        if self.state.pending_start.is_some() {
            let mut jobs = self.senses.manager.foreign_jobs().unwrap_or_default();
            // It may have been a start, and the unit have been looked at before that began: only a look after it tells.
            if jobs.iter().any(ForeignJob::may_be_a_stop) {
                let warnings = seen.warnings;
                seen = self.senses.look(&self.settings, probe, known);
                seen.warnings.extend(warnings);
                jobs.extend(self.senses.manager.foreign_jobs().unwrap_or_default());
            }
            seen.look.foreign_job = jobs.iter().any(ForeignJob::may_be_a_stop);
            let joined = |job: &&ForeignJob| matches!(job, ForeignJob::Merged { .. });
            seen.look.joined =
                u32::try_from(jobs.iter().filter(joined).count()).unwrap_or(u32::MAX);
        }
        self.warn_once(std::mem::take(&mut seen.warnings));
        seen
    }

    /// Lets the policy answer an event, and carries its answer out until nothing follows from it.
    fn handle(&mut self, event: Event, notifier: &mut Notifier) {
        let mut event = Some(event);
        while let Some(next) = event.take() {
            let now = self.senses.clock.now();
            let pending_start = self.state.pending_start.is_some();
            let (state, answer) = step(&self.settings, self.state.clone(), next, now);
            self.metrics.counts.add(&self.state, &state, &answer);
            self.state = state;
            fault::answered(&self.state, &answer);
            fault::point("decided");
            self.watch_jobs_while_pending(pending_start);
            self.save();
            event = self.carry_out(&answer, notifier);
        }
    }

    /// Foreign jobs are watched from before the stop until the gateway runs again.
    fn watch_jobs_while_pending(&mut self, pending_start: bool) {
        match (pending_start, self.state.pending_start.is_some()) {
            (false, true) => {
                let unit = self.senses.unit.clone();
                if let Err(why) = self.senses.manager.watch_jobs(&unit) {
                    self.warn(Line::new(&format!(
                        "{why}; if you stop the gateway during this restart, gatehound may start it again"
                    )));
                }
            }
            (true, false) => self.senses.manager.unwatch_jobs(),
            (true, true) | (false, false) => {}
        }
    }

    fn save(&mut self) {
        self.save_state();
        // After the state, which says for which attempt one was counted: a successor counts none twice.
        self.save_forced_stops();
    }

    fn save_state(&mut self) {
        let state = self.state.durable();
        let reported = self.alerts.reported.clone();
        let update = self.senses.update.clone();
        let now = (state, reported, self.metrics.counts, update);
        if self.saved.as_ref() == Some(&now) {
            return;
        }
        let (state, reported, counts, update) = now;
        let memory = Memory {
            own_unit: self.own.unit.clone(),
            unit: self.senses.unit.clone(),
            state,
            reported,
            counts,
            update,
        };
        // Whoever cleans up the runtime folder may take this one along.
        let made = own_files::ensure_private_dir(&self.senses.dir);
        match made.and_then(|()| self.file.save(&memory)) {
            Ok(()) => {
                let Memory {
                    state,
                    reported,
                    counts,
                    update,
                    ..
                } = memory;
                self.saved = Some((state, reported, counts, update));
                self.unsaved.over();
                fault::point("state saved");
            }
            Err(why) => self.not_saved(why),
        }
    }

    /// A gateway that hangs is worse than a memory that would not survive this process.
    pub(super) fn not_saved(&mut self, why: Line) {
        if self.unsaved.is_news(why.clone()) {
            self.warn(Line::new(&format!(
                "{why}; watching goes on, but a restart of gatehound will not know this state"
            )));
        }
    }

    fn reload(&mut self, notifier: &mut Notifier) {
        let sent = notifier.reloading();
        self.warn_on_error(sent);
        match layers::load(&self.sources) {
            Ok(loaded) => {
                self.settings = loaded.settings;
                self.record(Record::Reloaded);
                let unit = gateway::unit_name(&self.settings, self.sources.profile.as_deref());
                if unit != self.senses.unit {
                    self.warn(Line::new(&format!(
                        "gateway.unit is {unit} now; still watching {} until gatehound is restarted",
                        self.senses.unit
                    )));
                }
                loaded
                    .warnings
                    .into_iter()
                    .for_each(|warning| self.warn(warning));
            }
            Err(e) => self.warn(Line::new(&format!(
                "{e}; the settings before stay in force; see: gatehound settings check"
            ))),
        }
        let status = self.status();
        let sent = notifier.ready(&status);
        self.warn_on_error(sent);
    }
}
