//! The running postmaster, and how it is told from others.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tamada_model::Wall;

use super::pid_file::PidFile;
use super::table;
use super::watched::Watched;

#[derive(Debug)]
pub(crate) struct Postmaster {
    pub pid: i32,
    pub started: Wall,
    pub port: Option<u16>,
    process: Watched,
}

impl Postmaster {
    /// `None` when no such process lives.
    pub fn watch(pid: i32, started: Wall, port: Option<u16>) -> Option<Self> {
        Watched::begin(pid).map(|process| Self { pid, started, port, process })
    }

    pub fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    /// Resolves when the process has ended.
    pub async fn exited(&self) {
        self.process.exited().await;
    }

    /// Whether it ended within the time.
    pub async fn exited_within(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.exited()).await.is_ok()
    }

    /// As [`Watched::signal`].
    pub fn signal(&self, signal: Signal) -> std::io::Result<()> {
        self.process.signal(signal)
    }
}

/// Whether the process that `file` names is the postmaster of `data_dir` (postgres.md 7.2).
pub(crate) fn is_postmaster(file: &PidFile, data_dir: &Path, program_name: &str) -> bool {
    let me = std::process::id() as i32;
    let Some(stat) = table::stat(file.pid).filter(|stat| !stat.zombie) else { return false };
    let related = file.pid == me || stat.parent == me || table::stat(me).is_some_and(|own| own.parent == file.pid);
    if related {
        return false;
    }
    // The file was written within moments of the creation of the process that it names.
    if table::created_at(&stat).is_some_and(|created| (created - file.started.seconds()).abs() < 3) {
        return true;
    }
    let name = table::executable(file.pid).and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    if !name.is_some_and(|name| name == program_name || name == "postgres" || name == "postmaster") {
        return false;
    }
    match table::working_directory(file.pid) {
        Some(directory) => std::fs::canonicalize(data_dir).is_ok_and(|data_dir| data_dir == directory),
        None => {
            tracing::warn!("Process {} looks like a postmaster, but its working directory cannot be read", file.pid);
            true
        }
    }
}
