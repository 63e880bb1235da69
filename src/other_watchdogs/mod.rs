//! Other watchdogs of the same gateway: found in cron, among units and at other supervisors, judged by what they do,
//! named, and taken the place of.

pub mod crontab;
pub mod crontab_edit;
pub mod deeds;
pub mod finding;
mod judge;
mod other_units;
mod programs;
mod shell_words;
mod supervisors;
pub(crate) mod survey;
mod system_cron;
pub(crate) mod unit_files;
