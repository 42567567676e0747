//! Where lines go: standard error, or `patroni.log` in `log.dir`, which is put aside when it has grown: `patroni.log.1`
//! is the youngest of the old ones, and as many as configured are kept.
//!
//! A line that the file does not take goes to standard error: on a full disk the log is wanted most.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tamada_model::LogConfig;

use super::LogError;

const FILE_NAME: &str = "patroni.log";

/// Where lines are to go.
pub enum Target {
    StandardError,
    File(FileTarget),
}

pub struct FileTarget {
    path: PathBuf,
    mode: Option<u32>,
    /// Nothing is put aside if either is 0.
    size_max: u64,
    kept: u32,
}

impl Target {
    pub fn of(config: &LogConfig) -> Self {
        match &config.dir {
            None => Self::StandardError,
            Some(dir) => Self::File(FileTarget {
                path: dir.join(FILE_NAME),
                mode: config.mode,
                size_max: config.file_size,
                kept: config.file_num,
            }),
        }
    }
}

/// Where lines do go.
pub enum Destination {
    StandardError,
    File(LogFile),
}

impl Destination {
    pub fn open(target: Target) -> Result<Self, LogError> {
        match target {
            Target::StandardError => Ok(Self::StandardError),
            Target::File(target) => match LogFile::open(&target) {
                Ok((file, size)) => Ok(Self::File(LogFile { target, file, size })),
                Err(source) => Err(LogError::File { path: target.path, source }),
            },
        }
    }

    /// In one piece, so that lines of several processes do not mix.
    pub fn write(&mut self, line: &str) {
        let written = match self {
            Self::StandardError => Err(()),
            Self::File(file) => file.write(line).map_err(drop),
        };
        if written.is_err() {
            // If nobody takes it there, nobody is left to tell.
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

pub struct LogFile {
    target: FileTarget,
    file: File,
    size: u64,
}

impl LogFile {
    fn open(target: &FileTarget) -> io::Result<(File, u64)> {
        let file = OpenOptions::new().append(true).create(true).open(&target.path)?;
        if let Some(mode) = target.mode {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.is_full_with(line) {
            // A directory that does not let us: the file goes on growing.
            let _ = self.rotate();
        }
        self.file.write_all(line.as_bytes())?;
        self.size += line.len() as u64;
        Ok(())
    }

    /// An empty file takes a line of any length.
    fn is_full_with(&self, line: &str) -> bool {
        let FileTarget { size_max, kept, .. } = self.target;
        size_max > 0 && kept > 0 && self.size > 0 && self.size + line.len() as u64 >= size_max
    }

    /// If an earlier attempt came to nothing after the file had been moved, only the new one is missing.
    fn rotate(&mut self) -> io::Result<()> {
        let path = &self.target.path;
        if path.exists() {
            for number in (1..self.target.kept).rev() {
                move_if_there(&numbered(path, number), &numbered(path, number + 1))?;
            }
            std::fs::rename(path, numbered(path, 1))?;
        }
        (self.file, self.size) = Self::open(&self.target)?;
        Ok(())
    }
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::Folder;

    fn open(folder: &Folder, file_size: u64, file_num: u32, mode: Option<u32>) -> Destination {
        let dir = Some(folder.path().to_owned());
        let config = LogConfig { dir, file_size, file_num, mode, ..LogConfig::default() };
        Destination::open(Target::of(&config)).expect("the folder is ours")
    }

    #[test]
    fn a_full_file_is_put_aside() {
        let folder = Folder::new("rotate");
        let mut log = open(&folder, 10, 2, None);
        for line in ["one\n", "two\n", "three\n", "four\n", "longer than a whole file\n", "six\n"] {
            log.write(line);
        }
        assert_eq!(folder.names(), ["patroni.log", "patroni.log.1", "patroni.log.2"]);
        assert_eq!(folder.read("patroni.log"), "six\n");
        assert_eq!(folder.read("patroni.log.1"), "longer than a whole file\n");
        assert_eq!(folder.read("patroni.log.2"), "four\n");
    }

    #[test]
    fn an_earlier_process_has_filled_some_of_it() {
        let folder = Folder::new("append");
        open(&folder, 10, 1, None).write("one\n");
        open(&folder, 10, 1, None).write("two\n");
        assert_eq!(folder.read("patroni.log"), "one\ntwo\n");
        open(&folder, 10, 1, None).write("three\n");
        assert_eq!(folder.read("patroni.log"), "three\n");
        assert_eq!(folder.names(), ["patroni.log", "patroni.log.1"]);
    }

    #[test]
    fn without_size_or_number_it_grows() {
        for (size, number) in [(0, 4), (1, 0)] {
            let folder = Folder::new("grow");
            let mut log = open(&folder, size, number, None);
            ["one\n", "two\n"].into_iter().for_each(|line| log.write(line));
            assert_eq!(folder.names(), ["patroni.log"], "{size} {number}");
        }
    }

    #[test]
    fn the_mode_is_as_configured_for_new_files_too() {
        let folder = Folder::new("mode");
        let mut log = open(&folder, 5, 1, Some(0o640));
        ["one\n", "two\n"].into_iter().for_each(|line| log.write(line));
        for name in folder.names() {
            let mode = std::fs::metadata(folder.path().join(name)).expect("was listed").permissions().mode();
            assert_eq!(mode & 0o777, 0o640);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_said_at_once() {
        let config = LogConfig { dir: Some("/nowhere/at/all".into()), ..LogConfig::default() };
        let error = Destination::open(Target::of(&config)).err().expect("there is no such folder");
        assert_eq!(
            error.to_string(),
            "log.dir: cannot write to /nowhere/at/all/patroni.log: No such file or directory (os error 2)"
        );
    }
}
