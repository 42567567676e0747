//! The configuration in force: built-in defaults, overlaid by the dynamic one, overlaid by the local one
//! (configuration.md 1.5).
//!
//! Each layer has parts of its own. The dynamic one sets the timing and whatever all members must share; the local
//! one knows this machine's addresses and files; in between either may say, and the local one wins. What stands on
//! the wrong side is passed over, as the original does.

use serde_json::Value;
use tamada_model::Document;
use tamada_model::document::{scalar_text, truthy};

use crate::accept;
use crate::complaint::{Complaint, Place};
use crate::controlled;
use crate::legacy;
use crate::path::{at, remove, section};
use crate::rows::{self, Kind};

/// Keys of `postgresql` that only files may set.
const LOCAL_ONLY: [&str; 7] =
    ["connect_address", "proxy_address", "listen", "config_dir", "data_dir", "pgpass", "authentication"];

/// Root keys that files cannot override.
const DYNAMIC_ONLY: [&str; 5] = ["ttl", "loop_wait", "retry_timeout", "standby_cluster", "postgresql"];

/// The dynamic document without what makes no sense. Single values that cannot be read are passed over with a warning;
/// a section of the wrong shape rejects the whole document.
pub fn readable(dynamic: &Document, warnings: &mut Vec<String>) -> Result<Document, Vec<Complaint>> {
    let mut readable = dynamic.clone();
    let mut complaints = Vec::new();
    for path in ["postgresql", "postgresql.parameters", "standby_cluster"] {
        match at(dynamic, path) {
            Some(value) if !value.is_object() && truthy(value) => complaints.push(rejected(path)),
            Some(value) if !value.is_object() => remove(&mut readable, path),
            Some(_) | None => {}
        }
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    drop_unreadable(&mut readable, warnings);
    Ok(readable)
}

fn rejected(path: &str) -> Complaint {
    Complaint { path: path.to_owned(), place: Some(Place::Dynamic), problem: "is not a dictionary".to_owned() }
}

fn drop_unreadable(dynamic: &mut Document, warnings: &mut Vec<String>) {
    let single =
        |row: &&rows::Row| row.is_dynamic() && row.is_literal() && !row.path.starts_with("postgresql.parameters.");
    for row in rows::all().filter(single) {
        let Some(value) = at(dynamic, row.path) else { continue };
        if let Err(problem) = accept::acceptable(row.kind, value) {
            let shown = if row.kind == Kind::Secret { "…".to_owned() } else { scalar_text(value) };
            warnings.push(format!("dynamic configuration: {}={shown} {problem}, ignored", row.path));
            remove(dynamic, row.path);
        }
    }
}

/// Merges the layers. `dynamic` is readable; refused parameters in it are named in the warnings.
pub fn effective(local: &Document, dynamic: &Document, warnings: &mut Vec<String>) -> Document {
    let mut parameters = controlled::defaults();
    let mut postgresql = section(dynamic, "postgresql").cloned().unwrap_or_default();
    if let Some(Value::Object(wanted)) = postgresql.shift_remove("parameters") {
        take_dynamic_parameters(&mut parameters, &wanted, warnings);
    }
    postgresql.retain(|key, _| !LOCAL_ONLY.contains(&key.as_str()));
    let mut result = Document::new();
    overlay_local(local, &mut result, &mut postgresql, &mut parameters);
    postgresql.insert("parameters".to_owned(), Value::Object(parameters));
    result.insert("postgresql".to_owned(), Value::Object(postgresql));
    legacy::rewrite(&mut result);
    result
}

fn take_dynamic_parameters(parameters: &mut Document, wanted: &Document, warnings: &mut Vec<String>) {
    for (name, value) in wanted {
        match controlled::find(name) {
            None => set_parameter(parameters, name, value.clone()),
            Some(parameter) => match parameter.accept(value) {
                Some(value) => set_parameter(parameters, parameter.name, value),
                None => warnings.push(parameter.refusal(value)),
            },
        }
    }
}

/// Names of parameters are the same in any case; the last spelling stays.
fn set_parameter(parameters: &mut Document, name: &str, value: Value) {
    let other_spelling = parameters.keys().find(|known| *known != name && known.eq_ignore_ascii_case(name)).cloned();
    if let Some(known) = other_spelling {
        parameters.shift_remove(&known);
    }
    parameters.insert(name.to_owned(), value);
}

fn overlay_local(local: &Document, result: &mut Document, postgresql: &mut Document, parameters: &mut Document) {
    for (key, value) in local {
        match key.as_str() {
            "postgresql" => overlay_local_postgresql(value, postgresql, parameters),
            key if DYNAMIC_ONLY.contains(&key) => {}
            key => {
                let value = if truthy(value) { value.clone() } else { Value::Object(Document::new()) };
                result.insert(key.to_owned(), value);
            }
        }
    }
}

fn overlay_local_postgresql(local: &Value, postgresql: &mut Document, parameters: &mut Document) {
    let Value::Object(local) = local else { return };
    for (key, value) in local {
        match (key.as_str(), value) {
            ("use_slots", _) => {}
            ("parameters", Value::Object(wanted)) => {
                for (name, value) in wanted.iter().filter(|(name, _)| controlled::find(name).is_none()) {
                    set_parameter(parameters, name, value.clone());
                }
            }
            ("parameters", _) => {}
            (key, value) => drop(postgresql.insert(key.to_owned(), value.clone())),
        }
    }
}
