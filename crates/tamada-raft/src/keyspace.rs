//! The replicated state machine: what a command does to the keys.
//!
//! Every voter applies the same commands in the same order, each to its own [`Keyspace`], and ends with the same bytes.
//! Therefore nothing here looks at a clock, at chance, at the disk or at the configuration, and every limit below is part
//! of what the log means: a voter with another limit would refuse what the others have done. Who changes one has to give
//! the commands a new form as well.
//!
//! What a transaction means is etcd's, word for word: one revision for all its changes, comparisons made before anything
//! is done (those of nested transactions too), ranges that see what the operations before them did, all of it or nothing.
//!
//! Leases have no time here. A lease knows its length and the log index of its last renewal; when that was, each voter
//! notes by its own clock. The consensus leader judges that a lease ran out and says so with a command
//! ([`Command::Expire`]), which names the renewal it knew of and does nothing to a lease that was renewed since.

mod attempt;
mod compare;
mod history;
mod leases;
mod limits;
mod snapshot;
mod table;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use crate::txn::{Change, Command, Keys, LeaseId, Outcome, Range, RangeReply, Refusal, Revision, Txn, TxnReply};
use attempt::Attempt;
use history::History;
use leases::{Lease, Leases};
use table::Table;

pub(crate) use history::Compacted;
pub(crate) use limits::acceptable;

/// All that voters agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyspace {
    revision: Revision,
    table: Table,
    leases: Leases,
    history: History,
    cluster: Option<u64>,
    invited: BTreeSet<String>,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub outcome: Outcome,
    /// In the order in which they were made, all of the outcome's revision.
    pub changes: Vec<Change>,
    /// In the order in which it happened: a lease may be granted and ended in one transaction.
    pub leases: Vec<LeaseTouched>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseTouched {
    Granted { id: LeaseId, ttl: Duration },
    Renewed { id: LeaseId },
    Ended { id: LeaseId },
}

/// A lease as all voters see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaseRecord<'a> {
    pub id: LeaseId,
    pub ttl: Duration,
    /// The log index of the entry that granted or renewed it last.
    pub renewed: u64,
    pub keys: &'a BTreeSet<Bytes>,
}

impl Default for Keyspace {
    /// Before the first command. The first change makes revision 2, as in etcd.
    fn default() -> Self {
        Self {
            revision: 1,
            table: Table::default(),
            leases: Leases::default(),
            history: History::default(),
            cluster: None,
            invited: BTreeSet::new(),
        }
    }
}

impl Keyspace {
    /// Carries out the command that stands at this index of the log.
    pub fn apply(&mut self, index: u64, command: &Command) -> Applied {
        match command {
            Command::Txn(txn) => self.transact(index, txn),
            Command::Expire(judged) => {
                let mut attempt = Attempt::new(self, index);
                judged.iter().for_each(|expiry| attempt.expire(expiry));
                attempt.keep(done(true))
            }
            Command::Compact(revision) => {
                let compacted = self.history.compact(*revision, self.revision);
                self.without_changes(compacted.map(|()| done(true)))
            }
            Command::Found { cluster } => {
                let is_first = self.cluster.is_none();
                self.cluster.get_or_insert(*cluster);
                self.without_changes(Ok(done(is_first)))
            }
            Command::Invite { address } => {
                let invited = self.invite(address);
                self.without_changes(invited)
            }
            Command::Disinvite { address } => {
                let was_invited = self.invited.remove(address);
                self.without_changes(Ok(done(was_invited)))
            }
        }
    }

    fn transact(&mut self, index: u64, txn: &Txn) -> Applied {
        if let Err(refusal) = limits::acceptable(txn) {
            return self.without_changes(Err(refusal));
        }
        let mut attempt = Attempt::new(self, index);
        match attempt.carry_out(txn) {
            Ok(reply) => attempt.keep(reply),
            Err(refusal) => attempt.give_up(refusal),
        }
    }

    fn invite(&mut self, address: &str) -> Result<TxnReply, Refusal> {
        limits::invitation(&self.invited, address)?;
        Ok(done(self.invited.insert(address.to_owned())))
    }

    fn without_changes(&self, result: Result<TxnReply, Refusal>) -> Applied {
        Applied { outcome: Outcome { revision: self.revision, result }, changes: Vec::new(), leases: Vec::new() }
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The cluster's own number, once it is founded.
    pub fn cluster(&self) -> Option<u64> {
        self.cluster
    }

    /// The store goes on as another one.
    pub fn belong_to(&mut self, cluster: u64) {
        self.cluster = Some(cluster);
    }

    /// The addresses at which newcomers may join.
    pub fn invited(&self) -> &BTreeSet<String> {
        &self.invited
    }

    pub fn range(&self, range: &Range) -> Result<RangeReply, Refusal> {
        let Some(at) = range.at else { return Ok(table::reply(range, self.table.within(&range.keys))) };
        self.history.check(at, self.revision)?;
        let then = self.table.before(&range.keys, self.history.newest_first(at, self.revision));
        Ok(table::reply(range, then.into_values()))
    }

    /// What happened to these keys from this revision on, revision by revision; what is to come may be asked for.
    pub fn changes_since(&self, keys: &Keys, from: Revision) -> Result<Vec<(Revision, Vec<Change>)>, Compacted> {
        self.history.since(keys, from, self.revision)
    }

    pub fn lease(&self, id: LeaseId) -> Option<LeaseRecord<'_>> {
        self.leases.get(id).map(|lease| record(id, lease))
    }

    pub fn leases(&self) -> impl Iterator<Item = LeaseRecord<'_>> {
        self.leases.iter().map(|(id, lease)| record(id, lease))
    }

    /// How much memory the keys and leases are counted as.
    pub fn bytes(&self) -> u64 {
        self.table.bytes() + self.leases.bytes()
    }
}

fn done(held: bool) -> TxnReply {
    TxnReply { held, replies: Vec::new() }
}

fn record(id: LeaseId, lease: &Lease) -> LeaseRecord<'_> {
    LeaseRecord { id, ttl: lease.ttl, renewed: lease.renewed, keys: &lease.keys }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod chance;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
