//! The configuration in force: the local one as last read, the dynamic one as last accepted, and what both make
//! together (configuration.md 1, 6).

use std::path::{Path, PathBuf};

use serde_json::Value;
use tamada_config::{Checked, Complaint, Environment, LoadFailure, Local};
use tamada_core::Setup;
use tamada_model::{Document, Stamp, Stamped, document};

pub struct Configuration {
    local: Local,
    dynamic: Document,
    /// The store's `/config` that was judged last; another one is looked at anew.
    judged: Option<Stamp>,
    checked: Checked,
}

#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("{0}")]
    Unloadable(#[from] LoadFailure),
    #[error("{}", tamada_config::lines(.0))]
    Wrong(Vec<Complaint>),
}

/// What a new configuration means for those who use it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Nothing,
    Something,
}

impl Configuration {
    /// Reads the file and environment; until the store has been read, `bootstrap.dcs` or the cached dynamic
    /// configuration takes its place.
    pub fn load(path: Option<&Path>) -> Result<Self, Unusable> {
        let (environment, _) = Environment::take_from_process();
        let local = tamada_config::load(path, environment)?;
        let checked = tamada_config::check(&local, None).map_err(Unusable::Wrong)?;
        let dynamic = checked.bootstrap_dcs.clone();
        let mut configuration = Self { local, dynamic, judged: None, checked };
        if let Some(cached) = configuration.cached() {
            configuration.adopt(cached);
        }
        Ok(configuration)
    }

    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    pub fn setup(&self) -> Setup {
        Setup { me: self.checked.me.clone(), settings: self.checked.settings.clone(), dynamic: self.dynamic.clone() }
    }

    /// Takes over the store's `/config` if it is another than before.
    pub fn follow_store(&mut self, config: &Stamped<Document>) -> Change {
        if self.judged.as_ref() == Some(&config.stamp) || config.value.is_empty() {
            return Change::Nothing;
        }
        self.judged = Some(config.stamp.clone());
        if document::same(&Value::Object(self.dynamic.clone()), &Value::Object(config.value.clone())) {
            return Change::Nothing;
        }
        self.adopt(config.value.clone())
    }

    fn adopt(&mut self, dynamic: Document) -> Change {
        match tamada_config::check(&self.local, Some(&dynamic)) {
            Ok(checked) => {
                self.dynamic = dynamic;
                self.checked = checked;
                self.say_adjustments();
                Change::Something
            }
            Err(complaints) => {
                tracing::error!(
                    "Exception when setting dynamic_configuration: keeping the one in force: {}",
                    tamada_config::lines(&complaints)
                );
                Change::Nothing
            }
        }
    }

    /// Reads the files again (SIGHUP, `POST /reload`). A file that cannot be used changes nothing.
    pub fn reload(&mut self) -> Change {
        let local = match self.local.reload() {
            None => return Change::Nothing,
            Some(Ok(local)) => local,
            Some(Err(failure)) => {
                let path = self.local.path().map(Path::to_path_buf).unwrap_or_default();
                tracing::error!("Failed to reload config_file={}: {failure}", path.display());
                return Change::Nothing;
            }
        };
        if self.local.says_the_same(&local) {
            tracing::info!("No local configuration items changed.");
            return Change::Nothing;
        }
        match tamada_config::check(&local, Some(&self.dynamic)) {
            Ok(checked) => {
                self.local = local;
                self.checked = checked;
                self.say_adjustments();
                Change::Something
            }
            Err(complaints) => {
                tracing::error!("Exception when reloading local configuration: {}", tamada_config::lines(&complaints));
                Change::Nothing
            }
        }
    }

    pub fn say_adjustments(&self) {
        for line in &self.checked.adjustments {
            tracing::warn!("{line}");
        }
    }

    fn cache_file(&self) -> PathBuf {
        self.checked.postgres.data_dir.join("patroni.dynamic.json")
    }

    fn cached(&self) -> Option<Document> {
        let text = std::fs::read_to_string(self.cache_file()).ok()?;
        match serde_json::from_str(&text).ok()? {
            Value::Object(document) if !document.is_empty() => Some(document),
            Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                None
            }
        }
    }

    /// The text and place of the cache file, for writing it away from the loop.
    pub fn cache(&self) -> (PathBuf, String) {
        (self.cache_file(), Value::Object(self.dynamic.clone()).to_string())
    }
}

/// Replaces the cache file at once or not at all; only where there is a data directory.
pub fn write_cache(file: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let Some(directory) = file.parent() else {
        return Ok(());
    };
    if !directory.join("PG_VERSION").exists() {
        return Ok(());
    }
    let group_may_read = std::fs::metadata(directory)?.permissions().mode() & 0o050 == 0o050;
    let mode = if group_may_read { 0o640 } else { 0o600 };
    let fresh = file.with_extension(format!("json{}", std::process::id()));
    let mut writer = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
    std::io::Write::write_all(&mut writer, text.as_bytes())?;
    std::fs::rename(&fresh, file)
}
