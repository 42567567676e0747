//! What is known about the managed PostgreSQL: facts with the time they were true, never guesses.

use std::fmt;

use serde_json::Value;

use crate::{
    Lsn, Mono, Origin, PendingRestart, PgMajor, PgVersion, Role, State, Synchronous, SystemId, Timeline, Wall,
};

/// Everything the sampler learnt in one look.
#[derive(Clone, PartialEq, Debug)]
pub struct PostgresFacts {
    pub seen_at: Mono,
    pub data: DataDir,
    pub process: Process,
    pub answers: Answers,
    /// What the last job or command left behind; `crashed` is never written here but inferred (ha-loop.md 4.7).
    pub state: State,
    /// What this instance is, as far as the supervisor brought it there (ha-loop.md 4.5, 4.6).
    pub role: Role,
    pub pending_restart: PendingRestart,
    /// Whether any start, stop, restart or role change was done by this agent, or its instance was adopted and
    /// announced (ha-loop.md 3, "callback called").
    pub callback_called: bool,
    /// `pg_rewind` is switched on, present, and the cluster has checksums or `wal_log_hints` (ha-loop.md 23.1).
    pub can_rewind: bool,
}

impl PostgresFacts {
    /// By its own word, else by what it was started as: for whoever has not taken charge of it, and knows no role.
    pub fn may_be_writable(&self) -> bool {
        let standby = match &self.data {
            DataDir::Present(present) => present.recovery_configured,
            DataDir::Empty | DataDir::Unreadable(_) => false,
        };
        match &self.answers {
            Answers::Live(live) => live.is_primary(),
            Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => self.process.is_running() && !standby,
        }
    }
}

/// The data directory.
#[derive(Clone, PartialEq, Debug)]
pub enum DataDir {
    /// Absent, or nothing in it but dot-files and `lost+found`.
    Empty,
    /// Could not be looked at: the operating system's words.
    Unreadable(String),
    Present(Box<Present>),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Present {
    /// `None`: `PG_VERSION` missing or unreadable.
    pub major: Option<PgMajor>,
    /// From pg_control; `None` if it could not be read.
    pub system_id: Option<SystemId>,
    /// pg_controldata; refreshed whenever no postmaster runs, and when asked for.
    pub control: Option<Control>,
    pub backup_label: bool,
    /// `standby.signal`, `recovery.signal` or (before 12) `recovery.conf` exists.
    pub recovery_configured: bool,
    /// A pg_rewind began here and never ended (agent or machine died): the files may be a mixture. Rewind again or
    /// clone; the start jobs refuse to run PostgreSQL on it.
    pub unfinished_rewind: bool,
    /// The newest timeline whose history file lies in `pg_wal`, as PostgreSQL counts: without a gap from the one that
    /// pg_control names. A standby goes on to it, even if it has replayed nothing of it yet. `None`: not known.
    pub newest_timeline: Option<Timeline>,
    /// Of the timeline on which a running server is. `None`: not known, or the first one.
    pub origin: Option<Origin>,
}

impl Control {
    /// The timeline that the data is on, as far as it is written down.
    pub fn timeline(&self) -> Option<Timeline> {
        self.checkpoint_timeline.max(self.min_recovery_end_timeline)
    }
}

/// The lines of pg_controldata that decisions use (postgres.md 6.2).
#[derive(Clone, PartialEq, Debug)]
pub struct Control {
    pub state: ControlState,
    pub checkpoint: Lsn,
    pub checkpoint_timeline: Option<Timeline>,
    pub min_recovery_end: Lsn,
    pub min_recovery_end_timeline: Option<Timeline>,
    pub wal_log_hints: bool,
    pub checksums: bool,
    /// The full output, in order, for the log.
    pub lines: Vec<(String, String)>,
}

/// "Database cluster state" of pg_controldata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlState {
    StartingUp,
    ShutDown,
    ShutDownInRecovery,
    ShuttingDown,
    InCrashRecovery,
    InArchiveRecovery,
    InProduction,
    Unknown,
}

impl ControlState {
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "starting up" => ControlState::StartingUp,
            "shut down" => ControlState::ShutDown,
            "shut down in recovery" => ControlState::ShutDownInRecovery,
            "shutting down" => ControlState::ShuttingDown,
            "in crash recovery" => ControlState::InCrashRecovery,
            "in archive recovery" => ControlState::InArchiveRecovery,
            "in production" => ControlState::InProduction,
            _ => ControlState::Unknown,
        }
    }

    /// A former primary that did not end cleanly (ha-loop.md 8.6).
    pub fn is_dirty_primary(self) -> bool {
        match self {
            ControlState::InProduction | ControlState::ShuttingDown | ControlState::InCrashRecovery => true,
            ControlState::StartingUp
            | ControlState::ShutDown
            | ControlState::ShutDownInRecovery
            | ControlState::InArchiveRecovery
            | ControlState::Unknown => false,
        }
    }
}

/// The postmaster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Process {
    Absent,
    /// `started`: what `postmaster.pid` says, whole seconds.
    Running {
        pid: u32,
        started: Wall,
    },
}

impl Process {
    pub fn is_running(&self) -> bool {
        match self {
            Process::Absent => false,
            Process::Running { .. } => true,
        }
    }
}

/// What PostgreSQL says when asked.
#[derive(Clone, PartialEq, Debug)]
pub enum Answers {
    /// Not asked: no postmaster, or a job is at work on it.
    Unasked,
    /// Alive but rejects connections: starting up, or shutting down.
    Rejecting,
    /// Alive but did not answer in time, or the query failed.
    Silent {
        because: String,
    },
    Live(Box<Live>),
}

impl Answers {
    pub fn live(&self) -> Option<&Live> {
        match self {
            Answers::Live(live) => Some(live),
            Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => None,
        }
    }
}

/// The monitoring query's answer (postgres.md 3).
#[derive(Clone, PartialEq, Debug)]
pub struct Live {
    pub server_version: PgVersion,
    pub postmaster_start_time: Wall,
    pub standing: Standing,
    pub replication: Vec<WalSender>,
    pub slots: Vec<Slot>,
    /// The current setting; empty when none. Versions before 12: from the recovery configuration.
    pub restore_command: String,
    pub synchronous: Synchronous,
}

impl Live {
    pub fn is_primary(&self) -> bool {
        match self.standing {
            Standing::Primary { .. } => true,
            Standing::Standby(_) => false,
        }
    }

    pub fn standby(&self) -> Option<&Standby> {
        match &self.standing {
            Standing::Primary { .. } => None,
            Standing::Standby(standby) => Some(standby),
        }
    }

    /// The position that is published and compared in the race: a primary's flush position, a standby's largest of
    /// received, written and replayed (ha-loop.md 1.7).
    pub fn wal_position(&self) -> Lsn {
        match &self.standing {
            Standing::Primary { flushed, .. } => *flushed,
            Standing::Standby(standby) => {
                standby.received.unwrap_or_default().max(standby.replayed.unwrap_or_default())
            }
        }
    }

    /// postgres.md 3.5
    pub fn replication_state(&self) -> Option<&'static str> {
        let standby = self.standby()?;
        if standby.receiver.as_ref().is_some_and(|receiver| receiver.status == "streaming") {
            Some("streaming")
        } else if !self.restore_command.is_empty() {
            Some("in archive recovery")
        } else {
            None
        }
    }

    pub fn is_streaming(&self) -> bool {
        self.replication_state() == Some("streaming")
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Standing {
    /// Not in recovery.
    Primary {
        timeline: Timeline,
        flushed: Lsn,
    },
    Standby(Box<Standby>),
}

/// An instance in recovery.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Standby {
    /// Largest of received-and-flushed and (13+) written; `None` before anything was received.
    pub received: Option<Lsn>,
    pub replayed: Option<Lsn>,
    pub replayed_at: Option<Wall>,
    pub replay_paused: bool,
    /// The WAL receiver, if there is one; its timeline is told only with a latest end position (postgres.md 3.1).
    pub receiver: Option<WalReceiver>,
    /// By IDENTIFY_SYSTEM on a local replication connection (postgres.md 3.7); cached while it fits the leader's.
    pub timeline: Option<Timeline>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WalReceiver {
    pub status: String,
    pub timeline: Option<Timeline>,
    pub slot_name: String,
    pub conninfo: String,
    pub latest_end: Option<Lsn>,
}

/// One row of `pg_stat_replication` joined with activity.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WalSender {
    pub pid: i32,
    pub usename: String,
    pub application_name: String,
    pub client_addr: Option<String>,
    pub state: String,
    pub sync_state: String,
    pub sync_priority: i32,
    pub written: Option<Lsn>,
    pub flushed: Option<Lsn>,
    pub replayed: Option<Lsn>,
}

/// One replication slot (postgres.md 15.9).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Slot {
    pub name: String,
    pub logical: bool,
    pub active: bool,
    pub xmin: Option<u32>,
    pub catalog_xmin: Option<u32>,
    pub restart_lsn: Option<Lsn>,
    pub confirmed_flush_lsn: Option<Lsn>,
    pub database: Option<String>,
    pub plugin: Option<String>,
    pub wal_status: Option<String>,
}

/// The raw material of the question "has this data directory left the leader's history?" (ha-loop.md 23.5). The
/// verdict is the core's.
#[derive(Clone, PartialEq, Debug)]
pub enum Divergence {
    Unread(Unread),
    Compared(Box<Comparison>),
}

/// Whose side of the comparison could not be read, and why. Looking again may help with either; what else may be done
/// depends on whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unread {
    /// It is gone, or about to come, or cut off. When it is back it may be on any history: nothing follows from that.
    Leaders(String),
    /// A crash, a server that does not answer, or a rewind that was cut short left it like that. The leader was not asked.
    Ours(String),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::Leaders(why) => write!(f, "the leader cannot be asked: {why}"),
            Unread::Ours(why) => write!(f, "our own data cannot be read: {why}"),
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    pub local_timeline: Timeline,
    pub local_lsn: Lsn,
    /// A standby, or stopped as one.
    pub in_recovery: bool,
    /// Where our server would go on to by itself: as [`Present::newest_timeline`], if its history goes through our
    /// position.
    pub newest_timeline: Timeline,
    /// The history of that timeline: (parent timeline, switchpoint), oldest first. `None`: its file is not here.
    pub local_history: Option<Vec<(Timeline, Lsn)>>,
    pub leader_timeline: Timeline,
    /// The history of the leader's timeline. `None`: not obtained.
    pub leader_history: Option<Vec<(Timeline, Lsn)>>,
    /// Why the leader cannot be taken for a primary: it is in recovery, or did not answer that question. Its timeline may
    /// change any moment. `None`: it is one.
    pub leader_unready: Option<String>,
    pub last_wal: LastWal,
    /// For a cleanly stopped former primary: the end of its shutdown checkpoint record; `None` when unknown.
    pub shutdown_checkpoint_end: Option<Lsn>,
}

/// A timeline, and where it left which other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begun {
    pub timeline: Timeline,
    pub from: (Timeline, Lsn),
}

/// The timelines of a history, (parent timeline, switchpoint), that ends with `last`, oldest first: all of them but the
/// very first, which began with the cluster.
pub fn begun(history: &[(Timeline, Lsn)], last: Timeline) -> impl Iterator<Item = Begun> {
    let timelines = history.iter().skip(1).map(|(timeline, _)| *timeline).chain(std::iter::once(last));
    history.iter().zip(timelines).map(|(from, timeline)| Begun { timeline, from: *from })
}

/// The last timeline on which we and the leader were, as the histories tell it: the same bytes here and there? Two
/// timelines that left the same one at the same place have one history, and nothing else tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastWal {
    Same,
    /// There are two of this number.
    Other(Timeline),
    /// Of no interest, or not to be had here or there.
    Unknown,
}

/// A peer's answer to `GET /patroni`, as far as the race cares (ha-loop.md 12.9). A peer that did not answer, or
/// answered without a WAL position, is `Silent`.
#[derive(Clone, PartialEq, Debug)]
pub enum PeerAnswer {
    Silent { because: String },
    Answered(Box<PeerStatus>),
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct PeerStatus {
    pub in_recovery: bool,
    /// max(received, replayed) of a standby; zero for a primary.
    pub position: Lsn,
    pub timeline: Option<Timeline>,
    /// Of that timeline. `None`: it does not know, or does not tell (the original never does).
    pub origin: Option<Origin>,
    pub tags: crate::Tags,
    pub watchdog_failed: bool,
    /// The body, for the log line.
    pub body: Value,
}

/// How the running recovery configuration compares with the wanted one (postgres.md 11.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecoveryMatch {
    Same,
    /// A reload puts it right.
    Reload(Asks),
    Restart,
}

/// Whom the recovery configuration in force asks for WAL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asks {
    /// As it should; something else is to be put right.
    Wanted,
    Another,
    Nobody,
}

/// A local timeline history file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryFile {
    pub timeline: Timeline,
    pub lines: Vec<(u32, Lsn, String)>,
    /// Modification time of the file, ISO 8601 with the local zone.
    pub modified: String,
}
