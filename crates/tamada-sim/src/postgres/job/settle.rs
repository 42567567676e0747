//! What the supervisor concludes without a job: when an agent begins, and when a server went on by itself.

use tamada_model::{Role, State};

use crate::postgres::Fleet;
use crate::{Host, Moment};

impl Fleet {
    /// The agent takes charge of what is there when it begins.
    pub fn adopt(&mut self, host: Host, now: Moment) {
        self.now = now;
        let node = self.node_mut(host);
        let signal = node.files().map(|files| files.signal);
        let (answers, standby) = (node.answers(), node.recovery().is_some());
        let phase = node.server.as_ref().map(|server| server.phase);
        let still = node.faults.stands_still();
        let control = node.files().map(|files| files.control);
        let notes = &mut node.notes;
        notes.control = control;
        (notes.state, notes.role) = match (phase, signal) {
            (_, None) => (State::Stopped, Role::Uninitialized),
            (None, Some(signal)) => (State::Stopped, if signal { Role::Replica } else { Role::Demoted }),
            (Some(_), Some(_)) if answers => (State::Running, if standby { Role::Replica } else { Role::Primary }),
            (Some(_), Some(signal)) => {
                let state = if still { State::Running } else { State::Starting };
                (state, if signal { Role::Replica } else { Role::Primary })
            }
        };
    }

    /// What a look finds out when no job is at work: a start-up that was left to itself has ended, either way.
    pub(in crate::postgres) fn settle(&mut self, host: Host) {
        let node = self.node(host);
        if node.work.is_some() {
            return;
        }
        let phase = node.server.as_ref().map(|server| server.phase);
        let starting = node.notes.state.is_starting();
        match phase {
            None if starting => self.node_mut(host).notes.state = State::StartFailed,
            Some(phase) if starting && phase.takes_connections() => self.started(host),
            Some(phase) if !phase.takes_connections() && node.notes.state == State::Running => {
                self.node_mut(host).notes.state = State::Starting;
            }
            None | Some(_) => {}
        }
    }

    pub(super) fn started(&mut self, host: Host) {
        let notes = &mut self.node_mut(host).notes;
        notes.state = State::Running;
        if std::mem::take(&mut notes.pending_callback) {
            notes.fire();
        }
    }
}
