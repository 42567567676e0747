//! Agents that are killed or frozen while their PostgreSQL runs on: the guard stops it before somebody else leads.

use super::stage::{EMBEDDED, Needs, everything, scenario};
use super::world::{PROMISED, World};
use crate::store::Kind;
use crate::town::HASTY;

#[test]
fn scenario_08_the_agent_of_the_primary_is_killed() {
    let test = "chaos::agents::scenario_08_the_agent_of_the_primary_is_killed";
    scenario(test, 8, Needs::Processes, |stage| {
        let mut world = stage.cluster(EMBEDDED, HASTY);
        world.round("agent of the primary killed", PROMISED, |world, leader| {
            world.town.kill_agent(leader);
            world.another_acknowledges(leader);
            world.lasts_ttl(1.0);
        });
        world.round("agent of the primary killed, and started again at once", PROMISED, |world, leader| {
            world.town.kill_agent(leader);
            world.town.start(leader);
            world.lasts_ttl(1.0);
        });
    });
}

#[test]
fn scenario_01_the_agent_of_the_primary_is_frozen() {
    let test = "chaos::agents::scenario_01_the_agent_of_the_primary_is_frozen";
    scenario(test, 1, Needs::Processes, |stage| {
        frozen_for(&mut stage.cluster(EMBEDDED, HASTY), &[2.0]);
        if everything() {
            frozen_for(&mut stage.cluster(Kind::Etcd, HASTY), &[0.5, 1.0, 2.0, 10.0]);
        }
    });
}

/// In parts of the ttl.
fn frozen_for(world: &mut World, times: &[f64]) {
    for time in times {
        world.round(&format!("agent of the primary frozen for {time} ttl"), PROMISED, |world, leader| {
            world.freeze_agent(leader);
            world.lasts_ttl(*time);
        });
    }
}
