//! The stores against real servers: the conformance suite on every version of etcd, then its troubles one by one.

mod admin;
mod auth;
mod calm;
mod conformance;
mod embedded;
mod endpoint;
mod frozen;
mod nodes;
mod proxy;
mod server;
mod space;
mod srv;
mod support;
mod tls;
mod unclear;
mod voters;
mod watch;
