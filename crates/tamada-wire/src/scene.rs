//! A small cluster for tests, ours and those of other crates (feature `scene`): a leads, b streams, c is stopped.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tamada_model::*;

use crate::{keys, time};

/// The instant at which scenes are looked at: ten seconds after the last reading of the store.
pub const NOW: Duration = Duration::from_secs(1000);

pub fn now() -> Mono {
    Mono::new(NOW)
}

pub fn object(value: Value) -> Document {
    match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

fn wall(text: &str) -> Wall {
    time::instant(text).unwrap_or_else(|| panic!("no timestamp: {text}"))
}

pub fn cluster(keys: &[(&str, Value)]) -> Cluster {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let texts: Vec<(&str, String)> = keys.iter().map(|(key, value)| (*key, text(value))).collect();
    keys::parse_cluster(texts.iter().map(|(key, value)| keys::Entry {
        key,
        value: value.as_bytes(),
        stamp: Stamp::new("1"),
        session: None,
    }))
}

pub fn three_members() -> Cluster {
    let reason = json!({"max_connections": {"old_value": "100", "new_value": "200"}});
    cluster(&[
        ("leader", json!("a")),
        ("status", json!({"optime": 67419744})),
        ("sync", json!({"leader": "a", "quorum": 0, "sync_standby": "B"})),
        ("failover", json!({"leader": "a", "member": "b", "scheduled_at": "2030-01-01 00:00 UTC"})),
        (
            "members/a",
            json!({"conn_url": "postgres://10.0.0.1:5432/postgres", "api_url": "http://10.0.0.1:8008/patroni",
                "state": "running", "role": "primary", "version": "4.1.4", "xlog_location": 67419744, "timeline": 5,
                "pending_restart": true, "pending_restart_reason": reason}),
        ),
        (
            "members/b",
            json!({"conn_url": "postgres://10.0.0.2:5433/postgres", "api_url": "http://10.0.0.2:8008/patroni",
                "state": "running", "role": "replica", "version": "4.1.4", "xlog_location": 67108864,
                "receive_lsn": 67419744, "replay_lsn": 67108864, "replication_state": "streaming", "timeline": 5,
                "tags": {"clonefrom": true}}),
        ),
        ("members/c", json!({"state": "stopped", "role": "replica", "version": "4.1.4"})),
    ])
}

fn facts(live: Live, role: Role) -> PostgresFacts {
    PostgresFacts {
        seen_at: now(),
        data: DataDir::Empty,
        process: Process::Absent,
        answers: Answers::Live(Box::new(live)),
        state: State::Running,
        role,
        pending_restart: PendingRestart::new(),
        callback_called: true,
        can_rewind: false,
    }
}

fn live(standing: Standing) -> Live {
    Live {
        server_version: PgVersion::from_number(150018),
        postmaster_start_time: wall("2026-11-23 09:00:00.123456+00:00"),
        standing,
        replication: Vec::new(),
        slots: Vec::new(),
        synchronous: tamada_model::Synchronous::default(),
        restore_command: String::new(),
    }
}

fn report(name: &str, role: Role, facts: PostgresFacts) -> Report {
    Report {
        name: name.into(),
        scope: "main".into(),
        state: State::Running,
        role,
        postgres: Some(Arc::new(facts)),
        cluster: Some(Arc::new(three_members())),
        cluster_seen_at: Some(now() - Duration::from_secs(10)),
        dcs_last_seen: wall("2026-11-23 09:10:00+00:00"),
        lease_until: None,
        ttl: Duration::from_secs(30),
        loop_wait: Duration::from_secs(10),
        pause: false,
        is_standby_cluster: false,
        is_synchronous_mode: false,
        is_quorum_mode: false,
        failsafe_mode: false,
        failsafe_active_until: None,
        maximum_lag_on_failover: 1_048_576,
        tags: Tags::default(),
        system_id: SystemId::parse("7277694203142172922"),
        scheduled_restart: None,
        watchdog_failed: false,
        guard: None,
        action: None,
        next_pass: now(),
        sentence: "no action. I am (a), the leader with the lock".into(),
        because: String::new(),
    }
}

/// a, whose lease runs for twenty seconds more, with b streaming from it.
pub fn leader() -> Report {
    let standing = Standing::Primary { timeline: Timeline::new(5).unwrap(), flushed: Lsn::new(67419744) };
    let mut live = live(standing);
    live.replication = vec![WalSender {
        usename: "replicator".into(),
        application_name: "b".into(),
        client_addr: Some("10.0.0.2".into()),
        state: "streaming".into(),
        sync_state: "async".into(),
        ..WalSender::default()
    }];
    let mut report = report("a", Role::Primary, facts(live, Role::Primary));
    report.lease_until = Some(now() + Duration::from_secs(20));
    report
}

/// b, streaming from a.
pub fn standby() -> Report {
    let standing = Standing::Standby(Box::new(Standby {
        received: Some(Lsn::new(67419744)),
        replayed: Some(Lsn::new(67108864)),
        replayed_at: Some(wall("2026-11-23 09:09:59.5+00:00")),
        receiver: Some(WalReceiver { status: "streaming".into(), ..WalReceiver::default() }),
        timeline: Timeline::new(5),
        ..Standby::default()
    }));
    let mut report = report("b", Role::Replica, facts(live(standing), Role::Replica));
    report.tags = Tags(object(json!({"clonefrom": true})));
    report
}
