//! An agent that is started beside data, or beside a running server.

use tamada_model::*;
use tamada_postgres::Look;

use crate::node::{LIMIT, Node, fast_stop};

fn look() -> Look {
    Look { leader_timeline: None, within: LIMIT }
}

#[tokio::test]
async fn a_running_primary_stays_one() {
    let node = Node::primary("a").await;
    let pid = node.pid();
    let successor = node.successor().await;
    let facts = successor.look(look()).await;
    assert_eq!((facts.role, facts.state), (Role::Primary, State::Running));
    assert!(matches!(facts.process, Process::Running { pid: found, .. } if found as i32 == pid));
    assert!(!facts.callback_called && facts.pending_restart.is_empty(), "{facts:#?}");
    // The end of a server that somebody else started is heard as well.
    node.signal(libc::SIGKILL);
    tokio::time::timeout(LIMIT, successor.postmaster_exit()).await.unwrap();
    assert_eq!(successor.look(look()).await.process, Process::Absent);
}

#[tokio::test]
async fn a_running_standby_keeps_its_upstream() {
    let primary = Node::primary("a").await;
    let standby = Node::standby_of(&primary, "b").await;
    let conf = standby.read("postgresql.conf");
    let successor = standby.successor().await;
    let facts = successor.look(look()).await;
    assert_eq!((facts.role, facts.state), (Role::Replica, State::Running));
    assert!(Node::streams(&facts));
    assert_eq!(standby.read("postgresql.conf"), conf, "its configuration is left alone");
    assert_eq!(
        successor.recovery_match(&primary.upstream()).await,
        RecoveryMatch::Reload(Asks::Wanted),
        "the first time"
    );
    successor.change_upstream_by_reload(&primary.upstream(), Role::Replica).await.unwrap();
    assert_eq!(successor.recovery_match(&primary.upstream()).await, RecoveryMatch::Same);
}

#[tokio::test]
async fn a_stopped_former_primary_is_demoted() {
    let node = Node::primary("a").await;
    node.run(Job::Stop(fast_stop())).await;
    let facts = node.successor().await.look(look()).await;
    assert_eq!((facts.role, facts.state, facts.process), (Role::Demoted, State::Stopped, Process::Absent));
}

#[tokio::test]
async fn a_stopped_standby_is_a_replica() {
    let primary = Node::primary("a").await;
    let standby = Node::standby_of(&primary, "b").await;
    standby.run(Job::Stop(fast_stop())).await;
    let facts = standby.successor().await.look(look()).await;
    assert_eq!((facts.role, facts.state), (Role::Replica, State::Stopped));
}
