//! What the environment tells the tool: variables by name, taken once.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tamada_config::Environment;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Surroundings(BTreeMap<String, String>);

impl Surroundings {
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// Those of this process; names and values that are not text are nobody's.
    pub fn of_this_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// An empty variable counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The variables that configure a member, for the configuration to read.
    pub fn configuration(&self) -> Environment {
        Environment::new(self.0.iter().map(|(name, value)| (name.clone(), value.clone())))
    }

    /// `patronictl.yaml` in the user's configuration directory (ctl.md 1).
    pub fn default_config_file(&self) -> Option<PathBuf> {
        let home = || Some(Path::new(self.get("HOME")?).join(".config"));
        let base = self.get("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?;
        Some(base.join("patroni").join("patronictl.yaml"))
    }

    /// Where files that are soon gone belong.
    pub fn directory_for_files(&self) -> PathBuf {
        self.get("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
    }

    /// A program as the shell would find it.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        let is_program =
            |path: &PathBuf| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(is_program);
        }
        self.get("PATH")?.split(':').map(|directory| Path::new(directory).join(name)).find(is_program)
    }
}
