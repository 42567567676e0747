//! The one lease of a member, as the member knows it.

use std::time::Duration;

use tamada_model::Mono;

use super::txn::LeaseId;

#[derive(Clone, Debug)]
pub(super) struct MyLease {
    pub ttl: Duration,
    held: Option<Held>,
    /// Each grant has a number of its own: one that is carried out late leaves an empty lease behind, and does not bring
    /// back one that we have ended.
    next: LeaseId,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    id: LeaseId,
    ttl: Duration,
    /// When we asked for what was last confirmed.
    confirmed: Mono,
    trust: Trust,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trust {
    Whole,
    /// A transaction under it that may write the lock was not answered.
    Doubted,
}

impl MyLease {
    /// `member`: no other has this number.
    pub fn new(ttl: Duration, member: u64) -> Self {
        Self { ttl, held: None, next: (member << 32) + 1 }
    }

    pub fn new_id(&mut self) -> LeaseId {
        self.next += 1;
        self.next - 1
    }

    pub fn id(&self) -> Option<LeaseId> {
        self.held.map(|held| held.id)
    }

    /// The one of the present ttl under which nothing is in doubt.
    pub fn usable(&self) -> Option<LeaseId> {
        let usable = |held: &Held| held.ttl == self.ttl && held.trust == Trust::Whole;
        self.held.filter(usable).map(|held| held.id)
    }

    /// It was confirmed at most this long ago.
    pub fn is_fresh(&self, id: LeaseId, age: Duration, now: Mono) -> bool {
        self.held.is_some_and(|held| held.id == id && now.since(held.confirmed) <= age)
    }

    pub fn begun(&mut self, id: LeaseId, ttl: Duration, confirmed: Mono) {
        self.held = Some(Held { id, ttl, confirmed, trust: Trust::Whole });
    }

    pub fn confirmed(&mut self, id: LeaseId, asked: Mono) {
        if let Some(held) = self.held.as_mut().filter(|held| held.id == id) {
            held.confirmed = held.confirmed.max(asked);
        }
    }

    /// The store does not know it any more.
    pub fn lost(&mut self, id: LeaseId) {
        self.held.take_if(|held| held.id == id);
    }

    pub fn doubt(&mut self) {
        if let Some(held) = &mut self.held {
            held.trust = Trust::Doubted;
        }
    }

    pub fn is_doubted(&self) -> bool {
        self.held.is_some_and(|held| held.trust == Trust::Doubted)
    }
}
