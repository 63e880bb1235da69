//! Snapshots of openclaw.json: kept, compared, restored.

pub mod comparing;
pub mod diff;
pub mod restoring;
pub mod snapshot_command;
pub mod store;
