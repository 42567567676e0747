//! What the store replied, in etcd's form.
//!
//! Each answer inside a transaction tells the revision at its place: the one before the transaction, until an operation
//! has changed a key.

use tamada_raft::{Change, ChangeKind, KeyValue, OpReply, RangeReply, TxnReply};

use super::{shape, signed};
use crate::errors::{Error, INCONSISTENT};
use crate::messages::{
    self, DeleteRangeResponse, Operation, Outcome, PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseHeader,
    ResponseOp, TxnRequest, TxnResponse, WatchEvent, WatchEventKind,
};

pub fn range(request: &RangeRequest, reply: RangeReply, header: ResponseHeader) -> RangeResponse {
    let count = signed(reply.count);
    let (kvs, more) = shape::shown(request, reply);
    RangeResponse { header: Some(header), kvs: kvs.into_iter().map(key_value).collect(), more, count }
}

pub fn put(previous: Option<KeyValue>, header: ResponseHeader) -> PutResponse {
    PutResponse { header: Some(header), prev_kv: previous.map(key_value) }
}

pub fn deleted(count: u64, previous: Vec<KeyValue>, header: ResponseHeader) -> DeleteRangeResponse {
    let prev_kvs = previous.into_iter().map(key_value).collect();
    DeleteRangeResponse { header: Some(header), deleted: signed(count), prev_kvs }
}

/// `header` tells the revision after the transaction.
pub fn txn(request: &TxnRequest, reply: TxnReply, header: ResponseHeader) -> Result<TxnResponse, Error> {
    let before = header.revision - i64::from(changes(&reply));
    let mut at = Place { before, changed: false };
    let response = branch(request, reply, &mut at)?;
    Ok(TxnResponse { header: Some(header), ..response })
}

/// How far one has come inside a transaction.
struct Place {
    before: i64,
    changed: bool,
}

impl Place {
    fn header(&self) -> ResponseHeader {
        let revision = self.before + i64::from(self.changed);
        ResponseHeader { revision, ..ResponseHeader::default() }
    }
}

fn branch(request: &TxnRequest, reply: TxnReply, at: &mut Place) -> Result<TxnResponse, Error> {
    let taken = if reply.held { &request.success } else { &request.failure };
    if taken.len() != reply.replies.len() {
        return Err(INCONSISTENT);
    }
    let answered = taken.iter().zip(reply.replies).map(|(request, reply)| op(request, reply, at));
    let responses = answered.collect::<Result<_, _>>()?;
    Ok(TxnResponse { header: Some(ResponseHeader::default()), succeeded: reply.held, responses })
}

fn op(request: &RequestOp, reply: OpReply, at: &mut Place) -> Result<ResponseOp, Error> {
    at.changed |= changed(&reply);
    let header = at.header();
    let response = match (&request.request, reply) {
        (Some(Operation::Range(request)), OpReply::Range(reply)) => Outcome::Range(range(request, reply, header)),
        (Some(Operation::Put(_)), OpReply::Put { previous }) => Outcome::Put(put(previous, header)),
        (Some(Operation::DeleteRange(_)), OpReply::Delete { count, previous }) => {
            Outcome::DeleteRange(deleted(count, previous, header))
        }
        (Some(Operation::Txn(request)), OpReply::Txn(reply)) => Outcome::Txn(branch(request, reply, at)?),
        (Some(_) | None, _) => return Err(INCONSISTENT),
    };
    Ok(ResponseOp { response: Some(response) })
}

fn changes(reply: &TxnReply) -> bool {
    reply.replies.iter().any(|reply| match reply {
        OpReply::Txn(nested) => changes(nested),
        OpReply::Range(_) | OpReply::Put { .. } | OpReply::Delete { .. } | OpReply::Lease { .. } => changed(reply),
    })
}

/// By itself; what is nested is asked one by one.
fn changed(reply: &OpReply) -> bool {
    match reply {
        OpReply::Put { .. } => true,
        OpReply::Delete { count, .. } => *count > 0,
        OpReply::Range(_) | OpReply::Txn(_) | OpReply::Lease { .. } => false,
    }
}

pub fn event(change: Change, with_previous: bool) -> WatchEvent {
    let kind = match change.kind {
        ChangeKind::Put => WatchEventKind::Put,
        ChangeKind::Delete => WatchEventKind::Delete,
    };
    let previous = change.previous.filter(|_| with_previous);
    WatchEvent { kind: kind.into(), kv: Some(key_value(change.now)), prev_kv: previous.map(key_value) }
}

pub fn key_value(kv: KeyValue) -> messages::KeyValue {
    messages::KeyValue {
        key: kv.key.into(),
        create_revision: signed(kv.created),
        mod_revision: signed(kv.modified),
        version: signed(kv.version),
        value: kv.value.into(),
        lease: kv.lease,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::messages::{DeleteRangeRequest, PutRequest};

    fn asked(request: Operation) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    fn revisions(response: &TxnResponse) -> Vec<i64> {
        let revision = |header: &Option<ResponseHeader>| header.map_or(-1, |header| header.revision);
        let of = |op: &ResponseOp| match op.response.as_ref().expect("an outcome") {
            Outcome::Range(range) => vec![revision(&range.header)],
            Outcome::Put(put) => vec![revision(&put.header)],
            Outcome::DeleteRange(delete) => vec![revision(&delete.header)],
            Outcome::Txn(nested) => revisions(nested),
        };
        response.responses.iter().flat_map(of).collect()
    }

    #[test]
    fn each_answer_inside_a_transaction_tells_the_revision_at_its_place() {
        let look = || asked(Operation::Range(RangeRequest::default()));
        let delete = || asked(Operation::DeleteRange(DeleteRangeRequest::default()));
        let put = || asked(Operation::Put(PutRequest::default()));
        let nested = TxnRequest { failure: vec![put(), look()], ..TxnRequest::default() };
        let success = vec![look(), delete(), asked(Operation::Txn(nested)), look()];
        let request = TxnRequest { success, ..TxnRequest::default() };

        let seen = || OpReply::Range(RangeReply::default());
        let nested = TxnReply { held: false, replies: vec![OpReply::Put { previous: None }, seen()] };
        let nothing = OpReply::Delete { count: 0, previous: Vec::new() };
        let reply = TxnReply { held: true, replies: vec![seen(), nothing, OpReply::Txn(nested), seen()] };

        let after = ResponseHeader { revision: 8, ..ResponseHeader::default() };
        let response = txn(&request, reply, after).expect("it fits the request");
        assert_eq!(revisions(&response), [7, 7, 8, 8, 8]);
        assert_eq!(response.header, Some(after));
    }

    #[test]
    fn a_reply_to_something_else_is_noticed() {
        let request = TxnRequest { success: vec![asked(Operation::Put(PutRequest::default()))], ..Default::default() };
        let other = TxnReply { held: true, replies: vec![OpReply::Range(RangeReply::default())] };
        assert_eq!(txn(&request, other, ResponseHeader::default()), Err(INCONSISTENT));
        let fewer = TxnReply { held: true, replies: Vec::new() };
        assert_eq!(txn(&request, fewer, ResponseHeader::default()), Err(INCONSISTENT));
    }

    #[test]
    fn an_event_carries_what_was_there_before_only_if_asked() {
        let kv = |value: &'static str| KeyValue {
            key: Bytes::from_static(b"a"),
            value: Bytes::from_static(value.as_bytes()),
            created: 2,
            modified: 3,
            version: 2,
            lease: 0,
        };
        let change = Change { now: kv("new"), kind: ChangeKind::Put, previous: Some(kv("old")) };
        assert_eq!(event(change.clone(), true).prev_kv.expect("asked").value, b"old");
        assert_eq!(event(change, false).prev_kv, None);
    }
}
