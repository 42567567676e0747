//! One question to the store, whichever voter answers it, under one deadline.
//!
//! A transaction whose answer does not come is asked again while there is time: each of ours is made so that the second
//! time does no harm. What the caller learns in the end is not only the answer, but whether an earlier try may have been
//! carried out unheard: only the caller knows what that means for its question.

use std::time::Duration;

use tamada_raft::{Outcome, RangeReply, Reading, Refusal, Revision, Submitted, Trouble as Cause, Txn, TxnReply};
use tracing::{debug, warn};

use super::ops::stamp;
use super::store::Embedded;
use crate::clock::Deadline;
use crate::{Freshness, StoreError, Written};

/// Between two tries. An election takes a few of them.
pub const PAUSE: Duration = Duration::from_millis(20);

/// An answer, and whether the question may have been carried out before without our hearing of it.
#[derive(Debug)]
pub struct Heard {
    pub revision: Revision,
    pub reply: TxnReply,
    pub maybe_before: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// Certainly not done.
    Failed(StoreError),
    /// At least one try was sent and not clearly answered.
    Unclear(String),
    /// The store did nothing, for this reason. The flag: an earlier try may have been carried out.
    Refused(Refusal, bool),
}

impl Trouble {
    /// For what makes no difference, whether it was done or not.
    pub fn into_error(self) -> StoreError {
        match self {
            Trouble::Failed(error) => error,
            Trouble::Unclear(why) => StoreError::Unreachable(why),
            Trouble::Refused(why, _) => StoreError::Refused(why.to_string()),
        }
    }
}

pub fn done(heard: &Heard) -> Written {
    Written::Done(stamp(heard.revision))
}

/// How a write without an answer ended.
pub fn written(trouble: Trouble) -> Written {
    match trouble {
        Trouble::Unclear(why) => Written::Unclear(why),
        Trouble::Refused(why, true) => Written::Unclear(why.to_string()),
        Trouble::Refused(why, false) => Written::Failed(StoreError::Refused(why.to_string())),
        Trouble::Failed(error) => Written::Failed(error),
    }
}

/// Whatever became of the lease, the write that needs it was not sent.
pub fn before_the_write(trouble: Trouble) -> Trouble {
    Trouble::Failed(trouble.into_error())
}

fn error(cause: Cause) -> StoreError {
    match cause {
        Cause::Unreachable(why) => StoreError::Unreachable(why),
        Cause::Refused(why) => StoreError::Refused(why),
    }
}

impl Embedded {
    pub async fn submit(&self, txn: Txn, deadline: Deadline) -> Result<Heard, Trouble> {
        let mut unheard = None;
        loop {
            match (self.submit_once(txn.clone(), deadline).await, unheard) {
                (Ok(heard), before) => return Ok(Heard { maybe_before: before.is_some(), ..heard }),
                (Err(Trouble::Refused(why, _)), before) => return Err(Trouble::Refused(why, before.is_some())),
                (Err(Trouble::Failed(_)), Some(before)) => return Err(Trouble::Unclear(before)),
                (Err(Trouble::Unclear(why)), _) if deadline.left() > PAUSE => {
                    debug!("asking again: {why}");
                    unheard = Some(why);
                }
                (Err(trouble @ (Trouble::Failed(_) | Trouble::Unclear(_))), _) => return Err(trouble),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub async fn submit_once(&self, txn: Txn, deadline: Deadline) -> Result<Heard, Trouble> {
        let Outcome { revision, result } = match self.client.submit(txn, deadline.left()).await {
            Submitted::Done(outcome) => outcome,
            Submitted::Unclear(why) => return Err(Trouble::Unclear(why)),
            Submitted::Failed(cause) => return Err(Trouble::Failed(error(cause))),
        };
        self.seen(revision);
        match result {
            Ok(reply) => Ok(Heard { revision, reply, maybe_before: false }),
            Err(why) => Err(Trouble::Refused(why, false)),
        }
    }

    /// Several ranges as they were at one moment.
    pub async fn look(
        &self,
        ranges: Vec<tamada_raft::Range>,
        freshness: Freshness,
        deadline: Deadline,
    ) -> Result<Vec<RangeReply>, Trouble> {
        let before = self.seen_so_far();
        let how = match freshness {
            Freshness::Linearizable => Reading::Linearizable,
            Freshness::Monotonic => Reading::AtLeast(before),
        };
        let reply = self.client.read(ranges, how, deadline.left()).await.map_err(|why| Trouble::Failed(error(why)))?;
        if reply.revision < before {
            warn!("the store tells an older history than before (revision {} after {before})", reply.revision);
            self.believe(reply.revision);
        }
        self.seen(reply.revision);
        reply.ranges.into_iter().collect::<Result<_, _>>().map_err(|why| Trouble::Refused(why, false))
    }

    /// One range, as the majority has it.
    pub async fn look_one(&self, range: tamada_raft::Range, deadline: Deadline) -> Result<RangeReply, Trouble> {
        let replies = self.look(vec![range], Freshness::Linearizable, deadline).await?;
        Ok(replies.into_iter().next().unwrap_or_default())
    }
}
