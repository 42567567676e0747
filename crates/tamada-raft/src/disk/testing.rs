//! What tests need: a folder of their own, and things that go wrong.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder that is gone with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let name = format!("tamada-raft-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
