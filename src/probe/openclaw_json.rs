//! openclaw.json: the few keys of the gateway's own configuration that say how it serves.
//!
//! Owns the file's form (JSON5) and its bounds; it writes nothing, and knows nothing of units or settings.
//! Where a gateway listens that is up is not asked here, because the listening socket itself says it.
//! Nothing that is wrong with the file is fatal: what it does not say is found elsewhere.

use std::{
    fmt,
    fs::{self, Metadata},
    marker::PhantomData,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{
    os::files::{self, Links},
    text::line::Line,
};

/// Far more than a configuration of hundreds of agents.
pub(crate) const MAX_FILE: u64 = 1024 * 1024;

/// Ten times the depth of a real configuration.
///
/// json5 1.3 recurses without a limit of its own: some 50 000 brackets exhaust a stack of 8 MiB.
const MAX_DEPTH: usize = 128;

/// What the file says of the keys that are wanted; none where it says nothing of use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `gateway.port`.
    pub port: Option<u16>,
    /// `gateway.tls.enabled`.
    pub tls: Option<bool>,
    /// `gateway.bind`.
    pub bind: Bind,
    /// What is wrong with the file or with these keys.
    pub problem: Option<Line>,
    /// Whether another file may say more of them, which is then uncertain where nothing else is.
    pub includes: bool,
}

/// At which addresses the gateway takes its port, as far as the file says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bind {
    /// At loopback, which is what the gateway does where nothing is said.
    #[default]
    Loopback,
    /// At every address of IPv4.
    Lan,
    /// It depends on more than the file, or on what cannot be understood.
    Unknown,
}

/// Reads the file, and reads it again only once it has changed.
#[derive(Debug, Default)]
pub struct Reader {
    last: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    path: PathBuf,
    stamp: Option<Stamp>,
    said: Said,
}

/// What differs from one state of a file to the next.
///
/// The time of the last status change rather than of the last write, because it also moves
/// when a file that could not be read is given other permissions.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Reader {
    /// What the file says.
    ///
    /// What it said before stays in force while it is missing or wrong:
    /// a running gateway goes on with its last good configuration as well.
    pub fn read(&mut self, path: &Path) -> Said {
        // Before the contents, so that a change in between is noticed the next time.
        let stamp = fs::metadata(path).ok().as_ref().map(Stamp::of);
        if let Some(last) = &self.last
            && last.path == path
            && last.stamp == stamp
        {
            return last.said.clone();
        }
        let before = self.last.take().filter(|last| last.path == path);
        let nothing = || Said {
            // A file that is not there says nothing; one that makes no sense may say anything.
            bind: stamp.as_ref().map_or(Bind::Loopback, |_| Bind::Unknown),
            ..Said::default()
        };
        let said = load(path).unwrap_or_else(|why| Said {
            problem: Some(why),
            ..before.map_or_else(nothing, |before| before.said)
        });
        self.last = Some(Reading {
            path: path.to_owned(),
            stamp,
            said: said.clone(),
        });
        said
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn load(path: &Path) -> Result<Said, Line> {
    let problem = |why: &Line| Line::new(&format!("{}: {why}", path.display()));
    // A link is followed: people keep this file among their dotfiles.
    let contents = files::read_limited(path, MAX_FILE, Links::Follow).map_err(|e| problem(&e))?;
    let contents = contents.ok_or_else(|| problem(&"no such file".into()))?;
    let said = parse(&contents.bytes).map_err(|e| problem(&e))?;
    Ok(Said {
        problem: said.problem.as_ref().map(problem),
        ..said
    })
}

/// What a file with these bytes says.
///
/// # Errors
///
/// It is not a configuration; one key that is wrong is passed over, and leaves the other one in force.
pub fn parse(bytes: &[u8]) -> Result<Said, Line> {
    let Value::Object(root) = value(bytes)? else {
        return Err("not a JSON5 object".into());
    };
    let gateway = root.get("gateway");
    let tls = gateway.and_then(|gateway| gateway.get("tls"));
    let mut said = Said::default();
    if let Some(port) = gateway.and_then(|gateway| gateway.get("port")) {
        said.port = number(port);
        if said.port.is_none() {
            said.problem = Some(passed_over("gateway.port", port, "a port"));
        }
    }
    if let Some(enabled) = tls.and_then(|tls| tls.get("enabled")) {
        said.tls = enabled.as_bool();
        if said.tls.is_none() {
            said.problem = Some(passed_over("gateway.tls.enabled", enabled, "true or false"));
        }
    }
    let holders = [
        Some(&root),
        gateway.and_then(Value::as_object),
        tls.and_then(Value::as_object),
    ];
    said.includes = holders
        .iter()
        .flatten()
        .any(|table| table.contains_key("$include"));
    said.bind = match gateway.and_then(|gateway| gateway.get("bind")) {
        None if said.includes => Bind::Unknown,
        None => Bind::Loopback,
        Some(bind) => match bind.as_str() {
            Some("loopback") => Bind::Loopback,
            Some("lan") => Bind::Lan,
            Some(_) | None => Bind::Unknown,
        },
    };
    if said.problem.is_none() && said.includes {
        said.problem = Some(
            "$include is not followed; set gateway.port and gateway.tls if they are in there"
                .into(),
        );
    }
    Ok(said)
}

/// All that a file with these bytes says, as JSON; numbers that JSON does not have are `null`.
///
/// # Errors
///
/// It is not text or not JSON5.
pub fn value(bytes: &[u8]) -> Result<Value, Line> {
    let text = str::from_utf8(bytes).map_err(|_| Line::new("not UTF-8 text"))?;
    let Shallow(root) = json5::from_str(text).map_err(|e| Line::new(&format!("not JSON5: {e}")))?;
    Ok(root)
}

/// Which line of a file is the first that is not JSON5, from 1; none if all of it is, or the line is not known.
pub fn broken_line(text: &str) -> Option<usize> {
    let error = json5::from_str::<Shallow>(text).err()?;
    Some(error.position()?.line.saturating_add(1))
}

/// The files that a configuration names by `$include`, in any table and as it spells them.
pub fn includes(value: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                match value {
                    Value::String(name) if key == "$include" => found.push(name.as_str()),
                    Value::Array(names) if key == "$include" => {
                        found.extend(names.iter().filter_map(Value::as_str));
                    }
                    value => found.extend(includes(value)),
                }
            }
        }
        Value::Array(list) => found.extend(list.iter().flat_map(includes)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}

/// A port as JavaScript takes it for a number: `18789.0` and `0x4965` are such, `"18789"` is not.
fn number(value: &Value) -> Option<u16> {
    let number = value.as_f64()?;
    let port = number as u16;
    (port != 0 && f64::from(port) == number).then_some(port)
}

fn passed_over(key: &str, value: &Value, wanted: &str) -> Line {
    // What was put into the wrong place may be somebody's secrets.
    let value = match value {
        Value::Object(_) => "{…}".to_owned(),
        value => value.to_string(),
    };
    Line::new(&format!("{key} = {value}: not {wanted}, passed over"))
}

/// A JSON5 value no deeper than [`MAX_DEPTH`].
///
/// Of two equal keys the last counts, as in the gateway; a derived type would refuse them.
struct Shallow(Value);

impl<'de> Deserialize<'de> for Shallow {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Depth(MAX_DEPTH).deserialize(from).map(Self)
    }
}

/// How many levels may still follow.
#[derive(Clone, Copy)]
struct Depth(usize);

impl Depth {
    fn below<E: Error>(self) -> Result<Self, E> {
        let left = self.0.checked_sub(1);
        left.map(Self)
            .ok_or_else(|| E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON5 value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut elements = Vec::new();
        while let Some(element) = list.next_element_seed(below)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut map = Map::new();
        while let Some((key, value)) = members.next_entry_seed(PhantomData::<String>, below)? {
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, port: Option<u16>, tls: Option<bool>, problem: Option<&str>) {
        let said = parse(text.as_bytes()).unwrap();
        assert_eq!((said.port, said.tls), (port, tls));
        assert_eq!(said.problem.as_ref().map(Line::as_str), problem);
    }

    #[track_caller]
    fn refused(bytes: &[u8], reason: &str) {
        let error = parse(bytes).unwrap_err();
        assert!(error.as_str().starts_with(reason), "{error}");
    }

    #[test]
    fn the_keys_that_are_wanted_are_read() {
        check(
            r#"{"gateway": {"port": 19000, "tls": {"enabled": true}, "bind": "lan"}}"#,
            Some(19000),
            Some(true),
            None,
        );
        check(r#"{"gateway": {"tls": {}}}"#, None, None, None);
        check("{}", None, None, None);
    }

    #[test]
    fn where_the_gateway_takes_its_port_is_read_or_not_known() {
        for (text, bind) in [
            ("{}", Bind::Loopback),
            ("{gateway: {bind: 'loopback'}}", Bind::Loopback),
            ("{gateway: {bind: 'lan'}}", Bind::Lan),
            ("{gateway: {bind: 'tailnet'}}", Bind::Unknown),
            ("{gateway: {bind: 'custom'}}", Bind::Unknown),
            ("{gateway: {bind: ['lan']}}", Bind::Unknown),
            ("{gateway: {$include: './a.json5'}}", Bind::Unknown),
            ("{$include: './a', gateway: {bind: 'lan'}}", Bind::Lan),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap().bind, bind, "{text}");
        }
    }

    #[test]
    fn what_json5_adds_to_json_is_understood() {
        let text = "\u{feff}// a comment\n{gateway: {'port': 0x4a38, /* ] */ tls: {enabled: true,}, note: 'a\\\nb',},}";
        check(text, Some(19000), Some(true), None);
        check("{gateway: {port: +19000.0}}", Some(19000), None, None);
        check(
            "{a: [NaN, Infinity, 1e999, 123456789012345678901]}",
            None,
            None,
            None,
        );
    }

    #[test]
    fn of_equal_keys_the_last_counts_whole() {
        check("{gateway: {port: 1, port: 2}}", Some(2), None, None);
        check(
            "{gateway: {port: 1}, gateway: {tls: {enabled: false}}}",
            None,
            Some(false),
            None,
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_passed_over_and_leaves_the_other() {
        for value in [
            "\"18789\"",
            "-1",
            "0",
            "70000",
            "1.5",
            "null",
            "[]",
            "{}",
            "1e999",
            "true",
        ] {
            let said =
                parse(format!("{{gateway: {{port: {value}, tls: {{enabled: true}}}}}}").as_bytes())
                    .unwrap();
            assert_eq!((said.port, said.tls), (None, Some(true)));
            let problem = said.problem.unwrap();
            assert!(
                problem.as_str().ends_with(": not a port, passed over"),
                "{problem}"
            );
        }
        check(
            "{gateway: {port: 7, tls: {enabled: 'yes'}}}",
            Some(7),
            None,
            Some("gateway.tls.enabled = \"yes\": not true or false, passed over"),
        );
        for text in [
            "{gateway: 5}",
            "{gateway: {tls: true}}",
            "{gateway: [{port: 5}]}",
        ] {
            check(text, None, None, None);
        }
    }

    #[test]
    fn whatever_is_wrong_with_the_file_its_secrets_are_not_told() {
        let text = "{gateway: {auth: {token: 'hunter2'}, port: {token: 'hunter2'}, tls: 'hunter2'}, hunter2: hunter2}";
        for cut in 0..=text.len() {
            let told = match parse(&text.as_bytes()[..cut]) {
                Ok(said) => said.problem.unwrap_or_default(),
                Err(why) => why,
            };
            assert!(!told.as_str().contains("hunter2"), "{told}");
        }
        let misplaced = "{gateway: {auth: {token: 'hunter2'}, port: {token: 'hunter2'}}}";
        check(
            misplaced,
            None,
            None,
            Some("gateway.port = {…}: not a port, passed over"),
        );
    }

    #[test]
    fn an_include_is_said_to_be_left_out() {
        for text in [
            "{$include: './a.json5'}",
            "{gateway: {$include: './a.json5'}}",
        ] {
            let said = parse(text.as_bytes()).unwrap();
            assert!(said.includes);
            let problem = said.problem.unwrap();
            assert!(
                problem.as_str().starts_with("$include is not followed"),
                "{problem}"
            );
        }
    }

    #[test]
    fn includes_are_found_in_every_table_and_list() {
        let text = "{$include: 'a', agents: {$include: ['b', 7, 'c']}, list: [{x: {$include: './d'}}], include: 'e'}";
        let value = value(text.as_bytes()).unwrap();
        let mut found = includes(&value);
        found.sort_unstable();
        assert_eq!(found, ["./d", "a", "b", "c"]);
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        refused(b"", "not JSON5: ");
        refused(b"\0", "not JSON5: ");
        refused(b"{\0}", "not JSON5: ");
        refused(b"{gateway: {port: 5}} x", "not JSON5: ");
        refused(b"\xff{}", "not UTF-8 text");
        refused(b"[]", "not a JSON5 object");
        refused(b"null", "not a JSON5 object");
    }

    #[test]
    fn deep_nesting_ends_at_the_limit_and_not_at_the_stack() {
        let deep = |brackets: usize| format!("{}{}", "[".repeat(brackets), "]".repeat(brackets));
        check(&format!("{{a: {}}}", deep(MAX_DEPTH - 1)), None, None, None);
        refused(
            format!("{{a: {}}}", deep(MAX_DEPTH)).as_bytes(),
            "not JSON5: nested deeper than 128 levels",
        );
        for bracket in ["[", "{a:", "{\"]\":[\"]\",", "[//]\n"] {
            refused(
                bracket.repeat(100_000).as_bytes(),
                "not JSON5: nested deeper",
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn anything_that_looks_like_json5_is_read_or_refused(text in r#"[{}\[\]:,'"\\/*xeEuNI+.0-9a-f\n $-]{0,60}"#) {
            let _ = parse(text.as_bytes());
            let _ = parse(format!("{{gateway: {{port: {text}, tls: {{enabled: {text}}}}}}}").as_bytes());
        }

        #[test]
        fn every_port_is_read(port in 1..=u16::MAX) {
            let said = parse(format!("{{gateway: {{port: {port}}}}}").as_bytes()).unwrap();
            prop_assert_eq!(said.port, Some(port));
        }
    }
}
