//! What one member needs of the embedded store: a client, one lease, and what it wrote last.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tamada_model::StoreScope;
use tamada_raft::{Client, Revision};

use super::lease::Lease;
use crate::ours::Ours;
use crate::tree::{Tree, TreeStore};

/// One cluster's keys in the embedded store, as one member sees them.
pub struct Embedded {
    pub(super) client: Client,
    pub(super) ours: Ours,
    pub(super) lease: Lease,
    times: Mutex<Times>,
    /// The newest revision that we were told of. Stale: a reading that may lag could show less than the one before.
    newest: AtomicU64,
    /// Up to where the watch has told us everything; 0: it has to begin anew. Stale: it tells some of it again.
    pub(super) watched: AtomicU64,
}

/// The configured time-outs; they follow the dynamic configuration.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub ttl: Duration,
    pub retry_timeout: Duration,
}

impl Embedded {
    /// Nothing is asked yet. The client may serve other stores as well.
    pub fn open(client: Client, scope: StoreScope) -> TreeStore<Self> {
        TreeStore::new(Self::new(client, scope))
    }

    pub(super) fn new(client: Client, scope: StoreScope) -> Self {
        Self {
            client,
            times: Mutex::new(Times { ttl: scope.ttl, retry_timeout: scope.retry_timeout }),
            ours: Ours::new(scope),
            lease: Lease::default(),
            newest: AtomicU64::new(0),
            watched: AtomicU64::new(0),
        }
    }

    pub(super) fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen_so_far(&self) -> Revision {
        self.newest.load(Ordering::Relaxed)
    }

    pub(super) fn seen(&self, revision: Revision) {
        self.newest.fetch_max(revision, Ordering::Relaxed);
    }

    /// The majority has spoken, so what we were told before is no more.
    pub(super) fn believe(&self, revision: Revision) {
        self.newest.store(revision, Ordering::Relaxed);
        self.watched.store(0, Ordering::Relaxed);
    }
}

impl Tree for Embedded {
    const NAME: &'static str = "the store";

    fn set_times(&self, ttl: Duration, retry_timeout: Duration) {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner) = Times { ttl, retry_timeout };
    }
}
