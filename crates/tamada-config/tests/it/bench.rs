//! The configuration of the availability bench: addresses on loopback, a short ttl.

use std::time::Duration;

use tamada_config::{check, check_for_ctl};
use tamada_model::{StoreConfig, SynchronousMode};

use crate::scene::Scene;

const BENCH: &str = r"
bootstrap:
  dcs:
    loop_wait: 1
    maximum_lag_on_failover: 1048576
    postgresql:
      parameters: {max_connections: 100, shared_buffers: 32MB, wal_keep_size: 64MB}
      use_pg_rewind: true
      use_slots: true
    retry_timeout: 2
    synchronous_mode: false
    ttl: 5
  initdb:
  - encoding: UTF8
  - data-checksums
etcd3:
  hosts: 127.0.0.1:23790
name: n0
postgresql:
  authentication:
    replication: {password: x, username: replicator}
    rewind: {password: x, username: rewinder}
    superuser: {password: x, username: postgres}
  basebackup:
  - checkpoint: fast
  bin_dir: /usr/lib/postgresql/15/bin
  connect_address: 127.0.0.1:15432
  data_dir: /tmp/bench/pg0
  listen: 127.0.0.1:15432
  parameters: {unix_socket_directories: /tmp/bench}
  pg_hba:
  - local all all trust
  - host all all 127.0.0.1/32 trust
  - host replication all 127.0.0.1/32 trust
  pgpass: /tmp/bench/pgpass0
restapi: {connect_address: '127.0.0.1:18001', listen: '127.0.0.1:18001'}
scope: bench
";

#[test]
fn the_benchs_configuration_is_taken_without_complaint() {
    let local = Scene::new().load(BENCH);
    let checked = check(&local, None).expect("no complaint");
    assert_eq!(checked.adjustments, Vec::<String>::new());
    assert_eq!(checked.settings.ttl, Duration::from_secs(5));
    assert_eq!(checked.settings.loop_wait, Duration::from_secs(1));
    assert_eq!(checked.settings.retry_timeout, Duration::from_secs(2));
    assert_eq!(checked.settings.synchronous_mode, SynchronousMode::Off);
    assert!(checked.settings.use_pg_rewind);
    assert_eq!(checked.me.conn_url, "postgres://127.0.0.1:15432/postgres");
    assert_eq!(checked.me.api_url, "http://127.0.0.1:18001/patroni");
    assert!(checked.me.may_bootstrap);
    assert_eq!(checked.store_scope.base, "/service/bench");
    let StoreConfig::Etcd3(etcd) = &checked.store else { panic!("{:?}", checked.store) };
    assert_eq!(etcd.endpoints.hosts, [("127.0.0.1".to_owned(), 23790)]);
    let parameters = &checked.postgres.parameters;
    assert_eq!(parameters["wal_keep_size"], "64MB");
    assert_eq!(parameters["unix_socket_directories"], "/tmp/bench");
    assert_eq!(parameters["max_worker_processes"], 8);
    assert_eq!(checked.postgres.pg_hba.as_ref().map(Vec::len), Some(3));
    assert_eq!(checked.bootstrap_dcs["ttl"], 5);
}

#[test]
fn the_tool_takes_it_too() {
    let local = Scene::new().load(BENCH);
    let checked = check_for_ctl(&local, None).expect("no complaint");
    assert_eq!(checked.scope.as_deref(), Some("bench"));
    assert_eq!(checked.store_scope("other").base, "/service/other");
}
