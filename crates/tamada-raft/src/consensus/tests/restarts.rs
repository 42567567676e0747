//! What was confirmed outlives whoever confirmed it.

use openraft::{LogIdOptionExt, RaftMetrics};
use tokio::time::timeout;

use super::super::Place;
use super::cluster::{Cluster, LONG};

type Metrics = RaftMetrics<u64, Place>;

#[tokio::test]
async fn what_one_voter_alone_confirmed_is_there_after_a_restart() {
    let mut cluster = Cluster::of(1).await;
    let me = cluster.node(0).disk.identity();
    cluster.node(0).put("a", "1").await;
    tokio::join!(cluster.node(0).put("a", "2"), cluster.node(0).put("b", "3"));
    cluster.stop(0).await;

    cluster.start(0).await;
    assert_eq!(cluster.leader().await, 0);
    assert_eq!(cluster.node(0).disk.identity(), me);
    assert_eq!(cluster.get("a").await.unwrap(), "2");
    assert_eq!(cluster.get("b").await.unwrap(), "3");
    cluster.stop_all().await;
}

/// The library would let it lead at once, with what it had saved of how far it had committed.
#[tokio::test]
async fn a_leader_that_starts_again_has_to_be_elected_again() {
    let mut cluster = Cluster::of(1).await;
    let term = cluster.term(0);
    cluster.stop(0).await;
    cluster.start(0).await;
    cluster.leader().await;
    assert!(cluster.term(0) > term);
    cluster.stop_all().await;
}

#[tokio::test]
async fn what_three_confirmed_is_there_after_all_were_stopped() {
    let mut cluster = Cluster::of(3).await;
    for number in 0..20 {
        cluster.put(&format!("key-{number}"), "x").await;
    }
    cluster.stop_all().await;
    for which in 0..3 {
        cluster.start(which).await;
    }
    for number in 0..20 {
        assert_eq!(cluster.get(&format!("key-{number}")).await.unwrap(), "x");
    }
    cluster.stop_all().await;
}

/// Without help, the library would keep thousands of them.
#[tokio::test]
async fn large_entries_do_not_fill_the_disk() {
    let mut cluster = Cluster::of(1).await;
    let large = "x".repeat(256 * 1024);
    let mut largest = 0;
    for _ in 0..160 {
        cluster.node(0).put("a", &large).await;
        largest = largest.max(cluster.node(0).disk.bytes());
    }
    println!("{} MiB at most, for 40 MiB that were written", largest >> 20);
    assert!(largest < 32 << 20, "{largest} bytes");
    cluster.stop_all().await;
    cluster.start(0).await;
    cluster.leader().await;
    assert_eq!(cluster.get("a").await.unwrap(), large);
    cluster.stop_all().await;
}

/// Its log ends where the others' has been thrown away.
#[tokio::test]
async fn who_was_away_for_long_is_sent_the_keys_as_a_whole() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let away = (leader + 1) % 3;
    cluster.stop(away).await;
    cluster.node(leader).put("a", "1").await;
    let last = cluster.node(leader).raft.metrics().borrow().last_log_index;
    cluster.node(leader).raft.trigger().snapshot().await.unwrap();
    let long = Some(LONG);
    let snapshot = |metrics: &Metrics| metrics.snapshot.index() >= last;
    cluster.node(leader).raft.wait(long).metrics(snapshot, "a snapshot").await.unwrap();
    cluster.node(leader).raft.trigger().purge_log(last.unwrap()).await.unwrap();
    let purged = |metrics: &Metrics| metrics.purged.index() == last;
    cluster.node(leader).raft.wait(long).metrics(purged, "a purged log").await.unwrap();
    cluster.node(leader).put("b", "2").await;

    cluster.start(away).await;
    let revision = cluster.node(leader).machine.revision();
    timeout(LONG, cluster.node(away).machine.reached(revision)).await.expect("the keys arrive");
    assert_eq!(cluster.node(away).has("a").unwrap(), "1");
    cluster.stop(away).await;
    cluster.start(away).await;
    assert_eq!(cluster.node(away).has("a").unwrap(), "1");
    cluster.stop_all().await;
}
