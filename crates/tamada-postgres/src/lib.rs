//! Everything that touches PostgreSQL: looking at it, configuring it, and the long jobs from bootstrap to rewind.
//!
//! It knows nothing of the store, of leases, or of other members' agents, and decides nothing that could cost data: the
//! core says what shall be done, here is how. All of it may be cut in half at any point and is found again by looking.
//!
//! | to see | open |
//! |---|---|
//! | what a look tells | `look.rs`, `inspect/` |
//! | how a server is started, stopped, cloned, rewound | `job/` |
//! | what stands in postgresql.conf and why | `configure/` |
//! | what a crash in the middle leaves behind | `markers.rs` |

mod address;
mod adopt;
mod callbacks;
mod client;
mod clock;
mod configure;
mod connect;
mod disk;
mod divergence;
mod dsn;
mod error;
mod inspect;
mod job;
mod look;
mod markers;
mod options;
mod pgpass;
mod process;
mod running;
mod setup;
mod slots;
mod supervisor;
mod synchronous;
#[cfg(test)]
mod testing;
mod tools;
mod wal;
mod words;

pub use callbacks::Callback;
pub use error::{PgError, SetupError};
pub use job::{CancelToken, Cancellation, JobHand, JobProgress};
pub use look::Look;
pub use slots::{SlotPlan, WantedSlot};
pub use supervisor::Postgres;
