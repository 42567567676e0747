//! What the bell is rung for.

use tamada_wire::keys::{CONFIG, FAILOVER, FAILSAFE, HISTORY, INITIALIZE, LEADER, MEMBERS, STATUS, SYNC};

use super::txn::Key;

/// A part of the cluster that changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Changed {
    Leader,
    Config,
    Failover,
    Sync,
    Initialize,
    /// A member came or went.
    Members,
    /// What a member tells about itself.
    Member,
    Status,
    Failsafe,
    History,
    Other,
}

/// What happened to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Happened {
    Created,
    Overwritten,
    Deleted,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Changes(u16);

impl Changes {
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn has(self, changed: Changed) -> bool {
        self.0 & bit(changed) != 0
    }

    /// Whether the bell rings for a member. One that leads is not told of `status`, which it writes itself.
    pub fn concern(self, leads: bool) -> bool {
        use Changed::{Config, Failover, Initialize, Leader, Members, Status, Sync};
        let all = [Leader, Config, Failover, Sync, Initialize, Members].into_iter().map(bit).sum::<u16>();
        self.0 & all != 0 || (!leads && self.has(Status))
    }

    pub(super) fn add(&mut self, key: &Key, happened: Happened) {
        self.0 |= bit(part(key, happened));
    }
}

fn bit(changed: Changed) -> u16 {
    1 << changed as u16
}

fn part(key: &str, happened: Happened) -> Changed {
    match key {
        LEADER => Changed::Leader,
        CONFIG => Changed::Config,
        FAILOVER => Changed::Failover,
        SYNC => Changed::Sync,
        INITIALIZE => Changed::Initialize,
        STATUS => Changed::Status,
        FAILSAFE => Changed::Failsafe,
        HISTORY => Changed::History,
        member if member.starts_with(MEMBERS) => match happened {
            Happened::Created | Happened::Deleted => Changed::Members,
            Happened::Overwritten => Changed::Member,
        },
        _ => Changed::Other,
    }
}
