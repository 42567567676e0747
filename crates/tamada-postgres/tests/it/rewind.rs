//! A former primary that went its own way.

use std::time::Instant;

use tamada_model::*;

use crate::node::{LIMIT, Node, fast_stop};

/// a was primary, b took over, and a wrote something that b never had.
async fn diverged() -> (Node, Node) {
    let a = Node::primary("a").await;
    let b = Node::standby_of(&a, "b").await;
    a.sql("CREATE TABLE t AS SELECT 1 AS x").await;
    assert_eq!(b.run(Job::Promote { wait: LIMIT }).await, JobEnd::Done);
    a.sql("INSERT INTO t VALUES (2)").await;
    b.sql("CREATE TABLE u AS SELECT 3 AS x").await;
    assert!(b.postgres.checkpoint_after_promote().await.unwrap());
    b.make_slot(&a).await;
    (a, b)
}

/// Asked again where a busy machine left it undecided, as an agent does.
async fn compared(node: &Node, leader: &Node) -> Comparison {
    let begin = Instant::now();
    loop {
        match node.postgres.divergence(&leader.upstream()).await {
            Divergence::Compared(numbers) => return *numbers,
            Divergence::Undecided { because } => assert!(begin.elapsed() < LIMIT, "{because}"),
        }
    }
}

#[tokio::test]
async fn it_is_rewound_and_follows() {
    let (a, b) = diverged().await;
    assert!(matches!(a.run(Job::Stop(fast_stop())).await, JobEnd::Stopped(Some(_))));
    let numbers = compared(&a, &b).await;
    assert!(!numbers.in_recovery);
    assert_eq!((numbers.local_timeline, numbers.leader_timeline), (Timeline::FIRST, Timeline::FIRST.next()));
    let history = numbers.leader_history.as_ref().unwrap();
    assert_eq!(history.len(), 1);
    assert!(history[0].1 < numbers.local_lsn, "a went on after b had left: {numbers:?}");
    assert!(numbers.shutdown_checkpoint_end.unwrap() > numbers.local_lsn);

    let job = Job::Rewind { from: b.upstream(), from_agent_can_be_trusted: false };
    assert_eq!(a.run(job).await, JobEnd::Done);
    assert!(!a.dir().join("data.rewind-underway").exists());
    let job = Job::StartStandby { upstream: b.upstream(), role: Role::Replica, timeout: None };
    assert_eq!(a.run(job).await, JobEnd::Done);
    a.until("it streams", Node::streams).await;
    assert_eq!(a.sql("SELECT count(*) FROM u").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_clean_predecessor_has_nothing_to_take_back() {
    let a = Node::primary("a").await;
    let b = Node::standby_of(&a, "b").await;
    let JobEnd::Stopped(Some(position)) = a.run(Job::Stop(fast_stop())).await else { panic!() };
    assert_eq!(b.run(Job::Promote { wait: LIMIT }).await, JobEnd::Done);
    let numbers = compared(&a, &b).await;
    let switchpoint = numbers.leader_history.as_ref().unwrap()[0].1;
    assert_eq!(numbers.local_lsn, position.checkpoint);
    assert_eq!(numbers.shutdown_checkpoint_end, Some(switchpoint), "{numbers:?}");
}

#[tokio::test]
async fn a_standby_compares_what_it_replayed() {
    let a = Node::primary("a").await;
    let b = Node::standby_of(&a, "b").await;
    let numbers = compared(&b, &a).await;
    assert!(numbers.in_recovery);
    assert_eq!(numbers.leader_history, None);
    assert_eq!(numbers.local_timeline, numbers.leader_timeline);
}

#[tokio::test]
async fn a_leader_that_is_gone_is_no_reason_to_give_up() {
    let (a, b) = diverged().await;
    a.run(Job::Stop(fast_stop())).await;
    b.run(Job::Stop(fast_stop())).await;
    let divergence = a.postgres.divergence(&b.upstream()).await;
    assert!(matches!(divergence, Divergence::Undecided { .. }), "{divergence:?}");
    let end = a.run(Job::Rewind { from: b.upstream(), from_agent_can_be_trusted: true }).await;
    assert!(matches!(end, JobEnd::NotNow(_)), "{end:?}");
}

#[tokio::test]
async fn half_a_rewind_is_not_started() {
    let a = Node::primary("a").await;
    a.run(Job::Stop(fast_stop())).await;
    std::fs::write(a.dir().join("data.rewind-underway"), "").unwrap();
    let DataDir::Present(present) = a.look().await.data else { panic!() };
    assert!(present.unfinished_rewind);
    let end = a.run(Job::StartPrimary { timeout: LIMIT }).await;
    assert!(matches!(&end, JobEnd::Failed(why) if why.contains("pg_rewind was interrupted")), "{end:?}");
}

#[tokio::test]
async fn a_rewind_that_never_began_leaves_the_directory_as_it_was() {
    let (a, b) = diverged().await;
    a.run(Job::Stop(fast_stop())).await;
    let mut config = a.config.clone();
    // It lets us look, but pg_rewind cannot begin.
    config.rewind_options = serde_json::json!(["no-such-option"]);
    a.postgres.reconfigure(config, false).await;
    let end = a.run(Job::Rewind { from: b.upstream(), from_agent_can_be_trusted: true }).await;
    assert!(matches!(end, JobEnd::Failed(_)), "{end:?}");
    assert!(!a.dir().join("data.rewind-underway").exists());
}
