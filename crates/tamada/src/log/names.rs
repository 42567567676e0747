//! Which parts of this program do what a logger of the original is named after.
//!
//! `log.loggers` in existing configurations speaks of `patroni.…`; the nearest parts of ours take the level.

use tamada_model::LogConfig;

/// Our crates' names begin with it.
pub const PROGRAM: &str = "tamada";

const FAMILY: &str = "patroni";

const NAMES: &[(&str, &[&str])] = &[
    (FAMILY, &[PROGRAM]),
    ("patroni.__main__", &["tamada.daemon", "tamada.drive"]),
    ("patroni.api", &["tamada_api.server", "tamada.desk", "tamada.orders"]),
    ("patroni.config", &["tamada_config", "tamada.configuration"]),
    ("patroni.daemon", &["tamada.daemon"]),
    ("patroni.dcs", &["tamada_dcs", "tamada_raft"]),
    ("patroni.dcs.etcd", &["tamada_dcs.etcd"]),
    ("patroni.dcs.etcd3", &["tamada_dcs.etcd"]),
    ("patroni.dcs.raft", &["tamada_raft", "tamada_dcs.embedded"]),
    ("patroni.ha", &["tamada_core", "tamada.drive", "tamada.execute", "tamada.gather"]),
    ("patroni.log", &["tamada.log"]),
    // The original's manual gives this one as its example.
    ("patroni.postmaster", &["tamada_postgres.process"]),
    ("patroni.postgresql", &["tamada_postgres"]),
    (
        "patroni.postgresql.bootstrap",
        &[
            "tamada_postgres.job.bootstrap",
            "tamada_postgres.job.post_bootstrap",
            "tamada_postgres.job.clone",
            "tamada_postgres.job.basebackup",
            "tamada_postgres.job.custom_method",
        ],
    ),
    ("patroni.postgresql.callback_executor", &["tamada_postgres.callbacks"]),
    ("patroni.postgresql.cancellable", &["tamada_postgres.process.child"]),
    ("patroni.postgresql.config", &["tamada_postgres.configure"]),
    ("patroni.postgresql.connection", &["tamada_postgres.connect", "tamada_postgres.client"]),
    ("patroni.postgresql.postmaster", &["tamada_postgres.process"]),
    ("patroni.postgresql.rewind", &["tamada_postgres.job.rewind", "tamada_postgres.divergence"]),
    ("patroni.postgresql.slots", &["tamada_postgres.slots"]),
    ("patroni.postgresql.validator", &["tamada_postgres.configure.validate"]),
    ("patroni.raft_controller", &["tamada.voter"]),
    ("patroni.request", &["tamada_api.client"]),
];

/// Our parts for a logger of the original; `None` for a name that is none of its own, or that has no counterpart.
pub fn ours(logger: &str) -> Option<&'static [&'static str]> {
    NAMES.iter().find(|(name, _)| *name == logger).map(|(_, parts)| *parts)
}

/// A level for a part that we do not have changes nothing; better said than wondered about.
pub fn say_unknown(config: &LogConfig) {
    let family = |name: &&String| name.split('.').next() == Some(FAMILY);
    for name in config.loggers.keys().filter(family).filter(|name| ours(name).is_none()) {
        tracing::info!("log.loggers.{name}: nothing here has a counterpart of this name, the level has no effect");
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// `tamada_postgres.job.rewind` is `crates/tamada-postgres/src/job/rewind.rs` or `…/rewind/mod.rs`.
    fn file_of(part: &str) -> Vec<PathBuf> {
        let (name, path) = part.split_once('.').unwrap_or((part, ""));
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the workspace");
        let source = crates.join(name.replace('_', "-")).join("src");
        if path.is_empty() {
            return vec![source];
        }
        let path = path.replace('.', "/");
        vec![source.join(format!("{path}.rs")), source.join(format!("{path}/mod.rs"))]
    }

    #[test]
    fn every_part_exists() {
        for (logger, parts) in NAMES {
            for part in *parts {
                assert!(file_of(part).iter().any(|file| file.exists()), "{logger}: there is no {part} any more");
            }
        }
    }
}
