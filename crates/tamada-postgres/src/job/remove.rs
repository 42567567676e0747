//! Moving a data directory aside, or removing it (postgres.md 1.8).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tamada_model::{CheckpointFirst, JobEnd, PostgresConfig, Role, State, Stop, StopMode};

use super::stop::Tell;
use super::{JobHand, Outcome};
use crate::markers::Underway;
use crate::{PgError, Postgres};

impl Postgres {
    /// ha-loop.md 7.9a: what a failed bootstrap left is kept for whoever wants to know why.
    pub(super) async fn abandon_bootstrap(&self, hand: &JobHand) -> Outcome {
        self.stop(&immediately(None), Tell::No, hand).await?;
        self.files(|config| {
            move_aside(config).or_else(|error| {
                tracing::error!("{}", error.in_words());
                clear(&config.data_dir)
            })
        })
        .await?;
        self.data_is_gone().await?;
        let mut memory = self.memory();
        memory.bootstrapping = false;
        memory.custom_bootstrap = None;
        drop(memory);
        Ok(JobEnd::Done)
    }

    pub(super) async fn remove_data(&self, hand: &JobHand) -> Outcome {
        self.stop(&immediately(Some(self.config().retry_timeout)), Tell::No, hand).await?;
        self.remove_data_dir().await?;
        self.enter(State::Stopped, hand);
        Ok(JobEnd::Done)
    }

    pub(super) async fn remove_data_dir(&self) -> Result<(), PgError> {
        self.set_role(Role::Uninitialized);
        self.files(|config| {
            tracing::info!("Removing data directory: {}", config.data_dir.display());
            remove(&config.data_dir).or_else(|error| {
                tracing::error!("{}", error.in_words());
                move_aside(config)
            })
        })
        .await?;
        self.data_is_gone().await
    }

    async fn data_is_gone(&self) -> Result<(), PgError> {
        self.forget_data();
        self.set_role(Role::Uninitialized);
        let notes = self.0.notes.clone();
        self.files(move |_| {
            notes.erase(Underway::Copy);
            notes.erase(Underway::Rewind);
            notes.erase(Underway::RewindSource);
            Ok(())
        })
        .await
    }
}

pub(super) fn immediately(timeout: Option<Duration>) -> Stop {
    Stop {
        mode: StopMode::Immediate,
        checkpoint: CheckpointFirst::No,
        timeout,
        report_shutdown: false,
        purpose: "stop".to_owned(),
    }
}

/// Places outside the directory that belong to it: where `pg_wal` and the tablespaces point to, with their links.
fn outlying(data_dir: &Path) -> Vec<Outlying> {
    let tablespaces = fs::read_dir(data_dir.join("pg_tblspc")).into_iter().flatten().flatten();
    let links = tablespaces.map(|entry| (entry.path(), "tablespace")).chain([(data_dir.join("pg_wal"), "WAL")]);
    links
        .filter_map(|(link, what)| {
            let target = fs::read_link(&link).ok()?;
            Some(Outlying { target: link.parent()?.join(target), link, what })
        })
        .collect()
}

struct Outlying {
    link: PathBuf,
    target: PathBuf,
    what: &'static str,
}

fn remove(data_dir: &Path) -> Result<(), PgError> {
    let about = match fs::symlink_metadata(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        about => about.map_err(PgError::file("looking at", data_dir))?,
    };
    if about.is_symlink() {
        return fs::remove_file(data_dir).map_err(PgError::file("removing", data_dir));
    }
    clear(data_dir)?;
    match fs::remove_dir(data_dir) {
        // A mount point, or a parent that is not ours: an empty directory is as good.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes everything that belongs to the directory, and leaves the directory.
pub(super) fn clear(data_dir: &Path) -> Result<(), PgError> {
    for place in outlying(data_dir) {
        tracing::info!("Removing {} directory: {}", place.what, place.target.display());
        // What cannot be removed there does not keep the directory itself.
        let _ = fs::remove_dir_all(&place.target);
    }
    empty(data_dir)
}

/// Removes what is inside, so that nothing half removed looks like a database: pg_control goes first.
fn empty(data_dir: &Path) -> Result<(), PgError> {
    crate::configure::files::remove(&data_dir.join("global/pg_control")).or_else(|error| match &error {
        PgError::File { source, .. } if source.kind() == io::ErrorKind::NotADirectory => Ok(()),
        _ => Err(error),
    })?;
    let entries = match fs::read_dir(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(PgError::file("reading", data_dir))?,
    };
    for entry in entries {
        let path = entry.map_err(PgError::file("reading", data_dir))?.path();
        if path.ends_with("lost+found") {
            continue;
        }
        let is_dir = fs::symlink_metadata(&path).is_ok_and(|about| about.is_dir());
        let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(PgError::file("removing", &path))?;
    }
    Ok(())
}

fn move_aside(config: &PostgresConfig) -> Result<(), PgError> {
    let data_dir = &config.data_dir;
    if !data_dir.exists() {
        return Ok(());
    }
    for place in outlying(data_dir) {
        let new = failed(&place.target);
        tracing::info!("renaming {} directory and updating symlink: {}", place.what, place.target.display());
        replace(&place.target, &new)?;
        fs::remove_file(&place.link).map_err(PgError::file("removing", &place.link))?;
        std::os::unix::fs::symlink(&new, &place.link).map_err(PgError::file("linking", &place.link))?;
    }
    let new = failed(data_dir);
    tracing::info!("renaming data directory to {}", new.display());
    replace(data_dir, &new)
}

fn failed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".failed");
    PathBuf::from(name)
}

fn replace(old: &Path, new: &Path) -> Result<(), PgError> {
    if new.exists() {
        fs::remove_dir_all(new).map_err(PgError::file("removing", new))?;
    }
    fs::rename(old, new).map_err(PgError::file("renaming", old))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("tamada-remove-{name}-{}", std::process::id()));
        fs::create_dir_all(dir.join("data/global")).unwrap();
        fs::create_dir_all(dir.join("wal")).unwrap();
        fs::write(dir.join("data/global/pg_control"), "x").unwrap();
        std::os::unix::fs::symlink(dir.join("wal"), dir.join("data/pg_wal")).unwrap();
        dir
    }

    #[test]
    fn removing_takes_the_wal_along() {
        let dir = scratch("rm");
        remove(&dir.join("data")).unwrap();
        assert!(!dir.join("data").exists() && !dir.join("wal").exists());
        remove(&dir.join("data")).unwrap();
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn moving_aside_keeps_everything_together() {
        let dir = scratch("mv");
        let mut config = config();
        config.data_dir = dir.join("data");
        for _ in 0..2 {
            move_aside(&config).unwrap();
            assert_eq!(fs::read_link(dir.join("data.failed/pg_wal")).unwrap(), dir.join("wal.failed"));
            assert!(!config.data_dir.exists());
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
