//! What the daemon holds from one event to the next, and how it says something: in the status, in the journal.
//!
//! Owns the parts and what every other file of the daemon needs of them; knows nothing of the loop.

use std::{net::IpAddr, path::PathBuf, sync::mpsc::Receiver, time::Duration};

use crate::{
    alerts::{alert::Reported, handover::Alerts},
    daemon::{
        identity::{Own, PROC, seed},
        memory::{ForcedStops, Left, Memory, Recalled, recall},
        senses::Senses,
        status_line::{before_the_first_look, status},
    },
    journal::writer::Journal,
    metrics::{exposition::Counts, sampling::Metrics},
    os::{boot_id, clock::Clock, fault, folders, own_files, state_file::StateFile, wake::Waker},
    policy::{NotRestored, answer::Noted, facts::Monotonic, record::Record, state::State},
    probe::{
        gateway::{self, Finder},
        http::Target,
        openclaw_files::Place,
        update::Bound,
    },
    recovery::evidence::Evidence,
    settings::{Settings, layers::Sources, limits::MANAGER_LIMIT},
    snapshots::store::{self, Proof, Snapshot, Store},
    systemd::UserManager,
    text::{line::Line, once::Once, words::Names},
};

/// A rollback on its way: the hash of what is rolled back, and what becomes of it.
pub(super) type Restoring = (String, Receiver<Result<Line, NotRestored>>);

pub(super) struct Daemon {
    pub(super) settings: Settings,
    pub(super) sources: Sources,
    pub(super) senses: Senses,
    pub(super) waker: Waker,
    pub(super) file: StateFile<Memory>,
    /// What outlives the state file: when stops needed SIGKILL.
    pub(super) forced_stops: StateFile<ForcedStops>,
    pub(super) state: State,
    pub(super) journal: Journal,
    /// The option that names the profile, for commands in texts.
    pub(super) profile: String,
    pub(super) own: Own,
    /// The port that was probed last.
    pub(super) port: u16,
    /// The addresses at which the gateway needs it.
    pub(super) addresses: Vec<IpAddr>,
    /// Where the gateway answered last.
    pub(super) target: Option<Target>,
    /// What was taken down for a restart that may follow.
    pub(super) evidence: Option<Evidence>,
    pub(super) alerts: Alerts,
    pub(super) metrics: Metrics,
    /// What would prove the configuration good if the run that was looked at last is healthy.
    pub(super) proof: Option<Proof>,
    /// The run that was found healthy and whose configuration was looked at for that.
    pub(super) known_good: Option<String>,
    /// The configuration that is being kept meanwhile.
    pub(super) keeping: Option<Receiver<Result<Option<Snapshot>, Line>>>,
    /// Where the gateway's configuration was when it was last looked for.
    pub(super) place: Option<Place>,
    /// The rollback that the disk has not finished yet.
    pub(super) restoring: Option<Restoring>,
    /// The forced stops as their own file holds them.
    pub(super) forced: Vec<Monotonic>,
    /// Whether this Gatehound has looked at the gateway.
    pub(super) looked: bool,
    /// The state as the file holds it, with the alerts that were sent and what was counted.
    pub(super) saved: Option<(State, Reported, Counts, Bound)>,
    /// Time spent suspended since boot.
    pub(super) suspended: Duration,
    /// Warnings that stand and were already written.
    pub(super) warned: Once<Line>,
    /// Why the state could not be kept the last time, if it could not.
    pub(super) unsaved: Once<Line>,
    /// Why systemd could not be notified the last time, if it could not.
    pub(super) unnotified: Once<Line>,
    /// Whether the last check pinged.
    pub(super) pinged: bool,
    pub(super) leaving: bool,
    /// Who else restarts the gateway, which is being looked for.
    pub(super) other_watchdogs: Option<Receiver<Vec<Line>>>,
}

impl Daemon {
    pub(super) fn new(
        settings: Settings,
        sources: Sources,
        dir: PathBuf,
        own: Own,
    ) -> Result<(Self, Left), Line> {
        let boot_id = boot_id::get()?;
        let mut manager =
            UserManager::new(None, MANAGER_LIMIT).map_err(|e| Line::new(&e.to_string()))?;
        let unit = gateway::unit_name(&settings, sources.profile.as_deref());
        let file = StateFile::new(&dir, &boot_id);
        let forced_stops = ForcedStops::file(&dir, &boot_id);
        let Recalled {
            mut state,
            reported,
            counts,
            update,
            left,
        } = recall(
            &file,
            &forced_stops,
            &unit,
            settings.forced_stops.limit,
            Clock.now(),
        );
        state.seed = Some(seed(&boot_id, &own.unit));
        let profile = sources.profile.as_deref();
        let profile_option = folders::profile_option(profile);
        let state_folder = folders::state(&sources.variables, profile);
        let alerts = Alerts::new(reported, state_folder, profile, Clock.now());
        let finder = Finder::new(&sources.variables);
        let metrics = Metrics::new(counts, &sources.variables);
        if let Some(pending_start) = &state.pending_start {
            manager.adopt(pending_start.stop_job);
        }
        let mut daemon = Self {
            settings,
            sources,
            waker: Waker::new(&dir)?,
            senses: Senses::new(
                PathBuf::from(PROC),
                dir,
                boot_id,
                unit,
                finder,
                Clock,
                manager,
            ),
            file,
            forced_stops,
            forced: Vec::new(),
            looked: false,
            state,
            journal: Journal::open(),
            profile: profile_option,
            own,
            port: gateway::DEFAULT_PORT,
            addresses: Vec::new(),
            target: None,
            evidence: None,
            alerts,
            metrics,
            proof: None,
            known_good: None,
            keeping: None,
            place: None,
            restoring: None,
            saved: None,
            suspended: Clock.suspended(),
            warned: Once::default(),
            unsaved: Once::default(),
            unnotified: Once::default(),
            pinged: false,
            leaving: false,
            other_watchdogs: None,
        };
        daemon.senses.update = update;
        daemon.senses.profile.clone_from(&daemon.profile);
        daemon.senses.kept = daemon.store().map(|store| {
            let profile = daemon.sources.profile.as_deref();
            (store, store::restore_command(profile))
        });
        Ok((daemon, left))
    }

    /// The status line, with what ails Gatehound itself at its end.
    pub(super) fn status(&self) -> Line {
        let status = match self.looked {
            true => status(
                &self.settings,
                &self.state,
                names(&self.senses, &self.profile),
                self.senses.clock.now(),
            ),
            false => before_the_first_look(&self.state, &self.senses.unit),
        };
        if !self.unsaved.stands() && self.journal.kept_back() == 0 {
            return status;
        }
        let mut text = status.to_string();
        if self.unsaved.stands() {
            text += "; its state cannot be kept";
        }
        match self.journal.kept_back() {
            0 => {}
            1 => text += "; the journal takes nothing, 1 record kept back",
            records => text += &format!("; the journal takes nothing, {records} records kept back"),
        }
        Line::new(&text)
    }

    pub(super) fn save_forced_stops(&mut self) {
        if self.forced == self.state.forced {
            return;
        }
        let kept = ForcedStops {
            unit: self.senses.unit.clone(),
            forced: self.state.forced.clone(),
        };
        let made = own_files::ensure_private_dir(&self.senses.dir);
        match made.and_then(|()| self.forced_stops.save(&kept)) {
            Ok(()) => {
                self.forced = kept.forced;
                fault::point("forced stops saved");
            }
            Err(why) => self.not_saved(why),
        }
    }

    pub(super) fn store(&self) -> Option<Store> {
        let state = folders::state(&self.sources.variables, self.sources.profile.as_deref());
        state.ok().as_deref().map(Store::new)
    }

    /// Writes a record of the daemon's own, which is of the incident that is open.
    pub(super) fn record(&mut self, record: Record) {
        let incident = self.state.incident.as_ref();
        self.write(&Noted {
            incident: incident.map(|incident| incident.id.clone()),
            record,
        });
    }

    pub(super) fn write(&mut self, noted: &Noted) {
        let names = names(&self.senses, &self.profile);
        self.journal.write(noted, &self.state, names);
        fault::point("record written");
    }

    pub(super) fn warn(&mut self, text: Line) {
        self.record(Record::Warning { text });
    }

    pub(super) fn warn_on_error(&mut self, result: Result<(), Line>) {
        if let Err(text) = result {
            self.warn(text);
        }
    }

    /// Writes each warning when it first stands, not in every check.
    pub(super) fn warn_once(&mut self, standing: Vec<Line>) {
        for text in self.warned.news(standing) {
            self.warn(text);
        }
    }
}

/// What the commands in a text are given, without borrowing all of the daemon.
pub(super) fn names<'a>(senses: &'a Senses, profile: &'a str) -> Names<'a> {
    Names {
        unit: &senses.unit,
        profile,
    }
}
