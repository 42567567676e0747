//! The data directory seen from outside: empty, present, half made.

use std::fs;
use std::io;
use std::path::Path;

use tamada_model::PgMajor;

use crate::markers::{self, Underway};
use crate::process::pid_file::{self, PidFile};

/// What a reading of the files showed; made on a blocking thread.
#[derive(Debug)]
pub(crate) enum Files {
    /// Nothing, or only what a copy that was cut short left behind.
    Empty,
    Unreadable(String),
    Present(Box<Seen>),
}

#[derive(Debug)]
pub(crate) struct Seen {
    pub major: Option<PgMajor>,
    pub backup_label: bool,
    pub recovery_configured: bool,
    pub unfinished_rewind: bool,
    pub pid_file: Option<PidFile>,
}

pub(crate) fn look(data_dir: &Path, notes: &markers::Places) -> Files {
    match is_empty(data_dir) {
        Err(error) => Files::Unreadable(error.to_string()),
        Ok(true) => Files::Empty,
        Ok(false) if notes.leftover(data_dir) => Files::Empty,
        Ok(false) => Files::Present(Box::new(Seen {
            major: major(data_dir),
            backup_label: data_dir.join("backup_label").exists(),
            recovery_configured: recovery_configured(data_dir),
            unfinished_rewind: notes.find(Underway::Rewind).is_some(),
            pid_file: pid_file::read(data_dir),
        })),
    }
}

/// ha-loop.md 6.1: dot-files and `lost+found` are nothing, pg_control is always something.
pub(crate) fn is_empty(data_dir: &Path) -> io::Result<bool> {
    if data_dir.join("global/pg_control").try_exists()? {
        return Ok(false);
    }
    let entries = match fs::read_dir(data_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        if name != "lost+found" && !name.to_string_lossy().starts_with('.') {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(crate) fn major(data_dir: &Path) -> Option<PgMajor> {
    PgMajor::parse(&fs::read_to_string(data_dir.join("PG_VERSION")).ok()?)
}

pub(crate) fn recovery_configured(data_dir: &Path) -> bool {
    ["standby.signal", "recovery.signal", "recovery.conf"].iter().any(|name| data_dir.join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_files_and_lost_and_found_are_nothing() {
        let dir = std::env::temp_dir().join(format!("tamada-dir-{}", std::process::id()));
        assert!(is_empty(&dir).unwrap());
        fs::create_dir_all(dir.join("lost+found")).unwrap();
        fs::write(dir.join(".hidden"), "").unwrap();
        assert!(is_empty(&dir).unwrap());
        fs::write(dir.join("PG_VERSION"), "15\n").unwrap();
        assert!(!is_empty(&dir).unwrap());
        assert_eq!(major(&dir), Some(PgMajor::of(15)));
        assert!(!recovery_configured(&dir));
        fs::remove_dir_all(dir).unwrap();
    }
}
