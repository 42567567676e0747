//! The local configuration: files and variables folded into one document that still knows where each value came from
//! (configuration.md 1.1, 1.2).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tamada_model::{Document, document};

use crate::complaint::{Complaint, LoadFailure, Place, Places, place_of};
use crate::environment::{CONFIGURATION, Environment};
use crate::yaml;

/// What one member was told, before it is checked.
#[derive(Clone, PartialEq, Debug)]
pub struct Local {
    document: Document,
    places: Places,
    source: Source,
    environment: Environment,
    warnings: Vec<String>,
    /// A file that was asked for and is not there.
    missing: Option<PathBuf>,
}

/// Where the configuration came from. Only files can be read again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A file, or a directory of files.
    Path(PathBuf),
    /// `PATRONI_CONFIGURATION`.
    Variable,
    /// Nothing but single variables.
    Environment,
}

/// Finds the configuration: the path if it is there, else `PATRONI_CONFIGURATION`, else single variables.
/// An empty result is not a failure here; `check` complains about it.
pub fn load(path: Option<&Path>, environment: Environment) -> Result<Local, LoadFailure> {
    match path.filter(|path| !path.as_os_str().is_empty() && path.exists()) {
        Some(path) => from_path(path, environment),
        None => {
            let missing = path.filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned);
            Ok(Local { missing, ..from_variables(environment)? })
        }
    }
}

impl Local {
    pub fn document(&self) -> &Document {
        &self.document
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The file or directory, if that is where the configuration came from.
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::Path(path) => Some(path),
            Source::Variable | Source::Environment => None,
        }
    }

    /// Where a setting was written; for one inside a section, at least where the section is.
    pub fn place(&self, path: &str) -> Option<Place> {
        place_of(&self.places, path).cloned().or_else(|| self.path().map(whole_file))
    }

    /// The file that was asked for, if it is not there.
    pub fn missing(&self) -> Option<&Path> {
        self.missing.as_deref()
    }

    /// What could not be read and was left out.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Reads the files again under the variables of the start; `None` if there are no files (configuration.md 1.1).
    pub fn reload(&self) -> Option<Result<Local, LoadFailure>> {
        self.path().map(|path| from_path(path, self.environment.clone()))
    }

    /// The configuration as one YAML document, variables included, as `--validate-config --print` shows it.
    pub fn to_yaml(&self) -> String {
        let how = yaml::Dump { width: 80, ..yaml::Dump::default() };
        yaml::dump_with(&Value::Object(self.document.clone()), how)
    }

    /// Says the same, whatever the lines (configuration.md 1.4).
    pub fn says_the_same(&self, other: &Local) -> bool {
        same_documents(&self.document, &other.document)
    }
}

fn same_documents(a: &Document, b: &Document) -> bool {
    a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| document::same(value, other)))
}

fn whole_file(path: &Path) -> Place {
    Place::File { file: Arc::new(path.to_owned()), line: 0 }
}

fn from_variables(environment: Environment) -> Result<Local, LoadFailure> {
    if let Some(text) = environment.get(CONFIGURATION) {
        let place = |line| Place::Variable { name: Arc::from(CONFIGURATION), line: Some(line) };
        let read = read_document(text, &place).map_err(one)?;
        if let Some((document, places)) = read.filter(|(document, _)| !document.is_empty()) {
            return Ok(Local {
                document,
                places,
                source: Source::Variable,
                environment,
                warnings: Vec::new(),
                missing: None,
            });
        }
    }
    let settings = environment.settings();
    Ok(Local {
        document: settings.document,
        places: settings.places,
        source: Source::Environment,
        warnings: settings.warnings,
        environment,
        missing: None,
    })
}

fn one(complaint: Complaint) -> LoadFailure {
    LoadFailure { complaints: vec![complaint] }
}

fn from_path(path: &Path, environment: Environment) -> Result<Local, LoadFailure> {
    let (mut document, mut places) = (Document::new(), Places::new());
    let mut complaints = Vec::new();
    for file in files_of(path).map_err(one)? {
        match read_file(&file) {
            Ok((more, their_places)) => {
                document::patch(&mut document, &more);
                places.extend(their_places);
            }
            Err(complaint) => complaints.push(complaint),
        }
    }
    if !complaints.is_empty() {
        return Err(LoadFailure { complaints });
    }
    let settings = environment.settings();
    document::patch(&mut document, &settings.document);
    places.extend(settings.places);
    let source = Source::Path(path.to_owned());
    Ok(Local { document, places, source, environment, warnings: settings.warnings, missing: None })
}

/// The file itself, or the `.yml` and `.yaml` files of a directory in the order of their names.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, Complaint> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if !path.is_dir() {
        return Err(complaint(path, "invalid config path: neither a file nor a directory".to_owned()));
    }
    let entries = std::fs::read_dir(path).map_err(|error| complaint(path, format!("cannot be read: {error}")))?;
    let is_yaml = |path: &PathBuf| {
        let name = path.to_string_lossy();
        (name.ends_with(".yml") || name.ends_with(".yaml")) && path.is_file()
    };
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_yaml).collect();
    files.sort();
    Ok(files)
}

fn complaint(path: &Path, problem: String) -> Complaint {
    Complaint { path: String::new(), place: Some(whole_file(path)), problem }
}

fn read_file(file: &Path) -> Result<(Document, Places), Complaint> {
    let bytes = std::fs::read(file).map_err(|error| complaint(file, format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| complaint(file, "is not UTF-8 text".to_owned()))?;
    let shared = Arc::new(file.to_owned());
    let place = |line| Place::File { file: shared.clone(), line };
    read_document(&text, &place)?
        .ok_or_else(|| complaint(file, format!("invalid config file {}: it is empty", file.display())))
}

/// `None`: the text holds nothing.
fn read_document(text: &str, place: &dyn Fn(usize) -> Place) -> Result<Option<(Document, Places)>, Complaint> {
    let wrong = |line, problem: String| Complaint { path: String::new(), place: Some(place(line)), problem };
    let loaded = yaml::load(text)
        .map_err(|error| wrong(error.line, format!("not valid YAML at column {}: {}", error.column, error.problem)))?;
    match loaded.value {
        Value::Object(document) => {
            let places = loaded.lines.into_iter().map(|(path, line)| (path, place(line))).collect();
            Ok(Some((document, places)))
        }
        Value::Null => Ok(None),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(wrong(1, "invalid config file: the top level must be sections (`key: value`)".to_owned()))
        }
    }
}
