//! The world: what is due happens, one thing after the other, until the script has come to its end.

mod agents;
mod asking;
mod clients;
mod faults;
mod guards;
mod looks;
mod operators;
mod rescue;
mod succession;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Duration;

use tamada_model::{SyncState, Tags};
use tamada_wire::keys;

use crate::chance::Chance;
use crate::diary::Diary;
use crate::invariant::{Promises, Violation};
use crate::ledger::Ledger;
use crate::member::{Heard, Member, Runs};
use crate::net::{Network, Passage, Place, Road};
use crate::plant::Plants;
use crate::postgres::{Fleet, Net, News, Step, Traits};
use crate::queue::Queue;
use crate::script::{Script, Starts, Synchronous};
use crate::store::{Answer, Request, Store};
use crate::{Host, Moment};

pub struct World {
    pub now: Moment,
    pub script: Script,
    pub members: Vec<Member>,
    pub fleet: Fleet,
    pub store: Store,
    pub net: Network,
    pub ledger: Ledger,
    pub diary: Diary,
    pub plants: Plants,
    pub(crate) queue: Queue<Due>,
    pub(crate) chance: Chance,
    pub(crate) store_is: StoreIs,
    pub(crate) leases_due: Option<Moment>,
    /// Faults that wait for their cue.
    pub(crate) awaiting: Vec<usize>,
    pub(crate) clients: Vec<clients::Client>,
    pub(crate) operator: rescue::Operator,
    pub(crate) succession: succession::Succession,
    /// Until when it may take to be whole.
    ends: Moment,
    promises: Promises,
    happened: u64,
}

/// Something that happens at its moment.
#[derive(Debug)]
pub enum Due {
    Tick {
        host: Host,
        epoch: u32,
        at: Moment,
    },
    Hear(Host, Heard),
    StoreHears {
        from: Host,
        epoch: u32,
        ask: u64,
        request: Request,
    },
    StoreAnswers {
        to: Host,
        epoch: u32,
        ask: u64,
        answer: Answer,
    },
    GiveUp {
        host: Host,
        epoch: u32,
        ask: u64,
    },
    StartAgent {
        host: Host,
        epoch: u32,
    },
    /// SIGHUP: its file has changed.
    Reload {
        host: Host,
        epoch: u32,
    },
    Postgres(Host, Step),
    Guard {
        host: Host,
        version: u32,
        act: GuardAct,
    },
    Leases,
    Client(usize, ClientDue),
    /// Its time has come; it may still wait for its cue.
    Fault(usize),
    Begins(usize),
    Over(usize),
    Resume(Resume),
    Look,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuardAct {
    Fence,
    Kill,
    /// The instant has passed, and nobody has moved it on.
    LookAgain,
    /// The agent has noticed that its guard is gone, and has started another.
    Return,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientDue {
    Write,
    /// No answer so far: whether it was written nobody can say.
    GivesUp(u64),
    Hears(u64),
}

/// Parts of the world that come back one by one after a blackout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resume {
    Host(Host),
    Store,
}

/// How the store is, by how many faults say so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoreIs {
    pub away: u32,
    pub mute: u32,
    pub slow: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    pub violation: Option<Violation>,
    /// Until when it went.
    pub simulated: Duration,
    pub happened: u64,
    pub acknowledged: u64,
    pub lost: u64,
    pub promotions: u64,
    /// How often an operator had to help.
    pub helped: u64,
    pub diary: Diary,
}

/// More happenings at one moment of time than any world has: somebody spins.
const ENDLESS: u64 = 100_000;

impl World {
    pub fn new(script: Script, plants: Plants, diary: Diary) -> Self {
        let mut chance = Chance::new(script.seed);
        let hosts = script.members;
        let fleet = Fleet::new(hosts, chance.fork(1), Traits { plants, ..Traits::default() });
        let net = Network::new(chance.fork(2));
        let mut world = Self {
            now: Moment::default(),
            members: Vec::new(),
            fleet,
            store: Store::with(plants),
            net,
            ledger: Ledger::default(),
            diary,
            plants,
            queue: Queue::default(),
            chance,
            store_is: StoreIs::default(),
            leases_due: None,
            awaiting: Vec::new(),
            clients: Vec::new(),
            operator: rescue::Operator::default(),
            succession: succession::Succession::default(),
            ends: Moment::new(script.faults_end + script.heals_within),
            promises: Promises::new(&script),
            happened: 0,
            script,
        };
        world.settle();
        world
    }

    /// Members are there and started one after the other; clients knock; the faults are in the calendar.
    fn settle(&mut self) {
        for index in 0..self.script.members {
            let host = Host(index);
            let member = self.new_member(host);
            self.members.push(member);
            let later = match self.script.starts {
                Starts::FirstAlone if index > 0 => Duration::from_secs(8),
                Starts::FirstAlone | Starts::Together => Duration::ZERO,
            };
            let at = self.now + later + self.chance.between(Duration::from_millis(50), Duration::from_millis(800));
            self.queue.put(at, Due::StartAgent { host, epoch: 0 });
        }
        self.begin_clients();
        for (number, planned) in self.script.faults.iter().enumerate() {
            self.queue.put(Moment::new(planned.at), Due::Fault(number));
        }
        self.queue.put(self.now, Due::Look);
    }

    fn new_member(&mut self, host: Host) -> Member {
        let drift = self.script.drift;
        let clock = crate::Clock {
            booted: Duration::from_millis(1_000_000 + self.chance.below(9_000_000)),
            drift: self.chance.below(2 * drift + 1) as i64 - drift as i64,
            wall_error: self.chance.below(2_000_000) as i64 - 1_000_000,
        };
        let tags = match self.is_tagged(host) {
            true => Tags([("nofailover".to_owned(), true.into())].into_iter().collect()),
            false => Tags::default(),
        };
        agents::new_member(host, clock, tags, &self.script)
    }

    /// To the end of the script, longer if an operator had to help, or to the first broken promise.
    pub fn run(mut self) -> Outcome {
        self.plants.sow();
        let mut violation = None;
        let mut at_once = 0;
        while let Some((at, due)) = self.queue.next() {
            if at > self.ends {
                break;
            }
            at_once = if at == self.now { at_once + 1 } else { 0 };
            self.now = at;
            self.happened += 1;
            let done = caught(|| {
                self.happens(due);
                self.follow_up();
            });
            violation = match self.promises.broken.take() {
                Some(broken) => Some(broken),
                None if done.is_err() => Some(Violation::new("no assertion fails", words_of(done))),
                None if at_once >= ENDLESS => Some(Violation::new("the world goes on", "one thing is done for ever")),
                None => None,
            };
            if violation.is_some() || self.promises.fulfilled {
                break;
            }
        }
        let violation = violation.or_else(|| {
            let promises = &mut std::mem::take(&mut self.promises);
            promises.at_the_end(&self);
            promises.broken.take()
        });
        if let Some(violation) = &violation {
            self.note_why();
            self.diary.note(self.now, None, || format!("BROKEN: {violation}"));
        }
        Outcome {
            violation,
            simulated: self.now.since(Moment::default()),
            happened: self.happened,
            acknowledged: self.ledger.acknowledged(),
            lost: self.ledger.lost(),
            promotions: self.ledger.promotions,
            helped: self.operator.acts,
            diary: self.diary,
        }
    }

    fn happens(&mut self, due: Due) {
        let Some(due) = self.unless_held(due) else {
            return;
        };
        match due {
            Due::Tick { host, epoch, at } => self.tick(host, epoch, at),
            Due::Hear(host, heard) => self.hear_if_same(host, heard),
            Due::StoreHears { from, epoch, ask, request } => self.store_hears(from, epoch, ask, &request),
            Due::StoreAnswers { to, epoch, ask, answer } => self.store_answers(to, epoch, ask, answer),
            Due::GiveUp { host, epoch, ask } => self.give_up(host, epoch, ask),
            Due::StartAgent { host, epoch } => self.start_agent(host, epoch),
            Due::Reload { host, epoch } => self.reload(host, epoch),
            Due::Postgres(_, step) => self.with_fleet(|fleet, now, net| fleet.happen(step, now, net)),
            Due::Guard { host, version, act } => self.guard_acts(host, version, act),
            Due::Leases => self.leases_run_out(),
            Due::Client(number, due) => self.client(number, due),
            Due::Fault(number) => self.fault_is_due(number),
            Due::Begins(number) => self.fault_begins(number),
            Due::Over(number) => self.fault_ends(number),
            Due::Resume(what) => self.resume(what),
            Due::Look => self.look(),
        }
    }

    /// What reaches somebody who stands still waits; what reaches one without power is gone.
    fn unless_held(&mut self, due: Due) -> Option<Due> {
        let (host, agents) = match &due {
            Due::Tick { host, .. }
            | Due::Hear(host, _)
            | Due::StoreAnswers { to: host, .. }
            | Due::GiveUp { host, .. }
            | Due::StartAgent { host, .. }
            | Due::Reload { host, .. } => (*host, true),
            Due::Postgres(host, _) | Due::Guard { host, .. } => (*host, false),
            Due::StoreHears { .. }
            | Due::Leases
            | Due::Client(..)
            | Due::Fault(_)
            | Due::Begins(_)
            | Due::Over(_)
            | Due::Resume(_)
            | Due::Look => return Some(due),
        };
        let member = &mut self.members[host.0];
        let runs = match (member.host_runs, agents) {
            (Runs::On, true) => member.agent_runs,
            (runs, _) => runs,
        };
        match runs {
            Runs::On => Some(due),
            Runs::Still => {
                member.held.push(due);
                None
            }
            Runs::Off => None,
        }
    }

    /// What the happening has set in motion: PostgreSQL's next steps and news, and what the promises say to it.
    fn follow_up(&mut self) {
        for (at, host, step) in self.fleet.take_agenda() {
            self.queue.put(at, Due::Postgres(host, step));
        }
        let news: Vec<News> = self.fleet.take_news().collect();
        for news in news {
            self.postgres_says(news);
        }
    }

    fn postgres_says(&mut self, news: News) {
        self.watch(|promises, world| promises.news(&news, world));
        self.is_succeeded_by(&news);
        self.tell_of(news);
    }

    pub(crate) fn watch(&mut self, see: impl FnOnce(&mut Promises, &World)) {
        let mut promises = std::mem::take(&mut self.promises);
        see(&mut promises, self);
        self.promises = promises;
    }

    /// Once a second somebody looks at everything, whether or not anything happens.
    fn look(&mut self) {
        self.watch(|promises, world| promises.look(world));
        self.look_after();
        self.queue.put(self.now + Duration::from_secs(1), Due::Look);
    }

    pub(crate) fn with_fleet<T>(&mut self, work: impl FnOnce(&mut Fleet, Moment, &mut dyn Net) -> T) -> T {
        let mut roads = Roads { net: &mut self.net, members: &self.members };
        work(&mut self.fleet, self.now, &mut roads)
    }

    pub fn hosts(&self) -> impl Iterator<Item = Host> + use<> {
        (0..self.script.members).map(Host)
    }

    pub fn host(&self, name: &str) -> Option<Host> {
        self.hosts().find(|host| host.name() == name)
    }

    // --- what the promises ask

    pub fn is_paused(&self) -> bool {
        self.members.iter().any(|member| member.setup.settings.pause)
    }

    /// It has slept, and what was under way then ends in these instants, before its guard, first thing, stops it: that
    /// needs the processor, and the postmaster has to hear the signal.
    pub fn just_woke(&self, host: Host) -> bool {
        self.members[host.0].woke.is_some_and(|at| self.now.since(at) < Duration::from_millis(50))
    }

    /// In pause nobody is stopped, and no guard is armed; nor is it when the agent is lost before it hears of the end.
    pub fn is_left_alone(&self, host: Host) -> bool {
        self.pauses(host) || self.members[host.0].guard.rests_in_pause
    }

    /// What the member holds to be the case.
    pub fn pauses(&self, host: Host) -> bool {
        self.members[host.0].setup.settings.pause
    }

    /// The position that a leader published last.
    pub fn published(&self) -> tamada_model::Lsn {
        let text = self.store.raw(keys::STATUS).unwrap_or_default();
        keys::parse_status(text.as_bytes()).optime
    }

    /// How much waits to happen.
    pub fn waiting(&self) -> usize {
        self.queue.len() + self.members.iter().map(|member| member.held.len() + member.asks.len()).sum::<usize>()
    }

    /// It streams, and has nothing that the leader has not.
    pub fn follows(&self, host: Host, leader: Host) -> bool {
        let facts = self.fleet.facts(host, self.members[host.0].now(self.now), None);
        let streams = facts.answers.live().is_some_and(tamada_model::Live::is_streaming);
        let points = self.fleet.data(host).zip(self.fleet.data(leader));
        streams && points.is_some_and(|(here, there)| self.fleet.wal().is_ancestor(here, there))
    }

    /// From the oldest position that a slot holds to the end of what is there.
    pub fn kept_wal(&self, host: Host) -> u64 {
        let facts = self.fleet.facts(host, self.members[host.0].now(self.now), None);
        let Some((live, (_, end))) = facts.answers.live().zip(self.fleet.data(host)) else {
            return 0;
        };
        let oldest = live.slots.iter().filter_map(|slot| slot.restart_lsn).min();
        oldest.map_or(0, |oldest| end.bytes().saturating_sub(oldest.bytes()))
    }

    /// The `sync` key, where commits are to wait for standbys and somebody has begun with it.
    pub fn sync_key(&self) -> Option<SyncState> {
        let sync = self.store.raw(keys::SYNC).map(|text| keys::parse_sync(text.as_bytes()));
        sync.filter(|sync| self.script.synchronous != Synchronous::Off && sync.leader.is_some())
    }

    /// Its word counts in a race: commits may have waited for it.
    pub fn has_say(&self, host: Host) -> bool {
        self.sync_key().is_none_or(|sync| sync.lists(&host.name().into()))
    }
}

fn words_of(panicked: std::thread::Result<()>) -> String {
    let Err(payload) = panicked else {
        return String::new();
    };
    let literal = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    literal.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
impl World {
    /// So much time, whatever the promises say to what happens in it.
    pub(crate) fn passes(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((at, due)) = self.queue.next() {
            if at > until {
                self.queue.put(at, due);
                break;
            }
            self.now = at;
            self.happens(due);
            self.follow_up();
        }
        self.now = until;
    }
}

thread_local! {
    /// What panics on this thread now is caught.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

fn caught(act: impl FnOnce()) -> std::thread::Result<()> {
    CAUGHT.set(true);
    let done = catch_unwind(AssertUnwindSafe(act));
    CAUGHT.set(false);
    done
}

/// Failed assertions of the simulated are told as what they are; their backtraces would fill pages.
pub fn be_quiet_about_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !CAUGHT.get() {
                usual(panic);
            }
        }));
    });
}

/// How PostgreSQLs reach each other.
struct Roads<'a> {
    net: &'a mut Network,
    members: &'a [Member],
}

impl Net for Roads<'_> {
    fn delay(&mut self, from: Host, to: Host) -> Option<Duration> {
        let on = |host: Host| self.members[host.0].host_runs == Runs::On;
        if !on(from) || !on(to) {
            return None;
        }
        match self.net.send(Place::Host(from), Place::Host(to), Road::Postgres) {
            Passage::Lost => None,
            Passage::After(takes) | Passage::Twice(takes, _) => Some(takes),
        }
    }
}
