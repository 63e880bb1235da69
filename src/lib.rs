#![doc = include_str!("ARCHITECTURE.md")]

pub mod text;

pub mod os;
pub mod settings;

pub mod policy;

pub mod journal;
pub mod probe;
pub mod recovery;
pub mod systemd;

pub mod daemon;

pub mod alerts;
pub mod history;
pub mod metrics;
pub mod other_watchdogs;
pub mod pause;
pub mod snapshots;
pub mod tidy;

pub mod cli;
