//! Tests of the simulated world from outside.

mod proof;
mod store;
