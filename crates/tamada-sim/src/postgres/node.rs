//! One host's PostgreSQL: what lies on its disk, what runs, and what the agent's supervisor remembers of it.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tamada_model::{ControlState, Lsn, Role, Slot, State, SystemId, Timeline};

use super::commit::SyncNames;
use super::job::Work;
use super::{Life, Serial, Step};
use crate::wal::{BranchId, Point, Wal, WriteId};
use crate::{Host, Moment};

#[derive(Debug)]
pub(crate) struct Node {
    pub data: Data,
    pub server: Option<Server>,
    pub notes: Supervisor,
    pub work: Option<Work>,
    pub faults: Faults,
    /// Whom commits wait for.
    pub sync: SyncNames,
    /// Whom they will wait for when all processes have heard; what the server shows already. `None`: the same.
    pub sync_asked: Option<SyncNames>,
    /// Counts these wishes.
    pub sync_wishes: u32,
    /// Counts servers, and the times that one began anew: what was meant for an earlier one is out of date.
    pub life: Life,
    /// Counts connections to an upstream.
    pub serial: Serial,
}

/// The data directory.
#[derive(Debug)]
pub(crate) enum Data {
    None,
    /// The rest of a copy, or of an initdb: told as empty.
    Partial,
    Files(Box<Files>),
}

/// A data directory with a database in it.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub system_id: SystemId,
    /// All that is flushed here.
    pub end: Point,
    pub control: Control,
    /// `standby.signal`
    pub signal: bool,
    /// `primary_conninfo`
    pub upstream: Option<Host>,
    pub backup_label: bool,
    /// From whom.
    pub unfinished_rewind: Option<BranchId>,
    pub slots: BTreeMap<String, Slot>,
    /// The newest timeline whose history file lies here: a standby goes on to it, and a promotion begins the next one.
    pub newest: BranchId,
    /// Older WAL is gone.
    pub wal_from: Lsn,
}

/// pg_control.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control {
    pub state: ControlState,
    /// Where the last checkpoint's record begins.
    pub checkpoint: Lsn,
    pub checkpoint_timeline: Timeline,
    /// Where the record ends, if it was the last word of a primary.
    pub checkpoint_end: Option<Lsn>,
    /// A standby's data is in one piece only from here on.
    pub min_recovery: Option<(Timeline, Lsn)>,
}

impl Control {
    /// A primary is the only one that ends like this; a single-user run does as well.
    pub fn is_clean(&self) -> bool {
        match self.state {
            ControlState::ShutDown | ControlState::ShutDownInRecovery => true,
            ControlState::StartingUp
            | ControlState::ShuttingDown
            | ControlState::InCrashRecovery
            | ControlState::InArchiveRecovery
            | ControlState::InProduction
            | ControlState::Unknown => false,
        }
    }
}

/// A postmaster and its children.
#[derive(Debug)]
pub(crate) struct Server {
    pub pid: u32,
    pub launched: Moment,
    pub phase: Phase,
    pub recovery: Option<Recovery>,
    /// Commits whose clients wait.
    pub pending: VecDeque<Pending>,
    /// Walsenders to standbys that are gone without a word.
    pub ghosts: BTreeMap<Host, Moment>,
    /// SIGKILL was sent while the disk hung.
    pub doomed: bool,
    /// It heard SIGINT or SIGQUIT while it was stopped by somebody.
    pub heard: Option<Signal>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    /// A fast shutdown.
    Int,
    /// An immediate one.
    Quit,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Reads its WAL again; nobody may connect yet.
    Starting,
    Running,
    /// A standby on its way to be a primary: still answers as a standby.
    Promoting,
    /// Clients are gone; the last checkpoint is being written.
    ShuttingDown,
    /// pg_control says "shut down"; the standbys are being sent the rest.
    Sending,
    /// Only the archiver and the postmaster are left.
    Archiving,
    /// SIGQUIT was heard.
    Quitting,
}

impl Phase {
    pub fn is_ending(self) -> bool {
        match self {
            Phase::Starting | Phase::Running | Phase::Promoting => false,
            Phase::ShuttingDown | Phase::Sending | Phase::Archiving | Phase::Quitting => true,
        }
    }

    pub fn takes_connections(self) -> bool {
        match self {
            Phase::Running | Phase::Promoting => true,
            Phase::Starting | Phase::ShuttingDown | Phase::Sending | Phase::Archiving | Phase::Quitting => false,
        }
    }
}

/// What a standby does beside answering.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub replayed: Lsn,
    pub replayed_at: Option<Moment>,
    /// A step that replays is under way.
    pub replaying: bool,
    pub paused: bool,
    /// What the WAL receiver told last; lives longer than it does.
    pub received: Option<Lsn>,
    pub receiving: Receiving,
    /// `pg_ctl promote` was heard.
    pub promote: bool,
    /// When it last tried to connect.
    pub tried: Option<Moment>,
    /// Why the last attempt was refused, so that it is said once.
    pub refused: Option<&'static str>,
}

#[derive(Debug)]
pub(crate) enum Receiving {
    /// No upstream configured, or none wanted any more.
    Off,
    /// The next attempt is due; it carries the serial.
    Waiting(Serial),
    Streaming(Link),
}

/// A connection from a standby to its upstream, seen from both sides.
#[derive(Debug)]
pub(crate) struct Link {
    pub serial: Serial,
    pub upstream: Host,
    /// The upstream's server to which it was made.
    pub life: Life,
    /// When what is on its way arrives.
    pub in_flight: Option<Moment>,
    /// Nothing gets through; how long the next attempt waits.
    pub stalled: Option<Duration>,
    /// When both sides last heard of each other.
    pub heard: Moment,
    /// What the standby told to have flushed.
    pub confirmed: Option<Lsn>,
    /// What the upstream told to have.
    pub latest_end: Lsn,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub write: WriteId,
    pub at: Point,
    /// The client has waited long enough for its local part; only standbys are missing.
    pub local: bool,
}

/// What `tamada-postgres` remembers between two looks. Gone with the agent.
#[derive(Clone, Debug)]
pub(crate) struct Supervisor {
    pub role: Role,
    pub state: State,
    pub callback_called: bool,
    pub bootstrapping: bool,
    /// What to tell when a server that starts is ready.
    pub pending_callback: bool,
    /// The last account of pg_control; renewed whenever no postmaster runs.
    pub control: Option<Control>,
    /// A standby's timeline as last asked; asked anew only if it does not fit the leader's.
    pub timeline: Cell<Option<Timeline>>,
    /// By a healthy leader, one after the other.
    pub failed_rewinds: u32,
}

impl Supervisor {
    pub fn new() -> Self {
        Self {
            role: Role::Uninitialized,
            state: State::Stopped,
            callback_called: false,
            bootstrapping: false,
            pending_callback: false,
            control: None,
            timeline: Cell::new(None),
            failed_rewinds: 0,
        }
    }

    /// Somebody is told, or would be if there were a callback.
    pub fn fire(&mut self) {
        self.callback_called |= !self.bootstrapping;
    }

    pub fn forget_data(&mut self) {
        self.control = None;
        self.timeline.set(None);
        self.failed_rewinds = 0;
    }
}

/// What is wrong with this host's PostgreSQL at the moment.
#[derive(Debug)]
pub(crate) struct Faults {
    /// SIGSTOP to all of its processes.
    pub frozen: bool,
    /// The disk answers nobody.
    pub hung: bool,
    /// What was due meanwhile.
    pub postponed: Vec<Step>,
    pub off: bool,
    pub slow: u32,
    pub disk_full: bool,
    pub starts_fail: u32,
    pub clones_fail: u32,
    pub rewinds_fail: u32,
    pub stop_takes: Option<Duration>,
    pub replay_lag: Duration,
    pub archiver_hangs: bool,
}

impl Faults {
    pub fn none() -> Self {
        Self {
            frozen: false,
            hung: false,
            postponed: Vec::new(),
            off: false,
            slow: 1,
            disk_full: false,
            starts_fail: 0,
            clones_fail: 0,
            rewinds_fail: 0,
            stop_takes: None,
            replay_lag: Duration::ZERO,
            archiver_hangs: false,
        }
    }

    pub fn stands_still(&self) -> bool {
        self.frozen || self.hung
    }
}

impl Node {
    pub fn new() -> Self {
        Self {
            data: Data::None,
            server: None,
            notes: Supervisor::new(),
            work: None,
            faults: Faults::none(),
            sync: SyncNames::Nobody,
            sync_asked: None,
            sync_wishes: 0,
            life: 0,
            serial: 0,
        }
    }

    pub fn files(&self) -> Option<&Files> {
        match &self.data {
            Data::None | Data::Partial => None,
            Data::Files(files) => Some(files),
        }
    }

    pub fn files_mut(&mut self) -> Option<&mut Files> {
        match &mut self.data {
            Data::None | Data::Partial => None,
            Data::Files(files) => Some(files),
        }
    }

    /// All that is flushed here, whatever runs.
    pub fn point(&self) -> Option<Point> {
        self.files().map(|files| files.end)
    }

    pub fn recovery(&self) -> Option<&Recovery> {
        self.server.as_ref()?.recovery.as_ref()
    }

    pub fn recovery_mut(&mut self) -> Option<&mut Recovery> {
        self.server.as_mut()?.recovery.as_mut()
    }

    pub fn link(&self) -> Option<&Link> {
        match &self.recovery()?.receiving {
            Receiving::Off | Receiving::Waiting(_) => None,
            Receiving::Streaming(link) => Some(link),
        }
    }

    /// The connection that a step was meant for, if it still is the one.
    pub fn link_mut(&mut self, serial: Serial) -> Option<&mut Link> {
        match &mut self.recovery_mut()?.receiving {
            Receiving::Off | Receiving::Waiting(_) => None,
            Receiving::Streaming(link) => Some(link).filter(|link| link.serial == serial),
        }
    }

    /// Somebody can connect, and is answered.
    pub fn answers(&self) -> bool {
        !self.faults.stands_still() && self.server.as_ref().is_some_and(|server| server.phase.takes_connections())
    }

    /// It takes writes: no standby, not stopping, not hanging.
    pub fn is_writable(&self) -> bool {
        self.answers() && self.server.as_ref().is_some_and(|server| server.recovery.is_none())
    }

    /// How far a standby has come, as a point with the timeline it shows.
    pub fn replayed(&self, wal: &Wal) -> Option<Point> {
        let (branch, _) = self.point()?;
        Some(wal.canonical((branch, self.recovery()?.replayed)))
    }
}
