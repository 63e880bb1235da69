//! Sense: adapters that look at the outside world and change nothing in it.

pub mod boot_id;
pub mod cgroup;
pub mod child;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod crontab;
pub mod evidence;
pub mod files;
pub mod folders;
pub mod gateway;
pub mod gateway_log;
pub mod http;
pub mod journalctl;
pub mod listeners;
pub mod openclaw_files;
pub mod openclaw_json;
pub mod pause;
pub mod processes;
pub mod readiness;
pub mod sock_diag;
pub mod terminal;
pub mod tls;
pub mod update;
pub mod wake;
pub mod wall_clock;
