//! Networks that are slow, lossy, or both.

use std::time::Duration;

use super::stage::{EMBEDDED, Needs, everything, scenario};
use super::world::{PROMISED, World};
use crate::ground::cable::Weather;
use crate::store::Kind;
use crate::town::HASTY;

/// In parts of the ttl.
const LONG: f64 = 3.0;

#[test]
fn scenario_16_the_network_is_bad() {
    scenario("chaos::weather::scenario_16_the_network_is_bad", 16, Needs::Machines, |stage| {
        let Some(mut world) = stage.cluster_in_weather(EMBEDDED, HASTY) else { return };
        at_the_primary(&mut world, "loses every fifth packet", lossy(0.2));
        if everything() {
            at_the_primary(&mut world, "is late by 100 to 300 ms, packets overtake each other", late(100, 200));
            at_the_primary(&mut world, "is late by 3 s", late(3000, 0));
            at_the_primary(&mut world, "is late by 10 s", late(10_000, 0));
            at_the_primary(&mut world, "loses four of five packets", lossy(0.8));
            let Some(mut world) = stage.cluster_in_weather(Kind::Etcd, HASTY) else { return };
            at_the_store(&mut world, "is late by 100 to 300 ms", late(100, 200));
            at_the_store(&mut world, "is late by 1 s", late(1000, 0));
            at_the_store(&mut world, "loses every fifth packet", lossy(0.2));
        }
    });
}

fn late(delay: u64, jitter: u64) -> Weather {
    Weather { delay: Duration::from_millis(delay), jitter: Duration::from_millis(jitter), loss: 0.0 }
}

fn lossy(loss: f64) -> Weather {
    Weather { loss, ..Weather::FINE }
}

fn at_the_primary(world: &mut World, what: &str, weather: Weather) {
    world.round(&format!("the primary's network {what}"), PROMISED, |world, leader| {
        world.town.ground.weather(leader, weather);
        world.lasts_ttl(LONG);
    });
}

fn at_the_store(world: &mut World, what: &str, weather: Weather) {
    world.round(&format!("the store's network {what}"), PROMISED, |world, _| {
        world.town.ground.weather(world.town.place_of_store(), weather);
        world.lasts_ttl(LONG);
    });
}
