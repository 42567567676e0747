//! Single settings: `-s a.b.c=value`, `-p work_mem=4MB`.

use serde_json::Value;
use tamada_config::yaml;
use tamada_model::Document;

use crate::failure::Failure;

/// One place in the configuration and what shall stand there; `null` removes.
#[derive(Debug)]
pub struct Setting {
    path: Vec<String>,
    value: Value,
}

const PARAMETERS: &str = "postgresql.parameters.";

/// All of `-s` in their order, then all of `-p`.
pub fn settings(set: &[String], pg: &[String]) -> Result<Vec<Setting>, Failure> {
    let parameters = pg.iter().map(|text| format!("{PARAMETERS}{text}"));
    set.iter().cloned().chain(parameters).map(|text| Setting::parse(&text)).collect()
}

impl Setting {
    fn parse(text: &str) -> Result<Self, Failure> {
        let invalid = || Failure::Command(format!("Invalid parameter setting {text}"));
        let (path, value) = text.split_once('=').ok_or_else(invalid)?;
        let value = yaml::parse(value)
            .map_err(|error| Failure::Command(format!("Invalid parameter setting {text}: {error}")))?;
        // Parameters of extensions have dots in their names.
        let path = match path.strip_prefix(PARAMETERS) {
            Some(parameter) => vec!["postgresql".to_owned(), "parameters".to_owned(), parameter.to_owned()],
            None => path.split('.').map(str::to_owned).collect(),
        };
        Ok(Self { path, value })
    }

    pub fn apply(self, document: &mut Document) {
        put(document, &self.path, self.value);
    }
}

/// What is missing on the way, or is no mapping, becomes one; what is left empty behind a removal goes too.
fn put(document: &mut Document, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] if value.is_null() => {
            document.shift_remove(key);
        }
        [key] => {
            document.insert(key.clone(), value);
        }
        [key, below @ ..] => {
            let removes = value.is_null();
            let mut section = match document.get_mut(key).map(Value::take) {
                Some(Value::Object(section)) => section,
                Some(_) | None => Document::new(),
            };
            put(&mut section, below, value);
            if removes && section.is_empty() {
                document.shift_remove(key);
            } else {
                document.insert(key.clone(), Value::Object(section));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn after(settings: &[&str], before: Value) -> Value {
        let mut document = before.as_object().expect("the test gives an object").clone();
        for text in settings {
            Setting::parse(text).expect("the test gives a setting").apply(&mut document);
        }
        Value::Object(document)
    }

    #[test]
    fn settings_reach_into_the_document() {
        let before = json!({"ttl": 30, "a": {"b": 1}, "l": [1]});
        assert_eq!(
            after(&["ttl=20", "a.c.d=on"], before.clone()),
            json!({"ttl": 20, "a": {"b": 1, "c": {"d": true}}, "l": [1]})
        );
        assert_eq!(after(&["a.b=", "l.x=1"], before.clone()), json!({"ttl": 30, "l": {"x": 1}}));
        assert_eq!(after(&["a={}", "x.y=null"], before.clone()), json!({"ttl": 30, "a": {}, "l": [1]}));
        assert_eq!(
            after(&["postgresql.parameters.pg_stat.x=1"], json!({})),
            json!({"postgresql": {"parameters": {"pg_stat.x": 1}}})
        );
        assert!(Setting::parse("ttl").is_err());
    }

    #[test]
    fn a_replaced_value_keeps_its_place() {
        assert_eq!(after(&["a.b=2"], json!({"a": {"b": 1}, "z": 1})).to_string(), r#"{"a":{"b":2},"z":1}"#);
    }
}
