//! 1–7: leases, clocks, freezes.

use std::time::Duration;

use super::{LEADER, SECOND, Scenario};
use crate::fault::Fault;
use crate::net::{Place, Road, Rule, Trouble};

const TO_STORE: Rule =
    Rule { from: Some(Place::Host(LEADER)), to: Some(Place::Store), road: Some(Road::Store), trouble: Trouble::Cut };
const FROM_STORE: Rule =
    Rule { from: Some(Place::Store), to: Some(Place::Host(LEADER)), road: Some(Road::Store), trouble: Trouble::Cut };

pub const ALL: &[Scenario] = &[
    Scenario {
        number: 1,
        what: "the leader's agent is frozen for half a lease, one, two and ten, while clients write to its PostgreSQL",
        faults: |pen| pen.each([0.5, 1.0, 2.0, 10.0].map(|lasts| (lasts, Fault::FreezeAgent(LEADER)))),
    },
    Scenario {
        number: 2,
        what: "the leader's host sleeps and wakes after its lease has ended",
        faults: |pen| pen.each([0.9, 1.1, 3.0].map(|lasts| (lasts, Fault::Suspend(LEADER)))),
    },
    Scenario {
        number: 3,
        what: "the candidate is frozen between winning the lock and promoting",
        faults: |pen| {
            let mut faults = vec![pen.at(0.0, 6.0, Fault::PowerOff(LEADER))];
            faults.extend((0..20).map(|part| pen.at(0.9 + 0.02 * f64::from(part), 1.5, Fault::FreezeAgent(SECOND))));
            faults
        },
    },
    Scenario {
        number: 4,
        what: "calendars are set forward and back by a second, a lease and a day",
        faults: |pen| {
            let steps = [1_000_000, -30_000_000, 86_400_000_000, -86_400_000_000];
            pen.each(steps.map(|step| (0.1, Fault::StepCalendar(LEADER, step))))
        },
    },
    Scenario {
        number: 5,
        what: "renewals take longer than the lease, and are answered all the same",
        faults: |pen| {
            let slow = Trouble::Slow(Duration::from_secs(60));
            pen.each([
                (3.0, Fault::Net(Rule { trouble: slow, ..TO_STORE })),
                (3.0, Fault::Net(Rule { trouble: slow, ..FROM_STORE })),
            ])
        },
    },
    Scenario {
        number: 6,
        what: "old renewals and swaps arrive a second time after leadership moved",
        faults: |pen| {
            let twice = Rule { from: None, to: Some(Place::Store), road: None, trouble: Trouble::Twice(90) };
            vec![
                pen.at(0.0, 12.0, Fault::Net(twice)),
                pen.at(1.0, 3.0, Fault::PowerOff(LEADER)),
                pen.at(6.0, 3.0, Fault::PowerOff(SECOND)),
            ]
        },
    },
    Scenario {
        number: 7,
        what: "the leader's host is starved: everything on it takes fifty times as long, and its agent stutters",
        faults: |pen| {
            let mut faults = vec![pen.at(0.0, 6.0, Fault::SlowHost(LEADER, 50))];
            faults.extend((0..12).map(|part| pen.at(0.5 * f64::from(part), 0.3, Fault::FreezeAgent(LEADER))));
            faults
        },
    },
];
