//! The command line as a person meets it: exit statuses and messages, where no user manager is needed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod bare_surroundings;
mod check_once;
mod completions_in_shells;
mod doctor_findings;
mod history_and_incident;
mod home;
mod json_answers;
mod pause_and_resume;
#[path = "../schema/mod.rs"]
mod schema;
mod settings_show_check;
mod snapshot_commands;
mod status_reset_run_tidy;
mod systemd_and_nagios;
mod terminal_output;
mod usage_and_help;
mod wrong_settings;
