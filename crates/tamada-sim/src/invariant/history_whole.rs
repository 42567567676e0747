//! The `history` key is whole: at the end its last entry is the promotion that the leader's timeline began with.

use tamada_wire::keys;

use super::{Seen, Violation};
use crate::world::World;

#[derive(Debug, Default)]
pub struct HistoryWhole;

impl HistoryWhole {
    pub fn look(&self, world: &World) -> Seen {
        let Some(leader) = world.store.leader().and_then(|(name, _)| world.host(name.as_str())) else {
            return Ok(());
        };
        let Some((branch, _)) = world.fleet.data(leader) else {
            return Ok(());
        };
        let timeline = world.fleet.wal().timeline(branch);
        let text = world.store.raw(keys::HISTORY).unwrap_or_default();
        let told = keys::parse_history(text.as_bytes()).unwrap_or_default().pop();
        let told = told.map(|entry| (entry.timeline, entry.lsn));
        let true_one = world.fleet.wal().history(branch).pop().map(|(left, lsn)| (left.number(), lsn));
        match told == true_one {
            true => Ok(()),
            false => {
                let what = format!(
                    "{} leads on timeline {timeline}, since {true_one:?}, and the last entry is {told:?}",
                    leader.name()
                );
                Err(Violation::new("the history is whole", what))
            }
        }
    }
}
