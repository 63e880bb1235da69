#![doc = include_str!("ARCHITECTURE.md")]

pub mod decide;

pub mod act;
pub mod sense;

pub mod daemon;

pub mod cli;

pub mod fault;
pub mod line;
