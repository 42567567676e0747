//! The world in one thread: members that run the shipped decision core, and models of everything around them.
//!
//! Nothing here has a clock, a thread or chance of its own. A run is made by its seed, and made again by it.

pub mod chance;
pub mod postgres;
pub mod store;
pub mod time;
pub mod wal;

pub use chance::Chance;
pub use store::Store;
pub use time::{Clock, Moment};

/// A member's place in the world: its host, agent, PostgreSQL and guard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Host(pub usize);

impl Host {
    /// a, b, c, …
    pub fn name(self) -> &'static str {
        ["a", "b", "c", "d", "e"][self.0]
    }
}
