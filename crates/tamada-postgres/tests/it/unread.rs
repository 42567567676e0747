//! One of the two sides of a comparison cannot be read; and a standby whose crash nobody has ended yet.

use std::time::Instant;

use tamada_model::*;

use crate::node::{LIMIT, Node, fast_stop};
use crate::rewind::{compared, diverged, rewind_from};

async fn found(node: &Node, leader: &Node) -> Divergence {
    node.postgres.divergence(&leader.upstream(), LIMIT).await
}

#[tokio::test]
async fn our_own_data_after_a_crash_is_what_cannot_be_read_whatever_the_leader_does() {
    let (a, b) = diverged().await;
    a.signal(libc::SIGQUIT);
    a.until("it is gone", |facts| facts.process == Process::Absent).await;
    let with_leader = found(&a, &b).await;
    b.run(Job::Stop(fast_stop())).await;
    for found in [with_leader, found(&a, &b).await] {
        let Divergence::Unread(Unread::Ours(why)) = &found else { panic!("{found:?}") };
        assert_eq!(why, "PostgreSQL was not shut down cleanly");
    }
}

#[tokio::test]
async fn whoever_is_frozen_is_the_side_that_cannot_be_read() {
    let a = Node::primary("a").await;
    let b = Node::standby_of(&a, "b").await;
    a.signal(libc::SIGSTOP);
    let begin = Instant::now();
    loop {
        match found(&b, &a).await {
            Divergence::Unread(Unread::Leaders(_)) => break,
            // On a busy machine we may be late ourselves.
            other => assert!(matches!(other, Divergence::Unread(_)) && begin.elapsed() < LIMIT, "{other:?}"),
        }
    }
    a.signal(libc::SIGCONT);
    b.signal(libc::SIGSTOP);
    let ours = found(&b, &a).await;
    assert!(matches!(ours, Divergence::Unread(Unread::Ours(_))), "{ours:?}");
    b.signal(libc::SIGCONT);
}

#[tokio::test]
async fn a_leader_whose_history_file_is_gone_is_read_and_says_so() {
    let (a, b) = diverged().await;
    a.run(Job::Stop(fast_stop())).await;
    std::fs::remove_file(b.config.data_dir.join("pg_wal/00000002.history")).unwrap();
    let numbers = compared(&a, &b).await;
    assert_eq!((numbers.leader_timeline, numbers.leader_history), (Timeline::FIRST.next(), None));
    let end = a.run(rewind_from(&b)).await;
    assert!(matches!(&end, JobEnd::NotNow(why) if why.contains("history could not be read")), "{end:?}");
}

/// c was a's standby and has all that a wrote after b was promoted; it crashed.
async fn crashed_standby() -> (Node, Node) {
    let a = Node::primary("a").await;
    let (b, c) = (Node::standby_of(&a, "b").await, Node::standby_of(&a, "c").await);
    assert_eq!(b.run(Job::Promote { wait: LIMIT }).await, JobEnd::Done);
    b.sql("CREATE TABLE u AS SELECT 3 AS x").await;
    assert!(b.postgres.checkpoint_after_promote().await.unwrap());
    b.make_slot(&c).await;
    a.sql("CREATE TABLE t AS SELECT 1 AS x").await;
    let end = a.sql("SELECT pg_current_wal_flush_lsn()").await.and_then(|lsn| Lsn::parse(&lsn));
    c.until("it has that", |facts| match &facts.answers {
        Answers::Live(live) => live.standby().is_some_and(|standby| standby.replayed >= end),
        Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => false,
    })
    .await;
    c.signal(libc::SIGQUIT);
    c.until("it is gone", |facts| facts.process == Process::Absent).await;
    a.run(Job::Stop(fast_stop())).await;
    (b, c)
}

async fn control_of(node: &Node) -> Control {
    let DataDir::Present(present) = node.look().await.data else { panic!("there is data") };
    present.control.expect("pg_control can be read")
}

#[tokio::test]
async fn a_standby_that_crashed_is_started_and_stopped_before_it_is_rewound() {
    let (b, c) = crashed_standby().await;
    let before = control_of(&c).await;
    assert_eq!(before.state, ControlState::InArchiveRecovery);
    // As it was, and without what keeps PostgreSQL from a single-user run.
    for signal in ["standby.signal", "backup_label"] {
        let end = c.run(rewind_from(&b)).await;
        assert!(matches!(&end, JobEnd::Failed(why) if why.contains("crashed as a standby")), "{end:?}");
        let _ = std::fs::remove_file(c.config.data_dir.join(signal));
    }
    let after = control_of(&c).await;
    assert_eq!((after.state, after.checkpoint), (before.state, before.checkpoint), "nothing was written");
    assert!(!c.dir().join("data.rewind-underway").exists());

    let start = |upstream| Job::StartStandby { upstream, role: Role::Replica, timeout: None };
    assert_eq!(c.run(start(Upstream::Nobody)).await, JobEnd::Done);
    assert_eq!(c.run(rewind_from(&b)).await, JobEnd::Done);
    assert_eq!(c.run(start(b.upstream())).await, JobEnd::Done);
    c.until("it streams", Node::streams).await;
    assert_eq!(c.sql("SELECT count(*) FROM u").await.as_deref(), Some("1"));
}

/// pg_rewind had ended, and nobody was left to take the note away. In single-user mode it would be given a checkpoint of
/// its own on the leader's timeline, and then be found to need no rewind.
#[tokio::test]
async fn a_rewind_whose_end_nobody_noted_does_not_become_a_twin_of_its_source() {
    let (a, b) = diverged().await;
    a.run(Job::Stop(fast_stop())).await;
    assert_eq!(a.run(rewind_from(&b)).await, JobEnd::Done);
    std::fs::write(a.dir().join("data.rewind-underway"), "").unwrap();
    let switchpoint = compared(&a, &b).await.leader_history.unwrap()[0].1;
    std::fs::write(a.dir().join("data.rewind-source"), format!("2 {switchpoint}")).unwrap();
    let before = control_of(&a).await;
    let end = a.run(rewind_from(&b)).await;
    assert!(matches!(end, JobEnd::Failed(_)), "{end:?}");
    assert_eq!(control_of(&a).await.checkpoint, before.checkpoint);
}
