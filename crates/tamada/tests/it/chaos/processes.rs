//! Processes that die.

use rustix::process::Signal;

use super::judge::Loss;
use super::stage::{EMBEDDED, Needs, STEADY, Stage, everything, scenario};
use super::world::{PROMISED, World};
use crate::store::Kind;
use crate::town::{HASTY, signal, wait};

#[test]
fn scenario_09_postgres_is_killed_and_the_same_member_goes_on() {
    let test = "chaos::processes::scenario_09_postgres_is_killed_and_the_same_member_goes_on";
    scenario(test, 9, Needs::Processes, |stage| {
        let mut world = stage.cluster(EMBEDDED, STEADY);
        world.round("postmaster of the primary killed", Loss::Nothing, |world, leader| {
            let postmaster = world.town.postmaster(leader).expect("it runs");
            signal(postmaster, Signal::KILL);
            wait("it is a new one", || world.town.postmaster(leader).filter(|now| *now != postmaster));
        });
        world.round("a backend of the primary killed", Loss::Nothing, |world, leader| {
            world.town.kill_a_backend(leader);
            world.goes_on();
        });
    });
}

#[test]
fn scenario_41_everything_is_killed_and_comes_back() {
    let test = "chaos::processes::scenario_41_everything_is_killed_and_comes_back";
    scenario(test, 41, Needs::Processes, |stage| {
        let mut world = stage.cluster(EMBEDDED, STEADY);
        world.round("everything killed, all started at once", Loss::Nothing, |world, _| world.kill_everything());
        if everything() {
            in_any_order(stage);
        }
    });
}

fn in_any_order(stage: &Stage) {
    let mut world = stage.cluster(Kind::Etcd, HASTY);
    world.round("everything killed, the store first, then all at once", Loss::Nothing, |world, _| {
        world.kill_everything();
        world.town.start_store();
    });
    world.round(
        "everything killed, the primary first, then the store, then the others",
        Loss::Nothing,
        |world, leader| {
            world.kill_everything();
            world.town.start(leader);
            world.lasts_ttl(1.0);
            world.town.start_store();
            wait("it leads", || world.town.leader());
        },
    );
    world.round("everything killed, all at once, the store last", Loss::Nothing, |world, _| {
        world.kill_everything();
        world.town.start_all();
        world.lasts_ttl(2.0);
    });
    // The others have what they have heard, and cannot know what they have not.
    world.round("everything killed, the primary comes back when another leads", PROMISED, |world, leader| {
        world.kill_everything();
        world.town.start_store();
        world.others(leader).into_iter().for_each(|at| world.town.start(at));
        wait("another leads", || world.town.leader());
    });
}

impl World {
    /// As in a blackout: the agents are stopped first, so that none sees another go.
    fn kill_everything(&mut self) {
        for at in self.all() {
            self.freeze_agent(at);
        }
        for at in self.all() {
            self.town.kill_postgres(at);
        }
        for at in self.all() {
            self.town.kill_agent(at);
        }
        self.town.store.kill();
    }
}
