//! Leases.
//!
//! etcd counts in whole seconds and the store does not: a length asked for is at least one second, and one that somebody
//! else granted is told rounded up, since zero would mean that the lease is gone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream;
use tamada_raft::{LeaseView, Op, OpReply};
use tonic::{Code, Status, Streaming};

use super::{ANSWER_WITHIN, Server, unserved};
use crate::errors::{INCONSISTENT, LEASE_NOT_FOUND, LEASE_TOO_LONG};
use crate::messages::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
};
use crate::translate::signed;

/// etcd's longest lease.
const TTL_SECONDS_MAX: u64 = 9_000_000_000;

impl Server {
    pub async fn lease_grant(self: Arc<Self>, request: LeaseGrantRequest) -> Result<LeaseGrantResponse, Status> {
        let seconds = u64::try_from(request.ttl).unwrap_or(0).max(1);
        if seconds > TTL_SECONDS_MAX {
            return Err(LEASE_TOO_LONG.into());
        }
        let grant = Op::Grant { id: request.id, ttl: Duration::from_secs(seconds) };
        match self.carry_out_one(grant).await? {
            (OpReply::Lease { id, ttl }, header) => {
                Ok(LeaseGrantResponse { header: Some(header), id, ttl: whole_seconds(ttl), error: String::new() })
            }
            _ => Err(INCONSISTENT.into()),
        }
    }

    pub async fn lease_revoke(self: Arc<Self>, request: LeaseRevokeRequest) -> Result<LeaseRevokeResponse, Status> {
        let (_, header) = self.carry_out_one(Op::Revoke(request.id)).await?;
        Ok(LeaseRevokeResponse { header: Some(header) })
    }

    /// One answer for each request, in turn.
    pub fn lease_keep_alives(
        self: Arc<Self>,
        requests: Streaming<LeaseKeepAliveRequest>,
    ) -> impl Stream<Item = Result<LeaseKeepAliveResponse, Status>> {
        stream::try_unfold((self, requests), |(server, mut requests)| async move {
            let Some(request) = requests.message().await? else { return Ok(None) };
            let answer = server.lease_keep_alive(request.id).await?;
            Ok(Some((answer, (server, requests))))
        })
    }

    async fn lease_keep_alive(&self, id: i64) -> Result<LeaseKeepAliveResponse, Status> {
        match self.carry_out_one(Op::KeepAlive(id)).await {
            Ok((OpReply::Lease { id, ttl }, header)) => {
                Ok(LeaseKeepAliveResponse { header: Some(header), id, ttl: whole_seconds(ttl) })
            }
            Ok(_) => Err(INCONSISTENT.into()),
            Err(status) if is_lease_lost(&status) => {
                Ok(LeaseKeepAliveResponse { header: Some(self.place()), id, ttl: 0 })
            }
            Err(status) => Err(status),
        }
    }

    pub async fn lease_time_to_live(
        self: Arc<Self>,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, Status> {
        let lease = self.store.lease(request.id, ANSWER_WITHIN).await.map_err(unserved)?;
        let header = Some(self.place());
        let Some(LeaseView { id, ttl, left, keys }) = lease else {
            return Ok(LeaseTimeToLiveResponse { header, id: request.id, ttl: -1, ..Default::default() });
        };
        let keys = keys.into_iter().filter(|_| request.keys).map(Vec::from).collect();
        let (ttl, granted_ttl) = (signed(left.as_secs()), whole_seconds(ttl));
        Ok(LeaseTimeToLiveResponse { header, id, ttl, granted_ttl, keys })
    }

    pub async fn lease_leases(self: Arc<Self>, _: LeaseLeasesRequest) -> Result<LeaseLeasesResponse, Status> {
        let leases = self.store.leases(ANSWER_WITHIN).await.map_err(unserved)?;
        let leases = leases.into_iter().map(|id| LeaseStatus { id }).collect();
        Ok(LeaseLeasesResponse { header: Some(self.place()), leases })
    }
}

fn whole_seconds(time: Duration) -> i64 {
    signed(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

fn is_lease_lost(status: &Status) -> bool {
    status.code() == Code::NotFound && status.message() == LEASE_NOT_FOUND.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_lease_does_not_look_lost() {
        assert_eq!(whole_seconds(Duration::from_millis(500)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(30)), 30);
    }
}
