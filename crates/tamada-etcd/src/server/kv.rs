//! Keys.

use std::sync::Arc;

use tamada_raft::{Op, OpReply, Reading};
use tonic::Status;

use super::{ANSWER_WITHIN, Server, unserved};
use crate::errors::{COMPACTED, Error, INCONSISTENT};
use crate::messages::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, TxnRequest, TxnResponse,
};
use crate::translate::{ask, check, tell};

impl Server {
    pub async fn range(self: Arc<Self>, request: RangeRequest) -> Result<RangeResponse, Status> {
        check::range(&request)?;
        let how = if request.serializable { Reading::AtLeast(0) } else { Reading::Linearizable };
        let read = self.store.read(vec![ask::range(&request)], how, ANSWER_WITHIN).await.map_err(unserved)?;
        let [reply] = <[_; 1]>::try_from(read.ranges).map_err(|_| INCONSISTENT)?;
        Ok(tell::range(&request, reply.map_err(Error::from)?, self.header(read.revision)))
    }

    pub async fn put(self: Arc<Self>, request: PutRequest) -> Result<PutResponse, Status> {
        check::put(&request)?;
        match self.carry_out_one(Op::Put(ask::put(&request))).await? {
            (OpReply::Put { previous }, header) => Ok(tell::put(previous, header)),
            _ => Err(INCONSISTENT.into()),
        }
    }

    pub async fn delete_range(self: Arc<Self>, request: DeleteRangeRequest) -> Result<DeleteRangeResponse, Status> {
        check::delete(&request)?;
        match self.carry_out_one(Op::Delete(ask::delete(&request))).await? {
            (OpReply::Delete { count, previous }, header) => Ok(tell::deleted(count, previous, header)),
            _ => Err(INCONSISTENT.into()),
        }
    }

    pub async fn txn(self: Arc<Self>, request: TxnRequest) -> Result<TxnResponse, Status> {
        check::txn(&request)?;
        let (reply, header) = self.carry_out(ask::txn(&request)?).await?;
        Ok(tell::txn(&request, reply, header)?)
    }

    pub async fn compact(self: Arc<Self>, request: CompactionRequest) -> Result<CompactionResponse, Status> {
        let before = u64::try_from(request.revision).map_err(|_| COMPACTED)?;
        let (_, header) = self.outcome(self.store.compact(before, ANSWER_WITHIN).await)?;
        Ok(CompactionResponse { header: Some(header) })
    }
}
