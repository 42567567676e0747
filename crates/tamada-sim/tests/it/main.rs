//! Tests of the simulated world from outside.

mod store;
