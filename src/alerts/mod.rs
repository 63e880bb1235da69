//! Alerts: which is due, how it reads, and how it reaches a person.

pub mod alert;
pub mod alert_command;
mod chinese;
mod delivery;
pub mod desktop;
mod encoding;
pub mod handover;
pub mod holds;
pub mod message;
pub mod ping_note;
pub mod proxy;
pub mod queue;
mod texts;
pub mod trial;
pub mod verdict;
pub mod webhook;
