//! A server, or a disk, that does not answer: a look ends in time and says so.

use std::time::{Duration, Instant};

use tamada_model::*;
use tamada_postgres::Look;

use crate::node::{LIMIT, Node};

/// What a busy machine may add to a deadline. Without one, these looks would never end.
const LATE: Duration = Duration::from_secs(20);

async fn look_within(within: Duration, node: &Node) -> PostgresFacts {
    let begin = Instant::now();
    let looking = node.postgres.look(Look { leader_timeline: None, within });
    let facts = tokio::time::timeout(LIMIT, looking).await.expect("the look ends");
    assert!(begin.elapsed() < within + LATE, "{:?}", begin.elapsed());
    facts
}

#[tokio::test]
async fn a_frozen_server_is_silent_in_time() {
    let node = Node::primary("a").await;
    assert!(Node::is_primary(&node.look().await));
    let family = everybody(&node);
    family.iter().for_each(|pid| signal(*pid, libc::SIGSTOP));
    let brief = Duration::from_secs(1);
    let facts = look_within(brief, &node).await;
    assert!(matches!(facts.answers, Answers::Silent { .. }), "{facts:#?}");
    assert!(facts.process.is_running());
    assert_eq!((facts.state, facts.role), (State::Running, Role::Primary));
    // Again, without the connection that was kept.
    assert!(matches!(look_within(brief, &node).await.answers, Answers::Silent { .. }));
    family.iter().for_each(|pid| signal(*pid, libc::SIGCONT));
    node.until("it answers again", Node::is_primary).await;
}

#[tokio::test]
async fn a_frozen_postmaster_hides_nothing_its_backends_know() {
    let node = Node::primary("a").await;
    assert!(Node::is_primary(&node.look().await));
    node.signal(libc::SIGSTOP);
    assert!(Node::is_primary(&look_within(LIMIT, &node).await), "the kept connection still answers");
    node.signal(libc::SIGCONT);
}

fn everybody(node: &Node) -> Vec<i32> {
    let postmaster = node.pid();
    let list = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap_or_default();
    let children: Vec<i32> = list.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(!children.is_empty(), "this kernel tells the children of a process");
    std::iter::once(postmaster).chain(children).collect()
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: signals to the server we started.
    unsafe { libc::kill(pid, signal) };
}

/// A pipe that nobody writes to is read for ever, as a file on a dead network volume.
#[tokio::test]
async fn a_disk_that_hangs_is_unreadable_in_time() {
    let node = Node::primary("a").await;
    assert!(Node::is_primary(&node.look().await));
    let file = node.config.data_dir.join("PG_VERSION");
    let version = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let status = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(status.success());
    for _ in 0..2 {
        // Half of it is spent on the disk, the rest is the server's.
        let facts = look_within(Duration::from_secs(8), &node).await;
        assert!(matches!(facts.data, DataDir::Unreadable(_)), "{facts:#?}");
        assert!(Node::is_primary(&facts), "the server itself is well");
    }
    // Whoever still reads is let go, and sees the file again.
    std::fs::write(&file, version).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "15\n").unwrap();
    node.until("it is readable again", |facts| matches!(facts.data, DataDir::Present(_))).await;
}
