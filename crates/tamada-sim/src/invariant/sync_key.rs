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

#[cfg(test)]
mod tests {
    use super::super::hands::{A, B, whole};
    use super::*;

    #[test]
    fn whom_commits_wait_for_the_key_names_first() {
        let mut world = whole();
        assert_eq!(SyncKey.look(&world), Ok(()));
        world.store.put_raw("sync", r#"{"leader": "a", "sync_standby": "c"}"#, world.now);
        world.fleet.set_sync_names(A, SyncNames::First(1, vec![B]), world.now);
        assert!(SyncKey.look(&world).is_err());
        world.store.put_raw("sync", r#"{"leader": "a", "sync_standby": "b,c"}"#, world.now);
        assert_eq!(SyncKey.store_changed(&world.store.take_changes(), &world), Ok(()));
    }

    #[test]
    fn and_goes_on_naming_them() {
        let mut world = whole();
        world.store.put_raw("sync", r#"{"leader": "a", "sync_standby": "b"}"#, world.now);
        world.fleet.set_sync_names(A, SyncNames::Any(1, vec![B]), world.now);
        assert_eq!(SyncKey.look(&world), Ok(()));
        world.store.take_changes();
        world.store.put_raw("sync", r#"{"leader": "a"}"#, world.now);
        assert!(SyncKey.store_changed(&world.store.take_changes(), &world).is_err());
    }
}
