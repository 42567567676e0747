//! Who leads, and that nobody is toppled without need.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::cluster::{Cluster, LONG};

#[tokio::test]
async fn a_lost_leader_is_replaced() {
    let mut cluster = Cluster::of(3).await;
    let lost = cluster.leader().await;
    cluster.stop(lost).await;
    let since = Instant::now();
    cluster.put("a", "1").await;
    // Not asserted: this machine may be busy.
    println!("a new leader writes after {} ms", since.elapsed().as_millis());
    cluster.stop_all().await;
}

/// Without asking first, it would come back with a higher term, and the leader would step down.
#[tokio::test]
async fn who_was_cut_off_comes_back_quietly() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let term = cluster.term(leader);
    let lonely = (leader + 1) % 3;
    cluster.cut_off(lonely);
    // Time enough for several campaigns.
    sleep(Duration::from_secs(4)).await;
    cluster.node(leader).put("a", "1").await;
    assert_eq!(cluster.term(lonely), term);
    cluster.mend();
    cluster.node(lonely).machine.reached(cluster.node(leader).machine.revision()).await;
    cluster.node(leader).put("b", "2").await;
    assert_eq!((cluster.leader().await, cluster.term(leader)), (leader, term));
    cluster.stop_all().await;
}

#[tokio::test]
async fn a_leader_that_was_cut_off_finds_its_successor() {
    let mut cluster = Cluster::of(3).await;
    let old = cluster.leader().await;
    cluster.cut_off(old);
    cluster.put("a", "1").await;
    let new = cluster.leader().await;
    assert_ne!(new, old);
    cluster.mend();
    cluster.node(old).machine.reached(cluster.node(new).machine.revision()).await;
    assert_eq!(cluster.node(old).has("a").unwrap(), "1");
    assert_eq!(cluster.leader().await, new);
    cluster.stop_all().await;
}

/// All others hear only that one, which hears a leader that can decide nothing.
#[tokio::test]
async fn who_alone_hears_all_becomes_the_leader() {
    let mut cluster = Cluster::of(5).await;
    let old = cluster.leader().await;
    let middle = (old + 1) % 5;
    let others: Vec<usize> = (0..5).filter(|which| *which != middle).collect();
    for (at, a) in others.iter().enumerate() {
        others[at + 1..].iter().for_each(|b| cluster.cut_between(*a, *b));
    }
    let leads = async {
        while !cluster.node(middle).try_to_put("a", "1").await {
            sleep(Duration::from_millis(100)).await
        }
    };
    timeout(LONG, leads).await.expect("it is elected");
    cluster.mend();
    cluster.node(old).machine.reached(cluster.node(middle).machine.revision()).await;
    assert_eq!(cluster.node(old).has("a").unwrap(), "1");
    cluster.stop_all().await;
}

/// The follower's disk is slow, and the leader's messages wait in line behind it.
#[tokio::test]
async fn a_follower_with_a_slow_disk_topples_nobody() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let term = cluster.term(leader);
    cluster.node((leader + 1) % 3).faults.slow_down(Duration::from_millis(1500));
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        cluster.node(leader).put("a", "1").await;
    }
    assert_eq!((cluster.leader().await, cluster.term(leader)), (leader, term));
    cluster.stop_all().await;
}

/// The leader sends nothing while it waits for its disk.
#[tokio::test]
async fn a_leader_with_a_slow_disk_stays_the_leader() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let term = cluster.term(leader);
    cluster.node(leader).faults.slow_down(Duration::from_millis(500));
    let until = Instant::now() + Duration::from_secs(5);
    let mut written = 0;
    while Instant::now() < until {
        cluster.node(leader).put("a", "1").await;
        written += 1;
    }
    println!("{written} writes in 5 s");
    assert_eq!((cluster.leader().await, cluster.term(leader)), (leader, term));
    cluster.stop_all().await;
}

#[tokio::test]
async fn a_leader_whose_disk_is_full_is_replaced_and_comes_back() {
    let mut cluster = Cluster::of(3).await;
    let full = cluster.leader().await;
    cluster.node(full).faults.fail_writes(Some(ErrorKind::StorageFull));
    let stuck = cluster.node(full).try_to_put("a", "never confirmed");
    let replaced = async {
        loop {
            let leader = cluster.leader_but(full).await;
            if cluster.node(leader).try_to_put("a", "1").await {
                return leader;
            }
        }
    };
    let leader = tokio::select! {
        leader = replaced => leader,
        confirmed = stuck => panic!("confirmed by a full disk: {confirmed}"),
    };
    cluster.node(full).faults.fail_writes(None);
    timeout(LONG, cluster.node(full).machine.reached(cluster.node(leader).machine.revision()))
        .await
        .expect("it is back");
    assert_eq!(cluster.node(full).has("a").unwrap(), "1");
    cluster.stop_all().await;
}

/// While entries are on their way to a follower, the library sends it no signs of life.
#[tokio::test]
async fn with_slow_disks_everywhere_the_leader_stays_the_leader() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let term = cluster.term(leader);
    for which in 0..3 {
        cluster.node(which).faults.slow_down(Duration::from_millis(700));
    }
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until && cluster.node(leader).try_to_put("a", "1").await {}
    assert_eq!((cluster.leader().await, cluster.term(leader)), (leader, term));
    cluster.stop_all().await;
}

#[tokio::test]
async fn with_slow_disks_everywhere_there_is_a_leader_and_a_new_one_after_it() {
    let mut cluster = Cluster::of(3).await;
    for which in 0..3 {
        cluster.node(which).faults.slow_down(Duration::from_millis(500));
    }
    cluster.put("a", "1").await;
    let leader = cluster.leader().await;
    cluster.cut_off(leader);
    let since = Instant::now();
    cluster.put("a", "2").await;
    println!("a new leader writes after {} ms", since.elapsed().as_millis());
    assert_eq!(cluster.get("a").await.unwrap(), "2");
    cluster.mend();
    cluster.stop_all().await;
}
