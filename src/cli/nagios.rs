//! `gatehound check --nagios`: one look as a plugin of Nagios, Icinga and whatever else runs those.
//!
//! Owns that interface: one line with performance data, and an exit status of its own meaning.
//! Who cannot look says UNKNOWN, which wakes nobody up for a gateway that works.

use std::process::ExitCode;

use super::console::say;
use crate::{daemon::look::Seen, policy::facts::Health, text::line::Line};

/// The option, for a command line that is wrong.
pub(crate) const OPTION: &str = "--nagios";

/// Says what was seen; `detail` is the health in words.
pub(crate) fn say(seen: &Seen, detail: String, degraded: Option<&Line>) -> ExitCode {
    let pause = seen.look.pause.as_ref();
    let paused = pause.map(|pause| format!("; paused: {}", pause.reason));
    let (state, what, time) = match &seen.look.health {
        Health::Healthy(took) => {
            let time = format!("{:.3}s", took.as_secs_f64());
            match (degraded, seen.warnings.first()) {
                (Some(what), _) => (1, format!("degraded: {what}"), time),
                (None, Some(warning)) => (1, warning.to_string(), time),
                (None, None) if paused.is_some() => (1, detail, time),
                (None, None) => (0, detail, time),
            }
        }
        Health::Failing(_) => (2, detail, "U".to_owned()),
        Health::Unknown(_) | Health::NotProbed => return unknown(&Line::new(&detail)),
    };
    let what = format!("{what}{}", paused.unwrap_or_default());
    let name = ["OK", "WARNING"].get(usize::from(state));
    print(
        name.unwrap_or(&"CRITICAL"),
        &what,
        &format!("health={time};;;0"),
    );
    ExitCode::from(state)
}

/// Says that nothing could be found out.
pub(crate) fn unknown(why: &Line) -> ExitCode {
    print("UNKNOWN", why.as_str(), "health=U;;;0");
    ExitCode::from(3)
}

/// A bar in the text would begin the performance data.
fn print(state: &str, what: &str, data: &str) {
    say!("OPENCLAW {state} - {} | {data}", what.replace('|', "/"));
}
