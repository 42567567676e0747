//! What the world does to PostgreSQL: deaths, stalls, disks, and people with commands of their own.

use std::time::Duration;

use tamada_model::StopMode;

use super::node::{Data, Phase, Signal, Supervisor};
use super::{Fleet, News, Remover, What};
use crate::{Host, Moment};

impl Fleet {
    /// SIGKILL to the postmaster and all of its children.
    pub fn kill_postmaster(&mut self, host: Host, now: Moment) {
        self.now = now;
        if self.node(host).server.is_some() {
            self.kill(host);
        }
    }

    /// A backend dies of a signal; the postmaster begins anew by itself.
    pub fn crash_backend(&mut self, host: Host, now: Moment) {
        self.now = now;
        if !self.node(host).faults.stands_still() {
            self.crash(host);
        }
    }

    /// The host is gone, with its agent. What was flushed lies on its disk; nobody is told anything.
    pub fn power_off(&mut self, host: Host, now: Moment) {
        self.now = now;
        let faults = &mut self.node_mut(host).faults;
        (faults.off, faults.frozen, faults.hung) = (true, false, false);
        faults.postponed.clear();
        self.drop_work(host);
        if self.node(host).server.is_some() {
            self.die(host);
        }
        self.node_mut(host).notes = Supervisor::new();
    }

    /// The host is back; nothing runs there yet.
    pub fn power_on(&mut self, host: Host, now: Moment) {
        self.now = now;
        self.node_mut(host).faults.off = false;
    }

    /// SIGSTOP to all processes of the server.
    pub fn freeze(&mut self, host: Host) {
        self.node_mut(host).faults.frozen = true;
    }

    pub fn thaw(&mut self, host: Host, now: Moment) {
        self.now = now;
        self.node_mut(host).faults.frozen = false;
        self.go_on(host);
    }

    /// The disk answers nobody until then. Processes that wait for it cannot even be killed.
    pub fn hang(&mut self, host: Host, until: Moment) {
        self.node_mut(host).faults.hung = true;
        self.at(until, host, What::DiskAnswers);
    }

    pub(super) fn disk_answers(&mut self, host: Host) {
        self.node_mut(host).faults.hung = false;
        self.go_on(host);
    }

    /// What was due meanwhile is due now; what was signalled meanwhile is heard first.
    fn go_on(&mut self, host: Host) {
        if self.node(host).faults.stands_still() || self.node(host).faults.off {
            return;
        }
        for step in std::mem::take(&mut self.node_mut(host).faults.postponed) {
            self.agenda.push((self.now, step.host, step));
        }
        let Some(server) = &mut self.node_mut(host).server else { return };
        let (doomed, heard) = (server.doomed, server.heard.take());
        let promote =
            server.phase == Phase::Running && server.recovery.as_ref().is_some_and(|recovery| recovery.promote);
        match heard {
            _ if doomed => self.die(host),
            Some(Signal::Int) => self.stop_fast(host),
            Some(Signal::Quit) => self.quit(host),
            None if promote => self.begin_promotion(host),
            None => self.release(host),
        }
    }

    /// Everything takes so many times as long.
    pub fn slow(&mut self, host: Host, factor: u32, now: Moment) {
        self.now = now;
        let before = std::mem::replace(&mut self.node_mut(host).faults.slow, factor.max(1));
        self.change_pace(host, before, factor.max(1));
        let starts = self.node(host).server.as_ref().filter(|server| server.phase == Phase::Starting);
        if starts.is_some() && factor.max(1) < before {
            let (life, takes) = (self.node(host).life, self.start_takes(host, true));
            self.later(host, takes, What::Ready(life));
        }
    }

    pub fn disk_full(&mut self, host: Host, full: bool) {
        self.node_mut(host).faults.disk_full = full;
    }

    /// The next so many starts fail.
    pub fn starts_fail(&mut self, host: Host, times: u32) {
        self.node_mut(host).faults.starts_fail = times;
    }

    pub fn clones_fail(&mut self, host: Host, times: u32) {
        self.node_mut(host).faults.clones_fail = times;
    }

    pub fn rewinds_fail(&mut self, host: Host, times: u32) {
        self.node_mut(host).faults.rewinds_fail = times;
    }

    /// How long a fast stop works on its last checkpoint; `None`: as usual, and one that runs is soon done.
    pub fn stop_takes(&mut self, host: Host, span: Option<Duration>, now: Moment) {
        self.now = now;
        self.node_mut(host).faults.stop_takes = span;
        let (life, server) = (self.node(host).life, &self.node(host).server);
        if span.is_none() && server.as_ref().is_some_and(|server| server.phase == Phase::ShuttingDown) {
            let takes = self.takes(host, 100, 1000);
            self.later(host, takes, What::ShutDown(life));
        }
    }

    pub fn replay_lag(&mut self, host: Host, lag: Duration, now: Moment) {
        self.now = now;
        self.node_mut(host).faults.replay_lag = lag;
        self.catch_up(host);
    }

    /// `pg_wal_replay_pause()`, or its opposite.
    pub fn pause_replay(&mut self, host: Host, paused: bool, now: Moment) {
        self.now = now;
        if let Some(recovery) = self.node_mut(host).recovery_mut() {
            recovery.paused = paused;
        }
        self.catch_up(host);
    }

    /// All WAL but the last segment's end is gone: nobody behind it can stream from here or be rewound.
    pub fn lose_wal(&mut self, host: Host) {
        if let Some(files) = self.node_mut(host).files_mut() {
            files.wal_from = files.end.1;
            for slot in files.slots.values_mut().filter(|slot| slot.restart_lsn < Some(files.wal_from)) {
                slot.wal_status = Some("lost".to_owned());
                slot.restart_lsn = None;
            }
        }
    }

    pub fn archiver_hangs(&mut self, host: Host, hangs: bool, now: Moment) {
        self.now = now;
        let node = self.node_mut(host);
        node.faults.archiver_hangs = hangs;
        let life = node.life;
        let waits = node.server.as_ref().is_some_and(|server| server.phase == Phase::Archiving);
        if waits && !hangs {
            self.later(host, Duration::from_millis(5), What::Archived(life));
        }
    }

    /// All that was wrong with this host's PostgreSQL is over.
    pub fn heal(&mut self, host: Host, now: Moment) {
        self.archiver_hangs(host, false, now);
        let faults = &mut self.node_mut(host).faults;
        let (off, postponed) = (faults.off, std::mem::take(&mut faults.postponed));
        *faults = super::node::Faults { off, postponed, ..super::node::Faults::none() };
        self.catch_up(host);
        self.go_on(host);
    }

    // By hand.

    /// `pg_ctl promote` by a person.
    pub fn promote_by_hand(&mut self, host: Host, now: Moment) {
        self.now = now;
        let refused = self.pg_ctl_promote(host).err();
        self.note(host, refused.unwrap_or("promoted by hand"));
    }

    /// `pg_ctl start` by a person.
    pub fn start_by_hand(&mut self, host: Host, now: Moment) {
        self.now = now;
        let node = self.node(host);
        let possible = node.server.is_none() && node.files().is_some_and(|files| files.unfinished_rewind.is_none());
        if possible && !node.faults.off {
            self.launch(host);
        }
    }

    /// `pg_ctl stop` by a person.
    pub fn stop_by_hand(&mut self, host: Host, mode: StopMode, now: Moment) {
        self.now = now;
        match mode {
            StopMode::Fast => self.stop_fast(host),
            StopMode::Immediate => self.quit(host),
        }
        self.settle(host);
    }

    /// `rm -rf`: the server does not live long without its files.
    pub fn wipe_data(&mut self, host: Host, now: Moment) {
        self.now = now;
        self.remove(host, Remover::Hand, Data::None);
        if self.node(host).server.is_some() {
            self.kill(host);
        }
    }

    /// Empties the data directory, or leaves in it what is told as nothing.
    pub(super) fn remove(&mut self, host: Host, by: Remover, leaves: Data) {
        if let Some(had) = self.node(host).point() {
            self.tell(News::Removed { host, by, had });
        }
        self.hang_up(host);
        let node = self.node_mut(host);
        node.data = leaves;
        node.notes.forget_data();
    }

    // The agent itself.

    /// The agent ends without a word: what it ran is cut, the server lives on.
    pub fn agent_dies(&mut self, host: Host, now: Moment) {
        self.now = now;
        self.drop_work(host);
        self.node_mut(host).notes = Supervisor::new();
    }
}
