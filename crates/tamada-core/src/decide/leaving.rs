//! The agent ends (ha-loop.md 21). PostgreSQL goes with it, unless the cluster is paused or PostgreSQL was never ours
//! to touch; a leader gives the key away only once its WAL has ended.

use std::sync::Arc;

use tamada_model::{Cluster, Job};

use crate::decision::{Decision, Leave, Note, Reason, Step, Verdict};
use crate::memory::StepDownMode;
use crate::situation::Work;
use crate::view::View;

pub fn decide(view: &View<'_>, cluster: Option<&Arc<Cluster>>, busy: Option<Work<'_>>) -> Step {
    if view.memory.join_aborted {
        return Decision::new(Verdict::Leave(Leave::Refusing), Reason::ReplicaInUninitializedCluster).into();
    }
    if view.settings.pause {
        return Decision::new(Verdict::Leave(Leave::AsAsked), Reason::LeavingPaused).into();
    }
    match busy.map(|work| work.job) {
        Some(Job::Stop(_)) => super::busy::stopping(view, cluster, busy),
        // Whatever it is, it must not go on without us.
        Some(_) => Decision::new(Verdict::CancelAndStepDown(StepDownMode::Shutdown), Reason::Leaving).into(),
        None if view.is_running() => stop(view),
        None => stopped(view, cluster),
    }
}

fn stop(view: &View<'_>) -> Step {
    if view.memory.step_down.as_ref().is_some_and(|step_down| step_down.stopped.is_some()) {
        let note = Note::error("PostgreSQL shutdown failed, leader key not removed.");
        return Decision::new(Verdict::Leave(Leave::AsAsked), Reason::Leaving).note(note).into();
    }
    Decision::new(Verdict::StepDown(StepDownMode::Shutdown), Reason::Leaving).into()
}

fn stopped(view: &View<'_>, cluster: Option<&Arc<Cluster>>) -> Step {
    let position = view.memory.step_down.as_ref().and_then(|step_down| step_down.stopped.flatten());
    let has_lock = cluster.and_then(|cluster| cluster.leader_name()) == Some(&view.me.name);
    if has_lock && view.memory.lease.is_some() {
        let last = position.map(|position| position.publish);
        return Decision::new(Verdict::Release(last), Reason::ReleasingKey).into();
    }
    Decision::new(Verdict::Leave(Leave::AsAsked), Reason::Leaving).into()
}
