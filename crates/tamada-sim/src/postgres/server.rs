//! A server's life: launched, ready, promoted, crashed, stopped in PostgreSQL's order, gone.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tamada_model::{ControlState, Lsn, ShutdownPosition};

use super::job::Heard;
use super::node::{Control, Phase, Receiving, Recovery, Server, Signal};
use super::{Fleet, Net, News, SyncNames, What};
use crate::Host;
use crate::wal::{CHECKPOINT, Written};

/// Why `pg_ctl promote` was refused.
pub(super) type Refused = &'static str;

impl Fleet {
    /// Launches a postmaster on what lies there; it becomes what the files say.
    pub(super) fn launch(&mut self, host: Host) {
        self.leave_wal_of_others(host);
        let fails = self.start_is_hopeless(host);
        self.next_pid += 1;
        let (pid, launched) = (self.next_pid, self.now);
        let node = self.node_mut(host);
        node.life += 1;
        node.notes.timeline.set(None);
        let Some(files) = node.files_mut() else { return };
        let dirty = !files.control.is_clean();
        let signal = files.signal;
        files.backup_label = false;
        files.control.state = match (signal, dirty) {
            (true, _) => ControlState::InArchiveRecovery,
            (false, true) => ControlState::InCrashRecovery,
            (false, false) => ControlState::StartingUp,
        };
        if signal {
            // Written before anything is replayed: from now on this is a standby's data, whatever it was.
            let checkpoint = (files.control.checkpoint_timeline, files.control.checkpoint);
            files.control.min_recovery.get_or_insert(checkpoint);
        }
        files.slots.values_mut().for_each(|slot| slot.active = false);
        let recovery = signal.then(|| Recovery::new(files.end.1));
        // All processes begin with what is in the file; where nobody commits, the agent has written nobody.
        let asked = node.sync_asked.take().unwrap_or_else(|| node.sync.clone());
        node.sync = if signal { SyncNames::Nobody } else { asked };
        node.server = Some(Server {
            pid,
            launched,
            phase: Phase::Starting,
            recovery,
            pending: VecDeque::new(),
            ghosts: BTreeMap::new(),
            doomed: false,
            heard: None,
        });
        let life = node.life;
        let takes = self.start_takes(host, dirty);
        self.later(host, takes, if fails { What::StartFails(life) } else { What::Ready(life) });
    }

    /// A standby reads the WAL of the timelines that lead to the newest one it has heard of. What lies beside them counts no
    /// more.
    fn leave_wal_of_others(&mut self, host: Host) {
        let Some(files) = self.node(host).files().filter(|files| files.signal) else { return };
        let control = &files.control;
        let replayed = control.min_recovery.unwrap_or((control.checkpoint_timeline, control.checkpoint));
        let heads_for = self.heads_for(files, replayed.0, replayed.1);
        let end = self.wal.fork(files.end, (heads_for, self.wal.branch(heads_for).end));
        if self.wal.limit(heads_for, files.end).is_none() && end.1 >= replayed.1 {
            self.flushed(host, end);
        }
    }

    fn start_is_hopeless(&mut self, host: Host) -> bool {
        let faults = &mut self.node_mut(host).faults;
        let fails = faults.disk_full || faults.starts_fail > 0;
        faults.starts_fail = faults.starts_fail.saturating_sub(1);
        fails
    }

    /// Longer after a crash, and longest after one with much WAL.
    pub(super) fn start_takes(&mut self, host: Host, dirty: bool) -> Duration {
        let clean = self.takes(host, 200, 2000);
        let again = if dirty { self.takes(host, 50, 1500) } else { Duration::ZERO };
        clean + again
    }

    /// It has read its WAL, and lets people in.
    pub(super) fn ready(&mut self, host: Host, net: &mut dyn Net) {
        let Some(server) = &mut self.node_mut(host).server else { return };
        if server.phase != Phase::Starting {
            return;
        }
        server.phase = Phase::Running;
        match &server.recovery {
            Some(recovery) => {
                let promote = recovery.promote;
                self.standby_is_ready(host, promote);
            }
            None => self.primary_is_ready(host, net),
        }
        self.work_hears(host, Heard::Ready);
        self.settle(host);
    }

    fn standby_is_ready(&mut self, host: Host, promote: bool) {
        self.catch_up(host);
        if promote { self.begin_promotion(host) } else { self.seek(host, Duration::ZERO) }
    }

    fn primary_is_ready(&mut self, host: Host, net: &mut dyn Net) {
        let Some(files) = self.node(host).files() else { return };
        if files.control.state == ControlState::InCrashRecovery {
            self.write_checkpoint(host, Written::ShutdownCheckpoint, ControlState::InProduction);
        } else if let Some(files) = self.node_mut(host).files_mut() {
            files.control.state = ControlState::InProduction;
        }
        self.tell(News::Writable { host });
        self.feed(host, net);
    }

    /// Writes a checkpoint's record behind everything, and pg_control.
    fn write_checkpoint(&mut self, host: Host, what: Written, state: ControlState) {
        let Some(at) = self.node(host).point() else { return };
        let end = self.wal.append(at, what, self.now);
        let timeline = self.wal.timeline(end.0);
        if let Some(files) = self.node_mut(host).files_mut() {
            files.end = end;
            files.control = Control {
                state,
                checkpoint: Lsn::new(end.1.bytes() - CHECKPOINT),
                checkpoint_timeline: timeline,
                checkpoint_end: (state == ControlState::ShutDown).then_some(end.1),
                min_recovery: None,
            };
        }
    }

    pub(super) fn checkpoint_online(&mut self, host: Host, net: &mut dyn Net) {
        if !self.node(host).is_writable() {
            return;
        }
        if self.node(host).faults.disk_full {
            return self.die(host);
        }
        self.write_checkpoint(host, Written::OnlineCheckpoint, ControlState::InProduction);
        self.feed(host, net);
    }

    /// Whether pg_control shows the timeline that is written on. Until then nobody can be rewound from here.
    pub(super) fn has_checkpoint(&self, host: Host) -> bool {
        self.node(host).files().is_some_and(|files| {
            files.control.checkpoint_timeline == self.wal.timeline(files.end.0) && self.node(host).is_writable()
        })
    }

    pub(super) fn ask_for_checkpoint(&mut self, host: Host) {
        let life = self.node(host).life;
        let takes = self.takes(host, 20, 400);
        self.later(host, takes, What::CheckpointAsked(life));
    }

    pub(super) fn checkpoint_asked(&mut self, host: Host, life: super::Life, net: &mut dyn Net) {
        if self.is_alive(host, life) && !self.has_checkpoint(host) {
            self.checkpoint_online(host, net);
        }
        let done = self.is_alive(host, life) && self.has_checkpoint(host);
        self.tell(News::Checkpointed { host, done });
    }

    // Promotion.

    /// `pg_ctl promote`. It is heard by whoever is still in recovery.
    pub(super) fn pg_ctl_promote(&mut self, host: Host) -> Result<(), Refused> {
        let Some(server) = &mut self.node_mut(host).server else { return Err("pg_ctl: PID file does not exist") };
        let Some(recovery) = &mut server.recovery else {
            return Err("pg_ctl: cannot promote server; server is not in standby mode");
        };
        recovery.promote = true;
        if server.phase == Phase::Running && !self.node(host).faults.stands_still() {
            self.begin_promotion(host);
        }
        Ok(())
    }

    /// Receiving ends; what was received is replayed first.
    pub(super) fn begin_promotion(&mut self, host: Host) {
        self.hang_up(host);
        let node = self.node_mut(host);
        let (life, lag) = (node.life, node.faults.replay_lag);
        let Some(server) = &mut node.server else { return };
        server.phase = Phase::Promoting;
        let end = node.point().map(|(_, end)| end);
        let behind = node.recovery().is_some_and(|recovery| Some(recovery.replayed) != end);
        let takes = self.takes(host, 20, 500) + if behind { lag.min(MOST_LAG) } else { Duration::ZERO };
        self.later(host, takes, What::Promoted(life));
    }

    pub(super) fn promoted(&mut self, host: Host, net: &mut dyn Net) {
        let node = self.node(host);
        let (Some(server), Some(files)) = (&node.server, node.files()) else { return };
        if server.phase != Phase::Promoting {
            return;
        }
        let from = files.end;
        let timeline = self.wal.timeline(files.newest).next();
        let at = self.wal.promote(from, timeline, self.now);
        let end = self.wal.append(at, Written::EndOfRecovery, self.now);
        let node = self.node_mut(host);
        let life = node.life;
        if let Some(server) = &mut node.server {
            server.phase = Phase::Running;
            server.recovery = None;
        }
        if let Some(files) = node.files_mut() {
            files.end = end;
            files.newest = end.0;
            files.signal = false;
            files.control.state = ControlState::InProduction;
            files.control.min_recovery = Some((timeline, end.1));
        }
        self.tell(News::Promoted { host, branch: end.0 });
        self.tell(News::Writable { host });
        let checkpoint = self.takes(host, 1000, 30_000);
        self.later(host, checkpoint, What::Checkpoint(life));
        // Whoever cascades from here hears that the timeline has ended, and asks for the next one.
        self.close_standbys(host);
        self.feed(host, net);
        self.work_hears(host, Heard::Writable);
    }

    // Stopping.

    /// SIGINT: clients first, then the checkpoint, then the standbys, then the archive.
    pub(super) fn stop_fast(&mut self, host: Host) {
        let still = self.node(host).faults.stands_still();
        let life = self.node(host).life;
        let Some(server) = &mut self.node_mut(host).server else { return };
        if still {
            server.heard.get_or_insert(Signal::Int);
            return;
        }
        match server.phase {
            Phase::Starting => self.quit(host),
            Phase::Running | Phase::Promoting => {
                server.phase = Phase::ShuttingDown;
                let standby = server.recovery.is_some();
                if let Some(files) = self.node_mut(host).files_mut().filter(|_| !standby) {
                    files.control.state = ControlState::ShuttingDown;
                }
                self.fail_pending(host);
                self.hang_up(host);
                let takes = self.takes(host, 100, 1000);
                let takes = self.node(host).faults.stop_takes.unwrap_or(takes);
                self.later(host, takes, What::ShutDown(life));
            }
            Phase::ShuttingDown | Phase::Sending | Phase::Archiving | Phase::Quitting => {}
        }
    }

    /// SIGQUIT: everything ends as it is.
    pub(super) fn quit(&mut self, host: Host) {
        let still = self.node(host).faults.stands_still();
        let life = self.node(host).life;
        let Some(server) = &mut self.node_mut(host).server else { return };
        if still {
            server.heard = Some(Signal::Quit);
            return;
        }
        if server.phase == Phase::Quitting {
            return;
        }
        server.phase = Phase::Quitting;
        self.fail_pending(host);
        self.hang_up(host);
        let takes = self.takes(host, 2, 20);
        self.later(host, takes, What::Gone(life));
    }

    /// SIGKILL to all of it: at once, unless the disk holds them.
    pub(super) fn kill(&mut self, host: Host) {
        if self.node(host).faults.hung {
            if let Some(server) = &mut self.node_mut(host).server {
                server.doomed = true;
            }
            return;
        }
        self.die(host);
    }

    /// The last checkpoint is written: pg_control says so from now on, and nothing will be added to the WAL.
    pub(super) fn shut_down(&mut self, host: Host, net: &mut dyn Net) {
        let node = self.node(host);
        if node.server.as_ref().is_none_or(|server| server.phase != Phase::ShuttingDown) {
            return;
        }
        if node.faults.disk_full {
            return self.die(host);
        }
        let life = node.life;
        match node.recovery().map(|recovery| recovery.replayed) {
            Some(replayed) => self.restartpoint(host, replayed, ControlState::ShutDownInRecovery),
            None => {
                self.write_checkpoint(host, Written::ShutdownCheckpoint, ControlState::ShutDown);
                self.feed(host, net);
            }
        }
        if let Some(server) = &mut self.node_mut(host).server {
            server.phase = Phase::Sending;
        }
        if let Some(position) = self.shutdown_position(host) {
            self.work_hears(host, Heard::ShutDown(position));
        }
        self.later(host, self.traits.silence, What::SendingLate(life));
        self.check_sent(host);
    }

    /// A standby cannot write a checkpoint of its own; it notes how far its files have come.
    fn restartpoint(&mut self, host: Host, replayed: Lsn, state: ControlState) {
        let Some((branch, _)) = self.node(host).point() else { return };
        let at = self.wal.canonical((branch, replayed));
        let timeline = self.wal.timeline(at.0);
        let restart_point = self.wal.last_checkpoint(at);
        if let Some(files) = self.node_mut(host).files_mut() {
            files.control.state = state;
            if let Some((begins, timeline)) = restart_point.filter(|(begins, _)| *begins > files.control.checkpoint) {
                (files.control.checkpoint, files.control.checkpoint_timeline) = (begins, timeline);
            }
            files.control.min_recovery = Some((timeline, replayed));
        }
    }

    /// Where a cleanly stopped primary's WAL ends.
    pub(super) fn shutdown_position(&self, host: Host) -> Option<ShutdownPosition> {
        let control = &self.node(host).files()?.control;
        let checkpoint = control.checkpoint;
        (control.state == ControlState::ShutDown).then_some(ShutdownPosition { checkpoint, publish: checkpoint })
    }

    /// The walsenders leave when their standbys have confirmed everything.
    pub(super) fn check_sent(&mut self, host: Host) {
        let node = self.node(host);
        let Some(server) = &node.server else { return };
        let end = node.point().map(|(_, end)| end);
        let waits = self.standbys(host).any(|standby| {
            let standby = self.node(standby);
            standby.link().and_then(|link| link.confirmed) < end
        });
        let haunted = server.ghosts.values().any(|until| *until > self.now);
        if server.phase == Phase::Sending && !waits && !haunted {
            self.begin_archiving(host);
        }
    }

    pub(super) fn sending_late(&mut self, host: Host) {
        if self.node(host).server.as_ref().is_some_and(|server| server.phase == Phase::Sending) {
            self.begin_archiving(host);
        }
    }

    fn begin_archiving(&mut self, host: Host) {
        let node = self.node_mut(host);
        let (life, hangs) = (node.life, node.faults.archiver_hangs);
        if let Some(server) = &mut node.server {
            server.phase = Phase::Archiving;
        }
        if !hangs {
            let takes = self.takes(host, 2, 30);
            self.later(host, takes, What::Archived(life));
        }
    }

    pub(super) fn archived(&mut self, host: Host) {
        let node = self.node(host);
        let archiving = node.server.as_ref().is_some_and(|server| server.phase == Phase::Archiving);
        if archiving && !node.faults.archiver_hangs {
            self.die(host);
        }
    }

    /// The postmaster is gone, with everything that was only in memory.
    pub(super) fn die(&mut self, host: Host) {
        self.vanish(host);
        if !self.node(host).faults.off {
            self.tell(News::PostmasterGone { host });
        }
        self.work_hears(host, Heard::Gone);
        self.settle(host);
    }

    /// What dying does to everybody else.
    fn vanish(&mut self, host: Host) {
        self.fail_pending(host);
        self.hang_up(host);
        self.close_standbys(host);
        self.disconnect_readers(host);
        self.leave_min_recovery(host);
        let node = self.node_mut(host);
        node.server = None;
        node.life += 1;
        node.notes.timeline.set(None);
    }

    /// How far a standby's files had come is noted only now and then; afterwards it may be anything up to the truth.
    fn leave_min_recovery(&mut self, host: Host) {
        let Some(replayed) = self.node(host).recovery().map(|recovery| recovery.replayed) else { return };
        let dirty = self.node(host).files().is_some_and(|files| !files.control.is_clean());
        if dirty && self.chance.happens(1, 2) {
            self.restartpoint(host, replayed, ControlState::InArchiveRecovery);
        }
    }

    /// A backend died of a signal: the postmaster ends all others and begins anew by itself.
    pub(super) fn crash(&mut self, host: Host) {
        let Some(server) = &self.node(host).server else { return };
        if server.phase == Phase::Starting {
            // It gives up when recovery itself fails.
            return self.die(host);
        }
        if server.phase.is_ending() {
            return self.quit(host);
        }
        self.fail_pending(host);
        self.hang_up(host);
        self.close_standbys(host);
        self.disconnect_readers(host);
        self.leave_min_recovery(host);
        let node = self.node_mut(host);
        node.life += 1;
        let (life, end) = (node.life, node.point().map_or(Lsn::ZERO, |(_, end)| end));
        if let Some(server) = &mut node.server {
            server.phase = Phase::Starting;
            if let Some(recovery) = &mut server.recovery {
                *recovery = Recovery::new(end);
            }
        }
        if let Some(files) = node.files_mut() {
            let standby = files.signal;
            files.control.state = if standby { ControlState::InArchiveRecovery } else { ControlState::InCrashRecovery };
        }
        let takes = self.takes(host, 50, 1500);
        self.later(host, takes, What::Ready(life));
        self.settle(host);
    }

    /// A single-user run: ends a crash cleanly, lets nobody in. Whatever it was before, it ends like a primary.
    pub(super) fn recover_alone(&mut self, host: Host) {
        if let Some(files) = self.node_mut(host).files_mut() {
            files.signal = false;
        }
        if self.node(host).files().is_some_and(|files| !files.control.is_clean()) {
            self.write_checkpoint(host, Written::ShutdownCheckpoint, ControlState::InProduction);
        }
        self.write_checkpoint(host, Written::ShutdownCheckpoint, ControlState::ShutDown);
    }
}

impl Recovery {
    fn new(replayed: Lsn) -> Self {
        Self {
            replayed,
            replayed_at: None,
            replaying: false,
            paused: false,
            received: None,
            receiving: Receiving::Off,
            promote: false,
            tried: None,
            refused: None,
        }
    }
}

/// However far behind, a promotion replays no longer than this.
const MOST_LAG: Duration = Duration::from_secs(60);
