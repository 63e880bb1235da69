//! The daemon's part in alerts: it puts them into the queue and has systemd start what delivers them.
//!
//! Owns when that unit is started, and that neither a dead disk nor a silent bus delays a round by more than a second.
//! Which alert is due is `decide::alert`'s business; no alert is delivered here.

use std::{path::PathBuf, time::Duration};

use crate::{
    act::{
        alerts,
        manager::{ManagerError, UserManager},
    },
    decide::{
        ALERT_LIMIT, State,
        alert::{Told, due},
        facts::Monotonic,
        settings::AlertSettings,
    },
    line::Line,
};

/// When the queue is looked at again after the unit was started: an alert may have come while it was just ending.
const AGAIN: Duration = Duration::from_secs(60);

/// Alerts on their way out of the daemon.
pub(super) struct Alerts {
    /// What was told already.
    pub(super) told: Told,
    state_folder: Result<PathBuf, Line>,
    /// The unit that delivers.
    unit: String,
    /// When the queue is to be looked at.
    look_at: Option<Monotonic>,
    /// What was said to be wrong with starting the unit; said once.
    complained: bool,
}

impl Alerts {
    /// Begins with what a predecessor told; what it left in the queue is looked at first.
    pub(super) fn new(
        told: Told,
        state_folder: Result<PathBuf, Line>,
        profile: Option<&str>,
        now: Monotonic,
    ) -> Self {
        Self {
            told,
            state_folder,
            unit: profile.map_or_else(
                || "gatehound-alert.service".to_owned(),
                |profile| format!("gatehound-alert@{profile}.service"),
            ),
            look_at: Some(now),
            complained: false,
        }
    }

    /// After a round: queues what is due and has it delivered. Returns what went wrong, to be told once.
    pub(super) fn after(
        &mut self,
        settings: &AlertSettings,
        state: &State,
        gateway: &str,
        now: Monotonic,
    ) -> Option<Line> {
        if !settings.is_on() {
            return None;
        }
        let folder = match &self.state_folder {
            Ok(folder) => folder.clone(),
            Err(why) => return self.complain(&format!("{why}; no alerts")),
        };
        let (told, alert) = due(
            settings,
            std::mem::take(&mut self.told),
            state,
            gateway,
            now,
        );
        // Told even if the disk takes it not: whoever tries in each round waits for a dead disk in each.
        self.told = told;
        if let Some(alert) = alert {
            if let Err(why) = alerts::queue(&folder, &alert, ALERT_LIMIT) {
                let kind = alert.kind.name();
                return Some(Line::new(&format!("{why}; nobody is told: {kind}")));
            }
            return self.start(now);
        }
        if self.look_at.is_none_or(|at| now < at) {
            return None;
        }
        self.look_at = None;
        if alerts::is_waiting(&folder, ALERT_LIMIT) {
            self.start(now)
        } else {
            None
        }
    }

    /// Asks systemd for it and waits for nothing but its answer that it will.
    ///
    /// Over a connection of its own, so that the jobs of the gateway's unit are not mixed up with it.
    fn start(&mut self, now: Monotonic) -> Option<Line> {
        self.look_at = Some(now + AGAIN);
        let asked = UserManager::new(None, ALERT_LIMIT)
            .and_then(|mut manager| manager.start(&self.unit).map(drop));
        match asked {
            Ok(()) => {
                self.complained = false;
                None
            }
            Err(ManagerError::Refused { message, .. }) => {
                self.look_at = None;
                let text = format!("alerts wait in the queue: {message}; run gatehound install");
                self.complain(&text)
            }
            Err(why) => self.complain(&format!("alerts wait in the queue: {why}")),
        }
    }

    fn complain(&mut self, text: &str) -> Option<Line> {
        let first = !std::mem::replace(&mut self.complained, true);
        first.then(|| Line::new(text))
    }
}
