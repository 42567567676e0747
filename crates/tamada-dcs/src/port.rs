//! The port: what the agent and its tools may ask of any configuration store (dcs-layout.md 8).
//!
//! Each operation is one attempt with a deadline of its own; who asks decides about asking again. Losing is an answer
//! ([`Written::Beaten`]), and so is "it may have happened" ([`Written::Unclear`]): only what is neither is an error.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tamada_model::{Cluster, Document, FailoverRequest, HistoryEntry, Lsn, Member, Stamp, Status, SyncState, SystemId};

pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How a write ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Written {
    /// It is in the store under this stamp.
    Done(Stamp),
    /// The store refused it: the precondition does not hold. Final.
    Beaten,
    /// Sent, but no clear answer came: it may or may not be in the store.
    Unclear(String),
    /// Certainly not done: the store could not be reached, or refused for a reason that says nothing about the key.
    Failed(StoreError),
}

/// Why the store could not be used; sorted by what the caller does about it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// Nobody answered within the deadline, or only nodes that must not be believed. Try again.
    #[error("{0}")]
    Unreachable(String),
    /// The store answered and will not serve us: credentials, permissions, unsupported version. An operator must act.
    #[error("{0}")]
    Refused(String),
}

/// Which conditions a reading must meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// Ordered after every write acknowledged before we asked.
    Linearizable,
    /// May lag, never older than what this store object has already returned.
    Monotonic,
}

/// What the leader writes along when it renews its lock (ha-loop.md 9.5). `None` parts are left as they are.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Renewal {
    pub status: Option<Status>,
    pub failsafe: Option<Document>,
}

/// One cluster's keys in one store, as one member (or an operator's tool) sees them. Every call takes the time it may
/// use in total, however many endpoints have to be tried.
pub trait Store: Send + Sync {
    fn read(&self, freshness: Freshness, within: Duration) -> Answer<'_, Result<Cluster, StoreError>>;

    /// Creates `leader` with our name if it does not exist, under our lease. Ours already, under this lease: done. Our
    /// name under another lease (a namesake, or we before a restart): beaten; renewing takes that over.
    fn acquire_leader(&self, within: Duration) -> Answer<'_, Written>;
    /// Renews our lease and makes sure `leader` is ours under it; re-creates it if it vanished, never overwrites another
    /// holder. Then `status` and `failsafe`, if given and different from what was last written; their failure does not
    /// change the answer.
    fn renew_leader(&self, renewal: Renewal, within: Duration) -> Answer<'_, Written>;
    /// Writes `leader` unconditionally: the end of a bootstrap (ha-loop.md 7.9).
    fn take_leader(&self, within: Duration) -> Answer<'_, Written>;
    /// Writes `last` to `status.optime` (keeping slots), then deletes `leader` if it is ours.
    fn release_leader(&self, last: Option<Lsn>, within: Duration) -> Answer<'_, Written>;

    /// Our member key, under our lease. Skipped when the store already has exactly this under a living lease.
    fn touch_member(&self, record: &Member, within: Duration) -> Answer<'_, Written>;
    fn delete_member(&self, within: Duration) -> Answer<'_, Written>;

    /// Creates `initialize` with an empty value if absent.
    fn begin_bootstrap(&self, within: Duration) -> Answer<'_, Written>;
    /// Writes the system identifier: create-only, or over whatever is there.
    fn set_initialize(&self, id: SystemId, over_existing: bool, within: Duration) -> Answer<'_, Written>;
    fn delete_initialize(&self, within: Duration) -> Answer<'_, Written>;

    /// Over the value read under `judged`; `None`: unconditionally.
    fn set_config(&self, config: &Document, judged: Option<&Stamp>, within: Duration) -> Answer<'_, Written>;
    /// An empty request clears the key (writes `{}`).
    fn set_failover(&self, request: &FailoverRequest, judged: Option<&Stamp>, within: Duration) -> Answer<'_, Written>;
    fn set_sync(&self, sync: &SyncState, judged: Option<&Stamp>, within: Duration) -> Answer<'_, Written>;
    fn delete_sync(&self, judged: Option<&Stamp>, within: Duration) -> Answer<'_, Written>;
    fn set_history(&self, history: &[HistoryEntry], within: Duration) -> Answer<'_, Written>;
    fn set_status(&self, status: &Status, within: Duration) -> Answer<'_, Written>;

    /// Deletes the whole tree of this cluster (`tamadactl remove`).
    fn delete_cluster(&self, within: Duration) -> Answer<'_, Written>;

    /// A bell that rings when something changed that may concern a member (dcs-layout.md 8.2: `leader`, `config`,
    /// `failover`, `sync`, `initialize`, members coming or going; and `status` for those who do not lead), or when the
    /// watch had to begin anew. It carries no data: whoever hears it reads. The first call begins the watch, and must be
    /// made within the runtime; the watch ends with the store.
    fn changed(&self) -> tokio::sync::watch::Receiver<u64>;

    /// New time-outs after a change of the dynamic configuration; a new ttl means a new lease at the next renewal.
    fn set_times(&self, ttl: Duration, loop_wait: Duration, retry_timeout: Duration);
}
