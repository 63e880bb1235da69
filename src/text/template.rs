//! The template of a webhook's body: JSON with the names of fields in its strings.
//!
//! Owns the names and how they are filled in; knows nothing of alerts.

use serde_json::Value;

/// The names that a template may have between `{{` and `}}`, which are also those of `alert::Message::fields`.
pub(crate) const FIELDS: [&str; 9] = [
    "text", "title", "kind", "unit", "host", "incident", "phase", "reason", "time",
];

/// Whether a text can be a template: JSON in the end, whatever the fields hold.
pub(crate) fn is_template(text: &str) -> bool {
    let foul = FIELDS.map(|name| (name, "\"\\ {{text}}".to_owned()));
    let filled = fill(text, &foul).and_then(|body| serde_json::from_str::<Value>(&body).ok());
    filled.is_some()
}

/// Puts each field in the place of its name, escaped as within a JSON string; none if a name is no field's.
///
/// In one pass, so that what a field holds is never taken for a name.
pub(crate) fn fill(template: &str, fields: &[(&'static str, String)]) -> Option<String> {
    let mut parts = template.split("{{");
    let mut filled = parts.next()?.to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}")?;
        let (_, value) = fields.iter().find(|(known, _)| *known == name.trim())?;
        let quoted = Value::from(value.as_str()).to_string();
        filled.push_str(quoted.strip_prefix('"')?.strip_suffix('"')?);
        filled.push_str(rest);
    }
    Some(filled)
}
