//! Parameters of one member, apart from the store and PostgreSQL (configuration.md 2, 3.1, 3.2).

use super::{Case, Kind, Range, Row, local};

const LEVELS: Kind = Kind::Choice(&["DEBUG", "INFO", "WARN", "WARNING", "ERROR", "FATAL", "CRITICAL"], Case::Exact);
const THREADS: Kind = Kind::Integer(Range::from(5).typed());
const ANY_INTEGER: Kind = Kind::Integer(Range::ANY.typed());

pub(super) const ROOT: &[Row] = &[
    local("name", Kind::Text, "Name of this member; unique in its cluster.").required().restart().env("PATRONI_NAME"),
    local("scope", Kind::Text, "Name of the cluster; also the parameter `cluster_name`.")
        .required()
        .restart()
        .env("PATRONI_SCOPE"),
    local("namespace", Kind::Scalar, "First part of the keys in the store.")
        .restart()
        .default("service")
        .env("PATRONI_NAMESPACE"),
    local("thread_pool_size", THREADS, "Accepted for compatibility; there is no thread pool.")
        .restart()
        .default("5")
        .env("PATRONI_THREAD_POOL_SIZE"),
    local(
        "thread_stack_size",
        Kind::Integer(Range::from(65536).unit("B").typed().multiple_of(65536)),
        "Accepted for compatibility; there is no thread pool.",
    )
    .restart()
    .default("524288")
    .env("PATRONI_THREAD_STACK_SIZE"),
];

pub(super) const LOG: &[Row] = &[
    local("log", Kind::Section, "Where log lines go and how they look."),
    local("log.type", Kind::Choice(&["plain", "json"], Case::Exact), "Lines of text, or one JSON object per line.")
        .default("plain")
        .env("PATRONI_LOG_TYPE"),
    local("log.level", LEVELS, "Least level that is written.").default("INFO").env("PATRONI_LOG_LEVEL"),
    local(
        "log.traceback_level",
        Kind::Choice(&["DEBUG", "ERROR"], Case::Any),
        "`DEBUG`: chains of causes are shown only when the level is DEBUG.",
    )
    .default("ERROR")
    .env("PATRONI_LOG_TRACEBACK_LEVEL"),
    local("log.format", Kind::LogFormat, "Pattern of a line, or for `json` a list of fields and `{field: name}`.")
        .default("%(asctime)s %(levelname)s: %(message)s")
        .env("PATRONI_LOG_FORMAT"),
    local("log.dateformat", Kind::Text, "strftime pattern of `asctime`.")
        .default("%Y-%m-%d %H:%M:%S,mmm")
        .env("PATRONI_LOG_DATEFORMAT"),
    local("log.static_fields", Kind::Map, "Fields added to every JSON line.")
        .default("{}")
        .env("PATRONI_LOG_STATIC_FIELDS"),
    local("log.max_queue_size", ANY_INTEGER, "Lines that may wait to be written.")
        .default("1000")
        .env("PATRONI_LOG_MAX_QUEUE_SIZE"),
    local("log.dir", Kind::Text, "Directory of `patroni.log`; without it lines go to standard error.")
        .env("PATRONI_LOG_DIR"),
    local("log.file_num", ANY_INTEGER, "Old log files that are kept.").default("4").env("PATRONI_LOG_FILE_NUM"),
    local("log.file_size", ANY_INTEGER, "Bytes after which a new log file begins.")
        .default("25000000")
        .env("PATRONI_LOG_FILE_SIZE"),
    local("log.mode", Kind::Integer(Range::from(0).to(0o777).typed()), "Permissions of log files, in octal.")
        .default("0666 without the umask")
        .env("PATRONI_LOG_MODE"),
    local("log.loggers", Kind::Map, "Levels of single parts: name and level.").default("{}").env("PATRONI_LOG_LOGGERS"),
    local("log.deduplicate_heartbeat_logs", Kind::Bool, "Write the sentence of a cycle only when it changes.")
        .default("false")
        .env("PATRONI_LOG_DEDUPLICATE_HEARTBEAT_LOGS"),
];

pub(super) const CTL: &[Row] = &[
    local("ctl", Kind::Section, "How we talk to the REST API of members."),
    local("ctl.insecure", Kind::Bool, "Do not verify the certificates of members.")
        .default("false")
        .env("PATRONI_CTL_INSECURE"),
    local("ctl.cacert", Kind::Text, "File of certificate authorities.")
        .default("restapi.cafile")
        .env("PATRONI_CTL_CACERT"),
    local("ctl.certfile", Kind::Text, "Client certificate.").env("PATRONI_CTL_CERTFILE"),
    local("ctl.keyfile", Kind::Text, "Key of the client certificate.").env("PATRONI_CTL_KEYFILE"),
    local("ctl.keyfile_password", Kind::Secret, "Password of that key.").env("PATRONI_CTL_KEYFILE_PASSWORD"),
    local("ctl.authentication", Kind::Section, "Whom we claim to be; both keys or none.")
        .default("restapi.authentication"),
    local("ctl.authentication.username", Kind::Scalar, "User name.").env("PATRONI_CTL_USERNAME"),
    local("ctl.authentication.password", Kind::Secret, "Password.").env("PATRONI_CTL_PASSWORD"),
];

pub(super) const RESTAPI: &[Row] = &[
    local("restapi", Kind::Section, "The REST API of this member.").required(),
    local("restapi.thread_pool_size", THREADS, "Accepted for compatibility; there is no thread pool.")
        .restart()
        .default("5")
        .env("PATRONI_RESTAPI_THREAD_POOL_SIZE"),
    local("restapi.listen", Kind::Listen { many: false }, "Address to listen on; an empty host or `*` is all of them.")
        .required()
        .env("PATRONI_RESTAPI_LISTEN"),
    local("restapi.connect_address", Kind::ConnectAddress { port: None }, "Address under which others reach this API.")
        .required()
        .default("restapi.listen")
        .env("PATRONI_RESTAPI_CONNECT_ADDRESS"),
    local("restapi.authentication", Kind::Section, "Who may change things; both keys or none."),
    local("restapi.authentication.username", Kind::Text, "User name.").required().env("PATRONI_RESTAPI_USERNAME"),
    local("restapi.authentication.password", Kind::Secret, "Password.").required().env("PATRONI_RESTAPI_PASSWORD"),
    local("restapi.certfile", Kind::Text, "Certificate; with it the API speaks TLS.").env("PATRONI_RESTAPI_CERTFILE"),
    local("restapi.keyfile", Kind::Text, "Key of the certificate, unless it is in the same file.")
        .env("PATRONI_RESTAPI_KEYFILE"),
    local("restapi.keyfile_password", Kind::Secret, "Password of that key.").env("PATRONI_RESTAPI_KEYFILE_PASSWORD"),
    local("restapi.cafile", Kind::Text, "Certificate authorities of clients.").env("PATRONI_RESTAPI_CAFILE"),
    local("restapi.ciphers", Kind::Text, "Cipher suites that are allowed.").env("PATRONI_RESTAPI_CIPHERS"),
    local(
        "restapi.verify_client",
        Kind::Choice(&["none", "optional", "required"], Case::Exact),
        "Which requests need a client certificate: none, changing ones, all.",
    )
    .default("none")
    .env("PATRONI_RESTAPI_VERIFY_CLIENT"),
    local("restapi.allowlist", Kind::Texts, "Hosts and networks that may change things; empty: everybody.")
        .default("[]")
        .env("PATRONI_RESTAPI_ALLOWLIST"),
    local("restapi.allowlist_include_members", Kind::Bool, "Members may, too.")
        .default("false")
        .env("PATRONI_RESTAPI_ALLOWLIST_INCLUDE_MEMBERS"),
    local("restapi.http_extra_headers", Kind::Map, "Headers added to every answer.")
        .default("{}")
        .env("PATRONI_RESTAPI_HTTP_EXTRA_HEADERS"),
    local("restapi.https_extra_headers", Kind::Map, "Headers added when the API speaks TLS.")
        .default("{}")
        .env("PATRONI_RESTAPI_HTTPS_EXTRA_HEADERS"),
    local(
        "restapi.request_queue_size",
        Kind::Integer(Range::from(0).to(4096).typed()),
        "Connections that may wait to be accepted.",
    )
    .restart()
    .default("5")
    .env("PATRONI_RESTAPI_REQUEST_QUEUE_SIZE"),
    local(
        "restapi.server_tokens",
        Kind::Choice(&["minimal", "productonly", "original"], Case::Any),
        "What the `Server` header tells.",
    )
    .default("original")
    .env("PATRONI_RESTAPI_SERVER_TOKENS"),
];

pub(super) const BOOTSTRAP: &[Row] = &[
    local("bootstrap", Kind::Section, "How a new cluster is made. Without it this member only joins.").bootstrap(),
    local("bootstrap.dcs", Kind::Section, "First dynamic configuration of a new cluster.").required().bootstrap(),
    local("bootstrap.initdb", Kind::Options, "Options of initdb.").bootstrap(),
    local("bootstrap.method", Kind::Text, "Name of the section that makes the data directory.")
        .bootstrap()
        .default("initdb"),
    local("bootstrap.pg_hba", Kind::Texts, "Lines for pg_hba.conf, unless `postgresql.pg_hba` is set.").bootstrap(),
    local("bootstrap.post_bootstrap", Kind::Scalar, "Command to run in the new cluster; formerly `post_init`.")
        .bootstrap(),
    local("bootstrap.post_init", Kind::Scalar, "Old name of `post_bootstrap`.").bootstrap(),
    local("bootstrap.users", Kind::Anything, "No longer supported; only noted in the log.").bootstrap(),
    local("bootstrap.<method>", Kind::Section, "A custom way to make the data directory.").bootstrap(),
    local("bootstrap.<method>.command", Kind::Scalar, "Command, with its arguments.").bootstrap(),
    local("bootstrap.<method>.no_params", Kind::Truth, "Do not add `--scope` and `--datadir`.")
        .bootstrap()
        .default("false"),
    local("bootstrap.<method>.keep_existing_recovery_conf", Kind::Truth, "Leave recovery settings as they are.")
        .bootstrap()
        .default("false"),
    local("bootstrap.<method>.recovery_conf", Kind::Map, "Recovery settings for the first start.").bootstrap(),
];

pub(super) const CITUS: &[Row] = &[
    local("citus", Kind::Section, "Citus worker groups. Not built yet.").restart(),
    local("citus.database", Kind::Text, "Database of the extension.")
        .required()
        .restart()
        .env("PATRONI_CITUS_DATABASE"),
    local("citus.group", Kind::Integer(Range::from(0).typed()), "Group of this member; 0 is the coordinator.")
        .required()
        .restart()
        .env("PATRONI_CITUS_GROUP"),
];

pub(super) const GUARD: &[Row] = &[
    local("guard", Kind::Section, "The process that stops PostgreSQL when its lease ends and the agent is not there."),
    local("guard.mode", Kind::WatchdogMode, "`off`, `automatic` (where there can be one) or `required` (to lead).")
        .default("automatic")
        .env("PATRONI_GUARD_MODE"),
];

pub(super) const WATCHDOG: &[Row] = &[
    local("watchdog", Kind::Section, "The kernel's watchdog as a last line of defence."),
    local("watchdog.mode", Kind::WatchdogMode, "`off`, `automatic` (if there is one) or `required` (to lead).")
        .default("automatic"),
    local("watchdog.device", Kind::Text, "Device file.").default("/dev/watchdog"),
    local(
        "watchdog.safety_margin",
        Kind::Integer(Range::from(-1).typed()),
        "Seconds between the watchdog's timeout and the end of the lease; -1: half the ttl.",
    )
    .default("5"),
    local("watchdog.driver", Kind::Choice(&["default", "testing"], Case::Any), "How the device is spoken to.")
        .default("default"),
];

pub(super) const TAGS: &[Row] = &[
    local("tags", Kind::Section, "What this member may do; published with it. Other tags may be added freely."),
    local("tags.nofailover", Kind::TagBool, "Never becomes leader.").at_most_one_of("nofailover").default("false"),
    local("tags.failover_priority", Kind::TagPriority, "Higher is preferred as leader; 0 is `nofailover`.")
        .at_most_one_of("nofailover")
        .default("1"),
    local("tags.clonefrom", Kind::TagBool, "New replicas copy from this member first.").default("false"),
    local("tags.noloadbalance", Kind::TagBool, "Health checks of replicas fail.").default("false"),
    local("tags.replicatefrom", Kind::Text, "Name of the member to stream from."),
    local("tags.nosync", Kind::TagBool, "Never synchronous.").at_most_one_of("nosync").default("false"),
    local("tags.sync_priority", Kind::TagPriority, "Higher is preferred as synchronous standby; 0 is `nosync`.")
        .at_most_one_of("nosync")
        .default("1"),
    local("tags.nostream", Kind::TagBool, "Replays from the archive only.").default("false"),
];
