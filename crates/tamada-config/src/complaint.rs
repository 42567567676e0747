//! What is wrong with a configuration, and where.
//!
//! A person corrects files, not programs, so every complaint says the place (file and line, or variable), the dotted
//! path of the setting, and what to do; and all complaints come at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a setting was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    File {
        file: Arc<PathBuf>,
        line: usize,
    },
    /// An environment variable; the line is known when it holds a document (`PATRONI_CONFIGURATION`).
    Variable {
        name: Arc<str>,
        line: Option<usize>,
    },
    /// The dynamic configuration in the store, or its cached copy.
    Dynamic,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { file, line: 0 } => write!(f, "{}", file.display()),
            Place::File { file, line } => write!(f, "{}:{line}", file.display()),
            Place::Variable { name, line: None } => write!(f, "{name}"),
            Place::Variable { name, line: Some(line) } => write!(f, "{name}:{line}"),
            Place::Dynamic => f.write_str("dynamic configuration"),
        }
    }
}

/// Dotted path → where it was written.
pub type Places = BTreeMap<String, Place>;

/// The place of the path, or of the closest section above it.
pub fn place_of<'a>(places: &'a Places, path: &str) -> Option<&'a Place> {
    let mut path = path;
    loop {
        if let Some(place) = places.get(path) {
            return Some(place);
        }
        path = path.rsplit_once('.')?.0;
    }
}

/// One thing that must be corrected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// Dotted; empty when the whole file is meant.
    pub path: String,
    pub place: Option<Place>,
    pub problem: String,
}

impl Complaint {
    /// About the dynamic configuration: the caller keeps the one in force instead of stopping.
    pub fn is_dynamic(&self) -> bool {
        match self.place {
            Some(Place::Dynamic) => true,
            Some(Place::File { .. } | Place::Variable { .. }) | None => false,
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)
    }
}

/// Why there is no local configuration at all.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", lines(.complaints))]
pub struct LoadFailure {
    pub complaints: Vec<Complaint>,
}

/// One complaint a line.
pub fn lines(complaints: &[Complaint]) -> String {
    complaints.iter().map(Complaint::to_string).collect::<Vec<_>>().join("\n")
}
