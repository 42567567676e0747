//! What goes into the agent and what comes out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tamada_model::{
    Cluster, Document, Job, JobEnd, Me, Member, Mono, PostgresFacts, Reply, Report, Request, Settings,
    ShutdownPosition, State, Timeline,
};

use crate::decision::{Fact, Leave, Note};
use crate::guard::{GuardState, WatchdogState};
use crate::plan::{Command, DcsWrite, WriteOutcome};
use crate::view::Asked;

use super::Arm;

pub type JobId = u64;
pub type RequestId = u64;

/// What an agent is born with, and gets anew when the configuration changes.
#[derive(Clone, PartialEq, Debug)]
pub struct Setup {
    pub me: Me,
    pub settings: Settings,
    /// The dynamic configuration in force.
    pub dynamic: Document,
}

/// Something happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A bell rang: look.
    Wake,
    /// The instant of [`Agent::next_wake`] has come.
    Tick,
    Observed {
        /// When the reading of the store began.
        asked_at: Mono,
        cluster: Result<Arc<Cluster>, String>,
        postgres: Arc<PostgresFacts>,
    },
    Gathered(Box<Asked>),
    /// The store write in flight ended.
    Wrote(WriteOutcome),
    /// The command in flight ended.
    Commanded,
    /// The member record was written, or could not be.
    Touched,
    JobProgress {
        id: JobId,
        state: Option<State>,
        shut_down: Option<ShutdownPosition>,
    },
    JobEnded {
        id: JobId,
        end: JobEnd,
    },
    /// The checkpoint after promotion ended; true when pg_control shows the current timeline.
    Checkpointed(bool),
    Request(RequestId, Request),
    Setup(Box<Setup>),
    /// The guard is there, or there is none.
    Guard(GuardState),
    /// How the kernel's watchdog stands.
    Watchdog(WatchdogState),
    Shutdown,
}

/// Something to be done, in this order.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Read the cluster and look at PostgreSQL; answered by [`Event::Observed`].
    Observe {
        within: Duration,
        leader_timeline: Option<Timeline>,
    },
    /// Answered by [`Event::Gathered`].
    Gather(BTreeSet<Fact>),
    /// Answered by [`Event::Wrote`].
    Dcs {
        write: DcsWrite,
        within: Duration,
    },
    /// Answered by [`Event::Commanded`].
    Command(Command),
    /// Answered by [`Event::JobEnded`].
    Start(JobId, Job),
    Cancel(JobId),
    /// SIGQUIT to the postmaster at once, whatever else goes on.
    Fence,
    /// Tell the guard and the watchdog, at once and before what follows.
    Guard(Arm),
    Reply(RequestId, Reply),
    Log(Note),
    /// The pass's sentence.
    Say(String),
    Tell(Arc<Report>),
    /// Write the member record; answered by [`Event::Touched`].
    Touch {
        record: Box<Member>,
        within: Duration,
    },
    Leave(Leave),
}
