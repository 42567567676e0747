//! From answers to words.

use bytes::Bytes;

use super::super::{Applied, Compacted, Keyspace, LeaseRecord, LeaseTouched};
use crate::txn::{Change, ChangeKind, KeyValue, OpReply, RangeReply, Refusal, Revision, TxnReply};

/// One line for the outcome, and one for each thing that happened.
pub fn applied(index: u64, applied: &Applied) -> Vec<String> {
    let outcome = match &applied.outcome.result {
        Ok(reply) => txn(reply),
        Err(refusal) => format!("refused: {refusal}"),
    };
    let mut lines = vec![format!("{index}: revision {}, {outcome}", applied.outcome.revision)];
    lines.extend(applied.changes.iter().map(|made| format!("   {}", change(made))));
    lines.extend(applied.leases.iter().map(|lease| format!("   {}", touched(lease))));
    lines
}

pub fn read(reply: &Result<RangeReply, Refusal>) -> String {
    match reply {
        Ok(reply) => format!("read {}", range(reply)),
        Err(refusal) => format!("refused: {refusal}"),
    }
}

pub fn watched(found: &Result<Vec<(Revision, Vec<Change>)>, Compacted>) -> Vec<String> {
    match found {
        Ok(revisions) if revisions.is_empty() => vec!["saw nothing".into()],
        Ok(revisions) => revisions.iter().map(|(revision, changes)| seen(*revision, changes)).collect(),
        Err(Compacted { oldest }) => vec![format!("gone; the oldest is {oldest}")],
    }
}

fn seen(revision: Revision, changes: &[Change]) -> String {
    let changes: Vec<String> = changes.iter().map(change).collect();
    format!("saw revision {revision}: {}", changes.join("; "))
}

pub fn lease(lease: &LeaseRecord<'_>) -> String {
    let keys: Vec<String> = lease.keys.iter().map(text).collect();
    format!("lease {} for {:?}, renewed at {}, with [{}]", lease.id, lease.ttl, lease.renewed, keys.join(" "))
}

pub fn store(space: &Keyspace) -> String {
    let cluster = space.cluster().map_or("nobody".into(), |cluster| cluster.to_string());
    let invited: Vec<&str> = space.invited().iter().map(String::as_str).collect();
    format!("store of {cluster} at revision {}, invited: [{}]", space.revision(), invited.join(" "))
}

fn txn(reply: &TxnReply) -> String {
    let replies: Vec<String> = reply.replies.iter().map(op).collect();
    format!("{}: {}", if reply.held { "yes" } else { "no" }, replies.join("; ")).trim_end_matches(": ").to_owned()
}

fn op(reply: &OpReply) -> String {
    match reply {
        OpReply::Range(reply) => range(reply),
        OpReply::Put { previous: None } => "put".into(),
        OpReply::Put { previous: Some(previous) } => format!("put over {}", key_value(previous)),
        OpReply::Delete { count, previous } => {
            let previous: Vec<String> = previous.iter().map(key_value).collect();
            format!("deleted {count} {}", previous.join(", ")).trim_end().to_owned()
        }
        OpReply::Txn(reply) => format!("[{}]", txn(reply)),
        OpReply::Lease { id, ttl } => format!("lease {id} for {ttl:?}"),
    }
}

fn range(reply: &RangeReply) -> String {
    let kvs: Vec<String> = reply.kvs.iter().map(key_value).collect();
    match (reply.count, kvs.len() as u64) {
        (0, 0) => "nothing".into(),
        (count, found) if count == found => kvs.join(", "),
        (count, 0) => format!("{count} keys"),
        (count, _) => format!("{} of {count} keys", kvs.join(", ")),
    }
}

fn change(change: &Change) -> String {
    let previous = change.previous.as_ref().map_or(String::new(), |previous| format!(", was {}", key_value(previous)));
    match change.kind {
        ChangeKind::Put => format!("put {}{previous}", key_value(&change.now)),
        ChangeKind::Delete => format!("delete {} @{}{previous}", text(&change.now.key), change.now.modified),
    }
}

/// Created, modified, version: `a=1 @2-5 v3`.
fn key_value(kv: &KeyValue) -> String {
    let KeyValue { key, value, created, modified, version, lease } = kv;
    let (key, value) = (text(key), text(value));
    let lease = if *lease == 0 { String::new() } else { format!(" under {lease}") };
    format!("{key}={value} @{created}-{modified} v{version}{lease}")
}

fn touched(lease: &LeaseTouched) -> String {
    match lease {
        LeaseTouched::Granted { id, ttl } => format!("lease {id} granted for {ttl:?}"),
        LeaseTouched::Renewed { id } => format!("lease {id} renewed"),
        LeaseTouched::Ended { id } => format!("lease {id} ended"),
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
