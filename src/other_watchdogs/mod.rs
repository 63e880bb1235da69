//! Other watchdogs of the same gateway: found in cron and among units, named, and taken the place of.

pub mod crontab;
pub mod crontab_edit;
pub mod finding;
