//! Gatehound: a watchdog sidecar for the OpenClaw Gateway.

pub mod decide;

pub mod line;
