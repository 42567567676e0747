//! PostgreSQL was stopped for a step-down (ha-loop.md 15.4–15.9). What is left: give the key away, and leave the others
//! a moment to take it before we come back as a standby.

use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Cluster, Role};

use crate::decision::{Chore, Decision, Reason, Step, Verdict};
use crate::memory::{Mark, StepDown, StepDownMode};
use crate::view::View;

/// How long we wait for a successor after giving the key away (15.6).
pub const SUCCESSOR_PATIENCE: Duration = Duration::from_secs(2);

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>, step_down: &StepDown) -> Step {
    if step_down.stopped.is_none() || view.is_running() {
        return not_stopped(view, step_down);
    }
    let holds = view.has_lock() && view.memory.lease.is_some() && step_down.released_at.is_none();
    if holds && step_down.mode.releases_key() {
        let last = step_down.stopped.flatten().map(|position| position.publish);
        return Decision::new(Verdict::Release(last), Reason::ReleasingKey).chore(Chore::SetRole(Role::Demoted)).into();
    }
    let waits =
        step_down.released_at.is_some_and(|at| view.now.mono.since(at) < SUCCESSOR_PATIENCE && cluster.is_unlocked());
    if waits {
        return Decision::stay(Reason::WaitingForSuccessor).into();
    }
    Decision::stay(Reason::SteppedDown)
        .chore(Chore::SetRole(Role::Demoted))
        .mark(Mark::SuspectDivergence)
        .mark(Mark::SteppedDown)
        .into()
}

/// The stop failed, or PostgreSQL came back: stop it again, harder if it must not run.
fn not_stopped(view: &View<'_>, step_down: &StepDown) -> Step {
    if !view.is_running() {
        return Decision::stay(Reason::SteppedDown).mark(Mark::SuspectDivergence).mark(Mark::SteppedDown).into();
    }
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
