//! Records, times and places for the tests of this module.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::tz::TimeZone;
use tamada_model::{LogLevel, Wall};

use super::calendar::Calendar;
use super::record::{OnThread, Place, Record};

pub fn said(message: &str) -> Record {
    said_on(1, message)
}

pub fn said_on(thread: i32, message: &str) -> Record {
    let place = Place {
        target: "tamada_postgres::job::rewind",
        module: Some("tamada_postgres::job::rewind"),
        file: Some("crates/tamada-postgres/src/job/rewind.rs"),
        line: Some(17),
    };
    Record {
        at: Wall::from_micros(1_784_895_149_012_345),
        level: LogLevel::Warning,
        place,
        thread: OnThread { number: thread, handle: std::thread::current() },
        message: message.to_owned(),
        fields: Vec::new(),
    }
}

/// A warning of 2026-07-24 12:12:29.012345 UTC.
pub fn record() -> Record {
    said("disk is full")
}

pub fn calendar() -> Calendar {
    Calendar::new(TimeZone::UTC, None)
}

/// An empty folder that goes when the test ends.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tamada-log-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("temporary files can be made");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("it is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).expect("the file is there")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What remains in the temporary directory does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
