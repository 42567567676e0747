//! `store`: what the embedded store's operator does with its nodes. The original has no such commands.

mod members;
mod recover;
mod status;

pub use members::{add, promote, remove};
pub use recover::recover;
pub use status::status;
