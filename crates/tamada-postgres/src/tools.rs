//! PostgreSQL's own programs: where they are, and what version they are (postgres.md 1.1).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tamada_model::PostgresConfig;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    Postgres,
    PgCtl,
    InitDb,
    PgControldata,
    PgBasebackup,
    PgRewind,
    PgWaldump,
}

impl Tool {
    /// Without these nothing works; pg_rewind and pg_waldump only make some things better.
    pub const NEEDED: [Tool; 5] = [Tool::Postgres, Tool::PgCtl, Tool::InitDb, Tool::PgControldata, Tool::PgBasebackup];

    pub fn name(self) -> &'static str {
        match self {
            Tool::Postgres => "postgres",
            Tool::PgCtl => "pg_ctl",
            Tool::InitDb => "initdb",
            Tool::PgControldata => "pg_controldata",
            Tool::PgBasebackup => "pg_basebackup",
            Tool::PgRewind => "pg_rewind",
            Tool::PgWaldump => "pg_waldump",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Tools {
    bin_dir: PathBuf,
    names: BTreeMap<String, String>,
}

impl Tools {
    pub fn new(config: &PostgresConfig) -> Self {
        Self { bin_dir: config.bin_dir.clone(), names: config.bin_names.clone() }
    }

    pub fn file_name(&self, tool: Tool) -> &str {
        self.names.get(tool.name()).map_or(tool.name(), String::as_str)
    }

    /// What to execute; a bare name is looked for in `PATH`.
    pub fn path(&self, tool: Tool) -> PathBuf {
        self.bin_dir.join(self.file_name(tool))
    }

    /// The directory as people should read it.
    pub fn place(&self) -> String {
        if self.bin_dir.as_os_str().is_empty() { "PATH".to_owned() } else { self.bin_dir.display().to_string() }
    }

    /// Whether the program is there and may be executed.
    pub fn has(&self, tool: Tool) -> bool {
        let path = self.path(tool);
        if path.components().count() > 1 {
            return is_executable(&path);
        }
        let directories = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&directories).any(|directory| is_executable(&directory.join(&path)))
    }
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
