//! Messages between members and the store: there and back, late, twice, or never.

use std::sync::Arc;
use std::time::Duration;

use tamada_core::{DcsWrite, Event, WriteOutcome};
use tamada_model::{Answers, Member as Record, PostgresFacts};

use super::{Due, World};
use crate::Host;
use crate::fault::Cue;
use crate::member::{Ask, AskKind, Life, Look, Runs};
use crate::net::{Passage, Place, Road};
use crate::store::{Answer, Changed, Changes, Heard as Meaning, Request};

/// As in the program: a PostgreSQL that has not answered by then is told as silent.
const LOOK: Duration = Duration::from_secs(2);
/// A watch whose word was lost is missed, and begun anew.
const WATCH_AGAIN: Duration = Duration::from_secs(5);

/// No ask has this number.
const NOBODYS: u64 = 0;

impl World {
    pub(super) fn write(&mut self, host: Host, write: &DcsWrite, within: Duration) {
        let renews = match write {
            DcsWrite::Acquire | DcsWrite::Renew { .. } | DcsWrite::Take => true,
            DcsWrite::Release { .. }
            | DcsWrite::BeginBootstrap
            | DcsWrite::SetInitialize { .. }
            | DcsWrite::DeleteInitialize
            | DcsWrite::SetConfig(_)
            | DcsWrite::ClearFailover(_)
            | DcsWrite::SetFailover { .. }
            | DcsWrite::SetHistory(_)
            | DcsWrite::SetSync { .. }
            | DcsWrite::DeleteSync(_) => false,
        };
        let member = &mut self.members[host.0];
        let request = member.store.write(write, member.clock.mono(self.now));
        self.send(host, request, AskKind::Write { renews }, within);
    }

    pub(super) fn touch(&mut self, host: Host, record: &Record, within: Duration) {
        let member = &mut self.members[host.0];
        match member.store.touch(record, member.clock.mono(self.now)) {
            Some(request) => self.send(host, request, AskKind::Touch, within),
            None => self.hear_later(host, Duration::ZERO, Event::Touched),
        }
    }

    pub(super) fn send(&mut self, host: Host, request: Request, kind: AskKind, within: Duration) {
        let now = self.now;
        let clock = self.members[host.0].clock;
        let deadline = clock.moment(clock.mono(now) + within).max(now);
        self.post(host, Ask { request, asked: now, deadline, kind });
    }

    /// One message, of one or more that the asking takes.
    fn post(&mut self, host: Host, asking: Ask) {
        let (now, request, deadline) = (self.now, asking.request.clone(), asking.deadline);
        let passage = self.net.send(Place::Host(host), Place::Store, Road::Store);
        let member = &mut self.members[host.0];
        let ask = member.new_ask(asking);
        let epoch = member.epoch;
        let slow = self.store_is.slow;
        let arrives = |takes: Duration, request: Request, world: &mut World| {
            let takes = takes + world.chance.between(Duration::ZERO, slow);
            world.queue.put(now + takes, Due::StoreHears { from: host, epoch, ask, request });
            takes
        };
        match passage {
            Passage::Lost => self.queue.put(deadline, Due::GiveUp { host, epoch, ask }),
            Passage::After(takes) => drop(arrives(takes, request, self)),
            Passage::Twice(first, second) => {
                arrives(first, request.clone(), self);
                // Its answer is for nobody: who asked once hears once.
                let again = Due::StoreHears { from: host, epoch, ask: NOBODYS, request };
                self.queue.put(now + second, again);
            }
        }
    }

    pub(super) fn store_hears(&mut self, from: Host, epoch: u32, ask: u64, request: &Request) {
        let deadline = self.members[from.0].asks.get(&ask).map(|ask| ask.deadline).unwrap_or(self.now);
        let gives_up = Due::GiveUp { host: from, epoch, ask };
        if self.store_is.away > 0 {
            return self.queue.put(deadline.max(self.now), gives_up);
        }
        let led = self.store.leader().is_some();
        let answer = self.store.handle(request, self.now);
        if led && self.store.leader().is_none() {
            self.watch(|promises, world| promises.released(from, world));
        }
        self.store_changed();
        let back = self.net.one_way(Place::Store, Place::Host(from), Road::Store);
        match back.map(|takes| self.now + takes).filter(|at| self.store_is.mute == 0 && *at <= deadline) {
            Some(at) => self.queue.put(at, Due::StoreAnswers { to: from, epoch, ask, answer }),
            None => self.queue.put(deadline.max(self.now), gives_up),
        }
    }

    pub(super) fn store_answers(&mut self, to: Host, epoch: u32, ask: u64, answer: Answer) {
        let member = &mut self.members[to.0];
        let Some(Ask { request, asked, deadline, kind }) = member.asks.remove(&ask).filter(|_| member.epoch == epoch)
        else {
            return;
        };
        let mono = member.clock.mono(self.now);
        match (member.store.hear(&request, answer, mono), kind) {
            (Meaning::Next(request), kind) => self.post(to, Ask { request, asked, deadline, kind }),
            (Meaning::Cluster(cluster), AskKind::First) => self.first_reading(to, &cluster),
            (Meaning::Cluster(cluster), AskKind::Observe { asked_at, facts }) => {
                self.observed(to, asked_at, Ok(cluster), facts)
            }
            (Meaning::Written(outcome), AskKind::Write { renews }) => {
                self.diary.note(self.now, Some(to), || format!("the store says: {outcome:?}"));
                let ttl = member.setup.settings.ttl;
                if renews && outcome == WriteOutcome::Done {
                    member.renewed = Some((asked, ttl));
                }
                self.hear(to, Event::Wrote(outcome));
            }
            (Meaning::Written(_), AskKind::Touch) => self.hear(to, Event::Touched),
            (Meaning::Cluster(_), AskKind::Write { .. } | AskKind::Touch)
            | (Meaning::Written(_), AskKind::First | AskKind::Observe { .. }) => {
                unreachable!("a reading is answered by a cluster, a write by how it ended")
            }
        }
    }

    /// The deadline has come, and no answer.
    pub(super) fn give_up(&mut self, host: Host, epoch: u32, ask: u64) {
        let member = &mut self.members[host.0];
        let Some(Ask { request, kind, .. }) = member.asks.remove(&ask).filter(|_| member.epoch == epoch) else {
            return;
        };
        match kind {
            AskKind::First => self.first_reading_failed(host),
            AskKind::Observe { asked_at, facts } => {
                self.observed(host, asked_at, Err("no answer from the store".into()), facts)
            }
            AskKind::Write { .. } => {
                let outcome = member.store.unanswered(&request);
                self.diary.note(self.now, Some(host), || format!("no answer: {outcome:?}"));
                self.hear(host, Event::Wrote(outcome));
            }
            AskKind::Touch => {
                let _ = member.store.unanswered(&request);
                self.hear(host, Event::Touched);
            }
        }
    }

    fn observed(
        &mut self,
        host: Host,
        asked_at: tamada_model::Mono,
        cluster: Result<Arc<tamada_model::Cluster>, String>,
        look: Look,
    ) {
        let now = self.members[host.0].now(self.now);
        let postgres = match look {
            Look::Early(facts) => facts,
            Look::Late { leader_timeline } => Arc::new(self.fleet.facts(host, now, leader_timeline)),
        };
        let waits = if is_silent(&postgres) { LOOK.saturating_sub(now.mono.since(asked_at)) } else { Duration::ZERO };
        let event = Event::Observed { asked_at, cluster, postgres };
        match waits.is_zero() {
            true => self.hear(host, event),
            false => self.hear_later(host, waits, event),
        }
    }

    // --- the store's own time

    pub(super) fn leases_run_out(&mut self) {
        self.leases_due = None;
        self.store.expire(self.now);
        self.store_changed();
    }

    /// Whoever it concerns hears a bell; whoever watches the promises sees it.
    pub(crate) fn store_changed(&mut self) {
        if let Some(next) = self.store.next_expiry()
            && self.leases_due.is_none_or(|due| next < due)
        {
            self.leases_due = Some(next);
            self.queue.put(next, Due::Leases);
        }
        let changes = self.store.take_changes();
        if changes.is_empty() {
            return;
        }
        if changes.has(Changed::Leader) {
            let leader = self.store.leader().map(|(name, _)| name.to_string());
            if let Some(winner) = leader.as_deref().and_then(|name| self.host(name)) {
                self.cue(Cue::WinsLock(winner));
            }
            self.diary.note(self.now, None, || format!("leader in the store: {}", leader.unwrap_or("nobody".into())));
        }
        self.follow_succession(&changes);
        for host in self.hosts() {
            self.ring(host, &changes);
        }
        self.watch(|promises, world| promises.store_changed(&changes, world));
    }

    fn ring(&mut self, host: Host, changes: &Changes) {
        let member = &self.members[host.0];
        let up = match member.life {
            Life::Up(_) => member.host_runs != Runs::Off,
            Life::Dead | Life::Waking(_) => false,
        };
        let leads = member.agent().is_some_and(|agent| agent.memory().lease.is_some());
        if !up || !changes.concern(leads) {
            return;
        }
        let takes = self.net.one_way(Place::Store, Place::Host(host), Road::Store);
        self.hear_later(host, takes.unwrap_or(WATCH_AGAIN), Event::Wake);
    }
}

fn is_silent(facts: &PostgresFacts) -> bool {
    match &facts.answers {
        Answers::Silent { .. } => true,
        Answers::Unasked | Answers::Rejecting | Answers::Live(_) => false,
    }
}
