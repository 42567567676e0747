//! Who is known to have everything that was acknowledged without it (postgres.md 16.3).

use std::collections::BTreeSet;

use tamada_model::{Live, Lsn, MemberName, SyncNames};

/// What several looks at PostgreSQL have shown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proof {
    /// The parameter of the last look.
    names: SyncNames,
    in_force: bool,
    /// Where the WAL ended when every commit was known to wait for these names. `None`: not known yet, or a standby.
    since: Option<Lsn>,
    ready: BTreeSet<MemberName>,
    /// Somebody that commits wait for is still on its way.
    awaits: bool,
}

impl Proof {
    /// 1. The parameter is set; b is to be waited for. The server has been told, and we read the new value back.
    /// 2. The checkpointer, which alone tells sessions that there is anybody to wait for, is syncing files, for seconds.
    /// 3. Commits are still acknowledged at once. We take b, which streams, for one that has them all, and name it in
    ///    the key. The primary is lost; b leads without them.
    ///
    /// Therefore a parameter is in force from a look at which the checkpointer was seen to have heard, the value being
    /// old news.
    pub fn look(&mut self, live: &Live) {
        let now = &live.synchronous;
        let is_news = self.names != now.names;
        if is_news {
            // Where a commit waited for so many of several, each of these may lack some.
            let waited_for_all = self.names.count as usize >= self.names.names.len();
            self.ready.retain(|name| waited_for_all && now.names.names.contains(name));
            self.names = now.names.clone();
            self.since = None;
        }
        self.in_force = !now.names.holds_commits() || (!is_news && (self.in_force || now.checkpointer_heard));
        if live.is_primary() {
            self.look_at_standbys(live);
        } else {
            *self = Proof { names: self.names.clone(), in_force: self.in_force, ..Proof::default() };
        }
        self.awaits |= !self.in_force;
    }

    fn look_at_standbys(&mut self, live: &Live) {
        let now = &live.synchronous;
        self.since = self.since.or_else(|| self.in_force.then(|| live.wal_position()));
        self.awaits = false;
        for sender in live.replication.iter().filter(|sender| sender.state == "streaming") {
            let listed = self.names.names.iter().find(|name| name.is_application(&sender.application_name));
            let Some(name) = listed.filter(|name| !self.ready.contains(*name)) else { continue };
            let counts = ["sync", "quorum", "potential"].contains(&sender.sync_state.as_str());
            match (self.since, now.confirmed_by(sender)) {
                (Some(since), Some(confirmed)) if counts && confirmed >= since => {
                    self.ready.insert(name.clone());
                }
                (_, _) => self.awaits = true,
            }
        }
    }

    /// Every commit waits as the parameter says, or will, on a standby that is promoted.
    pub fn is_in_force(&self) -> bool {
        self.in_force
    }

    pub fn is_ready(&self, name: &MemberName) -> bool {
        self.ready.contains(name)
    }

    /// Soon more will be known.
    pub fn awaits(&self) -> bool {
        self.awaits
    }
}
