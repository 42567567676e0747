//! Sections of configuration stores (configuration.md 3.3).

use super::{Kind, Range, Row, local};

pub(super) const ROWS: &[Row] = &[
    local("consul", Kind::Section, "Consul. Not built yet.").one_of("store").restart(),
    local("etcd", Kind::Section, "etcd by its version 2 protocol. Not built yet; use `etcd3`.")
        .one_of("store")
        .restart(),
    local("etcd3", Kind::Section, "etcd 3.4 or later.").one_of("store").restart(),
    local("etcd3.host", Kind::Peer, "One etcd server.").one_of("etcd").restart().swept("PATRONI_ETCD3_HOST"),
    local("etcd3.hosts", Kind::Peers { port: Some(2379) }, "Several etcd servers: a list, or text with commas.")
        .one_of("etcd")
        .restart()
        .swept("PATRONI_ETCD3_HOSTS"),
    local("etcd3.srv", Kind::Text, "Domain whose SRV records name the servers; also `discovery_srv`, `srv_domain`.")
        .one_of("etcd")
        .restart()
        .swept("PATRONI_ETCD3_SRV"),
    local("etcd3.srv_suffix", Kind::Text, "Suffix of the SRV service name.")
        .one_of("etcd")
        .restart()
        .swept("PATRONI_ETCD3_SRV_SUFFIX"),
    local("etcd3.url", Kind::Text, "URL of one server; replaces protocol, host, port, username and password.")
        .one_of("etcd")
        .restart()
        .swept("PATRONI_ETCD3_URL"),
    local("etcd3.proxy", Kind::Text, "Like `url`, and no other server is looked for.")
        .one_of("etcd")
        .restart()
        .swept("PATRONI_ETCD3_PROXY"),
    local("etcd3.discovery_srv", Kind::Scalar, "Old name of `srv`.").restart(),
    local("etcd3.srv_domain", Kind::Scalar, "Old name of `srv`.").restart(),
    local("etcd3.port", Kind::Integer(Range::from(1).to(65535)), "Port of hosts given without one.")
        .restart()
        .default("2379")
        .swept("PATRONI_ETCD3_PORT"),
    local("etcd3.use_proxies", Kind::Truth, "Talk to the given servers only; look for no others.")
        .restart()
        .default("false")
        .swept("PATRONI_ETCD3_USE_PROXIES"),
    local("etcd3.protocol", Kind::Text, "`http` or `https`.").restart().default("http").swept("PATRONI_ETCD3_PROTOCOL"),
    local("etcd3.username", Kind::Text, "User name.").if_section("PATRONI_ETCD3_USERNAME"),
    local("etcd3.password", Kind::Secret, "Password.").if_section("PATRONI_ETCD3_PASSWORD"),
    local("etcd3.cacert", Kind::Text, "Certificate authorities of the servers.")
        .restart()
        .swept("PATRONI_ETCD3_CACERT"),
    local("etcd3.cert", Kind::Text, "Client certificate.").restart().swept("PATRONI_ETCD3_CERT"),
    local("etcd3.key", Kind::Text, "Key of the client certificate, unless it is in the same file.")
        .restart()
        .swept("PATRONI_ETCD3_KEY"),
    local("exhibitor", Kind::Section, "Exhibitor. Not built yet.").one_of("store").restart(),
    local("kubernetes", Kind::Section, "Kubernetes objects. Not built yet.").one_of("store").restart(),
    local("raft", Kind::Section, "The embedded store: agents that vote, and need no store besides.")
        .one_of("store")
        .restart(),
    local(
        "raft.self_addr",
        Kind::ConnectAddress { port: None },
        "Where the other voters reach ours; without it this member has no voter and asks the others'.",
    )
    .required()
    .restart()
    .env("PATRONI_RAFT_SELF_ADDR"),
    local("raft.bind_addr", Kind::Listen { many: false }, "Where our voter listens, if that differs.")
        .restart()
        .default("self_addr")
        .env("PATRONI_RAFT_BIND_ADDR"),
    local(
        "raft.partner_addrs",
        Kind::Peers { port: None },
        "The other voters: a list, or text with commas. An odd number, with ours, is best.",
    )
    .required()
    .restart()
    .env("PATRONI_RAFT_PARTNER_ADDRS"),
    local("raft.data_dir", Kind::Text, "Where our voter keeps the store. Not inside PostgreSQL's data directory.")
        .restart()
        .default(".")
        .env("PATRONI_RAFT_DATA_DIR"),
    local("raft.password", Kind::Secret, "Who does not know it is refused; the same for all voters and tools.")
        .restart()
        .env("PATRONI_RAFT_PASSWORD"),
    local("raft.cacert", Kind::Text, "Certificate authorities of the voters; encrypts what they say to each other.")
        .restart()
        .swept("PATRONI_RAFT_CACERT"),
    local("raft.cert", Kind::Text, "Our certificate, for the other voters and for clients of `etcd_addr`.")
        .restart()
        .swept("PATRONI_RAFT_CERT"),
    local("raft.key", Kind::Text, "Key of the certificate, unless it is in the same file.")
        .restart()
        .swept("PATRONI_RAFT_KEY"),
    local(
        "raft.etcd_addr",
        Kind::Listen { many: false },
        "Where the store answers etcd's protocol (v3), for `etcdctl`, `vip-manager` and the like; unset: nowhere.",
    )
    .restart()
    .env("PATRONI_RAFT_ETCD_ADDR"),
    ignored("raft.append_entries_period", "PATRONI_RAFT_APPEND_ENTRIES_PERIOD"),
    ignored("raft.min_timeout", "PATRONI_RAFT_MIN_TIMEOUT"),
    ignored("raft.max_timeout", "PATRONI_RAFT_MAX_TIMEOUT"),
    ignored("raft.connection_timeout", "PATRONI_RAFT_CONNECTION_TIMEOUT"),
    Row {
        kind: Kind::Real { least: 0.0, above: false },
        ..ignored("raft.connection_retry_time", "PATRONI_RAFT_CONNECTION_RETRY_TIME")
    },
    ignored("raft.leader_fallback_timeout", "PATRONI_RAFT_LEADER_FALLBACK_TIMEOUT"),
    local("zookeeper", Kind::Section, "ZooKeeper. Not built yet.").one_of("store").restart(),
];

/// A setting of the original's store that ours has no use for.
const fn ignored(path: &'static str, variable: &'static str) -> Row {
    let seconds = Kind::Real { least: 0.0, above: true };
    local(path, seconds, "Accepted and ignored: it paced the original's store, and ours paces itself.")
        .restart()
        .env(variable)
}
