//! JSON the way the original prints it.
//!
//! Same values, two spellings: compact in the store, with blanks after `,` and `:` in REST answers. Both are pure
//! ASCII, and floats look as the original shows them, because people compare these texts byte by byte. A printer of forty
//! lines is less than the adapters a general one would need.

use std::fmt::Write;

use serde_json::Value;
use tamada_model::Document;
use tamada_model::document::number_text;

/// As long as a member's key or a little longer.
const USUAL_TEXT: usize = 512;

/// `{"a":1,"b":[2]}` – the form of the store's keys (dcs-layout.md 1).
pub fn compact(value: &Value) -> String {
    let mut out = String::with_capacity(USUAL_TEXT);
    print(value, &COMPACT, &mut out);
    out
}

/// `{"a": 1, "b": [2]}` – the form of REST bodies (rest-api.md 1).
pub fn spaced(value: &Value) -> String {
    let mut out = String::with_capacity(USUAL_TEXT);
    print(value, &SPACED, &mut out);
    out
}

/// The object in `bytes`; `None` for anything else.
pub fn object(bytes: &[u8]) -> Option<Document> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Some(object),
        Ok(_) | Err(_) => None,
    }
}

/// An object under construction: keys stay in the order they were put.
pub(crate) struct Fields(Document);

/// Room for a member or an answer, without growing bit by bit.
const USUAL: usize = 16;

impl Default for Fields {
    fn default() -> Self {
        Self(Document::with_capacity(USUAL))
    }
}

impl Fields {
    pub(crate) fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    pub(crate) fn maybe(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// `true`, or not there.
    pub(crate) fn truth(&mut self, key: &str, flag: bool) {
        self.maybe(key, flag.then_some(true));
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

struct Separators {
    item: &'static str,
    key: &'static str,
}

const COMPACT: Separators = Separators { item: ",", key: ":" };
const SPACED: Separators = Separators { item: ", ", key: ": " };

fn print(value: &Value, with: &Separators, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) => print_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { with.item });
                print(item, with, out);
            }
            out.push(']');
        }
        Value::Object(object) => print_object(object, with, out),
    }
}

fn print_object(object: &Document, with: &Separators, out: &mut String) {
    out.push('{');
    for (i, (key, item)) in object.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { with.item });
        print_string(key, out);
        out.push_str(with.key);
        print(item, with, out);
    }
    out.push('}');
}

fn print_string(text: &str, out: &mut String) {
    out.push('"');
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        out.push_str(text);
    } else {
        print_escaped(text, out);
    }
    out.push('"');
}

fn print_escaped(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    // Writing into a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_spellings_of_one_value() {
        let value = json!({"a": [1, true, null], "b": {"c": "x"}, "d": [], "e": {}});
        assert_eq!(compact(&value), r#"{"a":[1,true,null],"b":{"c":"x"},"d":[],"e":{}}"#);
        assert_eq!(spaced(&value), r#"{"a": [1, true, null], "b": {"c": "x"}, "d": [], "e": {}}"#);
    }

    #[test]
    fn text_is_ascii() {
        assert_eq!(compact(&json!("ä€😀\u{7f}\u{1}\"\\/\n")), r#""\u00e4\u20ac\ud83d\ude00\u007f\u0001\"\\/\n""#);
    }
}
