//! What a report says to the outside at a given moment (rest-api.md 2, 3.1).

use tamada_model::{Cluster, DataDir, Live, Lsn, Mono, Origin, Report, Role, Standby, Standing, State, Timeline};

/// A report, read at an instant.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    report: &'a Report,
    now: Mono,
    live: Option<&'a Live>,
}

/// The state as shown: PostgreSQL should run but does not answer is a state of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShownState {
    Known(State),
    Unknown,
}

impl ShownState {
    pub fn text(self) -> &'static str {
        match self {
            ShownState::Known(state) => state.text(),
            ShownState::Unknown => "unknown",
        }
    }

    /// The number in the metrics; -1 for unknown.
    pub fn number(self) -> i32 {
        match self {
            ShownState::Known(state) => i32::from(state.number()),
            ShownState::Unknown => -1,
        }
    }
}

/// See [`Shown::timing`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    pub cluster_unlocked: bool,
    pub failsafe_active: bool,
}

impl<'a> Shown<'a> {
    pub fn new(report: &'a Report, now: Mono) -> Self {
        let live = report.postgres.as_ref().and_then(|facts| facts.answers.live());
        Self { report, now, live: live.filter(|_| may_answer(report.state)) }
    }

    pub fn report(&self) -> &'a Report {
        self.report
    }

    /// What PostgreSQL answered; `None` in states in which it is not asked.
    pub fn live(&self) -> Option<&'a Live> {
        self.live
    }

    pub fn standby(&self) -> Option<&'a Standby> {
        self.live.and_then(Live::standby)
    }

    pub fn state(&self) -> ShownState {
        match (self.report.state, self.live) {
            (State::Running, None) => ShownState::Unknown,
            (state, _) => ShownState::Known(state),
        }
    }

    pub fn is_running(&self) -> bool {
        self.state() == ShownState::Known(State::Running)
    }

    /// What PostgreSQL says about itself, as far as it can be asked; in a standby cluster our own word for it.
    pub fn role(&self) -> Role {
        match self.live {
            Some(live) if live.is_primary() => Role::Primary,
            Some(_) if !self.report.is_standby_cluster => Role::Replica,
            Some(_) | None => self.report.role,
        }
    }

    pub fn timeline(&self) -> Option<Timeline> {
        match &self.live?.standing {
            Standing::Primary { timeline, .. } => Some(*timeline),
            Standing::Standby(standby) => standby.timeline,
        }
    }

    /// Of that timeline.
    pub fn origin(&self) -> Option<Origin> {
        let facts = self.report.postgres.as_ref().filter(|_| self.live.is_some())?;
        match &facts.data {
            DataDir::Present(present) => present.origin,
            DataDir::Empty | DataDir::Unreadable(_) => None,
        }
    }

    pub fn replication_state(&self) -> Option<&'static str> {
        self.live.and_then(Live::replication_state)
    }

    /// What a primary has flushed; `None` on a standby.
    pub fn location(&self) -> Option<Lsn> {
        match &self.live?.standing {
            Standing::Primary { flushed, .. } => Some(*flushed),
            Standing::Standby(_) => None,
        }
    }

    /// What a standby has received; before it received anything, what it has replayed.
    pub fn received_location(&self) -> Option<Lsn> {
        self.standby().map(|standby| standby.received.or(standby.replayed).unwrap_or_default())
    }

    pub fn replayed_location(&self) -> Option<Lsn> {
        self.standby().map(|standby| standby.replayed.unwrap_or_default())
    }

    pub fn is_sync_standby(&self) -> bool {
        !self.report.is_quorum_mode && self.is_listed_in_sync()
    }

    pub fn is_quorum_standby(&self) -> bool {
        self.report.is_quorum_mode && self.is_listed_in_sync()
    }

    fn is_listed_in_sync(&self) -> bool {
        let is_replica = self.live.is_some() && self.role() == Role::Replica;
        let listed = |cluster: &Cluster| cluster.sync.as_ref().is_some_and(|sync| sync.value.lists(&self.report.name));
        is_replica && self.report.is_synchronous_mode && self.report.cluster.as_deref().is_some_and(listed)
    }

    pub fn is_locked(&self) -> bool {
        self.report.is_locked(self.now)
    }

    pub fn is_fresh(&self) -> bool {
        self.report.is_fresh(self.now)
    }

    /// No leader is known, or nothing is known freshly enough.
    pub fn is_cluster_unlocked(&self) -> bool {
        !self.is_fresh() || self.report.cluster.as_deref().is_none_or(Cluster::is_unlocked)
    }

    pub fn is_failsafe_active(&self) -> bool {
        self.report.failsafe_active_until.is_some_and(|until| self.now < until)
    }

    /// All that time can change in the status document of one report: while this stays equal, so does the document.
    pub fn timing(&self) -> Timing {
        Timing { cluster_unlocked: self.is_cluster_unlocked(), failsafe_active: self.is_failsafe_active() }
    }
}

/// PostgreSQL is asked only in these states (rest-api.md 2.1).
fn may_answer(state: State) -> bool {
    match state {
        State::Running | State::Restarting | State::Starting => true,
        State::InitDb
        | State::InitDbFailed
        | State::CustomBootstrap
        | State::CustomBootstrapFailed
        | State::CreatingReplica
        | State::BootstrapStarting
        | State::StartFailed
        | State::RestartFailed
        | State::Stopping
        | State::Stopped
        | State::StopFailed
        | State::Crashed => false,
    }
}
