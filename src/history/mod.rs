//! History: incidents, outages and availability, folded from the journal's records.

pub mod history_command;
pub mod timeline;
