//! The store, as whoever uses it sees it: near, in a voter of this process, or far, through the addresses of voters.
//!
//! Each call has a time it may use in total. A write that was sent and not answered is [`Submitted::Unclear`]: it may
//! have happened, or may happen yet.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::ask::{Ask, Failure, Reply};
use crate::far::Far;
use crate::link::Security;
use crate::node::Near;
use crate::{Change, Command, Keys, LeaseId, LeaseView, Outcome, Range, RangeReply, Refusal, Revision, Txn};

/// A way to the store. Clones share it; it can be used from any runtime.
#[derive(Clone)]
pub struct Client(Way);

#[derive(Clone)]
enum Way {
    /// Through the voter of this process while it lives, and then through the others.
    Near(Near, Far),
    Far(Far),
}

/// How a write ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Submitted {
    /// A majority has it on disk, and this is what it did.
    Done(Outcome),
    /// Sent, but no clear answer came.
    Unclear(String),
    /// Certainly not done.
    Failed(Trouble),
}

/// Why the store could not be used; sorted by what the caller does about it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// No answer from a majority in time. Try again.
    #[error("{0}")]
    Unreachable(String),
    /// The store will not do this. An operator must act.
    #[error("{0}")]
    Refused(String),
}

/// Which conditions a reading must meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// Ordered after every write that was acknowledged before we asked.
    Linearizable,
    /// May lag, but is never older than this revision.
    AtLeast(Revision),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadReply {
    /// The newest revision at the moment of reading.
    pub revision: Revision,
    /// One for each range that was asked for, all of one moment.
    pub ranges: Vec<Result<RangeReply, Refusal>>,
}

/// Changes as they happen. Ends when dropped.
pub struct Watch {
    pub(crate) began_at: Revision,
    pub(crate) changes: mpsc::Receiver<Result<Changes, WatchEnd>>,
}

/// What one transaction changed among the watched keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    pub revision: Revision,
    pub changes: Vec<Change>,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WatchEnd {
    #[error("what is older than revision {oldest} is no longer kept")]
    Compacted { oldest: Revision },
    #[error("{0}")]
    Lost(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemberChange {
    /// Lets a node at this address join, as a copy without a vote.
    Add { address: String },
    /// Takes a node out, dead or alive.
    Remove { address: String },
    /// Gives a copy a vote.
    Promote { address: String },
}

/// The store as one node, and through it the consensus leader, sees it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoreStatus {
    /// The number of this store, chosen when it was founded; 0: it is not founded yet.
    pub cluster: u64,
    /// Who answers.
    pub address: String,
    pub node: u64,
    pub leader: Option<String>,
    pub term: u64,
    pub revision: Revision,
    /// How far the log is applied on the node that answers.
    pub applied: u64,
    /// How far the last snapshot reaches.
    pub snapshot: u64,
    pub disk_bytes: u64,
    /// The node that answers hears a majority.
    pub quorum: bool,
    pub members: Vec<MemberStatus>,
    /// Addresses that may join and have not come yet.
    pub invited: Vec<String>,
    /// One sentence each, for the operator.
    pub warnings: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberStatus {
    pub address: String,
    pub node: u64,
    pub voter: bool,
    /// How long ago the consensus leader last heard from it; `None`: not since it leads, or nobody leads.
    pub heard: Option<Duration>,
    /// Entries of the log that it has not confirmed yet; `None`: not known.
    pub behind: Option<u64>,
}

/// Where the node of this process stands, by what it knows itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Here {
    pub cluster: u64,
    pub node: u64,
    pub term: u64,
    pub revision: Revision,
    /// It hears a majority.
    pub quorum: bool,
}

impl Client {
    pub(crate) fn near(node: Near, others: Far) -> Self {
        Self(Way::Near(node, others))
    }

    /// Through the voters at these addresses (`host:port`). Connections are made when they are needed, on the runtime of
    /// whoever calls.
    pub fn remote(addresses: Vec<String>, security: Security) -> Self {
        Self(Way::Far(Far::new(addresses, security)))
    }

    /// A transaction: once at most.
    pub async fn submit(&self, txn: Txn, within: Duration) -> Submitted {
        self.write(Command::Txn(txn), within).await
    }

    /// What is older than this revision need not be kept.
    pub async fn compact(&self, before: Revision, within: Duration) -> Submitted {
        self.write(Command::Compact(before), within).await
    }

    pub async fn read(&self, ranges: Vec<Range>, how: Reading, within: Duration) -> Result<ReadReply, Trouble> {
        match self.ask(Ask::Read { ranges, how }, within).await {
            Ok(Reply::Read(read)) => Ok(read),
            other => Err(Trouble::of(other)),
        }
    }

    /// The lease as the consensus leader sees it now; `None`: there is none.
    pub async fn lease(&self, id: LeaseId, within: Duration) -> Result<Option<LeaseView>, Trouble> {
        match self.ask(Ask::Lease(id), within).await {
            Ok(Reply::Lease(lease)) => Ok(lease),
            other => Err(Trouble::of(other)),
        }
    }

    pub async fn leases(&self, within: Duration) -> Result<Vec<LeaseId>, Trouble> {
        match self.ask(Ask::Leases, within).await {
            Ok(Reply::Leases(leases)) => Ok(leases),
            other => Err(Trouble::of(other)),
        }
    }

    /// Asks nobody. `None`: this process has no node, or one that the consensus goes on without.
    pub fn here(&self) -> Option<Here> {
        match &self.0 {
            Way::Near(node, _) if node.lives() => node.here(),
            Way::Near(..) | Way::Far(_) => None,
        }
    }

    pub async fn status(&self, within: Duration) -> Result<StoreStatus, Trouble> {
        match self.ask(Ask::Status, within).await {
            Ok(Reply::Status(status)) => Ok(status),
            other => Err(Trouble::of(other)),
        }
    }

    /// Answers with what was done, in a sentence.
    pub async fn change(&self, change: MemberChange, within: Duration) -> Result<String, Trouble> {
        match self.ask(Ask::Change(change), within).await {
            Ok(Reply::Told(text)) => Ok(text),
            other => Err(Trouble::of(other)),
        }
    }

    /// All changes of these keys: from this revision on, if it is given, else from now on.
    pub async fn watch(&self, keys: Keys, from: Option<Revision>, within: Duration) -> Result<Watch, Trouble> {
        match &self.0 {
            Way::Near(node, far) if node.lives() => match node.watch(keys.clone(), from).await {
                Err(Trouble::Unreachable(why)) if far.knows_nobody() => Err(Trouble::Unreachable(why)),
                Err(Trouble::Unreachable(_)) => far.watch(keys, from, within).await,
                begun => begun,
            },
            Way::Near(_, far) | Way::Far(far) => far.watch(keys, from, within).await,
        }
    }

    async fn write(&self, command: Command, within: Duration) -> Submitted {
        match self.ask(Ask::Submit(command), within).await {
            Ok(Reply::Outcome(outcome)) => Submitted::Done(outcome),
            Err(Failure::Unclear(why)) => Submitted::Unclear(why),
            other => Submitted::Failed(Trouble::of(other)),
        }
    }

    async fn ask(&self, ask: Ask, within: Duration) -> Result<Reply, Failure> {
        match &self.0 {
            Way::Near(node, _) if node.lives() => node.ask(ask, within).await,
            Way::Near(_, far) | Way::Far(far) => far.ask(ask, within).await,
        }
    }
}

impl Trouble {
    /// What is left of an answer that is not the one we asked for.
    fn of(answer: Result<Reply, Failure>) -> Self {
        match answer {
            Ok(_) => Self::Refused("the store answered something else than what it was asked".to_owned()),
            Err(Failure::Trouble(trouble)) => trouble,
            Err(Failure::Unclear(why)) => Self::Unreachable(why),
            Err(Failure::NotLeader) => Self::Unreachable("the store's voters have no leader now".to_owned()),
        }
    }
}

impl Watch {
    /// The newest revision when the watch began.
    pub fn began_at(&self) -> Revision {
        self.began_at
    }

    pub(crate) fn ended(end: WatchEnd) -> Self {
        let (teller, changes) = mpsc::channel(1);
        // There is room for one, and the receiver is here.
        let _ = teller.try_send(Err(end));
        Self { began_at: 0, changes }
    }

    /// Waits for the next changes. Nothing is lost if the waiting is given up.
    pub async fn next(&mut self) -> Result<Changes, WatchEnd> {
        let ended = || Err(WatchEnd::Lost("the store was closed".to_owned()));
        self.changes.recv().await.unwrap_or_else(ended)
    }
}
