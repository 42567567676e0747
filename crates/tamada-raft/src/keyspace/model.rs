//! The rules once more, written to be seen through instead of to be fast: every revision is a copy of everything, and a
//! transaction works on a copy that is thrown away if it is refused. [`super::chance`] compares the two.
//!
//! It has no limits, forgets only when told to, and cannot choose ids of leases.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::{Applied, LeaseTouched};
use crate::txn::{
    Change, ChangeKind, Command, Compare, Is, KeyValue, Keys, LeaseId, Op, OpReply, Operand, Outcome, Part, Previous,
    Put, Range, RangeReply, Refusal, Revision, Txn, TxnReply, What,
};

#[derive(Clone, Debug)]
pub struct Model {
    /// The keys at revision 1, at revision 2, and so on.
    worlds: Vec<World>,
    /// What made revision 2, revision 3, and so on.
    made: Vec<Vec<Change>>,
    pub leases: Vec<Lease>,
    pub oldest: Revision,
    pub cluster: Option<u64>,
    pub invited: BTreeSet<String>,
}

/// In the order of their names.
type World = Vec<KeyValue>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub id: LeaseId,
    pub ttl: Duration,
    pub renewed: u64,
}

impl Model {
    pub fn new() -> Self {
        let (worlds, made, leases) = (vec![World::new()], Vec::new(), Vec::new());
        Self { worlds, made, leases, oldest: 0, cluster: None, invited: BTreeSet::new() }
    }

    pub fn revision(&self) -> Revision {
        self.worlds.len() as u64
    }

    fn world(&self) -> &World {
        self.worlds.last().expect("the first is empty, but there")
    }

    pub fn keys_of(&self, lease: LeaseId) -> BTreeSet<Bytes> {
        self.world().iter().filter(|kv| kv.lease == lease).map(|kv| kv.key.clone()).collect()
    }

    pub fn apply(&mut self, index: u64, command: &Command) -> Applied {
        let mut draft = Draft {
            revision: self.revision() + 1,
            index,
            world: self.world().clone(),
            leases: self.leases.clone(),
            made: Vec::new(),
            touched: Vec::new(),
        };
        let result = match command {
            Command::Txn(txn) if writes_twice(txn) => Err(Refusal::DuplicateKey),
            Command::Txn(txn) => draft.txn(self, txn),
            Command::Expire(judged) => {
                judged.iter().for_each(|expiry| draft.expire(expiry.lease, expiry.renewed));
                held(true)
            }
            Command::Compact(before) => self.compact(*before),
            Command::Found { cluster } => {
                let is_first = self.cluster.is_none();
                self.cluster = self.cluster.or(Some(*cluster));
                held(is_first)
            }
            Command::Invite { address } => held(self.invited.insert(address.clone())),
            Command::Disinvite { address } => held(self.invited.remove(address)),
        };
        if result.is_err() {
            return self.applied(result, Vec::new(), Vec::new());
        }
        if !draft.made.is_empty() {
            self.worlds.push(draft.world);
            self.made.push(draft.made.clone());
        }
        self.leases = draft.leases;
        self.applied(result, draft.made, draft.touched)
    }

    fn applied(&self, result: Result<TxnReply, Refusal>, changes: Vec<Change>, leases: Vec<LeaseTouched>) -> Applied {
        Applied { outcome: Outcome { revision: self.revision(), result }, changes, leases }
    }

    fn compact(&mut self, before: Revision) -> Result<TxnReply, Refusal> {
        if before <= self.oldest {
            return Err(Refusal::Compacted { oldest: self.oldest });
        }
        if before > self.revision() {
            return Err(Refusal::FutureRevision { newest: self.revision() });
        }
        self.oldest = before;
        held(true)
    }

    pub fn range(&self, range: &Range) -> Result<RangeReply, Refusal> {
        self.range_in(self.world(), range)
    }

    fn range_in(&self, now: &World, range: &Range) -> Result<RangeReply, Refusal> {
        let world = match range.at {
            None => now,
            Some(at) if at > self.revision() => return Err(Refusal::FutureRevision { newest: self.revision() }),
            Some(at) if at < self.oldest => return Err(Refusal::Compacted { oldest: self.oldest }),
            Some(0) => &World::new(),
            Some(at) => &self.worlds[at as usize - 1],
        };
        let mut kvs: Vec<KeyValue> = world.iter().filter(|kv| range.keys.contain(&kv.key)).cloned().collect();
        let count = kvs.len() as u64;
        if range.limit > 0 {
            kvs.truncate(range.limit as usize);
        }
        match range.part {
            Part::Whole => {}
            Part::KeysOnly => kvs.iter_mut().for_each(|kv| kv.value.clear()),
            Part::CountOnly => kvs.clear(),
        }
        Ok(RangeReply { kvs, count })
    }

    pub fn changes_since(&self, keys: &Keys, from: Revision) -> Option<Vec<(Revision, Vec<Change>)>> {
        let mut found = Vec::new();
        for revision in from.max(2)..=self.revision() {
            let mut changes = self.made[revision as usize - 2].clone();
            changes.retain(|change| keys.contain(&change.now.key));
            found.push((revision, changes));
        }
        found.retain(|(_, changes)| !changes.is_empty());
        (from >= self.oldest).then_some(found)
    }

    fn holds(&self, compare: &Compare) -> bool {
        let nothing =
            KeyValue { key: Bytes::new(), value: Bytes::new(), created: 0, modified: 0, version: 0, lease: 0 };
        let mut asked: World = self.world().iter().filter(|kv| compare.keys.contain(&kv.key)).cloned().collect();
        if asked.is_empty() {
            if let Operand::Value(_) = compare.to {
                return false;
            }
            asked.push(nothing);
        }
        asked.iter().all(|kv| match &compare.to {
            Operand::Version(version) => is(kv.version, compare.is, *version),
            Operand::Created(created) => is(kv.created, compare.is, *created),
            Operand::Modified(modified) => is(kv.modified, compare.is, *modified),
            Operand::Value(value) => is(&kv.value, compare.is, value),
            Operand::Lease(lease) => is(kv.lease, compare.is, *lease),
        })
    }
}

fn is<T: Ord>(a: T, is: Is, b: T) -> bool {
    match is {
        Is::Equal => a == b,
        Is::NotEqual => a != b,
        Is::Greater => a > b,
        Is::Less => a < b,
    }
}

fn held(held: bool) -> Result<TxnReply, Refusal> {
    Ok(TxnReply { held, replies: Vec::new() })
}

struct Draft {
    revision: Revision,
    index: u64,
    world: World,
    leases: Vec<Lease>,
    made: Vec<Change>,
    touched: Vec<LeaseTouched>,
}

impl Draft {
    /// Comparisons look at what was before, so that it is all the same when they are made.
    fn txn(&mut self, before: &Model, txn: &Txn) -> Result<TxnReply, Refusal> {
        let held = txn.when.iter().all(|compare| before.holds(compare));
        let mut replies = Vec::new();
        for op in if held { &txn.then } else { &txn.otherwise } {
            replies.push(self.op(before, op)?);
        }
        Ok(TxnReply { held, replies })
    }

    fn op(&mut self, before: &Model, op: &Op) -> Result<OpReply, Refusal> {
        match op {
            Op::Range(range) => before.range_in(&self.world, range).map(OpReply::Range),
            Op::Put(put) => self.put(put),
            Op::Delete(delete) => {
                let (gone, left) = self.world.drain(..).partition(|kv| delete.keys.contain(&kv.key));
                self.world = left;
                let (gone, asked): (Vec<KeyValue>, _) = (gone, delete.previous == Previous::Asked);
                gone.iter().for_each(|kv| self.made.push(deletion(kv, self.revision)));
                let count = gone.len() as u64;
                Ok(OpReply::Delete { count, previous: if asked { gone } else { Vec::new() } })
            }
            Op::Txn(txn) => self.txn(before, txn).map(OpReply::Txn),
            Op::Grant { id, ttl } => match self.leases.iter().any(|lease| lease.id == *id) {
                true => Err(Refusal::LeaseExists),
                false => {
                    self.leases.push(Lease { id: *id, ttl: *ttl, renewed: self.index });
                    self.touched.push(LeaseTouched::Granted { id: *id, ttl: *ttl });
                    Ok(OpReply::Lease { id: *id, ttl: *ttl })
                }
            },
            Op::KeepAlive(id) => {
                let index = self.index;
                let lease = self.lease(*id)?;
                lease.renewed = index;
                let ttl = lease.ttl;
                self.touched.push(LeaseTouched::Renewed { id: *id });
                Ok(OpReply::Lease { id: *id, ttl })
            }
            Op::Revoke(id) => {
                let ttl = self.lease(*id)?.ttl;
                self.end(*id);
                Ok(OpReply::Lease { id: *id, ttl })
            }
        }
    }

    fn put(&mut self, put: &Put) -> Result<OpReply, Refusal> {
        let previous = self.world.iter().find(|kv| kv.key == put.key).cloned();
        let keeps = put.value == What::Keep || put.lease == What::Keep;
        if keeps && previous.is_none() {
            return Err(Refusal::KeyNotFound);
        }
        let mut now = previous.clone().unwrap_or(KeyValue {
            key: put.key.clone(),
            value: Bytes::new(),
            created: self.revision,
            modified: 0,
            version: 0,
            lease: 0,
        });
        if let What::Set(value) = &put.value {
            now.value = value.clone();
        }
        if let What::Set(lease) = put.lease {
            now.lease = lease;
        }
        if now.lease != 0 {
            self.lease(now.lease)?;
        }
        now.version += 1;
        now.modified = self.revision;
        self.world.retain(|kv| kv.key != put.key);
        self.world.push(now.clone());
        self.world.sort_by(|a, b| a.key.cmp(&b.key));
        self.made.push(Change { now, kind: ChangeKind::Put, previous: previous.clone() });
        Ok(OpReply::Put { previous: previous.filter(|_| put.previous == Previous::Asked) })
    }

    fn lease(&mut self, id: LeaseId) -> Result<&mut Lease, Refusal> {
        self.leases.iter_mut().find(|lease| lease.id == id).ok_or(Refusal::LeaseNotFound)
    }

    fn expire(&mut self, id: LeaseId, renewed: u64) {
        if self.lease(id).is_ok_and(|lease| lease.renewed == renewed) {
            self.end(id);
        }
    }

    fn end(&mut self, id: LeaseId) {
        let gone: Vec<KeyValue> = self.world.iter().filter(|kv| kv.lease == id).cloned().collect();
        self.world.retain(|kv| kv.lease != id);
        self.made.extend(gone.iter().map(|kv| deletion(kv, self.revision)));
        self.leases.retain(|lease| lease.id != id);
        self.touched.push(LeaseTouched::Ended { id });
    }
}

fn deletion(kv: &KeyValue, modified: Revision) -> Change {
    let now = KeyValue { key: kv.key.clone(), value: Bytes::new(), created: 0, modified, version: 0, lease: 0 };
    Change { now, kind: ChangeKind::Delete, previous: Some(kv.clone()) }
}

/// One put or delete, with the way to it: in each transaction on the way, which operation of which branch.
struct Write<'t> {
    way: Vec<(usize, bool)>,
    act: Act<'t>,
}

enum Act<'t> {
    Put(&'t Bytes),
    Delete(&'t Keys),
}

/// Looks at every pair of writes of each branch.
fn writes_twice(txn: &Txn) -> bool {
    [&txn.then, &txn.otherwise].iter().any(|ops| {
        let mut writes = Vec::new();
        collect(ops, &[], &mut writes);
        let mut pairs = (0..writes.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        pairs.any(|(a, b)| collide(&writes[a], &writes[b]))
    })
}

fn collect<'t>(ops: &'t [Op], way: &[(usize, bool)], writes: &mut Vec<Write<'t>>) {
    for (place, op) in ops.iter().enumerate() {
        let on = |branch: bool| -> Vec<(usize, bool)> { way.iter().copied().chain([(place, branch)]).collect() };
        match op {
            Op::Put(put) => writes.push(Write { way: on(true), act: Act::Put(&put.key) }),
            Op::Delete(delete) => writes.push(Write { way: on(true), act: Act::Delete(&delete.keys) }),
            Op::Txn(txn) => {
                collect(&txn.then, &on(true), writes);
                collect(&txn.otherwise, &on(false), writes);
            }
            Op::Range(_) | Op::Grant { .. } | Op::KeepAlive(_) | Op::Revoke(_) => {}
        }
    }
}

/// `a` comes first. Where their ways part, both go on into nested transactions, or one is there already.
fn collide(a: &Write<'_>, b: &Write<'_>) -> bool {
    let parts = a.way.iter().zip(&b.way).position(|(a, b)| a != b).expect("each write has a place of its own");
    let exclude_each_other = a.way[parts].0 == b.way[parts].0;
    let both_are_nested = a.way.len() > parts + 1 && b.way.len() > parts + 1;
    match (&a.act, &b.act) {
        _ if exclude_each_other => false,
        (Act::Put(a), Act::Put(b)) => a == b,
        (Act::Put(key), Act::Delete(keys)) => keys.contain(key) && !both_are_nested,
        (Act::Delete(keys), Act::Put(key)) => keys.contain(key),
        (Act::Delete(_), Act::Delete(_)) => false,
    }
}
