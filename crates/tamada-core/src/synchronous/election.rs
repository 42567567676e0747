//! Who may lead next where commits wait for standbys (ha-loop.md 12.5 rows 8 and 11, 12.7, 12.10, 12.11).

use tamada_model::{Cluster, MemberName, SyncState, SynchronousMode};

use crate::View;
use crate::decision::Unfit;

/// The `sync` key's say in the race; `None`: it has none.
#[derive(Clone, Copy, Debug)]
pub struct Electorate<'c> {
    sync: &'c SyncState,
    by_quorum: bool,
}

pub fn electorate<'c>(view: &View<'_>, cluster: &'c Cluster) -> Option<Electorate<'c>> {
    let by_quorum = super::mode(view.settings) == SynchronousMode::Quorum;
    super::active(view.settings, cluster).map(|sync| Electorate { sync, by_quorum })
}

impl Electorate<'_> {
    /// It is synchronous, or led last: it may have everything that was acknowledged.
    pub fn includes(&self, name: &MemberName) -> bool {
        self.sync.lists(name) || self.led(name)
    }

    pub fn led(&self, name: &MemberName) -> bool {
        self.sync.leader.as_ref() == Some(name)
    }

    pub fn lists(&self, name: &MemberName) -> bool {
        self.sync.lists(name)
    }

    pub fn quorum(&self) -> usize {
        self.sync.quorum as usize
    }

    /// Whether members elect by number.
    pub fn votes(&self) -> bool {
        self.by_quorum
    }

    /// Row 11, which is 8 for whoever is asked to switch over: in quorum mode the votes decide.
    pub fn excludes(&self, me: &MemberName, switchover: bool) -> Option<Unfit> {
        let bound = switchover || !self.by_quorum;
        (bound && !self.includes(me)).then(|| Unfit::NotSynchronous { standbys: self.sync.standbys.clone() })
    }

    /// 12.11: `not_ahead` counts the members of the electorate that answered, and have no more than we.
    pub fn refuses(&self, me: &MemberName, not_ahead: usize, somebody_ahead: bool) -> Option<Unfit> {
        if !self.by_quorum || (self.led(me) && !somebody_ahead) {
            return None;
        }
        // Who is no voter may be the one that does not have it: it needs one more.
        let needed = self.quorum() + usize::from(!self.includes(me));
        (not_ahead < needed).then_some(Unfit::QuorumNotReached { votes: not_ahead, needed })
    }
}
