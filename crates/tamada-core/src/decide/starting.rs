//! PostgreSQL runs and rejects connections: it is recovering (ha-loop.md 16.6–16.9). A leader waits for its own start up
//! to `primary_start_timeout`, then lets another lead if one can.

use std::sync::Arc;

use tamada_model::{Cluster, FailoverKind};

use crate::decision::{Decision, Note, Reason, Step, Verdict};
use crate::memory::StepDownMode;
use crate::switchover::{Possible, Wanted, possible};
use crate::view::View;

use super::busy::{Renewal, renew};
use super::leading::{self, Requested};

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>) -> Step {
    if !view.has_lock() {
        return without_lock(view, cluster);
    }
    match renew(view) {
        Some(Renewal::Ask(step)) => return step,
        Some(Renewal::Lost) if !view.settings.pause => {
            let verdict = Verdict::StepDown(StepDownMode::ImmediateNoLock);
            return Decision::new(verdict, Reason::LostLockWhileStarting)
                .note(Note::info("Lost lock while starting up. Demoting self."))
                .into();
        }
        Some(Renewal::Unclear(because)) => return super::dark::decide(view, &because, None),
        Some(Renewal::Lost) | None => {}
    }
    let timeout = view.memory.start_timeout.unwrap_or(view.settings.primary_start_timeout);
    let since = view.memory.starting_since.unwrap_or(view.now.mono);
    let left = view.now.mono.until(since + timeout);
    if !left.is_zero() || view.settings.pause {
        return match leading::requested(view, cluster) {
            Requested::Decided(step) => step,
            Requested::GoOn(chores, notes) => {
                let waiting = Decision::stay(Reason::StillStarting { seconds_left: left.as_secs() });
                leading::beside(waiting.into(), chores, notes)
            }
        };
    }
    timed_out(view, cluster)
}

fn timed_out(view: &View<'_>, cluster: &Cluster) -> Step {
    let wanted = Wanted { candidate: None, must_have: None, kind: FailoverKind::ManualFailover };
    match possible(view, cluster, wanted) {
        Possible::Ask(fact) => Step::ask(fact),
        Possible::Yes(found) => Decision::new(Verdict::StepDown(StepDownMode::Immediate), Reason::StartTimedOut)
            .note(Note::info("Demoting self because primary startup is taking too long"))
            .notes(found.notes)
            .into(),
        Possible::No(notes) => Decision::stay(Reason::StartTimedOutButAlone).notes(notes).into(),
    }
}

fn without_lock(view: &View<'_>, cluster: &Arc<Cluster>) -> Step {
    let note = Note::info("Still starting up as a standby.");
    if view.is_primary() && !view.settings.pause && !cluster.is_unlocked() {
        // A former primary that is recovering must not become writable.
        let verdict = Verdict::StepDown(StepDownMode::ImmediateNoLock);
        return Decision::new(verdict, Reason::LostLockWhileStarting).into();
    }
    let step = match cluster.leader_name() {
        Some(_) => super::following::decide(view, cluster),
        None => super::leaderless::decide(view, cluster),
    };
    match step {
        Step::Ask(facts) => Step::Ask(facts),
        Step::Do(decision) => decision.note(note).into(),
    }
}
