//! When a lease has run out.
//!
//! A lease has two ends, and the order between them is what keeps two primaries apart: its holder's, after which it does
//! not act any more, and ours, after which somebody else may. Ours must be the later one, whatever happens. No clock of
//! one host is ever compared with the clock of another; all that is used is that clocks run at the same speed.
//!
//! 1. The holder asks, and counts the lease from that moment, T.
//! 2. The consensus leader receives it and writes it into its log, at its own T1. Whatever the network and its queues did,
//!    that is after 1. It will call the lease run out at T1 + ttl: later than the holder.
//! 3. The other voters write the entry into their logs, at T2 and T3 of their own clocks: after 2.
//! 4. A majority has it, the holder is told, and goes on until T + ttl.
//! 5. The leader is lost. The new one was elected because its log has everything that a majority had, this renewal, too;
//!    it received it itself, at T2, and counts from T2. Nothing has to be handed over, and nothing was: each voter keeps
//!    this table all the time, and only the leader judges by it.
//!
//! So an entry counts from when this process *received* it. Counting from when it was applied would be just as safe, and
//! keep the holder's successor waiting for nothing. Where this process did not receive the renewal itself, the renewal was
//! earlier than it can know, and it grants the whole ttl anew:
//!
//! * What lay on the disk when it started counts from when it is applied.
//! * What came within a snapshot counts from when that was installed.
//!
//! A judgement may still come too late to be true. 6: the new leader's log has a renewal that it has not applied yet, so its
//! table shows the one before, which has run out, and it says so. 7: its word comes into the log behind that renewal,
//! names the renewal that it knew of, and finds that it was not the last (`Keyspace`). Nothing happens.
//!
//! The idea we rejected is a time in the log, written by the leader: it would have to be compared with other hosts'
//! clocks, or a new leader would have to guess how old it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::keyspace::{Keyspace, LeaseTouched};
use crate::{Expiry, LeaseId};

/// When each entry of the log that is not applied yet was received: instants of [`crate::clock::now`].
#[derive(Clone, Default)]
pub(super) struct Arrivals(Arc<Mutex<BTreeMap<u64, Duration>>>);

impl Arrivals {
    /// What was noted for these places before is forgotten: it was cut off.
    pub(super) fn note(&self, first: u64, count: usize, now: Duration) {
        let mut arrivals = self.locked();
        drop(arrivals.split_off(&first));
        arrivals.extend((first..).take(count).map(|index| (index, now)));
    }

    /// When this entry was received; forgets it, and all before it.
    pub(super) fn take(&self, index: u64) -> Option<Duration> {
        let mut arrivals = self.locked();
        let later = arrivals.split_off(&(index + 1));
        std::mem::replace(&mut *arrivals, later).remove(&index)
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<u64, Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The leases by their ends.
#[derive(Default)]
pub(super) struct Leases {
    leases: BTreeMap<LeaseId, Count>,
    by_end: BTreeSet<(Duration, LeaseId)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Count {
    /// The index of the entry that granted or renewed it last.
    renewed: u64,
    received: Duration,
    ttl: Duration,
}

impl Count {
    fn end(self) -> Duration {
        self.received + self.ttl
    }
}

impl Leases {
    /// What the entry at this index, received then, did to the leases.
    pub(super) fn touch(&mut self, index: u64, received: Duration, touched: &[LeaseTouched]) {
        for touched in touched {
            match *touched {
                LeaseTouched::Granted { id, ttl } => self.count(id, Count { renewed: index, received, ttl }),
                LeaseTouched::Renewed { id } => {
                    if let Some(ttl) = self.leases.get(&id).map(|count| count.ttl) {
                        self.count(id, Count { renewed: index, received, ttl });
                    }
                }
                LeaseTouched::Ended { id } => self.forget(id),
            }
        }
    }

    /// After the keys came as a whole. A renewal that this process received itself keeps its instant.
    pub(super) fn count_anew(&mut self, keyspace: &Keyspace, now: Duration) {
        let before = std::mem::take(self).leases;
        for lease in keyspace.leases() {
            let known = before.get(&lease.id).filter(|count| count.renewed == lease.renewed);
            let received = known.map_or(now, |count| count.received);
            self.count(lease.id, Count { renewed: lease.renewed, received, ttl: lease.ttl });
        }
    }

    pub(super) fn ran_out(&self, now: Duration) -> Vec<Expiry> {
        let over = self.by_end.iter().take_while(|(end, _)| *end <= now);
        over.filter_map(|(_, id)| self.leases.get(id).map(|count| Expiry { lease: *id, renewed: count.renewed }))
            .collect()
    }

    pub(super) fn next_end(&self) -> Option<Duration> {
        self.by_end.first().map(|(end, _)| *end)
    }

    pub(super) fn left(&self, id: LeaseId, now: Duration) -> Duration {
        self.leases.get(&id).map_or(Duration::ZERO, |count| count.end().saturating_sub(now))
    }

    fn count(&mut self, id: LeaseId, count: Count) {
        self.forget(id);
        self.leases.insert(id, count);
        self.by_end.insert((count.end(), id));
    }

    fn forget(&mut self, id: LeaseId) {
        if let Some(count) = self.leases.remove(&id) {
            self.by_end.remove(&(count.end(), id));
        }
    }
}
