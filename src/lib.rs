//! Gatehound: a watchdog sidecar for the OpenClaw Gateway.

pub mod decide;

pub mod act;
pub mod sense;

pub mod line;
