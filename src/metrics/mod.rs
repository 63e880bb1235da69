//! Metrics for Prometheus: what is counted, how it reads, and the file that node_exporter takes.

pub(crate) mod collect_command;
mod collecting;
pub mod exposition;
pub mod sampling;
pub mod textfile;
