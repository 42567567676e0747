//! Stopping in its modes, and restarting.

use std::time::Duration;

use tamada_model::*;
use tamada_postgres::{JobHand, JobProgress};

use crate::node::{LIMIT, Node, fast_stop};

#[tokio::test]
async fn a_fast_stop_tells_where_the_wal_ends() {
    let node = Node::primary("a").await;
    let idle = node.connect().await;
    let hand = JobHand::new(State::Running);
    let end = node.postgres.run(Job::Stop(fast_stop()), hand.clone()).await;
    let JobEnd::Stopped(Some(position)) = end else { panic!("{end:?}") };
    let facts = node.look().await;
    assert_eq!((facts.state, facts.process, facts.answers), (State::Stopped, Process::Absent, Answers::Unasked));
    let DataDir::Present(present) = facts.data else { panic!() };
    let control = present.control.unwrap();
    assert_eq!((control.state, control.checkpoint), (ControlState::ShutDown, position.checkpoint));
    assert_eq!(position.publish, position.checkpoint);
    assert!(matches!(*hand.progress.borrow(), JobProgress::Working(State::Stopped)));
    drop(idle);
}

#[tokio::test]
async fn with_archiving_the_switch_before_the_checkpoint_is_published() {
    let node = Node::primary_with("a", |config, _| {
        config.parameters.insert("archive_mode".into(), "on".into());
        config.parameters.insert("archive_command".into(), "/bin/true".into());
    })
    .await;
    let JobEnd::Stopped(Some(position)) = node.run(Job::Stop(fast_stop())).await else { panic!() };
    assert!(position.publish < position.checkpoint, "{position:?}");
}

#[tokio::test]
async fn the_end_of_the_wal_is_told_while_the_archiver_still_works() {
    let node = Node::primary_with("a", |config, dir| {
        let gate = dir.join("gate").display().to_string();
        config.parameters.insert("archive_mode".into(), "on".into());
        config.parameters.insert("archive_command".into(), format!("while [ -e {gate} ]; do sleep 0.05; done").into());
    })
    .await;
    let gate = node.dir().join("gate");
    std::fs::write(&gate, "").unwrap();
    let hand = JobHand::new(State::Running);
    let mut progress = hand.progress.subscribe();
    let postgres = node.postgres.clone();
    let stopping = tokio::spawn(async move { postgres.run(Job::Stop(fast_stop()), hand).await });
    let shut_down = progress.wait_for(|progress| matches!(progress, JobProgress::ShutDown(_)));
    let told = *tokio::time::timeout(LIMIT, shut_down).await.unwrap().unwrap();
    assert!(node.look().await.process.is_running(), "the postmaster still waits for its archiver");
    assert!(!stopping.is_finished());
    std::fs::remove_file(gate).unwrap();
    let JobEnd::Stopped(Some(position)) = stopping.await.unwrap() else { panic!() };
    assert_eq!(told, JobProgress::ShutDown(position));
}

#[tokio::test]
async fn an_immediate_stop_leaves_a_crashed_primary() {
    let node = Node::primary("a").await;
    let stop = Stop { mode: StopMode::Immediate, checkpoint: CheckpointFirst::No, ..fast_stop() };
    assert_eq!(node.run(Job::Stop(stop)).await, JobEnd::Stopped(None));
    let DataDir::Present(present) = node.look().await.data else { panic!() };
    assert!(present.control.unwrap().state.is_dirty_primary());
}

#[tokio::test]
async fn a_server_that_does_not_react_is_killed_after_its_time() {
    let node = Node::primary("a").await;
    node.signal(libc::SIGSTOP);
    let timeout = Some(Duration::from_millis(200));
    let stop = Stop { checkpoint: CheckpointFirst::No, timeout, ..fast_stop() };
    assert_eq!(node.run(Job::Stop(stop)).await, JobEnd::Stopped(None));
    assert_eq!(node.look().await.process, Process::Absent);
}

#[tokio::test]
async fn fencing_awaits_nothing() {
    let node = Node::primary("a").await;
    node.postgres.stop_now();
    tokio::time::timeout(LIMIT, node.postgres.postmaster_exit()).await.unwrap();
    node.postgres.stop_now();
}

/// A frozen postmaster hears nothing, and its backends would go on committing.
#[tokio::test]
async fn fencing_ends_what_a_frozen_postmaster_leaves_at_work() {
    let node = Node::primary("a").await;
    assert!(Node::is_primary(&node.look().await));
    node.signal(libc::SIGSTOP);
    node.postgres.stop_now();
    tokio::time::timeout(LIMIT, node.postgres.postmaster_exit()).await.unwrap();
    assert_eq!(node.look().await.process, Process::Absent);
}

#[tokio::test]
async fn an_immediate_stop_needs_no_limit_to_end_a_frozen_postmaster() {
    let node = Node::primary("a").await;
    node.signal(libc::SIGSTOP);
    let stop = Stop { mode: StopMode::Immediate, checkpoint: CheckpointFirst::No, ..fast_stop() };
    let stopped = tokio::time::timeout(LIMIT, node.run(Job::Stop(stop))).await;
    assert_eq!(stopped, Ok(JobEnd::Stopped(None)));
}

#[tokio::test]
async fn stopping_twice_is_stopping_once() {
    let node = Node::primary("a").await;
    let JobEnd::Stopped(first) = node.run(Job::Stop(fast_stop())).await else { panic!() };
    assert_eq!(node.run(Job::Stop(fast_stop())).await, JobEnd::Stopped(first));
}

#[tokio::test]
async fn a_restart_brings_new_parameters_into_force() {
    let node = Node::primary("a").await;
    let before = node.pid();
    let mut config = node.config.clone();
    config.parameters.insert("max_connections".into(), 60.into());
    node.postgres.reconfigure(config, false).await;
    let facts = node
        .until("the server says a restart is pending", |facts| facts.pending_restart.contains_key("max_connections"))
        .await;
    let waiting = &facts.pending_restart["max_connections"];
    assert_eq!((waiting.old.as_str(), waiting.new.as_str()), ("50", "60"));
    // A second later the server's own word replaces what we thought.
    node.until("the server was asked", |_| node.log().contains("FROM pg_settings WHERE pending_restart")).await;
    let still = node.until("its answer is known", |facts| facts.pending_restart.len() == 1).await;
    assert_eq!(still.pending_restart, facts.pending_restart);
    assert_eq!(node.run(Job::Restart { timeout: None }).await, JobEnd::Done);
    assert_ne!(node.pid(), before);
    assert_eq!(node.sql("SHOW max_connections").await.as_deref(), Some("60"));
    let facts = node.look().await;
    assert!(facts.pending_restart.is_empty());
    assert_eq!((facts.state, facts.role), (State::Running, Role::Primary));
}
