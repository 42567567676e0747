//! Operators' writes to the store: the configuration and the failover request (rest-api.md 6, 8). They need no decision;
//! the agent sees them like anybody else's.

use std::time::Duration;

use serde_json::Value;
use tamada_dcs::{Freshness, Store, Written};
use tamada_model::{Document, FailoverRequest, Reply, Request, Stamped, document};

/// `None`: this is for the agent.
pub async fn write(store: &dyn Store, request: &Request, within: Duration) -> Option<Reply> {
    Some(match request {
        Request::SetFailover(wish) => set_failover(store, wish, within).await,
        Request::ClearFailover => clear_failover(store, within).await,
        Request::PatchConfig(patch) => patch_config(store, patch, within).await,
        Request::PutConfig(config) => put_config(store, config, within).await,
        Request::Restart(_)
        | Request::ScheduleRestart(..)
        | Request::CancelScheduledRestart
        | Request::Reinitialize(_)
        | Request::Reload => return None,
    })
}

fn is_done(written: &Written) -> bool {
    match written {
        Written::Done(_) => true,
        Written::Beaten | Written::Unclear(_) | Written::Failed(_) => false,
    }
}

async fn set_failover(store: &dyn Store, wish: &FailoverRequest, within: Duration) -> Reply {
    match is_done(&store.set_failover(wish, None, within).await) {
        true => Reply::text(200, "written"),
        false => Reply::text(503, "failed to write failover key into DCS"),
    }
}

async fn clear_failover(store: &dyn Store, within: Duration) -> Reply {
    let Ok(cluster) = store.read(Freshness::Linearizable, within).await else {
        return Reply::page(503);
    };
    let scheduled = cluster.failover.filter(|request| request.value.scheduled_at.is_some());
    let Some(request) = scheduled else {
        return Reply::text(404, "no switchover is scheduled");
    };
    match is_done(&store.set_failover(&FailoverRequest::default(), Some(&request.stamp), within).await) {
        true => Reply::text(200, "scheduled switchover deleted"),
        false => Reply::page(409),
    }
}

async fn current_config(store: &dyn Store, within: Duration) -> Option<Stamped<Document>> {
    store.read(Freshness::Linearizable, within).await.ok()?.config
}

async fn patch_config(store: &dyn Store, patch: &Document, within: Duration) -> Reply {
    let Some(Stamped { stamp, mut value }) = current_config(store, within).await else {
        return Reply::page(503);
    };
    if document::patch(&mut value, patch) && !is_done(&store.set_config(&value, Some(&stamp), within).await) {
        return Reply::page(409);
    }
    Reply::json(200, Value::Object(value))
}

async fn put_config(store: &dyn Store, config: &Document, within: Duration) -> Reply {
    let wanted = Value::Object(config.clone());
    let current = current_config(store, within).await;
    let same = current.as_ref().is_some_and(|current| document::same(&Value::Object(current.value.clone()), &wanted));
    // Over what was read and nothing else: a write that a node of the store carries out late must not undo newer ones.
    let judged = current.map(|current| current.stamp);
    if !same && !is_done(&store.set_config(config, judged.as_ref(), within).await) {
        return Reply::page(502);
    }
    Reply::json(200, wanted)
}
