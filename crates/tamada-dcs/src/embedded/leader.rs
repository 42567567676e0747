//! The lock: the `leader` key with our name in it, under our lease.
//!
//! Its holder counts the ttl from the moment it asked. So every answer here that means "yours" is that of a transaction
//! which also renewed the lease. Why each also names the lease, and what comes of it: see [`super`].

use tamada_model::{Lsn, Status};
use tamada_raft::{KeyValue, Keys, LeaseId, Op, Refusal, Revision, Txn};
use tamada_wire::keys::{LEADER, STATUS, parse_status, status_json};
use tracing::{info, warn};

use super::ask::{Trouble, before_the_write, done, written};
use super::ops::{
    delete, found, has_value, is_absent, is_at, is_created_at, is_under, look, put, put_under, range, stamp, txn,
};
use super::store::Embedded;
use crate::clock::Deadline;
use crate::ours::News;
use crate::tree::Lock;
use crate::{Freshness, Renewal, StoreError, Written};

/// How often we look again when others change the key between our look and our write.
const TRIES: u32 = 5;

impl Lock for Embedded {
    /// Create-only. Our own name under our own lease is an earlier success.
    async fn acquire(&self, deadline: Deadline) -> Written {
        let written = match self.lock_under_lease(|lease| self.acquiring(lease), deadline).await {
            Ok((_, heard)) if heard.reply.held => done(&heard),
            Ok((lease, heard)) => match found(heard.reply) {
                Some(kv) if self.holds(&kv, lease) => Written::Done(stamp(kv.modified)),
                Some(_) | None => Written::Beaten,
            },
            Err(trouble) => written(trouble),
        };
        if written == Written::Beaten {
            info!("Could not take out TTL lock");
        }
        self.told(written)
    }

    /// One transaction: the lock is ours under our lease, the lease is renewed, and what is new is written.
    async fn renew(&self, renewal: Renewal, deadline: Deadline) -> Written {
        let mut news = self.ours.news(&renewal);
        let written = match self.confirm(&mut news, deadline).await {
            Ok(Confirmed::Ours(kv)) => Written::Done(stamp(kv.modified)),
            Ok(Confirmed::Anothers) => Written::Beaten,
            Ok(Confirmed::NotUnderLease(at)) => self.seize(at, Whose::OursOrNobodys, &news, deadline).await,
            Err(trouble) => written(trouble),
        };
        let written = self.told(written);
        if let Written::Done(_) = &written {
            self.ours.remember(&news);
        }
        written
    }

    async fn take(&self, deadline: Deadline) -> Written {
        let written = self.seize(None, Whose::Anybodys, &News::default(), deadline).await;
        self.told(written)
    }

    /// `status` and the deletion in one transaction: whoever sees the key gone sees the last position. When the key is
    /// gone already and nobody else leads, the position is still worth telling.
    ///
    /// 1. We ask to delete the key, get no answer, and give up. Somebody else deletes it.
    /// 2. We lead again.
    /// 3. The request is carried out: the key that names us is deleted under a running primary.
    ///
    /// Therefore only the key of this reign is deleted, named by the revision of its creation. And nothing that was
    /// asked before may bring it back.
    async fn release(&self, last: Option<Lsn>, deadline: Deadline) -> Written {
        self.ours.leads(false);
        if let Err(trouble) = self.settle(deadline).await {
            return written(before_the_write(trouble));
        }
        let Reign { at, status } = match self.reign_and_status(last, deadline).await {
            Ok(reign) => reign,
            Err(trouble) => return written(before_the_write(trouble)),
        };
        let since = match at {
            Standing::Ours(since) => Some(since),
            Standing::Nobodys => None,
            Standing::Anothers => return Written::Beaten,
        };
        match self.submit(self.releasing(since, status), deadline).await {
            Ok(heard) if since.is_some() && (heard.reply.held || heard.maybe_before) => done(&heard),
            Ok(_) => Written::Beaten,
            Err(trouble) => written(trouble),
        }
    }
}

/// What a renewal found.
enum Confirmed {
    Ours(KeyValue),
    Anothers,
    /// Our name under another lease, or nothing.
    NotUnderLease(Option<KeyValue>),
}

/// Whose lock may be overwritten.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    OursOrNobodys,
    Anybodys,
}

impl Embedded {
    async fn confirm(&self, news: &mut News, deadline: Deadline) -> Result<Confirmed, Trouble> {
        match self.confirm_and_tell(news, deadline).await {
            // Writing may be refused (the store is full); whether we lead is another question.
            Err(Trouble::Refused(why @ (Refusal::Full(_) | Refusal::TooLarge(_)), _)) if !news.is_empty() => {
                warn!("could not write status: {why}");
                *news = News::default();
                self.confirm_and_tell(news, deadline).await
            }
            answer => answer,
        }
    }

    async fn confirm_and_tell(&self, news: &News, deadline: Deadline) -> Result<Confirmed, Trouble> {
        let (_, heard) = self.under_lease(|lease| self.renewing(lease, news), deadline).await?;
        let is_ours = heard.reply.held;
        Ok(match found(heard.reply) {
            Some(kv) if is_ours => Confirmed::Ours(kv),
            Some(kv) if !self.ours.is_me(&kv.value) => Confirmed::Anothers,
            Some(kv) => {
                if !self.ours.is_leading() {
                    warn!("I am the leader but not owner of the lease");
                }
                Confirmed::NotUnderLease(Some(kv))
            }
            None => Confirmed::NotUnderLease(None),
        })
    }

    /// Puts the key under our lease, over exactly what we saw there; if that has changed, what came is looked at anew.
    async fn seize(&self, seen: Option<KeyValue>, whose: Whose, news: &News, deadline: Deadline) -> Written {
        let mut at = seen;
        for _ in 0..TRIES {
            let seen = at.as_ref().map_or(0, |kv| kv.modified);
            let answer = self.lock_under_lease(|lease| self.seizing(lease, seen, news), deadline).await;
            let (lease, heard) = match answer {
                Ok(heard) => heard,
                Err(trouble) => return written(trouble),
            };
            if heard.reply.held {
                return done(&heard);
            }
            at = found(heard.reply);
            match &at {
                // An earlier try got through unheard.
                Some(kv) if heard.maybe_before && self.holds(kv, lease) => return Written::Done(stamp(kv.modified)),
                Some(kv) if whose == Whose::OursOrNobodys && !self.ours.is_me(&kv.value) => return Written::Beaten,
                Some(_) | None => {}
            }
        }
        Written::Failed(StoreError::Unreachable("the lock changes faster than we can look".to_owned()))
    }

    async fn reign_and_status(&self, last: Option<Lsn>, deadline: Deadline) -> Result<Reign, Trouble> {
        let ranges = vec![range(self.leader_key()), range(self.ours.keys.key(STATUS))];
        let found = self.look(ranges, Freshness::Linearizable, deadline).await?;
        let mut found = found.into_iter().map(|range| range.kvs.into_iter().next());
        let at = match found.next().flatten() {
            Some(kv) if self.ours.is_me(&kv.value) => Standing::Ours(kv.created),
            Some(_) => Standing::Anothers,
            None => Standing::Nobodys,
        };
        let present = found.next().flatten().map(|kv| parse_status(&kv.value)).unwrap_or_default();
        let status = last.map(|last| status_json(&Status { optime: last, ..present }));
        Ok(Reign { at, status: status.map(|value| put(self.ours.keys.key(STATUS), value)) })
    }

    /// What an answer told about the lock.
    fn told(&self, written: Written) -> Written {
        match &written {
            Written::Done(_) => self.ours.leads(true),
            Written::Beaten => self.ours.leads(false),
            Written::Unclear(_) | Written::Failed(_) => {}
        }
        written
    }

    pub(super) fn acquiring(&self, lease: LeaseId) -> Txn {
        let key = self.leader_key();
        let create = [Op::KeepAlive(lease), self.lock_under(lease)];
        txn([is_absent(key.clone())], create, [Op::KeepAlive(lease), look(key)])
    }

    fn renewing(&self, lease: LeaseId, news: &News) -> Txn {
        let key = self.leader_key();
        let is_ours = [has_value(key.clone(), self.ours.name()), is_under(lease, key.clone())];
        let renew = [Op::KeepAlive(lease)].into_iter().chain(self.writes_of(news)).chain([look(key.clone())]);
        txn(is_ours, renew, [look(key)])
    }

    pub(super) fn seizing(&self, lease: LeaseId, seen: Revision, news: &News) -> Txn {
        let key = self.leader_key();
        let write = [Op::KeepAlive(lease)].into_iter().chain(self.writes_of(news)).chain([self.lock_under(lease)]);
        txn([is_at(key.clone(), seen)], write, [look(key)])
    }

    /// Ends the reign that began then, if there is one, and tells the last position unless another one has begun.
    pub(super) fn releasing(&self, since: Option<Revision>, status: Option<Op>) -> Txn {
        let key = self.leader_key();
        let gone = txn([is_absent(key.clone())], status.clone(), []);
        match since {
            Some(since) => {
                let end = status.into_iter().chain([delete(Keys::One(key.clone().into()))]);
                txn([is_created_at(key, since)], end, [Op::Txn(gone)])
            }
            None => gone,
        }
    }

    fn writes_of(&self, news: &News) -> impl Iterator<Item = Op> {
        news.values().map(|(key, value)| put(self.ours.keys.key(key), value))
    }

    fn lock_under(&self, lease: LeaseId) -> Op {
        put_under(lease, self.leader_key(), self.ours.name())
    }

    fn holds(&self, kv: &KeyValue, lease: LeaseId) -> bool {
        self.ours.is_me(&kv.value) && kv.lease == lease
    }

    fn leader_key(&self) -> Vec<u8> {
        self.ours.keys.key(LEADER)
    }
}

/// What a release has to end, and to tell.
struct Reign {
    at: Standing,
    status: Option<Op>,
}

enum Standing {
    /// Since this revision.
    Ours(Revision),
    Anothers,
    Nobodys,
}
