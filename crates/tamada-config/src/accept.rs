//! What a member can work with.
//!
//! Looser than `--validate-config`: a port may be text, a password a number, `yes` a text that means true. What is
//! refused here could only be guessed at.

use serde_json::Value;
use tamada_model::document::{boolean, scalar_text};
use tamada_model::units;

use crate::address::hosts_and_port;
use crate::path::{is_scalar, split_names};
use crate::rows::{Kind, Range};

/// `Err` says what is wrong and what would be right, without the value.
pub fn acceptable(kind: Kind, value: &Value) -> Result<(), String> {
    match kind {
        Kind::Section | Kind::Map => when(value.is_object(), "is not a dictionary (`key: value` lines below it)"),
        Kind::Text | Kind::Secret | Kind::Scalar | Kind::DataDir | Kind::BinDir | Kind::Binary => {
            when(is_scalar(value), "is not a text")
        }
        Kind::Bool | Kind::Truth => when(boolean(value).is_some(), "is not a boolean (true or false)"),
        Kind::Integer(range) => integer(range, value),
        Kind::Real { least, above } => real(least, above, value),
        Kind::Seconds(_) => when(number(value).is_some(), "is not a number of seconds"),
        Kind::Choice(choices, _) => choice(choices, value),
        Kind::Texts => when(value.is_string() || of_scalars(value), "is not a list of texts"),
        Kind::Names => when(value.is_string() || of_scalars(value), "is not a list of names"),
        Kind::Options => when(value.is_object() || of_options(value), "is not a list of options"),
        Kind::Maps => when(value.is_array(), "is not a list"),
        Kind::Listen { many: true } => address(value, Some(5432), "is not host:port, for example 127.0.0.1:5432"),
        Kind::Listen { many: false } => address(value, None, "is not host:port, for example 127.0.0.1:8008"),
        Kind::ConnectAddress { port } => address(value, port, "is not host:port, for example 10.0.0.1:8008"),
        Kind::Peer => peers(Some(2379), value),
        Kind::Peers { port } => peers(port, value),
        Kind::LogFormat => when(value.is_string() || of_fields(value), "is not a text or a list of fields"),
        Kind::WatchdogMode => watchdog_mode(value),
        Kind::SynchronousMode => synchronous_mode(value),
        Kind::TagBool | Kind::TagPriority | Kind::Anything => Ok(()),
    }
}

fn when(holds: bool, problem: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem.to_owned()) }
}

fn number(value: &Value) -> Option<f64> {
    is_scalar(value)
        .then(|| scalar_text(value).trim().parse::<f64>().ok())
        .flatten()
        .filter(|number| number.is_finite())
}

fn integer(range: Range, value: &Value) -> Result<(), String> {
    let reads = is_scalar(value) && units::integer(&scalar_text(value), range.unit).is_some();
    when(reads, "is not an integer")
}

fn real(least: f64, above: bool, value: &Value) -> Result<(), String> {
    let in_range = |number: f64| if above { number > least } else { number >= least };
    match units::real(&scalar_text(value), None) {
        None => Err("is not a number".to_owned()),
        Some(number) if in_range(number) => Ok(()),
        Some(_) if above => Err(format!("must be greater than {least}")),
        Some(_) => Err(format!("must not be less than {least}")),
    }
}

fn choice(choices: &[&str], value: &Value) -> Result<(), String> {
    let text = scalar_text(value);
    let known = choices.iter().any(|choice| choice.eq_ignore_ascii_case(&text));
    if known { Ok(()) } else { Err(format!("is not one of {}", choices.join(", "))) }
}

fn of_scalars(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(is_scalar))
}

/// Texts and mappings; how many entries a mapping may have is for whoever builds the command line.
fn of_options(value: &Value) -> bool {
    let is_option = |item: &Value| is_scalar(item) || item.is_object();
    value.as_array().is_some_and(|items| items.iter().all(is_option))
}

/// Texts and one-entry mappings.
fn of_fields(value: &Value) -> bool {
    let is_option = |item: &Value| is_scalar(item) || item.as_object().is_some_and(|map| map.len() == 1);
    value.as_array().is_some_and(|items| items.iter().all(is_option))
}

fn address(value: &Value, default_port: Option<u16>, problem: &str) -> Result<(), String> {
    let reads = value.as_str().is_some_and(|text| hosts_and_port(text, default_port).is_some());
    when(reads, problem)
}

fn peers(default_port: Option<u16>, value: &Value) -> Result<(), String> {
    let items = match value {
        Value::String(text) => split_names(text),
        Value::Array(items) => items.iter().map(scalar_text).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            return Err("is not a list of host:port, or a text of them with commas".to_owned());
        }
    };
    match items.iter().find(|item| item.contains("://") || hosts_and_port(item, default_port).is_none()) {
        Some(item) => Err(format!("`{item}` in it is not host:port")),
        None => Ok(()),
    }
}

fn watchdog_mode(value: &Value) -> Result<(), String> {
    let text = scalar_text(value).to_lowercase();
    let known = ["automatic", "auto", "required", "require", "disable", "disabled"].contains(&text.as_str());
    when(known || boolean(value) == Some(false), "is not one of off, automatic, required")
}

fn synchronous_mode(value: &Value) -> Result<(), String> {
    let is_quorum = scalar_text(value).eq_ignore_ascii_case("quorum");
    when(is_quorum || boolean(value).is_some(), "is not one of off, on, quorum")
}
