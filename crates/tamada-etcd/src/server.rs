//! What each call does: ask the store, and say it in etcd's words.

mod cluster;
mod kv;
mod lease;
pub mod watch;

use std::sync::Arc;
use std::time::Duration;

use tamada_raft::{Client, Op, OpReply, Revision, Submitted, Trouble, Txn, TxnReply};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tonic::Status;
use tracing::debug;

pub use cluster::ETCD_VERSION;

use crate::access::Access;
use crate::clock::calendar_seconds;
use crate::errors::{Error, INCONSISTENT, NO_LEADER, STOPPED, TIMED_OUT};
use crate::messages::ResponseHeader;
use crate::translate::{ask, signed};

/// As long as etcd waits for its majority: five seconds and two elections.
const ANSWER_WITHIN: Duration = Duration::from_secs(7);

/// An election takes about that long.
const LOOK_FOR_LEADER_EVERY: Duration = Duration::from_secs(1);

/// Streams that are open for long, watches and the like. Each costs some kilobytes.
const STREAMS_MAX: usize = 1_000;

/// Calls with values under way at once; the next ones wait. Each may carry a megabyte and a half.
const LARGE_CALLS_MAX: usize = 32;

/// Everything the answers are made of.
pub struct Server {
    pub(crate) store: Client,
    access: Access,
    advertised: Option<String>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) large_calls: Semaphore,
}

impl Server {
    /// `advertised`: the address of this endpoint, if clients may be told.
    pub fn new(store: Client, access: Access, advertised: Option<String>) -> Self {
        let (streams, large_calls) = (Arc::new(Semaphore::new(STREAMS_MAX)), Semaphore::new(LARGE_CALLS_MAX));
        Self { store, access, advertised, streams, large_calls }
    }

    pub fn admit(&self, token: Option<&str>) -> Result<(), Error> {
        self.access.admit(token, calendar_seconds())
    }

    pub fn admit_password(&self, password: Option<&str>) -> Result<(), Error> {
        self.access.admit_password(password)
    }

    /// As far as we know.
    pub fn has_leader(&self) -> bool {
        self.store.here().is_none_or(|here| here.quorum)
    }

    /// Returns when there is no leader any more, and it is not for a moment only.
    pub async fn leader_lost(&self) {
        let mut looked_in_vain = 0;
        while looked_in_vain < 2 {
            sleep(LOOK_FOR_LEADER_EVERY).await;
            looked_in_vain = if self.has_leader() { 0 } else { looked_in_vain + 1 };
        }
    }

    /// Our place in the store's history; zeros, which mean "not told", where others have to answer for us.
    fn place(&self) -> ResponseHeader {
        self.store.here().map_or_else(ResponseHeader::default, |here| ResponseHeader {
            cluster_id: here.cluster,
            member_id: here.node,
            revision: signed(here.revision),
            raft_term: here.term,
        })
    }

    fn header(&self, revision: Revision) -> ResponseHeader {
        ResponseHeader { revision: signed(revision), ..self.place() }
    }

    async fn carry_out(&self, txn: Txn) -> Result<(TxnReply, ResponseHeader), Status> {
        self.outcome(self.store.submit(txn, ANSWER_WITHIN).await)
    }

    async fn carry_out_one(&self, op: Op) -> Result<(OpReply, ResponseHeader), Status> {
        let (reply, header) = self.carry_out(ask::alone(op)).await?;
        let [reply] = <[OpReply; 1]>::try_from(reply.replies).map_err(|_| INCONSISTENT)?;
        Ok((reply, header))
    }

    fn outcome(&self, submitted: Submitted) -> Result<(TxnReply, ResponseHeader), Status> {
        match submitted {
            Submitted::Done(outcome) => Ok((outcome.result.map_err(Error::from)?, self.header(outcome.revision))),
            Submitted::Unclear(why) => {
                debug!("no clear answer: {why}");
                Err(TIMED_OUT.into())
            }
            Submitted::Failed(trouble) => Err(unserved(trouble)),
        }
    }
}

/// Nothing was done, because the store cannot.
fn unserved(trouble: Trouble) -> Status {
    match trouble {
        Trouble::Unreachable(why) => {
            debug!("not served: {why}");
            NO_LEADER.into()
        }
        Trouble::Refused(why) => Status::new(STOPPED.code, format!("{}: {why}", STOPPED.text)),
    }
}
