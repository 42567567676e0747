//! The embedded replicated store: a small set of keys that a majority of voters agrees on, with revisions, leases and
//! watches.
//!
//! It knows nothing about PostgreSQL, about the keys of a cluster, or about who asks. What can be asked is in [`txn`],
//! what happens to the keys in `keyspace`, how voters find and trust each other in `link` and `join`.

mod ask;
mod client;
mod clock;
mod codec;
mod consensus;
mod disk;
mod far;
mod keyspace;
pub mod link;
mod node;
mod peers;
mod recover;
pub mod txn;

pub use client::{
    Changes, Client, Here, MemberChange, MemberStatus, ReadReply, Reading, StoreStatus, Submitted, Trouble, Watch,
    WatchEnd,
};
pub use node::{Voter, VoterConfig};
pub use recover::recover;
pub use txn::*;
