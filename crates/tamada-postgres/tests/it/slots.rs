//! Slots of members.

use serde_json::json;
use tamada_model::*;
use tamada_postgres::{SlotPlan, WantedSlot};

use crate::node::{Node, document};

fn wanted(name: &str, active_here: bool, lsn: Option<Lsn>) -> WantedSlot {
    WantedSlot { name: name.into(), active_here, lsn, may_clean: true }
}

async fn names(node: &Node) -> String {
    node.sql("SELECT coalesce(string_agg(slot_name, ' ' ORDER BY slot_name), '') FROM pg_replication_slots")
        .await
        .unwrap()
}

#[tokio::test]
async fn they_become_as_planned() {
    let node = Node::primary("a").await;
    node.sql("SELECT pg_create_physical_replication_slot('stranger')").await;
    node.sql("SELECT pg_create_physical_replication_slot('backup')").await;
    let ignore = vec![document(json!({"name": "backup", "type": "physical"}))];
    let mut plan = SlotPlan { wanted: vec![wanted("b", true, None)], keep_unknown: true, ignore };
    node.postgres.sync_slots(plan.clone()).await.unwrap();
    assert_eq!(names(&node).await, "b backup stranger");
    plan.keep_unknown = false;
    node.postgres.sync_slots(plan).await.unwrap();
    assert_eq!(names(&node).await, "b backup");
    let live = node.look().await;
    assert_eq!(live.answers.live().unwrap().slots.len(), 2);
}

#[tokio::test]
async fn those_nobody_uses_here_move_on() {
    let node = Node::primary("a").await;
    let plan = |lsn| SlotPlan { wanted: vec![wanted("b", false, lsn)], ..SlotPlan::default() };
    node.postgres.sync_slots(plan(None)).await.unwrap();
    let at = "SELECT restart_lsn FROM pg_replication_slots";
    let before = Lsn::parse(&node.sql(at).await.unwrap()).unwrap();
    node.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS x").await;
    let now = Lsn::parse(&node.sql("SELECT pg_current_wal_flush_lsn()").await.unwrap()).unwrap();
    assert!(now > before);
    node.postgres.sync_slots(plan(Some(now))).await.unwrap();
    assert_eq!(Lsn::parse(&node.sql(at).await.unwrap()), Some(now));
    // Further than there is WAL is no error, only no movement.
    node.postgres.sync_slots(plan(Some(Lsn::new(now.bytes() * 2)))).await.unwrap();
}
