//! Watches, beside those of a real etcd: the same scene at both, and the same to be heard.

use std::time::Duration;

use futures_util::stream::unfold;
use tamada_etcd::messages::*;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Streaming;

use crate::caller::Caller;
use crate::etcd::Etcd;
use crate::store::{LIMIT, Store};

/// A stream with watchers on it, and what was heard on it so far, in words.
struct Scene {
    caller: Caller,
    orders: mpsc::Sender<WatchRequest>,
    answers: Streaming<WatchResponse>,
    heard: Vec<String>,
}

impl Scene {
    async fn open(caller: Caller) -> Self {
        let (orders, ordered) = mpsc::channel(8);
        let ordered = unfold(ordered, |mut ordered| async { ordered.recv().await.map(|order| (order, ordered)) });
        // A server may wait with its first word for the first order.
        let opened = tokio::spawn({
            let caller = caller.clone();
            async move { caller.converse(WATCH_PATH, ordered).await }
        });
        let first = WatchCreateRequest { key: b"first".to_vec(), ..WatchCreateRequest::default() };
        orders.send(WatchRequest { order: Some(WatchOrder::Create(first)) }).await.expect("the stream is open");
        let answers = timeout(LIMIT, opened).await.expect("it opens in time").expect("no panic").expect("a stream");
        let mut scene = Self { caller, orders, answers, heard: Vec::new() };
        scene.hears(1).await;
        scene
    }

    async fn put(&mut self, key: &str, value: &str) {
        let put = PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() };
        self.caller.ask(put).await.expect("it is written");
    }

    async fn delete(&mut self, key: &str) {
        let delete = DeleteRangeRequest { key: key.into(), ..DeleteRangeRequest::default() };
        self.caller.ask(delete).await.expect("it is deleted");
    }

    async fn order(&self, order: WatchOrder) {
        self.orders.send(WatchRequest { order: Some(order) }).await.expect("the stream is open");
    }

    async fn watch(&self, create: WatchCreateRequest) {
        self.order(WatchOrder::Create(create)).await;
    }

    /// Waits for so many words: an event, or an answer without events.
    async fn hears(&mut self, words: usize) {
        let enough = self.heard.len() + words;
        while self.heard.len() < enough {
            let answer = timeout(LIMIT, self.answers.message()).await;
            let answer = answer.unwrap_or_else(|_| panic!("silence after {:#?}", self.heard));
            let answer = answer.expect("the stream goes on").expect("the stream goes on");
            self.heard.extend(in_words(&answer));
        }
    }
}

fn in_words(answer: &WatchResponse) -> Vec<String> {
    let WatchResponse { watch_id, created, canceled, compact_revision, cancel_reason, .. } = answer;
    if answer.events.is_empty() {
        let revision = answer.header.map_or(0, |header| header.revision);
        return vec![format!(
            "{watch_id}: created {created}, canceled {canceled}, compacted {compact_revision}, \
             because {cancel_reason:?}, at {revision}"
        )];
    }
    let text = |kv: &Option<KeyValue>| {
        kv.as_ref().map_or("nothing".to_owned(), |kv| {
            let (key, value) = (String::from_utf8_lossy(&kv.key), String::from_utf8_lossy(&kv.value));
            format!("{key}={value} ({}, {}, {})", kv.create_revision, kv.mod_revision, kv.version)
        })
    };
    let event = |event: &WatchEvent| {
        format!("{watch_id}: {:?} {} after {}", event.kind(), text(&event.kv), text(&event.prev_kv))
    };
    answer.events.iter().map(event).collect()
}

/// Of this key.
fn of(key: &str) -> WatchCreateRequest {
    WatchCreateRequest { key: key.into(), ..WatchCreateRequest::default() }
}

/// Plays the scene at both, and compares what was heard.
async fn the_same_at_both<F>(play: impl Fn(Scene) -> F)
where
    F: Future<Output = Scene>,
{
    let (etcd, ours) = (Etcd::start().await, Store::alone().await);
    let at_etcd = play(Scene::open(Caller::to(etcd.port).await).await).await.heard;
    let at_ours = play(Scene::open(ours.caller(0).await).await).await.heard;
    assert_eq!(at_etcd, at_ours);
}

#[tokio::test]
async fn many_watchers_share_a_stream_and_hear_what_they_asked_for() {
    the_same_at_both(|mut scene| async move {
        let all_a = WatchCreateRequest { key: b"a".to_vec(), range_end: b"b".to_vec(), prev_kv: true, ..of("") };
        scene.watch(all_a).await;
        scene.hears(1).await;
        scene.watch(WatchCreateRequest { watch_id: 77, filters: vec![WatchFilter::NoPut.into()], ..of("a/1") }).await;
        scene.hears(1).await;
        scene.watch(WatchCreateRequest { filters: vec![WatchFilter::NoDelete.into()], ..of("c") }).await;
        scene.hears(1).await;
        scene.put("a/1", "one").await;
        scene.hears(1).await;
        scene.put("a/1", "two").await;
        scene.hears(1).await;
        scene.put("b", "nobody looks").await;
        scene.put("c", "three").await;
        scene.hears(1).await;
        scene.delete("c").await;
        scene.put("c", "four").await;
        scene.hears(1).await;
        scene
    })
    .await;
}

#[tokio::test]
async fn deletions_are_told_to_all_whom_they_concern() {
    // Two watchers hear of one event; in which order is not settled.
    the_same_at_both(|mut scene| async move {
        scene.watch(WatchCreateRequest { prev_kv: true, ..of("a") }).await;
        scene.hears(1).await;
        scene.watch(WatchCreateRequest { filters: vec![WatchFilter::NoPut.into()], ..of("a") }).await;
        scene.hears(1).await;
        scene.put("a", "one").await;
        scene.hears(1).await;
        scene.delete("a").await;
        scene.hears(2).await;
        scene.heard.sort();
        scene
    })
    .await;
}

#[tokio::test]
async fn a_watch_is_taken_up_where_it_broke() {
    the_same_at_both(|mut scene| async move {
        for value in ["one", "two", "three", "four"] {
            scene.put("a", value).await;
        }
        scene.watch(WatchCreateRequest { start_revision: 3, prev_kv: true, ..of("a") }).await;
        scene.hears(4).await;
        scene.put("a", "five").await;
        scene.hears(1).await;
        scene
    })
    .await;
}

#[tokio::test]
async fn a_watch_may_begin_in_the_future() {
    the_same_at_both(|mut scene| async move {
        scene.watch(WatchCreateRequest { start_revision: 4, ..of("a") }).await;
        scene.hears(1).await;
        for value in ["one", "two", "three", "four"] {
            scene.put("a", value).await;
        }
        scene.hears(2).await;
        scene
    })
    .await;
}

#[tokio::test]
async fn a_watch_of_what_is_forgotten_is_told_from_where_history_is_kept() {
    the_same_at_both(|mut scene| async move {
        for value in ["one", "two", "three", "four"] {
            scene.put("a", value).await;
        }
        scene.caller.ask(CompactionRequest { revision: 4 }).await.expect("it is compacted");
        scene.watch(WatchCreateRequest { start_revision: 2, ..of("a") }).await;
        scene.hears(2).await;
        scene.watch(WatchCreateRequest { start_revision: 4, ..of("a") }).await;
        scene.hears(3).await;
        scene
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused_with_a_reason() {
    the_same_at_both(|mut scene| async move {
        scene.watch(WatchCreateRequest { range_end: b"a".to_vec(), ..of("b") }).await;
        scene.hears(1).await;
        scene.watch(WatchCreateRequest { watch_id: 5, ..of("b") }).await;
        scene.hears(1).await;
        scene.watch(WatchCreateRequest { watch_id: 5, ..of("c") }).await;
        scene.hears(1).await;
        scene
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_watcher_hears_no_more_and_the_others_do() {
    the_same_at_both(|mut scene| async move {
        for key in ["a", "b"] {
            scene.watch(of(key)).await;
            scene.hears(1).await;
        }
        scene.order(WatchOrder::Cancel(WatchCancelRequest { watch_id: 1 })).await;
        scene.hears(1).await;
        scene.order(WatchOrder::Cancel(WatchCancelRequest { watch_id: 99 })).await;
        scene.put("a", "nobody looks").await;
        scene.put("b", "one").await;
        scene.hears(1).await;
        scene
    })
    .await;
}

#[tokio::test]
async fn who_asks_how_far_it_is_hears_everything_up_to_there_first() {
    the_same_at_both(|mut scene| async move {
        scene.watch(of("a")).await;
        scene.hears(1).await;
        for value in ["one", "two", "three"] {
            scene.put("a", value).await;
        }
        scene.hears(3).await;
        scene.put("elsewhere", "x").await;
        // etcd leaves the question unanswered until all its watchers are in step.
        while timeout(Duration::from_secs(1), scene.hears(1)).await.is_err() {
            scene.order(WatchOrder::Progress(WatchProgressRequest {})).await;
        }
        scene
    })
    .await;
}

#[tokio::test]
async fn thousands_of_changes_arrive_in_order_and_each_once() {
    let store = Store::alone().await;
    let mut scene = Scene::open(store.caller(0).await).await;
    scene.watch(of("a")).await;
    scene.hears(1).await;
    let writer = store.caller(0).await;
    let writing = tokio::spawn(async move {
        for number in 0..3000 {
            let value = number.to_string().into_bytes();
            let put = PutRequest { key: b"a".to_vec(), value, ..PutRequest::default() };
            writer.ask(put).await.expect("it is written");
        }
    });
    scene.hears(3000).await;
    writing.await.expect("all was written");
    let told = scene.heard.iter().filter_map(|word| word.split(['=', ' ']).nth(3)?.parse::<i32>().ok());
    assert!(told.eq(0..3000), "{:#?}", scene.heard);
}
