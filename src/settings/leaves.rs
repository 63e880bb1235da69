//! The settings as dotted keys with values, and which of them are nobody's business.
//!
//! Owns how a list of tables is taken apart; knows nothing of where values come from.

use std::collections::BTreeMap;

use super::Settings;

/// The list of channels; what stands in it is shown to nobody but for a few keys.
pub(crate) const CHANNELS: &str = "alert.channel";

/// What of a channel is no secret: whoever has its URL writes there.
const OPEN: [&str; 4] = ["type", "kinds", "preset", "to"];

/// Whether a key is one of the list of channels.
pub(crate) fn is_in_channels(key: &str) -> bool {
    let rest = key.strip_prefix(CHANNELS);
    rest.is_some_and(|rest| rest.starts_with('.'))
}

/// Whether a key holds a secret.
pub(crate) fn is_secret(key: &str) -> bool {
    // The words behind the place in the list.
    let mut words = key.split('.').skip(3);
    is_in_channels(key) && words.next().is_some_and(|word| !OPEN.contains(&word))
}

/// Every dotted key with its value.
pub(crate) fn leaves(settings: &Settings) -> BTreeMap<String, serde_json::Value> {
    let mut leaves = BTreeMap::new();
    // Settings serialize into JSON by construction; a test holds that none is missing.
    let tree = serde_json::to_value(settings).unwrap_or_default();
    collect_leaves("", tree, &mut leaves);
    leaves
}

fn collect_leaves(
    key: &str,
    value: serde_json::Value,
    leaves: &mut BTreeMap<String, serde_json::Value>,
) {
    match value {
        serde_json::Value::Object(table) => {
            for (name, value) in table {
                let dotted = match key {
                    "" => name,
                    key => format!("{key}.{name}"),
                };
                collect_leaves(&dotted, value, leaves);
            }
        }
        // A list of tables is named by their places in it, from 1.
        serde_json::Value::Array(list) if list.iter().any(serde_json::Value::is_object) => {
            for (number, value) in (1..).zip(list) {
                collect_leaves(&format!("{key}.{number}"), value, leaves);
            }
        }
        value => {
            leaves.insert(key.to_owned(), value);
        }
    }
}
