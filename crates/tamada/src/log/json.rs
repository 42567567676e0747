//! One JSON object per line: the configured fields in their order, then the static ones, then whatever else a record
//! carries.

use serde_json::{Number, Value};
use tamada_model::{Document, LogConfig, Wall};

use super::calendar::Calendar;
use super::record::{Attribute, Record, Shown};

/// Those of the default pattern.
const UNSET: [&str; 3] = ["asctime", "levelname", "message"];

pub struct Fields {
    fields: Vec<Field>,
    always: Document,
}

struct Field {
    /// `None` for a name that records do not have; it is `null`, as in the original.
    attribute: Option<Attribute>,
    shown_as: String,
}

impl Fields {
    pub fn of(config: &LogConfig) -> Self {
        let field =
            |name: &str, shown_as: &str| Field { attribute: Attribute::named(name), shown_as: shown_as.to_owned() };
        let fields = if config.json_fields.is_empty() {
            UNSET.iter().map(|name| field(name, name)).collect()
        } else {
            config.json_fields.iter().map(|(name, shown_as)| field(name, shown_as)).collect()
        };
        Self { fields, always: config.static_fields.clone() }
    }

    pub fn fill(&self, record: &Record, calendar: &Calendar, started: Wall, line: &mut String) {
        let mut object = Document::new();
        for field in &self.fields {
            let value = match field.attribute {
                // Here the fields have keys of their own.
                Some(Attribute::Message) => Value::String(record.message.clone()),
                Some(attribute) => json(record.show(attribute, || calendar.text(record.at), started)),
                None => Value::Null,
            };
            object.insert(field.shown_as.clone(), value);
        }
        for (name, value) in &self.always {
            object.insert(name.clone(), value.clone());
        }
        for (name, value) in &record.fields {
            object.entry(*name).or_insert_with(|| value.clone());
        }
        line.push_str(&tamada_wire::json::spaced(&Value::Object(object)));
    }
}

fn json(shown: Shown<'_>) -> Value {
    match shown {
        Shown::Text(text) => Value::String(text.into_owned()),
        Shown::Whole(number) => number.into(),
        Shown::Real(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Shown::Nothing => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{calendar, record};

    fn line(fields: &[(&str, &str)], always: &[(&str, Value)], record: &Record) -> String {
        let config = LogConfig {
            json: true,
            json_fields: fields.iter().map(|(name, as_)| ((*name).to_owned(), (*as_).to_owned())).collect(),
            static_fields: always.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            ..LogConfig::default()
        };
        let mut line = String::new();
        Fields::of(&config).fill(record, &calendar(), record.at, &mut line);
        line
    }

    #[test]
    fn fields_in_order_renamed_and_static() {
        let fields = [("levelname", "level"), ("message", "message"), ("lineno", "line"), ("host", "host")];
        assert_eq!(
            line(&fields, &[("app", "tamada".into())], &record()),
            r#"{"level": "WARNING", "message": "disk is full", "line": 17, "host": null, "app": "tamada"}"#
        );
    }

    #[test]
    fn unset_it_has_what_a_plain_line_has() {
        assert_eq!(
            line(&[], &[], &record()),
            r#"{"asctime": "2026-07-24 12:12:29,012", "levelname": "WARNING", "message": "disk is full"}"#
        );
    }

    #[test]
    fn what_a_record_carries_gets_its_own_keys_but_takes_nobodys() {
        let mut record = record();
        record.message = "two\nlines".into();
        record.fields = vec![("bytes", 7.into()), ("app", "other".into())];
        assert_eq!(
            line(&[("message", "m"), ("created", "t")], &[("app", "tamada".into())], &record),
            r#"{"m": "two\nlines", "t": 1784895149.012345, "app": "tamada", "bytes": 7}"#
        );
    }
}
