//! The lock is ours (ha-loop.md 10.1–10.3, 13). First keep it, then obey the operator, then make PostgreSQL what the
//! lock says it is.

use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Answers, Cluster, Initialize, Role};

use crate::decision::{Chore, Decision, Fact, Note, Reason, Step, Verdict};
use crate::history::{self, Needed};
use crate::memory::{CheckpointAfterPromote, Mark, StepDownMode};
use crate::restart::{Planned, planned};
use crate::switchover::{Handling, on_leader};
use crate::view::View;
use crate::{HeldLease, slots};

use super::busy::{Renewal, renew};

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>) -> Step {
    if view.settings.pause && !view.is_primary() {
        return paused_standby(view, cluster);
    }
    match renew(view) {
        Some(Renewal::Ask(step)) => return step,
        Some(Renewal::Lost) => return lost(view),
        Some(Renewal::Unclear(because)) => return super::dark::decide(view, &because, None),
        None => {}
    }
    if let Some(step) = requested(view, cluster) {
        return step;
    }
    match view.memory.lease_runs(view.now.mono) {
        Some(lease) => enforce(view, cluster, lease),
        None => Decision::new(Verdict::Renew, Reason::LeaseDue).into(),
    }
}

/// 10.1: in pause the lock of a standby goes back, unless a named candidate is about to be promoted.
fn paused_standby(view: &View<'_>, cluster: &Cluster) -> Step {
    let named = cluster.failover.as_ref().and_then(|request| request.value.candidate.as_ref()) == Some(&view.me.name);
    if !named {
        return Decision::new(Verdict::Release(None), Reason::NotPrimaryWhilePaused).into();
    }
    match view.memory.lease_runs(view.now.mono) {
        Some(lease) if view.role() != Role::Promoted => promote(view, lease),
        Some(_) | None => Decision::stay(Reason::WaitingForOwnPromotion).into(),
    }
}

/// 10.2: the store says that the lock is not ours any more.
fn lost(view: &View<'_>) -> Step {
    let because = Reason::RenewalRefused { was_primary: view.is_primary(), paused: view.settings.pause };
    let error = Note::error("failed to update leader lock");
    if view.is_primary() && !view.settings.pause {
        let verdict = Verdict::StepDown(StepDownMode::ImmediateNoLock);
        return Decision::new(verdict, because).note(error).into();
    }
    Decision::stay(because).note(error).into()
}

/// A switchover or failover was asked for; `None` when there is nothing to do about it now.
pub fn requested(view: &View<'_>, cluster: &Arc<Cluster>) -> Option<Step> {
    Some(match on_leader(view, cluster) {
        Handling::Nothing => return None,
        Handling::Ask(fact) => Step::ask(fact),
        Handling::Drop(chore, notes) => {
            Decision::stay(Reason::LeaderWithLock).chore(chore).chores(upkeep(view, cluster)).notes(notes).into()
        }
        Handling::Demote { kind, to, notes } => {
            Decision::new(Verdict::StepDown(StepDownMode::Graceful), Reason::RequestedDemotion { kind, to })
                .notes(notes)
                .into()
        }
    })
}

/// 13: PostgreSQL is to be the primary.
fn enforce(view: &View<'_>, cluster: &Arc<Cluster>, lease: HeldLease) -> Step {
    if view.memory.pre_promote_refused && !view.settings.pause {
        return Decision::new(Verdict::Release(None), Reason::PrePromoteRefused)
            .mark(Mark::PromotionRefused)
            .note(Note::warning("Releasing the leader key voluntarily because the pre-promote script failed"))
            .into();
    }
    if view.is_primary() {
        return lead(view, cluster);
    }
    match view.role() {
        Role::Primary | Role::Promoted => Decision::stay(Reason::PromotionUnderWay).into(),
        Role::Replica | Role::StandbyLeader | Role::Demoted | Role::Uninitialized => promote(view, lease),
    }
}

/// Enough of the lease must be left for the promotion not to outlive it.
fn promote(view: &View<'_>, lease: HeldLease) -> Step {
    match &view.postgres().answers {
        Answers::Live(_) => {}
        Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => {
            return Decision::stay(Reason::PromotionUnderWay).into();
        }
    }
    let left = view.now.mono.until(lease.fence_at());
    if left < Duration::from_millis(200) {
        return Decision::stay(Reason::LeaseTooShortToPromote { left }).into();
    }
    let because = if view.memory.won_race { Reason::PromotingAfterRace } else { Reason::PromotingWithLock };
    Decision::new(Verdict::Promote(lease), because).mark(Mark::RaceSettled).into()
}

fn lead(view: &View<'_>, cluster: &Arc<Cluster>) -> Step {
    if let Planned::Restart(job) = planned(view) {
        return Decision::run(job, Reason::RestartInitiated)
            .mark(Mark::DropScheduledRestart)
            .mark(Mark::Recovering)
            .into();
    }
    if let Some(fact) = history_question(view, cluster) {
        return Step::ask(fact);
    }
    let because = if view.memory.won_race { Reason::AcquiredAsPrimary } else { Reason::LeaderWithLock };
    let mut decision = Decision::stay(because).mark(Mark::RaceSettled).chores(upkeep(view, cluster));
    if let Planned::Forget(note) = planned(view) {
        decision = decision.mark(Mark::DropScheduledRestart).note(note);
    }
    if view.memory.checkpoint == CheckpointAfterPromote::Missing {
        decision = decision.chore(Chore::CheckpointAfterPromote).mark(Mark::CheckpointAsked);
    }
    decision.into()
}

fn history_question(view: &View<'_>, cluster: &Cluster) -> Option<Fact> {
    match history::needed(cluster, view.timeline()?) {
        Needed::RewriteFrom(timeline) if view.seen.asked.history_file.is_none() => Some(Fact::HistoryFile(timeline)),
        Needed::Nothing | Needed::Emptying | Needed::RewriteFrom(_) => None,
    }
}

/// What a leader keeps in order beside leading: the cluster's keys, its role, the slots (5 steps 5, 6, 15; 22).
fn upkeep(view: &View<'_>, cluster: &Arc<Cluster>) -> Vec<Chore> {
    let mut chores = Vec::new();
    if view.is_primary() && view.role() != Role::Primary && view.live().is_some() {
        chores.push(Chore::SetRole(Role::Primary));
    }
    match (&cluster.initialize, view.system_id()) {
        (Initialize::Done(_), _) | (_, None) => {}
        (Initialize::Absent | Initialize::Underway | Initialize::Invalid(_), Some(id)) => {
            chores.push(Chore::RepairInitialize(id));
        }
    }
    if cluster.config.as_ref().is_none_or(|config| config.value.is_empty()) && !view.dynamic.is_empty() {
        chores.push(Chore::RepairConfig(view.dynamic.clone()));
    }
    chores.extend(history_chore(view, cluster));
    chores.extend(slots::plan(view, cluster).filter(|_| view.live().is_some()).map(Chore::SyncSlots));
    if !view.postgres().callback_called {
        chores.push(Chore::FireOnStart);
    }
    chores
}

fn history_chore(view: &View<'_>, cluster: &Cluster) -> Option<Chore> {
    match history::needed(cluster, view.timeline().filter(|_| view.is_primary())?) {
        Needed::Nothing => None,
        Needed::Emptying => Some(Chore::WriteHistory(Vec::new())),
        Needed::RewriteFrom(_) => {
            let file = view.seen.asked.history_file.as_ref()?.as_ref()?;
            let keep = view.settings.max_timelines_history;
            Some(Chore::WriteHistory(history::rewritten(cluster, file, &view.me.name, keep)))
        }
    }
}
