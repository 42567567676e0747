//! Clients that write and remember what they were told: one at each member whatever it is, and some that look for the
//! primary as a multi-host connection does.

use std::time::Duration;

use super::{ClientDue, Due, World};
use crate::Host;
use crate::ledger::{Acknowledged, Fate};
use crate::member::Runs;
use crate::net::{Place, Road};
use crate::postgres::{News, SyncNames};
use crate::wal::{BranchId, Point};
use tamada_core::Event;

#[derive(Clone, Debug)]
pub struct Client {
    /// `None`: whoever takes writes.
    stays_at: Option<Host>,
    /// Where it was served last.
    at: Host,
    waits_for: Option<u64>,
}

const PATIENCE: Duration = Duration::from_secs(5);

impl World {
    pub(super) fn begin_clients(&mut self) {
        let roaming = Client { stays_at: None, at: Host(0), waits_for: None };
        self.clients = self.hosts().map(|host| Client { stays_at: Some(host), ..roaming.clone() }).collect();
        self.clients.push(roaming);
        for number in 0..self.clients.len() {
            self.next_write(number);
        }
    }

    fn next_write(&mut self, number: usize) {
        // Those who stay write a little here and there, to find a primary where none should be.
        let every = match self.clients[number].stays_at {
            Some(_) => self.script.writes_every * 4,
            None => self.script.writes_every,
        };
        let after = self.chance.between(every / 2, every * 3 / 2);
        self.queue.put(self.now + after, Due::Client(number, ClientDue::Write));
    }

    pub(super) fn client(&mut self, number: usize, due: ClientDue) {
        match due {
            ClientDue::Write => self.write_somewhere(number),
            ClientDue::GivesUp(id) if self.clients[number].waits_for == Some(id) => {
                self.clients[number].waits_for = None;
                self.next_write(number);
            }
            ClientDue::GivesUp(_) => {}
            ClientDue::Hears(id) if self.clients[number].waits_for == Some(id) => {
                self.clients[number].waits_for = None;
                self.next_write(number);
            }
            ClientDue::Hears(_) => {}
        }
    }

    fn write_somewhere(&mut self, number: usize) {
        let Some(host) = self.who_serves(number) else {
            return self.next_write(number);
        };
        self.clients[number].at = host;
        let id = self.ledger.begin(number, self.now);
        if self.with_fleet(|fleet, now, net| fleet.write(host, id, now, net)) {
            self.clients[number].waits_for = Some(id);
            self.queue.put(self.now + PATIENCE, Due::Client(number, ClientDue::GivesUp(id)));
        } else {
            self.ledger.settle(id, Fate::Refused);
            self.next_write(number);
        }
    }

    /// Who takes a write from this client, as far as the network lets it try.
    fn who_serves(&mut self, number: usize) -> Option<Host> {
        let client = self.clients[number].clone();
        let tries: Vec<Host> = match client.stays_at {
            Some(host) => vec![host],
            None => std::iter::once(client.at).chain(self.hosts()).collect(),
        };
        tries.into_iter().find(|host| {
            let on = self.members[host.0].host_runs == Runs::On;
            let reached = self.net.round_trip(Place::Clients, Place::Host(*host), Road::Postgres).is_some();
            on && reached && self.fleet.is_writable(*host)
        })
    }

    /// PostgreSQL's news, for whoever waits for them.
    pub(super) fn tell_of(&mut self, news: News) {
        match news {
            News::JobEnded { host, id, end } => self.job_ended(host, id, end),
            News::JobProgress { host, id, state, shut_down } => {
                self.hear_later(host, Duration::ZERO, Event::JobProgress { id, state, shut_down })
            }
            News::PostmasterGone { host } => {
                self.diary.note(self.now, Some(host), || "PostgreSQL is gone".into());
                self.hear_later(host, Duration::from_millis(1), Event::Wake);
            }
            News::Checkpointed { host, done } => self.hear_later(host, Duration::ZERO, Event::Checkpointed(done)),
            News::Acked { write, host, at } => self.acknowledged(write, host, at),
            News::Failed { write, certain } => {
                if certain {
                    self.ledger.settle(write, Fate::Refused);
                }
                self.client_hears(write);
            }
            News::Promoted { host, branch } => {
                self.ledger.promotions += 1;
                self.count_lost(branch);
                let timeline = self.fleet.wal().timeline(branch);
                self.diary.note(self.now, Some(host), || format!("PostgreSQL is writable on timeline {timeline}"));
            }
            News::Removed { host, .. } => self.diary.note(self.now, Some(host), || "data removed".into()),
            News::Writable { host } => self.diary.note(self.now, Some(host), || "PostgreSQL takes writes".into()),
            News::Rewound { host, .. } => self.diary.note(self.now, Some(host), || "rewound".into()),
            News::Mixed { host, upstream } => {
                self.diary.note(self.now, Some(host), || format!("mixes its WAL with that of {}", upstream.name()))
            }
            News::Noted { host, what } => self.diary.note(self.now, Some(host), || what),
        }
    }

    /// What the branch that was left had been acknowledged on it, and this one lacks.
    fn count_lost(&mut self, branch: BranchId) {
        let wal = self.fleet.wal();
        let Some(from) = wal.branch(branch).parent else {
            return;
        };
        let left_behind = |write: &Acknowledged| write.end.0 == from.0 && !wal.is_ancestor(write.end, from);
        let lost =
            self.ledger.newest().take_while(|write| !wal.is_ancestor(write.end, from)).filter(left_behind).count();
        self.ledger.count_lost(lost as u64);
    }

    fn job_ended(&mut self, host: Host, id: tamada_core::JobId, end: tamada_model::JobEnd) {
        self.diary.note(self.now, Some(host), || format!("ended: {end:?}"));
        match id {
            crate::member::ORPHAN => self.orphan_stopped(host),
            _ => self.hear_later(host, Duration::ZERO, Event::JobEnded { id, end }),
        }
    }

    fn acknowledged(&mut self, write: u64, host: Host, end: Point) {
        // What a primary without the lock acknowledges (in pause it may run on) is promised by nobody.
        let leads = self.store.leader().is_some_and(|(holder, _)| holder.as_str() == host.name());
        let synchronous = leads && *self.fleet.sync_names(host) != SyncNames::Nobody;
        self.ledger.settle(write, Fate::Acknowledged { host, at: self.now, end, synchronous });
        self.client_hears(write);
    }

    fn client_hears(&mut self, write: u64) {
        let number = self.ledger.get(write).by;
        let host = self.clients[number].at;
        if let Some(takes) = self.net.one_way(Place::Host(host), Place::Clients, Road::Postgres) {
            self.queue.put(self.now + takes, Due::Client(number, ClientDue::Hears(write)));
        }
    }
}
