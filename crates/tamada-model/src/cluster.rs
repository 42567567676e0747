//! The cluster as the store told it, nothing added (dcs-layout.md 1).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Document, Lsn, Member, MemberName, SystemId, Timeline, Wall};

/// The version of one key as its store counts it (etcd: `mod_revision`). Compared for equality only; what overwrites a
/// key carries the stamp under which it was judged.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stamp(Box<str>);

impl Stamp {
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key's value with the stamp under which it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamped<T> {
    pub stamp: Stamp,
    pub value: T,
}

/// All keys of one cluster, read at one moment. Malformed values have become "absent" or "empty" (dcs-layout.md 1).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Cluster {
    pub initialize: Initialize,
    /// The dynamic configuration; `None` when absent, unparsable or not an object.
    pub config: Option<Stamped<Document>>,
    /// Who holds the lock; `None` when the key is absent or empty.
    pub leader: Option<Stamped<MemberName>>,
    pub members: Members,
    /// A request with at least one of its two names.
    pub failover: Option<Stamped<FailoverRequest>>,
    pub sync: Option<Stamped<SyncState>>,
    pub status: Status,
    /// `None`: no or unreadable history. `Some([])`: the cluster is on its first timeline.
    pub history: Option<Stamped<Vec<HistoryEntry>>>,
    pub failsafe: Option<BTreeMap<MemberName, String>>,
}

/// What each member tells about itself. Records are large and change one at a time, while readings are kept, compared
/// and picked from: so a copy of the map shares them.
pub type Members = BTreeMap<MemberName, Arc<Member>>;

impl Cluster {
    pub fn is_unlocked(&self) -> bool {
        self.leader.is_none()
    }

    pub fn leader_name(&self) -> Option<&MemberName> {
        self.leader.as_ref().map(|leader| &leader.value)
    }

    pub fn member(&self, name: &MemberName) -> Option<&Member> {
        self.members.get(name).map(Arc::as_ref)
    }

    /// The member record of the lock's holder; `None` when unlocked and when the holder has no member key.
    pub fn leader_member(&self) -> Option<&Member> {
        self.leader_name().and_then(|name| self.member(name))
    }

    /// ha-loop.md 1.6: the last history entry's timeline + 1; 1 for an empty history; unknown without one.
    pub fn timeline(&self) -> Option<Timeline> {
        match self.history.as_ref()?.value.last() {
            None => Some(Timeline::FIRST),
            Some(entry) => Timeline::new(entry.timeline.saturating_add(1)),
        }
    }
}

/// The `initialize` key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Initialize {
    /// Nobody has begun a bootstrap.
    #[default]
    Absent,
    /// Empty value: somebody is bootstrapping right now.
    Underway,
    Done(SystemId),
    /// Neither empty nor a system identifier; the leader repairs it.
    Invalid(String),
}

impl Initialize {
    pub fn system_id(&self) -> Option<SystemId> {
        match self {
            Initialize::Done(id) => Some(*id),
            Initialize::Absent | Initialize::Underway | Initialize::Invalid(_) => None,
        }
    }
}

/// The `failover` key: with `leader` a switchover, without it a manual failover (ha-loop.md 1.4).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FailoverRequest {
    pub leader: Option<MemberName>,
    pub candidate: Option<MemberName>,
    pub scheduled_at: Option<Schedule>,
}

impl FailoverRequest {
    pub fn kind(&self) -> FailoverKind {
        if self.leader.is_some() { FailoverKind::Switchover } else { FailoverKind::ManualFailover }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailoverKind {
    Switchover,
    ManualFailover,
}

impl FailoverKind {
    /// As it begins a log line: `switchover`, `manual failover`.
    pub fn act(self) -> &'static str {
        match self {
            FailoverKind::Switchover => "switchover",
            FailoverKind::ManualFailover => "manual failover",
        }
    }

    /// The bare word of log lines and REST answers: `switchover`, `failover`.
    pub fn bare(self) -> &'static str {
        match self {
            FailoverKind::Switchover => "switchover",
            FailoverKind::ManualFailover => "failover",
        }
    }
}

/// When something shall happen: the text as given, and the instant if it could be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    pub text: String,
    pub at: Option<Wall>,
}

/// The `sync` key, present and with a leader.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SyncState {
    /// The primary that last managed the key; `None` = synchronous replication is not active.
    pub leader: Option<MemberName>,
    pub quorum: u32,
    pub standbys: Vec<MemberName>,
}

impl SyncState {
    /// Whether `name` is a synchronous standby. Case does not matter (ha-loop.md 1.5); nobody is one while the key has
    /// no leader.
    pub fn lists(&self, name: &MemberName) -> bool {
        let wanted = name.as_str().to_lowercase();
        self.leader.is_some() && self.standbys.iter().any(|standby| standby.as_str().to_lowercase() == wanted)
    }
}

/// The `status` key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// The leader's last WAL position; zero when unknown.
    pub optime: Lsn,
    pub slots: BTreeMap<String, Lsn>,
    pub retain_slots: Vec<String>,
    /// Of the timeline on which that position is.
    pub origin: Option<Origin>,
}

/// The checksum of a timeline's first record. The time of the promotion is in it: it tells timelines of one number apart
/// that began at one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    pub timeline: Timeline,
    pub checksum: u32,
}

/// One promotion, or one line of a timeline history file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryEntry {
    /// The timeline that was left.
    pub timeline: u32,
    pub lsn: Lsn,
    pub reason: String,
    /// ISO 8601 with zone; known for promotions the cluster has seen.
    pub at: Option<String>,
    pub new_leader: Option<MemberName>,
}
