//! Scripts drawn from a seed: some kinds of faults, each now and then, one upon the other.
//!
//! A run in which everything goes wrong all the time shows little, because nothing is ever reached that could be lost.
//! Therefore a seed first chooses a few kinds and how often they come, and leaves the others out.

use std::time::Duration;

use crate::fault::{Cue, Fault, LostKey, Operation, Planned, Switch, When};
use crate::net::{Place, Road, Rule, Trouble};
use crate::script::{Script, Starts, Synchronous, Times, heals_within};
use crate::{Chance, Host};

/// What a run has more of than others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Agents,
    Guards,
    Hosts,
    Postgres,
    Disks,
    Network,
    Store,
    Operators,
    Pause,
    ByHand,
    Keys,
    Clocks,
    /// Something at the very moment at which somebody does something.
    Moments,
    /// A leader's agent begins anew, and stands still when it has hardly begun.
    Restarts,
    /// The standbys have not all the same when the leader is lost.
    Behind,
}

const KINDS: [Kind; 17] = [
    Kind::Agents,
    Kind::Guards,
    Kind::Hosts,
    Kind::Postgres,
    Kind::Disks,
    Kind::Network,
    Kind::Store,
    Kind::Operators,
    Kind::Pause,
    Kind::ByHand,
    Kind::Keys,
    Kind::Clocks,
    Kind::Moments,
    Kind::Moments,
    Kind::Moments,
    Kind::Restarts,
    Kind::Behind,
];

const TIMES: [Times; 5] = [
    Times::USUAL,
    Times { ttl: 20.0, loop_wait: 5.0, retry_timeout: 5.0 },
    Times::QUICK,
    Times { ttl: 5.0, loop_wait: 1.0, retry_timeout: 1.5 },
    Times::QUICKEST,
];

pub fn script(seed: u64) -> Script {
    let mut chance = Chance::new(seed ^ 0x7377_6172_6d00);
    let times = *chance.pick(&TIMES);
    let members = *chance.pick(&[2, 3, 3, 3, 3, 4, 5]);
    let faults_end = Duration::from_secs_f64(times.ttl * (6 + chance.below(14)) as f64 + 40.0);
    let mut script = Script {
        members,
        starts: Starts::Together,
        maximum_lag: *chance.pick(&[0, 2048, 1 << 20, 1 << 20]),
        check_timeline: chance.happens(1, 2),
        synchronous: synchronous(seed, members),
        nofailover: (0..members).map(Host).filter(|host| host.0 > 0 && chance.happens(1, 8)).collect(),
        writes_every: *chance.pick(&[Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(4)]),
        drift: *chance.pick(&[0, 100, 500]),
        faults_end,
        heals_within: heals_within(times),
        ..Script::calm(seed, times)
    };
    let mut draw = Draw { chance, members, ttl: times.ttl };
    let kinds = draw.kinds();
    let every = Duration::from_secs_f64(times.ttl * *draw.chance.pick(&[0.3, 1.0, 2.0, 5.0]));
    let mut at = Duration::from_secs(20);
    while at < faults_end {
        at += draw.chance.between(Duration::ZERO, every * 2);
        let kind = *draw.chance.pick(&kinds);
        script.faults.extend(draw.planned(at, kind));
    }
    script.faults.retain(|planned| planned.at < faults_end);
    // A timeline that is lost with its data would have to be forgotten by an operator.
    let loses_data = |planned: &Planned| matches!(planned.fault, Fault::LoseData(_));
    script.check_timeline &= !script.faults.iter().any(loses_data);
    script
}

/// Seeds from 2^40 on are of clusters whose commits wait for standbys. Drawn apart, so that the others are what they were.
fn synchronous(seed: u64, members: usize) -> Synchronous {
    let mut chance = Chance::new(seed ^ 0x0073_796e_6300);
    if seed >> 40 == 0 {
        return Synchronous::Off;
    }
    let strict = chance.happens(1, 3);
    let count = 1 + chance.below(members as u64 - 1) as u32;
    match chance.happens(1, 2) {
        true => Synchronous::On { strict, count },
        false => Synchronous::Quorum { strict, count },
    }
}

struct Draw {
    chance: Chance,
    members: usize,
    ttl: f64,
}

impl Draw {
    fn kinds(&mut self) -> Vec<Kind> {
        let wanted = 1 + self.chance.below(4);
        (0..wanted).map(|_| *self.chance.pick(&KINDS)).collect()
    }

    fn host(&mut self) -> Host {
        Host(self.chance.below(self.members as u64) as usize)
    }

    /// A blink, about a lease, or much more.
    fn lasts(&mut self) -> Duration {
        let leases = *self.chance.pick(&[0.02, 0.1, 0.5, 0.9, 1.0, 1.1, 2.0, 5.0]);
        self.chance.between(Duration::ZERO, Duration::from_secs_f64(self.ttl * leases * 2.0))
    }

    fn planned(&mut self, at: Duration, kind: Kind) -> Vec<Planned> {
        let (lasts, host) = (self.lasts(), self.host());
        let fault = match kind {
            Kind::Agents => self.one_of([Fault::FreezeAgent(host), Fault::KillAgent(host), Fault::StopAgent(host)]),
            Kind::Guards => self.one_of([Fault::KillGuard(host), Fault::KillAgent(host), Fault::KillGuard(host)]),
            Kind::Hosts => {
                self.one_of([Fault::Suspend(host), Fault::PowerOff(host), Fault::PowerOff(host), Fault::Blackout])
            }
            Kind::Postgres => self.postgres(host),
            Kind::Disks => self.disks(host),
            Kind::Network => Fault::Net(self.rule()),
            Kind::Store => self.store(),
            Kind::Operators => self.operators(host),
            Kind::Pause => Fault::Operator(Operation::Pause),
            Kind::ByHand => self.by_hand(host),
            Kind::Keys => Fault::StoreLoses(self.key(host)),
            Kind::Clocks => {
                let step = *self.chance.pick(&[1_000_000, 30_000_000, 86_400_000_000]);
                let sign = if self.chance.happens(1, 2) { 1 } else { -1 };
                Fault::StepCalendar(host, step * sign)
            }
            Kind::Moments => {
                let fault = self.at_a_moment(host);
                let by = if self.chance.happens(3, 4) { host } else { self.host() };
                return vec![Planned { at, when: self.moment(by), lasts, fault }];
            }
            Kind::Restarts => {
                let again = self.chance.between(Duration::ZERO, Duration::from_secs(1));
                let when = When::After(Cue::Starts(host), self.soon());
                let fault = self.one_of([Fault::FreezeAgent(host), Fault::Suspend(host), Fault::KillAgent(host)]);
                let killed = Planned { at, when: When::Then, lasts: again, fault: Fault::KillAgent(host) };
                return vec![killed, Planned { at, when, lasts, fault }];
            }
            Kind::Behind => return self.behind(at, host),
        };
        vec![Planned { at, when: When::Then, lasts, fault }]
    }

    /// A standby hears no more of one that may be the leader, and then that one is gone.
    fn behind(&mut self, at: Duration, host: Host) -> Vec<Planned> {
        let leads = Host((host.0 + 1 + self.chance.below(self.members as u64 - 1) as usize) % self.members);
        let [from, to] = [leads, host].map(|host| Some(Place::Host(host)));
        let cut = Fault::Net(Rule { from, to, road: Some(Road::Postgres), trouble: Trouble::Cut });
        let before = self.chance.between(Duration::from_secs(1), Duration::from_secs(15));
        let lasts = Duration::from_secs_f64(self.ttl * 3.0);
        let then = |at, lasts, fault| Planned { at, when: When::Then, lasts, fault };
        vec![then(at, before + lasts, cut), then(at + before, lasts, Fault::PowerOff(leads))]
    }

    fn moment(&mut self, host: Host) -> When {
        let cue = *self.chance.pick(&[
            Cue::Starts(host),
            Cue::Reads(host),
            Cue::Reads(host),
            Cue::WinsLock(host),
            Cue::WinsLock(host),
            Cue::Promotes(host),
            Cue::Promotes(host),
            Cue::Stops(host),
            Cue::Works(host),
        ]);
        When::After(cue, self.soon())
    }

    /// At once, while the answer is on its way, or when the next thing is at work.
    fn soon(&mut self) -> Duration {
        let most = *self.chance.pick(&[0, 3, 30, 30, 300]);
        self.chance.between(Duration::ZERO, Duration::from_millis(most))
    }

    fn at_a_moment(&mut self, host: Host) -> Fault {
        let slow = *self.chance.pick(&[Duration::from_millis(100), Duration::from_secs(2)]);
        let cut = |to| Rule { from: Some(Place::Host(host)), to, road: None, trouble: Trouble::Cut };
        self.one_of([
            Fault::FreezeAgent(host),
            Fault::FreezeAgent(host),
            Fault::FreezeAgent(host),
            Fault::KillAgent(host),
            Fault::Suspend(host),
            Fault::PowerOff(host),
            Fault::KillPostgres(host),
            Fault::CrashBackend(host),
            Fault::Net(cut(Some(Place::Store))),
            Fault::Net(cut(None)),
            Fault::StoreAway,
            Fault::StoreSlow(slow),
            Fault::StoreMute,
        ])
    }

    fn one_of<const N: usize>(&mut self, faults: [Fault; N]) -> Fault {
        self.chance.pick(&faults).clone()
    }

    fn postgres(&mut self, host: Host) -> Fault {
        let factor = *self.chance.pick(&[2, 10, 50]);
        self.one_of([
            Fault::KillPostgres(host),
            Fault::KillPostgres(host),
            Fault::CrashBackend(host),
            Fault::FreezePostgres(host),
            Fault::HangPostgres(host),
            Fault::SlowHost(host, factor),
            Fault::StartsFail(host),
            Fault::StopTakesLong(host),
            Fault::LateReplay(host),
        ])
    }

    fn disks(&mut self, host: Host) -> Fault {
        self.one_of([
            Fault::FullDisk(host),
            Fault::ClonesFail(host),
            Fault::RewindsFail(host),
            Fault::WalIsGone(host),
            Fault::LoseData(host),
        ])
    }

    fn place(&mut self) -> Option<Place> {
        match self.chance.below(6) {
            0 => None,
            1 | 2 => Some(Place::Store),
            3 => Some(Place::Clients),
            _ => Some(Place::Host(self.host())),
        }
    }

    fn rule(&mut self) -> Rule {
        let host = Some(Place::Host(self.host()));
        let other = self.place();
        let (from, to) = if self.chance.happens(1, 2) { (host, other) } else { (other, host) };
        let road = *self.chance.pick(&[None, None, Some(Road::Rest), Some(Road::Postgres), Some(Road::Store)]);
        let slow = *self.chance.pick(&[Duration::from_millis(50), Duration::from_secs(1), Duration::from_secs(20)]);
        let percent = 1 + self.chance.below(60);
        let troubles =
            [Trouble::Cut, Trouble::Cut, Trouble::Slow(slow), Trouble::Lossy(percent), Trouble::Twice(percent)];
        Rule { from, to, road, trouble: *self.chance.pick(&troubles) }
    }

    fn store(&mut self) -> Fault {
        let slow = *self.chance.pick(&[Duration::from_millis(100), Duration::from_secs(2), Duration::from_secs(15)]);
        self.one_of([Fault::StoreAway, Fault::StoreAway, Fault::StoreSlow(slow), Fault::StoreMute, Fault::StoreElects])
    }

    fn operators(&mut self, host: Host) -> Fault {
        let to = Some(self.host()).filter(|_| self.chance.happens(2, 3));
        let times = *self.chance.pick(&TIMES[..4]);
        let (ttl, loop_wait, retry_timeout) = (times.ttl as u64, times.loop_wait as u64, times.retry_timeout as u64);
        let nofailover = if self.chance.happens(1, 2) { Switch::On } else { Switch::Off };
        Fault::Operator(
            self.chance
                .pick(&[
                    Operation::Switchover { to },
                    Operation::Switchover { to },
                    Operation::Switchover { to },
                    Operation::Failover { to: host },
                    Operation::Restart(host),
                    Operation::Reinitialize(host),
                    Operation::Ttl { ttl, loop_wait, retry_timeout },
                    Operation::Tag { host, nofailover },
                ])
                .clone(),
        )
    }

    fn by_hand(&mut self, host: Host) -> Fault {
        Fault::Operator(self.chance.pick(&[Operation::PromoteByHand(host), Operation::StopByHand(host)]).clone())
    }

    fn key(&mut self, host: Host) -> LostKey {
        *self.chance.pick(&[
            LostKey::Leader,
            LostKey::Initialize,
            LostKey::Config,
            LostKey::Status,
            LostKey::History,
            LostKey::Member(host),
        ])
    }
}
