//! 20–24: the configuration store.

use std::time::Duration;

use super::{LEADER, SECOND, Scenario, THIRD};
use crate::fault::{Fault, LostKey};

pub const ALL: &[Scenario] = &[
    Scenario {
        number: 20,
        what: "the store is away for less than a lease, for one, for many, and a replica dies meanwhile",
        faults: |pen| {
            let mut faults = pen.each([0.1, 0.5, 1.0, 2.0, 8.0].map(|lasts| (lasts, Fault::StoreAway)));
            let last = faults.last().map(|planned| planned.at).unwrap_or_default();
            let mut meanwhile = pen.at(0.0, 3.0, Fault::PowerOff(SECOND));
            meanwhile.at = last + Duration::from_secs(1);
            faults.push(meanwhile);
            faults
        },
    },
    Scenario {
        number: 21,
        what: "the store elects leaders of its own, again and again, and is slow and mute in between",
        faults: |pen| {
            let mut faults: Vec<_> = (0..10).map(|part| pen.at(f64::from(part), 0.1, Fault::StoreElects)).collect();
            faults.push(pen.at(2.0, 1.5, Fault::StoreMute));
            faults.push(pen.at(6.0, 2.0, Fault::StoreSlow(Duration::from_secs(2))));
            faults.push(pen.at(9.5, 2.0, Fault::PowerOff(LEADER)));
            faults
        },
    },
    Scenario {
        number: 22,
        what: "requests are carried out and nobody hears of it",
        faults: |pen| pen.each([0.3, 0.7, 1.2, 3.0].map(|lasts| (lasts, Fault::StoreMute))),
    },
    Scenario {
        number: 23,
        what: "keys are deleted one by one",
        faults: |pen| {
            let keys = [
                LostKey::Leader,
                LostKey::Initialize,
                LostKey::Config,
                LostKey::Status,
                LostKey::History,
                LostKey::Member(LEADER),
                LostKey::Member(THIRD),
            ];
            pen.each(keys.map(|key| (0.1, Fault::StoreLoses(key))))
        },
    },
];
