//! Notes beside the data directory about work that must not be mistaken for done.
//!
//! 1. We clone; the directory fills with files that look like a database.
//! 2. The agent is killed with -9, or the machine dies.
//! 3. The next agent finds a directory that is not empty. Starting it would run on half a copy; refusing it would wait
//!    for a person who is asleep; deleting it might destroy what a person restored meanwhile.
//!
//! So we write down what we are doing before we begin, beside the directory, because initdb and pg_basebackup insist on
//! an empty one and pg_rewind deletes what it does not know. For a copy we leave a second note inside as soon as there
//! is something inside. What is found later is garbage only if the outer note exists and either the inner one does too
//! or pg_control (which every honest copy writes last) is missing. Somebody who restores by hand replaces the content
//! and with it the inner note; then the outer one is out of date and is ignored.
//!
//! The note also names the process group at work: a copy that outlived its agent is ended before another begins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::process::table;

/// What is being done to the data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Underway {
    /// initdb, a custom bootstrap, or a replica method.
    Copy,
    Rewind,
    /// Beside the one of the rewind: from which timeline, and where that began.
    RewindSource,
}

impl Underway {
    fn suffix(self) -> &'static str {
        match self {
            Underway::Copy => "copy-underway",
            Underway::Rewind => "rewind-underway",
            Underway::RewindSource => "rewind-source",
        }
    }
}

/// Name of the note inside the directory; no dot, so that `rm -rf dir/*` takes it along.
const INNER: &str = "copy.underway";

/// Where notes may lie: beside the data directory, or, where that is not ours to write, beside the pgpass file.
#[derive(Clone, Debug)]
pub(crate) struct Places(Vec<PathBuf>);

impl Places {
    pub fn new(data_dir: &Path, pgpass: &Path) -> Self {
        let name = data_dir.file_name().map_or("data".into(), |name| name.to_string_lossy().into_owned());
        let beside = data_dir.parent().map(|parent| parent.join(&name));
        let fallback = pgpass.parent().map(|parent| parent.join(data_dir.to_string_lossy().replace('/', "_")));
        Self(beside.into_iter().chain(fallback).collect())
    }

    fn path(place: &Path, what: Underway) -> PathBuf {
        let mut path = place.as_os_str().to_owned();
        path.push(format!(".{}", what.suffix()));
        PathBuf::from(path)
    }

    pub fn find(&self, what: Underway) -> Option<PathBuf> {
        self.0.iter().map(|place| Self::path(place, what)).find(|path| path.exists())
    }

    pub fn write(&self, what: Underway) -> io::Result<()> {
        self.write_text(what, &format!("{}\n", table::boot_id()))
    }

    /// Writes the note; in the worst place that works rather than not at all.
    pub fn write_text(&self, what: Underway, text: &str) -> io::Result<()> {
        let mut result = Err(io::Error::other("there is no place for a note"));
        for place in &self.0 {
            let path = Self::path(place, what);
            result = fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).and_then(|()| durable(&path, text));
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Adds the process group that does the work.
    pub fn name_group(&self, what: Underway, group: i32) {
        let Some(stat) = table::stat(group) else { return };
        if let Some(path) = self.find(what) {
            // Without it, at worst, a copy that outlived us is not ended before the next begins.
            let _ = fs::write(path, format!("{} {group} {}\n", table::boot_id(), stat.start_ticks));
        }
    }

    pub fn erase(&self, what: Underway) {
        for path in self.0.iter().map(|place| Self::path(place, what)) {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!("Could not remove {path:?}: {error}");
            }
        }
    }

    /// Ends work that outlived the agent that began it.
    pub fn end_leftover_work(&self, what: Underway) {
        let Some(text) = self.find(what).and_then(|path| fs::read_to_string(path).ok()) else { return };
        let mut words = text.split_whitespace();
        let same_boot = words.next() == Some(table::boot_id());
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        let (group, ticks) = (number().and_then(|group| i32::try_from(group).ok()), number());
        let (true, Some(group), Some(ticks)) = (same_boot, group, ticks) else { return };
        let leader = table::stat(group);
        // A leader with another birth is a stranger; with no leader left the number cannot have been given away.
        if leader.is_none_or(|leader| leader.start_ticks == ticks)
            && let Some(group) = Pid::from_raw(group)
            && kill_process_group(group, Signal::KILL).is_ok()
        {
            tracing::warn!("Ended work on the data directory that had outlived its agent (process group {group:?})");
        }
    }

    /// Whether what lies in `data_dir` is the rest of a copy that never ended.
    pub fn leftover(&self, data_dir: &Path) -> bool {
        self.find(Underway::Copy).is_some()
            && (data_dir.join(INNER).exists() || !data_dir.join("global/pg_control").exists())
    }
}

/// Puts the inner note as soon as the copy has begun to write, not before.
pub(crate) fn mark_inside(data_dir: &Path) {
    if data_dir.join("PG_VERSION").exists() && !data_dir.join(INNER).exists() {
        // A full disk makes the copy fail anyway, and then the copy itself is cleaned up.
        let _ = fs::write(data_dir.join(INNER), "");
    }
}

pub(crate) fn unmark_inside(data_dir: &Path) -> io::Result<()> {
    match fs::remove_file(data_dir.join(INNER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn durable(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut file = fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_cut_short_is_told_from_a_restored_directory() {
        let base = std::env::temp_dir().join(format!("tamada-notes-{}", std::process::id()));
        let data_dir = base.join("data");
        fs::create_dir_all(data_dir.join("global")).unwrap();
        let places = Places::new(&data_dir, &base.join("pgpass"));
        fs::write(data_dir.join("PG_VERSION"), "15").unwrap();
        assert!(!places.leftover(&data_dir), "no note, no garbage");

        places.write(Underway::Copy).unwrap();
        assert!(places.leftover(&data_dir), "pg_control is still missing");
        mark_inside(&data_dir);
        fs::write(data_dir.join("global/pg_control"), "").unwrap();
        assert!(places.leftover(&data_dir), "the inner note is still there");
        unmark_inside(&data_dir).unwrap();
        assert!(!places.leftover(&data_dir), "somebody put a whole directory in its place");

        places.erase(Underway::Copy);
        assert!(places.find(Underway::Copy).is_none());
        fs::remove_dir_all(base).unwrap();
    }
}
