//! Tests of the policy, each named for the rule or behaviour it holds.

mod action;
mod behaviours;
mod canonical;
mod explore;
mod happening;
mod heard;
mod mutants;
mod random_histories;
mod rules;
mod table;
mod world;
