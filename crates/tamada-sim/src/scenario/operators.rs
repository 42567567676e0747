//! 35–42: operators, flapping, lights out.

use super::{LEADER, SECOND, Scenario, THIRD};
use crate::fault::{Fault, Operation, Switch};

pub const ALL: &[Scenario] = &[
    Scenario {
        number: 35,
        what: "switchovers whose candidate dies, lags, or is not there, with the store away and agents frozen meanwhile",
        faults: |pen| {
            let wish = Fault::Operator(Operation::Switchover { to: Some(SECOND) });
            let anybody = Fault::Operator(Operation::Switchover { to: None });
            let mut faults = Vec::new();
            let rounds = [
                Fault::KillPostgres(SECOND),
                Fault::PowerOff(SECOND),
                Fault::FreezePostgres(SECOND),
                Fault::StoreAway,
                Fault::FreezeAgent(LEADER),
                Fault::KillAgent(SECOND),
            ];
            for (round, fault) in rounds.into_iter().enumerate() {
                let begin = round as f64 * 12.0;
                faults.push(pen.at(begin, 0.1, wish.clone()));
                faults.push(pen.at(begin + 0.01, 1.5, fault));
                faults.push(pen.at(begin + 7.0, 0.1, anybody.clone()));
            }
            faults
        },
    },
    Scenario {
        number: 36,
        what: "in pause: crash, promotion by hand, agents restarted, resumed into what has become of it",
        faults: |pen| {
            let pause = || Fault::Operator(Operation::Pause);
            vec![
                pen.at(0.0, 3.0, pause()),
                pen.at(0.5, 0.1, Fault::KillPostgres(LEADER)),
                pen.at(1.0, 0.5, Fault::KillAgent(LEADER)),
                pen.at(12.0, 3.0, pause()),
                pen.at(12.5, 0.5, Fault::KillAgent(SECOND)),
                pen.at(13.0, 0.1, Fault::Operator(Operation::PromoteByHand(THIRD))),
                pen.at(24.0, 4.0, pause()),
                pen.at(24.5, 2.0, Fault::PowerOff(LEADER)),
            ]
        },
    },
    Scenario {
        number: 37,
        what: "the ttl is changed while the lock is held, and tags are",
        faults: |pen| {
            vec![
                pen.at(0.0, 3.0, Fault::Operator(Operation::Ttl { ttl: 60, loop_wait: 10, retry_timeout: 10 })),
                pen.at(1.0, 1.0, Fault::FreezeAgent(LEADER)),
                pen.at(8.0, 3.0, Fault::Operator(Operation::Ttl { ttl: 5, loop_wait: 1, retry_timeout: 1 })),
                pen.at(8.5, 2.0, Fault::PowerOff(LEADER)),
                pen.at(16.0, 2.0, Fault::Operator(Operation::Tag { host: SECOND, nofailover: Switch::On })),
                pen.at(16.1, 2.0, Fault::PowerOff(THIRD)),
            ]
        },
    },
    Scenario {
        number: 40,
        what: "whoever leads crashes again and again",
        faults: |pen| {
            let hosts = [LEADER, SECOND, THIRD];
            (0..24)
                .map(|part| pen.at(f64::from(part) * 0.7, 0.1, Fault::KillPostgres(hosts[part as usize % 3])))
                .collect()
        },
    },
    Scenario {
        number: 41,
        what: "everything loses its power and comes back in any order, with the store and before it",
        faults: |pen| {
            let mut faults = pen.each([0.2, 2.0, 6.0].map(|lasts| (lasts, Fault::Blackout)));
            let again = faults[1].at;
            let mut late = pen.at(0.0, 6.0, Fault::StoreAway);
            late.at = again;
            faults.push(late);
            faults
        },
    },
];
