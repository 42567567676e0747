//! 14–19: the network.

use std::time::Duration;

use super::{LEADER, Pen, SECOND, Scenario, THIRD};
use crate::Host;
use crate::fault::{Fault, Planned};
use crate::net::{Place, Road, Rule, Trouble};

fn cut(from: Place, to: Place, road: Option<Road>) -> Fault {
    Fault::Net(Rule { from: Some(from), to: Some(to), road, trouble: Trouble::Cut })
}

fn host(host: Host) -> Place {
    Place::Host(host)
}

fn everywhere(trouble: Trouble, road: Option<Road>) -> Fault {
    Fault::Net(Rule { from: None, to: None, road, trouble })
}

/// Each direction for itself.
fn each_way(pen: Pen, pairs: &[(Place, Place)]) -> Vec<Planned> {
    pen.each(pairs.iter().flat_map(|(a, b)| [(3.0, cut(*a, *b, None)), (3.0, cut(*b, *a, None))]))
}

pub const ALL: &[Scenario] = &[
    Scenario {
        number: 14,
        what: "the leader is cut off from the store, from the others, from the clients, in each direction",
        faults: |pen| {
            let pairs = [
                (host(LEADER), Place::Store),
                (host(LEADER), host(SECOND)),
                (host(LEADER), host(THIRD)),
                (host(LEADER), Place::Clients),
            ];
            each_way(pen, &pairs)
        },
    },
    Scenario {
        number: 15,
        what: "rings and bridges: each sees only some of the others, and the store stays with the minority",
        faults: |pen| {
            vec![
                pen.at(0.0, 4.0, cut(host(LEADER), host(SECOND), None)),
                pen.at(0.0, 4.0, cut(host(SECOND), host(THIRD), None)),
                pen.at(0.0, 4.0, cut(host(THIRD), host(LEADER), None)),
                pen.at(9.0, 4.0, cut(host(SECOND), Place::Store, None)),
                pen.at(9.0, 4.0, cut(host(THIRD), Place::Store, None)),
                pen.at(18.0, 4.0, cut(host(LEADER), Place::Store, None)),
                pen.at(18.0, 4.0, cut(host(SECOND), Place::Store, None)),
            ]
        },
    },
    Scenario {
        number: 16,
        what: "latency up to ten seconds, a fifth of all messages lost, reordered, on one road or on all",
        faults: |pen| {
            pen.each([
                (4.0, everywhere(Trouble::Slow(Duration::from_millis(100)), None)),
                (4.0, everywhere(Trouble::Slow(Duration::from_secs(10)), Some(Road::Store))),
                (4.0, everywhere(Trouble::Slow(Duration::from_secs(10)), Some(Road::Postgres))),
                (4.0, everywhere(Trouble::Lossy(20), None)),
            ])
        },
    },
    Scenario {
        number: 17,
        what: "the leader vanishes without a word, and is back later as if nothing had been",
        faults: |pen| {
            let gone = |from, to| Fault::Net(Rule { from, to, road: None, trouble: Trouble::Cut });
            let mut faults = Vec::new();
            for round in [0.0, 10.0] {
                faults.push(pen.at(round, 4.0, gone(Some(host(LEADER)), None)));
                faults.push(pen.at(round, 4.0, gone(None, Some(host(LEADER)))));
            }
            faults
        },
    },
    Scenario {
        number: 18,
        what: "REST is reached and PostgreSQL is not, and the other way round",
        faults: |pen| {
            let mut faults = Vec::new();
            for (begin, road) in [(0.0, Road::Postgres), (9.0, Road::Rest)] {
                faults.push(pen.at(begin, 5.0, cut(host(LEADER), host(SECOND), Some(road))));
                faults.push(pen.at(begin, 5.0, cut(host(SECOND), host(LEADER), Some(road))));
                faults.push(pen.at(begin + 2.0, 5.0, Fault::PowerOff(LEADER)));
            }
            faults
        },
    },
    Scenario {
        number: 19,
        what: "leader and standby do not see each other, both see the store",
        faults: |pen| {
            let mut faults = Vec::new();
            for other in [SECOND, THIRD] {
                faults.push(pen.at(0.0, 6.0, cut(host(LEADER), host(other), None)));
                faults.push(pen.at(0.0, 6.0, cut(host(other), host(LEADER), None)));
            }
            faults
        },
    },
];
