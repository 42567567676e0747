//! The keys without a session.

use serde_json::json;
use tamada_model::{
    Cluster, Document, FailoverRequest, HistoryEntry, Initialize, Lsn, MemberName, Status, SyncState, SystemId,
};

use super::{Checked, LONG, SOON, Scene, beaten, done, holds, look, record, same};
use crate::{Freshness, Renewal, Written};

const OLD_ID: &str = "7277694203142172922";
const NEW_ID: &str = "7277694203142172923";

pub async fn nothing_is_there_at_first(scene: Scene) -> Checked {
    let a = scene.open("a");
    same("cluster", look(&a).await?, Cluster::default())?;
    let lenient = a.read(Freshness::Monotonic, SOON).await.map_err(|e| e.to_string())?;
    same("cluster", lenient, Cluster::default())
}

pub async fn a_bootstrap_begins_once(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    done(a.begin_bootstrap(SOON).await)?;
    beaten(b.begin_bootstrap(SOON).await)?;
    same("initialize", look(&b).await?.initialize, Initialize::Underway)?;
    done(a.delete_initialize(SOON).await)?;
    same("initialize", look(&b).await?.initialize, Initialize::Absent)?;
    done(b.begin_bootstrap(SOON).await).map(drop)
}

pub async fn initialize_is_written_over_or_not_as_asked(scene: Scene) -> Checked {
    let a = scene.open("a");
    let id = |text| SystemId::parse(text).ok_or("a system identifier");
    done(a.set_initialize(id(OLD_ID)?, false, SOON).await)?;
    beaten(a.set_initialize(id(NEW_ID)?, false, SOON).await)?;
    same("initialize", look(&a).await?.initialize, Initialize::Done(id(OLD_ID)?))?;
    done(a.set_initialize(id(NEW_ID)?, true, SOON).await)?;
    same("initialize", look(&a).await?.initialize, Initialize::Done(id(NEW_ID)?))
}

pub async fn config_is_compared_and_swapped(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    let first = done(a.set_config(&config(1), None, SOON).await)?;
    let read = look(&b).await?.config.ok_or("no config")?;
    same("config", (read.value, read.stamp), (config(1), first.clone()))?;
    let second = done(b.set_config(&config(2), Some(&first), SOON).await)?;
    beaten(a.set_config(&config(3), Some(&first), SOON).await)?;
    same("config", look(&a).await?.config.map(|read| (read.value, read.stamp)), Some((config(2), second)))?;
    done(a.set_config(&config(4), None, SOON).await).map(drop)
}

pub async fn failover_is_compared_and_swapped_and_cleared(scene: Scene) -> Checked {
    let a = scene.open("a");
    let request = |candidate: &str| FailoverRequest {
        leader: Some(MemberName::from("a")),
        candidate: Some(MemberName::from(candidate)),
        scheduled_at: None,
    };
    let first = done(a.set_failover(&request("b"), None, SOON).await)?;
    let second = done(a.set_failover(&request("c"), Some(&first), SOON).await)?;
    beaten(a.set_failover(&FailoverRequest::default(), Some(&first), SOON).await)?;
    same("failover", look(&a).await?.failover.map(|read| read.value), Some(request("c")))?;
    done(a.set_failover(&FailoverRequest::default(), Some(&second), SOON).await)?;
    same("failover", look(&a).await?.failover, None)
}

pub async fn sync_is_compared_swapped_and_deleted(scene: Scene) -> Checked {
    let a = scene.open("a");
    let sync = |standbys: &[&str]| SyncState {
        leader: Some(MemberName::from("a")),
        quorum: 0,
        standbys: standbys.iter().copied().map(MemberName::from).collect(),
    };
    let first = done(a.set_sync(&sync(&[]), None, SOON).await)?;
    let second = done(a.set_sync(&sync(&["b", "c"]), Some(&first), SOON).await)?;
    beaten(a.set_sync(&sync(&["b"]), Some(&first), SOON).await)?;
    let read = look(&a).await?.sync.ok_or("no sync")?;
    same("sync", (read.value, read.stamp), (sync(&["b", "c"]), second.clone()))?;
    beaten(a.delete_sync(Some(&first), SOON).await)?;
    done(a.delete_sync(Some(&second), SOON).await)?;
    same("sync", look(&a).await?.sync, None)
}

pub async fn of_many_swaps_at_once_only_one_wins(scene: Scene) -> Checked {
    let stores: Vec<_> = (0..4).map(|n| scene.open(&format!("m{n}"))).collect();
    let first = done(stores[0].set_config(&config(0), None, SOON).await)?;
    let configs: Vec<_> = (1..=4).map(config).collect();
    let swaps = stores.iter().zip(&configs).map(|(store, config)| store.set_config(config, Some(&first), SOON));
    let answers = futures_util::future::join_all(swaps).await;
    let won: Vec<_> = (0..4).filter(|n| matches!(answers[*n], Written::Done(_))).collect();
    same("winners", won.len(), 1)?;
    holds("the others know that they lost", answers.iter().filter(|answer| **answer == Written::Beaten).count() == 3)?;
    same("config", look(&stores[0]).await?.config.map(|read| read.value), won.first().map(|n| configs[*n].clone()))
}

pub async fn history_and_status_are_overwritten(scene: Scene) -> Checked {
    let a = scene.open("a");
    done(a.set_history(&[], SOON).await)?;
    same("history", look(&a).await?.history.map(|read| read.value), Some(Vec::new()))?;
    let entry = HistoryEntry {
        timeline: 1,
        lsn: Lsn::new(83_886_240),
        reason: "no recovery target specified".into(),
        at: Some("2026-11-23T09:00:00.123456+00:00".into()),
        new_leader: Some(MemberName::from("b")),
    };
    done(a.set_history(std::slice::from_ref(&entry), SOON).await)?;
    same("history", look(&a).await?.history.map(|read| read.value), Some(vec![entry]))?;
    let status = Status { optime: Lsn::new(7), ..Status::default() };
    done(a.set_status(&status, SOON).await)?;
    same("status", look(&a).await?.status, status)
}

pub async fn deleting_a_cluster_spares_its_namesake(scene: Scene) -> Checked {
    let a = scene.open("a");
    let namesake = scene.bench.open(&format!("{}2", scene.scope), "a", LONG);
    for store in [&a, &namesake] {
        done(store.set_config(&config(1), None, SOON).await)?;
        done(store.touch_member(&record(1), SOON).await)?;
        done(store.acquire_leader(SOON).await)?;
    }
    done(a.delete_cluster(SOON).await)?;
    same("cluster", look(&a).await?, Cluster::default())?;
    let spared = look(&namesake).await?;
    holds(
        "the namesake is untouched",
        spared.config.is_some() && spared.leader.is_some() && spared.members.len() == 1,
    )?;
    done(a.renew_leader(Renewal::default(), SOON).await)?;
    done(a.touch_member(&record(1), SOON).await)?;
    same("members", look(&a).await?.members.len(), 1)
}

pub async fn reads_never_go_back(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    let mut last = 0;
    for n in 1..=30 {
        done(a.set_config(&config(n), None, SOON).await)?;
        let mine = a.read(Freshness::Monotonic, SOON).await.map_err(|e| e.to_string())?;
        same("what we wrote", mine.config.map(|read| read.value), Some(config(n)))?;
        let theirs = b.read(Freshness::Monotonic, SOON).await.map_err(|e| e.to_string())?;
        let seen = theirs.config.and_then(|read| read.value.get("loop_wait")?.as_u64()).unwrap_or(0);
        holds("another's reading does not go back", last <= seen)?;
        last = seen;
    }
    Ok(())
}

pub async fn an_ordered_read_sees_what_another_was_told_is_done(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    for n in 1..=30 {
        done(a.set_config(&config(n), None, SOON).await)?;
        same("config", look(&b).await?.config.map(|read| read.value), Some(config(n)))?;
    }
    Ok(())
}

fn config(loop_wait: u64) -> Document {
    match json!({"ttl": 30, "loop_wait": loop_wait}) {
        serde_json::Value::Object(document) => document,
        _ => Document::new(),
    }
}
