//! Parameters the cluster must agree on. They go to the postmaster's command line, where ALTER SYSTEM cannot reach
//! them, and a value that would endanger the cluster is replaced by the default (postgres.md 5.2).

use std::collections::BTreeMap;

use serde_json::Value;
use tamada_model::document::{boolean, scalar_text};
use tamada_model::{Document, PgMajor, PostgresConfig};

use super::units;

struct Controlled {
    name: &'static str,
    default: Default_,
    valid: Valid,
    since: PgMajor,
    place: Place,
}

enum Default_ {
    Text(&'static str),
    ListenAddresses,
    Port,
    Scope,
}

/// What may be asked for.
#[derive(Clone, Copy)]
enum Valid {
    Nothing,
    WalLevel,
    OnlyTrue,
    AtLeast(i64),
    AtLeastMegabytes(i64),
    Boolean,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    CommandLine,
    File,
}

const ALWAYS: PgMajor = PgMajor::of(9);

const fn row(name: &'static str, default: Default_, valid: Valid, since: PgMajor, place: Place) -> Controlled {
    Controlled { name, default, valid, since, place }
}

/// In the order of the command line.
const TABLE: [Controlled; 14] = [
    row("listen_addresses", Default_::ListenAddresses, Valid::Nothing, ALWAYS, Place::CommandLine),
    row("port", Default_::Port, Valid::Nothing, ALWAYS, Place::CommandLine),
    row("cluster_name", Default_::Scope, Valid::Nothing, ALWAYS, Place::CommandLine),
    row("wal_level", Default_::Text("hot_standby"), Valid::WalLevel, ALWAYS, Place::CommandLine),
    row("hot_standby", Default_::Text("on"), Valid::OnlyTrue, ALWAYS, Place::CommandLine),
    row("max_connections", Default_::Text("100"), Valid::AtLeast(25), ALWAYS, Place::CommandLine),
    row("max_wal_senders", Default_::Text("10"), Valid::AtLeast(3), ALWAYS, Place::CommandLine),
    row("wal_keep_size", Default_::Text("128MB"), Valid::AtLeastMegabytes(16), PgMajor::of(13), Place::File),
    row("max_prepared_transactions", Default_::Text("0"), Valid::AtLeast(0), ALWAYS, Place::CommandLine),
    row("max_locks_per_transaction", Default_::Text("64"), Valid::AtLeast(32), ALWAYS, Place::CommandLine),
    row("track_commit_timestamp", Default_::Text("off"), Valid::Boolean, ALWAYS, Place::CommandLine),
    row("max_replication_slots", Default_::Text("10"), Valid::AtLeast(4), ALWAYS, Place::CommandLine),
    row("max_worker_processes", Default_::Text("8"), Valid::AtLeast(2), ALWAYS, Place::CommandLine),
    row("wal_log_hints", Default_::Text("on"), Valid::Boolean, ALWAYS, Place::CommandLine),
];

/// Known before 13 only; its value becomes `wal_keep_size`.
const WAL_KEEP_SEGMENTS: &str = "wal_keep_segments";

pub(crate) fn is_controlled(name: &str) -> bool {
    name == WAL_KEEP_SEGMENTS || TABLE.iter().any(|row| row.name == name)
}

/// The controlled parameters in force, and a warning for each refused value.
pub(crate) fn values(config: &PostgresConfig, major: PgMajor) -> (BTreeMap<String, String>, Vec<String>) {
    let mut warnings = Vec::new();
    let mut values = BTreeMap::new();
    for row in TABLE.iter().filter(|row| row.since <= major) {
        let value = chosen(row, config, &mut warnings);
        values.insert(row.name.to_owned(), if value == "hot_standby" { "replica".to_owned() } else { value });
    }
    (values, warnings)
}

fn chosen(row: &Controlled, config: &PostgresConfig, warnings: &mut Vec<String>) -> String {
    let default = || match row.default {
        Default_::Text(text) => text.to_owned(),
        Default_::ListenAddresses => config.listen_addresses.clone(),
        Default_::Port => config.port.to_string(),
        Default_::Scope => config.scope.clone(),
    };
    let Some(asked) = asked(row, &config.parameters) else { return default() };
    match accepted(&asked, row.valid) {
        Some(value) => value,
        None => {
            let default = default();
            if !matches!(row.valid, Valid::Nothing) {
                let (name, asked) = (row.name, scalar_text(&asked));
                warnings
                    .push(format!("postgresql parameter {name}={asked} failed validation, defaulting to {default}"));
            }
            default
        }
    }
}

fn asked(row: &Controlled, parameters: &Document) -> Option<Value> {
    let asked = parameters.get(row.name).filter(|value| !value.is_null()).cloned();
    if row.name != "wal_keep_size" || asked.is_some() {
        return asked;
    }
    // 5.3: n segments of 16 MB.
    let segments = units::integer(&scalar_text(parameters.get(WAL_KEEP_SEGMENTS)?), None)?;
    Some(Value::String(format!("{}MB", segments * 16)))
}

fn accepted(value: &Value, valid: Valid) -> Option<String> {
    let text = scalar_text(value);
    match valid {
        Valid::Nothing => None,
        Valid::WalLevel => {
            let level = text.to_lowercase();
            ["hot_standby", "replica", "logical"].contains(&level.as_str()).then_some(level)
        }
        Valid::OnlyTrue => boolean(value).filter(|on| *on).map(|_| "on".to_owned()),
        Valid::AtLeast(least) => {
            units::integer(&text, None).filter(|number| *number >= least).map(|number| number.to_string())
        }
        Valid::AtLeastMegabytes(least) => {
            units::integer(&text, units::unit("MB")).filter(|number| *number >= least).map(|_| text)
        }
        Valid::Boolean => boolean(value).map(|_| text),
    }
}

/// `--name=value` for each that belongs on the command line, in the table's order.
pub(crate) fn command_line(parameters: &BTreeMap<String, String>) -> Vec<String> {
    TABLE
        .iter()
        .filter(|row| row.place == Place::CommandLine)
        .filter_map(|row| Some(format!("--{}={}", row.name, parameters.get(row.name)?)))
        .collect()
}

/// Names that adoption reads from a running server: all but those that only we can know.
pub(crate) fn adopted_names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(|row| !matches!(row.valid, Valid::Nothing)).map(|row| row.name)
}
