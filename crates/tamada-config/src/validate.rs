//! `--validate-config`: the local configuration against the rows, more strictly than a start would (configuration.md 8).
//!
//! A start accepts what it can make sense of; the validator wants what the documentation promises, looks at ports,
//! programs and the data directory, and prints the original's problem lines: `<dotted.path> <value> <problem>`.

use serde_json::Value;
use tamada_model::Document;
use tamada_model::document::{boolean, scalar_text};
use tamada_model::units;

use crate::address::hosts_and_port;
use crate::check::RESERVED_NAME;
use crate::local::Local;
use crate::path::{at, text};
use crate::probe::{self, ListenPorts, Programs};
use crate::python;
use crate::rows::{self, Case, Kind, Layer, Need, Range, Row, SUPPORTED_STORES};

/// All problems, one line each; empty: the configuration is good.
pub fn validate(local: &Local, ports: ListenPorts) -> Vec<String> {
    let document = local.document();
    let bin_dir = text(document, "postgresql.bin_dir");
    let programs = Programs::new(bin_dir.as_deref(), local.environment().get("PATH"));
    let mut validator = Validator { document, ports, programs, problems: Vec::new() };
    validator.section(&Walk { root: document, layer: Layer::Local, shown: "" }, "");
    validator.problems
}

struct Validator<'d> {
    document: &'d Document,
    ports: ListenPorts,
    programs: Programs,
    problems: Vec<String>,
}

/// Which rows are compared with which document, and what to put before their paths.
#[derive(Clone, Copy)]
struct Walk<'w> {
    root: &'w Document,
    layer: Layer,
    shown: &'w str,
}

impl Walk<'_> {
    fn rows_in(&self, section: &str) -> impl Iterator<Item = &'static Row> {
        let layer = self.layer;
        rows::all().filter(move |row| {
            let here = match layer {
                Layer::Local => row.is_local(),
                Layer::Dynamic | Layer::Both => row.is_dynamic(),
            };
            here && row.is_literal() && row.section() == section
        })
    }

    /// The rows of the same group that have a value.
    fn present_in_group(&self, row: &Row) -> Vec<&'static str> {
        let group = self.rows_in(row.section()).filter(|other| other.need == row.need);
        group.filter(|other| at(self.root, other.path).is_some()).map(Row::key).collect()
    }

    fn path(&self, row: &Row) -> String {
        format!("{}{}", self.shown, row.path)
    }
}

/// `Wrong value` and the like stand behind this.
fn failed(detail: impl AsRef<str>) -> String {
    format!("didn't pass validation: {}", detail.as_ref())
}

fn wrong_value() -> String {
    failed("Wrong value")
}

impl Validator<'_> {
    fn report(&mut self, path: &str, value: &str, problem: &str) {
        self.problems.push(format!("{path} {value} {problem}"));
    }

    fn section(&mut self, walk: &Walk<'_>, section: &str) {
        for row in walk.rows_in(section) {
            match (at(walk.root, row.path), row.need) {
                (None, need) => self.missing(walk, row, need),
                (Some(_), Need::AtMostOneOf(_)) if walk.present_in_group(row).len() > 1 => self.too_many(walk, row),
                (Some(value), _) => self.value(walk, row, value),
            }
        }
    }

    fn missing(&mut self, walk: &Walk<'_>, row: &Row, need: Need) {
        let is_missed = match need {
            Need::Required => walk.layer == Layer::Local,
            Need::OneOf(_) => walk.present_in_group(row).is_empty(),
            Need::Optional | Need::AtMostOneOf(_) => false,
        };
        if is_missed {
            self.report(&walk.path(row), "", "is not defined.");
        }
        if row.kind == Kind::BinDir && walk.layer == Layer::Local {
            self.binaries(&walk.path(row));
        }
    }

    /// Told once for the group, at its first row.
    fn too_many(&mut self, walk: &Walk<'_>, row: &Row) {
        let group = walk.present_in_group(row);
        if group.first() == Some(&row.key()) {
            let names: Vec<_> = group.iter().map(|name| format!("'{name}'")).collect();
            let section = format!("{}{}", walk.shown, row.section());
            self.report(&section, "", &format!("Multiple of ({}) provided", names.join(", ")));
        }
    }

    fn value(&mut self, walk: &Walk<'_>, row: &Row, value: &Value) {
        let path = walk.path(row);
        match row.kind {
            Kind::Section | Kind::Map if value.is_object() => self.inside(walk, row, &path),
            Kind::BinDir => self.bin_dir(walk, &path, value),
            Kind::Texts | Kind::Names => self.texts(&path, row.kind, value),
            Kind::Options => self.options(&path, value),
            Kind::Peers { .. } => self.peers(&path, value),
            _ if row.path == "name" && value == RESERVED_NAME => {
                let problem = failed(format!("Node 'name' can't be set to '{RESERVED_NAME}'"));
                self.report(&path, RESERVED_NAME, &problem);
            }
            _ if walk.layer == Layer::Dynamic && row.kind == Kind::Binary => {}
            kind => {
                if let Err(problem) = self.single(kind, value) {
                    self.report(&path, &shown(row, value), &problem);
                }
            }
        }
    }

    fn inside(&mut self, walk: &Walk<'_>, row: &Row, path: &str) {
        if row.path == "bootstrap.dcs" {
            let Some(Value::Object(dcs)) = at(walk.root, row.path) else { return };
            return self.section(&Walk { root: dcs, layer: Layer::Dynamic, shown: "bootstrap.dcs." }, "");
        }
        if row.need == Need::OneOf("store") && !SUPPORTED_STORES.contains(&row.path) {
            let problem = format!("is not supported yet, use {}", SUPPORTED_STORES.join(" or "));
            return self.report(path, "", &problem);
        }
        self.section(walk, row.path);
    }

    fn single(&self, kind: Kind, value: &Value) -> Result<(), String> {
        let check = |holds: bool, problem: &str| if holds { Ok(()) } else { Err(problem.to_owned()) };
        match kind {
            Kind::Section | Kind::Map => check(value.is_object(), "is not a dictionary"),
            Kind::Text | Kind::Secret => check(value.is_string(), "is not a string"),
            Kind::Bool | Kind::TagBool => check(value.is_boolean(), "is not a boolean"),
            Kind::Integer(range) => integer(range, value),
            Kind::TagPriority => integer(Range::from(0).typed(), value),
            Kind::Real { .. } => crate::accept::acceptable(kind, value).map_err(|_| wrong_value()),
            Kind::Seconds(beat) => seconds(beat.least(rows::chosen_store(self.document)), value),
            Kind::Choice(choices, case) => check(is_chosen(choices, case, value), &wrong_value()),
            Kind::Maps => check(value.is_array(), "is not a list"),
            Kind::Listen { many } => self.listen(many, value),
            Kind::ConnectAddress { .. } => connect_address(value),
            Kind::Peer => reachable(value),
            Kind::DataDir => self.data_dir(value),
            Kind::Binary => self.binary(value),
            Kind::LogFormat => log_format(value),
            Kind::WatchdogMode => watchdog_mode(value),
            Kind::SynchronousMode => synchronous_mode(value),
            Kind::Scalar
            | Kind::Truth
            | Kind::Anything
            | Kind::Texts
            | Kind::Names
            | Kind::Options
            | Kind::Peers { .. }
            | Kind::BinDir => Ok(()),
        }
    }

    fn listen(&self, many: bool, value: &Value) -> Result<(), String> {
        let address = value.as_str().ok_or("is not a string")?;
        probe::listen(address, many, self.ports).map_err(failed)
    }

    fn data_dir(&self, value: &Value) -> Result<(), String> {
        let directory = value.as_str().ok_or("is not a string")?;
        let installed = || probe::postgres_version(&self.programs.find(&self.program("postgres"))?);
        probe::data_dir(directory, installed).map_err(failed)
    }

    /// The name of a program after `bin_name`.
    fn program(&self, name: &str) -> String {
        text(self.document, &format!("postgresql.bin_name.{name}")).unwrap_or_else(|| name.to_owned())
    }

    fn binary(&self, value: &Value) -> Result<(), String> {
        match value.as_str().ok_or("is not a string")? {
            "" => Err(failed("is an empty string")),
            name if self.programs.find(name).is_none() => Err(failed(self.lacks(name))),
            _ => Ok(()),
        }
    }

    fn lacks(&self, program: &str) -> String {
        format!("does not contain '{program}' in '{}'", self.programs.place)
    }

    fn bin_dir(&mut self, walk: &Walk<'_>, path: &str, value: &Value) {
        match value.as_str() {
            Some(_) if walk.layer != Layer::Local => {}
            Some("") => self.binaries(path),
            Some(directory) => match probe::bin_dir(directory) {
                Ok(()) => self.binaries(path),
                Err(problem) => self.report(path, "", &problem),
            },
            None => self.report(path, &python::text(value), "is not a string"),
        }
    }

    fn binaries(&mut self, path: &str) {
        for name in ["pg_ctl", "initdb", "pg_controldata", "pg_basebackup", "postgres", "pg_isready"] {
            let program = self.program(name);
            if self.programs.find(&program).is_none() {
                self.report(path, "", &self.lacks(&program));
            }
        }
    }

    fn texts(&mut self, path: &str, kind: Kind, value: &Value) {
        match value {
            Value::String(_) if kind == Kind::Names => {}
            Value::Array(items) if items.is_empty() && kind == Kind::Texts => {
                self.report(path, "[]", "is an empty list")
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate().filter(|(_, item)| !item.is_string()) {
                    self.report(&format!("{path}.{index}"), &python::text(item), "is not a string");
                }
            }
            value => self.report(path, &python::text(value), "is not a list"),
        }
    }

    /// Texts and mappings; neither: both alternatives are named.
    fn options(&mut self, path: &str, value: &Value) {
        match value {
            Value::Object(_) => {}
            Value::Array(items) if items.is_empty() => self.report(path, "[]", "is an empty list"),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate().filter(|(_, item)| !item.is_string() && !item.is_object())
                {
                    self.report(&format!("{path}.{index}"), &python::text(item), "is not a string");
                    self.report(&format!("{path}.{index}"), &python::text(item), "is not a dictionary");
                }
            }
            value => self.report(path, &python::text(value), "is not a list"),
        }
    }

    fn peers(&mut self, path: &str, value: &Value) {
        match value {
            Value::String(hosts) => {
                let unreachable = hosts.split(',').find_map(|host| probe::reachable(host.trim()).err());
                if let Some(problem) = unreachable {
                    self.report(path, hosts, &failed(problem));
                }
            }
            Value::Array(items) if items.is_empty() => self.report(path, "[]", "is an empty list"),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Err(problem) = reachable(item) {
                        self.report(&format!("{path}.{index}"), &python::text(item), &problem);
                    }
                }
            }
            value => {
                self.report(path, &python::text(value), "is not a string");
                self.report(path, &python::text(value), "is not a list");
            }
        }
    }
}

/// The value for a problem line; hidden where it is a secret, or stands where secrets belong.
fn shown(row: &Row, value: &Value) -> String {
    let misplaced = row.path.contains("authentication") && (value.is_string() || value.is_array());
    let is_secret = row.kind == Kind::Secret || (row.kind == Kind::Section && misplaced);
    if is_secret { "…".to_owned() } else { python::text(value) }
}

fn reachable(value: &Value) -> Result<(), String> {
    let address = value.as_str().ok_or_else(|| failed("contains a wrong value"))?;
    probe::reachable(address).map_err(failed)
}

fn integer(range: Range, value: &Value) -> Result<(), String> {
    if range.typed && !value.is_i64() && !value.is_u64() {
        return Err("is not an integer".to_owned());
    }
    let number = units::integer(&scalar_text(value), range.unit);
    let holds = number.is_some_and(|n| n >= range.least && n <= range.most && n % range.multiple_of == 0);
    if holds { Ok(()) } else { Err(wrong_value()) }
}

fn seconds(least: f64, value: &Value) -> Result<(), String> {
    let number = scalar_text(value).trim().parse::<f64>();
    if number.is_ok_and(|number| number >= least) { Ok(()) } else { Err(wrong_value()) }
}

fn is_chosen(choices: &[&str], case: Case, value: &Value) -> bool {
    value.as_str().is_some_and(|text| match case {
        Case::Exact => choices.contains(&text),
        Case::Any => choices.iter().any(|choice| choice.eq_ignore_ascii_case(text)),
    })
}

fn connect_address(value: &Value) -> Result<(), String> {
    let address = value.as_str().ok_or("is not a string")?;
    let (host, _) = hosts_and_port(address, Some(1)).ok_or_else(|| failed("contains a wrong value"))?;
    if ["127.0.0.1", "0.0.0.0", "*", "::1", "localhost"].contains(&host.as_str()) {
        return Err(failed("must not contain \"127.0.0.1\", \"0.0.0.0\", \"*\", \"::1\", \"localhost\""));
    }
    Ok(())
}

fn log_format(value: &Value) -> Result<(), String> {
    let is_field = |item: &Value| match item {
        Value::String(_) => true,
        Value::Object(renamed) => renamed.len() == 1 && renamed.values().all(Value::is_string),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    };
    match value {
        Value::String(_) => Ok(()),
        Value::Array(items) if items.is_empty() => Err(failed("should contain at least one item")),
        Value::Array(items) if items.iter().all(is_field) => Ok(()),
        Value::Array(_) => Err(failed("each item should be a string or a dictionary with string values")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(failed("Should be a string or a list"))
        }
    }
}

fn watchdog_mode(value: &Value) -> Result<(), String> {
    match value {
        Value::Bool(false) => Ok(()),
        Value::String(mode) if ["off", "automatic", "required"].contains(&mode.as_str()) => Ok(()),
        Value::Bool(true) | Value::String(_) => Err(wrong_value()),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(failed("expected type is not a string"))
        }
    }
}

fn synchronous_mode(value: &Value) -> Result<(), String> {
    let is_quorum = value.as_str().is_some_and(|mode| mode.eq_ignore_ascii_case("quorum"));
    if is_quorum || boolean(value).is_some() { Ok(()) } else { Err(failed("invalid value for synchronous_mode")) }
}
