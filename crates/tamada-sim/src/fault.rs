//! What can go wrong in the world, as values: drawn by a swarm, written down by a scenario, taken away by shrinking.

use std::time::Duration;

use crate::Host;
use crate::net::{Place, Road, Rule};

/// One thing that goes wrong, and is over after a while.
#[derive(Clone, PartialEq, Debug)]
pub struct Planned {
    pub at: Duration,
    pub when: When,
    /// Faults of an instant ignore it.
    pub lasts: Duration,
    pub fault: Fault,
}

/// Most moments are as good as any other; some are a thousandth of a second long, and no clock would ever meet them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// At its time.
    Then,
    /// From its time on it waits for this, and begins so much later.
    After(Cue, Duration),
}

/// What somebody does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cue {
    /// Its agent is up and has read the store for the first time.
    Starts(Host),
    /// Its agent asks the store how things are.
    Reads(Host),
    /// The store names it.
    WinsLock(Host),
    Promotes(Host),
    Stops(Host),
    /// It begins another long action: a start, a rewind, a copy.
    Works(Host),
}

#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    // agents and guards
    /// SIGSTOP to the agent, its PostgreSQL and guard go on; SIGCONT when it is over.
    FreezeAgent(Host),
    /// kill -9; started again when it is over.
    KillAgent(Host),
    /// As at an upgrade or a shutdown: SIGTERM; started again when it is over.
    StopAgent(Host),
    /// kill -9 of the guard.
    KillGuard(Host),
    // hosts
    /// The host sleeps, with everything on it; its clock runs on.
    Suspend(Host),
    /// Everything on the host is gone until it is over.
    PowerOff(Host),
    /// Everything in the world loses its power, and comes back host by host.
    Blackout,
    /// The calendar is set forward or back, in microseconds, and stays so.
    StepCalendar(Host, i64),
    // PostgreSQL
    KillPostgres(Host),
    CrashBackend(Host),
    FreezePostgres(Host),
    HangPostgres(Host),
    SlowHost(Host, u32),
    FullDisk(Host),
    StartsFail(Host),
    StopTakesLong(Host),
    LateReplay(Host),
    ClonesFail(Host),
    RewindsFail(Host),
    WalIsGone(Host),
    LoseData(Host),
    // the network
    Net(Rule),
    // the store
    StoreAway,
    StoreSlow(Duration),
    /// Requests are carried out, but nobody hears.
    StoreMute,
    StoreElects,
    StoreLoses(LostKey),
    // operators
    Operator(Operation),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LostKey {
    Leader,
    Initialize,
    Config,
    Status,
    History,
    Member(Host),
}

impl LostKey {
    pub fn key(self) -> String {
        match self {
            LostKey::Leader => "leader".into(),
            LostKey::Initialize => "initialize".into(),
            LostKey::Config => "config".into(),
            LostKey::Status => "status".into(),
            LostKey::History => "history".into(),
            LostKey::Member(host) => format!("members/{}", host.name()),
        }
    }
}

impl Fault {
    pub fn touches(&self) -> Touched {
        match self {
            Fault::FreezeAgent(host)
            | Fault::KillAgent(host)
            | Fault::StopAgent(host)
            | Fault::KillGuard(host)
            | Fault::KillPostgres(host)
            | Fault::CrashBackend(host)
            | Fault::FreezePostgres(host)
            | Fault::HangPostgres(host)
            | Fault::LoseData(host)
            | Fault::Suspend(host)
            | Fault::PowerOff(host)
            | Fault::StepCalendar(host, _)
            | Fault::SlowHost(host, _)
            | Fault::FullDisk(host)
            | Fault::StartsFail(host)
            | Fault::StopTakesLong(host)
            | Fault::LateReplay(host)
            | Fault::ClonesFail(host)
            | Fault::RewindsFail(host)
            | Fault::WalIsGone(host)
            | Fault::Operator(
                Operation::Restart(host)
                | Operation::Reinitialize(host)
                | Operation::Tag { host, .. }
                | Operation::PromoteByHand(host)
                | Operation::StopByHand(host),
            ) => Touched::These([Some(*host), None]),
            Fault::Net(rule) => Touched::by(rule),
            Fault::StoreElects => Touched::NOBODY,
            Fault::Blackout
            | Fault::StoreAway
            | Fault::StoreSlow(_)
            | Fault::StoreMute
            | Fault::StoreLoses(_)
            | Fault::Operator(
                Operation::Switchover { .. } | Operation::Failover { .. } | Operation::Pause | Operation::Ttl { .. },
            ) => Touched::Everybody,
        }
    }

    /// Whose processes it concerns; nobody can do anything to processes on a host that sleeps or is off.
    pub fn process_of(&self) -> Option<Host> {
        match self {
            Fault::FreezeAgent(host)
            | Fault::KillAgent(host)
            | Fault::StopAgent(host)
            | Fault::KillGuard(host)
            | Fault::KillPostgres(host)
            | Fault::CrashBackend(host)
            | Fault::FreezePostgres(host)
            | Fault::HangPostgres(host)
            | Fault::LoseData(host)
            | Fault::Operator(Operation::PromoteByHand(host) | Operation::StopByHand(host)) => Some(*host),
            Fault::Suspend(_)
            | Fault::PowerOff(_)
            | Fault::Blackout
            | Fault::StepCalendar(..)
            | Fault::SlowHost(..)
            | Fault::FullDisk(_)
            | Fault::StartsFail(_)
            | Fault::StopTakesLong(_)
            | Fault::LateReplay(_)
            | Fault::ClonesFail(_)
            | Fault::RewindsFail(_)
            | Fault::WalIsGone(_)
            | Fault::Net(_)
            | Fault::StoreAway
            | Fault::StoreSlow(_)
            | Fault::StoreMute
            | Fault::StoreElects
            | Fault::StoreLoses(_)
            | Fault::Operator(
                Operation::Switchover { .. }
                | Operation::Failover { .. }
                | Operation::Restart(_)
                | Operation::Reinitialize(_)
                | Operation::Pause
                | Operation::Ttl { .. }
                | Operation::Tag { .. },
            ) => None,
        }
    }
}

/// Whom a fault keeps from asking the others, from answering, or from what it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Touched {
    These([Option<Host>; 2]),
    Everybody,
}

impl Touched {
    const NOBODY: Touched = Touched::These([None; 2]);

    fn by(rule: &Rule) -> Self {
        let host = |place: Option<Place>| match place {
            Some(Place::Host(host)) => Some(host),
            Some(Place::Store | Place::Clients) | None => None,
        };
        match (rule.road, host(rule.from), host(rule.to)) {
            (Some(Road::Postgres), _, _) => Touched::NOBODY,
            (Some(Road::Rest | Road::Store) | None, None, None) => Touched::Everybody,
            (Some(Road::Rest | Road::Store) | None, from, to) => Touched::These([from, to]),
        }
    }

    pub fn includes(self, host: Host) -> bool {
        match self {
            Touched::These(hosts) => hosts.contains(&Some(host)),
            Touched::Everybody => true,
        }
    }
}

/// What operators do at bad moments.
#[derive(Clone, PartialEq, Debug)]
pub enum Operation {
    Switchover {
        to: Option<Host>,
    },
    Failover {
        to: Host,
    },
    Restart(Host),
    Reinitialize(Host),
    /// Resumed when it is over.
    Pause,
    /// As it was when it is over.
    Ttl {
        ttl: u64,
        loop_wait: u64,
        retry_timeout: u64,
    },
    Tag {
        host: Host,
        nofailover: Switch,
    },
    /// `pg_ctl promote`, `pg_ctl stop`, `pg_ctl start`, behind the agent's back.
    PromoteByHand(Host),
    StopByHand(Host),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Switch {
    On,
    Off,
}
