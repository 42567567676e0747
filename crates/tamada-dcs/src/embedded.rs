//! The embedded store: keys that the agents' own voters agree on.
//!
//! From the bottom up: [`ask`] puts one question, whichever voter answers it, [`lease`] keeps the one lease of this
//! process, [`leader`] and [`writes`] say what the operations mean as transactions, [`watch`] rings the bell.
//!
//! It is etcd's model, and the same operations cost less: one transaction renews the lease, makes sure that the lock is
//! ours, and writes `status` along. A ttl may have a fraction.
//!
//! # Writes that are carried out late
//!
//! 1. a asks for the lock. The voter that heard it is cut off, with the request in its log; a gives up.
//! 2. b takes the lock, leads, writes, and dies.
//! 3. The voter is back, the request is carried out: the lock is free, so it is a's. And a has none of b's commits.
//!
//! A request cannot be called back. But it can be tied to something that we can end: a lease. Whatever writes the lock
//! says `KeepAlive(lease)` first, which refuses the whole transaction when the lease is gone. So the lease is a ticket,
//! and what becomes of each request that nobody answered is:
//!
//! | Request | Carried out late, it … |
//! |---|---|
//! | acquire, take, re-create | is refused: the lease that it names is not used again, and ended by our next write (see [`lease`]) or by its ttl |
//! | take, over another's name | besides, only over the very key that we had seen |
//! | renew | keeps a lease alive that is alive, and only while the lock is ours under it. It may bring an older `status` back, until the next renewal |
//! | release | deletes only the reign that it was meant for, named by the revision in which it began |
//! | compare and swap | is refused, if anybody was faster |
//! | create `initialize`, write without comparing | happens. Nothing that we could compare would tell late from early |

mod ask;
mod leader;
mod lease;
mod ops;
mod setup;
mod store;
#[cfg(test)]
mod tests;
mod watch;
mod writes;

pub use setup::{security, voter_config};
pub use store::Embedded;
