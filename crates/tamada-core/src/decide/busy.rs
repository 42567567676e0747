//! A long action runs (ha-loop.md 16.1–16.5). The lock is kept meanwhile; what must not go on without the lock is
//! stopped.

use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Cluster, FailoverKind, Job, Role, StopMode};

use crate::decision::{Chore, Decision, Note, Reason, Step, Verdict};
use crate::lease::Standing;
use crate::memory::StepDownMode;
use crate::plan::WriteOutcome;
use crate::plant::{Plant, is_planted};
use crate::situation::Work;
use crate::switchover::{Possible, Wanted, possible, request_for_now};
use crate::view::View;

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>, work: Work<'_>) -> Step {
    if work.job.is_stop() {
        return stopping(view, Some(cluster), Some(work));
    }
    if !view.has_lock() {
        return without_lock(view, cluster, work);
    }
    if let Some(step) = renew(view) {
        return match step {
            Renewal::Ask(step) => step,
            Renewal::Lost => without_lock(view, cluster, work),
            Renewal::Unclear(because) => super::dark::decide(view, &because, Some(work)),
        };
    }
    with_lock(view, cluster, work)
}

/// What stands between us and acting as the lock's holder.
pub enum Renewal {
    Ask(Step),
    /// The store says the lock is not ours.
    Lost,
    /// It cannot be told, and too little of the lease is left to act on it.
    Unclear(String),
}

/// `None`: our lease runs and needs no renewal now. The three outcomes of a renewal are never merged (9.3).
pub fn renew(view: &View<'_>) -> Option<Renewal> {
    if is_planted(Plant::PromotionUnchecked) && !view.is_primary() && view.memory.lease.is_some() {
        return None;
    }
    let standing = view.memory.lease.map(|lease| lease.standing(view.now.mono, view.settings));
    match (&view.seen.asked.renewal, standing) {
        (Some(WriteOutcome::Beaten), _) => Some(Renewal::Lost),
        (Some(WriteOutcome::Unclear(because) | WriteOutcome::Failed(because)), _) => {
            Some(Renewal::Unclear(because.clone()))
        }
        (Some(WriteOutcome::Done), _) | (None, Some(Standing::Held)) => None,
        (None, None | Some(Standing::Due | Standing::Ending | Standing::Gone)) => {
            Some(Renewal::Ask(Decision::new(Verdict::Renew, Reason::LeaseDue).into()))
        }
    }
}

fn with_lock(view: &View<'_>, cluster: &Cluster, work: Work<'_>) -> Step {
    let elapsed = view.now.mono.since(work.since);
    if *work.job == Job::CrashRecovery && elapsed >= view.settings.primary_start_timeout {
        let wanted = Wanted { candidate: None, must_have: None, kind: FailoverKind::ManualFailover };
        match possible(view, cluster, wanted) {
            Possible::Ask(fact) => return Step::ask(fact),
            Possible::Yes(found) => {
                let verdict = Verdict::CancelAndStepDown(StepDownMode::Immediate);
                return Decision::new(verdict, Reason::CrashRecoveryTooLong)
                    .note(Note::info("Demoting self because crash recovery is taking too long"))
                    .notes(found.notes)
                    .into();
            }
            Possible::No(_) => {}
        }
    }
    Decision::stay(Reason::LockRenewedDuring { action: work.job.text() }).into()
}

fn without_lock(view: &View<'_>, cluster: &Cluster, work: Work<'_>) -> Step {
    let action = work.job.text();
    if view.memory.bootstrap.is_some() || view.settings.pause {
        return Decision::stay(Reason::ActionInProgress { action }).into();
    }
    let step_down = Verdict::CancelAndStepDown(StepDownMode::ImmediateNoLock);
    match work.job {
        Job::Promote { .. } => Decision::new(step_down, Reason::LostLeaderBeforePromote).into(),
        Job::StartPrimary { .. } | Job::Restart { .. } if view.role().is_primary() => {
            let note = Note::info(format!("Demoting primary during {action}"));
            Decision::new(step_down, Reason::LostLockDuring { action }).note(note).into()
        }
        Job::StartPrimary { .. }
        | Job::Restart { .. }
        | Job::Bootstrap
        | Job::PostBootstrap
        | Job::Clone { .. }
        | Job::Reinitialize { .. }
        | Job::StartStandby { .. }
        | Job::ChangeUpstream { .. }
        | Job::CrashRecovery
        | Job::Rewind { .. }
        | Job::Stop(_)
        | Job::AbandonBootstrap
        | Job::RemoveData => {
            let decision = Decision::stay(Reason::ActionInProgress { action });
            if cluster.is_unlocked() {
                decision.note(Note::info("not healthy enough for leader race")).into()
            } else {
                decision.into()
            }
        }
    }
}

/// A stop is under way. The key is kept while PostgreSQL may still need it, and given away as soon as pg_control says
/// "shut down" and a successor proves that it has the shutdown checkpoint (15.3): a slow archiver does not prolong the
/// outage then.
pub fn stopping(view: &View<'_>, cluster: Option<&Arc<Cluster>>, work: Option<Work<'_>>) -> Step {
    let action = work.map(|work| work.job.text()).unwrap_or_default();
    let (Some(cluster), Some(step_down)) = (cluster, &view.memory.step_down) else {
        return Decision::stay(Reason::ActionInProgress { action }).into();
    };
    let holds = view.has_lock() && view.memory.lease.is_some() && step_down.released_at.is_none();
    if !holds {
        return harder(view, work).unwrap_or_else(|| Decision::stay(Reason::ActionInProgress { action }).into());
    }
    match renew(view) {
        Some(Renewal::Ask(step)) => return step,
        Some(Renewal::Lost | Renewal::Unclear(_)) => {
            return harder(view, work).unwrap_or_else(|| Decision::stay(Reason::ActionInProgress { action }).into());
        }
        None => {}
    }
    let position = work.and_then(|work| work.shut_down).filter(|_| step_down.mode.releases_key());
    let Some(position) = position else {
        return Decision::stay(Reason::LockRenewedDuring { action }).into();
    };
    let named = request_for_now(view, cluster).and_then(|request| request.value.candidate.as_ref());
    let candidate = named.filter(|_| step_down.mode == StepDownMode::Graceful);
    let wanted = Wanted { candidate, must_have: Some(position.checkpoint), kind: FailoverKind::Switchover };
    match possible(view, cluster, wanted) {
        Possible::Ask(fact) => Step::ask(fact),
        Possible::Yes(_) => Decision::new(Verdict::Release(Some(position.publish)), Reason::ReleasingKey)
            .chore(Chore::SetRole(Role::Demoted))
            .into(),
        Possible::No(notes) => {
            let because = Reason::ShutDownButKept { action, needed: position.checkpoint };
            Decision::stay(because).notes(notes).into()
        }
    }
}

/// How long a gentle stop may take that began without any lease, because the store is away.
const GRACE: Duration = Duration::from_secs(1);

/// The lock is gone while a gentle stop still runs and PostgreSQL may still be writable: stop at once.
pub fn harder(view: &View<'_>, work: Option<Work<'_>>) -> Option<Step> {
    let work = work.filter(|work| is_gentle(work))?;
    let step_down = view.memory.step_down.as_ref()?;
    let in_time = match step_down.mode {
        StepDownMode::ImmediateNoLock => return None,
        StepDownMode::Offline => view.now.mono.since(work.since) < GRACE,
        StepDownMode::Graceful | StepDownMode::Immediate | StepDownMode::Shutdown => false,
    };
    let has_right = in_time || step_down.released_at.is_some() || view.memory.lease_runs(view.now.mono).is_some();
    (view.role().is_primary() && !has_right).then(|| {
        let verdict = Verdict::CancelAndStepDown(StepDownMode::ImmediateNoLock);
        Decision::new(verdict, Reason::LostLockDuring { action: "demotion".into() }).into()
    })
}

/// A fast stop whose WAL has not ended yet.
fn is_gentle(work: &Work<'_>) -> bool {
    match work.job {
        Job::Stop(stop) => stop.mode == StopMode::Fast && work.shut_down.is_none(),
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
    }
}
