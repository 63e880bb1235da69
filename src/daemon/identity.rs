//! Which Gatehound this is: its unit, its cgroup, and what makes it the only one.
//!
//! Owns how it recognises itself; knows nothing of the gateway.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
};

use crate::os::{lock::Lock, processes};

/// The running kernel's proc file system.
pub(super) const PROC: &str = "/proc";

/// What Gatehound knows of itself, and what makes it the only one.
pub(super) struct Own {
    pub(super) unit: String,
    pub(super) cgroup: String,
    pub(super) lock: Lock,
}

/// The cgroup of this process; empty when it cannot be seen.
pub(super) fn own_cgroup(proc: &Path) -> String {
    processes::process(proc, std::process::id()).map_or_else(String::new, |process| process.cgroup)
}

/// Gatehound's own unit: the one its cgroup is named for, else the shipped name.
pub(super) fn own_unit(cgroup: &str, profile: Option<&str>) -> String {
    let unit = cgroup.rsplit('/').next().unwrap_or_default();
    match profile {
        _ if unit.starts_with("gatehound") && unit.ends_with(".service") => unit.to_owned(),
        Some(profile) => format!("gatehound@{profile}.service"),
        None => "gatehound.service".to_owned(),
    }
}

/// A number that differs from one Gatehound under this kernel to every other.
pub(super) fn seed(boot_id: &str, own_unit: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let user = nix::unistd::geteuid().as_raw();
    (boot_id, own_unit, user).hash(&mut hasher);
    hasher.finish()
}
