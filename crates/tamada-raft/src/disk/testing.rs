//! What tests need: a folder of their own, and things that go wrong.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::locked;
use super::medium::Fault;

/// A folder that is gone with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let name = format!("tamada-raft-{}-{:016x}", std::process::id(), fastrand::u64(..));
        // Where there is one, a disk in memory: tests are not to wait for the other things that this machine does.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = base.join(name);
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

/// A disk with faults that can be switched on and off while it is used.
#[derive(Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    write: Option<io::ErrorKind>,
    sync: Option<io::ErrorKind>,
    /// Each sync takes so much longer.
    slow: Duration,
    syncs: u64,
}

impl Faults {
    pub fn fail_writes(&self, kind: Option<io::ErrorKind>) {
        locked(&self.state).write = kind;
    }

    pub fn fail_syncs(&self, kind: Option<io::ErrorKind>) {
        locked(&self.state).sync = kind;
    }

    pub fn slow_down(&self, by: Duration) {
        locked(&self.state).slow = by;
    }

    pub fn syncs(&self) -> u64 {
        locked(&self.state).syncs
    }
}

impl Fault for Faults {
    fn before_resize(&self, _: u64) -> io::Result<()> {
        self.before_write(0, &[])
    }

    fn before_write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        locked(&self.state).write.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn before_sync(&self) -> io::Result<()> {
        let slow = {
            let mut state = locked(&self.state);
            state.syncs += 1;
            if let Some(kind) = state.sync {
                return Err(kind.into());
            }
            state.slow
        };
        if !slow.is_zero() {
            // Not a wait for anything: this is how long the disk takes.
            let never = Mutex::new(());
            drop(Condvar::new().wait_timeout(locked(&never), slow));
        }
        Ok(())
    }
}
