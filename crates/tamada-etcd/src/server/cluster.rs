//! Who serves, how it is, and logging in.

use std::sync::Arc;
use std::time::Duration;

use tamada_raft::{MemberStatus, StoreStatus};
use tonic::Status;
use tracing::warn;

use super::{Server, unserved};
use crate::clock::calendar_seconds;
use crate::errors::{AUTH_FAILED, NO_LEADER};
use crate::messages::{
    AlarmAction, AlarmRequest, AlarmResponse, AuthenticateRequest, AuthenticateResponse, EtcdMember, MemberListRequest,
    MemberListResponse, StatusRequest, StatusResponse,
};
use crate::translate::signed;

/// What etcd this endpoint is like. Clients read the first two numbers.
pub const ETCD_VERSION: &str = "3.5.0";
const VERSION: &str = concat!("3.5.0+tamada.", env!("CARGO_PKG_VERSION"));

/// Whoever asks how we are wants to know soon, and above all when we are not well.
const STATUS_WITHIN: Duration = Duration::from_secs(2);

/// Guessing a password takes its time.
const WRONG_PASSWORD_COSTS: Duration = Duration::from_secs(1);

impl Server {
    /// All voters, but an address for clients only of this one: which of the others have an endpoint, and where, is in
    /// their configuration. Clients that replace what they were configured with by what they hear would be led astray
    /// by a guess.
    pub async fn member_list(self: Arc<Self>, _: MemberListRequest) -> Result<MemberListResponse, Status> {
        let status = self.store.status(STATUS_WITHIN).await.map_err(unserved)?;
        let members = status.members.iter().map(|member| self.member(member)).collect();
        Ok(MemberListResponse { header: Some(self.header(status.revision)), members })
    }

    fn member(&self, member: &MemberStatus) -> EtcdMember {
        let is_here = self.store.here().is_some_and(|here| here.node == member.node);
        EtcdMember {
            id: member.node,
            name: member.address.clone(),
            peer_urls: vec![format!("tcp://{}", member.address)],
            client_urls: self.advertised.iter().filter(|_| is_here).cloned().collect(),
            is_learner: !member.voter,
        }
    }

    pub async fn status(self: Arc<Self>, _: StatusRequest) -> Result<StatusResponse, Status> {
        let status = self.store.status(STATUS_WITHIN).await.map_err(unserved)?;
        let leads = |member: &&MemberStatus| status.leader.as_ref() == Some(&member.address);
        let leader = status.members.iter().find(leads).map_or(0, |member| member.node);
        let no_leader = (leader == 0).then(|| NO_LEADER.text.to_owned());
        let StoreStatus { node, term, revision, applied, disk_bytes, members, warnings, .. } = status;
        Ok(StatusResponse {
            header: Some(self.header(revision)),
            version: VERSION.to_owned(),
            db_size: signed(disk_bytes),
            leader,
            raft_index: applied,
            raft_term: term,
            raft_applied_index: applied,
            errors: no_leader.into_iter().chain(warnings).collect(),
            db_size_in_use: signed(disk_bytes),
            is_learner: members.iter().any(|member| member.node == node && !member.voter),
        })
    }

    /// There are none; what etcd raises an alarm for, the store refuses or stops at.
    pub async fn alarm(self: Arc<Self>, request: AlarmRequest) -> Result<AlarmResponse, Status> {
        if request.action() == AlarmAction::Raise {
            return Err(Status::unimplemented("alarms can not be raised: this is Tamada's embedded store"));
        }
        Ok(AlarmResponse { header: Some(self.place()) })
    }

    pub async fn authenticate(self: Arc<Self>, request: AuthenticateRequest) -> Result<AuthenticateResponse, Status> {
        let token = self.access.log_in(&request.name, &request.password, calendar_seconds());
        if token == Err(AUTH_FAILED) {
            warn!("etcd endpoint: a client showed a wrong password");
            tokio::time::sleep(WRONG_PASSWORD_COSTS).await;
        }
        Ok(AuthenticateResponse { header: Some(self.place()), token: token? })
    }
}
