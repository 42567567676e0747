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
mod request;
mod shown;
#[cfg(test)]
mod tests;
mod transact;
mod txn;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Cluster, MemberName};
use tamada_wire::keys::{FAILSAFE, LEADER, STATUS};

pub use changes::{Changed, Changes};
pub use client::{Client, Heard};
pub use request::Request;
pub use txn::Revision;

use changes::Happened;
use request::Ask;
use shown::Shown;
use transact::At;
use txn::{Found, Key, LeaseId, Op, Outcome, Txn};

use crate::Moment;
use crate::plant::Plants;

#[derive(Clone, Debug, Default)]
pub struct Store {
    entries: BTreeMap<Key, Entry>,
    leases: BTreeMap<LeaseId, Lease>,
    revision: Revision,
    /// Whom `leader` names.
    holder: Option<MemberName>,
    shown: Shown,
    changes: Changes,
    plants: Plants,
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
    pub fn with(plants: Plants) -> Self {
        Self { plants, ..Self::default() }
    }

    pub fn handle(&mut self, request: &Request, now: Moment) -> Answer {
        match &request.message().ask {
            Ask::Read { member, .. } => self.read(member),
            Ask::Write(txn) => Answer::Written(self.carry_out(txn, now)),
        }
    }

    /// The same by a voter that is behind. It lags in what it shows, and only as far as the asker will not notice that
    /// time went back; writes go through the one that leads.
    pub fn handle_behind(&mut self, request: &Request, behind: Duration, now: Moment) -> Answer {
        match &request.message().ask {
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
            self.end(lease, self.next(now));
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
        let ours = WrittenAt { member: at(member), status: at(STATUS), failsafe: at(FAILSAFE) };
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
        let after: Vec<Key> = self.entries.keys().cloned().collect();
        let at = At { revision: self.revision, now };
        before.into_keys().for_each(|key| self.note(&key, Happened::Deleted, at));
        after.iter().for_each(|key| self.note(key, Happened::Created, at));
        self.shown = Shown::all(&self.entries, self.revision);
    }
}
