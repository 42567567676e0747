//! A former primary that went its own way.

use std::time::Instant;

use tamada_model::*;
use tamada_postgres::Look;

use crate::node::{LIMIT, Node, credentials, fast_stop};

/// a was primary, b took over, and a wrote something that b never had.
pub async fn diverged() -> (Node, Node) {
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

/// Asked again where a busy machine could not read one of the sides, as an agent does.
pub async fn compared(node: &Node, leader: &Node) -> Comparison {
    let begin = Instant::now();
    loop {
        match node.postgres.divergence(&leader.upstream(), LIMIT).await {
            Divergence::Compared(numbers) => return *numbers,
            Divergence::Unread(unread) => assert!(begin.elapsed() < LIMIT, "{unread}"),
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
    assert_eq!((numbers.local_history, numbers.leader_history), (Some(vec![]), Some(vec![])));
    assert_eq!(numbers.local_timeline, numbers.leader_timeline);
    assert_eq!(numbers.leader_unready, None);
}

#[tokio::test]
async fn a_leader_in_recovery_or_without_a_login_for_us_still_shows_its_history() {
    let (a, b) = diverged().await;
    let c = Node::standby_of(&b, "c").await;
    a.run(Job::Stop(fast_stop())).await;
    let numbers = compared(&a, &c).await;
    assert_eq!(numbers.leader_unready.as_deref(), Some("the leader is still in recovery"));
    assert_eq!(numbers.leader_history.map(|history| history.len()), Some(1));

    let mut config = a.config.clone();
    config.rewind = Some(credentials("nobody"));
    a.postgres.reconfigure(config, false).await;
    let numbers = compared(&a, &b).await;
    let unready = numbers.leader_unready.unwrap_or_default();
    assert!(unready.contains("cannot be asked"), "{unready}");
    assert_eq!(numbers.leader_history.map(|history| history.len()), Some(1));
}

/// b and c were standbys of a; both were promoted without knowing of each other, c from an earlier place.
async fn namesakes() -> (Node, Node) {
    let a = Node::primary("a").await;
    let b = Node::standby_of(&a, "b").await;
    a.sql("CREATE TABLE t (x text)").await;
    let c = Node::standby_of(&a, "c").await;
    c.run(Job::Stop(fast_stop())).await;
    a.sql("INSERT INTO t VALUES ('of a')").await;
    // The standbys that are there have all of it when it has stopped.
    a.run(Job::Stop(fast_stop())).await;
    for (node, its) in [(&b, "of b"), (&c, "of c")] {
        let alone = Job::StartStandby { upstream: Upstream::Nobody, role: Role::Replica, timeout: None };
        if node.look().await.process == Process::Absent {
            assert_eq!(node.run(alone).await, JobEnd::Done);
        }
        assert_eq!(node.run(Job::Promote { wait: LIMIT }).await, JobEnd::Done);
        node.sql(&format!("INSERT INTO t VALUES ('{its}')")).await;
        assert!(node.postgres.checkpoint_after_promote().await.unwrap());
    }
    b.run(Job::Stop(fast_stop())).await;
    (b, c)
}

pub fn rewind_from(leader: &Node) -> Job {
    Job::Rewind { from: leader.upstream(), from_agent_can_be_trusted: true }
}

#[tokio::test]
async fn two_timelines_of_one_number_are_told_apart_by_their_histories_and_not_by_pg_rewind() {
    let (b, c) = namesakes().await;
    let second = Timeline::FIRST.next();
    for rewound in [false, true] {
        let numbers = compared(&b, &c).await;
        assert_eq!((numbers.local_timeline, numbers.leader_timeline), (second, second), "rewound: {rewound}");
        let (ours, theirs) = (numbers.local_history.unwrap(), numbers.leader_history.unwrap());
        assert_eq!((ours.len(), theirs.len()), (1, 1));
        assert!(ours[0].0 == theirs[0].0 && ours[0].1 > theirs[0].1, "{ours:?} {theirs:?}");
        // It sees equal numbers, calls that a success, and changes nothing.
        assert_eq!(b.run(rewind_from(&c)).await, JobEnd::Done);
    }
}

#[tokio::test]
async fn pg_rewind_tells_them_apart_once_the_leader_has_gone_on() {
    let (b, c) = namesakes().await;
    promoted_again(&c).await;
    c.make_slot(&b).await;
    let numbers = compared(&b, &c).await;
    assert!(numbers.local_timeline < numbers.leader_timeline, "{numbers:?}");

    assert_eq!(b.run(rewind_from(&c)).await, JobEnd::Done);
    let job = Job::StartStandby { upstream: c.upstream(), role: Role::Replica, timeout: None };
    assert_eq!(b.run(job).await, JobEnd::Done);
    b.until("it streams", Node::streams).await;
    assert_eq!(b.sql("SELECT string_agg(x, ', ') FROM t").await.as_deref(), Some("of c"));
    let numbers = compared(&b, &c).await;
    assert_eq!((numbers.local_history, numbers.last_wal), (numbers.leader_history, LastWal::Same));
    b.run(Job::Stop(fast_stop())).await;
    assert_eq!(compared(&b, &c).await.last_wal, LastWal::Same);
}

async fn promoted_again(node: &Node) {
    node.run(Job::Stop(fast_stop())).await;
    let alone = Job::StartStandby { upstream: Upstream::Nobody, role: Role::Replica, timeout: None };
    assert_eq!(node.run(alone).await, JobEnd::Done);
    assert_eq!(node.run(Job::Promote { wait: LIMIT }).await, JobEnd::Done);
    assert!(node.postgres.checkpoint_after_promote().await.unwrap());
}

#[tokio::test]
async fn two_timelines_that_began_at_one_place_are_told_apart_by_their_wal() {
    let a = Node::primary("a").await;
    let b = Node::standby_of(&a, "b").await;
    let c = Node::standby_of(&a, "c").await;
    a.run(Job::Stop(fast_stop())).await;
    for node in [&b, &c] {
        assert_eq!(node.run(Job::Promote { wait: LIMIT }).await, JobEnd::Done);
        assert!(node.postgres.checkpoint_after_promote().await.unwrap());
    }
    // It goes further than c does.
    b.sql("CREATE TABLE t (x text)").await;
    b.run(Job::Stop(fast_stop())).await;
    let numbers = compared(&b, &c).await;
    assert_eq!((numbers.local_timeline, numbers.local_history), (numbers.leader_timeline, numbers.leader_history));
    assert_eq!(numbers.last_wal, LastWal::Other(Timeline::FIRST.next()));

    promoted_again(&c).await;
    let numbers = compared(&b, &c).await;
    assert!(numbers.local_timeline < numbers.leader_timeline, "{numbers:?}");
    assert_eq!(numbers.last_wal, LastWal::Other(Timeline::FIRST.next()));

    // An ordinary one that went its own way from there.
    let d = Node::standby_of(&c, "d").await;
    assert_eq!(d.run(Job::Promote { wait: LIMIT }).await, JobEnd::Done);
    c.sql("CREATE TABLE u (x text)").await;
    c.run(Job::Stop(fast_stop())).await;
    let numbers = compared(&c, &d).await;
    assert!(numbers.local_timeline < numbers.leader_timeline, "{numbers:?}");
    assert_eq!(numbers.last_wal, LastWal::Same);
}

/// A standby's timeline is asked anew if it is not that one.
async fn origin_on(node: &Node, timeline: Timeline) -> Option<Origin> {
    let facts = node.postgres.look(Look { leader_timeline: Some(timeline), within: LIMIT }).await;
    match facts.data {
        DataDir::Present(present) => present.origin,
        DataDir::Empty | DataDir::Unreadable(_) => None,
    }
}

#[tokio::test]
async fn wal_of_another_timeline_that_a_standby_has_only_received_is_seen() {
    let a = Node::primary("a").await;
    let b = Node::standby_of(&a, "b").await;
    let c = Node::standby_of(&a, "c").await;
    let d = Node::standby_of(&b, "d").await;
    a.run(Job::Stop(fast_stop())).await;
    for node in [&b, &c] {
        assert_eq!(node.run(Job::Promote { wait: LIMIT }).await, JobEnd::Done);
    }
    b.sql("CREATE TABLE t (x text)").await;
    let end = b.sql("SELECT pg_current_wal_flush_lsn()").await.and_then(|lsn| Lsn::parse(&lsn));
    d.until("it has replayed that", |facts| match &facts.answers {
        Answers::Live(live) => live.standby().is_some_and(|standby| standby.replayed >= end),
        Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => false,
    })
    .await;
    let second = Timeline::FIRST.next();
    let (of_b, of_c, of_d) = (origin_on(&b, second).await, origin_on(&c, second).await, origin_on(&d, second).await);
    assert_eq!(of_b.map(|origin| origin.timeline), Some(second));
    assert_eq!(of_c.map(|origin| origin.timeline), Some(second));
    assert_ne!(of_b, of_c, "each with its own time");
    assert_eq!(of_d, of_b, "it has the record of whom it follows");
    assert_eq!(d.postgres.origin(second).await, of_b);
    assert_eq!(d.postgres.origin(second.next()).await, None);
    // No restart point: pg_control tells of the first timeline only.
    d.signal(libc::SIGQUIT);
    d.until("it is gone", |facts| facts.process == Process::Absent).await;
    let DataDir::Present(present) = d.look().await.data else { panic!() };
    assert_eq!(present.control.and_then(|control| control.checkpoint_timeline), Some(Timeline::FIRST));
    assert_eq!(present.newest_timeline, Some(second));
    for (leader, expected) in [(&b, LastWal::Same), (&c, LastWal::Other(second))] {
        let numbers = compared(&d, leader).await;
        assert_eq!(numbers.newest_timeline, second);
        assert_eq!((numbers.local_history, numbers.last_wal), (numbers.leader_history, expected));
    }
    // The history came, and nothing else did.
    for file in std::fs::read_dir(d.config.data_dir.join("pg_wal")).unwrap().map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        if name.starts_with("00000002") && !name.ends_with("history") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    let numbers = compared(&d, &c).await;
    assert_eq!((numbers.newest_timeline, numbers.last_wal), (second, LastWal::Unknown));
}

/// What it lacks to be in one piece may be in the leader's WAL alone.
#[tokio::test]
async fn a_standby_that_was_started_alone_and_is_not_through_is_given_the_leader() {
    let a = Node::primary("a").await;
    let b = Node::standby_of(&a, "b").await;
    b.run(Job::Stop(fast_stop())).await;
    let mut config = b.config.clone();
    config.recovery_conf.insert("restore_command".into(), "sleep 30".into());
    b.postgres.reconfigure(config, false).await;
    let alone = |timeout| Job::StartStandby { upstream: Upstream::Nobody, role: Role::Replica, timeout };
    assert_eq!(b.run(alone(Some(std::time::Duration::from_millis(500)))).await, JobEnd::StillStarting);
    assert_eq!(b.look().await.state, State::Starting);
    assert_eq!(b.postgres.recovery_match(&Upstream::Nobody).await, RecoveryMatch::Same);
    assert_eq!(b.postgres.recovery_match(&a.upstream()).await, RecoveryMatch::Restart);
    b.signal(libc::SIGQUIT);
    b.until("it is gone", |facts| facts.process == Process::Absent).await;
}

#[tokio::test]
async fn a_leader_that_is_gone_is_no_reason_to_give_up() {
    let (a, b) = diverged().await;
    a.run(Job::Stop(fast_stop())).await;
    b.run(Job::Stop(fast_stop())).await;
    let divergence = a.postgres.divergence(&b.upstream(), LIMIT).await;
    assert!(matches!(divergence, Divergence::Unread(Unread::Leaders(_))), "{divergence:?}");
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
async fn a_rewind_that_was_cut_short_goes_on_with_the_history_it_was_from() {
    let (a, b) = diverged().await;
    a.run(Job::Stop(fast_stop())).await;
    let switchpoint = compared(&a, &b).await.leader_history.unwrap()[0].1;
    let note = |name: &str| a.dir().join(format!("data.rewind-{name}"));
    std::fs::write(note("underway"), "").unwrap();
    for other in ["3 0/9000000".to_owned(), format!("2 {}", switchpoint + WalBytes::new(8))] {
        std::fs::write(note("source"), other).unwrap();
        let end = a.run(rewind_from(&b)).await;
        assert!(matches!(&end, JobEnd::Failed(why) if why.contains("from another history")), "{end:?}");
    }
    std::fs::write(note("source"), format!("2 {switchpoint}")).unwrap();
    assert_eq!(a.run(rewind_from(&b)).await, JobEnd::Done);
    assert!(!note("underway").exists() && !note("source").exists());
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
