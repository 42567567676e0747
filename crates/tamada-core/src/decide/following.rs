//! The lock is another's (ha-loop.md 11, 23). A primary without the lock stops at once; a standby follows the leader, or
//! its configured upstream, and finds out whether its data still fits whenever that is in doubt.

use std::sync::Arc;

use tamada_model::{
    Answers, CloneSource, Cluster, Divergence, Job, PgMajor, RecoveryMatch, Role, Timeline, Upstream, UpstreamMember,
};

use crate::decision::{Chore, Decision, Fact, Note, Reason, Step, Verdict};
use crate::divergence::{Judgement, judge};
use crate::memory::{Mark, Rewind, StepDownMode};
use crate::restart::{Planned, planned};
use crate::view::View;
use crate::{slots, upstream};

use super::down::rewind_allowed;

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>) -> Step {
    let Some(leader) = cluster.leader_name() else {
        return Decision::stay(Reason::PausedWithNobodyToFollow).into();
    };
    if view.is_primary() {
        return primary_without_lock(view, leader);
    }
    if let Some(step) = restart(view) {
        return step;
    }
    if in_doubt(view, cluster)
        && let Some(step) = suspect(view, cluster)
    {
        return step;
    }
    if let Some(step) = divergence(view, cluster) {
        return step;
    }
    follow(view, cluster, Reason::Following { leader: leader.clone() })
}

/// 11.3, 11.4
fn primary_without_lock(view: &View<'_>, leader: &tamada_model::MemberName) -> Step {
    if view.settings.pause {
        let decision = Decision::stay(Reason::PausedPrimaryWithoutLock);
        return match view.role() {
            Role::Primary => decision.into(),
            Role::Replica | Role::StandbyLeader | Role::Promoted | Role::Demoted | Role::Uninitialized => {
                decision.chore(Chore::SetRole(Role::Primary)).into()
            }
        };
    }
    let because = match view.memory.lost_race {
        true => Reason::FollowingAfterLostRace { leader: Some(leader.clone()), was_primary: true },
        false => Reason::PrimaryWithoutLock { leader: leader.clone() },
    };
    Decision::new(Verdict::StepDown(StepDownMode::ImmediateNoLock), because).mark(Mark::RaceSettled).into()
}

/// 19.4
fn restart(view: &View<'_>) -> Option<Step> {
    match planned(view) {
        Planned::Nothing => None,
        Planned::Forget(note) => Some(
            Decision::stay(Reason::Following { leader: view.memory.last_leader.clone()? })
                .mark(Mark::DropScheduledRestart)
                .note(note)
                .into(),
        ),
        Planned::Restart(job) => Some(
            Decision::run(job, Reason::RestartInitiated).mark(Mark::DropScheduledRestart).mark(Mark::Recovering).into(),
        ),
    }
}

/// 11.10 and 23.2: our timeline is behind the leader's, or this instance was just adopted.
fn in_doubt(view: &View<'_>, cluster: &Cluster) -> bool {
    if view.memory.rewind != Rewind::Unsuspected && view.memory.rewind != Rewind::NotNeeded {
        return false;
    }
    let leaders = cluster.leader_member().and_then(|leader| leader.timeline);
    let behind = matches_both(view.timeline(), leaders).is_some_and(|(mine, leaders)| mine < leaders);
    let adopted = !view.postgres().callback_called && view.memory.rewind == Rewind::Unsuspected;
    (behind && !is_receiving(view, leaders)) || adopted
}

fn matches_both(mine: Option<Timeline>, leaders: Option<Timeline>) -> Option<(Timeline, Timeline)> {
    mine.zip(leaders)
}

/// The receiver streams on the leader's timeline: PostgreSQL itself has found that our data fits.
fn is_receiving(view: &View<'_>, leaders: Option<Timeline>) -> bool {
    let receiver = view.live().and_then(|live| live.standby()).and_then(|standby| standby.receiver.as_ref());
    receiver.is_some_and(|receiver| receiver.status == "streaming" && receiver.timeline == leaders)
}

/// Marks the doubt and looks into it in the same pass. `None`: nothing could be done about it anyway.
pub fn suspect(view: &View<'_>, cluster: &Cluster) -> Option<Step> {
    if !rewind_allowed(view) {
        return None;
    }
    investigate(view, cluster, rewind_source(view, cluster)?)
}

/// 23.3: acts on an open doubt. `None`: nothing is in the way of following.
pub fn divergence(view: &View<'_>, cluster: &Cluster) -> Option<Step> {
    match view.memory.rewind {
        Rewind::Unsuspected | Rewind::NotNeeded | Rewind::Done => None,
        Rewind::Failed => removal_after_failure(view, cluster),
        Rewind::Suspected if !rewind_allowed(view) => None,
        Rewind::Suspected => investigate(view, cluster, rewind_source(view, cluster)?),
        Rewind::Needed => diverged(view, cluster),
    }
}

/// 23.4: the leader, if it is another member with an address that calls itself primary.
fn rewind_source(view: &View<'_>, cluster: &Cluster) -> Option<UpstreamMember> {
    let is_primary = cluster.leader_member().and_then(|leader| leader.role) == Some(Role::Primary);
    upstream::leader(view, cluster).filter(|_| is_primary)
}

fn investigate(view: &View<'_>, cluster: &Cluster, leader: UpstreamMember) -> Option<Step> {
    match &view.seen.asked.divergence {
        None => Some(Step::ask(Fact::Divergence(Upstream::Member(leader)))),
        Some(Divergence::Undecided { because }) if view.is_running() => {
            // Look again in a later pass; following meanwhile does no harm, PostgreSQL refuses what does not fit.
            let reason = Reason::DivergenceUnclear { because: because.clone() };
            match follow(view, cluster, reason) {
                Step::Ask(facts) => Some(Step::Ask(facts)),
                Step::Do(decision) => Some(decision.mark(Mark::SuspectDivergence).into()),
            }
        }
        Some(Divergence::Undecided { .. }) => None,
        Some(Divergence::Compared(facts)) => {
            let notes = [
                Note::info(format!("Local timeline={} lsn={}", facts.local_timeline, facts.local_lsn)),
                Note::info(format!("primary_timeline={}", facts.leader_timeline)),
            ];
            match judge(facts) {
                Judgement::InLine => settle(view, cluster, notes),
                Judgement::Diverged => diverged(view, cluster).map(|step| match step {
                    Step::Ask(facts) => Step::Ask(facts),
                    Step::Do(decision) => decision.mark(Mark::Rewind(Rewind::Needed)).notes(notes).into(),
                }),
            }
        }
    }
}

/// Nothing is wrong: remember that, and go on in a pass of its own.
fn settle(view: &View<'_>, _cluster: &Cluster, notes: [Note; 2]) -> Option<Step> {
    let because = match &view.memory.last_leader {
        Some(leader) => Reason::Following { leader: leader.clone() },
        None => Reason::PausedWithNobodyToFollow,
    };
    let quiet = if view.is_running() { because } else { Reason::SteppedDown };
    Some(Decision::stay(quiet).mark(Mark::Rewind(Rewind::NotNeeded)).notes(notes).into())
}

/// The data left the leader's history: rewind if that can be done, else copy anew if the operator allows it.
pub fn diverged(view: &View<'_>, cluster: &Cluster) -> Option<Step> {
    let leader = rewind_source(view, cluster)?;
    if view.settings.pause && cluster.is_unlocked() {
        return None;
    }
    if !view.postgres().can_rewind && !view.has_unfinished_rewind() {
        return view.settings.remove_data_directory_on_diverged_timelines.then(|| copy_anew(view, cluster, leader));
    }
    let record = cluster.leader_member()?;
    let modern = record.agent_version().is_some_and(|version| version.at_least(&[1, 5, 7]));
    if modern && record.checkpoint_after_promote.is_some() {
        let because = Reason::WaitingForLeadersCheckpoint { leader: leader.name.clone() };
        let note = Note::info(format!("Waiting for checkpoint on {} before rewind", leader.name));
        return Some(Decision::stay(because).note(note).into());
    }
    let from = leader.name.clone();
    let job = Job::Rewind { from: Upstream::Member(leader), from_agent_can_be_trusted: modern };
    Some(Decision::run(job, Reason::Diverged { from }).mark(Mark::Rewind(Rewind::Needed)).into())
}

fn copy_anew(view: &View<'_>, cluster: &Cluster, leader: UpstreamMember) -> Step {
    let source =
        upstream::clone_source(view, cluster).unwrap_or(CloneSource::Member { member: leader, is_leader: true });
    let job = Job::Reinitialize { source, then_follow: upstream::wanted(view, cluster), only_basebackup: false };
    Decision::run(job, Reason::DivergedBeyondRewind).mark(Mark::Rewind(Rewind::Unsuspected)).into()
}

/// 23.8: a rewind failed although the leader was fine. With the operator's leave the data is removed and copied anew.
fn removal_after_failure(view: &View<'_>, cluster: &Cluster) -> Option<Step> {
    let allowed = view.settings.remove_data_directory_on_rewind_failure
        || view.settings.remove_data_directory_on_diverged_timelines;
    let leader = rewind_source(view, cluster).filter(|_| allowed)?;
    let option = match view.settings.remove_data_directory_on_rewind_failure {
        true => "remove_data_directory_on_rewind_failure",
        false => "remove_data_directory_on_diverged_timelines",
    };
    match copy_anew(view, cluster, leader) {
        Step::Ask(facts) => Some(Step::Ask(facts)),
        Step::Do(decision) => Some(decision.note(Note::warning(format!("{option} is set. removing..."))).into()),
    }
}

/// 11.7–11.11: the recovery configuration points where it should.
pub fn follow(view: &View<'_>, cluster: &Cluster, because: Reason) -> Step {
    let target = upstream::wanted(view, cluster);
    let Some((asked, found)) = &view.seen.asked.recovery_match else {
        return Step::ask(Fact::RecoveryMatch(target));
    };
    if *asked != target {
        return Step::ask(Fact::RecoveryMatch(target));
    }
    let role = Role::Replica;
    match found {
        RecoveryMatch::Same => in_step(view, cluster, because),
        RecoveryMatch::Reload => {
            let because = Reason::Repointing { to: target.clone(), restart: false };
            Decision::new(Verdict::Repoint { upstream: target, role }, because).mark(Mark::SuspectDivergence).into()
        }
        RecoveryMatch::Restart => {
            let because = Reason::Repointing { to: target.clone(), restart: true };
            Decision::run(Job::ChangeUpstream { upstream: target, role }, because).mark(Mark::SuspectDivergence).into()
        }
    }
}

fn in_step(view: &View<'_>, cluster: &Cluster, because: Reason) -> Step {
    let because = match (view.memory.lost_race, because) {
        (true, Reason::Following { leader }) => {
            Reason::FollowingAfterLostRace { leader: Some(leader), was_primary: false }
        }
        (_, because) => because,
    };
    let mut decision = Decision::stay(because).mark(Mark::RaceSettled);
    if role_is_stale(view) {
        decision = decision.chore(Chore::SetRole(Role::Replica));
    }
    if replay_is_stuck(view) {
        decision =
            decision.chore(Chore::ResumeReplay).note(Note::info("Resuming paused WAL replay for PostgreSQL 14+"));
    }
    if let Some(plan) = slots::plan(view, cluster).filter(|_| view.live().is_some()) {
        decision = decision.chore(Chore::SyncSlots(plan));
    }
    if !view.postgres().callback_called && view.live().is_some() {
        decision = decision.chore(Chore::FireOnStart);
    }
    decision.into()
}

fn role_is_stale(view: &View<'_>) -> bool {
    match view.role() {
        Role::Replica => false,
        Role::Primary | Role::StandbyLeader | Role::Promoted | Role::Demoted | Role::Uninitialized => {
            view.live().is_some()
        }
    }
}

/// 11.7: replay that paused because a parameter was too small goes on once it has grown.
fn replay_is_stuck(view: &View<'_>) -> bool {
    let major = view.present().and_then(|present| present.major);
    let paused = match &view.postgres().answers {
        Answers::Live(live) => live.standby().is_some_and(|standby| standby.replay_paused),
        Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => false,
    };
    paused && !view.settings.pause && major >= Some(PgMajor::of(14))
}
