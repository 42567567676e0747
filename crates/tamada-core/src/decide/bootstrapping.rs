//! We are making a new cluster (ha-loop.md 7.8–7.10). Until its keys are written nobody else may begin; if anything
//! fails, the key goes back so that another member can try.

use std::sync::Arc;

use tamada_model::{Cluster, Job, Role};

use crate::decision::{Chore, Decision, Note, Reason, Step, Verdict};
use crate::memory::Bootstrap;
use crate::view::View;

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>, stage: Bootstrap) -> Step {
    if overtaken(view, cluster) {
        return abandon();
    }
    match stage {
        Bootstrap::Failed => abandon(),
        Bootstrap::Creating | Bootstrap::Prepared if !view.is_running() => abandon(),
        Bootstrap::Creating if view.is_primary() && view.live().is_some() => {
            Decision::run(Job::PostBootstrap, Reason::RunningPostBootstrap).chore(Chore::SetRole(Role::Primary)).into()
        }
        Bootstrap::Creating => Decision::stay(Reason::RecoveryAfterBootstrap).into(),
        Bootstrap::Prepared => match view.system_id() {
            Some(id) => Decision::new(Verdict::FinishBootstrap(id), Reason::BootstrapDone).into(),
            None => abandon(),
        },
    }
}

/// An operator removed our key, and another member made the cluster meanwhile. Ours holds nothing yet; theirs may.
fn overtaken(view: &View<'_>, cluster: &Cluster) -> bool {
    let another = cluster.initialize.system_id().filter(|id| Some(*id) != view.system_id());
    let led = cluster.leader_name().filter(|leader| **leader != view.me.name);
    another.is_some() || led.is_some()
}

pub fn abandon() -> Step {
    Decision::new(Verdict::AbandonBootstrap, Reason::BootstrapFailed)
        .note(Note::info("removing initialize key after failed attempt to bootstrap the cluster"))
        .into()
}
