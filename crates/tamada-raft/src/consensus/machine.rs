//! The keys of this node: what the committed entries made of them, who is told, and how they are kept as a whole.
//!
//! The keys are in memory only. After a start they are rebuilt from the last snapshot and the entries behind it, so
//! applying an entry writes nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, LogId, OptionalSend, RaftSnapshotBuilder, Snapshot, StorageIOError};
use tokio::sync::watch;

use super::horizon::{Horizon, Worth};
use super::leases::{Arrivals, Leases};
use super::watches::Watches;
use super::{Batch, Entry, Membership, SnapshotMeta, StorageError, StoredMembership, TypeConfig, entry};
use crate::client::Watch;
use crate::clock;
use crate::codec::CodecError;
use crate::disk::{Change, Disk};
use crate::keyspace::Keyspace;
use crate::{Command, Expiry, Keys, LeaseId, LeaseView, Outcome, Range, RangeReply, Refusal, Revision};

/// Clones are the same machine.
#[derive(Clone)]
pub(crate) struct Machine {
    state: Arc<Mutex<State>>,
    reached: Arc<watch::Sender<Reached>>,
    arrivals: Arrivals,
    horizon: Horizon,
    disk: Disk,
}

#[derive(Default)]
struct State {
    keyspace: Keyspace,
    last: Option<LogId<u64>>,
    membership: StoredMembership,
    leases: Leases,
    watches: Watches,
}

/// How far the log is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Reached {
    /// Of the log; `None` before the first entry.
    pub index: Option<u64>,
    pub revision: Revision,
}

impl Machine {
    pub(super) fn open(disk: &Disk, snapshot: Option<&(Bytes, Bytes)>) -> Result<Self, CodecError> {
        let mut state = State::default();
        if let Some((about, content)) = snapshot {
            state.replace(&entry::snapshot_from_bytes(about)?, Keyspace::from_snapshot(content)?);
        }
        Ok(Self {
            reached: Arc::new(watch::Sender::new(state.reached())),
            horizon: Horizon::open(state.last),
            state: Arc::new(Mutex::new(state)),
            arrivals: Arrivals::default(),
            disk: disk.clone(),
        })
    }

    pub(super) fn arrivals(&self) -> Arrivals {
        self.arrivals.clone()
    }

    pub(super) fn horizon(&self) -> Horizon {
        self.horizon.clone()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn revision(&self) -> Revision {
        self.locked().keyspace.revision()
    }

    /// About as many bytes as a snapshot would have.
    pub(super) fn weight(&self) -> u64 {
        self.locked().keyspace.bytes()
    }

    /// The number of the cluster, once it has one.
    pub fn cluster(&self) -> Option<u64> {
        self.locked().keyspace.cluster()
    }

    /// The addresses at which newcomers may join.
    pub fn invited(&self) -> Vec<String> {
        self.locked().keyspace.invited().iter().cloned().collect()
    }

    /// These ranges, all of one moment, and the revision of that moment.
    pub fn read(&self, ranges: &[Range]) -> (Revision, Vec<Result<RangeReply, Refusal>>) {
        let keyspace = &self.locked().keyspace;
        (keyspace.revision(), ranges.iter().map(|range| keyspace.range(range)).collect())
    }

    pub fn watch(&self, keys: Keys, from: Option<Revision>) -> Watch {
        let State { keyspace, watches, .. } = &mut *self.locked();
        watches.begin(keyspace, keys, from)
    }

    pub(super) fn last(&self) -> Option<LogId<u64>> {
        self.locked().last
    }

    /// The keys and the members as these entries make them, which follow what is applied here.
    pub(super) fn after(&self, entries: Vec<Entry>) -> (Keyspace, Membership) {
        let mut state = self.locked();
        for entry in entries {
            state.apply(entry, clock::now());
        }
        (state.keyspace.clone(), state.membership.membership().clone())
    }

    /// Tells each time that something was applied.
    pub fn applied(&self) -> watch::Receiver<Reached> {
        self.reached.subscribe()
    }

    /// Returns when the keys are not older than this revision.
    pub async fn reached(&self, revision: Revision) {
        // It fails when the sender is gone, and we are holding it.
        let _ = self.applied().wait_for(|reached| reached.revision >= revision).await;
    }

    pub fn lease(&self, id: LeaseId) -> Option<LeaseView> {
        let state = self.locked();
        let lease = state.keyspace.lease(id)?;
        let left = state.leases.left(id, clock::now());
        Some(LeaseView { id, ttl: lease.ttl, left, keys: lease.keys.iter().cloned().collect() })
    }

    pub fn leases(&self) -> Vec<LeaseId> {
        self.locked().keyspace.leases().map(|lease| lease.id).collect()
    }

    /// The leases that have ended by now. Only the consensus leader may act on it; see `leases`.
    pub fn ran_out(&self, now: Duration) -> Vec<Expiry> {
        self.locked().leases.ran_out(now)
    }

    /// When the next lease ends unless it is renewed.
    pub fn next_end(&self) -> Option<Duration> {
        self.locked().leases.next_end()
    }

    fn tell(&self, state: &State) {
        self.reached.send_replace(state.reached());
    }

    async fn save(&self, meta: &SnapshotMeta, content: Bytes) -> Result<(), StorageError> {
        if self.horizon.rises_to(meta.last_log_id) == Worth::Nothing {
            return Ok(());
        }
        let about = entry::snapshot_to_bytes(meta);
        let saved = self.disk.save(vec![Change::Snapshot { about, content }]).await;
        saved.map_err(|error| StorageIOError::write_snapshot(Some(meta.signature()), AnyError::new(&error)))?;
        self.horizon.is_safe(meta.last_log_id, &self.disk);
        Ok(())
    }
}

impl State {
    fn reached(&self) -> Reached {
        Reached { index: self.last.map(|last| last.index), revision: self.keyspace.revision() }
    }

    fn apply(&mut self, entry: Entry, received: Duration) -> Vec<Outcome> {
        self.last = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => Vec::new(),
            EntryPayload::Membership(membership) => self.change_members(entry.log_id, membership),
            EntryPayload::Normal(Batch(commands)) => {
                commands.iter().map(|command| self.carry_out(entry.log_id.index, command, received)).collect()
            }
        }
    }

    fn change_members(&mut self, at: LogId<u64>, membership: Membership) -> Vec<Outcome> {
        self.membership = StoredMembership::new(Some(at), membership);
        Vec::new()
    }

    fn carry_out(&mut self, index: u64, command: &Command, received: Duration) -> Outcome {
        let applied = self.keyspace.apply(index, command);
        self.leases.touch(index, received, &applied.leases);
        self.watches.tell(applied.outcome.revision, &applied.changes);
        applied.outcome
    }

    fn replace(&mut self, meta: &SnapshotMeta, keyspace: Keyspace) {
        let before = self.keyspace.revision();
        self.keyspace = keyspace;
        self.last = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.leases.count_anew(&self.keyspace, clock::now());
        self.watches.tell_since(before, &self.keyspace);
    }

    /// Everything up to now, as one piece.
    fn snapshot(&self) -> (SnapshotMeta, Bytes) {
        let last = self.last.map_or_else(|| "empty".to_owned(), |last| last.to_string());
        let meta = SnapshotMeta {
            last_log_id: self.last,
            last_membership: self.membership.clone(),
            snapshot_id: format!("{last}-{:016x}", fastrand::u64(..)),
        };
        (meta, self.keyspace.to_snapshot().into())
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId<u64>>, StoredMembership), StorageError> {
        let state = self.locked();
        Ok((state.last, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Vec<Outcome>>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut state = self.locked();
        let apply = |entry: Entry| {
            let received = self.arrivals.take(entry.log_id.index).unwrap_or_else(clock::now);
            state.apply(entry, received)
        };
        let outcomes = entries.into_iter().map(apply).collect();
        self.tell(&state);
        Ok(outcomes)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let (meta, content) = self.locked().snapshot();
        Builder { machine: self.clone(), meta, content }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Bytes>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, content: Box<Bytes>) -> Result<(), StorageError> {
        let unreadable =
            |error: CodecError| StorageIOError::read_snapshot(Some(meta.signature()), AnyError::new(&error));
        let keyspace = Keyspace::from_snapshot(&content).map_err(unreadable)?;
        self.save(meta, *content).await?;
        let mut state = self.locked();
        state.replace(meta, keyspace);
        self.tell(&state);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        let unreadable = |error: AnyError| StorageIOError::read_snapshot(None, error);
        let kept = self.disk.snapshot().await.map_err(|error| unreadable(AnyError::new(&error)))?;
        let Some((about, content)) = kept else { return Ok(None) };
        let meta = entry::snapshot_from_bytes(&about).map_err(|error| unreadable(AnyError::new(&error)))?;
        Ok(Some(Snapshot { meta, snapshot: Box::new(content) }))
    }
}

/// Writes down how the keys were when it was made.
pub(crate) struct Builder {
    machine: Machine,
    meta: SnapshotMeta,
    content: Bytes,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        self.machine.save(&self.meta, self.content.clone()).await?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: Box::new(self.content.clone()) })
    }
}
