//! The three probes of one look: what listens, whose it is, and what it answers.
//!
//! Owns their order and what a failing gateway's process is doing meanwhile; knows nothing of phases.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    slice, thread,
    time::Duration,
};

use crate::{
    daemon::{identity::own_cgroup, senses::Senses},
    os::{cgroup, listeners, main_thread, processes, sock_diag},
    policy::facts::{Failure, Health, Listener, Outcome, Probe, Stall, UnitFacts},
    probe::{
        gateway::Found,
        http::{Client, Target},
        openclaw_json::Bind,
        stall::{self, Reading, Request},
        update,
        whose::{self, Whose},
    },
    recovery::cleanup::{Holder, Territory},
    settings::Settings,
    text::line::Line,
};

/// What the probes found.
pub(super) struct Probed {
    pub(super) health: Health,
    pub(super) listens: Line,
    pub(super) port_holder: Option<Line>,
    pub(super) left_over: Option<Line>,
    /// The process whose stall was judged.
    pub(super) owner: u32,
    pub(super) address: Option<IpAddr>,
}

/// Time enough for one that goes on just now.
const SHORT: Duration = Duration::from_secs(1);

/// How long a loop that turns gets to notice that the request it did not answer is over.
const REST: Duration = Duration::from_millis(50);

impl Senses {
    pub(super) fn probe(
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
        if !self.healthy {
            self.others.clear();
        }
        let mut listening = listening;
        listening.retain(|it| !self.others.contains(&it.inode));
        let whose = self.whose(&listening, unit, port);
        listening.retain(|it| !self.others.contains(&it.inode));
        // Somebody else at an address that the gateway can do without is neither the gateway nor in its way.
        let in_its_way = |it: &Listener| {
            let mut needs = needs.iter();
            needs.any(|need| listeners::conflict(*need, it.address))
        };
        let (whose, listening) = match whose {
            Whose::Anothers(_) => {
                let needed: Vec<Listener> = listening.into_iter().filter(in_its_way).collect();
                (self.whose(&needed, unit, port), needed)
            }
            whose => (whose, listening),
        };
        let listens = addresses(&listening);
        let owner = match &whose {
            Whose::Units(pid) => *pid,
            Whose::Anothers(_) | Whose::LeftOver(_) => main_pid,
            Whose::Unknown => listeners::owner(&self.proc, &listening, main_pid),
        };
        let group = unit.map_or("", |unit| unit.control_group.as_str());
        let before = if self.healthy && !self.suspicious {
            self.reading(owner)
        } else {
            self.whole_reading(owner, group)
        };
        let frozen = || {
            let root = self.cgroups.as_deref();
            root.is_some_and(|root| cgroup::frozen(root, group))
        };
        let mut in_the_way = others.iter();
        let in_the_way = in_the_way.find(|other| listening.is_empty() && in_its_way(other));
        let (left_over, port_holder) = match whose {
            Whose::LeftOver(process) => {
                let text = format!("pid {} ({})", process.pid, process.command);
                (Some(Line::new(&text)), None)
            }
            Whose::Anothers(process) => (None, Some(said_of(&Holder::seen(process)))),
            Whose::Units(_) | Whose::Unknown => {
                let holder = in_the_way.map(|listener| self.port_holder(port, listener));
                (None, holder)
            }
        };
        let address = found
            .address
            .or_else(|| listeners::address_to_probe(&listening));
        let is_down = unit.is_some_and(|unit| unit.control_group.is_empty());
        // Whatever it answers, it is not this run of the unit (rule 1).
        // While the unit is down, whether it answers tells another gateway from whoever is in the way.
        let reason = match (&port_holder, &left_over) {
            (Some(_), _) if is_down && !listening.is_empty() => None,
            (Some(holder), _) => Some(format!("port {port} is held by {holder}")),
            (None, Some(earlier)) => Some(format!(
                "port {port} is held by what is left of an earlier run: {earlier}"
            )),
            (None, None) => None,
        };
        if let Some(reason) = reason {
            let health = Health::Failing(Failure {
                probe: Probe::Port,
                reason: Line::new(&reason),
                stall: Stall::Gone,
                detail: Line::default(),
            });
            return Probed {
                health,
                listens,
                port_holder,
                left_over,
                owner,
                address: None,
            };
        }
        let Some(address) = address.filter(|_| !listening.is_empty()) else {
            let reason = nothing_listens(port);
            let stall = match &before.activity {
                _ if frozen() => Stall::Stopped,
                Some(activity) if activity.state == 'T' => Stall::Stopped,
                Some(_) | None => Stall::Gone,
            };
            let health = Health::Failing(Failure {
                probe: Probe::Port,
                reason,
                stall,
                detail: Line::default(),
            });
            return Probed {
                health,
                listens,
                port_holder,
                left_over,
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
        let health = self.ask(settings, &client, (owner, group), &before, unit);
        self.client = Some(client);
        Probed {
            health,
            listens,
            port_holder,
            left_over,
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
        if unit.control_group.is_empty() {
            return self.whose_while_down(listening, port);
        }
        let inodes: Vec<u64> = listening.iter().map(|listener| listener.inode).collect();
        if self.healthy
            && let Some((pid, held)) = &self.holder
            && *pid == unit.main_pid
            && *held == inodes
        {
            return Whose::Units(unit.main_pid);
        }
        let whose = whose::whose(self.kernel(), unit, port, listening);
        if matches!(whose, Whose::Units(_)) {
            self.others = whose::of_others(self.kernel(), unit, listening);
        }
        let is_main = whose == Whose::Units(unit.main_pid);
        let is_own = |inode: &u64| !self.others.contains(inode);
        let own: Vec<u64> = inodes.into_iter().filter(is_own).collect();
        self.holder = is_main.then_some((unit.main_pid, own));
        whose
    }

    /// Whose they are while the unit has no process: only who is of another unit is named, as in a cleanup (rule 12).
    fn whose_while_down(&self, listening: &[Listener], port: u16) -> Whose {
        let own_cgroup = own_cgroup(&self.proc);
        let territory = Territory {
            proc: &self.proc,
            cgroups: self.cgroups.as_deref(),
            unit: &self.unit,
            port,
            addresses: &[],
            control_group: "",
            invocation: None,
            uid: self.uid,
            own_cgroup: &own_cgroup,
        };
        let other = territory.other_holder(listening);
        other.map_or(Whose::Unknown, Whose::Anothers)
    }

    /// Another user's process that holds the port, in words.
    fn port_holder(&self, port: u16, listener: &Listener) -> Line {
        let owner = listeners::owners(&self.proc, slice::from_ref(listener), &[]).pop();
        let holder = owner.map_or_else(
            || Holder::unseen(&self.proc, self.cgroups.as_deref(), port, listener),
            |(_, process)| Holder::seen(process),
        );
        said_of(&holder)
    }

    /// Asks the gateway; where it does not answer well, finds out what this process, of a unit with this cgroup, is doing.
    fn ask(
        &mut self,
        settings: &Settings,
        client: &Client,
        (owner, group): (u32, &str),
        before: &Reading,
        unit: Option<&UnitFacts>,
    ) -> Health {
        let began = self.clock.now();
        let certain = self.is_certain(before, owner, group);
        let limit = settings.probe.http_timeout;
        let limit = if certain { limit.min(SHORT) } else { limit };
        let (probe, outcome) = match client.http(limit) {
            Outcome::Pass(_) => (Probe::Health, client.health(settings.probe.health_timeout)),
            other => (Probe::Http, other),
        };
        let answers = matches!(
            outcome,
            Outcome::Pass(_) | Outcome::Fail { answered: true, .. }
        );
        self.without_health = match (probe, unit) {
            (Probe::Health, Some(unit)) if answers && client.has_no_health() => {
                update::version_without_health(unit)
            }
            _ => None,
        };
        let outcome = match outcome {
            // One that is too old for it is judged by `/` alone.
            Outcome::Fail { .. } if self.without_health.is_some() => Outcome::Pass(Duration::ZERO),
            outcome => outcome,
        };
        match outcome {
            Outcome::Pass(_) => {
                self.last_turn.answered(owner, self.clock.boottime());
                self.silent = None;
                // The whole check: a slow `/` is as slow for whoever uses it.
                Health::Healthy(self.clock.now().since(began))
            }
            Outcome::Unknown(why) => Health::Unknown(why),
            Outcome::Fail { reason, answered } => {
                let after = self.reading_at_rest(owner, group);
                let elapsed = self.clock.now().since(began);
                if answered || !certain {
                    let turns = after.turns.clone().filter(|_| !answered);
                    self.silent = turns.map(|turns| (owner, turns));
                }
                let port = client.target().address.port();
                // The socket may have been closed since it was looked at; then the process may do what it likes.
                let closed = listeners::listening(&self.proc, port).is_ok_and(|it| it.is_empty());
                let frozen = self.cgroups.as_deref();
                let frozen = frozen.is_some_and(|root| cgroup::frozen(root, group));
                let (probe, reason, (stall, detail)) = if frozen {
                    (probe, reason, (Stall::Stopped, Line::default()))
                } else if closed && !answered {
                    let gone = (Stall::Gone, Line::default());
                    (Probe::Port, nothing_listens(port), gone)
                } else {
                    let judged = stall::judge(&Request {
                        before,
                        after: &after,
                        elapsed,
                        answered,
                        last_turn: &self.last_turn,
                        now: self.clock.boottime(),
                    });
                    (probe, reason, judged)
                };
                Health::Failing(Failure {
                    probe,
                    reason,
                    stall,
                    detail,
                })
            }
        }
    }

    /// Whether it need not be given its whole time to answer, because it certainly cannot:
    /// its main thread has not run since it was given that the last time, or nothing of it may run.
    fn is_certain(&self, before: &Reading, owner: u32, group: &str) -> bool {
        let stopped = before.activity.as_ref().is_some_and(|it| it.state == 'T');
        let stands = self.silent.as_ref().is_some_and(|(pid, then)| {
            let now = before.turns.as_ref();
            *pid == owner && now.is_some_and(|now| now.are_those_of(then))
        });
        stopped
            || stands
            || (!self.healthy
                && self
                    .cgroups
                    .as_deref()
                    .is_some_and(|it| cgroup::frozen(it, group)))
    }

    /// Whether the kernel shows of a gateway that was healthy what makes a check worth while now.
    pub(super) fn is_suspicious(&mut self) -> bool {
        let (Some((pid, held)), Some(client)) = (&self.holder, &self.client) else {
            return false;
        };
        let pid = *pid;
        let at = client.target().address;
        let is_held = |it: &sock_diag::Socket| held.contains(&it.inode);
        let one = sock_diag::listening_at(at).ok().flatten().filter(is_held);
        // An error says nothing, and never that nothing listens.
        let is_gone = one.is_none()
            && sock_diag::listening(at.port()).is_ok_and(|all| !all.iter().any(is_held));
        let waiting = one.is_some_and(|it| 0 < it.recv_queue);
        let turns = main_thread::turns(&self.proc, pid);
        if let Some(turns) = &turns {
            let now = self.clock.boottime();
            self.last_turn.see(pid, turns.clone(), now);
        }
        let now = self.clock.now();
        let waits = || main_thread::waits(&self.proc, pid);
        let pulse = &mut self.pulse;
        let hangs = turns.is_some_and(|it| pulse.is_suspicious(pid, it, now, waiting, waits));
        self.suspicious = is_gone || hangs;
        self.suspicious
    }

    /// What costs little, of a gateway that is probably healthy.
    fn reading(&self, pid: u32) -> Reading {
        Reading {
            activity: processes::activity(&self.proc, pid),
            ..Reading::default()
        }
    }

    /// All but what is only looked at when the request is over.
    fn whole_reading(&mut self, pid: u32, group: &str) -> Reading {
        let turns = main_thread::turns(&self.proc, pid);
        if let Some(turns) = &turns {
            let now = self.clock.boottime();
            self.last_turn.see(pid, turns.clone(), now);
        }
        let root = self.cgroups.as_deref();
        Reading {
            turns,
            unit: root.map(|root| cgroup::usage(root, group)),
            ..self.reading(pid)
        }
    }

    /// What the process does once it has dealt with the end of the request, which wakes one that sleeps.
    fn reading_at_rest(&mut self, pid: u32, group: &str) -> Reading {
        let is_running = processes::activity(&self.proc, pid).is_some_and(|it| it.state == 'R');
        if is_running {
            thread::sleep(REST);
        }
        let now = self.clock.boottime();
        Reading {
            sleeps_in: main_thread::sleeps_in(&self.proc, pid),
            children: main_thread::children(&self.proc, pid, now),
            ..self.whole_reading(pid, group)
        }
    }
}

impl Probed {
    pub(super) fn not_made() -> Self {
        Self {
            health: Health::NotProbed,
            listens: Line::default(),
            port_holder: None,
            left_over: None,
            owner: 0,
            address: None,
        }
    }

    pub(super) fn unknown(why: Line) -> Self {
        Self {
            health: Health::Unknown(why),
            ..Self::not_made()
        }
    }
}

/// The addresses at which the gateway needs its port: all of IPv4 where its configuration says so,
/// else where it listened last, else where it is to be probed, which is loopback unless a setting says otherwise;
/// but every one where its configuration does not say.
///
/// Too few, and it is restarted into a taken port; too many could keep it down for good.
pub(super) fn needs(known: &Line, found: &Found) -> Vec<IpAddr> {
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

/// Who has the port, and what helps where that is known.
fn said_of(holder: &Holder) -> Line {
    match holder.remedy() {
        Some(remedy) => Line::new(&format!("{holder}; {remedy}")),
        None => Line::new(&holder.to_string()),
    }
}

/// Where these sockets listen, in an order that stays.
fn addresses(listening: &[Listener]) -> Line {
    let mut addresses: Vec<String> = listening.iter().map(|it| it.address.to_string()).collect();
    addresses.sort_unstable();
    Line::new(&addresses.join(" "))
}

fn nothing_listens(port: u16) -> Line {
    Line::new(&format!("nothing listens on port {port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{os::folders::Variables, probe::gateway::Finder};
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
