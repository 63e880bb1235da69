//! One look at the world, put together from the adapters.
//!
//! Owns the order in which things are looked at; judges nothing and changes nothing.

use std::{
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

use crate::{
    daemon::{
        probing::{Probed, needs},
        senses::{Senses, in_words},
        trouble::is_refusal,
    },
    os::{cgroup, main_thread, processes},
    pause::pause_file,
    policy::facts::{Health, Invocation, Look, Pause, UnitFacts},
    probe::{
        gateway::Found,
        http::Target,
        update::{self, Sight, Update},
    },
    settings::Settings,
    text::line::Line,
};

/// A look, and what was noticed on the side.
pub struct Seen {
    /// The look.
    pub look: Look,
    /// What was refused or unclear on the way.
    pub warnings: Vec<Line>,
    /// The gateway that was looked for.
    pub found: Found,
    /// Where the probes went, if anything listened.
    pub address: Option<IpAddr>,
    /// The addresses at which the gateway needs its port.
    pub needs: Vec<IpAddr>,
}

impl Seen {
    /// Where the gateway answers, if anything listens.
    pub fn target(&self) -> Option<Target> {
        let address = SocketAddr::new(self.address?, self.found.port);
        let tls = self.found.tls;
        Some(Target { address, tls })
    }
}

/// The run that was seen; none also when nothing was.
fn run_of(unit: &Result<UnitFacts, Line>) -> Option<Invocation> {
    unit.as_ref().ok()?.invocation_id.clone()
}

/// CPU use below this share of the time is a timer or two, not a start that gets anywhere.
const PROGRESS_PERCENT: u128 = 2;

impl Senses {
    /// Looks: the unit, then the probes if they are wanted, then the unit and the pause once more.
    ///
    /// A hung gateway takes seconds not to answer, time enough for a human to stop it or to pause Gatehound;
    /// so intent is looked at last.
    /// `known` is where the gateway was last seen to listen.
    pub fn look(&mut self, settings: &Settings, probe: bool, known: &Line) -> Seen {
        let began = self.clock.now();
        // What is decided on a gateway that fails rests on a second, whole answer below.
        let mut unit = if self.healthy {
            self.manager.unit_again(&self.unit).map_err(in_words)
        } else {
            self.ask_unit()
        };
        let found = self.find(settings, unit.as_ref().ok());
        let needs = needs(known, &found);
        let probed = match (probe, &unit) {
            // Another gateway may listen on the default port, to be judged and cleaned up in place of this one.
            (true, Err(why)) if self.finder.guesses(settings) => Probed::unknown(why.clone()),
            (true, unit) => self.probe(settings, &found, &needs, unit.as_ref().ok()),
            (false, _) => Probed::not_made(),
        };
        let mut health = probed.health;
        let healthy = matches!(health, Health::Healthy(_));
        // Only a start is judged by it.
        let progress = unit.as_ref().ok().filter(|_| !healthy);
        let progress = progress.and_then(|unit| self.progress(unit));
        let news = healthy != self.healthy;
        let probed_at_all = !matches!(health, Health::NotProbed);
        if probed_at_all && (!healthy || news) {
            let before = run_of(&unit);
            unit = self.ask_unit();
            // Nobody knows which of two runs answered; the next look asks the later one.
            if healthy && run_of(&unit) != before {
                health = Health::NotProbed;
            }
        }
        self.suspicious = false;
        if probed_at_all {
            self.pulse.checked(&health);
            self.healthy = matches!(health, Health::Healthy(_));
        }
        // What answers runs.
        let is_frozen =
            probed_at_all && !healthy && unit.as_ref().is_ok_and(|unit| self.is_frozen(unit));
        let (pause, mut warnings) = self.pause(settings);
        if let Some(version) = &self.without_health {
            warnings.push(Line::new(&format!(
                "gateway {version} has no /health and is judged by / alone; what helps: openclaw update"
            )));
        }
        let update = self.update(unit.as_ref().ok().filter(|_| !healthy), &mut warnings);
        let last_words = unit.as_ref().ok().and_then(|unit| self.last_words(unit));
        let config = unit
            .as_ref()
            .ok()
            .filter(|unit| is_refusal(unit))
            .and_then(|unit| self.config(unit, &found));
        let remedy = config.as_ref().and_then(|config| self.remedy(config));
        let debugged = probed_at_all && self.is_debugged(probed.owner, healthy);
        let look = Look {
            began,
            unit,
            foreign_job: false,
            joined: 0,
            pause,
            update,
            last_words,
            remedy,
            config,
            debugged,
            frozen: is_frozen,
            listens: probed.listens,
            port_holder: probed.port_holder,
            left_over: probed.left_over,
            without_health: self.without_health.is_some(),
            progress,
            ran_after: self.pulse.ran_after(),
            health,
        };
        Seen {
            look,
            warnings,
            found,
            address: probed.address,
            needs,
        }
    }

    /// Whether somebody froze the unit: systemd says so, or the kernel where it was done without systemd.
    fn is_frozen(&self, unit: &UnitFacts) -> bool {
        let root = self.cgroups.as_deref();
        matches!(unit.freezer_state.as_str(), "freezing" | "frozen")
            || root.map_or_else(
                || main_thread::is_refrigerated(&self.proc, unit.main_pid),
                |root| cgroup::frozen(root, &unit.control_group),
            )
    }

    /// Whether a tracer is attached to the gateway's process. One that is healthy is looked at only where one was
    /// before, so that nobody is taken for a debugger for ever who was seen once.
    fn is_debugged(&mut self, owner: u32, healthy: bool) -> bool {
        if healthy && !self.was_traced {
            return false;
        }
        let is_traced = processes::is_traced(&self.proc, owner);
        // One that is down says nothing of the next run.
        self.was_traced = is_traced || self.was_traced && owner == 0;
        is_traced
    }

    fn pause(&self, settings: &Settings) -> (Option<Pause>, Vec<Line>) {
        let places = pause_file::Places {
            dir: &self.dir,
            flag_file: &settings.pause.flag_file,
            boot_id: &self.boot_id,
            uid: self.uid,
            doubtful: settings.pause.default,
            profile: &self.profile,
        };
        let now = pause_file::Now {
            boottime: self.clock.boottime(),
            wall: SystemTime::now(),
        };
        let found = pause_file::look(&places, now);
        (found.pause, found.warnings)
    }

    /// Whether the unit's processes used CPU since the last look; unknown at its first.
    fn progress(&mut self, unit: &UnitFacts) -> Option<bool> {
        let run = unit.invocation_id.clone()?;
        // All of the unit's processes together, because the main one may only have launched the others.
        let of_unit = self
            .cgroups
            .as_deref()
            .and_then(|root| cgroup::cpu_used(root, &unit.control_group));
        let cpu = of_unit.or_else(|| processes::cpu_in_cgroup(&self.proc, &unit.control_group))?;
        let now = self.clock.now();
        let before = self.last.replace((run.clone(), cpu, now));
        let (_, before, then) = before.filter(|(before, ..)| *before == run)?;
        // Less than before is nothing that is known.
        let used = cpu.checked_sub(before)?;
        Some(now.since(then).as_micros() * PROGRESS_PERCENT <= used.as_micros() * 100)
    }

    /// An update of the gateway that is going on. `unit` is none where it does not matter:
    /// a gateway that answers is healthy, however young its files are.
    fn update(&mut self, unit: Option<&UnitFacts>, warnings: &mut Vec<Line>) -> Option<Line> {
        let sight = unit.map_or(Sight::NotLooked, |unit| {
            let scope = self.manager.first_active(update::SCOPES);
            let scope = scope.unwrap_or_default();
            let name = scope.as_ref().map(|(name, _)| name.as_str());
            let sign = update::look(&unit.exec_start, name, SystemTime::now());
            // A scope that is not active yet has no age.
            let since = scope.as_ref().map(|(_, since)| *since);
            let since = since.filter(|since| since.0 != 0);
            sign.map_or(Sight::Nothing, |sign| Sight::Sign(sign, since))
        });
        match self.update.judge(sight, self.clock.now()) {
            Update::None => None,
            Update::InProgress(sign) => Some(sign),
            Update::Overdue(why) => {
                warnings.push(why);
                None
            }
        }
    }
}
