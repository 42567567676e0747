//! A plain configuration for unit tests.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tamada_model::{BootstrapConfig, Credentials, Document, PostgresConfig, SynchronousMode};

pub(crate) fn config() -> PostgresConfig {
    PostgresConfig {
        name: "a".into(),
        scope: "batman".into(),
        listen_addresses: "127.0.0.1".into(),
        port: 5432,
        connect_address: ("127.0.0.1".into(), 5432),
        data_dir: PathBuf::from("/data"),
        config_dir: PathBuf::from("/data"),
        config_base_name: "postgresql".into(),
        custom_conf: None,
        bin_dir: PathBuf::new(),
        bin_names: Default::default(),
        pgpass: PathBuf::from("/tmp/pgpass"),
        database: "postgres".into(),
        krbsrvname: None,
        superuser: Credentials::default(),
        replication: Credentials::default(),
        rewind: None,
        use_unix_socket: false,
        use_unix_socket_repl: false,
        use_slots: true,
        use_pg_rewind: false,
        parameters: Document::new(),
        role_parameters: Default::default(),
        pg_hba: None,
        role_pg_hba: Default::default(),
        pg_ident: None,
        role_pg_ident: Default::default(),
        recovery_conf: Document::new(),
        create_replica_methods: vec!["basebackup".into()],
        methods: Default::default(),
        basebackup: Value::Null,
        rewind_options: Value::Null,
        callbacks: Default::default(),
        pre_promote: None,
        before_stop: None,
        pg_ctl_timeout: Duration::from_secs(60),
        retry_timeout: Duration::from_secs(10),
        synchronous_mode: SynchronousMode::Off,
        bootstrap: BootstrapConfig::default(),
    }
}
