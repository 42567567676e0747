//! The messages of etcd's v3 API that our client sends and our endpoint answers, declared by hand from its published
//! `rpc.proto`, `kv.proto` and `auth.proto`. What neither of them uses is left out: protobuf skips unknown fields.

mod cluster;
mod kv;
mod lease;
mod watch;

use prost::Message;

pub use cluster::*;
pub use kv::*;
pub use lease::*;
pub use watch::*;

/// A request that etcd answers with one message, and where to send it.
pub trait Call: Message + Default + Clone + 'static {
    type Answer: Headed;
    const PATH: &'static str;
}

/// An answer that may tell where in the store's history it stands.
pub trait Headed: Message + Default + 'static {
    fn header(&self) -> Option<&ResponseHeader>;
}

macro_rules! calls {
    ($($request:ident => $answer:ident, $path:literal;)*) => {$(
        impl Call for $request {
            type Answer = $answer;
            const PATH: &'static str = $path;
        }
        impl Headed for $answer {
            fn header(&self) -> Option<&ResponseHeader> {
                self.header.as_ref()
            }
        }
    )*};
}

calls! {
    RangeRequest => RangeResponse, "/etcdserverpb.KV/Range";
    PutRequest => PutResponse, "/etcdserverpb.KV/Put";
    DeleteRangeRequest => DeleteRangeResponse, "/etcdserverpb.KV/DeleteRange";
    TxnRequest => TxnResponse, "/etcdserverpb.KV/Txn";
    CompactionRequest => CompactionResponse, "/etcdserverpb.KV/Compact";
    LeaseGrantRequest => LeaseGrantResponse, "/etcdserverpb.Lease/LeaseGrant";
    LeaseRevokeRequest => LeaseRevokeResponse, "/etcdserverpb.Lease/LeaseRevoke";
    // A stream in both directions by declaration; a stream of one message is a plain call on the wire.
    LeaseKeepAliveRequest => LeaseKeepAliveResponse, "/etcdserverpb.Lease/LeaseKeepAlive";
    LeaseTimeToLiveRequest => LeaseTimeToLiveResponse, "/etcdserverpb.Lease/LeaseTimeToLive";
    LeaseLeasesRequest => LeaseLeasesResponse, "/etcdserverpb.Lease/LeaseLeases";
    MemberListRequest => MemberListResponse, "/etcdserverpb.Cluster/MemberList";
    AuthenticateRequest => AuthenticateResponse, "/etcdserverpb.Auth/Authenticate";
    AlarmRequest => AlarmResponse, "/etcdserverpb.Maintenance/Alarm";
    StatusRequest => StatusResponse, "/etcdserverpb.Maintenance/Status";
}

pub const WATCH_PATH: &str = "/etcdserverpb.Watch/Watch";

#[derive(Clone, Copy, PartialEq, Message)]
pub struct ResponseHeader {
    #[prost(uint64, tag = "1")]
    pub cluster_id: u64,
    #[prost(uint64, tag = "2")]
    pub member_id: u64,
    #[prost(int64, tag = "3")]
    pub revision: i64,
    #[prost(uint64, tag = "4")]
    pub raft_term: u64,
}
