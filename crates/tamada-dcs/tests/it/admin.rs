//! What an administrator of etcd does with etcdctl, by the same connection code that the store uses.

use std::time::Duration;

use prost::Message;
use tamada_dcs::clock::Deadline;
use tamada_dcs::etcd::endpoints::Endpoint;
use tamada_dcs::etcd::rpc::Connection;
use tamada_dcs::names::Names;
pub use tamada_etcd::messages::LeaseRevokeRequest as Revoke;
use tamada_etcd::messages::{Call, Headed, ResponseHeader};

pub async fn ask<C: Call>(port: u16, request: C) -> C::Answer {
    try_ask(port, request).await.expect("the server does as it is told")
}

pub async fn try_ask<C: Call>(port: u16, request: C) -> Result<C::Answer, tonic::Status> {
    let endpoint = Endpoint { https: false, host: "127.0.0.1".into(), port };
    let limit = Deadline::after(Duration::from_secs(30));
    let opened = Connection::open(&endpoint, &Names::default(), None, limit).await;
    opened.expect("the server accepts connections").call(request, None).await
}

/// Declares requests whose answers nobody reads.
macro_rules! orders {
    ($($name:ident $path:literal { $($(#[$tag:meta])* $field:ident: $kind:ty,)* })*) => {$(
        #[derive(Clone, PartialEq, Message)]
        pub struct $name { $($(#[$tag])* pub $field: $kind,)* }

        impl Call for $name {
            type Answer = Done;
            const PATH: &'static str = $path;
        }
    )*};
}

#[derive(Clone, PartialEq, Message)]
pub struct Done {
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
}

impl Headed for Done {
    fn header(&self) -> Option<&ResponseHeader> {
        self.header.as_ref()
    }
}

orders! {
    MoveLeader "/etcdserverpb.Maintenance/MoveLeader" {
        #[prost(uint64, tag = "1")]
        to: u64,
    }
    RemoveMember "/etcdserverpb.Cluster/MemberRemove" {
        #[prost(uint64, tag = "1")]
        id: u64,
    }
    Compact "/etcdserverpb.KV/Compact" {
        #[prost(int64, tag = "1")]
        revision: i64,
        #[prost(bool, tag = "2")]
        physical: bool,
    }
    AddUser "/etcdserverpb.Auth/UserAdd" {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        password: String,
    }
    AddRole "/etcdserverpb.Auth/RoleAdd" {
        #[prost(string, tag = "1")]
        name: String,
    }
    GrantRole "/etcdserverpb.Auth/UserGrantRole" {
        #[prost(string, tag = "1")]
        user: String,
        #[prost(string, tag = "2")]
        role: String,
    }
    GrantPermission "/etcdserverpb.Auth/RoleGrantPermission" {
        #[prost(string, tag = "1")]
        role: String,
        #[prost(message, optional, tag = "2")]
        permission: Option<Permission>,
    }
    EnableAuth "/etcdserverpb.Auth/AuthEnable" {}
}

#[derive(Clone, PartialEq, Message)]
pub struct Permission {
    /// 2: reading and writing.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub range_end: Vec<u8>,
}
