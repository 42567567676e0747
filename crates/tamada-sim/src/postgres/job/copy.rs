//! A copy of another server's data: what was here is removed first, whether or not the copy then succeeds.

use std::time::Duration;

use tamada_model::{JobEnd, Role, State};

use super::{Doing, Task, Turn};
use crate::Host;
use crate::postgres::node::{Data, Files};
use crate::postgres::{Fleet, Life, Net, Remover};
use crate::wal::segment_start;

const PAUSE: Duration = Duration::from_secs(5);

impl Fleet {
    pub(super) fn copy(&mut self, host: Host, from: Option<Host>, by: Remover, attempt: u8) -> Turn {
        if attempt == 1 {
            self.enter(host, State::CreatingReplica);
            self.node_mut(host).notes.forget_data();
            self.set_role(host, Role::Uninitialized);
        }
        let Some(from) = from else {
            return self.copy_failed(host, JobEnd::Failed("no replica method can be used".to_owned()));
        };
        self.remove(host, by, Data::Partial);
        if self.is_cancelled(host) {
            return self.copy_failed(host, JobEnd::Cancelled);
        }
        let takes = self.takes(host, 20, 100);
        self.works(host, takes, Doing::Connecting { from, by, attempt })
    }

    pub(super) fn begin_copying(
        &mut self,
        host: Host,
        from: Host,
        by: Remover,
        attempt: u8,
        net: &mut dyn Net,
    ) -> Turn {
        if !self.can_be_asked(host, from, net) || self.node(from).files().is_none() {
            return self.copy_again(host, from, by, attempt);
        }
        let life = self.node(from).life;
        let takes = self.takes(host, 2000, 20_000);
        self.works(host, takes, Doing::Copying { from, life, by, attempt })
    }

    pub(super) fn copied(
        &mut self,
        host: Host,
        from: Host,
        life: Life,
        by: Remover,
        attempt: u8,
        net: &mut dyn Net,
    ) -> Turn {
        let faults = &mut self.node_mut(host).faults;
        let fails = faults.clones_fail > 0 || faults.disk_full;
        faults.clones_fail = faults.clones_fail.saturating_sub(1);
        let whole = self.can_be_asked(host, from, net) && self.node(from).life == life;
        let Some(source) = self.node(from).files().filter(|_| whole && !fails).cloned() else {
            return self.copy_again(host, from, by, attempt);
        };
        let node = self.node_mut(host);
        node.data = Data::Files(Box::new(Files {
            signal: false,
            upstream: None,
            backup_label: true,
            unfinished_rewind: None,
            slots: Default::default(),
            wal_from: segment_start(source.control.checkpoint),
            ..source
        }));
        node.notes.forget_data();
        self.enter(host, State::Stopped);
        Turn::Next
    }

    fn copy_again(&mut self, host: Host, from: Host, by: Remover, attempt: u8) -> Turn {
        if attempt == 1 {
            return self.works(host, PAUSE, Doing::Pausing { from, by });
        }
        let why = "pg_basebackup failed twice; its messages are in our log";
        self.copy_failed(host, JobEnd::Failed(why.to_owned()))
    }

    /// What there is of it is removed.
    pub(super) fn copy_failed(&mut self, host: Host, end: JobEnd) -> Turn {
        self.enter(host, State::Stopped);
        self.remove(host, Remover::Clone, Data::None);
        self.set_role(host, Role::Uninitialized);
        if let Some(work) = &mut self.node_mut(host).work {
            work.then.retain(|task| matches!(task, Task::FireRoleChange));
        }
        self.finish(host, end);
        Turn::Waits
    }
}
