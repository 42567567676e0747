//! From standby to primary.

use std::time::Duration;

use tamada_model::{JobEnd, Role};

use super::{Doing, Turn};
use crate::Host;
use crate::postgres::Fleet;

impl Fleet {
    pub(super) fn promote(&mut self, host: Host, wait: Duration) -> Turn {
        let role = self.node(host).notes.role;
        if role == Role::Primary {
            return Turn::Next;
        }
        if self.is_cancelled(host) {
            self.finish(host, JobEnd::Cancelled);
            return Turn::Waits;
        }
        let refused = self.pg_ctl_promote(host).err();
        if role != Role::Promoted {
            if let Some(why) = refused {
                return self.fails(host, why);
            }
            self.set_role(host, Role::Promoted);
            self.node_mut(host).notes.fire();
        }
        if self.node(host).is_writable() {
            self.set_role(host, Role::Primary);
            return Turn::Next;
        }
        if self.node(host).server.is_none() {
            self.ends_with(host, JobEnd::StillStarting);
            return Turn::Next;
        }
        self.waits_for(host, Doing::Promoting, Some(wait))
    }
}
