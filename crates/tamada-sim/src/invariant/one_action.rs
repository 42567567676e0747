//! One long action at a time: nothing is begun on a member's PostgreSQL while something else is at work on it.

use tamada_model::Job;

use super::{Seen, Violation};
use crate::Host;
use crate::world::World;

#[derive(Debug, Default)]
pub struct OneAction;

impl OneAction {
    pub fn begins(&self, host: Host, job: &Job, world: &World) -> Seen {
        match world.fleet.is_at_work(host) {
            true => {
                Err(Violation::new("one action", format!("{} begins to {}, and is at work", host.name(), job.text())))
            }
            false => Ok(()),
        }
    }
}
