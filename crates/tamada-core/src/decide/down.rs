//! PostgreSQL does not run (ha-loop.md 8). Who holds the lock decides how it comes back: a crashed leader restarts as it
//! was, anybody else as a standby, after a look whether its data still fits.

use std::sync::Arc;

use tamada_model::{Cluster, Control, ControlState, FailoverKind, Job, PgMajor, Present, Role, Upstream};

use crate::decision::{Chore, Decision, Fact, GoesOn, Note, Reason, Step, Verdict};
use crate::explain::explanation;
use crate::guard::awaited;
use crate::memory::{ComesBack, Mark, Rewind, StepDownMode};
use crate::switchover::{Possible, Wanted, possible};
use crate::upstream;
use crate::view::View;

use super::busy::{Renewal, renew};
use super::doubt::{
    Doubt, Remedy, diverged, doubt, is_beyond_rewind, removal_after_failure, was_rewound_in_vain, with,
};
use super::namesake::{Pointing, left_alone, may_point_at};

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>, present: &Present) -> Step {
    if view.settings.pause {
        return paused(view, cluster, present);
    }
    if view.memory.recovering {
        if view.has_lock() || !view.memory.rewind.is_open() {
            return start_failed(view);
        }
        // A rewind is about to change what a start would find: the outcome of the last one says nothing (5 step 10).
        return forgetting_the_start(as_standby(view, cluster, present));
    }
    if let Some(step) = super::leaderless::unclaimed(view, cluster) {
        return step;
    }
    if view.has_lock() { holding(view, cluster, present) } else { as_standby(view, cluster, present) }
}

/// The store names us: keep it so before anything is started on it.
fn holding(view: &View<'_>, cluster: &Cluster, present: &Present) -> Step {
    match renew(view) {
        Some(Renewal::Ask(step)) => step,
        Some(Renewal::Unclear(because)) => Decision::stay(Reason::StoreDark { because }).into(),
        // Another's now: come back as its standby.
        Some(Renewal::Lost) => as_standby(view, cluster, present),
        None => with_lock(view, cluster, present),
    }
}

fn forgetting_the_start(step: Step) -> Step {
    match step {
        Step::Ask(facts) => Step::Ask(facts),
        Step::Do(mut decision) => {
            decision.marks.insert(0, Mark::OutcomeJudged);
            decision.into()
        }
    }
}

/// 18: a stopped PostgreSQL stays down, except after a switchover: we stopped that one, and it is to follow (14.10), or
/// to lead on if the switchover was given up.
fn paused(view: &View<'_>, cluster: &Cluster, present: &Present) -> Step {
    let comes_back = view.memory.comes_back;
    if view.has_lock() && comes_back == ComesBack::AsLeader {
        return if view.memory.recovering { start_failed(view) } else { holding(view, cluster, present) };
    }
    if view.has_lock() {
        return Decision::new(Verdict::Release(None), Reason::NotRunningWhilePaused { had_lock: true }).into();
    }
    let rewind = view.memory.rewind;
    let to_be_rewound = rewind == Rewind::Done || (rewind.is_open() && rewind_allowed(view));
    if to_be_rewound || comes_back == ComesBack::AsStandby { as_standby(view, cluster, present) } else { not_running() }
}

fn not_running() -> Step {
    Decision::stay(Reason::NotRunningWhilePaused { had_lock: false }).into()
}

/// 8.12: what we started is not there. With the lock the judgement stands until the key is given back.
fn start_failed(view: &View<'_>) -> Step {
    let had_lock = view.has_lock() && view.memory.lease.is_some();
    let because = Reason::StartFailed { had_lock };
    if !had_lock {
        return Decision::stay(because).mark(Mark::OutcomeJudged).into();
    }
    let decision = Decision::new(Verdict::Release(None), because);
    match view.role() {
        Role::Primary | Role::StandbyLeader => {
            decision.chore(Chore::SetRole(Role::Demoted)).chore(Chore::FireRoleChange(Role::Demoted)).into()
        }
        Role::Replica | Role::Promoted | Role::Demoted | Role::Uninitialized => decision.into(),
    }
}

/// 8.1, 8.4, 8.8: the lock is ours and freshly renewed.
fn with_lock(view: &View<'_>, cluster: &Cluster, present: &Present) -> Step {
    if let Some(step) = super::leading::unwatched(view) {
        return step;
    }
    let timeout = view.settings.primary_start_timeout;
    if timeout.is_zero() {
        let wanted = Wanted { candidate: None, must_have: None, kind: FailoverKind::ManualFailover };
        match possible(view, cluster, wanted) {
            Possible::Ask(fact) => return Step::ask(fact),
            Possible::Yes(found) => {
                return Decision::new(Verdict::StepDown(StepDownMode::Immediate), Reason::FailingOverAfterCrash)
                    .note(Note::info("Primary crashed. Failing over."))
                    .notes(found.notes)
                    .into();
            }
            Possible::No(_) => {}
        }
    }
    if !timeout.is_zero() && may_restart_as_primary(view, present) {
        if let Some(watcher) = awaited(view) {
            return Decision::stay(Reason::WaitingFor(watcher)).into();
        }
        return Decision::run(Job::StartPrimary { timeout }, Reason::StartingPrimaryAfterFailure)
            .mark(Mark::Recovering)
            .mark(Mark::StartTimeout(Some(timeout)))
            .notes(control_note(present))
            .into();
    }
    // A dirty former primary is started in recovery as it is and promoted: its own WAL is the cluster's newest. The
    // single-user run that the original puts before this only costs time.
    let job = Job::StartStandby { upstream: Upstream::Nobody, role: Role::Replica, timeout: None };
    Decision::run(job, Reason::StartingReadOnlyWithLock)
        .mark(Mark::Rewind(Rewind::Unsuspected))
        .mark(Mark::Recovering)
        .notes(control_note(present))
        .into()
}

/// 8.4: the same instance, crashed under our eyes or stopped by us in vain, nothing in between.
fn may_restart_as_primary(view: &View<'_>, present: &Present) -> bool {
    let state_fits = present
        .control
        .as_ref()
        .is_some_and(|control| control.state.is_dirty_primary() || control.state == ControlState::ShutDown);
    let ours = view.memory.crashed || view.memory.comes_back == ComesBack::AsLeader;
    state_fits && ours && view.role() == Role::Primary && !present.recovery_configured
}

/// 8.9: not ours to lead. First find out whether the data fits, then start following.
fn as_standby(view: &View<'_>, cluster: &Cluster, present: &Present) -> Step {
    if view.has_unfinished_rewind() {
        return cut_short(view, cluster);
    }
    if let Some(step) = crash_recovery(view, cluster, present) {
        return step;
    }
    let doubt = doubt(view, cluster);
    if let Doubt::Decided(step) = doubt {
        return step;
    }
    match (start(view, cluster, present), doubt) {
        (Start::Ask(fact), _) => Step::ask(fact),
        (Start::Never(step), _) => step,
        (Start::Now(start), Doubt::Settled(notes)) => start.mark(Mark::Rewind(Rewind::NotNeeded)).notes(notes).into(),
        // 23.5: it runs as a standby meanwhile.
        (Start::Now(start), Doubt::Open(_)) => start.mark(Mark::SuspectDivergence).into(),
        // It will not stream; but whoever reads may have what is here.
        (Start::Now(start), Doubt::None) if was_rewound_in_vain(view) => {
            start.mark(Mark::Rewind(Rewind::Failed)).into()
        }
        (Start::Now(start), Doubt::None | Doubt::Decided(_)) => start.into(),
    }
}

/// A mixture of files is never started: rewound again, or copied anew where the operator allows it. Where neither can be
/// done, the operator has to hear of it.
fn cut_short(view: &View<'_>, cluster: &Cluster) -> Step {
    let failed = view.memory.rewind == Rewind::Failed;
    let remedy = if failed { removal_after_failure(view, cluster).into() } else { diverged(view, cluster) };
    let leader = cluster.leader_name().filter(|leader| **leader != view.me.name).cloned();
    let until = match (remedy, leader) {
        (Remedy::Now(step), _) => return step,
        (Remedy::None, _) if failed || is_beyond_rewind(view) => GoesOn::Never,
        (Remedy::NotYet(because), Some(leader)) => GoesOn::OnceReadable { leader, because },
        (Remedy::None, Some(leader)) => GoesOn::OnceLeading { leader },
        (Remedy::NotYet(_) | Remedy::None, None) => GoesOn::OnceSomebodyLeads,
    };
    Decision::stay(Reason::RewindCutShort(until)).into()
}

enum Start {
    Ask(Fact),
    Now(Decision),
    Never(Step),
}

/// With the upstream that is wanted, or without one until it is known that it can do no harm.
fn start(view: &View<'_>, cluster: &Cluster, present: &Present) -> Start {
    let wanted = upstream::wanted(view, cluster);
    let (upstream, notes) = match may_point_at(view, cluster, &wanted) {
        Pointing::Ask(fact) => return Start::Ask(fact),
        Pointing::Never(because) => {
            let (marks, notes) = left_alone(view);
            return Start::Never(with(Decision::stay(because).into(), marks, notes));
        }
        Pointing::Allowed => (wanted, None),
        Pointing::NotYet(because) => (Upstream::Nobody, Some(Note::info(explanation(&because)))),
    };
    let job = Job::StartStandby { upstream, role: Role::Replica, timeout: None };
    let decision = Decision::run(job, Reason::StartingAsSecondary).mark(Mark::Recovering);
    Start::Now(decision.notes(control_note(present)).notes(notes))
}

/// 8.6: a primary that did not end cleanly is brought to a clean end in single-user mode, once per episode, where that
/// is the precondition of a rewind, or nobody leads.
fn crash_recovery(view: &View<'_>, cluster: &Cluster, present: &Present) -> Option<Step> {
    let dirty = present.control.as_ref().is_some_and(|control| control.state.is_dirty_primary());
    let useful = cluster.is_unlocked() || view.postgres().can_rewind;
    (dirty && useful).then(|| single_user(view, present)).flatten()
}

/// 23.3: pg_rewind wants a standby that crashed to have ended cleanly, too. The original sends it through single-user
/// mode, where it writes a checkpoint on a timeline that is another's. We start it without an upstream; the rewind stops
/// it. WAL of a later timeline that it has received it replays then, and may be found to be beyond rewinding; as it is,
/// pg_rewind does not take it at all.
pub fn start_before_rewind(view: &View<'_>) -> Option<Step> {
    let present = view.present().filter(|present| !view.is_running() && !present.unfinished_rewind)?;
    let dirty = present.control.as_ref().is_some_and(|control| control.state == ControlState::InArchiveRecovery);
    if !dirty || view.memory.crash_recovery_tried {
        return None;
    }
    let job = Job::StartStandby { upstream: Upstream::Nobody, role: Role::Replica, timeout: None };
    let decision = Decision::run(job, Reason::StartingBeforeRewind).mark(Mark::Recovering);
    Some(decision.mark(Mark::CrashRecoveryTried).notes(control_note(present)).into())
}

fn single_user(view: &View<'_>, present: &Present) -> Option<Step> {
    if !may_recover(view, present) {
        return None;
    }
    let decision = Decision::run(Job::CrashRecovery, Reason::CrashRecovery).mark(Mark::CrashRecoveryTried);
    Some(decision.notes(control_note(present)).into())
}

/// Once; and what was rewound or copied goes on from the place in its label.
fn may_recover(view: &View<'_>, present: &Present) -> bool {
    let goes_on_from_label = present.backup_label && present.major >= Some(PgMajor::of(15));
    !view.memory.crash_recovery_tried && !goes_on_from_label
}

/// 23.1: rewinding, or removing the data instead, is allowed and possible.
pub fn rewind_allowed(view: &View<'_>) -> bool {
    view.postgres().can_rewind || view.settings.remove_data_directory_on_diverged_timelines
}

/// 8.3: the whole pg_controldata output, for whoever reads the log at night.
fn control_note(present: &Present) -> Option<Note> {
    let control: &Control = present.control.as_ref()?;
    let lines: Vec<String> = control.lines.iter().map(|(key, value)| format!("  {key}: {value}")).collect();
    Some(Note::info(format!("pg_controldata:\n{}", lines.join("\n"))))
}
