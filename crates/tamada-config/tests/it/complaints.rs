//! What a start refuses, and how it says so.

use tamada_config::{Environment, check, lines, load};

use crate::scene::{LEAST, complaints, dynamic, with, with_postgresql};

#[test]
fn everything_missing_is_told_at_once() {
    assert_eq!(
        complaints("log: {level: INFO}\n", None),
        [
            "patroni.yml: name: is missing: give this member a name that is unique in its cluster",
            "patroni.yml: scope: is missing: give the name of the cluster",
            "patroni.yml: restapi.listen: is missing: give the address of the REST API, for example 0.0.0.0:8008",
            "patroni.yml: postgresql.listen: is missing: give the addresses of PostgreSQL, for example 0.0.0.0:5432",
            "patroni.yml: postgresql.data_dir: is missing: give the data directory of PostgreSQL",
            "patroni.yml: postgresql.authentication.replication: is missing: give the user for replication: \
             `username`, and `password` if it has one",
            "patroni.yml: postgresql.pgpass: is missing: HOME is not set, so give the path of the password file that we \
             may write",
            "patroni.yml: no configuration store: give a section `raft` for the embedded one, with self_addr, \
             partner_addrs and data_dir, or say where another is, for example \
             `etcd3: {hosts: 'a:2379,b:2379,c:2379'}`",
        ]
    );
}

#[test]
fn each_value_is_told_with_its_line() {
    let text = with_postgresql(
        "pg_ctl_timeout: soon\nparameters: [a]\nproxy_address: nowhere:x\nuse_pg_rewind: perhaps\npg_hba: {a: b}\n",
    ) + "log:\n  level: LOUD\n  max_queue_size: many\nwatchdog: {mode: sometimes}\nctl: {insecure: 7}\n";
    assert_eq!(
        complaints(&text, None),
        [
            "patroni.yml:17: log.level: is not one of DEBUG, INFO, WARN, WARNING, ERROR, FATAL, CRITICAL",
            "patroni.yml:18: log.max_queue_size: is not an integer",
            "patroni.yml:20: ctl.insecure: is not a boolean (true or false)",
            "patroni.yml:13: postgresql.proxy_address: is not host:port, for example 10.0.0.1:8008",
            "patroni.yml:12: postgresql.parameters: is not a dictionary (`key: value` lines below it)",
            "patroni.yml:15: postgresql.pg_hba: is not a list of texts",
            "patroni.yml:11: postgresql.pg_ctl_timeout: is not an integer",
            "patroni.yml:14: postgresql.use_pg_rewind: is not a boolean (true or false)",
            "patroni.yml:19: watchdog.mode: is not one of off, automatic, required",
        ]
    );
}

#[test]
fn an_empty_configuration_says_only_that() {
    assert_eq!(complaints("{}\n", None), ["patroni.yml: Config is empty."]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let local = load(Some("/nonexistent/patroni.yml".as_ref()), Environment::default()).expect("nothing to fail at");
    let told = check(&local, None).expect_err("nothing there");
    assert_eq!(
        lines(&told),
        "Config is empty. /nonexistent/patroni.yml does not exist, and no variable says anything."
    );
}

#[test]
fn user_and_password_come_together() {
    let text = with("ctl: {authentication: {username: u}}\n");
    assert_eq!(complaints(&text, None), ["patroni.yml:11: ctl.authentication: needs both `username` and `password`"]);
}

#[test]
fn the_placeholder_is_nobodys_name() {
    let text = with("").replace("name: a\n", "name: __patroni_strict_sync_replica_placeholder__\n");
    assert_eq!(
        complaints(&text, None),
        ["patroni.yml:1: name: Node 'name' can't be set to '__patroni_strict_sync_replica_placeholder__'"]
    );
}

#[test]
fn stores_that_are_not_built_are_named_with_the_one_that_is() {
    for store in ["consul", "etcd", "exhibitor", "kubernetes", "zookeeper"] {
        let text = with("").replace("etcd3: {hosts: 'e1:2379,e2:2379'}", &format!("{store}: {{host: h}}"));
        assert_eq!(
            complaints(&text, None),
            [format!(
                "patroni.yml:3: {store}: is not supported yet: the stores that this version can use are etcd3 and raft"
            )]
        );
    }
}

#[test]
fn citus_is_refused_rather_than_put_in_the_wrong_place() {
    let text = with("citus: {group: 0, database: d}\n");
    assert_eq!(complaints(&text, None), ["patroni.yml:11: citus: is not supported yet: remove the section"]);
}

#[test]
fn timing_in_the_file_is_told_with_its_line() {
    let text = with("bootstrap:\n  dcs:\n    ttl: soon\n    standby_cluster: x\n");
    assert_eq!(
        complaints(&text, None),
        [
            "patroni.yml:13: bootstrap.dcs.ttl: is not a number of seconds",
            "patroni.yml:14: bootstrap.dcs.standby_cluster: is not a dictionary",
        ]
    );
}

#[test]
fn a_dynamic_document_that_cannot_be_understood_is_rejected_as_a_whole() {
    assert_eq!(
        complaints(&with(""), Some("{ttl: soon, loop_wait: 5, postgresql: {parameters: [a]}}")),
        [
            "dynamic configuration: ttl: is not a number of seconds",
            "dynamic configuration: postgresql.parameters: is not a dictionary",
        ]
    );
}

#[test]
fn single_dynamic_values_that_make_no_sense_are_passed_over() {
    let checked =
        dynamic("{maximum_lag_on_failover: 1MB, postgresql: {pg_ctl_timeout: soon}, synchronous_mode: maybe}");
    assert_eq!(
        checked.adjustments,
        [
            "dynamic configuration: postgresql.pg_ctl_timeout=soon is not an integer, ignored",
            "dynamic configuration: maximum_lag_on_failover=1MB is not an integer, ignored",
            "dynamic configuration: synchronous_mode=maybe is not one of off, on, quorum, ignored",
        ]
    );
    assert_eq!(checked.settings.maximum_lag_on_failover.bytes(), 1_048_576);
    assert_eq!(checked.postgres.pg_ctl_timeout.as_secs(), 60);
}

#[test]
fn secrets_are_never_told() {
    let text = with("").replace("{username: s}", "{username: s, password: [hunter2]}");
    let told = complaints(&text, None).join("\n");
    assert!(told.contains("postgresql.authentication.superuser.password: is not a text"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn numbers_and_booleans_may_be_text() {
    let text = with_postgresql("pg_ctl_timeout: '90'\nuse_pg_rewind: 'yes'\ndatabase: 5\n")
        + "restapi: {request_queue_size: '7', listen: ':8008', authentication: {username: 1, password: 2}}\n";
    let text = text.replace(LEAST.lines().nth(3).expect("four lines"), "#");
    let checked = crate::scene::checked(&text);
    assert_eq!(checked.postgres.pg_ctl_timeout.as_secs(), 90);
    assert!(checked.settings.use_pg_rewind);
    assert_eq!(checked.postgres.database, "5");
    assert_eq!(checked.restapi.request_queue_size, 7);
    assert_eq!(checked.restapi.authentication.expect("set").username, "1");
}
