//! A model of PostgreSQL: all servers of all hosts, what lies on their disks, and what flows between them.
//!
//! It claims what matters to whoever decides by it: what survives which death, what a standby may stream and what it is
//! refused, when a commit is acknowledged, in which order a server stops, and what a job that is cut leaves behind. WAL
//! is a position in the one tree of [`Wal`], never a copy. What the agent hears is what `tamada-postgres` would have
//! told it, no more.
//!
//! ```text
//! world ── begin, command, write, faults ──► Fleet ── agenda: what happens when
//!   ▲                                          │
//!   └──────────── news ◄───────────────────────┴── happen(step)
//! ```

mod commit;
mod facts;
mod faults;
mod job;
mod node;
mod server;
mod stream;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tamada_core::{Command, JobId};
use tamada_model::{Job, JobEnd, Role, ShutdownPosition, State, Upstream};

use crate::plant::Plants;
use crate::wal::{BranchId, Point, Wal};
use crate::{Chance, Clock, Host, Moment};
use node::Node;

pub use crate::wal::WriteId;
pub use commit::SyncNames;

/// Counts servers on a host.
pub(crate) type Life = u32;
/// Counts a host's connections to upstreams.
pub(crate) type Serial = u32;

/// Who can reach whom, and how long it takes now. `None`: nothing gets through, or that host has no power. A connection
/// lives through that for a while.
pub trait Net {
    fn delay(&mut self, from: Host, to: Host) -> Option<Duration>;
}

/// How the servers of a world are configured.
#[derive(Clone, Debug)]
pub struct Traits {
    pub use_slots: bool,
    pub use_pg_rewind: bool,
    /// `wal_receiver_timeout` and `wal_sender_timeout`.
    pub silence: Duration,
    /// `wal_retrieve_retry_interval`
    pub retry: Duration,
    /// pg_rewind connects as superuser, who may make the source's checkpoint himself.
    pub rewind_may_checkpoint: bool,
    pub plants: Plants,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            use_slots: true,
            use_pg_rewind: true,
            silence: Duration::from_secs(60),
            retry: Duration::from_secs(5),
            rewind_may_checkpoint: false,
            plants: Plants::none(),
        }
    }
}

/// Something the world should know.
#[derive(Clone, PartialEq, Debug)]
pub enum News {
    JobEnded {
        host: Host,
        id: JobId,
        end: JobEnd,
    },
    JobProgress {
        host: Host,
        id: JobId,
        state: Option<State>,
        shut_down: Option<ShutdownPosition>,
    },
    PostmasterGone {
        host: Host,
    },
    Checkpointed {
        host: Host,
        done: bool,
    },
    /// The client was told that it is committed.
    Acked {
        write: WriteId,
        host: Host,
        at: Point,
    },
    /// The client was told something else. `certain`: it is nowhere in the WAL.
    Failed {
        write: WriteId,
        certain: bool,
    },
    /// A data directory is gone, with all it had.
    Removed {
        host: Host,
        by: Remover,
        had: Point,
    },
    /// pg_rewind took back what was behind the fork.
    Rewound {
        host: Host,
        from: Point,
        to: Point,
    },
    Promoted {
        host: Host,
        branch: BranchId,
    },
    /// A primary accepts connections: bootstrapped, started, or after a crash.
    Writable {
        host: Host,
    },
    /// A standby was let in by an upstream of its own timeline that is not of its history.
    Mixed {
        host: Host,
        upstream: Host,
    },
    /// For whoever reads what happened.
    Noted {
        host: Host,
        what: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remover {
    Clone,
    Reinitialize,
    AbandonBootstrap,
    RemoveData,
    /// Somebody, by hand.
    Hand,
}

/// Something that will happen; out of date if what it was meant for is no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    host: Host,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Debug, Eq)]
enum What {
    /// A server has read its WAL again.
    Ready(Life),
    /// A server that could not start ends.
    StartFails(Life),
    Promoted(Life),
    /// The checkpoint that follows a promotion by itself.
    Checkpoint(Life),
    /// The one that the agent asked for.
    CheckpointAsked(Life),
    /// The checkpointer has heard whom commits wait for.
    SyncNames(u32),
    /// A fast shutdown's last checkpoint is written.
    ShutDown(Life),
    /// The walsenders have waited long enough.
    SendingLate(Life),
    Archived(Life),
    /// All processes are gone.
    Gone(Life),
    /// The supervisor looks whether SIGQUIT was heard, and kills if not.
    Kill(Life),
    Replay(Life),
    Acknowledge(Life, WriteId),
    /// The standby of this step tries to connect.
    Connect(Serial),
    Accept(Serial, Host),
    Arrive(Serial, Point),
    Confirm(Serial, tamada_model::Lsn),
    /// What did not get through is sent again.
    Resend(Serial),
    /// Both sides would hear of each other now.
    Keepalive(Serial),
    /// The upstream's server closed the connection.
    Closed(Serial),
    Lost(Serial),
    /// The job's present work is done.
    Work(JobId, u32),
    /// The job has waited long enough.
    Deadline(JobId, u32),
    DiskAnswers,
}

/// All PostgreSQLs.
#[derive(Debug)]
pub struct Fleet {
    wal: Wal,
    nodes: Vec<Node>,
    chance: Chance,
    traits: Traits,
    now: Moment,
    next_pid: u32,
    agenda: Vec<(Moment, Host, Step)>,
    news: Vec<News>,
}

impl Fleet {
    pub fn new(hosts: usize, mut chance: Chance, traits: Traits) -> Self {
        Self {
            wal: Wal::new(chance.fork(1)),
            nodes: (0..hosts).map(|_| Node::new()).collect(),
            chance,
            traits,
            now: Moment::default(),
            next_pid: 1000,
            agenda: Vec::new(),
            news: Vec::new(),
        }
    }

    pub fn wal(&self) -> &Wal {
        &self.wal
    }

    /// What is flushed on this host, whatever runs there. `None`: no database.
    pub fn data(&self, host: Host) -> Option<Point> {
        self.node(host).point()
    }

    /// There is a database, and no mixture of two.
    pub fn is_whole(&self, host: Host) -> bool {
        self.node(host).files().is_some_and(|files| files.unfinished_rewind.is_none())
    }

    /// What a primary here would serve, or a standby would show.
    pub fn shown(&self, host: Host) -> Option<Point> {
        let node = self.node(host);
        node.replayed(&self.wal).or_else(|| node.server.as_ref().and_then(|_| node.point()))
    }

    /// A standby that answers, and tells of all that it has.
    pub fn shows_all(&self, host: Host) -> bool {
        let node = self.node(host);
        let end = node.point().map(|(_, end)| end);
        node.answers() && node.recovery().is_some_and(|recovery| recovery.received.max(Some(recovery.replayed)) == end)
    }

    /// A client could write here now.
    pub fn is_writable(&self, host: Host) -> bool {
        self.node(host).is_writable()
    }

    /// It would take writes, if it does not just stand still, or begin anew.
    pub fn is_primary(&self, host: Host) -> bool {
        let is_ending = |server: &node::Server| server.phase.is_ending();
        self.node(host).server.as_ref().is_some_and(|server| !is_ending(server) && server.recovery.is_none())
    }

    /// There is a postmaster, whatever it does.
    pub fn is_running(&self, host: Host) -> bool {
        self.node(host).server.is_some()
    }

    /// What the agent has made of it, and told everybody.
    pub fn role(&self, host: Host) -> Role {
        self.node(host).notes.role
    }

    /// A long action of the agent is not through yet.
    pub fn is_at_work(&self, host: Host) -> bool {
        self.node(host).work.is_some()
    }

    pub fn system_id(&self, host: Host) -> Option<tamada_model::SystemId> {
        self.node(host).files().map(|files| files.system_id)
    }

    /// What is now due later.
    pub fn take_agenda(&mut self) -> impl Iterator<Item = (Moment, Host, Step)> + '_ {
        self.agenda.drain(..)
    }

    pub fn take_news(&mut self) -> impl Iterator<Item = News> + '_ {
        self.news.drain(..)
    }

    /// A job of the agent begins.
    pub fn begin(&mut self, host: Host, id: JobId, job: &Job, now: Moment, _net: &mut dyn Net) {
        self.now = now;
        self.begin_work(host, id, job);
    }

    pub fn cancel(&mut self, host: Host, id: JobId, now: Moment) {
        self.now = now;
        self.cancel_work(host, id);
    }

    /// SIGQUIT to the postmaster, and SIGKILL to whatever is left a moment later.
    pub fn fence(&mut self, host: Host, now: Moment) {
        self.now = now;
        self.quit(host);
        let life = self.node(host).life;
        self.later(host, Duration::from_millis(100), What::Kill(life));
    }

    /// A short command of the agent. It is awaited: whoever calls this tells the agent that it ended.
    pub fn command(&mut self, host: Host, command: &Command, now: Moment, _net: &mut dyn Net) {
        self.now = now;
        match command {
            Command::Repoint { upstream, role } => self.repoint(host, upstream, *role),
            Command::SetRole(role) => self.node_mut(host).notes.role = *role,
            Command::FireRoleChange(_) | Command::FireOnStart => self.node_mut(host).notes.fire(),
            Command::ResumeReplay => self.resume_replay(host),
            Command::SetSyncNames(names) => self.ask_for_sync_names(host, names),
            Command::SyncSlots(plan) => self.sync_slots(host, plan),
            Command::CheckpointAfterPromote => self.ask_for_checkpoint(host),
        }
    }

    /// A client's transaction. `true`: it is being executed, and how it ended comes as news.
    pub fn write(&mut self, host: Host, id: WriteId, now: Moment, net: &mut dyn Net) -> bool {
        self.now = now;
        self.execute(host, id, net)
    }

    /// What was due is done now, if it still is to be.
    pub fn happen(&mut self, step: Step, now: Moment, net: &mut dyn Net) {
        self.now = now;
        if let Some(still) = self.stands_still_for(step) {
            self.node_mut(still).faults.postponed.push(step);
            return;
        }
        let host = step.host;
        match step.what {
            What::Ready(life) if self.is_alive(host, life) => self.ready(host, net),
            What::StartFails(life) if self.is_alive(host, life) => self.die(host),
            What::Promoted(life) if self.is_alive(host, life) => self.promoted(host, net),
            What::Checkpoint(life) if self.is_alive(host, life) => self.checkpoint_online(host, net),
            What::SyncNames(wish) => self.sync_names_heard(host, wish),
            What::CheckpointAsked(life) => self.checkpoint_asked(host, life, net),
            What::ShutDown(life) if self.is_alive(host, life) => self.shut_down(host, net),
            What::SendingLate(life) if self.is_alive(host, life) => self.sending_late(host),
            What::Archived(life) if self.is_alive(host, life) => self.archived(host),
            What::Gone(life) if self.is_alive(host, life) => self.die(host),
            What::Kill(life) if self.is_alive(host, life) => self.kill(host),
            What::Replay(life) if self.is_alive(host, life) => self.replay(host),
            What::Acknowledge(life, write) if self.is_alive(host, life) => self.locally_done(host, write),
            What::Ready(_)
            | What::StartFails(_)
            | What::Promoted(_)
            | What::Checkpoint(_)
            | What::ShutDown(_)
            | What::SendingLate(_)
            | What::Archived(_)
            | What::Gone(_)
            | What::Kill(_)
            | What::Replay(_)
            | What::Acknowledge(_, _) => {}
            What::Connect(serial) => self.connect(host, serial, net),
            What::Accept(serial, upstream) => self.accept(host, serial, upstream, net),
            What::Arrive(serial, point) => self.arrive(host, serial, point, net),
            What::Confirm(serial, flushed) => self.confirm(host, serial, flushed),
            What::Resend(serial) => self.resend(host, serial, net),
            What::Keepalive(serial) => self.keepalive(host, serial, net),
            What::Closed(serial) => self.closed(host, serial, net),
            What::Lost(serial) => self.lost(host, serial),
            What::Work(id, tick) => self.work_done(host, id, tick, net),
            What::Deadline(id, tick) => self.deadline_passed(host, id, tick),
            What::DiskAnswers => self.disk_answers(host),
        }
    }

    fn is_alive(&self, host: Host, life: Life) -> bool {
        let node = self.node(host);
        node.life == life && node.server.is_some()
    }

    /// The host whose standing still holds up this step.
    fn stands_still_for(&self, step: Step) -> Option<Host> {
        let node = self.node(step.host);
        let actor = match step.what {
            // The network and the agent go on; what the agent runs waits for the disk as well.
            What::Keepalive(_)
            | What::SendingLate(_)
            | What::Closed(_)
            | What::Deadline(_, _)
            | What::Kill(_)
            | What::DiskAnswers => None,
            What::Work(_, _) => node.faults.hung.then_some(step.host),
            What::Confirm(_, _) | What::Resend(_) => node.link().map(|link| link.upstream),
            What::Ready(_)
            | What::StartFails(_)
            | What::Promoted(_)
            | What::Checkpoint(_)
            | What::CheckpointAsked(_)
            | What::SyncNames(..)
            | What::ShutDown(_)
            | What::Archived(_)
            | What::Gone(_)
            | What::Replay(_)
            | What::Acknowledge(_, _)
            | What::Connect(_)
            | What::Accept(_, _)
            | What::Arrive(_, _)
            | What::Lost(_) => Some(step.host),
        };
        actor.filter(|host| self.node(*host).faults.stands_still())
    }

    fn node(&self, host: Host) -> &Node {
        &self.nodes[host.0]
    }

    fn node_mut(&mut self, host: Host) -> &mut Node {
        &mut self.nodes[host.0]
    }

    fn hosts(&self) -> impl Iterator<Item = Host> + use<> {
        (0..self.nodes.len()).map(Host)
    }

    /// Whom an address leads to: members' hosts are called like them.
    fn host_of(&self, upstream: &Upstream) -> Option<Host> {
        let name = match upstream {
            Upstream::Nobody => return None,
            Upstream::Member(member) => member.name.as_str(),
            Upstream::Remote(remote) => remote.host.as_deref()?,
        };
        self.hosts().find(|host| host.name() == name)
    }

    fn later(&mut self, host: Host, after: Duration, what: What) {
        self.at(self.now + after, host, what);
    }

    fn at(&mut self, moment: Moment, host: Host, what: What) {
        self.agenda.push((moment, host, Step { host, what }));
    }

    /// How long something takes here, in milliseconds.
    fn takes(&mut self, host: Host, least: u64, most: u64) -> Duration {
        let span = self.chance.between(Duration::from_millis(least), Duration::from_millis(most));
        span * self.node(host).faults.slow
    }

    fn tell(&mut self, news: News) {
        self.news.push(news);
    }

    fn note(&mut self, host: Host, what: impl Into<String>) {
        self.news.push(News::Noted { host, what: what.into() });
    }

    /// What a calendar shows that is right.
    fn wall_at(moment: Moment) -> tamada_model::Wall {
        Clock::default().now(moment).wall
    }

    fn set_role(&mut self, host: Host, role: Role) {
        self.node_mut(host).notes.role = role;
    }
}
