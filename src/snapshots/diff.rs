//! What differs between two configurations, key by key, with secrets hidden.
//!
//! Owns which values are hidden, by their keys and by what they look like, and errs towards hiding; it reads no file.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::text::{line::Line, secrets::names_one};

/// A word of this length that mixes kinds of characters is taken for a random one.
const LONG: usize = 16;

/// One value of a configuration, as it may be shown and as it is.
struct Leaf {
    shown: String,
    value: String,
}

/// The lines that lead from one configuration to another: `-` for what is gone, `+` for what is new.
pub(crate) fn diff(from: &Value, to: &Value) -> Vec<Line> {
    let (from, to) = (leaves(from), leaves(to));
    let keys: std::collections::BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let mut lines = Vec::new();
    for key in keys {
        let (old, new) = (from.get(key), to.get(key));
        if old.map(|leaf| &leaf.value) == new.map(|leaf| &leaf.value) {
            continue;
        }
        let line = |sign: &str, leaf: &Leaf| {
            Line::new(&format!("{sign} {} = {}", shown_key(key), leaf.shown))
        };
        lines.extend(old.map(|leaf| line("-", leaf)));
        lines.extend(new.map(|leaf| line("+", leaf)));
    }
    lines
}

/// A line of a file that cannot be read key by key, as it may be shown; `before` is the one above it.
pub(crate) fn shown_line(before: &str, line: &str) -> Line {
    let named = |text: &str| {
        let mut words = text.split(|c: char| !(c.is_alphanumeric() || "_-".contains(c)));
        words.any(names_one)
    };
    // A value may stand below its key, and which of the two a broken line holds nobody knows.
    let goes_on = before.trim_end().ends_with([':', '[', '(']);
    if named(line) || (goes_on && named(before)) {
        let key = line.split_once([':', '=']).map_or("", |(key, _)| key);
        let key = if looks_random(key) { "" } else { key };
        return Line::new(&format!("{key}: (hidden)"));
    }
    let shown = line.split_inclusive(|c: char| c.is_whitespace() || "\"',".contains(c));
    let shown: String = shown
        .map(|word| {
            if looks_random(word) || has_userinfo(word) {
                "(hidden) "
            } else {
                word
            }
        })
        .collect();
    Line::new(shown.trim_end())
}

fn leaves(value: &Value) -> BTreeMap<String, Leaf> {
    let mut found = BTreeMap::new();
    collect(value, String::new(), false, &mut found);
    found
}

fn collect(value: &Value, key: String, secret: bool, found: &mut BTreeMap<String, Leaf>) {
    match value {
        Value::Object(table) if !table.is_empty() => {
            for (name, value) in table {
                let below = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                collect(value, below, secret || names_one(name), found);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            // As in ["--token", "…"], where the name is a neighbour.
            let secret = secret || list.iter().filter_map(Value::as_str).any(names_one);
            for (at, value) in list.iter().enumerate() {
                collect(value, format!("{key}[{at}]"), secret, found);
            }
        }
        value => {
            let hidden = match value {
                Value::String(text) => {
                    secret || names_one(text) || looks_random(text) || has_userinfo(text)
                }
                Value::Number(_) => secret,
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
            };
            let shown = if hidden {
                "(hidden)".to_owned()
            } else {
                value.to_string()
            };
            found.insert(
                key,
                Leaf {
                    shown,
                    value: value.to_string(),
                },
            );
        }
    }
}

fn looks_random(text: &str) -> bool {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "+_-=".contains(c)));
    words.filter(|word| LONG <= word.len()).any(|word| {
        let has = |kind: fn(&char) -> bool| usize::from(word.chars().any(|c| kind(&c)));
        let kinds = has(char::is_ascii_lowercase)
            + has(char::is_ascii_uppercase)
            + has(char::is_ascii_digit);
        2 <= kinds || has(char::is_ascii_digit) == 1
    })
}

/// `https://user:password@host`.
fn has_userinfo(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| {
        rest.split('/')
            .next()
            .is_some_and(|host| host.contains('@'))
    })
}

/// A table may be keyed by secrets as well.
fn shown_key(key: &str) -> String {
    let parts = key
        .split('.')
        .map(|part| if looks_random(part) { "(hidden)" } else { part });
    parts.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[track_caller]
    fn check(from: Value, to: Value, expected: &[&str]) {
        let lines = diff(&from, &to);
        assert_eq!(lines.iter().map(Line::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_broken_line_is_shown_without_what_may_be_a_secret() {
        for (before, line, expected) in [
            ("{", "  port: 18789,,", "  port: 18789,,"),
            ("  a: 1", "  bind \"lan\",", "  bind \"lan\","),
            ("", "  token: \"abc\",,", "  token: (hidden)"),
            ("", "  \"botToken\" \"abc\"", ": (hidden)"),
            ("  password:", "    \"hunter2", ": (hidden)"),
            ("  tokens: [", "    \"abc\" \"def\"", ": (hidden)"),
            ("", "  x: \"sk4f9Qz81LmPq7Rt\",,", "  x: \"(hidden) ,,"),
            ("", "  u: \"https://me:pw@host/\",,", "  u: \"(hidden) ,,"),
        ] {
            assert_eq!(
                shown_line(before, line).as_str(),
                Line::new(expected).as_str(),
                "{line}"
            );
        }
    }

    #[test]
    fn keys_that_differ_are_shown_and_no_others() {
        check(
            json!({"gateway": {"port": 1, "bind": "lan"}, "old": []}),
            json!({"gateway": {"port": 2, "bind": "lan"}, "new": [true, "x"]}),
            &[
                "- gateway.port = 1",
                "+ gateway.port = 2",
                "+ new[0] = true",
                "+ new[1] = \"x\"",
                "- old = []",
            ],
        );
    }

    #[test]
    fn secrets_are_hidden_and_that_they_differ_is_not() {
        for (from, to) in [
            (
                json!({"gateway": {"auth": {"token": "a"}}}),
                json!({"gateway": {"auth": {"token": "b"}}}),
            ),
            (json!({"bot_password": 1}), json!({"bot_password": 2})),
            (
                json!({"API-KEY": {"x": "a"}}),
                json!({"API-KEY": {"x": "b"}}),
            ),
            (
                json!({"x": "sk-abc123def456ghi7"}),
                json!({"x": "sk-abc123def456ghi8"}),
            ),
            (
                json!({"x": "https://u:a@h/"}),
                json!({"x": "https://u:b@h/"}),
            ),
            (
                json!({"args": ["--token", "a"]}),
                json!({"args": ["--token", "b"]}),
            ),
            (json!({"env": "MY_SECRET=a"}), json!({"env": "MY_SECRET=b"})),
        ] {
            let lines = diff(&from, &to);
            assert_eq!(lines.len(), 2, "{lines:?}");
            assert!(
                lines
                    .iter()
                    .all(|line| line.as_str().ends_with(" = (hidden)")),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_short_secret_is_hidden_by_its_key() {
        check(
            json!({"feishu": {"encryptKey": "abc", "ping": "abc"}}),
            json!({"feishu": {"encryptKey": "abd", "ping": "abd"}, "smtp": {"pass": "x", "user": "y"}}),
            &[
                "- feishu.encryptKey = (hidden)",
                "+ feishu.encryptKey = (hidden)",
                "- feishu.ping = \"abc\"",
                "+ feishu.ping = \"abd\"",
                "+ smtp.pass = (hidden)",
                "+ smtp.user = \"y\"",
            ],
        );
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        check(
            json!({"auth": {"mode": "none"}, "model": "anthropic/claude"}),
            json!({"auth": {"mode": "token-less"}, "model": "anthropic/other"}),
            &[
                "- auth.mode = \"none\"",
                "+ auth.mode = (hidden)",
                "- model = \"anthropic/claude\"",
                "+ model = \"anthropic/other\"",
            ],
        );
    }

    proptest! {
        #[test]
        fn no_secret_is_ever_printed(secret in "[a-f]{3}[0-9]{3}[a-zA-Z0-9]{14,40}", key in "[a-z]{1,8}") {
            for value in [json!({&key: &secret}), json!({&key: [{"x": &secret}]}), json!({&secret: 1}), json!({&key: format!("x {secret}")})] {
                for line in diff(&json!({}), &value).into_iter().chain(diff(&value, &json!({}))) {
                    prop_assert!(!line.as_str().contains(&secret), "{}", line);
                }
            }
        }
    }
}
