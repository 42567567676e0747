//! The file under redb, which waits when the disk is full.
//!
//! A full disk is not a broken one: it comes back as soon as somebody makes room, and the node should come back with it,
//! by itself. redb cannot wait; after any error it must be closed and opened again, and the consensus library stops for
//! good on an error of its log. So the waiting is done here, below both: a write that finds no room is tried again until
//! there is some, and nobody above hears about it. Meanwhile nothing is acknowledged, the node hears and says nothing,
//! and the others go on without it.
//!
//! Only writing waits. A sync that fails is never tried again: after it, the kernel may believe the pages clean that never
//! reached the disk, and the next sync would succeed without them. It ends the voter, and so does any other error; what is
//! in the file is read anew, and checked, when the node starts again.

use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use tokio::sync::watch;
use tracing::{error, info};

use super::locked;
use super::trouble::Trouble;
use crate::clock;

/// Room is made by people and by programs that rotate logs; neither is hurt by half a second.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// What the operator should know about the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Well,
    /// Nothing can be written, and nothing is acknowledged, until there is room. Since: [`crate::clock::now`].
    Full {
        since: Duration,
    },
    /// The voter has to stop: what it wrote may not be on the disk.
    Failing(String),
}

/// What a test makes go wrong. Asked before the real thing is done.
pub(crate) trait Fault: Send + Sync {
    fn before_write(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    fn before_resize(&self, length: u64) -> io::Result<()>;
    fn before_sync(&self) -> io::Result<()>;
}

/// Whether to wait for room, and how things stand.
pub(super) struct Patience {
    waiting: Mutex<Waiting>,
    ended: Condvar,
    health: watch::Sender<Health>,
    /// Since when something is being written: [`clock::now`].
    busy: Mutex<Option<Duration>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// While the file is opened: somebody waits for a sentence.
    NotYet,
    Patiently,
    NoLonger,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Waiting::NotYet),
            ended: Condvar::new(),
            health: watch::Sender::new(Health::Well),
            busy: Mutex::default(),
        }
    }
}

impl Patience {
    pub(super) fn begin(&self) {
        *locked(&self.waiting) = Waiting::Patiently;
    }

    /// Who waits now gives up, and nobody waits any more.
    pub(super) fn end(&self) {
        *locked(&self.waiting) = Waiting::NoLonger;
        self.ended.notify_all();
    }

    pub(super) fn set_busy(&self, since: Option<Duration>) {
        *locked(&self.busy) = since;
    }

    pub(super) fn busy_for(&self) -> Duration {
        locked(&self.busy).map_or(Duration::ZERO, |since| clock::now().saturating_sub(since))
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Nothing more will be written.
    pub(super) fn failed(&self, trouble: &Trouble) {
        if *locked(&self.waiting) == Waiting::NoLonger {
            info!(%trouble, "the store is closed without its last writes, which nobody was told of");
            return;
        }
        let why = format!(
            "the disk of the store has failed ({trouble}): this node stops; look after the disk, then start it"
        );
        error!("{why}");
        self.health.send_replace(Health::Failing(why));
    }

    /// Tries until it works, it fails for another reason than want of room, or nobody wants to wait.
    fn until_there_is_room<T>(&self, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match attempt() {
                Err(error) if is_want_of_room(&error) && self.wait() => self.note_full(&error),
                result => {
                    self.note_room(result.is_ok());
                    return result;
                }
            }
        }
    }

    /// False: nobody wants to wait.
    fn wait(&self) -> bool {
        let waiting = locked(&self.waiting);
        if *waiting != Waiting::Patiently {
            return false;
        }
        let woken = self.ended.wait_timeout(waiting, BETWEEN_TRIES);
        woken.is_ok_and(|(waiting, _)| *waiting == Waiting::Patiently)
    }

    fn note_full(&self, error: &io::Error) {
        let is_new = self.health.send_if_modified(|health| {
            let was_well = *health == Health::Well;
            if was_well {
                *health = Health::Full { since: clock::now() };
            }
            was_well
        });
        if is_new {
            error!(%error, "the disk of the store is full: this node confirms nothing until there is room");
        }
    }

    fn note_room(&self, written: bool) {
        let is_new = written
            && self.health.send_if_modified(|health| {
                let was_full = matches!(health, Health::Full { .. });
                if was_full {
                    *health = Health::Well;
                }
                was_full
            });
        if is_new {
            info!("the disk of the store has room again: this node goes on");
        }
    }
}

pub(super) fn is_want_of_room(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

pub(super) struct Medium {
    pub file: FileBackend,
    pub patience: Arc<Patience>,
    pub fault: Option<Arc<dyn Fault>>,
}

impl fmt::Debug for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

impl Medium {
    fn ask(&self, question: impl FnOnce(&dyn Fault) -> io::Result<()>) -> io::Result<()> {
        self.fault.as_deref().map_or(Ok(()), question)
    }
}

impl StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.patience.until_there_is_room(|| {
            self.ask(|fault| fault.before_resize(len))?;
            self.file.set_len(len)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.ask(|fault| fault.before_sync())?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.patience.until_there_is_room(|| {
            self.ask(|fault| fault.before_write(offset, data))?;
            self.file.write(offset, data)
        })
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
