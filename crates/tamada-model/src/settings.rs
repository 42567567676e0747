//! Checked settings. `tamada-config` makes them from files, environment and the store's `/config`; nobody else
//! validates.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Document, MemberName, RemoteMember, Secret, Tags, WalBytes};

/// Who we are; fixed for the life of the process, except tags and addresses, which follow a reload.
#[derive(Clone, PartialEq, Debug)]
pub struct Me {
    pub name: MemberName,
    pub scope: String,
    /// As configured, unfiltered.
    pub tags: Tags,
    pub conn_url: String,
    pub api_url: String,
    pub proxy_url: Option<String>,
    /// The configuration has a `bootstrap` section: we may create a cluster (ha-loop.md 7.1).
    pub may_bootstrap: bool,
    /// A replica method works without a running member (7.1 row 5).
    pub has_leaderless_method: bool,
}

/// The settings that decisions depend on (ha-loop.md 1.8), from the dynamic configuration and the local one.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    pub ttl: Duration,
    pub loop_wait: Duration,
    pub retry_timeout: Duration,
    pub maximum_lag_on_failover: WalBytes,
    pub maximum_lag_on_syncnode: i64,
    pub primary_start_timeout: Duration,
    /// Zero: none.
    pub primary_stop_timeout: Duration,
    pub primary_race_backoff: Duration,
    pub check_timeline: bool,
    /// Zero: unlimited.
    pub max_timelines_history: usize,
    pub pause: bool,
    pub synchronous_mode: SynchronousMode,
    pub synchronous_mode_strict: bool,
    pub synchronous_node_count: u32,
    pub failsafe_mode: bool,
    pub member_slots_ttl: Duration,
    pub standby_cluster: Option<RemoteMember>,
    pub use_slots: bool,
    pub use_pg_rewind: bool,
    pub remove_data_directory_on_rewind_failure: bool,
    pub remove_data_directory_on_diverged_timelines: bool,
    /// Permanent slots by name, and matchers of slots to leave alone (postgres.md 15.5, 15.7).
    pub permanent_slots: BTreeMap<String, PermanentSlot>,
    pub ignore_slots: Vec<Document>,
    /// Of this member alone: whether it may lead without a guard.
    pub guard: GuardMode,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(30),
            loop_wait: Duration::from_secs(10),
            retry_timeout: Duration::from_secs(10),
            maximum_lag_on_failover: WalBytes::new(1_048_576),
            maximum_lag_on_syncnode: -1,
            primary_start_timeout: Duration::from_secs(300),
            primary_stop_timeout: Duration::ZERO,
            primary_race_backoff: Duration::ZERO,
            check_timeline: false,
            max_timelines_history: 0,
            pause: false,
            synchronous_mode: SynchronousMode::Off,
            synchronous_mode_strict: false,
            synchronous_node_count: 1,
            failsafe_mode: false,
            member_slots_ttl: Duration::from_secs(1800),
            standby_cluster: None,
            use_slots: true,
            use_pg_rewind: false,
            remove_data_directory_on_rewind_failure: false,
            remove_data_directory_on_diverged_timelines: false,
            permanent_slots: BTreeMap::new(),
            ignore_slots: Vec::new(),
            guard: GuardMode::Automatic,
        }
    }
}

/// Whether a second process is to stop PostgreSQL when its lease ends and the agent is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GuardMode {
    Off,
    /// Where there can be one.
    #[default]
    Automatic,
    /// Who has none does not lead.
    Required,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SynchronousMode {
    #[default]
    Off,
    On,
    Quorum,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PermanentSlot {
    Physical { cluster_type: Option<String> },
    Logical { database: String, plugin: String },
}

/// How this member's PostgreSQL is run: the `postgresql` and `bootstrap` sections, local over dynamic
/// (configuration.md 3.4–3.7, 2.3).
#[derive(Clone, PartialEq, Debug)]
pub struct PostgresConfig {
    pub name: MemberName,
    pub scope: String,
    pub listen_addresses: String,
    pub port: u16,
    /// Published host and port.
    pub connect_address: (String, u16),
    pub data_dir: PathBuf,
    pub config_dir: PathBuf,
    pub config_base_name: String,
    pub custom_conf: Option<PathBuf>,
    /// Empty: search `PATH`.
    pub bin_dir: PathBuf,
    /// Tool → replaced name.
    pub bin_names: BTreeMap<String, String>,
    pub pgpass: PathBuf,
    pub database: String,
    pub krbsrvname: Option<String>,
    pub superuser: Credentials,
    pub replication: Credentials,
    pub rewind: Option<Credentials>,
    pub use_unix_socket: bool,
    pub use_unix_socket_repl: bool,
    pub use_slots: bool,
    pub use_pg_rewind: bool,
    /// Wanted parameters: dynamic overlaid by local, controlled ones only from the dynamic configuration
    /// (postgres.md 5.1, 5.2); values as configured.
    pub parameters: Document,
    /// Overlays by role class: `primary`, `replica`, `standby_leader`.
    pub role_parameters: BTreeMap<String, Document>,
    pub pg_hba: Option<Vec<String>>,
    pub role_pg_hba: BTreeMap<String, Vec<String>>,
    pub pg_ident: Option<Vec<String>>,
    pub role_pg_ident: BTreeMap<String, Vec<String>>,
    pub recovery_conf: Document,
    pub create_replica_methods: Vec<String>,
    /// Sections of custom replica methods, by name.
    pub methods: BTreeMap<String, Document>,
    /// List or map of options, as configured.
    pub basebackup: serde_json::Value,
    pub rewind_options: serde_json::Value,
    /// `on_start` … → command.
    pub callbacks: BTreeMap<String, String>,
    pub pre_promote: Option<String>,
    pub before_stop: Option<String>,
    pub pg_ctl_timeout: Duration,
    pub retry_timeout: Duration,
    pub synchronous_mode: SynchronousMode,
    pub bootstrap: BootstrapConfig,
}

/// The `bootstrap` section without its `dcs` part.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct BootstrapConfig {
    /// Name of a custom method whose section has a `command`; `None`: initdb.
    pub method: Option<(String, Document)>,
    pub initdb: serde_json::Value,
    pub pg_hba: Vec<String>,
    pub post_bootstrap: Option<String>,
    /// The unsupported `users` key is present: log an error line (postgres.md 12.5).
    pub has_users: bool,
}

/// One of `authentication.superuser|replication|rewind`, reduced to the allowed keys (postgres.md 14.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Credentials {
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// sslmode, sslcert, … in the order of the DSN.
    pub options: BTreeMap<String, String>,
}

/// The `restapi` section.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RestApiConfig {
    /// Host (empty or `*`: all interfaces) and port.
    pub listen: (String, u16),
    pub connect_address: (String, u16),
    pub authentication: Option<BasicAuth>,
    /// As configured: networks, addresses or host names. Empty: everybody.
    pub allowlist: Vec<String>,
    pub allowlist_include_members: bool,
    pub http_extra_headers: Vec<(String, String)>,
    pub https_extra_headers: Vec<(String, String)>,
    pub request_queue_size: u32,
    pub server_tokens: ServerTokens,
    pub tls: TlsFiles,
    pub keyfile_password: Option<Secret>,
    pub ciphers: Option<String>,
    pub verify_client: VerifyClient,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BasicAuth {
    pub username: String,
    pub password: Secret,
}

/// Certificate files; empty where not configured.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsFiles {
    pub cert: Option<PathBuf>,
    /// `None`: inside the certificate file.
    pub key: Option<PathBuf>,
    pub ca: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ServerTokens {
    #[default]
    Original,
    ProductOnly,
    Minimal,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum VerifyClient {
    #[default]
    None,
    Optional,
    Required,
}

/// The `ctl` section: how our own HTTP client talks to members' REST APIs.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CtlConfig {
    /// `ctl.authentication`, else `restapi.authentication`.
    pub authentication: Option<BasicAuth>,
    pub insecure: bool,
    pub tls: TlsFiles,
    pub keyfile_password: Option<Secret>,
}

/// The `log` section.
#[derive(Clone, PartialEq, Debug)]
pub struct LogConfig {
    pub json: bool,
    pub level: LogLevel,
    pub traceback_level: LogLevel,
    /// `%(asctime)s %(levelname)s: %(message)s`; for json the list of (field, name to show).
    pub format: String,
    pub json_fields: Vec<(String, String)>,
    pub dateformat: Option<String>,
    pub static_fields: Document,
    pub dir: Option<PathBuf>,
    pub mode: Option<u32>,
    pub file_num: u32,
    pub file_size: u64,
    /// Logger name → level.
    pub loggers: BTreeMap<String, LogLevel>,
    pub deduplicate_heartbeat_logs: bool,
    pub max_queue_size: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            json: false,
            level: LogLevel::Info,
            traceback_level: LogLevel::Error,
            format: "%(asctime)s %(levelname)s: %(message)s".into(),
            json_fields: Vec::new(),
            dateformat: None,
            static_fields: Document::new(),
            dir: None,
            mode: None,
            file_num: 4,
            file_size: 25_000_000,
            loggers: BTreeMap::new(),
            deduplicate_heartbeat_logs: false,
            max_queue_size: 1000,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

/// Which store holds the cluster's keys, and how to reach it (configuration.md 3.3).
#[derive(Clone, PartialEq, Debug)]
pub enum StoreConfig {
    Etcd3(Etcd3Config),
    Raft(RaftConfig),
}

impl StoreConfig {
    /// As the log calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Etcd3(_) => "etcd",
            Self::Raft(_) => "raft",
        }
    }
}

/// The `etcd3` section.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Etcd3Config {
    pub endpoints: EtcdEndpoints,
    /// No topology discovery: talk to the given endpoints only (`use_proxies`, `proxy`).
    pub fixed_endpoints: bool,
    pub https: bool,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub tls: TlsFiles,
}

/// Where to find etcd, in the order of precedence of configuration.md 3.3.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EtcdEndpoints {
    /// Domain and optional suffix of the SRV records; tried first.
    pub srv: Option<(String, Option<String>)>,
    /// Host and port of each configured node.
    pub hosts: Vec<(String, u16)>,
}

/// The `raft` section: the embedded store. Addresses are `host:port`, with brackets around IPv6.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RaftConfig {
    /// Our own voter; `None`: we only ask the others.
    pub voter: Option<RaftVoter>,
    /// The other voters, each once.
    pub partners: Vec<String>,
    pub password: Option<Secret>,
    pub tls: TlsFiles,
    /// Where etcd's protocol is spoken, `*` for all addresses of this host; `None`: nowhere.
    pub etcd_addr: Option<String>,
}

/// A voter of the embedded store, and where it keeps what it must not forget.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RaftVoter {
    /// Where the others reach it.
    pub self_addr: String,
    /// Where it listens, if that differs; `*` for all addresses of this host.
    pub bind_addr: Option<String>,
    pub data_dir: PathBuf,
}

impl RaftConfig {
    /// Every voter that the configuration names, our own first.
    pub fn voters(&self) -> Vec<String> {
        self.voter.iter().map(|voter| &voter.self_addr).chain(&self.partners).cloned().collect()
    }
}

/// What every store needs to know besides its own section.
#[derive(Clone, PartialEq, Debug)]
pub struct StoreScope {
    /// `/service/batman` – without trailing slash.
    pub base: String,
    pub name: MemberName,
    pub ttl: Duration,
    pub loop_wait: Duration,
    pub retry_timeout: Duration,
}

/// The `watchdog` section (configuration.md 2.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchdogConfig {
    pub mode: WatchdogMode,
    pub device: PathBuf,
    /// Seconds between the watchdog's timeout and the end of the lease; `None`: the timeout is half the ttl.
    pub safety_margin_seconds: Option<u32>,
    pub driver: WatchdogDriver,
}

impl Default for WatchdogConfig {
    fn default() -> Self {
        Self {
            mode: WatchdogMode::Automatic,
            device: PathBuf::from("/dev/watchdog"),
            safety_margin_seconds: Some(5),
            driver: WatchdogDriver::Default,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WatchdogMode {
    Off,
    #[default]
    Automatic,
    Required,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WatchdogDriver {
    #[default]
    Default,
    Testing,
}
