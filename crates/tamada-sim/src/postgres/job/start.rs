//! Starting the server, following an upstream by a start or restart, and the first start of all.

use std::collections::BTreeMap;
use std::time::Duration;

use tamada_model::{
    CheckpointFirst, ControlState, JobEnd, Lsn, Role, State, Stop, StopMode, SystemId, Timeline, Upstream,
};

use super::{Doing, Task, Tell, Turn};
use crate::Host;
use crate::postgres::Fleet;
use crate::postgres::node::{Control, Data, Files};
use crate::wal::CHECKPOINT;

const MINUTE: Duration = Duration::from_secs(60);

/// What a start shall be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub role: Role,
    pub limit: Option<Duration>,
    /// Somebody is told when the server is ready.
    pub callback: bool,
}

impl Start {
    pub fn primary(limit: Option<Duration>) -> Self {
        Self { role: Role::Primary, limit, callback: true }
    }
}

impl Fleet {
    pub(super) fn start(&mut self, host: Host, start: Start) -> Turn {
        let node = self.node(host);
        if node.server.is_some() {
            self.enter(host, State::Starting);
            self.ends_with(host, JobEnd::StillStarting);
            return Turn::Next;
        }
        let hopeless = match node.files() {
            None => Some("the data directory has no readable PG_VERSION"),
            Some(files) if files.unfinished_rewind.is_some() => Some("pg_rewind was interrupted in the data directory"),
            Some(_) => None,
        };
        if let Some(why) = hopeless {
            self.start_failed(host, why);
            return Turn::Waits;
        }
        let notes = &mut self.node_mut(host).notes;
        notes.role = start.role;
        notes.pending_callback |= start.callback;
        self.enter(host, State::Starting);
        let takes = self.takes(host, 5, 50);
        self.works(host, takes, Doing::Launching(start))
    }

    pub(super) fn start_failed(&mut self, host: Host, why: &str) {
        self.enter(host, State::StartFailed);
        self.fails(host, why);
    }

    pub(super) fn launch_by_job(&mut self, host: Host, start: Start) -> Turn {
        if self.is_cancelled(host) {
            self.enter(host, State::StartFailed);
            self.finish_restart(host, JobEnd::Cancelled);
            return Turn::Waits;
        }
        let Some(control) = self.node(host).files().map(|files| files.control) else {
            // Somebody has removed the data meanwhile.
            self.start_failed(host, "PostgreSQL ended right after it was launched");
            return Turn::Waits;
        };
        self.node_mut(host).notes.control = Some(control);
        if self.node(host).server.is_none() {
            self.launch(host);
        }
        let limit = start.limit.filter(|limit| !limit.is_zero()).unwrap_or(MINUTE);
        self.waits_for(host, Doing::Starting, Some(limit))
    }

    pub(super) fn stop_and_start(&mut self, host: Host, start: Start) -> Turn {
        if let Some(work) = &mut self.node_mut(host).work {
            work.restarting = true;
        }
        self.enter(host, State::Restarting);
        let stop = Stop {
            mode: StopMode::Fast,
            checkpoint: CheckpointFirst::Yes,
            timeout: None,
            report_shutdown: false,
            purpose: "restart".to_owned(),
        };
        // What ran as a primary starts as one.
        let role = if start.role == Role::Promoted { Role::Primary } else { start.role };
        self.first(host, [Task::Stop(stop, Tell::No), Task::Start(Start { role, ..start })].into_iter());
        Turn::Next
    }

    pub(super) fn follow(&mut self, host: Host, upstream: &Upstream, role: Role, limit: Option<Duration>) -> Turn {
        let (running, changes) = (self.node(host).server.is_some(), self.changes_role(host, role));
        self.write_recovery(host, upstream);
        if changes {
            self.node_mut(host).notes.pending_callback = false;
        }
        let start = Start { role, limit, callback: !changes };
        let start = if running { Task::StopAndStart(start) } else { Task::Start(start) };
        self.first(host, [start].into_iter().chain(changes.then_some(Task::FireRoleChange)));
        Turn::Next
    }

    fn changes_role(&self, host: Host, to: Role) -> bool {
        let notes = &self.node(host).notes;
        notes.callback_called
            && match notes.role {
                Role::Primary | Role::Demoted | Role::Promoted => true,
                Role::Replica => to == Role::StandbyLeader,
                Role::StandbyLeader => to == Role::Replica,
                Role::Uninitialized => false,
            }
    }

    // A new cluster.

    pub(super) fn initdb(&mut self, host: Host) -> Turn {
        let node = self.node_mut(host);
        node.notes.bootstrapping = true;
        node.data = Data::Partial;
        self.enter(host, State::InitDb);
        if self.is_cancelled(host) {
            self.initdb_failed(host, JobEnd::Cancelled);
            return Turn::Waits;
        }
        let takes = self.takes(host, 1000, 3000);
        self.works(host, takes, Doing::Initializing)
    }

    pub(super) fn initdb_failed(&mut self, host: Host, end: JobEnd) {
        self.enter(host, State::InitDbFailed);
        self.finish(host, end);
    }

    pub(super) fn initialized(&mut self, host: Host) -> Turn {
        if self.node(host).faults.disk_full {
            self.initdb_failed(host, JobEnd::Failed("initdb: no space left on device".to_owned()));
            return Turn::Waits;
        }
        let end = self.wal.root(self.now);
        let number = 7_600_000_000_000_000_000 + self.chance.below(1 << 40);
        // Digits, and more than ten of them.
        let Some(system_id) = SystemId::parse(&number.to_string()) else { return Turn::Next };
        let node = self.node_mut(host);
        node.notes.forget_data();
        node.data = Data::Files(Box::new(Files {
            system_id,
            end,
            control: Control {
                state: ControlState::ShutDown,
                checkpoint: Lsn::new(end.1.bytes() - CHECKPOINT),
                checkpoint_timeline: Timeline::FIRST,
                checkpoint_end: Some(end.1),
                min_recovery: None,
            },
            signal: false,
            upstream: None,
            backup_label: false,
            unfinished_rewind: None,
            slots: BTreeMap::new(),
            newest: end.0,
            wal_from: Lsn::ZERO,
        }));
        Turn::Next
    }

    pub(super) fn post_bootstrap(&mut self, host: Host) -> Turn {
        self.set_role(host, Role::Primary);
        let takes = self.takes(host, 50, 400);
        self.works(host, takes, Doing::PostBootstrap)
    }

    pub(super) fn made_usable(&mut self, host: Host) -> Turn {
        if !self.node(host).is_writable() {
            return self.fails(host, "our own server cannot be asked");
        }
        self.node_mut(host).notes.bootstrapping = false;
        Turn::Next
    }
}
