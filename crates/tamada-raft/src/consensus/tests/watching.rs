//! Who watches is told everything once and in order, or that it missed something.

use openraft::storage::RaftStateMachine;
use openraft::{CommittedLeaderId, EntryPayload, LogId, RaftSnapshotBuilder};

use super::super::{Batch, Entry, Machine, open};
use super::cluster::put;
use crate::disk::Disk;
use crate::disk::testing::Scratch;
use crate::{Changes, Keys, Watch, WatchEnd};

fn machine() -> (Scratch, Machine) {
    let scratch = Scratch::new();
    let (_, machine) = open(&Disk::open(scratch.path()).unwrap()).unwrap();
    (scratch, machine)
}

/// The first revision is 2.
async fn write(machine: &mut Machine, index: u64, key: &str) {
    let log_id = LogId::new(CommittedLeaderId::new(1, 1), index);
    let payload = EntryPayload::Normal(Batch(vec![put(key, "x")]));
    machine.apply([Entry { log_id, payload }]).await.unwrap();
}

fn told(watching: &mut Watch) -> Vec<Result<u64, WatchEnd>> {
    let mut told = Vec::new();
    while let Ok(news) = watching.changes.try_recv() {
        told.push(news.map(|Changes { revision, .. }| revision));
    }
    told
}

#[tokio::test]
async fn a_watch_is_told_what_was_since_its_revision_and_what_comes() {
    let (_scratch, mut machine) = machine();
    for index in 0..4 {
        write(&mut machine, index, if index == 2 { "other" } else { "a/b" }).await;
    }
    let mut past = machine.watch(Keys::prefix(b"a/"), Some(3));
    let mut fresh = machine.watch(Keys::prefix(b"a/"), None);
    assert_eq!((past.began_at, fresh.began_at), (5, 5));
    write(&mut machine, 4, "other").await;
    write(&mut machine, 5, "a/b").await;
    assert_eq!(told(&mut past), [Ok(3), Ok(5), Ok(7)]);
    assert_eq!(told(&mut fresh), [Ok(7)]);
}

#[tokio::test]
async fn a_watch_that_is_too_slow_is_told_so_last() {
    let (_scratch, mut machine) = machine();
    let mut slow = machine.watch(Keys::prefix(b""), None);
    for index in 0..1000 {
        write(&mut machine, index, "a").await;
    }
    let told = told(&mut slow);
    assert!(matches!(told.last(), Some(Err(WatchEnd::Lost(_)))));
    assert!(told[..told.len() - 1].iter().zip(2..).all(|(told, revision)| *told == Ok(revision)));
}

#[tokio::test]
async fn a_watch_from_before_what_is_kept_is_told_so() {
    let (_scratch, mut machine) = machine();
    for index in 0..1100 {
        write(&mut machine, index, "a").await;
    }
    let mut late = machine.watch(Keys::prefix(b""), Some(2));
    assert!(matches!(told(&mut late)[..], [Err(WatchEnd::Compacted { oldest })] if oldest > 2));
}

#[tokio::test]
async fn a_watch_goes_on_over_a_snapshot() {
    let (_leaders, mut leader) = machine();
    let (_followers, mut follower) = machine();
    write(&mut leader, 0, "a").await;
    write(&mut follower, 0, "a").await;
    let mut watching = follower.watch(Keys::prefix(b""), None);
    for index in 1..4 {
        write(&mut leader, index, "a").await;
    }
    let snapshot = leader.get_snapshot_builder().await.build_snapshot().await.unwrap();
    follower.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
    write(&mut follower, 4, "a").await;
    assert_eq!(told(&mut watching), [Ok(3), Ok(4), Ok(5), Ok(6)]);
}

#[tokio::test]
async fn whoever_waits_for_a_revision_hears_of_it() {
    let (_scratch, mut machine) = machine();
    let waiting = machine.clone();
    let waiting = tokio::spawn(async move { waiting.reached(4).await });
    for index in 0..3 {
        assert!(!waiting.is_finished());
        write(&mut machine, index, "a").await;
    }
    waiting.await.unwrap();
}
