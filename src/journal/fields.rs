//! The names of the fields of a record, for whoever writes and whoever reads the journal.
//!
//! Owns the names alone. Those of the evidence are `recovery::evidence`'s.

/// How every field begins that only Gatehound writes.
pub const PREFIX: &str = "GATEHOUND_";

/// The kind of record, one constant for each.
pub const MESSAGE_ID: &str = "MESSAGE_ID";
/// Whose record it is, as every journal reader knows it.
pub const SYSLOG_IDENTIFIER: &str = "SYSLOG_IDENTIFIER";
/// The value of [`SYSLOG_IDENTIFIER`] in all our records.
pub const IDENTIFIER: &str = "gatehound";
/// The gateway's unit, which puts the record into its log.
pub const USER_UNIT: &str = "USER_UNIT";
/// The kind of event.
pub const EVENT: &str = "GATEHOUND_EVENT";
/// The phase.
pub const PHASE: &str = "GATEHOUND_PHASE";
/// The incident's id.
pub const INCIDENT: &str = "GATEHOUND_INCIDENT";
/// The attempt, from 1.
pub const ATTEMPT: &str = "GATEHOUND_ATTEMPT";
/// Why Gatehound stands by, as long as it does.
pub const STANDBY: &str = "GATEHOUND_STANDBY";
/// 1 once the stop of a restart took SIGKILL.
pub const FORCED: &str = "GATEHOUND_FORCED";
/// Since when the gateway has not worked, by CLOCK_MONOTONIC in microseconds, while it does not.
pub const DOWN_SINCE: &str = "GATEHOUND_DOWN_SINCE_USEC";
/// What of the healthy gateway does not work, while it does not.
pub const DEGRADED: &str = "GATEHOUND_DEGRADED";
/// The probe that did not pass.
pub const PROBE: &str = "GATEHOUND_PROBE";
/// What was seen, or why.
pub const REASON: &str = "GATEHOUND_REASON";
/// What the gateway's process was doing.
pub const STALL: &str = "GATEHOUND_STALL";
/// The same in a sentence.
pub const STALL_DETAIL: &str = "GATEHOUND_STALL_DETAIL";
/// What is done to the gateway.
pub const ACTION: &str = "GATEHOUND_ACTION";
/// What was seen when Gatehound began to stand by.
pub const DETAIL: &str = "GATEHOUND_DETAIL";
/// How long an incident lasted, in microseconds.
pub const DOWNTIME: &str = "GATEHOUND_DOWNTIME_USEC";

/// The fields that a record of any kind may have.
pub const COMMON: [&str; 10] = [
    MESSAGE_ID, USER_UNIT, EVENT, PHASE, INCIDENT, ATTEMPT, STANDBY, FORCED, DOWN_SINCE, DEGRADED,
];

/// The fields that records of some kinds have.
pub const OWN: [&str; 7] = [PROBE, REASON, STALL, STALL_DETAIL, ACTION, DETAIL, DOWNTIME];
