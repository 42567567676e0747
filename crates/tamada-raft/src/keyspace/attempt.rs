//! A transaction while it is carried out.
//!
//! Operations are done one after the other on the keys themselves, and each is noted. If one of them is refused, the
//! notes are taken back from the last to the first, and nothing has happened. Looking first whether all can be done would
//! be the other way; but then each rule would have to be told twice, once for looking and once for doing.

use std::time::Duration;
use std::vec;

use bytes::Bytes;

use super::leases::Lease;
use super::{Applied, Keyspace, LeaseTouched, compare, limits, table};
use crate::txn::{
    Change, ChangeKind, Delete, Expiry, KeyValue, LeaseId, Op, OpReply, Outcome, Previous, Put, Range, Refusal,
    Revision, Txn, TxnReply, What,
};

pub(super) struct Attempt<'k> {
    space: &'k mut Keyspace,
    index: u64,
    bytes_before: u64,
    bytes_answered: u64,
    done: Vec<Done>,
}

/// What was done, with all that is needed to take it back.
enum Done {
    Changed(Change),
    Granted {
        id: LeaseId,
        ttl: Duration,
    },
    Renewed {
        id: LeaseId,
        before: u64,
    },
    /// After its keys were deleted.
    Ended {
        id: LeaseId,
        lease: Lease,
    },
}

impl<'k> Attempt<'k> {
    pub fn new(space: &'k mut Keyspace, index: u64) -> Self {
        let bytes_before = space.bytes();
        Self { space, index, bytes_before, bytes_answered: 0, done: Vec::new() }
    }

    pub fn carry_out(&mut self, txn: &Txn) -> Result<TxnReply, Refusal> {
        let mut branches = compare::branches(&self.space.table, txn).into_iter();
        let reply = self.txn(txn, &mut branches)?;
        limits::growth(self.bytes_before, self.space.bytes())?;
        Ok(reply)
    }

    /// Ends the lease, unless it was renewed since it was judged.
    pub fn expire(&mut self, judged: &Expiry) {
        if self.space.leases.get(judged.lease).is_some_and(|lease| lease.renewed == judged.renewed) {
            self.end(judged.lease);
        }
    }

    /// What was done becomes a revision, if it changed any key.
    pub fn keep(self, reply: TxnReply) -> Applied {
        let mut changes = Vec::new();
        let mut leases = Vec::new();
        for done in self.done {
            match done {
                Done::Changed(change) => changes.push(change),
                Done::Granted { id, ttl } => leases.push(LeaseTouched::Granted { id, ttl }),
                Done::Renewed { id, before: _ } => leases.push(LeaseTouched::Renewed { id }),
                Done::Ended { id, lease: _ } => leases.push(LeaseTouched::Ended { id }),
            }
        }
        if !changes.is_empty() {
            self.space.revision += 1;
            self.space.history.add(changes.clone(), self.space.revision);
        }
        Applied { outcome: Outcome { revision: self.space.revision, result: Ok(reply) }, changes, leases }
    }

    /// Nothing of it has happened.
    pub fn give_up(self, refusal: Refusal) -> Applied {
        for done in self.done.into_iter().rev() {
            match done {
                Done::Changed(change) => self.space.take_back(change),
                Done::Granted { id, ttl: _ } => drop(self.space.leases.remove(id)),
                Done::Renewed { id, before } => drop(self.space.leases.renew(id, before)),
                Done::Ended { id, lease } => self.space.leases.insert(id, lease),
            }
        }
        self.space.without_changes(Err(refusal))
    }

    fn txn(&mut self, txn: &Txn, branches: &mut vec::IntoIter<bool>) -> Result<TxnReply, Refusal> {
        let held = branches.next().expect("one was decided for each transaction that is come to");
        let ops = if held { &txn.then } else { &txn.otherwise };
        let replies = ops.iter().map(|op| self.op(op, branches)).collect::<Result<_, _>>()?;
        Ok(TxnReply { held, replies })
    }

    fn op(&mut self, op: &Op, branches: &mut vec::IntoIter<bool>) -> Result<OpReply, Refusal> {
        match op {
            Op::Range(range) => self.range(range),
            Op::Put(put) => self.put(put),
            Op::Delete(delete) => self.delete(delete),
            Op::Txn(txn) => Ok(OpReply::Txn(self.txn(txn, branches)?)),
            Op::Grant { id, ttl } => self.grant(*id, *ttl),
            Op::KeepAlive(id) => self.keep_alive(*id),
            Op::Revoke(id) => self.revoke(*id),
        }
    }

    /// Without a revision it sees what was done so far; the revision that is being made cannot be asked for by number.
    fn range(&mut self, range: &Range) -> Result<OpReply, Refusal> {
        let space = &self.space;
        let reply = match range.at {
            None => table::reply(range, space.table.within(&range.keys)),
            Some(at) => {
                space.history.check(at, space.revision)?;
                let now = self.done.iter().rev().filter_map(Done::change);
                let then = space.table.before(&range.keys, now.chain(space.history.newest_first(at, space.revision)));
                table::reply(range, then.into_values())
            }
        };
        self.answer(&reply.kvs)?;
        Ok(OpReply::Range(reply))
    }

    fn put(&mut self, put: &Put) -> Result<OpReply, Refusal> {
        let before = self.space.table.get(&put.key).cloned();
        let value = match (&put.value, &before) {
            // Copied, because what came over a connection may be a small part of a large buffer.
            (What::Set(value), _) => Bytes::copy_from_slice(value),
            (What::Keep, Some(before)) => before.value.clone(),
            (What::Keep, None) => return Err(Refusal::KeyNotFound),
        };
        let lease = match (&put.lease, &before) {
            (What::Set(lease), _) => self.existing(*lease)?,
            (What::Keep, Some(before)) => before.lease,
            (What::Keep, None) => return Err(Refusal::KeyNotFound),
        };
        let now = self.written(&put.key, before.as_ref(), value, lease);
        let previous = self.asked(put.previous, before.as_ref())?;
        self.change(Change { now, kind: ChangeKind::Put, previous: before });
        Ok(OpReply::Put { previous })
    }

    fn written(&self, key: &Bytes, before: Option<&KeyValue>, value: Bytes, lease: LeaseId) -> KeyValue {
        let modified = self.making();
        match before {
            Some(before) => {
                let KeyValue { ref key, created, version, .. } = *before;
                KeyValue { key: key.clone(), value, created, modified, version: version + 1, lease }
            }
            None => {
                let key = Bytes::copy_from_slice(key);
                KeyValue { key, value, created: modified, modified, version: 1, lease }
            }
        }
    }

    fn delete(&mut self, delete: &Delete) -> Result<OpReply, Refusal> {
        let found: Vec<KeyValue> = self.space.table.within(&delete.keys).cloned().collect();
        let count = found.len() as u64;
        found.iter().for_each(|kv| self.remove(kv.clone()));
        let previous = match delete.previous {
            Previous::Asked => found,
            Previous::Unasked => Vec::new(),
        };
        self.answer(&previous)?;
        Ok(OpReply::Delete { count, previous })
    }

    fn grant(&mut self, id: LeaseId, ttl: Duration) -> Result<OpReply, Refusal> {
        let id = if id == 0 { self.unused_id() } else { id };
        let leases = &mut self.space.leases;
        if leases.has(id) {
            return Err(Refusal::LeaseExists);
        }
        leases.insert(id, Lease::new(ttl, self.index));
        self.done.push(Done::Granted { id, ttl });
        Ok(OpReply::Lease { id, ttl })
    }

    fn unused_id(&self) -> LeaseId {
        let cluster = self.space.cluster.unwrap_or_default();
        self.space.leases.unused_id(cluster, self.index, self.done.len() as u64)
    }

    fn keep_alive(&mut self, id: LeaseId) -> Result<OpReply, Refusal> {
        let (ttl, before) = self.space.leases.renew(id, self.index).ok_or(Refusal::LeaseNotFound)?;
        self.done.push(Done::Renewed { id, before });
        Ok(OpReply::Lease { id, ttl })
    }

    fn revoke(&mut self, id: LeaseId) -> Result<OpReply, Refusal> {
        let ttl = self.space.leases.get(id).ok_or(Refusal::LeaseNotFound)?.ttl;
        self.end(id);
        Ok(OpReply::Lease { id, ttl })
    }

    /// Deletes the keys of the lease, in the order of their names, and then the lease.
    fn end(&mut self, id: LeaseId) {
        let keys = self.space.leases.get(id).map(|lease| lease.keys.clone()).unwrap_or_default();
        for key in keys {
            if let Some(kv) = self.space.table.get(&key).cloned() {
                self.remove(kv);
            }
        }
        if let Some(lease) = self.space.leases.remove(id) {
            self.done.push(Done::Ended { id, lease });
        }
    }

    fn remove(&mut self, kv: KeyValue) {
        let now = KeyValue {
            key: kv.key.clone(),
            value: Bytes::new(),
            created: 0,
            modified: self.making(),
            version: 0,
            lease: 0,
        };
        self.change(Change { now, kind: ChangeKind::Delete, previous: Some(kv) });
    }

    fn change(&mut self, change: Change) {
        self.space.change(&change);
        self.done.push(Done::Changed(change));
    }

    /// The revision that this transaction makes, if it changes anything.
    fn making(&self) -> Revision {
        self.space.revision + 1
    }

    fn existing(&self, lease: LeaseId) -> Result<LeaseId, Refusal> {
        let exists = lease == 0 || self.space.leases.has(lease);
        exists.then_some(lease).ok_or(Refusal::LeaseNotFound)
    }

    fn asked(&mut self, previous: Previous, before: Option<&KeyValue>) -> Result<Option<KeyValue>, Refusal> {
        match (previous, before) {
            (Previous::Asked, Some(before)) => {
                self.answer(std::slice::from_ref(before))?;
                Ok(Some(before.clone()))
            }
            (Previous::Asked, None) | (Previous::Unasked, _) => Ok(None),
        }
    }

    /// Counts what the answer has to carry.
    fn answer(&mut self, kvs: &[KeyValue]) -> Result<(), Refusal> {
        self.bytes_answered += kvs.iter().map(table::weight).sum::<u64>();
        limits::answer(self.bytes_answered)
    }
}

impl Done {
    fn change(&self) -> Option<&Change> {
        match self {
            Done::Changed(change) => Some(change),
            Done::Granted { .. } | Done::Renewed { .. } | Done::Ended { .. } => None,
        }
    }
}

impl Keyspace {
    fn change(&mut self, change: &Change) {
        if let Some(previous) = &change.previous {
            self.leases.detach(previous.lease, &previous.key);
        }
        match change.kind {
            ChangeKind::Put => self.place(change.now.clone()),
            ChangeKind::Delete => self.table.remove(&change.now.key),
        }
    }

    fn take_back(&mut self, change: Change) {
        self.leases.detach(change.now.lease, &change.now.key);
        match change.previous {
            Some(previous) => self.place(previous),
            None => self.table.remove(&change.now.key),
        }
    }

    pub(super) fn place(&mut self, kv: KeyValue) {
        self.leases.attach(kv.lease, &kv.key);
        self.table.set(kv);
    }
}
