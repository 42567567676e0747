//! What the keys' readers make of good, old and malformed values; each sample reads and prints as itself.

use tamada_model::*;

use super::*;

fn entry<'a>(key: &'a str, value: &'a str) -> Entry<'a> {
    Entry { key, value: value.as_bytes(), stamp: Stamp::new("7"), session: Some("lease".into()) }
}

fn cluster(entries: &[(&'static str, &'static str)]) -> Cluster {
    parse_cluster(entries.iter().map(|(key, value)| entry(key, value)))
}

fn names(names: &[&str]) -> Vec<MemberName> {
    names.iter().map(|name| MemberName::new(*name)).collect()
}

#[test]
fn samples_survive_reading_and_writing() {
    for sample in [include_str!("../../samples/member-standby.json"), include_str!("../../samples/member-primary.json")]
    {
        assert_eq!(member_json(&parse_member(sample.as_bytes())), sample);
    }
    let sample = include_str!("../../samples/status.json");
    assert_eq!(status_json(&parse_status(sample.as_bytes())), sample);
    let sample = include_str!("../../samples/sync.json");
    assert_eq!(sync_json(&parse_sync(sample.as_bytes())), sample);
    let sample = include_str!("../../samples/failover.json");
    assert_eq!(failover_json(&parse_failover(sample.as_bytes()).unwrap()), sample);
    let sample = include_str!("../../samples/history.json");
    assert_eq!(history_json(&parse_history(sample.as_bytes()).unwrap()), sample);
    let sample = include_str!("../../samples/failsafe.json");
    assert_eq!(failsafe_json(&cluster(&[("failsafe", sample)]).failsafe.unwrap()), sample);
}

#[test]
fn a_standby_is_read_with_all_it_says() {
    let member = parse_member(include_bytes!("../../samples/member-standby.json"));
    assert_eq!(member.address(), Some(("10.0.0.2".into(), 5432)));
    assert_eq!(member.role, Some(Role::Replica));
    assert!(member.is_running() && member.tags.clonefrom() && !member.pause);
    assert_eq!(member.receive_lsn, Some(Lsn::new(67419744)));
    assert_eq!(member.timeline, Timeline::new(3));
}

#[test]
fn a_scheduled_restart_is_read_with_its_conditions() {
    let plan = parse_member(include_bytes!("../../samples/member-primary.json")).scheduled_restart.unwrap();
    assert_eq!(plan.conditions.role, Some(Role::Primary));
    assert_eq!(plan.conditions.timeout_seconds, Some(10));
    assert_eq!(plan.conditions.restart_pending, Some(true.into()));
    assert!(plan.schedule.at.is_some() && plan.postmaster_start_time.is_some());
}

#[test]
fn old_forms_are_understood() {
    let url = b"postgres://u@10.0.0.1:5432/db?application_name=http%3A%2F%2F10.0.0.1%3A8008%2Fpatroni&x=1";
    let member = parse_member(url);
    assert_eq!(member.conn_url.as_deref(), Some("postgres://u@10.0.0.1:5432/db"));
    assert_eq!(member.api_url.as_deref(), Some("http://10.0.0.1:8008/patroni"));
    assert_eq!(parse_member(br#"{"role":"master"}"#).role, Some(Role::Primary));
    assert_eq!(parse_status(b"42").optime, Lsn::new(42));
    let kubernetes = parse_status(br#"{"optime":"42","slots":"{\"a\":\"7\"}","retain_slots":"[\"a\", \"b\"]"}"#);
    assert_eq!(kubernetes.optime, Lsn::new(42));
    assert_eq!(kubernetes.slots.get("a"), Some(&Lsn::new(7)));
    assert_eq!(kubernetes.retain_slots, ["a", "b"]);
    assert_eq!(kubernetes.origin, None);
    let legacy = parse_failover(b"a:b").unwrap();
    assert_eq!((legacy.leader, legacy.candidate), (Some("a".into()), Some("b".into())));
    assert_eq!(parse_failover(b":b").unwrap().leader, None);
}

#[test]
fn the_old_optime_counts_only_without_a_status() {
    assert_eq!(cluster(&[("optime/leader", "5")]).status.optime, Lsn::new(5));
    assert_eq!(cluster(&[("optime/leader", "5"), ("status", "")]).status.optime, Lsn::new(5));
    assert_eq!(cluster(&[("optime/leader", "5"), ("status", r#"{"optime":6}"#)]).status.optime, Lsn::new(6));
}

#[test]
fn malformed_values_are_absent_or_empty() {
    let keys = ["config", "leader", "failover", "history", "failsafe", "status", "sync", "members/a", "nonsense"];
    for garbage in ["", "{", "nonsense", "[1", "true", "\u{0}"] {
        let cluster = parse_cluster(keys.iter().map(|key| entry(key, garbage)));
        assert_eq!(cluster.config, None, "{garbage}");
        assert_eq!(cluster.failover, None, "{garbage}");
        assert_eq!(cluster.history, None, "{garbage}");
        assert_eq!(cluster.failsafe, None, "{garbage}");
        assert_eq!(cluster.status, Status::default(), "{garbage}");
        assert_eq!(cluster.sync.unwrap().value, SyncState::default(), "{garbage}");
        let member = Member { session: Some("lease".into()), ..Member::default() };
        assert_eq!(cluster.members.get(&"a".into()).map(Arc::as_ref), Some(&member), "{garbage}");
    }
    let not_utf8 = Entry { key: "leader", value: &[0xff], stamp: Stamp::new("1"), session: None };
    assert_eq!(parse_cluster([not_utf8]).leader, None);
    assert_eq!(parse_member(br#"{"state":5,"timeline":0,"xlog_location":-1,"tags":[],"x":{}}"#), Member::default());
}

#[test]
fn initialize_tells_four_things() {
    assert_eq!(cluster(&[]).initialize, Initialize::Absent);
    assert_eq!(cluster(&[("initialize", "")]).initialize, Initialize::Underway);
    let id = "7277694203142172922";
    assert_eq!(cluster(&[("initialize", id)]).initialize.system_id(), SystemId::parse(id));
    assert_eq!(cluster(&[("initialize", "foo")]).initialize, Initialize::Invalid("foo".into()));
}

#[test]
fn the_leader_is_known_without_its_member_key() {
    let cluster = cluster(&[("leader", "a")]);
    assert_eq!(cluster.leader_name(), Some(&"a".into()));
    assert_eq!(cluster.leader_member(), None);
}

#[test]
fn a_request_needs_a_name() {
    assert_eq!(parse_failover(b"{}"), None);
    assert_eq!(parse_failover(br#"{"scheduled_at":"2030-01-01T00:00:00+00:00"}"#), None);
    assert_eq!(parse_failover(br#"{"leader":"","member":null}"#), None);
    assert_eq!(parse_failover(br#"{"member":"b"}"#).unwrap().kind(), FailoverKind::ManualFailover);
    assert_eq!(failover_json(&FailoverRequest::default()), "{}");
}

#[test]
fn sync_without_a_leader_is_inactive_but_keeps_its_stamp() {
    let sync = cluster(&[("sync", r#"{"leader":null,"quorum":2,"sync_standby":"b"}"#)]).sync.unwrap();
    assert_eq!(sync, Stamped { stamp: Stamp::new("7"), value: SyncState::default() });
    let sync = parse_sync(br#"{"leader":"a","quorum":null,"sync_standby":" b , c,"}"#);
    assert_eq!(sync.standbys, names(&["b", "c"]));
    assert_eq!(sync.quorum, 0);
    let nobody = SyncState { leader: Some("a".into()), ..SyncState::default() };
    assert_eq!(sync_json(&nobody), r#"{"leader":"a","quorum":0,"sync_standby":null}"#);
    let unsorted = SyncState { leader: Some("a".into()), quorum: 1, standbys: names(&["c", "b"]) };
    assert_eq!(sync_json(&unsorted), r#"{"leader":"a","quorum":1,"sync_standby":"b,c"}"#);
}

#[test]
fn history_without_a_readable_end_is_unknown() {
    assert_eq!(parse_history(b"[]"), Some(vec![]));
    assert_eq!(cluster(&[("history", "[]")]).timeline(), Some(Timeline::FIRST));
    assert_eq!(parse_history(br#"[[1,2,"x"],["?"]]"#), None);
    assert_eq!(parse_history(br#"[["?"],[4,2,"x"]]"#).unwrap().len(), 1);
}

#[test]
fn config_keeps_what_it_does_not_know() {
    let text = r#"{"ttl":30,"master_start_timeout":5,"postgresql":{"parameters":{"a":"\u00e4"}}}"#;
    let config = cluster(&[("config", text)]).config.unwrap();
    assert_eq!(config_json(&config.value), text);
}
