//! How this member's PostgreSQL is run: the `postgresql` and `bootstrap` sections (configuration.md 2.3, 3.4–3.7).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tamada_model::document::{scalar_text, truthy};
use tamada_model::{BootstrapConfig, Credentials, Document, MemberName, PostgresConfig, Secret, Settings};

use crate::address::hosts_and_port;
use crate::controlled;
use crate::environment::Environment;
use crate::path::{at, file, flag, integer, section, text, texts};

const DEFAULT_PORT: u16 = 5432;
const ROLES: [&str; 3] = ["primary", "replica", "standby_leader"];

pub fn postgres(
    effective: &Document,
    settings: &Settings,
    environment: &Environment,
    adjustments: &mut Vec<String>,
) -> PostgresConfig {
    let of = |key: &str| format!("postgresql.{key}");
    let listen = text(effective, "postgresql.listen").unwrap_or_default();
    let (listen_addresses, port) = hosts_and_port(&listen, Some(DEFAULT_PORT)).unwrap_or_default();
    let connect_address = text(effective, "postgresql.connect_address")
        .and_then(|address| hosts_and_port(&address, Some(DEFAULT_PORT)))
        .unwrap_or_else(|| (local_host(&listen_addresses), port));
    let data_dir = file(effective, "postgresql.data_dir").unwrap_or_default();
    let create_replica_methods = texts(effective, "postgresql.create_replica_methods")
        .filter(|methods| !methods.is_empty())
        .unwrap_or_else(|| vec!["basebackup".to_owned()]);
    PostgresConfig {
        name: MemberName::new(text(effective, "name").unwrap_or_default()),
        scope: text(effective, "scope").unwrap_or_default(),
        listen_addresses,
        port,
        connect_address,
        config_dir: file(effective, "postgresql.config_dir").unwrap_or_else(|| data_dir.clone()),
        data_dir,
        config_base_name: text(effective, "postgresql.config_base_name").unwrap_or_else(|| "postgresql".to_owned()),
        custom_conf: file(effective, "postgresql.custom_conf"),
        bin_dir: file(effective, "postgresql.bin_dir").unwrap_or_default(),
        bin_names: commands(effective, "postgresql.bin_name"),
        pgpass: file(effective, "postgresql.pgpass").unwrap_or_else(|| home(environment).join("pgpass")),
        database: text(effective, "postgresql.database").unwrap_or_else(|| "postgres".to_owned()),
        krbsrvname: text(effective, "postgresql.krbsrvname"),
        superuser: credentials(effective, "superuser").unwrap_or_default(),
        replication: credentials(effective, "replication").unwrap_or_default(),
        rewind: credentials(effective, "rewind"),
        use_unix_socket: flag(effective, "postgresql.use_unix_socket"),
        use_unix_socket_repl: flag(effective, "postgresql.use_unix_socket_repl"),
        use_slots: settings.use_slots,
        use_pg_rewind: settings.use_pg_rewind,
        parameters: section(effective, "postgresql.parameters").cloned().unwrap_or_default(),
        role_parameters: role_parameters(effective, adjustments),
        pg_hba: texts(effective, "postgresql.pg_hba"),
        role_pg_hba: by_role(|role| texts(effective, &of(&format!("pg_hba_{role}")))),
        pg_ident: texts(effective, "postgresql.pg_ident"),
        role_pg_ident: by_role(|role| texts(effective, &of(&format!("pg_ident_{role}")))),
        recovery_conf: section(effective, "postgresql.recovery_conf").cloned().unwrap_or_default(),
        methods: methods(effective, &create_replica_methods, settings),
        create_replica_methods,
        basebackup: at(effective, "postgresql.basebackup").cloned().unwrap_or_default(),
        rewind_options: at(effective, "postgresql.rewind").cloned().unwrap_or_default(),
        callbacks: commands(effective, "postgresql.callbacks"),
        pre_promote: text(effective, "postgresql.pre_promote"),
        before_stop: text(effective, "postgresql.before_stop"),
        pg_ctl_timeout: integer(effective, "postgresql.pg_ctl_timeout", None)
            .map_or(Duration::from_secs(60), |seconds| Duration::from_secs(seconds.max(0) as u64)),
        retry_timeout: settings.retry_timeout,
        synchronous_mode: settings.synchronous_mode,
        bootstrap: bootstrap(effective),
    }
}

/// The host under which we reach our own PostgreSQL (postgres.md 2.1).
fn local_host(listen_addresses: &str) -> String {
    let mut hosts = listen_addresses.split(',').map(str::trim);
    let is_local = |host: &str| ["*", "localhost", "0.0.0.0", "127.0.0.1"].contains(&host.to_lowercase().as_str());
    if hosts.clone().any(is_local) {
        return "localhost".to_owned();
    }
    hosts.next().unwrap_or_default().to_owned()
}

fn home(environment: &Environment) -> PathBuf {
    environment.get("HOME").map(PathBuf::from).unwrap_or_default()
}

fn by_role<T>(of: impl Fn(&str) -> Option<T>) -> BTreeMap<String, T> {
    ROLES.iter().filter_map(|role| Some(((*role).to_owned(), of(role)?))).collect()
}

/// Overlays by role, without the parameters that all members must share in every role.
fn role_parameters(effective: &Document, adjustments: &mut Vec<String>) -> BTreeMap<String, Document> {
    let mut overlays = by_role(|role| section(effective, &format!("postgresql.parameters_{role}")).cloned());
    for (role, parameters) in &mut overlays {
        parameters.retain(|name, _| {
            let is_shared = controlled::find(name).is_some();
            if is_shared {
                adjustments
                    .push(format!("postgresql.parameters_{role}.{name} is ignored, it can't depend on the role"));
            }
            !is_shared
        });
    }
    overlays
}

/// A mapping of name to non-empty text.
fn commands(effective: &Document, path: &str) -> BTreeMap<String, String> {
    let all = section(effective, path).into_iter().flatten();
    all.filter(|(_, value)| truthy(value)).map(|(name, value)| (name.clone(), scalar_text(value))).collect()
}

/// Keys that libpq may be given; anything else is dropped, so that no options or timeouts slip in (configuration.md 3.6).
const CONNECTION_OPTIONS: [&str; 10] = [
    "sslmode",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslrootcert",
    "sslcrl",
    "sslcrldir",
    "gssencmode",
    "channel_binding",
    "sslnegotiation",
];

fn credentials(effective: &Document, user: &str) -> Option<Credentials> {
    let given = section(effective, &format!("postgresql.authentication.{user}"))?;
    let option = |key: &&str| Some(((*key).to_owned(), text(given, key)?));
    Some(Credentials {
        username: text(given, "username"),
        password: text(given, "password").map(Secret::new),
        options: CONNECTION_OPTIONS.iter().filter_map(option).collect(),
    })
}

/// The sections of all custom methods that may be used, here or for a standby cluster.
fn methods(effective: &Document, own: &[String], settings: &Settings) -> BTreeMap<String, Document> {
    let remote = settings.standby_cluster.iter().filter_map(|remote| remote.create_replica_methods.as_ref()).flatten();
    let custom = own.iter().chain(remote).filter(|method| *method != "basebackup");
    let settings_of =
        |method: &String| section(effective, &format!("postgresql.{method}")).cloned().unwrap_or_default();
    custom.map(|method| (method.clone(), settings_of(method))).collect()
}

fn bootstrap(effective: &Document) -> BootstrapConfig {
    let method = text(effective, "bootstrap.method").filter(|method| method != "initdb").and_then(|method| {
        let settings = section(effective, &format!("bootstrap.{method}"))?;
        text(settings, "command").is_some().then(|| (method, settings.clone()))
    });
    BootstrapConfig {
        method,
        initdb: at(effective, "bootstrap.initdb").cloned().unwrap_or(Value::Null),
        pg_hba: texts(effective, "bootstrap.pg_hba").unwrap_or_default(),
        post_bootstrap: text(effective, "bootstrap.post_bootstrap"),
        has_users: at(effective, "bootstrap.users").is_some(),
    }
}
