//! Templates: texts with names between `{{` and `}}` that stand for something.
//!
//! Owns the names that a setting may have there, and how they are filled in; knows nothing of alerts.

use serde_json::Value;

/// What a template stands for that says what happened.
pub(crate) const FIELDS: [&str; 9] = [
    "text", "title", "kind", "unit", "host", "incident", "phase", "reason", "time",
];

/// What stands before the name of a credential.
pub(crate) const CREDENTIAL: &str = "credential:";

/// Those that a setting may have, for a message.
pub(crate) const KNOWN: &str = "{{text}}, {{title}}, {{kind}}, {{unit}}, {{host}}, {{incident}}, {{phase}}, {{reason}}, {{time}} \
     and {{credential:NAME}}, and no others";

/// The names in a template, in their order.
pub(crate) fn names(template: &str) -> impl Iterator<Item = &str> {
    let parts = template.split("{{").skip(1);
    parts.filter_map(|part| Some(part.split_once("}}")?.0.trim()))
}

/// Whether a text can be the template of a body: JSON in the end, whatever it is filled with.
pub(crate) fn is_json(text: &str) -> bool {
    let foul = |name: &str| known(name, true).then(|| "\"\\ {{text}}".to_owned());
    let filled = fill(text, true, &mut |name| foul(name).ok_or(()));
    filled.is_ok_and(|body| serde_json::from_str::<Value>(&body).is_ok())
}

/// A template filled in with a letter for each name; none if a name stands for nothing, as those of fields do unless they are allowed.
pub(crate) fn sample(text: &str, fields: bool) -> Option<String> {
    let letter = |name: &str| known(name, fields).then(|| "x".to_owned());
    fill(text, false, &mut |name| letter(name).ok_or(())).ok()
}

fn known(name: &str, fields: bool) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let credential = name.strip_prefix(CREDENTIAL);
    credential.is_some_and(|name| !name.is_empty() && name.chars().all(is_name))
        || (fields && FIELDS.contains(&name))
}

/// Puts what each name stands for in its place, escaped as within a JSON string if it is `json`.
///
/// In one pass, so that what a field holds is never taken for a name.
///
/// # Errors
///
/// As `look_up` says; braces that are not closed are looked up as no name at all.
pub(crate) fn fill<E>(
    template: &str,
    json: bool,
    look_up: &mut dyn FnMut(&str) -> Result<String, E>,
) -> Result<String, E> {
    let mut parts = template.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or(("", part));
        let value = look_up(name.trim())?;
        if json {
            let quoted = Value::from(value).to_string();
            filled.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
        } else {
            filled.push_str(&value);
        }
        filled.push_str(rest);
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_would_not_be_json_is_none() {
        for text in [
            "{{text}}",
            "{\"a\": {{text}}}",
            "{\"a\": \"{{nobody}}\"}",
            "{\"a\": \"{{text\"}",
            "{\"a\": \"{{credential:}}\"}",
            "",
        ] {
            assert!(!is_json(text), "{text}");
        }
        assert!(is_json(
            "{\"a\": \"{{text}}\", \"b\": \"{{credential:a-b}}\"}"
        ));
    }

    #[test]
    fn a_field_means_nothing_where_only_secrets_do() {
        assert_eq!(
            sample("https://a/{{credential:b}}", false).unwrap(),
            "https://a/x"
        );
        assert_eq!(sample("{{text}}", false), None);
        assert_eq!(sample("{{text}} {{", true), None);
        let found: Vec<&str> = names("a {{ b }}{{credential:c}} {{d").collect();
        assert_eq!(found, ["b", "credential:c"]);
    }

    #[test]
    fn what_a_field_holds_is_never_taken_for_a_name() {
        let mut look_up = |name: &str| Ok::<_, ()>(format!("{{{{{name}}}}}\""));
        assert_eq!(
            fill("{{a}}-{{b}}", false, &mut look_up).unwrap(),
            "{{a}}\"-{{b}}\""
        );
        assert_eq!(fill("{{a}}", true, &mut look_up).unwrap(), "{{a}}\\\"");
    }
}
