//! What can happen to a member: exactly one of these at a time. A situation carries what is true in it, so that the
//! decision inside has nothing left to check.

use std::sync::Arc;

use tamada_model::{Answers, Cluster, DataDir, Job, Mono, Present, ShutdownPosition, State};

use crate::memory::{Bootstrap, StepDown};
use crate::plant::{Plant, is_planted};
use crate::view::{JobView, Seen, View};

#[derive(Clone, Debug)]
pub enum Situation<'v> {
    /// We are to go: the operating system asked, or a start was refused.
    Leaving {
        cluster: Option<&'v Arc<Cluster>>,
        busy: Option<Work<'v>>,
    },
    /// The store cannot be read.
    Dark {
        because: &'v str,
        busy: Option<Work<'v>>,
    },
    /// A long action runs.
    Busy {
        cluster: &'v Arc<Cluster>,
        work: Work<'v>,
    },
    /// We stopped PostgreSQL to step down; the key, or its successor, is still to be dealt with.
    SteppingDown {
        cluster: &'v Arc<Cluster>,
        step_down: &'v StepDown,
    },
    /// We won the initialize race, and the cluster is not finished.
    Bootstrapping {
        cluster: &'v Arc<Cluster>,
        stage: Bootstrap,
    },
    NoData {
        cluster: &'v Arc<Cluster>,
        unreadable: Option<&'v str>,
    },
    /// The data's identity is unknown, or another cluster's.
    Stranger {
        identity: Identity,
    },
    /// PostgreSQL does not run.
    Down {
        cluster: &'v Arc<Cluster>,
        present: &'v Present,
    },
    /// PostgreSQL runs and does not accept connections yet.
    Starting {
        cluster: &'v Arc<Cluster>,
    },
    /// The lock names us.
    Leading {
        cluster: &'v Arc<Cluster>,
    },
    /// The lock names another.
    Following {
        cluster: &'v Arc<Cluster>,
    },
    Leaderless {
        cluster: &'v Arc<Cluster>,
    },
}

/// The long action at work.
#[derive(Clone, Copy, Debug)]
pub struct Work<'v> {
    pub job: &'v Job,
    pub since: Mono,
    pub state: Option<State>,
    pub shut_down: Option<ShutdownPosition>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    Unknown,
    Foreign { theirs: tamada_model::SystemId, ours: tamada_model::SystemId },
}

pub fn situation<'v>(view: &View<'v>) -> Situation<'v> {
    let busy = work(view);
    if view.memory.leaving || view.memory.join_aborted {
        return Situation::Leaving { cluster: view.cluster(), busy };
    }
    let cluster = match &view.seen.cluster {
        Seen::Fresh { fact, .. } => fact,
        Seen::Dark { because, .. } => return Situation::Dark { because, busy },
    };
    if let Some(work) = busy.filter(|_| !is_planted(Plant::TwoJobs)) {
        return Situation::Busy { cluster, work };
    }
    if let Some(step_down) = &view.memory.step_down {
        return Situation::SteppingDown { cluster, step_down };
    }
    if let Some(stage) = view.memory.bootstrap {
        return Situation::Bootstrapping { cluster, stage };
    }
    at_rest(view, cluster)
}

/// No long action, nothing half done: what the data and PostgreSQL are, then who leads.
fn at_rest<'v>(view: &View<'v>, cluster: &'v Arc<Cluster>) -> Situation<'v> {
    let present = match &view.seen.postgres.data {
        DataDir::Empty => return Situation::NoData { cluster, unreadable: None },
        DataDir::Unreadable(because) => return Situation::NoData { cluster, unreadable: Some(because) },
        DataDir::Present(present) => present,
    };
    if let Some(identity) = identity(view, present, cluster) {
        return Situation::Stranger { identity };
    }
    if !view.is_running() {
        return Situation::Down { cluster, present };
    }
    match view.seen.postgres.answers {
        Answers::Rejecting => return Situation::Starting { cluster },
        Answers::Unasked | Answers::Silent { .. } | Answers::Live(_) => {}
    }
    match cluster.leader_name() {
        Some(leader) if *leader == view.me.name => Situation::Leading { cluster },
        Some(_) => Situation::Following { cluster },
        None => Situation::Leaderless { cluster },
    }
}

fn work<'v>(view: &View<'v>) -> Option<Work<'v>> {
    match &view.seen.job {
        JobView::Idle => None,
        JobView::Running { job, since, state, shut_down } => {
            Some(Work { job, since: *since, state: *state, shut_down: *shut_down })
        }
    }
}

/// An identifier that could not be read keeps PostgreSQL from being started. One that runs is led and followed by its
/// lock all the same: left to itself, it might go on as a primary beside another.
fn identity(view: &View<'_>, present: &Present, cluster: &Cluster) -> Option<Identity> {
    match (present.system_id, cluster.initialize.system_id()) {
        (None, _) if view.is_running() => None,
        (None, _) => Some(Identity::Unknown),
        (Some(ours), Some(theirs)) if ours != theirs => Some(Identity::Foreign { theirs, ours }),
        (Some(_), _) => None,
    }
}
