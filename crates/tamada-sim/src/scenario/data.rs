//! 25–33: replication, data, disks.

use super::{LEADER, SECOND, Scenario, THIRD};
use crate::fault::{Fault, Operation};

pub const ALL: &[Scenario] = &[
    Scenario {
        number: 25,
        what: "the host of the leader is lost while a standby replays late and another is behind",
        faults: |pen| {
            vec![
                pen.at(0.0, 6.0, Fault::LateReplay(SECOND)),
                pen.at(1.0, 0.5, Fault::Suspend(THIRD)),
                pen.at(1.4, 4.0, Fault::PowerOff(LEADER)),
            ]
        },
    },
    Scenario {
        number: 28,
        what: "a leads, b takes over, b is lost, a returns alone",
        faults: |pen| {
            vec![
                pen.at(0.0, 8.0, Fault::PowerOff(LEADER)),
                pen.at(0.0, 16.0, Fault::PowerOff(THIRD)),
                pen.at(6.0, 10.0, Fault::PowerOff(SECOND)),
            ]
        },
    },
    Scenario {
        number: 30,
        what: "a former primary comes back: rewinds fail, are cut off, find no WAL",
        faults: |pen| {
            vec![
                pen.at(0.0, 3.0, Fault::PowerOff(LEADER)),
                pen.at(2.0, 3.0, Fault::RewindsFail(LEADER)),
                pen.at(3.2, 1.0, Fault::KillAgent(LEADER)),
                pen.at(10.0, 3.0, Fault::PowerOff(SECOND)),
                pen.at(13.1, 1.0, Fault::KillPostgres(THIRD)),
                pen.at(13.2, 1.0, Fault::KillAgent(SECOND)),
            ]
        },
    },
    Scenario {
        number: 32,
        what: "stopping takes long in a switchover",
        faults: |pen| {
            vec![
                pen.at(0.0, 4.0, Fault::StopTakesLong(LEADER)),
                pen.at(0.1, 0.1, Fault::Operator(Operation::Switchover { to: None })),
            ]
        },
    },
    Scenario {
        number: 33,
        what: "disks are full, hang, and are lost",
        faults: |pen| {
            pen.each([
                (3.0, Fault::FullDisk(LEADER)),
                (3.0, Fault::FullDisk(SECOND)),
                (3.0, Fault::HangPostgres(LEADER)),
                (0.1, Fault::LoseData(SECOND)),
                (0.1, Fault::LoseData(LEADER)),
            ])
        },
    },
];
