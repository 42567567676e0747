//! What a member tells about itself after each pass: the one source for REST, metrics and the member key, so that they
//! never contradict each other.

use std::sync::Arc;
use std::time::Duration;

use crate::{Cluster, Mono, PostgresFacts, Role, ScheduledRestart, State, SystemId, Tags, Wall};

/// Published after every pass and read without asking anybody (rest-api.md 2).
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    pub name: crate::MemberName,
    pub scope: String,
    /// The state to show: the facts', with `crashed` inferred and jobs' own states.
    pub state: State,
    /// The role to show when PostgreSQL cannot be asked.
    pub role: Role,
    pub postgres: Option<Arc<PostgresFacts>>,
    /// The cluster as last read; `None` before the first reading.
    pub cluster: Option<Arc<Cluster>>,
    /// When that reading was asked for, on both clocks.
    pub cluster_seen_at: Option<Mono>,
    pub dcs_last_seen: Wall,
    /// The instant until which this member may call itself leader; `None` without the lock.
    pub lease_until: Option<Mono>,
    pub ttl: Duration,
    pub loop_wait: Duration,
    pub pause: bool,
    pub is_standby_cluster: bool,
    pub is_synchronous_mode: bool,
    pub is_quorum_mode: bool,
    pub failsafe_mode: bool,
    pub failsafe_active_until: Option<Mono>,
    pub maximum_lag_on_failover: u64,
    /// Effective tags: configured ones after filtering.
    pub tags: Tags,
    pub system_id: Option<SystemId>,
    pub scheduled_restart: Option<ScheduledRestart>,
    pub watchdog_failed: bool,
    /// `None`: none is wanted.
    pub guard: Option<GuardStanding>,
    /// The text of the running long action.
    pub action: Option<String>,
    /// When the next pass is due at the latest; `/liveness` measures against it.
    pub next_pass: Mono,
    /// The last pass's sentence and its reason, for people.
    pub sentence: String,
    pub because: String,
}

/// How the guard stands, for people and monitoring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuardStanding {
    /// The first, or one in the place of another that is gone. It will soon be there, or have failed.
    Starting,
    /// It stops PostgreSQL when the lease ends.
    Armed,
    /// It is there, and there is nothing to stop.
    Disarmed,
    /// There is none, although one is wanted.
    Failed,
}

impl GuardStanding {
    pub fn text(self) -> &'static str {
        match self {
            GuardStanding::Starting => "starting",
            GuardStanding::Armed => "armed",
            GuardStanding::Disarmed => "disarmed",
            GuardStanding::Failed => "failed",
        }
    }
}

impl Report {
    /// Whether this member's own lease runs at `now` (rest-api.md 3.1 "locked").
    pub fn is_locked(&self, now: Mono) -> bool {
        self.lease_until.is_some_and(|until| now < until)
    }

    /// Whether the view of the cluster is younger than `ttl` at `now`.
    pub fn is_fresh(&self, now: Mono) -> bool {
        self.cluster_seen_at.is_some_and(|at| now.since(at) < self.ttl)
    }
}
