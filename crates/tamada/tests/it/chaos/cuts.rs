//! Networks that are cut, in each place and each direction.

use super::judge::Loss;
use super::stage::{EMBEDDED, Needs, everything, scenario};
use super::world::{PROMISED, World};
use crate::store::Kind;
use crate::town::HASTY;

/// Long enough for a lease to run out and for another to be taken.
const LONG: f64 = 3.0;
/// The most of a lease that may pass without anybody giving up.
const SHORT: f64 = 0.3;

/// Two places in the network, as lists of numbers.
struct Ends {
    these: Vec<usize>,
    those: Vec<usize>,
}

#[derive(Clone, Copy)]
enum Way {
    Both,
    There,
    Back,
}

impl Way {
    const EACH: [Self; 3] = [Self::Both, Self::There, Self::Back];

    fn between(self, a: &str, b: &str) -> String {
        match self {
            Self::Both => format!("{a} and {b} do not hear each other"),
            Self::There => format!("nothing from {a} reaches {b}"),
            Self::Back => format!("nothing from {b} reaches {a}"),
        }
    }
}

impl World {
    fn cut_between(&self, Ends { these, those }: &Ends, way: Way) {
        match way {
            Way::Both => self.part(these, those),
            Way::There => self.cut(these, those),
            Way::Back => self.cut(those, these),
        }
    }

    fn everybody_but(&self, at: usize) -> Vec<usize> {
        (0..=self.town.place_outside()).filter(|place| *place != at).collect()
    }
}

#[test]
fn scenario_14_the_primary_is_cut_off() {
    scenario("chaos::cuts::scenario_14_the_primary_is_cut_off", 14, Needs::Machines, |stage| {
        let mut world = stage.cluster(EMBEDDED, HASTY);
        from_everybody(&mut world);
        if everything() {
            from_the_other_members(&mut world);
            let mut world = stage.cluster(Kind::Etcd, HASTY);
            from_the_store(&mut world);
            from_the_replicas(&mut world);
            from_the_clients(&mut world);
        }
    });
}

fn from_everybody(world: &mut World) {
    world.round("the primary is cut off from everybody", PROMISED, |world, leader| {
        world.part(&[leader], &world.everybody_but(leader));
        world.another_acknowledges(leader);
    });
    world.round(
        "the primary and the other members do not hear each other, clients hear all",
        PROMISED,
        |world, leader| {
            world.part(&[leader], &world.others(leader));
            world.another_acknowledges(leader);
            world.lasts_ttl(1.0);
        },
    );
}

/// Their voters are with them.
fn from_the_other_members(world: &mut World) {
    for way in [Way::There, Way::Back] {
        world.round(&way.between("the primary", "the other members"), PROMISED, |world, leader| {
            world.cut_between(&Ends { these: vec![leader], those: world.others(leader) }, way);
            world.lasts_ttl(LONG);
        });
    }
    world.round("no member hears another", PROMISED, |world, _| {
        world.all().for_each(|at| world.part(&[at], &world.others(at)));
        world.lasts_ttl(LONG);
    });
}

fn from_the_store(world: &mut World) {
    for way in Way::EACH {
        world.round(&way.between("the primary", "the store"), PROMISED, |world, leader| {
            world.cut_between(&Ends { these: vec![leader], those: vec![world.town.place_of_store()] }, way);
            world.lasts_ttl(LONG);
        });
    }
}

/// The primary keeps its lock, and everything that is written on it.
fn from_the_replicas(world: &mut World) {
    for way in Way::EACH {
        world.round(&way.between("the primary", "the replicas"), Loss::Nothing, |world, leader| {
            world.cut_between(&Ends { these: vec![leader], those: world.others(leader) }, way);
            world.lasts_ttl(LONG);
        });
    }
}

fn from_the_clients(world: &mut World) {
    for way in Way::EACH {
        world.round(&way.between("the primary", "the clients"), Loss::Nothing, |world, leader| {
            world.cut_between(&Ends { these: vec![leader], those: vec![world.town.place_outside()] }, way);
            world.lasts_ttl(LONG);
        });
    }
}

#[test]
fn scenario_17_a_peer_vanishes_and_no_connection_is_closed() {
    let test = "chaos::cuts::scenario_17_a_peer_vanishes_and_no_connection_is_closed";
    scenario(test, 17, Needs::Machines, |stage| {
        let mut world = stage.cluster(EMBEDDED, HASTY);
        world.round("the primary's host vanishes without a word", PROMISED, |world, leader| {
            world.part(&[leader], &world.everybody_but(leader));
            world.town.kill_host(leader);
            world.another_acknowledges(leader);
        });
        if everything() {
            silences(&mut world);
        }
    });
}

fn silences(world: &mut World) {
    world.round("a replica's host vanishes without a word", Loss::Nothing, |world, leader| {
        let replica = world.others(leader)[0];
        world.part(&[replica], &world.everybody_but(replica));
        world.town.kill_host(replica);
        world.lasts_ttl(LONG);
    });
    world.round(
        &format!("the primary is silent for {SHORT} ttl, and all connections go on"),
        Loss::Nothing,
        |world, leader| {
            world.part(&[leader], &world.everybody_but(leader));
            world.lasts_ttl(SHORT);
        },
    );
}

#[test]
fn scenario_20_the_store_is_away() {
    scenario("chaos::cuts::scenario_20_the_store_is_away", 20, Needs::Machines, |stage| {
        let mut world = stage.cluster(Kind::Etcd, HASTY);
        away_for(&mut world, LONG);
        if everything() {
            away_for(&mut world, SHORT);
            away_for(&mut world, 1.0);
            while_other_things_happen(&mut world);
        }
    });
}

/// In parts of the ttl. Nobody can be made leader meanwhile.
fn away_for(world: &mut World, time: f64) {
    world.round(&format!("nobody hears the store for {time} ttl"), Loss::Nothing, |world, _| {
        let store = world.town.place_of_store();
        world.part(&[store], &world.everybody_but(store));
        world.lasts_ttl(time);
    });
}

fn while_other_things_happen(world: &mut World) {
    world.round(&format!("the store is killed, and comes back after {LONG} ttl"), Loss::Nothing, |world, _| {
        world.town.store.kill();
        world.lasts_ttl(LONG);
    });
    // Whoever finds the store first, when it is back, may be the one that died, and hears nothing of the others yet.
    world.round(
        &format!("the store is away for {LONG} ttl, and a replica's host dies meanwhile"),
        PROMISED,
        |world, leader| {
            let (store, replica) = (world.town.place_of_store(), world.others(leader)[0]);
            world.part(&[store], &world.everybody_but(store));
            world.town.kill_host(replica);
            world.lasts_ttl(LONG);
        },
    );
}
