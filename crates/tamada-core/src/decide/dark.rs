//! The store cannot be read (ha-loop.md 17). A standby waits. A primary keeps its writes for as long as its lease still
//! leaves the time to stop, then stops: somebody else may lead from the lease's end on.

use std::time::Duration;

use tamada_model::{Job, Role, Upstream};

use crate::decision::{Decision, Note, Reason, Step, Verdict};
use crate::lease::Standing;
use crate::memory::{ComesBack, Mark, StepDownMode};
use crate::plant::{Plant, is_planted};
use crate::situation::Work;
use crate::view::View;

pub fn decide(view: &View<'_>, because: &str, busy: Option<Work<'_>>) -> Step {
    let dark = Reason::StoreDark { because: because.to_owned() };
    if let Some(work) = busy {
        return busy_in_the_dark(view, because, work);
    }
    // While our bootstrap is unfinished nobody else may lead, lease or not (7.5).
    if view.settings.pause || view.memory.bootstrap.is_some() {
        return Decision::stay(dark).into();
    }
    if !view.is_running() {
        return down_in_the_dark(view, dark);
    }
    if !view.is_primary() && !view.promotes() {
        return Decision::stay(dark).into();
    }
    match patience(view) {
        Some(patience) => Decision::stay(Reason::StoreDarkAndLeading { because: because.to_owned(), patience }).into(),
        None => give_up(because),
    }
}

/// How long a primary may still hope; `None` when it must stop.
pub fn patience(view: &View<'_>) -> Option<Duration> {
    if is_planted(Plant::NoGivingUp) {
        return Some(Duration::from_secs(1));
    }
    let lease = view.memory.lease?;
    match lease.standing(view.now.mono, view.settings) {
        Standing::Held | Standing::Due => Some(view.now.mono.until(lease.give_up_at(view.settings.retry_timeout))),
        Standing::Ending | Standing::Gone => None,
    }
}

pub fn give_up(because: &str) -> Step {
    Decision::new(Verdict::StepDown(StepDownMode::Offline), Reason::StoreDarkForTooLong { because: because.to_owned() })
        .note(Note::info("demoting self because DCS is not accessible and I was a leader"))
        .into()
}

/// A long action goes on; but a promotion, or a start as primary, must not outlive the lease.
fn busy_in_the_dark(view: &View<'_>, because: &str, work: Work<'_>) -> Step {
    let restarts_primary = matches!(work.job, Job::Restart { .. }) && view.role().is_primary();
    let makes_primary = work.job.makes_primary() || restarts_primary;
    if makes_primary && !view.settings.pause && patience(view).is_none() {
        let reason = Reason::StoreDarkForTooLong { because: because.to_owned() };
        return Decision::new(Verdict::CancelAndStepDown(StepDownMode::Offline), reason).into();
    }
    if let Some(step) = super::busy::harder(view, Some(work)) {
        return step;
    }
    Decision::stay(Reason::StoreDark { because: because.to_owned() }).into()
}

/// We stopped it to step down, and the store is away: readers get their data back before it returns (15.1 offline).
/// While the lock may still be ours to give away, a step-down that gives it away waits for the store instead.
fn down_in_the_dark(view: &View<'_>, dark: Reason) -> Step {
    let can_start = view.memory.comes_back != ComesBack::Unasked
        && view.present().is_some_and(|present| present.system_id.is_some());
    let to_release = view.memory.step_down.as_ref().is_some_and(|step_down| step_down.mode.releases_key());
    if !can_start || (to_release && view.memory.lease_runs(view.now.mono).is_some()) {
        return Decision::stay(dark).into();
    }
    let job = Job::StartStandby { upstream: Upstream::Nobody, role: Role::Replica, timeout: None };
    Decision::run(job, Reason::StoreDarkRestartingReadOnly).mark(Mark::SteppedDown).into()
}
