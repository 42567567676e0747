//! Long work on PostgreSQL: what is to be done. How, is `tamada-postgres`; when, is `tamada-core`.

use std::time::Duration;

use crate::{Lsn, MemberName, Role};

/// Whom a standby receives WAL from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Upstream {
    /// Nobody: no `primary_conninfo`; archive and local WAL only.
    Nobody,
    Member(UpstreamMember),
    /// A server outside the cluster (standby cluster; ha-loop.md 29.2).
    Remote(RemoteMember),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpstreamMember {
    pub name: MemberName,
    pub host: String,
    pub port: u16,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RemoteMember {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub primary_slot_name: Option<String>,
    pub create_replica_methods: Option<Vec<String>>,
    pub restore_command: Option<String>,
    pub archive_cleanup_command: Option<String>,
    pub recovery_min_apply_delay: Option<String>,
}

/// Where a copy of the data comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CloneSource {
    /// `leader`: for the text only ("from leader 'x'" or "from replica 'x'").
    Member {
        member: UpstreamMember,
        is_leader: bool,
    },
    Remote(RemoteMember),
    /// A method that needs no running member.
    WithoutLeader,
}

/// One long action. At most one runs at a time (ha-loop.md 28.1).
#[derive(Clone, PartialEq, Debug)]
pub enum Job {
    /// initdb or the custom method, then start (postgres.md 12). Ends when PostgreSQL accepts connections.
    Bootstrap,
    /// Users, `post_bootstrap` script (postgres.md 12.5).
    PostBootstrap,
    /// The replica methods in order, then start following (ha-loop.md 7.6).
    Clone { source: CloneSource, then_follow: Upstream },
    /// Stop, choose the source anew, clone (20.3). `only_basebackup`: `from_leader` was asked for.
    Reinitialize { source: CloneSource, then_follow: Upstream, only_basebackup: bool },
    /// Start a crashed primary as it is, without recovery configuration (8.4).
    StartPrimary { timeout: Duration },
    /// Start as a standby of `upstream` with `role` (8.11); if running, stop and start.
    StartStandby { upstream: Upstream, role: Role, timeout: Option<Duration> },
    /// Change the upstream of a running standby with a restart (11.9).
    ChangeUpstream { upstream: Upstream, role: Role },
    /// Stop and start (19).
    Restart { timeout: Option<Duration> },
    /// pre_promote, promote, wait for the end of recovery (13.6).
    Promote { wait: Duration },
    /// The single-user run that ends a crashed primary cleanly (23.10).
    CrashRecovery,
    /// pg_rewind from a member or remote server (23.6, 23.7).
    Rewind { from: Upstream, from_agent_can_be_trusted: bool },
    /// Stop; the rest of a demotion is decided when it is seen to have stopped (15).
    Stop(Stop),
    /// Stop immediately and rename the data directory aside: a failed bootstrap (7.9).
    AbandonBootstrap,
    /// Remove the data directory after a failed rewind, where the operator allowed it (23.8).
    RemoveData,
}

impl Job {
    pub fn is_stop(&self) -> bool {
        self.ends_with() == EndsWith::NoServer
    }

    /// Whatever PostgreSQL was before, it may be writable when this has ended.
    pub fn makes_primary(&self) -> bool {
        self.ends_with() == EndsWith::Primary
    }

    fn ends_with(&self) -> EndsWith {
        match self {
            Job::Promote { .. } | Job::StartPrimary { .. } => EndsWith::Primary,
            Job::Stop(_) => EndsWith::NoServer,
            Job::Bootstrap
            | Job::PostBootstrap
            | Job::Clone { .. }
            | Job::Reinitialize { .. }
            | Job::StartStandby { .. }
            | Job::ChangeUpstream { .. }
            | Job::Restart { .. }
            | Job::CrashRecovery
            | Job::Rewind { .. }
            | Job::AbandonBootstrap
            | Job::RemoveData => EndsWith::Other,
        }
    }

    /// The action's text in log lines and REST answers (ha-loop.md 28.1).
    pub fn text(&self) -> String {
        match self {
            Job::Bootstrap => "bootstrap".into(),
            Job::PostBootstrap => "post_bootstrap".into(),
            Job::Clone { source: CloneSource::Member { member, is_leader }, .. } => {
                format!("bootstrap from {} '{}'", if *is_leader { "leader" } else { "replica" }, member.name)
            }
            Job::Clone { source: CloneSource::Remote(_), .. } => "bootstrap_standby_leader".into(),
            Job::Clone { source: CloneSource::WithoutLeader, .. } => "bootstrap (without leader)".into(),
            Job::Reinitialize { .. } => "reinitialize".into(),
            Job::StartPrimary { .. } => "starting primary after failure".into(),
            Job::StartStandby { .. } => "restarting after failure".into(),
            Job::ChangeUpstream { .. } => "changing primary_conninfo and restarting".into(),
            Job::Restart { .. } => "restart".into(),
            Job::Promote { .. } => "promote".into(),
            Job::CrashRecovery => "doing crash recovery in a single user mode".into(),
            Job::Rewind { from: Upstream::Member(member), .. } => format!("running pg_rewind from {}", member.name),
            Job::Rewind { .. } => "running pg_rewind from remote member".into(),
            Job::Stop(stop) => stop.purpose.clone(),
            Job::AbandonBootstrap => "abandoning failed bootstrap".into(),
            Job::RemoveData => "removing data directory".into(),
        }
    }
}

/// What an action is for, where that matters to a lease.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EndsWith {
    Primary,
    NoServer,
    Other,
}

/// How to stop PostgreSQL (postgres.md 8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stop {
    pub mode: StopMode,
    pub checkpoint: CheckpointFirst,
    /// After this long: the next harder mode. `None`: wait as long as it takes.
    pub timeout: Option<Duration>,
    /// Pause after pg_control says "shut down" while the postmaster still lives (archiving): report it.
    pub report_shutdown: bool,
    /// The action's text, e.g. `switchover: demote`.
    pub purpose: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopMode {
    Fast,
    Immediate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckpointFirst {
    Yes,
    No,
}

/// How a job ended.
#[derive(Clone, PartialEq, Debug)]
pub enum JobEnd {
    Done,
    /// PostgreSQL was started but does not accept connections yet.
    StillStarting,
    /// A stop ended; a former primary's shutdown positions, when pg_control told them (postgres.md 6.5).
    Stopped(Option<ShutdownPosition>),
    /// The pre_promote script said no (13.2).
    PrePromoteRefused,
    Cancelled,
    /// Nothing was changed because something outside is not ready (the leader has not made its checkpoint, cannot be
    /// verified); ask again in a later pass. One sentence.
    NotNow(String),
    /// One sentence that says what failed.
    Failed(String),
}

/// Where a former primary's WAL ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShutdownPosition {
    /// The shutdown checkpoint record: what a successor must have.
    pub checkpoint: Lsn,
    /// The WAL-switch record just before it if there is one, else the checkpoint: what is published as the last
    /// position, so that replicas which replayed all but the checkpoint do not look lagging.
    pub publish: Lsn,
}
