//! I4: whoever may lead next by the `sync` key has everything that is acknowledged: of those who can elect it, one has to
//! confirm each commit.

use std::collections::BTreeSet;

use tamada_core::synchronous::quorum::{Names, Quorum};
use tamada_model::MemberName;
use tamada_wire::keys;

use super::{Seen, Violation};
use crate::Host;
use crate::store::{Changed, Changes};
use crate::world::World;

#[derive(Debug, Default)]
pub struct SyncKey {
    /// Somebody told these to promote themselves; they have not written the key since.
    by_hand: BTreeSet<Host>,
}

impl SyncKey {
    /// Commits of such a primary wait for nobody before it leads.
    pub fn promoted_by_hand(&mut self, host: Host) {
        self.by_hand.insert(host);
    }

    pub fn store_changed(&mut self, changes: &Changes, world: &World) -> Seen {
        if !changes.has(Changed::Sync) {
            return Ok(());
        }
        let key = world.store.raw(keys::SYNC).map(|text| keys::parse_sync(text.as_bytes()));
        let leader = key.and_then(|key| key.leader);
        self.by_hand.retain(|host| leader.as_ref().is_none_or(|leader| leader.as_str() != host.name()));
        self.look(world)
    }

    pub fn look(&mut self, world: &World) -> Seen {
        let Some(text) = world.store.raw(keys::SYNC) else { return Ok(()) };
        let key = keys::parse_sync(text.as_bytes());
        let Some(leader) = key.leader else { return Ok(()) };
        let leads = |host: &Host| {
            let (holder, writable) = (world.store.leader(), world.fleet.is_writable(*host));
            writable && holder.is_some_and(|(holder, _)| holder.as_str() == host.name())
        };
        let leads = |host: &Host| leads(host) && !self.by_hand.contains(host);
        world.hosts().filter(leads).try_for_each(|host| {
            let parameter = world.fleet.sync_names(host).in_words();
            let (none, we) = (Names::new(), MemberName::new(host.name()));
            let places = Quorum {
                leader: leader.clone(),
                we,
                quorum: key.quorum as usize,
                voters: key.standbys.iter().cloned().collect(),
                count: parameter.count as usize,
                sync: parameter.names.clone(),
                confirmed: 0,
                active: none,
                wanted: 0,
            };
            match places.check() {
                Ok(()) => Ok(()),
                Err(why) => {
                    let what = format!("{} waits for {parameter}, and the key says {text}: {why}", host.name());
                    Err(Violation::new("I4 sync key", what))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::hands::{A, B, C, whole};
    use super::*;
    use crate::postgres::SyncNames;

    fn look(key: &str, names: SyncNames) -> Seen {
        let mut world = whole();
        world.store.put_raw("sync", key, world.now);
        world.fleet.set_sync_names(A, names, world.now);
        SyncKey::default().look(&world)
    }

    const BY_PRIORITY: &str = r#"{"leader": "a", "sync_standby": "b"}"#;
    const BY_QUORUM: &str = r#"{"leader": "a", "quorum": 1, "sync_standby": "b,c"}"#;

    #[test]
    fn commits_wait_for_whom_the_key_names() {
        assert_eq!(look(BY_PRIORITY, SyncNames::First(1, vec![B])), Ok(()));
        assert!(look(BY_PRIORITY, SyncNames::Nobody).is_err());
        assert!(look(BY_PRIORITY, SyncNames::First(1, vec![C])).is_err());
        assert_eq!(look(r#"{"leader": "a"}"#, SyncNames::First(1, vec![B])), Ok(()));
    }

    #[test]
    fn enough_of_the_voters_confirm_each_commit() {
        assert_eq!(look(BY_QUORUM, SyncNames::Any(1, vec![B, C])), Ok(()));
        assert_eq!(look(BY_QUORUM, SyncNames::Any(1, vec![B])), Ok(()));
        assert!(look(&BY_QUORUM.replace('1', "0"), SyncNames::Any(1, vec![B, C])).is_err());
    }
}
