//! The store as the port wants it: each operation with its deadline, its name for the log, and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tamada_model::{
    Cluster, Document, Etcd3Config, FailoverRequest, HistoryEntry, Lsn, Member, MemberName, Stamp, Status, StoreScope,
    SyncState, SystemId,
};
use tamada_wire::keys;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::error;

use super::client::{Client, Times, locked};
use super::lease::{Lease, LeaseId};
use super::ops::Keys;
use super::rpc::HTTP2;
use super::watch::keep_watch;
use crate::clock::Deadline;
use crate::tls::Tls;
use crate::{Answer, Freshness, Renewal, Store, StoreError, Written};

/// One cluster's keys in etcd, as one member sees them. Ends its background work when dropped.
pub struct Etcd {
    inner: Arc<Inner>,
    bell: OnceLock<Bell>,
}

pub(super) struct Inner {
    pub client: Arc<Client>,
    pub keys: Keys,
    pub me: MemberName,
    pub lease: Lease,
    /// We hold the lock, as far as the last answer about it told. Only says whose `status` changes ring the bell.
    pub leading: AtomicBool,
    pub known: Mutex<Known>,
}

/// What the store has from us, so that it need not be written again.
#[derive(Default)]
pub(super) struct Known {
    /// Our member key as last written. Cleared when anybody shows us something else. Stale: a key that was deleted by
    /// hand would come back late.
    pub member: Option<Published>,
    /// `status` and `failsafe` as we last wrote them in this reign. Cleared when it ends and when a reading shows
    /// something else. Stale: an old position would stand in the store for as long as ours does not change.
    pub status: Option<String>,
    pub failsafe: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Published {
    pub lease: LeaseId,
    pub value: String,
    pub stamp: Stamp,
}

struct Bell {
    rung: watch::Receiver<u64>,
    ringer: AbortHandle,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        if let Some(bell) = self.bell.get() {
            bell.ringer.abort();
        }
    }
}

impl Inner {
    pub fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        locked(&self.known)
    }

    pub fn leads(&self, leads: bool) {
        let led = self.leading.swap(leads, Ordering::Relaxed);
        if led != leads {
            let mut known = self.known();
            known.status = None;
            known.failsafe = None;
        }
    }
}

impl Etcd {
    /// Nothing is asked yet; only the certificate files must be readable.
    pub fn open(config: &Etcd3Config, scope: StoreScope) -> Result<Self, StoreError> {
        if config.https {
            Tls::load(&config.tls, HTTP2).map_err(|why| StoreError::Refused(format!("etcd3: {why}")))?;
        }
        let times = Times { ttl: scope.ttl, retry_timeout: scope.retry_timeout };
        let inner = Inner {
            client: Client::new(config.clone(), times),
            keys: Keys::new(&scope.base),
            me: scope.name,
            lease: Lease::default(),
            leading: AtomicBool::new(false),
            known: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner), bell: OnceLock::new() })
    }

    fn bell(&self) -> &Bell {
        self.bell.get_or_init(|| {
            let (ring, rung) = watch::channel(0);
            let ringer = tokio::spawn(keep_watch(self.inner.clone(), ring)).abort_handle();
            Bell { rung, ringer }
        })
    }
}

/// Runs a write and logs a failure under its name (log-lines.md 16).
fn write<'a>(name: &'static str, written: impl Future<Output = Written> + Send + 'a) -> Answer<'a, Written> {
    Box::pin(async move {
        let written = written.await;
        match &written {
            Written::Done(_) | Written::Beaten => {}
            Written::Unclear(why) => error!("{name}: no clear answer from etcd: {why}"),
            Written::Failed(why) => error!("{name}: {why}"),
        }
        written
    })
}

impl Store for Etcd {
    fn read(&self, freshness: Freshness, within: Duration) -> Answer<'_, Result<Cluster, StoreError>> {
        let deadline = Deadline::after(within);
        Box::pin(async move {
            let cluster = self.inner.read(freshness, deadline).await;
            cluster.inspect_err(|why| error!("get_cluster: {why}"))
        })
    }

    fn acquire_leader(&self, within: Duration) -> Answer<'_, Written> {
        write("attempt_to_acquire_leader", self.inner.acquire(Deadline::after(within)))
    }

    fn renew_leader(&self, renewal: Renewal, within: Duration) -> Answer<'_, Written> {
        write("update_leader", self.inner.renew(renewal, Deadline::after(within)))
    }

    fn take_leader(&self, within: Duration) -> Answer<'_, Written> {
        write("take_leader", self.inner.take(Deadline::after(within)))
    }

    fn release_leader(&self, last: Option<Lsn>, within: Duration) -> Answer<'_, Written> {
        write("delete_leader", self.inner.release(last, Deadline::after(within)))
    }

    fn touch_member(&self, record: &Member, within: Duration) -> Answer<'_, Written> {
        write("touch_member", self.inner.touch(keys::member_json(record), Deadline::after(within)))
    }

    fn delete_member(&self, within: Duration) -> Answer<'_, Written> {
        write("delete_member", self.inner.delete_member(Deadline::after(within)))
    }

    fn begin_bootstrap(&self, within: Duration) -> Answer<'_, Written> {
        write("initialize", self.inner.create(keys::INITIALIZE, String::new(), Deadline::after(within)))
    }

    fn set_initialize(&self, id: SystemId, over_existing: bool, within: Duration) -> Answer<'_, Written> {
        let deadline = Deadline::after(within);
        write("initialize", async move {
            match over_existing {
                true => self.inner.put(keys::INITIALIZE, id.to_string(), None, deadline).await,
                false => self.inner.create(keys::INITIALIZE, id.to_string(), deadline).await,
            }
        })
    }

    fn delete_initialize(&self, within: Duration) -> Answer<'_, Written> {
        write("cancel_initialization", self.inner.delete(keys::INITIALIZE, None, Deadline::after(within)))
    }

    fn set_config(&self, config: &Document, judged: Option<&Stamp>, within: Duration) -> Answer<'_, Written> {
        let value = keys::config_json(config);
        write("set_config_value", self.inner.put(keys::CONFIG, value, judged.cloned(), Deadline::after(within)))
    }

    fn set_failover(&self, request: &FailoverRequest, judged: Option<&Stamp>, within: Duration) -> Answer<'_, Written> {
        let value = keys::failover_json(request);
        write("set_failover_value", self.inner.put(keys::FAILOVER, value, judged.cloned(), Deadline::after(within)))
    }

    fn set_sync(&self, sync: &SyncState, judged: Option<&Stamp>, within: Duration) -> Answer<'_, Written> {
        let value = keys::sync_json(sync);
        write("set_sync_state_value", self.inner.put(keys::SYNC, value, judged.cloned(), Deadline::after(within)))
    }

    fn delete_sync(&self, judged: Option<&Stamp>, within: Duration) -> Answer<'_, Written> {
        write("delete_sync_state", self.inner.delete(keys::SYNC, judged.cloned(), Deadline::after(within)))
    }

    fn set_history(&self, history: &[HistoryEntry], within: Duration) -> Answer<'_, Written> {
        let value = keys::history_json(history);
        write("set_history_value", self.inner.put(keys::HISTORY, value, None, Deadline::after(within)))
    }

    fn set_status(&self, status: &Status, within: Duration) -> Answer<'_, Written> {
        let value = keys::status_json(status);
        write("write_status", self.inner.put(keys::STATUS, value, None, Deadline::after(within)))
    }

    fn delete_cluster(&self, within: Duration) -> Answer<'_, Written> {
        write("delete_cluster", self.inner.delete_all(Deadline::after(within)))
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.bell().rung.clone()
    }

    fn set_times(&self, ttl: Duration, _loop_wait: Duration, retry_timeout: Duration) {
        self.inner.client.set_times(Times { ttl, retry_timeout });
    }
}
