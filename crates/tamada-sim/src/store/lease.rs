//! The one lease of a member: how it begins, ends, and is moved from.
//!
//! When a request that may write the lock was not answered, the member *moves*: to a new lease, with the keys that are
//! its own under the old one, which is ended, all in one transaction. Whatever was done until then has come along, and
//! what was not done will never be. The same way leads from one ttl to another.

use std::time::Duration;

use tamada_core::WriteOutcome;
use tamada_model::Mono;
use tamada_wire::keys::LEADER;

use super::client::{Client, Heard};
use super::request::{Before, Request, Round, Step, Wish};
use super::txn::{Compare, Key, LeaseId, Op, Txn};

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

    /// It is usable, and was confirmed not long ago. A third of the ttl is often enough for a member key; see
    /// `tamada-dcs`, which asks for the same.
    pub fn fresh(&self, now: Mono) -> Option<LeaseId> {
        let confirmed = self.held?.confirmed;
        self.usable().filter(|_| now.since(confirmed) <= self.ttl * 4 / 15)
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

impl Client {
    /// Under the lease we have, or after a message that begins one.
    pub(super) fn under_lease(&mut self, wish: Wish, round: Round, now: Mono) -> Request {
        let Some(lease) = self.lease.usable() else { return self.begin_lease(wish, round, now) };
        let txn = match &wish {
            Wish::Acquire => self.acquiring(lease),
            Wish::Renew(news) => self.renewing(lease, news),
            Wish::Seize { seen, news, .. } => self.seizing(lease, *seen, news),
            Wish::Release { last } => return self.look_before_release(*last, now),
            Wish::Touch { value, renews, .. } => self.touching(lease, value, *renews),
        };
        Request::write(txn, Step::Under { lease, wish, round }, now)
    }

    /// In the place of the one we have, if there is one.
    fn begin_lease(&mut self, then: Wish, round: Round, now: Mono) -> Request {
        let (lease, ttl, from) = (self.lease.new_id(), self.lease.ttl, self.lease.id());
        let mut ops = vec![Op::Grant { lease, ttl }];
        if let Some(old) = from {
            self.ours.publish(None);
            let keys = [Key::Borrowed(LEADER), self.ours.member_key.clone()];
            ops.extend(keys.map(|key| moving(key, old, lease)));
            ops.push(Op::Revoke(old));
        }
        Request::write(Txn::just(ops), Step::BeginLease { lease, ttl, from, then, round }, now)
    }

    /// Two may have been asked for at once. The first is kept then, and the other left to run out.
    pub(super) fn begun(&mut self, lease: LeaseId, ttl: Duration, from: Option<LeaseId>, asked: Mono) {
        if self.lease.id().is_none_or(|held| Some(held) == from) {
            self.lease.begun(lease, ttl, asked);
        }
    }

    pub(super) fn lease_is_gone(
        &mut self,
        lease: LeaseId,
        wish: &Wish,
        round: Round,
        before: Before,
        now: Mono,
    ) -> Heard {
        self.lease.lost(lease);
        let why = "there is no such lease".to_owned();
        match (round, before) {
            (Round::First, _) => Heard::Next(self.under_lease(wish.clone(), Round::Second, now)),
            (Round::Second, Before::Nothing) => Heard::Written(WriteOutcome::Failed(why)),
            (Round::Second, Before::MaybeDone) => Heard::Written(WriteOutcome::Unclear(why)),
        }
    }
}

fn moving(key: Key, from: LeaseId, to: LeaseId) -> Op {
    let when = vec![Compare::Under(key.clone(), from)];
    Op::Txn(Box::new(Txn { when, then: vec![Op::Move { key, lease: to }], otherwise: Vec::new() }))
}
