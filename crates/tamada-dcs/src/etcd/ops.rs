//! Keys, and the transactions over them.

use tamada_etcd::messages::{
    Compare, CompareTarget, DeleteRangeRequest, Expected, KeyValue, Operation, Outcome, PutRequest, RangeRequest,
    RequestOp, TxnRequest, TxnResponse,
};
use tamada_model::Stamp;

use super::lease::LeaseId;

/// The cluster's part of the tree.
#[derive(Clone, Debug)]
pub struct Keys {
    /// With trailing slash, so that `zabbix` does not include `zabbix2`.
    prefix: String,
}

impl Keys {
    pub fn new(base: &str) -> Self {
        Self { prefix: format!("{}/", base.trim_end_matches('/')) }
    }

    pub fn key(&self, relative: &str) -> Vec<u8> {
        format!("{}{relative}", self.prefix).into_bytes()
    }

    pub fn relative<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(key.strip_prefix(self.prefix.as_bytes())?).ok()
    }

    /// All keys: from the prefix up to its successor, `…/` to `…0`.
    pub fn whole_range(&self) -> (Vec<u8>, Vec<u8>) {
        let start = self.prefix.clone().into_bytes();
        let mut end = start.clone();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        (start, end)
    }
}

pub fn range(key: Vec<u8>) -> RangeRequest {
    RangeRequest { key, ..RangeRequest::default() }
}

pub fn look(key: Vec<u8>) -> Operation {
    Operation::Range(range(key))
}

pub fn put(key: Vec<u8>, value: impl Into<Vec<u8>>) -> Operation {
    Operation::Put(PutRequest { key, value: value.into(), ..PutRequest::default() })
}

pub fn put_under(lease: LeaseId, key: Vec<u8>, value: impl Into<Vec<u8>>) -> Operation {
    Operation::Put(PutRequest { key, value: value.into(), lease: lease.0, ..PutRequest::default() })
}

pub fn delete(key: Vec<u8>) -> Operation {
    Operation::DeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() })
}

pub fn is_absent(key: Vec<u8>) -> Compare {
    is_created_at(key, 0)
}

pub fn is_at(key: Vec<u8>, revision: i64) -> Compare {
    compare(key, CompareTarget::Mod, Expected::ModRevision(revision))
}

/// The key that was created then, and not one that came after it.
pub fn is_created_at(key: Vec<u8>, revision: i64) -> Compare {
    compare(key, CompareTarget::Create, Expected::CreateRevision(revision))
}

pub fn has_value(key: Vec<u8>, value: impl Into<Vec<u8>>) -> Compare {
    compare(key, CompareTarget::Value, Expected::Value(value.into()))
}

pub fn is_under(lease: LeaseId, key: Vec<u8>) -> Compare {
    compare(key, CompareTarget::Lease, Expected::Lease(lease.0))
}

fn compare(key: Vec<u8>, target: CompareTarget, expected: Expected) -> Compare {
    Compare { target: target.into(), key, expected: Some(expected), ..Compare::default() }
}

pub fn txn(
    compare: impl Into<Vec<Compare>>,
    then: impl IntoIterator<Item = Operation>,
    otherwise: impl IntoIterator<Item = Operation>,
) -> TxnRequest {
    let request = |operation| RequestOp { request: Some(operation) };
    TxnRequest {
        compare: compare.into(),
        success: then.into_iter().map(request).collect(),
        failure: otherwise.into_iter().map(request).collect(),
    }
}

/// What the last operation of the branch that was taken did; nested transactions included.
#[derive(Debug)]
pub enum Taken {
    Put,
    Deleted,
    Found(KeyValue),
    FoundNothing,
}

pub fn taken(answer: &TxnResponse) -> Taken {
    match answer.responses.last().and_then(|response| response.response.as_ref()) {
        Some(Outcome::Put(_)) => Taken::Put,
        Some(Outcome::DeleteRange(_)) => Taken::Deleted,
        Some(Outcome::Range(found)) => found.kvs.first().cloned().map_or(Taken::FoundNothing, Taken::Found),
        Some(Outcome::Txn(nested)) => taken(nested),
        None => Taken::FoundNothing,
    }
}

pub fn stamp(revision: i64) -> Stamp {
    Stamp::new(revision.to_string())
}

/// The revision of a stamp that this store gave; one of another store never matches.
pub fn revision(stamp: &Stamp) -> i64 {
    stamp.as_str().parse().unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_a_cluster_ends_before_its_namesakes() {
        let keys = Keys::new("/service/zabbix");
        assert_eq!(keys.whole_range(), (b"/service/zabbix/".to_vec(), b"/service/zabbix0".to_vec()));
        assert_eq!(keys.relative(b"/service/zabbix/members/a"), Some("members/a"));
        assert_eq!(keys.relative(b"/service/zabbix2/leader"), None);
    }
}
