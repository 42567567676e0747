//! PostgreSQL was stopped for a step-down (ha-loop.md 15.4–15.9). What is left: give the key away, and leave the others
//! a moment to take it before we come back as a standby.

use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Cluster, FailoverKind, FailoverRequest, Lsn, Role, Stamped};

use crate::decision::{Chore, Decision, Note, Reason, Step, Verdict};
use crate::guard::{Guarding, guarding};
use crate::memory::{Mark, StepDown, StepDownMode};
use crate::plant::{Plant, is_planted};
use crate::switchover::{Possible, Wanted, possible, request_for_now};
use crate::view::View;

use super::busy::{Renewal, renew};

/// How long we wait for a successor after giving the key away (15.6).
pub const SUCCESSOR_PATIENCE: Duration = Duration::from_secs(2);
/// How long a standby may take to show that it has the last of our WAL. Writes wait meanwhile.
const WAL_PATIENCE: Duration = Duration::from_secs(2);

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>, step_down: &StepDown) -> Step {
    if view.is_running() {
        return not_stopped(view, step_down);
    }
    let holds = view.has_lock() && view.memory.lease.is_some() && step_down.released_at.is_none();
    if holds && step_down.mode.releases_key() {
        return hand_over(view, cluster, step_down);
    }
    let waits =
        step_down.released_at.is_some_and(|at| view.now.mono.since(at) < SUCCESSOR_PATIENCE && cluster.is_unlocked());
    if waits {
        return Decision::stay(Reason::WaitingForSuccessor).into();
    }
    end(view)
}

/// The key is given to a successor that has everything we acknowledged. PostgreSQL itself waits for connected standbys
/// before it exits, so this normally costs one question. If nobody proves to have our last position, a switchover that
/// was asked for is not worth losing commits: we lead on (the original gives the key away all the same, 15.10). The lock
/// was kept all the while, so PostgreSQL comes back as the primary it was.
fn hand_over(view: &View<'_>, cluster: &Cluster, step_down: &StepDown) -> Step {
    match renew(view) {
        Some(Renewal::Ask(step)) => return step,
        Some(Renewal::Unclear(because)) => return Decision::stay(Reason::StoreDark { because }).into(),
        Some(Renewal::Lost) => return end(view),
        None => {}
    }
    let position = step_down.stopped.flatten();
    let request = request_for_now(view, cluster);
    let release = |notes| {
        let last = position.map(|position| position.publish);
        let decision = Decision::new(Verdict::Release(last), Reason::ReleasingKey);
        let demoted = Some(Chore::SetRole(Role::Demoted)).filter(|_| view.role() != Role::Demoted);
        decision.chores(demoted).notes(notes).into()
    };
    let (Some(position), StepDownMode::Graceful) = (position, step_down.mode) else {
        return if step_down.mode == StepDownMode::Graceful && loses_nothing(view, request) {
            abandon(None, request, Vec::new())
        } else {
            release(Vec::new())
        };
    };
    let candidate = request.and_then(|request| request.value.candidate.as_ref());
    let wanted = Wanted { candidate, must_have: Some(position.checkpoint), kind: FailoverKind::Switchover };
    let patient = step_down.successor_until.is_none_or(|until| view.now.mono < until);
    // A standby may yet receive the rest; and a guard that is just starting may let us lead on.
    let in_a_moment = patient || guarding(view) == Guarding::Awaited;
    match possible(view, cluster, wanted) {
        Possible::Ask(fact) => Step::ask(fact),
        Possible::No(notes) if is_planted(Plant::ReleaseWithoutSuccessor) => release(notes),
        Possible::Yes(found) => release(found.notes),
        Possible::No(notes) if in_a_moment => {
            Decision::stay(Reason::WaitingForSuccessorsWal { needed: position.checkpoint })
                .mark(Mark::AwaitSuccessor(WAL_PATIENCE))
                .notes(notes)
                .into()
        }
        // Nobody has everything, and we may not lead on.
        Possible::No(notes) if guarding(view) != Guarding::Enough => release(notes),
        Possible::No(notes) => abandon(Some(position.checkpoint), request, notes),
    }
}

/// 1. A switchover to b was asked for; our PostgreSQL dies while it stops (a full disk, a kill).
/// 2. Nobody knows where its WAL ends. The named candidate is not compared with anybody.
/// 3. b leads without what we acknowledged last.
///
/// Therefore only a clean stop is handed over. A manual failover to another is another matter: whoever asks for that wants
/// it in any case. One to ourselves, which came while we stopped, does not.
fn loses_nothing(view: &View<'_>, request: Option<&Stamped<FailoverRequest>>) -> bool {
    request.is_some_and(|request| match request.value.kind() {
        FailoverKind::Switchover => true,
        FailoverKind::ManualFailover => request.value.candidate.as_ref() == Some(&view.me.name),
    })
}

fn abandon(needed: Option<Lsn>, request: Option<&Stamped<FailoverRequest>>, notes: Vec<Note>) -> Step {
    let request = request.map(|request| Chore::ClearFailover(request.stamp.clone()));
    Decision::stay(Reason::SwitchoverAbandoned { needed }).chores(request).mark(Mark::LeadOn).notes(notes).into()
}

fn end(view: &View<'_>) -> Step {
    let demoted = Some(Chore::SetRole(Role::Demoted)).filter(|_| view.role() != Role::Demoted);
    Decision::stay(Reason::SteppedDown).chores(demoted).mark(Mark::SuspectDivergence).mark(Mark::SteppedDown).into()
}

/// The stop failed, or PostgreSQL came back: stop it again, harder if it must not run.
fn not_stopped(view: &View<'_>, step_down: &StepDown) -> Step {
    let mode = match step_down.mode {
        StepDownMode::Graceful | StepDownMode::Immediate | StepDownMode::Shutdown if view.has_lock() => step_down.mode,
        StepDownMode::Graceful
        | StepDownMode::Immediate
        | StepDownMode::Shutdown
        | StepDownMode::Offline
        | StepDownMode::ImmediateNoLock => StepDownMode::ImmediateNoLock,
    };
    Decision::new(Verdict::StepDown(mode), Reason::Stopping { mode }).into()
}
