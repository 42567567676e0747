//! Commands on their way into the log.
//!
//! The library writes one entry, waits for its disk, sends it to the others, and only then takes the next. With a disk that
//! takes half a second to sync, that is two commands a second for the whole cluster, and leases run out while their
//! renewals stand in the queue. So while one entry is on its way, commands gather, and the next entry takes them all.

use openraft::error::{ClientWriteError, Fatal, RaftError};
use tokio::sync::{mpsc, oneshot};

use super::{Batch, Place, Raft};
use crate::codec;
use crate::{Command, Outcome};

/// Commands that wait. Whoever finds no room waits to be let in, for as long as it likes.
const QUEUE: usize = 256;

/// Enough that nobody waits twice, and an entry stays small enough to be sent at once.
const COMMANDS_AT_ONCE: usize = 128;
const BYTES_AT_ONCE: usize = 512 * 1024;

pub(crate) type NotProposed = RaftError<u64, ClientWriteError<u64, Place>>;

/// The way into the log. Clones lead to the same one.
#[derive(Clone)]
pub(crate) struct Proposer(mpsc::Sender<Proposal>);

struct Proposal {
    command: Command,
    done: oneshot::Sender<Result<Outcome, NotProposed>>,
}

impl Proposer {
    /// Works on the runtime of whoever calls, until the last clone is dropped.
    pub(crate) fn start(raft: Raft) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(carry(raft, waiting));
        Self(queue)
    }

    /// Returns when the command is committed and applied here, or when it is known that this node cannot tell. Errors are
    /// those of `Raft::client_write`. A command whose proposer has given up before its turn is never proposed.
    pub(crate) async fn propose(&self, command: Command) -> Result<Outcome, NotProposed> {
        let stopped = || RaftError::Fatal(Fatal::Stopped);
        let (done, answer) = oneshot::channel();
        self.0.send(Proposal { command, done }).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

async fn carry(raft: Raft, mut waiting: mpsc::Receiver<Proposal>) {
    let mut next = None;
    loop {
        let Some(first) = (match next.take() {
            Some(proposal) => Some(proposal),
            None => waiting.recv().await,
        }) else {
            return;
        };
        let (batch, left) = gather(first, &mut waiting);
        next = left;
        if !batch.is_empty() {
            propose(&raft, batch).await;
        }
    }
}

/// As many as fit into one entry; and the one that did not fit.
fn gather(first: Proposal, waiting: &mut mpsc::Receiver<Proposal>) -> (Vec<Proposal>, Option<Proposal>) {
    let mut batch: Vec<Proposal> = Vec::new();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(proposal) = next {
        if !proposal.done.is_closed() {
            bytes += codec::encode_command(&proposal.command).len();
            if !batch.is_empty() && bytes > BYTES_AT_ONCE {
                return (batch, Some(proposal));
            }
            batch.push(proposal);
        }
        next = if batch.len() < COMMANDS_AT_ONCE { waiting.try_recv().ok() } else { None };
    }
    (batch, None)
}

async fn propose(raft: &Raft, batch: Vec<Proposal>) {
    let (commands, waiting): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|proposal| (proposal.command, proposal.done)).unzip();
    // Whoever has given up meanwhile does not hear it.
    match raft.client_write(Batch(commands)).await {
        Ok(written) => waiting.into_iter().zip(written.data).for_each(|(done, outcome)| drop(done.send(Ok(outcome)))),
        Err(error) => waiting.into_iter().for_each(|done| drop(done.send(Err(error.clone())))),
    }
}
