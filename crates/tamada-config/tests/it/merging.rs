//! Which layer wins (configuration.md 1.5, 5.1, 9).

use serde_json::json;

use crate::scene::{checked_with, with, with_postgresql};

#[test]
fn controlled_parameters_come_from_the_dynamic_configuration_only() {
    let text = with_postgresql("parameters: {max_connections: 500, work_mem: 8MB, Shared_Buffers: 1GB}\n");
    let dynamic = "postgresql: {parameters: {max_connections: '200', max_wal_senders: 1, port: 9, work_mem: 4MB, \
                   shared_buffers: 2GB, wal_keep_size: 64MB, Wal_Level: logical}}\n";
    let checked = checked_with(&text, Some(dynamic));
    let expected = json!({
        "wal_level": "logical",
        "hot_standby": "on",
        "max_connections": 200,
        "max_wal_senders": 10,
        "max_prepared_transactions": 0,
        "max_locks_per_transaction": 64,
        "track_commit_timestamp": "off",
        "max_replication_slots": 10,
        "max_worker_processes": 8,
        "wal_log_hints": "on",
        "work_mem": "8MB",
        "Shared_Buffers": "1GB",
        "wal_keep_size": "64MB",
    });
    assert_eq!(serde_json::Value::Object(checked.postgres.parameters), expected);
    assert_eq!(
        checked.adjustments,
        [
            "postgresql parameter max_wal_senders=1 failed validation, defaulting to 10",
            "postgresql parameter port=9 failed validation, defaulting to None",
        ]
    );
}

#[test]
fn the_local_value_wins_as_a_whole() {
    let text = with_postgresql("callbacks: {on_start: l}\npg_hba: [local]\nuse_slots: false\n");
    let dynamic = "postgresql: {callbacks: {on_start: d, on_stop: d}, pg_hba: [dynamic], pg_ident: [dynamic], \
                   use_unix_socket: true, recovery_conf: {restore_command: r}}\n";
    let postgres = checked_with(&text, Some(dynamic)).postgres;
    assert_eq!(postgres.callbacks.into_iter().collect::<Vec<_>>(), [("on_start".to_owned(), "l".to_owned())]);
    assert_eq!(postgres.pg_hba.expect("set"), ["local"]);
    assert_eq!(postgres.pg_ident.expect("set"), ["dynamic"]);
    assert!(postgres.use_unix_socket);
    assert!(postgres.use_slots, "slots are switched for the whole cluster");
    assert_eq!(postgres.recovery_conf["restore_command"], "r");
}

#[test]
fn parameters_of_a_role_cannot_be_controlled_ones() {
    let text = with_postgresql("parameters_replica: {work_mem: 1MB, Max_Connections: 5}\n");
    let checked = checked_with(&text, None);
    assert_eq!(checked.postgres.role_parameters["replica"].keys().collect::<Vec<_>>(), ["work_mem"]);
    assert_eq!(
        checked.adjustments,
        ["postgresql.parameters_replica.Max_Connections is ignored, it can't depend on the role"]
    );
}

#[test]
fn addresses_directories_and_users_are_never_dynamic() {
    let dynamic = "postgresql: {listen: '9.9.9.9:9', connect_address: '9.9.9.9:9', data_dir: /evil, pgpass: /evil, \
                   config_dir: /evil, proxy_address: '9.9.9.9:9', authentication: {superuser: {username: evil}}}\n";
    let checked = checked_with(&with(""), Some(dynamic));
    assert_eq!(checked.postgres.listen_addresses, "0.0.0.0");
    assert_eq!(checked.me.conn_url, "postgres://10.0.0.1:5432/postgres");
    assert_eq!(checked.me.proxy_url, None);
    assert_eq!(checked.postgres.data_dir.to_str(), Some("/data"));
    assert_eq!(checked.postgres.config_dir.to_str(), Some("/data"));
    assert_eq!(checked.postgres.superuser.username.as_deref(), Some("s"));
}

#[test]
fn timing_cannot_be_set_in_a_file() {
    let checked = checked_with(&with("ttl: 99\nloop_wait: 1\npause: true\n"), Some("{ttl: 40}"));
    assert_eq!(checked.settings.ttl.as_secs(), 40);
    assert_eq!(checked.settings.loop_wait.as_secs(), 10);
    assert!(!checked.settings.pause);
}

#[test]
fn old_shapes_still_work() {
    let text = "\
scope: s
etcd3: {discovery_srv: example.org}
restapi: {listen: 'h:1'}
postgresql:
  name: old
  listen: 127.0.0.1:5432
  data_dir: /d
  pgpass: /p
  replication: {username: r, password: p, network: 1.2.3.4/8}
  pg_rewind: {username: super}
  create_replica_method: [x]
  x: {command: c}
bootstrap: {post_init: p}
";
    let checked = checked_with(text, None);
    assert_eq!(checked.me.name.as_str(), "old");
    assert_eq!(checked.postgres.replication.username.as_deref(), Some("r"));
    assert_eq!(checked.postgres.superuser.username.as_deref(), Some("super"));
    assert!(checked.settings.use_pg_rewind);
    assert_eq!(checked.postgres.create_replica_methods, ["x"]);
    assert_eq!(checked.postgres.bootstrap.post_bootstrap.as_deref(), Some("p"));
}
