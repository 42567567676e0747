//! What a voter must not forget, on disk.
//!
//! A voter that forgets is worse than one that is gone. One that is gone is missed; one that has forgotten its vote votes
//! twice, and two leaders decide. So nothing is acknowledged before it is in the file *and* the file is synced, and a file
//! that may have lost something is refused with a sentence instead of being believed.
//!
//! Everything is in one file, `store.redb`: who this node is, its vote, its log, its last snapshot. Beside it
//! lies `store.seen`, twelve bytes that tell when the file is older than it should be (`seen`).
//!
//! This folder knows files, not consensus: what it keeps are records, bytes under a name or a number. `consensus` says
//! what is in them.
//!
//! How it is used:
//!
//! * [`Disk::open`] reads and checks everything; its error is the sentence for the operator.
//! * [`Disk::identity`] says who this node is; a new disk has drawn a number. [`Disk::set_identity`] returns when the
//!   change is safe.
//! * `consensus::open` takes the log and the snapshot from it. [`Disk::write`] calls back when changes are safe,
//!   [`Disk::write_later`] lets them travel with the next write.
//! * [`Disk::health`] says when the disk is full (it goes on by itself) or has failed (the voter must stop).
//! * [`Disk::close`] finishes what is queued and closes the file. A full disk does not hold it up.

mod file;
mod folder;
mod identity;
mod medium;
mod seen;
mod tables;
mod trouble;
mod writer;

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use redb::Database;
use tokio::sync::{oneshot, watch};

pub use identity::Identity;
pub(crate) use medium::Fault;
pub use medium::Health;
pub(crate) use tables::{Change, Item, Kept};

use folder::Folder;
use medium::Patience;
use writer::{Job, Queue, When};

/// What no older version can read.
pub const FORMAT: u64 = 1;

/// The open disk of one voter. Clones are the same disk; it is closed when the last one goes, or by [`Disk::close`].
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// `None` once it is closed.
    open: Mutex<Option<Open>>,
    identity: Mutex<Identity>,
    /// What was found, until it is taken.
    kept: Mutex<Option<Kept>>,
    queue: Queue,
    patience: Arc<Patience>,
}

/// Closed in this order.
struct Open {
    database: Arc<Database>,
    _folder: Folder,
}

impl Disk {
    /// Opens what is in this folder, or begins anew if there is nothing. The error is a sentence for the operator.
    pub fn open(folder: &Path) -> Result<Self, String> {
        Self::open_on(folder, None)
    }

    /// As [`Disk::open`], with faults for a test to cause.
    pub(crate) fn open_on(folder: &Path, fault: Option<Arc<dyn Fault>>) -> Result<Self, String> {
        let patience = Arc::new(Patience::default());
        let opened = file::open(folder, Arc::clone(&patience), fault)?;
        let database = Arc::new(opened.database);
        let queue = writer::start(Arc::clone(&database), opened.last, opened.seen, Arc::clone(&patience))
            .map_err(|error| format!("no thread for the store can be started: {error}"))?;
        let inner = Inner {
            path: folder.to_owned(),
            open: Mutex::new(Some(Open { database, _folder: opened.folder })),
            identity: Mutex::new(opened.kept.identity.clone()),
            kept: Mutex::new(Some(opened.kept)),
            queue,
            patience,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn identity(&self) -> Identity {
        locked(&self.inner.identity).clone()
    }

    pub async fn set_cluster(&self, cluster: u64) -> io::Result<()> {
        self.set_identity(Identity { cluster: Some(cluster), ..self.identity() }).await
    }

    pub async fn set_identity(&self, identity: Identity) -> io::Result<()> {
        self.save(vec![Change::Keep(Item::Identity, identity.encode())]).await?;
        *locked(&self.inner.identity) = identity;
        Ok(())
    }

    /// How long the write that is under way has taken so far.
    pub fn busy_for(&self) -> Duration {
        self.inner.patience.busy_for()
    }

    pub fn health(&self) -> watch::Receiver<Health> {
        self.inner.patience.health()
    }

    /// How much room it takes.
    pub fn bytes(&self) -> u64 {
        folder::bytes(&self.inner.path)
    }

    /// Finishes what is queued, without waiting for room on a full disk, and closes the file.
    pub async fn close(&self) {
        self.inner.patience.end();
        let (done, ended) = oneshot::channel();
        self.inner.queue.send(Job::Stop(done));
        // An error says that the writer has ended already.
        let _ = ended.await;
        let open = locked(&self.inner.open).take();
        // Closing writes to the file, and takes as long as the disk does.
        let _ = tokio::task::spawn_blocking(move || drop(open)).await;
    }

    /// What was found when it was opened; once.
    pub(crate) fn take_kept(&self) -> Option<Kept> {
        locked(&self.inner.kept).take()
    }

    /// What to tell the operator about a record that cannot be made sense of.
    pub(crate) fn damaged(&self, what: impl Display) -> String {
        trouble::damaged(what).sentence(&self.inner.path)
    }

    /// `done` is called, on another thread, when the changes are safe, or when they will never be.
    pub(crate) fn write(&self, changes: Vec<Change>, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        self.inner.queue.send(Job::Write(changes, When::Now(Box::new(done))));
    }

    /// For what may be forgotten by a crash: it travels with the next write, and keeps its place in the order.
    pub(crate) fn write_later(&self, changes: Vec<Change>) {
        self.inner.queue.send(Job::Write(changes, When::Later));
    }

    /// Returns when the changes are safe.
    pub(crate) async fn save(&self, changes: Vec<Change>) -> io::Result<()> {
        let (done, saved) = oneshot::channel();
        // Nobody waits any more if the receiver is gone; the changes are safe all the same.
        self.write(changes, move |result| drop(done.send(result)));
        saved.await.unwrap_or_else(|_| Err(trouble::closed()))
    }

    /// The records of the log from this one up to, and without, that one; in order, and fewer if there are fewer.
    pub(crate) async fn log(&self, from: u64, to: u64) -> io::Result<Vec<(u64, Bytes)>> {
        self.read(move |database| tables::log(database, from, to)).await
    }

    /// The last snapshot: what it says about itself, and what is in it.
    pub(crate) async fn snapshot(&self) -> io::Result<Option<(Bytes, Bytes)>> {
        self.read(tables::snapshot).await
    }

    fn database(&self) -> Option<Arc<Database>> {
        locked(&self.inner.open).as_ref().map(|open| Arc::clone(&open.database))
    }

    async fn read<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Database) -> Result<T, trouble::Trouble> + Send + 'static,
    ) -> io::Result<T> {
        let database = self.database().ok_or_else(trouble::closed)?;
        let read = move || trouble::guarded(|| what(&database)).map_err(io::Error::from);
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Err(trouble::closed()))
    }
}

/// A panic elsewhere must not take the disk with it: what the locks here guard is whole between any two statements.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
