//! Pause is kept: as long as a member knows of it, it promotes nobody, unless an operator asked for that one.

use tamada_model::{Job, Role};

use super::{Seen, Violation};
use crate::Host;
use crate::world::World;

#[derive(Debug, Default)]
pub struct PauseKept;

impl PauseKept {
    pub fn begins(&self, host: Host, job: &Job, world: &World) -> Seen {
        let promotes = match job {
            Job::Promote { .. } => true,
            Job::Bootstrap
            | Job::PostBootstrap
            | Job::Clone { .. }
            | Job::Reinitialize { .. }
            | Job::StartPrimary { .. }
            | Job::StartStandby { .. }
            | Job::ChangeUpstream { .. }
            | Job::Restart { .. }
            | Job::CrashRecovery
            | Job::Rewind { .. }
            | Job::Stop(_)
            | Job::AbandonBootstrap
            | Job::RemoveData => false,
        };
        // What was begun before is carried through.
        let begun = world.fleet.role(host) == Role::Promoted;
        if !promotes || begun || !world.pauses(host) || world.is_asked_for(host) {
            return Ok(());
        }
        let what = format!("{} is promoted, nobody asked for it, and it knows that the cluster is paused", host.name());
        Err(Violation::new("pause is kept", what))
    }
}
