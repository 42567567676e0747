//! The bell: rings when a key changed that may concern a member, and whenever the watch had to begin anew.
//!
//! It carries no data, so nothing can be lost with it: a watch that broke (connection, compaction, new token, another
//! node, no raft leader) simply begins at "now", rings once, and whoever hears it reads. The rejected idea: following
//! revisions and filling the gaps, which is a cache, and a cache can be wrong.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tamada_etcd::messages::{
    WATCH_PATH, WatchCreateRequest, WatchEvent, WatchEventKind, WatchOrder, WatchRequest, WatchResponse,
};
use tamada_wire::keys::{CONFIG, FAILOVER, INITIALIZE, LEADER, MEMBERS, STATUS, SYNC};
use tokio::sync::watch;
use tracing::debug;

use super::client::Live;
use super::guard::Standing;
use super::rpc::Answers;
use super::store::Inner;
use crate::clock::{Deadline, mono};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// An etcd that is away costs one attempt in this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Watches until it is aborted.
pub async fn keep_watch(of: Arc<Inner>, bell: watch::Sender<u64>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = mono();
        watch_once(&of, &bell).await;
        // One that lasted may begin anew at once; one that breaks again and again may not.
        pause = if mono().since(begun) > LONGEST_PAUSE { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        let jitter = pause.mul_f64(fastrand::f64() / 4.0);
        tokio::time::sleep(pause + jitter).await;
    }
}

/// One watch from beginning to end.
async fn watch_once(of: &Inner, bell: &watch::Sender<u64>) {
    let deadline = Deadline::after(of.client.times().retry_timeout);
    let before = of.client.seen();
    let (key, range_end) = of.keys.whole_range();
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
    ring(bell);
    while let Some(answer) = next(of, &live, &mut answers).await {
        if answer.canceled {
            refused(of, &live, &answer);
            break;
        }
        hear(of, &live, bell, &answer);
    }
}

async fn next(of: &Inner, live: &Live, answers: &mut Answers<WatchResponse>) -> Option<WatchResponse> {
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
fn refused(of: &Inner, live: &Live, answer: &WatchResponse) {
    debug!("watch cancelled: {} (compacted at {})", answer.cancel_reason, answer.compact_revision);
    if !answer.cancel_reason.is_empty() {
        of.client.stream_failed(live, tonic::Status::cancelled(answer.cancel_reason.clone()));
    }
}

fn hear(of: &Inner, live: &Live, bell: &watch::Sender<u64>, answer: &WatchResponse) {
    let before = of.client.seen();
    drop(of.client.judge(&live.endpoint, answer.header.as_ref(), before, Standing::Local));
    forget_lost_member(of, &answer.events);
    if answer.events.iter().any(|event| concerns(of, event)) {
        ring(bell);
    }
}

fn ring(bell: &watch::Sender<u64>) {
    bell.send_modify(|times| *times = times.wrapping_add(1));
}

fn concerns(of: &Inner, event: &WatchEvent) -> bool {
    let Some(kv) = &event.kv else { return false };
    match of.keys.relative(&kv.key) {
        Some(LEADER | CONFIG | FAILOVER | SYNC | INITIALIZE) => true,
        Some(STATUS) => !of.leading.load(Ordering::Relaxed),
        // Coming or going; what a member tells about itself in between is read at the next pass.
        Some(key) => key.starts_with(MEMBERS) && (is_deletion(event) || kv.version == 1),
        None => false,
    }
}

/// Our member key was deleted, by hand or by the end of its lease: it must be written again.
fn forget_lost_member(of: &Inner, events: &[WatchEvent]) {
    let mine = of.member_key();
    let lost = |event: &WatchEvent| is_deletion(event) && event.kv.as_ref().is_some_and(|kv| kv.key == mine);
    if events.iter().any(lost) {
        of.known().member = None;
    }
}

fn is_deletion(event: &WatchEvent) -> bool {
    event.kind == i32::from(WatchEventKind::Delete)
}
