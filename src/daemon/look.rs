//! One look at the world, put together from the adapters.
//!
//! Owns the order in which things are looked at; judges nothing and changes nothing.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use crate::{
    act::{manager::UserManager, sweep::Holder},
    decide::{
        facts::{Failure, Health, Listener, Look, Outcome, Pause, Probe, Stall, UnitFacts},
        settings::Settings,
    },
    line::Line,
    sense::{
        clock::Clock,
        gateway, http, listeners, pause,
        processes::{self, Activity},
    },
};

/// What looking needs, and what one look remembers for the next.
pub struct Senses {
    /// Root of the proc file system.
    pub proc: PathBuf,
    /// The runtime folder.
    pub dir: PathBuf,
    /// The id of this boot.
    pub boot_id: String,
    /// The user whose gateway is watched.
    pub uid: u32,
    /// The gateway's unit.
    pub unit: String,
    /// The clocks.
    pub clock: Clock,
    /// The user manager.
    pub manager: UserManager,
    /// The port, as the settings or the unit named it last.
    port: Option<u16>,
    /// The main process as the last look saw it.
    last: Option<(u32, Activity, crate::decide::facts::Monotonic)>,
}

/// A look, and what was noticed on the side.
pub struct Seen {
    /// The look.
    pub look: Look,
    /// What was refused or doubted on the way.
    pub warnings: Vec<Line>,
    /// The port that was probed.
    pub port: u16,
    /// Where the probes went, if anything listened.
    pub address: Option<IpAddr>,
}

/// What the probes found.
struct Probed {
    health: Health,
    stranger: Option<Line>,
    debugged: bool,
    address: Option<IpAddr>,
}

/// CPU use below this share of the time is a timer or two, not a start that gets anywhere.
const PROGRESS_PERCENT: u128 = 2;

impl Senses {
    /// Senses that have not looked yet.
    pub fn new(
        proc: PathBuf,
        dir: PathBuf,
        boot_id: String,
        unit: String,
        clock: Clock,
        manager: UserManager,
    ) -> Self {
        let uid = nix::unistd::geteuid().as_raw();
        Self {
            proc,
            dir,
            boot_id,
            uid,
            unit,
            clock,
            manager,
            port: None,
            last: None,
        }
    }

    /// Looks: the unit, then the probes if they are wanted, then the unit and the pause once more.
    ///
    /// A hung gateway takes seconds not to answer, time enough for a human to stop it or to pause Gatehound;
    /// so intent is looked at last.
    pub fn look(&mut self, settings: &Settings, probe: bool) -> Seen {
        let began = self.clock.now();
        let mut unit = self.ask_unit();
        let probed = match (probe, self.port(settings, &unit)) {
            (true, Ok(port)) => self.probe(settings, port, unit.as_ref().ok()),
            (true, Err(why)) => Probed::cannot_tell(why),
            (false, _) => Probed::not_made(),
        };
        let progress = self.progress(unit.as_ref().ok());
        if !matches!(probed.health, Health::Healthy(_) | Health::NotProbed) {
            unit = self.ask_unit();
        }
        let port = self.port(settings, &unit).unwrap_or(gateway::DEFAULT_PORT);
        let (pause, warnings) = self.pause(settings);
        let look = Look {
            began,
            unit,
            foreign_job: false,
            pause,
            update: None,
            debugged: probed.debugged,
            stranger: probed.stranger,
            progress,
            health: probed.health,
        };
        Seen {
            look,
            warnings,
            port,
            address: probed.address,
        }
    }

    fn ask_unit(&mut self) -> Result<UnitFacts, Line> {
        self.manager
            .unit(&self.unit)
            .map_err(|e| Line::new(&e.to_string()))
    }

    /// The port, which the unit named when it was last seen.
    ///
    /// It is not guessed: another gateway may listen on the default port, to be judged and swept in place of this one.
    fn port(&mut self, settings: &Settings, unit: &Result<UnitFacts, Line>) -> Result<u16, Line> {
        match unit {
            Err(why) if settings.gateway.port.is_none() => self.port.ok_or_else(|| why.clone()),
            Ok(_) | Err(_) => {
                let port = gateway::port(settings, unit.as_ref().ok());
                self.port = Some(port);
                Ok(port)
            }
        }
    }

    fn pause(&self, settings: &Settings) -> (Option<Pause>, Vec<Line>) {
        let places = pause::Places {
            dir: &self.dir,
            flag_file: &settings.pause.flag_file,
            boot_id: &self.boot_id,
            uid: self.uid,
            doubtful: settings.pause.default,
        };
        let now = pause::Now {
            boottime: self.clock.boottime(),
            wall: SystemTime::now(),
        };
        let found = pause::look(&places, now);
        (found.pause, found.warnings)
    }

    /// Whether the main process used CPU since the last look; unknown at its first.
    fn progress(&mut self, unit: Option<&UnitFacts>) -> Option<bool> {
        let pid = unit.map(|unit| unit.main_pid).filter(|pid| *pid != 0)?;
        let activity = processes::activity(&self.proc, pid)?;
        let now = self.clock.now();
        let before = self.last.replace((pid, activity.clone(), now));
        let (_, before, then) = before.filter(|(before, ..)| *before == pid)?;
        let used = activity.cpu.saturating_sub(before.cpu);
        Some(now.since(then).as_micros() * PROGRESS_PERCENT <= used.as_micros() * 100)
    }

    fn probe(&self, settings: &Settings, port: u16, unit: Option<&UnitFacts>) -> Probed {
        let main_pid = unit.map_or(0, |unit| unit.main_pid);
        let listening = match listeners::listening(&self.proc, port) {
            Ok(listening) => listening,
            Err(why) => return Probed::cannot_tell(why),
        };
        let owner = owner(&self.proc, &listening, main_pid);
        let before = processes::activity(&self.proc, owner);
        let debugged = before.as_ref().is_some_and(|activity| activity.tracer != 0);
        let stranger = stranger(&self.proc, &listening, self.uid);
        let address = settings
            .gateway
            .address
            .or_else(|| listeners::address_to_probe(&listening));
        let Some(address) = address.filter(|_| !listening.is_empty()) else {
            let reason = Line::new(&format!("nothing listens on port {port}"));
            let stall = match before {
                Some(activity) if activity.state == 'T' => Stall::Stopped,
                Some(_) | None => Stall::Gone,
            };
            let health = Health::Failing(Failure {
                probe: Probe::Port,
                reason,
                stall,
            });
            return Probed {
                health,
                stranger,
                debugged,
                address: None,
            };
        };
        let health = self.ask(
            settings,
            SocketAddr::new(address, port),
            owner,
            before.as_ref(),
        );
        Probed {
            health,
            stranger,
            debugged,
            address: Some(address),
        }
    }

    fn ask(
        &self,
        settings: &Settings,
        address: SocketAddr,
        owner: u32,
        before: Option<&Activity>,
    ) -> Health {
        let began = self.clock.now();
        let (probe, outcome) = match http::http(address, settings.probe.http_timeout) {
            Outcome::Pass(_) => (
                Probe::Health,
                http::health(address, settings.probe.health_timeout),
            ),
            other => (Probe::Http, other),
        };
        match outcome {
            Outcome::Pass(took) => Health::Healthy(took),
            Outcome::Unsure(why) => Health::Unsure(why),
            Outcome::Fail { reason, answered } => {
                let after = self.activity_at_rest(owner);
                let elapsed = self.clock.now().since(began);
                let stall = processes::stall(before, after.as_ref(), elapsed, answered);
                Health::Failing(Failure {
                    probe,
                    reason,
                    stall,
                })
            }
        }
    }
}

/// How long a loop that turns gets to notice that the request it did not answer is over.
const REST: Duration = Duration::from_millis(50);

impl Senses {
    /// What the process does once it has dealt with the end of the request, which wakes one that sleeps.
    fn activity_at_rest(&self, pid: u32) -> Option<Activity> {
        let at_once = processes::activity(&self.proc, pid)?;
        if at_once.state != 'R' {
            return Some(at_once);
        }
        thread::sleep(REST);
        processes::activity(&self.proc, pid)
    }
}

impl Probed {
    fn not_made() -> Self {
        Self {
            health: Health::NotProbed,
            stranger: None,
            debugged: false,
            address: None,
        }
    }

    fn cannot_tell(why: Line) -> Self {
        Self {
            health: Health::Unsure(why),
            ..Self::not_made()
        }
    }
}

/// The process whose stall is judged: the owner of the listening socket, else the main process.
fn owner(proc: &Path, listening: &[Listener], main_pid: u32) -> u32 {
    let owners = listeners::owners(proc, listening, &[main_pid]);
    owners.first().map_or(main_pid, |(_, process)| process.pid)
}

/// Another user's process that holds the port, where nobody of this user listens as well.
fn stranger(proc: &Path, listening: &[Listener], uid: u32) -> Option<Line> {
    if listening.iter().any(|listener| listener.uid == uid) {
        return None;
    }
    let listener = listening.first()?;
    let owner = listeners::owners(proc, std::slice::from_ref(listener), &[]).pop();
    let holder = Holder::new(owner.map(|(_, process)| process), listener.uid);
    Some(Line::new(&holder.to_string()))
}
