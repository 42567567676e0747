//! The `postgresql` section (configuration.md 3.4–3.7).

use super::{Kind, Range, Row, both, local};

const SECONDS: Kind = Kind::Integer(Range::from(0));

pub(super) const ADDRESSES: &[Row] = &[
    both("postgresql", Kind::Section, "How this member's PostgreSQL is run.").required(),
    local("postgresql.listen", Kind::Listen { many: true }, "Addresses and port: `listen_addresses` and `port`.")
        .required()
        .postgres_restart()
        .env("PATRONI_POSTGRESQL_LISTEN"),
    local(
        "postgresql.connect_address",
        Kind::ConnectAddress { port: Some(5432) },
        "Address under which others reach this PostgreSQL.",
    )
    .required()
    .default("local address and port")
    .env("PATRONI_POSTGRESQL_CONNECT_ADDRESS"),
    local(
        "postgresql.proxy_address",
        Kind::ConnectAddress { port: Some(5432) },
        "Address of a pooler before this PostgreSQL; published.",
    )
    .env("PATRONI_POSTGRESQL_PROXY_ADDRESS"),
];

pub(super) const ROWS: &[Row] = &[
    local("postgresql.data_dir", Kind::DataDir, "Data directory.")
        .required()
        .restart()
        .env("PATRONI_POSTGRESQL_DATA_DIR"),
    local("postgresql.config_dir", Kind::Scalar, "Directory of the configuration files.")
        .restart()
        .default("postgresql.data_dir")
        .env("PATRONI_POSTGRESQL_CONFIG_DIR"),
    local("postgresql.pgpass", Kind::Scalar, "Password file that we write for libpq.")
        .restart()
        .default("~/pgpass")
        .env("PATRONI_POSTGRESQL_PGPASS"),
    both("postgresql.bin_name", Kind::Section, "Other names of PostgreSQL's programs.").restart(),
    both("postgresql.bin_name.pg_ctl", Kind::Binary, "Name of pg_ctl.").restart().env("PATRONI_POSTGRESQL_BIN_PG_CTL"),
    both("postgresql.bin_name.initdb", Kind::Binary, "Name of initdb.").restart().env("PATRONI_POSTGRESQL_BIN_INITDB"),
    both("postgresql.bin_name.pg_controldata", Kind::Binary, "Name of pg_controldata.")
        .restart()
        .env("PATRONI_POSTGRESQL_BIN_PG_CONTROLDATA"),
    both("postgresql.bin_name.pg_basebackup", Kind::Binary, "Name of pg_basebackup.")
        .restart()
        .env("PATRONI_POSTGRESQL_BIN_PG_BASEBACKUP"),
    both("postgresql.bin_name.postgres", Kind::Binary, "Name of postgres.")
        .restart()
        .env("PATRONI_POSTGRESQL_BIN_POSTGRES"),
    both("postgresql.bin_name.pg_isready", Kind::Binary, "Name of pg_isready.")
        .restart()
        .env("PATRONI_POSTGRESQL_BIN_PG_ISREADY"),
    both("postgresql.bin_name.pg_rewind", Kind::Binary, "Name of pg_rewind.")
        .restart()
        .env("PATRONI_POSTGRESQL_BIN_PG_REWIND"),
    both("postgresql.bin_dir", Kind::BinDir, "Directory of PostgreSQL's programs; empty: search `PATH`.")
        .restart()
        .env("PATRONI_POSTGRESQL_BIN_DIR"),
    both("postgresql.custom_conf", Kind::Scalar, "Configuration file to include instead of `postgresql.base.conf`."),
    both("postgresql.config_base_name", Kind::Scalar, "Name of the configuration file without `.conf`.")
        .restart()
        .default("postgresql"),
    both("postgresql.database", Kind::Scalar, "Database for our own connections.").restart().default("postgres"),
    both("postgresql.krbsrvname", Kind::Scalar, "Kerberos service name for connections."),
    both(
        "postgresql.parameters",
        Kind::Map,
        "Parameters of PostgreSQL; those that all members must share only in the store.",
    ),
    local("postgresql.parameters.unix_socket_directories", Kind::Text, "Directories of the Unix socket.")
        .postgres_restart(),
    both("postgresql.parameters_primary", Kind::Map, "Parameters while primary."),
    both("postgresql.parameters_replica", Kind::Map, "Parameters while replica."),
    both("postgresql.parameters_standby_leader", Kind::Map, "Parameters while standby leader."),
    both("postgresql.pg_hba", Kind::Texts, "Lines of pg_hba.conf; without them the file is left alone."),
    both("postgresql.pg_hba_primary", Kind::Texts, "Lines of pg_hba.conf while primary."),
    both("postgresql.pg_hba_replica", Kind::Texts, "Lines of pg_hba.conf while replica."),
    both("postgresql.pg_hba_standby_leader", Kind::Texts, "Lines of pg_hba.conf while standby leader."),
    both("postgresql.pg_ident", Kind::Texts, "Lines of pg_ident.conf; without them the file is left alone."),
    both("postgresql.pg_ident_primary", Kind::Texts, "Lines of pg_ident.conf while primary."),
    both("postgresql.pg_ident_replica", Kind::Texts, "Lines of pg_ident.conf while replica."),
    both("postgresql.pg_ident_standby_leader", Kind::Texts, "Lines of pg_ident.conf while standby leader."),
    both("postgresql.recovery_conf", Kind::Map, "Further recovery settings of a replica, such as `restore_command`."),
    both("postgresql.create_replica_methods", Kind::Names, "Ways to make a replica, tried in order.")
        .default("[basebackup]"),
    both("postgresql.create_replica_method", Kind::Names, "Old name of `create_replica_methods`."),
    both("postgresql.basebackup", Kind::Options, "Options of pg_basebackup."),
    both("postgresql.callbacks", Kind::Section, "Commands to run after events, with action, role and scope."),
    both("postgresql.callbacks.on_start", Kind::Scalar, "After PostgreSQL has started."),
    both("postgresql.callbacks.on_stop", Kind::Scalar, "After PostgreSQL has stopped."),
    both("postgresql.callbacks.on_restart", Kind::Scalar, "After PostgreSQL has restarted."),
    both("postgresql.callbacks.on_reload", Kind::Scalar, "After PostgreSQL has read its configuration again."),
    both("postgresql.callbacks.on_role_change", Kind::Scalar, "After the role has changed."),
    both("postgresql.pre_promote", Kind::Scalar, "Command before a promotion; if it fails, the lock is released."),
    both("postgresql.before_stop", Kind::Scalar, "Command before PostgreSQL is stopped."),
    both("postgresql.pg_ctl_timeout", SECONDS, "Seconds to wait for start, stop and promotion.").default("60"),
    both("postgresql.use_pg_rewind", Kind::Bool, "Bring back a diverged member by pg_rewind.").default("false"),
    both("postgresql.rewind", Kind::Options, "Options of pg_rewind."),
    both("postgresql.remove_data_directory_on_rewind_failure", Kind::Truth, "Copy anew when pg_rewind fails.")
        .default("false"),
    both(
        "postgresql.remove_data_directory_on_diverged_timelines",
        Kind::Truth,
        "Copy anew when the member has diverged and pg_rewind is not used.",
    )
    .default("false"),
    both("postgresql.use_unix_socket", Kind::Truth, "Connect to the own PostgreSQL by its Unix socket.")
        .default("false"),
    both("postgresql.use_unix_socket_repl", Kind::Truth, "The same for replication connections.").default("false"),
    both("postgresql.<method>", Kind::Section, "A custom way to make a replica."),
    both("postgresql.<method>.command", Kind::Scalar, "Command, with its arguments.").default("the name of the method"),
    both("postgresql.<method>.keep_data", Kind::Truth, "Leave the data directory before and after a failure.")
        .default("false"),
    both("postgresql.<method>.no_params", Kind::Truth, "Do not add the four standard arguments.").default("false"),
    both("postgresql.<method>.no_leader", Kind::Truth, "Works without a running member.").default("false"),
];

macro_rules! user {
    ($user:literal, $env:literal, $help:literal, $($refine:ident),*) => {
        [
            local(concat!("postgresql.authentication.", $user), Kind::Section, $help)$(.$refine())*,
            user!(name $user, $env).required(),
            user!(key $user, $env, "password", "PASSWORD", Kind::Secret, "Password."),
            user!(key $user, $env, "sslmode", "SSLMODE", Kind::Scalar, "Whether TLS is used."),
            user!(key $user, $env, "sslcert", "SSLCERT", Kind::Scalar, "Client certificate."),
            user!(key $user, $env, "sslkey", "SSLKEY", Kind::Scalar, "Its key."),
            user!(key $user, $env, "sslpassword", "SSLPASSWORD", Kind::Secret, "Password of that key; PostgreSQL 13."),
            user!(key $user, $env, "sslrootcert", "SSLROOTCERT", Kind::Scalar, "Certificate authorities."),
            user!(key $user, $env, "sslcrl", "SSLCRL", Kind::Scalar, "Revoked certificates."),
            user!(key $user, $env, "sslcrldir", "SSLCRLDIR", Kind::Scalar, "Directory of them; PostgreSQL 14."),
            user!(key $user, $env, "gssencmode", "GSSENCMODE", Kind::Scalar, "Whether GSS encrypts; PostgreSQL 12."),
            user!(key $user, $env, "channel_binding", "CHANNEL_BINDING", Kind::Scalar, "PostgreSQL 13."),
            user!(key $user, $env, "sslnegotiation", "SSLNEGOTIATION", Kind::Scalar, "PostgreSQL 17."),
        ]
    };
    (name $user:literal, $env:literal) => {
        user!(key $user, $env, "username", "USERNAME", Kind::Text, "User name.")
    };
    (key $user:literal, $env:literal, $key:literal, $suffix:literal, $kind:expr, $help:literal) => {
        local(concat!("postgresql.authentication.", $user, ".", $key), $kind, $help)
            .env(concat!("PATRONI_", $env, "_", $suffix))
    };
}

const REPLICATION: [Row; 13] = user!("replication", "REPLICATION", "Who streams and copies.", required);
const SUPERUSER: [Row; 13] = user!("superuser", "SUPERUSER", "Who manages PostgreSQL.", required);
const REWIND: [Row; 13] = user!("rewind", "REWIND", "Who runs pg_rewind; without it the superuser.",);

pub(super) const AUTHENTICATION: &[Row] = &{
    let section = local("postgresql.authentication", Kind::Section, "How we log in to PostgreSQL.").required();
    let mut rows = [section; 40];
    let mut at = 0;
    while at < 13 {
        rows[1 + at] = REPLICATION[at];
        rows[14 + at] = SUPERUSER[at];
        rows[27 + at] = REWIND[at];
        at += 1;
    }
    rows
};
