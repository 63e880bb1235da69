//! What starts a unit by itself: its links, and the units that want it.
//!
//! Owns these two questions; changes nothing.

use crate::systemd::{ManagerError, UserManager, unit_properties};

impl UserManager {
    /// Whether a unit is `enabled`, `disabled`, `static` and so on (systemctl(1), is-enabled); empty if it has no file.
    pub fn file_state(&mut self, unit: &str) -> Result<String, ManagerError> {
        self.unit_property(unit, "UnitFileState")
    }

    /// The units that want this one, such as targets, as far as they are loaded.
    pub fn wanted_by(&mut self, unit: &str) -> Result<Vec<String>, ManagerError> {
        let names = self.unit_property(unit, "WantedBy")?;
        Ok(unit_properties::bounded(names))
    }
}
