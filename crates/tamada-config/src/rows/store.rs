//! Sections of configuration stores (configuration.md 3.3).

use super::{Kind, Range, Row, local};

pub(super) const ROWS: &[Row] = &[
    local("consul", Kind::Section, "Consul. Not built yet.").one_of("store").restart(),
    local("etcd", Kind::Section, "etcd by its version 2 protocol. Not built yet; use `etcd3`.")
        .one_of("store")
        .restart(),
    local("etcd3", Kind::Section, "etcd 3.4 or later.").one_of("store").restart(),
    local("etcd3.host", Kind::Peer, "One etcd server.").one_of("etcd").restart().swept("PATRONI_ETCD3_HOST"),
    local("etcd3.hosts", Kind::Peers, "Several etcd servers: a list, or text with commas.")
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
    local("raft", Kind::Section, "The embedded store. Not built yet.").one_of("store").restart(),
    local("raft.self_addr", Kind::Text, "Address of this voter; without it this member does not vote.")
        .restart()
        .env("PATRONI_RAFT_SELF_ADDR"),
    local("raft.bind_addr", Kind::Text, "Address to listen on, if it differs.").restart().env("PATRONI_RAFT_BIND_ADDR"),
    local("raft.partner_addrs", Kind::Texts, "Addresses of the other voters.")
        .restart()
        .env("PATRONI_RAFT_PARTNER_ADDRS"),
    local("raft.data_dir", Kind::Text, "Directory of journal and snapshots.").restart().env("PATRONI_RAFT_DATA_DIR"),
    local("raft.password", Kind::Secret, "Password that encrypts the traffic.").restart().env("PATRONI_RAFT_PASSWORD"),
    local("raft.append_entries_period", Kind::Real { least: 0.0, above: true }, "Seconds between heartbeats.")
        .restart()
        .default("0.1")
        .env("PATRONI_RAFT_APPEND_ENTRIES_PERIOD"),
    local("raft.min_timeout", Kind::Real { least: 0.0, above: true }, "Shortest wait before an election, in seconds.")
        .restart()
        .default("0.4")
        .env("PATRONI_RAFT_MIN_TIMEOUT"),
    local("raft.max_timeout", Kind::Real { least: 0.0, above: true }, "Longest wait before an election, in seconds.")
        .restart()
        .default("1.4")
        .env("PATRONI_RAFT_MAX_TIMEOUT"),
    local(
        "raft.connection_timeout",
        Kind::Real { least: 0.0, above: true },
        "Seconds until a silent partner is dropped.",
    )
    .restart()
    .default("3.5")
    .env("PATRONI_RAFT_CONNECTION_TIMEOUT"),
    local(
        "raft.connection_retry_time",
        Kind::Real { least: 0.0, above: false },
        "Seconds between attempts to connect.",
    )
    .restart()
    .default("5.0")
    .env("PATRONI_RAFT_CONNECTION_RETRY_TIME"),
    local(
        "raft.leader_fallback_timeout",
        Kind::Real { least: 0.0, above: true },
        "Seconds without a majority after which a leader of the store gives up.",
    )
    .restart()
    .default("30.0")
    .env("PATRONI_RAFT_LEADER_FALLBACK_TIMEOUT"),
    local("zookeeper", Kind::Section, "ZooKeeper. Not built yet.").one_of("store").restart(),
];
