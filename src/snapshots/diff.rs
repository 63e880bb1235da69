//! What differs between two configurations, key by key, with values hidden that may be secrets.
//!
//! Owns which texts are shown: those of keys that are known to be harmless, and of these what looks like no secret.
//! It errs towards hiding, and reads no file.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::text::{line::Line, secrets::names_one};

/// A word of this length that mixes kinds of characters is taken for a random one.
const LONG: usize = 16;

/// Keys, written in lower case, whose texts say how the gateway is set up and nothing that opens a door.
const HARMLESS: [&str; 34] = [
    "mode",
    "bind",
    "port",
    "host",
    "enabled",
    "model",
    "primary",
    "name",
    "version",
    "lasttouchedversion",
    "lasttouchedat",
    "id",
    "type",
    "kind",
    "provider",
    "default",
    "level",
    "loglevel",
    "format",
    "style",
    "theme",
    "locale",
    "language",
    "timezone",
    "policy",
    "dmpolicy",
    "grouppolicy",
    "transport",
    "protocol",
    "reload",
    "scope",
    "every",
    "interval",
    "timeout",
];

/// Which values are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Those that are known to be harmless.
    Harmless,
    /// All, because somebody asked for them.
    All,
}

/// One value of a configuration, as it may be shown and as it is.
struct Leaf {
    shown: String,
    value: String,
}

/// The lines that lead from one configuration to another: `-` for what is gone, `+` for what is new.
pub(crate) fn diff(from: &Value, to: &Value, values: Values) -> Vec<Line> {
    let (from, to) = (leaves(from, values), leaves(to, values));
    let keys: std::collections::BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let mut lines = Vec::new();
    for key in keys {
        let (old, new) = (from.get(key), to.get(key));
        if old.map(|leaf| &leaf.value) == new.map(|leaf| &leaf.value) {
            continue;
        }
        let line = |sign: &str, leaf: &Leaf| {
            let key = match values {
                Values::Harmless => shown_key(key),
                Values::All => key.clone(),
            };
            Line::new(&format!("{sign} {key} = {}", leaf.shown))
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
    let mut words = line
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default().to_lowercase();
    let is_known = HARMLESS.contains(&first.as_str()) || words.next().is_none();
    if named(line) || (goes_on && named(before)) || !is_known {
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

fn leaves(value: &Value, values: Values) -> BTreeMap<String, Leaf> {
    let mut found = BTreeMap::new();
    let top = Above {
        name: "",
        secret: false,
        values,
    };
    collect(value, String::new(), top, &mut found);
    found
}

/// What a value stands below.
#[derive(Clone, Copy)]
struct Above<'a> {
    /// The innermost key.
    name: &'a str,
    /// Whether any key, or a neighbour in a list, says that it is a secret.
    secret: bool,
    values: Values,
}

fn collect(value: &Value, key: String, above: Above<'_>, found: &mut BTreeMap<String, Leaf>) {
    let secret = above.secret;
    match value {
        Value::Object(table) if !table.is_empty() => {
            for (name, value) in table {
                let below = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                let above = Above {
                    name,
                    secret: secret || names_one(name),
                    ..above
                };
                collect(value, below, above, found);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            // As in ["--token", "…"], where the name is a neighbour.
            let secret = secret || list.iter().filter_map(Value::as_str).any(names_one);
            for (at, value) in list.iter().enumerate() {
                let above = Above { secret, ..above };
                collect(value, format!("{key}[{at}]"), above, found);
            }
        }
        value => {
            let shown = match value {
                _ if above.values == Values::All => value.to_string(),
                Value::String(text) if secret || !is_harmless(above.name, text) => hidden(text),
                Value::Number(_) if secret => "(hidden)".to_owned(),
                Value::String(_)
                | Value::Number(_)
                | Value::Null
                | Value::Bool(_)
                | Value::Array(_)
                | Value::Object(_) => value.to_string(),
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

fn hidden(text: &str) -> String {
    match text.chars().count() {
        1 => "(hidden, 1 character)".to_owned(),
        count => format!("(hidden, {count} characters)"),
    }
}

/// Whether the text of a key is known to be harmless and looks like no secret.
fn is_harmless(name: &str, text: &str) -> bool {
    let is_known = HARMLESS.contains(&name.to_lowercase().as_str());
    // The name of a model is long, of short words.
    let apart = text.replace(['-', '_'], " ");
    is_known && !names_one(text) && !looks_random(&apart) && !has_userinfo(text)
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
        let lines = diff(&from, &to, Values::Harmless);
        assert_eq!(lines.iter().map(Line::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_broken_line_is_shown_without_what_may_be_a_secret() {
        for (before, line, expected) in [
            ("{", "  port: 18789,,", "  port: 18789,,"),
            (
                "",
                "  name: \"sk4f9Qz81LmPq7Rt\",,",
                "  name: \"(hidden) ,,",
            ),
            ("", "  psk: \"opens\",,", "  psk: (hidden)"),
            ("  },", "  },", "  },"),
            ("  a: 1", "  bind \"lan\",", "  bind \"lan\","),
            ("", "  token: \"abc\",,", "  token: (hidden)"),
            ("", "  \"botToken\" \"abc\"", ": (hidden)"),
            ("  password:", "    \"hunter2", ": (hidden)"),
            ("  tokens: [", "    \"abc\" \"def\"", ": (hidden)"),
            ("", "  x: \"sk4f9Qz81LmPq7Rt\",,", "  x: (hidden)"),
            ("", "  u: \"https://me:pw@host/\",,", "  u: (hidden)"),
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
                "+ new[1] = (hidden, 1 character)",
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
            let lines = diff(&from, &to, Values::Harmless);
            assert_eq!(lines.len(), 2, "{lines:?}");
            assert!(
                lines
                    .iter()
                    .all(|line| line.as_str().contains(" = (hidden")),
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
                "- feishu.encryptKey = (hidden, 3 characters)",
                "+ feishu.encryptKey = (hidden, 3 characters)",
                "- feishu.ping = (hidden, 3 characters)",
                "+ feishu.ping = (hidden, 3 characters)",
                "+ smtp.pass = (hidden, 1 character)",
                "+ smtp.user = (hidden, 1 character)",
            ],
        );
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        check(
            json!({"auth": {"mode": "none"}, "model": "anthropic/claude-sonnet-4-20250514"}),
            json!({"auth": {"mode": "token-less"}, "model": "anthropic/other"}),
            &[
                "- auth.mode = \"none\"",
                "+ auth.mode = (hidden, 10 characters)",
                "- model = \"anthropic/claude-sonnet-4-20250514\"",
                "+ model = \"anthropic/other\"",
            ],
        );
    }

    #[test]
    fn a_text_whose_key_nobody_knows_is_hidden_and_shown_to_whoever_asks() {
        let from = json!({"a": 1});
        for to in [
            json!({"basicAuth": "me:it"}),
            json!({"wallet": {"mnemonic": "one two three four"}}),
            json!({"wifi": {"psk": "abcdefgh"}}),
            json!({"db": {"dsn": "host=h user=u password=p"}}),
            json!({"headers": {"X-Thing": "opens"}}),
            json!({"args": ["-p", "opens"]}),
            json!({"url": "https://hooks.example.org/services/opens"}),
        ] {
            let added = |line: &Line| line.as_str().starts_with('+');
            for line in diff(&from, &to, Values::Harmless).into_iter().filter(added) {
                assert!(line.as_str().contains(" = (hidden, "), "{line}");
            }
            for line in diff(&from, &to, Values::All) {
                assert!(!line.as_str().contains("(hidden"), "{line}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_secret_is_ever_printed(secret in "[a-f]{3}[0-9]{3}[a-zA-Z0-9]{14,40}", key in "[a-z]{1,8}") {
            for value in [json!({&key: &secret}), json!({&key: [{"x": &secret}]}), json!({&secret: 1}), json!({&key: format!("x {secret}")})] {
                for line in diff(&json!({}), &value, Values::Harmless).into_iter().chain(diff(&value, &json!({}), Values::Harmless)) {
                    prop_assert!(!line.as_str().contains(&secret), "{}", line);
                }
            }
        }
    }
}
