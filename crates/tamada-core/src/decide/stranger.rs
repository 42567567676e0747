//! Whose data is this? (ha-loop.md 6.3–6.4) Data of another cluster is never started and never deleted.

use std::sync::Arc;

use tamada_model::Cluster;

use crate::decision::{Decision, Leave, Note, Reason, Step, Verdict};
use crate::situation::Identity;
use crate::view::View;

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>, identity: Identity) -> Step {
    match identity {
        Identity::Unknown => Decision::stay(Reason::InvalidSystemId).into(),
        Identity::Foreign { theirs, ours } if view.settings.pause => paused(view, cluster, theirs, ours),
        Identity::Foreign { theirs, ours } => {
            let because = Reason::ForeignSystemId { theirs, ours };
            let text = crate::phrase::sentence(&because, view.me.name.as_str()).unwrap_or_default();
            Decision::new(Verdict::Leave(Leave::Refusing), because).note(Note::critical(text)).into()
        }
    }
}

fn paused(view: &View<'_>, _cluster: &Cluster, theirs: tamada_model::SystemId, ours: tamada_model::SystemId) -> Step {
    let warning = Note::warning(format!(
        "system ID has changed while in paused mode. Patroni will exit when resuming unless system ID is reset: \
         {theirs} != {ours}"
    ));
    if view.has_lock() {
        return Decision::new(Verdict::Release(None), Reason::ForeignSystemIdWhilePausedLeader).note(warning).into();
    }
    let because = if view.is_primary() { Reason::PausedPrimaryWithoutLock } else { Reason::PausedWithNobodyToFollow };
    Decision::stay(because).note(warning).into()
}
