//! Restarts: whether the conditions of a request hold, and when a scheduled one is due (ha-loop.md 19).

use std::time::Duration;

use tamada_model::{Job, PgVersion, RestartConditions};

use crate::schedule::{Due, due, in_words};
use crate::{Decision, Mark, Note, Reason, View};

/// `Err`: the log line that says which condition does not hold.
pub fn conditions_hold(view: &View<'_>, conditions: &RestartConditions) -> Result<(), Note> {
    if conditions.role.is_some_and(|role| role != view.role()) {
        return Err(Note::info("not proceeding with the restart: host role mismatch"));
    }
    if let Some(wanted) = conditions.postgres_version.as_deref().and_then(PgVersion::parse)
        && view.live().is_some_and(|live| live.server_version >= wanted)
    {
        return Err(Note::info("not proceeding with the restart: postgres version mismatch"));
    }
    if conditions.restart_pending.is_some() && view.postgres().pending_restart.is_empty() {
        return Err(Note::info("not proceeding with the restart: pending restart flag is not set"));
    }
    Ok(())
}

pub fn job(view: &View<'_>, conditions: &RestartConditions) -> Job {
    Job::Restart { timeout: Some(timeout(view, conditions)) }
}

fn timeout(view: &View<'_>, conditions: &RestartConditions) -> Duration {
    conditions.timeout_seconds.map_or(view.settings.primary_start_timeout, Duration::from_secs)
}

/// What to do about the scheduled restart.
enum Planned {
    Nothing,
    Later(Note),
    Forget(Vec<Note>),
    Restart(Duration, Note),
}

/// The planned restart as part of a pass.
pub enum InThisPass {
    Restart(Box<Decision>),
    /// Nothing is to be done but to remember and to log.
    Aside(Vec<Mark>, Vec<Note>),
}

pub fn in_this_pass(view: &View<'_>) -> InThisPass {
    match planned(view) {
        Planned::Nothing => InThisPass::Aside(Vec::new(), Vec::new()),
        Planned::Later(note) => InThisPass::Aside(Vec::new(), vec![note]),
        Planned::Forget(notes) => InThisPass::Aside(vec![Mark::DropScheduledRestart], notes),
        Planned::Restart(timeout, note) => {
            let restart = Decision::run(Job::Restart { timeout: Some(timeout) }, Reason::RestartInitiated)
                .mark(Mark::DropScheduledRestart)
                .mark(Mark::Recovering)
                .mark(Mark::StartTimeout(Some(timeout)))
                .note(note);
            InThisPass::Restart(Box::new(restart))
        }
    }
}

fn planned(view: &View<'_>) -> Planned {
    let Some(plan) = view.memory.scheduled_restart.as_ref().filter(|_| !view.settings.pause) else {
        return Planned::Nothing;
    };
    if let (Some(then), Some(now)) = (plan.postmaster_start_time, view.live().map(|live| live.postmaster_start_time))
        && then != now
    {
        let text = format!("Cancelling scheduled restart: postgres restart has already happened at {}", in_words(now));
        return Planned::Forget(vec![Note::info(text)]);
    }
    match due(Some(&plan.schedule), "restart", view.now.wall, view.settings.loop_wait) {
        Due::Unscheduled => Planned::Nothing,
        Due::Later(note) => Planned::Later(note),
        Due::Stale(note) => Planned::Forget(vec![note]),
        Due::Now(note) => match conditions_hold(view, &plan.conditions) {
            Ok(()) => Planned::Restart(timeout(view, &plan.conditions), note),
            Err(reason) => {
                let refusal = Note::warning("Scheduled restart: restart conditions are not satisfied");
                Planned::Forget(vec![note, reason, refusal])
            }
        },
    }
}
