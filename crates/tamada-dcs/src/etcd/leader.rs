//! The lock: the `leader` key with our name in it, under our lease (dcs-layout.md 8, column etcd v3).
//!
//! Its holder counts the ttl from the moment it asked. So every answer here that means "yours" comes after a grant or a
//! keep-alive that was itself sent after the question: a key created under a lease that was refreshed nine seconds ago
//! would end nine seconds before its holder expects.

use tamada_etcd::messages::{KeyValue, Operation, PutRequest};
use tamada_model::{Lsn, Status};
use tamada_wire::keys::{LEADER, STATUS, parse_status, status_json};
use tracing::{info, warn};

use super::client::Trouble;
use super::lease::{Assurance, LeaseId};
use super::ops::{Taken, delete, has_value, is_absent, is_created_at, look, put, put_under, range, stamp, taken, txn};
use super::sort::words;
use super::store::Etcd;
use super::writes::{before_the_write, done, is_ours, written};
use crate::clock::Deadline;
use crate::ours::News;
use crate::tree::Lock;
use crate::{Renewal, Written};

impl Lock for Etcd {
    /// Create-only. A repeated try that finds our own name under our own lease has found its predecessor's success.
    async fn acquire(&self, deadline: Deadline) -> Written {
        let key = self.ours.keys.key(LEADER);
        let request = |lease| {
            txn([is_absent(key.clone())], [put_under(lease, key.clone(), self.ours.name())], [look(key.clone())])
        };
        let term = self.client.seen().raft_term;
        match self.under_lease(Assurance::Now, deadline, request).await {
            Ok((lease, heard)) => {
                let written = match taken(&heard.answer) {
                    Taken::Put => done(heard.answer.header.as_ref()),
                    Taken::Found(kv) if self.holds(&kv, lease) => Written::Done(stamp(kv.mod_revision)),
                    Taken::Found(_) | Taken::FoundNothing | Taken::Deleted => Written::Beaten,
                };
                let written = self.in_one_term(written, term, lease, deadline).await;
                self.judge_acquired(&written);
                written
            }
            Err(trouble) => written(trouble),
        }
    }

    /// First the lease, then a look (by the majority) that the key is ours under it, and with the look what is to be
    /// written along: usually one keep-alive and one read, which cost etcd no disk write.
    async fn renew(&self, renewal: Renewal, deadline: Deadline) -> Written {
        let term = self.client.seen().raft_term;
        let lease = match self.lease.ensure(&self.client, Assurance::Now, deadline).await {
            Ok(lease) => lease,
            Err(trouble) => return written(trouble),
        };
        let mut news = self.ours.news(&renewal);
        let written = match self.confirm(lease, &mut news, deadline).await {
            Ok(Confirmed::Ours(kv)) => {
                self.in_one_term(Written::Done(stamp(kv.mod_revision)), term, lease, deadline).await
            }
            Ok(Confirmed::Anothers) => Written::Beaten,
            Ok(Confirmed::NotUnderLease) => self.take_back(&news, deadline).await,
            Err(trouble) => written(trouble),
        };
        match &written {
            Written::Done(_) => {
                self.ours.leads(true);
                self.ours.remember(&news);
            }
            Written::Beaten => self.ours.leads(false),
            Written::Unclear(_) | Written::Failed(_) => {}
        }
        written
    }

    async fn take(&self, deadline: Deadline) -> Written {
        let key = self.ours.keys.key(LEADER);
        let request = |lease: LeaseId| PutRequest {
            key: key.clone(),
            value: self.ours.name(),
            lease: lease.0,
            ..PutRequest::default()
        };
        match self.under_lease(Assurance::Now, deadline, request).await {
            Ok((_, heard)) => {
                self.ours.leads(true);
                done(heard.answer.header.as_ref())
            }
            Err(trouble) => written(trouble),
        }
    }

    /// `status` and the deletion in one transaction: whoever sees the key gone sees the last position. When the key is
    /// gone already and nobody else leads, the position is still worth telling.
    ///
    /// 1. A node is frozen with our request in its socket; we give up on it and another node deletes the key.
    /// 2. We lead again.
    /// 3. The node wakes up and carries out what it finds: the key that names us is deleted under a running primary.
    ///
    /// Therefore only the key of this reign is deleted, named by the revision of its creation.
    async fn release(&self, last: Option<Lsn>, deadline: Deadline) -> Written {
        self.ours.leads(false);
        let key = self.ours.keys.key(LEADER);
        let reign = match self.client.call(range(key.clone()), deadline).await {
            Ok(heard) => heard.answer.kvs.first().filter(|kv| self.ours.is_me(&kv.value)).map(|kv| kv.create_revision),
            Err(trouble) => return written(before_the_write(trouble)),
        };
        let status = match last {
            Some(last) => self.status_with(last, deadline).await,
            None => None,
        };
        let write = || status.clone().into_iter();
        let gone = txn([is_absent(key.clone())], write(), [look(key.clone())]);
        // No key is created at a negative revision: without a reign there is nothing to delete.
        let ours = [is_created_at(key.clone(), reign.unwrap_or(-1)), has_value(key.clone(), self.ours.name())];
        let request = txn(ours, write().chain([delete(key)]), [Operation::Txn(gone)]);
        match self.client.call(request, deadline).await {
            Ok(heard) => match taken(&heard.answer) {
                Taken::Deleted => done(heard.answer.header.as_ref()),
                Taken::Put | Taken::FoundNothing if heard.maybe_before => done(heard.answer.header.as_ref()),
                Taken::Put | Taken::FoundNothing | Taken::Found(_) => Written::Beaten,
            },
            Err(trouble) => written(trouble),
        }
    }
}

impl Etcd {
    fn judge_acquired(&self, written: &Written) {
        match written {
            Written::Done(_) => self.ours.leads(true),
            Written::Beaten => {
                info!("Could not take out TTL lock");
                self.ours.leads(false);
            }
            Written::Unclear(_) | Written::Failed(_) => {}
        }
    }

    async fn confirm(&self, lease: LeaseId, news: &mut News, deadline: Deadline) -> Result<Confirmed, Trouble> {
        let key = self.ours.keys.key(LEADER);
        if !news.is_empty() {
            let operations = self.told(news).chain([look(key.clone())]);
            let request = txn(is_ours(&self.ours.name(), key.clone(), lease), operations, [look(key.clone())]);
            match self.client.call(request, deadline).await {
                Ok(heard) => return Ok(self.confirmed(taken(&heard.answer), lease)),
                // Writing may be refused (no space left); whether we lead is another question.
                Err(Trouble::Said(status, _)) => {
                    warn!("could not write status: {}", words(&status));
                    *news = News::default();
                }
                Err(trouble) => return Err(trouble),
            }
        }
        let answer = self.client.call(range(key), deadline).await?.answer;
        let found = answer.kvs.into_iter().next().map_or(Taken::FoundNothing, Taken::Found);
        Ok(self.confirmed(found, lease))
    }

    fn confirmed(&self, found: Taken, lease: LeaseId) -> Confirmed {
        match found {
            Taken::Found(kv) if self.holds(&kv, lease) => Confirmed::Ours(kv),
            Taken::Found(kv) if self.ours.is_me(&kv.value) => {
                // After a change of the ttl this is expected, after a restart it is worth a line.
                if !self.ours.is_leading() {
                    warn!("I am the leader but not owner of the lease");
                }
                Confirmed::NotUnderLease
            }
            Taken::Found(_) => Confirmed::Anothers,
            Taken::FoundNothing | Taken::Put | Taken::Deleted => Confirmed::NotUnderLease,
        }
    }

    /// The key names us under another lease, or vanished: put it under ours, unless somebody was faster.
    async fn take_back(&self, news: &News, deadline: Deadline) -> Written {
        let key = self.ours.keys.key(LEADER);
        let request = |lease| {
            let write = || self.told(news).chain([put_under(lease, key.clone(), self.ours.name())]);
            let create = txn([is_absent(key.clone())], write(), [look(key.clone())]);
            txn([has_value(key.clone(), self.ours.name())], write(), [Operation::Txn(create)])
        };
        let term = self.client.seen().raft_term;
        match self.under_lease(Assurance::Now, deadline, request).await {
            Ok((lease, heard)) => {
                let written = match taken(&heard.answer) {
                    Taken::Put => done(heard.answer.header.as_ref()),
                    Taken::Found(kv) if self.holds(&kv, lease) => Written::Done(stamp(kv.mod_revision)),
                    Taken::Found(_) | Taken::FoundNothing | Taken::Deleted => Written::Beaten,
                };
                self.in_one_term(written, term, lease, deadline).await
            }
            Err(trouble) => written(trouble),
        }
    }

    /// 1. The node that leads etcd's raft group is frozen; another takes its place and counts our lease anew.
    /// 2. It wakes up and answers our keep-alive before it hears of its successor.
    /// 3. We count a whole ttl from our question; the store has counted since before.
    ///
    /// Therefore, when the term has changed since before the keep-alive, the lease is kept alive once more.
    async fn in_one_term(&self, written: Written, term: u64, lease: LeaseId, deadline: Deadline) -> Written {
        let (Written::Done(_), true) = (&written, self.client.seen().raft_term != term) else { return written };
        match self.lease.ensure(&self.client, Assurance::Now, deadline).await {
            Ok(same) if same == lease => written,
            Ok(_) => Written::Unclear("our lease ended with the last leader of etcd's raft group".to_owned()),
            Err(trouble) => Written::Unclear(trouble.into_error().to_string()),
        }
    }

    /// The write of `status` as it is, but with this position; nothing if `status` cannot be read.
    async fn status_with(&self, last: Lsn, deadline: Deadline) -> Option<Operation> {
        let answer = self.client.call(range(self.ours.keys.key(STATUS)), deadline).await.ok()?.answer;
        let present = answer.kvs.first().map(|kv| parse_status(&kv.value)).unwrap_or_default();
        let status = Status { optime: last, ..present };
        Some(put(self.ours.keys.key(STATUS), status_json(&status)))
    }

    fn told<'a>(&'a self, news: &'a News) -> impl Iterator<Item = Operation> + 'a {
        news.values().map(|(key, value)| put(self.ours.keys.key(key), value))
    }

    fn holds(&self, kv: &KeyValue, lease: LeaseId) -> bool {
        self.ours.is_me(&kv.value) && kv.lease == lease.0
    }
}

enum Confirmed {
    Ours(KeyValue),
    Anothers,
    NotUnderLease,
}
