//! What looking needs, what one look remembers for the next, and where the gateway is.
//!
//! Owns the senses that the parts of a look share; judges nothing and changes nothing.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    daemon::{breaker, pulse::Pulse},
    journal::{
        gateway_log,
        journalctl::{self, JOURNALCTL},
    },
    os::{cgroup, clock::Clock, main_thread::Turns},
    policy::facts::{Invocation, Monotonic, Outcome, UnitFacts},
    probe::{
        gateway::{Finder, Found},
        http::{Client, Target},
        stall::LastTurn,
        update,
        whose::{self, Kernel},
    },
    settings::{
        Settings,
        limits::{JOURNAL_LIMIT, PORT_LIMIT},
    },
    snapshots::{comparing::Comparing, store::Store},
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
    pub(super) healthy: bool,
    /// The main process, and the sockets that it was seen to hold.
    pub(super) holder: Option<(u32, Vec<u64>)>,
    /// Sockets on the gateway's port, at other addresses, that are not the unit's.
    pub(super) others: Vec<u64>,
    /// The port on which a run of the unit was seen to listen.
    pub(super) served: Option<(Invocation, u16)>,
    /// Asks the gateway where it was last seen to listen.
    pub(super) client: Option<Client>,
    /// CPU time of the unit's run as the last look saw it.
    pub(super) last: Option<(Invocation, Duration, Monotonic)>,
    /// When the gateway's main thread last ran.
    pub(super) last_turn: LastTurn,
    /// What the last pulse saw.
    pub(super) pulse: Pulse,
    /// The next check looks at all there is: the pulse found something suspicious, or nothing is known yet.
    pub(super) suspicious: bool,
    /// The process that did not answer within the whole time, and its turns then.
    pub(super) silent: Option<(u32, Turns)>,
    /// The version of the gateway, where it is too old for `/health` and judged by `/` alone.
    pub(super) without_health: Option<Line>,
    /// Whether a tracer may be attached to the gateway: one was, when its process was last looked at.
    pub(super) was_traced: bool,
    /// How long an update has been going on.
    pub(super) update: update::Bound,
    /// What a run said at its end, asked for once.
    pub(super) last_words: Option<(Invocation, Option<Line>)>,
    /// The kept configurations, and the command that restores the last one; where a look needs them.
    pub kept: Option<(Store, Line)>,
    /// The option that names the profile, for commands in texts.
    pub profile: String,
    /// What holds the configuration against them.
    pub(super) comparing: Comparing,
    /// Whether the run has been asked for its crash-loop breaker.
    pub(super) breaker: breaker::Asked,
}

pub(super) fn in_words(error: ManagerError) -> Line {
    Line::new(&error.to_string())
}

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
            others: Vec::new(),
            served: None,
            client: None,
            last: None,
            last_turn: LastTurn::default(),
            pulse: Pulse::default(),
            // Of a gateway of which nothing is known, all is looked at.
            suspicious: true,
            silent: None,
            without_health: None,
            // Of what a predecessor saw nothing is known.
            was_traced: true,
            update: update::Bound::default(),
            last_words: None,
            kept: None,
            profile: String::new(),
            comparing: Comparing::default(),
            breaker: breaker::Asked::default(),
        }
    }

    pub(super) fn ask_unit(&mut self) -> Result<UnitFacts, Line> {
        self.manager.unit(&self.unit).map_err(in_words)
    }

    /// What a run of the gateway wrote last; nothing if that cannot be had in time.
    pub(super) fn gateway_lines(&self, run: &Invocation) -> Vec<Line> {
        self.said_by(run).unwrap_or_default()
    }

    /// What a run of the gateway wrote last, or why that cannot be had.
    pub(super) fn said_by(&self, run: &Invocation) -> Result<Vec<Line>, Line> {
        let program = Path::new(JOURNALCTL);
        journalctl::last_lines(program, &self.unit, run, gateway_log::LINES, JOURNAL_LIMIT)
    }

    /// The gateway, at the port on which its unit listens, whatever any text says.
    pub(super) fn find(&mut self, settings: &Settings, unit: Option<&UnitFacts>) -> Found {
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
    pub(super) fn port_of(&mut self, unit: &UnitFacts, found: &Found) -> Option<u16> {
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

    pub(super) fn kernel(&self) -> Kernel<'_> {
        Kernel {
            proc: &self.proc,
            cgroups: self.cgroups.as_deref(),
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
