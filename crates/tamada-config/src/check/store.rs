//! Which store is meant, and what every store must know (configuration.md 3.3).

use tamada_model::{Document, MemberName, StoreConfig, StoreScope};

use crate::path::text;
use crate::rows::chosen_store;
use crate::timing::Timing;

use super::{etcd3, raft};

/// The first section that is present; `required` has refused those that are not built.
pub fn store(effective: &Document) -> StoreConfig {
    match chosen_store(effective) {
        Some("raft") => StoreConfig::Raft(raft::raft(effective)),
        Some(_) | None => StoreConfig::Etcd3(etcd3::etcd3(effective)),
    }
}

/// What works, but is hardly meant.
pub fn doubts(store: &StoreConfig, effective: &Document) -> Vec<String> {
    match store {
        StoreConfig::Etcd3(_) => Vec::new(),
        StoreConfig::Raft(raft) => raft::doubts(raft, effective),
    }
}

pub fn scope(effective: &Document, timing: &Timing) -> StoreScope {
    StoreScope {
        base: base(&namespace(effective), &text(effective, "scope").unwrap_or_default()),
        name: MemberName::new(text(effective, "name").unwrap_or_default()),
        ttl: timing.ttl,
        loop_wait: timing.loop_wait,
        retry_timeout: timing.retry_timeout,
    }
}

pub fn namespace(document: &Document) -> String {
    text(document, "namespace").unwrap_or_else(|| "service".to_owned())
}

/// `/service/batman`: slashes are collapsed, none at the end.
pub fn base(namespace: &str, scope: &str) -> String {
    let parts = [namespace, scope].into_iter().flat_map(|part| part.split('/')).filter(|part| !part.is_empty());
    parts.fold(String::new(), |path, part| path + "/" + part)
}
