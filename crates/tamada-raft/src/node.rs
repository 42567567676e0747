//! One node of the store, a voter or a copy, and what it does for those who ask it.
//!
//! Whoever asks need not know who leads: a node that does not lead passes the errand on, once. A write is never sent
//! twice: when its answer is lost, that is the answer (`Failure::Unclear`).

mod answer;
mod join;
mod judge;
mod members;
mod network;
mod news;
mod standing;
mod voter;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::error::{CheckIsLeaderError, ClientWriteError, RaftError};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::ask::{Ask, Errand, Failure, Hop, Reply};
use crate::client::{Here, ReadReply, Reading, Trouble, Watch, WatchEnd};
use crate::clock;
use crate::consensus::{Machine, Proposer, Pulse, Raft};
use crate::disk::{Disk, Health};
use crate::keyspace::acceptable;
use crate::link::CallError;
use crate::peers::Peers;
use crate::{Command, Keys, Outcome, Range, Revision};

pub use voter::{Voter, VoterConfig};

use standing::{Heard, Lead};

/// How long after a failure to reach the leader we look again, if nothing tells us before that there is a new one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LOOK_WHETHER_WE_TAKE_PART: Duration = Duration::from_secs(1);
/// Changes that wait for whoever watches, beside those that wait in the machine.
const WATCH_QUEUE: usize = 16;
/// A leader that has a successor is given this long to answer what it was asked before.
const LAST_WORD: Duration = Duration::from_millis(200);

pub(crate) struct Node {
    me: u64,
    config: VoterConfig,
    raft: Raft,
    proposer: Proposer,
    pulse: Pulse,
    machine: Machine,
    disk: Disk,
    peers: Arc<Peers>,
    heard: Arc<Heard>,
    /// One change of members at a time.
    changing: tokio::sync::Mutex<()>,
    /// What keeps us from being a member, in a sentence. Set and cleared by `join`.
    obstacle: Mutex<Option<String>>,
}

/// A node of this process. Its work is done on its own runtime, whoever asks.
#[derive(Clone)]
pub(crate) struct Near {
    node: Arc<Node>,
    runtime: Handle,
    /// Why it ended, if it did so by itself; closed when it was stopped.
    ended: watch::Receiver<Option<String>>,
}

impl Near {
    pub fn lives(&self) -> bool {
        self.ended.has_changed().is_ok() && self.ended.borrow().is_none()
    }

    pub async fn ask(&self, ask: Ask, within: Duration) -> Result<Reply, Failure> {
        let node = self.node.clone();
        let answer = self.runtime.spawn(async move { node.run_patiently(ask, within).await }).await;
        answer.unwrap_or_else(|_| Err(Failure::Unclear("the store's voter in this process was stopped".to_owned())))
    }

    pub async fn watch(&self, keys: Keys, from: Option<Revision>) -> Result<Watch, Trouble> {
        let node = self.node.clone();
        let stopped = |_| Err(Trouble::Unreachable("the store's voter in this process was stopped".to_owned()));
        self.runtime.spawn(async move { node.watch(keys, from) }).await.unwrap_or_else(stopped)
    }

    pub fn here(&self) -> Option<Here> {
        self.node.here()
    }
}

impl Node {
    /// A node that starts, or was cut off, finds the others in a moment: as long as there is time, nobody is told that
    /// there is nobody.
    async fn run_patiently(&self, ask: Ask, within: Duration) -> Result<Reply, Failure> {
        let deadline = clock::now() + within;
        loop {
            let within = deadline.saturating_sub(clock::now());
            match self.run(Errand { ask: ask.clone(), within, hop: Hop::First }).await {
                Err(Failure::Trouble(Trouble::Unreachable(_))) if within > LOOK_AGAIN => sleep(LOOK_AGAIN).await,
                answer => return answer,
            }
        }
    }

    pub async fn run(&self, errand: Errand) -> Result<Reply, Failure> {
        let sent = Sent::default();
        let deadline = clock::now() + errand.within;
        match timeout(errand.within, self.serve(&errand, deadline, &sent)).await {
            Ok(answer) => answer,
            Err(_) if sent.get() => Err(Failure::Unclear(format!("no answer in time: {}", self.why_nobody_answers()))),
            Err(_) => Err(unreachable(self.why_nobody_answers())),
        }
    }

    async fn serve(&self, errand: &Errand, deadline: Duration, sent: &Sent) -> Result<Reply, Failure> {
        match (&errand.ask, errand.hop) {
            (Ask::Status, Hop::First | Hop::Helped) => Ok(Reply::Status(self.status().await)),
            (ask, Hop::First) if self.is_sidelined() => self.with_help(ask, deadline, sent).await,
            (Ask::Read { ranges, how: Reading::AtLeast(revision) }, _) => self.read_here(ranges, *revision).await,
            (ask, Hop::First | Hop::Helped) => self.at_the_leader(ask, deadline, sent).await,
            (ask, Hop::Last) => match self.lead() {
                Lead::Me => self.as_leader(ask, sent).await,
                Lead::Other { .. } | Lead::Nobody => Err(Failure::NotLeader),
            },
        }
    }

    /// The consensus goes on without this node, and what it knows of it may be old: it does not belong, as far as it
    /// knows or has been told, or its disk is full.
    fn is_sidelined(&self) -> bool {
        let is_out = self.obstacle().is_some() && !self.hears_leader();
        !self.is_member() || is_out || matches!(*self.disk.health().borrow(), Health::Full { .. })
    }

    /// Changes as they happen, for as long as this node takes part. What it hears after that would be old, or nothing,
    /// and whoever watches would wait for ever.
    pub fn watch(self: &Arc<Self>, keys: Keys, from: Option<Revision>) -> Result<Watch, Trouble> {
        if !self.takes_part() {
            return Err(Trouble::Unreachable(self.why_nobody_answers()));
        }
        let mut watch = self.machine.watch(keys, from);
        let (teller, changes) = mpsc::channel(WATCH_QUEUE);
        let (node, began_at) = (self.clone(), watch.began_at());
        tokio::spawn(async move {
            loop {
                let next = tokio::select! {
                    next = watch.next() => next,
                    () = teller.closed() => return,
                    () = node.drops_out() => Err(WatchEnd::Lost(node.why_nobody_answers())),
                };
                let is_last = next.is_err();
                if teller.send(next).await.is_err() || is_last {
                    return;
                }
            }
        });
        Ok(Watch { began_at, changes })
    }

    fn takes_part(&self) -> bool {
        self.hears_majority() && !self.is_sidelined()
    }

    /// Resolves when this node does not take part any more.
    async fn drops_out(&self) {
        while self.takes_part() {
            sleep(LOOK_WHETHER_WE_TAKE_PART).await;
        }
    }

    /// Through the partners, one after the other.
    async fn with_help(&self, ask: &Ask, deadline: Duration, sent: &Sent) -> Result<Reply, Failure> {
        let mut failure = unreachable(self.why_nobody_answers());
        for (tried, address) in self.config.partner_addrs.iter().enumerate() {
            let left = deadline.saturating_sub(clock::now());
            let within = left / u32::try_from(self.config.partner_addrs.len() - tried).unwrap_or(u32::MAX);
            let errand = Errand { ask: ask.clone(), within, hop: Hop::Helped };
            sent.set(ask.may_happen_late());
            match self.peers.at(address).run(&errand).await {
                Ok(Err(Failure::Trouble(Trouble::Unreachable(why)))) => failure = unreachable(why),
                Ok(answer) => return answer,
                Err(CallError::Refused(why)) => return Err(Failure::Trouble(Trouble::Refused(why))),
                Err(CallError::Lost(why)) if ask.may_happen_late() => return Err(Failure::Unclear(why)),
                Err(CallError::Lost(why) | CallError::NotSent(why)) => failure = unreachable(why),
            }
            sent.set(false);
        }
        Err(failure)
    }

    async fn at_the_leader(&self, ask: &Ask, deadline: Duration, sent: &Sent) -> Result<Reply, Failure> {
        loop {
            let lead = self.lead();
            let answer = match &lead {
                Lead::Me => self.as_leader(ask, sent).await,
                Lead::Other { address, .. } => self.pass_on(ask, &lead, address, deadline, sent).await,
                Lead::Nobody => Err(Failure::NotLeader),
            };
            match answer {
                Err(Failure::NotLeader) => self.new_leader(&lead).await,
                other => return other,
            }
        }
    }

    /// Returns when somebody else leads, or after a moment.
    async fn new_leader(&self, old: &Lead) {
        tokio::select! {
            () = self.another_leads(old) => {}
            () = sleep(LOOK_AGAIN) => {}
        }
    }

    async fn another_leads(&self, old: &Lead) {
        let mut metrics = self.raft.server_metrics();
        while self.lead() == *old {
            if metrics.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn as_leader(&self, ask: &Ask, sent: &Sent) -> Result<Reply, Failure> {
        match ask {
            Ask::Submit(command) => self.propose(command.clone(), sent).await,
            Ask::Read { ranges, how: Reading::Linearizable } => self.read_linearizable(ranges).await,
            Ask::Read { ranges, how: Reading::AtLeast(revision) } => self.read_here(ranges, *revision).await,
            Ask::Lease(id) => self.confirmed().await.map(|()| Reply::Lease(self.machine.lease(*id))),
            Ask::Leases => self.confirmed().await.map(|()| Reply::Leases(self.machine.leases())),
            Ask::Status => Ok(Reply::Status(self.own_status())),
            Ask::Change(change) => {
                self.confirmed().await?;
                sent.set(true);
                self.change(change).await
            }
            Ask::Join { node, address } => {
                self.confirmed().await?;
                sent.set(true);
                self.let_join(*node, address).await
            }
        }
    }

    async fn propose(&self, command: Command, sent: &Sent) -> Result<Reply, Failure> {
        if let Command::Txn(txn) = &command
            && let Err(refusal) = acceptable(txn)
        {
            // Every voter would refuse it, and all would have to keep it until then.
            return Ok(Reply::Outcome(Outcome { revision: self.machine.revision(), result: Err(refusal) }));
        }
        sent.set(true);
        match self.proposer.propose(command).await {
            Ok(outcome) => Ok(Reply::Outcome(outcome)),
            // Whether it was turned away at the door or cut out of our log later, the library does not tell.
            // 1. We append it, and one other node hears it; then we are cut off.
            // 2. A third node is elected without it and makes us cut it out.
            // 3. The third node dies before anything of its own is committed; the second is elected, and commits it.
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                Err(Failure::Unclear("the store's leader changed before a majority confirmed".to_owned()))
            }
            Err(error) => Err(Failure::Unclear(format!("the store's voter stopped: {error}"))),
        }
    }

    async fn read_linearizable(&self, ranges: &[Range]) -> Result<Reply, Failure> {
        self.confirmed().await?;
        Ok(self.read(ranges))
    }

    /// Returns when a majority has confirmed that we led after we were asked, and all that was committed before is
    /// applied here.
    async fn confirmed(&self) -> Result<(), Failure> {
        if !self.hears_majority() {
            // To ask all the same would show the few who hear us a leader that is none.
            return Err(unreachable(self.why_nobody_answers()));
        }
        match self.raft.ensure_linearizable().await {
            Ok(_) => Ok(()),
            // The others were asked once, and given a second to answer: on a busy host that says little.
            // Whoever asked us asks again while there is time, us or our successor.
            Err(RaftError::APIError(
                CheckIsLeaderError::ForwardToLeader(_) | CheckIsLeaderError::QuorumNotEnough(_),
            )) => Err(Failure::NotLeader),
            Err(RaftError::Fatal(fatal)) => Err(unreachable(format!("the store's voter stopped: {fatal}"))),
        }
    }

    /// A node that hears no majority says so, instead of telling for hours what was true once.
    async fn read_here(&self, ranges: &[Range], at_least: Revision) -> Result<Reply, Failure> {
        if !self.hears_majority() {
            return Err(unreachable(self.why_nobody_answers()));
        }
        self.machine.reached(at_least).await;
        Ok(self.read(ranges))
    }

    fn read(&self, ranges: &[Range]) -> Reply {
        let (revision, ranges) = self.machine.read(ranges);
        Reply::Read(ReadReply { revision, ranges })
    }

    async fn pass_on(
        &self,
        ask: &Ask,
        lead: &Lead,
        to: &str,
        deadline: Duration,
        sent: &Sent,
    ) -> Result<Reply, Failure> {
        let within = deadline.saturating_sub(clock::now());
        let errand = Errand { ask: ask.clone(), within, hop: Hop::Last };
        let may_happen = ask.may_happen_late();
        sent.set(may_happen);
        let peer = self.peers.at(to);
        let lost = tokio::select! {
            answer = peer.run(&errand) => match answer {
                Ok(answer) => return answer,
                Err(CallError::NotSent(_)) => {
                    sent.set(false);
                    return Err(Failure::NotLeader);
                }
                Err(CallError::Refused(why)) => return Err(Failure::Trouble(Trouble::Refused(why))),
                Err(CallError::Lost(why)) => why,
            },
            () = self.outlived(lead) => "the store's leader changed before it answered".to_owned(),
        };
        if may_happen { Err(Failure::Unclear(lost)) } else { Err(Failure::NotLeader) }
    }

    async fn outlived(&self, lead: &Lead) {
        self.another_leads(lead).await;
        sleep(LAST_WORD).await;
    }
}

/// Whether the errand may have reached somebody who does it.
#[derive(Default)]
struct Sent(AtomicBool);

impl Sent {
    fn set(&self, sent: bool) {
        self.0.store(sent, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

fn unreachable(why: String) -> Failure {
    Failure::Trouble(Trouble::Unreachable(why))
}
