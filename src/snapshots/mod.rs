//! Snapshots of openclaw.json: kept, compared, restored.

pub mod diff;
pub mod snapshot_command;
pub mod store;
