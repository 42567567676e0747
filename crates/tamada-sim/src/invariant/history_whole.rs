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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::hands::{A, whole};
    use super::*;
    use crate::member::Runs;

    #[test]
    fn on_the_first_timeline_there_is_nothing_to_tell() {
        let mut world = whole();
        assert_eq!(HistoryWhole.look(&world), Ok(()));
        let stale = r#"[[1, 100, "no recovery target specified", "2026-01-01T00:00:00+00:00", "b"]]"#;
        world.store.put_raw("history", stale, world.now);
        assert!(HistoryWhole.look(&world).is_err());
    }

    #[test]
    fn after_a_failover_it_is_told() {
        let mut world = whole();
        world.members[A.0].agent_runs = Runs::Still;
        world.passes(Duration::from_secs(30));
        let (leader, _) = world.store.leader().expect("somebody took over");
        assert_ne!(leader.as_str(), "a");
        assert_eq!(HistoryWhole.look(&world), Ok(()));
        world.store.put_raw("history", r#"[[1, 100, "no recovery target specified"]]"#, world.now);
        assert!(HistoryWhole.look(&world).is_err(), "another promotion's");
        world.store.delete_raw("history", world.now);
        assert!(HistoryWhole.look(&world).is_err());
    }
}
