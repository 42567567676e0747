//! The watch that rings the bell.
//!
//! One that broke (connection, compaction, new token, another node, no raft leader) simply begins at "now", and rings
//! once: whoever hears it reads.

use tamada_etcd::messages::{
    WATCH_PATH, WatchCreateRequest, WatchEvent, WatchEventKind, WatchOrder, WatchRequest, WatchResponse,
};
use tracing::debug;

use super::client::Live;
use super::guard::Standing;
use super::rpc::Answers;
use super::store::Etcd;
use crate::bell::{Happened, Ringer};
use crate::clock::Deadline;
use crate::tree::Watched;

impl Watched for Etcd {
    async fn watch(&self, bell: &Ringer) {
        watch_once(self, bell).await;
    }
}

async fn watch_once(of: &Etcd, bell: &Ringer) {
    let deadline = Deadline::after(of.client.times().retry_timeout);
    let before = of.client.seen();
    let (key, range_end) = of.ours.keys.whole_range();
    let create = WatchCreateRequest { key, range_end, ..WatchCreateRequest::default() };
    let request = WatchRequest { order: Some(WatchOrder::Create(create)) };
    let opened = of.client.subscribe::<_, WatchResponse>(WATCH_PATH, request, deadline).await;
    let (live, mut answers) = match opened {
        Ok(opened) => opened,
        Err(why) => {
            debug!("no watch: {why}");
            return;
        }
    };
    let Some(Some(first)) = deadline.limit(next(of, &live, &mut answers)).await else { return };
    if first.canceled || of.client.judge(&live.endpoint, first.header.as_ref(), before, Standing::Local).is_err() {
        refused(of, &live, &first);
        return;
    }
    bell.ring();
    while let Some(answer) = next(of, &live, &mut answers).await {
        if answer.canceled {
            refused(of, &live, &answer);
            break;
        }
        hear(of, &live, bell, &answer);
    }
}

async fn next(of: &Etcd, live: &Live, answers: &mut Answers<WatchResponse>) -> Option<WatchResponse> {
    match answers.next().await {
        Ok(answer) => answer,
        Err(status) => {
            debug!("watch ended: {}", status.message());
            of.client.stream_failed(live, status);
            None
        }
    }
}

/// etcd ended the watch with a word about why: history compacted, token not accepted, no leader.
fn refused(of: &Etcd, live: &Live, answer: &WatchResponse) {
    debug!("watch cancelled: {} (compacted at {})", answer.cancel_reason, answer.compact_revision);
    if !answer.cancel_reason.is_empty() {
        of.client.stream_failed(live, tonic::Status::cancelled(answer.cancel_reason.clone()));
    }
}

fn hear(of: &Etcd, live: &Live, bell: &Ringer, answer: &WatchResponse) {
    let before = of.client.seen();
    drop(of.client.judge(&live.endpoint, answer.header.as_ref(), before, Standing::Local));
    bell.hear(&of.ours, answer.events.iter().filter_map(happened));
}

fn happened(event: &WatchEvent) -> Option<(&[u8], Happened)> {
    let kv = event.kv.as_ref()?;
    let happened = match kv.version {
        _ if is_deletion(event) => Happened::Deleted,
        1 => Happened::Created,
        _ => Happened::Changed,
    };
    Some((&kv.key, happened))
}

fn is_deletion(event: &WatchEvent) -> bool {
    event.kind == i32::from(WatchEventKind::Delete)
}
