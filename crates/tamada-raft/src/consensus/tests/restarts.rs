//! What was confirmed outlives whoever confirmed it.

use super::cluster::Cluster;

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
    assert_eq!(cluster.node(0).get("a").await.unwrap(), "2");
    assert_eq!(cluster.node(0).get("b").await.unwrap(), "3");
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
    let leader = cluster.leader().await;
    for number in 0..20 {
        cluster.node(leader).put(&format!("key-{number}"), "x").await;
    }
    cluster.stop_all().await;
    for which in 0..3 {
        cluster.start(which).await;
    }
    let leader = cluster.leader().await;
    for number in 0..20 {
        assert_eq!(cluster.node(leader).get(&format!("key-{number}")).await.unwrap(), "x");
    }
    cluster.stop_all().await;
}
