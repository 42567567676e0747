//! The agent ends (ha-loop.md 21). PostgreSQL goes with it, unless the cluster is paused or PostgreSQL was never ours
//! to touch; a leader gives the key away only once its WAL has ended, and an unfinished bootstrap gives its key back.

use std::sync::Arc;

use tamada_model::{Cluster, Job};

use crate::decision::{Decision, Leave, Note, Reason, Step, Verdict};
use crate::memory::{Bootstrap, StepDownMode};
use crate::situation::Work;
use crate::view::View;

pub fn decide(view: &View<'_>, cluster: Option<&Arc<Cluster>>, busy: Option<Work<'_>>) -> Step {
    if view.memory.join_aborted {
        return Decision::new(Verdict::Leave(Leave::Refusing), Reason::ReplicaInUninitializedCluster).into();
    }
    match busy.map(|work| work.job) {
        Some(Job::Stop(_)) => return super::busy::stopping(view, cluster, busy),
        // It will have ended soon, and the agent with it.
        Some(Job::AbandonBootstrap) => return Decision::stay(Reason::Leaving).into(),
        // Whatever it is, it must not go on without us.
        Some(_) => return Decision::new(Verdict::CancelAndStepDown(StepDownMode::Shutdown), Reason::Leaving).into(),
        None => {}
    }
    if let (Some(stage), Some(cluster)) = (view.memory.bootstrap, cluster) {
        return unfinished(view, cluster, stage);
    }
    if view.settings.pause {
        return leave(view, Reason::LeavingPaused);
    }
    if view.is_running() { stop(view) } else { stopped(view, cluster) }
}

fn leave(view: &View<'_>, because: Reason) -> Step {
    let how = if view.memory.refusing { Leave::Refusing } else { Leave::AsAsked };
    Decision::new(Verdict::Leave(how), because).into()
}

/// Left as it is, the empty `initialize` key would keep everybody else from making the cluster. What lacks only its keys
/// is finished first.
fn unfinished(view: &View<'_>, cluster: &Arc<Cluster>, stage: Bootstrap) -> Step {
    match stage {
        Bootstrap::Prepared => super::bootstrapping::decide(view, cluster, stage),
        Bootstrap::Creating | Bootstrap::Failed => super::bootstrapping::abandon(),
    }
}

/// 21.5: what could not be stopped keeps the key, which then runs out by itself.
fn stop(view: &View<'_>) -> Step {
    if view.memory.step_down.as_ref().is_some_and(|step_down| step_down.stopped.is_some() || step_down.failed) {
        let note = Note::error("PostgreSQL shutdown failed, leader key not removed.");
        return match leave(view, Reason::Leaving) {
            Step::Ask(facts) => Step::Ask(facts),
            Step::Do(decision) => decision.note(note).into(),
        };
    }
    Decision::new(Verdict::StepDown(StepDownMode::Shutdown), Reason::Leaving).into()
}

fn stopped(view: &View<'_>, cluster: Option<&Arc<Cluster>>) -> Step {
    let position = view.memory.step_down.as_ref().and_then(|step_down| step_down.stopped.flatten());
    let has_lock = cluster.and_then(|cluster| cluster.leader_name()) == Some(&view.me.name);
    if has_lock && view.memory.lease_runs(view.now.mono).is_some() {
        let last = position.map(|position| position.publish);
        return Decision::new(Verdict::Release(last), Reason::ReleasingKey).into();
    }
    leave(view, Reason::Leaving)
}
