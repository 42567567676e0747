//! Reading, and the writes that need no lock.

use tamada_model::{Cluster, Stamp};
use tamada_raft::{KeyValue, Keys, Op, Range, Txn};
use tamada_wire::keys::{Entry, parse_cluster};

use super::ask::{Trouble, done, written};
use super::ops::{delete, found, has_value, is_absent, is_at, is_under, look, put, put_under, revision, stamp, txn};
use super::store::Embedded;
use crate::clock::Deadline;
use crate::ours::Published;
use crate::tree::Keyed;
use crate::{Freshness, StoreError, Written};

impl Keyed for Embedded {
    /// The whole tree in one range.
    async fn read(&self, freshness: Freshness, deadline: Deadline) -> Result<Cluster, StoreError> {
        let found = self.look(vec![Range::of(self.whole_tree())], freshness, deadline).await;
        let kvs = found.map_err(Trouble::into_error)?.pop().unwrap_or_default().kvs;
        let entries: Vec<_> = kvs.iter().filter_map(|kv| self.entry(kv)).collect();
        self.ours.compare(&entries);
        Ok(parse_cluster(entries))
    }

    /// Our own key, under our lease; skipped when the store has exactly this.
    async fn touch(&self, value: String, deadline: Deadline) -> Written {
        let lease = match self.ensure_lease(deadline).await {
            Ok(lease) => lease,
            Err(trouble) => return Written::Failed(trouble.into_error()),
        };
        // A third of the ttl is often enough for a member key, and a leader renews that often anyway. More renewals
        // would only lengthen an outage: the lock of a lost host runs a whole ttl from the last of them. Just under the
        // third, so that a pass that comes a moment early does not leave the lease for two rounds.
        let is_fresh = self.lease.is_fresh(lease, self.times().ttl * 4 / 15);
        if let (true, Some(stamp)) = (is_fresh, self.ours.published(lease, &value)) {
            return Written::Done(stamp);
        }
        let renewal = |lease| if is_fresh { None } else { Some(Op::KeepAlive(lease)) };
        let key = self.ours.member_key();
        let request = |lease| {
            let is_there = [has_value(key.clone(), value.clone()), is_under(lease, key.clone())];
            let write = put_under(lease, key.clone(), value.clone());
            txn(
                is_there,
                renewal(lease).into_iter().chain([look(key.clone())]),
                renewal(lease).into_iter().chain([write]),
            )
        };
        match self.under_lease(request, deadline).await {
            Ok((lease, heard)) => {
                let revision = heard.revision;
                let stamp = stamp(found(heard.reply).map_or(revision, |kv| kv.modified));
                self.ours.publish(Some(Published { lease, value, stamp: stamp.clone() }));
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
        self.write(txn([], [delete(Keys::One(self.ours.member_key().into()))], []), deadline).await
    }

    /// Create-only. When an earlier try may have got through and the key has the value we wanted, it is not known
    /// whose it is: two members write the same.
    async fn create(&self, key: &'static str, value: String, deadline: Deadline) -> Written {
        let path = self.ours.keys.key(key);
        let request = txn([is_absent(path.clone())], [put(path.clone(), value.clone())], [look(path)]);
        match self.submit(request, deadline).await {
            Ok(heard) if heard.reply.held => done(&heard),
            Ok(heard) => match (heard.maybe_before, found(heard.reply)) {
                (true, Some(kv)) if kv.value == value.as_bytes() => {
                    Written::Unclear(format!("`{key}` exists now, and may have been created by us"))
                }
                (true | false, _) => Written::Beaten,
            },
            Err(trouble) => written(trouble),
        }
    }

    async fn put(&self, key: &'static str, value: String, judged: Option<Stamp>, deadline: Deadline) -> Written {
        let key = self.ours.keys.key(key);
        let write = put(key.clone(), value.clone());
        match judged {
            None => self.write(txn([], [write], []), deadline).await,
            Some(judged) => {
                let request = txn([is_at(key.clone(), revision(&judged))], [write], [look(key)]);
                self.compared(request, Some(&value), deadline).await
            }
        }
    }

    async fn delete(&self, key: &'static str, judged: Option<Stamp>, deadline: Deadline) -> Written {
        let key = self.ours.keys.key(key);
        let delete = delete(Keys::One(key.clone().into()));
        match judged {
            None => self.write(txn([], [delete], []), deadline).await,
            Some(judged) => {
                let request = txn([is_at(key.clone(), revision(&judged))], [delete], [look(key)]);
                self.compared(request, None, deadline).await
            }
        }
    }

    async fn delete_all(&self, deadline: Deadline) -> Written {
        self.ours.publish(None);
        self.write(txn([], [delete(self.whole_tree())], []), deadline).await
    }
}

impl Embedded {
    async fn write(&self, request: Txn, deadline: Deadline) -> Written {
        match self.submit(request, deadline).await {
            Ok(heard) => done(&heard),
            Err(trouble) => written(trouble),
        }
    }

    /// A compare-and-swap towards `wanted` (`None`: absence). If the comparison fails after a try of unknown fate and
    /// the key is as we want it, that try was it.
    async fn compared(&self, request: Txn, wanted: Option<&str>, deadline: Deadline) -> Written {
        match self.submit(request, deadline).await {
            Ok(heard) if heard.reply.held => done(&heard),
            Ok(heard) => {
                let (maybe_before, revision) = (heard.maybe_before, heard.revision);
                match (found(heard.reply), wanted) {
                    (Some(kv), Some(wanted)) if maybe_before && kv.value == wanted.as_bytes() => {
                        Written::Done(stamp(kv.modified))
                    }
                    (None, None) if maybe_before => Written::Done(stamp(revision)),
                    (Some(_) | None, _) => Written::Beaten,
                }
            }
            Err(trouble) => written(trouble),
        }
    }

    pub(super) fn whole_tree(&self) -> Keys {
        let (from, to) = self.ours.keys.whole_range();
        Keys::Between(from.into(), to.into())
    }

    fn entry<'a>(&self, kv: &'a KeyValue) -> Option<Entry<'a>> {
        let session = (kv.lease != 0).then(|| kv.lease.to_string());
        Some(Entry { key: self.ours.keys.relative(&kv.key)?, value: &kv.value, stamp: stamp(kv.modified), session })
    }
}
