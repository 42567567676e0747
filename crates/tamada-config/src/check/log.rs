//! The `log` section (configuration.md 2.2).

use serde_json::Value;
use tamada_model::document::scalar_text;
use tamada_model::{Document, LogConfig, LogLevel};

use crate::path::{at, file, flag, integer, section, text};

pub fn log(effective: &Document, adjustments: &mut Vec<String>) -> LogConfig {
    let unset = LogConfig::default();
    let json = text(effective, "log.type").is_some_and(|kind| kind.eq_ignore_ascii_case("json"));
    let level_at = |path: &str| text(effective, path).and_then(|name| level(&name));
    let (format, json_fields) = format(effective, json, &unset.format, adjustments);
    LogConfig {
        json,
        level: level_at("log.level").unwrap_or(unset.level),
        traceback_level: level_at("log.traceback_level").unwrap_or(unset.traceback_level),
        format,
        json_fields,
        dateformat: text(effective, "log.dateformat"),
        static_fields: section(effective, "log.static_fields").cloned().unwrap_or_default(),
        dir: file(effective, "log.dir"),
        mode: integer(effective, "log.mode", None).and_then(|mode| u32::try_from(mode).ok()),
        file_num: limited(effective, "log.file_num", unset.file_num),
        file_size: limited(effective, "log.file_size", unset.file_size),
        loggers: loggers(effective, adjustments),
        deduplicate_heartbeat_logs: flag(effective, "log.deduplicate_heartbeat_logs"),
        max_queue_size: limited(effective, "log.max_queue_size", unset.max_queue_size),
    }
}

/// The configured number if it fits its type, else what is used unset.
fn limited<N: TryFrom<i64>>(effective: &Document, path: &str, unset: N) -> N {
    integer(effective, path, None).and_then(|number| N::try_from(number).ok()).unwrap_or(unset)
}

fn level(name: &str) -> Option<LogLevel> {
    Some(match name.to_uppercase().as_str() {
        "DEBUG" => LogLevel::Debug,
        "INFO" => LogLevel::Info,
        "WARN" | "WARNING" => LogLevel::Warning,
        "ERROR" => LogLevel::Error,
        "FATAL" | "CRITICAL" => LogLevel::Critical,
        _ => return None,
    })
}

fn loggers(effective: &Document, adjustments: &mut Vec<String>) -> std::collections::BTreeMap<String, LogLevel> {
    let configured = section(effective, "log.loggers").into_iter().flatten();
    configured
        .filter_map(|(name, value)| match level(&scalar_text(value)) {
            Some(level) => Some((name.clone(), level)),
            None => {
                adjustments.push(format!("log.loggers.{name}: {} is not a level, ignored", scalar_text(value)));
                None
            }
        })
        .collect()
}

/// The pattern of a plain line, and the fields of a JSON one.
fn format(
    effective: &Document,
    json: bool,
    unset: &str,
    adjustments: &mut Vec<String>,
) -> (String, Vec<(String, String)>) {
    match (json, at(effective, "log.format")) {
        (false, Some(Value::String(pattern))) => (pattern.clone(), Vec::new()),
        (false, None) => (unset.to_owned(), Vec::new()),
        (false, Some(_)) => {
            adjustments.push("log.format is a list but log.type is plain; the default format is used".to_owned());
            (unset.to_owned(), Vec::new())
        }
        (true, Some(Value::Array(fields))) => (unset.to_owned(), fields.iter().filter_map(field).collect()),
        (true, Some(pattern)) => (scalar_text(pattern), fields_of_pattern(&scalar_text(pattern))),
        (true, None) => (unset.to_owned(), fields_of_pattern(unset)),
    }
}

/// `name`, or `{name: shown}`.
fn field(item: &Value) -> Option<(String, String)> {
    match item {
        Value::Object(renamed) => renamed.iter().next().map(|(name, shown)| (name.clone(), scalar_text(shown))),
        Value::String(name) => Some((name.clone(), name.clone())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

/// The names in `%(name)s`.
fn fields_of_pattern(pattern: &str) -> Vec<(String, String)> {
    let names = pattern.split("%(").skip(1).filter_map(|tail| tail.split_once(')').map(|(name, _)| name.to_owned()));
    names.map(|name| (name.clone(), name)).collect()
}
