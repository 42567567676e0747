//! 8–13: processes that die, hang and come back at the wrong moment.

use super::{LEADER, SECOND, Scenario, THIRD};
use crate::fault::{Fault, Operation};

pub const ALL: &[Scenario] = &[
    Scenario {
        number: 8,
        what: "the leader's agent is killed and PostgreSQL lives on",
        faults: |pen| pen.each([0.2, 0.9, 1.1, 4.0].map(|lasts| (lasts, Fault::KillAgent(LEADER)))),
    },
    Scenario {
        number: 9,
        what: "PostgreSQL is killed, loses a backend, is frozen, hangs",
        faults: |pen| {
            pen.each([
                (0.1, Fault::KillPostgres(LEADER)),
                (0.1, Fault::CrashBackend(LEADER)),
                (2.0, Fault::FreezePostgres(LEADER)),
                (2.0, Fault::FreezePostgres(SECOND)),
                (2.0, Fault::HangPostgres(LEADER)),
                (2.0, Fault::HangPostgres(SECOND)),
            ])
        },
    },
    Scenario {
        number: 10,
        what: "PostgreSQL crashes again and again, and recovers slowly while the lock is lost",
        faults: |pen| {
            let mut faults =
                vec![pen.at(0.0, 8.0, Fault::SlowHost(LEADER, 50)), pen.at(0.0, 8.0, Fault::StartsFail(LEADER))];
            faults.extend((0..6).map(|part| pen.at(f64::from(part), 0.1, Fault::KillPostgres(LEADER))));
            faults.push(pen.at(3.0, 1.5, Fault::KillAgent(LEADER)));
            faults
        },
    },
    Scenario {
        number: 11,
        what: "somebody promotes a standby by hand, and stops the primary by hand",
        faults: |pen| {
            pen.each([
                (0.1, Fault::Operator(Operation::PromoteByHand(SECOND))),
                (0.1, Fault::Operator(Operation::StopByHand(LEADER))),
                (0.1, Fault::Operator(Operation::StopByHand(THIRD))),
            ])
        },
    },
    Scenario {
        number: 12,
        what: "agents are killed and stopped at many steps of a switchover and a failover",
        faults: |pen| {
            let mut faults = Vec::new();
            for round in 0..10 {
                let begin = f64::from(round) * 9.0;
                faults.push(pen.at(begin, 0.1, Fault::Operator(Operation::Switchover { to: None })));
                let host = [LEADER, SECOND, THIRD][round as usize % 3];
                faults.push(pen.at(begin + 0.02 * f64::from(round), 0.5, Fault::KillAgent(host)));
                faults.push(pen.at(begin + 5.0, 0.3, Fault::StopAgent(host)));
            }
            faults
        },
    },
    Scenario {
        number: 13,
        what: "restart, reinitialize and switchover are asked for at once",
        faults: |pen| {
            let wishes = [
                Operation::Restart(LEADER),
                Operation::Reinitialize(SECOND),
                Operation::Switchover { to: Some(THIRD) },
                Operation::Restart(THIRD),
            ];
            let at_once =
                |round: u32| wishes.clone().map(|wish| pen.at(f64::from(round) * 8.0, 0.1, Fault::Operator(wish)));
            (0..4).flat_map(at_once).collect()
        },
    },
];
