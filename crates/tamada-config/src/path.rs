//! Reaching into documents by dotted path. A `null` counts as absent, as it does in the files.

use std::path::PathBuf;

use serde_json::Value;
use tamada_model::document::{boolean, scalar_text, truthy};
use tamada_model::{Document, Secret, units};

/// The value at the path, if it is there and not `null`.
pub fn at<'d>(document: &'d Document, path: &str) -> Option<&'d Value> {
    let mut parts = path.split('.');
    let mut value = document.get(parts.next()?)?;
    for part in parts {
        value = value.as_object()?.get(part)?;
    }
    (!value.is_null()).then_some(value)
}

/// The mapping at the path.
pub fn section<'d>(document: &'d Document, path: &str) -> Option<&'d Document> {
    at(document, path)?.as_object()
}

/// The mapping at the path, made if it is missing or something else.
pub fn section_mut<'d>(document: &'d mut Document, path: &str) -> &'d mut Document {
    let mut here = document;
    for part in path.split('.') {
        let value = here.entry(part).or_insert_with(|| Value::Object(Document::new()));
        if !value.is_object() {
            *value = Value::Object(Document::new());
        }
        here = value.as_object_mut().expect("made an object just above");
    }
    here
}

/// Removes the value at the path.
pub fn remove(document: &mut Document, path: &str) {
    match path.rsplit_once('.') {
        Some((above, key)) if section(document, above).is_some() => {
            section_mut(document, above).shift_remove(key);
        }
        Some(_) => {}
        None => {
            document.shift_remove(path);
        }
    }
}

/// Non-empty text of a scalar.
pub fn text(document: &Document, path: &str) -> Option<String> {
    let text = scalar_text(at(document, path).filter(|value| is_scalar(value))?);
    (!text.is_empty()).then_some(text)
}

pub fn secret(document: &Document, path: &str) -> Option<Secret> {
    text(document, path).map(Secret::new)
}

pub fn file(document: &Document, path: &str) -> Option<PathBuf> {
    text(document, path).map(PathBuf::from)
}

/// The boolean helper; what it does not know counts by truthiness.
pub fn flag(document: &Document, path: &str) -> bool {
    at(document, path).is_some_and(|value| boolean(value).unwrap_or_else(|| truthy(value)))
}

pub fn integer(document: &Document, path: &str, unit: Option<&str>) -> Option<i64> {
    units::integer(&scalar_text(at(document, path)?), unit)
}

/// Texts of a list; anything else in it is skipped.
pub fn texts(document: &Document, path: &str) -> Option<Vec<String>> {
    match at(document, path)? {
        Value::Array(items) => Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        Value::String(text) => Some(split_names(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// Words between commas and blanks.
pub fn split_names(text: &str) -> Vec<String> {
    text.split([',', ' ', '\t', '\n']).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

pub fn is_scalar(value: &Value) -> bool {
    match value {
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}
