//! The gateway's own log files: old ones deleted, large ones emptied.

pub mod gateway_logs;
pub mod tidy_command;
