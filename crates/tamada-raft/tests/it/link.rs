//! Nodes that talk, and those that try to.

mod calls;
mod log;
mod meddling;
mod node;
mod proxy;
mod silence;
mod strangers;
mod tls;
