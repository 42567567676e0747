//! Permanent and ignored replication slots (configuration.md 4.2, postgres.md 15.5, 15.7).

use std::collections::BTreeMap;

use serde_json::Value;
use tamada_model::document::{scalar_text, truthy};
use tamada_model::{Document, PermanentSlot};

use crate::path::text;

/// The first non-empty of three names; entries that no slot could be made from are named in the adjustments.
pub fn permanent(dynamic: &Document, adjustments: &mut Vec<String>) -> BTreeMap<String, PermanentSlot> {
    let names = ["permanent_replication_slots", "permanent_slots", "slots"];
    let Some(Value::Object(slots)) = names.iter().find_map(|key| dynamic.get(*key).filter(|value| truthy(value)))
    else {
        return BTreeMap::new();
    };
    let mut permanent = BTreeMap::new();
    for (name, value) in slots {
        match (is_slot_name(name), slot(value)) {
            (true, Some(slot)) => drop(permanent.insert(name.clone(), slot)),
            (false, _) => adjustments.push(format!("Invalid permanent replication slot name '{name}'")),
            (true, None) => adjustments.push(format!("Bad value for slot '{name}': {}", scalar_text(value))),
        }
    }
    permanent
}

fn is_slot_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// Logical when it says so or names database and plugin; physical when it says so or says nothing.
fn slot(value: &Value) -> Option<PermanentSlot> {
    let physical = |cluster_type| PermanentSlot::Physical { cluster_type };
    let settings = match value {
        Value::Object(settings) => settings,
        value if !truthy(value) => return Some(physical(None)),
        _ => return None,
    };
    let logical = text(settings, "database").zip(text(settings, "plugin"));
    match (text(settings, "type").as_deref(), logical) {
        (None | Some("logical"), Some((database, plugin))) => Some(PermanentSlot::Logical { database, plugin }),
        (None | Some("physical"), _) => Some(physical(text(settings, "cluster_type"))),
        (Some(_), _) => None,
    }
}

/// Matchers of slots to leave alone.
pub fn ignored(dynamic: &Document) -> Vec<Document> {
    let matchers = dynamic.get("ignore_slots").and_then(Value::as_array).into_iter().flatten();
    matchers.filter_map(|matcher| matcher.as_object().cloned()).collect()
}
