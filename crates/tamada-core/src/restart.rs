//! Restarts: whether the conditions of a request hold, and when a scheduled one is due (ha-loop.md 19).

use std::time::Duration;

use tamada_model::{Job, PgVersion, RestartConditions};

use crate::schedule::{Due, due};
use crate::{Note, View};

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

/// What to do about the scheduled restart in this pass.
#[derive(Clone, PartialEq, Debug)]
pub enum Planned {
    Nothing,
    Forget(Note),
    Restart(Job),
}

pub fn planned(view: &View<'_>) -> Planned {
    let Some(plan) = view.memory.scheduled_restart.as_ref().filter(|_| !view.settings.pause) else {
        return Planned::Nothing;
    };
    if let (Some(then), Some(now)) = (plan.postmaster_start_time, view.live().map(|live| live.postmaster_start_time))
        && then != now
    {
        return Planned::Forget(Note::info("Cancelling scheduled restart: postgres restart has already happened"));
    }
    match due(Some(&plan.schedule), "restart", view.now.wall, view.settings.loop_wait) {
        Due::Later { .. } => Planned::Nothing,
        Due::Stale(note) => Planned::Forget(note),
        Due::Now => match conditions_hold(view, &plan.conditions) {
            Ok(()) => Planned::Restart(job(view, &plan.conditions)),
            Err(note) => Planned::Forget(note),
        },
    }
}
