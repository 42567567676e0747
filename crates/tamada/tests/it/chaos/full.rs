//! Disks that are full.

use super::stage::{EMBEDDED, Needs, Stage, everything, scenario};
use super::world::PROMISED;
use crate::store::Kind;
use crate::town::{HASTY, wait};

/// Enough for a small cluster and the WAL of a test.
const DISK_BYTES: u64 = 512 << 20;
/// The member whose disk it is.
const SMALL: usize = 0;

#[test]
fn scenario_33_the_disk_of_the_primary_is_full() {
    scenario("chaos::full::scenario_33_the_disk_of_the_primary_is_full", 33, Needs::Machines, |stage| {
        primary_is_full(stage, EMBEDDED);
        if everything() {
            primary_is_full(stage, Kind::Etcd);
        }
    });
}

fn primary_is_full(stage: &Stage, store: Kind) {
    let mut world = stage.world(store, HASTY);
    world.town.small_disk(SMALL, DISK_BYTES);
    world.begin();
    world.hand_over_to(SMALL);
    world.round("disk of the primary full, with its WAL", PROMISED, |world, leader| {
        assert_eq!(leader, SMALL);
        let disk = world.town.data_dir(SMALL);
        world.town.ground.machine(SMALL).fill(&disk);
        wait("PostgreSQL cannot go on", || world.town.sql(SMALL, "select pg_switch_wal()").err());
        for _ in 0..20 {
            world.lasts_ttl(0.1);
            assert!(world.town.get(SMALL, "/patroni").is_some(), "the agent answers");
        }
        world.town.ground.machine(SMALL).make_room(&disk);
    });
}
