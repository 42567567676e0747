//! The postmaster dies.

use std::time::{Duration, Instant};

use tamada_model::*;

use crate::node::{LIMIT, Node};

#[tokio::test]
async fn its_end_is_heard_and_it_comes_back_soon() {
    let node = Node::primary("a").await;
    node.sql("CREATE TABLE t AS SELECT generate_series(1, 10000) AS x").await;
    let waiting = node.connect().await;
    // A backend that will not notice for a while by itself.
    let busy = node.connect().await;
    let sql = "SELECT count(*) FROM (SELECT generate_series(1, 1000000000)) AS s";
    tokio::spawn(async move { busy.simple_query(sql).await });
    await_busy(&node).await;

    let begin = Instant::now();
    node.signal(libc::SIGKILL);
    tokio::time::timeout(LIMIT, node.postgres.postmaster_exit()).await.unwrap();
    let facts = node.look().await;
    assert_eq!((facts.process, facts.state, facts.role), (Process::Absent, State::Running, Role::Primary));
    let DataDir::Present(present) = facts.data else { panic!() };
    assert_eq!(present.control.unwrap().state, ControlState::InProduction);

    assert_eq!(node.run(Job::StartPrimary { timeout: LIMIT }).await, JobEnd::Done);
    let took = begin.elapsed();
    let facts = node.look().await;
    assert!(Node::is_primary(&facts));
    assert_eq!((facts.state, facts.role), (State::Running, Role::Primary));
    assert_eq!(node.sql("SELECT count(*) FROM t").await.as_deref(), Some("10000"));
    assert!(took < Duration::from_secs(30), "the busy backend was waited for: {took:?}");
    drop(waiting);
}

async fn await_busy(node: &Node) {
    let begin = Instant::now();
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%1000000000%' \
               AND pid <> pg_backend_pid()";
    while node.sql(sql).await.as_deref() != Some("1") {
        assert!(begin.elapsed() < LIMIT);
    }
}

#[tokio::test]
async fn a_postmaster_killed_while_it_starts_is_a_failed_start() {
    let node = Node::primary("a").await;
    node.signal(libc::SIGKILL);
    node.postgres.postmaster_exit().await;
    std::fs::write(node.config.data_dir.join("global/pg_control"), "garbage").unwrap();
    let end = node.run(Job::StartPrimary { timeout: LIMIT }).await;
    assert!(matches!(end, JobEnd::Failed(_)), "{end:?}");
    assert_eq!(node.look().await.state, State::StartFailed);
}

#[tokio::test]
async fn a_crashed_primary_is_ended_cleanly_in_single_user_mode() {
    let node = Node::primary("a").await;
    node.signal(libc::SIGKILL);
    node.postgres.postmaster_exit().await;
    assert_eq!(node.run(Job::CrashRecovery).await, JobEnd::Done);
    let DataDir::Present(present) = node.look().await.data else { panic!() };
    assert_eq!(present.control.unwrap().state, ControlState::ShutDown);
}

#[tokio::test]
async fn a_strangers_process_with_the_old_number_is_no_server() {
    let node = Node::primary("a").await;
    node.signal(libc::SIGKILL);
    node.postgres.postmaster_exit().await;
    // After a reboot the number may belong to anybody.
    let mut stranger = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    let left = node.read("postmaster.pid");
    let mut lines: Vec<&str> = left.lines().collect();
    let pid = stranger.id().to_string();
    lines[0] = &pid;
    lines[2] = "1000000000";
    std::fs::write(node.config.data_dir.join("postmaster.pid"), lines.join("\n")).unwrap();
    std::fs::remove_file(node.dir().join(format!(".s.PGSQL.{}.lock", node.config.port))).unwrap();
    assert_eq!(node.look().await.process, Process::Absent);
    assert_eq!(node.run(Job::StartPrimary { timeout: LIMIT }).await, JobEnd::Done);
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}
