//! One report per pass feeds REST, metrics and the member key, so that they never contradict each other.

use std::sync::Arc;

use tamada_model::{
    AgentVersion, Answers, Cluster, DataDir, GuardMode, GuardStanding, Job, Lsn, Member, Mono, Report, Role, State,
    SynchronousMode, Tags, Timeline, Wall,
};

use crate::agent::{Arm, Setup};
use crate::decision::Reason;
use crate::explain;
use crate::guard::{GuardState, WatchdogState};
use crate::memory::{Bootstrap, CheckpointAfterPromote, Memory};
use crate::view::{JobView, Observation};

/// The cluster as the store last told it; what we show while it is silent.
#[derive(Clone, Debug)]
pub struct LastReading {
    pub cluster: Arc<Cluster>,
    pub asked_at: Mono,
    pub told_at: Wall,
}

pub struct Told<'a> {
    pub setup: &'a Setup,
    pub memory: &'a Memory,
    pub seen: Option<&'a Observation>,
    pub cluster_seen: Option<&'a LastReading>,
    pub job: JobView,
    pub armed: Option<Arm>,
    pub because: Option<&'a Reason>,
    pub sentence: &'a str,
    pub next_pass: Mono,
}

pub fn report(told: &Told<'_>) -> Report {
    let settings = &told.setup.settings;
    Report {
        name: told.setup.me.name.clone(),
        scope: told.setup.me.scope.clone(),
        state: state(told.memory, told.seen, &told.job),
        role: told.seen.map_or(Role::Uninitialized, |seen| seen.postgres.role),
        postgres: told.seen.map(|seen| seen.postgres.clone()),
        cluster: told.cluster_seen.map(|reading| reading.cluster.clone()),
        cluster_seen_at: told.cluster_seen.map(|reading| reading.asked_at),
        dcs_last_seen: told.cluster_seen.map_or(Wall::default(), |reading| reading.told_at),
        lease_until: told.memory.lease.map(|lease| lease.ends_at()),
        ttl: settings.ttl,
        loop_wait: settings.loop_wait,
        pause: settings.pause,
        is_standby_cluster: settings.standby_cluster.is_some(),
        is_synchronous_mode: settings.synchronous_mode != SynchronousMode::Off,
        is_quorum_mode: settings.synchronous_mode == SynchronousMode::Quorum,
        failsafe_mode: settings.failsafe_mode,
        failsafe_active_until: None,
        maximum_lag_on_failover: settings.maximum_lag_on_failover.bytes(),
        tags: effective_tags(told.setup, told.memory),
        system_id: told.seen.and_then(system_id),
        scheduled_restart: told.memory.scheduled_restart.clone(),
        watchdog_failed: is_unwatched(told),
        guard: guard(told),
        action: action(&told.job),
        next_pass: told.next_pass,
        sentence: told.sentence.to_owned(),
        because: told.because.map(explain::explanation).unwrap_or_default(),
    }
}

fn system_id(seen: &Observation) -> Option<tamada_model::SystemId> {
    match &seen.postgres.data {
        DataDir::Present(present) => present.system_id,
        DataDir::Empty | DataDir::Unreadable(_) => None,
    }
}

/// Members of the original know no guard, but they know whom a required watchdog keeps from leading.
fn is_unwatched(told: &Told<'_>) -> bool {
    let watchdog_failed = match told.memory.watchdog {
        WatchdogState::Failed(_) => true,
        WatchdogState::NotRequired | WatchdogState::Resting | WatchdogState::Running => false,
    };
    watchdog_failed || told.setup.settings.guard == GuardMode::Required && guard(told) == Some(GuardStanding::Failed)
}

fn guard(told: &Told<'_>) -> Option<GuardStanding> {
    match (told.setup.settings.guard, &told.memory.guard, told.armed) {
        (GuardMode::Off, _, _) => None,
        (_, GuardState::Starting, _) => Some(GuardStanding::Starting),
        (_, GuardState::Failed(_), _) => Some(GuardStanding::Failed),
        (_, GuardState::Ready, Some(Arm::Until { .. })) => Some(GuardStanding::Armed),
        (_, GuardState::Ready, Some(Arm::Off) | None) => Some(GuardStanding::Disarmed),
    }
}

fn action(job: &JobView) -> Option<String> {
    match job {
        JobView::Idle => None,
        JobView::Running { job, .. } => Some(job.text()),
    }
}

/// The state to show: a job's own, `crashed` when PostgreSQL vanished under our eyes (ha-loop.md 4.7), else what the
/// last job left behind.
pub fn state(memory: &Memory, seen: Option<&Observation>, job: &JobView) -> State {
    if let JobView::Running { state: Some(state), .. } = job {
        return *state;
    }
    let Some(seen) = seen else {
        return State::Stopped;
    };
    if memory.crashed && !seen.postgres.process.is_running() {
        return State::Crashed;
    }
    match &seen.postgres.answers {
        Answers::Rejecting if seen.postgres.state == State::Running => State::Starting,
        Answers::Rejecting | Answers::Unasked | Answers::Silent { .. } | Answers::Live(_) => seen.postgres.state,
    }
}

/// Our record in the store (ha-loop.md 4.1).
pub fn member(setup: &Setup, memory: &Memory, seen: &Observation, job: &JobView) -> Member {
    let me = &setup.me;
    let facts = &seen.postgres;
    let mut record = Member {
        conn_url: Some(me.conn_url.clone()),
        api_url: Some(me.api_url.clone()),
        proxy_url: me.proxy_url.clone(),
        state: Some(state(memory, Some(seen), job).text().to_owned()),
        role: Some(facts.role),
        version: Some(AgentVersion::SPOKEN.to_owned()),
        tags: effective_tags(setup, memory),
        checkpoint_after_promote: checkpoint(memory, facts.role),
        pending_restart: !facts.pending_restart.is_empty(),
        pending_restart_reason: facts.pending_restart.clone(),
        scheduled_restart: memory.scheduled_restart.clone(),
        pause: setup.settings.pause,
        ..Member::default()
    };
    if tells_wal(memory, job) {
        add_wal(&mut record, seen);
    }
    record
}

/// Peers do not rewind from a leader whose checkpoint after promotion is missing (23.11).
fn checkpoint(memory: &Memory, role: Role) -> Option<bool> {
    let leads = memory.lease.is_some() && role.is_primary();
    (leads && memory.checkpoint != CheckpointAfterPromote::Done).then_some(false)
}

fn tells_wal(memory: &Memory, job: &JobView) -> bool {
    let quiet = match job {
        JobView::Idle | JobView::Running { job: Job::Promote { .. }, .. } => true,
        JobView::Running { .. } => false,
    };
    quiet && memory.bootstrap != Some(Bootstrap::Failed)
}

fn add_wal(record: &mut Member, seen: &Observation) {
    let Some(live) = seen.postgres.answers.live() else {
        return;
    };
    record.xlog_location = known(live.wal_position());
    record.replication_state = live.replication_state().map(str::to_owned);
    record.timeline = match &live.standing {
        tamada_model::Standing::Primary { timeline, .. } => Some(*timeline),
        tamada_model::Standing::Standby(standby) => {
            record.receive_lsn = standby.received.and_then(known);
            record.replay_lsn = standby.replayed.and_then(known);
            let received: Option<Timeline> = standby.receiver.as_ref().and_then(|receiver| receiver.timeline);
            received.or(standby.timeline)
        }
    };
}

fn known(lsn: Lsn) -> Option<Lsn> {
    Some(lsn).filter(|lsn| !lsn.is_zero())
}

/// 1. b's data was found to be of no use ([`Rewind::is_beyond_help`]); its WAL has the highest position of all.
/// 2. The leader is lost. b may not lead, and c lets b go first.
///
/// Therefore such a member tells everybody that it may not lead, as it would by its tag.
fn effective_tags(setup: &Setup, memory: &Memory) -> Tags {
    let mut tags = setup.me.tags.published();
    if memory.rewind.is_beyond_help() {
        tags.insert("nofailover".to_owned(), true.into());
    }
    Tags(tags)
}
