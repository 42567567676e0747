//! Clients' transactions: flushed here at once, acknowledged when those who were asked for have flushed them too.

use std::time::Duration;

use tamada_model::{Lsn, MemberName, SyncWay};

use super::node::{Link, Pending};
use super::{Fleet, Net, News, What};
use crate::Host;
use crate::wal::{WriteId, Written};

/// `synchronous_standby_names`
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyncNames {
    Nobody,
    /// The first so many of the list that are connected.
    First(usize, Vec<Host>),
    /// So many of the list, whoever they are.
    Any(usize, Vec<Host>),
}

impl SyncNames {
    pub fn of(names: &tamada_model::SyncNames) -> Self {
        let count = names.count as usize;
        let hosts = names.names.iter().filter_map(|name| Host::named(name.as_str())).collect();
        match names.way {
            SyncWay::Off => SyncNames::Nobody,
            SyncWay::Priority => SyncNames::First(count, hosts),
            SyncWay::Quorum => SyncNames::Any(count, hosts),
        }
    }

    pub fn in_words(&self) -> tamada_model::SyncNames {
        let (way, count, hosts) = match self {
            SyncNames::Nobody => return tamada_model::SyncNames::off(),
            SyncNames::First(count, hosts) => (SyncWay::Priority, *count, hosts),
            SyncNames::Any(count, hosts) => (SyncWay::Quorum, *count, hosts),
        };
        tamada_model::SyncNames::new(way, count, hosts.iter().map(|host| MemberName::new(host.name())).collect())
    }

    /// What `pg_stat_replication.sync_state` shows, and the priority.
    pub(crate) fn state_of(&self, standby: Host, connected: &[Host]) -> (&'static str, i32) {
        let place = |names: &[Host]| names.iter().position(|name| *name == standby);
        match self {
            SyncNames::Nobody => ("async", 0),
            SyncNames::Any(_, names) => place(names).map_or(("async", 0), |_| ("quorum", 1)),
            SyncNames::First(count, names) => {
                let Some(place) = place(names) else { return ("async", 0) };
                let before = names[..place].iter().filter(|name| connected.contains(name)).count();
                (if before < *count { "sync" } else { "potential" }, place as i32 + 1)
            }
        }
    }
}

impl Fleet {
    /// The list in force on this host; whoever waits is judged by it at once.
    pub fn set_sync_names(&mut self, host: Host, names: SyncNames, now: crate::Moment) {
        self.now = now;
        self.node_mut(host).sync = names;
        self.release(host);
    }

    /// The agent's wish: the file is written and the server told. It shows the new value at once; the checkpointer, which
    /// tells sessions that there is anybody to wait for, may be busy for long.
    pub(super) fn ask_for_sync_names(&mut self, host: Host, names: &tamada_model::SyncNames) {
        let busy = self.chance.happens(1, 8);
        let longest = Duration::from_secs(4);
        let takes = if busy { self.chance.between(Duration::ZERO, longest) } else { Duration::from_millis(3) };
        let node = self.node_mut(host);
        node.sync_wishes += 1;
        node.sync_asked = Some(SyncNames::of(names));
        let heard = What::SyncNames(node.sync_wishes);
        self.later(host, takes, heard);
    }

    pub(super) fn sync_names_heard(&mut self, host: Host, wish: u32) {
        let node = self.node_mut(host);
        // A later wish is heard later.
        if node.sync_wishes != wish {
            return;
        }
        node.sync = node.sync_asked.take().unwrap_or_else(|| node.sync.clone());
        self.release(host);
    }

    pub fn sync_names(&self, host: Host) -> &SyncNames {
        &self.node(host).sync
    }

    pub(super) fn execute(&mut self, host: Host, write: WriteId, net: &mut dyn Net) -> bool {
        let node = self.node(host);
        if !node.is_writable() {
            return false;
        }
        if node.faults.disk_full {
            self.note(host, "PANIC: could not write to the WAL: no space left on device");
            self.tell(News::Failed { write, certain: true });
            self.die(host);
            return true;
        }
        let Some(at) = node.point() else { return false };
        let life = node.life;
        let at = self.wal.append(at, Written::Write(write), self.now);
        self.flushed(host, at);
        if let Some(server) = &mut self.node_mut(host).server {
            server.pending.push_back(Pending { write, at, local: false });
        }
        let soon = self.chance.between(Duration::from_micros(200), Duration::from_millis(2));
        let soon = soon * self.node(host).faults.slow;
        self.later(host, soon, What::Acknowledge(life, write));
        self.feed(host, net);
        true
    }

    pub(super) fn flushed(&mut self, host: Host, end: crate::wal::Point) {
        if let Some(files) = self.node_mut(host).files_mut() {
            files.end = end;
        }
        self.learn_timeline(host, end.0);
    }

    /// All but the standbys' part of a commit is over.
    pub(super) fn locally_done(&mut self, host: Host, write: WriteId) {
        let Some(server) = &mut self.node_mut(host).server else { return };
        for pending in server.pending.iter_mut().filter(|pending| pending.write == write) {
            pending.local = true;
        }
        self.release(host);
    }

    /// Tells those clients whose commits need to wait no longer.
    pub(super) fn release(&mut self, host: Host) {
        let node = self.node(host);
        if node.faults.stands_still() || node.server.as_ref().is_none_or(|server| server.pending.is_empty()) {
            return;
        }
        let synced = self.synced(host);
        loop {
            let Some(server) = &mut self.node_mut(host).server else { return };
            let ready = |pending: &&Pending| pending.local && synced.is_none_or(|synced| pending.at.1 <= synced);
            let Some(Pending { write, at, .. }) = server.pending.front().filter(ready).copied() else { return };
            server.pending.pop_front();
            self.tell(News::Acked { write, host, at });
        }
    }

    /// Up to where enough standbys have confirmed; `None` when nobody is waited for.
    fn synced(&self, host: Host) -> Option<Lsn> {
        let confirmed = |name: &Host| self.sender(host, *name).map(|link| link.confirmed.unwrap_or_default());
        match &self.node(host).sync {
            SyncNames::Nobody | SyncNames::First(0, _) | SyncNames::Any(0, _) => None,
            SyncNames::First(count, names) => {
                let first: Vec<Lsn> = names.iter().filter_map(confirmed).take(*count).collect();
                Some(first.iter().min().filter(|_| first.len() >= *count).copied().unwrap_or_default())
            }
            SyncNames::Any(count, names) => {
                let mut all: Vec<Lsn> = names.iter().filter_map(confirmed).collect();
                all.sort_unstable_by(|a, b| b.cmp(a));
                Some(count.checked_sub(1).and_then(|last| all.get(last)).copied().unwrap_or_default())
            }
        }
    }

    /// The connection over which `standby` streams from `host`.
    pub(super) fn sender(&self, host: Host, standby: Host) -> Option<&Link> {
        let life = self.node(host).life;
        self.node(standby).link().filter(|link| link.upstream == host && link.life == life)
    }

    /// Those who stream from here.
    pub(super) fn standbys(&self, host: Host) -> impl Iterator<Item = Host> + '_ {
        self.hosts().filter(move |standby| self.sender(host, *standby).is_some())
    }

    /// Clients are cut off; what they were waiting for may have happened.
    pub(super) fn fail_pending(&mut self, host: Host) {
        let Some(server) = &mut self.node_mut(host).server else { return };
        for pending in std::mem::take(&mut server.pending) {
            self.tell(News::Failed { write: pending.write, certain: false });
        }
    }
}
