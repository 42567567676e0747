//! Emptying the data directory, and making sure that it is empty.

use tamada_model::{Role, State};

use super::Turn;
use crate::Host;
use crate::postgres::node::Data;
use crate::postgres::{Fleet, Remover};

impl Fleet {
    pub(super) fn check_empty(&mut self, host: Host) -> Turn {
        match &self.node(host).data {
            Data::None | Data::Partial => Turn::Next,
            Data::Files(_) => self.fails(host, "the data directory is not empty"),
        }
    }

    pub(super) fn remove_by_job(&mut self, host: Host, by: Remover) -> Turn {
        self.remove(host, by, Data::None);
        self.set_role(host, Role::Uninitialized);
        match by {
            Remover::AbandonBootstrap => self.node_mut(host).notes.bootstrapping = false,
            Remover::RemoveData => self.enter(host, State::Stopped),
            Remover::Clone | Remover::Reinitialize | Remover::Hand => {}
        }
        Turn::Next
    }
}
