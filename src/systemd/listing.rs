//! Which units there are whose names match a pattern, and since when one of them is active.
//!
//! Owns these questions; changes nothing.

use zbus::{Connection, OwnedObjectPath};

use crate::{
    policy::facts::Monotonic,
    systemd::{
        ManagerError, UserManager,
        bus::{UNIT, call},
        property, unit_properties,
    },
};

/// Units that run, or are about to.
const ACTIVE: [&str; 2] = ["active", "activating"];

/// Name, description, states, unit it follows, object, and its job with type and object; name and object are looked at.
type ListedUnit = (
    String,
    String,
    String,
    String,
    String,
    String,
    OwnedObjectPath,
    u32,
    String,
    OwnedObjectPath,
);

/// The units in these states whose names match one of the patterns.
pub(super) async fn listed(
    connection: &Connection,
    states: &[&str],
    patterns: Vec<String>,
) -> zbus::Result<Vec<ListedUnit>> {
    let reply = call(connection, "ListUnitsByPatterns", &(states, patterns)).await?;
    reply.body().deserialize()
}

impl UserManager {
    /// The names of the units that are active, or about to be, and match `pattern`, which may hold `*` and `?`.
    ///
    /// Takes one check trip; only loaded units are looked at.
    pub fn active_units(&mut self, pattern: &str) -> Result<Vec<String>, ManagerError> {
        let what = format!("list {pattern}");
        let units = self.bus.ask(&what, self.deadline(), async |connection| {
            listed(connection, &ACTIVE, vec![pattern.to_owned()]).await
        })?;
        let names = units.into_iter().map(|unit| unit.0).collect();
        Ok(unit_properties::bounded(names))
    }

    /// The first of these units, and since when it is active; within the limit of one question.
    pub fn first_active(
        &mut self,
        pattern: &str,
    ) -> Result<Option<(String, Monotonic)>, ManagerError> {
        let what = format!("list {pattern}");
        let first = self.bus.ask(&what, self.deadline(), async |connection| {
            let units = listed(connection, &ACTIVE, vec![pattern.to_owned()]).await?;
            let Some(unit) = units.into_iter().next() else {
                return Ok(None);
            };
            let name = "ActiveEnterTimestampMonotonic";
            // One that has ended meanwhile has no age.
            let since = property(connection, unit.6.as_str(), UNIT, name).await;
            Ok(Some((unit.0, since.unwrap_or_default())))
        })?;
        let first: Option<(String, u64)> = first;
        let bounded = |name| unit_properties::bounded(vec![name]).pop();
        Ok(first.and_then(|(name, since)| Some((bounded(name)?, Monotonic(since)))))
    }
}
