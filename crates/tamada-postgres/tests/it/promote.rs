//! From standby to primary.

use std::time::{Duration, Instant};

use tamada_model::*;
use tamada_postgres::{Cancellation, JobHand};

use crate::node::{LIMIT, Node, fast_stop};

#[tokio::test]
async fn a_standby_takes_over_on_a_new_timeline() {
    let primary = Node::primary("a").await;
    let standby = Node::standby_of(&primary, "b").await;
    // Between two attempts to stream, recovery may sleep this long; nobody has that much time.
    standby.sql("ALTER SYSTEM SET wal_retrieve_retry_interval = '5min'").await;
    standby.sql("SELECT pg_reload_conf()").await;
    primary.run(Job::Stop(fast_stop())).await;
    assert_eq!(standby.run(Job::Promote { wait: LIMIT }).await, JobEnd::Done);
    let facts = standby.look().await;
    assert_eq!(facts.role, Role::Primary);
    let Standing::Primary { timeline, .. } = facts.answers.live().unwrap().standing else { panic!("{facts:#?}") };
    assert_eq!(timeline, Timeline::FIRST.next());
    assert!(standby.postgres.checkpoint_after_promote().await.unwrap());
    let history = standby.postgres.history_file(timeline).await.unwrap();
    assert_eq!((history.lines.len(), history.lines[0].0), (1, 1));
    assert_eq!(standby.run(Job::Promote { wait: LIMIT }).await, JobEnd::Done);
}

#[tokio::test]
async fn a_standby_that_went_along_with_a_promotion_says_so_when_nobody_leads() {
    let a = Node::primary("a").await;
    let b = Node::standby_of(&a, "b").await;
    let c = Node::standby_of(&b, "c").await;
    let timeline = |facts: &PostgresFacts| facts.answers.live().and_then(Live::standby).and_then(|own| own.timeline);
    assert_eq!(timeline(&c.look().await), Some(Timeline::FIRST));
    assert_eq!(b.run(Job::Promote { wait: LIMIT }).await, JobEnd::Done);
    b.sql("CREATE TABLE t (x text)").await;
    c.until("it is on the new timeline", |facts| timeline(facts) == Some(Timeline::FIRST.next())).await;
}

#[tokio::test]
async fn the_operators_script_may_refuse() {
    let primary = Node::primary("a").await;
    let standby = Node::standby_of(&primary, "b").await;
    let mut config = standby.config.clone();
    config.pre_promote = Some("/bin/sh -c 'exit 3'".into());
    standby.postgres.reconfigure(config, false).await;
    assert_eq!(standby.run(Job::Promote { wait: LIMIT }).await, JobEnd::PrePromoteRefused);
    assert_eq!(standby.look().await.role, Role::Replica);
}

#[tokio::test]
async fn a_promotion_is_cancelled_while_the_script_runs() {
    let primary = Node::primary("a").await;
    let standby = Node::standby_of(&primary, "b").await;
    let mut config = standby.config.clone();
    config.pre_promote = Some("/bin/sleep 1000".into());
    standby.postgres.reconfigure(config, false).await;
    let hand = JobHand::new(State::Running);
    let (postgres, its) = (standby.postgres.clone(), hand.clone());
    let running = tokio::spawn(async move { postgres.run(Job::Promote { wait: LIMIT }, its).await });
    tokio::task::yield_now().await;
    assert_eq!(hand.cancel.cancel(), Cancellation::InTime);
    assert_eq!(tokio::time::timeout(LIMIT, running).await.unwrap().unwrap(), JobEnd::Cancelled);
    assert!(!Node::is_primary(&standby.look().await));
}

#[tokio::test]
async fn callbacks_hear_of_every_change() {
    let primary = Node::primary("a").await;
    let log = |dir: &std::path::Path| dir.join("callbacks");
    let standby = Node::with("b", |config, dir| {
        let script = dir.join("callback.sh");
        std::fs::write(&script, format!("#!/bin/sh\necho $1 $2 $3 >> {}\n", log(dir).display())).unwrap();
        for event in ["on_start", "on_stop", "on_restart", "on_reload", "on_role_change"] {
            config.callbacks.insert(event.into(), format!("/bin/sh {}", script.display()));
        }
    })
    .await;
    primary.make_slot(&standby).await;
    let heard = async |line: &str| {
        let begin = Instant::now();
        while !std::fs::read_to_string(log(standby.dir())).unwrap_or_default().lines().any(|heard| heard == line) {
            assert!(begin.elapsed() < LIMIT, "not heard: {line}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert_eq!(standby.run(crate::node::clone_from(&primary)).await, JobEnd::Done);
    heard("on_start replica batman").await;
    assert!(standby.look().await.callback_called);
    assert_eq!(standby.run(Job::Restart { timeout: None }).await, JobEnd::Done);
    heard("on_restart replica batman").await;
    assert_eq!(standby.run(Job::Promote { wait: LIMIT }).await, JobEnd::Done);
    heard("on_role_change primary batman").await;
    standby.run(Job::Stop(fast_stop())).await;
    heard("on_stop primary batman").await;
}

/// What counts is the last word: a program that still announces the first change is killed with what it started.
#[tokio::test]
async fn a_newer_event_ends_the_older_ones_program() {
    let node = Node::with("a", |config, dir| {
        let script = dir.join("callback.sh");
        let dir = dir.display();
        std::fs::write(
            &script,
            format!("#!/bin/sh\nif [ $1 = on_start ]; then sleep 1000 & echo $! > {dir}/slow; wait; fi\necho $1 >> {dir}/log\n"),
        )
        .unwrap();
        for event in ["on_start", "on_stop"] {
            config.callbacks.insert(event.into(), format!("/bin/sh {}", script.display()));
        }
    })
    .await;
    let read = |name: &str| std::fs::read_to_string(node.dir().join(name)).unwrap_or_default();
    node.postgres.fire(tamada_postgres::Callback::OnStart, Role::Primary);
    node.until("the first is at work", |_| read("slow").ends_with('\n')).await;
    node.postgres.fire(tamada_postgres::Callback::OnStop, Role::Primary);
    node.until("the second has spoken", |_| read("log") == "on_stop\n").await;
    let sleeper = read("slow");
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", sleeper.trim())).unwrap_or_default();
    node.until("what the first had started is gone too", |_| stat().is_empty() || stat().contains(") Z")).await;
}
