//! What this member should do now.
//!
//! One struct, [`Agent`], without I/O, clock, threads or randomness of its own: events go in with the time, effects come
//! out. Production drives it with sockets and processes, the simulator drives the same struct with models.
//!
//! ```text
//! gather ──► View ──► Situation ──► Decision ──► Plan ──► act ──► remember ──► tell
//! ```
//!
//! It deliberately knows nothing about wire formats, stores, SQL or how PostgreSQL is started.

pub mod agent;
pub mod bootstrap;
pub mod decide;
pub mod decision;
pub mod divergence;
pub mod explain;
pub mod guard;
mod history;
pub mod lease;
pub mod memory;
pub mod phrase;
pub mod plan;
pub mod plant;
pub mod race;
pub mod requests;
pub mod restart;
pub mod schedule;
pub mod situation;
pub mod slots;
pub mod switchover;
pub mod synchronous;
pub mod tell;
pub mod upstream;
pub mod view;

#[cfg(test)]
mod cases;

pub use agent::{Agent, Arm, Effect, Event, JobId, RequestId, Setup};
pub use decision::{Chore, Decision, Fact, GoesOn, Leave, Note, NoteLevel, Reason, Step, Unfit, Verdict};
pub use guard::{GuardState, WatchdogState};
pub use lease::HeldLease;
pub use memory::{Mark, Memory};
pub use plan::{Command, DcsWrite, Plan, WriteOutcome};
pub use situation::{Situation, situation};
pub use view::{Asked, JobView, Observation, PeerQuestion, Seen, View};
