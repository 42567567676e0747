//! Operations on opaque JSON documents such as the dynamic configuration (configuration.md 1.4).

use serde_json::{Map, Value};

/// An object: the dynamic configuration, tags, and other documents whose keys are not ours to know.
pub type Document = Map<String, Value>;

/// Merges `patch` into `target`; tells whether anything changed. `null` removes; objects recurse; a scalar replaces
/// only if its text differs, so `10` over `"10"` keeps the old type.
pub fn patch(target: &mut Document, patch_with: &Document) -> bool {
    let mut changed = false;
    for (key, new) in patch_with {
        changed |= match (target.get_mut(key), new) {
            (Some(_), Value::Null) => target.shift_remove(key).is_some(),
            (None, Value::Null) => false,
            (None, new) => {
                target.insert(key.clone(), new.clone());
                true
            }
            (Some(Value::Object(old)), Value::Object(new)) => patch(old, new),
            (Some(old), new) => {
                let differs = new.is_object() || scalar_text(old) != scalar_text(new);
                if differs {
                    *old = new.clone();
                }
                differs
            }
        };
    }
    changed
}

/// Same keys, same values by their text; objects recursively.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (a, b) => scalar_text(a) == scalar_text(b),
    }
}

/// A value as the original prints it in files and compares it: `True`, `None`, `10`, text without quotes
/// (configuration.md 1.3).
pub fn scalar_text(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number_text(number),
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A number as the original prints it: floats in their shortest form, `1e-05` and `1e+16` with two digits of exponent
/// and outside 1e-4 … 1e16 only.
pub fn number_text(number: &serde_json::Number) -> String {
    let value = match number.as_f64() {
        Some(value) if number.is_f64() => value,
        Some(_) | None => return number.to_string(),
    };
    if value != 0.0 && !(1e-4..1e16).contains(&value.abs()) {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) => {
                let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
                format!("{digits}e{sign}{exponent:0>2}")
            }
            None => text,
        };
    }
    let text = format!("{value}");
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// The original's boolean helper: `on/true/yes/1`, `off/false/no/0` in any case; anything else is not a boolean.
pub fn boolean(value: &Value) -> Option<bool> {
    match scalar_text(value).to_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// What a dynamic language calls true: not null, false, 0, or empty.
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Document {
        match value {
            Value::Object(map) => map,
            other => panic!("not an object: {other}"),
        }
    }

    #[test]
    fn numbers_print_as_the_original_prints_them() {
        for (value, text) in [
            (json!(1.0), "1.0"),
            (json!(0.1), "0.1"),
            (json!(1e16), "1e+16"),
            (json!(1.5e-7), "1.5e-07"),
            (json!(123456789012345.6), "123456789012345.6"),
            (json!(-0.0001), "-0.0001"),
            (json!(7), "7"),
        ] {
            assert_eq!(scalar_text(&value), text);
        }
    }

    #[test]
    fn patch_inserts_replaces_removes_and_says_so() {
        let mut target = object(json!({"a": 1, "b": {"c": "10", "d": 2}, "e": [1]}));
        assert!(!patch(&mut target, &object(json!({"b": {"c": 10}, "x": null}))));
        assert!(patch(&mut target, &object(json!({"a": null, "b": {"d": 3}, "f": {"g": null}}))));
        assert_eq!(Value::Object(target), json!({"b": {"c": "10", "d": 3}, "e": [1], "f": {"g": null}}));
    }
}
