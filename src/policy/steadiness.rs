//! What is remembered of a gateway that is healthy and not as it should be: it comes and goes, or parts of it fail.
//!
//! Owns the shape of that; `downtime` and `usefulness` own what happens to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{policy::facts::Monotonic, text::line::Line};

/// What of a healthy gateway does not work, as far as it says so itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Parts {
    /// When this run was asked last.
    pub asked: Option<Monotonic>,
    /// What it listed as failing then.
    pub failing: Vec<Part>,
    /// Its crash-loop breaker tripped, in its words, and nothing is known of its end.
    pub breaker: Option<Line>,
}

/// A part of the gateway that does not work.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part {
    /// In words.
    pub name: Line,
    /// Since when every answer has listed it.
    pub since: Monotonic,
    /// It has been long enough to be said.
    pub said: bool,
}

/// How often the gateway failed lately and recovered by itself, each time within its grace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flapping {
    /// When it recovered and how long it had been down, oldest first.
    pub recoveries: Vec<(Monotonic, Duration)>,
    /// It was said that it comes and goes, and it has not been steady since.
    pub said: bool,
}
