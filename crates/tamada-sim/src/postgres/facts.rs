//! What a look would show, in the words of `tamada-postgres`: no more than it could know, and as late as it would.

use std::cmp::Ordering;

use tamada_model::{
    Answers, Asks, Comparison, Control as ControlFacts, ControlState, DataDir, Divergence, HistoryFile, LastWal, Live,
    Lsn, Now, Origin, PendingRestart, PgMajor, PgVersion, PostgresFacts, Present, Process, RecoveryMatch, Standby,
    Standing, State, SyncCommits, Synchronous, Timeline, Unread, Upstream, WalReceiver, WalSender,
};

use super::node::{Control, Files, Link, Node, Phase, Recovery, Server};
use super::{Fleet, Net};
use crate::Host;
use crate::wal::{BranchId, Point};

const VERSION: u32 = 150_008;
const MAJOR: PgMajor = PgMajor::of(15);

/// Our own position, as the divergence check finds it.
pub(super) struct Local {
    pub timeline: Timeline,
    pub lsn: Lsn,
    in_recovery: bool,
    /// Up to here our WAL on this timeline is certainly in its files.
    written: Lsn,
}

impl Fleet {
    pub fn facts(&self, host: Host, at: Now, leader_timeline: Option<Timeline>) -> PostgresFacts {
        let node = self.node(host);
        let notes = &node.notes;
        let answers = self.answers(host, node, leader_timeline);
        PostgresFacts {
            seen_at: at.mono,
            data: self.data_dir(node, &answers),
            process: node.server.as_ref().map_or(Process::Absent, |server| Process::Running {
                pid: server.pid,
                started: Self::wall_at(server.launched),
            }),
            answers,
            state: notes.state,
            role: notes.role,
            pending_restart: PendingRestart::new(),
            callback_called: notes.callback_called,
            can_rewind: self.traits.use_pg_rewind && self.known_control(node).is_some(),
        }
    }

    fn data_dir(&self, node: &Node, answers: &Answers) -> DataDir {
        if node.faults.hung {
            return DataDir::Unreadable("no answer in time".to_owned());
        }
        let Some(files) = node.files() else { return DataDir::Empty };
        DataDir::Present(Box::new(Present {
            major: Some(MAJOR),
            system_id: Some(files.system_id),
            control: self.known_control(node).map(told),
            backup_label: files.backup_label,
            recovery_configured: files.signal,
            unfinished_rewind: files.unfinished_rewind.is_some(),
            newest_timeline: Some(self.wal.timeline(files.newest)),
            origin: told_timeline(answers).and_then(|timeline| self.origin_in(files, timeline)),
        }))
    }

    /// Of a timeline that its data came through.
    pub fn origin_of(&self, host: Host, timeline: Timeline) -> Option<Origin> {
        self.origin_in(self.node(host).files()?, timeline)
    }

    /// A branch stands for the record that it began with; what was removed tells nothing. (The real one remembers what it
    /// has read, for as long as PostgreSQL and the agent run. This one does not.)
    fn origin_in(&self, files: &Files, timeline: Timeline) -> Option<Origin> {
        let at = self.wal.on_timeline(timeline, files.end).filter(|_| timeline != Timeline::FIRST)?;
        let branch = self.wal.begun_by(at)?;
        let (_, begun) = self.wal.branch(branch).parent?;
        let is_there = files.wal_from <= begun;
        is_there.then_some(Origin { timeline, checksum: branch.0 as u32 })
    }

    /// pg_controldata is run when no postmaster runs, and when nothing is known.
    fn known_control(&self, node: &Node) -> Option<Control> {
        let fresh = node.files().map(|files| files.control);
        match &node.server {
            Some(_) => node.notes.control.or(fresh),
            None => fresh,
        }
    }

    fn answers(&self, host: Host, node: &Node, leader: Option<Timeline>) -> Answers {
        let Some(server) = &node.server else { return Answers::Unasked };
        let silent = || Answers::Silent { because: "no answer in time".to_owned() };
        match node.notes.state {
            State::Stopping => return Answers::Unasked,
            State::Starting | State::BootstrapStarting | State::Restarting if server.phase == Phase::Starting => {
                return Answers::Rejecting;
            }
            State::InitDb
            | State::InitDbFailed
            | State::CustomBootstrap
            | State::CustomBootstrapFailed
            | State::CreatingReplica
            | State::Running
            | State::Starting
            | State::BootstrapStarting
            | State::StartFailed
            | State::Restarting
            | State::RestartFailed
            | State::Stopped
            | State::StopFailed
            | State::Crashed => {}
        }
        if node.faults.stands_still() {
            return silent();
        }
        if !server.phase.takes_connections() {
            return Answers::Rejecting;
        }
        self.live(host, node, server, leader).map_or_else(silent, |live| Answers::Live(Box::new(live)))
    }

    fn live(&self, host: Host, node: &Node, server: &Server, leader: Option<Timeline>) -> Option<Live> {
        let files = node.files()?;
        let standing = match &server.recovery {
            None => Standing::Primary { timeline: self.wal.timeline(files.end.0), flushed: files.end.1 },
            Some(recovery) => Standing::Standby(Box::new(self.standby(host, node, recovery, leader))),
        };
        Some(Live {
            server_version: PgVersion::from_number(VERSION),
            postmaster_start_time: Self::wall_at(server.launched),
            standing,
            replication: self.senders(host, node),
            slots: files.slots.values().cloned().collect(),
            synchronous: Synchronous {
                names: node.sync_asked.as_ref().unwrap_or(&node.sync).in_words(),
                commits: SyncCommits::Flushed,
                checkpointer_heard: node.sync_asked.is_none(),
            },
            restore_command: String::new(),
        })
    }

    fn standby(&self, host: Host, node: &Node, recovery: &Recovery, leader: Option<Timeline>) -> Standby {
        Standby {
            received: recovery.received,
            replayed: Some(recovery.replayed),
            replayed_at: recovery.replayed_at.map(Self::wall_at),
            replay_paused: recovery.paused,
            receiver: node.link().map(|link| self.receiver(host, link)),
            timeline: self.standby_timeline(node, leader),
        }
    }

    /// Asked on a replication connection, unless the cached one is the leader's.
    fn standby_timeline(&self, node: &Node, leader: Option<Timeline>) -> Option<Timeline> {
        let cache = &node.notes.timeline;
        if cache.get().is_none() || cache.get() != leader {
            cache.set(node.replayed(&self.wal).map(|(branch, _)| self.wal.timeline(branch)));
        }
        cache.get()
    }

    fn receiver(&self, host: Host, link: &Link) -> WalReceiver {
        let timeline = self.node(host).point().map(|(branch, _)| self.wal.timeline(branch));
        let slot_name = if self.traits.use_slots { host.name().to_owned() } else { String::new() };
        WalReceiver {
            status: "streaming".to_owned(),
            timeline,
            slot_name,
            conninfo: format!(
                "user=replicator host={0} port=5432 application_name={1}",
                link.upstream.name(),
                host.name()
            ),
            latest_end: Some(link.latest_end),
        }
    }

    fn senders(&self, host: Host, node: &Node) -> Vec<WalSender> {
        let connected: Vec<Host> = self.standbys(host).collect();
        let sent = node.point().map(|(_, end)| end);
        let row = |standby: &Host| {
            let link = self.sender(host, *standby)?;
            let (sync_state, sync_priority) = node.sync.state_of(*standby, &connected);
            let behind = link.confirmed < sent && link.confirmed.is_none();
            Some(WalSender {
                pid: 20_000 + standby.0 as i32,
                usename: "replicator".to_owned(),
                application_name: standby.name().to_owned(),
                client_addr: Some(standby.name().to_owned()),
                state: if behind { "catchup" } else { "streaming" }.to_owned(),
                sync_state: sync_state.to_owned(),
                sync_priority,
                written: link.confirmed,
                flushed: link.confirmed,
                replayed: link.confirmed,
            })
        };
        connected.iter().filter_map(row).collect()
    }

    /// How the recovery configuration in force compares with the wanted one.
    pub fn recovery_match(&self, host: Host, upstream: &Upstream) -> RecoveryMatch {
        let node = self.node(host);
        let Some(files) = node.files().filter(|files| files.signal) else { return RecoveryMatch::Restart };
        if node.notes.state.is_starting() {
            let needs_it = files.upstream.is_none() && self.host_of(upstream).is_some();
            return if needs_it { RecoveryMatch::Restart } else { RecoveryMatch::Same };
        }
        if !node.answers() {
            return RecoveryMatch::Same;
        }
        match files.upstream {
            asked if asked == self.host_of(upstream) && node.notes.callback_called => RecoveryMatch::Same,
            None => RecoveryMatch::Reload(Asks::Nobody),
            asked if asked == self.host_of(upstream) => RecoveryMatch::Reload(Asks::Wanted),
            Some(_) => RecoveryMatch::Reload(Asks::Another),
        }
    }

    /// The raw material of the question whether this data has left the leader's history.
    pub fn divergence(&self, host: Host, leader: &Upstream, net: &mut dyn Net) -> Divergence {
        match self.compare_with(host, leader, net) {
            Ok(comparison) => Divergence::Compared(Box::new(comparison)),
            Err(unread) => Divergence::Unread(unread),
        }
    }

    /// Our own side first: without it the leader is not asked.
    fn compare_with(&self, host: Host, leader: &Upstream, net: &mut dyn Net) -> Result<Comparison, Unread> {
        let ours = |why: &str| Unread::Ours(why.to_owned());
        let leaders = |why: &str| Unread::Leaders(why.to_owned());
        let local = self.local_position(host).map_err(ours)?;
        let files = self.node(host).files().ok_or_else(|| ours("there is no data"))?;
        let upstream = self.host_of(leader).ok_or_else(|| leaders("it has no address"))?;
        let reached = net.delay(host, upstream).is_some() && net.delay(upstream, host).is_some();
        let leader = self.node(upstream);
        let end = leader.point().filter(|_| reached && leader.answers());
        let end = end.ok_or_else(|| leaders("it does not answer"))?;
        let unready = leader.recovery().is_some().then(|| "the leader is still in recovery".to_owned());
        let leader_timeline = self.wal.timeline(end.0);
        let behind = local.timeline < leader_timeline;
        let own_end = files.control.checkpoint_end;
        let heads_for = self.heads_for(files, local.timeline, local.lsn);
        Ok(Comparison {
            local_timeline: local.timeline,
            local_lsn: local.lsn,
            in_recovery: local.in_recovery,
            newest_timeline: self.wal.timeline(heads_for),
            local_history: Some(self.wal.history(heads_for)),
            leader_timeline,
            leader_history: Some(self.wal.history(end.0)),
            last_wal: self.last_wal(files, &local, end, leader.files().map_or(Lsn::ZERO, |files| files.wal_from)),
            leader_unready: unready,
            shutdown_checkpoint_end: own_end.filter(|_| behind && !local.in_recovery),
        })
    }

    /// The newest timeline whose history goes through our position. PostgreSQL ignores others, and so do we.
    pub(super) fn heads_for(&self, files: &Files, timeline: Timeline, lsn: Lsn) -> BranchId {
        let newest = self.wal.timeline(files.newest);
        let (history, own) = (self.wal.history(files.newest), self.wal.on_timeline(timeline, files.end));
        let own = own.map_or(files.end.0, |(branch, _)| branch);
        let is_ours = history.starts_with(&self.wal.history(own)) && goes_through(&history, newest, timeline, lsn);
        if is_ours { files.newest } else { own }
    }

    /// Whether the last timeline that both were on, as the histories tell it, is the same; and, if we may only have
    /// received that one, the last that we have replayed.
    fn last_wal(&self, files: &Files, local: &Local, leader: Point, kept_from: Lsn) -> LastWal {
        let newest = self.heads_for(files, local.timeline, local.lsn);
        let newest = (newest, self.wal.branch(newest).end);
        let Some((named, left)) = self.wal.last_in_name(newest, leader) else { return LastWal::Unknown };
        let timeline = self.wal.timeline(named);
        let replayed = self.wal.on_timeline(local.timeline, (named, left)).filter(|_| timeline > local.timeline);
        let looks = [Some((timeline, left)), replayed.map(|(_, left)| (local.timeline, left))];
        let mut found = LastWal::Unknown;
        for (timeline, left) in looks.into_iter().flatten() {
            match self.wal_of(timeline, left, files, local, leader, kept_from) {
                LastWal::Other(timeline) => return LastWal::Other(timeline),
                LastWal::Same => found = LastWal::Same,
                LastWal::Unknown => {}
            }
        }
        found
    }

    /// Of a timeline that we have replayed, the end of our WAL tells it; of one that we may only have received, its first
    /// record.
    fn wal_of(
        &self,
        timeline: Timeline,
        left: Lsn,
        files: &Files,
        local: &Local,
        leader: Point,
        kept_from: Lsn,
    ) -> LastWal {
        let Some((branch, _)) = self.wal.on_timeline(timeline, files.end) else { return LastWal::Unknown };
        let first = self.wal.branch(self.wal.first_of_timeline(branch));
        let begun = first.parent.map_or(Lsn::ZERO, |(_, fork)| fork);
        let written = if timeline < local.timeline { left } else { left.min(local.written) };
        let end = match timeline.cmp(&local.timeline) {
            Ordering::Less | Ordering::Equal if written > begun => Some(written),
            Ordering::Less | Ordering::Equal | Ordering::Greater => {
                first.records.first().map(|record| record.end).filter(|_| begun >= kept_from)
            }
        };
        match end {
            None => LastWal::Unknown,
            Some(_) if timeline == Timeline::FIRST => LastWal::Unknown,
            Some(end) if self.wal.is_ancestor((branch, end), leader) => LastWal::Same,
            Some(_) => LastWal::Other(timeline),
        }
    }

    pub(super) fn local_position(&self, host: Host) -> Result<Local, &'static str> {
        let node = self.node(host);
        if node.server.is_none() {
            return self.position_in_control(node);
        }
        if let Some((branch, lsn)) = node.replayed(&self.wal).filter(|_| node.answers()) {
            return Ok(Local { timeline: self.wal.timeline(branch), lsn, in_recovery: true, written: lsn });
        }
        if node.notes.state.is_starting() {
            return self.position_in_control(node);
        }
        Err("the server does not answer")
    }

    fn position_in_control(&self, node: &Node) -> Result<Local, &'static str> {
        let files = node.files().filter(|_| !node.faults.hung).ok_or("pg_control could not be read")?;
        let control = &files.control;
        let (checkpointed, checkpoint) = (control.checkpoint_timeline, control.checkpoint);
        let as_primary = Local { timeline: checkpointed, lsn: checkpoint, in_recovery: false, written: checkpoint };
        match (control.state, control.min_recovery) {
            (ControlState::ShutDownInRecovery | ControlState::InArchiveRecovery, Some((timeline, lsn))) => {
                let written = if checkpointed == timeline { checkpoint } else { Lsn::ZERO };
                Ok(Local { timeline, lsn, in_recovery: true, written })
            }
            (ControlState::ShutDown | ControlState::ShutDownInRecovery | ControlState::InArchiveRecovery, _) => {
                Ok(as_primary)
            }
            (
                ControlState::StartingUp
                | ControlState::ShuttingDown
                | ControlState::InCrashRecovery
                | ControlState::InProduction
                | ControlState::Unknown,
                _,
            ) => Err("PostgreSQL was not shut down cleanly"),
        }
    }

    /// The local history file of `timeline`.
    pub fn history_file(&self, host: Host, timeline: Timeline) -> Option<HistoryFile> {
        let end = self.node(host).point()?;
        let (branch, _) = self.wal.on_timeline(timeline, end).filter(|_| timeline != Timeline::FIRST)?;
        let lines = self.wal.history(branch).into_iter();
        let modified = tamada_wire::time::utc_text(Self::wall_at(self.wal.branch(branch).born));
        Some(HistoryFile {
            timeline,
            lines: lines.map(|(parent, lsn)| (parent.number(), lsn, "no recovery target specified".into())).collect(),
            modified,
        })
    }
}

/// A standby tells the one that it was last asked for, while that is the leader's. What it has gone on to meanwhile is
/// not what its origin is of.
fn told_timeline(answers: &Answers) -> Option<Timeline> {
    match &answers.live()?.standing {
        Standing::Primary { timeline, .. } => Some(*timeline),
        Standing::Standby(standby) => standby.timeline,
    }
}

/// By numbers, as tliOfPointInHistory does it.
fn goes_through(history: &[(Timeline, Lsn)], newest: Timeline, timeline: Timeline, lsn: Lsn) -> bool {
    let mut begun = Lsn::ZERO;
    for (parent, left) in history {
        if *parent == timeline {
            return begun <= lsn && lsn <= *left;
        }
        begun = *left;
    }
    newest == timeline && begun <= lsn
}

fn told(control: Control) -> ControlFacts {
    let (min_recovery_end_timeline, min_recovery_end) = match control.min_recovery {
        Some((timeline, lsn)) => (Some(timeline), lsn),
        None => (None, Lsn::ZERO),
    };
    ControlFacts {
        state: control.state,
        checkpoint: control.checkpoint,
        checkpoint_timeline: Some(control.checkpoint_timeline),
        min_recovery_end,
        min_recovery_end_timeline,
        wal_log_hints: true,
        checksums: false,
        lines: Vec::new(),
    }
}
