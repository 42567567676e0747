//! The log, as the consensus library wants it.
//!
//! What is read is read from memory: the library asks for each entry again to apply it, and again for each follower. The
//! entries are held in bytes, as they are on the disk; so the log between two snapshots takes some hundred kilobytes.
//! Large entries push the oldest ones out of memory; those are read from the disk when a follower needs them.
//!
//! What is written is on the disk before the library is told. Three things need not be, because a crash that forgets them
//! brings back a state that was right before: that entries were cut off, that entries were thrown away, and how far the
//! log is known to be committed. They go with the next write.
//!
//! One thing is read otherwise than it was written. A leader that starts again would at once be leader again if its own
//! vote said that it had won. But how far it had committed may be forgotten, as above, and until it learns that anew it
//! would answer reads with less than it had confirmed. So a vote for this node comes back from the disk as not won: it has
//! to be elected again, in a new term, like anybody else.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogId, LogState, OptionalSend, RaftLogReader, Vote};
use tokio::sync::Notify;

use super::horizon::Horizon;
use super::leases::Arrivals;
use super::{Entry, StorageError, TypeConfig, entry, next_index, unread, unwritten};
use crate::clock;
use crate::codec::CodecError;
use crate::disk::{Change, Disk, Item, Kept};

/// So much of the log is held in memory.
const MEMORY: usize = 2 * 1024 * 1024;

/// So much is sent to a follower at once; a larger entry goes alone.
const BYTES_AT_ONCE: usize = 1024 * 1024;

/// Clones are the same log.
#[derive(Clone)]
pub(crate) struct LogStore {
    disk: Disk,
    log: Arc<Mutex<Log>>,
    horizon: Horizon,
    arrivals: Arrivals,
    /// An entry was appended.
    grown: Arc<Notify>,
}

#[derive(Default)]
struct Log {
    vote: Option<Vote<u64>>,
    committed: Option<LogId<u64>>,
    purged: Option<LogId<u64>>,
    last: Option<LogId<u64>>,
    /// The newest entries, up to `last`.
    held: VecDeque<Held>,
    bytes: usize,
    /// How long each entry is that is not purged, held or not, up to `last`; and all together.
    lengths: VecDeque<u32>,
    weight: u64,
}

struct Held {
    position: LogId<u64>,
    record: Bytes,
}

impl LogStore {
    pub(super) fn open(disk: &Disk, horizon: Horizon, arrivals: Arrivals, kept: &Kept) -> Result<Self, CodecError> {
        let vote = kept.vote.as_deref().map(entry::vote_from_bytes).transpose()?;
        let purged = kept.purged.as_deref().map(entry::position_from_bytes).transpose()?;
        let mut log = Log {
            vote: vote.map(|vote| as_not_won(vote, kept.identity.node)),
            committed: kept.committed.as_deref().map(entry::position_from_bytes).transpose()?,
            purged,
            last: purged,
            ..Log::default()
        };
        for (index, record) in &kept.log {
            let position = entry::from_bytes(record)?.log_id;
            if position.index != *index || *index != next_index(log.last) {
                return Err(CodecError::Garbled(format!("record {index} of the log is not at its place")));
            }
            log.make_room();
            log.push(Held { position, record: record.clone() });
        }
        Ok(Self { disk: disk.clone(), log: Arc::new(Mutex::new(log)), horizon, arrivals, grown: Arc::default() })
    }

    fn locked(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records from this index up to, and without, that one; as many as there are.
    async fn records(&self, from: u64, to: u64) -> Result<Vec<Bytes>, StorageError> {
        let (from, to_on_disk, held) = {
            let log = self.locked();
            let from = from.max(next_index(log.purged));
            (from, to.min(log.first()), log.between(from, to))
        };
        if from >= to_on_disk {
            return Ok(held);
        }
        let on_disk = self.disk.log(from, to_on_disk).await.map_err(|error| unread(&error))?;
        Ok(on_disk.into_iter().map(|(_, record)| record).chain(held).collect())
    }

    /// Returns when something was appended. For one who waits.
    pub(super) async fn grown(&self) {
        self.grown.notified().await;
    }

    /// How many bytes of entries are kept.
    pub(super) fn weight(&self) -> u64 {
        self.locked().weight
    }

    /// The index from which on all entries together weigh no more than this.
    pub(super) fn light_from(&self, limit: u64) -> u64 {
        let log = self.locked();
        let newest_first = log.lengths.iter().rev().scan(0, |sum, length| {
            *sum += u64::from(*length);
            Some(*sum)
        });
        next_index(log.last) - newest_first.take_while(|sum| *sum <= limit).count() as u64
    }

    async fn position(&self, index: u64) -> Result<Option<LogId<u64>>, StorageError> {
        let records = self.records(index, index + 1).await?;
        records.first().map(|record| decode(record).map(|entry| entry.log_id)).transpose()
    }
}

fn as_not_won(vote: Vote<u64>, own: u64) -> Vote<u64> {
    Vote { committed: vote.committed && vote.leader_id.node_id != own, ..vote }
}

fn decode(record: &Bytes) -> Result<Entry, StorageError> {
    entry::from_bytes(record).map_err(|error| unread(&error))
}

impl Log {
    /// The index of the first entry that is held; of the next one if there is none.
    fn first(&self) -> u64 {
        self.held.front().map_or(next_index(self.last), |held| held.position.index)
    }

    fn between(&self, from: u64, to: u64) -> Vec<Bytes> {
        let first = self.first();
        let skip = from.max(first) - first;
        let take = to.saturating_sub(from.max(first));
        // No more than what is in memory, so it can be counted in a usize.
        self.held.iter().skip(skip as usize).take(take as usize).map(|held| held.record.clone()).collect()
    }

    fn push(&mut self, held: Held) {
        self.last = Some(held.position);
        let length = held.record.len();
        self.lengths.push_back(u32::try_from(length).unwrap_or(u32::MAX));
        self.weight += length as u64;
        self.bytes += length;
        self.held.push_back(held);
    }

    /// Called before something is pushed, and what was pushed before is on the disk.
    fn make_room(&mut self) {
        while self.bytes > MEMORY {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        self.bytes -= self.held.pop_front().map_or(0, |held| held.record.len());
    }

    fn cut_off(&mut self, from: u64, last: Option<LogId<u64>>) {
        while self.held.back().is_some_and(|held| held.position.index >= from) {
            self.bytes -= self.held.pop_back().map_or(0, |held| held.record.len());
        }
        let left = from.saturating_sub(next_index(self.purged));
        while self.lengths.len() as u64 > left {
            self.weight -= self.lengths.pop_back().map_or(0, u64::from);
        }
        self.last = last;
    }

    fn purge(&mut self, upto: LogId<u64>) {
        while self.held.front().is_some_and(|held| held.position.index <= upto.index) {
            self.drop_first();
        }
        for _ in next_index(self.purged)..next_index(Some(upto)) {
            self.weight -= self.lengths.pop_front().map_or(0, u64::from);
        }
        self.purged = self.purged.max(Some(upto));
        self.last = self.last.max(self.purged);
    }
}

/// As the library asks: a range of whatever kind.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(last) => last + 1,
        Bound::Excluded(to) => *to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, StorageError> {
        let (from, to) = bounds(&range);
        self.records(from, to).await?.iter().map(decode).collect()
    }

    async fn limited_get_log_entries(&mut self, from: u64, to: u64) -> Result<Vec<Entry>, StorageError> {
        let records = self.records(from, to).await?;
        let sizes = records.iter().scan(0, |sum, record| {
            *sum += record.len();
            Some(*sum)
        });
        let fit = sizes.take_while(|sum| *sum <= BYTES_AT_ONCE).count().max(1);
        records.iter().take(fit).map(decode).collect()
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let log = self.locked();
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: log.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError> {
        let keep = Change::Keep(Item::Vote, entry::vote_to_bytes(vote));
        self.disk.save(vec![keep]).await.map_err(|error| unwritten(&error))?;
        self.locked().vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError> {
        Ok(self.locked().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId<u64>>) -> Result<(), StorageError> {
        self.locked().committed = committed;
        if let Some(committed) = committed {
            self.disk.write_later(vec![Change::Keep(Item::Committed, entry::position_to_bytes(&committed))]);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<u64>>, StorageError> {
        Ok(self.locked().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let held = |entry: Entry| Held { position: entry.log_id, record: entry::to_bytes(&entry) };
        let entries: Vec<Held> = entries.into_iter().map(held).collect();
        let first = entries.first().map_or(0, |held| held.position.index);
        let records = entries.iter().map(|held| held.record.clone()).collect();
        self.arrivals.note(first, entries.len(), clock::now());
        {
            let mut log = self.locked();
            log.make_room();
            entries.into_iter().for_each(|held| log.push(held));
        }
        self.grown.notify_one();
        self.disk.write(vec![Change::Append { first, records }], |result| callback.log_io_completed(result));
        Ok(())
    }

    async fn truncate(&mut self, since: LogId<u64>) -> Result<(), StorageError> {
        let last = match since.index.checked_sub(1) {
            Some(before) => self.position(before).await?.or(self.locked().purged),
            None => None,
        };
        self.locked().cut_off(since.index, last);
        self.disk.write_later(vec![Change::Truncate { from: since.index }]);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId<u64>) -> Result<(), StorageError> {
        self.locked().purge(upto);
        self.horizon.purge(upto, &self.disk);
        Ok(())
    }
}
