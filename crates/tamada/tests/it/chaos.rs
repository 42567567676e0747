//! Whole clusters under faults: real agents, real PostgreSQL, a real store; killed, frozen, cut off and filled up while
//! clients write.
//!
//! A test plays some rounds in a [`world`]; each is a row of the [`table`] that `make chaos` prints. [`client`]s write all
//! along and keep a [`record`], and after each round it is [`judge`]d: what was acknowledged is there (as far as that was
//! promised), nothing is there that should not be, and no two members acknowledged at one time.
//!
//! The numbers are those of the list of scenarios in `docs/chaos.md`. `make test` plays a part of them, see [`stage`].

mod agents;
mod client;
mod cuts;
mod full;
mod judge;
mod processes;
mod record;
mod stage;
mod switchover;
mod table;
mod weather;
mod world;
