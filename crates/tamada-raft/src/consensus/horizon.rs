//! What may be thrown away: only what a snapshot on the disk has replaced.
//!
//! 1. The leader sends a snapshot, because the log that we miss is gone. The library hands it to the machine, to be
//!    installed, and orders the log to be purged up to it, both at once.
//! 2. The log is purged, and that gets to the disk with the next write, whatever it is.
//! 3. The host loses power before the snapshot is on the disk. The node comes back without the entries and without what
//!    replaced them, and still with its vote.
//!
//! Therefore an order to purge waits here until the snapshot is safe. For the same reason an older snapshot, which took
//! longer to build than a newer one to arrive, must not be written over it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::LogId;

use super::entry;
use crate::disk::{Change, Disk, Item};

#[derive(Clone, Default)]
pub(super) struct Horizon(Arc<Mutex<Marks>>);

#[derive(Default)]
struct Marks {
    /// Of the newest snapshot that is on the disk or on the way to it.
    newest: Option<LogId<u64>>,
    /// Of the newest snapshot that is on the disk.
    safe: Option<LogId<u64>>,
    /// How far the log is to be purged, if that was not allowed yet.
    wanted: Option<LogId<u64>>,
}

/// Whether a snapshot is to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    Writing,
    Nothing,
}

impl Horizon {
    /// With a snapshot that was found on the disk.
    pub(super) fn open(snapshot: Option<LogId<u64>>) -> Self {
        Self(Arc::new(Mutex::new(Marks { newest: snapshot, safe: snapshot, wanted: None })))
    }

    /// Asked before a snapshot is written. The first of all is worth it even if it is empty.
    pub(super) fn rises_to(&self, snapshot: Option<LogId<u64>>) -> Worth {
        let mut marks = self.locked();
        if marks.newest.is_some() && marks.newest >= snapshot {
            return Worth::Nothing;
        }
        marks.newest = snapshot;
        Worth::Writing
    }

    /// A snapshot is on the disk: what waited for it is purged.
    pub(super) fn is_safe(&self, snapshot: Option<LogId<u64>>, disk: &Disk) {
        let mut marks = self.locked();
        marks.safe = marks.safe.max(snapshot);
        marks.purge(disk);
    }

    /// As soon as it is allowed.
    pub(super) fn purge(&self, upto: LogId<u64>, disk: &Disk) {
        let mut marks = self.locked();
        marks.wanted = marks.wanted.max(Some(upto));
        marks.purge(disk);
    }

    fn locked(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Marks {
    fn purge(&mut self, disk: &Disk) {
        if self.wanted <= self.safe
            && let Some(upto) = self.wanted.take()
        {
            let keep = Change::Keep(Item::Purged, entry::position_to_bytes(&upto));
            disk.write_later(vec![keep, Change::Purge { upto: upto.index }]);
        }
    }
}
