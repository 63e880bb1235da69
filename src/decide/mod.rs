//! Decide: the policy, a pure state machine over what was seen.
//!
//! Owns every judgement: when the gateway counts as failing, how long it is given, what is done and when.
//! `(state, event, now) → (state, actions)`: no I/O, no clock, no logging, no async,
//! so that every rule can be tested without a gateway and explored exhaustively.

pub mod alert;
pub mod facts;
pub mod history;
pub mod limits;
pub mod metrics;
mod policy;
pub mod record;
pub mod settings;
mod state;
pub mod status;
mod template;
mod unit;
pub mod words;

pub use facts::Signal;
pub use limits::{
    ALERT_LIMIT, EVIDENCE_LIMIT, JOURNAL_LIMIT, KEEP_LIMIT, MANAGER_LIMIT, READY_LIMIT,
    RESTORE_LIMIT, SWEEP_GRACE, longest_step,
};
pub use policy::{Action, Done, Event, NotRestored, Swept, step};
pub use state::{Bite, Doubt, Incident, Ladder, Owed, Phase, Rollback, Standby, State, Step};
