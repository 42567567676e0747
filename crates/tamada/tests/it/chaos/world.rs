//! A cluster at work, and what can be done to it.
//!
//! What happens is played in *rounds*: all is well; clients write; something is done; it is undone; all must be well
//! again, within a time that is told; and what the clients were told is judged. Each round is a row of the table.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinHandle;

use super::client::{Client, Wants};
use super::judge::{self, Loss, Tally};
use super::record::Record;
use super::table::Row;
use crate::ground::Ground;
use crate::store::{Kind, Store};
use crate::town::{Timing, Town, signal, wait};

pub const MEMBERS: usize = 3;
/// So many rows show that writes go on.
const SOME: usize = 20;
/// So long after the last fault writes must be acknowledged again, at the latest. In a busy machine's time: the table
/// tells how long it was.
const SOON: Duration = Duration::from_secs(60);
/// `maximum_lag_on_failover`, and as much again for what was written since the leader published its position.
pub const PROMISED: Loss = Loss::AtMost(2 << 20);

pub struct World {
    pub town: Town,
    pub record: Arc<Record>,
    number: u32,
    frozen: BTreeSet<usize>,
    clients: usize,
}

impl World {
    pub fn new(number: u32, ground: Ground, store: Kind, timing: Timing) -> Self {
        let town = Town::on(ground, store, MEMBERS, timing);
        Self { town, record: Arc::new(Record::new()), number, frozen: BTreeSet::new(), clients: 0 }
    }

    /// All members at once.
    pub fn begin(&mut self) {
        self.town.start_all();
        self.prepare();
    }

    /// Makes the table, as soon as all is well.
    pub fn prepare(&mut self) {
        let leader = self.town.wait_for_cluster(MEMBERS - 1);
        wait("the table is made", || {
            self.town.sql(leader, "create table if not exists chaos (row bigint not null)").ok()
        });
    }

    pub fn all(&self) -> std::ops::Range<usize> {
        0..MEMBERS
    }

    /// Makes this member the leader.
    pub fn hand_over_to(&self, to: usize) {
        let leader = self.town.wait_for_cluster(MEMBERS - 1);
        if leader != to {
            let answer = self.town.switchover_later(leader, to);
            wait("the request is answered", || answer.try_recv().ok());
            assert_eq!(self.town.wait_for_cluster(MEMBERS - 1), to);
        }
    }

    /// Everybody but this one.
    pub fn others(&self, than: usize) -> Vec<usize> {
        self.all().filter(|at| *at != than).collect()
    }

    /// Plays this, and judges it. `play` is told who leads.
    pub fn round(&mut self, what: &str, allowed: Loss, play: impl FnOnce(&mut Self, usize)) {
        let leader = self.town.wait_for_cluster(MEMBERS - 1);
        let (begun, clients) = (self.record.now(), self.employ());
        self.goes_on();
        eprintln!("scenario {}: {what}; {} leads", self.number, self.town.members[leader].name);
        play(self, leader);
        let mended = self.heal();
        let resumed = self.resumed_since(mended);
        self.town.wait_for_cluster(MEMBERS - 1);
        self.dismiss(clients);
        let tally = self.judge(begun, allowed).unwrap_or_else(|why| panic!("{what}: {why}"));
        self.tell(what, begun, resumed, &tally);
        self.record.write_off(&tally.lost);
    }

    /// One for each member, and two for whoever is writable.
    fn employ(&mut self) -> Vec<JoinHandle<()>> {
        self.record.open();
        let members: Vec<(String, u16)> =
            self.all().map(|at| (self.town.ground.address(at), self.town.members[at].postgres)).collect();
        let wants = self.all().map(Wants::Member).chain([Wants::WhoeverIsWritable; 2]);
        let clients = wants.map(|wants| {
            self.clients += 1;
            let client = Client::new(self.clients, self.record.clone(), members.clone(), wants);
            self.town.outside().start(client.work())
        });
        clients.collect()
    }

    /// Each comes to its end.
    fn dismiss(&self, clients: Vec<JoinHandle<()>>) {
        self.record.close();
        for client in clients {
            wait("a client comes to its end", || client.is_finished().then_some(()));
            self.town.outside().ask(client).expect("no client found anything that cannot be");
        }
    }

    /// Waits until rows are acknowledged that were asked for from now on.
    pub fn goes_on(&self) {
        let since = self.record.now();
        wait("rows are acknowledged", || (self.record.acknowledged_since(since) >= SOME).then_some(()));
    }

    /// How long it took.
    fn resumed_since(&self, mended: Duration) -> Duration {
        self.goes_on();
        let first = self.record.first_acknowledged_since(mended).expect("some are");
        let took = first - mended;
        assert!(took <= SOON, "writes were acknowledged again only {took:?} after all was mended");
        took
    }

    /// The time that a fault lasts.
    pub fn lasts(&self, time: Duration) {
        self.town.outside().ask(async move { tokio::time::sleep(time).await });
    }

    /// In parts of the ttl.
    pub fn lasts_ttl(&self, parts: f64) {
        self.lasts(self.town.ttl().mul_f64(parts));
    }

    /// Undoes everything, and answers when that was.
    fn heal(&mut self) -> Duration {
        self.town.ground.mend_all();
        self.thaw_all();
        self.start_missing();
        self.record.now()
    }

    pub fn freeze_agent(&mut self, at: usize) {
        signal(self.town.members[at].agent_pid().expect("it runs"), Signal::STOP);
        self.frozen.insert(at);
    }

    pub fn thaw_all(&mut self) {
        for at in std::mem::take(&mut self.frozen) {
            if let Some(agent) = self.town.members[at].agent_pid() {
                signal(agent, Signal::CONT);
            }
        }
    }

    pub fn start_missing(&mut self) {
        if self.town.store_is_gone() {
            self.town.start_store();
        }
        for at in self.all() {
            if self.town.members[at].agent_pid().is_none() {
                self.town.start(at);
            }
        }
    }

    /// Waits until somebody acknowledges who did not lead before.
    pub fn another_acknowledges(&self, than: usize) -> usize {
        wait("another member acknowledges", || self.record.last_by().filter(|member| *member != than))
    }

    /// Nothing arrives, one way.
    pub fn cut(&self, from: &[usize], to: &[usize]) {
        for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))) {
            self.town.ground.cut(from, to);
        }
    }

    /// Nothing arrives, neither way.
    pub fn part(&self, these: &[usize], those: &[usize]) {
        self.cut(these, those);
        self.cut(those, these);
    }

    fn judge(&self, begun: Duration, allowed: Loss) -> Result<Tally, String> {
        let tables = wait("all members have the same rows", || {
            let tables: Vec<Vec<u64>> = self.all().map(|at| self.rows_of(at)).collect::<Option<_>>()?;
            tables.windows(2).all(|two| two[0] == two[1]).then_some(tables)
        });
        judge::judge(&self.record.writes(), begun, &tables, allowed)
    }

    fn rows_of(&self, at: usize) -> Option<Vec<u64>> {
        let text = self.town.sql(at, "select row from chaos order by row").ok()?;
        text.lines().map(|row| row.parse().ok()).collect()
    }

    fn tell(&self, what: &str, begun: Duration, resumed: Duration, tally: &Tally) {
        let writes = self.record.writes();
        let gap = judge::longest_gap(writes.iter().filter(|write| write.asked >= begun));
        let store = match &self.town.store {
            Store::Etcd(_) => "etcd",
            Store::Embedded(_) => "embedded",
        };
        let ground = if self.town.ground.is_apart() { "" } else { ", one machine" };
        Row { number: self.number, what: format!("{what}{ground}"), store, ttl: self.town.ttl(), gap, resumed, tally }
            .tell();
    }
}
