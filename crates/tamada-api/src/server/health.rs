//! Health checks: which code a path asks for, and whether it is 200 now (rest-api.md 3.1, 3.2).
//!
//! Load balancers decide by these codes who gets writes, so everything here is judged at the moment of the answer:
//! `/primary` is 200 only while our own lease runs, whatever the last pass thought.

use tamada_model::document::scalar_text;
use tamada_model::{Role, Tags};
use tamada_wire::rest::Shown;

use super::query::Query;

/// 200 or 503 for the path of a GET, HEAD or OPTIONS request.
pub(super) fn is_healthy(path: &str, query: &Query, shown: &Shown) -> bool {
    let check = Check { query, shown };
    match Selected::by(path) {
        Selected::StandbyLeader => check.standby_leader(),
        Selected::Leader => check.leader(),
        Selected::Primary => check.primary(),
        Selected::Replica => check.replica() && check.tags_match(),
        Selected::ReadOnly => (check.writable() || check.replica()) && check.tags_match(),
        Selected::Health => shown.is_running() && check.tags_match(),
        Selected::Known(_) if !shown.is_fresh() => false,
        Selected::Known(kind) => check.kind(kind) && check.tags_match(),
        Selected::Nothing => false,
    }
}

/// What a path asks for. The first test that fits wins, most of them by what the path contains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Selected {
    StandbyLeader,
    Leader,
    Primary,
    Replica,
    ReadOnly,
    Health,
    /// Needs a fresh view of the cluster.
    Known(Kind),
    Nothing,
}

/// The checks that ask about synchronous replication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Sync,
    Quorum,
    Async,
    ReadOnlyQuorum,
    ReadOnlySync,
}

impl Selected {
    fn by(path: &str) -> Self {
        let has = |part: &str| path.contains(part);
        match path {
            "/" => Selected::Primary,
            _ if has("standby_leader") || has("standby-leader") => Selected::StandbyLeader,
            _ if has("leader") => Selected::Leader,
            _ if has("master") || has("primary") || has("read-write") => Selected::Primary,
            _ if has("replica") => Selected::Replica,
            _ if has("read-only") && !has("sync") && !has("quorum") => Selected::ReadOnly,
            _ if has("health") => Selected::Health,
            "/sync" | "/synchronous" => Selected::Known(Kind::Sync),
            "/quorum" => Selected::Known(Kind::Quorum),
            "/async" | "/asynchronous" => Selected::Known(Kind::Async),
            "/read-only-quorum" => Selected::Known(Kind::ReadOnlyQuorum),
            "/read-only-sync" | "/read-only-synchronous" => Selected::Known(Kind::ReadOnlySync),
            _ => Selected::Nothing,
        }
    }
}

/// Who may call itself leader, and by which right.
enum Standing {
    /// Paused and without a fresh view: PostgreSQL runs as it is, so its role counts.
    ByRole(Role),
    /// Our lease runs.
    Locked {
        standby_cluster: bool,
    },
    Unlocked,
}

struct Check<'a> {
    query: &'a Query,
    shown: &'a Shown<'a>,
}

impl Check<'_> {
    fn standing(&self) -> Standing {
        let report = self.shown.report();
        if !self.shown.is_fresh() && report.pause {
            Standing::ByRole(self.shown.role())
        } else if self.shown.is_locked() {
            Standing::Locked { standby_cluster: report.is_standby_cluster }
        } else {
            Standing::Unlocked
        }
    }

    fn leader(&self) -> bool {
        match self.standing() {
            Standing::ByRole(role) => role == Role::Primary || role == Role::StandbyLeader,
            Standing::Locked { .. } => true,
            Standing::Unlocked => false,
        }
    }

    fn primary(&self) -> bool {
        match self.standing() {
            Standing::ByRole(role) => role == Role::Primary,
            Standing::Locked { standby_cluster } => !standby_cluster,
            Standing::Unlocked => false,
        }
    }

    fn standby_leader(&self) -> bool {
        let role = self.shown.role();
        match self.standing() {
            Standing::ByRole(role) => role == Role::StandbyLeader,
            Standing::Locked { standby_cluster } => {
                standby_cluster && (role == Role::Replica || role == Role::StandbyLeader)
            }
            Standing::Unlocked => false,
        }
    }

    fn writable(&self) -> bool {
        self.primary() || self.standby_leader()
    }

    fn replica(&self) -> bool {
        match self.standing() {
            Standing::Locked { standby_cluster: true } => false,
            Standing::Locked { standby_cluster: false } | Standing::ByRole(_) | Standing::Unlocked => self.replica_ok(),
        }
    }

    fn replica_ok(&self) -> bool {
        let shown = self.shown;
        let wanted_state = self.query.get("replication_state");
        !shown.report().tags.noloadbalance()
            && shown.role() == Role::Replica
            && shown.is_running()
            && !self.is_lagging()
            && wanted_state.is_none_or(|state| shown.replication_state() == Some(state))
    }

    fn is_lagging(&self) -> bool {
        let Some(lag) = self.query.bytes("lag") else { return false };
        let replayed = self.shown.replayed_location().unwrap_or_default().bytes();
        i128::from(leader_position(self.shown)) > i128::from(replayed) + i128::from(lag)
    }

    fn kind(&self, kind: Kind) -> bool {
        let (sync, quorum) = (self.shown.is_sync_standby(), self.shown.is_quorum_standby());
        match kind {
            Kind::Sync => self.replica() && sync,
            Kind::Quorum => self.replica() && quorum,
            Kind::Async => self.replica() && !sync && !quorum,
            Kind::ReadOnlyQuorum => self.writable() || self.replica() && quorum,
            Kind::ReadOnlySync => self.writable() || self.replica() && sync,
        }
    }

    fn tags_match(&self) -> bool {
        let tags = &self.shown.report().tags;
        self.query.tags().all(|(key, wanted)| tag_text(tags, key).as_deref() == Some(wanted))
    }
}

/// Text as it is; `true`, `1`, `1.4` in lower case.
fn tag_text(tags: &Tags, key: &str) -> Option<String> {
    match tags.0.get(key)? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(scalar_text(other).to_lowercase()),
    }
}

/// The newest position of the leader that we know of: what it published, or what our receiver was told.
pub(super) fn leader_position(shown: &Shown) -> u64 {
    let cluster = shown.report().cluster.as_ref().filter(|_| shown.is_fresh());
    let published = cluster.map(|cluster| cluster.status.optime).unwrap_or_default();
    published.max(receiver_position(shown).unwrap_or_default()).bytes()
}

pub(super) fn receiver_position(shown: &Shown) -> Option<tamada_model::Lsn> {
    shown.standby()?.receiver.as_ref()?.latest_end
}
