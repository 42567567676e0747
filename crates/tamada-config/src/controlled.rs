//! Parameters that all members must share: only the dynamic configuration may set them (configuration.md 5.1).
//!
//! A standby with fewer connections than its primary refuses to start, a primary without `hot_standby` blinds its
//! successor. Therefore each has a check and a default, and a value that fails the check is replaced, never passed on.

use serde_json::Value;
use tamada_model::Document;
use tamada_model::document::{boolean, scalar_text};
use tamada_model::units;

/// One controlled parameter.
pub struct Controlled {
    pub name: &'static str,
    /// As text; `None`: the parameter appears only when set.
    pub default: Option<&'static str>,
    check: Check,
}

enum Check {
    /// Follows from `postgresql.listen` and `scope`; nobody may set it.
    NotSettable,
    WalLevel,
    True,
    Bool,
    AtLeast(i64, Option<&'static str>),
}

const fn controlled(name: &'static str, default: Option<&'static str>, check: Check) -> Controlled {
    Controlled { name, default, check }
}

/// In the order of the postmaster's command line.
pub const CONTROLLED: [Controlled; 15] = [
    controlled("listen_addresses", None, Check::NotSettable),
    controlled("port", None, Check::NotSettable),
    controlled("cluster_name", None, Check::NotSettable),
    controlled("wal_level", Some("hot_standby"), Check::WalLevel),
    controlled("hot_standby", Some("on"), Check::True),
    controlled("max_connections", Some("100"), Check::AtLeast(25, None)),
    controlled("max_wal_senders", Some("10"), Check::AtLeast(3, None)),
    controlled("wal_keep_segments", Some("8"), Check::AtLeast(1, None)),
    controlled("wal_keep_size", Some("128MB"), Check::AtLeast(16, Some("MB"))),
    controlled("max_prepared_transactions", Some("0"), Check::AtLeast(0, None)),
    controlled("max_locks_per_transaction", Some("64"), Check::AtLeast(32, None)),
    controlled("track_commit_timestamp", Some("off"), Check::Bool),
    controlled("max_replication_slots", Some("10"), Check::AtLeast(4, None)),
    controlled("max_worker_processes", Some("8"), Check::AtLeast(2, None)),
    controlled("wal_log_hints", Some("on"), Check::Bool),
];

/// The defaults that are always set; how much WAL to keep is left to the version's rule (postgres.md 5.3).
pub fn defaults() -> Document {
    let set = CONTROLLED.iter().filter(|parameter| !parameter.name.starts_with("wal_keep_"));
    set.filter_map(|parameter| Some((parameter.name.to_owned(), parameter.default_value()?))).collect()
}

pub fn find(name: &str) -> Option<&'static Controlled> {
    CONTROLLED.iter().find(|parameter| parameter.name.eq_ignore_ascii_case(name))
}

impl Controlled {
    /// A number where it is one.
    pub fn default_value(&self) -> Option<Value> {
        let text = self.default?;
        Some(text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from))
    }

    /// The value to use; `None` if it fails the check. Accepted integers lose their text form.
    pub fn accept(&self, value: &Value) -> Option<Value> {
        let text = scalar_text(value);
        match self.check {
            Check::NotSettable => None,
            Check::WalLevel => {
                let level = text.to_lowercase();
                (value.is_string() && ["hot_standby", "replica", "logical"].contains(&level.as_str()))
                    .then(|| value.clone())
            }
            Check::True => (boolean(value) == Some(true)).then(|| value.clone()),
            Check::Bool => boolean(value).map(|_| value.clone()),
            Check::AtLeast(least, unit) => {
                units::integer(&text, unit).filter(|number| *number >= least)?;
                Some(units::integer(&text, None).map_or_else(|| value.clone(), Value::from))
            }
        }
    }

    pub fn refusal(&self, value: &Value) -> String {
        format!(
            "postgresql parameter {}={} failed validation, defaulting to {}",
            self.name,
            scalar_text(value),
            self.default.unwrap_or("None")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_checked_and_converted() {
        let table = [
            ("max_connections", json!("200"), Some(json!(200))),
            ("max_connections", json!(25), Some(json!(25))),
            ("MAX_CONNECTIONS", json!(24), None),
            ("max_connections", json!("many"), None),
            ("wal_keep_size", json!("64MB"), Some(json!("64MB"))),
            ("wal_keep_size", json!("8MB"), None),
            ("wal_keep_size", json!("1GB"), Some(json!("1GB"))),
            ("wal_level", json!("Logical"), Some(json!("Logical"))),
            ("wal_level", json!("minimal"), None),
            ("hot_standby", json!(true), Some(json!(true))),
            ("hot_standby", json!("off"), None),
            ("wal_log_hints", json!("no"), Some(json!("no"))),
            ("track_commit_timestamp", json!("maybe"), None),
            ("listen_addresses", json!("*"), None),
        ];
        for (name, value, expected) in table {
            assert_eq!(find(name).unwrap().accept(&value), expected, "{name}={value}");
        }
    }

    #[test]
    fn refusals_name_the_default() {
        assert_eq!(
            find("max_connections").unwrap().refusal(&json!(5)),
            "postgresql parameter max_connections=5 failed validation, defaulting to 100"
        );
    }
}
