//! Whether an answer of `--json` is as `units/gatehound.schema.json` has it.
//!
//! Owns the part of JSON Schema that the file uses; another keyword in it is refused, so that none goes unheeded.
//! It is stricter in one thing: a key that the schema has not is wrong, because then the documents have it neither.

use serde_json::Value;

/// In the program, for the machine in which it is booted has no checkout.
const SCHEMA: &str = include_str!("../../units/gatehound.schema.json");

/// Holds that what a command printed is this answer.
#[track_caller]
pub fn check(answer: &str, printed: &[u8]) -> Value {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let value: Value = serde_json::from_slice(printed).unwrap_or_else(|e| {
        panic!("{answer}: {e}: {}", String::from_utf8_lossy(printed));
    });
    let of_answer = &schema["$defs"][answer];
    assert!(of_answer.is_object(), "no answer {answer}");
    if let Err(wrong) = fits(&schema, of_answer, &value) {
        panic!("{answer}{wrong}: {value:#}");
    }
    value
}

fn fits(all: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    // Such as what a file has that promises no key.
    let Some(keywords) = schema.as_object() else {
        return Ok(());
    };
    for (keyword, wanted) in keywords {
        let right = match keyword.as_str() {
            "description" | "format" => true,
            "$ref" => {
                let path = wanted.as_str().unwrap().trim_start_matches('#');
                fits(all, all.pointer(path).unwrap(), value)?;
                true
            }
            "anyOf" => {
                let mut any = wanted.as_array().unwrap().iter();
                any.any(|one| fits(all, one, value).is_ok())
            }
            "const" => value == wanted,
            "minimum" => value
                .as_f64()
                .is_none_or(|one| wanted.as_f64().unwrap() <= one),
            "maximum" => value
                .as_f64()
                .is_none_or(|one| one <= wanted.as_f64().unwrap()),
            "type" => match wanted {
                Value::Array(all) => all.iter().any(|one| is(value, one)),
                one => is(value, one),
            },
            "required" => {
                let mut keys = wanted.as_array().unwrap().iter();
                keys.all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (key, one) in value.as_object().into_iter().flatten() {
                    let known = wanted.get(key);
                    let known = known.ok_or_else(|| format!(": {key:?} is not in the schema"))?;
                    fits(all, known, one).map_err(|wrong| format!(".{key}{wrong}"))?;
                }
                true
            }
            "additionalProperties" => {
                for (key, one) in value.as_object().into_iter().flatten() {
                    fits(all, wanted, one).map_err(|wrong| format!(".{key}{wrong}"))?;
                }
                true
            }
            "items" => {
                for (at, one) in value.as_array().into_iter().flatten().enumerate() {
                    fits(all, wanted, one).map_err(|wrong| format!("[{at}]{wrong}"))?;
                }
                true
            }
            other => panic!("the schema has {other}, which is not looked at"),
        };
        if !right {
            return Err(format!(": {keyword} is to be {wanted}"));
        }
    }
    Ok(())
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the schema has the type {other}"),
    }
}
