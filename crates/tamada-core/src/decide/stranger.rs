//! Whose data is this? (ha-loop.md 6.3–6.4) Data of another cluster is never started and never deleted.

use tamada_model::SystemId;

use crate::decision::{Decision, Leave, Note, Reason, Step, Verdict};
use crate::memory::Mark;
use crate::situation::Identity;
use crate::view::View;

pub fn decide(view: &View<'_>, identity: Identity) -> Step {
    match identity {
        Identity::Unknown => Decision::stay(Reason::InvalidSystemId).into(),
        Identity::Foreign { theirs, ours } if view.settings.pause => paused(view, theirs, ours),
        Identity::Foreign { theirs, ours } => {
            let because = Reason::ForeignSystemId { theirs, ours };
            let text = crate::phrase::sentence(&because, view.me.name.as_str()).unwrap_or_default();
            let decision = match view.is_running() {
                // It goes down with us like at any other end of the agent (21.3), and a lock of ours goes back.
                true => Decision::stay(because).mark(Mark::Refusing),
                false => Decision::new(Verdict::Leave(Leave::Refusing), because),
            };
            decision.note(Note::critical(text)).into()
        }
    }
}

/// 6.4: nobody here leads with other data. Whom such a PostgreSQL follows is the operator's business until the pause ends.
fn paused(view: &View<'_>, theirs: SystemId, ours: SystemId) -> Step {
    let warning = Note::warning(format!(
        "system ID has changed while in paused mode. Patroni will exit when resuming unless system ID is reset: \
         {theirs} != {ours}"
    ));
    if view.has_lock() {
        return Decision::new(Verdict::Release(None), Reason::ForeignSystemIdWhilePausedLeader).note(warning).into();
    }
    let because = if view.is_primary() {
        Reason::PausedPrimaryWithoutLock { unfit: None }
    } else {
        Reason::PausedWithNobodyToFollow { unfit: None }
    };
    Decision::stay(because).note(warning).into()
}
