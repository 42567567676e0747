//! A model of the configuration store, and of a member's side of it.
//!
//! The store is one register machine with etcd's semantics: transactions over keys, revisions, leases. It knows nothing
//! of networks: a [`Request`] that is handed to it late, or twice, is carried out late, or twice, and what becomes of it
//! then is decided by what it says, as in the real stores. A [`Client`] composes requests and reads answers, step by
//! step as `tamada-dcs` does for the embedded store; why each request says what it says is told there.
//!
//! It must not be kinder than the world: both together pass the conformance suite that real stores pass.

mod changes;
mod client;
mod lease;
mod lock;
mod ours;
mod shown;
mod txn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Cluster, MemberName};
use tamada_wire::keys::LEADER;

pub use changes::{Changed, Changes};
pub use client::{Client, Heard, Request};
pub use txn::Revision;

use changes::Happened;
use client::Ask;
use shown::Shown;
use txn::{Compare, Found, Key, LeaseId, Op, Outcome, Refusal, Reply, Txn};

use crate::Moment;

#[derive(Clone, Debug, Default)]
pub struct Store {
    entries: BTreeMap<Key, Entry>,
    leases: BTreeMap<LeaseId, Lease>,
    revision: Revision,
    /// Whom `leader` names.
    holder: Option<MemberName>,
    shown: Shown,
    changes: Changes,
}

/// A key's value and what the store knows about it.
type Entry = Found;

#[derive(Clone, Copy, Debug)]
struct Lease {
    ttl: Duration,
    end: Moment,
}

/// All that a backup of the store holds.
#[derive(Clone, Debug)]
pub struct Snapshot {
    entries: BTreeMap<Key, Entry>,
    leases: BTreeMap<LeaseId, Lease>,
    revision: Revision,
}

/// What one message from the store carries.
#[derive(Clone, Debug)]
pub enum Answer {
    Cluster {
        cluster: Arc<Cluster>,
        revision: Revision,
        /// When the keys that the asker writes were written; `None`: a voter that lags cannot tell.
        ours: Option<WrittenAt>,
    },
    Written(Outcome),
}

/// Revisions of the keys that a member writes again and again; 0: not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrittenAt {
    member: Revision,
    status: Revision,
    failsafe: Revision,
}

impl Store {
    pub fn handle(&mut self, request: &Request, now: Moment) -> Answer {
        match request.ask() {
            Ask::Read { member, .. } => self.read(member),
            Ask::Write(txn) => Answer::Written(self.carry_out(txn, now)),
        }
    }

    /// The same by a voter that is behind. It lags in what it shows, and only as far as the asker will not notice that
    /// time went back; writes go through the one that leads.
    pub fn handle_behind(&mut self, request: &Request, behind: Duration, now: Moment) -> Answer {
        match request.ask() {
            Ask::Read { at_least, .. } => match self.shown.at(now - behind, *at_least) {
                Some((revision, cluster)) => Answer::Cluster { cluster, revision, ours: None },
                None => self.handle(request, now),
            },
            Ask::Write(_) => self.handle(request, now),
        }
    }

    /// Takes away what ran out. Until it is called nothing does: a store may be late with it, and whoever renews in the
    /// meantime has gained by it.
    pub fn expire(&mut self, now: Moment) {
        let ended = |(id, lease): (&LeaseId, &Lease)| (lease.end <= now).then_some(*id);
        let ended: Vec<LeaseId> = self.leases.iter().filter_map(ended).collect();
        for lease in ended {
            self.once(|store| store.end(lease, now));
        }
    }

    pub fn next_expiry(&self) -> Option<Moment> {
        self.leases.values().map(|lease| lease.end).min()
    }

    /// The store elected a leader of its own, which does not know what was left of each lease: all begin anew.
    pub fn new_leader(&mut self, now: Moment) {
        for lease in self.leases.values_mut() {
            lease.end = now + lease.ttl;
        }
    }

    /// What changed since this was asked last.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// As a reader sees the keys. Costs something only after a change.
    pub fn cluster(&mut self) -> Arc<Cluster> {
        self.shown.newest(&self.entries, self.revision)
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The truth: who holds the lock, and until when if it is not renewed.
    pub fn leader(&self) -> Option<(&MemberName, Moment)> {
        let lease = self.entries.get(LEADER)?.lease;
        let end = self.leases.get(&lease).map_or(Moment::END, |lease| lease.end);
        Some((self.holder.as_ref()?, end))
    }

    fn read(&mut self, member: &Key) -> Answer {
        let at = |key: &str| self.entries.get(key).map_or(0, |entry| entry.modified);
        let ours = WrittenAt {
            member: at(member),
            status: at(tamada_wire::keys::STATUS),
            failsafe: at(tamada_wire::keys::FAILSAFE),
        };
        Answer::Cluster { cluster: self.cluster(), revision: self.revision, ours: Some(ours) }
    }
}

/// Operators, and what can befall a store.
impl Store {
    pub fn put_raw(&mut self, key: &str, value: &str, now: Moment) {
        let put = Op::Put { key: Key::Owned(key.to_owned()), value: value.into(), lease: 0 };
        self.carry_out(&Txn::just([put]), now);
    }

    pub fn delete_raw(&mut self, key: &str, now: Moment) {
        self.carry_out(&Txn::just([Op::Delete(Key::Owned(key.to_owned()))]), now);
    }

    /// The text of a key.
    pub fn raw(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(|entry| &*entry.value)
    }

    /// Ends a lease by hand, by the name under which members show it.
    pub fn end_session(&mut self, session: &str, now: Moment) {
        if let Ok(lease) = session.parse() {
            self.carry_out(&Txn::just([Op::Revoke(lease)]), now);
        }
    }

    /// Somebody founded it anew: it is empty, and counts from the beginning.
    pub fn wipe(&mut self, now: Moment) {
        self.restore(&Store::default().snapshot(), now);
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot { entries: self.entries.clone(), leases: self.leases.clone(), revision: self.revision }
    }

    /// The store as it was, revisions included. Its leases begin anew.
    pub fn restore(&mut self, snapshot: &Snapshot, now: Moment) {
        let Snapshot { entries, leases, revision } = snapshot.clone();
        let before = std::mem::replace(&mut self.entries, entries);
        (self.leases, self.revision) = (leases, revision);
        self.new_leader(now);
        self.shown.forget_past();
        let after: Vec<Key> = self.entries.keys().cloned().collect();
        for key in before.into_keys() {
            self.note(&key, Happened::Deleted, now);
        }
        for key in after {
            self.note(&key, Happened::Created, now);
        }
    }
}

/// Transactions.
impl Store {
    /// All of it or nothing. A revision is made if any key changed.
    fn carry_out(&mut self, txn: &Txn, now: Moment) -> Outcome {
        let held = txn.when.iter().all(|compare| self.holds(compare));
        let ops = if held { &txn.then } else { &txn.otherwise };
        let result = match self.refusal(ops) {
            Some(refusal) => Err(refusal),
            None => {
                let mut reply = Reply { held, ..Reply::default() };
                self.once(|store| store.act_all(ops, &mut reply, now));
                Ok(reply)
            }
        };
        Outcome { revision: self.revision, result }
    }

    /// What keys and leases say against a write. The only place where the store judges a request.
    fn holds(&self, compare: &Compare) -> bool {
        let entry = |key: &Key| self.entries.get(key);
        match compare {
            Compare::CreatedAt(key, at) => entry(key).map_or(0, |entry| entry.created) == *at,
            Compare::ModifiedAt(key, at) => entry(key).map_or(0, |entry| entry.modified) == *at,
            Compare::Under(key, lease) => entry(key).map_or(0, |entry| entry.lease) == *lease,
            Compare::Has(key, value) => entry(key).is_some_and(|entry| entry.value == *value),
        }
    }

    fn refusal(&self, ops: &[Op]) -> Option<Refusal> {
        let granted = |lease: LeaseId| ops.iter().any(|op| matches!(op, Op::Grant { lease: new, .. } if *new == lease));
        let is_known = |lease: LeaseId| lease == 0 || self.leases.contains_key(&lease) || granted(lease);
        let refused = |op: &Op| match op {
            Op::Put { lease, .. } | Op::Move { lease, .. } | Op::KeepAlive(lease) | Op::Revoke(lease) => {
                (!is_known(*lease)).then_some(Refusal::LeaseNotFound)
            }
            Op::Grant { lease, .. } => self.leases.contains_key(lease).then_some(Refusal::LeaseExists),
            Op::Look(_) | Op::Delete(_) | Op::DeleteAll | Op::Txn(_) => None,
        };
        ops.iter().find_map(refused)
    }

    /// Whatever is changed is changed at one revision.
    fn once(&mut self, change: impl FnOnce(&mut Self) -> Change) {
        self.revision += 1;
        match change(self) {
            Change::Made => {}
            Change::None => self.revision -= 1,
        }
    }

    fn act_all(&mut self, ops: &[Op], reply: &mut Reply, now: Moment) -> Change {
        ops.iter().fold(Change::None, |change, op| change.and(self.act(op, reply, now)))
    }

    fn act(&mut self, op: &Op, reply: &mut Reply, now: Moment) -> Change {
        match op {
            Op::Look(key) => reply.looks.push(self.entries.get(key).cloned()),
            Op::Put { key, value, lease } => return self.put(key, value, *lease, now),
            Op::Move { key, lease } => {
                let value = self.entries.get(key).map(|entry| entry.value.clone());
                return value.map_or(Change::None, |value| self.put(key, &value, *lease, now));
            }
            Op::Delete(key) => return self.delete(key, now),
            Op::DeleteAll => {
                let keys: Vec<Key> = self.entries.keys().cloned().collect();
                return keys.iter().fold(Change::None, |change, key| change.and(self.delete(key, now)));
            }
            Op::Txn(txn) => {
                let held = txn.when.iter().all(|compare| self.holds(compare));
                return self.act_all(if held { &txn.then } else { &txn.otherwise }, reply, now);
            }
            Op::Grant { lease, ttl } => {
                self.leases.insert(*lease, Lease { ttl: *ttl, end: now + *ttl });
            }
            Op::KeepAlive(lease) => {
                if let Some(lease) = self.leases.get_mut(lease) {
                    lease.end = now + lease.ttl;
                    reply.renewed = true;
                }
            }
            Op::Revoke(lease) => return self.end(*lease, now),
        }
        Change::None
    }

    fn put(&mut self, key: &Key, value: &Arc<str>, lease: LeaseId, now: Moment) -> Change {
        let created = self.entries.get(key).map(|entry| entry.created);
        let happened = created.map_or(Happened::Created, |_| Happened::Overwritten);
        let (created, modified) = (created.unwrap_or(self.revision), self.revision);
        self.entries.insert(key.clone(), Entry { value: value.clone(), created, modified, lease });
        self.note(key, happened, now);
        Change::Made
    }

    fn delete(&mut self, key: &Key, now: Moment) -> Change {
        if self.entries.remove(key).is_none() {
            return Change::None;
        }
        self.note(key, Happened::Deleted, now);
        Change::Made
    }

    /// The lease, with all that is under it.
    fn end(&mut self, lease: LeaseId, now: Moment) -> Change {
        self.leases.remove(&lease);
        let is_under = |(key, entry): (&Key, &Entry)| (entry.lease == lease).then(|| key.clone());
        let keys: Vec<Key> = self.entries.iter().filter_map(is_under).collect();
        keys.iter().fold(Change::None, |change, key| change.and(self.delete(key, now)))
    }

    fn note(&mut self, key: &Key, happened: Happened, now: Moment) {
        self.changes.add(key, happened);
        self.shown.changed(key, now);
        if key == LEADER {
            let named = self.entries.get(LEADER).filter(|entry| !entry.value.is_empty());
            self.holder = named.map(|entry| MemberName::new(&entry.value));
        }
    }
}

/// Whether any key changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Made,
    None,
}

impl Change {
    fn and(self, other: Change) -> Change {
        match self {
            Change::Made => Change::Made,
            Change::None => other,
        }
    }
}
