//! The keys as a reader sees them: read anew where something was written, and nowhere else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tamada_model::{Cluster, Member, MemberName};
use tamada_wire::keys::{
    self, CONFIG, FAILOVER, FAILSAFE, HISTORY, INITIALIZE, LEADER, LEADER_OPTIME, MEMBERS, STATUS, SYNC,
};

use super::Entry;
use super::txn::{Key, Revision, stamp};
use crate::Moment;

/// How many outdated readings are kept for voters that lag.
const KEPT: usize = 16;

#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    cluster: Arc<Cluster>,
    revision: Revision,
    /// What was written since, and when the first of it was.
    stale: BTreeSet<Key>,
    stale_since: Moment,
    past: VecDeque<Past>,
}

/// A reading that is outdated.
#[derive(Clone, Debug)]
struct Past {
    cluster: Arc<Cluster>,
    revision: Revision,
    until: Moment,
}

impl Shown {
    /// Without a past.
    pub fn all(entries: &BTreeMap<Key, Entry>, revision: Revision) -> Self {
        let cluster = keys::parse_cluster(entries.iter().map(|(key, entry)| wire(key, entry)));
        Self { cluster: Arc::new(cluster), revision, ..Self::default() }
    }

    pub fn changed(&mut self, key: &Key, now: Moment) {
        if self.stale.is_empty() {
            self.stale_since = now;
        }
        self.stale.insert(key.clone());
    }

    /// As the keys are now.
    pub fn newest(&mut self, entries: &BTreeMap<Key, Entry>, revision: Revision) -> Arc<Cluster> {
        if !self.stale.is_empty() {
            self.keep_past();
            let cluster = Arc::make_mut(&mut self.cluster);
            for key in std::mem::take(&mut self.stale) {
                show(cluster, &key, entries);
            }
            self.revision = revision;
        }
        self.cluster.clone()
    }

    /// As somebody was shown the keys at `then`, or soon after it, but not before a revision. `None`: as they are now.
    pub fn at(&self, then: Moment, at_least: Revision) -> Option<(Revision, Arc<Cluster>)> {
        let last = (!self.stale.is_empty()).then(|| self.outdated());
        let fits = |past: &&Past| past.until > then && past.revision >= at_least;
        self.past.iter().chain(&last).find(fits).map(|past| (past.revision, past.cluster.clone()))
    }

    fn outdated(&self) -> Past {
        Past { cluster: self.cluster.clone(), revision: self.revision, until: self.stale_since }
    }

    fn keep_past(&mut self) {
        self.past.push_back(self.outdated());
        if self.past.len() > KEPT {
            self.past.pop_front();
        }
    }
}

/// One key, read alone by the wire's reader, takes its place in the cluster.
fn show(cluster: &mut Cluster, key: &str, entries: &BTreeMap<Key, Entry>) {
    let read = || keys::parse_cluster(entries.get_key_value(key).map(|(key, entry)| wire(key, entry)));
    match key {
        LEADER => cluster.leader = read().leader,
        CONFIG => cluster.config = read().config,
        FAILOVER => cluster.failover = read().failover,
        SYNC => cluster.sync = read().sync,
        HISTORY => cluster.history = read().history,
        FAILSAFE => cluster.failsafe = read().failsafe,
        INITIALIZE => cluster.initialize = read().initialize,
        STATUS | LEADER_OPTIME => {
            let both = [STATUS, LEADER_OPTIME].into_iter().filter_map(|key| entries.get_key_value(key));
            cluster.status = keys::parse_cluster(both.map(|(key, entry)| wire(key, entry))).status;
        }
        other => {
            if let Some(name) = other.strip_prefix(MEMBERS) {
                show_member(cluster, MemberName::new(name), entries.get(key));
            }
        }
    }
}

/// The same without a cluster around it: members write more often than all others.
fn show_member(cluster: &mut Cluster, name: MemberName, entry: Option<&Entry>) {
    match entry {
        Some(entry) => {
            let member = Member { session: session(entry), ..keys::parse_member(entry.value.as_bytes()) };
            cluster.members.insert(name, Arc::new(member));
        }
        None => drop(cluster.members.remove(&name)),
    }
}

fn wire<'a>(key: &'a Key, entry: &'a Entry) -> keys::Entry<'a> {
    keys::Entry { key, value: entry.value.as_bytes(), stamp: stamp(entry.modified), session: session(entry) }
}

fn session(entry: &Entry) -> Option<String> {
    (entry.lease != 0).then(|| entry.lease.to_string())
}
