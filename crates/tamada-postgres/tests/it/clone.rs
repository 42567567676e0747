//! Replicas: copying, following, and what is left of a copy that was cut short.

use std::time::{Duration, Instant};

use serde_json::json;
use tamada_model::*;
use tamada_postgres::{Cancellation, JobHand};

use crate::node::{LIMIT, Node, clone_from, document, fast_stop};

#[tokio::test]
async fn a_replica_streams_from_its_leader() {
    let primary = Node::primary("a").await;
    let standby = Node::standby_of(&primary, "b").await;
    let facts = standby.look().await;
    assert_eq!((facts.role, facts.state), (Role::Replica, State::Running));
    let live = facts.answers.live().unwrap();
    let there = live.standby().unwrap();
    assert_eq!(there.timeline, Some(Timeline::FIRST));
    assert_eq!(there.receiver.as_ref().unwrap().slot_name, "b");
    assert!(there.received.is_some() && there.replayed.is_some());

    let facts =
        primary.until("it has a sender", |facts| facts.answers.live().is_some_and(|l| l.replication.len() == 1));
    let facts = facts.await;
    let sender = &facts.answers.live().unwrap().replication[0];
    assert_eq!((sender.application_name.as_str(), sender.state.as_str()), ("b", "streaming"));
    assert!(standby.read("postgresql.conf").contains("primary_conninfo = 'dbname=postgres user=replicator passfile="));
    assert!(!standby.read("postgresql.conf").contains("secret of"));
    assert!(!standby.dir().join("data.copy-underway").exists(), "the note is gone");
    assert!(!standby.config.data_dir.join("copy.underway").exists());
}

#[tokio::test]
async fn following_the_right_one_is_seen_as_such() {
    let primary = Node::primary("a").await;
    let standby = Node::standby_of(&primary, "b").await;
    // The first comparison after a start that told nobody asks for one reload; afterwards all is well.
    standby.postgres.fire(tamada_postgres::Callback::OnStart, Role::Replica);
    assert_eq!(standby.postgres.recovery_match(&primary.upstream()).await, RecoveryMatch::Same);
    assert_eq!(standby.postgres.recovery_match(&Upstream::Nobody).await, RecoveryMatch::Reload(Asks::Another));
}

#[tokio::test]
async fn the_upstream_changes_by_reload() {
    let primary = Node::primary("a").await;
    let other = Node::standby_of(&primary, "b").await;
    let standby = Node::standby_of(&primary, "c").await;
    other.make_slot_on_standby("c").await;
    assert_eq!(standby.postgres.recovery_match(&other.upstream()).await, RecoveryMatch::Reload(Asks::Another));
    standby.postgres.change_upstream_by_reload(&other.upstream(), Role::Replica).await.unwrap();
    let port = format!("port={}", other.config.port);
    standby
        .until("it streams from b", |facts| {
            let receiver = facts.answers.live().and_then(|live| live.standby()?.receiver.clone());
            Node::streams(facts) && receiver.is_some_and(|receiver| receiver.conninfo.contains(&port))
        })
        .await;
    assert_eq!(standby.postgres.recovery_match(&other.upstream()).await, RecoveryMatch::Same);
}

impl Node {
    async fn make_slot_on_standby(&self, name: &str) {
        let plan = tamada_postgres::SlotPlan {
            wanted: vec![tamada_postgres::WantedSlot {
                name: name.into(),
                active_here: true,
                lsn: None,
                may_clean: false,
            }],
            ..Default::default()
        };
        self.postgres.sync_slots(plan).await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_copy_leaves_nothing() {
    let primary = Node::primary("a").await;
    let node = Node::with("b", |config, _| {
        config.replication.password = Some(Secret::new("wrong"));
        config.create_replica_methods = vec!["own".into()];
        let section = json!({"command": "/bin/false", "no_params": true});
        config.methods.insert("own".into(), document(section));
    })
    .await;
    let end = node.run(clone_from(&primary)).await;
    assert!(matches!(end, JobEnd::Failed(_)), "{end:?}");
    assert_eq!(node.look().await.data, DataDir::Empty);
}

#[tokio::test]
async fn an_own_method_gets_its_arguments() {
    let primary = Node::primary("a").await;
    let node = Node::with("b", |config, dir| {
        config.create_replica_methods = vec!["own".into(), "basebackup".into()];
        let script = dir.join("own.sh");
        std::fs::write(&script, format!("#!/bin/sh\nfor a; do echo \"$a\"; done > {}/args\nexit 1\n", dir.display()))
            .unwrap();
        let section = json!({"command": format!("/bin/sh {}", script.display()), "keep_data": true, "level": 3});
        config.methods.insert("own".into(), document(section));
    })
    .await;
    primary.make_slot(&node).await;
    assert_eq!(node.run(clone_from(&primary)).await, JobEnd::Done);
    let arguments = std::fs::read_to_string(node.dir().join("args")).unwrap();
    let mut arguments = arguments.lines();
    assert_eq!(arguments.next(), Some("--keep_data=True"));
    assert_eq!(arguments.next(), Some("--level=3"));
    assert_eq!(arguments.next(), Some("--scope=batman"));
    assert_eq!(arguments.next(), Some("--role=replica"));
    assert!(arguments.next().unwrap().ends_with("/data"));
    let connstring = arguments.next().unwrap();
    assert!(
        connstring.starts_with("--connstring=dbname=postgres user=replicator host=127.0.0.1 port="),
        "{connstring}"
    );
}

#[tokio::test]
async fn a_copy_that_was_cancelled_leaves_nothing() {
    let primary = Node::primary("a").await;
    let node = Node::with("b", |config, _| {
        config.basebackup = json!([{"max-rate": "32k"}, {"checkpoint": "fast"}, "no-sync"]);
    })
    .await;
    let hand = JobHand::new(State::Stopped);
    let (postgres, job, its) = (node.postgres.clone(), clone_from(&primary), hand.clone());
    let running = tokio::spawn(async move { postgres.run(job, its).await });
    await_file(&node.config.data_dir.join("copy.underway")).await;
    let facts = node.look().await;
    assert_eq!((facts.data, facts.state), (DataDir::Empty, State::CreatingReplica));
    assert_eq!(hand.cancel.cancel(), Cancellation::InTime);
    assert_eq!(tokio::time::timeout(LIMIT, running).await.unwrap().unwrap(), JobEnd::Cancelled);
    assert_eq!(node.look().await.data, DataDir::Empty);
    assert!(!node.config.data_dir.join("PG_VERSION").exists());
}

/// The agent is killed in the middle of a copy: its successor sees an empty directory and copies anew, while the old
/// copy is not at work any more.
#[tokio::test]
async fn a_copy_that_lost_its_agent_is_no_data() {
    let primary = Node::primary("a").await;
    let node = Node::with("b", |config, _| {
        config.basebackup = json!([{"max-rate": "32k"}, {"checkpoint": "fast"}, "no-sync"]);
    })
    .await;
    primary.make_slot(&node).await;
    let (postgres, job) = (node.postgres.clone(), clone_from(&primary));
    let running = tokio::spawn(async move { postgres.run(job, JobHand::new(State::Stopped)).await });
    await_file(&node.config.data_dir.join("copy.underway")).await;
    // What kill -9 does to us, as far as one process can show it: the job stops where it is. pg_basebackup is killed
    // by the kernel then; here by the runtime.
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    assert!(node.config.data_dir.join("PG_VERSION").exists());
    assert!(node.dir().join("data.copy-underway").exists());

    let successor = Node::with("c", |config, _| {
        let own = std::mem::replace(config, node.config.clone());
        config.basebackup = own.basebackup;
    })
    .await;
    let facts = successor.look().await;
    assert_eq!((facts.data, facts.role), (DataDir::Empty, Role::Uninitialized));
    assert_eq!(successor.run(clone_from(&primary)).await, JobEnd::Done);
    successor.until("it streams", Node::streams).await;
}

/// Stands for the agent in the next test: clones slowly until it is killed. Does nothing unless that test asks for it.
#[tokio::test]
async fn helper_an_agent_that_clones() {
    let Ok(asked) = std::env::var("TAMADA_TEST_CLONE") else { return };
    let mut words = asked.split_whitespace();
    let (dir, port) = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
    let (mut config, own_dir) = crate::node::config("agent");
    // It will be killed and cannot clean up; everything lies with the test that asked.
    std::fs::remove_dir_all(own_dir).unwrap();
    config.data_dir = dir.into();
    config.config_dir = dir.into();
    config.pgpass = config.data_dir.with_file_name("pgpass-of-the-agent");
    config.basebackup = json!([{"max-rate": "32k"}, {"checkpoint": "fast"}, "no-sync"]);
    let leader = UpstreamMember { name: "a".into(), host: "127.0.0.1".into(), port };
    let postgres = tamada_postgres::Postgres::open(config).await.unwrap();
    let job = Job::Clone {
        source: CloneSource::Member { member: leader.clone(), is_leader: true },
        then_follow: Upstream::Member(leader),
    };
    postgres.run(job, JobHand::new(State::Stopped)).await;
}

/// The real thing: kill -9. The copy must not go on without its agent, or two would write into one directory.
#[tokio::test]
async fn a_killed_agent_takes_its_copy_along() {
    let primary = Node::primary("a").await;
    let node = Node::new("b").await;
    primary.make_slot(&node).await;
    let mut agent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["clone::helper_an_agent_that_clones", "--exact"])
        .env("TAMADA_TEST_CLONE", format!("{} {}", node.config.data_dir.display(), primary.config.port))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    await_file(&node.config.data_dir.join("copy.underway")).await;
    agent.kill().unwrap();
    agent.wait().unwrap();
    // Part of it may have outlived the agent; its successor sees to that.
    let successor = node.successor().await;
    let sql = "SELECT count(*) FROM pg_stat_replication WHERE application_name LIKE '%basebackup'";
    let begin = Instant::now();
    while primary.sql(sql).await.as_deref() != Some("0") {
        assert!(begin.elapsed() < LIMIT, "the copy goes on");
    }
    let look = tamada_postgres::Look { leader_timeline: None, within: LIMIT };
    assert_eq!(successor.look(look).await.data, DataDir::Empty);
    assert_eq!(node.run(clone_from(&primary)).await, JobEnd::Done);
    node.until("it streams", Node::streams).await;
}

#[tokio::test]
async fn reinitializing_replaces_what_is_there() {
    let primary = Node::primary("a").await;
    let standby = Node::standby_of(&primary, "b").await;
    std::fs::write(standby.config.data_dir.join("remains"), "").unwrap();
    let source = CloneSource::Member { member: primary.member(), is_leader: true };
    let job = Job::Reinitialize { source, then_follow: primary.upstream(), only_basebackup: true };
    assert_eq!(standby.run(job).await, JobEnd::Done);
    assert!(!standby.config.data_dir.join("remains").exists());
    standby.until("it streams", Node::streams).await;
}

#[tokio::test]
async fn a_stopped_standby_starts_again_and_follows() {
    let primary = Node::primary("a").await;
    let standby = Node::standby_of(&primary, "b").await;
    assert_eq!(standby.run(Job::Stop(fast_stop())).await, JobEnd::Stopped(None));
    let facts = standby.look().await;
    assert_eq!((facts.state, facts.process), (State::Stopped, Process::Absent));
    let job = Job::StartStandby { upstream: primary.upstream(), role: Role::Replica, timeout: None };
    assert_eq!(standby.run(job).await, JobEnd::Done);
    standby.until("it streams", Node::streams).await;
}

async fn await_file(path: &std::path::Path) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(begin.elapsed() < LIMIT, "{path:?} did not appear");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
