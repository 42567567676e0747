//! I4: whoever PostgreSQL waits for is named in the `sync` key before, and as long as, commits count on it.

use super::{Seen, Violation};
use crate::postgres::SyncNames;
use crate::store::{Changed, Changes};
use crate::world::World;

#[derive(Debug, Default)]
pub struct SyncKey;

impl SyncKey {
    pub fn store_changed(&self, changes: &Changes, world: &World) -> Seen {
        match changes.has(Changed::Sync) {
            true => self.look(world),
            false => Ok(()),
        }
    }

    pub fn look(&self, world: &World) -> Seen {
        world.hosts().filter(|host| world.fleet.is_writable(*host)).try_for_each(|host| {
            let waited_for = match world.fleet.sync_names(host) {
                SyncNames::Nobody => return Ok(()),
                SyncNames::First(_, hosts) | SyncNames::Any(_, hosts) => hosts,
            };
            match waited_for.iter().find(|other| !world.is_in_sync_key(**other)) {
                Some(other) => {
                    let what = format!("{} waits for {}, whom the key does not name", host.name(), other.name());
                    Err(Violation::new("I4 sync key", what))
                }
                None => Ok(()),
            }
        })
    }
}
