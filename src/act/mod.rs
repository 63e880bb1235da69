//! Act: adapters that can change the outside world.

pub mod alerts;
pub mod crontab;
pub mod desktop;
pub mod files;
pub mod incidents;
pub mod journal;
pub mod manager;
pub mod notify;
pub mod pause;
pub mod ping;
pub mod snapshots;
pub mod sweep;
pub mod textfile;
pub mod tidy;
pub mod webhook;
