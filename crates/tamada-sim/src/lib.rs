//! The world in one thread: members that run the shipped decision core, and models of everything around them.
//!
//! Nothing here has a clock, a thread or chance of its own. A run is made by its seed, and made again by it.
//!
//! ```text
//! swarm, scenario ──► Script ──► World ──► Outcome
//!                                  │
//!      members: Agent, guard ──────┤ queue: what is due, in order
//!      fleet: PostgreSQL, WAL ─────┤
//!      store: keys, leases ────────┤ promises: looked at from outside, after each happening
//!      network, clients, operators ┘
//! ```

pub mod campaign;
pub mod chance;
mod clock;
pub mod diary;
pub mod fault;
pub mod invariant;
pub mod ledger;
pub mod member;
pub mod net;
pub mod plant;
pub mod postgres;
mod queue;
pub mod scenario;
pub mod script;
pub mod shrink;
pub mod store;
pub mod swarm;
pub mod time;
pub mod wal;
pub mod world;

pub use chance::Chance;
pub use script::Script;
pub use time::{Clock, Moment};

/// A member's place in the world: its host, agent, PostgreSQL and guard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Host(pub usize);

impl Host {
    pub fn named(name: &str) -> Option<Self> {
        (0..5).map(Host).find(|host| host.name() == name)
    }

    /// a, b, c, …
    pub fn name(self) -> &'static str {
        ["a", "b", "c", "d", "e"][self.0]
    }
}
