//! One look at the world, put together from the adapters.
//!
//! Owns the order in which things are looked at; judges nothing and changes nothing.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    slice, thread,
    time::{Duration, SystemTime},
};

use crate::{
    journal::{gateway_log, journalctl},
    os::{
        cgroup,
        clock::Clock,
        listeners,
        processes::{self, Activity},
    },
    pause::pause_file,
    policy::facts::{
        Config, Failure, Health, Invocation, Listener, Look, Monotonic, Outcome, Pause, Probe,
        Stall, UnitFacts,
    },
    probe::{
        gateway::{Finder, Found},
        http::{Client, Target},
        openclaw_json::Bind,
        readiness::{self, Readiness},
        update::{self, Update},
        whose::{self, Kernel, Whose},
    },
    recovery::{
        cleanup::Holder,
        evidence::{self, Evidence},
    },
    settings::{
        Settings,
        limits::{EVIDENCE_LIMIT, JOURNAL_LIMIT, KEEP_LIMIT, PORT_LIMIT, READY_LIMIT},
    },
    snapshots::store::{Comparing, Run, Store},
    systemd::{ManagerError, UserManager},
    text::line::Line,
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
    /// Finds the gateway.
    pub finder: Finder,
    /// The clocks.
    pub clock: Clock,
    /// The user manager.
    pub manager: UserManager,
    /// Where the cgroup file system of version 2 is, if anywhere.
    pub cgroups: Option<PathBuf>,
    /// Whether the last look that made probes found the gateway healthy.
    healthy: bool,
    /// The main process, and the sockets that it was seen to hold.
    holder: Option<(u32, Vec<u64>)>,
    /// The port on which a run of the unit was seen to listen.
    served: Option<(Invocation, u16)>,
    /// Asks the gateway where it was last seen to listen.
    client: Option<Client>,
    /// CPU time of the unit's run as the last look saw it.
    last: Option<(Invocation, Duration, Monotonic)>,
    /// How long an update has been going on.
    update: update::Bound,
    /// What a run said at its end, asked for once.
    last_words: Option<(Invocation, Option<Line>)>,
    /// The kept configurations, and the command that restores the last one; where a look shall tell of them.
    pub kept: Option<(Store, Line)>,
    /// The option that names the profile, for commands in texts.
    pub profile: String,
    /// What holds the configuration against them.
    comparing: Comparing,
    /// Whether a run's crash-loop breaker tripped, asked for once.
    breaker: Option<(Invocation, Option<Line>)>,
}

/// A look, and what was noticed on the side.
pub struct Seen {
    /// The look.
    pub look: Look,
    /// What was refused or doubted on the way.
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

/// What the probes found.
struct Probed {
    health: Health,
    listens: Line,
    port_holder: Option<Line>,
    /// The process whose stall was judged.
    owner: u32,
    address: Option<IpAddr>,
}

fn told(error: ManagerError) -> Line {
    Line::new(&error.to_string())
}

/// The run that was seen; none also when nothing was.
fn run_of(unit: &Result<UnitFacts, Line>) -> Option<Invocation> {
    unit.as_ref().ok()?.invocation_id.clone()
}

/// CPU use below this share of the time is a timer or two, not a start that gets anywhere.
const PROGRESS_PERCENT: u128 = 2;

/// The program that reads the journal, found by `$PATH`.
const JOURNALCTL: &str = "journalctl";

impl Senses {
    /// Senses that have not looked yet.
    pub fn new(
        proc: PathBuf,
        dir: PathBuf,
        boot_id: String,
        unit: String,
        finder: Finder,
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
            finder,
            clock,
            manager,
            cgroups: cgroup::root(Path::new("/sys/fs/cgroup")),
            healthy: true,
            holder: None,
            served: None,
            client: None,
            last: None,
            update: update::Bound::default(),
            last_words: None,
            kept: None,
            profile: String::new(),
            comparing: Comparing::default(),
            breaker: None,
        }
    }

    /// Looks: the unit, then the probes if they are wanted, then the unit and the pause once more.
    ///
    /// A hung gateway takes seconds not to answer, time enough for a human to stop it or to pause Gatehound;
    /// so intent is looked at last.
    /// `known` is where the gateway was last seen to listen.
    pub fn look(&mut self, settings: &Settings, probe: bool, known: &Line) -> Seen {
        let began = self.clock.now();
        // What is decided on a gateway that fails rests on a second, whole answer below.
        let mut unit = if self.healthy {
            self.manager.unit_again(&self.unit).map_err(told)
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
        if probed_at_all {
            self.healthy = matches!(health, Health::Healthy(_));
        }
        let (pause, mut warnings) = self.pause(settings);
        let update = self.update(unit.as_ref().ok().filter(|_| !healthy), &mut warnings);
        let last_words = unit.as_ref().ok().and_then(|unit| self.last_words(unit));
        let config = unit
            .as_ref()
            .ok()
            .filter(|unit| is_refusal(unit))
            .and_then(|unit| self.config(unit, &found));
        let remedy = config.as_ref().and_then(|config| self.remedy(config));
        let look = Look {
            began,
            unit,
            foreign_job: false,
            pause,
            update,
            last_words,
            remedy,
            config,
            // One that answers is found healthy, whoever looks on.
            debugged: probed_at_all && !healthy && processes::is_traced(&self.proc, probed.owner),
            listens: probed.listens,
            port_holder: probed.port_holder,
            progress,
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

    /// The gateway, at the port on which its unit listens, whatever any text says.
    fn find(&mut self, settings: &Settings, unit: Option<&UnitFacts>) -> Found {
        let mut found = self.finder.find(settings, &self.unit, unit);
        if settings.gateway.port.is_none()
            && let Some(unit) = unit
            && let Some(port) = self.port_of(unit, &found)
        {
            found.port = port;
        }
        found
    }

    /// The port on which the unit's processes listen: the expected one, else the one that answers as a gateway does.
    ///
    /// A run is remembered to serve where it was seen, so that it is not looked for again while it is healthy,
    /// and so that nobody moves it by writing another port into a file.
    fn port_of(&mut self, unit: &UnitFacts, found: &Found) -> Option<u16> {
        /// So many ports are asked at most.
        const ASKED: usize = 4;
        let run = unit.invocation_id.as_ref()?;
        let served = self.served.clone();
        let known = served.filter(|(served, _)| served == run);
        if let Some((_, port)) = known
            && self.healthy
        {
            return Some(port);
        }
        let ports = whose::ports(self.kernel(), unit).ok()?;
        let known = known.map(|(_, port)| port);
        let is_one = |port: &u16| ports.contains(port);
        let port = known
            .filter(is_one)
            .or(Some(found.expected).filter(is_one))
            .or_else(|| match ports.as_slice() {
                [port] => Some(*port),
                several => several
                    .iter()
                    .copied()
                    .take(ASKED)
                    .find(|port| answers_health(*port, found)),
            });
        if let Some(port) = port {
            self.served = Some((run.clone(), port));
        }
        // One of them is the gateway's, and none of them answers.
        port.or_else(|| ports.first().copied())
    }

    fn kernel(&self) -> Kernel<'_> {
        Kernel {
            proc: &self.proc,
            cgroups: self.cgroups.as_deref(),
        }
    }

    fn ask_unit(&mut self) -> Result<UnitFacts, Line> {
        self.manager.unit(&self.unit).map_err(told)
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
        let cpu = of_unit.or_else(|| Some(processes::activity(&self.proc, unit.main_pid)?.cpu))?;
        let now = self.clock.now();
        let before = self.last.replace((run.clone(), cpu, now));
        let (_, before, then) = before.filter(|(before, ..)| *before == run)?;
        let used = cpu.saturating_sub(before);
        Some(now.since(then).as_micros() * PROGRESS_PERCENT <= used.as_micros() * 100)
    }

    /// An update of the gateway that is going on. `unit` is none where it does not matter:
    /// a gateway that is healthy is found healthy, however young its files are.
    fn update(&mut self, unit: Option<&UnitFacts>, warnings: &mut Vec<Line>) -> Option<Line> {
        let sign = unit.and_then(|unit| {
            let scopes = self
                .manager
                .active_units(update::SCOPES)
                .unwrap_or_default();
            update::look(&unit.exec_start, &scopes, SystemTime::now())
        });
        match self.update.judge(sign, self.clock.now()) {
            Update::None => None,
            Update::InProgress(sign) => Some(sign),
            Update::Overdue(why) => {
                warnings.push(why);
                None
            }
        }
    }

    /// What the gateway said of its configuration, where its unit failed for that; asked for once a run.
    fn last_words(&mut self, unit: &UnitFacts) -> Option<Line> {
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
            self.last_words = Some((run.clone(), said));
        }
        self.last_words.as_ref()?.1.clone()
    }

    /// The configuration as it is now; looked at anew each time, because somebody may be fixing it.
    fn config(&mut self, unit: &UnitFacts, found: &Found) -> Option<Config> {
        let (store, _) = self.kept.clone()?;
        let run = Run {
            began: unit.active_since_wall,
            ended: unit.exited_wall,
        };
        self.comparing
            .compare(store, found.place()?, run, KEEP_LIMIT)
    }

    /// The command that restores the configuration that is the last known good, where it is another one.
    fn remedy(&self, config: &Config) -> Option<Line> {
        let (_, command) = self.kept.as_ref().filter(|_| !config.is_known_good)?;
        Some(Line::new(&format!(
            "it is not the configuration that worked last; {command} restores that one, snapshot {}",
            config.snapshot
        )))
    }

    /// What a run of the gateway wrote last; nothing if that cannot be had in time.
    fn gateway_lines(&self, run: &Invocation) -> Vec<Line> {
        let program = Path::new(JOURNALCTL);
        journalctl::last_lines(program, &self.unit, run, gateway_log::LINES, JOURNAL_LIMIT)
            .unwrap_or_default()
    }

    /// What of a healthy gateway does not work, as far as it says so itself.
    pub fn degraded(&mut self, target: &Target, run: Option<&Invocation>) -> Option<Line> {
        if let Some(run) = run
            && self.breaker.as_ref().is_none_or(|(asked, _)| asked != run)
        {
            let tripped = gateway_log::breaker_tripped(&self.gateway_lines(run));
            self.breaker = Some((run.clone(), tripped));
        }
        let ready = match readiness::ready(target, READY_LIMIT) {
            Readiness::Degraded(what) => Some(what),
            Readiness::Ready | Readiness::Unknown => None,
        };
        let breaker = self
            .breaker
            .as_ref()
            .and_then(|(_, tripped)| tripped.clone());
        breaker.or(ready)
    }

    /// Takes down what the failing gateway looks like.
    pub fn evidence(&mut self, settings: &Settings, stall: Stall) -> Evidence {
        let unit = self.ask_unit().unwrap_or_default();
        let found = self.find(settings, Some(&unit));
        let places = evidence::Places {
            proc: self.proc.clone(),
            cgroup: self.cgroups.clone(),
            journalctl: PathBuf::from(JOURNALCTL),
        };
        let subject = evidence::Subject {
            stall,
            unit: self.unit.clone(),
            invocation: unit.invocation_id,
            control_group: unit.control_group,
            main_pid: unit.main_pid,
            port: found.port,
        };
        evidence::collect(&places, &subject, EVIDENCE_LIMIT)
    }

    fn probe(
        &mut self,
        settings: &Settings,
        found: &Found,
        needs: &[IpAddr],
        unit: Option<&UnitFacts>,
    ) -> Probed {
        let port = found.port;
        let main_pid = unit.map_or(0, |unit| unit.main_pid);
        let listening = match listeners::listening(&self.proc, port) {
            Ok(listening) => listening,
            Err(why) => return Probed::unknown(why),
        };
        // Other users' listeners are never the gateway, so none of them is asked in its place.
        let (listening, others): (Vec<Listener>, Vec<Listener>) = listening
            .into_iter()
            .partition(|listener| listener.uid == self.uid);
        let listens = addresses(&listening);
        let whose = self.whose(&listening, unit, port);
        let owner = match &whose {
            Whose::Units(pid) => *pid,
            Whose::Anothers(_) => main_pid,
            Whose::Unknown => listeners::owner(&self.proc, &listening, main_pid),
        };
        let before = processes::activity(&self.proc, owner);
        let group = unit.map_or("", |unit| unit.control_group.as_str());
        let frozen = || {
            let root = self.cgroups.as_deref();
            root.is_some_and(|root| cgroup::frozen(root, group))
        };
        let in_the_way = others.iter().find(|other| {
            let mut needs = needs.iter();
            listening.is_empty() && needs.any(|it| listeners::conflict(*it, other.address))
        });
        let port_holder = match whose {
            Whose::Anothers(process) => Some(Line::new(&Holder::seen(process).to_string())),
            Whose::Units(_) | Whose::Unknown => {
                in_the_way.map(|listener| self.port_holder(port, listener))
            }
        };
        let address = found
            .address
            .or_else(|| listeners::address_to_probe(&listening));
        if let Some(holder) = &port_holder {
            // Whatever it answers, it is not this unit's gateway (rule 1).
            let health = Health::Failing(Failure {
                probe: Probe::Port,
                reason: Line::new(&format!("port {port} is held by {holder}")),
                stall: Stall::Gone,
            });
            return Probed {
                health,
                listens,
                port_holder,
                owner,
                address: None,
            };
        }
        let Some(address) = address.filter(|_| !listening.is_empty()) else {
            let reason = Line::new(&format!("nothing listens on port {port}"));
            let stall = match before {
                _ if frozen() => Stall::Stopped,
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
                listens,
                port_holder,
                owner,
                address: None,
            };
        };
        let target = Target {
            address: SocketAddr::new(address, port),
            tls: found.tls,
        };
        let client = self
            .client
            .take()
            .filter(|client| client.target() == target);
        let client = client.unwrap_or_else(|| Client::new(target));
        let health = self.ask(settings, &client, owner, before.as_ref(), &frozen);
        self.client = Some(client);
        Probed {
            health,
            listens,
            port_holder,
            owner,
            address: Some(address),
        }
    }

    /// Whose the listening sockets are.
    ///
    /// A gateway that goes on healthily is taken to hold the sockets that it held before, because finding that out
    /// takes a look at each of its descriptors; one that has failed is looked at again.
    fn whose(&mut self, listening: &[Listener], unit: Option<&UnitFacts>, port: u16) -> Whose {
        let Some(unit) = unit else {
            return Whose::Unknown;
        };
        let inodes: Vec<u64> = listening.iter().map(|listener| listener.inode).collect();
        if self.healthy
            && let Some((pid, held)) = &self.holder
            && *pid == unit.main_pid
            && *held == inodes
        {
            return Whose::Units(unit.main_pid);
        }
        let whose = whose::whose(self.kernel(), unit, port, listening);
        let is_main = whose == Whose::Units(unit.main_pid);
        self.holder = is_main.then_some((unit.main_pid, inodes));
        whose
    }

    /// Another user's process that holds the port, in words.
    fn port_holder(&self, port: u16, listener: &Listener) -> Line {
        let owner = listeners::owners(&self.proc, slice::from_ref(listener), &[]).pop();
        let holder = owner.map_or_else(
            || Holder::unseen(&self.proc, self.cgroups.as_deref(), port, listener),
            |(_, process)| Holder::seen(process),
        );
        Line::new(&holder.to_string())
    }

    fn ask(
        &self,
        settings: &Settings,
        client: &Client,
        owner: u32,
        before: Option<&Activity>,
        frozen: &dyn Fn() -> bool,
    ) -> Health {
        let began = self.clock.now();
        let (probe, outcome) = match client.http(settings.probe.http_timeout) {
            Outcome::Pass(_) => (Probe::Health, client.health(settings.probe.health_timeout)),
            other => (Probe::Http, other),
        };
        match outcome {
            Outcome::Pass(took) => Health::Healthy(took),
            Outcome::Unknown(why) => Health::Unknown(why),
            Outcome::Fail { reason, answered } => {
                let after = self.activity_at_rest(owner);
                let elapsed = self.clock.now().since(began);
                let stall = if frozen() {
                    Stall::Stopped
                } else {
                    processes::stall(before, after.as_ref(), elapsed, answered)
                };
                Health::Failing(Failure {
                    probe,
                    reason,
                    stall,
                })
            }
        }
    }
}

/// Whether `/health` on this port answers as a gateway's does.
fn answers_health(port: u16, found: &Found) -> bool {
    let address = found.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let target = Target {
        address: SocketAddr::new(address, port),
        tls: found.tls,
    };
    matches!(Client::new(target).health(PORT_LIMIT), Outcome::Pass(_))
}

/// Whether the unit failed because the gateway refused its configuration.
pub(crate) fn is_refusal(unit: &UnitFacts) -> bool {
    /// EX_CONFIG of sysexits(3).
    const REFUSED: i32 = 78;
    unit.active_state == "failed" && unit.exec_main_status == REFUSED
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
            listens: Line::default(),
            port_holder: None,
            owner: 0,
            address: None,
        }
    }

    fn unknown(why: Line) -> Self {
        Self {
            health: Health::Unknown(why),
            ..Self::not_made()
        }
    }
}

/// The addresses at which the gateway needs its port: all of IPv4 where its configuration says so,
/// else where it listened last, else where it is to be probed, which is loopback unless a setting says otherwise;
/// but every one where its configuration does not tell.
///
/// Too few have the attempts restart it into a taken port; too many could keep it down for good.
fn needs(known: &Line, found: &Found) -> Vec<IpAddr> {
    let known = known.as_str().split(' ').map(str::parse);
    let known: Vec<IpAddr> = known.flatten().collect();
    let address = match found.bind {
        Bind::Lan => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ if !known.is_empty() => return known,
        Bind::Loopback => found.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        // It conflicts with every other.
        Bind::Unknown => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    vec![address]
}

/// Where these sockets listen, in an order that stays.
fn addresses(listening: &[Listener]) -> Line {
    let mut addresses: Vec<String> = listening.iter().map(|it| it.address.to_string()).collect();
    addresses.sort_unstable();
    Line::new(&addresses.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::folders::Variables;
    use std::fs;

    /// Where a gateway with this openclaw.json that was seen at `known` needs its port, and whether
    /// somebody else at each of these addresses is in its way.
    #[track_caller]
    fn check(openclaw_json: Option<&str>, known: &str, others: &[(&str, bool)]) {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".openclaw")).unwrap();
        if let Some(text) = openclaw_json {
            fs::write(home.path().join(".openclaw/openclaw.json"), text).unwrap();
        }
        let variables = Variables::from([("HOME".into(), home.path().into())]);
        let found = Finder::new(&variables).find(&Settings::default(), "", None);
        let needs = needs(&known.into(), &found);
        for (other, expected) in others {
            let other = other.parse().unwrap();
            let conflicts = needs.iter().any(|it| listeners::conflict(*it, other));
            assert_eq!(conflicts, *expected, "{openclaw_json:?} {known} {other}");
        }
    }

    const LAN: &str = "192.0.2.1";
    const LOOPBACK: &str = "127.0.0.1";

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

    #[test]
    fn a_gateway_at_loopback_needs_its_port_where_it_listened_else_there() {
        for text in [None, Some("{}"), Some("{gateway: {bind: 'loopback'}}")] {
            check(text, "", &[(LOOPBACK, true), (LAN, false)]);
            check(text, LAN, &[(LOOPBACK, false), (LAN, true)]);
        }
    }

    #[test]
    fn a_gateway_at_all_addresses_needs_its_port_at_each_wherever_it_was_seen() {
        let text = Some("{gateway: {bind: 'lan'}}");
        let others = [(LOOPBACK, true), (LAN, true), ("::", true), ("::1", false)];
        for known in ["", LOOPBACK, "0.0.0.0"] {
            check(text, known, &others);
        }
    }

    #[test]
    fn a_gateway_of_which_it_is_not_known_needs_its_port_where_it_listened_else_everywhere() {
        for text in [
            "{gateway: {bind: 'tailnet'}}",
            "{gateway: {bind: 7}}",
            "{gateway: {$include: './more.json'}}",
            "{",
        ] {
            let all = [(LOOPBACK, true), (LAN, true), ("::1", true)];
            check(Some(text), "", &all);
            check(Some(text), LAN, &[(LOOPBACK, false), (LAN, true)]);
        }
    }
}
