//! From a decision to what is done to the world. Acts happen one after the other; a store write that does not succeed
//! ends the plan, so that nothing is done on a right we did not get.

use std::time::Duration;

use tamada_model::{
    CheckpointFirst, Document, FailoverRequest, HistoryEntry, Initialize, Job, Lsn, Role, Stamp, Status, Stop,
    StopMode, SyncNames, SyncState, SynchronousMode, SystemId, Upstream,
};

use crate::decide::rewind_allowed;
use crate::decision::{Chore, Decision, Leave, Note, Reason, Verdict};
use crate::memory::{Mark, StepDownMode};
use crate::phrase;
use crate::plant::{Plant, is_planted};
use crate::slots::{self, SlotPlan};
use crate::switchover::request_for_now;
use crate::view::{JobView, View};

/// A write to the store, as the port knows it.
#[derive(Clone, PartialEq, Debug)]
pub enum DcsWrite {
    Acquire,
    Renew { status: Option<Status> },
    Take,
    Release { last: Option<Lsn> },
    BeginBootstrap,
    SetInitialize { id: SystemId, over_existing: bool },
    DeleteInitialize,
    SetConfig(Document),
    ClearFailover(Stamp),
    SetFailover { request: FailoverRequest, judged: Stamp },
    SetHistory(Vec<HistoryEntry>),
    SetSync { sync: SyncState, judged: Option<Stamp> },
    DeleteSync(Stamp),
}

/// How a write ended, sorted by what may be concluded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteOutcome {
    Done,
    /// The store refused it for good.
    Beaten,
    /// It may or may not have happened.
    Unclear(String),
    /// It certainly did not happen; nothing is known about the key.
    Failed(String),
}

/// Something short that is done to PostgreSQL and awaited.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    Repoint {
        upstream: Upstream,
        role: Role,
    },
    SetRole(Role),
    FireRoleChange(Role),
    FireOnStart,
    ResumeReplay,
    SyncSlots(SlotPlan),
    /// For whom commits are to wait. Ends when the server says so itself, or does not for long.
    SetSyncNames(SyncNames),
    /// Begins; its end comes as an event of its own.
    CheckpointAfterPromote,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Act {
    Dcs(DcsWrite),
    Command(Command),
    Start(Job),
    Cancel,
    /// SIGQUIT to the postmaster, at once.
    Fence,
    Leave(Leave),
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// Each needs the one before to have succeeded.
    pub acts: Vec<Act>,
    /// Done afterwards whatever happened; their failure is tried again in a later pass.
    pub chores: Vec<Act>,
    pub marks: Vec<Mark>,
    pub notes: Vec<Note>,
    pub sentence: Option<String>,
    pub then: Then,
}

/// What follows the plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Then {
    #[default]
    Rest,
    /// Decide once more on the same view, with the outcome of the renewal.
    DecideAgain,
    /// The world has changed through us: look at once.
    LookAgain,
}

pub fn plan(decision: &Decision, view: &View<'_>) -> Plan {
    let mut plan = Plan {
        acts: acts(&decision.verdict, view),
        chores: decision.chores.iter().map(chore).collect(),
        marks: decision.marks.clone(),
        notes: decision.notes.clone(),
        sentence: phrase::sentence(&decision.because, view.me.name.as_str()),
        then: then(decision),
    };
    match &decision.verdict {
        Verdict::StepDown(mode) => step_down(&mut plan, *mode),
        // Said again in every pass until the job has ended.
        Verdict::CancelAndStepDown(mode) if stepping_down(view) == Some(*mode) => {}
        Verdict::CancelAndStepDown(mode) => step_down(&mut plan, *mode),
        Verdict::Stay
        | Verdict::Renew
        | Verdict::Acquire
        | Verdict::Promote(_)
        | Verdict::Release(_)
        | Verdict::BeginBootstrap
        | Verdict::FinishBootstrap(_)
        | Verdict::AbandonBootstrap
        | Verdict::ClearInitialize
        | Verdict::ClaimInitialize { .. }
        | Verdict::Run(_)
        | Verdict::Repoint { .. }
        | Verdict::Leave(_) => {}
    }
    // 23.2: nothing is suspected that could not be acted on.
    plan.marks.retain(|mark| *mark != Mark::SuspectDivergence || rewind_allowed(view));
    plan
}

fn stepping_down(view: &View<'_>) -> Option<StepDownMode> {
    view.memory.step_down.as_ref().map(|step_down| step_down.mode)
}

fn step_down(plan: &mut Plan, mode: StepDownMode) {
    plan.marks.push(Mark::SuspectDivergence);
    plan.marks.push(Mark::SteppingDown(mode));
    if mode != StepDownMode::Shutdown {
        plan.notes.push(Note::info(format!("Demoting self ({})", mode.text())));
    }
}

fn then(decision: &Decision) -> Then {
    match &decision.verdict {
        Verdict::Renew => Then::DecideAgain,
        Verdict::Acquire
        | Verdict::Release(_)
        | Verdict::FinishBootstrap(_)
        | Verdict::ClearInitialize
        | Verdict::ClaimInitialize { .. } => Then::LookAgain,
        Verdict::Stay if ends_a_stage(&decision.because) || decision.chores.iter().any(moves_on) => Then::LookAgain,
        Verdict::Stay
        // Whether the reload took is seen in the next pass; at once, a reload that does not take would never let us rest.
        | Verdict::Repoint { .. }
        | Verdict::Promote(_)
        | Verdict::StepDown(_)
        | Verdict::BeginBootstrap
        | Verdict::AbandonBootstrap
        | Verdict::Run(_)
        | Verdict::CancelAndStepDown(_)
        | Verdict::Leave(_) => Then::Rest,
    }
}

/// The next step of synchronous replication follows from what this one has brought about.
fn moves_on(chore: &Chore) -> bool {
    match chore {
        Chore::SetSync { .. } | Chore::DeleteSync(_) | Chore::SetSyncNames(_) => true,
        Chore::ClearFailover(_)
        | Chore::WriteHistory(_)
        | Chore::RepairInitialize(_)
        | Chore::RepairConfig(_)
        | Chore::SetRole(_)
        | Chore::FireRoleChange(_)
        | Chore::FireOnStart
        | Chore::CheckpointAfterPromote
        | Chore::ResumeReplay
        | Chore::SyncSlots(_) => false,
    }
}

/// Nothing was done but to find that something is over; what comes next is decided in a pass of its own.
fn ends_a_stage(because: &Reason) -> bool {
    matches!(because, Reason::SteppedDown | Reason::SwitchoverAbandoned { .. } | Reason::ForeignSystemId { .. })
}

/// The key that our unfinished bootstrap created, or has just filled in.
fn initialize_is_ours(view: &View<'_>) -> bool {
    view.cluster().is_some_and(|cluster| match &cluster.initialize {
        Initialize::Underway => true,
        Initialize::Done(id) => Some(*id) == view.system_id(),
        Initialize::Absent | Initialize::Invalid(_) => false,
    })
}

fn acts(verdict: &Verdict, view: &View<'_>) -> Vec<Act> {
    match verdict {
        Verdict::Stay => Vec::new(),
        Verdict::Renew => vec![Act::Dcs(DcsWrite::Renew { status: status(view) })],
        Verdict::Acquire => acquire(view),
        Verdict::Promote(lease) => {
            // At both ends of the promise: whoever decided had a running lease; it must still run.
            let unchecked = is_planted(Plant::PromotionUnchecked);
            assert!(unchecked || view.now.mono < lease.ends_at(), "promoting without a running lease");
            let wait = view.settings.loop_wait.max(Duration::from_secs(1));
            vec![Act::Start(Job::Promote { wait })]
        }
        Verdict::StepDown(mode) if mode.releases_key() && is_planted(Plant::ReleaseBeforeStop) => {
            vec![Act::Dcs(DcsWrite::Release { last: None }), Act::Start(Job::Stop(stop(*mode, view)))]
        }
        Verdict::StepDown(mode) => vec![Act::Start(Job::Stop(stop(*mode, view)))],
        Verdict::Release(last) => vec![Act::Dcs(DcsWrite::Release { last: *last })],
        Verdict::BeginBootstrap => vec![Act::Dcs(DcsWrite::BeginBootstrap), Act::Start(Job::Bootstrap)],
        Verdict::FinishBootstrap(id) => finish_bootstrap(view, *id),
        Verdict::ClearInitialize => vec![Act::Dcs(DcsWrite::DeleteInitialize)],
        Verdict::AbandonBootstrap => {
            let key = initialize_is_ours(view).then_some(Act::Dcs(DcsWrite::DeleteInitialize));
            key.into_iter().chain([Act::Start(Job::AbandonBootstrap)]).collect()
        }
        Verdict::ClaimInitialize { id, over_existing } => {
            vec![Act::Dcs(DcsWrite::SetInitialize { id: *id, over_existing: *over_existing })]
        }
        Verdict::Run(job) => vec![Act::Start(job.clone())],
        Verdict::CancelAndStepDown(mode) => cancel(*mode, view),
        Verdict::Repoint { upstream, role } => {
            vec![Act::Command(Command::Repoint { upstream: upstream.clone(), role: *role })]
        }
        Verdict::Leave(how) => vec![Act::Leave(*how)],
    }
}

/// Only an idle primary's position is worth telling (9.5): renewals during long actions leave `/status` alone.
fn status(view: &View<'_>) -> Option<Status> {
    let cluster = view.cluster()?;
    match &view.seen.job {
        JobView::Idle if view.is_primary() => slots::status(view, cluster),
        JobView::Idle | JobView::Running { .. } => None,
    }
}

/// 12.3: whoever wins clears the request; in pause its candidate stays named until it is primary.
fn acquire(view: &View<'_>) -> Vec<Act> {
    let mut acts = vec![Act::Dcs(DcsWrite::Acquire)];
    let request = view.cluster().and_then(|cluster| cluster.failover.as_ref());
    acts.extend(request.map(|request| {
        let value = &request.value;
        if view.settings.pause && value.leader.is_some() && value.candidate.is_some() {
            let reduced = FailoverRequest { leader: None, ..value.clone() };
            Act::Dcs(DcsWrite::SetFailover { request: reduced, judged: request.stamp.clone() })
        } else {
            Act::Dcs(DcsWrite::ClearFailover(request.stamp.clone()))
        }
    }));
    acts
}

fn finish_bootstrap(view: &View<'_>, id: SystemId) -> Vec<Act> {
    let over_existing = view.cluster().is_none_or(|cluster| cluster.initialize != Initialize::Absent);
    vec![
        Act::Dcs(DcsWrite::SetInitialize { id, over_existing }),
        Act::Dcs(DcsWrite::SetConfig(view.dynamic.clone())),
        Act::Dcs(DcsWrite::Take),
        Act::Command(Command::SetRole(Role::Primary)),
        Act::Command(Command::FireOnStart),
    ]
}

/// A stop is never cancelled, only made harder; any other action is, and PostgreSQL stopped when it has ended.
fn cancel(mode: StepDownMode, view: &View<'_>) -> Vec<Act> {
    let stopping = match &view.seen.job {
        JobView::Running { job: Job::Stop(_), .. } => true,
        JobView::Running { .. } | JobView::Idle => false,
    };
    match mode {
        StepDownMode::ImmediateNoLock | StepDownMode::Immediate if stopping => vec![Act::Fence],
        StepDownMode::ImmediateNoLock | StepDownMode::Immediate => vec![Act::Fence, Act::Cancel],
        StepDownMode::Offline | StepDownMode::Graceful | StepDownMode::Shutdown if stopping => Vec::new(),
        StepDownMode::Offline | StepDownMode::Graceful | StepDownMode::Shutdown => vec![Act::Cancel],
    }
}

/// The stop that fits a mode (15.1).
fn stop(mode: StepDownMode, view: &View<'_>) -> Stop {
    let (stop_mode, checkpoint, purpose) = match mode {
        StepDownMode::Graceful => (StopMode::Fast, CheckpointFirst::Yes, requested_by(view)),
        StepDownMode::Offline => (StopMode::Fast, CheckpointFirst::No, "demotion".into()),
        StepDownMode::Shutdown => (StopMode::Fast, CheckpointFirst::No, "shutdown".into()),
        StepDownMode::Immediate | StepDownMode::ImmediateNoLock => {
            (StopMode::Immediate, CheckpointFirst::No, "starting after demotion".into())
        }
    };
    let synchronous = view.settings.synchronous_mode != SynchronousMode::Off;
    let timeout = Some(view.settings.primary_stop_timeout).filter(|timeout| synchronous && !timeout.is_zero());
    Stop { mode: stop_mode, checkpoint, timeout, report_shutdown: mode.releases_key(), purpose }
}

fn requested_by(view: &View<'_>) -> String {
    let request = view.cluster().and_then(|cluster| request_for_now(view, cluster));
    request.map_or("demotion".into(), |request| format!("{}: demote", request.value.kind().act()))
}

fn chore(chore: &Chore) -> Act {
    match chore {
        Chore::ClearFailover(stamp) => Act::Dcs(DcsWrite::ClearFailover(stamp.clone())),
        Chore::WriteHistory(entries) => Act::Dcs(DcsWrite::SetHistory(entries.clone())),
        Chore::RepairInitialize(id) => Act::Dcs(DcsWrite::SetInitialize { id: *id, over_existing: true }),
        Chore::RepairConfig(config) => Act::Dcs(DcsWrite::SetConfig(config.clone())),
        Chore::SetRole(role) => Act::Command(Command::SetRole(*role)),
        Chore::FireRoleChange(role) => Act::Command(Command::FireRoleChange(*role)),
        Chore::FireOnStart => Act::Command(Command::FireOnStart),
        Chore::CheckpointAfterPromote => Act::Command(Command::CheckpointAfterPromote),
        Chore::ResumeReplay => Act::Command(Command::ResumeReplay),
        Chore::SetSync { sync, judged } => Act::Dcs(DcsWrite::SetSync { sync: sync.clone(), judged: judged.clone() }),
        Chore::DeleteSync(judged) => Act::Dcs(DcsWrite::DeleteSync(judged.clone())),
        Chore::SetSyncNames(names) => Act::Command(Command::SetSyncNames(names.clone())),
        Chore::SyncSlots(plan) => Act::Command(Command::SyncSlots(plan.clone())),
    }
}
