//! Whether the gateway, beyond being alive, has everything running: `/ready`.
//!
//! Owns what its answer means; the request is `http`'s.
//! It never says that the gateway fails: a channel that is down is not fixed by a restart.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::probe::http::{self, Target};
use crate::text::line::Line;

/// What `/ready` says, as far as it can be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// No answer, or none of this kind: a version without `/ready` answers with a web page or 404.
    Unknown,
    /// Everything runs.
    Ready,
    /// The gateway works, but not all of it; what does not, each in words.
    Degraded(Vec<Line>),
}

/// What `failing` may name besides channels; `agent-database:<id>` comes on top.
///
/// Source: OpenClaw 2026.9.6, src/gateway/server/readiness.ts.
const COMPONENTS: [&str; 4] = [
    "startup-sidecars",
    "gateway-draining",
    "plugin-reload",
    "state-database",
];

/// Asks for `/ready`, which takes at most [`http::longest`] of `limit`.
///
/// `eventLoop` in the answer is not looked at: it is reported to say `degraded` of healthy gateways.
pub fn ready(target: &Target, limit: Duration) -> Readiness {
    let Ok(response) = http::get(target, "/ready", limit) else {
        return Readiness::Unknown;
    };
    if !matches!(response.status().as_u16(), 200 | 503) {
        return Readiness::Unknown;
    }
    http::read(response.into_body(), limit)
        .ok()
        .and_then(|body| judge(&body))
        .unwrap_or(Readiness::Unknown)
}

/// The gateway's version, as `/startup` says it; none from versions before 2026.8.2, which have no such answer.
pub fn version(target: &Target, limit: Duration) -> Option<Line> {
    let response = http::get(target, "/startup", limit).ok()?;
    let body = http::read(response.into_body(), limit).ok()?;
    let answer: Map<String, Value> = serde_json::from_slice(&body).ok()?;
    answer.get("version")?.as_str().map(Line::new)
}

fn judge(body: &[u8]) -> Option<Readiness> {
    let answer: Map<String, Value> = serde_json::from_slice(body).ok()?;
    if answer.get("ready")?.as_bool()? {
        return Some(Readiness::Ready);
    }
    let failing = answer.get("failing").and_then(Value::as_array);
    let names = failing.into_iter().flatten().filter_map(Value::as_str);
    Some(Readiness::Degraded(parts(names)))
}

/// So many parts of a gateway are kept; a gateway has a dozen channels at most.
const MOST: usize = 32;

/// Components by their names, and channels as such.
fn parts<'a>(failing: impl Iterator<Item = &'a str>) -> Vec<Line> {
    let mut parts = Vec::new();
    for name in failing.take(MOST) {
        let part = if is_component(name) {
            Line::new(name)
        } else {
            Line::new(&format!("channel {name}"))
        };
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    if parts.is_empty() {
        parts.push(Line::new("no reason given"));
    }
    parts
}

/// Conditions of the gateway as a whole, which later versions list as well, have names such as `StateDatabaseUnavailable`.
fn is_component(name: &str) -> bool {
    COMPONENTS.contains(&name)
        || name.starts_with("agent-database:")
        || name.starts_with(|first: char| first.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(failing: &[&str], expected: &[&str]) {
        let parts = parts(failing.iter().copied());
        let parts: Vec<&str> = parts.iter().map(Line::as_str).collect();
        assert_eq!(parts, expected);
    }

    #[test]
    fn channels_are_told_from_components() {
        check(
            &["telegram", "discord"],
            &["channel telegram", "channel discord"],
        );
        check(&["startup-sidecars"], &["startup-sidecars"]);
        check(
            &["telegram", "state-database", "agent-database:main"],
            &["channel telegram", "state-database", "agent-database:main"],
        );
        check(
            &["GatewayStartupPending", "telegram", "telegram"],
            &["GatewayStartupPending", "channel telegram"],
        );
        check(&[], &["no reason given"]);
    }

    #[test]
    fn a_list_without_end_is_cut_off() {
        let names: Vec<String> = (0..1000).map(|n| format!("c{n}")).collect();
        assert_eq!(parts(names.iter().map(String::as_str)).len(), MOST);
    }
}
