//! Tests of the policy, each named for the rule or behaviour it holds.

mod behaviours;
mod properties;
mod rules;
mod world;
