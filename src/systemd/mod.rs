//! The systemd user manager: what it is asked and what it is asked to do, over D-Bus.
//!
//! Owns the words in which Gatehound speaks to it; no zbus type leaves this folder, but for the connection itself,
//! over which `alerts::desktop` speaks as well.
//! It knows nothing of when or why a unit is stopped or started.
//!
//! Methods, properties and signals are those of org.freedesktop.systemd1(5).

pub(super) mod bus;
mod enablement;
mod error;
mod jobs;
mod listing;
pub mod notify;
mod runtime;
mod unit_properties;

use std::time::Duration;

use nix::sys::signal::Signal::SIGKILL;
use serde::{Serialize, de::DeserializeOwned};
use zbus::{
    Connection, DynamicType, OwnedObjectPath, OwnedVariant, Type,
    wire::{
        Endian,
        serialized::{Context, Data},
    },
};

pub use crate::systemd::{
    bus::bus_is_missing,
    error::ManagerError,
    jobs::{ForeignJob, JobId},
};
use crate::systemd::{
    bus::{
        Bus, DESTINATION, Deadline, JOB, MANAGER, MANAGER_PATH, PROPERTIES, SERVICE, UNIT, call,
    },
    jobs::OwnJobs,
    listing::listed,
    unit_properties::{CredentialProperties, ServiceProperties, UnitProperties},
};
use crate::{
    policy::facts::{Job, JobKind, Monotonic, UnitFacts},
    text::line::Line,
};

/// Refuse rather than replace a job that is pending: it may be a human's.
const JOB_MODE: &str = "fail";
/// Order nobody after the stop: Gatehound's own unit is ordered after the gateway's,
/// so a successor would not be started before a hung gateway has stopped by itself.
/// Units that require the gateway are left alone too; stopped with it, nobody would start them again.
const STOP_MODE: &str = "ignore-dependencies";
/// So many units that the gateway needs are looked at.
const MAX_NEEDED: usize = 32;
/// The manager reads every unit file and runs generators, each of which it grants 90 s.
const RELOAD_LIMIT: Duration = Duration::from_secs(180);

/// The user manager.
///
/// Every method is over within the limit given to [`Self::new`], connecting included.
/// The connection is kept and rests between calls; no thread serves it.
/// After an error other than a refusal it is dropped, and the next call connects anew.
pub struct UserManager {
    bus: Bus,
    limit: Duration,
    own: OwnJobs,
    settled: Option<Settled>,
}

/// A unit that ran, with nothing about to change that, when it was looked at last.
struct Settled {
    name: String,
    path: OwnedObjectPath,
    facts: UnitFacts,
}

impl UserManager {
    /// Prepares to speak over the bus at `address`, a D-Bus address, and does not speak yet.
    ///
    /// Without one the bus is found as systemctl finds it:
    /// `$DBUS_SESSION_BUS_ADDRESS`, else `$XDG_RUNTIME_DIR/bus`.
    pub fn new(address: Option<String>, limit: Duration) -> Result<Self, ManagerError> {
        Ok(Self {
            bus: Bus::new(address)?,
            limit,
            own: OwnJobs::default(),
            settled: None,
        })
    }

    /// Takes the stop that a predecessor asked for as one asked for here; its number, if that is known.
    pub fn adopt(&mut self, stop: Option<JobId>) {
        self.own.adopt(stop);
    }

    /// Looks at a unit; one that does not exist has the load state `not-found`.
    pub fn unit(&mut self, name: &str) -> Result<UnitFacts, ManagerError> {
        let what = format!("show {name}");
        self.settled = None;
        let (path, unit, service) = self.bus.ask(&what, self.deadline(), async |connection| {
            let path = loaded(connection, name).await?;
            let unit: UnitProperties = properties(connection, &path, UNIT).await?;
            let service: ServiceProperties = properties(connection, &path, SERVICE).await?;
            Ok((path, unit, service))
        })?;
        let job = unit.job().map(|id| Job {
            id,
            ours: self.own.contains(id),
            kind: JobKind::Other,
        });
        let job = job.map(|job| match job.ours {
            true => job,
            false => Job {
                kind: self.job_kind(job.id),
                ..job
            },
        });
        let mut facts = unit_properties::facts(&unit, service, job);
        if unit.is_down() {
            facts.failed_dependency = self.failed_dependency(&unit)?;
        }
        self.settled = unit.is_settled().then(|| Settled {
            name: name.to_owned(),
            path,
            facts: facts.clone(),
        });
        Ok(facts)
    }

    /// Looks at a unit again, and asks all of it only when its state has changed since.
    ///
    /// For a gateway that is healthy: one question whose answer is a number, the moment of the last change of any
    /// state of the unit, a new run among them.
    /// What it errs in is what changes without that: a main process that a run hands over, a unit file after a reload,
    /// and a job that waits for another unit's.
    pub fn unit_again(&mut self, name: &str) -> Result<UnitFacts, ManagerError> {
        let Some(last) = self.settled.take().filter(|last| last.name == name) else {
            return self.unit(name);
        };
        let what = format!("show {name}");
        let changed: u64 = self.bus.ask(&what, self.deadline(), async |connection| {
            property(
                connection,
                &last.path,
                UNIT,
                "StateChangeTimestampMonotonic",
            )
            .await
        })?;
        if Monotonic(changed) != last.facts.state_changed {
            return self.unit(name);
        }
        let facts = last.facts.clone();
        self.settled = Some(last);
        Ok(facts)
    }

    /// What a job of somebody else does; one that is over by now is of no kind that matters.
    fn job_kind(&mut self, id: JobId) -> JobKind {
        let what = format!("show job {id}");
        let kind: Result<String, _> = self.bus.ask(&what, self.deadline(), async |connection| {
            property(connection, &bus::job_path(id), JOB, "JobType").await
        });
        match kind.as_deref() {
            Ok("start" | "restart") => JobKind::Start,
            Ok("stop") => JobKind::Stop,
            Ok(_) | Err(_) => JobKind::Other,
        }
    }

    /// The first unit that this one needs and that has failed; empty where none has.
    fn failed_dependency(&mut self, unit: &UnitProperties) -> Result<String, ManagerError> {
        let needed: Vec<String> = unit.needed().take(MAX_NEEDED).map(str::to_owned).collect();
        if needed.is_empty() {
            return Ok(String::new());
        }
        let what = "list what the gateway needs";
        let units = self.bus.ask(what, self.deadline(), async |connection| {
            listed(connection, &["failed"], needed.clone()).await
        })?;
        let names = units.into_iter().map(|unit| unit.0).take(1).collect();
        Ok(unit_properties::bounded(names).pop().unwrap_or_default())
    }

    /// Queues a stop of this unit alone and returns its job; a job that is pending is replaced.
    pub fn stop(&mut self, name: &str) -> Result<JobId, ManagerError> {
        let job = self.queue(&format!("stop {name}"), "StopUnit", &(name, STOP_MODE))?;
        self.own.stops(job);
        Ok(job)
    }

    /// Queues a start and returns its job; refused when a job is pending that it would replace.
    pub fn start(&mut self, name: &str) -> Result<JobId, ManagerError> {
        self.queue(&format!("start {name}"), "StartUnit", &(name, JOB_MODE))
    }

    /// Queues a restart and returns its job; refused when a job is pending that it would replace.
    pub fn restart(&mut self, name: &str) -> Result<JobId, ManagerError> {
        self.queue(&format!("restart {name}"), "RestartUnit", &(name, JOB_MODE))
    }

    /// Sends SIGKILL to every process of the unit; one without processes is no error.
    pub fn kill(&mut self, name: &str) -> Result<(), ManagerError> {
        let arguments = (name, "all", SIGKILL as i32);
        self.tell(
            &format!("kill {name}"),
            self.deadline(),
            "KillUnit",
            &arguments,
        )
    }

    /// Lets a frozen unit go on.
    pub fn thaw(&mut self, name: &str) -> Result<(), ManagerError> {
        self.tell(&format!("thaw {name}"), self.deadline(), "ThawUnit", &name)
    }

    /// Forgets a unit's failure and start-limit counter; a unit that is not loaded has neither.
    pub fn reset_failed(&mut self, name: &str) -> Result<(), ManagerError> {
        let what = format!("reset {name}");
        match self.tell(&what, self.deadline(), "ResetFailedUnit", &name) {
            Err(ManagerError::Refused { name, .. })
                if name == "org.freedesktop.systemd1.NoSuchUnit" =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Begins to notice what others do to the jobs of `unit`; a call before [`Self::stop`] misses nothing.
    ///
    /// The manager keeps a unit without a file until [`Self::unwatch_jobs`], or until the connection ends.
    /// Watching the same unit again changes nothing.
    /// The watch outlives a lost connection, but what happens while there is none goes unnoticed.
    pub fn watch_jobs(&mut self, unit: &str) -> Result<(), ManagerError> {
        let deadline = self.deadline();
        self.bus.watch(unit, deadline);
        self.bus
            .ping(&format!("watch the jobs of {unit}"), deadline)
    }

    /// Stops noticing, so that the manager need not signal everything it does.
    pub fn unwatch_jobs(&mut self) {
        self.bus.unwatch(self.deadline());
    }

    /// What others did to the jobs of the watched unit since the last call.
    ///
    /// Waits for nothing but one check trip, after which everything is known that happened before it.
    /// A merge goes unnoticed in the millisecond between our request and its first step.
    pub fn foreign_jobs(&mut self) -> Result<Vec<ForeignJob>, ManagerError> {
        if !self.bus.is_watching() {
            return Ok(Vec::new());
        }
        self.bus.ping("report its jobs", self.deadline())?;
        let signals = self.bus.take_signals().into_iter();
        Ok(signals
            .filter_map(|signal| self.own.foreign(signal))
            .collect())
    }

    /// Has the manager read all unit files again (`daemon-reload`); may take up to 3 min.
    pub fn reload(&mut self) -> Result<(), ManagerError> {
        let deadline = Deadline::after(self.limit.max(RELOAD_LIMIT));
        self.tell("reload", deadline, "Reload", &())
    }

    /// Makes the links of a unit's `[Install]` section; [`Self::reload`] makes the manager see them.
    ///
    /// Links to another file of that unit, such as a copy that is gone, are replaced;
    /// systemd before 251 refuses to enable a unit over them otherwise.
    pub fn enable(&mut self, unit: &str) -> Result<(), ManagerError> {
        let what = format!("enable {unit}");
        let arguments = (vec![unit], false, true);
        self.tell(&what, self.deadline(), "EnableUnitFiles", &arguments)
    }

    /// Removes the links that [`Self::enable`] makes.
    pub fn disable(&mut self, unit: &str) -> Result<(), ManagerError> {
        let what = format!("disable {unit}");
        let arguments = (vec![unit], false);
        self.tell(&what, self.deadline(), "DisableUnitFiles", &arguments)
    }

    /// The drop-in files of a unit.
    pub fn drop_ins(&mut self, unit: &str) -> Result<Vec<String>, ManagerError> {
        let paths = self.unit_property(unit, "DropInPaths")?;
        Ok(unit_properties::bounded(paths))
    }

    /// Whether a unit of any kind is `active`, `inactive`, `failed` and so on.
    pub fn active_state(&mut self, unit: &str) -> Result<String, ManagerError> {
        self.unit_property(unit, "ActiveState")
    }

    /// The manager's version, as its distribution names it, such as `252.38-1~deb12u1`.
    pub fn version(&mut self) -> Result<String, ManagerError> {
        self.bus
            .ask("say its version", self.deadline(), async |connection| {
                property(connection, MANAGER_PATH, MANAGER, "Version").await
            })
    }

    /// The file that a unit of any kind is from; empty if there is none.
    pub fn fragment_path(&mut self, unit: &str) -> Result<String, ManagerError> {
        self.unit_property(unit, "FragmentPath")
    }

    /// The names of a service's credentials, each with the file it is loaded from; empty where none is (systemd.exec(5)).
    pub fn credentials(&mut self, unit: &str) -> Result<Vec<(String, String)>, ManagerError> {
        let what = format!("show the credentials of {unit}");
        let found: CredentialProperties =
            self.bus.ask(&what, self.deadline(), async |connection| {
                let path = loaded(connection, unit).await?;
                properties(connection, &path, SERVICE).await
            })?;
        Ok(found.all())
    }

    /// What a service last said of itself in `STATUS=`, if anything.
    pub fn status_text(&mut self, unit: &str) -> Result<Option<Line>, ManagerError> {
        let text: String = self.service_property(unit, "StatusText")?;
        Ok(Some(Line::new(&text)).filter(|line| !line.as_str().is_empty()))
    }

    /// When a service last reset its watchdog, as Gatehound does at the end of each check; none where it has none.
    pub fn watchdog_timestamp(&mut self, unit: &str) -> Result<Option<Monotonic>, ManagerError> {
        let usec: u64 = self.service_property(unit, "WatchdogTimestampMonotonic")?;
        Ok(Some(Monotonic(usec)).filter(|at| *at != Monotonic::default()))
    }

    /// How long a service may be silent before systemd ends it (`WatchdogUSec`); none where it may be so for ever.
    pub fn watchdog(&mut self, unit: &str) -> Result<Option<Duration>, ManagerError> {
        let usec: u64 = self.service_property(unit, "WatchdogUSec")?;
        Ok(Some(Duration::from_micros(usec)).filter(|_| usec != 0 && usec != u64::MAX))
    }

    /// How a service says that it has started: `simple`, `notify` and so on.
    pub fn service_type(&mut self, unit: &str) -> Result<String, ManagerError> {
        self.service_property(unit, "Type")
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.limit)
    }

    /// Queues a job and remembers it as ours.
    fn queue(
        &mut self,
        what: &str,
        method: &str,
        arguments: &(&str, &str),
    ) -> Result<JobId, ManagerError> {
        let deadline = self.deadline();
        self.bus.ping(what, deadline)?;
        let queued: Result<OwnedObjectPath, _> =
            self.bus.tell(what, deadline, async |connection| {
                let reply = call(connection, method, arguments).await?;
                reply.body().deserialize()
            });
        let queued = queued.and_then(|path| {
            let reason = format!("{path} is no job");
            bus::job_id(&path).ok_or_else(|| ManagerError::protocol(what, &reason))
        });
        match &queued {
            Ok(id) => self.own.queued(*id),
            Err(ManagerError::NoBus { .. } | ManagerError::Refused { .. }) => {}
            Err(_) => self.own.unanswered(),
        }
        queued
    }

    /// Has the manager do something, after a check trip that finds out whether a kept connection holds.
    fn tell(
        &mut self,
        what: &str,
        deadline: Deadline,
        method: &str,
        arguments: &(impl Serialize + DynamicType),
    ) -> Result<(), ManagerError> {
        self.bus.ping(what, deadline)?;
        self.bus.tell(what, deadline, async |connection| {
            call(connection, method, arguments).await.map(drop)
        })
    }

    fn unit_property<T>(&mut self, unit: &str, name: &str) -> Result<T, ManagerError>
    where
        T: TryFrom<OwnedVariant>,
        zbus::Error: From<T::Error>,
    {
        self.property_of(unit, UNIT, name)
    }

    fn service_property<T>(&mut self, unit: &str, name: &str) -> Result<T, ManagerError>
    where
        T: TryFrom<OwnedVariant>,
        zbus::Error: From<T::Error>,
    {
        self.property_of(unit, SERVICE, name)
    }

    fn property_of<T>(&mut self, unit: &str, interface: &str, name: &str) -> Result<T, ManagerError>
    where
        T: TryFrom<OwnedVariant>,
        zbus::Error: From<T::Error>,
    {
        let what = format!("show {name} of {unit}");
        self.bus.ask(&what, self.deadline(), async |connection| {
            let path = loaded(connection, unit).await?;
            property(connection, &path, interface, name).await
        })
    }
}

/// What two answers say whose bodies these are, of the interfaces `Unit` and `Service`, little-endian.
///
/// For answers that no user manager gives; every other one is taken apart by the connection it comes over.
#[doc(hidden)]
pub fn understood(unit: &[u8], service: &[u8]) -> Option<UnitFacts> {
    fn body<T: DeserializeOwned + Type>(bytes: &[u8]) -> Option<T> {
        let context = Context::new(Endian::Little, 0);
        Some(Data::new(bytes, context).deserialize().ok()?.0)
    }
    let unit: UnitProperties = body(unit)?;
    let job = unit.job().map(|id| Job {
        id,
        ours: false,
        kind: JobKind::Other,
    });
    Some(unit_properties::facts(&unit, body(service)?, job))
}

/// The object of a unit, which is loaded if it was not.
async fn loaded(connection: &Connection, unit: &str) -> zbus::Result<OwnedObjectPath> {
    let reply = call(connection, "LoadUnit", &unit).await?;
    reply.body().deserialize()
}

/// The properties of one interface of an object.
async fn properties<T>(connection: &Connection, path: &str, interface: &str) -> zbus::Result<T>
where
    T: DeserializeOwned + Type,
{
    connection
        .call_method(
            Some(DESTINATION),
            path,
            Some(PROPERTIES),
            "GetAll",
            &interface,
        )
        .await?
        .body()
        .deserialize()
}

/// One property of an object.
async fn property<T>(
    connection: &Connection,
    path: &str,
    interface: &str,
    name: &str,
) -> zbus::Result<T>
where
    T: TryFrom<OwnedVariant>,
    zbus::Error: From<T::Error>,
{
    let reply = connection
        .call_method(
            Some(DESTINATION),
            path,
            Some(PROPERTIES),
            "Get",
            &(interface, name),
        )
        .await?;
    let value: OwnedVariant = reply.body().deserialize()?;
    Ok(T::try_from(value)?)
}
