//! Planned changes of leader, under load and under faults: nothing may be lost.

use super::judge::Loss;
use super::stage::{EMBEDDED, Needs, STEADY, everything, scenario};
use super::world::World;
use crate::store::Kind;
use crate::town::wait;

#[test]
fn scenario_35_a_switchover_loses_nothing() {
    let test = "chaos::switchover::scenario_35_a_switchover_loses_nothing";
    scenario(test, 35, Needs::Processes, |stage| {
        let mut world = stage.cluster(EMBEDDED, STEADY);
        switchover_under_load(&mut world);
        if everything() {
            candidate_dies(&mut world);
            let mut world = stage.cluster(Kind::Etcd, STEADY);
            switchover_under_load(&mut world);
            candidate_dies(&mut world);
        }
    });
}

fn switchover_under_load(world: &mut World) {
    world.round("switchover under load", Loss::Nothing, |world, leader| {
        let to = world.others(leader)[0];
        let answer = world.town.switchover_later(leader, to);
        assert_eq!(world.another_acknowledges(leader), to);
        let answer = wait("the request is answered", || answer.try_recv().ok());
        assert_eq!(answer.map(|(code, _)| code), Some(200));
    });
}

fn candidate_dies(world: &mut World) {
    world.round("switchover, its candidate's host killed at once", Loss::Nothing, |world, leader| {
        let to = world.others(leader)[0];
        let _answer = world.town.switchover_later(leader, to);
        world.town.kill_host(to);
        world.goes_on();
    });
    world.round("switchover, its candidate's host killed after the primary stopped", Loss::Nothing, |world, leader| {
        let (to, before) = (world.others(leader)[0], world.town.postmaster(leader));
        let _answer = world.town.switchover_later(leader, to);
        wait("the old primary stops", || (world.town.postmaster(leader) != before).then_some(()));
        world.town.kill_host(to);
        world.goes_on();
    });
}
