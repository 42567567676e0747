//! A keyspace as one piece of bytes: what a restart begins with, and what a newcomer is sent.
//!
//! Equal keyspaces make equal bytes. What keys a lease has, and how much everything takes, is not written down: it
//! follows from the keys.

use std::collections::VecDeque;

use prost::Message;

use super::history::History;
use super::leases::{Lease, Leases};
use super::table::Table;
use super::{Keyspace, LeaseRecord};
use crate::codec::{self, CodecError, RecordKind, messages};
use crate::txn::{Change, KeyValue};

/// Grows when an older version could not read a snapshot any more.
const FORMAT: u8 = 1;

impl Keyspace {
    pub fn to_snapshot(&self) -> Vec<u8> {
        let state = messages::State {
            revision: self.revision,
            oldest: self.history.oldest(),
            cluster: self.cluster,
            invited: self.invited.iter().cloned().collect(),
            keys: self.table.iter().map(Into::into).collect(),
            leases: self.leases().map(Into::into).collect(),
            history: self.history.entries().map(Into::into).collect(),
        };
        codec::seal(RecordKind::Snapshot, FORMAT, &state.encode_to_vec())
    }

    pub fn from_snapshot(snapshot: &[u8]) -> Result<Self, CodecError> {
        let (_, body) = codec::open(RecordKind::Snapshot, FORMAT, snapshot)?;
        let state: messages::State = codec::whole(body)?;
        let mut space = Self {
            revision: state.revision,
            table: Table::default(),
            leases: leases(state.leases)?,
            history: history(state.history, state.oldest, state.revision)?,
            cluster: state.cluster,
            invited: state.invited.into_iter().collect(),
        };
        state.keys.into_iter().try_for_each(|kv| space.restore(kv.into()))?;
        Ok(space)
    }

    fn restore(&mut self, kv: KeyValue) -> Result<(), CodecError> {
        if self.table.get(&kv.key).is_some() {
            return Err(unfit("a key is there twice"));
        }
        if kv.lease != 0 && !self.leases.has(kv.lease) {
            return Err(unfit("a key has a lease that does not exist"));
        }
        self.place(kv);
        Ok(())
    }
}

fn leases(stored: Vec<messages::StoredLease>) -> Result<Leases, CodecError> {
    let mut leases = Leases::default();
    for messages::StoredLease { id, ttl, renewed } in stored {
        if id == 0 || leases.has(id) {
            return Err(unfit("a lease has no number of its own"));
        }
        leases.insert(id, Lease::new(codec::duration(ttl)?, renewed));
    }
    Ok(leases)
}

fn history(stored: Vec<messages::HistoryEntry>, oldest: u64, newest: u64) -> Result<History, CodecError> {
    let entries = stored.into_iter().map(|entry| codec::all(entry.changes)).collect::<Result<VecDeque<_>, _>>()?;
    History::restored(entries, oldest, newest).ok_or_else(|| unfit("its history does not lead to its revision"))
}

/// The checksum was right, so it was written so: by a fault of ours.
fn unfit(why: &str) -> CodecError {
    CodecError::Garbled(why.into())
}

impl From<LeaseRecord<'_>> for messages::StoredLease {
    fn from(lease: LeaseRecord<'_>) -> Self {
        Self { id: lease.id, ttl: Some(lease.ttl.into()), renewed: lease.renewed }
    }
}

impl From<&Vec<Change>> for messages::HistoryEntry {
    fn from(changes: &Vec<Change>) -> Self {
        Self { changes: changes.iter().map(Into::into).collect() }
    }
}
