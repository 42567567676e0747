//! Stores that keep the cluster's keys as a tree with revisions and leases: what each must do, and how the port asks.
//!
//! The port speaks of what a member wants (`set_sync`, `cancel_initialization`), a tree of what happens to a key. What
//! lies between is the same for every tree, and is here: names, values, deadlines, and a line in the log for a failure.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tamada_model::{Cluster, Document, FailoverRequest, HistoryEntry, Lsn, Member, Stamp, Status, SyncState, SystemId};
use tamada_wire::keys;
use tokio::sync::watch;
use tracing::error;

use crate::bell::{Bell, Ringer};
use crate::clock::Deadline;
use crate::{Answer, Freshness, Renewal, Store, StoreError, Written};

/// The `leader` key, under our lease. What each means: see [`Store`].
pub trait Lock {
    fn acquire(&self, deadline: Deadline) -> impl Future<Output = Written> + Send;
    fn renew(&self, renewal: Renewal, deadline: Deadline) -> impl Future<Output = Written> + Send;
    fn take(&self, deadline: Deadline) -> impl Future<Output = Written> + Send;
    fn release(&self, last: Option<Lsn>, deadline: Deadline) -> impl Future<Output = Written> + Send;
}

/// The other keys. Names are relative to the cluster's.
pub trait Keyed {
    fn read(
        &self,
        freshness: Freshness,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Cluster, StoreError>> + Send;
    /// Our member key, under our lease; skipped when the store has exactly this.
    fn touch(&self, value: String, deadline: Deadline) -> impl Future<Output = Written> + Send;
    fn delete_member(&self, deadline: Deadline) -> impl Future<Output = Written> + Send;
    fn create(&self, key: &'static str, value: String, deadline: Deadline) -> impl Future<Output = Written> + Send;
    /// Over the value read under `judged`, or unconditionally.
    fn put(
        &self,
        key: &'static str,
        value: String,
        judged: Option<Stamp>,
        deadline: Deadline,
    ) -> impl Future<Output = Written> + Send;
    fn delete(
        &self,
        key: &'static str,
        judged: Option<Stamp>,
        deadline: Deadline,
    ) -> impl Future<Output = Written> + Send;
    fn delete_all(&self, deadline: Deadline) -> impl Future<Output = Written> + Send;
}

pub trait Watched {
    /// One watch, from its beginning to its end.
    fn watch(&self, bell: &Ringer) -> impl Future<Output = ()> + Send;
}

pub trait Tree: Lock + Keyed + Watched + Send + Sync + 'static {
    /// As the log calls the store.
    const NAME: &'static str;

    fn set_times(&self, ttl: Duration, retry_timeout: Duration);
}

/// The port to a tree. Ends its background work when dropped.
pub struct TreeStore<T: Tree> {
    tree: Arc<T>,
    bell: OnceLock<Bell>,
}

impl<T: Tree> TreeStore<T> {
    pub fn new(tree: T) -> Self {
        Self { tree: Arc::new(tree), bell: OnceLock::new() }
    }

    /// Runs a write and logs a failure under its name (log-lines.md 16).
    fn write<'a>(&self, name: &'static str, written: impl Future<Output = Written> + Send + 'a) -> Answer<'a, Written> {
        Box::pin(async move {
            let written = written.await;
            match &written {
                Written::Done(_) | Written::Beaten => {}
                Written::Unclear(why) => error!("{name}: no clear answer from {}: {why}", T::NAME),
                Written::Failed(why) => error!("{name}: {why}"),
            }
            written
        })
    }
}

impl<T: Tree> Store for TreeStore<T> {
    fn read(&self, freshness: Freshness, within: Duration) -> Answer<'_, Result<Cluster, StoreError>> {
        let deadline = Deadline::after(within);
        Box::pin(async move {
            let cluster = self.tree.read(freshness, deadline).await;
            cluster.inspect_err(|why| error!("get_cluster: {why}"))
        })
    }

    fn acquire_leader(&self, within: Duration) -> Answer<'_, Written> {
        self.write("attempt_to_acquire_leader", self.tree.acquire(Deadline::after(within)))
    }

    fn renew_leader(&self, renewal: Renewal, within: Duration) -> Answer<'_, Written> {
        self.write("update_leader", self.tree.renew(renewal, Deadline::after(within)))
    }

    fn take_leader(&self, within: Duration) -> Answer<'_, Written> {
        self.write("take_leader", self.tree.take(Deadline::after(within)))
    }

    fn release_leader(&self, last: Option<Lsn>, within: Duration) -> Answer<'_, Written> {
        self.write("delete_leader", self.tree.release(last, Deadline::after(within)))
    }

    fn touch_member(&self, record: &Member, within: Duration) -> Answer<'_, Written> {
        self.write("touch_member", self.tree.touch(keys::member_json(record), Deadline::after(within)))
    }

    fn delete_member(&self, within: Duration) -> Answer<'_, Written> {
        self.write("delete_member", self.tree.delete_member(Deadline::after(within)))
    }

    fn begin_bootstrap(&self, within: Duration) -> Answer<'_, Written> {
        self.write("initialize", self.tree.create(keys::INITIALIZE, String::new(), Deadline::after(within)))
    }

    fn set_initialize(&self, id: SystemId, over_existing: bool, within: Duration) -> Answer<'_, Written> {
        let deadline = Deadline::after(within);
        self.write("initialize", async move {
            match over_existing {
                true => self.tree.put(keys::INITIALIZE, id.to_string(), None, deadline).await,
                false => self.tree.create(keys::INITIALIZE, id.to_string(), deadline).await,
            }
        })
    }

    fn delete_initialize(&self, within: Duration) -> Answer<'_, Written> {
        self.write("cancel_initialization", self.tree.delete(keys::INITIALIZE, None, Deadline::after(within)))
    }

    fn set_config(&self, config: &Document, judged: Option<&Stamp>, within: Duration) -> Answer<'_, Written> {
        let (value, deadline) = (keys::config_json(config), Deadline::after(within));
        self.write("set_config_value", self.tree.put(keys::CONFIG, value, judged.cloned(), deadline))
    }

    fn set_failover(&self, request: &FailoverRequest, judged: Option<&Stamp>, within: Duration) -> Answer<'_, Written> {
        let (value, deadline) = (keys::failover_json(request), Deadline::after(within));
        self.write("set_failover_value", self.tree.put(keys::FAILOVER, value, judged.cloned(), deadline))
    }

    fn set_sync(&self, sync: &SyncState, judged: Option<&Stamp>, within: Duration) -> Answer<'_, Written> {
        let (value, deadline) = (keys::sync_json(sync), Deadline::after(within));
        self.write("set_sync_state_value", self.tree.put(keys::SYNC, value, judged.cloned(), deadline))
    }

    fn delete_sync(&self, judged: Option<&Stamp>, within: Duration) -> Answer<'_, Written> {
        self.write("delete_sync_state", self.tree.delete(keys::SYNC, judged.cloned(), Deadline::after(within)))
    }

    fn set_history(&self, history: &[HistoryEntry], within: Duration) -> Answer<'_, Written> {
        let value = keys::history_json(history);
        self.write("set_history_value", self.tree.put(keys::HISTORY, value, None, Deadline::after(within)))
    }

    fn set_status(&self, status: &Status, within: Duration) -> Answer<'_, Written> {
        let value = keys::status_json(status);
        self.write("write_status", self.tree.put(keys::STATUS, value, None, Deadline::after(within)))
    }

    fn delete_cluster(&self, within: Duration) -> Answer<'_, Written> {
        self.write("delete_cluster", self.tree.delete_all(Deadline::after(within)))
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.bell.get_or_init(|| Bell::hang(self.tree.clone())).listen()
    }

    fn set_times(&self, ttl: Duration, _loop_wait: Duration, retry_timeout: Duration) {
        self.tree.set_times(ttl, retry_timeout);
    }
}
