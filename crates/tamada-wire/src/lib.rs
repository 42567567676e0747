//! Every text another process reads or writes: the store's keys, the REST bodies, the timestamps inside them.
//!
//! The formats are contracts with agents and tools that we do not ship, so each has one place here with its reader
//! beside its writer, and golden samples in `samples/`. Knows nothing about sockets, clocks or decisions.

pub mod json;
pub mod keys;
pub mod rest;
#[cfg(any(test, feature = "scene"))]
pub mod scene;
pub mod time;
pub mod url;
