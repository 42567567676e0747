//! A configuration in a temporary directory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tamada_config::{Checked, Complaint, Environment, Local, check, lines, load};
use tamada_model::Document;

/// A directory that goes away with the test.
pub struct Scene(PathBuf);

impl Scene {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("tamada-config-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("the temporary directory is writable");
        Self(directory)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("the temporary directory is writable");
        path
    }

    /// Loads the text as the only file, without variables.
    pub fn load(&self, text: &str) -> Local {
        let path = self.file("patroni.yml", text);
        load(Some(&path), Environment::default()).expect("valid YAML")
    }

    /// The text with the temporary directory as `…`, so that tests can compare it.
    pub fn told(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn variables(pairs: &[(&str, &str)]) -> Environment {
    Environment::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// The least that a member needs; tests add sections below.
pub const LEAST: &str = "\
name: a
scope: batman
etcd3: {hosts: 'e1:2379,e2:2379'}
restapi: {listen: '0.0.0.0:8008', connect_address: '10.0.0.1:8008'}
";

/// `LEAST` with a `postgresql` section of these lines besides the required ones.
pub fn with_postgresql(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "{LEAST}postgresql:\n  listen: 0.0.0.0:5432\n  connect_address: 10.0.0.1:5432\n  data_dir: /data\n  \
         pgpass: /tmp/pgpass\n  authentication: {{replication: {{username: r}}, superuser: {{username: s}}}}\n{lines}"
    )
}

/// The least configuration with more sections.
pub fn with(sections: &str) -> String {
    with_postgresql("") + sections
}

pub fn document(yaml: &str) -> Document {
    match tamada_config::yaml::parse(yaml).expect("valid YAML") {
        Value::Object(document) => document,
        other => panic!("not a mapping: {other}"),
    }
}

/// Checks a file that nobody complains about.
pub fn checked(text: &str) -> Checked {
    checked_with(text, None)
}

/// The same with a dynamic configuration.
pub fn checked_with(text: &str, dynamic: Option<&str>) -> Checked {
    let dynamic = dynamic.map(document);
    check(&Scene::new().load(text), dynamic.as_ref()).unwrap_or_else(|complaints| panic!("{}", lines(&complaints)))
}

pub fn dynamic(yaml: &str) -> Checked {
    checked_with(&with(""), Some(yaml))
}

/// Complaints about a file, one line each, the file named `patroni.yml`.
pub fn complaints(text: &str, dynamic: Option<&str>) -> Vec<String> {
    let scene = Scene::new();
    let complaints = check(&scene.load(text), dynamic.map(document).as_ref()).expect_err("somebody complains");
    complaints.iter().map(Complaint::to_string).map(|line| scene.told(&line)).collect()
}
