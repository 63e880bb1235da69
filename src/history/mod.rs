//! History: incidents, outages and availability, folded from the journal's records.

pub mod bar;
pub mod history_command;
mod in_json;
mod incident_page;
mod picture;
mod rows;
mod sources;
pub mod stretches;
pub mod timeline;
