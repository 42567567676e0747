//! REST: the server every member runs, and the client that peers, the command line and tests ask with.
//!
//! The server answers from the published report and never looks anything up: no SQL, no store, no lock shared with the
//! agent. What changes something is checked here and handed to the agent through the [`server::Desk`]. Knows nothing
//! about decisions, stores or PostgreSQL.

pub mod client;
pub mod server;
