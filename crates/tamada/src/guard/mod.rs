//! The guard: a second, small process that stops PostgreSQL when its lease ends and the agent is not there to do it.
//!
//! 1. a leads and is frozen, or killed. Its PostgreSQL goes on.
//! 2. Its lease ends; b takes the lock and is promoted.
//! 3. Both take writes, until somebody notices.
//!
//! ```text
//!  agent ──── keeper ──orders──▶ page (a file in memory) ◀──reads── guard ──SIGQUIT, SIGKILL──▶ PostgreSQL
//!                 ▲                     │
//!                 └──────answers────────┘
//! ```
//!
//! The guard knows a data directory and an instant, and decides nothing. It cannot be stopped by what stops the agent:
//! it has no connections, allocates nothing, touches no disk, and is no child of the agent. See
//! `docs/decisions/0006-guard.md`.

mod board;
mod keep;
mod keeper;
mod memory;
mod office;
mod place;
mod process;
mod servers;
mod stranger;
mod watch;

#[cfg(test)]
mod counting;

pub use keeper::Keeper;
pub use office::run;
