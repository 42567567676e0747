//! etcd v3 over gRPC (dcs-layout.md 9.2).
//!
//! From the bottom up: [`rpc`] is one connection, [`client`] finds the node to ask and divides the time, [`lease`] keeps
//! the one lease of this process, [`leader`] and [`writes`] say what the operations mean as transactions, [`watch`]
//! rings the bell.

pub mod client;
pub mod discovery;
pub mod endpoints;
mod guard;
mod leader;
mod lease;
mod login;
mod ops;
pub mod rpc;
mod sort;
mod store;
mod topology;
mod tries;
mod watch;
mod writes;

pub use store::Etcd;
