//! The one lease of this process, under which `leader` and our member key live.
//!
//! The store counts a lease from when it hears of a renewal, its holder from when it asked, so the store always ends it
//! later. Transactions renew the lease themselves, along with what they are for; here is how it begins and ends.
//!
//! A lease is also a ticket (see [`super`]): while it exists, a transaction that names it may still be carried out. When
//! one that may write the lock was not answered, we *move*: to a new lease, with the keys that are ours under the old
//! one, which is ended, all in one transaction. Whatever was done until then has come along, and what was not done will
//! never be. The same way leads from one ttl to another.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tamada_model::Mono;
use tamada_raft::{LeaseId, Op, OpReply, Refusal, Txn, TxnReply};
use tamada_wire::keys::LEADER;
use tracing::{debug, error};

use super::ask::{Heard, PAUSE, Trouble, before_the_write};
use super::ops::{has_value, is_under, move_under, txn};
use super::store::Embedded;
use crate::StoreError;
use crate::clock::{Deadline, mono};

#[derive(Default)]
pub struct Lease {
    held: Mutex<Option<Held>>,
    /// Held while a lease begins or ends: the process has one.
    changing: tokio::sync::Mutex<()>,
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

impl Lease {
    /// It was confirmed at most this long ago.
    pub fn is_fresh(&self, id: LeaseId, age: Duration) -> bool {
        self.locked().is_some_and(|held| held.id == id && mono().since(held.confirmed) <= age)
    }

    fn held(&self) -> Option<Held> {
        *self.locked()
    }

    fn confirmed(&self, id: LeaseId, asked: Mono) {
        if let Some(held) = self.locked().as_mut().filter(|held| held.id == id) {
            held.confirmed = held.confirmed.max(asked);
        }
    }

    /// The store does not know it any more.
    fn lost(&self, id: LeaseId) {
        self.locked().take_if(|held| held.id == id);
    }

    pub fn doubt(&self) {
        if let Some(held) = self.locked().as_mut() {
            held.trust = Trust::Doubted;
        }
    }

    fn is_doubted(&self) -> bool {
        self.held().is_some_and(|held| held.trust == Trust::Doubted)
    }

    fn locked(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Embedded {
    /// A lease of the present ttl under which nothing is in doubt: the one we have, or a new one.
    pub async fn ensure_lease(&self, deadline: Deadline) -> Result<LeaseId, Trouble> {
        let ttl = self.times().ttl;
        let usable = |held: &Held| held.ttl == ttl && held.trust == Trust::Whole;
        if let Some(held) = self.lease.held().filter(usable) {
            return Ok(held.id);
        }
        let Some(_one_at_a_time) = deadline.limit(self.lease.changing.lock()).await else {
            return Err(Trouble::Failed(StoreError::Unreachable("still waiting for a lease".to_owned())));
        };
        match self.lease.held() {
            Some(held) if usable(&held) => Ok(held.id),
            Some(old) => self.move_from(old.id, ttl, deadline).await,
            None => self.begin_lease(ttl, |_| Vec::new(), deadline).await,
        }
    }

    /// Afterwards nothing that was sent before and not answered can write the lock.
    pub async fn settle(&self, deadline: Deadline) -> Result<(), Trouble> {
        match self.lease.is_doubted() {
            true => self.ensure_lease(deadline).await.map(drop),
            false => Ok(()),
        }
    }

    /// To a new lease, with all that is ours under the old one.
    async fn move_from(&self, old: LeaseId, ttl: Duration, deadline: Deadline) -> Result<LeaseId, Trouble> {
        let (leader, member) = (self.ours.keys.key(LEADER), self.ours.member_key());
        let moves = |new| {
            let is_ours = [has_value(leader.clone(), self.ours.name()), is_under(old, leader.clone())];
            let lock = txn(is_ours, [move_under(new, leader.clone())], []);
            let member = txn([is_under(old, member.clone())], [move_under(new, member.clone())], []);
            vec![Op::Txn(lock), Op::Txn(member), Op::Revoke(old)]
        };
        // It has another lease and another stamp from now on.
        self.ours.publish(None);
        match self.begin_lease(ttl, moves, deadline).await {
            // It ended by itself, with all that was under it.
            Err(Trouble::Refused(Refusal::LeaseNotFound, _)) => {
                self.lease.lost(old);
                self.begin_lease(ttl, |_| Vec::new(), deadline).await
            }
            moved => moved,
        }
    }

    /// Grants a lease, and does the rest along with it. Each try has a number of its own: a grant that is carried out
    /// late leaves an empty lease behind, and does not bring back one that we have ended.
    async fn begin_lease(
        &self,
        ttl: Duration,
        rest: impl Fn(LeaseId) -> Vec<Op>,
        deadline: Deadline,
    ) -> Result<LeaseId, Trouble> {
        loop {
            let id = fastrand::i64(1..);
            let confirmed = mono();
            let grant = [Op::Grant { id, ttl }].into_iter().chain(rest(id));
            match self.submit_once(txn([], grant, []), deadline).await {
                Ok(_) => {
                    debug!("a lease of {ttl:?}");
                    *self.lease.locked() = Some(Held { id, ttl, confirmed, trust: Trust::Whole });
                    return Ok(id);
                }
                Err(Trouble::Unclear(_)) if deadline.left() > PAUSE => tokio::time::sleep(PAUSE).await,
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Runs a transaction under our lease; when the store does not know the lease any more, once more under a new one.
    pub async fn under_lease(
        &self,
        request: impl Fn(LeaseId) -> Txn,
        deadline: Deadline,
    ) -> Result<(LeaseId, Heard), Trouble> {
        let lease = self.ensure_lease(deadline).await.map_err(before_the_write)?;
        match self.submit_under(lease, &request, deadline).await {
            Err(Trouble::Refused(Refusal::LeaseNotFound, _)) => self.lease.lost(lease),
            other => return other.map(|heard| (lease, heard)),
        }
        error!("Our lease disappeared from the store. Will try to get a new one and retry attempt");
        let lease = self.ensure_lease(deadline).await.map_err(before_the_write)?;
        let heard = self.submit_under(lease, &request, deadline).await?;
        Ok((lease, heard))
    }

    /// The same for a transaction that may write the lock: once we have given it up, it must not be carried out.
    pub async fn lock_under_lease(
        &self,
        request: impl Fn(LeaseId) -> Txn,
        deadline: Deadline,
    ) -> Result<(LeaseId, Heard), Trouble> {
        let heard = self.under_lease(request, deadline).await;
        let may_be_under_way = match &heard {
            Ok((_, heard)) => heard.maybe_before,
            Err(Trouble::Unclear(_)) => true,
            Err(Trouble::Refused(_, maybe_before)) => *maybe_before,
            Err(Trouble::Failed(_)) => false,
        };
        if may_be_under_way {
            self.lease.doubt();
        }
        heard
    }

    async fn submit_under(
        &self,
        lease: LeaseId,
        request: &impl Fn(LeaseId) -> Txn,
        deadline: Deadline,
    ) -> Result<Heard, Trouble> {
        let asked = mono();
        let heard = self.submit(request(lease), deadline).await?;
        if renewed(&heard.reply) {
            self.lease.confirmed(lease, asked);
        }
        Ok(heard)
    }
}

fn renewed(reply: &TxnReply) -> bool {
    reply.replies.iter().any(|reply| match reply {
        OpReply::Lease { .. } => true,
        OpReply::Range(_) | OpReply::Put { .. } | OpReply::Delete { .. } | OpReply::Txn(_) => false,
    })
}
