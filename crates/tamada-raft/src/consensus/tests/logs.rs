//! The log beside what the library's own tests look at.

use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::{CommittedLeaderId, EntryPayload, LogId, RaftLogReader, Vote};

use super::super::{Batch, Entry, open};
use super::cluster::put;
use crate::disk::Disk;
use crate::disk::testing::Scratch;

fn at(term: u64, index: u64) -> LogId<u64> {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}

fn large(term: u64, index: u64) -> Entry {
    let command = put(&index.to_string(), &"x".repeat(100 * 1024));
    Entry { log_id: at(term, index), payload: EntryPayload::Normal(Batch(vec![command])) }
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_read_from_the_disk() {
    let scratch = Scratch::new();
    let disk = Disk::open(scratch.path()).unwrap();
    let (mut log, _) = open(&disk).unwrap();
    for index in 0..60 {
        log.blocking_append([large(1, index)]).await.unwrap();
    }
    let all: Vec<Entry> = (0..60).map(|index| large(1, index)).collect();
    assert!(log.try_get_log_entries(..).await.unwrap() == all);
    assert!(log.try_get_log_entries(2..3).await.unwrap() == all[2..3]);
    assert!(log.try_get_log_entries(20..=58).await.unwrap() == all[20..=58]);
    assert_eq!(log.limited_get_log_entries(0, 60).await.unwrap().len(), 10);

    // Cut off behind what is in memory, and written anew.
    log.truncate(at(1, 3)).await.unwrap();
    assert_eq!(log.get_log_state().await.unwrap().last_log_id, Some(at(1, 2)));
    log.blocking_append([large(2, 3)]).await.unwrap();
    disk.close().await;

    let disk = Disk::open(scratch.path()).unwrap();
    let (mut log, _) = open(&disk).unwrap();
    let left = [large(1, 0), large(1, 1), large(1, 2), large(2, 3)];
    assert!(log.try_get_log_entries(..).await.unwrap() == left);
    disk.close().await;
}

#[tokio::test]
async fn an_own_vote_comes_back_as_not_won_and_anothers_as_it_was() {
    let scratch = Scratch::new();
    let mut node = 0;
    for vote in [|own| Vote::new_committed(3, own), |own: u64| Vote::new_committed(4, own.wrapping_add(1))] {
        let disk = Disk::open(scratch.path()).unwrap();
        node = disk.identity().node;
        let (mut log, _) = open(&disk).unwrap();
        log.save_vote(&vote(node)).await.unwrap();
        disk.close().await;
        let disk = Disk::open(scratch.path()).unwrap();
        let (mut log, _) = open(&disk).unwrap();
        let found = log.read_vote().await.unwrap().unwrap();
        let is_own = found.leader_id.node_id == node;
        assert_eq!(found, Vote { committed: !is_own, ..vote(node) });
        disk.close().await;
    }
    assert_ne!(node, 0);
}

/// The library orders it at once, and the host may lose power in between: see `horizon`.
#[tokio::test]
async fn the_log_is_not_purged_on_disk_before_the_snapshot_is_there() {
    let scratch = Scratch::new();
    let disk = Disk::open(scratch.path()).unwrap();
    let (mut log, _) = open(&disk).unwrap();
    log.blocking_append((0..4).map(|index| large(1, index))).await.unwrap();
    log.purge(at(1, 9)).await.unwrap();
    assert_eq!(log.get_log_state().await.unwrap().last_purged_log_id, Some(at(1, 9)));
    // Whatever waited goes with this.
    log.save_vote(&Vote::new(5, 5)).await.unwrap();
    disk.close().await;

    let disk = Disk::open(scratch.path()).unwrap();
    let (mut log, _) = open(&disk).unwrap();
    assert_eq!(log.try_get_log_entries(..).await.unwrap().len(), 4);
    disk.close().await;
}
