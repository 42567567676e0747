//! The agent's long jobs, as `tamada-postgres` does them: the same order, the same ends, the same halves left behind
//! when they are cut.
//!
//! A job is a row of tasks. Each does its part at once, or works for a while, or waits to hear something of the server.

mod copy;
mod promote;
mod remove;
mod rewind;
mod settle;
mod start;
mod stop;

use std::collections::VecDeque;
use std::time::Duration;

use tamada_core::JobId;
use tamada_model::{
    CheckpointFirst, CloneSource, Job, JobEnd, Role, ShutdownPosition, State, Stop, StopMode, Upstream,
};

use super::node::Phase;
use super::{Fleet, Life, Net, News, Remover, What};
use crate::wal::BranchId;
use crate::{Host, Moment};

pub(crate) use start::Start;

/// A job at work.
#[derive(Debug)]
pub(crate) struct Work {
    pub id: JobId,
    pub doing: Doing,
    then: VecDeque<Task>,
    /// Counts what it did, so that a step meant for something else is out of date.
    tick: u32,
    /// When what it works on is done, as things are.
    done_at: Option<Moment>,
    cancelled: bool,
    /// How it ends if nothing goes wrong.
    end: JobEnd,
    /// What fails now is a restart.
    restarting: bool,
    is_stop: bool,
    /// What the shutdown told.
    told: Option<ShutdownPosition>,
}

#[derive(Clone, Debug)]
pub(crate) enum Task {
    Stop(Stop, Tell),
    Start(Start),
    StopAndStart(Start),
    Follow {
        upstream: Upstream,
        role: Role,
        limit: Option<Duration>,
    },
    FireRoleChange,
    InitDb,
    PostBootstrap,
    /// The directory has to be empty.
    CheckEmpty,
    Copy {
        from: Option<Host>,
        by: Remover,
        attempt: u8,
    },
    Remove(Remover),
    Promote {
        wait: Duration,
    },
    RecoverAlone,
    Rewind {
        from: Option<Host>,
        trusted: bool,
    },
}

/// What a job is at just now.
#[derive(Clone, Debug)]
pub(crate) enum Doing {
    Nothing,
    // It works, and is done after a while.
    Checkpointing(Stop, Tell),
    Launching(Start),
    Initializing,
    PostBootstrap,
    Connecting {
        from: Host,
        by: Remover,
        attempt: u8,
    },
    Copying {
        from: Host,
        life: Life,
        by: Remover,
        attempt: u8,
    },
    /// Before it copies again.
    Pausing {
        from: Host,
        by: Remover,
    },
    RecoveringAlone,
    CheckingSource {
        from: Host,
        trusted: bool,
    },
    Comparing {
        from: Host,
        life: Life,
        cut_before: Option<BranchId>,
    },
    Rewinding {
        from: Host,
        life: Life,
    },
    // It waits for the server.
    Stopping {
        stop: Stop,
        tell: Tell,
        quit: bool,
    },
    Starting,
    Promoting,
}

/// Whether callbacks hear of a stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tell {
    Yes,
    No,
}

/// What a server lets be known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Heard {
    Ready,
    Writable,
    ShutDown(ShutdownPosition),
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Next,
    Waits,
}

impl Fleet {
    pub(super) fn begin_work(&mut self, host: Host, id: JobId, job: &Job) {
        let is_stop = match job {
            Job::Stop(_) => true,
            Job::Bootstrap
            | Job::PostBootstrap
            | Job::Clone { .. }
            | Job::Reinitialize { .. }
            | Job::StartPrimary { .. }
            | Job::StartStandby { .. }
            | Job::ChangeUpstream { .. }
            | Job::Restart { .. }
            | Job::Promote { .. }
            | Job::CrashRecovery
            | Job::Rewind { .. }
            | Job::AbandonBootstrap
            | Job::RemoveData => false,
        };
        let work = Work {
            id,
            doing: Doing::Nothing,
            then: self.tasks(host, job).into(),
            tick: 0,
            done_at: None,
            cancelled: false,
            end: JobEnd::Done,
            restarting: false,
            is_stop,
            told: None,
        };
        let before = self.node_mut(host).work.replace(work);
        assert!(before.is_none(), "two jobs at once on {}", host.name());
        self.advance(host);
    }

    fn tasks(&self, host: Host, job: &Job) -> Vec<Task> {
        let follow = |upstream: &Upstream, role, limit| Task::Follow { upstream: upstream.clone(), role, limit };
        let copy = |from: &CloneSource, by| Task::Copy { from: self.source(from), by, attempt: 1 };
        match job {
            Job::Bootstrap => vec![Task::CheckEmpty, Task::InitDb, Task::Start(Start::primary(None))],
            Job::PostBootstrap => vec![Task::PostBootstrap],
            Job::Clone { source, then_follow } => {
                vec![Task::CheckEmpty, copy(source, Remover::Clone), follow(then_follow, Role::Replica, None)]
            }
            Job::Reinitialize { source, then_follow, only_basebackup: _ } => vec![
                Task::Stop(immediately(), Tell::Yes),
                copy(source, Remover::Reinitialize),
                follow(then_follow, Role::Replica, None),
            ],
            Job::StartPrimary { timeout } => vec![Task::Start(Start::primary(Some(*timeout)))],
            Job::StartStandby { upstream, role, timeout } => vec![follow(upstream, *role, *timeout)],
            Job::ChangeUpstream { upstream, role } => vec![follow(upstream, *role, None)],
            Job::Restart { timeout } => {
                let role = self.node(host).notes.role;
                vec![Task::StopAndStart(Start { role, limit: *timeout, callback: true })]
            }
            Job::Promote { wait } => vec![Task::Promote { wait: *wait }],
            Job::CrashRecovery => vec![Task::RecoverAlone],
            Job::Rewind { from, from_agent_can_be_trusted } => {
                vec![Task::Rewind { from: self.host_of(from), trusted: *from_agent_can_be_trusted }]
            }
            Job::Stop(stop) => vec![Task::Stop(stop.clone(), Tell::Yes)],
            Job::AbandonBootstrap => {
                vec![Task::Stop(immediately(), Tell::No), Task::Remove(Remover::AbandonBootstrap)]
            }
            Job::RemoveData => vec![Task::Stop(immediately(), Tell::No), Task::Remove(Remover::RemoveData)],
        }
    }

    fn source(&self, source: &CloneSource) -> Option<Host> {
        match source {
            CloneSource::Member { member, .. } => self.host_of(&Upstream::Member(member.clone())),
            CloneSource::Remote(remote) => self.host_of(&Upstream::Remote(remote.clone())),
            CloneSource::WithoutLeader => None,
        }
    }

    /// Goes on with the next task, until one has to wait or none is left.
    fn advance(&mut self, host: Host) {
        while let Some(work) = &mut self.node_mut(host).work {
            work.doing = Doing::Nothing;
            let turn = match work.then.pop_front() {
                Some(task) => self.take_on(host, task),
                None => {
                    let end = work.end.clone();
                    return self.finish(host, end);
                }
            };
            if turn == Turn::Waits {
                return;
            }
        }
    }

    fn take_on(&mut self, host: Host, task: Task) -> Turn {
        match task {
            Task::Stop(stop, tell) => self.stop(host, stop, tell),
            Task::Start(start) => self.start(host, start),
            Task::StopAndStart(start) => self.stop_and_start(host, start),
            Task::Follow { upstream, role, limit } => self.follow(host, &upstream, role, limit),
            Task::FireRoleChange => {
                self.node_mut(host).notes.fire();
                Turn::Next
            }
            Task::CheckEmpty => self.check_empty(host),
            Task::InitDb => self.initdb(host),
            Task::PostBootstrap => self.post_bootstrap(host),
            Task::Copy { from, by, attempt } => self.copy(host, from, by, attempt),
            Task::Remove(by) => self.remove_by_job(host, by),
            Task::Promote { wait } => self.promote(host, wait),
            Task::RecoverAlone => self.begin_recovering_alone(host),
            Task::Rewind { from, trusted } => self.begin_rewind(host, from, trusted),
        }
    }

    /// These are done before what was to come next.
    fn first(&mut self, host: Host, tasks: impl DoubleEndedIterator<Item = Task>) {
        if let Some(work) = &mut self.node_mut(host).work {
            tasks.rev().for_each(|task| work.then.push_front(task));
        }
    }

    fn works(&mut self, host: Host, span: Duration, doing: Doing) -> Turn {
        let done_at = self.now + span;
        if let Some(work) = &mut self.node_mut(host).work {
            work.tick += 1;
            work.doing = doing;
            work.done_at = Some(done_at);
            let what = What::Work(work.id, work.tick);
            self.at(done_at, host, what);
        }
        Turn::Waits
    }

    /// What a slow host has begun goes on at the new pace.
    pub(super) fn change_pace(&mut self, host: Host, before: u32, after: u32) {
        let now = self.now;
        let Some(work) = &mut self.node_mut(host).work else { return };
        let Some(done_at) = work.done_at.filter(|done_at| *done_at > now) else { return };
        let left = done_at.since(now) * after / before;
        work.tick += 1;
        work.done_at = Some(now + left);
        let what = What::Work(work.id, work.tick);
        self.later(host, left, what);
    }

    /// With `None` it waits for ever.
    fn waits_for(&mut self, host: Host, doing: Doing, limit: Option<Duration>) -> Turn {
        if let Some(work) = &mut self.node_mut(host).work {
            work.tick += 1;
            work.doing = doing;
            work.done_at = None;
            let what = What::Deadline(work.id, work.tick);
            if let Some(limit) = limit {
                self.later(host, limit, what);
            }
        }
        Turn::Waits
    }

    fn at_work(&self, host: Host, id: JobId, tick: u32) -> Option<Doing> {
        let work = self.node(host).work.as_ref().filter(|work| work.id == id && work.tick == tick)?;
        Some(work.doing.clone())
    }

    pub(super) fn work_done(&mut self, host: Host, id: JobId, tick: u32, net: &mut dyn Net) {
        let turn = match self.at_work(host, id, tick) {
            None | Some(Doing::Nothing | Doing::Stopping { .. } | Doing::Starting | Doing::Promoting) => return,
            Some(Doing::Checkpointing(stop, tell)) => {
                self.checkpoint_online(host, net);
                self.signal_stop(host, stop, tell)
            }
            Some(Doing::Launching(start)) => self.launch_by_job(host, start),
            Some(Doing::Initializing) => self.initialized(host),
            Some(Doing::PostBootstrap) => self.made_usable(host),
            Some(Doing::Connecting { from, by, attempt }) => self.begin_copying(host, from, by, attempt, net),
            Some(Doing::Copying { from, life, by, attempt }) => self.copied(host, from, life, by, attempt, net),
            Some(Doing::Pausing { from, by }) => self.copy(host, Some(from), by, 2),
            Some(Doing::RecoveringAlone) => self.recovered_alone(host),
            Some(Doing::CheckingSource { from, trusted }) => self.source_checked(host, from, trusted, net),
            Some(Doing::Comparing { from, life, cut_before }) => self.compared(host, from, life, cut_before, net),
            Some(Doing::Rewinding { from, life }) => self.rewound(host, from, life, net),
        };
        if turn == Turn::Next {
            self.advance(host);
        }
    }

    pub(super) fn deadline_passed(&mut self, host: Host, id: JobId, tick: u32) {
        match self.at_work(host, id, tick) {
            Some(Doing::Stopping { stop, tell, quit }) => self.stop_harder(host, stop, tell, quit),
            Some(Doing::Starting | Doing::Promoting) => {
                self.ends_with(host, JobEnd::StillStarting);
                self.advance(host);
            }
            None
            | Some(
                Doing::Nothing
                | Doing::Checkpointing(_, _)
                | Doing::Launching(_)
                | Doing::Initializing
                | Doing::PostBootstrap
                | Doing::Connecting { .. }
                | Doing::Copying { .. }
                | Doing::Pausing { .. }
                | Doing::RecoveringAlone
                | Doing::CheckingSource { .. }
                | Doing::Comparing { .. }
                | Doing::Rewinding { .. },
            ) => {}
        }
    }

    pub(super) fn work_hears(&mut self, host: Host, heard: Heard) {
        let Some(work) = &self.node(host).work else { return };
        match (work.doing.clone(), heard) {
            (Doing::Stopping { stop, .. }, Heard::ShutDown(position)) => self.shutdown_told(host, &stop, position),
            (Doing::Stopping { stop, tell, .. }, Heard::Gone) => {
                self.stopped(host, &stop, tell, true);
                self.advance(host);
            }
            (Doing::Checkpointing(stop, tell), Heard::Gone) => {
                self.stopped(host, &stop, tell, true);
                self.advance(host);
            }
            (Doing::Starting, Heard::Ready) => {
                self.started(host);
                self.show(host, Some(State::Running), None);
                self.advance(host);
            }
            (Doing::Starting, Heard::Gone) => self.start_failed(host, "PostgreSQL ended right after it was launched"),
            (Doing::Promoting, Heard::Writable) => {
                self.set_role(host, Role::Primary);
                self.advance(host);
            }
            (Doing::Promoting, Heard::Gone) => {
                self.ends_with(host, JobEnd::StillStarting);
                self.advance(host);
            }
            (_, Heard::Ready | Heard::Writable | Heard::ShutDown(_) | Heard::Gone) => {}
        }
    }

    /// Whoever copies or rewinds from this server loses the connection, and does not go on as if nothing were.
    pub(super) fn disconnect_readers(&mut self, host: Host) {
        if self.node(host).faults.off {
            return;
        }
        for reader in self.hosts() {
            let Some(work) = &self.node(reader).work else { continue };
            let reads = match work.doing {
                Doing::Copying { from, .. } | Doing::Comparing { from, .. } | Doing::Rewinding { from, .. } => {
                    from == host
                }
                Doing::Nothing
                | Doing::Checkpointing(_, _)
                | Doing::Launching(_)
                | Doing::Initializing
                | Doing::PostBootstrap
                | Doing::Connecting { .. }
                | Doing::Pausing { .. }
                | Doing::RecoveringAlone
                | Doing::CheckingSource { .. }
                | Doing::Stopping { .. }
                | Doing::Starting
                | Doing::Promoting => false,
            };
            let what = What::Work(work.id, work.tick);
            if reads {
                self.later(reader, Duration::from_millis(2), what);
            }
        }
    }

    /// A wish that the job stops. What cannot be undone is not.
    pub(super) fn cancel_work(&mut self, host: Host, id: JobId) {
        let Some(work) = self.node_mut(host).work.as_mut().filter(|work| work.id == id) else { return };
        work.cancelled = true;
        match work.doing {
            // The postmaster was launched: it works on, and the looks tell how that ends.
            Doing::Starting => self.finish_restart(host, JobEnd::Cancelled),
            Doing::Connecting { .. } | Doing::Copying { .. } | Doing::Pausing { .. } => {
                self.copy_failed(host, JobEnd::Cancelled);
            }
            Doing::Initializing => self.initdb_failed(host, JobEnd::Cancelled),
            // The note beside the directory stays.
            Doing::Comparing { .. } | Doing::Rewinding { .. } | Doing::RecoveringAlone => {
                self.finish(host, JobEnd::Cancelled);
            }
            Doing::Nothing
            | Doing::Checkpointing(_, _)
            | Doing::Launching(_)
            | Doing::PostBootstrap
            | Doing::CheckingSource { .. }
            | Doing::Stopping { .. }
            | Doing::Promoting => {}
        }
    }

    /// The agent is gone, and with it whoever would have gone on.
    pub(super) fn drop_work(&mut self, host: Host) {
        self.node_mut(host).work = None;
    }

    fn is_cancelled(&self, host: Host) -> bool {
        self.node(host).work.as_ref().is_some_and(|work| work.cancelled)
    }

    fn ends_with(&mut self, host: Host, end: JobEnd) {
        if let Some(work) = &mut self.node_mut(host).work {
            work.end = end;
        }
    }

    fn finish(&mut self, host: Host, end: JobEnd) {
        if let Some(work) = self.node_mut(host).work.take() {
            self.tell(News::JobEnded { host, id: work.id, end });
            self.settle(host);
        }
    }

    fn fails(&mut self, host: Host, why: impl Into<String>) -> Turn {
        self.finish_restart(host, JobEnd::Failed(why.into()));
        Turn::Waits
    }

    /// A restart that does not get through shows so.
    fn finish_restart(&mut self, host: Host, end: JobEnd) {
        if self.node(host).work.as_ref().is_some_and(|work| work.restarting) {
            self.enter(host, State::RestartFailed);
        }
        self.finish(host, end);
    }

    /// Sets the state for everybody, and tells whoever watches the job.
    fn enter(&mut self, host: Host, state: State) {
        self.node_mut(host).notes.state = state;
        self.show(host, Some(state), None);
    }

    fn show(&mut self, host: Host, state: Option<State>, shut_down: Option<ShutdownPosition>) {
        if let Some(id) = self.node(host).work.as_ref().map(|work| work.id) {
            self.tell(News::JobProgress { host, id, state, shut_down });
        }
    }

    /// A server that somebody could ask, and that would be heard.
    fn can_be_asked(&self, host: Host, server: Host, net: &mut dyn Net) -> bool {
        self.node(server).answers() && net.delay(host, server).is_some() && net.delay(server, host).is_some()
    }

    fn is_same_server(&self, host: Host, life: Life) -> bool {
        let node = self.node(host);
        node.life == life && node.server.as_ref().is_some_and(|server| server.phase == Phase::Running)
    }
}

fn immediately() -> Stop {
    Stop {
        mode: StopMode::Immediate,
        checkpoint: CheckpointFirst::No,
        timeout: Some(Duration::from_secs(10)),
        report_shutdown: false,
        purpose: "stop".to_owned(),
    }
}
