//! How the gateway is looked at: where it listens, what it answers, and what its own files say.

pub mod gateway;
pub mod http;
pub mod openclaw_files;
pub mod openclaw_json;
pub mod readiness;
pub mod stall;
pub mod update;
pub mod whose;
