//! Reading, and the writes that need no lock.

use tamada_etcd::messages::{
    Call, Compare, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RangeResponse, ResponseHeader, TxnRequest,
};
use tamada_model::{Cluster, Stamp};
use tamada_wire::keys::{Entry, parse_cluster};
use tracing::error;

use super::client::{Heard, Trouble};
use super::lease::{Assurance, LeaseId};
use super::ops::{Taken, delete, has_value, is_absent, is_at, look, put, revision, stamp, taken, txn};
use super::sort::{is_lease_lost, words};
use super::store::Etcd;
use crate::clock::Deadline;
use crate::ours::Published;
use crate::tree::Keyed;
use crate::{Freshness, StoreError, Written};

impl Keyed for Etcd {
    /// The whole tree in one range.
    async fn read(&self, freshness: Freshness, deadline: Deadline) -> Result<Cluster, StoreError> {
        let answer = match freshness {
            Freshness::Linearizable => self.read_ordered(deadline).await,
            Freshness::Monotonic => self.read_monotonic(deadline).await,
        };
        let kvs = answer.map_err(Trouble::into_error)?.kvs;
        let entries: Vec<_> = kvs.iter().filter_map(|kv| self.entry(kv)).collect();
        self.ours.compare(&entries);
        Ok(parse_cluster(entries))
    }

    /// Our own key, under our lease; skipped when the store has exactly this.
    async fn touch(&self, value: String, deadline: Deadline) -> Written {
        // A third of the ttl is often enough for a member key, and a leader renews that often anyway. More keep-alives
        // would only lengthen an outage: the lock of a lost host runs a whole ttl from the last of them. Just under the
        // third, so that a pass that comes a moment early does not leave the lease for two rounds.
        let assurance = Assurance::Within(self.client.times().ttl * 4 / 15);
        let lease = match self.lease.ensure(&self.client, assurance, deadline).await {
            Ok(lease) => lease,
            Err(trouble) => return Written::Failed(trouble.into_error()),
        };
        if let Some(stamp) = self.ours.published(lease.0, &value) {
            return Written::Done(stamp);
        }
        let key = self.ours.member_key();
        let request = |lease: LeaseId| PutRequest {
            key: key.clone(),
            value: value.clone().into_bytes(),
            lease: lease.0,
            ..PutRequest::default()
        };
        match self.under_lease(assurance, deadline, request).await {
            Ok((lease, heard)) => {
                let stamp = stamp(revision_of(heard.answer.header.as_ref()));
                self.ours.publish(Some(Published { lease: lease.0, value, stamp: stamp.clone() }));
                Written::Done(stamp)
            }
            Err(trouble) => {
                self.ours.publish(None);
                written(trouble)
            }
        }
    }

    async fn delete_member(&self, deadline: Deadline) -> Written {
        self.ours.publish(None);
        self.delete_key(self.ours.member_key(), deadline).await
    }

    /// Create-only. When an earlier try may have got through and the key has the value we wanted, it is not known
    /// whose it is: two members write the same.
    async fn create(&self, relative: &'static str, value: String, deadline: Deadline) -> Written {
        let key = self.ours.keys.key(relative);
        let request = txn([is_absent(key.clone())], [put(key.clone(), value.clone())], [look(key)]);
        match self.client.call(request, deadline).await {
            Ok(heard) => match taken(&heard.answer) {
                Taken::Put => done(heard.answer.header.as_ref()),
                Taken::Found(kv) if heard.maybe_before && kv.value == value.as_bytes() => {
                    Written::Unclear(format!("`{relative}` exists now, and may have been created by us"))
                }
                Taken::Found(_) | Taken::FoundNothing | Taken::Deleted => Written::Beaten,
            },
            Err(trouble) => written(trouble),
        }
    }

    /// Over the value read under `judged`, or unconditionally.
    async fn put(&self, relative: &'static str, value: String, judged: Option<Stamp>, deadline: Deadline) -> Written {
        let key = self.ours.keys.key(relative);
        let Some(judged) = judged else {
            let request = PutRequest { key, value: value.into_bytes(), ..PutRequest::default() };
            return match self.client.call(request, deadline).await {
                Ok(heard) => done(heard.answer.header.as_ref()),
                Err(trouble) => written(trouble),
            };
        };
        let compare = is_at(key.clone(), revision(&judged));
        self.compared(txn([compare], [put(key.clone(), value.clone())], [look(key)]), Some(&value), deadline).await
    }

    async fn delete(&self, relative: &'static str, judged: Option<Stamp>, deadline: Deadline) -> Written {
        let key = self.ours.keys.key(relative);
        let Some(judged) = judged else {
            return self.delete_key(key, deadline).await;
        };
        let compare = is_at(key.clone(), revision(&judged));
        self.compared(txn([compare], [delete(key.clone())], [look(key)]), None, deadline).await
    }

    async fn delete_all(&self, deadline: Deadline) -> Written {
        self.ours.publish(None);
        let (key, range_end) = self.ours.keys.whole_range();
        self.delete_range(DeleteRangeRequest { key, range_end, ..DeleteRangeRequest::default() }, deadline).await
    }
}

impl Etcd {
    async fn read_ordered(&self, deadline: Deadline) -> Result<RangeResponse, Trouble> {
        Ok(self.client.call(self.whole_tree(), deadline).await?.answer)
    }

    /// What one node knows, unless it is behind what we know: then the majority is asked.
    async fn read_monotonic(&self, deadline: Deadline) -> Result<RangeResponse, Trouble> {
        let before = self.client.seen();
        let request = RangeRequest { serializable: true, ..self.whole_tree() };
        let answer = self.client.call_local(request, deadline).await?;
        if revision_of(answer.header.as_ref()) >= before.revision {
            Ok(answer)
        } else {
            self.read_ordered(deadline).await
        }
    }

    fn whole_tree(&self) -> RangeRequest {
        let (key, range_end) = self.ours.keys.whole_range();
        RangeRequest { key, range_end, ..RangeRequest::default() }
    }

    fn entry<'a>(&self, kv: &'a KeyValue) -> Option<Entry<'a>> {
        let session = (kv.lease != 0).then(|| kv.lease.to_string());
        Some(Entry { key: self.ours.keys.relative(&kv.key)?, value: &kv.value, stamp: stamp(kv.mod_revision), session })
    }

    /// Runs a write under our lease; when etcd does not know the lease any more, once more under a new one.
    pub async fn under_lease<C: Call>(
        &self,
        assurance: Assurance,
        deadline: Deadline,
        request: impl Fn(LeaseId) -> C,
    ) -> Result<(LeaseId, Heard<C::Answer>), Trouble> {
        let lease = self.lease.ensure(&self.client, assurance, deadline).await.map_err(before_the_write)?;
        let before = match self.client.call(request(lease), deadline).await {
            Err(Trouble::Said(status, before)) if is_lease_lost(&status) => before,
            other => return other.map(|heard| (lease, heard)),
        };
        self.lease.lost(lease);
        if deadline.has_passed() {
            error!("Our lease disappeared from Etcd. Deadline exceeded, giving up");
            return Err(Trouble::NotSent("our lease disappeared from etcd".to_owned()));
        }
        error!("Our lease disappeared from Etcd. Will try to get a new one and retry attempt");
        let lease = self.lease.ensure(&self.client, assurance, deadline).await.map_err(before_the_write)?;
        let mut heard = self.client.call(request(lease), deadline).await?;
        heard.maybe_before |= before;
        Ok((lease, heard))
    }

    /// A compare-and-swap towards `wanted` (`None`: absence). If the comparison fails after a try of unknown fate and
    /// the key is as we want it, that try was it.
    async fn compared(&self, request: TxnRequest, wanted: Option<&str>, deadline: Deadline) -> Written {
        match self.client.call(request, deadline).await {
            Ok(heard) => match (taken(&heard.answer), wanted) {
                (Taken::Put | Taken::Deleted, _) => done(heard.answer.header.as_ref()),
                (Taken::Found(kv), Some(wanted)) if heard.maybe_before && kv.value == wanted.as_bytes() => {
                    Written::Done(stamp(kv.mod_revision))
                }
                (Taken::FoundNothing, None) if heard.maybe_before => done(heard.answer.header.as_ref()),
                (Taken::Found(_) | Taken::FoundNothing, _) => Written::Beaten,
            },
            Err(trouble) => written(trouble),
        }
    }

    async fn delete_key(&self, key: Vec<u8>, deadline: Deadline) -> Written {
        self.delete_range(DeleteRangeRequest { key, ..DeleteRangeRequest::default() }, deadline).await
    }

    async fn delete_range(&self, request: DeleteRangeRequest, deadline: Deadline) -> Written {
        match self.client.call(request, deadline).await {
            Ok(heard) => done(heard.answer.header.as_ref()),
            Err(trouble) => written(trouble),
        }
    }
}

/// How a write without an answer ended.
pub fn written(trouble: Trouble) -> Written {
    match trouble {
        Trouble::Unclear(why) => Written::Unclear(why),
        Trouble::Said(status, true) => Written::Unclear(words(&status)),
        other @ (Trouble::NotSent(_) | Trouble::Refused(_) | Trouble::Said(_, false)) => {
            Written::Failed(other.into_error())
        }
    }
}

pub fn done(header: Option<&ResponseHeader>) -> Written {
    Written::Done(stamp(revision_of(header)))
}

pub fn revision_of(header: Option<&ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}

/// Whatever became of the lease, the write that needs it was not sent.
pub fn before_the_write(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Unclear(why) => Trouble::NotSent(why),
        other @ (Trouble::NotSent(_) | Trouble::Refused(_) | Trouble::Said(..)) => other,
    }
}

/// The value of the leader key is ours under this lease.
pub fn is_ours(compare_value: &[u8], key: Vec<u8>, lease: LeaseId) -> [Compare; 2] {
    [has_value(key.clone(), compare_value), super::ops::is_under(lease, key)]
}
