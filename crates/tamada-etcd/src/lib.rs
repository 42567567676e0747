//! etcd's v3 protocol: its messages, and an endpoint that answers them from the embedded store. Knows nothing about
//! PostgreSQL, nor about what the keys mean.

mod access;
mod clock;
mod connection;
mod endpoint;
mod errors;
mod grpc;
pub mod messages;
mod plain;
mod server;
mod tls;
mod translate;

pub use endpoint::{EtcdEndpoint, EtcdEndpointConfig};
