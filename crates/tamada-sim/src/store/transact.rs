//! Carrying out a transaction: all of it or nothing.

use std::sync::Arc;

use tamada_model::MemberName;
use tamada_wire::keys::LEADER;

use super::changes::Happened;
use super::txn::{Compare, Key, LeaseId, Op, Outcome, Refusal, Reply, Revision, Txn};
use super::{Entry, Lease, Store};
use crate::Moment;
use crate::plant::Planted;

/// When something is done: at this moment, and if it changes any key, under this revision.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub revision: Revision,
    pub now: Moment,
}

impl Store {
    pub(super) fn carry_out(&mut self, txn: &Txn, now: Moment) -> Outcome {
        let at = self.next(now);
        let held = self.holds(txn);
        let ops = branch(txn, held);
        let result = match self.refusal(ops) {
            Some(refusal) => Err(refusal),
            None => {
                let mut reply = Reply { held, ..Reply::default() };
                ops.iter().for_each(|op| self.act(op, &mut reply, at));
                Ok(reply)
            }
        };
        Outcome { revision: self.revision, result }
    }

    pub(super) fn next(&self, now: Moment) -> At {
        At { revision: self.revision + 1, now }
    }

    fn holds(&self, txn: &Txn) -> bool {
        txn.when.iter().all(|compare| self.compare(compare))
    }

    /// What keys have to say against a write. The only place where the store judges one.
    fn compare(&self, compare: &Compare) -> bool {
        let entry = |key: &Key| self.entries.get(key);
        match compare {
            Compare::CreatedAt(..) | Compare::ModifiedAt(..) if self.plants.has(Planted::StaleSwapAccepted) => true,
            Compare::CreatedAt(key, at) => entry(key).map_or(0, |entry| entry.created) == *at,
            Compare::ModifiedAt(key, at) => entry(key).map_or(0, |entry| entry.modified) == *at,
            Compare::Under(key, lease) => entry(key).map_or(0, |entry| entry.lease) == *lease,
            Compare::Has(key, value) => entry(key).is_some_and(|entry| entry.value == *value),
        }
    }

    /// What leases have to say. Nobody asks of inner transactions: they name leases that are granted beside them.
    fn refusal(&self, ops: &[Op]) -> Option<Refusal> {
        let exists = |lease: &LeaseId| *lease == 0 || self.leases.contains_key(lease);
        let refused = |op: &Op| match op {
            Op::Put { lease, .. } | Op::Move { lease, .. } | Op::KeepAlive(lease) | Op::Revoke(lease) => {
                (!exists(lease)).then_some(Refusal::LeaseNotFound)
            }
            Op::Grant { lease, .. } => exists(lease).then_some(Refusal::LeaseExists),
            Op::Look(_) | Op::Delete(_) | Op::DeleteAll | Op::Txn(_) => None,
        };
        ops.iter().find_map(refused)
    }

    fn act(&mut self, op: &Op, reply: &mut Reply, at: At) {
        match op {
            Op::Look(key) => reply.looks.push(self.entries.get(key).cloned()),
            Op::Put { key, value, lease } => self.put(key, value, *lease, at),
            Op::Move { key, lease } => {
                if let Some(value) = self.entries.get(key).map(|entry| entry.value.clone()) {
                    self.put(key, &value, *lease, at);
                }
            }
            Op::Delete(key) => self.delete(key, at),
            Op::DeleteAll => {
                let keys: Vec<Key> = self.entries.keys().cloned().collect();
                keys.iter().for_each(|key| self.delete(key, at));
            }
            Op::Txn(txn) => branch(txn, self.holds(txn)).iter().for_each(|op| self.act(op, reply, at)),
            Op::Grant { lease, ttl } => {
                self.leases.insert(*lease, Lease { ttl: *ttl, end: at.now + *ttl });
            }
            Op::KeepAlive(lease) => {
                if let Some(lease) = self.leases.get_mut(lease) {
                    lease.end = at.now + lease.ttl;
                    reply.renewed = true;
                }
            }
            Op::Revoke(lease) => self.end(*lease, at),
        }
    }

    fn put(&mut self, key: &Key, value: &Arc<str>, lease: LeaseId, at: At) {
        let before = self.entries.get(key).map(|entry| entry.created);
        let (created, modified) = (before.unwrap_or(at.revision), at.revision);
        self.entries.insert(key.clone(), Entry { value: value.clone(), created, modified, lease });
        self.note(key, before.map_or(Happened::Created, |_| Happened::Overwritten), at);
    }

    fn delete(&mut self, key: &Key, at: At) {
        if self.entries.remove(key).is_some() {
            self.note(key, Happened::Deleted, at);
        }
    }

    /// Ends the lease, with all that is under it.
    pub(super) fn end(&mut self, lease: LeaseId, at: At) {
        self.leases.remove(&lease);
        let is_under = |(key, entry): (&Key, &Entry)| (entry.lease == lease).then(|| key.clone());
        let keys: Vec<Key> = self.entries.iter().filter_map(is_under).collect();
        keys.iter().for_each(|key| self.delete(key, at));
    }

    /// A key changed.
    pub(super) fn note(&mut self, key: &Key, happened: Happened, at: At) {
        self.revision = at.revision;
        self.changes.add(key, happened);
        self.shown.changed(key, at.now);
        if key == LEADER {
            let named = self.entries.get(LEADER).filter(|entry| !entry.value.is_empty());
            self.holder = named.map(|entry| MemberName::new(&entry.value));
        }
    }
}

fn branch(txn: &Txn, held: bool) -> &[Op] {
    if held { &txn.then } else { &txn.otherwise }
}
