//! One member: its agent, and what a process remembers around the agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use tamada_core::{Agent, Arm, Event, JobId, Setup};
use tamada_model::{Cluster, Mono, PostgresFacts, Report, Stamp};

use crate::store::{Client, Request};
use crate::world::Due;
use crate::{Clock, Host, Moment};

pub struct Member {
    pub host: Host,
    pub clock: Clock,
    /// As its file says; the store's configuration is laid over it.
    pub setup: Setup,
    pub life: Life,
    /// Counts the lives of the agent: what belongs to an earlier one is not for this.
    pub epoch: u32,
    pub store: Client,
    pub asks: BTreeMap<u64, Ask>,
    pub next_ask: u64,
    /// The version of `/config` that is in force.
    pub config: Option<Stamp>,
    /// What its REST thread answers from.
    pub report: Option<Arc<Report>>,
    /// Whoever stops or kills it does not want it to be started again yet, by so many faults.
    pub kept_down: u32,
    pub agent_runs: Runs,
    pub host_runs: Runs,
    /// What would have been heard meanwhile, in order.
    pub held: Vec<Due>,
    /// When the agent wants to be woken; a tick that was planned before is none.
    pub tick: Option<Moment>,
    pub guard: Guard,
    /// When it woke from being suspended: what had been under way then ends in the next instants.
    pub woke: Option<Moment>,
    /// Since when each renewal that succeeded counts, in true time: the latest, and the ttl asked for.
    pub renewed: Option<(Moment, std::time::Duration)>,
    /// Passes, for those who watch that nobody spins.
    pub passes: u64,
}

/// The agent's process.
pub enum Life {
    Dead,
    /// Started, and waiting for the store; stops a primary that it finds if that takes too long.
    Waking(Waking),
    Up(Box<Agent>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waking {
    pub since: Mono,
    pub stopping: bool,
}

/// Whether something is carried on, or stands still with all that reaches it waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Runs {
    On,
    Still,
    /// A host without power.
    Off,
}

/// A request to the store that has no answer yet.
pub struct Ask {
    pub request: Request,
    pub asked: Moment,
    pub deadline: Moment,
    pub kind: AskKind,
}

pub enum AskKind {
    /// The agent was started and reads for the first time.
    First,
    Observe {
        asked_at: Mono,
        facts: Look,
    },
    Write {
        renews: bool,
    },
    Touch,
}

/// PostgreSQL is looked at before or after the store's answer: nothing orders the two.
pub enum Look {
    Early(Arc<PostgresFacts>),
    Late { leader_timeline: Option<tamada_model::Timeline> },
}

/// The second process, which outlives the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guard {
    pub arm: Arm,
    pub lives: bool,
    /// It was let go because of a pause, and nobody has looked after the member since the pause ended.
    pub rests_in_pause: bool,
    /// Counts changes: an alarm that was set before one is none.
    pub version: u32,
}

/// What the agent is to hear, unless it is another by then.
#[derive(Debug)]
pub struct Heard {
    pub epoch: u32,
    /// It is large, and much waits in the queue.
    pub event: Box<Event>,
}

impl Member {
    pub fn now(&self, at: Moment) -> tamada_model::Now {
        self.clock.now(at)
    }

    pub fn agent(&self) -> Option<&Agent> {
        match &self.life {
            Life::Up(agent) => Some(agent),
            Life::Dead | Life::Waking(_) => None,
        }
    }

    pub fn agent_mut(&mut self) -> Option<&mut Agent> {
        match &mut self.life {
            Life::Up(agent) => Some(agent),
            Life::Dead | Life::Waking(_) => None,
        }
    }

    /// The agent's process is there and not stopped.
    pub fn answers(&self) -> bool {
        let alive = match self.life {
            Life::Dead => false,
            Life::Waking(_) | Life::Up(_) => true,
        };
        alive && self.agent_runs == Runs::On && self.host_runs == Runs::On
    }

    /// Whether `/primary` would be answered with 200, were it asked now.
    pub fn says_primary(&self, at: Moment) -> bool {
        let up = self.agent().is_some() && self.answers();
        up && self.report.as_ref().is_some_and(|report| report.is_locked(self.clock.mono(at)))
    }

    pub fn new_ask(&mut self, ask: Ask) -> u64 {
        self.next_ask += 1;
        self.asks.insert(self.next_ask, ask);
        self.next_ask
    }

    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.report.as_ref()?.cluster.as_ref()
    }
}

/// Jobs that nobody's agent asked for: the stop of a primary that a waking agent finds.
pub const ORPHAN: JobId = 0;
