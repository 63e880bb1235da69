//! Sense: adapters that look at the outside world and change nothing in it.

pub mod boot_id;
pub mod clock;
pub mod config;
pub mod files;
pub mod folders;
pub mod gateway;
pub mod http;
pub mod listeners;
pub mod pause;
pub mod processes;
pub mod wake;
