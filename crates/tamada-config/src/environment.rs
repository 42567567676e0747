//! Settings from environment variables (configuration.md 7).
//!
//! They are read once, at the start. Recognised ones are to be taken out of the process environment afterwards, so
//! that no child ever sees a password that was meant for us.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use tamada_model::document::boolean;
use tamada_model::{Document, units};

use crate::complaint::{Place, Places};
use crate::path;
use crate::probe;
use crate::rows::{self, Env, Kind, Row};
use crate::yaml;

/// The whole configuration as one document; then nothing else is read.
pub const CONFIGURATION: &str = "PATRONI_CONFIGURATION";

const PREFIX: &str = "PATRONI_";

/// Former names, used where the new name is not set.
const FORMER: [(&str, &str); 3] = [
    ("PATRONI_LOGLEVEL", "PATRONI_LOG_LEVEL"),
    ("PATRONI_LOGFORMAT", "PATRONI_LOG_FORMAT"),
    ("PATRONI_LOG_DATEFMT", "PATRONI_LOG_DATEFORMAT"),
];

/// Suffixes that are understood after any section's name.
const SWEPT: &[(Form, &[&str])] = &[
    (Form::Integer, &["PORT"]),
    (Form::List, &["HOSTS", "PORTS", "CHECKS", "SERVICE_TAGS", "RETRIABLE_HTTP_CODES"]),
    (Form::Map, &["LABELS", "SET_ACLS", "AUTH_DATA", "BOOTSTRAP_LABELS"]),
    (Form::Bool, &["USE_PROXIES", "REGISTER_SERVICE", "USE_ENDPOINTS", "BYPASS_API_SERVICE", "VERIFY"]),
    (
        Form::Text,
        &[
            "HOST",
            "PROTOCOL",
            "SRV",
            "SRV_SUFFIX",
            "URL",
            "PROXY",
            "CACERT",
            "CERT",
            "KEY",
            "TOKEN",
            "DC",
            "CONSISTENCY",
            "SERVICE_CHECK_INTERVAL",
            "SERVICE_CHECK_TLS_SERVER_NAME",
            "NAMESPACE",
            "CONTEXT",
            "SCOPE_LABEL",
            "ROLE_LABEL",
            "POD_IP",
            "KEY_PASSWORD",
            "USE_SSL",
            "GROUP",
            "DATABASE",
            "LEADER_LABEL_VALUE",
            "FOLLOWER_LABEL_VALUE",
            "STANDBY_LEADER_LABEL_VALUE",
            "TMP_ROLE_LABEL",
        ],
    ),
];

/// Variables of a process, or of a test.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

/// What the variables say, in the shape of a configuration file.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Settings {
    pub document: Document,
    pub places: Places,
    /// Values that could not be read and are left out.
    pub warnings: Vec<String>,
}

impl Environment {
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { variables: variables.into_iter().collect() }
    }

    /// Our part of the process environment, and the names to remove from it before anything is started.
    pub fn take_from_process() -> (Self, Vec<String>) {
        let ours = |name: &str| name.starts_with(PREFIX) || name == "HOME" || name == "PATH";
        let readable =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut environment = Self::new(readable.filter(|(name, _)| ours(name)));
        if environment.get("HOME").is_none() {
            environment.variables.extend(probe::home().map(|home| ("HOME".to_owned(), home)));
        }
        let names = environment.recognised();
        (environment, names)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Variables that are ours to read.
    pub fn recognised(&self) -> Vec<String> {
        let known: BTreeSet<&str> = rows::all().filter_map(|row| row.env.name()).collect();
        let is_ours = |name: &str| {
            name == CONFIGURATION
                || known.contains(name)
                || FORMER.iter().any(|(former, _)| *former == name)
                || swept(name).is_some()
        };
        self.variables.keys().filter(|name| is_ours(name)).cloned().collect()
    }

    pub fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        for row in rows::all() {
            if let Env::Own(name) = row.env {
                self.put(&mut settings, name, row.path, Form::of(row));
            }
        }
        for name in self.variables.keys() {
            if let Some((section, suffix, form)) = swept(name)
                && section != "CITUS"
            {
                self.put(&mut settings, name, &format!("{}.{}", section.to_lowercase(), suffix.to_lowercase()), form);
            }
        }
        for row in rows::all() {
            if let Env::IfSection(name) = row.env
                && settings.document.contains_key(row.section())
            {
                self.put(&mut settings, name, row.path, Form::of(row));
            }
        }
        settings
    }

    fn put(&self, settings: &mut Settings, name: &str, path: &str, form: Form) {
        let Some((name, text)) = self.value_of(name) else { return };
        match form.read(text) {
            Some(value) => {
                let (section, key) = path.rsplit_once('.').map_or((None, path), |(section, key)| (Some(section), key));
                let target = match section {
                    Some(section) => path::section_mut(&mut settings.document, section),
                    None => &mut settings.document,
                };
                target.insert(key.to_owned(), value);
                settings.places.insert(path.to_owned(), Place::Variable { name: Arc::from(name), line: None });
            }
            None => settings.warnings.push(format!("{name} is not {}, ignored", form.noun())),
        }
    }

    /// The value of the variable, or of its former name; an empty one counts as unset.
    fn value_of<'a>(&'a self, name: &'a str) -> Option<(&'a str, &'a str)> {
        let set = |name: &'a str| self.get(name).filter(|text| !text.is_empty()).map(|text| (name, text));
        set(name).or_else(|| {
            let (former, _) = FORMER.iter().find(|(_, new)| *new == name)?;
            set(former)
        })
    }
}

/// Section, suffix and form of a variable such as `PATRONI_ETCD3_HOST`, unless a row of its own reads it.
fn swept(name: &str) -> Option<(&str, &str, Form)> {
    let (section, suffix) = name.strip_prefix(PREFIX)?.split_once('_')?;
    let (form, _) = SWEPT.iter().find(|(_, suffixes)| suffixes.contains(&suffix))?;
    (!section.is_empty() && !has_row_of_its_own(name)).then_some((section, suffix, *form))
}

fn has_row_of_its_own(name: &str) -> bool {
    rows::all().any(|row| match row.env {
        Env::Own(own) => own == name,
        Env::None | Env::IfSection(_) | Env::Swept(_) => false,
    })
}

/// How the text of a variable is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Text,
    Integer,
    Real,
    Bool,
    List,
    Map,
    /// Text if it has a placeholder `%(word)`, else a list.
    LogFormat,
}

impl Form {
    fn of(row: &Row) -> Self {
        match row.kind {
            Kind::Integer(_) | Kind::TagPriority => Form::Integer,
            Kind::Real { .. } | Kind::Seconds(_) => Form::Real,
            Kind::Bool | Kind::Truth | Kind::TagBool => Form::Bool,
            Kind::Texts | Kind::Names | Kind::Options | Kind::Maps | Kind::Peers { .. } => Form::List,
            Kind::Map | Kind::Section => Form::Map,
            Kind::LogFormat => Form::LogFormat,
            Kind::Text
            | Kind::Secret
            | Kind::Scalar
            | Kind::Choice(..)
            | Kind::Listen { .. }
            | Kind::ConnectAddress { .. }
            | Kind::Peer
            | Kind::DataDir
            | Kind::BinDir
            | Kind::Binary
            | Kind::WatchdogMode
            | Kind::SynchronousMode
            | Kind::Anything => Form::Text,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Form::Text => "a text",
            Form::Integer => "an integer",
            Form::Real => "a number",
            Form::Bool => "a boolean",
            Form::List => "a list",
            Form::Map => "a mapping",
            Form::LogFormat => "a log format",
        }
    }

    fn read(self, text: &str) -> Option<Value> {
        match self {
            Form::Text => Some(Value::from(text)),
            Form::Integer => units::integer(text, None).map(Value::from),
            Form::Real => units::real(text, None).map(Value::from),
            Form::Bool => boolean(&Value::from(text)).map(Value::from),
            Form::List => list(text),
            Form::Map => map(text),
            Form::LogFormat if has_placeholder(text) => Some(Value::from(text)),
            Form::LogFormat => list(text),
        }
    }
}

fn list(text: &str) -> Option<Value> {
    let bare = !text.trim().starts_with('-') && !text.contains('[');
    let text = if bare { format!("[{text}]") } else { text.to_owned() };
    yaml::parse(&text).ok().filter(Value::is_array)
}

fn map(text: &str) -> Option<Value> {
    let text = if text.trim().starts_with('{') { text.to_owned() } else { format!("{{{text}}}") };
    yaml::parse(&text).ok().filter(Value::is_object)
}

/// `%(word)` occurs.
fn has_placeholder(text: &str) -> bool {
    text.split("%(").skip(1).any(|tail| {
        let word = tail.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(tail.len());
        word > 0 && tail[word..].starts_with(')')
    })
}
