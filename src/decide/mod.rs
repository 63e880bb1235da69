//! Decide: the policy, a pure state machine over what was seen.
//!
//! Owns every judgement: when the gateway counts as failing, how long it is given, what is done and when.
//! `(state, event, now) → (state, actions)`: no I/O, no clock, no logging, no async,
//! so that every rule can be tested without a gateway and explored exhaustively.

pub mod alert;
pub mod facts;
pub mod history;
pub mod metrics;
mod policy;
pub mod record;
pub mod settings;
mod state;
pub mod status;
mod unit;

pub use policy::{Action, Done, Event, NotRestored, Signal, Swept, step};
pub use state::{
    ALERT_LIMIT, Bite, Doubt, EVIDENCE_LIMIT, Incident, JOURNAL_LIMIT, KEEP_LIMIT, Ladder,
    MANAGER_LIMIT, Owed, Phase, READY_LIMIT, RESTORE_LIMIT, Rollback, SWEEP_GRACE, Standby, State,
    Step, longest_step,
};
