//! The store's keys: names, values and what malformed ones mean (dcs-layout.md 1–7).
//!
//! A reader meets values of other agents, older agents and tired operators. None may stop it, so each reader here
//! answers "absent" or "empty" where it cannot understand, and ignores what it does not know.

mod member;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use tamada_model::{Cluster, Document, Initialize, MemberName, Stamp, Stamped, SystemId};

pub(crate) use member::reasons_object;
pub use member::{member_json, parse_member, scheduled_restart_object};
pub use values::{
    config_json, failover_json, failsafe_json, history_json, parse_failover, parse_history, parse_status, parse_sync,
    status_json, sync_json,
};
pub(crate) use values::{origin_object, parse_origin};

use crate::json;

pub const LEADER: &str = "leader";
pub const MEMBERS: &str = "members/";
pub const INITIALIZE: &str = "initialize";
pub const CONFIG: &str = "config";
pub const STATUS: &str = "status";
pub const LEADER_OPTIME: &str = "optime/leader";
pub const FAILOVER: &str = "failover";
pub const SYNC: &str = "sync";
pub const HISTORY: &str = "history";
pub const FAILSAFE: &str = "failsafe";

/// `members/<name>`
pub fn member_key(name: &MemberName) -> String {
    format!("{MEMBERS}{name}")
}

/// One key as a store returned it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Relative to the cluster's base path: `leader`, `members/a`.
    pub key: &'a str,
    pub value: &'a [u8],
    pub stamp: Stamp,
    /// What keeps the key alive (etcd: the lease id), where the store tells it.
    pub session: Option<String>,
}

impl Entry<'_> {
    fn stamped<T>(&self, value: T) -> Stamped<T> {
        Stamped { stamp: self.stamp.clone(), value }
    }

    fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.value).ok()
    }
}

/// The cluster that these keys describe. Never fails: what is malformed counts as absent or empty.
pub fn parse_cluster<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Cluster {
    let mut cluster = Cluster::default();
    let mut status = None;
    let mut legacy_optime = None;
    for entry in entries {
        match entry.key {
            INITIALIZE => cluster.initialize = parse_initialize(entry.value),
            CONFIG => cluster.config = json::object(entry.value).map(|config| entry.stamped(config)),
            LEADER => cluster.leader = parse_leader(&entry),
            STATUS => status = Some(entry.value).filter(|value| !value.is_empty()),
            LEADER_OPTIME => legacy_optime = Some(entry.value),
            FAILOVER => cluster.failover = parse_failover(entry.value).map(|request| entry.stamped(request)),
            SYNC => cluster.sync = Some(entry.stamped(parse_sync(entry.value))),
            HISTORY => cluster.history = parse_history(entry.value).map(|history| entry.stamped(history)),
            FAILSAFE => cluster.failsafe = parse_failsafe(entry.value),
            other => {
                if let Some(name) = other.strip_prefix(MEMBERS).filter(|name| !name.is_empty()) {
                    let mut member = parse_member(entry.value);
                    member.session = entry.session;
                    cluster.members.insert(MemberName::new(name), Arc::new(member));
                }
            }
        }
    }
    cluster.status = parse_status(status.or(legacy_optime).unwrap_or_default());
    cluster
}

fn parse_initialize(value: &[u8]) -> Initialize {
    let text = String::from_utf8_lossy(value);
    match SystemId::parse(&text) {
        Some(id) => Initialize::Done(id),
        None if text.is_empty() => Initialize::Underway,
        None => Initialize::Invalid(text.into_owned()),
    }
}

fn parse_leader(entry: &Entry) -> Option<Stamped<MemberName>> {
    entry.text().filter(|name| !name.is_empty()).map(|name| entry.stamped(MemberName::new(name)))
}

fn parse_failsafe(value: &[u8]) -> Option<std::collections::BTreeMap<MemberName, String>> {
    let text = |url: &serde_json::Value| url.as_str().map(str::to_owned);
    let map: Document = json::object(value)?;
    Some(map.iter().filter_map(|(name, url)| Some((MemberName::new(name), text(url)?))).collect())
}
