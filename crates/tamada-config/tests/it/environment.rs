//! Variables and what they become (configuration.md 7).

use serde_json::{Value, json};
use tamada_config::{load, rows};

use crate::scene::{Scene, variables};

/// The document that the variables alone make.
fn made_of(pairs: &[(&str, &str)]) -> (Value, Vec<String>) {
    let local = load(None, variables(pairs)).expect("variables only");
    (Value::Object(local.document().clone()), local.warnings().to_vec())
}

#[test]
fn each_variable_becomes_its_setting() {
    let table = [
        ("PATRONI_NAME", "n", json!({"name": "n"})),
        ("PATRONI_LOG_LEVEL", "DEBUG", json!({"log": {"level": "DEBUG"}})),
        ("PATRONI_LOG_MODE", "0644", json!({"log": {"mode": 420}})),
        ("PATRONI_LOG_FILE_SIZE", "0x10", json!({"log": {"file_size": 16}})),
        ("PATRONI_LOG_FORMAT", "%(message)s", json!({"log": {"format": "%(message)s"}})),
        (
            "PATRONI_LOG_FORMAT",
            "message, levelname: level",
            json!({"log": {"format": ["message", {"levelname": "level"}]}}),
        ),
        ("PATRONI_LOG_STATIC_FIELDS", "app: db, n: 1", json!({"log": {"static_fields": {"app": "db", "n": 1}}})),
        ("PATRONI_LOG_LOGGERS", "{a: DEBUG}", json!({"log": {"loggers": {"a": "DEBUG"}}})),
        ("PATRONI_LOGLEVEL", "INFO", json!({"log": {"level": "INFO"}})),
        ("PATRONI_LOG_DATEFMT", "%H", json!({"log": {"dateformat": "%H"}})),
        ("PATRONI_RESTAPI_USERNAME", "u", json!({"restapi": {"authentication": {"username": "u"}}})),
        ("PATRONI_RESTAPI_ALLOWLIST", "a,10.0.0.0/8", json!({"restapi": {"allowlist": ["a", "10.0.0.0/8"]}})),
        ("PATRONI_RESTAPI_ALLOWLIST_INCLUDE_MEMBERS", "on", json!({"restapi": {"allowlist_include_members": true}})),
        ("PATRONI_RESTAPI_HTTP_EXTRA_HEADERS", "X-A: b", json!({"restapi": {"http_extra_headers": {"X-A": "b"}}})),
        ("PATRONI_CTL_INSECURE", "yes", json!({"ctl": {"insecure": true}})),
        ("PATRONI_POSTGRESQL_BIN_PG_CTL", "ctl", json!({"postgresql": {"bin_name": {"pg_ctl": "ctl"}}})),
        (
            "PATRONI_SUPERUSER_CHANNEL_BINDING",
            "require",
            json!({"postgresql": {"authentication": {"superuser": {"channel_binding": "require"}}}}),
        ),
        ("PATRONI_CITUS_GROUP", "1", json!({"citus": {"group": 1}})),
        ("PATRONI_RAFT_MIN_TIMEOUT", "0.5", json!({"raft": {"min_timeout": 0.5}})),
        ("PATRONI_RAFT_PARTNER_ADDRS", "b:1,'c:2'", json!({"raft": {"partner_addrs": ["b:1", "c:2"]}})),
        ("PATRONI_RAFT_ETCD_ADDR", "127.0.0.1:2379", json!({"raft": {"etcd_addr": "127.0.0.1:2379"}})),
        ("PATRONI_RAFT_CACERT", "/ca", json!({"raft": {"cacert": "/ca"}})),
        ("PATRONI_RAFT_CERT", "/cert", json!({"raft": {"cert": "/cert"}})),
        ("PATRONI_RAFT_KEY", "/key", json!({"raft": {"key": "/key"}})),
        ("PATRONI_ETCD3_HOSTS", "h1:1,h2:2", json!({"etcd3": {"hosts": ["h1:1", "h2:2"]}})),
        ("PATRONI_ETCD3_HOSTS", "- h1:1\n- h2:2", json!({"etcd3": {"hosts": ["h1:1", "h2:2"]}})),
        ("PATRONI_ETCD3_PORT", "2380", json!({"etcd3": {"port": 2380}})),
        ("PATRONI_ETCD3_USE_PROXIES", "true", json!({"etcd3": {"use_proxies": true}})),
        ("PATRONI_ZOOKEEPER_USE_SSL", "false", json!({"zookeeper": {"use_ssl": "false"}})),
        ("PATRONI_KUBERNETES_LABELS", "app: x", json!({"kubernetes": {"labels": {"app": "x"}}})),
        ("PATRONI_ANYTHING_HOST", "h", json!({"anything": {"host": "h"}})),
        ("PATRONI_ETCD3_USERNAME", "alone", json!({})),
        ("PATRONI_CITUS_HOST", "no", json!({})),
        ("PATRONI_TAGS_NOSYNC", "no", json!({})),
        ("PATRONI_NAME", "", json!({})),
        ("HOME", "/root", json!({})),
    ];
    for (name, value, expected) in table {
        assert_eq!(made_of(&[(name, value)]), (expected, vec![]), "{name}={value}");
    }
}

#[test]
fn credentials_of_the_store_need_its_section() {
    let (made, _) = made_of(&[("PATRONI_ETCD3_PASSWORD", "p"), ("PATRONI_ETCD3_HOST", "h:1")]);
    assert_eq!(made, json!({"etcd3": {"host": "h:1", "password": "p"}}));
}

#[test]
fn the_new_name_wins_over_the_former_one() {
    let (made, _) = made_of(&[("PATRONI_LOGLEVEL", "INFO"), ("PATRONI_LOG_LEVEL", "DEBUG")]);
    assert_eq!(made, json!({"log": {"level": "DEBUG"}}));
}

#[test]
fn what_cannot_be_read_is_left_out_and_named() {
    let (made, warnings) = made_of(&[("PATRONI_LOG_FILE_NUM", "four"), ("PATRONI_CTL_INSECURE", "maybe")]);
    assert_eq!(made, json!({}));
    assert_eq!(
        warnings,
        ["PATRONI_LOG_FILE_NUM is not an integer, ignored", "PATRONI_CTL_INSECURE is not a boolean, ignored"]
    );
}

#[test]
fn variables_stand_over_files() {
    let scene = Scene::new();
    let file = scene.file("a.yml", "name: file\nrestapi: {listen: 'a:1', certfile: c}\n");
    let environment = variables(&[("PATRONI_NAME", "variable"), ("PATRONI_RESTAPI_LISTEN", "b:2")]);
    let local = load(Some(&file), environment).expect("valid YAML");
    assert_eq!(local.document()["name"], "variable");
    assert_eq!(local.document()["restapi"], json!({"listen": "b:2", "certfile": "c"}));
    assert_eq!(local.place("restapi.listen").expect("known").to_string(), "PATRONI_RESTAPI_LISTEN");
}

#[test]
fn recognised_variables_are_to_be_removed_even_if_they_have_no_effect() {
    let environment = variables(&[
        ("PATRONI_CONFIGURATION", "x"),
        ("PATRONI_ETCD3_PASSWORD", "secret"),
        ("PATRONI_SUPERUSER_PASSWORD", "secret"),
        ("PATRONI_LOGLEVEL", "INFO"),
        ("PATRONI_CONSUL_TOKEN", "secret"),
        ("PATRONI_TAGS_X", "kept"),
        ("HOME", "/root"),
    ]);
    assert_eq!(
        environment.recognised(),
        [
            "PATRONI_CONFIGURATION",
            "PATRONI_CONSUL_TOKEN",
            "PATRONI_ETCD3_PASSWORD",
            "PATRONI_LOGLEVEL",
            "PATRONI_SUPERUSER_PASSWORD",
        ]
    );
}

#[test]
fn rows_and_variables_are_unambiguous() {
    let mut names: Vec<_> = rows::all().filter_map(|row| row.env.name()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "each variable belongs to one row");
    let mut paths: Vec<_> = rows::all().map(|row| (row.path, row.is_dynamic() && !row.is_local())).collect();
    let count = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), count, "each path has one row in its layer");
}
