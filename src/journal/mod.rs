//! The journal: records written, the gateway's own lines read.

pub mod gateway_log;
pub mod journalctl;
pub mod writer;
