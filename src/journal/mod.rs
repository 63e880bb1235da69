//! The journal: records written, the gateway's own lines read.

pub mod entry;
pub mod fields;
pub mod gateway_log;
pub mod journalctl;
pub mod kind_table;
pub mod kinds;
pub mod logged;
pub mod writer;
