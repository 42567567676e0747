//! Values as the original prints them in problem lines: `['a', 1]`, `{'b': None}`, text bare.

use serde_json::Value;
use tamada_model::document::scalar_text;

/// Text bare, containers with their parts quoted.
pub fn text(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => quoted(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar_text(value),
    }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Array(items) => format!("[{}]", items.iter().map(quoted).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries: Vec<_> = map.iter().map(|(key, value)| format!("{}: {}", quote(key), quoted(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => scalar_text(value),
    }
}

/// Single quotes, unless the text holds some and no double ones.
fn quote(text: &str) -> String {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(mark);
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c == mark => quoted.extend(['\\', c]),
            c => quoted.push(c),
        }
    }
    quoted.push(mark);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn containers_print_their_parts_quoted() {
        assert_eq!(text(&json!("a")), "a");
        assert_eq!(text(&json!([1, "a", null, true, 0.5])), "[1, 'a', None, True, 0.5]");
        assert_eq!(text(&json!({"it's": ["a'b\"c", "\\n\n"]})), "{\"it's\": ['a\\'b\"c', '\\\\n\\n']}");
    }
}
