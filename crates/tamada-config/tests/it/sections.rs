//! The local sections in types (configuration.md 2, 3).

use std::path::Path;

use tamada_model::{GuardMode, LogLevel, ServerTokens, VerifyClient, WatchdogDriver, WatchdogMode};

use crate::scene::{Scene, checked, complaints, variables, with, with_postgresql};

#[test]
fn log() {
    let log = checked(&with(
        "log: {level: warn, traceback_level: debug, format: '%(message)s', dateformat: '%H', dir: /l, mode: 0600, \
         file_num: 2, file_size: 100, loggers: {a: ERROR, b: odd}, deduplicate_heartbeat_logs: on, max_queue_size: 5}\n",
    ))
    .log;
    assert_eq!((log.level, log.traceback_level), (LogLevel::Warning, LogLevel::Debug));
    assert_eq!((log.format.as_str(), log.dateformat.as_deref()), ("%(message)s", Some("%H")));
    assert_eq!((log.mode, log.file_num, log.file_size, log.max_queue_size), (Some(0o600), 2, 100, 5));
    assert_eq!(log.loggers.into_iter().collect::<Vec<_>>(), [("a".to_owned(), LogLevel::Error)]);
    assert!(log.deduplicate_heartbeat_logs && !log.json);
    assert_eq!(checked(&with("")).log, tamada_model::LogConfig::default());
}

#[test]
fn log_as_json() {
    let pair = |name: &str, shown: &str| (name.to_owned(), shown.to_owned());
    let log = checked(&with("log: {type: json, format: [message, {levelname: level}], static_fields: {app: x}}\n")).log;
    assert_eq!(log.json_fields, [pair("message", "message"), pair("levelname", "level")]);
    assert_eq!(log.static_fields["app"], "x");
    let unset = checked(&with("log: {type: json}\n")).log;
    assert_eq!(
        unset.json_fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["asctime", "levelname", "message"]
    );
    let mixed = checked(&with("log: {format: [message]}\n"));
    assert_eq!(mixed.log.format, "%(asctime)s %(levelname)s: %(message)s");
    assert_eq!(mixed.adjustments, ["log.format is a list but log.type is plain; the default format is used"]);
}

#[test]
fn restapi() {
    let text = with("").replace(
        "connect_address: '10.0.0.1:8008'}",
        "certfile: c, keyfile: k, cafile: ca, verify_client: Required, allowlist: [a, 10.0.0.0/8], \
         http_extra_headers: {X: 1}, server_tokens: ProductOnly, authentication: {username: u, password: p}}",
    );
    let checked = checked(&text);
    let restapi = &checked.restapi;
    assert_eq!(restapi.connect_address, restapi.listen, "falls back to listen");
    assert_eq!(checked.me.api_url, "https://0.0.0.0:8008/patroni");
    assert_eq!(restapi.tls.cert.as_deref(), Some(Path::new("c")));
    assert_eq!((restapi.verify_client, restapi.server_tokens), (VerifyClient::Required, ServerTokens::ProductOnly));
    assert_eq!(restapi.allowlist, ["a", "10.0.0.0/8"]);
    assert_eq!(restapi.http_extra_headers, [("X".to_owned(), "1".to_owned())]);
    assert_eq!(restapi.request_queue_size, 5);
    let auth = restapi.authentication.as_ref().expect("set");
    assert_eq!((auth.username.as_str(), auth.password.expose()), ("u", "p"));
    assert_eq!(checked.ctl.authentication.as_ref(), Some(auth), "ctl falls back to restapi");
    assert_eq!(checked.ctl.tls.ca.as_deref(), Some(Path::new("ca")));
}

#[test]
fn ipv6_addresses_get_their_brackets_back() {
    let text = with("").replace("10.0.0.1:8008", "[fe80::1]:8008").replace("10.0.0.1:5432", "'[fe80::2]:5433'");
    let me = checked(&text).me;
    assert_eq!(me.api_url, "http://[fe80::1]:8008/patroni");
    assert_eq!(me.conn_url, "postgres://[fe80::2]:5433/postgres");
}

#[test]
fn postgresql_listens_and_is_reached() {
    let table = [
        ("'10.0.0.9,127.0.0.1:5433'", "10.0.0.9,127.0.0.1", "localhost", 5433),
        ("'*:5433'", "*", "localhost", 5433),
        ("10.0.0.9", "10.0.0.9", "10.0.0.9", 5432),
        ("'10.0.0.9, 10.0.0.8:1'", "10.0.0.9, 10.0.0.8", "10.0.0.9", 1),
    ];
    for (listen, addresses, host, port) in table {
        let text = with("").replace("  connect_address: 10.0.0.1:5432\n", "").replace("0.0.0.0:5432", listen);
        let postgres = checked(&text).postgres;
        assert_eq!((postgres.listen_addresses.as_str(), postgres.port), (addresses, port), "{listen}");
        assert_eq!(postgres.connect_address, (host.to_owned(), port), "{listen}");
    }
}

#[test]
fn postgresql_keys() {
    let postgres = checked(&with_postgresql(
        "config_dir: /etc/pg\nbin_dir: /bin\nbin_name: {postgres: pg15}\ncustom_conf: /c\nconfig_base_name: pg\n\
         database: app\nkrbsrvname: k\nuse_unix_socket_repl: on\nproxy_address: 10.0.0.2:6432\n\
         parameters_primary: {work_mem: 1MB}\npg_hba_replica: [r]\ncreate_replica_methods: [wal, basebackup]\n\
         wal: {command: c, no_leader: 1}\nbasebackup: {max-rate: 100M}\nrewind: [debug]\npre_promote: p\nbefore_stop: b\n",
    ));
    let config = &postgres.postgres;
    assert_eq!(config.config_dir.to_str(), Some("/etc/pg"));
    assert_eq!(config.bin_names["postgres"], "pg15");
    assert_eq!((config.config_base_name.as_str(), config.database.as_str()), ("pg", "app"));
    assert_eq!(config.role_parameters["primary"]["work_mem"], "1MB");
    assert_eq!(config.role_pg_hba["replica"], ["r"]);
    assert_eq!(config.create_replica_methods, ["wal", "basebackup"]);
    assert_eq!(config.methods.keys().collect::<Vec<_>>(), ["wal"]);
    assert_eq!(config.basebackup["max-rate"], "100M");
    assert_eq!(config.rewind_options[0], "debug");
    assert!(config.use_unix_socket_repl && !config.use_unix_socket);
    assert!(postgres.me.has_leaderless_method);
    assert_eq!(postgres.me.proxy_url.as_deref(), Some("postgres://10.0.0.2:6432/app"));
    assert!(!postgres.me.may_bootstrap);
}

#[test]
fn the_password_file_is_at_home() {
    let scene = Scene::new();
    let file = scene.file("a.yml", &with("").replace("  pgpass: /tmp/pgpass\n", ""));
    let local = tamada_config::load(Some(&file), variables(&[("HOME", "/home/postgres")])).expect("valid YAML");
    let checked = tamada_config::check(&local, None).expect("no complaint");
    assert_eq!(checked.postgres.pgpass.to_str(), Some("/home/postgres/pgpass"));
}

#[test]
fn users_are_reduced_to_what_libpq_may_be_given() {
    let text = with("").replace(
        "replication: {username: r}",
        "replication: {username: r, password: p, sslmode: require, options: '-c x', connect_timeout: 1, sslkey: ''}",
    );
    let user = checked(&text).postgres.replication;
    assert_eq!(user.password.expect("set").expose(), "p");
    assert_eq!(user.options.into_iter().collect::<Vec<_>>(), [("sslmode".to_owned(), "require".to_owned())]);
}

#[test]
fn bootstrap() {
    let text = "bootstrap: {method: pitr, pitr: {command: c, recovery_conf: {}}, initdb: [data-checksums], pg_hba: [x], \
                post_bootstrap: p, users: {}}\n";
    let bootstrap = checked(&with(text)).postgres.bootstrap;
    assert_eq!(bootstrap.method.expect("custom").0, "pitr");
    assert_eq!((bootstrap.pg_hba, bootstrap.post_bootstrap.as_deref()), (vec!["x".to_owned()], Some("p")));
    assert!(bootstrap.has_users);
    let without_command = checked(&with("bootstrap: {method: pitr, pitr: {}}\n")).postgres.bootstrap;
    assert_eq!(without_command.method, None, "no command: initdb");
}

#[test]
fn an_empty_bootstrap_section_still_allows_to_make_a_cluster() {
    assert!(checked(&with("bootstrap: {}\n")).me.may_bootstrap);
    assert!(!checked(&with("bootstrap:\n")).me.may_bootstrap, "nothing, not even an empty section");
}

#[test]
fn watchdog() {
    let table = [
        ("off", WatchdogMode::Off),
        ("'off'", WatchdogMode::Off),
        ("disabled", WatchdogMode::Off),
        ("required", WatchdogMode::Required),
        ("require", WatchdogMode::Required),
        ("auto", WatchdogMode::Automatic),
    ];
    for (text, mode) in table {
        assert_eq!(checked(&with(&format!("watchdog: {{mode: {text}}}\n"))).watchdog.mode, mode, "{text}");
    }
    let watchdog = checked(&with("watchdog: {safety_margin: -1, driver: testing, device: /x}\n")).watchdog;
    assert_eq!(watchdog.safety_margin_seconds, None);
    assert_eq!((watchdog.driver, watchdog.device.to_str()), (WatchdogDriver::Testing, Some("/x")));
    assert_eq!(checked(&with("")).watchdog, tamada_model::WatchdogConfig::default());
}

#[test]
fn guard() {
    let table = [
        ("off", GuardMode::Off),
        ("disabled", GuardMode::Off),
        ("automatic", GuardMode::Automatic),
        ("required", GuardMode::Required),
    ];
    for (text, mode) in table {
        assert_eq!(checked(&with(&format!("guard: {{mode: {text}}}\n"))).settings.guard, mode, "{text}");
    }
    assert_eq!(checked(&with("")).settings.guard, GuardMode::Automatic);
    assert_eq!(complaints(&with("guard: {mode: maybe}\n"), None).len(), 1);
    let scene = Scene::new();
    let file = scene.file("patroni.yml", &with(""));
    let local = tamada_config::load(Some(&file), variables(&[("PATRONI_GUARD_MODE", "required")])).expect("valid YAML");
    assert_eq!(tamada_config::check(&local, None).expect("complete").settings.guard, GuardMode::Required);
}

#[test]
fn tags_are_kept_as_written_and_contradictions_told() {
    let checked =
        checked(&with("tags: {nofailover: true, failover_priority: '1', nosync: false, sync_priority: 0, dc: x}\n"));
    assert_eq!(checked.me.tags.0["failover_priority"], "1");
    assert_eq!(checked.me.tags.0["dc"], "x");
    assert_eq!(
        checked.adjustments,
        [
            "Conflicting configuration between nofailover: True and failover_priority: 1. Defaulting to nofailover: True",
            "Conflicting configuration between nosync: False and sync_priority: 0. Defaulting to nosync: False",
        ]
    );
}
